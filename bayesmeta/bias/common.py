"""What every method for small-study effects shares: the studies it can use, and the words that go with it."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import AnalysisError, DataError, ModelError, is_one_of, suggest, told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

CAUTION = (
    "A small-study effect is not proof of publication bias: planned sample sizes, real differences between "
    "small and large studies and chance make one too."
)
"""Stands under every result."""
FEW = 10
"""Number of studies below which tests of asymmetry say little (Sterne et al. 2011)."""
SIDES = ("left", "right")
ALTERNATIVES = ("greater", "less", "two-sided")


def few_text(k: int) -> str:
    """Return the warning that few studies say little; ``""`` for ten and more."""
    return f"With {k} studies a test for small-study effects has little power." if k < FEW else ""


def cautions(k: int) -> tuple[str, ...]:
    """Return the sentences that stand under every result from k studies.

    References
    ----------
    Sterne JAC, Sutton AJ, Ioannidis JPA, et al (2011). Recommendations for examining and interpreting funnel
    plot asymmetry in meta-analyses of randomised controlled trials. BMJ 343:d4002. doi:10.1136/bmj.d4002
    """
    return tuple(text for text in (few_text(k), CAUTION) if text)


def usable(
    source: Studies | Fit, *, least: int = 3, what: str = "a method for small-study effects"
) -> Studies:
    """Return the studies with an estimate.

    Parameters
    ----------
    source : Studies or Fit
        Studies, or a fit of them.
    least : int
        Number of studies that the method needs.
    what : str
        Name of the method, for the message.

    Raises
    ------
    DataError
        If there are fewer.
    ModelError
        If their effects are correlated.
    """
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

    given: object = source
    if not isinstance(given, Studies | Fit):
        got = type(given).__name__
        raise AnalysisError(f"{what} takes bm.Studies or a fit; got {got}; make them by bm.effect_sizes")
    studies = source if isinstance(source, Studies) else source.studies
    studies = studies.pooled()
    if studies.V is not None:
        raise ModelError(
            f"{what} needs independent effects; these have a covariance V; combine the effects of each study "
            "first"
        )
    if studies.k < least:
        raise DataError(f"{what} needs at least {least} studies with an estimate; got {studies.k}")
    return studies


def choice(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a word that is not one of the known ones.

    Raises
    ------
    AnalysisError
        With the nearest known word.
    """
    known = tuple(known)
    if not is_one_of(value, known):
        raise AnalysisError(
            f"{name} must be one of {', '.join(known)}; got {told(value)}{suggest(value, known)}"
        )


def check_level(level: float) -> None:
    """Refuse a confidence level that is not between 0 and 1."""
    if not strictly_between(level, 0, 1):
        raise AnalysisError(f"level must be between 0 and 1, such as 0.95; got {told(level)}")


def check_alpha(alpha: float) -> None:
    """Refuse a significance level that is not between 0 and 1."""
    if not strictly_between(alpha, 0, 1):
        raise AnalysisError(f"alpha must be between 0 and 1, such as 0.05; got {told(alpha)}")


def check_number(name: str, value: float | None) -> None:
    """Refuse what is neither None nor a finite number."""
    if value is not None and not strictly_between(value, -inf, inf):
        raise AnalysisError(f"{name} must be a number, or None for its default; got {told(value)}")


def fixed_effect(studies: Studies) -> tuple[float, float]:
    """Return the inverse-variance mean of the effects and its standard error."""
    weights = 1 / studies.vi
    total = float(weights.sum())
    centre = float(studies.yi[np.argmin(studies.vi)])
    return centre + float(weights @ (studies.yi - centre)) / total, total**-0.5


def direction_of(studies: Studies, alternative: str) -> str:
    """Return the direction of p-values, ``"auto"`` being the expected one.

    Raises
    ------
    AnalysisError
        If it is none.
    """
    choice("alternative", alternative, ("auto", *ALTERNATIVES))
    return expected_direction(studies) if alternative == "auto" else alternative


def expected_direction(studies: Studies) -> str:
    """Return the direction in which an effect is likelier to be published.

    ``"greater"`` or ``"less"``: the better one where the studies say which that is, otherwise that of the
    fixed effect.
    """
    if studies.better:
        return "greater" if studies.better == "higher" else "less"
    return "greater" if fixed_effect(studies)[0] >= 0 else "less"
