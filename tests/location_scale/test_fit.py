"""What a location-scale fit says, keeps, draws and refuses."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmeta as bm
from bayesmeta.analysis import parse_analysis
from bayesmeta.errors import (
    AnalysisError,
    DataError,
    FormulaError,
    ImproperPosteriorError,
    ModelError,
    PriorError,
)
from bayesmeta.results.posterior import draw_values

SEPARATE = {"mods": "0 + C(g)", "scale": "0 + C(g)"}
Z_GROUP = np.repeat([-0.5, 0.5], 3)


def test_rows_of_the_summary_are_coefficients_taus_and_log_ratios(grouped, fitted):
    assert list(grouped.summary().index) == ["mu", "tau[a]", "tau[b]", "tau", "delta[g[b]]", "theta_new"]
    both = fitted(**SEPARATE)
    assert list(both.summary().index) == ["g[a]", "g[b]", "tau[a]", "tau[b]", "tau", "delta[g[b]]"]


def test_heterogeneity_has_tau2_and_I2_of_every_level(grouped):
    table = grouped.heterogeneity()
    rows = ["tau[a]", "tau[b]", "tau", "delta[g[b]]", "tau2", "I2", "H2"]
    levels = [f"{name}[{level}]" for level in "ab" for name in ("tau2", "I2", "H2")]
    assert sorted(table.index) == sorted([*rows, *levels, "theta_new"])
    weights = 1 / grouped.problem.v
    typical = 5 * weights.sum() / (weights.sum() ** 2 - (weights**2).sum())
    tau = table["median"]["tau[b]"]
    assert table["median"]["I2[b]"] == pytest.approx(100 * tau**2 / (tau**2 + typical), rel=1e-9)
    assert table["median"]["H2[b]"] == pytest.approx(1 + tau**2 / typical, rel=1e-9)
    one = grouped.marginal("I2[b]")
    h = 1e-3
    slope = (one.cdf(70 + h) - one.cdf(70 - h)) / (2 * h)
    assert one.density(70.0) == pytest.approx(slope, rel=1e-6)


def test_a_quantile_of_H2_next_to_1_is_found_although_rounding_hides_the_step():
    """Ten of the eleven trials of exercise; tau of 1e-6 makes H2 differ from 1 by 1e-9."""
    y = [0.0145, 0.11, -0.01, 0.086, 0.09, 0.09, 0.05, 0.1, 0.13, 0.07]
    sei = [0.0263, 0.02451, 0.0712, 0.02453, 0.02121, 0.01756, 0.01922, 0.02425, 0.04, 0.03]
    studies = bm.Studies.from_effects(y, sei=sei, data=pd.DataFrame({"g": list("aaabbbabab")}))
    fit = bm.fit(studies, bm.Model(scale="C(g)", mu="Normal(0, 1)", tau="HalfNormal(0.05)"))
    w = 1 / np.square(sei)
    typical = 9 * w.sum() / (w.sum() ** 2 - (w**2).sum())
    p = np.array([1e-5, 1e-4, 0.5])
    tau, H2 = (fit.marginal(name).quantile(p) for name in ("tau", "H2"))
    assert pytest.approx(tau**2 / typical, rel=1e-6) == H2 - 1


def test_tau_is_the_geometric_mean_of_the_taus_of_the_studies(fitted):
    draws = fitted(**SEPARATE).draws(1000, seed=1)
    a, b = draws["scale"].to_numpy().T
    assert pytest.approx(np.sqrt(a * b), rel=1e-12) == draws["tau"].to_numpy().T
    assert draws["scale_parameter"].to_numpy().tolist() == ["tau[a]", "tau[b]"]


@pytest.mark.parametrize(
    "fields", [{"scale": "C(g)"}, SEPARATE, {"scale": "x", "tau": "Exponential(2)"}], ids=str
)
def test_draws_are_from_the_exact_distribution(fields, fitted):
    """20,000 independent draws: the Kolmogorov-Smirnov statistic exceeds 2.3 / sqrt(n) once in 10^4 tests."""
    fit = fitted(**fields)
    draws = fit.posterior.draws(20_000, np.random.default_rng(5))
    names = {*fit.names, f"theta[{fit.problem.studies.slab[0]}]"}
    for name, values in draw_values(draws, fit.problem, names).items():
        x = np.sort(values.ravel())[99::100]
        gap = np.abs(fit.marginal(name).cdf(x) - np.arange(100, 20_001, 100) / 20_000).max()
        assert gap < 2.3 / np.sqrt(20_000) + 1e-9, name


def test_a_saved_fit_is_the_same_when_loaded(grouped, tmp_path):
    grouped.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    assert again.log_evidence == grouped.log_evidence
    assert again.model == grouped.model
    pd.testing.assert_frame_equal(again.summary(), grouped.summary())


def test_the_tree_has_scale_parameters_their_priors_and_their_columns(grouped):
    tree = grouped.tree
    assert tree["posterior"]["scale"].dims == ("chain", "draw", "scale_parameter")
    tau, delta = tree["posterior"]["scale"].to_numpy()[0, 0]
    prior = tree["log_prior"]["scale"].to_numpy()[0, 0]
    assert prior == pytest.approx([stats.halfnorm.logpdf(tau, scale=0.5), stats.norm.logpdf(delta)], abs=1e-9)
    mu = float(tree["posterior"]["mu"][0, 0])
    sd = np.hypot(grouped.problem.studies.sei, tau * np.exp(Z_GROUP * delta))
    assert tree["log_likelihood"]["y"].to_numpy()[0, 0] == pytest.approx(
        stats.norm.logpdf(grouped.problem.y, mu, sd), abs=1e-9
    )
    assert tree["constant_data"]["Z"].to_numpy() == pytest.approx(np.column_stack([np.ones(6), Z_GROUP]))
    assert "theta_new" in tree["prior"]


def test_the_print_names_the_scale_and_the_prior_of_delta(grouped):
    text = str(grouped)
    assert "6 studies, mods '1', scale 'C(g)', normal likelihood\n" in text
    assert "Priors: mu ~ Normal(0, 1.5), tau ~ HalfNormal(0.5), delta ~ Normal(0, 1) (default)\n" in text
    assert (
        "Warning [few-studies-for-scale]: 6 studies for 2 scale parameters: ratios of taus rest mostly on "
        "their prior" in text
    )


def test_a_model_with_scale_goes_to_a_dictionary_and_back():
    model = bm.Model(mods="x", scale="C(g)", delta={"g[b]": "Normal(0, 0.5)"})
    assert model.to_dict() == {"mods": "x", "scale": "C(g)", "delta": {"g[b]": "Normal(0, 0.5)"}}
    assert bm.Model.from_dict(model.to_dict()) == model


def test_bmd_taus_of_exercise_types_lie_on_both_sides_of_the_common_one():
    """Seven trials of local and four of whole-body exercise hardly tell the ratio of their taus."""
    trials = bm.load_dataset("exercise_bmd")
    columns = {
        f"{ours}1i": f"exercise_{theirs}" for ours, theirs in (("m", "mean"), ("sd", "sd"), ("n", "n"))
    }
    columns |= {
        f"{ours}2i": f"control_{theirs}" for ours, theirs in (("m", "mean"), ("sd", "sd"), ("n", "n"))
    }
    bmd = bm.effect_sizes(trials, "MD", slab="study", **columns)
    priors = {"mu": "Normal(0, 1)", "tau": "HalfNormal(0.05)"}
    plain, scaled = (bm.fit(bmd, bm.Model(**priors, **more)) for more in ({}, {"scale": "C(exercise_type)"}))
    assert scaled.engine == "exact"
    assert abs(scaled.log_evidence - plain.log_evidence) < 0.5
    assert scaled.marginal("mu").mean == pytest.approx(
        plain.marginal("mu").mean, abs=0.2 * plain.marginal("mu").sd
    )
    low, high = sorted(scaled.marginal(f"tau[{level}]").median for level in ("local", "whole-body"))
    assert low < plain.marginal("tau").median < 1.3 * high
    assert 0.7 < scaled.marginal("delta[exercise_type[whole-body]]").sd < 1


# refusals


@pytest.fixture
def refused(fitted):
    """Return a function that checks the whole message of a refused model."""

    def check(error, message, **fields):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            fitted(**fields)

    return check


def test_scale_needs_an_intercept_or_a_category(refused):
    refused(
        ModelError,
        "scale must have an intercept or all levels of a category, such as '0 + C(group)'; got '0 + x'",
        scale="0 + x",
    )


def test_delta_without_scale_is_refused(refused):
    refused(
        ModelError,
        "delta is the prior of the coefficients of scale; give scale, such as 'C(group)', or leave delta out",
        delta="Normal(0, 1)",
    )


def test_improper_priors_of_tau_and_delta_are_refused(refused):
    end = "improper; where scale is not '1', tau and delta need proper priors such as"
    refused(
        ImproperPosteriorError,
        f"the posterior may not exist: Flat() as the prior of tau is {end} HalfNormal or HalfCauchy",
        scale="C(g)",
        tau="Flat()",
    )
    refused(
        ImproperPosteriorError,
        f"the posterior may not exist: Flat() as the prior of delta is {end} Normal(0, 1)",
        scale="C(g)",
        delta="Flat()",
    )


def test_a_known_tau_is_refused(refused):
    refused(
        PriorError,
        "the prior of tau must have a density where scale is not '1'; got Fixed(0.1)",
        scale="C(g)",
        tau="Fixed(0.1)",
    )


def test_a_prior_of_an_unknown_scale_coefficient_is_refused(refused):
    refused(
        PriorError,
        "no scale coefficient 'x' to put a prior on; the coefficients are g[b]",
        scale="C(g)",
        delta={"x": "Normal(0, 1)"},
    )


def test_three_scale_parameters_are_left_to_nuts(refused):
    refused(
        ModelError,
        "engine 'exact' cannot run scale 'C(g) + x' with 3 parameters (at most 2); use engine='nuts'",
        scale="C(g) + x",
    )
    refused(
        ModelError,
        "engine 'exact' cannot run prior Cauchy(0, 1) of delta; use engine='nuts'",
        scale="x",
        delta="Cauchy(0, 1)",
    )


def test_counts_have_one_tau():
    with pytest.raises(
        ModelError,
        match="^"
        + re.escape("scale must be '1' with likelihood 'binomial'; got 'C(g)'; use likelihood='normal'")
        + "$",
    ):
        bm.Model(scale="C(g)", likelihood="binomial")


def test_scale_formulas_have_the_grammar_of_mods(fitted):
    with pytest.raises(FormulaError):
        bm.Model(scale="x**2")
    with pytest.raises(DataError, match=r'^the studies have no column "h"'):
        fitted(scale="C(h)")


def test_new_values_need_the_columns_of_scale(grouped):
    with pytest.raises(DataError, match=r'^the new values need a column "g"$'):
        grouped.predict({"x": [1.0]})


def test_unknown_quantities_are_named(grouped):
    with pytest.raises(AnalysisError, match=r"^unknown quantity 'tau\[c\]'; did you mean"):
        grouped.marginal("tau[c]")


def test_answers_that_need_one_tau_refuse_others(grouped):
    """Each of these would otherwise answer for another model."""
    message = "^this answer needs one tau for all studies; got scale 'C\\(g\\)'; use scale='1'$"
    for answer in (bm.informativeness, bm.bayes_factors):
        with pytest.raises(ModelError, match=message):
            answer(grouped)
    with pytest.raises(ModelError, match=message):
        grouped.joint_mode()


def test_leaving_out_studies_keeps_the_priors_of_delta(grouped):
    assert {str(one.fit.problem.scale.deltas[0]) for one in bm.leave_one_out(grouped)} == {"Normal(0, 1)"}


ANALYSIS = """
[analysis]
title = "taus"
[data]
dataset = "exercise_bmd"
measure = "MD"
columns = { m1i = "exercise_mean", sd1i = "exercise_sd", n1i = "exercise_n", m2i = "control_mean",
            sd2i = "control_sd", n2i = "control_n" }
"""


def test_a_regression_of_an_analysis_file_may_have_a_scale():
    own = """
[[regressions]]
name = "taus"
mods = "duration_months"
scale = "C(exercise_type)"
priors = { delta = "Normal(0, 0.5)" }
"""
    analysis = parse_analysis(ANALYSIS + own)
    assert analysis.regression_model(analysis.regressions[0]) == bm.Model(
        mods="duration_months", scale="C(exercise_type)", delta="Normal(0, 0.5)"
    )


def test_a_prior_of_delta_without_scale_is_refused_in_an_analysis_file():
    message = (
        "analysis.toml:9: [model] delta is the prior of the coefficients of scale; give scale, such as "
        "'C(group)', or leave delta out"
    )
    with pytest.raises(AnalysisError, match=f"^{re.escape(message)}$"):
        parse_analysis(ANALYSIS + '[model.priors]\ndelta = "Normal(0, 2)"\n')


def test_modes_are_at_the_bound_where_the_density_falls_from_there_on():
    # tau of the second group is most probably above 0, but the density of its square grows without bound
    # towards 0, as 1 / tau does (d tau^2 = 2 tau d tau), and so do those of I2 and H2
    trials = bm.load_dataset("exercise_bmd")
    effects = [f"{part}{arm}i" for arm in (1, 2) for part in ("m", "sd", "n")]
    names = [f"{arm}_{part}" for arm in ("exercise", "control") for part in ("mean", "sd", "n")]
    studies = bm.effect_sizes(trials, "MD", slab="study", **dict(zip(effects, names, strict=True)))
    fit = bm.fit(studies, bm.Model(scale="C(exercise_type)", mu="Normal(0, 1)", tau="HalfNormal(0.05)"))
    modes = fit.heterogeneity()["mode"]
    assert modes["tau[local]"] > 0.01
    expected = {"tau2": 0.0, "I2": 0.0, "H2": 1.0}
    assert {name: modes[f"{name}[local]"] for name in expected} == expected
    assert {name: modes[name] for name in expected} == expected
