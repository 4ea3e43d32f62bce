"""Do the priors expect data like these? Tail probabilities of Cochran's Q and of the fixed effect.

Both statistics are compared with their distribution before the data were seen: given tau, Q is a weighted sum
of chi-squared variables and the fixed effect is normal; tau and the coefficients are then averaged over their
priors.

References
----------
Box GEP (1980). Sampling and Bayes' inference in scientific modelling and robustness. J R Stat Soc A
143:383-430. doi:10.2307/2982063
Evans M, Moshonov H (2006). Checking for prior-data conflict. Bayesian Anal 1:893-914. doi:10.1214/06-BA129
Buckley MJ, Eagleson GK (1988). An approximation to the distribution of quadratic forms in normal random
variables. Aust J Stat 30A:150-159. doi:10.1111/j.1467-842X.1988.tb00471.x
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.classical.projection import project
from bayesmeta.kernel import gaussian_data
from bayesmeta.priors import Fixed, Normal
from bayesmeta.priors.adaptive import Product

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem

LOGIT = np.linspace(-25.0, 25.0, 201)
"""Log odds of the probabilities at whose quantiles a prior is averaged."""
WIDE_LOG = np.linspace(-40.0, 40.0, 801)
SMALLEST_Q = 1e-12
"""Q is not told from less: it is the sum of squared rounding errors."""
LARGEST = 1e45
"""Largest tau, whose sixth power is still finite."""


class Scatter(NamedTuple):
    """Cochran's Q beside what the prior of tau expects."""

    Q: float
    """Q of the data."""
    df: int
    """Its degrees of freedom, k - p."""
    tail: float
    """Prior predictive probability of a Q as extreme: twice that of a larger one, or that of a smaller one
    relative to its probability without heterogeneity, since no prior of tau can explain less scatter."""
    tau: float
    """Moment estimate of tau from Q (DerSimonian and Laird)."""


class Location(NamedTuple):
    """Fixed effect of one coefficient beside what its prior expects."""

    name: str
    """Coefficient; moderators are centred as its prior is."""
    estimate: float
    """Fixed effect."""
    se: float
    """Its standard error."""
    tail: float
    """Prior predictive probability of an estimate at least as extreme, on both sides."""


def scatter(problem: Problem) -> Scatter | None:
    """Return Q and its prior predictive tail probability; None with an improper prior, or with k = p.

    Notes
    -----
    Given tau, Q is a sum of chi-squared variables with the weights ``1 + tau^2 d_j``, d_j being the
    eigenvalues of the projection. Its distribution function is that of the chi-squared variable with the same
    first three cumulants, which is exact where all variances are equal.
    """
    y, v, X = _estimates(problem)
    if not problem.priors.tau_density.proper or y.size <= X.shape[1]:
        return None
    fixed = project(gaussian_data(y, v, X), np.zeros(1))
    Q, df = float(fixed.Q[0]), y.size - X.shape[1]
    traces = _traces(fixed.weights[0], fixed.basis[0])
    tau, weights = nodes(problem.priors.tau_density)
    below, above = weights @ tails(Q, df, traces, np.minimum(tau, LARGEST) ** 2).T
    without = special.gammainc(df / 2, max(Q, SMALLEST_Q) / 2)
    moment = sqrt(max(0.0, (Q - df) / traces[0]))
    return Scatter(Q, df, float(min(2 * above, below / without)), moment)


def locations(problem: Problem) -> list[Location]:
    """Return the fixed effect of each coefficient that has a proper prior, with its tail probability."""
    priors = problem.priors
    y, v, X = _estimates(problem)
    if not priors.tau_density.proper or np.linalg.matrix_rank(X) < X.shape[1]:
        return []
    basis, root = np.linalg.qr(X / np.sqrt(v)[:, None])
    to_estimate = np.linalg.solve(root, basis.T / np.sqrt(v))
    tau, weights = nodes(priors.tau_density)
    variance = to_estimate**2 @ (v[:, None] + np.minimum(tau, LARGEST) ** 2)
    estimates = to_estimate @ y
    return [
        Location(
            name,
            float(estimates[j]),
            sqrt(float(to_estimate[j] ** 2 @ v)),
            _tail(prior, estimates[j], s2, weights),
        )
        for j, (name, prior, s2) in enumerate(zip(problem.coefficients, priors.beta, variance, strict=True))
        if prior.proper
    ]


def _estimates(problem: Problem) -> tuple[Floats, Floats, Floats]:
    """Return effects, variances and centred design of the studies that have an estimate."""
    which = problem.studies.estimable
    return problem.y[which], problem.v[which], problem.X_prior[which]


def _tail(prior: Prior, estimate: float, variance: Floats, weights: Floats) -> float:
    """Return the two-sided tail probability of an estimate with the variances (m,) given tau."""
    if isinstance(prior, Normal):
        below = special.ndtr((estimate - prior.mu) / np.sqrt(variance + prior.sigma**2))
    else:
        beta, mass = nodes(prior)
        below = special.ndtr((estimate - beta) / np.sqrt(variance)[:, None]) @ mass
    total = float(weights @ below)
    return 2 * min(total, 1 - total)


def nodes(prior: Prior) -> tuple[Floats, Floats]:
    """Return points of a proper prior, and their weights, for averages over it."""
    if len(prior.parts) > 1:
        parts = [(weight, *nodes(part)) for weight, part in prior.parts]
        points = np.concatenate([x for _, x, _ in parts])
        return points, np.concatenate([weight * share for weight, _, share in parts])
    if isinstance(prior, Fixed):
        return np.array([prior.value]), np.ones(1)
    if isinstance(prior, Product):
        x = prior.typical * np.exp(WIDE_LOG)
        return _normalised(x, np.exp(prior.logpdf(x)) * x)
    return _normalised(prior.quantile(special.expit(LOGIT)), special.expit(LOGIT) * special.expit(-LOGIT))


def _normalised(x: Floats, weights: Floats) -> tuple[Floats, Floats]:
    known = np.isfinite(x)
    return x[known], weights[known] / weights[known].sum()


def _traces(weights: Floats, basis: Floats) -> tuple[float, float, float]:
    """Return the traces of the first three powers of ``P = (I - H) W``, H projecting on the columns."""
    powers = [basis.T @ (weights[:, None] ** r * basis) for r in (1, 2, 3)]
    S1, S2, S3 = powers
    first = weights.sum() - np.trace(S1)
    second = (weights**2).sum() - 2 * np.trace(S2) + np.sum(S1 * S1)
    third = (weights**3).sum() - 3 * np.trace(S3) + 3 * np.sum(S1 * S2) - np.trace(S1 @ S1 @ S1)
    return float(first), float(second), float(third)


def tails(Q: float, df: int, traces: tuple[float, float, float], tau2: Floats) -> Floats:
    """Return the probabilities (2, m) of a smaller and a larger Q given tau^2 (m,), by three cumulants."""
    first, second, third = traces
    mean = df + tau2 * first
    squares = df + tau2 * (2 * first + tau2 * second)
    cubes = df + tau2 * (3 * first + tau2 * (3 * second + tau2 * third))
    nu = squares * (squares / cubes) ** 2
    matched = np.maximum(nu + (max(Q, SMALLEST_Q) - mean) * np.sqrt(nu / squares), 0.0)
    return np.stack([special.gammainc(nu / 2, matched / 2), special.gammaincc(nu / 2, matched / 2)])
