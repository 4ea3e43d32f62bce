"""The highest points of the joint posterior (MAP) and of the joint likelihood (ML) of coefficients and tau.

Given tau the best coefficients are those of generalised least squares, so that one dimension is left; there
the derivative is known and its root is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.conditional import prepare, require_one_tau
from bayesmeta.errors import ModelError
from bayesmeta.kernel import NormalPrior, profile
from bayesmeta.priors import Fixed, Flat, Normal

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem

POINTS = 400
HALVINGS = 100
STENCIL = (np.array([-2.0, -1.0, 1.0, 2.0]), np.array([1.0, -8.0, 8.0, -1.0]) / 12)
"""Places and weights of a derivative that is exact for polynomials of degree 4."""
LEVEL = 1e-12
"""Difference of two log densities that counts as none."""
STEP = 1e-3
"""Relative step of the stencil."""


class Peak(NamedTuple):
    """Highest point of a joint density."""

    beta: Floats
    """(p,) coefficients."""
    tau: float
    """Between-study standard deviation."""
    log_density: float
    """Log of the density there: of the likelihood times the priors, or of the likelihood alone."""


def joint_mode(problem: Problem, *, prior: bool = True) -> Peak:
    """Return the highest point of the joint density of coefficients and tau.

    Parameters
    ----------
    problem : Problem
        With the normal likelihood and normal or flat priors of the coefficients.
    prior : bool
        Whether the priors count (MAP); without them it is maximum likelihood (ML).

    Raises
    ------
    ModelError
        If the model is another.
    """
    require_one_tau(problem)
    if problem.model.likelihood != "normal" or not all(
        isinstance(one, Normal | Flat) for one in problem.priors.beta
    ):
        raise ModelError(
            "the joint mode needs the normal likelihood and Normal or Flat priors of coefficients"
        )
    tau_prior = problem.priors.tau_density
    if isinstance(tau_prior, Fixed):
        return _at(problem, tau_prior.value, prior)
    if prior and not tau_prior.regular and tau_prior.support[0] == 0 and _rises_to_zero(problem):
        return _at(problem, 0.0, prior)
    return _highest(problem, prior)


def _rises_to_zero(problem: Problem) -> bool:
    lower, upper = problem.priors.tau_density.logpdf(np.array([1e-200, 1e-100]))
    return bool(lower - upper > 1.0)


def _highest(problem: Problem, prior: bool) -> Peak:
    low, high = problem.priors.tau_density.support if prior else (0.0, np.inf)
    v, residual = problem.v, prepare(problem).data.residual
    smallest = min(np.sqrt(v.min()), problem.priors.tau_density.typical)
    reach = 100 * max(np.sqrt(v.max()), np.abs(residual).max())
    grid = np.append(0.0, smallest * np.geomspace(1e-6, reach / smallest, POINTS))
    grid = np.unique(np.clip(grid, low, min(high, reach)))
    height = _log_density(problem, grid, prior)
    best = int(height.argmax())
    first, last = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, grid.size - 1)])
    rise = _derivative(problem, prior)
    if best == 0 and rise(last) <= 0:
        return _at(problem, float(grid[0]), prior)
    if best == grid.size - 1 and rise(last) >= 0:
        return _at(problem, last, prior)
    top = _at(problem, _root(rise, max(first, 1e-9 * last), last), prior)
    start = _at(problem, float(grid[0]), prior)
    return start if start.log_density >= top.log_density - LEVEL else top


def _root(rise: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if rise(middle) > 0 else (low, middle)
    return (low + high) / 2


def _log_density(problem: Problem, tau: Floats, prior: bool) -> Floats:
    """Return the log density (m,) at tau and the best coefficients."""
    data, coefficients = prepare(problem)
    known = coefficients if prior else _flat(problem.p)
    solved = profile(data, tau * tau, prior=known)
    value = solved.log_likelihood
    if prior:
        value = value + solved.log_prior_constant + problem.priors.tau_density.logpdf(tau)
    return np.asarray(value)


def _flat(p: int) -> NormalPrior:
    return NormalPrior(np.zeros(p), np.zeros(p))


def _derivative(problem: Problem, prior: bool) -> Callable[[float], float]:
    """Return the derivative by tau of the log density at the best coefficients."""
    log_prior = problem.priors.tau_density.logpdf

    def rise(tau: float) -> float:
        residual = problem.y - problem.X @ _at(problem, tau, prior).beta
        w = 1 / (problem.v + tau * tau)
        slope = tau * float((w * w) @ residual**2 - w.sum())
        if not prior:
            return slope
        places, weights = STENCIL
        return slope + float(weights @ log_prior(tau * (1 + STEP * places))) / (STEP * tau)

    return rise


def _at(problem: Problem, tau: float, prior: bool) -> Peak:
    data, coefficients = prepare(problem)
    solved = profile(data, np.array([tau * tau]), prior=coefficients if prior else _flat(problem.p))
    height = float(_log_density(problem, np.array([tau]), prior)[0])
    return Peak(problem.transform @ solved.beta[0], tau, height)
