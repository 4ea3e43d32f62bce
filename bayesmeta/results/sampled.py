"""The posterior as draws of a sampler."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import AnalysisError
from bayesmeta.results.draws import Draws
from bayesmeta.results.empirical import Empirical
from bayesmeta.results.posterior import draw_values, names_in, study_taus

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.location_scale import Quantity
    from bayesmeta.problem import Problem
    from bayesmeta.results.expression import Statement
    from bayesmeta.results.transformed import Scale


@dataclass(frozen=True, eq=False)
class SampledPosterior:
    """Posterior known by the draws of a sampler.

    Attributes
    ----------
    problem : Problem
        What was asked.
    sampled : Draws
        The draws.
    """

    problem: Problem
    sampled: Draws
    engine: str = "nuts"
    log_evidence: float = field(default=nan)

    @property
    def coefficients(self) -> Empirical:
        """The p coefficients."""
        return Empirical(self.sampled.beta)

    @property
    def tau(self) -> Empirical:
        """Between-study standard deviation."""
        return Empirical(self.sampled.tau[:, :, None], lower=0.0)

    @property
    def theta(self) -> Empirical:
        """Effects of the k studies."""
        return Empirical(self.sampled.theta)

    def of_tau(self, scale: Scale) -> Empirical:
        """Return the draws of an increasing function of tau."""
        upper = 100.0 if scale.order == 0 else np.inf
        lowest = float(scale.forward(np.zeros(1))[0])
        return Empirical(scale.forward(self.sampled.tau)[:, :, None], lower=lowest, upper=upper)

    def of_scale(self, quantity: Quantity, scale: Scale | None = None) -> Empirical:
        """Return the draws of a quantity of the scale structure, or of an increasing function of it."""
        assert self.problem.scale is not None  # noqa: S101 - it has quantities
        assert self.sampled.scale is not None  # noqa: S101 - and draws of them
        values = self.problem.scale.values(quantity, self.sampled.scale)[:, :, None]
        if scale is None:
            return Empirical(values, lower=-np.inf if quantity.logarithmic else 0.0)
        upper = 100.0 if scale.order == 0 else np.inf
        return Empirical(scale.forward(values), float(scale.forward(np.zeros(1))[0]), upper)

    def at(self, rows: Floats, *, new_study: bool, scale: Floats | None = None) -> Empirical:
        """Return mean effects, or effects in new studies, at rows (n, p) of a design matrix."""
        if new_study and self.problem.is_pooled and self.sampled.theta_new is not None and scale is None:
            return Empirical(np.repeat(self.sampled.theta_new[:, :, None], rows.shape[0], axis=2))
        mean = self.sampled.beta @ rows.T
        if not new_study:
            return Empirical(mean)
        rng = np.random.default_rng(0)
        noise = rng.standard_normal((*self.sampled.tau.shape, 1))
        return Empirical(mean + self._new_taus(rows.shape[0], scale, rng) * noise)

    def _new_taus(self, n: int, scale: Floats | None, rng: np.random.Generator) -> Floats:
        """Return the taus of n new studies, (chain, draw, n) or (chain, draw, 1)."""
        if scale is not None and self.problem.scale is not None and self.sampled.scale is not None:
            return self.problem.scale.taus(self.sampled.scale, scale)
        taus = study_taus(self.sampled, self.problem)
        if taus.shape[2] == 1:
            return taus
        return np.take_along_axis(taus, rng.integers(self.problem.k, size=(*taus.shape[:2], n)), axis=2)

    def shares(self) -> tuple[Floats, Floats]:
        """Return the (k,) mean weights in percent and the (k,) mean pooling."""
        v, taus = self.problem.v, study_taus(self.sampled, self.problem)
        precision = 1 / (v + taus.reshape(-1, taus.shape[2]) ** 2)
        weights = 100 * precision / np.nansum(precision, axis=1, keepdims=True)
        return weights.mean(axis=0), (v * precision).mean(axis=0)

    def probability(self, statement: Statement) -> float:
        """Return the fraction of draws for which a statement holds."""
        return float(statement.holds(draw_values(self.sampled, self.problem, names_in(statement))).mean())

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """Return n of the draws, chosen at random without replacement, as one chain."""
        total = self.sampled.tau.size
        if n > total:
            raise AnalysisError(f"the sampler made {total} draws; got a request for {n}; sample more draws")
        chosen = rng.choice(total, size=n, replace=False)

        def thin(values: Floats | None) -> Floats | None:
            return None if values is None else values.reshape(total, *values.shape[2:])[chosen][None]

        parts = {
            name: thin(getattr(self.sampled, name))
            for name in ("beta", "tau", "theta", "theta_new", "scale", "baseline")
        }
        return Draws(**parts, settings={"chains": 1, "draws": n})  # type: ignore[arg-type]
