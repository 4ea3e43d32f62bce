"""How much the priors say: distance from prior to posterior, power-scaling, studies' worth, conflict.

References
----------
Neuenschwander B, Weber S, Schmidli H, O'Hagan A (2020). Predictively consistent prior effective sample sizes.
Biometrics 76:578-587. doi:10.1111/biom.13252
Evans M, Moshonov H (2006). Checking for prior-data conflict. Bayesian Anal 1:893-914. doi:10.1214/06-BA129
"""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.engines.exact import integrate, why_not
from bayesmeta.errors import ModelError
from bayesmeta.priors import Fixed, Normal
from bayesmeta.quadrature import panels
from bayesmeta.results.conflict import locations, scatter
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.fit import require_fit
from bayesmeta.sensitivity.nulls import in_prior_coordinates
from bayesmeta.sensitivity.powerscaling import power_scaling

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.marginal import Distribution
    from bayesmeta.sensitivity.powerscaling import Sensitivity

TELLING = 0.05
"""Sensitivity to power-scaling above which prior or likelihood tell something (Kallioinen et al. 2024)."""
UNEXPECTED = 0.05
"""Prior predictive tail probability below which data and prior are in conflict."""
PLACES = np.concatenate([np.logspace(-12, -2, 21), np.linspace(0.02, 0.98, 49), 1 - np.logspace(-2, -12, 21)])
"""Probabilities at whose quantiles, of prior and posterior, the overlap is integrated piece by piece."""


class Informativeness(NamedTuple):
    """What the prior of one parameter says, beside the data."""

    parameter: str
    """Coefficient (an intercept is that of the centred columns), or tau."""
    prior: str
    """Its prior; where that of tau was given for tau2, ``tau2 ~`` and that prior."""
    hellinger: float
    """Hellinger distance of prior and posterior, 0 (the data say nothing) to 1; NaN if improper."""
    overlap: float
    """Area that prior and posterior density share, 1 to 0; NaN if improper."""
    prior_sensitivity: float
    """Change of the posterior as the priors are raised to a power; above 0.05 the prior tells."""
    likelihood_sensitivity: float
    """Change of the posterior as the likelihood is; below 0.05 the data hardly tell."""
    studies: float
    """Average studies of this review that know as much of the parameter as its normal prior; else NaN."""
    tail: float
    """Prior predictive probability of data as extreme: the fixed effect, or for tau Cochran's Q."""
    verdict: str
    """In words."""


def informativeness(fit: Fit) -> tuple[Informativeness, ...]:
    """Return how much the priors say, for every coefficient and for tau.

    Parameters
    ----------
    fit : Fit
        Answer of a model that the exact engine can run, by any engine.

    Raises
    ------
    ModelError
        If the exact engine cannot run the model.

    Notes
    -----
    A normal prior of the mean with standard deviation s is worth ``1 / (s^2 E(mean_i w_i))`` studies, where
    ``w_i = 1 / (v_i + tau^2)`` is a study's information and the mean is over the posterior of tau.

    A prior of tau is not counted in studies. The information of a study about tau, ``2 tau^2 w_i^2``,
    vanishes at tau = 0, so that the expected ratio of informations (Neuenschwander et al. 2020) is infinite
    for a half-normal prior, whose own information is ``1 / sigma^2`` everywhere, and 0 for an exponential
    one, whose own is 0; and either would be another number for tau^2. The Hellinger distance and the overlap
    do not depend on that choice.

    Examples
    --------
    >>> import bayesmeta as bm
    >>> studies = bm.Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.1, 0.2])
    >>> fit = bm.fit(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    >>> round(informativeness(fit)[0].studies, 3)
    0.03
    """
    require_fit(fit, "informativeness")
    reason = why_not(fit.problem)
    if reason:
        raise ModelError(f"the informativeness of priors needs the exact engine, which cannot run {reason}")
    problem = in_prior_coordinates(fit.problem)
    posterior = ExactPosterior(problem, integrate(problem))
    known_tau = isinstance(problem.priors.tau_density, Fixed)
    moved = None if known_tau else power_scaling(posterior)
    tails = {one.name: one.tail for one in locations(fit.problem)}
    expected = scatter(fit.problem)
    rows = [*zip(problem.coefficients, problem.priors.beta, strict=True)]
    found = [
        _row(name, prior, str(prior), posterior.coefficients.select(j), moved, j)._replace(
            studies=_worth(prior, posterior), tail=tails.get(name, nan)
        )
        for j, (name, prior) in enumerate(rows)
    ]
    if not known_tau:
        written = (
            str(problem.priors.tau) if problem.priors.tau_on == "tau" else f"tau2 ~ {problem.priors.tau}"
        )
        tau = _row("tau", problem.priors.tau_density, written, posterior.tau, moved, -1)
        found.append(tau._replace(tail=nan if expected is None else expected.tail))
    return tuple(one._replace(verdict=_verdict(one)) for one in found)


def informativeness_table(fit: Fit) -> pd.DataFrame:
    """Return `informativeness` as a DataFrame, a row for each parameter."""
    import pandas as pd

    return pd.DataFrame(informativeness(fit)).set_index("parameter")


def _row(
    name: str, prior: Prior, text: str, posterior: Distribution, moved: Sensitivity | None, j: int
) -> Informativeness:
    hellinger, overlap = shared(prior, posterior) if prior.proper else (nan, nan)
    of_prior, of_likelihood = (
        (nan, nan) if moved is None else (float(moved.prior[j]), float(moved.likelihood[j]))
    )
    return Informativeness(name, text, hellinger, overlap, of_prior, of_likelihood, nan, nan, "")


def _worth(prior: Prior, posterior: ExactPosterior) -> float:
    """Return the number of average studies that know as much of a mean effect as its prior does."""
    if not (isinstance(prior, Normal) and posterior.problem.p == 1):
        return nan
    precision = 1 / (posterior.problem.v + posterior.nodes.tau2[:, None])
    return float(1 / (prior.sigma**2 * (posterior.nodes.weights @ precision.mean(axis=1))))


def shared(prior: Prior, posterior: Distribution) -> tuple[float, float]:
    """Return the Hellinger distance of two densities and the area that they share."""
    with np.errstate(all="ignore"):
        points = np.concatenate([prior.quantile(PLACES), posterior.quantile(PLACES)[:, 0]])
    rule = panels(np.unique(points[np.isfinite(points)]))
    with np.errstate(divide="ignore"):
        p = np.exp(prior.logpdf(rule.x))
    q: Floats = posterior.density(rule.x)[:, 0]
    affinity = float(rule.weights @ np.sqrt(p * q))
    return sqrt(max(0.0, 1 - affinity)), float(rule.weights @ np.minimum(p, q))


def _verdict(one: Informativeness) -> str:
    """Return what the numbers mean, the gravest first."""
    if one.tail < UNEXPECTED:
        return "prior and data are in conflict"
    if one.prior_sensitivity >= TELLING:
        weak = one.likelihood_sensitivity < TELLING
        return "the prior dominates" if weak else "prior and data both tell"
    if one.likelihood_sensitivity < TELLING:
        return "neither prior nor data tell much"
    return "the data tell"
