"""Pooling of counts without an effect size per study: Mantel-Haenszel and Peto.

Zero cells need no correction here: tables without events in either arm stay in and carry no weight for
ratios, and full weight for differences. Only Cochran's Q needs an effect for each study, as in RevMan: half
an event is added to tables with a zero, and double-zero tables are left out.

References
----------
Mantel N, Haenszel W (1959). Statistical aspects of the analysis of data from retrospective studies of
disease. J Natl Cancer Inst 22:719-748. doi:10.1093/jnci/22.4.719
Robins J, Breslow N, Greenland S (1986). Estimators of the Mantel-Haenszel variance consistent in both sparse
data and large-strata limiting models. Biometrics 42:311-323. doi:10.2307/2531052
Greenland S, Robins JM (1985). Estimation of a common effect parameter from sparse follow-up data. Biometrics
41:55-68. doi:10.2307/2530643
Sato T, Greenland S, Robins JM (1989). On the variance estimator for the Mantel-Haenszel risk difference.
Biometrics 45:1323-1324. doi:10.2307/2531784
Yusuf S, Peto R, Lewis J, Collins R, Sleight P (1985). Beta blockade during and after myocardial infarction.
Prog Cardiovasc Dis 27:335-371. doi:10.1016/S0033-0620(85)80003-7
"""

from __future__ import annotations

from math import log, nan, sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.classical.heterogeneity import chi2_sf
from bayesmeta.classical.pooling import infer, q_inconsistency
from bayesmeta.classical.result import Classical
from bayesmeta.effectsizes import rates, tables2x2
from bayesmeta.errors import AnalysisError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.arrays import Floats
    from bayesmeta.effectsizes import Effects
    from bayesmeta.studies import Studies


class Common(NamedTuple):
    """A common effect of several tables."""

    estimate: float
    """Common effect on the analysis scale; NaN where the data do not determine it."""
    variance: float
    """Its sampling variance."""
    weights: Floats
    """(k,) weights of the tables, not normalised."""


class ChiSquared(NamedTuple):
    """A chi-squared test."""

    statistic: float
    """Test statistic."""
    df: float
    """Degrees of freedom."""
    p_value: float
    """Upper tail probability."""


def log_odds_ratio(ai: Floats, bi: Floats, ci: Floats, di: Floats) -> Common:
    """Return the Mantel-Haenszel log odds ratio.

    Parameters
    ----------
    ai, bi, ci, di : (k,) arrays
        Events and non-events in group 1, events and non-events in group 2.

    Notes
    -----
    ``R / S`` with ``R = sum a d / n`` and ``S = sum b c / n``; the variance of its logarithm is that of
    Robins, Breslow and Greenland (1986).
    """
    total = ai + bi + ci + di
    R, S = ai * di / total, bi * ci / total
    P, Q = (ai + di) / total, (bi + ci) / total
    sum_R, sum_S = float(R.sum()), float(S.sum())
    if not (sum_R > 0 and sum_S > 0):
        return Common(nan, nan, S)
    mixed = float(P @ S + Q @ R) / (sum_R * sum_S)
    return Common(log(sum_R / sum_S), (float(P @ R) / sum_R**2 + mixed + float(Q @ S) / sum_S**2) / 2, S)


def log_risk_ratio(ai: Floats, bi: Floats, ci: Floats, di: Floats) -> Common:
    """Return the Mantel-Haenszel log risk ratio with the variance of Greenland and Robins (1985).

    Parameters
    ----------
    ai, bi, ci, di : (k,) arrays
        Events and non-events in group 1, events and non-events in group 2.
    """
    n1, n2 = ai + bi, ci + di
    total = n1 + n2
    R, S = ai * n2 / total, ci * n1 / total
    spread = (n1 * n2 * (ai + ci) - ai * ci * total) / total**2
    return _log_ratio(R, S, spread)


def log_incidence_rate_ratio(x1i: Floats, t1i: Floats, x2i: Floats, t2i: Floats) -> Common:
    """Return the Mantel-Haenszel log incidence-rate ratio with the variance of Greenland and Robins (1985).

    Parameters
    ----------
    x1i, t1i, x2i, t2i : (k,) arrays
        Events and person-time in group 1, events and person-time in group 2.
    """
    total = t1i + t2i
    return _log_ratio(x1i * t2i / total, x2i * t1i / total, (x1i + x2i) * t1i * t2i / total**2)


def _log_ratio(R: Floats, S: Floats, spread: Floats) -> Common:
    """Return ``log(sum R / sum S)`` with variance ``sum spread / (sum R sum S)``."""
    sum_R, sum_S = float(R.sum()), float(S.sum())
    if not (sum_R > 0 and sum_S > 0):
        return Common(nan, nan, S)
    return Common(log(sum_R / sum_S), float(spread.sum()) / (sum_R * sum_S), S)


def risk_difference(ai: Floats, bi: Floats, ci: Floats, di: Floats) -> Common:
    """Return the Mantel-Haenszel risk difference with the variance of Sato, Greenland and Robins (1989).

    Parameters
    ----------
    ai, bi, ci, di : (k,) arrays
        Events and non-events in group 1, events and non-events in group 2.
    """
    n1, n2 = ai + bi, ci + di
    total = n1 + n2
    weights = n1 * n2 / total
    difference = float((ai * n2 - ci * n1) @ (1 / total)) / float(weights.sum())
    tilt = (n1**2 * ci - n2**2 * ai + n1 * n2 * (n2 - n1) / 2) / total**2
    spread = (ai * di + ci * bi) / (2 * total)
    variance = (difference * float(tilt.sum()) + float(spread.sum())) / float(weights.sum()) ** 2
    return Common(difference, variance, weights)


def incidence_rate_difference(x1i: Floats, t1i: Floats, x2i: Floats, t2i: Floats) -> Common:
    """Return the Mantel-Haenszel incidence-rate difference with the variance of Greenland and Robins (1985).

    Parameters
    ----------
    x1i, t1i, x2i, t2i : (k,) arrays
        Events and person-time in group 1, events and person-time in group 2.
    """
    weights = t1i * t2i / (t1i + t2i)
    total = float(weights.sum())
    difference = float(weights @ (x1i / t1i - x2i / t2i)) / total
    return Common(difference, float(weights**2 @ (x1i / t1i**2 + x2i / t2i**2)) / total**2, weights)


class Pooling(NamedTuple):
    """How a measure is pooled, and how its single effects are computed for Q."""

    common: Callable[[Floats, Floats, Floats, Floats], Common]
    """Common effect of the counts."""
    effects: Callable[..., Effects]
    """Effects and variances of the single studies."""


MANTEL_HAENSZEL: Mapping[str, Pooling] = MappingProxyType(
    {
        "OR": Pooling(log_odds_ratio, tables2x2.log_odds_ratio),
        "RR": Pooling(log_risk_ratio, tables2x2.log_risk_ratio),
        "RD": Pooling(risk_difference, tables2x2.risk_difference),
        "IRR": Pooling(log_incidence_rate_ratio, rates.log_incidence_rate_ratio),
        "IRD": Pooling(incidence_rate_difference, rates.incidence_rate_difference),
    }
)
"""Mantel-Haenszel pooling by measure."""


def peto_log_odds_ratio(ai: Floats, bi: Floats, ci: Floats, di: Floats) -> Common:
    """Return Peto's one-step log odds ratio, ``sum (O - E) / sum V`` with variance ``1 / sum V``.

    Parameters
    ----------
    ai, bi, ci, di : (k,) arrays
        Events and non-events in group 1, events and non-events in group 2.
    """
    excess, information = _hypergeometric(ai, bi, ci, di)
    total = float(information.sum())
    if not total > 0:
        return Common(nan, nan, information)
    return Common(float(excess.sum()) / total, 1 / total, information)


def _hypergeometric(ai: Floats, bi: Floats, ci: Floats, di: Floats) -> tuple[Floats, Floats]:
    """Return observed minus expected events in group 1 and their variance given the margins, (k,) each."""
    n1, n2, events = ai + bi, ci + di, ai + ci
    total = n1 + n2
    variance = n1 * n2 * events * (bi + di) / (total**2 * np.maximum(total - 1, 1))
    return ai - n1 * events / total, variance


def cochran_mantel_haenszel(
    ai: Floats, bi: Floats, ci: Floats, di: Floats, *, correct: bool = True
) -> ChiSquared:
    """Return the Cochran-Mantel-Haenszel test that the odds ratio is 1 in every table.

    Parameters
    ----------
    ai, bi, ci, di : (k,) arrays
        Events and non-events in group 1, events and non-events in group 2.
    correct : bool
        Mantel and Haenszel's correction for continuity.
    """
    excess, variance = _hypergeometric(ai, bi, ci, di)
    total = float(variance.sum())
    if not total > 0:
        return ChiSquared(nan, 1.0, nan)
    statistic = max(0.0, abs(float(excess.sum())) - 0.5 * correct) ** 2 / total
    return ChiSquared(statistic, 1.0, chi2_sf(statistic, 1.0))


def mantel_haenszel(studies: Studies, measure: str | None = None, *, level: float = 0.95) -> Classical:
    """Return the Mantel-Haenszel common effect.

    Parameters
    ----------
    studies : Studies
        Studies with their arm counts.
    measure : {"OR", "RR", "RD", "IRR", "IRD"}, optional
        Measure; that of the studies by default.
    level : float
        Confidence level.

    Raises
    ------
    AnalysisError
        A measure without a Mantel-Haenszel estimator.
    ModelError
        Studies without arm counts.
    """
    name = studies.measure if measure is None else measure
    if name not in MANTEL_HAENSZEL:
        known = ", ".join(MANTEL_HAENSZEL)
        raise AnalysisError(f"Mantel-Haenszel pooling needs a measure among {known}; got '{name}'")
    counts = arm_counts(studies, person_time=name in {"IRR", "IRD"})
    pooling = MANTEL_HAENSZEL[name]
    return _common_effect("MH", pooling.common(*counts), pooling.effects(*counts, drop00=True), level)


def peto(studies: Studies, *, level: float = 0.95) -> Classical:
    """Return Peto's common log odds ratio.

    Parameters
    ----------
    studies : Studies
        Studies with their arm counts.
    level : float
        Confidence level.

    Raises
    ------
    ModelError
        Studies without arm counts.
    """
    counts = arm_counts(studies)
    effects = tables2x2.peto_log_odds_ratio(*counts, to="none")
    return _common_effect("Peto", peto_log_odds_ratio(*counts), effects, level)


def arm_counts(studies: Studies, *, person_time: bool = False) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the cells ``ai bi ci di`` of the studies' arms, or ``x1i t1i x2i t2i`` for person-time.

    Raises
    ------
    ModelError
        Studies without these counts.
    """
    arms = studies.arms
    names = ("x1i", "t1i", "x2i", "t2i") if person_time else ("ai", "bi", "ci", "di")
    if not all(name in arms for name in names):
        have = ", ".join(arms) or "none"
        raise ModelError(
            f"pooling of counts needs the arm data {', '.join(names)}; got {have}; make the studies with "
            "effect_sizes() from a table of counts"
        )
    ai, bi, ci, di = (np.asarray(arms[name], dtype=np.float64) for name in names)
    return ai, bi, ci, di


def _common_effect(method: str, common: Common, effects: Effects, level: float) -> Classical:
    """Return the result of a common effect, with Q of the single effects around it."""
    beta, se = np.array([common.estimate]), np.array([sqrt(common.variance)])
    with np.errstate(invalid="ignore"):
        inference = infer(beta, se, df=nan, level=level)
        weights = 100 * common.weights / common.weights.sum()
    Q, df = _q_around(common.estimate, effects)
    I2, H2 = q_inconsistency(Q, df)
    chi2 = float(inference.statistic[0]) ** 2
    return Classical(
        method=method,
        test="z",
        level=level,
        names=("mu",),
        beta=beta,
        cov=np.array([[common.variance]]),
        df=nan,
        k=common.weights.size,
        p=1,
        weights=weights,
        Q=Q,
        Q_df=df,
        Q_p=chi2_sf(Q, df),
        QM=chi2,
        QM_df=1.0,
        QM_p=chi2_sf(chi2, 1.0),
        I2=I2,
        H2=H2,
        **inference._asdict(),
    )


def _q_around(estimate: float, effects: Effects) -> tuple[float, float]:
    """Return Q of the studies' effects around a common one, and its degrees of freedom."""
    usable = np.isfinite(effects.yi)
    deviations = effects.yi[usable] - estimate
    return float(deviations**2 @ (1 / effects.vi[usable])), max(0.0, float(usable.sum() - 1))
