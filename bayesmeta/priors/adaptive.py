"""Priors of tau that depend on the design: on the sampling variances, never on the effects.

A family is written without arguments, ``DuMouchel()``, and becomes a density by `bind`, once the standard
errors of the studies are known.

References
----------
Röver C (2020). Bayesian random-effects meta-analysis using the bayesmeta R package. J Stat Softw 93(6).
doi:10.18637/jss.v093.i06 (all of these priors)
Berger JO, Deely J (1988). A Bayesian approach to ranking and selection of related means. J Am Stat Assoc
83:364-373. doi:10.1080/01621459.1988.10478606
Daniels MJ (1999). A prior for the variance in hierarchical models. Can J Stat 27:567-578. doi:10.2307/3316112
DuMouchel W, Normand SL (2000). Computer-modeling and graphical strategies for meta-analysis. In: Meta-
Analysis in Medicine and Health Policy. Dekker.
Spiegelhalter DJ, Abrams KR, Myles JP (2004). Bayesian Approaches to Clinical Trials. Wiley, section 5.7.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, nan, pi, sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import special

from bayesmeta.arrays import readonly
from bayesmeta.errors import PriorError
from bayesmeta.priors.scale import PositivePrior, SmoothPrior

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.priors.core import Prior


@dataclass(frozen=True, slots=True)
class AdaptivePrior(PositivePrior):
    """A family of priors of tau indexed by the sampling variances of the studies."""

    exponent: ClassVar[float]
    """Tail exponent."""

    @property
    def tail(self) -> float:
        return self.exponent

    def bind(self, v: Floats) -> Prior:
        """Return the prior for studies with sampling variances `v`, shape (k,)."""
        raise NotImplementedError


def _harmonic(v: Floats) -> float:
    """Return the harmonic mean of the variances."""
    return float(v.size / np.sum(1 / v))


@dataclass(frozen=True, slots=True)
class DuMouchel(AdaptivePrior):
    """Proper density ``s0 / (s0 + tau)^2``, s0^2 being the harmonic mean of the variances."""

    exponent: ClassVar[float] = 2.0

    def bind(self, v: Floats) -> Prior:
        return Ratio("DuMouchel()", sqrt(_harmonic(v)), 1)


@dataclass(frozen=True, slots=True)
class UniformShrinkage(AdaptivePrior):
    """Uniform prior of the average shrinkage ``s0^2 / (s0^2 + tau^2)``."""

    exponent: ClassVar[float] = 3.0

    def bind(self, v: Floats) -> Prior:
        return Ratio("UniformShrinkage()", sqrt(_harmonic(v)), 2)


@dataclass(frozen=True, slots=True)
class UniformI2(AdaptivePrior):
    """Uniform prior of I2, with Higgins and Thompson's typical sampling variance; k >= 2."""

    exponent: ClassVar[float] = 3.0

    def bind(self, v: Floats) -> Prior:
        if v.size < 2:
            raise PriorError("UniformI2() needs at least 2 studies; got 1; use HalfNormal or HalfCauchy")
        w = 1 / v
        typical = (v.size - 1) * w.sum() / (w.sum() ** 2 - np.sum(w * w))
        return Ratio("UniformI2()", sqrt(typical), 2)


@dataclass(frozen=True, slots=True)
class Conventional(AdaptivePrior):
    """Proper density proportional to the geometric mean of ``tau / (s_i^2 + tau^2)^(3/2)``."""

    exponent: ClassVar[float] = 2.0

    def bind(self, v: Floats) -> Prior:
        return Product("Conventional()", v, kind="conventional")


@dataclass(frozen=True, slots=True)
class BergerDeely(AdaptivePrior):
    """Improper density, the geometric mean of ``tau / (s_i^2 + tau^2)``."""

    exponent: ClassVar[float] = 1.0
    proper: ClassVar[bool] = False

    def bind(self, v: Floats) -> Prior:
        return Product("BergerDeely()", v, kind="berger-deely")


@dataclass(frozen=True, slots=True)
class Jeffreys(AdaptivePrior):
    """Improper density ``sqrt(sum (tau / (s_i^2 + tau^2))^2)``, Jeffreys' rule for tau alone."""

    exponent: ClassVar[float] = 1.0
    proper: ClassVar[bool] = False

    def bind(self, v: Floats) -> Prior:
        return Product("Jeffreys()", v, kind="jeffreys")


@dataclass(frozen=True, slots=True)
class OverallJeffreys(AdaptivePrior):
    """Improper density of Jeffreys' rule for mu and tau together; not recommended for a location."""

    exponent: ClassVar[float] = 2.0
    proper: ClassVar[bool] = False

    def bind(self, v: Floats) -> Prior:
        return Product("OverallJeffreys()", v, kind="overall-jeffreys")


@dataclass(frozen=True, slots=True)
class Ratio(SmoothPrior):
    """Prior under which ``s0^q / (s0^q + tau^q)`` is uniform, with q = 1 or 2."""

    in_units: ClassVar[frozenset[str]] = frozenset({"s0"})
    name: str
    s0: float
    power: int

    def __post_init__(self) -> None:
        pass

    def __str__(self) -> str:
        return self.name

    @property
    def tail(self) -> float:
        return self.power + 1.0

    @property
    def mean(self) -> float:
        return nan if self.power == 1 else self.s0 * pi / 2

    def logpdf(self, x: Floats) -> Floats:
        x = np.asarray(x, dtype=np.float64)
        safe = np.where(x >= 0, x, 0.0) / self.s0
        with np.errstate(divide="ignore"):
            value = np.log(self.power * safe ** (self.power - 1)) - log(self.s0)
        return np.where(x >= 0, value - 2 * np.log1p(safe**self.power), -inf)

    def cdf(self, x: Floats) -> Floats:
        z = (np.maximum(x, 0.0) / self.s0) ** self.power
        return np.asarray(z / (1 + z))

    def quantile(self, p: Floats) -> Floats:
        p = np.asarray(p)
        with np.errstate(divide="ignore"):
            return np.asarray(self.s0 * (p / (1 - p)) ** (1 / self.power))


@dataclass(frozen=True, slots=True, eq=False)
class Product(PositivePrior):
    """Prior made of the information that each study has about tau."""

    name: str
    v: Floats
    kind: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "v", readonly(self.v))

    def __str__(self) -> str:
        return self.name

    def rescaled(self, unit: float) -> Product:
        return Product(self.name, self.v / unit**2, kind=self.kind)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Product) and self.kind == other.kind and np.array_equal(self.v, other.v)

    def __hash__(self) -> int:
        return hash((self.kind, self.v.tobytes()))

    @property
    def proper(self) -> bool:  # type: ignore[override]
        """Whether the density integrates to 1."""
        return self.kind == "conventional"

    @property
    def tail(self) -> float:
        return {"conventional": 2.0, "overall-jeffreys": 2.0}.get(self.kind, 1.0)

    @property
    def typical(self) -> float:
        return sqrt(_harmonic(self.v)) if self.proper else inf

    def logpdf(self, x: Floats) -> Floats:
        return self._log_kernel(x) - (self._log_constant() if self.proper else 0.0)

    def _log_kernel(self, x: Floats) -> Floats:
        x = np.asarray(x, dtype=np.float64)
        safe = np.where(x > 0, x, 1.0)
        total = self.v + safe[..., None] ** 2
        value = _KERNELS[self.kind](safe, total)
        return np.where(x > 0, value, -inf)

    def _log_constant(self) -> float:
        """Return the log of the integral, by the trapezoidal rule in log tau."""
        low, high = sqrt(self.v.min()), sqrt(self.v.max())
        u = np.linspace(log(low) - 40, log(high) + 40, 4001)
        return float(np.logaddexp.reduce(self._log_kernel(np.exp(u)) + u) + log(u[1] - u[0]))

    def cdf(self, x: Floats) -> Floats:
        if not self.proper:
            raise PriorError(f"{self} is improper and has no distribution function; use a proper prior")
        return np.asarray(np.vectorize(self._cdf_at, otypes=[float])(x))

    def _cdf_at(self, x: float) -> float:
        if x <= 0:
            return 0.0
        u = np.linspace(log(sqrt(self.v.min())) - 40, log(x), 8001)
        h = u[1] - u[0]
        values = np.exp(self.logpdf(np.exp(u)) + u)
        correction = (h / 24) * (3 * values[-1] - 4 * values[-2] + values[-3])
        return float(h * (values.sum() - 0.5 * values[-1]) - correction)

    def quantile(self, p: Floats) -> Floats:
        from scipy import optimize

        low, high = log(sqrt(self.v.min())) - 39, log(sqrt(self.v.max())) + 39

        def at(probability: float) -> float:
            if probability <= 0 or probability >= 1:
                return 0.0 if probability <= 0 else inf
            return float(np.exp(optimize.brentq(lambda u: self._cdf_at(np.exp(u)) - probability, low, high)))

        return np.asarray(np.vectorize(at, otypes=[float])(p))


def _log_power_sum(total: Floats, power: float) -> Floats:
    """Return the log of the sum over studies of a power of their total variances, which may be huge."""
    return np.asarray(special.logsumexp(power * np.log(total), axis=-1))


_KERNELS = {
    "conventional": lambda x, total: np.log(x) - 1.5 * np.log(total).mean(axis=-1),
    "berger-deely": lambda x, total: np.log(x) - np.log(total).mean(axis=-1),
    "jeffreys": lambda x, total: np.log(x) + 0.5 * _log_power_sum(total, -2.0),
    "overall-jeffreys": lambda x, total: (
        np.log(x) + 0.5 * (_log_power_sum(total, -1.0) + _log_power_sum(total, -2.0))
    ),
}
"""Log densities at tau (m,), given ``v + tau^2`` (m, k)."""
