"""What figures say in words: the effect, its scale, the priors, tau, and the probability of benefit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bayesmeta.effectsizes import find_measure
from bayesmeta.plots.words import bounded, clean, decimals_for, number_text
from bayesmeta.results.tables import quantity_rows
from bayesmeta.results.text import priors_text

if TYPE_CHECKING:
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.tables import Row
    from bayesmeta.studies import Studies

SHORT_NAMES = {"GEN": "Effect", "PETO": "OR", "PLN": "PR"}
"""Measures whose reported quantity is not called by the name of the measure."""


def answer_text(fit: Fit, *, prob: float, kind: str) -> str:
    """Return tau and the probability of benefit in one line."""
    tau = quantity_rows(fit.posterior, ["tau"], prob=prob, kind=kind)["tau"]
    text = f"Between-study SD {tau_text(tau)}{scale_note(fit.studies)}"
    if fit.problem.is_pooled:
        return f"{text};  {benefit_text(fit)}" if null_of(fit.studies) is not None else f"{text}."
    return f"{text}.  Regression on {clean(fit.model.mods)}: there is no pooled effect to draw."


def benefit_text(fit: Fit) -> str:
    """Return the probability that the mean effect favours group 1; that it is positive, if none is better."""
    sign = "<" if fit.studies.better == "lower" else ">"
    shown = f"{effect_name(fit.studies)} {sign} 1" if fit.studies.is_ratio else f"μ {sign} 0"
    return f"P({shown}) {bounded(benefit(fit), '= ')}"


def benefit(fit: Fit) -> float:
    """Return the probability that the mean effect favours group 1, or is positive where none is better."""
    return fit.probability("mu < 0" if fit.studies.better == "lower" else "mu > 0")


def tau_text(row: Row) -> str:
    """Return tau with its interval as text."""
    return f"τ = {tau_numbers(row)}"


def tau_numbers(row: Row) -> str:
    """Return median and interval of tau as text."""
    half = (row["upper"] - row["lower"]) / 2
    decimals = decimals_for([half]) if half >= 10 else max(2, decimals_for([half]))
    centre, lower, upper = (number_text(row[name], decimals) for name in ("median", "lower", "upper"))
    return f"{centre} [{lower}, {upper}]"


def priors_words(fit: Fit) -> str:
    """Return the priors in force with the letters of the figures."""
    text = priors_text(fit)
    for name, letter in (("mu", "μ"), ("beta", "β"), ("tau", "τ"), ("tau2", "τ²")):
        text = re.sub(rf"(^|, ){name} (?=[~=])", rf"\g<1>{letter} ", text)
    if fit.model.likelihood != "normal":
        text += f", group-2 log odds ~ {fit.model.baseline}"
    return clean(text)


def scale_note(studies: Studies) -> str:
    """Return on which scale tau and the priors of a ratio are; nothing for other measures."""
    return " (log scale)" if studies.is_ratio else ""


def alarm_of(fit: Fit) -> str:
    """Return what must stand on every figure of an unreliable fit."""
    return "UNRELIABLE: the sampler did not converge" if fit.status == "unreliable" else ""


def effect_name(studies: Studies) -> str:
    """Return the short name of the effect."""
    return SHORT_NAMES.get(studies.measure, studies.measure)


def axis_name(studies: Studies) -> str:
    """Return the name of the axis of effects, with units."""
    units = f" ({clean(studies.units)})" if studies.units else ""
    return f"{studies.effect_label}{units}{', log scale' if studies.is_ratio else ''}"


def null_of(studies: Studies) -> float | None:
    """Return the value of no effect; None for measures of one group that have none."""
    measure = find_measure(studies.measure)
    if measure.groups == 1 and measure.kind != "correlation":
        return None
    return 1.0 if measure.log else 0.0


def favours_of(studies: Studies) -> tuple[str, str]:
    """Return what lies left and right of no effect."""
    if not studies.better:
        return "", ""
    first, second = f"favours {clean(studies.group1)}", f"favours {clean(studies.group2)}"
    return (second, first) if studies.better == "higher" else (first, second)
