"""Every fast path of the kernel against a dense, slow, obvious one.

The obvious one builds all matrices at each tau^2; with mpmath in 40 digits where digits are at stake. Priors
of coefficients are compared with the density of the marginal multivariate normal.
"""

from __future__ import annotations

from math import fsum, log, pi

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import bayesmeta.sums as sums_module
from bayesmeta.kernel import NormalPrior, gaussian_data, profile, profile_at

TAU2 = np.array([0.0, 1e-6, 0.01, 0.3, 1.0, 50.0, 1e6])


def dense(y, v, X, tau2, prior=None):
    """Return coefficients, covariance, residual sum of squares and log marginal, with explicit matrices."""
    W = np.diag(1 / (v + tau2))
    precision = np.zeros(X.shape[1]) if prior is None else prior.precision
    mean = np.zeros(X.shape[1]) if prior is None else prior.mean
    cov = np.linalg.inv(X.T @ W @ X + np.diag(precision))
    beta = cov @ (X.T @ W @ y + precision * mean)
    rss = (y - X @ beta) @ W @ (y - X @ beta) + precision @ (beta - mean) ** 2
    k, p = X.shape
    proper = precision[precision > 0]
    constant = 0.5 * np.sum(np.log(proper) - log(2 * pi))
    likelihood = 0.5 * (np.linalg.slogdet(W)[1] - rss - k * log(2 * pi))
    return beta, cov, rss, likelihood + 0.5 * (p * log(2 * pi) + np.linalg.slogdet(cov)[1]) + constant


@st.composite
def problems(draw):
    p = draw(st.integers(1, 3))
    k = draw(st.integers(p + 1, 12))
    ratio = draw(st.sampled_from([1.0, 100.0, 1e4]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    v = np.exp(rng.uniform(-0.5, 0.5, k) * log(ratio))
    X = np.column_stack([np.ones(k), rng.normal(size=(k, p - 1))])
    return rng.normal(size=k) * 2, v, X


@st.composite
def normal_priors(draw, p):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    precision = 1 / np.exp(rng.uniform(-2, 2, p)) ** 2
    flat = draw(st.lists(st.booleans(), min_size=p, max_size=p))
    return NormalPrior(rng.normal(size=p), np.where(flat, 0.0, precision))


@given(problems())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_the_profile_is_generalised_least_squares_at_every_tau2(data):
    y, v, X = data
    ours = profile(gaussian_data(y, v, X), TAU2)
    for i, tau2 in enumerate(TAU2):
        beta, cov, rss, marginal = dense(y, v, X, tau2)
        se = np.sqrt(np.diag(cov))
        assert np.all(np.abs(ours.beta[i] - beta) <= 1e-9 * se)
        np.testing.assert_allclose(ours.cov[i], cov, rtol=1e-8, atol=1e-9 * np.outer(se, se).max())
        assert ours.rss[i] == pytest.approx(rss, rel=1e-9, abs=1e-10)
        assert ours.log_marginal[i] == pytest.approx(marginal, abs=1e-9)
        assert ours.log_det_cov[i] == pytest.approx(np.linalg.slogdet(cov)[1], abs=1e-9)


@given(problems(), st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_normal_priors_add_their_precision(data, draw):
    y, v, X = data
    prior = draw.draw(normal_priors(X.shape[1]))
    ours = profile(gaussian_data(y, v, X), TAU2, prior=prior)
    for i, tau2 in enumerate(TAU2):
        beta, cov, rss, marginal = dense(y, v, X, tau2, prior)
        se = np.sqrt(np.diag(cov))
        assert np.all(np.abs(ours.beta[i] - beta) <= 1e-9 * se)
        np.testing.assert_allclose(ours.cov[i], cov, rtol=1e-8, atol=1e-9 * np.outer(se, se).max())
        assert ours.rss[i] == pytest.approx(rss, rel=1e-9, abs=1e-9)
        assert ours.log_marginal[i] == pytest.approx(marginal, abs=1e-9)


@given(problems(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_with_proper_priors_the_marginal_is_a_multivariate_normal_density(data, seed):
    """Integrating beta ~ N(m, S) out of y ~ N(X beta, D) leaves y ~ N(X m, D + X S X')."""
    y, v, X = data
    rng = np.random.default_rng(seed)
    prior = NormalPrior(rng.normal(size=X.shape[1]), 1 / rng.uniform(0.2, 3, X.shape[1]) ** 2)
    ours = profile(gaussian_data(y, v, X), TAU2[:5], prior=prior)
    for i, tau2 in enumerate(TAU2[:5]):
        total = np.diag(v + tau2) + X @ np.diag(1 / prior.precision) @ X.T
        exact = multivariate_normal(X @ prior.mean, total).logpdf(y)
        assert ours.log_marginal[i] == pytest.approx(exact, abs=1e-8)


@given(problems())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_vague_prior_tends_to_the_flat_one(data):
    y, v, X = data
    p, sd = X.shape[1], 1e6
    flat = profile(gaussian_data(y, v, X), TAU2[:4])
    vague = profile(gaussian_data(y, v, X), TAU2[:4], prior=NormalPrior(np.zeros(p), np.full(p, sd**-2)))
    np.testing.assert_allclose(vague.beta, flat.beta, rtol=1e-6, atol=1e-6)
    constant = p * (log(sd) + 0.5 * log(2 * pi))
    np.testing.assert_allclose(vague.log_marginal + constant, flat.log_marginal, atol=1e-6)


def test_one_coefficient_by_hand():
    """y = 1, 3 with v = 1, 1 at tau^2 = 1: weights 1/2, mean 2, variance 1, residual sum of squares 1."""
    ours = profile(gaussian_data(np.array([1.0, 3]), np.ones(2), np.ones((2, 1))), np.array([1.0]))
    assert ours.beta[0, 0] == pytest.approx(2, rel=1e-15)
    assert ours.cov[0, 0, 0] == pytest.approx(1, rel=1e-15)
    assert ours.rss[0] == pytest.approx(1, rel=1e-15)
    assert ours.log_det_weights[0] == pytest.approx(-2 * log(2), rel=1e-15)
    assert ours.log_likelihood[0] == pytest.approx(0.5 * (-2 * log(2) - 1 - 2 * log(2 * pi)), rel=1e-15)


# Digits


def exact_mean(y, v, tau2):
    """Return weighted mean and residual sum of squares in 40 digits; y is an exact sum of two floats."""
    with mpmath.workdps(40):
        w = [1 / (mpmath.mpf(float(vi)) + mpmath.mpf(float(tau2))) for vi in v]
        values = [mpmath.mpf(float(value)) for value in y]
        mean = mpmath.fdot(w, values) / mpmath.fsum(w)
        rss = mpmath.fsum(wi * (value - mean) ** 2 for wi, value in zip(w, values, strict=True))
    return mean, rss, 1 / mpmath.fsum(w)


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e12])
@pytest.mark.parametrize("tau2", [0.0, 0.25, 100.0])
def test_effects_far_from_zero_lose_no_digits(offset, tau2):  # INPUTS 074
    y = offset + np.array([0.125, 0.5, -0.25, 1.0, 0.75, -0.5, 0.25])
    v = np.array([0.1, 0.2, 0.05, 0.4, 0.1, 0.3, 0.2])
    ours = profile(gaussian_data(y, v, np.ones((7, 1))), np.array([tau2]))
    mean, rss, variance = exact_mean(y, v, tau2)
    se = float(mpmath.sqrt(variance))
    unit = max(1e-13 * se, np.spacing(offset))  # no float lies nearer to the mean
    assert abs(float(mpmath.mpf(float(ours.beta[0, 0])) - mean)) <= unit
    assert ours.rss[0] == pytest.approx(float(rss), rel=1e-11)
    assert ours.cov[0, 0, 0] == pytest.approx(float(variance), rel=1e-14)


@pytest.mark.parametrize("offset", [1e6, 1e12])
def test_slopes_of_effects_far_from_zero_lose_no_digits(offset):
    """The effects are sums of powers of 2, so that the offset changes none of their digits."""
    small = np.array([0.125, 0.5, -0.25, 1.0, 0.75, -0.5, 0.25, 2.0])
    v = np.array([0.1, 0.2, 0.05, 0.4, 0.1, 0.3, 0.2, 0.15])
    X = np.column_stack([np.ones(8), np.arange(8.0)])
    near, far = (profile(gaussian_data(y, v, X), TAU2[:6]) for y in (small, offset + small))
    assert np.all(np.abs(far.beta[:, 1] - near.beta[:, 1]) <= 1e-12 * np.sqrt(near.cov[:, 1, 1]))
    np.testing.assert_allclose(far.rss, near.rss, rtol=1e-12)


def test_calendar_years_lose_no_digits():
    """The slope on years equals that on years since 2000, in which nothing cancels."""
    year = np.arange(1990.0, 2005)
    y = 0.01 * (year - 2000) + np.sin(year)
    v = np.linspace(0.05, 0.3, year.size)
    raw = profile(gaussian_data(y, v, np.column_stack([np.ones(15), year])), TAU2)
    since = profile(gaussian_data(y, v, np.column_stack([np.ones(15), year - 2000])), TAU2)
    se = np.sqrt(since.cov[:, 1, 1])
    assert np.all(np.abs(raw.beta[:, 1] - since.beta[:, 1]) <= 1e-11 * se)
    np.testing.assert_allclose(raw.cov[:, 1, 1], since.cov[:, 1, 1], rtol=1e-10)
    np.testing.assert_allclose(raw.rss, since.rss, rtol=1e-11)
    np.testing.assert_allclose(raw.log_marginal, since.log_marginal, atol=1e-9)


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6, 1e12])
def test_units_of_the_effect_rescale_everything(unit):  # INPUTS 073
    rng = np.random.default_rng(1)
    y, v = rng.normal(size=9), rng.uniform(0.1, 1, 9)
    X = np.column_stack([np.ones(9), rng.normal(size=9)])
    one = profile(gaussian_data(y, v, X), TAU2[:6])
    other = profile(gaussian_data(unit * y, unit**2 * v, X), unit**2 * TAU2[:6])
    np.testing.assert_allclose(other.beta, unit * one.beta, rtol=1e-12)
    np.testing.assert_allclose(other.cov, unit**2 * one.cov, rtol=1e-11)
    np.testing.assert_allclose(other.rss, one.rss, rtol=1e-11)
    np.testing.assert_allclose(other.log_marginal, one.log_marginal - 7 * log(unit), atol=1e-10)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_units_of_a_moderator_rescale_its_coefficient(unit):  # INPUTS 116
    rng = np.random.default_rng(2)
    y, v, x = rng.normal(size=9), rng.uniform(0.1, 1, 9), rng.normal(size=9)
    one = profile(gaussian_data(y, v, np.column_stack([np.ones(9), x])), TAU2)
    other = profile(gaussian_data(y, v, np.column_stack([np.ones(9), unit * x])), TAU2)
    np.testing.assert_allclose(other.beta * [1, unit], one.beta, rtol=1e-12)
    np.testing.assert_allclose(other.log_marginal, one.log_marginal - log(unit), atol=1e-10)


@pytest.mark.parametrize("ratio", [1e6, 1e12])
def test_a_study_that_weighs_a_trillion_times_more_keeps_its_residual(ratio):
    y, v = np.array([0.3, 0.1, 0.7]), np.array([1.0, ratio**-1, 2.0])
    at = profile_at(gaussian_data(y, v, np.ones((3, 1))), 0.0)
    mean, rss, variance = exact_mean(y, v, 0.0)
    assert abs(at.beta[0, 0] - float(mean)) <= 1e-15 + 1e-10 * float(mpmath.sqrt(variance))
    assert at.rss[0] == pytest.approx(float(rss), rel=1e-9)


@given(problems(), st.sampled_from([0.0, 0.01, 1.0, 100.0]))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_profile_at_one_tau2_is_that_of_the_grid(data, tau2):
    y, v, X = data
    prepared = gaussian_data(y, v, X)
    one, grid = profile_at(prepared, tau2), profile(prepared, np.array([tau2]))
    np.testing.assert_allclose(one.beta, grid.beta, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(one.rss, grid.rss, rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(one.cov, grid.cov)


@given(problems(), st.sampled_from([0.0, 1e-3, 10.0]))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_reference_fit_changes_no_result(data, tau2):
    y, v, X = data
    one = profile(gaussian_data(y, v, X), TAU2)
    other = profile(gaussian_data(y, v, X, tau2=tau2), TAU2)
    np.testing.assert_allclose(other.log_marginal, one.log_marginal, atol=1e-9)
    np.testing.assert_allclose(other.beta, one.beta, rtol=1e-9, atol=1e-9)


# Memory and size


def test_blocks_of_memory_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    data = gaussian_data(rng.normal(size=50), rng.uniform(0.1, 1, 50), np.ones((50, 1)))
    grid = np.geomspace(1e-6, 1e3, 137)
    whole = data.sums.weighted(grid)
    for block in (1, 50, 137, 999):
        monkeypatch.setattr(sums_module, "LARGEST_BLOCK", block)
        for one, other in zip(data.sums.weighted(grid), whole, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("k", [1, 2, 511, 512, 513, 5000])
@pytest.mark.parametrize("scale", [1e-280, 1.0, 1e280])
def test_the_log_determinant_neither_overflows_nor_vanishes(k, scale):
    v = scale * np.random.default_rng(4).uniform(0.5, 2, k)
    ours = profile(gaussian_data(np.zeros(k), v, np.ones((k, 1))), np.zeros(1)).log_det_weights[0]
    assert ours == pytest.approx(-np.log(v).sum(), rel=1e-13, abs=1e-12)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("spread", [0.0, 1.0, 7.0])
def test_few_variances_stand_for_those_of_many_studies(spread, p):
    # fsum adds the terms of all studies without rounding; sums are compared with those of absolute terms
    k = 3000
    rng = np.random.default_rng(6)
    v = np.exp(rng.uniform(-spread, 0, k))
    X = np.column_stack([np.ones(k), rng.normal(size=(k, p - 1))])
    data = gaussian_data(rng.normal(0.3, 1, k), v, X)
    assert data.sums.v.size <= k / 2
    grid = np.array([0.0, 1e-9, 1e-3, 0.3, 50.0, 1e12])
    sums, log_det = data.sums.weighted(grid)
    for i, tau2 in enumerate(grid):
        terms = data.products / (v + tau2)[:, None]
        for j, column in enumerate(terms.T):
            assert abs(sums[i, j] - fsum(column)) <= 5e-15 * fsum(np.abs(column))
        assert log_det[i] == pytest.approx(-fsum(np.log(v + tau2)), rel=5e-15, abs=5e-15 * k)


def test_a_hundred_thousand_studies_are_sums_by_hand():  # INPUTS 084
    k = 100_000
    rng = np.random.default_rng(5)
    y, v = rng.normal(0.3, 1, k), rng.uniform(0.1, 1, k)
    grid = np.array([0.0, 0.5])
    ours = profile(gaussian_data(y, v, np.ones((k, 1))), grid)
    for i, tau2 in enumerate(grid):
        w = 1 / (v + tau2)
        mean = w @ y / w.sum()
        assert ours.beta[i, 0] == pytest.approx(mean, abs=1e-11 / np.sqrt(w.sum()))
        assert ours.rss[i] == pytest.approx(w @ (y - mean) ** 2, rel=1e-11)
        assert ours.log_det_weights[i] == pytest.approx(np.log(w).sum(), rel=1e-12)


def test_a_single_study_has_itself_as_its_mean():
    ours = profile(gaussian_data(np.array([0.5]), np.array([0.04]), np.ones((1, 1))), np.array([0.0, 0.1]))
    assert ours.beta[:, 0].tolist() == pytest.approx([0.5, 0.5], rel=1e-15)
    np.testing.assert_allclose(ours.cov[:, 0, 0], [0.04, 0.14], rtol=1e-14)
    assert ours.rss.tolist() == pytest.approx([0, 0], abs=1e-28)
