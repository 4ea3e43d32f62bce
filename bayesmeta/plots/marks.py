"""Marks of estimates on a horizontal axis: squares, dots, diamonds, bars, and arrows at clipped ends."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.plots.palette import INK, OBSERVED, PAPER, POSTERIOR, POSTERIOR_LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

    from bayesmeta.plots.scale import Limits
    from bayesmeta.plots.spans import Span

SMALLEST, LARGEST = 8.0, 80.0
"""Areas of squares in square points."""
HALF_DIAMOND = 9.0
CLIPPED = "_clipped"
"""Label of the arrows, by which they can be found."""


class Pen(NamedTuple):
    """Where marks are drawn, and how large."""

    ax: Axes
    """Axes."""
    limits: Limits
    """Ends of the axis."""
    size: float
    """Factor of all sizes."""

    def square(self, y: float, span: Span, share: float) -> None:
        """Draw an observed estimate; `share` is its weight relative to the largest."""
        self._interval(y, span, OBSERVED, 1.2)
        if self.limits.holds(span.centre):
            area = (SMALLEST + (LARGEST - SMALLEST) * share) * self.size**2
            style: dict[str, Any] = {"mew": 0, "zorder": 3, "clip_on": False}
            self.ax.plot([span.centre], [y], "s", ms=sqrt(area), color=OBSERVED, **style)

    def estimate(self, y: float, span: Span) -> None:
        """Draw the posterior of one quantity: an open dot on a light interval."""
        self._interval(y, span, POSTERIOR_LIGHT, 2.2)
        if self.limits.holds(span.centre):
            self._dot(span.centre, y, {"zorder": 3.2})

    def diamond(self, y: float, span: Span, *, filled: bool) -> None:
        """Draw a pooled effect: filled for all studies, open for a subgroup."""
        from matplotlib.patches import Polygon

        left, middle, right = span.lower, span.centre, span.upper
        corners = [(left, y), (middle, y - HALF_DIAMOND), (right, y), (middle, y + HALF_DIAMOND)]
        face, width = POSTERIOR if filled else PAPER, 1.5 * self.size
        style: dict[str, Any] = {"ec": POSTERIOR, "lw": width, "joinstyle": "miter", "zorder": 3}
        self.ax.add_patch(Polygon(corners, closed=True, fc=face, **style))
        self._arrows(y, span, POSTERIOR, 6)

    def prediction(self, y: float, span: Span) -> None:
        """Draw the interval of the effect in a new study as a bar."""
        self._interval(y, span, INK, 6, arrow=10)

    def legend(self, x: float, y: float, step: float, at: Transform) -> None:
        """Draw the two marks of a study below one another, at a place in points."""
        options: dict[str, Any] = {"transform": at, "clip_on": False}
        width = self.size
        self.ax.plot([x, x + 20], [y, y], color=OBSERVED, lw=1.2 * width, **options)
        self.ax.plot([x + 10], [y], "s", ms=6 * width, color=OBSERVED, mew=0, **options)
        self.ax.plot([x, x + 20], [y + step] * 2, color=POSTERIOR_LIGHT, lw=2.2 * width, **options)
        self._dot(x + 10, y + step, options)

    def _dot(self, x: float, y: float, options: dict[str, Any]) -> None:
        style: dict[str, Any] = {"mfc": PAPER, "mec": POSTERIOR, "clip_on": False} | options
        self.ax.plot([x], [y], "o", ms=5 * self.size, mew=1.4 * self.size, **style)

    def _interval(self, y: float, span: Span, color: str, width: float, *, arrow: float = 6) -> None:
        left, right = max(span.lower, self.limits.left), min(span.upper, self.limits.right)
        if left <= right:
            style: dict[str, Any] = {"solid_capstyle": "butt", "zorder": 2, "clip_on": False}
            self.ax.plot([left, right], [y, y], color=color, lw=width * self.size, **style)
        self._arrows(y, span, color, arrow)

    def _arrows(self, y: float, span: Span, color: str, size: float) -> None:
        """Draw an arrow at each end of the axis beyond which the interval goes on."""
        ends = [(self.limits.left, "<")] if span.lower < self.limits.left else []
        ends += [(self.limits.right, ">")] if span.upper > self.limits.right else []
        for x, marker in ends:
            style: dict[str, Any] = {"mew": 0, "zorder": 3, "clip_on": False, "label": CLIPPED}
            self.ax.plot([x], [y], marker, ms=size * self.size, color=color, **style)
