"""The NUTS engine: any model, sampled in a process of its own.

Study effects are integrated out where the likelihood is normal, and drawn back exactly given coefficients and
tau. Count likelihoods are sampled with all their parameters, non-centred.

References
----------
Hoffman MD, Gelman A (2014). The No-U-Turn sampler. J Mach Learn Res 15:1593-1623.
Gelman A (2006). Prior distributions for variance parameters in hierarchical models. Bayesian Anal 1:515-534.
doi:10.1214/06-BA117A
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.engines.nuts.child import process
from bayesmeta.engines.nuts.plan import plan
from bayesmeta.errors import AnalysisError, SamplingError
from bayesmeta.properness import require_proper
from bayesmeta.results.diagnostics import Diagnostics, diagnose
from bayesmeta.results.draws import Draws

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.engines.nuts.child import Report
    from bayesmeta.engines.nuts.plan import Plan
    from bayesmeta.problem import Problem

SECOND_TARGET = 0.99
MOST_CHAINS = 64
MOST_DRAWS = 1_000_000
LARGEST_SEED = 2**32


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
    """Begin compiling the model of a problem while the caller does something else."""
    process.warm_up(plan(problem))


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
        "divergences": n}``.

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
    settings = (settings or Settings()).check()
    check_seed(seed)
    ready = plan(problem)
    first = _run(problem, ready, settings, seed, report, refits=0)
    if first.diagnostics.status == "ok" or not first.diagnostics.can_improve:
        return first
    harder = Settings(settings.chains, 2 * settings.tune, 2 * settings.draws, SECOND_TARGET)
    return _run(problem, ready, harder, seed + 1, report, refits=1)


def check_seed(seed: int) -> None:
    """Refuse a seed that is not a whole number from 0 to 2^32 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < LARGEST_SEED:
        raise AnalysisError(f"seed must be a whole number from 0 to 4294967295; got {seed}")


def _run(
    problem: Problem, ready: Plan, settings: Settings, seed: int, report: Report | None, *, refits: int
) -> Sampled:
    request = {**settings._asdict(), "seed": seed % LARGEST_SEED, "cores": os.cpu_count() or 1}
    arrays = process.sample(ready, request, report)
    shape = (settings.chains, settings.draws)
    if arrays["tau"].shape[:2] != shape:
        made = arrays["tau"].shape[:2]
        raise SamplingError(f"the sampler made {made} chains and draws instead of {shape}; run it again")
    draws = _complete(problem, ready, arrays, np.random.default_rng([seed, 1]), settings, refits)
    return Sampled(draws, diagnose(draws, problem.coefficients))


def _complete(
    problem: Problem,
    ready: Plan,
    arrays: dict[str, Floats],
    rng: np.random.Generator,
    settings: Settings,
    refits: int,
) -> Draws:
    """Return the draws in the user's units and coefficients, with theta drawn back."""
    tau = ready.unit * arrays["tau"]
    beta = ready.unit * arrays["b"][:, :, : problem.p] @ problem.transform.T
    return Draws(
        beta=beta,
        tau=tau,
        theta=arrays["effect"] if "effect" in arrays else _theta(problem, beta, tau, rng),
        theta_new=beta[:, :, 0] + tau * rng.standard_normal(tau.shape) if problem.is_pooled else None,
        baseline=arrays.get("odds2"),
        stats={name[5:]: array for name, array in arrays.items() if name.startswith("stat_")},
        settings=_described(settings, refits),
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
