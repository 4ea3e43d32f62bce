"""The first screen: the answer in words that a clinician understands, each number taken from the document."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.report.numbers import SPACE, known, level, probability, quantity, ratio, written
from bayesmeta.report.tables import ratio_of_tau

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]


class Figure(NamedTuple):
    """One of the large numbers at the top."""

    name: str
    """What it is."""
    value: str
    """The number."""
    note: str
    """What exactly it says."""


def headline(facts: Facts) -> tuple[Figure, ...]:
    """Return the large numbers at the top."""
    if not facts.pooled:
        return tuple(_coefficient(facts, name) for name in facts.document["coefficients"])
    found = [_pooled(facts), *_benefits(facts), *_heterogeneity(facts), _new_study(facts)]
    return tuple(found)


def _pooled(facts: Facts) -> Figure:
    shown = facts.effect_shown(facts.posterior["mu"])
    value = f"{facts.with_units(shown.centre)} {shown.interval}"
    return Figure("Pooled effect", value, f"{facts.effect}, posterior median with {facts.credible}")


def _benefits(facts: Facts) -> list[Figure]:
    one = facts.get("benefit", {}).get("mu", {})
    found = []
    if "any" in one:
        name = "Probability of benefit" if facts.better else f"Probability above {facts.null:g}"
        found.append(Figure(name, chance(facts, "mu", "any"), f"that the {favourable(facts)}"))
    if "important" in one:
        name = "Probability of an important effect"
        note = f"that the mean effect is {important_text(facts)}, the minimal important difference"
        found.append(Figure(name, chance(facts, "mu", "important"), note))
    return found


def chance(facts: Facts, quantity_name: str, limit: str) -> str:
    """Return a probability of benefit: ``limit`` is ``"any"`` or ``"important"``."""
    one = facts.get("benefit", {}).get(quantity_name, {}).get(limit, {})
    return probability(one.get("probability"), facts.draws_of(quantity_name))


def favourable(facts: Facts) -> str:
    """Return what a benefit of the mean effect is, in words."""
    if facts.better:
        return f"mean effect favours {facts.group1}"
    return f"mean effect is above {facts.null:g}"


def important_text(facts: Facts) -> str:
    """Return the minimal important difference in words, on the scale reported."""
    lower = facts.better == "lower"
    size = float(facts.important or 0.0)
    word = "below" if lower else "above"
    if facts.is_ratio:
        return f"{word} {ratio(exp(-size if lower else size))}"
    return f"{word} {facts.with_units(written(-size if lower else size))}"


def _heterogeneity(facts: Facts) -> list[Figure]:
    if facts.is_common:
        return [Figure("Heterogeneity", "none, by assumption", "a common effect, τ = 0, was assumed")]
    tau = quantity(facts.posterior["tau"])
    note = "standard deviation of the true effects between studies, τ" + (
        f", of the log {facts.effect.lower()}" if facts.is_ratio else ""
    )
    if "I2" in facts.posterior:
        i2 = quantity(facts.posterior["I2"], 0)
        note += f"; I²{SPACE}{i2.centre}{SPACE}% {i2.interval}"
    return [Figure("Heterogeneity", f"τ = {facts.units_of_tau(tau.centre)} {tau.interval}", note)]


def _new_study(facts: Facts) -> Figure:
    shown = facts.effect_shown(facts.posterior["theta_new"])
    note = f"where the true effect of a new study like these lies with {level(facts.prob)} probability"
    chances = facts.get("benefit", {}).get("theta_new", {})
    if "any" in chances:
        side = f"it favours {facts.group1}" if facts.better else f"it is above {facts.null:g}"
        note += f"; {side} with probability {chance(facts, 'theta_new', 'any')}"
    if "important" in chances:
        note += f" and is {important_text(facts)} with probability {chance(facts, 'theta_new', 'important')}"
    return Figure("A new study", facts.with_units(f"{shown.lower} to {shown.upper}"), note)


def _coefficient(facts: Facts, name: str) -> Figure:
    block = facts.posterior[name]
    value = facts.get("positive", {}).get(name)
    note = f"posterior median with {facts.credible}"
    if known(value):
        draws = (block.get("error") or {}).get("ess_bulk")
        note += f"; above 0 with probability {probability(value, draws)}"
    return Figure(name, quantity(block).text, note)


def lead(facts: Facts) -> str:
    """Return the answer as a paragraph."""
    if not facts.pooled:
        return _regression_lead(facts)
    return " ".join(
        part for part in (_effect_sentence(facts), _spread_sentence(facts), _new_sentence(facts)) if part
    )


def _effect_sentence(facts: Facts) -> str:
    shown = facts.effect_shown(facts.posterior["mu"])
    studies = "1 study" if facts.k == 1 else f"{facts.k} studies"
    text = (
        f"From {studies} of {facts.group1} against {facts.group2}, the mean effect is "
        f"{_article(facts.effect)} {facts.effect.lower()} of {facts.with_units(shown.centre)}, and lies "
        f"between {shown.lower} and {facts.with_units(shown.upper)} with {level(facts.prob)} probability."
    )
    chances = facts.get("benefit", {}).get("mu", {})
    if "any" in chances:
        text += f" The probability that the {favourable(facts)} is {chance(facts, 'mu', 'any')}"
        if "important" in chances:
            text += f"; that it is {important_text(facts)}, {chance(facts, 'mu', 'important')}"
        text += "."
    return text


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeio" else "a"


def _spread_sentence(facts: Facts) -> str:
    if facts.is_common:
        return "All studies are assumed to have the same true effect."
    tau = facts.posterior["tau"]
    shown = quantity(tau)
    what = "standard deviations whose geometric mean is" if facts.has_scale else "a standard deviation of"
    text = (
        f"The true effects of the studies differ with {what} {facts.units_of_tau(shown.centre)} "
        f"{shown.interval}"
    )
    if facts.is_ratio:
        factor = ratio_of_tau(tau.get("median"))
        text += f" on the log scale: ratios of a study and the mean typically differ by a factor of {factor}"
    if facts.has_scale:
        text += f", τ depending on {facts.document['scale']}"
    return f"{text}."


def _new_sentence(facts: Facts) -> str:
    if facts.is_common:
        return ""
    shown = facts.effect_shown(facts.posterior["theta_new"])
    return (
        f"In a new study like these, the true effect would lie between {shown.lower} and "
        f"{facts.with_units(shown.upper)} with {level(facts.prob)} probability."
    )


def _regression_lead(facts: Facts) -> str:
    tau = "" if facts.is_common else f" The spread of true effects left over is τ = {_left_over(facts)}."
    return (
        f"The main model is a regression of the {facts.analysis_scale} of {facts.k} studies on "
        f"“{facts.document['mods']}”; there is no single pooled effect.{tau}"
    )


def _left_over(facts: Facts) -> str:
    return quantity(facts.posterior["tau"]).text
