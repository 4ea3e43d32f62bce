"""Priors as rows of numbers, so that one compiled density serves every family.

A prior of a coefficient has the log density, with z standardised and up to a constant,
``-square z^2 / 2 - tail log(1 + z^2 / nu) - sharp abs(z)``. A prior of tau or tau2 has some more terms, and
the variable in which it is sampled: the even continuation to the whole line where the density is finite at 0
(with a power taken where it is infinite), as a hyperbolic sine where its tail is heavy; the logarithm where
it vanishes there; and a hyperbolic tangent between two bounds. Gamma, Weibull and square-root densities that
are infinite at 0 are finite in ``tau^a``. Between bounds a prior keeps its density, in another variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.priors import (
    Cauchy,
    Exponential,
    Fixed,
    Flat,
    Gamma,
    HalfCauchy,
    HalfFlat,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    Laplace,
    LogNormal,
    LogStudentT,
    Lomax,
    Mixture,
    Normal,
    Sqrt,
    StudentT,
    Truncated,
    Uniform,
    Weibull,
)
from bayesmeta.priors.adaptive import Ratio

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior

FIXED, EVEN, LOG, BOUNDED, HEAVY = 0.0, 1.0, 2.0, 3.0, 4.0
"""How tau comes from the variable z that is sampled."""
MOST_OF_THE_WAY = 0.9
MORE = 7
"""Normal components beside the first that a prior of a coefficient has room for."""
NONE = -1e30
"""Logarithm of the weight of a component that is not there."""


class LocationShape(NamedTuple):
    """Prior of a coefficient b; the variable that is sampled is b, or between bounds its inverse tanh."""

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
    middle: float = 0.0
    """Middle of the range of b, if it is bounded."""
    half: float = 0.0
    """Half of its length, 0 if there are no bounds."""
    edge: float = 0.0
    """Only bound of the range of b, if it has one."""
    side: float = 0.0
    """1 if b is above that bound, -1 if it is below, 0 if there is none."""
    weights: tuple[float, ...] = (NONE,) * MORE
    """Log weights of the normal components of a mixture beside this one, relative to it."""
    locations: tuple[float, ...] = (0.0,) * MORE
    """Their means."""
    scales: tuple[float, ...] = (1.0,) * MORE
    """Their standard deviations."""

    @property
    def numbers(self) -> list[float]:
        """All of it in one row."""
        singles: tuple[float, ...] = self[:SINGLES]  # type: ignore[assignment]
        return [*singles, *self.weights, *self.locations, *self.scales]

    def value(self, h: Floats) -> Floats:
        """Return the coefficient at the variable that is sampled."""
        if self.side:
            u = self.side * (h - self.edge) / self.scale
            return np.asarray(self.edge + self.side * self.scale * np.logaddexp(0.0, u))
        return self.middle + self.half * np.tanh((h - self.middle) / self.half) if self.half else h

    def variable(self, b: float) -> float:
        """Return the variable that is sampled at a coefficient, which is moved between the bounds."""
        if self.side:
            u = max(self.side * (b - self.edge) / self.scale, 1 - MOST_OF_THE_WAY)
            return float(self.edge + self.side * self.scale * np.log(np.expm1(u)))
        if not self.half:
            return b
        share = np.clip((b - self.middle) / self.half, -MOST_OF_THE_WAY, MOST_OF_THE_WAY)
        return float(self.middle + self.half * np.arctanh(share))


SINGLES = len(LocationShape._fields) - 3
"""Numbers of a location shape before those of components."""
ROW = SINGLES + 3 * MORE
"""Numbers of a location shape."""


class ScaleShape(NamedTuple):
    """Prior of tau or tau2, called q, and the variable z in which it is sampled.

    First ``w = step abs(z)``, ``step abs(sinh(z))``, ``middle + step exp(z)`` or ``abs(middle + half
    tanh(offset + step z))``; then ``q = w^power`` and ``x = rate (q - center)``; tau is ``w^root``.
    """

    kind: float
    """`FIXED` (q is known; z is standard normal and idle), `EVEN`, `HEAVY`, `LOG` or `BOUNDED`."""
    step: float = 1.0
    """Value of w at a typical z."""
    middle: float = 0.0
    """Middle of a bounded range, lower end of one that is open above, or the known tau."""
    half: float = 0.0
    """Half of the length of the range."""
    offset: float = 0.0
    """Where in the range z = 0 is."""
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
    log_tail: float = 0.0
    """Weight of ``log(1 + log(x)^2 / log_nu)``."""
    log_nu: float = 1.0
    """Degrees of freedom of log x, times its variance."""
    log_power: float = 0.0
    """Weight of ``log(x)``."""
    center: float = 0.0
    """Value of q at x = 0."""

    def signed_tau(self, z: Floats) -> Floats:
        """Return tau at z, with the sign of its even continuation."""
        if self.kind == FIXED:
            return np.full(z.shape, self.middle)
        if self.kind == LOG:
            return np.asarray((self.middle + self.step * np.exp(z)) ** self.root)
        if self.kind == BOUNDED:
            w = self.middle + self.half * np.tanh(self.offset + self.step * z)
        else:
            w = self.step * (np.sinh(z) if self.kind == HEAVY else z)
        return np.asarray(np.sign(w) * np.abs(w) ** self.root)


def location_shape(prior: Prior) -> LocationShape | None:
    """Return the prior of a coefficient as numbers; None if it has no such form."""
    match prior:
        case Normal(mu, sigma):
            return LocationShape(mu, sigma, square=1.0)
        case StudentT(nu, mu, sigma):
            return LocationShape(mu, sigma, tail=(nu + 1) / 2, nu=nu)
        case Cauchy(alpha, beta):
            return LocationShape(alpha, beta, tail=1.0)
        case Laplace(mu, b):
            return LocationShape(mu, b, sharp=1.0)
        case Uniform(lower, upper):
            return LocationShape(0.0, 1.0, middle=(lower + upper) / 2, half=(upper - lower) / 2)
        case Flat():
            return LocationShape(0.0, 1.0)
        case Truncated(inner):
            return _truncated_location(location_shape(inner), *prior.support)
        case Mixture():
            return _mixed(prior)
    return None


def _truncated_location(shape: LocationShape | None, low: float, high: float) -> LocationShape | None:
    """Return a shape between bounds, one of which may be infinite."""
    if shape is None or shape.half:
        return shape
    if np.isfinite(low) and np.isfinite(high):
        return shape._replace(middle=(low + high) / 2, half=(high - low) / 2)
    if np.isfinite(low):
        return shape._replace(edge=low, side=1.0)
    return shape._replace(edge=high, side=-1.0) if np.isfinite(high) else shape


def _mixed(prior: Mixture) -> LocationShape | None:
    """Return a mixture of a few normal distributions, the likeliest first."""
    parts = sorted(prior.parts, key=lambda part: -part[0])
    if len(parts) > MORE + 1 or not all(isinstance(part, Normal) for _, part in parts):
        return None
    heights = [float(np.log(weight / part.sigma)) for weight, part in parts]  # type: ignore[attr-defined]
    spare = MORE + 1 - len(parts)
    first, others = parts[0][1], [part for _, part in parts[1:]]
    return LocationShape(
        first.mu,  # type: ignore[attr-defined]
        first.sigma,  # type: ignore[attr-defined]
        square=1.0,
        weights=(*(height - heights[0] for height in heights[1:]), *(NONE,) * spare),
        locations=(*(part.mu for part in others), *(0.0,) * spare),  # type: ignore[attr-defined]
        scales=(*(part.sigma for part in others), *(1.0,) * spare),  # type: ignore[attr-defined]
    )


def scale_shape(prior: Prior, *, on_square: bool, typical: float) -> ScaleShape | None:
    """Return the prior of tau, or of tau2, as numbers; None if the family has no such form.

    Parameters
    ----------
    prior : Prior
        Prior, in units in which tau is near 1.
    on_square : bool
        Whether it is the prior of tau2.
    typical : float
        A likely value of tau.
    """
    shape = _truncated_scale(prior) if isinstance(prior, Truncated) else _plain_scale(prior)
    if shape is None:
        return None
    root = shape.power / 2 if on_square else shape.power
    if shape.kind == FIXED:
        return shape._replace(middle=shape.middle**root)
    if shape.kind == BOUNDED:
        return shape._replace(root=root)
    return shape._replace(root=root, step=float(typical ** (1 / root)))


def _plain_scale(prior: Prior) -> ScaleShape | None:
    return SHAPES[type(prior)](prior) if type(prior) in SHAPES else None


def _truncated_scale(prior: Truncated) -> ScaleShape | None:
    """Return the density of the prior that is cut, in a variable of the range."""
    low, high = prior.support
    whole = _plain_scale(prior.prior)
    if whole is None and isinstance(prior.prior, LOCATIONS):
        at = location_shape(prior.prior)
        assert at is not None  # noqa: S101 - these families have one
        terms = {"square": at.square, "tail": at.tail, "nu": at.nu, "sharp": at.sharp}
        whole = ScaleShape(EVEN, rate=1 / at.scale, center=at.location, **terms)
    if whole is None or whole.kind == BOUNDED or (low <= 0 and high == np.inf and not whole.center):
        return whole
    power = (whole.lift if whole.kind == LOG else 1 / whole.power) - 1
    whole = whole._replace(power=1.0, lift=0.0, log_power=power)
    if high == np.inf:
        return whole._replace(kind=LOG, middle=max(low, 0.0), lift=1.0)
    smooth = not (power or whole.inverse or whole.log_square or whole.log_tail or whole.center)
    place = _range(low, high, mirrored=low == 0 and smooth)
    return whole._replace(kind=BOUNDED, **{name: getattr(place, name) for name in PLACE})


def _uniform(prior: Uniform) -> ScaleShape:
    """Return a range; one that begins at 0 is continued evenly."""
    return _range(prior.lower, prior.upper, mirrored=prior.lower == 0)


def _range(lower: float, upper: float, *, mirrored: bool) -> ScaleShape:
    """Return a uniform density between bounds, or from minus the upper one where it is mirrored."""
    if mirrored:
        return ScaleShape(BOUNDED, step=min(1.0, 1 / upper), half=upper)
    middle, half = (lower + upper) / 2, (upper - lower) / 2
    start = np.clip((1 - middle) / half, -MOST_OF_THE_WAY, MOST_OF_THE_WAY)
    return ScaleShape(
        BOUNDED, step=min(1.0, 1 / half), middle=middle, half=half, offset=float(np.arctanh(start))
    )


def _gamma(prior: Gamma) -> ScaleShape:
    """Return a density like ``q^(alpha - 1)`` at 0, for alpha <= 1 in ``w = q^alpha``, where it is finite."""
    if prior.alpha <= 1:
        return ScaleShape(EVEN, power=1 / prior.alpha, rate=prior.beta, sharp=1.0)
    return ScaleShape(LOG, lift=prior.alpha, rate=prior.beta, sharp=1.0)


def _weibull(prior: Weibull) -> ScaleShape:
    """Return a density like ``q^(alpha - 1)`` at 0, in which ``q^alpha`` is exponential."""
    parts = {"rate": 1 / prior.beta, "stretched": 1.0, "shape": prior.alpha}
    if prior.alpha <= 1:
        return ScaleShape(EVEN, power=1 / prior.alpha, **parts)
    return ScaleShape(LOG, lift=prior.alpha, **parts)


def _ratio(prior: Ratio) -> ScaleShape:
    """Return ``(1 + tau / s0)^-2`` or ``tau (1 + tau^2 / s0^2)^-2``."""
    if prior.power == 1:
        return ScaleShape(HEAVY, rate=1 / prior.s0, heavy=2.0)
    return ScaleShape(LOG, lift=2.0, rate=1 / prior.s0, tail=2.0)


LOCATIONS = (Normal, StudentT, Cauchy, Laplace)
PLACE = ("step", "middle", "half", "offset")
SHAPES: dict[type[Prior], Callable[[Any], ScaleShape]] = {
    Fixed: lambda prior: ScaleShape(FIXED, middle=prior.value),
    Uniform: _uniform,
    Flat: lambda _: ScaleShape(HEAVY),
    HalfFlat: lambda _: ScaleShape(HEAVY),
    Sqrt: lambda _: ScaleShape(HEAVY, power=2.0),
    HalfNormal: lambda prior: ScaleShape(EVEN, rate=1 / prior.sigma, square=1.0),
    HalfCauchy: lambda prior: ScaleShape(HEAVY, rate=1 / prior.beta, tail=1.0),
    HalfStudentT: lambda prior: ScaleShape(HEAVY, rate=1 / prior.sigma, tail=(prior.nu + 1) / 2, nu=prior.nu),
    Exponential: lambda prior: ScaleShape(EVEN, rate=prior.lam, sharp=1.0),
    Lomax: lambda prior: ScaleShape(HEAVY, rate=1 / prior.scale, heavy=prior.alpha + 1),
    Gamma: _gamma,
    Weibull: _weibull,
    Ratio: _ratio,
    InverseGamma: lambda prior: ScaleShape(LOG, lift=-prior.alpha, rate=1 / prior.beta, inverse=1.0),
    LogNormal: lambda prior: ScaleShape(LOG, rate=float(np.exp(-prior.mu)), log_square=prior.sigma**-2.0),
    LogStudentT: lambda prior: ScaleShape(
        LOG,
        rate=float(np.exp(-prior.mu)),
        log_tail=(prior.nu + 1) / 2,
        log_nu=prior.nu * prior.sigma**2,
    ),
}
"""Shape of each family of priors of tau or tau2."""
