"""How figures are made: settings in force while one is drawn or written, never left behind."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bayesmeta.errors import AnalysisError
from bayesmeta.plots.fonts import fonts, missing_glyphs_allowed
from bayesmeta.plots.palette import ALARM, FAINT, INK, PAPER, SMALL, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def settings() -> Any:
    """Return matplotlib's settings for our figures, the same whatever the user's own are."""
    return {
        "axes.edgecolor": INK,
        "axes.facecolor": PAPER,
        "axes.formatter.useoffset": False,
        "axes.grid": False,
        "axes.labelcolor": INK,
        "axes.labelsize": TEXT,
        "axes.linewidth": 0.9,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": TEXT + 1,
        "axes.unicode_minus": True,
        "figure.facecolor": PAPER,
        "font.family": list(fonts()),
        "font.size": TEXT,
        "grid.color": FAINT,
        "legend.fontsize": SMALL,
        "legend.frameon": False,
        "path.sketch": None,
        "pdf.fonttype": 42,
        "savefig.bbox": None,
        "savefig.facecolor": PAPER,
        "svg.fonttype": "none",
        "svg.hashsalt": "bayesmeta",
        "svg.id": None,
        "text.color": INK,
        "text.hinting": "none",
        "text.parse_math": False,
        "text.usetex": False,
        "xtick.color": INK,
        "xtick.labelsize": SMALL,
        "ytick.color": INK,
        "ytick.labelsize": SMALL,
    }


@contextmanager
def styled() -> Iterator[None]:
    """Put our settings in force, and the user's back afterwards."""
    import matplotlib as mpl

    with mpl.rc_context(settings()), missing_glyphs_allowed():
        yield


def new_axes(width: float, height: float) -> Axes:
    """Return the Axes of a new figure of `width` times `height` inches; no window, no global state."""
    from matplotlib.figure import Figure

    figure: Figure = Figure(figsize=(width, height))
    return figure.add_subplot()


def plain_axes(ax: Axes | None, *, width: float = 6.4, height: float = 4.4) -> Axes:
    """Return the Axes to draw a chart into: the given ones, or those of a new figure with room for names."""
    if ax is None:
        ax = new_axes(width, height)
        ax.set_position((0.8 / width, 1.15 / height, (width - 1.0) / width, (height - 1.4) / height))
    return prepared(ax)


def prepared(ax: Axes) -> Axes:
    """Return the Axes with their title and names ready for any text, open above and to the right.

    Raises
    ------
    AnalysisError
        If they are no Axes.
    """
    from matplotlib.axes import Axes

    given: object = ax
    if not isinstance(given, Axes):
        got = type(given).__name__
        raise AnalysisError(f"ax must be Axes of matplotlib; got {got}; leave it out for a new figure")
    ax.spines[["top", "right"]].set_visible(False)
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_parse_math(False)
        text.set_fontfamily(list(fonts()))
    return ax


def require_drawn(value: object, kind: type, who: str, maker: str) -> None:
    """Refuse what a figure cannot be drawn of.

    Raises
    ------
    AnalysisError
        With what was given, and what makes what is needed.
    """
    if not isinstance(value, kind):
        raise AnalysisError(f"{who} draws what {maker} returned; got {type(value).__name__}")


def require_each(values: object, kind: type, who: str, maker: str) -> None:
    """Refuse a sequence that holds something else than what `maker` returns.

    Raises
    ------
    AnalysisError
        As `require_drawn`, or if there is nothing in it.
    """
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise AnalysisError(f"{who} draws what {maker} returned; got {type(values).__name__}")
    if not values:
        raise AnalysisError(f"{who} draws what {maker} returned; got nothing")
    for one in values:
        require_drawn(one, kind, who, maker)


def size_of(ax: Axes) -> tuple[float, float]:
    """Return width and height of the Axes in points."""
    box, dots = ax.get_window_extent(), ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    return 72 * box.width / dots, 72 * box.height / dots


def draw_alarm(ax: Axes, text: str) -> None:
    """Write what must not be overlooked above a chart; nothing if there is nothing."""
    if text:
        ax.text(0, 1.02, text, transform=ax.transAxes, color=ALARM, fontsize=SMALL, weight="bold")


def below(ax: Axes, ours: bool) -> None:
    """Draw the legend below a chart of ours, and where it disturbs least on Axes of others."""
    if ours:
        down = -35 / size_of(ax)[1]
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, down), ncols=2, handlelength=2.2)
    else:
        ax.legend(loc="best")
