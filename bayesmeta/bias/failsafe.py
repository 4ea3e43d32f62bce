"""Fail-safe N: how many unseen studies without effect would undo the answer.

References
----------
Rosenthal R (1979). The file drawer problem and tolerance for null results. Psychol Bull 86:638-641.
doi:10.1037/0033-2909.86.3.638
Orwin RG (1983). A fail-safe N for effect size in meta-analysis. J Educ Stat 8:157-159. doi:10.2307/1164923
Rosenberg MS (2005). The file-drawer problem revisited: a general weighted method for calculating fail-safe
numbers in meta-analysis. Evolution 59:464-468. doi:10.1111/j.0014-3820.2005.tb01004.x
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isnan, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from bayesmeta.bias.common import cautions, check_alpha, check_number, choice, fixed_effect, usable
from bayesmeta.classical.heterogeneity import ESTIMATORS, heterogeneity
from bayesmeta.classical.pooling import TESTS, pool
from bayesmeta.classical.problem import problem
from bayesmeta.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.classical.result import Classical
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

KINDS = ("Rosenthal", "Orwin", "Rosenberg", "general")
MOST = 10**6
"""Number of added studies above which the general one stops looking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailSafeN:
    """Number of added studies that would undo an answer.

    Attributes
    ----------
    kind : str
        ``Rosenthal``, ``Orwin``, ``Rosenberg`` or ``general``.
    number : int
        Studies to add; -1 where a million are not enough.
    estimate : float
        Mean effect before: unweighted for Orwin, none (NaN) for Rosenthal, pooled for the others.
    p_value : float
        p-value before, one-sided for Rosenthal; NaN for Orwin.
    target : float
        Mean effect to fall to; NaN where significance is undone.
    alpha : float
        Level of significance.
    k : int
        Number of studies.
    """

    kind: str
    number: int
    estimate: float
    p_value: float
    target: float
    alpha: float
    k: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return (
            *cautions(self.k),
            "Fail-safe N supposes that unseen studies have no effect on average; it is not a test of bias.",
        )

    def __str__(self) -> str:
        number = f"{self.number:,}" if self.number >= 0 else f"more than {MOST:,}"
        what = f"{number} {'study' if self.number == 1 else 'studies'} of no effect"
        if isnan(self.target):
            goal = f"raise p above {self.alpha:g}"
        else:
            goal = f"move the mean effect from {self.estimate:.4g} to {self.target:.4g}"
        return "\n".join((f"Fail-safe N ({self.kind}): {what} would {goal}.", *self.warnings))


def fail_safe_n(
    source: Studies | Fit,
    *,
    kind: str = "Rosenthal",
    alpha: float = 0.05,
    target: float | None = None,
    method: str = "REML",
    test: str = "z",
) -> FailSafeN:
    """Return how many studies of no effect would undo the answer.

    Parameters
    ----------
    source : Studies or Fit
        At least one study.
    kind : {"Rosenthal", "Orwin", "Rosenberg", "general"}
        Until Stouffer's combined z (one-sided), the mean effect, the fixed effect (two-sided), or the pooled
        effect by `method` is no longer significant or has fallen to the target.
    alpha : float
        Level of significance.
    target : float, optional
        For Orwin the mean effect to fall to, by default half of it; for ``"general"`` optional, instead of
        significance.
    method, test : str
        For ``"general"``: the pooled effect, as in `bayesmeta.classical`; tau^2 is estimated again with the
        added studies, each of effect 0 and of the harmonic mean of the variances.

    Raises
    ------
    AnalysisError
        An unknown kind, or a target that more studies of no effect cannot reach.
    """
    choice("kind", kind, KINDS)
    check_alpha(alpha)
    check_number("target", target)
    studies = usable(source, least=1, what="fail-safe N")
    if kind == "Rosenthal":
        return _rosenthal(studies, alpha)
    if kind == "Orwin":
        return _orwin(studies, alpha, target)
    if kind == "Rosenberg":
        return _rosenberg(studies, alpha)
    choice("method", method, ESTIMATORS)
    choice("test", test, TESTS)
    return _general(studies, alpha, target, method, test)


def _rosenthal(studies: Studies, alpha: float) -> FailSafeN:
    """Studies of z = 0 until ``sum z / sqrt(k + N)`` is the one-sided quantile."""
    total = abs(float((studies.yi / studies.sei).sum()))
    p_value = float(ndtr(-total / sqrt(studies.k)))
    number = _rounded_up((total / float(ndtri(alpha))) ** 2 - studies.k) if p_value <= alpha else 0
    return FailSafeN(
        kind="Rosenthal",
        number=number,
        estimate=nan,
        p_value=p_value,
        target=nan,
        alpha=alpha,
        k=studies.k,
    )


def _orwin(studies: Studies, alpha: float, target: float | None) -> FailSafeN:
    """Studies of effect 0 until the unweighted mean is the target."""
    mean = float(studies.yi.mean())
    goal = mean / 2 if target is None else target
    _check_target(goal, mean)
    number = _rounded_up(studies.k * (mean - goal) / goal)
    return FailSafeN(
        kind="Orwin", number=number, estimate=mean, p_value=nan, target=goal, alpha=alpha, k=studies.k
    )


def _rosenberg(studies: Studies, alpha: float) -> FailSafeN:
    """Studies of effect 0 and of average weight until the fixed effect's z is the two-sided quantile."""
    mean, se = fixed_effect(studies)
    ratio = (mean / se / float(ndtri(alpha / 2))) ** 2
    return FailSafeN(
        kind="Rosenberg",
        number=_rounded_up(studies.k * (ratio - 1)),
        estimate=mean,
        p_value=2 * float(ndtr(-abs(mean / se))),
        target=nan,
        alpha=alpha,
        k=studies.k,
    )


def _general(studies: Studies, alpha: float, target: float | None, method: str, test: str) -> FailSafeN:
    def with_added(n: int) -> Classical:
        y, v = np.append(studies.yi, np.zeros(n)), np.append(studies.vi, np.full(n, variance))
        return pool(heterogeneity(problem(y, v)), method=method, test=test)

    variance = studies.k / float(np.sum(1 / studies.vi))
    before = with_added(0)
    mean = float(before.beta[0])
    if target is not None:
        _check_target(target, mean)

    def undone(n: int) -> bool:
        after = with_added(n)
        return float(after.p_value[0]) > alpha if target is None else abs(after.beta[0]) <= abs(target)

    return FailSafeN(
        kind="general",
        number=_first(undone),
        estimate=mean,
        p_value=float(before.p_value[0]),
        target=nan if target is None else target,
        alpha=alpha,
        k=studies.k,
    )


def _first(undone: Callable[[int], bool]) -> int:
    """Return the first number at which something is undone, found by doubling and halving; -1 for none."""
    if undone(0):
        return 0
    low, high = 0, 1
    while not undone(high):
        low, high = high, 2 * high
        if high > MOST:
            return -1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if undone(middle) else (middle, high)
    return high


def _check_target(target: float, mean: float) -> None:
    if not 0 < target / mean < 1:
        raise AnalysisError(
            f"target must lie between no effect and the mean effect {mean:.4g}, so that studies of no effect "
            f"can reach it; got {target:.4g}"
        )


def _rounded_up(number: float) -> int:
    """Return the next whole number, at least 0, not led up by rounding."""
    return max(0, ceil(number - 1e-9 * max(1.0, abs(number))))
