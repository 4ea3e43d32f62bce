"""Distributions known by draws: arithmetic of draws, and kernel densities that know their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from bayesmeta.results.empirical import Empirical

N = 20_000


def draws_of(distribution, shape=(4, N // 4, 1), seed=3):
    return distribution.rvs(size=shape, random_state=np.random.default_rng(seed))


def test_arithmetic_is_numpy_s():
    values = np.random.default_rng(1).standard_normal((2, 50, 3))
    one, flat = Empirical(values), values.reshape(100, 3)
    assert one.size == 3
    np.testing.assert_allclose(one.mean(), flat.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(one.sd(), flat.std(axis=0, ddof=1), rtol=1e-13)
    p = np.array([0.025, 0.5, 0.975])
    np.testing.assert_array_equal(one.quantile(p), np.quantile(flat, p, axis=0))
    np.testing.assert_array_equal(one.select(1).values[:, :, 0], values[:, :, 1])


def test_cdf_is_the_fraction_of_draws_up_to_a_point():
    one = Empirical(np.array([[[1.0], [2.0]], [[2.0], [5.0]]]))
    np.testing.assert_array_equal(one.cdf(np.array([0.9, 1, 2, 4.9, 5]))[:, 0], [0, 0.25, 0.75, 0.75, 1])


def test_bounds_follow_a_selection():
    one = Empirical(np.ones((1, 4, 2)), lower=0.0, upper=3.0).select(1)
    assert (one.lower, one.upper) == (0.0, 3.0)


@pytest.mark.parametrize(
    ("distribution", "bounds"),
    [
        (stats.norm(3, 2), (-np.inf, np.inf)),
        (stats.halfnorm(scale=0.5), (0, np.inf)),
        (stats.expon(), (0, np.inf)),
        (stats.uniform(0, 100), (0, 100)),
        (stats.gamma(3), (0, np.inf)),
    ],
)
def test_kernel_density_is_near_the_truth_also_at_its_bounds(distribution, bounds):
    one = Empirical(draws_of(distribution), *bounds)
    x = distribution.ppf(np.array([0.02, 0.2, 0.5, 0.8, 0.98]))
    at = np.append(x, [b for b in bounds if np.isfinite(b)])
    peak = distribution.pdf(distribution.ppf(np.linspace(0.001, 0.999, 999))).max()
    # The error of a kernel density of 20,000 draws is about n^(-2/5) = 2 % of the peak; at a bound with a
    # slope it is a bandwidth of it, here 12 % for the exponential.
    np.testing.assert_allclose(one.density(at)[:, 0], distribution.pdf(at), atol=0.13 * peak)
    np.testing.assert_allclose(one.density(x[1:4])[:, 0], distribution.pdf(x[1:4]), atol=0.06 * peak)


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0, np.inf)])
def test_kernel_density_integrates_to_one(bounds):
    one = Empirical(draws_of(stats.halfnorm(scale=0.5)), *bounds)
    x, density = one.kernel(0)
    assert integrate.trapezoid(density, x) == pytest.approx(1, abs=2e-3)
    assert x[0] >= bounds[0]


def test_density_is_zero_beyond_the_grid_and_beyond_the_bounds():
    one = Empirical(draws_of(stats.halfnorm()), lower=0.0)
    np.testing.assert_array_equal(one.density(np.array([-0.1, 100.0]))[:, 0], [0, 0])


@pytest.mark.parametrize(
    ("distribution", "mode"),
    [(stats.halfnorm(scale=0.3), 0.0), (stats.expon(), 0.0), (stats.halfcauchy(), 0.0)],
)
def test_mode_at_the_bound_is_found_there(distribution, mode):
    one = Empirical(draws_of(distribution), lower=0.0)
    scale = float(distribution.ppf(0.5))
    # The densities are flat at 0 or fall from it: the highest point is within a quarter of a median.
    assert one.mode()[0] == pytest.approx(mode, abs=0.25 * scale)


def test_mode_inside_is_found():
    one = Empirical(np.concatenate([draws_of(stats.gamma(4)), draws_of(stats.norm(10, 1))], axis=2))
    # Modes 3 and 10; the density near them is flat to 1 percent within 0.15 sd.
    np.testing.assert_allclose(one.mode(), [3, 10], atol=0.3)


def test_without_the_bound_the_mode_is_pushed_inside():
    draws = draws_of(stats.expon())
    assert Empirical(draws, lower=0.0).mode()[0] < Empirical(draws).mode()[0]


def test_heavy_tail_does_not_make_the_grid_coarse():
    one = Empirical(draws_of(stats.cauchy()))
    x, density = one.kernel(0)
    assert x[1] - x[0] < 0.2
    assert density[np.abs(x).argmin()] == pytest.approx(1 / np.pi, rel=0.1)
    # What lies beyond the grid still counts: the tail beyond 26 quartile ranges is 1.2 percent on each side.
    assert integrate.trapezoid(density, x) == pytest.approx(1, abs=0.04)
    assert integrate.trapezoid(density, x) < 1


def test_constant_draws_are_a_spike():
    one = Empirical(np.full((2, 10, 1), 0.3))
    assert one.mode()[0] == 0.3
    assert one.sd()[0] < 1e-15
    assert one.quantile(np.array([0.5]))[0, 0] == 0.3
    assert one.kernel(0).density[0] == np.inf


def test_few_different_values_have_a_density():
    values = np.zeros((1, 100, 1))
    values[0, 0, 0] = 1.0
    # Quartiles agree, so that the bandwidth comes from the standard deviation.
    assert np.isfinite(Empirical(values, lower=0.0).mode()[0])
