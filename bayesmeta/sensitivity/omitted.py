"""The answer without each study in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.classical import Classical, classical
from bayesmeta.design import build_design
from bayesmeta.errors import FormulaError, ModelError, printable
from bayesmeta.fitting import fit as make_fit
from bayesmeta.sensitivity.kept import with_priors_of

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
