"""Convergence of a sampler's draws, judged for every reported quantity.

References
----------
Vehtari A, Gelman A, Simpson D, Carpenter B, Bürkner PC (2021). Rank-normalization, folding, and localization:
an improved R-hat for assessing convergence of MCMC. Bayesian Anal 16:667-718. doi:10.1214/20-BA1221
Betancourt M (2016). Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte Carlo.
arXiv:1604.00695
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats
    from bayesmeta.results.draws import Draws

HIGHEST_RHAT = 1.01
LOWEST_ESS = 400.0
LOWEST_BFMI = 0.3
DEEPEST_TREE = 10
FEWEST = 4
"""Draws of a chain below which nothing can be said of convergence."""
FEWEST_FOR_RETRY = 100
"""Draws of a chain below which a second run is not worth while: somebody is only testing."""

type Check = tuple[str, str]


class Convergence(NamedTuple):
    """Convergence of one quantity; NaN where its draws are constant or there is a single chain."""

    rhat: float
    """Rank-normalised split R-hat."""
    ess_bulk: float
    """Effective sample size of the bulk."""
    ess_tail: float
    """Effective sample size of the tails."""


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What the draws of a sampler are worth.

    Attributes
    ----------
    quantities : mapping of str to Convergence
        Convergence of each reported quantity.
    divergences : int
        Divergent transitions.
    bfmi_min : float
        Smallest energy Bayesian fraction of missing information over chains.
    tree_depth_hits : int
        Draws at the largest tree depth.
    settings : mapping of str to float
        Chains, draws, refits and the like.
    checks : tuple of (str, str)
        Identifier and sentence of each check that failed.
    """

    quantities: Mapping[str, Convergence]
    divergences: int
    bfmi_min: float
    tree_depth_hits: int
    settings: Mapping[str, float]
    checks: tuple[Check, ...]

    @property
    def status(self) -> str:
        """``"ok"``, or ``"unreliable"`` when a check failed."""
        return "unreliable" if self.checks else "ok"

    @property
    def can_improve(self) -> bool:
        """Whether sampling longer could mend it."""
        return self.settings["chains"] > 1 and self.settings["draws"] >= FEWEST_FOR_RETRY

    @property
    def rhat_max(self) -> float:
        """Largest R-hat of the reported quantities."""
        return _extreme(max, [one.rhat for one in self.quantities.values()])

    @property
    def ess_bulk_min(self) -> float:
        """Smallest bulk effective sample size of the reported quantities."""
        return _extreme(min, [one.ess_bulk for one in self.quantities.values()])

    @property
    def ess_tail_min(self) -> float:
        """Smallest tail effective sample size of the reported quantities."""
        return _extreme(min, [one.ess_tail for one in self.quantities.values()])

    def to_dict(self) -> dict[str, Any]:
        """Return the block of ``results.json``."""
        return {
            "status": self.status,
            "rhat_max": self.rhat_max,
            "ess_bulk_min": self.ess_bulk_min,
            "ess_tail_min": self.ess_tail_min,
            "divergences": self.divergences,
            "bfmi_min": self.bfmi_min,
            **dict(self.settings),
        }


def _extreme(choose: Any, values: list[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return float(choose(known)) if known else nan


def diagnose(draws: Draws, coefficients: tuple[str, ...], *, scale: tuple[str, ...] = ()) -> Diagnostics:
    """Return the diagnostics of draws.

    Parameters
    ----------
    draws : Draws
        Draws of a sampler.
    coefficients : tuple of str
        Names of the p coefficients.
    scale : tuple of str
        Names of the scale parameters of a location-scale model.
    """
    quantities = {name: convergence(draws.beta[:, :, j]) for j, name in enumerate(coefficients)}
    quantities["tau"] = convergence(draws.tau)
    if draws.scale is not None:
        quantities |= {name: convergence(draws.scale[:, :, j]) for j, name in enumerate(scale)}
    if draws.theta_new is not None:
        quantities["theta_new"] = convergence(draws.theta_new)
    quantities |= {f"theta[{i}]": convergence(draws.theta[:, :, i]) for i in range(draws.theta.shape[2])}
    depth = draws.stats.get("tree_depth")
    deepest = draws.settings.get("max_treedepth", DEEPEST_TREE)
    hits = 0 if depth is None else int(np.sum(depth >= deepest))
    bfmi = _bfmi(draws)
    found = Diagnostics(quantities, draws.divergences, bfmi, hits, draws.settings, ())
    checks = (*_unknown(draws, quantities), *_checks(found))
    return Diagnostics(quantities, draws.divergences, bfmi, hits, draws.settings, checks)


def _unknown(draws: Draws, quantities: Mapping[str, Convergence]) -> list[Check]:
    """Return the checks of draws that cannot be judged at all, which is no sign of convergence."""
    if draws.per_chain < FEWEST:
        text = f"{draws.chains} chains of {draws.per_chain} draws are too few to judge convergence"
        return [("few-draws", f"{text}; sample longer")]
    parts = {"the coefficients": draws.beta, "tau": draws.tau, "theta": draws.theta}
    checks = [
        ("not-finite", f"some draws of {name} are not finite; the sampler failed")
        for name, values in parts.items()
        if not np.all(np.isfinite(values))
    ]
    stuck = [
        name for name, one in quantities.items() if isnan(one.ess_bulk) and not _is_constant(draws, name)
    ]
    if stuck and not checks:
        checks.append(("stuck", f"the chains of {', '.join(stuck)} do not move; sample again"))
    return checks


def _is_constant(draws: Draws, name: str) -> bool:
    return name == "tau" and bool(np.ptp(draws.tau) == 0)


def convergence(values: Floats) -> Convergence:
    """Return the convergence of one quantity.

    Parameters
    ----------
    values : (chain, draw) array
        Its draws.
    """
    if np.ptp(values) == 0:
        return Convergence(nan, nan, nan)
    from arviz_stats.base import array_stats

    if values.shape[1] < FEWEST:
        return Convergence(nan, nan, nan)
    rhat = nan if values.shape[0] == 1 else float(array_stats.rhat(values))
    bulk = float(array_stats.ess(values, method="bulk"))
    return Convergence(rhat, bulk, float(array_stats.ess(values, method="tail", prob=(0.05, 0.95))))


def monte_carlo_error(values: Floats, *, prob: float) -> dict[str, float]:
    """Return Monte Carlo standard errors of mean, sd and interval bounds, effective sizes and R-hat.

    Parameters
    ----------
    values : (chain, draw) array
        Draws of one quantity.
    prob : float
        Probability of the equal-tailed interval.
    """
    known = convergence(values)
    constant = np.ptp(values) == 0
    names = ("mcse_mean", "mcse_sd", "mcse_median", "mcse_lower", "mcse_upper")
    errors = dict.fromkeys(names, 0.0 if constant else nan)
    if not constant and values.shape[1] >= FEWEST:
        from arviz_stats.base import array_stats

        quantiles = {"median": 0.5, "lower": (1 - prob) / 2, "upper": (1 + prob) / 2}
        errors = {f"mcse_{name}": float(array_stats.mcse(values, method=name)) for name in ("mean", "sd")}
        errors |= {
            f"mcse_{name}": float(array_stats.mcse(values, method="quantile", prob=p))
            for name, p in quantiles.items()
        }
    return errors | known._asdict()


def _bfmi(draws: Draws) -> float:
    energy = draws.stats.get("energy")
    if energy is None or energy.shape[1] < 2:
        return nan
    change = np.mean(np.diff(energy, axis=1) ** 2, axis=1)
    return float(np.min(change / np.var(energy, axis=1)))


def _checks(found: Diagnostics) -> tuple[Check, ...]:
    checks: list[Check] = []
    if found.settings.get("chains", 2) < 2:
        checks.append(("one-chain", "a single chain was run, so that R-hat is undefined; run at least 2"))
    if found.divergences:
        transitions = "transition" if found.divergences == 1 else "transitions"
        text = f"{found.divergences} divergent {transitions}; the posterior may be incompletely explored"
        checks.append(("divergences", text))
    if found.rhat_max > HIGHEST_RHAT:
        checks.append(("rhat", f"R-hat is up to {found.rhat_max:.3f}, above {HIGHEST_RHAT}; sample longer"))
    smallest = min(found.ess_bulk_min, found.ess_tail_min)
    if smallest < LOWEST_ESS:
        text = f"the effective sample size is down to {smallest:.0f}, below {LOWEST_ESS:.0f}; sample longer"
        checks.append(("ess", text))
    if found.bfmi_min < LOWEST_BFMI:
        checks.append(
            ("bfmi", f"E-BFMI is {found.bfmi_min:.2f}, below {LOWEST_BFMI}; the tails are hard to reach")
        )
    if found.tree_depth_hits:
        drawn = "draw" if found.tree_depth_hits == 1 else "draws"
        checks.append(("tree-depth", f"{found.tree_depth_hits} {drawn} hit the largest tree depth"))
    return tuple(checks)
