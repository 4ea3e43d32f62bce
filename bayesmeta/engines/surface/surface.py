"""Posteriors under many priors at once: products of a matrix for tau and one for mu."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.engines.surface.densities import Densities
from bayesmeta.engines.surface.likelihood import likelihood_of, location_priors, under
from bayesmeta.engines.surface.nodes import Choices, first_nodes
from bayesmeta.engines.surface.rule import GAUSS, ORDER, halved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Bools, Floats, Ints
    from bayesmeta.engines.surface.likelihood import Given, Likelihood
    from bayesmeta.engines.surface.nodes import LikelihoodNodes, Reach
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem

GOAL = 3e-9
"""Difference of the rule and the coarser one within it at which no panel is cut any more."""
LIMIT = 1e-8
"""Difference above which a posterior has not settled."""
MOST_PANELS = 300
ROUNDS = 14
FAINTEST = 1e-250
"""Part of the largest product below which the smallest numbers are lost."""


class Moments(NamedTuple):
    """Sums over the nodes for (A, B) posteriors."""

    total: Floats
    """Probability, up to the scale of the row."""
    mean: Floats
    """Mean of mu, from the reference of the column."""
    square: Floats
    """Mean of the square of mu, from the reference of the column."""
    tau: Floats
    """Mean of tau."""
    tau2: Floats
    """Mean of tau^2."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Posteriors under A priors of tau and B priors of mu (or B variants of the data).

    Attributes
    ----------
    nodes : LikelihoodNodes
        The likelihood at values of tau.
    choices : Choices
        The priors.
    known_reach : Reach, optional
        Where the posteriors are, if that is known.

    Notes
    -----
    With ``P[a, node]`` the prior of tau times the length of the step, and ``E[node, b]`` the likelihood with
    mu integrated out under its prior, the evidence of all combinations is ``P @ E``.
    """

    nodes: LikelihoodNodes
    choices: Choices
    known_reach: Reach | None = None

    @cached_property
    def reach(self) -> Reach:
        """Where the posteriors are."""
        return self.nodes.reach(self.choices) if self.known_reach is None else self.known_reach

    @cached_property
    def given(self) -> Given:
        """(m, B) mean effects given tau."""
        return under(self.nodes.known, self.choices.mu, self.nodes.likelihood.centre)

    @cached_property
    def bounds(self) -> Floats:
        """(A, B) bounds below which the orders of existing moments of tau lie; improper at 0 and below."""
        return self.choices.bounds(self.nodes.likelihood)

    @cached_property
    def mean_bounds(self) -> Floats:
        """(A, B) bounds below which the orders of existing moments of mu lie."""
        return np.where(self.choices.mu.precision == 0, self.bounds, np.inf)

    @cached_property
    def _scaled(self) -> tuple[Floats, Floats, Floats]:
        """P (A, m) with largest values 1, E (m, B) relative to the largest of each node, and (A,) logs.

        The likelihood of the best column goes to P, so that neither vanishes where prior and data disagree.
        """
        nodes, columns = self.nodes, self.given.log_marginal
        best = columns.max(axis=1)
        prior = self.choices.tau.logpdf(nodes.tau)
        rows = prior + (nodes.substitution.log_derivative(nodes.rule.x) + best)
        peak = rows.max(axis=1)
        return np.exp(rows - peak[:, None]), np.exp(columns - best[:, None]), peak

    @property
    def scaled_prior(self) -> Floats:
        """(A, m) densities of u times the likelihood of the best column, up to a factor of the row."""
        return self._scaled[0]

    @property
    def scaled_likelihood(self) -> Floats:
        """(m, B) likelihoods with mu integrated out, relative to the best column at each node."""
        return self._scaled[1]

    @cached_property
    def _deviation(self) -> tuple[Floats, Floats]:
        """Means of mu given tau from a reference (B,) of the column: that at its most probable node."""
        P, E, _ = self._scaled
        place = (E * P.sum(axis=0)[:, None]).argmax(axis=0)
        reference = self.given.mean[place, np.arange(E.shape[1])]
        return self.given.mean - reference, reference

    @cached_property
    def weights(self) -> Floats:
        """(A, m) prior of tau times the weights of the rule."""
        return np.asarray(self._scaled[0] * self.nodes.rule.weights)

    @cached_property
    def _both(self) -> tuple[Moments, Moments]:
        """Sums by the rule, and by the coarser rule within it."""
        E, tau = self.scaled_likelihood, self.nodes.tau[:, None]
        deviation = self._deviation[0]
        first, by_tau = E * deviation, E * tau
        second = E * self.given.variance + first * deviation
        columns = np.concatenate([E, first, second, by_tau, by_tau * tau], axis=1)
        coarse = (self.scaled_prior * self.nodes.rule.coarse)[:, self.coarse_nodes]
        return _moments(self.weights @ columns), _moments(coarse @ columns[self.coarse_nodes])

    @property
    def moments(self) -> Moments:
        """Sums by the rule."""
        return self._both[0]

    @property
    def coarse_nodes(self) -> Ints:
        """Places of the nodes of the coarser rule."""
        return np.arange(self.nodes.tau.size).reshape(-1, ORDER)[:, GAUSS].ravel()

    @cached_property
    def below(self) -> Floats:
        """(n, A, B) probabilities below the upper ends of the panels."""
        n, (A, B) = self.nodes.rule.n, self.moments.total.shape
        rows = self.weights.reshape(A, n, ORDER).transpose(1, 0, 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            mass = (rows @ self.scaled_likelihood.reshape(n, ORDER, B)) / self.moments.total
        return np.cumsum(mass, axis=0)

    def panel_of(self, p: Floats) -> Ints:
        """Return the (A, B, q) panels in which the quantiles of tau for probabilities p (q,) are."""
        return np.asarray((self.below[:, :, :, None] < p).sum(axis=0).clip(max=self.nodes.rule.n - 1))

    @cached_property
    def log_evidence(self) -> Floats:
        """(A, B) logs of the marginal likelihood."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.moments.total) + self._scaled[2][:, None])

    @property
    def mean(self) -> Floats:
        """(A, B) means of mu and of the effect in a new study, whether they exist or not."""
        return self.moments.mean + self._deviation[1] + self.nodes.likelihood.centre

    @property
    def variance(self) -> Floats:
        """(A, B) variances of mu, whether they exist or not."""
        return np.maximum(self.moments.square - self.moments.mean**2, 0.0)

    @property
    def tau_variance(self) -> Floats:
        """(A, B) variances of tau, whether they exist or not."""
        return np.maximum(self.moments.tau2 - self.moments.tau**2, 0.0)

    @cached_property
    def error(self) -> Floats:
        """(A, B) largest differences from the coarser rule, in log evidence and in standard deviations.

        Compared are the evidence and the moments that exist; infinite where the posterior reaches beyond the
        nodes or got lost in rounding.
        """
        fine, coarse = self._both
        with np.errstate(divide="ignore", invalid="ignore"):
            sd, tau_sd = np.sqrt(self.variance), np.sqrt(self.tau_variance)
            parts = [
                np.abs(coarse.total / fine.total - 1),
                np.where(self.mean_bounds > 1, np.abs(coarse.mean - fine.mean) / sd, 0.0),
                np.where(self.mean_bounds > 2, np.abs(coarse.square - fine.square) / sd**2, 0.0),
                np.where(self.bounds > 1, np.abs(coarse.tau - fine.tau) / tau_sd, 0.0),
                np.where(self.bounds > 2, np.abs(coarse.tau2 - fine.tau2) / fine.tau2, 0.0),
            ]
        largest = np.maximum.reduce(parts)
        edges = self.nodes.rule.edges
        outside = (self.reach.low < edges[0]) | (self.reach.high > edges[-1])
        lost = outside | ~(fine.total > FAINTEST) | np.isnan(largest)
        return np.where(lost & (self.bounds > 0), np.inf, largest)

    @cached_property
    def tolerance(self) -> Floats:
        """(A, B) differences that rounding leaves of likelihoods with such logarithms."""
        return np.clip(16 * np.finfo(np.float64).eps * np.abs(self.log_evidence), GOAL, LIMIT)

    @property
    def settled(self) -> Bools:
        """(A, B) whether the posterior exists and its numbers hold."""
        return np.asarray((self.bounds > 0) & (self.error <= LIMIT))

    def uncertain_panels(self) -> Bools:
        """Return the (n,) panels in which the two rules disagree for a posterior."""
        P, E, _ = self._scaled
        rule, n = self.nodes.rule, self.nodes.rule.n
        change = ((P * (rule.weights - rule.coarse)).reshape(P.shape[0], n, ORDER)).transpose(1, 0, 2)
        tau = self.nodes.tau.reshape(n, 1, ORDER)
        spread = (self.given.variance + self._deviation[0] ** 2) * E
        fine = self.moments
        columns = E.reshape(n, ORDER, -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = [
                change @ columns,
                np.where(self.mean_bounds > 2, change @ spread.reshape(n, ORDER, -1) / fine.square, 0.0),
                np.where(self.bounds > 2, (change * tau**2) @ columns / fine.tau2, 0.0),
            ]
            worst = np.maximum.reduce([np.abs(part) for part in parts]) / fine.total / self.tolerance
        worst = np.where((self.bounds > 0) & np.isfinite(worst), worst, 0.0)
        return np.asarray(worst.max(axis=(1, 2)) > 0.5 / np.sqrt(n))


def _moments(sums: Floats) -> Moments:
    """Return moments from the (A, 5 B) sums of the likelihood, and of it times what they are means of."""
    total, *others = np.split(sums, len(Moments._fields), axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Moments(total, *(other / total for other in others))


def surface_of(likelihood: Likelihood, choices: Choices) -> Surface:
    """Return the posteriors on nodes that serve all the choices, if such can be found.

    Parameters
    ----------
    likelihood : Likelihood
        What the data say.
    choices : Choices
        Priors of tau, all regular at 0 or integrated in the logarithm of tau together; priors of mu.

    Notes
    -----
    Panels in which the rule and the coarser one within it disagree are cut in halves. Where `Surface.settled`
    is False in the end, the number is not to be used.
    """
    nodes, reach = first_nodes(likelihood, choices)
    surface = Surface(nodes, choices, reach)
    for _ in range(ROUNDS):
        doubtful = (surface.error > surface.tolerance) & np.isfinite(surface.error) & (surface.bounds > 0)
        if not doubtful.any():
            break
        which = surface.uncertain_panels()
        if not which.any() or surface.nodes.rule.n + which.sum() > MOST_PANELS:
            break
        surface = Surface(surface.nodes.on(halved(surface.nodes.rule.edges, which)), choices, reach)
    return surface


def likelihood_nodes(problem: Problem, tau: Sequence[Prior], mu: Sequence[Prior]) -> LikelihoodNodes:
    """Return the likelihood on nodes that serve the priors given, to keep for further ones.

    Parameters
    ----------
    problem : Problem
        With a normal likelihood and one mean effect (`why_not`).
    tau : sequence of Prior
        Densities of tau, design-dependent ones bound to the studies.
    mu : sequence of Prior
        Normal or flat priors of the mean effect.
    """
    choices = Choices(Densities(tuple(tau)), location_priors(mu))
    return surface_of(likelihood_of(problem), choices).nodes


def posteriors(nodes: LikelihoodNodes, tau: Sequence[Prior], mu: Sequence[Prior]) -> Surface:
    """Return the posteriors under other priors on the same nodes.

    Parameters
    ----------
    nodes : LikelihoodNodes
        From `likelihood_nodes`.
    tau, mu : sequences of Prior
        As there; `Surface.settled` tells which of them the nodes serve.
    """
    return Surface(nodes, Choices(Densities(tuple(tau)), location_priors(mu)))
