"""Analysis files: rows 031 to 054 of the table of bad inputs, and what a good file says."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from bayesmeta.analysis import list_analyses, load_analysis, parse_analysis, to_toml
from bayesmeta.analysis_options import EngineOptions, IntervalOptions
from bayesmeta.errors import AnalysisError, FileError
from bayesmeta.priors import HalfNormal, Normal

GIVEN = """
[analysis]
title = "T"
[data]
file = "trials.csv"
measure = "GEN"
columns = { yi = "effect", sei = "se" }
"""

MEANS = """
[analysis]
title = "T"
[data]
dataset = "exercise_bmd"
measure = "MD"
columns = { m1i = "exercise_mean", sd1i = "exercise_sd", n1i = "exercise_n",
            m2i = "control_mean",  sd2i = "control_sd",  n2i = "control_n" }
"""


def refusal(text, **options):
    with pytest.raises(AnalysisError) as caught:
        parse_analysis(text, source="a.toml", **options)
    assert type(caught.value) is AnalysisError
    return str(caught.value)


def with_entry(table, entry, base=GIVEN):
    """Return the base document with one entry more in a table."""
    if f"[{table}]\n" in base:
        return base.replace(f"[{table}]\n", f"[{table}]\n{entry}\n")
    return f"{base}[{table}]\n{entry}\n"


def test_what_a_short_file_leaves_out_has_its_default():
    analysis = parse_analysis(GIVEN)
    assert (analysis.title, analysis.description, analysis.seed) == ("T", "", None)
    assert analysis.data.columns == (("yi", "effect"), ("sei", "se"))
    assert analysis.data.drop00 is True
    assert analysis.engine == EngineOptions("nuts", 4, 1000, 1000, 0.95, "exact")
    assert analysis.interval == IntervalOptions("eti", 0.95)
    assert analysis.main_model().mods == "1"
    assert analysis.main_model().center is True
    assert (analysis.regressions, analysis.subgroups, analysis.expected) == ((), (), ())
    assert (analysis.sensitivity.leave_one_out, analysis.sensitivity.tau_priors) == (False, ())


def test_inline_tables_may_go_over_several_lines_and_end_with_a_comma():
    text = MEANS.replace('n2i = "control_n" }', 'n2i = "control_n", # the last\n}')
    assert parse_analysis(text) == parse_analysis(MEANS)
    assert dict(parse_analysis(MEANS).data.columns)["n2i"] == "control_n"


def test_a_mistake_behind_an_inline_table_of_several_lines_has_its_own_line():
    assert refusal(f"{MEANS}[engine]\nchains = = 4\n") == "a.toml:10: not TOML: invalid value"
    assert refusal(f"{MEANS}[engine]\nchains = 0\n") == "a.toml:10: [engine] chains must be >= 1; got 0"


def test_the_shipped_analyses_are_found_by_name_and_by_path():
    assert list_analyses() == tuple(sorted(path.stem for path in Path("models").glob("*.toml")))
    for name in list_analyses():
        analysis = load_analysis(name)
        assert analysis == load_analysis(Path("models") / f"{name}.toml")
        assert analysis.name == name
        assert len(analysis.sha256) == 64


def test_the_readme_of_the_models_lists_every_file():
    readme = Path("models/README.md").read_text()
    assert all(f"`{name}`" in readme for name in list_analyses())


def test_the_review_of_bone_density_says_what_it_should():
    analysis = load_analysis("exercise_bmd")
    model = analysis.main_model()
    assert (model.mu, model.beta, model.tau) == (Normal(0, 1), Normal(0, 1), HalfNormal(0.05))
    assert [regression.name for regression in analysis.regressions] == [
        *("duration", "exercise_type", "fracture_site", "all")
    ]
    assert analysis.regression_model(analysis.regressions[0]).center is True
    assert analysis.regression_model(analysis.regressions[3]).center is False
    assert analysis.regression_model(analysis.regressions[3]).tau == HalfNormal(0.05)
    assert [group.by for group in analysis.subgroups] == [
        *("exercise_type", "fracture_site", "duration_class", "tradition")
    ]


def test_a_regression_inherits_the_priors_that_it_does_not_give():
    text = GIVEN + (
        '[model.priors]\nmu = "Normal(0, 1)"\ntau = "HalfNormal(1)"\n'
        '[[regressions]]\nname = "a"\nmods = "x"\npriors.tau2 = "Exponential(2)"\n'
        '[[regressions]]\nname = "b"\nmods = "y"\npriors = { mu = "Normal(0, 9)" }\n'
    )
    analysis = parse_analysis(text)
    first, second = map(analysis.regression_model, analysis.regressions)
    assert (str(first.mu), first.tau, str(first.tau2)) == ("Normal(0, 1)", None, "Exponential(2)")
    assert (str(second.mu), str(second.tau), second.tau2) == ("Normal(0, 9)", "HalfNormal(1)", None)


@pytest.mark.parametrize("name", list_analyses())
def test_an_analysis_survives_the_journey_to_toml_and_back(name):
    analysis = load_analysis(name)
    assert parse_analysis(to_toml(analysis)) == analysis
    assert pickle.loads(pickle.dumps(analysis)) == analysis  # noqa: S301


def test_odd_texts_survive_the_journey_too():
    analysis = replace(parse_analysis(GIVEN), title='a "b" \\ ü\n# [x]', description="'''")
    assert parse_analysis(to_toml(analysis)) == analysis


@pytest.mark.parametrize(
    ("table", "entry", "sentence"),
    [
        ("analysis", "seed = -1", "a.toml:3: [analysis] seed must be >= 0; got -1"),
        ("analysis", "seed = 4294967296", "a.toml:3: [analysis] seed must be < 4294967296; got 4294967296"),
        ("analysis", "seed = 1.5", "a.toml:3: [analysis] seed must be a whole number; got 1.5"),
        (
            "analysis",
            "schema_version = 2",
            "a.toml:3: [analysis] schema_version must be at most 1; got 2: the file is for a newer bayesmeta",
        ),
        ("analysis", 'titel = "T"', "a.toml:3: [analysis] unknown key 'titel'; did you mean 'title'?"),
        (
            "data",
            'better = "hihger"',
            "a.toml:5: [data] better must be '', 'higher' or 'lower'; got 'hihger'; did you mean 'higher'?",
        ),
        (
            "data",
            "minimal_important_difference = 0",
            "a.toml:5: [data] minimal_important_difference must be > 0; got 0",
        ),
        ("data", 'exclude = "A"', "a.toml:5: [data] exclude must be a list; got 'A'"),
        ("data", "exclude = [1]", "a.toml:5: [data] exclude[1] must be text; got 1"),
        (
            "data",
            'also = ["RR"]',
            "a.toml:5: [data] also: needs the arms of the studies; effects (yi) are of one measure",
        ),
        (
            "data",
            "add = 0.1",
            "a.toml:5: [data] add: is for measures with a correction for zeros; leave it out",
        ),
        ("engine", "chains = 65", "a.toml:9: [engine] chains must be <= 64; got 65"),
        ("engine", "draws = 1000000000000", "a.toml:9: [engine] draws must be <= 1000000; got 1000000000000"),
        ("engine", "draws = 1000.0", "a.toml:9: [engine] draws must be a whole number; got 1000.0"),
        ("engine", 'tune = "1000"', "a.toml:9: [engine] tune must be a whole number; got '1000'"),
        ("engine", 'name = "stan"', "a.toml:9: [engine] name must be 'nuts', 'exact' or 'auto'; got 'stan'"),
        ("engine", "target_accept = true", "a.toml:9: [engine] target_accept must be a number; got true"),
        ("interval", "prob = nan", "a.toml:9: [interval] prob must be finite; got nan"),
        ("interval", "prob = inf", "a.toml:9: [interval] prob must be finite; got inf"),
        ("interval", "prob = 95", "a.toml:9: [interval] prob must be < 1; got 95"),
        ("model", "center = 1", "a.toml:9: [model] center must be true or false; got 1"),
        (
            "model",
            'likelihood = "binom"',
            "a.toml:9: [model] likelihood must be one of 'normal', 'binomial'; got 'binom'; did"
            " you mean 'binomial'?",
        ),
        (
            "model.priors",
            'taau = "HalfNormal(1)"',
            "a.toml:9: [model.priors] unknown key 'taau'; did you mean 'tau'?",
        ),
        (
            "model.priors",
            'tau = "HalfNormal(0)"',
            "a.toml:9: [model.priors] tau: HalfNormal.sigma must be a positive number; got 0",
        ),
        ("model.priors", "tau = 0.5", "a.toml:9: [model.priors] tau must be text; got 0.5"),
        (
            "model.priors",
            'beta = { a = "Nrmal(0, 1)", b = 3 }',
            "a.toml:9: [model.priors] beta.a: unknown prior 'Nrmal'; did you mean 'Normal'?\n"
            "a.toml:9: [model.priors] beta.b must be text; got 3",
        ),
        (
            "model.priors",
            'tau = "HalfNormal(1)"\ntau2 = "HalfNormal(1)"',
            "a.toml:10: [model.priors] tau2: give a prior of tau or of tau2, not of both",
        ),
        (
            "sensitivity",
            'tau_priors = [\n"HalfNormal(1)",\n"HalfNormal(1)",\n]',
            "a.toml:11: [sensitivity] tau_priors[2]: 'HalfNormal(1)' stands twice; give each one once",
        ),
        (
            "sensitivity",
            'tau_priors = [\n"HalfNormal(1)",\n"Half(1)",\n]',
            "a.toml:11: [sensitivity] tau_priors[2]: unknown prior 'Half'",
        ),
        ("plots", "x = 1", "a.toml:8: unknown table 'plots'"),
        (
            "figures",
            'formats = ["gif"]',
            "a.toml:9: [figures] formats[1] must be 'svg', 'png' or 'pdf'; got 'gif'",
        ),
    ],
)
def test_a_wrong_entry_is_named_with_its_line(table, entry, sentence):
    assert refusal(with_entry(table, entry)).startswith(sentence)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines():
    text = GIVEN.replace('"T"', "3") + '[engine]\nchains = 0\ndrawz = 3\n[[regressions]]\nmods = "x"\n'
    assert refusal(text).splitlines() == [
        "a.toml:3: [analysis] title must be text; got 3",
        "a.toml:9: [engine] chains must be >= 1; got 0",
        "a.toml:10: [engine] unknown key 'drawz'; did you mean 'draws'?",
        "a.toml:11: [[regressions]] needs 'name'",
    ]


def test_what_is_missing_is_named():
    assert refusal("") == "a.toml: the table [analysis] is missing\na.toml: the table [data] is missing"
    assert refusal('[analysis]\n[data]\nfile = "a.csv"\n').splitlines() == [
        "a.toml:1: [analysis] needs 'title'",
        "a.toml:2: [data] needs 'columns'",
        "a.toml:2: [data] needs 'measure'",
    ]


def test_035_a_key_or_table_that_stands_twice_is_named_with_its_line():
    assert refusal(with_entry("data", 'measure = "MD"')) == "a.toml:7: not TOML: this key stands twice"
    assert refusal(f'{GIVEN}[analysis]\ntitle = "U"\n').startswith("a.toml:8: not TOML: ")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            '{ ai = "a", n1i = "b" }',
            "a.toml:7: [data] columns: measure 'MD' needs m1i, sd1i, n1i, m2i, sd2i, n2i; got ai, n1i",
        ),
        (
            '{ yi = "a" }',
            "a.toml:7: [data] columns: effects (yi) need sei (standard errors) or vi (variances)",
        ),
        (
            '{ yi = "a", se = "b", vi = "c" }',
            "a.toml:7: [data] columns: effects (yi) come with sei, vi or ni; got 'se'; did you mean 'sei'?",
        ),
        ('{ yi = "a", sei = 3 }', "a.toml:7: [data] columns.sei must be text; got 3"),
        (
            '"yi"',
            'a.toml:7: [data] columns must be a table such as { yi = "effect", sei = "se" }; got \'yi\'',
        ),
    ],
)
def test_050_columns_that_do_not_fit_the_measure_are_refused(columns, sentence):
    text = GIVEN.replace('"GEN"', '"MD"').replace('{ yi = "effect", sei = "se" }', columns)
    assert refusal(text) == sentence


def test_an_unknown_measure_or_data_set_gets_a_suggestion():
    text = MEANS.replace('"MD"', '"MDD"').replace('"exercise_bmd"', '"exercise_bdm"')
    assert refusal(text).splitlines() == [
        "a.toml:5: [data] dataset: unknown data set 'exercise_bdm'; did you mean 'exercise_bmd'?",
        "a.toml:6: [data] measure: unknown measure 'MDD'; did you mean 'MD'?",
    ]


def test_the_data_come_from_one_place():
    both = with_entry("data", 'dataset = "exercise_bmd"')
    must = "[data] dataset: give either dataset (the name of a bundled one) or file (a path)"
    assert refusal(both) == f"a.toml:5: {must}; got both"
    assert refusal(GIVEN.replace('file = "trials.csv"\n', "")) == f"a.toml:4: {must}; got neither"
    assert refusal(with_entry("data", 'na_values = ["NR"]', MEANS)) == (
        "a.toml:5: [data] na_values: belongs to a file; leave it out with a bundled dataset"
    )


@pytest.mark.parametrize(
    "path",
    [
        "../t.csv",
        "/etc/passwd",
        "~/t.csv",
        "a/../../t.csv",
        "C:\\\\t.csv",
        "\\\\\\\\host\\\\t.csv",
        "..\\\\t.csv",
    ],
)
def test_data_beyond_the_folder_of_the_file_are_refused(path):
    text = GIVEN.replace("trials.csv", path)
    assert refusal(text).startswith(
        "a.toml:5: [data] file must lie beneath the folder of the analysis file;"
        " --allow-outside lifts this; got '"
    )


def test_data_beyond_the_folder_can_be_allowed_but_nothing_comes_from_the_network(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(GIVEN.replace("trials.csv", "../t.csv"))
    assert load_analysis(path, allow_outside=True).allow_outside
    path.write_text(GIVEN.replace("trials.csv", "https://example.org/t.csv"))
    with pytest.raises(
        AnalysisError, match=r"\[data\] file must be a file, not an address on the network; got"
    ):
        load_analysis(path, allow_outside=True)


def test_names_that_stand_twice_are_refused():
    regression = '[[regressions]]\nname = "a"\nmods = "x"\n'
    subgroup = '[[subgroups]]\nby = "g"\n'
    assert refusal(GIVEN + regression * 2 + subgroup * 2).splitlines() == [
        "a.toml:12: [[regressions]] name: 'a' stands twice; give each one once",
        "a.toml:17: [[subgroups]] by: 'g' stands twice; give each one once",
    ]


def test_mistakes_in_lists_of_tables_have_their_lines():
    text = (
        f'{GIVEN}[[regressions]]\nname = "a.b"\nmods = "x + import(os)"\n'
        '[[regressions]]\nname = "c"\nmods = "x"\n[regressions.priors]\nmu = "Flt()"\n'
        '[[expected]]\nquantity = "a..b"\nvalue = inf\ntolerance = 0\n'
    )
    lines = refusal(text).splitlines()
    assert lines[0] == "a.toml:9: [[regressions]] name must be 1 to 60 letters, digits, '_' or '-'; got 'a.b'"
    assert lines[1].startswith("a.toml:10: [[regressions]] mods: formula 'x + import(os)'")
    assert lines[2] == "a.toml:15: [regressions.priors] mu: unknown prior 'Flt'; did you mean 'Flat'?"
    assert lines[3:] == [
        "a.toml:17: [[expected]] quantity must be a dotted path into results.json,"
        " such as 'classical.fixed.estimate'; got 'a..b'",
        "a.toml:18: [[expected]] value must be finite; got inf",
        "a.toml:19: [[expected]] tolerance must be > 0; got 0",
    ]


def test_a_model_that_contradicts_itself_is_refused_where_it_is_put_together():
    text = (
        f'{GIVEN}[model]\neffects = "common"\n'
        '[[regressions]]\nname = "a"\nmods = "x"\npriors.tau = "HalfNormal(1)"\n'
    )
    assert refusal(text) == (
        "a.toml:10: [[regressions]] effects='common' means tau = 0;"
        " leave out the prior of tau, or use effects='normal'"
    )


def test_control_characters_and_dates_are_no_text():
    text = GIVEN.replace('"T"', '"a\\u0000b"').replace('"effect"', "2026-02-01")
    assert refusal(text).splitlines() == [
        "a.toml:3: [analysis] title must not hold control characters",
        "a.toml:7: [data] columns.yi must be text; got 2026-02-01",
    ]


def test_a_file_that_is_too_large_or_too_deep_is_refused(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(GIVEN + "#" * 2**20)
    with pytest.raises(FileError, match=r"a.toml: the file is larger than the limit of 1 MB$"):
        load_analysis(path)
    deep = "a.toml: tables and keys must not be nested more than 16 deep"
    assert refusal("x = " + "[" * 50_000) == deep
    assert refusal("x = " + "{a = " * 50_000) == deep
    assert refusal("a." * 250_000 + "a = 1\n") == deep  # the standard library takes the square of its length
    assert refusal("x = " + "[" * 20 + "]" * 20) == deep


def test_a_name_that_nothing_has_gets_a_suggestion(tmp_path):
    with pytest.raises(FileError) as caught:
        load_analysis("exercise_bdm")
    assert str(caught.value) == (
        "no analysis file or shipped analysis 'exercise_bdm'; did you mean 'exercise_bmd'?"
    )
    with pytest.raises(FileError, match=r"nothing.toml: no such file$"):
        load_analysis(tmp_path / "nothing.toml")
    with pytest.raises(FileError):
        load_analysis("a\0b")
    with pytest.raises(AnalysisError, match=r"a.toml:2: the file must be UTF-8; save it as such$"):
        (tmp_path / "a.toml").write_bytes(b"[analysis]\ntitle = '\xff'\n")
        load_analysis(tmp_path / "a.toml")
