"""GOSH: what every subset of the studies says of the effect and of heterogeneity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import AnalysisError, is_one_of, told
from bayesmeta.plots.effect_axis import draw_effect_axis, to_reported
from bayesmeta.plots.palette import INK, MUTED, POSTERIOR, PRIOR, SMALL
from bayesmeta.plots.sentences import axis_name, null_of, scale_note
from bayesmeta.plots.style import new_axes, prepared, styled
from bayesmeta.plots.words import clean
from bayesmeta.sensitivity.subsets import Subsets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmeta.arrays import Bools, Floats

AGAINST = ("tau", "I2")
WIDTH, HEIGHT = 6.4, 4.2
"""Inches of the figure."""
MOST_POINTS = 20_000
"""Points that are drawn; of more subsets, every n-th."""


def gosh(found: Subsets, ax: Axes | None = None, *, study: str | None = None, against: str = "tau") -> Axes:
    """Return the Axes with a point for each subset: the mean effect against heterogeneity.

    Separate clouds, or one that leans, say that some studies disagree with the others.

    Parameters
    ----------
    found : Subsets
        What `bayesmeta.gosh` returned.
    ax : Axes, optional
        Where to draw.
    study : str, optional
        Label of a study; subsets with it have another colour than those without.
    against : {"tau", "I2"}
        Measure of heterogeneity; I2 takes subsets of two studies and more.

    Raises
    ------
    AnalysisError
        If there is no such study or measure, or nothing to draw.
    """
    if not isinstance(found, Subsets):
        raise AnalysisError(f"gosh draws what bm.gosh(studies, model) returned; got {type(found).__name__}")
    if not is_one_of(against, AGAINST):
        raise AnalysisError(f"against must be 'tau' or 'I2'; got {told(against)}")
    x, y = found.of("mu"), found.of(against)
    with_study = found.containing(study) if study is not None else None
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not known.size:
        raise AnalysisError("there is no subset with a posterior to draw")
    shown = known[:: -(-known.size // MOST_POINTS)]
    with styled():
        ax = prepared(_axes() if ax is None else ax)
        draw_effect_axis(ax, found.studies, float(x[known].min()), float(x[known].max()), name=_name(found))
        _clouds(ax, found, x[shown], y[shown], None if with_study is None else with_study[shown], study)
        _whole(ax, found, against)
        null = null_of(found.studies)
        if null is not None and ax.get_xlim()[0] < null < ax.get_xlim()[1]:
            ax.axvline(null, color=INK, lw=0.8, zorder=1)
        ax.set_ylabel("I² (percent), posterior median" if against == "I2" else _tau(found))
        ax.set_ylim(bottom=0)
        ax.set_title(_title(found, known.size, shown.size), fontsize=SMALL, color=MUTED, loc="left")
    return ax


def _axes() -> Axes:
    ax = new_axes(WIDTH, HEIGHT)
    ax.set_position((0.8 / WIDTH, 0.65 / HEIGHT, (WIDTH - 1.0) / WIDTH, (HEIGHT - 1.0) / HEIGHT))
    return ax


def _clouds(ax: Axes, found: Subsets, x: Floats, y: Floats, chosen: Bools | None, study: str | None) -> None:
    """Draw the points in the order of the subsets, so that neither colour lies on top of the other."""
    size = float(np.clip(2e4 / x.size, 3, 24))
    alpha = float(np.clip(2e3 / x.size, 0.15, 0.7))
    groups = [(np.ones(x.size, dtype=bool), POSTERIOR, "")]
    if chosen is not None:
        label = clean(study or "")
        groups = [(~chosen, POSTERIOR, f"without {label}"), (chosen, PRIOR, f"with {label}")]
    colours = np.empty(x.size, dtype=object)
    for which, colour, _ in groups:
        colours[which] = colour
    ax.scatter(
        to_reported(found.studies, x),
        y,
        s=size,
        c=colours.tolist(),
        alpha=alpha,
        lw=0,
        rasterized=True,
        zorder=2,
    )
    if chosen is not None:
        for _, colour, label in groups:
            ax.scatter([], [], s=20, color=colour, label=label)
        ax.legend(loc="best", frameon=True, framealpha=0.85, edgecolor="none")


def _whole(ax: Axes, found: Subsets, against: str) -> None:
    """Mark the answer from all studies, if it is among the subsets."""
    for row in np.flatnonzero(found.included.all(axis=1))[:1].tolist():
        x = to_reported(found.studies, found.of("mu")[row : row + 1])
        y = found.of(against)[row : row + 1]
        ax.scatter(x, y, s=55, marker="D", color=INK, ec="white", lw=1, zorder=4)


def _name(found: Subsets) -> str:
    return f"{axis_name(found.studies)}, posterior median"


def _tau(found: Subsets) -> str:
    return f"τ{scale_note(found.studies)}, posterior median"


def _title(found: Subsets, known: int, shown: int) -> str:
    thinned = f", {shown:,} of them drawn" if shown < known else ""
    diamond = "; the diamond is all" if found.included.all(axis=1).any() else ""
    return f"{known:,} subsets of {found.studies.k} studies{thinned}{diamond}"
