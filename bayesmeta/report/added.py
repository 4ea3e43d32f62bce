"""What the Bayesian answer adds here: sentences that are computed, so that none can be false."""

from __future__ import annotations

from math import exp, sqrt
from typing import TYPE_CHECKING, Any

from bayesmeta.report.checks import spread_over
from bayesmeta.report.facts import METHODS
from bayesmeta.report.headline import chance, favourable
from bayesmeta.report.numbers import decimals_for, known, number, p_value, probability, quantity, spread_of
from bayesmeta.report.tables import benefit_statement, classical_tau

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]

SAME_WIDTH = 0.05
"""Relative difference of two widths below which they are called the same."""


def added(facts: Facts) -> str:
    """Return a paragraph on what the posterior says beyond, or against, the classical answers."""
    if not facts.classical:
        return "No study has an estimate, so that there is no classical answer to compare with."
    parts: tuple[Callable[[Facts], str], ...] = (
        (_widths, _verdicts, _probabilities, _heterogeneity, _new_study, _priors)
        if facts.pooled
        else (_regression_verdicts, _left_over)
    )
    return " ".join(text for text in (part(facts) for part in parts) if text)


def _same_level(facts: Facts) -> bool:
    return abs(facts.classical_level - facts.prob) < 1e-4


def _width(block: Block) -> float:
    if not known(block.get("lower")) or not known(block.get("upper")):
        return float("nan")
    return float(block["upper"]) - float(block["lower"])


def _widths(facts: Facts) -> str:
    ours = _width(facts.posterior["mu"])
    if not _same_level(facts) or not known(ours):
        return ""
    named = [("fixed", "fixed-effect interval"), ("REML_HK", "REML interval with Knapp–Hartung")]
    found = [
        f"{_times(ours / _width(facts.classical[name]))} the {text}"
        for name, text in named
        if name in facts.classical
        and known(_width(facts.classical[name]))
        and _width(facts.classical[name]) > 0
    ]
    if not found:
        return ""
    scale = " on the log scale" if facts.is_ratio else ""
    text = f"The credible interval of the mean effect is {' and '.join(found)}{scale}"
    return f"{text}{_reason(facts, ours)}."


def _times(factor: float) -> str:
    if abs(factor - 1) < SAME_WIDTH:
        return "as wide as"
    return f"{factor:.1f} times as wide as" if factor >= 1.15 else f"{factor:.2f} times as wide as"


def _reason(facts: Facts, ours: float) -> str:
    fixed = facts.classical.get("fixed", {})
    if facts.is_common or not known(_width(fixed)) or ours <= (1 + SAME_WIDTH) * _width(fixed):
        return ""
    return "; the fixed effect takes all studies to have one true effect, the posterior does not"


def _excludes(block: Block) -> bool:
    return known(block.get("lower")) and known(block.get("upper")) and block["lower"] * block["upper"] > 0


def _verdicts(facts: Facts) -> str:
    ours = _excludes(facts.posterior["mu"])
    with_bounds = {name: one for name, one in facts.classical.items() if known(one.get("lower"))}
    other = [METHODS.get(name, name) for name, one in with_bounds.items() if _excludes(one) != ours]
    null = f"the value of no effect, {facts.null:g}"
    if not with_bounds:
        return ""
    if other:
        what = "the interval" if len(other) == 1 else "the intervals"
        verb = ("contains it", "contain it") if ours else ("leaves it out", "leave it out")
        return f"It {_state(ours)} {null}; {what} of {_listed(other)} {verb[len(other) > 1]}."
    count = len(with_bounds)
    like = "the interval" if count == 1 else f"each of the {count} intervals"
    return f"Like {like} by classical methods, it {_state(ours)} {null}."


def _state(excludes: bool, *, plural: bool = False) -> str:
    verb = ("leaves out", "leave out") if excludes else ("contains", "contain")
    return verb[plural]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _probabilities(facts: Facts) -> str:
    one = facts.get("benefit", {}).get("mu", {})
    if "any" not in one:
        return ""
    text = (
        f"It gives what a p-value cannot: the {favourable(facts)} with probability "
        f"{chance(facts, 'mu', 'any')}"
    )
    if "important" in one:
        text += (
            ", by more than the minimal important difference with probability "
            f"{chance(facts, 'mu', 'important')}"
        )
    p = facts.classical.get(facts.main_classical, {}).get("p")
    beside = f" (two-sided p by {METHODS[facts.main_classical]}: {p_value(p)})" if known(p) else ""
    return f"{text}{beside}."


def _heterogeneity(facts: Facts) -> str:
    reml = facts.classical.get("REML", {})
    if facts.is_common or not known(reml.get("tau2")):
        return ""
    shown = quantity(facts.posterior["tau"]).text
    if reml["tau2"] == 0:
        return (
            "REML puts the heterogeneity at exactly 0, which is the edge of what is possible; the posterior "
            f"weighs all values, τ = {shown}, and passes that doubt on to the mean effect."
        )
    return (
        f"For the heterogeneity REML gives τ = {classical_tau(facts, reml)} (Q-profile interval), and "
        f"its pooled effect rests on that one value; the posterior, τ = {shown}, passes the "
        "doubt about τ on to the mean effect."
    )


def _new_study(facts: Facts) -> str:
    new, beside = facts.posterior["theta_new"], facts.classical.get("REML_HK", {})
    if facts.is_common or not known(beside.get("pi_lower")) or not _same_level(facts):
        return ""
    bounds = {"lower": beside["pi_lower"], "upper": beside["pi_upper"]}
    ours, theirs = _excludes(new), _excludes(bounds)
    factor = _width(new) / _width(bounds) if _width(bounds) > 0 else float("nan")
    if not known(factor):
        return ""
    text = (
        "For a new study, the posterior predictive interval is "
        f"{_times(factor)} the prediction interval of REML with Knapp–Hartung"
    )
    opposite = "leaves it out" if theirs else "contains it"
    if ours == theirs:
        return f"{text}; both {_state(ours, plural=True)} the value of no effect."
    return f"{text}; it {_state(ours)} the value of no effect, the classical one {opposite}."


def _priors(facts: Facts) -> str:
    others = [one["posterior"] for one in facts.document["prior_sensitivity"]]
    span = spread_over(others, "mu")
    if span is None:
        return ""
    low, high = span
    places = max(facts.decimals, decimals_for(spread_of(facts.posterior["mu"])))
    shown = [number(exp(x), 2) if facts.is_ratio else number(x, places) for x in (low, high)]
    many = "the other prior" if len(others) == 1 else f"the {len(others)} other sets of priors"
    same = shown[0] == shown[1]
    text = f"Under {many} the median effect {f'is {shown[0]}' if same else f'is {shown[0]} to {shown[1]}'}"
    chances = [one.get("probabilities", {}).get(benefit_statement(facts)) for one in others]
    if all(known(value) for value in chances) and "mu" in facts.get("benefit", {}):
        low_p, high_p = (probability(value) for value in (min(chances), max(chances)))
        between = f"is {low_p}" if low_p == high_p else f"goes from {low_p} to {high_p}"
        text += f", and the probability that the {favourable(facts)} {between}"
    return f"{text}."


def _regression_verdicts(facts: Facts) -> str:
    name = facts.main_classical
    twins = facts.classical.get(name, {}).get("coefficients", {})
    slopes = [one for one in facts.document["coefficients"] if one != "Intercept" and one in twins]
    differ = [one for one in slopes if _excludes(facts.posterior[one]) != _excludes(twins[one])]
    if not slopes:
        return ""
    if not differ:
        count = "the coefficient" if len(slopes) == 1 else f"each of the {len(slopes)} coefficients"
        return (
            f"For {count} of the moderators, the credible interval and the interval of {METHODS[name]} "
            "agree on "
            "whether 0 is inside."
        )
    return (
        f"For {_listed(differ)}, the credible interval and the interval of {METHODS[name]} disagree on "
        "whether 0 "
        "is inside."
    )


def _left_over(facts: Facts) -> str:
    reml = facts.classical.get("REML", {})
    if facts.is_common or not known(reml.get("tau2")):
        return ""
    tau = facts.posterior["tau"]
    places = decimals_for(spread_of(tau))
    edge = ", the edge of what is possible" if reml["tau2"] == 0 else ""
    return (
        f"REML leaves τ = {number(sqrt(reml['tau2']), places)}{edge}; the posterior of what is left is "
        f"{quantity(tau).text}, and its doubt is part of every interval of a coefficient."
    )
