"""Rows of a table that take part in an analysis: their labels, and the sentences about their faulty cells."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import AnalysisError, DataError, printable, suggest
from bayesmeta.tables import Table, as_column, check_indexes, number_text, raise_all, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bayesmeta.arrays import Bools
    from bayesmeta.tables import Column

type Note = tuple[str, str]

LONGEST_LABEL = 200

TOTALS = re.compile(
    r"((grand |sub-? ?)?totals?|(overall|pooled|summary)( effect| estimate| result)?)( \(.*\))?:?",
    re.IGNORECASE,
)
"""Labels of the rows that a copied forest plot brings along."""


class Gathered(NamedTuple):
    """A table together with what the caller gave beside it."""

    table: Table
    """The table, arrays given by the caller included."""
    names: dict[str, str]
    """Column of the table for each canonical name (yi, sei, slab, m1i, ...) that was given."""
    notes: tuple[Note, ...]
    """What is to be said about it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that take part, with their labels.

    Attributes
    ----------
    table : Table
        The rows themselves.
    slab : tuple of str
        Their labels, all different.
    positions : tuple of int
        Their places in the table that was given, counted from 0.
    excluded : tuple of (str, str)
        Label of, and reason for, each row left out.
    notes : tuple of (str, str)
        Identifier and text of each warning.
    """

    table: Table
    slab: tuple[str, ...]
    positions: tuple[int, ...]
    excluded: tuple[tuple[str, str], ...] = ()
    notes: tuple[Note, ...] = ()

    def problem(self, row: int, column: str, must: str, *, advice: str = "Fix the cell") -> str:
        """Return the sentence about a faulty cell.

        Parameters
        ----------
        row : int
            Row, counted from 0.
        column : str
            Column of the table.
        must : str
            What the cell must be.
        advice : str
            What to do about it, other than dropping the row.
        """
        place = f'{self.table.where(row)} study "{printable(self.slab[row])}" column "{printable(column)}"'
        label = json.dumps(printable(self.slab[row]), ensure_ascii=False)
        got = shown(self.table.columns[column][row])
        return f"{place}: {must}; got {got}. {advice}, or drop the row with exclude = [{label}]."

    def keeping(self, kept: Bools, reasons: Mapping[int, str]) -> Rows:
        """Return the rows marked in `kept`; the others join `excluded` with their reasons."""
        left = np.flatnonzero(kept).tolist()
        return replace(
            self,
            table=self.table.take(left),
            slab=tuple(self.slab[row] for row in left),
            positions=tuple(self.positions[row] for row in left),
            excluded=(*self.excluded, *((self.slab[row], reasons[row]) for row in sorted(reasons))),
        )


def gather(data: object, given: Mapping[str, object]) -> Gathered:
    """Return the table of everything that the caller gave.

    Parameters
    ----------
    data : DataFrame, mapping, Table or None
        The caller's table.
    given : mapping of str to (str, sequence or None)
        Canonical names, each with a column of `data`, or with values of its own, or with None.

    Raises
    ------
    DataError
        If a column is missing, lengths differ, or Series carry different indexes.
    """
    values = {name: item for name, item in given.items() if item is not None and not isinstance(item, str)}
    check_indexes({"data": data, **values})
    table = Table.of(data)
    names = {name: item for name, item in given.items() if isinstance(item, str)}
    columns = dict.fromkeys(names.values())
    for column in columns:
        table.column(column)
    added: dict[str, Column] = {}
    for name, item in values.items():
        names[name] = name if name not in table.columns else f"{name} (given)"
        added[names[name]] = as_column(item, name)
    single = [*_single_precision(values), *_single_precision({name: _part(data, name) for name in columns})]
    notes = [("single-precision", f'"{name}" came in single precision, about 7 digits') for name in single]
    return Gathered(table.having(added), names, tuple(notes))


def _single_precision(values: Mapping[str, object]) -> list[str]:
    """Return the names of what is given with about seven digits."""
    short = {"float32", "float16", "Float32"}
    return [name for name, item in values.items() if str(getattr(item, "dtype", "")) in short]


def _part(data: object, name: str) -> object:
    """Return a column as the caller gave it, None where it cannot be had by its name."""
    return data.get(name) if hasattr(data, "get") else None


def choose_rows(
    gathered: Gathered,
    *,
    needed: Sequence[str],
    missing: str,
    exclude: Iterable[str],
    allow_total_rows: bool,
) -> Rows:
    """Return the rows that take part, labelled.

    Parameters
    ----------
    gathered : Gathered
        The table and the names of its columns.
    needed : sequence of str
        Canonical names whose cells must not be missing.
    missing : {"error", "drop"}
        Whether a row with a missing cell is kept (and complained of later) or left out.
    exclude : iterable of str
        Labels of rows to leave out.
    allow_total_rows : bool
        Accept labels such as "Total".

    Raises
    ------
    AnalysisError
        If an option is wrong, or `exclude` names an unknown study.
    DataError
        If a label is missing, unprintable or that of a total; if no row is left.
    """
    if missing not in {"error", "drop"}:
        raise AnalysisError(f"missing must be 'error' or 'drop'; got '{missing}'")
    rows = _labelled(gathered)
    rows = _without_excluded(rows, exclude)
    if not allow_total_rows:
        _refuse_totals(rows)
    if missing == "drop":
        rows = _without_missing(rows, [gathered.names[name] for name in needed])
    if not rows.slab:
        raise DataError("no studies are left; every row of the table was excluded or had a missing cell")
    return rows


def moderators(rows: Rows, gathered: Gathered) -> dict[str, Column]:
    """Return the columns of the table that have no other part: neither effects, nor arms, nor labels.

    The column of labels stays when the labels had to be made different from one another: it names groups.
    """
    used = set(gathered.names.values())
    if any(identifier == "duplicate-labels" for identifier, _ in rows.notes):
        used.discard(gathered.names.get("slab", ""))
    return {name: column for name, column in rows.table.columns.items() if name not in used}


def quoted(labels: Iterable[str], *, longest: int = 20) -> str:
    """Return labels for a message, quoted and joined by commas; those beyond `longest` are counted."""
    texts = [f'"{printable(label)}"' for label in labels]
    rest = [f"and {len(texts) - longest} more"] if len(texts) > longest else []
    return ", ".join([*texts[:longest], *rest])


def distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels with ``.1``, ``.2``, ... appended to each of those that occur more than once.

    Parameters
    ----------
    labels : sequence of str
        Labels of the studies.

    Examples
    --------
    >>> distinct(["Lu 2007", "Ma 2020", "Lu 2007"])
    ('Lu 2007.1', 'Ma 2020', 'Lu 2007.2')
    """
    counts = Counter(labels)
    taken, last, result = set(counts), Counter[str](), list(labels)
    for place, label in enumerate(labels):
        if counts[label] > 1:
            last[label] += 1
            while f"{label}.{last[label]}" in taken:
                last[label] += 1
            result[place] = f"{label}.{last[label]}"
            taken.add(result[place])
    return tuple(result)


def _labelled(gathered: Gathered) -> Rows:
    table, name = gathered.table, gathered.names.get("slab")
    if table.n == 0:
        raise DataError(f"{table.source or 'the table'} has no studies")
    positions = tuple(range(table.n))
    if name is None:
        return Rows(table, tuple(f"Study {i + 1}" for i in positions), positions, notes=gathered.notes)
    column = table.column(name)
    texts = [label if isinstance(label, str) else _number_label(label) for label in column.tolist()]
    _check_labels(table, name, texts)
    cut = [label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…" for label in texts]
    labels = distinct(cut)
    return Rows(table, labels, positions, notes=(*gathered.notes, *_label_notes(texts, cut, labels)))


def _number_label(number: float) -> str:
    return "" if np.isnan(number) else number_text(number)


def _check_labels(table: Table, name: str, labels: Sequence[str]) -> None:
    problems = []
    for row, label in enumerate(labels):
        place = f'{table.where(row)} column "{printable(name)}"'
        if not label.strip():
            problems.append(f"{place}: a study must have a label; got nothing. Name the study.")
        elif any(unicodedata.category(character) == "Cc" for character in label):
            text = f"a label must not hold control characters; got {shown(label)}. Remove them"
            problems.append(f"{place}: {text} (tabs and line breaks too).")
    raise_all(problems)


def _label_notes(texts: Sequence[str], cut: Sequence[str], labels: Sequence[str]) -> list[Note]:
    notes = []
    long = [short for text, short in zip(texts, cut, strict=True) if text != short]
    if long:
        many = "1 label was" if len(long) == 1 else f"{len(long)} labels were"
        notes.append(("long-labels", f"{many} cut to {LONGEST_LABEL} characters"))
    changed = [label for label, short in zip(labels, cut, strict=True) if label != short]
    if changed:
        text = f"labels that stand more than once were numbered: {quoted(changed)}"
        notes.append(("duplicate-labels", text))
    return notes


def _without_excluded(rows: Rows, exclude: Iterable[str]) -> Rows:
    if isinstance(exclude, str) or not hasattr(exclude, "__iter__"):
        raise AnalysisError(f"exclude must be a list of labels; got '{printable(str(exclude))}'")
    wanted = list(exclude)
    if not wanted:
        return rows
    unknown = [label for label in wanted if label not in rows.slab]
    if unknown:
        raise AnalysisError(
            f'exclude names a study that is not in the table: "{printable(str(label))}"'
            f"{suggest(str(label), rows.slab)}"
            for label in unknown
        )
    kept = np.array([label not in wanted for label in rows.slab], dtype=bool)
    return rows.keeping(kept, dict.fromkeys(np.flatnonzero(~kept).tolist(), "excluded by name"))


def _refuse_totals(rows: Rows) -> None:
    raise_all(
        [
            f'{rows.table.where(row)} study "{label}": looks like a total, which would count studies twice.'
            f' Drop the row with exclude = ["{label}"], or say allow_total_rows = true.'
            for row, label in enumerate(rows.slab)
            if TOTALS.fullmatch(label.strip())
        ]
    )


def _without_missing(rows: Rows, needed: Sequence[str]) -> Rows:
    gone: dict[int, list[str]] = {}
    for name in needed:
        column = rows.table.columns[name]
        empty = np.isnan(column) if column.dtype.kind == "f" else column == ""
        for row in np.flatnonzero(empty).tolist():
            gone.setdefault(row, []).append(name)
    if not gone:
        return rows
    kept = np.array([row not in gone for row in range(rows.table.n)], dtype=bool)
    labels = quoted(rows.slab[row] for row in sorted(gone))
    text = f"{len(gone)} of {rows.table.n} studies were left out because a cell is missing: {labels}"
    reasons = {row: f"missing {', '.join(names)}" for row, names in gone.items()}
    return replace(rows.keeping(kept, reasons), notes=(*rows.notes, ("missing-dropped", text)))
