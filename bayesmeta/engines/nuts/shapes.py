"""Priors as rows of numbers, so that one compiled model serves every family.

A prior of a coefficient has the log density, with z standardised and up to a constant,
``-square z^2 / 2 - tail log(1 + z^2 / nu) - sharp abs(z)``. A prior of tau or tau2 has some more terms, and
the variable in which it is sampled: the even continuation to the whole line where the density is finite at 0
(with a power taken where it is infinite), the logarithm where it vanishes there, and a hyperbolic tangent
between two bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.priors import (
    Cauchy,
    Exponential,
    Fixed,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    Laplace,
    LogNormal,
    Lomax,
    Normal,
    Sqrt,
    StudentT,
    Uniform,
    Weibull,
)
from bayesmeta.priors.adaptive import Ratio

if TYPE_CHECKING:
    from bayesmeta.priors import Prior

MOST_OF_THE_WAY = 0.9


class LocationShape(NamedTuple):
    """Prior of a coefficient."""

    location: float
    """Value at z = 0."""
    scale: float
    """Value of one z."""
    square: float = 0.0
    """Weight of ``z^2 / 2``."""
    tail: float = 0.0
    """Weight of ``log(1 + z^2 / nu)``."""
    nu: float = 1.0
    """Degrees of freedom."""
    sharp: float = 0.0
    """Weight of ``abs(z)``."""

    @property
    def precision(self) -> float:
        """One over the variance of a normal prior of about this width; 0 for a flat one."""
        return 0.0 if self.square + self.tail + self.sharp == 0 else self.scale**-2.0


class ScaleShape(NamedTuple):
    """Prior of tau or tau2, called q, and the variable z in which it is sampled.

    ``w = even abs(z) + log exp(z) + abs(middle + half tanh(offset + slope z))``, ``q = w^power`` and
    ``x = rate q``; tau is ``w^root``.
    """

    even: float = 0.0
    """1 if w is the absolute value of z."""
    log: float = 0.0
    """1 if w is the exponential of z."""
    middle: float = 0.0
    """Middle of a bounded range."""
    half: float = 0.0
    """Half of its length."""
    offset: float = 0.0
    """Where in the range z = 0 is."""
    slope: float = 0.0
    """How fast z moves in it."""
    bounded: float = 0.0
    """1 if q is uniform between bounds."""
    fixed: float = 0.0
    """1 if q is known; z is then standard normal and idle."""
    lift: float = 0.0
    """Weight of z in the log density."""
    power: float = 1.0
    """Exponent that leads from w to q."""
    root: float = 1.0
    """Exponent that leads from w to tau."""
    rate: float = 0.0
    """Factor that leads from q to x."""
    square: float = 0.0
    """Weight of ``x^2 / 2``."""
    tail: float = 0.0
    """Weight of ``log(1 + x^2 / nu)``."""
    nu: float = 1.0
    """Degrees of freedom."""
    sharp: float = 0.0
    """Weight of x."""
    heavy: float = 0.0
    """Weight of ``log(1 + x)``."""
    stretched: float = 0.0
    """Weight of ``x^shape``."""
    shape: float = 1.0
    """Exponent of a Weibull distribution."""
    inverse: float = 0.0
    """Weight of ``1 / x``."""
    log_square: float = 0.0
    """Weight of ``log(x)^2 / 2``."""
    guard: float = 1.0
    """Added to x where its logarithm and reciprocal have no weight, so that they stay finite."""


def location_shape(prior: Prior) -> LocationShape:
    """Return the prior of a coefficient as numbers; one with bounds is flat between them."""
    match prior:
        case Normal(mu, sigma):
            return LocationShape(mu, sigma, square=1.0)
        case StudentT(nu, mu, sigma):
            return LocationShape(mu, sigma, tail=(nu + 1) / 2, nu=nu)
        case Cauchy(alpha, beta):
            return LocationShape(alpha, beta, tail=1.0)
        case Laplace(mu, b):
            return LocationShape(mu, b, sharp=1.0)
    return LocationShape(0.0, 1.0)


def scale_shape(prior: Prior, *, on_square: bool) -> ScaleShape | None:
    """Return the prior of tau, or of tau2, as numbers; None if the family has no such form.

    Parameters
    ----------
    prior : Prior
        Prior, in units in which tau is near 1.
    on_square : bool
        Whether it is the prior of tau2.
    """
    found = _bounded(prior) or _finite_at_zero(prior) or _vanishing_at_zero(prior)
    if found is None:
        return None
    return found._replace(root=found.power / 2 if on_square else found.power)


def _bounded(prior: Prior) -> ScaleShape | None:
    match prior:
        case Fixed(value):
            return ScaleShape(middle=value, fixed=1.0)
        case Uniform(0.0, upper):
            return ScaleShape(half=upper, slope=min(1.0, 1 / upper), bounded=1.0)
        case Uniform(lower, upper):
            middle, half = (lower + upper) / 2, (upper - lower) / 2
            start = np.clip((1 - middle) / half, -MOST_OF_THE_WAY, MOST_OF_THE_WAY)
            slope = min(1.0, 1 / half)
            return ScaleShape(
                middle=middle, half=half, offset=float(np.arctanh(start)), slope=slope, bounded=1.0
            )
    return None


def _finite_at_zero(prior: Prior) -> ScaleShape | None:
    """Return an even continuation; of a density like ``x^(a - 1)`` at 0, a < 1, in ``w = x^a``."""
    match prior:
        case Flat():
            return ScaleShape(even=1.0)
        case Sqrt():
            return ScaleShape(even=1.0, power=2.0)
        case HalfNormal(sigma):
            return ScaleShape(even=1.0, rate=1 / sigma, square=1.0)
        case HalfCauchy(beta):
            return ScaleShape(even=1.0, rate=1 / beta, tail=1.0)
        case HalfStudentT(nu, sigma):
            return ScaleShape(even=1.0, rate=1 / sigma, tail=(nu + 1) / 2, nu=nu)
        case Exponential(lam):
            return ScaleShape(even=1.0, rate=lam, sharp=1.0)
        case Lomax(alpha, scale):
            return ScaleShape(even=1.0, rate=1 / scale, heavy=alpha + 1)
        case Ratio(_, s0, 1):
            return ScaleShape(even=1.0, rate=1 / s0, heavy=2.0)
        case Gamma(alpha, beta) if alpha <= 1:
            return ScaleShape(even=1.0, power=1 / alpha, rate=beta, sharp=1.0)
        case Weibull(alpha, beta) if alpha <= 1:
            return ScaleShape(even=1.0, power=1 / alpha, rate=1 / beta, stretched=1.0, shape=alpha)
    return None


def _vanishing_at_zero(prior: Prior) -> ScaleShape | None:
    match prior:
        case Gamma(alpha, beta):
            return ScaleShape(log=1.0, lift=alpha, rate=beta, sharp=1.0)
        case Weibull(alpha, beta):
            return ScaleShape(log=1.0, lift=alpha, rate=1 / beta, stretched=1.0, shape=alpha)
        case InverseGamma(alpha, beta):
            return ScaleShape(log=1.0, lift=-alpha, rate=1 / beta, inverse=1.0, guard=0.0)
        case LogNormal(mu, sigma):
            return ScaleShape(log=1.0, rate=float(np.exp(-mu)), log_square=sigma**-2.0, guard=0.0)
        case Ratio(_, s0, 2):
            return ScaleShape(log=1.0, lift=2.0, rate=1 / s0, tail=2.0)
    return None
