"""The test of excess significance: more significant studies than their power explains.

References
----------
Ioannidis JPA, Trikalinos TA (2007). An exploratory test for an excess of significant findings. Clin Trials
4:245-253. doi:10.1177/1740774507079441
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from bayesmeta.arrays import readonly
from bayesmeta.bias.common import (
    ALTERNATIVES,
    cautions,
    check_alpha,
    check_number,
    choice,
    fixed_effect,
    usable,
)

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExcessTest:
    """Observed and expected numbers of significant studies.

    Attributes
    ----------
    observed : int
        Significant studies.
    expected : float
        Sum of the powers at the pooled effect.
    power : (k,) array
        Power of each study.
    statistic : float
        Chi-squared with one degree of freedom.
    p_value : float
        One-sided, of an excess, by chi-squared; rough where fewer than five are expected to be significant,
        or not to be.
    exact_p : float
        Probability of at least as many significant studies, which are independent and have these powers.
    estimate : float
        Effect at which the powers hold.
    alpha : float
        Level of significance of a study.
    """

    observed: int
    expected: float
    power: Floats
    statistic: float
    p_value: float
    exact_p: float
    estimate: float
    alpha: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "power", readonly(self.power))

    @property
    def k(self) -> int:
        """Number of studies."""
        return int(self.power.size)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return cautions(self.k)

    def __str__(self) -> str:
        text = f"Excess significance: {self.observed} of {self.k} studies significant at {self.alpha:g}, "
        text += f"{self.expected:.1f} expected; "
        text += (
            "not defined where every power is 0 or 1."
            if isnan(self.p_value)
            else f"p = {self.p_value:.3g}, exactly {self.exact_p:.3g}."
        )
        return "\n".join((text, *self.warnings))


def excess_test(
    source: Studies | Fit, *, alpha: float = 0.05, alternative: str = "two-sided", theta: float | None = None
) -> ExcessTest:
    """Return the test of excess significance.

    Parameters
    ----------
    source : Studies or Fit
        At least two studies.
    alpha : float
        Level at which a study counts as significant.
    alternative : {"two-sided", "greater", "less"}
        Direction in which a study is significant.
    theta : float, optional
        Effect at which the power is computed; by default the fixed effect.

    Notes
    -----
    With O significant studies and E the sum of the powers, ``(O - E)^2 / (E (k - E) / k)`` is chi-squared.
    """
    choice("alternative", alternative, ALTERNATIVES)
    check_alpha(alpha)
    check_number("theta", theta)
    studies = usable(source, least=2, what="the test of excess significance")
    effect = fixed_effect(studies)[0] if theta is None else float(theta)
    tails = 2 if alternative == "two-sided" else 1
    z = -float(ndtri(alpha / tails))
    scores, shift = studies.yi / studies.sei, effect / studies.sei
    above, below = ndtr(shift - z), ndtr(-shift - z)
    power = {"two-sided": above + below, "greater": above, "less": below}[alternative]
    seen = {"two-sided": np.abs(scores), "greater": scores, "less": -scores}[alternative] >= z
    observed, expected, k = int(seen.sum()), float(power.sum()), studies.k
    room = expected * (k - expected) / k
    root = (observed - expected) / sqrt(room) if room > 0 else nan
    return ExcessTest(
        observed=observed,
        expected=expected,
        power=power,
        statistic=root**2,
        p_value=float(ndtr(-root)),
        exact_p=nan if isnan(root) else at_least(observed, power),
        estimate=effect,
        alpha=alpha,
    )


def at_least(count: int, power: Floats) -> float:
    """Return the probability that at least `count` of independent events happen, of probabilities (k,)."""
    chances = np.ones(1)
    for one in power.tolist():
        chances = np.convolve(chances, [1 - one, one])
    return float(min(1.0, chances[count:].sum()))
