"""Answers averaged over subsets of moderators: mixtures over models and nodes of tau."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.kernel import NormalPrior, gaussian_data, profile
from bayesmeta.priors import Flat, Normal
from bayesmeta.properness import tau_moments, whole_moments
from bayesmeta.results.mixture import NormalMixture

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bayesmeta.arrays import Bools, Floats, Ints
    from bayesmeta.regression.subsets import Subsets

NEGLIGIBLE = 1e-13
"""Models that together have less probability than this are left out of averages."""
SMALLEST = 1e-16
"""Probability of a node, times that of its model, below which it is left out."""


class Given(NamedTuple):
    """Posterior of tau in one model."""

    tau: Floats
    """(m,) nodes."""
    weights: Floats
    """(m,) their probabilities."""


class Component(NamedTuple):
    """Posterior of the coefficients in one model, on its nodes of tau."""

    columns: list[int]
    """Columns of the design matrix that the model has, p of them."""
    weights: Floats
    """(m,) probabilities of model and node."""
    tau2: Floats
    """(m,) tau^2."""
    mean: Floats
    """(m, p) means, in the coordinates of the priors."""
    cov: Floats
    """(m, p, p) covariances."""


def counted(posterior: Floats) -> Bools:
    """Return which models have enough probability to count."""
    order = np.argsort(posterior)
    kept = np.ones(posterior.size, dtype=bool)
    kept[order[np.cumsum(posterior[order]) < NEGLIGIBLE]] = False
    return kept


def component(subsets: Subsets, included: Bools, probability: float, given: Given) -> Component:
    """Return the posterior of the coefficients in the model with the terms `included`."""
    problem, columns = subsets.problem, subsets.used(included.tolist())
    priors = [problem.priors.beta[column] for column in columns]
    pairs = [(prior.mu, prior.sigma) if isinstance(prior, Normal) else (0.0, np.inf) for prior in priors]
    mean, sd = np.array(pairs).T
    kept = given.weights * probability > SMALLEST
    weights = given.weights[kept] * (probability / given.weights[kept].sum())
    data = gaussian_data(problem.y, problem.v, problem.X_prior[:, columns])
    known = profile(data, given.tau[kept] ** 2, prior=NormalPrior(mean, sd**-2.0))
    return Component(columns, weights, known.tau2, known.beta, known.cov)


def averaged(
    subsets: Subsets, components: Iterable[Component], rows: Floats, *, new_study: bool = False
) -> NormalMixture:
    """Return mean effects, or effects in new studies, averaged over models.

    Parameters
    ----------
    subsets : Subsets
        The model with all columns.
    components : iterable of Component
        The models; their probabilities are divided by their sum.
    rows : (n, P) array
        Rows of the design matrix with all columns, in the user's coefficients.
    new_study : bool
        Add the spread between studies.
    """
    weights, means, variances = [], [], []
    for part in components:
        own = (rows @ subsets.problem.transform)[:, part.columns]
        variance = ((own @ part.cov) * own).sum(axis=2)
        weights.append(part.weights)
        means.append(part.mean @ own.T)
        variances.append(variance + part.tau2[:, None] if new_study else variance)
    joined = np.concatenate(weights)
    moments = _moments(subsets, rows, new_study=new_study)
    sds = np.sqrt(np.concatenate(variances))
    return NormalMixture(joined / joined.sum(), np.concatenate(means), sds, moments)


def _moments(subsets: Subsets, rows: Floats, *, new_study: bool) -> Ints:
    """Return the moments, at most 3, that exist."""
    problem = subsets.problem
    flat = np.array([isinstance(prior, Flat) for prior in problem.priors.beta])
    unbounded = ((rows @ problem.transform != 0) & flat).any(axis=1) | new_study
    return np.where(unbounded, min(3, whole_moments(tau_moments(problem))), 3)
