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

from math import isfinite, nan, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.classical.likelihood import maximum_likelihood
from bayesmeta.classical.problem import problem
from bayesmeta.engines.exact import why_not
from bayesmeta.errors import ModelError
from bayesmeta.fitting import fit as make_fit
from bayesmeta.kernel import LOG_2PI
from bayesmeta.quadrature import panels
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.fit import require_fit
from bayesmeta.sensitivity.kept import with_priors_of
from bayesmeta.sensitivity.subsets import require_pooled

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.marginal import Marginal

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
    if fit.problem.k < 2:
        raise ModelError(f"influence needs at least 2 studies; got {fit.problem.k}")
    whole = _Whole(fit.marginal("mu"), fit.marginal("tau").median, _restricted(fit))
    rows = [_row(fit, i, others, whole) for i, others in enumerate(_omissions(fit))]
    return pd.DataFrame(rows, index=pd.Index(fit.problem.studies.slab, name="study"))


def _omissions(fit: Fit) -> Iterator[Fit]:
    """Yield the answer without each study in turn, the priors being those of all."""
    model, studies = with_priors_of(fit), fit.problem.studies
    for i in range(studies.k):
        yield make_fit(studies.without(i), model, engine="exact")


class _Restricted(NamedTuple):
    """Restricted maximum likelihood."""

    estimate: float
    se: float
    tau2: float


class _Whole(NamedTuple):
    """The answer from all studies, as far as rows are compared with it."""

    mu: Marginal
    tau: float
    reml: _Restricted


def _row(fit: Fit, i: int, others: Fit, all_studies: _Whole) -> dict[str, float]:
    y, v = float(fit.problem.y[i]), float(fit.problem.v[i])
    whole, without = all_studies.mu, others.marginal("mu")
    tau_without = others.marginal("tau").median
    shift = (whole.mean - without.mean) / whole.sd
    hellinger, kl = distances(whole.distribution, without.distribution)
    return {
        "yi": y,
        "sei": sqrt(v),
        "mu": without.median,
        "tau": tau_without,
        "shift": shift,
        "cook": shift**2,
        "tau_change": all_studies.tau - tau_without,
        "hellinger": hellinger,
        "kl": kl,
        **_predicted(y, v, others),
        **_classical(y, v, others, all_studies.reml),
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
    tails into exponential ones; panels at whose ends both densities vanish are left out. The divergence is
    that of `second` from `first`, ``E log(p / q)`` under p.
    """
    quarter, centre, three = first.quantile(np.array([0.25, 0.5, 0.75]))[:, 0]
    width = (three - quarter) / 2
    others = np.arcsinh((second.quantile(PLACES)[:, 0] - centre) / width)
    edges = np.unique(np.concatenate([np.linspace(-REACH, REACH, PANELS + 1), others]))
    ends = centre + width * np.sinh(edges)
    there = (first.density(ends)[:, 0] > LEAST) | (second.density(ends)[:, 0] > LEAST)
    rule = panels(edges)
    kept = np.repeat(there[:-1] | there[1:], rule.x.size // (edges.size - 1))
    u = rule.x[kept]
    x = centre + width * np.sinh(u)
    weights = rule.weights[kept] * width * np.cosh(u)
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
    below, above = (_log_mean(special.log_ndtr(side * z), nodes.weights) for side in (1, -1))
    normal = special.ndtri_exp(below) if below < above else -special.ndtri_exp(above)
    log_density = -0.5 * (z * z + LOG_2PI) - np.log(sds[:, 0])
    elpd = _log_mean(log_density, nodes.weights)
    return {"pit": float(np.exp(below)), "z": float(normal), "elpd": elpd}


def _log_mean(logs: Floats, weights: Floats) -> float:
    """Return the log of the weighted mean of the exponentials of logs (m,)."""
    top = float(logs.max())
    return float(top + np.log(weights @ np.exp(logs - top))) if isfinite(top) else top


def _restricted(fit: Fit) -> _Restricted:
    """Return the classical answer of a fit without moderators; one study has no tau^2."""
    y, v = fit.problem.y, fit.problem.v
    if fit.problem.k < 2:
        return _Restricted(float(y[0]), nan, nan)
    tau2, _ = maximum_likelihood(problem(y, v).data, restricted=True)
    return _Restricted(*_pooled(y, v + tau2), float(tau2))


def _pooled(y: Floats, v: Floats) -> tuple[float, float]:
    """Return the mean weighted by inverse variances, counted from the most precise effect, and its error."""
    weights, centre = 1 / v, y[np.argmin(v)]
    total = weights.sum()
    return float(centre + weights @ (y - centre) / total), float(total**-0.5)


def _classical(y: float, v: float, others: Fit, reml: _Restricted) -> dict[str, float]:
    """Return the classical twins, NaN where they do not exist."""
    estimate, se, tau2 = _restricted(others)
    shift = (reml.estimate - estimate) / reml.se
    residual = (y - estimate) / sqrt(v + tau2 + se**2)
    return {
        "fixed": _pooled(others.problem.y, others.problem.v)[0],
        "REML": estimate,
        "REML_tau": sqrt(tau2),
        "REML_shift": shift,
        "REML_cook": shift**2,
        "REML_rstudent": residual,
    }
