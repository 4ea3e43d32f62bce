"""`bayesmeta run`: files, exit codes, and what is said on which stream."""

from __future__ import annotations

import csv
import hashlib
import json
import socket
from pathlib import Path

import numpy as np
import pytest

from bayesmeta.cli import main
from bayesmeta.output import is_complete

INPUTS = ["small.toml", "trials.csv"]


def files(folder="."):
    """Return the paths of all files and folders beneath a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*"))


def small():
    """Return the text of the small analysis."""
    return Path("small.toml").read_text()


@pytest.fixture(scope="module")
def review(tmp_path_factory):
    """Return the folder of a whole run of the review by the exact engine."""
    folder = tmp_path_factory.mktemp("review") / "bmd"
    assert main(["run", "exercise_bmd", "--engine", "exact", "--out", str(folder), "--quiet"]) == 0
    return folder


def test_a_run_writes_every_file_and_a_manifest_of_their_hashes(review):
    made = files(review)
    wanted = ["report.html", "results.json", "summary.csv", "effects.csv", "comparison.csv", "posterior.nc"]
    assert set(wanted) <= set(made)
    assert {"figures/forest.svg", "figures/forest.png", "figures/density_tau.svg"} <= set(made)
    assert is_complete(review)
    manifest = json.loads((review / "manifest.json").read_text())
    digest = hashlib.sha256((review / "results.json").read_bytes()).hexdigest()
    assert manifest["files"]["results.json"]["sha256"] == digest
    data = Path(__file__).parents[2] / "bayesmeta" / "datasets" / "exercise_bmd.csv"
    assert manifest["inputs"]["data"]["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert manifest["inputs"]["analysis"]["file"] == "exercise_bmd.toml"
    assert manifest["command"] == "bayesmeta run exercise_bmd --engine exact --out bmd --quiet"
    assert (manifest["seed"], manifest["status"]) == (20250307, "ok")
    assert manifest["created_at"].endswith("+00:00")


def test_x17_no_file_names_the_host_or_a_folder_of_the_machine(review):
    private = [str(review.parent), str(Path.home() / ""), socket.gethostname()]
    for name in ("report.html", "results.json", "manifest.json", "summary.csv", "figures/forest.svg"):
        text = (review / name).read_text()
        assert not [word for word in private if len(word) > 5 and word in text], name


def test_every_known_answer_of_the_review_is_met(review):
    """The sources stand in the analysis file."""
    content = json.loads((review / "results.json").read_text())
    assert len(content["expected"]) == 22
    assert [one["quantity"] for one in content["expected"] if not one["ok"]] == []
    assert (content["status"], content["failures"]) == ("ok", [])


def test_results_json_is_strict(review):
    text = (review / "results.json").read_text()

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(text, parse_constant=refuse)
    assert content["schema_version"] == 1


def test_the_tables_hold_the_numbers_of_results_json(review):
    content = json.loads((review / "results.json").read_text())
    with (review / "summary.csv").open() as file:
        summary = {(row["fit"], row["quantity"]): row for row in csv.DictReader(file)}
    mu = content["posterior"]["mu"]
    assert float(summary["main", "mu"]["median"]) == mu["median"]
    assert summary["main", "mu"]["kind"] == "eti"
    assert float(summary["main", "mu"]["prob"]) == 0.95
    hip = content["subgroups"]["fracture_site"]["groups"]["hip"]["posterior"]["mu"]
    assert float(summary["subgroups.fracture_site.hip", "mu"]["upper"]) == hip["upper"]
    slope = content["regressions"]["duration"]["coefficients"]["duration_months"]
    assert float(summary["regressions.duration", "duration_months"]["mean"]) == slope["mean"]
    with (review / "effects.csv").open() as file:
        effects = list(csv.DictReader(file))
    assert [row["slab"] for row in effects] == [one["slab"] for one in content["studies"]]
    assert float(effects[0]["lower"]) == content["studies"][0]["theta"]["lower"]
    with (review / "comparison.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["fit"] == "main"]
    assert [row["method"] for row in rows] == ["fixed", "DL", "PM", "REML", "REML_HK", "exact"]
    assert float(rows[0]["estimate"]) == content["classical"]["fixed"]["estimate"]
    assert [row["kind"] for row in rows] == ["confidence"] * 5 + ["eti"]


def test_the_posterior_of_a_run_can_be_loaded_again(review):
    import bayesmeta as bm

    content = json.loads((review / "results.json").read_text())
    fit = bm.load(review / "posterior.nc")
    assert fit.summary().loc["mu", "median"] == pytest.approx(content["posterior"]["mu"]["median"], rel=1e-9)


@pytest.mark.usefixtures("plain")
def test_the_terminal_shows_the_answer_and_says_the_rest_on_standard_error(call):
    result = call("run", "small.toml")
    assert result.code == 0
    for part in ("Three trials", "Effect: effect", "Heterogeneity", "REML + HK", "Diagnostics", "P(mu > 0)"):
        assert part in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    lines = result.err.splitlines()
    assert lines[0].startswith("bayesmeta: warning: 3 studies: tau and the prediction interval rest mostly")
    assert lines[-2].startswith(
        "bayesmeta: written to results/small: atlas.csv, comparison.csv, effects.csv, manifest.json"
    )
    assert lines[-1].startswith("bayesmeta: wall time ")
    assert "\x1b" not in result.out + result.err


@pytest.mark.usefixtures("plain")
def test_json_goes_to_standard_output_and_is_results_json(call):
    result = call("run", "small.toml", "--json")
    assert json.loads(result.out) == json.loads(Path("results/small/results.json").read_text())


@pytest.mark.usefixtures("plain")
def test_quiet_says_nothing_at_all(call):
    assert call("run", "small.toml", "--quiet") == (0, "", "")
    assert call("run", "small.toml", "--quiet", "--json").err == ""


@pytest.mark.usefixtures("plain")
def test_a_seed_on_the_command_line_replaces_that_of_the_file(call):
    call("run", "small.toml", "--seed", "7", "--quiet")
    assert json.loads(Path("results/small/manifest.json").read_text())["seed"] == 7
    refused = call("run", "small.toml", "--seed", "-1")
    assert (refused.code, refused.err) == (
        2,
        "bayesmeta: error: seed must be a whole number from 0 to 4294967295; got -1\n",
    )


@pytest.mark.usefixtures("plain")
def test_046_a_missing_seed_is_drawn_and_recorded(call):
    Path("small.toml").write_text(small().replace("seed = 1\n", ""))
    seeds = []
    for _ in range(2):
        call("run", "small.toml", "--quiet")
        seeds.append(json.loads(Path("results/small/results.json").read_text())["seed"])
    assert seeds[0] != seeds[1]
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.usefixtures("plain")
def test_a_known_answer_that_is_missed_exits_4_with_stamped_files(call):
    wrong = (
        '[[expected]]\nquantity = "classical.fixed.estimate"\nvalue = 0.5\ntolerance = 0.01\nsource = "S"\n'
    )
    Path("small.toml").write_text(small() + wrong)
    result = call("run", "small.toml")
    assert result.code == 4
    # By hand: weights 400, 2500/9, 625; (40 + 250/3 + 31.25) / (400 + 2500/9 + 625) = 0.118657
    message = "expected classical.fixed.estimate = 0.5 within 0.01; got 0.118656"
    assert f"bayesmeta: error: {message}" in result.err
    assert "Known answers: 0 of 1 met" in result.out
    content = json.loads(Path("results/small/results.json").read_text())
    assert content["status"] == "failed"
    assert content["failures"][0].startswith(message)
    assert json.loads(Path("results/small/manifest.json").read_text())["status"] == "failed"


@pytest.mark.usefixtures("plain")
def test_an_expected_number_that_is_nowhere_fails_with_a_sentence(call):
    nowhere = '[[expected]]\nquantity = "classical.fixed.estimat"\nvalue = 0.1\ntolerance = 0.01\n'
    Path("small.toml").write_text(small() + nowhere)
    result = call("run", "small.toml", "--quiet")
    assert result.code == 4
    assert result.err == (
        "bayesmeta: error: expected classical.fixed.estimat = 0.1 within 0.01; there is no such number\n"
    )


@pytest.mark.parametrize(
    ("entry", "replaced", "code", "message"),
    [
        ("[engine]", "[engin]", 2, "small.toml:14: unknown table 'engin'; did you mean 'engine'?"),
        ('name = "exact"', "draws = 0", 2, "small.toml:15: [engine] draws must be >= 1; got 0"),
        (
            "HalfNormal(0.5)",
            "HalfNormal(-1)",
            2,
            "small.toml:12: [model.priors] tau: HalfNormal.sigma must be a positive number; got -1",
        ),
        (
            'sei = "se"',
            'sei = "ses"',
            3,
            "trials.csv: no column \"ses\"; did you mean 'se'?",
        ),
        ("trials.csv", "tirals.csv", 5, "tirals.csv: no such file"),
    ],
)
def test_mistakes_have_their_exit_code_one_line_and_no_output(call, entry, replaced, code, message):
    Path("small.toml").write_text(small().replace(entry, replaced))
    result = call("run", "small.toml")
    assert (result.code, result.out) == (code, "")
    assert result.err == f"bayesmeta: error: {message}\n"
    assert files() == INPUTS


def test_bad_cells_are_told_with_file_line_study_column_and_remedy(call):
    text = Path("trials.csv").read_text().replace("0.06", "-0.06")
    Path("trials.csv").write_text(text)
    result = call("run", "small.toml")
    assert result.code == 3
    assert result.err.startswith(
        'bayesmeta: error: trials.csv:3 study "Zhu 2023" column "se": a standard error must be > 0; got -0.06'
    )
    assert files() == INPUTS


def test_a_formula_with_code_is_refused(call):
    bad = "[[regressions]]\nname = \"a\"\nmods = \"__import__('os').system('touch owned')\"\n"
    Path("small.toml").write_text(small() + bad)
    result = call("run", "small.toml")
    assert result.code == 2
    assert result.err.startswith("bayesmeta: error: small.toml:18: [[regressions]] mods: formula '__impor")
    assert files() == INPUTS


def test_066_an_improper_posterior_exits_6_with_the_reason_and_the_remedy(call):
    Path("trials.csv").write_text("study,effect,se\nYu 2023,0.1,0.05\nZhu 2023,0.3,0.06\n")
    text = small().replace("Normal(0, 1)", "Flat()").replace("HalfNormal(0.5)", "Flat()")
    Path("small.toml").write_text(text)
    result = call("run", "small.toml")
    assert result.code == 6
    assert result.err.startswith("bayesmeta: error: the posterior does not exist: Flat() as the prior of tau")
    assert result.err.rstrip().endswith(
        "use a proper prior of tau such as HalfNormal or HalfCauchy, or a Normal prior of mu"
    )
    assert files() == INPUTS


def test_mistakes_in_all_regressions_are_told_together(call):
    more = '[[regressions]]\nname = "a"\nmods = "dose"\n[[regressions]]\nname = "b"\nmods = "sitee"\n'
    Path("small.toml").write_text(small() + more)
    result = call("run", "small.toml")
    assert (result.code, result.err.splitlines()) == (
        3,
        [
            "bayesmeta: error: regression 'a': the studies have no column \"dose\"; the columns are site",
            "bayesmeta: error: regression 'b': the studies have no column \"sitee\"; did you mean 'site'?",
        ],
    )


def test_statements_about_quantities_that_are_not_there_are_refused_before_anything_runs(call):
    Path("small.toml").write_text(small() + '[report]\nprobabilities = ["mu > 0", "taau < 1", "mu >"]\n')
    result = call("run", "small.toml")
    assert result.code == 2
    lines = result.err.splitlines()
    begin = "bayesmeta: error: [report] probabilities: statement"
    assert lines[0] == f"{begin} 'taau < 1': unknown quantity 'taau'; did you mean 'tau'?"
    assert lines[1].startswith(f"{begin} 'mu >': ")
    assert files() == INPUTS


@pytest.mark.usefixtures("plain")
def test_053_the_folder_of_an_input_is_never_an_output(call):
    result = call("run", "small.toml", "--out", ".", "--overwrite")
    assert result.code == 5
    assert files() == INPUTS
    assert call("run", "small.toml", "--out", "trials.csv", "--overwrite").code == 5
    assert Path("trials.csv").read_text().startswith("study,effect")


@pytest.mark.usefixtures("plain")
def test_o08_a_folder_of_somebody_else_needs_overwrite(call):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    refused = call("run", "small.toml", "--out", "mine")
    assert refused.code == 5
    assert "--overwrite" in refused.err
    assert files("mine") == ["thesis.txt"]
    assert call("run", "small.toml", "--out", "mine", "--overwrite").code == 0
    assert "thesis.txt" not in files("mine")


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("name", ["größe", "with space", "line\nbreak", "-dash"])
def test_o08_odd_names_of_folders_work_and_print_on_one_line(call, name):
    result = call("run", "small.toml", f"--out={name}")
    assert result.code == 0
    assert (Path(name) / "results.json").is_file()
    assert len([line for line in result.err.splitlines() if line.startswith("bayesmeta: written to")]) == 1
    assert all(line.startswith("bayesmeta: ") for line in result.err.splitlines())


@pytest.mark.usefixtures("plain")
def test_o08_links_and_impossible_names_are_refused(call, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("link", "loop", "x" * 300, "nul\0byte"):
        result = call("run", "small.toml", "--out", name)
        assert (result.code, result.out) == (5, ""), name
        assert len(result.err.splitlines()) == 1
    assert files("elsewhere") == []


@pytest.mark.usefixtures("plain")
def test_064_subgroups_of_one_study_have_a_row_and_072_those_of_none_say_so(call):
    Path("trials.csv").write_text(Path("trials.csv").read_text() + "Pei 2023,0.2,0.05,wrist\n")
    more = small().replace('slab = "study"', 'slab = "study"\nexclude = ["Pei 2023"]')
    Path("small.toml").write_text(f'{more}[[subgroups]]\nby = "site"\n')
    result = call("run", "small.toml")
    assert result.code == 0
    groups = json.loads(Path("results/small/results.json").read_text())["subgroups"]["site"]["groups"]
    assert {name: (one["k"], one["status"]) for name, one in groups.items()} == {
        "hip": (2, "exact"),
        "spine": (1, "exact"),
        "wrist": (0, "no studies"),
    }
    assert groups["wrist"]["posterior"] is None
    assert "bayesmeta: warning: no studies (subgroup site wrist) [no-answer]" in result.err
    assert "the posterior of tau is close to its prior (subgroup site spine)" in result.err


@pytest.mark.usefixtures("plain")
def test_a_subgroup_without_a_posterior_is_named_and_does_not_stop_the_run(call):
    """With a flat mean and a flat tau three studies are enough, and two are not."""
    text = small().replace("Normal(0, 1)", "Flat()").replace("HalfNormal(0.5)", "Flat()")
    rows = "Pei 2023,0.2,0.05,hip\nMa 2020,0.1,0.05,spine\n"
    Path("trials.csv").write_text(Path("trials.csv").read_text() + rows)
    Path("small.toml").write_text(f'{text}[[subgroups]]\nby = "site"\n[sensitivity]\nleave_one_out = true\n')
    result = call("run", "small.toml")
    assert result.code == 0
    content = json.loads(Path("results/small/results.json").read_text())
    groups = content["subgroups"]["site"]["groups"]
    assert groups["hip"]["status"] == "exact"
    assert (groups["spine"]["k"], groups["spine"]["status"]) == (2, "improper")
    assert groups["spine"]["reason"].startswith("the posterior does not exist")
    assert "(subgroup site spine) [no-answer]" in result.err
    assert len(content["leave_one_out"]) == 5


@pytest.mark.usefixtures("plain")
def test_subgroups_keep_the_default_priors_of_all_studies(call):
    """The unit-information scale is that of the whole table, once; 0.2458 for these trials (Roever 2021)."""
    text = Path(__file__).parents[2].joinpath("models", "exercise_bmd.toml").read_text()
    begin = text.index("[model.priors]")
    text = text[:begin] + text[text.index("[engine]") : text.index("# Fig. 3")]
    Path("default.toml").write_text(text.replace('"nuts"', '"exact"').replace("[report]", "[report]"))
    assert call("run", "default.toml", "--quiet").code == 0
    content = json.loads(Path("results/default/results.json").read_text())
    assert content["priors"]["mu"]["default"] is True
    scale = float(content["priors"]["mu"]["prior"].split(", ")[1].rstrip(")"))
    assert scale == pytest.approx(0.246, abs=5e-4)
    for one in content["regressions"].values():
        assert one["priors"]["mu"]["prior"] == content["priors"]["mu"]["prior"]
        assert one["priors"]["tau"] == content["priors"]["tau"]
    groups = content["subgroups"]["fracture_site"]["groups"]
    assert groups["mixed"]["posterior"]["tau"]["median"] == pytest.approx(single_median(scale), rel=1e-4)


def single_median(scale):
    """Return the posterior median of tau of Wang 2012 alone, by summation over a fine grid.

    Its effect is 0.89 - 0.79, its variance 0.14^2 / 64 + 0.13^2 / 60; given tau, y ~ N(0, u^2 + v + tau^2).
    """
    y, v = 0.10, 0.14**2 / 64 + 0.13**2 / 60
    tau = (np.arange(400_000) + 0.5) * 2e-6
    spread = scale**2 + v + tau**2
    density = np.exp(-0.5 * (tau / (scale / 4)) ** 2 - 0.5 * y**2 / spread) / np.sqrt(spread)
    below = np.cumsum(density) / density.sum()
    return float(tau[np.searchsorted(below, 0.5)])
