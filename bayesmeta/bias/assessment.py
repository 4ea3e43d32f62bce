"""All that is known of small-study effects in one review, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from math import isnan, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.bias.arms import arcsine, harbord, macaskill, peters, pustejovsky_rodgers
from bayesmeta.bias.average import BiasAverage, average
from bayesmeta.bias.bayes import StepPosterior, step_posterior
from bayesmeta.bias.common import cautions, check_level, choice, expected_direction, usable
from bayesmeta.bias.excess import ExcessTest, excess_test
from bayesmeta.bias.failsafe import FailSafeN, fail_safe_n
from bayesmeta.bias.funnel import FunnelData, funnel_data
from bayesmeta.bias.rank import RankTest, rank_test
from bayesmeta.bias.regression import (
    RegressionTest,
    egger,
    peese,
    pet,
    pet_peese,
    regression_test,
)
from bayesmeta.bias.selection import OUTSIDE, UNBOUNDED, SelectionModel, selection_model
from bayesmeta.bias.trimfill import TrimAndFill, trim_and_fill
from bayesmeta.classical.heterogeneity import ESTIMATORS, heterogeneity
from bayesmeta.classical.pooling import pool
from bayesmeta.classical.problem import problem
from bayesmeta.classical.result import Classical
from bayesmeta.effectsizes import find_measure
from bayesmeta.errors import AnalysisError, BayesmetaError, require_flag, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from bayesmeta.model import Model
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

STANDARDISED = ("SMD", "SMDH")


class Entry(NamedTuple):
    """A method and what came of it."""

    kind: str
    """``pooled``, ``test``, ``adjusted effect``, ``count`` or ``Bayesian``."""
    name: str
    """Name of the method."""
    result: Any
    """Its frozen result; None where it cannot be used."""
    reason: str
    """Why not; empty where it can."""


class Row(NamedTuple):
    """A row of the table of an assessment."""

    kind: str
    """Kind of method."""
    method: str
    """Name of the method."""
    estimate: float
    """Mean effect that the method arrives at, on the analysis scale."""
    lower: float
    """Lower limit of its interval."""
    upper: float
    """Upper limit."""
    statistic: float
    """Statistic of the test for a small-study effect."""
    p: float
    """p-value of that test, never of the effect; NaN where there is none."""
    finding: str
    """What was found, in words; the reason where the method cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assessment:
    """Everything about small-study effects in one review.

    Attributes
    ----------
    entries : tuple of Entry
        Methods in order.
    funnel : FunnelData
        Numbers of the funnel plot.
    direction : str
        ``greater`` or ``less``: where effects are supposed to be likelier to be seen.
    level : float
        Confidence level of the classical intervals.
    k : int
        Number of studies.
    """

    entries: tuple[Entry, ...]
    funnel: FunnelData
    direction: str
    level: float
    k: int

    def __getitem__(self, name: str) -> Any:
        found = {entry.name: entry for entry in self.entries}
        if name not in found:
            raise AnalysisError(
                f"no method '{name}' in the assessment{suggest(name, found) or '; see table()'}"
            )
        if found[name].result is None:
            raise AnalysisError(f"'{name}' has no result: {found[name].reason}")
        return found[name].result

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return cautions(self.k)

    def rows(self) -> tuple[Row, ...]:
        """Return a row for each method."""
        return tuple(
            Row(entry.kind, entry.name, nan, nan, nan, nan, nan, f"not used: {entry.reason}")
            if entry.result is None
            else Row(entry.kind, entry.name, *_cells(entry.result))
            for entry in self.entries
        )

    def table(self) -> pd.DataFrame:
        """Return a row for each method.

        Columns ``kind method estimate lower upper statistic p finding``; `statistic` and `p` are those of the
        test for a small-study effect, not of the effect; effects are on the analysis scale
        (logarithms for ratios), Bayesian ones posterior medians with 95 % equal-tailed intervals. Methods
        that cannot be used have the reason in `finding`, and so have selection models that the studies do
        not identify: their likelihood is highest at a mean outside the effects observed, or has no maximum
        within the bounds of the weights. The p of excess
        significance is the exact one.
        """
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(Row._fields))

    def __str__(self) -> str:
        lines = [f"Small-study effects in {self.k} studies"]
        width = max(len(row.method) for row in self.rows())
        for row in self.rows():
            effect = "" if isnan(row.estimate) else f"{row.estimate:.4g} [{row.lower:.4g}, {row.upper:.4g}]"
            p_value = "" if isnan(row.p) else f"p = {row.p:.3g}"
            lines.append(f"{row.method:{width}}  {effect:30}  {p_value:10}  {row.finding}".rstrip())
        return "\n".join((*lines, *self.warnings))


def assess(
    source: Studies | Fit,
    model: Model | None = None,
    *,
    method: str = "REML",
    level: float = 0.95,
    bayesian: bool = True,
) -> Assessment:
    """Return every method for small-study effects that the studies allow.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies; a fit lends its priors.
    model : Model, optional
        Priors of the Bayesian methods.
    method : str
        Estimator of tau^2 of trim and fill and of the mixed regression.
    level : float
        Confidence level of the classical intervals.
    bayesian : bool
        Whether to include the Bayesian selection model and the average over models.

    Raises
    ------
    DataError
        Fewer than three studies.
    ModelError
        Correlated effects.

    Notes
    -----
    A method that cannot be used is a row with the reason.
    """
    check_level(level)
    require_flag("bayesian", bayesian)
    choice("method", method, ESTIMATORS)
    studies = usable(source, what="an assessment of small-study effects")
    work = [*_classical(studies, method, level), *_selection(studies, level)]
    if bayesian:
        chosen = model if model is not None else getattr(source, "model", None)
        work += [
            ("Bayesian", "Bayesian selection, p < 0.025", lambda: step_posterior(studies, chosen)),
            ("Bayesian", "Average over bias models", lambda: average(studies, chosen)),
        ]
    return Assessment(
        entries=tuple(_tried(*item) for item in work),
        funnel=funnel_data(studies, method=method, level=level),
        direction=expected_direction(studies),
        level=level,
        k=studies.k,
    )


type Work = tuple[str, str, Callable[[], Any]]


def _tried(kind: str, name: str, work: Callable[[], Any]) -> Entry:
    try:
        return Entry(kind, name, work(), "")
    except BayesmetaError as error:
        return Entry(kind, name, None, error.messages[0])


def _classical(studies: Studies, method: str, level: float) -> Iterator[Work]:
    def pooled() -> Classical:
        known = heterogeneity(problem(studies.yi, studies.vi), level=level)
        return pool(known, method=method)

    def mixed() -> RegressionTest:
        return regression_test(studies, model="rma", method=method, level=level)

    yield "pooled", f"No adjustment ({method})", pooled
    yield "test", "Egger's test", lambda: egger(studies, level=level)
    yield "test", f"Regression on sei ({method})", mixed
    yield from _of_arms(studies, level)
    yield "test", "Rank correlation", lambda: rank_test(studies)
    yield "test", "Excess significance", lambda: excess_test(studies)
    yield "adjusted effect", "PET", lambda: pet(studies, level=level)
    yield "adjusted effect", "PEESE", lambda: peese(studies, level=level)
    yield "adjusted effect", "PET-PEESE", lambda: pet_peese(studies, level=level)
    for number in ("L0", "R0"):
        name = f"Trim and fill ({number})"
        yield "adjusted effect", name, _filled(studies, number, method, level)
    for kind in ("Rosenthal", "Orwin", "Rosenberg"):
        yield "count", f"Fail-safe N ({kind})", _safe(studies, kind)


def _filled(studies: Studies, number: str, method: str, level: float) -> Callable[[], TrimAndFill]:
    return lambda: trim_and_fill(studies, estimator=number, method=method, level=level)


def _safe(studies: Studies, kind: str) -> Callable[[], FailSafeN]:
    return lambda: fail_safe_n(studies, kind=kind)


def _of_arms(studies: Studies, level: float) -> Iterator[Work]:
    """Return the tests that fit the measure, whether or not the arm data are there."""
    measure = find_measure(studies.measure)
    if measure.kind == "table":
        yield "test", "Peters' test", lambda: peters(studies, level=level)
        yield "test", "Macaskill's test", lambda: macaskill(studies, level=level)
        yield "test", "Harbord's test", lambda: harbord(studies, level=level)
        yield "test", "Arcsine test", lambda: arcsine(studies, level=level)
    if measure.name in STANDARDISED:
        yield "test", "Pustejovsky and Rodgers' test", lambda: pustejovsky_rodgers(studies, level=level)


def _selection(studies: Studies, level: float) -> Iterator[Work]:
    kind = "adjusted effect"
    yield kind, "Selection, p < 0.025", lambda: selection_model(studies, level=level)
    yield (
        kind,
        "Selection, p < 0.025, 0.5",
        lambda: selection_model(studies, steps=(0.025, 0.5), level=level),
    )
    yield kind, "Selection, beta weights", lambda: selection_model(studies, "beta", level=level)
    yield kind, "Selection, half-normal", lambda: selection_model(studies, "halfnormal", level=level)


type Cells = tuple[float, float, float, float, float, str]


@singledispatch
def _cells(result: Any) -> Cells:
    """Return estimate, interval, statistic, p-value and finding of a result."""
    raise TypeError(type(result))


@_cells.register
def _(result: Classical) -> Cells:
    estimate, lower, upper = (float(getattr(result, name)[0]) for name in ("beta", "lower", "upper"))
    return estimate, lower, upper, nan, nan, f"tau2 = {result.tau2:.3g}"


@_cells.register
def _(result: RegressionTest) -> Cells:
    finding = f"slope on {result.predictor} {result.slope:.3g} (se {result.slope_se:.2g})"
    test = result.statistic, result.p_value
    if result.name not in {"PET", "PEESE"}:
        return nan, nan, nan, *test, finding
    return result.estimate, result.lower, result.upper, *test, f"{result.name}: {finding}"


@_cells.register
def _(result: RankTest) -> Cells:
    found = "not defined" if isnan(result.tau) else f"Kendall's tau = {result.tau:.3f}"
    return nan, nan, nan, result.tau, result.p_value, found


@_cells.register
def _(result: ExcessTest) -> Cells:
    finding = f"{result.observed} of {result.k} significant, {result.expected:.1f} expected"
    return nan, nan, nan, result.statistic, result.exact_p, finding


@_cells.register
def _(result: TrimAndFill) -> Cells:
    finding = f"{result.missing} filled in on the {result.side}"
    return result.estimate, result.lower, result.upper, nan, result.missing_p, finding


@_cells.register
def _(result: FailSafeN) -> Cells:
    if result.number == 0 and isnan(result.target):
        return nan, nan, nan, nan, nan, f"none: p is above {result.alpha:g} without any"
    what = f"{result.number:,} studies of no effect" if result.number >= 0 else "more than a million studies"
    goal = f"p above {result.alpha:g}" if isnan(result.target) else f"the mean effect at {result.target:.3g}"
    return nan, nan, nan, nan, nan, f"{what} would put {goal}"


@_cells.register
def _(result: SelectionModel) -> Cells:
    pairs = zip(result.weight.names, result.parameters.tolist(), strict=True)
    weights = ", ".join(f"{name}: {value:.3g}" for name, value in pairs)
    finding = f"weights {weights}; LR({result.lr_df}) = {result.lr:.2f} against no selection"
    told = [note for note in result.notes if note != OUTSIDE and not note.startswith(UNBOUNDED)]
    finding = "; ".join((finding, *(note.rstrip(".") for note in told)))
    where = f"a mean of {result.estimate:.3g}"
    if not result.identified:
        finding = f"not identified: the likelihood is highest at {where}, outside the effects; {finding}"
        return nan, nan, nan, nan, nan, finding
    if not result.attained:
        finding = f"no maximum: the likelihood still rises at the bound, at {where}; {finding}"
        return nan, nan, nan, nan, nan, finding
    return result.estimate, result.lower, result.upper, result.lr, result.lr_p, finding


@_cells.register
def _(result: StepPosterior) -> Cells:
    lower, upper = result.mu.interval()
    pairs = zip(result.steps.names, result.weights_mean.tolist(), strict=True)
    finding = "posterior mean weight " + ", ".join(f"{name}: {mean:.2f}" for name, mean in pairs)
    return result.mu.median, lower, upper, nan, nan, finding


@_cells.register
def _(result: BiasAverage) -> Cells:
    lower, upper = result.mu.interval()
    factors = {what: float(np.exp(min(700.0, result.log_bayes_factor(what)))) for what in ("bias", "effect")}
    finding = ", ".join(
        f"P({what}) = {result.probability(what):.2f} (BF {factor:.2g})" for what, factor in factors.items()
    )
    return result.mu.median, lower, upper, nan, nan, finding
