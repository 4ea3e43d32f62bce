"""Coordinates in which densities of tau and of log ratios of taus are analytic and fall off on both sides.

In each of them the trapezoidal rule converges exponentially:

* ``tau = scale sinh(x)``, x >= 0, for a prior that is an even function of tau: so is the integrand of x, and
  the rule on half the line is the rule on the whole line;
* ``tau = scale exp(x)`` for other priors on all positive numbers;
* ``low + width / (1 + exp(-x))`` for a uniform prior;
* ``middle + width x`` for a log ratio with a normal prior.

References
----------
Trefethen LN, Weideman JAC (2014). The exponentially convergent trapezoidal rule. SIAM Rev 56:385-458.
doi:10.1137/130932132
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.priors import Normal

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior

FARTHEST = 345.0
"""Coordinate at which the square of a tau overflows or vanishes."""
FAR_LOGIT = 46.0
"""Coordinate beyond which a bounded quantity is at its bound."""
FAR_NORMAL = 40.0
"""Standard deviations beyond which there is no prior."""


class Axis(NamedTuple):
    """A coordinate x of a positive, bounded or real quantity."""

    kind: Literal["even", "log", "bounded", "line"]
    """Which of the four it is."""
    low: float = 0.0
    """Lower bound, or middle."""
    width: float = 1.0
    """Distance to the upper bound, or unit."""

    def value(self, x: Floats, scale: Floats | float = 1.0) -> Floats:
        """Return the quantity at x."""
        match self.kind:
            case "even":
                return np.asarray(scale * np.sinh(x))
            case "log":
                return np.asarray(scale * np.exp(x))
            case "bounded":
                return np.asarray(self.low + self.width * special.expit(x))
        return np.asarray(self.low + self.width * x)

    def coordinate(self, value: Floats, scale: Floats | float = 1.0) -> Floats:
        """Return x at values of the quantity, infinite at and beyond bounds."""
        with np.errstate(divide="ignore", invalid="ignore"):
            match self.kind:
                case "even":
                    return np.asarray(np.arcsinh(value / scale))
                case "log":
                    return np.asarray(np.log(value / scale))
                case "bounded":
                    return np.asarray(special.logit(np.clip((value - self.low) / self.width, 0.0, 1.0)))
        return np.asarray((value - self.low) / self.width)

    def log_slope(self, x: Floats, scale: Floats | float = 1.0) -> Floats:
        """Return the log of the derivative of the quantity."""
        match self.kind:
            case "even":
                return np.asarray(np.log(scale) + np.logaddexp(x, -x) - np.log(2))
            case "log":
                return np.asarray(np.log(scale) + x)
            case "bounded":
                return np.asarray(np.log(self.width) - np.logaddexp(0.0, x) - np.logaddexp(0.0, -x))
        return np.full(np.shape(x), np.log(self.width))

    @property
    def ends(self) -> tuple[float, float]:
        """Coordinates beyond which there is nothing."""
        match self.kind:
            case "even":
                return 0.0, FARTHEST
            case "log":
                return -FARTHEST, FARTHEST
            case "bounded":
                return -FAR_LOGIT, FAR_LOGIT
        return -FAR_NORMAL, FAR_NORMAL

    @property
    def may_escape(self) -> bool:
        """Whether a posterior at the upper end reaches beyond it."""
        return self.kind in {"even", "log"}


def tau_axis(prior: Prior) -> Axis:
    """Return the coordinate of a tau with a proper prior."""
    low, high = prior.support
    if np.isfinite(high):
        return Axis("bounded", low, high - low)
    return Axis("even" if prior.even else "log")


def ratio_axis(prior: Prior) -> Axis:
    """Return the coordinate of a log ratio with a normal or uniform prior."""
    if isinstance(prior, Normal):
        return Axis("line", prior.mu, prior.sigma)
    low, high = prior.support
    return Axis("bounded", low, high - low)
