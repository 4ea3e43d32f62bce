"""The certificate: an answer stands if twice the nodes give it again, or they answer in its place.

An answer is computed on one set of nodes and on twice the panels. Where both agree, the second is returned
and their difference bounds its error; where they do not, the second set answers and is itself checked against
twice its panels, until that takes more than 2^16 nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bayesmeta.arrays import Floats

LIMIT = 1e-8
"""Relative difference of two answers above which neither stands."""
TOO_SLOW = (
    "moment {order:g} of {quantity} exists, but its tail falls too slowly to be integrated; use a prior of "
    "tau with a lighter tail, such as HalfNormal or HalfCauchy, or take the median and intervals of "
    "fit.marginal(name), which exist all the same"
)
"""What is said of a moment that exists and cannot be had."""
EPSILON = float(np.finfo(float).eps)
ROUNDING = 4e-16
"""Probability, or part of a size, that double precision does not resolve."""


def agree(difference: ArrayLike, size: ArrayLike = 1.0) -> bool:
    """Return whether all differences are within 1e-8 of the sizes, or of what can be resolved."""
    size = np.asarray(size)
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.abs(difference) <= LIMIT * size + ROUNDING * (1 + size)))


def beyond(difference: Floats, sensitivity: Floats) -> Floats:
    """Return what is left of differences of probabilities once the rounding of the point is taken off.

    Parameters
    ----------
    difference : array
        Differences of two probabilities at the same point.
    sensitivity : array
        Density times the point: the change of the probability for a relative change of the point.
    """
    return np.maximum(np.abs(difference) - 4 * EPSILON * np.abs(sensitivity), 0.0)
