"""Where an axis of effects begins and ends, and where its ticks stand."""

from __future__ import annotations

from math import ceil, exp, floor, log, log10
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.plots.palette import SMALL
from bayesmeta.plots.words import number_text, ratio_text, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bayesmeta.arrays import Floats
    from bayesmeta.plots.rows import Table
    from bayesmeta.plots.spans import Span

REACH = 2.0
"""Typical half-widths beyond the outermost estimates at which intervals are clipped."""
FAR = 10.0
"""Typical half-widths from the median beyond which an estimate does not stretch the axis."""
PADDING = 0.04
GAP = 6.0
"""Points between two tick labels."""
LARGEST_LOG = 600.0
DIGITS = ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
"""Ticks within one power of ten, from the closest to the widest."""


class Limits(NamedTuple):
    """Ends of an axis, on the reported scale."""

    left: float
    """Left end."""
    right: float
    """Right end."""

    def holds(self, value: float) -> bool:
        """Return whether a value lies within."""
        return self.left <= value <= self.right


class Ticks(NamedTuple):
    """Ticks of an axis."""

    places: tuple[float, ...]
    """Where they stand."""
    labels: tuple[str, ...]
    """What they say."""


def limits_of(table: Table) -> Limits:
    """Return the ends of the axis of a table: far ends of wide intervals lie outside."""
    spans = [span for row in table.rows for span in row.spans]
    points = np.array([_forward(span, log_scale=table.log) for span in spans]).reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    if not points.size:
        return Limits(0.5, 2.0) if table.log else Limits(-1.0, 1.0)
    low, high = _ends(points, 0.0 if table.null is not None else None)
    margin = PADDING * (high - low) or 0.5 * abs(high) or 0.5
    ends = (low - margin, high + margin)
    return Limits(*(exp(end) for end in ends)) if table.log else Limits(*ends)


def _forward(span: Span, *, log_scale: bool) -> tuple[float, ...]:
    if not log_scale:
        return tuple(span)
    return tuple(
        float(np.clip(log(value), -LARGEST_LOG, LARGEST_LOG)) if value > 0 else -LARGEST_LOG for value in span
    )


def _ends(points: Floats, null: float | None) -> tuple[float, float]:
    """Return the ends for rows of centre, lower, upper (n, 3), with no effect where it is not far away."""
    centre, lower, upper = points.T
    half = float(np.median(upper - lower)) / 2
    middle = float(np.median(centre))
    spread = max(half, float(np.median(np.abs(centre - middle))))
    near = np.abs(centre - middle) <= FAR * spread
    low = float(np.maximum(lower[near], centre[near].min() - REACH * half).min())
    high = float(np.minimum(upper[near], centre[near].max() + REACH * half).max())
    if null is not None and low - (high - low) <= null <= high + (high - low):
        low, high = min(low, null), max(high, null)
    return low, high


def ticks_of(limits: Limits, *, log_scale: bool, room: float, upright: float | None = None) -> Ticks:
    """Return the ticks with as many labels as fit into `room` points.

    Parameters
    ----------
    limits : Limits
        Ends of the axis.
    log_scale : bool
        Whether it is logarithmic.
    room : float
        Its length in points.
    upright : float, optional
        Height of a label on a vertical axis; on a horizontal one the widths of the labels count.
    """
    candidates = _log_ticks(limits) if log_scale else _linear_ticks(limits)
    chosen = Ticks((), ())
    for ticks in candidates:
        chosen = ticks
        if len(ticks.places) >= 2 and _fits(ticks, limits, log_scale=log_scale, room=room, upright=upright):
            return ticks
    return chosen if len(chosen.places) <= 1 else Ticks(chosen.places[:1], chosen.labels[:1])


def _fits(ticks: Ticks, limits: Limits, *, log_scale: bool, room: float, upright: float | None) -> bool:
    forward = np.log if log_scale else np.asarray
    left, right = forward(np.array(limits))
    places = (forward(np.array(ticks.places)) - left) / (right - left) * room
    widths = np.array([width_of(label, SMALL) if upright is None else upright for label in ticks.labels])
    gaps = np.diff(places) - (widths[1:] + widths[:-1]) / 2
    return bool((gaps >= GAP).all())


def _linear_ticks(limits: Limits) -> Iterator[Ticks]:
    from matplotlib.ticker import MaxNLocator

    for count in (7, 6, 5, 4, 3, 2):
        values = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(*limits)
        inside = [float(value) for value in values if limits.holds(float(value))]
        yield Ticks(tuple(inside), linear_labels(inside))


def linear_labels(values: Sequence[float]) -> tuple[str, ...]:
    """Return labels of evenly spaced values with the decimals that tell them apart."""
    if len(values) < 2:
        return tuple(number_text(value, 2) for value in values)
    step = values[1] - values[0]
    decimals = -floor(log10(step) + 1e-9)
    decimals += round(step * 10.0**decimals, 6) % 1 != 0
    return tuple(number_text(round(value, decimals), decimals) for value in values)


def _log_ticks(limits: Limits) -> Iterator[Ticks]:
    first, last = floor(log10(limits.left)), ceil(log10(limits.right))
    if last - first <= 20:
        for digits in DIGITS:
            values = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
            inside = [value for value in values if limits.holds(value)]
            if len(inside) >= 3:
                yield _ratio_ticks(inside)
    if limits.right / limits.left < 10:
        yield from (ticks for ticks in _linear_ticks(limits) if min(ticks.places, default=0) > 0)
    for stride in (1, 2, 3, 5, 10, 20, 50, 100, 200):
        powers = [power for power in range(first, last + 1) if power % stride == 0]
        yield _ratio_ticks([10.0**power for power in powers if limits.holds(10.0**power)])


def _ratio_ticks(values: Sequence[float]) -> Ticks:
    return Ticks(tuple(values), tuple(_ratio_label(value) for value in values))


def _ratio_label(value: float) -> str:
    return f"{value:g}" if 1e-4 <= value < 1e5 else ratio_text(value).replace("1.0×", "")
