"""Bayes factors against direct integration (``tests/reference``), brute force and hand computation."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from math import exp, inf, isnan, log, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

import bayesmeta as bm
from bayesmeta.errors import AnalysisError, ImproperPosteriorError, ModelError
from bayesmeta.problem import pose

REFERENCE = Path(__file__).parent / "reference"
TAU_PRIORS = {
    "hn_mu": lambda s: f"HalfNormal({0.5 * s!r})",
    "hc_mu": lambda s: f"HalfCauchy({0.5 * s!r})",
    "ht4_mu": lambda s: f"HalfStudentT(4, {0.5 * s!r})",
    "exp_mu": lambda s: f"Exponential({2 / s!r})",
    "unif_mu": lambda s: f"Uniform(0, {4 * s!r})",
    "lnorm_mu": lambda s: f"LogNormal({log(0.3 * s)!r}, 1)",
}
MU_PRIORS = {
    "hn_mu": (0, 4),
    "hc_mu": (0, 2),
    "ht4_mu": (0.1, 1),
    "exp_mu": (0, 2),
    "unif_mu": (0, 4),
    "lnorm_mu": (0, 4),
}
OFF = {"curtis1998"}
"""There the stored factors are about 1e-20 and off by 2e-8, as 30-digit arithmetic shows below."""
SMALLEST = 1e-300


@cache
def stored(name):
    return json.loads((REFERENCE / f"{name}.json").read_text())


def known(name):
    """Return studies and the scale of the priors of a reference file."""
    content = stored(name)
    rows = np.array(content["main"]["used_rows"]).astype(int) - 1
    yi, vi = (np.array(content["main"][part], dtype=object)[rows].astype(float) for part in ("yi", "vi"))
    return bm.Studies.from_effects(yi, vi=vi), float(content["tau_prior_scale"])


def model_of(case, scale):
    mean, sd = (scale * part for part in MU_PRIORS[case])
    return bm.Model(mu=f"Normal({mean!r}, {sd!r})", tau=TAU_PRIORS[case](scale))


def cases():
    for path in sorted(REFERENCE.glob("[a-z]*.json")):
        if path.stem not in OFF:
            direct = stored(path.stem).get("direct", {})
            yield from ((path.stem, case) for case in TAU_PRIORS if "bayesfactor" in direct.get(case, {}))


@pytest.mark.parametrize(("name", "case"), list(cases()))
def test_every_stored_bayes_factor_is_met(name, case):
    studies, scale = known(name)
    fit = bm.fit(studies, model_of(case, scale))
    expected = stored(name)["direct"][case]["bayesfactor"]
    for parameter in ("mu", "tau"):
        found = bm.bayes_factor(fit, f"{parameter} = 0")
        for kind, value in (("actual", found.log_bf01), ("minimum", found.log_minimum)):
            wanted = expected[f"{kind}_{parameter}=0"]
            if wanted < SMALLEST:
                assert value < log(SMALLEST)
            else:
                assert value == pytest.approx(log(wanted), abs=1e-8), (parameter, kind)


def test_a_factor_of_1e_20_is_met_where_the_null_lives_on_other_values_of_tau():
    studies, scale = known("curtis1998")
    fit = bm.fit(studies, model_of("hn_mu", scale))
    # mpmath, 30 digits: quad of both integrands over tau in 26 pieces
    assert bm.bayes_factor(fit, "mu = 0").bf01 == pytest.approx(5.81363616696570670285e-20, rel=1e-10)


def test_common_effect_by_hand():
    y, s, prior_sd = np.array([0.1, 0.4]), np.array([0.1, 0.2]), 0.5
    fit = bm.fit(bm.Studies.from_effects(y, sei=s), bm.Model(effects="common", mu=f"Normal(0, {prior_sd})"))
    w = 1 / s**2
    estimate, se = w @ y / w.sum(), 1 / sqrt(w.sum())
    by_hand = stats.norm.pdf(estimate, 0, se) / stats.norm.pdf(estimate, 0, sqrt(se**2 + prior_sd**2))
    found = bm.bayes_factor(fit, "mu = 0")
    assert found.bf01 == pytest.approx(by_hand, rel=1e-12)
    assert found.bf10 == pytest.approx(1 / by_hand, rel=1e-12)
    assert found.minimum == pytest.approx(exp(-0.5 * (estimate / se) ** 2), rel=1e-12)
    assert found.posterior_probability() == pytest.approx(by_hand / (1 + by_hand), rel=1e-12)
    assert found.posterior_probability(0.2) == pytest.approx(0.2 * by_hand / (0.2 * by_hand + 0.8), rel=1e-12)


def brute_force(y, s, X, mean, sd, tau_sd):
    """Return the evidence under independent normal priors by a multivariate density for each tau."""

    def density(tau):
        cov = np.diag(s**2 + tau**2) + X @ np.diag(np.square(sd)) @ X.T
        given = (
            stats.multivariate_normal.pdf(y, X @ mean, cov)
            if X.size
            else np.prod(stats.norm.pdf(y, 0, np.sqrt(s**2 + tau**2)))
        )
        return given * stats.halfnorm.pdf(tau, scale=tau_sd)

    return integrate.quad(density, 0, 12 * tau_sd, epsabs=0, epsrel=1e-11, limit=200)[0]


Y, S = np.array([0.1, 0.3, 0.2, 0.6, 0.5]), np.array([0.1, 0.12, 0.2, 0.15, 0.1])
MONTHS = np.array([3.0, 6.0, 6.0, 12.0, 9.0])


@pytest.fixture(scope="module")
def regression():
    studies = bm.Studies.from_effects(Y, sei=S, data={"months": MONTHS})
    model = bm.Model(mods="months", mu="Normal(0.1, 1)", beta="Normal(0, 0.2)", tau="HalfNormal(0.3)")
    return bm.fit(studies, model)


@pytest.mark.parametrize("value", [0.0, 0.05])
def test_a_slope_that_is_known_equals_brute_force(regression, value):
    centred = np.column_stack([np.ones(5), MONTHS - MONTHS.mean()])
    whole = brute_force(Y, S, centred, np.array([0.1, 0]), np.array([1, 0.2]), 0.3)
    rest = Y - value * centred[:, 1]
    null = brute_force(rest, S, centred[:, :1], np.array([0.1]), np.array([1.0]), 0.3)
    found = bm.bayes_factor(regression, f"months = {value}")
    assert found.log_bf01 == pytest.approx(log(null / whole), abs=1e-9)


def test_tau_at_a_positive_value_equals_brute_force(regression):
    centred = np.column_stack([np.ones(5), MONTHS - MONTHS.mean()])
    whole = brute_force(Y, S, centred, np.array([0.1, 0]), np.array([1, 0.2]), 0.3)
    cov = np.diag(S**2 + 0.01) + centred @ np.diag([1, 0.04]) @ centred.T
    null = stats.multivariate_normal.pdf(Y, centred @ [0.1, 0], cov)
    assert bm.bayes_factor(regression, "tau = 0.1").bf01 == pytest.approx(null / whole, rel=1e-9)


def test_the_bayes_factor_does_not_depend_on_units(regression):
    studies = bm.Studies.from_effects(1e6 * Y, sei=1e6 * S, data={"months": MONTHS / 12})
    model = bm.Model(mods="months", mu="Normal(1e5, 1e6)", beta="Normal(0, 2.4e6)", tau="HalfNormal(3e5)")
    scaled = bm.fit(studies, model)
    for hypothesis in ("months = 0", "tau = 0", "months > 0"):
        one, other = bm.bayes_factor(regression, hypothesis), bm.bayes_factor(scaled, hypothesis)
        assert one.log_bf01 == pytest.approx(other.log_bf01, abs=1e-9)


def test_savage_and_dickey_agree(regression):
    posterior, prior = regression.marginal("months").density(0.0), stats.norm.pdf(0, 0, 0.2)
    assert bm.bayes_factor(regression, "months = 0").bf01 == pytest.approx(posterior / prior, rel=1e-9)


@pytest.fixture(scope="module")
def pooled():
    model = bm.Model(mu="Normal(0.2, 0.5)", tau="HalfNormal(0.3)")
    return bm.fit(bm.Studies.from_effects(Y, sei=S), model)


def test_a_sign_is_compared_by_posterior_odds_over_prior_odds(pooled):
    after, before = pooled.probability("mu > 0"), stats.norm.sf(0, 0.2, 0.5)
    found = bm.bayes_factor(pooled, "mu > 0")
    assert found.bf01 == pytest.approx(after / (1 - after) / (before / (1 - before)), rel=1e-7)
    assert found.against == "its complement"
    assert isnan(found.minimum)
    assert bm.bayes_factor(pooled, "mu < 0").log_bf01 == pytest.approx(-found.log_bf01, rel=1e-9)


def test_an_interval_is_compared_by_posterior_odds_over_prior_odds(pooled):
    text = "mu > -0.1 and mu < 0.1"
    after, before = pooled.probability(text), np.diff(stats.norm.cdf([-0.1, 0.1], 0.2, 0.5))[0]
    wanted = after / (1 - after) / (before / (1 - before))
    assert bm.bayes_factor(pooled, text).bf01 == pytest.approx(wanted, rel=1e-9)


def test_a_narrow_interval_tends_to_the_point(pooled):
    point = bm.bayes_factor(pooled, "mu = 0").log_bf01
    assert bm.bayes_factor(pooled, "mu > -1e-4 and mu < 1e-4").log_bf01 == pytest.approx(point, abs=1e-3)


def test_an_interval_of_tau_uses_its_prior(pooled):
    after, before = pooled.probability("tau < 0.1"), stats.halfnorm.cdf(0.1, scale=0.3)
    wanted = after / (1 - after) / (before / (1 - before))
    assert bm.bayes_factor(pooled, "tau < 0.1").bf01 == pytest.approx(wanted, rel=1e-9)


def test_the_standard_list_follows_the_direction_of_benefit(pooled):
    assert [one.hypothesis for one in bm.bayes_factors(pooled)] == ["mu = 0", "tau = 0", "mu > 0"]


def test_the_standard_list_of_a_regression_has_its_slopes(regression):
    assert [one.hypothesis for one in bm.bayes_factors(regression)] == ["months = 0", "tau = 0"]


def test_no_prior_makes_a_smaller_factor_than_the_minimum(pooled):
    smallest = bm.bayes_factor(pooled, "mu = 0").log_minimum
    for sd in (0.01, 0.1, 0.3, 1, 10):
        for mean in (-0.3, 0, 0.3, 0.6):
            model = bm.Model(mu=f"Normal({mean}, {sd})", tau="HalfNormal(0.3)")
            found = bm.bayes_factor(bm.fit(pooled.studies, model), "mu = 0")
            assert found.log_bf01 > smallest
            assert found.log_minimum == pytest.approx(smallest, abs=1e-9)


def test_a_huge_effect_leaves_finite_logs():
    studies = bm.Studies.from_effects([100.0, 101.0], sei=[0.1, 0.1])
    fit = bm.fit(studies, bm.Model(effects="common", mu="Normal(0, 100)"))
    found = bm.bayes_factor(fit, "mu = 0")
    # two effects of mean 100.5 with se 0.1 / sqrt(2): log density ratio by hand
    by_hand = stats.norm.logpdf(100.5, 0, 0.1 / sqrt(2)) - stats.norm.logpdf(100.5, 0, sqrt(0.005 + 1e4))
    assert found.log_bf01 == pytest.approx(by_hand, rel=1e-12)
    assert found.bf01 == 0
    assert found.bf10 == inf
    assert found.posterior_probability() == 0


def test_one_study_has_a_factor_by_hand():
    fit = bm.fit(
        bm.Studies.from_effects([0.5], sei=[0.2]), bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    )

    def given(tau, extra):
        s2 = 0.04 + tau**2 + extra
        return exp(-0.125 / s2) / sqrt(2 * pi * s2) * stats.halfnorm.pdf(tau, scale=0.5)

    null, whole = (integrate.quad(given, 0, 6, args=(extra,), epsrel=1e-12)[0] for extra in (0, 1))
    assert bm.bayes_factor(fit, "mu = 0").bf01 == pytest.approx(null / whole, rel=1e-9)


IMPROPER = (
    "there is no Bayes factor under the improper prior {prior} of {name}: the evidence has no scale; "
    "give it a proper prior"
)


@pytest.mark.parametrize(
    ("mu", "tau", "prior", "name"),
    [
        ("Flat()", "HalfNormal(1)", "Flat()", "mu"),
        ("Normal(0, 1)", "Flat()", "HalfFlat()", "tau"),
    ],
)
def test_an_improper_prior_is_refused_with_the_reason(mu, tau, prior, name):
    fit = bm.fit(bm.Studies.from_effects(Y, sei=S), bm.Model(mu=mu, tau=tau))
    with pytest.raises(ImproperPosteriorError) as caught:
        bm.bayes_factor(fit, "mu = 0")
    assert str(caught.value) == IMPROPER.format(prior=prior, name=name)


@pytest.mark.parametrize(
    ("hypothesis", "message"),
    [
        ("nu = 0", "'nu' cannot be tested by a Bayes factor; those that can be are mu, tau"),
        ("tau = -1", "tau cannot be negative; got 'tau = -1'"),
        ("mu > tau", "a Bayes factor needs a statement about one parameter; got 'mu > tau'"),
        (
            "mu > 0 and tau < 1",
            "a Bayes factor needs a statement about one parameter; got 'mu > 0 and tau < 1'",
        ),
        ("tau > -1", "the prior HalfNormal(0.3) of tau leaves no doubt about 'tau > -1'"),
        ("I2 > 50", "'I2' cannot be tested by a Bayes factor; those that can be are mu, tau"),
    ],
)
def test_what_cannot_be_tested_is_refused(pooled, hypothesis, message):
    with pytest.raises(AnalysisError) as caught:
        bm.bayes_factor(pooled, hypothesis)
    assert str(caught.value) == message


def test_counts_have_no_exact_evidence():
    table = {"a": [1, 2], "n": [10, 12], "c": [3, 4], "m": [11, 10]}
    studies = bm.effect_sizes(table, "OR", ai="a", n1i="n", ci="c", n2i="m")
    problem = pose(studies, bm.Model(likelihood="binomial"))
    counted = replace(bm.fit(studies), problem=problem)
    with pytest.raises(ModelError) as caught:
        bm.bayes_factor(counted, "mu = 0")
    assert str(caught.value) == "Bayes factors need the exact engine, which cannot run likelihood 'binomial'"


def test_a_mixture_as_prior_averages_the_evidence_of_its_components():
    studies = bm.Studies.from_effects(Y, sei=S)
    narrow, wide = (bm.Model(mu=f"Normal(0, {sd})", tau="HalfNormal(0.3)") for sd in (0.2, 2))
    mixed = bm.Model(mu="Mixture([0.3, 0.7], [Normal(0, 0.2), Normal(0, 2)])", tau="HalfNormal(0.3)")
    against = [bm.bayes_factor(bm.fit(studies, one), "mu = 0").bf10 for one in (narrow, wide)]
    found = bm.bayes_factor(bm.fit(studies, mixed), "mu = 0")
    assert found.bf10 == pytest.approx(0.3 * against[0] + 0.7 * against[1], rel=1e-8)
    assert found.log_minimum == pytest.approx(
        bm.bayes_factor(bm.fit(studies, wide), "mu = 0").log_minimum, abs=1e-9
    )


def test_a_prior_probability_must_be_one(pooled):
    with pytest.raises(AnalysisError) as caught:
        bm.bayes_factor(pooled, "mu = 0").posterior_probability(1)
    assert str(caught.value) == "a prior probability must be between 0 and 1; got 1"
