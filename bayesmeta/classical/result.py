"""The answer of a classical analysis, as a value."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import exp, isnan, nan
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import readonly

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.arrays import Floats
    from bayesmeta.classical.spread import Spread


POOLED_NUMBERS = (
    "tau2",
    "tau2_lower",
    "tau2_upper",
    "Q",
    "Q_df",
    "Q_p",
    "I2",
    "H2",
    "pi_lower",
    "pi_upper",
    "pi_hts_lower",
    "pi_hts_upper",
)
"""Numbers that the block of a pooled effect has beside the estimate and its test."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classical:
    """Result of a classical meta-analysis or meta-regression.

    Effects are on the analysis scale (logarithms for ratio measures). A quantity that does not apply to the
    method, or that the number of studies leaves undefined, is NaN.

    Attributes
    ----------
    method : str
        ``FE DL PM ML REML HE HS SJ EB``, ``MH`` or ``Peto``.
    test : str
        ``z``, ``t``, ``knha`` or ``adhoc``.
    level : float
        Confidence level of every interval.
    names : tuple of str
        Names of the p coefficients; ``("mu",)`` for a pooled effect.
    beta, se, lower, upper, statistic, p_value : (p,) arrays
        Coefficients, standard errors, confidence limits, z or t statistics, two-sided p-values.
    cov : (p, p) array
        Covariance of the coefficients.
    df : float
        Degrees of freedom of the t distribution, NaN for normal tests.
    scale : float
        Knapp-Hartung's factor on the covariance, 1 for the other tests.
    tau2, tau2_lower, tau2_upper : float
        Between-study variance with its Q-profile interval.
    maxima : tuple of float
        For ML and REML, all local maxima of the likelihood of tau2.
    Q, Q_df, Q_p : float
        Test of (residual) heterogeneity.
    I2, H2 : float
        Percentage of variability due to heterogeneity, and ratio of total to sampling variability.
    QM, QM_df, QM_p : float
        Test of the moderators, without any of the intercept: chi-squared, or F where `df` is a number.
    R2 : float
        Percentage of tau2 that the moderators account for.
    pi_lower, pi_upper : float
        Prediction interval of a new study's effect, t with k - p degrees of freedom; pooled effects only.
    pi_hts_lower, pi_hts_upper : float
        The same with k - p - 1 degrees of freedom (Higgins, Thompson and Spiegelhalter 2009).
    k, p : int
        Numbers of studies and of coefficients.
    weights : (k,) array
        Weights in percent.
    spread : Spread or None
        Taus and their log ratios, where tau differs between studies; `tau2` is then that at the means of the
        scale columns, with a Wald interval, and I2, R2 and prediction intervals are NaN.

    References
    ----------
    Knapp G, Hartung J (2003). Improved tests for a random effects meta-regression with a single covariate.
    Stat Med 22:2693-2710. doi:10.1002/sim.1482
    Higgins JPT, Thompson SG (2002). Quantifying heterogeneity in a meta-analysis. Stat Med 21:1539-1558.
    doi:10.1002/sim.1186
    Higgins JPT, Thompson SG, Spiegelhalter DJ (2009). A re-evaluation of random-effects meta-analysis.
    J R Stat Soc A 172:137-159. doi:10.1111/j.1467-985X.2008.00552.x
    """

    method: str
    test: str
    level: float
    names: tuple[str, ...]
    beta: Floats
    cov: Floats
    se: Floats
    lower: Floats
    upper: Floats
    statistic: Floats
    df: float
    p_value: Floats
    scale: float = 1.0
    tau2: float = nan
    tau2_lower: float = nan
    tau2_upper: float = nan
    maxima: tuple[float, ...] = ()
    Q: float = nan
    Q_df: float = nan
    Q_p: float = nan
    I2: float = nan
    H2: float = nan
    QM: float = nan
    QM_df: float = nan
    QM_p: float = nan
    R2: float = nan
    pi_lower: float = nan
    pi_upper: float = nan
    pi_hts_lower: float = nan
    pi_hts_upper: float = nan
    k: int
    p: int
    weights: Floats
    spread: Spread | None = None

    def __post_init__(self) -> None:
        for name in ("beta", "cov", "se", "lower", "upper", "statistic", "p_value", "weights"):
            object.__setattr__(self, name, readonly(getattr(self, name)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Classical):
            return NotImplemented
        return all(_same(getattr(self, field.name), getattr(other, field.name)) for field in fields(self))

    __hash__ = None  # type: ignore[assignment]  # equal by contents, which are arrays

    @property
    def is_pooled(self) -> bool:
        """Whether this is a pooled effect, not a regression."""
        return self.names == ("mu",)

    @property
    def notes(self) -> tuple[tuple[str, str], ...]:
        """Doubts about the estimate of tau2 and its test, as pairs of identifier and sentence."""
        return tuple(_notes(self))

    def to_dict(self, ratio: bool = False) -> dict[str, Any]:
        """Return the block of ``results.json`` for this analysis; NaN where something is undefined.

        Parameters
        ----------
        ratio : bool
            The measure is analysed on the log scale: add the pooled effect and its interval exponentiated.
        """
        block = _pooled_block(self, ratio=ratio) if self.is_pooled else _regression_block(self)
        return block if self.spread is None else block | {"spread": self.spread.to_dict()}

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row for each coefficient.

        Columns are ``estimate se lower upper``, the statistic (``z`` or ``t``) and ``p``.
        """
        import pandas as pd

        columns = dict(zip(_columns(self), _rows(self), strict=True))
        return pd.DataFrame(columns, index=pd.Index(self.names, name="coefficient"))


def _same(one: object, other: object) -> bool:
    """Return whether two fields are equal, NaN counting as equal to NaN."""
    if isinstance(one, np.ndarray | float):
        return np.array_equal(one, other, equal_nan=True)  # type: ignore[arg-type]
    return one == other


def _notes(result: Classical) -> list[tuple[str, str]]:
    """Return what a reader of the estimate of tau2 should know."""
    notes: list[tuple[str, str]] = []
    if result.spread is not None:
        return list(result.spread.notes)
    if result.method in {"MH", "Peto", "FE"}:
        return notes
    if result.tau2 == 0:
        notes.append(("tau2-boundary", f"{result.method} estimates tau2 = 0, the boundary of its range"))
    if len(result.maxima) > 1:
        values = " and ".join(f"{tau2:.6g}" for tau2 in result.maxima)
        sentence = (
            f"the {result.method} likelihood has several maxima, at tau2 = {values}; the highest is used"
        )
        notes.append(("tau2-several-maxima", sentence))
    if isnan(result.tau2):
        sentence = (
            f"tau2 cannot be estimated from {result.k} {'study' if result.k == 1 else 'studies'} with "
            f"{result.p} {'coefficient' if result.p == 1 else 'coefficients'}; 0 was used"
        )
        notes.append(("tau2-undefined", sentence))
    return notes


def _columns(result: Classical) -> tuple[str, ...]:
    """Return the names of what is known of a coefficient."""
    return ("estimate", "se", "lower", "upper", "z" if result.test == "z" else "t", "p")


def _rows(result: Classical) -> tuple[Floats, ...]:
    """Return the (p,) arrays that belong to `_columns`."""
    return result.beta, result.se, result.lower, result.upper, result.statistic, result.p_value


def _pooled_block(result: Classical, *, ratio: bool) -> dict[str, Any]:
    """Return the block C of ``results.json``."""
    values = [float(row[0]) for row in _rows(result)]
    block: dict[str, Any] = dict(zip(_columns(result), values, strict=True))
    p_value = block.pop("p")
    block |= {"df": result.df, "p": p_value}
    block |= {name: float(getattr(result, name)) for name in POOLED_NUMBERS}
    if ratio:
        block["exp"] = {name: exp(block[name]) for name in ("estimate", "lower", "upper")}
    return block


def _regression_block(result: Classical) -> dict[str, Any]:
    """Return the block R of ``results.json``."""
    columns = _columns(result)
    values = zip(*(row.tolist() for row in _rows(result)), strict=True)
    rows = (dict(zip(columns, row, strict=True)) for row in values)
    coefficients = dict(zip(result.names, rows, strict=True))
    tests = {"QE": result.Q, "QE_df": result.Q_df, "QE_p": result.Q_p}
    moderators = {"QM": result.QM, "QM_df": result.QM_df, "QM_p": result.QM_p, "R2": result.R2}
    return {"coefficients": coefficients, "tau2": result.tau2, **tests, **moderators}
