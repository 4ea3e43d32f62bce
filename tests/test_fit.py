"""`Fit`: tables, statements, predictions, comparison and print of an exact fit.

Expected numbers: `direct` of tests/reference/bmd_yu775.json (direct integration, 13 digits), closed forms
given tau, scipy.integrate, and hand computation, as each test says.
"""

from __future__ import annotations

import json
from math import exp, isnan, nan, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from bayesmeta.classical import classical
from bayesmeta.errors import AnalysisError, DataError
from bayesmeta.fitting import fit
from bayesmeta.model import Model
from bayesmeta.studies import Studies, effect_sizes

REFERENCE = json.loads((Path(__file__).parent / "reference" / "bmd_yu775.json").read_text(encoding="utf-8"))
MAIN, DIRECT = REFERENCE["main"], REFERENCE["direct"]
ROWS = ["mode", "median", "mean", "sd", "lower", "upper"]


def bmd_studies(**data):
    return Studies.from_effects(
        MAIN["yi"],
        vi=MAIN["vi"],
        ni=MAIN["ni"],
        measure="MD",
        slab=REFERENCE["data"]["study"],
        data=data or None,
    )


@pytest.fixture(scope="module")
def bmd():
    return fit(bmd_studies(), Model(mu="Normal(0, 0.4)", tau="HalfNormal(0.05)"))


@pytest.fixture(scope="module")
def flat():
    return fit(bmd_studies(), Model(mu="Flat()", tau="HalfNormal(0.05)"))


@pytest.fixture(scope="module")
def regression():
    months = np.array(REFERENCE["data"]["dur"], dtype=float) - 6
    return fit(
        bmd_studies(months=months), Model("months", mu="Flat()", beta="Flat()", tau="HalfNormal(0.05)")
    )


@pytest.fixture(scope="module")
def ratios():
    columns = {"ai": [7, 1, 2, 5], "n1i": [76, 57, 60, 40], "ci": [13, 7, 12, 4], "n2i": [76, 56, 60, 41]}
    studies = effect_sizes(columns, "OR", **{name: name for name in columns})
    return fit(studies, Model())


def refused(call, kind=AnalysisError):
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def expected_row(known, low="central95"):
    return [known["mode"], known["median"], known["mean"], known["sd"], *known[low]]


# summary


def test_summary_has_the_reference_numbers(bmd):
    table = bmd.summary()
    assert list(table.index) == ["mu", "tau", "theta_new"]
    assert list(table.columns) == ROWS
    for name in table.index:
        # Mean, median, sd and quantiles of the reference are good to 1e-13 sd, its modes to about 1e-8.
        known = expected_row(DIRECT["hn_mu"][name])
        np.testing.assert_allclose(table.loc[name].to_numpy()[1:], known[1:], rtol=1e-9)
        assert table.loc[name, "mode"] == pytest.approx(known[0], abs=1e-6 * known[3])


def test_summary_has_the_shortest_intervals(bmd):
    table = bmd.summary(kind="hdi")
    for name in table.index:
        known = DIRECT["hn_mu"][name]
        # The ends of a shortest interval are flat minima: half the digits.
        np.testing.assert_allclose(
            table.loc[name, ["lower", "upper"]].astype(float),
            known["shortest95"],
            atol=2e-6 * known["sd"] / 1e-1,
        )


def test_probability_of_the_interval_is_the_one_asked_for(bmd):
    table = bmd.summary(prob=0.9)
    q05, q95 = (DIRECT["hn_mu"]["mu"]["quantiles"]["value"][i] for i in (1, 5))
    assert tuple(table.loc["mu", ["lower", "upper"]]) == pytest.approx((q05, q95), rel=1e-9)
    wide, narrow = bmd.summary(prob=0.99, kind="hdi"), bmd.summary(prob=0.5, kind="hdi")
    assert (
        wide.loc["mu", "lower"]
        < narrow.loc["mu", "lower"]
        < narrow.loc["mu", "upper"]
        < wide.loc["mu", "upper"]
    )


def test_regression_has_a_row_for_each_coefficient(regression):
    table = regression.summary()
    assert list(table.index) == ["Intercept", "months", "tau"]
    for name, known in zip(
        ["Intercept", "months"], REFERENCE["direct_bmr"]["cont"]["flat_hn"]["beta"], strict=True
    ):
        np.testing.assert_allclose(table.loc[name].to_numpy()[1:], expected_row(known)[1:], rtol=1e-8)
    known = REFERENCE["direct_bmr"]["cont"]["flat_hn"]["tau"]
    np.testing.assert_allclose(table.loc["tau"].to_numpy()[1:], expected_row(known)[1:], rtol=1e-8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "hpd"}, "kind must be 'eti' or 'hdi'; got 'hpd'; did you mean 'hdi'?"),
        ({"prob": 0}, "prob must be between 0 and 1, such as 0.95; got 0"),
        ({"prob": 95}, "prob must be between 0 and 1, such as 0.95; got 95"),
        ({"prob": True}, "prob must be between 0 and 1, such as 0.95; got True"),
        ({"prob": nan}, "prob must be between 0 and 1, such as 0.95; got nan"),
    ],
)
def test_impossible_intervals_are_refused_by_every_table(bmd, options, message):
    for table in (bmd.summary, bmd.heterogeneity, bmd.effects, bmd.predict, bmd.compare):
        assert refused(lambda table=table: table(**options)) == message


# marginal and quantity


@pytest.mark.parametrize("name", ["mu", "tau", "theta_new"])
def test_marginal_and_table_say_the_same(bmd, name):
    one, row = bmd.marginal(name), bmd.summary().loc[name]
    values = [one.mode, one.median, one.mean, one.sd, *one.interval()]
    np.testing.assert_allclose(row.to_numpy(), values, rtol=1e-13)
    quantity = bmd.quantity(name)
    assert [quantity[column] for column in ROWS] == row.tolist()
    assert 0 <= quantity["error"]["abs"] < 1e-10


def test_effect_of_a_study_is_asked_for_by_its_label(bmd):
    one = bmd.marginal("theta[Yu 2023]")
    place = REFERENCE["data"]["study"].index("Yu 2023")
    assert one.mean == pytest.approx(DIRECT["hn_mu"]["theta"]["mean"][place], rel=1e-9)


def test_unknown_quantity_is_refused_with_the_nearest(bmd, regression):
    assert refused(lambda: bmd.marginal("taau")) == "unknown quantity 'taau'; did you mean 'tau'?"
    message = refused(lambda: regression.marginal("theta_new"))
    assert message.startswith(
        "unknown quantity 'theta_new'; the quantities are Intercept, months, tau, tau2,"
    )
    message = refused(lambda: bmd.quantity("?"))
    assert message.startswith(
        "unknown quantity '?'; the quantities are mu, tau, theta_new, tau2, I2, H2, theta["
    )


# heterogeneity


def typical_variance():
    w = 1 / np.array(MAIN["vi"])
    return (w.size - 1) * w.sum() / (w.sum() ** 2 - np.sum(w * w))


def test_heterogeneity_transforms_quantiles_of_tau(bmd):
    table = bmd.heterogeneity()
    assert list(table.index) == ["tau", "tau2", "I2", "H2", "theta_new"]
    assert list(table.columns) == [*ROWS, "classical", "classical_lower", "classical_upper"]
    s2 = typical_variance()
    known = DIRECT["hn_mu"]["tau"]
    for column, tau in (
        ("median", known["median"]),
        ("lower", known["central95"][0]),
        ("upper", known["central95"][1]),
    ):
        assert table.loc["tau2", column] == pytest.approx(tau**2, rel=1e-9)
        assert table.loc["I2", column] == pytest.approx(100 * tau**2 / (tau**2 + s2), rel=1e-9)
        assert table.loc["H2", column] == pytest.approx(1 + tau**2 / s2, rel=1e-9)
    assert table.loc["tau2", "mean"] == pytest.approx(known["mean"] ** 2 + known["sd"] ** 2, rel=1e-9)
    assert table.loc["H2", "mean"] == pytest.approx(1 + table.loc["tau2", "mean"] / s2, rel=1e-12)


def test_q_profile_and_knapp_hartung_stand_beside(bmd):
    table = bmd.heterogeneity()
    tight = REFERENCE["metafor_tight"]["fits"]["REML"]
    assert table.loc["tau2", "classical"] == pytest.approx(float(tight["tau2"]), rel=1e-7)
    reml = classical(bmd_studies(), method="REML", test="knha")
    assert table.loc["theta_new", "classical_lower"] == pytest.approx(reml.pi_lower, rel=1e-12)
    bounds = [reml.tau2_lower, reml.tau2_upper]
    found = table.loc["tau2", ["classical_lower", "classical_upper"]].to_numpy()
    np.testing.assert_allclose(found, bounds, rtol=1e-12)
    np.testing.assert_allclose(
        table.loc["tau", ["classical_lower", "classical_upper"]].to_numpy(), np.sqrt(bounds), rtol=1e-12
    )


def test_regression_has_no_row_of_a_new_study(regression):
    assert list(regression.heterogeneity().index) == ["tau", "tau2", "I2", "H2"]


def test_i2_of_as_many_coefficients_as_studies_is_left_out():
    one = fit(Studies.from_effects([0.5], sei=[0.2]), Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    assert list(one.heterogeneity().index) == ["tau", "tau2", "theta_new"]
    assert isnan(one.compare().loc[("exact", "mu"), "I2"])
    assert refused(lambda: one.marginal("I2")).startswith("unknown quantity 'I2'")


# effects


def test_effects_are_the_reference_s(bmd):
    table = bmd.effects()
    assert list(table.columns) == [
        *("slab", "yi", "sei", *ROWS),
        *("weight_fixed", "weight_random", "pooling"),
    ]
    known = DIRECT["hn_mu"]["theta"]
    assert table["slab"].tolist() == REFERENCE["data"]["study"]
    np.testing.assert_array_equal(table["yi"], MAIN["yi"])
    np.testing.assert_allclose(table["sei"], np.sqrt(MAIN["vi"]), rtol=1e-15)
    for column, key in (
        ("mean", "mean"),
        ("sd", "sd"),
        ("median", "median"),
        ("lower", "lower95_central"),
        ("upper", "upper95_central"),
    ):
        np.testing.assert_allclose(table[column], known[key], rtol=1e-9)


def test_weights_are_posterior_means_and_sum_to_a_hundred(flat):
    table = flat.effects()
    np.testing.assert_allclose(table["weight_random"], DIRECT["hn"]["weights_mean_percent"], rtol=1e-9)
    w = 1 / np.array(MAIN["vi"])
    np.testing.assert_allclose(table["weight_fixed"], 100 * w / w.sum(), rtol=1e-12)
    assert table["weight_random"].sum() == pytest.approx(100, rel=1e-13)


def test_pooling_is_the_mean_share_that_comes_from_the_mean(bmd):
    tau = bmd.marginal("tau")
    v = MAIN["vi"][0]
    expected = integrate.quad(lambda t: v / (v + t * t) * tau.density(t), 0, 0.3, epsabs=1e-12, limit=200)[0]
    assert bmd.effects().loc[0, "pooling"] == pytest.approx(expected, rel=1e-7)


def test_shortest_intervals_of_effects_are_shorter(bmd):
    eti, hdi = bmd.effects(), bmd.effects(kind="hdi")
    assert np.all(hdi["upper"] - hdi["lower"] <= eti["upper"] - eti["lower"] + 1e-12)
    assert bmd.effect_rows()[0]["slab"] == "Deng 2018"


# probability


def test_probability_of_a_direction_is_the_reference_s(bmd):
    assert bmd.probability("mu > 0") == pytest.approx(DIRECT["hn_mu"]["mu"]["P_gt_0"], rel=1e-12)
    assert bmd.probability("mu < 0") == pytest.approx(DIRECT["hn_mu"]["mu"]["P_lt_0"], rel=1e-7)
    assert bmd.probability("theta_new > 0") == pytest.approx(
        DIRECT["hn_mu"]["theta_new"]["P_gt_0"], rel=1e-11
    )
    assert isinstance(bmd.probability("mu > 0"), float)


def test_joint_probability_is_the_double_integral(bmd):
    v, y = np.array(MAIN["vi"]), np.array(MAIN["yi"])
    tau = bmd.marginal("tau")

    def both(t):
        w = 1 / (v + t * t)
        precision = w.sum() + 0.4**-2
        return tau.density(t) * stats.norm.sf(0.06, (w @ y) / precision, precision**-0.5)

    expected = integrate.quad(both, 0, 0.03, epsabs=1e-12)[0]
    assert bmd.probability("mu > 0.06 and tau < 0.03") == pytest.approx(expected, abs=1e-9)
    assert bmd.probability("tau2 < 0.0009 and mu > 0.06") == pytest.approx(expected, abs=1e-9)


# predict


def test_prediction_without_moderators_is_mu_and_theta_new(bmd):
    row = bmd.predict().iloc[0]
    summary = bmd.summary()
    assert list(bmd.predict().columns) == [*ROWS, "new_lower", "new_upper", "extrapolates"]
    np.testing.assert_allclose(row[ROWS].astype(float), summary.loc["mu"], rtol=1e-13)
    assert (row["new_lower"], row["new_upper"]) == pytest.approx(
        tuple(summary.loc["theta_new", ["lower", "upper"]])
    )
    assert not row["extrapolates"]
    assert bmd.predict().attrs["warnings"] == []


def test_prediction_at_moderator_values_is_the_reference_s(regression):
    known = REFERENCE["direct_bmr"]["cont"]["flat_hn"]["new_x"]
    at = [one["x"][1] for one in known]
    table = regression.predict(pd.DataFrame({"months": at}))
    assert table["months"].tolist() == at
    for row, one in zip(table.itertuples(), known, strict=True):
        assert row.mean == pytest.approx(one["mean"]["mean"], rel=1e-9)
        assert (row.lower, row.upper) == pytest.approx(one["mean"]["central95"], rel=1e-8)
        assert (row.new_lower, row.new_upper) == pytest.approx(one["prediction"]["central95"], rel=1e-8)


def test_prediction_takes_lists_and_single_values_by_column(regression):
    one = regression.predict({"months": [0.0, 6.0]})
    two = regression.predict({"months": np.array([0.0, 6.0]), "other": ["a", "b"]})
    np.testing.assert_array_equal(one[ROWS], two[ROWS])
    assert one.shape[0] == 2


def test_prediction_outside_the_data_says_so(regression):
    # INPUTS 124. Months minus 6 run from -5.25 to 6.
    table = regression.predict({"months": [-6.0, -5.25, 0.0, 6.0, 30.0]})
    assert table["extrapolates"].tolist() == [True, False, False, False, True]
    text = "months is predicted outside its range in the studies, -5.25 to 6"
    assert table.attrs["warnings"] == [("extrapolation", text)]
    assert regression.predict({"months": [1.0]}).attrs["warnings"] == []


def test_prediction_needs_every_moderator(regression):
    assert (
        refused(regression.predict) == "predict needs the values of the moderators in 'months'; give newdata"
    )
    assert refused(lambda: regression.predict({"month": [1.0]}), DataError) == (
        "the new values need a column \"months\"; did you mean 'month'?"
    )
    assert refused(lambda: regression.predict({"months": [1.0, nan]}), DataError) == (
        'column "months" of the new values has a missing cell; fill it in'
    )


def test_prediction_for_a_level_of_a_category():
    studies = Studies.from_effects([0.1, 0.4, 0.2, 0.5], sei=[0.1] * 4, data={"g": ["a", "b", "a", "b"]})
    one = fit(studies, Model("C(g)", mu="Flat()", beta="Flat()", tau="Fixed(0.1)"))
    table = one.predict({"g": ["a", "b"]})
    # Given tau, each level's mean is that of its two studies, with variance (0.01 + 0.01) / 2.
    np.testing.assert_allclose(table["mean"], [0.15, 0.45], rtol=1e-12)
    np.testing.assert_allclose(table["sd"], 0.1, rtol=1e-12)
    np.testing.assert_allclose(
        table["new_upper"],
        [0.15 + 1.959963984540054 * sqrt(0.02), 0.45 + 1.959963984540054 * sqrt(0.02)],
        rtol=1e-12,
    )
    message = refused(lambda: one.predict({"g": ["c"]}), DataError)
    assert '"c"' in message or "'c'" in message


# compare


def test_comparison_sets_classical_and_posterior_side_by_side(bmd):
    table = bmd.compare()
    assert list(table.index) == [(name, "mu") for name in ("fixed", "DL", "PM", "REML", "REML_HK", "exact")]
    assert list(table.columns) == [
        *(
            "estimate",
            "se",
            "lower",
            "upper",
            "p",
            "tau",
            "tau_lower",
            "tau_upper",
            "I2",
            "pi_lower",
            "pi_upper",
        )
    ]
    w = 1 / np.array(MAIN["vi"])
    fixed = table.loc[("fixed", "mu")]
    assert fixed["estimate"] == pytest.approx(w @ MAIN["yi"] / w.sum(), rel=1e-12)
    assert fixed["se"] == pytest.approx(w.sum() ** -0.5, rel=1e-12)
    exact, summary = table.loc[("exact", "mu")], bmd.summary()
    assert exact["estimate"] == summary.loc["mu", "median"]
    assert exact["se"] == summary.loc["mu", "sd"]
    assert (exact["tau"], exact["tau_upper"]) == tuple(summary.loc["tau", ["median", "upper"]])
    assert (exact["pi_lower"], exact["pi_upper"]) == tuple(summary.loc["theta_new", ["lower", "upper"]])
    assert exact["I2"] == bmd.heterogeneity().loc["I2", "median"]
    assert isnan(exact["p"])


def test_comparison_of_a_regression_has_a_row_for_each_coefficient(regression):
    table = regression.compare()
    methods = table.index.get_level_values("method").unique()
    assert set(table.index) == {(method, name) for method in methods for name in ("Intercept", "months")}
    assert isnan(table.loc[("exact", "months"), "pi_lower"])


# draws


def test_draws_have_names_and_labels(bmd, regression):
    draws = bmd.draws(1000, seed=1)
    assert draws["mu"].dims == ("chain", "draw")
    assert draws["theta"].dims == ("chain", "draw", "study")
    assert draws["study"].values.tolist() == REFERENCE["data"]["study"]
    assert draws["mu"].size == draws["theta_new"].size == draws["tau"].size == 1000
    other = regression.draws(1000, seed=1)
    assert other["beta"].dims == ("chain", "draw", "coefficient")
    assert other["coefficient"].values.tolist() == ["Intercept", "months"]
    assert "theta_new" not in other


def test_draws_follow_the_seed_and_the_posterior(bmd):
    first, again, other = (bmd.draws(4000, seed=seed) for seed in (1, 1, 2))
    assert first.identical(again)
    assert not first.identical(other)
    for name in ("mu", "tau", "theta_new"):
        uniform = bmd.marginal(name).cdf(first[name].values.ravel())
        # Kolmogorov's 1e-4 limit for independent draws.
        assert stats.kstest(uniform, "uniform").statistic < 2.23 / sqrt(4000)


# Moments that do not exist, ratios, print


def test_moments_that_do_not_exist_are_nan_in_tables_and_named_in_print():
    one = fit(Studies.from_effects([0.1, 0.5], sei=[0.2, 0.2]), Model(mu="Flat()", tau="HalfCauchy(0.5)"))
    table = one.summary()
    # a + k - p - 1 = 2 + 2 - 1 - 1 = 2: means exist, standard deviations do not.
    assert table["sd"].isna().all()
    assert not table["mean"].isna().any()
    # tau2 and H2 need twice the order; I2 is bounded.
    heterogeneity = one.heterogeneity()
    assert heterogeneity["mean"].isna().to_dict() == {
        "tau": False,
        "tau2": True,
        "I2": False,
        "H2": True,
        "theta_new": False,
    }
    assert not isnan(heterogeneity.loc["I2", "sd"])
    assert "does not exist" in str(one)
    assert "nan" not in str(one)
    assert not isnan(one.quantity("mu")["error"]["abs"])


def test_ratio_measures_are_printed_as_ratios_too(ratios):
    mu = ratios.marginal("mu")
    text = str(ratios)
    line = next(line for line in text.splitlines() if line.startswith("exp(mu)"))
    shown = [float(word) for word in line.split()[1:]]
    np.testing.assert_allclose(
        shown, [exp(mu.median), exp(mu.interval().lower), exp(mu.interval().upper)], rtol=5e-4
    )
    assert "Odds ratio" in text
    assert text.startswith("Log odds ratio: 4 studies, mods '1', normal likelihood\n")
    assert "exp(theta_new)" in text
    assert "exp(tau)" not in text


def test_print_says_what_was_done(bmd):
    lines = str(bmd).splitlines()
    assert lines[0] == "Mean difference: 11 studies, mods '1', normal likelihood"
    assert lines[1] == "Priors: mu ~ Normal(0, 0.4), tau ~ HalfNormal(0.05)"
    assert lines[2].startswith("Method: exact integration, two node sets agree to ")
    assert lines[4].split() == ROWS
    assert lines[5].split() == ["mu", "0.07036", "0.06973", "0.0693", "0.01095", "0.04613", "0.08977"]
    assert lines[9] == "Intervals are 95 % equal-tailed."
    assert repr(bmd) == "<Fit: exact, 11 studies, mods '1', status exact>"


def test_print_marks_default_priors_and_shortens_their_numbers():
    # Unit information: sqrt(1101 / sum 1/v), shown with 4 digits.
    one = fit(bmd_studies(), Model())
    u = sqrt(sum(MAIN["ni"]) / np.sum(1 / np.array(MAIN["vi"])))
    expected = f"Priors: mu ~ Normal(0, {u:.4g}) (default), tau ~ HalfNormal({u / 4:.4g}) (default)"
    assert str(one).splitlines()[1] == expected


def test_print_of_a_common_effect_says_tau_is_zero():
    one = fit(bmd_studies(), Model(effects="common", mu="Flat()"))
    assert str(one).splitlines()[1] == "Priors: mu ~ Flat(), tau = 0"
    w = 1 / np.array(MAIN["vi"])
    assert one.marginal("mu").mean == pytest.approx(w @ MAIN["yi"] / w.sum(), rel=1e-12)
    assert one.marginal("mu").sd == pytest.approx(w.sum() ** -0.5, rel=1e-12)
    assert one.summary().loc["tau"].tolist() == [0, 0, 0, 0, 0, 0]


def test_print_names_coefficients_with_different_priors():
    studies = Studies.from_effects(
        [0.1, 0.4, 0.2], sei=[0.1] * 3, data={"x": [0.0, 1.0, 3.0], "z": [1.0, 0.0, 4.0]}
    )
    model = Model("x + z", mu="Flat()", beta={"x": "Normal(0, 1)", "z": "Normal(0, 2)"}, tau="HalfNormal(1)")
    line = str(fit(studies, model)).splitlines()[1]
    assert line == "Priors: mu ~ Flat(), x ~ Normal(0, 1), z ~ Normal(0, 2), tau ~ HalfNormal(1)"


def test_notebook_shows_the_text_escaped():
    studies = Studies.from_effects([0.1, 0.4, 0.2], sei=[0.1] * 3, data={"<b>&": [0.0, 1.0, 3.0]})
    one = fit(studies, Model("`<b>&`", mu="Flat()", beta="Normal(0, 1)", tau="HalfNormal(1)"))
    html = one._repr_html_()
    assert html.startswith("<pre>Effect: 3 studies")
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html


def test_fit_knows_its_parts(bmd, regression):
    assert (bmd.engine, bmd.status, bmd.seed, bmd.diagnostics) == ("exact", "exact", None, None)
    assert bmd.names == ("mu", "tau", "theta_new")
    assert regression.names == ("Intercept", "months", "tau")
    assert bmd.log_evidence == pytest.approx(DIRECT["hn_mu"]["log_marginal_likelihood"], rel=1e-12)
    assert set(bmd.classical) == {"fixed", "DL", "PM", "REML", "REML_HK"}
    assert bmd.model.mu == bmd.priors.mu
    assert bmd.design is bmd.problem.design
