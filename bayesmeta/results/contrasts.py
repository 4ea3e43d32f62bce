"""Differences between levels, mean effects at levels, and curves over a moderator.

References
----------
Searle SR, Speed FM, Milliken GA (1980). Population marginal means in the linear model: an alternative to
least squares means. Am Stat 34:216-221. doi:10.1080/00031305.1980.10483031
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import as_numbers, is_whole, strictly_between
from bayesmeta.errors import AnalysisError, is_one_of, printable, suggest, told
from bayesmeta.results.reference import (
    check_moderator,
    counts,
    held_values,
    level_rows,
    levels_of,
    numbers_of,
)
from bayesmeta.results.tables import distribution_rows

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.posterior import Posterior
    from bayesmeta.results.tables import Row

MOST_POINTS = 10_000

type Combination = Mapping[str, float]


def contrast_rows(
    posterior: Posterior, by: str | Mapping[str, Combination], *, weights: str, prob: float, kind: str
) -> dict[str, Row]:
    """Return a row for each difference between two levels, or for each given combination of coefficients."""
    named = _between_levels(posterior, by, weights) if isinstance(by, str) else _given(posterior.problem, by)
    rows = np.array(list(named.values()))
    mean = posterior.at(rows, new_study=False)
    positive = 1 - mean.cdf(np.zeros(1))[0]
    numbers = distribution_rows(mean, prob=prob, kind=kind)
    return {
        name: {**one, "probability": float(p)} for name, one, p in zip(named, numbers, positive, strict=True)
    }


def _between_levels(posterior: Posterior, by: str, weights: str) -> dict[str, Floats]:
    design = posterior.problem.design
    rows = dict(zip(levels_of(design, by), level_rows(design, by, weights=weights), strict=True))
    return {f"{two} - {one}": rows[two] - rows[one] for one, two in combinations(rows, 2)}


def _given(problem: Problem, combinations: Mapping[str, Combination]) -> dict[str, Floats]:
    if (
        not isinstance(combinations, Mapping)
        or not combinations
        or not all(isinstance(c, Mapping) for c in combinations.values())
    ):
        raise AnalysisError(
            "contrasts need a moderator with levels, or named combinations of coefficients such as "
            "{'a year': {'duration_months': 12}}"
        )
    return {name: _row(problem, one) for name, one in combinations.items()}


def _row(problem: Problem, combination: Combination) -> Floats:
    names = problem.coefficients
    row = np.zeros(len(names))
    for name, weight in combination.items():
        if not is_one_of(name, names):
            hint = suggest(name, names) or f"; the coefficients are {', '.join(names)}"
            raise AnalysisError(f"there is no coefficient '{printable(name)}'{hint}")
        if not strictly_between(weight, -inf, inf):
            got = told(weight)
            raise AnalysisError(f"the weight of '{printable(name)}' must be a finite number; got {got}")
        row[names.index(name)] = weight
    return row


def mean_rows(posterior: Posterior, by: str, *, weights: str, prob: float, kind: str) -> dict[str, Row]:
    """Return a row for each level of a moderator: studies, mean effect, effect in a new study."""
    design = posterior.problem.design
    rows = level_rows(design, by, weights=weights)
    mean, new = (
        distribution_rows(posterior.at(rows, new_study=flag), prob=prob, kind=kind) for flag in (False, True)
    )
    return {
        level: {"k": k, **one, "new_lower": two["lower"], "new_upper": two["upper"]}
        for level, k, one, two in zip(levels_of(design, by), counts(design, by), mean, new, strict=True)
    }


def _ends(span: object) -> tuple[float, float]:
    ends = as_numbers(span)
    if ends is None or len(ends) != 2:
        raise AnalysisError(f"span must be two numbers, the lower first; got {told(span)}")
    if not ends[0] < ends[1]:
        raise AnalysisError(f"span must be two numbers, the lower first; got {ends[0]:g} and {ends[1]:g}")
    return ends[0], ends[1]


def curve_values(
    posterior: Posterior,
    moderator: str,
    *,
    n: int,
    at: Mapping[str, Any] | None,
    span: tuple[float, float] | None,
) -> dict[str, list[Any]]:
    """Return the values at which a curve is drawn: n of the moderator, the others held.

    Raises
    ------
    AnalysisError
        If the moderator has no numbers, `at` names no other moderator, or `n` or `span` make no curve.
    """
    design = posterior.problem.design
    x = numbers_of(design, moderator)
    if not is_whole(n, 2, MOST_POINTS):
        raise AnalysisError(f"n must be a number of points from 2 to {MOST_POINTS:,}; got {told(n)}")
    low, high = (float(x.min()), float(x.max())) if span is None else _ends(span)
    if at is not None and not isinstance(at, Mapping):
        raise AnalysisError(f"at must be values of other moderators, such as {{'dose': 5}}; got {told(at)}")
    held = held_values(design, moderator)
    for name, value in (at or {}).items():
        check_moderator(design, name)
        if name == moderator:
            raise AnalysisError(f"'{printable(name)}' is what the curve runs over; leave it out of at")
        held[name] = value
    return {moderator: np.linspace(low, high, n).tolist(), **{name: [one] * n for name, one in held.items()}}
