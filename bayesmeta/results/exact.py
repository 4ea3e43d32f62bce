"""The posterior on the nodes of tau: what the exact engine found, and all that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.conditional import given_tau, prepare
from bayesmeta.priors import Flat
from bayesmeta.properness import integrable_moments, tau_moments, whole_moments
from bayesmeta.results.draws import Draws
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.results.posterior import draw_values, names_in
from bayesmeta.results.transformed import Transformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.problem import Problem
    from bayesmeta.results.expression import Statement
    from bayesmeta.results.marginal import Distribution
    from bayesmeta.results.nodes import Nodes
    from bayesmeta.results.transformed import Scale

JOINT_DRAWS = 400_000
"""Independent draws for statements about more than two effects at once."""
CHAINS = 4
TOGETHER = 64
"""Most studies whose effects are summarised with the coefficients."""
ONE = np.ones((1, 1))
"""Design of an effect without moderators."""


@dataclass(frozen=True, eq=False)
class ExactPosterior:
    """Posterior on the nodes of tau.

    Attributes
    ----------
    problem : Problem
        What was asked.
    nodes : Nodes
        The answer of the exact engine.
    """

    problem: Problem
    nodes: Nodes
    engine: str = "exact"

    @property
    def log_evidence(self) -> float:
        """Log of the marginal likelihood."""
        return self.nodes.log_evidence

    @cached_property
    def finer(self) -> ExactPosterior | None:
        """The posterior on twice the panels, against which answers are checked; None where tau is known."""
        return None if self.nodes.finer is None else ExactPosterior(self.problem, self.nodes.finer())

    def _orders(self, rows: Floats, new: Floats, k: int) -> tuple[int | Ints, int | Ints]:
        """Return the moments, at most 3, that exist and that can be integrated.

        Of mean effects and effects in new studies at rows of a design matrix, and of k studies.
        """
        if integrable_moments(tau_moments(self.problem)) >= 3:
            return 3, 3
        flat = np.array([isinstance(prior, Flat) for prior in self.problem.priors.beta], dtype=bool)
        unbounded = ((rows @ self.problem.transform != 0) & flat).any(axis=1)
        unbounded = np.concatenate([unbounded, np.ones(len(new), dtype=bool), np.zeros(k, dtype=bool)])
        bound = tau_moments(self.problem)
        exist, integrated = min(3, whole_moments(bound)), min(3, max(0, integrable_moments(bound)))
        return np.where(unbounded, exist, 3), np.where(unbounded, integrated, 3)

    def _checked(self, part: Callable[[ExactPosterior], NormalMixture]) -> Callable[[], NormalMixture] | None:
        """Return how to get a mixture on twice the panels."""

        def on_twice_the_panels() -> NormalMixture:
            assert self.finer is not None  # noqa: S101 - checked below
            return part(self.finer)

        return None if self.nodes.finer is None else cache(on_twice_the_panels)

    @cached_property
    def _effects(self) -> NormalMixture:
        """The p coefficients, the effect in a new study if there are no moderators, the effects of studies.

        Tables ask for all of them at once.
        """
        problem, own = self.problem, np.eye(self.problem.p)
        new = ONE if problem.is_pooled else own[:0]
        return self._mixture(own, new, problem.k, self._checked(lambda finer: finer._effects))

    def _mixture(
        self,
        rows: Floats,
        new: Floats,
        k: int,
        check: Callable[[], NormalMixture] | None,
    ) -> NormalMixture:
        """Return mean effects at rows of a design matrix, effects in new studies, those of k studies."""
        problem, nodes, tau2 = self.problem, self.nodes, self.nodes.tau2[:, None]
        a = np.concatenate([rows, new, problem.X[:k]])
        offset, deviations, variance = a @ nodes.origin, nodes.deviation @ a.T, _variances(a, nodes.cov)
        one, two = len(rows), len(rows) + len(new)
        variance[:, one:two] += tau2
        if k:
            pooling = problem.v / (problem.v + tau2)
            fitted, spread = deviations[:, two:], variance[:, two:]
            fitted += (1 - pooling) * (prepare(problem).data.residual - fitted)
            spread *= pooling
            spread += tau2
            spread *= pooling
        means, sds = offset + deviations, np.sqrt(variance)
        moments, integrated = self._orders(rows, new, k)
        return NormalMixture(
            nodes.weights, means, sds, moments, check, offset, deviations, integrated=integrated
        )

    def _together(self, first: int, size: int) -> NormalMixture | None:
        """Return the quantities from a place on as a part of all effects; None where there are too many."""
        if self.problem.k > TOGETHER:
            return None
        return self._effects.taken(slice(first, first + size), remember=True)

    @cached_property
    def coefficients(self) -> NormalMixture:
        """The p coefficients."""
        return self._together(0, self.problem.p) or self._at(np.eye(self.problem.p), new_study=False)

    @property
    def tau(self) -> Distribution:
        """Between-study standard deviation."""
        return self.nodes.tau

    @cached_property
    def theta(self) -> NormalMixture:
        """Effects of the k studies."""
        problem = self.problem
        return self._together(problem.p + problem.is_pooled, problem.k) or self._theta

    @property
    def _theta(self) -> NormalMixture:
        none, check = np.empty((0, self.problem.p)), self._checked(lambda finer: finer._theta)
        return self._mixture(none, none, self.problem.k, check)

    def of_tau(self, scale: Scale) -> Distribution:
        """Return the distribution of an increasing function of tau."""
        return Transformed(self.nodes.tau, scale)

    @cached_property
    def _new_effect(self) -> NormalMixture:
        return self._together(self.problem.p, 1) or self._at(ONE, new_study=True)

    def at(self, rows: Floats, *, new_study: bool) -> NormalMixture:
        """Return mean effects, or effects in new studies, at rows (n, p) of a design matrix."""
        if new_study and self.problem.is_pooled and np.array_equal(rows, ONE):
            return self._new_effect
        return self._at(rows, new_study=new_study)

    def _at(self, rows: Floats, *, new_study: bool) -> NormalMixture:
        check = self._checked(lambda finer: finer._at(rows, new_study=new_study))
        mean, new = (rows[:0], rows) if new_study else (rows, rows[:0])
        return self._mixture(mean, new, 0, check)

    def shares(self) -> tuple[Floats, Floats]:
        """Return the (k,) mean weights in percent and the (k,) mean pooling."""
        nodes = self.nodes if self.nodes.finer is None else self.nodes.finer()
        precision = 1 / (self.problem.v + nodes.tau2[:, None])
        weights = nodes.weights @ (precision / precision.sum(axis=1, keepdims=True))
        return 100 * weights, nodes.weights @ (self.problem.v * precision)

    def pull(self) -> Floats:
        """Return the (k + 1,) mean weights in percent of the studies and, last, of the prior mean of mu.

        Without moderators; the last is 0 under a flat prior.
        """
        nodes = self.nodes if self.nodes.finer is None else self.nodes.finer()
        own = prepare(self.problem).prior.precision
        precision = 1 / (self.problem.v + nodes.tau2[:, None])
        precision = np.column_stack([precision, np.broadcast_to(own[:1], (precision.shape[0], 1))])
        return 100 * nodes.weights @ (precision / precision.sum(axis=1, keepdims=True))

    def probability(self, statement: Statement) -> float:
        """Return the probability of a statement.

        Statements about tau and at most two effects, or differences of effects, are integrated. Others are
        counted in 400,000 independent draws, which leaves a standard error of `monte_carlo_error`.
        """
        from bayesmeta.results.joint import exact_probability

        exact = exact_probability(self.problem, self.nodes, statement)
        return self._counted(statement) if exact is None else exact

    def monte_carlo_error(self, statement: Statement) -> float:
        """Return the standard error of `probability`: 0 where it is integrated, at most 0.0008 elsewhere."""
        from bayesmeta.results.joint import exact_probability

        if exact_probability(self.problem, self.nodes, statement) is not None:
            return 0.0
        p = self._counted(statement)
        return float(np.sqrt(p * (1 - p) / JOINT_DRAWS))

    def _counted(self, statement: Statement) -> float:
        draws = self.draws(JOINT_DRAWS, np.random.default_rng(0))
        return float(statement.holds(draw_values(draws, self.problem, names_in(statement))).mean())

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """Return n independent draws by composition, dealt to four chains (to one where n is odd)."""
        tau = self._sample_tau(n, rng)
        known = given_tau(self.problem, tau)
        p = self.problem.p
        noise = rng.standard_normal((n, p, 1))
        beta = known.beta + (np.linalg.cholesky(known.cov) @ noise)[:, :, 0]
        fitted = beta @ self.problem.X.T
        pooling = self.problem.v / (self.problem.v + tau[:, None] ** 2)
        theta = fitted + (1 - pooling) * (self.problem.y - fitted)
        theta += tau[:, None] * np.sqrt(pooling) * rng.standard_normal(theta.shape)
        new = beta[:, 0] + tau * rng.standard_normal(n) if self.problem.is_pooled else None
        chains = CHAINS if n % CHAINS == 0 else 1
        return Draws(
            beta=beta.reshape(chains, -1, p),
            tau=tau.reshape(chains, -1),
            theta=theta.reshape(chains, -1, self.problem.k),
            theta_new=None if new is None else new.reshape(chains, -1),
        )

    def _sample_tau(self, n: int, rng: np.random.Generator) -> Floats:
        if isinstance(self.nodes.tau, PointMass):
            return np.full(n, self.nodes.tau.value)
        return self.nodes.tau.sample(n, rng)[:, 0]


def _variances(rows: Floats, cov: Floats) -> Floats:
    """Return the (m, n) variances of rows (n, p) of a design matrix times coefficients."""
    if rows.shape[1] == 1:
        return np.asarray(cov[:, 0] * rows[:, 0] ** 2)
    return np.asarray(((rows @ cov) * rows).sum(axis=2))
