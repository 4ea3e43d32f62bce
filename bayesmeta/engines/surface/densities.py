"""Many priors of tau, whose log densities at the same values are found together."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache, cached_property
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.priors import Prior


class Family(NamedTuple):
    """Priors that differ only in scale: ``p(x) = p1(x / s) / s``."""

    standard: Prior
    """The member with scale 1, or a prior alone."""
    rows: Ints
    """(n,) places of the members."""
    scales: Floats
    """(n,) scales."""


@dataclass(frozen=True, eq=False)
class Densities:
    """Densities of tau.

    Attributes
    ----------
    priors : tuple of Prior
        A priors, design-dependent ones bound to the studies.
    """

    priors: tuple[Prior, ...]

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The priors by family."""
        members: dict[object, list[tuple[int, float]]] = {}
        for row, prior in enumerate(self.priors):
            scale, shape = _scale_and_shape(prior)
            key = row if shape is None else (type(prior), shape)
            members.setdefault(key, []).append((row, scale))
        return tuple(self._family(found) for found in members.values())

    def _family(self, members: list[tuple[int, float]]) -> Family:
        rows, scales = zip(*members, strict=True)
        first = self.priors[rows[0]]
        return Family(
            first if scales[0] == 1 else first.rescaled(scales[0]), np.array(rows), np.array(scales)
        )

    @cached_property
    def typical(self) -> Floats:
        """(A,) medians, infinite for improper priors."""
        values = np.empty(len(self.priors))
        for standard, rows, scales in self.families:
            values[rows] = standard.typical * scales
        return values

    @cached_property
    def tails(self) -> Floats:
        """(A,) exponents of the tails."""
        return np.array([prior.tail for prior in self.priors])

    @cached_property
    def kinks(self) -> Floats:
        """Values above 0 at which densities begin or end, in increasing order."""
        ends = {end for prior in self.priors for end in prior.support if 0 < end < inf}
        return np.array(sorted(ends))

    @cached_property
    def regular(self) -> bool:
        """Whether all are analytic at 0, from the right."""
        return all(standard.regular for standard, _, _ in self.families)

    def logpdf(self, x: Floats) -> Floats:
        """Return the (A, m) log densities at `x`, shape (m,)."""
        values = np.empty((len(self.priors), x.size))
        for standard, rows, scales in self.families:
            inside = x / scales[:, None]
            values[rows] = standard.logpdf(inside if scales.size > 1 else inside[0])
            values[rows] -= np.log(scales)[:, None]
        return values


def scale_of(prior: Prior) -> float:
    """Return the one parameter that is a scale, or the inverse of a rate; 1 where there is none."""
    return _scale_and_shape(prior)[0]


def _scale_and_shape(prior: Prior) -> tuple[float, object]:
    """Return the scale of a prior and its other parameters; 1 and None where no parameter is one."""
    names = [*prior.in_units, *prior.in_inverse_units]
    parameters = _parameters(type(prior))  # type: ignore[arg-type]
    if len(names) != 1 or names[0] not in parameters:
        return 1.0, None
    value = getattr(prior, names[0])
    if not 1e-300 < value < 1e300:
        return 1.0, None
    scale = 1 / value if prior.in_inverse_units else value
    return scale, tuple(getattr(prior, name) for name in parameters if name != names[0])


@cache
def _parameters(family: type[Prior]) -> tuple[str, ...]:
    return tuple(part.name for part in fields(family))
