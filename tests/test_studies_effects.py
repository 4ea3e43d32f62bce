"""Effects given ready-made: what is accepted, and every sentence about what is not.

Numbers in comments are the rows of INPUTS, "Effect sizes given directly".
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from bayesmeta.errors import AnalysisError, DataError
from bayesmeta.studies import Studies

NAN = float("nan")
DROP = 'leave out all such rows with missing = "drop"'


def studies(yi=(0.1, 0.2), sei=(0.1, 0.2), **options):
    return Studies.from_effects(yi, sei=sei, **options)


def refusal(error, *args, **options):
    with pytest.raises(error) as caught:
        studies(*args, **options)
    return str(caught.value)


def cell(row, column, must, got, advice="Fix the cell", label=None):
    label = f"Study {row}" if label is None else label
    place = f'row {row} study "{label}" column "{column}": {must}; got {got}.'
    return f'{place} {advice}, or drop the row with exclude = ["{label}"].'


def notes(*args, **options):
    return dict(studies(*args, **options).notes)


# Missing: 055


def test_every_missing_cell_is_named():
    text = refusal(DataError, [0.1, NAN, 0.3], [0.1, 0.1, None], slab=["a", "b", "c"])
    assert text.splitlines() == [
        cell(2, "yi", "an effect must be a number", "nothing", f"Fix the cell, {DROP}", "b"),
        cell(3, "sei", "a standard error must be > 0", "nothing", f"Fix the cell, {DROP}", "c"),
    ]


def test_studies_with_missing_cells_are_left_out_on_request_and_named():
    ours = studies([0.1, NAN, 0.3], [0.1, 0.1, NAN], slab=["a", "b", "c"], missing="drop")
    assert ours.slab == ("a",)
    assert ours.excluded == (("b", "missing yi"), ("c", "missing sei"))
    text = '2 of 3 studies were left out because a cell is missing: "b", "c"'
    assert ours.notes == (("missing-dropped", text),)


def test_the_moderators_of_a_study_left_out_leave_with_it():
    ours = studies([0.1, NAN, 0.3], [0.1, 0.1, 0.1], data={"x": [1, 2, 3]}, missing="drop")
    assert ours.columns["x"].tolist() == [1, 3]


def test_a_missing_moderator_does_not_leave_out_a_study():
    assert studies(data={"x": [1, None]}, missing="drop").k == 2


def test_only_twenty_faulty_cells_are_shown_and_the_rest_counted():
    lines = refusal(DataError, [NAN] * 25, [0.1] * 25).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 5 more"


def test_nothing_left_is_refused():
    expected = "no studies are left; every row of the table was excluded or had a missing cell"
    assert refusal(DataError, [NAN], [0.1], missing="drop") == expected
    assert refusal(DataError, slab=["a", "b"], exclude=["a", "b"]) == expected  # 072


def test_an_empty_table_is_refused():
    assert refusal(DataError, [], []) == "the table has no studies"


# Sizes: 056, 058, 059, 060, 061, 062, 063, 074


def test_a_standard_error_of_zero_is_refused_as_rounded():
    expected = cell(1, "sei", "a standard error must be > 0", "0", "Was it rounded? Give more digits")
    assert refusal(DataError, [0.1, 0.2], [0, 0.1]) == expected


def test_a_negative_standard_error_is_refused():
    expected = cell(2, "sei", "a standard error must be > 0", "-0.1", label="Yu 2023")
    assert refusal(DataError, [0.1, 0.2], [0.1, -0.1], slab=["a", "Yu 2023"]) == expected


def test_a_negative_variance_is_refused():
    with pytest.raises(DataError) as caught:
        Studies.from_effects([0.1, 0.2], vi=[0.1, -1])
    assert str(caught.value) == cell(2, "vi", "a sampling variance must be > 0", "-1")


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_number_is_refused(value):
    assert refusal(DataError, [0.1, value]) == f'row 2 column "yi": a number must be finite; got {value}'


@pytest.mark.parametrize(("sei", "got"), [(1e200, "1e+200"), (1e-200, "1e-200")])
def test_a_standard_error_whose_square_is_no_number_is_refused(sei, got):
    must = "a number must lie between 1e-150 and 1e+150 in size"
    assert refusal(DataError, [0.1, 0.2], [0.1, sei]) == cell(2, "sei", must, got, "Change the unit")


@pytest.mark.parametrize(
    ("sei", "ratio"),
    [
        ([1e-12, 0.2], "200000000000"),
        ([1e-6, 0.2], "200000"),
        ([1e8, 0.1], "1000000000"),
        ([0.1, 101], "1010"),
    ],
)
def test_standard_errors_of_very_different_size_are_doubted(sei, ratio):
    text = f"the largest standard error is {ratio} times the smallest; are all studies in the same unit?"
    assert notes(sei=sei)["se-ratio"] == text


def test_standard_errors_a_thousandfold_apart_are_not_doubted():
    assert notes(sei=[0.1, 100]) == {}


def test_identical_effects_are_doubted():
    assert notes([0.3] * 5, [0.2] * 5) == {"identical-effects": "every effect is 0.3; were they copied?"}
    assert notes([0.3], [0.2]) == {}


def test_effects_that_are_all_zero_are_doubted():
    text = "every effect is 0; do zeros stand for missing values?"
    assert notes([0, 0], [0.2, 0.1]) == {"all-zero": text}


def test_effects_far_from_zero_are_doubted():
    text = "effects are more than 1e8 standard errors away from 0; are they effects at all?"
    assert notes([1e12, 1e12 + 1], [1, 2]) == {"large-offset": text}


# Contradictions: 051, 079-082 belong to the reading of intervals


def test_a_standard_error_and_a_variance_that_contradict_are_refused():
    with pytest.raises(DataError) as caught:
        Studies.from_effects([0.1, 0.2, 0.3], sei=[0.1, 0.2, 0.3], vi=[0.01, 0.05, 0.3])
    assert str(caught.value).splitlines() == [
        cell(
            2,
            "sei",
            "vi is 0.05 but sei^2 is 0.04, and they must be equal",
            "0.2",
            "Give only one of the two",
        ),
        cell(
            3, "sei", "vi is 0.3 but sei^2 is 0.09, and they must be equal", "0.3", "Give only one of the two"
        ),
    ]


def test_a_standard_error_and_its_variance_may_both_be_given():
    assert Studies.from_effects([0.1], sei=[0.2], vi=[0.04]).vi[0] == 0.04


def test_effects_without_any_error_are_refused():
    expected = "effects need sei= (standard errors), vi= (variances) or V= (covariance matrix)"
    assert refusal(AnalysisError, sei=None) == expected


# Shapes and alignment: 089


def test_lists_of_different_length_are_refused():
    assert refusal(DataError, [1, 2, 3]) == 'columns must have the same length; got "yi" 3, "sei" 2'
    expected = 'columns must have the same length; got "x" 3, "yi" 2, "sei" 2'
    assert refusal(DataError, data={"x": [1, 2, 3]}) == expected


def test_two_dimensional_effects_are_refused():
    expected = 'column "yi" must be one-dimensional; got an array of shape (2, 2)'
    assert refusal(DataError, np.ones((2, 2))) == expected
    assert refusal(DataError, [[0.1], [0.2]]) == 'column "yi" must hold numbers or text; got list'


def test_a_masked_array_is_refused():
    expected = 'column "yi" is a masked array; fill the masked cells or leave their rows out'
    assert refusal(DataError, np.ma.array([0.1, 0.2], mask=[False, True])) == expected


@pytest.mark.parametrize("value", [0.1, (v for v in (0.1, 0.2)), {0.1, 0.2}, b"12"])
def test_effects_that_are_no_sequence_are_refused(value):
    kind = type(value).__name__
    assert refusal(DataError, value) == f'column "yi" must be a sequence; got {kind}'


@pytest.mark.parametrize(
    ("first", "second", "options"),
    [
        ("yi", "sei", {"yi": [0, 2], "sei": [0, 1]}),
        ("yi", "sei", {"yi": [0, 1], "sei": [1, 0]}),
        ("data", "yi", {"yi": [0, 2], "data": [0, 1]}),
    ],
)
def test_series_with_different_indexes_are_never_aligned(first, second, options):
    table = pd.DataFrame({"x": [1, 2]}, index=options["data"]) if "data" in options else None
    indexed = {n: pd.Series([0.1, 0.2], index=i) for n, i in options.items() if n != "data"}
    given = {"yi": [0.1, 0.2], "sei": [0.1, 0.2], **indexed}
    assert refusal(DataError, **given, data=table) == (
        f'"{first}" and "{second}" carry different indexes, and rows count by position; use '
        "reset_index(drop=True) on both after checking that their rows belong together"
    )


def test_a_gap_in_an_index_that_all_share_is_no_matter():
    index = [0, 2]
    table = pd.DataFrame({"x": [1, 2]}, index=index)
    ours = studies(pd.Series([0.1, 0.2], index=index), pd.Series([0.3, 0.4], index=index), data=table)
    assert ours.yi.tolist() == [0.1, 0.2]
    assert ours.columns["x"].tolist() == [1, 2]


def test_a_filtered_frame_keeps_its_rows_in_order():
    frame = pd.DataFrame({"yi": [0.1, 9, 0.3], "sei": [0.1, 9, 0.2], "g": ["a", "b", "c"]})
    ours = Studies.from_effects("yi", sei="sei", data=frame[frame["g"] != "b"])
    assert ours.yi.tolist() == [0.1, 0.3]
    assert ours.columns["g"].tolist() == ["a", "c"]


# Types: 090, 091


@pytest.mark.parametrize(
    "yi",
    [
        [1, 2],
        (1, 2),
        range(1, 3),
        np.array([1, 2], dtype=np.int8),
        np.array([1, 2], dtype=np.uint64),
        np.array([1, 2], dtype=object),
        [Decimal(1), Decimal(2)],
        [Fraction(1), Fraction(2)],
        [np.float64(1), np.int64(2)],
        pd.Series([1, 2]),
        pd.Series([1, 2], dtype="Int64"),
        pd.array([1, 2], dtype="Float64"),
        pd.Index([1, 2]),
    ],
    ids=lambda yi: f"{type(yi).__name__}-{getattr(yi, 'dtype', type(yi[0]).__name__)}",
)
def test_any_sequence_of_numbers_becomes_float64(yi):
    ours = studies(yi)
    assert ours.yi.dtype == np.float64
    assert ours.yi.tolist() == [1, 2]
    assert ours.notes == ()


def test_single_precision_is_accepted_and_said():
    ours = studies(np.array([0.1, 0.2], dtype=np.float32))
    assert ours.yi.tolist() == [float(np.float32(0.1)), float(np.float32(0.2))]
    assert ours.notes == (("single-precision", '"yi" came in single precision, about 7 digits'),)


def test_a_single_precision_column_of_a_table_is_said_too():
    frame = pd.DataFrame({"y": np.array([0.1, 0.2], dtype=np.float32), "s": [0.1, 0.2]})
    ours = Studies.from_effects("y", sei="s", data=frame)
    assert ours.notes == (("single-precision", '"y" came in single precision, about 7 digits'),)


@pytest.mark.parametrize(
    ("yi", "got"),
    [
        ([True, False], ("'True'", "'False'")),
        (np.array([True, False]), ("'True'", "'False'")),
        ([1j, 2j], ("'1j'", "'2j'")),
        (np.array([1j, 2j]), ("'1j'", "'2j'")),
        (["0.1", "0.2"], ("'0.1'", "'0.2'")),
        (["0,1", "NR"], ("'0,1'", "'NR'")),
        (["1e999", "<0.01"], ("'1e999'", "'<0.01'")),
        (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), ("'2020-01-01'", "'2020-01-02'")),
        (np.array([1, 2], dtype="m8[s]"), ("'1 seconds'", "'2 seconds'")),
    ],
    ids=["bool", "bool array", "complex", "complex array", "digits", "text", "overflow", "date", "duration"],
)
def test_what_is_no_number_is_refused_cell_by_cell(yi, got):
    lines = refusal(DataError, yi).splitlines()
    assert lines == [cell(i + 1, "yi", "an effect must be a number", got[i]) for i in range(2)]


def test_not_a_time_is_missing():
    text = refusal(DataError, [pd.NaT, 2.0])
    assert text == cell(1, "yi", "an effect must be a number", "nothing", f"Fix the cell, {DROP}")


def test_a_sample_size_must_be_a_whole_number():
    expected = cell(2, "ni", "a group size must be a whole number >= 1", "0")
    assert refusal(DataError, ni=[10, 0]) == expected
    expected = cell(
        1, "ni", "a group size must be a whole number >= 1", "10.5", "Round an effective sample size"
    )
    assert refusal(DataError, ni=[10.5, 20]) == expected


# Columns of a table


def test_strings_name_columns_of_the_table():
    table = {"y": [0.1, 0.2], "s": [0.3, 0.4], "who": ["Lu", "Ma"], "n": [10, 20], "x": [1, 2]}
    ours = Studies.from_effects("y", sei="s", slab="who", ni="n", data=table)
    assert ours.slab == ("Lu", "Ma")
    assert ours.sei.tolist() == pytest.approx([0.3, 0.4], rel=1e-15)
    assert ours.ni.tolist() == [10, 20]
    assert list(ours.columns) == ["x"]


def test_an_unknown_column_is_refused():
    table = {"effect": [0.1, 0.2], "x": [1, 2]}
    assert refusal(DataError, "efect", data=table) == "the table: no column \"efect\"; did you mean 'effect'?"
    expected = 'the table: no column "q"; the columns are effect, x'
    assert refusal(DataError, "q", data=table) == expected
