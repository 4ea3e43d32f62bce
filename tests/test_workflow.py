"""What an analysis runs: found before anything is computed, with the priors of all studies in every part."""

from __future__ import annotations

import pytest

from bayesmeta.analysis import analysis_of, load_analysis, parse_analysis
from bayesmeta.errors import AnalysisError, DataError, ImproperPosteriorError, ModelError
from bayesmeta.workflow.compute import compute
from bayesmeta.workflow.prepare import prepare

SCHOOLS = """
[analysis]
title = "Eight schools"
[data]
dataset = "eight_schools"
measure = "GEN"
slab = "school"
columns = { yi = "effect_rounded", sei = "stderr_rounded" }
[model.priors]
mu = "Flat()"
tau = "HalfNormal(5)"
[engine]
name = "exact"
"""


def test_the_plan_names_every_fit_with_its_studies_and_engine():
    plan = prepare(load_analysis("exercise_bmd"), engine="exact")
    assert [one.name for one in plan.fits][:5] == [
        *("main", "regressions.duration", "regressions.exercise_type", "regressions.fracture_site"),
        "regressions.all",
    ]
    assert {one.engine for one in plan.fits} == {"exact"}
    assert [one.problem.p for one in plan.fits[:5]] == [1, 2, 2, 3, 5]
    assert {one.engine for one in prepare(load_analysis("exercise_bmd")).fits} == {"nuts"}


def test_default_priors_of_regressions_and_subgroups_are_those_of_the_whole_table():
    content = {
        "analysis": {"title": "T"},
        "data": {
            "dataset": "exercise_bmd",
            "measure": "MD",
            "slab": "study",
            "columns": {
                "m1i": "exercise_mean",
                "sd1i": "exercise_sd",
                "n1i": "exercise_n",
                "m2i": "control_mean",
                "sd2i": "control_sd",
                "n2i": "control_n",
            },
        },
        "regressions": [{"name": "a", "mods": "duration_months"}],
        "subgroups": [{"by": "fracture_site"}],
    }
    plan = prepare(analysis_of(content), engine="exact")
    wanted = plan.main.problem.priors
    # sqrt(sum n / sum 1/v) of the eleven trials is 0.246 (Roever et al. 2021, equation 9)
    assert wanted.mu.sigma == pytest.approx(0.246, abs=5e-4)
    assert wanted.tau.sigma == pytest.approx(wanted.mu.sigma / 4, rel=1e-12)
    for one in plan.fits:
        assert one.problem.priors.mu == wanted.mu
        assert one.problem.priors.tau == wanted.tau


def test_g1_the_main_fit_of_eight_schools_is_the_golden_one():
    """G1 of the golden values, 30-digit arithmetic."""
    outcome = compute(parse_analysis(SCHOOLS))
    assert outcome.main.fit.marginal("mu").mean == pytest.approx(7.78687331313756, rel=1e-9)
    assert outcome.main.fit.log_evidence == pytest.approx(-27.5353589384139, rel=1e-9)
    assert outcome.failures == ()


def test_steps_are_announced_in_order():
    said = []
    compute(parse_analysis(f"{SCHOOLS}[sensitivity]\nleave_one_out = true\n"), say=said.append)
    assert said == ["reading", "main", "leave_one_out", "robustness"]


def test_leaving_out_keeps_the_priors_and_drops_one_study_each():
    outcome = compute(parse_analysis(f"{SCHOOLS}[sensitivity]\nleave_one_out = true\n"))
    assert [one.omitted for one in outcome.left_out] == list("ABCDEFGH")
    assert {one.fit.problem.k for one in outcome.left_out} == {7}
    assert {str(one.fit.priors.tau) for one in outcome.left_out} == {"HalfNormal(5)"}


@pytest.mark.parametrize(
    ("more", "kind", "message"),
    [
        (
            '[[regressions]]\nname = "a"\nmods = "students"\npriors.beta = "Cauchy(0, 1)"\n',
            ModelError,
            "regression 'a': engine 'exact' cannot run prior Cauchy(0, 1) of a coefficient; use engine",
        ),
        (
            '[[subgroups]]\nby = "studentz"\n',
            DataError,
            "the studies have no column 'studentz'; did you mean 'students'?",
        ),
        (
            '[report]\nprobabilities = ["theta[Z] > 0"]\n',
            AnalysisError,
            "[report] probabilities: statement 'theta[Z] > 0': unexpected '['",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_computed(more, kind, message):
    with pytest.raises(kind) as caught:
        prepare(parse_analysis(SCHOOLS + more))
    assert str(caught.value).startswith(message)


def test_041_other_priors_without_a_posterior_are_refused_by_name():
    text = SCHOOLS.replace('slab = "school"', 'slab = "school"\nexclude = ["A", "B", "C", "D", "E", "F"]')
    with pytest.raises(ImproperPosteriorError) as caught:
        prepare(parse_analysis(f'{text}[sensitivity]\ntau_priors = ["Flat()"]\n'))
    assert str(caught.value).startswith(
        "[sensitivity]: the posterior does not exist: Flat() as the prior of tau"
    )


def test_leaving_out_that_has_no_posterior_is_noted_and_the_run_goes_on():
    """Three studies with flat priors are proper, two are not (ENGINES 1.4)."""
    text = SCHOOLS.replace('slab = "school"', 'slab = "school"\nexclude = ["A", "B", "C", "D", "E"]')
    text = text.replace("HalfNormal(5)", "Flat()")
    outcome = compute(parse_analysis(f"{text}[sensitivity]\nleave_one_out = true\n"))
    assert outcome.left_out == ()
    assert outcome.notes[0][0] == "leave-one-out"
    assert outcome.notes[0][1].startswith("without one of the studies the posterior does not exist")
