"""The forest plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmeta.plots.rows import forest_rows
from bayesmeta.plots.table_plot import draw_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from bayesmeta.regression import Subgroups
    from bayesmeta.results.fit import Fit


def forest(
    fit: Fit,
    ax: Axes | None = None,
    *,
    subgroups: Mapping[str, Fit] | Subgroups | None = None,
    prob: float = 0.95,
    kind: str = "eti",
) -> Axes:
    """Return the Axes with the forest plot of a fit.

    Each study has its arms, its observed effect (a square whose area is its weight, with a confidence
    interval) and its posterior (a dot with a credible interval). Below are the pooled effect as a diamond and
    the effect in a new study as a bar; with moderators there is neither. Ratios stand on a logarithmic axis.

    Parameters
    ----------
    fit : Fit
        The answer from all studies.
    ax : Axes, optional
        Where to draw. Its box holds the whole plot, text included; the Axes shrink to the part with the axis,
        whose x are effects on the reported scale.
    subgroups : Subgroups or mapping of str to Fit, optional
        What `bayesmeta.subgroups` returned, or answers of groups of the same studies, by name: each becomes a
        block with an open diamond. With a shared tau the diamonds are those of the regression; differences
        between subgroups are told below.
    prob : float
        Level of the intervals.
    kind : {"eti", "hdi"}
        Equal-tailed or shortest intervals.

    Raises
    ------
    AnalysisError
        If there are more than 500 studies, or a subgroup has a study that is not among them.
    """
    return draw_table(forest_rows(fit, subgroups=subgroups, prob=prob, kind=kind), ax)
