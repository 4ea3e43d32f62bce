"""`Studies`: effects, errors, moderators and arms of a set of studies, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.effectsizes import find_measure
from bayesmeta.errors import AnalysisError, DataError, suggest
from bayesmeta.studies.given import EFFECT_NOTES, effect_notes, read_effects
from bayesmeta.studies.parts import frozen, numbers, places, plain, restored, same
from bayesmeta.studies.rows import choose_rows, distinct, gather, moderators
from bayesmeta.tables import check_indexes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.studies.rows import Note
    from bayesmeta.tables import Column

DIRECTIONS = ("", "higher", "lower")


def _none() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Studies:
    """Effects of k studies, on the analysis scale, with everything that is known about them.

    Built by `effect_sizes` from arms, or by `Studies.from_effects`; the constructor itself only checks
    that the parts fit together.

    Attributes
    ----------
    slab : tuple of str
        Labels, all different.
    yi : (k,) array
        Effects on the analysis scale (logs for ratios); NaN only where `estimable` is False.
    vi : (k,) array
        Sampling variances, in squared units of yi.
    measure : str
        Name in `bayesmeta.effectsizes.MEASURES`; ``"GEN"`` for effects of unknown kind.
    units : str
        Units of the effect.
    columns : mapping of str to (k,) array
        Moderators: the other columns of the caller's table, as float64 or str.
    arms : mapping of str to (k,) array
        Arm data under metafor's names; empty when effects were given.
    estimable : (k,) bool array
        Studies with an estimate; the others take part only through their counts.
    ni : (k,) array or None
        Total sample sizes.
    V : (k, k) array or None
        Sampling covariance, when it is not diagonal.
    better : {"", "higher", "lower"}
        Direction that favours group 1.
    group1, group2 : str
        Names of the groups.
    excluded : tuple of (str, str)
        Label and reason of every study left out of inverse-variance pooling.
    notes : tuple of (str, str)
        Identifier and text of every warning from building this value.

    Raises
    ------
    AnalysisError
        If the measure or the direction is unknown.
    DataError
        If the parts do not fit together.

    Examples
    --------
    >>> studies = Studies.from_effects([0.1, 0.2], sei=[0.05, 0.1], slab=["Yu 2023", "Zhu 2023"])
    >>> studies.k, studies.sei.tolist()
    (2, [0.05, 0.1])
    """

    slab: tuple[str, ...]
    yi: Floats
    vi: Floats
    measure: str = "GEN"
    units: str = ""
    columns: Mapping[str, Column] = field(default_factory=_none)
    arms: Mapping[str, Floats] = field(default_factory=_none)
    estimable: Bools = None  # type: ignore[assignment]
    ni: Floats | None = None
    V: Floats | None = None
    better: str = ""
    group1: str = "treatment"
    group2: str = "control"
    excluded: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        for name, value in _frozen_parts(self).items():
            object.__setattr__(self, name, value)
        _check(self)

    def __reduce__(self) -> tuple[type[Studies], tuple[Any, ...]]:
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        values.update(columns=dict(self.columns), arms=dict(self.arms))
        return Studies, tuple(values.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Studies):
            return NotImplemented
        return all(same(getattr(self, part.name), getattr(other, part.name)) for part in fields(self))

    def __hash__(self) -> int:
        return hash((self.slab, self.measure, (np.nan_to_num(self.yi) + 0.0).tobytes()))

    def __repr__(self) -> str:
        units = f", {self.units}" if self.units else ""
        moderators = ", ".join(self.columns) or "no moderators"
        return f"<Studies: {self.k} studies, {self.measure}{units}; {moderators}>"

    @classmethod
    def from_effects(
        cls,
        yi: ArrayLike | str,
        *,
        sei: ArrayLike | str | None = None,
        vi: ArrayLike | str | None = None,
        V: ArrayLike | None = None,
        slab: Sequence[str] | str | None = None,
        data: object = None,
        measure: str = "GEN",
        units: str = "",
        ni: ArrayLike | str | None = None,
        better: str = "",
        group1: str = "treatment",
        group2: str = "control",
        missing: str = "error",
        exclude: Iterable[str] = (),
        allow_total_rows: bool = False,
    ) -> Studies:
        """Return studies from effects and their standard errors, variances or covariance.

        Parameters
        ----------
        yi : (k,) array_like or str
            Effects on the analysis scale (logs for ratios), or the column of `data` that has them.
        sei, vi : (k,) array_like or str, optional
            Standard errors, or sampling variances.
        V : (k, k) array_like, optional
            Sampling covariance, symmetric and positive definite.
        slab : sequence of str or str, optional
            Labels; those that occur twice are numbered, those above 200 characters are cut.
        data : DataFrame, mapping or Table, optional
            Moderators, row by row. Rows count by position; Series with different indexes are refused.
        measure : str
            Kind of effect.
        units : str
            Units of the effect.
        ni : (k,) array_like or str, optional
            Total sample sizes.
        better : {"", "higher", "lower"}
            Direction that favours group 1.
        group1, group2 : str
            Names of the groups.
        missing : {"error", "drop"}
            What happens to rows without an effect, its error or a sample size that was asked for.
        exclude : iterable of str
            Labels of studies to leave out.
        allow_total_rows : bool
            Accept rows labelled "Total", "Overall" and the like.

        Raises
        ------
        AnalysisError
            If an option is wrong.
        DataError
            Naming every cell that cannot be true.
        """
        given = {"yi": yi, "sei": sei, "vi": vi, "ni": ni, "slab": slab}
        find_measure(measure)
        check_indexes({"data": data, **given, "V": V})
        gathered = gather(data, given)
        needed = [name for name in ("yi", "sei", "vi", "ni") if name in gathered.names]
        rows = choose_rows(
            gathered, needed=needed, missing=missing, exclude=exclude, allow_total_rows=allow_total_rows
        )
        effects = read_effects(rows, gathered, V)
        return cls(
            slab=rows.slab,
            yi=effects.yi,
            vi=effects.vi,
            measure=measure,
            units=units,
            columns=moderators(rows, gathered),
            ni=effects.ni,
            V=effects.V,
            better=better,
            group1=group1,
            group2=group2,
            excluded=rows.excluded,
            notes=(*rows.notes, *effect_notes(effects.yi, effects.vi)),
        )

    @property
    def k(self) -> int:
        """Number of studies, those without an estimate included."""
        return len(self.slab)

    @property
    def sei(self) -> Floats:
        """(k,) standard errors, in the units of yi."""
        return np.asarray(np.sqrt(self.vi))

    @property
    def is_ratio(self) -> bool:
        """Whether effects are logarithms, to be reported exponentiated too."""
        return find_measure(self.measure).log

    @property
    def effect_label(self) -> str:
        """Name of the reported quantity, such as ``"Odds ratio"``."""
        return find_measure(self.measure).label

    @property
    def analysis_label(self) -> str:
        """Name of the effect on the analysis scale, such as ``"Log odds ratio"``."""
        return find_measure(self.measure).analysis_label

    @property
    def data(self) -> pd.DataFrame:
        """Labels and moderators as a DataFrame."""
        import pandas as pd

        others = {name: column for name, column in self.columns.items() if name != "slab"}
        return pd.DataFrame({"slab": list(self.slab), **others})

    def to_frame(self) -> pd.DataFrame:
        """Return labels, effects, standard errors and moderators as a DataFrame.

        Moderators called ``slab``, ``yi`` or ``sei`` are left to `columns`.
        """
        import pandas as pd

        own = {"slab": list(self.slab), "yi": self.yi, "sei": self.sei}
        others = {name: column for name, column in self.columns.items() if name not in own}
        return pd.DataFrame({**own, **others})

    def take(self, which: ArrayLike) -> Studies:
        """Return some of the studies, in the order asked for.

        Parameters
        ----------
        which : array_like of int or (k,) array_like of bool
            Places counted from 0, or a mask. Studies asked for twice get numbered labels.

        Raises
        ------
        DataError
            If none is asked for, or a place does not exist.
        """
        rows = places(np.asarray(which), self.k)
        yi, vi = self.yi[rows], self.vi[rows]
        kept = tuple(note for note in self.notes if note[0] not in EFFECT_NOTES)
        return replace(
            self,
            slab=distinct([self.slab[row] for row in rows.tolist()]),
            yi=yi,
            vi=vi,
            columns={name: column[rows] for name, column in self.columns.items()},
            arms={name: column[rows] for name, column in self.arms.items()},
            estimable=self.estimable[rows],
            ni=None if self.ni is None else self.ni[rows],
            V=None if self.V is None else self.V[np.ix_(rows, rows)],
            notes=(*kept, *effect_notes(yi, vi)),
        )

    def without(self, i: int) -> Studies:
        """Return all studies but the one at place `i`, counted from 0."""
        if not -self.k <= i < self.k:
            raise DataError(f"there are {self.k} studies; got place {i}")
        return self.take(np.delete(np.arange(self.k), i))

    def pooled(self) -> Studies:
        """Return the studies that have an estimate.

        Raises
        ------
        DataError
            If none has one.
        """
        if not self.estimable.any():
            raise DataError(
                f"no study has an estimate of the {self.analysis_label.lower()}; {_reasons(self)}"
            )
        return self if self.estimable.all() else self.take(self.estimable)

    def to_dict(self) -> dict[str, Any]:
        """Return the content as numbers, texts, lists and dicts that JSON can hold; None stands for NaN."""
        arrays = {name: plain(getattr(self, name)) for name in ("yi", "vi", "estimable", "ni", "V")}
        mappings = {
            name: {key: plain(column) for key, column in getattr(self, name).items()} for name in MAPPINGS
        }
        pairs = {name: [list(pair) for pair in getattr(self, name)] for name in ("excluded", "notes")}
        texts = {name: getattr(self, name) for name in ("measure", "units", "better", "group1", "group2")}
        return {"slab": list(self.slab), **texts, **arrays, **mappings, **pairs}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Studies:
        """Return the studies that `to_dict` wrote.

        Parameters
        ----------
        content : mapping
            What `to_dict` returned, also after a journey through JSON.

        Raises
        ------
        DataError
            If something is missing or unknown in it.
        """
        known = {part.name for part in fields(cls)}
        if set(content) != known:
            wrong = sorted(set(content) ^ known)
            raise DataError(f"not a dictionary of studies; missing or unknown: {', '.join(map(str, wrong))}")
        parts = dict(content)
        for name in MAPPINGS:
            parts[name] = {key: restored(values) for key, values in content[name].items()}
        for name in ("excluded", "notes"):
            parts[name] = tuple((str(first), str(second)) for first, second in content[name])
        parts.update(
            {name: None if content[name] is None else numbers(content[name]) for name in ("ni", "V")}
        )
        parts.update(slab=tuple(content["slab"]), yi=numbers(content["yi"]), vi=numbers(content["vi"]))
        return cls(**parts)


MAPPINGS = ("columns", "arms")


def _frozen_parts(studies: Studies) -> dict[str, Any]:
    estimable = np.full(len(studies.slab), True) if studies.estimable is None else studies.estimable
    mask = np.array(estimable, dtype=bool)
    mask.flags.writeable = False
    optional = {name: getattr(studies, name) for name in ("ni", "V")}
    return {
        "slab": tuple(studies.slab),
        "yi": readonly(studies.yi),
        "vi": readonly(studies.vi),
        "columns": MappingProxyType({name: frozen(column) for name, column in studies.columns.items()}),
        "arms": MappingProxyType({name: readonly(column) for name, column in studies.arms.items()}),
        "estimable": mask,
        **{name: None if value is None else readonly(value) for name, value in optional.items()},
        "excluded": tuple(studies.excluded),
        "notes": tuple(studies.notes),
    }


def _check(studies: Studies) -> None:
    find_measure(studies.measure)
    if studies.better not in DIRECTIONS:
        hint = suggest(studies.better, DIRECTIONS)
        raise AnalysisError(f"better must be 'higher', 'lower' or ''; got '{studies.better}'{hint}")
    _check_shapes(studies)
    if len(set(studies.slab)) < studies.k:
        raise DataError(
            "labels must differ from one another; Studies.from_effects and effect_sizes number them"
        )
    usable = np.isfinite(studies.yi) & (studies.vi > 0) & np.isfinite(studies.vi)
    if np.any(studies.estimable & ~usable):
        raise DataError("an estimable study must have a finite effect and a finite variance > 0")
    if not studies.estimable.all() and not studies.arms:
        raise DataError("only a study with arm data may be without an estimate")


def _check_shapes(studies: Studies) -> None:
    k = studies.k
    if k == 0:
        raise DataError("no studies are left")
    vectors = {"yi": studies.yi, "vi": studies.vi, "estimable": studies.estimable, "ni": studies.ni}
    vectors = {**vectors, **studies.columns, **studies.arms}
    for name, vector in vectors.items():
        if vector is not None and vector.shape != (k,):
            raise DataError(
                f"{name} must have one value for each of the {k} studies; got shape {vector.shape}"
            )
    if studies.V is not None and studies.V.shape != (k, k):
        raise DataError(f"V must have shape ({k}, {k}); got {studies.V.shape}")


def _reasons(studies: Studies) -> str:
    return "; ".join(dict.fromkeys(reason for _, reason in studies.excluded)) or "every row is without one"
