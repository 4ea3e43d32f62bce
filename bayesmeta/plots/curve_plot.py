"""Curves of the mean effect over a moderator of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.errors import AnalysisError
from bayesmeta.plots.effect_axis import draw_effect_axis, to_reported
from bayesmeta.plots.palette import INK, MUTED, POSTERIOR, POSTERIOR_LIGHT, PRIOR, SMALL, TEXT
from bayesmeta.plots.sentences import alarm_of, null_of
from bayesmeta.plots.style import below, draw_alarm, plain_axes, size_of, styled
from bayesmeta.plots.words import KIND_NAMES, clean, percent, shortened
from bayesmeta.results.fit import require_fit
from bayesmeta.results.marginal import check_interval
from bayesmeta.results.reference import held_values, numbers_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

POINTS = 80
STYLES = (
    (POSTERIOR, "-"),
    (PRIOR, (0, (5, 2))),
    ("#4d7a1e", (0, (1, 1.5))),
    ("#8a4f7d", (0, (4, 1.5, 1, 1.5))),
    (MUTED, (0, (8, 2))),
)
"""Colour and dashes of each of several curves, told apart in grey too."""
MOST_CURVES = len(STYLES)
RUG = 0.03
"""Height of the marks of studies, as a part of the Axes."""


def curve(
    fit: Fit | Mapping[str, Fit],
    moderator: str,
    ax: Axes | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    span: tuple[float, float] | None = None,
    prob: float = 0.95,
    kind: str = "eti",
) -> Axes:
    """Return the Axes with the mean effect along a moderator of numbers.

    The line is the posterior median of the mean effect, the dark band its interval, the light band that of
    the effect in a new study; where no study is, the line is dotted. Several fits, such as different forms of
    the same moderator, are drawn over one another, each with the interval of its mean effect. Marks at the
    bottom are the studies.

    Parameters
    ----------
    fit : Fit or mapping of str to Fit
        One fit, or up to five by name, of the same studies.
    moderator : str
        Column of numbers in the formula of each.
    ax : Axes, optional
        Where to draw.
    at, span : mapping, (float, float)
        Values of the other moderators and ends of the curve, as in `bayesmeta.Fit.curve`.
    prob : float
        Level of the bands.
    kind : {"eti", "hdi"}
        Equal-tailed or shortest intervals.

    Raises
    ------
    AnalysisError
        If a moderator is not in the formula or has no numbers, or there are more than five fits.
    """
    check_interval(prob, kind)
    fits = fit if isinstance(fit, Mapping) else {"": fit}
    if not 1 <= len(fits) <= MOST_CURVES:
        raise AnalysisError(f"a figure has room for 1 to {MOST_CURVES} curves; got {len(fits)}")
    for one in fits.values():
        require_fit(one, "curve")
    first = next(iter(fits.values()))
    tables = {
        name: one.curve(moderator, n=POINTS, at=at, span=span, prob=prob, kind=kind)
        for name, one in fits.items()
    }
    with styled():
        ours = ax is None
        ax = plain_axes(ax)
        studies = first.problem.studies
        draw_effect_axis(ax, studies, *_ends(tables, single=len(fits) == 1), which="y")
        words = f"{percent(prob)} {KIND_NAMES[kind]}"
        if len(fits) == 1:
            _alone(ax, studies, moderator, tables[next(iter(fits))], words)
        else:
            _together(ax, studies, moderator, tables, words)
        _null(ax, studies)
        _rug(ax, numbers_of(first.design, moderator))
        x = next(iter(tables.values()))[moderator].to_numpy()
        ax.set_xlim(x[0], x[-1])
        ax.set_xlabel(shortened(clean(moderator), size_of(ax)[0], TEXT))
        below(ax, ours)
        _note(ax, first, moderator, at)
        draw_alarm(ax, next((text for text in map(alarm_of, fits.values()) if text), ""))
    return ax


def _ends(tables: Mapping[str, pd.DataFrame], *, single: bool) -> tuple[float, float]:
    """Return the ends of the axis of effects: one prediction band, or the bands of several means."""
    names = ("new_lower", "new_upper") if single else ("lower", "upper")
    low = min(float(table[names[0]].min()) for table in tables.values())
    high = max(float(table[names[1]].max()) for table in tables.values())
    return low, high


def _alone(ax: Axes, studies: Studies, moderator: str, table: pd.DataFrame, words: str) -> None:
    x = table[moderator].to_numpy()
    bands = (
        ("new_lower", "new_upper", 0.25, "effect in a new study"),
        ("lower", "upper", 0.55, "mean effect"),
    )
    for lower, upper, alpha, name in bands:
        low, high = (to_reported(studies, table[column].to_numpy()) for column in (lower, upper))
        label = f"{name}, {words}"
        ax.fill_between(x, low, high, color=POSTERIOR_LIGHT, alpha=alpha, lw=0, label=label)
    _line(ax, studies, table, moderator, (POSTERIOR, "-"), "mean effect, median")


def _together(
    ax: Axes, studies: Studies, moderator: str, tables: Mapping[str, pd.DataFrame], words: str
) -> None:
    for (name, table), style in zip(tables.items(), STYLES, strict=False):
        x = table[moderator].to_numpy()
        low, high = (to_reported(studies, table[column].to_numpy()) for column in ("lower", "upper"))
        ax.fill_between(x, low, high, color=style[0], alpha=0.10, lw=0)
        _line(ax, studies, table, moderator, style, clean(name))
    ax.fill_between([], [], [], color=MUTED, alpha=0.2, lw=0, label=f"mean effect, {words}")


def _line(ax: Axes, studies: Studies, table: pd.DataFrame, moderator: str, style: Any, label: str) -> None:
    """Draw medians, dotted where the curve leaves the range of the studies."""
    x, y = table[moderator].to_numpy(), to_reported(studies, table["median"].to_numpy())
    far = table["extrapolates"].to_numpy(dtype=bool)
    color, dashes = style
    ax.plot(x, np.where(far, np.nan, y), color=color, ls=dashes, lw=1.6, label=label)
    if far.any():
        beside = far | np.roll(far, 1) | np.roll(far, -1)
        ax.plot(x, np.where(beside, y, np.nan), color=color, ls=":", lw=1.4)


def _null(ax: Axes, studies: Studies) -> None:
    null = null_of(studies)
    low, high = sorted(ax.get_ylim())
    if null is not None and low <= null <= high:
        ax.axhline(null, color=INK, lw=0.8, zorder=1)


def _rug(ax: Axes, values: Floats) -> None:
    """Mark the studies at the bottom."""
    from matplotlib.transforms import blended_transform_factory

    at = blended_transform_factory(ax.transData, ax.transAxes)
    ax.vlines(np.unique(values), 0, RUG, color=INK, lw=0.9, transform=at, zorder=3)


def _note(ax: Axes, fit: Fit, moderator: str, at: Mapping[str, Any] | None) -> None:
    """Say where the other moderators are held."""
    held = {**held_values(fit.design, moderator), **(at or {})}
    text = held_words(held)
    if text:
        short = shortened(text, size_of(ax)[0], SMALL)
        ax.text(1, 1.02, short, transform=ax.transAxes, ha="right", fontsize=SMALL, color=MUTED)


def held_words(held: Mapping[str, Any]) -> str:
    """Return where moderators are held, in words; nothing if there are none."""
    parts = [
        f"{clean(name)} = {clean(one) if isinstance(one, str) else format(one, '.4g')}"
        for name, one in held.items()
    ]
    return f"at {', '.join(parts)}" if parts else ""
