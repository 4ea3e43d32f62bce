"""`Marginal`: the posterior of one quantity, with the same questions for every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, overload

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import AnalysisError, is_one_of, suggest, told
from bayesmeta.results.empirical import Empirical
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.results.shortest import FARTHEST, shortest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bayesmeta.arrays import Floats

type IntervalKind = Literal["eti", "hdi"]

KINDS = ("eti", "hdi")


class Distribution(Protocol):
    """Distributions of q quantities at once: exact mixtures, densities of tau, or draws."""

    @property
    def size(self) -> int:
        """Number of quantities, q."""

    def select(self, index: int) -> Distribution:
        """Return the distribution of one quantity alone."""

    def mean(self) -> Floats:
        """Return the (q,) means; NaN where they do not exist."""

    def sd(self) -> Floats:
        """Return the (q,) standard deviations; NaN where they do not exist."""

    def skewness(self) -> Floats:
        """Return the (q,) skewnesses; NaN where they do not exist."""

    def mode(self) -> Floats:
        """Return the (q,) modes."""

    def quantile(self, p: Floats) -> Floats:
        """Return the (n, q) quantiles."""

    def cdf(self, x: Floats) -> Floats:
        """Return the (n, q) probabilities below x."""

    def density(self, x: Floats) -> Floats:
        """Return the (n, q) densities."""


class Interval(NamedTuple):
    """Bounds of an interval."""

    lower: float
    """Lower bound."""
    upper: float
    """Upper bound."""


class Summary(NamedTuple):
    """What tables say of q quantities."""

    mode: Floats
    """(q,) highest points of the densities."""
    median: Floats
    """(q,) medians."""
    mean: Floats
    """(q,) means; NaN where they do not exist."""
    sd: Floats
    """(q,) standard deviations; NaN where they do not exist."""
    lower: Floats
    """(q,) lower bounds."""
    upper: Floats
    """(q,) upper bounds."""


@dataclass(frozen=True, slots=True)
class Marginal:
    """Posterior distribution of one quantity.

    Attributes
    ----------
    name : str
        Name of the quantity.
    distribution : Distribution
        Its distribution, of size 1.
    """

    name: str
    distribution: Distribution

    @property
    def mean(self) -> float:
        """Mean, NaN where it does not exist."""
        return float(self.distribution.mean()[0])

    @property
    def sd(self) -> float:
        """Standard deviation, NaN where it does not exist."""
        return float(self.distribution.sd()[0])

    @property
    def skewness(self) -> float:
        """Third standardised moment, NaN where it does not exist."""
        return float(self.distribution.skewness()[0])

    @property
    def mode(self) -> float:
        """Highest point of the density."""
        return float(self.distribution.mode()[0])

    @property
    def median(self) -> float:
        """Median."""
        return self.quantile(0.5)

    @overload
    def quantile(self, p: float) -> float: ...
    @overload
    def quantile(self, p: Floats) -> Floats: ...
    def quantile(self, p: ArrayLike) -> float | Floats:
        """Return the value below which the probability is `p`; an array for an array."""
        probabilities = _numbers(p)
        if not np.all((probabilities > 0) & (probabilities < 1)):
            raise AnalysisError(f"a probability must be between 0 and 1; got {p!s}")
        if np.any(np.minimum(probabilities, 1 - probabilities) < FARTHEST):
            raise AnalysisError(f"quantiles are exact for probabilities from 1e-12 to 1 - 1e-12; got {p!s}")
        return _like(probabilities, self.distribution.quantile(probabilities.reshape(-1)))

    @overload
    def cdf(self, x: float) -> float: ...
    @overload
    def cdf(self, x: Floats) -> Floats: ...
    def cdf(self, x: ArrayLike) -> float | Floats:
        """Return the probability of values up to `x`; an array for an array."""
        values = _numbers(x)
        return _like(values, self.distribution.cdf(values.reshape(-1)))

    @overload
    def density(self, x: float) -> float: ...
    @overload
    def density(self, x: Floats) -> Floats: ...
    def density(self, x: ArrayLike) -> float | Floats:
        """Return the density at `x`; an array for an array."""
        values = _numbers(x)
        return _like(values, self.distribution.density(values.reshape(-1)))

    def interval(self, prob: float = 0.95, *, kind: str = "eti") -> Interval:
        """Return the equal-tailed (``"eti"``) or the shortest (``"hdi"``) interval of probability `prob`."""
        lower, upper = bounds(self.distribution, prob, kind)
        return Interval(float(lower[0]), float(upper[0]))


def _numbers(given: object) -> Floats:
    """Return an array of the numbers given.

    Raises
    ------
    AnalysisError
        If they are no numbers, or none.
    """
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.zeros(0)
    if not values.size or isinstance(given, str) or given is None:
        raise AnalysisError(f"a value must be a number or an array of numbers; got {told(given)}")
    return values


def _like(wanted: Floats, values: Floats) -> float | Floats:
    return float(values[0, 0]) if wanted.ndim == 0 else values[:, 0].reshape(wanted.shape)


def check_interval(prob: float, kind: str) -> None:
    """Refuse an impossible level or an unknown kind of interval."""
    if not is_one_of(kind, KINDS):
        raise AnalysisError(f"kind must be 'eti' or 'hdi'; got {told(kind)}{suggest(kind, KINDS)}")
    if not strictly_between(prob, 0, 1):
        raise AnalysisError(f"prob must be between 0 and 1, such as 0.95; got {told(prob)}")


def summarise(distribution: Distribution, *, prob: float = 0.95, kind: str = "eti") -> Summary:
    """Return mode, median, mean, standard deviation and interval of all quantities of a distribution."""
    check_interval(prob, kind)
    part = distribution.part if isinstance(distribution, NormalMixture) else None
    whole, place = (distribution, slice(None)) if part is None else part
    answers = getattr(whole, "remembered", None)
    if answers is None:
        return _summary(whole, prob, kind)
    question = ("summary", prob, kind)
    if question not in answers:
        answers[question] = _summary(whole, prob, kind)
    return Summary(*(column[place] for column in answers[question]))


def _summary(distribution: Distribution, prob: float, kind: str) -> Summary:
    tail = (1 - prob) / 2
    lower, median, upper = distribution.quantile(np.array([tail, 0.5, 1 - tail]))
    if kind == "hdi":
        lower, upper = bounds(distribution, prob, kind)
    return Summary(distribution.mode(), median, distribution.mean(), distribution.sd(), lower, upper)


def bounds(distribution: Distribution, prob: float, kind: str) -> tuple[Floats, Floats]:
    """Return the (q,) lower and upper bounds of intervals."""
    check_interval(prob, kind)
    if kind == "eti":
        lower, upper = distribution.quantile(np.array([(1 - prob) / 2, (1 + prob) / 2]))
        return lower, upper
    if isinstance(distribution, Empirical):
        pairs = np.array([_shortest_of_draws(distribution.select(j), prob) for j in range(distribution.size)])
        return pairs[:, 0], pairs[:, 1]
    return shortest(distribution, prob)


def _shortest_of_draws(distribution: Empirical, prob: float) -> tuple[float, float]:
    """Return the shortest interval that holds the fraction `prob` of the draws."""
    ordered = np.sort(distribution.flat[:, 0])
    held = max(1, int(np.ceil(prob * ordered.size)))
    widths = ordered[held - 1 :] - ordered[: ordered.size - held + 1]
    first = int(widths.argmin())
    return float(ordered[first]), float(ordered[first + held - 1])
