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

from functools import cache, partial
from math import ceil, inf, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.conditional import Conditional, given_tau, prepare
from bayesmeta.errors import ModelError, NumericalError
from bayesmeta.priors import Fixed, Flat, Normal
from bayesmeta.priors.adaptive import Product
from bayesmeta.properness import integrable_moments, require_proper, tau_moments, whole_moments
from bayesmeta.quadrature import DEPTH, ORDER, Panels, highest, interval_of_mass, panels
from bayesmeta.results.heterogeneity import PointMass, Substitution, TauDensity
from bayesmeta.results.nodes import Nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem

LONGEST_PANEL = 2.0
"""Length in u that a panel starts with: the singularities of the likelihood are pi/2 away."""
FEWEST_PANELS = 3
MOST_PANELS = 2**16 // ORDER
GOAL = 1e-11
"""Difference between two node sets at which the doubling stops, in log evidence and in sds."""
LIMIT = 1e-8
"""Difference above which there is no answer."""
LARGEST_U = 330.0
LARGEST_TAU = 1e150
"""Beyond this tau^2 overflows."""
SEED_STEP = 0.75
"""Distance in u of the points from which the search for the posterior starts."""
FARTHER = 2.0 ** np.arange(-1, 10)
"""And their distances from where features are."""
UNSETTLED = (
    "the integral over tau did not settle with {nodes} nodes; is the prior of tau extremely narrow or "
    "discontinuous?"
)
PRIOR_POINTS = np.array([1e-6, 1e-3, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999, 1 - 1e-6])
"""Probabilities of the quantiles of the prior from which it starts, too."""


def why_not(problem: Problem) -> str:
    """Return why the exact engine cannot run the problem, or ``""`` if it can."""
    if problem.model.likelihood != "normal":
        return f"likelihood '{problem.model.likelihood}'"
    odd = [str(prior) for prior in problem.priors.beta if not isinstance(prior, Normal | Flat)]
    if odd:
        return f"prior {odd[0]} of a coefficient"
    parts = [part for _, part in problem.priors.tau_density.parts]
    in_pieces = len(parts) > 1 and any(isinstance(part, Fixed) for part in parts)
    return f"prior {problem.priors.tau} of {problem.priors.tau_on} in one piece" if in_pieces else ""


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
    integrand = integrand_of(problem)
    if isinstance(problem.priors.tau_density, Fixed):
        return _at_one_tau(integrand, problem.priors.tau_density.value)
    return _doubled(integrand, _interval(integrand))


class _Integrand(NamedTuple):
    """Log of the posterior density of u, up to its constant, and what it is made of."""

    problem: Problem
    substitution: Substitution
    moments: int
    """Order of the highest moment of tau that exists."""
    integrated: int
    """Order of the highest moment that falls quickly enough to be integrated."""
    unbounded: bool
    """Whether the density of tau has no bound at 0."""

    def conditional(self, tau: Floats) -> Conditional:
        try:
            return given_tau(self.problem, tau)
        except np.linalg.LinAlgError:
            raise NumericalError(
                f"the coefficients cannot be told apart at tau = {tau.max():.0e}, which the prior of tau "
                "reaches; give all coefficients a Normal prior, or tau one with a lighter tail"
            ) from None

    def log_density(self, u: Floats, tau: Floats, known: Conditional) -> Floats:
        log_prior = self.problem.priors.tau_density.logpdf(tau)
        return known.log_marginal + log_prior + self.substitution.log_derivative(u)

    def log_reach(self, u: Floats) -> Floats:
        """Return the log integrand and that of the highest moment in use, the last to vanish, (2, m).

        Without moments the first alone, (1, m).
        """
        tau = self.substitution.tau(u)
        log_f = self.log_density(u, tau, self.conditional(tau))
        order = min(4, self.integrated)
        if order <= 0:
            return log_f[None]
        return np.stack([log_f, log_f + 0.5 * order * np.log1p((tau / self.substitution.scale) ** 2)])


def integrand_of(problem: Problem) -> _Integrand:
    """Return the integrand over tau, in a variable that suits the prior of tau."""
    density = problem.priors.tau_density
    smallest = float(np.sqrt(problem.v.min()))
    scale = min(smallest, density.typical) if density.typical > 0 else smallest
    substitution = Substitution(scale, logarithmic=not density.regular)
    bound = tau_moments(problem)
    orders = whole_moments(bound), integrable_moments(bound)
    return _Integrand(problem, substitution, *orders, _unbounded(density))


def _unbounded(prior: Prior) -> bool:
    """Return whether the density of a prior rises without bound towards 0, like a negative power."""
    if prior.regular or prior.support[0] > 0:
        return False
    lower, upper = prior.logpdf(np.array([1e-200, 1e-100]))
    return bool(lower - upper > 1.0)


def _interval(integrand: _Integrand) -> tuple[float, float]:
    """Return limits of u between which all of the posterior is.

    Raises
    ------
    NumericalError
        If the posterior reaches beyond the largest numbers.
    """
    seeds = seeds_of(integrand)
    low, high = interval_of_mass(integrand.log_reach, seeds)
    if (
        high >= seeds[-1]
        and integrand.problem.priors.tau_density.support[1] == inf
        and _still_high(integrand, low, high)
    ):
        raise NumericalError(
            f"the posterior of tau reaches beyond {integrand.substitution.tau(np.array(high)):.0e}: its tail "
            "falls too slowly; use a prior of tau with a lighter tail, such as HalfNormal or HalfCauchy"
        )
    return low, high


def _still_high(integrand: _Integrand, low: float, high: float) -> bool:
    ends = highest(integrand.log_reach(np.append(np.linspace(low, high, 200), high)))
    return bool(ends[-1] > -DEPTH)


def seeds_of(integrand: _Integrand) -> Floats:
    """Return points of u in increasing order, dense where the likelihood or the prior can have features."""
    first, last = _search_limits(integrand)
    problem, substitution = integrand.problem, integrand.substitution
    residual = prepare(problem).data.residual
    smallest, largest = sqrt(problem.v.min()), sqrt(max(problem.v.max(), (residual * residual).max()))
    begin, end = substitution.u(np.array([1e-2 * smallest, 1e2 * largest])).tolist()
    middle = np.arange(min(max(begin, first), last), min(max(end, first), last), SEED_STEP)
    outside = (begin - FARTHER, end + FARTHER)
    points = np.concatenate([[first, last], middle, *outside, _prior_points(integrand)])
    points = np.sort(points[(points >= first) & (points <= last)])
    return np.asarray(points[np.append(True, points[1:] > points[:-1])])


def _prior_points(integrand: _Integrand) -> Floats:
    prior = integrand.problem.priors.tau_density
    if not prior.proper or isinstance(prior, Product):
        return np.array([])
    u = integrand.substitution.u(prior.quantile(PRIOR_POINTS))
    return np.asarray(u[np.isfinite(u)])


def _search_limits(integrand: _Integrand) -> tuple[float, float]:
    """Return limits of u between which all of the integrand is."""
    low, high = integrand.problem.priors.tau_density.support
    substitution = integrand.substitution
    with np.errstate(divide="ignore"):
        first, last = substitution.u(np.array([low, high]))
    ends = substitution.u(np.array([1 / LARGEST_TAU, LARGEST_TAU]))
    first = max(first, -LARGEST_U, ends[0]) if substitution.logarithmic else max(first, 0.0)
    return float(first), float(min(last, LARGEST_U, ends[1]))


def _doubled(integrand: _Integrand, interval: tuple[float, float]) -> Nodes:
    """Return the nodes of the first rule that agrees with the one of twice its panels."""
    n = max(FEWEST_PANELS, ceil((interval[1] - interval[0]) / LONGEST_PANEL))
    coarse = _nested(integrand, [_even_panels(interval, m) for m in (n, 2 * n, 4 * n)])
    before = inf
    while True:
        fine = _finer(coarse)
        error = difference(coarse, fine)
        if error <= GOAL or 4 * n > MOST_PANELS or _only_noise(error, before):
            break
        n, coarse, before = 2 * n, fine, error
    if not error <= LIMIT:
        raise NumericalError(UNSETTLED.format(nodes=2 * n * ORDER))
    tau = _interpolable(_density(coarse), _density(fine), _rounding(fine.log_evidence))
    return coarse._replace(tau=tau, log_evidence=fine.log_evidence, error=error)


def refined(integrand: _Integrand, nodes: Nodes) -> Nodes:
    """Return the posterior on twice the panels.

    Raises
    ------
    NumericalError
        If that takes more than 2^16 nodes.
    """
    edges = _density(nodes).rule.edges
    n = 2 * (edges.size - 1)
    if n > MOST_PANELS:
        raise NumericalError(UNSETTLED.format(nodes=n * ORDER // 2))
    return evaluate(integrand, _even_panels((edges[0], edges[-1]), n))


def _even_panels(interval: tuple[float, float], n: int) -> Panels:
    low, high = interval
    edges = low + (high - low) / n * np.arange(n + 1.0)
    edges[-1] = high
    return panels(edges)


def _rounding(log_evidence: float) -> float:
    """Return what rounding leaves of a density whose logarithm is of the size of the log evidence."""
    return min(LIMIT, max(GOAL, 16 * float(np.finfo(np.float64).eps) * abs(log_evidence)))


def _interpolable(coarse: TauDensity, fine: TauDensity, tolerance: float) -> TauDensity:
    """Return tau on panels so short that polynomials through their nodes agree with those of half the length.

    Interpolating takes shorter panels than integrating, whose error is the square of it.
    """
    before = inf
    while True:
        error = float(np.abs(coarse.panels.at_halves() - fine.f).max() / fine.f.max())
        if error <= tolerance or _only_noise(error, before):
            return coarse
        assert fine.finer is not None  # noqa: S101 - every density that is integrated has one
        coarse, fine, before = fine, fine.finer(), error


def _only_noise(error: float, before: float) -> bool:
    """Return whether doubling no longer helps though the error is tolerable, as under a narrow prior."""
    return error <= LIMIT and error > before / 2


def _finer(nodes: Nodes) -> Nodes:
    assert nodes.finer is not None  # noqa: S101 - only where tau is known there is none
    return nodes.finer()


def _density(nodes: Nodes) -> TauDensity:
    assert isinstance(nodes.tau, TauDensity)  # noqa: S101 - tau is integrated
    return nodes.tau


def difference(coarse: Nodes, fine: Nodes) -> float:
    """Return the largest difference of two node sets, in log evidence and in standard deviations.

    Compared are the log evidence, mean and spread of each coefficient within the middle of the posterior of
    tau, and the distribution function of tau at the edges of the coarser panels.
    """
    parts = [abs(coarse.log_evidence - fine.log_evidence), *_shifts(coarse, fine)]
    if isinstance(coarse.tau, TauDensity) and isinstance(fine.tau, TauDensity):
        shared = fine.tau.panel_masses[::2] + fine.tau.panel_masses[1::2]
        parts += [np.abs((coarse.tau.panel_masses - shared).cumsum()).max()]
    return float(max(parts))


def _shifts(coarse: Nodes, fine: Nodes) -> tuple[float, float]:
    """Return the differences of means and of spreads; the spreads of heavy tails are bounded."""
    best = int(fine.weights.argmax())
    centre, variance = fine.deviation[best], fine.variances[best]
    (mean, spread), (other_mean, other_spread) = (
        _damped_moments(nodes, centre, variance) for nodes in (coarse, fine)
    )
    shifts = np.abs(mean - other_mean), np.abs(spread - other_spread)
    return float(shifts[0].max(initial=0.0)), float(shifts[1].max(initial=0.0))


def _damped_moments(nodes: Nodes, centre: Floats, variance: Floats) -> tuple[Floats, Floats]:
    z = (nodes.deviation - centre) / np.sqrt(variance)
    square = z * z + nodes.variances / variance
    damping = 1 / (1 + square)
    return nodes.weights @ (z * damping), nodes.weights @ (square * damping)


def evaluate(integrand: _Integrand, rule: Panels) -> Nodes:
    """Return the posterior on the nodes of a rule, and how to get it on twice the panels."""
    return _on_nodes(integrand, rule, *_evaluated(integrand, rule.x))


def _nested(integrand: _Integrand, rules: list[Panels]) -> Nodes:
    """Return the posterior on the nodes of a rule, and of the next ones, each of twice the panels."""
    known, log_f = _evaluated(integrand, np.concatenate([rule.x for rule in rules]))
    nodes, stop = None, log_f.size
    for rule in reversed(rules):
        part = slice(stop - rule.x.size, stop)
        finer = None if nodes is None else partial(_itself, nodes)
        nodes, stop = _on_nodes(integrand, rule, known.part(part), log_f[part], finer), part.start
    assert nodes is not None  # noqa: S101 - there are rules
    return nodes


def _itself(nodes: Nodes) -> Nodes:
    return nodes


def _evaluated(integrand: _Integrand, u: Floats) -> tuple[Conditional, Floats]:
    tau = integrand.substitution.tau(u)
    known = integrand.conditional(tau)
    return known, integrand.log_density(u, tau, known)


def _on_nodes(
    integrand: _Integrand,
    rule: Panels,
    known: Conditional,
    log_f: Floats,
    finer: Callable[[], Nodes] | None = None,
) -> Nodes:
    peak = float(log_f.max())
    f = np.exp(log_f - peak)
    total = float(f @ rule.weights)
    twice = cache(lambda: refined(integrand, nodes)) if finer is None else finer
    distribution = TauDensity(
        integrand.substitution,
        rule,
        f / total,
        moments=integrand.moments,
        finer=lambda: _density(twice()),
        unbounded=integrand.unbounded,
        integrated=integrand.integrated,
    )
    nodes = _nodes(known, distribution, distribution.weights, peak + log(total))._replace(finer=twice)
    return nodes


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
        origin=known.origin,
        deviation=known.deviation,
    )
