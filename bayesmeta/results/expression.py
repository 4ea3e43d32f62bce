"""Statements about quantities, such as ``"mu > 0 and tau < 0.03"``: parsed by us, never evaluated as code."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import AnalysisError, printable, suggest, told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.arrays import Bools, Floats

LONGEST = 500
DEEPEST = 20
OPERATORS: Mapping[str, Callable[[Floats, Floats], Bools]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|(?P<operator><=|>=|<|>)"
    r"|(?P<quoted>`[^`]+`)|(?P<word>[A-Za-z_][A-Za-z_0-9]*)|(?P<bracket>[()]))"
)


class Term(NamedTuple):
    """A side of a comparison: a name, or a number where the name is empty."""

    name: str
    """Quantity."""
    value: float
    """Number."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left < right``, or another order."""

    left: Term
    symbol: str
    right: Term

    def holds(self, values: Mapping[str, Floats]) -> Bools:
        """Return whether the statement holds, given arrays of values of the quantities."""
        left, right = (
            values[term.name] if term.name else np.asarray(term.value) for term in (self.left, self.right)
        )
        return OPERATORS[self.symbol](left, right)

    def comparisons(self) -> tuple[Comparison, ...]:
        """Return the comparisons in the statement."""
        return (self,)


@dataclass(frozen=True, slots=True)
class Combination:
    """Statements joined by ``and`` or ``or``, or one negated by ``not``."""

    word: str
    parts: tuple[Comparison | Combination, ...]

    def holds(self, values: Mapping[str, Floats]) -> Bools:
        """Return whether the statement holds, given arrays of values of the quantities."""
        held = [part.holds(values) for part in self.parts]
        if self.word == "not":
            return np.logical_not(held[0])
        join = np.logical_and if self.word == "and" else np.logical_or
        return np.asarray(join.reduce(np.broadcast_arrays(*held)))

    def comparisons(self) -> tuple[Comparison, ...]:
        """Return the comparisons in the statement."""
        return tuple(inner for part in self.parts for inner in part.comparisons())


type Statement = Comparison | Combination


def parse_statement(text: str, known: tuple[str, ...]) -> Statement:
    """Return the statement that `text` makes.

    Parameters
    ----------
    text : str
        Comparisons of names with numbers or names by ``< <= > >=``, joined by ``and``, ``or``, ``not`` and
        brackets. Names that are no identifiers stand in backquotes.
    known : tuple of str
        Names of the quantities.

    Raises
    ------
    AnalysisError
        If the text is anything else.

    Examples
    --------
    >>> parse_statement("mu > 0 and not tau > 0.1", ("mu", "tau")).word
    'and'
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        got = f"{len(text)} characters" if isinstance(text, str) else told(text)
        raise AnalysisError(
            f"a statement must be a text of at most {LONGEST} characters, such as 'mu > 0'; got {got}"
        )
    parser = _Parser(_tokens(text), text, known)
    statement = parser.either(0)
    parser.finish()
    return statement


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    while place < len(text.rstrip()):
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise _refusal(text, f"unexpected {printable(text[place:].strip()[:1])!r}")
        kind = match.lastgroup
        tokens.append((kind, match[kind].strip("`") if kind == "quoted" else match[kind]))
        place = match.end()
    return tokens


def _refusal(text: str, what: str) -> AnalysisError:
    return AnalysisError(
        f"statement '{printable(text)}': {what}; write comparisons such as 'mu > 0', joined by and, or, not"
    )


@dataclass(slots=True)
class _Parser:
    tokens: list[tuple[str, str]]
    text: str
    known: tuple[str, ...]
    place: int = 0

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def take(self, word: str) -> bool:
        found = self.peek() in {("word", word), ("bracket", word)}
        self.place += found
        return found

    def finish(self) -> None:
        if self.place < len(self.tokens):
            raise _refusal(self.text, f"unexpected '{printable(self.peek()[1])}'")

    def either(self, depth: int) -> Statement:
        return self._joined("or", self.both, depth)

    def both(self, depth: int) -> Statement:
        return self._joined("and", self.one, depth)

    def _joined(self, word: str, inner: Callable[[int], Statement], depth: int) -> Statement:
        parts = [inner(depth)]
        while self.take(word):
            parts.append(inner(depth))
        return parts[0] if len(parts) == 1 else Combination(word, tuple(parts))

    def one(self, depth: int) -> Statement:
        if depth > DEEPEST:
            raise _refusal(self.text, f"brackets or 'not' more than {DEEPEST} deep")
        if self.take("not"):
            return Combination("not", (self.one(depth + 1),))
        if self.take("("):
            inner = self.either(depth + 1)
            if not self.take(")"):
                raise _refusal(self.text, "a bracket is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Statement:
        terms, symbols = [self._term()], []
        while self.peek()[0] == "operator":
            symbols.append(self.peek()[1])
            self.place += 1
            terms.append(self._term())
        if not symbols:
            raise _refusal(self.text, "a comparison with < <= > >= is missing")
        parts = tuple(Comparison(*triple) for triple in zip(terms, symbols, terms[1:], strict=False))
        return parts[0] if len(parts) == 1 else Combination("and", parts)

    def _term(self) -> Term:
        kind, word = self.peek()
        self.place += 1
        if kind == "number":
            if not isfinite(float(word)):
                raise _refusal(self.text, f"a number must be finite, which '{printable(word)}' is not")
            return Term("", float(word))
        if kind not in {"word", "quoted"} or word in {"and", "or", "not"}:
            raise _refusal(self.text, f"a name or a number must stand {self._where(word)}")
        if word not in self.known:
            hint = suggest(word, self.known) or f"; the quantities are {', '.join(self.known[:12])}"
            raise AnalysisError(
                f"statement '{printable(self.text)}': unknown quantity '{printable(word)}'{hint}"
            )
        return Term(word, 0.0)

    def _where(self, word: str) -> str:
        return f"where '{printable(word)}' is" if word else "at the end"
