"""Tau integrated out of the evidence of every subset of moderators, on nodes that all subsets share.

The trapezoidal rule in ``u = asinh(tau / scale)``, or in ``log(tau / scale)`` for priors that are no even
functions of tau, converges exponentially; every second node is a rule of its own, and the difference of the
two is the error. The nodes are doubled until all subsets have settled.

References
----------
Trefethen LN, Weideman JAC (2014). The exponentially convergent trapezoidal rule. SIAM Rev 56:385-458.
doi:10.1137/130932132
"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.priors import Fixed, Flat, HalfCauchy, HalfFlat, HalfNormal, HalfStudentT
from bayesmeta.properness import tau_moments, whole_moments
from bayesmeta.quadrature import DEPTH, panels
from bayesmeta.regression.tree import log_marginals
from bayesmeta.results.heterogeneity import Substitution, TauDensity

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.regression.subsets import Subsets

EVEN = (HalfNormal, HalfCauchy, HalfStudentT, Flat, HalfFlat)
"""Families that continue evenly and smoothly to negative tau."""
FIRST_STEPS = 48
MOST_STEPS = 768
GOAL = 1e-10
"""Difference of two log evidences at which a subset has settled; the error is about its square."""
LARGEST_U = 80.0
ZOOM_POINTS = 33
ZOOMS = 4
CHUNK = 4_000_000
"""Numbers held in memory at once."""
ROUNDING = 4 * float(np.finfo(np.float64).eps)
LONGEST_PANEL = 0.7
"""Length in u of a panel on which the density of tau is a polynomial."""


class Integrated(NamedTuple):
    """What is known of n subsets after integration."""

    tau: Floats
    """(m,) nodes."""
    weights: Floats
    """(n, m) posterior probabilities of the nodes in each subset; they sum to 1."""
    log_evidence: Floats
    """(n,) log marginal likelihoods."""
    error: Floats
    """(n,) bounds of their error; large or NaN where the rule did not settle."""


def at_one_tau(subsets: Subsets, tau: float) -> Integrated:
    """Return the evidence of every subset where tau is known."""
    found = log_marginals(subsets.columns(), subsets.blocks, np.array([tau * tau]))
    return Integrated(np.array([tau]), np.ones_like(found), found[:, 0], np.zeros(len(found)))


class SharedNodes:
    """The integrand of every subset, as a function of tau.

    Parameters
    ----------
    subsets : Subsets
        What is compared; the prior of tau of the model with all columns is that of every subset.
    """

    def __init__(self, subsets: Subsets) -> None:
        problem = subsets.problem
        self.columns, self.blocks = subsets.columns(), subsets.blocks
        self.prior = problem.priors.tau_density
        self.bound = tau_moments(problem)
        smallest, typical = float(np.sqrt(problem.v.min())), self.prior.typical
        scale = min(smallest, typical) if typical > 0 else smallest
        self.substitution = Substitution(scale, logarithmic=not isinstance(self.prior, EVEN))

    def integrated(self) -> Integrated:
        """Return the evidence of every subset, integrated over tau."""
        if isinstance(self.prior, Fixed):
            raise TypeError("a known tau is not integrated")
        self.low, self.high = self._limits()
        steps = FIRST_STEPS
        found = self._on(steps)
        while not found.error.max() <= GOAL and 2 * steps <= MOST_STEPS:
            steps *= 2
            found = self._on(steps)
        return found._replace(error=np.maximum(found.error, self._rounding(found)))

    def tau(self, posterior: Floats, log_evidence: Floats) -> TauDensity:
        """Return the posterior of tau averaged over subsets, whose (n,) probabilities are given."""
        used = posterior > 0
        share = np.where(used, np.log(np.where(used, posterior, 1.0)) - log_evidence, -inf)
        count = max(3, ceil((self.high - self.low) / LONGEST_PANEL))
        return self._tau_on(count, share)

    def _tau_on(self, count: int, share: Floats) -> TauDensity:
        rule = panels(np.linspace(self.low, self.high, count + 1))
        used = np.isfinite(share)
        log_f = np.logaddexp.reduce(self._log_density(rule.x)[used] + share[used, None], axis=0)
        f = np.exp(log_f)
        return TauDensity(
            self.substitution,
            rule,
            f / float(f @ rule.weights),
            moments=whole_moments(self.bound),
            finer=lambda: self._tau_on(2 * count, share),
        )

    def _log_density(self, u: Floats) -> Floats:
        """Return the (n, m) logs of the densities of u times the evidence."""
        tau = self.substitution.tau(u)
        step = max(1, CHUNK // (2 ** len(self.blocks) * (len(self.blocks) + 2)))
        parts = [
            log_marginals(self.columns, self.blocks, tau[start : start + step] ** 2)
            for start in range(0, tau.size, step)
        ]
        return np.asarray(
            np.concatenate(parts, axis=1) + self.prior.logpdf(tau) + self.substitution.log_derivative(u)
        )

    def _limits(self) -> tuple[float, float]:
        """Return the ends of the interval of u outside which nothing counts in any subset."""
        low, high = -LARGEST_U if self.substitution.logarithmic else 0.0, LARGEST_U
        order = min(2, max(0, whole_moments(self.bound)))
        for _ in range(ZOOMS):
            u = np.linspace(low, high, ZOOM_POINTS)
            growth = 0.5 * order * np.log1p((self.substitution.tau(u) / self.substitution.scale) ** 2)
            log_f = self._log_density(u) + growth
            above = np.flatnonzero((log_f > log_f.max(axis=1, keepdims=True) - DEPTH).any(axis=0))
            low, high = u[max(above[0] - 1, 0)], u[min(above[-1] + 1, ZOOM_POINTS - 1)]
        return float(low), float(high)

    def _on(self, steps: int) -> Integrated:
        """Return the answer on nodes at the ends of equal steps, the error from every second node."""
        u = np.linspace(self.low, self.high, steps + 1)
        log_f = self._log_density(u)
        peak = log_f.max(axis=1, keepdims=True)
        f = np.exp(log_f - peak)
        if self.low == 0.0 and not self.substitution.logarithmic:
            f[:, 0] /= 2
        total, half = f.sum(axis=1), 2 * f[:, ::2].sum(axis=1)
        with np.errstate(divide="ignore"):
            log_evidence = peak[:, 0] + np.log(total * (self.high - self.low) / steps)
            error = np.abs(np.log(half / total))
        return Integrated(self.substitution.tau(u), f / total[:, None], log_evidence, error)

    def _rounding(self, found: Integrated) -> float:
        """Return what rounding may leave of a log evidence: columns nearly alike, or effects far apart."""
        columns = self.columns
        singular = np.linalg.svd(columns.Z, compute_uv=False)
        typical = np.median(found.tau[found.weights.argmax(axis=1)])
        square = float(np.sum(columns.y**2 / (columns.v + typical**2)))
        return ROUNDING * float((singular[0] / singular[-1]) ** 2 + square)
