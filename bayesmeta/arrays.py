"""Array types, and the one way in which a frozen value keeps an array."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesmeta.errors import AnalysisError, told

type Floats = NDArray[np.float64]
type Ints = NDArray[np.intp]
type Bools = NDArray[np.bool_]

LARGEST = float(np.finfo(np.float64).max)
LARGEST_SEED = 2**32 - 1


def readonly(values: ArrayLike) -> Floats:
    """Return a read-only float64 copy of `values`."""
    copy = np.array(values, dtype=np.float64)
    copy.flags.writeable = False
    return copy


def strictly_between(value: object, low: float, high: float) -> bool:
    """Return whether a value is one finite real number, no truth value, above `low` and below `high`."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return number and bool(low < value < high) and bool(abs(value) <= LARGEST)  # type: ignore[arg-type, operator]


def as_numbers(values: object) -> tuple[float, ...] | None:
    """Return the finite numbers in a list, tuple or array; None if it is something else or holds it."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        return None
    items = list(values)
    return tuple(map(float, items)) if all(strictly_between(one, -inf, inf) for one in items) else None


def is_whole(value: object, low: int, high: float) -> bool:
    """Return whether a value is one whole number, no truth value, from `low` to `high`."""
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return number and bool(low <= value <= high)  # type: ignore[operator]


def whole_seed(seed: object) -> int:
    """Return the seed of a sampler.

    Raises
    ------
    AnalysisError
        If it is not a whole number from 0 to 2^32 - 1.
    """
    if not is_whole(seed, 0, LARGEST_SEED):
        raise AnalysisError(f"seed must be a whole number from 0 to {LARGEST_SEED}; got {told(seed)}")
    return int(seed)  # type: ignore[call-overload, no-any-return]
