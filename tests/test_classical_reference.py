"""Agreement with R's metafor on every reference data set, and with 20-digit arithmetic.

`metafor` holds what R prints with its default control, `metafor_tight` the same with tight convergence;
closed forms are compared with the first, iterated estimates with the second. Tolerances are in standard
errors.
"""

from __future__ import annotations

import json
from functools import cache
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from bayesmeta.classical import predict
from bayesmeta.classical.heterogeneity import ESTIMATORS, estimate_tau2, heterogeneity
from bayesmeta.classical.likelihood import log_likelihood
from bayesmeta.classical.pooling import pool
from bayesmeta.classical.problem import problem

FOLDER = Path(__file__).parent / "reference"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json") if not path.stem.startswith("_"))
CLOSED = ("FE", "DL", "HE", "HS", "SJ")
ITERATED = ("ML", "REML", "PM", "EB")
CLOSED_FORM, CONVERGED = 1e-10, 1e-8
P_VALUE = 1e-8
"""Relative: an error of 1e-10 in z becomes one of z * 1e-10 in a tail probability."""

# R's answers that this package does not give, because they are conventions or undefined
IDENTICAL = "syn_identical"  # all effects equal: R's Knapp-Hartung standard error is 0, ours is floored


@cache
def reference(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def numbers(values):
    special = {"NA": np.nan, "NaN": np.nan, "Inf": np.inf, "-Inf": -np.inf}
    values = values if isinstance(values, list) else [values]
    return np.array([special[value] if isinstance(value, str) else value for value in values], dtype=float)


@cache
def effects(name):
    main = reference(name)["main"]
    rows = np.array(main["used_rows"]) - 1
    return numbers(main["yi"])[rows], numbers(main["vi"])[rows]


@cache
def known(name, level=0.95):
    return heterogeneity(problem(*effects(name)), level=level)


def fitted(name, method):
    return reference(name)["metafor_tight" if method in ITERATED else "metafor"]["fits"][method]


def tolerance(method):
    return CONVERGED if method in ITERATED else CLOSED_FORM


def assert_close(ours, theirs, unit, bound, what):
    ours, theirs = np.atleast_1d(np.asarray(ours, dtype=float)), numbers(theirs)
    assert ours.shape == theirs.shape, what
    assert np.all(np.abs(ours - theirs) <= bound * unit), (what, ours, theirs)


def assert_same_probability(ours, theirs):
    """Compare relatively down to the smallest normal number."""
    np.testing.assert_allclose(np.atleast_1d(ours), numbers(theirs), rtol=P_VALUE, atol=1e-307)


def assert_same_fit(result, theirs, bound):
    """Compare everything that R reports for a fit."""
    typical = numbers(theirs["vt"])
    assert_close(result.beta, theirs["b"], result.se, bound, "estimate")
    assert_close(result.se, theirs["se"], result.se, bound, "se")
    assert_close(result.lower, theirs["ci_lb"], result.se, bound, "lower")
    assert_close(result.upper, theirs["ci_ub"], result.se, bound, "upper")
    assert_close(result.statistic, theirs["zval"], 1 + np.abs(result.statistic), bound, "statistic")
    assert_same_probability(result.p_value, theirs["pval"])
    assert_close(result.tau2, theirs["tau2"], result.tau2 + typical, bound, "tau2")
    assert_close(result.Q, theirs["QE"], 1 + result.Q, bound, "Q")
    assert_same_probability(result.Q_p, theirs["QEp"])
    assert_close(result.I2, theirs["I2"], 100, bound, "I2")
    assert_close(result.H2, theirs["H2"], 1 + result.H2, bound, "H2")
    assert_close(result.QM, theirs["QM"], 1 + result.QM, bound, "QM")
    assert_same_probability(result.QM_p, theirs["QMp"])
    assert result.QM_df == theirs["QMdf"][0]
    assert_close(result.scale, theirs["s2w"], 1, bound, "Knapp-Hartung factor")
    if "weights" in theirs:
        assert_close(result.weights, theirs["weights"], 100, bound, "weights")


def test_every_reference_data_set_is_here():
    assert len(NAMES) == 27


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ESTIMATORS)
def test_pooled_effects_agree_with_metafor(name, method):
    assert_same_fit(pool(known(name), method=method), fitted(name, method), tolerance(method))


@pytest.mark.parametrize("name", [name for name in NAMES if name != IDENTICAL])
def test_knapp_hartung_and_t_tests_agree_with_metafor(name):
    tests = reference(name)["metafor"]["tests"]
    compared = 0
    for key, theirs in tests.items():
        method, test = key.split("_")
        if method in CLOSED:
            assert_same_fit(pool(known(name), method=method, test=test), theirs, CLOSED_FORM)
            compared += 1
    for method in ITERATED:
        theirs = reference(name)["metafor_tight"]["knha"][method]
        assert_same_fit(pool(known(name), method=method, test="knha"), theirs, CONVERGED)
        compared += 1
    assert compared == 16


def test_knapp_hartung_is_floored_where_identical_effects_would_make_it_zero():
    theirs = reference(IDENTICAL)["metafor_tight"]["knha"]["REML"]
    assert numbers(theirs["se"]) < 1e-15
    ours = pool(known(IDENTICAL), method="REML", test="knha")
    assert ours.scale == 1
    assert_close(ours.se, fitted(IDENTICAL, "REML")["se"], ours.se, CLOSED_FORM, "se")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["ML_QP", "REML_QP", "PM_QP", "EB_QP"])
def test_q_profile_intervals_agree_with_metafor(name, key):
    theirs = reference(name)["metafor_tight"]["confint"][key]["tau^2"]
    ours = known(name)
    unit = ours.tau2_upper + ours.typical_v
    assert_close(ours.tau2_lower, theirs["lb"], unit, CONVERGED, "lower")
    assert_close(ours.tau2_upper, theirs["ub"], unit, CONVERGED, "upper")


def test_the_level_changes_the_q_profile_interval():
    narrow, wide = known("bcg", 0.90), known("bcg")
    assert wide.tau2_lower < narrow.tau2_lower < narrow.tau2_upper < wide.tau2_upper
    theirs = reference("bcg")["metafor"]["confint"]["REML_QP_level90"]["tau^2"]
    assert narrow.tau2_lower == pytest.approx(theirs["lb"], abs=2e-4)  # R's default root is this loose
    assert narrow.tau2_upper == pytest.approx(theirs["ub"], abs=2e-4)


@pytest.mark.parametrize("name", NAMES)
def test_prediction_intervals_agree_with_metafor(name):
    compared = 0
    for key, theirs in reference(name)["metafor_tight"]["predict"].items():
        method, test, *kind = key.split("_")
        no_rule = (test == "z" and not kind) or (name == IDENTICAL and test == "knha")
        if method not in ESTIMATORS or no_rule:  # PMM is not ours; "z" alone uses normal quantiles
            continue
        ours = pool(known(name), method=method, test=test)
        assert_close(ours.se, theirs["se"], ours.se, CONVERGED, "se")
        limits = (ours.pi_lower, ours.pi_upper)
        if kind == ["riley"]:
            limits = (ours.pi_hts_lower, ours.pi_hts_upper)
        if kind == ["riley"] and name == "syn_k2":  # t with 0 degrees of freedom: R takes 1
            assert all(isnan(limit) for limit in limits)
            continue
        unit = ours.se + np.sqrt(ours.tau2)
        assert_close(limits[0], theirs["pi_lb"], unit, CONVERGED, key)
        assert_close(limits[1], theirs["pi_ub"], unit, CONVERGED, key)
        compared += 1
    assert compared == {"syn_k2": 9, IDENTICAL: 10}.get(name, 18)


REGRESSIONS = [(name, formula) for name in NAMES for formula in reference(name)["metafor"].get("metareg", {})]


@cache
def known_regression(name, formula):
    theirs = reference(name)["metafor"]["metareg"][formula]
    rows = np.array(theirs["rows"]) - 1
    y, v = effects(name)
    return heterogeneity(problem(y[rows], v[rows], np.array(theirs["X"], dtype=float)))


def test_every_regression_is_compared():
    assert len(REGRESSIONS) == 34


@pytest.mark.parametrize(("name", "formula"), REGRESSIONS)
def test_meta_regressions_agree_with_metafor(name, formula):
    loose = reference(name)["metafor"]["metareg"][formula]
    tight = reference(name)["metafor_tight"]["metareg"][formula]
    fits = {key: fit for key, fit in loose.items() if key.split("_")[0] in CLOSED and "b" in fit}
    fits |= {key: fit for key, fit in tight.items() if key.split("_")[0] in ITERATED and "b" in fit}
    for key, theirs in fits.items():
        method, _, test = key.partition("_")
        ours = pool(known_regression(name, formula), method=method, test=test or "z")
        assert_same_fit(ours, theirs, tolerance(method))
        if isnan(ours.R2):  # no heterogeneity to account for: R says 0
            assert theirs["R2"] == 0
        else:
            assert_close(ours.R2, theirs["R2"], 100, tolerance(method), "R2")
    assert len(fits) == 11


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["FE", "DL"])
def test_leave_one_out_agrees_with_metafor(name, method):
    y, v = effects(name)
    table = reference(name)["metafor"]["leave1out"][method]
    for i in range(y.size):
        ours = pool(heterogeneity(problem(np.delete(y, i), np.delete(v, i))), method=method)
        unit = ours.se[0]
        assert_close(ours.beta, table["estimate"][i], unit, CLOSED_FORM, "estimate")
        assert_close(ours.se, table["se"][i], unit, CLOSED_FORM, "se")
        assert_close(ours.lower, table["ci.lb"][i], unit, CLOSED_FORM, "lower")
        assert_close(ours.upper, table["ci.ub"][i], unit, CLOSED_FORM, "upper")
        assert_same_probability(ours.p_value, table["pval"][i])
        assert_close(ours.Q, table["Q"][i], 1 + ours.Q, CLOSED_FORM, "Q")
        if y.size > 2:  # of one study R says I2 = 0, H2 = 1 and p = 1; here they are undefined
            assert_same_probability(ours.Q_p, table["Qp"][i])
            assert_close(ours.I2, table["I2"][i], 100, CLOSED_FORM, "I2")
            assert_close(ours.H2, table["H2"][i], 1 + ours.H2, CLOSED_FORM, "H2")


@pytest.mark.parametrize("name", [n for n in NAMES if "leave1out_REML" in reference(n)["metafor_tight"]])
def test_leave_one_out_by_reml_agrees_with_metafor(name):
    y, v = effects(name)
    table = reference(name)["metafor_tight"]["leave1out_REML"]
    for i in range(y.size):
        ours = pool(heterogeneity(problem(np.delete(y, i), np.delete(v, i))), method="REML")
        assert_close(ours.beta, table["estimate"][i], ours.se, CONVERGED, "estimate")
        assert_close(ours.se, table["se"][i], ours.se, CONVERGED, "se")
        if y.size > 2:
            assert_close(ours.tau2, table["tau2"][i], ours.tau2 + float(np.median(v)), CONVERGED, "tau2")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["ML", "REML"])
def test_our_likelihood_is_not_below_metafor(name, method):
    data = problem(*effects(name)).data
    theirs = fitted(name, method)
    ours = log_likelihood(data, pool(known(name), method=method).tau2, restricted=method == "REML")
    constant = 0.5 * np.log(data.k) if method == "REML" else 0  # R adds log |X'X| / 2
    assert ours + constant >= theirs[f"ll_{method}"] - 1e-12 * abs(ours) - 1e-12


@pytest.mark.parametrize("name", [n for n in NAMES if "classical" in reference(n)["direct_mpmath_20_digits"]])
def test_everything_agrees_with_twenty_digit_arithmetic(name):
    exact = reference(name)["direct_mpmath_20_digits"]["classical"]
    ours = known(name)
    v = ours.typical_v
    assert v == pytest.approx(float(exact["typical_v"]), rel=1e-14)
    assert pytest.approx(float(exact["FE"]["Q"]), rel=1e-13, abs=1e-25) == ours.Q
    assert ours.tau2_lower == pytest.approx(float(exact["QP_tau2_95"][0]), rel=1e-13, abs=1e-14 * v)
    assert ours.tau2_upper == pytest.approx(float(exact["QP_tau2_95"][1]), rel=1e-13, abs=1e-14 * v)
    for method, key in (("DL", "DL"), ("HE", "HE"), ("PM", "PM_EB"), ("ML", "ML"), ("REML", "REML")):
        value = float(exact["tau2"][key])
        assert estimate_tau2(ours, method).value == pytest.approx(value, rel=1e-13, abs=2e-14 * v), method
    for method in ("ML", "REML"):
        assert len(estimate_tau2(ours, method).maxima) == exact["tau2"][f"n_local_maxima_{method}"]
    for method in ("DL", "PM", "REML"):
        plain = pool(ours, method=method)
        assert abs(plain.beta[0] - float(exact[method]["beta"])) < 1e-13 * plain.se[0] + 1e-15 * abs(
            plain.beta[0]
        )
        assert plain.se[0] == pytest.approx(float(exact[method]["se"]), rel=1e-13)
        if name != IDENTICAL:
            adjusted = pool(ours, method=method, test="knha")
            assert adjusted.se[0] == pytest.approx(float(exact[method]["se_knha"]), rel=1e-12)


def test_twenty_digit_values_cover_every_data_set():
    assert sum("classical" in reference(name)["direct_mpmath_20_digits"] for name in NAMES) == 27


@pytest.mark.parametrize(("name", "formula"), REGRESSIONS)
def test_fitted_values_of_regressions_agree_with_metafor(name, formula):
    """R predicts at its default estimate of tau2, whose distance from the maximum bounds the difference."""
    loose = reference(name)["metafor"]["metareg"][formula]
    known = known_regression(name, formula)
    ours = pool(known, method="REML")
    bound = CONVERGED + 10 * abs(ours.tau2 - loose["REML"]["tau2"]) / (ours.tau2 + known.typical_v)
    assert bound < 0.1
    at, theirs = predict(ours, known.problem.X), loose["predict_fitted_REML"]
    assert_close(at.estimate, theirs["pred"], at.se, bound, "prediction")
    assert_close(at.se, theirs["se"], at.se, bound, "se")
    assert_close(at.lower, theirs["ci_lb"], at.se, 3 * bound, "lower")
    assert_close(at.upper, theirs["ci_ub"], at.se, 3 * bound, "upper")
