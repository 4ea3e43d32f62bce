"""Estimates, tests, confidence and prediction intervals at an estimate of tau^2.

References
----------
Hartung J, Knapp G (2001). A refined method for the meta-analysis of controlled clinical trials with binary
outcome. Stat Med 20:3875-3889. doi:10.1002/sim.1009
Roever C, Knapp G, Friede T (2015). Hartung-Knapp-Sidik-Jonkman approach and its modification for
random-effects meta-analysis with few studies. BMC Med Res Methodol 15:99. doi:10.1186/s12874-015-0091-1
Raudenbush SW (2009). Analyzing effect sizes: random-effects models. In: The Handbook of Research Synthesis
and Meta-Analysis, 2nd ed. Russell Sage, 295-315.
"""

from __future__ import annotations

from math import isnan, nan, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from bayesmeta.classical.heterogeneity import ESTIMATORS, estimate_tau2, heterogeneity
from bayesmeta.classical.projection import coefficients, dot, project
from bayesmeta.classical.result import Classical
from bayesmeta.errors import AnalysisError, suggest

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.classical.heterogeneity import Heterogeneity, Tau2
    from bayesmeta.classical.problem import Problem
    from bayesmeta.classical.projection import Projection

METHODS = tuple(ESTIMATORS)
"""Estimators of tau^2 that `pool` knows."""
TESTS = ("z", "t", "knha", "adhoc")
"""Tests of the coefficients that `pool` knows."""


class Inference(NamedTuple):
    """Tests and intervals of coefficients."""

    se: Floats
    """(p,) standard errors."""
    lower: Floats
    """(p,) lower confidence limits."""
    upper: Floats
    """(p,) upper confidence limits."""
    statistic: Floats
    """(p,) z or t statistics."""
    p_value: Floats
    """(p,) two-sided p-values, accurate far into the tail."""


class Prediction(NamedTuple):
    """Effects expected at given moderator values."""

    estimate: Floats
    """(n,) expected effects."""
    se: Floats
    """(n,) their standard errors."""
    lower: Floats
    """(n,) lower confidence limits."""
    upper: Floats
    """(n,) upper confidence limits."""
    pi_lower: Floats
    """(n,) lower limits for the effect of a new study, t with k - p degrees of freedom."""
    pi_upper: Floats
    """(n,) upper limits."""


def check_options(method: str, test: str, level: float, *, methods: tuple[str, ...] = METHODS) -> None:
    """Refuse an unknown method or test, or an impossible level.

    Raises
    ------
    AnalysisError
        With the nearest known name.
    """
    messages = []
    for what, word, known in (("method", method, methods), ("test", test, TESTS)):
        if word not in known:
            messages.append(
                f"{what} must be one of {', '.join(known)}; got '{word}'{suggest(str(word), known)}"
            )
    if not 0 < level < 1:
        messages.append(f"level must be between 0 and 1, such as 0.95; got {level}")
    if messages:
        raise AnalysisError(messages)


def pool(known: Heterogeneity, *, method: str = "REML", test: str = "z") -> Classical:
    """Return the classical analysis of a problem.

    Parameters
    ----------
    known : Heterogeneity
        From `bayesmeta.classical.heterogeneity`, which several methods share.
    method : {"FE", "DL", "PM", "ML", "REML", "HE", "HS", "SJ", "EB"}
        Estimator of tau^2.
    test : {"z", "t", "knha", "adhoc"}
        Normal; t with k - p degrees of freedom; t with Knapp and Hartung's variance; the same with their
        factor never below 1.

    Raises
    ------
    AnalysisError
        Unknown method or test.

    Notes
    -----
    Where k = p the data say nothing about tau^2: it is NaN, and the coefficients are those of tau = 0, as for
    a subgroup of one study. Knapp and Hartung's factor is ``Q(tau^2) / (k - p)``; where it is 0 because every
    effect lies on the fitted line, 1 is used.
    """
    check_options(method, test, known.level)
    data, level = known.problem, known.level
    tau2 = estimate_tau2(known, method)
    at = project(data.data, np.array([0.0 if isnan(tau2.value) else tau2.value]))
    beta, root = coefficients(data.data, at)
    scale = scale_factor(data, at, known.df, test)
    root *= sqrt(scale)
    df = nan if test == "z" else known.df
    inference = infer(beta, np.sqrt(dot(root, root)), df=df, level=level)
    return Classical(
        method=method,
        test=test,
        level=level,
        names=data.names,
        beta=beta,
        cov=root @ root.T,
        df=df,
        scale=scale,
        k=data.k,
        p=data.p,
        weights=study_weights(data, at.weights[0]),
        **inference._asdict(),
        **_heterogeneity_fields(known, tau2, method),
        **moderator_fields(data, beta, root, df),
        R2=_explained(known, method, tau2.value),
        **_prediction_fields(data, beta, inference.se, tau2.value, method, level),
    )


def infer(beta: Floats, se: Floats, *, df: float, level: float) -> Inference:
    """Return tests and confidence intervals.

    Parameters
    ----------
    beta, se : (p,) arrays
        Coefficients and standard errors.
    df : float
        Degrees of freedom of the t distribution; NaN for the normal one.
    level : float
        Confidence level.
    """
    statistic = beta / se
    half = float(quantile((1 + level) / 2, df)) * se
    tail = ndtr(-np.abs(statistic)) if isnan(df) else _t_sf(np.abs(statistic), df)
    return Inference(se, beta - half, beta + half, statistic, 2 * tail)


def quantile(probability: float, df: float) -> float:
    """Return the quantile of t with df > 0 degrees of freedom, of the normal for NaN, NaN without any."""
    if isnan(df):
        return float(ndtri(probability))
    return float(stdtrit(df, probability)) if df > 0 else nan


def _t_sf(statistic: Floats, df: float) -> Floats:
    """Return upper t probabilities; NaN without degrees of freedom."""
    return stdtr(df, -statistic) if df > 0 else np.full_like(statistic, nan)


def scale_factor(data: Problem, at: Projection, df: float, test: str) -> float:
    """Return the factor on the covariance of the coefficients."""
    if test in {"z", "t"}:
        return 1.0
    if df == 0:
        return nan
    Q = float(at.Q[0])
    rounding = 8 * np.finfo(float).eps * np.linalg.norm(data.y)
    if rounding**2 * at.weights.max() >= Q:
        return 1.0
    return max(1.0, Q / df) if test == "adhoc" else Q / df


def _heterogeneity_fields(known: Heterogeneity, tau2: Tau2, method: str) -> dict[str, Any]:
    """Return Q, I2, H2 and tau2 with its interval; I2 from tau2, or from Q for the fixed effect."""
    fields = {"Q": known.Q, "Q_df": known.df, "Q_p": known.p_value, "tau2": tau2.value, "maxima": tau2.maxima}
    if method == "FE":
        I2, H2 = q_inconsistency(known.Q, known.df)
        return fields | {"I2": I2, "H2": H2}
    total = tau2.value + known.typical_v
    ratios = {"I2": 100 * tau2.value / total, "H2": total / known.typical_v}
    return fields | ratios | {"tau2_lower": known.tau2_lower, "tau2_upper": known.tau2_upper}


def q_inconsistency(Q: float, df: float) -> tuple[float, float]:
    """Return I2 in percent and H2 from Q, as RevMan prints them; NaN without degrees of freedom."""
    if not df > 0:
        return nan, nan
    return max(0.0, 100 * (Q - df) / Q) if Q > 0 else 0.0, Q / df


def moderator_fields(data: Problem, beta: Floats, root: Floats, df: float) -> dict[str, Any]:
    """Return the Wald test that the moderators (without any: the intercept) have no effect.

    With ``cov = root root'`` the statistic is the squared length of the shortest z with ``root z = beta``,
    which needs no inverse of a covariance.
    """
    tested = slice(1, None) if data.intercept and data.p > 1 else slice(None)
    size = np.sqrt(dot(root[tested], root[tested]))
    if not np.all(np.isfinite(size)):
        return {"QM_df": float(size.size)}
    z = np.linalg.lstsq(root[tested] / size[:, None], beta[tested] / size, rcond=None)[0]
    QM, m = float(z @ z), float(size.size)
    if isnan(df):
        return {"QM": QM, "QM_df": m, "QM_p": float(chdtrc(m, QM))}
    return {"QM": QM / m, "QM_df": m, "QM_p": float(fdtrc(m, df, QM / m)) if df > 0 else nan}


def _explained(known: Heterogeneity, method: str, tau2: float) -> float:
    """Return the percentage of heterogeneity that the moderators account for; NaN where there was none.

    Heterogeneity is tau^2 (Raudenbush 2009), or H2 for the fixed effect (the adjusted R2 of the weighted
    regression).
    """
    data = known.problem
    if not data.intercept or data.p == 1 or known.df == 0:
        return nan
    null = heterogeneity(data.without_moderators(), level=known.level)
    fixed = method == "FE"
    before = null.Q / null.df if fixed else estimate_tau2(null, method).value
    after = known.Q / known.df if fixed else tau2
    return max(0.0, 100 * (before - after) / before) if before > 0 else nan


def _prediction_fields(
    data: Problem, beta: Floats, se: Floats, tau2: float, method: str, level: float
) -> dict[str, Any]:
    """Return both prediction intervals of a pooled random effect."""
    if method == "FE" or not data.is_pooled:
        return {}
    centre, sd = float(beta[0]), sqrt(tau2 + float(se[0]) ** 2)
    df = data.k - data.p
    half, half_hts = (quantile((1 + level) / 2, d) * sd for d in (df, df - 1))
    return {
        "pi_lower": centre - half,
        "pi_upper": centre + half,
        "pi_hts_lower": centre - half_hts,
        "pi_hts_upper": centre + half_hts,
    }


def study_weights(data: Problem, weights: Floats) -> Floats:
    """Return weights in percent; for correlated effects the row sums of the inverse covariance."""
    if data.rotation is not None:
        weights = data.rotation @ (weights * data.rotation.sum(axis=0))
    return 100 * weights / weights.sum()


def predict(result: Classical, X: Floats) -> Prediction:
    """Return expected effects and prediction intervals at rows of a design matrix.

    Parameters
    ----------
    result : Classical
        From `pool` or `bayesmeta.classical.classical`.
    X : (n, p) array
        Design rows in the order of ``result.names``.

    Notes
    -----
    Without one tau for all studies (a location-scale model), there are no limits for a new study.
    """
    se = np.sqrt(dot(X @ result.cov, X))
    at = infer(X @ result.beta, se, df=result.df, level=result.level)
    estimate = X @ result.beta
    random = result.method not in {"FE", "MH", "Peto"} and result.spread is None
    sd = np.sqrt(result.tau2 + se**2) if random else np.full_like(se, nan)
    half = quantile((1 + result.level) / 2, result.k - result.p) * sd
    return Prediction(estimate, se, at.lower, at.upper, estimate - half, estimate + half)
