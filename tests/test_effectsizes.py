"""Effect sizes by hand, in exact arithmetic, and in what must hold for any arms."""

from __future__ import annotations

from math import asin, log, pi, sqrt

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bayesmeta.effectsizes import MEASURES, added_constant, find_measure
from bayesmeta.effectsizes.continuous import hedges_correction, standardized_mean_difference
from bayesmeta.errors import AnalysisError
from bayesmeta.studies import effect_sizes

TWO_GROUP_MEANS = ("MD", "SMD", "SMDH", "ROM", "CVR")
TABLES = ("OR", "RR", "RD", "PETO", "AS", "PHI", "YUQ", "YUY", "OR2DL", "OR2DN")
RATES = ("IRR", "IRD", "IRSD")


def one(measure, **arms):
    """Return effect and variance of a single study."""
    options = {name: arms.pop(name) for name in ("add", "to", "drop00", "vtype") if name in arms}
    studies = effect_sizes({}, measure, **{name: [value] for name, value in arms.items()}, **options)
    return float(studies.yi[0]), float(studies.vi[0])


def table(a, n1, c, n2):
    return {"ai": a, "n1i": n1, "ci": c, "n2i": n2}


# By hand


def test_a_mean_difference_by_hand():
    y, v = one("MD", m1i=10, sd1i=3, n1i=9, m2i=8, sd2i=4, n2i=16)
    assert (y, v) == (2.0, 9 / 9 + 16 / 16)


def test_a_homoscedastic_mean_difference_by_hand():
    y, v = one("MD", m1i=10, sd1i=3, n1i=9, m2i=8, sd2i=4, n2i=16, vtype="HO")
    assert y == 2.0
    assert v == pytest.approx((8 * 9 + 15 * 16) / 23 * (1 / 9 + 1 / 16), rel=1e-15)


def test_the_unbiased_standardized_difference_has_the_variance_that_hedges_gives():
    """Not 19.1, as a neighbouring package once had it: n = 40 and 40, d = 0.5 give 0.0516 by hand."""
    y, v = one("SMD", m1i=10, sd1i=2, n1i=40, m2i=9, sd2i=2, n2i=40)
    J = float(mpmath.gamma(39) / (mpmath.sqrt(39) * mpmath.gamma(mpmath.mpf("38.5"))))
    assert y == pytest.approx(0.5 * J, rel=1e-14)
    assert v == pytest.approx(1 / 20 + (0.5 * J) ** 2 / 160, rel=1e-14)
    assert round(v, 4) == 0.0515


def test_an_odds_ratio_with_a_zero_cell_by_hand():  # INPUTS 092
    y, v = one("OR", **table(0, 10, 5, 10))
    assert y == pytest.approx(-3.0445224377, abs=5e-11)
    assert v == pytest.approx(2.4588744589, abs=5e-11)
    assert y == pytest.approx(log(0.5 * 5.5 / (10.5 * 5.5)), rel=1e-15)


def test_a_double_zero_odds_ratio_is_zero_with_the_variance_of_its_correction():  # INPUTS 093
    for events in (0, 10):  # INPUTS 095: nothing but events is the mirror image
        studies = effect_sizes({}, "OR", ai=[events, 3], n1i=[10, 10], ci=[events, 4], n2i=[10, 10])
        assert studies.yi[0] == 0
        assert studies.vi[0] == pytest.approx(4.1904761905, abs=5e-11)


def test_a_double_zero_risk_difference_is_zero_with_the_variance_of_its_correction():  # INPUTS 093, 094
    y, v = one("RD", **table(0, 10, 0, 10))
    assert y == 0
    assert v == pytest.approx(2 * 0.5 * 10.5 / 11**3, rel=1e-15)


def test_a_risk_ratio_by_hand():
    y, v = one("RR", **table(7, 76, 13, 76))
    assert y == pytest.approx(log(7 / 13), rel=1e-15)
    assert v == pytest.approx(1 / 7 - 1 / 76 + 1 / 13 - 1 / 76, rel=1e-14)


def test_all_four_cells_give_what_events_and_sizes_give():
    assert one("OR", ai=7, bi=69, ci=13, di=63) == one("OR", **table(7, 76, 13, 76))


def test_an_arcsine_difference_by_hand():
    y, v = one("AS", **table(5, 20, 10, 20))
    assert y == pytest.approx(asin(0.5) - pi / 4, rel=1e-15)
    assert v == pytest.approx(1 / 40, rel=1e-15)


def test_a_log_incidence_rate_by_hand():
    assert one("IRLN", xi=4, ti=100) == (pytest.approx(log(0.04), rel=1e-15), 0.25)
    assert one("IRLN", xi=0, ti=100) == (pytest.approx(log(0.005), rel=1e-15), 2.0)


def test_rates_by_hand():
    assert one("IRD", x1i=4, t1i=100, x2i=9, t2i=100) == (
        pytest.approx(-0.05, rel=1e-14),
        pytest.approx(13e-4, rel=1e-14),
    )
    assert one("IRSD", x1i=4, t1i=100, x2i=9, t2i=100) == (
        pytest.approx(-0.1, rel=1e-14),
        pytest.approx(1 / 200, rel=1e-14),
    )


def test_the_sizes_of_the_correction_change_the_effect():
    half, tenth = one("OR", **table(0, 10, 5, 10)), one("OR", add=0.1, **table(0, 10, 5, 10))
    assert tenth[0] == pytest.approx(log(0.1 * 5.1 / (10.1 * 5.1)), rel=1e-14)
    assert tenth[1] > half[1]


def test_who_receives_the_correction():
    zero = np.array([True, False])
    assert added_constant(zero, 0.5, "only0").tolist() == [0.5, 0.0]
    assert added_constant(zero, 0.5, "all").tolist() == [0.5, 0.5]
    assert added_constant(zero, 0.5, "if0all").tolist() == [0.5, 0.5]
    assert added_constant(~zero & zero, 0.5, "if0all").tolist() == [0.0, 0.0]
    assert added_constant(zero, 0.5, "none").tolist() == [0.0, 0.0]


def test_an_unknown_receiver_of_the_correction_is_refused():
    with pytest.raises(AnalysisError) as caught:
        added_constant(np.array([True]), 0.5, "some")
    assert str(caught.value) == "to must be one of only0, if0all, all, none; got 'some'"


# Hedges' correction


@pytest.mark.parametrize("m", [2, 3, 4, 10, 25, 48, 50, 98, 1e3, 1e5, 1e7, 1e9, 2e9, 1e12])
def test_the_correction_of_hedges_is_exact_at_any_size(m):  # INPUTS 099: n = 1e9
    with mpmath.workdps(40):
        half = mpmath.mpf(m) / 2
        log_j = mpmath.loggamma(half) - mpmath.loggamma(half - 0.5) - mpmath.log(half) / 2
        exact, deficit = mpmath.exp(log_j), -mpmath.expm1(log_j)
        ours = float(hedges_correction(np.array([float(m)]))[0])
        assert abs(ours - exact) <= 2e-15 * exact  # 24 rounded logarithms are summed
        assert 0 < deficit < 1


def test_the_correction_of_hedges_does_not_exist_below_two_degrees_of_freedom():
    assert np.isnan(hedges_correction(np.array([1.0, 0.0, -1.0]))).all()


@pytest.mark.parametrize("n", [1e3, 1e6, 1e9])
def test_the_unbiased_variance_keeps_its_digits_in_huge_groups(n):
    """``1 - (m - 2) / (m J^2)`` cancels to about ``1 / (2 m)``; compared with 40 digits."""
    arrays = (np.array([value]) for value in (2.0, 1.0, n, 0.0, 1.0, n))
    ours = float(standardized_mean_difference(*arrays, vtype="UB").vi[0])
    with mpmath.workdps(40):
        m = mpmath.mpf(2 * n - 2)
        J = mpmath.exp(mpmath.loggamma(m / 2) - mpmath.loggamma((m - 1) / 2) - mpmath.log(m / 2) / 2)
        exact = 2 / mpmath.mpf(n) + (1 - (m - 2) / (m * J**2)) * (2 * J) ** 2
    assert ours == pytest.approx(float(exact), rel=1e-12)


def test_a_standardized_difference_of_a_billion_is_finite_and_right():  # INPUTS 099, meta#42
    y, v = one("SMD", m1i=1, sd1i=2, n1i=1e9, m2i=0, sd2i=2, n2i=1e9)
    assert y == pytest.approx(0.5, rel=1e-9)
    assert v == pytest.approx(2e-9 + 0.125 / 2e9, rel=1e-9)


# What holds for any arms

means = st.floats(0.5, 50)
spreads = st.floats(0.1, 20)
sizes = st.integers(3, 500)


@st.composite
def arms_of_means(draw):
    return {
        "m1i": draw(means),
        "sd1i": draw(spreads),
        "n1i": draw(sizes),
        "m2i": draw(means),
        "sd2i": draw(spreads),
        "n2i": draw(sizes),
    }


@st.composite
def arms_of_counts(draw, *, zeros=True):
    n1, n2 = draw(st.integers(2, 300)), draw(st.integers(2, 300))
    low = 0 if zeros else 1
    return table(draw(st.integers(low, n1 - 1 + zeros)), n1, draw(st.integers(low, n2 - 1 + zeros)), n2)


def swapped(arms):
    other = {"a": "c", "c": "a", "b": "d", "d": "b"}
    return {
        name.translate(str.maketrans("12", "21")) if name[-2] in "12" else other[name[0]] + "i": value
        for name, value in arms.items()
    }


@pytest.mark.parametrize("measure", [*TWO_GROUP_MEANS, "VR"])
@given(arms=arms_of_means())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_swapping_the_arms_of_means_flips_the_sign_and_keeps_the_variance(measure, arms):
    arms = {name: value for name, value in arms.items() if name in MEASURES[measure].columns}
    y, v = one(measure, **arms)
    other_y, other_v = one(measure, **swapped(arms))
    assert other_y == pytest.approx(-y, rel=1e-12, abs=1e-12 * sqrt(v))
    assert other_v == pytest.approx(v, rel=1e-12)


@pytest.mark.parametrize("measure", TABLES)
@given(arms=arms_of_counts())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_swapping_the_arms_of_tables_flips_the_sign_and_keeps_the_variance(measure, arms):
    a, c = arms["ai"], arms["ci"]
    assume((a, c) != (0, 0) and (arms["n1i"] - a, arms["n2i"] - c) != (0, 0))
    y, v = one(measure, **arms)
    other_y, other_v = one(measure, **swapped(arms))
    assume(np.isfinite(y))  # a phi of exactly 1 has no sampling variance
    assert other_y == pytest.approx(-y, rel=1e-12, abs=1e-12 * sqrt(v))
    assert other_v == pytest.approx(v, rel=1e-12)


@pytest.mark.parametrize("measure", RATES)
@given(x1=st.integers(0, 100), x2=st.integers(1, 100), t1=st.floats(1, 1e4), t2=st.floats(1, 1e4))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_swapping_the_arms_of_rates_flips_the_sign_and_keeps_the_variance(measure, x1, x2, t1, t2):
    y, v = one(measure, x1i=x1, t1i=t1, x2i=x2, t2i=t2)
    other_y, other_v = one(measure, x1i=x2, t1i=t2, x2i=x1, t2i=t1)
    assert other_y == pytest.approx(-y, rel=1e-12, abs=1e-12 * sqrt(v))
    assert other_v == pytest.approx(v, rel=1e-12)


@given(arms=arms_of_means(), unit=st.sampled_from([1e-6, 1e-3, 10.0, 1e3, 1e9]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_units_rescale_a_mean_difference_and_leave_standardized_ones_alone(arms, unit):
    other = {name: value if name[0] == "n" else unit * value for name, value in arms.items()}
    y, v = one("MD", **arms)
    scaled_y, scaled_v = one("MD", **other)
    assert scaled_y == pytest.approx(unit * y, rel=1e-9, abs=1e-12 * unit * sqrt(v))
    assert scaled_v == pytest.approx(unit**2 * v, rel=1e-12)
    for measure in ("SMD", "SMDH", "ROM", "CVR"):
        y, v = one(measure, **arms)
        scaled_y, scaled_v = one(measure, **other)
        assert scaled_y == pytest.approx(y, rel=1e-9, abs=1e-12)
        assert scaled_v == pytest.approx(v, rel=1e-9)


@given(arms=arms_of_counts(zeros=False))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_counting_non_events_instead_flips_an_odds_ratio_and_a_risk_difference(arms):
    other = {**arms, "ai": arms["n1i"] - arms["ai"], "ci": arms["n2i"] - arms["ci"]}
    for measure in ("OR", "RD", "PETO", "PHI"):
        y, v = one(measure, **arms)
        other_y, other_v = one(measure, **other)
        assert other_y == pytest.approx(-y, rel=1e-11, abs=1e-12 * sqrt(v))
        assert other_v == pytest.approx(v, rel=1e-11)


@given(arms=arms_of_counts(zeros=False))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_measures_made_from_the_odds_ratio_agree_with_it(arms):
    y, v = one("OR", **arms)
    logistic_y, logistic_v = one("OR2DL", **arms)
    assert logistic_y == pytest.approx(y * sqrt(3) / pi, rel=1e-13)
    assert logistic_v == pytest.approx(v * 3 / pi**2, rel=1e-13)
    q, _ = one("YUQ", **arms)
    odds = np.exp(y)
    assert q == pytest.approx((odds - 1) / (odds + 1), rel=1e-9, abs=1e-12)


@given(ratio=st.floats(0.2, 5), n=st.integers(3, 200))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_ratio_of_means_depends_on_the_ratio_alone(ratio, n):
    y, _ = one("ROM", m1i=ratio * 7, sd1i=1, n1i=n, m2i=7, sd2i=1, n2i=n)
    assert y == pytest.approx(log(ratio), abs=1e-14)


# Registry


def test_every_measure_knows_its_columns_and_its_scale():
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert measure.groups in {1, 2}
        assert (measure.function is None) == (not measure.columns)


def test_ratio_measures_are_analysed_as_logarithms():
    logs = {name for name, measure in MEASURES.items() if measure.log}
    assert logs == {"HR", "ROM", "CVR", "VR", "OR", "RR", "PETO", "IRR", "PLN", "IRLN"}


def test_the_label_of_a_ratio_says_log_on_the_analysis_scale():
    assert find_measure("OR").label == "Odds ratio"
    assert find_measure("OR").analysis_label == "Log odds ratio"
    assert find_measure("MD").analysis_label == "Mean difference"


def test_default_scales_are_those_of_the_design():
    """DESIGN: u = 2 for SMD and log odds, risk, rate, hazard ratios, 1 for Fisher z."""
    two = {"SMD", "SMDH", "OR", "RR", "PETO", "IRR", "HR", "OR2DL", "OR2DN"}
    assert {name for name, measure in MEASURES.items() if measure.default_scale == 2} == two
    assert {name for name, measure in MEASURES.items() if measure.default_scale == 1} == {"ZCOR"}
    assert {name for name in MEASURES if MEASURES[name].default_scale is None} >= {"MD", "ROM", "RD"}


def test_an_unknown_measure_is_refused_with_the_nearest():
    with pytest.raises(AnalysisError) as caught:
        find_measure("SDM")
    assert str(caught.value) == "unknown measure 'SDM'; did you mean 'SMD'?"


def test_an_unknown_measure_like_no_other_is_refused_with_all():
    with pytest.raises(AnalysisError) as caught:
        find_measure("xyzw")
    assert str(caught.value) == f"unknown measure 'xyzw'; known measures are {', '.join(MEASURES)}"
