"""Numbers and tables as the terminal shows them."""

from __future__ import annotations

from math import floor, isfinite, log10
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bayesmeta.cli.terminal import WIDTH, clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

MOST_DECIMALS = 8
LARGEST = 1e7
ABSENT = "–"
MISSING_MOMENT = "does not exist"
SHORTEST_NAME = 12
"""Columns that names keep where numbers need the room."""


def decimals(scale: float | None, digits: int = 3) -> int:
    """Return how many decimals show `digits` significant digits of a number of this size.

    Parameters
    ----------
    scale : float or None
        A typical size, such as a standard deviation.
    digits : int
        Significant digits.

    Examples
    --------
    >>> decimals(0.0109), decimals(4.4), decimals(3000.0)
    (4, 2, 0)
    """
    if scale is None or not isfinite(scale) or scale == 0:
        return 4
    return max(0, digits - 1 - floor(log10(abs(scale))))


def number(value: float | None, places: int = 4, *, absent: str = ABSENT) -> str:
    """Return a number with so many decimals, with a minus sign that is as wide as a digit.

    Parameters
    ----------
    value : float or None
        None and NaN stand for a number that does not exist.
    places : int
        Decimals.
    absent : str
        What stands for no number.

    Examples
    --------
    >>> number(-0.06934, 4), number(None), number(1.5e9, 2)
    ('−0.0693', '–', '1.5e+09')
    """
    if value is None or not isfinite(value):
        return absent
    odd = places > MOST_DECIMALS or abs(value) >= LARGEST
    text = f"{value:.4g}" if odd else f"{value:.{places}f}"
    return text.replace("-", "−")


def interval(lower: float | None, upper: float | None, places: int = 4) -> str:
    """Return ``"[lower, upper]"``; a dash where there is none."""
    shown = number(lower, places), number(upper, places)
    return ABSENT if shown == (ABSENT, ABSENT) else f"[{shown[0]}, {shown[1]}]"


def p_value(p: float | None) -> str:
    """Return a p-value with three decimals, or that it is smaller.

    Examples
    --------
    >>> p_value(0.0456), p_value(1e-9)
    ('0.046', '<0.001')
    """
    if p is None or not isfinite(p):
        return ABSENT
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def chance(p: float) -> str:
    """Return "= " and a probability with as many nines as it has; no draw or rounding proves a certainty.

    Examples
    --------
    >>> chance(0.99996096), chance(0.5), chance(1.0), chance(2e-7)
    ('= 0.99996', '= 0.500', '> 0.999', '= 0.0000002')
    """
    if p in (0.0, 1.0):
        return "> 0.999" if p else "< 0.001"
    places = max(3, min(12, -floor(log10(min(p, 1 - p)))))
    text = f"{p:.{places}f}"
    return f"= {text if 0 < float(text) < 1 else f'{p:.3g}'}"


def heading(text: str) -> RenderableType:
    """Return the line above a table."""
    return Padding(Text(clean(text), style="bold cyan", overflow="fold"), (1, 0, 0, 0))


def line(text: str, style: str = "") -> RenderableType:
    """Return a line of text, indented as tables are; long ones are folded between words."""
    return Padding(Text(clean(text), style=style), (0, 0, 0, 1))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> RenderableType:
    """Return rows under the names of their columns, closer together where they would not fit into `WIDTH`.

    Parameters
    ----------
    columns : sequence of str
        Names; those of numbers are set flush right.
    rows : iterable of sequence of str
        Cells.
    left : int
        Columns at the beginning that hold text.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    lengths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    gap = 2 if 1 + sum(lengths) + 2 * (len(lengths) - 1) <= WIDTH else 1
    built = Table(box=None, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    for place, name in enumerate(columns):
        text = place < left
        longest = max((len(row[place]) for row in cells), default=0)
        built.add_column(
            name,
            justify="left" if text else "right",
            no_wrap=not text,
            overflow="fold",
            min_width=min(longest, SHORTEST_NAME) if text else None,
        )
    for row in cells:
        built.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    return Padding(built, (0, 0, 0, 1))


def _style(cell: str) -> str:
    return {"ok": "green", "exact": "green", "unreliable": "bold red", "failed": "bold red"}.get(cell, "")


def exponentials(block: Mapping[str, Any]) -> str:
    """Return median and interval on the scale of a ratio."""
    on_ratio = block["exp"]
    values = [_ratio(on_ratio[name]) for name in ("median", "lower", "upper")]
    return f"{values[0]} [{values[1]}, {values[2]}]"


def _ratio(value: float) -> str:
    return number(value, 3) if 1e-3 <= value < 1e4 else f"{value:.3g}"
