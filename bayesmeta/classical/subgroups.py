"""Subgroup analysis and the test for differences between subgroups.

References
----------
Borenstein M, Hedges LV, Higgins JPT, Rothstein HR (2009). Introduction to Meta-Analysis, chapter 19. Wiley.
doi:10.1002/9780470743386
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.classical.analysis import classical
from bayesmeta.classical.heterogeneity import chi2_sf
from bayesmeta.classical.pooling import q_inconsistency
from bayesmeta.encoding import level_names, missing
from bayesmeta.errors import DataError, ModelError, printable, suggest
from bayesmeta.studies import Studies
from bayesmeta.tables import raise_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.classical.result import Classical


class SubgroupDifference(NamedTuple):
    """Subgroups analysed separately, each with its own tau2, and the test that they share one effect."""

    method: str
    """Method used in every subgroup."""
    groups: Mapping[str, Classical]
    """Result of each subgroup that has a study with an estimate."""
    Q: float
    """Cochran's Q of the subgroups' effects."""
    df: float
    """Number of subgroups less one."""
    p_value: float
    """Upper chi-squared probability of Q; NaN with fewer than two subgroups."""
    I2: float
    """Percentage of the variability of the subgroups' effects that is not sampling error."""

    def to_dict(self) -> dict[str, float]:
        """Return the block of ``results.json`` for the difference."""
        return {"Q": self.Q, "df": self.df, "p": self.p_value, "I2": self.I2}


def subgroup_difference(
    studies: Studies | Mapping[str, Studies],
    by: str | None = None,
    *,
    method: str = "FE",
    level: float = 0.95,
) -> SubgroupDifference:
    """Return the analysis of each subgroup and the test for differences between them.

    Parameters
    ----------
    studies : Studies or mapping of str to Studies
        All studies, to be split by the column `by`, or the subgroups by name.
    by : str, optional
        Column of the studies' table that names the subgroups.
    method : str
        As in `bayesmeta.classical.classical`; tau2 is estimated in each subgroup separately.
    level : float
        Confidence level of every interval.

    Raises
    ------
    DataError
        No such column, or a study without a value in it.
    ModelError
        Neither groups nor a column.

    Notes
    -----
    ``Q = sum (mu_g - mu)^2 / se_g^2`` over the G subgroups, chi-squared with G - 1 degrees of freedom, mu
    being their inverse-variance mean.
    """
    groups = split_studies(studies, by) if isinstance(studies, Studies) else studies
    usable = {name: group for name, group in groups.items() if group.estimable.any()}
    results = {name: classical(group, method=method, level=level) for name, group in usable.items()}
    Q, df = _q_between(results)
    return SubgroupDifference(method, results, Q, df, chi2_sf(Q, df), q_inconsistency(Q, df)[0])


def split_studies(studies: Studies, by: str | None) -> dict[str, Studies]:
    """Return the studies of each value of a column, in order of appearance.

    Parameters
    ----------
    studies : Studies
        Studies with a table of moderators.
    by : str
        Column of text or numbers.

    Raises
    ------
    DataError
        No such column, or a study without a value in it.
    ModelError
        No column named.
    """
    if by is None:
        raise ModelError("a subgroup analysis needs a column; got none; give by='column'")
    if not isinstance(by, str):
        raise ModelError(f"by must be the name of a column; got {by!r}")
    if by not in studies.columns:
        raise DataError(f"the studies have no column '{by}'{suggest(by, studies.columns)}")
    labels = _labels(studies, by)
    names = dict.fromkeys(labels)
    return {name: studies.take(np.array([label == name for label in labels])) for name in names}


def _labels(studies: Studies, by: str) -> list[str]:
    """Return the subgroup of each study as text."""
    values = studies.columns[by]
    raise_all(
        [
            f'study "{printable(studies.slab[row])}" column "{printable(by)}": a subgroup must have a name; '
            "got an empty cell; fill it in"
            for row in np.flatnonzero(missing(values)).tolist()
        ]
    )
    return level_names(values)


def _q_between(results: Mapping[str, Classical]) -> tuple[float, float]:
    """Return Q of the subgroups' effects and its degrees of freedom."""
    effects = np.array([float(result.beta[0]) for result in results.values()])
    variances = np.array([float(result.cov[0, 0]) for result in results.values()])
    defined = np.isfinite(effects) & (variances > 0)
    if not defined.any():
        return nan, 0.0
    effects, weights = effects[defined], 1 / variances[defined]
    mean = weights @ effects / weights.sum()
    return float(weights @ (effects - mean) ** 2), float(defined.sum() - 1)
