"""A fit from draws of a sampler: the same questions, answered from draws.

The draws are independent ones of the exact posterior, so that the exact answer is the truth and the error is
Monte Carlo error; nothing is compiled.
"""

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pytest

from bayesmeta.errors import AnalysisError
from bayesmeta.fitting import fit
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.diagnostics import diagnose
from bayesmeta.results.draws import Draws
from bayesmeta.results.explained import explained
from bayesmeta.results.fit import Fit
from bayesmeta.results.sampled import SampledPosterior
from bayesmeta.studies import Studies, effect_sizes

N = 8000
Y, SEI = [0.1, 0.3, 0.2, 0.5, 0.0, 0.3], [0.1, 0.1, 0.2, 0.3, 0.1, 0.2]


def sampled(exact, n=N):
    """The exact fit with draws in place of nodes."""
    made = exact.posterior.draws(n, np.random.default_rng(5))
    settings = {"chains": made.chains, "tune": 10, "draws": made.per_chain, "refits": 0}
    draws = Draws(
        beta=made.beta,
        tau=made.tau,
        theta=made.theta,
        theta_new=made.theta_new,
        stats={"diverging": np.zeros(made.tau.shape)},
        settings=settings,
    )
    diagnostics = diagnose(draws, exact.problem.coefficients)
    return Fit(exact.studies, exact.problem, SampledPosterior(exact.problem, draws), diagnostics, 5)


@pytest.fixture(scope="module")
def exact():
    return fit(Studies.from_effects(Y, sei=SEI), Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)"))


@pytest.fixture(scope="module")
def drawn(exact):
    return sampled(exact)


@pytest.fixture(scope="module")
def regressions():
    studies = Studies.from_effects(Y, sei=SEI, data={"x": [0.0, 1.0, 2.0, 4.0, 0.0, 3.0]})
    one = fit(studies, Model("x", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.3)"))
    return one, sampled(one)


def counts(ai, ci):
    columns = {"ai": ai, "n1i": [20] * len(ai), "ci": ci, "n2i": [20] * len(ai)}
    return effect_sizes(
        columns, "OR", **{name: name for name in columns}, slab=list("abcd")[: len(ai)], drop00=True
    )


@pytest.fixture(scope="module")
def binomial():
    """A binomial fit with a double-zero trial, its draws made up."""
    studies = counts([1, 0, 4], [5, 0, 8])
    problem = pose(studies, Model(likelihood="binomial"))
    rng = np.random.default_rng(2)
    shape = (4, 500)
    draws = Draws(
        beta=-1 + 0.5 * rng.standard_normal((*shape, 1)),
        tau=np.abs(0.5 * rng.standard_normal(shape)),
        theta=-1 + 0.5 * rng.standard_normal((*shape, 3)),
        theta_new=-1 + 0.7 * rng.standard_normal(shape),
        baseline=rng.standard_normal((*shape, 3)) - 1,
        settings={"chains": 4, "tune": 10, "draws": 500, "refits": 0},
    )
    return Fit(studies, problem, SampledPosterior(problem, draws), diagnose(draws, ("mu",)), 3)


def within_error(found, truth, sd, sds=5.0):
    return abs(found - truth) < sds * sd / sqrt(N)


def test_summary_agrees_with_the_exact_one_within_its_error(exact, drawn):
    truth, found = exact.summary(), drawn.summary()
    assert list(found.index) == list(truth.index)
    assert list(found.columns) == list(truth.columns)
    for name in truth.index:
        sd = truth.loc[name, "sd"]
        for column, factor in (("mean", 1.0), ("median", 1.6), ("sd", 1.5), ("lower", 4.0), ("upper", 4.0)):
            assert within_error(found.loc[name, column], truth.loc[name, column], factor * sd), (name, column)
        assert found.loc[name, "mode"] == pytest.approx(truth.loc[name, "mode"], abs=0.25 * sd)


def test_table_is_the_arithmetic_of_the_draws(drawn):
    row, tau = drawn.summary().loc["tau"], drawn.posterior.sampled.tau.ravel()
    assert row["mean"] == pytest.approx(tau.mean(), rel=1e-13)
    assert row["sd"] == pytest.approx(tau.std(ddof=1), rel=1e-13)
    np.testing.assert_allclose(
        row[["lower", "median", "upper"]].astype(float), np.quantile(tau, [0.025, 0.5, 0.975]), rtol=1e-13
    )


def test_heterogeneity_transforms_the_draws(drawn):
    table, tau = drawn.heterogeneity(), drawn.posterior.sampled.tau.ravel()
    w = 1 / np.square(SEI)
    s2 = 5 * w.sum() / (w.sum() ** 2 - np.sum(w * w))
    assert table.loc["tau2", "mean"] == pytest.approx(np.mean(tau**2), rel=1e-12)
    assert table.loc["I2", "mean"] == pytest.approx(np.mean(100 * tau**2 / (tau**2 + s2)), rel=1e-12)
    assert table.loc["H2", "mean"] == pytest.approx(1 + np.mean(tau**2) / s2, rel=1e-12)
    assert 0 <= table.loc["I2", "mode"] <= 100
    assert table.loc["H2", "mode"] >= 1


def test_effects_agree_with_the_exact_ones(exact, drawn):
    truth, found = exact.effects(), drawn.effects()
    assert np.all(np.abs(found["mean"] - truth["mean"]) < 5 * truth["sd"] / sqrt(N))
    np.testing.assert_allclose(found["weight_random"], truth["weight_random"], atol=0.5)
    np.testing.assert_allclose(found["pooling"], truth["pooling"], atol=0.02)
    np.testing.assert_array_equal(found["weight_fixed"], truth["weight_fixed"])
    assert found["weight_random"].sum() == pytest.approx(100, rel=1e-12)


def test_probability_is_the_fraction_of_draws(exact, drawn):
    draws = drawn.posterior.sampled
    expected = np.mean((draws.beta[:, :, 0] > 0.1) & (draws.tau < 0.2))
    assert drawn.probability("mu > 0.1 and tau < 0.2") == expected
    assert drawn.probability("mu > 0.1 and tau < 0.2") == pytest.approx(
        exact.probability("mu > 0.1 and tau < 0.2"), abs=5 * 0.5 / sqrt(N)
    )


def test_prediction_in_a_regression_agrees(regressions):
    exact, drawn = regressions
    at = {"x": [0.0, 2.0, 9.0]}
    truth, found = exact.predict(at), drawn.predict(at)
    assert np.all(np.abs(found["mean"] - truth["mean"]) < 5 * truth["sd"] / sqrt(N))
    width = truth["new_upper"] - truth["new_lower"]
    assert np.all(np.abs(found["new_upper"] - truth["new_upper"]) < 0.05 * width)
    assert found["extrapolates"].tolist() == truth["extrapolates"].tolist() == [False, False, True]


def test_comparison_carries_the_name_of_the_engine(drawn):
    row = drawn.compare().loc[("nuts", "mu")]
    assert row["estimate"] == drawn.summary().loc["mu", "median"]


def test_quantity_has_monte_carlo_errors(drawn):
    error = drawn.quantity("mu")["error"]
    assert set(error) >= {"mcse_mean", "mcse_sd", "mcse_lower", "mcse_upper", "ess_bulk", "ess_tail", "rhat"}
    sd = drawn.summary().loc["mu", "sd"]
    assert error["mcse_mean"] == pytest.approx(sd / sqrt(N), rel=0.1)


def test_draws_are_chosen_without_replacement(drawn):
    chosen = drawn.draws(1000, seed=1)
    assert chosen["mu"].shape == (1, 1000)
    values = chosen["mu"].values.ravel()
    assert np.unique(values).size == 1000
    assert np.isin(values, drawn.posterior.sampled.beta).all()
    assert chosen.identical(drawn.draws(1000, seed=1))


def test_more_draws_than_there_are_is_refused(drawn):
    with pytest.raises(AnalysisError) as caught:
        drawn.draws(N + 1)
    assert str(caught.value) == (f"the sampler made {N} draws; got a request for {N + 1}; sample more draws")


def test_evidence_is_unknown(drawn):
    assert isnan(drawn.log_evidence)


def test_print_and_status(exact, drawn):
    lines = str(drawn).splitlines()
    assert lines[2] == "Method: NUTS, 4 chains of 2000 draws, seed 5: ok"
    assert repr(drawn) == "<Fit: nuts, 6 studies, mods '1', status ok>"
    assert drawn.warnings == exact.warnings == ()


def test_failed_diagnostics_are_warnings(exact):
    few = sampled(exact, 40)
    assert few.status == "unreliable"
    assert few.warnings[-1][0] == "ess"
    assert "Warning [ess]: the effective sample size is down to" in str(few)


# Counts


def test_double_zero_trial_has_no_effect_and_no_weight_but_a_posterior(binomial):
    table = binomial.effects()
    assert table["slab"].tolist() == ["a", "b", "c"]
    assert table["yi"].isna().tolist() == [False, True, False]
    assert table["sei"].isna().tolist() == [False, True, False]
    assert not table[["mean", "sd", "lower", "upper"]].isna().any(axis=None)
    assert table["weight_fixed"].isna().tolist() == [False, True, False]
    assert table["weight_random"].isna().tolist() == [False, True, False]
    assert table["pooling"].isna().tolist() == [False, True, False]
    assert np.nansum(table["weight_random"]) == pytest.approx(100, rel=1e-12)


def test_i2_is_not_defined_for_counts(binomial):
    assert list(binomial.heterogeneity().index) == ["tau", "tau2", "theta_new"]
    assert isnan(binomial.compare().loc[("nuts", "mu"), "I2"])
    with pytest.raises(AnalysisError, match="unknown quantity 'I2'"):
        binomial.marginal("I2")
    with pytest.raises(AnalysisError):
        binomial.probability("I2 > 50")
    assert "I2 and H2 are not defined for counts." in str(binomial).splitlines()


def test_count_fit_says_its_likelihood(binomial):
    assert str(binomial).startswith("Log odds ratio: 3 studies, mods '1', binomial likelihood\n")
    assert "exp(mu)" in str(binomial)


def test_all_double_zero_trials_have_no_classical_answer():
    studies = counts([1, 0, 0], [5, 0, 0]).take([1, 2])
    problem = pose(studies, Model(likelihood="binomial"))
    rng = np.random.default_rng(2)
    draws = Draws(
        beta=rng.standard_normal((4, 100, 1)),
        tau=np.abs(rng.standard_normal((4, 100))),
        theta=rng.standard_normal((4, 100, 2)),
        theta_new=rng.standard_normal((4, 100)),
        baseline=rng.standard_normal((4, 100, 2)),
        settings={"chains": 4, "tune": 1, "draws": 100},
    )
    one = Fit(studies, problem, SampledPosterior(problem, draws), diagnose(draws, ("mu",)), 1)
    assert one.classical == {}
    assert one.effects()[["yi", "weight_fixed", "weight_random"]].isna().all(axis=None)
    assert list(one.compare().index) == [("nuts", "mu")]
    assert list(one.heterogeneity().columns) == ["mode", "median", "mean", "sd", "lower", "upper"]
    assert isinstance(one.warnings, tuple)


# R2


def test_r2_is_the_share_of_the_variance_of_true_effects(regressions):
    exact, drawn = regressions
    x = np.array([0.0, 1.0, 2.0, 4.0, 0.0, 3.0])
    draws = drawn.posterior.sampled
    fitted = draws.beta[:, :, 1] ** 2 * x.var(ddof=1)
    expected = 100 * fitted / (fitted + draws.tau**2)
    found = explained(drawn.posterior)
    np.testing.assert_allclose(found.values[:, :, 0], expected, rtol=1e-9)
    truth = explained(exact.posterior)
    assert float(truth.quantile(np.array([0.5]))[0, 0]) == pytest.approx(np.median(expected), abs=2)
    assert (found.lower, found.upper) == (0, 100)


def test_r2_of_a_mean_alone_is_zero():
    one = fit(Studies.from_effects(Y, sei=SEI), Model(mu="Flat()", tau="HalfNormal(0.3)"))
    assert np.all(explained(one.posterior).values < 1e-20)
