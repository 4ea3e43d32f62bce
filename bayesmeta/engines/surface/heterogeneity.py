"""Quantiles of tau for all combinations of priors, from polynomials through the nodes of a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

from bayesmeta.engines.surface.effects import Quantiles
from bayesmeta.engines.surface.rule import INTEGRAL, ORDER

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.engines.surface.surface import Surface

STEPS = 60
_SLOPE = np.stack([legendre.legder(row, axis=0) for row in np.eye(ORDER + 1)])
"""(ORDER + 1, ORDER) matrix from Legendre coefficients to those of the derivative."""
CLOSE = 1e-9
"""Last step of Newton's method, in half panels; the error after it is its square."""


def tau_quantiles(surface: Surface, p: Floats) -> Quantiles:
    """Return the quantiles of tau for probabilities `p`, shape (q,).

    Notes
    -----
    Within a panel the density of u is the polynomial through the nodes, whose integral is solved for u by
    Newton's method kept in a bracket. The error is the size of its last two Legendre coefficients, beyond
    which they fall exponentially.
    """
    A, B = surface.moments.total.shape
    rule, panel = surface.nodes.rule, surface.panel_of(p)
    a, b = np.arange(A)[:, None, None], np.arange(B)[None, :, None]
    before = np.where(panel > 0, surface.below[panel - 1, a, b], 0.0)
    values = _values(surface, panel)
    half = np.diff(rule.edges)[panel] / 2
    wanted = (p - before) / half
    integral = values @ INTEGRAL.T
    t = _solved(integral, wanted.ravel()).reshape(panel.shape)
    tau = surface.nodes.substitution.tau(rule.edges[panel] + half * (1 + t))
    last = np.abs(integral[:, -2:]).max(axis=1).reshape(panel.shape) * half
    settled = surface.settled
    error = np.where(settled, last.max(axis=2), np.inf)
    return Quantiles(np.where(settled[:, :, None], tau, np.nan), error)


def _values(surface: Surface, panel: Ints) -> Floats:
    """Return the (c, ORDER) densities of u at the nodes of the panel of each quantile."""
    A, B, q = panel.shape
    P, n = surface.scaled_prior, surface.nodes.rule.n
    rows = P.reshape(A, n, ORDER)[np.arange(A)[:, None, None], panel]
    columns = surface.scaled_likelihood.reshape(n, ORDER, B)[panel, :, np.arange(B)[None, :, None]]
    with np.errstate(divide="ignore", invalid="ignore"):
        density = rows * columns / surface.moments.total[:, :, None, None]
    return np.nan_to_num(density.reshape(A * B * q, ORDER))


def _solved(integral: Floats, wanted: Floats) -> Floats:
    """Return t in [-1, 1] up to which polynomials have the wanted integrals."""
    density = integral @ _SLOPE
    total = integral.sum(axis=1)
    low, high = np.full(wanted.size, -1.0), np.ones(wanted.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num(np.clip(2 * wanted / total - 1, -1.0, 1.0))
        for _ in range(STEPS):
            excess = _sum(integral, t) - wanted
            low, high = np.where(excess < 0, t, low), np.where(excess > 0, t, high)
            new = t - excess / _sum(density, t)
            new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
            moved, t = np.abs(new - t).max(), new
            if moved < CLOSE:
                break
    return np.asarray(t)


def _sum(coefficients: Floats, t: Floats) -> Floats:
    """Return the (c,) Legendre series at t (c,), by Clenshaw's recurrence."""
    return np.asarray(legendre.legval(t, coefficients.T, tensor=False))
