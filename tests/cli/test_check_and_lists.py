"""`bayesmeta check`, `datasets`, `models`, `schema`: what is there, and what would run."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_check_says_what_would_run_and_writes_nothing(call):
    before = sorted(Path().rglob("*"))
    result = call("check", "exercise_bmd")
    assert result.code == 0
    for part in (
        "main",
        "regressions.all",
        "subgroups.fracture_site.mixed",
        "nuts",
        "tau ~ HalfNormal(0.05)",
    ):
        assert part in result.out
    assert "Known answers to be checked: 22" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert sorted(Path().rglob("*")) == before


def test_check_tells_the_same_as_json(call):
    content = json.loads(call("check", "exercise_bmd", "--engine", "exact", "--json").out)
    fits = {one["name"]: one for one in content["fits"]}
    assert (fits["main"]["k"], fits["main"]["p"], fits["main"]["engine"]) == (11, 1, "exact")
    assert (fits["regressions.all"]["k"], fits["regressions.all"]["p"]) == (11, 5)
    assert [fits[f"subgroups.exercise_type.{name}"]["k"] for name in ("local", "whole-body")] == [7, 4]
    assert fits["main"]["priors"]["tau"] == {"prior": "HalfNormal(0.05)", "default": False}


def test_check_finds_mistakes_in_the_data_too(call):
    Path("trials.csv").write_text(Path("trials.csv").read_text().replace("0.30", "NR"))
    result = call("check", "small.toml")
    assert result.code == 3
    assert result.err.startswith('bayesmeta: error: trials.csv:3 study "Zhu 2023" column "effect"')


def test_039_a_fit_doubts_a_prior_that_is_far_wider_than_the_data(call):
    """HalfNormal(2) has median 1.35, 27 times the median standard error of 0.05."""
    Path("small.toml").write_text(Path("small.toml").read_text().replace("HalfNormal(0.5)", "HalfNormal(2)"))
    result = call(
        "fit", "trials.csv", "yi=effect", "sei=se", "--mu", "Normal(0, 1)", "--tau", "HalfNormal(2)"
    )
    assert result.code == 0
    assert "[wide-tau-prior]" in result.err
    assert "27 times the median standard error" in result.err


def test_the_data_sets_are_listed_and_printed_as_csv(call):
    listed = call("datasets")
    assert listed.code == 0
    assert any(line.startswith("exercise_bmd ") for line in listed.out.splitlines())
    printed = call("datasets", "exercise_bmd")
    assert printed.out == (ROOT / "bayesmeta" / "datasets" / "exercise_bmd.csv").read_text()
    assert len(list(csv.DictReader(printed.out.splitlines()))) == 11
    names = [one["name"] for one in json.loads(call("datasets", "--json").out)]
    assert {"exercise_bmd", "bcg"} <= set(names)


def test_a_shipped_analysis_is_printed_so_that_it_can_be_copied_and_run(call):
    assert "exercise_refracture" in call("models").out
    text = call("models", "exercise_bmd").out
    assert text == (ROOT / "models" / "exercise_bmd.toml").read_text()
    Path("mine.toml").write_text(text)
    assert call("check", "mine.toml").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("datasets", "bgc"), 2, "unknown data set 'bgc'; did you mean 'bcg'?"),
        (
            ("models", "exercise_bdm"),
            5,
            "no analysis file or shipped analysis 'exercise_bdm'; did you mean 'exercise_bmd'?",
        ),
        (
            ("run", "exercise_bdm"),
            5,
            "no analysis file or shipped analysis 'exercise_bdm'; did you mean 'exercise_bmd'?",
        ),
        (
            ("rnu", "x"),
            2,
            "no such command 'rnu'; did you mean 'run'?; 'bayesmeta --help' shows what is possible",
        ),
        (("run",), 2, "missing argument 'FILE|NAME'; 'bayesmeta run --help' shows what is possible"),
        (
            ("run", "small.toml", "--engine", "exakt"),
            2,
            "engine must be 'auto', 'exact' or 'nuts'; got 'exakt'; did you mean 'exact'?",
        ),
    ],
)
def test_names_and_options_that_do_not_exist_get_a_suggestion(call, arguments, code, message):
    result = call(*arguments)
    assert (result.code, result.out) == (code, "")
    assert result.err == f"bayesmeta: error: {message}\n"


def test_an_unknown_option_is_a_usage_error(call):
    result = call("run", "small.toml", "--overwritee")
    assert result.code == 2
    assert result.err.startswith("bayesmeta: error: no such option: --overwritee")
    assert len(result.err.splitlines()) == 1


def test_the_schema_describes_the_shipped_analyses(call):
    schema = json.loads(call("schema").out)
    properties = schema["properties"]
    for path in (ROOT / "models").glob("*.toml"):
        content = tomllib.loads(path.read_text())
        assert set(content) <= set(properties)
        for name, entries in content.items():
            if isinstance(entries, dict):
                reference = properties[name].get("$ref") or properties[name]["allOf"][0]["$ref"]
                assert set(entries) <= set(schema["$defs"][reference.rpartition("/")[2]]["properties"]), name
    columns = schema["$defs"]["DataOptions"]["properties"]["columns"]
    assert columns == {"type": "object", "additionalProperties": {"type": "string"}}
    assert schema["required"] == ["analysis", "data"]


def test_help_and_version(call):
    from bayesmeta import __version__

    assert "Usage: bayesmeta" in call("--help").out
    assert call() == call("--help")
    assert call("--version") == (0, f"bayesmeta {__version__}\n", "")
    for command in ("run", "fit", "check", "datasets", "models", "schema"):
        result = call(command, "--help")
        assert (result.code, result.err) == (0, "")
        assert f"Usage: bayesmeta {command}" in result.out
