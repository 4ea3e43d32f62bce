"""Answers from subsets of the studies, thousands of them in one call: leave-out, cumulative, GOSH.

Subsets of about the same size are integrated together (`bayesmeta.engines.many`); the few that do not settle,
and all of them under a prior that allows no common nodes, go one by one. The priors are those of all studies;
design-dependent priors of tau are bound to the studies of each subset.

References
----------
Olkin I, Dahabreh IJ, Trikalinos TA (2012). GOSH - a graphical display of study heterogeneity. Res Synth
Methods 3:214-223. doi:10.1002/jrsm.1053
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import inf, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.arrays import is_whole, readonly
from bayesmeta.batch_posterior import LIMIT, WIDTH, answered_alone
from bayesmeta.engines.many import MOST_REVIEWS, Answers, Reviews, integrate_many
from bayesmeta.engines.many.values import QUANTITIES, STATISTICS
from bayesmeta.errors import AnalysisError, ModelError, is_one_of, printable, suggest, told
from bayesmeta.fitting import fit as make_fit
from bayesmeta.model import Model
from bayesmeta.priors import AdaptivePrior, Flat, Normal
from bayesmeta.priors.adaptive import Ratio
from bayesmeta.problem import pose
from bayesmeta.properness import flat_coefficients
from bayesmeta.results.marginal import check_interval
from bayesmeta.sensitivity.kept import with_priors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from bayesmeta.arrays import Bools, Floats, Ints
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

MOST = 1_000_000
"""Subsets that `gosh` looks at unless told otherwise."""


@dataclass(frozen=True, eq=False, repr=False)
class Subsets:
    """Posteriors from R subsets of k studies.

    Attributes
    ----------
    studies : Studies
        The k studies that take part.
    model : Model
        What is assumed, with the priors of all studies written out.
    included : (R, k) array of bool
        Which studies are in each subset.
    answers : Answers
        Statistics of mu, tau, theta_new and I2 (percent), probability of mu > 0, log evidence, error.
    status : mapping
        What is wrong with a subset, by its row; those that are missing are well.
    prob : float
        Probability of the equal-tailed intervals.
    names : tuple of str
        Names of the subsets; empty where they are numbered.
    axis : str
        What the names are.
    """

    studies: Studies
    model: Model
    included: Bools
    answers: Answers
    status: Mapping[int, str]
    prob: float
    names: tuple[str, ...] = ()
    axis: str = field(default="subset")

    def __repr__(self) -> str:
        return f"<Subsets: {len(self)} of {self.studies.k} studies>"

    def __len__(self) -> int:
        return int(self.included.shape[0])

    @property
    def k(self) -> Ints:
        """(R,) numbers of studies."""
        return np.asarray(self.included.sum(axis=1))

    def of(self, quantity: str, statistic: str = "median") -> Floats:
        """Return one statistic of one quantity in all subsets, shape (R,).

        Parameters
        ----------
        quantity : {"mu", "tau", "theta_new", "I2"}
            I2 in percent.
        statistic : {"mean", "sd", "median", "lower", "upper"}
            NaN where it does not exist.
        """
        for value, known in ((quantity, QUANTITIES), (statistic, STATISTICS)):
            if not is_one_of(value, known):
                hint = suggest(value, known) or f"; there are {', '.join(known)}"
                raise AnalysisError(f"subsets have no '{printable(value)}'{hint}")
        return self.answers.of(quantity, statistic)

    def containing(self, label: str) -> Bools:
        """Return which subsets contain the study of a label, shape (R,)."""
        if not is_one_of(label, self.studies.slab):
            hint = suggest(label, self.studies.slab) or f"; the first is '{printable(self.studies.slab[0])}'"
            raise AnalysisError(f"there is no study '{printable(label)}'{hint}")
        return np.asarray(self.included[:, self.studies.slab.index(label)])

    def fit(self, row: int) -> Fit:
        """Return the full answer from the subset in a row, counted from 0."""
        if not is_whole(row, 0, len(self.included) - 1):
            raise AnalysisError(f"row must be from 0 to {len(self.included) - 1}; got {told(row)}")
        return make_fit(self.studies.take(self.included[row]), self.model)

    def table(self) -> pd.DataFrame:
        """Return a row for each subset.

        Returns
        -------
        DataFrame
            ``k``; for each of ``mu tau theta_new I2`` its ``mean sd median lower upper`` (``mu_mean`` and so
            on) on the analysis scale, NaN where one does not exist; ``p_above_zero`` and, where the studies
            say which direction is better, ``p_benefit``; ``log_evidence``; ``error``; ``status``, ``"ok"`` or
            what is wrong with a subset.
        """
        import pandas as pd

        columns: dict[str, Any] = {"k": self.k}
        for i, quantity in enumerate(QUANTITIES):
            columns |= {f"{quantity}_{one}": self.answers.table[:, i, j] for j, one in enumerate(STATISTICS)}
        above = self.answers.above_zero
        columns["p_above_zero"] = above
        if self.studies.better:
            columns["p_benefit"] = above if self.studies.better == "higher" else 1 - above
        status = np.full(len(self), "ok", dtype=object)
        for row, text in self.status.items():
            status[row] = text
        columns |= {"log_evidence": self.answers.log_evidence, "error": self.answers.error, "status": status}
        index = pd.Index(self.names or np.arange(len(self)), name=self.axis)
        return pd.DataFrame(columns, index=index)


def gosh(
    studies: Studies,
    model: Model | None = None,
    *,
    least: int = 1,
    most: int = MOST,
    seed: int | None = None,
    prob: float = 0.95,
    report: Report | None = None,
) -> Subsets:
    """Return the exact posterior from every subset of the studies, or from many that are drawn.

    Parameters
    ----------
    studies : Studies
        The k studies.
    model : Model, optional
        Priors; without moderators, with the normal likelihood.
    least : int
        Studies that a subset has at least.
    most : int
        Subsets. Where there are no more (k up to 19), all of them are taken, in the order of the binary
        numbers whose digits, from the last, stand for the studies; otherwise so many different ones are
        drawn, each subset having the same chance. The time grows with their number and with k: a million of
        them take a minute for 30 studies, and minutes for 200; 65,536 take a fifteenth of that.
    seed : int, optional
        Seed of the drawing.
    prob : float
        Probability of the intervals.
    report : callable, optional
        Called with the numbers of subsets done and of all of them, for a progress bar.

    Raises
    ------
    AnalysisError
        If an option is wrong.
    ModelError
        If the model has moderators or another likelihood.

    References
    ----------
    Olkin I, Dahabreh IJ, Trikalinos TA (2012). GOSH - a graphical display of study heterogeneity. Res Synth
    Methods 3:214-223. doi:10.1002/jrsm.1053

    Examples
    --------
    >>> from bayesmeta.studies import Studies
    >>> studies = Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.1, 0.2])
    >>> every = gosh(studies, Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    >>> len(every), every.k.tolist()
    (7, [1, 1, 2, 1, 2, 2, 3])
    """
    problem = pose(studies, Model() if model is None else model)
    k = problem.k
    if not is_whole(least, 1, k):
        raise AnalysisError(f"least must be a number of studies from 1 to {k}; got {told(least)}")
    if not is_whole(most, 1, inf):
        raise AnalysisError(f"most must be a number of subsets above 0; got {told(most)}")
    if seed is not None and not is_whole(seed, 0, inf):
        raise AnalysisError(f"seed must be a whole number from 0; got {told(seed)}")
    number = _number_of_subsets(k, least)
    if number <= most:
        return subsets(problem, _every(k, least), prob=prob, report=report)
    rng = np.random.default_rng(seed)
    return subsets(problem, _drawn(k, least, most, rng), prob=prob, report=report)


def _number_of_subsets(k: int, least: int) -> int:
    from math import comb

    return int(2**k - sum(comb(k, size) for size in range(least)))


def _every(k: int, least: int) -> Bools:
    """Return all subsets with at least so many of k studies, (R, k)."""
    numbers = np.arange(1, 2**k, dtype=np.int64)
    included = (numbers[:, None] >> np.arange(k)) & 1 == 1
    return np.asarray(included[included.sum(axis=1) >= least])


def _drawn(k: int, least: int, most: int, rng: np.random.Generator) -> Bools:
    """Return different subsets with at least so many of k studies, (most, k), drawn uniformly."""
    packed = np.zeros((0, -(-k // 8)), dtype=np.uint8)
    used = np.packbits(np.ones(k, dtype=bool))
    while packed.shape[0] < most:
        more = rng.integers(256, size=(most, used.size), dtype=np.uint8) & used
        enough = np.bitwise_count(more).sum(axis=1) >= least
        packed = np.concatenate([packed, more[enough]])
        _, first = np.unique(packed, axis=0, return_index=True)
        packed = packed[np.sort(first)]
    return np.unpackbits(packed[:most], axis=1, count=k).astype(bool)


def require_pooled(problem: Problem, who: str) -> None:
    """Refuse a model with moderators, another likelihood, or more than one tau.

    Raises
    ------
    ModelError
        With what stands in the way.
    """
    model = problem.model
    given = {"mods": (model.mods.strip(), "1"), "likelihood": (model.likelihood, "normal")}
    given["scale"] = (model.scale.strip(), "1")
    for name, (value, wanted) in given.items():
        if value != wanted:
            raise ModelError(f"{who} takes {name} '{wanted}' alone; got {name} '{value}'")


def subsets(
    problem: Problem,
    included: Bools,
    *,
    prob: float = 0.95,
    names: Sequence[str] = (),
    axis: str = "subset",
    report: Report | None = None,
) -> Subsets:
    """Return the posteriors from subsets of the studies of a problem.

    Parameters
    ----------
    problem : Problem
        All studies, and the model whose priors are kept.
    included : (R, k) array of bool
        Which studies are in each subset, at least one.
    prob : float
        Probability of the intervals.
    names : sequence of str
        Names of the subsets.
    axis : str
        What the names are.
    report : callable, optional
        Called with the numbers of subsets done and of all of them.
    """
    require_pooled(problem, "an analysis of subsets")
    check_interval(prob, "eti")
    count = included.shape[0]
    answers = Answers(np.full((count, len(QUANTITIES), len(STATISTICS)), nan), *np.full((3, count), nan))
    left = _together(problem, included, prob, answers, report)
    model, status = with_priors_of(problem), {}
    for row in left.tolist():
        text = answered_alone(problem.studies.take(included[row]), model, prob, answers, row)
        if text != "ok":
            status[row] = text
    if report is not None and left.size:
        report(count, count)
    kept = Answers(*(readonly(part) for part in answers))
    chosen = included.copy()
    chosen.flags.writeable = False
    return Subsets(problem.studies, model, chosen, kept, status, prob, tuple(names), axis)


type Report = Callable[[int, int], None]
"""Told how many subsets are done, and how many there are."""


class _Group(NamedTuple):
    """Subsets of about the same size."""

    rows: Ints
    """Their rows."""
    width: int
    """Size to which they are filled up."""


def _together(
    problem: Problem, included: Bools, prob: float, answers: Answers, report: Report | None
) -> Ints:
    """Write the answers of the subsets that can be integrated together; return the rows that are left."""
    left = np.ones(included.shape[0], dtype=bool)
    moments = _moments(problem, included)

    def found(group: _Group) -> Answers:
        reviews, prior = _reviews(problem, included[group.rows], group.width)
        return integrate_many(reviews, prior, moments=moments[group.rows], prob=prob)

    groups, done = _groups(problem, included, moments), 0
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for group, answer in zip(groups, pool.map(found, groups), strict=True):
            settled = answer.error <= LIMIT
            which = group.rows[settled]
            for kept, values in zip(answers, answer.take(settled), strict=True):
                kept[which] = values
            left[which] = False
            done += group.rows.size
            if report is not None:
                report(done, included.shape[0])
    return np.flatnonzero(left)


def _moments(problem: Problem, included: Bools) -> Floats:
    """Return the bounds below which the orders of existing moments of tau lie, (R,)."""
    tail = problem.priors.tau_density.tail - flat_coefficients(problem) - 1.0
    return np.asarray(tail + included.sum(axis=1), dtype=np.float64)


def _groups(problem: Problem, included: Bools, moments: Floats) -> list[_Group]:
    """Return the subsets in groups; without those whose posterior does not exist or must be alone."""
    mu, tau = problem.priors.beta[0], problem.priors.tau
    if not problem.priors.tau_density.smooth or not isinstance(mu, Normal | Flat) or problem.model.is_common:
        return []
    size = included.sum(axis=1)
    usable = (moments > 0) & (size >= (2 if isinstance(tau, AdaptivePrior) else 1))
    width = np.where(usable, -(-size // WIDTH) * WIDTH, 0)
    groups = []
    for n in np.unique(width[width > 0]).tolist():
        which = np.flatnonzero(width == n)
        parts = range(0, which.size, MOST_REVIEWS)
        groups += [_Group(which[first : first + MOST_REVIEWS], n) for first in parts]
    return groups


def _reviews(problem: Problem, chosen: Bools, width: int) -> tuple[Reviews, Prior]:
    """Return subsets (R, k) as reviews of `width` studies, and the prior of tau."""
    size = chosen.sum(axis=1)
    order = np.argsort(~chosen, axis=1, kind="stable")[:, : min(width, problem.k)]
    order = np.where(np.arange(order.shape[1]) < size[:, None], order, order[:, :1])
    mu, ones = problem.priors.beta[0], np.ones(size.size)
    mean, sd = (mu.mu, mu.sigma) if isinstance(mu, Normal) else (0.0, np.inf)
    prior, unit = _prior(problem, chosen)
    reviews = Reviews(problem.y[order], problem.v[order], mean * ones, sd**-2.0 * ones, unit, size)
    return reviews, prior


def _prior(problem: Problem, chosen: Bools) -> tuple[Prior, Floats]:
    """Return the prior of tau in a unit of its own for each subset (R, k)."""
    tau = problem.priors.tau
    if not isinstance(tau, AdaptivePrior):
        return problem.priors.tau_density, np.ones(chosen.shape[0])
    bound = [tau.bind(problem.v[row]) for row in chosen]
    unit = np.array([one.s0 for one in bound if isinstance(one, Ratio)])
    whole = problem.priors.tau_density
    assert isinstance(whole, Ratio)  # noqa: S101 - the only smooth one that is bound
    return Ratio(str(whole), 1.0, whole.power), unit
