"""The tree of errors: exit codes, several messages at once, and words for print."""

from __future__ import annotations

import pickle

import pytest

from bayesmeta import errors
from bayesmeta.errors import BayesmetaError, printable, suggest

CODES = {
    "AnalysisError": 2,
    "FormulaError": 2,
    "ModelError": 2,
    "PriorError": 2,
    "DataError": 3,
    "FileError": 5,
    "NumericalError": 6,
    "ImproperPosteriorError": 6,
    "SamplingError": 6,
}
FAMILIES = {
    "AnalysisError": ValueError,
    "DataError": ValueError,
    "FileError": OSError,
    "NumericalError": ArithmeticError,
}


def all_errors():
    return {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, BayesmetaError) and kind is not BayesmetaError
    }


def test_every_error_has_the_exit_code_of_the_design():
    assert {name: kind.exit_code for name, kind in all_errors().items()} == CODES


@pytest.mark.parametrize(("name", "family"), FAMILIES.items())
def test_an_error_is_caught_by_those_who_do_not_know_the_package(name, family):
    assert issubclass(all_errors()[name], family)


@pytest.mark.parametrize("name", CODES)
def test_an_error_holds_one_sentence_or_many_and_survives_pickling(name):
    kind = all_errors()[name]
    assert kind("one").messages == ("one",)
    many = kind(text for text in ("one", "two"))
    assert str(many) == "one\ntwo"
    again = pickle.loads(pickle.dumps(many))  # noqa: S301
    assert (type(again), again.messages) == (kind, ("one", "two"))


@pytest.mark.parametrize("name", CODES)
def test_the_tree_at_the_top_of_the_file_names_every_error(name):
    assert name in errors.__doc__


def test_the_nearest_word_is_suggested_whatever_its_case():
    assert suggest("taau", ["tau", "mu"]) == "; did you mean 'tau'?"
    assert suggest("TAU", ["tau", "mu"]) == "; did you mean 'tau'?"
    assert suggest("xyz", ["tau", "mu"]) == ""
    assert suggest("x", []) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain é 年", "plain é 年"),
        ("a\x1b[31mb", "a[31mb"),
        ("a\nb\tc\x00", "abc"),
        ("a\u202eb\u2066c\u200b", "abc"),
        ("a\ud800b", "ab"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 199 + "…"),
    ],
)
def test_a_text_is_printed_without_control_direction_and_half_characters(text, expected):
    assert printable(text) == expected
    expected.encode()
