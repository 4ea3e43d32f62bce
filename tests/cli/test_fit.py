"""`bayesmeta fit`: one line, no file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import special

PRIORS = ("--tau", "HalfNormal(5)", "--mu", "Normal(0, 50)")
ARMS = (
    *("m1i=exercise_mean", "sd1i=exercise_sd", "n1i=exercise_n"),
    *("m2i=control_mean", "sd2i=control_sd", "n2i=control_n"),
)


def schools(call, *more):
    return call("fit", "eight_schools", "yi=effect_rounded", "sei=stderr_rounded", *PRIORS, *more)


def test_a_line_gives_the_golden_posterior_of_eight_schools_and_writes_nothing(call):
    """G2 of the golden values: 30-digit arithmetic."""
    before = sorted(Path().rglob("*"))
    result = schools(call, "--json")
    assert result.code == 0
    posterior = json.loads(result.out)["posterior"]
    assert posterior["mu"]["mean"] == pytest.approx(7.72781480530356, rel=1e-9)
    assert posterior["mu"]["lower"] == pytest.approx(-0.783467571162411, rel=1e-8)
    assert posterior["theta_new"]["upper"] == pytest.approx(19.8330826219129, rel=1e-8)
    assert posterior["log_evidence"] == pytest.approx(-32.3821485275205, rel=1e-9)
    assert sorted(Path().rglob("*")) == before


def test_the_table_fits_eighty_columns(call):
    result = schools(call)
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= 80
    assert "7.73" in result.out


def test_options_reach_the_model(call):
    wide = json.loads(schools(call, "--json").out)["posterior"]["mu"]
    narrow = json.loads(schools(call, "--json", "--prob", "0.5").out)
    assert narrow["interval"] == {"kind": "eti", "prob": 0.5}
    assert (
        wide["lower"]
        < narrow["posterior"]["mu"]["lower"]
        < narrow["posterior"]["mu"]["upper"]
        < wide["upper"]
    )
    shortest = json.loads(schools(call, "--json", "--kind", "hdi").out)["posterior"]["tau"]
    assert shortest["lower"] < 0.02
    without = json.loads(schools(call, "--json", "--exclude", "A").out)
    assert (without["k"], without["excluded"][0]["slab"]) == (7, "A")


def test_moderators_and_arms_give_a_regression(call):
    priors = ("--tau", "HalfNormal(0.05)", "--mu", "Normal(0, 1)", "--beta", "Normal(0, 1)")
    options = ("--measure", "MD", "--mods", "duration_months", "--units", "g/cm2")
    result = call("fit", "exercise_bmd", *ARMS, *options, *priors)
    assert result.code == 0
    assert "duration_months" in result.out
    assert "Mean difference (g/cm2)" in result.out


def test_data_of_a_file_may_lie_anywhere(call, tmp_path):
    path = tmp_path / "deep" / "t.csv"
    path.parent.mkdir()
    path.write_text("a,b\n0.1,0.05\n0.2,0.06\n")
    result = call("fit", path, "yi=a", "sei=b", "--mu", "Normal(0, 1)", "--tau", "HalfNormal(1)", "--json")
    assert json.loads(result.out)["k"] == 2
    assert str(tmp_path) not in result.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("exercise_bdm", "yi=a"),
            5,
            "no file or bundled data set 'exercise_bdm'; did you mean 'exercise_bmd'?",
        ),
        (("nowhere.csv", "yi=a", "sei=b"), 5, "nowhere.csv: no such file"),
        (("trials.csv", "yi"), 2, "'yi' must be NAME=COLUMN, such as yi=effect"),
        (("trials.csv", "yi=effect", "yi=se"), 2, "'yi' stands twice; give each one once"),
        (
            ("trials.csv", "yi=effect", "sei=se", "--measure", "MDD"),
            2,
            "options: [data] measure: unknown measure 'MDD'; did you mean 'MD'?",
        ),
        (
            ("trials.csv", "yi=effect", "sei=se", "--tau", "HalfNormal(0)"),
            2,
            "options: [model.priors] tau: HalfNormal.sigma must be a positive number; got 0",
        ),
        (
            ("trials.csv", "yi=effect", "sei=se", "--engine", "stan"),
            2,
            "options: [engine] name must be 'nuts', 'exact' or 'auto'; got 'stan'",
        ),
        (
            ("trials.csv", "yi=effect", "sei=se", "--prob", "95"),
            2,
            "options: [interval] prob must be < 1; got 95.0",
        ),
        (
            ("https://example.org/t.csv", "yi=a", "sei=b"),
            2,
            "options: [data] file must be a file, not an address",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(call, arguments, code, message):
    result = call("fit", *arguments)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(f"bayesmeta: error: {message}")
    assert len(result.err.splitlines()) == 1


def test_effects_without_a_scale_need_priors_and_the_error_proposes_some(call):
    result = call("fit", "trials.csv", "yi=effect", "sei=se")
    assert result.code == 2
    assert "there is no default prior of mu for effects of unknown kind without sample sizes" in result.err
    # the median standard error is 0.05: twenty and two of them
    assert 'mu = "Normal(0, 1)" and tau = "HalfNormal(0.1)"' in result.err


def test_069_moments_that_do_not_exist_are_said_not_printed(call, tmp_path):
    (tmp_path / "two.csv").write_text("y,s\n0.1,0.2\n0.5,0.2\n")
    asked = ("fit", "two.csv", "yi=y", "sei=s", "--mu", "Flat()", "--tau", "HalfCauchy(0.5)")
    result = call(*asked)
    assert result.code == 0
    assert "does not exist" in result.out
    content = json.loads(call(*asked, "--json").out)
    assert content["posterior"]["mu"]["sd"] is None
    assert "sd" in content["posterior"]["mu"]["does_not_exist"]


def test_the_probability_of_benefit_is_that_of_a_sum_over_a_fine_grid(call):
    """400,000 values of tau, mu given tau normal: prior precision 1, weights 1 / (s^2 + tau^2)."""
    y, s = np.array([0.10, 0.30, 0.05]), np.array([0.05, 0.06, 0.04])
    tau = (np.arange(400_000) + 0.5) * 1e-5
    w = 1 / (s**2 + tau[:, None] ** 2)
    precision, mean = w.sum(axis=1) + 1, (w @ y) / (w.sum(axis=1) + 1)
    fit = (w * y**2).sum(axis=1) - precision * mean**2
    log_density = 0.5 * np.log(w).sum(axis=1) - 0.5 * np.log(precision) - 0.5 * fit - 2 * tau**2
    density = np.exp(log_density - log_density.max())
    above = special.ndtr(mean * np.sqrt(precision))
    wanted = float(density @ above / density.sum())
    asked = ("--mu", "Normal(0, 1)", "--tau", "HalfNormal(0.5)", "--json")
    found = json.loads(call("fit", "trials.csv", "yi=effect", "sei=se", *asked).out)
    assert found["posterior"]["probabilities"]["mu > 0"] == pytest.approx(wanted, abs=1e-9)
