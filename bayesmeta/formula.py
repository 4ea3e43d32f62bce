"""Formulas: the right-hand side of a regression, from text to a comparable value that knows no data.

The grammar is small and closed, so that nothing in a formula is ever executed::

    formula  ::= part (("+" part) | ("-" "1"))*
    part     ::= "0" | "1" | factor ((":" | "*") factor)*
    factor   ::= name | name "^" (2 | 3)
               | "C(" name ["," "ref" "=" text] ")"
               | ("center" | "scale" | "log" | "sqrt" | "exp") "(" name ")"
               | "poly(" name "," (2 | 3) ")"
               | ("bs" | "ns") "(" name "," "df" "=" n ")"
    name     ::= identifier | "`" anything "`"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from bayesmeta.errors import FormulaError, printable, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 2000
LONGEST_NUMBER = 4
"""Digits of a number; a longer one is out of every range."""
OUT_OF_RANGE = -1
MOST_TERMS = 50
DEEPEST = 20
"""Factors multiplied in one term."""
MOST_CROSSED = 6
"""Groups of factors joined by ``*``."""
TRANSFORMS = ("center", "scale", "log", "sqrt", "exp")
SPLINES = ("bs", "ns")
FUNCTIONS = ("C", *TRANSFORMS, "poly", *SPLINES)
POWERS = (2, 3)
LARGEST_DF = 20
IDENTIFIER = re.compile(r"[^\W\d]\w*")
TOKEN = re.compile(
    r"\s*(?:(?P<name>[^\W\d]\w*)|`(?P<quoted>[^`]{1,200})`|(?P<number>[0-9]+)(?![\w.])"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<symbol>[+\-:*^(),=]))"
)
ALLOWED = (
    'a formula has column names joined by + : *, with 0 + or - 1 for no intercept, and C(name, ref="level"), '
    "center, scale, log, sqrt, exp, name^2, name^3, poly(name, 2), bs(name, df=4), ns(name, df=3)"
)


@dataclass(frozen=True, slots=True)
class Factor:
    """One column, or what is made of it.

    Attributes
    ----------
    kind : str
        ``""`` for the column itself, or ``C center scale log sqrt exp power poly bs ns``.
    name : str
        Column.
    argument : int or str or None
        Power, degree, degrees of freedom or reference level.
    """

    kind: str
    name: str
    argument: int | str | None = None

    def __str__(self) -> str:
        name = self.name if IDENTIFIER.fullmatch(self.name) else f"`{self.name}`"
        if self.kind == "":
            return name
        if self.kind == "power":
            return f"{name}^{self.argument}"
        if self.kind == "C":
            return f"C({name})" if self.argument is None else f"C({name}, ref={_quoted(str(self.argument))})"
        if self.kind == "poly":
            return f"poly({name}, {self.argument})"
        return f"{self.kind}({name}, df={self.argument})" if self.kind in SPLINES else f"{self.kind}({name})"


@dataclass(frozen=True, slots=True)
class Formula:
    """A mean structure.

    Attributes
    ----------
    intercept : bool
        Whether there is an intercept.
    terms : tuple of tuple of Factor
        Terms in order, main effects before interactions; each a product of factors.
    """

    intercept: bool
    terms: tuple[tuple[Factor, ...], ...] = ()

    def __str__(self) -> str:
        parts = [":".join(map(str, term)) for term in self.terms]
        if not parts:
            return "1" if self.intercept else "0"
        return " + ".join(parts if self.intercept else ["0", *parts])

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the formula needs, each once."""
        return tuple(dict.fromkeys(factor.name for term in self.terms for factor in term))


def parse_formula(text: str) -> Formula:
    """Return the formula that `text` describes.

    Parameters
    ----------
    text : str
        Right-hand side, such as ``'duration_months + C(fracture_site, ref="hip")'``.

    Raises
    ------
    FormulaError
        If the text is outside the grammar; the message says where, and what is allowed.

    Examples
    --------
    >>> str(parse_formula("a*b"))
    'a + b + a:b'
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula must be text such as 'duration_months'; got {type(text).__name__}")
    if len(text) > LONGEST:
        raise FormulaError(f"a formula must have at most {LONGEST} characters; got {len(text)}")
    return _Parser(text, _tokens(text)).formula()


class _Token(NamedTuple):
    kind: str
    value: str
    place: int


def _tokens(text: str) -> list[_Token]:
    tokens, place, end = [], 0, len(text.rstrip())
    while place < end:
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise _refusal(text, start, _character(text[start]))
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        place = match.end()
    return tokens


def _refusal(text: str, place: int, found: str) -> FormulaError:
    return FormulaError(f"formula '{printable(text)}', character {place + 1}: unexpected {found}; {ALLOWED}")


def _character(character: str) -> str:
    """Return a character in quotes, or its code point where it cannot be seen."""
    return f"'{character}'" if printable(character).strip() else f"U+{ord(character):04X}"


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'


class _Parser:
    """A reader of tokens, without recursion."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text, self.tokens, self.place = text, tokens, 0

    def formula(self) -> Formula:
        intercept, terms = True, list[tuple[Factor, ...]]()
        if not self.tokens:
            raise FormulaError(f"a formula must not be empty; write '1' for no moderators; {ALLOWED}")
        sign = "+"
        while True:
            number = self.number()
            if number is not None:
                intercept = self.constant(number, sign)
            elif sign == "-":
                raise self.unexpected()
            else:
                terms += self.product()
            if self.place == len(self.tokens):
                break
            sign = self.symbol("+", "-")
        unique = _unique(_ordered(terms))
        if len(unique) > MOST_TERMS:
            raise FormulaError(f"a formula must have at most {MOST_TERMS} terms; got {len(unique)}")
        return Formula(intercept, unique)

    def constant(self, number: int, sign: str) -> bool:
        if number == 1:
            return sign == "+"
        if number == 0 and sign == "+":
            return False
        self.place -= 1
        raise self.unexpected()

    def product(self) -> list[tuple[Factor, ...]]:
        groups = [[self.factor()]]
        while self.peek("symbol") in {":", "*"}:
            symbol = self.symbol(":", "*")
            following = self.factor()
            if symbol == "*":
                groups.append([following])
            else:
                groups[-1].append(following)
            if sum(map(len, groups)) > DEEPEST or len(groups) > MOST_CROSSED:
                raise FormulaError(
                    f"formula '{printable(self.text)}': too many factors in one term; at most {DEEPEST}, or "
                    f"{MOST_CROSSED} joined by *"
                )
        return [
            tuple(dict.fromkeys(factor for group in chosen for factor in group))
            for size in range(1, len(groups) + 1)
            for chosen in combinations(groups, size)
        ]

    def factor(self) -> Factor:
        quoted = self.peek("quoted")
        if quoted is not None:
            self.place += 1
            return self.powered(quoted)
        name = self.peek("name")
        if name is None:
            raise self.unexpected()
        self.place += 1
        return self.call(name) if self.peek("symbol") == "(" else self.powered(name)

    def powered(self, name: str) -> Factor:
        if self.peek("symbol") != "^":
            return Factor("", name)
        self.place += 1
        return Factor("power", name, self.integer(POWERS))

    def call(self, function: str) -> Factor:
        if function not in FUNCTIONS:
            self.place -= 1
            hint = suggest(function, FUNCTIONS)
            raise _refusal(
                self.text, self.tokens[self.place].place, f"function '{printable(function)}'{hint}"
            )
        self.symbol("(")
        name = self.peek("name") or self.peek("quoted")
        if name is None:
            raise self.unexpected()
        self.place += 1
        argument = self.argument(function)
        self.symbol(")")
        return Factor(function, name, argument)

    def argument(self, function: str) -> int | str | None:
        if function in TRANSFORMS or (function == "C" and self.peek("symbol") != ","):
            return None
        self.symbol(",")
        if function == "poly":
            return self.integer(POWERS)
        self.word("ref" if function == "C" else "df")
        self.symbol("=")
        if function == "C":
            return self.level()
        smallest = 3 if function == "bs" else 1
        return self.integer(range(smallest, LARGEST_DF + 1))

    def level(self) -> str:
        text = self.peek("text")
        if text is None:
            raise self.unexpected()
        self.place += 1
        return text[1:-1]

    def integer(self, allowed: Iterable[int]) -> int:
        found = self.number()
        if found is None or found not in allowed:
            self.place -= found is not None
            raise self.unexpected()
        return found

    def peek(self, kind: str) -> str | None:
        if self.place == len(self.tokens) or self.tokens[self.place].kind != kind:
            return None
        return self.tokens[self.place].value

    def number(self) -> int | None:
        found = self.peek("number")
        self.place += found is not None
        if found is None:
            return None
        return int(found) if len(found) <= LONGEST_NUMBER else OUT_OF_RANGE

    def symbol(self, *wanted: str) -> str:
        found = self.peek("symbol")
        if found not in wanted:
            raise self.unexpected()
        self.place += 1
        return str(found)

    def word(self, wanted: str) -> None:
        if self.peek("name") != wanted:
            raise self.unexpected()
        self.place += 1

    def unexpected(self) -> FormulaError:
        if self.place >= len(self.tokens):
            return _refusal(self.text, len(self.text), "end")
        token = self.tokens[self.place]
        return _refusal(self.text, token.place, f"'{printable(token.value)}'")


def _unique(terms: list[tuple[Factor, ...]]) -> tuple[tuple[Factor, ...], ...]:
    """Return each term once; ``b:a`` is ``a:b``, whichever is written first."""
    seen: dict[frozenset[Factor], tuple[Factor, ...]] = {}
    for term in terms:
        seen.setdefault(frozenset(term), term)
    return tuple(seen.values())


def _ordered(terms: list[tuple[Factor, ...]]) -> list[tuple[Factor, ...]]:
    """Return the terms with fewer factors first, otherwise in the order written."""
    return sorted(terms, key=len)
