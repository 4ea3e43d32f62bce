"""Sentences for the mistakes in an analysis file: which table, which entry, what it must be, what it was."""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from bayesmeta.analysis_entries import EntryError
from bayesmeta.analysis_options import (
    DataOptions,
    Document,
    EngineOptions,
    Expected,
    FigureOptions,
    Header,
    IntervalOptions,
    ModelOptions,
    ModeratorOptions,
    PriorOptions,
    Regression,
    ReportOptions,
    SensitivityOptions,
    Subgroup,
)
from bayesmeta.errors import AnalysisError, printable, suggest
from bayesmeta.tables import UNPRINTABLE, number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bayesmeta.tomlfile import Place

LONGEST_SHOWN = 60

TABLES: Mapping[tuple[str, ...], type] = {
    (): Document,
    ("analysis",): Header,
    ("data",): DataOptions,
    ("model",): ModelOptions,
    ("model", "priors"): PriorOptions,
    ("engine",): EngineOptions,
    ("interval",): IntervalOptions,
    ("regressions",): Regression,
    ("regressions", "priors"): PriorOptions,
    ("subgroups",): Subgroup,
    ("moderators",): ModeratorOptions,
    ("sensitivity",): SensitivityOptions,
    ("expected",): Expected,
    ("report",): ReportOptions,
    ("figures",): FigureOptions,
}
"""Every table of an analysis file."""

LISTS = ("regressions", "subgroups", "expected")
"""Tables that may stand several times."""

MUST = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "finite_number": "must be finite",
    "dataclass_type": "must be a table",
    "dataclass_exact_type": "must be a table",
    "string_too_short": "must not be empty",
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "literal_error": "must be {expected}",
    "too_long": "must have at most {max_length} entries",
}
"""What an entry must be, by pydantic's name of the mistake."""


type Fault = tuple[Place, str]
"""Where a mistake stands, and the sentence about it."""


def text_faults(value: object, place: Place = ()) -> Iterator[Fault]:
    """Yield every text that holds control characters.

    Parameters
    ----------
    value : dict, list, str, ...
        Content of a file.
    place : tuple
        Where it stands.
    """
    if isinstance(value, str) and UNPRINTABLE.search(value):
        yield place, _about(place, "must not hold control characters")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from text_faults(item, (*place, key))


def entry_faults(mistake: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the sentences about one mistake that pydantic found.

    Parameters
    ----------
    mistake : mapping
        An item of ``ValidationError.errors()``.
    content : mapping
        Content of the file, to say what stands there.
    """
    place: Place = tuple(mistake["loc"])
    cause = mistake.get("ctx", {}).get("error")
    if isinstance(cause, EntryError):
        for entry, sentence in cause.faults:
            inner = (*place, *(entry if isinstance(entry, tuple) else (entry,)))
            yield inner, _about(inner, _with_got(sentence, content, inner))
    elif isinstance(cause, AnalysisError):
        for sentence in cause.messages:
            yield place, _about(place, sentence)
    elif mistake["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        yield place, _unknown(place)
    elif mistake["type"] in {"missing", "missing_argument"}:
        yield place[:-1], _needed(place)
    else:
        sentence = str(cause) if cause is not None else _must(mistake, _raw(content, place))
        yield place, _about(place, _with_got(sentence, content, place))


def _must(mistake: Mapping[str, Any], raw: object) -> str:
    template = MUST.get(mistake["type"])
    if template is None:
        return f"is wrong: {printable(str(mistake['msg'])).lower()}"
    context = mistake.get("ctx", {})
    bounds = {name: number_text(float(context[name])) for name in ("gt", "ge", "lt", "le") if name in context}
    sentence = template.format(**{**context, **bounds})
    if mistake["type"] == "literal_error" and isinstance(raw, str):
        known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        nearest = difflib.get_close_matches(raw, known, n=1)
        return f"{sentence}; got {_shown(raw)}" + (f"; did you mean '{nearest[0]}'?" if nearest else "")
    return sentence


def _with_got(sentence: str, content: Mapping[str, Any], place: Place) -> str:
    needs = sentence.startswith("must") and "; got " not in sentence
    return f"{sentence}; got {_shown(_raw(content, place))}" if needs else sentence


def _unknown(place: Place) -> str:
    key = str(place[-1])
    kind = TABLES.get(_names(place[:-1]))
    known = [part.name for part in fields(kind)] if kind is not None else []
    what = "key" if place[:-1] else "table"
    return f"{table_name(place[:-1])} unknown {what} '{printable(key)}'{suggest(key, known)}".strip()


def _needed(place: Place) -> str:
    if len(place) == 1:
        return f"the table [{place[0]}] is missing"
    return f"{table_name(place[:-1])} needs '{place[-1]}'"


def _about(place: Place, sentence: str) -> str:
    names = _names(place)
    end = max((end for end in range(len(names)) if names[:end] in TABLES), default=0)
    inside = place[_position(place, end) :]
    entry = ".".join(str(part) for part in inside if isinstance(part, str))
    entry += "".join(f"[{part + 1}]" for part in inside if isinstance(part, int))
    if sentence.startswith(f"{entry} "):
        entry = ""
    joint = "" if not entry else " " if sentence.startswith(("must", "is wrong")) else ": "
    return f"{table_name(place[: _position(place, end)])} {printable(entry)}{joint}{sentence}".strip()


def _position(place: Place, names: int) -> int:
    """Return how many steps of a place its first `names` names take, positions in lists included."""
    steps = 0
    for count in range(names):
        steps += 1
        if count == 0 and place[0] in LISTS and len(place) > 1 and isinstance(place[1], int):
            steps += 1
    return steps


def _names(place: Place) -> tuple[str, ...]:
    return tuple(part for part in place if isinstance(part, str))


def table_name(place: Place) -> str:
    """Return the table of a place as it is written: ``"[model.priors]"`` or ``"[[regressions]]"``."""
    names = ".".join(_names(place))
    return f"[[{names}]]" if names in LISTS else f"[{names}]" if names else ""


def _raw(content: object, place: Place) -> object:
    for part in place:
        try:
            content = content[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _shown(raw: object) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if raw is None:
        return "nothing"
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, list):
        return "a list" if len(raw) < 100 else f"a list of {len(raw)}"
    text = printable(f"'{raw}'" if isinstance(raw, str) else str(raw))
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
