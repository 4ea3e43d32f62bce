"""How far the answer depends on each study, and on the priors."""

from __future__ import annotations

from bayesmeta.sensitivity.averaging import ModelAverage, model_average
from bayesmeta.sensitivity.bayes_factors import BayesFactor, bayes_factor, bayes_factors
from bayesmeta.sensitivity.choices import PriorAtlas, PriorChoice, prior_path, prior_sensitivity
from bayesmeta.sensitivity.cumulative import cumulative
from bayesmeta.sensitivity.influence import influence
from bayesmeta.sensitivity.informativeness import Informativeness, informativeness
from bayesmeta.sensitivity.kept import with_priors_of
from bayesmeta.sensitivity.omitted import LeftOut, leave_one_out, leave_out
from bayesmeta.sensitivity.outliers import Outliers, outliers
from bayesmeta.sensitivity.subsets import Subsets, gosh
from bayesmeta.sensitivity.tipping import TippingCurve, TippingPoints, tipping_points

__all__ = [
    "BayesFactor",
    "Informativeness",
    "LeftOut",
    "ModelAverage",
    "Outliers",
    "PriorAtlas",
    "PriorChoice",
    "Subsets",
    "TippingCurve",
    "TippingPoints",
    "bayes_factor",
    "bayes_factors",
    "cumulative",
    "gosh",
    "influence",
    "informativeness",
    "leave_one_out",
    "leave_out",
    "model_average",
    "outliers",
    "prior_path",
    "prior_sensitivity",
    "tipping_points",
    "with_priors_of",
]
