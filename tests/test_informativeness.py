"""What priors say: closed forms, refits with rescaled priors, brute force, and ArviZ on draws."""

from __future__ import annotations

from dataclasses import replace
from math import exp, isnan, sqrt

import numpy as np
import pytest
from scipy import integrate, stats

import bayesmeta as bm
from bayesmeta.errors import ModelError
from bayesmeta.priors import HalfNormal, Normal
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.sensitivity.informativeness import informativeness, informativeness_table, shared
from bayesmeta.sensitivity.nulls import in_prior_coordinates
from bayesmeta.sensitivity.powerscaling import _grid, _scaled, distance, power_scaling

SCHOOLS = bm.Studies.from_effects([28, 8, -3, 7, -1, 1, 18, 12], sei=[15, 10, 16, 11, 9, 11, 10, 18])


def normal(mean, sd):
    return NormalMixture(np.ones(1), np.full((1, 1), mean), np.full((1, 1), sd))


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (1.0, 0.5), (-2.0, 3.0), (40.0, 0.01)])
def test_two_normals_have_the_hellinger_distance_of_the_closed_form(mean, sd):
    affinity = sqrt(2 * sd / (1 + sd**2)) * exp(-(mean**2) / (4 * (1 + sd**2)))
    # twice 1e-12 of the probability is beyond the outermost panels
    assert shared(Normal(0, 1), normal(mean, sd))[0] ** 2 == pytest.approx(1 - affinity, abs=4e-12)


def test_two_normals_of_the_same_width_share_two_tails():
    assert shared(Normal(0, 1), normal(1.0, 1.0))[1] == pytest.approx(2 * stats.norm.cdf(-0.5), abs=1e-4)


def test_a_posterior_like_its_prior_has_no_distance():
    assert shared(Normal(2, 3), normal(2.0, 3.0)) == pytest.approx((0, 1), abs=1e-5)


def test_the_distance_of_two_uniform_distributions_is_its_integral():
    x = np.linspace(0.0, 1.0, 200_001)
    P, Q = x, np.clip(2 * x, 0, 1)

    def gap(t):
        p, q = t, min(1.0, 2 * t)
        return p * np.log2(2 * p / (p + q)) + q * np.log2(2 * q / (p + q))

    wanted = integrate.quad(gap, 0, 1, points=[0.5])[0] / (0.5 + 0.75)
    assert distance(x, P, Q) == pytest.approx(sqrt(wanted), rel=1e-6)
    assert distance(x, P, P) == 0


def test_a_prior_of_tau2_is_not_shown_as_one_of_tau():
    """HalfNormal(6) for tau2 puts half its probability on tau below sqrt(6 * 0.6745) = 2.01, not 4.05."""
    rows = informativeness(bm.fit(SCHOOLS, bm.Model(mu="Normal(0, 5)", tau2="HalfNormal(6)")))
    assert rows[1][:2] == ("tau", "tau2 ~ HalfNormal(6)")
    narrow = bm.fit(SCHOOLS, bm.Model(mu="Normal(0, 5)", tau="HalfNormal(6)"))
    assert informativeness(narrow)[1][:2] == ("tau", "HalfNormal(6)")


@pytest.mark.parametrize("power", [0.8, 1.25])
def test_powers_of_normal_priors_are_normal_priors_of_another_width(power):
    """``Normal(0, s)^r`` is ``Normal(0, s / sqrt r)``, and likewise for the half-normal."""
    fit = bm.fit(SCHOOLS, bm.Model(mu="Normal(0, 5)", tau="HalfNormal(6)"))
    found = _scaled(in_prior_coordinates(fit.problem), _grid(fit.posterior.tau), power, 1.0)
    narrow = bm.Model(mu=Normal(0, 5 / sqrt(power)), tau=HalfNormal(6 / sqrt(power)))
    refitted = bm.fit(SCHOOLS, narrow)
    mean = found.weights @ found.mean[:, 0]
    sd = sqrt(found.weights @ (found.sd[:, 0] ** 2 + (found.mean[:, 0] - mean) ** 2))
    assert mean == pytest.approx(refitted.marginal("mu").mean, abs=1e-7)
    assert sd == pytest.approx(refitted.marginal("mu").sd, abs=1e-7)
    assert found.cdf[::100] == pytest.approx(refitted.marginal("tau").cdf(found.tau[::100]), abs=1e-7)


def test_powers_of_the_likelihood_equal_brute_force():
    y, s, power = np.array([0.1, 0.5, 0.2]), np.array([0.1, 0.2, 0.1]), 1.25
    fit = bm.fit(bm.Studies.from_effects(y, sei=s), bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)"))

    mu, tau = np.linspace(-2.0, 2.5, 1501), np.linspace(0.0, 2.0, 1201)[:, None]
    log_f = -0.5 * mu**2 - tau**2 / 0.18
    for effect, error in zip(y, s, strict=True):
        log_f = log_f + power * stats.norm.logpdf(effect, mu, np.hypot(error, tau))
    f = np.exp(log_f)
    total, first = (
        integrate.simpson(integrate.simpson(f * mu**order, x=mu), x=tau[:, 0]) for order in (0, 1)
    )
    found = _scaled(in_prior_coordinates(fit.problem), _grid(fit.posterior.tau), 1.0, power)
    assert found.weights @ found.mean[:, 0] == pytest.approx(first / total, abs=1e-7)


@pytest.mark.parametrize(
    ("mu", "tau"),
    [
        ("Normal(0, 1)", "HalfNormal(0.5)"),
        ("Normal(0, 5)", "HalfNormal(10)"),
        ("Normal(30, 5)", "HalfNormal(2)"),
    ],
)
def test_power_scaling_agrees_with_arviz_on_draws(mu, tau):
    import arviz as az

    fit = bm.fit(SCHOOLS, bm.Model(mu=mu, tau=tau))
    exact = power_scaling(fit.posterior)
    sampled = az.psense_summary(fit.tree, var_names=["mu", "tau"], round_to=6)
    # 4,000 independent draws: about 3 % of Monte Carlo error, more where hardly anything moves
    assert sampled["prior"].to_numpy() == pytest.approx(exact.prior, rel=0.15, abs=0.01)
    assert sampled["likelihood"].to_numpy() == pytest.approx(exact.likelihood, rel=0.15, abs=0.01)


def test_power_scaling_does_not_depend_on_units():
    one = bm.fit(SCHOOLS, bm.Model(mu="Normal(0, 5)", tau="HalfCauchy(5)"))
    small = bm.Studies.from_effects(1e-6 * SCHOOLS.yi, vi=1e-12 * SCHOOLS.vi)
    other = bm.fit(small, bm.Model(mu="Normal(0, 5e-6)", tau="HalfCauchy(5e-6)"))
    for part in ("prior", "likelihood"):
        found = [getattr(power_scaling(fit.posterior), part) for fit in (one, other)]
        assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_the_prior_of_mu_is_worth_one_study_of_the_same_information():
    """Five studies of standard error 2 with tau = 0: a Normal(0, 2) knows as much as one of them."""
    studies = bm.Studies.from_effects([1, 2, 3, 2, 2], sei=[2.0] * 5)
    (mu,) = informativeness(bm.fit(studies, bm.Model(effects="common", mu="Normal(0, 2)")))
    assert mu.studies == pytest.approx(1, rel=1e-12)
    assert isnan(mu.prior_sensitivity)


def test_the_worth_of_a_prior_averages_over_tau():
    fit = bm.fit(SCHOOLS, bm.Model(mu="Normal(0, 5)", tau="HalfNormal(6)"))

    def weighted(tau, information):
        w = 1 / (SCHOOLS.vi + tau**2)
        W = w.sum() + 1 / 25
        exponent = -0.5 * (w @ SCHOOLS.yi**2 - (w @ SCHOOLS.yi) ** 2 / W) - tau**2 / 72
        return exp(exponent) * sqrt(np.prod(w) / W) * (w.mean() if information else 1)

    part, whole = (integrate.quad(weighted, 0, 60, args=(one,), epsrel=1e-11)[0] for one in (True, False))
    assert informativeness(fit)[0].studies == pytest.approx(1 / (25 * part / whole), rel=1e-8)


VERDICTS = [
    ("Normal(0, 50)", "HalfNormal(0.001)", 0, "the data tell"),
    ("Normal(0, 5)", "HalfNormal(10)", 0, "prior and data both tell"),
    ("Normal(60, 5)", "HalfNormal(5)", 0, "prior and data are in conflict"),
    ("Normal(0, 1)", "HalfNormal(0.5)", 1, "the prior dominates"),
]


@pytest.mark.parametrize(("mu", "tau", "row", "verdict"), VERDICTS)
def test_the_verdict_names_what_tells(mu, tau, row, verdict):
    assert informativeness(bm.fit(SCHOOLS, bm.Model(mu=mu, tau=tau)))[row].verdict == verdict


def test_improper_priors_have_no_distance_but_a_sensitivity():
    mu, tau = informativeness(bm.fit(SCHOOLS, bm.Model(mu="Flat()", tau="DuMouchel()")))
    assert isnan(mu.hellinger)
    assert isnan(mu.studies)
    assert mu.likelihood_sensitivity > 0.05
    assert 0 < tau.hellinger < 1


def test_the_intercept_of_a_regression_is_that_of_the_centred_columns():
    year = np.arange(2000, 2008.0)
    priors = {"mu": "Normal(0, 20)", "beta": "Normal(0, 5)", "tau": "HalfNormal(5)"}
    given, shifted = (
        bm.Studies.from_effects(SCHOOLS.yi, vi=SCHOOLS.vi, data={"year": column})
        for column in (year, year - year.mean())
    )
    table = informativeness_table(bm.fit(given, bm.Model(mods="year", **priors)))
    by_hand = informativeness_table(bm.fit(shifted, bm.Model(mods="year", center=False, **priors)))
    assert list(table.index) == ["Intercept", "year", "tau"]
    for column in ("hellinger", "overlap", "prior_sensitivity", "likelihood_sensitivity", "tail"):
        assert table[column].to_numpy() == pytest.approx(by_hand[column].to_numpy(), rel=1e-6)


def test_counts_are_refused():
    table = {"a": [1, 2], "n": [10, 12], "c": [3, 4], "m": [11, 10]}
    studies = bm.effect_sizes(table, "OR", ai="a", n1i="n", ci="c", n2i="m")
    problem = bm.fitting.pose(studies, bm.Model(likelihood="binomial"))
    counted = replace(bm.fit(studies), problem=problem)
    with pytest.raises(ModelError) as caught:
        informativeness(counted)
    assert str(caught.value) == (
        "the informativeness of priors needs the exact engine, which cannot run likelihood 'binomial'"
    )
