"""JSON without NaN, and CSV without formulas (security row X-04)."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayesmeta.output import csv_text, dump_json, json_text, write_csv


def test_json_has_no_nan_and_says_what_does_not_exist():
    content = {
        "mean": math.nan,
        "upper": -math.inf,
        "median": np.float64(0.1),
        "k": np.int64(3),
        "list": (1.0, math.nan, np.array([math.inf])),
        "inner": {"sd": np.float32("nan"), "flag": np.True_},
        "none": None,
    }
    assert json.loads(json_text(content), parse_constant=pytest.fail) == {
        "mean": None,
        "upper": None,
        "median": 0.1,
        "k": 3,
        "list": [1.0, None, [None]],
        "inner": {"sd": None, "flag": True, "does_not_exist": ["sd"]},
        "none": None,
        "does_not_exist": ["mean", "upper", "list[1]", "list[2][0]"],
    }


def test_names_that_do_not_exist_already_are_kept_once():
    content = {"mean": math.nan, "sd": None, "does_not_exist": ["sd", "mean"]}
    assert json.loads(json_text(content))["does_not_exist"] == ["sd", "mean"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_digit_goes_into_json_and_csv(value):
    assert json.loads(json_text({"x": value}))["x"] == value
    assert float(csv_text([{"x": value}]).splitlines()[1]) == value


def test_json_is_written_the_same_way_every_time(tmp_path):
    dump_json({"b": 1, "a": "ü\ud800"}, tmp_path / "one.json")
    dump_json({"b": 1, "a": "ü\ud800"}, tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert (tmp_path / "one.json").read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": "ü\\ud800"\n}\n'


@pytest.mark.parametrize("content", [object(), {1: 2}, b"bytes", {"a": {"b": Path()}}])
def test_json_refuses_what_it_cannot_hold(content):
    with pytest.raises(TypeError):
        json_text(content)


def test_no_text_of_a_csv_file_is_a_formula_and_numbers_stay_numbers():
    texts = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "Yu 2023", "a=b"]
    rows = [{"=study": text, "yi": -0.5, "n": np.int64(-3), "ok": True} for text in texts]
    read = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert read[0] == ["'=study", "yi", "n", "ok"]
    assert [row[0] for row in read[1:]] == [*(f"'{text}" for text in texts[:6]), "Yu 2023", "a=b"]
    assert read[1][1:] == ["-0.5", "-3", "true"]


def test_csv_columns_are_those_of_all_rows_and_gaps_are_empty(tmp_path):
    write_csv([{"a": 1}, {"b": math.nan, "a": None}, {"b": math.inf}], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b"a,b\n1,\n,\n,\n"
    assert csv_text([{"a": 1, "b": 2}], columns=["b"]) == "b\n2\n"
    with pytest.raises(TypeError, match="a cell must be a number, a text or nothing; got list"):
        csv_text([{"a": []}])
