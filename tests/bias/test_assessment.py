"""The assessment of small-study effects, and the funnel plot with its additions."""

from __future__ import annotations

from math import ceil, isnan

import numpy as np
import pytest
from scipy import stats

import bayesmeta as bm
from bayesmeta import bias
from bayesmeta.errors import AnalysisError, DataError

CLASSICAL = [
    "No adjustment (REML)", "Egger's test", "Regression on sei (REML)", "Rank correlation",
    "Excess significance", "PET", "PEESE", "PET-PEESE", "Trim and fill (L0)", "Trim and fill (R0)",
    "Fail-safe N (Rosenthal)", "Fail-safe N (Orwin)", "Fail-safe N (Rosenberg)", "Selection, p < 0.025",
    "Selection, p < 0.025, 0.5", "Selection, beta weights", "Selection, half-normal",
]  # fmt: skip
BAYESIAN = ["Bayesian selection, p < 0.025", "Average over bias models"]


@pytest.fixture(scope="module")
def fitted(bmd, bmd_model):
    return bm.fit(bmd, bmd_model)


@pytest.fixture(scope="module")
def assessed(fitted):
    return bias.assess(fitted)


def test_the_review_of_exercise_gets_every_method_that_fits_mean_differences(assessed):
    table = assessed.table()
    assert table["method"].tolist() == CLASSICAL + BAYESIAN
    assert list(table.columns) == [
        "kind",
        "method",
        "estimate",
        "lower",
        "upper",
        "statistic",
        "p",
        "finding",
    ]
    assert not table["finding"].str.startswith("not used").any()
    assert assessed.k == 11
    assert assessed.direction == "greater"


def test_rows_are_the_results_of_the_methods(assessed, bmd, bmd_model):
    rows = assessed.table().set_index("method")
    egger = bias.egger(bmd)
    assert rows.loc["Egger's test", "p"] == egger.p_value
    assert isnan(rows.loc["Egger's test", "estimate"])
    peese = bias.peese(bmd)
    assert rows.loc["PEESE", ["estimate", "lower", "upper", "p"]].tolist() == [
        peese.estimate, peese.lower, peese.upper, peese.p_value
    ]  # fmt: skip
    average = bias.average(bmd, bmd_model)
    assert rows.loc["Average over bias models", "estimate"] == pytest.approx(average.mu.median, rel=1e-9)
    assert assessed["Trim and fill (L0)"].missing == 2  # tests/reference/bmd_yu775.json


def test_a_mean_outside_the_effects_is_no_adjusted_effect(assessed, bmd):
    """Beta weights run to a mean near -1 g/cm2, where no trial found less than -0.01."""
    row = assessed.table().set_index("method").loc["Selection, beta weights"]
    assert assessed["Selection, beta weights"].estimate < bmd.yi.min() - 0.5
    assert row[["estimate", "lower", "upper", "statistic", "p"]].isna().all()
    assert row["finding"].startswith(
        "not identified: the likelihood is highest at a mean of -0.978, outside the effects; weights a"
    )


def test_fail_safe_numbers_say_what_they_would_undo(assessed, four):
    """Stouffer's z of the review is 8.6: (8.6 / 1.645)^2 less 11 studies; half its unweighted mean, 11."""
    rows = assessed.table().set_index("method")["finding"]
    z = (assessed.funnel.yi / assessed.funnel.sei).sum()
    assert rows["Fail-safe N (Rosenthal)"] == (
        f"{ceil((z / 1.6448536269514722) ** 2 - 11)} studies of no effect would put p above 0.05"
    )
    half = assessed.funnel.yi.mean() / 2
    assert rows["Fail-safe N (Orwin)"] == (f"11 studies of no effect would put the mean effect at {half:.3g}")
    vague = bm.Studies.from_effects([0.1, -0.1, 0.05], sei=[0.2, 0.3, 0.4])
    rows = bias.assess(vague, bayesian=False).table().set_index("method")["finding"]
    assert rows["Fail-safe N (Rosenthal)"] == "none: p is above 0.05 without any"


def test_the_text_carries_the_warning_and_every_row(assessed):
    text = str(assessed)
    assert text.endswith(bias.CAUTION)
    assert all(name in text for name in CLASSICAL)


def test_tables_of_counts_get_their_tests_and_others_the_reason(bcg, four):
    names = bias.assess(bcg, bayesian=False).table()["method"].tolist()
    assert {"Peters' test", "Macaskill's test", "Harbord's test", "Arcsine test"} <= set(names)
    without = bm.Studies.from_effects(bcg.yi, vi=bcg.vi, measure="OR")
    rows = bias.assess(without, bayesian=False).table().set_index("method")
    assert rows.loc["Peters' test", "finding"] == (
        "not used: Peters' test needs two-by-two tables (ai, n1i, ci, n2i), which these studies have not; "
        "use egger"
    )
    assert isnan(rows.loc["Peters' test", "p"])


def test_what_cannot_be_used_is_a_row_with_the_reason(four):
    equal = bm.Studies.from_effects([0.1, 0.4, 0.3, 0.2], sei=[0.2, 0.2, 0.2, 0.2])
    found = bias.assess(equal)
    rows = found.table().set_index("method")["finding"]
    assert rows["PET"] == (
        "not used: a regression test needs studies that differ in standard error; got 0.2 for all 4 studies"
    )
    assert rows["Rank correlation"] == "not defined"
    assert rows["Average over bias models"].startswith(
        "not used: there is no default prior of mu for effects of unknown kind without sample sizes"
    )
    assert found.warnings[0] == "With 4 studies a test for small-study effects has little power."
    with pytest.raises(AnalysisError) as caught:
        found["PET"]
    assert str(caught.value) == (
        "'PET' has no result: a regression test needs studies that differ in standard error; got 0.2 for all "
        "4 studies"
    )
    with pytest.raises(AnalysisError) as caught:
        found["PETT"]
    assert str(caught.value) == "no method 'PETT' in the assessment; did you mean 'PET'?"
    with pytest.raises(DataError) as caught:
        bias.assess(four.take([0, 1]))
    assert (
        str(caught.value)
        == "an assessment of small-study effects needs at least 3 studies with an estimate; got 2"
    )


# Funnel data


def test_funnel_data_have_the_p_values_limits_and_regions_of_the_studies(bmd):
    found = bias.funnel_data(bmd)
    np.testing.assert_allclose(found.p_values, 2 * stats.norm.sf(np.abs(bmd.yi / bmd.sei)), rtol=1e-12)
    assert found.estimate == pytest.approx(bm.classical(bmd).beta[0], rel=1e-12)
    np.testing.assert_allclose(found.upper - found.estimate, 1.959963984540054 * found.errors, rtol=1e-12)
    np.testing.assert_allclose(found.limits[2], 2.5758293035489004 * found.errors, rtol=1e-12)  # p = 0.01
    regions = dict(zip(found.slab, found.regions, strict=True))
    for label, p in zip(found.slab, found.p_values, strict=True):
        low, high = {"p > 0.1": (0.1, 1), "0.05 < p <= 0.1": (0.05, 0.1), "0.01 < p <= 0.05": (0.01, 0.05),
                     "p <= 0.01": (0, 0.01)}[regions[label]]  # fmt: skip
        assert low < p <= high
    assert found.outside == int((np.abs(bmd.yi - found.estimate) > 1.959963984540054 * bmd.sei).sum())
    with pytest.raises(AnalysisError) as caught:
        bias.funnel_data(bmd, contours=(5,))
    assert str(caught.value) == "contours must be p-values between 0 and 1, such as (0.1, 0.05); got (5.0,)"


# The plot


def test_filled_studies_and_regressions_are_drawn_and_named(fitted, bmd):
    filled, line = bias.trim_and_fill(bmd), bias.peese(bmd)
    ax = bm.plots.funnel(fitted, filled=filled, lines=[bias.egger(bmd), line])
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {
        "filled in, not data",
        "Egger's test: line in the standard error",
        "PEESE: line in the variance",
    } <= set(names)
    circles = next(c for c in ax.collections if c.get_label() == "filled in, not data")
    np.testing.assert_allclose(
        circles.get_offsets(), np.column_stack([filled.filled_yi, np.sqrt(filled.filled_vi)])
    )
    curve = next(item for item in ax.lines if str(item.get_label()).startswith("PEESE"))
    x, se = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
    np.testing.assert_allclose(x, line.estimate + line.slope * se**2, rtol=1e-12)


def test_the_legend_of_a_full_funnel_stays_on_the_figure(fitted, bmd):
    ax = bm.plots.funnel(fitted, filled=bias.trim_and_fill(bmd), lines=[bias.egger(bmd), bias.peese(bmd)])
    figure = ax.get_figure()
    figure.canvas.draw()
    box = ax.get_legend().get_window_extent().transformed(figure.transFigure.inverted())
    assert box.y0 >= 0
    assert box.x0 >= 0
    assert box.x1 <= 1


def test_regressions_that_have_no_place_in_a_funnel_are_refused(fitted, bmd):
    with pytest.raises(AnalysisError) as caught:
        bm.plots.funnel(fitted, lines=[bias.regression_test(bmd, predictor="ni")])
    assert str(caught.value) == (
        "a funnel plot can draw regressions on 'sei' or 'vi'; got Regression test on 'ni'"
    )
    with pytest.raises(AnalysisError) as caught:
        bm.plots.funnel(fitted, lines=[bias.egger(bmd)] * 3)
    assert str(caught.value) == "a funnel plot can draw 2 regressions; got 3"
