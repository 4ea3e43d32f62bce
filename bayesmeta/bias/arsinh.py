"""Distributions on a stretched axis: x = centre + scale sinh(t), the density of t being known on panels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.quadrature import ORDER, Panels, panel_density, panels

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.quadrature import PanelDensity

LONGEST = 3.0
"""Length of a panel of the coarsest grid."""
FEWEST = 2
MODE_POINTS = 10_001


class Axis(NamedTuple):
    """A stretched axis."""

    centre: float
    """Place of t = 0."""
    scale: float
    """Derivative of the place there."""

    def place(self, t: Floats) -> Floats:
        """Return x at coordinates t, shape (m,)."""
        return np.asarray(self.centre + self.scale * np.sinh(t))

    def coordinate(self, x: Floats) -> Floats:
        """Return t at places x, shape (m,)."""
        return np.asarray(np.arcsinh((x - self.centre) / self.scale))

    def log_derivative(self, t: Floats) -> Floats:
        """Return log dx/dt."""
        return np.asarray(np.log(self.scale) + np.logaddexp(t, -t) - np.log(2))


def axis_panels(ends: tuple[float, float], size: float) -> Panels:
    """Return the rule between two coordinates, `size` times as fine as the coarsest."""
    n = max(FEWEST, ceil((ends[1] - ends[0]) / LONGEST))
    return panels(np.linspace(*ends, ceil(n * size) + 1))


def point_panels() -> Panels:
    """Return the rule of one point, 0, of weight 1."""
    return Panels(np.zeros(2), np.zeros(1), np.ones(1))


@dataclass(frozen=True, eq=False)
class AxisDistribution:
    """A distribution on a stretched axis.

    Attributes
    ----------
    axis : Axis
        The axis.
    rule : Panels
        Panels of t.
    f : (n * ORDER,) array
        Density of t at their nodes.
    """

    axis: Axis
    rule: Panels
    f: Floats

    @cached_property
    def _mass(self) -> Floats:
        mass = self.f * self.rule.weights
        return np.asarray(mass / mass.sum())

    @cached_property
    def panels(self) -> PanelDensity:
        """Density of t between the nodes."""
        assert self.f.size % ORDER == 0  # noqa: S101
        return panel_density(self.rule, self.f / float(self.f @ self.rule.weights))

    @property
    def size(self) -> int:
        """Number of quantities, 1."""
        return 1

    @property
    def lowest(self) -> float:
        """Where the distribution begins."""
        return float(self.axis.place(self.rule.edges[:1])[0])

    def select(self, index: int) -> AxisDistribution:  # noqa: ARG002  # there is only one
        """Return the distribution of one quantity alone."""
        return self

    @cached_property
    def _centred(self) -> Floats:
        """Places of the nodes, less the centre of the axis."""
        return np.asarray(self.axis.scale * np.sinh(self.rule.x))

    def mean(self) -> Floats:
        """Return the (1,) mean."""
        return np.array([self.axis.centre + float(self._mass @ self._centred)])

    def _moment(self, order: int) -> float:
        return float(self._mass @ (self._centred - float(self._mass @ self._centred)) ** order)

    def sd(self) -> Floats:
        """Return the (1,) standard deviation."""
        return np.array([self._moment(2) ** 0.5])

    def skewness(self) -> Floats:
        """Return the (1,) skewness."""
        return np.array([self._moment(3) / self._moment(2) ** 1.5])

    def mode(self) -> Floats:
        """Return the (1,) highest point of the density of x, to a ten-thousandth of the range of t."""
        t = np.linspace(self.rule.edges[0], self.rule.edges[-1], MODE_POINTS)
        x = self.axis.place(t)
        return np.array([x[np.argmax(self.density(x)[:, 0])]])

    def cdf(self, x: Floats) -> Floats:
        """Return the (m, 1) probabilities of values up to x, shape (m,)."""
        return self.panels.cdf(self.axis.coordinate(np.asarray(x, dtype=np.float64).ravel()))[:, None]

    def density(self, x: Floats) -> Floats:
        """Return the (m, 1) densities at x, shape (m,)."""
        t = self.axis.coordinate(np.asarray(x, dtype=np.float64).ravel())
        return np.asarray(self.panels.density(t) * np.exp(-self.axis.log_derivative(t)))[:, None]

    def quantile(self, p: Floats) -> Floats:
        """Return the (m, 1) values below which the probabilities are p, shape (m,)."""
        t = self.panels.quantile(np.asarray(p, dtype=np.float64).ravel())
        return self.axis.place(t)[:, None]

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Return (n, 1) draws."""
        return self.quantile(rng.random(n))
