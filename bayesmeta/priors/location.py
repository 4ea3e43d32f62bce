"""Priors of effects and coefficients: distributions on the whole line, and on an interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import gamma, inf, isfinite, log, nan, pi, sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import special

from bayesmeta.errors import PriorError
from bayesmeta.priors.core import Prior, number, within

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats

HALF_LOG_2PI = 0.5 * log(2 * pi)


@dataclass(frozen=True, slots=True)
class LocationPrior(Prior):
    """A prior that effects and coefficients can have."""

    @property
    def for_location(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Normal(LocationPrior):
    """Normal distribution with mean mu and standard deviation sigma."""

    instead_of_zero: ClassVar[str] = "for a known value write a small standard deviation"
    in_units: ClassVar[frozenset[str]] = frozenset({"mu", "sigma"})
    positive: ClassVar[frozenset[str]] = frozenset({"sigma"})
    mu: float
    sigma: float

    @property
    def mean(self) -> float:
        return self.mu

    def logpdf(self, x: Floats) -> Floats:
        z = (np.asarray(x) - self.mu) / self.sigma
        return np.asarray(-0.5 * z * z - HALF_LOG_2PI - log(self.sigma))

    def cdf(self, x: Floats) -> Floats:
        return np.asarray(special.ndtr((np.asarray(x) - self.mu) / self.sigma))

    def quantile(self, p: Floats) -> Floats:
        return np.asarray(self.mu + self.sigma * special.ndtri(p))


@dataclass(frozen=True, slots=True)
class StudentT(LocationPrior):
    """Student's t distribution with nu degrees of freedom, location mu and scale sigma."""

    in_units: ClassVar[frozenset[str]] = frozenset({"mu", "sigma"})
    positive: ClassVar[frozenset[str]] = frozenset({"nu", "sigma"})
    keywords: ClassVar[bool] = True
    nu: float
    mu: float
    sigma: float

    @property
    def tail(self) -> float:
        return self.nu + 1

    @property
    def mean(self) -> float:
        return self.mu if self.nu > 1 else nan

    def logpdf(self, x: Floats) -> Floats:
        z = (np.asarray(x) - self.mu) / self.sigma
        return log_student_t(z, self.nu) - log(self.sigma)

    def cdf(self, x: Floats) -> Floats:
        return np.asarray(special.stdtr(self.nu, (np.asarray(x) - self.mu) / self.sigma))

    def quantile(self, p: Floats) -> Floats:
        return np.asarray(self.mu + self.sigma * special.stdtrit(self.nu, p))


@dataclass(frozen=True, slots=True)
class Cauchy(LocationPrior):
    """Cauchy distribution with location alpha and scale beta."""

    in_units: ClassVar[frozenset[str]] = frozenset({"alpha", "beta"})
    positive: ClassVar[frozenset[str]] = frozenset({"beta"})
    alpha: float
    beta: float

    @property
    def tail(self) -> float:
        return 2.0

    @property
    def mean(self) -> float:
        return nan

    def logpdf(self, x: Floats) -> Floats:
        z = (np.asarray(x) - self.alpha) / self.beta
        return np.asarray(-np.log1p(z * z) - log(pi * self.beta))

    def cdf(self, x: Floats) -> Floats:
        z = (np.asarray(x) - self.alpha) / self.beta
        return np.arctan2(1.0, -z) / pi

    def quantile(self, p: Floats) -> Floats:
        p = np.asarray(p)
        return self.alpha - self.beta / np.tan(pi * p)


@dataclass(frozen=True, slots=True)
class Laplace(LocationPrior):
    """Double exponential distribution with location mu and scale b."""

    in_units: ClassVar[frozenset[str]] = frozenset({"mu", "b"})
    positive: ClassVar[frozenset[str]] = frozenset({"b"})
    mu: float
    b: float

    @property
    def mean(self) -> float:
        return self.mu

    def logpdf(self, x: Floats) -> Floats:
        return np.asarray(-np.abs(np.asarray(x) - self.mu) / self.b - log(2 * self.b))

    def cdf(self, x: Floats) -> Floats:
        z = (np.asarray(x) - self.mu) / self.b
        below = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, below, 1 - below)

    def quantile(self, p: Floats) -> Floats:
        p = np.asarray(p)
        return self.mu - self.b * np.sign(p - 0.5) * np.log1p(-2 * np.abs(p - 0.5))


@dataclass(frozen=True, slots=True)
class Uniform(LocationPrior):
    """Uniform distribution between lower and upper."""

    in_units: ClassVar[frozenset[str]] = frozenset({"lower", "upper"})
    lower: float
    upper: float

    def __post_init__(self) -> None:
        Prior.__post_init__(self)
        if not self.lower < self.upper:
            bounds = f"{number(self.lower)} and {number(self.upper)}"
            raise PriorError(f"Uniform.lower must be below Uniform.upper; got {bounds}")

    @property
    def support(self) -> tuple[float, float]:
        return self.lower, self.upper

    @property
    def mean(self) -> float:
        return (self.lower + self.upper) / 2

    def logpdf(self, x: Floats) -> Floats:
        return within(x, np.asarray(-log(self.upper - self.lower)), self.lower, self.upper)

    def cdf(self, x: Floats) -> Floats:
        return np.clip((np.asarray(x) - self.lower) / (self.upper - self.lower), 0.0, 1.0)

    def quantile(self, p: Floats) -> Floats:
        return np.asarray(self.lower + (self.upper - self.lower) * np.asarray(p))


@dataclass(frozen=True, slots=True)
class Flat(LocationPrior):
    """Improper density 1 everywhere; as a prior of tau it is `HalfFlat`."""

    proper: ClassVar[bool] = False

    @property
    def even(self) -> bool:
        return True

    @property
    def smooth(self) -> bool:
        return True

    @property
    def tail(self) -> float:
        return 0.0

    @property
    def typical(self) -> float:
        return inf

    @property
    def mean(self) -> float:
        return nan

    def logpdf(self, x: Floats) -> Floats:
        return np.zeros(np.shape(x))


def log_student_t(z: Floats, nu: float) -> Floats:
    """Return the log density of Student's t with `nu` degrees of freedom at z."""
    constant = float(special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2)) - 0.5 * log(nu * pi)
    if nu < 100 and isfinite(gamma(nu / 2 + 0.5)):
        constant = log(gamma((nu + 1) / 2) / (gamma(nu / 2) * sqrt(nu * pi)))
    return np.asarray(constant - 0.5 * (nu + 1) * np.log1p(z * z / nu))
