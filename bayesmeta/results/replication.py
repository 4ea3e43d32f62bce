"""Posterior predictive checks, which ask whether the model could have made data like these.

Data of new studies of the same design and size are drawn from the posterior and compared with the observed
ones in a few statistics that the model does not fit by itself.

References
----------
Gelman A, Meng XL, Stern H (1996). Posterior predictive assessment of model fitness via realized
discrepancies. Stat Sinica 6:733-807.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import AnalysisError
from bayesmeta.results.predictive import replicate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.fit import Fit

DRAWS = 4000
BOUNDS = np.array([0.025, 0.5, 0.975])


class Check(NamedTuple):
    """One statistic of the data beside its posterior predictive distribution."""

    statistic: str
    """What was computed."""
    observed: float
    """Of the data."""
    median: float
    """Median of replicated data."""
    lower: float
    """2.5 % quantile."""
    upper: float
    """97.5 % quantile."""
    p: float
    """Probability of a value at least as large, ties counted half; near 0 or 1 the model does not fit."""


def predictive_checks(fit: Fit, *, draws: int = DRAWS, seed: int = 0) -> tuple[Check, ...]:
    """Return posterior predictive checks.

    Parameters
    ----------
    fit : Fit
        Answer, by any engine.
    draws : int
        Replicated sets of data.
    seed : int
        Seed of the replication.

    Returns
    -------
    tuple of Check
        For effects: Cochran's Q, the largest standardised distance from the fixed effects, the asymmetry of
        these distances, smallest and largest effect. For counts: events in each group and the number of arms
        without any.

    Raises
    ------
    AnalysisError
        If fewer than 100 draws are asked for.
    """
    if draws < 100:
        raise AnalysisError(f"draws must be at least 100 for a predictive check; got {draws}")
    rng = np.random.default_rng(seed)
    chosen = fit.posterior.draws(draws, rng)
    made_data = replicate(fit.problem, chosen, rng)
    new = {name: value.reshape(-1, fit.problem.k) for name, value in made_data.items()}
    observed = {name: value[None, :] for name, value in _observed(fit.problem).items()}
    made, found = _statistics(fit.problem, new), _statistics(fit.problem, observed)
    return tuple(_check(name, float(found[name][0]), made[name]) for name in found)


def _observed(problem: Problem) -> dict[str, Floats]:
    if problem.model.likelihood == "normal":
        return {"y": problem.y}
    return {name: problem.studies.arms[name] for name in ("ai", "ci")}


def _statistics(problem: Problem, data: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return statistics of n sets of data, each shape (n,)."""
    return _of_counts(data) if "ai" in data else _of_effects(problem, data["y"])


def _of_effects(problem: Problem, y: Floats) -> dict[str, Floats]:
    found = {"smallest effect": y.min(axis=1), "largest effect": y.max(axis=1)}
    if problem.k <= problem.p:
        return found
    z = _standardised(problem, y)
    spread = np.sqrt((z**2).mean(axis=1))
    off = {"Cochran's Q": (z**2).sum(axis=1), "largest distance": np.abs(z).max(axis=1)}
    if problem.k > 2 + problem.p:
        off["asymmetry"] = (z**3).mean(axis=1) / np.where(spread > 0, spread, 1.0) ** 3
    return {**off, **found}


def _standardised(problem: Problem, y: Floats) -> Floats:
    """Return the (n, k) distances from the fixed effects of each set, in standard errors."""
    root = 1 / np.sqrt(problem.v)
    basis, _ = np.linalg.qr(problem.X * root[:, None])
    scaled = y * root
    return np.asarray(scaled - (scaled @ basis) @ basis.T)


def _of_counts(data: Mapping[str, Floats]) -> dict[str, Floats]:
    treated, control = data["ai"], data["ci"]
    empty = (treated == 0).sum(axis=1) + (control == 0).sum(axis=1)
    return {
        "events in group 1": treated.sum(axis=1),
        "events in group 2": control.sum(axis=1),
        "arms without events": empty.astype(float),
    }


def _check(name: str, observed: float, made: Floats) -> Check:
    lower, median, upper = (float(value) for value in np.quantile(made, BOUNDS))
    p = float((made > observed).mean() + 0.5 * (made == observed).mean())
    return Check(name, observed, median, lower, upper, p)
