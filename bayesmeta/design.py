"""`Design`: the design matrix of a formula on studies, with the names and the coding of its columns.

Categories are coded against their reference level (treatment contrasts). A category is given a column for
each level where the term without it is absent from the formula, so that ``0 + C(g)`` has the mean of each
level, and ``x:g`` without ``x`` the slope of each level.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.encoding import Block, Variable, level_names, missing
from bayesmeta.errors import DataError, FormulaError, printable, suggest
from bayesmeta.formula import Formula, parse_formula
from bayesmeta.tables import raise_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike

    from bayesmeta.arrays import Floats
    from bayesmeta.formula import Factor
    from bayesmeta.tables import Column

INTERCEPT = "Intercept"
RESERVED = frozenset({INTERCEPT, "mu", "tau", "tau2", "theta", "theta_new", "y", "I2", "H2"})
"""Names that a coefficient must not have, because a quantity of every fit has them."""
RANK = 1e-10
"""Diagonal of R, relative to its largest, below which a column adds nothing."""
CONDITION = 1e8
LARGEST = 1e150
"""Size beyond which the square of a number overflows, and below whose inverse it vanishes."""
CODE_NAMES = ("group", "type", "arm", "code", "region")
CODE_LEVELS = 5
CROWDED = 0.1

type Note = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A design matrix of k studies and p coefficients.

    Attributes
    ----------
    X : (k, p) array
        The matrix, in the user's units.
    names : tuple of str
        Names of the coefficients.
    formula : Formula
        What it was made from.
    learned : mapping of str to (n,) array
        The columns that levels, means and knots were learned from.
    is_mean : tuple of bool
        Which coefficients are mean effects: the intercept, and all levels of a category without one.
    notes : tuple of (str, str)
        Doubts about the moderators.
    """

    X: Floats
    names: tuple[str, ...]
    formula: Formula
    learned: Mapping[str, Column]
    is_mean: tuple[bool, ...]
    notes: tuple[Note, ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Design):
            return NotImplemented
        return self.names == other.names and self.formula == other.formula and np.array_equal(self.X, other.X)

    __hash__ = None  # type: ignore[assignment]  # equal by contents, which are arrays

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (self.X, self.names, self.formula, dict(self.learned), self.is_mean, self.notes)
        return _rebuilt, parts

    @property
    def k(self) -> int:
        """Number of studies."""
        return int(self.X.shape[0])

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return int(self.X.shape[1])

    @property
    def intercept(self) -> bool:
        """Whether there is an intercept."""
        return self.formula.intercept

    @property
    def is_pooled(self) -> bool:
        """Whether there are no moderators."""
        return self.formula == Formula(intercept=True)

    def rows(self, newdata: Mapping[str, ArrayLike]) -> Floats:
        """Return the (n, p) design matrix of new values, coded as the data were.

        Parameters
        ----------
        newdata : mapping of str to (n,) array_like
            A column for each moderator; others are ignored.

        Raises
        ------
        DataError
            If a moderator or a value is missing, or a level is not in the data.
        """
        from bayesmeta.tables import Table

        table = Table.of({name: newdata[name] for name in self.formula.columns if name in newdata})
        absent = [name for name in self.formula.columns if name not in table.columns]
        raise_all(
            [f'the new values need a column "{printable(name)}"{suggest(name, newdata)}' for name in absent]
        )
        raise_all(
            [
                f'column "{printable(name)}" of the new values has a missing cell; fill it in'
                for name, column in table.columns.items()
                if missing(column).any()
            ]
        )
        n = table.n if self.formula.columns else _first_length(newdata)
        return _encode(self.formula, self.learned, table.columns, n).columns

    def outside(self, newdata: Mapping[str, ArrayLike]) -> tuple[Note, ...]:
        """Return a note for each moderator whose new values lie outside the range of the data."""
        notes = []
        for name in self.formula.columns:
            learned, given = self.learned[name], np.asarray(newdata[name])
            if learned.dtype.kind != "f" or given.dtype.kind not in "fiu":
                continue
            low, high = float(learned.min()), float(learned.max())
            if np.any((given < low) | (given > high)):
                text = f"{name} is predicted outside its range in the studies, {low:g} to {high:g}"
                notes.append(("extrapolation", text))
        return tuple(notes)

    def take(self, which: ArrayLike) -> Design:
        """Return the same columns on some of the studies."""
        X = readonly(self.X[np.asarray(which)])
        return Design(X, self.names, self.formula, self.learned, self.is_mean, self.notes)


def _rebuilt(*parts: Any) -> Design:
    X, names, formula, learned, is_mean, notes = parts
    return Design(readonly(X), names, formula, MappingProxyType(learned), is_mean, notes)


def _first_length(newdata: Mapping[str, ArrayLike]) -> int:
    return max((np.asarray(column).size for column in newdata.values()), default=1)


def build_design(
    formula: Formula | str, columns: Mapping[str, Column], *, slab: Sequence[str], k: int
) -> Design:
    """Return the design matrix of a formula on the columns of k studies.

    Parameters
    ----------
    formula : Formula or str
        Right-hand side.
    columns : mapping of str to (k,) array
        Moderators: numbers (NaN where missing) or text ("" where missing).
    slab : sequence of str
        Labels of the studies, for messages.
    k : int
        Number of studies.

    Raises
    ------
    FormulaError
        If the text is outside the grammar, or its terms are constant, collinear, empty or too many.
    DataError
        If a column is missing, or a study has no value in it.
    """
    formula = parse_formula(formula) if isinstance(formula, str) else formula
    learned = {name: _column(columns, name) for name in formula.columns}
    _check_complete(learned, slab)
    _check_variation(formula, learned)
    encoded = _encode(formula, learned, learned, k)
    _check_names(encoded.labels)
    _check_size(encoded)
    _check_rank(formula, encoded, k)
    is_mean = _mean_columns(formula, learned, encoded)
    notes = _notes(formula, learned, encoded.columns)
    return Design(
        readonly(encoded.columns), encoded.labels, formula, MappingProxyType(learned), is_mean, notes
    )


def _column(columns: Mapping[str, Column], name: str) -> Column:
    if name not in columns:
        hint = suggest(name, columns) or f"; the columns are {', '.join(columns) or 'none'}"
        raise DataError(f'the studies have no column "{printable(name)}"{hint}')
    return columns[name]


def _check_complete(learned: Mapping[str, Column], slab: Sequence[str]) -> None:
    raise_all(
        [
            f'study "{printable(slab[i])}" column "{printable(name)}": a moderator must have a value; got an '
            "empty cell; fill it in, or leave the study out by exclude"
            for name, column in learned.items()
            for i in np.flatnonzero(missing(column)).tolist()
        ]
    )


def _check_variation(formula: Formula, learned: Mapping[str, Column]) -> None:
    values = {name: sorted(set(level_names(learned[name]))) for name in formula.columns}
    constant = {name: found[0] for name, found in values.items() if len(found) == 1}
    if constant:
        raise FormulaError(
            f'column "{printable(name)}" is "{printable(value)}" in every study; a moderator must '
            "vary; leave it out of the formula"
            for name, value in constant.items()
        )


def _encode(formula: Formula, learned: Mapping[str, Column], values: Mapping[str, Column], n: int) -> Block:
    blocks = [Block(np.ones((n, 1)), (INTERCEPT,))] if formula.intercept else []
    for term, full in _codings(formula, learned):
        parts = [
            Variable(factor, learned[factor.name]).block(values[factor.name], full=factor in full)
            for factor in term
        ]
        blocks.append(_interaction(parts))
    if not blocks:
        raise FormulaError("a formula must have an intercept or a term; got '0'; write '1'")
    return Block(
        np.concatenate([block.columns for block in blocks], axis=1),
        tuple(label for block in blocks for label in block.labels),
    )


def _codings(
    formula: Formula, learned: Mapping[str, Column]
) -> list[tuple[tuple[Factor, ...], frozenset[Factor]]]:
    """Return each term with those of its categories that are coded with all their levels."""
    present = {frozenset(term) for term in formula.terms}
    if formula.intercept:
        present.add(frozenset())
    result = []
    for term in formula.terms:
        categories = [factor for factor in term if Variable(factor, learned[factor.name]).is_categorical]
        full = frozenset(factor for factor in categories if frozenset(term) - {factor} not in present)
        if full and len(term) == 1:
            present.add(frozenset())
        result.append((term, full))
    return result


def _interaction(parts: list[Block]) -> Block:
    columns, labels = parts[0]
    for part in parts[1:]:
        columns = (columns[:, :, None] * part.columns[:, None, :]).reshape(columns.shape[0], -1)
        labels = tuple(f"{one}:{two}" for one in labels for two in part.labels)
    return Block(columns, labels)


def _check_names(names: tuple[str, ...]) -> None:
    for name in names:
        if name in RESERVED and (name != INTERCEPT or names.count(name) > 1):
            raise FormulaError(
                f'a moderator must not be called "{name}", a name of the model; rename the column'
            )
        if names.count(name) > 1:
            raise FormulaError(f"two coefficients would be called '{printable(name)}'; leave one term out")


def _check_size(encoded: Block) -> None:
    """Refuse columns whose squares overflow or vanish."""
    largest = np.abs(encoded.columns).max(axis=0)
    extreme = (largest > LARGEST) | ((largest > 0) & (largest < 1 / LARGEST))
    if extreme.any():
        raise FormulaError(
            f"'{printable(encoded.labels[j])}' must lie between {1 / LARGEST:.0e} and {LARGEST:.0e} in size; "
            f"got {largest[j]:.3g}; change the unit of the column"
            for j in np.flatnonzero(extreme).tolist()
        )


def _check_rank(formula: Formula, encoded: Block, k: int) -> None:
    X, names = encoded
    empty = [name for name, column in zip(names, X.T, strict=True) if not column.any()]
    if empty:
        raise FormulaError(_empty(name) for name in empty)
    if X.shape[1] > k:
        raise FormulaError(
            f"formula '{formula}' has {X.shape[1]} coefficients for {k} {'study' if k == 1 else 'studies'}; "
            "use fewer terms"
        )
    if X.shape[1] == 1:
        return
    from scipy import linalg

    scaled = X / np.linalg.norm(X, axis=0)
    _, R, order = linalg.qr(scaled, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(R))
    aliased = sorted(order[diagonal <= RANK * diagonal[0]])
    if aliased:
        raise FormulaError(
            f"'{printable(names[j])}' is a combination of {_partners(scaled, names, j)}, so that their "
            "coefficients cannot be told apart; leave one term out"
            for j in aliased
        )


def _empty(name: str) -> str:
    if ":" in name:
        return f"no study is in the cell '{printable(name)}'; leave the interaction out"
    return f"'{printable(name)}' is 0 in every study; use fewer degrees of freedom"


def _partners(X: Floats, names: tuple[str, ...], j: int) -> str:
    """Return the names of the columns that column j is made of."""
    others = [i for i in range(X.shape[1]) if i != j]
    weights = np.linalg.lstsq(X[:, others], X[:, j], rcond=None)[0]
    found = [names[i] for i, weight in zip(others, weights, strict=True) if abs(weight) > 1e-6]
    return ", ".join(f"'{printable(name)}'" for name in found) or "the others"


def _mean_columns(formula: Formula, learned: Mapping[str, Column], encoded: Block) -> tuple[bool, ...]:
    if formula.intercept:
        return (True, *[False] * (len(encoded.labels) - 1))
    means = [False] * len(encoded.labels)
    place = 0
    for term, full in _codings(formula, learned):
        sizes = [
            Variable(factor, learned[factor.name])
            .block(learned[factor.name], full=factor in full)
            .columns.shape[1]
            for factor in term
        ]
        width = prod(sizes)
        if len(term) == 1 and full and not any(means):
            means[place : place + width] = [True] * width
        place += width
    return tuple(means)


def _notes(formula: Formula, learned: Mapping[str, Column], X: Floats) -> tuple[Note, ...]:
    notes: list[Note] = []
    k, p = X.shape
    if formula.terms and (p - 1) / k > CROWDED:
        many = f"{p - 1} {'coefficient' if p == 2 else 'coefficients'} of moderators for {k} studies"
        text = f"{many}; such a regression explores, it does not confirm"
        notes.append(("many-moderators", text))
    for term in formula.terms:
        for factor in term:
            notes += _factor_notes(factor, learned[factor.name])
    singular = np.linalg.svd(X / np.linalg.norm(X, axis=0), compute_uv=False)
    if singular[0] > CONDITION * singular[-1]:
        notes.append(("near-collinear", "the moderators nearly determine one another: vague coefficients"))
    return tuple(dict.fromkeys(notes))


def _factor_notes(factor: Factor, values: Column) -> list[Note]:
    variable = Variable(factor, values)
    if variable.is_categorical:
        names = level_names(values)
        single = [level for level in variable.levels if names.count(level) == 1]
        listed = ", ".join(map(printable, single))
        return [("single-study-level", f"{factor.name}: only one study has {listed}")] if single else []
    codes = sorted(set(values.tolist()))
    looks_coded = len(codes) <= CODE_LEVELS and all(float(code).is_integer() for code in codes)
    if factor.kind == "" and looks_coded and any(word in factor.name.casefold() for word in CODE_NAMES):
        text = (
            f"{factor.name} has the numbers {', '.join(f'{code:g}' for code in codes)}; if they are codes, "
        )
        return [("numeric-codes", text + f"write C({factor.name})")]
    return []
