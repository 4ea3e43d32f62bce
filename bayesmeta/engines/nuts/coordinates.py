"""Coordinates in which a posterior is round: units near the spread of the effects, no correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.kernel import NormalPrior, gaussian_data, profile
from bayesmeta.priors import Fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Floats
    from bayesmeta.engines.nuts.shapes import LocationShape
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem

HALF_A_CELL = 0.5


class Coordinates(NamedTuple):
    """Coefficients as ``centre + spread @ g``, all in units of `unit`, g being standard normal or so.

    That is at a likely tau. At another one the spread is stretched as the standard error of a pooled effect
    is, and a pooled effect is centred where it would be, so that g and tau are as good as independent: a
    study far more precise than tau is large would make a funnel of them otherwise, and heavy tails of tau
    those of the effect.
    """

    unit: float
    """Unit of the effects, a power of two."""
    tau: float
    """A likely tau."""
    centre: Floats
    """(p,) coefficients at g = 0."""
    spread: Floats
    """(p, p) lower triangular matrix."""
    v: Floats
    """(k,) sampling variances."""
    residual: Floats
    """(k,) effects less their fit at g = 0."""
    pull: Floats
    """(3,) prior precision of a pooled effect, its prior mean less the centre, information at `tau`."""

    @property
    def pooled(self) -> bool:
        """Whether there is a single coefficient."""
        return self.centre.size == 1

    def variables(self, g: Floats, tau: Floats) -> Floats:
        """Return the variables (..., p) of the coefficients at g (..., p) and tau (...)."""
        weights = 1 / (self.v + tau[..., None] ** 2)
        information = weights.sum(axis=-1) + self.pull[0]
        stretch = np.sqrt(self.pull[2] / information)
        shift = (weights @ self.residual + self.pull[0] * self.pull[1]) / information
        moved = self.centre + shift[..., None] if self.pooled else self.centre
        return np.asarray(moved + (stretch[..., None] * g) @ self.spread.T)


def approximate_effects(problem: Problem) -> tuple[Floats, Floats]:
    """Return effects and variances good enough to choose coordinates."""
    if problem.model.likelihood == "normal":
        return problem.y, problem.v
    a, b, c, d = (problem.studies.arms[name] + HALF_A_CELL for name in ("ai", "bi", "ci", "di"))
    return np.log(a * d / (b * c)), np.asarray(1 / a + 1 / b + 1 / c + 1 / d)


def unit_of(y: Floats, v: Floats) -> float:
    """Return a power of two near the spread of the effects and their errors."""
    return float(2.0 ** np.round(0.5 * np.log2(np.median(v) + np.var(y))))


def likely_tau(y: Floats, v: Floats, prior: Prior) -> float:
    """Return the smaller of what the effects and the prior suggest; a known tau as it is."""
    if isinstance(prior, Fixed):
        return prior.value
    seen = np.sqrt(np.median(v) / 4 + np.var(y) / 2)
    return float(min(seen, prior.quantile(np.array(0.5)))) if prior.proper else float(seen)


def coordinates(problem: Problem, shapes: Sequence[LocationShape], unit: float, tau: float) -> Coordinates:
    """Return mean and Cholesky factor of the coefficients at a likely tau, as if every prior was normal.

    Parameters
    ----------
    problem : Problem
        Studies, model and priors.
    shapes : sequence of LocationShape
        Priors of the coefficients, in units of `unit`.
    unit : float
        Unit of the effects.
    tau : float
        A likely tau, in units of `unit`.
    """
    y, v = approximate_effects(problem)
    flat = [shape.square + shape.tail + shape.sharp == 0 for shape in shapes]
    mean = np.array(
        [shape.middle if none else shape.location for shape, none in zip(shapes, flat, strict=True)]
    )
    widths = [shape.half or np.inf if none else shape.scale for shape, none in zip(shapes, flat, strict=True)]
    prior = NormalPrior(mean, np.array(widths) ** -2.0)
    known = profile(gaussian_data(y / unit, v / unit**2, problem.X_prior), np.array([tau * tau]), prior=prior)
    centre = np.array([shape.variable(float(b)) for shape, b in zip(shapes, known.beta[0], strict=True)])
    residual = y / unit - problem.X_prior @ known.beta[0]
    precision = prior.precision[0] if problem.p == 1 else 0.0
    information = np.sum(1 / (v / unit**2 + tau * tau)) + precision
    pull = np.array([precision, mean[0] - known.beta[0, 0], information])
    return Coordinates(unit, tau, centre, np.linalg.cholesky(known.cov[0]), v / unit**2, residual, pull)
