"""The family of priors under which an answer is shown where nobody names others."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.engines.surface import scale_of
from bayesmeta.errors import PriorError
from bayesmeta.priors import Exponential, Flat, HalfCauchy, HalfNormal, HalfStudentT, Normal
from bayesmeta.problem import default_mu, prior_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.model import Model
    from bayesmeta.priors import Prior
    from bayesmeta.studies import Studies

TAU_STEPS = np.linspace(-2.5, 2.0, 10)
"""Powers of 2 by which the scale of the default prior of tau is multiplied."""
MU_STEPS = np.linspace(-4.0, 2.0, 25)
"""Powers of 2 by which the standard deviation of the default prior of mu is multiplied."""
HALF_NORMAL_MEDIAN = 0.6744897501960817
T4_MEDIAN = 0.7406970841126829
"""Upper quartiles of the normal distribution and of t with 4 degrees of freedom."""

BY_MEDIAN: tuple[Callable[[float], Prior], ...] = (
    lambda median: HalfNormal(_short(median / HALF_NORMAL_MEDIAN)),
    lambda median: HalfStudentT(nu=4, sigma=_short(median / T4_MEDIAN)),
    lambda median: Exponential(_short(log(2) / median)),
    lambda median: HalfCauchy(_short(median)),
)
"""Families of priors of tau by their medians, from the lightest tail to the heaviest."""


class PriorFamily(NamedTuple):
    """Priors to combine."""

    tau: tuple[Prior, ...]
    """Priors of tau; none where tau is known."""
    mu: tuple[Prior, ...]
    """Priors of mu."""


def default_family(studies: Studies, model: Model) -> PriorFamily:
    """Return 40 priors of tau and 25 of mu around the default ones.

    Parameters
    ----------
    studies : Studies
        Studies, whose measure and sample sizes give the size u of a large effect.
    model : Model
        Where u is unknown, its priors say what is typical.

    Raises
    ------
    PriorError
        If u is unknown and the model leaves a prior to the default.

    Notes
    -----
    For tau half-normal, half-t (4 degrees of freedom), exponential and half-Cauchy priors, each with ten
    scales: the half-normal scales are u / 4 times 2^-2.5 to 2^2, the others have the same medians. For mu
    Normal(0, s) with s from u / 16, which doubts any large effect, to 4 u, which hardly says anything. Scales
    are rounded to three digits. Measures without a value for "no effect" keep their flat prior of mu.
    """
    tau_scale, mu_scale = _scales(studies, model)
    medians = HALF_NORMAL_MEDIAN * tau_scale * 2.0**TAU_STEPS
    tau = tuple(family(float(median)) for family in BY_MEDIAN for median in medians)
    if isinstance(model.mu if model.mu is not None else default_mu(studies), Flat) and _has_no_null(studies):
        return PriorFamily(() if model.is_common else tau, (Flat(),))
    mu = tuple(Normal(0, _short(mu_scale * step)) for step in 2.0**MU_STEPS)
    return PriorFamily(() if model.is_common else tau, mu)


def _scales(studies: Studies, model: Model) -> tuple[float, float]:
    """Return the scale of a half-normal prior of tau and the sd of one of mu, around which the family is."""
    try:
        u = prior_scale(studies, wanted="mu")
    except PriorError:
        tau, mu = model.tau, model.mu
        if tau is None or not isinstance(mu, Normal) or scale_of(tau) == 1:  # type: ignore[arg-type]
            raise
        return scale_of(tau), mu.sigma  # type: ignore[arg-type]
    return u / 4, u


def _has_no_null(studies: Studies) -> bool:
    return isinstance(default_mu(studies), Flat)


def _short(value: float) -> float:
    """Return a number rounded to three digits, which prints short."""
    return float(f"{value:.3g}")
