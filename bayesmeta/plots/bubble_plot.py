"""The bubble plot of a meta-regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import AnalysisError, printable
from bayesmeta.plots.curve_plot import held_words
from bayesmeta.plots.effect_axis import draw_effect_axis, to_reported
from bayesmeta.plots.marks import LARGEST, SMALLEST
from bayesmeta.plots.palette import INK, MUTED, OBSERVED, POSTERIOR, POSTERIOR_LIGHT, SMALL, TEXT
from bayesmeta.plots.sentences import alarm_of, null_of
from bayesmeta.plots.style import below, draw_alarm, plain_axes, size_of, styled
from bayesmeta.plots.words import KIND_NAMES, percent, shortened
from bayesmeta.results.fit import require_fit
from bayesmeta.results.marginal import bounds, check_interval
from bayesmeta.results.reference import check_moderator, held_values, is_categorical, variables

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

POINTS = 80
MARGIN = 0.06
BUBBLES = 3.5
"""How much larger bubbles are than the squares of a forest plot, in area."""


def bubble(
    fit: Fit, moderator: str, ax: Axes | None = None, *, prob: float = 0.95, kind: str = "eti"
) -> Axes:
    """Return the Axes with a meta-regression on one numeric moderator.

    The line is the posterior median of the mean effect, the dark band its interval, the light band the
    interval of the effect in a new study. Each bubble is an observed effect; its area is its weight. Other
    moderators are held at their means, or their reference levels, which the figure names.

    Parameters
    ----------
    fit : Fit
        A fit with moderators.
    moderator : str
        Column of numbers in its formula.
    ax : Axes, optional
        Where to draw.
    prob : float
        Level of both bands.
    kind : {"eti", "hdi"}
        Equal-tailed or shortest intervals.

    Raises
    ------
    AnalysisError
        If the moderator is not in the formula, or has no numbers.
    """
    require_fit(fit, "bubble")
    check_interval(prob, kind)
    x = _values(fit, moderator)
    grid = _grid(fit, moderator, x)
    held = held_values(fit.design, moderator)
    rows = fit.design.rows({moderator: grid, **{name: [value] * POINTS for name, value in held.items()}})
    mean, new = (fit.posterior.at(rows, new_study=flag) for flag in (False, True))
    line = mean.quantile(np.array([0.5]))[0]
    bands = [np.array(bounds(distribution, prob, kind)) for distribution in (new, mean)]
    used = fit.problem.studies
    with styled():
        ours = ax is None
        ax = plain_axes(ax)
        draw_effect_axis(ax, used, *_range(used, bands), which="y")
        _bands(ax, used, grid, line, bands, f"{percent(prob)} {KIND_NAMES[kind]}")
        _bubbles(ax, used, x, fit.posterior.shares()[0])
        ax.set_xlim(grid[0], grid[-1])
        ax.set_xlabel(shortened(moderator, size_of(ax)[0], TEXT))
        below(ax, ours)
        _notes(ax, fit, moderator)
    return ax


def _values(fit: Fit, moderator: str) -> Floats:
    check_moderator(fit.design, moderator)
    if is_categorical(fit.design, moderator):
        raise AnalysisError(
            f"a bubble plot needs a moderator of numbers; '{printable(moderator)}' has levels; use "
            "bm.plots.forest with subgroups"
        )
    return np.asarray(fit.design.learned[moderator], dtype=np.float64)


def _grid(fit: Fit, moderator: str, x: Floats) -> Floats:
    """Return the points of the curve, a little beyond the studies where the formula is defined there."""
    margin = MARGIN * float(x.max() - x.min())
    low = x.min() - margin
    bounded = any(one.factor.kind in {"log", "sqrt"} for one in variables(fit.design, moderator))
    return np.linspace(x.min() if bounded and low <= 0 else low, x.max() + margin, POINTS)


def numeric_moderators(fit: Fit) -> tuple[str, ...]:
    """Return the columns of numbers in the formula of a fit."""
    return tuple(name for name in fit.design.formula.columns if not is_categorical(fit.design, name))


def _range(studies: Studies, bands: list[Floats]) -> tuple[float, float]:
    """Return the ends of the axis of effects: all bubbles, the mean's band, and what is near of the other."""
    seen = studies.yi[studies.estimable]
    inner = np.concatenate([seen, bands[1].reshape(-1)])
    low, high = float(inner.min()), float(inner.max())
    reach = 0.5 * (high - low)
    return max(float(bands[0].min()), low - reach), min(float(bands[0].max()), high + reach)


def _bands(ax: Axes, studies: Studies, x: Floats, line: Floats, bands: list[Floats], words: str) -> None:
    names = (f"effect in a new study, {words}", f"mean effect, {words}")
    for band, alpha, name in zip(bands, (0.25, 0.55), names, strict=True):
        lower, upper = to_reported(studies, band)
        ax.fill_between(x, lower, upper, color=POSTERIOR_LIGHT, alpha=alpha, lw=0, label=name)
    ax.plot(x, to_reported(studies, line), color=POSTERIOR, lw=1.6, label="mean effect, median")
    null = null_of(studies)
    low, high = sorted(ax.get_ylim())
    if null is not None and low <= null <= high:
        ax.axhline(null, color=INK, lw=0.8, zorder=1)


def _bubbles(ax: Axes, studies: Studies, x: Floats, weights: Floats) -> None:
    seen = studies.estimable
    share = np.nan_to_num(weights[seen]) / max(float(np.nanmax(weights)), 1e-300)
    areas = BUBBLES * (SMALLEST + (LARGEST - SMALLEST) * share)
    y = to_reported(studies, studies.yi[seen])
    ax.scatter(
        x[seen],
        y,
        s=areas,
        color=OBSERVED,
        alpha=0.6,
        ec="white",
        lw=0.8,
        zorder=3,
        label="study (area: weight)",
    )


def held_text(fit: Fit, moderator: str) -> str:
    """Return where the other moderators are held, in words; nothing if there are none."""
    return held_words(held_values(fit.design, moderator))


def _notes(ax: Axes, fit: Fit, moderator: str) -> None:
    text = shortened(held_text(fit, moderator), size_of(ax)[0], SMALL)
    if text:
        ax.text(1, 1.02, text, transform=ax.transAxes, ha="right", fontsize=SMALL, color=MUTED)
    draw_alarm(ax, alarm_of(fit))
