"""Does the posterior exist, and which of its moments? Decided by theory before anything is computed.

With a prior of tau that falls like ``tau^-a``, k studies and p coefficients with flat priors, integrating the
coefficients out of the likelihood leaves ``tau^-(k - p)`` in the tail. So the posterior is proper if and only
if ``a + k - p > 1`` (and the prior is integrable at 0, as all families here are), and ``E(tau^r)`` exists if
and only if ``a + k - p > 1 + r``.

References
----------
Röver C (2020). Bayesian random-effects meta-analysis using the bayesmeta R package. J Stat Softw 93(6).
doi:10.18637/jss.v093.i06
Gelman A (2006). Prior distributions for variance parameters in hierarchical models. Bayesian Anal 1:515-534.
doi:10.1214/06-BA117A
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import ImproperPosteriorError, ModelError
from bayesmeta.priors import Flat

if TYPE_CHECKING:
    from bayesmeta.problem import Problem


SLOW = 1e-6
"""Distance of an order from the bound within which a moment is out of reach."""


SLOWEST = 0.2
"""Exponent of a tail that falls by e^46 within 100 powers of 10."""


def flat_coefficients(problem: Problem) -> int:
    """Return the number of coefficients with a flat prior."""
    return sum(isinstance(prior, Flat) for prior in problem.priors.beta)


def tau_moments(problem: Problem) -> float:
    """Return the bound below which the orders r of existing moments ``E(tau^r)`` lie.

    The moment of order r exists if and only if r is below the bound; the posterior is proper if and only if
    0 is.
    """
    return problem.priors.tau_density.tail + problem.k - flat_coefficients(problem) - 1


def whole_moments(bound: float) -> int:
    """Return the highest whole order below the bound, at most 8.

    Where only powers of a logarithm make a moment exist (`bayesmeta.priors.scale.SLOWEST`), no integral
    reaches it in double precision; it counts as not existing.
    """
    return int(min(8, np.ceil(bound - SLOW) - 1)) if bound > 0 else -1


def integrable_moments(bound: float) -> int:
    """Return the highest whole order of a moment whose integral converges before tau overflows, at most 8.

    The tail of the integrand of order r falls like ``tau^(r - bound)``; it must fall by e^46 before 1e150.
    """
    return whole_moments(bound - SLOWEST)


def require_proper(problem: Problem) -> None:
    """Refuse a model whose posterior does not exist.

    Raises
    ------
    ImproperPosteriorError
        With the reason and the remedy.
    ModelError
        If a count likelihood has a flat prior.
    """
    flat = flat_coefficients(problem)
    if problem.model.likelihood != "normal":
        if flat or not problem.priors.tau_density.proper:
            raise ModelError(
                f"likelihood '{problem.model.likelihood}' needs proper priors of mu, beta and tau; "
                'use for example mu = "Normal(0, 2)" and tau = "HalfNormal(0.5)"'
            )
        return
    if tau_moments(problem) > 0:
        return
    k, tail = problem.k, problem.priors.tau_density.tail
    studies = "1 study" if k == 1 else f"{k} studies"
    flat_text = "1 flat coefficient" if flat == 1 else f"{flat} flat coefficients"
    raise ImproperPosteriorError(
        f"the posterior does not exist: {problem.priors.tau} as the prior of {problem.priors.tau_on} with "
        f"{studies} and {flat_text} (tail exponent {tail:g} + {k} - {flat} must exceed 1); use a proper "
        "prior of tau such as HalfNormal or HalfCauchy, or a Normal prior of mu"
    )
