"""Doubts about whether the studies of a table can be pooled as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import printable
from bayesmeta.studies.rows import quoted

if TYPE_CHECKING:
    from bayesmeta.effectsizes import Measure
    from bayesmeta.studies.rows import Note, Rows

OUTCOME_KINDS = ("timepoint", "type")
"""Columns that say whether means are final values or changes."""
CORRELATED_DESIGNS = ("crossover", "cross-over", "cluster", "paired", "split-mouth")


def kind_notes(measure: Measure, rows: Rows) -> tuple[Note, ...]:
    """Return what the columns of a table say against pooling its rows as parallel groups of one outcome.

    Parameters
    ----------
    measure : Measure
        Measure that is computed from the arms.
    rows : Rows
        Rows that take part.
    """
    notes = _mixed_outcomes(rows) if measure.name in {"SMD", "SMDH"} else []
    return (*notes, *_correlated(rows)) if measure.groups == 2 else tuple(notes)


def _mixed_outcomes(rows: Rows) -> list[Note]:
    """Return a note where change scores seem to be mixed with final values: their SDs are not comparable."""
    notes = []
    for name in rows.table.columns:
        values = sorted({str(value) for value in rows.table.columns[name].tolist()})
        if name.casefold() in OUTCOME_KINDS and len(values) > 1:
            listed = ", ".join(map(printable, values))
            text = f"{printable(name)} is {listed}; standardized differences of unlike outcomes do not mix"
            notes.append(("mixed-outcomes", text))
    return notes


def _correlated(rows: Rows) -> list[Note]:
    """Return a note on crossover and cluster trials, whose arms are not independent groups of people."""
    for name, column in rows.table.columns.items():
        if name.casefold() == "design":
            found = [any(word in str(cell).casefold() for word in CORRELATED_DESIGNS) for cell in column]
            if any(found):
                labels = quoted(rows.slab[row] for row in np.flatnonzero(found).tolist())
                text = (
                    f"{labels}: not parallel groups by design, yet computed as such; give the effect with a "
                    "standard error that allows for the correlation"
                )
                return [("correlated-design", text)]
    return []
