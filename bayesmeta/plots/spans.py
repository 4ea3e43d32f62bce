"""Estimates with their intervals, on the reported scale: ratios are exponentiated."""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from bayesmeta.results.tables import Row as Numbers
    from bayesmeta.studies import Studies

LARGEST_LOG = 700.0


class Span(NamedTuple):
    """An estimate with its interval, on the reported scale."""

    centre: float
    """Observed effect, or posterior median."""
    lower: float
    """Lower bound."""
    upper: float
    """Upper bound."""


def reported(studies: Studies, values: tuple[float, float, float] | Span) -> Span:
    """Return an estimate and its bounds on the reported scale."""
    if not studies.is_ratio:
        return Span(*values)
    return Span(*(exp(min(value, LARGEST_LOG)) for value in values))


def span_of(studies: Studies, row: Numbers) -> Span:
    """Return median and interval of a row of a summary on the reported scale."""
    return reported(studies, (row["median"], row["lower"], row["upper"]))
