"""Small functions on the parts of a frozen value: copying, choosing, comparing, writing down."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.tables import Column


def places(which: Column, k: int) -> Ints:
    """Return the places, counted from 0, that a mask or a list of integers means among k studies."""
    if which.dtype == bool:
        if which.shape != (k,):
            raise DataError(
                f"a mask must have one value for each of the {k} studies; got shape {which.shape}"
            )
        return np.flatnonzero(which)
    if which.size == 0:
        raise DataError("no studies are left")
    if which.dtype.kind not in "iu":
        raise DataError(f"places must be whole numbers or a mask; got {which.dtype}")
    places = np.atleast_1d(which).astype(np.intp)
    if np.any((places < -k) | (places >= k)):
        raise DataError(f"there are {k} studies; got places {places.tolist()}")
    return places


def frozen(column: Column) -> Column:
    """Return a read-only copy of a column of numbers or text."""
    if column.dtype.kind == "f":
        return readonly(column)
    copy = np.array(column, dtype=str)
    copy.flags.writeable = False
    return copy


def same(first: Any, second: Any) -> bool:
    """Return whether two parts of a value have the same content; NaN equals NaN."""
    if isinstance(first, MappingProxyType):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.array_equal(first, second, equal_nan=first.dtype.kind == second.dtype.kind == "f")
    return type(first) is type(second) and bool(first == second)


def plain(values: Column | None) -> list[Any] | None:
    """Return the content of an array as lists; None stands for NaN."""
    if values is None:
        return None
    if values.ndim > 1:
        return [plain(row) for row in values]
    return [None if value != value else value for value in values.tolist()]


def numbers(values: Sequence[Any]) -> Floats:
    """Return lists as a float64 array; NaN stands for None."""
    return np.array(values, dtype=np.float64)


def restored(values: Sequence[Any]) -> Column:
    """Return a list as a column of text or of numbers."""
    text = any(isinstance(value, str) for value in values)
    return np.array(values, dtype=str) if text else numbers(values)
