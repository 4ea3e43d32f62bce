"""R2 of a meta-regression: the share of the variance between studies that the moderators explain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.results.empirical import Empirical
from bayesmeta.results.posterior import study_taus
from bayesmeta.results.sampled import SampledPosterior

if TYPE_CHECKING:
    from bayesmeta.results.posterior import Posterior

DRAWS = 40_000
"""Independent draws of an exact posterior."""


def explained(posterior: Posterior) -> Empirical:
    """Return the draws of R2 in percent.

    Notes
    -----
    ``R2 = 100 var(X beta) / (var(X beta) + tau^2)`` in each draw, the sample variance (divisor k - 1) being
    over the studies. It is the explained share of the variance of true effects, sampling error left out, and
    needs no second model. The classical R2 is another quantity: ``1 - tau^2 with / tau^2 without moderators``
    cut at 0.

    References
    ----------
    Gelman A, Goodrich B, Gabry J, Vehtari A (2019). R-squared for Bayesian regression models. Am Stat
    73:307-309. doi:10.1080/00031305.2018.1549100
    """
    if isinstance(posterior, SampledPosterior):
        draws = posterior.sampled
    else:
        draws = posterior.draws(DRAWS, np.random.default_rng(0))
    fitted = np.var(draws.beta @ posterior.problem.X.T, axis=2, ddof=1)
    total = fitted + (study_taus(draws, posterior.problem) ** 2).mean(axis=2)
    share = np.divide(100 * fitted, total, out=np.zeros_like(total), where=total > 0)
    return Empirical(share[:, :, None], lower=0.0, upper=100.0)
