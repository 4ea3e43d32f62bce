"""Tables of studies: named columns of equal length, and where each row came from.

A column is either numbers (float64, NaN where missing) or text (str, empty where missing). Rows count by
position: an index that a DataFrame carries is never used to align anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmeta.errors import DataError, printable, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

type Column = NDArray[Any]

LARGEST_EXACT_INTEGER = 2**53
LONGEST_LIST = 20
"""Faulty cells named in one error; the rest are counted."""

UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters (tabs and line breaks apart) and halves of surrogate pairs."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Named columns of equal length.

    Attributes
    ----------
    columns : mapping of str to (n,) array
        Numbers as float64, NaN where missing; text as str, empty where missing. Read-only.
    source : str
        Name of the file, for messages; empty for data given in Python.
    lines : tuple of int or None
        Line of the file on which each row stands.

    Raises
    ------
    DataError
        If columns differ in length, are neither numbers nor text, hold infinite numbers or control
        characters.

    Examples
    --------
    >>> table = Table.of({"study": ["Yu 2023", "Zhu 2023"], "yi": [0.1, 0.2]})
    >>> table.n, table.where(1)
    (2, 'row 2')
    """

    columns: Mapping[str, Column]
    source: str = ""
    lines: tuple[int, ...] | None = None
    n: int = field(init=False, default=0)
    """Number of rows."""

    def __post_init__(self) -> None:
        kept = {name: _kept(name, column) for name, column in self.columns.items()}
        object.__setattr__(self, "columns", MappingProxyType(kept))
        object.__setattr__(self, "n", _common_length(kept))
        raise_all([text for name in kept for text in self._faults(name)])

    def __reduce__(self) -> tuple[type[Table], tuple[Any, ...]]:
        return Table, (dict(self.columns), self.source, self.lines)

    @classmethod
    def of(cls, data: object) -> Table:
        """Return `data` as a table.

        Parameters
        ----------
        data : DataFrame, mapping of str to sequence, Table or None
            Rows count by position. None is a table without columns.

        Raises
        ------
        DataError
            If it is none of these, if its columns are not one-dimensional, differ in length, or are
            Series with different indexes.
        """
        if isinstance(data, Table):
            return data
        if data is None:
            return cls({})
        if hasattr(data, "iloc") and hasattr(data, "columns"):
            return cls(_frame_columns(data))
        if isinstance(data, Mapping):
            check_indexes(data)
            return cls({_name(name): as_column(values, str(name)) for name, values in data.items()})
        raise DataError(f"a table must be a DataFrame or a mapping of columns; got {type(data).__name__}")

    def column(self, name: str) -> Column:
        """Return the column called `name`.

        Raises
        ------
        DataError
            If there is none; the message names the nearest one.
        """
        if name not in self.columns:
            hint = suggest(name, self.columns) or f"; the columns are {', '.join(self.columns) or 'none'}"
            raise DataError(f'{self.source or "the table"}: no column "{printable(name)}"{hint}')
        return self.columns[name]

    def where(self, row: int) -> str:
        """Return the place of a row (counted from 0): ``"studies.csv:5"``, or ``"row 3"`` without a file."""
        if self.lines is not None:
            return f"{self.source}:{self.lines[row]}" if self.source else f"row {self.lines[row]}"
        return f"{self.source} row {row + 1}".strip()

    def take(self, rows: Iterable[int]) -> Table:
        """Return the table with only the given rows (counted from 0), in the given order."""
        chosen = np.fromiter(rows, dtype=np.intp)
        lines = None if self.lines is None else tuple(self.lines[row] for row in chosen)
        return replace(
            self, columns={name: column[chosen] for name, column in self.columns.items()}, lines=lines
        )

    def having(self, columns: Mapping[str, Column]) -> Table:
        """Return the table with `columns` added, or put in the place of those with the same names."""
        return replace(self, columns={**self.columns, **columns})

    def _faults(self, name: str) -> list[str]:
        column = self.columns[name]
        if column.dtype.kind == "f":
            faulty, must = np.isinf(column), "a number must be finite"
        else:
            faulty = np.array([bool(UNPRINTABLE.search(text)) for text in column.tolist()], dtype=bool)
            must = "a text must not hold control characters"
        place = f'column "{printable(name)}"'
        return [
            f"{self.where(row)} {place}: {must}; got {shown(column[row])}"
            for row in np.flatnonzero(faulty).tolist()
        ]


def raise_all(problems: Sequence[str]) -> None:
    """Raise one `DataError` for all problems, the first twenty in full; do nothing when there is none.

    Parameters
    ----------
    problems : sequence of str
        One sentence a faulty cell.
    """
    if not problems:
        return
    rest = len(problems) - LONGEST_LIST
    raise DataError([*problems[:LONGEST_LIST], *([f"and {rest} more"] if rest > 0 else [])])


def shown(value: object) -> str:
    """Return a cell as it is shown in a message: ``-0.1``, ``12``, ``'NR'`` or ``nothing``.

    Parameters
    ----------
    value : float or str
        Content of the cell.
    """
    if isinstance(value, str):
        return f"'{printable(value)}'" if value else "nothing"
    number = float(cast("float", value))
    return "nothing" if math.isnan(number) else number_text(number)


def number_text(number: float) -> str:
    """Return the shortest text of a number; whole numbers without a decimal point.

    Parameters
    ----------
    number : float
        Any number.

    Examples
    --------
    >>> number_text(12.0), number_text(-0.1)
    ('12', '-0.1')
    """
    whole = math.isfinite(number) and number == int(number) and abs(number) <= LARGEST_EXACT_INTEGER
    return str(int(number)) if whole else repr(float(number))


def as_column(values: object, name: str) -> Column:
    """Return a sequence as a column: float64 when everything in it is a number, otherwise text.

    Parameters
    ----------
    values : sequence
        List, tuple, array, Series. Missing values are None, NaN and the like. Booleans, dates and complex
        numbers become text: none of them is taken for a number.
    name : str
        Name of the column, for messages.

    Raises
    ------
    DataError
        If `values` is not a one-dimensional sequence, is a masked array, or holds sequences.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise DataError(f'column "{name}" is a masked array; fill the masked cells or leave their rows out')
    if hasattr(values, "tolist") and hasattr(values, "isna"):
        return _from_objects(_pandas_objects(values), name)
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray | range):
        raise DataError(f'column "{name}" must be a sequence; got {type(values).__name__}')
    if isinstance(values, np.ndarray):
        return _from_array(values, name)
    return _from_objects(list(values), name)


def check_indexes(items: Mapping[str, object]) -> None:
    """Raise an error if Series or DataFrames that are given side by side carry different indexes.

    Parameters
    ----------
    items : mapping of str to object
        What was given, by name; whatever has no index is passed over.

    Raises
    ------
    DataError
        If two indexes differ: rows count by position, and that might not be what was meant.
    """
    indexed = {name: cast("Any", item).index for name, item in items.items() if hasattr(item, "iloc")}
    for name, index in indexed.items():
        first, reference = next(iter(indexed.items()))
        if not index.equals(reference):
            raise DataError(
                f'"{first}" and "{name}" carry different indexes, and rows count by position;'
                " use reset_index(drop=True) on both after checking that their rows belong together"
            )


def _name(name: object) -> str:
    text = name if isinstance(name, str) else str(name)
    if UNPRINTABLE.search(text) or not text.strip():
        raise DataError(f"the name of a column must be printable text; got {text!r}")
    return text


def _kept(name: str, column: Column) -> Column:
    if column.ndim != 1 or column.dtype.kind not in "fU":
        raise DataError(f'column "{name}" must be one-dimensional numbers or text; got {column.dtype}')
    copy = column.astype(np.float64) if column.dtype.kind == "f" else column.copy()
    copy.flags.writeable = False
    return copy


def _common_length(columns: Mapping[str, Column]) -> int:
    lengths = {name: column.size for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f'"{name}" {length}' for name, length in lengths.items())
        raise DataError(f"columns must have the same length; got {listed}")
    return next(iter(lengths.values()), 0)


def _frame_columns(frame: Any) -> dict[str, Column]:
    names = [_name(name) for name in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        verb = "stands" if len(repeated) == 1 else "stand"
        raise DataError(f"columns must have different names; {', '.join(repeated)} {verb} twice")
    return {name: as_column(frame.iloc[:, position], name) for position, name in enumerate(names)}


def _pandas_objects(series: Any) -> list[Any]:
    """Return what a Series, an Index or an array of pandas holds, None where it is missing."""
    missing = np.asarray(series.isna())
    return [None if gone else value for value, gone in zip(series.tolist(), missing, strict=True)]


def _from_array(values: Column, name: str) -> Column:
    if values.ndim != 1:
        raise DataError(f'column "{name}" must be one-dimensional; got an array of shape {values.shape}')
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    if values.dtype.kind in "iu" and np.all(np.abs(values.astype(np.float64)) < LARGEST_EXACT_INTEGER):
        return values.astype(np.float64)
    return _from_objects(values.tolist() if values.dtype.kind in "biuUO" else list(values), name)


def _from_objects(values: list[Any], name: str) -> Column:
    nested = [value for value in values if isinstance(value, list | tuple | dict | set | bytes | np.ndarray)]
    if nested:
        raise DataError(f'column "{name}" must hold numbers or text; got {type(nested[0]).__name__}')
    if all(_is_missing(value) or is_number(value) for value in values):
        return np.array(
            [math.nan if _is_missing(value) else float(value) for value in values], dtype=np.float64
        )
    texts = [_text(value) for value in values]
    must = "a text must not hold control characters"
    raise_all(
        [
            f'row {row + 1} column "{printable(name)}": {must}; got {shown(text)}'
            for row, text in enumerate(texts)
            if text.endswith("\0")  # NumPy would drop it without a word
        ]
    )
    return np.array(texts, dtype=str)


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def is_number(value: object) -> bool:
    """Return whether a cell is a number: no truth value, duration or text, and no integer above 2^53."""
    if isinstance(value, bool | np.bool_ | np.timedelta64):  # NumPy counts durations among the integers
        return False
    if isinstance(value, int | np.integer):
        return abs(int(value)) <= LARGEST_EXACT_INTEGER
    return isinstance(value, Real | Decimal)


def _text(value: object) -> str:
    if _is_missing(value):
        return ""
    return number_text(float(cast("float", value))) if is_number(value) else str(value)
