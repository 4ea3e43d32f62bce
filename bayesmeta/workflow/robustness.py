"""How far a run's main answer depends on its priors and on its studies: what is computed without being asked.

Everything here rests on exact fits, which cost milliseconds, so that it is part of every run whose main model
the exact engine can answer. A part that does not apply is left out, and why is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesmeta.bias import assess
from bayesmeta.engines.components import why_not
from bayesmeta.errors import BayesmetaError
from bayesmeta.fitting import fit as make_fit
from bayesmeta.priors import Fixed
from bayesmeta.results.replication import predictive_checks
from bayesmeta.sensitivity import (
    bayes_factors,
    cumulative,
    gosh,
    influence,
    informativeness,
    model_average,
    outliers,
    prior_sensitivity,
    tipping_points,
    with_priors_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd

    from bayesmeta.analysis import Analysis
    from bayesmeta.bias import Assessment
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.replication import Check
    from bayesmeta.sensitivity import (
        BayesFactor,
        Informativeness,
        ModelAverage,
        Outliers,
        PriorAtlas,
        Subsets,
        TippingPoints,
    )

DECISION = 0.95
"""Probability at which a conclusion tips, where none was given."""
SUBSETS = 100_000
"""Subsets of the studies that a run looks at."""


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
    atlas : PriorAtlas or None
        The answer under a thousand other priors.
    tipping : TippingPoints or None
        What would change the decision.
    small_study : Assessment or None
        Small-study effects.
    influence : DataFrame or None
        What leaving out each study changes, and how the others predict it.
    outliers : Outliers or None
        Probability of each study to be an outlier.
    steps : Subsets or None
        The answer after each study, by year if there is such a column, else by precision.
    every : Subsets or None
        The answer from every subset of the studies, or from many.
    reasons : mapping of str to str
        Why a part is not there, by its name.
    """

    informativeness: tuple[Informativeness, ...] = ()
    bayes_factors: tuple[BayesFactor, ...] = ()
    average: ModelAverage | None = None
    checks: tuple[Check, ...] = ()
    atlas: PriorAtlas | None = None
    tipping: TippingPoints | None = None
    small_study: Assessment | None = None
    influence: pd.DataFrame | None = None
    outliers: Outliers | None = None
    steps: Subsets | None = None
    every: Subsets | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)


def robustness(analysis: Analysis, fit: Fit) -> Robustness:
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
    elif not fit.model.has_one_tau:
        reason = f"scale '{fit.model.scale}'"
        reasons["all"] = (
            "much of the sensitivity takes one tau for all studies: Bayes factors, the atlas of priors, "
            f"tipping points, outliers, subsets of the studies; the main model has {reason}"
        )
    found = {name: _attempted(name, part, reasons) for name, part in _parts(analysis, fit, not reason)}
    return Robustness(**{name: one for name, one in found.items() if one is not None}, reasons=reasons)


def _attempted(name: str, part: Callable[[], Any], reasons: dict[str, str]) -> Any:
    """Return a part, or None with the reason noted."""
    try:
        return part()
    except BayesmetaError as error:
        reasons[name] = str(error)
        return None


def _parts(analysis: Analysis, fit: Fit, exact: bool) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the parts that were asked for and that the model allows."""
    wanted, important = analysis.sensitivity, analysis.data.minimal_important_difference
    mixed = not isinstance(fit.problem.priors.tau_density, Fixed)
    yield "checks", lambda: predictive_checks(fit)
    if wanted.small_study:
        yield "small_study", lambda: assess(fit, level=analysis.interval.prob)
    if not exact:
        return
    yield "informativeness", lambda: informativeness(fit)
    yield "bayes_factors", lambda: bayes_factors(fit)
    if fit.problem.is_pooled and mixed:
        yield "average", lambda: model_average(fit.problem.studies, with_priors_of(fit))
    if wanted.atlas and mixed:
        yield "atlas", lambda: _atlas(fit, important, analysis.interval.prob)
    if wanted.tipping_points:
        yield "tipping", lambda: tipping_points(fit, wanted.decision or DECISION)
    if wanted.studies and fit.problem.k > 1:
        yield from _of_studies(analysis, fit)


def _of_studies(analysis: Analysis, fit: Fit) -> Iterator[tuple[str, Callable[[], Any]]]:
    studies, prob = fit.problem.studies, analysis.interval.prob
    by = "year" if "year" in studies.columns else "precision"
    exact = fit if fit.engine == "exact" else None
    yield "influence", lambda: influence(exact or make_fit(studies, with_priors_of(fit), engine="exact"))
    yield "outliers", lambda: outliers(fit, prob=prob)
    yield "steps", lambda: cumulative(fit, by=by, prob=prob)
    yield "every", lambda: gosh(studies, with_priors_of(fit), most=SUBSETS, seed=analysis.seed, prob=prob)


def _atlas(fit: Fit, important: float | None, prob: float) -> PriorAtlas:
    atlas = prior_sensitivity(fit.problem.studies, with_priors_of(fit), mid=important, prob=prob)
    atlas.values("log_evidence")  # computed now, so that this step takes the time
    return atlas
