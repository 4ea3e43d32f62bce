"""Draws of a posterior, as an engine that samples hands them over."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import readonly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Draws:
    """Draws of every parameter, by chain, in the user's coefficients.

    Attributes
    ----------
    beta : (chain, draw, p) array
        Coefficients; with p = 1 and an intercept only, the mean effect mu.
    tau : (chain, draw) array
        Between-study standard deviation.
    theta : (chain, draw, k) array
        Effects of the studies.
    theta_new : (chain, draw) array or None
        Effect in a new study; None with moderators.
    scale : (chain, draw, n) array or None
        Scale parameters of a location-scale model, taus first, then deltas; `tau` is that at the means of
        the scale columns then.
    baseline : (chain, draw, k) array or None
        Group-2 log odds of the studies, for count likelihoods.
    stats : mapping of str to (chain, draw) array
        What the sampler says of each draw: ``diverging``, ``tree_depth``, ``energy``, ``step_size`` and the
        like; empty for independent draws.
    settings : mapping of str to int or float
        ``chains``, ``tune``, ``draws``, ``target_accept``, ``refits``, ``max_treedepth``.

    Raises
    ------
    ValueError
        If shapes do not fit together.
    """

    beta: Floats
    tau: Floats
    theta: Floats
    theta_new: Floats | None = None
    scale: Floats | None = None
    baseline: Floats | None = None
    stats: Mapping[str, Floats] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("beta", "tau", "theta", "theta_new", "scale", "baseline"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, readonly(value))
                if value.shape[:2] != self.tau.shape:
                    raise ValueError(f"{name} must have shape (chain, draw, ...) like tau; got {value.shape}")
        object.__setattr__(self, "stats", MappingProxyType(dict(self.stats)))
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    def __reduce__(self) -> tuple[Any, ...]:
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        return _rebuild, ({**parts, "stats": dict(self.stats), "settings": dict(self.settings)},)

    @property
    def chains(self) -> int:
        """Number of chains."""
        return int(self.tau.shape[0])

    @property
    def per_chain(self) -> int:
        """Number of draws in each chain."""
        return int(self.tau.shape[1])

    @property
    def divergences(self) -> int:
        """Number of divergent transitions."""
        return int(np.sum(self.stats["diverging"])) if "diverging" in self.stats else 0


def _rebuild(parts: dict[str, Any]) -> Draws:
    return Draws(**parts)
