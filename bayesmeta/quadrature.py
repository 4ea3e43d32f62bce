"""Integration on an interval by composite Gauss-Legendre panels, and where to put the interval.

Everything works on the log of the integrand, so that nothing under- or overflows.

References
----------
Trefethen LN (2008). Is Gauss quadrature better than Clenshaw-Curtis? SIAM Rev 50:67-87. doi:10.1137/060659831
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.polynomial import legendre

from bayesmeta.errors import NumericalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Bools, Floats, Ints

ORDER = 16
"""Points in a panel."""
NODES, WEIGHTS = legendre.leggauss(ORDER)

DEPTH = 46.0
"""Where the integrand is below ``exp(-DEPTH)`` of its peak, 1e-20, it is left out."""
GRID = 40
"""Points of the grid that looks for the interval."""
ZOOMS = 60
STEPS = 60
SETTLED = 1e-12
"""Last step of Newton's method, as a fraction of half a panel; the error after it is its square."""
ROUNDING = 1e-16
"""Probability that cannot be resolved."""

_DEGREES = np.arange(ORDER)
PROJECTION = (legendre.legvander(NODES, ORDER - 1) * WEIGHTS[:, None] * (2 * _DEGREES + 1) / 2).T
"""(ORDER, ORDER) matrix from values at the nodes of a panel to Legendre coefficients."""


class Panels(NamedTuple):
    """Composite Gauss-Legendre rule."""

    edges: Floats
    """(n + 1,) ends of the panels."""
    x: Floats
    """(n * ORDER,) nodes in increasing order."""
    weights: Floats
    """(n * ORDER,) weights; they sum to the length of the interval."""


def panels(edges: Floats) -> Panels:
    """Return the rule with a panel between each two neighbouring edges, shape (n + 1,)."""
    half = np.diff(edges) / 2
    centre = edges[:-1] + half
    x = centre[:, None] + half[:, None] * NODES
    return Panels(edges, x.ravel(), (half[:, None] * WEIGHTS).ravel())


def interval_of_mass(log_f: Callable[[Floats], Floats], low: float, high: float) -> tuple[float, float]:
    """Return the part of [low, high] outside which the integrand is below ``exp(-DEPTH)`` of its peak.

    Parameters
    ----------
    log_f : callable
        Log of the integrand at an array of points; minus infinity where it vanishes.
    low, high : float
        Interval to search, both finite.

    Raises
    ------
    NumericalError
        If the integrand vanishes everywhere.

    Notes
    -----
    Grids zoom in as long as that shortens the interval by a quarter. The region kept is the hull of all grid
    points above the threshold with a neighbour on either side, so that several modes stay in.
    """
    for _ in range(ZOOMS):
        x = np.linspace(low, high, GRID)
        above = _above_threshold(log_f(x))
        first, last = int(np.argmax(above)), GRID - 1 - int(np.argmax(above[::-1]))
        new_low, new_high = float(x[max(first - 1, 0)]), float(x[min(last + 1, GRID - 1)])
        done = (new_high - new_low) > 0.75 * (high - low)
        low, high = new_low, new_high
        if done:
            break
    return low, high


def _above_threshold(values: Floats) -> Bools:
    peak = values.max()
    if not np.isfinite(peak):
        raise NumericalError(f"the posterior density could not be evaluated; its logarithm peaks at {peak}")
    return np.asarray(values > peak - DEPTH)


class PanelDensity(NamedTuple):
    """A probability density on panels, as a polynomial in each."""

    edges: Floats
    """(n + 1,) ends of the panels."""
    coefficients: Floats
    """(n, ORDER) Legendre coefficients of the density."""
    below: Floats
    """(n + 1,) probability below each edge."""
    above: Floats
    """(n + 1,) probability above each edge, summed from the top, so that small ones are precise."""

    def density(self, x: Floats) -> Floats:
        """Return the density at `x`, shape (m,); 0 outside the panels."""
        panel, t = self._locate(x)
        values = np.einsum("ml,ml->m", legendre.legvander(t, ORDER - 1), self.coefficients[panel])
        inside = (x >= self.edges[0]) & (x <= self.edges[-1])
        return np.where(inside, np.maximum(values, 0.0), 0.0)

    def slope(self, x: Floats) -> Floats:
        """Return the derivative of the density at `x`, shape (m,), within the panels."""
        panel, t = self._locate(x)
        derivative = legendre.legder(self.coefficients, axis=1)
        half = np.diff(self.edges)[panel] / 2
        values = np.einsum("ml,ml->m", legendre.legvander(t, ORDER - 2), derivative[panel])
        return np.asarray(values / half)

    def cdf(self, x: Floats) -> Floats:
        """Return the probability below `x`, shape (m,)."""
        panel, t = self._locate(x)
        inside = self.below[panel] + self._within(panel, t)
        return np.clip(
            np.where(x <= self.edges[0], 0.0, np.where(x >= self.edges[-1], 1.0, inside)), 0.0, 1.0
        )

    def quantile(self, p: Floats) -> Floats:
        """Return the points below which the probabilities are `p`, shape (m,), each in (0, 1)."""
        upper = p > 0.5
        panel = np.where(
            upper,
            np.searchsorted(-self.above, -(1 - p), side="right") - 1,
            np.searchsorted(self.below, p, side="right") - 1,
        )
        panel = np.clip(panel, 0, self.edges.size - 2)
        mass = self.below[panel + 1] - self.below[panel]
        wanted = np.where(upper, mass - ((1 - p) - self.above[panel + 1]), p - self.below[panel])
        t = self._solve(panel, wanted)
        return self.edges[panel] + (t + 1) / 2 * np.diff(self.edges)[panel]

    def _locate(self, x: Floats) -> tuple[Ints, Floats]:
        panel = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, self.edges.size - 2)
        width = np.diff(self.edges)[panel]
        return panel, np.clip(2 * (x - self.edges[panel]) / width - 1, -1.0, 1.0)

    def _within(self, panel: Ints, t: Floats) -> Floats:
        """Return the probability between the lower edge of the panel and t in [-1, 1]."""
        half = np.diff(self.edges)[panel] / 2
        values = legendre.legvander(t, ORDER)
        antiderivative = np.empty((t.size, ORDER))
        antiderivative[:, 0] = t + 1
        antiderivative[:, 1:] = (values[:, 2:] - values[:, :-2]) / (2 * _DEGREES[1:] + 1)
        return np.asarray(half * np.einsum("ml,ml->m", antiderivative, self.coefficients[panel]))

    def _solve(self, panel: Ints, wanted: Floats) -> Floats:
        """Return t in [-1, 1] with the wanted probability below it in the panel: Newton kept in a bracket."""
        t = np.zeros(wanted.size)
        low, high = np.full(wanted.size, -1.0), np.full(wanted.size, 1.0)
        half = np.diff(self.edges) / 2
        active = np.arange(wanted.size)
        for _ in range(STEPS):
            at, where = t[active], panel[active]
            excess = self._within(where, at) - wanted[active]
            low[active] = np.where(excess < 0, at, low[active])
            high[active] = np.where(excess > 0, at, high[active])
            values = np.einsum("ml,ml->m", legendre.legvander(at, ORDER - 1), self.coefficients[where])
            with np.errstate(divide="ignore", invalid="ignore"):
                step = at - excess / (half[where] * values)
            inside = (step >= low[active]) & (step <= high[active])
            t[active] = np.where(inside, step, (low[active] + high[active]) / 2)
            moving = (np.abs(t[active] - at) > SETTLED) & (np.abs(excess) > ROUNDING)
            active = active[moving]
            if not active.size:
                break
        return t


def panel_density(rule: Panels, f: Floats) -> PanelDensity:
    """Return the density with values `f`, shape (n * ORDER,), at the nodes of a rule; they integrate to 1."""
    values = f.reshape(-1, ORDER)
    mass = (values * rule.weights.reshape(-1, ORDER)).sum(axis=1)
    below = np.concatenate([[0.0], np.cumsum(mass)])
    above = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])
    return PanelDensity(rule.edges, values @ PROJECTION.T, below, above)
