"""Finite mixtures of normal distributions: what every effect is once tau has been integrated on nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan, pi, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.errors import NumericalError
from bayesmeta.results.certificate import agree, beyond

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats, Ints

STEPS = 100
SQRT_2PI = sqrt(2 * pi)
TINY = np.finfo(float).tiny
CUBIC = 1e-3
"""Last step of Halley's method, on the scale of the distribution; the error after it is its cube."""
NEGLIGIBLE = 1e-14
"""Nodes that together hold less than this part of the smallest probability asked for are left out."""
MOMENTS = {"_centre": 1, "_spread": 2, "_asymmetry": 3}
"""Order of each moment."""
SQUARED = 1e-6
"""Last step of Newton's method, on the scale of the distribution; the error after it is its square."""
CANDIDATES = 16
"""Most nodes at whose means the search for the highest point of a density looks."""


class _Tail(NamedTuple):
    """Distribution function of a mixture and its first three derivatives, each (n, q)."""

    cdf: Floats
    slope: Floats
    curvature: Floats


class Part(NamedTuple):
    """Which quantities of a larger mixture these are: tables ask for all of them at once."""

    whole: NormalMixture
    place: slice


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """Mixtures of the same m nodes for q quantities at once.

    Attributes
    ----------
    weights : (m,) array
        Probability of each node; they sum to 1.
    means, sds : (m, q) arrays
        Mean and standard deviation of each quantity at each node.
    moments : int or (q,) array of int
        Highest moment that exists: means are NaN below 1, standard deviations below 2, skewness below 3.
    finer : callable, optional
        Returns the same on twice the panels, against which every answer is checked.
    offset, deviations : (q,) and (m, q) arrays, optional
        The means as a sum, for quantities so far from 0 that means have few digits for their differences.
    part : Part, optional
        Larger mixture of which this is a part.
    """

    weights: Floats
    means: Floats
    sds: Floats
    moments: int | Ints = 3
    finer: Callable[[], NormalMixture] | None = None
    offset: Floats | None = None
    deviations: Floats | None = None
    part: Part | None = None

    @property
    def size(self) -> int:
        """Number of quantities, q."""
        return int(self.means.shape[1])

    @cached_property
    def _offset(self) -> Floats:
        return self.means[0] if self.offset is None else self.offset

    @cached_property
    def _deviations(self) -> Floats:
        return self.means - self._offset if self.deviations is None else self.deviations

    @cached_property
    def remembered(self) -> dict[object, Any]:
        """Answers that were given before."""
        return {}

    def select(self, index: int) -> NormalMixture:
        """Return the mixture of one quantity alone."""
        return self.taken(slice(index, index + 1))

    def taken(self, place: slice, *, remember: bool = False) -> NormalMixture:
        """Return the mixture of some quantities.

        Parameters
        ----------
        place : slice
            Which ones, of step 1.
        remember : bool
            Whether tables are to ask for all quantities of this one at once.
        """
        finer, moments = self.finer, self.moments
        part = self.part
        if remember:
            part = Part(self, place)
        elif part is not None:
            first = part.place.start
            part = Part(part.whole, slice(first + place.start, first + place.stop))
        return NormalMixture(
            self.weights,
            self.means[:, place],
            self.sds[:, place],
            moments if isinstance(moments, int) else moments[place],
            None if finer is None else lambda: finer().taken(place),
            None if self.offset is None else self.offset[place],
            None if self.deviations is None else self.deviations[:, place],
            part,
        )

    def mean(self) -> Floats:
        """Return the (q,) means; NaN where they do not exist."""
        return self._offset + self._where_exists(1, "_centre")

    def sd(self) -> Floats:
        """Return the (q,) standard deviations; NaN where they do not exist."""
        return self._where_exists(2, "_spread")

    def skewness(self) -> Floats:
        """Return the (q,) skewnesses; NaN where they do not exist."""
        return self._where_exists(3, "_asymmetry")

    def _where_exists(self, order: int, moment: str) -> Floats:
        exists = np.asarray(self.moments) >= order
        value = self._settled(moment) if exists.any() else np.zeros(self.size)
        return value if exists.all() else np.where(exists, value, nan)

    def _settled(self, moment: str) -> Floats:
        value: Floats = getattr(self, moment)
        if self.finer is None:
            return value
        finer = self.finer()
        other: Floats = getattr(finer, moment)
        if moment == "_centre":
            other = other + (finer._offset - self._offset)
        size = 1.0 if moment == "_asymmetry" else finer._spread
        moved = np.abs(value - other)
        exists = np.asarray(self.moments) >= MOMENTS[moment]
        settled = agree(moved if exists.all() else np.where(exists, moved, 0.0), size)
        return other if settled else finer._settled(moment)

    @cached_property
    def _centre(self) -> Floats:
        return np.asarray(self.weights @ self._deviations)

    @cached_property
    def _spread(self) -> Floats:
        centred = self._deviations - self._centre
        return np.sqrt(self.weights @ (self.sds * self.sds + centred * centred))

    @property
    def _asymmetry(self) -> Floats:
        centred = self._deviations - self._centre
        return np.asarray(self.weights @ (centred**3 + 3 * centred * self.sds**2)) / self._spread**3

    def density(self, x: Floats) -> Floats:
        """Return the (n, q) densities at `x`, shape (n,) or (n, q)."""
        best = self if self.finer is None else self.finer()
        z, sds = best._standardised(x)
        return np.asarray(np.exp(-0.5 * z * z) / (sds * SQRT_2PI) @ best.weights)

    def cdf(self, x: Floats) -> Floats:
        """Return the (n, q) probabilities below `x`, shape (n,) or (n, q)."""
        value = self._below(x)
        if self.finer is None:
            return value
        finer = self.finer()
        other = finer._below(x)
        slack = np.abs(np.asarray(x).reshape(other.shape[0], -1)) / np.maximum(self.sds.min(axis=0), TINY)
        return other if agree(beyond(value - other, slack)) else finer.cdf(x)

    def _below(self, x: Floats) -> Floats:
        z, _ = self._standardised(x)
        return np.asarray(special.ndtr(z) @ self.weights)

    def derivatives(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return distribution function, density and its slope, each (n, q), at `x` (n, q)."""
        best = self if self.finer is None else self.finer()
        return best._tail(x - best._offset, np.ones(x.shape))

    def _standardised(self, x: Floats) -> tuple[Floats, Floats]:
        x = np.asarray(x, dtype=np.float64)
        x = (x[:, None] if x.ndim == 1 else x) - self._offset
        sds = np.maximum(self.sds.T, TINY)
        return (x[:, :, None] - self._deviations.T) / sds, sds

    def quantile(self, p: Floats) -> Floats:
        """Return the (n, q) points below which the probabilities are `p`, shape (n,) or (n, q), in (0, 1).

        Raises
        ------
        NumericalError
            If the iteration does not settle.
        """
        p = np.asarray(p, dtype=np.float64)
        p = np.broadcast_to(p[:, None] if p.ndim == 1 else p, (p.shape[0], self.size))
        lower = np.minimum(p, 1 - p)
        sign = np.where(p > 0.5, -1.0, 1.0)
        smallest = float(lower.min())
        x = self._used(smallest)._lower_quantile(lower, sign)
        if self.finer is None:
            return np.asarray(sign * x + self._offset)
        finer = self.finer()
        shift = finer._offset - self._offset
        tail = finer._used(smallest)._tail(x - sign * shift, sign)
        missed = tail.cdf - lower
        rounded = np.abs(x) + (np.abs(self._offset) if self.offset is None else 0.0)
        if not agree(beyond(missed, tail.slope * rounded) / lower):
            return finer.quantile(p)
        return np.asarray(sign * (x - missed / tail.slope) + self._offset)

    def _used(self, p: float) -> NormalMixture:
        """Return the mixture without nodes that no probability of p or more can feel."""
        order = np.argsort(self.weights)
        dropped = order[self.weights[order].cumsum() < NEGLIGIBLE * p]
        kept = np.ones(self.weights.size, dtype=bool)
        kept[dropped] = False
        offset, deviations = self._offset, self._deviations[kept]
        return NormalMixture(
            self.weights[kept], deviations, self.sds[kept], offset=offset, deviations=deviations
        )

    def _lower_quantile(self, p: Floats, sign: Floats) -> Floats:
        """Return quantiles (n, q) of the mixture, mirrored where sign is -1, for p (n, q) at most 1/2.

        Halley's method on the logarithm of the distribution function, kept in a bracket.
        """
        centre, width = self._typical()
        x = sign * centre + special.ndtri(p) * self._robust_spread(centre, width)
        low, high = np.full(x.shape, -np.inf), np.full(x.shape, np.inf)
        bracketed = False
        for step in range(STEPS):
            tail = self._tail(x, sign)
            low, high = np.where(tail.cdf < p, x, low), np.where(tail.cdf > p, x, high)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                proposal = _halley(x, np.log(tail.cdf / p), tail.slope / tail.cdf, tail.curvature / tail.cdf)
            inside = (proposal >= low) & (proposal <= high)
            if not bracketed and (step >= 6 or not inside.all()):
                low, high = self._bracket(p, sign, low, high)
                bracketed = True
            proposal = np.where(
                tail.cdf == p, x, np.where(inside, proposal, _middle(low, high, sign * centre, width))
            )
            moved, x = np.abs(proposal - x), proposal
            scale = np.minimum(width, p / np.maximum(tail.slope, TINY))
            if np.all(moved <= np.where(inside, CUBIC, 1e-15) * scale + 1e-15 * np.abs(x)):
                return x
        raise NumericalError(
            "quantiles of a normal mixture did not converge; the posterior is extremely spread"
        )

    def _tail(self, x: Floats, sign: Floats) -> _Tail:
        sds = np.maximum(self.sds.T, TINY)
        z = x[:, :, None] - sign[:, :, None] * self._deviations.T
        z /= sds
        cdf = special.ndtr(z) @ self.weights
        pdf = np.exp(-0.5 * z * z)
        rate = self.weights / (sds * SQRT_2PI)
        slope = np.vecdot(pdf, rate)
        pdf *= z
        return _Tail(cdf, slope, -np.vecdot(pdf, rate / sds))

    def _bracket(self, p: Floats, sign: Floats, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Return bounds of the quantiles: the lowest and the highest of the nodes."""
        reach = special.ndtri(p)[:, :, None] * self.sds.T + sign[:, :, None] * self._deviations.T
        first, last = reach.min(axis=2), reach.max(axis=2)
        slack = 1e-12 * (np.abs(first) + np.abs(last)) + TINY
        return np.maximum(low, first - slack), np.minimum(high, last + slack)

    def _typical(self) -> tuple[Floats, Floats]:
        """Return mean and sd of the node in the middle of the probability, which no heavy tail can move."""
        total = self.weights.cumsum()
        node = min(int(total.searchsorted(0.5 * total[-1])), self.weights.size - 1)
        return self._deviations[node], np.maximum(self.sds[node], TINY)

    def _robust_spread(self, centre: Floats, width: Floats) -> Floats:
        deviation = np.minimum(np.hypot(self._deviations - centre, self.sds), 10 * width)
        return np.asarray(np.sqrt(self.weights @ deviation**2))

    def mode(self) -> Floats:
        """Return the (q,) highest points of the densities."""
        x = self._climbed(self._highest_candidate(), STEPS)
        if self.finer is not None:
            finer = self.finer()
            shift = finer._offset - self._offset
            x = finer._climbed(x - shift, 1) + shift
        return x + self._offset

    def _climbed(self, x: Floats, steps: int) -> Floats:
        """Return x (q,) after steps of Newton's method towards the tops of the densities."""
        width = self._typical()[1]
        means = self._deviations.T
        rate = 1 / np.maximum(self.sds.T, TINY)
        first = self.weights * rate * rate
        second = first * rate
        for _ in range(steps):
            z = (x[:, None] - means) * rate
            square = z * z
            pdf = np.exp(-0.5 * square)
            slope, pull = -np.vecdot(pdf * z, first), np.vecdot(pdf, second)
            curvature = np.vecdot(pdf * square, second) - pull
            falling = curvature < 0
            step = np.where(falling, -slope / np.where(falling, curvature, -1.0), slope / pull)
            step = np.clip(step, -width, width)
            x = x + step
            if (np.abs(step) <= SQUARED * width + 1e-14 * np.abs(x)).all():
                break
        return np.asarray(x)

    def _highest_candidate(self) -> Floats:
        """Return the (q,) highest of the means of nodes, next to which the peaks of a mixture are."""
        used = self._used(1e-2)
        node = np.unique(np.linspace(0, used.weights.size - 1, CANDIDATES).astype(int))
        x, sds = used._deviations[node], np.maximum(used.sds.T, TINY)
        z = (x[:, :, None] - used._deviations.T) / sds
        height = np.vecdot(np.exp(-0.5 * z * z), used.weights / sds)
        return np.asarray(np.take_along_axis(x, height.argmax(axis=0)[None, :], axis=0)[0])

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return (n, q) draws; the quantities of one draw share its node and are otherwise independent."""
        node = rng.choice(self.weights.size, size=n, p=self.weights)
        return np.asarray(self.means[node] + self.sds[node] * rng.standard_normal((n, self.size)))


def _halley(x: Floats, value: Floats, slope: Floats, curvature: Floats) -> Floats:
    """Return the next point for a root of g = log(F / p), given g, F'/F and F''/F there."""
    newton = value / slope
    second = curvature - slope**2
    return x - newton / (1 - np.clip(0.5 * newton * second / slope, -0.5, 0.5))


def _middle(low: Floats, high: Floats, centre: Floats, width: Floats) -> Floats:
    """Return a point between, halving the distance on a scale that is logarithmic far from the centre."""
    with np.errstate(invalid="ignore"):
        ends = np.arcsinh((low - centre) / width) + np.arcsinh((high - centre) / width)
    ends = np.where(np.isfinite(ends), ends, 0.0)
    return np.clip(centre + width * np.sinh(ends / 2), low, high)
