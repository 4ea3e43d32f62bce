"""Array types, and the one way in which a frozen value keeps an array."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

type Floats = NDArray[np.float64]
type Ints = NDArray[np.intp]
type Bools = NDArray[np.bool_]


def readonly(values: ArrayLike) -> Floats:
    """Return a read-only float64 copy of `values`."""
    copy = np.array(values, dtype=np.float64)
    copy.flags.writeable = False
    return copy


def strictly_between(value: object, low: float, high: float) -> bool:
    """Return whether a value is one real number, no truth value, above `low` and below `high`."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return number and bool(low < value < high)  # type: ignore[operator]
