"""Blends: weighted mixtures of posteriors of the same quantities.

A prior that is a mixture has a posterior that is one: that of each component, weighted by prior weight times
evidence. So spike-and-slab priors of tau, robust priors of mu and the averages over models are one thing.

References
----------
Hoeting JA, Madigan D, Raftery AE, Volinsky CT (1999). Bayesian model averaging: a tutorial. Stat Sci
14:382-417. doi:10.1214/ss/1009212519
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.inversion import invert
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.results.transformed import Transformed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.results.marginal import Distribution

CANDIDATES = np.linspace(0.005, 0.995, 199)
"""Probabilities at whose quantiles the search for the highest point looks."""
GOLDEN = (5**0.5 - 1) / 2
NARROWINGS = 60
TINY = float(np.finfo(float).tiny)


def posterior_weights(log_evidence: Sequence[float] | Floats, prior: Sequence[float] | Floats) -> Floats:
    """Return the (n,) posterior probabilities of models.

    Parameters
    ----------
    log_evidence : (n,) array
        Log marginal likelihood of each.
    prior : (n,) array
        Prior probability of each, or a number proportional to it.
    """
    with np.errstate(divide="ignore"):
        log_weight = np.asarray(log_evidence, dtype=np.float64) + np.log(np.asarray(prior, dtype=np.float64))
    weight = np.exp(log_weight - log_weight.max())
    return np.asarray(weight / weight.sum())


def average_evidence(log_evidence: Sequence[float] | Floats, prior: Sequence[float] | Floats) -> float:
    """Return the log of the mean of the marginal likelihoods of models, weighted by their priors."""
    share = np.asarray(prior, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return float(np.logaddexp.reduce(np.asarray(log_evidence) + np.log(share / share.sum())))


def blend(parts: Sequence[Distribution], weights: Sequence[float] | Floats) -> Distribution:
    """Return the mixture of distributions of the same quantities.

    Parameters
    ----------
    parts : sequence of Distribution
        Each of q quantities.
    weights : (n,) array
        Their probabilities; parts of probability 0 are left out.

    Notes
    -----
    Mixtures of normal distributions make one, with all of its answers; others make a `Blend`.
    """
    share = np.asarray(weights, dtype=np.float64)
    kept = [part for part, weight in zip(parts, share, strict=True) if weight > 0]
    share = share[share > 0] / share.sum()
    if len(kept) == 1:
        return kept[0]
    if all(isinstance(part, NormalMixture) for part in kept):
        return _merged(kept, share)  # type: ignore[arg-type]
    return Blend(tuple(kept), readonly(share))


def _merged(parts: Sequence[NormalMixture], weights: Floats) -> NormalMixture:
    """Return mixtures of normal distributions as one, on the nodes of all."""
    moments = np.min([np.broadcast_to(np.asarray(part.moments), part.size) for part in parts], axis=0)

    @cache
    def finer() -> NormalMixture:
        return _merged([part if part.finer is None else part.finer() for part in parts], weights)

    return NormalMixture(
        np.concatenate([weight * part.weights for part, weight in zip(parts, weights, strict=True)]),
        np.concatenate([part.means for part in parts]),
        np.concatenate([part.sds for part in parts]),
        moments,
        finer if any(part.finer is not None for part in parts) else None,
    )


@dataclass(frozen=True, eq=False)
class Blend:
    """Mixture of distributions of q quantities; a `Distribution` itself.

    Attributes
    ----------
    parts : tuple of Distribution
        What is mixed; point masses are among them.
    weights : (n,) array
        Their probabilities, above 0.
    """

    parts: tuple[Distribution, ...]
    weights: Floats

    @property
    def size(self) -> int:
        """Number of quantities, q."""
        return self.parts[0].size

    @property
    def lowest(self) -> float | None:
        """Where the distribution begins, if all of its parts say so."""
        ends = [getattr(part, "lowest", None) for part in self.parts]
        return None if None in ends else float(min(ends))  # type: ignore[type-var, arg-type]

    @cached_property
    def atoms(self) -> dict[float, float]:
        """Probability of each single value that has one."""
        found: dict[float, float] = {}
        for part, weight in zip(self.parts, self.weights, strict=True):
            value = _single_value(part)
            if value is not None:
                found[value] = found.get(value, 0.0) + float(weight)
        return found

    def select(self, index: int) -> Blend:
        """Return the distribution of one quantity alone."""
        return Blend(tuple(part.select(index) for part in self.parts), self.weights)

    def mean(self) -> Floats:
        """Return the (q,) means; NaN where they do not exist."""
        return np.asarray(self.weights @ np.array([part.mean() for part in self.parts]))

    def sd(self) -> Floats:
        """Return the (q,) standard deviations; NaN where they do not exist."""
        means, sds = (np.array([getattr(part, name)() for part in self.parts]) for name in ("mean", "sd"))
        return np.asarray(np.sqrt(self.weights @ (sds**2 + (means - self.weights @ means) ** 2)))

    def skewness(self) -> Floats:
        """Return the (q,) skewnesses; NaN where they do not exist."""
        means, sds, skews = (
            np.array([getattr(part, name)() for part in self.parts]) for name in ("mean", "sd", "skewness")
        )
        off = means - self.weights @ means
        third = np.where(sds > 0, skews * sds**3, 0.0) + 3 * off * sds**2 + off**3
        with np.errstate(invalid="ignore"):
            return np.asarray(self.weights @ third) / self.sd() ** 3

    def density(self, x: Floats) -> Floats:
        """Return the (n, q) densities at `x`, shape (n,) or (n, q), single values with a probability apart.

        It integrates to 1 less the probability of the `atoms`.
        """
        varying = [_single_value(part) is None for part in self.parts]
        parts = zip(self.parts, varying, strict=True)
        return self._sum([_at(part, "density", x) if varies else 0.0 for part, varies in parts])

    def cdf(self, x: Floats) -> Floats:
        """Return the (n, q) probabilities of values up to `x`, shape (n,) or (n, q)."""
        return self._sum([_at(part, "cdf", x) for part in self.parts])

    def _sum(self, values: Sequence[Floats | float]) -> Floats:
        return np.asarray(sum(weight * value for weight, value in zip(self.weights, values, strict=True)))

    def quantile(self, p: Floats) -> Floats:
        """Return the (n, q) smallest points up to which the probabilities are `p`, shape (n,) or (n, q).

        Raises
        ------
        NumericalError
            If the iteration does not settle.

        Notes
        -----
        Each lies between the least and the greatest of the quantiles of the parts.
        """
        p = np.asarray(p, dtype=np.float64)
        ends = np.array([_at(part, "quantile", p) for part in self.parts])
        p = np.broadcast_to(p[:, None] if p.ndim == 1 else p, ends.shape[1:])
        x, settled = self._at_ends_or_atoms(p, ends.min(axis=0), ends.max(axis=0))
        if settled.all():
            return x
        low, high = ends.min(axis=0), ends.max(axis=0)
        width = np.maximum(self._width(), TINY)
        found = invert(self.cdf, self.density, p, low=low, high=high, width=width, settled=settled)
        return np.where(settled, x, found)

    def _at_ends_or_atoms(self, p: Floats, low: Floats, high: Floats) -> tuple[Floats, Bools]:
        """Return quantiles that are single values or the lower ends, and where they are."""
        at_low = self.cdf(low) >= p
        x, settled = np.where(at_low, low, high), at_low | (low == high)
        for value, weight in self.atoms.items():
            below = self.cdf(np.full(p.shape, value))
            here = (below - weight < p) & (p <= below) & ~settled
            x, settled = np.where(here, value, x), settled | here
        return x, settled

    def _width(self) -> Floats:
        """Return the (q,) smallest of the quartile ranges of the parts that vary."""
        quartiles = np.array([part.quantile(np.array([0.25, 0.75])) for part in self.parts])
        ranges = quartiles[:, 1] - quartiles[:, 0]
        return np.asarray(np.where(ranges > 0, ranges, np.inf).min(axis=0))

    def mode(self) -> Floats:
        """Return the (q,) highest points of the densities; the likeliest single value if there are some."""
        if self.atoms:
            return np.full(self.size, max(self.atoms, key=lambda value: self.atoms[value]))
        return np.array([_highest(self.select(index)) for index in range(self.size)])

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return (n, q) independent draws."""
        counts = rng.multinomial(n, self.weights)
        drawn = [part.sample(int(m), rng) for part, m in zip(self.parts, counts, strict=True)]  # type: ignore[attr-defined]
        return np.asarray(rng.permutation(np.concatenate(drawn)))


def _at(part: Distribution, name: str, x: Floats) -> Floats:
    """Return the (n, q) densities, probabilities or quantiles of a part at x, shape (n,) or (n, q)."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim == 1 or isinstance(part, NormalMixture):
        return np.asarray(getattr(part, name)(x))
    columns = [getattr(part.select(j), name)(x[:, j]) for j in range(part.size)]
    return np.concatenate(columns, axis=1)


def _single_value(part: Distribution) -> float | None:
    """Return the only value of a point mass, or of a function of one; None for what varies."""
    if isinstance(part, PointMass):
        return part.value
    if isinstance(part, Transformed) and isinstance(part.base, PointMass):
        return float(part.mean()[0])
    return None


def _highest(distribution: Blend) -> float:
    """Return the highest point of a density: the best of many quantiles, then between its neighbours."""
    modes = np.array([part.mode()[0] for part in distribution.parts])
    points = np.unique(np.concatenate([modes, distribution.quantile(CANDIDATES)[:, 0]]))
    height = distribution.density(points)[:, 0]
    best = int(np.nanargmax(height))
    if not np.isfinite(height[best]):
        return float(points[best])
    low, high = points[max(best - 1, 0)], points[min(best + 1, points.size - 1)]
    top = _narrowed(lambda x: float(distribution.density(np.array([x]))[0, 0]), float(low), float(high))
    return top if distribution.density(np.array([top]))[0, 0] >= height[best] else float(points[best])


def _narrowed(height: Callable[[float], float], low: float, high: float) -> float:
    """Return the highest point of a function with one peak, by golden sections; good to half the digits."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = height(left), height(right)
    for _ in range(NARROWINGS):
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = height(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = height(right)
    return (low + high) / 2
