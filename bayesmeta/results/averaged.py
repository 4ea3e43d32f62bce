"""`AveragedPosterior`: posteriors of the same studies under several models or priors, as one posterior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.results.blend import average_evidence, blend, posterior_weights
from bayesmeta.results.draws import Draws

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.expression import Statement
    from bayesmeta.results.marginal import Distribution
    from bayesmeta.results.posterior import Posterior
    from bayesmeta.results.transformed import Scale

CHAINS = 4


@dataclass(frozen=True, eq=False)
class AveragedPosterior:
    """Posteriors of the same quantities, weighted; a `Posterior` itself.

    Attributes
    ----------
    problem : Problem
        What was asked: studies, model and priors of the whole.
    parts : tuple of Posterior
        Posterior under each model or component of a prior.
    weights : (n,) array
        Their posterior probabilities.
    log_evidence : float
        Log of the marginal likelihood of the whole.
    """

    problem: Problem
    parts: tuple[Posterior, ...]
    weights: Floats
    log_evidence: float

    @property
    def engine(self) -> str:
        """``"exact"`` if every part is."""
        return "exact" if all(part.engine == "exact" for part in self.parts) else "nuts"

    @cached_property
    def error(self) -> float:
        """Largest numerical error of the parts: the difference between their last two node sets."""
        return max(numerical_error(part) for part in self.parts)

    def _blended(self, of: Callable[[Posterior], Distribution]) -> Distribution:
        return blend([of(part) for part in self.parts], self.weights)

    @cached_property
    def coefficients(self) -> Distribution:
        """The p coefficients."""
        return self._blended(lambda part: part.coefficients)

    @cached_property
    def tau(self) -> Distribution:
        """Between-study standard deviation."""
        return self._blended(lambda part: part.tau)

    @cached_property
    def theta(self) -> Distribution:
        """Effects of the k studies."""
        return self._blended(lambda part: part.theta)

    def of_tau(self, scale: Scale) -> Distribution:
        """Return the distribution of an increasing function of tau."""
        return self._blended(lambda part: part.of_tau(scale))

    def at(self, rows: Floats, *, new_study: bool) -> Distribution:
        """Return mean effects, or effects in new studies, at rows (n, p) of a design matrix."""
        return self._blended(lambda part: part.at(rows, new_study=new_study))

    def shares(self) -> tuple[Floats, Floats]:
        """Return the (k,) mean weights in percent and the (k,) mean pooling."""
        weights, pooling = zip(*(part.shares() for part in self.parts), strict=True)
        return self.weights @ np.array(weights), self.weights @ np.array(pooling)

    def pull(self) -> Floats:
        """Return the (k + 1,) mean weights in percent of the studies and, last, of the prior mean of mu."""
        return np.asarray(self.weights @ np.array([part.pull() for part in self.parts]))  # type: ignore[attr-defined]

    def probability(self, statement: Statement) -> float:
        """Return the probability of a statement."""
        return float(self.weights @ [part.probability(statement) for part in self.parts])

    def monte_carlo_error(self, statement: Statement) -> float:
        """Return the standard error of `probability`: 0 where every part integrates it."""
        errors = [part.monte_carlo_error(statement) for part in self.parts]  # type: ignore[attr-defined]
        return float(np.sqrt(self.weights**2 @ np.square(errors)))

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """Return n draws, each from a part chosen by its weight, dealt to four chains if that divides n."""
        counts = rng.multinomial(n, self.weights)
        drawn = [part.draws(int(m), rng) for part, m in zip(self.parts, counts, strict=True) if m]
        order, chains = rng.permutation(n), CHAINS if n % CHAINS == 0 else 1

        def dealt(name: str) -> Floats | None:
            values = [getattr(one, name) for one in drawn]
            if any(value is None for value in values):
                return None
            flat = np.concatenate([value.reshape(-1, *value.shape[2:]) for value in values])
            return np.asarray(flat[order].reshape(chains, -1, *flat.shape[1:]))

        fields = {name: dealt(name) for name in ("beta", "tau", "theta", "theta_new", "baseline")}
        return Draws(**fields)  # type: ignore[arg-type]


def averaged(problem: Problem, parts: Sequence[Posterior], prior: Sequence[float]) -> AveragedPosterior:
    """Return posteriors weighted by their prior probabilities times their evidence.

    Parameters
    ----------
    problem : Problem
        What was asked, as a whole.
    parts : sequence of Posterior
        Posterior under each model, of the same studies and coefficients, with its evidence.
    prior : sequence of float
        Prior probability of each, or a number proportional to it.
    """
    evidence = [part.log_evidence for part in parts]
    weights = readonly(posterior_weights(evidence, prior))
    return AveragedPosterior(problem, tuple(parts), weights, average_evidence(evidence, prior))


def numerical_error(posterior: Posterior) -> float:
    """Return the difference between the last two node sets of an exact posterior; 0 for draws."""
    return float(getattr(getattr(posterior, "nodes", posterior), "error", 0.0))
