"""How much each study moves the answer, and how well the others predict it.

References
----------
Viechtbauer W, Cheung MWL (2010). Outlier and influence diagnostics for meta-analysis. Res Synth Methods
1:112-125. doi:10.1002/jrsm.11
Marshall EC, Spiegelhalter DJ (2003). Approximate cross-validatory predictive checks in disease mapping
models. Stat Med 22:1649-1660. doi:10.1002/sim.1403
Vehtari A, Gelman A, Gabry J (2017). Practical Bayesian model evaluation using leave-one-out cross-validation
and WAIC. Stat Comput 27:1413-1432. doi:10.1007/s11222-016-9696-4
"""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from bayesmeta.classical import classical
from bayesmeta.engines.exact import why_not
from bayesmeta.errors import BayesmetaError, ModelError
from bayesmeta.kernel import LOG_2PI
from bayesmeta.quadrature import panels
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.fit import require_fit
from bayesmeta.sensitivity.omitted import leave_one_out
from bayesmeta.sensitivity.subsets import require_pooled

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.classical import Classical
    from bayesmeta.results.fit import Fit
    from bayesmeta.sensitivity.omitted import LeftOut

REACH = 18.0
"""Largest ``asinh`` of a distance, in spreads, at which densities are compared."""
PANELS = 72
PLACES = np.array([1e-6, 1e-3, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1 - 1e-3, 1 - 1e-6])
"""Probabilities of the second distribution at whose quantiles panels begin, lest a narrow one be missed."""
LEAST = 1e-300


def influence(fit: Fit) -> pd.DataFrame:
    """Return a row for each study: what leaving it out changes, and how the others predict it.

    Parameters
    ----------
    fit : Fit
        An exact fit without moderators, of at least two studies; its priors are kept.

    Returns
    -------
    DataFrame
        Indexed by study, effects on the analysis scale:

        ``yi``, ``sei``
            Effect and standard error.
        ``mu``, ``tau``
            Posterior medians without the study.
        ``shift``
            ``(E mu - E mu without) / sd(mu)``: by how many sds the study moves the mean; NaN where a moment
            does not exist.
        ``cook``
            Its square, Cook's distance.
        ``tau_change``
            Median of tau with the study less that without it.
        ``hellinger``, ``kl``
            Distance of the posteriors of mu with and without the study, 0 to 1, and the information in nats
            that the study adds about mu.
        ``pit``, ``z``
            Probability that the others give to effects below the one observed, and its normal quantile.
        ``elpd``
            Log density that the others give to it; the sum compares models.
        ``fixed``, ``REML``, ``REML_tau``
            Classical estimates without the study; ``REML_shift`` and ``REML_cook`` are the changes in
            standard errors, ``REML_rstudent`` the studentized deleted residual. NaN where REML has no answer.

    Raises
    ------
    ModelError
        If the fit is not exact, has moderators, or has fewer than two studies.

    Notes
    -----
    Nothing is approximated by importance sampling, so that no study is too influential for its row.
    """
    import pandas as pd

    require_fit(fit, "influence")
    require_pooled(fit.problem, "influence")
    reason = why_not(fit.problem)
    if reason:
        raise ModelError(f"influence needs the exact engine, which cannot run {reason}")
    if not isinstance(fit.posterior, ExactPosterior):
        raise ModelError(f"influence takes an exact fit; got one by {fit.engine}; use engine='exact'")
    reml = _reml(fit)
    rows = [_row(fit, i, one, reml) for i, one in enumerate(leave_one_out(fit, engine="exact"))]
    return pd.DataFrame(rows, index=pd.Index(fit.problem.studies.slab, name="study"))


def _row(fit: Fit, i: int, one: LeftOut, reml: Classical | None) -> dict[str, float]:
    y, v = float(fit.problem.y[i]), float(fit.problem.v[i])
    whole, without = fit.marginal("mu"), one.fit.marginal("mu")
    tau, tau_without = fit.marginal("tau").median, one.fit.marginal("tau").median
    shift = (whole.mean - without.mean) / whole.sd
    hellinger, kl = distances(whole.distribution, without.distribution)
    return {
        "yi": y,
        "sei": sqrt(v),
        "mu": without.median,
        "tau": tau_without,
        "shift": shift,
        "cook": shift**2,
        "tau_change": tau - tau_without,
        "hellinger": hellinger,
        "kl": kl,
        **_predicted(y, v, one.fit),
        **_classical(y, v, one, reml),
    }


def distances(first: Any, second: Any) -> tuple[float, float]:
    """Return Hellinger distance and Kullback-Leibler divergence of a distribution from another.

    Parameters
    ----------
    first, second : Distribution
        Densities on the whole line, of size 1.

    Notes
    -----
    Integrated by Gauss-Legendre panels over ``asinh`` of the distance from the median, which turns polynomial
    tails into exponential ones. The divergence is that of `second` from `first`, ``E log(p / q)`` under p.
    """
    quarter, centre, three = first.quantile(np.array([0.25, 0.5, 0.75]))[:, 0]
    width = (three - quarter) / 2
    others = np.arcsinh((second.quantile(PLACES)[:, 0] - centre) / width)
    rule = panels(np.unique(np.concatenate([np.linspace(-REACH, REACH, PANELS + 1), others])))
    x = centre + width * np.sinh(rule.x)
    weights = rule.weights * width * np.cosh(rule.x)
    p, q = first.density(x)[:, 0], second.density(x)[:, 0]
    affinity = float(weights @ np.sqrt(p * q))
    counts = (p > LEAST) & (q > LEAST)
    ratio = np.log(p[counts]) - np.log(q[counts])
    return sqrt(max(0.0, 1 - affinity)), float((weights * p)[counts] @ ratio)


def _predicted(y: float, v: float, others: Fit) -> dict[str, float]:
    """Return what the others say of the observed effect."""
    posterior = others.posterior
    assert isinstance(posterior, ExactPosterior)  # noqa: S101 - they were asked for
    best = posterior if posterior.finer is None else posterior.finer
    nodes = best.nodes
    sds = np.sqrt(nodes.cov[:, :, 0] + nodes.tau2[:, None] + v)
    z = (y - nodes.beta[:, 0]) / sds[:, 0]
    below, above = (float(special.logsumexp(special.log_ndtr(side * z), b=nodes.weights)) for side in (1, -1))
    normal = special.ndtri_exp(below) if below < above else -special.ndtri_exp(above)
    log_density = -0.5 * (z * z + LOG_2PI) - np.log(sds[:, 0])
    elpd = special.logsumexp(log_density, b=nodes.weights)
    return {"pit": float(np.exp(below)), "z": float(normal), "elpd": float(elpd)}


def _reml(fit: Fit) -> Classical | None:
    try:
        return classical(fit.studies, method="REML")
    except BayesmetaError:
        return None


def _classical(y: float, v: float, one: LeftOut, reml: Classical | None) -> dict[str, float]:
    """Return the classical twins, NaN where they do not exist."""
    names = ("fixed", "REML", "REML_tau", "REML_shift", "REML_cook", "REML_rstudent")
    found = dict.fromkeys(names, nan)
    if one.fixed is not None:
        found["fixed"] = float(one.fixed.beta[0])
    others = _reml(one.fit)
    if others is None or reml is None:
        return found
    estimate, se, tau2 = float(others.beta[0]), float(others.se[0]), float(others.tau2)
    moved = float(reml.beta[0]) - estimate
    found |= {"REML": estimate, "REML_tau": sqrt(tau2), "REML_shift": moved / float(reml.se[0])}
    residual = (y - estimate) / sqrt(v + tau2 + se**2)
    return found | {"REML_cook": found["REML_shift"] ** 2, "REML_rstudent": residual}
