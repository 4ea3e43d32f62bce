"""``bayesmeta check``: whether an analysis is valid with its data, and what would run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.analysis import load_analysis
from bayesmeta.cli.layout import heading, line, table
from bayesmeta.cli.terminal import Terminal, escaped
from bayesmeta.cli.view import priors
from bayesmeta.workflow.document import named_priors
from bayesmeta.workflow.prepare import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from bayesmeta.workflow.prepare import Plan


def check_command(
    terminal: Terminal, source: str, *, engine: str | None, allow_outside: bool, as_json: bool
) -> None:
    """Print what an analysis would run."""
    plan = prepare(load_analysis(source, allow_outside=allow_outside), engine=engine)
    content = described(plan)
    if as_json:
        from bayesmeta.writers import json_text

        terminal.data(escaped(json_text(content)))
    else:
        terminal.show(*_view(content))
    for one in content["warnings"]:
        terminal.warning(one["id"], one["message"])


EXAMINED = {
    "atlas": "the prior atlas",
    "tipping_points": "tipping points",
    "studies": "single studies and subsets",
    "small_study": "small-study effects",
}
"""What is examined beyond the fits, by its entry."""


def described(plan: Plan) -> dict[str, Any]:
    """Return what would run, as mappings and lists.

    Parameters
    ----------
    plan : Plan
        From `bayesmeta.workflow.prepare.prepare`.
    """
    analysis, studies = plan.analysis, plan.studies
    options = analysis.sensitivity
    return {
        "title": analysis.title,
        "measure": studies.measure,
        "effect": studies.effect_label,
        "units": studies.units,
        "k": studies.k,
        "excluded": [{"slab": slab, "reason": reason} for slab, reason in studies.excluded],
        "warnings": [{"id": name, "message": text} for name, text in studies.notes],
        "fits": [
            {
                "name": one.name,
                "mods": one.model.mods,
                "k": one.problem.k,
                "p": one.problem.p,
                "engine": one.engine,
                "priors": named_priors(one.problem),
            }
            for one in plan.fits
        ],
        "without_answer": [
            {"name": f"subgroups.{division.by}.{name}", "k": one.k, "reason": one.reason}
            for division in plan.subgroups
            for name, one in division.unanswered.items()
        ],
        "leave_one_out": options.leave_one_out,
        "prior_sensitivity": {"tau": list(options.tau_priors), "mu": list(options.mu_priors)},
        "atlas": options.atlas,
        "tipping_points": options.tipping_points,
        "studies": options.studies,
        "small_study": options.small_study,
        "moderators": list(analysis.moderators.terms),
        "also": list(plan.also),
        "expected": [
            {"quantity": one.quantity, "value": one.value, "tolerance": one.tolerance}
            for one in analysis.expected
        ],
    }


def _view(content: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield heading(f"{content['title']}: valid")
    units = f" ({content['units']})" if content["units"] else ""
    yield line(f"{content['effect']}{units}, {content['k']} studies")
    for one in content["excluded"]:
        yield line(f"Left out: {one['slab']}, {one['reason']}")
    yield heading("Would run")
    yield table(["fit", "k", "p", "engine"], [_row(one) for one in content["fits"]])
    for one in content["without_answer"]:
        yield line(f"{one['name']}, k = {one['k']}: {one['reason']}")
    yield from _sensitivity(content)
    yield heading("Priors in force")
    told: dict[str, str] = {}
    for one in content["fits"]:
        text = priors(one["priors"])
        if text not in told and not one["name"].startswith("subgroups."):
            yield line(f"{one['name']}: {text}")
        told.setdefault(text, one["name"])
    if content["expected"]:
        yield heading(f"Known answers to be checked: {len(content['expected'])}")
        rows = [
            (one["quantity"], f"{one['value']:.10g} ± {one['tolerance']:.2g}") for one in content["expected"]
        ]
        yield table(["quantity", "value"], rows)


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (one["name"], str(one["k"]), str(one["p"]), one["engine"])


def _sensitivity(content: Mapping[str, Any]) -> Iterator[RenderableType]:
    if content["leave_one_out"]:
        yield line(f"leaving out each of {content['k']} studies")
    for name, listed in content["prior_sensitivity"].items():
        if listed:
            yield line(f"other priors of {name}: {', '.join(listed)}")
    wanted = [text for name, text in EXAMINED.items() if content[name]]
    if wanted:
        yield line(f"where the exact engine can: {', '.join(wanted)}")
    if content["moderators"]:
        yield line(f"every subset of the moderators {', '.join(content['moderators'])}")
    if content["also"]:
        yield line(f"the same counts as {', '.join(content['also'])}")
