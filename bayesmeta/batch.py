"""`fit_many`: thousands of meta-analyses in one table, each exactly, a row for each.

Tables such as those made from the Cochrane Library hold many reviews of a few studies each. Reviews with the
same number of studies are integrated together (`bayesmeta.engines.many`); those whose prior does not allow it
go one by one. What is wrong with a review is said in its row, and stops no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.batch_posterior import Posteriors, posteriors
from bayesmeta.errors import AnalysisError, DataError, ModelError, is_one_of, printable, suggest
from bayesmeta.model import Model
from bayesmeta.results.marginal import check_interval
from bayesmeta.studies import Studies, effect_sizes
from bayesmeta.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd

    from bayesmeta.arrays import Ints

BLOCK = 5_000
"""Reviews between two reports of progress."""
REVIEW = "review (number)"
"""Column that carries the number of a review through the making of its effects."""

type Report = Callable[[int, int], None]
"""Takes the number of reviews done and the number of all."""


class Review(NamedTuple):
    """A review of the table."""

    name: str
    """What the table calls it."""
    rows: Ints
    """(k,) rows of its studies."""


def fit_many(
    table: object,
    by: str,
    *,
    model: Model | None = None,
    measure: str = "GEN",
    prob: float = 0.95,
    report: Report | None = None,
    **columns: Any,
) -> pd.DataFrame:
    """Return the exact random-effects posterior of every review in a table, a row for each.

    Parameters
    ----------
    table : DataFrame, mapping or Table
        A row for each study.
    by : str
        Column that names the review of each study.
    model : Model, optional
        Priors; without moderators, with the normal likelihood. Default priors are those of each review.
    measure : str
        Kind of effect.
    prob : float
        Probability of the equal-tailed intervals.
    report : callable, optional
        Called with the number of reviews done and that of all.
    **columns : str
        Columns of ready-made effects, ``yi`` with ``sei`` or ``vi`` (and ``ni``), or of the arms that the
        measure needs; and options of `Studies.from_effects` or `effect_sizes`, such as ``better``.

    Returns
    -------
    DataFrame
        Indexed by review, in order of appearance. ``k``; for each of ``mu tau theta_new I2`` its ``mean sd
        median lower upper`` (``mu_mean`` and so on) on the analysis scale, NaN where one does not exist;
        ``p_above_zero`` and, where `better` is given, ``p_benefit``; ``log_evidence``; ``error``, the
        difference of two node sets in sds; ``status``, ``"ok"`` or what is wrong with the review.

    Raises
    ------
    AnalysisError
        If an option is wrong or a column is missing.
    ModelError
        If the model has moderators or another likelihood.

    Examples
    --------
    >>> table = {"review": ["a", "a", "b"], "yi": [0.1, 0.3, 0.2], "sei": [0.1, 0.1, -1.0]}
    >>> priors = Model(mu="Normal(0, 1)", tau="HalfNormal(1)")
    >>> found = fit_many(table, "review", model=priors, yi="yi", sei="sei")
    >>> found["k"].tolist(), found["status"].tolist()[0]
    ([2, 0], 'ok')
    """
    import pandas as pd

    parts = [
        block.columns(by)
        for block in blocks(
            table, by, model=model, measure=measure, prob=prob, report=report, columns=columns
        )
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return pd.DataFrame(joined).set_index(by)


def blocks(
    table: object,
    by: str,
    *,
    columns: Mapping[str, Any],
    model: Model | None = None,
    measure: str = "GEN",
    prob: float = 0.95,
    report: Report | None = None,
    done: int = 0,
) -> Iterator[Posteriors]:
    """Yield the posteriors of the reviews of a table, some thousands at a time.

    Parameters
    ----------
    table, by, model, measure, prob, report : object
        As in `fit_many`.
    columns : mapping
        Columns and options of `fit_many`.
    done : int
        Reviews to pass over, counted from the first.
    """
    check_interval(prob, "eti")
    chosen = _checked(Model() if model is None else model)
    source = _Source(table, by, measure, columns)
    for start in range(done, len(source.reviews), BLOCK):
        block = source.reviews[start : start + BLOCK]
        names, made = [one.name for one in block], source.studies(block)
        yield posteriors(names, made, chosen, prob=prob, better=source.better)
        if report is not None:
            report(start + len(block), len(source.reviews))


def _checked(model: Model) -> Model:
    given: object = model
    if not isinstance(given, Model):
        got = type(given).__name__
        advice = "give fit.model" if got == "Fit" else 'write bm.Model(mu="Normal(0, 1)")'
        raise AnalysisError(f"model must be a bm.Model; got {got}; {advice}")
    if model.mods.strip() != "1" or model.likelihood != "normal":
        raise ModelError(
            f"fit_many takes mods '1' and the normal likelihood; got mods '{model.mods}' and likelihood "
            f"'{model.likelihood}'; fit such reviews one by one with bayesmeta.fit"
        )
    return model


class _Source:
    """A table, its reviews, and how their effects are made."""

    def __init__(self, table: object, by: str, measure: str, columns: Mapping[str, Any]) -> None:
        self.measure = measure
        given = {name: value for name, value in columns.items() if isinstance(value, str)}
        known = _columns_of(table)
        self.arrays = {name: np.asarray(known[column]) for name, column in given.items() if column in known}
        self.options = {name: value for name, value in columns.items() if name not in self.arrays}
        self.better: str = self.options.get("better", "")
        self.place = (table.source, table.lines) if isinstance(table, Table) else ("", None)
        self.reviews = _reviews(known, by)
        self._refuse_missing(given, known)

    def _refuse_missing(self, given: Mapping[str, str], known: Mapping[str, Any]) -> None:
        """Refuse texts that are neither columns nor options, and tables without anything to be read."""
        needed = "yi" if "yi" in given else next(iter(given), "yi")
        absent = [name for name in given if name not in self.arrays and name not in TEXT_OPTIONS]
        if absent or not self.arrays:
            column = given[absent[0]] if absent else needed
            hint = suggest(column, known) or f"; the columns are {', '.join(map(printable, known))}"
            raise AnalysisError(f'the table has no column "{printable(column)}"{hint}')

    def studies(self, reviews: Sequence[Review]) -> list[tuple[Studies | None, Ints, str]]:
        """Return studies of reviews, with the number of the review of each, or what is wrong with one.

        Where the effects of several cannot be made together, halves are tried, down to the one at fault.
        """
        return list(self._made(np.arange(len(reviews)), reviews))

    def _made(self, numbers: Ints, reviews: Sequence[Review]) -> Iterator[tuple[Studies | None, Ints, str]]:
        rows = np.concatenate([reviews[i].rows for i in numbers.tolist()])
        label = np.repeat(numbers, [reviews[i].rows.size for i in numbers.tolist()])
        try:
            studies = self._make(rows, label).pooled()
        except DataError as error:
            if numbers.size == 1:
                yield None, numbers, "; ".join(error.messages)
                return
            for half in np.array_split(numbers, 2):
                yield from self._made(half, reviews)
            return
        yield studies, studies.columns[REVIEW].astype(np.intp), ""

    def _make(self, rows: Ints, label: Ints) -> Studies:
        arrays: dict[str, Any] = {name: column[rows] for name, column in self.arrays.items()}
        source, lines = self.place
        counted = rows + 1 if lines is None else np.asarray(lines)[rows]
        data = Table({REVIEW: label.astype(np.float64)}, source, tuple(counted.tolist()))
        options: dict[str, Any] = {"allow_total_rows": "slab" not in arrays, **self.options}
        if "yi" in arrays:
            return Studies.from_effects(data=data, measure=self.measure, **arrays, **options)
        return effect_sizes(data, self.measure, **arrays, **options)


TEXT_OPTIONS = ("units", "better", "group1", "group2", "missing", "to", "vtype")
"""Options whose value is a text and no column."""


def _columns_of(table: object) -> dict[str, Any]:
    """Return the columns of a table, unread: as arrays of whatever they hold."""
    if isinstance(table, Table):
        return dict(table.columns)
    items = getattr(table, "items", None)
    if items is None:
        raise DataError(f"a table must be a DataFrame or a mapping of columns; got {type(table).__name__}")
    return {str(name): column for name, column in items()}


def _reviews(known: Mapping[str, Any], by: str) -> list[Review]:
    """Return the reviews in order of appearance, with the rows of each."""
    if not is_one_of(by, known):
        hint = suggest(by, known) or f"; the columns are {', '.join(map(printable, known))}"
        raise AnalysisError(f'the table has no column "{printable(by)}"{hint}')
    import pandas as pd

    column = known[by]
    given: Any = column if hasattr(column, "dtype") else np.asarray(column)
    codes, values = pd.factorize(given, use_na_sentinel=False)
    if not codes.size:
        raise DataError("the table has no studies")
    rows = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes)).tolist()
    names = [_name(value, by) for value in values.tolist()]
    return [
        Review(name, rows[first:last]) for name, first, last in zip(names, [0, *ends[:-1]], ends, strict=True)
    ]


def _name(value: object, by: str) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if text in {"", "nan", "None", "<NA>"}:
        raise DataError(f'column "{printable(by)}": a review must have a name; got an empty cell; fill it in')
    return text
