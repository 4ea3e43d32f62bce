"""Independent draws of two scale parameters from their posterior on a grid.

Between the nodes the density is proposed as bilinear: a node by its probability, then a triangular step in
each direction. A proposal is accepted in proportion to the ratio of the density there to the bilinear one,
so that the draws have the exact distribution as long as the bound of that ratio holds; where a proposal
exceeds it, the bound is raised and all begins anew.

References
----------
Robert CP, Casella G (2004). Monte Carlo Statistical Methods, section 2.3. Springer.
doi:10.1007/978-1-4757-4145-2
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import NumericalError

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.results.scale_grid import Rule, ScaleNodes

BLOCK = 50_000
FIRST_BOUND = 1.25
MARGIN = 1.1
"""Factor by which a bound that was exceeded is raised beyond the excess."""
LARGEST_BOUND = 100.0


def draw_parameters(nodes: ScaleNodes, n: int, rng: np.random.Generator) -> Floats:
    """Return n independent draws (n, 2) of the scale parameters.

    Raises
    ------
    NumericalError
        If the density is so uneven between the nodes that hardly any proposal is accepted.
    """
    bound, count = FIRST_BOUND, 0
    kept: list[Floats] = []
    while count < n:
        x_outer, x_inner = _proposed(nodes, min(BLOCK, int(1.5 * (n - count)) + 100), rng)
        points = nodes.plane.at(x_outer, x_inner)
        ratio = np.exp(points.log_density - nodes.log_density.max()) / _bilinear(nodes, x_outer, x_inner)
        if ratio.max() > bound:
            bound, kept, count = MARGIN * float(ratio.max()), [], 0
            if bound > LARGEST_BOUND:
                raise NumericalError(
                    "no draws: the posterior of tau and delta is too uneven; use engine='nuts'"
                )
            continue
        accepted = points.parameters[rng.random(ratio.size) * bound < ratio]
        kept.append(accepted)
        count += accepted.shape[0]
    return np.concatenate(kept)[:n]


def _proposed(nodes: ScaleNodes, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return coordinates (n,) drawn from the bilinear density."""
    node = rng.choice(nodes.weights.size, size=n, p=nodes.weights)
    row, column = np.divmod(node, nodes.inner.x.size)
    return _moved(nodes.outer, row, rng), _moved(nodes.inner, column, rng)


def _moved(rule: Rule, place: Ints, rng: np.random.Generator) -> Floats:
    """Return the nodes moved by triangular steps, mirrored at 0 where the density is even."""
    x = rule.x[place] + rule.step * (rng.random(place.size) - rng.random(place.size))
    return np.abs(x) if rule.even else x


def _bilinear(nodes: ScaleNodes, x_outer: Floats, x_inner: Floats) -> Floats:
    """Return the bilinear density at coordinates, relative to the highest node."""
    heights = np.exp(nodes.log_density - nodes.log_density.max()).reshape(nodes.shape)
    padded = np.pad(heights, 1)
    padded[0] = padded[2] if nodes.outer.even else 0.0
    padded[:, 0] = padded[:, 2] if nodes.inner.even else 0.0
    (i, s), (j, t) = _cell(nodes.outer, x_outer), _cell(nodes.inner, x_inner)
    lower = (1 - t) * padded[i, j] + t * padded[i, j + 1]
    upper = (1 - t) * padded[i + 1, j] + t * padded[i + 1, j + 1]
    return np.asarray((1 - s) * lower + s * upper)


def _cell(rule: Rule, x: Floats) -> tuple[Ints, Floats]:
    """Return the place in the padded array below each coordinate, and how far above it that lies."""
    steps = (x - rule.x[0]) / rule.step + 1
    place = np.clip(np.floor(steps).astype(np.int64), 0, rule.x.size)
    return place, steps - place
