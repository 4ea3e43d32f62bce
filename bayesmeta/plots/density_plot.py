"""Posterior and prior of one quantity as curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.plots.effect_axis import draw_effect_axis, to_reported
from bayesmeta.plots.palette import INK, OBSERVED, POSTERIOR, POSTERIOR_LIGHT, PRIOR, TEXT
from bayesmeta.plots.scale import Limits, ticks_of
from bayesmeta.plots.sentences import alarm_of, axis_name, scale_note
from bayesmeta.plots.style import below, draw_alarm, plain_axes, size_of, styled
from bayesmeta.plots.words import clean, decimals_for, interval_name, number_text, ratio_text, shortened
from bayesmeta.results.empirical import Empirical
from bayesmeta.results.fit import require_fit
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.marginal import check_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.marginal import Marginal

POINTS = 400
TAIL = 5e-4
"""Probability beyond either end of the axis."""
LIKE_MU = ("mu", "theta_new")
POSITIVE = ("tau", "tau2", "I2")
LETTERS = {
    "mu": "μ",
    "tau": "τ",
    "tau2": "τ²",
    "I2": "I² (%)",
    "H2": "H²",
    "theta_new": "Effect in a new study",
}


class _Shown(NamedTuple):
    """What is drawn, and how."""

    fit: Fit
    marginal: Marginal
    ratio: bool
    prob: float
    kind: str


def density(
    fit: Fit,
    name: str = "mu",
    ax: Axes | None = None,
    *,
    exact: Fit | None = None,
    prob: float = 0.95,
    kind: str = "eti",
) -> Axes:
    """Return the Axes with the posterior of one quantity and its prior.

    An exact fit is drawn by its exact density, a sampled one by a histogram of its draws.

    Parameters
    ----------
    fit : Fit
        The answer.
    name : str
        ``mu`` or a coefficient, ``tau``, ``tau2``, ``I2``, ``H2``, ``theta_new`` or ``theta[label]``.
    ax : Axes, optional
        Where to draw.
    exact : Fit, optional
        The same model by the exact engine, whose curve is drawn over the histogram.
    prob : float
        Level of the interval, which is shaded.
    kind : {"eti", "hdi"}
        Equal-tailed or shortest interval.

    Raises
    ------
    AnalysisError
        If there is no such quantity.

    Notes
    -----
    Ratios stand on a logarithmic axis; the density is that of the logarithm.
    """
    require_fit(fit, "density")
    if exact is not None:
        require_fit(exact, "density, as exact,")
    check_interval(prob, kind)
    marginal = fit.marginal(name)
    ratio = fit.studies.is_ratio and (name in LIKE_MU or name.startswith("theta["))
    shown = _Shown(fit, marginal, ratio, prob, kind)
    with styled():
        ours = ax is None
        ax = plain_axes(ax)
        if isinstance(marginal.distribution, PointMass):
            _point(ax, shown, marginal.distribution.value, ours)
            return ax
        x = _grid(shown, exact)
        _axis(ax, shown, x)
        curve = None if exact is None else exact.marginal(name)
        _posterior(ax, shown, x, curve)
        _prior(ax, shown, x)
        _finish(ax, shown, ours)
    return ax


def _grid(shown: _Shown, exact: Fit | None) -> Floats:
    """Return the points of the curves on the analysis scale."""
    wide = [shown.marginal, *([] if exact is None else [exact.marginal(shown.marginal.name)])]
    lower = min(float(one.quantile(TAIL)) for one in wide)
    upper = max(float(one.quantile(1 - TAIL)) for one in wide)
    interval = shown.marginal.interval(shown.prob, kind=shown.kind)
    middle = shown.marginal.median
    reach = 3 * max(interval.upper - middle, middle - interval.lower)
    lower, upper = max(lower, middle - reach), min(upper, middle + reach)
    if shown.marginal.name in POSITIVE:
        lower = 0.0
    return np.linspace(lower, upper, POINTS)


def _axis(ax: Axes, shown: _Shown, x: Floats) -> None:
    studies, name = shown.fit.studies, shown.marginal.name
    if shown.ratio:
        draw_effect_axis(ax, studies, x[0], x[-1], name=_name(shown))
        return
    margin = 0.02 * (x[-1] - x[0])
    limits = Limits(float(x[0]) - (0.0 if name in POSITIVE else margin), float(x[-1]) + margin)
    room = size_of(ax)[0]
    ticks = ticks_of(limits, log_scale=False, room=room)
    ax.set_xlim(*limits)
    ax.set_xticks(ticks.places, list(ticks.labels))
    ax.set_xlabel(shortened(_name(shown), room, TEXT))


def _name(shown: _Shown) -> str:
    name, studies = shown.marginal.name, shown.fit.studies
    word = LETTERS.get(name, clean(name).replace("theta[", "θ["))
    if name in LIKE_MU or name.startswith("theta["):
        return f"{word}: {axis_name(studies)}"
    if name == "tau":
        units = f" ({clean(studies.units)})" if studies.units else ""
        return f"Between-study SD τ{units}{scale_note(studies)}"
    return word


def _posterior(ax: Axes, shown: _Shown, x: Floats, curve: Marginal | None) -> None:
    interval = shown.marginal.interval(shown.prob, kind=shown.kind)
    inside = (x >= interval.lower) & (x <= interval.upper)
    distribution = shown.marginal.distribution
    if isinstance(distribution, Empirical):
        _histogram(ax, shown, distribution.flat[:, 0], x)
        ends = _places(shown, np.array(interval))
        ax.plot(
            ends,
            [0, 0],
            color=POSTERIOR,
            lw=5,
            solid_capstyle="butt",
            label=_interval_label(shown),
            clip_on=False,
        )
    else:
        height = shown.marginal.density(x)
        edge = np.concatenate([[interval.lower], x[inside], [interval.upper]])
        edge = np.clip(edge, x[0], x[-1])
        area = shown.marginal.density(edge)
        ax.fill_between(
            _places(shown, edge), area, color=POSTERIOR_LIGHT, alpha=0.45, lw=0, label=_interval_label(shown)
        )
        ax.plot(_places(shown, x), height, color=POSTERIOR, lw=1.6, label="posterior (exact)")
    if curve is not None:
        ax.plot(_places(shown, x), curve.density(x), color=INK, lw=1.3, label="posterior (exact)")
    middle = shown.marginal.median
    label = f"median {_number(shown, middle)}"
    ax.axvline(float(_places(shown, np.array(middle))), color=POSTERIOR, lw=1, ls=(0, (4, 3)), label=label)


def _histogram(ax: Axes, shown: _Shown, draws: Floats, x: Floats) -> None:
    bins = int(np.clip(round(draws.size ** (1 / 3) * 2.5), 10, 60))
    edges = np.linspace(x[0], x[-1], bins + 1)
    counts, _ = np.histogram(draws, edges)
    heights = counts / (draws.size * np.diff(edges))
    label = f"posterior ({draws.size:,} draws)"
    ax.stairs(heights, _places(shown, edges), fill=True, color=POSTERIOR_LIGHT, alpha=0.55, lw=0, label=label)


def _interval_label(shown: _Shown) -> str:
    ends = shown.marginal.interval(shown.prob, kind=shown.kind)
    numbers = ", ".join(_number(shown, end) for end in ends)
    return f"{interval_name(shown.prob, shown.kind)} [{numbers}]"


def _number(shown: _Shown, value: float) -> str:
    if shown.ratio:
        return ratio_text(float(to_reported(shown.fit.studies, np.array(value))))
    ends = shown.marginal.interval(shown.prob, kind=shown.kind)
    decimals = decimals_for([(ends.upper - ends.lower) / 2])
    return number_text(value, max(decimals, 2) if shown.marginal.name == "tau" else decimals)


def _places(shown: _Shown, x: Floats) -> Floats:
    return to_reported(shown.fit.studies, x) if shown.ratio else np.asarray(x)


def prior_of(fit: Fit, name: str) -> Prior | None:
    """Return the prior of a quantity; None where it has none of its own.

    The intercept of a regression with centred moderators has none: its prior is that of the mean effect at
    the moderators' means.
    """
    if name == "tau":
        return fit.priors.tau_density
    if name not in fit.problem.coefficients:
        return None
    place = fit.problem.coefficients.index(name)
    moved = np.any(fit.problem.transform[place] != np.eye(fit.problem.p)[place])
    return None if moved else fit.priors.beta[place]


def _prior(ax: Axes, shown: _Shown, x: Floats) -> None:
    prior = prior_of(shown.fit, shown.marginal.name)
    if prior is None:
        return
    label = f"prior {shortened(str(prior), 200, TEXT)}"
    if not prior.proper:
        ax.plot([], [], color=PRIOR, lw=1.3, label=f"{label} (improper, not drawn)")
        return
    with np.errstate(divide="ignore", over="ignore"):
        height = np.exp(prior.logpdf(x))
    height = np.where(np.isfinite(height), height, np.nan)
    ax.plot(_places(shown, x), height, color=PRIOR, lw=1.3, ls=(0, (6, 2)), label=label)


def _point(ax: Axes, shown: _Shown, value: float, ours: bool) -> None:
    """Draw a quantity that is known."""
    ax.axvline(value, color=POSTERIOR, lw=2, label=f"fixed at {number_text(value, 2)}")
    ax.set_xlim(value - 1, value + 1)
    ax.set_xlabel(_name(shown))
    ax.set_ylim(0, 1)
    _finish(ax, shown, ours)


def _finish(ax: Axes, shown: _Shown, ours: bool) -> None:
    ax.set_ylim(0, _ceiling(ax, shown))
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylabel("Density of the logarithm" if shown.ratio else "Density", color=OBSERVED)
    below(ax, ours)
    draw_alarm(ax, alarm_of(shown.fit))


def _ceiling(ax: Axes, shown: _Shown) -> float:
    """Return where the axis ends: above the posterior, however high the prior rises, or a pole at 0."""
    if isinstance(shown.marginal.distribution, PointMass):
        return 1.0
    heights = [float(patch.get_data().values.max()) for patch in ax.patches if hasattr(patch, "get_data")]
    if not heights:
        body = np.linspace(float(shown.marginal.quantile(0.01)), float(shown.marginal.quantile(0.99)), POINTS)
        heights = [float(np.nanmax(shown.marginal.density(body)))]
    return 1.12 * max(heights)
