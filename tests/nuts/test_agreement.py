"""The comparison of engines: rarely alarmed by a correct sampler, always by a wrong one."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

import bayesmeta as bm
from bayesmeta.agreement import agreement
from bayesmeta.results.diagnostics import diagnose
from bayesmeta.results.draws import Draws
from bayesmeta.results.fit import Fit
from bayesmeta.results.sampled import SampledPosterior

CHAINS, EACH = 4, 1000


@pytest.fixture(scope="module")
def exact(eight):
    return bm.fit(eight, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"), engine="exact")


def unchanged(_name, values):
    return values


def sampled_from(exact, seed, change=unchanged):
    """Return a fit whose draws are independent ones from the exact posterior, changed by a function."""
    made = exact.posterior.draws(CHAINS * EACH, np.random.default_rng(seed))

    def chains(name):
        values = np.asarray(getattr(made, name))
        return change(name, values.reshape(CHAINS, EACH, *values.shape[2:]))

    parts = {name: chains(name) for name in ("beta", "tau", "theta", "theta_new")}
    draws = Draws(**parts, settings={"chains": CHAINS, "draws": EACH, "refits": 0})
    posterior = SampledPosterior(exact.problem, draws)
    return Fit(exact.studies, exact.problem, posterior, diagnose(draws, exact.problem.coefficients), seed)


def alarms(exact, seeds):
    return sum(not agreement(sampled_from(exact, seed), exact).ok for seed in seeds)


@pytest.fixture(scope="module")
def correct(exact):
    return [agreement(sampled_from(exact, seed), exact) for seed in range(10)]


def test_a_correct_sampler_is_not_called_different(correct):
    assert all(one.ok for one in correct)  # 0.01 alarms expected


@pytest.mark.slow
def test_the_false_alarm_rate_is_a_thousandth(exact):
    assert alarms(exact, range(100, 500)) <= 3  # expected 0.4; more than 3 has probability 8e-4


def test_the_differences_of_correct_samplers_are_standard_normal(correct):
    z = np.array([[row.z for row in one.rows] for one in correct])
    assert np.std(z) == pytest.approx(1, abs=0.12)  # 10 x 55 values, correlated within a fit
    assert np.mean(np.abs(z) > 3) < 0.012  # 0.0027 expected


@pytest.mark.parametrize("name", ["beta", "tau", "theta", "theta_new"])
def test_a_shift_of_a_fifth_of_an_sd_is_found_in_every_quantity(exact, name):
    wrong = sampled_from(exact, 1, lambda part, x: x + 0.2 * x.std() if part == name else x)
    assert not agreement(wrong, exact).ok


def test_a_tail_cut_at_one_percent_is_found(exact):
    def cut(name, x):
        return np.minimum(x, np.quantile(x, 0.95)) if name == "tau" else x

    found = agreement(sampled_from(exact, 2, cut), exact)
    assert not found.ok


def test_the_detectable_bias_is_four_standard_errors_of_the_mean(correct):
    found = correct[3]
    # independent draws: 4 / sqrt(4000) = 0.0632 sd, and the largest of 11 quantities a little more
    assert 0.0632 * 0.95 < found.detectable < 0.0632 * 1.2


def test_the_block_of_results_names_threshold_and_detectable_bias(correct):
    block = correct[4].to_dict()
    assert block["comparisons"] == len(block["rows"]) == 5 * 11
    # Python's statistics.NormalDist().inv_cdf(1 - 0.001 / 110)
    assert block["threshold"] == pytest.approx(4.2861231989835975, rel=1e-9)
    assert block["ok"] is True


def test_a_mean_without_variance_is_not_compared():
    studies = bm.Studies.from_effects([0.1, 0.5], sei=[0.2, 0.2])
    exact = bm.fit(studies, bm.Model(mu="Flat()", tau="HalfCauchy(0.5)"), engine="exact")
    rows = agreement(sampled_from(exact, 5), exact).rows
    # tail exponent 2 + 2 - 1: moments of order below 2 exist (Röver 2020)
    assert {row.statistic for row in rows} == {"median", "lower", "upper"}


def test_a_known_tau_is_not_compared(eight):
    exact = bm.fit(eight, bm.Model(mu="Normal(0, 1)", tau="Fixed(0.3)"), engine="exact")
    assert "tau" not in {row.quantity for row in agreement(sampled_from(exact, 6), exact).rows}


def test_an_sd_is_compared_where_tails_are_light():
    # the standard errors differ by a thousand: tau is most probably near the smaller ones, with a long tail
    y, sei = [0.5, 0.51, 0.48, 0.9, 0.1], np.geomspace(1e-3, 1, 5)
    long = bm.fit(bm.Studies.from_effects(y, sei=sei), bm.Model(mu="Normal(0, 5)", tau="HalfNormal(1)"))
    low, median, high, far = (long.marginal("tau").quantile(p) for p in (0.025, 0.5, 0.975, 1 - 1e-4))
    assert far - median > 4 * (high - median) > 0 < median - low
    compared = {(row.quantity, row.statistic) for row in agreement(sampled_from(long, 7), long).rows}
    assert ("tau", "mean") in compared and ("tau", "sd") not in compared


def test_the_standard_error_of_a_mean_is_that_of_the_exact_sd(exact, correct):
    row = next(row for row in correct[5].rows if (row.quantity, row.statistic) == ("tau", "mean"))
    size = (exact.marginal("tau").sd / row.mcse) ** 2
    assert 3000 < size < 5000  # 4,000 independent draws, whose effective size is estimated
    assert row.z == pytest.approx((row.nuts - exact.marginal("tau").mean) / row.mcse, rel=1e-12)


@pytest.mark.parametrize("name", ["mu", "tau", "theta_new"])
def test_the_standard_error_of_an_sd_is_that_of_the_exact_fourth_moment(exact, correct, name):
    # moments by adaptive quadrature of the exact density; 4,000 independent draws
    marginal = exact.marginal(name)

    def part(x, order):
        return (x - marginal.mean) ** order * marginal.density(x)

    def moment(order):
        ends = [marginal.quantile(p) for p in (1e-9, 0.5, 1 - 1e-9)]
        pieces = [
            quad(lambda x: (x - marginal.mean) ** order * marginal.density(x), *pair, limit=200)
            for pair in pairwise(ends)
        ]
        return sum(value for value, _ in pieces)

    square, fourth = moment(2), moment(4)
    errors = [
        next(row.mcse for row in one.rows if (row.quantity, row.statistic) == (name, "sd")) for one in correct
    ]
    expected = np.sqrt((fourth - square**2) / (4 * square) / 4000)
    assert np.mean(errors) == pytest.approx(expected, rel=0.1)  # effective sizes are estimates
