"""Priors given by any Python function: checked, integrated, and divided by their integral."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import NumericalError, PriorError, told
from bayesmeta.priors.core import Prior, number, within
from bayesmeta.quadrature import ORDER, interval_of_mass, panel_density, panels

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.quadrature import PanelDensity, Panels

FARTHEST = 300.0
"""Largest logarithm of a distance from the end of a half-line, and largest asinh of a value on the line."""
SEEDS = 241
FEWEST, MOST = 32, 4096
"""Numbers of panels."""
ROUNDS = 80
GOAL = 1e-13
"""Difference of the integral over a panel and over its halves, as part of the whole, at which it stays."""
FAR_OUT = 1e8
"""Where the tail is measured, in medians."""
STEEPEST = 50.0
"""Tail exponent above which a tail counts as light."""


@dataclass(frozen=True, slots=True)
class Density(Prior):
    """A prior whose density is a Python function, up to a constant that is computed.

    Attributes
    ----------
    function : callable
        Density at an array of values, or at one; finite and not negative, but for its infinite poles at the
        ends of the support.
    support : tuple of float
        Interval outside which the density is 0; infinite ends are allowed.
    name : str
        What is printed; by default the name of the function.

    Raises
    ------
    PriorError
        If the function is negative, not a number, or has no finite integral.

    Notes
    -----
    It cannot be written into an analysis file, nor saved with a fit.
    """

    function: Callable[[Floats], Floats]
    support: tuple[float, float] = (0.0, inf)
    name: str = ""

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise PriorError(f"Density.function must be a function of the value; got {told(self.function)}")
        ends = self.support
        if not isinstance(ends, tuple | list) or len(ends) != 2 or not all(map(_is_end, ends)):
            raise PriorError(f"Density.support must be two numbers, such as (0, 1); got {told(ends)}")
        low, high = (float(end) for end in ends)
        if not low < high:
            raise PriorError(f"Density.support must increase; got {number(low)} and {number(high)}")
        object.__setattr__(self, "support", (low, high))
        object.__setattr__(self, "name", self.name or getattr(self.function, "__name__", "function"))
        _normalised(self.function, self.support, self.name)

    def __str__(self) -> str:
        return f"Density({self.name})"

    def written(self) -> str:
        return _refuse(self.name)

    @property
    def constant(self) -> float:
        """Integral of the function, by which the density is divided."""
        return self._known.constant

    @property
    def _known(self) -> Normalised:
        return _normalised(self.function, self.support, self.name)

    @property
    def tail(self) -> float:
        return self._known.tail

    @property
    def regular(self) -> bool:
        return False

    @property
    def for_location(self) -> bool:
        return True

    def rescaled(self, unit: float) -> Density:
        function, (low, high) = self.function, self.support
        return Density(lambda x: unit * function(unit * x), (low / unit, high / unit), self.name)

    def logpdf(self, x: Floats) -> Floats:
        x = np.asarray(x, dtype=np.float64)
        inside = (x >= self.support[0]) & (x <= self.support[1])
        middle = self._known.way.value(np.array(self._known.rule_middle))
        with np.errstate(divide="ignore"):
            value = np.log(_values(self.function, np.where(inside, x, middle), self.name))
        return within(x, value - log(self.constant), *self.support)

    def cdf(self, x: Floats) -> Floats:
        x = np.asarray(x, dtype=np.float64)
        u = self._known.way.variable(np.clip(x, *self.support))
        below = self._known.panels.cdf(u.reshape(-1)).reshape(x.shape)
        return np.where(x >= self.support[1], 1.0, np.where(x <= self.support[0], 0.0, below))

    def quantile(self, p: Floats) -> Floats:
        p = np.asarray(p, dtype=np.float64)
        known, inside = self._known, (p > 0) & (p < 1)
        u = known.panels.quantile(np.where(inside, p, 0.5).reshape(-1)).reshape(p.shape)
        ends = np.where(p <= 0, self.support[0], self.support[1])
        return np.where(inside, known.way.value(u), ends)


class Way(NamedTuple):
    """The variable u in which a density is integrated, its derivative tending to 0 at the ends."""

    low: float
    high: float

    @property
    def ends(self) -> tuple[float, float]:
        """Between which values of u to look."""
        return -FARTHEST, FARTHEST

    def value(self, u: Floats) -> Floats:
        """Return the value at u: a hyperbolic sine, an exponential from an end, or a logistic function."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            rise = np.exp(-np.logaddexp(0.0, -u))
            fall = np.exp(-np.logaddexp(0.0, u))
            return np.where(u < 0, self.low + self._length * rise, self.high - self._length * fall)
        if np.isfinite(self.low):
            return np.asarray(self.low + np.exp(u))
        return np.asarray(self.high - np.exp(-u) if np.isfinite(self.high) else np.sinh(u))

    def variable(self, x: Floats) -> Floats:
        """Return u at a value."""
        with np.errstate(divide="ignore"):
            if np.isfinite(self.low) and np.isfinite(self.high):
                u = np.log(x - self.low) - np.log(self.high - x)
            elif np.isfinite(self.low):
                u = np.log(x - self.low)
            else:
                u = -np.log(self.high - x) if np.isfinite(self.high) else np.arcsinh(x)
        return np.asarray(np.clip(u, *self.ends))

    def log_derivative(self, u: Floats) -> Floats:
        """Return the log of the derivative of the value."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return np.asarray(log(self._length) - np.logaddexp(0.0, u) - np.logaddexp(0.0, -u))
        if np.isfinite(self.low):
            return u
        return np.asarray(-u if np.isfinite(self.high) else np.logaddexp(u, -u) - log(2))

    @property
    def _length(self) -> float:
        return self.high - self.low


def _is_end(value: object) -> bool:
    infinite = isinstance(value, float) and abs(value) == inf
    return infinite or strictly_between(value, -inf, inf)


class Normalised(NamedTuple):
    """A function as a probability density."""

    way: Way
    """Variable of integration."""
    panels: PanelDensity
    """Density of that variable."""
    constant: float
    """Integral of the function."""
    tail: float
    """Tail exponent, measured far out."""

    @property
    def rule_middle(self) -> float:
        """A variable at which the function can be evaluated."""
        return float(self.panels.edges.mean())


@lru_cache(maxsize=64)
def _normalised(function: Callable[[Floats], Floats], limits: tuple[float, float], name: str) -> Normalised:
    way = Way(*limits)

    def log_f(u: Floats) -> Floats:
        with np.errstate(divide="ignore", over="ignore"):
            value = np.log(_values(function, way.value(u), name)) + way.log_derivative(u)
        return np.where(np.isnan(value), -inf, value)

    low, high = _interval(log_f, way, name)
    if (low <= way.ends[0] and _high(log_f, low, low, high)) or (
        high >= way.ends[1] and _high(log_f, high, low, high)
    ):
        _no_integral(name)
    rule, log_values = _settled(log_f, np.linspace(low, high, FEWEST + 1), name)
    peak = float(log_values.max())
    f = np.exp(log_values - peak)
    total = float(f @ rule.weights)
    density = panel_density(rule, f / total)
    return Normalised(way, density, total * exp(peak), _tail(log_f, way, density))


def _settled(log_f: Callable[[Floats], Floats], edges: Floats, name: str) -> tuple[Panels, Floats]:
    """Return panels that their halves agree with, short ones next to kinks and steps, and the values."""
    for _ in range(ROUNDS):
        rule = panels(edges)
        values = log_f(rule.x)
        middles = (edges[:-1] + edges[1:]) / 2
        halves = panels(np.sort(np.concatenate([edges, middles])))
        peak = float(values.max())
        whole = (np.exp(values - peak) * rule.weights).reshape(-1, ORDER).sum(axis=1)
        finer = (np.exp(log_f(halves.x) - peak) * halves.weights).reshape(-1, 2 * ORDER).sum(axis=1)
        apart = np.abs(whole - finer) > GOAL * whole.sum()
        if not apart.any():
            return rule, values
        if edges.size > MOST:
            break
        edges = np.sort(np.concatenate([edges, middles[apart]]))
    raise PriorError(
        f"the integral of the density {name} does not settle; make it smooth, or give its support"
    )


def _interval(log_f: Callable[[Floats], Floats], way: Way, name: str) -> tuple[float, float]:
    try:
        return interval_of_mass(log_f, np.linspace(*way.ends, SEEDS))
    except NumericalError:
        raise PriorError(f"the density {name} is 0 or infinite wherever it was looked at; check it") from None


def _high(log_f: Callable[[Floats], Floats], end: float, low: float, high: float) -> bool:
    """Return whether the integrand has not vanished at an end of the search."""
    values = log_f(np.linspace(low, high, 400))
    return bool(log_f(np.array([end]))[0] > values.max() - 20)


def _tail(log_f: Callable[[Floats], Floats], way: Way, density: PanelDensity) -> float:
    """Return the exponent of a power-like tail, from the slope far out; infinite for lighter tails."""
    if np.isfinite(way.high) and np.isfinite(way.low):
        return inf
    size = float(np.abs(way.value(density.quantile(np.array([0.25, 0.5, 0.75])))).max())
    slopes = []
    for sign in (1.0, -1.0):
        ends = sign * FAR_OUT * size * np.array([1.0, 2.0])
        if not way.low <= ends.min() <= ends.max() <= way.high:
            continue
        u = way.variable(ends)
        first, second = log_f(u) - way.log_derivative(u)
        slope = (first - second) / log(2) if np.isfinite(second) else inf
        slopes.append(inf if slope > STEEPEST else float(slope))
    return min(slopes, default=inf)


def _values(function: Callable[[Floats], Floats], x: Floats, name: str) -> Floats:
    """Return the values of a function of arrays or of numbers.

    Raises
    ------
    PriorError
        If one is negative or not a number.
    """
    with np.errstate(all="ignore"):
        try:
            values = np.asarray(function(x), dtype=np.float64)
        except (TypeError, ValueError):
            values = np.vectorize(function, otypes=[float])(x)
        if values.shape != x.shape:
            values = np.broadcast_to(values, x.shape) if values.ndim == 0 else np.vectorize(function)(x)
    bad = np.isnan(values) | (values < 0)
    if bad.any():
        where = float(np.extract(bad, x)[0])
        got = float(np.extract(bad, values)[0])
        raise PriorError(f"the density {name} must be a number >= 0; got {number(got)} at {where:g}")
    return values


def _no_integral(name: str) -> NoReturn:
    raise PriorError(f"the density {name} has no finite integral; give a proper prior")


def _refuse(name: str) -> NoReturn:
    raise PriorError(
        f"the prior Density({name}) holds a Python function and cannot be written as text; use a named family"
    )
