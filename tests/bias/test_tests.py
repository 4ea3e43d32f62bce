"""Regressions, rank correlation, trim and fill, fail-safe N: hand computation and facts."""

from __future__ import annotations

from itertools import permutations, product
from math import isnan

import numpy as np
import pytest
from scipy import stats

import bayesmeta as bm
from bayesmeta import bias
from bayesmeta.bias.rank import concordance, exact_p
from bayesmeta.bias.trimfill import missing_studies
from bayesmeta.errors import AnalysisError, DataError


def least_squares(y, x, weights):
    """Return estimates, standard errors and p of the slope of a weighted regression, by normal equations."""
    X = np.column_stack([np.ones(y.size), x])
    inverse = np.linalg.inv(X.T @ (weights[:, None] * X))
    beta = inverse @ X.T @ (weights * y)
    residual = y - X @ beta
    errors = np.sqrt(np.diag(inverse) * (weights @ residual**2) / (y.size - 2))
    return beta, errors, 2 * stats.t.sf(abs(beta[1] / errors[1]), y.size - 2)


def assert_regression(found, y, x, weights):
    beta, errors, p = least_squares(np.asarray(y), np.asarray(x), np.asarray(weights))
    assert found.slope == pytest.approx(beta[1], rel=1e-9)
    assert found.slope_se == pytest.approx(errors[1], rel=1e-9)
    assert found.p_value == pytest.approx(p, rel=1e-8)
    if not isnan(found.estimate):
        assert found.estimate == pytest.approx(beta[0], rel=1e-9)
        assert found.se == pytest.approx(errors[0], rel=1e-9)


def test_egger_is_a_weighted_regression_on_the_standard_error(bmd):
    found = bias.egger(bmd)
    assert_regression(found, bmd.yi, bmd.sei, 1 / bmd.vi)
    # Egger's own form: z on precision, the intercept being the slope here
    beta, errors, p = least_squares(1 / bmd.sei, bmd.yi / bmd.sei, np.ones(11))
    other = np.linalg.lstsq(np.column_stack([np.ones(11), 1 / bmd.sei]), bmd.yi / bmd.sei, rcond=None)[0]
    assert found.slope == pytest.approx(other[0], rel=1e-9)
    assert (beta.size, errors.size) == (2, 2)
    assert 0 < p < 1


def test_pet_peese_takes_peese_where_pet_finds_an_effect(bmd, bcg):
    assert_regression(bias.peese(bmd), bmd.yi, bmd.vi, 1 / bmd.vi)
    assert bias.pet(bmd).estimate_p < 0.1
    assert bias.pet_peese(bmd).estimate == bias.peese(bmd).estimate
    assert bias.pet(bcg).estimate_p > 0.1
    assert bias.pet_peese(bcg).estimate == bias.pet(bcg).estimate
    assert bias.pet_peese(bmd, alpha=1e-4).name == "PET"


def test_thompson_and_sharp_is_the_mixed_regression_by_moments(bmd):
    found, general = bias.thompson_sharp(bmd), bias.regression_test(bmd, model="rma", method="DL")
    assert (found.slope, found.p_value) == (general.slope, general.p_value)
    assert found.tau2 > 0


def test_tests_of_two_by_two_tables_agree_with_their_papers_formulas(bcg):
    a, b, c, d = (bcg.arms[name] for name in ("ai", "bi", "ci", "di"))
    n = a + b + c + d
    information = (a + c) * (b + d) / n
    assert_regression(bias.peters(bcg), bcg.yi, 1 / n, information)
    assert_regression(bias.macaskill(bcg), bcg.yi, n, information)
    # Harbord et al. 2006: Z = a - (a + b)(a + c) / n, V = (a + b)(c + d)(a + c)(b + d) / (n^2 (n - 1))
    Z = a - (a + b) * (a + c) / n
    V = (a + b) * (c + d) * (a + c) * (b + d) / (n**2 * (n - 1))
    assert_regression(bias.harbord(bcg), Z / V, 1 / np.sqrt(V), V)
    difference = np.arcsin(np.sqrt(a / (a + b))) - np.arcsin(np.sqrt(c / (c + d)))
    v = 1 / (4 * (a + b)) + 1 / (4 * (c + d))
    assert_regression(bias.arcsine(bcg), difference, np.sqrt(v), 1 / v)
    size = 4 * (a + b) * (c + d) / n
    assert_regression(bias.deeks(bcg), bcg.yi, 1 / np.sqrt(size), size)


def test_pustejovsky_and_rodgers_uses_the_part_of_the_variance_without_the_effect(bmd):
    v = 1 / bmd.arms["n1i"] + 1 / bmd.arms["n2i"]
    assert_regression(bias.pustejovsky_rodgers(bmd), bmd.yi, np.sqrt(v), 1 / v)


def test_predictors_that_grow_with_a_study_have_no_limit(bmd):
    found = bias.regression_test(bmd, predictor="sqrtni")
    assert isnan(found.estimate)
    assert not isnan(found.slope)


def test_the_level_changes_the_interval(bmd):
    narrow, wide = bias.egger(bmd, level=0.8), bias.egger(bmd)
    assert wide.lower < narrow.lower < narrow.upper < wide.upper


# Rank correlation


def test_exact_probabilities_are_counts_of_permutations():
    x = np.arange(6.0)
    scores = np.array([concordance(x, np.array(y, dtype=float)) for y in permutations(range(6))])
    for score in np.unique(scores):
        share = np.mean(np.abs(scores) >= abs(score))
        assert exact_p(int(score), 6) == pytest.approx(min(1, share), rel=1e-12)


def test_the_rank_test_agrees_with_scipy(bmd):
    mean, total = np.average(bmd.yi, weights=1 / bmd.vi), np.sum(1 / bmd.vi)
    deviates = (bmd.yi - mean) / np.sqrt(bmd.vi - 1 / total)
    expected = stats.kendalltau(deviates, bmd.vi, method="exact")
    found = bias.rank_test(bmd)
    assert found.exact
    assert (found.tau, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)


def test_ties_take_the_normal_approximation():
    tied = bm.Studies.from_effects([0.1, 0.5, 0.3, 0.2, 0.9], sei=[0.1, 0.2, 0.2, 0.3, 0.4])
    found = bias.rank_test(tied)
    assert not found.exact
    mean, total = np.average(tied.yi, weights=1 / tied.vi), np.sum(1 / tied.vi)
    deviates = (tied.yi - mean) / np.sqrt(tied.vi - 1 / total)
    expected = stats.kendalltau(deviates, tied.vi, method="asymptotic")
    assert (found.tau, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)
    with pytest.raises(AnalysisError) as caught:
        bias.rank_test(tied, exact=True)
    assert str(caught.value) == "the exact rank test needs at most 120 studies without ties; leave exact out"


# Excess of significance


def test_the_exact_excess_counts_every_way_of_being_significant():
    """All 32 ways in which five studies may be significant, each with its product of powers."""
    studies = bm.Studies.from_effects([0.5, -0.1, 0.9, 0.05, 0.3], sei=[0.2, 0.15, 0.4, 0.1, 0.35])
    found = bias.excess_test(studies)
    ways = np.array(list(product([0, 1], repeat=5)))
    chances = np.where(ways, found.power, 1 - found.power).prod(axis=1)
    assert found.observed == 2  # z = 2.5 and 2.25; the others are 0.67, 0.5, 0.86
    assert found.exact_p == pytest.approx(chances[ways.sum(axis=1) >= 2].sum(), rel=1e-12)
    assert found.p_value < found.exact_p / 3  # chi-squared is rough where few are expected
    assert str(found).splitlines()[0].endswith(f"p = {found.p_value:.3g}, exactly {found.exact_p:.3g}.")


# Trim and fill


def test_estimators_of_missing_studies_agree_with_the_papers_formulas():
    # k = 7, deviations ranked -1, 2, 3, -4, 5, 6, 7: T = 2 + 3 + 5 + 6 + 7 = 23, run of 3 largest
    deviations = np.array([-1.0, 2, 3, -4, 5, 6, 7])
    assert missing_studies(deviations, "R0").number == 2
    assert missing_studies(deviations, "L0").number == pytest.approx((4 * 23 - 56) / 13)
    assert missing_studies(deviations, "Q0").number == pytest.approx(6.5 - np.sqrt(98 - 92 + 0.25))


def test_a_symmetric_funnel_misses_nothing_and_a_cut_one_what_was_cut():
    y = np.concatenate([[0.0], np.repeat(np.arange(1, 8), 2) * np.tile([1, -1], 7) * 0.1])
    se = np.concatenate([[0.02], np.repeat(np.arange(1, 8), 2) * 0.05])
    whole = bm.Studies.from_effects(y, sei=se)
    assert bias.trim_and_fill(whole, method="FE", side="left").missing == 0
    kept = y > -0.45  # without the three most extreme on the left the three largest deviations are positive
    cut = bm.Studies.from_effects(y[kept], sei=se[kept])
    found = bias.trim_and_fill(cut, method="FE", estimator="R0")
    assert (found.missing, found.side) == (2, "left")  # 3 - 1
    np.testing.assert_allclose(np.sort(found.filled_yi), [-0.7, -0.6], atol=0.05)
    assert abs(found.estimate) < abs(float(found.before.beta[0]))


def test_filling_the_other_side_mirrors(bmd):
    mirrored = bm.Studies.from_effects(-bmd.yi, vi=bmd.vi)
    one, other = bias.trim_and_fill(bmd, side="right"), bias.trim_and_fill(mirrored, side="left")
    assert other.estimate == pytest.approx(-one.estimate, rel=1e-12)
    np.testing.assert_allclose(other.filled_yi, -one.filled_yi)


# Fail-safe N


def test_adding_the_fail_safe_number_of_studies_undoes_the_answer(bmd):
    rosenthal = bias.fail_safe_n(bmd).number
    total = (bmd.yi / bmd.sei).sum()
    assert (
        stats.norm.sf(total / np.sqrt(11 + rosenthal))
        >= 0.05
        > stats.norm.sf(total / np.sqrt(10 + rosenthal))
    )
    target = 0.02
    orwin = bias.fail_safe_n(bmd, kind="Orwin", target=target).number
    assert bmd.yi.sum() / (11 + orwin) <= target < bmd.yi.sum() / (10 + orwin)


@pytest.mark.parametrize("target", [None, 0.03])
def test_the_general_number_is_the_first_that_undoes_the_pooled_effect(bmd, target):
    found = bias.fail_safe_n(bmd, kind="general", method="DL", target=target)
    harmonic = 11 / np.sum(1 / bmd.vi)

    def undone(n):
        y, v = np.append(bmd.yi, np.zeros(n)), np.append(bmd.vi, np.full(n, harmonic))
        after = bm.classical(bm.Studies.from_effects(y, vi=v), method="DL")
        return after.p_value[0] > 0.05 if target is None else after.beta[0] <= target

    assert undone(found.number)
    assert not undone(found.number - 1)


# What is refused


def test_bad_studies_are_refused_in_one_sentence(four, bmd):
    equal = bm.Studies.from_effects([0.1, 0.4, 0.3], sei=[0.2, 0.2, 0.2])
    cases = [
        (
            "a regression test needs studies that differ in standard error; got 0.2 for all 3 studies",
            lambda: bias.egger(equal),
        ),
        (
            "a regression test needs at least 3 studies with an estimate; got 2",
            lambda: bias.egger(four.take([0, 1])),
        ),
        (
            "this predictor needs the sample sizes, which these studies have not; give ni, or use 'sei'",
            lambda: bias.regression_test(four, predictor="ninv"),
        ),
        (
            "Peters' test needs two-by-two tables (ai, n1i, ci, n2i), which these studies have not; use "
            "egger",
            lambda: bias.peters(bmd),
        ),
        (
            "Deeks' test needs the sizes of both groups (n1i, n2i), which these studies have not; use egger",
            lambda: bias.deeks(four),
        ),
    ]
    for message, work in cases:
        with pytest.raises(DataError) as caught:
            work()
        assert str(caught.value) == message


def test_unknown_words_and_targets_are_refused(bmd):
    cases = [
        (
            "predictor must be one of sei, vi, ni, ninv, sqrtni, sqrtninv; got 'se'; did you mean 'sei'?",
            lambda: bias.regression_test(bmd, predictor="se"),
        ),
        ("side must be one of auto, left, right; got 'top'", lambda: bias.trim_and_fill(bmd, side="top")),
        ("level must be between 0 and 1, such as 0.95; got 95", lambda: bias.egger(bmd, level=95)),
        (
            "target must lie between no effect and the mean effect 0.05641, so that studies of no effect can "
            "reach it; got 0.1",
            lambda: bias.fail_safe_n(bmd, kind="Orwin", target=0.1),
        ),
    ]
    for message, work in cases:
        with pytest.raises(AnalysisError) as caught:
            work()
        assert str(caught.value) == message


def test_with_few_studies_every_result_says_that_tests_say_little(four, bmd):
    few = "With 4 studies a test for small-study effects has little power."
    for result in (bias.egger(four), bias.rank_test(four), bias.trim_and_fill(four), bias.excess_test(four)):
        assert result.warnings[:2] == (few, bias.CAUTION)
        assert bias.CAUTION in str(result)
    assert bias.egger(bmd).warnings == (bias.CAUTION,)
