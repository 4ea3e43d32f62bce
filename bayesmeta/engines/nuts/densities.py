"""The models that the sampling process compiles, in PyMC: one for each likelihood, with all numbers as data.

They are the models of `bayesmeta.to_pymc` in coordinates in which the posterior is round
(`bayesmeta.engines.nuts.coordinates`). Priors are rows of numbers (`bayesmeta.engines.nuts.shapes`), so that
what is compiled once serves every family, any effects and, with a normal likelihood, any number of studies.
Only the sampling process imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayesmeta.engines.nuts.shapes import BOUNDED, FIXED, HEAVY, LOG, LocationShape, ScaleShape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats

SMALLEST = 1e-300


def build(likelihood: str, arrays: Mapping[str, Floats]) -> pm.Model:
    """Return the model of a likelihood; its one variable ``x`` holds the coordinates that are sampled.

    Parameters
    ----------
    likelihood : {"normal", "binomial"}
        Of effects, or of the events of both arms.
    arrays : mapping of str to array
        Data as `bayesmeta.engines.nuts.plan` writes them.
    """
    width, k = arrays["spread"].shape[0], arrays["X"].shape[0]
    extra = 0 if likelihood == "normal" else 2 * k
    with pm.Model() as model:
        data = {name: pm.Data(name, np.asarray(array, dtype=np.float64)) for name, array in arrays.items()}
        x = pm.Flat("x", shape=width + 1 + extra, initval=np.zeros(width + 1 + extra))
        tau = _tau(x[width], data["scale"])
        b = _coefficients(x[:width], tau, data)
        if likelihood == "normal":
            _effects(b, tau, data)
        else:
            _events(b, tau, x[width + 1 : width + 1 + k], x[width + 1 + k :], data)
    return model


def _coefficients(g: Any, tau: Any, data: Mapping[str, Any]) -> Any:
    """Add the priors of the coefficients and return them; centre and spread follow tau."""
    weights, pull = 1 / (data["v"] + tau * tau), data["pull"]
    information = weights.sum() + pull[0]
    stretch = pt.sqrt(pull[2] / information)
    shift = (weights @ data["residual"] + pull[0] * pull[1]) / information
    h = data["centre"] + data["pooled"] * shift + data["spread"] @ (g * (1 + data["active"] * (stretch - 1)))
    prior = LocationShape(*(data["location"][i] for i in range(len(LocationShape._fields))))
    b, density = _location(h, prior)
    pm.Potential("prior_of_coefficients", density.sum() + data["active"].sum() * pt.log(stretch))
    return b


def _location(h: Any, prior: LocationShape) -> tuple[Any, Any]:
    """Return coefficients at the variables h, and the log densities of h."""
    bounded = pt.gt(prior.half, 0.0)
    u = (h - prior.middle) / pt.switch(bounded, prior.half, 1.0)
    b = pt.switch(bounded, prior.middle + prior.half * pt.tanh(u), h)
    z = (b - prior.location) / prior.scale
    density = -0.5 * prior.square * z * z - prior.tail * pt.log1p(z * z / prior.nu) - prior.sharp * pt.abs(z)
    return b, density + pt.switch(bounded, _log_slope_of_tanh(u), 0.0)


def _log_slope_of_tanh(u: Any) -> Any:
    """Return ``log(1 - tanh(u)^2)`` without underflow, up to a constant."""
    return -2 * _log_cosh(u)


def _log_cosh(u: Any) -> Any:
    """Return ``log(2 cosh(u))`` without overflow."""
    return pt.abs(u) + pt.log1p(pt.exp(-2 * pt.abs(u)))


def _tau(z: Any, numbers: Any) -> Any:
    """Add the prior of tau and return it, with the sign of its variable where that is even."""
    s = ScaleShape(*(numbers[i] for i in range(len(ScaleShape._fields))))
    logarithmic, bounded, fixed, heavy = (pt.eq(s.kind, kind) for kind in (LOG, BOUNDED, FIXED, HEAVY))
    u = s.offset + s.step * z
    between = s.middle + s.half * pt.tanh(u)
    signed = pt.switch(bounded, between, s.step * pt.switch(heavy, pt.sinh(pt.switch(heavy, z, 0.0)), z))
    w = pt.switch(logarithmic, s.step * pt.exp(pt.switch(logarithmic, z, 0.0)), pt.abs(signed))
    w = pt.maximum(w, SMALLEST)
    density = _log_density(pt.maximum(s.rate * w**s.power, SMALLEST), s)
    density += (
        s.lift * z + pt.switch(heavy, _log_cosh(z), 0.0) + pt.switch(bounded, _log_slope_of_tanh(u), 0.0)
    )
    pm.Potential("prior_of_tau", pt.switch(fixed, -0.5 * z * z, density))
    sign = pt.switch(logarithmic, 1.0, pt.sign(signed))
    return pt.switch(fixed, s.middle, sign * w**s.root)


def _log_density(x: Any, s: ScaleShape) -> Any:
    """Return the log density of a scaled tau or tau2, up to a constant.

    Where neither logarithm nor reciprocal counts they are taken of x + 1, so that their slopes stay finite.
    """
    away = x + pt.eq(s.inverse + s.log_square, 0.0)
    polynomial = -0.5 * s.square * x * x - s.sharp * x - s.stretched * x**s.shape
    heavy = -s.tail * pt.log1p(x * x / s.nu) - s.heavy * pt.log1p(x)
    return polynomial + heavy - s.inverse / away - 0.5 * s.log_square * pt.log(away) ** 2


def _effects(b: Any, tau: Any, data: Mapping[str, Any]) -> None:
    """Add ``y ~ N(X b, v + tau^2)``, the effects of the studies integrated out."""
    residual, total = data["y"] - data["X"] @ b, data["v"] + tau * tau
    pm.Potential("effects", -0.5 * (pt.log(total) + residual * residual / total).sum())


def _events(b: Any, tau: Any, u: Any, a: Any, data: Mapping[str, Any]) -> None:
    """Add the events of both arms, with non-centred effects and group-2 log odds in their coordinates."""
    prior = LocationShape(*(data["baseline"][i] for i in range(len(LocationShape._fields))))
    odds2, density = _location(data["odds2"] + data["odds2_sd"] * a, prior)
    effect = data["unit"] * (data["X"] @ b + tau * u)
    pm.Potential("baselines_and_effects", density.sum() - 0.5 * (u * u).sum())
    for arm, odds in (("1", odds2 + effect), ("2", odds2)):
        terms = data[f"events{arm}"] * odds - data[f"n{arm}"] * pt.softplus(odds)
        pm.Potential(f"events_in_{arm}", terms.sum())
