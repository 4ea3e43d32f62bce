"""Sampling a problem: settings, one run, a second and more careful one if the first did not converge."""

from __future__ import annotations

import importlib
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.arrays import LARGEST_SEED, whole_seed
from bayesmeta.engines.nuts.child import process
from bayesmeta.engines.nuts.plan import plan
from bayesmeta.engines.nuts.scale_plan import ScalePlan, scale_plan
from bayesmeta.errors import AnalysisError, SamplingError
from bayesmeta.location_scale import require_proper_scale, scale_names
from bayesmeta.properness import require_proper
from bayesmeta.results.diagnostics import Diagnostics, diagnose
from bayesmeta.results.draws import Draws
from bayesmeta.results.predictive import draw_effects, new_effects

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.engines.nuts.child import Report
    from bayesmeta.engines.nuts.plan import Plan
    from bayesmeta.problem import Problem

SECOND_TARGET = 0.99
MOST_CHAINS = 64
MOST_DRAWS = 1_000_000


class Settings(NamedTuple):
    """How long and how carefully to sample."""

    chains: int = 4
    """Independent chains."""
    tune: int = 1000
    """Draws of each chain to adapt and throw away."""
    draws: int = 1000
    """Draws of each chain to keep."""
    target_accept: float = 0.95
    """Mean acceptance probability that the step size is adapted to."""

    def check(self) -> Settings:
        """Return the settings if they are possible.

        Raises
        ------
        AnalysisError
            If one is not.
        """
        for name, value, least, most in (
            ("chains", self.chains, 1, MOST_CHAINS),
            ("tune", self.tune, 0, MOST_DRAWS),
            ("draws", self.draws, 1, MOST_DRAWS),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise AnalysisError(f"{name} must be a whole number from {least} to {most}; got {value}")
        if not 0 < self.target_accept < 1:
            raise AnalysisError(f"target_accept must be between 0 and 1; got {self.target_accept}")
        return self


class Sampled(NamedTuple):
    """What a run of the sampler gives."""

    draws: Draws
    """Draws of every parameter."""
    diagnostics: Diagnostics
    """Convergence of every reported quantity."""


def warm_up(problem: Problem) -> None:
    """Start the sampling process and compile for a problem while the caller does something else."""
    process.warm_up(_planned(problem))


def _planned(problem: Problem) -> Plan | ScalePlan:
    return plan(problem) if problem.scale is None else scale_plan(problem)


def close() -> None:
    """End the sampling process; the next call starts another."""
    process.close()


def sample(
    problem: Problem, *, seed: int, settings: Settings | None = None, report: Report | None = None
) -> Sampled:
    """Return draws of the posterior, and what they are worth.

    Parameters
    ----------
    problem : Problem
        What to sample.
    seed : int
        Seed of everything random: the same seed gives the same draws.
    settings : Settings
        Chains and draws.
    report : callable, optional
        Called with the progress: ``{"phase": "compile"}``, then ``{"phase": "sample", "done": draws,
        "total": draws, "divergences": n}``; draws are those of all chains, tuning included.

    Raises
    ------
    ModelError
        If the sampler cannot run the problem.
    ImproperPosteriorError
        If there is no posterior.
    SamplingError
        If the sampling process fails, dies or returns fewer draws than asked for.

    Notes
    -----
    A run that fails its diagnostics is repeated once, with target_accept 0.99 and twice the tuning and draws.
    """
    require_proper(problem)
    if problem.scale is not None:
        require_proper_scale(problem, problem.scale)
    settings = (settings or Settings()).check()
    seed = whole_seed(seed)
    ready = _planned(problem)
    _load_diagnostics()
    first = _run(problem, ready, settings, seed, report, refits=0)
    if first.diagnostics.status == "ok" or not first.diagnostics.can_improve:
        return first
    harder = Settings(settings.chains, 2 * settings.tune, 2 * settings.draws, SECOND_TARGET)
    return _run(problem, ready, harder, seed + 1, report, refits=1)


@cache
def _load_diagnostics() -> None:
    """Begin importing what judges the draws, which takes seconds, while the caller waits for them."""
    threading.Thread(target=importlib.import_module, args=("arviz_stats.base",), daemon=True).start()


def _run(
    problem: Problem,
    ready: Plan | ScalePlan,
    settings: Settings,
    seed: int,
    report: Report | None,
    *,
    refits: int,
) -> Sampled:
    request = {**settings._asdict(), "seed": seed % (LARGEST_SEED + 1), "cores": _cores()}
    arrays = process.sample(ready, request, report)
    shape, made = (settings.chains, settings.draws, ready.dim), arrays["x"].shape
    if made != shape or not np.all(np.isfinite(arrays["x"])):
        raise SamplingError(f"the sampler made draws of shape {made} instead of {shape}; run it again")
    rng, described = np.random.default_rng([seed, 1]), _described(settings, refits)
    if isinstance(ready, ScalePlan):
        draws = _complete_scale(problem, ready, arrays, rng, described)
    else:
        draws = _complete(problem, ready, arrays, rng, described)
    return Sampled(draws, diagnose(draws, problem.coefficients, scale=scale_names(problem)))


def _cores() -> int:
    """Return the number of processors that this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return (os.cpu_count() or 1) if allowed is None else len(allowed(0))


def _complete(
    problem: Problem,
    ready: Plan,
    arrays: dict[str, Floats],
    rng: np.random.Generator,
    settings: dict[str, Any],
) -> Draws:
    """Return the draws in the user's units and coefficients, with theta drawn back."""
    b, tau, theta, baseline = ready.read(arrays["x"])
    beta = b @ problem.transform.T
    return Draws(
        beta=beta,
        tau=tau,
        theta=_theta(problem, beta, tau, rng) if theta is None else theta,
        theta_new=beta[:, :, 0] + tau * rng.standard_normal(tau.shape) if problem.is_pooled else None,
        baseline=baseline,
        stats={name[5:]: array for name, array in arrays.items() if name.startswith("stat_")},
        settings=settings,
    )


def _complete_scale(
    problem: Problem,
    ready: ScalePlan,
    arrays: dict[str, Floats],
    rng: np.random.Generator,
    settings: dict[str, Any],
) -> Draws:
    """Return the draws of a location-scale model in the user's units and coefficients."""
    assert problem.scale is not None  # noqa: S101 - it was planned
    b, parameters = ready.read(arrays["x"])
    beta = b @ problem.transform.T
    return Draws(
        beta=beta,
        tau=problem.scale.values(problem.scale.centre, parameters),
        theta=draw_effects(problem, beta, problem.scale.taus(parameters), rng),
        theta_new=new_effects(problem, beta, parameters, rng),
        scale=parameters,
        stats={name[5:]: array for name, array in arrays.items() if name.startswith("stat_")},
        settings=settings,
    )


def _described(settings: Settings, refits: int) -> dict[str, Any]:
    return {**settings._asdict(), "refits": refits}


def _theta(problem: Problem, beta: Floats, tau: Floats, rng: np.random.Generator) -> Floats:
    """Return study effects drawn from their normal distribution given coefficients and tau."""
    fitted = beta @ problem.X.T
    tau2 = tau[:, :, None] ** 2
    pooling = problem.v / (problem.v + tau2)
    centre = fitted + (1 - pooling) * (problem.y - fitted)
    return np.asarray(centre + np.sqrt(pooling * tau2) * rng.standard_normal(fitted.shape))
