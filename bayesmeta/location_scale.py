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
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.conditional import prepare
from bayesmeta.errors import ImproperPosteriorError, PriorError
from bayesmeta.kernel import profile_each
from bayesmeta.model import priors_by_name
from bayesmeta.priors import Fixed, Flat, Normal
from bayesmeta.scale_design import Quantity as Quantity
from bayesmeta.scale_design import ScaleDesign, build_scale

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.design import Design
    from bayesmeta.model import Model
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem
    from bayesmeta.studies import Studies


@dataclass(frozen=True, eq=False)
class ScaleStructure(ScaleDesign):
    """How tau differs between studies, with the priors of the coefficients delta.

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

    deltas: tuple[Prior, ...]
    is_default: tuple[bool, ...]

    def log_priors(self, tau: Prior, parameters: Floats) -> Floats:
        """Return the log prior densities (..., T + q) of scale parameters; `tau` is that of each tau."""
        priors = (*[tau] * self.T, *self.deltas)
        return np.stack([prior.logpdf(parameters[..., j]) for j, prior in enumerate(priors)], axis=-1)


def scale_names(problem: Problem) -> tuple[str, ...]:
    """Return the names of the scale parameters of a problem, none where one tau serves all."""
    return () if problem.scale is None else problem.scale.names


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
    known = build_scale(model.scale, studies, center=model.center)
    if known is None:
        return None
    if any(isinstance(part, Fixed) for _, part in tau.parts):
        raise PriorError(f"the prior of tau must have a density where scale is not '1'; got {tau}")
    deltas, is_default = _priors(model, known.design)
    return ScaleStructure(known.design, known.shift, deltas, is_default)


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
