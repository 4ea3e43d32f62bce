"""`effect_sizes`: from the arms of trials to their effects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.effectsizes import find_measure
from bayesmeta.effectsizes.tables2x2 import double_zero
from bayesmeta.errors import AnalysisError, DataError, suggest
from bayesmeta.studies.arms import needed_columns, read_arms, sample_size
from bayesmeta.studies.doubts import kind_notes
from bayesmeta.studies.given import effect_notes
from bayesmeta.studies.rows import choose_rows, gather, moderators, quoted
from bayesmeta.studies.value import Studies
from bayesmeta.tables import is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.effectsizes import Effects, Measure
    from bayesmeta.studies.rows import Note

RECEIVERS = ("only0", "if0all", "all", "none")
ESTIMABLE_WITHOUT_EVENTS = ("RD", "AS", "IRD", "IRSD")
"""Measures of two groups that have an estimate when no group has an event."""


def effect_sizes(
    table: object,
    measure: str,
    *,
    slab: Sequence[str] | str | None = None,
    drop00: bool = False,
    add: float = 0.5,
    to: str = "only0",
    vtype: str = "LS",
    units: str = "",
    better: str = "",
    group1: str = "treatment",
    group2: str = "control",
    missing: str = "error",
    exclude: Iterable[str] = (),
    allow_total_rows: bool = False,
    **columns: ArrayLike | str | None,
) -> Studies:
    """Return studies with the effects computed from their arms.

    Parameters
    ----------
    table : DataFrame, mapping, Table or None
        One row a study. Rows count by position.
    measure : str
        metafor's abbreviation: ``MD SMD SMDH ROM CVR VR``, ``OR RR RD PETO AS PHI YUQ YUY OR2DL OR2DN``,
        ``IRR IRD IRSD``, ``MN PR PLN PLO PAS PFT IRLN COR ZCOR``.
    slab : str or sequence of str, optional
        Column of labels, or the labels; those that occur twice are numbered.
    drop00 : bool
        Leave studies without events (or with nothing but events) in both groups without an estimate. They
        stay as rows, marked in `Studies.estimable` and listed in `Studies.excluded`.
    add : float
        What is added to the cells of a table.
    to : {"only0", "if0all", "all", "none"}
        Which tables receive it: those with a zero, all if any has one, all, none.
    vtype : str
        Variance: ``LS``; also ``HO`` (MD), ``UB``, ``LS2``, ``AV`` (SMD).
    units : str
        Units of the effect.
    better : {"", "higher", "lower"}
        Direction that favours group 1.
    group1, group2 : str
        Names of the groups; effects are group 1 against group 2.
    missing : {"error", "drop"}
        What happens to rows with a missing arm cell. Nothing is ever imputed.
    exclude : iterable of str
        Labels of studies to leave out.
    allow_total_rows : bool
        Accept rows labelled "Total", "Overall" and the like.
    **columns : str or (k,) array_like
        For each of metafor's arguments (``m1i sd1i n1i m2i sd2i n2i``, ``ai n1i ci n2i`` or ``ai bi ci di``,
        ``x1i t1i x2i t2i``, ``mi sdi ni``, ``xi ni``, ``xi ti``, ``ri ni``) the column of the table, or
        values.

    Raises
    ------
    AnalysisError
        If the measure, an option or the set of columns is wrong.
    DataError
        Naming every cell that cannot be true.

    References
    ----------
    Viechtbauer W (2010). Conducting meta-analyses in R with the metafor package. J Stat Softw 36(3):1-48.
    doi:10.18637/jss.v036.i03

    Examples
    --------
    >>> trials = {"study": ["Lu 2007"], "m1": [0.677], "s1": [0.093], "m2": [0.591], "s2": [0.097]}
    >>> studies = effect_sizes(trials, "MD", slab="study", m1i="m1", sd1i="s1", n1i=[30],
    ...                        m2i="m2", sd2i="s2", n2i=[30])
    >>> studies.yi.round(3).tolist(), studies.sei.round(4).tolist()
    ([0.086], [0.0245])
    """
    kind = find_measure(measure)
    given = {name: value for name, value in columns.items() if value is not None}
    wanted = needed_columns(kind, given)
    options = _options(kind, add=add, to=to, vtype=vtype, drop00=drop00)
    gathered = gather(table, {**given, "slab": slab})
    rows = choose_rows(
        gathered, needed=wanted, missing=missing, exclude=exclude, allow_total_rows=allow_total_rows
    )
    arms = read_arms(rows, gathered.names, kind, wanted)
    effects = _estimate(kind, arms, options)
    estimable = np.isfinite(effects.yi) & (effects.vi > 0)
    yi, vi = (np.where(estimable, part, np.nan) for part in effects)
    empty = _without_contrast(kind, arms)
    _refuse_nothing_but_empty(kind, empty)
    lost = [
        (rows.slab[row], _reason(kind, empty[row], arms, row)) for row in np.flatnonzero(~estimable).tolist()
    ]
    return Studies(
        slab=rows.slab,
        yi=yi,
        vi=vi,
        measure=measure,
        units=units,
        columns=moderators(rows, gathered),
        arms=arms,
        estimable=estimable,
        ni=sample_size(arms),
        better=better,
        group1=group1,
        group2=group2,
        excluded=(*rows.excluded, *lost),
        notes=(
            *rows.notes,
            *_zero_notes(kind, arms, rows.slab, empty, estimable, add=add, to=to),
            *kind_notes(kind, rows),
            *effect_notes(yi, vi),
        ),
    )


def _options(measure: Measure, *, add: float, to: str, vtype: str, drop00: bool) -> dict[str, Any]:
    if vtype not in measure.vtypes:
        known = ", ".join(measure.vtypes)
        hint = suggest(vtype, measure.vtypes)
        raise AnalysisError(f"measure '{measure.name}' has vtype {known}; got '{vtype}'{hint}")
    if to not in RECEIVERS:
        raise AnalysisError(f"to must be one of {', '.join(RECEIVERS)}; got '{to}'{suggest(to, RECEIVERS)}")
    if not (is_number(add) and np.isfinite(add) and add >= 0):
        raise AnalysisError(f"add must be a number >= 0; got {add}")
    if not isinstance(drop00, bool):
        raise AnalysisError(f"drop00 must be True or False; got {drop00}")
    if not measure.corrects_zeros and (add, to) != (0.5, "only0"):
        raise AnalysisError(f"measure '{measure.name}' has no correction for zeros; leave out add and to")
    options: dict[str, Any] = {"add": float(add), "to": to} if measure.corrects_zeros else {}
    if measure.kind in {"table", "rates"}:
        options["drop00"] = drop00
    if len(measure.vtypes) > 1:
        options["vtype"] = vtype
    return options


def _estimate(measure: Measure, arms: Mapping[str, Floats], options: dict[str, Any]) -> Effects:
    if measure.function is None:  # refused by needed_columns
        raise AnalysisError(f"measure '{measure.name}' is not computed from arms")
    return measure.function(**{name: arms[name] for name in measure.arguments}, **options)


def _without_contrast(measure: Measure, arms: Mapping[str, Floats]) -> Bools:
    if measure.kind == "table":
        return double_zero(arms["ai"], arms["bi"], arms["ci"], arms["di"])
    if measure.kind == "rates":
        return np.asarray((arms["x1i"] == 0) & (arms["x2i"] == 0))
    return np.full(next(iter(arms.values())).shape, False)


def _refuse_nothing_but_empty(measure: Measure, empty: Bools) -> None:
    if empty.all() and measure.name not in ESTIMABLE_WITHOUT_EVENTS:
        instead = "IRD" if measure.kind == "rates" else "RD"
        raise DataError(
            f"every study has no events, or nothing but events, in both groups: the {measure.label.lower()}"
            f" cannot be estimated; use measure '{instead}'"
        )


def _reason(measure: Measure, empty: bool, arms: Mapping[str, Floats], row: int) -> str:
    if not empty:
        corrected = "no estimate without a correction for its zero cells"
        return corrected if measure.corrects_zeros else "no estimate, or one without sampling variance"
    only_events = measure.kind == "table" and arms["ai"][row] > 0
    return "nothing but events in both groups" if only_events else "no events in either group"


def _zero_notes(
    measure: Measure,
    arms: Mapping[str, Floats],
    slab: Sequence[str],
    empty: Bools,
    estimable: Bools,
    *,
    add: float,
    to: str,
) -> list[Note]:
    def labels(which: Bools) -> str:
        return quoted(slab[row] for row in np.flatnonzero(which).tolist())

    notes = []
    corrected = estimable & _receives(measure, arms, add=add, to=to)
    if corrected.any():
        remedy = "" if measure.groups == 1 else "; a likelihood for counts needs no such correction"
        notes.append(("zero-cells", f"{add:g} was added to the cells of {labels(corrected)}{remedy}"))
    if (empty & ~estimable).any():
        notes.append(
            ("double-zero", f"{labels(empty & ~estimable)}: without a contrast, left out of pooling")
        )
    invented = empty & corrected & (measure.name not in ESTIMABLE_WITHOUT_EVENTS)
    if invented.any():
        text = (
            f"{labels(invented)}: the estimate comes from the correction alone; drop00 = true leaves it out"
        )
        notes.append(("double-zero", text))
    return notes


def _receives(measure: Measure, arms: Mapping[str, Floats], *, add: float, to: str) -> Bools:
    counts = [arms[name] for name in ("ai", "bi", "ci", "di", "x1i", "x2i", "xi") if name in arms]
    if not measure.corrects_zeros or add == 0 or to == "none":
        return np.full(next(iter(arms.values())).shape, False)
    zero = np.any([count == 0 for count in counts], axis=0)
    if measure.kind == "proportion":
        zero = zero | (arms["xi"] == arms["ni"])
    return np.asarray(zero | (to == "all") | ((to == "if0all") & zero.any()))
