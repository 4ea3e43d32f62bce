"""What a model says before it has seen an effect: quantiles of its priors and of what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from bayesmeta.inversion import invert
from bayesmeta.model import Model
from bayesmeta.priors import Normal
from bayesmeta.problem import pose
from bayesmeta.results.conflict import nodes
from bayesmeta.results.marginal import check_interval
from bayesmeta.results.posterior import typical_variance

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem
    from bayesmeta.studies import Studies

RANGE = 2 * float(special.ndtri(0.975))
"""Length of the central 95 % range of the true effects, in units of tau."""
TINY = 1e-300
HERMITE, HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
HERMITE_WEIGHTS = HERMITE_WEIGHTS / HERMITE_WEIGHTS.sum()
FARTHEST = 1e75
"""Beyond this fourth powers overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class PriorMarginal:
    """Prior distribution of one quantity.

    Attributes
    ----------
    name : str
        The quantity.
    quantile, cdf : callable
        Quantiles at probabilities (n,), and distribution function at values (n,).
    mean, sd : float
        NaN where they do not exist.
    """

    name: str
    quantile: Callable[[Floats], Floats]
    cdf: Callable[[Floats], Floats]
    mean: float
    sd: float


def prior_predictive(studies: Studies, model: Model | None = None, *, prob: float = 0.95) -> pd.DataFrame:
    """Return what the priors of a model say of the effects, before the effects of the studies count.

    Parameters
    ----------
    studies : Studies
        Studies; their variances, sample sizes and moderators count, never their effects.
    model : Model, optional
        What is assumed; by default random effects with the default priors.
    prob : float
        Probability of the central intervals.

    Returns
    -------
    DataFrame
        Rows ``mu`` or the coefficients that carry the priors, ``tau``, and without moderators ``theta_new``,
        the effect in a new study; ``I2`` in percent, where the likelihood is normal and k > p; ``range``, the
        length of the central 95 % range of the true effects, 3.92 tau; for ratios ``range_ratio``, the ratio
        of its ends, without mean and sd. Columns ``median mean sd lower upper``; what does not exist is NaN.

    Notes
    -----
    Nothing is drawn: effects are integrated over the prior of tau.

    Examples
    --------
    >>> from bayesmeta.studies import Studies
    >>> studies = Studies.from_effects([0.1, 0.3], sei=[0.1, 0.1])
    >>> table = prior_predictive(studies, Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    >>> round(float(table.loc["range", "upper"]), 3)
    4.393
    """
    import pandas as pd

    check_interval(prob, "eti")
    problem = pose(studies, Model() if model is None else model)
    rows = {one.name: _row(one, prob) for one in prior_marginals(problem)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _row(one: PriorMarginal, prob: float) -> dict[str, float]:
    lower, median, upper = one.quantile(np.array([(1 - prob) / 2, 0.5, (1 + prob) / 2]))
    return {
        "median": float(median),
        "mean": one.mean,
        "sd": one.sd,
        "lower": float(lower),
        "upper": float(upper),
    }


def prior_marginals(problem: Problem) -> list[PriorMarginal]:
    """Return the prior distributions of coefficients, tau, new effects, I2 and the range of true effects."""
    found = [
        _of_prior(name, prior) for name, prior in zip(problem.coefficients, problem.priors.beta, strict=True)
    ]
    tau = problem.priors.tau_density
    found.append(_of_prior("tau", tau))
    if problem.is_pooled:
        found.append(_new_study(problem.priors.mu, tau))
    typical = typical_variance(problem)
    if np.isfinite(typical):
        found.append(_of_tau("I2", tau, *_inconsistency(typical)))
    found.append(_of_tau("range", tau, lambda t: RANGE * t, lambda r: r / RANGE))
    if problem.studies.is_ratio:
        with np.errstate(divide="ignore"):
            found.append(
                _of_tau("range_ratio", tau, lambda t: np.exp(RANGE * t), lambda r: np.log(r) / RANGE)
            )
    return found


def _inconsistency(typical: float) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
    """Return I2 in percent as a function of tau, and tau as a function of I2."""

    def forward(tau: Floats) -> Floats:
        square = np.minimum(tau, FARTHEST) ** 2
        return 100 * square / (square + typical)

    def backward(i2: Floats) -> Floats:
        share = np.clip(i2, 0.0, 100.0) / 100
        with np.errstate(divide="ignore"):
            return np.sqrt(typical * share / (1 - share))

    return forward, backward


def _nothing(p: Floats) -> Floats:
    return np.full(np.shape(p), nan)


def _of_prior(name: str, prior: Prior) -> PriorMarginal:
    if not prior.proper:
        return PriorMarginal(name, _nothing, _nothing, nan, nan)
    return PriorMarginal(name, prior.quantile, prior.cdf, prior.mean, _sd(prior))


def _sd(prior: Prior) -> float:
    """Return the standard deviation of a proper prior, NaN where it does not exist."""
    if prior.tail <= 3:
        return nan
    x, weights = _points(prior)
    return float(np.sqrt(weights @ (x - prior.mean) ** 2))


def _of_tau(
    name: str, tau: Prior, forward: Callable[[Floats], Floats], backward: Callable[[Floats], Floats]
) -> PriorMarginal:
    """Return the prior of an increasing function of tau."""
    if not tau.proper:
        return PriorMarginal(name, _nothing, _nothing, nan, nan)
    x, weights = _points(tau)
    with np.errstate(over="ignore", invalid="ignore"):
        values = forward(x)
        mean = float(weights @ values) if _bounded(name) or tau.tail > 2 else nan
        sd = float(np.sqrt(weights @ (values - mean) ** 2)) if _bounded(name) or tau.tail > 3 else nan
    if name == "range_ratio":
        mean = sd = nan

    def quantile(p: Floats) -> Floats:
        with np.errstate(over="ignore"):
            return forward(tau.quantile(p))

    return PriorMarginal(name, quantile, lambda value: tau.cdf(backward(value)), mean, sd)


def _bounded(name: str) -> bool:
    return name == "I2"


def _new_study(mu: Prior, tau: Prior) -> PriorMarginal:
    """Return the prior of the effect in a new study, the sum of a mean and tau times a normal variable.

    A normal prior of the mean makes it a mixture of normal distributions over tau. Others are summed over
    their own points where tau is wider than they are, and over the normal variable where it is narrower.
    """
    if not (mu.proper and tau.proper):
        return PriorMarginal("theta_new", _nothing, _nothing, nan, nan)
    scale, share = _points(tau)
    normal, narrow = [], []
    for weight, part in mu.parts:
        if isinstance(part, Normal):
            normal.append((weight * share, np.full(scale.size, part.mu), np.hypot(part.sigma, scale)))
            continue
        at, mass = _points(part)
        wide = scale > part.typical
        means, sds = np.repeat(at, wide.sum()), np.tile(scale[wide], at.size)
        normal.append(((weight * mass[:, None] * share[wide]).ravel(), means, sds))
        narrow.append((part, weight * share[~wide], scale[~wide]))
    weights, means, sds = (np.concatenate(column) for column in zip(*normal, strict=True))

    def summed(x: Floats, of_normal: Callable[[Floats], Floats], of_mean: str) -> Floats:
        x = np.asarray(x, dtype=np.float64)
        total = of_normal((x[:, None] - means) / sds) @ weights if weights.size else np.zeros(x.size)
        for part, shares, spreads in narrow:
            values = getattr(part, of_mean)(x[:, None, None] - spreads[:, None] * HERMITE)
            total = total + (np.exp(values) if of_mean == "logpdf" else values) @ HERMITE_WEIGHTS @ shares
        return np.asarray(total)

    def cdf(x: Floats) -> Floats:
        return summed(x, special.ndtr, "cdf")

    def density(x: Floats) -> Floats:
        return summed(x, lambda z: np.exp(-0.5 * z * z) / (sds * np.sqrt(2 * np.pi)), "logpdf")

    def quantile(p: Floats) -> Floats:
        far = np.abs(mu.quantile(p)) + 40 * np.maximum(tau.quantile(np.maximum(p, 1 - p)), TINY)
        far = far + np.abs(mu.quantile(1 - p)) + TINY
        return invert(cdf, density, p, low=-far, high=far, width=max(mu.typical, tau.typical))

    lightest, spread = min(mu.tail, tau.tail), _sd(mu)
    variance = spread**2 + float(share @ scale**2)
    mean, sd = mu.mean if lightest > 2 else nan, float(np.sqrt(variance)) if lightest > 3 else nan
    return PriorMarginal("theta_new", quantile, cdf, mean, sd)


def _points(prior: Prior) -> tuple[Floats, Floats]:
    """Return points of a proper prior and their weights, the farthest brought to where squares are finite."""
    x, weights = nodes(prior)
    return np.clip(x, -FARTHEST, FARTHEST), weights
