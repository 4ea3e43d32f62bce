"""A scale formula in the main model of an analysis file: what is run, shown and refused."""

import re
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import bayesmeta as bm
from bayesmeta.analysis import parse_analysis, to_toml
from bayesmeta.cli.view import run_view
from bayesmeta.errors import ModelError
from bayesmeta.report import render
from bayesmeta.workflow.compute import compute
from bayesmeta.workflow.document import document
from bayesmeta.workflow.files import summary_table
from bayesmeta.workflow.prepare import prepare
from bayesmeta.writers import json_text

HEAD = """
[analysis]
title = "Spread"
seed = 1
[data]
dataset = "exercise_bmd"
measure = "MD"
slab = "study"
columns = { m1i = "exercise_mean", sd1i = "exercise_sd", n1i = "exercise_n", m2i = "control_mean", \
sd2i = "control_sd", n2i = "control_n" }
better = "higher"
"""
MODEL = """
[model]
scale = "C(exercise_type)"
[model.priors]
mu = "Normal(0, 1)"
tau = "HalfNormal(0.05)"
delta = "Normal(0, 1)"
[engine]
name = "exact"
"""
REST = """
[[regressions]]
name = "mean"
mods = "C(exercise_type)"
[[regressions]]
name = "one"
mods = "duration_months"
scale = "1"
[[subgroups]]
by = "exercise_type"
[report]
probabilities = ["`tau[local]` > `tau[whole-body]`"]
"""


@pytest.fixture(scope="module")
def outcome():
    return compute(parse_analysis(HEAD + MODEL + REST))


@pytest.fixture(scope="module")
def content(outcome):
    return document(outcome)


@pytest.fixture(scope="module")
def shown(content):
    console = Console(width=100, record=True, file=StringIO())
    for part in run_view(content):
        console.print(part)
    return re.sub(" +$", "", console.export_text(), flags=re.MULTILINE)


@pytest.fixture(scope="module")
def page(content):
    html = render(content)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def test_the_main_model_has_the_scale_formula_and_survives_being_written():
    analysis = parse_analysis(HEAD + MODEL + REST)
    assert analysis.main_model() == bm.Model(
        scale="C(exercise_type)", mu="Normal(0, 1)", tau="HalfNormal(0.05)", delta="Normal(0, 1)"
    )
    assert parse_analysis(to_toml(analysis)) == analysis


def test_regressions_have_the_scale_formula_of_the_main_model_unless_they_say_otherwise():
    analysis = parse_analysis(HEAD + MODEL + REST)
    same, one = map(analysis.regression_model, analysis.regressions)
    assert (same.scale, str(same.delta)) == ("C(exercise_type)", "Normal(0, 1)")
    assert (one.scale, one.delta) == ("1", None)


def test_the_evidence_is_that_of_the_same_model_by_brute_force(content):
    """540 by 641 points of the trapezoidal rule, as in models/exercise_spread.toml."""
    assert content["posterior"]["log_evidence"] == pytest.approx(15.776041216, abs=2e-9)
    assert content["scale"] == "C(exercise_type)"


def test_every_number_of_the_document_is_strict_json(content):
    assert '"tau[local]"' in json_text(content)


def test_the_table_of_all_quantities_has_the_taus_of_main_model_and_regressions(content):
    rows = {(row["fit"], row["quantity"]): row["median"] for row in summary_table(content)}
    for fit, block in (
        ("main", content["posterior"]),
        ("regressions.mean", content["regressions"]["mean"]["spread"]),
    ):
        for name in ("tau[local]", "tau[whole-body]", "delta[exercise_type[whole-body]]"):
            assert rows[fit, name] == block[name]["median"]
    assert ("regressions.one", "tau[local]") not in rows


def test_subgroups_have_one_tau_each_and_say_so(outcome, content):
    assert (
        "one-tau-exercise_type",
        "groups of exercise_type have one tau each; the scale formula of the main model is not in them",
    ) in outcome.notes
    studies = outcome.studies.take(
        np.array([kind == "local" for kind in outcome.studies.columns["exercise_type"]])
    )
    alone = bm.fit(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)"), engine="exact")
    found = content["subgroups"]["exercise_type"]["groups"]["local"]["posterior"]
    assert found["mu"]["median"] == pytest.approx(alone.marginal("mu").median, rel=1e-9)
    assert list(found) == [
        "engine",
        "mu",
        "tau",
        "theta_new",
        "tau2",
        "I2",
        "H2",
        "probabilities",
        "log_evidence",
    ]


def test_studies_are_left_out_and_priors_exchanged_in_the_same_model():
    wanted = '[sensitivity]\nleave_one_out = true\ntau_priors = ["HalfNormal(0.1)"]\n'
    found = compute(parse_analysis(HEAD + MODEL + wanted))
    assert [one.fit.model.scale for one in found.left_out] == ["C(exercise_type)"] * 11
    other = bm.Model(scale="C(exercise_type)", mu="Normal(0, 1)", tau="HalfNormal(0.1)", delta="Normal(0, 1)")
    expected = bm.fit(found.studies, other, engine="exact").log_evidence
    assert found.priors[0].fit.log_evidence == pytest.approx(expected, abs=1e-9)


def test_what_takes_one_tau_is_left_out_in_one_sentence(content):
    assert content["robustness"]["reasons"] == {
        "all": "much of the sensitivity takes one tau for all studies: Bayes factors, the atlas of priors, "
        "tipping points, outliers, subsets of the studies; the main model has scale 'C(exercise_type)'"
    }


def test_moderators_are_not_selected_with_more_than_one_tau():
    analysis = parse_analysis(HEAD + MODEL + '[moderators]\nterms = ["duration_months"]\n')
    message = (
        "[moderators]: moderators are selected with one tau for all studies; got scale 'C(exercise_type)' in "
        "[model]; move it to one of the [[regressions]]"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        prepare(analysis)


def test_a_level_of_one_study_stops_leaving_out_and_nothing_else(tmp_path):
    table = pd.DataFrame({"y": [0.1, 0.4, 0.2, 0.9], "s": [0.1, 0.2, 0.1, 0.2], "g": list("aaab")})
    table.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "a.toml").write_text(
        '[analysis]\ntitle = "t"\n[data]\nfile = "t.csv"\nmeasure = "GEN"\n'
        'columns = { yi = "y", sei = "s" }\n'
        '[model]\nscale = "C(g)"\n[model.priors]\nmu = "Normal(0, 1)"\ntau = "HalfNormal(1)"\n'
        '[engine]\nname = "exact"\n[sensitivity]\nleave_one_out = true\n'
    )
    from bayesmeta.analysis import load_analysis

    found = compute(load_analysis(tmp_path / "a.toml"))
    assert found.left_out == ()
    sentence = (
        'studies could not be left out in turn, because a formula needs each of them: column "g" is "a" in '
        "every study; a moderator must vary; leave it out of the formula"
    )
    assert ("leave-one-out", sentence) in found.notes


def test_the_terminal_shows_the_taus_as_heterogeneity_with_REML_beside(content, shown):
    assert "tau differs between studies, by C(exercise_type)" in shown
    effects, heterogeneity = shown.split("Heterogeneity\n")[0], shown.split("Heterogeneity\n")[1]
    assert "tau[local]" not in effects.split("Effect:")[1].split(" P(")[0]
    row = next(line for line in heterogeneity.splitlines() if "tau[local]" in line)
    spread = content["classical"]["REML_LS"]["spread"]["quantities"]["tau[local]"]
    assert row.split()[-3:] == [
        f"{spread['estimate']:.3f}",
        f"[{spread['lower']:.3f},",
        f"{spread['upper']:.3f}]",
    ]
    text = re.sub(r"\s+", " ", shown)
    LR = content["classical"]["REML_LS"]["spread"]["LR"]
    assert (
        f"One tau for all studies, REML: likelihood ratio {LR:.2f} on 1 df, p = 0.381; Wald test does not "
        "exist Note: the REML likelihood of the location-scale model has no maximum: it rises as "
        "tau[whole-body] goes to 0"
    ) in text


def test_a_regression_with_scale_has_REML_of_the_same_model_beside(content, shown):
    block = content["regressions"]["mean"]["classical"]["REML_LS"]
    part = shown.split("Regression mean")[1].split("Regression one")[0]
    row = next(line for line in part.splitlines() if line.strip().startswith("exercise_type[whole-body]"))
    estimate = block["coefficients"]["exercise_type[whole-body]"]
    assert row.split()[-2:] == [f"{estimate['estimate']:.4f}", f"{estimate['p']:.3f}"]
    other = shown.split("Regression one")[1].split("Subgroups")[0]
    assert "fixed" in other
    assert "One tau for all studies" not in other


def test_the_page_writes_the_model_and_its_code(page):
    assert "log τi = log τ + Σj δj zij by C(exercise_type)" in page
    assert "scale=&#34;C(exercise_type)&#34;" in page
    assert "delta=&#34;Normal(0, 1)&#34;" in page
    assert "differ with standard deviations whose geometric mean is" in page
    assert "with standard deviation τ that depends on “C(exercise_type)”" in page
    assert "Location-scale models for meta-analysis. Res Synth Methods 13:697–715" in page


def test_the_page_has_the_taus_with_REML_beside_and_its_doubt(content, page):
    table = page[page.index("Heterogeneity by C(exercise_type)") :]
    spread = content["classical"]["REML_LS"]["spread"]
    tau = spread["quantities"]["tau[local]"]
    assert f"{tau['estimate']:.3f} [{tau['lower']:.3f}, {tau['upper']:.3f}]" in table
    assert "The REML likelihood of the location-scale model has no maximum" in table
    assert (
        f"likelihood ratio {spread['LR']:.2f} on 1 degrees of freedom, p = 0.38; Wald test does not exist"
        in table
    )
