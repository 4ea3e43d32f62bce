"""Pointwise log likelihood with study effects integrated out, as cross-validation needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.kernel import LOG_2PI
from bayesmeta.priors import Prior
from bayesmeta.results.counts import Table, log_marginal
from bayesmeta.results.posterior import study_taus

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.draws import Draws


def log_likelihood(problem: Problem, draws: Draws) -> Floats:
    """Return the (chain, draw, k) log density of each study's data given coefficients and tau.

    Parameters
    ----------
    problem : Problem
        Studies, model and priors.
    draws : Draws
        Posterior draws; only coefficients and tau count.

    Notes
    -----
    The effect of the study, and with counts its group-2 log odds, are integrated out: they are known from
    that study alone, so that leaving it out given their draws would be unstable (Merkle et al. 2019).

    References
    ----------
    Merkle EC, Furr D, Rabe-Hesketh S (2019). Bayesian comparison of latent variable models: conditional
    versus marginal likelihoods. Psychometrika 84:802-829. doi:10.1007/s11336-019-09679-0
    """
    mean = draws.beta @ problem.X.T
    if problem.model.likelihood == "normal":
        total = problem.v + study_taus(draws, problem) ** 2
        return np.asarray(-0.5 * (LOG_2PI + np.log(total) + (problem.y - mean) ** 2 / total))
    baseline = problem.model.baseline
    assert isinstance(baseline, Prior)  # noqa: S101 - the model parsed it at birth
    result = np.empty(mean.shape)
    for i, table in enumerate(tables(problem)):
        flat = log_marginal(table, baseline, mean[:, :, i].ravel(), draws.tau.ravel())
        result[:, :, i] = flat.reshape(draws.tau.shape)
    return result


def tables(problem: Problem) -> list[Table]:
    """Return the two-by-two table of each study."""
    arms = problem.studies.arms
    columns = (arms["ai"], arms["ai"] + arms["bi"], arms["ci"], arms["ci"] + arms["di"])
    return [Table(*map(float, row)) for row in zip(*columns, strict=True)]
