"""Likelihood of a two-by-two table with everything that belongs to its study integrated out.

The events are ``ci ~ Binomial(n2, expit(alpha))`` and ``ai ~ Binomial(n1, expit(alpha + theta))``. The
group-2 log odds alpha are integrated against their prior for a table of log odds ratios theta, once for each
study; the table then serves every value of mean effect and tau.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior

HALF_A_CELL = 0.5
GRID = 401
"""Values of theta at which the likelihood of a study is tabulated."""
WIDEST = 400.0
"""Log odds ratio up to which it is tabulated; odds of e^400 are certainty."""
ALPHA_STEPS = np.linspace(-8.0, 8.0, 193)
THETA_STEPS = np.linspace(-3.6, 3.6, 73)
STEEPEST = 60
"""Halvings of the bracket of a mode."""


class Table(NamedTuple):
    """Events and sizes of the two groups of one study."""

    events1: float
    """Events in group 1."""
    n1: float
    """Size of group 1."""
    events2: float
    """Events in group 2."""
    n2: float
    """Size of group 2."""

    @property
    def log_odds_ratio(self) -> tuple[float, float]:
        """Log odds ratio and its variance, half an event added to every cell."""
        cells = (self.events1, self.n1 - self.events1, self.events2, self.n2 - self.events2)
        a, b, c, d = (cell + HALF_A_CELL for cell in cells)
        return float(np.log(a * d / (b * c))), 1 / a + 1 / b + 1 / c + 1 / d


def log_marginal(table: Table, baseline: Prior, mean: Floats, tau: Floats) -> Floats:
    """Return the log probability of a table given the mean and the sd of the log odds ratio.

    Parameters
    ----------
    table : Table
        Events and sizes.
    baseline : Prior
        Prior of the group-2 log odds; its density must have a single mode.
    mean, tau : (m,) arrays
        Mean and standard deviation of the study's log odds ratio.

    Notes
    -----
    With ``theta = c + s sinh(t)``, c and s being mean and sd of the normal approximation, the trapezoidal
    rule in t converges exponentially. In terms of ``(theta - mean) / tau`` nothing is singular at tau = 0.
    """
    likelihood = tabulate(table, baseline)
    centre, v = table.log_odds_ratio
    total = v + tau * tau
    pull, shrunken = tau * (centre - mean) / total, np.sqrt(v / total)
    step = THETA_STEPS[1] - THETA_STEPS[0]
    terms = np.empty((THETA_STEPS.size, mean.size))
    for row, t in zip(terms, THETA_STEPS, strict=True):
        standardised = pull + shrunken * np.sinh(t)
        row[:] = likelihood(mean + tau * standardised) - 0.5 * standardised**2 + np.log(np.cosh(t))
    constant = np.log(step * shrunken) - 0.5 * np.log(2 * np.pi)
    return np.asarray(special.logsumexp(terms, axis=0) + constant)


def tabulate(table: Table, baseline: Prior) -> Callable[[Floats], Floats]:
    """Return the log likelihood of theta, alpha integrated out, as an interpolating function."""
    from scipy.interpolate import CubicSpline

    centre, v = table.log_odds_ratio
    sd = np.sqrt(v)
    reach = np.arcsinh(WIDEST / sd)
    steps = np.linspace(-reach, reach, GRID)
    spline = CubicSpline(steps, log_likelihood_of_theta(table, baseline, centre + sd * np.sinh(steps)))

    def at(theta: Floats) -> Floats:
        return np.asarray(spline(np.clip(np.arcsinh((theta - centre) / sd), -reach, reach)))

    return at


def log_likelihood_of_theta(table: Table, baseline: Prior, theta: Floats) -> Floats:
    """Return the log probability of a table given its log odds ratio theta (m,), alpha integrated out."""
    mode, sd = _mode(table, baseline, theta)
    alpha = mode[:, None] + sd[:, None] * np.sinh(ALPHA_STEPS)
    terms = _log_joint(table, baseline, alpha, theta[:, None]) + np.log(np.cosh(ALPHA_STEPS))
    step = ALPHA_STEPS[1] - ALPHA_STEPS[0]
    return np.asarray(special.logsumexp(terms, axis=1) + np.log(step * sd) + _log_ways(table))


def _log_joint(table: Table, baseline: Prior, alpha: Floats, theta: Floats) -> Floats:
    """Return the log of likelihood times prior of alpha, without binomial coefficients."""
    first, second = alpha + theta, alpha
    group1 = table.events1 * first - table.n1 * np.logaddexp(0.0, first)
    group2 = table.events2 * second - table.n2 * np.logaddexp(0.0, second)
    return np.asarray(group1 + group2 + baseline.logpdf(alpha))


def _log_ways(table: Table) -> float:
    """Return the log of the two binomial coefficients."""

    def ways(n: float, r: float) -> float:
        return float(special.gammaln(n + 1) - special.gammaln(r + 1) - special.gammaln(n - r + 1))

    return ways(table.n1, table.events1) + ways(table.n2, table.events2)


def _mode(table: Table, baseline: Prior, theta: Floats) -> tuple[Floats, Floats]:
    """Return the mode of alpha and the sd of the normal approximation there, for each theta."""
    h = 1e-4 * baseline.typical

    def slope(alpha: Floats) -> Floats:
        rise = baseline.logpdf(alpha + h) - baseline.logpdf(alpha - h)
        fitted = table.n1 * special.expit(alpha + theta) + table.n2 * special.expit(alpha)
        return np.asarray(table.events1 + table.events2 - fitted + rise / (2 * h))

    low, high = np.full(theta.shape, -2 * WIDEST), np.full(theta.shape, 2 * WIDEST)
    for _ in range(STEEPEST):
        middle = 0.5 * (low + high)
        rising = slope(middle) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    mode = 0.5 * (low + high)
    curvature = (slope(mode - h) - slope(mode + h)) / (2 * h)
    return mode, 1 / np.sqrt(np.maximum(curvature, 1e-2 / baseline.typical**2))
