"""Classical location-scale models: ``y_i ~ N(x_i' beta, v_i + tau_i^2)`` with ``log tau_i = w_i' eta``.

Parameters, centring and names are those of the Bayesian model (`bayesmeta.scale_design`): a tau, or one for
each level of a category, and log ratios delta.

References
----------
Viechtbauer W, López-López JA (2022). Location-scale models for meta-analysis. Res Synth Methods 13:697-715.
doi:10.1002/jrsm.1562
"""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import fdtrc

from bayesmeta.classical.heterogeneity import chi2_sf
from bayesmeta.classical.likelihood import log_likelihood, maximum_likelihood
from bayesmeta.classical.pooling import infer, moderator_fields, quantile, study_weights
from bayesmeta.classical.projection import coefficients, dot
from bayesmeta.classical.result import Classical
from bayesmeta.classical.scale_likelihood import ScaleLikelihood, highest
from bayesmeta.classical.spread import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Floats
    from bayesmeta.classical.heterogeneity import Heterogeneity
    from bayesmeta.classical.scale_likelihood import Peak
    from bayesmeta.scale_design import Quantity, ScaleDesign

SCALE_METHODS = ("REML", "ML")
"""Estimators that location-scale models have."""
SCALE_TESTS = ("z", "t")
"""Tests that they have."""
SEEN = 1e-9
"""Part of a quantity's weights that must not lie outside what the studies with a tau above 0 see."""


class _Rows(NamedTuple):
    """Logarithms of the quantities (n,) and their (n, n) covariances; -inf for a tau that vanishes."""

    log: Floats
    observed: Floats
    expected: Floats


def location_scale(
    known: Heterogeneity,
    scale: ScaleDesign,
    *,
    method: str = "REML",
    test: str = "z",
    slab: Sequence[str] = (),
) -> Classical:
    """Return the classical location-scale analysis of a problem.

    Parameters
    ----------
    known : Heterogeneity
        From `bayesmeta.classical.heterogeneity`.
    scale : ScaleDesign
        From `bayesmeta.scale_design.build_scale`.
    method : {"REML", "ML"}
        Restricted maximum likelihood, or maximum likelihood.
    test : {"z", "t"}
        Normal, or t: k - p degrees of freedom for the coefficients, k less the number of scale coefficients
        for these.
    slab : sequence of str
        Labels of the studies, for notes.

    Returns
    -------
    Classical
        With `Classical.spread`. Its `tau2` is that at the means of the scale columns, with the Wald interval
        of its logarithm; I2, R2 and prediction intervals, which need one tau, are NaN.

    Notes
    -----
    The covariance of the coefficients is ``(X' W X)^-1`` at the estimated taus. Where the likelihood rises as
    some taus go to 0, it has no maximum: they are 0, everything else is what it tends to, and ratios to them
    do not exist.
    """
    data = known.problem
    restricted = method == "REML"
    if data.k <= data.p:
        reason = f"{data.k} studies with {data.p} coefficients say nothing of tau"
        return _absent(known, scale, method, test, reason)
    likelihood = ScaleLikelihood(data.data, scale.weights, restricted)
    one_tau = maximum_likelihood(data.data, restricted=restricted)[0]
    peak = highest(likelihood, _same_tau(scale, one_tau))
    if not peak.determined:
        reason = f"the {method} likelihood is flat in a scale coefficient: the studies do not determine it"
        return _absent(known, scale, method, test, reason)
    df = nan if test == "z" else float(data.k - scale.size)
    spread = _spread(scale, peak, df=df, level=known.level)
    before = log_likelihood(data.data, one_tau, restricted=restricted)
    spread = _with_tests(spread, scale, peak, before, method, slab)
    return _result(known, peak, spread, method, test)


def _same_tau(scale: ScaleDesign, tau2: float) -> Floats:
    """Return the eta (1, m) that gives all studies the same tau; none where that is 0."""
    if tau2 == 0:
        return np.zeros((0, scale.size))
    eta = np.zeros((1, scale.size))
    eta[0, : scale.T] = 0.5 * np.log(tau2)
    return eta


def _result(known: Heterogeneity, peak: Peak, spread: Spread, method: str, test: str) -> Classical:
    """Return the coefficients at the taus of the peak, with what is known of tau."""
    data = known.problem
    beta, root = coefficients(data.data, peak.at)
    df = nan if test == "z" else float(data.k - data.p)
    centre = spread.names.index("tau")
    return Classical(
        method=method,
        test=test,
        level=known.level,
        names=data.names,
        beta=beta,
        cov=root @ root.T,
        df=df,
        k=data.k,
        p=data.p,
        weights=study_weights(data, peak.at.weights[0]),
        **infer(beta, np.sqrt(dot(root, root)), df=df, level=known.level)._asdict(),
        **moderator_fields(data, beta, root, df),
        Q=known.Q,
        Q_df=known.df,
        Q_p=known.p_value,
        tau2=float(spread.estimate[centre]) ** 2,
        tau2_lower=float(spread.lower[centre]) ** 2,
        tau2_upper=float(spread.upper[centre]) ** 2,
        spread=spread,
    )


def _spread(scale: ScaleDesign, peak: Peak, *, df: float, level: float) -> Spread:
    """Return estimates, standard errors and intervals of the taus and of the log ratios."""
    rows = _rows(scale, peak)
    ratio = np.array([one.logarithmic for one in scale.summary])
    se, se_expected = (np.sqrt(np.diagonal(cov)) for cov in (rows.observed, rows.expected))
    half = quantile((1 + level) / 2, df) * se
    lower, upper = rows.log - half, rows.log + half
    tested = infer(np.where(ratio, rows.log, nan), se, df=df, level=level)
    tau = np.exp(rows.log)
    return Spread(
        formula=str(scale.design.formula),
        names=tuple(one.name for one in scale.summary),
        is_ratio=tuple(ratio.tolist()),
        estimate=np.where(ratio, rows.log, tau),
        se=np.where(ratio, se, tau * se),
        se_expected=np.where(ratio, se_expected, tau * se_expected),
        lower=np.where(ratio, lower, np.exp(lower)),
        upper=np.where(ratio, upper, np.exp(upper)),
        statistic=tested.statistic,
        p_value=tested.p_value,
        df=df,
        log_likelihood=peak.slope.value,
        taus=np.sqrt(peak.tau2),
    )


def _rows(scale: ScaleDesign, peak: Peak) -> _Rows:
    """Return the logarithms of the quantities with covariances; NaN for what a vanished tau takes with it."""
    basis = peak.face.basis
    weights = np.array([one.weights for one in scale.summary])
    inner = weights @ basis
    outside = np.abs(weights - inner @ basis.T).max(axis=1) > SEEN * np.abs(weights).max(axis=1)
    gone = np.array([not one.logarithmic and _vanishes(one, scale, peak) for one in scale.summary])
    log = np.where(outside, np.where(gone, -np.inf, nan), weights @ peak.eta)
    covs = [_covariance(inner, one, outside) for one in (peak.slope.observed, peak.slope.expected)]
    return _Rows(log, *covs)


def _vanishes(quantity: Quantity, scale: ScaleDesign, peak: Peak) -> bool:
    """Return whether a tau is that of a study whose tau vanishes, or the geometric mean of all taus."""
    rows = np.vstack([scale.weights[peak.face.vanished], scale.weights.mean(axis=0)])
    return bool(peak.face.vanished.any() and (np.abs(rows - quantity.weights).max(axis=1) <= SEEN).any())


def _covariance(inner: Floats, information: Floats, outside: Any) -> Floats:
    if not information.size:
        return np.full((len(inner), len(inner)), nan)
    cov = inner @ np.linalg.solve(information, inner.T)
    cov[outside], cov[:, outside] = nan, nan
    return np.asarray(cov)


def _with_tests(
    spread: Spread, scale: ScaleDesign, peak: Peak, before: float, method: str, slab: Sequence[str]
) -> Spread:
    """Return the spread with both tests that tau is the same in all studies, and with what to doubt."""
    df = float(scale.size - 1)
    LR = max(0.0, 2 * (spread.log_likelihood - before))
    LR_p = chi2_sf(LR, df)
    made = replace(spread, log_likelihood_one_tau=before, LR=LR, LR_df=df, LR_p=LR_p, QS_df=df)
    if peak.face.vanished.any():
        return replace(made, notes=(("scale-no-maximum", _no_maximum(made, peak, method, slab)),))
    QS, QS_p = _wald(scale, peak, spread.df)
    return replace(made, QS=QS, QS_p=QS_p)


def _wald(scale: ScaleDesign, peak: Peak, df: float) -> tuple[float, float]:
    """Return statistic and p-value of the Wald test that all log ratios are 0."""
    ratios = np.array([one.weights for one in scale.summary if one.logarithmic])
    delta = ratios @ peak.eta
    cov = ratios @ np.linalg.solve(peak.slope.observed, ratios.T)
    QS, m = float(delta @ np.linalg.solve(cov, delta)), float(delta.size)
    if isnan(df):
        return QS, chi2_sf(QS, m)
    return QS / m, float(fdtrc(m, df, QS / m)) if df > 0 else nan


def _no_maximum(spread: Spread, peak: Peak, method: str, slab: Sequence[str]) -> str:
    """Return which taus go to 0, and what that leaves undefined."""
    gone = [
        name for name, tau in zip(spread.names, spread.estimate, strict=True) if tau == 0 and name != "tau"
    ]
    vanished = np.flatnonzero(peak.face.vanished)
    if vanished.size == peak.face.vanished.size:
        what = "every tau goes"
    elif gone:
        what = f"{' and '.join(gone)} {'goes' if len(gone) == 1 else 'go'}"
    else:
        named = f" ({', '.join(slab[i] for i in vanished[:5])})" if slab and vanished.size <= 5 else ""
        what = f"the tau of {vanished.size} of the {peak.face.vanished.size} studies{named} goes"
    return (
        f"the {method} likelihood of the location-scale model has no maximum: it rises as {what} to 0; log "
        "ratios to it, their standard errors and the Wald test do not exist, and the other numbers are what "
        "they tend to"
    )


def _absent(known: Heterogeneity, scale: ScaleDesign, method: str, test: str, reason: str) -> Classical:
    """Return the analysis of studies that do not determine tau: nothing but the reason."""
    data, n = known.problem, len(scale.summary)
    nothing, empty = np.full(data.p, nan), np.full(n, nan)
    spread = Spread(
        formula=str(scale.design.formula),
        names=tuple(one.name for one in scale.summary),
        is_ratio=tuple(one.logarithmic for one in scale.summary),
        estimate=empty,
        se=empty,
        se_expected=empty,
        lower=empty,
        upper=empty,
        statistic=empty,
        p_value=empty,
        taus=np.full(data.k, nan),
        notes=(("scale-undetermined", f"{reason}; the location-scale rows are empty"),),
    )
    return Classical(
        method=method,
        test=test,
        level=known.level,
        names=data.names,
        beta=nothing,
        cov=np.full((data.p, data.p), nan),
        **infer(nothing, nothing, df=nan, level=known.level)._asdict(),
        df=nan,
        Q=known.Q,
        Q_df=known.df,
        Q_p=known.p_value,
        k=data.k,
        p=data.p,
        weights=np.full(data.k, nan),
        spread=spread,
    )
