"""Axes of effects on charts: the reported scale, logarithmic for ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.plots.scale import LARGEST_LOG, Limits, ticks_of
from bayesmeta.plots.sentences import axis_name
from bayesmeta.plots.style import size_of
from bayesmeta.plots.words import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmeta.arrays import Floats
    from bayesmeta.studies import Studies

LINE = 14.0
"""Points that tick labels need above one another on a vertical axis."""


def to_reported(studies: Studies, values: Floats) -> Floats:
    """Return effects on the reported scale."""
    values = np.asarray(values, dtype=np.float64)
    return np.exp(np.clip(values, -LARGEST_LOG, LARGEST_LOG)) if studies.is_ratio else values


def draw_effect_axis(
    ax: Axes, studies: Studies, low: float, high: float, *, which: str = "x", name: str | None = None
) -> None:
    """Set scale, limits, ticks and name of an axis of effects from `low` to `high` on the analysis scale."""
    margin = 0.04 * (high - low) or 0.5
    left, right = to_reported(studies, np.array([low - margin, high + margin])).tolist()
    limits, log_scale = Limits(left, right), studies.is_ratio
    room = size_of(ax)[0 if which == "x" else 1]
    if which == "x":
        ticks = ticks_of(limits, log_scale=log_scale, room=room)
    else:
        ticks = ticks_of(limits, log_scale=log_scale, room=room, upright=LINE)
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log" if log_scale else "linear")
    (ax.set_xlim if which == "x" else ax.set_ylim)(left, right)
    axis.set_ticks(ticks.places, list(ticks.labels))
    axis.set_ticks([], minor=True)
    axis.set_label_text(shortened(axis_name(studies) if name is None else name, room, 9.0))
