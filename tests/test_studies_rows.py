"""Covariances, labels and rows of effects given ready-made, and every sentence about what is not accepted.

Numbers in comments are the rows of INPUTS. The cells of effects are tested in `test_studies_effects.py`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayesmeta.effectsizes import MEASURES
from bayesmeta.errors import AnalysisError, DataError
from bayesmeta.studies import Studies

NAN = float("nan")


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


# Covariance


def test_a_covariance_gives_the_variances():
    ours = Studies.from_effects([0.1, 0.2], V=[[0.1, 0.05], [0.05, 0.2]])
    assert ours.vi.tolist() == [0.1, 0.2]
    assert ours.V.tolist() == [[0.1, 0.05], [0.05, 0.2]]


def test_a_diagonal_covariance_is_kept_as_variances():
    assert Studies.from_effects([0.1, 0.2], V=np.diag([0.1, 0.2])).V is None


def test_a_covariance_loses_the_rows_and_columns_of_studies_left_out():
    V = np.array([[1, 0.1, 0.2], [0.1, 2, 0.3], [0.2, 0.3, 3]])
    ours = Studies.from_effects([0.1, NAN, 0.3], V=V, missing="drop")
    assert ours.V.tolist() == [[1, 0.2], [0.2, 3]]


@pytest.mark.parametrize(
    ("V", "expected"),
    [
        (
            [[1, 0.2], [0.1, 1]],
            'V must be symmetric; "Study 1" with "Study 2" is 0.2, the other way 0.1',
        ),
        (
            [[1, 2], [2, 1]],
            "V must be positive definite; the smallest eigenvalue of its correlation matrix is -1. "
            "Check the assumed correlations",
        ),
        ([[-1, 0], [0, 1]], 'V must have a positive diagonal; the variance of "Study 1" is -1'),
        ([1, 1], "V must have one row and one column a study, shape (2, 2); got (2,)"),
        ([[1, NAN], [0, 1]], 'V must hold numbers; "Study 1" with "Study 2" is nan'),
        ("abc", "V must be a matrix of numbers; 'abc' is in it"),
        ([[1], [1, 2]], "V must be a matrix of numbers; got list"),
        ([[True, False], [False, True]], "V must be a matrix of numbers; 'True' is in it"),
        ([["1", "0"], ["0", "1"]], "V must be a matrix of numbers; '1' is in it"),
        ([[1j, 0], [0, 1]], "V must be a matrix of numbers; '1j' is in it"),
        (
            np.ma.array(np.eye(2), mask=False),
            "V is a masked array; fill the masked cells or leave their rows out",
        ),
    ],
)
def test_a_matrix_that_is_no_covariance_is_refused(V, expected):
    with pytest.raises(DataError) as caught:
        Studies.from_effects([0.1, 0.2], V=V)
    assert str(caught.value) == expected


def test_variances_that_contradict_the_covariance_are_refused():
    with pytest.raises(DataError) as caught:
        Studies.from_effects([0.1, 0.2], V=[[0.1, 0.05], [0.05, 0.1]], vi=[0.1, 0.2])
    must = "the diagonal of V is 0.1 but vi is 0.2, and they must be equal"
    assert str(caught.value) == cell(2, "vi", must, "0.2", "Give only one of the two")


def test_a_covariance_frame_with_another_index_is_refused():
    V = pd.DataFrame(np.eye(2), index=[1, 2])
    with pytest.raises(DataError, match=r'^"yi" and "V" carry different indexes, and rows count by position'):
        Studies.from_effects(pd.Series([0.1, 0.2]), V=V)


# Labels and rows: 013, 016, 024, 026


def test_labels_that_look_missing_or_like_numbers_are_kept_as_text():
    assert studies(slab=["NA", "None"]).slab == ("NA", "None")
    assert studies(slab=["001", "002"]).slab == ("001", "002")
    assert studies(slab=[1, 2]).slab == ("1", "2")


def test_studies_without_labels_are_numbered():
    assert studies().slab == ("Study 1", "Study 2")


def test_labels_that_occur_twice_are_numbered_and_said():
    ours = studies([1, 2, 3], [1, 1, 1], slab=["Lu", "Ma", "Lu"])
    assert ours.slab == ("Lu.1", "Ma", "Lu.2")
    text = 'labels that stand more than once were numbered: "Lu.1", "Lu.2"'
    assert ours.notes == (("duplicate-labels", text),)
    assert ours.columns["slab"].tolist() == ["Lu", "Ma", "Lu"]


def test_a_number_that_a_label_bears_already_is_not_given_again():
    ours = studies([1, 2, 3], [1, 1, 1], slab=["Lu", "Lu.1", "Lu"])
    assert ours.slab == ("Lu.2", "Lu.1", "Lu.3")


def test_labels_that_are_missing_or_hold_control_characters_are_refused_together():
    text = refusal(DataError, [1, 2, 3], [1, 1, 1], slab=["a\n", None, " "])
    assert text.splitlines() == [
        "row 1 column \"slab\": a label must not hold control characters; got 'a'. Remove them (tabs and "
        "line breaks too).",
        'row 2 column "slab": a study must have a label; got nothing. Name the study.',
        'row 3 column "slab": a study must have a label; got nothing. Name the study.',
    ]


def test_a_very_long_label_is_cut_and_said():
    ours = studies(slab=["a" * 300, "b"])
    assert ours.slab == ("a" * 199 + "…", "b")
    assert ours.notes == (("long-labels", "1 label was cut to 200 characters"),)


@pytest.mark.parametrize(
    "label",
    ["Total", "total:", "Overall", "Subtotal", "Sub-total", "Pooled effect", "Grand total", "Total (95% CI)"],
)
def test_the_total_of_a_copied_forest_plot_is_refused(label):
    expected = (
        f'row 2 study "{label}": looks like a total, which would count studies twice. Drop the row with '
        f'exclude = ["{label}"], or say allow_total_rows = true.'
    )
    assert refusal(DataError, slab=["a", label]) == expected
    assert studies(slab=["a", label], allow_total_rows=True).k == 2
    assert studies(slab=["a", label], exclude=[label]).excluded == ((label, "excluded by name"),)


def test_a_label_that_only_begins_like_a_total_is_accepted():
    assert studies(slab=["Totaro 2001", "Overall 1999 trial"]).k == 2


def test_an_unknown_study_cannot_be_excluded():
    expected = "exclude names a study that is not in the table: \"Yu 2032\"; did you mean 'Yu 2023'?"
    assert refusal(AnalysisError, slab=["Yu 2023", "b"], exclude=["Yu 2032"]) == expected


@pytest.mark.parametrize("value", ["b", None, 1])
def test_exclude_is_a_list(value):
    expected = f"exclude must be a list of labels; got '{value}'"
    assert refusal(AnalysisError, slab=["a", "b"], exclude=value) == expected


def test_excluded_studies_need_not_be_sound():
    assert studies([0.1, NAN], [0.1, -1], slab=["a", "b"], exclude=["b"]).slab == ("a",)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"missing": "omit"}, "missing must be 'error' or 'drop'; got 'omit'"),
        ({"measure": ["OR"]}, f"unknown measure '['OR']'; known measures are {', '.join(MEASURES)}"),
        ({"measure": "LOR"}, "unknown measure 'LOR'; did you mean 'OR'?"),
        ({"better": "up"}, "better must be 'higher', 'lower' or ''; got 'up'"),
        ({"better": "highr"}, "better must be 'higher', 'lower' or ''; got 'highr'; did you mean 'higher'?"),
    ],
)
def test_a_wrong_option_is_refused(options, expected):
    assert refusal(AnalysisError, **options) == expected
