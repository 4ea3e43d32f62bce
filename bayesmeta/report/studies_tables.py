"""Tables of what single studies do to the answer, and of what differs between groups and moderators."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

from bayesmeta.report.facts import sentence_case
from bayesmeta.report.numbers import (
    NOTHING,
    SPACE,
    bracketed,
    decimals_for,
    known,
    level,
    number,
    percent,
    probability,
    quantity,
    significant,
    spread_of,
)
from bayesmeta.report.robustness import factor, robustness
from bayesmeta.report.tables import Row, Table, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]

STRIKING = 1.96
"""Distance of an effect from what the others predict, in sds, beyond which it is marked."""


def influence_table(facts: Facts) -> Table | None:
    """Return what each study does to the answer; None where that was not asked for."""
    rows = robustness(facts).get("influence") or []
    if not rows:
        return None
    outlying = {
        one["study"]: one["probability"]
        for one in (robustness(facts).get("outliers") or {}).get("studies") or []
    }
    columns = ["Study", "z, given the others", "Shift of μ in SD", "Change of τ", "Hellinger", "elpd"]
    columns += ["P(outlier)"] if outlying else []
    caption = (
        "What each study does: its distance from what the others predict, in predictive standard deviations "
        "(beyond 1.96 in red, as one study in twenty is by chance); the shift of the posterior mean of μ "
        "that it makes, in SDs; the change of the median of τ; the Hellinger distance of the posteriors of μ "
        "with and without it; the log density that the others give to it"
    )
    if outlying:
        found = robustness(facts)["outliers"]
        caption += (
            "; and the probability that it is an outlier, whose true effect has a further SD of "
            f"{significant(found['extra'], 2)}, {percent(100 * found['eps'])} before the data"
        )
    return table(f"{caption}.", columns, [_influence_row(facts, one, outlying) for one in rows])


def _influence_row(facts: Facts, one: Block, outlying: Block) -> Row:
    places = decimals_for(spread_of(facts.posterior["tau"]))
    z = one.get("z")
    cells = [
        str(one["study"]),
        number(z, 2),
        number(one.get("shift"), 2),
        number(one.get("tau_change"), places),
        number(one.get("hellinger"), 2),
        number(one.get("elpd"), 2),
    ]
    cells += [probability(outlying.get(one["study"]))] if outlying else []
    return Row(tuple(cells), "bad" if known(z) and abs(float(z)) > STRIKING else "")  # type: ignore[arg-type]


def outlier_text(facts: Facts) -> str:
    """Return how the answer changes if studies may be outliers; nothing where that was not asked for."""
    found = robustness(facts).get("outliers") or {}
    if not found:
        return ""
    mu, bayes = _interval(found["mu"]), factor(found["log_bayes_factor"])
    return (
        f"If each study may be an outlier, with probability {percent(100 * found['eps'])}, the mean effect "
        f"is {mu} ({facts.analysis_scale}); the Bayes factor of the model that allows for outliers against "
        f"the one that does not is {bayes}. That a study lies apart does not say why, and is no reason to "
        "leave it out."
    )


def subsets_text(facts: Facts) -> str:
    """Return how the answer varies over subsets of the studies; nothing where that was not asked for."""
    found = robustness(facts).get("subsets") or {}
    if not found:
        return ""
    mu = found["medians"]["mu"]
    places = decimals_for(spread_of(facts.posterior["mu"]))
    parts = ("lowest", "quartile1", "quartile3", "highest")
    low, first, third, high = (number(mu[part], places) for part in parts)
    count = f"{found['count']:,}".replace(",", SPACE)
    return (
        f"Over {count} subsets of two or more studies the median of μ goes from {low} to {high}, in the "
        f"middle half of them from {first} to {third} ({facts.analysis_scale})."
    )


def cumulative_table(facts: Facts) -> Table | None:
    """Return the answer after each study; None where that was not asked for."""
    rows = (robustness(facts).get("cumulative") or {}).get("studies") or []
    if not rows:
        return None
    columns = ["After adding", "k", f"Mean effect [{level(facts.prob)}{SPACE}CrI]", "τ", "New study"]
    caption = (
        "The answer as studies are added in order, every row with the studies above it: posterior medians "
        f"with {level(facts.prob)} equal-tailed credible intervals ({facts.analysis_scale})."
    )
    return table(caption, columns, [_step_row(one) for one in rows])


def _step_row(one: Block) -> Row:
    new = one["theta_new"]
    places = decimals_for((new["upper"] - new["lower"]) / 4)
    bounds = bracketed(number(new["lower"], places), number(new["upper"], places))
    return Row((one["added"], str(one["k"]), _interval(one["mu"]), _interval(one["tau"]), bounds))


def _interval(block: Block) -> str:
    places = decimals_for((block["upper"] - block["lower"]) / 4)
    centre, lower, upper = (number(block[part], places) for part in ("median", "lower", "upper"))
    return f"{centre} {bracketed(lower, upper)}"


def differences_table(facts: Facts, by: str, division: Block) -> Table | None:
    """Return posterior differences between groups; None where there are none."""
    found = division.get("posterior_differences") or {}
    if not found:
        return None
    shared = division.get("tau") == "shared"
    columns = ["Difference", f"Posterior [{level(facts.prob)}{SPACE}CrI]", "P(> 0)"]
    own = "one τ for all groups" if shared else "a τ of its own for each group"
    caption = (
        f"Differences between the groups of {by} with {own}: posterior median with {facts.credible} on the "
        f"analysis scale ({facts.analysis_scale}), and the probability of a larger effect in the group named "
        "first."
    )
    rows = [(name, quantity(one).text, probability(one["probability"])) for name, one in found.items()]
    return table(caption, columns, rows)


def shared_table(facts: Facts, by: str, division: Block) -> Table | None:
    """Return the means of groups that share tau; None where they do not."""
    found = division.get("shared") or {}
    if not found:
        return None
    columns = ["Group", "k", f"{facts.effect} [{level(facts.prob)}{SPACE}CrI]", "τ of all"]
    columns += [f"Fixed effect [{level(facts.classical_level)}{SPACE}CI]"]
    caption = (
        f"Subgroups by {by}, with one τ for all: posterior median with {facts.credible}; fixed effect with "
        f"{facts.confidence}."
    )
    rows = [_group(facts, name, one, division["groups"].get(name) or {}) for name, one in found.items()]
    return table(caption, columns, rows)


def _group(facts: Facts, name: str, one: Block, alone: Block) -> tuple[str, ...]:
    """Return a row: the group in the regression, and the fixed effect of the group alone."""
    fixed = (alone.get("classical") or {}).get("fixed")
    classical = NOTHING if fixed is None else facts.estimate_shown(fixed).text
    if not known(one.get("median")):
        return name, str(one["k"]), str(one.get("note") or NOTHING), NOTHING, classical
    tau = {"median": one["tau"], "lower": one["tau_lower"], "upper": one["tau_upper"]}
    ratios = {part: exp(min(one[part], 700.0)) for part in ("median", "lower", "upper")}
    mean = {**one, "exp": ratios} if facts.is_ratio else one
    return name, str(one["k"]), facts.effect_shown(mean).text, quantity(tau).text, classical


def inclusion_table(facts: Facts) -> Table | None:
    """Return how probable it is that each moderator matters; None where none were listed."""
    found = facts.document.get("moderators") or {}
    if not found:
        return None
    columns = ["Moderator", "Before", "After", "Bayes factor"]
    caption = (
        f"Which moderators matter: probability that each belongs in the model, over all {found['count']} "
        "models that they make, and the Bayes factor for it."
    )
    rows = [
        (name, probability(one["prior"]), probability(one["posterior"]), significant(one["bayes_factor"], 3))
        for name, one in found["inclusion"].items()
    ]
    return table(caption, columns, rows)


def averaged_table(facts: Facts) -> Table | None:
    """Return coefficients averaged over the models; None where no moderators were listed."""
    found = facts.document.get("moderators") or {}
    if not found:
        return None
    columns = ["Coefficient", "P(in)", "Averaged over all models", "Where it is in", "P(> 0) there"]
    caption = (
        "Coefficients averaged over the models: mean with equal-tailed interval, being 0 where the moderator "
        "is out; and among the models that have it."
    )
    return table(caption, columns, [_averaged_row(name, one) for name, one in found["coefficients"].items()])


def _averaged_row(name: str, one: Block) -> Row:
    whole, inside = (_mean(one, suffix) for suffix in ("", "_in"))
    return Row((name, probability(one["inclusion"]), whole, inside, probability(one.get("positive_in"))))


def _mean(one: Block, suffix: str) -> str:
    mean, lower, upper = (one.get(f"{part}{suffix}") for part in ("mean", "lower", "upper"))
    if not known(mean) or not known(lower):
        return NOTHING
    places = decimals_for(float(one[f"sd{suffix}"]))
    return f"{number(mean, places)} {bracketed(number(lower, places), number(upper, places))}"


def moderators_text(facts: Facts) -> str:
    """Return the likeliest model in words; nothing where no moderators were listed."""
    found = facts.document.get("moderators") or {}
    if not found:
        return ""
    best = found["models"][0]
    what = "the model without moderators" if best["mods"].strip() == "1" else f"the model “{best['mods']}”"
    chance = probability(best["posterior"])
    return sentence_case(f"{what} is the likeliest of them, with probability {chance}.")
