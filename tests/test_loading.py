"""From an analysis file to its studies."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from bayesmeta import analysis as analysis_module
from bayesmeta.analysis import list_analyses, load_analysis
from bayesmeta.classical import classical, mantel_haenszel
from bayesmeta.errors import AnalysisError, DataError, FileError
from bayesmeta.loading import data_path, input_hashes, input_paths, studies_of

GIVEN = """
[analysis]
title = "T"
[data]
file = "data/trials.csv"
measure = "GEN"
slab = "study"
units = "g"
better = "lower"
columns = { yi = "effect", sei = "se" }
"""


@pytest.fixture
def load(tmp_path):
    """Write an analysis file with its data and load it."""

    def write_and_load(text, trials, **options):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "trials.csv").write_text(trials)
        (tmp_path / "a.toml").write_text(text)
        return load_analysis(tmp_path / "a.toml", **options)

    return write_and_load


TRIALS = "study,effect,se,dose\n001,0.1,0.2,10\n002,0.3,0.4,20\n"


def test_effects_come_from_a_file_beside_the_analysis(load):
    studies = studies_of(load(GIVEN, TRIALS))
    assert studies.slab == ("001", "002")
    assert studies.yi.tolist() == [0.1, 0.3]
    assert studies.sei == pytest.approx([0.2, 0.4])
    assert studies.columns["dose"].tolist() == [10, 20]
    assert (studies.units, studies.better, studies.measure) == ("g", "lower", "GEN")


def test_the_review_has_the_numbers_that_its_file_expects():
    """Yu et al. 2025, Fig. 3: 0.07 [0.06, 0.09], Q = 16.50, I2 = 39 %; and the digits that the file gives."""
    analysis = load_analysis("exercise_bmd")
    fixed = classical(studies_of(analysis), method="FE")
    computed = {
        "estimate": fixed.beta[0],
        "lower": fixed.lower[0],
        "upper": fixed.upper[0],
        "Q": fixed.Q,
        "I2": fixed.I2,
    }
    wanted = {one.quantity: one for one in analysis.expected if one.quantity.startswith("classical.")}
    assert set(wanted) == {f"classical.fixed.{name}" for name in computed}
    for name, value in computed.items():
        expected = wanted[f"classical.fixed.{name}"]
        assert value == pytest.approx(expected.value, abs=expected.tolerance)


def test_the_refracture_file_expects_the_pooled_odds_ratio_of_the_figure_in_both_directions():
    """Yu et al. 2025, Fig. 8: 3.67 [1.74, 7.72], control against exercise."""
    analysis = load_analysis("exercise_refracture")
    pooled = mantel_haenszel(studies_of(analysis))
    computed = {"estimate": pooled.beta[0], "lower": pooled.lower[0], "upper": pooled.upper[0]}
    wanted = [one for one in analysis.expected if one.quantity.startswith("classical.MH.")]
    assert [expected.invert for expected in wanted] == [False] * 3 + [True] * 3
    for expected in wanted:
        ratio = float(np.exp(computed[expected.quantity.rpartition(".")[2]]))
        assert (1 / ratio if expected.invert else ratio) == pytest.approx(
            expected.value, abs=expected.tolerance
        )


def test_further_measures_come_from_the_same_arms():
    analysis = load_analysis("exercise_refracture")
    main, ratio, difference = (studies_of(analysis, name) for name in (None, "RR", "RD"))
    assert [studies.measure for studies in (main, ratio, difference)] == ["OR", "RR", "RD"]
    # Deng 2018: 7 of 76 against 13 of 76
    assert np.exp(ratio.yi[0]) == pytest.approx(7 / 13)
    assert difference.yi[0] == pytest.approx(-6 / 76)
    assert np.exp(main.yi[0]) == pytest.approx(7 * 63 / (69 * 13))
    # Huang 2018 has no events: it keeps its row, without an estimate
    assert main.estimable.tolist() == [True, True, False, True]
    bmd = load_analysis("exercise_bmd")
    standardized = replace(bmd, data=replace(bmd.data, also=("SMD",)))
    assert (studies_of(standardized).units, studies_of(standardized, "SMD").units) == ("g/cm2", "")
    with pytest.raises(AnalysisError, match=r"^the analysis has no measure 'SMD'; it has OR, RR, RD$"):
        studies_of(analysis, "SMD")


COUNTS = GIVEN.replace('"GEN"', '"OR"').replace(
    '{ yi = "effect", sei = "se" }', '{ ai = "a", n1i = "m", ci = "c", n2i = "n" }'
)
ARMS = "study,a,m,c,n\nA,0,10,3,10\nB,2,10,3,10\nC,0,10,0,10\n"


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("drop00 = false", lambda studies: studies.estimable.tolist()),
        ("add = 0.25", lambda studies: studies.yi[0]),
        ('to = "all"', lambda studies: studies.yi[1]),
        ('exclude = ["B"]', lambda studies: studies.slab),
        ('group1 = "drug"', lambda studies: studies.group1),
        ('group2 = "placebo"', lambda studies: studies.group2),
    ],
)
def test_every_option_of_the_data_changes_something(entry, value, load):
    usual = value(studies_of(load(COUNTS, ARMS)))
    assert value(studies_of(load(COUNTS.replace("[data]\n", f"[data]\n{entry}\n"), ARMS))) != usual


def test_missing_rows_are_dropped_only_on_request_and_then_listed(load):
    trials = TRIALS + "003,,0.1,5\nTotal,0.2,0.1,1\n"
    allowed = GIVEN.replace("[data]\n", "[data]\nallow_total_rows = true\n")
    with pytest.raises(DataError, match=r'trials.csv:5 study "Total": looks like a total'):
        studies_of(load(GIVEN, trials))
    with pytest.raises(
        DataError, match=r'trials.csv:4 study "003" column "effect": an effect must be a number'
    ):
        studies_of(load(allowed, trials))
    studies = studies_of(load(allowed.replace("[data]\n", '[data]\nmissing = "drop"\n'), trials))
    assert studies.slab == ("001", "002", "Total")
    assert studies.excluded == (("003", "missing effect"),)


def test_the_options_of_the_file_arrive(load):
    trials = "study;effect;se;dose\nA;0,1;0,2;NR\nB;0,3;0,4;5\n"
    entries = 'na_values = ["NR"]\ndecimal = ","\ndelimiter = ";"\n'
    studies = studies_of(load(GIVEN.replace("[data]\n", f"[data]\n{entries}"), trials))
    assert studies.notes == ()
    assert np.isnan(studies.columns["dose"][0])
    as_text = studies_of(load(GIVEN.replace("[data]\n", '[data]\ntext = ["dose"]\n'), trials))
    assert as_text.columns["dose"].tolist() == ["NR", "5"]
    assert [identifier for identifier, _ in as_text.notes] == ["csv-dialect"]
    latin = GIVEN.replace("[data]\n", '[data]\nencoding = "utf-16"\n')
    with pytest.raises(DataError, match="not in the encoding 'utf-16'"):
        studies_of(load(latin, trials + "x"))


def test_a_cell_that_cannot_be_true_is_named_with_file_line_study_and_column(load):
    with pytest.raises(DataError) as caught:
        studies_of(load(GIVEN, TRIALS + "003,0.1,-0.1,5\n"))
    assert str(caught.value) == (
        'trials.csv:4 study "003" column "se": a standard error must be > 0; got -0.1. Fix the cell,'
        ' or drop the row with exclude = ["003"].'
    )
    with pytest.raises(DataError, match=r"^trials.csv: no column \"study\"; did you mean 'Study'\?$"):
        studies_of(load(GIVEN, TRIALS.replace("study", "Study")))


def test_a_link_out_of_the_folder_is_not_followed_unless_allowed(load, tmp_path, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.csv"
    outside.write_text(TRIALS)
    analysis = load(GIVEN, TRIALS)
    (tmp_path / "data" / "trials.csv").unlink()
    (tmp_path / "data" / "trials.csv").symlink_to(outside)
    with pytest.raises(FileError) as caught:
        studies_of(analysis)
    assert str(caught.value) == (
        "data/trials.csv: leads out of the folder of the analysis file; --allow-outside lifts this"
    )
    assert studies_of(load_analysis(tmp_path / "a.toml", allow_outside=True)).k == 2


def test_inputs_are_known_by_role_name_and_hash(load, tmp_path):
    analysis = load(GIVEN, TRIALS)
    assert input_paths(analysis) == {
        "analysis": tmp_path / "a.toml",
        "data": tmp_path / "data" / "trials.csv",
    }
    assert input_hashes(analysis) == {
        "analysis": {"file": "a.toml", "sha256": hashlib.sha256(GIVEN.encode()).hexdigest()},
        "data": {"file": "trials.csv", "sha256": hashlib.sha256(TRIALS.encode()).hexdigest()},
    }
    assert input_hashes(analysis)["analysis"]["sha256"] == analysis.sha256
    assert data_path(load_analysis("exercise_bmd")).name == "exercise_bmd.csv"


def test_an_installed_package_finds_its_analyses_within_itself(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "bayesmeta"
    (package / "models").mkdir(parents=True)
    (tmp_path / "site-packages" / "models").mkdir()
    (package / "models" / "one.toml").write_text(GIVEN)
    (tmp_path / "site-packages" / "models" / "foreign.toml").write_text(GIVEN)
    monkeypatch.setattr(analysis_module.resources, "files", lambda _: package)
    assert list_analyses() == ("one",)
    assert load_analysis("one").title == "T"
