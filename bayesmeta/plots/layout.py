"""Where everything on a forest plot stands: columns, rows and edges, in points from the upper left corner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesmeta.plots.palette import SMALL, TEXT
from bayesmeta.plots.words import shortened, widest, width_of, wrapped

if TYPE_CHECKING:
    from bayesmeta.plots.rows import Row, Table

MARGIN = 12.0
GAP = 14.0
INDENT = 10.0
PANEL = 260.0
"""Width of the area with the axis."""
LABELS = (60.0, 190.0)
"""Narrowest and widest column of labels."""
ANSWERS = 300.0
"""Widest column of labels that name priors or what was left out."""
CELLS = 120.0
"""Widest column of cells."""
HEADER = 44.0
LINE = 12.5
"""Distance between lines of the footer."""
AXIS = 20.0
"""Height of axis and tick labels."""
LEGEND = 150.0
"""Room for the legend beside the footer."""
CROWD = 40
"""Rows above which they stand closer."""
HEIGHTS = {
    "heading": 24.0,
    "study": 25.0,
    "subgroup": 27.0,
    "pooled": 28.0,
    "prediction": 25.0,
    "answer": 22.0,
}
CLOSER = {"study": 21.0}
SPACE = 14.0
"""Extra space before a heading and before the pooled answer."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Places on the page.

    Attributes
    ----------
    labels : tuple of str
        Label of each row, cut to fit.
    rows : tuple of float
        Height at which each row stands.
    cells : tuple of float
        Right edge of each column of cells.
    groups : tuple of (str, float)
        Each heading of cells, cut to fit, and where its right edge is.
    panel : tuple of (float, float)
        Left and right edge of the axis.
    top, bottom : float
        Upper and lower edge of the axis.
    weights, estimates : float
        Right edges of the columns of weights and estimates.
    footer : tuple of str
        Lines of the footer.
    width, height : float
        Size of the page.
    """

    labels: tuple[str, ...]
    rows: tuple[float, ...]
    cells: tuple[float, ...]
    groups: tuple[tuple[str, float], ...]
    panel: tuple[float, float]
    top: float
    bottom: float
    weights: float
    estimates: float
    footer: tuple[str, ...]
    width: float
    height: float

    @property
    def footer_top(self) -> float:
        """Height of the first line of the footer."""
        return self.height - MARGIN - LINE * len(self.footer) + LINE / 2


def layout_of(table: Table) -> Layout:
    """Return the places of everything in a table."""
    labels = tuple(_label(table, row) for row in table.rows)
    edge = MARGIN + _label_width(table, labels)
    cells, groups = _columns(table, edge)
    start = (cells[-1] if cells else edge) + GAP + 4
    panel = (start, start + PANEL)
    weights = panel[1] + GAP + (width_of("Weight", TEXT, "bold") if table.weighted else 0.0)
    estimates = weights + (GAP if table.weighted else 0.0) + _estimate_width(table)
    width = estimates + MARGIN
    rows, bottom = _heights(table)
    room = width - 2 * MARGIN - (LEGEND if has_legend(table) else 0.0)
    footer = [line for paragraph in table.footer for line in wrapped(paragraph, room, SMALL)]
    below = AXIS + LINE * (2 if any(table.favours) else 1) + 10
    height = bottom + below + LINE * max(len(footer), 2 if has_legend(table) else 0) + MARGIN
    return Layout(
        labels,
        rows,
        cells,
        groups,
        panel,
        HEADER + 4,
        bottom,
        weights,
        estimates,
        tuple(footer),
        width,
        height,
    )


def has_legend(table: Table) -> bool:
    """Return whether both observed and posterior estimates are drawn."""
    return any(row.observed is not None for row in table.rows) and any(
        row.posterior is not None for row in table.rows if row.kind == "study"
    )


def label_style(row: Row) -> tuple[str, str]:
    """Return weight and style of the label of a row."""
    weight = "bold" if row.kind in {"heading", "pooled"} else "normal"
    return weight, "italic" if row.kind == "subgroup" else "normal"


def note_below(table: Table, row: Row) -> bool:
    """Return whether the note of a row stands below its label, for want of columns."""
    return bool(row.note) and row.kind == "subgroup" and not table.columns


def _label(table: Table, row: Row) -> str:
    room = (LABELS[1] if table.weighted else ANSWERS) - (INDENT if row.indent else 0.0)
    if row.kind == "heading":
        room += sum(_cell_widths(table)) / 2
    return shortened(row.label, room, TEXT, *label_style(row))


def _label_width(table: Table, labels: tuple[str, ...]) -> float:
    widths = [width_of(table.first, TEXT, "bold")]
    for row, label in zip(table.rows, labels, strict=True):
        indent = INDENT if row.indent else 0.0
        if row.kind != "heading" or not table.columns:
            widths.append(indent + width_of(label, TEXT, *label_style(row)))
        if note_below(table, row):
            widths.append(indent + width_of(row.note, SMALL))
    return max(LABELS[0], *widths)


def _cell_widths(table: Table) -> list[float]:
    parts = [part for group in table.columns for part in group.parts]
    cells = [row.cells for row in table.rows if row.cells]
    return [
        max(widest((cut(row[j]) for row in cells), TEXT - 0.5), width_of(part, SMALL))
        for j, part in enumerate(parts)
    ]


def cut(cell: str) -> str:
    """Return the text of a cell, cut to fit."""
    return shortened(cell, CELLS, TEXT - 0.5)


def _columns(table: Table, edge: float) -> tuple[tuple[float, ...], tuple[tuple[str, float], ...]]:
    """Return right edges of the columns of cells, and the headings of their groups with theirs."""
    widths = iter(_cell_widths(table))
    notes = widest((row.note for row in table.rows if row.kind == "subgroup"), SMALL)
    missing = max(0.0, notes - sum(_cell_widths(table)) - GAP * (len(_cell_widths(table)) - 1))
    cells: list[float] = []
    groups: list[tuple[str, float]] = []
    for group in table.columns:
        heading = shortened(group.heading, CELLS, TEXT, "bold")
        own = [next(widths) for _ in group.parts]
        total = sum(own) + GAP * (len(own) - 1)
        own[0] += max(0.0, width_of(heading, TEXT, "bold") - total, missing / len(table.columns))
        for width in own:
            edge += GAP + width
            cells.append(edge)
        groups.append((heading, edge))
    return tuple(cells), tuple(groups)


def _estimate_width(table: Table) -> float:
    texts = [table.text(span) for row in table.rows for span in row.spans]
    bold = [table.text(span) for row in table.rows if row.kind == "pooled" for span in row.spans]
    headings = max(width_of(table.effect, TEXT, "bold"), width_of(table.detail, SMALL))
    return max(headings, widest(texts, TEXT), widest(bold, TEXT, "bold"))


def _heights(table: Table) -> tuple[tuple[float, ...], float]:
    """Return the height of each row, and of the axis below them."""
    crowded = len(table.rows) > CROWD
    heights = HEIGHTS | (CLOSER if crowded else {})
    y, places = HEADER + 6, []
    for i, row in enumerate(table.rows):
        y += SPACE if i and row.kind in {"heading", "pooled"} else 0.0
        places.append(y + heights[row.kind] / 2)
        y += heights[row.kind]
    return tuple(places), y + 4
