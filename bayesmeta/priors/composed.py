"""Priors made of others: truncated ones, mixtures, and a point mass with a slab.

References
----------
Schmidli H, Gsteiger S, Roychoudhury S, et al (2014). Robust meta-analytic-predictive priors in clinical
trials with historical control information. Biometrics 70:1023-1032. doi:10.1111/biom.12242
Mitchell TJ, Beauchamp JJ (1988). Bayesian variable selection in linear regression. J Am Stat Assoc
83:1023-1032. doi:10.1080/01621459.1988.10478694
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import PriorError, told
from bayesmeta.inversion import invert
from bayesmeta.priors.adaptive import AdaptivePrior
from bayesmeta.priors.core import Prior, number, within
from bayesmeta.priors.square import Fixed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats

LEAST = 1e-6
"""Smallest probability that a truncation may leave: its rounding error is 1e-16."""
SLACK = 1e-6
"""How far from 1 the weights of a mixture may sum, as rounded ones do."""


@dataclass(frozen=True, slots=True)
class Truncated(Prior):
    """A prior restricted to the values from lower to upper, and scaled up to a probability of 1."""

    kinds: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"prior": "prior", "lower": "bound", "upper": "bound"}
    )
    prior: Prior
    lower: float = -inf
    upper: float = inf

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", _part("Truncated", self.prior))
        if any(isinstance(part, Fixed) for _, part in self.prior.parts):
            raise PriorError(f"Truncated takes a prior with a density; got {self.prior}")
        for name in ("lower", "upper"):
            object.__setattr__(self, name, _bound(f"Truncated.{name}", getattr(self, name)))
        if not self.lower < self.upper:
            bounds = f"{number(self.lower)} and {number(self.upper)}"
            raise PriorError(f"Truncated.lower must be below Truncated.upper; got {bounds}")
        if not self._mass >= LEAST:
            raise PriorError(
                f"{self.prior} has less than 1e-6 of its probability between {number(self.lower)} and "
                f"{number(self.upper)}; choose a prior that lives there"
            )

    def __str__(self) -> str:
        return self._shown(str(self.prior))

    def _shown(self, prior: str) -> str:
        bounds = [
            f"{name}={number(getattr(self, name))}"
            for name in ("lower", "upper")
            if np.isfinite(getattr(self, name))
        ]
        return f"Truncated({', '.join([prior, *bounds])})"

    def written(self) -> str:
        return self._shown(self.prior.written())

    @property
    def _below(self) -> float:
        """Probability that is cut off below."""
        return float(self.prior.cdf(np.array(self.lower))) if np.isfinite(self.lower) else 0.0

    @property
    def _mass(self) -> float:
        """Probability that is left."""
        upper = float(self.prior.cdf(np.array(self.upper))) if np.isfinite(self.upper) else 1.0
        return upper - self._below

    @property
    def support(self) -> tuple[float, float]:
        low, high = self.prior.support
        return max(low, self.lower), min(high, self.upper)

    @property
    def tail(self) -> float:
        low, high = self.support
        return inf if np.isfinite(high) and np.isfinite(low) else self.prior.tail

    @property
    def regular(self) -> bool:
        return self.prior.regular or self.lower > 0

    @property
    def for_location(self) -> bool:
        return self.prior.for_location

    def rescaled(self, unit: float) -> Truncated:
        return Truncated(self.prior.rescaled(unit), self.lower / unit, self.upper / unit)

    def logpdf(self, x: Floats) -> Floats:
        return within(x, self.prior.logpdf(x) - np.log(self._mass), *self.support)

    def cdf(self, x: Floats) -> Floats:
        share = (self.prior.cdf(np.clip(x, *self.support)) - self._below) / self._mass
        return np.where(np.asarray(x) >= self.support[1], 1.0, np.clip(share, 0.0, 1.0))

    def quantile(self, p: Floats) -> Floats:
        inside = self._below + self._mass * np.asarray(p)
        return np.clip(self.prior.quantile(np.minimum(inside, 1.0)), *self.support)


@dataclass(frozen=True, slots=True)
class MixedPrior(Prior):
    """A prior that is one of several, each with its probability; `parts` lists them."""

    @property
    def support(self) -> tuple[float, float]:
        ends = [part.support for _, part in self.parts]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def tail(self) -> float:
        return min(part.tail for _, part in self.parts)

    @property
    def regular(self) -> bool:
        return all(part.regular for _, part in self.parts)

    @property
    def even(self) -> bool:
        return all(part.even for _, part in self.parts)

    @property
    def smooth(self) -> bool:
        return all(part.smooth for _, part in self.parts)

    @property
    def for_location(self) -> bool:
        return all(part.for_location for _, part in self.parts)

    @property
    def mean(self) -> float:
        return float(sum(weight * part.mean for weight, part in self.parts))

    def logpdf(self, x: Floats) -> Floats:
        """Return the log density at `x`; at a single value that has a probability, its logarithm."""
        x = np.asarray(x, dtype=np.float64)
        spread = [(weight, part) for weight, part in self.parts if not isinstance(part, Fixed)]
        terms = [np.log(weight) + part.logpdf(x) for weight, part in spread]
        value = np.logaddexp.reduce(terms, axis=0) if terms else np.full(x.shape, -inf)
        for single, weight in _atoms(self).items():
            value = np.where(x == single, np.log(weight), value)
        return np.asarray(value)

    def cdf(self, x: Floats) -> Floats:
        return np.asarray(sum(weight * part.cdf(x) for weight, part in self.parts))

    def quantile(self, p: Floats) -> Floats:
        p = np.asarray(p, dtype=np.float64)
        ends = np.array([part.quantile(p) for _, part in self.parts])
        low, high = ends.min(axis=0), ends.max(axis=0)
        x, settled = np.where(self.cdf(low) >= p, low, high), (self.cdf(low) >= p) | ~(low < high)
        for single, weight in _atoms(self).items():
            top = self.cdf(np.array(single))
            here = (top - weight < p) & (p <= top) & ~settled
            x, settled = np.where(here, single, x), settled | here
        if settled.all():
            return np.asarray(x)
        sizes = [part.typical for _, part in self.parts if part.typical > 0]

        def density(at: Floats) -> Floats:
            return np.exp(self.logpdf(at))

        found = invert(
            self.cdf,
            density,
            p,
            low=np.where(settled, 0.0, low),
            high=np.where(settled, 0.0, high),
            width=min(sizes, default=1.0),
            settled=settled,
        )
        return np.where(settled, x, found)

    def sample(self, size: int, rng: np.random.Generator) -> Floats:
        shares = np.array([weight for weight, _ in self.parts])
        counts = rng.multinomial(size, shares / shares.sum())
        drawn = [part.sample(int(n), rng) for (_, part), n in zip(self.parts, counts, strict=True)]
        return np.asarray(rng.permutation(np.concatenate(drawn)))


@dataclass(frozen=True, slots=True)
class Mixture(MixedPrior):
    """Each of the component priors, with the probabilities w."""

    kinds: ClassVar[Mapping[str, str]] = MappingProxyType({"w": "numbers", "comp_dists": "priors"})
    w: tuple[float, ...]
    comp_dists: tuple[Prior, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "w", _weights(self.w))
        object.__setattr__(self, "comp_dists", _components(self.comp_dists))
        if len(self.w) != len(self.comp_dists):
            raise PriorError(
                f"Mixture needs a weight for each component; got {len(self.w)} and {len(self.comp_dists)}"
            )

    def __str__(self) -> str:
        return self._shown([str(part) for part in self.comp_dists])

    def written(self) -> str:
        return self._shown([part.written() for part in self.comp_dists])

    def _shown(self, parts: list[str]) -> str:
        return f"Mixture([{', '.join(map(number, self.w))}], [{', '.join(parts)}])"

    @property
    def parts(self) -> tuple[tuple[float, Prior], ...]:
        return tuple(
            (weight * share, part)
            for weight, component in zip(self.w, self.comp_dists, strict=True)
            for share, part in component.parts
        )

    def rescaled(self, unit: float) -> Mixture:
        return Mixture(self.w, tuple(part.rescaled(unit) for part in self.comp_dists))


@dataclass(frozen=True, slots=True)
class SpikeSlab(MixedPrior):
    """The value 0 with probability p, and otherwise a draw of the slab."""

    kinds: ClassVar[Mapping[str, str]] = MappingProxyType({"slab": "prior"})
    p: float
    slab: Prior

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", _finite("SpikeSlab.p", self.p))
        if not 0 < self.p < 1:
            raise PriorError(f"SpikeSlab.p must be between 0 and 1; got {number(self.p)}")
        object.__setattr__(self, "slab", _part("SpikeSlab", self.slab))

    def __str__(self) -> str:
        return f"SpikeSlab({number(self.p)}, {self.slab})"

    def written(self) -> str:
        return f"SpikeSlab({number(self.p)}, {self.slab.written()})"

    @property
    def parts(self) -> tuple[tuple[float, Prior], ...]:
        slab = tuple(((1 - self.p) * share, part) for share, part in self.slab.parts)
        return ((self.p, Fixed(0)), *slab)

    @property
    def for_location(self) -> bool:
        return False

    def rescaled(self, unit: float) -> SpikeSlab:
        return SpikeSlab(self.p, self.slab.rescaled(unit))


def _atoms(prior: Prior) -> dict[float, float]:
    """Return the probability of each single value that has one."""
    found: dict[float, float] = {}
    for weight, part in prior.parts:
        if isinstance(part, Fixed):
            found[part.value] = found.get(part.value, 0.0) + weight
    return found


def _part(name: str, given: object) -> Prior:
    """Return a component, which may be given as text."""
    from bayesmeta.priors.text import parse_prior

    prior = parse_prior(given) if isinstance(given, str) else given
    if not isinstance(prior, Prior):
        raise PriorError(f"{name} takes a prior such as HalfNormal(0.5); got {told(given)}")
    if isinstance(prior, AdaptivePrior):
        raise PriorError(f"{name} takes a prior that does not depend on the studies; got {prior}")
    if not prior.proper:
        raise PriorError(f"{name} takes a proper prior; got {prior}")
    return prior


def _finite(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise PriorError(f"{name} must be a number; got {told(value)}")
    if not strictly_between(value, -inf, inf):
        raise PriorError(f"{name} must be a finite number; got {told(value)}")
    return float(value)


def _bound(name: str, value: object) -> float:
    """Return a bound of a range, which may be infinite."""
    infinite = isinstance(value, float) and np.isinf(value)
    return float(value) if infinite else _finite(name, value)  # type: ignore[arg-type]


def _weights(values: object) -> tuple[float, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise PriorError(f"Mixture.w must be a list of probabilities; got {told(values)}")
    weights = [_finite("Mixture.w", value) for value in values]
    total = sum(weights)
    if min(weights, default=0.0) <= 0 or abs(total - 1) > SLACK:
        raise PriorError(
            f"Mixture.w must be positive and sum to 1; got {', '.join(map(number, weights)) or 'nothing'}"
        )
    exact = abs(total - 1) <= len(weights) * np.finfo(float).eps
    return tuple(weights) if exact else tuple(weight / total for weight in weights)


def _components(values: object) -> tuple[Prior, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise PriorError(f"Mixture.comp_dists must be a list of priors; got {told(values)}")
    return tuple(_part("Mixture", value) for value in values)
