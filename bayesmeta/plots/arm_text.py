"""The arms of the studies as text."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from bayesmeta.effectsizes import find_measure
from bayesmeta.plots.words import capital, decimals_for, number_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.studies import Studies


class Columns(NamedTuple):
    """Columns of text under one heading."""

    heading: str
    """What stands above them."""
    parts: tuple[str, ...]
    """What stands above each."""


class Layout(NamedTuple):
    """Columns that show one kind of arm data."""

    parts: tuple[str, ...]
    """What stands above the columns of one arm."""
    arms: tuple[tuple[tuple[str, ...], ...], ...]
    """For each arm, for each column, the one or two numbers in it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every number that is needed."""
        return tuple(name for arm in self.arms for column in arm for name in column)


MEAN, EVENTS, TIME = ("mean (SD)", "n"), ("events", "n"), ("events", "time")
LAYOUTS = {
    "means": Layout(MEAN, ((("m1i", "sd1i"), ("n1i",)), (("m2i", "sd2i"), ("n2i",)))),
    "table": Layout(EVENTS, ((("ai",), ("n1i",)), (("ci",), ("n2i",)))),
    "rates": Layout(TIME, ((("x1i",), ("t1i",)), (("x2i",), ("t2i",)))),
    "mean": Layout(MEAN, ((("mi", "sdi"), ("ni",)),)),
    "proportion": Layout(EVENTS, ((("xi",), ("ni",)),)),
    "rate": Layout(TIME, ((("xi",), ("ti",)),)),
    "correlation": Layout(("r", "n"), ((("ri",), ("ni",)),)),
}
"""By the kind of the measure."""
MOST_DECIMALS = 3


def layout_of(studies: Studies) -> Layout | None:
    """Return how the arms are shown; None where effects were given ready-made."""
    layout = LAYOUTS.get(find_measure(studies.measure).kind)
    return layout if layout is not None and set(layout.names) <= set(studies.arms) else None


def arm_columns(studies: Studies) -> tuple[Columns, ...]:
    """Return the columns of the arm data; none where effects were given ready-made."""
    layout = layout_of(studies)
    if layout is None:
        return ()
    headings = (studies.group1, studies.group2) if len(layout.arms) == 2 else ("",)
    return tuple(Columns(capital(heading), layout.parts) for heading in headings)


def arm_cells(studies: Studies) -> list[tuple[str, ...]]:
    """Return the text of the arm columns of each study."""
    layout = layout_of(studies)
    if layout is None:
        return [()] * studies.k
    columns = [_column(studies, names) for arm in layout.arms for names in arm]
    return list(zip(*columns, strict=True))


def _column(studies: Studies, names: tuple[str, ...]) -> list[str]:
    numbers = [[float(value) for value in studies.arms[name]] for name in names]
    if len(numbers) == 1:
        return _counts(numbers[0])
    means, spreads = numbers
    decimals = decimals_for(spread / sqrt(10) for spread in spreads)
    return [
        f"{number_text(mean, decimals)} ({number_text(spread, decimals)})"
        for mean, spread in zip(means, spreads, strict=True)
    ]


def _counts(values: Sequence[float]) -> list[str]:
    """Return numbers with as many decimals as they were given, but not more than three."""
    exact = (n for n in range(MOST_DECIMALS) if all(round(value, n) == value for value in values))
    decimals = next(exact, MOST_DECIMALS)
    return [number_text(value, decimals) for value in values]
