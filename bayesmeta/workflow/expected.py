"""Known answers: what a run was expected to find, beside what it found."""

from __future__ import annotations

import re
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.analysis_options import Expected

POSITION = re.compile(r"\[(\d+)\]")


def verdict(expected: Expected, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a known answer beside the computed one.

    Parameters
    ----------
    expected : Expected
        Path, value and tolerance. With ``invert`` the computed number is inverted first, for sources that
        compare in the other direction.
    content : mapping
        What ``results.json`` holds.
    """
    found = lookup(content, expected.quantity)
    value = nan if found is None else float(found)
    computed = 1 / value if expected.invert and value else value
    return {
        "quantity": expected.quantity,
        "value": expected.value,
        "tolerance": expected.tolerance,
        "source": expected.source,
        "invert": expected.invert,
        "computed": computed,
        "ok": isfinite(computed) and abs(computed - expected.value) <= expected.tolerance,
    }


def lookup(content: Any, path: str) -> float | None:
    """Return the number at a dotted path; None if there is none.

    Parameters
    ----------
    content : mapping, list or number
        What ``results.json`` holds.
    path : str
        Keys joined by dots; keys may hold dots themselves. An item of a list is ``name.0`` or ``name[0]``.

    Examples
    --------
    >>> lookup({"probabilities": {"mu > 0.02": 0.9}}, "probabilities.mu > 0.02")
    0.9
    """
    if not path:
        return content if isinstance(content, int | float) and not isinstance(content, bool) else None
    if isinstance(content, list):
        return _item(content, path)
    if not isinstance(content, dict):
        return None
    for key in content:
        if path.startswith(key) and path[len(key) :][:1] in {"", ".", "["}:
            found = lookup(content[key], path[len(key) :].removeprefix("."))
            if found is not None:
                return found
    return None


def _item(content: list[Any], path: str) -> float | None:
    head, _, rest = POSITION.sub(r"\1", path, count=1).partition(".")
    return lookup(content[int(head)], rest) if head.isdecimal() and int(head) < len(content) else None
