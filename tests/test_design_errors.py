"""What a design matrix refuses, and what it doubts (INPUTS, "Moderators and formulas")."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmeta.design import build_design
from bayesmeta.errors import DataError, FormulaError
from bayesmeta.tables import Table

DATA = {
    "x": [1.0, 2, 3, 4, 5, 6, 7, 8],
    "double": [2.0, 4, 6, 8, 10, 12, 14, 16],
    "z": [2.0, 1, 4, 3, 6, 5, 8, 9],
    "g": list("aabbccaa"),
    "h": list("uvuvuvuu"),
    "same": [3.0] * 8,
    "level": ["k"] * 8,
    "gaps": [1, None, 3, 4, 5, 6, None, 8],
    "blanks": ["a", "b", "", "a", "b", "a", "b", "a"],
    "group": [1, 2, 3, 1, 2, 3, 1, 2],
    "zero": [0.0, 2, 3, 4, 5, 6, 7, 8],
    "below": [-1.0, 2, 3, 4, 5, 6, 7, 8],
    "year": [2001.0, 2002, 2003, 2004, 2005, 2006, 2007, 2008],
}
SLAB = [f"s{i}" for i in range(8)]


def design(formula, data=None, k=8):
    columns = Table.of({**DATA, **(data or {})}).columns
    return build_design(formula, {n: c[:k] for n, c in columns.items()}, slab=SLAB[:k], k=k)


def message(error, formula, data=None, k=8):
    with pytest.raises(error) as caught:
        design(formula, data, k)
    return str(caught.value)


def ids(formula, data=None, k=8):
    return [identifier for identifier, _ in design(formula, data, k).notes]


# INPUTS 110


def test_a_constant_column_is_refused_with_its_value():
    expected = 'column "same" is "3" in every study; a moderator must vary; leave it out of the formula'
    assert message(FormulaError, "x + same") == expected


def test_a_factor_of_one_level_is_refused_with_its_level():
    expected = 'column "level" is "k" in every study; a moderator must vary; leave it out of the formula'
    assert message(FormulaError, "C(level)") == expected


def test_all_constant_columns_are_named_at_once():
    assert message(FormulaError, "same + level").count("a moderator must vary") == 2


# INPUTS 112


def test_moderators_that_nearly_determine_one_another_are_doubted():
    nearly = [value + 1e-9 * (-1) ** i for i, value in enumerate(DATA["x"])]
    notes = dict(design("x + nearly", {"nearly": nearly}).notes)
    assert notes["near-collinear"] == "the moderators nearly determine one another: vague coefficients"
    assert "near-collinear" not in ids("x + z")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (
            "z + year + x",
            "'year' is a combination of 'Intercept', 'x', so that their coefficients cannot be told apart; "
            "leave one term out",
        ),
        (
            "x + z + year",
            "'year' is a combination of 'Intercept', 'x', so that their coefficients cannot be told apart; "
            "leave one term out",
        ),
    ],
)
def test_collinear_moderators_are_named(formula, expected):
    assert message(FormulaError, formula) == expected


def test_each_aliased_coefficient_is_named_with_its_partners():
    text = message(FormulaError, "x + double + z + twice", {"twice": [2 * z for z in DATA["z"]]})
    rest = "so that their coefficients cannot be told apart; leave one term out"
    pairs = [("x", "double"), ("z", "twice")]  # which of a pair is named is a matter of rounding
    for line, (one, other) in zip(
        sorted(text.splitlines(), key=lambda line: "twice" in line), pairs, strict=True
    ):
        assert line in {f"'{a}' is a combination of '{b}', {rest}" for a, b in ((one, other), (other, one))}


@pytest.mark.parametrize("degree", [2, 3])
def test_a_polynomial_of_too_few_values_is_refused(degree):
    expected = (
        f'poly(two, {degree}): column "two" must have at least {degree + 1} different values; it has 2; '
        "use a lower degree"
    )
    assert message(FormulaError, f"poly(two, {degree})", {"two": [1, 2, 1, 2, 1, 2, 1, 2]}) == expected


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("formula", ["x + double", "x + z", "year + year^2"])
def test_units_do_not_decide_what_is_collinear(formula, unit):
    data = {name: [unit * value for value in DATA[name]] for name in ("x", "double", "z", "year")}
    outcomes = []
    for given in (None, data):
        try:
            outcomes.append(design(formula, given).names)
        except FormulaError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


# INPUTS 113, 114


def test_as_many_coefficients_as_studies_are_accepted():
    assert design("x", k=2).p == 2


def test_more_coefficients_than_studies_are_refused():
    expected = "formula 'x + z' has 3 coefficients for 2 studies; use fewer terms"
    assert message(FormulaError, "x + z", k=2) == expected


# INPUTS 117


def test_every_missing_moderator_is_named():
    rest = "a moderator must have a value; got an empty cell; fill it in, or leave the study out by exclude"
    assert message(DataError, "gaps + blanks").splitlines() == [
        f'study "s1" column "gaps": {rest}',
        f'study "s6" column "gaps": {rest}',
        f'study "s2" column "blanks": {rest}',
    ]


# INPUTS 119


def test_numeric_codes_are_doubted():
    notes = dict(design("group").notes)
    assert notes["numeric-codes"] == "group has the numbers 1, 2, 3; if they are codes, write C(group)"
    assert "numeric-codes" not in ids("C(group)")
    assert "numeric-codes" not in ids("x")
    assert "numeric-codes" not in ids("group", {"group": [1, 2, 3, 4, 5, 6, 7, 8]})
    assert "numeric-codes" not in ids("group", {"group": [1, 1.5, 1, 2, 2, 1, 1, 1]})


# INPUTS 120


def test_an_empty_cell_of_an_interaction_is_refused():
    data = {"g": list("aaaabbbb"), "h": list("uvwuuvvu")}
    expected = "no study is in the cell 'g[b]:h[w]'; leave the interaction out"
    assert message(FormulaError, "g*h", data) == expected


def test_every_empty_cell_is_named():
    data = {"g": list("aaaabbbb"), "h": list("uvwvuuuu")}
    assert message(FormulaError, "g*h", data).splitlines() == [
        "no study is in the cell 'g[b]:h[v]'; leave the interaction out",
        "no study is in the cell 'g[b]:h[w]'; leave the interaction out",
    ]


def test_a_spline_with_too_many_degrees_of_freedom_is_refused():
    data = {"x": [1, 1, 1, 1, 2, 2, 2, 2]}
    assert message(FormulaError, "bs(x, df=3)", data).splitlines() == [
        "'bs(x, df=3)[1]' is 0 in every study; use fewer degrees of freedom",
        "'bs(x, df=3)[2]' is 0 in every study; use fewer degrees of freedom",
    ]


# INPUTS 121


def test_a_level_of_a_single_study_is_doubted():
    notes = dict(design("C(g)", {"g": list("aabbbbcb")}).notes)
    assert notes["single-study-level"] == "g: only one study has c"
    assert "single-study-level" not in ids("g")


# INPUTS 122


@pytest.mark.parametrize("name", ["tau", "mu", "Intercept", "y", "tau2", "theta", "theta_new", "I2", "H2"])
def test_a_name_of_the_model_is_refused_as_a_moderator(name):
    expected = f'a moderator must not be called "{name}", a name of the model; rename the column'
    assert message(FormulaError, name, {name: DATA["x"]}) == expected


@pytest.mark.parametrize(
    "name", ["C", "log", "lambda", "a b", "a+b", "größe", "1st", "x:y", "if", "{0}", "%s"]
)
def test_a_strange_name_works_in_back_quotes(name):
    ours = design(f"`{name}`", {name: DATA["x"]})
    np.testing.assert_array_equal(ours.X[:, 1], DATA["x"])


# INPUTS 123


def test_an_unknown_column_is_refused_with_the_nearest():
    assert message(DataError, "yeer") == "the studies have no column \"yeer\"; did you mean 'year'?"


def test_an_unknown_column_like_no_other_is_refused_with_all():
    expected = f'the studies have no column "`$`"; the columns are {", ".join(DATA)}'
    assert message(DataError, "qqqqqqqq") == expected.replace("`$`", "qqqqqqqq")


def test_a_dangerous_name_is_looked_up_and_nothing_more():
    assert message(DataError, '`__import__("os")`').startswith(
        'the studies have no column "__import__("os")"'
    )


# INPUTS 124


def test_a_prediction_outside_the_data_is_doubted_with_the_range():
    ours = design("x + g")
    expected = "x is predicted outside its range in the studies, 1 to 8"
    assert ours.outside({"x": [9.0, 2], "g": ["a", "b"]}) == (("extrapolation", expected),)
    assert ours.outside({"x": [8.0, 1], "g": ["a", "b"]}) == ()


# INPUTS 125


def test_many_moderators_for_few_studies_are_doubted():
    notes = dict(design("x").notes)
    rest = "of moderators for 8 studies; such a regression explores, it does not confirm"
    assert notes["many-moderators"] == f"1 coefficient {rest}"
    assert dict(design("x + z").notes)["many-moderators"] == f"2 coefficients {rest}"
    assert ids("1") == []


def test_one_moderator_in_ten_studies_is_not_too_many():
    columns = Table.of({"x": np.arange(10.0)}).columns
    assert build_design("x", columns, slab=[str(i) for i in range(10)], k=10).notes == ()


# Levels, domains, sizes


def test_an_unknown_reference_level_is_refused():
    expected = 'column "group" has no level "9"; the levels are 1, 2, 3'
    assert message(FormulaError, 'C(group, ref="9")') == expected
    assert message(FormulaError, 'C(g, ref="A")') == 'column "g" has no level "A"; did you mean \'a\'?'


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("log(zero)", "log(zero): values must be > 0; got 0"),
        ("sqrt(below)", "sqrt(below): values must be >= 0; got -1"),
        ("exp(big)", "exp(big): values must be at most 700; got 800"),
        ("log(g)", 'log(g): column "g" holds text; use C(g)'),
        ("poly(g, 2)", 'poly(g, 2): column "g" holds text; use C(g)'),
    ],
)
def test_a_transform_outside_its_domain_is_refused(formula, expected):
    assert message(FormulaError, formula, {"big": [800.0, 1, 2, 3, 4, 5, 6, 7]}) == expected


@pytest.mark.parametrize(("unit", "largest"), [(1e60, "5.12e+182"), (1e-60, "5.12e-178"), (1e120, "inf")])
def test_a_column_whose_square_overflows_or_vanishes_is_refused(unit, largest):
    data = {"x": [unit * value for value in DATA["x"]]}
    expected = (
        f"'x^3' must lie between 1e-150 and 1e+150 in size; got {largest}; change the unit of the column"
    )
    assert message(FormulaError, "x^3", data) == expected


def test_two_terms_with_the_same_coefficients_are_refused():
    expected = "two coefficients would be called 'g[b]'; leave one term out"
    assert message(FormulaError, "g + C(g)") == expected


def test_no_intercept_and_no_term_is_refused():
    assert message(FormulaError, "0") == "a formula must have an intercept or a term; got '0'; write '1'"


# New values


def new(values):
    with pytest.raises(DataError) as caught:
        design("x + g").rows(values)
    return str(caught.value)


def test_every_unseen_level_is_refused():
    known = "which is not in the studies; known levels are a, b, c"
    assert new({"x": [1, 2, 3], "g": ["a", "q", "r"]}).splitlines() == [
        f'column "g" has the level "q", {known}',
        f'column "g" has the level "r", {known}',
    ]


def test_every_missing_column_of_new_values_is_named():
    assert new({"X": [1]}).splitlines() == [
        "the new values need a column \"x\"; did you mean 'X'?",
        'the new values need a column "g"',
    ]


def test_missing_cells_of_new_values_are_refused():
    assert new({"x": [np.nan], "g": [""]}).splitlines() == [
        'column "x" of the new values has a missing cell; fill it in',
        'column "g" of the new values has a missing cell; fill it in',
    ]


def test_new_text_where_the_studies_have_numbers_is_refused():
    assert new({"x": ["1"], "g": ["a"]}) == 'column "x" must hold numbers, as in the studies'


def test_new_columns_of_different_lengths_are_refused():
    expected = 'columns must have the same length; got "x" 2, "g" 1'
    assert new({"x": [1, 2], "g": ["a"]}) == expected


def test_columns_that_the_formula_does_not_need_are_ignored():
    assert design("x").rows({"x": [2.0], "other": ["anything"]}).tolist() == [[1, 2]]
