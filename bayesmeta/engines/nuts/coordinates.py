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
    """Coefficients as what they are given tau: normal, with the mean and spread of the posterior there.

    With g standard normal they are ``centre + A^-1 r + R^-T g``, all in units of `unit`: ``A = X'WX + P`` is
    their precision given tau, ``A = R R'``, and r what residuals and priors pull. So g and tau are as good as
    independent, however unequal the studies are; without that a study far more precise than tau is large
    makes a funnel of them, and heavy tails of tau those of the coefficients.
    """

    unit: float
    """Unit of the effects, a power of two."""
    centre: Floats
    """(p,) coefficients at a likely tau."""
    precision: Floats
    """(p,) precisions of the priors, as if every prior was normal; 0 where it is flat."""
    offset: Floats
    """(p,) means of the priors, from the centre."""
    X: Floats
    """(k, p) design matrix."""
    y: Floats
    """(k,) effects; for counts approximate ones."""
    v: Floats
    """(k,) their sampling variances."""
    residual: Floats
    """(k,) effects less their fit at the centre."""

    def variables(self, g: Floats, tau: Floats) -> Floats:
        """Return the variables (..., p) of the coefficients at g (..., p) and tau (..., 1) or (..., k)."""
        weights, p = 1 / (self.v + tau * tau), self.centre.size
        products = (self.X[:, :, None] * self.X[:, None, :]).reshape(-1, p * p)
        precision = (weights @ products).reshape(*weights.shape[:-1], p, p) + np.diag(self.precision)
        root = np.linalg.cholesky(precision)
        pulled = (weights * self.residual) @ self.X + self.precision * self.offset
        lifted = np.linalg.solve(root, pulled[..., None]) + g[..., None]
        return np.asarray(self.centre + np.linalg.solve(root.mT, lifted)[..., 0])

    def effects(self, b: Floats, tau: Floats, u: Floats) -> Floats:
        """Return true effects (..., k), for counts, at coefficients b (..., p), tau (..., 1) and u (..., k).

        Normal with the mean and spread that b, tau and the data leave them, as if the likelihood was normal:
        the observed effect where tau is large, the fit where it is small.
        """
        fit, total = b @ self.X.T, self.v + tau * tau
        deviation = (tau * (self.y - fit) + np.sqrt(self.v * total) * u) / total
        return np.asarray(fit + tau * deviation)


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
    """Return the coordinates of the coefficients, as if every prior was normal.

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
    y, v, X = y / unit, v / unit**2, problem.X_prior
    flat = [shape.square + shape.tail + shape.sharp == 0 for shape in shapes]
    mean = np.array(
        [shape.middle if none else shape.location for shape, none in zip(shapes, flat, strict=True)]
    )
    widths = [shape.half or np.inf if none else shape.scale for shape, none in zip(shapes, flat, strict=True)]
    prior = NormalPrior(mean, np.array(widths) ** -2.0)
    likely = profile(gaussian_data(y, v, X), np.array([tau * tau]), prior=prior).beta[0]
    centre = np.array([shape.variable(float(b)) for shape, b in zip(shapes, likely, strict=True)])
    return Coordinates(unit, centre, prior.precision, mean - likely, X, y, v, y - X @ likely)
