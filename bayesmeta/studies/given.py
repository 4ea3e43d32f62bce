"""Effects that come ready-made, with standard errors, variances or a covariance matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import AnalysisError, DataError
from bayesmeta.studies.numbers import read_numbers, sentences
from bayesmeta.tables import is_number, number_text, raise_all, shown

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.studies.numbers import Problem
    from bayesmeta.studies.rows import Gathered, Note, Rows

AGREEMENT = 1e-6
"""Relative difference at which two variances of one study contradict each other."""

POWERS: dict[str, int] = {"sei": 2, "vi": 1}
"""Power of a standard error, and of a variance, that is the variance."""

LARGEST_RATIO = 1e3
LARGEST_OFFSET = 1e8


class GivenEffects(NamedTuple):
    """Effects and what is known of their errors."""

    yi: Floats
    """(k,) effects."""
    vi: Floats
    """(k,) sampling variances."""
    V: Floats | None
    """(k, k) sampling covariance, None when it is diagonal."""
    ni: Floats | None
    """(k,) sample sizes, where known."""


def read_effects(rows: Rows, gathered: Gathered, V: object) -> GivenEffects:
    """Return effects, variances and sample sizes of the chosen rows.

    Parameters
    ----------
    rows : Rows
        Rows to read.
    gathered : Gathered
        The caller's table and names: ``yi``, ``sei`` or ``vi``, perhaps ``ni``.
    V : (n, n) array_like or None
        Sampling covariance of all rows of the caller's table.

    Raises
    ------
    AnalysisError
        If none of ``sei``, ``vi`` and `V` was given.
    DataError
        Naming every cell that cannot be true.
    """
    names: dict[str, str] = gathered.names
    if "yi" not in names:
        raise AnalysisError("effects need yi=, one effect for each study; got none")
    if "sei" not in names and "vi" not in names and V is None:
        raise AnalysisError("effects need sei= (standard errors), vi= (variances) or V= (covariance matrix)")
    wanted = [name for name in ("yi", "sei", "vi", "ni") if name in names]
    numbers, problems = read_numbers(rows, names, wanted)
    covariance = None if V is None else _covariance(V, rows, gathered.table.n)
    variances = {name: numbers[name] ** power for name, power in POWERS.items() if name in numbers}
    if covariance is not None:
        variances["V"] = covariance.diagonal()
    raise_all(sentences([*problems, *_contradictions(rows, names, variances)]))
    if covariance is not None:
        covariance = _checked_covariance(rows, covariance)
    vi = variances.get("vi", next(iter(variances.values())))
    diagonal = covariance is None or not np.any(covariance - np.diag(covariance.diagonal()))
    return GivenEffects(numbers["yi"], vi, None if diagonal else covariance, numbers.get("ni"))


def effect_notes(yi: Floats, vi: Floats) -> tuple[Note, ...]:
    """Return what is odd about a set of effects.

    Parameters
    ----------
    yi, vi : (k,) array
        Effects and variances; NaN where there is no estimate.
    """
    y, se = yi[np.isfinite(yi)], np.sqrt(vi[np.isfinite(yi)])
    notes = []
    if y.size and se.max() > LARGEST_RATIO * se.min():
        ratio = number_text(float(f"{se.max() / se.min():.3g}"))
        text = f"the largest standard error is {ratio} times the smallest; are all studies in the same unit?"
        notes.append(("se-ratio", text))
    if y.size > 1 and not np.any(y):
        notes.append(("all-zero", "every effect is 0; do zeros stand for missing values?"))
    elif y.size > 1 and np.all(y == y[0]):
        notes.append(("identical-effects", f"every effect is {number_text(float(y[0]))}; were they copied?"))
    if y.size and np.abs(y).max() > LARGEST_OFFSET * se.min():
        text = "effects are more than 1e8 standard errors away from 0; are they effects at all?"
        notes.append(("large-offset", text))
    return tuple(notes)


EFFECT_NOTES = frozenset({"se-ratio", "all-zero", "identical-effects", "large-offset"})
"""Identifiers of the notes of `effect_notes`, which are made anew for a subset of studies."""


def _contradictions(rows: Rows, names: dict[str, str], variances: dict[str, Floats]) -> list[Problem]:
    problems = []
    (first, reference), *others = variances.items()
    for name, variance in others:
        differs = np.abs(variance - reference) > AGREEMENT * reference
        for row in np.flatnonzero(differs).tolist():
            values = f"{_origin(name)} is {variance[row]:.6g} but {_origin(first)} is {reference[row]:.6g}"
            column = names.get(first, first)
            text = rows.problem(
                row, column, f"{values}, and they must be equal", advice="Give only one of the two"
            )
            problems.append((row, text))
    return problems


def _origin(name: str) -> str:
    return {"sei": "sei^2", "vi": "vi", "V": "the diagonal of V"}[name]


def _covariance(V: object, rows: Rows, n: int) -> Floats:
    if isinstance(V, np.ma.MaskedArray):
        raise DataError("V is a masked array; fill the masked cells or leave their rows out")
    matrix = _numbers(V)
    if matrix.shape != (n, n):
        raise DataError(f"V must have one row and one column a study, shape ({n}, {n}); got {matrix.shape}")
    return matrix[np.ix_(rows.positions, rows.positions)]


def _numbers(V: object) -> Floats:
    try:
        given = np.asarray(V)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"V must be a matrix of numbers; got {type(V).__name__}") from error
    if given.dtype.kind not in "fiu":
        strange = [item for item in given.ravel().tolist() if not (item is None or is_number(item))]
        if strange:
            raise DataError(f"V must be a matrix of numbers; {shown(str(strange[0]))} is in it")
    return given.astype(np.float64)


def _checked_covariance(rows: Rows, V: Floats) -> Floats:
    slab = rows.slab
    if not np.all(np.isfinite(V)):
        places = np.argwhere(~np.isfinite(V)).tolist()
        raise_all([f'V must hold numbers; "{slab[i]}" with "{slab[j]}" is {V[i, j]}' for i, j in places])
    raise_all(
        [
            f'V must have a positive diagonal; the variance of "{label}" is {variance:.6g}'
            for label, variance in zip(slab, V.diagonal(), strict=True)
            if variance <= 0
        ]
    )
    scale = np.sqrt(np.outer(V.diagonal(), V.diagonal()))
    places = np.argwhere(np.triu(np.abs(V - V.T) > AGREEMENT * scale)).tolist()
    raise_all(
        [
            f'V must be symmetric; "{slab[i]}" with "{slab[j]}" is {V[i, j]:.6g}, the other way {V[j, i]:.6g}'
            for i, j in places
        ]
    )
    symmetric = (V + V.T) / 2
    smallest = float(np.linalg.eigvalsh(symmetric / scale).min())
    if smallest <= V.shape[0] * np.finfo(float).eps:
        raise DataError(
            "V must be positive definite; the smallest eigenvalue of its correlation matrix is"
            f" {smallest:.3g}. Check the assumed correlations"
        )
    return symmetric
