"""What the sampling process is told: a problem as one vector of numbers, and how to read its draws.

The density is that of the problem, in coordinates that make the sampler's work independent of units, of the
scale of moderators and of their correlation (`bayesmeta.engines.nuts.coordinates`). Coefficients are padded
to a few fixed numbers by independent standard normal ones that touch nothing, so that one compiled model
serves the pooled analysis, the regressions and every subgroup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.engines.nuts.coordinates import approximate_effects, coordinates, likely_tau, unit_of
from bayesmeta.engines.nuts.shapes import LocationShape, location_shape, scale_shape
from bayesmeta.errors import ModelError

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.engines.nuts.coordinates import Coordinates
    from bayesmeta.engines.nuts.shapes import ScaleShape
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem


IDLE = LocationShape(0.0, 1.0, square=1.0)
"""Standard normal prior, of padding."""
WIDTHS = (6, 12, 24, 48, 96)
"""Numbers of coefficients for which models are compiled."""


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
    """``"normal"`` or ``"binomial"``."""
    numbers: Floats
    """Data of the model (`bayesmeta.engines.nuts.densities`)."""
    width: int
    """Number of coefficients, the padding included."""
    at: Coordinates
    """Coordinates of the coefficients."""
    tau: ScaleShape
    """Prior of tau."""
    coefficients: tuple[LocationShape, ...]
    """Priors of the coefficients."""
    baselines: Baselines | None
    """Group-2 log odds, for counts."""

    @property
    def X(self) -> Floats:
        """(k, p) design matrix."""
        return self.at.X

    @property
    def key(self) -> dict[str, str | int]:
        """Which compiled model serves it: counts have variables for each study."""
        counts = {} if self.baselines is None else {"k": self.X.shape[0]}
        return {"likelihood": self.likelihood, "width": self.width, **counts}

    @property
    def dim(self) -> int:
        """Number of variables: those of coefficients, one of tau, and for counts two for each study."""
        return self.width + 1 + (0 if self.baselines is None else 2 * self.X.shape[0])

    def read(self, x: Floats) -> Parameters:
        """Return the parameters at points, shape (..., dim), of the sampler."""
        p, unit = self.X.shape[1], self.at.unit
        tau = self.tau.signed_tau(x[..., self.width])
        h = self.at.variables(x[..., :p], tau[..., None])
        b = np.stack([shape.value(h[..., j]) for j, shape in enumerate(self.coefficients)], axis=-1)
        if self.baselines is None:
            return Parameters(unit * b, unit * np.abs(tau), None, None)
        u, a = np.split(x[..., self.width + 1 :], 2, axis=-1)
        theta = unit * self.at.effects(b, tau[..., None], u)
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
        If a prior of tau or the number of coefficients is beyond the sampler.
    """
    width = next((width for width in WIDTHS if width >= problem.p), None)
    if width is None:
        raise ModelError(f"engine 'nuts' takes at most {WIDTHS[-1]} coefficients; got {problem.p}")
    y, v = approximate_effects(problem)
    unit = unit_of(y, v)
    tau = likely_tau(y, v, problem.priors.tau_density) / unit
    coefficients = tuple(location_numbers(prior, unit) for prior in problem.priors.beta)
    at = coordinates(problem, coefficients, unit, tau)
    shape = tau_shape(problem, unit, tau)
    baselines = None if problem.model.likelihood == "normal" else _baselines(problem)
    return Plan(
        likelihood=problem.model.likelihood,
        numbers=_numbers(problem, at, shape, coefficients, baselines, width),
        width=width,
        at=at,
        tau=shape,
        coefficients=coefficients,
        baselines=baselines,
    )


def location_numbers(prior: Prior, unit: float, *, of: str = "of a coefficient") -> LocationShape:
    """Return the prior of a coefficient as numbers, in units of `unit`."""
    shape = location_shape(prior.rescaled(unit))
    if shape is None:
        raise ModelError(
            f"engine 'nuts' cannot run {prior} as the prior {of}; use a family such as Normal or StudentT, "
            "or a mixture of normal ones"
        )
    return shape


def tau_shape(problem: Problem, unit: float, tau: float) -> ScaleShape:
    """Return the prior of tau as numbers, in units of `unit`, for which `tau` is a likely value."""
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
    prior = location_numbers(problem.model.baseline, 1.0, of="of the baselines")  # type: ignore[arg-type]
    centre = np.array([prior.variable(float(odds)) for odds in np.log(c / d)])
    return Baselines(prior, centre, np.sqrt(1 / c + 1 / d))


def _numbers(
    problem: Problem,
    at: Coordinates,
    tau: ScaleShape,
    coefficients: tuple[LocationShape, ...],
    baselines: Baselines | None,
    width: int,
) -> Floats:
    """Return the vector that the model reads: priors, coordinates by coefficient, data by study.

    A compiled model takes a second longer for every array of data, so that there is one.
    """
    baseline = IDLE if baselines is None else baselines.prior
    X = np.pad(at.X, ((0, 0), (0, width - problem.p)))
    by_study = np.column_stack([*_observed(problem, at, baselines), at.v, at.residual, X])
    parts = [tau, [at.unit], baseline.numbers, _by_coefficient(at, coefficients, width).ravel()]
    return np.concatenate([*map(np.asarray, parts), by_study.ravel()])


def _by_coefficient(at: Coordinates, coefficients: tuple[LocationShape, ...], width: int) -> Floats:
    """Return priors and coordinates, a column for each coefficient; those up to `width` are idle."""
    idle = width - len(coefficients)
    priors = np.array([shape.numbers for shape in (*coefficients, *[IDLE] * idle)]).T
    around = [np.pad(at.centre, (0, idle)), np.pad(at.precision, (0, idle), constant_values=1.0)]
    return np.vstack([priors, *around, np.pad(at.offset, (0, idle))])


def _observed(problem: Problem, at: Coordinates, baselines: Baselines | None) -> list[Floats]:
    """Return the columns of data: effects, or events and sizes of both arms with their baselines before."""
    if baselines is None:
        return [at.y]
    a, b, c, d = (problem.studies.arms[name] for name in ("ai", "bi", "ci", "di"))
    return [a, a + b, c, c + d, baselines.centre, baselines.spread, at.y]
