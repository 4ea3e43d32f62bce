"""Tables of other priors, of tipping points, of small-study effects and of models side by side."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING, Any

from bayesmeta.report.facts import sentence_case, short_prior
from bayesmeta.report.numbers import (
    NOTHING,
    SPACE,
    bracketed,
    decimals_for,
    known,
    level,
    number,
    p_value,
    probability,
    ratio,
    significant,
    spread_of,
)
from bayesmeta.report.robustness import factor, robustness
from bayesmeta.report.tables import Row, Table, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]

ATLAS_ROWS = {
    "mu_mean": "Mean effect, posterior mean",
    "mu_lower": "its lower bound",
    "mu_upper": "its upper bound",
    "tau_median": "τ, posterior median",
    "theta_new_lower": "Effect in a new study, lower bound",
    "theta_new_upper": "its upper bound",
    "p_benefit": "P(benefit)",
    "p_important": "P(important)",
}


def atlas_table(facts: Facts) -> Table | None:
    """Return the extremes over the prior atlas; None where there is no atlas."""
    atlas = robustness(facts).get("atlas") or {}
    ranges = atlas.get("ranges") or {}
    if not ranges:
        return None
    shown = {name: text for name, text in ATLAS_ROWS.items() if name in ranges}
    rows = [_atlas_row(facts, ranges, name, text) for name, text in shown.items()]
    columns = ["Quantity", "Lowest", "under τ ~", "and μ ~", "Highest", "under τ ~", "and μ ~"]
    count = f"{atlas['combinations']:,}".replace(",", SPACE)
    caption = (
        f"The prior atlas: lowest and highest value of each quantity over {count} combinations of "
        f"{len(atlas['priors_of_tau'])} priors of τ with {len(atlas['priors_of_mu'])} of μ, and the priors "
        f"that give it; {facts.scale}, bounds of {facts.credible}s."
    )
    return table(caption, columns, rows, words=(2, 3, 5, 6))


def _atlas_row(facts: Facts, ranges: Block, name: str, text: str) -> Row:
    one = ranges[name]
    ends = [
        (
            _atlas_value(facts, ranges, name, one[end]),
            short_prior(one[f"{end}_tau"]),
            short_prior(one[f"{end}_mu"]),
        )
        for end in ("lowest", "highest")
    ]
    return Row((text, *ends[0], *ends[1]))


def _atlas_value(facts: Facts, ranges: Block, name: str, value: float) -> str:
    if name.startswith("p_"):
        return probability(value)
    if name == "tau_median":
        return number(value, decimals_for(spread_of(facts.posterior["tau"])))
    if facts.is_ratio:
        return ratio(exp(value))
    return number(value, decimals_for(ranges["mu_sd"]["lowest"] if "mu_sd" in ranges else None))


def atlas_text(facts: Facts) -> str:
    """Return what the atlas says in one sentence; nothing without it."""
    ranges = (robustness(facts).get("atlas") or {}).get("ranges") or {}
    if "p_benefit" not in ranges:
        return ""
    text = "Over all these priors, from very narrow to very wide, the probability of a benefit is "
    text += _between(ranges["p_benefit"])
    if "p_important" in ranges:
        beyond = _between(ranges["p_important"])
        text += f"; that of an effect beyond the minimal important difference is {beyond}"
    return f"{text}."


def _between(ends: Block) -> str:
    low, high = (probability(ends[end]) for end in ("lowest", "highest"))
    return low if low == high else f"between {low} and {high}"


def tipping_table(facts: Facts) -> Table | None:
    """Return what would have to change for the decision to change; None where it was not asked for."""
    found = robustness(facts).get("tipping_points") or {}
    if not found:
        return None
    columns = ["What changes", "Now", "Tipping point", "Change", "in standard errors"]
    caption = (
        f"Tipping points: where P({_letters(found['statement'])}), now {probability(found['probability'])}, "
        f"would cross {level(found['decision'])}, everything else staying as it is; on the analysis scale "
        f"({facts.analysis_scale})."
    )
    return table(caption, columns, [_tipping_row(one) for one in found["points"]])


def tipping_text(facts: Facts) -> str:
    """Return in words what it would take to change the decision; nothing where it was not asked for."""
    found = robustness(facts).get("tipping_points") or {}
    if not found:
        return ""
    line = level(found["decision"])
    reached = [one for one in found["points"] if known(one.get("tipping"))]
    studies = [one for one in reached if known(one.get("in_sei"))]
    parts = []
    if studies:
        nearest = min(studies, key=lambda one: abs(one["in_sei"]))
        parts.append(
            f"Of single studies, the {nearest['what']} would have to change least: by "
            f"{number(abs(nearest['in_sei']), 1)} of its standard errors"
        )
    parts += [
        f"if every study's effect were {_misplaced(facts, one['tipping'])}, the probability would be {line}"
        for one in reached
        if one["what"].startswith("bias")
    ]
    if not parts:
        return "No change within reach would make the probability cross that line."
    return f"{sentence_case('; '.join(parts))}."


def _misplaced(facts: Facts, bias: float) -> str:
    """Return in words which way effects are off from which a bias has to be subtracted, and how far."""
    scale = " on the log scale" if facts.is_ratio else ""
    return f"too {'high' if bias > 0 else 'low'} by {significant(abs(bias), 2)}{scale}"


def _letters(text: str) -> str:
    return text.replace("theta_new", "θ new").replace("mu", "μ")


def _tipping_row(one: Block) -> Row:
    now = "none" if not known(one.get("present")) else significant(one["present"], 3)
    if not known(one.get("tipping")):
        return Row((sentence_case(one["what"]), now, "none within reach", NOTHING, NOTHING))
    change = significant(one["change"], 2) if known(one.get("change")) else NOTHING
    errors = number(one["in_sei"], 1) if known(one.get("in_sei")) else NOTHING
    return Row((sentence_case(one["what"]), now, significant(one["tipping"], 3), change, errors))


def small_study_table(facts: Facts) -> Table | None:
    """Return the methods for small-study effects; None where they were not asked for."""
    found = robustness(facts).get("small_study") or {}
    rows = [_small_row(one) for one in (found.get("methods") or {}).values()]
    if not rows:
        return None
    interval = level(found["level"])
    columns = ["Method", f"Effect it arrives at [{interval}]", "p of its test", "What it finds"]
    caption = (
        f"Small-study effects by every method that these studies allow; effects are {facts.analysis_scale}. "
        "Each adjusted effect rests on its own account of what was not seen, and p is that of a small-study "
        "effect, never of the effect. Fail-safe N supposes that the studies not seen have no effect on "
        "average; it is no test of bias."
    )
    return table(caption, columns, rows, words=(3,))


def _small_row(one: Block) -> Row:
    spread = {name: one.get(name) for name in ("lower", "upper")}
    if known(one.get("estimate")) and known(spread["lower"]):
        places = decimals_for((spread["upper"] - spread["lower"]) / 4)  # type: ignore[operator]
        centre, lower, upper = (number(one[name], places) for name in ("estimate", "lower", "upper"))
        effect = f"{centre} {bracketed(lower, upper)}"
    else:
        effect = NOTHING
    p = p_value(one["p"]) if known(one.get("p")) else NOTHING
    return Row((one["method"], effect, p, one["finding"]))


def comparison_of_models(facts: Facts) -> Table | None:
    """Return main model and regressions side by side; None where there is one model alone."""
    found = facts.document.get("model_comparison") or {}
    if not found:
        return None
    columns = [
        "Model",
        "Moderators",
        "Log evidence",
        "Probability",
        "Bayes factor",
        "elpd",
        "Difference",
    ]
    caption = (
        "The models side by side: log evidence, posterior probability where all were equally probable "
        "before, Bayes factor against the best; and the exact leave-one-out log predictive density (elpd) "
        "with the difference from the best and its standard error, which few studies make too small. "
        "Evidence depends on the priors of the coefficients."
    )
    rows = [_model_row(name, one) for name, one in found.items()]
    return table(caption, columns, rows, words=(1,))


def _model_row(name: str, one: Block) -> Row:
    difference, se = one.get("elpd_difference"), one.get("se_difference")
    apart = NOTHING if not known(difference) else f"{number(difference, 1)} ± {number(se, 1)}"
    against = one.get("bayes_factor")
    bayes = factor(_log(against)) if known(against) else NOTHING
    mods = "none" if str(one["mods"]).strip() == "1" else str(one["mods"])
    evidence, elpd = (number(one.get(part), 2) for part in ("log_evidence", "elpd_loo"))
    return Row((name, mods, evidence, probability(one.get("posterior")), bayes, elpd, apart))


def _log(value: object) -> float:
    return log(max(float(value), 1e-300))  # type: ignore[arg-type]


def prediction_text(facts: Facts) -> str:
    """Return which studies the others predict worst, by exact leave-one-out; nothing if that is not known."""
    found = facts.document.get("loo") or {}
    if not found or not known(found.get("elpd")):
        return ""
    worst = min(found["studies"], key=lambda one: one["elpd"] if known(one.get("elpd")) else 1e300)
    return (
        f"Exact leave-one-out prediction: elpd {number(found['elpd'], 1)} (SE {number(found['se'], 1)}), "
        f"{number(found['p'], 1)} effective parameters. The study that the others predict worst is "
        f"{worst['slab']}."
    )
