"""Permutation tests and variance inflation: against metafor's values and against enumeration by hand."""

from __future__ import annotations

import json
from itertools import permutations, product
from math import comb
from pathlib import Path

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.classical import permutation_test, variance_inflation
from bayesmeta.classical.permutation import distinct_orders
from bayesmeta.errors import AnalysisError, ModelError

REFERENCE = Path(__file__).parents[1] / "reference"
STORED = {path.stem: json.loads(path.read_text()) for path in REFERENCE.glob("[a-z]*.json")}
EXACT = sorted(name for name, one in STORED.items() if "permutest_FE_exact" in one.get("metafor", {}))


def used(name):
    main = STORED[name]["main"]
    rows = np.array(main["used_rows"]) - 1
    return np.array(main["yi"], float)[rows], np.array(main["vi"], float)[rows]


@pytest.mark.parametrize("name", EXACT)
def test_changes_of_sign_give_the_p_value_of_metafor(name):
    stored = STORED[name]["metafor"]["permutest_FE_exact"]
    y, v = used(name)
    found = permutation_test(bm.Studies.from_effects(y, vi=v), method="FE")
    assert found.exact
    assert found.permutations == 2**y.size
    assert found.p_value[0] == stored["pval"]
    assert found.statistic[0] == pytest.approx(stored["zval"], rel=1e-9)


def least_squares(y, v, X):
    """Return z of the coefficients, weights 1 / v."""
    weights = 1 / v
    cov = np.linalg.inv(X.T @ (weights[:, None] * X))
    return cov @ X.T @ (weights * y) / np.sqrt(np.diag(cov))


Y, V = np.array([0.1, 0.4, 0.35, 0.8, 0.5]), np.array([0.01, 0.04, 0.02, 0.03, 0.05])
DOSE, SITE = np.array([1.0, 2.0, 3.0, 5.0, 4.0]), np.array([0.0, 1.0, 1.0, 0.0, 1.0])


def test_a_moderator_is_dealt_to_the_studies_in_every_order():
    studies = bm.Studies.from_effects(Y, vi=V, data={"dose": DOSE})
    X = np.column_stack([np.ones(5), DOSE])
    z = np.array([least_squares(Y, V, X[list(order)]) for order in permutations(range(5))])
    found = permutation_test(studies, "dose", method="FE")
    assert (found.permutations, found.exact) == (120, True)
    here = least_squares(Y, V, X)
    assert found.statistic == pytest.approx(here, rel=1e-10)
    assert found.p_value == pytest.approx((np.abs(z) >= np.abs(here) - 1e-9).mean(axis=0), abs=1e-12)
    assert pytest.approx(here[1] ** 2, rel=1e-10) == found.QM
    assert found.QM_p == found.p_value[1]


def test_orders_that_are_the_same_are_made_once():
    studies = bm.Studies.from_effects(Y, vi=V, data={"site": SITE})
    found = permutation_test(studies, "site", method="FE")
    assert found.permutations == comb(5, 2)
    z = np.array(
        [
            least_squares(Y, V, np.column_stack([np.ones(5), word]))[1]
            for word in product([0.0, 1.0], repeat=5)
            if sum(word) == 3
        ]
    )
    here = least_squares(Y, V, np.column_stack([np.ones(5), SITE]))[1]
    assert found.p_value[1] == pytest.approx((np.abs(z) >= abs(here) - 1e-9).mean(), abs=1e-12)


def test_tau2_is_estimated_in_every_permutation():
    studies = bm.Studies.from_effects(Y, vi=V, data={"dose": DOSE})
    z = []
    for order in permutations(range(5)):
        dealt = bm.Studies.from_effects(Y, vi=V, data={"dose": DOSE[list(order)]})
        z.append(bm.classical(dealt, "dose", method="REML", test="knha").statistic)
    here = bm.classical(studies, "dose", method="REML", test="knha")
    found = permutation_test(studies, "dose", method="REML", test="knha")
    assert found.statistic == pytest.approx(here.statistic, rel=1e-9)
    assert pytest.approx(here.QM, rel=1e-9) == found.QM
    assert found.p_value == pytest.approx(
        (np.abs(z) >= np.abs(here.statistic) * (1 - 1e-9)).mean(axis=0), abs=1e-12
    )


@pytest.mark.parametrize("method", ["DL", "PM", "ML", "HE", "HS", "SJ", "EB"])
def test_every_estimator_has_the_statistics_of_the_classical_analysis(bcg, method):
    found = permutation_test(bcg, "ablat", method=method, most=100)
    assert found.statistic == pytest.approx(bm.classical(bcg, "ablat", method=method).statistic, rel=1e-8)


def test_drawn_permutations_repeat_with_the_seed_and_count_the_data_as_one(bcg):
    one, two, other = (permutation_test(bcg, "ablat", most=200, seed=seed) for seed in (1, 1, 2))
    assert (one.exact, one.permutations) == (False, 200)
    assert np.array_equal(one.p_value, two.p_value)
    assert not np.array_equal(one.p_value, other.p_value)
    assert one.p_value.min() >= 1 / 200
    assert np.allclose(one.p_value * 200, np.round(one.p_value * 200))


def test_drawn_and_complete_permutations_agree(four):
    """6 studies have 720 orders; 700 drawn ones are within 4 binomial standard errors."""
    data = {"dose": np.array([1.0, 2, 4, 3, 7, 5])}
    y = [0.1, 0.3, 0.2, 0.5, 0.6, 0.2]
    studies = bm.Studies.from_effects(y, sei=[0.1, 0.2, 0.1, 0.2, 0.15, 0.1], data=data)
    whole = permutation_test(studies, "dose", method="FE")
    drawn = permutation_test(studies, "dose", method="FE", most=700)
    assert (whole.permutations, drawn.permutations) == (720, 700)
    p = whole.p_value[1]
    assert abs(drawn.p_value[1] - p) < 4 * np.sqrt(p * (1 - p) / 700) + 1 / 700


def test_the_number_of_different_orders_is_a_multinomial_coefficient():
    assert distinct_orders(np.array([0, 0, 1, 1, 1, 2])) == 60


def test_the_table_has_a_row_for_each_coefficient_and_all_moderators(bcg):
    table = permutation_test(bcg, "ablat", method="DL", most=100).to_frame()
    assert list(table.index) == ["Intercept", "ablat", "QM"]
    assert list(table.columns) == ["statistic", "p"]


def test_impossible_requests_are_refused(bcg):
    with pytest.raises(AnalysisError) as caught:
        permutation_test(bcg, "ablat", most=10)
    assert str(caught.value) == "most must be a number of permutations of at least 100; got 10"
    correlated = bm.Studies.from_effects([0.1, 0.2], V=[[0.02, 0.01], [0.01, 0.03]])
    with pytest.raises(ModelError) as caught:
        permutation_test(correlated)
    assert str(caught.value) == "a permutation test needs independent effects; these are correlated (V)"


# Variance inflation


def test_single_columns_have_the_inflation_of_metafor():
    """`vif` of metafor at its loose default tau2: the dose of `both` is a single column."""
    stored = STORED["bcg"]["metafor"]["metareg"]["both"]
    y, v = used("bcg")
    data = {name: STORED["bcg"]["data"][name] for name in ("ablat", "alloc")}
    found = variance_inflation(bm.Studies.from_effects(y, vi=v, data=data), "ablat + C(alloc)")
    assert [(one.term, one.df) for one in found] == [("ablat", 1), ("C(alloc)", 2)]
    assert found[0].gvif == pytest.approx(stored["vif_REML"][0], rel=1e-4)
    assert found[1].gvif == pytest.approx(found[0].gvif, rel=1e-12)  # of two terms both have the same volume
    assert found[1].gsif == pytest.approx(found[1].gvif ** 0.25, rel=1e-12)


def test_two_numbers_inflate_one_another_by_their_correlation():
    """With equal variances of the estimates: 1 / (1 - r^2), r being the correlation of the columns."""
    rng = np.random.default_rng(4)
    a = rng.normal(size=12)
    b = a + rng.normal(size=12)
    studies = bm.Studies.from_effects(rng.normal(size=12), vi=[0.04] * 12, data={"a": a, "b": b})
    expected = 1 / (1 - np.corrcoef(a, b)[0, 1] ** 2)
    for one in variance_inflation(studies, "a + b", method="FE"):
        assert one.gvif == pytest.approx(expected, rel=1e-9)
        assert one.gsif == pytest.approx(np.sqrt(expected), rel=1e-9)


def test_inflation_has_no_unit(bcg):
    data = {"ablat": bcg.columns["ablat"] * 1e6, "year": bcg.columns["year"]}
    other = bm.Studies.from_effects(bcg.yi, vi=bcg.vi, measure="RR", data=data)
    one, two = (variance_inflation(studies, "ablat + year") for studies in (bcg, other))
    assert [row.gvif for row in two] == pytest.approx([row.gvif for row in one], rel=1e-9)


def test_no_moderators_have_no_inflation(bcg):
    with pytest.raises(ModelError) as caught:
        variance_inflation(bcg, "1")
    assert str(caught.value) == "variance inflation needs moderators; got mods '1'; give a formula"
