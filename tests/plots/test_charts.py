"""Funnel, density, bubble and sensitivity plots show the numbers of the tables."""

from math import exp

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import integrate, stats

from bayesmeta.errors import AnalysisError
from bayesmeta.model import Model
from bayesmeta.plots import bubble, density, funnel, leave_one_out, prior_sensitivity
from bayesmeta.sensitivity import leave_one_out as left_out_of
from bayesmeta.sensitivity import prior_sensitivity as other_priors_of


def labelled(ax, start):
    return next(line for line in ax.lines if str(line.get_label()).startswith(start))


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def given_axes():
    return Figure(figsize=(6, 5)).add_subplot()


def test_each_chart_returns_the_axes_it_was_given(bmd, bmd_regression):
    out = left_out_of(bmd)
    priors = other_priors_of(bmd.studies, bmd.model, tau=["HalfNormal(0.1)"])
    for draw in (
        lambda ax: funnel(bmd, ax),
        lambda ax: density(bmd, "tau", ax),
        lambda ax: bubble(bmd_regression, "duration_months", ax),
        lambda ax: leave_one_out(out, bmd, ax),
        lambda ax: prior_sensitivity(priors, bmd, ax),
    ):
        ax = given_axes()
        assert draw(ax) is ax


# funnel


def test_funnel_points_are_effects_and_errors_with_precise_studies_above(bmd, bmd_studies):
    ax = funnel(bmd)
    points = ax.collections[-1].get_offsets()
    np.testing.assert_allclose(points, np.column_stack([bmd_studies.yi, bmd_studies.sei]), rtol=1e-12)
    bottom, top = ax.get_ylim()
    assert bottom > top == 0


def test_funnel_lines_are_1_96_errors_from_the_pooled_median(bmd):
    line = labelled(funnel(bmd), "95% of studies, same effect")
    mean = bmd.marginal("mu").median
    x, se = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    np.testing.assert_allclose(x, mean - 1.959963984540054 * se, rtol=0, atol=1e-12)


def test_a_funnel_of_ratios_stands_on_a_log_axis_and_names_what_is_missing(refracture, texts):
    ax = funnel(refracture)
    assert ax.get_xscale() == "log"
    assert len(ax.collections[-1].get_offsets()) == 3
    assert "1 study without an estimate not drawn" in texts(ax)


def test_funnel_contours_can_be_left_out(bmd):
    assert len(funnel(bmd, contours=()).collections) == 1
    assert len(funnel(bmd, contours=(0.95,)).collections) == 3


def test_a_funnel_of_a_regression_is_refused(bmd_regression):
    with pytest.raises(AnalysisError) as caught:
        funnel(bmd_regression)
    assert str(caught.value) == (
        "a funnel plot needs a pooled effect, which mods 'duration_months + exercise_type' do not give; plot "
        "the fit without moderators"
    )


# density


def test_the_density_of_tau_is_exact_and_integrates_to_the_probability_on_the_axis(bmd):
    line = labelled(density(bmd, "tau"), "posterior (exact)")
    x, height = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    marginal = bmd.marginal("tau")
    assert x[0] == 0
    # Simpson's rule on 400 points of a smooth density is good to about 1e-6
    assert integrate.simpson(height, x=x) == pytest.approx(marginal.cdf(x[-1]), abs=1e-5)
    # 2 / (0.05 sqrt(2 pi)) is the half-normal density at 0
    prior = labelled(density(bmd, "tau"), "prior HalfNormal(0.05)")
    assert prior.get_ydata()[0] == pytest.approx(2 / (0.05 * np.sqrt(2 * np.pi)), rel=1e-12)


def test_the_prior_of_mu_is_drawn_and_named(bmd):
    line = labelled(density(bmd, "mu"), "prior Normal(0, 1)")
    x = np.asarray(line.get_xdata())
    np.testing.assert_allclose(line.get_ydata(), stats.norm.pdf(x, 0, 1), rtol=1e-12)


def test_kind_and_level_of_the_interval_are_stated(bmd):
    assert legend(density(bmd, "mu"))[0] == "95% equal-tailed interval [0.046, 0.090]"  # the review's plot
    assert legend(density(bmd, "mu", kind="hdi", prob=0.8))[0].startswith("80% shortest interval [")


def test_mu_of_a_ratio_stands_on_a_log_axis_with_the_density_of_the_logarithm(refracture):
    ax = density(refracture, "mu")
    assert ax.get_xscale() == "log"
    line = labelled(ax, "posterior (exact)")
    x, height = np.log(np.asarray(line.get_xdata())), np.asarray(line.get_ydata())
    assert integrate.simpson(height, x=x) == pytest.approx(1, abs=3e-3)  # 0.001 lies beyond the ends
    median = exp(refracture.marginal("mu").median)
    assert labelled(ax, "median").get_xdata()[0] == pytest.approx(median, rel=1e-12)


def test_a_sampled_fit_is_a_histogram_and_an_exact_one_is_not(sampled_counts, bmd):
    (steps,) = density(sampled_counts, "tau").patches
    heights, edges, _ = steps.get_data()
    draws = sampled_counts.posterior.sampled.tau.ravel()
    counted = np.histogram(draws, edges)[0] / (draws.size * np.diff(edges))
    np.testing.assert_allclose(heights, counted, rtol=1e-12)
    assert not density(bmd, "tau").patches
    assert not [text for text in legend(density(sampled_counts, "tau")) if "exact" in text]


def test_the_exact_curve_lies_over_the_histogram(sampled_counts, refracture):
    ax = density(sampled_counts, "tau", exact=refracture)
    line = labelled(ax, "posterior (exact)")
    x = np.asarray(line.get_xdata())
    np.testing.assert_allclose(line.get_ydata(), refracture.marginal("tau").density(x), rtol=1e-12)


def test_an_improper_prior_is_named_and_not_drawn(ready_made):
    one = ready_made([0.1, 0.3, 0.2], [0.1, 0.1, 0.1], Model(mu="Flat()", tau="HalfNormal(1)"))
    line = labelled(density(one, "mu"), "prior Flat() (improper, not drawn)")
    assert len(line.get_xdata()) == 0


def test_a_centred_intercept_has_no_prior_of_its_own_and_a_slope_has(bmd_regression):
    assert not [text for text in legend(density(bmd_regression, "Intercept")) if text.startswith("prior")]
    assert "prior Normal(0, 1)" in legend(density(bmd_regression, "duration_months"))


def test_a_tau_that_is_known_is_a_line(ready_made):
    ax = density(ready_made([0.1, 0.3], [0.1, 0.1], Model(mu="Normal(0, 1)", effects="common")), "tau")
    assert legend(ax) == ["fixed at 0.00"]


def test_a_density_with_a_pole_keeps_the_body_in_sight(bmd):
    ax = density(bmd, "tau2")
    body = bmd.marginal("tau2").quantile(np.array([0.05, 0.5]))
    assert bmd.marginal("tau2").density(body).max() < ax.get_ylim()[1]


# bubble


def test_the_regression_line_and_band_are_those_of_predict(bmd_regression):
    ax = bubble(bmd_regression, "duration_months")
    line = labelled(ax, "mean effect, median")
    x = np.asarray(line.get_xdata())
    some = x[[0, 40, 79]]
    table = bmd_regression.predict({"duration_months": some, "exercise_type": ["local"] * 3})
    np.testing.assert_allclose(np.asarray(line.get_ydata())[[0, 40, 79]], table["median"], rtol=1e-9)
    outer, inner = (band.get_paths()[0].vertices for band in ax.collections[:2])
    np.testing.assert_allclose(
        inner[:, 1].min(),
        bmd_regression.predict({"duration_months": x, "exercise_type": ["local"] * x.size})["lower"].min(),
        rtol=1e-9,
    )
    assert outer[:, 1].min() < inner[:, 1].min()


def test_bubbles_are_the_studies_and_the_held_values_are_stated(bmd_regression, bmd_studies, texts):
    ax = bubble(bmd_regression, "duration_months")
    expected = np.column_stack([bmd_studies.columns["duration_months"], bmd_studies.yi])
    np.testing.assert_allclose(ax.collections[-1].get_offsets(), expected, rtol=1e-12)
    assert "at exercise_type = local" in texts(ax)


def test_other_numbers_are_held_at_their_means(ready_made, texts):
    data = {"dose": [1.0, 2.0, 3.0, 6.0], "year": [2001.0, 2005.0, 2003.0, 2015.0]}
    model = Model(mods="dose + year", mu="Normal(0, 2)", tau="HalfNormal(0.5)", beta="Normal(0, 1)")
    one = ready_made([0.1, 0.3, 0.2, 0.5], [0.1, 0.1, 0.1, 0.2], model, data=data, measure="OR")
    ax = bubble(one, "dose")
    assert "at year = 2006" in texts(ax)  # (2001 + 2005 + 2003 + 2015) / 4
    assert ax.get_yscale() == "log"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("duration_month", "the fit has no moderator 'duration_month'; did you mean 'duration_months'?"),
        (
            "exercise_type",
            "a bubble plot needs a moderator of numbers; 'exercise_type' has levels; use bm.plots.forest "
            "with subgroups",
        ),
    ],
)
def test_a_bubble_plot_needs_a_moderator_of_numbers(bmd_regression, name, message):
    with pytest.raises(AnalysisError) as caught:
        bubble(bmd_regression, name)
    assert str(caught.value) == message


# sensitivity


def test_leave_one_out_has_a_row_for_each_study_and_the_answer_of_all(bmd, texts):
    out = left_out_of(bmd)
    shown = texts(leave_one_out(out, bmd))
    for one in out:
        assert f"Without {one.omitted}" in shown
        row = one.fit.summary().loc["mu"]
        numbers = [f"{row[name]:.3f}".replace("-", "−") for name in ("median", "lower", "upper")]
        assert f"{numbers[0]} [{numbers[1]}, {numbers[2]}]" in shown
    assert "All studies, k = 11" in shown


def test_leave_one_out_of_a_regression_shows_a_slope(bmd_regression, texts):
    out = left_out_of(bmd_regression)
    ax = leave_one_out(out, bmd_regression)
    assert "Coefficient of duration_months" in texts(ax)
    chosen = leave_one_out(out, bmd_regression, name="Intercept")
    assert "Coefficient of Intercept" in texts(chosen)


def test_prior_sensitivity_names_every_prior(bmd, texts):
    choices = other_priors_of(
        bmd.studies, bmd.model, tau=["HalfCauchy(0.05)", "Uniform(0, 0.5)"], mu=["Normal(0, 0.1)"]
    )
    shown = texts(prior_sensitivity(choices, bmd))
    assert "τ ~ HalfCauchy(0.05), μ ~ Normal(0, 0.1)" in shown
    assert "τ ~ HalfNormal(0.05) (chosen)" in shown


def test_nothing_to_show_is_refused(bmd):
    with pytest.raises(AnalysisError) as caught:
        leave_one_out((), bmd)
    assert str(caught.value) == "leave_one_out draws what bm.leave_one_out(fit) returned; got nothing"
    with pytest.raises(AnalysisError) as caught:
        prior_sensitivity((), bmd)
    assert str(caught.value) == "prior_sensitivity draws what bm.prior_sensitivity(...) returned; got nothing"
