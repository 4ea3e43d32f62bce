"""Marks of estimates on a horizontal axis: squares, dots, diamonds, bars, and arrows at clipped ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.plots.palette import INK, OBSERVED, PAPER, POSTERIOR, POSTERIOR_LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

    from bayesmeta.plots.rows import Span
    from bayesmeta.plots.scale import Limits

SMALLEST, LARGEST = 8.0, 80.0
"""Areas of squares in square points."""
HALF_DIAMOND = 9.0
CLIPPED = "_clipped"
"""Label of the arrows, by which they can be found."""


def draw_square(ax: Axes, y: float, span: Span, limits: Limits, share: float) -> None:
    """Draw an observed estimate; `share` is its weight relative to the largest."""
    _interval(ax, y, span, limits, color=OBSERVED, lw=1.2)
    if limits.holds(span.centre):
        area = SMALLEST + (LARGEST - SMALLEST) * share
        ax.scatter([span.centre], [y], s=area, marker="s", color=OBSERVED, lw=0, zorder=3, clip_on=False)


def draw_estimate(ax: Axes, y: float, span: Span, limits: Limits) -> None:
    """Draw the posterior of one quantity: an open dot on a light interval."""
    _interval(ax, y, span, limits, color=POSTERIOR_LIGHT, lw=2.2)
    if limits.holds(span.centre):
        style: dict[str, Any] = {"mfc": PAPER, "mec": POSTERIOR, "mew": 1.4, "zorder": 3.2}
        ax.plot([span.centre], [y], "o", ms=5, clip_on=False, **style)


def draw_diamond(ax: Axes, y: float, span: Span, limits: Limits, *, filled: bool) -> None:
    """Draw a pooled effect: filled for all studies, open for a subgroup."""
    from matplotlib.patches import Polygon

    corners = [
        (span.lower, y),
        (span.centre, y - HALF_DIAMOND),
        (span.upper, y),
        (span.centre, y + HALF_DIAMOND),
    ]
    face = POSTERIOR if filled else PAPER
    ax.add_patch(Polygon(corners, closed=True, fc=face, ec=POSTERIOR, lw=1.5, zorder=3, joinstyle="miter"))
    _arrows(ax, y, span, limits, POSTERIOR)


def draw_prediction(ax: Axes, y: float, span: Span, limits: Limits) -> None:
    """Draw the interval of the effect in a new study as a bar."""
    _interval(ax, y, span, limits, color=INK, lw=6)


def draw_legend(ax: Axes, x: float, y: float, at: Transform) -> None:
    """Draw the two marks of a study below one another, at a place in points."""
    options: dict[str, Any] = {"transform": at, "clip_on": False}
    ax.plot([x, x + 20], [y, y], color=OBSERVED, lw=1.2, **options)
    ax.plot([x + 10], [y], "s", ms=6, color=OBSERVED, mew=0, **options)
    ax.plot([x, x + 20], [y + 12.5] * 2, color=POSTERIOR_LIGHT, lw=2.2, **options)
    ax.plot([x + 10], [y + 12.5], "o", ms=5, mfc=PAPER, mec=POSTERIOR, mew=1.4, **options)


def _interval(ax: Axes, y: float, span: Span, limits: Limits, *, color: str, lw: float) -> None:
    left, right = max(span.lower, limits.left), min(span.upper, limits.right)
    if left <= right:
        ax.plot([left, right], [y, y], color=color, lw=lw, solid_capstyle="butt", zorder=2, clip_on=False)
    _arrows(ax, y, span, limits, color)


def _arrows(ax: Axes, y: float, span: Span, limits: Limits, color: str) -> None:
    """Draw an arrow at each end of the axis beyond which the interval goes on."""
    ends = [(limits.left, "<")] if span.lower < limits.left else []
    ends += [(limits.right, ">")] if span.upper > limits.right else []
    for x, marker in ends:
        ax.plot([x], [y], marker, ms=6, color=color, mew=0, zorder=3, clip_on=False, label=CLIPPED)
