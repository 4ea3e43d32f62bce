"""The search for the posterior misses nothing: spikes, far modes, a hundred thousand studies."""

from __future__ import annotations

from math import exp, log, pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate as scipy_integrate

from bayesmeta.engines.exact import integrate
from bayesmeta.errors import AnalysisError
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.quadrature import DEPTH, interval_of_mass
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.posterior import marginal_of
from bayesmeta.studies import Studies


def posterior_of(y, s, **model):
    problem = pose(Studies.from_effects(y, sei=s), Model(**model))
    return ExactPosterior(problem, integrate(problem))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    place=st.floats(-300, 300),
    width=st.floats(-6, 1).map(lambda power: 10.0**power),
    height=st.floats(-20, 20),
    other=st.floats(-300, 300),
)
def test_two_peaks_of_any_width_stay_in_the_interval_when_each_has_a_seed(place, width, height, other):
    # log of the larger of two Gaussian peaks; a seed lies within a tenth of a unit of each
    def log_f(u):
        return np.maximum(-0.5 * ((u - place) / width) ** 2, height - 0.5 * ((u - other) / 0.5) ** 2)

    seeds = np.unique([-330.0, *np.arange(-329.9, 330, 0.75), place, other, 330.0])
    low, high = interval_of_mass(log_f, seeds)
    reach = (2 * max(DEPTH - max(height, 0) - 1, 0)) ** 0.5 * width * 0.99
    if height < DEPTH - 1 and max(height, 0) < DEPTH - 1:
        assert low <= max(place - reach, -330) + 1e-9
        assert high >= min(place + reach, 330) - 1e-9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    place=st.floats(-10, 10),
    width=st.floats(-5, -1).map(lambda power: 10.0**power),
    start=st.floats(0, 0.75),
)
def test_a_concave_spike_far_from_every_seed_is_climbed(place, width, start):
    def log_f(u):
        return -0.5 * ((u - place) / width) ** 2

    low, high = interval_of_mass(log_f, np.arange(-330.0 + start, 330, 0.75))
    assert low <= place - 9 * width
    assert high >= place + 9 * width
    assert high - low < 40 * width


@pytest.mark.parametrize("centre", [1e-4, 0.02, 0.3, 5.0, 200.0])
@pytest.mark.parametrize("width", [1e-3, 1e-5])
def test_a_prior_with_a_spike_fixes_tau_there(centre, width):
    # LogNormal(log centre, width): to order width^2 the answer is that of tau fixed at the centre
    y, s = [0.1, 0.4, -0.2, 0.9], [0.1, 0.2, 0.15, 0.3]
    spike = posterior_of(y, s, mu="Normal(0, 1)", tau=f"LogNormal({log(centre)!r}, {width!r})")
    fixed = posterior_of(y, s, mu="Normal(0, 1)", tau=f"Fixed({centre!r})")
    assert spike.log_evidence == pytest.approx(fixed.log_evidence, abs=2e3 * width**2)
    assert spike.coefficients.mean()[0] == pytest.approx(fixed.coefficients.mean()[0], abs=20 * width**2)
    assert spike.tau.mean()[0] == pytest.approx(centre, rel=10 * width**2)
    assert spike.tau.sd()[0] == pytest.approx(centre * width, rel=10 * width)


def test_a_spike_in_conflict_with_the_data_keeps_prior_and_likelihood_modes():
    # brute force: scipy's adaptive rule with the peaks given as break points
    y, s, centre, width = [-3.0, 3.0, -2.5, 2.6, 3.1, -2.9], [0.1] * 6, 0.05, 0.3
    posterior = posterior_of(y, s, mu="Normal(0, 10)", tau=f"LogNormal({log(centre)!r}, {width!r})")

    def density(t):
        w = 1 / (0.01 + exp(2 * t))
        precision = 6 * w + 0.01
        rss = sum(w * value * value for value in y) - (w * sum(y)) ** 2 / precision
        log_l = 3 * log(w / (2 * pi)) + 0.5 * log(0.01 / precision) - rss / 2
        return exp(log_l - 0.5 * ((t - log(centre)) / width) ** 2 + 100)

    norm = width * (2 * pi) ** 0.5
    value = scipy_integrate.quad(
        density, -5, 5, epsabs=0, epsrel=1e-12, points=[-3, -1, 0, 0.5, 1], limit=500
    )[0]
    assert posterior.log_evidence == pytest.approx(log(value / norm) - 100, abs=1e-9)


@pytest.mark.parametrize("k", [1_000, 100_000])
def test_a_hundred_thousand_studies_have_a_posterior_as_narrow_as_theory_says(k):
    # equal s: tau^2 + s^2 has an inverse gamma posterior with shape (k - 1) / 2 - 1 and scale Q / 2
    rng = np.random.default_rng(1)
    s, tau = 0.1, 0.3
    y = rng.normal(0.2, (s * s + tau * tau) ** 0.5, k)
    posterior = posterior_of(y, np.full(k, s), mu="Flat()", tau2="Flat()")
    total = ((y - y.mean()) ** 2).sum() / 2
    shape = (k - 1) / 2 - 1
    second = total**2 / ((shape - 1) * (shape - 2)) - 2 * s * s * total / (shape - 1) + s**4
    mean_tau2 = float(posterior.nodes.weights @ posterior.nodes.tau2)
    assert mean_tau2 == pytest.approx(total / (shape - 1) - s * s, rel=1e-10)
    assert float(posterior.nodes.weights @ posterior.nodes.tau2**2) == pytest.approx(second, rel=1e-10)


def test_quantiles_of_a_heavy_tail_are_exact_far_out():
    # k = 1, proper mu: the posterior of theta_new given tau is normal; brute force by mpmath-free quadrature
    posterior = posterior_of([0.1, 0.5], [0.2, 0.2], mu="Flat()", tau="HalfCauchy(0.5)")
    mu = marginal_of(posterior, "mu")
    far = mu.quantile(1e-9)

    def tail(t):  # u = log tau
        tau = exp(t)
        total = 0.04 + tau * tau
        sd = (total / 2) ** 0.5
        log_l = -log(2 * pi * total) - 0.04 / total + 0.5 * log(2 * pi * total / 2)
        prior = 2 / (pi * 0.5 * (1 + (tau / 0.5) ** 2))
        from scipy.special import ndtr

        return exp(log_l) * prior * tau * ndtr((far - 0.3) / sd), exp(log_l) * prior * tau

    grid = np.linspace(-40, 60, 400_001)
    values = np.array([tail(t) for t in grid[::20]])
    assert values[:, 0].sum() / values[:, 1].sum() == pytest.approx(1e-9, rel=1e-8)


def test_a_quantile_beyond_what_is_known_is_refused():
    posterior = posterior_of([0.1, 0.5], [0.2, 0.2], mu="Flat()", tau="HalfCauchy(0.5)")
    message = "quantiles are exact for probabilities from 1e-12 to 1 - 1e-12; got 1e-13"
    with pytest.raises(AnalysisError, match="^" + message.replace("-", r"\-") + "$"):
        marginal_of(posterior, "mu").quantile(1e-13)


def test_conflicting_far_clusters_are_integrated():
    # INPUTS 085: y = (0, 0, 1e4, 1e4), s = 1, HN(0.1)
    posterior = posterior_of([0, 0, 1e4, 1e4], [1] * 4, mu="Flat()", tau="HalfNormal(0.1)")
    lower, upper = posterior.coefficients.quantile(np.array([0.025, 0.975]))[:, 0]
    assert posterior.coefficients.mean()[0] == pytest.approx(5000, rel=1e-12)
    assert (lower, upper) == pytest.approx((4969.0103, 5030.9897), abs=5e-5)
