"""Exact posteriors under priors that are mixtures: one for each combination of components.

With the prior ``sum_i w_i p_i`` the posterior is the mixture of the posteriors under the components p_i, with
weights proportional to ``w_i`` times the evidence under p_i. So a point mass at tau = 0 beside a slab is the
fixed-effect fit beside the random-effects fit, and a robust prior of mu two normal fits.

References
----------
Schmidli H, Gsteiger S, Roychoudhury S, et al (2014). Robust meta-analytic-predictive priors in clinical
trials with historical control information. Biometrics 70:1023-1032. doi:10.1111/biom.12242
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from bayesmeta.engines import exact
from bayesmeta.errors import ModelError
from bayesmeta.priors import Flat, Normal
from bayesmeta.results.exact import ExactPosterior

if TYPE_CHECKING:
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem
    from bayesmeta.results.posterior import Posterior

MOST = 256
"""Combinations of components that are integrated."""


def why_not(problem: Problem) -> str:
    """Return why there is no exact posterior of the problem, or ``""`` if there is one."""
    if problem.scale is not None:
        from bayesmeta.engines import grid

        return grid.why_not(problem)
    if problem.model.likelihood != "normal":
        return f"likelihood '{problem.model.likelihood}'"
    odd = [prior for prior in problem.priors.beta if not _is_gaussian(prior)]
    if odd:
        return f"prior {odd[0]} of a coefficient"
    count = prod(len(prior.parts) for prior in _priors(problem))
    return f"{count} combinations of components of priors, more than {MOST}" if count > MOST else ""


def exact_posterior(problem: Problem) -> Posterior:
    """Return the posterior by integration; under mixtures the weighted one of their components.

    Parameters
    ----------
    problem : Problem
        With the normal likelihood, and coefficients whose priors are normal, flat or mixtures of normal ones.

    Raises
    ------
    ModelError
        If the engine cannot run the problem.
    ImproperPosteriorError
        If the posterior does not exist.
    NumericalError
        If it cannot be computed.
    """
    reason = why_not(problem)
    if reason:
        raise ModelError(f"engine 'exact' cannot run {reason}; use engine='nuts'")
    if problem.scale is not None:
        from bayesmeta.engines import grid
        from bayesmeta.results.location_scale import LocationScalePosterior

        return LocationScalePosterior(problem, grid.integrate(problem))
    if all(len(prior.parts) == 1 for prior in _priors(problem)):
        return ExactPosterior(problem, exact.integrate(problem))
    from bayesmeta.results.averaged import averaged

    components = split(problem)
    parts = [ExactPosterior(one, exact.integrate(one)) for _, one in components]
    return averaged(problem, parts, [weight for weight, _ in components])


def split(problem: Problem) -> list[tuple[float, Problem]]:
    """Return the problem under each combination of components of its priors, with its prior probability."""
    found = []
    for chosen in product(*(prior.parts for prior in _priors(problem))):
        weights, (*beta, tau) = zip(*chosen, strict=True)
        priors = replace(problem.priors, beta=tuple(beta), tau=tau, tau_density=tau, tau_on="tau")
        found.append((prod(weights), replace(problem, priors=priors)))
    return found


def _priors(problem: Problem) -> tuple[Prior, ...]:
    return (*problem.priors.beta, problem.priors.tau_density)


def _is_gaussian(prior: Prior) -> bool:
    return all(isinstance(part, Normal | Flat) for _, part in prior.parts)
