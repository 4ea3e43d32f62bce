"""Cells of a text file to columns: what is a number, what is text, and what only looks like one of them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bayesmeta.tables import Column

LONGEST_QUOTE = 40
"""Characters of a cell that a message repeats."""

_INTEGER = r"[0-9]+"
_SIGNED = r"[+\-\u2212\u2013]?"
_ANY_NUMBER = rf"{_SIGNED}(?:{_INTEGER}(?:[.,][0-9]*)?|[.,]{_INTEGER})(?:[eE][+-]?{_INTEGER})?"

NUMBERS: Mapping[str, re.Pattern[str]] = {
    mark: re.compile(rf"[+-]?(?:[0-9]+(?:[{mark}][0-9]*)?|[{mark}][0-9]+)(?:[eE][+-]?[0-9]+)?")
    for mark in ".,"
}
"""What a number looks like, by its decimal mark."""

LABEL_NUMBER = re.compile(r"0[0-9]+")
DIGITS = re.compile(_INTEGER)
DECIMAL_COMMA = re.compile(r"[+-]?(?:0,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,}))(?:[eE][+-]?[0-9]+)?")
"""A number with a comma that cannot stand before thousands."""

_INFINITE = re.compile(r"[+\-\u2212]?(?:inf|infinity|∞)", re.IGNORECASE)
_PERCENT = re.compile(rf"{_ANY_NUMBER}\s*[%‰]")
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[,.'’\s][0-9]{3})+(?:[.,][0-9]+)?")
_INEXACT = re.compile(rf"(?:[<>≤≥~≈=±]|<=|>=)\s*{_ANY_NUMBER}|{_ANY_NUMBER}\s*[*†‡]+")
_DATE = re.compile(
    r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}(?: .*)?"
    r"|[0-9]{1,2}-[A-Z][a-z]{2}|[A-Z][a-z]{2}-[0-9]{1,2}"
)
_TYPOGRAPHIC = re.compile(r"[\u2212\u2013]\s*[0-9.,]+")
_EITHER_MARK = re.compile(_ANY_NUMBER)


class Kind(NamedTuple):
    """A way in which a cell looks like a number and is none."""

    pattern: re.Pattern[str]
    """How it looks."""
    must: str
    """What a number must be instead."""
    always: bool
    """Whether it is a fault even in a column without any number."""


KINDS = (
    Kind(_INFINITE, "a number must be finite", always=True),
    Kind(_PERCENT, "a number must come without a percent sign, in the units of its column", always=True),
    Kind(_GROUPED, "a number must come without thousands separators", always=True),
    Kind(_INEXACT, "a number must be exact and stand alone", always=False),
    Kind(_DATE, "a number must not have been turned into a date by a spreadsheet", always=False),
    Kind(_TYPOGRAPHIC, "a minus sign must be the hyphen of the keyboard", always=True),
)


class Fault(NamedTuple):
    """A cell that cannot be taken for what its column is."""

    row: int
    """Row, counted from 0."""
    must: str
    """What it must be."""
    advice: str
    """What to do about it."""


def missing_in(cells: Sequence[str], na_values: Sequence[str]) -> list[bool]:
    """Return for each cell whether it is missing: empty, or one of `na_values`."""
    gone = {"", *na_values}
    return [cell in gone for cell in cells]


def read_column(
    cells: Sequence[str], *, name: str, decimal: str, na_values: Sequence[str]
) -> tuple[Column, list[Fault]]:
    """Return a column as numbers or as text, and the cells that are neither.

    Parameters
    ----------
    cells : sequence of str
        Cells without spaces around them.
    name : str
        Name of the column, for advice.
    decimal : {".", ","}
        Decimal mark.
    na_values : sequence of str
        Texts that stand for a missing cell, besides the empty one.

    Returns
    -------
    tuple
        The column: float64 with NaN where missing, or str with "" where missing. And the faults.

    Notes
    -----
    A column with at least one number is a column of numbers: every other cell in it is a fault. Whole numbers
    of which one begins with 0 are labels.
    """
    gone = missing_in(cells, na_values)
    present = [cell for cell, lost in zip(cells, gone, strict=True) if not lost]
    number = NUMBERS[decimal]
    numeric = not present or any(number.fullmatch(cell) for cell in present)
    if _are_labels(present):
        numeric = False
    faults = list(_faults(cells, gone, name=name, decimal=decimal, numeric=numeric))
    if not numeric or faults:
        texts = ["" if lost else cell for cell, lost in zip(cells, gone, strict=True)]
        return np.array(texts, dtype=str), faults
    values = [math.nan if lost else as_float(cell, decimal) for cell, lost in zip(cells, gone, strict=True)]
    return np.array(values, dtype=np.float64), []


def as_float(cell: str, decimal: str) -> float:
    """Return the number that a cell holds; infinite when it overflows."""
    return float(cell.replace(decimal, "."))


def short(cell: str) -> str:
    """Return a cell as a message repeats it: quoted, printable and cut."""
    text = printable(cell)
    return f"'{text}'" if len(text) <= LONGEST_QUOTE else f"'{text[: LONGEST_QUOTE - 1]}…'"


def _are_labels(present: Sequence[str]) -> bool:
    return all(DIGITS.fullmatch(cell) for cell in present) and any(
        LABEL_NUMBER.fullmatch(cell) for cell in present
    )


def _faults(
    cells: Sequence[str], gone: Sequence[bool], *, name: str, decimal: str, numeric: bool
) -> Iterator[Fault]:
    for row, (cell, lost) in enumerate(zip(cells, gone, strict=True)):
        must = None if lost else _complaint(cell, decimal, numeric=numeric)
        if must is not None:
            yield Fault(row, must, _advice(cell, name, must, decimal))


def _complaint(cell: str, decimal: str, *, numeric: bool) -> str | None:
    if NUMBERS[decimal].fullmatch(cell):
        return _range_complaint(cell, decimal) if numeric else None
    for kind in KINDS:
        if (numeric or kind.always) and kind.pattern.fullmatch(cell):
            return kind.must
    if _EITHER_MARK.fullmatch(cell):
        return f"the decimal mark must be '{decimal}'"
    return "a cell must be a number like the others of its column" if numeric else None


def _range_complaint(cell: str, decimal: str) -> str | None:
    value = as_float(cell, decimal)
    if math.isinf(value):
        return "a number must be finite"
    mantissa = re.split("[eE]", cell)[0]
    if value == 0 and re.search("[1-9]", mantissa):
        return "a number must not be so small that it is stored as 0"
    return None


def _advice(cell: str, name: str, must: str, decimal: str) -> str:
    if must.startswith("the decimal mark"):
        other = "," if decimal == "." else "."
        return f'Write it with "{decimal}", or say decimal = "{other}".'
    if must.startswith("a cell"):
        missing = f"leave it empty or say na_values = [{_toml(cell)}]"
        return f"If it is missing, {missing}; if the column is text, text = [{_toml(name)}]."
    return f"Fix the cell; if the column is text, say text = [{_toml(name)}]."


def _toml(text: str) -> str:
    quoted = short(text)[1:-1].replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'
