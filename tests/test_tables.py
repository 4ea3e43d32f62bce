"""Tables: columns of numbers or text, and the sentences about what is neither."""

from __future__ import annotations

import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmeta.errors import DataError
from bayesmeta.tables import Table, as_column, is_number, number_text, raise_all, shown

NAN = float("nan")
LEGAL = st.characters(exclude_characters="\0")


def refusal(function, *args):
    with pytest.raises(DataError) as caught:
        function(*args)
    return str(caught.value)


# Columns


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], [1, 2.5, NAN]),
        ([Decimal("0.1"), 2], [0.1, 2]),
        (np.array([1, 2], dtype=np.int16), [1, 2]),
        (np.array([1, None], dtype=object), [1, NAN]),
        (pd.Series([1, None], dtype="Int64"), [1, NAN]),
        (pd.array([1.5, pd.NA], dtype="Float64"), [1.5, NAN]),
        ([None, None], [NAN, NAN]),
        ((), []),
    ],
)
def test_a_column_of_numbers_is_float64_with_nan_where_missing(values, expected):
    column = as_column(values, "x")
    assert column.dtype == np.float64
    np.testing.assert_array_equal(column, expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", None], ["a", ""]),
        (["a", 1, 2.5], ["a", "1", "2.5"]),
        ([True, False], ["True", "False"]),
        ([1, True], ["1", "True"]),
        ([1j, 2], ["1j", "2"]),
        (np.array(["a", "b"]), ["a", "b"]),
        (pd.Series(["a", None]), ["a", ""]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
        (pd.Series(["a", pd.NA], dtype="string"), ["a", ""]),
        (np.array([1, 2], dtype="m8[s]"), ["1 seconds", "2 seconds"]),
    ],
)
def test_whatever_is_not_all_numbers_is_text(values, expected):
    column = as_column(values, "x")
    assert column.dtype.kind == "U"
    assert column.tolist() == expected


def test_integers_beyond_exact_floats_are_text_and_keep_their_digits():
    assert as_column([2**53, 1], "x").dtype == np.float64
    assert as_column([2**53 + 1, 1], "x").tolist() == ["9007199254740993", "1"]
    assert as_column([10**400], "x").tolist() == [str(10**400)]
    assert as_column(np.array([2**63], dtype=np.uint64), "x").tolist() == ["9223372036854775808"]


NUMBERS = (1, 1.5, Decimal(1), np.int8(1), np.float32(1))
NO_NUMBERS = (True, np.True_, 1j, "1", None, np.timedelta64(1, "s"))


def test_what_counts_as_a_number():
    assert all(is_number(value) for value in NUMBERS)
    assert not any(is_number(value) for value in NO_NUMBERS)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (1, 'column "x" must be a sequence; got int'),
        ("abc", 'column "x" must be a sequence; got str'),
        ({1, 2}, 'column "x" must be a sequence; got set'),
        (np.ones((2, 2)), 'column "x" must be one-dimensional; got an array of shape (2, 2)'),
        (np.array(1.0), 'column "x" must be one-dimensional; got an array of shape ()'),
        ([[1], [2]], 'column "x" must hold numbers or text; got list'),
        ([{}], 'column "x" must hold numbers or text; got dict'),
        (np.ma.array([1.0]), 'column "x" is a masked array; fill the masked cells or leave their rows out'),
    ],
)
def test_what_is_no_column_is_refused(values, expected):
    assert refusal(as_column, values, "x") == expected


@given(
    st.lists(
        st.one_of(st.none(), st.floats(), st.integers(), st.booleans(), st.text(LEGAL, max_size=5)),
        max_size=8,
    )
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_list_of_cells_becomes_a_column_of_the_same_length(values):
    column = as_column(values, "x")
    assert column.shape == (len(values),)
    assert column.dtype.kind in "fU"


# Tables

REPEATED = pd.DataFrame([[1, 2, 3, 4]], columns=["a", "b", "a", "b"])


def test_a_table_of_nothing_is_empty():
    assert Table.of(None).n == 0
    assert dict(Table.of(None).columns) == {}


def test_a_table_is_made_from_a_frame_by_position():
    frame = pd.DataFrame({"x": [1, 2], 3: ["a", "b"]}, index=[7, 3])
    table = Table.of(frame)
    assert list(table.columns) == ["x", "3"]
    assert table.columns["3"].tolist() == ["a", "b"]
    assert Table.of(table) is table


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1, 2], "a table must be a DataFrame or a mapping of columns; got list"),
        ({"x": [1, 2], "y": [1]}, 'columns must have the same length; got "x" 2, "y" 1'),
        (REPEATED, "columns must have different names; a, b stand twice"),
        ({"": [1]}, "the name of a column must be printable text; got ''"),
        ({"a\x07": [1]}, "the name of a column must be printable text; got 'a\\x07'"),
    ],
)
def test_what_is_no_table_is_refused(data, expected):
    assert refusal(Table.of, data) == expected


def test_series_with_different_indexes_are_never_aligned():
    text = refusal(Table.of, {"x": pd.Series([1, 2]), "y": pd.Series([1, 2], index=[1, 0])})
    assert text.startswith('"x" and "y" carry different indexes, and rows count by position')


def test_every_infinite_number_and_control_character_is_named():
    text = refusal(Table.of, {"x": [1.0, np.inf, -np.inf], "t": ["\x00a", "b", "c\x1b"]})
    assert text.splitlines() == [
        'row 2 column "x": a number must be finite; got inf',
        'row 3 column "x": a number must be finite; got -inf',
        "row 1 column \"t\": a text must not hold control characters; got 'a'",
        "row 3 column \"t\": a text must not hold control characters; got 'c'",
    ]


def test_a_nul_character_at_the_end_is_not_dropped_in_silence():
    expected = "row 2 column \"t\": a text must not hold control characters; got 'b'"
    assert refusal(Table.of, {"t": ["a", "b\x00"]}) == expected


def test_a_row_of_a_file_is_named_by_its_line():
    table = Table({"x": np.array([1.0, 2.0])}, source="studies.csv", lines=(2, 5))
    assert table.where(1) == "studies.csv:5"
    assert table.take([1]).where(0) == "studies.csv:5"
    assert Table.of({"x": [1, 2]}).where(1) == "row 2"
    assert Table({"x": np.array([1.0])}, source="studies.csv").where(0) == "studies.csv row 1"


def test_an_unknown_column_is_refused_with_the_nearest_or_all():
    table = Table.of({"effect": [1.0], "x": [2.0]})
    assert refusal(table.column, "efect") == "the table: no column \"efect\"; did you mean 'effect'?"
    assert refusal(table.column, "q") == 'the table: no column "q"; the columns are effect, x'
    assert refusal(Table.of(None).column, "q") == 'the table: no column "q"; the columns are none'


def test_added_columns_take_the_place_of_those_with_the_same_name():
    table = Table.of({"x": [1.0], "y": [2.0]}).having({"x": np.array([9.0]), "z": np.array([3.0])})
    assert {name: column.tolist() for name, column in table.columns.items()} == {"x": [9], "y": [2], "z": [3]}


def test_a_table_cannot_be_changed_and_does_not_follow_its_source():
    source = np.array([1.0, 2.0])
    table = Table({"x": source})
    source[0] = 9
    assert table.columns["x"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        table.columns["x"][0] = 9
    with pytest.raises(TypeError):
        table.columns["y"] = source


def test_a_table_survives_pickling():
    table = Table({"x": np.array([1.0, 2.0])}, source="studies.csv", lines=(2, 5))
    again = pickle.loads(pickle.dumps(table))  # noqa: S301
    assert again.columns["x"].tolist() == [1, 2]
    assert again.where(1) == "studies.csv:5"


# Words


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (12.0, "12"),
        (-0.1, "-0.1"),
        (0.0, "0"),
        (-0.0, "0"),
        (1e6, "1000000"),
        (1e300, "1e+300"),
        (NAN, "nan"),
    ],
)
def test_a_number_is_written_in_its_shortest_form(number, text):
    assert number_text(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_text_of_a_number_is_read_back_as_the_number(number):
    assert float(number_text(number)) == number


@pytest.mark.parametrize(
    ("cell", "text"), [("NR", "'NR'"), ("", "nothing"), (NAN, "nothing"), (-0.1, "-0.1"), ("a\x1bb", "'ab'")]
)
def test_a_cell_is_shown_as_in_messages(cell, text):
    assert shown(cell) == text


def test_no_problem_is_no_error_and_twenty_are_shown():
    raise_all([])
    assert refusal(raise_all, ["one", "two"]) == "one\ntwo"
    assert len(refusal(raise_all, ["x"] * 20).splitlines()) == 20
    assert refusal(raise_all, ["x"] * 23).splitlines()[20:] == ["and 3 more"]
