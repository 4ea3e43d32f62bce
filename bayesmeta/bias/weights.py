"""Weight functions of selection models: how likely a study of a given p-value is to be seen.

References
----------
Hedges LV (1992). Modeling publication selection effects in meta-analysis. Stat Sci 7:246-255.
doi:10.1214/ss/1177011364
Vevea JL, Hedges LV (1995). A general linear model for estimating effect size in the presence of publication
bias. Psychometrika 60:419-435. doi:10.1007/BF02294384
Vevea JL, Woods CM (2005). Publication bias in research synthesis: sensitivity analysis using a priori weight
functions. Psychol Methods 10:428-443. doi:10.1037/1082-989X.10.4.428
Preston C, Ashby D, Smyth R (2004). Adjusting for publication bias: modelling the selection process. J Eval
Clin Pract 10:313-322. doi:10.1111/j.1365-2753.2003.00457.x
Citkowicz M, Vevea JL (2017). A parsimonious weight function for modeling publication bias. Psychol Methods
22:28-41. doi:10.1037/met0000119
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit, log_expit, log_ndtr, ndtr, ndtri

from bayesmeta.arrays import as_numbers
from bayesmeta.bias.common import ALTERNATIVES, choice
from bayesmeta.errors import AnalysisError, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Floats, Ints

FAMILIES = ("step", "beta", "halfnormal", "exponential", "logistic", "power")
LARGEST = 100.0
"""Bound of a weight relative to the first interval, and of the other parameters."""
SMALLEST = 1e-5
"""Lower bound of the parameters of the beta family, and of its p-values, whose powers would diverge."""
NEAR_ONE = -float(ndtri((1 - SMALLEST) / 2))
"""z-score above 0 of a two-sided p-value of 1 - SMALLEST."""
GRADED = (1e-4, 1e-3, 1e-2, 0.06, 0.3)
"""z-scores between which powers of 1 - p, which vanishes at z = 0, are smooth."""
SMALLEST_STEP = 1e-10
LOG_2 = float(np.log(2))


class LogWeight(NamedTuple):
    """Logarithm of a weight function of m p-values and its derivatives with respect to q parameters."""

    value: Floats
    """(m,) logarithms."""
    slope: Floats
    """(q, m) first derivatives."""
    bend: Floats
    """(q, m) second derivatives; those by two different parameters are 0."""


@dataclass(frozen=True, slots=True)
class WeightFunction:
    """A family of weight functions of the p-value.

    Attributes
    ----------
    family : str
        ``step``; ``beta`` (``p^(a-1) (1-p)^(b-1)``); ``halfnormal`` (``exp(-d p^2)``); ``exponential``
        (``exp(-d p)``); ``logistic`` (``2 exp(-d p) / (1 + exp(-d p))``); ``power`` (``(1-p)^d``).
    alternative : {"greater", "less", "two-sided"}
        Direction in which effects are likelier to be seen.
    steps : tuple of float
        Cut points of the step function, between 0 and 1.
    """

    family: str
    alternative: str
    steps: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        if self.family == "step":
            return tuple(self.intervals[1:])
        return ("a", "b") if self.family == "beta" else ("d",)

    @property
    def intervals(self) -> tuple[str, ...]:
        """Intervals of the step function in words."""
        ends = (0.0, *self.steps, 1.0)
        return tuple(f"{low:g} < p <= {high:g}" for low, high in itertools.pairwise(ends))

    @property
    def neutral(self) -> Floats:
        """Parameters without selection."""
        return np.ones(len(self.names)) if self.family in {"step", "beta"} else np.zeros(1)

    @property
    def bounds(self) -> tuple[float, float]:
        """Limits of the parameters."""
        low = {"step": SMALLEST_STEP, "beta": SMALLEST}.get(self.family, 0.0)
        return low, LARGEST

    @property
    def positive(self) -> bool:
        """Whether the parameters are positive, with 1 for no selection, and best sought as logarithms."""
        return self.family in {"step", "beta"}

    def interval_of(self, z: Floats) -> Ints:
        """Return the place of the interval in which the p-value of each z-score is."""
        logs = np.log(np.array(self.steps))
        return np.asarray(np.searchsorted(logs, self._log_p(z), side="left"))

    def breaks(self) -> Floats:
        """Return the z-scores at which the weight function is not smooth."""
        if self.family == "step":
            return self.cuts()
        if self.family in {"beta", "power"} and self.alternative == "two-sided":
            z = np.array([NEAR_ONE, *GRADED, -float(ndtri(SMALLEST / 2))])
            return np.concatenate([-z, [0.0], z])
        if self.family == "beta":
            ends = float(ndtri(SMALLEST))
            return np.array([ends, -ends])
        return np.array([0.0])

    def cuts(self) -> Floats:
        """Return the z-scores of the cut points; for two-sided p-values those on both sides."""
        p = np.array(self.steps)
        if self.alternative == "two-sided":
            z = -ndtri(p / 2)
            return np.concatenate([-z, z])
        z = -ndtri(p)
        return np.asarray(z if self.alternative == "greater" else -z)

    def _log_p(self, z: Floats) -> Floats:
        if self.alternative == "two-sided":
            return np.asarray(np.minimum(LOG_2 + log_ndtr(-np.abs(z)), 0.0))
        return np.asarray(log_ndtr(-z if self.alternative == "greater" else z))

    def _log_q(self, z: Floats) -> Floats:
        """Return log(1 - p)."""
        if self.alternative == "two-sided":
            with np.errstate(divide="ignore"):
                return np.asarray(np.log(-np.expm1(self._log_p(z))))
        return np.asarray(log_ndtr(z if self.alternative == "greater" else -z))

    def log_weight(self, z: Floats, delta: Floats) -> LogWeight:
        """Return the log weight at z-scores, shape (m,), with derivatives by the parameters (q,)."""
        return getattr(self, f"_{self.family}")(z, delta)  # type: ignore[no-any-return]

    def _step(self, z: Floats, delta: Floats) -> LogWeight:
        inside = self.interval_of(z) == np.arange(1, delta.size + 1)[:, None]
        slope = inside / delta[:, None]
        return LogWeight(np.log(delta) @ inside, slope, -(slope**2))

    def _beta(self, z: Floats, delta: Floats) -> LogWeight:
        low, high = np.log(SMALLEST), np.log1p(-SMALLEST)
        slope = np.stack([np.clip(self._log_p(z), low, high), np.clip(self._log_q(z), low, high)])
        return LogWeight((delta - 1) @ slope, slope, np.zeros_like(slope))

    def _linear(self, feature: Floats, delta: Floats) -> LogWeight:
        return LogWeight(delta[0] * feature, feature[None], np.zeros_like(feature)[None])

    def _halfnormal(self, z: Floats, delta: Floats) -> LogWeight:
        return self._linear(-np.exp(2 * self._log_p(z)), delta)

    def _exponential(self, z: Floats, delta: Floats) -> LogWeight:
        return self._linear(-np.exp(self._log_p(z)), delta)

    def _power(self, z: Floats, delta: Floats) -> LogWeight:
        return self._linear(np.maximum(self._log_q(z), -1e3), delta)

    def _logistic(self, z: Floats, delta: Floats) -> LogWeight:
        p = np.exp(self._log_p(z))
        share = expit(-delta[0] * p)
        value = LOG_2 + log_expit(-delta[0] * p)
        return LogWeight(value, (-p * (1 - share))[None], (-(p**2) * share * (1 - share))[None])


def weight_function(family: str, alternative: str, steps: Sequence[float] = (0.025,)) -> WeightFunction:
    """Return a family of weight functions.

    Parameters
    ----------
    family : {"step", "beta", "halfnormal", "exponential", "logistic", "power"}
        Form of the weight function.
    alternative : {"greater", "less", "two-sided"}
        Which p-value it is of.
    steps : sequence of float
        Cut points, for the step function.

    Raises
    ------
    AnalysisError
        If a word is unknown, or the cut points are not increasing between 0 and 1.
    """
    choice("weight", family, FAMILIES)
    choice("alternative", alternative, ALTERNATIVES)
    if family != "step":
        return WeightFunction(family, alternative)
    cuts = as_numbers(steps)
    if not cuts or not all(a < b for a, b in itertools.pairwise((0.0, *cuts, 1.0))):
        got = told(steps) if cuts is None else cuts
        raise AnalysisError(
            f"steps must be increasing cut points between 0 and 1, such as (0.025, 0.5); got {got}"
        )
    return WeightFunction(family, alternative, cuts)


def interval_probabilities(steps: WeightFunction, v: Floats, mu: Floats, s: Floats) -> Floats:
    """Return the probability of each interval of p-values, (k, g, intervals).

    Parameters
    ----------
    steps : WeightFunction
        Step function.
    v : (k,) array
        Sampling variances.
    mu : (g,) array
        Means of the effects.
    s : (k, g) array
        Standard deviations of the effects.
    """
    cuts = np.sort(steps.cuts())
    edges = np.concatenate([[-inf], cuts, [inf]])
    z = (edges[:, None, None] * np.sqrt(v)[:, None] - mu) / s
    below, above = ndtr(z), ndtr(-z)
    parts = np.where(z[:-1] > 0, above[:-1] - above[1:], below[1:] - below[:-1])
    middles = np.concatenate([[cuts[0] - 1], (cuts[1:] + cuts[:-1]) / 2, [cuts[-1] + 1]])
    places = steps.interval_of(middles)
    total = np.zeros((*s.shape, len(steps.intervals)))
    for part, place in zip(parts, places.tolist(), strict=True):
        total[..., place] += part
    return total
