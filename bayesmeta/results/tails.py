"""Steps towards a quantile: Halley's method on the logarithm of a distribution function, and bisection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats


class Tail(NamedTuple):
    """Distribution function of a mixture and its first two derivatives, each (n, q)."""

    cdf: Floats
    slope: Floats
    curvature: Floats


def halley(tail: Tail, p: Floats) -> Floats:
    """Return the step towards a root of g = log(F / p), to be subtracted."""
    newton = np.log(tail.cdf / p) * tail.cdf / tail.slope
    second = tail.curvature / tail.slope - tail.slope / tail.cdf
    return np.asarray(newton / (1 - np.minimum(np.maximum(0.5 * newton * second, -0.5), 0.5)))


def middle_of(low: Floats, high: Floats, centre: Floats, width: Floats) -> Floats:
    """Return a point between, halving the distance on a scale that is logarithmic far from the centre."""
    with np.errstate(invalid="ignore"):
        ends = np.arcsinh((low - centre) / width) + np.arcsinh((high - centre) / width)
    ends = np.where(np.isfinite(ends), ends, 0.0)
    return np.clip(centre + width * np.sinh(ends / 2), low, high)
