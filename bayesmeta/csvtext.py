"""Bytes of a text file to records: its encoding, its quotes, its delimiter and its decimal mark."""

from __future__ import annotations

import codecs
import csv
import io
import re
from typing import TYPE_CHECKING, NamedTuple

from bayesmeta.csvcells import DECIMAL_COMMA, NUMBERS
from bayesmeta.errors import AnalysisError, DataError, printable, suggest
from bayesmeta.tables import UNPRINTABLE, raise_all

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIMITERS = (",", ";", "\t", "|")
DECIMALS = (".", ",")
ENCODINGS = (
    *("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "ascii", "latin-1"),
    *(f"cp{page}" for page in (437, 850, 874, 932, 936, 949, 950, *range(1250, 1259))),
    *(f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16)),
    *("mac-roman", "koi8-r", "koi8-u", "gb18030", "gbk", "gb2312", "big5", "shift_jis", "euc_jp", "euc_kr"),
)
"""Encodings that may be asked for."""

LONGEST_QUOTED_LINE = 100_000

_KNOWN = {codecs.lookup(name).name for name in ENCODINGS}
_BREAK = re.compile(r"\r\n?|\n")
_MULTIBYTE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]+")


class Record(NamedTuple):
    """One row of a text file."""

    line: int
    """Line on which it begins, counted from 1."""
    fields: list[str]
    """Its cells, without spaces around them."""


class Dialect(NamedTuple):
    """How a text file separates its cells and writes its numbers."""

    delimiter: str
    """One of `DELIMITERS`."""
    decimal: str
    """``"."`` or ``","``."""


class Limits(NamedTuple):
    """The largest table that is read; larger ones are refused before they are taken apart."""

    size: int = 50 * 2**20
    """Bytes of the file."""
    rows: int = 100_000
    """Rows, the header left out."""
    columns: int = 1_000
    """Columns."""
    cell: int = 10_000
    """Characters of a cell."""


def check_options(delimiter: str | None, decimal: str | None, encoding: str | None) -> None:
    """Raise an error if an option of a text file is not one that can be had.

    Raises
    ------
    AnalysisError
        Naming every wrong option.
    """
    faults = []
    if delimiter is not None and delimiter not in DELIMITERS:
        faults.append(f"delimiter must be one of ',', ';', '\\t', '|'; got {_shown(delimiter)}")
    if decimal is not None and decimal not in DECIMALS:
        faults.append(f"decimal must be '.' or ','; got {_shown(decimal)}")
    if delimiter is not None and delimiter == decimal:
        faults.append(f"delimiter and decimal must differ; both are '{delimiter}'")
    if encoding is not None and not _is_known(encoding):
        hint = suggest(str(encoding), ENCODINGS)
        must = "encoding must be one such as 'utf-8', 'cp1252' or 'utf-16'"
        faults.append(f"{must}; got {_shown(encoding)}{hint}")
    if faults:
        raise AnalysisError(faults)


def decode(content: bytes, *, source: str, encoding: str | None) -> str:
    """Return the text of a file.

    Parameters
    ----------
    content : bytes
        The file.
    source : str
        Its name, for messages.
    encoding : str or None
        Its encoding; None is UTF-8 with or without a byte order mark, and nothing is guessed.

    Raises
    ------
    DataError
        If the bytes are not in that encoding, or the text holds control characters.
    """
    if encoding is None and content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise DataError(_resave(source, "UTF-16", "utf-16"))
    name = encoding or "utf-8-sig"
    try:
        text = content.decode(name).removeprefix("\ufeff")
    except UnicodeError as error:
        raise DataError(_not_decodable(content, source, encoding, error)) from error
    if encoding is None and text.count("\0") * 3 > len(text):
        raise DataError(_resave(source, "UTF-16", "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"))
    _refuse_control_characters(text, source)
    return text


def find_dialect(text: str, *, source: str, delimiter: str | None, decimal: str | None) -> Dialect:
    """Return how the cells of a text are separated and how its numbers are written.

    Parameters
    ----------
    text : str
        The text.
    source : str
        Name of the file, for messages.
    delimiter, decimal : str or None
        What the user said; None is found out, where there is no doubt.

    Raises
    ------
    DataError
        If there is doubt.
    """
    found = delimiter or _find_delimiter(text, source)
    if found == decimal:
        raise DataError(f"{source}: '{found}' separates the cells, so it cannot be the decimal mark too")
    return Dialect(found, decimal or _find_decimal(text, source, found))


def records(text: str, *, source: str, delimiter: str, limits: Limits) -> list[Record]:
    """Return the records of a text, blank lines left out.

    Parameters
    ----------
    text : str
        The text.
    source : str
        Name of the file, for messages.
    delimiter : str
        What separates the cells.
    limits : Limits
        Largest table.

    Raises
    ------
    DataError
        If a quote is not closed or misplaced, or the table is larger than the limits.
    """
    _check_quotes(text, source, delimiter)
    kept: list[Record] = []
    for record in _parsed(text, source, delimiter, limits):
        if len(kept) > limits.rows:
            raise DataError(f"{source}: more rows than the limit of {limits.rows} (Limits.rows)")
        if len(record.fields) > limits.columns:
            many = f"more columns than the limit of {limits.columns} (Limits.columns)"
            raise DataError(f"{source}:{record.line}: {many}")
        if max(map(len, record.fields)) > limits.cell:
            raise DataError(_long_cell(source, record.line, limits))
        kept.append(record)
    return kept


def _parsed(text: str, source: str, delimiter: str, limits: Limits) -> Iterator[Record]:
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    begin = 1
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if len(fields) > 1 or any(fields):
                yield Record(begin, fields)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(_long_cell(source, begin, limits)) from error


def _long_cell(source: str, line: int, limits: Limits) -> str:
    return f"{source}:{line}: a cell is longer than the limit of {limits.cell} characters (Limits.cell)"


def _check_quotes(text: str, source: str, delimiter: str) -> None:
    if '"' not in text:
        return
    mark = re.escape(delimiter)
    token = re.compile(rf'"(?:[^"]|"")*+(?P<closed>")?|{mark}|\r\n?|\n|[^"\r\n{mark}]+')
    fresh, after, line, opened = True, False, 1, 1
    for match in token.finditer(text):
        piece = match[0]
        if piece.startswith('"'):
            fault = _quote_fault(fresh=fresh, closed=match["closed"] is not None)
            if fault:
                raise DataError(f"{source}:{line}: {fault}")
            fresh, after, opened = False, True, line
        elif piece == delimiter or piece[0] in "\r\n":
            fresh, after = True, False
        elif after:
            raise DataError(f"{source}:{opened}: {CLOSED_EARLY}")
        elif piece.strip(" "):
            fresh = False
        line += len(_BREAK.findall(piece))


CLOSED_EARLY = (
    "something follows the closing quote of the cell that opens on this line; put the whole cell in quotes,"
    ' with "" for every quote within'
)


def _quote_fault(*, fresh: bool, closed: bool) -> str:
    if not fresh:
        return 'a quote stands within a cell; put the cell in quotes, and write "" for the quote itself'
    if not closed:
        return 'the quote that opens on this line is never closed; close it, or write """" for an inch mark'
    return ""


def _find_delimiter(text: str, source: str) -> str:
    lines = [line for line in _BREAK.split(text) if line.strip()]
    splitting = [mark for mark in DELIMITERS if lines and len(_split(lines[0], mark)) > 1]
    if len(splitting) > 1:
        splitting = [
            mark for mark in splitting if len({len(_split(line, mark)) for line in lines}) == 1
        ] or splitting
    if len(splitting) > 1:
        marks = " or ".join(f"'{mark}'" for mark in splitting).replace("\t", "\\t")
        raise DataError(f"{source}: the cells may be separated by {marks}; say which with delimiter =")
    return splitting[0] if splitting else ","


def _split(line: str, mark: str) -> list[str]:
    if '"' not in line or len(line) > LONGEST_QUOTED_LINE:
        return line.split(mark)
    return next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])


def _find_decimal(text: str, source: str, delimiter: str) -> str:
    if delimiter == ",":
        return "."
    cells = {cell.strip(' "') for line in _BREAK.split(text)[1:] for cell in line.split(delimiter)}
    commas = [cell for cell in cells if "," in cell and NUMBERS[","].fullmatch(cell)]
    points = [cell for cell in cells if "." in cell and NUMBERS["."].fullmatch(cell)]
    if commas and not points and any(DECIMAL_COMMA.fullmatch(cell) for cell in commas):
        return ","
    if commas:
        doubt = "some numbers have a comma and some a point"
        if not points:
            doubt = "the commas in numbers may stand before thousands"
        raise DataError(f'{source}: {doubt}; say which is the decimal mark with decimal = "," or "."')
    return "."


def _refuse_control_characters(text: str, source: str) -> None:
    faults, line, last = [], 1, 0
    for match in UNPRINTABLE.finditer(text):
        line, last = line + len(_BREAK.findall(text[last : match.start()])), match.start()
        faults.append(f"{source}:{line}: a text must not hold control characters; got U+{ord(match[0]):04X}")
    raise_all(faults)


def _not_decodable(content: bytes, source: str, encoding: str | None, error: UnicodeError) -> str:
    if encoding is not None or not isinstance(error, UnicodeDecodeError):
        return f"{source}: the file is not in the encoding {_shown(encoding)}; say another with encoding ="
    line = len(re.findall(rb"\r\n?|\n", content[: error.start])) + 1
    found = f"{source}:{line}: the byte 0x{content[error.start]:02X} is not UTF-8"
    others = _MULTIBYTE.findall(content[: error.start])
    if others and all(_decodes(other, "utf-8") for other in others):
        return f"{found}, though other letters before it are; save the whole file as UTF-8"
    guess = "cp1252" if _decodes(content, "cp1252") else "latin-1"
    return f'{found}; the file may be in {guess}: save it as UTF-8, or say encoding = "{guess}"'


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeError:
        return False
    return True


def _resave(source: str, name: str, encoding: str) -> str:
    return f'{source}: the file looks like {name}; save it as UTF-8, or say encoding = "{encoding}"'


def _is_known(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name in _KNOWN
    except (LookupError, TypeError, ValueError):
        return False


def _shown(value: object) -> str:
    return f"'{printable(value)}'" if isinstance(value, str) else repr(value)
