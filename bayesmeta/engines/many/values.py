"""Many reviews, what is found about them, and the nodes between: arrays with a row for each review."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats, Ints

QUANTITIES = ("mu", "tau", "theta_new", "I2")
STATISTICS = ("mean", "sd", "median", "lower", "upper")


class Reviews(NamedTuple):
    """R reviews of at most n studies each."""

    y: Floats
    """(R, n) effects; what stands in the places beyond the number of studies does not count."""
    v: Floats
    """(R, n) sampling variances, likewise; best those of a study of the same review."""
    mean: Floats
    """(R,) prior means of mu."""
    precision: Floats
    """(R,) prior precisions of mu; 0 is flat."""
    unit: Floats
    """(R,) units of the prior of tau: tau / unit has the common one."""
    k: Ints
    """(R,) numbers of studies."""

    def take(self, which: slice) -> Reviews:
        """Return some of the reviews."""
        y, v, mean, precision, unit, k = self
        return Reviews(y[which], v[which], mean[which], precision[which], unit[which], k[which])


class Answers(NamedTuple):
    """Posteriors of R reviews."""

    table: Floats
    """(R, 4, 5) `QUANTITIES` by `STATISTICS`, with equal-tailed bounds; NaN where one does not exist."""
    above_zero: Floats
    """(R,) probabilities that mu > 0."""
    log_evidence: Floats
    """(R,) logs of the marginal likelihood."""
    error: Floats
    """(R,) differences between the last two node sets, in log evidence and in sds."""

    def of(self, quantity: str, statistic: str) -> Floats:
        """Return one statistic of one quantity, shape (R,)."""
        return np.asarray(self.table[:, QUANTITIES.index(quantity), STATISTICS.index(statistic)])

    def take(self, which: Bools | Ints) -> Answers:
        """Return the answers for some of the reviews."""
        return Answers(self.table[which], self.above_zero[which], self.log_evidence[which], self.error[which])


def joined(parts: list[Answers]) -> Answers:
    """Return the answers of several sets of reviews, one after the other."""
    return Answers(*(np.concatenate(pieces) for pieces in zip(*parts, strict=True)))


class Nodes(NamedTuple):
    """The posterior of R reviews on m equidistant nodes of u, in units of their scales."""

    u: Floats
    """(R, m) nodes."""
    tau: Floats
    """(R, m) tau."""
    weights: Floats
    """(R, m) probabilities; they sum to 1."""
    beta: Floats
    """(R, m) means of mu given tau."""
    variance: Floats
    """(R, m) variances of mu given tau."""
    even: Bools
    """(R,) whether the first node is tau = 0, where the integrand is mirrored; its probability is half."""
    log_evidence: Floats
    """(R,) logs of the marginal likelihood."""

    def take(self, which: Ints | Bools) -> Nodes:
        """Return the nodes of some of the reviews."""
        return Nodes(
            self.u[which],
            self.tau[which],
            self.weights[which],
            self.beta[which],
            self.variance[which],
            self.even[which],
            self.log_evidence[which],
        )

    def thinned(self, step: int) -> Nodes:
        """Return every `step`-th node, as a rule of its own."""
        weights = self.weights[:, ::step]
        total = weights.sum(axis=1, keepdims=True)
        thin = (self.u[:, ::step], self.tau[:, ::step], weights / total)
        evidence = self.log_evidence + np.log(step * total[:, 0])
        return Nodes(*thin, self.beta[:, ::step], self.variance[:, ::step], self.even, evidence)

    @property
    def step(self) -> Floats:
        """(R, 1) distances between neighbouring nodes."""
        return self.u[:, 1:2] - self.u[:, :1]


def statistics(mean: Floats, sd: Floats, quantiles: Floats, bound: Floats | float) -> Floats:
    """Return the (R, 5) statistics of a quantity.

    Parameters
    ----------
    mean, sd : (R,) arrays
        Moments.
    quantiles : (R, 3) array
        Lower bound, median, upper bound.
    bound : (R,) array or float
        Moments of orders below this exist; the others become NaN.
    """
    lower, median, upper = quantiles.T
    moments = np.where(bound > np.float64(1), mean, nan), np.where(bound > np.float64(2), sd, nan)
    return np.stack([*moments, median, lower, upper], axis=1)


def relocated(values: Floats, scale: Floats, centre: Floats) -> Floats:
    """Return (R, 5) statistics of ``centre + scale x`` from those of x."""
    moved = centre[:, None] + scale[:, None] * values
    moved[:, 1] = scale * values[:, 1]
    return moved


def inconsistency(nodes: Nodes, quantiles: Floats, typical: Floats) -> Floats:
    """Return the (R, 5) statistics of I2 in percent, typical sampling variances (R,) being given."""
    tau2, v = nodes.tau**2, typical[:, None]
    values = 100 * tau2 / (tau2 + v)
    mean = (nodes.weights * values).sum(axis=1)
    sd = np.sqrt((nodes.weights * (values - mean[:, None]) ** 2).sum(axis=1))
    return statistics(mean, sd, 100 * quantiles**2 / (quantiles**2 + v), np.inf)
