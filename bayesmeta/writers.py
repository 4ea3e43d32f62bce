"""Strict JSON, and CSV that no spreadsheet runs as a formula."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

ABSENT = "does_not_exist"
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of a text that a spreadsheet may run."""


def json_text(content: object) -> str:
    """Return `content` as strict JSON: no NaN, no Infinity, every digit of every number.

    Parameters
    ----------
    content : object
        Mappings with text keys, sequences, arrays, numbers, texts, booleans, None.

    Notes
    -----
    A number that is not finite becomes null, and the object that holds it gets ``"does_not_exist"``, the list
    of the names of such numbers; items of a list are named ``"values[3]"``. The order of keys is kept.

    Raises
    ------
    TypeError
        If something else is in `content`.

    Examples
    --------
    >>> print(json_text({"mu": {"mean": float("nan"), "median": 0.1}}))
    {
      "mu": {
        "mean": null,
        "median": 0.1,
        "does_not_exist": [
          "mean"
        ]
      }
    }
    """
    return json.dumps(_strict(content), indent=2, ensure_ascii=False, allow_nan=False)


def dump_json(content: object, path: str | os.PathLike[str]) -> None:
    """Write `content` as strict JSON; see `json_text`.

    Raises
    ------
    TypeError
        If `content` holds something that JSON cannot.
    OSError
        If the file cannot be written.
    """
    Path(path).write_bytes(f"{json_text(content)}\n".encode("utf-8", "backslashreplace"))


def csv_text(rows: Iterable[Mapping[str, object]], *, columns: Sequence[str] | None = None) -> str:
    r"""Return rows as comma-separated text.

    Parameters
    ----------
    rows : iterable of mapping
        Cells by column name. Numbers are written with every digit; a missing cell, None and a number that is
        not finite are left empty.
    columns : sequence of str, optional
        Columns and their order; by default those of all rows, in order of appearance.

    Raises
    ------
    TypeError
        If a cell is neither a number, a text, a truth value nor None.

    Notes
    -----
    A text that begins with ``= + - @``, a tab or a line break gets an apostrophe before it, because a
    spreadsheet might run it.

    Examples
    --------
    >>> csv_text([{"study": "=1+1", "yi": -0.1}])
    "study,yi\n'=1+1,-0.1\n"
    """
    kept = list(rows)
    names = list(dict.fromkeys(name for row in kept for name in row)) if columns is None else list(columns)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_guarded(name) for name in names])
    writer.writerows([[_cell(row.get(name)) for name in names] for row in kept])
    return text.getvalue()


def write_csv(
    rows: Iterable[Mapping[str, object]],
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
) -> None:
    """Write rows as comma-separated text in UTF-8; see `csv_text`.

    Raises
    ------
    TypeError
        If a cell cannot be written.
    OSError
        If the file cannot be written.
    """
    Path(path).write_bytes(csv_text(rows, columns=columns).encode("utf-8", "backslashreplace"))


def _strict(value: object) -> Any:
    if isinstance(value, Mapping):
        return _strict_object(value)
    plain = _plain(value)
    if isinstance(plain, list):
        return [_strict(item) for item in plain]
    return None if _is_absent(plain) else plain


def _strict_object(content: Mapping[Any, object]) -> dict[str, Any]:
    for key in content:
        if not isinstance(key, str):
            raise TypeError(f"a key of JSON must be text; got {key!r}")
    kept = {key: _strict(value) for key, value in content.items() if key != ABSENT}
    absent = [name for key, value in content.items() for name in _absent(key, value)]
    known = _plain(content[ABSENT]) if ABSENT in content else []
    names = list(dict.fromkeys([*known, *absent]))
    return {**kept, ABSENT: names} if names else kept


def _absent(name: str, value: object) -> list[str]:
    if isinstance(value, Mapping):
        return []
    plain = _plain(value)
    if isinstance(plain, list):
        return [found for i, item in enumerate(plain) for found in _absent(f"{name}[{i}]", item)]
    return [name] if _is_absent(plain) else []


def _is_absent(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _plain(value: object) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Sequence | set | frozenset) and not isinstance(
        value, bytes | bytearray | memoryview
    ):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    raise TypeError(f"JSON holds numbers, texts, lists and mappings; got {type(value).__name__}")


def _cell(value: object) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    if plain is None or _is_absent(plain):
        return ""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, int | float):
        return repr(plain)
    if isinstance(plain, str):
        return _guarded(plain)
    raise TypeError(f"a cell must be a number, a text or nothing; got {type(value).__name__}")


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_SIGNS) else text
