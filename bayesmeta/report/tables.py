"""The tables of the report: captions, columns and rows of text, which the template only sets."""

from __future__ import annotations

from math import exp, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.report.facts import ENGINES, METHODS, sentence_case
from bayesmeta.report.numbers import (
    NOTHING,
    SPACE,
    bracketed,
    decimals_for,
    known,
    level,
    number,
    p_value,
    percent,
    probability,
    quantity,
    ratio,
    spread_of,
    supported,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]


WIDEST = 85
"""Signs in the longest cells of all columns of numbers for which there is room beside the heads of rows."""


class Row(NamedTuple):
    """A row of a table."""

    cells: tuple[str, ...]
    """Text of every cell; the first is the head of the row."""
    style: str = ""
    """``"main"`` for the answer, ``"bad"`` for a failure."""

    def broken(self) -> Row:
        """Return the row with intervals below the estimates."""
        return self._replace(cells=tuple(cell.replace(" [", "\n[") for cell in self.cells))


class Table(NamedTuple):
    """A table as text."""

    caption: str
    """What it shows, with level and kind of its intervals."""
    columns: tuple[str, ...]
    """Heads of the columns."""
    rows: tuple[Row, ...]
    """Rows."""
    words: frozenset[int] = frozenset()
    """Columns of words besides the first; the others are numbers."""


def table(
    caption: str, columns: Sequence[str], rows: Iterable[Row | Sequence[str]], *, words: Iterable[int] = ()
) -> Table:
    """Return a table; rows may be plain sequences of text.

    In a wide one intervals have lines of their own, below the estimates.
    """
    made = tuple(row if isinstance(row, Row) else Row(tuple(row)) for row in rows)
    if _width(made, words := frozenset(words)) > WIDEST:
        made = tuple(row.broken() for row in made)
    return Table(caption, tuple(columns), made, words)


def _width(rows: Sequence[Row], words: frozenset[int]) -> int:
    """Return the signs beside one another in the longest cells of the columns of numbers."""
    columns = list(zip(*(row.cells for row in rows), strict=True))
    numbers = [column for place, column in enumerate(columns) if place and place not in words]
    return sum(max(len(line) for cell in column for line in cell.split("\n")) for column in numbers)


def study_table(facts: Facts) -> Table:
    """Return observed and shrunken effects with weights."""
    columns = [
        "Study",
        f"Observed [{level(facts.classical_level)}{SPACE}CI]",
        "Weight, fixed",
        "Weight, random",
        f"Shrunken [{level(facts.prob)}{SPACE}CrI]",
        "Pull to the mean",
    ]
    caption = (
        f"Studies: observed effect with {facts.confidence}, and shrunken effect, posterior median with "
        f"{facts.credible}; {facts.scale}. Pull is the share of the pooled mean in the shrunken effect."
    )
    return table(caption, columns, [_study_row(facts, one) for one in facts.document["studies"]])


def _study_row(facts: Facts, study: Block) -> Row:
    pull = study.get("pooling")
    weights = (percent(study[name], 1) if known(study.get(name)) else NOTHING for name in WEIGHTS)
    shown = facts.effect_shown(study["theta"])
    pulled = percent(100 * pull) if known(pull) else NOTHING  # type: ignore[operator]
    return Row((str(study["slab"]), observed(facts, study), *weights, shown.text, pulled))


WEIGHTS = ("weight_fixed", "weight_random")


def observed(facts: Facts, study: Block) -> str:
    """Return the observed effect of a study with its confidence interval."""
    from scipy.special import ndtri

    y, se = study.get("yi"), study.get("sei")
    if not known(y) or not known(se):
        return "not estimable"
    half = float(ndtri((1 + facts.classical_level) / 2)) * se  # type: ignore[operator]
    block: dict[str, Any] = {"estimate": y, "lower": y - half, "upper": y + half, "se": se}  # type: ignore[operator]
    if facts.is_ratio:
        block["exp"] = {name: exp(min(block[name], 700.0)) for name in ("estimate", "lower", "upper")}
    return facts.estimate_shown(block).text


def comparison_table(facts: Facts) -> Table:
    """Return every classical pooled effect beside the posterior."""
    columns = [
        "Method",
        f"{facts.effect} [{level(facts.prob)}]",
        "p, or probability",
        f"τ{' (log scale)' if facts.is_ratio else ''}",
        "I²",
        f"Effect in a new study [{level(facts.prob)}]",
    ]
    caption = (
        f"The pooled effect by every method; {facts.scale}. Classical rows: estimate with "
        f"{facts.confidence}, two-sided p-value, Q-profile interval of τ, prediction interval by t(k − 1). "
        f"Bayesian row: posterior median with {facts.credible}, probability of {_side(facts)}."
    )
    rows = [_classical_row(facts, METHODS.get(name, name), one) for name, one in facts.classical.items()]
    return table(caption, columns, [*rows, _posterior_row(facts)])


def effect_table(facts: Facts) -> Table:
    """Return the mean effect and the effect in a new study: centre, spread, interval, probabilities."""
    log = " of the log" if facts.is_ratio else ""
    columns = ["Quantity", "Median", level(facts.prob), f"Mean{log}", f"SD{log}"]
    columns += ["P(benefit)" if facts.better else f"P(above {facts.null:g})"]
    columns += ["P(important)"] if facts.important is not None else []
    caption = f"Effects: posterior with {facts.credible}; {facts.scale}."
    named = (("mu", "Mean effect, μ"), ("theta_new", "Effect in a new study, θ new"))
    return table(caption, columns, [_effect_row(facts, name, text) for name, text in named])


def _effect_row(facts: Facts, name: str, text: str) -> Row:
    block = facts.posterior[name]
    shown, error = facts.effect_shown(block), block.get("error") or {}
    places = decimals_for(spread_of(block))
    moments = (
        number(block.get(part), supported(places, error.get(f"mcse_{part}"))) for part in ("mean", "sd")
    )
    limits = ["any"] if facts.important is None else ["any", "important"]
    chances = facts.get("benefit", {}).get(name, {})
    found = (probability(chances.get(one, {}).get("probability"), facts.draws_of(name)) for one in limits)
    cells = (shown.centre, shown.interval, *moments, *(found if chances else (NOTHING for _ in limits)))
    return Row((text, *cells), "main" if name == "mu" else "")


def _side(facts: Facts) -> str:
    if facts.better:
        return f"a mean effect in favour of {facts.group1}"
    return f"a mean effect above {facts.null:g}"


def _classical_row(facts: Facts, name: str, one: Block) -> Row:
    random = known(one.get("tau2")) and (one["tau2"] > 0 or known(one.get("tau2_upper")))
    new = facts.estimate_shown(_prediction(facts, one)).interval if known(one.get("pi_lower")) else NOTHING
    i2 = percent(one["I2"]) if known(one.get("I2")) else NOTHING
    tau = classical_tau(facts, one) if random else NOTHING
    return Row((name, facts.estimate_shown(one).text, f"p {_p(one.get('p'))}", tau, i2, new))


def _p(value: object) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _prediction(facts: Facts, one: Block) -> dict[str, Any]:
    block = {"estimate": one["estimate"], "lower": one["pi_lower"], "upper": one["pi_upper"], "se": one["se"]}
    if facts.is_ratio:
        block["exp"] = {name: exp(min(block[name], 700.0)) for name in ("estimate", "lower", "upper")}
    return block


def classical_tau(facts: Facts, one: Block) -> str:
    """Return the classical tau with its Q-profile interval where there is one."""
    places = _tau_decimals(facts)
    bounds = [one.get("tau2_lower"), one.get("tau2_upper")]
    estimate = number(sqrt(one["tau2"]), places)
    if not all(known(value) for value in bounds):
        return estimate
    lower, upper = (number(sqrt(max(float(value), 0.0)), places) for value in bounds if value is not None)
    return f"{estimate} {bracketed(lower, upper)}"


def _tau_decimals(facts: Facts) -> int:
    return decimals_for(spread_of(facts.posterior.get("tau") or {}))


def _posterior_row(facts: Facts) -> Row:
    post = facts.posterior
    i2 = quantity(post["I2"], 0) if "I2" in post else None
    name = f"Bayesian, {ENGINES.get(facts.engine, facts.engine)}"
    cells = (
        facts.effect_shown(post["mu"]).text,
        benefit_text(facts, post),
        NOTHING if facts.is_common else quantity(post["tau"]).text,
        NOTHING if i2 is None or facts.is_common else f"{i2.centre}{SPACE}% {i2.interval}",
        facts.effect_shown(post["theta_new"]).interval,
    )
    return Row((name, *cells), "main")


def benefit_text(facts: Facts, posterior: Block) -> str:
    """Return the probability of benefit that a posterior gives."""
    statement = benefit_statement(facts)
    value = posterior.get("probabilities", {}).get(statement)
    draws = ((posterior.get("mu") or {}).get("error") or {}).get("ess_bulk")
    return f"P {_equals(probability(value, draws))}" if known(value) else NOTHING


def _equals(text: str) -> str:
    for word, sign in (("above ", "> "), ("below ", "< ")):
        if text.startswith(word):
            return text.replace(word, sign)
    return f"= {text}"


def benefit_statement(facts: Facts) -> str:
    """Return the statement of benefit as the document writes it."""
    return "mu < 0" if facts.better == "lower" else "mu > 0"


def heterogeneity_table(facts: Facts) -> Table:
    """Return tau, tau2, I2, H2 as posteriors, with REML and Q-profile beside."""
    post, reml = facts.posterior, facts.classical.get("REML", {})
    if facts.has_scale:
        from bayesmeta.report.spread import scale_table

        return scale_table(facts)
    named = [("tau", "Between-study SD, τ"), ("tau2", "Between-study variance, τ²")]
    named += [("I2", "I², percent of the variability"), ("H2", "H², ratio of variances")]
    rows = [
        Row((text, *_heterogeneity_cells(post[name], name, reml, facts)))
        for name, text in named
        if name in post
    ]
    caption = (
        f"Heterogeneity{' on the log scale' if facts.is_ratio else ''}: posterior with {facts.credible}; "
        f"beside it REML with the Q-profile {facts.confidence}."
    )
    columns = ["Quantity", "Posterior median", level(facts.prob), "Mean", "SD", "REML [Q-profile]"]
    return table(caption, columns, rows)


def _heterogeneity_cells(block: Block, name: str, reml: Block, facts: Facts) -> tuple[str, ...]:
    places = min(decimals_for(spread_of(block)), 0 if name == "I2" else 9)
    shown = quantity(block, places)
    error = block.get("error") or {}
    moments = (
        number(block.get(part), supported(places, error.get(f"mcse_{part}"))) for part in ("mean", "sd")
    )
    return shown.centre, shown.interval, *moments, _beside(name, reml, places, facts)


def _beside(name: str, reml: Block, places: int, facts: Facts) -> str:
    if not known(reml.get("tau2")):
        return NOTHING
    if name == "tau":
        return classical_tau(facts, reml)
    if name == "tau2":
        bounds = (number(reml.get(f"tau2_{side}"), places) for side in ("lower", "upper"))
        return f"{number(reml['tau2'], places)} {bracketed(*bounds)}"
    return number(reml.get(name), places) if known(reml.get(name)) else NOTHING


def coefficient_table(facts: Facts, regression: Block, title: str) -> Table:
    """Return the coefficients of a regression, with their classical twins."""
    twins = {name: METHODS[name] for name in TWINS if name in regression["classical"]}
    columns = ["Coefficient", f"Posterior [{level(facts.prob)}{SPACE}CrI]", f"P(>{SPACE}0)"]
    columns += [f"{SHORT[name]} [{level(facts.classical_level)}{SPACE}CI]" for name in twins]
    spread = regression.get("spread") or {}
    scale = {"tau": regression["tau"], **spread} if spread else {}
    rows = [
        _coefficient_row(name, block, regression, list(twins))
        for name, block in {**regression["coefficients"], **scale}.items()
    ]
    caption = (
        f"{title}: change of the effect ({facts.analysis_scale}) for a change of 1 in a coefficient. "
        "Posterior "
        f"median with {facts.credible}; classical estimate with {facts.confidence} and p."
    )
    return table(f"{caption}{spread_text(regression['classical'])}", columns, rows)


TWINS = ("fixed", "REML", "REML_HK", "REML_LS")
"""Classical regressions that are shown."""
SHORT = {
    "fixed": "Fixed effect",
    "REML": "REML",
    "REML_HK": "REML + Knapp–Hartung",
    "REML_LS": "REML, τ by scale",
}


def spread_text(classical: Block) -> str:
    """Return what the classical columns of a location-scale model are; empty where there is one tau."""
    spread = classical.get("REML_LS", {}).get("spread")
    if not spread:
        return ""
    text = f" {SHORT['REML_LS']}, is the same location-scale model; the other classical columns have one τ."
    return text + tests_of_scale(classical)


def tests_of_scale(classical: Block) -> str:
    """Return the classical tests that all studies have one tau, and what to doubt, as sentences."""
    spread, text = classical.get("REML_LS", {}).get("spread"), ""
    if not spread:
        return ""
    if known(spread["LR"]):
        wald = "does not exist" if not known(spread["QS_p"]) else f"p {_p(spread['QS_p'])}"
        text += (
            f" One τ for all studies: likelihood ratio {number(spread['LR'], 2)} on {spread['LR_df']:.0f} "
            f"degrees of freedom, p {_p(spread['LR_p'])}; Wald test {wald}."
        )
    return text + "".join(f" {sentence_case(note['message'])}." for note in spread["notes"])


def _coefficient_row(name: str, block: Block, regression: Block, twins: Sequence[str]) -> Row:
    places = decimals_for(spread_of(block))
    cells = [quantity(block).text, _positive(name, block, regression)]
    for method in twins:
        one = estimates(regression["classical"][method]).get(name)
        cells.append(NOTHING if one is None or not known(one.get("estimate")) else twin(one, places))
    return Row((name, *cells))


def estimates(classical: Block) -> Block:
    """Return the estimates of a classical analysis by name: coefficients, taus and their log ratios."""
    own = classical.get("coefficients") or {"mu": classical}
    return {**own, **classical.get("spread", {}).get("quantities", {})}


def twin(one: Block, places: int) -> str:
    """Return a classical estimate with interval and p, as far as they exist."""
    estimate, lower, upper = (number(one.get(part), places) for part in ("estimate", "lower", "upper"))
    text = f"{estimate} {bracketed(lower, upper)}" if known(one.get("lower")) else estimate
    return f"{text}\np {_p(one['p'])}" if known(one.get("p")) else text


def _positive(name: str, block: Block, regression: Block) -> str:
    value = regression.get("positive", {}).get(name)
    draws = (block.get("error") or {}).get("ess_bulk")
    return probability(value, draws) if known(value) else NOTHING


def subgroup_table(facts: Facts, by: str, division: Block) -> Table:
    """Return the groups of a division of the studies."""
    columns = ["Group", "k", f"{facts.effect} [{level(facts.prob)}{SPACE}CrI]", "τ", "Probability"]
    columns += [f"Fixed effect [{level(facts.classical_level)}{SPACE}CI]"]
    rows = [_group_row(facts, name, one) for name, one in division["groups"].items()]
    caption = (
        f"Subgroups by {by}, each with a τ of its own: posterior median with {facts.credible}, "
        "probability of "
        f"{_side(facts)}; fixed effect with {facts.confidence}."
    )
    return table(caption, columns, rows)


def _group_row(facts: Facts, name: str, one: Block) -> Row:
    post, fixed = one.get("posterior"), (one.get("classical") or {}).get("fixed")
    if not post:
        return Row((name, str(one["k"]), str(one.get("reason", "no answer")), *[NOTHING] * 3))
    mean = facts.effect_shown(post["mu"]).text
    tau = NOTHING if facts.is_common or "tau" not in post else quantity(post["tau"]).text
    classical = NOTHING if fixed is None else facts.estimate_shown(fixed).text
    status = (one.get("diagnostics") or {}).get("status")
    return Row(
        (name, str(one["k"]), mean, tau, benefit_text(facts, post), classical),
        "bad" if status == "unreliable" else "",
    )


def ratio_of_tau(value: object) -> str:
    """Return exp(tau), the factor by which true ratios typically differ."""
    return ratio(exp(min(float(value), 700.0))) if known(value) else number(value)  # type: ignore[arg-type]
