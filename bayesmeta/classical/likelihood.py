"""Maximum and restricted maximum likelihood of tau^2: the global maximum, to full precision.

References
----------
Harville DA (1977). Maximum likelihood approaches to variance component estimation and to related problems.
J Am Stat Assoc 72:320-338. doi:10.1080/01621459.1977.10480998
Patterson HD, Thompson R (1971). Recovery of inter-block information when block sizes are unequal. Biometrika
58:545-554. doi:10.1093/biomet/58.3.545
"""

from __future__ import annotations

from math import inf, log, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.classical.projection import Projection, project, unweighted_rss
from bayesmeta.kernel import profile_at
from bayesmeta.sums import LARGEST_BLOCK

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.kernel import GaussianData

GRID_STEP = 0.1
"""Distance of grid nodes in ``log(tau^2 + min v)``; no feature of a likelihood is narrower than about 1."""
CONVERGED = 1e-11
"""Last Newton step, relative to ``tau^2 + min v``; the error after it is its square."""
ROUNDING = 1e-15
"""Bracket, relative to ``tau^2 + min v``, that cannot be halved any more."""


def maximum_likelihood(data: GaussianData, *, restricted: bool) -> tuple[float, tuple[float, ...]]:
    """Return the tau^2 of the global maximum, and all local maxima.

    Parameters
    ----------
    data : GaussianData
        From `bayesmeta.kernel.gaussian_data`, with k > p.
    restricted : bool
        Restricted likelihood (REML) instead of the profile likelihood (ML).

    Returns
    -------
    tau2 : float
        Global maximum over ``tau^2 >= 0``.
    maxima : tuple of float
        All local maxima in ascending order, with 0 where the likelihood falls from there.

    Notes
    -----
    The score is evaluated on a grid between 0 and a bound above which it is negative; each change of sign
    from plus to minus is refined by Newton's method inside its bracket. Every quantity is relative to the
    smallest sampling variance, so that units do not matter.
    """
    grid = _grid(data)
    slopes = _scores(data, grid, restricted=restricted)
    falling = np.flatnonzero((slopes[:-1] > 0) & (slopes[1:] <= 0))
    maxima = [0.0] if slopes[0] <= 0 else []
    maxima += [_refine(data, grid[i], grid[i + 1], restricted=restricted) for i in falling]
    if len(maxima) == 1:
        return maxima[0], tuple(maxima)
    return max(maxima, key=lambda tau2: log_likelihood(data, tau2, restricted=restricted)), tuple(maxima)


def log_likelihood(data: GaussianData, tau2: float, *, restricted: bool) -> float:
    """Return the (restricted) log likelihood of tau^2, all constants included.

    The restricted one integrates the coefficients over a flat density of 1.
    """
    at = profile_at(data, tau2)
    return float((at.log_marginal if restricted else at.log_likelihood)[0])


def upper_bound(data: GaussianData) -> float:
    """Return a tau^2 above which both likelihoods fall.

    With ``x = tau^2 + min v`` the data term of the score is at most ``RSS / x^2``, RSS by ordinary least
    squares, and the trace at least ``(k - p) / (x + max v - min v)``: the score is negative above the root
    of ``(k - p) x^2 = RSS (x + max v - min v)``.
    """
    mean_square = unweighted_rss(data) / (data.k - data.p)
    smallest, largest = float(data.v.min()), float(data.v.max())
    root = (mean_square + sqrt(mean_square**2 + 4 * mean_square * (largest - smallest))) / 2
    return max(0.0, root - smallest)


def _grid(data: GaussianData) -> Floats:
    """Return ascending tau^2 from 0 to beyond the bound, equidistant in ``log(tau^2 + min v)``."""
    smallest = float(data.v.min())
    span = log((upper_bound(data) + smallest) / smallest) + GRID_STEP
    nodes = np.linspace(0.0, span, 2 + int(span / GRID_STEP))
    grid: Floats = smallest * np.expm1(nodes)
    return grid


def _scores(data: GaussianData, tau2: Floats, *, restricted: bool) -> Floats:
    """Return the derivative of the log likelihood on a grid, in blocks of bounded memory."""
    step = max(1, LARGEST_BLOCK // (data.k * data.p))
    blocks = [project(data, tau2[start : start + step]) for start in range(0, tau2.size, step)]
    return np.concatenate([score(block, restricted=restricted) for block in blocks])


def score(projection: Projection, *, restricted: bool) -> Floats:
    """Return the (m,) derivative of the log likelihood with respect to tau^2."""
    penalty = projection.trace if restricted else projection.weights.sum(axis=1)
    return 0.5 * (projection.square - penalty)


def _refine(data: GaussianData, low: float, high: float, *, restricted: bool) -> float:
    """Return the root of the score between `low`, where it is positive, and `high`, where it is not.

    A Newton step is taken where it stays inside and the last one halved the score, otherwise the bracket is
    halved in ``log(tau^2 + min v)``; each turn therefore makes one of the two smaller.
    """
    smallest = float(data.v.min())
    previous = inf
    tau2 = _middle(low, high, smallest)
    while True:
        projection = project(data, np.array([tau2]))
        value = float(score(projection, restricted=restricted)[0])
        low, high = (tau2, high) if value > 0 else (low, tau2)
        newton = _newton(projection, tau2, value, restricted=restricted)
        inside = low <= newton <= high
        if inside and abs(newton - tau2) <= CONVERGED * (tau2 + smallest):
            return newton
        if high - low <= ROUNDING * (high + smallest):
            return high
        trusted = inside and abs(value) <= previous / 2
        tau2, previous = newton if trusted else _middle(low, high, smallest), abs(value)


def _newton(projection: Projection, tau2: float, value: float, *, restricted: bool) -> float:
    """Return the next tau^2 by Newton's method, or NaN where the likelihood is not concave."""
    penalty = projection.trace_square if restricted else np.sum(projection.weights**2, axis=1)
    curvature = float((0.5 * penalty - projection.cube)[0])
    return tau2 - value / curvature if curvature < 0 else nan


def _middle(low: float, high: float, offset: float) -> float:
    """Return the geometric mean of two tau^2, both moved by `offset`."""
    return sqrt((low + offset) * (high + offset)) - offset
