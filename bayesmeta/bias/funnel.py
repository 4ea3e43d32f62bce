"""What a contour-enhanced funnel plot shows, as numbers.

References
----------
Peters JL, Sutton AJ, Jones DR, Abrams KR, Rushton L (2008). Contour-enhanced meta-analysis funnel plots help
distinguish publication bias from other causes of asymmetry. J Clin Epidemiol 61:991-996.
doi:10.1016/j.jclinepi.2007.11.010
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from bayesmeta.arrays import as_numbers, readonly
from bayesmeta.bias.common import cautions, check_level, check_number, choice, usable
from bayesmeta.classical.heterogeneity import ESTIMATORS, heterogeneity
from bayesmeta.classical.pooling import pool
from bayesmeta.classical.problem import problem
from bayesmeta.errors import AnalysisError, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

CONTOURS = (0.10, 0.05, 0.01)
"""Two-sided p-values of the contours."""
POINTS = 60
MARGIN = 1.08
"""Largest standard error drawn, relative to that of the studies."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FunnelData:
    """Numbers of a funnel plot, on the analysis scale.

    Attributes
    ----------
    slab : tuple of str
        Labels of the studies.
    yi, sei, p_values : (k,) arrays
        Effects, standard errors and two-sided p-values against no effect.
    estimate : float
        Pooled effect, the axis of the funnel.
    errors : (n,) array
        Standard errors at which the lines are known, from 0.
    lower, upper : (n,) arrays
        Limits between which `level` of the studies would lie if all had the pooled effect.
    contours : tuple of float
        Two-sided p-values, falling.
    limits : (c, n) array
        Effect, on the positive side, that has each p-value at each standard error.
    level : float
        Probability between the limits.
    """

    slab: tuple[str, ...]
    yi: Floats
    sei: Floats
    p_values: Floats
    estimate: float
    errors: Floats
    lower: Floats
    upper: Floats
    contours: tuple[float, ...]
    limits: Floats
    level: float

    def __post_init__(self) -> None:
        for name in ("yi", "sei", "p_values", "errors", "lower", "upper", "limits"):
            object.__setattr__(self, name, readonly(getattr(self, name)))

    @property
    def regions(self) -> tuple[str, ...]:
        """Region of each study between the contours, such as ``"0.01 < p <= 0.05"``."""
        ends = (1.0, *self.contours, 0.0)
        names = [f"{low:g} < p <= {high:g}" for high, low in itertools.pairwise(ends)]
        names[0], names[-1] = f"p > {ends[1]:g}", f"p <= {ends[-2]:g}"
        if not self.contours:
            return ("any p",) * len(self.slab)
        places = (self.p_values[:, None] <= np.array(self.contours)).sum(axis=1)
        return tuple(names[place] for place in places.tolist())

    @property
    def outside(self) -> int:
        """Number of studies outside the limits."""
        reach = float(ndtri((1 + self.level) / 2)) * self.sei
        return int((np.abs(self.yi - self.estimate) > reach).sum())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return cautions(len(self.slab))

    def table(self) -> pd.DataFrame:
        """Return label, effect, standard error, p-value and region of each study."""
        import pandas as pd

        columns = {"slab": self.slab, "yi": self.yi, "sei": self.sei, "p": self.p_values}
        return pd.DataFrame({**columns, "region": self.regions})


def funnel_data(
    source: Studies | Fit,
    *,
    contours: Sequence[float] = CONTOURS,
    method: str = "REML",
    estimate: float | None = None,
    level: float = 0.95,
) -> FunnelData:
    """Return the numbers of a contour-enhanced funnel plot.

    Parameters
    ----------
    source : Studies or Fit
        At least one study.
    contours : sequence of float
        Two-sided p-values of the contours around no effect.
    method : str
        Estimator of tau^2 of the pooled effect, as in `bayesmeta.classical`.
    estimate : float, optional
        Axis of the funnel instead of the pooled effect.
    level : float
        Share of studies between the limits.

    Raises
    ------
    AnalysisError
        If a contour is not a probability.
    """
    check_level(level)
    choice("method", method, ESTIMATORS)
    given = as_numbers(contours)
    if given is None or not all(0 < p < 1 for p in given):
        got = told(contours) if given is None else given
        raise AnalysisError(f"contours must be p-values between 0 and 1, such as (0.1, 0.05); got {got}")
    check_number("estimate", estimate)
    levels = tuple(sorted(given, reverse=True))
    studies = usable(source, least=1, what="a funnel plot")
    if estimate is None:
        known = heterogeneity(problem(studies.yi, studies.vi))
        estimate = float(pool(known, method=method).beta[0])
    errors = np.linspace(0.0, MARGIN * float(studies.sei.max()), POINTS)
    reach = float(ndtri((1 + level) / 2)) * errors
    return FunnelData(
        slab=studies.slab,
        yi=studies.yi,
        sei=studies.sei,
        p_values=2 * ndtr(-np.abs(studies.yi / studies.sei)),
        estimate=estimate,
        errors=errors,
        lower=estimate - reach,
        upper=estimate + reach,
        contours=levels,
        limits=np.multiply.outer(-ndtri(np.array(levels) / 2), errors),
        level=level,
    )
