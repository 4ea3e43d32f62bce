"""Leave-one-out predictive densities, integrated exactly instead of estimated from draws.

References
----------
Vehtari A, Gelman A, Gabry J (2017). Practical Bayesian model evaluation using leave-one-out cross-validation
and WAIC. Stat Comput 27:1413-1432. doi:10.1007/s11222-016-9696-4
Gelfand AE, Dey DK, Chang H (1992). Model determination using predictive distributions with implementation via
sampling-based methods. In: Bayesian Statistics 4. Oxford University Press, 147-167.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import ModelError, NumericalError
from bayesmeta.kernel import LOG_2PI
from bayesmeta.results.averaged import AveragedPosterior
from bayesmeta.results.exact import ExactPosterior

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.nodes import Nodes
    from bayesmeta.results.posterior import Posterior

GOAL = 1e-8
"""Difference between two node sets at which the densities have settled, in their logarithms."""
DETERMINED = 1e-10
"""One minus the leverage below which a study alone determines a coefficient."""


class LeaveOneOut(NamedTuple):
    """How well each study is predicted from the others."""

    pointwise: Floats
    """(k,) log density of each study's effect given all others; NaN where the others leave it open."""
    within: Floats
    """(k,) log density of each study's effect given all studies."""

    @property
    def elpd(self) -> float:
        """Sum over the studies: the expected log predictive density."""
        return float(self.pointwise.sum())

    @property
    def se(self) -> float:
        """Standard error of `elpd`, over studies; NaN for one study."""
        k = self.pointwise.size
        return sqrt(k * float(np.var(self.pointwise, ddof=1))) if k > 1 else nan

    @property
    def p(self) -> float:
        """Effective number of parameters: how much better studies are described than predicted."""
        return float((self.within - self.pointwise).sum())


def leave_one_out_density(posterior: Posterior) -> LeaveOneOut:
    """Return the exact leave-one-out predictive densities of the studies.

    Parameters
    ----------
    posterior : Posterior
        From the exact engine. Its design, centring included, and its priors stay those of all studies.

    Raises
    ------
    ModelError
        If the posterior was sampled, or tau depends on moderators.
    NumericalError
        If two node sets do not agree.

    Notes
    -----
    Given tau the predictive density of y_i without study i is normal around ``y_i - r_i / (1 - h_i)`` with
    variance ``(v_i + tau^2) / (1 - h_i)``, r_i and h_i being residual and leverage with all studies. Over tau
    its harmonic mean is taken, ``p(y_i | y_-i) = 1 / E(1 / p(y_i | y_-i, tau))``: an identity, here on nodes,
    not on draws.
    """
    if isinstance(posterior, AveragedPosterior):
        return _blended(posterior)
    if posterior.engine == "exact" and not isinstance(posterior, ExactPosterior):
        raise ModelError(
            "leave-one-out densities are integrated with one tau for all studies; got scale "
            f"'{posterior.problem.model.scale}'; use arviz.loo(fit.tree)"
        )
    if not isinstance(posterior, ExactPosterior):
        raise ModelError(
            "leave-one-out densities are integrated from an exact fit; got one from NUTS; use engine='exact' "
            "or arviz.loo(fit.tree)"
        )
    problem, nodes = posterior.problem, posterior.nodes
    found = _on_nodes(problem, nodes)
    while nodes.finer is not None:
        nodes = nodes.finer()
        other = _on_nodes(problem, nodes)
        apart = np.nanmax(np.abs(other.pointwise - found.pointwise), initial=0.0)
        found = other
        if apart <= GOAL:
            return found
        if nodes.weights.size > 2**15:
            raise NumericalError("leave-one-out densities did not settle; use a smoother prior of tau")
    return found


def _on_nodes(problem: Problem, nodes: Nodes) -> LeaveOneOut:
    """Return the densities on one set of nodes."""
    X, total = problem.X, problem.v + nodes.tau2[:, None]
    spread = np.einsum("ij,mjl,il->mi", X, nodes.cov, X, optimize=True)
    left = 1 - spread / total
    residual = problem.y - nodes.beta @ X.T
    open_ = (left <= DETERMINED).any(axis=0)
    safe = np.where(left > DETERMINED, left, 1.0)
    log_left = _log_normal(residual / safe, total / safe)
    with np.errstate(divide="ignore"):
        log_weights = np.log(nodes.weights)[:, None]
    pointwise = -np.logaddexp.reduce(log_weights - log_left, axis=0)
    within = np.logaddexp.reduce(log_weights + _log_normal(residual, total + spread), axis=0)
    return LeaveOneOut(np.where(open_, nan, pointwise), within)


def _log_normal(deviation: Floats, variance: Floats) -> Floats:
    return np.asarray(-0.5 * (LOG_2PI + np.log(variance) + deviation**2 / variance))


def _blended(posterior: AveragedPosterior) -> LeaveOneOut:
    """Return the densities under a mixture of models, whose weights change with the study left out."""
    parts = [leave_one_out_density(part) for part in posterior.parts]
    log_weights = np.log(posterior.weights)[:, None]
    pointwise = -np.logaddexp.reduce(log_weights - np.array([part.pointwise for part in parts]), axis=0)
    within = np.logaddexp.reduce(log_weights + np.array([part.within for part in parts]), axis=0)
    return LeaveOneOut(pointwise, within)
