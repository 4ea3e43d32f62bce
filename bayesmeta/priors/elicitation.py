"""Priors from what somebody believes: "95 % sure that tau is below 0.1".

References
----------
O'Hagan A, Buck CE, Daneshkhah A, et al (2006). Uncertain Judgements: Eliciting Experts' Probabilities. Wiley.
doi:10.1002/0470033312
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import PriorError, suggest, told
from bayesmeta.priors.core import Prior, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats

SPANS = {
    "Normal": ("mu", "sigma"),
    "StudentT": ("mu", "sigma"),
    "Cauchy": ("alpha", "beta"),
    "Laplace": ("mu", "b"),
    "LogNormal": ("mu", "sigma"),
    "LogStudentT": ("mu", "sigma"),
}
"""Location and scale, of the value or of its logarithm."""
SHAPES = {
    "Gamma": ("alpha", "beta"),
    "InverseGamma": ("alpha", "beta"),
    "Weibull": ("alpha", "beta"),
    "Lomax": ("alpha", "scale"),
    "HalfStudentT": ("nu", "sigma"),
}
"""Shape, on which the ratio of two quantiles depends, and the parameter that scales both."""
EXPONENTS = np.arange(-60, 61) / 2
"""Powers of 2 among which a parameter is looked for."""
TOLERANCE = 1e-9
"""Difference from the wanted probabilities at which a prior is none that was asked for."""


def elicit(family: str, below: Mapping[float, float], **known: float) -> Prior:
    """Return the prior of a family that has the given probabilities.

    Parameters
    ----------
    family : str
        Name of a family, such as ``"HalfNormal"``.
    below : mapping of float to float
        For each value the probability of being below it: ``{0.1: 0.95}`` is "95 % sure that it is below 0.1".
        As many as the family has parameters that are not known: one or two.
    **known : float
        Parameters that are known, such as ``nu=4``.

    Raises
    ------
    PriorError
        If the family has another number of unknown parameters, or no member with these probabilities.

    Notes
    -----
    Scales, and locations with scales, are solved in closed form; shapes by the root of one equation.

    Examples
    --------
    >>> prior = elicit("HalfNormal", {0.1: 0.95})
    >>> round(prior.sigma, 5)
    0.05102
    >>> str(elicit("Uniform", {0.3: 0.5}, lower=0))
    'Uniform(0, 0.6)'
    """
    kind = _family(family)
    names = [part.name for part in fields(kind)]
    statements = _statements(below)
    wrong = [name for name in known if name not in names]
    if wrong:
        signature = f"{kind.__name__}({', '.join(names)})"
        raise PriorError(f"{signature} has no parameter '{wrong[0]}'{suggest(wrong[0], names)}")
    strange = [name for name in known if not _is_number(known[name])]
    if strange:
        raise PriorError(f"{kind.__name__}.{strange[0]} must be a number; got {told(known[strange[0]])}")
    unknown = [name for name in names if name not in known]
    if len(unknown) != len(statements):
        left = f"{len(unknown)} unknown parameter{'s' if len(unknown) != 1 else ''}"
        raise PriorError(
            f"{kind.__name__} has {left} ({', '.join(unknown) or 'none'}), so that it takes as many "
            f"probabilities; got {len(statements)}"
        )
    prior = _solved(kind, unknown, statements, known)
    if prior is None or not _meets(prior, statements):
        said = " and ".join(f"P(x < {number(x)}) = {number(p)}" for x, p in statements)
        raise PriorError(f"no {kind.__name__} prior has {said}; take another family")
    return prior


def _family(name: str) -> type[Prior]:
    from bayesmeta.priors.text import FAMILIES

    folded = {known.casefold(): family for known, family in FAMILIES.items()}
    found = folded.get(name.replace("_", "").casefold()) if isinstance(name, str) else None
    if found is None:
        hint = suggest(name, FAMILIES) or "; take the name of a family such as 'HalfNormal'"
        raise PriorError(f"unknown prior {told(name)}{hint}")
    if found.kinds or not fields(found):
        raise PriorError(f"{found.__name__} has no parameters to choose; take a family such as HalfNormal")
    return found


def _statements(below: Mapping[float, float]) -> list[tuple[float, float]]:
    """Return values and probabilities in increasing order."""
    if not isinstance(below, Mapping) or not all(map(_is_number, below)):
        raise PriorError(
            "below must give for each value the probability of being below it, such as {0.1: 0.95}; got "
            f"{told(below)}"
        )
    wrong = [p for p in below.values() if not _is_number(p)]
    if wrong:
        raise PriorError(f"a probability must be between 0 and 1; got {told(wrong[0])}")
    found = sorted((float(x), float(p)) for x, p in below.items())
    for _, p in found:
        if not 0 < p < 1:
            raise PriorError(f"a probability must be between 0 and 1; got {number(p)}")
    if any(second[1] <= first[1] for first, second in pairwise(found)):
        said = ", ".join(f"{number(x)}: {number(p)}" for x, p in found)
        raise PriorError(f"a larger value must have a larger probability below it; got {said}")
    return found


def _is_number(value: object) -> bool:
    return strictly_between(value, -inf, inf)


def _solved(
    kind: type[Prior], unknown: list[str], statements: list[tuple[float, float]], known: Mapping[str, float]
) -> Prior | None:
    """Return the prior; None if the equations have no solution."""
    name = kind.__name__
    if len(unknown) == 1:
        return _one(kind, unknown[0], statements[0], known)
    if name == "Uniform":
        return _uniform(kind, statements)
    if name in SPANS and set(SPANS[name]) == set(unknown):
        return _span(kind, SPANS[name], statements, known)
    if name in SHAPES and set(SHAPES[name]) == set(unknown):
        return _shape(kind, SHAPES[name], statements)
    raise PriorError(f"{name} cannot be found from two probabilities; give all but one of its parameters")


def _one(
    kind: type[Prior], name: str, statement: tuple[float, float], known: Mapping[str, float]
) -> Prior | None:
    """Return the prior with one unknown parameter."""
    x, p = statement
    unit = _made(kind, known, **{name: 1.0})
    if unit is not None and not known and (kind.in_units | kind.in_inverse_units) == {name}:
        return unit.rescaled(float(unit.quantile(np.array(p))) / x) if x > 0 else None
    if kind.__name__ == "Uniform":
        ends = {"upper": lambda: known["lower"] + (x - known["lower"]) / p}
        ends |= {"lower": lambda: (x - p * known["upper"]) / (1 - p)}
        return _made(kind, known, **{name: ends[name]()})

    def gap(value: float) -> float:
        prior = _made(kind, known, **{name: value})
        with np.errstate(all="ignore"):
            return np.nan if prior is None else float(prior.cdf(np.array(x))) - p

    size = max(abs(x), *(abs(value) for value in known.values()), 1.0)
    signs = (1.0,) if name in kind.positive else (-1.0, 1.0)
    root = _root(gap, np.unique(np.concatenate([sign * size * 2.0**EXPONENTS for sign in signs])))
    return None if root is None else _made(kind, known, **{name: root})


def _uniform(kind: type[Prior], statements: list[tuple[float, float]]) -> Prior | None:
    (x, p), (y, q) = statements
    width = (y - x) / (q - p)
    return _made(kind, {}, lower=x - p * width, upper=x + (1 - p) * width)


def _span(
    kind: type[Prior],
    names: tuple[str, str],
    statements: list[tuple[float, float]],
    known: Mapping[str, float],
) -> Prior | None:
    """Return the prior with unknown location and scale: two linear equations."""
    location, scale = names
    logarithmic = kind.__name__.startswith("Log")
    standard = _made(kind, known, **{location: 0.0, scale: 1.0})
    if standard is None or (logarithmic and statements[0][0] <= 0):
        return None
    values, probabilities = (np.array(part) for part in zip(*statements, strict=True))
    z = standard.quantile(probabilities)
    if logarithmic:
        values, z = np.log(values), np.log(z)
    spread = float((values[1] - values[0]) / (z[1] - z[0]))
    return _made(kind, known, **{location: float(values[0] - spread * z[0]), scale: spread})


def _shape(kind: type[Prior], names: tuple[str, str], statements: list[tuple[float, float]]) -> Prior | None:
    """Return the prior whose shape gives the ratio of two quantiles, and whose scale their size."""
    shape, scale = names
    (x, p), (y, q) = statements
    if x <= 0:
        return None

    def unit(value: float) -> Prior:
        return kind(**{shape: value, scale: 1.0})

    def gap(value: float) -> float:
        with np.errstate(all="ignore"):
            low, high = unit(value).quantile(np.array([p, q]))
            return float(np.log(high) - np.log(low) - np.log(y / x))

    root = _root(gap, 2.0**EXPONENTS)
    return None if root is None else unit(root).rescaled(float(unit(root).quantile(np.array(q))) / y)


def _made(kind: type[Prior], known: Mapping[str, float], **found: float) -> Prior | None:
    try:
        return kind(**known, **found)
    except PriorError:
        return None


def _root(gap: Callable[[float], float], tried: Floats) -> float | None:
    """Return a root of a function of a parameter next to a change of sign; None if there is none."""
    from scipy import optimize

    values = np.array([gap(float(value)) for value in tried])
    known = np.isfinite(values)
    tried, values = tried[known], values[known]
    change = np.flatnonzero(np.sign(values[:-1]) * np.sign(values[1:]) <= 0)
    if not change.size:
        return None
    at = int(change[np.argmin(np.abs(values[change]) + np.abs(values[change + 1]))])
    if values[at] == values[at + 1]:
        return None
    return float(optimize.brentq(gap, tried[at], tried[at + 1], xtol=1e-300, rtol=1e-14))


def _meets(prior: Prior, statements: list[tuple[float, float]]) -> bool:
    values, probabilities = (np.array(part) for part in zip(*statements, strict=True))
    return bool(np.all(np.abs(prior.cdf(values) - probabilities) < TOLERANCE))
