"""Sums over studies weighted by ``1 / (v + tau^2)``, at many values of tau^2.

References
----------
Trefethen LN (2013). Approximation Theory and Approximation Practice, chapter 8. SIAM.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats

LARGEST_BLOCK = 100_000
"""Weights held in memory at once, as a number of float64 values: 0.8 MB, which a cache holds."""
STAND_INS = 20
"""Variances that stand for those between a power of 2 and the next; sums over them are exact to 1e-15."""
FEWEST_PER_STAND_IN = 4
"""Studies for each such variance from which on it is used in their place."""
ROWS = 8192
"""Studies dealt with at once, whose polynomials a cache holds."""
_ANGLES = np.pi * (np.arange(STAND_INS) + 0.5) / STAND_INS
"""Arc cosines of Chebyshev's points."""


class Sums(NamedTuple):
    """Variances and columns whose sums, weighted by a function of ``v + tau^2``, are those over studies."""

    v: Floats
    """(n,) variances: those of the studies, or fewer that stand for them."""
    columns: Floats
    """(n, m) products, in the proportions in which each variance stands for the studies."""
    counts: Floats
    """(n,) number of studies for which each stands, which need not be positive."""

    def weighted(self, tau2: Floats) -> tuple[Floats, Floats]:
        """Return ``W @ products`` (m, columns) and ``sum log w`` (m,) at tau^2 (m,), in bounded memory."""
        step = max(1, LARGEST_BLOCK // self.v.size)
        if tau2.size <= step:
            return self._block(tau2)
        blocks = [self._block(tau2[start : start + step]) for start in range(0, tau2.size, step)]
        sums, log_det = zip(*blocks, strict=True)
        return np.concatenate(sums), np.concatenate(log_det)

    def _block(self, tau2: Floats) -> tuple[Floats, Floats]:
        total = tau2[:, None] + self.v
        log_det = -(np.log(total) @ self.counts)
        return np.reciprocal(total, out=total) @ self.columns, log_det


def sums_over(v: Floats, products: Floats) -> Sums:
    """Return variances that stand for those of the studies, far fewer where there are many.

    Parameters
    ----------
    v : (k,) array
        Sampling variances.
    products : (k, m) array
        Columns whose weighted sums are wanted.

    Notes
    -----
    Between a power of 2 and the next, any function of ``v + tau^2`` that the profile needs is as good as a
    polynomial in v, since its singularity is at 0 or below: interpolation at n Chebyshev points leaves an
    error of ``5.8^-n``. A sum over studies is then one over these points, with the studies' products dealt to
    them by Lagrange's polynomials.
    """
    k = v.size
    if k < STAND_INS * FEWEST_PER_STAND_IN:
        return Sums(v, products, np.ones(k))
    mantissa, exponent = np.frexp(v)
    exponent = exponent.astype(np.int16)
    order = np.argsort(exponent, kind="stable")
    octaves, first = np.unique(exponent[order], return_index=True)
    if k < STAND_INS * FEWEST_PER_STAND_IN * octaves.size:
        return Sums(v, products, np.ones(k))
    t, columns = 4 * mantissa[order] - 3, np.concatenate([np.ones((k, 1)), products], axis=1)[order]
    ends = [*first.tolist(), k]
    dealt = [_dealt(t[i:j], columns[i:j]) for i, j in pairwise(ends)]
    columns, points = np.concatenate(dealt), np.cos(_ANGLES)
    stand_ins = np.ldexp((points + 3) / 4, octaves[:, None].astype(np.int32))
    return Sums(stand_ins.ravel(), np.ascontiguousarray(columns[:, 1:]), columns[:, 0].copy())


def _dealt(t: Floats, columns: Floats) -> Floats:
    """Return columns (k, m) at t summed by the Lagrange polynomials (n, m) of the n Chebyshev points."""
    moments = np.zeros((STAND_INS, columns.shape[1]))
    workspace = np.empty((STAND_INS, min(t.size, ROWS)))
    for start in range(0, t.size, ROWS):
        x = t[start : start + ROWS]
        moments += _chebyshev(x, workspace[:, : x.size]) @ columns[start : start + ROWS]
    matrix = np.cos(_ANGLES[:, None] * np.arange(STAND_INS)) * (2 / STAND_INS)
    matrix[:, 0] /= 2
    return np.asarray(matrix @ moments)


def _chebyshev(t: Floats, out: Floats) -> Floats:
    """Return Chebyshev's polynomials (n, k) at t (k,), by their recurrence."""
    out[0], out[1], twice = 1.0, t, 2 * t
    for n in range(2, out.shape[0]):
        np.multiply(twice, out[n - 1], out=out[n])
        out[n] -= out[n - 2]
    return out
