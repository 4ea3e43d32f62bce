"""TOML with the line of every key, so that a mistake can be pointed at; and values back to TOML."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.errors import AnalysisError, printable
from bayesmeta.rawfile import read_file

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

type Place = tuple[str | int, ...]
"""Where a value stands: the keys, and the positions in lists, that lead to it."""

LARGEST = 2**20
DEEPEST = 16

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""+'
    r"|'''.*?'''+"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|\n|[\[\]{}=,.]|[^\s\"'#\[\]{}=,.]+|[^\S\n]+",
    re.DOTALL,
)
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{DEEPEST}}}")
_POSITION = re.compile(r"^(.*) \(at (?:line (\d+), column \d+|end of document)\)$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")

_MEANINGS = {
    "Cannot overwrite a value": "this key stands twice",
    "Cannot mutate immutable namespace": "this table was complete already; it cannot be added to",
}
"""Messages of the TOML reader that need other words."""


class TomlFile(NamedTuple):
    """Content of a TOML file, and where everything stands in it."""

    content: dict[str, Any]
    """The tables."""
    lines: Mapping[Place, int]
    """Line, counted from 1, of each key and each item of a list."""
    source: str
    """Name of the file, for messages."""
    sha256: str
    """SHA-256 of the file, in hexadecimal."""

    def line(self, place: Place) -> int:
        """Return the line of a place, or of the nearest place around it; 0 when there is none."""
        known = (self.lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self.lines)
        return next(known, 0)

    def where(self, place: Place) -> str:
        """Return ``"file.toml:14"`` for a place; only the name of the file when no line is known."""
        line = self.line(place)
        return f"{self.source}:{line}" if line else self.source


def read_toml(path: str | os.PathLike[str]) -> TomlFile:
    """Return the content of a TOML file.

    Parameters
    ----------
    path : str or path-like
        A regular file of at most 1 MB.

    Raises
    ------
    AnalysisError
        If it is not TOML; the message has the line.
    FileError
        If it cannot be read.
    """
    raw = read_file(path, largest=LARGEST)
    return parse_toml(raw.content, source=printable(Path(path).as_posix()), sha256=raw.sha256)


def parse_toml(content: bytes, *, source: str, sha256: str = "") -> TomlFile:
    """Return the content of a TOML document.

    Parameters
    ----------
    content : bytes
        The document, in UTF-8.
    source : str
        Its name, for messages.
    sha256 : str
        Its hash, if it is known.

    Raises
    ------
    AnalysisError
        If it is not TOML, or nested more than 16 deep.
    """
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise AnalysisError(f"{source}:{line}: the file must be UTF-8; save it as such") from error
    too_deep = AnalysisError(f"{source}: tables and keys must not be nested more than {DEEPEST} deep")
    if _LONG_KEY.search(text):
        raise too_deep
    try:
        tables = _loaded(text, source)
        if _depth(tables) > DEEPEST:
            raise too_deep
        return TomlFile(tables, _Scanner(text).lines(), source, sha256)
    except RecursionError:
        raise too_deep from None


def toml_text(content: Mapping[str, object]) -> str:
    """Return tables as a TOML document.

    Parameters
    ----------
    content : mapping
        Texts, numbers, truth values, sequences of them, mappings, sequences of mappings. None is left out.

    Examples
    --------
    >>> print(toml_text({"data": {"measure": "MD", "columns": {"yi": "effect"}}}), end="")
    [data]
    measure = "MD"
    columns = { yi = "effect" }
    """
    return "\n\n".join("\n".join(lines) for lines in _tables(content, ())) + "\n"


def _loaded(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        joined, lines = _joined(text)
        if joined == text:
            raise AnalysisError(_syntax_error(str(error), source, lines)) from error
    try:
        return tomllib.loads(joined)
    except ValueError as error:
        raise AnalysisError(_syntax_error(str(error), source, lines)) from error


def _joined(text: str) -> tuple[str, list[int]]:
    """Return the text with each inline table on one line, and the line that each of its lines came from.

    TOML 1.1 lets inline tables go over several lines and end with a comma; the standard library does not.
    """
    pieces: list[str] = []
    lines, line, depth = [1], 1, 0
    for match in _TOKEN.finditer(text):
        piece = match[0]
        breaks = piece.count("\n")
        line += breaks
        depth = max(depth + (piece == "{") - (piece == "}"), 0)
        if depth and (piece == "\n" or piece.startswith("#")):
            continue
        if piece == "}":
            _drop_comma(pieces)
        pieces.append(piece)
        lines += range(line - breaks + 1, line + 1)
    return "".join(pieces), lines


def _drop_comma(pieces: list[str]) -> None:
    while pieces and pieces[-1].isspace():
        pieces.pop()
    if pieces and pieces[-1] == ",":
        pieces.pop()


def _syntax_error(message: str, source: str, lines: list[int]) -> str:
    match = _POSITION.match(message)
    if match is None:
        return f"{source}: not TOML: {printable(message)}"
    line = lines[min(int(match[2]), len(lines)) - 1] if match[2] else lines[-1]
    return f"{source}:{line}: not TOML: {_MEANINGS.get(match[1], printable(match[1]).lower())}"


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


class _Scanner:
    """A walk over a document that is known to be TOML, noting the line of each key and each item."""

    def __init__(self, text: str) -> None:
        self.tokens = [*_tokens(text), ("\n", 0)]
        self.at = 0
        self.found: dict[Place, int] = {}
        self.tables = Counter[Place]()

    def lines(self) -> dict[Place, int]:
        table: Place = ()
        while self.at < len(self.tokens):
            if self.sees("\n"):
                self.at += 1
            elif self.sees("["):
                table = self.header()
            else:
                self.assignment(table)
        return self.found

    def sees(self, *texts: str) -> bool:
        return self.tokens[self.at][0] in texts

    def take(self) -> tuple[str, int]:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def skip_breaks(self) -> None:
        while self.sees("\n"):
            self.at += 1

    def header(self) -> Place:
        line = self.take()[1]
        many = self.sees("[")
        self.at += many
        *outer, last = self.key()
        self.at += 1 + many
        place: Place = ()
        for part in outer:
            self.found.setdefault((*place, part), line)
            place = self.current((*place, part))
        place = (*place, last)
        self.found.setdefault(place, line)
        if many:
            self.tables[place] += 1
            place = self.current(place)
            self.found[place] = line
        return place

    def current(self, place: Place) -> Place:
        return (*place, self.tables[place] - 1) if self.tables[place] else place

    def key(self) -> list[str]:
        parts = [_unquoted(self.take()[0])]
        while self.sees("."):
            self.at += 1
            parts.append(_unquoted(self.take()[0]))
        return parts

    def assignment(self, table: Place) -> None:
        line = self.tokens[self.at][1]
        place = (*table, *self.key())
        for end in range(len(table) + 1, len(place) + 1):
            self.found.setdefault(place[:end], line)
        self.at += 1
        self.value(place)

    def value(self, place: Place) -> None:
        if self.sees("["):
            self.items(place)
        elif self.sees("{"):
            self.inline(place)
        else:
            while not self.sees(",", "]", "}", "\n"):
                self.at += 1

    def items(self, place: Place) -> None:
        self.at += 1
        self.skip_breaks()
        index = 0
        while not self.sees("]"):
            self.found[*place, index] = self.tokens[self.at][1]
            self.value((*place, index))
            index += 1
            self.skip_breaks()
            self.at += self.sees(",")
            self.skip_breaks()
        self.at += 1

    def inline(self, place: Place) -> None:
        self.at += 1
        self.skip_breaks()
        while not self.sees("}"):
            self.assignment(place)
            self.skip_breaks()
            self.at += self.sees(",")
            self.skip_breaks()
        self.at += 1


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line = 1
    for match in _TOKEN.finditer(text):
        piece = match[0]
        if piece == "\n" or not (piece[0].isspace() or piece[0] == "#"):
            yield piece, line
        line += piece.count("\n")


def _unquoted(token: str) -> str:
    return str(tomllib.loads(f"key = {token}")["key"]) if token[0] in "\"'" else token


def _tables(content: Mapping[str, object], path: tuple[str, ...], opening: str = "") -> Iterator[list[str]]:
    plain = {key: value for key, value in content.items() if value is not None and not _is_table(value, path)}
    name = ".".join(map(_key, path))
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    if lines or opening:
        yield [*([opening or f"[{name}]"] if path else []), *lines]
    for key, value in content.items():
        inner = (*path, key)
        if isinstance(value, Mapping) and _is_table(value, path):
            yield from _tables(value, inner)
        elif isinstance(value, Sequence) and _is_table(value, path):
            for item in value:
                yield from _tables(item, inner, f"[[{'.'.join(map(_key, inner))}]]")


def _is_table(value: object, path: tuple[str, ...]) -> bool:
    """Return whether a value gets a table of its own; mappings of texts inside a table stay on its lines."""
    if isinstance(value, Mapping):
        return not path or any(isinstance(item, Mapping) for item in value.values())
    many = isinstance(value, Sequence) and not isinstance(value, str)
    return many and bool(value) and all(isinstance(item, Mapping) for item in value)  # type: ignore[attr-defined]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return _braced(f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None)
    if isinstance(value, Sequence):
        return f"[{', '.join(_value(item) for item in value)}]"
    raise TypeError(f"TOML holds texts, numbers, truth values, lists and tables; got {type(value).__name__}")


def _braced(items: Iterable[str]) -> str:
    inside = ", ".join(items)
    return f"{{ {inside} }}" if inside else "{}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
