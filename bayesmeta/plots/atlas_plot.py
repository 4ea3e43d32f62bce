"""The prior atlas in pictures: a heat map, all posterior densities, a ribbon along the scale of one prior."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.engines.surface import scale_of
from bayesmeta.errors import AnalysisError, is_one_of, told
from bayesmeta.plots.effect_axis import draw_effect_axis, to_reported
from bayesmeta.plots.palette import FAINT, INK, MUTED, PAPER, POSTERIOR, POSTERIOR_LIGHT, PRIOR, SMALL, TEXT
from bayesmeta.plots.sentences import axis_name, effect_name, null_of, scale_note
from bayesmeta.plots.style import below, new_axes, plain_axes, prepared, require_drawn, size_of, styled
from bayesmeta.plots.words import bounded, clean, decimals_for, number_text, percent, ratio_text, shortened
from bayesmeta.priors import Normal
from bayesmeta.sensitivity import PriorAtlas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior

POINTS = 400
"""Points of a density."""
FAR = 0.002
"""Probability beyond which densities are not drawn, in each tail."""
FAINTEST = 0.01
"""Height, of the highest density, below which a density is not drawn."""
CELL = 12.0
"""Points that a row of the heat map needs."""
MANY = 100
"""Densities beyond which they become an image within the figure, which would be megabytes otherwise."""
NAMES = {
    "log_evidence": "log evidence",
    "mu_mean": "{effect}, posterior mean",
    "mu_sd": "posterior SD of μ",
    "mu_lower": "{effect}, lower end of the {prob} interval",
    "mu_upper": "{effect}, upper end of the {prob} interval",
    "tau_mean": "τ, posterior mean",
    "tau_median": "τ, posterior median",
    "tau_lower": "τ, lower end of the {prob} interval",
    "tau_upper": "τ, upper end of the {prob} interval",
    "theta_new_lower": "{effect} in a new study, lower end of the {prob} interval",
    "theta_new_upper": "{effect} in a new study, upper end of the {prob} interval",
    "p_benefit": "{benefit}",
    "p_important": "P(beyond the minimal important difference)",
}


RIBBONS = ("mu", "tau", "theta_new", "p_benefit", "p_important")


def prior_heatmap(atlas: PriorAtlas, quantity: str = "p_benefit", ax: Axes | None = None) -> Axes:
    """Return the Axes with one quantity under all combinations of priors, as a heat map.

    Rows are the priors of tau by family, from narrow to wide as they were given, columns those of mu. The
    lowest and the highest value are written into their cells; the model's own priors have a frame, where
    they are among them; cells without an answer are hatched.

    Parameters
    ----------
    atlas : PriorAtlas
        What `bayesmeta.prior_sensitivity` returned.
    quantity : str
        A column of numbers of its table.
    ax : Axes, optional
        Where to draw.

    Raises
    ------
    AnalysisError
        If there is no such quantity, or no value of it.
    """
    require_drawn(atlas, PriorAtlas, "prior_heatmap", "bm.prior_sensitivity(studies, model)")
    values = _on_reported_scale(atlas, quantity)
    if not np.isfinite(values).any():
        raise AnalysisError(f"the atlas has no value of '{quantity}'; was a difference mid given?")
    with styled():
        rows = values.shape[0]
        height = 1.5 + rows * CELL / 72
        if ax is None:
            ax = new_axes(6.6, height)
            ax.set_position((1.75 / 6.6, 0.85 / height, 3.75 / 6.6, (height - 1.3) / height))
        ax = prepared(ax)
        image = ax.imshow(
            np.ma.masked_invalid(values), cmap=_shades(), aspect="auto", interpolation="nearest"
        )
        ax.set_facecolor(FAINT)
        _rows(ax, atlas)
        _columns(ax, atlas)
        _extremes(ax, atlas, values, quantity)
        _own(ax, atlas)
        _bar(ax, image, atlas, quantity)
    return ax


def _on_reported_scale(atlas: PriorAtlas, quantity: str) -> Floats:
    values = atlas.values(quantity)
    return to_reported(atlas.studies, values) if _is_effect(quantity) else values


def _is_effect(quantity: str) -> bool:
    return quantity.startswith(("mu_", "theta_new_")) and quantity != "mu_sd"


def _shades() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("posterior", ["#f4f9fb", POSTERIOR_LIGHT, POSTERIOR])


def _families(atlas: PriorAtlas) -> Iterator[tuple[str, list[int]]]:
    """Yield each family of priors of tau with its rows, as they follow one another."""
    priors = list(enumerate(atlas.priors_of_tau))
    for name, members in groupby(priors, key=lambda pair: _family_name(pair[1])):
        yield name, [row for row, _ in members]


def _family_name(prior: Prior) -> str:
    """Return the family, with the parameters that are no scale."""
    nu = getattr(prior, "nu", None)
    name = type(prior).__name__
    return f"{name}, {nu:g} df" if nu is not None else name


def _rows(ax: Axes, atlas: PriorAtlas) -> None:
    own_scale = [scale_of(prior) for prior in atlas.priors_of_tau]
    texts = [
        clean(str(prior)) if scale == 1 and not prior.in_units else f"{scale:.3g}"
        for prior, scale in zip(atlas.priors_of_tau, own_scale, strict=True)
    ]
    ax.set_yticks(range(len(texts)), [shortened(text, 100, SMALL) for text in texts])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    blocks = list(_families(atlas))
    for name, rows in blocks:
        if rows[0] > 0:
            ax.axhline(rows[0] - 0.5, color=PAPER, lw=4)
        if len(rows) > 1:
            ax.annotate(
                name,
                (0, 1 - (rows[0] + len(rows) / 2) / len(texts)),
                xycoords="axes fraction",
                xytext=(-44, 0),
                textcoords="offset points",
                rotation=90,
                ha="right",
                va="center",
                fontsize=SMALL,
                color=MUTED,
            )
    ax.set_ylabel(f"scale of the prior of τ{scale_note(atlas.studies)}", labelpad=26)


def _columns(ax: Axes, atlas: PriorAtlas) -> None:
    priors = atlas.priors_of_mu
    normal = all(isinstance(prior, Normal) and prior.mu == 0 for prior in priors)
    texts = [f"{prior.sigma:.3g}" if isinstance(prior, Normal) and normal else str(prior) for prior in priors]
    step = max(1, -(-len(texts) // 7)) if normal else 1
    shown = range(0, len(texts), step)
    ax.set_xticks(list(shown), [clean(texts[b]) for b in shown])
    if not normal:
        ax.tick_params(axis="x", rotation=30)
    name = "SD of the normal prior of μ" if normal else "prior of μ"
    ax.set_xlabel(f"{name}{scale_note(atlas.studies)}")


def _extremes(ax: Axes, atlas: PriorAtlas, values: Floats, quantity: str) -> None:
    """Write the lowest and the highest value beside their cells."""
    from matplotlib.patheffects import withStroke

    for place in {int(np.nanargmin(values)), int(np.nanargmax(values))}:
        a, b = divmod(place, values.shape[1])
        near = b < values.shape[1] / 2
        outline = [withStroke(linewidth=2.2, foreground=PAPER)]
        ax.annotate(
            _value_text(atlas, quantity, values, place),
            (b, a),
            xytext=(6 if near else -6, 0),
            textcoords="offset points",
            ha="left" if near else "right",
            va="center",
            fontsize=SMALL,
            color=INK,
            path_effects=outline,
        )
        ax.plot([b], [a], "s", ms=4, mfc="none", mec=INK, mew=0.9, path_effects=outline)


def _value_text(atlas: PriorAtlas, quantity: str, values: Floats, place: int) -> str:
    value = float(values.ravel()[place])
    if quantity.startswith("p_"):
        return bounded(value)
    if atlas.studies.is_ratio and _is_effect(quantity):
        return ratio_text(value)
    return number_text(value, max(2, decimals_for([(np.nanmax(values) - np.nanmin(values)) / 2])))


def _own(ax: Axes, atlas: PriorAtlas) -> None:
    """Frame the model's own priors."""
    from matplotlib.patches import Rectangle

    own = atlas.problem.priors
    if own.tau in atlas.priors_of_tau and own.mu in atlas.priors_of_mu:
        corner = atlas.priors_of_mu.index(own.mu) - 0.5, atlas.priors_of_tau.index(own.tau) - 0.5
        ax.add_patch(Rectangle(corner, 1, 1, fc="none", ec=PRIOR, lw=1.8, zorder=4))


def _bar(ax: Axes, image: Any, atlas: PriorAtlas, quantity: str) -> None:
    figure = ax.get_figure(root=False)
    assert figure is not None  # noqa: S101 - the Axes have one
    inside = ax.inset_axes((1.04, 0.0, 0.04, 1.0))
    bar = figure.colorbar(image, cax=inside)
    bar.outline.set_visible(False)
    inside.tick_params(labelsize=SMALL, length=2)
    ax.set_title(clean(quantity_name(atlas, quantity)), loc="left", fontsize=TEXT)


def quantity_name(atlas: PriorAtlas, quantity: str) -> str:
    """Return a quantity of the table in words."""
    studies = atlas.studies
    sign = "<" if studies.better == "lower" else ">"
    shown = f"{effect_name(studies)} {sign} 1" if studies.is_ratio else f"μ {sign} 0"
    words = NAMES[quantity].format(
        effect=effect_name(studies), prob=percent(atlas.prob), benefit=f"P({shown})"
    )
    return words + (scale_note(studies) if quantity.startswith("tau") or quantity == "mu_sd" else "")


def prior_densities(atlas: PriorAtlas, name: str = "mu", ax: Axes | None = None) -> Axes:
    """Return the Axes with the posterior density under every combination of priors, one thin line each.

    The answer under the model's own priors is drawn thick.

    Parameters
    ----------
    atlas : PriorAtlas
        What `bayesmeta.prior_sensitivity` returned.
    name : {"mu", "theta_new"}
        The mean effect, or the effect in a new study.
    ax : Axes, optional
        Where to draw.

    Raises
    ------
    AnalysisError
        If `name` is another quantity.
    """
    require_drawn(atlas, PriorAtlas, "prior_densities", "bm.prior_sensitivity(studies, model)")
    if not is_one_of(name, {"mu", "theta_new"}):
        raise AnalysisError(f"name must be 'mu' or 'theta_new'; got {told(name)}")
    ends = atlas.answers.quantiles(name, np.array([FAR, 0.5, 1 - FAR])).reshape(-1, 3)
    reach = np.nanquantile(ends, [0.02, 0.98], axis=0)
    x = np.linspace(reach[0, 0], reach[1, 2], POINTS)
    lines = atlas.answers.densities(name, x).reshape(-1, POINTS)
    lines = lines[np.isfinite(lines).all(axis=1)]
    with styled():
        ours = ax is None
        ax = plain_axes(ax)
        _draw_lines(ax, atlas, x, lines)
        own = _own_density(atlas, name, x)
        if own is not None:
            ax.plot(to_reported(atlas.studies, x), own, color=PRIOR, lw=1.8, label="the model's own priors")
        words = axis_name(atlas.studies) if name == "mu" else f"{axis_name(atlas.studies)}, new study"
        draw_effect_axis(ax, atlas.studies, x[0], x[-1], name=words)
        ax.set_ylim(0, None)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        null = null_of(atlas.studies)
        low, high = sorted(ax.get_xlim())
        if null is not None and low <= null <= high:
            ax.axvline(null, color=INK, lw=0.8, zorder=1)
        below(ax, ours)
    return ax


def _draw_lines(ax: Axes, atlas: PriorAtlas, x: Floats, lines: Floats) -> None:
    from matplotlib.collections import LineCollection

    shown = to_reported(atlas.studies, x)
    alpha = float(np.clip(12 / np.sqrt(len(lines)) / 8, 0.04, 0.8))
    segments = [np.column_stack([shown, line]) for line in lines]
    many = len(lines) > MANY
    ax.add_collection(LineCollection(segments, colors=POSTERIOR, alpha=alpha, lw=0.7, rasterized=many))
    ax.plot([], [], color=POSTERIOR, lw=1, label=f"under {len(lines):,} combinations of priors")
    top = np.quantile(lines.max(axis=1), 0.99) if len(lines) > 1 else lines.max()
    ax.set_ylim(0, 1.05 * float(top))


def _own_density(atlas: PriorAtlas, name: str, x: Floats) -> Floats | None:
    """Return the density under the model's own priors; None where the model has not both."""
    model = atlas.model
    if model.mu is None and model.tau is None and model.tau2 is None and not atlas.default_family:
        return None
    from bayesmeta.fitting import fit

    one = fit(atlas.studies, model, engine="exact")
    return one.marginal(name).density(x)


def prior_ribbon(path: PriorAtlas, quantity: str = "mu", ax: Axes | None = None) -> Axes:
    """Return the Axes with the answer along the scale of one prior; the chosen scale is marked.

    Parameters
    ----------
    path : PriorAtlas
        What `bayesmeta.prior_path` returned.
    quantity : {"mu", "tau", "theta_new", "p_benefit", "p_important"}
        The median and interval of mu, tau or the effect in a new study; or a probability.
    ax : Axes, optional
        Where to draw.

    Raises
    ------
    AnalysisError
        If the atlas is no path, or the quantity another.
    """
    require_drawn(path, PriorAtlas, "prior_ribbon", "bm.prior_path(fit)")
    if not is_one_of(quantity, RIBBONS):
        raise AnalysisError(
            "quantity must be 'mu', 'tau', 'theta_new', 'p_benefit' or 'p_important'; got " + told(quantity)
        )
    scales, chosen, which = _path(path)
    with styled():
        ours = ax is None
        ax = plain_axes(ax)
        ax.set_xscale("log")
        ax.set_xlim(scales[0], scales[-1])
        if quantity in {"p_benefit", "p_important"}:
            ax.plot(
                scales,
                path.values(quantity).ravel(),
                color=POSTERIOR,
                lw=1.8,
                label=quantity_name(path, quantity),
            )
            ax.set_ylim(*_probability_limits(path.values(quantity)))
            ax.set_ylabel("probability")
        else:
            _ribbon(ax, path, quantity, scales)
        ax.axvline(chosen, color=PRIOR, lw=1.4, ls=(0, (4, 2)), label=f"chosen prior, {chosen:.3g}")
        log_ticks(ax, float(scales[0]), float(scales[-1]))
        family = _family_name(path.priors_of_tau[0]) if which == "τ" else "normal"
        ax.set_xlabel(f"scale of the {family} prior of {which}{scale_note(path.studies)}")
        below(ax, ours)
    return ax


def _path(path: PriorAtlas) -> tuple[Floats, float, str]:
    """Return the scales of a path, the chosen one, and the letter of the parameter."""
    tau, mu = path.priors_of_tau, path.priors_of_mu
    own = path.problem.priors
    if len(tau) > 1 and len(mu) == 1 and len({type(prior) for prior in tau}) == 1:
        return np.array([scale_of(prior) for prior in tau]), scale_of(own.tau), "τ"
    if len(mu) > 1 and len(tau) == 1 and all(isinstance(prior, Normal) for prior in mu):
        sds = np.array([prior.sigma for prior in mu if isinstance(prior, Normal)])
        return sds, getattr(own.mu, "sigma", np.nan), "μ"
    raise AnalysisError("the atlas is no path along one scale; give what bm.prior_path(fit) returned")


def _probability_limits(values: Floats) -> tuple[float, float]:
    low = float(np.nanmin(values))
    return max(0.0, low - 0.1 * (1 - low) - 0.002), 1.0 + 0.03 * (1 - low) + 1e-4


def _ribbon(ax: Axes, path: PriorAtlas, quantity: str, scales: Floats) -> None:
    p = np.array([(1 - path.prob) / 2, 0.5, (1 + path.prob) / 2])
    lower, middle, upper = path.answers.quantiles(quantity, p).reshape(-1, 3).T
    studies = path.studies
    if quantity == "tau":
        ax.set_ylim(0, 1.05 * float(np.nanmax(upper)))
        ax.set_ylabel(f"between-study SD τ{scale_note(studies)}")
    else:
        draw_effect_axis(ax, studies, float(np.nanmin(lower)), float(np.nanmax(upper)), which="y")
        lower, middle, upper = (to_reported(studies, part) for part in (lower, middle, upper))
    label = f"{percent(path.prob)} equal-tailed interval"
    ax.fill_between(scales, lower, upper, color=POSTERIOR_LIGHT, alpha=0.5, lw=0, label=label)
    ax.plot(scales, middle, color=POSTERIOR, lw=1.6, label="median")
    null = null_of(studies)
    if quantity != "tau" and null is not None:
        ax.axhline(null, color=INK, lw=0.8, zorder=1)


def log_ticks(ax: Axes, low: float, high: float) -> None:
    """Set ticks at 1, 2, 5 of each power of ten, or at powers of ten alone, written as plain numbers."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    every = np.sort(np.concatenate([powers, 2 * powers, 5 * powers]))
    ticks = [tick for tick in every if low <= tick <= high]
    if len(ticks) > size_of(ax)[0] / 32:
        ticks = [tick for tick in powers if low <= tick <= high]
    ax.set_xticks(ticks, [f"{tick:.6g}" for tick in ticks])
    ax.set_xticks([], minor=True)
