"""The posterior of two scale parameters on a grid: rows of the outer one, columns of the inner one.

The inner parameter is a tau. With one tau and one log ratio delta the outer one is delta; with the taus of
two groups it is that of the first. The coordinate of tau is scaled in every row by the smallest standard
error, as the studies' ratios of taus change it: the singularities of the likelihood, at ``tau_i^2 = -v_i``,
stay pi / 2 away from the axis then, whatever the log ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import NumericalError
from bayesmeta.location_scale import given_taus
from bayesmeta.results.axes import ratio_axis, tau_axis

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.location_scale import ScaleStructure, Solved
    from bayesmeta.problem import Problem
    from bayesmeta.results.axes import Axis

LARGEST_BLOCK = 2_000_000
"""Weights of studies held in memory at once."""


class Points(NamedTuple):
    """What is known at m points of the plane."""

    log_density: Floats
    """(m,) log of the posterior density of the coordinates, up to its constant."""
    parameters: Floats
    """(m, 2) scale parameters: taus, then delta."""
    beta: Floats
    """(m, p) means of the coefficients."""
    cov: Floats
    """(m, p, p) their covariances."""


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of two scale parameters of a problem."""

    problem: Problem

    @cached_property
    def scale(self) -> ScaleStructure:
        """How tau differs between studies."""
        assert self.problem.scale is not None  # noqa: S101 - otherwise there is one tau
        return self.problem.scale

    @property
    def of_taus(self) -> bool:
        """Whether both parameters are taus."""
        return self.scale.T == 2

    @cached_property
    def inner(self) -> Axis:
        """Coordinate of the inner tau."""
        return tau_axis(self.problem.priors.tau_density)

    @cached_property
    def outer(self) -> Axis:
        """Coordinate of the outer parameter."""
        return self.inner if self.of_taus else ratio_axis(self.scale.deltas[0])

    @cached_property
    def outer_scale(self) -> float:
        """Scale of the outer coordinate."""
        return self._smallest(self.scale.groups[:, 0] > 0) if self.of_taus else 1.0

    def inner_scale(self, outer: Floats) -> Floats:
        """Return the scales (n,) of the inner coordinate beside values (n,) of the outer parameter."""
        if self.of_taus:
            return np.full(np.shape(outer), self._smallest(self.scale.groups[:, 1] > 0))
        if self.inner.kind == "bounded":
            return np.ones(np.shape(outer))
        v, z = self.problem.v, self.scale.slopes[:, 0]
        smallest = (0.5 * np.log(v) - np.multiply.outer(outer, z)).min(axis=-1)
        return np.exp(np.minimum(smallest, np.log(self._typical)))

    @property
    def _typical(self) -> float:
        typical = self.problem.priors.tau_density.typical
        return typical if typical > 0 else np.inf

    def _smallest(self, members: Bools) -> float:
        return min(float(np.sqrt(self.problem.v[members].min())), self._typical)

    def parameters(self, x_outer: Floats, x_inner: Floats) -> Floats:
        """Return the scale parameters (n, 2) at coordinates (n,)."""
        outer = self.outer.value(x_outer, self.outer_scale)
        inner = self.inner.value(x_inner, self.inner_scale(outer))
        return np.column_stack([outer, inner] if self.of_taus else [inner, outer])

    def at(self, x_outer: Floats, x_inner: Floats) -> Points:
        """Return what is known at coordinates (n,)."""
        step = max(1, LARGEST_BLOCK // self.problem.k)
        blocks = [
            self._block(x_outer[start : start + step], x_inner[start : start + step])
            for start in range(0, x_outer.size, step)
        ]
        return blocks[0] if len(blocks) == 1 else Points(*map(np.concatenate, zip(*blocks, strict=True)))

    def _block(self, x_outer: Floats, x_inner: Floats) -> Points:
        parameters = self.parameters(x_outer, x_inner)
        known = self._given(self.scale.taus(parameters))
        outer = self.outer.value(x_outer, self.outer_scale)
        log_slope = self.outer.log_slope(x_outer, self.outer_scale)
        log_slope = log_slope + self.inner.log_slope(x_inner, self.inner_scale(outer))
        density = known.log_marginal + self._log_prior(parameters) + log_slope
        return Points(np.where(np.isnan(density), -np.inf, density), parameters, known.beta, known.cov)

    def _given(self, taus: Floats) -> Solved:
        try:
            return given_taus(self.problem, np.minimum(taus, 1e150))
        except np.linalg.LinAlgError:
            raise NumericalError(
                f"the coefficients cannot be told apart at tau = {taus.max():.0e}, which the priors of tau "
                "and delta reach; give all coefficients a Normal prior, or tau and delta narrower ones"
            ) from None

    def _log_prior(self, parameters: Floats) -> Floats:
        log_priors = self.scale.log_priors(self.problem.priors.tau_density, parameters)
        return np.asarray(log_priors.sum(axis=1))


class Rule(NamedTuple):
    """Equidistant coordinates of one parameter."""

    x: Floats
    """(n,) nodes."""
    step: float
    """Distance between neighbours."""
    even: bool
    """Whether it begins at 0 and the density is even, so that the first node counts half."""

    @property
    def weights(self) -> Floats:
        """(n,) weights of the trapezoidal rule; what is at the other ends is negligible."""
        weights = np.full(self.x.size, self.step)
        weights[0] /= 2 if self.even else 1
        return weights

    def thinned(self) -> Rule:
        """Return every second node."""
        return Rule(self.x[::2], 2 * self.step, self.even)


def rule_on(axis: Axis, low: float, high: float, steps: int) -> Rule:
    """Return the rule of some steps between two coordinates."""
    return Rule(np.linspace(low, high, steps + 1), (high - low) / steps, axis.kind == "even" and low == 0)


class ScaleNodes(NamedTuple):
    """The posterior on the nodes of two rules; nodes are in the order of rows of the outer one."""

    plane: Plane
    """What was integrated."""
    outer: Rule
    """Coordinates of the outer parameter, n of them."""
    inner: Rule
    """Coordinates of the inner parameter, m of them."""
    weights: Floats
    """(n m,) posterior probabilities of the nodes."""
    parameters: Floats
    """(n m, 2) scale parameters."""
    beta: Floats
    """(n m, p) means of the coefficients, in the user's coefficients."""
    cov: Floats
    """(n m, p, p) covariances."""
    log_density: Floats
    """(n m,) log of the posterior density of the coordinates, up to its constant."""
    log_evidence: float
    """Log of the marginal likelihood of the data."""
    error: float
    """Difference from the rules with every second node."""
    finer: Callable[[], ScaleNodes] | None = None
    """Returns the same on rules of half the steps."""

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of nodes of the outer and of the inner rule."""
        return self.outer.x.size, self.inner.x.size

    @property
    def mass(self) -> Floats:
        """(n, m) posterior probabilities of the nodes."""
        return self.weights.reshape(self.shape)

    def thinned(self, *, outer: bool, inner: bool) -> ScaleNodes:
        """Return the posterior on every second node of one rule or of both."""
        rules = (
            self.outer.thinned() if outer else self.outer,
            self.inner.thinned() if inner else self.inner,
        )
        place = np.arange(self.weights.size).reshape(self.shape)
        kept = place[:: 2 if outer else 1, :: 2 if inner else 1].ravel()
        points = Points(self.log_density[kept], self.parameters[kept], self.beta[kept], self.cov[kept])
        return on_rules(self.plane, *rules, points)._replace(finer=lambda: self)


def evaluated(plane: Plane, outer: Rule, inner: Rule) -> ScaleNodes:
    """Return the posterior on the nodes of two rules."""
    x_outer, x_inner = np.repeat(outer.x, inner.x.size), np.tile(inner.x, outer.x.size)
    return on_rules(plane, outer, inner, plane.at(x_outer, x_inner))


def on_rules(plane: Plane, outer: Rule, inner: Rule, points: Points) -> ScaleNodes:
    """Return the posterior from what is known at the nodes."""
    peak = float(points.log_density.max())
    mass = np.exp(points.log_density - peak) * np.multiply.outer(outer.weights, inner.weights).ravel()
    total = float(mass.sum())
    return ScaleNodes(
        plane=plane,
        outer=outer,
        inner=inner,
        weights=mass / total,
        parameters=points.parameters,
        beta=points.beta,
        cov=points.cov,
        log_density=points.log_density,
        log_evidence=peak + float(np.log(total)),
        error=0.0,
    )
