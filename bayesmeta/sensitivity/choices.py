"""The answer under other priors, one fit for each choice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.errors import PriorError
from bayesmeta.fitting import fit as make_fit
from bayesmeta.model import Model
from bayesmeta.priors import Prior, as_prior

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies


class PriorChoice(NamedTuple):
    """The answer under other priors."""

    tau: Prior
    """Prior of tau."""
    mu: Prior
    """Prior of mu."""
    fit: Fit
    """Posterior."""


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
