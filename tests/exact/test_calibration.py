"""Calibration (TESTING 1.2): parameters drawn from the prior have uniform posterior probabilities.

The check is run against eight planted mistakes. In the default run it has 2,000 data sets; three of the
mistakes (a standard deviation 5 % too small, weights off by one node, fixed-effect weights in theta) are
smaller than that shows and are planted in the long run of 100,000.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import special, stats

import bayesmeta.conditional as conditional
import bayesmeta.engines.exact as exact
from bayesmeta.conditional import Prepared
from bayesmeta.kernel import Profile, gaussian_data
from bayesmeta.model import Model
from bayesmeta.priors import HalfNormal
from bayesmeta.problem import pose
from bayesmeta.quadrature import panels
from bayesmeta.results import exact as results
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.studies import Studies

FAST, LONG = 2_000, 100_000
K = 3
QUANTITIES = ("mu", "tau", "theta_1", "theta_new")
MODEL = Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")


def posterior_of(y, s):
    """Return the posterior on eight panels that hold every posterior of these priors."""
    problem = pose(Studies.from_effects(y, sei=s), MODEL)
    integrand = exact._integrand(problem)
    top = float(integrand.substitution.u(np.array(5.0)))
    return results.ExactPosterior(problem, exact.evaluate(integrand, panels(np.linspace(0.0, top, 9))))


def probabilities_below_the_truth(n, seed):
    """Return the (n, 4) posterior probabilities below the parameters that made the data."""
    rng = np.random.default_rng(seed)
    found = np.empty((n, 4))
    for i in range(n):
        tau, mu = abs(0.5 * rng.standard_normal()), rng.standard_normal()
        s = rng.uniform(0.1, 0.6, K)
        theta = mu + tau * rng.standard_normal(K + 1)
        posterior = posterior_of(theta[:K] + s * rng.standard_normal(K), s)
        plain = [
            (posterior.coefficients, mu),
            (posterior.nodes.tau, tau),
            (posterior.theta.select(0), theta[0]),
            (posterior.at(np.ones((1, 1)), new_study=True), theta[K]),
        ]
        found[i] = [below(distribution, value) for distribution, value in plain]
    return found


def below(distribution, value):
    """Return the probability below a value, without the check on twice the panels."""
    if isinstance(distribution, NormalMixture):
        return float(distribution._below(np.array([value]))[0, 0])
    return float(distribution.panels.cdf(distribution.substitution.u(np.array([value])))[0])


def complaints(probabilities):
    """Return the quantities that are not calibrated."""
    n = probabilities.shape[0]
    z = special.ndtri(np.clip(probabilities, 1e-12, 1 - 1e-12))
    return [
        name
        for name, p, normal in zip(QUANTITIES, probabilities.T, z.T, strict=True)
        if stats.kstest(p, "uniform").pvalue < 1e-4
        or abs(normal.var() - 1) > 4 * sqrt(2 / n)
        or abs(normal.mean()) > 4 / sqrt(n)
    ]


def narrow(monkeypatch):
    """A standard deviation 5 % too small."""
    monkeypatch.setattr(
        results, "NormalMixture", lambda w, m, s, *rest, **kw: NormalMixture(w, m, 0.95 * s, *rest, **kw)
    )


def plug_in(monkeypatch):
    """The mean of tau in place of its distribution."""
    plain = exact.evaluate

    def evaluate(integrand, rule):
        nodes = plain(integrand, rule)
        one = np.zeros(nodes.weights.size)
        one[np.abs(np.sqrt(nodes.tau2) - nodes.weights @ np.sqrt(nodes.tau2)).argmin()] = 1.0
        return nodes._replace(weights=one)

    monkeypatch.setattr(exact, "evaluate", evaluate)


def standard_error_for_variance(monkeypatch):
    """The standard errors in place of the variances."""
    plain = conditional.prepare

    def prepare(problem):
        return Prepared(gaussian_data(problem.y, np.sqrt(problem.v), problem.X_prior), plain(problem).prior)

    monkeypatch.setattr(conditional, "prepare", prepare)


def no_determinant(monkeypatch):
    """The factor 1 / sqrt(W) of the integral over mu left out."""
    monkeypatch.setattr(Profile, "log_marginal", property(lambda self: self.log_likelihood))


def no_jacobian(monkeypatch):
    """The prior of tau taken as one of tau^2, without the Jacobian."""
    plain = HalfNormal.logpdf
    monkeypatch.setattr(HalfNormal, "logpdf", lambda self, x: plain(self, np.asarray(x) ** 2))


def no_heterogeneity_in_prediction(monkeypatch):
    """A prediction without tau^2."""
    plain = results.ExactPosterior.at
    monkeypatch.setattr(
        results.ExactPosterior, "at", lambda self, rows, **_: plain(self, rows, new_study=False)
    )


def off_by_one(monkeypatch):
    """The weights of the nodes moved by one node."""
    plain = exact.evaluate

    def evaluate(integrand, rule):
        nodes = plain(integrand, rule)
        return nodes._replace(weights=np.roll(nodes.weights, 1))

    monkeypatch.setattr(exact, "evaluate", evaluate)


def fixed_effect_weights(monkeypatch):
    """Study effects shrunken towards the fixed-effect mean."""

    def theta(self):
        v, tau2, y = self.problem.v, self.nodes.tau2[:, None], self.problem.y
        mean, pooling = (y / v).sum() / (1 / v).sum(), v / (v + tau2)
        sds = np.sqrt(pooling * tau2 + pooling**2 / (1 / v).sum())
        return NormalMixture(self.nodes.weights, mean + (1 - pooling) * (y - mean), sds)

    monkeypatch.setattr(results.ExactPosterior, "theta", property(theta))


MISTAKES = (
    narrow,
    plug_in,
    standard_error_for_variance,
    no_determinant,
    no_jacobian,
    no_heterogeneity_in_prediction,
    off_by_one,
    fixed_effect_weights,
)
ONLY_IN_THE_LONG_RUN = (narrow, off_by_one, fixed_effect_weights)


def test_the_posterior_is_calibrated():
    assert complaints(probabilities_below_the_truth(FAST, 1)) == []


@pytest.mark.parametrize("plant", [mistake for mistake in MISTAKES if mistake not in ONLY_IN_THE_LONG_RUN])
def test_a_planted_mistake_is_seen(plant, monkeypatch):
    plant(monkeypatch)
    assert complaints(probabilities_below_the_truth(FAST, 1)) != []


@pytest.mark.slow
def test_the_posterior_is_calibrated_in_a_hundred_thousand_data_sets():
    assert complaints(probabilities_below_the_truth(LONG, 2)) == []


@pytest.mark.slow
@pytest.mark.parametrize("plant", ONLY_IN_THE_LONG_RUN)
def test_a_small_planted_mistake_is_seen_in_the_long_run(plant, monkeypatch):
    plant(monkeypatch)
    assert complaints(probabilities_below_the_truth(LONG, 2)) != []
