"""Effect sizes of proportions, incidence rates and correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.effectsizes.core import Effects, added_constant, estimated

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats


def corrected_proportion(xi: Floats, ni: Floats, *, add: float, to: str) -> tuple[Floats, Floats]:
    """Return events and group sizes after the correction for zeros.

    Parameters
    ----------
    xi, ni : (k,) array
        Events and group sizes.
    add, to : float, str
        What is added to the events and to the non-events, and in which studies
        (see `bayesmeta.effectsizes.added_constant`).
    """
    extra = added_constant((xi == 0) | (xi == ni), add, to)
    return xi + extra, ni + 2 * extra


@np.errstate(divide="ignore", invalid="ignore")
def proportion(xi: Floats, ni: Floats, *, add: float = 0.5, to: str = "only0") -> Effects:
    """Return proportions (PR).

    Parameters
    ----------
    xi, ni : (k,) array
        Events and group sizes.
    add, to : float, str
        Correction for zeros, as in `corrected_proportion`.

    Notes
    -----
    ``p = x / n`` with variance ``p (1 - p) / n``.
    """
    x, n = corrected_proportion(xi, ni, add=add, to=to)
    return estimated(x / n, x * (n - x) / n**3)


@np.errstate(divide="ignore", invalid="ignore")
def log_proportion(xi: Floats, ni: Floats, *, add: float = 0.5, to: str = "only0") -> Effects:
    """Return logs of proportions (PLN).

    Parameters
    ----------
    xi, ni : (k,) array
        Events and group sizes.
    add, to : float, str
        Correction for zeros, as in `corrected_proportion`.

    Notes
    -----
    ``log(x / n)`` with variance ``1 / x - 1 / n``.
    """
    x, n = corrected_proportion(xi, ni, add=add, to=to)
    return estimated(np.log(x / n), (n - x) / (x * n))


@np.errstate(divide="ignore", invalid="ignore")
def logit_proportion(xi: Floats, ni: Floats, *, add: float = 0.5, to: str = "only0") -> Effects:
    """Return logits (log odds) of proportions (PLO).

    Parameters
    ----------
    xi, ni : (k,) array
        Events and group sizes.
    add, to : float, str
        Correction for zeros, as in `corrected_proportion`.

    Notes
    -----
    ``log(x / (n - x))`` with variance ``1 / x + 1 / (n - x)``.
    """
    x, n = corrected_proportion(xi, ni, add=add, to=to)
    return estimated(np.log(x / (n - x)), 1 / x + 1 / (n - x))


@np.errstate(divide="ignore", invalid="ignore")
def arcsine_proportion(xi: Floats, ni: Floats) -> Effects:
    """Return arcsine square-root transformed proportions (PAS), in radians.

    Parameters
    ----------
    xi, ni : (k,) array
        Events and group sizes; the variance is ``1 / (4 n)``.
    """
    return estimated(np.arcsin(np.sqrt(xi / ni)), 1 / (4 * ni))


@np.errstate(divide="ignore", invalid="ignore")
def double_arcsine_proportion(xi: Floats, ni: Floats) -> Effects:
    """Return Freeman-Tukey double arcsine transformed proportions (PFT), in radians.

    Parameters
    ----------
    xi, ni : (k,) array
        Events and group sizes.

    Notes
    -----
    ``(asin(sqrt(x / (n + 1))) + asin(sqrt((x + 1) / (n + 1)))) / 2`` with variance ``1 / (4 n + 2)``.

    References
    ----------
    Freeman MF, Tukey JW (1950). Transformations related to the angular and the square root.
    Ann Math Stat 21:607-611. doi:10.1214/aoms/1177729756
    """
    low, high = np.arcsin(np.sqrt(xi / (ni + 1))), np.arcsin(np.sqrt((xi + 1) / (ni + 1)))
    return estimated((low + high) / 2, 1 / (4 * ni + 2))


@np.errstate(divide="ignore", invalid="ignore")
def log_incidence_rate(xi: Floats, ti: Floats, *, add: float = 0.5, to: str = "only0") -> Effects:
    """Return logs of incidence rates of single groups (IRLN).

    Parameters
    ----------
    xi, ti : (k,) array
        Events and person-times.
    add, to : float, str
        What is added to the events, and in which studies (see `bayesmeta.effectsizes.added_constant`).

    Notes
    -----
    ``log(x / t)`` with variance ``1 / x``.
    """
    x = xi + added_constant(xi == 0, add, to)
    return estimated(np.log(x / ti), 1 / x)


def corrected_events(x1i: Floats, x2i: Floats, *, add: float, to: str, drop00: bool) -> tuple[Floats, Floats]:
    """Return the events of both groups after the correction for zeros.

    Parameters
    ----------
    x1i, x2i : (k,) array
        Events.
    add, to : float, str
        What is added to both, and in which studies (see `bayesmeta.effectsizes.added_constant`).
    drop00 : bool
        Make studies without any event NaN.
    """
    extra = added_constant((x1i == 0) | (x2i == 0), add, to)
    if drop00:
        extra = np.where((x1i == 0) & (x2i == 0), np.nan, extra)
    return x1i + extra, x2i + extra


@np.errstate(divide="ignore", invalid="ignore")
def log_incidence_rate_ratio(
    x1i: Floats,
    t1i: Floats,
    x2i: Floats,
    t2i: Floats,
    *,
    add: float = 0.5,
    to: str = "only0",
    drop00: bool = False,
) -> Effects:
    """Return logs of incidence rate ratios (IRR).

    Parameters
    ----------
    x1i, t1i, x2i, t2i : (k,) array
        Events and person-times of the groups.
    add, to, drop00 : float, str, bool
        Correction for zeros, as in `corrected_events`.

    Notes
    -----
    ``log((x1 / t1) / (x2 / t2))`` with variance ``1 / x1 + 1 / x2``.
    """
    x1, x2 = corrected_events(x1i, x2i, add=add, to=to, drop00=drop00)
    return estimated(np.log(x1 * t2i / (x2 * t1i)), 1 / x1 + 1 / x2)


@np.errstate(divide="ignore", invalid="ignore")
def incidence_rate_difference(
    x1i: Floats,
    t1i: Floats,
    x2i: Floats,
    t2i: Floats,
    *,
    add: float = 0.5,
    to: str = "only0",
    drop00: bool = False,
) -> Effects:
    """Return incidence rate differences (IRD), events per unit of person-time.

    Parameters
    ----------
    x1i, t1i, x2i, t2i : (k,) array
        Events and person-times of the groups.
    add, to, drop00 : float, str, bool
        Correction for zeros, as in `corrected_events`.

    Notes
    -----
    ``x1 / t1 - x2 / t2`` with variance ``x1 / t1^2 + x2 / t2^2``.
    """
    x1, x2 = corrected_events(x1i, x2i, add=add, to=to, drop00=drop00)
    return estimated(x1 / t1i - x2 / t2i, x1 / t1i**2 + x2 / t2i**2)


@np.errstate(divide="ignore", invalid="ignore")
def root_incidence_rate_difference(
    x1i: Floats, t1i: Floats, x2i: Floats, t2i: Floats, *, drop00: bool = False
) -> Effects:
    """Return differences of square roots of incidence rates (IRSD).

    Parameters
    ----------
    x1i, t1i, x2i, t2i : (k,) array
        Events and person-times of the groups; zeros need no correction.
    drop00 : bool
        Make studies without any event NaN.

    Notes
    -----
    ``sqrt(x1 / t1) - sqrt(x2 / t2)`` with variance ``1 / (4 t1) + 1 / (4 t2)``.
    """
    x1, x2 = corrected_events(x1i, x2i, add=0.0, to="none", drop00=drop00)
    return estimated(np.sqrt(x1 / t1i) - np.sqrt(x2 / t2i), 1 / (4 * t1i) + 1 / (4 * t2i))


@np.errstate(divide="ignore", invalid="ignore")
def correlation(ri: Floats, ni: Floats) -> Effects:
    """Return correlations as they are (COR).

    Parameters
    ----------
    ri, ni : (k,) array
        Correlations and sample sizes; the variance is ``(1 - r^2)^2 / (n - 1)``.
    """
    return estimated(np.asarray(ri, dtype=float), (1 - ri**2) ** 2 / (ni - 1))


@np.errstate(divide="ignore", invalid="ignore")
def fisher_z(ri: Floats, ni: Floats) -> Effects:
    """Return Fisher's z transforms of correlations (ZCOR).

    Parameters
    ----------
    ri, ni : (k,) array
        Correlations and sample sizes.

    Notes
    -----
    ``atanh(r)`` with variance ``1 / (n - 3)``.

    References
    ----------
    Fisher RA (1921). On the "probable error" of a coefficient of correlation deduced from a small sample.
    Metron 1:3-32.
    """
    return estimated(np.arctanh(ri), 1 / (ni - 3))
