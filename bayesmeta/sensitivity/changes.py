"""What can change before a decision tips: priors, one effect, a new study, a common bias."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.effectsizes import find_measure
from bayesmeta.engines.surface import (
    Added,
    Choices,
    Densities,
    VariantLikelihood,
    likelihood_of,
    location_priors,
    probabilities,
    surface_of,
    why_not,
)
from bayesmeta.errors import AnalysisError, PriorError
from bayesmeta.priors import Fixed, Flat, Normal
from bayesmeta.sensitivity.choices import path_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.engines.surface import Surface
    from bayesmeta.priors import Prior
    from bayesmeta.results.fit import Fit

OCTAVES = 10
"""Powers of 2 by which the scale of a prior is multiplied and divided at most."""
NEAREST, FARTHEST = 0.01, 100.0
"""Typical distances by which an effect is changed at least and at most."""
FARTHEST_LIMIT = 1e6
"""Ranges of the effects, and their largest standard error, within which the limit of a statement must be."""
POINTS = 80
"""Points of a curve to each side."""
LARGEST_NULL, SMALLEST_NULL = 300.0, 0.01
"""Standard errors of a new study, in those of the least and the most precise of the others."""
MOST = 4_000
"""Variants of the data taken at once."""


@dataclass(frozen=True, eq=False)
class Question:
    """The probability of a statement under variants of priors and data.

    Attributes
    ----------
    fit : Fit
        The answer.
    new : bool
        Whether it is about the effect in a new study, not about the mean effect.
    above : bool
        Whether it says that the quantity is above the limit, not below.
    limit : float
        The limit.
    """

    fit: Fit
    new: bool
    above: bool
    limit: float

    def __post_init__(self) -> None:
        problem = self.fit.problem
        reason = why_not(problem)
        if reason or not problem.is_pooled:
            what = reason or f"moderators '{problem.model.mods}'"
            raise AnalysisError(
                f"tipping points are for one mean effect by the normal likelihood; got {what}"
            )
        if not isinstance(problem.priors.mu, Normal | Flat):
            raise AnalysisError(
                f"tipping points need a normal or flat prior of mu; got {problem.priors.mu}; use Normal"
            )
        if any(isinstance(part, Fixed) for _, part in self.tau.parts):
            raise AnalysisError(
                f"tipping points need a prior of tau with a density; got {problem.priors.tau}"
            )

        reach = FARTHEST_LIMIT * (float(np.ptp(self.y)) + float(np.sqrt(self.v.max())))
        if not abs(self.limit - self.centre) <= reach:
            raise AnalysisError(
                f"the limit of the statement must be within {reach:.3g} of the effects, whose median is "
                f"{self.centre:.3g}; got {self.limit:g}; is it in their units?"
            )

    @property
    def tau(self) -> Prior:
        """Density of tau."""
        return self.fit.problem.priors.tau_density

    @property
    def mu(self) -> Prior:
        """Prior of mu."""
        return self.fit.problem.priors.mu

    @property
    def y(self) -> Floats:
        """(k,) effects."""
        return self.fit.problem.y

    @property
    def v(self) -> Floats:
        """(k,) sampling variances."""
        return self.fit.problem.v

    @cached_property
    def _present(self) -> Surface:
        choices = Choices(Densities((self.tau,)), location_priors([self.mu]))
        return surface_of(likelihood_of(self.fit.problem), choices)

    @cached_property
    def now(self) -> float:
        """Probability as things are."""
        return float(self._stated(self._present)[0, 0])

    @property
    def typical(self) -> float:
        """Standard deviation of mu, or ten times that under tau = 0 where a heavy tail makes it huge."""
        sd = float(np.sqrt(self._present.variance[0, 0]))
        precise = 1 / np.sqrt(np.sum(1 / self.v))
        return float(min(sd, 10 * precise)) if sd > 0 else float(precise)

    @property
    def centre(self) -> float:
        """Value from which variants are counted: the median effect."""
        return float(np.median(self.y))

    def under(self, tau: list[Prior], mu: list[Prior]) -> Floats:
        """Return the (A, B) probabilities under other priors."""
        choices = Choices(Densities(tuple(tau)), location_priors(mu))
        return self._stated(surface_of(likelihood_of(self.fit.problem), choices))

    def with_data(self, y: Floats, added: Added | None = None) -> Floats:
        """Return the (n,) probabilities with effects (k, n), counted from the centre, or one more study."""
        choices = Choices(Densities((self.tau,)), location_priors([self.mu]))
        return self._stated(surface_of(VariantLikelihood(y, self.v, self.centre, added), choices)).ravel()

    def _stated(self, surface: Surface) -> Floats:
        above = probabilities(surface, self.limit, new=self.new)
        return np.asarray(np.where(surface.settled, above if self.above else 1 - above, nan))


class Change(NamedTuple):
    """A change of one of n quantities."""

    names: tuple[str, ...]
    """What changes."""
    present: Floats
    """(n,) values as they are; infinite where there is none yet."""
    start: Floats
    """(n,) finite values at which the probability is that of now."""
    units: Floats
    """(n,) standard errors in which changes may be told; NaN where they may not."""
    paths: tuple[Floats, ...]
    """Values (n, m) from the present one outwards."""
    logarithmic: bool
    """Whether the nearest value is that with the smallest ratio, not the smallest difference."""
    probability: Callable[[Floats, Ints], Floats]
    """Returns the (m,) probabilities where quantities (m,) have values (m,): values first, then which."""
    why_not: str = ""
    """Why it cannot change; empty if it can."""

    def distance(self, x: Floats) -> Floats:
        """Return how far values (..., n) are from the present ones."""
        if not self.logarithmic:
            return np.asarray(np.abs(x - self.start))
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(np.log(x / self.start)))


def _scale(
    name: str,
    present: float,
    start: float,
    paths: tuple[Floats, ...],
    probability: Callable[[Floats], Floats],
) -> Change:
    """Return a change of one positive quantity."""
    rows = tuple(path[None, :] for path in paths)

    def of_one(x: Floats, which: Ints) -> Floats:  # noqa: ARG001 - there is one
        return probability(x)

    return Change((name,), np.array([present]), np.array([start]), np.array([nan]), rows, True, of_one)


def _octaves(start: float) -> tuple[Floats, ...]:
    powers = np.linspace(0, OCTAVES, POINTS + 1)[1:]
    return start * 2.0**powers, start * 2.0**-powers


def of_tau_scale(question: Question) -> Change:
    """Return the change of the scale of the prior of tau, its family being kept."""
    prior, name = question.fit.priors.tau, "scale of the prior of tau"
    try:
        present = path_scale(question.fit, "tau")
    except PriorError as error:
        nothing = _scale(name, nan, nan, (), lambda x: x)
        return nothing._replace(why_not=str(error))

    def probability(x: Floats) -> Floats:
        priors = [prior.rescaled(float(present / scale)) for scale in x]
        return question.under(priors, [question.mu]).ravel()

    return _scale(name, present, present, _octaves(present), probability)


def of_mu_scale(question: Question) -> Change:
    """Return the change of the standard deviation of the prior of mu; for a flat one it is infinite."""
    prior, name = question.mu, "standard deviation of the prior of mu"
    mean = prior.mu if isinstance(prior, Normal) else 0.0

    def probability(x: Floats) -> Floats:
        return question.under([question.tau], [Normal(mean, float(sd)) for sd in x]).ravel()

    if isinstance(prior, Normal):
        return _scale(name, prior.sigma, prior.sigma, _octaves(prior.sigma), probability)
    widest = 2.0**OCTAVES * (question.typical + abs(question.centre - mean))
    narrower = widest * 2.0 ** -np.linspace(0, 2 * OCTAVES, 2 * POINTS)
    return _scale(name, inf, 4 * widest, (narrower,), probability)


def of_effects(question: Question) -> Change:
    """Return the changes of the effect of each study, the others being as they are."""
    se, centre = np.sqrt(question.v), question.centre
    far = np.geomspace(NEAREST, FARTHEST, POINTS) * np.hypot(se, question.typical)[:, None]
    paths = tuple(question.y[:, None] + sign * far for sign in (1, -1))

    def probability(x: Floats, which: Ints) -> Floats:
        parts = [slice(begin, begin + MOST) for begin in range(0, x.size, MOST)]
        return np.concatenate([changed(x[part], which[part]) for part in parts])

    def changed(x: Floats, which: Ints) -> Floats:
        y = np.repeat(question.y[:, None] - centre, x.size, axis=1)
        y[which, np.arange(x.size)] = x - centre
        return question.with_data(y)

    names = tuple(f"effect of {label}" for label in question.fit.problem.studies.slab)
    return Change(names, question.y, question.y, se, paths, False, probability)


def of_null_study(question: Question) -> Change:
    """Return the change of the standard error of a new study whose effect is 0; none is an infinite one."""
    name, centre = "standard error of a new study with effect 0", question.centre
    largest = LARGEST_NULL * float(np.sqrt(question.v.max()))
    smallest = SMALLEST_NULL * float(np.sqrt(question.v.min()))

    def probability(x: Floats) -> Floats:
        added = Added(np.full(x.size, -centre), x * x)
        return question.with_data(question.y[:, None] - centre, added)

    change = _scale(name, inf, 4 * largest, (np.geomspace(largest, smallest, 2 * POINTS),), probability)
    reason = "no value of this measure stands for no effect"
    return change._replace(why_not="" if _has_null(question) else reason)


def of_bias(question: Question) -> Change:
    """Return the change of an amount subtracted from the effect of every study."""
    reach = 10 * question.typical + 2 * abs(question.centre - question.limit)
    far, zero = reach * np.geomspace(1e-4, 1.0, POINTS), np.zeros(1)

    def probability(x: Floats, which: Ints) -> Floats:  # noqa: ARG001 - there is one
        return question.with_data(question.y[:, None] - question.centre - x)

    paths = far[None, :], -far[None, :]
    return Change(("bias of every study",), zero, zero, np.array([nan]), paths, False, probability)


def _has_null(question: Question) -> bool:
    measure = find_measure(question.fit.studies.measure)
    return measure.groups > 1 or measure.kind == "correlation"
