"""Distributions of increasing functions of tau: tau2, I2, H2."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.results.heterogeneity import PointMass, TauDensity, root

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats


class Scale(NamedTuple):
    """An increasing function of tau."""

    forward: Callable[[Floats], Floats]
    """From tau."""
    backward: Callable[[Floats], Floats]
    """To tau."""
    derivative: Callable[[Floats], Floats]
    """Of `forward`, at tau."""
    elasticity: Callable[[float], float]
    """Derivative of the log of `derivative` with respect to log tau."""
    order: float
    """Moments of the result need moments of tau of this order times theirs; 0 for a bounded function."""


SQUARE = Scale(np.square, np.sqrt, lambda tau: 2 * tau, lambda _: 1.0, 2)
"""tau2."""


def inconsistency(typical_v: float) -> Scale:
    """Return I2 in percent as a function of tau: ``100 tau^2 / (tau^2 + v)`` with the typical variance v.

    References
    ----------
    Higgins JPT, Thompson SG (2002). Quantifying heterogeneity in a meta-analysis. Stat Med 21:1539-1558.
    doi:10.1002/sim.1186
    """
    return Scale(
        lambda tau: 100 * tau**2 / (tau**2 + typical_v),
        lambda i2: np.sqrt(typical_v * i2) / np.sqrt(np.maximum(100 - i2, 1e-200)),
        lambda tau: 200 * (tau / (tau**2 + typical_v)) * (typical_v / (tau**2 + typical_v)),
        lambda tau: 1 - 4 * tau**2 / (tau**2 + typical_v),
        0,
    )


def variability(typical_v: float) -> Scale:
    """Return H2, the ratio of total to sampling variance, as a function of tau."""
    return Scale(
        lambda tau: 1 + tau**2 / typical_v,
        lambda h2: np.sqrt(typical_v * np.maximum(h2 - 1, 0.0)),
        lambda tau: 2 * tau / typical_v,
        lambda _: 1.0,
        2,
    )


@dataclass(frozen=True, eq=False)
class Transformed:
    """Distribution of an increasing function of tau."""

    base: TauDensity | PointMass
    scale: Scale

    @property
    def lowest(self) -> float:
        """Where the distribution begins."""
        return float(self.scale.forward(np.zeros(1))[0])

    @property
    def size(self) -> int:
        """Number of quantities: 1."""
        return 1

    def select(self, index: int) -> Transformed:  # noqa: ARG002 - there is one quantity
        """Return the distribution itself."""
        return self

    def _moment(self, order: int, g: Callable[[Floats], Floats]) -> float:
        if isinstance(self.base, PointMass):
            return float(g(self.base.mean())[0])
        return self.base.expectation(g) if self.base.has(order * self.scale.order) else nan

    @cached_property
    def _mean_and_sd(self) -> tuple[float, float]:
        if isinstance(self.base, PointMass):
            return float(self.scale.forward(self.base.mean())[0]), 0.0
        order = self.scale.order
        known = min(self.base.moments, self.base.integrated) / order if order else inf
        return self.base.mean_and_sd(self.scale.forward, known) if known >= 1 else (nan, nan)

    def mean(self) -> Floats:
        """Return the (1,) mean, NaN where it does not exist."""
        return np.array([self._mean_and_sd[0] if self._has(1) else nan])

    def sd(self) -> Floats:
        """Return the (1,) standard deviation, NaN where it does not exist."""
        return np.array([self._mean_and_sd[1] if self._has(2) else nan])

    def _has(self, order: int) -> bool:
        return isinstance(self.base, PointMass) or self.base.has(order * self.scale.order)

    def skewness(self) -> Floats:
        """Return the (1,) skewness, NaN where it does not exist."""
        centre = self._moment(1, self.scale.forward)
        third = self._moment(3, lambda tau: (self.scale.forward(tau) - centre) ** 3)
        with np.errstate(invalid="ignore"):
            return third / self.sd() ** 3

    def density(self, x: Floats) -> Floats:
        """Return the (n, 1) densities at `x`, shape (n,)."""
        tau = self.scale.backward(np.asarray(x, dtype=np.float64).reshape(-1))
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.base.density(tau) / self.scale.derivative(tau)[:, None]

    def cdf(self, x: Floats) -> Floats:
        """Return the (n, 1) probabilities below `x`, shape (n,)."""
        return self.base.cdf(self.scale.backward(np.asarray(x, dtype=np.float64).reshape(-1)))

    def quantile(self, p: Floats) -> Floats:
        """Return the (n, 1) points below which the probabilities are `p`, shape (n,)."""
        return self.scale.forward(self.base.quantile(p))

    def differences(self, p: Floats) -> Floats:
        """Return by how much the (n, 1) quantiles of two sets of nodes differ."""
        return self.base.differences(p) * self.scale.derivative(self.base.quantile(p))

    def mode(self) -> Floats:
        """Return the (1,) highest point of the density; 0 where it is unbounded there."""
        base = self.base
        if isinstance(base, PointMass):
            return self.scale.forward(base.mean())
        height = base.log_f - base.substitution.log_derivative(base.rule.x)
        with np.errstate(divide="ignore"):
            height -= np.log(self.scale.derivative(base.tau))
        best = int(height.argmax())
        if best == 0 or base.positive_at_zero:
            return self.scale.forward(np.array([0.0]))
        top = root(self._rise, *base.between(best))
        return self.scale.forward(base.substitution.tau(np.array([top])))

    def _rise(self, u: float) -> float:
        """Return the derivative of the log of the density with respect to u."""
        assert isinstance(self.base, TauDensity)  # noqa: S101 - a point mass has no derivative
        own = self.base.substitution
        tau = float(own.tau(np.array(u)))
        return self.base._rise(u) - self.scale.elasticity(tau) * own.growth(u)

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return (n, 1) independent draws."""
        return self.scale.forward(self.base.sample(n, rng))
