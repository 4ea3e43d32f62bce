"""The answer without each study in turn, and without each pair."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.arrays import is_whole
from bayesmeta.classical import Classical, classical
from bayesmeta.design import build_design
from bayesmeta.errors import AnalysisError, FormulaError, ModelError, printable, told
from bayesmeta.fitting import fit as make_fit
from bayesmeta.results.fit import require_fit
from bayesmeta.sensitivity.kept import with_priors_of
from bayesmeta.sensitivity.subsets import Subsets, subsets

if TYPE_CHECKING:
    from bayesmeta.model import Model
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies


class LeftOut(NamedTuple):
    """The answer without one study."""

    omitted: str
    """Its label."""
    fit: Fit
    """Posterior from the other studies, the priors being those of all."""
    fixed: Classical | None
    """Fixed effect of the other studies; None if none has an estimate."""


def leave_one_out(
    fit: Fit, *, engine: str = "auto", seed: int | None = None, **options: Any
) -> tuple[LeftOut, ...]:
    """Return the answer without each study in turn.

    Parameters
    ----------
    fit : Fit
        The answer with all studies; its priors are kept.
    engine, seed, **options
        As in `bayesmeta.fit`.

    Raises
    ------
    ModelError
        If there are fewer than two studies, or the formula cannot be estimated without one of them.

    Notes
    -----
    A prior by name of a level that only the omitted study has is left out with it.
    """
    require_fit(fit, "leave_one_out")
    studies = fit.problem.studies
    if studies.k < 2:
        raise ModelError(f"leave-one-out needs at least 2 studies; got {studies.k}")
    model = with_priors_of(fit)
    return tuple(_without(studies, i, model, engine=engine, seed=seed, **options) for i in range(studies.k))


def _without(studies: Studies, i: int, model: Model, **options: Any) -> LeftOut:
    others = studies.without(i)
    try:
        design = build_design(model.mods, others.columns, slab=others.slab, k=others.k)
    except FormulaError as error:
        raise ModelError(f"without '{printable(studies.slab[i])}': {error}") from error
    if isinstance(model.beta, tuple):
        kept = tuple(pair for pair in model.beta if pair[0] in design.names)
        model = replace(model, beta=kept or None)
    fixed = classical(others, model.mods, method="FE") if others.estimable.any() else None
    return LeftOut(studies.slab[i], make_fit(others, model, **options), fixed)


def leave_out(fit: Fit, number: int = 1, *, prob: float = 0.95) -> Subsets:
    """Return the exact answers without each study, or without each pair of studies, in one call.

    Parameters
    ----------
    fit : Fit
        The answer with all studies, without moderators; its priors are kept.
    number : {1, 2}
        Studies that are left out at a time.
    prob : float
        Probability of the intervals.

    Returns
    -------
    Subsets
        Named after the studies that are omitted, pairs as ``"first + second"``; `Subsets.table` has mu, tau,
        theta_new, I2, evidence and the probability of benefit, `Subsets.fit` the full answer in a row.

    Raises
    ------
    AnalysisError
        If `number` is neither 1 nor 2.
    ModelError
        If there are not more studies than are left out, or the model has moderators or another likelihood.
    """
    require_fit(fit, "leave_out")
    if not is_whole(number, 1, 2):
        raise AnalysisError(f"number must be 1 or 2 studies to leave out at a time; got {told(number)}")
    k, labels = fit.problem.k, fit.problem.studies.slab
    if k <= number:
        raise ModelError(f"leaving out {number} at a time needs at least {number + 1} studies; got {k}")
    omitted = list(combinations(range(k), number))
    included = np.ones((len(omitted), k), dtype=bool)
    included[np.arange(len(omitted))[:, None], omitted] = False
    names = [" + ".join(labels[i] for i in places) for places in omitted]
    return subsets(fit.problem, included, prob=prob, names=names, axis="omitted")
