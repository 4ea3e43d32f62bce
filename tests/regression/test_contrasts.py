"""Contrasts, marginal means and curves: against coefficients, other parametrisations and hand-made rows."""

from __future__ import annotations

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.errors import AnalysisError, DataError

FLAT = {"mu": "Flat()", "beta": "Flat()", "tau": "HalfNormal(0.05)"}
NUMBERS = ["mode", "median", "mean", "sd", "lower", "upper"]


@pytest.fixture(scope="module")
def fit(exercise):
    return bm.fit(exercise, bm.Model(mods="duration_months + C(fracture_site) + C(exercise_type)", **FLAT))


def same(one, other, rel=1e-8):
    assert one[NUMBERS].to_numpy(float) == pytest.approx(other[NUMBERS].to_numpy(float), rel=rel, abs=1e-9)


def test_a_difference_from_the_reference_is_a_coefficient(fit):
    found = fit.contrasts("fracture_site")
    assert list(found.index) == ["mixed - hip", "vertebral - hip", "vertebral - mixed"]
    same(found.loc["vertebral - hip"], fit.summary().loc["fracture_site[vertebral]"])
    above = 1 - fit.marginal("fracture_site[vertebral]").cdf(0.0)
    assert found.loc["vertebral - hip", "probability"] == pytest.approx(above, rel=1e-10)


def test_a_difference_of_two_other_levels_is_a_coefficient_after_changing_the_reference(fit, exercise):
    mods = 'duration_months + C(fracture_site, ref="mixed") + C(exercise_type)'
    other = bm.fit(exercise, bm.Model(mods=mods, **FLAT))
    same(
        fit.contrasts("fracture_site").loc["vertebral - mixed"],
        other.summary().loc["fracture_site[vertebral]"],
    )


def test_shortest_intervals_and_levels_of_probability_are_passed_on(fit):
    found = fit.contrasts("exercise_type", prob=0.8, kind="hdi").iloc[0]
    own = fit.marginal("exercise_type[whole-body]").interval(0.8, kind="hdi")
    assert (found["lower"], found["upper"]) == pytest.approx(own, rel=1e-9)


def test_a_combination_of_coefficients_is_the_combination_of_their_draws(fit):
    weights = {"duration_months": 12.0, "exercise_type[whole-body]": -1.0}
    found = fit.contrasts({"odd": weights}).loc["odd"]
    summary = fit.summary()
    assert found["mean"] == pytest.approx(
        sum(weight * summary.loc[name, "mean"] for name, weight in weights.items()), rel=1e-9
    )
    X = np.zeros((1, 5))
    X[0, [fit.names.index(name) for name in weights]] = list(weights.values())
    draws = fit.draws(20_000, seed=3)["beta"].to_numpy().reshape(-1, 5) @ X[0]
    assert found["sd"] == pytest.approx(draws.std(), rel=4 / np.sqrt(2 * 20_000))


def test_a_unit_changes_a_slope_by_its_inverse(exercise):
    months = exercise.columns["duration_months"]
    studies = bm.Studies.from_effects(
        exercise.yi, vi=exercise.vi, measure="MD", data={"month": months, "year": months / 12}
    )
    model = bm.Model(mu="Normal(0, 1)", beta="Normal(0, 0.01)", tau="HalfNormal(0.05)")
    per_month = bm.fit(studies, model.with_mods("month")).summary().loc["month"]
    yearly = bm.Model(mods="year", mu="Normal(0, 1)", beta="Normal(0, 0.12)", tau="HalfNormal(0.05)")
    per_year = bm.fit(studies, yearly).summary().loc["year"]
    same(per_year / 12, per_month, rel=1e-11)


@pytest.mark.parametrize("weights", ["observed", "equal"])
def test_marginal_means_are_averages_of_the_fitted_rows(fit, exercise, weights):
    """The columns of the design by hand: intercept, months, mixed, vertebral, whole-body."""
    months = exercise.columns["duration_months"].mean()
    whole = np.mean(exercise.columns["exercise_type"] == "whole-body") if weights == "observed" else 0.5
    found = fit.marginal_means("fracture_site", weights=weights)
    summary = fit.summary()["mean"].iloc[:5].to_numpy()
    for level, dummies in {"hip": [0, 0], "mixed": [1, 0], "vertebral": [0, 1]}.items():
        row = np.array([1, months, *dummies, whole])
        assert found.loc[level, "mean"] == pytest.approx(row @ summary, rel=1e-9)
        own = fit.posterior.at(row[None], new_study=True)
        bounds = own.quantile(np.array([0.025, 0.975]))[:, 0]
        assert found.loc[level, ["new_lower", "new_upper"]].to_numpy(float) == pytest.approx(bounds, rel=1e-9)
    assert found["k"].to_dict() == {"hip": 4, "mixed": 1, "vertebral": 6}
    assert found.index.name == "fracture_site"


def test_marginal_means_do_not_depend_on_the_parametrisation(exercise):
    one, two = (
        bm.fit(exercise, bm.Model(mods=mods, **FLAT)).marginal_means("fracture_site")
        for mods in ("C(fracture_site) + duration_months", "0 + C(fracture_site) + duration_months")
    )
    for level in one.index:
        same(one.loc[level], two.loc[level])


def test_contrasts_in_an_interaction_depend_on_what_they_are_averaged_over(bcg):
    fit = bm.fit(bcg, bm.Model(mods="ablat*C(alloc)", mu="Flat()", beta="Flat()", tau="HalfNormal(0.5)"))
    found = fit.contrasts("alloc").loc["random - alternate"]
    summary = fit.summary()["mean"]
    expected = summary["alloc[random]"] + bcg.columns["ablat"].mean() * summary["ablat:alloc[random]"]
    assert found["mean"] == pytest.approx(expected, rel=1e-8)


def test_levels_that_are_numbers_keep_their_names(bcg):
    era = np.where(bcg.columns["year"] < 1950, 1.0, 2.0)
    studies = bm.Studies.from_effects(bcg.yi, vi=bcg.vi, measure="RR", data={"era": era})
    found = bm.fit(studies, bm.Model(mods="C(era)")).contrasts("era")
    assert list(found.index) == ["2 - 1"]


def test_a_curve_is_the_prediction_along_a_moderator(fit):
    curve = fit.curve("duration_months", n=5, at={"exercise_type": "whole-body"})
    assert list(curve["duration_months"]) == pytest.approx(np.linspace(0.75, 12, 5))
    new = {"duration_months": [0.75, 12.0], "fracture_site": ["hip"] * 2, "exercise_type": ["whole-body"] * 2}
    predicted = fit.predict(new)
    for name in (*NUMBERS, "new_lower", "new_upper"):
        assert curve[name].iloc[[0, -1]].to_numpy() == pytest.approx(predicted[name].to_numpy(), rel=1e-10)
    assert not curve["extrapolates"].any()
    assert curve.attrs["warnings"] == []


def test_a_curve_beyond_the_studies_says_so(fit):
    curve = fit.curve("duration_months", n=3, span=(0.75, 24))
    assert list(curve["extrapolates"]) == [False, True, True]
    assert curve.attrs["warnings"] == [
        ("extrapolation", "duration_months is predicted outside its range in the studies, 0.75 to 12")
    ]


def test_a_quadratic_curve_is_that_of_orthogonal_polynomials(exercise):
    raw, orthogonal = (
        bm.fit(exercise, bm.Model(mods=mods, **FLAT)).curve("duration_months", n=4)
        for mods in ("duration_months + duration_months^2", "poly(duration_months, 2)")
    )
    for name in ("median", "mean", "sd", "lower", "upper", "new_upper"):
        assert raw[name].to_numpy() == pytest.approx(orthogonal[name].to_numpy(), rel=1e-7)


REFUSALS = [
    (
        lambda fit: fit.contrasts("fracture_sit"),
        "the fit has no moderator 'fracture_sit'; did you mean 'fracture_site'?",
    ),
    (
        lambda fit: fit.contrasts("duration_months"),
        "'duration_months' has numbers, not levels; write C(duration_months) in the formula, or use "
        "fit.curve('duration_months')",
    ),
    (
        lambda fit: fit.contrasts(["fracture_site"]),
        "contrasts need a moderator with levels, or named combinations of coefficients such as "
        "{'a year': {'duration_months': 12}}",
    ),
    (
        lambda fit: fit.contrasts({"x": {"age": 1.0}}),
        "there is no coefficient 'age'; the coefficients are Intercept, duration_months, "
        "fracture_site[mixed], fracture_site[vertebral], exercise_type[whole-body]",
    ),
    (
        lambda fit: fit.contrasts({"x": {"duration_months": np.inf}}),
        "the weight of 'duration_months' must be a finite number; got inf",
    ),
    (
        lambda fit: fit.marginal_means("fracture_site", weights="equals"),
        "weights must be 'observed' or 'equal'; got 'equals'; did you mean 'equal'?",
    ),
    (
        lambda fit: fit.curve("fracture_site"),
        "'fracture_site' has levels, not numbers; use fit.marginal_means('fracture_site')",
    ),
    (lambda fit: fit.curve("duration_months", n=1), "n must be a number of points from 2 to 10,000; got 1"),
    (
        lambda fit: fit.curve("duration_months", span=(6, 3)),
        "span must be two numbers, the lower first; got 6 and 3",
    ),
    (
        lambda fit: fit.curve("duration_months", at={"duration_months": 3}),
        "'duration_months' is what the curve runs over; leave it out of at",
    ),
    (
        lambda fit: fit.curve("duration_months", at={"sex": "male"}),
        "the fit has no moderator 'sex'; its moderators are duration_months, fracture_site, exercise_type",
    ),
]


@pytest.mark.parametrize(("ask", "message"), REFUSALS)
def test_questions_without_an_answer_are_refused(fit, ask, message):
    with pytest.raises(AnalysisError) as caught:
        ask(fit)
    assert str(caught.value) == message


def test_a_level_that_no_study_has_is_refused(fit):
    with pytest.raises(DataError) as caught:
        fit.curve("duration_months", at={"fracture_site": "wrist"})
    assert str(caught.value) == (
        'column "fracture_site" has the level "wrist", which is not in the studies; known levels are hip, '
        "mixed, vertebral"
    )


# Changes of the parametrisation of a regression


def fitted_values(fit):
    mean = fit.posterior.at(fit.problem.X, new_study=False)
    return np.concatenate([mean.mean(), mean.sd(), mean.quantile(np.array([0.025, 0.975])).ravel()])


@pytest.mark.parametrize(
    "mods",
    [
        "poly(duration_months, 2) + C(fracture_site)",
        "center(duration_months) + duration_months^2 + C(fracture_site)",
        "0 + C(fracture_site) + duration_months + duration_months^2",
        'scale(duration_months) + duration_months^2 + C(fracture_site, ref="vertebral")',
    ],
)
def test_reparametrising_the_design_changes_neither_fitted_values_nor_tau_nor_R2(exercise, mods):
    from bayesmeta.results.explained import explained

    base = bm.fit(exercise, bm.Model(mods="duration_months + duration_months^2 + C(fracture_site)", **FLAT))
    other = bm.fit(exercise, bm.Model(mods=mods, **FLAT))
    assert fitted_values(other) == pytest.approx(fitted_values(base), rel=1e-6, abs=1e-9)
    tau = [one.marginal("tau") for one in (base, other)]
    assert tau[1].mean == pytest.approx(tau[0].mean, rel=1e-8)
    assert tau[1].interval() == pytest.approx(tau[0].interval(), rel=1e-8)
    # R2 comes from draws: its mean is compared within 4 standard errors of two runs of 40,000
    shares = [explained(one.posterior) for one in (base, other)]
    error = 4 * np.hypot(*(share.sd()[0] / 200 for share in shares))
    assert abs(shares[0].mean()[0] - shares[1].mean()[0]) <= error


def test_draws_answer_the_same_questions(fit):
    """20,000 independent draws of the exact posterior: means within 5 Monte Carlo standard errors."""
    from dataclasses import replace

    from bayesmeta.results.sampled import SampledPosterior

    draws = fit.posterior.draws(20_000, np.random.default_rng(6))
    sampled = replace(fit, posterior=SampledPosterior(fit.problem, draws))
    tables = []
    for one in (fit, sampled):
        curve = one.curve("duration_months", n=3)
        tables.append((one.contrasts("fracture_site"), one.marginal_means("exercise_type"), curve))
    for exact, other in zip(*tables, strict=True):
        apart = (exact["mean"] - other["mean"]).abs()
        assert (apart < 5 * exact["sd"] / np.sqrt(20_000)).all()
