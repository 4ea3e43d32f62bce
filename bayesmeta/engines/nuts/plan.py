"""What the sampling process is told: a problem as one vector of numbers, and how to read its draws.

The density is that of the problem, in coordinates that make the sampler's work independent of units, of the
scale of moderators and of their correlation (`bayesmeta.engines.nuts.coordinates`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.engines.nuts.coordinates import approximate_effects, coordinates, likely_tau, unit_of
from bayesmeta.engines.nuts.shapes import location_shape, scale_shape
from bayesmeta.errors import ModelError

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.engines.nuts.coordinates import Coordinates
    from bayesmeta.engines.nuts.shapes import LocationShape, ScaleShape
    from bayesmeta.problem import Problem


class Parameters(NamedTuple):
    """Parameters in the units of the effects."""

    b: Floats
    """(..., p) coefficients that carry the priors."""
    tau: Floats
    """(...) between-study standard deviation."""
    theta: Floats | None
    """(..., k) effects, for counts; with a normal likelihood they are not sampled."""
    baseline: Floats | None
    """(..., k) group-2 log odds, for counts."""


class Plan(NamedTuple):
    """A problem as the sampling process gets it."""

    likelihood: str
    """``"normal"`` or ``"binomial"``, which names the density."""
    numbers: Floats
    """Vector that the density reads; the first is its length."""
    dim: int
    """Number of variables: ``p`` of coefficients and one of tau, for counts ``2 k`` more."""
    X: Floats
    """(k, p) design matrix."""
    at: Coordinates
    """Coordinates of the coefficients."""
    tau: ScaleShape
    """Prior of tau."""
    coefficients: tuple[LocationShape, ...]
    """Priors of the coefficients."""
    baselines: Baselines | None
    """Group-2 log odds, for counts."""

    def read(self, x: Floats) -> Parameters:
        """Return the parameters at points, shape (..., dim), of the sampler."""
        p, unit = self.X.shape[1], self.at.unit
        h = self.at.centre + x[..., :p] @ self.at.spread.T
        columns = [shape.value(h[..., j]) for j, shape in enumerate(self.coefficients)]
        b, tau = np.stack(columns, axis=-1), self.tau.signed_tau(x[..., p])
        if self.baselines is None:
            return Parameters(unit * b, unit * np.abs(tau), None, None)
        u, a = np.split(x[..., p + 1 :], 2, axis=-1)
        theta = unit * (b @ self.X.T + tau[..., None] * u)
        return Parameters(unit * b, unit * np.abs(tau), theta, self.baselines.read(a))


class Baselines(NamedTuple):
    """Group-2 log odds as ``centre + spread a``, between bounds if their prior has some."""

    prior: LocationShape
    """Prior of each."""
    centre: Floats
    """(k,) log odds at a = 0."""
    spread: Floats
    """(k,) standard errors."""

    def read(self, a: Floats) -> Floats:
        """Return the log odds at a, shape (..., k)."""
        return self.prior.value(self.centre + self.spread * a)


def plan(problem: Problem) -> Plan:
    """Return what the sampling process needs to know.

    Raises
    ------
    ModelError
        If a prior of tau is beyond the sampler.
    """
    y, v = approximate_effects(problem)
    unit = unit_of(y, v)
    tau = likely_tau(y, v, problem.priors.tau_density) / unit
    coefficients = tuple(location_shape(prior.rescaled(unit)) for prior in problem.priors.beta)
    at = coordinates(problem, coefficients, unit, tau)
    shape = _tau_shape(problem, unit, tau)
    baselines = None if problem.model.likelihood == "normal" else _baselines(problem)
    return Plan(
        likelihood=problem.model.likelihood,
        numbers=_numbers(problem, at, shape, coefficients, baselines),
        dim=problem.p + 1 + (0 if baselines is None else 2 * problem.k),
        X=problem.X_prior,
        at=at,
        tau=shape,
        coefficients=coefficients,
        baselines=baselines,
    )


def _tau_shape(problem: Problem, unit: float, tau: float) -> ScaleShape:
    on_square = problem.priors.tau_on == "tau2"
    prior = problem.priors.tau if on_square else problem.priors.tau_density
    rescaled = prior.rescaled(unit**2 if on_square else unit)
    shape = scale_shape(rescaled, on_square=on_square, typical=tau)
    if shape is None:
        raise ModelError(
            f"engine 'nuts' cannot run {problem.priors.tau} as the prior of {problem.priors.tau_on}; "
            "use engine='exact'"
        )
    return shape


def _baselines(problem: Problem) -> Baselines:
    c, d = problem.studies.arms["ci"] + 0.5, problem.studies.arms["di"] + 0.5
    prior = location_shape(problem.model.baseline)  # type: ignore[arg-type]
    centre = np.array([prior.variable(float(odds)) for odds in np.log(c / d)])
    return Baselines(prior, centre, np.sqrt(1 / c + 1 / d))


def _numbers(
    problem: Problem,
    at: Coordinates,
    tau: ScaleShape,
    coefficients: tuple[LocationShape, ...],
    baselines: Baselines | None,
) -> Floats:
    """Return the vector that `bayesmeta.engines.nuts.kernel` reads."""
    idle = location_shape(problem.priors.mu) if baselines is None else baselines.prior
    by_coefficient = np.column_stack([np.array(coefficients), at.centre, at.spread])
    by_study = np.column_stack([_observed(problem, at.unit, baselines), problem.X_prior])
    parts = [[problem.k, problem.p], tau, idle, by_coefficient.ravel(), by_study.ravel()]
    content = np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
    return np.concatenate([[content.size + 1.0], content])


def _observed(problem: Problem, unit: float, baselines: Baselines | None) -> Floats:
    """Return the columns of data that the density reads before the design matrix."""
    if baselines is None:
        return np.column_stack([problem.y / unit, problem.v / unit**2])
    a, b, c, d = (problem.studies.arms[name] for name in ("ai", "bi", "ci", "di"))
    units = np.full(problem.k, unit)
    return np.column_stack([a, a + b, c, c + d, baselines.centre, baselines.spread, units])
