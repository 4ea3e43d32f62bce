"""The models that the sampling process compiles, in PyMC: one for each likelihood, with all numbers as data.

They are the models of `bayesmeta.to_pymc` in coordinates in which the posterior is round
(`bayesmeta.engines.nuts.coordinates`). Priors are rows of numbers (`bayesmeta.engines.nuts.shapes`), so that
what is compiled once serves every family, any effects and, with a normal likelihood, any number of studies.
Only the sampling process imports this module.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayesmeta.engines.nuts.shapes import (
    BOUNDED,
    FIXED,
    HEAVY,
    LOG,
    MORE,
    ROW,
    SINGLES,
    LocationShape,
    ScaleShape,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats

SMALLEST = 1e-300
HEAD = len(ScaleShape._fields) + 1 + ROW
"""Numbers before those of the coefficients."""
AT = 3
"""Numbers of each coefficient after those of its prior: its coordinates."""


class At(NamedTuple):
    """`bayesmeta.engines.nuts.coordinates.Coordinates`, with idle coefficients."""

    centre: Any
    """(width,) likely coefficients."""
    precision: Any
    """(width,) precisions of the priors."""
    offset: Any
    """(width,) means of the priors, from the centre."""
    X: Any
    """(k, width) design matrix."""
    residual: Any
    """(k,) effects less their fit at the centre."""


class _Data(NamedTuple):
    """Parts of the vector of numbers that `bayesmeta.engines.nuts.plan` writes."""

    scale: ScaleShape
    """Prior of tau."""
    unit: Any
    """Unit of the effects."""
    baseline: LocationShape
    """Prior of each group-2 log odds."""
    priors: LocationShape
    """Priors of the coefficients, (width,) each."""
    at: At
    """Coordinates of the coefficients."""
    v: Any
    """(k,) sampling variances; for counts approximate ones, for the coordinates."""
    studies: Any
    """(k, columns) what was observed, by study."""


def build(key: Mapping[str, Any], numbers: Floats) -> pm.Model:
    """Return the model of a plan; its one variable ``x`` holds the coordinates that are sampled.

    Parameters
    ----------
    key : mapping
        `Plan.key`: likelihood, number of coefficients and, for counts, of studies; or `ScalePlan.key`.
    numbers : (n,) array
        `Plan.numbers`.
    """
    if "taus" in key:
        from bayesmeta.engines.nuts.scale_densities import build_scale

        return build_scale(key, numbers)
    width, k = int(key["width"]), int(key.get("k", 0))
    with pm.Model() as model:
        data = _parted(pm.Data("numbers", np.asarray(numbers, dtype=np.float64)), width, counts=k > 0)
        x = pm.Flat("x", shape=width + 1 + 2 * k, initval=np.zeros(width + 1 + 2 * k))
        tau = tau_of(x[width], data.scale)
        b = coefficients(x[:width], data.v + tau * tau, data.priors, data.at)
        if k == 0:
            _effects(b, tau, data)
        else:
            _events(b, tau, x[width + 1 : width + 1 + k], x[width + 1 + k :], data)
    return model


def _parted(numbers: Any, width: int, *, counts: bool) -> _Data:
    """Return the parts of the vector of numbers."""
    end, scale = HEAD + (ROW + AT) * width, len(ScaleShape._fields)
    by_coefficient = numbers[HEAD:end].reshape((ROW + AT, width))
    observed = 7 if counts else 1
    studies = numbers[end:].reshape((-1, observed + 2 + width))
    X, residual = studies[:, observed + 2 :], studies[:, observed + 1]
    return _Data(
        scale=ScaleShape(*(numbers[i] for i in range(scale))),
        unit=numbers[scale],
        baseline=location_shape(numbers[scale + 1 : scale + 1 + ROW]),
        priors=location_shape(by_coefficient[:ROW]),
        at=at_of(by_coefficient[ROW:], X, residual),
        v=studies[:, observed],
        studies=studies[:, :observed],
    )


def location_shape(rows: Any) -> LocationShape:
    """Return a prior from its numbers, rows of them for several coefficients."""
    more = [rows[SINGLES + j * MORE : SINGLES + (j + 1) * MORE] for j in range(3)]
    return LocationShape(*(rows[i] for i in range(SINGLES)), *more)


def at_of(rows: Any, X: Any, residual: Any) -> At:
    """Return coordinates from their numbers, (AT, width), and those of the studies."""
    return At(rows[0], rows[1], rows[2], X, residual)


def coefficients(g: Any, total: Any, prior: LocationShape, at: At) -> Any:
    """Add the priors of the coefficients and return them.

    Parameters
    ----------
    g : (width,) variable
        Their coordinates.
    total : (k,) variable
        Variances of the effects around the fit, ``v + tau^2``.
    prior : LocationShape
        Priors.
    at : At
        What the coordinates are made of.
    """
    weights = 1 / total
    precision = (at.X.T * weights) @ at.X + pt.diag(at.precision)
    root = pt.linalg.cholesky(precision, check_finite=False)
    pulled = at.X.T @ (weights * at.residual) + at.precision * at.offset
    solve = partial(pt.linalg.solve_triangular, root, lower=True, check_finite=False, b_ndim=1)
    b, density = location(at.centre + solve(solve(pulled) + g, trans=1), prior)
    pm.Potential("prior_of_coefficients", density.sum() - pt.log(pt.diag(root)).sum())
    return b


def location(h: Any, prior: LocationShape) -> tuple[Any, Any]:
    """Return coefficients at the variables h, and the log densities of h."""
    bounded, open_ended = pt.gt(prior.half, 0.0), pt.neq(prior.side, 0.0)
    u = (h - prior.middle) / pt.switch(bounded, prior.half, 1.0)
    b = pt.switch(bounded, prior.middle + prior.half * pt.tanh(u), h)
    t = pt.switch(open_ended, prior.side * (h - prior.edge) / prior.scale, 0.0)
    b = pt.switch(open_ended, prior.edge + prior.side * prior.scale * pt.softplus(t), b)
    z = (b - prior.location) / prior.scale
    density = -0.5 * prior.square * z * z - prior.tail * pt.log1p(z * z / prior.nu) - prior.sharp * pt.abs(z)
    density = pt.logsumexp(pt.concatenate([density[None], _others(b, prior)]), axis=0)
    return b, density + pt.switch(bounded, _log_slope_of_tanh(u), 0.0) - pt.switch(
        open_ended, pt.softplus(-t), 0.0
    )


def _others(b: Any, prior: LocationShape) -> Any:
    """Return the log densities of the other components of mixtures, a row for each."""
    parts: Any = (prior.weights, prior.locations, prior.scales)
    weights, locations, scales = (part[(..., *[None] * (b.ndim + 1 - part.ndim))] for part in parts)
    return weights - 0.5 * ((b - locations) / scales) ** 2


def _log_slope_of_tanh(u: Any) -> Any:
    """Return ``log(1 - tanh(u)^2)`` without underflow, up to a constant."""
    return -2 * _log_cosh(u)


def _log_cosh(u: Any) -> Any:
    """Return ``log(2 cosh(u))`` without overflow."""
    return pt.abs(u) + pt.log1p(pt.exp(-2 * pt.abs(u)))


def tau_of(z: Any, s: ScaleShape, *, name: str = "prior_of_tau") -> Any:
    """Add the prior of tau and return it, with the sign of its variable where that is even."""
    logarithmic, bounded, fixed, heavy = (pt.eq(s.kind, kind) for kind in (LOG, BOUNDED, FIXED, HEAVY))
    u = s.offset + s.step * z
    between = s.middle + s.half * pt.tanh(u)
    signed = pt.switch(bounded, between, s.step * pt.switch(heavy, pt.sinh(pt.switch(heavy, z, 0.0)), z))
    w = pt.switch(logarithmic, s.middle + s.step * pt.exp(pt.switch(logarithmic, z, 0.0)), pt.abs(signed))
    w = pt.maximum(w, SMALLEST)
    density = _log_density(s.rate * (w**s.power - s.center), s)
    density += (
        s.lift * z + pt.switch(heavy, _log_cosh(z), 0.0) + pt.switch(bounded, _log_slope_of_tanh(u), 0.0)
    )
    pm.Potential(name, pt.switch(fixed, -0.5 * z * z, density))
    sign = pt.switch(logarithmic, 1.0, pt.sign(signed))
    return pt.switch(fixed, s.middle, sign * w**s.root)


def _log_density(x: Any, s: ScaleShape) -> Any:
    """Return the log density of a scaled tau or tau2, up to a constant.

    Where neither logarithm nor reciprocal counts they are taken of x + 1, so that their slopes stay finite.
    """
    above = pt.maximum(x, SMALLEST)
    away = above + pt.eq(s.inverse + s.log_square + s.log_tail + pt.abs(s.log_power), 0.0)
    log_x = pt.log(away)
    polynomial = -0.5 * s.square * x * x - s.sharp * pt.abs(x) - s.stretched * above**s.shape
    heavy = -s.tail * pt.log1p(x * x / s.nu) - s.heavy * pt.log1p(above)
    logarithms = -0.5 * s.log_square * log_x**2 - s.log_tail * pt.log1p(log_x**2 / s.log_nu)
    return polynomial + heavy + logarithms + s.log_power * log_x - s.inverse / away


def _effects(b: Any, tau: Any, data: _Data) -> None:
    """Add ``y ~ N(X b, v + tau^2)``, the effects of the studies integrated out."""
    residual, total = data.studies[:, 0] - data.at.X @ b, data.v + tau * tau
    pm.Potential("effects", -0.5 * (pt.log(total) + residual * residual / total).sum())


def _events(b: Any, tau: Any, u: Any, a: Any, data: _Data) -> None:
    """Add the events of both arms, with effects (`Coordinates.effects`) and group-2 log odds."""
    events1, n1, events2, n2, centre, spread, y = (data.studies[:, i] for i in range(7))
    odds2, density = location(centre + spread * a, data.baseline)
    fit, total = data.at.X @ b, data.v + tau * tau
    deviation = (tau * (y - fit) + pt.sqrt(data.v * total) * u) / total
    effect = data.unit * (fit + tau * deviation)
    of_effects = -0.5 * deviation * deviation + 0.5 * pt.log(data.v / total)
    pm.Potential("baselines_and_effects", density.sum() + of_effects.sum())
    for arm, events, n, odds in (("1", events1, n1, odds2 + effect), ("2", events2, n2, odds2)):
        pm.Potential(f"events_in_{arm}", (events * odds - n * pt.softplus(odds)).sum())
