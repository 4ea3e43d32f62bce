"""What the numbers of a study must be: one rule for each canonical column."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.studies.rows import Rows

type Problem = tuple[int, str]
"""Row, counted from 0, and sentence."""


class Rule(NamedTuple):
    """What a cell must be."""

    must: str
    """The rule in words."""
    holds: Callable[[Floats], Bools]
    """Whether each number keeps it."""


def _finite(x: Floats) -> Bools:
    return np.asarray(np.isfinite(x))


def _positive(x: Floats) -> Bools:
    return np.asarray(x > 0)


def _count(x: Floats) -> Bools:
    return np.asarray((x >= 0) & (x == np.floor(x)))


def _size(x: Floats) -> Bools:
    return np.asarray((x >= 1) & (x == np.floor(x)))


def _correlation(x: Floats) -> Bools:
    return np.asarray(np.abs(x) < 1)


EFFECT = Rule("an effect must be a number", _finite)
SE = Rule("a standard error must be > 0", _positive)
VARIANCE = Rule("a sampling variance must be > 0", _positive)
MEAN = Rule("a mean must be a number", _finite)
SD = Rule("a standard deviation must be > 0", _positive)
COUNT = Rule("a count must be a whole number >= 0", _count)
SIZE = Rule("a group size must be a whole number >= 1", _size)
TIME = Rule("a person-time must be > 0", _positive)
CORRELATION = Rule("a correlation must lie between -1 and 1, both left out", _correlation)

RULES: dict[str, Rule] = {
    "yi": EFFECT,
    "sei": SE,
    "vi": VARIANCE,
    **dict.fromkeys(("m1i", "m2i", "mi"), MEAN),
    **dict.fromkeys(("sd1i", "sd2i", "sdi"), SD),
    **dict.fromkeys(("ai", "bi", "ci", "di", "xi", "x1i", "x2i"), COUNT),
    **dict.fromkeys(("n1i", "n2i", "ni"), SIZE),
    **dict.fromkeys(("t1i", "t2i", "ti"), TIME),
    "ri": CORRELATION,
}
"""Rule of each canonical column."""


LARGEST = 1e150
"""Size beyond which the square of a number overflows, and below whose inverse it vanishes."""


def _beyond(name: str, values: Floats) -> tuple[Bools, str]:
    """Return which numbers are too large or too small to be computed with, and the rule that they break."""
    power = 2 if RULES[name] is VARIANCE else 1
    size = np.abs(values)
    tiny = (size > 0) & (size < LARGEST**-power) & (RULES[name] is not EFFECT)
    must = f"a number must lie between {LARGEST**-power:.0e} and {LARGEST**power:.0e} in size"
    return np.asarray((size > LARGEST**power) | tiny), must


def read_numbers(
    rows: Rows, names: Mapping[str, str], wanted: Sequence[str]
) -> tuple[dict[str, Floats], list[Problem]]:
    """Return the wanted columns as numbers, and a problem for every cell that breaks its rule.

    Parameters
    ----------
    rows : Rows
        Rows to read.
    names : mapping of str to str
        Column of the table for each canonical name.
    wanted : sequence of str
        Canonical names to read.

    Returns
    -------
    tuple
        A (k,) array for each name, NaN in the faulty cells; and the problems.
    """
    numbers, problems = {}, []
    for name in wanted:
        column = rows.table.columns[names[name]]
        values = column.astype(np.float64) if column.dtype.kind == "f" else np.full(column.size, np.nan)
        sound = RULES[name].holds(values)
        for row in np.flatnonzero(~sound).tolist():
            advice = _advice(name, float(values[row]), missing=_missing(column[row]))
            problems.append((row, rows.problem(row, names[name], RULES[name].must, advice=advice)))
        extreme, must = _beyond(name, values)
        problems += [
            (row, rows.problem(row, names[name], must, advice="Change the unit"))
            for row in np.flatnonzero(sound & extreme).tolist()
        ]
        numbers[name] = np.where(sound & ~extreme, values, np.nan)
    return numbers, problems


def sentences(problems: list[Problem]) -> list[str]:
    """Return the sentences in the order of the rows."""
    return [text for _, text in sorted(problems, key=lambda problem: problem[0])]


def _missing(cell: object) -> bool:
    return cell == "" if isinstance(cell, str) else bool(np.isnan(cell))  # type: ignore[call-overload]


def _advice(name: str, value: float, *, missing: bool) -> str:
    if missing:
        return 'Fix the cell, leave out all such rows with missing = "drop"'
    if RULES[name] in (SE, SD, VARIANCE) and value == 0:
        return "Was it rounded? Give more digits"
    if RULES[name] is COUNT and 0 < value < 1:
        return "It looks like a proportion: give the number of events"
    if RULES[name] is COUNT and 0 < value <= 100 and value != np.floor(value):
        return "It looks like a percentage: give the number of events"
    if RULES[name] is SIZE and value > 1:
        return "Round an effective sample size"
    return "Fix the cell"
