"""The likelihood of a selection model, with its derivatives, and its maximum.

The density of an effect that was seen is ``w(p(y)) N(y; mu, v + tau^2) / A``, A being the integral of the
numerator. With g the logarithm of the numerator, the gradient of the log likelihood is the sum of
``g'(y_i) - E g'`` and the Hessian that of ``g''(y_i) - E g'' - Cov g'``, expectations being over the density
of what is seen; all are integrals over Gauss-Legendre panels whose edges are where w is not smooth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.quadrature import NODES, WEIGHTS

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats, Ints
    from bayesmeta.bias.weights import WeightFunction

HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))
REACH = np.linspace(-9.0, 9.0, 13)
"""Edges of panels, in standard deviations of an effect about mu and in sampling standard errors about 0."""
STEPS = 200
SETTLED = 1e-13
"""Increase of the log likelihood promised by a Newton step at which the search stops."""


class Point(NamedTuple):
    """A log likelihood with its derivatives by mu, tau^2 and the parameters of the weight function."""

    value: float
    """Log likelihood."""
    gradient: Floats
    """(2 + q,) gradient."""
    hessian: Floats
    """(2 + q, 2 + q) matrix of second derivatives."""


class Maximum(NamedTuple):
    """The highest point found."""

    parameters: Floats
    """(2 + q,) mu, tau^2 and the parameters of the weight function."""
    at: Point
    """Log likelihood and derivatives there."""
    settled: bool
    """Whether Newton's method came to rest."""


def log_likelihood(y: Floats, v: Floats, weight: WeightFunction, parameters: Floats) -> Point:
    """Return the log likelihood of a selection model.

    Parameters
    ----------
    y, v : (k,) arrays
        Effects and sampling variances.
    weight : WeightFunction
        With q parameters.
    parameters : (2 + q,) array
        mu, tau^2 >= 0 and the parameters of the weight function.
    """
    seen, every, log_rule = _pieces(y, v, weight, parameters)
    share, log_total = _shares(every.value + log_rule)
    mean = np.matvec(every.slope, share)
    second = np.matmul(every.slope * share[:, None, :], every.slope.mT)
    curved = _expected_bend(seen, np.ones((y.size, 1)), 1 / (v + parameters[1]))
    curved -= _expected_bend(every, share, 1 / (v + parameters[1]))
    hessian = curved - second + np.einsum("kp,kq->kpq", mean, mean)
    gradient = (seen.slope[:, :, 0] - mean).sum(axis=0)
    return Point(float((seen.value[:, 0] - log_total).sum()), gradient, hessian.sum(axis=0))


def log_likelihood_value(y: Floats, v: Floats, weight: WeightFunction, parameters: Floats) -> float:
    """Return the log likelihood alone, which takes a third of the time."""
    seen, every, log_rule = _pieces(y, v, weight, parameters, slopes=False)
    return float((seen.value[:, 0] - _shares(every.value + log_rule)[1]).sum())


def _pieces(
    y: Floats, v: Floats, weight: WeightFunction, parameters: Floats, *, slopes: bool = True
) -> tuple[_LogDensity, _LogDensity, Floats]:
    """Return the log density at the effects, at the nodes, and the logarithms of the nodes' weights."""
    mu, tau2, delta = float(parameters[0]), float(parameters[1]), parameters[2:]
    s2 = v + tau2
    x, log_rule = _rule(mu, np.sqrt(s2), np.sqrt(v), weight.breaks())
    seen, every = (_log_density(at, mu, s2, v, weight, delta, slopes=slopes) for at in (y[:, None], x))
    return seen, every, log_rule


def _shares(logs: Floats) -> tuple[Floats, Floats]:
    """Return probabilities (k, m) proportional to exp(logs), and the logs (k,) of their sums."""
    top = logs.max(axis=1, keepdims=True)
    mass = np.exp(logs - top)
    total = mass.sum(axis=1, keepdims=True)
    return mass / total, top[:, 0] + np.log(total[:, 0])


def _expected_bend(density: _LogDensity, share: Floats, precision: Floats) -> Floats:
    """Return the (k, p, p) expected second derivatives of the log density, `precision` being 1 / s^2."""
    k, p, _ = density.slope.shape
    bend = np.zeros((k, p, p))
    r, square = np.vecdot(density.slope[:, 0], share), np.vecdot(density.slope[:, 0] ** 2, share)
    bend[:, 0, 0] = -precision
    bend[:, 0, 1] = bend[:, 1, 0] = -r * precision
    bend[:, 1, 1] = 0.5 * precision**2 - square * precision
    places = np.arange(2, p)
    bend[:, places, places] = np.matvec(density.bend, share)
    return bend


class _LogDensity(NamedTuple):
    """Log of weight times normal density at m points of each study."""

    value: Floats
    """(k, m) logarithms."""
    slope: Floats
    """(k, p, m) first derivatives by mu, tau^2 and the parameters."""
    bend: Floats
    """(k, q, m) second derivatives by each of the parameters."""


def _rule(mu: float, s: Floats, root_v: Floats, breaks: Floats) -> tuple[Floats, Floats]:
    """Return nodes (k, m) and logarithms of their weights, on panels that w and the density need."""
    own = mu + np.multiply.outer(s, REACH)
    edges = np.concatenate([own, np.multiply.outer(root_v, REACH), np.multiply.outer(root_v, breaks)], axis=1)
    edges.sort(axis=1)
    half = np.diff(edges, axis=1) / 2
    x = (edges[:, :-1] + half)[:, :, None] + half[:, :, None] * NODES
    with np.errstate(divide="ignore"):
        logs = np.log(half[:, :, None] * WEIGHTS)
    k = s.size
    return x.reshape(k, -1), logs.reshape(k, -1)


def _log_density(
    x: Floats,
    mu: float,
    s2: Floats,
    v: Floats,
    weight: WeightFunction,
    delta: Floats,
    *,
    slopes: bool,
) -> _LogDensity:
    """Return log of weight times normal density at x (k, m), with derivatives if wanted."""
    k, m = x.shape
    seen = weight.log_weight((x / np.sqrt(v)[:, None]).ravel(), delta)
    s2 = s2[:, None]
    r = (x - mu) / s2
    value = seen.value.reshape(k, m) - 0.5 * (x - mu) * r - 0.5 * np.log(s2) - HALF_LOG_2PI
    if not slopes:
        return _LogDensity(value, r, r)
    slope = np.empty((k, 2 + delta.size, m))
    slope[:, 0], slope[:, 1] = r, 0.5 * (r * r - 1 / s2)
    slope[:, 2:] = seen.slope.reshape(-1, k, m).swapaxes(0, 1)
    return _LogDensity(value, slope, seen.bend.reshape(-1, k, m).swapaxes(0, 1))


class _Search(NamedTuple):
    """A maximisation in coordinates u: mu, tau^2, and parameters or their logarithms, within limits."""

    y: Floats
    v: Floats
    weight: WeightFunction
    fixed: Bools
    low: Floats
    high: Floats

    def parameters(self, u: Floats) -> Floats:
        return np.concatenate([u[:2], np.exp(u[2:])]) if self.weight.positive else u

    def value(self, u: Floats) -> float:
        return log_likelihood_value(self.y, self.v, self.weight, self.parameters(u))

    def at(self, u: Floats) -> Point:
        point = log_likelihood(self.y, self.v, self.weight, self.parameters(u))
        if not self.weight.positive:
            return point
        scale = np.concatenate([np.ones(2), np.exp(u[2:])])
        gradient = point.gradient * scale
        curved = np.diag(np.concatenate([np.zeros(2), gradient[2:]]))
        return Point(point.value, gradient, point.hessian * np.outer(scale, scale) + curved)


def maximise(
    y: Floats, v: Floats, weight: WeightFunction, starts: Floats, *, fixed: Bools, best_of: int = 4
) -> Maximum:
    """Return the highest of the maxima to which Newton's method climbs from the best of several starts.

    Parameters
    ----------
    y, v : (k,) arrays
        Effects and sampling variances.
    weight : WeightFunction
        With q parameters.
    starts : (n, 2 + q) array
        mu, tau^2 and parameters to start from.
    fixed : (2 + q,) bool array
        Parameters that keep their starting value.
    best_of : int
        Number of starts that are followed: those of the highest likelihood with different parameters.

    Notes
    -----
    Newton's method with a ridge that grows until the likelihood rises, among the parameters that are not
    held at a limit by the gradient. Effects are divided by the median standard error, so that units do not
    matter.
    """
    unit = float(np.sqrt(np.median(v)))
    scale = np.concatenate([[unit, unit**2], np.ones(starts.shape[1] - 2)])
    low, high = weight.bounds
    low, high = (np.log(low), np.log(high)) if weight.positive else (low, high)
    q = starts.shape[1] - 2
    limits = np.array([[-np.inf, 0.0, *[low] * q], [np.inf, np.inf, *[high] * q]])
    search = _Search(y / unit, v / unit**2, weight, fixed, *limits)
    scaled = starts / scale
    if weight.positive:
        scaled[:, 2:] = np.log(scaled[:, 2:])
    climbed = [_climb(search, u) for u in _chosen(search, scaled, best_of)]
    u, settled = max(climbed, key=lambda pair: search.value(pair[0]))
    parameters = search.parameters(u) * scale
    return Maximum(parameters, log_likelihood(y, v, weight, parameters), settled)


def _chosen(search: _Search, starts: Floats, best_of: int) -> list[Floats]:
    """Return the highest start of each set of parameters, and of those the best."""
    highest: dict[tuple[float, ...], tuple[float, Floats]] = {}
    for u in starts:
        value, key = search.value(u), tuple(u[2:].tolist())
        if key not in highest or value > highest[key][0]:
            highest[key] = value, u
    ranked = sorted(highest.values(), key=lambda pair: -pair[0])
    return [u for _, u in ranked[:best_of]]


def _climb(search: _Search, u: Floats) -> tuple[Floats, bool]:
    """Return where Newton's method comes to rest, and whether it did."""
    here, ridge = search.at(u), 1e-3
    for _ in range(STEPS):
        held = (u <= search.low) & (here.gradient < 0) | (u >= search.high) & (here.gradient > 0)
        free = np.flatnonzero(~search.fixed & ~held)
        if free.size == 0:
            return u, True
        curvature, gradient = -here.hessian[np.ix_(free, free)], here.gradient[free]
        values, vectors = np.linalg.eigh(curvature)
        along = vectors.T @ gradient
        if values.min() > 0 and 0.5 * float(np.sum(along**2 / values)) < SETTLED:
            return _last(search, u, here, free), True
        if float(np.abs(gradient).max()) < 1e-11:
            return u, True
        damped = np.maximum(np.abs(values), 1e-12) + ridge * max(1e-6, float(np.abs(values).max()))
        there_u = u.copy()
        there_u[free] += vectors @ (along / damped)
        there_u = np.clip(there_u, search.low, search.high)
        there = search.at(there_u)
        if there.value > here.value:
            u, here, ridge = there_u, there, ridge / 10
        elif ridge > 1e8:
            return u, float(np.abs(gradient).max()) < 1e-5
        else:
            ridge = max(10 * ridge, 1e-8)
    return u, False


def _last(search: _Search, u: Floats, here: Point, free: Ints) -> Floats:
    """Return u after one undamped Newton step, whose error is the square of the one before."""
    step = np.linalg.solve(-here.hessian[np.ix_(free, free)], here.gradient[free])
    u = u.copy()
    u[free] += step
    return np.clip(u, search.low, search.high)
