"""Distributions of tau: a density on the nodes of a rule, or all the probability at one value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, log, nan, sqrt, tanh
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.errors import NumericalError
from bayesmeta.quadrature import ORDER, TINY, PanelDensity, Panels, panel_density
from bayesmeta.results.certificate import LIMIT, TOO_SLOW, agree, beyond

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats

LEVEL = 1e-13
"""Relative difference of two heights of a density that counts as none."""
LOG_2 = log(2)
SOME = 1e-8
"""Part of the highest density above which another is not 0."""
HALVINGS = 80
MET = 1e-14
"""Last step of the search for a root, as a part of it."""


class Substitution(NamedTuple):
    """The variable u in which tau is integrated: ``asinh(tau / scale)``, or ``log(tau / scale)``.

    The first is analytic at tau = 0 and logarithmic in the tail; the second serves densities that are not
    analytic at 0.
    """

    scale: float
    """Standard error, or smaller scale of the prior, at which tau is neither small nor large."""
    logarithmic: bool
    """Whether u is the logarithm."""

    def tau(self, u: Floats) -> Floats:
        """Return tau at u."""
        return self.scale * (np.exp(u) if self.logarithmic else np.sinh(u))

    def u(self, tau: Floats) -> Floats:
        """Return u at tau >= 0."""
        with np.errstate(divide="ignore"):
            ratio = np.asarray(tau) / self.scale
            return np.log(ratio) if self.logarithmic else np.arcsinh(ratio)

    def log_derivative(self, u: Floats) -> Floats:
        """Return the log of d tau / du."""
        u = np.asarray(u)
        return log(self.scale) + (u if self.logarithmic else u + np.log1p(np.exp(-2 * u)) - LOG_2)

    def bend(self, u: float) -> float:
        """Return the derivative of the log of d tau / du."""
        return 1.0 if self.logarithmic else tanh(u)

    def growth(self, u: float) -> float:
        """Return the derivative of log tau; infinite at tau = 0."""
        return 1.0 if self.logarithmic else 1 / tanh(u) if u > 0 else inf


@dataclass(frozen=True, eq=False)
class TauDensity:
    """Posterior of tau on the nodes of a quadrature rule.

    Attributes
    ----------
    substitution : Substitution
        The variable of the rule.
    rule : Panels
        Nodes and weights in that variable.
    f : (m,) array
        Density of u at the nodes; it integrates to 1.
    moments : float
        Moments of tau of an order up to this number exist.
    finer : callable, optional
        Returns the same on twice the panels, against which every answer is checked.
    unbounded : bool
        Whether the density of tau has no bound at 0.
    integrated : float
        Moments of an order up to this number can be integrated; those that exist beyond are refused.
    """

    substitution: Substitution
    rule: Panels
    f: Floats
    moments: float = inf
    finer: Callable[[], TauDensity] | None = None
    unbounded: bool = False
    integrated: float = inf

    size = 1
    lowest = 0.0

    @cached_property
    def tau(self) -> Floats:
        """(m,) values of tau at the nodes."""
        return self.substitution.tau(self.rule.x)

    @cached_property
    def weights(self) -> Floats:
        """(m,) probabilities of the nodes."""
        mass = self.f * self.rule.weights
        return np.asarray(mass / mass.sum())

    @cached_property
    def panel_masses(self) -> Floats:
        """(n,) probabilities of the panels."""
        return np.asarray(np.vecdot(self.f.reshape(-1, ORDER), self.rule.weights.reshape(-1, ORDER)))

    @cached_property
    def panels(self) -> PanelDensity:
        """Density of u between the nodes."""
        return panel_density(self.rule, self.f)

    @cached_property
    def remembered(self) -> dict[object, Any]:
        """Answers that were given before; tau2, I2 and H2 ask for the same quantiles."""
        return {}

    def select(self, index: int) -> TauDensity:  # noqa: ARG002 - there is one quantity
        """Return the distribution itself."""
        return self

    def expectation(self, g: Callable[[Floats], Floats]) -> float:
        """Return the mean of a function of tau; the caller knows that it exists."""
        value = float(self.weights @ g(self.tau))
        if self.finer is None:
            return value
        finer = self.finer()
        values = g(finer.tau)
        other = float(finer.weights @ values)
        size = float(finer.weights @ np.abs(values))
        return other if abs(value - other) <= LIMIT * size else finer.expectation(g)

    @cached_property
    def _moments(self) -> tuple[float, float]:
        return self.mean_and_sd(np.asarray, min(self.moments, self.integrated))

    def mean_and_sd(self, g: Callable[[Floats], Floats], moments: float) -> tuple[float, float]:
        """Return mean and standard deviation of a function of tau of which so many moments exist."""
        values = g(self.tau)
        mean = float(self.weights @ values)
        spread = sqrt(self.weights @ (values - mean) ** 2)
        if self.finer is None:
            return mean, spread
        finer = self.finer()
        values = g(finer.tau)
        centre = float(finer.weights @ values)
        other = sqrt(finer.weights @ (values - centre) ** 2)
        size = float(finer.weights @ np.abs(values))
        mean_settled = abs(mean - centre) <= LIMIT * size
        settled = mean_settled and (moments < 2 or abs(spread - other) <= LIMIT * other)
        return (centre, other) if settled else finer.mean_and_sd(g, moments)

    def has(self, order: float) -> bool:
        """Return whether the moment of an order exists.

        Raises
        ------
        NumericalError
            If it does, but its tail falls too slowly to be integrated.
        """
        if self.integrated < order <= self.moments:
            raise NumericalError(TOO_SLOW.format(order=order, quantity="tau"))
        return order <= self.moments

    def mean(self) -> Floats:
        """Return the (1,) mean, NaN where it does not exist."""
        return np.array([self._moments[0] if self.has(1) else nan])

    def sd(self) -> Floats:
        """Return the (1,) standard deviation, NaN where it does not exist."""
        return np.array([self._moments[1] if self.has(2) else nan])

    def skewness(self) -> Floats:
        """Return the (1,) skewness, NaN where it does not exist."""
        if not self.has(3):
            return np.array([nan])
        return np.array([central_moment(self, np.asarray, 3) / central_moment(self, np.asarray, 2) ** 1.5])

    def density(self, x: Floats) -> Floats:
        """Return the (n, 1) densities at `x`, shape (n,) or (n, 1)."""
        x = np.asarray(x, dtype=np.float64).reshape(-1)
        u = self.substitution.u(np.maximum(x, 0.0))
        u = np.where(np.isfinite(u), u, self.rule.edges[0] - 1)
        value = self.panels.density(u) * np.exp(-self.substitution.log_derivative(u))
        return np.where(x >= 0, value, 0.0)[:, None]

    def cdf(self, x: Floats) -> Floats:
        """Return the (n, 1) probabilities below `x`, shape (n,)."""
        u = self.substitution.u(np.maximum(np.asarray(x, dtype=np.float64).reshape(-1), 0.0))
        return self._cdf(u)[:, None]

    def _cdf(self, u: Floats) -> Floats:
        value = self.panels.cdf(u)
        if self.finer is None:
            return value
        finer = self.finer()
        other = finer.panels.cdf(u)
        return other if agree(value - other) else finer._cdf(u)

    def quantile(self, p: Floats) -> Floats:
        """Return the (n, 1) points below which the probabilities are `p`, shape (n,) or (n, 1)."""
        p = np.asarray(p, dtype=np.float64).reshape(-1)
        key = p.tobytes()
        if key not in self.remembered:
            self.remembered[key] = readonly(self.substitution.tau(self._quantile_of_u(p))[:, None])
        return np.asarray(self.remembered[key])

    def _quantile_of_u(self, p: Floats) -> Floats:
        u = self.panels.quantile(p)
        if self.finer is None:
            return u
        finer, upper = self.finer(), p > 0.5
        wanted = np.minimum(p, 1 - p)
        tail, density = finer.panels.tail(u, upper)
        missed = tail - wanted
        if not agree(beyond(missed, u * density) / wanted):
            return finer._quantile_of_u(p)
        return u - np.where(upper, -missed, missed) / np.maximum(density, TINY)

    def differences(self, p: Floats) -> Floats:
        """Return by how much the (n, 1) quantiles of two sets of nodes differ, 0 where there is one set."""
        tau = self.quantile(p)
        if self.finer is None:
            return np.zeros_like(tau)
        u, finer = self.substitution.u(tau[:, 0]), self.finer()
        upper = p > 0.5
        (one, _), (two, density) = self.panels.tail(u, upper), finer.panels.tail(u, upper)
        stretch = np.exp(self.substitution.log_derivative(u))
        return np.asarray((np.abs(one - two) / np.maximum(density, TINY) * stretch)[:, None])

    def mode(self) -> Floats:
        """Return the (1,) highest point of the density of tau; 0 where it is unbounded there."""
        return self._mode

    @property
    def positive_at_zero(self) -> bool:
        """Whether the density of tau is above 0 at tau = 0."""
        if self.substitution.logarithmic or self.rule.edges[0] > 0:
            return self.unbounded
        return bool(self.panels.density(np.zeros(1))[0] > SOME * self.f.max())

    @cached_property
    def log_f(self) -> Floats:
        """(m,) logarithm of `f`."""
        return np.log(np.maximum(self.f, TINY))

    @cached_property
    def log_slope(self) -> Callable[[float], float]:
        """Derivative of the log of the density of u."""
        return self.panels.log_slope()

    @cached_property
    def _mode(self) -> Floats:
        edges = self.rule.edges
        if self.unbounded:
            return np.zeros(1)
        height = self.log_f - self.substitution.log_derivative(self.rule.x)
        best = int(height.argmax())
        low, high = self.between(best)
        if best == 0 and self._rise(low) <= 0:
            tau = self.substitution.tau(edges[:1])
            return np.where(tau < tau_floor(self), 0.0, tau)
        top = root(self._rise, low, high)
        return self.substitution.tau(np.array([edges[0] if best == 0 and self._level(top) else top]))

    def between(self, node: int) -> tuple[float, float]:
        """Return the neighbours of a node, or the ends of the rule."""
        x, edges = self.rule.x, self.rule.edges
        low = edges[0] if node == 0 else x[node - 1]
        return float(low), float(x[node + 1] if node + 1 < x.size else edges[-1])

    def _level(self, u: float) -> bool:
        """Return whether the density of tau rises less than rounding errors from its beginning to u."""
        ends = np.array([self.rule.edges[0], u])
        height = self.panels.density(ends) * np.exp(-self.substitution.log_derivative(ends))
        return bool(height[0] >= height[1] * (1 - LEVEL))

    def _rise(self, u: float) -> float:
        """Return the derivative of the log of the density of tau with respect to u."""
        return self.log_slope(u) - self.substitution.bend(u)

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return (n, 1) independent draws; their distribution function is exact to about 1e-6."""
        best = self if self.finer is None else self.finer()
        return self.substitution.tau(best.panels.inverse(rng.random(n)))[:, None]


def root(rise: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function that falls through 0 does so, by false position (Illinois)."""
    at_low, at_high, side = rise(low), rise(high), 0
    if at_low <= 0 or at_high >= 0:
        return low if at_low <= 0 else high
    for _ in range(HALVINGS):
        point = (low * at_high - high * at_low) / (at_high - at_low)
        point = point if low < point < high else (low + high) / 2
        value = rise(point)
        if value > 0:
            moved, low, at_low = point - low, point, value
            at_high, side = (at_high / 2 if side > 0 else at_high), 1
        else:
            moved, high, at_high = high - point, point, value
            at_low, side = (at_low / 2 if side < 0 else at_low), -1
        if value == 0 or moved <= MET * abs(point):
            return point
    return point


def central_moment(density: TauDensity, g: Callable[[Floats], Floats], order: int) -> float:
    """Return a central moment of a function of tau; the caller knows that it exists."""
    centre = float(density.weights @ g(density.tau))
    return density.expectation(lambda tau: (g(tau) - centre) ** order)


def tau_floor(density: TauDensity) -> float:
    """Return the tau below which a density that is integrated over log tau counts as at 0."""
    return 1e-15 * density.substitution.scale if density.substitution.logarithmic else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class PointMass:
    """All the probability at one value."""

    value: float

    @property
    def lowest(self) -> float:
        """Where the distribution begins."""
        return self.value

    @property
    def size(self) -> int:
        """Number of quantities: 1."""
        return 1

    def select(self, index: int) -> PointMass:  # noqa: ARG002 - there is one quantity
        """Return the distribution itself."""
        return self

    def mean(self) -> Floats:
        """Return the (1,) value."""
        return np.array([self.value])

    mode = mean

    def sd(self) -> Floats:
        """Return (1,) zero."""
        return np.array([0.0])

    def skewness(self) -> Floats:
        """Return (1,) NaN: nothing varies."""
        return np.array([nan])

    def density(self, x: Floats) -> Floats:
        """Return (n, 1) infinity at the value, 0 elsewhere."""
        return np.where(np.asarray(x).reshape(-1, 1) == self.value, inf, 0.0)

    def differences(self, p: Floats) -> Floats:
        """Return (n, 1) zeros: nothing is integrated."""
        return np.zeros((np.size(p), 1))

    def cdf(self, x: Floats) -> Floats:
        """Return (n, 1) probabilities: 0 below the value, 1 from it on."""
        return np.where(np.asarray(x).reshape(-1, 1) >= self.value, 1.0, 0.0)

    def quantile(self, p: Floats) -> Floats:
        """Return (n, 1) times the value."""
        return np.full((np.size(p), 1), self.value)

    def sample(self, n: int, rng: np.random.Generator) -> Floats:  # noqa: ARG002 - nothing is random
        """Return (n, 1) times the value."""
        return np.full((n, 1), self.value)
