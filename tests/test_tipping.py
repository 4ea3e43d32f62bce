"""Tipping points: at each, a single fit of the changed data or priors has exactly the decision line."""

from __future__ import annotations

from math import inf, isnan

import numpy as np
import pytest
from scipy import stats

import bayesmeta as bm
from bayesmeta.errors import AnalysisError
from bayesmeta.model import Model
from bayesmeta.plots import tipping
from bayesmeta.priors import HalfCauchy, HalfNormal, Normal
from bayesmeta.sensitivity import tipping_points
from bayesmeta.sensitivity.roots import roots
from bayesmeta.studies import Studies

REVIEWS = {
    "few": ([0.3, 0.5, 0.1], [0.1, 0.2, 0.1], "HalfNormal(0.2)"),
    "schools": ([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18], "HalfCauchy(5)"),
}
MU = {"few": "Normal(0, 1)", "schools": "Normal(0, 20)"}


def fit_of(name, **change):
    y, se, tau = REVIEWS[name]
    given = {"y": y, "se": se, "mu": MU[name], "tau": tau} | change
    model = Model(mu=given["mu"], tau=given["tau"])
    return bm.fit(Studies.from_effects(given["y"], sei=given["se"]), model, engine="exact")


def refused(call):
    with pytest.raises(AnalysisError) as caught:
        call()
    return str(caught.value)


@pytest.fixture(scope="module", params=list(REVIEWS))
def case(request):
    line = {"few": 0.95, "schools": 0.945}[request.param]
    return request.param, line, tipping_points(fit_of(request.param), line)


# Each tipping point against a single fit


def test_now_is_the_probability_of_the_fit(case):
    name, _, points = case
    assert points.statement == "mu > 0"
    assert points.probability == pytest.approx(fit_of(name).probability("mu > 0"), abs=1e-9)


def test_at_the_tipping_scale_of_tau_the_line_is_met(case):
    name, line, points = case
    family = {"few": HalfNormal, "schools": HalfCauchy}[name]
    changed = fit_of(name, tau=family(points.tau_scale.tipping))
    assert changed.probability("mu > 0") == pytest.approx(line, abs=1e-8)


def test_at_the_tipping_scale_of_mu_the_line_is_met(case):
    name, line, points = case
    changed = fit_of(name, mu=Normal(0, points.mu_scale.tipping))
    assert changed.probability("mu > 0") == pytest.approx(line, abs=1e-8)


def test_at_the_tipping_effect_of_each_study_the_line_is_met(case):
    name, line, points = case
    for i, curve in enumerate(points.effects):
        y = list(REVIEWS[name][0])
        y[i] = curve.tipping
        assert fit_of(name, y=y).probability("mu > 0") == pytest.approx(line, abs=1e-8)
        assert curve.change == pytest.approx(curve.tipping - REVIEWS[name][0][i])


def test_with_the_tipping_null_study_the_line_is_met(case):
    name, line, points = case
    y, se, _ = REVIEWS[name]
    changed = fit_of(name, y=[*y, 0.0], se=[*se, points.null_study.tipping])
    assert changed.probability("mu > 0") == pytest.approx(line, abs=1e-8)
    expected = points.null_study.tipping**-2 / np.sum(np.array(se, dtype=float) ** -2)
    assert points.null_share == pytest.approx(expected)


def test_with_the_tipping_bias_taken_away_the_line_is_met(case):
    name, line, points = case
    changed = fit_of(name, y=np.array(REVIEWS[name][0]) - points.bias.tipping)
    assert changed.probability("mu > 0") == pytest.approx(line, abs=1e-8)


def test_no_smaller_change_of_an_effect_tips(case):
    # a grid of single fits between the present value and the tipping point stays on the side of now
    name, line, points = case
    curve = points.weakest
    i = points.effects.index(curve)
    for share in (0.1, 0.5, 0.9, 0.99):
        for sign in (1, -1):
            y = list(REVIEWS[name][0])
            y[i] = curve.present + sign * share * curve.change
            p = fit_of(name, y=y).probability("mu > 0")
            assert (p > line) == (points.probability > line)


def test_the_first_of_two_crossings_is_the_tipping_point():
    # a larger effect first raises P(mu > 0), then, as an outlier, lowers it again; the line is crossed twice
    fit = fit_of("schools")
    points = tipping_points(fit, 0.96)
    above = [np.flatnonzero(one.probability > 0.96) for one in points.effects]
    twice = [
        one for one, up in zip(points.effects, above, strict=True) if up.size and up[-1] < one.x.size - 1
    ]
    assert twice
    for curve in twice:
        low, high = sorted([curve.present, curve.tipping])
        between = curve.probability[(curve.x > low) & (curve.x < high)]
        assert np.all(between < 0.96)


def test_curves_are_those_of_single_fits(case):
    name, _, points = case
    curve = points.tau_scale
    family = {"few": HalfNormal, "schools": HalfCauchy}[name]
    for i in (0, 60, 100, curve.x.size - 1):
        changed = fit_of(name, tau=family(curve.x[i]))
        assert curve.probability[i] == pytest.approx(changed.probability("mu > 0"), abs=1e-8)
    assert np.all(np.diff(curve.x) > 0)


# Closed forms


def test_under_a_flat_prior_the_bias_is_a_quantile_of_the_posterior():
    # subtracting d from each effect moves the posterior of mu by d
    fit = fit_of("few", mu="Flat()")
    points = tipping_points(fit, 0.9)
    assert points.bias.tipping == pytest.approx(fit.marginal("mu").quantile(0.1), abs=1e-9)


def test_with_hardly_any_heterogeneity_the_null_study_has_its_closed_form():
    # tau = 0 and flat mu: P = Phi(sum w y / sqrt(sum w + x)) with x the information of the new study
    y, w = np.array([0.3, 0.5]), np.array([100.0, 25.0])
    studies = Studies.from_effects(y, vi=1 / w)
    points = tipping_points(bm.fit(studies, Model(mu="Flat()", tau="HalfNormal(1e-7)")), 0.99)
    x = ((w @ y) / stats.norm.ppf(0.99)) ** 2 - w.sum()
    assert points.null_study.tipping == pytest.approx(x**-0.5, rel=1e-5)
    # and one effect: sum w y falls to ppf(0.99) sqrt(sum w)
    change = (stats.norm.ppf(0.99) * np.sqrt(w.sum()) - w @ y) / w
    np.testing.assert_allclose([one.change for one in points.effects], change, rtol=1e-5)


def test_another_unit_changes_nothing_but_the_unit():
    y, se, _ = REVIEWS["few"]
    small = Studies.from_effects(np.array(y) * 1e-5, sei=np.array(se) * 1e-5)
    fit = bm.fit(small, Model(mu="Normal(0, 1e-5)", tau="HalfNormal(2e-6)"))
    ours, whole = tipping_points(fit, 0.9), tipping_points(fit_of("few"), 0.9)
    for one, other in zip(ours.curves, whole.curves, strict=True):
        assert one.tipping == pytest.approx(1e-5 * other.tipping, rel=1e-7, nan_ok=True)


# Statements


def test_a_minimal_important_difference_and_new_studies_may_be_the_statement():
    fit = fit_of("few")
    points = tipping_points(fit, 0.8, mid=0.1)
    assert points.statement == "mu > 0.1"
    changed = fit_of("few", y=np.array(REVIEWS["few"][0]) - points.bias.tipping)
    assert changed.probability("mu > 0.1") == pytest.approx(0.8, abs=1e-8)
    new = tipping_points(fit, 0.75, statement="0.05 < theta_new")
    assert new.probability == pytest.approx(fit.probability("theta_new > 0.05"), abs=1e-9)
    changed = fit_of("few", y=np.array(REVIEWS["few"][0]) - new.bias.tipping)
    assert changed.probability("theta_new > 0.05") == pytest.approx(0.75, abs=1e-8)


def test_lower_is_better_is_the_mirror_image():
    y, se, tau = REVIEWS["few"]
    model = Model(mu=MU["few"], tau=tau)
    mirrored = bm.fit(Studies.from_effects([-one for one in y], sei=se, better="lower"), model)
    ours, other = tipping_points(mirrored, 0.9), tipping_points(fit_of("few"), 0.9)
    assert ours.statement == "mu < 0"
    assert tipping_points(mirrored, mid=0.1).statement == "mu < -0.1"
    assert ours.bias.tipping == pytest.approx(-other.bias.tipping, abs=1e-9)
    assert ours.tau_scale.tipping == pytest.approx(other.tau_scale.tipping, rel=1e-9)


def test_what_cannot_tip_says_what_was_reached():
    points = tipping_points(fit_of("few"), 0.3)
    assert isnan(points.tau_scale.tipping)
    low, high = points.tau_scale.probability.min(), points.tau_scale.probability.max()
    assert points.tau_scale.reason == (
        f"no such value: from 0.000195 to 205 the probability stays between {low:.4f} and {high:.4f}"
    )
    assert 0.3 < low < high


def test_the_table_has_a_row_for_each_change():
    points = tipping_points(fit_of("few"), 0.9)
    table = points.table()
    assert list(table["what"]) == [
        "scale of the prior of tau",
        "standard deviation of the prior of mu",
        *(f"effect of {label}" for label in points.fit.problem.studies.slab),
        "standard error of a new study with effect 0",
        "bias of every study",
    ]
    assert table["present"][5] == inf
    np.testing.assert_allclose(table["in_sei"][2:5], table["change"][2:5] / REVIEWS["few"][1])
    assert repr(points) == f"<TippingPoints: P(mu > 0) = {points.probability:.4g}, line 0.9>"


def test_priors_without_a_scale_and_measures_without_a_null_have_no_such_curve():
    fit = fit_of("few", tau="LogNormal(-2, 1)")
    points = tipping_points(fit, 0.9)
    assert points.tau_scale.reason.startswith("LogNormal(-2, 1) as the prior of tau has no single scale")
    assert points.bias.tipping > 0
    flat = tipping_points(fit_of("few", mu="Flat()"), 0.9)
    assert flat.mu_scale.present == inf
    single = Studies.from_effects([1.0, 2.0], sei=[1, 1], measure="MN")
    one = tipping_points(bm.fit(single, Model(mu="Flat()", tau="HalfNormal(1)")), 0.9, statement="mu > 1")
    assert one.null_study.reason == "no value of this measure stands for no effect"


def test_wrong_questions_are_refused():
    fit = fit_of("few")
    assert refused(lambda: tipping_points(fit, 1.0)) == (
        "decision must be a probability between 0 and 1; got 1.0"
    )
    assert refused(lambda: tipping_points(fit, mid=0.1, statement="mu > 0")) == (
        "give mid or a statement, not both"
    )
    assert refused(lambda: tipping_points(fit, statement="mu > 0 and mu < 1")) == (
        "statement 'mu > 0 and mu < 1': write one comparison with a number, such as 'mu > 0'"
    )
    data = {"x": [1.0, 2.0, 4.0]}
    y, se, _ = REVIEWS["few"]
    model = Model("x", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.2)")
    regression = bm.fit(Studies.from_effects(y, sei=se, data=data), model)
    assert refused(lambda: tipping_points(regression)) == (
        "tipping points are for one mean effect by the normal likelihood; got moderators 'x'"
    )
    common = bm.fit(Studies.from_effects(y, sei=se), Model(mu="Flat()", effects="common"))
    assert refused(lambda: tipping_points(common)) == (
        "tipping points need a prior of tau with a density; got Fixed(0)"
    )


def test_roots_are_found_together_each_in_its_bracket():
    # x^3 = c has the root c^(1/3), exp(x) = c the root log c
    c = np.array([0.001, 2.0, 1e9])

    def cubic(x, which):
        return x**3 - c[which]

    np.testing.assert_allclose(roots(cubic, np.zeros(3), np.full(3, 2e3), 0.0), np.cbrt(c), rtol=1e-14)

    def exponential(x, which):
        return np.exp(x) - c[which]

    np.testing.assert_allclose(
        roots(exponential, np.full(3, 30.0), np.full(3, -20.0), 0.0), np.log(c), rtol=1e-13
    )


# The pictures


@pytest.mark.parametrize("which", ["effects", "tau_scale", "mu_scale", "null_study", "bias"])
def test_pictures_mark_now_and_the_tipping_point(which):
    points = tipping_points(fit_of("few"), 0.95)
    ax = tipping(points, which)
    curve = points.weakest if which == "effects" else getattr(points, which)
    place = curve.change / curve.unit if which == "effects" else curve.tipping
    dots = [line.get_xydata()[0] for line in ax.get_lines() if line.get_marker() == "o"]
    assert any(np.allclose(dot, [place, 0.95]) for dot in dots)
    assert ax.get_ylabel() == "P(μ > 0)"
    assert any(text.get_text() == "decision line 0.95" for text in ax.texts)


def test_other_pictures_are_refused():
    points = tipping_points(fit_of("few", tau="LogNormal(-2, 1)"), 0.9)
    assert refused(lambda: tipping(points, "effect")) == (
        "which must be one of 'effects', 'tau_scale', 'mu_scale', 'null_study', 'bias'; got 'effect'; "
        "did you mean 'effects'?"
    )
    assert refused(lambda: tipping(points, "tau_scale")) == points.tau_scale.reason
