"""Posteriors of the reviews of a batch: which are integrated together, which one by one, and their rows."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.effectsizes import find_measure
from bayesmeta.engines.many import Answers, Reviews, integrate_many
from bayesmeta.engines.many.values import QUANTITIES, STATISTICS
from bayesmeta.errors import BayesmetaError
from bayesmeta.fitting import fit
from bayesmeta.priors import AdaptivePrior, Flat, HalfNormal, Normal
from bayesmeta.priors.adaptive import Ratio
from bayesmeta.problem import default_mu, default_tau
from bayesmeta.results.averaged import numerical_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.model import Model
    from bayesmeta.priors import Prior
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

WIDTH = 4
"""Reviews are grouped by numbers of studies, rounded up to a multiple of this."""
LIMIT = 1e-8
"""Difference of two node sets above which a review is done on its own."""


@dataclass(frozen=True, eq=False)
class Posteriors:
    """Posteriors of R reviews.

    Attributes
    ----------
    names : tuple of str
        Names of the reviews.
    k : (R,) array
        Numbers of studies with an estimate.
    answers : Answers
        Statistics, NaN where there is no posterior.
    status : list of str
        ``"ok"``, or what is wrong with a review.
    better : str
        Direction that favours group 1.
    """

    names: tuple[str, ...]
    k: Ints
    answers: Answers
    status: list[str]
    better: str

    def columns(self, by: str) -> dict[str, Any]:
        """Return the columns of the table of results, that of the names being called `by`."""
        found: dict[str, Any] = {by: np.array(self.names, dtype=object), "k": self.k}
        for i, quantity in enumerate(QUANTITIES):
            for j, statistic in enumerate(STATISTICS):
                found[f"{quantity}_{statistic}"] = self.answers.table[:, i, j]
        above = self.answers.above_zero
        found["p_above_zero"] = above
        if self.better:
            found["p_benefit"] = above if self.better == "higher" else 1 - above
        rest = {"log_evidence": self.answers.log_evidence, "error": self.answers.error}
        return {**found, **rest, "status": np.array(self.status, dtype=object)}


class _Sorted(NamedTuple):
    """Studies in the order of their reviews."""

    y: Floats
    v: Floats
    numbers: Ints
    starts: Ints
    counts: Ints
    place: Ints
    scale: Floats


def posteriors(
    names: Sequence[str],
    made: Sequence[tuple[Studies | None, Ints, str]],
    model: Model,
    *,
    prob: float,
    better: str,
) -> Posteriors:
    """Return the posteriors of reviews.

    Parameters
    ----------
    names : sequence of str
        Names of the R reviews.
    made : sequence of (Studies or None, array, str)
        Studies with an estimate, the number of the review of each, and what is wrong with a review without.
    model : Model
        Priors.
    prob : float
        Probability of the intervals.
    better : str
        Direction that favours group 1.
    """
    count = len(names)
    empty = Answers(np.full((count, len(QUANTITIES), len(STATISTICS)), nan), *np.full((3, count), nan))
    status, k = ["no studies with an estimate"] * count, np.zeros(count, dtype=np.intp)
    for studies, numbers, fault in made:
        if studies is None:
            status[int(numbers[0])] = fault
            continue
        _fill(studies, numbers, model, prob, empty, status, k)
    return Posteriors(tuple(names), k, empty, status, better)


def _fill(
    studies: Studies,
    numbers: Ints,
    model: Model,
    prob: float,
    answers: Answers,
    status: list[str],
    k: Ints,
) -> None:
    """Write the posteriors of the reviews of some studies into their rows."""
    data = _sorted(studies, numbers)
    k[data.numbers] = data.counts
    together = _together(data, studies, model)
    tasks = [] if together is None else together.tasks()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = list(pool.map(lambda task: task.answers(prob), tasks))
    left = set(data.numbers.tolist())
    for task, answer in zip(tasks, found, strict=True):
        settled = answer.error <= LIMIT
        which = task.numbers[settled]
        for kept, values in zip(answers, answer.take(settled), strict=True):
            kept[which] = values
        left -= set(which.tolist())
    for number in np.sort(data.numbers).tolist():
        status[number] = "ok"
    for number in sorted(left):
        status[number] = answered_alone(studies.take(numbers == number), model, prob, answers, number)


def _sorted(studies: Studies, numbers: Ints) -> _Sorted:
    place = np.argsort(numbers, kind="stable")
    present, starts, counts = np.unique(numbers[place], return_index=True, return_counts=True)
    y, v = studies.yi[place], studies.vi[place]
    conventional = find_measure(studies.measure).default_scale
    if conventional is not None:
        scale = np.full(present.size, conventional)
    elif studies.ni is not None:
        scale = np.sqrt(np.add.reduceat(studies.ni[place], starts) / np.add.reduceat(1 / v, starts))
    else:
        scale = np.full(present.size, nan)
    return _Sorted(y, v, present, starts, counts, place, scale)


class _Task(NamedTuple):
    """Reviews with about the same number of studies."""

    numbers: Ints
    reviews: Reviews
    prior: Prior
    moments: Floats

    def answers(self, prob: float) -> Answers:
        return integrate_many(self.reviews, self.prior, moments=self.moments, prob=prob)


class _Together(NamedTuple):
    """Reviews that can be integrated together, with their priors."""

    data: _Sorted
    mean: Floats
    precision: Floats
    prior: Prior
    unit: Floats

    def tasks(self) -> list[_Task]:
        """Return a task for the reviews of about each number of studies whose posterior exists."""
        flat = int(np.all(self.precision == 0))
        moments = np.asarray(self.prior.tail + self.data.counts - flat - 1, dtype=np.float64)
        width = np.where(moments > 0, -(-self.data.counts // WIDTH) * WIDTH, 0)
        widths = np.unique(width[width > 0]).tolist()
        return [self._task(n, np.flatnonzero(width == n), moments) for n in widths]

    def _task(self, n: int, which: Ints, moments: Floats) -> _Task:
        place, k = np.arange(n), self.data.counts[which]
        rows = self.data.starts[which][:, None] + np.where(place < k[:, None], place, 0)
        own = (self.mean[which], self.precision[which], self.unit[which])
        reviews = Reviews(self.data.y[rows], self.data.v[rows], *own, k)
        return _Task(self.data.numbers[which], reviews, self.prior, moments[which])


def _together(data: _Sorted, studies: Studies, model: Model) -> _Together | None:
    """Return the reviews with their priors, or None if the priors do not allow it."""
    if model.is_common or model.tau2 is not None:
        return None
    mu, tau = model.mu, model.tau
    if mu is None:
        mu = default_mu(studies)
    if tau is None:
        default_tau(studies)
        tau, unit = HalfNormal(1), data.scale / 4
    else:
        tau, unit = _common(tau, data)  # type: ignore[arg-type]
    if not tau.smooth or not isinstance(mu, Normal | Flat):
        return None
    ones = np.ones(data.numbers.size)
    if isinstance(mu, Flat):
        return _Together(data, 0 * ones, 0 * ones, tau, unit)
    sigma = data.scale if model.mu is None else mu.sigma * ones
    return _Together(data, mu.mu * ones, sigma**-2.0, tau, unit)


def _common(tau: Prior, data: _Sorted) -> tuple[Prior, Floats]:
    """Return the prior of tau in a unit of its own for each review; design-dependent ones are bound."""
    if not isinstance(tau, AdaptivePrior):
        return tau, np.ones(data.numbers.size)
    ends = data.starts + data.counts
    small = data.counts.min() < 2
    bound = [] if small else [tau.bind(data.v[a:b]) for a, b in zip(data.starts, ends, strict=True)]
    if not bound or not all(isinstance(one, Ratio) for one in bound):
        return tau, np.ones(data.numbers.size)
    first = bound[0]
    unit = np.array([one.s0 for one in bound])  # type: ignore[attr-defined]
    return Ratio(str(first), 1.0, first.power), unit  # type: ignore[attr-defined]


def answered_alone(studies: Studies, model: Model, prob: float, answers: Answers, number: int) -> str:
    """Write the posterior of one review into its row; return its status."""
    try:
        found = fit(studies, model, engine="exact")
        answers.table[number] = _statistics(found, prob)
    except BayesmetaError as error:
        return "; ".join(error.messages)
    answers.above_zero[number] = found.probability("mu > 0")
    answers.log_evidence[number] = found.log_evidence
    answers.error[number] = numerical_error(found.posterior)
    return "ok"


def _statistics(found: Fit, prob: float) -> Floats:
    """Return the (4, 5) statistics of a fit; NaN for I2 of a single study."""
    rows = []
    for name in QUANTITIES:
        if name == "I2" and found.problem.k < 2:
            rows.append(np.full(len(STATISTICS), nan))
            continue
        row = found.quantity(name, prob=prob)
        rows.append(np.array([row[statistic] for statistic in STATISTICS]))
    return np.stack(rows)
