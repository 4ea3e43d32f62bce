"""Estimators of the between-study variance tau^2, Cochran's Q, and the Q-profile interval.

Each estimator is a closed form at one tau^2, a root of the generalised Q, or a maximum of the profile.
All of them take any number of coefficients p, follow a change of units exactly, and are truncated at 0.

References
----------
DerSimonian R, Laird N (1986). Meta-analysis in clinical trials. Control Clin Trials 7:177-188.
doi:10.1016/0197-2456(86)90046-2
DerSimonian R, Kacker R (2007). Random-effects model for meta-analysis of clinical trials: an update.
Contemp Clin Trials 28:105-114. doi:10.1016/j.cct.2006.04.004
Hedges LV, Olkin I (1985). Statistical Methods for Meta-Analysis. Academic Press. doi:10.1016/C2009-0-03396-0
Schmidt FL, Hunter JE (2014). Methods of Meta-Analysis, 3rd ed. Sage. doi:10.4135/9781483398105
Sidik K, Jonkman JN (2005). Simple heterogeneity variance estimation for meta-analysis. J R Stat Soc C
54:367-384. doi:10.1111/j.1467-9876.2005.00489.x
Paule RC, Mandel J (1982). Consensus values and weighting factors. J Res Natl Bur Stand 87:377-385.
doi:10.6028/jres.087.022
Morris CN (1983). Parametric empirical Bayes inference. J Am Stat Assoc 78:47-55. doi:10.2307/2287098
Viechtbauer W (2005). Bias and efficiency of meta-analytic variance estimators in the random-effects model.
J Educ Behav Stat 30:261-293. doi:10.3102/10769986030003261
Viechtbauer W (2007). Confidence intervals for the amount of heterogeneity in meta-analysis. Stat Med
26:37-52. doi:10.1002/sim.2514
"""

from __future__ import annotations

from math import nan
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import chdtrc, chdtri

from bayesmeta.classical.likelihood import maximum_likelihood
from bayesmeta.classical.projection import dot, project, unweighted_rss

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.arrays import Floats
    from bayesmeta.classical.problem import Problem
    from bayesmeta.kernel import GaussianData

CONVERGED = 1e-11
"""Last Newton step, relative to ``tau^2 + min v``; the error after it is its square."""


class Heterogeneity(NamedTuple):
    """What the data say about heterogeneity before any estimator is chosen."""

    problem: Problem
    """The data."""
    Q: float
    """Cochran's Q, the weighted residual sum of squares at tau = 0."""
    df: float
    """Degrees of freedom ``k - p``."""
    p_value: float
    """Upper chi-squared probability of Q."""
    typical_v: float
    """Typical sampling variance ``(k - p) / tr P`` at tau = 0 (Higgins and Thompson 2002)."""
    tau2_lower: float
    """Lower Q-profile limit of tau^2."""
    tau2_upper: float
    """Upper Q-profile limit of tau^2."""
    tau2_paule_mandel: float
    """Root of ``Q(tau^2) = k - p``, found together with the limits."""
    level: float
    """Confidence level of the limits."""


class Tau2(NamedTuple):
    """An estimate of the between-study variance."""

    value: float
    """Estimate of tau^2."""
    maxima: tuple[float, ...] = ()
    """All local maxima of the likelihood, for ML and REML; 0 among them if it falls from there."""


def chi2_sf(statistic: float, df: float) -> float:
    """Return the upper chi-squared probability; NaN without degrees of freedom."""
    return float(chdtrc(df, statistic)) if df > 0 else nan


def heterogeneity(problem: Problem, *, level: float = 0.95) -> Heterogeneity:
    """Return Q, the typical sampling variance, the Q-profile interval and the Paule-Mandel root.

    Parameters
    ----------
    problem : Problem
        The data.
    level : float
        Confidence level of the Q-profile interval.

    Notes
    -----
    The interval holds the tau^2 with ``chi2_{alpha/2} <= Q(tau^2) <= chi2_{1 - alpha/2}`` on k - p degrees of
    freedom; it is exact when the sampling variances are known. If even Q(0) lies below both, it is (0, 0).
    """
    data, df = problem.data, problem.k - problem.p
    fixed = project(data, np.zeros(1))
    Q = float(fixed.Q[0])
    if df == 0:
        return Heterogeneity(problem, Q, 0.0, nan, nan, nan, nan, nan, level)
    tail = (1 - level) / 2
    targets = np.array([chdtri(df, tail), df, chdtri(df, 1 - tail)])
    lower, middle, upper = q_roots(data, targets, at_zero=Q).tolist()
    typical_v = df / float(fixed.trace[0])
    return Heterogeneity(problem, Q, df, chi2_sf(Q, df), typical_v, lower, upper, middle, level)


def q_roots(data: GaussianData, targets: Floats, *, at_zero: float) -> Floats:
    """Return the tau^2 at which the generalised Q falls to each target; 0 if it starts below.

    Parameters
    ----------
    data : GaussianData
        From `bayesmeta.kernel.gaussian_data`.
    targets : (m,) array
        Positive values of Q.
    at_zero : float
        Q at tau = 0.

    Notes
    -----
    Weights between ``1 / (tau^2 + max v)`` and ``1 / (tau^2 + min v)`` put the root above
    ``RSS / target - max v``. ``1 / Q`` is increasing and concave in tau^2 (Cauchy-Schwarz), so Newton's
    method on it, started below the root, climbs to the root without ever passing it.
    """
    roots = np.zeros(targets.size)
    open_ = np.flatnonzero(targets < at_zero)
    tau2 = np.maximum(0.0, unweighted_rss(data) / targets[open_] - data.v.max())
    smallest = data.v.min()
    while open_.size:
        projection = project(data, tau2)
        Q, goal = projection.Q, targets[open_]
        step = Q * (Q - goal) / (goal * projection.square)
        tau2 = np.maximum(tau2 + step, 0.0)
        roots[open_] = tau2
        moving = np.abs(step) > CONVERGED * (tau2 + smallest)
        open_, tau2 = open_[moving], tau2[moving]
    return roots


def der_simonian_laird(known: Heterogeneity) -> Tau2:
    """Return the moment estimator ``(Q - (k - p)) / tr P`` with the weights of tau = 0."""
    return Tau2(max(0.0, (known.Q - known.df) * known.typical_v / known.df))


def hedges(known: Heterogeneity) -> Tau2:
    """Return the unweighted moment estimator: residual variance less the average sampling variance."""
    data = known.problem.data
    leverage = dot(data.basis, data.basis)
    return Tau2(max(0.0, (unweighted_rss(data) - float(data.v @ (1 - leverage))) / known.df))


def hunter_schmidt(known: Heterogeneity) -> Tau2:
    """Return ``(Q - k) / sum w``, which does not correct for the coefficients estimated."""
    return Tau2(max(0.0, (known.Q - known.problem.k) / float(np.sum(1 / known.problem.data.v))))


def sidik_jonkman(known: Heterogeneity) -> Tau2:
    """Return ``tau0^2 Q(tau0^2) / (k - p)`` from the crude ``tau0^2 = mean (y - mean y)^2``."""
    crude = float(np.var(known.problem.y))
    if crude == 0:
        return Tau2(0.0)
    return Tau2(crude * float(project(known.problem.data, np.array([crude])).Q[0]) / known.df)


def paule_mandel(known: Heterogeneity) -> Tau2:
    """Return the tau^2 at which Q equals its expectation k - p.

    Morris's empirical Bayes estimator with the correction k / (k - p) solves the same equation (Viechtbauer
    2005), so that EB is this estimator too.
    """
    return Tau2(known.tau2_paule_mandel)


def fixed_effect(_known: Heterogeneity) -> Tau2:
    """Return 0, the common-effect model."""
    return Tau2(0.0)


def maximum(known: Heterogeneity) -> Tau2:
    """Return the global maximum of the likelihood."""
    return Tau2(*maximum_likelihood(known.problem.data, restricted=False))


def restricted_maximum(known: Heterogeneity) -> Tau2:
    """Return the global maximum of the restricted likelihood."""
    return Tau2(*maximum_likelihood(known.problem.data, restricted=True))


ESTIMATORS: Mapping[str, Callable[[Heterogeneity], Tau2]] = MappingProxyType(
    {
        "FE": fixed_effect,
        "DL": der_simonian_laird,
        "PM": paule_mandel,
        "ML": maximum,
        "REML": restricted_maximum,
        "HE": hedges,
        "HS": hunter_schmidt,
        "SJ": sidik_jonkman,
        "EB": paule_mandel,
    }
)
"""Estimators of tau^2 by metafor's names."""


def estimate_tau2(known: Heterogeneity, method: str) -> Tau2:
    """Return the estimate of tau^2 by the named method.

    It is NaN where k = p leaves nothing to estimate it from; the fixed effect has none by definition.
    """
    if method != "FE" and known.df == 0:
        return Tau2(nan)
    return ESTIMATORS[method](known)
