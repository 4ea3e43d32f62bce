"""What a classical location-scale model says of the between-study standard deviations, as a value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import readonly

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.arrays import Floats

ARRAYS = ("estimate", "se", "se_expected", "lower", "upper", "statistic", "p_value", "taus")
COLUMNS = ("estimate", "se", "lower", "upper")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spread:
    """Between-study standard deviations by maximum or restricted maximum likelihood.

    The rows are those of the Bayesian model: a tau for each level, the tau at the means of the columns, and
    the log ratios delta. What does not exist is NaN.

    Attributes
    ----------
    formula : str
        Scale formula.
    names : tuple of str
        Names of the n quantities.
    is_ratio : tuple of bool
        Which of them are log ratios of taus.
    estimate : (n,) array
        Estimates; 0 for a tau that vanishes at the highest likelihood.
    se, se_expected : (n,) arrays
        Standard errors from the observed information, and from the expected; of a tau by the delta method.
    lower, upper : (n,) arrays
        Confidence limits from the observed information; of a tau those of its logarithm, exponentiated.
    statistic, p_value : (n,) arrays
        Wald tests of the log ratios.
    df : float
        Degrees of freedom of t, k less the number of scale coefficients; NaN for normal tests.
    QS, QS_df, QS_p : float
        Wald test that tau is the same in all studies: chi-squared, or F where `df` is a number.
    LR, LR_df, LR_p : float
        Likelihood-ratio test of the same.
    log_likelihood, log_likelihood_one_tau : float
        Highest (restricted) log likelihood, and that with one tau; coefficients are integrated over a flat
        density of 1 in the restricted one.
    taus : (k,) array
        Between-study standard deviation of each study.
    notes : tuple of (str, str)
        Doubts about the estimates, as identifier and sentence.
    """

    formula: str
    names: tuple[str, ...]
    is_ratio: tuple[bool, ...]
    estimate: Floats
    se: Floats
    se_expected: Floats
    lower: Floats
    upper: Floats
    statistic: Floats
    p_value: Floats
    df: float = nan
    QS: float = nan
    QS_df: float = nan
    QS_p: float = nan
    LR: float = nan
    LR_df: float = nan
    LR_p: float = nan
    log_likelihood: float = nan
    log_likelihood_one_tau: float = nan
    taus: Floats
    notes: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in ARRAYS:
            object.__setattr__(self, name, readonly(getattr(self, name)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spread):
            return NotImplemented
        return all(_same(getattr(self, one.name), getattr(other, one.name)) for one in fields(self))

    __hash__ = None  # type: ignore[assignment]  # equal by contents, which are arrays

    def to_dict(self) -> dict[str, Any]:
        """Return the block of ``results.json``; NaN where something does not exist."""
        tests = ("QS", "QS_df", "QS_p", "LR", "LR_df", "LR_p", "log_likelihood", "log_likelihood_one_tau")
        return {
            "formula": self.formula,
            "quantities": {name: self._row(i) for i, name in enumerate(self.names)},
            **{name: float(getattr(self, name)) for name in tests},
            "notes": [{"id": name, "message": text} for name, text in self.notes],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each quantity: ``estimate se lower upper``, ``z`` or ``t``, and ``p``."""
        import pandas as pd

        rows = [self._row(i) for i in range(len(self.names))]
        return pd.DataFrame(rows, index=pd.Index(self.names, name="quantity"))

    def _row(self, i: int) -> dict[str, float]:
        values = {name: float(getattr(self, name)[i]) for name in COLUMNS}
        statistic = "z" if np.isnan(self.df) else "t"
        return {**values, statistic: float(self.statistic[i]), "p": float(self.p_value[i])}


def _same(one: object, other: object) -> bool:
    """Return whether two fields are equal, NaN counting as equal to NaN."""
    if isinstance(one, np.ndarray | float):
        return np.array_equal(one, other, equal_nan=True)  # type: ignore[arg-type]
    return one == other
