"""The funnel plot."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.arrays import as_numbers
from bayesmeta.errors import AnalysisError, told
from bayesmeta.plots.effect_axis import LINE, draw_effect_axis, to_reported
from bayesmeta.plots.palette import INK, MUTED, OBSERVED, POSTERIOR, PRIOR, SHADES, SMALL
from bayesmeta.plots.scale import Limits, ticks_of
from bayesmeta.plots.sentences import alarm_of, null_of
from bayesmeta.plots.style import below, draw_alarm, plain_axes, size_of, styled
from bayesmeta.plots.words import percent
from bayesmeta.results.fit import require_fit
from bayesmeta.results.marginal import check_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bayesmeta.arrays import Floats
    from bayesmeta.bias import RegressionTest, TrimAndFill
    from bayesmeta.results.fit import Fit

CONTOURS = (0.90, 0.95, 0.99)
POINTS = 180
HEIGHT, ROW = 4.4, 0.28
"""Inches of the figure, and of a row of its legend."""
NAMES, ROWS = 6, 4
"""Names in the legend without additions, and rows for which there is room."""
LINE_STYLES = ("-", "-.")
"""Of the regressions, at most two."""


def funnel(
    fit: Fit,
    ax: Axes | None = None,
    *,
    prob: float = 0.95,
    contours: Sequence[float] = CONTOURS,
    filled: TrimAndFill | None = None,
    lines: Sequence[RegressionTest] = (),
) -> Axes:
    """Return the Axes with the funnel plot of a fit: effects against their standard errors.

    The dashed lines hold that share of studies around the pooled effect if all had the same true effect; the
    dotted ones if effects differ by tau (posterior medians of both). The shades are levels of significance of
    a single study against no effect.

    Parameters
    ----------
    fit : Fit
        The answer, without moderators. Studies without an estimate are not drawn.
    ax : Axes, optional
        Where to draw.
    prob : float
        Share of studies between the lines.
    contours : sequence of float
        Levels of the shades, increasing; empty for none. At most three.
    filled : TrimAndFill, optional
        From `bayesmeta.bias.trim_and_fill`: the studies that it fills in are drawn as open circles.
    lines : sequence of RegressionTest
        From `bayesmeta.bias`: regressions on the standard error or the variance, such as those of `egger` and
        `peese`; at most two.

    Raises
    ------
    AnalysisError
        If the fit has moderators, a level is not a probability, or a regression cannot be drawn here.

    References
    ----------
    Peters JL, Sutton AJ, Jones DR, Abrams KR, Rushton L (2008). Contour-enhanced meta-analysis funnel plots
    help distinguish publication bias from other causes of asymmetry. J Clin Epidemiol 61:991-996.
    doi:10.1016/j.jclinepi.2007.11.010
    """
    _check(fit, prob, contours)
    _check_lines(lines)
    studies = fit.studies
    seen = studies.estimable
    y, se = studies.yi[seen], studies.sei[seen]
    extra, extra_se = _filled_in(filled)
    mean, tau = fit.marginal("mu").median, fit.marginal("tau").median
    errors = np.linspace(0.0, 1.08 * float(se.max()), POINTS)
    z = NormalDist().inv_cdf((1 + prob) / 2)
    with styled():
        ours = ax is None
        ax = plain_axes(ax) if ax is not None else _axes(len(lines) + bool(extra.size))
        reach = z * float(errors[-1])
        ends = [*y.tolist(), *extra.tolist(), mean - reach, mean + reach, *(line.estimate for line in lines)]
        low, high = min(ends), max(ends)
        draw_effect_axis(ax, studies, low, high)
        _shades(ax, fit, errors, contours)
        ax.axvline(float(to_reported(studies, np.array(mean))), color=POSTERIOR, lw=1, zorder=2)
        same, differing = z * errors, z * np.sqrt(errors**2 + tau**2)
        labels = (
            f"{percent(prob)} of studies, same effect",
            f"{percent(prob)} of studies, effects differ by τ",
        )
        for half, style, label in zip((same, differing), ("--", ":"), labels, strict=True):
            for side in (-1, 1):
                x = to_reported(studies, mean + side * half)
                ax.plot(x, errors, style, color=POSTERIOR, lw=1, label=label if side < 0 else "_", zorder=2)
        for line, style in zip(lines, LINE_STYLES, strict=False):
            _regression(ax, fit, line, errors, style)
        if extra.size:
            x = to_reported(studies, extra)
            ax.scatter(
                x, extra_se, s=26, facecolor="white", ec=PRIOR, lw=1.1, zorder=3, label="filled in, not data"
            )
        ax.scatter(
            to_reported(studies, y), se, s=26, color=OBSERVED, ec="white", lw=0.6, zorder=3, label="study"
        )
        _finish(ax, fit, float(errors[-1]), ours)
    return ax


def _check(fit: Fit, prob: float, contours: Sequence[float]) -> None:
    require_fit(fit, "funnel")
    check_interval(prob, "eti")
    levels = as_numbers(contours)
    if levels is None or not all(0 < level < 1 for level in levels):
        raise AnalysisError(
            f"contours must be levels between 0 and 1, such as (0.9, 0.95); got {told(contours)}"
        )
    if len(contours) >= len(SHADES):
        raise AnalysisError(f"contours must be at most {len(SHADES) - 1} levels; got {len(contours)}")
    if not fit.problem.is_pooled:
        raise AnalysisError(
            f"a funnel plot needs a pooled effect, which mods '{fit.model.mods}' do not give; plot the "
            "fit without moderators"
        )
    if not fit.studies.estimable.any():
        raise AnalysisError("a funnel plot needs a study with an estimate; got none")


def _axes(more: int) -> Axes:
    """Return the Axes of a new figure with room below for the names of that many more things."""
    rows = max(0, (NAMES + more + 1) // 2 - ROWS)
    ax = plain_axes(None, height=HEIGHT + ROW * rows)
    box = ax.get_position()
    raised = ROW * rows / (HEIGHT + ROW * rows)
    ax.set_position((box.x0, box.y0 + raised, box.width, box.height - raised))
    return ax


def _check_lines(lines: Sequence[RegressionTest]) -> None:
    if not isinstance(lines, list | tuple) or not all(hasattr(line, "predictor") for line in lines):
        raise AnalysisError(f"lines must be regressions, such as [bm.bias.egger(fit)]; got {told(lines)}")
    for line in lines:
        if line.predictor not in {"sei", "vi"}:
            raise AnalysisError(
                f"a funnel plot can draw regressions on 'sei' or 'vi'; got {line.name} on '{line.predictor}'"
            )
    if len(lines) > len(LINE_STYLES):
        raise AnalysisError(f"a funnel plot can draw {len(LINE_STYLES)} regressions; got {len(lines)}")


def _filled_in(filled: TrimAndFill | None) -> tuple[Floats, Floats]:
    """Return effects and standard errors of the studies filled in."""
    if filled is not None and not hasattr(filled, "filled_yi"):
        raise AnalysisError(f"filled must be what bm.bias.trim_and_fill returned; got {told(filled)}")
    if filled is None:
        return np.zeros(0), np.zeros(0)
    return filled.filled_yi, np.sqrt(filled.filled_vi)


def _regression(ax: Axes, fit: Fit, line: RegressionTest, errors: Floats, style: str) -> None:
    """Draw the regression, within the axis, from the effect at standard error 0."""
    effect = line.estimate + line.slope * (errors if line.predictor == "sei" else errors**2)
    x = to_reported(fit.studies, effect)
    left, right = ax.get_xlim()
    inside = (x >= left) & (x <= right)
    what = "standard error" if line.predictor == "sei" else "variance"
    ax.plot(
        x[inside],
        errors[inside],
        style,
        color=PRIOR,
        lw=1.2,
        zorder=2,
        label=f"{line.name}: line in the {what}",
    )


def _shades(ax: Axes, fit: Fit, errors: Floats, contours: Sequence[float]) -> None:
    if null_of(fit.studies) is None:
        return
    left, right = ax.get_xlim()
    inner, above = 0.0, ""
    for shade, level in zip(SHADES[1:], sorted(contours), strict=False):
        outer, p = NormalDist().inv_cdf((1 + level) / 2), f"{round(1 - level, 10):g}"
        label = f"{p} < p < {above}" if above else f"p > {p} against no effect"
        above = p
        for side in (-1, 1):
            near = np.clip(to_reported(fit.studies, side * inner * errors), left, right)
            far = np.clip(to_reported(fit.studies, side * outer * errors), left, right)
            ax.fill_betweenx(errors, near, far, color=shade, lw=0, zorder=0, label=label if side < 0 else "_")
        inner = outer


def _finish(ax: Axes, fit: Fit, largest: float, ours: bool) -> None:
    ax.set_ylim(largest, 0.0)
    ticks = ticks_of(Limits(0.0, largest), log_scale=False, room=size_of(ax)[1], upright=LINE)
    ax.set_yticks(ticks.places, list(ticks.labels))
    ax.set_ylabel(f"Standard error{' (log scale)' if fit.studies.is_ratio else ''}")
    below(ax, ours)
    hidden = int((~fit.studies.estimable).sum())
    if hidden:
        text = f"{hidden} {'study' if hidden == 1 else 'studies'} without an estimate not drawn"
        ax.text(1, 1.01, text, transform=ax.transAxes, ha="right", fontsize=SMALL, color=MUTED)
    draw_alarm(ax, alarm_of(fit))
    ax.spines["left"].set_color(INK)
