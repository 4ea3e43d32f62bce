"""Tables of how far the main answer depends on its priors and on its studies."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

from bayesmeta.report.checks import LETTERS
from bayesmeta.report.facts import sentence_case, short_prior
from bayesmeta.report.numbers import (
    NOTHING,
    bracketed,
    decimals_for,
    known,
    number,
    probability,
    significant,
)
from bayesmeta.report.tables import Row, Table, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]

PREDICTIVE_DRAWS = 4000
LARGEST = 1e4
"""Bayes factor beyond which only the power of ten is of interest."""
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def robustness(facts: Facts) -> Block:
    """Return the block of the document; empty where a run had none."""
    found: Block = facts.document.get("robustness") or {}
    return found


def informativeness_table(facts: Facts) -> Table | None:
    """Return what the priors say, by parameter; None if that is not known."""
    rows = [_informative_row(one) for one in robustness(facts).get("informativeness") or []]
    if not rows:
        return None
    columns = [
        "Parameter",
        "Prior",
        "Hellinger distance",
        "Overlap",
        "Prior sensitivity",
        "Likelihood sensitivity",
        "Worth in studies",
        "Tail probability",
        "In words",
    ]
    caption = (
        "What the priors say. Hellinger distance (0 to 1) and shared area of prior and posterior; change of "
        "the posterior when prior or likelihood are raised to a power (above 0.05 they tell); studies of "
        "this review that know as much as the prior; probability, before the data, of a fixed effect (for τ: "
        "of a Q) as extreme as the one observed, which below 5 % is called a conflict; one in twenty is by "
        "chance."
    )
    if facts.document.get("center") and rows[0].cells[0] == "Intercept":
        caption += " The intercept here is the mean effect at the moderators' means, which has that prior."
    return table(caption, columns, rows, words=(1, 8))


def _informative_row(one: Block) -> Row:
    shares = (number(one.get(part), 2) for part in ("hellinger", "overlap"))
    moved = (number(one.get(f"{part}_sensitivity"), 3) for part in ("prior", "likelihood"))
    worth = significant(one["studies"], 2) if known(one.get("studies")) else NOTHING
    tail = probability(one.get("tail"))
    name = LETTERS.get(one["parameter"], str(one["parameter"]))
    return Row((name, short_prior(one["prior"]), *shares, *moved, worth, tail, str(one["verdict"])))


def bayes_factor_table(facts: Facts) -> Table | None:
    """Return the Bayes factors; None if there are none."""
    rows = [_factor_row(one) for one in robustness(facts).get("bayes_factors") or []]
    if not rows:
        return None
    columns = [
        "Hypothesis",
        "Against",
        "Bayes factor for it",
        "Least",
        "Probability at even odds",
    ]
    caption = (
        "Bayes factors in favour of each hypothesis under the priors in force (below 1 the data speak "
        "against it), the least that any prior of the tested parameter allows, and the probability of the "
        "hypothesis if it had 50 % before the data. They depend on those priors: a very wide one favours a "
        "value of 0 whatever the data."
    )
    return table(caption, columns, rows, words=(1,))


def _factor_row(one: Block) -> Row:
    minimum = factor(one["log_minimum"]) if known(one.get("log_minimum")) else NOTHING
    shown = factor(one["log_bf01"])
    even = probability(1 / (1 + exp(min(-one["log_bf01"], 700.0))))
    return Row((_letters(one["hypothesis"]), one["against"], shown, minimum, even))


def predictive_table(facts: Facts) -> Table | None:
    """Return the posterior predictive checks; None if there were none."""
    found = robustness(facts).get("predictive_checks") or []
    if not found:
        return None
    columns = ["Statistic", "Observed", "Median of replications", "95 % of them", "Probability of more"]
    caption = (
        "Posterior predictive checks: statistics of the data beside those of data drawn from the model, and "
        "the probability of a larger value. Near 0 % or 100 % the model does not make data like these."
    )
    return table(caption, columns, [_predictive_row(one) for one in found])


def _predictive_row(one: Block) -> Row:
    places = decimals_for((one["upper"] - one["lower"]) / 4)
    observed, median, lower, upper = (
        number(one[name], places) for name in ("observed", "median", "lower", "upper")
    )
    shown = probability(one["p"], PREDICTIVE_DRAWS)
    return Row((sentence_case(one["statistic"]), observed, median, bracketed(lower, upper), shown))


def _letters(text: str) -> str:
    """Return a statement with the letters of the parameters."""
    return " ".join(LETTERS.get(word, word) for word in text.replace("theta_new", "θ_new").split(" "))


def factor(log_value: object) -> str:
    """Return a Bayes factor from its logarithm: three digits, or 1 over a number, or a power of ten.

    Examples
    --------
    >>> factor(0.0), factor(-3.0), factor(20.0)
    ('1', '1/20.1', '4.9 × 10⁸')
    """
    if not known(log_value):
        return NOTHING
    size = abs(float(log_value))  # type: ignore[arg-type]
    if size > 700 or exp(size) > LARGEST:
        power = int(size / 2.302585092994046)
        text = f"{exp(size - power * 2.302585092994046):.1f} × 10{str(power).translate(RAISED)}"
    else:
        text = f"{exp(size):.3g}"
    if float(log_value) >= 0 or text == "1":  # type: ignore[arg-type]
        return text
    return f"1/{text}" if "×" not in text else f"1/({text})"


def average_text(facts: Facts) -> str:
    """Return the sentence on models with and without effect and heterogeneity; nothing without them."""
    found = robustness(facts).get("model_average") or {}
    if not found:
        return ""
    effect, mixed = found["effect"], found["heterogeneity"]
    return (
        "Averaged over four models, with and without an effect and with and without heterogeneity, each as "
        f"probable before the data: an effect has probability {probability(effect['posterior'])} (inclusion "
        f"Bayes factor {factor(effect['log_bf10'])}), heterogeneity {probability(mixed['posterior'])} "
        f"({factor(mixed['log_bf10'])}). Both depend on how wide the priors of μ and τ are."
    )


def reasons_text(facts: Facts) -> str:
    """Return why parts of the sensitivity are not there; nothing if all are."""
    found = dict(robustness(facts).get("reasons") or {})
    if "all" in found:
        return sentence_case(f"{found['all']}.")
    return " ".join(sentence_case(f"{text.rstrip('.')}.") for text in dict.fromkeys(found.values()))
