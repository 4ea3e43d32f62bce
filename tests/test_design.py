"""Design matrices against matrices written by hand, and against scipy's own splines.

Coding and names are those of DESIGN section 4; the rule for full or reduced coding is that of R's
`model.matrix` (Chambers and Hastie 1992, Statistical Models in S, chapter 2).
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BSpline, CubicSpline

from bayesmeta.design import build_design
from bayesmeta.tables import Table

DATA = {
    "x": [1.0, 2, 3, 4, 5, 6, 7, 8],
    "z": [2.0, 1, 4, 3, 6, 5, 8, 9],
    "g": list("aabbccaa"),
    "h": list("uvuvuvuu"),
    "n": [1, 2, 3, 1, 2, 3, 1, 2],
    "group": [1, 2, 3, 1, 2, 3, 1, 2],
    "a b": [3.0, 1, 4, 1, 5, 9, 2, 6],
}
ONE = np.ones(8)
X, Z = np.array(DATA["x"]), np.array(DATA["z"])


def is_level(name, level):
    return np.array([value == level for value in DATA[name]], dtype=float)


A, B, C = (is_level("g", level) for level in "abc")
U, V = (is_level("h", level) for level in "uv")


def design(formula, data=None, k=None):
    columns = Table.of(DATA if data is None else data).columns
    k = len(next(iter(columns.values()))) if k is None else k
    return build_design(formula, columns, slab=[f"s{i}" for i in range(k)], k=k)


HAND = {
    "1": {"Intercept": ONE},
    "x": {"Intercept": ONE, "x": X},
    "0 + x": {"x": X},
    "x + z": {"Intercept": ONE, "x": X, "z": Z},
    "g": {"Intercept": ONE, "g[b]": B, "g[c]": C},
    "0 + g": {"g[a]": A, "g[b]": B, "g[c]": C},
    'C(g, ref="c")': {"Intercept": ONE, "g[a]": A, "g[b]": B},
    'C(n, ref="2")': {"Intercept": ONE, "n[1]": is_level("n", 1), "n[3]": is_level("n", 3)},
    "g + h": {"Intercept": ONE, "g[b]": B, "g[c]": C, "h[v]": V},
    "0 + g + h": {"g[a]": A, "g[b]": B, "g[c]": C, "h[v]": V},
    "0 + h + g": {"h[u]": U, "h[v]": V, "g[b]": B, "g[c]": C},
    "0 + x + g": {"x": X, "g[a]": A, "g[b]": B, "g[c]": C},
    "x:z": {"Intercept": ONE, "x:z": X * Z},
    "x*z": {"Intercept": ONE, "x": X, "z": Z, "x:z": X * Z},
    "x*g": {"Intercept": ONE, "x": X, "g[b]": B, "g[c]": C, "x:g[b]": X * B, "x:g[c]": X * C},
    "x:g": {"Intercept": ONE, "x:g[a]": X * A, "x:g[b]": X * B, "x:g[c]": X * C},
    "x + x:g": {"Intercept": ONE, "x": X, "x:g[b]": X * B, "x:g[c]": X * C},
    "g + x:g": {
        "Intercept": ONE,
        "g[b]": B,
        "g[c]": C,
        "x:g[a]": X * A,
        "x:g[b]": X * B,
        "x:g[c]": X * C,
    },
    "g*h": {"Intercept": ONE, "g[b]": B, "g[c]": C, "h[v]": V, "g[b]:h[v]": B * V, "g[c]:h[v]": C * V},
    "0 + g:h": {
        "g[a]:h[u]": A * U,
        "g[a]:h[v]": A * V,
        "g[b]:h[u]": B * U,
        "g[b]:h[v]": B * V,
        "g[c]:h[u]": C * U,
        "g[c]:h[v]": C * V,
    },
    "x^2": {"Intercept": ONE, "x^2": X**2},
    "x + x^2 + x^3": {"Intercept": ONE, "x": X, "x^2": X**2, "x^3": X**3},
    "center(x)": {"Intercept": ONE, "center(x)": X - 4.5},
    "scale(x)": {"Intercept": ONE, "scale(x)": (X - 4.5) / np.sqrt(6)},  # variance of 1..8: 42 / 7
    "log(x)": {"Intercept": ONE, "log(x)": np.log(X)},
    "sqrt(x)": {"Intercept": ONE, "sqrt(x)": np.sqrt(X)},
    "exp(x)": {"Intercept": ONE, "exp(x)": np.exp(X)},
    "`a b`": {"Intercept": ONE, "`a b`": np.array(DATA["a b"])},
    "ns(x, df=1)": {"Intercept": ONE, "ns(x, df=1)[1]": X},
    "center(x):g": {
        "Intercept": ONE,
        "center(x):g[a]": (X - 4.5) * A,
        "center(x):g[b]": (X - 4.5) * B,
        "center(x):g[c]": (X - 4.5) * C,
    },
}


@pytest.mark.parametrize("formula", HAND)
def test_a_design_matrix_is_the_one_written_by_hand(formula):
    ours, hand = design(formula), HAND[formula]
    assert ours.names == tuple(hand)
    np.testing.assert_allclose(ours.X, np.column_stack(list(hand.values())), rtol=1e-15)


@pytest.mark.parametrize("formula", [*HAND, "poly(x, 3)", "bs(x, df=5)", "ns(x, df=3)", "poly(x, 2):h + h"])
def test_prediction_rows_of_the_data_are_the_training_rows(formula):
    ours = design(formula)
    np.testing.assert_array_equal(ours.rows(DATA), ours.X)


@pytest.mark.parametrize(
    "formula", ["g*x", "poly(x, 3)", "bs(x, df=5)", "ns(x, df=3)", "scale(x) + center(z)"]
)
def test_a_prediction_row_does_not_depend_on_the_rows_beside_it(formula):
    ours = design(formula)
    for i in (0, 3, 7):
        one = {name: values[i : i + 1] for name, values in DATA.items()}
        np.testing.assert_allclose(ours.rows(one)[0], ours.X[i], rtol=1e-13, atol=1e-15)


# Levels


def test_levels_are_sorted_as_numbers_where_they_are_numbers():
    ours = design("C(dose)", {"dose": [10, 9, 100, 9, 10, 100]})
    assert ours.names == ("Intercept", "dose[10]", "dose[100]")


def test_levels_that_share_their_first_six_digits_stay_apart():
    ours = design("0 + C(date)", {"date": [20250101, 20250102, 20250101, 20250103]})
    assert ours.names == ("date[20250101]", "date[20250102]", "date[20250103]")
    np.testing.assert_array_equal(ours.X.sum(axis=0), [2, 1, 1])


def test_the_mean_effects_are_the_intercept_or_the_levels_of_the_first_category():
    assert design("x + g").is_mean == (True, False, False, False)
    assert design("0 + g + h").is_mean == (True, True, True, False)
    assert design("0 + x + g").is_mean == (False, True, True, True)
    assert design("0 + x").is_mean == (False,)


# Polynomials and splines


def test_a_polynomial_is_orthonormal_as_by_hand():
    """For x = 1..5: (x - 3) / sqrt 10 and ((x - 3)^2 - 2) / sqrt 14."""
    x = np.arange(1.0, 6)
    ours = design("poly(x, 2)", {"x": x}).X
    np.testing.assert_allclose(ours[:, 1], (x - 3) / np.sqrt(10), atol=1e-15)
    np.testing.assert_allclose(ours[:, 2], ((x - 3) ** 2 - 2) / np.sqrt(14), atol=1e-15)


@given(st.lists(st.integers(-50, 50), min_size=6, max_size=15, unique=True), st.sampled_from([2, 3]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_polynomial_has_orthonormal_columns_that_span_the_powers(values, degree):
    x = np.array(values, dtype=float)
    ours = design(f"poly(x, {degree})", {"x": x}).X
    np.testing.assert_allclose(ours[:, 1:].T @ ours[:, 1:], np.eye(degree), atol=1e-10)
    np.testing.assert_allclose(ours[:, 1:].sum(axis=0), 0, atol=1e-9)
    powers = np.vander(x / 50, degree + 1)
    assert residual(powers, ours) < 1e-9


def residual(columns, basis):
    """Return the largest part of columns that a basis cannot express."""
    fitted = basis @ np.linalg.lstsq(basis, columns, rcond=None)[0]
    return float(np.abs(columns - fitted).max())


SPREAD = np.array([0.5, 1, 1.5, 2, 3, 4, 6, 7, 9, 12, 13, 18])


@pytest.mark.parametrize("df", [3, 4, 5, 6])
def test_a_b_spline_is_that_of_scipy_without_its_first_column(df):
    """R's `bs`: cubic, knots at the range and at the equidistant quantiles of x."""
    ours = design(f"bs(x, df={df})", {"x": SPREAD}).X
    inner = np.quantile(SPREAD, np.linspace(0, 1, df - 1)[1:-1])
    knots = np.r_[[SPREAD.min()] * 4, inner, [SPREAD.max()] * 4]
    theirs = BSpline.design_matrix(SPREAD, knots, 3).toarray()
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], atol=1e-12)


@pytest.mark.parametrize("df", [2, 3, 4])
def test_a_natural_spline_spans_the_natural_cubic_splines_of_scipy(df):
    """R's `ns`: df - 1 knots at the equidistant quantiles, linear beyond the range."""
    ours = design(f"ns(x, df={df})", {"x": SPREAD})
    knots = np.quantile(SPREAD, np.linspace(0, 1, df + 1))
    cardinal = CubicSpline(knots, np.eye(df + 1), bc_type="natural")
    theirs = cardinal(SPREAD)
    assert ours.p == df + 1 == np.linalg.matrix_rank(theirs)
    assert residual(theirs, ours.X) < 1e-12
    assert residual(ours.X, theirs) < 1e-12


@pytest.mark.parametrize("df", [1, 2, 3, 4])
def test_a_natural_spline_is_linear_beyond_the_data(df):
    ours = design(f"ns(x, df={df})", {"x": SPREAD})
    for outside in (SPREAD.max() + np.array([0.0, 1, 2, 3]), SPREAD.min() - np.array([0.0, 1, 2, 3])):
        bend = np.diff(ours.rows({"x": outside}), n=2, axis=0)
        np.testing.assert_allclose(bend, 0, atol=1e-11)


@given(st.sampled_from([1e-9, 1e-3, 7.0, 365.25, 1e12]))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_the_unit_of_a_moderator_does_not_change_its_polynomials_and_splines(unit):
    formula = "poly(x, 2) + bs(z, df=4)"
    other = {**DATA, "x": (unit * X).tolist(), "z": (unit * Z).tolist()}
    np.testing.assert_allclose(design(formula, other).X, design(formula).X, atol=1e-9)


@given(st.sampled_from([1e-9, 1e-3, 7.0, 1e12]))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_the_unit_of_a_moderator_scales_its_column_exactly(unit):  # INPUTS 116
    ours = design("x + x^2", {"x": (unit * X).tolist()}).X
    np.testing.assert_allclose(ours, design("x + x^2").X * [1, unit, unit**2], rtol=1e-15)


# Values


def test_a_design_is_an_equal_value_after_pickling():
    ours = design("poly(x, 2) + g")
    again = pickle.loads(pickle.dumps(ours))  # noqa: S301
    assert again == ours
    np.testing.assert_array_equal(again.rows(DATA), ours.X)
    assert ours != design("poly(x, 2)")


def test_a_design_cannot_be_changed():
    ours = design("x")
    with pytest.raises(ValueError, match="read-only"):
        ours.X[0, 0] = 2
    with pytest.raises(TypeError):
        ours.learned["x"] = X


def test_a_design_knows_its_shape():
    ours = design("x + g")
    assert (ours.k, ours.p, ours.intercept, ours.is_pooled) == (8, 4, True, False)
    assert design("1").is_pooled
    assert not design("0 + x").intercept


def test_without_moderators_there_is_a_row_for_each_new_value():
    assert design("1").rows({"x": [1, 2, 3]}).tolist() == [[1], [1], [1]]
    assert design("1").rows({}).tolist() == [[1]]
