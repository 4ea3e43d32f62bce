"""What data say about the mean effect given tau: a normal density and its height, for variants of the data.

Given tau, with the other coefficients integrated out, the likelihood of the mean effect is
``exp(L) N(mu; m, V)``. A normal prior of mu with mean a and precision q multiplies it by
``N(m; a, V + 1/q)`` and makes the posterior normal again, so that priors of mu cost no sum over studies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from bayesmeta.kernel import LOG_2PI, NormalPrior, gaussian_data, profile
from bayesmeta.priors import Flat, Normal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Floats
    from bayesmeta.kernel import GaussianData
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem


class Given(NamedTuple):
    """The mean effect given tau, in m nodes (rows) and for n variants (columns)."""

    log_marginal: Floats
    """(m, n) logs of the likelihood with all coefficients integrated out."""
    mean: Floats
    """(m, n) means, from the centre of the likelihood."""
    variance: Floats
    """(m, n) variances."""


class Likelihood(Protocol):
    """Likelihood of tau and the mean effect."""

    @property
    def k(self) -> int:
        """Number of studies."""

    @property
    def smallest(self) -> float:
        """Smallest standard error."""

    @property
    def largest(self) -> float:
        """Largest standard error or distance of an effect from the centre."""

    @property
    def centre(self) -> float:
        """Value of the mean effect from which means are counted."""

    @property
    def flat(self) -> int:
        """Number of coefficients with a flat prior beside the mean effect."""

    def given(self, tau: Floats) -> Given:
        """Return the mean effect under a flat prior given tau, shape (m,)."""


class LocationPriors(NamedTuple):
    """Normal priors of the mean effect; precision 0 is flat with density 1."""

    mean: Floats
    """(B,) means."""
    precision: Floats
    """(B,) precisions."""


def location_priors(priors: Sequence[Prior]) -> LocationPriors:
    """Return normal and flat priors as arrays."""
    pairs = [(prior.mu, prior.sigma**-2) if isinstance(prior, Normal) else (0.0, 0.0) for prior in priors]
    mean, precision = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return LocationPriors(mean, precision)


def under(known: Given, priors: LocationPriors, centre: float) -> Given:
    """Return the mean effect under priors of it, which are the columns unless the data have variants."""
    q, offset = priors.precision, known.mean - (priors.mean - centre)
    shrunk = 1 / (1 + known.variance * q)
    with np.errstate(divide="ignore"):
        constant = np.where(q > 0, np.log(q) - LOG_2PI, 0.0)
    log_factor = 0.5 * (constant + np.log(shrunk) - q * shrunk * offset**2)
    mean = known.mean - known.variance * q * shrunk * offset
    return Given(known.log_marginal + log_factor, mean, known.variance * shrunk)


@dataclass(frozen=True, slots=True, eq=False)
class ProblemLikelihood:
    """Likelihood of a problem with one mean effect; moderators keep their priors.

    Attributes
    ----------
    data : GaussianData
        Effects and centred design, counted from the reference fit.
    prior : NormalPrior
        Priors of the coefficients, counted from the reference fit, flat for the mean effect.
    column : int
        Place of the mean effect.
    centre : float
        The mean effect of the reference fit.
    """

    data: GaussianData
    prior: NormalPrior
    column: int
    centre: float

    @property
    def k(self) -> int:
        """Number of studies."""
        return self.data.k

    @property
    def smallest(self) -> float:
        """Smallest standard error."""
        return float(np.sqrt(self.data.v.min()))

    @property
    def largest(self) -> float:
        """Largest standard error or distance of an effect from the reference fit."""
        return max(float(np.sqrt(self.data.v.max())), float(np.abs(self.data.residual).max()))

    @property
    def flat(self) -> int:
        """Number of coefficients with a flat prior beside the mean effect."""
        return int((self.prior.precision == 0).sum()) - 1

    def given(self, tau: Floats) -> Given:
        """Return the mean effect under a flat prior given tau, shape (m,)."""
        solved = profile(self.data, tau * tau, prior=self.prior)
        j = self.column
        return Given(solved.log_marginal[:, None], solved.beta[:, j : j + 1], solved.cov[:, j, j][:, None])


def why_not(problem: Problem) -> str:
    """Return why a problem has no such likelihood, or ``""`` if it has; the prior of mu does not count."""
    model = problem.model
    if model.likelihood != "normal":
        return f"likelihood '{model.likelihood}'"
    if model.scale.strip() != "1" or model.levels or model.effects not in {"normal", "common"}:
        return "more than one tau, or effects that are not normal"
    means = sum(problem.design.is_mean)
    if means != 1:
        return f"a formula with {means} mean effects"
    slopes = [
        prior for prior, mean in zip(problem.priors.beta, problem.design.is_mean, strict=True) if not mean
    ]
    odd = [str(prior) for prior in slopes if not isinstance(prior, Normal | Flat)]
    return f"prior {odd[0]} of a coefficient" if odd else ""


def likelihood_of(problem: Problem) -> ProblemLikelihood:
    """Return the likelihood of a problem, for which `why_not` has no reason."""
    column = problem.design.is_mean.index(True)
    others = location_priors(problem.priors.beta)
    precision = np.where(np.arange(problem.p) == column, 0.0, others.precision)
    order = np.argsort(precision > 0, kind="stable")
    place = np.argsort(order)
    data = gaussian_data(problem.y, problem.v, problem.X_prior[:, order])
    origin = data.origin[place]
    data = replace(data, transform=data.transform[place], origin=np.zeros(problem.p))
    return ProblemLikelihood(
        data, NormalPrior(others.mean - origin, precision), column, float(origin[column])
    )


class Added(NamedTuple):
    """A study that each of n variants has beside the others."""

    y: Floats
    """(n,) effects, counted from the centre."""
    v: Floats
    """(n,) sampling variances."""


@dataclass(frozen=True, slots=True, eq=False)
class VariantLikelihood:
    """Likelihood of variants of data without moderators.

    Attributes
    ----------
    y : (k, n) array
        Effects of n variants, counted from the centre; (k, 1) where only the added study differs.
    v : (k,) array
        Sampling variances.
    centre : float
        The value that was subtracted.
    added : Added or None
        A further study.
    """

    y: Floats
    v: Floats
    centre: float
    added: Added | None = None
    flat: int = 0

    @property
    def k(self) -> int:
        """Number of studies."""
        return int(self.v.size) + (self.added is not None)

    @property
    def smallest(self) -> float:
        """Smallest standard error."""
        return float(np.sqrt(min(self.v.min(), np.inf if self.added is None else self.added.v.min())))

    @property
    def largest(self) -> float:
        """Largest standard error or distance of an effect from the centre."""
        more = [] if self.added is None else [np.sqrt(self.added.v.max()), np.abs(self.added.y).max()]
        return float(max(np.sqrt(self.v.max()), np.abs(self.y).max(), *more))

    def given(self, tau: Floats) -> Given:
        """Return the mean effect under a flat prior given tau, shape (m,)."""
        tau2 = (tau * tau)[:, None]
        total = self.v + tau2
        weights = 1 / total
        s0, s1, s2 = weights.sum(axis=1, keepdims=True), weights @ self.y, weights @ self.y**2
        log_det = np.log(total).sum(axis=1, keepdims=True)
        if self.added is not None:
            more = 1 / (self.added.v + tau2)
            s0, s1, s2 = s0 + more, s1 + more * self.added.y, s2 + more * self.added.y**2
            log_det = log_det - np.log(more)
        mean = s1 / s0
        rss = np.maximum(s2 - s1 * mean, 0.0)
        log_marginal = -0.5 * (log_det + rss + np.log(s0) + (self.k - 1) * LOG_2PI)
        return Given(log_marginal, mean, np.broadcast_to(1 / s0, mean.shape))
