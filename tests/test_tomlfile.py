"""TOML with line numbers: the scanner agrees with the reader, and what is written is read back."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayesmeta.analysis import parse_analysis
from bayesmeta.errors import AnalysisError, BayesmetaError
from bayesmeta.tomlfile import parse_toml, toml_text

DOCUMENT = (
    '''# a comment with [brackets] and "quotes"
[a]
x = 1 # [b]
"y z" = """
one ] }
"" two""""
c.d = { e = 'it'''
    + """', f = [1.5,
    2, { g = 1979-05-27 07:32:00 }] }

[[t]]
n = 1
[t.u]
v = "#"
[[t]]
[t.u.w]
v = true
"""
)


def test_every_key_and_item_has_its_line():
    file = parse_toml(DOCUMENT.encode().replace(b"'it''", b"'it'"), source="d.toml")
    assert file.lines == {
        ("a",): 2,
        ("a", "x"): 3,
        ("a", "y z"): 4,
        ("a", "c"): 7,
        ("a", "c", "d"): 7,
        ("a", "c", "d", "e"): 7,
        ("a", "c", "d", "f"): 7,
        ("a", "c", "d", "f", 0): 7,
        ("a", "c", "d", "f", 1): 8,
        ("a", "c", "d", "f", 2): 8,
        ("a", "c", "d", "f", 2, "g"): 8,
        ("t",): 10,
        ("t", 0): 10,
        ("t", 0, "n"): 11,
        ("t", 0, "u"): 12,
        ("t", 0, "u", "v"): 13,
        ("t", 1): 14,
        ("t", 1, "u"): 15,
        ("t", 1, "u", "w"): 15,
        ("t", 1, "u", "w", "v"): 16,
    }
    assert file.where(("t", 1, "u", "w", "v")) == "d.toml:16"
    assert file.where(("t", 0, "unknown", 3)) == "d.toml:10"
    assert file.where(("unknown",)) == "d.toml"


def test_line_endings_and_a_byte_order_mark_do_not_move_the_lines():
    text = "[a]\nx = 1\n\ny = 2\n"
    plain = parse_toml(text.encode(), source="")
    assert parse_toml(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(), source="") == plain
    assert plain.lines["a", "y"] == 4


def test_a_text_that_looks_like_the_end_of_a_table_is_not_touched_when_tables_are_joined():
    file = parse_toml(b'x = { a = ",}",\n b = "#, }", # },\n c = 1,\n}\n', source="")
    assert file.content == {"x": {"a": ",}", "b": "#, }", "c": 1}}
    assert file.lines["x", "c"] == 3


def test_a_table_that_is_never_closed_is_named_where_it_opens():
    with pytest.raises(AnalysisError, match=r"^d.toml:2: not TOML: unclosed inline table$"):
        parse_toml(b"a = 1\nx = { b = 1\n", source="d.toml")


def places(value, path=()):
    """Return every key and item of a value; tables within lists count as items."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {place for key, item in items for place in ((*path, key), *places(item, (*path, key)))}


TEXTS = st.text(max_size=8)
LEAVES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TABLES = st.dictionaries(TEXTS, st.dictionaries(TEXTS, VALUES, max_size=4), max_size=4)


@settings(max_examples=200, deadline=None)
@given(tables=TABLES)
def test_what_is_written_is_read_back_and_every_place_has_a_line(tables):
    text = toml_text(tables)
    assert tomllib.loads(text) == without_empty(tables)
    file = parse_toml(text.encode(), source="d.toml")
    assert file.content == tomllib.loads(text)
    named = {place for place in places(file.content) if file.line(place)}
    assert named == places(file.content)
    lines = text.split("\n")
    for place, line in file.lines.items():
        if isinstance(place[-1], str) and place[-1].isalnum() and place[-1].isascii():
            assert place[-1] in lines[line - 1]


def without_empty(tables):
    """Return the tables without those that have nothing in them, which are not written."""
    return {name: table for name, table in tables.items() if table}


PIECES = st.sampled_from(
    [
        *(
            "[analysis]",
            "[data]",
            "[[regressions]]",
            "[model.priors]",
            "[engine]",
            "title",
            "measure",
            "columns",
        ),
        *(
            " = ",
            '"MD"',
            '"T"',
            "1",
            "nan",
            "true",
            "{",
            "}",
            "[",
            "]",
            ",",
            "\n",
            "\n",
            ".",
            "#",
            "'",
            '"""',
            "\\",
        ),
        *(
            "name",
            "mods",
            "tau",
            '"HalfNormal(1)"',
            "2026-02-01",
            "seed",
            "-1",
            "yi",
            "sei",
            "file",
            "é",
            "\0",
        ),
    ]
)


@settings(max_examples=400, deadline=None)
@given(text=st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=60)))
@example(text="x = " + "9" * 5000)
@example(text="[a]\n[a.b]\n[a]\n")
@example(text="a = {b = 1,, }\n")
@example(text="[[a]]\n[[a.b]]\n[a.b.c]\nd.e.f = 1\n")
def test_whatever_the_text_only_our_errors_come_out(text):
    with pytest.raises(BayesmetaError):
        parse_analysis(text)


@settings(max_examples=200, deadline=None)
@given(
    table=st.sampled_from(["analysis", "data", "model", "engine", "interval", "sensitivity"]),
    key=TEXTS,
    value=VALUES,
)
def test_an_entry_of_any_type_gives_an_analysis_or_our_error(table, key, value):
    known = {
        "analysis": {"title": "T"},
        "data": {"file": "a.csv", "measure": "GEN", "columns": {"yi": "y", "sei": "s"}},
    }
    names = [
        "title",
        "seed",
        "measure",
        "columns",
        "mods",
        "priors",
        "chains",
        "prob",
        "tau_priors",
        "exclude",
    ]
    for name in (key, *names):
        document = {**known, table: {**known.get(table, {}), name: value}}
        try:
            parse_analysis(toml_text(document))
        except AnalysisError as error:
            assert all(message.startswith("analysis.toml") for message in error.messages)
