"""Arm data: which columns a measure needs, and whether the numbers in them can be true."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.effectsizes import MEASURES
from bayesmeta.errors import AnalysisError, suggest
from bayesmeta.studies.numbers import read_numbers, sentences
from bayesmeta.tables import number_text, raise_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.effectsizes import Measure
    from bayesmeta.studies.numbers import Problem
    from bayesmeta.studies.rows import Rows

POSITIVE_MEANS = ("ROM", "CVR")
SMALLEST_FISHER_SAMPLE = 4


class Check(NamedTuple):
    """A rule between cells of one row."""

    column: str
    """Canonical name of the column that is blamed."""
    broken: Bools
    """Where it is broken."""
    must: str | list[str]
    """The rule in words, one for all rows or one a row."""
    advice: str
    """What to do."""


def needed_columns(measure: Measure, given: Iterable[str]) -> tuple[str, ...]:
    """Return the canonical columns, among those given, that the measure is computed from.

    Parameters
    ----------
    measure : Measure
        The measure.
    given : iterable of str
        Canonical names that the caller gave.

    Raises
    ------
    AnalysisError
        If one does not belong to the measure, or one that it needs was not given.
    """
    given = tuple(given)
    if measure.function is None:
        raise AnalysisError(
            f"measure '{measure.name}' is not computed from arms; use Studies.from_effects(yi, sei=...)"
        )
    sets = [columns for columns in (measure.columns, measure.alternative) if columns]
    wanted = " or ".join(", ".join(columns) for columns in sets)
    known = {column for other in MEASURES.values() for column in other.accepted}
    strange = [name for name in given if name not in known]
    if strange:
        raise AnalysisError(f"unknown option '{name}'{suggest(name, known)}" for name in strange)
    foreign = [name for name in given if name not in measure.accepted]
    complete = any(set(columns) <= set(given) for columns in sets)
    if foreign or not complete:
        raise AnalysisError(
            f"measure '{measure.name}' needs {wanted}; got {', '.join(given) or 'none of them'}"
        )
    return tuple(name for name in measure.accepted if name in given)


def read_arms(
    rows: Rows, names: Mapping[str, str], measure: Measure, wanted: tuple[str, ...]
) -> dict[str, Floats]:
    """Return the arm data under their canonical names; of two-by-two tables all four cells and both sizes.

    Parameters
    ----------
    rows : Rows
        Rows to read.
    names : mapping of str to str
        Column of the table for each canonical name.
    measure : Measure
        The measure.
    wanted : tuple of str
        Canonical names that were given.

    Raises
    ------
    DataError
        Naming every cell that cannot be true.
    """
    arms, problems = read_numbers(rows, names, wanted)
    if measure.kind == "table":
        arms = completed_table(arms)
    for check in _checks(measure, arms, names):
        problems.extend(_broken(rows, names, check))
    raise_all(sentences(problems))
    return arms


def completed_table(arms: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the four cells and two group sizes of two-by-two tables.

    Parameters
    ----------
    arms : mapping of str to (k,) array
        ``ai`` and ``ci`` with ``n1i, n2i`` or ``bi, di`` or both.
    """
    n1 = arms["n1i"] if "n1i" in arms else arms["ai"] + arms["bi"]
    n2 = arms["n2i"] if "n2i" in arms else arms["ci"] + arms["di"]
    b = arms["bi"] if "bi" in arms else n1 - arms["ai"]
    d = arms["di"] if "di" in arms else n2 - arms["ci"]
    return {"ai": arms["ai"], "bi": b, "ci": arms["ci"], "di": d, "n1i": n1, "n2i": n2}


def sample_size(arms: Mapping[str, Floats]) -> Floats | None:
    """Return the (k,) numbers of participants, or None for rates, which have none.

    Parameters
    ----------
    arms : mapping of str to (k,) array
        Arm data.
    """
    if "n1i" in arms:
        return arms["n1i"] + arms["n2i"]
    return arms.get("ni")


def _checks(measure: Measure, arms: Mapping[str, Floats], names: Mapping[str, str]) -> list[Check]:
    checks = []
    if measure.kind in {"table", "proportion"}:
        checks += _within_size(measure, arms)
    if measure.kind == "table":
        checks += _agreeing(arms, names)
    if measure.kind in {"means", "mean"}:
        must = "a group with a standard deviation must have a size >= 2"
        checks += [Check(n, arms[n] < 2, must, "Fix the cell") for n in arms if n.startswith("n")]
    if measure.name in POSITIVE_MEANS:
        must = f"measure '{measure.name}' needs means > 0"
        checks += [Check(m, arms[m] <= 0, must, "Choose measure 'MD' or 'SMD'") for m in ("m1i", "m2i")]
    if measure.name in {"COR", "ZCOR"}:
        least = SMALLEST_FISHER_SAMPLE if measure.name == "ZCOR" else 2
        must = f"measure '{measure.name}' needs a sample size >= {least}"
        checks.append(Check("ni", arms["ni"] < least, must, "Fix the cell"))
    return checks


def _within_size(measure: Measure, arms: Mapping[str, Floats]) -> list[Check]:
    pairs = [("xi", "ni")] if measure.kind == "proportion" else [("ai", "n1i"), ("ci", "n2i")]
    return [
        Check(
            events,
            arms[events] > arms[size],
            [f"events must be <= the group size {number_text(n)}" for n in arms[size].tolist()],
            "Are the columns swapped, or is it a percentage? Fix the cell",
        )
        for events, size in pairs
    ]


def _agreeing(arms: Mapping[str, Floats], names: Mapping[str, str]) -> list[Check]:
    checks = []
    for events, others, size in (("ai", "bi", "n1i"), ("ci", "di", "n2i")):
        if size not in names:
            must = "a group must have at least one participant"
            checks.append(Check(events, arms[size] < 1, must, "Fix the cell"))
        elif others in names:
            differs = np.abs(arms[events] + arms[others] - arms[size]) > 0
            checks.append(
                Check(size, differs, f"a group size must be {events} + {others}", "Fix one of the three")
            )
    return checks


def _broken(rows: Rows, names: Mapping[str, str], check: Check) -> list[Problem]:
    return [
        (
            row,
            rows.problem(
                row,
                names[check.column],
                check.must if isinstance(check.must, str) else check.must[row],
                advice=check.advice,
            ),
        )
        for row in np.flatnonzero(check.broken).tolist()
    ]
