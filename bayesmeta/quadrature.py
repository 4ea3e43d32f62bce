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
NOTHING = -1e100
"""Logarithm that stands for no density at all."""
RESOLVED = 0.5
"""By how much the log of the integrand may exceed what was seen of it when the search ends."""
COARSEST = 0.1
"""Gap in which the integrand falls below the threshold, as a fraction of what is above it."""
INSERTED = np.array([0.25, 0.5, 0.75])
"""Where points are added in a gap."""
ZOOMS = 80
STEPS = 60
QUICK_STEPS = 6
SETTLED = 1e-9
"""Last step of Newton's method, as a fraction of the part of a panel; the error after it is its square."""
SMOOTH = 1e-12
"""Last Legendre coefficients of a logarithm that the panel resolves."""

_DEGREES = np.arange(ORDER)
PROJECTION = (legendre.legvander(NODES, ORDER - 1) * WEIGHTS[:, None] * (2 * _DEGREES + 1) / 2).T
"""(ORDER, ORDER) matrix from values at the nodes of a panel to Legendre coefficients."""
_DERIVATIVE = np.stack([legendre.legder(row, axis=0) for row in np.eye(ORDER)])
"""(ORDER, ORDER - 1) matrix from Legendre coefficients to those of the derivative."""
_ANTIDERIVATIVE = np.stack([legendre.legval(NODES, legendre.legint(row, lbnd=-1)) for row in np.eye(ORDER)])
CUMULATION = (PROJECTION.T @ _ANTIDERIVATIVE).T
"""(ORDER, ORDER) matrix from values at the nodes to the integrals from -1 to each node."""


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


def interval_of_mass(log_f: Callable[[Floats], Floats], seeds: Floats) -> tuple[float, float]:
    """Return the interval outside which the integrand is below ``exp(-DEPTH)`` of its peak.

    Parameters
    ----------
    log_f : callable
        Log of the integrand at an array of points; minus infinity where it vanishes.
    seeds : (n,) array
        Points to start from, in increasing order, the ends of the search first and last. Between two of them
        the integrand may have any height, but no more than one feature.

    Raises
    ------
    NumericalError
        If the integrand vanishes everywhere.

    Notes
    -----
    Where the lines through neighbouring points leave room for a higher peak (as they do next to the maximum
    of a concave function), or where the threshold is crossed, points are added, so that a peak of any
    narrowness is climbed. All that is above the threshold stays in, several modes and what lies between.
    """
    x, values = seeds, _finite(log_f(seeds))
    for _ in range(ZOOMS):
        wanted = _unresolved(x, values)
        if not wanted.any():
            break
        added = (x[:-1, None] + np.diff(x)[:, None] * INSERTED)[wanted].ravel()
        x = np.concatenate([x, added])
        values = np.concatenate([values, _finite(log_f(added))])
        order = np.argsort(x, kind="stable")
        x, values = x[order], values[order]
    above = np.flatnonzero(_above_threshold(values))
    return float(x[max(above[0] - 1, 0)]), float(x[min(above[-1] + 1, x.size - 1)])


def _finite(values: Floats) -> Floats:
    """Return the values with minus infinity and what cannot be evaluated far below everything."""
    return np.where(np.isfinite(values), values, np.where(values == np.inf, np.inf, NOTHING))


def _unresolved(x: Floats, values: Floats) -> Bools:
    """Return the (n - 1,) gaps between points in which something may be hidden."""
    peak = values.max()
    above = _above_threshold(values)
    gap = np.diff(x)
    reach = x[above][-1] - x[above][0]
    crossing = (above[1:] != above[:-1]) & (gap > max(COARSEST * reach, 1e-13 * np.abs(x).max()))
    higher = np.maximum(values[1:], values[:-1])
    room = _room(x, values)
    hidden = (higher + room > peak - DEPTH) & (room > RESOLVED) & (gap > 1e-14 * np.abs(x).max())
    return np.asarray(crossing | hidden)


def _room(x: Floats, values: Floats) -> Floats:
    """Return by how much a concave function through the points may exceed them in each gap, (n - 1,)."""
    gap = np.diff(x)
    slope = np.diff(values) / gap
    first, last = slope[0], slope[-1]
    before = np.maximum(np.concatenate([[max(2 * first, abs(first))], slope[:-1]]), slope)
    after = np.minimum(np.concatenate([slope[1:], [min(2 * last, -abs(last))]]), slope)
    peaked = (before > 0) & (after < 0)
    bend = np.where(peaked, before - after, 1.0)
    with np.errstate(over="ignore"):
        top = before * gap * ((slope - after) / bend)
    return np.where(peaked, np.maximum(top - np.maximum(slope * gap, 0.0), 0.0), 0.0)


def _above_threshold(values: Floats) -> Bools:
    peak = values.max()
    if not NOTHING < peak < np.inf:
        raise NumericalError(f"the posterior density could not be evaluated; its logarithm peaks at {peak}")
    return np.asarray(values > peak - DEPTH)


class PanelDensity(NamedTuple):
    """A probability density on panels: in each, a polynomial or the exponential of one."""

    edges: Floats
    """(n + 1,) ends of the panels."""
    coefficients: Floats
    """(n, ORDER) Legendre coefficients of the density or of its logarithm."""
    logarithmic: Bools
    """(n,) whether they are of the logarithm."""
    below: Floats
    """(n + 1,) probability below each edge."""
    above: Floats
    """(n + 1,) probability above each edge, summed from the top, so that small ones are precise."""
    starts: Floats
    """(n * ORDER + 2,) first edge, nodes, last edge: where the distribution function is known beforehand."""
    known: Floats
    """(n * ORDER + 2,) distribution function there."""

    def density(self, x: Floats) -> Floats:
        """Return the density at `x`, shape (m,); 0 outside the panels."""
        panel, t = self._locate(x)
        inside = (x >= self.edges[0]) & (x <= self.edges[-1])
        return np.where(inside, self._value(panel, t), 0.0)

    def slope(self, x: Floats) -> Floats:
        """Return the derivative of the density at `x`, shape (m,), within the panels."""
        panel, t = self._locate(x)
        derivative = self.coefficients[panel] @ _DERIVATIVE
        values = (_vandermonde(t)[:, :-1] * derivative).sum(axis=1)
        values = np.where(self.logarithmic[panel], values * self._value(panel, t), values)
        return np.asarray(2 * values / np.diff(self.edges)[panel])

    def cdf(self, x: Floats) -> Floats:
        """Return the probability below `x`, shape (m,)."""
        panel = self._panel(x)
        part = np.clip((x - self.edges[panel]) / self._widths[panel], 0.0, 1.0)
        below = self.below[panel] + self._mass(panel, part, np.zeros(x.size, dtype=bool))
        return np.clip(np.where(x >= self.edges[-1], 1.0, below), 0.0, 1.0)

    def survival(self, x: Floats) -> Floats:
        """Return the probability above `x`, shape (m,), with the relative precision of a small one."""
        panel = self._panel(x)
        part = np.clip((self.edges[panel + 1] - x) / self._widths[panel], 0.0, 1.0)
        above = self.above[panel + 1] + self._mass(panel, part, np.ones(x.size, dtype=bool))
        return np.clip(np.where(x <= self.edges[0], 1.0, above), 0.0, 1.0)

    def quantile(self, p: Floats) -> Floats:
        """Return the points below which the probabilities are `p`, shape (m,), each in (0, 1)."""
        upper = p > 0.5
        panel = np.where(
            upper,
            np.searchsorted(-self.above, -(1 - p), side="right") - 1,
            np.searchsorted(self.below, p, side="right") - 1,
        )
        panel = np.clip(panel, 0, self.edges.size - 2)
        wanted = np.where(upper, (1 - p) - self.above[panel + 1], p - self.below[panel])
        part = self._solve(panel, wanted, upper, self._start(panel, p, upper))
        width = self._widths[panel]
        return np.where(upper, self.edges[panel + 1] - part * width, self.edges[panel] + part * width)

    def inverse(self, p: Floats) -> Floats:
        """Return quick quantiles for many probabilities (m,), as for draws.

        Notes
        -----
        Between nodes the distribution function is a cubic with its values and slopes at both (Hermite),
        solved by Newton's method kept within the nodes.
        """
        slope = self.density(self.starts)
        at = np.clip(np.searchsorted(self.known, p, side="right") - 1, 0, self.known.size - 2)
        width, rise = np.diff(self.starts)[at], np.diff(self.known)[at]
        first, last = slope[at] * width, slope[at + 1] * width
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = p - self.known[at]
            t = np.clip(np.where(rise > 0, wanted / rise, 0.5), 0.0, 1.0)
            for _ in range(QUICK_STEPS):
                cubic, square = first + last - 2 * rise, 3 * rise - 2 * first - last
                value = t * (first + t * (square + t * cubic)) - wanted
                step = value / (first + t * (2 * square + 3 * t * cubic))
                t = np.clip(t - np.where(np.isfinite(step), step, 0.0), 0.0, 1.0)
        return np.asarray(self.starts[at] + t * width)

    @property
    def _widths(self) -> Floats:
        return np.diff(self.edges)

    def _start(self, panel: Ints, p: Floats, upper: Bools) -> Floats:
        part = (np.interp(p, self.known, self.starts) - self.edges[panel]) / self._widths[panel]
        return np.clip(np.where(upper, 1 - part, part), 1e-9, 1.0)

    def _panel(self, x: Floats) -> Ints:
        panel = np.searchsorted(self.edges, x, side="right") - 1
        return np.asarray(np.clip(panel, 0, self.edges.size - 2))

    def _locate(self, x: Floats) -> tuple[Ints, Floats]:
        panel = self._panel(x)
        return panel, np.clip(2 * (x - self.edges[panel]) / self._widths[panel] - 1, -1.0, 1.0)

    def _value(self, panel: Ints, t: Floats) -> Floats:
        values = (_vandermonde(t) * self.coefficients[panel]).sum(axis=1)
        logarithmic = self.logarithmic[panel]
        return np.where(logarithmic, np.exp(np.where(logarithmic, values, 0.0)), np.maximum(values, 0.0))

    def _mass(self, panel: Ints, part: Floats, upper: Bools) -> Floats:
        """Return the probability in the lower (or upper) part of a panel, by the Gauss rule on it."""
        t = part[:, None] * (1 + NODES) - 1
        t = np.where(upper[:, None], -t, t)
        values = self._value(np.repeat(panel, ORDER), t.ravel()).reshape(t.shape)
        return np.asarray(part * self._widths[panel] / 2 * (values @ WEIGHTS))

    def _solve(self, panel: Ints, wanted: Floats, upper: Bools, part: Floats) -> Floats:
        """Return the lower (or upper) part of the panel that has the wanted probability.

        Newton's method kept in a bracket.
        """
        low, high = np.zeros(wanted.size), np.ones(wanted.size)
        width = self._widths[panel]
        for _ in range(STEPS):
            excess = self._mass(panel, part, upper) - wanted
            low, high = np.where(excess < 0, part, low), np.where(excess > 0, part, high)
            t = np.where(upper, 1 - 2 * part, 2 * part - 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = part - excess / (width * self._value(panel, t))
            step = np.where((step >= low) & (step <= high), step, (low + high) / 2)
            moved, part = np.abs(step - part), step
            if np.all((moved <= SETTLED * part) | (excess == 0)):
                break
        return part


def _vandermonde(t: Floats) -> Floats:
    """Return the (m, ORDER) Legendre polynomials at t (m,), by their recurrence."""
    rows = np.empty((ORDER, t.size))
    rows[0], rows[1] = 1.0, t
    for n in range(2, ORDER):
        np.multiply(t, rows[n - 1], out=rows[n])
        rows[n] *= (2 * n - 1) / n
        rows[n] -= (n - 1) / n * rows[n - 2]
    return rows.T


def panel_density(rule: Panels, f: Floats) -> PanelDensity:
    """Return the density with values `f`, shape (n * ORDER,), at the nodes of a rule; they integrate to 1."""
    values = f.reshape(-1, ORDER)
    mass = (values * rule.weights.reshape(-1, ORDER)).sum(axis=1)
    below = np.concatenate([[0.0], np.cumsum(mass)])
    above = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])
    with np.errstate(divide="ignore"):
        of_log = np.maximum(np.log(values), NOTHING) @ PROJECTION.T
    smooth = np.abs(of_log[:, -2:]).max(axis=1) <= SMOOTH * (1 + np.abs(of_log[:, 0]))
    coefficients = np.where(smooth[:, None], of_log, values @ PROJECTION.T)
    inside = below[:-1, None] + (values @ CUMULATION.T) * (np.diff(rule.edges) / 2)[:, None]
    known = np.concatenate([below[:1], inside.ravel(), below[-1:]])
    starts = np.concatenate([rule.edges[:1], rule.x, rule.edges[-1:]])
    return PanelDensity(rule.edges, coefficients, smooth, below, above, starts, known)
