"""What the sampling process is told of a location-scale model, and how to read its draws.

Sampled are the coefficients, every tau and the coefficients delta of log tau, with the effects of the studies
integrated out. Coefficients are in coordinates that are round at any taus; a delta is counted in the
widths of its prior.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.engines.nuts.coordinates import coordinates, likely_tau, unit_of
from bayesmeta.engines.nuts.plan import location_numbers, tau_shape

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.engines.nuts.coordinates import Coordinates
    from bayesmeta.engines.nuts.shapes import LocationShape, ScaleShape
    from bayesmeta.location_scale import ScaleStructure
    from bayesmeta.problem import Problem


class ScaleParameters(NamedTuple):
    """Parameters in the units of the effects."""

    b: Floats
    """(..., p) coefficients that carry the priors."""
    scale: Floats
    """(..., T + q) taus, then deltas."""


class ScalePlan(NamedTuple):
    """A location-scale problem as the sampling process gets it."""

    numbers: Floats
    """Data of the model (`bayesmeta.engines.nuts.scale_densities`)."""
    at: Coordinates
    """Coordinates of the coefficients."""
    coefficients: tuple[LocationShape, ...]
    """Their priors."""
    tau: ScaleShape
    """Prior of every tau."""
    scale: ScaleStructure
    """How tau differs between studies."""
    deltas: tuple[LocationShape, ...]
    """Priors of the deltas."""

    @property
    def key(self) -> dict[str, str | int]:
        """Which compiled model serves it."""
        counts = {"p": len(self.coefficients), "taus": self.scale.T, "deltas": len(self.deltas)}
        return {"likelihood": "normal", **counts}

    @property
    def dim(self) -> int:
        """Number of variables."""
        return len(self.coefficients) + self.scale.size

    def read(self, x: Floats) -> ScaleParameters:
        """Return the parameters at points, shape (..., dim), of the sampler."""
        p, unit = len(self.coefficients), self.at.unit
        tau = np.abs(self.tau.signed_tau(x[..., p : p + self.scale.T]))
        z = x[..., p + self.scale.T :]
        delta = [
            shape.value(_start(shape) + _width(shape) * z[..., j]) for j, shape in enumerate(self.deltas)
        ]
        h = self.at.variables(x[..., :p], self.scale.taus(np.concatenate([tau, *_columns(delta)], axis=-1)))
        b = [shape.value(h[..., j]) for j, shape in enumerate(self.coefficients)]
        scale = np.concatenate([unit * tau, *_columns(delta)], axis=-1)
        return ScaleParameters(unit * np.stack(b, axis=-1), scale)


def _columns(values: list[Floats]) -> list[Floats]:
    return [value[..., None] for value in values]


def scale_plan(problem: Problem) -> ScalePlan:
    """Return what the sampling process needs to know of a location-scale problem.

    Raises
    ------
    ModelError
        If a prior is beyond the sampler.
    """
    scale, y, v = problem.scale, problem.y, problem.v
    assert scale is not None  # noqa: S101 - otherwise there is one tau
    unit = unit_of(y, v)
    tau = likely_tau(y, v, problem.priors.tau_density) / unit
    coefficients = tuple(location_numbers(prior, unit) for prior in problem.priors.beta)
    at = coordinates(problem, coefficients, unit, tau)
    shape = tau_shape(problem, unit, tau)
    deltas = tuple(location_numbers(prior, 1.0, of="of delta") for prior in scale.deltas)
    by_coefficient = np.vstack(
        [np.array([one.numbers for one in coefficients]).T, at.centre, at.precision, at.offset]
    )
    by_delta = [[*one.numbers, _start(one), _width(one)] for one in deltas]
    by_study = np.column_stack([at.y, at.v, at.residual, at.X, scale.weights])
    parts = [shape, by_coefficient.ravel(), np.ravel(by_delta), by_study.ravel()]
    numbers = np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
    return ScalePlan(numbers, at, coefficients, shape, scale, deltas)


def _start(shape: LocationShape) -> float:
    """Return the variable of a delta at the middle of its prior."""
    return shape.variable(shape.middle if shape.half else shape.location)


def _width(shape: LocationShape) -> float:
    """Return the width of the prior of a delta."""
    return shape.half or shape.scale
