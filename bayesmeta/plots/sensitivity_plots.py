"""How the answer moves: without each study, and under other priors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmeta.errors import AnalysisError, is_one_of, printable, suggest
from bayesmeta.plots.arm_text import Columns
from bayesmeta.plots.rows import Row, Table, decimals_of, spans_of
from bayesmeta.plots.sentences import (
    alarm_of,
    axis_name,
    benefit,
    effect_name,
    favours_of,
    null_of,
    priors_words,
    scale_note,
    tau_numbers,
)
from bayesmeta.plots.spans import reported
from bayesmeta.plots.style import require_each
from bayesmeta.plots.table_plot import draw_table
from bayesmeta.plots.words import bounded, clean, interval_name, percent
from bayesmeta.results.fit import require_fit
from bayesmeta.results.marginal import check_interval
from bayesmeta.results.tables import quantity_rows
from bayesmeta.sensitivity import LeftOut, PriorAtlas, PriorChoice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from bayesmeta.results.fit import Fit


def leave_one_out(
    left_out: Sequence[LeftOut],
    fit: Fit,
    ax: Axes | None = None,
    *,
    name: str | None = None,
    prob: float = 0.95,
    kind: str = "eti",
) -> Axes:
    """Return the Axes with the answer without each study, above the answer from all.

    Parameters
    ----------
    left_out : sequence of LeftOut
        What `bayesmeta.leave_one_out` returned.
    fit : Fit
        The answer from all studies.
    ax : Axes, optional
        Where to draw; as in `forest`.
    name : str, optional
        Coefficient to show; by default the mean effect, with moderators the first slope.
    prob, kind : float, str
        Level and kind of the intervals.

    Raises
    ------
    AnalysisError
        If there is nothing to show, or no such coefficient.
    """
    require_each(left_out, LeftOut, "leave_one_out", "bm.leave_one_out(fit)")
    require_fit(fit, "leave_one_out")
    return draw_table(leave_one_out_rows(left_out, fit, name=name, prob=prob, kind=kind), ax)


def leave_one_out_rows(
    left_out: Sequence[LeftOut], fit: Fit, *, name: str | None = None, prob: float = 0.95, kind: str = "eti"
) -> Table:
    """Return the rows of `leave_one_out`; the parameters are the same."""
    answers = [(f"Without {clean(one.omitted)}", one.fit) for one in left_out]
    priors = f"Priors{scale_note(fit.studies)}: {priors_words(fit)}."
    everything = f"All studies, k = {fit.problem.k}"
    return variant_table(answers, fit, everything, "Studies", (priors,), name=name, prob=prob, kind=kind)


def prior_sensitivity(
    choices: Sequence[PriorChoice] | PriorAtlas,
    fit: Fit,
    ax: Axes | None = None,
    *,
    name: str | None = None,
    prob: float = 0.95,
    kind: str = "eti",
) -> Axes:
    """Return the Axes with the answer under other priors, above the answer under the chosen ones.

    Parameters
    ----------
    choices : PriorAtlas or sequence of PriorChoice
        What `bayesmeta.prior_sensitivity` returned.
    fit : Fit
        The answer under the chosen priors.
    ax, name, prob, kind
        As in `leave_one_out`.

    Raises
    ------
    AnalysisError
        If there is nothing to show, or no such coefficient.
    """
    if isinstance(choices, PriorAtlas):
        choices = tuple(choices)
    require_each(choices, PriorChoice, "prior_sensitivity", "bm.prior_sensitivity(...)")
    require_fit(fit, "prior_sensitivity")
    return draw_table(prior_sensitivity_rows(choices, fit, name=name, prob=prob, kind=kind), ax)


def prior_sensitivity_rows(
    choices: Sequence[PriorChoice],
    fit: Fit,
    *,
    name: str | None = None,
    prob: float = 0.95,
    kind: str = "eti",
) -> Table:
    """Return the rows of `prior_sensitivity`; the parameters are the same."""
    answers = [(_priors_label(choice, fit), choice.fit) for choice in choices]
    chosen = f"{fit.priors.tau_on.replace('tau2', 'τ²').replace('tau', 'τ')} ~ {fit.priors.tau}"
    note = f"Other priors as chosen{scale_note(fit.studies)}: {priors_words(fit)}."
    return variant_table(
        answers, fit, f"{chosen} (chosen)", "Priors", (note,), name=name, prob=prob, kind=kind
    )


def _priors_label(choice: PriorChoice, fit: Fit) -> str:
    parts = [f"{choice.fit.priors.tau_on.replace('tau2', 'τ²').replace('tau', 'τ')} ~ {choice.tau}"]
    parts += [f"μ ~ {choice.mu}"] if choice.mu != fit.priors.mu else []
    return clean(", ".join(parts))


def variant_table(
    answers: Sequence[tuple[str, Fit]],
    fit: Fit,
    everything: str,
    first: str,
    footer: tuple[str, ...],
    *,
    name: str | None,
    prob: float,
    kind: str,
) -> Table:
    """Return the rows of several answers, with the main one as the last."""
    check_interval(prob, kind)
    shown = _coefficient(fit, name)
    rows = [_row(label, one, shown, prob=prob, kind=kind) for label, one in answers]
    main = _row(everything, fit, shown, prob=prob, kind=kind, pooled=True)
    studies, pooled = fit.studies, shown == "mu"
    log = studies.is_ratio and pooled
    slope = f"Coefficient of {clean(shown)}{scale_note(studies)}"
    words = interval_name(prob, kind)
    return Table(
        rows=(*rows, main),
        columns=_columns(fit, prob, pooled=pooled),
        first=first,
        effect=f"{effect_name(studies) if pooled else 'Slope'} [{percent(prob)} interval]",
        detail="posterior median",
        axis=axis_name(studies) if pooled else slope,
        log=log,
        decimals=2 if log else decimals_of(studies, (*rows, main)),
        prob=prob,
        kind=kind,
        null=null_of(studies) if pooled else 0.0,
        reference=main.posterior.centre if main.posterior is not None else None,
        favours=favours_of(studies) if pooled else ("", ""),
        footer=(f"Posterior medians with {words}s.", *footer),
        alarm=next((alarm_of(one) for one in (fit, *(one for _, one in answers)) if alarm_of(one)), ""),
    )


def _columns(fit: Fit, prob: float, *, pooled: bool) -> tuple[Columns, ...]:
    tau = Columns(f"τ{scale_note(fit.studies)}", (f"median [{percent(prob)} interval]",))
    if not _has_benefit(fit, pooled=pooled):
        return (tau,)
    return tau, Columns("P(benefit)" if fit.studies.better else "P(μ > 0)", ("",))


def _has_benefit(fit: Fit, *, pooled: bool) -> bool:
    return pooled and null_of(fit.studies) is not None


def _coefficient(fit: Fit, name: str | None) -> str:
    known = fit.problem.coefficients
    if name is None:
        slopes = [one for one, mean in zip(fit.design.names, fit.design.is_mean, strict=True) if not mean]
        return known[0] if fit.problem.is_pooled or not slopes else slopes[0]
    if not is_one_of(name, known):
        hint = suggest(name, known) or f"; the coefficients are {', '.join(known)}"
        raise AnalysisError(f"the fit has no coefficient '{printable(name)}'{hint}")
    return name


def _row(label: str, fit: Fit, name: str, *, prob: float, kind: str, pooled: bool = False) -> Row:
    tau = quantity_rows(fit.posterior, ["tau"], prob=prob, kind=kind)["tau"]
    span = spans_of(fit, name, prob=prob, kind=kind)
    cells = (tau_numbers(tau), *((bounded(benefit(fit)),) if _has_benefit(fit, pooled=name == "mu") else ()))
    return Row(
        "pooled" if pooled else "answer",
        label,
        cells=cells,
        posterior=reported(fit.studies, span) if name == "mu" else span,
    )
