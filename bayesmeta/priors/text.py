"""Priors as text: ``HalfNormal(0.05)`` to a value, with the mistakes explained."""

from __future__ import annotations

import re
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING

from bayesmeta.errors import PriorError, printable, suggest
from bayesmeta.priors import adaptive, location, scale
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
            scale.Weibull,
            scale.Lomax,
            scale.Fixed,
            scale.Sqrt,
            scale.HalfFlat,
            adaptive.Jeffreys,
            adaptive.OverallJeffreys,
            adaptive.BergerDeely,
            adaptive.Conventional,
            adaptive.DuMouchel,
            adaptive.UniformShrinkage,
            adaptive.UniformI2,
        )
    }
)
"""Every family by its name."""

LONGEST = 200
CALL = re.compile(r"\s*([A-Za-z_][A-Za-z_0-9]*)\s*\(([^()]*)\)\s*")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
ARGUMENT = re.compile(r"\s*(?:([A-Za-z_][A-Za-z_0-9]*)\s*=)?\s*([^\s=,]+)\s*")
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
    """
    if not isinstance(text, str):
        raise PriorError(f"a prior must be a text such as 'HalfNormal(0.5)'; got {type(text).__name__}")
    if RECIPROCAL.fullmatch(text[:LONGEST]):
        raise PriorError(f"the prior {printable(text.strip())} {IMPROPER_AT_ZERO}")
    call = CALL.fullmatch(text) if len(text) <= LONGEST else None
    if call is None:
        raise PriorError(
            f"a prior is written Name(numbers), such as 'HalfNormal(0.5)'; got '{printable(text)}'"
        )
    family = _family(call[1])
    return family(**_arguments(family, call[2]))


def as_prior(value: Prior | str) -> Prior:
    """Return `value` itself if it is a prior, or the prior that it describes."""
    return value if isinstance(value, Prior) else parse_prior(value)


def _family(name: str) -> type[Prior]:
    folded = {known.casefold(): family for known, family in FAMILIES.items()}
    found = folded.get(name.replace("_", "").casefold())
    if found is None and name.replace("_", "").casefold() == "loguniform":
        raise PriorError(f"the prior {printable(name)}, which is 1/tau, {IMPROPER_AT_ZERO}")
    if found is None:
        hint = suggest(name.replace("_", ""), FAMILIES) or f"; known priors are {', '.join(FAMILIES)}"
        raise PriorError(f"unknown prior '{printable(name)}'{hint}")
    return found


def _arguments(family: type[Prior], text: str) -> dict[str, float]:
    names = [part.name for part in fields(family)]
    signature = f"{family.__name__}({', '.join(names)})"
    given: dict[str, float] = {}
    for place, part in enumerate(text.split(",") if text.strip() else []):
        match = ARGUMENT.fullmatch(part)
        if match is None or not NUMBER.fullmatch(match[2]):
            raise PriorError(f"{signature}: a parameter must be a number; got '{printable(part.strip())}'")
        name = match[1] or (names[place] if place < len(names) else "")
        if name not in names:
            hint = suggest(name, names) if name else ""
            raise PriorError(f"{signature} has no parameter '{printable(name or part.strip())}'{hint}")
        if name in given:
            raise PriorError(f"{signature}: parameter '{name}' is given twice")
        given[name] = float(match[2])
    missing = [name for name in names if name not in given]
    if missing:
        raise PriorError(f"{signature}: parameter '{missing[0]}' is missing; got '{text.strip()}'")
    return given
