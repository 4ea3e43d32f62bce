"""Tables of sensitivity, convergence, agreement, known answers and priors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.report.facts import ENGINES, METHODS, short_prior
from bayesmeta.report.numbers import (
    NOTHING,
    SPACE,
    decimals_for,
    known,
    level,
    number,
    quantity,
    significant,
    spread_of,
    written,
)
from bayesmeta.report.predictive import implied
from bayesmeta.report.tables import Row, Table, benefit_text, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]

WORST = 6
"""Comparisons of the engines that are shown."""


def left_out_table(facts: Facts) -> Table | None:
    """Return the answer without each study, beginning with all; None if that was not asked for."""
    left_out = facts.document["leave_one_out"]
    if not left_out:
        return None
    names = ["mu"] if facts.pooled else list(facts.document["coefficients"])
    heads = ["Pooled effect"] if names == ["mu"] else names
    columns = ["Without", *(f"{name} [{level(facts.prob)}{SPACE}CrI]" for name in heads), "τ"]
    columns += [f"Fixed effect [{level(facts.classical_level)}{SPACE}CI]"] if facts.pooled else []
    everything = {"posterior": facts.posterior, "classical": facts.classical}
    rows = [_left_out_row(facts, "none (all studies)", everything, names, "main")]
    rows += [_left_out_row(facts, f"{one['omitted']}", one, names, "") for one in left_out]
    caption = (
        f"Leaving out each study in turn, by {_engines(left_out)}: posterior median with {facts.credible}"
        f"{f'; fixed effect with {facts.confidence}' if facts.pooled else ''}."
    )
    return table(caption, columns, rows)


def _engines(rows: list[Block]) -> str:
    return " and ".join(dict.fromkeys(ENGINES[one["posterior"]["engine"]] for one in rows))


def _left_out_row(facts: Facts, label: str, one: Block, names: list[str], style: str) -> Row:
    post, fixed = one["posterior"], one["classical"].get("fixed")
    cells = [_centre(facts, post, name) for name in names]
    cells += [NOTHING if facts.is_common else quantity(post["tau"]).text]
    if facts.pooled:
        cells += [NOTHING if not fixed or "estimate" not in fixed else facts.estimate_shown(fixed).text]
    return Row((label, *cells), style)


def _centre(facts: Facts, posterior: Block, name: str) -> str:
    """Return an effect or a coefficient; a level that was left out has none."""
    if name not in posterior:
        return NOTHING
    return facts.effect_shown(posterior[name]).text if name == "mu" else quantity(posterior[name]).text


def prior_table(facts: Facts) -> Table | None:
    """Return the answer under other priors, beginning with those in force; None if none were asked for."""
    others = facts.document["prior_sensitivity"]
    if not others:
        return None
    names = ["mu"] if facts.pooled else list(facts.document["coefficients"])
    heads = ["Pooled effect"] if facts.pooled else names
    columns = [
        "Prior of τ",
        "Prior of μ",
        *(f"{head} [{level(facts.prob)}{SPACE}CrI]" for head in heads),
        "τ",
    ]
    columns += ["New study", "Probability"] if facts.pooled else []
    priors = facts.document["priors"]
    scale = priors.get("tau") or priors.get("tau2") or {"prior": NOTHING}
    own = {"tau": scale["prior"], "mu": priors["mu"]["prior"], "posterior": facts.posterior}
    rows = [_prior_row(facts, own, names, "main"), *(_prior_row(facts, one, names, "") for one in others)]
    caption = (
        f"Other priors, by {_engines(others)}; the first row has the priors in force. Posterior median with "
        f"{facts.credible}."
    )
    return table(caption, columns, rows, words=(1,))


def _prior_row(facts: Facts, one: Block, names: list[str], style: str) -> Row:
    post = one["posterior"]
    cells = [_centre(facts, post, name) for name in names]
    cells += [quantity(post["tau"]).text]
    if facts.pooled:
        cells += [facts.effect_shown(post["theta_new"]).interval, benefit_text(facts, post)]
    return Row((one["tau"], one["mu"], *cells), style)


def diagnostics_table(facts: Facts) -> Table | None:
    """Return the convergence of every sampled fit; None if nothing was sampled."""
    fits = [(name, one) for name, one in named_fits(facts.document) if "rhat_max" in one]
    if not fits:
        return None
    columns = ["Fit", "Largest R̂", "Smallest bulk ESS", "Smallest tail ESS", "Divergences", "E-BFMI"]
    columns += ["Draws", "Refits", "Verdict"]
    caption = (
        "Convergence of every sampled fit, over all reported quantities: R̂ must be at most 1.01, effective "
        "sample sizes (ESS) at least 400, divergences 0, E-BFMI at least 0.3."
    )
    return table(caption, columns, [_diagnostics_row(name, one) for name, one in fits], words=(8,))


def named_fits(document: Block) -> Iterator[tuple[str, Block]]:
    """Yield the diagnostics of the main fit, the regressions and the subgroups, with names."""
    yield "main model", document["diagnostics"]
    for name, one in document["regressions"].items():
        yield f"regression {name}", one.get("diagnostics") or {}
    for by, division in document["subgroups"].items():
        for name, one in division["groups"].items():
            yield f"{by}: {name}", one.get("diagnostics") or {}


def _diagnostics_row(name: str, one: Block) -> Row:
    draws = f"{one['chains']:.0f}{SPACE}×{SPACE}{one['draws']:.0f}" if "chains" in one else NOTHING
    bad = one["status"] == "unreliable"
    sizes = (number(one.get(part), 0) for part in ("ess_bulk_min", "ess_tail_min"))
    cells = (number(one["rhat_max"], 3), *sizes, f"{one['divergences']:.0f}", number(one.get("bfmi_min"), 2))
    verdict = "unreliable" if bad else "converged"
    return Row((name, *cells, draws, f"{one.get('refits', 0):.0f}", verdict), "bad" if bad else "")


def convergence_table(facts: Facts) -> Table | None:
    """Return the convergence of every quantity of the main fit; None where it was integrated."""
    if not facts.is_sampled:
        return None
    blocks = {name: one for name, one in facts.posterior.items() if isinstance(one, dict) and "error" in one}
    blocks |= {f"θ, {one['slab']}": one["theta"] for one in facts.document["studies"]}
    rows = [Row((LETTERS.get(name, name), *_convergence_cells(one))) for name, one in blocks.items()]
    columns = ["Quantity", "R̂", "Bulk ESS", "Tail ESS", "MCSE of the mean", "of the SD", "of the bounds"]
    caption = (
        "Convergence of every quantity of the main model, with Monte Carlo standard errors (MCSE) of mean, "
        f"standard deviation and the bounds of the {level(facts.prob)} interval."
    )
    return table(caption, columns, rows)


LETTERS = {"mu": "μ", "tau": "τ", "theta_new": "θ, new study", "tau2": "τ²", "I2": "I²", "H2": "H²"}


def _convergence_cells(one: Block) -> tuple[str, ...]:
    error = one["error"]
    sizes = (number(error.get(part), 0) for part in ("ess_bulk", "ess_tail"))
    mcse = (significant(error.get(f"mcse_{part}"), 2) for part in ("mean", "sd"))
    bounds = " / ".join(significant(error.get(f"mcse_{part}"), 2) for part in ("lower", "upper"))
    return number(error.get("rhat"), 3), *sizes, *mcse, bounds


def agreement_table(facts: Facts) -> Table | None:
    """Return the comparison of the engines by fit; None if there was none."""
    found = facts.document["agreement"]
    if not found:
        return None
    columns = ["Fit", "Numbers compared", "Largest difference", "Chance explains", "Would notice", "Verdict"]
    rows = [
        Row(
            (
                one["fit"],
                str(one["comparisons"]),
                f"{number(one['largest_z'], 1)} MCSE",
                f"{number(one['threshold'], 1)} MCSE",
                f"{number(one['detectable_bias_sd'], 2)} SD",
                "agree" if one["ok"] else "DISAGREE",
            ),
            "" if one["ok"] else "bad",
        )
        for one in found
    ]
    caption = (
        "NUTS against exact integration: the largest difference in Monte Carlo standard errors (MCSE), what "
        "chance explains with that many comparisons, and the bias of a mean that would have been noticed, in "
        "posterior standard deviations."
    )
    return table(caption, columns, rows, words=(5,))


def worst_table(facts: Facts) -> Table | None:
    """Return the largest differences between the engines; None if they were not compared."""
    pairs = [(one["fit"], row) for one in facts.document["agreement"] for row in one["rows"]]
    if not pairs:
        return None
    worst = sorted(pairs, key=lambda pair: -abs(pair[1]["z"]))[:WORST]
    columns = ["Quantity", "Fit", "Statistic", "NUTS", "Exact", "MCSE", "Difference"]
    rows = [_worst_row(name, row) for name, row in worst]
    caption = f"The {len(rows)} largest of {len(pairs)} differences, on the analysis scale."
    return table(caption, columns, rows, words=(1, 2))


def _worst_row(fit: str, row: Block) -> Row:
    places = decimals_for(row["mcse"])
    numbers = (number(row[name], places) for name in ("nuts", "exact", "mcse"))
    return Row((row["quantity"], fit, row["statistic"], *numbers, f"{number(row['z'], 1)} MCSE"))


def expected_table(facts: Facts) -> Table | None:
    """Return the known answers with verdicts; None if there were none."""
    found = facts.document["expected"]
    if not found:
        return None
    rows = [_expected_row(one) for one in found]
    columns = ["Quantity", "Known", "Tolerance", "Computed", "Verdict", "Source"]
    return table("Known answers, and what this run computed.", columns, rows, words=(4, 5))


def _expected_row(one: Block) -> Row:
    places = decimals_for(one["tolerance"])
    name = f"1 / {one['quantity']}" if one.get("invert") else one["quantity"]
    tolerance = f"± {written(one['tolerance'])}"
    verdict = "met" if one["ok"] else "NOT MET"
    cells = (written(one["value"]), tolerance, number(one["computed"], places), verdict, one["source"])
    return Row((name, *cells), "" if one["ok"] else "bad")


def priors_table(facts: Facts) -> Table:
    """Return the priors in force, which are defaults, and what they imply."""
    columns = ["Parameter", "Prior", "Chosen by", "Median", f"Central {level(facts.prob)}"]
    rows = [_prior_cells(name, text, default, facts.prob) for name, text, default in priors_in_force(facts)]
    caption = (
        f"Priors in force, on the analysis scale ({facts.analysis_scale}), and what they say by themselves."
    )
    return table(caption, columns, rows, words=(1, 2))


def priors_in_force(facts: Facts) -> list[tuple[str, str, bool]]:
    """Return parameter, prior and whether it is a default, for every prior."""
    found: list[tuple[str, str, bool]] = []
    for name, one in facts.document["priors"].items():
        if isinstance(one["prior"], dict):
            found += [(key, text, one["default"]) for key, text in one["prior"].items()]
        elif not (name in {"tau", "tau2"} and facts.is_common):
            found.append((NAMES.get(name, name), one["prior"], one["default"]))
    return found


NAMES = {
    "mu": "μ, mean effect",
    "tau": "τ, between-study SD",
    "tau2": "τ², between-study variance",
    "baseline": "log odds of the second group, each study",
}


def _prior_cells(name: str, text: str, default: bool, prob: float) -> Row:
    chosen = "default of bayesmeta" if default else "the authors"
    median, lower, upper = implied(text, prob)
    if not known(median):
        return Row((name, text, chosen, NOTHING, "improper, or depends on the data"))
    places = decimals_for((upper - lower) / 4)
    bounds = f"{number(lower, places)} to {number(upper, places)}"
    return Row((name, text, chosen, number(median, places), bounds))


def other_measures_table(facts: Facts) -> Table | None:
    """Return further measures of the same counts; None if there are none."""
    also = facts.document.get("also") or {}
    if not also:
        return None
    columns = ["Measure", "k", f"Bayesian [{level(facts.prob)}{SPACE}CrI]", "τ", "Priors"]
    names = list(dict.fromkeys(name for one in also.values() for name in one["classical"]))
    pooled = "MH" if "MH" in names else "fixed"
    kept = [name for name in (pooled, "REML_HK") if name in names]
    columns += [f"{METHODS[name]} [{level(facts.classical_level)}{SPACE}CI]" for name in kept]
    rows = [_measure_row(facts, one, kept) for one in also.values()]
    caption = (
        f"Further measures of the same data: posterior median with {facts.credible} under the stated priors, "
        f"and classical estimates with {facts.confidence}."
    )
    return table(caption, columns, rows, words=(4,))


def _measure_row(facts: Facts, one: Block, methods: list[str]) -> Row:
    post = one["posterior"]
    priors = ", ".join(f"{name} ~ {short_prior(prior['prior'])}" for name, prior in one["priors"].items())
    cells = [facts.with_own_scale(post["mu"]), quantity(post["tau"]).text, priors]
    for name in methods:
        found = one["classical"].get(name)
        cells.append(NOTHING if found is None else facts.with_own_scale(found))
    return Row((one["effect"], str(one["k"]), *cells))


def inputs_table(facts: Facts) -> Table | None:
    """Return name and hash of each input; None if they are not known."""
    from bayesmeta.report.facts import without_folders

    inputs = facts.get("inputs") or {}
    rows = [
        (str(role), without_folders(str(one.get("file", NOTHING))), str(one.get("sha256", NOTHING)))
        for role, one in inputs.items()
    ]
    return (
        table("Inputs and their hashes.", ["Input", "File", "SHA-256"], rows, words=(1, 2)) if rows else None
    )


def spread_over(blocks: list[Block], name: str) -> tuple[float, float] | None:
    """Return smallest and largest median of a quantity over posteriors; None if there is none."""
    values = [one[name]["median"] for one in blocks if name in one and spread_of(one[name]) is not None]
    return (min(values), max(values)) if values else None
