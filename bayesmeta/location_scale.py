"""A between-study standard deviation for each study: the scale formula of a location-scale model.

``y_i ~ N(x_i' beta, v_i + tau_i^2)`` with ``log tau_i = log tau + z_i' delta``. The columns z are centred as
those of `mods` are, so that tau, and its prior, is the between-study standard deviation at their means: the
geometric mean of the tau_i. Without an intercept, as in ``0 + C(group)``, every level of the category has a
tau of its own, with the same prior independently.

The coefficients delta are logarithms of ratios of taus. Their default prior is Normal(0, 1) for columns of
zeros and ones (half of the prior is on ratios between 0.5 and 2, 95 % on those between 0.14 and 7.1), and
Normal(0, 1 / sd of the column) for others.

References
----------
Viechtbauer W, López-López JA (2022). Location-scale models for meta-analysis. Res Synth Methods 13:697-715.
doi:10.1002/jrsm.1562
Williams DR, Rodriguez JE, Bürkner PC (2021). Putting variation into variance: modeling between-study
heterogeneity in meta-analysis. PsyArXiv. doi:10.31234/osf.io/9vkqy
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.conditional import prepare
from bayesmeta.design import build_design
from bayesmeta.encoding import Variable
from bayesmeta.errors import ImproperPosteriorError, ModelError, PriorError
from bayesmeta.formula import Formula, parse_formula
from bayesmeta.kernel import profile_each
from bayesmeta.model import priors_by_name
from bayesmeta.priors import Fixed, Flat, Normal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.design import Design
    from bayesmeta.model import Model
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem
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
class ScaleStructure:
    """How tau differs between studies.

    Attributes
    ----------
    design : Design
        Design matrix of the scale formula.
    shift : (q,) array
        Means taken from the columns of the coefficients delta.
    deltas : tuple of Prior
        Their priors.
    is_default : tuple of bool
        Which of these priors were not given.
    """

    design: Design
    shift: Floats
    deltas: tuple[Prior, ...]
    is_default: tuple[bool, ...]

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
        return len(self.deltas)

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

    def log_priors(self, tau: Prior, parameters: Floats) -> Floats:
        """Return the log prior densities (..., T + q) of scale parameters; `tau` is that of each tau."""
        priors = (*[tau] * self.T, *self.deltas)
        return np.stack([prior.logpdf(parameters[..., j]) for j, prior in enumerate(priors)], axis=-1)

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


def scale_names(problem: Problem) -> tuple[str, ...]:
    """Return the names of the scale parameters of a problem, none where one tau serves all."""
    return () if problem.scale is None else problem.scale.names


def _of_level(name: str) -> str:
    """Return the name of the tau of a level, ``tau[local]`` for the column ``exercise_type[local]``."""
    return f"tau{name[name.index('[') :]}"


def pose_scale(model: Model, studies: Studies, tau: Prior) -> ScaleStructure | None:
    """Return the scale structure of a model on studies; None where one tau serves all.

    Parameters
    ----------
    model : Model
        What is assumed.
    studies : Studies
        Studies that take part.
    tau : Prior
        Prior of tau in force.

    Raises
    ------
    FormulaError, DataError
        If the moderators do not fit the formula.
    ModelError
        If the formula has neither an intercept nor the levels of a category.
    PriorError
        If a coefficient has no such name, or tau is known.
    """
    formula = parse_formula(model.scale)
    if formula == Formula(intercept=True):
        return None
    design = build_design(formula, studies.columns, slab=studies.slab, k=studies.k)
    if not any(design.is_mean):
        raise ModelError(
            "scale must have an intercept or all levels of a category, such as '0 + C(group)'; "
            f"got '{model.scale}'"
        )
    if any(isinstance(part, Fixed) for _, part in tau.parts):
        raise PriorError(f"the prior of tau must have a density where scale is not '1'; got {tau}")
    is_slope = ~np.array(design.is_mean)
    centred = model.center and design.intercept
    shift = design.X[:, is_slope].mean(axis=0) if centred else np.zeros(int(is_slope.sum()))
    deltas, is_default = _priors(model, design)
    return ScaleStructure(design, readonly(shift), deltas, is_default)


def _priors(model: Model, design: Design) -> tuple[tuple[Prior, ...], tuple[bool, ...]]:
    slopes = ~np.array(design.is_mean)
    names = [name for name, slope in zip(design.names, slopes, strict=True) if slope]
    given = priors_by_name(model.delta, names, "scale coefficient")  # type: ignore[arg-type]
    priors = [
        default_delta(column) if prior is None else prior
        for column, prior in zip(design.X[:, slopes].T, given, strict=True)
    ]
    return tuple(priors), tuple(prior is None for prior in given)


def default_delta(column: Floats) -> Prior:
    """Return the default prior of a log ratio: Normal(0, 1), for numbers Normal(0, 1 / sd)."""
    return Normal(0, 1.0 if np.isin(column, (0, 1)).all() else 1 / float(np.std(column, ddof=1)))


def require_proper_scale(problem: Problem, scale: ScaleStructure) -> None:
    """Refuse improper priors of the scale parameters, with which the posterior may not exist.

    Raises
    ------
    ImproperPosteriorError
        With the reason and the remedy.

    Notes
    -----
    Proper priors of the taus and deltas are enough, however many coefficients beta have flat priors, as long
    as X has full rank p <= k. With ``w_i = 1 / (v_i + tau_i^2)`` the likelihood with beta integrated out is
    at most ``c prod w_i^(1/2) |X'WX|^(-1/2)``, and by Cauchy and Binet ``|X'WX|`` is at least
    ``|X_S|^2 prod_S w_i`` for any p studies S with independent rows. What is left, ``prod w_i^(1/2)`` over
    the other studies, is at most ``prod v_i^(-1/2)``: a bounded likelihood.
    """
    named = [("tau", problem.priors.tau)] if not problem.priors.tau_density.proper else []
    named += [("delta", prior) for prior in scale.deltas if isinstance(prior, Flat)]
    if named:
        name, prior = named[0]
        proper = {"tau": "HalfNormal or HalfCauchy", "delta": "Normal(0, 1)"}[name]
        raise ImproperPosteriorError(
            f"the posterior may not exist: {prior} as the prior of {name} is improper; where scale is not "
            f"'1', tau and delta need proper priors such as {proper}"
        )


def tau_bounds(problem: Problem, scale: ScaleStructure) -> Floats:
    """Return the (T,) bounds below which the orders r of existing moments ``E(tau^r)`` lie.

    Notes
    -----
    From the bound in `require_proper_scale`, with S chosen so that as many studies as possible keep the power
    of tau: ``E(tau_g^r)`` exists if and only if ``a + k_g - (p - rank of X without group g) > 1 + r``, with a
    the tail exponent of the prior and p the number of flat coefficients. With one tau and normal or bounded
    deltas, all of whose exponential moments exist, k_g = k and the rank is 0.
    """
    X = _flat_columns(problem)
    tail, bounds = problem.priors.tau_density.tail, []
    for members in scale.groups.T > 0:
        others = X[~members] if scale.T > 1 else X[:0]
        rank = np.linalg.matrix_rank(others) if others.size else 0
        bounds.append(tail + members.sum() - (X.shape[1] - rank) - 1)
    return np.array(bounds)


def mean_bounds(problem: Problem, scale: ScaleStructure, rows: Floats) -> Floats:
    """Return the (n,) bounds of the moments of mean effects at rows (n, p) of a design matrix.

    A mean effect spreads with the taus of those groups without whose studies a flat coefficient in it could
    not be estimated.
    """
    X, flat = _flat_columns(problem), _is_flat(problem)
    rows = (rows @ problem.transform)[:, flat]
    bounds = np.full(rows.shape[0], np.inf)
    for bound, members in zip(tau_bounds(problem, scale), scale.groups.T > 0, strict=True):
        others = X[~members] if scale.T > 1 else X[:0]
        left = rows - rows @ np.linalg.pinv(others) @ others if others.size else rows
        touched = np.abs(left).max(axis=1, initial=0.0) > 1e-9 * np.abs(rows).max(axis=1, initial=0.0)
        bounds = np.where(touched, np.minimum(bounds, bound), bounds)
    return bounds


def _is_flat(problem: Problem) -> Bools:
    return np.array([isinstance(prior, Flat) for prior in problem.priors.beta])


def _flat_columns(problem: Problem) -> Floats:
    return problem.X_prior[:, _is_flat(problem)]


class Solved(NamedTuple):
    """Posterior of the coefficients at each of m sets of taus."""

    beta: Floats
    """(m, p) means, in the user's coefficients."""
    cov: Floats
    """(m, p, p) covariances."""
    log_marginal: Floats
    """(m,) log of the likelihood with the coefficients integrated out."""


def given_taus(problem: Problem, taus: Floats) -> Solved:
    """Return the posterior of the coefficients given the taus (m, k) of the studies."""
    known = prepare(problem)
    solved = profile_each(known.data, taus * taus, prior=known.prior)
    if not problem.shift.any():
        return Solved(solved.beta, solved.cov, solved.log_marginal)
    T = problem.transform
    return Solved(solved.beta @ T.T, T @ solved.cov @ T.T, solved.log_marginal)
