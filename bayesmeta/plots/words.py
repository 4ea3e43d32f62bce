"""Words and numbers as figures show them: cleaned, shortened, wrapped, measured."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from math import floor, isfinite, isinf, isnan, log10
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import printable
from bayesmeta.plots.fonts import fonts, missing_glyphs_allowed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FINEST = 6
"""Decimals beyond which numbers are written with a power of ten."""
LARGEST = 1e7
SLACK = 1.03
"""By how much text may come out wider than its outlines."""
KIND_NAMES = {"eti": "equal-tailed", "hdi": "shortest"}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clean(text: str) -> str:
    """Return text from users on one line, without signs that no file of text may hold."""
    kept = "".join(
        sign for sign in str(text) if unicodedata.category(sign) != "Cs" and sign not in "\ufffe\uffff"
    )
    return printable(" ".join(kept.split()))


def capital(text: str) -> str:
    """Return text that begins like a heading; a first word with capitals of its own stays as it is."""
    text = clean(text)
    first = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if first.islower() else text


def percent(prob: float) -> str:
    """Return a level such as ``95%``."""
    return f"{100 * prob:.10g}%"


def interval_name(prob: float, kind: str) -> str:
    """Return level and kind of an interval, such as ``95% equal-tailed interval``."""
    return f"{percent(prob)} {KIND_NAMES[kind]} interval"


def decimals_for(half_widths: Iterable[float]) -> int:
    """Return how many decimals intervals of these half-widths deserve: two digits of them, or three.

    Below 0 where even whole numbers say too much.
    """
    usable = [width for width in half_widths if isfinite(width) and width > 0]
    if not usable:
        return 2
    exponent = floor(log10(float(np.median(usable))))
    return max(1 - exponent, 1) if exponent <= 1 else 1 - exponent


def number_text(value: float, decimals: int) -> str:
    """Return a number with that many decimals and a true minus sign."""
    if isnan(value):
        return "does not exist"
    if isinf(value):
        return "∞" if value > 0 else "−∞"
    if decimals > FINEST or abs(value) >= LARGEST:
        digits = floor(log10(abs(value))) + decimals if value else 1
        return scientific(value, min(max(digits, 1), 15))
    text = f"{value:.{max(decimals, 0)}f}"
    return (text.removeprefix("-") if float(text) == 0 else text).replace("-", "−")


def ratio_text(value: float) -> str:
    """Return a ratio with two or three digits that matter."""
    if isnan(value) or isinf(value):
        return number_text(value, 2)
    if value != 0 and not 0.0095 <= value < 1e5:
        return scientific(value)
    decimals = next(n for limit, n in ((0.0995, 3), (9.995, 2), (99.95, 1), (np.inf, 0)) if value < limit)
    return f"{value:.{decimals}f}"


def scientific(value: float, digits: int = 1) -> str:
    """Return a number as ``1.2×10³``, with that many digits after the point."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}×10{str(int(exponent)).translate(_RAISED)}".replace("-", "−")


def bounded(probability: float, sign: str = "") -> str:
    """Return a probability with three decimals, `sign` before it, or a bound where they would say 0 or 1."""
    if probability > 0.999:
        return "> 0.999"
    if probability < 0.001:
        return "< 0.001"
    return f"{sign}{probability:.3f}"


@lru_cache(maxsize=20_000)
def width_of(text: str, size: float, weight: str = "normal", style: str = "normal") -> float:
    """Return the width of a line of text in points, never less than any font would need for wide signs."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=list(fonts()), size=size, weight=weight, style=style)  # type: ignore[arg-type]
    with missing_glyphs_allowed():
        width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    wide = sum(unicodedata.east_asian_width(sign) in {"W", "F"} for sign in text)
    return SLACK * (float(width) + 0.4 * size * wide)


def widest(texts: Iterable[str], size: float, weight: str = "normal") -> float:
    """Return the width of the widest text in points; 0 for none."""
    return max((width_of(text, size, weight) for text in texts), default=0.0)


def shortened(text: str, room: float, size: float, weight: str = "normal", style: str = "normal") -> str:
    """Return text that fits into `room` points, its end replaced by an ellipsis if need be."""
    text = clean(text)
    if width_of(text, size, weight, style) <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = width_of(text[:middle].rstrip() + "…", size, weight, style) <= room
        low, high = (middle, high) if fits else (low, middle - 1)
    return text[:low].rstrip() + "…"


def wrapped(text: str, room: float, size: float) -> Sequence[str]:
    """Return the lines of a text that is broken between words to fit into `room` points."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(shortened(word, room, size))
    return lines
