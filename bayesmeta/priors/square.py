"""Priors of tau that are no density of their own: a known value, improper ones, and those of tau2."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan, sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bayesmeta.errors import PriorError, told
from bayesmeta.priors.core import Prior, within
from bayesmeta.priors.location import Flat
from bayesmeta.priors.scale import PositivePrior, above_zero, log_of

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats


@dataclass(frozen=True, slots=True)
class Fixed(Prior):
    """All the probability at one value."""

    in_units: ClassVar[frozenset[str]] = frozenset({"value"})
    value: float

    @property
    def support(self) -> tuple[float, float]:
        return self.value, self.value

    @property
    def mean(self) -> float:
        return self.value

    def cdf(self, x: Floats) -> Floats:
        return np.where(np.asarray(x) >= self.value, 1.0, 0.0)

    def quantile(self, p: Floats) -> Floats:
        return np.full(np.shape(p), self.value)

    def logpdf(self, x: Floats) -> Floats:
        return np.where(np.asarray(x) == self.value, inf, -inf)


@dataclass(frozen=True, slots=True)
class HalfFlat(Flat):
    """Improper density 1 above 0."""

    @property
    def for_location(self) -> bool:
        return False

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, inf

    def logpdf(self, x: Floats) -> Floats:
        return within(x, np.zeros(np.shape(x)), 0.0)


@dataclass(frozen=True, slots=True)
class Sqrt(PositivePrior):
    """Improper density ``tau^(-1/2)``."""

    proper: ClassVar[bool] = False

    @property
    def tail(self) -> float:
        return 0.5

    @property
    def typical(self) -> float:
        return inf

    @property
    def regular(self) -> bool:
        return False

    @property
    def mean(self) -> float:
        return nan

    def logpdf(self, x: Floats) -> Floats:
        return above_zero(x, -0.5 * log_of(x))


@dataclass(frozen=True, slots=True)
class OfSquare(PositivePrior):
    """Prior of a positive quantity, such as tau, whose square has the given prior."""

    square: Prior

    def __post_init__(self) -> None:
        if not isinstance(self.square, Prior):
            raise PriorError(f"OfSquare takes a prior such as HalfNormal(0.5); got {told(self.square)}")
        if self.square.support[0] < 0 and self.square.proper:
            raise PriorError(f"the prior of tau2 must live on positive values; got {self.square}")

    def __str__(self) -> str:
        return f"{self.square} on tau2"

    @property
    def proper(self) -> bool:  # type: ignore[override]
        """Whether the density integrates to 1."""
        return self.square.proper

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.square.support
        return max(low, 0.0) ** 0.5, high**0.5

    @property
    def tail(self) -> float:
        return 2 * self.square.tail - 1

    @property
    def typical(self) -> float:
        return sqrt(self.square.typical)

    @property
    def regular(self) -> bool:
        return self.square.regular

    @property
    def parts(self) -> tuple[tuple[float, Prior], ...]:
        if len(self.square.parts) == 1:
            return ((1.0, self),)
        return tuple((weight, of_square(part)) for weight, part in self.square.parts)

    def written(self) -> str:
        return f"{self.square.written()} on tau2"

    def rescaled(self, unit: float) -> OfSquare:
        return OfSquare(self.square.rescaled(unit * unit))

    def logpdf(self, x: Floats) -> Floats:
        x = np.asarray(x)
        with np.errstate(over="ignore"):
            return above_zero(x, self.square.logpdf(x * x) + log_of(2 * x))

    def cdf(self, x: Floats) -> Floats:
        return self.square.cdf(np.maximum(x, 0.0) ** 2)

    def quantile(self, p: Floats) -> Floats:
        return np.sqrt(self.square.quantile(p))


def of_square(square: Prior) -> Prior:
    """Return the prior of a positive quantity whose square has the given prior; a point stays one."""
    return Fixed(sqrt(square.value)) if isinstance(square, Fixed) else OfSquare(square)
