"""Variance inflation: how much of the uncertainty of a moderator is due to the other moderators.

References
----------
Fox J, Monette G (1992). Generalized collinearity diagnostics. J Am Stat Assoc 87:178-183.
doi:10.1080/01621459.1992.10475190
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.classical.analysis import classical
from bayesmeta.design import build_design
from bayesmeta.errors import ModelError
from bayesmeta.formula import Formula

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.design import Design
    from bayesmeta.studies import Studies


class VarianceInflation(NamedTuple):
    """Variance inflation of the coefficients of one term."""

    term: str
    """Term of the formula."""
    df: int
    """Number of its coefficients."""
    gvif: float
    """Factor by which the other terms enlarge the squared volume of its confidence region; the VIF of one
    coefficient."""
    gsif: float
    """``gvif ** (1 / (2 df))``: the same as a factor on the width of an interval."""


def variance_inflation(
    studies: Studies, mods: str | Design, *, method: str = "REML"
) -> tuple[VarianceInflation, ...]:
    """Return the generalised variance inflation factor of each term of a meta-regression.

    Parameters
    ----------
    studies : Studies
        Effects with their sampling variances.
    mods : str or Design
        Right-hand side of the formula of the moderators.
    method : str
        Estimator of tau^2, which decides the weights.

    Raises
    ------
    ModelError
        If there are no moderators.

    Notes
    -----
    ``det R11 det R22 / det R``, R being the correlation of the coefficients without the intercept, R11 that
    of the term's and R22 that of the others' (Fox and Monette 1992).
    """
    usable = studies.pooled()
    design = mods
    if isinstance(design, str):
        design = build_design(design, usable.columns, slab=usable.slab, k=usable.k)
    if not design.formula.terms:
        raise ModelError("variance inflation needs moderators; got mods '1'; give a formula")
    cov = classical(studies, design, method=method).cov
    kept = slice(1, None) if design.intercept else slice(None)
    sd = np.sqrt(np.diag(cov)[kept])
    correlation = cov[kept, kept] / np.outer(sd, sd)
    first = 1 if design.intercept else 0
    groups = {name: np.array(columns) - first for name, columns in term_columns(design).items()}
    return tuple(_inflation(name, correlation, columns) for name, columns in groups.items())


def _inflation(name: str, correlation: Floats, columns: Floats) -> VarianceInflation:
    others = np.setdiff1d(np.arange(len(correlation)), columns)
    logs = [np.linalg.slogdet(correlation[np.ix_(part, part)])[1] for part in (columns, others)]
    log_gvif = float(sum(logs) - np.linalg.slogdet(correlation)[1])
    df = len(columns)
    return VarianceInflation(name, df, float(np.exp(log_gvif)), float(np.exp(log_gvif / (2 * df))))


def term_columns(design: Design) -> dict[str, list[int]]:
    """Return the places of the columns of each term, the intercept left out."""
    known = {"Intercept"}
    found: dict[str, list[int]] = {}
    slab = [str(i) for i in range(design.k)]
    for count, term in enumerate(design.formula.terms, start=1):
        part = Formula(design.intercept, design.formula.terms[:count])
        names = build_design(part, design.learned, slab=slab, k=design.k).names
        found[":".join(map(str, term))] = [design.names.index(name) for name in names if name not in known]
        known |= set(names)
    return found
