"""Distributions known by draws."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats

GRID = 512
REACH = 4.0
"""Bandwidths by which the grid of the kernel density goes beyond the draws."""
FARTHEST = 25.0
"""Spreads beyond the quartiles at which the grid ends, so that a heavy tail does not make it coarse."""
SQRT_2PI = sqrt(2 * pi)


class Kernel(NamedTuple):
    """A kernel density on a grid."""

    x: Floats
    """(n,) points."""
    density: Floats
    """(n,) heights."""


@dataclass(frozen=True, slots=True, eq=False)
class Empirical:
    """Draws of q quantities at once.

    Attributes
    ----------
    values : (chain, draw, q) array
        The draws.
    lower, upper : float
        Bounds of the quantities, where their kernel densities are reflected.
    """

    values: Floats
    lower: float = -np.inf
    upper: float = np.inf

    @property
    def size(self) -> int:
        """Number of quantities, q."""
        return int(self.values.shape[2])

    @property
    def flat(self) -> Floats:
        """(n, q) draws of all chains."""
        return np.asarray(self.values.reshape(-1, self.size))

    def select(self, index: int) -> Empirical:
        """Return the draws of one quantity alone."""
        return Empirical(self.values[:, :, index : index + 1], self.lower, self.upper)

    def mean(self) -> Floats:
        """Return the (q,) means."""
        return np.asarray(self.flat.mean(axis=0))

    def sd(self) -> Floats:
        """Return the (q,) standard deviations."""
        return np.asarray(self.flat.std(axis=0, ddof=1))

    def skewness(self) -> Floats:
        """Return the (q,) skewnesses."""
        centred = self.flat - self.mean()
        return np.asarray((centred**3).mean(axis=0) / (centred**2).mean(axis=0) ** 1.5)

    def quantile(self, p: Floats) -> Floats:
        """Return the (n, q) points below which the fractions of draws are `p`, shape (n,)."""
        return np.asarray(np.quantile(self.flat, p, axis=0))

    def cdf(self, x: Floats) -> Floats:
        """Return the (n, q) fractions of draws up to `x`, shape (n,)."""
        ordered = np.sort(self.flat, axis=0)
        ranks = [np.searchsorted(column, x, side="right") for column in ordered.T]
        return np.asarray(np.stack(ranks, axis=-1) / ordered.shape[0])

    def density(self, x: Floats) -> Floats:
        """Return the (n, q) kernel densities at `x`, shape (n,)."""
        kernels = [self.kernel(j) for j in range(self.size)]
        return np.stack([np.interp(x, k.x, k.density, left=0.0, right=0.0) for k in kernels], axis=-1)

    def mode(self) -> Floats:
        """Return the (q,) highest points of the kernel densities."""
        kernels = [self.kernel(j) for j in range(self.size)]
        return np.array([k.x[k.density.argmax()] for k in kernels])

    def kernel(self, index: int) -> Kernel:
        """Return the Gaussian kernel density of one quantity, reflected at its bounds.

        Notes
        -----
        The bandwidth is ``0.9 min(sd, IQR / 1.34) n^(-1/5)``. Draws beyond the grid count in its height.

        References
        ----------
        Silverman BW (1986). Density Estimation for Statistics and Data Analysis. Chapman & Hall, section 3.4.
        """
        draws = self.flat[:, index]
        quarter, three_quarters = np.quantile(draws, [0.25, 0.75])
        spread = min(draws.std(), (three_quarters - quarter) / 1.34) or draws.std()
        if np.ptp(draws) == 0:
            return Kernel(draws[:1], np.array([np.inf]))
        bandwidth = 0.9 * spread * draws.size**-0.2
        low = max(draws.min(), quarter - FARTHEST * spread) - REACH * bandwidth
        high = min(draws.max(), three_quarters + FARTHEST * spread) + REACH * bandwidth
        x = np.linspace(max(low, self.lower), min(high, self.upper), GRID)
        step = x[1] - x[0]
        found, _ = np.histogram(draws, bins=np.append(x - step / 2, x[-1] + step / 2))
        counts = found.astype(np.float64)
        smooth = np.exp(-0.5 * ((x[:, None] - x) / bandwidth) ** 2) @ counts
        smooth = smooth + self._reflections(x, counts, bandwidth)
        return Kernel(x, smooth / (draws.size * bandwidth * SQRT_2PI))

    def _reflections(self, x: Floats, counts: Floats, bandwidth: float) -> Floats:
        """Return what the draws mirrored at a finite bound within the grid add."""
        added = np.zeros(x.size)
        for bound in (self.lower, self.upper):
            if x[0] <= bound <= x[-1]:
                distance = (x[:, None] + x - 2 * bound) / bandwidth
                added += np.exp(-0.5 * distance**2) @ counts
        return added
