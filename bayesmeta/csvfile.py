"""Tables from text files (CSV): nothing is guessed, and every faulty cell is named with its line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.csvcells import DIGITS, NUMBERS, read_column, short
from bayesmeta.csvtext import Dialect, Limits, check_options, decode, find_dialect, records
from bayesmeta.errors import AnalysisError, DataError, printable, suggest
from bayesmeta.rawfile import read_file
from bayesmeta.tables import Table, raise_all

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from bayesmeta.csvtext import Record
    from bayesmeta.tables import Column

LIMITS = Limits()
LONGEST_NAME = 200


class CsvFile(NamedTuple):
    """A table together with what is to be said about its file."""

    table: Table
    """The table."""
    notes: tuple[tuple[str, str], ...]
    """Identifier and text of every remark, such as a decimal comma that was found out."""
    sha256: str
    """SHA-256 of the file, in hexadecimal."""


def read_csv(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    na_values: Iterable[str] = (),
    text: Iterable[str] = (),
    limits: Limits = LIMITS,
) -> Table:
    r"""Return the table in a text file.

    Parameters
    ----------
    path : str or path-like
        A regular file whose first line names the columns.
    delimiter : {",", ";", "\t", "|"}, optional
        What separates cells; found out where there is no doubt.
    decimal : {".", ","}, optional
        Decimal mark; found out where there is no doubt.
    encoding : str, optional
        Encoding of the file; UTF-8, with or without byte order mark, unless said otherwise.
    na_values : iterable of str
        Texts that stand for a missing cell. The empty cell always does; ``NA`` and ``NR`` do not.
    text : iterable of str
        Columns to keep as text whatever they hold, the column of labels first.
    limits : Limits
        Largest table that is read.

    Returns
    -------
    Table
        Columns of numbers (NaN where missing) and of text (empty where missing), with the line of each row.

    Raises
    ------
    AnalysisError
        If an option is wrong.
    DataError
        Naming every cell, row or name that cannot be taken for what it must be.
    FileError
        If the file cannot be read.

    Notes
    -----
    A column in which at least one cell is a number is a column of numbers, and every other cell of it that is
    not missing is a fault.
    """
    return read_csv_file(
        path,
        delimiter=delimiter,
        decimal=decimal,
        encoding=encoding,
        na_values=na_values,
        text=text,
        limits=limits,
    ).table


def read_csv_file(
    path: str | os.PathLike[str],
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    na_values: Iterable[str] = (),
    text: Iterable[str] = (),
    limits: Limits = LIMITS,
) -> CsvFile:
    """Return the table in a text file with the remarks about it and its hash; see `read_csv`.

    Raises
    ------
    AnalysisError, DataError, FileError
        As `read_csv`.
    """
    missing, as_text = _texts("na_values", na_values), _texts("text", text)
    check_options(delimiter, decimal, encoding)
    raw = read_file(path, largest=limits.size)
    source = printable(Path(path).name)
    content = decode(raw.content, source=source, encoding=encoding)
    dialect = find_dialect(content, source=source, delimiter=delimiter, decimal=decimal)
    found = records(content, source=source, delimiter=dialect.delimiter, limits=limits)
    header, *rows = _shaped(found, source)
    names = _names(header, rows, dialect, source)
    _check_known(as_text, names, source)
    full = [row for row in rows if any(row.fields)]
    if not full:
        raise DataError(f"{source}: no studies; the file has a header and no rows")
    table = _table(names, full, source=source, decimal=dialect.decimal, na_values=missing, text=as_text)
    sniffed = dialect if delimiter is None or decimal is None else None
    return CsvFile(table, _notes(source, sniffed, len(rows) - len(full)), raw.sha256)


def _texts(option: str, values: Iterable[str]) -> tuple[str, ...]:
    found = values if isinstance(values, str) else tuple(values)
    if isinstance(found, str) or not all(isinstance(value, str) for value in found):
        raise AnalysisError(f"{option} must be a list of texts; got {found!r}")
    return found


def _shaped(found: Sequence[Record], source: str) -> Sequence[Record]:
    if not found:
        raise DataError(f"{source}: no studies; the file is empty")
    if len(found[0].fields) == 1:
        raise DataError(
            f"{source}:{found[0].line}: the header must name at least two columns, and has one; say what"
            " separates the cells with delimiter ="
        )
    return found


def _names(header: Record, rows: Sequence[Record], dialect: Dialect, source: str) -> list[str]:
    names = header.fields
    place = f"{source}:{header.line}"
    raise_all([*_name_faults(names, place), *_width_faults(rows, len(names), dialect, source)])
    return names


def _name_faults(names: Sequence[str], place: str) -> list[str]:
    if 2 * sum(bool(NUMBERS["."].fullmatch(name)) for name in names) >= len(names):
        return [f"{place}: the first line must name the columns; got numbers"]
    empty = [f"{place}: column {i} has no name" for i, name in enumerate(names, start=1) if not name]
    long = [
        f"{place}: the name of column {i} must be one line of at most {LONGEST_NAME} characters"
        for i, name in enumerate(names, start=1)
        if len(name) > LONGEST_NAME or len(name.splitlines()) > 1
    ]
    twice = [
        f"{place}: column {short(name)} stands {count} times; give each column a name of its own"
        for name, count in Counter(names).items()
        if name and count > 1
    ]
    return [*empty, *long, *twice]


def _width_faults(rows: Sequence[Record], wanted: int, dialect: Dialect, source: str) -> list[str]:
    return [
        f"{source}:{row.line}: {_count(len(row.fields))}, but the header has {wanted}; "
        f"{_width_advice(row.fields, wanted, dialect.delimiter)}"
        for row in rows
        if len(row.fields) != wanted
    ]


def _count(fields: int) -> str:
    return "1 field" if fields == 1 else f"{fields} fields"


def _width_advice(fields: Sequence[str], wanted: int, delimiter: str) -> str:
    if len(fields) == 1:
        return "remove footnotes from below the table, or complete the row"
    if len(fields) < wanted:
        return "a cell or a separator is missing"
    tail = [cell.lstrip("+-") for cell in fields[1:]]
    if delimiter == "," and all(DIGITS.fullmatch(cell) for cell in tail):
        return "it looks like decimal commas: write decimal points, or separate the cells by ';'"
    return f"put a label that holds '{delimiter}' in quotes".replace("\t", "\\t")


def _check_known(wanted: Sequence[str], names: Sequence[str], source: str) -> None:
    raise_all(
        [
            f'{source}: no column "{printable(name)}"{suggest(name, names)}'
            for name in wanted
            if name not in names
        ]
    )


def _table(
    names: Sequence[str],
    rows: Sequence[Record],
    *,
    source: str,
    decimal: str,
    na_values: Sequence[str],
    text: Sequence[str],
) -> Table:
    cells = {name: [row.fields[i] for row in rows] for i, name in enumerate(names)}
    columns: dict[str, Column] = {name: np.array(cells[name], dtype=str) for name in names}
    faults: list[tuple[int, str]] = []
    for name in names:
        if name in text:
            continue
        columns[name], wrong = read_column(cells[name], name=name, decimal=decimal, na_values=na_values)
        for row, must, advice in wrong:
            place = f'{source}:{rows[row].line}{_study(cells, text, row)} column "{printable(name)}"'
            faults.append((row, f"{place}: {must}; got {short(cells[name][row])}. {advice}"))
    raise_all([sentence for _, sentence in sorted(faults, key=lambda fault: fault[0])])
    return Table(columns, source, tuple(row.line for row in rows))


def _study(cells: Mapping[str, Sequence[str]], text: Sequence[str], row: int) -> str:
    return f' study "{printable(cells[text[0]][row])}"' if text else ""


def _notes(source: str, sniffed: Dialect | None, blank: int) -> tuple[tuple[str, str], ...]:
    notes = []
    if sniffed is not None and sniffed != Dialect(",", "."):
        mark = sniffed.delimiter.replace("\t", "\\t")
        told = f'read with delimiter = "{mark}" and decimal = "{sniffed.decimal}"'
        notes.append(("csv-dialect", f"{source}: {told}, as found out from the file"))
    if blank:
        rows = "1 row without any content was" if blank == 1 else f"{blank} rows without any content were"
        notes.append(("blank-rows", f"{source}: {rows} passed over"))
    return tuple(notes)
