"""Classical analyses of `Studies`: formulas, covariances, subgroups, leaving out, and the blocks they write.

The arithmetic is compared with R in `test_classical_reference.py`; here it is compared through the public
functions, with R again, with dense algebra, and by hand.
"""

from __future__ import annotations

import json
from functools import cache
from math import exp, nan
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import bayesmeta as bm
from bayesmeta.classical import (
    classical,
    classical_suite,
    leave_one_out,
    predict,
    split_studies,
    subgroup_difference,
)
from bayesmeta.design import build_design
from bayesmeta.errors import AnalysisError, DataError, FormulaError, ModelError
from bayesmeta.studies import Studies, effect_sizes

FOLDER = Path(__file__).parent / "reference"
CLOSED_FORM, CONVERGED = 1e-10, 1e-8


@cache
def reference(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


@cache
def bcg(measure="RR"):
    data = reference("bcg")["data"]
    cells = {"ai": data["tpos"], "bi": data["tneg"], "ci": data["cpos"], "di": data["cneg"]}
    return effect_sizes({name: data[name] for name in ("ablat", "alloc", "year")}, measure, **cells)


@cache
def schools():
    data = reference("schools_rubin1981")["main"]
    return Studies.from_effects(data["yi"], vi=data["vi"])


def berkey(with_V=True):
    content = reference("berkey1998")
    data = content["data"]
    errors = {"V": content["rma_mv"]["V"]} if with_V else {"vi": data["vi"]}
    return Studies.from_effects(data["yi"], data={"outcome": data["outcome"], "year": data["year"]}, **errors)


def close(ours, theirs, unit, bound):
    assert np.all(np.abs(np.asarray(ours) - np.asarray(theirs, dtype=float)) <= bound * np.asarray(unit))


# Regression with formulas


@pytest.mark.parametrize(
    ("formula", "key", "names"),
    [
        ("ablat", "cont", ("Intercept", "ablat")),
        ("alloc", "fac", ("Intercept", "alloc[random]", "alloc[systematic]")),
        ("ablat + alloc", "both", ("Intercept", "ablat", "alloc[random]", "alloc[systematic]")),
        ("ablat + year", "two", ("Intercept", "ablat", "year")),
    ],
)
@pytest.mark.parametrize("method", ["FE", "DL", "REML"])
def test_a_formula_gives_the_regression_of_metafor(formula, key, names, method):
    source = "metafor_tight" if method == "REML" else "metafor"
    theirs = reference("bcg")[source]["metareg"][key][method]
    ours = classical(bcg(), formula, method=method)
    bound = CONVERGED if method == "REML" else CLOSED_FORM
    assert ours.names == names
    close(ours.beta, theirs["b"], ours.se, bound)
    close(ours.se, theirs["se"], ours.se, bound)
    assert pytest.approx(theirs["QM"], rel=10 * bound) == ours.QM
    assert pytest.approx(theirs["QE"], rel=10 * bound) == ours.Q


def test_a_design_may_stand_for_its_formula():
    studies = bcg()
    design = build_design("ablat", studies.columns, slab=studies.slab, k=studies.k)
    assert classical(studies, design) == classical(studies, "ablat")


def test_the_package_name_is_the_function_and_the_module():
    assert bm.classical(bcg()) == classical(bcg(), "1", method="REML", test="z")
    assert bm.classical.METHODS[0] == "FE"


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_a_moderator_scales_its_coefficient(unit):  # INPUTS 116
    studies = bcg()
    table = {"x": unit * studies.columns["ablat"]}
    scaled = Studies.from_effects(studies.yi, vi=studies.vi, data=table)
    ours, one = classical(scaled, "x"), classical(studies, "ablat")
    np.testing.assert_allclose(ours.beta * [1, unit], one.beta, rtol=1e-9)
    assert ours.tau2 == pytest.approx(one.tau2, rel=1e-9)
    assert pytest.approx(one.QM, rel=1e-9) == ours.QM


def test_one_dummy_equals_two_subgroups_with_a_common_tau2():
    studies = bcg()
    two = studies.take(studies.columns["alloc"] != "systematic")
    whole = classical(two, "0 + alloc", method="FE")
    groups = subgroup_difference(two, "alloc", method="FE").groups
    for name, effect, se in zip(whole.names, whole.beta, whole.se, strict=True):
        group = groups[name.removeprefix("alloc[").removesuffix("]")]
        assert effect == pytest.approx(group.beta[0], rel=1e-13)
        assert se == pytest.approx(group.se[0], rel=1e-13)


def test_a_collinear_formula_is_refused_before_anything_is_computed():
    table = {"x": [1.0, 2, 3, 4], "double": [2.0, 4, 6, 8]}
    studies = Studies.from_effects([0.1, 0.2, 0.3, 0.1], sei=[1, 1, 1, 1], data=table)
    with pytest.raises(FormulaError, match="so that their coefficients cannot be told apart"):
        classical(studies, "x + double")


def test_predictions_at_the_data_are_fitted_values():
    studies = bcg()
    ours = classical(studies, "ablat")
    design = build_design("ablat", studies.columns, slab=studies.slab, k=studies.k)
    at = predict(ours, design.X)
    np.testing.assert_allclose(at.estimate, design.X @ ours.beta, rtol=1e-14)
    assert np.all(at.pi_lower < at.lower)


# Correlated effects


def dense(y, V, X, tau2):
    """Return coefficients, covariance and Q with explicit matrices."""
    W = np.linalg.inv(V + tau2 * np.eye(y.size))
    cov = np.linalg.inv(X.T @ W @ X)
    beta = cov @ X.T @ W @ y
    return beta, cov, (y - X @ beta) @ W @ (y - X @ beta), W


def test_correlated_effects_agree_with_metafor_where_tau_is_zero():
    theirs = reference("berkey1998")["rma_mv"]["FE"]
    ours = classical(berkey(), "0 + outcome", method="FE")
    assert ours.names == ("outcome[AL]", "outcome[PD]")
    close(ours.beta, theirs["b"], ours.se, CLOSED_FORM)
    close(ours.se, theirs["se"], ours.se, CLOSED_FORM)
    assert pytest.approx(theirs["QE"], rel=1e-10) == ours.Q


@pytest.mark.parametrize("mods", ["1", "outcome"])
def test_correlated_effects_are_generalised_least_squares(mods):
    studies = berkey()
    ours = classical(studies, mods, method="REML")
    X = build_design(mods, studies.columns, slab=studies.slab, k=10).X
    beta, cov, _, W = dense(studies.yi, studies.V, X, ours.tau2)
    close(ours.beta, beta, ours.se, 1e-9)
    np.testing.assert_allclose(ours.cov, cov, rtol=1e-9)
    if mods == "1":
        np.testing.assert_allclose(ours.weights, 100 * W.sum(axis=1) / W.sum(), rtol=1e-9)


def test_the_reml_estimate_of_correlated_effects_maximises_the_dense_likelihood():
    studies = berkey()
    X = build_design("outcome", studies.columns, slab=studies.slab, k=10).X

    def minus_likelihood(tau2):
        _, cov, Q, W = dense(studies.yi, studies.V, X, tau2)
        return 0.5 * (Q - np.linalg.slogdet(W)[1] - np.linalg.slogdet(cov)[1])

    best = minimize_scalar(minus_likelihood, bounds=(0, 1), method="bounded", options={"xatol": 1e-12})
    assert classical(studies, "outcome").tau2 == pytest.approx(
        best.x, rel=1e-5
    )  # a flat optimum has half the digits


def test_a_covariance_changes_the_answer():
    assert classical(berkey(), "outcome").beta[0] != classical(berkey(with_V=False), "outcome").beta[0]


def test_effects_with_nearly_equal_errors_may_have_negative_weights_and_still_sum_to_100():
    V = [[1, 0.9, 0], [0.9, 4, 0], [0, 0, 1]]
    weights = classical(Studies.from_effects([1, 2, 3], V=np.array(V) * 1.0), method="FE").weights
    W = np.linalg.inv(np.array(V))
    np.testing.assert_allclose(weights, 100 * W.sum(axis=1) / W.sum(), rtol=1e-12)


# Suites, leaving out, subgroups


def test_the_suite_is_the_five_usual_analyses():
    suite = classical_suite(schools())
    assert list(suite) == ["fixed", "DL", "PM", "REML", "REML_HK"]
    for name, (method, test) in {
        "fixed": ("FE", "z"),
        "DL": ("DL", "z"),
        "PM": ("PM", "z"),
        "REML": ("REML", "z"),
        "REML_HK": ("REML", "knha"),
    }.items():
        assert suite[name] == classical(schools(), method=method, test=test)


def test_leaving_out_each_study_names_it():
    ours = leave_one_out(schools(), method="DL")
    assert [label for label, _ in ours] == list(schools().slab)
    table = reference("schools_rubin1981")["metafor"]["leave1out"]["DL"]
    close([r.beta[0] for _, r in ours], table["estimate"], [r.se[0] for _, r in ours], CLOSED_FORM)


def test_leaving_out_needs_two_studies():
    with pytest.raises(ModelError) as caught:
        leave_one_out(schools().take([0]))
    assert str(caught.value) == "leave-one-out needs at least 2 studies with an estimate; got 1"


@pytest.mark.parametrize(("method", "key"), [("FE", "Q_between"), ("DL", "Q_between_separate_tau2")])
def test_the_difference_of_subgroups_agrees_with_metafor(method, key):
    theirs = reference("bcg")["metafor"]["subgroups"]["alloc"][method]
    ours = subgroup_difference(bcg(), "alloc", method=method)
    assert pytest.approx(theirs[key], rel=1e-10) == ours.Q
    assert ours.df == theirs["df"]
    assert ours.p_value == pytest.approx(theirs["p_between"], rel=1e-8)
    assert pytest.approx(max(0, 100 * (ours.Q - ours.df) / ours.Q)) == ours.I2
    for name, group in theirs["groups"].items():
        close(ours.groups[name].beta, group["b"], ours.groups[name].se, CLOSED_FORM)
        close(ours.groups[name].se, group["se"], ours.groups[name].se, CLOSED_FORM)
    assert ours.to_dict() == {"Q": ours.Q, "df": ours.df, "p": ours.p_value, "I2": ours.I2}


def test_subgroups_keep_their_order_of_appearance_and_all_digits_of_their_names():
    table = {"date": [20250102, 20250101, 20250102], "text": ["nan", "b", "nan"]}
    studies = Studies.from_effects([1, 2, 3], sei=[1, 1, 1], data=table)
    assert list(split_studies(studies, "date")) == ["20250102", "20250101"]
    assert split_studies(studies, "text")["nan"].k == 2


def test_a_subgroup_without_an_estimate_takes_no_part_in_the_difference():  # INPUTS 072
    studies = effect_sizes(
        {"g": ["a", "b", "a", "c"]},
        "OR",
        ai=[3, 0, 2, 4],
        n1i=[10] * 4,
        ci=[5, 0, 4, 1],
        n2i=[10] * 4,
        drop00=True,
    )
    ours = subgroup_difference(studies, "g")
    assert list(ours.groups) == ["a", "c"]
    assert ours.df == 1


def test_one_subgroup_has_no_difference():
    ours = subgroup_difference({"all": schools()})
    assert ours.df == 0
    assert np.isnan(ours.p_value)


@pytest.mark.parametrize(
    ("by", "error", "expected"),
    [
        (None, ModelError, "a subgroup analysis needs a column; got none; give by='column'"),
        ("aloc", DataError, "the studies have no column 'aloc'; did you mean 'alloc'?"),
    ],
)
def test_a_subgroup_analysis_needs_a_column(by, error, expected):
    with pytest.raises(error) as caught:
        subgroup_difference(bcg(), by)
    assert str(caught.value) == expected


def test_every_study_without_a_subgroup_is_named():
    studies = Studies.from_effects([1, 2, 3], sei=[1, 1, 1], data={"g": ["a", "", None]})
    with pytest.raises(DataError) as caught:
        subgroup_difference(studies, "g")
    rest = 'column "g": a subgroup must have a name; got an empty cell; fill it in'
    assert str(caught.value).splitlines() == [f'study "Study 2" {rest}', f'study "Study 3" {rest}']


# Edges


def test_a_single_study_is_its_own_answer_with_a_word_about_tau2():
    ours = classical(Studies.from_effects([0.5], sei=[0.2]))
    assert (ours.beta[0], ours.se[0]) == (0.5, pytest.approx(0.2))
    text = "tau2 cannot be estimated from 1 study with 1 coefficient; 0 was used"
    assert ours.notes == (("tau2-undefined", text),)
    assert np.isnan(ours.tau2)


def test_an_estimate_at_the_boundary_is_said():
    ours = classical(Studies.from_effects([0.1, 0.1001, 0.1002], sei=[1, 1, 1]))
    assert ours.tau2 == 0
    assert ours.notes == (("tau2-boundary", "REML estimates tau2 = 0, the boundary of its range"),)


def test_studies_without_an_estimate_are_left_out_of_inverse_variance_pooling():
    cells = {"ai": [3, 0, 2], "n1i": [10] * 3, "ci": [5, 0, 4], "n2i": [10] * 3}
    ours = classical(effect_sizes({}, "OR", drop00=True, **cells), method="FE")
    assert ours.k == 2
    alone = {name: [values[0], values[2]] for name, values in cells.items()}
    assert ours.beta[0] == classical(effect_sizes({}, "OR", **alone), method="FE").beta[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"method": "REMl"},
            "method must be one of FE, DL, PM, ML, REML, HE, HS, SJ, EB, MH, Peto; got 'REMl'; "
            "did you mean 'REML'?",
        ),
        ({"test": "hk"}, "test must be one of z, t, knha, adhoc; got 'hk'"),
        ({"level": 95}, "level must be between 0 and 1, such as 0.95; got 95"),
    ],
)
def test_a_wrong_option_is_refused(options, expected):
    with pytest.raises(AnalysisError) as caught:
        classical(schools(), **options)
    assert str(caught.value) == expected


def test_all_wrong_options_are_named_at_once():
    with pytest.raises(AnalysisError) as caught:
        classical(schools(), method="x", test="y", level=nan)
    assert len(caught.value.messages) == 3


# The blocks of results.json (DESIGN section 4)

TESTED = ["estimate", "se", "lower", "upper", "df", "p"]
SPREAD = ["tau2", "tau2_lower", "tau2_upper", "Q", "Q_df", "Q_p", "I2", "H2", "pi_lower", "pi_upper"]
C = [*TESTED, *SPREAD]
R = ["coefficients", "tau2", "QE", "QE_df", "QE_p", "QM", "QM_df", "QM_p", "R2"]


@pytest.mark.parametrize(("test", "statistic"), [("z", "z"), ("knha", "t")])
def test_the_block_of_a_pooled_effect_has_the_keys_of_the_design(test, statistic):
    block = classical(bcg(), test=test).to_dict()
    assert {*C, statistic} <= set(block)
    assert set(block) - {*C, statistic} == {"pi_hts_lower", "pi_hts_upper"}
    assert "exp" not in block


def test_a_ratio_adds_its_exponential():
    block = classical(bcg()).to_dict(ratio=True)
    assert block["exp"] == {name: exp(block[name]) for name in ("estimate", "lower", "upper")}


@pytest.mark.parametrize(("test", "statistic"), [("z", "z"), ("knha", "t")])
def test_the_block_of_a_regression_has_the_keys_of_the_design(test, statistic):
    block = classical(bcg(), "ablat", test=test).to_dict()
    assert list(block) == R
    assert list(block["coefficients"]) == ["Intercept", "ablat"]
    assert list(block["coefficients"]["ablat"]) == ["estimate", "se", "lower", "upper", statistic, "p"]


@pytest.mark.parametrize("method", ["FE", "MH", "Peto"])
def test_the_block_of_a_common_effect_has_every_key_with_nan_where_nothing_applies(method):
    block = classical(bcg("OR"), method=method).to_dict()
    assert {*C, "z"} <= set(block)
    assert np.isnan(block["pi_lower"])
    assert block["estimate"] == classical(bcg("OR"), method=method).beta[0]


def test_the_frame_has_a_row_for_each_coefficient():
    frame = classical(bcg(), "ablat", test="knha").to_frame()
    assert list(frame.index) == ["Intercept", "ablat"]
    assert list(frame.columns) == ["estimate", "se", "lower", "upper", "t", "p"]


def test_results_are_values():
    assert classical(bcg()) == classical(bcg())
    assert classical(bcg()) != classical(bcg(), method="DL")
    with pytest.raises(ValueError, match="read-only"):
        classical(bcg()).beta[0] = 0
