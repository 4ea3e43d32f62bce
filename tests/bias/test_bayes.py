"""Bayesian selection models against brute force, the exact engine, and each other."""

from __future__ import annotations

from itertools import product
from math import erfc, exp, pi, sqrt

import numpy as np
import pytest
from scipy import integrate, stats

import bayesmeta as bm
from bayesmeta import bias
from bayesmeta.bias.grid import Task, WeightPrior
from bayesmeta.bias.grid import integrate as on_grid
from bayesmeta.bias.weights import weight_function
from bayesmeta.errors import AnalysisError, ModelError, PriorError
from bayesmeta.priors import HalfNormal, Normal

MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")
Y, S = np.array([0.5, 0.1, 0.9, 0.3]), np.array([0.2, 0.15, 0.4, 0.1])
P = stats.norm.sf(Y / S)
FLAT = WeightPrior((), True)


def tail(z):
    """Return the upper normal probability."""
    return 0.5 * erfc(z / sqrt(2))


def density(mu, tau, weight, alternative="greater"):
    """Return likelihood times priors, the weight being that of p > 0.05, written from the definition."""
    value = exp(-0.5 * mu**2 - 0.5 * (tau / 0.3) ** 2) * 2 / (2 * pi * 0.3)
    c = {"greater": 1.6448536269514722, "two-sided": 1.959963984540054}[alternative]
    for y, s in zip(Y.tolist(), S.tolist(), strict=True):
        sd = sqrt(s * s + tau * tau)
        seen = y / s > c if alternative == "greater" else abs(y / s) > c
        chance = tail((c * s - mu) / sd)
        if alternative == "two-sided":
            chance += tail((c * s + mu) / sd)
        value *= exp(-0.5 * ((y - mu) / sd) ** 2) / (sd * sqrt(2 * pi)) * (1 if seen else weight)
        value /= chance + weight * (1 - chance)
    return value


@pytest.mark.parametrize("alternative", ["greater", "two-sided"])
def test_known_weights_agree_with_adaptive_double_integration(four, alternative):
    def moment(order):
        def integrand(mu, tau):
            return mu**order * density(mu, tau, 0.4, alternative)

        return integrate.dblquad(integrand, 0, 1.8, -2, 2, epsabs=1e-9, epsrel=1e-8)[0]

    total, first = moment(0), moment(1)
    ours = bias.step_posterior(four, MODEL, steps=(0.05,), weights=(0.4,), alternative=alternative)
    # beyond tau = 1.8 (6 sd of its prior) and |mu| = 2 there are below 1e-7 of the posterior
    assert ours.log_evidence == pytest.approx(np.log(total), abs=1e-6)
    assert ours.mu.mean == pytest.approx(first / total, abs=1e-6)
    assert ours.weights_mean.tolist() == pytest.approx([0.4])
    assert ours.error < 1e-5


def brute(steps, weights_of, prior_of, alternative="greater"):
    """Return log evidence, mean of mu and mean of the last weight by a dense product rule.

    Trapezoid in mu (spectrally accurate here), 40 Gauss-Legendre points in tau and in the cube root of each
    ratio, which has its features near 0.
    """
    nodes, masses = np.polynomial.legendre.leggauss(40)
    u, du = (nodes + 1) / 2, masses / 2
    mu = np.linspace(-6.0, 6.0, 241)
    tau, dtau = 2.1 * u, 2.1 * du
    u, du = u**3, 3 * u**2 * du
    total = np.zeros(3)
    p = P if alternative == "greater" else 2 * stats.norm.sf(np.abs(Y / S))
    places = np.searchsorted(steps, p)
    sd = np.sqrt(S**2 + tau[:, None] ** 2)
    ends = stats.norm.isf([0.0, *steps, 1.0])
    below = stats.norm.cdf((ends[:, None, None, None] * S - mu[:, None, None]) / sd)
    chances = below[:-1] - below[1:]
    plain = stats.norm.pdf(Y, mu[:, None, None], sd).prod(axis=2) * stats.norm.pdf(mu)[:, None]
    plain *= stats.halfnorm.pdf(tau, scale=0.3) * dtau * (mu[1] - mu[0])
    for point in product(range(40), repeat=len(steps)):
        ratios = u[list(point)]
        weights = weights_of(ratios)
        mass = prior_of(ratios) * du[list(point)].prod() * weights[places].prod()
        joint = mass * plain / np.tensordot(weights, chances, 1).prod(axis=2)
        total += joint.sum(), (joint * mu[:, None]).sum(), joint.sum() * weights[-1]
    return np.log(total[0]), total[1] / total[0], total[2] / total[0]


def test_a_uniform_weight_agrees_with_brute_force(four):
    evidence, mean, weight = brute((0.025,), lambda r: np.array([1, r[0]]), lambda _: 1.0)
    ours = bias.step_posterior(four, MODEL, steps=(0.025,), alternative="greater")
    # the product rule is good to about 1e-7, the grid says 1e-5 or better
    assert ours.log_evidence == pytest.approx(evidence, abs=2e-6)
    assert ours.mu.mean == pytest.approx(mean, abs=2e-6)
    assert ours.weights_mean[0] == pytest.approx(weight, abs=2e-6)


def test_two_falling_weights_agree_with_brute_force(four):
    # eta ~ Dirichlet(1, 1, 1): omega_2 = 1 - eta_1 ~ Beta(2, 1), omega_3 / omega_2 uniform
    evidence, mean, weight = brute(
        (0.025, 0.5), lambda r: np.array([1, r[0], r[0] * r[1]]), lambda r: 2 * r[0]
    )
    ours = bias.step_posterior(four, MODEL, steps=(0.025, 0.5), alternative="greater")
    assert ours.log_evidence == pytest.approx(evidence, abs=1e-5)
    assert ours.mu.mean == pytest.approx(mean, abs=1e-5)
    assert ours.weights_mean[1] == pytest.approx(weight, abs=1e-5)


@pytest.mark.slow
def test_two_independent_weights_agree_with_brute_force(four):
    evidence, mean, weight = brute((0.025, 0.5), lambda r: np.array([1, *r]), lambda _: 1.0)
    ours = bias.step_posterior(four, MODEL, steps=(0.025, 0.5), alternative="greater", monotone=False)
    assert ours.log_evidence == pytest.approx(evidence, abs=1e-5)
    assert ours.mu.mean == pytest.approx(mean, abs=1e-5)
    assert ours.weights_mean[1] == pytest.approx(weight, abs=1e-5)


def test_the_grid_without_selection_is_the_exact_engine(bmd, bmd_model):
    exact = bm.fit(bmd, bmd_model)
    ours = on_grid(Task(bmd.yi, bmd.vi, Normal(0, 1), HalfNormal(0.05), None, FLAT))
    assert ours.log_evidence == pytest.approx(exact.log_evidence, abs=1e-10)
    assert ours.mu.mean()[0] == pytest.approx(exact.marginal("mu").mean, abs=1e-10)
    assert ours.tau.sd()[0] == pytest.approx(exact.marginal("tau").sd, rel=1e-9)
    points = np.array([0.025, 0.5, 0.975])
    np.testing.assert_allclose(
        ours.mu.quantile(points)[:, 0], exact.marginal("mu").quantile(points), atol=1e-8
    )
    np.testing.assert_allclose(ours.mu.cdf(np.array([0.06]))[0, 0], exact.marginal("mu").cdf(0.06), atol=1e-9)


def test_weights_of_one_are_no_selection(four):
    exact = bm.fit(four, MODEL)
    ours = bias.step_posterior(four, MODEL, steps=(0.025, 0.5), weights=(1, 1), alternative="greater")
    assert ours.log_evidence == pytest.approx(exact.log_evidence, abs=1e-7)
    assert ours.mu.median == pytest.approx(exact.marginal("mu").median, abs=1e-7)


def test_reversing_effects_and_direction_mirrors_the_answer(four):
    mirrored = bm.Studies.from_effects(-four.yi, vi=four.vi)
    one = bias.step_posterior(four, MODEL, alternative="greater")
    other = bias.step_posterior(mirrored, MODEL, alternative="less")
    assert other.log_evidence == pytest.approx(one.log_evidence, abs=1e-9)
    assert other.mu.quantile(0.1) == pytest.approx(-one.mu.quantile(0.9), abs=1e-6)
    assert other.weights_mean[0] == pytest.approx(one.weights_mean[0], abs=1e-8)


def test_the_prior_of_the_weights_counts(four):
    flat = bias.step_posterior(four, MODEL, alternative="greater")
    near_one = bias.step_posterior(four, MODEL, alternative="greater", alpha=(1, 20))
    assert near_one.weights_mean[0] > 0.9 > flat.weights_mean[0]
    free = bias.step_posterior(four, MODEL, steps=(0.025, 0.5), alternative="greater", monotone=False)
    falling = bias.step_posterior(four, MODEL, steps=(0.025, 0.5), alternative="greater")
    assert free.log_evidence != pytest.approx(falling.log_evidence, abs=1e-3)


def test_tau_of_zero_is_a_model_too(four):
    common = bm.Model(mu="Normal(0, 1)", effects="common")
    ours = bias.step_posterior(four, common, steps=(0.05,), weights=(0.4,), alternative="greater")

    def at_zero(mu):  # the density of tau is taken out again
        return density(mu, 0.0, 0.4) / stats.halfnorm.pdf(0, scale=0.3)

    total = integrate.quad(at_zero, -2, 2, epsabs=1e-13, points=[0.2])[0]
    assert ours.log_evidence == pytest.approx(np.log(total), abs=1e-8)
    assert ours.tau.median == 0


# The average


@pytest.fixture(scope="module")
def averaged(bmd, bmd_model):
    return bias.average(bmd, bmd_model, steps=[("one-sided", (0.025,)), ("two-sided", (0.05,))])


def test_posterior_probabilities_are_prior_times_evidence(averaged):
    weights = np.array([model.prior for model in averaged.models])
    assert weights.sum() == pytest.approx(1)
    weights *= np.exp([model.log_evidence for model in averaged.models])
    expected = weights / weights.sum()
    np.testing.assert_allclose([model.posterior for model in averaged.models], expected, rtol=1e-12)
    assert len(averaged.models) == 4 * 5


def test_prior_probabilities_are_shared_as_said(averaged):
    table = averaged.by_bias().set_index("bias")["prior"]
    assert table.to_dict() == pytest.approx(
        {"none": 0.5, "PET": 0.125, "PEESE": 0.125, "one-sided p: 0.025": 0.125, "two-sided p: 0.05": 0.125}
    )
    for what in ("bias", "effect", "heterogeneity"):
        assert averaged.prior_probability(what) == pytest.approx(0.5)


def test_inclusion_bayes_factors_are_ratios_of_odds(averaged):
    for what in ("bias", "effect", "heterogeneity"):
        odds = averaged.probability(what) / (1 - averaged.probability(what))
        assert np.exp(averaged.log_bayes_factor(what)) == pytest.approx(odds, rel=1e-10)  # prior odds are 1


def test_the_averaged_mean_has_a_probability_at_zero_and_mixes_the_models(averaged):
    null = 1 - averaged.probability("effect")
    below, at = averaged.mu.cdf(np.array([-1e-12, 1e-12]))
    assert at - below == pytest.approx(null, abs=1e-6)
    mean = sum(model.posterior * model.mu.mean for model in averaged.models if model.effect)
    assert averaged.mu.mean == pytest.approx(mean, abs=1e-10)
    assert averaged.mu_if_effect.mean == pytest.approx(mean / (1 - null), rel=1e-9)


def test_pet_and_peese_are_regressions_with_the_prior_on_the_effect_at_zero(averaged, bmd):
    columns = {"se": bmd.sei, "v": bmd.vi}
    known = bm.Studies.from_effects(bmd.yi, vi=bmd.vi, data=columns)
    found = {(m.bias, m.effect, m.heterogeneity): m for m in averaged.models}
    pet = bm.fit(
        known,
        bm.Model(mods="se", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.05)", center=False),
    )
    assert found["PET", True, True].log_evidence == pytest.approx(pet.log_evidence, abs=1e-10)
    assert found["PET", True, True].mu.median == pytest.approx(pet.marginal("Intercept").median, abs=1e-10)
    # under no effect and tau = 0 y is normal with covariance V + sd^2 v v'
    slope = 1 / np.median(bmd.sei)
    covariance = np.diag(bmd.vi) + slope**2 * np.outer(bmd.vi, bmd.vi)
    exact = stats.multivariate_normal.logpdf(bmd.yi, np.zeros(11), covariance)
    assert found["PEESE", False, False].log_evidence == pytest.approx(exact, abs=1e-9)


def test_models_without_an_effect_and_without_heterogeneity_have_no_parameters(averaged, bmd):
    found = {(m.bias, m.effect, m.heterogeneity): m for m in averaged.models}
    exact = stats.norm.logpdf(bmd.yi, 0, bmd.sei).sum()
    assert found["none", False, False].log_evidence == pytest.approx(exact, abs=1e-10)


def test_prior_odds_count(bmd, bmd_model, averaged):
    doubtful = bias.average(
        bmd,
        bmd_model,
        steps=[("one-sided", (0.025,)), ("two-sided", (0.05,))],
        prior_bias=0.9,
        prior_effect=0.1,
    )
    assert doubtful.probability("bias") > averaged.probability("bias")
    factor, prior = doubtful.log_bayes_factor("effect"), doubtful.prior_probability("effect")
    odds = np.exp(factor) * prior / (1 - prior)
    assert doubtful.probability("effect") == pytest.approx(odds / (1 + odds), rel=1e-9)


def test_studies_that_hide_what_is_not_significant_are_found_out():
    rng = np.random.default_rng(4)
    se = rng.uniform(0.1, 0.3, 1000)
    y = rng.normal(0, se)
    seen = (y / se > 1.96) | (rng.random(1000) < 0.02)
    studies = bm.Studies.from_effects(y[seen], sei=se[seen], better="higher")
    found = bias.average(
        studies,
        bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)"),
        steps=[("one-sided", (0.025,))],
        peese="Normal(0, 5)",
    )
    assert found.probability("bias") > 0.999
    assert bm.fit(studies, MODEL).probability("mu > 0.05") > 0.99
    assert found.probability("effect") < 0.5


# What is refused


def test_impossible_options_are_refused(four, bmd):
    messages = {
        "alpha must be 2 positive numbers, one for each interval; got (1.0,)": {"alpha": (1,)},
        "weights must be 1 numbers from 1e-10 (0.025 < p <= 1); got [0.0]": {"weights": (0,)},
        "steps must be increasing cut points between 0 and 1, such as (0.025, 0.5); got (0.5, 0.025)": {
            "steps": (0.5, 0.025)
        },
        "alpha belongs to weights that fall with p; leave it out with monotone=False": {
            "alpha": (1, 1),
            "monotone": False,
        },
    }
    for message, options in messages.items():
        with pytest.raises(AnalysisError) as caught:
            bias.step_posterior(four, MODEL, **options)
        assert str(caught.value) == message
    with pytest.raises(ModelError) as caught:
        bias.step_posterior(four, bm.Model(mods="x", mu="Normal(0, 1)", tau="HalfNormal(1)"))
    assert str(caught.value) == "a model of publication bias must have mods '1'; got 'x'"
    with pytest.raises(PriorError) as caught:
        bias.average(four, bm.Model(mu="Flat()", tau="HalfNormal(1)"))
    assert str(caught.value) == (
        "a Bayesian model of publication bias needs a proper prior of mu; got Flat(); give one, such as "
        "Normal(0, 1)"
    )
    with pytest.raises(AnalysisError) as caught:
        bias.average(bmd, MODEL, prior_effect=1)
    assert str(caught.value) == "prior_effect must be a probability between 0 and 1; got 1"


def test_the_intervals_of_a_step_function_are_named():
    assert weight_function("step", "greater", (0.025, 0.5)).intervals == (
        "0 < p <= 0.025",
        "0.025 < p <= 0.5",
        "0.5 < p <= 1",
    )
