"""The drawing of a table of estimates with an axis in its midst: forest plots and their kin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.plots.layout import INDENT, LINE, MARGIN, cut, has_legend, label_style, layout_of, note_below
from bayesmeta.plots.marks import Pen
from bayesmeta.plots.palette import ALARM, INK, MUTED, POSTERIOR, SMALL, TEXT
from bayesmeta.plots.scale import limits_of, ticks_of
from bayesmeta.plots.style import new_axes, prepared, size_of, styled
from bayesmeta.plots.words import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

    from bayesmeta.plots.layout import Layout
    from bayesmeta.plots.rows import Row, Table
    from bayesmeta.plots.scale import Limits

LIFT = 4.6
"""Points by which the observed estimate stands above the middle of its row, and the posterior below."""


def draw_table(table: Table, ax: Axes | None) -> Axes:
    """Return the Axes with a table drawn: the text around it, the estimates within.

    Parameters
    ----------
    table : Table
        The rows.
    ax : Axes or None
        Where to draw; its box holds the whole plot, text included, and the Axes shrink to the part with the
        axis. None makes a figure of the right size.
    """
    with styled():
        page = _Page(table, ax)
        page.header()
        page.background()
        for place, row in enumerate(table.rows):
            page.row(place, row)
        page.axis()
        page.footer()
    return page.ax


class _Page:
    """A table on its way onto Axes, whose y are points from the top."""

    def __init__(self, table: Table, ax: Axes | None) -> None:
        self.table = table
        self.layout: Layout = layout_of(table)
        self.limits: Limits = limits_of(table)
        self.ax, self.size = _panel(self.layout, ax)
        self.pen = Pen(self.ax, self.limits, self.size)
        self.ax.set_xscale("log" if table.log else "linear")
        self.ax.set_xlim(*self.limits)
        self.ax.set_ylim(self.layout.bottom, self.layout.top)
        self.ax.set_autoscale_on(False)
        self.at: Transform = _points(self.layout, self.ax)

    def say(self, x: float, y: float, text: str, size: float = TEXT, **options: Any) -> None:
        """Write text at a place in points."""
        style = {"ha": "left", "va": "center_baseline", "color": INK, **options}
        self.ax.text(x, y, text, fontsize=size * self.size, transform=self.at, clip_on=False, **style)

    def header(self) -> None:
        """Write the headings, and draw the rule below them."""
        layout, table = self.layout, self.table
        first, second, rule = 12.0, 28.0, 40.0
        self.say(MARGIN, first, table.first, weight="bold")
        for heading, edge in layout.groups:
            self.say(edge, first, heading, weight="bold", ha="right")
        parts = [part for group in table.columns for part in group.parts]
        for part, edge in zip(parts, layout.cells, strict=True):
            self.say(edge, second, part, SMALL, color=MUTED, ha="right")
        if table.weighted:
            self.say(layout.weights, first, "Weight", weight="bold", ha="right")
            self.say(layout.weights, second, "%", SMALL, color=MUTED, ha="right")
        self.say(layout.estimates, first, table.effect, weight="bold", ha="right")
        self.say(layout.estimates, second, table.detail, SMALL, color=MUTED, ha="right")
        if table.alarm:
            middle = sum(layout.panel) / 2
            self.say(middle, second, table.alarm, SMALL, color=ALARM, weight="bold", ha="center")
        ends = (MARGIN - 4, layout.width - MARGIN + 4)
        self.ax.plot(ends, (rule, rule), color=INK, lw=1, transform=self.at, clip_on=False)

    def background(self) -> None:
        """Draw the lines of no effect and of the pooled effect."""
        table = self.table
        if table.null is not None and self.limits.holds(table.null):
            self.ax.axvline(table.null, color=INK, lw=1, zorder=1)
        if table.reference is not None and self.limits.holds(table.reference):
            self.ax.axvline(table.reference, color=POSTERIOR, lw=1, ls=(0, (4, 3)), zorder=1.1)

    def row(self, place: int, row: Row) -> None:
        """Draw one row: label, cells, weight, estimates and their text."""
        y = self.layout.rows[place]
        self._label(y, self.layout.labels[place], row)
        for cell, edge in zip(row.cells, self.layout.cells, strict=False):
            self.say(edge, y, cut(cell), TEXT - 0.5, ha="right")
        bold = "bold" if row.kind == "pooled" else "normal"
        if row.weight is not None:
            self.say(self.layout.weights, y, f"{row.weight:.1f}", ha="right", weight=bold)
        if row.kind == "study":
            self._study(y, row)
        elif row.posterior is not None:
            self.say(self.layout.estimates, y, self.table.text(row.posterior), ha="right", weight=bold)
            self._answer(y, row)

    def _label(self, y: float, label: str, row: Row) -> None:
        weight, style = label_style(row)
        x = MARGIN + (INDENT if row.indent else 0.0)
        below = note_below(self.table, row)
        self.say(x, y - (5.5 if below else 0.0), label, weight=weight, style=style)
        if below:
            self.say(x, y + 6.5, row.note, SMALL, color=MUTED)
        elif row.kind == "subgroup" and self.layout.cells:
            self.say(self.layout.cells[-1], y, row.note, SMALL, color=MUTED, ha="right")

    def _study(self, y: float, row: Row) -> None:
        stacked = len(row.spans) == 2 or bool(row.note and row.spans)
        lift = LIFT if stacked else 0.0
        texts = [(self.table.text(span), color) for span, color in self._coloured(row)]
        if row.note:
            texts.insert(0, (row.note, MUTED))
        for offset, (text, color) in zip((-lift, lift), texts, strict=False):
            self.say(self.layout.estimates, y + offset, text, SMALL, color=color, ha="right")
        if row.observed is not None:
            heaviest = max((one.weight or 0.0 for one in self.table.rows if one.kind == "study"), default=0.0)
            share = (row.weight or 0.0) / heaviest if heaviest else 0.0
            self.pen.square(y - lift, row.observed, share)
        if row.posterior is not None:
            self.pen.estimate(y + lift, row.posterior)

    @staticmethod
    def _coloured(row: Row) -> list[tuple[Any, str]]:
        pairs = [(row.observed, MUTED), (row.posterior, POSTERIOR)]
        return [(span, color) for span, color in pairs if span is not None]

    def _answer(self, y: float, row: Row) -> None:
        assert row.posterior is not None  # noqa: S101 - the caller looked
        if row.kind in {"subgroup", "pooled"}:
            self.pen.diamond(y, row.posterior, filled=row.kind == "pooled")
        elif row.kind == "prediction":
            self.pen.prediction(y, row.posterior)
        else:
            self.pen.estimate(y, row.posterior)

    def axis(self) -> None:
        """Draw the axis with its ticks, its name, and what lies on either side of no effect."""
        left, right = self.layout.panel
        ticks = ticks_of(self.limits, log_scale=self.table.log, room=right - left)
        self.ax.set_xticks(ticks.places, ticks.labels, fontsize=SMALL * self.size)
        self.ax.set_xticks([], minor=True)
        self.ax.set_yticks([])
        for side, spine in self.ax.spines.items():
            spine.set_visible(side == "bottom")
        self.ax.patch.set_visible(False)
        y = self.layout.bottom + 27
        if any(self.table.favours):
            self._favours(y)
            y += 13
        self.say((left + right) / 2, y, shortened(self.table.axis, right - left + 80, TEXT), ha="center")

    def _favours(self, y: float) -> None:
        left, right = self.layout.panel
        room = (right - left) / 2 - 22
        for x, side, text in zip((left, right), ("left", "right"), self.table.favours, strict=True):
            short = shortened(text, room, SMALL)
            self.say(x, y, f"◄ {short}" if side == "left" else f"{short} ►", SMALL, ha=side)

    def footer(self) -> None:
        """Write the footer and the legend beside it."""
        for i, line in enumerate(self.layout.footer):
            self.say(MARGIN, self.layout.footer_top + LINE * i, line, SMALL)
        if has_legend(self.table):
            x = self.layout.width - MARGIN - 120
            y = self.layout.height - MARGIN - 20
            self.pen.legend(x, y, LINE, self.at)
            for i, text in enumerate(("observed", "posterior (shrunken)")):
                self.say(x + 26, y + LINE * i, text, SMALL)


def _panel(layout: Layout, ax: Axes | None) -> tuple[Axes, float]:
    """Return the Axes, shrunk to the part with the axis, and the factor for the size of text."""
    if ax is None:
        ax = new_axes(layout.width / 72, layout.height / 72)
        ax.set_position((0, 0, 1, 1))
    prepared(ax)
    box = ax.get_position()
    width, height = size_of(ax)
    factor = min(1.0, width / layout.width, height / layout.height)
    wide, high = box.width / layout.width, box.height / layout.height
    ax.set_position(
        (
            box.x0 + layout.panel[0] * wide,
            box.y1 - layout.bottom * high,
            (layout.panel[1] - layout.panel[0]) * wide,
            (layout.bottom - layout.top) * high,
        )
    )
    return ax, factor


def _points(layout: Layout, ax: Axes) -> Transform:
    """Return the transformation from points on the page to the screen."""
    from matplotlib.transforms import Affine2D

    left, right = layout.panel
    scale = Affine2D().scale(1 / (right - left), -1 / (layout.bottom - layout.top))
    moved = Affine2D().translate(-left, -layout.bottom)
    return moved + scale + ax.transAxes
