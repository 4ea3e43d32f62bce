"""Draws that need no sampler: from the prior, and of new data given parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bayesmeta.priors import Prior
from bayesmeta.results.draws import Draws
from bayesmeta.results.posterior import study_taus

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.location_scale import ScaleStructure
    from bayesmeta.problem import Problem


def prior_is_proper(problem: Problem) -> bool:
    """Return whether every prior is a distribution, so that there are prior draws."""
    deltas = () if problem.scale is None else problem.scale.deltas
    return problem.priors.tau_density.proper and all(
        prior.proper for prior in (*problem.priors.beta, *deltas)
    )


def prior_draws(problem: Problem, size: int, rng: np.random.Generator) -> Draws:
    """Return independent draws of every parameter from the prior, as one chain.

    Parameters
    ----------
    problem : Problem
        Studies, model and priors.
    size : int
        Number of draws.
    rng : numpy.random.Generator
        Source of randomness.

    Raises
    ------
    PriorError
        If a prior is improper.
    """
    b = np.column_stack([prior.sample(size, rng) for prior in problem.priors.beta])
    beta = b @ problem.transform.T
    if problem.scale is not None:
        return _varied(problem, problem.scale, beta, rng)
    tau = np.asarray(problem.priors.tau_density.sample(size, rng))
    theta = b @ problem.X_prior.T + tau[:, None] * rng.standard_normal((size, problem.k))
    pooled = problem.is_pooled
    baseline = None if problem.model.likelihood == "normal" else _baselines(problem, size, rng)
    return Draws(
        beta=beta[None],
        tau=tau[None],
        theta=theta[None],
        theta_new=(beta[:, 0] + tau * rng.standard_normal(size))[None] if pooled else None,
        baseline=None if baseline is None else baseline[None],
        settings={"chains": 1, "draws": size},
    )


def _varied(problem: Problem, scale: ScaleStructure, beta: Floats, rng: np.random.Generator) -> Draws:
    """Return the draws with scale parameters from their priors."""
    size = beta.shape[0]
    drawn = [problem.priors.tau_density.sample(size, rng) for _ in range(scale.T)]
    parameters = np.column_stack([*drawn, *(prior.sample(size, rng) for prior in scale.deltas)])
    taus = scale.taus(parameters)
    new = new_effects(problem, beta, parameters, rng)
    return Draws(
        beta=beta[None],
        tau=scale.values(scale.centre, parameters)[None],
        theta=(beta @ problem.X.T + taus * rng.standard_normal(taus.shape))[None],
        theta_new=None if new is None else new[None],
        scale=parameters[None],
        settings={"chains": 1, "draws": size},
    )


def new_effects(
    problem: Problem, beta: Floats, parameters: Floats, rng: np.random.Generator
) -> Floats | None:
    """Return effects (...) in new studies like one of the studies at random; None with moderators.

    Parameters
    ----------
    problem : Problem
        In which tau differs between studies.
    beta : (..., p) array
        Coefficients.
    parameters : (..., T + q) array
        Scale parameters.
    rng : numpy.random.Generator
        Source of randomness.
    """
    if not problem.is_pooled or problem.scale is None:
        return None
    taus = problem.scale.taus(parameters)
    chosen = rng.integers(problem.k, size=(*taus.shape[:-1], 1))
    tau = np.take_along_axis(taus, chosen, axis=-1)[..., 0]
    return np.asarray(beta[..., 0] + tau * rng.standard_normal(tau.shape))


def draw_effects(problem: Problem, beta: Floats, taus: Floats, rng: np.random.Generator) -> Floats:
    """Return study effects (..., k) drawn given coefficients (..., p) and taus (..., k)."""
    fitted = beta @ problem.X.T
    pooling = problem.v / (problem.v + taus**2)
    centre = fitted + (1 - pooling) * (problem.y - fitted)
    return np.asarray(centre + taus * np.sqrt(pooling) * rng.standard_normal(fitted.shape))


def _baselines(problem: Problem, size: int, rng: np.random.Generator) -> Floats:
    prior = problem.model.baseline
    assert isinstance(prior, Prior)  # noqa: S101 - the model parsed it at birth
    return prior.sample(size * problem.k, rng).reshape(size, problem.k)


def replicate(problem: Problem, draws: Draws, rng: np.random.Generator) -> dict[str, Floats]:
    """Return data of new studies that are like the old ones in design and size, one set a draw.

    Parameters
    ----------
    problem : Problem
        Studies, model and priors.
    draws : Draws
        Draws of the prior (for prior predictive data) or of the posterior.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    dict of str to (chain, draw, k) array
        ``y``; for counts the events ``ai`` and ``ci``.

    Notes
    -----
    Study effects are drawn anew from ``N(X beta, tau^2)`` ("mixed" replication), so that the data can
    contradict the model; group-2 log odds belong to the studies and are kept (Gelman, Meng and Stern 1996).

    References
    ----------
    Gelman A, Meng XL, Stern H (1996). Posterior predictive assessment of model fitness via realized
    discrepancies. Stat Sinica 6:733-807.
    """
    mean, tau = draws.beta @ problem.X.T, study_taus(draws, problem)
    if problem.model.likelihood == "normal":
        return {"y": mean + np.sqrt(problem.v + tau**2) * rng.standard_normal(mean.shape)}
    theta = mean + tau * rng.standard_normal(mean.shape)
    baseline, arms = np.asarray(draws.baseline), problem.studies.arms
    risks = {"ai": special.expit(baseline + theta), "ci": special.expit(baseline)}
    sizes = {"ai": arms["ai"] + arms["bi"], "ci": arms["ci"] + arms["di"]}
    return {name: rng.binomial(sizes[name].astype(np.int64), p).astype(float) for name, p in risks.items()}
