"""Small-study effects and publication bias: tests, adjusted effects, selection models, and their average.

`assess` does all that the studies allow. Every result says that a small-study effect is not proof of
publication bias.
"""

from __future__ import annotations

from bayesmeta.bias.arms import (
    arcsine,
    deeks,
    harbord,
    macaskill,
    peters,
    pustejovsky_rodgers,
)
from bayesmeta.bias.assessment import Assessment, Entry, assess
from bayesmeta.bias.average import STEPS, STEPS_PSMA, BiasAverage, BiasModel, average
from bayesmeta.bias.bayes import StepPosterior, step_posterior
from bayesmeta.bias.common import CAUTION
from bayesmeta.bias.excess import ExcessTest, excess_test
from bayesmeta.bias.failsafe import FailSafeN, fail_safe_n
from bayesmeta.bias.funnel import FunnelData, funnel_data
from bayesmeta.bias.rank import RankTest, rank_test
from bayesmeta.bias.regression import (
    RegressionTest,
    egger,
    peese,
    pet,
    pet_peese,
    regression_test,
    thompson_sharp,
)
from bayesmeta.bias.selection import SelectionModel, selection_model
from bayesmeta.bias.trimfill import TrimAndFill, trim_and_fill
from bayesmeta.bias.weights import WeightFunction

__all__ = [
    "CAUTION",
    "STEPS",
    "STEPS_PSMA",
    "Assessment",
    "BiasAverage",
    "BiasModel",
    "Entry",
    "ExcessTest",
    "FailSafeN",
    "FunnelData",
    "RankTest",
    "RegressionTest",
    "SelectionModel",
    "StepPosterior",
    "TrimAndFill",
    "WeightFunction",
    "arcsine",
    "assess",
    "average",
    "deeks",
    "egger",
    "excess_test",
    "fail_safe_n",
    "funnel_data",
    "harbord",
    "macaskill",
    "peese",
    "pet",
    "pet_peese",
    "peters",
    "pustejovsky_rodgers",
    "rank_test",
    "regression_test",
    "selection_model",
    "step_posterior",
    "thompson_sharp",
    "trim_and_fill",
]
