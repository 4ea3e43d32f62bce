"""``results.json``: every number of an outcome, under names that stay."""

from __future__ import annotations

from math import exp, isfinite, nan
from typing import TYPE_CHECKING, Any

from bayesmeta.results.explained import explained
from bayesmeta.results.marginal import summarise
from bayesmeta.results.posterior import all_names
from bayesmeta.results.tables import EXPONENTIATED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.analysis import Analysis
    from bayesmeta.analysis_options import Expected
    from bayesmeta.classical import Classical
    from bayesmeta.results.fit import Fit
    from bayesmeta.workflow.outcome import Checked, Outcome, Subgroups

type Block = dict[str, Any]

SCHEMA_VERSION = 1
MEAN_AND_NEW = ("mu", "theta_new")


def document(outcome: Outcome) -> Block:
    """Return the content of ``results.json``."""
    writer = _Writer(outcome.analysis)
    fit, studies = outcome.main.fit, outcome.studies
    content = {
        "schema_version": SCHEMA_VERSION,
        "title": outcome.analysis.title,
        "description": outcome.analysis.description,
        "measure": studies.measure,
        "effect": studies.effect_label,
        "units": studies.units,
        "better": studies.better,
        "minimal_important_difference": outcome.analysis.data.minimal_important_difference,
        "k": fit.problem.k,
        "p": fit.problem.p,
        "mods": fit.model.mods,
        "likelihood": fit.model.likelihood,
        "interval": {"kind": writer.kind, "prob": writer.prob},
        "group1": studies.group1,
        "group2": studies.group2,
        "seed": outcome.seed,
        "priors": priors_block(fit),
        "warnings": [{"id": name, "message": text} for name, text in fit.warnings],
        "excluded": [{"slab": slab, "reason": reason} for slab, reason in studies.excluded],
        "studies": writer.studies(fit),
        "classical": writer.classical(fit),
        "posterior": writer.posterior(outcome.main),
        "diagnostics": diagnostics_block(fit),
        "regressions": {name: writer.regression(one) for name, one in outcome.regressions.items()},
        "subgroups": {one.by: writer.subgroups(one) for one in outcome.subgroups},
        "leave_one_out": [writer.left_out(one) for one in outcome.left_out],
        "prior_sensitivity": [writer.other_prior(one) for one in outcome.priors],
        "also": {name: writer.other_measure(one) for name, one in outcome.also.items()},
        "agreement": [{"fit": name, **one.to_dict()} for name, one in outcome.agreements.items()],
    }
    content["expected"] = [verdict(one, content) for one in outcome.analysis.expected]
    return content


def priors_block(fit: Fit) -> Block:
    """Return the priors in force and which of them are defaults."""
    priors = fit.priors
    block: Block = {
        "mu": {"prior": str(priors.mu), "default": "mu" in priors.defaults},
        priors.tau_on: {"prior": str(priors.tau), "default": "tau" in priors.defaults},
    }
    if not fit.problem.is_pooled:
        named = zip(fit.design.names, priors.beta, fit.design.is_mean, strict=True)
        slopes = {name: str(prior) for name, prior, mean in named if not mean}
        block["beta"] = {"prior": slopes, "default": "beta" in priors.defaults}
    if fit.model.likelihood != "normal":
        block["baseline"] = {"prior": str(fit.model.baseline), "default": False}
    return block


def diagnostics_block(fit: Fit) -> Block:
    """Return convergence, or that there is none to judge."""
    return {"status": "exact"} if fit.diagnostics is None else fit.diagnostics.to_dict()


class _Writer:
    """Blocks of the document, with one kind and level of interval."""

    def __init__(self, analysis: Analysis) -> None:
        self.prob, self.kind = analysis.interval.prob, analysis.interval.kind
        self.statements = analysis.report.probabilities

    def quantity(self, fit: Fit, name: str) -> Block:
        block = fit.quantity(name, prob=self.prob, kind=self.kind)
        exponentiate = fit.studies.is_ratio and (name in MEAN_AND_NEW or name.startswith("theta["))
        return block | ({"exp": _exponentiated(block)} if exponentiate else {})

    def classical(self, fit: Fit) -> Block:
        return {name: result.to_dict(fit.studies.is_ratio) for name, result in fit.classical.items()}

    def posterior(self, checked: Checked) -> Block:
        fit = checked.fit
        names = [*fit.names, *(name for name in ("tau2", "I2", "H2") if name in all_names(fit.problem))]
        return {
            "engine": fit.engine,
            **{name: self.quantity(fit, name) for name in names},
            "probabilities": {text: fit.probability(text) for text in self._statements(fit)},
            "log_evidence": checked.best.log_evidence,
        }

    def _statements(self, fit: Fit) -> list[str]:
        better = {"higher": "mu > 0", "lower": "mu < 0"}.get(fit.studies.better, "mu > 0")
        return list(dict.fromkeys([*self.statements, better])) if fit.problem.is_pooled else []

    def studies(self, fit: Fit) -> list[Block]:
        keep = ("slab", "yi", "sei", "weight_fixed", "weight_random", "pooling")
        rows = fit.effect_rows(prob=self.prob, kind=self.kind)
        return [
            {**{name: row[name] for name in keep}, "theta": self.quantity(fit, f"theta[{row['slab']}]")}
            for row in rows
        ]

    def regression(self, checked: Checked) -> Block:
        fit = checked.fit
        suite = {name: fit.classical[name] for name in ("fixed", "REML", "REML_HK") if name in fit.classical}
        names = fit.problem.coefficients
        return {
            "mods": fit.model.mods,
            "center": fit.model.center,
            "k": fit.problem.k,
            "p": fit.problem.p,
            "engine": fit.engine,
            "priors": priors_block(fit),
            "coefficients": {name: self.quantity(fit, name) for name in names},
            "tau": self.quantity(fit, "tau"),
            "R2": self._explained(fit),
            "log_evidence": checked.best.log_evidence,
            "classical": {name: _regression(result) for name, result in suite.items()},
            "warnings": [{"id": name, "message": text} for name, text in fit.warnings],
            "diagnostics": diagnostics_block(fit),
        }

    def _explained(self, fit: Fit) -> Block:
        summary = summarise(explained(fit.posterior), prob=self.prob, kind=self.kind)
        return {name: float(values[0]) for name, values in summary._asdict().items()}

    def subgroups(self, division: Subgroups) -> Block:
        return {
            "tau": "separate",
            "groups": {name: self.group(one) for name, one in division.groups.items()},
            "difference": {name: one.to_dict() for name, one in division.differences.items()},
        }

    def group(self, checked: Checked) -> Block:
        return {
            "k": checked.fit.problem.k,
            "classical": self.classical(checked.fit),
            "posterior": self.posterior(checked),
            "diagnostics": diagnostics_block(checked.fit),
        }

    def left_out(self, one: Any) -> Block:
        ratio = one.fit.studies.is_ratio
        names = [*one.fit.problem.coefficients, "tau"]
        return {
            "omitted": one.omitted,
            "classical": {} if one.fixed is None else {"fixed": one.fixed.to_dict(ratio)},
            "posterior": {"engine": one.fit.engine, **{name: self.quantity(one.fit, name) for name in names}},
        }

    def other_prior(self, one: Any) -> Block:
        block = {name: self.quantity(one.fit, name) for name in one.fit.names}
        return {
            "tau": str(one.tau),
            "mu": str(one.mu),
            "posterior": {
                "engine": one.fit.engine,
                **block,
                "probabilities": {text: one.fit.probability(text) for text in self._statements(one.fit)},
                "log_evidence": one.fit.log_evidence,
            },
        }

    def other_measure(self, fit: Fit) -> Block:
        return {
            "measure": fit.studies.measure,
            "effect": fit.studies.effect_label,
            "k": fit.problem.k,
            "priors": priors_block(fit),
            "excluded": [{"slab": slab, "reason": reason} for slab, reason in fit.studies.excluded],
            "classical": self.classical(fit),
            "posterior": {"engine": fit.engine, **{name: self.quantity(fit, name) for name in fit.names}},
        }


def _exponentiated(block: Block) -> Block:
    return {name: exp(min(block[name], 700.0)) for name in EXPONENTIATED}


def _regression(result: Classical) -> Block:
    return result.to_dict()


def verdict(expected: Expected, content: Mapping[str, Any]) -> Block:
    """Return a known answer beside the computed one.

    With ``invert`` the computed number is inverted first, for sources that compare in the other direction.
    """
    computed = _lookup(content, expected.quantity)
    value = nan if computed is None else float(computed)
    if expected.invert and value:
        value = 1 / value
    return {
        "quantity": expected.quantity,
        "value": expected.value,
        "tolerance": expected.tolerance,
        "source": expected.source,
        "invert": expected.invert,
        "computed": value,
        "ok": isfinite(value) and abs(value - expected.value) <= expected.tolerance,
    }


def _lookup(content: Any, path: str) -> Any:
    """Return what stands at a dotted path, keys with dots included; None if nothing does."""
    if not path:
        return content if isinstance(content, int | float) else None
    if isinstance(content, list):
        head, _, rest = path.partition(".")
        return _lookup(content[int(head)], rest) if head.isdigit() and int(head) < len(content) else None
    if not isinstance(content, dict):
        return None
    for key in content:
        if path == key or path.startswith(f"{key}."):
            found = _lookup(content[key], path[len(key) + 1 :])
            if found is not None:
                return found
    return None
