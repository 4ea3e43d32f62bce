"""Do two engines agree? Differences of NUTS from the exact answer, in Monte Carlo standard errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from bayesmeta.properness import tau_moments, whole_moments
from bayesmeta.results.diagnostics import monte_carlo_error
from bayesmeta.results.heterogeneity import TauDensity, central_moment
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.results.posterior import distribution_of

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.marginal import Distribution

MOMENTS_NEEDED = {"mean": 2, "sd": 4}
"""Moments of tau that must exist for a statistic to have a Monte Carlo standard error."""
FAR = 1e-4
"""Probability of the tails by which they are judged."""
LIGHT = 4.0
"""How many times as far as the middle 95 % the middle 99.98 % may reach for an sd to be compared.

From the median; normal tails reach 1.9 times as far, exponential ones 2.8, those of t with 5 degrees 3.8.
"""
FALSE_ALARM = 1e-3
"""Probability that a run of a correct sampler is called different."""
DETECTABLE = 4.0
"""Monte Carlo standard errors that a bias must have to be noticed in a single comparison."""


class Difference(NamedTuple):
    """One number by both engines."""

    quantity: str
    """Quantity."""
    statistic: str
    """``mean``, ``sd``, ``median``, ``lower`` or ``upper``."""
    nuts: float
    """By the sampler."""
    exact: float
    """By integration."""
    mcse: float
    """Monte Carlo standard error of the first, in units of the quantity."""
    z: float
    """Difference in standard errors; of a quantile, in terms of the probability below it."""


class Agreement(NamedTuple):
    """Comparison of all reported quantities of a fit."""

    rows: tuple[Difference, ...]
    """Every comparison."""
    threshold: float
    """Largest z that chance explains, given the number of comparisons (Bonferroni)."""
    detectable: float
    """Bias of the mean that would have been noticed, in posterior standard deviations."""

    @property
    def largest(self) -> float:
        """Largest absolute z."""
        return max((abs(row.z) for row in self.rows), default=0.0)

    @property
    def ok(self) -> bool:
        """Whether chance explains every difference."""
        return self.largest <= self.threshold

    def to_dict(self) -> dict[str, Any]:
        """Return the block of ``results.json``."""
        return {
            "ok": self.ok,
            "comparisons": len(self.rows),
            "largest_z": self.largest,
            "threshold": self.threshold,
            "detectable_bias_sd": self.detectable,
            "rows": [row._asdict() for row in self.rows],
        }


def agreement(sampled: Fit, exact: Fit, *, prob: float = 0.95) -> Agreement:
    """Return the differences of a sampled fit from the exact one.

    Parameters
    ----------
    sampled, exact : Fit
        The same problem by NUTS and by integration.
    prob : float
        Probability of the equal-tailed intervals compared.

    Notes
    -----
    Quantities are those of the summary and the effects of the studies. With n comparisons the threshold is
    the normal quantile at ``1 - 0.001 / (2 n)``: a correct sampler is called different in at most one run in
    a thousand, if every z is normal. For quantiles that needs care. The usual standard error of a quantile is
    itself estimated from the few draws near it, and makes z of 5 at effective sizes of 1500. Here the share
    of draws below the exact quantile is compared with its probability p; the standard error of that share
    is known but for the effective size N, ``sqrt(p (1 - p) / N)``.

    Standard errors of means and sds are those of draws with the exact second and fourth moments. An sd of
    draws with heavy tails is most often too small: it is compared where tails are light. A mode is never
    compared. Nor is a mean whose variance, or an sd whose fourth moment, does not exist, for then the
    Monte Carlo error has no standard error.

    References
    ----------
    Vehtari A, Gelman A, Simpson D, Carpenter B, Bürkner PC (2021). Rank-normalization, folding, and
    localization: an improved R-hat for assessing convergence of MCMC. Bayesian Anal 16:667-718.
    doi:10.1214/20-BA1221 (section 4, effective sizes of quantiles)
    """
    names = [*sampled.names, *(f"theta[{label}]" for label in sampled.problem.studies.slab)]
    order = whole_moments(tau_moments(sampled.problem))
    found = [_compared(sampled, exact, name, prob, order) for name in names]
    rows = tuple(row for rows, _ in found for row in rows)
    threshold = float(-ndtri(FALSE_ALARM / (2 * max(len(rows), 1))))
    return Agreement(rows, threshold, float(np.round(max(bias for _, bias in found), 4)))


def _compared(sampled: Fit, exact: Fit, name: str, prob: float, order: int) -> tuple[list[Difference], float]:
    """Return the comparisons of one quantity, and the bias of its mean that would be noticed."""
    ours, truth = distribution_of(sampled.posterior, name), distribution_of(exact.posterior, name)
    values = ours.values[:, :, 0]  # type: ignore[attr-defined]
    if np.ptp(values) == 0:
        return [], 0.0
    errors = monte_carlo_error(values, prob=prob)
    sds = float(ours.sd()[0]), float(truth.sd()[0])
    means = float(ours.mean()[0]), float(truth.mean()[0])
    rows = []
    if order >= MOMENTS_NEEDED["mean"] and errors["mcse_mean"] > 0:
        rows.append(_difference(name, "mean", means, errors["mcse_mean"] * sds[1] / sds[0]))
    if order >= MOMENTS_NEEDED["sd"] and errors["mcse_sd"] > 0 and _has_light_tails(truth):
        rows.append(_difference(name, "sd", sds, _error_of_sd(values, truth, errors["mcse_sd"])))
    for statistic, p in (("median", 0.5), ("lower", (1 - prob) / 2), ("upper", (1 + prob) / 2)):
        one, other = (float(side.quantile(np.array([p]))[0, 0]) for side in (ours, truth))
        z = _quantile_z(values, other, p)
        rows.append(Difference(name, statistic, one, other, errors[f"mcse_{statistic}"], z))
    known = order >= MOMENTS_NEEDED["mean"]
    return rows, DETECTABLE * errors["mcse_mean"] / sds[0] if known else 0.0


def _difference(name: str, statistic: str, pair: tuple[float, float], mcse: float) -> Difference:
    return Difference(name, statistic, *pair, mcse, (pair[0] - pair[1]) / mcse)


def _has_light_tails(distribution: Distribution) -> bool:
    """Return whether the tails are so light that the sd of some thousand draws has a normal error."""
    far_low, low, median, high, far_high = distribution.quantile(np.array([FAR, 0.025, 0.5, 0.975, 1 - FAR]))
    return bool(far_high - median <= LIGHT * (high - median) and median - far_low <= LIGHT * (median - low))


def _error_of_sd(values: Floats, truth: Distribution, mcse: float) -> float:
    """Return the standard error of the sd of draws, with the exact moments in place of their own."""
    exact = _even_moments(truth)
    if exact is None:
        return mcse
    square = (values - values.mean()) ** 2
    return mcse * _noise(*exact) / _noise(float(square.mean()), float((square * square).mean()))


def _noise(second: float, fourth: float) -> float:
    """Return the standard error of the sd of a single draw, from central moments."""
    return float(np.sqrt((fourth - second * second) / (4 * second)))


def _even_moments(distribution: Distribution) -> tuple[float, float] | None:
    """Return the second and the fourth central moment of what was integrated over one tau; None of others."""
    if isinstance(distribution, TauDensity):
        return central_moment(distribution, np.asarray, 2), central_moment(distribution, np.asarray, 4)
    if not isinstance(distribution, NormalMixture):
        return None
    weights, means, v = distribution.weights, distribution.means[:, 0], distribution.sds[:, 0] ** 2
    square = (means - weights @ means) ** 2
    return float(weights @ (square + v)), float(weights @ (square * square + 6 * square * v + 3 * v * v))


def _quantile_z(values: Floats, quantile: float, p: float) -> float:
    """Return how many standard errors the share of draws below a quantile is from p, high draws positive."""
    from arviz_stats.base import array_stats

    below = (values <= quantile).astype(np.float64)
    share = below.mean()
    constant = np.ptp(below) == 0
    size = values.size if constant else float(array_stats.ess(below, method="mean"))
    return float((p - share) / np.sqrt(p * (1 - p) / size))
