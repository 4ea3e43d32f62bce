"""A problem without one of its parameters: the null hypotheses that Bayes factors compare it with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.engines.components import exact_posterior
from bayesmeta.priors import Fixed, Flat
from bayesmeta.problem import Problem

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.results.nodes import Nodes


def in_prior_coordinates(problem: Problem) -> Problem:
    """Return the same problem with the coefficients that carry the priors: those of the centred columns."""
    design = replace(problem.design, X=problem.X_prior)
    return Problem(problem.studies, replace(problem.model, center=False), design, problem.priors)


def with_coefficient(problem: Problem, index: int, value: float) -> Problem:
    """Return the problem in which one coefficient of the centred columns is known.

    Its part is taken from the effects and its column is dropped; without any other column nothing but tau is
    left.
    """
    kept = np.arange(problem.p) != index
    design, studies, priors = problem.design, problem.studies, problem.priors
    rest = replace(
        design,
        X=problem.X_prior[:, kept],
        names=_kept(design.names, index),
        is_mean=_kept(design.is_mean, index),
    )
    return Problem(
        replace(studies, yi=studies.yi - value * problem.X_prior[:, index]),
        replace(problem.model, center=False),
        rest,
        replace(priors, beta=_kept(priors.beta, index)),
    )


def _kept[T](values: tuple[T, ...], index: int) -> tuple[T, ...]:
    return values[:index] + values[index + 1 :]


def with_flat(problem: Problem, index: int) -> Problem:
    """Return the problem in prior coordinates, one coefficient having a flat prior of density 1."""
    posed = in_prior_coordinates(problem)
    beta = problem.priors.beta
    return replace(posed, priors=replace(posed.priors, beta=(*beta[:index], Flat(), *beta[index + 1 :])))


def with_tau(problem: Problem, value: float) -> Problem:
    """Return the problem in which tau is known."""
    known = Fixed(value)
    return replace(problem, priors=replace(problem.priors, tau=known, tau_density=known, tau_on="tau"))


def log_evidence(problem: Problem) -> float:
    """Return the log of the marginal likelihood of a problem."""
    return exact_posterior(problem).log_evidence


def log_density(nodes: Nodes, index: int, x: Floats) -> Floats:
    """Return the log posterior density (n,) of one coefficient, without underflow."""
    variance = nodes.cov[:, index, index]
    z2 = (x[:, None] - nodes.beta[:, index]) ** 2 / variance
    log_weights = np.log(np.maximum(nodes.weights, np.finfo(float).tiny))
    terms = log_weights - 0.5 * (np.log(2 * np.pi * variance) + z2)
    return np.asarray(np.logaddexp.reduce(terms, axis=1))
