"""Between equidistant nodes: densities, distribution functions and quantiles by sinc functions.

A function that is analytic in a strip and known at steps h is there ``sum f_j sinc((u - u_j) / h)``, with an
error that falls exponentially as h does.

References
----------
Stenger F (1981). Numerical methods based on Whittaker cardinal, or sinc functions. SIAM Rev 23:165-224.
doi:10.1137/1023037
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bayesmeta.quadrature import panels

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.engines.many.values import Nodes

NEWTON_STEPS = 20
CLOSE = 1e-6
"""Newton step, in half steps between nodes, after which the next is below rounding."""
DEGREE = 12
"""Degree of the distribution function between neighbouring nodes: 2e-10 off at the highest frequency."""
MISSED = 1e-10
"""Probability by which a quantile may miss."""
MANY = 250_000
"""Multiplications of a matrix product; beyond them libraries start threads, which would fight the pool."""
PANEL = 8
"""Steps between nodes that share a Gauss-Legendre panel."""


@cache
def _sinc_integrals(m: int) -> Floats:
    """Return (m, m) integrals of the sinc functions at m nodes, up to each node, in steps: row by column."""
    place = np.arange(m)
    return np.asarray(0.5 + special.sici(np.pi * (place[None, :] - place[:, None]))[0] / np.pi)


@cache
def _mirrored_integrals(m: int) -> Floats:
    """Return the (m, m) integrals of the sinc functions at m nodes from minus each node to it."""
    place = np.arange(m)
    below = 0.5 + special.sici(-np.pi * (place[None, :] + place[:, None]))[0] / np.pi
    return np.asarray(_sinc_integrals(m) - below)


def cdf_at_nodes(nodes: Nodes) -> Floats:
    """Return the (R, m) distribution functions of u at its nodes."""
    m = nodes.u.shape[1]
    cdf = _product(nodes.weights, _sinc_integrals(m))
    if nodes.even.any():
        cdf[nodes.even] = _product(nodes.weights[nodes.even], _mirrored_integrals(m))
    return cdf


def _product(rows: Floats, matrix: Floats) -> Floats:
    """Return the matrix product, made in parts that are small enough for one thread."""
    many = max(1, MANY // matrix.size)
    parts = [rows[start : start + many] @ matrix for start in range(0, rows.shape[0], many)]
    return np.concatenate(parts)


def quantiles_of_u(nodes: Nodes, p: Floats) -> Floats:
    """Return the quantiles (R, n) of u, by Newton's method between the nearest nodes; NaN where it fails."""
    cdf = cdf_at_nodes(nodes)
    below = np.clip((cdf[:, None, :] < p[:, None]).sum(axis=2) - 1, 0, nodes.u.shape[1] - 2)
    rows = np.arange(below.shape[0])[:, None]
    wanted, mass = p - cdf[rows, below], cdf[rows, below + 1] - cdf[rows, below]
    matrix = _to_polynomials(nodes.u.shape[1])
    around = np.lib.stride_tricks.sliding_window_view(_continued(nodes), matrix.shape[0], axis=1)
    density = np.moveaxis(around[rows, below] @ matrix, 2, 0)
    t = _solved(density, wanted, np.clip(2 * wanted / mass - 1, -1.0, 1.0))
    return np.asarray(nodes.u[rows, below] + nodes.step * (1 + t) / 2)


def _continued(nodes: Nodes) -> Floats:
    """Return the (R, 4 m - 3) probabilities at nodes -2 (m - 1) to 2 (m - 1), 0 beyond those given."""
    last = nodes.u.shape[1] - 1
    values = np.zeros((nodes.u.shape[0], 4 * last + 1))
    values[:, 2 * last : 3 * last + 1] = nodes.weights
    values[nodes.even, last : 2 * last] = nodes.weights[nodes.even, :0:-1]
    values[nodes.even, 2 * last] *= 2
    return values


@cache
def _to_polynomials(m: int) -> Floats:
    """Return the (3 m - 2, `DEGREE`) matrix from values at nodes around a step to a polynomial on it.

    The nodes are the 2 (m - 1) before the step, that where it begins, and m - 1 beyond. The coefficients are
    those of the powers of t, which is -1 at the beginning of the step and 1 at its end.
    """
    t = np.cos(np.pi * (np.arange(DEGREE) + 0.5) / DEGREE)
    values = np.sinc((1 + t) / 2 - np.arange(2 - 2 * m, m)[:, None])
    return np.asarray(np.linalg.solve(np.vander(t, increasing=True), values.T).T)


def _solved(density: Floats, wanted: Floats, t: Floats) -> Floats:
    """Return t up to which polynomials have the probabilities wanted, by Newton's method from `t`."""
    integral = np.polynomial.polynomial.polyint(density, lbnd=-1, scl=0.5)
    for _ in range(NEWTON_STEPS):
        missed = wanted - np.polynomial.polynomial.polyval(t, integral, tensor=False)
        with np.errstate(divide="ignore", invalid="ignore"):
            move = 2 * missed / np.polynomial.polynomial.polyval(t, density, tensor=False)
        new = np.clip(t + np.where(np.isfinite(move), move, 0.0), -1.0, 1.0)
        moved, t = np.abs(new - t).max(), new
        if moved < CLOSE:
            break
    missed = wanted - np.polynomial.polynomial.polyval(t, integral, tensor=False)
    return np.where(np.abs(missed) < MISSED, t, np.nan)


@cache
def _to_panels(m: int) -> tuple[Floats, Floats]:
    """Return places of Gauss-Legendre nodes, in steps from the first of m nodes, and weights (m, n).

    The weights lead from the values of an even function at the m nodes, half of that at the first, to its
    values at the others, multiplied by their weights in the integral.
    """
    rule = panels(np.arange(0.0, m + PANEL - 1, PANEL).clip(max=m - 1))
    place = np.arange(m)[:, None]
    return rule.x, (np.sinc(rule.x - place) + np.sinc(rule.x + place)) * rule.weights


def moments_of_tau(nodes: Nodes) -> tuple[Floats, Floats]:
    """Return means and sds (R,) of tau, which is not even next to 0: its mean needs other nodes there."""
    mean = (nodes.weights * nodes.tau).sum(axis=1)
    variance = (nodes.weights * (nodes.tau - mean[:, None]) ** 2).sum(axis=1)
    if nodes.even.any():
        near = nodes.take(nodes.even)
        mean[nodes.even] = _mean_next_to_zero(near)
        variance[nodes.even] = (near.weights * near.tau**2).sum(axis=1) - mean[nodes.even] ** 2
    return mean, np.sqrt(np.maximum(variance, 0.0))


def _mean_next_to_zero(nodes: Nodes) -> Floats:
    """Return the (R,) means of tau where u begins at 0; of ``sinh u = cosh u - exp(-u)`` one part is even."""
    places, weights = _to_panels(nodes.u.shape[1])
    step = nodes.step
    even = (nodes.weights * np.hypot(1.0, nodes.tau)).sum(axis=1)
    return np.asarray(even - (np.exp(-step * places) * _product(nodes.weights, weights)).sum(axis=1))
