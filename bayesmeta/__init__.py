"""Bayesian meta-analysis: classical, exact and NUTS answers from one kernel, checked against each other.

Examples
--------
>>> import bayesmeta as bm
>>> studies = bm.Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.1, 0.2])
>>> fit = bm.fit(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
>>> round(fit.probability("mu > 0"), 3)
0.924
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmeta import bias, classical, errors, plots, priors
    from bayesmeta.analysis import Analysis, load_analysis
    from bayesmeta.batch import fit_many
    from bayesmeta.datasets import list_datasets, load_dataset
    from bayesmeta.fitting import fit, to_pymc
    from bayesmeta.model import Model
    from bayesmeta.regression import compare_models, moderator_selection, subgroups
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.prior_table import prior_predictive
    from bayesmeta.sensitivity import (
        bayes_factor,
        bayes_factors,
        cumulative,
        gosh,
        influence,
        informativeness,
        leave_one_out,
        leave_out,
        model_average,
        outliers,
        prior_path,
        prior_sensitivity,
        tipping_points,
    )
    from bayesmeta.storage import load
    from bayesmeta.studies import Studies, effect_sizes
    from bayesmeta.workflow.run import run

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Fit",
    "Model",
    "Studies",
    "bayes_factor",
    "bayes_factors",
    "bias",
    "classical",
    "compare_models",
    "cumulative",
    "effect_sizes",
    "errors",
    "fit",
    "fit_many",
    "gosh",
    "influence",
    "informativeness",
    "leave_one_out",
    "leave_out",
    "list_datasets",
    "load",
    "load_analysis",
    "load_dataset",
    "model_average",
    "moderator_selection",
    "outliers",
    "plots",
    "prior_path",
    "prior_predictive",
    "prior_sensitivity",
    "priors",
    "run",
    "subgroups",
    "tipping_points",
    "to_pymc",
]

_HOMES = {
    "Analysis": "analysis",
    "Fit": "results.fit",
    "Model": "model",
    "Studies": "studies",
    "bayes_factor": "sensitivity",
    "bayes_factors": "sensitivity",
    "compare_models": "regression",
    "cumulative": "sensitivity",
    "effect_sizes": "studies",
    "fit": "fitting",
    "fit_many": "batch",
    "gosh": "sensitivity",
    "influence": "sensitivity",
    "informativeness": "sensitivity",
    "leave_one_out": "sensitivity",
    "leave_out": "sensitivity",
    "list_datasets": "datasets",
    "load": "storage",
    "load_analysis": "analysis",
    "load_dataset": "datasets",
    "model_average": "sensitivity",
    "moderator_selection": "regression",
    "outliers": "sensitivity",
    "prior_path": "sensitivity",
    "prior_predictive": "results.prior_table",
    "prior_sensitivity": "sensitivity",
    "run": "workflow.run",
    "subgroups": "regression",
    "tipping_points": "sensitivity",
    "to_pymc": "fitting",
}
"""Module of each public name that is not a module itself; nothing is imported before it is asked for."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'bayesmeta' has no attribute '{name}'")
    if name not in _HOMES:
        return importlib.import_module(f"bayesmeta.{name}")
    value = getattr(importlib.import_module(f"bayesmeta.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
