"""What the sampling process is told: a problem in standard units and coordinates in which it is round.

Effects are measured in units near their spread, and the coefficients b in coordinates g with
``b = centre + spread @ g``, whose posterior at a typical tau is a standard normal. The density is the same,
the sampler's work does not depend on units, on the scale of moderators or on their correlation. Coefficients are
padded to a few fixed numbers by independent standard normal ones that touch nothing, so that one compiled
model serves the pooled analysis, the regressions, every subgroup and every study left out.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import ModelError
from bayesmeta.kernel import NormalPrior, gaussian_data, profile
from bayesmeta.priors import (
    Cauchy,
    Exponential,
    Fixed,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    Laplace,
    LogNormal,
    Lomax,
    Normal,
    StudentT,
    Uniform,
    Weibull,
)

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem

WIDTHS = (6, 12, 24, 48, 96)
"""Numbers of coefficients for which models are compiled."""
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
    Gamma,
    InverseGamma,
    Weibull,
)
HALF_A_CELL = 0.5


class Plan(NamedTuple):
    """A problem as the sampling process gets it.

    The key says which compiled model it needs, the arrays are its data.
    """

    key: dict[str, str | int]
    """``likelihood``, ``width``, ``tau`` (family), ``tau_on``; ``k`` for counts."""
    arrays: dict[str, Floats]
    """Data of the model."""
    unit: float
    """Unit of the effects."""
    centre: Floats
    """(p,) coefficients at g = 0, in units of `unit`."""
    spread: Floats
    """(p, p) matrix from g to coefficients, in units of `unit`."""


def plan(problem: Problem) -> Plan:
    """Return what the sampling process needs to know.

    Raises
    ------
    ModelError
        If a prior of tau or a number of coefficients is beyond the sampler.
    """
    tau = problem.priors.tau
    if not isinstance(tau, TAU_FAMILIES):
        raise ModelError(f"engine 'nuts' cannot run {tau} as the prior of tau; use engine='exact'")
    width = next((width for width in WIDTHS if width >= problem.p), None)
    if width is None:
        raise ModelError(f"engine 'nuts' takes at most {WIDTHS[-1]} coefficients; got {problem.p}")
    y, v = _approximate_effects(problem)
    unit = _unit(y, v)
    priors = [prior.rescaled(unit) for prior in problem.priors.beta]
    centre, spread = _coordinates(y / unit, v / unit**2, problem.X_prior, priors)
    on_square = problem.priors.tau_on == "tau2"
    tau = tau.rescaled(unit**2 if on_square else unit)
    arrays = {
        **_padded(problem, centre, spread, priors, width),
        **_tau_arrays(tau),
        **_observations(problem, unit),
    }
    key: dict[str, str | int] = {
        "likelihood": problem.model.likelihood,
        "width": width,
        "tau": type(tau).__name__,
        "tau_on": problem.priors.tau_on,
    }
    if problem.model.likelihood != "normal":
        key["k"] = problem.k
    return Plan(key, arrays, unit, centre, spread)


def _approximate_effects(problem: Problem) -> tuple[Floats, Floats]:
    """Return effects and variances good enough to choose coordinates."""
    if problem.model.likelihood == "normal":
        return problem.y, problem.v
    cells = [problem.studies.arms[name] + HALF_A_CELL for name in ("ai", "bi", "ci", "di")]
    a, b, c, d = cells
    return np.log(a * d / (b * c)), np.asarray(sum(1 / cell for cell in cells))


def _unit(y: Floats, v: Floats) -> float:
    """Return a power of two near the spread of the effects and their errors."""
    spread = np.median(v) + (np.var(y) if y.size > 1 else 0.0)
    return float(2.0 ** np.round(0.5 * np.log2(spread)))


def _coordinates(y: Floats, v: Floats, X: Floats, priors: list[Prior]) -> tuple[Floats, Floats]:
    """Return centre (p,) and spread (p, p): the posterior of the coefficients at a typical tau."""
    scales = np.array([_location_scale(prior) for prior in priors])
    prior = NormalPrior(scales[:, 0], np.where(np.isfinite(scales[:, 1]), scales[:, 1], np.inf) ** -2.0)
    tau2 = np.median(v) / 4 + (np.var(y) if y.size > 1 else 0.0) / 2
    known = profile(gaussian_data(y, v, X), np.array([tau2]), prior=prior)
    return known.beta[0], np.linalg.cholesky(known.cov[0])


def _location_scale(prior: Prior) -> tuple[float, float]:
    """Return location and scale of a prior of a coefficient; infinite for a flat one."""
    match prior:
        case Normal(mu, sigma) | StudentT(_, mu, sigma) | Cauchy(mu, sigma) | Laplace(mu, sigma):
            return mu, sigma
        case Uniform(lower, upper):
            return (lower + upper) / 2, (upper - lower) / 2
    return 0.0, np.inf


def _prior_arrays(priors: list[Prior], name: str) -> dict[str, Floats]:
    """Return the priors as ``-square z^2 / 2 - tail log(1 + z^2 / nu) - sharp |z|``, z being standardised.

    A uniform prior has ``limit`` 1, the largest abs(z).
    """
    rows = [_prior_row(prior) for prior in priors]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 7).T
    names = ("location", "scale", "square", "tail", "nu", "sharp", "limit")
    return {f"{name}_{part}": column for part, column in zip(names, columns, strict=True)}


def _prior_row(prior: Prior) -> tuple[float, ...]:
    location, scale = _location_scale(prior)
    finite = scale if np.isfinite(scale) else 1.0
    match prior:
        case Normal():
            shape = (1.0, 0.0, 1.0, 0.0, np.inf)
        case StudentT(nu):
            shape = (0.0, (nu + 1) / 2, nu, 0.0, np.inf)
        case Cauchy():
            shape = (0.0, 1.0, 1.0, 0.0, np.inf)
        case Laplace():
            shape = (0.0, 0.0, 1.0, 1.0, np.inf)
        case Uniform():
            shape = (0.0, 0.0, 1.0, 0.0, 1.0)
        case _:
            shape = (0.0, 0.0, 1.0, 0.0, np.inf)
    return (location, finite, *shape)


def _padded(
    problem: Problem, centre: Floats, spread: Floats, priors: list[Prior], width: int
) -> dict[str, Floats]:
    p, extra = problem.p, width - problem.p
    padded_spread = np.eye(width)
    padded_spread[:p, :p] = spread
    X = np.column_stack([problem.X_prior, np.zeros((problem.k, extra))])
    own = _prior_arrays([*priors, *[Normal(0, 1)] * extra], "prior")
    return {"X": X, "centre": np.append(centre, np.zeros(extra)), "spread": padded_spread, **own}


def _tau_arrays(tau: Prior) -> dict[str, Floats]:
    parameters = [float(getattr(tau, part.name)) for part in fields(tau)]
    return {"tau_parameters": np.array([*parameters, 0.0, 0.0][:2])}


def _observations(problem: Problem, unit: float) -> dict[str, Floats]:
    if problem.model.likelihood == "normal":
        return {"y": problem.y / unit, "v": problem.v / unit**2}
    arms = problem.studies.arms
    n1, n2 = arms["ai"] + arms["bi"], arms["ci"] + arms["di"]
    baseline = _prior_arrays([problem.model.baseline], "baseline")  # type: ignore[list-item]
    return {
        "events1": arms["ai"],
        "n1": n1,
        "events2": arms["ci"],
        "n2": n2,
        "unit": np.array([unit]),
        **baseline,
    }
