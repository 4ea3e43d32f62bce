"""Calibration (TESTING 1.2): parameters drawn from the prior have uniform posterior probabilities.

Many reviews at once (`bayesmeta.engines.many`) are checked on 100,000 data sets for each of 60 configurations
in the long run, on 1,000 for some of them in the fast one. The engine for a single review, which alone has
moderators and the effects of studies, is checked on 100,000 data sets of three studies, and on 5,000 for each
of 24 configurations with up to three coefficients.

Both are run against eight planted mistakes. Those of the single engine that are small (a standard deviation
5 % too small, a missing Jacobian, weights off by one node) are seen in its long run, of 10,000 to 40,000 data
sets, and in the fast one of many reviews.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import bayesmeta.conditional as conditional
import bayesmeta.engines.exact as exact
import bayesmeta.engines.many as many
import bayesmeta.engines.many.effects as effects
from bayesmeta.conditional import Prepared
from bayesmeta.kernel import Profile, gaussian_data
from bayesmeta.model import Model
from bayesmeta.priors import HalfNormal
from bayesmeta.problem import pose
from bayesmeta.quadrature import panels
from bayesmeta.results import exact as results
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.studies import Studies

_spec = importlib.util.spec_from_file_location("calibration", Path(__file__).with_name("calibration.py"))
calibration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(calibration)
Configuration, complaints = calibration.Configuration, calibration.complaints

LONG = 100_000
GRID = [
    Configuration(k, prior, ratio, random)
    for k, prior in product((1, 2, 3, 5, 20), calibration.PRIORS)
    for ratio, random in ((1, False), (100, False), (100, True))
]
FEW = [
    Configuration(1, "half-Cauchy", 100, True),
    Configuration(2, "DuMouchel", 1, False),
    Configuration(3, "half-normal", 100, True),
    Configuration(5, "uniform shrinkage", 100, False),
    Configuration(20, "half-normal", 1, False),
]
PLANTED = Configuration(3, "half-normal", 10, False)
"""Data sets in which mistakes are planted; the first study is ten times less precise than the last."""


# Many reviews at once


def found_wrong(configuration, n, seed):
    found = calibration.probabilities(configuration, n, seed)
    return complaints(calibration.QUANTITIES, found)


@pytest.mark.parametrize("configuration", FEW, ids=str)
def test_many_reviews_are_calibrated(configuration):
    assert found_wrong(configuration, 1_000, 1) == []


@pytest.mark.slow
@pytest.mark.parametrize("configuration", GRID, ids=str)
def test_many_reviews_are_calibrated_in_a_hundred_thousand_data_sets(configuration):
    assert found_wrong(configuration, LONG, 2) == []


def test_the_truth_is_below_reported_bounds_as_often_as_they_say():
    assert calibration.wrong_bounds(calibration.below_bounds(PLANTED, 10_000, 3)) == []


@pytest.mark.slow
def test_the_truth_is_below_reported_bounds_as_often_as_they_say_in_the_long_run():
    assert calibration.wrong_bounds(calibration.below_bounds(PLANTED, LONG, 4)) == []


def narrow_components(monkeypatch):
    """A standard deviation 5 % too small."""
    plain = effects._components
    monkeypatch.setattr(effects, "_components", lambda nodes: (0.95 * plain(nodes)[0], plain(nodes)[1]))


def plug_in_of_many(monkeypatch):
    """The mean of tau in place of its distribution."""

    def one_node(nodes):
        mean = (nodes.weights * nodes.tau).sum(axis=1, keepdims=True)
        nearest = 2 * np.abs(nodes.tau - mean)[:, ::2].argmin(axis=1)  # one that thinning keeps
        return nodes._replace(weights=(np.arange(nodes.u.shape[1]) == nearest[:, None]).astype(float))

    changed_nodes(monkeypatch, one_node)


def changed_nodes(monkeypatch, change):
    """Change the nodes of an engine that does not check them against twice as many."""
    plain = many._Chunk.on_nodes
    monkeypatch.setattr(many._Chunk, "on_nodes", lambda self, *args: change(plain(self, *args)))
    monkeypatch.setattr(calibration, "SETTLED", np.inf)


def standard_error_for_variance_of_many(monkeypatch):
    """The standard errors in place of the variances."""
    plain = many._Chunk.__init__

    def start(self, reviews, *rest):
        plain(self, reviews._replace(v=np.sqrt(reviews.v)), *rest)

    monkeypatch.setattr(many._Chunk, "__init__", start)


def no_determinant_of_many(monkeypatch):
    """The factor 1 / sqrt(W) of the integral over mu left out."""
    plain = many._Chunk.given

    def given(self, u, which):
        log_f, tau, beta, variance = plain(self, u, which)
        return log_f - 0.5 * np.log(variance), tau, beta, variance

    monkeypatch.setattr(many._Chunk, "given", given)


def no_jacobian(monkeypatch):
    """The prior of tau taken as one of tau^2, without the Jacobian."""
    plain = HalfNormal.logpdf
    monkeypatch.setattr(HalfNormal, "logpdf", lambda self, x: plain(self, np.asarray(x) ** 2))


def no_heterogeneity_in_prediction_of_many(monkeypatch):
    """A prediction without tau^2."""
    plain = effects._components

    def components(nodes):
        sds, means = plain(nodes)
        return np.repeat(sds[:, :1], 2, axis=1), means

    monkeypatch.setattr(effects, "_components", components)


def off_by_one_of_many(monkeypatch):
    """The weights of the nodes moved by one node."""
    changed_nodes(monkeypatch, lambda nodes: nodes._replace(weights=np.roll(nodes.weights, 1, axis=1)))


OF_MANY = (
    narrow_components,
    plug_in_of_many,
    standard_error_for_variance_of_many,
    no_determinant_of_many,
    no_jacobian,
    no_heterogeneity_in_prediction_of_many,
    off_by_one_of_many,
)


SMALL_ONES = (narrow_components, off_by_one_of_many)


@pytest.mark.parametrize("plant", OF_MANY)
def test_a_mistake_planted_in_the_engine_for_many_reviews_is_seen(plant, monkeypatch):
    plant(monkeypatch)
    assert found_wrong(PLANTED, 10_000 if plant in SMALL_ONES else 3_000, 5) != []


def test_an_upper_bound_of_tau_that_is_off_by_one_node_is_seen(monkeypatch):
    plain = many.quantiles_of_u

    def quantiles(nodes, p):
        return plain(nodes, p) + np.where(p > 0.5, nodes.step, 0.0)

    monkeypatch.setattr(many, "quantiles_of_u", quantiles)
    found = calibration.wrong_bounds(calibration.below_bounds(PLANTED, 20_000, 3))
    assert [one.split(":")[0] for one in found] == ["tau below its 0.975 quantile"]


# One review at a time, with moderators


class Single(NamedTuple):
    """How data sets with p coefficients are made."""

    k: int
    p: int
    prior: str
    ratio: float

    @property
    def names(self):
        coefficients = ("mu",) if self.p == 1 else ("Intercept", "x", "z")[: self.p]
        return (*coefficients, "tau", "theta_1", "theta_new", "log likelihood", "mu * tau")


TAU = {
    "half-normal": "HalfNormal(0.5)",
    "half-Cauchy": "HalfCauchy(0.3)",
    "DuMouchel": "DuMouchel()",
    "uniform shrinkage": "UniformShrinkage()",
}
SINGLES = [Single(5, p, prior, ratio) for p, prior, ratio in product((1, 2, 3), TAU, (1, 100))]
SMALL = Single(3, 1, "half-normal", 10)
DATA = {"x": np.array([0.0, 1.0, 2.0, 1.5, -1.0]), "z": np.array([1.0, 0.0, 1.0, 0.0, 0.5])}


@cache
def model_of(single):
    mods = ("1", "x", "x + z")[single.p - 1]
    return Model(mods, mu="Normal(0, 1)", beta="Normal(0, 1)", tau=TAU[single.prior], center=False)


def posterior_of(y, s, single, *, quick):
    """Return the posterior; `quick` takes eight panels that hold every posterior under half-normal(0.5)."""
    data = {name: column[: y.size] for name, column in DATA.items()} if single.p > 1 else None
    problem = pose(Studies.from_effects(y, sei=s, data=data), model_of(single))
    if not quick:
        return results.ExactPosterior(problem, exact.integrate(problem))
    integrand = exact.integrand_of(problem)
    top = float(integrand.substitution.u(np.array(5.0)))
    return results.ExactPosterior(problem, exact.evaluate(integrand, panels(np.linspace(0.0, top, 9))))


def probabilities_below_the_truth(single, n, seed, *, quick=False):
    """Return the (n, p + 5) posterior probabilities below the parameters that made the data.

    The last two, of the log likelihood and of mu * tau, are left out where it must be `quick`.
    """
    rng, p = np.random.default_rng(seed), single.p
    X = np.column_stack([np.ones(5), DATA["x"], DATA["z"]])[: single.k, :p]
    configuration = Configuration(single.k, single.prior, single.ratio, random=False)
    truth = calibration.simulated(configuration, n, rng)
    slopes = rng.standard_normal((n, p - 1)) @ X[:, 1:].T
    beta = np.column_stack([truth.mu, np.zeros((n, p - 1))])
    if p > 1:
        beta[:, 1:] = np.linalg.lstsq(X[:, 1:], slopes.T, rcond=None)[0].T
    found = np.empty((n, len(single.names) - 2 * quick))
    for i in range(n):
        posterior = posterior_of(truth.y[i] + slopes[i], truth.s[i], single, quick=quick)
        new = np.append(1.0, [0.5, -0.5][: p - 1])
        new_effect = truth.new[i] + new[1:] @ beta[i, 1:]
        plain = [
            *(below(posterior.coefficients.select(j), beta[i, j]) for j in range(p)),
            below(posterior.nodes.tau, truth.tau[i]),
            below(posterior.theta.select(0), truth.theta[i, 0] + slopes[i, 0]),
            below(posterior.at(new[None, :], new_study=True), new_effect),
        ]
        data = X, truth.y[i] + slopes[i], truth.s[i] ** 2
        found[i] = plain if quick else [*plain, *ranks(posterior, *data, beta[i], truth.tau[i], rng)]
    return found


def ranks(posterior, X, y, v, beta, tau, rng):
    """Return the ranks of log likelihood and mu * tau at the truth among draws, as probabilities.

    Among 99 independent draws, with a uniform number added, they are uniform where the posterior is right.
    """
    draws = posterior.draws(99, rng)
    b, t = np.vstack([draws.beta.reshape(-1, beta.size), beta]), np.append(draws.tau, tau)
    total = v + t[:, None] ** 2
    likelihood = -(np.log(total) + (y - b @ X.T) ** 2 / total).sum(axis=1)
    return [((one[:-1] < one[-1]).sum() + rng.random()) / 100 for one in (likelihood, b[:, 0] * t)]


def below(distribution, value):
    """Return the probability below a value, without the check on twice the panels."""
    if isinstance(distribution, NormalMixture):
        return float(distribution._below(np.array([value]))[0, 0])
    return float(distribution.panels.cdf(distribution.substitution.u(np.array([value])))[0])


def wrong_in_single(single, n, seed, *, quick=False):
    found = probabilities_below_the_truth(single, n, seed, quick=quick)
    return complaints(single.names[: found.shape[1]], found)


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
ONLY_IN_THE_LONG_RUN = (narrow, no_jacobian, off_by_one)


def test_the_posterior_is_calibrated():
    assert wrong_in_single(SMALL, 250, 1, quick=True) == []


@pytest.mark.parametrize("plant", [mistake for mistake in MISTAKES if mistake not in ONLY_IN_THE_LONG_RUN])
def test_a_planted_mistake_is_seen(plant, monkeypatch):
    plant(monkeypatch)
    assert wrong_in_single(SMALL, 250, 1, quick=True) != []


@pytest.mark.slow
def test_the_posterior_is_calibrated_in_a_hundred_thousand_data_sets():
    assert wrong_in_single(SMALL, LONG, 2, quick=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("plant", MISTAKES)
def test_a_planted_mistake_is_seen_in_the_long_run(plant, monkeypatch):
    plant(monkeypatch)
    n = 40_000 if plant is off_by_one else 10_000
    assert wrong_in_single(SMALL, n, 2, quick=True) != []


def test_coefficients_are_calibrated():
    assert wrong_in_single(Single(5, 3, "half-normal", 100), 100, 6) == []


@pytest.mark.slow
@pytest.mark.parametrize("single", SINGLES, ids=str)
def test_coefficients_are_calibrated_in_five_thousand_data_sets(single):
    assert wrong_in_single(single, 5_000, 7) == []
