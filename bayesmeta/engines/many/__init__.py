"""The exact engine for many small meta-analyses at once: arrays of reviews instead of one review.

Reviews with about the same number of studies are integrated together, by the trapezoidal rule in a variable
of their own. In ``u = asinh(tau / scale)`` the integrand of a prior that is an even function of tau is even
and analytic in a strip, in ``u = log(tau / scale)`` any smooth one is; there it converges exponentially,
every second node is a rule of its own (their difference is the error), and distribution functions between
nodes follow from interpolation by sinc functions. Reviews that have not settled get twice the nodes. Without
moderators, with a flat or normal prior of mu.

References
----------
Trefethen LN, Weideman JAC (2014). The exponentially convergent trapezoidal rule. SIAM Rev 56:385-458.
doi:10.1137/130932132
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bayesmeta.engines.many.effects import above, below, mean_and_sd, quantiles_of_effects, robust_spread
from bayesmeta.engines.many.sinc import cdf_at_nodes, moments_of_tau, quantiles_of_u
from bayesmeta.engines.many.values import (
    Answers,
    Nodes,
    Reviews,
    inconsistency,
    joined,
    relocated,
    statistics,
)
from bayesmeta.kernel import LOG_2PI
from bayesmeta.quadrature import DEPTH
from bayesmeta.results.heterogeneity import Substitution

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.priors import Prior

__all__ = ["Answers", "Reviews", "integrate_many"]

FIRST_STEPS = 96
MOST_STEPS = 1536
GOAL = 1e-9
"""Difference between two node sets at which a review has settled, in log evidence and in sds."""
LARGEST_U = 80.0
ZOOM_POINTS = 20
ZOOMS = 3
CHUNK = 2_000_000
"""Weights of studies held in memory at once."""
MOST_REVIEWS = 2_000
"""Reviews taken at once; fewer make threads wait for one another, more fill the memory."""
FACTORS = 4
"""Variances multiplied before a logarithm is taken; (tau / scale)^8 at the largest u does not overflow."""


def integrate_many(reviews: Reviews, prior: Prior, *, moments: Floats, prob: float = 0.95) -> Answers:
    """Return the posteriors of reviews that have about the same number of studies.

    Parameters
    ----------
    reviews : Reviews
        Effects and variances; the posterior of each must exist.
    prior : Prior
        Prior of tau, in the units of each review.
    moments : (R,) array
        Bounds below which the orders of existing moments of tau lie (`bayesmeta.properness`).
    prob : float
        Probability of the intervals.

    Notes
    -----
    Reviews are taken in chunks of bounded memory. An error above 1e-8 means that a review did not settle; its
    numbers are then not to be used.
    """
    per_review = reviews.y.shape[1] * FIRST_STEPS
    step = max(1, min(CHUNK // per_review, MOST_REVIEWS))
    parts = [
        _Chunk(reviews.take(which), prior, moments[which]).answers(prob)
        for which in (slice(start, start + step) for start in range(0, reviews.y.shape[0], step))
    ]
    return joined(parts)


class _Chunk:
    """Reviews in standard units: divided by a scale of their own and centred."""

    def __init__(self, reviews: Reviews, prior: Prior, moments: Floats) -> None:
        self.prior, self.moments, self.unit = prior, moments, reviews.unit
        self.flat_mu = bool(np.all(reviews.precision == 0))
        smallest = np.sqrt(reviews.v.min(axis=1))
        typical = prior.typical * reviews.unit
        self.scale = np.where(typical > 0, np.minimum(smallest, typical), smallest)
        self.substitution = Substitution(1.0, logarithmic=not prior.even)
        there = np.arange(reviews.y.shape[1]) < reviews.k[:, None]
        weights = there / (reviews.v + np.median(reviews.v, axis=1, keepdims=True))
        self.centre = (weights * reviews.y).sum(axis=1) / weights.sum(axis=1)
        residual = (reviews.y - self.centre[:, None]) / self.scale[:, None]
        self.v = reviews.v / self.scale[:, None] ** 2
        self.k, self.beyond = reviews.k, reviews.y.shape[1] - reviews.k
        self.products = np.stack([there, there * residual, there * residual**2], axis=1)
        self.precision = reviews.precision * self.scale**2
        self.offset = (reviews.mean - self.centre) / self.scale
        self.typical_v = _typical_variance(there / reviews.v, reviews.k)

    def given(self, u: Floats, which: Ints | slice) -> tuple[Floats, Floats, Floats, Floats]:
        """Return log density of u, tau, mean and variance of mu given tau, each (R, m)."""
        tau = self.substitution.tau(u)
        total = self.v[which][:, :, None] + (tau * tau)[:, None, :]
        log_det = _log_product(total) - self.beyond[which][:, None] * np.log(total[:, -1])
        sums = np.matmul(self.products[which], np.reciprocal(total, out=total))
        precision, offset = self.precision[which][:, None], self.offset[which][:, None]
        information = sums[:, 0] + precision
        score = sums[:, 1] + precision * offset
        beta = score / information
        rss = np.maximum(sums[:, 2] + precision * offset**2 - score * beta, 0.0)
        log_marginal = -0.5 * (log_det + rss + np.log(information) + (self.k[which][:, None] - 1) * LOG_2PI)
        with np.errstate(divide="ignore"):
            constant = np.where(precision > 0, 0.5 * (np.log(precision) - LOG_2PI), 0.0)
        scale, unit = self.scale[which][:, None], self.unit[which][:, None]
        log_prior = self.prior.logpdf(tau * scale / unit) + np.log(scale / unit)
        log_f = log_marginal + constant + log_prior + _log_derivative(u, self.substitution)
        return log_f, tau, beta, 1 / information

    def limits(self) -> tuple[Floats, Floats]:
        """Return the (R,) ends of the intervals of u outside which nothing counts."""
        count = self.scale.size
        low = np.full(count, -LARGEST_U if self.substitution.logarithmic else 0.0)
        high = np.full(count, LARGEST_U)
        rows = np.arange(count)
        fraction = np.linspace(0.0, 1.0, ZOOM_POINTS)
        for _ in range(ZOOMS):
            u = low[:, None] + (high - low)[:, None] * fraction
            log_f = self._with_moments(u)
            above = log_f > log_f.max(axis=1, keepdims=True) - DEPTH
            begin = np.maximum(above.argmax(axis=1) - 1, 0)
            end = np.minimum(ZOOM_POINTS - above[:, ::-1].argmax(axis=1), ZOOM_POINTS - 1)
            low, high = u[rows, begin], u[rows, end]
        return low, high

    def _with_moments(self, u: Floats) -> Floats:
        """Return the log integrand of the highest moment that is reported, which is the last to vanish."""
        log_f, tau, _, _ = self.given(u, slice(None))
        order = np.clip(np.ceil(self.moments) - 1, 0.0, 2.0)[:, None]
        return np.asarray(log_f + 0.5 * order * np.log1p(tau * tau))

    def on_nodes(self, low: Floats, high: Floats, steps: int, which: Ints) -> Nodes:
        """Return the posterior on nodes at the ends of `steps` equal steps."""
        low, length = low[which][:, None], (high - low)[which][:, None]
        u = low + length * np.linspace(0.0, 1.0, steps + 1)
        log_f, tau, beta, variance = self.given(u, which)
        even = (low[:, 0] == 0.0) & (not self.substitution.logarithmic)
        peak = log_f.max(axis=1, keepdims=True)
        f = np.exp(log_f - peak)
        f[even, 0] /= 2
        total = f.sum(axis=1, keepdims=True)
        log_evidence = (peak + np.log(total * length / steps))[:, 0]
        log_evidence -= (self.k[which] - self.flat_mu) * np.log(self.scale[which])
        return Nodes(u, tau, f / total, beta, variance, even, log_evidence)

    def answers(self, prob: float) -> Answers:
        """Return the posteriors, doubling the nodes of the reviews that have not settled."""
        low, high = self.limits()
        probabilities = np.array([(1 - prob) / 2, 0.5, (1 + prob) / 2])
        active, steps = np.arange(self.scale.size), FIRST_STEPS
        found: list[Answers] = []
        order: list[Ints] = []
        while active.size:
            answer = self._summary(self.on_nodes(low, high, steps, active), active, probabilities)
            steps *= 2
            done = (answer.error <= GOAL) | (steps > MOST_STEPS)
            found.append(answer.take(done))
            order.append(active[done])
            active = active[~done]
        return joined(found).take(np.argsort(np.concatenate(order)))

    def _summary(self, nodes: Nodes, which: Ints, p: Floats) -> Answers:
        scale, centre, moments = self.scale[which], self.centre[which], self.moments[which]
        mean, sd = mean_and_sd(nodes)
        of_tau = moments_of_tau(nodes)
        quantiles = quantiles_of_effects(nodes, mean, sd, p)
        tau = self.substitution.tau(quantiles_of_u(nodes, p))
        mu_bound = moments if self.flat_mu else np.full(moments.shape, np.inf)
        rows = [
            relocated(statistics(mean[:, 0], sd[:, 0], quantiles[:, 0], mu_bound), scale, centre),
            relocated(statistics(*of_tau, tau, moments), scale, np.zeros(scale.size)),
            relocated(statistics(mean[:, 1], sd[:, 1], quantiles[:, 1], moments), scale, centre),
            inconsistency(nodes, tau, self.typical_v[which] / scale**2),
        ]
        error = _error(nodes, mean, sd, quantiles, p, (mu_bound, moments))
        apart = np.abs(moments_of_tau(nodes.thinned(2))[0] - of_tau[0]) / robust_spread(nodes, sd)[:, 1]
        error = np.maximum(error, np.where(moments > 1, apart, 0.0))
        error[np.isnan(tau).any(axis=1)] = np.nan
        return Answers(np.stack(rows, axis=1), above(nodes, -centre / scale), nodes.log_evidence, error)


def _log_derivative(u: Floats, substitution: Substitution) -> Floats:
    """Return the log of d tau / du at u, which is not negative for the hyperbolic sine."""
    return u if substitution.logarithmic else u + np.log1p(np.exp(-2 * u)) - np.log(2)


def _typical_variance(w: Floats, k: Ints) -> Floats:
    """Return Higgins and Thompson's typical variance given weights (R, n), NaN for a single study."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((k - 1) * w.sum(axis=1) / (w.sum(axis=1) ** 2 - (w * w).sum(axis=1)))


def _log_product(total: Floats) -> Floats:
    """Return the (R, m) logs of the products of (R, k, m) variances, which are at least 1."""
    found = np.zeros((total.shape[0], total.shape[2]))
    for start in range(0, total.shape[1], FACTORS):
        found += np.log(np.multiply.reduce(total[:, start : start + FACTORS], axis=1))
    return found


def _error(
    nodes: Nodes, mean: Floats, sd: Floats, quantiles: Floats, p: Floats, bounds: tuple[Floats, Floats]
) -> Floats:
    """Return the (R,) largest differences from the rule of every second node.

    Compared are log evidence, the means and sds that exist, the distribution function of tau at the nodes,
    and, in sds, the quantiles of the mixtures.
    """
    coarse, spread = nodes.thinned(2), robust_spread(nodes, sd)
    cdf = np.abs(cdf_at_nodes(coarse) - cdf_at_nodes(nodes)[:, ::2]).max(axis=1)
    moved = np.abs(below(coarse, quantiles) - p) / np.exp(-0.5 * special.ndtri(p) ** 2)
    parts = [np.abs(coarse.log_evidence - nodes.log_evidence), cdf, moved.max(axis=(1, 2))]
    means, sds = mean_and_sd(coarse)
    for j, bound in enumerate(bounds):
        parts.append(np.where(bound > 1, np.abs(means - mean)[:, j] / spread[:, j], 0.0))
        parts.append(np.where(bound > 2, np.abs(sds / sd - 1)[:, j], 0.0))
    return np.asarray(np.maximum.reduce(parts))
