"""The funnel plot."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import AnalysisError
from bayesmeta.plots.effect_axis import LINE, draw_effect_axis, to_reported
from bayesmeta.plots.palette import INK, MUTED, OBSERVED, POSTERIOR, SHADES, SMALL
from bayesmeta.plots.scale import Limits, ticks_of
from bayesmeta.plots.sentences import alarm_of, null_of
from bayesmeta.plots.style import below, draw_alarm, plain_axes, size_of, styled
from bayesmeta.plots.words import percent
from bayesmeta.results.marginal import check_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit

CONTOURS = (0.90, 0.95, 0.99)
POINTS = 60


def funnel(
    fit: Fit, ax: Axes | None = None, *, prob: float = 0.95, contours: Sequence[float] = CONTOURS
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

    Raises
    ------
    AnalysisError
        If the fit has moderators, or a level is not a probability.

    References
    ----------
    Peters JL, Sutton AJ, Jones DR, Abrams KR, Rushton L (2008). Contour-enhanced meta-analysis funnel plots
    help distinguish publication bias from other causes of asymmetry. J Clin Epidemiol 61:991-996.
    doi:10.1016/j.jclinepi.2007.11.010
    """
    _check(fit, prob, contours)
    studies = fit.studies
    seen = studies.estimable
    y, se = studies.yi[seen], studies.sei[seen]
    mean, tau = fit.marginal("mu").median, fit.marginal("tau").median
    errors = np.linspace(0.0, 1.08 * float(se.max()), POINTS)
    z = NormalDist().inv_cdf((1 + prob) / 2)
    with styled():
        ours = ax is None
        ax = plain_axes(ax)
        reach = z * float(errors[-1])
        low, high = min(float(y.min()), mean - reach), max(float(y.max()), mean + reach)
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
        ax.scatter(
            to_reported(studies, y), se, s=26, color=OBSERVED, ec="white", lw=0.6, zorder=3, label="study"
        )
        _finish(ax, fit, float(errors[-1]), ours)
    return ax


def _check(fit: Fit, prob: float, contours: Sequence[float]) -> None:
    for level in (prob, *contours):
        check_interval(level, "eti")
    if len(contours) >= len(SHADES):
        raise AnalysisError(f"contours must be at most {len(SHADES) - 1} levels; got {len(contours)}")
    if not fit.problem.is_pooled:
        raise AnalysisError(
            f"a funnel plot needs a pooled effect, which mods '{fit.model.mods}' do not give; plot the "
            "fit without moderators"
        )
    if not fit.studies.estimable.any():
        raise AnalysisError("a funnel plot needs a study with an estimate; got none")


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
