"""What the sensitivity analyses, the tests of small-study effects and the priors say of wrong arguments."""

import pandas as pd
import pytest

import bayesmeta as bm

STUDIES = bm.Studies.from_effects([0.1, 0.3, 0.2, 0.5], sei=[0.1, 0.2, 0.1, 0.2], data={"x": [1.0, 2, 3, 4]})
MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)", beta="Normal(0, 1)")
FIT = bm.fit(STUDIES, MODEL)


@pytest.mark.parametrize(
    "question",
    [
        bm.fit,
        bm.prior_sensitivity,
        bm.model_average,
        bm.gosh,
        bm.prior_predictive,
        bm.plots.prior_predictive,
        lambda studies, model: bm.moderator_selection(studies, "x", model),
        lambda studies, model: bm.subgroups(studies, "x", model),
    ],
)
def test_what_takes_studies_and_a_model_says_so(question):
    with pytest.raises(bm.errors.AnalysisError) as error:
        question(FIT, MODEL)
    assert str(error.value) == "studies must be bm.Studies; got Fit; give fit.studies"
    with pytest.raises(bm.errors.AnalysisError) as error:
        question(pd.DataFrame(), MODEL)
    assert str(error.value) == "studies must be bm.Studies; got DataFrame; make them by bm.effect_sizes"
    with pytest.raises(bm.errors.AnalysisError) as error:
        question(STUDIES, FIT)
    assert str(error.value) == "model must be a bm.Model; got Fit; give fit.model"
    with pytest.raises(bm.errors.AnalysisError) as error:
        question(STUDIES, "Normal(0, 1)")
    assert str(error.value) == 'model must be a bm.Model; got str; write bm.Model(mu="Normal(0, 1)")'


@pytest.mark.parametrize(
    "name",
    [
        "tipping_points",
        "informativeness",
        "bayes_factors",
        "influence",
        "cumulative",
        "outliers",
        "leave_out",
        "leave_one_out",
        "prior_path",
    ],
)
def test_what_takes_a_fit_says_so(name):
    with pytest.raises(bm.errors.AnalysisError) as error:
        getattr(bm, name)(pd.DataFrame())
    assert str(error.value) == f"{name} takes a fit; got DataFrame; give bm.fit(studies, model)"


def test_tests_of_small_study_effects_say_what_they_take():
    with pytest.raises(bm.errors.AnalysisError) as error:
        bm.bias.rank_test(pd.DataFrame())
    assert str(error.value).endswith(
        " takes bm.Studies or a fit; got DataFrame; make them by bm.effect_sizes"
    )


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda: bm.prior_sensitivity(STUDIES, MODEL, prob="a"),
         "prob must be between 0 and 1, such as 0.95; got 'a'"),
        (lambda: bm.prior_sensitivity(STUDIES, MODEL, mid="a"),
         "mid must be a positive number, the minimal important difference; got 'a'"),
        (lambda: bm.prior_sensitivity(STUDIES, MODEL).fit(1000),
         "index must be a row from 0 to 999; got 1000"),
        (lambda: bm.prior_path(FIT, reach=0), "reach must be a factor above 1, such as 16; got 0"),
        (lambda: bm.prior_path(FIT, reach=float("inf")),
         "reach must be a factor above 1, such as 16; got inf"),
        (lambda: bm.tipping_points(FIT, "a"), "decision must be a probability between 0 and 1; got 'a'"),
        (lambda: bm.tipping_points(FIT, mid="a"),
         "mid must be a positive number, the minimal important difference; got 'a'"),
        (lambda: bm.model_average(STUDIES, MODEL, effect="a"),
         "effect must be a probability between 0 and 1; got 'a'"),
        (lambda: bm.cumulative(FIT, by=3), "by must be the name of a column, or 'precision'; got 3"),
        (lambda: bm.gosh(STUDIES, MODEL, least=1.5),
         "least must be a number of studies from 1 to 4; got 1.5"),
        (lambda: bm.gosh(STUDIES, MODEL, most="a"), "most must be a number of subsets above 0; got 'a'"),
        (lambda: bm.gosh(STUDIES, MODEL).fit(99), "row must be from 0 to 14; got 99"),
        (lambda: bm.outliers(FIT, eps="a"),
         "eps must be a probability between 0 and 1, such as 0.05; got 'a'"),
        (lambda: bm.outliers(FIT, extra="a"), "extra must be a positive standard deviation; got 'a'"),
        (lambda: bm.outliers(FIT, times=None, extra=float("nan")),
         "extra must be a positive standard deviation; got nan"),
        (lambda: bm.bias.egger(FIT, level="a"), "level must be between 0 and 1, such as 0.95; got 'a'"),
        (lambda: bm.moderator_selection(STUDIES, "x", MODEL).fit(99),
         "a model is a formula or a rank from 0 to 1; got 99"),
        (lambda: bm.moderator_selection(STUDIES, "x", MODEL, common="a"),
         "common must be a probability from 0 to less than 1; got 'a'"),
        (lambda: bm.priors.map_prior(FIT, robust="a"), "robust must be a probability below 1; got 'a'"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named_with_what_it_must_be(question, message):
    with pytest.raises(bm.errors.AnalysisError) as error:
        question()
    assert str(error.value) == message


def test_influence_says_that_a_mixture_has_no_single_exact_posterior():
    mixed = bm.Model(mu="Mixture([0.7, 0.3], [Normal(0, 0.1), Normal(0, 1)])", tau="HalfNormal(0.5)")
    with pytest.raises(bm.errors.ModelError) as error:
        bm.influence(bm.fit(STUDIES, mixed))
    assert str(error.value) == (
        "influence needs the exact engine, which cannot run prior Mixture([0.7, 0.3], [Normal(0, 0.1), "
        "Normal(0, 1)]) of a coefficient"
    )


def test_outliers_says_that_priors_in_other_units_hide_the_posterior():
    studies = bm.Studies.from_effects([1e12, 1.1e12, 1.3e12], sei=[1e10] * 3)
    with pytest.raises(bm.errors.NumericalError) as error:
        bm.outliers(studies, MODEL)
    assert str(error.value) == (
        "outliers did not find where the posterior lies; are the priors in the units of the effects?"
    )


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda: bm.plots.gosh(FIT), "gosh draws what bm.gosh(studies, model) returned; got Fit"),
        (lambda: bm.plots.tipping(FIT), "tipping draws what bm.tipping_points(fit) returned; got Fit"),
        (
            lambda: bm.compare_models([FIT, FIT]),
            "fits must be named, such as {'a': fit, 'b': other}; got list",
        ),
    ],
)
def test_what_is_drawn_or_compared_is_named(question, message):
    with pytest.raises(bm.errors.AnalysisError) as error:
        question()
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (
            lambda: bm.prior_sensitivity(STUDIES, MODEL, tau=3),
            "tau must be a list of priors; got 3; write ['HalfNormal(0.5)'] or the like",
        ),
        (
            lambda: bm.moderator_selection(STUDIES, 3, MODEL),
            "terms must be a formula or a list of terms, such as ['age', 'dose']; got 3",
        ),
        (
            lambda: bm.moderator_selection(STUDIES, ["x", 1], MODEL),
            "terms must be a formula or a list of terms, such as ['age', 'dose']; got ['x', 1]",
        ),
        (lambda: bm.subgroups(STUDIES, 3, MODEL), "by must be the name of a column; got 3"),
    ],
)
def test_numbers_in_place_of_names_are_refused(question, message):
    with pytest.raises(bm.errors.AnalysisError) as error:
        question()
    assert str(error.value) == message
