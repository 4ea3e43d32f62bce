"""What an effect size is: the value that every measure returns, and the description of a measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Bools, Floats


class Effects(NamedTuple):
    """Effect sizes on the analysis scale; both are NaN where the effect cannot be estimated."""

    yi: Floats
    """(k,) effects."""
    vi: Floats
    """(k,) sampling variances."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What is known of an effect-size measure.

    Attributes
    ----------
    name : str
        metafor's abbreviation, such as ``"OR"``.
    label : str
        Name of the reported quantity, such as ``"Odds ratio"``.
    columns : tuple of str
        Columns that the measure is computed from; empty for effects that are only given ready-made.
    function : callable or None
        The pure function that computes it.
    log : bool
        The analysis scale is the logarithm of the reported quantity.
    groups : int
        Number of groups compared: 1 or 2.
    default_scale : float or None
        Scale u of the default priors; None means the unit-information standard deviation of the data.
    kind : str
        Kind of arm data: ``means``, ``table``, ``rates``, ``mean``, ``proportion``, ``rate``,
        ``correlation`` or ``given``.
    alternative : tuple of str
        Another complete set of columns.
    vtypes : tuple of str
        Variance estimators that the measure offers, the default first.
    corrects_zeros : bool
        The options `add` and `to` apply.
    """

    name: str
    label: str
    columns: tuple[str, ...]
    function: Callable[..., Effects] | None
    log: bool = False
    groups: int = 2
    default_scale: float | None = None
    kind: str = "given"
    alternative: tuple[str, ...] = ()
    vtypes: tuple[str, ...] = ("LS",)
    corrects_zeros: bool = False

    @property
    def analysis_label(self) -> str:
        """Name of the effect on the scale on which it is analysed, such as ``"Log odds ratio"``."""
        return f"Log {self.label[0].lower()}{self.label[1:]}" if self.log else self.label

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arrays that `function` takes."""
        return ("ai", "bi", "ci", "di") if self.kind == "table" else self.columns

    @property
    def accepted(self) -> tuple[str, ...]:
        """Names of all the columns that may be given."""
        return tuple(dict.fromkeys((*self.columns, *self.alternative)))


def estimated(yi: Floats, vi: Floats) -> Effects:
    """Return the effects with NaN in both places wherever either is not a finite number.

    Parameters
    ----------
    yi, vi : (k,) array
        Effects and variances as they came out of the formulas.
    """
    usable = np.isfinite(yi) & np.isfinite(vi)
    return Effects(np.where(usable, yi, np.nan), np.where(usable, vi, np.nan))


def added_constant(zero: Bools, add: float, to: str) -> Floats:
    """Return what is added to the cells of each study.

    Parameters
    ----------
    zero : (k,) bool array
        Studies with a zero cell.
    add : float
        The constant.
    to : {"only0", "if0all", "all", "none"}
        Who receives it: studies with a zero, all when any has a zero, all, none.

    Raises
    ------
    AnalysisError
        If `to` is not one of the four.
    """
    receivers = {
        "only0": zero,
        "if0all": np.full(zero.shape, zero.any()),
        "all": np.full(zero.shape, True),
        "none": np.full(zero.shape, False),
    }
    if to not in receivers:
        raise AnalysisError(f"to must be one of {', '.join(receivers)}; got '{to}'")
    return add * receivers[to]
