"""Effect sizes of continuous outcomes: means and standard deviations of one or two groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.effectsizes.core import Effects, estimated
from bayesmeta.errors import AnalysisError

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats

SHIFT = 24
"""Steps of the recurrence taken before the asymptotic series is used."""

SERIES = (-1 / 8, 1 / 128, 5 / 1024, -21 / 32768, -399 / 262144, 869 / 4194304, 39325 / 33554432)
"""Coefficients of ``z^-1, z^-2, ...`` in ``gamma(z + 1/2) / (gamma(z) sqrt(z)) - 1``."""


def log_hedges_correction(m: Floats) -> Floats:
    """Return the log of Hedges' exact small-sample correction.

    Parameters
    ----------
    m : (k,) array
        Degrees of freedom, above 1.

    Returns
    -------
    (k,) array
        ``log J(m)``, to full relative precision for any m; NaN where ``m <= 1``.

    Notes
    -----
    ``J(m) = gamma(m / 2) / (sqrt(m / 2) gamma((m - 1) / 2))``. The difference of two log gammas loses
    every digit for large m, so their ratio is taken from its asymptotic series, after the recurrence
    ``gamma(z + 1/2) / gamma(z)`` has carried z up to where the series converges.

    References
    ----------
    Hedges LV (1981). Distribution theory for Glass's estimator of effect size and related estimators.
    J Educ Stat 6:107-128. doi:10.3102/10769986006002107
    Tricomi FG, Erdelyi A (1951). The asymptotic expansion of a ratio of gamma functions.
    Pac J Math 1:133-142. doi:10.2140/pjm.1951.1.133
    """
    m = np.where(m > 1, m, np.nan)
    z = (m - 1) / 2
    raised = z + SHIFT
    steps = np.log1p(-0.5 / (z[:, None] + np.arange(SHIFT) + 0.5)).sum(axis=1)
    series = np.polynomial.polynomial.polyval(1 / raised, (0.0, *SERIES))
    return np.asarray(0.5 * np.log1p((2 * SHIFT - 1) / m) + np.log1p(series) + steps)


def hedges_correction(m: Floats) -> Floats:
    """Return Hedges' exact small-sample correction of a standardized mean difference.

    Parameters
    ----------
    m : (k,) array
        Degrees of freedom, above 1.

    Returns
    -------
    (k,) array
        ``J(m)``, between 0 and 1; NaN where ``m <= 1``.

    References
    ----------
    Hedges LV (1981). J Educ Stat 6:107-128. doi:10.3102/10769986006002107

    Examples
    --------
    >>> hedges_correction(np.array([10.0, 2e9])).round(6).tolist()
    [0.922746, 1.0]
    """
    return np.asarray(np.exp(log_hedges_correction(m)))


def pooled_variance(sd1i: Floats, n1i: Floats, sd2i: Floats, n2i: Floats) -> Floats:
    """Return the pooled variance of two groups.

    Parameters
    ----------
    sd1i, n1i, sd2i, n2i : (k,) array
        Standard deviations and sizes of the groups.
    """
    return ((n1i - 1) * sd1i**2 + (n2i - 1) * sd2i**2) / (n1i + n2i - 2)


@np.errstate(divide="ignore", invalid="ignore")
def mean_difference(
    m1i: Floats, sd1i: Floats, n1i: Floats, m2i: Floats, sd2i: Floats, n2i: Floats, *, vtype: str = "LS"
) -> Effects:
    """Return mean differences (MD), group 1 minus group 2, in the units of the outcome.

    Parameters
    ----------
    m1i, sd1i, n1i, m2i, sd2i, n2i : (k,) array
        Means, standard deviations and sizes of the groups.
    vtype : {"LS", "HO"}
        Variance: each group its own, or both the same (homoscedastic).

    Notes
    -----
    ``v = sd1^2 / n1 + sd2^2 / n2``, or ``s^2 (1 / n1 + 1 / n2)`` with the pooled variance s^2.

    References
    ----------
    Hedges LV, Olkin I (1985). Statistical Methods for Meta-Analysis. Academic Press.
    doi:10.1016/C2009-0-03396-0
    """
    if vtype == "HO":
        variance = pooled_variance(sd1i, n1i, sd2i, n2i) * (1 / n1i + 1 / n2i)
    else:
        variance = sd1i**2 / n1i + sd2i**2 / n2i
    return estimated(m1i - m2i, variance)


@np.errstate(divide="ignore", invalid="ignore")
def standardized_mean_difference(
    m1i: Floats, sd1i: Floats, n1i: Floats, m2i: Floats, sd2i: Floats, n2i: Floats, *, vtype: str = "LS"
) -> Effects:
    """Return standardized mean differences with exact correction (SMD, Hedges' g).

    Parameters
    ----------
    m1i, sd1i, n1i, m2i, sd2i, n2i : (k,) array
        Means, standard deviations and sizes of the groups.
    vtype : {"LS", "UB", "LS2", "AV"}
        Variance: large-sample, unbiased, the large-sample variance of the uncorrected difference times
        ``J^2``, or large-sample with the average of all the studies' g (weighted by size).

    Raises
    ------
    AnalysisError
        If `vtype` is unknown.

    Notes
    -----
    With ``m = n1 + n2 - 2``, ``d`` the difference in pooled standard deviations, ``g = J(m) d``:
    LS ``1/n1 + 1/n2 + g^2 / (2 (n1 + n2))``;
    UB ``1/n1 + 1/n2 + (1 - (m - 2) / (m J^2)) g^2``;
    LS2 ``J^2 (1/n1 + 1/n2 + d^2 / (2 (n1 + n2)))``.

    References
    ----------
    Hedges LV (1981). J Educ Stat 6:107-128. doi:10.3102/10769986006002107
    Hedges LV (1983). A random effects model for effect sizes. Psychol Bull 93:388-395.
    doi:10.1037/0033-2909.93.2.388
    """
    m = n1i + n2i - 2
    log_j = log_hedges_correction(m)
    d = (m1i - m2i) / np.sqrt(pooled_variance(sd1i, n1i, sd2i, n2i))
    g = np.exp(log_j) * d
    total, sampling = n1i + n2i, 1 / n1i + 1 / n2i
    if vtype == "LS":
        variance = sampling + g**2 / (2 * total)
    elif vtype == "UB":
        variance = sampling + (np.expm1(2 * log_j) + 2 / m) * d**2
    elif vtype == "LS2":
        variance = np.exp(2 * log_j) * (sampling + d**2 / (2 * total))
    elif vtype == "AV":
        variance = sampling + np.average(g, weights=total) ** 2 / (2 * total)
    else:
        raise AnalysisError(f"vtype of an SMD must be one of LS, UB, LS2, AV; got '{vtype}'")
    return estimated(g, variance)


@np.errstate(divide="ignore", invalid="ignore")
def heteroscedastic_mean_difference(
    m1i: Floats, sd1i: Floats, n1i: Floats, m2i: Floats, sd2i: Floats, n2i: Floats
) -> Effects:
    """Return standardized mean differences of groups with unequal variances (SMDH).

    Parameters
    ----------
    m1i, sd1i, n1i, m2i, sd2i, n2i : (k,) array
        Means, standard deviations and sizes of the groups.

    Notes
    -----
    The difference is divided by ``s``, the root of the mean of the two variances, and corrected by
    ``J = J(n1 + n2 - 2)``; the variance is ``J^2`` times Bonett's, taken at the corrected difference g:
    ``g^2 (sd1^4 / (n1 - 1) + sd2^4 / (n2 - 1)) / (8 s^4) + (sd1^2 / (n1 - 1) + sd2^2 / (n2 - 1)) / s^2``.

    References
    ----------
    Bonett DG (2008). Confidence intervals for standardized linear contrasts of means.
    Psychol Methods 13:99-109. doi:10.1037/1082-989X.13.2.99
    """
    correction = hedges_correction(n1i + n2i - 2)
    square = (sd1i**2 + sd2i**2) / 2
    g = correction * (m1i - m2i) / np.sqrt(square)
    of_spread = g**2 * (sd1i**4 / (n1i - 1) + sd2i**4 / (n2i - 1)) / (8 * square**2)
    of_means = (sd1i**2 / (n1i - 1) + sd2i**2 / (n2i - 1)) / square
    return estimated(g, correction**2 * (of_spread + of_means))


@np.errstate(divide="ignore", invalid="ignore")
def log_ratio_of_means(
    m1i: Floats, sd1i: Floats, n1i: Floats, m2i: Floats, sd2i: Floats, n2i: Floats
) -> Effects:
    """Return logs of ratios of means (ROM).

    Parameters
    ----------
    m1i, sd1i, n1i, m2i, sd2i, n2i : (k,) array
        Means (of the same sign), standard deviations and sizes of the groups.

    Notes
    -----
    ``log(m1 / m2)`` with variance ``sd1^2 / (n1 m1^2) + sd2^2 / (n2 m2^2)``.

    References
    ----------
    Hedges LV, Gurevitch J, Curtis PS (1999). The meta-analysis of response ratios in experimental ecology.
    Ecology 80:1150-1156. doi:10.1890/0012-9658(1999)080[1150:TMAORR]2.0.CO;2
    """
    variance = sd1i**2 / (n1i * m1i**2) + sd2i**2 / (n2i * m2i**2)
    return estimated(np.log(m1i / m2i), variance)


@np.errstate(divide="ignore", invalid="ignore")
def log_coefficient_of_variation_ratio(
    m1i: Floats, sd1i: Floats, n1i: Floats, m2i: Floats, sd2i: Floats, n2i: Floats
) -> Effects:
    """Return logs of ratios of coefficients of variation (CVR), corrected for bias.

    Parameters
    ----------
    m1i, sd1i, n1i, m2i, sd2i, n2i : (k,) array
        Means (of the same sign), standard deviations and sizes of the groups.

    Notes
    -----
    The log variability ratio minus the log ratio of means, and the sum of their variances.

    References
    ----------
    Nakagawa S et al. (2015). Meta-analysis of variation: ecological and evolutionary applications and beyond.
    Methods Ecol Evol 6:143-152. doi:10.1111/2041-210X.12309
    """
    spread = log_variability_ratio(sd1i, n1i, sd2i, n2i)
    level = log_ratio_of_means(m1i, sd1i, n1i, m2i, sd2i, n2i)
    return estimated(spread.yi - level.yi, spread.vi + level.vi)


@np.errstate(divide="ignore", invalid="ignore")
def log_variability_ratio(sd1i: Floats, n1i: Floats, sd2i: Floats, n2i: Floats) -> Effects:
    """Return logs of ratios of standard deviations (VR), corrected for bias.

    Parameters
    ----------
    sd1i, n1i, sd2i, n2i : (k,) array
        Standard deviations and sizes of the groups.

    Notes
    -----
    ``log(sd1 / sd2) + 1 / (2 (n1 - 1)) - 1 / (2 (n2 - 1))`` with variance
    ``1 / (2 (n1 - 1)) + 1 / (2 (n2 - 1))``.

    References
    ----------
    Nakagawa S et al. (2015). Methods Ecol Evol 6:143-152. doi:10.1111/2041-210X.12309
    """
    half1, half2 = 1 / (2 * (n1i - 1)), 1 / (2 * (n2i - 1))
    return estimated(np.log(sd1i / sd2i) + half1 - half2, half1 + half2)


@np.errstate(divide="ignore", invalid="ignore")
def raw_mean(mi: Floats, sdi: Floats, ni: Floats) -> Effects:
    """Return means of single groups (MN), in the units of the outcome.

    Parameters
    ----------
    mi, sdi, ni : (k,) array
        Means, standard deviations and group sizes; the variance is ``sd^2 / n``.
    """
    return estimated(np.asarray(mi, dtype=float), sdi**2 / ni)
