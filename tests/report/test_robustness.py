"""Robustness in the report: every table and sentence says what the numbers of a made-up document are."""

from __future__ import annotations

import pytest

from bayesmeta.report import robustness as blocks
from bayesmeta.report import robustness_tables as tables
from bayesmeta.report.facts import Facts


@pytest.fixture
def small_document(small):
    return small(rest="[sensitivity]\ntipping_points = true\nsmall_study = true\n")


@pytest.fixture
def facts(small_document):
    return Facts(small_document, {})


def cells(table, row):
    return [cell.replace("\xa0", " ").replace("\u202f", " ") for cell in table.rows[row].cells]


def test_the_document_has_every_part(small_document):
    block = small_document["robustness"]
    assert [one["parameter"] for one in block["informativeness"]] == ["mu", "tau"]
    assert [one["hypothesis"] for one in block["bayes_factors"]] == ["mu = 0", "tau = 0", "mu > 0"]
    assert block["atlas"]["combinations"] == 1000
    assert block["atlas"]["answered"] == 1000
    assert block["tipping_points"]["statement"] == "mu > 0"
    assert len(block["small_study"]["methods"]) > 10
    assert block["reasons"] == {}


def test_parts_can_be_left_out(small):
    block = small(rest="[sensitivity]\natlas = false\n")["robustness"]
    assert (block["atlas"], block["tipping_points"], block["small_study"]) == ({}, {}, {})


def test_the_range_of_the_atlas_holds_the_answer_in_force(small_document):
    ranges, mu = small_document["robustness"]["atlas"]["ranges"], small_document["posterior"]["mu"]
    assert ranges["mu_mean"]["lowest"] < mu["mean"] < ranges["mu_mean"]["highest"]
    assert ranges["mu_sd"]["lowest"] < mu["sd"] < ranges["mu_sd"]["highest"]


def test_the_sentence_on_the_atlas_names_both_ends(facts):
    block = {"lowest": 0.7, "highest": 0.9}
    facts.document["robustness"]["atlas"]["ranges"] |= {"p_benefit": block}
    facts.document["robustness"]["atlas"]["ranges"].pop("p_important", None)
    text = tables.atlas_text(facts).replace("\xa0", " ")
    assert text == (
        "Over all these priors, from very narrow to very wide, the probability of a benefit is between "
        "70.0 % and 90.0 %."
    )


def test_the_sentence_on_tipping_points_names_the_weakest_study_and_the_bias(facts):
    facts.document["robustness"]["tipping_points"] = {
        "statement": "mu > 0",
        "decision": 0.95,
        "probability": 0.99,
        "points": [
            {"what": "scale of the prior of tau", "present": 1.0, "tipping": None, "change": None},
            {"what": "effect of A", "present": 0.1, "tipping": -0.1, "change": -0.2, "in_sei": -2.0},
            {"what": "effect of B", "present": 0.3, "tipping": 0.2, "change": -0.1, "in_sei": -0.8},
            {"what": "bias of every study", "present": 0.0, "tipping": 0.034, "change": 0.034},
        ],
    }
    assert tables.tipping_text(facts).replace("\xa0", " ") == (
        "Of single studies, the effect of B would have to change least: by 0.8 of its standard errors; if "
        "every study's effect were too high by 0.034, the probability would be 95 %."
    )
    table = tables.tipping_table(facts)
    assert cells(table, 0) == ["Scale of the prior of tau", "1.00", "none within reach", "–", "–"]
    assert cells(table, 2) == ["Effect of B", "0.300", "0.200", "−0.10", "−0.8"]
    assert "P(μ > 0), now 99.0\xa0%, would cross 95\xa0%" in table.caption


@pytest.mark.parametrize(("bias", "words"), [(0.034, "too high by 0.034"), (-0.12, "too low by 0.12")])
def test_a_bias_that_makes_the_decision_is_not_called_an_overstatement(facts, bias, words):
    """A bias x is subtracted: effects of 0.1 and a bias of -0.12 make 0.22, so that they were too low."""
    facts.document["robustness"]["tipping_points"] = {
        "statement": "mu > 0",
        "decision": 0.95,
        "probability": 0.8,
        "points": [{"what": "bias of every study", "present": 0.0, "tipping": bias, "change": bias}],
    }
    assert tables.tipping_text(facts).replace("\xa0", " ") == (
        f"If every study's effect were {words}, the probability would be 95 %."
    )


def test_the_intercept_that_has_the_prior_is_told_from_that_at_zero(small):
    """A centred regression: the prior is on the mean effect at the mean of the months, not at 0."""
    said = "The intercept here is the mean effect at the moderators' means, which has that prior."
    centred = '[model]\nmods = "months"\n[model.priors]\nmu = "Normal(0, 1)"\n'
    assert blocks.informativeness_table(Facts(small(model=centred), {})).caption.endswith(said)
    as_written = centred.replace("[model.priors]", "center = false\n[model.priors]")
    assert said not in blocks.informativeness_table(Facts(small(model=as_written), {})).caption
    assert said not in blocks.informativeness_table(Facts(small(), {})).caption


def test_nothing_within_reach_is_said(facts):
    facts.document["robustness"]["tipping_points"] = {
        "decision": 0.95,
        "points": [{"what": "bias of every study", "present": 0.0, "tipping": None}],
    }
    assert tables.tipping_text(facts) == "No change within reach would make the probability cross that line."


@pytest.mark.parametrize(
    ("log_value", "text"),
    [
        (0.0, "1"),
        (-3.0, "1/20.1"),
        (1.0986122886681098, "3"),
        (23.025850929940457, "1.0 × 10¹⁰"),
        (-23.025850929940457, "1/(1.0 × 10¹⁰)"),
        (None, "–"),
    ],
)
def test_bayes_factors_are_written_for_reading(log_value, text):
    assert blocks.factor(log_value) == text


def test_the_bayes_factor_table_has_the_letters_of_the_parameters(facts):
    table = blocks.bayes_factor_table(facts)
    assert [cells(table, i)[0] for i in range(3)] == ["μ = 0", "τ = 0", "μ > 0"]
    assert cells(table, 2)[1:4:2] == ["its complement", "–"]


def test_the_average_states_its_odds_and_both_probabilities(facts):
    facts.document["robustness"]["model_average"] = {
        "effect": {"posterior": 0.8, "log_bf10": 1.3862943611198906},
        "heterogeneity": {"posterior": 0.4, "log_bf10": -0.40546510810816444},
    }
    assert blocks.average_text(facts).replace("\xa0", " ") == (
        "Averaged over four models, with and without an effect and with and without heterogeneity, each as "
        "probable before the data: an effect has probability 80.0 % (inclusion Bayes factor 4), "
        "heterogeneity 40.0 % (1/1.5). Both depend on how wide the priors of μ and τ are."
    )


def test_a_study_that_others_predict_worst_is_named(facts):
    facts.document["loo"] = {
        "elpd": -3.21,
        "se": 1.0,
        "p": 1.5,
        "studies": [{"slab": "A", "elpd": -1.0}, {"slab": "B", "elpd": -2.21}, {"slab": "C", "elpd": None}],
    }
    assert tables.prediction_text(facts) == (
        "Exact leave-one-out prediction: elpd −3.2 (SE 1.0), 1.5 effective parameters. The study that the "
        "others predict worst is B."
    )


def test_what_could_not_be_computed_is_said(small):
    text = 'priors = { mu = "Flat()", tau = "HalfNormal(0.5)" }'
    facts = Facts(small(model=f"[model]\n{text}\n"), {})
    assert blocks.bayes_factor_table(facts) is None
    assert blocks.reasons_text(facts) == (
        "There is no Bayes factor under the improper prior Flat() of mu: the evidence has no scale; give "
        "it a proper prior."
    )


def test_a_document_of_an_earlier_version_has_none_of_it(facts):
    facts.document.pop("robustness")
    facts.document.pop("loo")
    assert blocks.informativeness_table(facts) is None
    assert tables.atlas_table(facts) is None
    assert tables.tipping_table(facts) is None
    assert tables.small_study_table(facts) is None
    assert tables.prediction_text(facts) == tables.atlas_text(facts) == ""


def test_regressions_are_compared_with_the_main_model(small):
    rest = '[[regressions]]\nname = "months"\nmods = "months"\n'
    facts = Facts(small(rest=rest), {})
    table = tables.comparison_of_models(facts)
    assert [cells(table, i)[:2] for i in range(2)] == [["main", "none"], ["months", "months"]]
    assert sum(one["posterior"] for one in facts.document["model_comparison"].values()) == pytest.approx(1)
