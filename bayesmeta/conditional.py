"""Coefficients given tau, and the posterior density of tau: the kernel applied to a `Problem`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import ModelError
from bayesmeta.kernel import NormalPrior, gaussian_data, profile
from bayesmeta.priors import Normal

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.kernel import GaussianData, Profile
    from bayesmeta.problem import Problem


class Conditional(NamedTuple):
    """Posterior of the coefficients at each of m values of tau."""

    beta: Floats
    """(m, p) means, in the user's coefficients."""
    cov: Floats
    """(m, p, p) covariances."""
    tau2: Floats
    """(m,) tau^2."""
    log_marginal: Floats
    """(m,) log of the likelihood with the coefficients integrated out."""
    origin: Floats
    """(p,) coefficients near the means."""
    deviation: Floats
    """(m, p) means less `origin`, without the digits that the difference loses."""

    def part(self, which: slice) -> Conditional:
        """Return the same at some of the values."""
        beta, cov, tau2, log_marginal, origin, deviation = self
        return Conditional(
            beta[which], cov[which], tau2[which], log_marginal[which], origin, deviation[which]
        )


class Prepared(NamedTuple):
    """A problem in the form that the kernel takes."""

    data: GaussianData
    """Effects, variances and the centred design."""
    prior: NormalPrior
    """Priors of the coefficients of the centred design."""


@lru_cache(maxsize=64)
def prepare(problem: Problem) -> Prepared:
    """Return the problem in the form that the kernel takes; priors that are not normal count as flat.

    Flat coefficients come first in the orthonormal basis, so that those with a prior leave them alone: where
    tau is large a flat direction has hardly any information, which rotating it with another would drown.
    """
    pairs = [
        (prior.mu, prior.sigma) if isinstance(prior, Normal) else (0.0, inf) for prior in problem.priors.beta
    ]
    mean, sd = np.array(pairs).reshape(-1, 2).T
    order = np.argsort(np.isfinite(sd), kind="stable")
    data, place = gaussian_data(problem.y, problem.v, problem.X_prior[:, order]), np.argsort(order)
    data = replace(data, transform=data.transform[place], origin=data.origin[place])
    return Prepared(data, NormalPrior(mean, sd**-2.0))


def require_one_tau(problem: Problem) -> None:
    """Refuse a problem in which tau differs between studies, where a single one is integrated or maximised.

    Raises
    ------
    ModelError
        With the remedy.
    """
    if problem.scale is not None:
        raise ModelError(
            f"this answer needs one tau for all studies; got scale '{problem.model.scale}'; use scale='1'"
        )


def given_tau(problem: Problem, tau: Floats) -> Conditional:
    """Return the posterior of the coefficients given tau, shape (m,)."""
    require_one_tau(problem)
    known = prepare(problem)
    solved: Profile = profile(known.data, tau * tau, prior=known.prior)
    origin, beta, deviation, cov = known.data.origin, solved.beta, solved.deviation, solved.cov
    if problem.shift.any():
        T = problem.transform
        origin, beta, deviation, cov = T @ origin, beta @ T.T, deviation @ T.T, T @ cov @ T.T
    return Conditional(beta, cov, solved.tau2, solved.log_marginal, origin, deviation)
