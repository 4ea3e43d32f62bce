"""Do two engines agree? Differences of NUTS from the exact answer, in Monte Carlo standard errors."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from bayesmeta.results.fit import Fit

STATISTICS = ("mean", "sd", "median", "lower", "upper")
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
    """Monte Carlo standard error of the first."""
    z: float
    """Difference in standard errors."""


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
    the normal quantile at ``1 - 0.001 / (2 n)``. A mode is never compared; moments that do not exist are not
    either.
    """
    names = [*sampled.names, *(f"theta[{label}]" for label in sampled.problem.studies.slab)]
    rows, detectable = list[Difference](), 0.0
    for name in names:
        ours, truth = sampled.quantity(name, prob=prob), exact.quantity(name, prob=prob)
        errors = ours["error"]
        found = [
            Difference(
                name,
                statistic,
                ours[statistic],
                truth[statistic],
                mcse,
                (ours[statistic] - truth[statistic]) / mcse,
            )
            for statistic in STATISTICS
            if isfinite(truth[statistic]) and (mcse := errors[f"mcse_{statistic}"]) > 0
        ]
        rows += found
        if found and isfinite(truth["sd"]) and truth["sd"] > 0:
            detectable = max(detectable, DETECTABLE * errors["mcse_mean"] / truth["sd"])
    threshold = float(-ndtri(FALSE_ALARM / (2 * max(len(rows), 1))))
    return Agreement(tuple(rows), threshold, float(np.round(detectable, 4)))
