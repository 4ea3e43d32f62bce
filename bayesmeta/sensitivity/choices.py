"""The answer under other priors: the door to the atlas, and the path along the scale of one prior."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.engines.surface import scale_of, why_not
from bayesmeta.errors import ModelError, PriorError, is_one_of, told
from bayesmeta.fitting import check_options
from bayesmeta.model import Model
from bayesmeta.priors import Normal, Prior, as_prior
from bayesmeta.problem import check_posable, pose
from bayesmeta.results.fit import require_fit
from bayesmeta.results.marginal import check_interval
from bayesmeta.sensitivity.atlas import PriorAtlas, PriorChoice
from bayesmeta.sensitivity.family import PriorFamily, default_family
from bayesmeta.sensitivity.kept import with_priors_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.problem import Problem
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

__all__ = ["PriorAtlas", "PriorChoice", "prior_path", "prior_sensitivity"]

PATH_REACH = 16.0
MOST_REACH = 1e100
"""Bound of the reach, above which scales would be no numbers."""
PATH_STEPS = 65


def prior_sensitivity(
    studies: Studies,
    model: Model | None = None,
    *,
    tau: Iterable[Prior | str] | None = None,
    mu: Iterable[Prior | str] | None = None,
    mid: float | None = None,
    prob: float = 0.95,
    engine: str = "auto",
    seed: int | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> PriorAtlas:
    """Return the answer under each combination of priors, as a table, ranges, arrays, or complete fits.

    Parameters
    ----------
    studies : Studies
        The studies.
    model : Model, optional
        The model whose priors are replaced.
    tau, mu : iterable of Prior or str, optional
        Priors of tau and of mu. Where one is left out the model's own is kept; where both are, a default
        family of 40 priors of tau and 25 of mu around the default priors is used (Notes).
    mid : float, optional
        Minimal important difference on the analysis scale, above 0.
    prob : float
        Level of the equal-tailed intervals.
    engine, seed, report, **options
        As in `bayesmeta.fit`, for complete fits, and for all numbers where the model is not integrated.

    Returns
    -------
    PriorAtlas
        `table` has a row for each combination, the priors of mu running fastest; iterating gives a
        `PriorChoice` each, with ``tau``, ``mu`` and ``fit``, which is made when asked for.

    Raises
    ------
    PriorError
        If a prior cannot be read, or the default family has no scale.
    ModelError
        If the model does not fit the studies, or the default family would have to be sampled.

    Notes
    -----
    Half-normal, half-t (4 degrees of freedom), exponential and half-Cauchy priors of tau, each with ten
    scales; the half-normal ones are u / 4 times 2^-2.5 to 2^2 (u / 4 is the default), the others have the
    same medians. For mu Normal(0, s) with s from u / 16 to 4 u. u is the size of a large effect for the
    measure.

    Examples
    --------
    >>> from bayesmeta.studies import Studies
    >>> studies = Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.1, 0.2], measure="SMD")
    >>> prior_sensitivity(studies)
    <PriorAtlas: 40 priors of tau x 25 of mu, the default family>
    >>> float(prior_sensitivity(studies, tau=["HalfNormal(0.5)"]).table()["p_benefit"][0].round(3))
    0.925
    """
    base = Model() if model is None else model
    check_posable(studies, base)
    check_options(engine, options)
    check_interval(prob, "eti")
    if mid is not None and not strictly_between(mid, 0, inf):
        raise PriorError(f"mid must be a positive number, the minimal important difference; got {told(mid)}")
    default = tau is None and mu is None
    family = default_family(studies, base) if default else PriorFamily(_read("tau", tau), _read("mu", mu))
    shared = {"engine": engine, "seed": seed, "report": report, **options}
    scales = _with_priors_of_tau(base, family)
    problem = _posed(studies, base, family)
    atlas = PriorAtlas(studies, base, problem, scales, *family, mid, prob, default, shared)
    reason = why_not(atlas.problem) if default else ""
    if reason:
        raise ModelError(
            f"the default family has {len(atlas):,} combinations of priors, too many to sample {reason}; "
            "give a few in tau = [...] and mu = [...]"
        )
    return atlas


def _read(name: str, given: Iterable[Prior | str] | None) -> tuple[Prior, ...]:
    if isinstance(given, str | Prior):
        raise PriorError(f"{name} must be a list of priors; got '{given}'; write ['{given}']")
    if given is not None and not isinstance(given, Iterable):
        raise PriorError(
            f"{name} must be a list of priors; got {told(given)}; write ['HalfNormal(0.5)'] or the like"
        )
    return () if given is None else tuple(as_prior(prior) for prior in given)


def _with_priors_of_tau(model: Model, family: PriorFamily) -> tuple[Model, ...]:
    """Return the model with each prior of tau; priors that do not fit are refused, those of mu too."""
    for prior in family.mu:
        model = replace(model, mu=prior)
    return tuple(replace(model, tau=prior, tau2=None) for prior in family.tau) or (model,)


def _posed(studies: Studies, model: Model, family: PriorFamily) -> Problem:
    """Return the model posed on the studies; priors that are replaced anyway need no default."""
    if family.tau and model.tau is None and model.tau2 is None:
        model = replace(model, tau=family.tau[0])
    if family.mu and model.mu is None:
        model = replace(model, mu=family.mu[0])
    return pose(studies, model)


def prior_path(
    fit: Fit, which: str = "tau", *, mid: float | None = None, prob: float = 0.95, reach: float = PATH_REACH
) -> PriorAtlas:
    """Return the answers along the scale of one prior of a fit, the other prior as it is.

    Parameters
    ----------
    fit : Fit
        The answer under the chosen priors.
    which : {"tau", "mu"}
        Which prior is varied: that of tau within its family, or the standard deviation of a normal prior.
    mid, prob
        As in `prior_sensitivity`.
    reach : float
        Largest factor by which the scale is multiplied and divided.

    Raises
    ------
    PriorError
        If the prior has no scale, or `reach` is no factor above 1.
    """
    require_fit(fit, "prior_path")
    if not strictly_between(reach, 1, MOST_REACH):
        raise PriorError(f"reach must be a factor above 1, such as 16; got {told(reach)}")
    scale = path_scale(fit, which)
    factors = reach ** np.linspace(-1.0, 1.0, PATH_STEPS)
    prior = fit.priors.tau if which == "tau" else fit.priors.mu
    if which == "tau":
        priors = [prior.rescaled(float(1 / factor)) for factor in factors]
        return prior_sensitivity(fit.studies, with_priors_of(fit), tau=priors, mid=mid, prob=prob)
    assert isinstance(prior, Normal)  # noqa: S101 - path_scale has seen to it
    normal = [Normal(prior.mu, float(scale * factor)) for factor in factors]
    return prior_sensitivity(fit.studies, with_priors_of(fit), mu=normal, mid=mid, prob=prob)


def path_scale(fit: Fit, which: str) -> float:
    """Return the scale of the prior of tau or of mu.

    Raises
    ------
    PriorError
        If it has none.
    """
    if not is_one_of(which, {"tau", "mu"}):
        raise PriorError(f"which must be 'tau' or 'mu'; got {told(which)}")
    prior = fit.priors.tau if which == "tau" else fit.priors.mu
    if which == "mu" and isinstance(prior, Normal):
        return prior.sigma
    if which == "tau" and fit.priors.tau_on != "tau":
        raise PriorError(
            f"the scale of a prior of tau2 is not varied; got {prior}; give a prior of tau instead"
        )
    named = [*prior.in_units, *prior.in_inverse_units]
    if which == "mu" or len(named) != 1:
        family = "Normal" if which == "mu" else "HalfNormal, HalfCauchy or Exponential"
        raise PriorError(f"{prior} as the prior of {which} has no single scale to vary; use {family}")
    return scale_of(prior)
