"""From the factors of a formula to columns of numbers, with everything learned from the data kept.

A `Variable` knows the values it was learned from; the same levels, means, knots and polynomials are then used
for new values. Bases of splines and polynomials come from formulaic, called with our arguments, never with
the text of a formula.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.errors import DataError, FormulaError, printable, suggest
from bayesmeta.tables import number_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.formula import Factor
    from bayesmeta.tables import Column

ELEMENTARY: Mapping[str, Callable[[Floats], Floats]] = {"log": np.log, "sqrt": np.sqrt, "exp": np.exp}


class Block(NamedTuple):
    """Columns that a factor contributes."""

    columns: Floats
    """(n, c) numbers."""
    labels: tuple[str, ...]
    """Names of the columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """A factor together with the values it was learned from.

    Attributes
    ----------
    factor : Factor
        What is made of the column.
    values : (k,) array
        The column in the data.
    """

    factor: Factor
    values: Column

    @property
    def is_categorical(self) -> bool:
        """Whether its values are levels."""
        return self.factor.kind == "C" or (self.factor.kind == "" and self.values.dtype.kind == "U")

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels, the reference first, the others in sorted order."""
        found = sorted(set(level_names(self.values)), key=_natural_order)
        reference = self.factor.argument if self.factor.kind == "C" else None
        if reference is None:
            return tuple(found)
        if reference not in found:
            hint = suggest(str(reference), found) or f"; the levels are {', '.join(found)}"
            raise FormulaError(
                f'column "{self.factor.name}" has no level "{printable(str(reference))}"{hint}'
            )
        return (str(reference), *(level for level in found if level != reference))

    def block(self, values: Column, *, full: bool) -> Block:
        """Return the columns for given values.

        Parameters
        ----------
        values : (n,) array
            Values of the column, in the data or new ones.
        full : bool
            Give every level of a category a column, instead of all but the reference.
        """
        if self.is_categorical:
            return self._dummies(values, full=full)
        if values.dtype.kind == "U" and self.values.dtype.kind == "f":
            raise DataError(f'column "{printable(self.factor.name)}" must hold numbers, as in the studies')
        numbers = _as_numbers(values, self.factor)
        basis = _BASES.get(self.factor.kind)
        if basis is None:
            return Block(self._transformed(numbers)[:, None], (str(self.factor),))
        learned = _as_numbers(self.values, self.factor)
        size = int(self.factor.argument or 0)
        _refuse_too_few_values(learned, self.factor)
        unit = 1.0 if size == 1 else np.ldexp(1.0, int(np.frexp(np.abs(learned).max())[1]))
        columns = basis(learned / unit, numbers / unit, size)  # a basis has no unit, and no power overflows
        return Block(columns, tuple(f"{self.factor}[{j + 1}]" for j in range(columns.shape[1])))

    def _dummies(self, values: Column, *, full: bool) -> Block:
        levels, names = self.levels, np.array(level_names(values))
        unknown = sorted(set(names.tolist()) - set(levels))
        if unknown:
            known = ", ".join(map(printable, levels))
            raise DataError(
                f'column "{printable(self.factor.name)}" has the level "{printable(level)}", which is not in '
                f"the studies; known levels are {known}"
                for level in unknown
            )
        shown = levels if full else levels[1:]
        columns = np.array([names == level for level in shown], dtype=np.float64).reshape(len(shown), -1).T
        return Block(columns, tuple(f"{self.factor.name}[{level}]" for level in shown))

    def _transformed(self, numbers: Floats) -> Floats:
        kind, learned = self.factor.kind, _as_numbers(self.values, self.factor)
        if kind == "power":
            with np.errstate(over="ignore"):  # infinity is refused together with other extreme numbers
                return np.asarray(numbers ** int(self.factor.argument or 1))
        if kind == "center":
            return numbers - learned.mean()
        if kind == "scale":
            return (numbers - learned.mean()) / np.std(learned, ddof=1)
        if kind in ELEMENTARY:
            _refuse_outside_domain(numbers, self.factor)
            return ELEMENTARY[kind](numbers)
        return numbers


def level_names(values: Column) -> list[str]:
    """Return the values of a column as names of levels."""
    return [number_text(value) if isinstance(value, float) else str(value) for value in values.tolist()]


def missing(values: Column) -> Bools:
    """Return where a column has no value."""
    return np.asarray(np.isnan(values) if values.dtype.kind == "f" else values == "")


def _natural_order(level: str) -> tuple[int, float, str]:
    try:
        return 0, float(level), level
    except ValueError:
        return 1, 0.0, level


def _as_numbers(values: Column, factor: Factor) -> Floats:
    if values.dtype.kind == "U":
        raise FormulaError(f'{factor}: column "{printable(factor.name)}" holds text; use C({factor.name})')
    return values.astype(np.float64)


def _refuse_outside_domain(numbers: Floats, factor: Factor) -> None:
    wrong = {"log": numbers <= 0, "sqrt": numbers < 0, "exp": numbers > 700}[factor.kind]
    if wrong.any():
        must = {"log": "> 0", "sqrt": ">= 0", "exp": "at most 700"}[factor.kind]
        raise FormulaError(f"{factor}: values must be {must}; got {numbers[wrong][0]:g}")


def _refuse_too_few_values(learned: Floats, factor: Factor) -> None:
    found, needed = int(np.unique(learned).size), int(factor.argument or 0) + 1
    if factor.kind == "poly" and found < needed:
        raise FormulaError(
            f'{factor}: column "{printable(factor.name)}" must have at least {needed} different values; '
            f"it has {found}; use a lower degree"
        )


def _poly(learned: Floats, numbers: Floats, degree: int) -> Floats:
    from formulaic.transforms import poly

    state: dict[str, Any] = {}
    poly(learned, degree=degree, _state=state)
    return np.asarray(poly(numbers, degree=degree, _state=state), dtype=np.float64)


def _b_spline(learned: Floats, numbers: Floats, df: int) -> Floats:
    from formulaic.transforms import basis_spline

    state: dict[str, Any] = {}
    basis_spline(learned, df=df, _state=state)
    columns = basis_spline(numbers, df=df, extrapolation="extend", _state=state)
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns.values()])


def _natural_spline(learned: Floats, numbers: Floats, df: int) -> Floats:
    from formulaic.transforms.cubic_spline import natural_cubic_spline

    if df == 1:
        return numbers[:, None]
    state: dict[str, Any] = {}
    natural_cubic_spline(learned, df=df, constraints="center", _state=state)
    columns = natural_cubic_spline(numbers, df=df, constraints="center", extrapolation="extend", _state=state)
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns.values()])


_BASES = {"poly": _poly, "bs": _b_spline, "ns": _natural_spline}
