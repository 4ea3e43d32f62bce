"""Quantiles of any distribution: where its distribution function reaches a probability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import NumericalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Bools, Floats

STEPS = 200
CLOSE = 1e-10
"""Newton step, in widths of the distribution, after which its square is negligible."""
RESOLUTION = 4e-16
"""Probability that double precision does not resolve near 1, and part of one that it does not near 0."""


def invert(
    cdf: Callable[[Floats], Floats],
    density: Callable[[Floats], Floats],
    p: Floats,
    *,
    low: Floats,
    high: Floats,
    width: Floats | float,
    settled: Bools | None = None,
) -> Floats:
    """Return the points between `low` and `high` where a distribution function is `p`, all of one shape.

    Parameters
    ----------
    cdf, density : callable
        Distribution function and its derivative at an array of points of that shape.
    p : array
        Probabilities.
    low, high : array
        Ends of intervals that hold the points.
    width : float or array
        Size of typical differences, on which steps are measured.
    settled : array of bool, optional
        Which points are not wanted.

    Raises
    ------
    NumericalError
        If the iteration does not settle.

    Notes
    -----
    Newton's method on the logarithm of the smaller tail, kept in the interval, which is halved where it
    leaves it.
    """
    upper = p > 0.5
    wanted, sign = np.minimum(p, 1 - p), np.where(upper, -1.0, 1.0)
    x = _middle(low, high, width)
    found = np.zeros(np.shape(p), dtype=bool) if settled is None else settled
    for _ in range(STEPS):
        below = cdf(x)
        low, high = np.where(below < p, x, low), np.where(below >= p, x, high)
        tail = np.where(upper, 1 - below, below)
        with np.errstate(all="ignore"):
            step = -sign * np.log(tail / wanted) * tail / density(x)
        inside = (x + step >= low) & (x + step <= high)
        x = np.where(found, x, np.where(inside, x + step, _middle(low, high, width)))
        close = inside & (np.abs(step) <= CLOSE * width)
        narrow = high - low <= RESOLUTION * (np.abs(low) + np.abs(high))
        met = np.abs(below - p) <= RESOLUTION * np.where(upper, 1.0, p)
        found = np.logical_or.reduce([found, close, narrow, met])
        if found.all():
            return np.asarray(x)
    raise NumericalError("quantiles of a mixture did not settle; its parts are extremely far apart")


def _middle(low: Floats, high: Floats, width: Floats | float) -> Floats:
    """Return a point between, halving the distance on a scale that is logarithmic far from 0."""
    ends = np.arcsinh(low / width) + np.arcsinh(high / width)
    return np.clip(width * np.sinh(ends / 2), low, high)
