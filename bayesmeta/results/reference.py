"""Where moderators stand when one of them is asked about: rows of the design matrix for means and curves."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.encoding import Variable, level_names
from bayesmeta.errors import AnalysisError, is_one_of, printable, suggest, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats
    from bayesmeta.design import Design
    from bayesmeta.tables import Column

WEIGHTS = ("observed", "equal")
MOST_CELLS = 10_000
"""Combinations of levels that may be averaged over."""


def variables(design: Design, name: str) -> list[Variable]:
    """Return what a formula makes of a column."""
    values = design.learned[name]
    factors = [factor for term in design.formula.terms for factor in term if factor.name == name]
    return [Variable(factor, values) for factor in factors]


def is_categorical(design: Design, name: str) -> bool:
    """Return whether the values of a column are levels."""
    return any(variable.is_categorical for variable in variables(design, name))


def levels_of(design: Design, name: str) -> tuple[str, ...]:
    """Return the levels of a categorical moderator, the reference first.

    Raises
    ------
    AnalysisError
        If the formula has no such moderator, or it has no levels.
    """
    check_moderator(design, name)
    if not is_categorical(design, name):
        raise AnalysisError(
            f"'{printable(name)}' has numbers, not levels; write C({printable(name)}) in the formula, or use "
            f"fit.curve('{printable(name)}')"
        )
    return next(one for one in variables(design, name) if one.is_categorical).levels


def numbers_of(design: Design, name: str) -> Floats:
    """Return the (k,) values of a moderator of numbers.

    Raises
    ------
    AnalysisError
        If the formula has no such moderator, or it has levels.
    """
    check_moderator(design, name)
    if is_categorical(design, name):
        raise AnalysisError(
            f"'{printable(name)}' has levels, not numbers; use fit.marginal_means('{printable(name)}')"
        )
    return np.asarray(design.learned[name], dtype=np.float64)


def check_moderator(design: Design, name: str) -> None:
    """Refuse what is no moderator of the formula."""
    columns = design.formula.columns
    if not is_one_of(name, columns):
        hint = suggest(name, columns) or f"; its moderators are {', '.join(columns) or 'none'}"
        raise AnalysisError(f"the fit has no moderator '{printable(name)}'{hint}")


def held_values(design: Design, moderator: str) -> dict[str, Any]:
    """Return where the other moderators are held: numbers at their means, categories at the reference."""
    others = [name for name in design.formula.columns if name != moderator]
    return {name: _held(design, name) for name in others}


def _held(design: Design, name: str) -> Any:
    if not is_categorical(design, name):
        return float(np.mean(np.asarray(design.learned[name], dtype=np.float64)))
    return _value(design, name, levels_of(design, name)[0])


def _value(design: Design, name: str, level: str) -> str | float:
    """Return a level as a value of its column, which may hold numbers."""
    return level if design.learned[name].dtype.kind == "U" else float(level)


def level_rows(design: Design, by: str, *, weights: str) -> Floats:
    """Return the rows (n, p) of the design matrix whose effects are the means at the n levels of `by`.

    Parameters
    ----------
    design : Design
        Design matrix of a fit.
    by : str
        Categorical moderator.
    weights : {"observed", "equal"}
        The other moderators as they are in the studies, or numbers at their means and every combination of
        levels counting the same.
    """
    if not is_one_of(weights, WEIGHTS):
        raise AnalysisError(
            f"weights must be 'observed' or 'equal'; got {told(weights)}{suggest(weights, WEIGHTS)}"
        )
    levels = levels_of(design, by)
    others = _observed(design, by) if weights == "observed" else _grid(design, by)
    n = max((len(column) for column in others.values()), default=1)
    rows = []
    for level in levels:
        cells = {**others, by: np.repeat(np.array(_value(design, by, level)), n)}
        rows.append(design.rows(cells).mean(axis=0))
    return np.array(rows)


def _observed(design: Design, by: str) -> Mapping[str, Column]:
    return {name: column for name, column in design.learned.items() if name != by}


def _grid(design: Design, by: str) -> Mapping[str, Column]:
    held = {name: [value] for name, value in held_values(design, by).items()}
    for name in held:
        if is_categorical(design, name):
            held[name] = [_value(design, name, level) for level in levels_of(design, name)]
    count = int(np.prod([len(values) for values in held.values()]))
    if count > MOST_CELLS:
        raise AnalysisError(
            f"there are {count:,} combinations of levels, more than {MOST_CELLS:,}; use weights='observed'"
        )
    cells = list(product(*held.values()))
    return {name: np.array([cell[j] for cell in cells]) for j, name in enumerate(held)}


def counts(design: Design, by: str) -> list[int]:
    """Return the number of studies at each level of a categorical moderator."""
    names = level_names(design.learned[by])
    return [names.count(level) for level in levels_of(design, by)]
