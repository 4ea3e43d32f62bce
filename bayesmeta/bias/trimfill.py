"""Trim and fill: how many studies a symmetric funnel would have on its empty side, and the mean with them.

References
----------
Duval S, Tweedie R (2000a). A nonparametric "trim and fill" method of accounting for publication bias in
meta-analysis. J Am Stat Assoc 95:89-98. doi:10.1080/01621459.2000.10473905
Duval S, Tweedie R (2000b). Trim and fill: a simple funnel-plot-based method of testing and adjusting for
publication bias in meta-analysis. Biometrics 56:455-463. doi:10.1111/j.0006-341X.2000.00455.x
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.bias.common import SIDES, cautions, check_level, choice, usable
from bayesmeta.classical.heterogeneity import ESTIMATORS, heterogeneity
from bayesmeta.classical.pooling import TESTS, pool
from bayesmeta.classical.problem import problem
from bayesmeta.errors import NumericalError

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.classical.result import Classical
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

NUMBERS = ("L0", "R0", "Q0")
MOST_ROUNDS = 100


class Missing(NamedTuple):
    """An estimate of the number of missing studies."""

    number: float
    """Estimate before rounding; NaN where the estimator is not defined."""
    se: float
    """Standard error; NaN where the formula has none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrimAndFill:
    """Result of trim and fill.

    Attributes
    ----------
    estimator : str
        ``L0``, ``R0`` or ``Q0``.
    side : str
        Side of the funnel on which studies seem to be missing.
    missing : int
        Number of missing studies.
    missing_se : float
        Its standard error; NaN where the formula has none.
    missing_p : float
        p-value of no missing studies on that side, for R0; NaN for the others.
    filled_yi, filled_vi : (missing,) arrays
        The studies filled in, mirror images of the most extreme ones.
    centre : float
        Mean of the trimmed studies, about which they are mirrored.
    before, after : Classical
        The pooled effect of the studies, and with those filled in.
    """

    estimator: str
    side: str
    missing: int
    missing_se: float
    missing_p: float
    filled_yi: Floats
    filled_vi: Floats
    centre: float
    before: Classical
    after: Classical

    def __post_init__(self) -> None:
        for name in ("filled_yi", "filled_vi"):
            object.__setattr__(self, name, readonly(getattr(self, name)))

    @property
    def k(self) -> int:
        """Number of studies observed."""
        return self.before.k

    @property
    def estimate(self) -> float:
        """Pooled effect with the studies filled in."""
        return float(self.after.beta[0])

    @property
    def se(self) -> float:
        """Its standard error."""
        return float(self.after.se[0])

    @property
    def lower(self) -> float:
        """Its lower confidence limit."""
        return float(self.after.lower[0])

    @property
    def upper(self) -> float:
        """Its upper confidence limit."""
        return float(self.after.upper[0])

    @property
    def tau2(self) -> float:
        """Between-study variance with the studies filled in."""
        return self.after.tau2

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return (
            *cautions(self.k),
            "Studies filled in are a device of sensitivity analysis, not data.",
        )

    def __str__(self) -> str:
        se = "" if isnan(self.missing_se) else f" (se {self.missing_se:.2f})"
        number = f"{self.missing} {'study' if self.missing == 1 else 'studies'}{se}"
        text = (
            f"Trim and fill ({self.estimator}, {self.after.method}): {number} missing on the {self.side}; "
            f"pooled effect {float(self.before.beta[0]):.4g} before, {self.estimate:.4g} "
            f"[{self.lower:.4g}, {self.upper:.4g}] after ({self.after.level:.0%} CI)."
        )
        return "\n".join((text, *self.warnings))


def trim_and_fill(
    source: Studies | Fit,
    *,
    estimator: str = "L0",
    side: str = "auto",
    method: str = "REML",
    test: str = "z",
    level: float = 0.95,
) -> TrimAndFill:
    """Return the number of studies missing from a symmetric funnel and the pooled effect with them.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies.
    estimator : {"L0", "R0", "Q0"}
        Duval and Tweedie's estimators of the number of missing studies.
    side : {"auto", "left", "right"}
        Side on which studies are missing; by default the one from which the regression on the standard error
        points away.
    method, test, level : str, str, float
        Of the pooled effects, as in `bayesmeta.classical`.

    Raises
    ------
    NumericalError
        If Q0 is not defined for these ranks, or the rounds of trimming do not settle.
    """
    choice("estimator", estimator, NUMBERS)
    choice("side", side, ("auto", *SIDES))
    choice("method", method, ESTIMATORS)
    choice("test", test, TESTS)
    check_level(level)
    studies = usable(source, what="trim and fill")
    y, v = np.asarray(studies.yi), np.asarray(studies.vi)
    side = _empty_side(y, v, method) if side == "auto" else side
    sign = -1.0 if side == "right" else 1.0
    centre, found = _trimmed(sign * y, v, estimator, method)
    number = _whole(found.number)
    extreme = np.argsort(sign * y, kind="stable")[y.size - number :]
    filled = 2 * sign * centre - y[extreme]
    before = pool(heterogeneity(problem(y, v), level=level), method=method, test=test)
    with_filled = problem(np.concatenate([y, filled]), np.concatenate([v, v[extreme]]))
    after = pool(heterogeneity(with_filled, level=level), method=method, test=test)
    return TrimAndFill(
        estimator=estimator,
        side=side,
        missing=number,
        missing_se=found.se,
        missing_p=0.5 ** (number + 1) if estimator == "R0" else nan,
        filled_yi=filled,
        filled_vi=v[extreme],
        centre=sign * centre,
        before=before,
        after=after,
    )


def _empty_side(y: Floats, v: Floats, method: str) -> str:
    """Return the side away from which effects move as their standard errors grow; left without a slope."""
    se = np.sqrt(v)
    if np.ptp(se) <= 1e-10 * se.max():
        return "left"
    slope = pool(heterogeneity(problem(y, v, np.column_stack([np.ones(y.size), se]))), method=method).beta[1]
    return "right" if slope * np.ptp(se) < -1e-12 * np.abs(y).max() else "left"


def _trimmed(y: Floats, v: Floats, estimator: str, method: str) -> tuple[float, Missing]:
    """Return the mean of the trimmed studies and the number missing on the left, settled.

    Each round takes the studies found surplus off the right end, pools the others, and counts again from the
    ranks of all the deviations.
    """
    order = np.argsort(y, kind="stable")
    y, v = y[order], v[order]
    number = 0
    for _ in range(MOST_ROUNDS):
        kept = y.size - number
        centre = float(pool(heterogeneity(problem(y[:kept], v[:kept])), method=method).beta[0])
        found = missing_studies(_deviations(y, centre), estimator)
        if isnan(found.number):
            raise NumericalError(
                "estimator Q0 of trim and fill is not defined for the ranks of these studies; use L0 or R0"
            )
        if _whole(found.number) == number:
            return centre, found
        number = _whole(found.number)
    raise NumericalError(
        f"trim and fill did not settle in {MOST_ROUNDS} rounds; use another estimator than {estimator}"
    )


def _deviations(y: Floats, centre: float) -> Floats:
    deviations = y - centre
    return np.where(np.abs(deviations) <= 8e-16 * np.abs(y).max(), 0.0, deviations)


def missing_studies(deviations: Floats, estimator: str) -> Missing:
    """Return the number of studies missing on the left of (k,) deviations from the mean.

    Notes
    -----
    With T the sum of the ranks of the positive deviations by size, and r the number of largest deviations
    that are all positive: ``R0 = r - 1``, ``L0 = (4 T - k (k + 1)) / (2 k - 1)`` and
    ``Q0 = k - 1/2 - sqrt(2 k^2 - 4 T + 1/4)`` (Duval and Tweedie 2000a, section 3).
    """
    k = deviations.size
    by_size = np.argsort(np.abs(deviations), kind="stable")
    positive = deviations[by_size] > 0
    if estimator == "R0":
        run = k if positive.all() else int(np.argmin(positive[::-1]))
        return Missing(run - 1.0, sqrt(2 * max(0, run - 1) + 2))
    T = float((np.arange(1, k + 1) * positive).sum())
    if estimator == "L0":
        number = (4 * T - k * (k + 1)) / (2 * k - 1)
        return Missing(number, 4 * _root(_rank_variance(k, number)) / (2 * k - 1))
    number = k - 0.5 - _root(2 * k**2 - 4 * T + 0.25)
    slope = _root((k - 0.5) ** 2 - number * (2 * k - number - 1))
    spread = 2 * _root(_rank_variance(k, number))
    return Missing(number, spread / slope if slope > 0 else (nan if isnan(slope) else inf))


def _rank_variance(k: int, m: float) -> float:
    """Return the variance of the rank sum T with m missing studies (Duval and Tweedie 2000a, eq. 3.5)."""
    whole = k * (k + 1) * (2 * k + 1)
    return (whole + 10 * m**3 + 27 * m**2 + 17 * m - 18 * k * m**2 - 18 * k * m + 6 * k**2 * m) / 24


def _root(square: float) -> float:
    return sqrt(square) if square >= 0 else nan


def _whole(number: float) -> int:
    return max(0, round(number))
