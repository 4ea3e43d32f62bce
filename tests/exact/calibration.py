"""Simulated data sets and the posterior probabilities below the parameters that made them (TESTING 1.2).

Parameters are drawn from their priors by formulas of our own, data from the parameters. Probabilities of mu,
tau and theta_new below the truth come from the package's own code; for theta_1, the log likelihood,
``mu + tau`` and ``mu * tau`` they follow from what is normal given tau.

References
----------
Modrák M, Moon AH, Kim S, et al (2025). Simulation-based calibration checking for Bayesian computation: the
choice of test quantities shapes sensitivity. Bayesian Anal 20:461-488. doi:10.1214/23-BA1404
Säilynoja T, Bürkner PC, Vehtari A (2022). Graphical test for discrete uniformity and its applications in
goodness-of-fit evaluation and multiple sample comparison. Stat Comput 32:32. doi:10.1007/s11222-022-10090-6
"""

from __future__ import annotations

from math import pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.polynomial import polynomial
from scipy import special, stats

import bayesmeta.engines.many as many
from bayesmeta.engines.many import sinc
from bayesmeta.engines.many.values import Reviews
from bayesmeta.priors import HalfCauchy, HalfNormal
from bayesmeta.priors.adaptive import Ratio

PRIORS = {
    "half-normal": HalfNormal(0.5),
    "half-Cauchy": HalfCauchy(0.3),
    "DuMouchel": Ratio("DuMouchel()", 1.0, 1),
    "uniform shrinkage": Ratio("UniformShrinkage()", 1.0, 2),
}
"""Priors of tau; the last two in units of the root of the harmonic mean of the variances."""
QUANTITIES = ("mu", "tau", "theta_new", "theta_1", "log likelihood", "mu + tau", "mu * tau")
BOUNDS = (0.025, 0.5, 0.975)
OF_BOUNDS = tuple(f"{name} below its {p} quantile" for name in ("mu", "tau", "theta_new") for p in BOUNDS)
SETTLED = 1e-5
"""Difference of two node sets in a probability that no hundred thousand data sets can see."""
LEVEL = 1e-4
ANGLES, ANGLE_WEIGHTS = np.polynomial.legendre.leggauss(96)
HALVINGS = 20
LOG_TAU = np.linspace(-18.0, 14.0, 801)
"""Logs of tau, in units of the scale of a review, over which ``mu * tau`` is integrated."""
PLACES = np.arange(1, 100) / 100
"""Where the empirical distribution function is held against a band."""


class Configuration(NamedTuple):
    """How data sets are made."""

    k: int
    """Number of studies."""
    prior: str
    """Name of the prior of tau."""
    ratio: float
    """Largest standard error over the smallest."""
    random: bool
    """Whether standard errors vary from data set to data set."""

    def __str__(self):
        return f"k={self.k}, {self.prior}, ratio {self.ratio:g}, {'random' if self.random else 'fixed'} s"


class Truth(NamedTuple):
    """Simulated parameters and data."""

    mu: np.ndarray
    tau: np.ndarray
    theta: np.ndarray
    new: np.ndarray
    y: np.ndarray
    s: np.ndarray
    unit: np.ndarray

    @property
    def reviews(self):
        """The data as the package takes them."""
        n, k = self.y.shape
        return Reviews(self.y, self.s**2, np.zeros(n), np.ones(n), self.unit, np.full(n, k))


def errors_of(configuration, n, rng):
    """Return (n, k) standard errors, the first study being the least precise where they are fixed."""
    k, ratio = configuration.k, configuration.ratio
    if not configuration.random:
        return np.tile(0.3 * sqrt(ratio) * ratio ** -np.linspace(0, 1, k), (n, 1))
    typical = 0.3 * 3 ** rng.uniform(-1, 1, (n, 1))
    return typical * ratio ** rng.uniform(-0.5, 0.5, (n, k))


def tau_from_prior(name, unit, rng):
    """Return tau drawn from a prior, from textbook formulas."""
    part = rng.random(unit.size)
    if name == "half-normal":
        return np.abs(0.5 * rng.standard_normal(unit.size))
    if name == "half-Cauchy":
        return 0.3 * np.tan(pi / 2 * part)
    return unit * (part / (1 - part)) ** (1.0 if name == "DuMouchel" else 0.5)


def simulated(configuration, n, rng):
    """Return n data sets and the parameters that made them; mu ~ Normal(0, 1)."""
    k, s = configuration.k, errors_of(configuration, n, rng)
    by_design = isinstance(PRIORS[configuration.prior], Ratio)
    unit = np.sqrt(k / (s**-2.0).sum(axis=1)) if by_design else np.ones(n)
    mu, tau = rng.standard_normal(n), tau_from_prior(configuration.prior, unit, rng)
    theta = mu[:, None] + tau[:, None] * rng.standard_normal((n, k + 1))
    y = theta[:, :k] + s * rng.standard_normal((n, k))
    return Truth(mu, tau, theta[:, :k], theta[:, k], y, s, unit)


class Probed(many._Chunk):
    """Reviews that know the truth."""

    def __init__(self, truth, prior):
        super().__init__(truth.reviews, prior, np.ones(truth.mu.size))
        self.truth = truth

    def probabilities(self):
        """Return the (n, 7) probabilities, nodes being doubled until those of every second one agree."""
        low, high = self.limits()
        left, steps = np.arange(self.scale.size), many.FIRST_STEPS
        found = np.full((left.size, len(QUANTITIES)), np.nan)
        while left.size and steps <= many.MOST_STEPS:
            nodes = self.on_nodes(low, high, steps, left)
            settled = np.abs(self._of_nodes(nodes, left) - self._of_nodes(nodes.thinned(2), left)).max(axis=1)
            done, steps = settled <= SETTLED, 2 * steps
            if done.any():
                found[left[done]] = self._probabilities(nodes.take(done), left[done])
            left = left[~done]
        return found

    def _of_nodes(self, nodes, which):
        """Return the (n, 3) probabilities of mu, tau and theta_new, which the package gives."""
        truth, scale = self.truth, self.scale[which]
        effects = np.stack([truth.mu[which], truth.new[which]], axis=1) - self.centre[which][:, None]
        mu, new = many.below(nodes, (effects / scale[:, None])[:, :, None])[:, :, 0].T
        tau = below_tau(nodes, self.substitution.u(truth.tau[which] / scale))
        return np.stack([mu, tau, new], axis=1)

    def _probabilities(self, nodes, which):
        return np.column_stack(
            [
                self._of_nodes(nodes, which),
                *self._from_conditionals(nodes, which),
                self._of_product(which, nodes.log_evidence),
            ]
        )

    def _from_conditionals(self, nodes, which):
        """Return what follows from mu being normal given tau: theta_1, log likelihood, mu + tau."""
        truth, scale = self.truth, self.scale[which][:, None]
        mean = self.centre[which][:, None] + scale * nodes.beta
        sd, tau = scale * np.sqrt(nodes.variance), scale * nodes.tau
        y, v = truth.y[which], truth.s[which] ** 2
        pooling = v[:, :1] / (v[:, :1] + tau**2)
        theta_mean = pooling * mean + (1 - pooling) * y[:, :1]
        theta_sd = np.sqrt(pooling * tau**2 + (pooling * sd) ** 2)
        return (
            mixed(nodes, special.ndtr((truth.theta[which][:, :1] - theta_mean) / theta_sd)),
            self._less_likely(nodes, which, y, v),
            mixed(nodes, special.ndtr(((truth.mu + truth.tau)[which][:, None] - tau - mean) / sd)),
        )

    def _of_product(self, which, log_evidence):
        """Return the probabilities of a smaller mu * tau.

        A small product is a step in tau that is far narrower than the distance of the package's nodes next to
        0, so that a sum over them is off by up to 0.1. In log tau it is smooth.
        """
        truth, found = self.truth, np.empty(which.size)
        for start in range(0, which.size, 200):
            part = slice(start, start + 200)
            scale = self.scale[which[part]][:, None]
            u = np.broadcast_to(self.substitution.u(np.exp(LOG_TAU)), (scale.size, LOG_TAU.size))
            log_f, tau, beta, variance = self.given(u, which[part])
            log_total = log_evidence[part] + self.k[which[part]] * np.log(scale[:, 0])
            rate = LOG_TAU - self.substitution.log_derivative(u)
            density = np.exp(log_f - log_total[:, None] + rate) * (LOG_TAU[1] - LOG_TAU[0])
            limit = (truth.mu * truth.tau)[which[part]][:, None] / (scale * tau)
            mean = self.centre[which[part]][:, None] + scale * beta
            below = special.ndtr((limit - mean) / (scale * np.sqrt(variance)))
            found[part] = (density * below).sum(axis=1)
        return found

    def _less_likely(self, nodes, which, y, v):
        """Return the probabilities that log p(y | mu, tau) is below its value at the truth.

        Given tau it is a parabola in mu, which exceeds that value in an interval around its top, if tau is
        in an interval around the true one. There the square roots at its ends are smoothed by a sine; should
        the likelihood have another peak, its nodes are added.
        """
        truth, scale = self.truth, self.scale[which][:, None]
        own = v + truth.tau[which][:, None] ** 2
        level = (np.log(own) + (y - truth.mu[which][:, None]) ** 2 / own).sum(axis=1)[:, None]

        def room(u):
            """Return what is left of the level at the top of each parabola, the top and its information."""
            total = v[:, :, None] + (scale * self.substitution.tau(u))[:, None, :] ** 2
            information = (1 / total).sum(axis=1)
            top = (y[:, :, None] / total).sum(axis=1) / information
            left = level - (np.log(total) + (y[:, :, None] - top[:, None, :]) ** 2 / total).sum(axis=1)
            return left, top, information

        def likelier(u, beta, variance):
            left, top, information = room(u)
            reach, sd = np.sqrt(np.maximum(left, 0.0) / information), scale * np.sqrt(variance)
            offset = top - self.centre[which][:, None] - scale * beta
            return special.ndtr((offset + reach) / sd) - special.ndtr((offset - reach) / sd)

        true = np.clip(self.substitution.u(truth.tau[which] / scale[:, 0]), nodes.u[:, 0], nodes.u[:, -1])
        ends = [halved(lambda u: room(u)[0] > 0, true[:, None], nodes.u[:, [end]]) for end in (0, -1)]
        half, middle = (ends[1] - ends[0]) / 2, (ends[1] + ends[0]) / 2
        u = middle + half * np.sin(pi / 2 * ANGLES)
        log_f, _, beta, variance = self.given(u, which)
        log_total = nodes.log_evidence + self.k[which] * np.log(self.scale[which])
        density = np.exp(log_f - log_total[:, None]) * half * pi / 2 * np.cos(pi / 2 * ANGLES)
        elsewhere = (nodes.u < ends[0]) | (nodes.u > ends[1])
        others = mixed(nodes, elsewhere * likelier(nodes.u, nodes.beta, nodes.variance))
        return 1 - (density * likelier(u, beta, variance)) @ ANGLE_WEIGHTS - others


def halved(holds, inside, outside):
    """Return where between two points (R, 1) a condition ceases to hold, or the second if it does not."""
    good, bad = inside.copy(), outside.copy()
    good = np.where(holds(bad), bad, good)
    for _ in range(HALVINGS):
        middle = (good + bad) / 2
        held = holds(middle)
        good, bad = np.where(held, middle, good), np.where(held, bad, middle)
    return good


def mixed(nodes, given_tau):
    return (nodes.weights * given_tau).sum(axis=1)


def below_tau(nodes, u):
    """Return the (R,) probabilities of u below values, from the package's sinc functions."""
    cdf, rows = sinc.cdf_at_nodes(nodes), np.arange(u.size)
    step = np.clip((nodes.u <= u[:, None]).sum(axis=1) - 1, 0, nodes.u.shape[1] - 2)
    matrix = sinc._to_polynomials(nodes.u.shape[1])
    around = np.lib.stride_tricks.sliding_window_view(sinc._continued(nodes), matrix.shape[0], axis=1)
    density = (around[rows, step] @ matrix).T
    t = np.clip(2 * (u - nodes.u[rows, step]) / nodes.step[:, 0] - 1, -1.0, 1.0)
    integral = polynomial.polyint(density, lbnd=-1, scl=0.5)
    return cdf[rows, step] + polynomial.polyval(t, integral, tensor=False)


def batches(configuration, n, seed):
    """Yield n data sets, as many at a time as the package takes together."""
    rng, step = np.random.default_rng(seed), many.CHUNK // (configuration.k * many.FIRST_STEPS)
    step = min(step, many.MOST_REVIEWS)
    for start in range(0, n, step):
        yield simulated(configuration, min(step, n - start), rng)


def probabilities(configuration, n, seed):
    """Return the (n, 7) probabilities below the truth, NaN where the nodes did not settle."""
    prior = PRIORS[configuration.prior]
    return np.concatenate([Probed(truth, prior).probabilities() for truth in batches(configuration, n, seed)])


def below_bounds(configuration, n, seed):
    """Return (n, 9) whether the truth is below the quantiles that the package reports."""
    parts, prior = [], PRIORS[configuration.prior]
    for truth in batches(configuration, n, seed):
        reviews, moments = truth.reviews, prior.tail + np.full(truth.mu.size, configuration.k - 1.0)
        table = many.integrate_many(reviews, prior, moments=moments, prob=0.95).table
        values = np.stack([truth.mu, truth.tau, truth.new], axis=1)
        parts.append((values[:, :, None] < table[:, :3, [3, 2, 4]]).reshape(-1, len(OF_BOUNDS)))
    return np.concatenate(parts)


def complaints(names, found):
    """Return the quantities whose probabilities (n, q) are not uniform, with the test that says so."""
    n = found.shape[0]
    z = special.ndtri(np.clip(found, 1e-15, 1 - 1e-15))
    return [
        f"{name}: {test}"
        for name, p, normal in zip(names, found.T, z.T, strict=True)
        for test, failed in {
            "Kolmogorov-Smirnov": stats.kstest(p, "uniform").pvalue < LEVEL,
            "mean": abs(normal.mean()) > 4 / sqrt(n),
            "variance": abs(normal.var() - 1) > 4 * sqrt(2 / n),
            "band": outside_band(p),
        }.items()
        if failed
    ]


def outside_band(p):
    """Return whether the empirical distribution function leaves its simultaneous band (by Bonferroni)."""
    counts = np.searchsorted(np.sort(p), PLACES, side="right")
    tail = LEVEL / PLACES.size / 2
    low, high = stats.binom.ppf(tail, p.size, PLACES), stats.binom.isf(tail, p.size, PLACES)
    return bool(np.any((counts < low) | (counts > high)))


def wrong_bounds(inside):
    """Return the reported bounds that have the truth below them too often or too rarely, by 4 sds."""
    n, p = inside.shape[0], np.tile(BOUNDS, 3)
    off = (inside.mean(axis=0) - p) / np.sqrt(p * (1 - p) / n)
    return [f"{name}: {sds:.1f} sds" for name, sds in zip(OF_BOUNDS, off, strict=True) if abs(sds) > 4]
