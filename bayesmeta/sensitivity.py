"""How far the answer depends on each study, and on the priors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.classical import Classical, classical
from bayesmeta.design import build_design
from bayesmeta.errors import FormulaError, ModelError, PriorError, printable
from bayesmeta.fitting import fit as make_fit
from bayesmeta.model import Model
from bayesmeta.priors import Prior, as_prior

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bayesmeta.problem import Problem
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


class PriorChoice(NamedTuple):
    """The answer under other priors."""

    tau: Prior
    """Prior of tau."""
    mu: Prior
    """Prior of mu."""
    fit: Fit
    """Posterior."""


def with_priors_of(fit: Fit | Problem) -> Model:
    """Return the model of a fit with its default priors written out, so that subsets of studies keep them.

    Design-dependent priors of tau stay families: they are bound to the studies of each subset.
    """
    priors, model = fit.priors, fit.model
    scale: dict[str, Any] = {} if model.is_common else {priors.tau_on: priors.tau}
    slopes = tuple(
        (name, prior)
        for name, prior, mean in zip(fit.design.names, priors.beta, fit.design.is_mean, strict=True)
        if not mean
    )
    return replace(model, mu=priors.mu, beta=slopes or None, **scale)


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


def prior_sensitivity(
    studies: Studies,
    model: Model | None = None,
    *,
    tau: Iterable[Prior | str] = (),
    mu: Iterable[Prior | str] = (),
    engine: str = "auto",
    seed: int | None = None,
    **options: Any,
) -> tuple[PriorChoice, ...]:
    """Return the answer under each combination of priors.

    Parameters
    ----------
    studies : Studies
        The studies.
    model : Model, optional
        The model whose priors are replaced.
    tau, mu : iterable of Prior or str
        Priors of tau and of mu; where one is empty, the model's own.
    engine, seed, **options
        As in `bayesmeta.fit`.

    Raises
    ------
    PriorError
        If a prior cannot be read.
    """
    for name, given in (("tau", tau), ("mu", mu)):
        if isinstance(given, str | Prior):
            raise PriorError(f"{name} must be a list of priors; got '{given}'; write ['{given}']")
    base, locations = Model() if model is None else model, [as_prior(prior) for prior in mu]
    scales = [replace(base, tau=as_prior(prior), tau2=None) for prior in tau] or [base]
    models = [replace(one, mu=prior) for one in scales for prior in locations] or scales
    fits = [make_fit(studies, one, engine=engine, seed=seed, **options) for one in models]
    return tuple(PriorChoice(one.priors.tau, one.priors.mu, one) for one in fits)
