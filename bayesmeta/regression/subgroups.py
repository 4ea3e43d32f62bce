"""Subgroups: the effect in each group of studies, with tau of its own or shared, and their differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.classical import classical, split_studies, subgroup_difference
from bayesmeta.encoding import level_names
from bayesmeta.errors import (
    AnalysisError,
    ImproperPosteriorError,
    ModelError,
    is_one_of,
    printable,
    suggest,
    told,
)
from bayesmeta.fitting import fit as make_fit
from bayesmeta.formula import Factor
from bayesmeta.model import Model
from bayesmeta.problem import check_posable, pose
from bayesmeta.regression.differences import difference
from bayesmeta.results.marginal import Marginal
from bayesmeta.results.tables import distribution_rows
from bayesmeta.sensitivity import with_priors_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

SHARING = ("separate", "shared")
CLASSICAL = {"fixed": "FE", "DL": "DL", "REML": "REML"}
"""Classical tests beside groups with a tau of their own: name and method."""
FEW = frozenset({"prior-only", "few-studies"})
"""Warnings of a fit that a group's row repeats."""


class Group(NamedTuple):
    """One group of studies."""

    slab: tuple[str, ...]
    """Labels of its studies."""
    mean: Marginal | None
    """Mean effect; None where there is no posterior."""
    fit: Fit | None
    """Answer of the group alone, with a tau of its own; None where tau is shared, or there is none."""
    reason: str
    """Why there is no posterior, or what is doubtful about it; empty otherwise."""

    @property
    def k(self) -> int:
        """Number of its studies."""
        return len(self.slab)


class DifferenceTest(NamedTuple):
    """Classical test that all groups have the same effect."""

    Q: float
    """Statistic: chi-squared, or F for Knapp-Hartung's test."""
    df: float
    """Number of groups less one."""
    p_value: float
    """Upper tail probability."""


@dataclass(frozen=True, eq=False)
class Subgroups:
    """The answers of groups of studies. Made by `bayesmeta.subgroups`.

    Attributes
    ----------
    by : str
        Column that names the groups.
    tau : {"separate", "shared"}
        Whether each group has a tau of its own.
    groups : mapping of str to Group
        The groups in the order of the studies.
    regression : Fit or None
        The regression on the groups from which shared-tau answers come.
    tests : mapping of str to DifferenceTest
        Classical tests for subgroup differences, by method.
    """

    by: str
    tau: str
    groups: Mapping[str, Group]
    regression: Fit | None
    tests: Mapping[str, DifferenceTest]

    def __repr__(self) -> str:
        return f"<Subgroups: {len(self.groups)} groups by {self.by}, tau {self.tau}>"

    @cached_property
    def pairs(self) -> Mapping[str, Marginal]:
        """Posterior of each difference between two groups, by name such as ``"B - A"``."""
        answered = [name for name, group in self.groups.items() if group.mean is not None]
        return {f"{two} - {one}": self.difference(two, one) for one, two in combinations(answered, 2)}

    def difference(self, one: str, other: str) -> Marginal:
        """Return the posterior of the effect in one group less that in another.

        Notes
        -----
        Groups with a tau of their own have independent posteriors, and the distribution of the difference is
        their exact convolution. With a shared tau it is a contrast of the regression.

        Raises
        ------
        AnalysisError
            If a group does not exist or has no posterior.
        """
        first, second = self._mean(one), self._mean(other)
        name = f"{one} - {other}"
        if self.regression is None:
            return Marginal(name, difference(first.distribution, second.distribution))
        names = self.regression.problem.coefficients
        row = np.zeros((1, len(names)))
        row[0, names.index(first.name)] += 1.0
        row[0, names.index(second.name)] -= 1.0
        return Marginal(name, self.regression.posterior.at(row, new_study=False))

    def _mean(self, name: str) -> Marginal:
        if name not in self.groups:
            hint = suggest(name, self.groups) or f"; the groups are {', '.join(self.groups)}"
            raise AnalysisError(f"there is no group '{printable(name)}'{hint}")
        group = self.groups[name]
        if group.mean is None:
            raise AnalysisError(f"the group '{printable(name)}' has no posterior: {group.reason}")
        return group.mean

    def table(self, *, prob: float = 0.95, kind: str = "eti") -> pd.DataFrame:
        """Return a row for each group.

        Parameters
        ----------
        prob : float
            Probability of the intervals.
        kind : {"eti", "hdi"}
            Equal-tailed or shortest intervals.

        Returns
        -------
        DataFrame
            Columns ``k``, ``mode median mean sd lower upper`` of the mean effect, ``tau tau_lower tau_upper``
            (median and interval) and ``note``; NaN where a group has no posterior, the note saying why.
        """
        import pandas as pd

        rows = {name: self._row(group, prob, kind) for name, group in self.groups.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis(self.by)

    def _row(self, group: Group, prob: float, kind: str) -> dict[str, Any]:
        fit = self.regression or group.fit
        if group.mean is None or fit is None:
            return {"k": group.k, "note": group.reason}
        tau = distribution_rows(fit.posterior.tau, prob=prob, kind=kind)[0]
        return {
            "k": group.k,
            **distribution_rows(group.mean.distribution, prob=prob, kind=kind)[0],
            "tau": tau["median"],
            "tau_lower": tau["lower"],
            "tau_upper": tau["upper"],
            "note": group.reason,
        }

    def differences(self, *, prob: float = 0.95, kind: str = "eti") -> pd.DataFrame:
        """Return a row for each difference between two groups.

        Parameters
        ----------
        prob, kind : float, str
            As in `table`.

        Returns
        -------
        DataFrame
            Rows such as ``B - A``; columns ``mode median mean sd lower upper`` and ``probability``, that of a
            larger effect in the group named first.
        """
        import pandas as pd

        rows = {
            name: {
                **distribution_rows(one.distribution, prob=prob, kind=kind)[0],
                "probability": 1 - one.cdf(0.0),
            }
            for name, one in self.pairs.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    def classical_tests(self) -> pd.DataFrame:
        """Return the classical tests for subgroup differences: columns ``Q df p``, a row for each method."""
        import pandas as pd

        rows = {name: {"Q": one.Q, "df": one.df, "p": one.p_value} for name, one in self.tests.items()}
        return pd.DataFrame.from_dict(rows, orient="index")


def subgroups(
    studies: Studies,
    by: str,
    model: Model | None = None,
    *,
    tau: str = "separate",
    levels: Sequence[str] = (),
    engine: str = "auto",
    seed: int | None = None,
    **options: Any,
) -> Subgroups:
    """Return the effect in each group of studies, and the differences between groups.

    Parameters
    ----------
    studies : Studies
        All studies.
    by : str
        Column of their table that names the groups.
    model : Model, optional
        What is assumed in each group; no moderators. Default priors are made from all studies.
    tau : {"separate", "shared"}
        A tau of its own for each group, or one for all: then the groups are the levels of a regression
        without intercept, each mean having the prior of mu.
    levels : sequence of str
        Names that groups may have; those without studies are listed too.
    engine, seed, **options
        As in `bayesmeta.fit`.

    Raises
    ------
    AnalysisError
        If an option is wrong, or tau is to be shared by fewer than two groups.
    DataError
        If there is no such column, or a study has no value in it.

    Notes
    -----
    A group whose posterior does not exist, such as one study under a flat prior of mu, is listed with the
    reason; it does not stop the others.
    """
    if not is_one_of(tau, SHARING):
        raise AnalysisError(f"tau must be 'separate' or 'shared'; got {told(tau)}{suggest(tau, SHARING)}")
    if not isinstance(levels, list | tuple) or not all(isinstance(one, str) for one in levels):
        raise AnalysisError(f"levels must be a list of names, such as ['a', 'b']; got {told(levels)}")
    base = Model() if model is None else model
    check_posable(studies, base)
    if base.mods.strip() != "1":
        raise ModelError(f"subgroups have no moderators: mods must be '1'; got '{base.mods}'")
    parts = split_studies(studies, by)
    kept = replace(with_priors_of(pose(studies, base)), beta=None)
    options = {"engine": engine, "seed": seed, **options}
    if tau == "separate":
        groups = {name: _alone(part, kept, options) for name, part in parts.items()}
        regression, tests = None, _separate_tests(parts)
    else:
        regression = _regression(studies, by, kept, options)
        groups = {name: _level(part, regression, by, name) for name, part in parts.items()}
        tests = _shared_tests(studies, by)
    absent = {name: Group((), None, None, "no studies") for name in levels if name not in groups}
    return Subgroups(by, tau, {**groups, **absent}, regression, tests)


def _alone(part: Studies, model: Model, options: Mapping[str, Any]) -> Group:
    if model.likelihood == "normal" and not part.estimable.any():
        return Group(part.slab, None, None, "no study of the group has an estimate")
    try:
        fit = make_fit(part, model, **options)
    except ImproperPosteriorError as error:
        return Group(part.slab, None, None, str(error))
    doubts = [text for name, text in fit.warnings if name in FEW]
    return Group(part.slab, fit.marginal("mu"), fit, "; ".join(doubts))


def _regression(studies: Studies, by: str, model: Model, options: Mapping[str, Any]) -> Fit:
    used = studies.pooled() if model.likelihood == "normal" else studies
    count = len(set(level_names(used.columns[by])))
    if count < 2:
        raise ModelError(
            f"a shared tau needs at least 2 groups with an estimate; column '{printable(by)}' has {count}; "
            "use tau='separate'"
        )
    return make_fit(studies, model.with_mods(f"0 + {Factor('C', by)}"), **options)


def _level(part: Studies, regression: Fit, by: str, name: str) -> Group:
    coefficient = f"{by}[{name}]"
    if coefficient not in regression.problem.coefficients:
        return Group(part.slab, None, None, "no study of the group has an estimate")
    return Group(part.slab, regression.marginal(coefficient), None, "")


def _separate_tests(parts: Mapping[str, Studies]) -> dict[str, DifferenceTest]:
    found = {name: subgroup_difference(parts, method=method) for name, method in CLASSICAL.items()}
    return {name: DifferenceTest(one.Q, one.df, one.p_value) for name, one in found.items()}


def _shared_tests(studies: Studies, by: str) -> dict[str, DifferenceTest]:
    """Return the Wald tests of the regression on the groups; nothing where no study has an estimate."""
    if not studies.estimable.any():
        return {}
    options = {"fixed": ("FE", "z"), "REML": ("REML", "z"), "REML_HK": ("REML", "knha")}
    mods = str(Factor("C", by))
    found = {
        name: classical(studies, mods, method=method, test=test) for name, (method, test) in options.items()
    }
    return {name: DifferenceTest(one.QM, one.QM_df, one.QM_p) for name, one in found.items()}
