"""Power-scaling: the posterior when prior or likelihood is raised to a power, without refitting.

A quantity that moves when its prior is raised to 0.99 or 1.01 takes information from it; one that does not
move when the likelihood is takes none from the data. Both posteriors are Gaussian given tau, so that the
measure of Kallioinen et al. (2024) is integrated instead of being estimated from draws.

References
----------
Kallioinen N, Paananen T, Bürkner PC, Vehtari A (2024). Detecting and diagnosing prior and likelihood
sensitivity with power-scaling. Stat Comput 34:57. doi:10.1007/s11222-023-10366-5
"""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.conditional import prepare, require_one_tau
from bayesmeta.kernel import profile
from bayesmeta.sensitivity.nulls import in_prior_coordinates

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.exact import ExactPosterior
    from bayesmeta.results.marginal import Distribution

POWERS = (0.99, 1.01)
"""Powers between which the change is measured."""
DRAWS = 4000
"""Draws whose expected range is that over which distribution functions are compared, as for samples."""
TAU_NODES = 801
POINTS = 401
FARTHEST = 1e-10
"""Probability on each side that the grid of tau leaves out."""


class Sensitivity(NamedTuple):
    """How much quantities move when prior or likelihood is raised to a power."""

    prior: Floats
    """(p + 1,) sensitivity of the coefficients and of tau to their priors; above 0.05 they tell."""
    likelihood: Floats
    """(p + 1,) sensitivity to the likelihood; below 0.05 the data hardly tell."""


class _Scaled(NamedTuple):
    """A power-scaled posterior on a grid of tau."""

    tau: Floats
    """(m,) nodes."""
    weights: Floats
    """(m,) their probabilities."""
    cdf: Floats
    """(m,) distribution function of tau at the nodes."""
    mean: Floats
    """(m, p) means of the coefficients given tau."""
    sd: Floats
    """(m, p) standard deviations given tau."""


def power_scaling(posterior: ExactPosterior) -> Sensitivity:
    """Return the sensitivity of every coefficient and of tau to prior and likelihood.

    Parameters
    ----------
    posterior : ExactPosterior
        With a tau that is not known. Priors are those of the coefficients of the centred columns and of tau,
        scaled together; the likelihood has the study effects integrated out.
    """
    problem = in_prior_coordinates(posterior.problem)
    tau = _grid(posterior.tau)
    base = _scaled(problem, tau, 1.0, 1.0)
    return Sensitivity(
        _moved(base, [_scaled(problem, tau, power, 1.0) for power in POWERS]),
        _moved(base, [_scaled(problem, tau, 1.0, power) for power in POWERS]),
    )


def _grid(tau: Distribution) -> Floats:
    """Return (m,) values of tau, equidistant in its inverse hyperbolic sine, that hold its posterior."""
    low, middle, high = tau.quantile(np.array([FARTHEST, 0.5, 1 - FARTHEST]))[:, 0]
    first, last = np.arcsinh(low / middle), np.arcsinh(high / middle)
    return np.asarray(middle * np.sinh(np.linspace(first, last, TAU_NODES)))


def _scaled(problem: Problem, tau: Floats, prior: float, likelihood: float) -> _Scaled:
    """Return the posterior with prior and likelihood raised to powers.

    Notes
    -----
    Given tau, the likelihood is a normal density about its best coefficients b with precision I and the prior
    one about m with precision P; raised to powers and multiplied they have the precision ``l I + r P``.
    """
    require_one_tau(problem)
    data, known = prepare(problem)
    best = profile(data, tau * tau)
    information = likelihood * np.linalg.inv(best.cov)
    precision = prior * np.diag(known.precision)
    cov = np.linalg.inv(information + precision)
    pull = (information @ best.beta[:, :, None])[:, :, 0] + precision @ known.mean
    mean = (cov @ pull[:, :, None])[:, :, 0]
    away, off = best.beta - mean, mean - known.mean
    distance = np.einsum("mi,mij,mj->m", away, information, away) + off**2 @ np.diag(precision)
    log_f = likelihood * best.log_likelihood - 0.5 * distance + 0.5 * np.linalg.slogdet(cov)[1]
    log_f = log_f + prior * problem.priors.tau_density.logpdf(tau)
    weights, cdf = _integrated(tau, np.exp(log_f - log_f.max()))
    return _Scaled(tau, weights, cdf, mean, np.sqrt(np.diagonal(cov, axis1=1, axis2=2)))


def _integrated(tau: Floats, f: Floats) -> tuple[Floats, Floats]:
    """Return (m,) weights and (m,) distribution function of a density on the grid, by Simpson's rule."""
    from scipy.integrate import cumulative_simpson

    place = np.linspace(0.0, 1.0, tau.size)
    rate = f * np.gradient(tau, place, edge_order=2)
    simpson = np.where(np.arange(tau.size) % 2, 4.0, 2.0)
    simpson[[0, -1]] = 1.0
    weights, cdf = rate * simpson, cumulative_simpson(rate, x=place, initial=0.0)
    return weights / weights.sum(), np.asarray(cdf / cdf[-1])


def _moved(base: _Scaled, others: list[_Scaled]) -> Floats:
    """Return the (p + 1,) distances to the scaled posteriors per doubling of the power, averaged."""
    tail = 1 / (DRAWS + 1)
    parts = []
    for j in range(base.mean.shape[1]):
        reach = base.sd[:, j] * special.ndtri(1 - tail / 2)
        centre = base.mean[:, j]
        wide = np.linspace((centre - reach).min(), (centre + reach).max(), 4 * POINTS)
        first, last = np.interp([tail, 1 - tail], _mixture_cdf(base, j, wide), wide)
        x = np.linspace(first, last, POINTS)
        known = _mixture_cdf(base, j, x)
        parts.append(_rate(x, known, [_mixture_cdf(other, j, x) for other in others]))
    inside = (base.cdf >= tail) & (base.cdf <= 1 - tail)
    of_tau = _rate(base.tau[inside], base.cdf[inside], [other.cdf[inside] for other in others])
    return np.array([*parts, of_tau])


def _mixture_cdf(scaled: _Scaled, j: int, x: Floats) -> Floats:
    z = (x[:, None] - scaled.mean[:, j]) / scaled.sd[:, j]
    return np.asarray(special.ndtr(z) @ scaled.weights)


def _rate(x: Floats, known: Floats, others: list[Floats]) -> float:
    distances = [
        max(distance(x, known, other), distance(-x[::-1], 1 - known[::-1], 1 - other[::-1]))
        for other in others
    ]
    return float(np.mean([one / abs(log2(power)) for one, power in zip(distances, POWERS, strict=True)]))


def distance(x: Floats, P: Floats, Q: Floats) -> float:
    """Return the cumulative Jensen-Shannon distance of two distribution functions on a grid, 0 to 1.

    Parameters
    ----------
    x : (n,) array
        Points in increasing order.
    P, Q : (n,) arrays
        Distribution functions there.

    Notes
    -----
    Nguyen and Vreeken's divergence, ``int P log2(2 P / (P + Q)) + (Q - P) / (2 log 2)`` and the same with P
    and Q exchanged, divided by its bound ``int P + Q``; the distance is the square root.
    """
    P, Q = np.clip(P, 1e-300, 1.0), np.clip(Q, 1e-300, 1.0)
    middle = 0.5 * (P + Q)
    gap = P * np.log2(P / middle) + Q * np.log2(Q / middle)
    divergence = np.trapezoid(gap, x) / np.trapezoid(P + Q, x)
    return float(np.sqrt(max(divergence, 0.0)))
