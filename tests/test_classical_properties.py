"""What must hold whatever the data: order, origin, units, sign, uninformative studies, parametrisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bayesmeta.classical.heterogeneity import ESTIMATORS, heterogeneity
from bayesmeta.classical.pooling import pool
from bayesmeta.classical.problem import problem

METHODS = sorted(ESTIMATORS)
LIKELIHOOD = {"ML", "REML"}


@st.composite
def studies(draw, *, smallest=2, largest=12):
    """Draw effects and variances; a seed makes them generic, so that no likelihood has two equal maxima."""
    k = draw(st.integers(smallest, largest))
    spread = draw(st.sampled_from([0.0, 0.3, 1.0, 5.0]))
    ratio = draw(st.sampled_from([1.0, 10.0, 1e3, 1e6]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    v = np.exp(rng.uniform(-0.5, 0.5, k) * np.log(ratio))
    return rng.normal(0, np.sqrt(v)) + spread * rng.normal(size=k), v


def answers(y, v, method, X=None, test="knha"):
    return pool(heterogeneity(problem(y, v, X)), method=method, test=test)


def assert_equal(one, other, *, beta=None, factor=1.0, bound=1e-9):
    """Compare two results of which the second is expected `factor` times as large."""
    expected = factor * one.beta if beta is None else beta
    np.testing.assert_allclose(other.se, factor * one.se, rtol=bound)
    assert np.all(np.abs(other.beta - expected) <= bound * other.se)
    scale = one.tau2 + 1 / (np.sqrt(one.k) * np.max(1 / one.se) ** 2)
    assert other.tau2 / factor**2 == pytest.approx(one.tau2, rel=bound, abs=bound * scale)
    for name in ("Q", "Q_p", "I2", "H2", "scale"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=bound, abs=bound, nan_ok=True), (
            name
        )
    for name in ("tau2_lower", "tau2_upper"):
        ours, theirs = getattr(one, name), getattr(other, name) / factor**2
        assert theirs == pytest.approx(ours, rel=bound, abs=bound * scale, nan_ok=True)


@pytest.mark.parametrize("method", METHODS)
@given(studies(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_order_of_studies_does_not_matter(method, data, random):
    y, v = data
    order = list(range(y.size))
    random.shuffle(order)
    one, other = answers(y, v, method), answers(y[order], v[order], method)
    assert_equal(one, other)
    np.testing.assert_allclose(other.weights, one.weights[order], rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
@given(studies(), st.integers(-12, 12))
@example((np.array([0.1, 0.5, 0.9]), np.array([0.04, 0.01, 0.02])), -12)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_units_from_1e_minus_12_to_1e_12_change_only_the_units(method, data, exponent):
    y, v = data
    factor = 10.0**exponent
    assert_equal(answers(y, v, method), answers(factor * y, factor**2 * v, method), factor=factor)


@pytest.mark.parametrize("method", METHODS)
@given(studies(), st.integers(-(2**20), 2**20))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_shift_moves_the_effect_and_nothing_else(method, data, shift):
    y, v = data
    y = np.round(y * 2**20) / 2**20  # so that adding the shift is exact
    one = answers(y, v, method)
    assert_equal(one, answers(y + shift, v, method), beta=one.beta + shift, bound=1e-7)


@pytest.mark.parametrize("method", METHODS)
@given(studies())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_change_of_sign_mirrors_the_effect(method, data):
    y, v = data
    one, other = answers(y, v, method), answers(-y, v, method)
    assert other.beta == -one.beta
    assert (other.tau2, other.Q, other.I2) == (one.tau2, one.Q, one.I2)
    assert (other.lower, other.upper) == (-one.upper, -one.lower)


@pytest.mark.parametrize("method", ["FE", "ML", "REML"])
@given(studies())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_study_with_a_huge_variance_changes_nothing(method, data):
    """The moment estimators divide by k - p instead, which the study does change."""
    y, v = data
    one = answers(y, v, method, test="z")
    other = answers(np.append(y, 0.7), np.append(v, 1e16), method, test="z")
    np.testing.assert_allclose(other.se, one.se, rtol=1e-7)
    assert np.all(np.abs(other.beta - one.beta) <= 1e-7 * one.se)
    assert other.tau2 == pytest.approx(one.tau2, rel=1e-7, abs=1e-7 * v.min())
    assert pytest.approx(one.Q, rel=1e-9, abs=1e-9) == other.Q
    assert other.weights[-1] < 1e-8


@pytest.mark.parametrize("method", METHODS)
@given(studies(smallest=4), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_another_parametrisation_of_the_moderators_fits_the_same(method, data, seed):
    y, v = data
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(y.size), rng.normal(size=y.size)])
    A = np.array([[1.0, 1950.0], [0.0, 25.0]])  # x becomes a calendar year
    one, other = answers(y, v, method, X, "z"), answers(y, v, method, X @ A, "z")
    fitted = X @ one.beta
    np.testing.assert_allclose((X @ A) @ other.beta, fitted, rtol=1e-6, atol=1e-6 * one.se.max())
    assert other.tau2 == pytest.approx(one.tau2, rel=1e-6, abs=1e-6 * v.min())
    assert pytest.approx(one.QM, rel=1e-6, abs=1e-9) == other.QM
    assert pytest.approx(one.Q, rel=1e-7, abs=1e-9) == other.Q


@given(studies())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_study_split_in_two_changes_random_effects_only(data):
    """Twice (y, 2 v) is (y, v) with tau = 0, but two draws of theta otherwise."""
    y, v = data
    split_y, split_v = np.append(y, y[0]), np.concatenate([[2 * v[0]], v[1:], [2 * v[0]]])
    one, other = answers(y, v, "FE", test="z"), answers(split_y, split_v, "FE", test="z")
    np.testing.assert_allclose(other.beta, one.beta, rtol=1e-9, atol=1e-9 * one.se[0])
    np.testing.assert_allclose(other.se, one.se, rtol=1e-12)
    assert pytest.approx(one.Q, rel=1e-9, abs=1e-12) == other.Q
    random_one, random_other = answers(y, v, "DL", test="z"), answers(split_y, split_v, "DL", test="z")
    assume(min(random_one.tau2, random_other.tau2) > 0.01 * v.max())
    assert abs(random_one.se[0] / random_other.se[0] - 1) > 1e-6


@pytest.mark.parametrize("method", METHODS)
@given(studies())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_the_effect_lies_among_the_effects_and_weights_sum_to_100(method, data):
    y, v = data
    result = answers(y, v, method, test="z")
    slack = 1e-12 * np.abs(y).max()
    assert y.min() - slack <= result.beta[0] <= y.max() + slack
    assert np.all(result.weights >= 0)
    assert result.weights.sum() == pytest.approx(100, rel=1e-12)
    assert result.tau2 >= 0
    assert result.se[0] >= answers(y, v, "FE", test="z").se[0] * (1 - 1e-12)
    assert 0 <= result.I2 <= 100


@given(studies())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_the_q_profile_interval_is_ordered_and_holds_paule_mandel_where_it_should(data):
    y, v = data
    known = heterogeneity(problem(y, v))
    assert 0 <= known.tau2_lower <= known.tau2_paule_mandel <= known.tau2_upper


@given(studies())
@settings(max_examples=50, deadline=None, derandomize=True)
def test_intervals_with_fewer_degrees_of_freedom_are_wider(data):
    y, v = data
    plain = pool(heterogeneity(problem(y, v)), method="REML", test="z")
    t = pool(heterogeneity(problem(y, v)), method="REML", test="t")
    floored = pool(heterogeneity(problem(y, v)), method="REML", test="adhoc")
    assert plain.upper[0] - plain.lower[0] < t.upper[0] - t.lower[0]
    assert t.upper[0] - t.lower[0] <= (floored.upper[0] - floored.lower[0]) * (1 + 1e-12)
    assert plain.pi_lower < plain.lower[0]
    if plain.k > 2:
        assert plain.pi_hts_lower < plain.pi_lower


@given(studies(), st.floats(0.5, 0.99))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_higher_level_widens_every_interval(data, level):
    y, v = data
    low = pool(heterogeneity(problem(y, v), level=level), method="DL")
    high = pool(heterogeneity(problem(y, v), level=(1 + level) / 2), method="DL")
    assert high.lower[0] < low.lower[0] < low.upper[0] < high.upper[0]
    assert high.pi_lower < low.pi_lower
    assert high.tau2_lower <= low.tau2_lower <= low.tau2_upper <= high.tau2_upper
