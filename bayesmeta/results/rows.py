"""Distributions of quantities that grow with one coordinate in every row of a grid.

In each row the density of the coordinate is known at equidistant nodes; between them it is a sum of sinc
functions, and its integral one of sine integrals. A quantity below a value is the coordinate below a number
that differs from row to row, so that its distribution function is a sum over rows. The error falls with the
square root of that of the trapezoidal rule: rules that agree with those of every second node to 1e-10 leave
about 1e-10 of probability between the nodes of the finer one.

References
----------
Stenger F (1981). Numerical methods based on Whittaker cardinal, or sinc functions. SIAM Rev 23:165-224.
doi:10.1137/1023037
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.errors import NumericalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.results.scale_grid import Rule

NEGLIGIBLE = 1e-16
"""Probability below which a row or a node is left out."""
STEPS = 100
ROUNDING = 4 * float(np.finfo(float).eps)
"""Step, relative to the quantile, that rounding hides: a bound of 1 leaves few digits of what is above it."""
CLOSE = 1e-13
"""Relative width of the bracket, or step, at which a quantile is found."""
TINY = 1e-300
HIT = 1e-9
"""Distance from a node, in steps, at which the density is that of the node."""
MODE_POINTS = 80
AT_BOUND = 1e-6
"""Part of the distance of two points from which on a highest point counts as beyond the bound."""
GOLDEN = (5**0.5 - 1) / 2
GOLDEN_STEPS = 60
GRADED, GAUSS = 24, 8
"""Panels that halve towards 0 where a quantity may be singular there, and nodes in each panel."""


def graded(rule: Rule) -> tuple[Floats, Floats]:
    """Return nodes (n,), and the (m, n) matrix from the probabilities of the nodes of a rule to theirs.

    Where the density is even they lie close together next to 0, for functions that are not even there: the
    trapezoidal rule would lose its accuracy. Elsewhere they are the nodes themselves.
    """
    if not rule.even:
        return rule.x, np.eye(rule.x.size)
    first = rule.x[1] * 2.0 ** -np.arange(GRADED)[::-1]
    edges = np.concatenate([[0.0], first, rule.x[3::2]])
    t, w = np.polynomial.legendre.leggauss(GAUSS)
    half = np.diff(edges)[:, None] / 2
    x, weights = (edges[:-1, None] + half * (1 + t)).ravel(), (half * w).ravel()
    place, nodes = x / rule.step, rule.x[:, None] / rule.step
    return x, (np.sinc(place - nodes) + np.sinc(place + nodes)) / rule.step * weights


def power_weights(rule: Rule, n: float) -> Floats:
    """Return the (m,) values whose mean over the probabilities of the nodes is that of ``sinh(x)^n``.

    Where the density is even, ``sinh(x)^n`` is an even function less one that decays, such as
    ``cosh(x) - exp(-x)``: the mean of the one is a sum over the nodes, that of the other one over graded
    nodes, so that no heavy tail is multiplied with the error of interpolation.
    """
    x = rule.x
    if not rule.even or n % 2 == 0:
        return np.asarray(np.sinh(x) ** n)
    fine, spread = graded(rule)
    if n == 3:
        even = (np.cosh(3 * x) - 3 * np.cosh(x)) / 4
        rest = (np.exp(-3 * fine) - 3 * np.exp(-fine)) / 4
    elif n == 1:
        even, rest = np.cosh(x), np.exp(-fine)
    else:
        even, rest = np.cosh(x) ** n, np.cosh(fine) ** n - np.sinh(fine) ** n
    return np.asarray(even - spread @ rest)


class Link(NamedTuple):
    """How a quantity and the coordinate of each of R rows belong together, the one growing with the other."""

    value: Callable[[Floats], Floats]
    """From coordinates (n,) to values (R, n)."""
    place: Callable[[Floats], Floats]
    """From values (n,) to coordinates (n, R), infinite where there are none."""
    log_slope: Callable[[Floats], Floats]
    """From values (n,) to logs (n, R) of the derivatives of the coordinates."""


@dataclass(frozen=True, eq=False)
class RowDensity:
    """Distribution of one quantity.

    Attributes
    ----------
    rule : Rule
        Coordinates of the nodes in every row.
    mass : (R, m) array
        Probabilities of the nodes.
    link : Link
        From coordinates to the quantity.
    lowest, highest : float
        Bounds of the quantity.
    moments : int
        Highest moment that exists.
    raw : callable, optional
        Returns the mean of the quantity to the power 1, 2 or 3; by default it is a sum over graded nodes.
    """

    rule: Rule
    mass: Floats
    link: Link
    lowest: float = -inf
    highest: float = inf
    moments: int = 3
    raw: Callable[[int], float] | None = None

    size = 1

    def select(self, index: int) -> RowDensity:  # noqa: ARG002 - there is one quantity
        """Return the distribution itself."""
        return self

    @cached_property
    def _rows(self) -> Ints:
        """Which rows have any probability."""
        return np.flatnonzero(np.abs(self.mass).sum(axis=1) > NEGLIGIBLE)

    @cached_property
    def _nodes(self) -> Ints:
        """Which nodes of the rows have any."""
        return np.flatnonzero(np.abs(self.mass).sum(axis=0) > NEGLIGIBLE)

    @cached_property
    def _steps(self) -> Floats:
        """Coordinates of these nodes, in steps."""
        return np.asarray(self.rule.x[self._nodes] / self.rule.step)

    def cdf(self, x: Floats) -> Floats:
        """Return the (n, 1) probabilities below `x`, shape (n,)."""
        x = np.asarray(x, dtype=np.float64).reshape(-1)
        return np.array([[self._below(one)] for one in x])

    def _below(self, x: float) -> float:
        if x <= self.lowest or x >= self.highest:
            return float(x >= self.highest)
        return float(np.clip(np.sum(self._mass * self._integrals(self._places(x))), 0.0, 1.0))

    @cached_property
    def _mass(self) -> Floats:
        return np.ascontiguousarray(self.mass[np.ix_(self._rows, self._nodes)])

    def _places(self, x: float) -> Floats:
        """Return the (R,) coordinates at a value, within reach of the nodes, in steps."""
        place = self.link.place(np.array([x]))[0, self._rows] / self.rule.step
        nodes = self.rule.x / self.rule.step
        return np.asarray(np.clip(place, nodes[0] if self.rule.even else nodes[0] - 1, nodes[-1] + 1))

    def _integrals(self, place: Floats) -> Floats:
        """Return the (R, m) parts of the mass of each node that lie below the places (R,)."""
        nodes = self._steps
        first = special.sici(np.pi * (place[:, None] - nodes))[0]
        if self.rule.even:
            return np.asarray((first + special.sici(np.pi * (place[:, None] + nodes))[0]) / np.pi)
        return np.asarray(0.5 + first / np.pi)

    def density(self, x: Floats) -> Floats:
        """Return the (n, 1) densities at `x`, shape (n,)."""
        x = np.asarray(x, dtype=np.float64).reshape(-1)
        return np.array([[self._height(one)] for one in x])

    def _height(self, x: float) -> float:
        if not self.lowest <= x <= self.highest:
            return 0.0
        place = self._places(x)
        height = self._interpolated(place)
        if self.rule.even:
            height = height + self._interpolated(-place)
        height = np.maximum(height, 0.0) / self.rule.step
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            slope = np.exp(self.link.log_slope(np.array([x]))[0, self._rows])
            terms = np.where(height > 0, height * slope, 0.0)
        return float(np.sum(np.where(np.isfinite(terms), terms, 0.0)))

    def _interpolated(self, place: Floats) -> Floats:
        """Return the (R,) sums of sinc functions at places (R,), whose sines differ in sign alone."""
        nodes = self._steps
        gap = place[:, None] - nodes
        first = np.rint(place - nodes[0])
        rest = place - nodes[0] - first
        hit = np.abs(gap) < HIT
        gap[hit] = 1.0
        sines = np.where(first % 2 == 0, 1.0, -1.0) * np.sin(np.pi * rest) / np.pi
        sums = np.einsum("rm,rm->r", self._alternating, np.reciprocal(gap, out=gap)) * sines
        return np.where(hit.any(axis=1), (self._mass * hit).sum(axis=1), sums)

    @cached_property
    def _alternating(self) -> Floats:
        """Probabilities with the signs of ``sin(pi (t - j))``."""
        odd = np.rint(self._steps - self._steps[0]) % 2
        return np.asarray(self._mass * (1 - 2 * odd))

    def quantile(self, p: Floats) -> Floats:
        """Return the (n, 1) points below which the probabilities are `p`, shape (n,) or (n, 1).

        Raises
        ------
        NumericalError
            If the iteration does not settle.
        """
        p = np.asarray(p, dtype=np.float64).reshape(-1)
        for one in p.tolist():
            if one not in self._found:
                self._found[one] = self._quantile(one)
        return np.array([[self._found[one]] for one in p.tolist()])

    @cached_property
    def _found(self) -> dict[float, float]:
        """Quantiles that were asked for before."""
        return {}

    @cached_property
    def _ordered(self) -> tuple[Floats, Floats]:
        """Values at the nodes in increasing order, and the probabilities up to them."""
        values = self.link.value(self.rule.x)
        values = np.broadcast_to(values, self.mass.shape).ravel()
        finite = np.isfinite(values)
        order = np.argsort(values[finite])
        return values[finite][order], np.cumsum(self.mass.ravel()[finite][order])

    def _quantile(self, p: float) -> float:
        """Return a quantile by Newton's method on the log of the smaller tail, kept in a bracket."""
        values, below = self._ordered
        near, far = self._t(values[[0, -1]])
        t = float(self._t(np.asarray(np.interp(p, below, values))))
        for _ in range(STEPS):
            x = float(self._x(t))
            tail, slope = self._tail(x, p), self._height(x) * (x - self.lowest if self._positive else 1.0)
            gap = np.log(max(tail, TINY) / min(p, 1 - p)) * (1 if p < 0.5 else -1)
            near, far = (t, far) if gap < 0 else (near, t)
            step = gap * tail / slope if slope > 0 else nan
            if abs(step) <= CLOSE * max(1.0, abs(t)) or far - near <= CLOSE * max(abs(near), abs(far)):
                return x
            if self._positive and min(abs(step), far - near) * (x - self.lowest) <= ROUNDING * abs(x):
                return x
            t = t - step if near < t - step < far else (near + far) / 2
        raise NumericalError("a quantile of the scale parameters did not settle; ask for a less extreme one")

    def _tail(self, x: float, p: float) -> float:
        return self._below(x) if p < 0.5 else 1 - self._below(x)

    @property
    def _positive(self) -> bool:
        """Whether it has a lower bound, from which the logarithm is taken."""
        return bool(np.isfinite(self.lowest))

    def _t(self, x: Floats) -> Floats:
        return np.log(np.maximum(x - self.lowest, TINY)) if self._positive else np.asarray(x)

    def _x(self, t: float) -> float:
        return self.lowest + float(np.exp(t)) if self._positive else t

    def expectation(self, g: Callable[[Floats], Floats]) -> float:
        """Return the mean of a function of the quantity; the caller knows that it exists."""
        x, mass = self._fine
        values = np.broadcast_to(self.link.value(x), mass.shape)
        used = mass != 0
        return float(np.sum(mass[used] * g(values[used])))

    @cached_property
    def _fine(self) -> tuple[Floats, Floats]:
        """Nodes and probabilities for functions that are not even next to 0, but may be singular there."""
        x, spread = graded(self.rule)
        return x, self.mass @ spread

    def mean(self) -> Floats:
        """Return the (1,) mean, NaN where it does not exist."""
        return np.array([self._centre if self.moments >= 1 else nan])

    @cached_property
    def _centre(self) -> float:
        return self.expectation(np.asarray) if self.raw is None else self.raw(1)

    def _central(self, order: int) -> float:
        if self.raw is None:
            return self.expectation(lambda value: (value - self._centre) ** order)
        square = self.raw(2)
        if order == 2:
            return square - self._centre**2
        return self.raw(3) - 3 * self._centre * square + 2 * self._centre**3

    def sd(self) -> Floats:
        """Return the (1,) standard deviation, NaN where it does not exist."""
        return np.sqrt([self._central(2) if self.moments >= 2 else nan])

    def skewness(self) -> Floats:
        """Return the (1,) skewness, NaN where it does not exist."""
        return np.array([self._central(3) / self._central(2) ** 1.5 if self.moments >= 3 else nan])

    def mode(self) -> Floats:
        """Return the (1,) highest point of the density; its lower bound where it falls from there on."""
        return np.array([self._mode])

    @cached_property
    def _mode(self) -> float:
        first, last = self.quantile(np.array([1e-4, 0.999]))[:, 0]
        start = self.lowest if np.isfinite(self.lowest) else first
        x = np.linspace(start, last, MODE_POINTS)
        height = self.density(np.maximum(x, start + 1e-9 * (last - start)))[:, 0]
        best = int(height.argmax())
        if best == 0 and np.isfinite(self.lowest):
            return self._next_to_the_bound(x)
        low, high = x[max(best - 1, 0)], x[min(best + 1, x.size - 1)]
        return self._climbed(float(low), float(high))

    def _next_to_the_bound(self, x: Floats) -> float:
        """Return the bound, or the highest point between it and the next of the points x."""
        top, close = self._climbed(float(x[0]), float(x[1])), float(x[0] + AT_BOUND * (x[1] - x[0]))
        return top if top > close and self._height(top) > self._height(close) * (1 + 1e-9) else self.lowest

    def _climbed(self, low: float, high: float) -> float:
        """Return the highest point between two, by golden section."""
        a, b = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        at_a, at_b = self._height(a), self._height(b)
        for _ in range(GOLDEN_STEPS):
            if at_a > at_b:
                high, b, at_b = b, a, at_a
                a = high - GOLDEN * (high - low)
                at_a = self._height(a)
            else:
                low, a, at_a = a, b, at_b
                b = low + GOLDEN * (high - low)
                at_b = self._height(b)
            if high - low <= 1e-9 * abs(high):
                break
        return (low + high) / 2

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return (n, 1) draws of nodes, good to the distance between them; for pictures."""
        values, below = self._ordered
        return np.interp(rng.random(n), below, values)[:, None]
