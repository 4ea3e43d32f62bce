"""mu and the effect in a new study in many reviews: mixtures of normal distributions over nodes of tau."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.engines.many.values import Nodes

HALLEY_STEPS = 60
NEAR = 1e-3
"""Step of Halley's method, in sds, after which the error is below 1e-9: it falls with the third power."""


def mean_and_sd(nodes: Nodes) -> tuple[Floats, Floats]:
    """Return means and sds (R, 2) of mu and of the effect in a new study."""
    mean = (nodes.weights * nodes.beta).sum(axis=1)
    within = nodes.variance + (nodes.beta - mean[:, None]) ** 2
    variance = (nodes.weights * within).sum(axis=1)
    new = variance + (nodes.weights * nodes.tau**2).sum(axis=1)
    return np.stack([mean, mean], axis=1), np.sqrt(np.stack([variance, new], axis=1))


def _components(nodes: Nodes) -> tuple[Floats, Floats]:
    """Return sds (R, 2, m) and means (R, 1, m) of mu and of the effect in a new study given tau."""
    variance = np.stack([nodes.variance, nodes.variance + nodes.tau**2], axis=1)
    return np.sqrt(variance), nodes.beta[:, None, :]


def quantiles_of_effects(nodes: Nodes, mean: Floats, sd: Floats, p: Floats) -> Floats:
    """Return the quantiles (R, 2, n): iterated on a few nodes, then one step on all of them."""
    spread = robust_spread(nodes, sd)
    start = mean[:, :, None] + spread[:, :, None] * special.ndtri(p)
    rough = _iterate(nodes.thinned(6), start, spread, p)
    step = _halley_step(nodes, rough, p)
    far = (np.abs(step) > NEAR * spread[:, :, None]).any(axis=(1, 2))
    if far.any():
        step[far] = _iterate(nodes.take(far), rough[far], spread[far], p) - rough[far]
    return rough + step


def robust_spread(nodes: Nodes, sd: Floats) -> Floats:
    """Return sds (R, 2), or a multiple of the sd given the median tau where heavy tails make them huge."""
    middle = (np.cumsum(nodes.weights, axis=1) < 0.5).sum(axis=1)
    rows = np.arange(middle.size)
    variance = nodes.variance[rows, middle]
    typical = np.sqrt(np.stack([variance, variance + nodes.tau[rows, middle] ** 2], axis=1))
    return np.asarray(np.minimum(sd, 3 * typical))


def _iterate(nodes: Nodes, x: Floats, spread: Floats, p: Floats) -> Floats:
    """Return quantiles (R, 2, n) by Halley's method from x, for all until the last has settled."""
    x = x.copy()
    active = np.arange(x.shape[0])
    for _ in range(HALLEY_STEPS):
        step = _halley_step(nodes.take(active), x[active], p)
        limit = 2 * spread[active][:, :, None]
        far = np.abs(step) > limit
        x[active] += np.where(far, np.clip(step, -4 * limit, 4 * limit), step)
        moving = (np.abs(step) > NEAR * spread[active][:, :, None]).any(axis=(1, 2))
        active = active[moving]
        if not active.size:
            return x
    x[active] = nan
    return x


def below(nodes: Nodes, x: Floats) -> Floats:
    """Return the probabilities (R, 2, n) of mu and of the effect in a new study below x."""
    sds, means = _components(nodes)
    z = (x[:, :, :, None] - means[:, :, None, :]) / sds[:, :, None, :]
    return np.asarray((special.ndtr(z) @ nodes.weights[:, None, :, None])[..., 0])


def _halley_step(nodes: Nodes, x: Floats, p: Floats) -> Floats:
    """Return the step (R, 2, n) of Halley's method on the log of the smaller tail probability."""
    sds, means = _components(nodes)
    sign = np.where(p > 0.5, -1.0, 1.0)
    z = x[:, :, :, None] - means[:, :, None, :]
    z *= sign[:, None] / sds[:, :, None, :]
    tail = (special.ndtr(z) @ nodes.weights[:, None, :, None])[..., 0]
    density = np.exp(-0.5 * z * z)
    rate = 1 / sds
    weight = (nodes.weights[:, None, :] * rate / np.sqrt(2 * np.pi))[..., None]
    slope = (density @ weight)[..., 0]
    density *= z
    curvature = -(density @ (weight * rate[..., None]))[..., 0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        newton = np.log(tail / np.minimum(p, 1 - p)) * tail / slope
        second = curvature / slope - slope / tail
        step = newton / (1 - np.clip(0.5 * newton * second, -0.5, 0.5))
    return np.asarray(-sign * np.where(np.isfinite(step), step, 0.0))


def above(nodes: Nodes, x: Floats) -> Floats:
    """Return the (R,) probabilities that mu is above x."""
    z = (nodes.beta - x[:, None]) / np.sqrt(nodes.variance)
    return np.asarray((nodes.weights * special.ndtr(z)).sum(axis=1))
