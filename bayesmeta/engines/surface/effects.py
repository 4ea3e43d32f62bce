"""Quantiles and probabilities of mu and of the effect in a new study, for all combinations of priors.

Both are mixtures of normal distributions over the nodes of tau, whose components depend on the prior of mu
alone and whose weights are products.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.engines.surface.rule import ADDED, COARSE, GAUSS, ORDER, WEIGHTS

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats, Ints
    from bayesmeta.engines.surface.surface import Surface

NEAR = 5e-4
"""Step of Halley's method, in sds, after which the error is below 1e-9: it falls with the third power."""
STEPS = 60
AROUND = (-0.5, -0.25, 0.0, 0.25, 0.5)
"""Sds from the first guess at which distribution functions are tabulated."""
POINTS = 18
"""Points of such a table."""
NEGLIGIBLE = 1e-12
"""Probability of a panel that no quantile feels."""
TINY = 1e-300
BLOCK = 100_000
"""Values of the distribution function at once, which a cache holds."""
ROOT_2PI = sqrt(2 * pi)


class Quantiles(NamedTuple):
    """Quantiles of (A, B) posteriors."""

    values: Floats
    """(A, B, q) quantiles; NaN where the iteration did not settle."""
    error: Floats
    """(A, B) largest differences of the probabilities below them by the two rules, in sds."""


class _Mixtures(NamedTuple):
    """Mixtures of normal distributions: c of them, over m nodes each."""

    weights: Floats
    """(c, m) probabilities of the nodes."""
    means: Floats
    """(c, m) means."""
    rates: Floats
    """(c, m) inverses of the standard deviations."""

    def take(self, rows: Ints) -> _Mixtures:
        """Return some of the mixtures."""
        return _Mixtures(*(part[rows] for part in self))

    def standardised(self, x: Floats, sign: Floats) -> Floats:
        """Return the (c, q, m) distances of x (c, q) from the means in sds, times sign (q,)."""
        return (x[:, :, None] - self.means[:, None, :]) * (sign[:, None] * self.rates[:, None, :])


class _Nested(NamedTuple):
    """Mixtures on the nodes of the coarser rule, with the weights by both, and on the other nodes."""

    coarse: _Mixtures
    """On the nodes of the coarser rule, with its weights."""
    fine: Floats
    """(c, m) weights of these nodes by the finer rule."""
    other: _Mixtures
    """On the nodes that the finer rule adds."""

    def take(self, rows: Ints) -> _Nested:
        """Return some of the mixtures."""
        return _Nested(self.coarse.take(rows), self.fine[rows], self.other.take(rows))


def probabilities(surface: Surface, x: float, *, new: bool = False) -> Floats:
    """Return the (A, B) probabilities that mu (or the effect in a new study) is above `x`."""
    means, sds = _components(surface, new)
    above = special.ndtr((means - (x - surface.nodes.likelihood.centre)) / sds)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((surface.weights @ (surface.scaled_likelihood * above)) / surface.moments.total)


def densities(surface: Surface, x: Floats, *, new: bool = False) -> Floats:
    """Return the (A, B, n) densities of mu (or of the effect in a new study) at `x`, shape (n,)."""
    means, sds = _components(surface, new)
    z = (x[:, None, None] - surface.nodes.likelihood.centre - means) / sds
    height = np.exp(-0.5 * z * z) / (sds * ROOT_2PI) * surface.scaled_likelihood
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.moveaxis((surface.weights @ height) / surface.moments.total, 0, 2)


def quantiles(surface: Surface, p: Floats, *, new: bool = False) -> Quantiles:
    """Return the quantiles of mu (or of the effect in a new study) for probabilities `p`, shape (q,)."""
    A, B = surface.moments.total.shape
    values, error = np.full((A * B, p.size), np.nan), np.full(A * B, np.inf)
    rows = np.flatnonzero(surface.settled.ravel())
    if not rows.size:
        return Quantiles(values.reshape(A, B, p.size), error.reshape(A, B))
    starts, spread = _starts(surface, p, new)
    starts, spread = starts.reshape(A * B, p.size), spread.ravel()
    step = max(1, BLOCK // (surface.nodes.tau.size * p.size))
    for start in range(0, rows.size, step):
        chosen = rows[start : start + step]
        values[chosen], error[chosen] = _quantiles(
            _mixtures(surface, chosen, new), starts[chosen], spread[chosen], p
        )
    values = values.reshape(A, B, p.size) + surface.nodes.likelihood.centre
    return Quantiles(values, error.reshape(A, B))


def _components(surface: Surface, new: bool) -> tuple[Floats, Floats]:
    """Return means and sds (m, B) given tau, counted from the centre of the likelihood."""
    variance = surface.given.variance
    if new:
        variance = variance + surface.nodes.tau[:, None] ** 2
    return surface.given.mean, np.sqrt(variance)


def _mixtures(surface: Surface, chosen: Ints, new: bool) -> _Nested:
    """Return the chosen mixtures on the panels that count for any of them."""
    a, b = np.divmod(chosen, surface.moments.total.shape[1])
    rule, c = surface.nodes.rule, chosen.size
    weights = surface.weights[a] * surface.scaled_likelihood.T[b]
    weights /= weights.sum(axis=1, keepdims=True)
    weights = weights.reshape(c, rule.n, ORDER)
    kept = weights.sum(axis=2).max(axis=0) > NEGLIGIBLE
    means, sds = (part.T.reshape(-1, rule.n, ORDER)[:, kept][b] for part in _components(surface, new))
    weights, rates = weights[:, kept], 1 / sds
    inner, outer = (
        tuple(part[:, :, nodes].reshape(c, -1) for part in (weights, means, rates))
        for nodes in (GAUSS, ADDED)
    )
    ratio = (COARSE / WEIGHTS)[GAUSS]
    coarse = (weights[:, :, GAUSS] * ratio).reshape(c, -1)
    return _Nested(_Mixtures(coarse, *inner[1:]), inner[0], _Mixtures(*outer))


def _quantiles(mixtures: _Nested, x: Floats, spread: Floats, p: Floats) -> tuple[Floats, Floats]:
    """Return the quantiles (c, q) and their errors (c,): a step by the finer rule from starts `x`."""
    values, error, step = _corrected(mixtures, x, p)
    far = np.flatnonzero(_is_far(step, spread, NEAR))
    if far.size:
        part = mixtures.take(far)
        x = _iterated(part.coarse, x[far], spread[far], p)
        values[far], error[far], step = _corrected(part, x, p)
        values[far[_is_far(step, spread[far], 10 * NEAR)]] = np.nan
    return values, error


def _starts(surface: Surface, p: Floats, new: bool) -> tuple[Floats, Floats]:
    """Return starts of the quantiles (A, B, q), and sds (A, B) that no heavy tail can move.

    The distribution functions of a column, at points near the first guesses of its rows, are one product of
    matrices; between the points they are interpolated.
    """
    means, sds = _components(surface, new)
    centre, spread = _typical(surface, means, sds)
    coarse = surface.coarse_nodes
    weights = surface.scaled_prior[:, coarse] * surface.nodes.rule.coarse[coarse]
    likelihood, means, sds = surface.scaled_likelihood[coarse], means[coarse], sds[coarse]
    total, starts = weights @ likelihood, []
    for q in p:
        guess = centre + special.ndtri(q) * spread
        grid = _points(guess, spread)
        below = special.ndtr((grid.T - means[:, :, None]) / sds[:, :, None])
        below *= likelihood[:, :, None]
        shape = (*total.shape, grid.shape[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            cdf = (weights @ below.reshape(means.shape[0], -1)).reshape(shape) / total[:, :, None]
        starts.append(_inverse(cdf, grid.T, q, guess))
    return np.stack(starts, axis=2), spread


def _typical(surface: Surface, means: Floats, sds: Floats) -> tuple[Floats, Floats]:
    """Return centres and spreads (A, B): mean and sd, or those given the median of tau in heavy tails."""
    place = ORDER * surface.panel_of(np.array([0.5]))[:, :, 0] + ORDER // 2
    columns = np.arange(means.shape[1])
    middle, width = means[place, columns], 3 * sds[place, columns]
    new = sds[-1, 0] ** 2 > surface.given.variance[-1, 0]
    variance = surface.variance + (surface.moments.tau2 if new else 0.0)
    heavy = ~(variance < width**2)
    centre = np.where(heavy, middle, surface.mean - surface.nodes.likelihood.centre)
    return centre, np.where(heavy, width, np.sqrt(np.minimum(variance, width**2)))


def _points(guess: Floats, spread: Floats) -> Floats:
    """Return (J, B) points in increasing order, as dense as the first guesses (A, B) and what is around."""
    around = np.sort(np.concatenate([guess + d * spread for d in AROUND]), axis=0)
    few = np.linspace(0, around.shape[0] - 1, min(POINTS, around.shape[0])).round().astype(int)
    return np.asarray(around[few])


def _inverse(cdf: Floats, grid: Floats, p: float, guess: Floats) -> Floats:
    """Return where (A, B) functions with values `cdf` (A, B, J) on a grid (B, J) are p, by cubics."""
    J = grid.shape[1]
    at = np.clip((cdf < p).sum(axis=2) - 2, 0, max(J - 4, 0))[:, :, None] + np.arange(min(J, 4))
    x = np.take_along_axis(np.broadcast_to(grid, cdf.shape), at, axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = special.ndtri(np.take_along_axis(cdf, at, axis=2)) - special.ndtri(p)
        found = np.zeros(guess.shape)
        for i in range(at.shape[2]):
            others = np.delete(z, i, axis=2)
            found += x[:, :, i] * np.prod(others / (others - z[:, :, i : i + 1]), axis=2)
    inside = (found >= x[:, :, 0]) & (found <= x[:, :, -1])
    return np.where(inside, found, guess)


def _iterated(mixtures: _Mixtures, x: Floats, spread: Floats, p: Floats) -> Floats:
    """Return quantiles (c, q) by Halley's method from x, until steps fall below `NEAR` sds."""
    x, active, part = x.copy(), np.arange(x.shape[0]), mixtures
    for _ in range(STEPS):
        step = _halley(_tails(part, x[active], p), p)
        limit = 2 * spread[active][:, None]
        x[active] += np.nan_to_num(np.where(np.abs(step) > limit, np.clip(step, -4 * limit, 4 * limit), step))
        moving = (np.abs(step) > NEAR * spread[active][:, None]).any(axis=1)  # not where it cannot be told
        if not moving.any():
            break
        if not moving.all():
            active, part = active[moving], part.take(np.flatnonzero(moving))
    return x


def _is_far(step: Floats, spread: Floats, enough: float) -> Bools:
    """Return the (c,) mixtures with a quantile whose step (c, q) is large or cannot be told."""
    return np.asarray(~(np.abs(step) <= enough * spread[:, None]).all(axis=1))


def _corrected(mixtures: _Nested, x: Floats, p: Floats) -> tuple[Floats, Floats, Floats]:
    """Return quantiles (c, q) after a step by the finer rule, their errors (c,), and the step."""
    tails = _tails(mixtures.coarse, x, p)
    other = special.ndtr(mixtures.other.standardised(x, _sign(p)))
    fine = np.matmul(tails.below, mixtures.fine[:, :, None]) + np.matmul(
        other, mixtures.other.weights[:, :, None]
    )
    missed = np.abs(tails.tail - fine[..., 0]) / np.exp(-0.5 * special.ndtri(p) ** 2)
    step = _halley(tails._replace(tail=fine[..., 0]), p)
    return x + step, missed.max(axis=1), step


class _Tails(NamedTuple):
    """The smaller tails of mixtures (c, q)."""

    below: Floats
    """(c, q, m) probabilities of the components."""
    tail: Floats
    """Probability."""
    slope: Floats
    """Its derivative, away from the tail."""
    curvature: Floats
    """Its second derivative."""


def _sign(p: Floats) -> Floats:
    return np.where(p > 0.5, -1.0, 1.0)


def _tails(mixtures: _Mixtures, x: Floats, p: Floats) -> _Tails:
    z = mixtures.standardised(x, _sign(p))
    below = special.ndtr(z)
    tail = np.matmul(below, mixtures.weights[:, :, None])[..., 0]
    density = z * z
    density *= -0.5
    np.exp(density, out=density)
    weight = mixtures.weights * mixtures.rates / ROOT_2PI
    slope = np.matmul(density, weight[:, :, None])[..., 0]
    density *= z
    curvature = -np.matmul(density, (weight * mixtures.rates)[:, :, None])[..., 0]
    return _Tails(below, tail, slope, curvature)


def _halley(tails: _Tails, p: Floats) -> Floats:
    """Return the step (c, q) of Halley's method on the log of the tail, NaN where it cannot be told."""
    _, tail, slope, curvature = tails
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        newton = np.log(tail / np.minimum(p, 1 - p)) * tail / slope
        second = curvature / slope - slope / tail
        step = newton / (1 - np.clip(0.5 * newton * second, -0.5, 0.5))
    return np.asarray(-_sign(p) * np.where(np.isfinite(step), step, np.nan))
