"""``results.json``: every number of an outcome, under names that stay."""

from __future__ import annotations

from importlib.metadata import version
from math import exp, isnan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.classical import classical, classical_suite
from bayesmeta.errors import AnalysisError, BayesmetaError
from bayesmeta.loading import input_hashes
from bayesmeta.regression import comparison_rows
from bayesmeta.results.explained import explained
from bayesmeta.results.loo import leave_one_out_density
from bayesmeta.results.marginal import summarise
from bayesmeta.results.posterior import all_names
from bayesmeta.results.tables import EXPONENTIATED
from bayesmeta.workflow.expected import verdict
from bayesmeta.workflow.facts import benefit_block, data_block, positive_block
from bayesmeta.workflow.moderators_block import between_groups, selection_block
from bayesmeta.workflow.robustness_block import robustness_block

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bayesmeta.analysis import Analysis
    from bayesmeta.arrays import Floats
    from bayesmeta.classical import Classical
    from bayesmeta.problem import Problem
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.posterior import Posterior
    from bayesmeta.workflow.outcome import Checked, Outcome, Subgroups, Unanswered

type Block = dict[str, Any]

SCHEMA_VERSION = 1
PACKAGES = ("bayesmeta", "numpy", "scipy", "pymc", "nutpie", "arviz")
MEAN_AND_NEW = ("mu", "theta_new")
REGRESSION_SUITE = ("fixed", "REML", "REML_HK", "ML_LS", "REML_LS")
SAME_LEVEL = 0.95
"""Level of the classical answers that a fit carries."""


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
        "data": data_block(outcome.analysis),
        "mods": fit.model.mods,
        "scale": fit.model.scale,
        "center": fit.model.center,
        "likelihood": fit.model.likelihood,
        "effects": fit.model.effects,
        "coefficients": list(fit.problem.coefficients),
        "positive": positive_block(fit),
        "interval": {"kind": writer.kind, "prob": writer.prob},
        "group1": studies.group1,
        "group2": studies.group2,
        "seed": outcome.seed,
        "versions": versions(),
        "inputs": input_hashes(outcome.analysis),
        "priors": priors_block(fit),
        "warnings": _warnings((*fit.warnings, *outcome.notes)),
        "excluded": [{"slab": slab, "reason": reason} for slab, reason in studies.excluded],
        "studies": writer.studies(fit),
        "classical": writer.classical(fit),
        "posterior": writer.posterior(outcome.main),
        "benefit": benefit_block(fit, outcome.analysis.data.minimal_important_difference),
        "diagnostics": diagnostics_block(fit),
        "regressions": {name: writer.regression(one) for name, one in outcome.regressions.items()},
        "loo": _prediction(outcome.main.best),
        "model_comparison": _comparison(outcome),
        "moderators": {} if outcome.moderators is None else selection_block(outcome.moderators, writer.prob),
        "subgroups": {one.by: writer.subgroups(one) for one in outcome.subgroups},
        "leave_one_out": [writer.left_out(one) for one in outcome.left_out],
        "prior_sensitivity": [writer.other_prior(one) for one in outcome.priors],
        "robustness": robustness_block(outcome.robustness),
        "also": {name: writer.other_measure(one) for name, one in outcome.also.items()},
        "agreement": [{"fit": name, **one.to_dict()} for name, one in outcome.agreements.items()],
    }
    verdicts = [verdict(one, content) for one in outcome.analysis.expected]
    failures = [*outcome.failures, *_missed(verdicts)]
    return {**content, "expected": verdicts, "failures": failures, "status": "failed" if failures else "ok"}


def _comparison(outcome: Outcome) -> Block:
    """Return the main model and the regressions side by side: evidence and leave-one-out prediction."""
    if not outcome.regressions:
        return {}
    checked = {"main": outcome.main, **outcome.regressions}
    return dict(comparison_rows({name: one.best for name, one in checked.items()}))


def _prediction(fit: Fit) -> Block:
    """Return the exact leave-one-out prediction of the main model; empty where there is none."""
    try:
        found = leave_one_out_density(fit.posterior)
    except BayesmetaError:
        return {}
    pointwise = zip(fit.problem.studies.slab, found.pointwise.tolist(), strict=True)
    rows = [{"slab": slab, "elpd": value} for slab, value in pointwise]
    return {"elpd": found.elpd, "se": found.se, "p": found.p, "studies": rows}


def _warnings(pairs: Iterable[tuple[str, str]]) -> list[Block]:
    return [{"id": name, "message": text} for name, text in pairs]


def _missed(verdicts: list[Block]) -> list[str]:
    return [_missed_text(one) for one in verdicts if not one["ok"]]


def _missed_text(one: Block) -> str:
    wanted = f"expected {one['quantity']} = {one['value']:g} within {one['tolerance']:g}"
    return f"{wanted}; " + (
        "there is no such number" if isnan(one["computed"]) else f"got {one['computed']:.8g}"
    )


def versions() -> dict[str, str]:
    """Return the versions of the package and of those that its numbers come from."""
    return {name: version(name) for name in PACKAGES}


def priors_block(fit: Fit) -> Block:
    """Return the priors in force and which of them are defaults."""
    return named_priors(fit.problem)


def named_priors(problem: Problem) -> Block:
    """Return the priors in force on a problem and which of them are defaults."""
    priors = problem.priors
    block: Block = {
        "mu": {"prior": str(priors.mu), "default": "mu" in priors.defaults},
        priors.tau_on: {"prior": str(priors.tau), "default": "tau" in priors.defaults},
    }
    if not problem.is_pooled:
        named = zip(problem.design.names, priors.beta, problem.design.is_mean, strict=True)
        slopes = {name: str(prior) for name, prior, mean in named if not mean}
        block["beta"] = {"prior": slopes, "default": "beta" in priors.defaults}
    if problem.scale is not None:
        scale = problem.scale
        deltas = dict(zip(scale.names[scale.T :], map(str, scale.deltas), strict=True))
        block["delta"] = {"prior": deltas, "default": all(scale.is_default)}
    if problem.model.likelihood != "normal":
        block["baseline"] = {"prior": str(problem.model.baseline), "default": False}
    return block


def diagnostics_block(fit: Fit) -> Block:
    """Return convergence, or that there is none to judge."""
    return {"status": "exact"} if fit.diagnostics is None else fit.diagnostics.to_dict()


def classical_at(fit: Fit, level: float) -> Mapping[str, Classical]:
    """Return the classical answers beside a fit, with intervals of the given level."""
    if level == SAME_LEVEL or not fit.classical:
        return fit.classical
    model = fit.model
    return classical_suite(fit.studies, model.mods, scale=model.scale, center=model.center, level=level)


class _Writer:
    """Blocks of the document, with one kind and level of interval."""

    def __init__(self, analysis: Analysis) -> None:
        self.prob, self.kind = analysis.interval.prob, analysis.interval.kind
        self.statements = analysis.report.probabilities
        self.difference = analysis.data.minimal_important_difference

    def quantity(self, fit: Fit, name: str) -> Block:
        block = fit.quantity(name, prob=self.prob, kind=self.kind)
        effect = name in fit.problem.coefficients or name == "theta_new" or name.startswith("theta[")
        exponentiate = fit.studies.is_ratio and effect
        return block | ({"exp": _exponentiated(block)} if exponentiate else {})

    def classical(self, fit: Fit) -> Block:
        suite = classical_at(fit, self.prob)
        return {name: result.to_dict(fit.studies.is_ratio) for name, result in suite.items()}

    def posterior(self, checked: Checked) -> Block:
        fit = checked.fit
        names = [*fit.names, *(name for name in ("tau2", "I2", "H2") if name in all_names(fit.problem))]
        return {
            "engine": fit.engine,
            **{name: self.quantity(fit, name) for name in names},
            "probabilities": self.probabilities(fit),
            "log_evidence": _known(checked.best.log_evidence),
        }

    def probabilities(self, fit: Fit) -> Block:
        """Return the probabilities of benefit, of an important one, and of the statements of the file.

        Statements about quantities that the fit does not have are left out; they were checked against the
        main model.
        """
        known = dict[str, float]()
        for text in dict.fromkeys([*self.statements, *self._benefits(fit)]):
            try:
                known[text] = fit.probability(text)
            except AnalysisError:
                continue
        return known

    def _benefits(self, fit: Fit) -> list[str]:
        if not fit.problem.is_pooled:
            return []
        upwards = fit.studies.better != "lower"
        statements = ["mu > 0" if upwards else "mu < 0"]
        if self.difference is not None:
            beyond = f"> {self.difference!r}" if upwards else f"< -{self.difference!r}"
            statements += [f"mu {beyond}", f"theta_new {beyond}"]
        return statements

    def studies(self, fit: Fit) -> list[Block]:
        keep = ("slab", "yi", "sei", "weight_fixed", "weight_random", "pooling")
        rows = fit.effect_rows(prob=self.prob, kind=self.kind)
        return [
            {**{name: row[name] for name in keep}, "theta": self.quantity(fit, f"theta[{row['slab']}]")}
            for row in rows
        ]

    def regression(self, checked: Checked) -> Block:
        fit = checked.fit
        suite = {name: one for name, one in classical_at(fit, self.prob).items() if name in REGRESSION_SUITE}
        names = fit.problem.coefficients
        return {
            "mods": fit.model.mods,
            "center": fit.model.center,
            "k": fit.problem.k,
            "p": fit.problem.p,
            "engine": fit.engine,
            "priors": priors_block(fit),
            "coefficients": {name: self.quantity(fit, name) for name in names},
            "positive": positive_block(fit),
            "tau": self.quantity(fit, "tau"),
            "scale": fit.model.scale,
            "spread": self._spread(fit),
            "R2": self._explained(fit) if fit.problem.scale is None and fit.problem.p > 1 else {},
            "log_evidence": _known(checked.best.log_evidence),
            "classical": {name: result.to_dict() for name, result in suite.items()},
            "probabilities": self.probabilities(fit),
            "warnings": _warnings(fit.warnings),
            "diagnostics": diagnostics_block(fit),
        }

    def _spread(self, fit: Fit) -> Block:
        """Return the taus and their log ratios where tau differs between studies."""
        scale = fit.problem.scale
        if scale is None:
            return {}
        return {name: self.quantity(fit, name) for name in scale.quantities if name != "tau"}

    def _explained(self, fit: Fit) -> Block:
        draws = explained(fit.posterior)
        summary = summarise(draws, prob=self.prob, kind=self.kind)
        block = {name: float(values[0]) for name, values in summary._asdict().items()}
        return block | {"error": _explained_error(fit.posterior, draws.values[:, :, 0], prob=self.prob)}

    def subgroups(self, division: Subgroups) -> Block:
        return {
            "tau": "separate" if division.exact is None else division.exact.tau,
            "groups": {
                **{name: self.group(one) for name, one in division.groups.items()},
                **{name: _unanswered(one) for name, one in division.unanswered.items()},
            },
            "difference": {name: one.to_dict() for name, one in division.differences.items()},
            **({} if division.exact is None else between_groups(division.exact, self.prob, self.kind)),
        }

    def group(self, checked: Checked) -> Block:
        return {
            "k": checked.fit.problem.k,
            "status": checked.fit.status,
            "classical": self.classical(checked.fit),
            "posterior": self.posterior(checked),
            "warnings": _warnings(checked.fit.warnings),
            "diagnostics": diagnostics_block(checked.fit),
        }

    def left_out(self, one: Any) -> Block:
        ratio = one.fit.studies.is_ratio
        fixed = one.fixed
        if fixed is not None and self.prob != SAME_LEVEL:
            fixed = classical(one.fit.studies, one.fit.model.mods, method="FE", level=self.prob)
        names = [*one.fit.problem.coefficients, "tau"]
        return {
            "omitted": one.omitted,
            "classical": {} if fixed is None else {"fixed": fixed.to_dict(ratio)},
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
                "probabilities": self.probabilities(one.fit),
                "log_evidence": _known(one.fit.log_evidence),
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


def _known(value: float) -> float | None:
    """Return a number that an engine may not give; None is unknown, not absent."""
    return None if isnan(value) else value


def _unanswered(one: Unanswered) -> Block:
    return {"k": one.k, "status": one.status, "reason": one.reason, "classical": {}, "posterior": None}


def _explained_error(posterior: Posterior, draws: Floats, *, prob: float) -> Block:
    """Return the Monte Carlo error of R2, which is always found from draws."""
    if posterior.engine == "exact":
        return {"mcse_mean": float(np.std(draws)) / sqrt(draws.size), "draws": draws.size}
    from bayesmeta.results.diagnostics import monte_carlo_error

    return monte_carlo_error(draws, prob=prob)
