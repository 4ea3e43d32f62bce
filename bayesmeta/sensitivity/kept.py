"""The problem that an analysis takes up, and the priors of a fit, kept for variants of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bayesmeta.errors import AnalysisError
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.fit import require_fit
from bayesmeta.studies import Studies

if TYPE_CHECKING:
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem
    from bayesmeta.results.fit import Fit


def posed(given: Fit | Studies, model: Model | None, who: str) -> Problem:
    """Return the problem of a fit, or a model posed on studies.

    Raises
    ------
    AnalysisError
        If it is neither, or a fit has a model beside it.
    """
    if isinstance(given, Studies):
        return pose(given, Model() if model is None else model)
    if model is not None:
        raise AnalysisError(f"{who} takes a model with studies alone; a fit has its own")
    require_fit(given, who)
    return given.problem


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
    return replace(model, mu=priors.mu, beta=slopes or None, delta=_deltas(fit), **scale)


def _deltas(fit: Fit | Problem) -> tuple[tuple[str, Prior], ...] | None:
    """Return the priors of the coefficients of scale, by name."""
    whole: Any = fit
    found = getattr(whole, "problem", whole).scale
    if found is None:
        return None
    slopes = [name for name, mean in zip(found.design.names, found.design.is_mean, strict=True) if not mean]
    return tuple(zip(slopes, found.deltas, strict=True)) or None
