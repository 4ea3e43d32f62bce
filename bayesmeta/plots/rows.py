"""Rows of a forest plot as values: one source for the figure and for tables in other formats.

Numbers are on the reported scale: ratios are exponentiated.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

from bayesmeta.errors import AnalysisError
from bayesmeta.plots.arm_text import arm_cells, arm_columns
from bayesmeta.plots.blocks import blocks_of, count_text
from bayesmeta.plots.sentences import (
    alarm_of,
    answer_text,
    axis_name,
    effect_name,
    favours_of,
    null_of,
    priors_words,
    scale_note,
)
from bayesmeta.plots.spans import Span, reported, span_of
from bayesmeta.plots.words import (
    capital,
    clean,
    decimals_for,
    interval_name,
    number_text,
    percent,
    ratio_text,
)
from bayesmeta.results.fit import require_fit
from bayesmeta.results.marginal import check_interval
from bayesmeta.results.tables import distribution_rows, summary_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesmeta.plots.arm_text import Columns
    from bayesmeta.plots.blocks import Answer
    from bayesmeta.regression import Subgroups
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

type Kind = Literal["heading", "study", "subgroup", "pooled", "prediction", "answer"]

MOST_STUDIES = 500
NOT_ESTIMABLE = "not estimable"


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes
    ----------
    kind : str
        ``"heading"`` of a subgroup, ``"study"``, ``"subgroup"``, ``"pooled"``, ``"prediction"``, or
        ``"answer"``, one of several answers to the same question.
    label : str
        What it is called.
    cells : tuple of str
        Text of the columns; empty where there is none.
    weight : float or None
        Share of the weight, in percent.
    observed, posterior : Span or None
        What the data say, and what the posterior says.
    note : str
        What else must be said: tau of a subgroup, or that a study has no estimate.
    indent : bool
        Whether it belongs to a subgroup.
    """

    kind: Kind
    label: str
    cells: tuple[str, ...] = ()
    weight: float | None = None
    observed: Span | None = None
    posterior: Span | None = None
    note: str = ""
    indent: bool = False

    @property
    def spans(self) -> tuple[Span, ...]:
        """Estimates of the row, the observed one first."""
        return tuple(span for span in (self.observed, self.posterior) if span is not None)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with all that is said around them.

    Attributes
    ----------
    rows : tuple of Row
        From top to bottom.
    columns : tuple of Columns
        Columns of text that belong to the cells of the rows.
    first : str
        Heading of the labels.
    effect, detail : str
        Headings of the estimates.
    axis : str
        Name of the axis, with the units.
    log : bool
        Whether the axis is logarithmic.
    decimals : int
        Decimals of estimates that are no ratios.
    prob, kind : float, str
        Level and kind of the intervals.
    null : float or None
        Value of no effect.
    reference : float or None
        Value that the estimates are compared with: the pooled one.
    favours : tuple of (str, str)
        What lies to the left and to the right of no effect; empty where unknown.
    footer : tuple of str
        Paragraphs below.
    alarm : str
        What must not be overlooked.
    """

    rows: tuple[Row, ...]
    columns: tuple[Columns, ...]
    first: str
    effect: str
    detail: str
    axis: str
    log: bool
    decimals: int
    prob: float
    kind: str
    null: float | None = None
    reference: float | None = None
    favours: tuple[str, str] = ("", "")
    footer: tuple[str, ...] = ()
    alarm: str = ""

    @property
    def weighted(self) -> bool:
        """Whether there are weights to show."""
        return any(row.weight is not None for row in self.rows)

    def number(self, value: float) -> str:
        """Return a number of the reported scale as text."""
        return ratio_text(value) if self.log else number_text(value, self.decimals)

    def text(self, span: Span) -> str:
        """Return an estimate with its interval as text."""
        return f"{self.number(span.centre)} [{self.number(span.lower)}, {self.number(span.upper)}]"


def forest_rows(
    fit: Fit,
    *,
    subgroups: Mapping[str, Fit] | Subgroups | None = None,
    prob: float = 0.95,
    kind: str = "eti",
) -> Table:
    """Return the rows of the forest plot of a fit.

    Parameters
    ----------
    fit : Fit
        The answer from all studies.
    subgroups : Subgroups or mapping of str to Fit, optional
        What `bayesmeta.subgroups` returned, or answers of groups of the same studies, by name; studies in
        none of them come last.
    prob, kind : float, str
        Level and kind of the intervals, as in `bayesmeta.Fit.summary`.

    Raises
    ------
    AnalysisError
        If there are more than 500 studies, or a subgroup has a study that is not among them.
    """
    require_fit(fit, "forest")
    check_interval(prob, kind)
    studies = fit.studies
    if studies.k > MOST_STUDIES:
        raise AnalysisError(
            f"a forest plot has room for {MOST_STUDIES} studies; got {studies.k}; use fit.summary() and "
            "bm.plots.funnel instead"
        )
    one_study = _StudyRows(fit, prob, kind)
    blocks = blocks_of(fit, {} if subgroups is None else subgroups, prob=prob, kind=kind)
    rows: list[Row] = []
    for name, labels, answer in blocks.blocks:
        rows += [Row("heading", capital(name))] if name else []
        members = [one_study.row(label, indent=bool(name)) for label in labels]
        rows += members
        rows += [_subgroup_row(answer, members)] if answer is not None else []
    rows += _pooled_rows(fit, rows, prob, kind)
    return _table(fit, tuple(rows), one_study, blocks.footer)


class _StudyRows:
    """Rows of single studies, looked up by label."""

    def __init__(self, fit: Fit, prob: float, kind: str) -> None:
        self.fit, self.prob, self.kind = fit, prob, kind
        self.effects = {row["slab"]: row for row in fit.effect_rows(prob=prob, kind=kind)}
        self.z = NormalDist().inv_cdf((1 + prob) / 2)
        self.cells = dict(zip(fit.studies.slab, arm_cells(fit.studies), strict=True))
        place = {label: i for i, label in enumerate(fit.studies.slab)}
        self.given = {
            label: (float(fit.studies.yi[i]), float(fit.studies.sei[i])) for label, i in place.items()
        }

    def row(self, label: str, *, indent: bool) -> Row:
        found = self.effects.get(label)
        y, se = self.given[label]
        estimable = isfinite(y) and isfinite(se)
        weight = float(found["weight_random"]) if found is not None else nan
        return Row(
            "study",
            clean(label),
            cells=self.cells[label],
            weight=weight if isfinite(weight) else None,
            observed=reported(self.fit.studies, (y, y - self.z * se, y + self.z * se)) if estimable else None,
            posterior=span_of(self.fit.studies, found) if found is not None else None,
            note="" if estimable else NOT_ESTIMABLE,
            indent=indent,
        )


def _subgroup_row(answer: Answer, members: Sequence[Row]) -> Row:
    weights = [row.weight for row in members if row.weight is not None]
    return Row(
        "subgroup",
        f"Subgroup, k = {answer.k}",
        weight=sum(weights) if weights else None,
        posterior=answer.mean,
        note=answer.note,
        indent=True,
    )


def _pooled_rows(fit: Fit, above: Sequence[Row], prob: float, kind: str) -> list[Row]:
    if not fit.problem.is_pooled:
        return []
    summary = summary_rows(fit.posterior, prob=prob, kind=kind)
    weights = [row.weight for row in above if row.kind == "study" and row.weight is not None]
    pooled = Row(
        "pooled",
        f"All studies, k = {count_text(fit)}",
        weight=sum(weights) if weights else None,
        posterior=span_of(fit.studies, summary["mu"]),
    )
    new = Row(
        "prediction",
        f"{percent(prob)} prediction interval",
        posterior=span_of(fit.studies, summary["theta_new"]),
    )
    return [pooled, new]


def _table(fit: Fit, rows: tuple[Row, ...], like: _StudyRows, said: tuple[str, ...]) -> Table:
    studies, prob, kind = fit.studies, like.prob, like.kind
    both = any(len(row.spans) == 2 for row in rows)
    pooled = next((row.posterior for row in rows if row.kind == "pooled"), None)
    return Table(
        rows=rows,
        columns=arm_columns(studies),
        first="Study",
        effect=f"{effect_name(studies)} [{percent(prob)} interval]",
        detail="observed / posterior" if both else "posterior",
        axis=axis_name(studies),
        log=studies.is_ratio,
        decimals=decimals_of(studies, rows),
        prob=prob,
        kind=kind,
        null=null_of(studies),
        reference=None if pooled is None else pooled.centre,
        favours=favours_of(studies),
        footer=(*said, *_footer(fit, prob, kind)),
        alarm=alarm_of(fit),
    )


def _footer(fit: Fit, prob: float, kind: str) -> tuple[str, ...]:
    return (
        answer_text(fit, prob=prob, kind=kind),
        f"Priors{scale_note(fit.studies)}: {priors_words(fit)}.",
        f"Observed: estimate, {percent(prob)} confidence interval. Posterior: median, "
        f"{interval_name(prob, kind)}. Weight: posterior mean of the inverse-variance weight.",
    )


def spans_of(fit: Fit, name: str, *, prob: float, kind: str) -> Span:
    """Return median and interval of a quantity on its own scale."""
    row = distribution_rows(fit.marginal(name).distribution, prob=prob, kind=kind)[0]
    return Span(row["median"], row["lower"], row["upper"])


def decimals_of(studies: Studies, rows: Sequence[Row]) -> int:
    """Return how many decimals the estimates deserve; ratios have their own rule."""
    if studies.is_ratio:
        return 2
    studies_only = [row for row in rows if row.kind == "study" and row.spans]
    spans = [row.observed or row.posterior for row in studies_only or rows]
    return decimals_for((span.upper - span.lower) / 2 for span in spans if span is not None)
