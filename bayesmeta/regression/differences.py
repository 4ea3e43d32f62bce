"""Differences of two posteriors that know nothing of one another."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.results.empirical import Empirical
from bayesmeta.results.mixture import NormalMixture

if TYPE_CHECKING:
    from bayesmeta.results.marginal import Distribution

NEGLIGIBLE = 1e-16
"""Probability of a node below which it is left out of a difference."""
DRAWS = 40_000
"""Draws of a posterior that is no mixture of normal distributions."""


def difference(one: Distribution, other: Distribution) -> Distribution:
    """Return the distribution of the first quantity less the second, which are independent.

    Notes
    -----
    The difference of two mixtures of normal distributions is one, with a component for each pair of
    components: their means are subtracted, their variances added. Draws are paired at random.
    """
    if isinstance(one, NormalMixture) and isinstance(other, NormalMixture):
        return _convolved(one, other)
    rng = np.random.default_rng(0)
    first, second = (rng.permutation(_draws(part, rng)) for part in (one, other))
    n = min(first.size, second.size)
    return Empirical((first[:n] - second[:n])[None, :, None])


def _convolved(one: NormalMixture, other: NormalMixture) -> NormalMixture:
    first, second = _without_specks(one), _without_specks(other)
    weights = first.weights[:, None] * second.weights
    means = first.means[:, None, :] - second.means
    sds = np.hypot(first.sds[:, None, :], second.sds)
    moments = np.minimum(np.asarray(one.moments), np.asarray(other.moments)).reshape(-1)

    @cache
    def finer() -> NormalMixture:
        parts = [part if part.finer is None else part.finer() for part in (one, other)]
        return _convolved(*parts)

    check = None if one.finer is None and other.finer is None else finer
    size = means.shape[2]
    return NormalMixture(
        weights.ravel() / weights.sum(),
        means.reshape(-1, size),
        sds.reshape(-1, size),
        np.broadcast_to(moments, size),
        check,
    )


def _without_specks(part: NormalMixture) -> NormalMixture:
    kept = part.weights > NEGLIGIBLE
    return NormalMixture(part.weights[kept], part.means[kept], part.sds[kept], part.moments)


def _draws(part: Distribution, rng: np.random.Generator) -> np.ndarray:
    if isinstance(part, Empirical):
        return part.flat[:, 0]
    return part.sample(DRAWS, rng)[:, 0]  # type: ignore[attr-defined, no-any-return]
