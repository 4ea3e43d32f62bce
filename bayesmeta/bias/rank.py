"""Begg and Mazumdar's rank correlation of effects and variances.

References
----------
Begg CB, Mazumdar M (1994). Operating characteristics of a rank correlation test for publication bias.
Biometrics 50:1088-1101. doi:10.2307/2533446
Kendall MG (1938). A new measure of rank correlation. Biometrika 30:81-93. doi:10.2307/2332226
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from math import erfc, factorial, isnan, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.bias.common import cautions, fixed_effect, usable
from bayesmeta.errors import AnalysisError, require_flag

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

MOST_EXACT = 120
"""Number of studies up to which permutations are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTest:
    """Kendall's rank correlation of standardised effects and variances.

    Attributes
    ----------
    tau : float
        Kendall's tau-b; NaN where all effects or all variances are equal.
    statistic : float
        Concordant less discordant pairs.
    p_value : float
        Two-sided.
    exact : bool
        Whether the p-value counts permutations; otherwise it is normal, corrected for ties.
    k : int
        Number of studies.
    """

    tau: float
    statistic: float
    p_value: float
    exact: bool
    k: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return cautions(self.k)

    def __str__(self) -> str:
        if isnan(self.tau):
            text = "Rank correlation test: not defined, because all effects or all variances are equal."
        else:
            kind = "exact" if self.exact else "normal approximation"
            text = f"Rank correlation test: Kendall's tau = {self.tau:.3f}, p = {self.p_value:.3g} ({kind})."
        return "\n".join((text, *self.warnings))


def rank_test(source: Studies | Fit, *, exact: bool | None = None) -> RankTest:
    """Return Begg and Mazumdar's rank correlation test.

    Parameters
    ----------
    source : Studies or Fit
        At least two studies.
    exact : bool, optional
        Count permutations instead of using the normal approximation; by default where there are no ties and
        at most 120 studies.

    Raises
    ------
    AnalysisError
        If permutations are asked for that ties or the number of studies do not allow.
    """
    if exact is not None:
        require_flag("exact", exact)
    studies = usable(source, least=2, what="the rank correlation test")
    y, v, k = standardised(studies), np.asarray(studies.vi), studies.k
    score, ties_y, ties_v = concordance(y, v), tied(y), tied(v)
    pairs = k * (k - 1) / 2
    free_y, free_v = (pairs - sum(t * (t - 1) / 2 for t in ties) for ties in (ties_y, ties_v))
    if free_y == 0 or free_v == 0:
        return RankTest(tau=nan, statistic=0.0, p_value=nan, exact=False, k=k)
    countable = not ties_y and not ties_v and k <= MOST_EXACT
    if exact and not countable:
        raise AnalysisError(
            f"the exact rank test needs at most {MOST_EXACT} studies without ties; leave exact out"
        )
    counted = countable if exact is None else exact
    p_value = exact_p(int(score), k) if counted else normal_p(score, k, ties_y, ties_v)
    return RankTest(tau=score / sqrt(free_y * free_v), statistic=score, p_value=p_value, exact=counted, k=k)


def standardised(studies: Studies) -> Floats:
    """Return the (k,) deviations from the fixed effect in their standard errors; rounding counts as 0."""
    mean, se = fixed_effect(studies)
    deviations = studies.yi - mean
    deviations = np.where(np.abs(deviations) <= 8e-16 * np.abs(studies.yi).max(), 0.0, deviations)
    return np.asarray(deviations / np.sqrt(np.maximum(studies.vi - se**2, 1e-300)))


def concordance(x: Floats, y: Floats) -> float:
    """Return the number of concordant less that of discordant pairs of x (k,) and y (k,)."""
    return float(sum(np.sign(x[i] - x[:i]) @ np.sign(y[i] - y[:i]) for i in range(1, x.size)))


def tied(x: Floats) -> list[int]:
    """Return the sizes of the groups of equal values."""
    return [count for count in Counter(x.tolist()).values() if count > 1]


def exact_p(score: int, k: int) -> float:
    """Return the two-sided probability of a score as far from 0, all k! orders being equally likely.

    Permutations by inversions are counted one element after another: the i-th adds 0 to i - 1 inversions.
    """
    counts = [1]
    for i in range(2, k + 1):
        sums = [0, *accumulate([*counts, *[0] * (i - 1)])]
        counts = [sums[m + 1] - sums[max(0, m + 1 - i)] for m in range(len(sums) - 1)]
    pairs = k * (k - 1) // 2
    fewest = (pairs - abs(score)) // 2
    return min(1.0, 2 * sum(counts[: fewest + 1]) / factorial(k))


def normal_p(score: float, k: int, ties_x: list[int], ties_y: list[int]) -> float:
    """Return the two-sided normal probability, corrected for ties but not for continuity."""

    def fifth(n: int) -> float:
        return n * (n - 1) * (2 * n + 5)

    def third(n: int) -> float:
        return n * (n - 1) * (n - 2)

    variance = (fifth(k) - sum(map(fifth, ties_x)) - sum(map(fifth, ties_y))) / 18
    twos = sum(t * (t - 1) for t in ties_x) * sum(t * (t - 1) for t in ties_y)
    variance += twos / (2 * k * (k - 1))
    if k > 2:
        threes = sum(map(third, ties_x)) * sum(map(third, ties_y))
        variance += threes / (9 * third(k))
    return erfc(abs(score) / sqrt(2 * variance))
