"""Composite Gauss-Kronrod panels: every node set contains a coarser rule, whose difference is the error.

References
----------
Piessens R, de Doncker-Kapenga E, Überhuber CW, Kahaner DK (1983). QUADPACK. Springer.
doi:10.1007/978-3-642-61786-7
Laurie DP (1997). Calculation of Gauss-Kronrod quadrature rules. Math Comp 66:1133-1145.
doi:10.1090/S0025-5718-97-00861-2
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.polynomial import legendre

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats

_ADDED = [0.9956571630258081, 0.9301574913557082, 0.7808177265864169, 0.5627571346686047, 0.2943928627014602]
"""Positive nodes that Kronrod's rule adds to those of Gauss, with 10 points; 0 is the eleventh."""
_OF_GAUSS = [
    0.032558162307964725,
    0.07503967481091996,
    0.10938715880229764,
    0.13470921731147334,
    0.14773910490133849,
]
_OF_ADDED = [
    0.011694638867371874,
    0.054755896574351995,
    0.09312545458369761,
    0.12349197626206584,
    0.14277593857706009,
    0.1494455540029169,
]
"""Weights of Kronrod's rule, from the outermost node to the innermost."""

ORDER = 21
"""Nodes in a panel."""
GAUSS = slice(1, None, 2)
"""Which of them are those of Gauss's rule."""
ADDED = slice(0, None, 2)
"""Which are not."""


def _interlaced(gauss: Floats, added: Floats) -> Floats:
    values = np.empty(ORDER)
    values[GAUSS], values[::2] = gauss, added
    return values


_GAUSS_NODES, _GAUSS_WEIGHTS = legendre.leggauss(10)
NODES = _interlaced(_GAUSS_NODES, np.array([-x for x in _ADDED] + [0.0] + _ADDED[::-1]))
WEIGHTS = _interlaced(np.array(_OF_GAUSS + _OF_GAUSS[::-1]), np.array(_OF_ADDED + _OF_ADDED[-2::-1]))
COARSE = _interlaced(_GAUSS_WEIGHTS, np.zeros(ORDER - 10))
"""Weights of Gauss's rule on the same nodes."""

_TO_LEGENDRE = np.linalg.inv(legendre.legvander(NODES, ORDER - 1))
INTEGRAL = np.stack([legendre.legint(row, lbnd=-1) for row in np.eye(ORDER)]).T @ _TO_LEGENDRE
"""(ORDER + 1, ORDER) matrix from values at the nodes to Legendre coefficients of the integral from -1."""


class Rule(NamedTuple):
    """Panels on a line, in increasing order."""

    edges: Floats
    """(n + 1,) ends of the panels."""
    x: Floats
    """(n * ORDER,) nodes."""
    weights: Floats
    """(n * ORDER,) weights."""
    coarse: Floats
    """(n * ORDER,) weights of the coarser rule, 0 at the nodes that it has not."""

    @property
    def n(self) -> int:
        """Number of panels."""
        return int(self.edges.size - 1)


def rule_on(edges: Floats) -> Rule:
    """Return the rule with a panel between each two neighbouring edges, shape (n + 1,)."""
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (1 + NODES)).ravel()
    return Rule(edges, x, (half * WEIGHTS).ravel(), (half * COARSE).ravel())


def divided(low: float, high: float, kinks: Floats, longest: float) -> Floats:
    """Return edges from low to high, one at each of the kinks between, no panel longer than `longest`."""
    ends = np.concatenate([[low], np.unique(kinks[(kinks > low) & (kinks < high)]), [high]])
    count = np.maximum(np.ceil(np.diff(ends) / longest - 1e-9), 1).astype(int)
    parts = [np.linspace(a, b, n + 1)[:-1] for a, b, n in zip(ends[:-1], ends[1:], count, strict=True)]
    return np.concatenate([*parts, [high]])


def halved(edges: Floats, which: Bools) -> Floats:
    """Return the edges with the chosen panels, shape (n,), cut in halves."""
    return np.sort(np.concatenate([edges, (edges[:-1] + np.diff(edges) / 2)[which]]))
