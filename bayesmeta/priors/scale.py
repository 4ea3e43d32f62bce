"""Priors of the between-study standard deviation: distributions on the positive half-line."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, nan, pi, sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import special

from bayesmeta.priors.core import Prior, within
from bayesmeta.priors.location import HALF_LOG_2PI, log_student_t

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats


FARTHEST = 1e150
"""Standardised value whose square is still finite."""
SLOWEST = 1 + 1e-9
"""Tail exponent of ``1 / (x log(x)^a)``, a > 1: 1, but integrable."""
NO_HETEROGENEITY = "for tau = 0 write effects = 'common'"


@dataclass(frozen=True, slots=True)
class PositivePrior(Prior):
    """A prior on the positive half-line."""

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, inf


@dataclass(frozen=True, slots=True)
class SmoothPrior(PositivePrior):
    """A prior with a density that is analytic on the positive half-line."""

    @property
    def smooth(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class HalfNormal(SmoothPrior):
    """Absolute value of a normal variable with mean 0 and standard deviation sigma."""

    instead_of_zero: ClassVar[str] = NO_HETEROGENEITY
    in_units: ClassVar[frozenset[str]] = frozenset({"sigma"})
    positive: ClassVar[frozenset[str]] = frozenset({"sigma"})
    sigma: float

    @property
    def even(self) -> bool:
        return True

    @property
    def mean(self) -> float:
        return self.sigma * sqrt(2 / pi)

    def logpdf(self, x: Floats) -> Floats:
        z = np.asarray(x) / self.sigma
        return within(x, -0.5 * z * z - HALF_LOG_2PI - log(self.sigma / 2), 0.0)

    def cdf(self, x: Floats) -> Floats:
        return np.asarray(special.erf(np.maximum(x, 0.0) / (self.sigma * 2**0.5)))

    def quantile(self, p: Floats) -> Floats:
        return np.asarray(self.sigma * 2**0.5 * special.erfinv(p))


@dataclass(frozen=True, slots=True)
class HalfCauchy(SmoothPrior):
    """Absolute value of a Cauchy variable with location 0 and scale beta."""

    instead_of_zero: ClassVar[str] = NO_HETEROGENEITY
    in_units: ClassVar[frozenset[str]] = frozenset({"beta"})
    positive: ClassVar[frozenset[str]] = frozenset({"beta"})
    beta: float

    @property
    def even(self) -> bool:
        return True

    @property
    def tail(self) -> float:
        return 2.0

    @property
    def mean(self) -> float:
        return nan

    def logpdf(self, x: Floats) -> Floats:
        z = np.asarray(x) / self.beta
        return within(x, -np.log1p(z * z) - log(pi * self.beta / 2), 0.0)

    def cdf(self, x: Floats) -> Floats:
        return np.asarray(2 / pi * np.arctan(np.maximum(x, 0.0) / self.beta))

    def quantile(self, p: Floats) -> Floats:
        return np.asarray(self.beta * np.tan(pi / 2 * np.asarray(p)))


@dataclass(frozen=True, slots=True)
class HalfStudentT(SmoothPrior):
    """Absolute value of a t variable with nu degrees of freedom, location 0 and scale sigma."""

    instead_of_zero: ClassVar[str] = NO_HETEROGENEITY
    in_units: ClassVar[frozenset[str]] = frozenset({"sigma"})
    positive: ClassVar[frozenset[str]] = frozenset({"nu", "sigma"})
    keywords: ClassVar[bool] = True
    nu: float
    sigma: float

    @property
    def even(self) -> bool:
        return True

    @property
    def tail(self) -> float:
        return self.nu + 1

    @property
    def mean(self) -> float:
        return _half_t_mean(self.nu) * self.sigma

    def logpdf(self, x: Floats) -> Floats:
        z = np.asarray(x) / self.sigma
        return within(x, log_student_t(z, self.nu) + log(2 / self.sigma), 0.0)

    def cdf(self, x: Floats) -> Floats:
        z = np.clip(np.asarray(x) / self.sigma, 0.0, FARTHEST)
        return np.asarray(special.betainc(0.5, self.nu / 2, z * z / (self.nu + z * z)))

    def quantile(self, p: Floats) -> Floats:
        p = np.asarray(p)
        share = special.betaincinv(0.5, self.nu / 2, np.minimum(p, 0.5))
        rest = special.betaincinv(self.nu / 2, 0.5, 1 - np.maximum(p, 0.5))
        with np.errstate(divide="ignore"):
            odds = np.where(p < 0.5, share / (1 - share), (1 - rest) / rest)
        return np.asarray(self.sigma * np.sqrt(self.nu * odds))


@dataclass(frozen=True, slots=True)
class Exponential(SmoothPrior):
    """Exponential distribution with rate lam."""

    in_inverse_units: ClassVar[frozenset[str]] = frozenset({"lam"})
    positive: ClassVar[frozenset[str]] = frozenset({"lam"})
    lam: float

    @property
    def mean(self) -> float:
        return 1 / self.lam

    def logpdf(self, x: Floats) -> Floats:
        return within(x, log(self.lam) - self.lam * np.asarray(x), 0.0)

    def cdf(self, x: Floats) -> Floats:
        return -np.expm1(-self.lam * np.maximum(x, 0.0))

    def quantile(self, p: Floats) -> Floats:
        return -np.log1p(-np.asarray(p)) / self.lam


@dataclass(frozen=True, slots=True)
class LogNormal(SmoothPrior):
    """Exponential of a normal variable with mean mu and standard deviation sigma."""

    positive: ClassVar[frozenset[str]] = frozenset({"sigma"})
    mu: float
    sigma: float

    @property
    def regular(self) -> bool:
        return False

    def rescaled(self, unit: float) -> LogNormal:
        return LogNormal(self.mu - log(unit), self.sigma)

    @property
    def mean(self) -> float:
        return exp(self.mu + self.sigma**2 / 2)

    def logpdf(self, x: Floats) -> Floats:
        log_x = log_of(x)
        z = (log_x - self.mu) / self.sigma
        return above_zero(x, -0.5 * z * z - HALF_LOG_2PI - log(self.sigma) - log_x)

    def cdf(self, x: Floats) -> Floats:
        return np.where(np.asarray(x) > 0, special.ndtr((log_of(x) - self.mu) / self.sigma), 0.0)

    def quantile(self, p: Floats) -> Floats:
        return np.exp(self.mu + self.sigma * special.ndtri(p))


@dataclass(frozen=True, slots=True)
class LogStudentT(SmoothPrior):
    """Exponential of a t variable with nu degrees of freedom, location mu and scale sigma.

    Notes
    -----
    The tail falls like ``1 / (x log(x)^(nu + 1))``: slower than any integrable power, so that no moment
    exists.
    """

    positive: ClassVar[frozenset[str]] = frozenset({"nu", "sigma"})
    keywords: ClassVar[bool] = True
    nu: float
    mu: float
    sigma: float

    @property
    def tail(self) -> float:
        return SLOWEST

    @property
    def regular(self) -> bool:
        return False

    @property
    def mean(self) -> float:
        return nan

    def rescaled(self, unit: float) -> LogStudentT:
        return LogStudentT(self.nu, self.mu - log(unit), self.sigma)

    def logpdf(self, x: Floats) -> Floats:
        log_x = log_of(x)
        z = (log_x - self.mu) / self.sigma
        return above_zero(x, log_student_t(z, self.nu) - log(self.sigma) - log_x)

    def cdf(self, x: Floats) -> Floats:
        z = (log_of(x) - self.mu) / self.sigma
        return np.where(np.asarray(x) > 0, special.stdtr(self.nu, z), 0.0)

    def quantile(self, p: Floats) -> Floats:
        with np.errstate(over="ignore"):
            return np.exp(self.mu + self.sigma * special.stdtrit(self.nu, p))


@dataclass(frozen=True, slots=True)
class Gamma(SmoothPrior):
    """Gamma distribution with shape alpha and rate beta."""

    in_inverse_units: ClassVar[frozenset[str]] = frozenset({"beta"})
    positive: ClassVar[frozenset[str]] = frozenset({"alpha", "beta"})
    keywords: ClassVar[bool] = True
    alpha: float
    beta: float

    @property
    def regular(self) -> bool:
        return self.alpha.is_integer()

    @property
    def mean(self) -> float:
        return self.alpha / self.beta

    def logpdf(self, x: Floats) -> Floats:
        constant = self.alpha * log(self.beta) - float(special.gammaln(self.alpha))
        power = special.xlogy(self.alpha - 1, np.maximum(x, 0.0))
        return within(x, constant + power - self.beta * np.asarray(x), 0.0)

    def cdf(self, x: Floats) -> Floats:
        return np.asarray(special.gammainc(self.alpha, self.beta * np.maximum(x, 0.0)))

    def quantile(self, p: Floats) -> Floats:
        return np.asarray(special.gammaincinv(self.alpha, p) / self.beta)


@dataclass(frozen=True, slots=True)
class InverseGamma(SmoothPrior):
    """Reciprocal of a gamma variable with shape alpha and rate beta."""

    in_units: ClassVar[frozenset[str]] = frozenset({"beta"})
    positive: ClassVar[frozenset[str]] = frozenset({"alpha", "beta"})
    keywords: ClassVar[bool] = True
    alpha: float
    beta: float

    @property
    def tail(self) -> float:
        return self.alpha + 1

    @property
    def regular(self) -> bool:
        return False

    @property
    def mean(self) -> float:
        return self.beta / (self.alpha - 1) if self.alpha > 1 else nan

    def logpdf(self, x: Floats) -> Floats:
        constant = self.alpha * log(self.beta) - float(special.gammaln(self.alpha))
        x = np.asarray(x)
        safe = np.where(x > 0, x, 1.0)
        return above_zero(x, constant - (self.alpha + 1) * np.log(safe) - self.beta / safe)

    def cdf(self, x: Floats) -> Floats:
        x = np.asarray(x)
        safe = np.where(x > 0, x, 1.0)
        return np.where(x > 0, special.gammaincc(self.alpha, self.beta / safe), 0.0)

    def quantile(self, p: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return np.asarray(self.beta / special.gammainccinv(self.alpha, p))


@dataclass(frozen=True, slots=True)
class Weibull(SmoothPrior):
    """Weibull distribution with shape alpha and scale beta."""

    in_units: ClassVar[frozenset[str]] = frozenset({"beta"})
    positive: ClassVar[frozenset[str]] = frozenset({"alpha", "beta"})
    keywords: ClassVar[bool] = True
    alpha: float
    beta: float

    @property
    def regular(self) -> bool:
        return self.alpha.is_integer()

    @property
    def mean(self) -> float:
        return self.beta * float(special.gamma(1 + 1 / self.alpha))

    def logpdf(self, x: Floats) -> Floats:
        z = np.maximum(x, 0.0) / self.beta
        with np.errstate(over="ignore"):
            fall = z**self.alpha
        return within(x, log(self.alpha / self.beta) + special.xlogy(self.alpha - 1, z) - fall, 0.0)

    def cdf(self, x: Floats) -> Floats:
        return -np.expm1(-((np.maximum(x, 0.0) / self.beta) ** self.alpha))

    def quantile(self, p: Floats) -> Floats:
        return np.asarray(self.beta * (-np.log1p(-np.asarray(p))) ** (1 / self.alpha))


@dataclass(frozen=True, slots=True)
class Lomax(SmoothPrior):
    """Lomax (shifted Pareto) distribution with shape alpha and the given scale."""

    in_units: ClassVar[frozenset[str]] = frozenset({"scale"})
    positive: ClassVar[frozenset[str]] = frozenset({"alpha", "scale"})
    keywords: ClassVar[bool] = True
    alpha: float
    scale: float

    @property
    def tail(self) -> float:
        return self.alpha + 1

    @property
    def mean(self) -> float:
        return self.scale / (self.alpha - 1) if self.alpha > 1 else nan

    def logpdf(self, x: Floats) -> Floats:
        z = np.maximum(x, 0.0) / self.scale
        return within(x, log(self.alpha / self.scale) - (self.alpha + 1) * np.log1p(z), 0.0)

    def cdf(self, x: Floats) -> Floats:
        return -np.expm1(-self.alpha * np.log1p(np.maximum(x, 0.0) / self.scale))

    def quantile(self, p: Floats) -> Floats:
        return self.scale * np.expm1(-np.log1p(-np.asarray(p)) / self.alpha)


def _half_t_mean(nu: float) -> float:
    """Return the mean of the absolute value of a t variable."""
    if nu <= 1:
        return nan
    ratio = exp(float(special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2)))
    return 2 * sqrt(nu / pi) * ratio / (nu - 1)


def log_of(x: Floats) -> Floats:
    """Return the logarithm of positive values, and 0 for the others."""
    x = np.asarray(x, dtype=np.float64)
    return np.log(np.where(x > 0, x, 1.0))


def above_zero(x: Floats, log_density: Floats) -> Floats:
    """Return the log density where x > 0, minus infinity elsewhere."""
    return np.where(np.asarray(x) > 0, log_density, -inf)
