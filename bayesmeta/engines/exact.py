"""The exact engine: the posterior of the normal model by integration over tau, without simulation.

Given tau everything is Gaussian (`bayesmeta.kernel`), so the posterior is a one-dimensional integral: tau is
integrated on Gauss-Legendre panels, and every effect is a finite mixture of normals over their nodes. The
panels are doubled until two node sets agree; their last difference is the error that the result carries.

References
----------
Röver C (2020). Bayesian random-effects meta-analysis using the bayesmeta R package. J Stat Softw 93(6).
doi:10.18637/jss.v093.i06
Röver C, Friede T (2017). Discrete approximation of a mixture distribution via restricted divergence. J Comput
Graph Stat 26:217-222. doi:10.1080/10618600.2016.1276840
"""

from __future__ import annotations

from math import asinh, inf, log
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.conditional import Conditional, Prepared, given_tau, prepare
from bayesmeta.errors import ModelError, NumericalError
from bayesmeta.priors import Fixed, Flat, Normal
from bayesmeta.properness import require_proper, tau_moments, whole_moments
from bayesmeta.quadrature import ORDER, Panels, interval_of_mass, panels
from bayesmeta.results.heterogeneity import PointMass, Substitution, TauDensity
from bayesmeta.results.nodes import Nodes

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem

FIRST_PANELS = 3
MOST_PANELS = 2**16 // ORDER
GOAL = 1e-11
"""Difference between two node sets at which the doubling stops, in log evidence and in sds."""
LIMIT = 1e-8
"""Difference above which there is no answer."""
LARGEST_U = 330.0
"""Beyond this tau^2 overflows."""


def why_not(problem: Problem) -> str:
    """Return why the exact engine cannot run the problem, or ``""`` if it can."""
    if problem.model.likelihood != "normal":
        return f"likelihood '{problem.model.likelihood}'"
    odd = [str(prior) for prior in problem.priors.beta if not isinstance(prior, Normal | Flat)]
    return f"prior {odd[0]} of a coefficient" if odd else ""


def integrate(problem: Problem) -> Nodes:
    """Return the posterior on the nodes of tau.

    Parameters
    ----------
    problem : Problem
        With the normal likelihood and normal or flat priors of the coefficients.

    Raises
    ------
    ModelError
        If the engine cannot run the problem.
    ImproperPosteriorError
        If the posterior does not exist.
    NumericalError
        If two node sets do not come to agree to 1e-8.
    """
    reason = why_not(problem)
    if reason:
        raise ModelError(f"engine 'exact' cannot run {reason}; use engine='nuts'")
    require_proper(problem)
    integrand = _integrand(problem)
    if isinstance(problem.priors.tau_density, Fixed):
        return _at_one_tau(integrand, problem.priors.tau_density.value)
    interval = interval_of_mass(integrand.log_reach, *_search_limits(problem, integrand))
    return _doubled(problem, integrand, interval)


class _Integrand(NamedTuple):
    """Log of the posterior density of u, up to its constant, and what it is made of."""

    problem: Problem
    prepared: Prepared
    substitution: Substitution
    reach: int
    """Order of the highest moment of tau that the interval must hold."""

    def conditional(self, tau: Floats) -> Conditional:
        return given_tau(self.problem, tau, self.prepared)

    def log_density(self, u: Floats, tau: Floats, known: Conditional) -> Floats:
        log_prior = self.problem.priors.tau_density.logpdf(tau)
        return known.log_marginal + log_prior + self.substitution.log_derivative(u)

    def log_reach(self, u: Floats) -> Floats:
        """Return the log integrand of the highest moment, which is the last to vanish."""
        tau = self.substitution.tau(u)
        growth = 0.5 * self.reach * np.log1p((tau / self.substitution.scale) ** 2)
        return self.log_density(u, tau, self.conditional(tau)) + growth


def _integrand(problem: Problem) -> _Integrand:
    density = problem.priors.tau_density
    smallest = float(np.sqrt(problem.v.min()))
    scale = min(smallest, density.typical) if density.typical > 0 else smallest
    return _Integrand(
        problem=problem,
        prepared=prepare(problem),
        substitution=Substitution(scale, logarithmic=not density.regular),
        reach=max(0, min(4, whole_moments(tau_moments(problem)))),
    )


def _search_limits(problem: Problem, integrand: _Integrand) -> tuple[float, float]:
    """Return limits of u between which all of the integrand is."""
    low, high = problem.priors.tau_density.support
    scale, logarithmic = integrand.substitution
    if logarithmic:
        first = log(low / scale) if low > 0 else -LARGEST_U
        return first, min(log(high / scale), LARGEST_U) if high < inf else LARGEST_U
    return asinh(low / scale), min(asinh(high / scale), LARGEST_U) if high < inf else LARGEST_U


def _doubled(problem: Problem, integrand: _Integrand, interval: tuple[float, float]) -> Nodes:
    """Return the nodes of the first rule that agrees with the one of half its panels."""
    n = FIRST_PANELS
    coarse = _evaluate(problem, integrand, panels(np.linspace(*interval, n + 1)))
    while True:
        n *= 2
        fine = _evaluate(problem, integrand, panels(np.linspace(*interval, n + 1)))
        error = difference(coarse, fine)
        if error <= GOAL or 2 * n > MOST_PANELS:
            break
        coarse = fine
    if not error <= LIMIT:
        raise NumericalError(
            f"the integral over tau did not settle: {16 * n} nodes differ from {8 * n} by {error:.1g}; "
            "is the prior of tau extremely narrow or discontinuous?"
        )
    return fine._replace(error=error)


def difference(coarse: Nodes, fine: Nodes) -> float:
    """Return the largest difference of two node sets, in log evidence and in standard deviations.

    Compared are the log evidence, mean and spread of each coefficient, and the distribution function of tau
    at the edges of the coarser panels.
    """
    spread = np.sqrt(fine.weights @ np.diagonal(fine.cov, axis1=1, axis2=2))
    shift = np.abs(coarse.weights @ (coarse.beta - fine.beta[0]) - fine.weights @ (fine.beta - fine.beta[0]))
    width = np.abs(np.sqrt(coarse.weights @ np.diagonal(coarse.cov, axis1=1, axis2=2)) / spread - 1)
    parts = [np.abs([coarse.log_evidence - fine.log_evidence]), shift / spread, width]
    if isinstance(coarse.tau, TauDensity) and isinstance(fine.tau, TauDensity):
        inner = coarse.tau.substitution.tau(coarse.tau.rule.edges[1:-1])
        parts.append(np.abs(coarse.tau.cdf(inner) - fine.tau.cdf(inner))[:, 0])
    return float(np.concatenate(parts).max())


def _evaluate(problem: Problem, integrand: _Integrand, rule: Panels) -> Nodes:
    tau = integrand.substitution.tau(rule.x)
    known = integrand.conditional(tau)
    log_f = integrand.log_density(rule.x, tau, known)
    peak = float(log_f.max())
    f = np.exp(log_f - peak)
    total = float(f @ rule.weights)
    moments = whole_moments(tau_moments(problem))
    distribution = TauDensity(integrand.substitution, rule, f / total, moments=moments)
    return _nodes(known, distribution, distribution.weights, peak + log(total))


def _at_one_tau(integrand: _Integrand, tau: float) -> Nodes:
    known = integrand.conditional(np.array([tau]))
    return _nodes(known, PointMass(tau), np.ones(1), float(known.log_marginal[0]))


def _nodes(known: Conditional, tau: TauDensity | PointMass, weights: Floats, log_evidence: float) -> Nodes:
    return Nodes(
        tau=tau,
        tau2=known.tau2,
        weights=weights,
        beta=known.beta,
        cov=known.cov,
        log_evidence=log_evidence,
        error=0.0,
    )
