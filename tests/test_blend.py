"""Blends of posteriors: moments, distribution functions, quantiles and modes of weighted mixtures.

Expected values are those of scipy's normal distribution mixed by hand, solved by scipy's brentq, or counted.
"""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

import bayesmeta as bm
from bayesmeta.results.averaged import averaged
from bayesmeta.results.blend import Blend, average_evidence, blend, posterior_weights
from bayesmeta.results.empirical import Empirical
from bayesmeta.results.expression import parse_statement
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.results.posterior import all_names
from bayesmeta.results.transformed import SQUARE, Transformed

P = np.array([1e-9, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 0.999, 1 - 1e-9])
WEIGHTS = (0.3, 0.7)
ONE, TWO = stats.norm(-1, 0.5), stats.norm(2, 1.5)


def normal(mean, sd):
    return NormalMixture(np.ones(1), np.array([[mean]]), np.array([[sd]]))


def below(x):
    return WEIGHTS[0] * ONE.cdf(x) + WEIGHTS[1] * TWO.cdf(x)


@pytest.fixture(params=["merged", "blend"])
def mixed(request):
    parts = (normal(-1, 0.5), normal(2, 1.5))
    return blend(parts, WEIGHTS) if request.param == "merged" else Blend(parts, np.array(WEIGHTS))


def test_moments_are_those_of_the_mixture(mixed):
    mean = 0.3 * -1 + 0.7 * 2
    central = [
        integrate.quad(lambda x, r=r: (x - mean) ** r * (0.3 * ONE.pdf(x) + 0.7 * TWO.pdf(x)), -20, 20)[0]
        for r in (2, 3)
    ]
    assert mixed.mean() == pytest.approx([mean], rel=1e-14)
    assert mixed.sd() == pytest.approx([central[0] ** 0.5], rel=1e-9)
    assert mixed.skewness() == pytest.approx([central[1] / central[0] ** 1.5], rel=1e-8)


def test_density_and_distribution_function_are_weighted_sums(mixed):
    x = np.array([-2.0, 0.1, 5.0])
    assert mixed.cdf(x)[:, 0] == pytest.approx(below(x), rel=1e-14)
    assert mixed.density(x)[:, 0] == pytest.approx(0.3 * ONE.pdf(x) + 0.7 * TWO.pdf(x), rel=1e-13)


def test_quantiles_are_roots_of_the_distribution_function(mixed):
    expected = [optimize.brentq(lambda x, p=p: below(x) - p, -15, 20, xtol=1e-14, rtol=1e-14) for p in P]
    # A probability near 1 is known to 1e-16 only, which is 1e-7 of the smallest tail here.
    assert mixed.quantile(P)[:, 0] == pytest.approx(expected, rel=2e-7)
    assert mixed.quantile(P)[2:7, 0] == pytest.approx(expected[2:7], rel=1e-12)


def test_mode_is_the_higher_of_the_peaks(mixed):
    top = optimize.minimize_scalar(
        lambda x: -0.3 * ONE.pdf(x) - 0.7 * TWO.pdf(x), bounds=(-2, 0), options={"xatol": 1e-12}
    )
    assert mixed.mode() == pytest.approx([top.x], abs=1e-7)


def test_draws_have_the_distribution(mixed):
    drawn = mixed.sample(4000, np.random.default_rng(4))
    assert drawn.shape == (4000, 1)
    # Kolmogorov's 1e-4 limit for n = 4000 is 2.23 / sqrt(n).
    assert stats.kstest(below(drawn[:, 0]), "uniform").statistic < 2.23 / 4000**0.5


def test_a_single_value_keeps_its_probability():
    mixed = blend([PointMass(0.0), normal(1, 0.2)], [0.25, 0.75])
    assert mixed.cdf(np.array([-0.01, 0.0]))[:, 0] == pytest.approx([0.0, 0.25], abs=1e-6)
    expected = [0.0, 0.0, stats.norm(1, 0.2).ppf((0.6 - 0.25) / 0.75)]
    assert mixed.quantile(np.array([0.1, 0.25, 0.6]))[:, 0] == pytest.approx(expected, rel=1e-12)
    assert mixed.mean() == pytest.approx([0.75])
    assert mixed.sd() == pytest.approx([(0.75 * 0.04 + 0.75 * 0.25) ** 0.5])
    assert mixed.mode() == [0.0]
    mass = integrate.quad(lambda x: float(mixed.density(np.array([x]))[0, 0]), -1, 3)[0]
    assert mass == pytest.approx(0.75, rel=1e-9)


def test_a_single_value_in_the_middle_is_a_step_of_the_quantiles():
    mixed = blend([PointMass(0.0), normal(0, 1), PointMass(0.0)], [0.1, 0.8, 0.1])
    assert mixed.atoms == {0.0: pytest.approx(0.2)}
    expected = [stats.norm.ppf(0.3 / 0.8), 0, 0, 0, stats.norm.ppf((0.7 - 0.2) / 0.8)]
    assert mixed.quantile(np.array([0.3, 0.41, 0.5, 0.59, 0.7]))[:, 0] == pytest.approx(expected, rel=1e-12)


def test_functions_of_a_single_value_are_single_values():
    mixed = blend([Transformed(PointMass(0.5), SQUARE), normal(1, 0.2)], [0.5, 0.5])
    assert mixed.atoms == {0.25: 0.5}


def test_a_moment_that_one_part_lacks_does_not_exist():
    heavy = NormalMixture(np.ones(1), np.zeros((1, 1)), np.ones((1, 1)), moments=1)
    for mixed in (blend([heavy, normal(1, 1)], WEIGHTS), blend([heavy, PointMass(0.0)], WEIGHTS)):
        assert np.isfinite(mixed.mean()).all()
        assert np.isnan(mixed.sd()).all()
        assert np.isnan(mixed.skewness()).all()


def test_parts_without_probability_are_left_out():
    alone = normal(1, 2)
    assert blend([alone, PointMass(0.0)], [2.0, 0.0]) is alone


def test_draws_of_a_sampler_can_be_blended_with_exact_answers():
    values = np.random.default_rng(3).normal(2, 1.5, (4, 250, 1))
    mixed = blend([Empirical(values), normal(-1, 0.5)], [0.5, 0.5])
    x = mixed.quantile(np.array([0.3, 0.8]))
    assert mixed.cdf(x)[:, 0] == pytest.approx([0.3, 0.8], abs=1 / 1000)


def test_weights_are_prior_times_evidence():
    assert posterior_weights([-700.0, -701.0], [0.2, 0.8]) == pytest.approx(
        np.array([0.2, 0.8 / np.e]) / (0.2 + 0.8 / np.e)
    )
    assert posterior_weights([-1e5, -2e5], [1, 1]) == pytest.approx([1, 0])
    assert average_evidence([np.log(2), np.log(5)], [1, 3]) == pytest.approx(np.log(0.25 * 2 + 0.75 * 5))


@pytest.fixture(scope="module")
def two():
    studies = bm.Studies.from_effects([0.1, 0.5, -0.2, 0.9], sei=[0.2, 0.3, 0.25, 0.3])
    models = [
        bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"),
        bm.Model(mu="Normal(0, 1)", effects="common"),
    ]
    fits = [bm.fit(studies, model) for model in models]
    return fits, averaged(fits[0].problem, [fit.posterior for fit in fits], [1, 1])


def test_averaged_posterior_weighs_every_answer(two):
    fits, both = two
    share = 1 / (1 + np.exp(fits[1].log_evidence - fits[0].log_evidence))
    assert both.weights == pytest.approx([share, 1 - share], rel=1e-13)
    mean = [fit.marginal("mu").mean for fit in fits]
    assert both.coefficients.mean()[0] == pytest.approx(share * mean[0] + (1 - share) * mean[1], rel=1e-12)
    assert both.theta.size == 4
    assert both.tau.cdf(np.zeros(1))[0, 0] == pytest.approx(1 - share, rel=1e-12)
    assert both.of_tau(SQUARE).quantile(np.array([0.9])) == pytest.approx(
        both.tau.quantile(np.array([0.9])) ** 2, rel=1e-9
    )
    for answer in ("shares",):
        parts = [getattr(fit.posterior, answer)() for fit in fits]
        assert getattr(both, answer)()[0] == pytest.approx(share * parts[0][0] + (1 - share) * parts[1][0])
    statement = parse_statement("mu > 0 and tau < 0.3", all_names(both.problem))
    parts = [fit.probability("mu > 0 and tau < 0.3") for fit in fits]
    assert both.probability(statement) == pytest.approx(share * parts[0] + (1 - share) * parts[1], rel=1e-12)
    assert both.monte_carlo_error(statement) == 0
    assert both.engine == "exact"


def test_draws_of_an_averaged_posterior_come_from_every_part(two):
    _, both = two
    draws = both.draws(4000, np.random.default_rng(1))
    assert draws.beta.shape == (4, 1000, 1)
    assert draws.theta.shape == (4, 1000, 4)
    share = float(np.mean(draws.tau == 0))
    expected = float(both.weights[1])
    assert share == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5)
    assert np.ptp(np.mean(draws.tau == 0, axis=1)) < 0.2
