"""Models of the sampling process, in PyMC: the densities of `plan`, with all numbers as data.

tau is the absolute value of a real variable where its density is finite at 0, and the exponential of one
where it vanishes there (Gelman 2006 has why boundaries hurt).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats

EVEN = frozenset({"Flat", "HalfNormal", "HalfCauchy", "HalfStudentT", "Exponential", "Lomax"})
"""Families that continue evenly to the whole line."""


def log_density_of_scale(family: str, x: Any, parameters: Any) -> Any:
    """Return the log density of tau or tau2 at x, up to a constant."""
    a, b = parameters[0], parameters[1]
    return {
        "Flat": lambda: 0.0 * x,
        "HalfNormal": lambda: -0.5 * (x / a) ** 2,
        "HalfCauchy": lambda: -pt.log1p((x / a) ** 2),
        "HalfStudentT": lambda: -0.5 * (a + 1) * pt.log1p((x / b) ** 2 / a),
        "Exponential": lambda: -a * x,
        "Uniform": lambda: 0.0 * x,
        "Lomax": lambda: -(a + 1) * pt.log1p(x / b),
        "LogNormal": lambda: -0.5 * ((pt.log(x) - a) / b) ** 2 - pt.log(x),
        "Gamma": lambda: (a - 1) * pt.log(x) - b * x,
        "InverseGamma": lambda: -(a + 1) * pt.log(x) - b / x,
        "Weibull": lambda: (a - 1) * pt.log(x) - (x / b) ** a,
    }[family]()


def log_density_of_location(x: Any, data: Mapping[str, Any], name: str) -> Any:
    """Return the log density of coefficients or baselines at x, up to a constant."""
    z = (x - data[f"{name}_location"]) / data[f"{name}_scale"]
    square, tail = (
        data[f"{name}_square"] * 0.5 * z**2,
        data[f"{name}_tail"] * pt.log1p(z**2 / data[f"{name}_nu"]),
    )
    inside = pt.abs(z) <= data[f"{name}_limit"]
    return pt.switch(inside, -square - tail - data[f"{name}_sharp"] * pt.abs(z), -np.inf)


def build(key: Mapping[str, Any], arrays: Mapping[str, Floats]) -> pm.Model:
    """Return the model that `plan` describes, with variables ``b`` (coefficients) and ``tau``."""
    with pm.Model() as model:
        data = {name: pm.Data(name, np.asarray(array, dtype=np.float64)) for name, array in arrays.items()}
        g = pm.Flat("g", shape=int(key["width"]))
        b = pm.Deterministic("b", data["centre"] + data["spread"] @ g)
        pm.Potential("prior_b", log_density_of_location(b, data, "prior").sum())
        tau = _tau(key, data)
        if key["likelihood"] == "normal":
            sd = pt.sqrt(data["v"] + tau**2)
            pm.Normal("y_observed", data["X"] @ b, sd, observed=data["y"])
        else:
            _binomial(data, data["X"] @ b, tau, int(key["k"]))
    return model


def _tau(key: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    family, parameters = str(key["tau"]), data["tau_parameters"]
    if family == "Fixed":
        fixed = pt.sqrt(parameters[0]) if key["tau_on"] == "tau2" else parameters[0]
        return pm.Deterministic("tau", fixed)
    if family == "Uniform":
        return _uniform_tau(key, parameters)
    z = pm.Flat("z", initval=0.5)
    if key["tau_on"] == "tau2":
        tau2 = pt.exp(2 * z)
        pm.Potential("prior_tau", log_density_of_scale(family, tau2, parameters) + 2 * z)
        return pm.Deterministic("tau", pt.exp(z))
    if family in EVEN:
        pm.Potential("prior_tau", log_density_of_scale(family, pt.abs(z), parameters))
        return pm.Deterministic("tau", pt.abs(z))
    pm.Potential("prior_tau", log_density_of_scale(family, pt.exp(z), parameters) + z)
    return pm.Deterministic("tau", pt.exp(z))


def _uniform_tau(key: Mapping[str, Any], parameters: Any) -> Any:
    """Return tau under a uniform prior; from 0 on it is the absolute value of a variable on both sides."""
    lower, upper = parameters[0], parameters[1]
    if key["tau_on"] == "tau2":
        return pm.Deterministic("tau", pt.sqrt(pm.Uniform("z", lower, upper)))
    from_zero = pt.eq(lower, 0.0)
    z = pm.Uniform("z", pt.switch(from_zero, -upper, lower), upper)
    return pm.Deterministic("tau", pt.abs(z))


def _binomial(data: Mapping[str, Any], mean: Any, tau: Any, k: int) -> None:
    """Add the events of both arms, with effects in units of the plan and log odds in natural units."""
    w = pm.Normal("w", 0.0, 1.0, shape=k)
    effect = pm.Deterministic("effect", data["unit"][0] * (mean + tau * w))
    odds2 = pm.Flat("odds2", shape=k, initval=np.zeros(k))
    pm.Potential("prior_odds2", log_density_of_location(odds2, data, "baseline").sum())
    for group, odds in (("1", odds2 + effect), ("2", odds2)):
        events, n = data[f"events{group}"], data[f"n{group}"]
        pm.Potential(f"events_in_{group}", (events * odds - n * pt.softplus(odds)).sum())
