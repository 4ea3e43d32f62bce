"""Shortest intervals of smooth distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.results.mixture import NormalMixture

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.results.marginal import Distribution

SCAN = 33
SMOOTH_SCAN = 11
"""Fewer points do for mixtures of normal distributions, which have no ends."""
FARTHEST = 1e-12
"""Smallest tail probability that an interval may leave out on one side."""
STEPS = 100
NEWTON_STEPS = 12
MET = 1e-8
"""Last step of Newton's method, in widths of the interval; the error after it is its square."""
SETTLED = 1e-14
"""Change of the probability left out at which the search ends."""


def shortest(distribution: Distribution, prob: float) -> tuple[Floats, Floats]:
    """Return the (q,) lower and upper bounds of the shortest intervals of probability `prob`.

    Notes
    -----
    The probability left out below is scanned; next to the best of the scan, the point is found at which the
    density is the same at both ends. An interval that ends where the distribution does begins there exactly.
    """
    if not isinstance(distribution, NormalMixture):
        grid = np.linspace(0.0, 1 - prob, SCAN)
        lower, upper = _ends(distribution, np.repeat(grid[:, None], distribution.size, axis=1), prob)
        best = (upper - lower).argmin(axis=0)
        return _searched(
            distribution, prob, grid[np.maximum(best - 1, 0)], grid[np.minimum(best + 1, SCAN - 1)]
        )
    grid = np.linspace(0.0, 1 - prob, SMOOTH_SCAN)
    lower, upper = _ends(distribution, np.repeat(grid[1:-1, None], distribution.size, axis=1), prob)
    best = (upper - lower).argmin(axis=0)
    start = np.stack([np.take_along_axis(part, best[None, :], axis=0)[0] for part in (lower, upper)])
    ends, settled = _equal_heights(distribution, start, prob)
    return (ends[0], ends[1]) if settled else _searched(distribution, prob, grid[best], grid[best + 2])


def _searched(distribution: Distribution, prob: float, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Return the bounds whose lower one leaves out a probability between low and high."""

    def steeper(below: Floats) -> Floats:
        ends = np.stack(_ends(distribution, below[None, :], prob))[:, 0]
        first, last = distribution.density(ends)
        return np.asarray(first - last)

    below = _root(steeper, low, high)
    first, last = (part[0] for part in _ends(distribution, below[None, :], prob))
    return np.where(below <= 0, _end(distribution, first), first), last


def _equal_heights(mixture: NormalMixture, ends: Floats, prob: float) -> tuple[Floats, bool]:
    """Return ends (2, q) of equal density with `prob` between them, by Newton's method; and whether it met.

    Started at the best of the scan, it must not go further than a step of the scan.
    """
    first, width = ends, ends[1] - ends[0]
    for _ in range(NEWTON_STEPS):
        cdf, density, slope = mixture.derivatives(ends)
        missing, steeper = prob - (cdf[1] - cdf[0]), density[0] - density[1]
        determinant = slope[0] * density[1] - slope[1] * density[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            lower = (slope[1] * missing - density[1] * steeper) / determinant
            upper = (slope[0] * missing - density[0] * steeper) / determinant
        step = np.clip(np.stack([lower, upper]), -0.1 * width, 0.1 * width)
        ends = ends + step
        if not np.all(np.abs(ends - first) <= width):
            return ends, False
        if np.all(np.abs(step) <= MET * width):
            return ends, bool(np.all(determinant > 0))
    return ends, False


def _ends(distribution: Distribution, below: Floats, prob: float) -> tuple[Floats, Floats]:
    """Return the (n, q) quantiles that leave out the (n, q) probabilities below."""
    p = np.clip(np.concatenate([below, below + prob]), FARTHEST, 1 - FARTHEST)
    quantiles = (
        distribution.quantile(p) if distribution.size > 1 else distribution.quantile(p[:, 0]).reshape(-1, 1)
    )
    return quantiles[: below.shape[0]], quantiles[below.shape[0] :]


def _end(distribution: Distribution, first: Floats) -> Floats:
    """Return where a bounded distribution begins; `first` where it has no bound."""
    bound = getattr(distribution, "lowest", None)
    return first if bound is None else np.full(first.shape, bound)


def _root(function: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
    """Return the roots of an increasing function by false position (Illinois); an end where it has none."""
    at_low, at_high = function(low), function(high)
    found = np.where(at_low >= 0, low, high)
    active = (at_low < 0) & (at_high > 0)
    side = np.zeros(low.shape)
    for _ in range(STEPS):
        if not active.any():
            break
        with np.errstate(divide="ignore", invalid="ignore"):
            point = (low * at_high - high * at_low) / (at_high - at_low)
        point = np.where(active & (point > low) & (point < high), point, (low + high) / 2)
        value = function(point)
        rising = value < 0
        at_high = np.where(rising & (side < 0), at_high / 2, at_high)
        at_low = np.where(~rising & (side > 0), at_low / 2, at_low)
        low, at_low = np.where(rising, point, low), np.where(rising, value, at_low)
        high, at_high = np.where(rising, high, point), np.where(rising, at_high, value)
        side = np.where(rising, -1.0, 1.0)
        moved, found = np.abs(point - found), np.where(active, point, found)
        active &= (moved > SETTLED) & (high - low > SETTLED) & (value != 0)
    return np.asarray(found)
