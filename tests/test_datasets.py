"""Bundled data sets: found by name, cited, and equal to their sources.

The classic sets are compared with R's package metadat through `tests/reference/*.json`; the review's own
figures are compared with the paper in `test_published_pools.py`.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmeta.datasets import DATASETS, find_dataset, list_datasets, load_dataset, load_table
from bayesmeta.errors import AnalysisError
from bayesmeta.studies import effect_sizes

FOLDER = Path(__file__).parent / "reference"
CLASSIC = [
    "bcg",
    "crins2014",
    "curtis1998",
    "hart1999",
    "konstantopoulos2011",
    "molloy2014",
    "nielweise2007",
    "normand1999",
    "pritz1997",
    "raudenbush1985",
]


def test_every_file_has_an_entry_and_every_entry_a_file():
    files = {
        path.name for path in resources.files("bayesmeta.datasets").iterdir() if path.name.endswith(".csv")
    }
    assert files == {f"{name}.csv" for name in DATASETS}


@pytest.mark.parametrize("info", list_datasets(), ids=lambda info: info.name)
def test_a_data_set_is_cited_and_its_label_is_a_column(info):
    assert info.title
    assert any(year in info.source for year in ("19", "20"))
    assert info.label in load_table(info.name).columns


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_is_the_same_as_table_and_as_frame(name):
    frame, table = load_dataset(name), load_table(name)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(table.columns)
    for column in frame:
        np.testing.assert_array_equal(
            frame[column].to_numpy(dtype=table.columns[column].dtype), table.columns[column]
        )


@pytest.mark.parametrize("name", DATASETS)
def test_labels_are_text(name):
    assert load_table(name).columns[find_dataset(name).label].dtype.kind == "U"


@pytest.mark.parametrize("name", CLASSIC)
def test_a_classic_data_set_equals_that_of_metadat(name):
    theirs = json.loads((FOLDER / f"{name}.json").read_text())["data"]
    ours = load_table(name).columns
    compared = 0
    for column, values in theirs.items():
        if (
            column not in ours
            or column == find_dataset(name).label
            or any(isinstance(v, str) for v in values)
        ):
            continue
        expected = np.array([np.nan if value is None else value for value in values], dtype=float)
        np.testing.assert_array_equal(ours[column], expected, err_msg=column)
        compared += 1
    assert compared >= 2


def test_the_eight_schools_are_those_of_rubin():
    """Rubin (1981), and the rounded numbers of Gelman et al., Bayesian Data Analysis, table 5.2."""
    schools = load_table("eight_schools").columns
    assert schools["effect_rounded"].tolist() == [28, 8, -3, 7, -1, 1, 18, 12]
    assert schools["stderr_rounded"].tolist() == [15, 10, 16, 11, 9, 11, 10, 18]
    assert np.round(schools["effect"]).tolist() == schools["effect_rounded"].tolist()
    assert np.abs(schools["stderr"] - schools["stderr_rounded"]).max() <= 0.5


def test_the_running_example_makes_studies_in_one_call():
    """The call of DESIGN section 4; the first effect by hand: 0.6613 - 0.6468."""
    studies = effect_sizes(
        load_dataset("exercise_bmd"),
        "MD",
        slab="study",
        m1i="exercise_mean",
        sd1i="exercise_sd",
        n1i="exercise_n",
        m2i="control_mean",
        sd2i="control_sd",
        n2i="control_n",
    )
    assert studies.k == 11
    assert studies.slab[0] == "Deng 2018"
    assert studies.yi[0] == pytest.approx(0.0145, abs=1e-15)
    assert studies.columns["duration_months"].tolist() == [6, 12, 6, 6, 6, 6, 6, 12, 0.75, 3, 3]


def test_a_frame_is_a_new_one_each_time():
    frame = load_dataset("bcg")
    frame.loc[0, "tpos"] = 99
    assert load_dataset("bcg")["tpos"][0] == 4


def test_an_unknown_data_set_is_refused_with_the_nearest():
    with pytest.raises(AnalysisError) as caught:
        load_dataset("exercise_bdm")
    assert str(caught.value) == "unknown data set 'exercise_bdm'; did you mean 'exercise_bmd'?"


@pytest.mark.parametrize("name", ["zzzz", "../../etc/passwd", ""])
def test_a_name_is_looked_up_and_never_a_path(name):
    with pytest.raises(AnalysisError) as caught:
        load_table(name)
    assert str(caught.value) == f"unknown data set '{name}'; the data sets are {', '.join(DATASETS)}"
