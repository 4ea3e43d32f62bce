"""Paragraphs to paste: methods and results, each sentence computed; and what limits the answer."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

from bayesmeta.report.added import added
from bayesmeta.report.checks import named_fits, priors_in_force, spread_over
from bayesmeta.report.facts import METHODS, sentence_case, short_prior, without_folders
from bayesmeta.report.headline import lead
from bayesmeta.report.numbers import decimals_for, known, level, number, quantity, ratio, spread_of
from bayesmeta.report.tables import TWINS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.report.facts import Facts
    from bayesmeta.report.references import Citations

type Block = Mapping[str, Any]

FEW_STUDIES = 5
FEW_FOR_FUNNEL = 10
NORMAL_95 = 1.96


def methods(facts: Facts, cite: Citations) -> str:
    """Return the paragraph on methods."""
    parts = (
        _model(facts, cite),
        _priors(facts, cite),
        technique(facts, cite),
        _agreement(facts),
        _classical(facts, cite),
        _further(facts),
        f"Reporting follows ROBUST, BARG and PRISMA 2020 {cite('robust', 'barg', 'prisma')}.",
    )
    return " ".join(part for part in parts if part)


def _model(facts: Facts, cite: Citations) -> str:
    kind = "common-effect" if facts.is_common else "random-effects"
    what = "meta-analysis" if facts.pooled else f"meta-regression on “{facts.document['mods']}”"
    likelihood = (
        f"with the {facts.document['likelihood']} likelihood of the counts"
        if facts.is_counts
        else "in which the study estimates are normal about their true effects with known standard errors"
    )
    spread = (
        "" if facts.is_common else ", and the true effects normal about their mean with standard deviation τ"
    )
    if facts.has_scale:
        spread += f" that depends on “{facts.document['scale']}” {cite('location_scale')}"
    studies = "1 study" if facts.k == 1 else f"{facts.k} studies"
    return (
        f"{studies[0].upper()}{studies[1:]} of {facts.group1} against {facts.group2} entered a Bayesian "
        f"{kind} {what} {cite('roever2020')} of the {facts.analysis_scale}, {likelihood}{spread}."
    )


def _priors(facts: Facts, cite: Citations) -> str:
    found = priors_in_force(facts)
    listed = "; ".join(f"{name.partition(',')[0]} ~ {short_prior(text)}" for name, text, _ in found)
    default = [name.partition(",")[0] for name, _, usual in found if usual]
    if not default:
        return f"The priors were {listed}, chosen by the authors [state why]."
    which = "all of them" if len(default) == len(found) else f"that of {', '.join(default)}"
    return f"The priors were {listed}, {which} the weakly informative default {cite('roever2021')}."


def technique(facts: Facts, cite: Citations) -> str:
    """Return how the posterior was computed."""
    versions = facts.get("versions") or {}
    software = f"bayesmeta {versions['bayesmeta']}" if "bayesmeta" in versions else "bayesmeta"
    if not facts.is_sampled:
        return (
            "The posterior was computed by numerical integration over "
            f"{'the scale parameters' if facts.has_scale else 'τ'} with {software}, refined until "
            "two sets "
            "of nodes agreed; there is no Monte Carlo error."
        )
    one = facts.document["diagnostics"]
    pymc = f" and PyMC {versions['pymc']}" if "pymc" in versions else " and PyMC"
    return (
        f"The posterior was sampled with the No-U-Turn sampler {cite('nuts')} in {software}{pymc} "
        f"{cite('pymc')}: "
        f"{one['chains']:.0f} chains with {one.get('tune', 0):.0f} tuning steps and {one['draws']:.0f} "
        "draws each, "
        f"seed {facts.get('seed')}. Convergence was judged for every reported quantity by R̂ and "
        "effective sample "
        f"size {cite('rhat')}: R̂ was at most {number(one['rhat_max'], 3)}, the smallest effective sample "
        "size "
        f"{number(min(one['ess_bulk_min'], one['ess_tail_min']), 0)}, with {one['divergences']:.0f} "
        "divergent "
        "transitions."
    )


def _agreement(facts: Facts) -> str:
    found = facts.document["agreement"]
    if not found:
        return ""
    count = sum(one["comparisons"] for one in found)
    bad = sum(not one["ok"] for one in found)
    verdict = (
        "every difference is explained by chance"
        if not bad
        else f"{bad} of {len(found)} fits differ by more than chance explains"
    )
    largest = max(one["largest_z"] for one in found)
    return (
        f"The sampler was checked against exact integration in {len(found)} fits ({count} numbers): "
        f"{verdict}, the "
        f"largest difference being {number(largest, 1)} Monte Carlo standard errors."
    )


def _classical(facts: Facts, cite: Citations) -> str:
    shown = METHODS if facts.pooled else TWINS
    names = [name for name in facts.classical if name in shown]
    if not names:
        return ""
    cited = [
        f"{METHODS[name]} {cite('location_scale' if name.endswith('_LS') else name)}"
        if name in {"DL", "PM", "REML", "REML_HK", "MH", "Peto", "ML_LS", "REML_LS"}
        else METHODS[name]
        for name in names
    ]
    text = f"Classical analyses stand beside it, with {facts.confidence}s: {'; '.join(cited)}."
    if "REML" in facts.classical and facts.pooled and facts.k > 1:
        text += (
            f" Intervals of τ are by the Q-profile method {cite('qprofile')}, I² follows Higgins and "
            "Thompson "
            f"{cite('I2')}, prediction intervals use the t distribution {cite('prediction')}."
        )
    return text


def _further(facts: Facts) -> str:
    done = []
    document = facts.document
    if document["regressions"]:
        done.append(f"meta-regressions ({', '.join(document['regressions'])})")
    if document["subgroups"]:
        done.append(f"subgroup analyses {_divided(document['subgroups'])}")
    if document["leave_one_out"]:
        done.append("leaving out each study in turn")
    if document["prior_sensitivity"]:
        count = len(document["prior_sensitivity"])
        done.append("one alternative set of priors" if count == 1 else f"{count} alternative sets of priors")
    return f"Further analyses were {'; '.join(done)}." if done else ""


def _divided(subgroups: Block) -> str:
    """Return by what the studies were divided, and whose τ the groups have."""
    shared = [by for by, division in subgroups.items() if division.get("tau") == "shared"]
    own = [by for by in subgroups if by not in shared]
    parts = ((own, "a separate τ in each group"), (shared, "one τ for all groups"))
    return " and ".join(f"by {', '.join(names)} with {what}" for names, what in parts if names)


def results(facts: Facts) -> str:
    """Return the paragraph on results."""
    parts = (lead(facts), f"All intervals are {facts.credible}s.", _i2(facts), added(facts), _left_out(facts))
    return " ".join(part for part in parts if part)


def _i2(facts: Facts) -> str:
    if "I2" not in facts.posterior or facts.is_common:
        return ""
    shown = quantity(facts.posterior["I2"], 0)
    return f"I² is {shown.centre} % {shown.interval}."


def _left_out(facts: Facts) -> str:
    rows = [one["posterior"] for one in facts.document["leave_one_out"]]
    if not rows or not facts.pooled:
        return ""
    span = spread_over(rows, "mu")
    if span is None:
        return ""
    extremes = [next(row["mu"] for row in rows if row["mu"]["median"] == value) for value in span]
    low, high = (facts.effect_shown(one).centre for one in extremes)
    between = f"at {low}" if low == high else f"between {low} and {high}"
    return f"Leaving out any one study keeps the median effect {between}."


def limitations(facts: Facts, figures: Mapping[str, Any]) -> list[str]:
    """Return what limits the answer, as sentences."""
    found = [*_few(facts), *_assumed(facts), *_explored(facts)]
    funnel = "funnel" in figures
    if facts.k < FEW_FOR_FUNNEL:
        found.append(f"With fewer than {FEW_FOR_FUNNEL} studies, small-study effects cannot be judged.")
    elif (facts.document.get("robustness") or {}).get("small_study"):
        found.append(
            "Small-study effects were examined beside the main answer, which does not model selective "
            "publication."
        )
    else:
        shown = "are shown by the funnel plot only, and" if funnel else "and"
        found.append(
            f"Small-study effects {shown} selective publication {'is' if funnel else 'are'} not modelled."
        )
    found.append(
        "The risk of bias of the studies and the certainty of the evidence are for the authors to judge."
    )
    found += [sentence_case(without_folders(one["message"]).rstrip(".")) + "." for one in _warnings(facts)]
    return list(dict.fromkeys(found))


def _warnings(facts: Facts) -> list[Block]:
    return [one for one in facts.document["warnings"] if one["id"] not in {"few-studies", "prior-only"}]


def _few(facts: Facts) -> list[str]:
    if facts.k >= FEW_STUDIES or facts.is_common:
        return []
    studies = "A single study says" if facts.k == 1 else f"{facts.k} studies say"
    return [f"{studies} little about the heterogeneity: τ and the prediction rest mostly on the prior of τ."]


def _assumed(facts: Facts) -> list[str]:
    found = []
    if not facts.is_counts:
        found.append("Standard errors of the studies are taken as known, though they were estimated.")
    if not facts.is_common:
        found.append("True effects are assumed to be normally distributed between studies.")
    else:
        found.append("All studies are assumed to have the same true effect, which the data can contradict.")
    return found


def _explored(facts: Facts) -> list[str]:
    count = len(facts.document["regressions"]) + len(facts.document["subgroups"])
    if not count:
        return []
    analyses = "analysis" if count == 1 else "analyses"
    return [
        f"{count} {analyses} of moderators compare studies, not patients, and were not randomised; they "
        "explore and "
        "do not confirm."
    ]


def accuracy(facts: Facts) -> str:
    """Return the numerical error of an exact answer."""
    error = (facts.posterior.get("mu") or facts.posterior.get("tau") or {}).get("error") or {}
    spread = spread_of(facts.posterior.get("mu") or facts.posterior.get("tau") or {})
    if not known(error.get("abs")) or spread is None:
        return ""
    relative = error["abs"] / spread
    size = "less than 10⁻¹⁵" if relative < 1e-15 else number(relative, 99)
    return f"Two sets of nodes differ by {size} posterior standard deviations."


def data_words(facts: Facts) -> str:
    """Return how effects and variances came about."""
    data = facts.get("data") or {}
    if "yi" in (data.get("columns") or {}) or not data:
        text = "Effects and standard errors were given."
    else:
        used = ", ".join(f"{name} = {column}" for name, column in data["columns"].items())
        text = (
            f"Effects and their variances ({facts.measure}) were computed from the columns of the "
            f"table: {used}."
        )
    if facts.is_ratio and not facts.is_counts and "ai" in (data.get("columns") or {}):
        text += f" {_zero_cells(data)}"
    if facts.is_counts:
        text += (
            " The model is of the counts themselves, so that cells of 0 need no correction; corrected "
            "effects serve "
            "the figures and the classical answers only."
        )
    return text


def _zero_cells(data: Block) -> str:
    rule = {
        "only0": "to the studies with a cell of 0",
        "if0all": "to all studies if one has a cell of 0",
        "all": "to all studies",
        "none": "to none",
    }[data.get("to", "only0")]
    dropped = "left out" if data.get("drop00", True) else "kept"
    return f"{number(data.get('add', 0.5), 1)} was added {rule}; studies without any event were {dropped}."


def heterogeneity_words(facts: Facts) -> str:
    """Return tau on a scale that can be interpreted: where true effects lie about their mean."""
    tau = facts.posterior.get("tau") or {}
    if facts.is_common or facts.has_scale or not known(tau.get("median")):
        return ""
    half = NORMAL_95 * float(tau["median"])
    if facts.is_ratio:
        return (
            "At the median of τ, 95 % of the true ratios lie within a factor of "
            f"{ratio(exp(min(half, 700)))} of "
            "their mean, either way."
        )
    places = decimals_for(spread_of(tau))
    return (
        "At the median of τ, 95 % of the true effects lie within "
        f"{facts.with_units(number(half, places))} of their mean."
    )


def justification(facts: Facts, cite: Citations) -> str:
    """Return why the default priors are what they are; nothing if none is a default."""
    if not any(default for _, _, default in priors_in_force(facts)):
        return ""
    return (
        "Default priors are weakly informative: their scale is that of the measure, or the standard "
        "deviation of the "
        "information in one unit, computed from sample sizes and variances and never from the effects "
        f"{cite('roever2021')}."
    )


def main_intervals(facts: Facts) -> str:
    """Return kind and level of every interval of the report in one sentence."""
    return (
        f"Posterior intervals are {level(facts.prob)} "
        f"{'equal-tailed' if facts.kind == 'eti' else 'shortest'} "
        f"credible intervals (CrI), classical ones {level(facts.classical_level)} confidence intervals (CI)."
    )


def unreliable_fits(facts: Facts) -> list[str]:
    """Return the names of the fits whose diagnostics failed."""
    return [name for name, one in named_fits(facts.document) if one.get("status") == "unreliable"]


def evidence(facts: Facts) -> str:
    """Return the log evidence with its meaning; nothing if it is not known."""
    value = facts.posterior.get("log_evidence")
    if not known(value):
        return ""
    return f"The log evidence of the main model is {number(value, 3)} under the priors in force."
