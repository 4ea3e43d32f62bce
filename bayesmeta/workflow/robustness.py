"""How far a run's main answer depends on its priors and on its studies: what is computed without being asked.

Everything here rests on exact fits, which cost milliseconds, so that it is part of every run whose main model
the exact engine can answer. A part that does not apply is left out, and why is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesmeta.engines.exact import why_not
from bayesmeta.errors import BayesmetaError
from bayesmeta.priors import Fixed
from bayesmeta.results.replication import predictive_checks
from bayesmeta.sensitivity import bayes_factors, informativeness, model_average, with_priors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.analysis import Analysis
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.replication import Check
    from bayesmeta.sensitivity import BayesFactor, Informativeness, ModelAverage


@dataclass(frozen=True, slots=True)
class Robustness:
    """What does not depend on being asked for.

    Attributes
    ----------
    informativeness : tuple of Informativeness
        What the priors say, by parameter.
    bayes_factors : tuple of BayesFactor
        Evidence for and against mu = 0, tau = 0 and the coefficients being 0.
    average : ModelAverage or None
        With and without an effect, with and without heterogeneity.
    checks : tuple of Check
        Posterior predictive checks, by any engine.
    reasons : mapping of str to str
        Why a part is not there, by its name.
    """

    informativeness: tuple[Informativeness, ...] = ()
    bayes_factors: tuple[BayesFactor, ...] = ()
    average: ModelAverage | None = None
    checks: tuple[Check, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)


def robustness(analysis: Analysis, fit: Fit) -> Robustness:  # noqa: ARG001 - what is wanted of it
    """Return the robustness of an answer.

    Parameters
    ----------
    analysis : Analysis
        What was asked.
    fit : Fit
        The main answer, by any engine.
    """
    reasons: dict[str, str] = {}
    reason = why_not(fit.problem)
    if reason:
        reasons["all"] = f"much of the sensitivity rests on exact fits, and there is none for {reason}"
    wanted = ANY_ENGINE if reason else ANY_ENGINE | PARTS
    parts = {name: _attempted(name, part, fit, reasons) for name, part in wanted.items()}
    return Robustness(**{name: one for name, one in parts.items() if one is not None}, reasons=reasons)


def _attempted(name: str, part: Callable[[Fit], Any], fit: Fit, reasons: dict[str, str]) -> Any:
    """Return a part, or None with the reason noted."""
    try:
        return part(fit)
    except BayesmetaError as error:
        reasons[name] = str(error)
        return None


def _average(fit: Fit) -> ModelAverage | None:
    if not fit.problem.is_pooled or isinstance(fit.problem.priors.tau_density, Fixed):
        return None
    return model_average(fit.problem.studies, with_priors_of(fit))


ANY_ENGINE: dict[str, Callable[[Fit], Any]] = {"checks": predictive_checks}
PARTS: dict[str, Callable[[Fit], Any]] = {
    "informativeness": informativeness,
    "bayes_factors": bayes_factors,
    "average": _average,
}
