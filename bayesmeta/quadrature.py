"""Integration on an interval by composite Gauss-Legendre panels, and where to put the interval.

Everything works on the log of the integrand, so that nothing under- or overflows.

References
----------
Trefethen LN (2008). Is Gauss quadrature better than Clenshaw-Curtis? SIAM Rev 50:67-87. doi:10.1137/060659831
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev, legendre

from bayesmeta.errors import NumericalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Bools, Floats, Ints

ORDER = 16
"""Points in a panel."""
NODES, WEIGHTS = legendre.leggauss(ORDER)

DEPTH = 46.0
"""Where the integrand is below ``exp(-DEPTH)`` of its peak, 1e-20, it is left out."""
TINY = float(np.finfo(np.float64).tiny)
NOTHING = -1e100
"""Logarithm that stands for no density at all."""
RESOLVED = 0.5
"""By how much the log of the integrand may exceed what was seen of it when the search ends."""
COARSEST = 0.25
"""Gap in which the integrand falls below the threshold, as a fraction of what is above it."""
INSERTED = np.array([0.25, 0.5, 0.75])
"""Where points are added in a gap."""
ZOOMS = 80
STEPS = 60
QUICK_STEPS = 6
CUBIC = 1e-5
"""Last step of Halley's method, as a fraction of the part of a panel; the error after it is its cube."""
SMOOTH = 1e-12
"""Last Chebyshev coefficients of a logarithm that the panel resolves."""

_DEGREES = np.arange(ORDER)


def _basis(t: Floats) -> Floats:
    """Return the (..., ORDER) Chebyshev polynomials at t (...), in [-1, 1]."""
    return np.cos(np.arccos(t)[..., None] * _DEGREES)


PROJECTION = np.linalg.inv(_basis(NODES)).T
"""(ORDER, ORDER) matrix from values at the nodes of a panel, a row of them, to Chebyshev coefficients."""
HALVES = _basis(np.concatenate([NODES - 1, NODES + 1]) / 2).T
"""(ORDER, 2 * ORDER) matrix from coefficients to values at the nodes of the halves of a panel."""
_DERIVATIVE = np.pad(chebyshev.chebder(np.eye(ORDER)).T, ((0, 0), (0, 1)))
"""(ORDER, ORDER) matrix from coefficients to those of the derivative."""
CUMULATION = PROJECTION @ chebyshev.chebval(NODES, chebyshev.chebint(np.eye(ORDER), lbnd=-1))
"""(ORDER, ORDER) matrix from values at the nodes to the integrals from -1 to each node."""
_WITH_END = np.append(NODES, 1.0)


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
        Log of the integrand at an array of points; minus infinity where it vanishes. Of several integrands
        (rows), all are kept.
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
    x, logs = seeds, np.atleast_2d(log_f(seeds))
    for _ in range(ZOOMS):
        values = highest(logs)
        wanted = _unresolved(x, values)
        if not wanted.any():
            break
        added = (x[:-1, None] + np.diff(x)[:, None] * INSERTED)[wanted].ravel()
        x = np.concatenate([x, added])
        logs = np.concatenate([logs, np.atleast_2d(log_f(added))], axis=1)
        order = np.argsort(x, kind="stable")
        x, logs = x[order], logs[:, order]
    above = np.flatnonzero(highest(logs) > -DEPTH)
    return float(x[max(above[0] - 1, 0)]), float(x[min(above[-1] + 1, x.size - 1)])


def highest(logs: Floats) -> Floats:
    """Return the highest (n,) of logarithms (r, n), each row measured from its own peak.

    Minus infinity and what cannot be evaluated are far below everything.

    Raises
    ------
    NumericalError
        If a row has no peak.
    """
    logs = np.where(np.isfinite(logs), logs, np.where(logs == np.inf, np.inf, NOTHING))
    peaks = logs.max(axis=1, keepdims=True)
    if not ((peaks > NOTHING) & (peaks < np.inf)).all():
        raise NumericalError(
            f"the posterior density could not be evaluated; its logarithm peaks at {peaks.max()}"
        )
    return np.asarray((logs - peaks).max(axis=0))


def _unresolved(x: Floats, values: Floats) -> Bools:
    """Return the (n - 1,) gaps between points in which something may be hidden."""
    above = values > -DEPTH
    gap = np.diff(x)
    reach = x[above][-1] - x[above][0]
    crossing = (above[1:] != above[:-1]) & (gap > max(COARSEST * reach, 1e-13 * np.abs(x).max()))
    higher = np.maximum(values[1:], values[:-1])
    room = _room(x, values)
    hidden = (higher + room > -DEPTH) & (room > RESOLVED) & (gap > 1e-14 * np.abs(x).max())
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


class PanelDensity(NamedTuple):
    """A probability density on panels: in each, a polynomial or the exponential of one."""

    edges: Floats
    """(n + 1,) ends of the panels."""
    coefficients: Floats
    """(n, ORDER) Chebyshev coefficients of the density or of its logarithm."""
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
    heights: Floats
    """(n * ORDER + 2,) density there; at the edges that of the nearest node."""

    def density(self, x: Floats) -> Floats:
        """Return the density at `x`, shape (m,); 0 outside the panels."""
        panel, t = self._locate(x)
        inside = (x >= self.edges[0]) & (x <= self.edges[-1])
        return np.where(inside, self._value(panel, t), 0.0)

    def at_halves(self) -> Floats:
        """Return the (2 n * ORDER,) densities at the nodes of panels of half the length."""
        values = self.coefficients @ HALVES
        return self._of_polynomials(values, self.logarithmic[:, None]).ravel()

    def log_slope(self) -> Callable[[float], float]:
        """Return the derivative of the log of the density as a function of a point within the panels."""
        edges, known = self.edges.tolist(), dict[int, tuple[list[float], list[float]]]()

        def slope(x: float) -> float:
            panel = min(max(bisect_right(edges, x) - 1, 0), len(edges) - 2)
            if panel not in known:
                own = self.coefficients[panel]
                known[panel] = own.tolist(), (own @ _DERIVATIVE).tolist()
            value, derivative = known[panel]
            width = edges[panel + 1] - edges[panel]
            t = min(max(2 * (x - edges[panel]) / width - 1, -1.0), 1.0)
            rise: float = 2 * _clenshaw(derivative, t) / width
            return rise if self.logarithmic[panel] else rise / max(_clenshaw(value, t), TINY)

        return slope

    def cdf(self, x: Floats) -> Floats:
        """Return the probability below `x`, shape (m,)."""
        panel = self._panel(x)
        part = np.clip((x - self.edges[panel]) / self._width(panel), 0.0, 1.0)
        below = self.below[panel] + self._mass(panel, part, np.zeros(x.size, dtype=bool))[0]
        return np.clip(np.where(x >= self.edges[-1], 1.0, below), 0.0, 1.0)

    def survival(self, x: Floats) -> Floats:
        """Return the probability above `x`, shape (m,), with the relative precision of a small one."""
        panel = self._panel(x)
        part = np.clip((self.edges[panel + 1] - x) / self._width(panel), 0.0, 1.0)
        above = self.above[panel + 1] + self._mass(panel, part, np.ones(x.size, dtype=bool))[0]
        return np.clip(np.where(x <= self.edges[0], 1.0, above), 0.0, 1.0)

    def tail(self, x: Floats, upper: Bools) -> tuple[Floats, Floats]:
        """Return the probabilities below x, shape (m,), or above it where `upper`, and the densities."""
        panel = self._panel(x)
        part = np.where(upper, self.edges[panel + 1] - x, x - self.edges[panel]) / self._width(panel)
        mass, density = self._mass(panel, np.clip(part, 0.0, 1.0), upper)
        return mass + np.where(upper, self.above[panel + 1], self.below[panel]), density

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
        width = self._width(panel)
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

    def _width(self, panel: Ints) -> Floats:
        return np.asarray(self.edges[panel + 1] - self.edges[panel])

    def _start(self, panel: Ints, p: Floats, upper: Bools) -> Floats:
        """Return where it would be if the density were linear between nodes."""
        at = (self.known.searchsorted(p, side="right") - 1).clip(0, self.known.size - 2)
        first, last, known = self.heights[at], self.heights[at + 1], self.known[at]
        share = (p - known) / np.maximum(self.known[at + 1] - known, TINY) * (first + last)
        root = np.sqrt(np.maximum(first * first + (last - first) * share, 0.0))
        share = share / np.maximum(first + root, TINY)
        x = self.starts[at] + share.clip(0.0, 1.0) * (self.starts[at + 1] - self.starts[at])
        part = (x - self.edges[panel]) / self._width(panel)
        return np.asarray(np.where(upper, 1 - part, part).clip(1e-9, 1.0))

    def _panel(self, x: Floats) -> Ints:
        panel = np.searchsorted(self.edges, x, side="right") - 1
        return np.asarray(np.clip(panel, 0, self.edges.size - 2))

    def _locate(self, x: Floats) -> tuple[Ints, Floats]:
        panel = self._panel(x)
        return panel, np.clip(2 * (x - self.edges[panel]) / self._width(panel) - 1, -1.0, 1.0)

    def _value(self, panel: Ints, t: Floats) -> Floats:
        """Return the densities (m,) or (m, n) at places t, shape (m,) or (m, n), of panels (m,)."""
        values = np.vecdot(_basis(t), self.coefficients[panel].reshape(*panel.shape, *[1] * (t.ndim - 1), -1))
        return self._of_polynomials(values, self.logarithmic[panel].reshape(-1, *[1] * (t.ndim - 1)))

    def _of_polynomials(self, values: Floats, logarithmic: Bools) -> Floats:
        if logarithmic.all():
            return np.asarray(np.exp(values))
        return np.where(logarithmic, np.exp(np.where(logarithmic, values, 0.0)), np.maximum(values, 0.0))

    def _mass(self, panel: Ints, part: Floats, upper: Bools) -> tuple[Floats, Floats]:
        """Return the probability in the lower (or upper) part of a panel, and the density where it ends."""
        t = part[:, None] * (1 + _WITH_END) - 1
        t = np.where(upper[:, None], -t, t)
        values = self._value(panel, np.clip(t, -1.0, 1.0))
        return part * self._width(panel) / 2 * (values[:, :-1] @ WEIGHTS), values[:, -1]

    def _solve(self, panel: Ints, wanted: Floats, upper: Bools, part: Floats) -> Floats:
        """Return the lower (or upper) part of the panel that has the wanted probability.

        Halley's method kept in a bracket.
        """
        low, high = np.zeros(wanted.size), np.ones(wanted.size)
        width = self._width(panel)
        derivative = self.coefficients[panel] @ _DERIVATIVE
        logarithmic = self.logarithmic[panel]
        sign = np.where(upper, -1.0, 1.0)
        for _ in range(STEPS):
            mass, density = self._mass(panel, part, upper)
            excess = mass - wanted
            low, high = np.where(excess < 0, part, low), np.where(excess > 0, part, high)
            rise = 2 * sign * np.vecdot(_basis(sign * (2 * part - 1)), derivative)
            with np.errstate(all="ignore"):
                newton = excess / (width * density)
                bend = 0.5 * newton * np.where(logarithmic, rise, rise / density)
                step = part - newton / (1 - bend.clip(-0.5, 0.5))
            step = np.where((step >= low) & (step <= high), step, (low + high) / 2)
            moved, part = np.abs(step - part), step
            if ((moved <= CUBIC * part) | (excess == 0)).all():
                break
        return part


def _clenshaw(coefficients: list[float], t: float) -> float:
    """Return the sum of Chebyshev polynomials at t: for one point quicker than with arrays."""
    first, second, twice = 0.0, 0.0, 2 * t
    for value in reversed(coefficients):
        first, second = value + twice * first - second, first
    return first - t * second


def panel_density(rule: Panels, f: Floats) -> PanelDensity:
    """Return the density with values `f`, shape (n * ORDER,), at the nodes of a rule; they integrate to 1."""
    values = f.reshape(-1, ORDER)
    mass = np.vecdot(values, rule.weights.reshape(-1, ORDER))
    n = mass.size
    below, above = np.zeros(n + 1), np.zeros(n + 1)
    mass.cumsum(out=below[1:])
    mass[::-1].cumsum(out=above[-2::-1])
    with np.errstate(divide="ignore"):
        of_log = np.maximum(np.log(values), NOTHING) @ PROJECTION
    smooth = np.abs(of_log[:, -2:]).max(axis=1) <= SMOOTH * (1 + np.abs(of_log[:, 0]))
    coefficients = of_log if smooth.all() else np.where(smooth[:, None], of_log, values @ PROJECTION)
    half = (rule.edges[1:] - rule.edges[:-1]) / 2
    inside = below[:-1, None] + (values @ CUMULATION) * half[:, None]
    known, starts = np.empty(f.size + 2), np.empty(f.size + 2)
    known[0], known[1:-1], known[-1] = below[0], inside.ravel(), below[-1]
    starts[0], starts[1:-1], starts[-1] = rule.edges[0], rule.x, rule.edges[-1]
    heights = np.concatenate([f[:1], f, f[-1:]])
    return PanelDensity(rule.edges, coefficients, smooth, below, above, starts, known, heights)
