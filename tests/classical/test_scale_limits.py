"""Location-scale models whose likelihood has no maximum, or does not determine tau; what is refused."""

import re

import numpy as np
import pandas as pd
import pytest

import bayesmeta as bm
from bayesmeta.classical import classical_suite, predict
from bayesmeta.errors import ModelError

Y = np.array([0.10, -0.60, 0.90, 0.31, 0.30, 0.32])
SEI = np.array([0.10, 0.12, 0.15, 0.20, 0.25, 0.30])
G = list("aaabbb")
NO_MAXIMUM = (
    "the {method} likelihood of the location-scale model has no maximum: it rises as {what} to 0; log ratios "
    "to it, their standard errors and the Wald test do not exist, and the other numbers are what they tend to"
)


def studies_of(y=Y, sei=SEI, **columns):
    return bm.Studies.from_effects(
        y, sei=sei, slab=list("ABCDEF")[: len(y)], data=pd.DataFrame(columns or {"g": G})
    )


def dense(tau2, *, restricted, design=None):
    """Return the log likelihood by dense matrices."""
    design = np.ones((Y.size, 1)) if design is None else design
    w = 1 / (SEI**2 + tau2)
    information = design.T @ (w[:, None] * design)
    residual = Y - design @ np.linalg.solve(information, design.T @ (w * Y))
    value = (
        np.log(w).sum()
        - residual @ (w * residual)
        - (Y.size - restricted * design.shape[1]) * np.log(2 * np.pi)
    )
    return 0.5 * (value - restricted * np.linalg.slogdet(information)[1])


@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("scale", ["C(g)", "0 + C(g)"])
def test_equal_effects_send_the_tau_of_their_group_to_0(method, scale):
    """The limit is a model with tau = 0 in group b: its likelihood is searched on a grid of the tau of a."""
    restricted = method == "REML"
    result = bm.classical(studies_of(), scale=scale, method=method)
    spread = result.spread
    grid = np.exp(np.linspace(-3, 2, 200_001))
    values = [dense(np.array([t2, t2, t2, 0, 0, 0]), restricted=restricted) for t2 in grid[::2000]]
    near = np.exp(np.linspace(*np.log(grid[::2000])[[np.argmax(values) - 1, np.argmax(values) + 1]], 4001))
    values = [dense(np.array([t2, t2, t2, 0, 0, 0]), restricted=restricted) for t2 in near]
    row = dict(zip(spread.names, spread.estimate, strict=True))
    assert row["tau[a]"] ** 2 == pytest.approx(near[np.argmax(values)], rel=1e-4)
    assert row["tau[b]"] == row["tau"] == result.tau2 == 0
    assert np.isnan(row["delta[g[b]]"])
    assert spread.log_likelihood == pytest.approx(max(values), abs=1e-8)
    assert spread.taus.tolist() == [row["tau[a]"]] * 3 + [0.0] * 3
    higher = dense(np.array([*[row["tau[a]"] ** 2] * 3, *[1e-6] * 3]), restricted=restricted)
    assert higher < spread.log_likelihood
    expected = NO_MAXIMUM.format(method=method, what="tau[b] goes")
    assert result.notes == (("scale-no-maximum", expected),)


def test_in_the_limit_only_what_goes_to_0_has_no_standard_error():
    spread = bm.classical(studies_of(), scale="C(g)").spread
    known = dict(zip(spread.names, np.isfinite(spread.se), strict=True))
    assert known == {"tau[a]": True, "tau[b]": False, "tau": False, "delta[g[b]]": False}
    assert np.isnan([spread.QS, spread.QS_p]).all()
    one = dense(np.full(6, bm.classical(studies_of()).tau2), restricted=True)
    assert pytest.approx(2 * (spread.log_likelihood - one), abs=1e-9) == spread.LR
    step = 1e-4
    at = np.log(spread.estimate[0])
    curve = [
        dense(np.exp(2 * np.array([t, t, t, -50, -50, -50])), restricted=True)
        for t in (at - step, at, at + step)
    ]
    assert spread.se[0] / spread.estimate[0] == pytest.approx(
        1 / np.sqrt(-(curve[0] - 2 * curve[1] + curve[2]) / step**2), rel=1e-5
    )


def test_homogeneous_effects_send_every_tau_to_0():
    result = bm.classical(studies_of(np.full(6, 0.3) + 0.01 * np.arange(6)), scale="C(g)")
    assert result.spread.taus.tolist() == [0.0] * 6
    assert result.notes == (("scale-no-maximum", NO_MAXIMUM.format(method="REML", what="every tau goes")),)
    fixed = bm.classical(studies_of(np.full(6, 0.3) + 0.01 * np.arange(6)), method="FE")
    assert result.beta == pytest.approx(fixed.beta, rel=1e-12)
    assert result.se == pytest.approx(fixed.se, rel=1e-12)
    assert (result.spread.LR, result.spread.LR_p) == (0.0, 1.0)


def test_two_levels_that_vanish_are_both_named():
    groups = studies_of(np.array([0.1, -0.9, 0.31, 0.30, 0.32, 0.31]), g=list("aabbcc"))
    note = bm.classical(groups, scale="C(g)").notes[0][1]
    assert note == NO_MAXIMUM.format(method="REML", what="tau[b] and tau[c] go")


def test_a_number_that_only_one_study_is_at_the_end_of_names_the_others():
    """Only F, at the end of x, is apart: delta without end makes its tau the only one."""
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    apart = studies_of(np.array([0.30, 0.31, 0.29, 0.30, 0.31, 1.5]), np.full(6, 0.1), x=x)
    result = bm.classical(apart, scale="x", method="ML")
    expected = NO_MAXIMUM.format(method="ML", what="the tau of 5 of the 6 studies (A, B, C, D, E) goes")
    assert result.notes == (("scale-no-maximum", expected),)
    assert (result.spread.taus > 0).tolist() == [False] * 5 + [True]
    w = np.full(5, 100.0)
    mean = (w @ apart.yi[:5]) / w.sum()
    assert abs(result.beta[0] - mean) < abs(result.beta[0] - apart.yi[5])


def test_REML_does_not_determine_the_tau_of_a_study_with_a_mean_of_its_own():
    alone = studies_of(g=list("aaaaab"))
    result = bm.classical(alone, "0 + C(g)", scale="0 + C(g)")
    assert result.notes == (
        (
            "scale-undetermined",
            "the REML likelihood is flat in a scale coefficient: the studies do not determine it; the "
            "location-scale rows are empty",
        ),
    )
    assert np.isnan([*result.beta, *result.se, *result.spread.estimate, result.tau2]).all()


def test_as_many_coefficients_as_studies_say_nothing_of_tau():
    two = bm.Studies.from_effects([0.1, 0.4], sei=[0.1, 0.1], data=pd.DataFrame({"g": ["a", "b"]}))
    result = bm.classical(two, "C(g)", scale="C(g)")
    sentence = "2 studies with 2 coefficients say nothing of tau; the location-scale rows are empty"
    assert result.notes == (("scale-undetermined", sentence),)


@pytest.mark.parametrize(("method", "test"), [("DL", "z"), ("REML", "knha"), ("FE", "z")])
def test_other_methods_and_tests_are_refused(method, test):
    message = (
        f"scale 'C(g)' must have method 'REML' or 'ML' and test 'z' or 't'; got method '{method}' and test "
        f"'{test}'; use scale='1'"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        bm.classical(studies_of(), scale="C(g)", method=method, test=test)


def test_correlated_effects_are_refused():
    V = np.diag(SEI**2)
    V[0, 1] = V[1, 0] = 0.001
    correlated = bm.Studies.from_effects(Y, V=V, data=pd.DataFrame({"g": G}))
    message = (
        "correlated effects (V with covariances) must have one tau for all studies; got scale 'C(g)'; use "
        "scale='1'"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        bm.classical(correlated, scale="C(g)")


def test_the_scale_formula_1_is_the_model_of_one_tau():
    assert bm.classical(studies_of(), scale="1") == bm.classical(studies_of())
    assert list(classical_suite(studies_of())) == ["fixed", "DL", "PM", "REML", "REML_HK"]


def test_the_suite_of_a_scale_formula_has_both_likelihoods_besides():
    suite = classical_suite(studies_of(), scale="C(g)")
    assert list(suite) == ["fixed", "DL", "PM", "REML", "REML_HK", "ML_LS", "REML_LS"]
    assert suite["REML_LS"] == bm.classical(studies_of(), scale="C(g)")
    assert suite["ML_LS"] == bm.classical(studies_of(), scale="C(g)", method="ML")
    assert suite["REML"] == bm.classical(studies_of())


def test_limits_for_a_new_study_need_one_tau():
    found = predict(bm.classical(studies_of(), scale="C(g)"), np.ones((1, 1)))
    assert np.isfinite([found.lower, found.upper]).all()
    assert np.isnan([found.pi_lower, found.pi_upper]).all()


def test_tables_have_a_row_for_each_quantity():
    spread = bm.classical(studies_of(), scale="C(g)", test="t").spread
    table = spread.to_frame()
    assert list(table.index) == ["tau[a]", "tau[b]", "tau", "delta[g[b]]"]
    assert list(table.columns) == ["estimate", "se", "lower", "upper", "t", "p"]
    assert table["estimate"]["tau[a]"] == spread.estimate[0]
    block = bm.classical(studies_of(), scale="C(g)").to_dict()["spread"]
    assert block["quantities"]["tau[a]"]["estimate"] == pytest.approx(spread.estimate[0], rel=1e-12)
    assert list(block["quantities"]["tau[a]"]) == ["estimate", "se", "lower", "upper", "z", "p"]
    assert (block["formula"], block["LR_df"]) == ("C(g)", 1.0)


@pytest.fixture(scope="module")
def fitted():
    return bm.fit(
        studies_of(), bm.Model(scale="C(g)", mu="Normal(0, 1)", tau="HalfNormal(0.5)"), engine="exact"
    )


def test_a_fit_has_the_classical_rows_of_its_scale_formula(fitted):
    assert fitted.classical == classical_suite(studies_of(), scale="C(g)")
    table = fitted.compare()
    assert table.loc[("REML_LS", "mu"), "estimate"] == fitted.classical["REML_LS"].beta[0]
    assert np.isnan(table.loc[("REML_LS", "mu"), "pi_lower"])


def test_heterogeneity_of_a_fit_has_the_classical_taus_beside(fitted):
    table, spread = fitted.heterogeneity(), fitted.classical["REML_LS"].spread
    assert table.loc["tau[a]", "classical"] == spread.estimate[0]
    assert table.loc["tau[a]", "classical_upper"] == spread.upper[0]
    assert table.loc["tau2[a]", "classical"] == pytest.approx(spread.estimate[0] ** 2, rel=1e-12)
    assert table.loc["tau[b]", "classical"] == 0
    assert np.isnan(table.loc["delta[g[b]]", "classical"])


def test_an_uncentred_model_has_uncentred_classical_rows():
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 7.0])
    studies = studies_of(np.array([0.1, 0.2, -0.4, 0.9, -0.8, 1.6]), x=x)
    model = bm.Model(scale="x", mu="Normal(0, 1)", tau="HalfNormal(0.5)", center=False)
    beside = bm.fit(studies, model, engine="exact").classical["REML_LS"]
    assert beside == bm.classical(studies, scale="x", center=False)
    assert beside != bm.classical(studies, scale="x")
