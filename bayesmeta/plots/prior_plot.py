"""What the priors say of one quantity before the effects count, as a curve of probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import AnalysisError, is_one_of, suggest, told
from bayesmeta.model import Model
from bayesmeta.plots.effect_axis import draw_effect_axis, to_reported
from bayesmeta.plots.palette import OBSERVED, PRIOR
from bayesmeta.plots.style import below, plain_axes, styled
from bayesmeta.plots.words import clean, decimals_for, interval_name, number_text, ratio_text
from bayesmeta.problem import pose
from bayesmeta.results.marginal import check_interval
from bayesmeta.results.prior_table import prior_marginals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmeta.results.prior_table import PriorMarginal
    from bayesmeta.studies import Studies

POINTS = 400
TAIL = 0.005
EFFECTS = ("mu", "theta_new")
NAMES = {
    "mu": "Mean effect",
    "theta_new": "Effect in a new study",
    "tau": "τ",
    "I2": "I² (%)",
    "range": "Length of the 95 % range of the true effects",
    "range_ratio": "Ratio of the ends of the 95 % range of the true effects",
}


def prior_predictive(
    studies: Studies,
    model: Model | None = None,
    name: str = "theta_new",
    ax: Axes | None = None,
    *,
    prob: float = 0.95,
) -> Axes:
    """Return the Axes with the prior probability of values up to each, and the central interval.

    Parameters
    ----------
    studies : Studies
        Studies, whose effects do not count.
    model : Model, optional
        What is assumed; by default random effects with the default priors.
    name : str
        A row of `bayesmeta.prior_predictive`: ``mu``, ``tau``, ``theta_new``, ``I2``, ``range`` and the like.
    ax : Axes, optional
        Where to draw.
    prob : float
        Level of the interval, which is drawn.

    Raises
    ------
    AnalysisError
        If there is no such quantity, or its prior is improper.
    """
    check_interval(prob, "eti")
    found = {one.name: one for one in prior_marginals(pose(studies, Model() if model is None else model))}
    if not is_one_of(name, found):
        hint = suggest(name, found) or f"; the quantities are {', '.join(found)}"
        raise AnalysisError(f"unknown quantity {told(name)}{hint}")
    one = found[name]
    low, high = one.quantile(np.array([TAIL, 1 - TAIL]))
    if not np.isfinite(low + high):
        raise AnalysisError(f"the prior of {name} is improper, so that it says nothing; use a proper prior")
    with styled():
        ours = ax is None
        ax = plain_axes(ax)
        _draw(ax, studies, one, (float(low), float(high)), prob)
        below(ax, ours)
    return ax


def _draw(ax: Axes, studies: Studies, one: PriorMarginal, ends: tuple[float, float], prob: float) -> None:
    effect, logarithmic = one.name in EFFECTS, one.name == "range_ratio"
    x = np.geomspace(*ends, POINTS) if logarithmic else np.linspace(*ends, POINTS)
    places = to_reported(studies, x) if effect else x
    if effect:
        draw_effect_axis(ax, studies, *ends, name=NAMES[one.name])
    else:
        ax.set_xscale("log" if logarithmic else "linear")
        ax.set_xlabel(clean(NAMES.get(one.name, one.name)))
    ax.plot(places, one.cdf(x), color=PRIOR, lw=1.6, label="prior probability of values up to each")
    bounds = one.quantile(np.array([(1 - prob) / 2, 0.5, (1 + prob) / 2]))
    shown = to_reported(studies, bounds) if effect else bounds
    ratio = logarithmic or (effect and studies.is_ratio)
    decimals = decimals_for([float(shown[2] - shown[0]) / 2])
    texts = [ratio_text(float(v)) if ratio else number_text(float(v), decimals) for v in shown]
    label = f"{interval_name(prob, 'eti')} {texts[0]} to {texts[2]}, median {texts[1]}"
    inside = np.clip(shown, places[0], places[-1])
    ax.plot(inside[[0, 2]], [0.5, 0.5], color=OBSERVED, lw=3, solid_capstyle="butt", label=label)
    ax.plot(inside[1:2], [0.5], "o", color=OBSERVED)
    ax.set_ylim(0, 1)
    ax.set_ylabel("Probability", color=OBSERVED)
