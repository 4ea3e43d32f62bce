"""What the priors say before the effects count, against closed forms and scipy's integrals."""

import numpy as np
import pytest
from scipy import integrate, optimize, stats

import bayesmeta as bm
from bayesmeta.errors import AnalysisError
from bayesmeta.problem import pose
from bayesmeta.results.prior_table import prior_marginals, prior_predictive

Z = stats.norm.ppf(0.975)
STUDIES = bm.Studies.from_effects([0.1, 0.3, -0.1], sei=[0.1, 0.15, 0.2], measure="OR")


def table(**model):
    return prior_predictive(STUDIES, bm.Model(**model))


def test_normal_and_half_normal_priors_have_closed_forms():
    found = table(mu="Normal(0.2, 1)", tau="HalfNormal(0.5)")
    half = stats.halfnorm(scale=0.5)
    assert list(found.index) == ["mu", "tau", "theta_new", "I2", "range", "range_ratio"]
    assert list(found.columns) == ["median", "mean", "sd", "lower", "upper"]
    assert found.loc["mu"].tolist() == pytest.approx([0.2, 0.2, 1, 0.2 - Z, 0.2 + Z], rel=1e-8)
    expected = [half.median(), half.mean(), half.std(), half.ppf(0.025), half.ppf(0.975)]
    assert found.loc["tau"].tolist() == pytest.approx(expected, rel=1e-8)
    assert found.loc["range"].tolist() == pytest.approx(2 * Z * np.array(expected), rel=1e-8)
    ends = np.exp(2 * Z * half.ppf([0.5, 0.025, 0.975]))
    assert found.loc["range_ratio", ["median", "lower", "upper"]].tolist() == pytest.approx(ends, rel=1e-8)
    assert found.loc["range_ratio", ["mean", "sd"]].isna().all()
    # var(theta_new) = 1 + E tau^2 = 1.25.
    assert found.loc["theta_new", "sd"] == pytest.approx(1.25**0.5, rel=1e-9)
    assert found.loc["theta_new", "mean"] == pytest.approx(0.2, rel=1e-9)


def test_new_effect_is_integrated_over_tau():
    found = table(mu="Normal(0, 1)", tau="HalfCauchy(0.5)")
    tau = stats.halfcauchy(scale=0.5)

    def below(x):
        return integrate.quad(
            lambda t: tau.pdf(t) * stats.norm.cdf(x / np.hypot(1, t)), 0, np.inf, epsabs=1e-11, limit=200
        )[0]

    upper = optimize.brentq(lambda x: below(x) - 0.975, 1, 50, xtol=1e-9)
    assert found.loc["theta_new", "upper"] == pytest.approx(upper, rel=1e-7)
    assert found.loc["theta_new", ["mean", "sd"]].isna().all()
    assert found.loc["tau", ["mean", "sd"]].isna().all()


def test_other_priors_of_the_mean_are_integrated_too():
    found = table(mu="StudentT(nu=4, mu=0, sigma=1)", tau="HalfNormal(0.5)")

    # P(mu + tau z < x) is the mean of the distribution function of mu at x - tau z, smooth in z and tau.
    z, mass = np.polynomial.hermite_e.hermegauss(80)
    points, weights = np.polynomial.legendre.leggauss(60)
    tau = 2 * (points + 1)
    share = 2 * weights * stats.halfnorm.pdf(tau, scale=0.5)

    def below(x):
        return float(share @ stats.t.cdf(x - tau[:, None] * z, 4) @ mass) / np.sqrt(2 * np.pi)

    assert below(found.loc["theta_new", "upper"]) == pytest.approx(0.975, abs=1e-7)


def test_inconsistency_has_the_typical_variance():
    found = table(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    w = 1 / STUDIES.vi
    typical = 2 * w.sum() / (w.sum() ** 2 - (w**2).sum())
    tau2 = stats.halfnorm(scale=0.5).ppf([0.5, 0.025, 0.975]) ** 2
    expected = 100 * tau2 / (tau2 + typical)
    assert found.loc["I2", ["median", "lower", "upper"]].tolist() == pytest.approx(expected, rel=1e-9)
    mean = integrate.quad(lambda t: 100 * t * t / (t * t + typical) * stats.halfnorm.pdf(t, scale=0.5), 0, 10)
    assert found.loc["I2", "mean"] == pytest.approx(mean[0], rel=1e-8)


def test_spike_is_in_every_function_of_tau():
    found = table(mu="Normal(0, 1)", tau="SpikeSlab(0.6, HalfNormal(0.5))")
    assert found.loc[["tau", "I2", "range"], "median"].tolist() == [0, 0, 0]
    assert found.loc["range_ratio", "median"] == 1
    assert found.loc["tau", "mean"] == pytest.approx(0.4 * 0.5 * np.sqrt(2 / np.pi), rel=1e-9)
    assert found.loc["theta_new", "sd"] == pytest.approx(np.sqrt(1 + 0.4 * 0.25), rel=1e-9)
    assert found.loc["I2", "mean"] == pytest.approx(
        0.4 * table(mu="Normal(0, 1)", tau="HalfNormal(0.5)").loc["I2", "mean"], rel=1e-8
    )


def test_robust_prior_of_the_mean_is_a_mixture_of_new_effects():
    found = table(mu="Mixture([0.8, 0.2], [Normal(0, 0.2), Normal(1, 2)])", tau="Fixed(0.3)")
    one, two = stats.norm(0, np.hypot(0.2, 0.3)), stats.norm(1, np.hypot(2, 0.3))
    for column, p in (("lower", 0.025), ("upper", 0.975)):
        x = found.loc["theta_new", column]
        assert 0.8 * one.cdf(x) + 0.2 * two.cdf(x) == pytest.approx(p, abs=1e-10)
    assert found.loc["theta_new", "mean"] == pytest.approx(0.2, rel=1e-9)


def test_effects_of_the_studies_do_not_count():
    other = bm.Studies.from_effects([5.0, -3.0, 2.0], sei=[0.1, 0.15, 0.2], measure="OR")
    assert prior_predictive(STUDIES).equals(prior_predictive(other))


def test_defaults_of_the_measure_are_used():
    found = prior_predictive(STUDIES)
    assert found.loc["mu", "sd"] == pytest.approx(2, rel=1e-8)
    assert found.loc["tau", "median"] == pytest.approx(stats.halfnorm(scale=0.5).median(), rel=1e-8)


def test_moderators_have_rows_and_no_new_study():
    studies = bm.Studies.from_effects([0.1, 0.3, -0.1], sei=[0.1, 0.1, 0.2], data={"x": [1.0, 2.0, 4.0]})
    model = bm.Model(mods="x", mu="Normal(0, 1)", beta="Normal(0, 0.5)", tau="HalfNormal(1)")
    found = prior_predictive(studies, model)
    assert list(found.index) == ["Intercept", "x", "tau", "I2", "range"]
    assert found.loc["x", "sd"] == pytest.approx(0.5, rel=1e-8)


def test_improper_priors_say_nothing():
    found = table(mu="Flat()", tau="HalfNormal(0.5)")
    assert found.loc[["mu", "theta_new"]].isna().all().all()
    assert found.loc["tau"].notna().all()
    assert table(mu="Normal(0, 1)", tau="Flat()").loc[["tau", "I2", "range"]].isna().all().all()


def test_design_dependent_priors_are_bound_to_the_studies():
    s0 = np.sqrt(3 / np.sum(1 / STUDIES.vi))
    assert table(mu="Normal(0, 1)", tau="DuMouchel()").loc["tau", "median"] == pytest.approx(s0, rel=1e-12)
    assert np.isfinite(table(mu="Normal(0, 1)", tau="Conventional()").loc["theta_new", "upper"])


def test_another_level_gives_other_bounds():
    found = prior_predictive(STUDIES, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(1)"), prob=0.5)
    assert found.loc["mu", "upper"] == pytest.approx(stats.norm.ppf(0.75), rel=1e-12)
    with pytest.raises(AnalysisError):
        prior_predictive(STUDIES, prob=95)


def test_distribution_functions_belong_to_the_quantiles():
    problem = pose(STUDIES, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    p = np.array([0.1, 0.5, 0.9])
    for one in prior_marginals(problem):
        assert one.cdf(one.quantile(p)) == pytest.approx(p, abs=1e-10)
