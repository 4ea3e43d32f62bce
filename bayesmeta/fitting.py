"""`fit`: studies and a model to a posterior, by whichever engine."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from bayesmeta.arrays import LARGEST_SEED, whole_seed
from bayesmeta.engines.components import exact_posterior, why_not
from bayesmeta.errors import AnalysisError, ModelError, is_one_of, suggest, told
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.fit import Fit

if TYPE_CHECKING:
    from collections.abc import Callable

    import pymc as pm

    from bayesmeta.problem import Problem
    from bayesmeta.studies import Studies

ENGINES = ("auto", "exact", "nuts")
SAMPLING_OPTIONS = ("chains", "tune", "draws", "target_accept")


def fit(
    studies: Studies,
    model: Model | None = None,
    *,
    engine: str = "auto",
    seed: int | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> Fit:
    """Return the posterior of a model on studies.

    Parameters
    ----------
    studies : Studies
        From `effect_sizes` or `Studies.from_effects`.
    model : Model, optional
        What is assumed; by default random effects with the default priors.
    engine : {"auto", "exact", "nuts"}
        ``"auto"`` integrates exactly where that is possible and samples where it is not.
    seed : int, optional
        Seed of the sampler; without one it is drawn, and kept in the result.
    report : callable, optional
        Called with the progress of the sampler.
    **options
        For the sampler: ``chains`` (4), ``tune`` (1000), ``draws`` (1000), ``target_accept`` (0.95).

    Raises
    ------
    AnalysisError
        If an option is wrong, or the engine cannot run the model.
    DataError
        If the moderators do not fit the formula.
    ImproperPosteriorError
        If the posterior does not exist.
    NumericalError
        If it cannot be computed.

    Examples
    --------
    >>> from bayesmeta.studies import Studies
    >>> studies = Studies.from_effects([0.1, 0.3], sei=[0.1, 0.1])
    >>> answer = fit(studies, Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    >>> answer.engine, round(answer.marginal("mu").median, 4)
    ('exact', 0.1942)
    """
    check_options(engine, options)
    seed = None if seed is None else whole_seed(seed)
    problem = pose(studies, Model() if model is None else model)
    if chosen_engine(problem, engine) == "exact":
        return Fit(studies, problem, exact_posterior(problem))
    return _sampled(studies, problem, seed, report, options)


def chosen_engine(problem: Problem, engine: str) -> str:
    """Return ``"exact"`` or ``"nuts"``, whichever runs the problem under the name `engine`."""
    return ("nuts" if why_not(problem) else "exact") if engine == "auto" else engine


def check_options(engine: str, options: dict[str, Any]) -> None:
    """Refuse an unknown engine, and options that are not the sampler's.

    Raises
    ------
    AnalysisError
        With the nearest known word.
    """
    if not is_one_of(engine, ENGINES):
        raise AnalysisError(
            f"engine must be 'auto', 'exact' or 'nuts'; got {told(engine)}{suggest(engine, ENGINES)}"
        )
    unknown = [name for name in options if name not in SAMPLING_OPTIONS]
    if unknown:
        known = ", ".join(SAMPLING_OPTIONS)
        hint = suggest(unknown[0], SAMPLING_OPTIONS)
        raise AnalysisError(f"fit has no option '{unknown[0]}'{hint}; the options of the sampler are {known}")
    if engine == "exact" and options:
        raise AnalysisError(
            f"option '{next(iter(options))}' is the sampler's; leave it out with engine='exact'"
        )


def _sampled(
    studies: Studies,
    problem: Problem,
    seed: int | None,
    report: Callable[[dict[str, Any]], None] | None,
    options: dict[str, Any],
) -> Fit:
    from bayesmeta.engines.nuts import Settings, sample
    from bayesmeta.results.sampled import SampledPosterior

    chosen = secrets.randbelow(LARGEST_SEED + 1) if seed is None else seed
    sampled = sample(problem, seed=chosen, settings=Settings(**options), report=report)
    posterior = SampledPosterior(problem, sampled.draws)
    return Fit(studies, problem, posterior, sampled.diagnostics, chosen)


def to_pymc(studies: Studies, model: Model | None = None) -> pm.Model:
    """Return the model on the studies as a PyMC model with named coordinates, to sample or extend.

    Parameters
    ----------
    studies : Studies
        From `effect_sizes` or `Studies.from_effects`.
    model : Model, optional
        What is assumed; by default random effects with the default priors.

    Raises
    ------
    AnalysisError
        If the model does not fit the studies, or PyMC has no such prior.
    """
    from bayesmeta.engines.nuts.readable import to_pymc as readable

    try:
        return readable(pose(studies, Model() if model is None else model))
    except ImportError as error:
        raise ModelError("to_pymc needs the package pymc; install it, or use engine='exact'") from error
