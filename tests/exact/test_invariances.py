"""Invariances (T-INV-1 to 11) and limits (TESTING 1.5, 1.6) of the exact engine."""

from __future__ import annotations

from math import log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmeta.classical import classical_suite
from bayesmeta.conditional import given_tau
from bayesmeta.engines.exact import integrate
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.posterior import distribution_of
from bayesmeta.studies import Studies

P = np.array([1e-6, 0.025, 0.5, 0.975, 1 - 1e-6])
FAST = settings(max_examples=40, deadline=None, derandomize=True)
SLOW = settings(max_examples=500, deadline=None, derandomize=True)


@st.composite
def data_sets(draw, smallest=1):
    k = draw(st.integers(smallest, 12))
    scale = 10.0 ** draw(st.integers(-6, 6))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    s = scale * np.exp(rng.uniform(-1.5, 1.5, k))
    y = scale * rng.normal(0.3, draw(st.sampled_from([0.1, 1.0, 5.0])), k) + s * rng.standard_normal(k)
    return y, s, scale, rng


def solve(y, s, scale=1.0, *, mu="Normal(0, {0})", tau="HalfNormal({0})", shift=0.0, **model):
    studies = Studies.from_effects(y, sei=s, data=model.pop("data", None))
    mu = mu.format(repr(float(2 * scale))) if shift == 0 else f"Normal({shift!r}, {2 * scale!r})"
    problem = pose(studies, Model(mu=mu, tau=tau.format(repr(float(scale))), **model))
    return ExactPosterior(problem, integrate(problem))


def profile(posterior, scale=1.0):
    """Return moments and quantiles of mu, tau and theta_new in units of the scale."""
    parts = [posterior.coefficients, posterior.tau, distribution_of(posterior, "theta_new"), posterior.theta]
    return np.concatenate([np.vstack([d.mean(), d.sd(), d.quantile(P)]).ravel() for d in parts]) / scale


def check_permutation(case):
    y, s, scale, rng = case
    order = rng.permutation(y.size)
    one, two = solve(y, s, scale), solve(y[order], s[order], scale)
    assert one.log_evidence == pytest.approx(two.log_evidence, abs=1e-11)
    assert one.coefficients.quantile(P) == pytest.approx(
        two.coefficients.quantile(P), rel=1e-11, abs=1e-12 * scale
    )
    assert one.theta.mean()[order] == pytest.approx(two.theta.mean(), rel=1e-11, abs=1e-12 * scale)


def check_sign(case):
    y, s, scale, _ = case
    one, two = solve(y, s, scale), solve(-y, s, scale)
    assert one.log_evidence == pytest.approx(two.log_evidence, abs=1e-12)
    assert one.coefficients.quantile(P) == pytest.approx(
        -two.coefficients.quantile(1 - P), rel=1e-11, abs=1e-12 * scale
    )


def check_shift(case):
    y, s, scale, _ = case
    by = 100.0 * scale
    one, two = solve(y, s, scale), solve(y + by, s, scale, shift=by)
    assert two.log_evidence == pytest.approx(one.log_evidence, abs=1e-9)
    assert two.coefficients.quantile(P) - by == pytest.approx(one.coefficients.quantile(P), abs=1e-10 * scale)
    assert two.tau.quantile(P) == pytest.approx(one.tau.quantile(P), rel=1e-8, abs=1e-10 * scale)


def check_scale(case):
    y, s, scale, _ = case
    factor = 1e12
    one, two = solve(y, s, scale), solve(y * factor, s * factor, scale * factor)
    assert two.log_evidence == pytest.approx(one.log_evidence - y.size * log(factor), rel=1e-10, abs=1e-9)
    assert profile(two, scale * factor) == pytest.approx(profile(one, scale), rel=1e-9, abs=1e-11)


def check_uninformative(case):
    y, s, scale, _ = case
    one, two = solve(y, s, scale), solve(np.append(y, scale), np.append(s, 1e9 * scale), scale)
    assert two.coefficients.quantile(P) == pytest.approx(one.coefficients.quantile(P), abs=1e-11 * scale)
    assert two.tau.quantile(P) == pytest.approx(one.tau.quantile(P), rel=1e-9)


def check_splitting(case):
    y, s, scale, _ = case
    twice_y, twice_s = np.append(y, y[0]), np.append(s, s[0] * sqrt(2))
    twice_s[0] = s[0] * sqrt(2)
    common = [solve(a, b, scale, tau="Fixed(0)") for a, b in ((y, s), (twice_y, twice_s))]
    assert common[0].coefficients.quantile(P) == pytest.approx(
        common[1].coefficients.quantile(P), rel=1e-11, abs=1e-12 * scale
    )
    random = [solve(a, b, scale) for a, b in ((y, s), (twice_y, twice_s))]
    assert abs(random[0].log_evidence - random[1].log_evidence) > 1e-6


def check_hull(case):
    y, s, scale, _ = case
    posterior = solve(y, s, scale, mu="Flat()")
    median = float(posterior.coefficients.quantile(np.array([0.5]))[0, 0])
    slack = 1e-9 * scale
    assert y.min() - slack <= median <= y.max() + slack
    weights, pooling = posterior.shares()
    assert weights.min() >= 0
    assert weights.sum() == pytest.approx(100, abs=1e-10)
    assert ((pooling >= 0) & (pooling <= 1)).all()
    fitted = posterior.nodes.beta
    low, high = np.minimum(fitted, y) - slack, np.maximum(fitted, y) + slack
    means = posterior.theta.means
    assert ((means >= low) & (means <= high)).all()


def check_distribution(case):
    y, s, scale, _ = case
    posterior = solve(y, s, scale)
    mu, new = posterior.coefficients, distribution_of(posterior, "theta_new")
    for distribution in (mu, new, posterior.tau):
        x = distribution.quantile(P)
        assert (np.diff(x[:, 0]) > 0).all()
        assert distribution.cdf(x[:, 0])[:, 0] == pytest.approx(P, rel=1e-9, abs=1e-12)
    grid = np.linspace(*mu.quantile(np.array([1e-11, 1 - 1e-11]))[:, 0], 4001)
    density = mu.density(grid)[:, 0]
    step = grid[1] - grid[0]
    assert density.sum() * step == pytest.approx(1, abs=1e-9)
    assert (density * grid).sum() * step == pytest.approx(mu.mean()[0], abs=1e-8 * scale)
    assert new.sd()[0] >= mu.sd()[0]
    assert new.skewness() == pytest.approx(skewness_by_sum(new), abs=1e-6)


def skewness_by_sum(distribution):
    grid = np.linspace(*distribution.quantile(np.array([1e-12, 1 - 1e-12]))[:, 0], 20001)
    z = (grid - distribution.mean()[0]) / distribution.sd()[0]
    return [float((distribution.density(grid)[:, 0] * z**3).sum() * (grid[1] - grid[0]))]


def check_update(case):
    # all studies at once against studies 1..j as the joint prior of the rest, on the nodes of the whole
    y, s, scale, _ = case
    j = y.size // 2
    first, whole = solve(y[:j], s[:j], scale), solve(y, s, scale)
    nodes = whole.nodes.tau
    prior = first.problem.priors.tau_density.logpdf(nodes.tau)
    known = given_tau(first.problem, nodes.tau)
    mean, variance = known.beta[:, 0], known.cov[:, 0, 0]
    log_f = known.log_marginal + prior
    for yi, si in zip(y[j:], s[j:], strict=True):  # one study after the other, given tau
        total = si * si + nodes.tau**2
        log_f = (
            log_f - 0.5 * np.log(2 * pi * (total + variance)) - 0.5 * (yi - mean) ** 2 / (total + variance)
        )
        gain = variance / (variance + total)
        mean, variance = mean + gain * (yi - mean), variance * (1 - gain)
    jacobian = nodes.substitution.log_derivative(nodes.rule.x)
    mass = np.exp(log_f + jacobian - whole.log_evidence) * nodes.rule.weights
    assert mass.sum() == pytest.approx(1, abs=1e-8)
    assert mass @ mean == pytest.approx(whole.coefficients.mean()[0], abs=1e-8 * scale)


CHECKS = {
    "T-INV-1 permutation": check_permutation,
    "T-INV-2 sign": check_sign,
    "T-INV-3 shift": check_shift,
    "T-INV-4 scale": check_scale,
    "T-INV-5 and 6 uninformative study": check_uninformative,
    "T-INV-8 splitting": check_splitting,
    "T-INV-9 hull": check_hull,
    "T-INV-10 distribution": check_distribution,
    "T-INV-11 update": check_update,
}


@pytest.mark.parametrize("name", CHECKS)
def test_invariance(name):
    FAST(given(data_sets(smallest=2))(CHECKS[name]))()


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_invariance_in_five_hundred_data_sets(name):
    SLOW(given(data_sets(smallest=2))(CHECKS[name]))()


def test_another_basis_of_the_design_changes_no_fitted_value_and_the_evidence_by_its_determinant():
    # T-INV-7: X A in place of X, flat coefficients; log evidence falls by log |det A|
    rng = np.random.default_rng(5)
    x, y, s = rng.normal(size=7), rng.normal(size=7), np.full(7, 0.3) + rng.random(7)
    one = solve(y, s, mu="Flat()", beta="Flat()", mods="x", data={"x": x}, center=False)
    two = solve(y, s, mu="Flat()", beta="Flat()", mods="x", data={"x": 3 - 2 * x}, center=False)
    assert two.log_evidence == pytest.approx(one.log_evidence - log(2), abs=1e-11)
    assert two.theta.quantile(P) == pytest.approx(one.theta.quantile(P), rel=1e-10)
    assert two.tau.quantile(P) == pytest.approx(one.tau.quantile(P), rel=1e-9)


Y, S = np.array([0.1, 0.5, -0.2, 0.4, 0.9]), np.array([0.2, 0.15, 0.3, 0.25, 0.2])


@pytest.mark.parametrize("tau", ["HalfNormal(1e-8)", "Fixed(0)"])
def test_no_heterogeneity_gives_the_fixed_effect_analysis(tau):
    w = S**-2.0
    posterior = solve(Y, S, mu="Flat()", tau=tau)
    assert posterior.coefficients.mean()[0] == pytest.approx(w @ Y / w.sum(), rel=1e-9)
    assert posterior.coefficients.sd()[0] == pytest.approx(w.sum() ** -0.5, rel=1e-9)


def test_boundless_heterogeneity_gives_the_unweighted_mean():
    assert solve(Y, S, mu="Flat()", tau="Fixed(1e6)").coefficients.mean()[0] == pytest.approx(
        Y.mean(), rel=1e-9
    )


def test_two_studies_of_equal_precision_are_symmetric_about_their_midpoint():
    mu = solve([0.1, 0.5], [0.2, 0.2], mu="Flat()").coefficients
    assert mu.quantile(P)[:, 0] - 0.3 == pytest.approx(-(mu.quantile(1 - P)[:, 0] - 0.3), rel=1e-11)


def test_one_study_under_flat_priors_of_its_mean_keeps_the_prior_of_tau_and_its_own_effect():
    posterior = solve([0.4], [0.2], mu="Flat()", tau="HalfNormal(0.5)")
    assert posterior.tau.mean()[0] == pytest.approx(0.5 * sqrt(2 / pi), rel=1e-12)
    assert (posterior.theta.mean()[0], posterior.theta.sd()[0]) == pytest.approx((0.4, 0.2), rel=1e-12)


def test_flat_priors_put_the_mode_of_tau_at_the_reml_estimate():
    studies = Studies.from_effects(Y, sei=S)
    problem = pose(studies, Model(mu="Flat()", tau="Flat()"))
    posterior = ExactPosterior(problem, integrate(problem))
    assert posterior.tau.mode()[0] == pytest.approx(
        sqrt(classical_suite(studies, "1")["REML"].tau2), abs=1e-8
    )


def test_a_wide_half_normal_is_flat():
    wide, flat = solve(Y, S, mu="Flat()", tau="HalfNormal(1e8)"), solve(Y, S, mu="Flat()", tau="Flat()")
    assert wide.coefficients.quantile(P) == pytest.approx(flat.coefficients.quantile(P), rel=1e-8)


def test_a_wide_prior_of_the_mean_is_flat_and_its_evidence_falls_by_the_width():
    wide, flat = solve(Y, S, 5e7, tau="HalfNormal(0.5)"), solve(Y, S, mu="Flat()", tau="HalfNormal(0.5)")
    assert wide.coefficients.quantile(P) == pytest.approx(flat.coefficients.quantile(P), rel=1e-8)
    assert wide.log_evidence + log(1e8 * sqrt(2 * pi)) == pytest.approx(flat.log_evidence, abs=1e-8)


def test_repeats_are_bitwise_equal_also_in_eight_threads():
    from concurrent.futures import ThreadPoolExecutor

    def bits(_):
        posterior = solve(Y, S)
        return profile(posterior).tobytes() + np.float64(posterior.log_evidence).tobytes()

    with ThreadPoolExecutor(8) as pool:
        assert len({bits(0), *pool.map(bits, range(24))}) == 1
