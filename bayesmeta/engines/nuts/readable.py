"""The model as a PyMC model for people: named coordinates, the priors as they were written.

The sampler of this package uses the same density in other coordinates (`bayesmeta.engines.nuts.plan`); the
tests compare both, prior by prior.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.errors import ModelError
from bayesmeta.priors import (
    Exponential,
    Fixed,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogNormal,
    LogStudentT,
    Lomax,
    MixedPrior,
    Mixture,
    Truncated,
    Uniform,
    Weibull,
)
from bayesmeta.priors.location import LocationPrior

if TYPE_CHECKING:
    import pymc as pm

    from bayesmeta.location_scale import ScaleStructure
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem

TAU_FAMILIES = (
    Fixed,
    Flat,
    HalfNormal,
    HalfCauchy,
    HalfStudentT,
    Exponential,
    Uniform,
    Lomax,
    LogNormal,
    LogStudentT,
    Gamma,
    InverseGamma,
    Weibull,
)
"""Priors of tau or tau2 that PyMC has, or that one term makes."""


COMPOSED = (Truncated, Mixture)
"""Priors that are made of others."""


def to_pymc(problem: Problem) -> pm.Model:
    """Return the model of a problem, ready for `pymc.sample`.

    Parameters
    ----------
    problem : Problem
        Studies, model and priors.

    Returns
    -------
    pymc.Model
        Coordinates ``study`` and ``coefficient``; variables ``mu`` (without moderators) or ``beta``, ``tau``,
        where it differs between studies ``tau`` of each level, ``delta`` and ``tau_of_study``;
        for the normal likelihood the observed ``y``, for counts ``baseline``, ``theta`` and the observed
        events ``ai`` and ``ci``.

    Raises
    ------
    ModelError
        If PyMC has no such prior.

    Notes
    -----
    With a normal likelihood the study effects are integrated out: ``y ~ N(X beta, v + tau^2)``. Given
    coefficients and tau they are independent normal variables. tau is the absolute value of ``tau_signed``
    where its density is finite at 0, because the boundary makes NUTS diverge on the log scale; the density of
    tau is the one that was asked for.
    """
    import pymc as pm

    if not _has(problem.priors.tau):
        raise ModelError(f"PyMC has no prior {problem.priors.tau} of tau; use a family such as HalfNormal")
    odd = [prior for prior in problem.priors.beta if not _has(prior)]
    if odd:
        raise ModelError(f"PyMC has no prior {odd[0]} of a coefficient; use a family such as Normal")
    coords = {"study": list(problem.studies.slab), "coefficient": list(problem.coefficients)}
    deltas = () if problem.scale is None else problem.scale.deltas
    wrong = [prior for prior in deltas if not _has(prior)]
    if wrong:
        raise ModelError(f"PyMC has no prior {wrong[0]} of delta; use a family such as Normal")
    with pm.Model(coords=coords) as model:
        mean = _mean(problem)
        tau = _tau(problem) if problem.scale is None else _study_taus(problem, problem.scale)
        if problem.model.likelihood == "normal":
            se = pm.Data("se", np.sqrt(problem.v), dims="study")
            pm.Normal("y", mean, pm.math.sqrt(se**2 + tau**2), observed=problem.y, dims="study")
        else:
            _counts(problem, mean, tau)
    return model


def _has(prior: Prior) -> bool:
    """Return whether PyMC can say a prior, as a distribution or as one term of the density."""
    if isinstance(prior, Truncated):
        return _has(prior.prior)
    if isinstance(prior, MixedPrior):
        return all(_has(part) and not isinstance(part, Fixed) for _, part in prior.parts)
    return isinstance(prior, (*TAU_FAMILIES, LocationPrior))


def _mean(problem: Problem) -> Any:
    """Add the coefficients and return the (k,) mean effects of the studies."""
    import pymc as pm

    if problem.is_pooled:
        return _distribution("mu", [problem.priors.mu]) * np.ones(problem.k)
    X = pm.Data("X", problem.X_prior, dims=("study", "coefficient"))
    plain = np.array_equal(problem.transform, np.eye(problem.p))
    families = {type(prior) for prior in problem.priors.beta}
    if len(families) == 1 and not families & {*COMPOSED}:
        b = _distribution("beta" if plain else "beta_centred", problem.priors.beta, dims="coefficient")
    else:
        named = zip(problem.coefficients, problem.priors.beta, strict=True)
        b = pm.math.stack([_distribution(f"prior[{name}]", [prior]) for name, prior in named])
    if not plain or len(families) > 1:
        pm.Deterministic("beta", pm.math.dot(problem.transform, b), dims="coefficient")
    return pm.math.dot(X, b)


def _distribution(name: str, priors: Any, *, dims: str | None = None) -> Any:
    """Add a variable with priors of one family; with `dims` a vector."""
    import pymc as pm

    if isinstance(priors[0], COMPOSED):
        return _composed(name, priors[0])
    family = getattr(pm, type(priors[0]).__name__)
    parts = {part: np.array([getattr(prior, part) for prior in priors]) for part in asdict(priors[0])}
    if dims is None:
        return family(name, **{part: np.float64(values[0]) for part, values in parts.items()})
    return family(name, **parts, dims=dims)


def _composed(name: str, prior: Prior) -> Any:
    """Add a variable within the support of a prior whose density is one term."""
    import pymc as pm

    low, high = prior.support
    bounds = [float(end) if np.isfinite(end) else None for end in (low, high)]
    start = float(prior.quantile(np.array(0.5)))
    if bounds == [None, None]:
        value = pm.Flat(name, initval=start)
    else:
        interval = pm.distributions.transforms.Interval(*bounds)
        value = pm.Flat(name, default_transform=interval, initval=start)
    pm.Potential(f"{name}_prior", _log_density(prior, value))
    return value


def _log_density(prior: Prior, value: Any) -> Any:
    """Return the log density of a prior at a variable within its support, up to a constant."""
    import pymc as pm

    match prior:
        case Truncated(inner):
            return _log_density(inner, value)
        case MixedPrior():
            terms = [np.log(weight) + _log_density(part, value) for weight, part in prior.parts]
            return pm.math.logsumexp(pm.math.stack(terms))
        case LogStudentT(nu, mu, sigma):
            log_value = pm.math.log(value)
            of_log = pm.StudentT.dist(nu=np.float64(nu), mu=np.float64(mu), sigma=np.float64(sigma))
            return pm.logp(of_log, log_value) - log_value
        case Lomax(alpha, scale):
            constant = np.log(alpha / scale)
            return constant - np.float64(alpha + 1) * pm.math.log1p(value / np.float64(scale))
    parts = {part: np.float64(number) for part, number in asdict(prior).items()}
    return pm.logp(getattr(pm, type(prior).__name__).dist(**parts), value)


def _study_taus(problem: Problem, scale: ScaleStructure) -> Any:
    """Add the scale parameters and return the (k,) taus of the studies."""
    import pymc as pm

    taus = pm.math.stack([_tau(problem, name) for name in scale.names[: scale.T]])
    tau = pm.math.dot(scale.groups, taus)
    for name, prior, column in zip(scale.names[scale.T :], scale.deltas, scale.slopes.T, strict=True):
        tau = tau * pm.math.exp(column * _distribution(name, [prior]))
    return pm.Deterministic("tau_of_study", tau, dims="study")


def _tau(problem: Problem, name: str = "tau") -> Any:
    """Add a tau and return it."""
    import pymc as pm

    prior, on_square = problem.priors.tau, problem.priors.tau_on == "tau2"
    if isinstance(prior, Fixed):
        value = prior.value**0.5 if on_square else prior.value
        return pm.Deterministic(name, pm.math.constant(np.float64(value)))
    if on_square:
        square = _positive(name.replace("tau", "tau2", 1), prior)
        return pm.Deterministic(name, pm.math.sqrt(square))
    signed = _signed(f"{name}_signed", prior)
    return _positive(name, prior) if signed is None else pm.Deterministic(name, pm.math.abs(signed))


def _signed(name: str, prior: Prior) -> Any:
    """Add the even continuation of a density that is finite at 0; None for the others."""
    import pymc as pm

    match prior:
        case HalfNormal(sigma):
            return pm.Normal(name, 0.0, np.float64(sigma))
        case HalfCauchy(beta):
            return pm.Cauchy(name, 0.0, np.float64(beta))
        case HalfStudentT(nu, sigma):
            return pm.StudentT(name, nu=np.float64(nu), mu=0.0, sigma=np.float64(sigma))
        case Exponential(lam):
            return pm.Laplace(name, 0.0, np.float64(1 / lam))
        case Uniform(0.0, upper):
            return pm.Uniform(name, np.float64(-upper), np.float64(upper))
        case Lomax(alpha, scale):
            signed = pm.Flat(name)
            density = -np.float64(alpha + 1) * pm.math.log1p(pm.math.abs(signed) / np.float64(scale))
            pm.Potential(f"{name}_prior", density)
            return signed
        case Flat():
            return pm.Flat(name)
    return None


def _positive(name: str, prior: Prior) -> Any:
    """Add a positive variable with the given prior."""
    import pymc as pm

    if isinstance(prior, Lomax | LogStudentT):
        value = pm.HalfFlat(name)
        pm.Potential(f"{name}_prior", _log_density(prior, value))
        return value
    return pm.HalfFlat(name) if isinstance(prior, Flat) else _distribution(name, [prior])


def _counts(problem: Problem, mean: Any, tau: Any) -> None:
    """Add the events of both groups, with non-centred study effects."""
    import pymc as pm

    baseline = _baseline(problem)
    standard = pm.Normal("theta_standardised", 0.0, 1.0, dims="study")
    theta = pm.Deterministic("theta", mean + tau * standard, dims="study")
    arms = problem.studies.arms
    for events, others, logit in (("ai", "bi", baseline + theta), ("ci", "di", baseline)):
        n = (arms[events] + arms[others]).astype(np.int64)
        pm.Binomial(events, n=n, logit_p=logit, observed=arms[events].astype(np.int64), dims="study")


def _baseline(problem: Problem) -> Any:
    return _distribution("baseline", [problem.model.baseline] * problem.k, dims="study")
