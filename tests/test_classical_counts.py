"""Mantel-Haenszel and Peto against R's metafor (`rma.mh`, `rma.peto`), double-zero tables included.

Values are those of `tests/reference/*.json`; both sides are closed forms, so that they agree to 1e-10 of a
standard error.
"""

from __future__ import annotations

import json
from functools import cache
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pytest

from bayesmeta.classical import (
    classical,
    classical_suite,
    cochran_mantel_haenszel,
    leave_one_out,
    mantel_haenszel,
    peto,
)
from bayesmeta.errors import AnalysisError, ModelError
from bayesmeta.studies import Studies, effect_sizes

FOLDER = Path(__file__).parent / "reference"
CLOSED_FORM = 1e-10
NAMES = [
    "bcg",
    "bucher1997",
    "crins2014",
    "hine1989",
    "nielweise2007",
    "peto1980",
    "refracture",
    "refracture_rev",
]
MH = [(name, measure) for name in NAMES for measure in ("OR", "RR", "RD")]
MH += [("hart1999", "IRR"), ("hart1999", "IRD")]


@cache
def reference(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


@cache
def studies(name, measure="OR", drop00=True):
    content = reference(name)
    columns = {a: content["data"][c] for a, c in content["escalc"][measure]["columns"].items()}
    return effect_sizes({}, measure, drop00=drop00, **columns)


def assert_agree(ours, theirs):
    se = ours.se[0]
    for mine, yours in (
        (ours.beta[0], theirs["b"]),
        (se, theirs["se"]),
        (ours.lower[0], theirs["ci_lb"]),
        (ours.upper[0], theirs["ci_ub"]),
    ):
        assert abs(mine - yours) <= CLOSED_FORM * se
    assert ours.statistic[0] == pytest.approx(theirs["zval"], rel=1e-10)
    assert ours.p_value[0] == pytest.approx(theirs["pval"], rel=1e-8)
    assert pytest.approx(theirs["QE"], rel=1e-10) == ours.Q
    assert ours.Q_p == pytest.approx(theirs["QEp"], rel=1e-8)
    assert pytest.approx(theirs["I2"], abs=1e-8) == ours.I2
    assert pytest.approx(theirs["H2"], rel=1e-10) == ours.H2


@pytest.mark.parametrize("drop00", [False, True])
@pytest.mark.parametrize(("name", "measure"), MH)
def test_mantel_haenszel_agrees_with_metafor(name, measure, drop00):
    """Double-zero tables count or not as pooling says, however the single effects were computed."""
    ours = mantel_haenszel(studies(name, measure, drop00))
    assert_agree(ours, reference(name)["rma_mh"][measure])
    assert ours.k == reference(name)["rma_mh"][measure]["k"]


@pytest.mark.parametrize("name", NAMES)
def test_peto_agrees_with_metafor(name):
    assert_agree(peto(studies(name)), reference(name)["rma_peto"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("correct", [True, False])
def test_the_cochran_mantel_haenszel_test_agrees_with_metafor(name, correct):
    theirs = reference(name)["rma_mh"]["OR" if correct else "OR_correct_FALSE"]
    cells = (studies(name).arms[cell] for cell in ("ai", "bi", "ci", "di"))
    ours = cochran_mantel_haenszel(*cells, correct=correct)
    assert ours.statistic == pytest.approx(theirs["MH"], rel=1e-11)
    assert ours.p_value == pytest.approx(theirs["MHp"], rel=1e-8)
    assert ours.df == 1


@pytest.mark.parametrize("name", [name for name in NAMES if "leave1out_mh" in reference(name)])
def test_leaving_out_each_table_agrees_with_metafor(name):
    theirs = reference(name)["leave1out_mh"]
    ours = leave_one_out(studies(name), method="MH")
    assert len(ours) == len(theirs["estimate"])
    for i, (_, result) in enumerate(ours):
        se = result.se[0]
        assert abs(result.beta[0] - theirs["estimate"][i]) <= CLOSED_FORM * se
        assert abs(se - theirs["se"][i]) <= CLOSED_FORM * se
        assert pytest.approx(theirs["Q"][i], rel=1e-9) == result.Q


# By hand


def test_the_review_has_its_published_odds_ratio_the_right_way_round():
    """Issue 2: exercise against control 0.27257 [0.12950, 0.57371], the reciprocal of the published one."""
    ours = mantel_haenszel(studies("refracture_rev"))
    assert exp(ours.beta[0]) == pytest.approx(0.27257, abs=5e-6)
    assert exp(ours.lower[0]) == pytest.approx(0.12950, abs=5e-6)
    assert exp(ours.upper[0]) == pytest.approx(0.57371, abs=5e-6)
    other = mantel_haenszel(studies("refracture"))
    assert other.beta[0] == pytest.approx(-ours.beta[0], rel=1e-14)
    assert other.se[0] == pytest.approx(ours.se[0], rel=1e-14)


def test_one_table_has_its_own_odds_ratio_and_woolf_variance():
    one = effect_sizes({}, "OR", ai=[7], n1i=[76], ci=[13], n2i=[76])
    ours = mantel_haenszel(one)
    assert ours.beta[0] == pytest.approx(log(7 * 63 / (69 * 13)), rel=1e-14)
    assert ours.se[0] == pytest.approx(sqrt(1 / 7 + 1 / 69 + 1 / 13 + 1 / 63), rel=1e-14)
    assert np.isnan(ours.I2)


def test_one_table_has_its_own_risk_difference():
    one = effect_sizes({}, "RD", ai=[7], n1i=[76], ci=[13], n2i=[76])
    assert mantel_haenszel(one).beta[0] == pytest.approx(-6 / 76, rel=1e-14)


def test_a_double_zero_table_weighs_nothing_for_ratios_and_something_for_differences():
    assert mantel_haenszel(studies("refracture")).weights[2] == 0
    assert peto(studies("refracture")).weights[2] == 0
    assert mantel_haenszel(studies("refracture", "RD")).weights[2] > 0


def test_tables_with_nothing_but_double_zeros_have_no_common_odds_ratio():
    lonely = studies("refracture").take([2])
    for ours in (mantel_haenszel(lonely), peto(lonely)):
        assert np.isnan(ours.beta).all()
        assert np.isnan(ours.lower).all()
        assert ours.k == 1


def test_the_measure_may_differ_from_that_of_the_studies():
    ours = mantel_haenszel(studies("bcg", "OR"), "RR")
    assert_agree(ours, reference("bcg")["rma_mh"]["RR"])


def test_the_public_function_pools_counts_too():
    assert classical(studies("bcg"), method="MH") == mantel_haenszel(studies("bcg"))
    assert classical(studies("bcg"), method="Peto") == peto(studies("bcg"))


def test_the_level_changes_the_interval_of_pooled_counts():
    narrow, wide = (mantel_haenszel(studies("bcg"), level=level) for level in (0.8, 0.99))
    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    assert narrow.level == 0.8


# Refusals


@pytest.mark.parametrize("options", [{"mods": "year"}, {"test": "knha"}])
def test_pooled_counts_have_no_moderators_and_no_other_test(options):
    with pytest.raises(ModelError) as caught:
        classical(studies("bcg"), method="MH", **options)
    mods, test = options.get("mods", "1"), options.get("test", "z")
    assert str(caught.value) == (
        f"method 'MH' must have no moderators and test 'z'; got mods '{mods}' and test '{test}'; "
        "use method='REML'"
    )


def test_a_measure_that_cannot_be_pooled_from_counts_is_refused():
    with pytest.raises(AnalysisError) as caught:
        mantel_haenszel(studies("bcg", "PHI"))
    known = "OR, RR, RD, IRR, IRD"
    assert str(caught.value) == f"Mantel-Haenszel pooling needs a measure among {known}; got 'PHI'"


def test_effects_without_arms_cannot_be_pooled_from_counts():
    with pytest.raises(ModelError) as caught:
        peto(Studies.from_effects([0.1], sei=[0.2], measure="OR"))
    assert str(caught.value) == (
        "pooling of counts needs the arm data ai, bi, ci, di; got none; make the studies with effect_sizes() "
        "from a table of counts"
    )


def test_rates_are_no_tables():
    with pytest.raises(ModelError) as caught:
        mantel_haenszel(studies("hart1999", "IRR"), "OR")
    assert str(caught.value).startswith("pooling of counts needs the arm data ai, bi, ci, di; got x1i, t1i")


def test_the_suite_has_mantel_haenszel_on_the_scale_of_the_studies_and_peto_for_odds_ratios():
    assert list(classical_suite(studies("bcg", "OR"))) == [
        "fixed",
        "DL",
        "PM",
        "REML",
        "REML_HK",
        "MH",
        "Peto",
    ]
    assert list(classical_suite(studies("bcg", "RR"))) == ["fixed", "DL", "PM", "REML", "REML_HK", "MH"]
    suite = classical_suite(studies("bcg", "RD"))
    assert suite["MH"] == mantel_haenszel(studies("bcg", "RD"))
    assert "MH" not in classical_suite(studies("bcg", "PHI"))
