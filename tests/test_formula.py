"""The grammar of formulas: what it accepts, and that nothing else is ever evaluated (DESIGN section 4)."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmeta.errors import FormulaError
from bayesmeta.formula import Factor, Formula, parse_formula

ALLOWED = (
    'a formula has column names joined by + : *, with 0 + or - 1 for no intercept, and C(name, ref="level"), '
    "center, scale, log, sqrt, exp, name^2, name^3, poly(name, 2), bs(name, df=4), ns(name, df=3)"
)


def terms(text):
    """Return the terms as text."""
    return [":".join(map(str, term)) for term in parse_formula(text).terms]


# What is accepted


@pytest.mark.parametrize(
    ("text", "intercept", "expected"),
    [
        ("1", True, []),
        ("x", True, ["x"]),
        ("1 + x", True, ["x"]),
        ("0 + x", False, ["x"]),
        ("x + 0", False, ["x"]),
        ("x - 1", False, ["x"]),
        ("a + b", True, ["a", "b"]),
        ("a:b", True, ["a:b"]),
        ("a*b", True, ["a", "b", "a:b"]),
        ("a*b*c", True, ["a", "b", "c", "a:b", "a:c", "b:c", "a:b:c"]),
        ("a*b:c", True, ["a", "b:c", "a:b:c"]),
        ("a:b + a + b", True, ["a", "b", "a:b"]),
        ("a + a", True, ["a"]),
        ("a:a", True, ["a"]),
        ("a:b + b:a", True, ["a:b"]),
        ("a*b + b*a", True, ["a", "b", "a:b"]),
        ("x^2 + x^3", True, ["x^2", "x^3"]),
        ("C(g)", True, ["C(g)"]),
        ('C(g, ref="hip")', True, ['C(g, ref="hip")']),
        ("C(g, ref='hip')", True, ['C(g, ref="hip")']),
        ("C(g, ref='say \"so\"')", True, ["C(g, ref='say \"so\"')"]),
        ("center(x) + scale(x)", True, ["center(x)", "scale(x)"]),
        ("log(x) + sqrt(x) + exp(x)", True, ["log(x)", "sqrt(x)", "exp(x)"]),
        ("poly(x, 2) + poly(z, 3)", True, ["poly(x, 2)", "poly(z, 3)"]),
        ("bs(x, df=4) + ns(x, df=3)", True, ["bs(x, df=4)", "ns(x, df=3)"]),
        ("`a b` + `1st`", True, ["`a b`", "`1st`"]),
        ("`a`", True, ["a"]),
        ("`a b`^2", True, ["`a b`^2"]),
        ("  a+\tb\n", True, ["a", "b"]),
        ("größe + 年", True, ["größe", "年"]),
        ("C + log + ref + df", True, ["C", "log", "ref", "df"]),
    ],
)
def test_a_formula_is_read_as_written(text, intercept, expected):
    formula = parse_formula(text)
    assert formula.intercept is intercept
    assert terms(text) == expected


def test_a_formula_knows_its_columns_each_once():
    assert parse_formula("a*b + log(a) + C(g):b").columns == ("a", "b", "g")


def test_equal_formulas_are_equal_values_whatever_their_spaces():
    assert parse_formula("a + b") == parse_formula(" a+b ")
    assert hash(parse_formula("a + b")) == hash(parse_formula("a+b"))
    assert parse_formula("a + b") != parse_formula("b + a")
    assert pickle.loads(pickle.dumps(parse_formula("a*b"))) == parse_formula("a*b")  # noqa: S301


def test_a_formula_is_a_value_that_cannot_be_changed():
    with pytest.raises(AttributeError):
        parse_formula("a").intercept = False


names = st.sampled_from(["a", "b", "x1", "größe", "a b", "C", "1st", "x+y"])
factors = st.one_of(
    st.builds(Factor, st.just(""), names),
    st.builds(Factor, st.just("power"), names, st.sampled_from([2, 3])),
    st.builds(Factor, st.sampled_from(["center", "scale", "log", "sqrt", "exp"]), names),
    st.builds(
        Factor, st.just("C"), names, st.sampled_from([None, "hip", "a, b", "1", "it's", 'say "so"', ")"])
    ),
    st.builds(Factor, st.just("poly"), names, st.sampled_from([2, 3])),
    st.builds(Factor, st.just("bs"), names, st.integers(3, 20)),
    st.builds(Factor, st.just("ns"), names, st.integers(1, 20)),
)


@given(st.booleans(), st.lists(st.lists(factors, min_size=1, max_size=3, unique=True), max_size=5))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_the_text_of_a_formula_is_read_back_as_the_same_formula(intercept, products):
    unique = {frozenset(term): tuple(term) for term in products}
    formula = Formula(intercept, tuple(sorted(unique.values(), key=len)))
    assert parse_formula(str(formula)) == formula


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_text_is_read_or_refused(text):
    try:
        parse_formula(text)
    except FormulaError as error:
        assert len(error.messages) == 1


@given(st.text(alphabet="xab01+-:*^(),=`\"'C logpyns.#\n", max_size=40))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_text_of_the_alphabet_of_formulas_is_read_or_refused(text):
    try:
        formula = parse_formula(text)
    except FormulaError:
        return
    assert parse_formula(str(formula)) == formula


# What is refused, before anything is evaluated: INPUTS 123, TESTING X-01

UNEXPECTED = {
    '__import__("os").system("id")': (17, "'.'"),
    "os.system": (3, "'.'"),
    'x.to_csv("f")': (2, "'.'"),
    "np.load": (3, "'.'"),
    "formulae.matrices.pd.read_pickle": (9, "'.'"),
    "x.__class__": (2, "'.'"),
    "().__class__": (3, "'.'"),
    "lambda x: x": (8, "'x'"),
    "lambda: 1": (9, "'1'"),
    "[x for x in y]": (1, "'['"),
    "(x for x in y)": (1, "'('"),
    "{x}": (1, "'{'"),
    "{0.__class__}": (1, "'{'"),
    "%s": (1, "'%'"),
    "I(x)": (1, "function 'I'"),
    "I(x**2)": (1, "function 'I'"),
    "eval(x)": (1, "function 'eval'"),
    'exec("1")': (1, "function 'exec'"),
    'open("f")': (1, "function 'open'"),
    "offset(x)": (1, "function 'offset'"),
    "sin(x)": (1, "function 'sin'"),
    "C(x)(y)": (5, "'('"),
    "x**2": (3, "'*'"),
    "9**9**9": (1, "'9'"),
    "x^9999999999": (3, "'9999999999'"),
    "x^4": (3, "'4'"),
    "x^1": (3, "'1'"),
    "x^y": (3, "'y'"),
    "x^2^2": (4, "'^'"),
    "C(x)^2": (5, "'^'"),
    "log(log(x))": (8, "'('"),
    "exp(x+1)": (6, "'+'"),
    "log(x, y)": (6, "','"),
    "poly(x)": (7, "')'"),
    "poly(x, 4)": (9, "'4'"),
    "poly(x, 2.5)": (9, "'2'"),
    "poly(x, 99999999999999999999)": (9, "'99999999999999999999'"),
    "bs(x, 4)": (7, "'4'"),
    "bs(x, df=2)": (10, "'2'"),
    "bs(x, df=21)": (10, "'21'"),
    "bs(x, df=0000005)": (10, "'0000005'"),
    "ns(x, df=0)": (10, "'0'"),
    '"x"': (1, "'\"x\"'"),
    'x + "y"': (5, "'\"y\"'"),
    'C("x")': (3, "'\"x\"'"),
    'C(x, "a")': (6, "'\"a\"'"),
    'C(x, levels="a")': (6, "'levels'"),
    "C(x, ref=a)": (10, "'a'"),
    'C(x, ref="a)': (10, "'\"'"),
    'C(x, ref="a", ref="b")': (13, "','"),
    "C()": (3, "')'"),
    "`a": (1, "'`'"),
    "``": (1, "'`'"),
    "`a`b`": (5, "'`'"),
    "`a\\`;import os`": (5, "';'"),
    "`a``b`": (5, "'b'"),
    "x;y": (2, "';'"),
    "x = 1": (3, "'='"),
    "x == 1": (3, "'='"),
    "x := 1": (4, "'='"),
    "x | y": (3, "'|'"),
    "x/y": (2, "'/'"),
    "x%in%y": (2, "'%'"),
    "y ~ x": (3, "'~'"),
    "x & y": (3, "'&'"),
    "@x": (1, "'@'"),
    "x!": (2, "'!'"),
    "x # y": (3, "'#'"),
    "x if y else z": (3, "'if'"),
    "x and y": (3, "'and'"),
    "await x": (7, "'x'"),
    "x y": (3, "'y'"),
    "x, y": (2, "','"),
    "(x)": (1, "'('"),
    "x -x": (4, "'x'"),
    "x - 0": (5, "'0'"),
    "x + 2": (5, "'2'"),
    "x + 0000001": (5, "'0000001'"),
    "1e5": (1, "'1'"),
    "1.5": (1, "'1'"),
    "0x10": (1, "'0'"),
    "x:1": (3, "'1'"),
    "1:x": (2, "':'"),
    "+x": (1, "'+'"),
    "a::b": (3, "':'"),
    "a:": (3, "end"),
    "a + ": (5, "end"),
    "log(x": (6, "end"),
    "x\x00": (2, "U+0000"),
    "x\u202ey": (2, "U+202E"),
    "x\u200by": (2, "U+200B"),
    "x\ufeff": (2, "U+FEFF"),
    "x ＋ y": (3, "'＋'"),
    "x–1": (2, "'–'"),
    "\ud800": (1, "U+D800"),
}


def test_there_are_more_than_forty_hostile_formulas():
    assert len(UNEXPECTED) > 40


@pytest.mark.parametrize("text", UNEXPECTED, ids=[ascii(text) for text in UNEXPECTED])
def test_a_hostile_formula_is_refused_with_its_place_and_what_is_allowed(text):
    place, found = UNEXPECTED[text]
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    shown = "".join(c for c in text if c not in "\x00\u202e\u200b\ufeff\ud800")
    assert str(caught.value) == f"formula '{shown}', character {place}: unexpected {found}; {ALLOWED}"


def test_a_misspelt_function_is_refused_with_the_nearest():
    with pytest.raises(FormulaError) as caught:
        parse_formula("x + sqr(x)")
    expected = (
        f"formula 'x + sqr(x)', character 5: unexpected function 'sqr'; did you mean 'sqrt'?; {ALLOWED}"
    )
    assert str(caught.value) == expected


@pytest.mark.parametrize("text", ["", "   ", "\n"])
def test_an_empty_formula_is_refused(text):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert str(caught.value) == f"a formula must not be empty; write '1' for no moderators; {ALLOWED}"


@pytest.mark.parametrize("value", [None, 1, ["x"], b"x"])
def test_a_formula_that_is_no_text_is_refused(value):
    with pytest.raises(FormulaError) as caught:
        parse_formula(value)
    kind = type(value).__name__
    assert str(caught.value) == f"a formula must be text such as 'duration_months'; got {kind}"


def test_three_hundred_parentheses_are_refused_without_recursion():
    with pytest.raises(FormulaError) as caught:
        parse_formula("(" * 300 + "x" + ")" * 300)
    assert str(caught.value) == f"formula '{'(' * 199}…', character 1: unexpected '('; {ALLOWED}"


def test_five_thousand_terms_are_refused_by_their_length():
    text = "+".join(f"x{i}" for i in range(5000))
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    assert str(caught.value) == f"a formula must have at most 2000 characters; got {len(text)}"


def test_a_very_long_name_is_refused_by_its_length():
    with pytest.raises(FormulaError) as caught:
        parse_formula("x" * 100_000)
    assert str(caught.value) == "a formula must have at most 2000 characters; got 100000"


def test_fifty_terms_are_accepted_and_fifty_one_are_not():
    assert len(parse_formula("+".join(f"x{i}" for i in range(50))).terms) == 50
    with pytest.raises(FormulaError) as caught:
        parse_formula("+".join(f"x{i}" for i in range(51)))
    assert str(caught.value) == "a formula must have at most 50 terms; got 51"


@pytest.mark.parametrize("text", ["*".join("abcdefg"), ":".join(f"a{i}" for i in range(21))])
def test_too_many_factors_in_one_term_are_refused(text):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    expected = f"formula '{text}': too many factors in one term; at most 20, or 6 joined by *"
    assert str(caught.value) == expected


def test_twenty_factors_in_one_term_are_accepted():
    assert len(parse_formula(":".join(f"a{i}" for i in range(20))).terms[0]) == 20


@pytest.mark.parametrize("text", ['`__import__("os")`', "`{0.__class__}`", "__builtins__", "`x; import os`"])
def test_a_name_is_only_ever_the_name_of_a_column(text):
    formula = parse_formula(text)
    assert formula.columns == (text.strip("`"),)
