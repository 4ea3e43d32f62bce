"""Finite mixtures of normal distributions: what every effect is once tau has been integrated on nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import nan, pi, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.errors import NumericalError
from bayesmeta.results.certificate import TOO_SLOW, agree, beyond
from bayesmeta.results.tails import Tail, halley, middle_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats, Ints

STEPS = 100
TAME = 1.0
"""Correction of a normal quantile, in sds, up to which it is trusted."""
SQRT_2PI = sqrt(2 * pi)
TINY = np.finfo(float).tiny
QUICK, CAREFUL = 4e-3, 1e-6
"""Last steps of Halley's method, on the scale of the distribution; the error after one is like its cube.

The second is for distributions with narrow features, where the first left more than the certificate allows.
"""
QUICK_STEPS = 4
NEGLIGIBLE = 1e-14
"""Nodes that together hold less than this part of the smallest probability asked for are left out."""
MOMENTS = {"_centre": 1, "_spread": 2, "_asymmetry": 3}
"""Order of each moment."""
SQUARED = 1e-4
"""Last step of Newton's method, on the scale of the distribution; the error after it is its square."""
CANDIDATES = 10
"""Most nodes at whose means the search for the highest point of a density looks."""


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
    integrated : int or (q,) array of int
        Highest moment that can be integrated; those that exist beyond are refused.
    """

    weights: Floats
    means: Floats
    sds: Floats
    moments: int | Ints = 3
    finer: Callable[[], NormalMixture] | None = None
    offset: Floats | None = None
    deviations: Floats | None = None
    part: Part | None = None
    integrated: int | Ints = 3

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
            self.integrated if isinstance(self.integrated, int) else self.integrated[place],
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
        if (exists & (np.asarray(self.integrated) < order)).any():
            raise NumericalError(TOO_SLOW.format(order=order, quantity="an effect"))
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
        used = self._used(smallest)
        x = used._start(lower, sign)
        if self.finer is None:
            return np.asarray(sign * used._lower_quantile(lower, sign, x, CAREFUL) + self._offset)
        finer = self.finer()._used(smallest)
        shift = sign * (finer._offset - self._offset)
        for step in (QUICK, CAREFUL):
            x = used._lower_quantile(lower, sign, x, step)
            tail = finer._tail(x - shift, sign)
            missed = tail.cdf - lower
            rounded = np.abs(x) + (np.abs(self._offset) if self.offset is None else 0.0)
            if agree(beyond(missed, tail.slope * rounded) / lower):
                return np.asarray(sign * (x - missed / tail.slope) + self._offset)
        return self.finer().quantile(p)

    def differences(self, p: Floats) -> Floats:
        """Return by how much the (n, q) quantiles of two sets of nodes differ, 0 where there is one set."""
        x = self.quantile(p)
        if self.finer is None:
            return np.zeros_like(x)
        moved = np.abs(self._below(x) - self.finer()._below(x))
        return np.asarray(moved / np.maximum(self.density(x), TINY))

    def _used(self, p: float) -> NormalMixture:
        """Return the mixture without nodes that no probability of p or more can feel."""
        kept = self.weights > NEGLIGIBLE * p / self.weights.size
        deviations = self._deviations[kept]
        return NormalMixture(
            self.weights[kept], deviations, self.sds[kept], offset=self._offset, deviations=deviations
        )

    def _lower_quantile(self, p: Floats, sign: Floats, x: Floats, last: float) -> Floats:
        """Return quantiles (n, q) of the mixture, mirrored where sign is -1, for p (n, q) at most 1/2.

        Halley's method on the logarithm of the distribution function, from x to a step as small as `last`.
        """
        for _ in range(QUICK_STEPS):
            tail = self._tail(x, sign)
            with np.errstate(all="ignore"):
                step = halley(tail, p)
                settled = np.abs(step) * (tail.slope + p / self._typical[1]) <= last * p
            if settled.all():
                return x - step
            if not (np.abs(step) <= 3 * self._typical[1]).all():
                break
            x = x - step
        return self._bracketed_quantile(p, sign, x, last)

    def _start(self, p: Floats, sign: Floats) -> Floats:
        """Return rough quantiles (n, q), by the first four moments or, where they are large, by two.

        References
        ----------
        Cornish EA, Fisher RA (1938). Moments and cumulants in the specification of distributions. Rev Int
        Stat Inst 5:307-320. doi:10.2307/1400905
        """
        centre, spread = self._centre, self._spread
        centred, variance = (self._deviations - centre) / spread, (self.sds / spread) ** 2
        square = centred * centred
        skew = self.weights @ (centred * (square + 3 * variance))
        excess = self.weights @ (square * (square + 6 * variance) + 3 * variance * variance) - 3
        z, skew = special.ndtri(p), sign * skew
        square = z * z
        third = excess * (square - 3) / 24 - skew * skew * (2 * square - 5) / 36
        moved = skew * (square - 1) / 6 + z * third
        tame = (np.abs(moved) <= TAME) & (np.abs(excess) <= 2 * TAME)
        x = sign * centre + spread * (z + moved)
        if tame.all():
            return x
        centre, width = self._typical
        deviation = np.minimum(np.hypot(self._deviations - centre, self.sds), 10 * width)
        robust = sign * centre + z * np.sqrt(self.weights @ deviation**2)
        return np.where(tame, x, robust)

    def _bracketed_quantile(self, p: Floats, sign: Floats, x: Floats, last: float) -> Floats:
        """Return the same from rough quantiles x, kept in a bracket."""
        centre, width = self._typical
        low, high = self._bracket(p, sign)
        for _ in range(STEPS):
            tail = self._tail(x, sign)
            low, high = np.where(tail.cdf < p, x, low), np.where(tail.cdf > p, x, high)
            with np.errstate(all="ignore"):
                proposal = x - halley(tail, p)
            inside = (proposal >= low) & (proposal <= high)
            proposal = np.where(
                tail.cdf == p, x, np.where(inside, proposal, middle_of(low, high, sign * centre, width))
            )
            moved, x = np.abs(proposal - x), proposal
            scale = np.minimum(width, p / np.maximum(tail.slope, TINY))
            if np.all(moved <= np.where(inside, last, 1e-15) * scale + 1e-15 * np.abs(x)):
                return x
        raise NumericalError(
            "quantiles of a normal mixture did not converge; the posterior is extremely spread"
        )

    @cached_property
    def _by_quantity(self) -> tuple[Floats, Floats, Floats]:
        """Deviations, 1 / sds and weights / sds, each (q, m)."""
        rates = 1 / np.maximum(self.sds.T, TINY)
        return np.ascontiguousarray(self._deviations.T), np.ascontiguousarray(rates), self.weights * rates

    def _tail(self, x: Floats, sign: Floats) -> Tail:
        means, rates, heights = self._by_quantity
        z = x[:, :, None] - sign[:, :, None] * means
        z *= rates
        cdf = special.ndtr(z) @ self.weights
        pdf = z * z
        pdf *= -0.5
        np.exp(pdf, out=pdf)
        slope = np.vecdot(pdf, heights)
        pdf *= z
        return Tail(cdf, slope / SQRT_2PI, np.vecdot(pdf, heights * rates) / -SQRT_2PI)

    def _bracket(self, p: Floats, sign: Floats) -> tuple[Floats, Floats]:
        """Return bounds of the quantiles: the lowest and the highest of the nodes."""
        reach = special.ndtri(p)[:, :, None] * self.sds.T + sign[:, :, None] * self._deviations.T
        first, last = reach.min(axis=2), reach.max(axis=2)
        slack = 1e-12 * (np.abs(first) + np.abs(last)) + TINY
        return first - slack, last + slack

    @cached_property
    def _typical(self) -> tuple[Floats, Floats]:
        """Mean and sd of the node in the middle of the probability, which no heavy tail can move."""
        total = self.weights.cumsum()
        node = min(int(total.searchsorted(0.5 * total[-1])), self.weights.size - 1)
        return self._deviations[node], np.maximum(self.sds[node], TINY)

    def mode(self) -> Floats:
        """Return the (q,) highest points of the densities."""
        used = self._used(1.0)
        x = used._climbed(used._highest_candidate(), STEPS)
        if self.finer is not None:
            finer = self.finer()
            shift = finer._offset - self._offset
            x = finer._used(1.0)._climbed(x - shift, 1) + shift
        return x + self._offset

    def _climbed(self, x: Floats, steps: int) -> Floats:
        """Return x (q,) after steps of Newton's method towards the tops of the log densities."""
        width = self._typical[1]
        means, rates, heights = self._by_quantity
        first = heights * rates
        second = first * rates
        for _ in range(steps):
            z = (x[:, None] - means) * rates
            square = z * z
            pdf = np.exp(-0.5 * square)
            height, pull = np.maximum(np.vecdot(pdf, heights), TINY), np.vecdot(pdf, second)
            slope = np.vecdot(pdf * z, first) / height
            bend = (np.vecdot(pdf * square, second) - pull) / height - slope * slope
            step = np.where(bend < 0, slope / np.where(bend < 0, bend, -1.0), -slope * height / pull)
            step = np.clip(step, -width, width)
            x = x + step
            if (np.abs(step) <= SQUARED * width + 1e-14 * np.abs(x)).all():
                break
        return np.asarray(x)

    def _highest_candidate(self) -> Floats:
        """Return the (q,) highest of the means of nodes, next to which the peaks of a mixture are."""
        means, rates, heights = self._by_quantity
        node = np.unique(np.linspace(0, self.weights.size - 1, CANDIDATES).astype(int))
        x = self._deviations[node]
        z = (x[:, :, None] - means) * rates
        z *= z
        z *= -0.5
        height = np.vecdot(np.exp(z, out=z), heights)
        return np.asarray(x[height.argmax(axis=0), np.arange(self.size)])

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return (n, q) draws; the quantities of one draw share its node and are otherwise independent."""
        node = rng.choice(self.weights.size, size=n, p=self.weights)
        return np.asarray(self.means[node] + self.sds[node] * rng.standard_normal((n, self.size)))
