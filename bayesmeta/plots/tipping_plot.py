"""Tipping points in pictures: the probability of a statement along a change, and the decision line."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import AnalysisError, is_one_of, suggest, told
from bayesmeta.plots.atlas_plot import log_ticks
from bayesmeta.plots.palette import ALARM, INK, MUTED, PAPER, POSTERIOR, POSTERIOR_LIGHT, PRIOR, SMALL, TEXT
from bayesmeta.plots.sentences import scale_note
from bayesmeta.plots.style import plain_axes, size_of, styled
from bayesmeta.plots.words import clean, shortened
from bayesmeta.sensitivity.tipping import TippingPoints

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmeta.sensitivity import TippingCurve

KINDS = ("effects", "tau_scale", "mu_scale", "null_study", "bias")
REACH = 2.5
"""Distances of the tipping point from the present value that are drawn of a curve."""
MOST_ERRORS = 12.0
"""Standard errors of change that are drawn at least of the effects of studies that never tip."""


def tipping(points: TippingPoints, which: str = "effects", ax: Axes | None = None) -> Axes:
    """Return the Axes with the probability of the statement along one kind of change.

    Parameters
    ----------
    points : TippingPoints
        What `bayesmeta.tipping_points` returned.
    which : {"effects", "tau_scale", "mu_scale", "null_study", "bias"}
        The change: the effect of each study (in its standard errors, a line for each study), the scale of a
        prior, the standard error of a new study with effect 0, or a bias of all studies.
    ax : Axes, optional
        Where to draw.

    Raises
    ------
    AnalysisError
        If there is no such change, or it cannot be made.
    """
    if not is_one_of(which, KINDS):
        known = ", ".join(f"'{kind}'" for kind in KINDS)
        raise AnalysisError(f"which must be one of {known}; got {told(which)}{suggest(which, KINDS)}")
    if not isinstance(points, TippingPoints):
        raise AnalysisError(
            f"tipping draws what bm.tipping_points(fit) returned; got {type(points).__name__}"
        )
    curve = points.effects[0] if which == "effects" else getattr(points, which)
    if not curve.x.size:
        raise AnalysisError(curve.reason)
    with styled():
        ax = plain_axes(ax)
        if which == "effects":
            _effects(ax, points)
        else:
            _one(ax, points, curve, logarithmic=which != "bias")
        _frame(ax, points, points.weakest or curve if which == "effects" else curve)
    return ax


def _effects(ax: Axes, points: TippingPoints) -> None:
    able = [abs(one.change) / one.unit for one in points.effects if isfinite(one.tipping)]
    reach = min(max(able, default=MOST_ERRORS), 4 * min(able, default=MOST_ERRORS)) * 1.25
    weakest = points.weakest
    for one in points.effects:
        x = (one.x - one.present) / one.unit
        strong = one is weakest
        color, width = (PRIOR, 1.8) if strong else (POSTERIOR_LIGHT, 1.0)
        ax.plot(x, one.probability, color=color, lw=width, zorder=3 if strong else 2)
        if isfinite(one.tipping):
            place = one.change / one.unit
            ax.plot([place], [points.decision], "o", ms=5 if strong else 3.5, color=color, zorder=4)
    if weakest is not None:
        label = clean(weakest.what.removeprefix("effect of "))
        _say(ax, weakest, weakest.change / weakest.unit, points.decision, f"{label}: {weakest.tipping:.3g}")
    ax.plot([0], [points.probability], "o", ms=6, mfc=PAPER, mec=POSTERIOR, mew=1.4, zorder=5)
    ax.set_xlim(-reach, reach)
    _vertical(
        ax,
        [one.probability[np.abs(one.x - one.present) <= reach * one.unit] for one in points.effects],
        points,
    )
    ax.set_xlabel("change of the effect of one study, in its standard errors")


def _one(ax: Axes, points: TippingPoints, curve: TippingCurve, *, logarithmic: bool) -> None:
    ax.plot(curve.x, curve.probability, color=POSTERIOR, lw=1.8)
    low, high = _limits(curve, logarithmic=logarithmic)
    if logarithmic:
        ax.set_xscale("log")
        log_ticks(ax, low, high)
    ax.set_xlim(low, high)
    if isfinite(curve.present):
        ax.plot([curve.present], [points.probability], "o", ms=6, mfc=PAPER, mec=POSTERIOR, mew=1.4, zorder=5)
    if isfinite(curve.tipping):
        ax.plot([curve.tipping], [points.decision], "o", ms=5, color=PRIOR, zorder=5)
        _say(ax, curve, curve.tipping, points.decision, f"{curve.tipping:.3g}")
    inside = (curve.x >= low) & (curve.x <= high)
    _vertical(ax, [curve.probability[inside]], points)
    studies = points.fit.studies
    note = scale_note(studies) or (f" ({clean(studies.units)})" if studies.units else "")
    ax.set_xlabel(shortened(f"{curve.what}{note}", size_of(ax)[0], TEXT))


def _limits(curve: TippingCurve, *, logarithmic: bool) -> tuple[float, float]:
    """Return the ends of the axis: what leads from the present value to the tipping point, and some more."""
    low, high = float(curve.x[0]), float(curve.x[-1])
    if not isfinite(curve.tipping):
        return low, high
    ends = [curve.tipping, curve.present if isfinite(curve.present) else high]
    if logarithmic:
        factor = max(abs(float(np.log(ends[1] / ends[0]))) * (REACH - 1) / 2, 1.0)
        return max(low, min(ends) * float(np.exp(-factor))), min(high, max(ends) * float(np.exp(factor)))
    far = REACH * abs(ends[0] - ends[1])
    return max(low, -0.3 * far if curve.tipping > 0 else -far), min(
        high, far if curve.tipping > 0 else 0.3 * far
    )


def _vertical(ax: Axes, parts: list[np.ndarray], points: TippingPoints) -> None:
    seen = np.concatenate([*parts, [points.decision, points.probability]])
    low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
    margin = 0.06 * max(high - low, 1e-3)
    ax.set_ylim(max(low - margin, 0.0 - margin), min(high + margin, 1.0 + margin))


def _say(ax: Axes, curve: TippingCurve, x: float, y: float, text: str) -> None:
    """Write the tipping point beside it, off the curve."""
    place = int(np.searchsorted(curve.x, curve.tipping).clip(1, curve.x.size - 2))
    falling = curve.probability[place + 1] < curve.probability[place - 1]
    offset, side = (5, "bottom") if falling else (-6, "top")
    style = {"textcoords": "offset points", "va": side, "fontsize": SMALL, "color": PRIOR}
    ax.annotate(text, (x, y), xytext=(6, offset), **style)  # type: ignore[arg-type]


def _frame(ax: Axes, points: TippingPoints, curve: TippingCurve) -> None:
    """Draw the decision line and say what it is, on the side on which the curve is farther from it."""
    x = (curve.x - curve.present) / curve.unit if isfinite(curve.unit) else curve.x
    ends = np.interp(ax.get_xlim(), x, curve.probability)
    left = abs(ends[0] - points.decision) > abs(ends[1] - points.decision)
    ax.axhline(points.decision, color=ALARM, lw=0.9, ls=(0, (4, 2)), zorder=1)
    ax.annotate(
        f"decision line {points.decision:g}",
        (0.01 if left else 1, points.decision),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="left" if left else "right",
        fontsize=SMALL,
        color=ALARM,
    )
    statement = points.statement.replace("theta_new", "θ_new").replace("mu", "μ")
    ax.set_ylabel(f"P({statement})", color=INK)
    ax.set_title(f"now: {points.probability:.4f}", loc="left", fontsize=SMALL, color=MUTED)
