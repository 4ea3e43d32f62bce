"""`results.json`: the schema, key by key, and known answers."""

from __future__ import annotations

import json
from math import exp, nan

import pytest

from bayesmeta.analysis import load_analysis, parse_analysis
from bayesmeta.analysis_options import Expected
from bayesmeta.workflow.compute import compute
from bayesmeta.workflow.document import document
from bayesmeta.workflow.expected import lookup, verdict
from bayesmeta.writers import json_text

QUANTITY = {"mode", "median", "mean", "sd", "lower", "upper", "error"}
CLASSICAL = {
    *("estimate", "se", "lower", "upper", "df", "p", "tau2", "tau2_lower", "tau2_upper", "Q", "Q_df", "Q_p"),
    *("I2", "H2", "pi_lower", "pi_upper", "pi_hts_lower", "pi_hts_upper"),
}
REGRESSION = {"coefficients", "tau2", "QE", "QE_df", "QE_p", "QM", "QM_df", "QM_p", "R2"}
TOP = {
    *("schema_version", "title", "measure", "units", "k", "p", "interval", "group1", "group2", "priors"),
    *("warnings", "excluded", "studies", "classical", "posterior", "diagnostics", "regressions", "subgroups"),
    *("leave_one_out", "prior_sensitivity", "agreement", "expected"),
}

COUNTS = """
[analysis]
title = "Refracture"
[data]
dataset = "exercise_refracture"
measure = "OR"
slab = "study"
better = "lower"
minimal_important_difference = 0.1
columns = { ai = "exercise_events", n1i = "exercise_n", ci = "control_events", n2i = "control_n" }
[engine]
name = "exact"
[interval]
prob = 0.9
[report]
probabilities = ["tau < 0.3"]
[sensitivity]
leave_one_out = true
"""


def answered(text_or_name):
    analysis = load_analysis(text_or_name) if "\n" not in text_or_name else parse_analysis(text_or_name)
    return json.loads(json_text(document(compute(analysis, engine="exact"))))


@pytest.fixture(scope="module")
def review():
    return answered("exercise_bmd")


@pytest.fixture(scope="module")
def counts():
    return answered(COUNTS)


def test_the_top_of_the_document_has_every_key_of_the_schema(review):
    assert set(review) >= TOP
    assert review["interval"] == {"kind": "eti", "prob": 0.95}
    assert (review["group1"], review["group2"], review["k"], review["p"]) == ("exercise", "control", 11, 1)
    assert review["priors"] == {
        "mu": {"prior": "Normal(0, 1)", "default": False},
        "tau": {"prior": "HalfNormal(0.05)", "default": False},
    }


def test_every_posterior_quantity_has_the_keys_of_a_quantity(review):
    for name in ("mu", "tau", "theta_new", "I2"):
        assert set(review["posterior"][name]) == QUANTITY
    assert set(review["posterior"]["mu"]["error"]) == {"abs"}
    for study in review["studies"]:
        assert {"slab", "yi", "sei", "weight_fixed", "weight_random"} <= set(study)
        assert set(study["theta"]) == QUANTITY
    assert sum(one["weight_fixed"] for one in review["studies"]) == pytest.approx(100, abs=1e-9)


def test_classical_blocks_have_z_or_t_and_all_other_keys(review):
    assert list(review["classical"]) == ["fixed", "DL", "PM", "REML", "REML_HK"]
    for name, block in review["classical"].items():
        test = "t" if name == "REML_HK" else "z"
        assert set(block) - {"does_not_exist"} == CLASSICAL | {test}


def test_regressions_have_coefficients_r2_and_the_classical_ones(review):
    assert list(review["regressions"]) == ["duration", "exercise_type", "fracture_site", "all"]
    for one in review["regressions"].values():
        wanted = {"mods", "k", "p", "coefficients", "tau", "R2", "classical", "diagnostics"}
        assert wanted <= set(one)
        assert set(one["R2"]) == QUANTITY
        assert 0 <= one["R2"]["lower"] <= one["R2"]["upper"] <= 100
        assert list(one["classical"]) == ["fixed", "REML", "REML_HK"]
        for block in one["classical"].values():
            assert set(block) - {"does_not_exist"} == REGRESSION
            assert set(block["coefficients"]) == set(one["coefficients"])


def test_subgroups_have_groups_and_the_test_of_their_difference(review):
    assert list(review["subgroups"]) == ["exercise_type", "fracture_site", "duration_class", "tradition"]
    for division in review["subgroups"].values():
        assert division["tau"] == "separate"
        assert list(division["difference"]) == ["fixed", "DL"]
        for test in division["difference"].values():
            assert set(test) - {"does_not_exist"} == {"Q", "df", "p", "I2"}
        for group in division["groups"].values():
            assert {"k", "classical", "posterior", "diagnostics"} <= set(group)
        assert sum(group["k"] for group in division["groups"].values()) == 11


def test_leave_one_out_and_other_priors_are_listed(review):
    assert [one["omitted"] for one in review["leave_one_out"]] == [one["slab"] for one in review["studies"]]
    assert set(review["leave_one_out"][0]["classical"]) == {"fixed"}
    assert [one["tau"] for one in review["prior_sensitivity"]] == [
        *("HalfNormal(0.025)", "HalfNormal(0.1)", "HalfCauchy(0.05)", "Uniform(0, 0.5)")
    ]
    assert {one["mu"] for one in review["prior_sensitivity"]} == {"Normal(0, 1)"}


def test_ratio_measures_add_their_exponentials(counts):
    mu = counts["posterior"]["mu"]
    assert mu["exp"] == {
        name: pytest.approx(exp(mu[name]), rel=1e-15) for name in ("median", "lower", "upper")
    }
    assert "exp" not in counts["posterior"]["tau"]
    assert "exp" in counts["studies"][0]["theta"]
    for name in ("fixed", "MH", "Peto"):
        block = counts["classical"][name]
        assert block["exp"]["estimate"] == pytest.approx(exp(block["estimate"]), rel=1e-15)


def test_093_a_trial_without_events_is_excluded_and_said(counts):
    assert counts["k"] == 3
    assert counts["excluded"] == [{"slab": "Huang 2018", "reason": "no events in either group"}]


def test_the_level_of_the_analysis_is_that_of_the_classical_intervals_too(counts):
    """Mantel-Haenszel: -1.29986854830146, se 0.379716213345264 (R metafor, rma.mh); z is that of 0.95."""
    block, z = counts["classical"]["MH"], 1.6448536269514722
    assert block["lower"] == pytest.approx(-1.29986854830146 - z * 0.379716213345264, rel=1e-9)
    fixed = counts["leave_one_out"][0]["classical"]["fixed"]
    assert fixed["upper"] - fixed["estimate"] == pytest.approx(z * fixed["se"], rel=1e-9)


def test_probabilities_are_those_asked_for_and_those_of_benefit_on_the_better_side(counts):
    found = counts["posterior"]["probabilities"]
    assert list(found) == ["tau < 0.3", "mu < 0", "mu < -0.1", "theta_new < -0.1"]
    assert found["mu < -0.1"] < found["mu < 0"]


def test_a_moment_that_does_not_exist_is_null_with_its_name():
    """k = 3, flat mean and flat tau: tail exponent 0 + 3 - 1 = 2, no mean (ENGINES 1.4)."""
    text = (
        '[analysis]\ntitle = "T"\n[data]\ndataset = "eight_schools"\nmeasure = "GEN"\nslab = "school"\n'
        'exclude = ["A", "B", "C", "D", "E"]\ncolumns = { yi = "effect", sei = "stderr" }\n'
        '[model.priors]\nmu = "Flat()"\ntau = "Flat()"\n'
    )
    mu = answered(text)["posterior"]["mu"]
    assert (mu["mean"], mu["sd"]) == (None, None)
    assert mu["does_not_exist"] == ["mean", "sd"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("k", 3),
        ("posterior.mu.mean", 0.5),
        ("posterior.probabilities.mu > 0.02", 0.9),
        ("regressions.all.coefficients.site[hip].mean", -1.5),
        ("leave_one_out.1.mu", 2.0),
        ("leave_one_out[1].mu", 2.0),
        ("leave_one_out[2].mu", None),
        ("posterior.mu", None),
        ("posterior.nothing.mean", None),
        ("status", None),
        ("ok", None),
    ],
)
def test_a_path_finds_its_number_or_none(path, value):
    content = {
        "k": 3,
        "ok": True,
        "status": "ok",
        "posterior": {"mu": {"mean": 0.5}, "probabilities": {"mu > 0": 0.99, "mu > 0.02": 0.9}},
        "regressions": {"all": {"coefficients": {"site[hip]": {"mean": -1.5}}}},
        "leave_one_out": [{"mu": 1.0}, {"mu": 2.0}],
    }
    assert lookup(content, path) == value


def test_an_inverted_answer_is_compared_with_the_reciprocal():
    """The published 3.67 is 1 / 0.27257 (Yu et al. 2025, Fig. 8)."""
    found = verdict(Expected("x", 3.669, 5e-4, "Fig. 8", invert=True), {"x": 0.27257})
    assert found["computed"] == pytest.approx(3.66878, abs=5e-6)
    assert found["ok"]
    assert not verdict(Expected("x", 3.669, 5e-4), {"x": 0.27257})["ok"]
    assert not verdict(Expected("x", 1.0, 5e-4), {"x": nan})["ok"]
