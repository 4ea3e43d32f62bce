"""Finite mixtures of normal distributions: what every effect is once tau has been integrated on nodes."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bayesmeta.errors import NumericalError

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats

STEPS = 100
SQRT_2PI = sqrt(2 * pi)


@dataclass(frozen=True, slots=True, eq=False)
class NormalMixture:
    """Mixtures of the same m nodes for q quantities at once.

    Attributes
    ----------
    weights : (m,) array
        Probability of each node; they sum to 1.
    means, sds : (m, q) arrays
        Mean and standard deviation of each quantity at each node.
    moments : int
        Highest moment that exists: means are NaN below 1, standard deviations below 2.
    """

    weights: Floats
    means: Floats
    sds: Floats
    moments: int = 2

    @property
    def size(self) -> int:
        """Number of quantities, q."""
        return int(self.means.shape[1])

    def select(self, index: int) -> NormalMixture:
        """Return the mixture of one quantity alone."""
        part = slice(index, index + 1)
        return NormalMixture(self.weights, self.means[:, part], self.sds[:, part], self.moments)

    def mean(self) -> Floats:
        """Return the (q,) means; NaN where they do not exist."""
        return self._centre() if self.moments >= 1 else np.full(self.size, nan)

    def sd(self) -> Floats:
        """Return the (q,) standard deviations; NaN where they do not exist."""
        if self.moments < 2:
            return np.full(self.size, nan)
        centred = self.means - self._centre()
        return np.sqrt(self.weights @ (self.sds**2 + centred**2))

    def _centre(self) -> Floats:
        offset = self.means[0]
        return np.asarray(offset + self.weights @ (self.means - offset))

    def density(self, x: Floats) -> Floats:
        """Return the (n, q) densities at `x`, shape (n,) or (n, q)."""
        z, sds = self._standardised(x)
        return np.asarray(np.einsum("m,nmq->nq", self.weights, np.exp(-0.5 * z * z) / (sds * SQRT_2PI)))

    def cdf(self, x: Floats) -> Floats:
        """Return the (n, q) probabilities below `x`, shape (n,) or (n, q)."""
        z, _ = self._standardised(x)
        return np.asarray(np.einsum("m,nmq->nq", self.weights, special.ndtr(z)))

    def _standardised(self, x: Floats) -> tuple[Floats, Floats]:
        x = np.asarray(x, dtype=np.float64)
        x = x[:, None] if x.ndim == 1 else x
        sds = np.maximum(self.sds, np.finfo(float).tiny)
        return (x[:, None, :] - self.means) / sds, sds

    def quantile(self, p: Floats) -> Floats:
        """Return the (n, q) points below which the probabilities are `p`, shape (n,), each in (0, 1).

        Raises
        ------
        NumericalError
            If the iteration does not settle.
        """
        p = np.asarray(p, dtype=np.float64)
        lower = np.minimum(p, 1 - p)
        sign = np.where(p > 0.5, -1.0, 1.0)[:, None]
        return sign * self._lower_quantile(lower[:, None], sign)

    def _lower_quantile(self, p: Floats, sign: Floats) -> Floats:
        """Return quantiles (n, q) of the mixture, mirrored where sign is -1, for p (n, 1) at most 1/2.

        Halley's method on the logarithm of the distribution function, kept in a bracket.
        """
        means, sds = sign[:, :, None] * self.means, np.maximum(self.sds, np.finfo(float).tiny)
        reach = special.ndtri(p)[:, :, None] * sds
        used = self.weights > 0
        low, high = (means + reach)[:, used].min(axis=1), (means + reach)[:, used].max(axis=1)
        centre, width = sign * self._typical().means, self._typical().sds
        x = np.clip(self._start(p, sign), low, high)
        for _ in range(STEPS):
            z = (x[:, None, :] - means) / sds
            cdf = np.einsum("m,nmq->nq", self.weights, special.ndtr(z))
            pdf = np.exp(-0.5 * z * z) / (sds * SQRT_2PI)
            slope = np.einsum("m,nmq->nq", self.weights, pdf)
            curvature = -np.einsum("m,nmq->nq", self.weights, pdf * z / sds)
            low, high = np.where(cdf < p, x, low), np.where(cdf > p, x, high)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                proposal = _halley(x, np.log(cdf / p), slope / cdf, curvature / cdf)
            inside = (proposal >= low) & (proposal <= high)
            proposal = np.where(cdf == p, x, np.where(inside, proposal, _middle(low, high, centre, width)))
            moved = np.abs(proposal - x)
            x = proposal
            if np.all(moved <= 1e-14 * np.abs(x) + 1e-15 * width):
                return x
        raise NumericalError(
            "quantiles of a normal mixture did not converge; the posterior is extremely spread"
        )

    def _typical(self) -> NormalMixture:
        """Return the one node in the middle of the probability, which no heavy tail can move."""
        node = int(np.searchsorted(np.cumsum(self.weights), 0.5 * self.weights.sum()))
        part = slice(min(node, self.weights.size - 1), node + 1)
        return NormalMixture(np.ones(1), self.means[part], np.maximum(self.sds[part], np.finfo(float).tiny))

    def _start(self, p: Floats, sign: Floats) -> Floats:
        typical = self._typical()
        deviation = np.minimum(np.abs(self.means - typical.means) + self.sds, 10 * typical.sds)
        spread = np.sqrt(self.weights @ deviation**2)
        return np.asarray(sign * typical.means + special.ndtri(p) * spread)

    def mode(self) -> Floats:
        """Return the (q,) highest points of the densities."""
        start = self.quantile(np.linspace(0.02, 0.98, 25))
        x = np.take_along_axis(start, self.density(start).argmax(axis=0)[None, :], axis=0)
        sds = np.maximum(self.sds, np.finfo(float).tiny)
        for _ in range(STEPS):
            z = (x[:, None, :] - self.means) / sds
            pdf = self.weights[:, None] * np.exp(-0.5 * z * z) / sds
            slope, curvature = -(pdf * z / sds).sum(axis=1), (pdf * (z * z - 1) / sds**2).sum(axis=1)
            pull = (pdf / sds**2).sum(axis=1)
            step = np.where(curvature < 0, -slope / np.where(curvature < 0, curvature, -1.0), slope / pull)
            step = np.clip(step, -self.sds.max(axis=0), self.sds.max(axis=0))
            x = x + step
            if np.all(np.abs(step) <= 1e-13 * (np.abs(x) + sds.min(axis=0))):
                break
        return np.asarray(x[0])

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
    ends = np.arcsinh((low - centre) / width) + np.arcsinh((high - centre) / width)
    return np.clip(centre + width * np.sinh(ends / 2), low, high)
