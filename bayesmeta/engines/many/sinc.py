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

NEWTON_STEPS = 12
CLOSE = 1e-6
"""Newton step, in steps between nodes, after which the next is below rounding: it converges quadratically."""
TOO_NEAR = 1e-9
"""Distance from a node, in steps, below which the density is taken beside it."""
GAUSS, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(4)
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
    cdf = nodes.weights @ _sinc_integrals(m)
    if nodes.even.any():
        cdf[nodes.even] = nodes.weights[nodes.even] @ _mirrored_integrals(m)
    return np.asarray(cdf)


def quantiles_of_u(nodes: Nodes, p: Floats) -> Floats:
    """Return the quantiles (R, n) of u, by Newton's method from the nearest node."""
    cdf = cdf_at_nodes(nodes)
    below = np.clip((cdf[:, None, :] < p[:, None]).sum(axis=2) - 1, 0, nodes.u.shape[1] - 2)
    rows = np.arange(below.shape[0])[:, None]
    first, last = cdf[rows, below], cdf[rows, below + 1]
    step = nodes.step
    node, wanted = nodes.u[rows, below], p - first
    density = _Interpolated(nodes)
    x = node + step * _cubic_start(wanted, last - first, step * density(node), step * density(node + step))
    for _ in range(NEWTON_STEPS):
        with np.errstate(divide="ignore", invalid="ignore"):
            move = (wanted - density.integral(node, x)) / density(x)
        new = np.clip(x + np.where(np.isfinite(move), move, 0.0), node, node + step)
        moved, x = np.abs((new - x) / step).max(), new
        if moved < CLOSE:
            break
    return x


def _cubic_start(wanted: Floats, mass: Floats, left: Floats, right: Floats) -> Floats:
    """Return t in [0, 1] up to which a cubic with given mass and end densities has about the mass wanted."""
    t = np.clip(wanted / mass, 0.0, 1.0)
    for _ in range(3):
        value = t * (left + t * ((3 * mass - 2 * left - right) + t * (left + right - 2 * mass)))
        slope = left + t * (2 * (3 * mass - 2 * left - right) + 3 * t * (left + right - 2 * mass))
        with np.errstate(divide="ignore", invalid="ignore"):
            step = (wanted - value) / slope
        t = np.clip(t + np.where(np.isfinite(step), step, 0.0), 0.0, 1.0)
    return t


@cache
def _to_panels(m: int) -> tuple[Floats, Floats]:
    """Return places of Gauss-Legendre nodes, in steps from the first of m nodes, and weights (m, n).

    The weights lead from the values of an even function at the m nodes, half of that at the first, to its
    values at the others, multiplied by their weights in the integral.
    """
    rule = panels(np.arange(0.0, m + PANEL - 1, PANEL).clip(max=m - 1))
    place = np.arange(m)[:, None]
    return rule.x, (np.sinc(rule.x - place) + np.sinc(rule.x + place)) * rule.weights


def mean_next_to_zero(nodes: Nodes) -> Floats:
    """Return the (R,) means of tau where u begins at 0; of ``sinh u = cosh u - exp(-u)`` one part is even."""
    places, weights = _to_panels(nodes.u.shape[1])
    step = nodes.step
    even = (nodes.weights * np.hypot(1.0, nodes.tau)).sum(axis=1)
    return np.asarray(even - (np.exp(-step * places) * (nodes.weights @ weights)).sum(axis=1))


class _Interpolated:
    """Density of u between the nodes, by sinc functions."""

    def __init__(self, nodes: Nodes) -> None:
        self.first, self.step = nodes.u[:, :1], nodes.step
        alternating = np.where(np.arange(nodes.u.shape[1]) % 2, -1.0, 1.0)
        self.values = (nodes.weights * alternating / self.step)[:, None, :]
        self.even = nodes.even[:, None, None]

    def __call__(self, x: Floats) -> Floats:
        """Return the densities at x (R, n)."""
        t = ((x - self.first) / self.step)[:, :, None]
        nearest = np.round(t)
        rest = t - nearest
        rest = np.where(np.abs(rest) < TOO_NEAR, TOO_NEAR, rest)
        place = np.arange(self.values.shape[2])
        kernels = 1 / (nearest - place + rest)
        if self.even.any():
            kernels += self.even / (nearest + place + rest)
        sine = np.sin(np.pi * rest) * np.where(nearest % 2, -1.0, 1.0) / np.pi
        return np.asarray((kernels * self.values).sum(axis=2) * sine[:, :, 0])

    def integral(self, start: Floats, end: Floats) -> Floats:
        """Return the (R, n) integrals between points less than a step apart."""
        half = (end - start) / 2
        return np.asarray(
            half
            * sum(
                weight * self(start + half * (1 + t)) for t, weight in zip(GAUSS, GAUSS_WEIGHTS, strict=True)
            )
        )
