"""The scale formula of a location-scale model: which between-study standard deviation each study has.

``log tau_i = log tau + z_i' delta``. The columns z are centred as those of `mods` are, so that tau is the
between-study standard deviation at their means: the geometric mean of the tau_i. Without an intercept, as in
``0 + C(group)``, every level of the category has a tau of its own. Bayesian and classical models share it.

References
----------
Viechtbauer W, López-López JA (2022). Location-scale models for meta-analysis. Res Synth Methods 13:697-715.
doi:10.1002/jrsm.1562
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.design import build_design
from bayesmeta.encoding import Variable
from bayesmeta.errors import ModelError
from bayesmeta.formula import Formula, parse_formula

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.design import Design
    from bayesmeta.studies import Studies

LARGEST_LOG = 345.0
"""Logarithm of the largest tau, whose square does not overflow."""


class Quantity(NamedTuple):
    """A function of the scale parameters: ``exp(weights @ eta)``, or ``weights @ eta`` where logarithmic.

    eta holds the logarithms of the taus, then the coefficients delta.
    """

    name: str
    """Name in every table."""
    weights: Floats
    """(T + q,) factors."""
    logarithmic: bool
    """Whether it is a log ratio of taus rather than a tau."""


@dataclass(frozen=True, eq=False)
class ScaleDesign:
    """How tau differs between studies: the design matrix of log tau and the names of what it is made of.

    Attributes
    ----------
    design : Design
        Design matrix of the scale formula.
    shift : (q,) array
        Means taken from the columns of the coefficients delta.
    """

    design: Design
    shift: Floats

    @cached_property
    def is_tau(self) -> Bools:
        """(T + q,) which columns have a tau rather than a coefficient."""
        return np.array(self.design.is_mean)

    @property
    def T(self) -> int:
        """Number of taus: 1 with an intercept, one for each level without."""
        return int(self.is_tau.sum())

    @property
    def q(self) -> int:
        """Number of coefficients delta."""
        return len(self.design.is_mean) - self.T

    @property
    def size(self) -> int:
        """Number of scale parameters."""
        return self.T + self.q

    @cached_property
    def groups(self) -> Floats:
        """(k, T) ones where a study has a tau, zeros elsewhere."""
        return readonly(self.design.X[:, self.is_tau])

    @cached_property
    def slopes(self) -> Floats:
        """(k, q) columns of the coefficients delta."""
        return readonly(self.design.X[:, ~self.is_tau] - self.shift)

    def rows(self, newdata: Mapping[str, ArrayLike]) -> Floats:
        """Return the (n, T + q) weights of log taus and deltas in the log taus at new values."""
        found = self.design.rows(newdata)
        return np.column_stack([found[:, self.is_tau], found[:, ~self.is_tau] - self.shift])

    @cached_property
    def weights(self) -> Floats:
        """(k, T + q) weights of log taus and deltas in the log taus of the studies."""
        return readonly(np.column_stack([self.groups, self.slopes]))

    def taus(self, parameters: Floats, weights: Floats | None = None) -> Floats:
        """Return the taus (..., n) of studies with weights (n, T + q), those of the data by default.

        Parameters
        ----------
        parameters : (..., T + q) array
            Taus, then coefficients delta.
        """
        weights = self.weights if weights is None else weights
        base = parameters[..., : self.T] @ weights[:, : self.T].T
        growth = parameters[..., self.T :] @ weights[:, self.T :].T
        return base * np.exp(np.clip(growth, -LARGEST_LOG, LARGEST_LOG))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the T + q scale parameters."""
        named = list(zip(self.design.names, self.design.is_mean, strict=True))
        taus = [_of_level(name) if "[" in name else "tau" for name, is_tau in named if is_tau]
        return (*taus, *(f"delta[{name}]" for name, is_tau in named if not is_tau))

    @cached_property
    def summary(self) -> tuple[Quantity, ...]:
        """Quantities that tables show: tau of each level, tau at the means of the columns, log ratios."""
        return (*self._taus(), self.centre, *self._ratios())

    @cached_property
    def quantities(self) -> dict[str, Quantity]:
        """Quantities by name."""
        return {one.name: one for one in self.summary}

    @property
    def centre(self) -> Quantity:
        """The tau at the means of the columns, the geometric mean of the studies' taus; uncentred, at 0."""
        return Quantity("tau", np.append(self.groups.mean(axis=0), np.zeros(self.q)), logarithmic=False)

    @cached_property
    def kinds(self) -> tuple[Floats, Floats]:
        """Different rows (n, T + q) of `weights`, and the (n,) shares of the studies that have them."""
        rows, counts = np.unique(self.weights, axis=0, return_counts=True)
        return rows, counts / counts.sum()

    def _taus(self) -> list[Quantity]:
        unit = np.eye(self.size)
        if not self.design.intercept:
            taus = enumerate(self.names[: self.T])
            return [Quantity(name, unit[j], logarithmic=False) for j, name in taus]
        factor = self._only_category()
        if factor is None:
            return []
        column, levels = factor
        rows = self.rows({column: np.array(levels)})
        named = zip(levels, rows, strict=True)
        return [Quantity(f"tau[{level}]", row, logarithmic=False) for level, row in named]

    def _only_category(self) -> tuple[str, tuple[str, ...]] | None:
        """Return column and levels of the category that the formula is made of, if it is."""
        terms = self.design.formula.terms
        if len(terms) != 1 or len(terms[0]) != 1:
            return None
        variable = Variable(terms[0][0], self.design.learned[terms[0][0].name])
        return (terms[0][0].name, variable.levels) if variable.is_categorical else None

    def _ratios(self) -> list[Quantity]:
        """Return log ratios: of each level's tau to the first, then the coefficients delta."""
        unit, names = np.eye(self.size), np.array(self.design.names)
        levels = [
            Quantity(f"delta[{name}]", unit[j] - unit[0], logarithmic=True)
            for j, name in enumerate(names[self.is_tau].tolist())
            if j
        ]
        slopes = [
            Quantity(f"delta[{name}]", unit[self.T + j], logarithmic=True)
            for j, name in enumerate(names[~self.is_tau].tolist())
        ]
        return [*levels, *slopes]

    def values(self, quantity: Quantity, parameters: Floats) -> Floats:
        """Return a quantity (...) at taus and deltas (..., T + q)."""
        if not quantity.logarithmic and np.count_nonzero(quantity.weights[: self.T]) == 1:
            return np.asarray(self.taus(parameters, quantity.weights[None, :])[..., 0])
        with np.errstate(divide="ignore"):
            eta = np.concatenate([np.log(parameters[..., : self.T]), parameters[..., self.T :]], axis=-1)
        used = np.flatnonzero(quantity.weights)
        value = eta[..., used] @ quantity.weights[used]
        return np.asarray(value if quantity.logarithmic else np.exp(value))


def build_scale(formula: str, studies: Studies, *, center: bool = True) -> ScaleDesign | None:
    """Return the design of a scale formula on studies; None where one tau serves all.

    Parameters
    ----------
    formula : str
        Right-hand side of a formula for log tau.
    studies : Studies
        Studies that take part.
    center : bool
        Whether tau is that at the means of the columns, rather than where they are 0.

    Raises
    ------
    FormulaError, DataError
        If the moderators do not fit the formula.
    ModelError
        If the formula has neither an intercept nor the levels of a category.
    """
    parsed = parse_formula(formula)
    if parsed == Formula(intercept=True):
        return None
    design = build_design(parsed, studies.columns, slab=studies.slab, k=studies.k)
    if not any(design.is_mean):
        raise ModelError(
            "scale must have an intercept or all levels of a category, such as '0 + C(group)'; "
            f"got '{formula}'"
        )
    is_slope = ~np.array(design.is_mean)
    centred = center and design.intercept
    shift = design.X[:, is_slope].mean(axis=0) if centred else np.zeros(int(is_slope.sum()))
    return ScaleDesign(design, readonly(shift))


def _of_level(name: str) -> str:
    """Return the name of the tau of a level, ``tau[local]`` for the column ``exercise_type[local]``."""
    return f"tau{name[name.index('[') :]}"
