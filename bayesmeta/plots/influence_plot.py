"""Influence of each study, and how the answer came about study by study."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import AnalysisError
from bayesmeta.plots.palette import ALARM, FAINT, INK, OBSERVED, POSTERIOR, SMALL, TEXT
from bayesmeta.plots.sensitivity_plots import variant_table
from bayesmeta.plots.sentences import priors_words, scale_note
from bayesmeta.plots.style import prepared, require_drawn, styled
from bayesmeta.plots.table_plot import draw_table
from bayesmeta.plots.words import clean, shortened, width_of
from bayesmeta.results.fit import require_fit
from bayesmeta.sensitivity import Subsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from bayesmeta.plots.rows import Table
    from bayesmeta.results.fit import Fit

ROW, PANEL, GAP, TOP, BOTTOM = 0.22, 1.55, 0.25, 0.15, 0.5
"""Inches of a row, of a panel, between panels, and above and below them."""
WIDEST = 190.0
"""Points of the longest label."""


class Panel(NamedTuple):
    """A column of `bayesmeta.influence` that is drawn."""

    column: str
    title: str
    limit: float
    """Value beyond which a point is drawn as striking; infinite where there is no convention."""


PANELS = (
    Panel("z", "predicted by the others, z", 1.96),
    Panel("shift", "shift of μ, in sds", 1.0),
    Panel("tau_change", "change of τ", np.inf),
    Panel("hellinger", "distance of posteriors of μ", np.inf),
)


def influence(table: pd.DataFrame, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
    """Return four Axes with what each study changes, a row for each study.

    Panels are the z-score of the observed effect given the others (dashed lines at 1.96), the shift of the
    posterior mean of mu that the study makes, in sds, the change of the median of tau, and the Hellinger
    distance of the posteriors of mu with and without it. Beyond the dashed lines points are red.

    Parameters
    ----------
    table : DataFrame
        What `bayesmeta.influence` returned.
    axes : sequence of Axes, optional
        Four, side by side; by default those of a new figure.

    Raises
    ------
    AnalysisError
        If the table is another one, or there are not four Axes.
    """
    columns = getattr(table, "columns", None)
    if columns is None or not hasattr(table, "index"):
        raise AnalysisError(
            f"influence draws the table that bm.influence(fit) returned; got {type(table).__name__}"
        )
    missing = [panel.column for panel in PANELS if panel.column not in columns]
    if missing:
        raise AnalysisError(
            f"the table has no column '{missing[0]}'; give what bm.influence(fit) returned to plots.influence"
        )
    if axes is not None and (not hasattr(axes, "__len__") or len(axes) != len(PANELS)):
        got = len(axes) if hasattr(axes, "__len__") else type(axes).__name__
        raise AnalysisError(f"the influence plot needs {len(PANELS)} Axes; got {got}")
    labels = [shortened(clean(str(label)), WIDEST, TEXT) for label in table.index]
    with styled():
        drawn = _new_axes(labels) if axes is None else tuple(axes)
        for number, (ax, panel) in enumerate(zip(drawn, PANELS, strict=True)):
            _draw(prepared(ax), panel, table[panel.column].to_numpy(dtype=float))
            ax.set_yticks(np.arange(len(labels)), labels if number == 0 else [""] * len(labels))
            for text in ax.get_yticklabels():
                text.set_parse_math(False)
    return drawn


def _new_axes(labels: Sequence[str]) -> tuple[Axes, ...]:
    from matplotlib.figure import Figure

    left = max(width_of(label, SMALL) for label in labels) / 72 + 0.25
    width = left + len(PANELS) * (PANEL + GAP)
    height = TOP + BOTTOM + ROW * len(labels)
    figure = Figure(figsize=(width, height))
    places = [
        ((left + i * (PANEL + GAP)) / width, BOTTOM / height, PANEL / width, 1 - (TOP + BOTTOM) / height)
        for i in range(len(PANELS))
    ]
    return tuple(figure.add_axes(place) for place in places)


def _draw(ax: Axes, panel: Panel, values: np.ndarray) -> None:
    """Draw one column from 0, the first study on top."""
    place = np.arange(values.size)
    striking = np.abs(values) > panel.limit
    ax.axvline(0, color=INK, lw=0.8, zorder=1)
    ax.hlines(place, 0, values, color=FAINT, lw=1.2, zorder=1)
    ax.scatter(values[~striking], place[~striking], s=22, color=POSTERIOR, zorder=3)
    ax.scatter(values[striking], place[striking], s=26, color=ALARM, marker="D", zorder=3)
    reach = 1.15 * float(np.nanmax(np.abs(values), initial=1e-12))
    if np.isfinite(panel.limit):
        reach = max(reach, 1.15 * panel.limit)
        for side in (-panel.limit, panel.limit):
            ax.axvline(side, color=OBSERVED, lw=0.8, ls="--", zorder=1)
    ax.set_xlim(0 if panel.column == "hellinger" else -reach, reach)
    ax.set_ylim(values.size - 0.4, -0.6)
    ax.locator_params(axis="x", nbins=4)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(panel.title, fontsize=SMALL)


def cumulative(steps: Subsets, fit: Fit, ax: Axes | None = None) -> Axes:
    """Return the Axes with the answer after each study, in order, as a forest.

    Parameters
    ----------
    steps : Subsets
        What `bayesmeta.cumulative` returned.
    fit : Fit
        The answer from all studies, with the same priors.
    ax : Axes, optional
        Where to draw; as in `forest`.

    Raises
    ------
    AnalysisError
        If the steps are not those of the studies of the fit.
    """
    return draw_table(cumulative_rows(steps, fit), ax)


def cumulative_rows(steps: Subsets, fit: Fit) -> Table:
    """Return the rows of `cumulative`; the parameters are the same."""
    require_drawn(steps, Subsets, "cumulative", "bm.cumulative(fit)")
    require_fit(fit, "cumulative")
    if steps.axis != "added" or sorted(steps.names) != sorted(fit.problem.studies.slab):
        raise AnalysisError("give the fit and what bm.cumulative(fit) returned to plots.cumulative")
    answers = [
        (f"{'' if row == 0 else '+ '}{clean(name)}", steps.fit(row))
        for row, name in enumerate(steps.names[:-1])
    ]
    footer = (
        f"Each row has the studies above it as well. Priors{scale_note(fit.studies)}: {priors_words(fit)}."
    )
    everything = f"+ {clean(steps.names[-1])} (all, k = {fit.problem.k})"
    return variant_table(
        answers, fit, everything, "Studies", (footer,), name=None, prob=steps.prob, kind="eti"
    )
