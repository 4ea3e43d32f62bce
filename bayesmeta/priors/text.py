"""Priors as text: ``HalfNormal(0.05)`` to a value, with the mistakes explained."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bayesmeta.errors import PriorError, printable, suggest
from bayesmeta.priors import adaptive, composed, location, scale, square
from bayesmeta.priors.core import Prior

if TYPE_CHECKING:
    from collections.abc import Mapping

FAMILIES: Mapping[str, type[Prior]] = MappingProxyType(
    {
        family.__name__: family
        for family in (
            location.Normal,
            location.StudentT,
            location.Cauchy,
            location.Laplace,
            location.Uniform,
            location.Flat,
            scale.HalfNormal,
            scale.HalfStudentT,
            scale.HalfCauchy,
            scale.Exponential,
            scale.Gamma,
            scale.InverseGamma,
            scale.LogNormal,
            scale.LogStudentT,
            scale.Weibull,
            scale.Lomax,
            square.Fixed,
            square.Sqrt,
            square.HalfFlat,
            adaptive.Jeffreys,
            adaptive.OverallJeffreys,
            adaptive.BergerDeely,
            adaptive.Conventional,
            adaptive.DuMouchel,
            adaptive.UniformShrinkage,
            adaptive.UniformI2,
            composed.Truncated,
            composed.Mixture,
            composed.SpikeSlab,
        )
    }
)
"""Every family by its name."""

LONGEST = 4000
DEEPEST = 8
"""Calls within calls that are read."""
CALL = re.compile(r"\s*([A-Za-z_][A-Za-z_0-9]*)\s*\((.*)\)\s*", re.DOTALL)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
NAMED = re.compile(r"\s*([A-Za-z_][A-Za-z_0-9]*)\s*=(.*)", re.DOTALL)
LIST = re.compile(r"\[(.*)\]", re.DOTALL)
RECIPROCAL = re.compile(r"\s*1\s*/\s*(tau|sigma)(2|\s*(\^|\*\*)\s*2)?\s*")
IMPROPER_AT_ZERO = (
    "is improper at 0, so that the posterior does not exist; use HalfNormal or HalfCauchy, or Jeffreys()"
)


def parse_prior(text: str) -> Prior:
    """Return the prior that `text` describes.

    Parameters
    ----------
    text : str
        ``Name(args)`` with PyMC's names and parameters, by position or by name. Case and underscores of the
        name do not matter: ``half_normal(0.5)`` is ``HalfNormal(0.5)``.

    Raises
    ------
    PriorError
        If the family is unknown, or its parameters are missing, unknown or impossible.

    Examples
    --------
    >>> str(parse_prior("half_student_t(4, sigma=0.5)"))
    'HalfStudentT(nu=4, sigma=0.5)'
    >>> str(parse_prior("mixture([0.8, 0.2], [normal(0, 1), normal(0, 10)])"))
    'Mixture([0.8, 0.2], [Normal(0, 1), Normal(0, 10)])'
    """
    if not isinstance(text, str):
        raise PriorError(f"a prior must be a text such as 'HalfNormal(0.5)'; got {type(text).__name__}")
    if RECIPROCAL.fullmatch(text[:LONGEST]):
        raise PriorError(f"the prior {printable(text.strip())} {IMPROPER_AT_ZERO}")
    return _parsed(text, depth=0)


def _parsed(text: str, *, depth: int) -> Prior:
    call = CALL.fullmatch(text) if len(text) <= LONGEST and depth <= DEEPEST else None
    parts = None if call is None else _split(call[2])
    if call is None or parts is None:
        raise PriorError(
            f"a prior is written Name(numbers), such as 'HalfNormal(0.5)'; got '{printable(text)}'"
        )
    family = _family(call[1])
    return family(**_arguments(family, parts, call[2], depth))


def _split(text: str) -> list[str] | None:
    """Return what commas outside brackets separate; None if brackets do not match."""
    parts, open_brackets, start = [], [], 0
    for place, sign in enumerate(text):
        if sign in "([":
            open_brackets.append(sign)
        elif sign in ")]":
            if not open_brackets or open_brackets.pop() + sign not in {"()", "[]"}:
                return None
        elif sign == "," and not open_brackets:
            parts.append(text[start:place])
            start = place + 1
    if open_brackets:
        return None
    return [*parts, text[start:]] if text.strip() else []


def as_prior(value: Prior | str) -> Prior:
    """Return `value` itself if it is a prior, or the prior that it describes."""
    return value if isinstance(value, Prior) else parse_prior(value)


def _family(name: str) -> type[Prior]:
    folded = {known.casefold(): family for known, family in FAMILIES.items()}
    found = folded.get(name.replace("_", "").casefold())
    if found is None and name.casefold() == "density":
        raise PriorError("Density holds a Python function and cannot be written as text; use a named family")
    if found is None and name.replace("_", "").casefold() == "loguniform":
        raise PriorError(f"the prior {printable(name)}, which is 1/tau, {IMPROPER_AT_ZERO}")
    if found is None:
        hint = suggest(name.replace("_", ""), FAMILIES) or f"; known priors are {', '.join(FAMILIES)}"
        raise PriorError(f"unknown prior '{printable(name)}'{hint}")
    return found


def _arguments(family: type[Prior], parts: list[str], text: str, depth: int) -> dict[str, Any]:
    known = {part.name: part for part in fields(family)}
    names, signature = list(known), f"{family.__name__}({', '.join(known)})"
    given: dict[str, Any] = {}
    for place, part in enumerate(parts):
        named = NAMED.fullmatch(part)
        content = (named[2] if named else part).strip()
        name = named[1] if named else names[place] if place < len(names) else ""
        kind = family.kinds.get(name, "number")
        if kind == "number" and not NUMBER.fullmatch(content):
            got = printable(content if name else part.strip())
            raise PriorError(f"{signature}: a parameter must be a number; got '{got}'")
        if name not in known:
            hint = suggest(name, names) if name else ""
            raise PriorError(f"{signature} has no parameter '{printable(name or part.strip())}'{hint}")
        if name in given:
            raise PriorError(f"{signature}: parameter '{name}' is given twice")
        given[name] = _value(content, kind, f"{signature}: {name}", depth)
    missing = [name for name, part in known.items() if name not in given and part.default is MISSING]
    if missing:
        raise PriorError(f"{signature}: parameter '{missing[0]}' is missing; got '{text.strip()}'")
    return given


def _value(content: str, kind: str, where: str, depth: int) -> Any:
    """Return the number, prior or list that an argument says."""
    if kind == "prior":
        return _parsed(content, depth=depth + 1)
    if kind in {"numbers", "priors"}:
        listed = LIST.fullmatch(content)
        items = None if listed is None else _split(listed[1])
        if items is None:
            raise PriorError(f"{where} must be a list in square brackets; got '{printable(content)}'")
        one = "prior" if kind == "priors" else "number"
        return tuple(_value(item.strip(), one, where, depth) for item in items)
    if not NUMBER.fullmatch(content) and not (kind == "bound" and INFINITE.fullmatch(content)):
        raise PriorError(f"{where} must be a number; got '{printable(content)}'")
    return float(content)
