"""How the answer came about: the posterior after each study, in the order of time, precision or a column.

References
----------
Lau J, Antman EM, Jimenez-Silva J, et al (1992). Cumulative meta-analysis of therapeutic trials for myocardial
infarction. N Engl J Med 327:248-254. doi:10.1056/NEJM199207233270406
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import AnalysisError, printable, suggest, told
from bayesmeta.sensitivity.kept import posed
from bayesmeta.sensitivity.subsets import Subsets, require_pooled, subsets

if TYPE_CHECKING:
    from bayesmeta.arrays import Ints
    from bayesmeta.model import Model
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

PRECISION = "precision"
"""Order from the most precise study to the least."""


def cumulative(
    given: Fit | Studies, model: Model | None = None, *, by: str | None = None, prob: float = 0.95
) -> Subsets:
    """Return the exact posterior after each study.

    Parameters
    ----------
    given : Fit or Studies
        The studies; with a fit, its priors, which are those of all studies.
    model : Model, optional
        Priors, where studies are given; without moderators.
    by : str, optional
        Column that the studies are ordered by, such as ``"year"``; ``"precision"`` begins with the most
        precise study. By default they are in the order of the table. Equal ones keep it.
    prob : float
        Probability of the intervals.

    Returns
    -------
    Subsets
        A row for each study, in order: the answer from it and those before it. Labels are in ``names``.

    Raises
    ------
    AnalysisError
        If there is no such column, or a study has no value in it.
    ModelError
        If the model has moderators or another likelihood.

    Examples
    --------
    >>> import bayesmeta as bm
    >>> studies = bm.Studies.from_effects([0.1, 0.3], sei=[0.2, 0.1], slab=["a", "b"])
    >>> steps = cumulative(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"), by="precision")
    >>> steps.names, steps.k.tolist()
    (('b', 'a'), [1, 2])
    """
    problem = posed(given, model, "cumulative")
    require_pooled(problem, "cumulative")
    order = _order(problem.studies, by)
    k = problem.k
    included = np.zeros((k, k), dtype=bool)
    for step, place in enumerate(order.tolist()):
        included[step:, place] = True
    names = [problem.studies.slab[place] for place in order.tolist()]
    return subsets(problem, included, prob=prob, names=names, axis="added")


def _order(studies: Studies, by: str | None) -> Ints:
    """Return the places of the studies in order."""
    if by is not None and not isinstance(by, str):
        raise AnalysisError(f"by must be the name of a column, or 'precision'; got {told(by)}")
    if by is None:
        return np.arange(studies.k)
    if by == PRECISION and by not in studies.columns:
        return np.argsort(studies.vi, kind="stable")
    if by not in studies.columns:
        known = (*studies.columns, PRECISION)
        hint = suggest(by, known) or f"; there are {', '.join(map(printable, known))}"
        raise AnalysisError(f'the studies have no column "{printable(by)}"{hint}')
    column = np.asarray(studies.columns[by])
    missing = [str(value) in {"", "nan", "None", "<NA>"} for value in column.tolist()]
    if any(missing):
        label = printable(studies.slab[missing.index(True)])
        raise AnalysisError(
            f'column "{printable(by)}" must have a value for every study; it has none for "{label}"; '
            "fill it in"
        )
    return np.argsort(column, kind="stable")
