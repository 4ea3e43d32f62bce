"""Effect sizes of two-by-two tables: events (a, c) and non-events (b, d) in groups 1 and 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict, Unpack

import numpy as np

from bayesmeta.effectsizes.core import Effects, added_constant, estimated

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats


class Cells(NamedTuple):
    """Four cells of each study's table."""

    a: Floats
    """(k,) events in group 1."""
    b: Floats
    """(k,) non-events in group 1."""
    c: Floats
    """(k,) events in group 2."""
    d: Floats
    """(k,) non-events in group 2."""


class Correction(TypedDict, total=False):
    """Options of the correction for zeros."""

    add: float
    to: str
    drop00: bool


def double_zero(ai: Floats, bi: Floats, ci: Floats, di: Floats) -> Bools:
    """Return which tables have no events at all, or nothing but events.

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    """
    return np.asarray(((ai == 0) & (ci == 0)) | ((bi == 0) & (di == 0)))


def corrected(ai: Floats, bi: Floats, ci: Floats, di: Floats, *, add: float, to: str, drop00: bool) -> Cells:
    """Return the cells after the correction for zeros.

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    add, to : float, str
        What is added to each of the four cells, and to which studies' tables
        (see `bayesmeta.effectsizes.added_constant`).
    drop00 : bool
        Make double-zero tables NaN.
    """
    zero = (ai == 0) | (bi == 0) | (ci == 0) | (di == 0)
    extra = added_constant(zero, add, to)
    if drop00:
        extra = np.where(double_zero(ai, bi, ci, di), np.nan, extra)
    return Cells(ai + extra, bi + extra, ci + extra, di + extra)


@np.errstate(divide="ignore", invalid="ignore")
def log_odds_ratio(
    ai: Floats,
    bi: Floats,
    ci: Floats,
    di: Floats,
    *,
    add: float = 0.5,
    to: str = "only0",
    drop00: bool = False,
) -> Effects:
    """Return log odds ratios (OR).

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    add, to, drop00 : float, str, bool
        Correction for zeros, as in `corrected`.

    Notes
    -----
    ``log(a d / (b c))`` with variance ``1/a + 1/b + 1/c + 1/d``.

    References
    ----------
    Woolf B (1955). On estimating the relation between blood group and disease. Ann Hum Genet 19:251-253.
    doi:10.1111/j.1469-1809.1955.tb01348.x

    Examples
    --------
    >>> cells = (np.array([v]) for v in (7.0, 69.0, 13.0, 63.0))
    >>> log_odds_ratio(*cells).yi.round(6).tolist()
    [-0.710011]
    """
    a, b, c, d = corrected(ai, bi, ci, di, add=add, to=to, drop00=drop00)
    return estimated(np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d)


@np.errstate(divide="ignore", invalid="ignore")
def log_risk_ratio(
    ai: Floats,
    bi: Floats,
    ci: Floats,
    di: Floats,
    *,
    add: float = 0.5,
    to: str = "only0",
    drop00: bool = False,
) -> Effects:
    """Return log risk ratios (RR).

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    add, to, drop00 : float, str, bool
        Correction for zeros, as in `corrected`.

    Notes
    -----
    ``log((a / n1) / (c / n2))`` with variance ``1/a - 1/n1 + 1/c - 1/n2``, that is
    ``b / (a n1) + d / (c n2)``.

    References
    ----------
    Katz D et al. (1978). Obtaining confidence intervals for the risk ratio in cohort studies.
    Biometrics 34:469-474. doi:10.2307/2530610
    """
    a, b, c, d = corrected(ai, bi, ci, di, add=add, to=to, drop00=drop00)
    return estimated(np.log(a * (c + d) / (c * (a + b))), b / (a * (a + b)) + d / (c * (c + d)))


@np.errstate(divide="ignore", invalid="ignore")
def risk_difference(
    ai: Floats,
    bi: Floats,
    ci: Floats,
    di: Floats,
    *,
    add: float = 0.5,
    to: str = "only0",
    drop00: bool = False,
) -> Effects:
    """Return risk differences (RD), group 1 minus group 2.

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    add, to, drop00 : float, str, bool
        Correction for zeros, as in `corrected`; it changes the difference as well as its variance.

    Notes
    -----
    ``a / n1 - c / n2`` with variance ``a b / n1^3 + c d / n2^3``.

    References
    ----------
    Fleiss JL (1981). Statistical Methods for Rates and Proportions, 2nd ed. Wiley.
    """
    a, b, c, d = corrected(ai, bi, ci, di, add=add, to=to, drop00=drop00)
    n1, n2 = a + b, c + d
    return estimated(a / n1 - c / n2, a * b / n1**3 + c * d / n2**3)


@np.errstate(divide="ignore", invalid="ignore")
def peto_log_odds_ratio(
    ai: Floats,
    bi: Floats,
    ci: Floats,
    di: Floats,
    *,
    add: float = 0.5,
    to: str = "only0",
    drop00: bool = False,
) -> Effects:
    """Return log odds ratios by Peto's one-step method (PETO).

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    add, to, drop00 : float, str, bool
        Correction for zeros, as in `corrected`.

    Notes
    -----
    ``(a - E) / V`` with variance ``1 / V``, where E and V are the hypergeometric mean and variance of a.

    References
    ----------
    Yusuf S, Peto R, Lewis J, Collins R, Sleight P (1985). Beta blockade during and after myocardial
    infarction. Prog Cardiovasc Dis 27:335-371. doi:10.1016/S0033-0620(85)80003-7
    """
    a, b, c, d = corrected(ai, bi, ci, di, add=add, to=to, drop00=drop00)
    n1, n2, total = a + b, c + d, a + b + c + d
    information = n1 * n2 * (a + c) * (b + d) / (total**2 * (total - 1))
    return estimated((a - n1 * (a + c) / total) / information, 1 / information)


@np.errstate(divide="ignore", invalid="ignore")
def arcsine_risk_difference(
    ai: Floats, bi: Floats, ci: Floats, di: Floats, *, drop00: bool = False
) -> Effects:
    """Return differences of arcsine square-root transformed risks (AS), in radians.

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables; zeros need no correction.
    drop00 : bool
        Make double-zero tables NaN.

    Notes
    -----
    ``asin(sqrt(a / n1)) - asin(sqrt(c / n2))`` with variance ``1 / (4 n1) + 1 / (4 n2)``.

    References
    ----------
    Ruecker G, Schwarzer G, Carpenter J, Olkin I (2009). Why add anything to nothing? The arcsine
    difference as a measure of treatment effect in meta-analysis with zero cells. Stat Med 28:721-738.
    doi:10.1002/sim.3511
    """
    a, b, c, d = corrected(ai, bi, ci, di, add=0.0, to="none", drop00=drop00)
    n1, n2 = a + b, c + d
    return estimated(np.arcsin(np.sqrt(a / n1)) - np.arcsin(np.sqrt(c / n2)), 1 / (4 * n1) + 1 / (4 * n2))


@np.errstate(divide="ignore", invalid="ignore")
def phi_coefficient(ai: Floats, bi: Floats, ci: Floats, di: Floats, *, drop00: bool = False) -> Effects:
    """Return phi coefficients (PHI), the correlation of two dichotomies.

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables; not corrected, so that an empty margin has no estimate.
    drop00 : bool
        Make double-zero tables NaN (they have no estimate anyway).

    Notes
    -----
    The variance is the delta-method one under multinomial sampling of the whole table.

    References
    ----------
    Yule GU (1912). On the methods of measuring association between two attributes. J R Stat Soc 75:579-652.
    doi:10.2307/2340126
    """
    a, b, c, d = corrected(ai, bi, ci, di, add=0.0, to="none", drop00=drop00)
    total = a + b + c + d
    row, column = (a + b) / total, (a + c) / total
    row_spread, column_spread = row * (1 - row), column * (1 - column)
    phi = (a * d - b * c) / (total**2 * np.sqrt(row_spread * column_spread))
    skew = (2 * row - 1) * (2 * column - 1) / np.sqrt(row_spread * column_spread)
    tails = (2 * row - 1) ** 2 / row_spread + (2 * column - 1) ** 2 / column_spread
    variance = 1 - phi**2 + phi * (1 + phi**2 / 2) * skew - 0.75 * phi**2 * tails
    return estimated(phi, variance / total)


def yule_q(ai: Floats, bi: Floats, ci: Floats, di: Floats, **correction: Unpack[Correction]) -> Effects:
    """Return Yule's coefficients of association (YUQ), between -1 and 1.

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    **correction
        `add`, `to` and `drop00` of `log_odds_ratio`.

    Notes
    -----
    ``Q = (OR - 1) / (OR + 1) = tanh(log OR / 2)``, variance ``(1 - Q^2)^2 v / 4``, v of the log odds ratio.

    References
    ----------
    Yule GU (1912). J R Stat Soc 75:579-652. doi:10.2307/2340126
    """
    return _hyperbolic(log_odds_ratio(ai, bi, ci, di, **correction), 2)


def yule_y(ai: Floats, bi: Floats, ci: Floats, di: Floats, **correction: Unpack[Correction]) -> Effects:
    """Return Yule's coefficients of colligation (YUY), between -1 and 1.

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    **correction
        `add`, `to` and `drop00` of `log_odds_ratio`.

    Notes
    -----
    ``Y = (sqrt(OR) - 1) / (sqrt(OR) + 1) = tanh(log OR / 4)``, variance ``(1 - Y^2)^2 v / 16``.

    References
    ----------
    Yule GU (1912). J R Stat Soc 75:579-652. doi:10.2307/2340126
    """
    return _hyperbolic(log_odds_ratio(ai, bi, ci, di, **correction), 4)


def smd_from_odds_ratio_logistic(
    ai: Floats, bi: Floats, ci: Floats, di: Floats, **correction: Unpack[Correction]
) -> Effects:
    """Return standardized mean differences from odds ratios, for logistic outcomes (OR2DL).

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    **correction
        `add`, `to` and `drop00` of `log_odds_ratio`.

    Notes
    -----
    The log odds ratio times ``sqrt(3) / pi``.

    References
    ----------
    Chinn S (2000). A simple method for converting an odds ratio to effect size for use in meta-analysis.
    Stat Med 19:3127-3131. doi:10.1002/1097-0258(20001130)19:22<3127::AID-SIM784>3.0.CO;2-M
    """
    return _scaled(log_odds_ratio(ai, bi, ci, di, **correction), np.sqrt(3) / np.pi)


def smd_from_odds_ratio_normal(
    ai: Floats, bi: Floats, ci: Floats, di: Floats, **correction: Unpack[Correction]
) -> Effects:
    """Return standardized mean differences from odds ratios, for normal outcomes (OR2DN).

    Parameters
    ----------
    ai, bi, ci, di : (k,) array
        Cells of the tables.
    **correction
        `add`, `to` and `drop00` of `log_odds_ratio`.

    Notes
    -----
    The log odds ratio divided by 1.65.

    References
    ----------
    Cox DR, Snell EJ (1989). Analysis of Binary Data, 2nd ed. Chapman and Hall.
    """
    return _scaled(log_odds_ratio(ai, bi, ci, di, **correction), 1 / 1.65)


def _hyperbolic(effects: Effects, divisor: float) -> Effects:
    association = np.tanh(effects.yi / divisor)
    return Effects(association, ((1 - association**2) / divisor) ** 2 * effects.vi)


def _scaled(effects: Effects, factor: float) -> Effects:
    return Effects(effects.yi * factor, effects.vi * factor**2)
