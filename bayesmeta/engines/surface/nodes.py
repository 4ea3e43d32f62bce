"""Likelihood nodes: the likelihood at values of tau that serve many priors, kept for further ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.engines.surface.likelihood import Given, under
from bayesmeta.engines.surface.rule import ORDER, divided, rule_on
from bayesmeta.quadrature import DEPTH
from bayesmeta.results.heterogeneity import Substitution

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.engines.surface.densities import Densities
    from bayesmeta.engines.surface.likelihood import Likelihood, LocationPriors
    from bayesmeta.engines.surface.rule import Rule

LONGEST_PANEL = 1.0
"""Length in u that panels begin with: the singularities of the likelihood are pi/2 away."""
SCAN_STEP = 0.5
FARTHEST = 8
"""Power of 2 of the distance in u to which posteriors are looked for beyond features of the likelihood."""
HIGHEST_MOMENT = 2.0


class Choices(NamedTuple):
    """Priors of tau (rows) by priors of mu or variants of the data (columns)."""

    tau: Densities
    """A densities of tau."""
    mu: LocationPriors
    """B normal or flat priors; one where the data have variants."""

    def bounds(self, likelihood: Likelihood) -> Floats:
        """Return the (A, B) bounds below which the orders of existing moments of tau lie."""
        flat = likelihood.flat + (self.mu.precision == 0)
        return np.asarray(self.tau.tails[:, None] + likelihood.k - flat - 1)


class Reach(NamedTuple):
    """Between which points of u the posteriors are, (A, B); empty, from infinity down, where improper."""

    low: Floats
    """Point below which there is nothing."""
    high: Floats
    """Point above which there is nothing; infinite if none was found."""


@dataclass(frozen=True, slots=True, eq=False)
class LikelihoodNodes:
    """The likelihood at values of tau: what does not depend on the priors of tau and mu.

    Attributes
    ----------
    likelihood : Likelihood
        What it was evaluated from.
    substitution : Substitution
        The variable u of the rule.
    scan : (s,) array
        Points of u from which it is found where posteriors are.
    scanned : Given
        The likelihood there.
    rule : Rule
        Panels in u.
    tau : (m,) array
        tau at the nodes.
    known : Given
        The likelihood at the nodes.
    """

    likelihood: Likelihood
    substitution: Substitution
    scan: Floats
    scanned: Given
    rule: Rule
    tau: Floats
    known: Given

    def on(self, edges: Floats) -> LikelihoodNodes:
        """Return the same on other panels; what is known on a panel is kept."""
        rule = rule_on(edges)
        tau = self.substitution.tau(rule.x)
        old, new = self._panels_kept(edges)
        fresh = np.repeat(np.isin(np.arange(rule.n), new, invert=True), ORDER)
        found = self.likelihood.given(tau[fresh])
        if not old.size:
            return replace(self, rule=rule, tau=tau, known=found)
        kept = (old[:, None] * ORDER + np.arange(ORDER)).ravel()
        parts = []
        for before, value in zip(self.known, found, strict=True):
            part = np.empty((tau.size, value.shape[1]))
            part[fresh], part[~fresh] = value, before[kept]
            parts.append(part)
        return replace(self, rule=rule, tau=tau, known=Given(*parts))

    def _panels_kept(self, edges: Floats) -> tuple[Ints, Ints]:
        """Return the places of panels that are among those between other edges, here and there."""
        here = np.stack([self.rule.edges[:-1], self.rule.edges[1:]], axis=1)
        there = np.stack([edges[:-1], edges[1:]], axis=1)
        same = (here[:, None, :] == there[None, :, :]).all(axis=2)
        old, new = np.nonzero(same)
        return old, new

    def reach(self, choices: Choices) -> Reach:
        """Return where the posteriors under priors are.

        Notes
        -----
        Counted is the integrand of the highest moment that is reported, which is the last to vanish.
        """
        seen = _is_seen(self, choices, choices.bounds(self.likelihood))
        points, last = np.concatenate([self.scan[:1], self.scan, [np.inf]]), self.scan.size - 1
        lowest = 0.0 if not self.substitution.logarithmic else -np.inf
        points[0] = lowest
        low, high = points[seen.argmax(axis=1)], points[last - seen[:, ::-1].argmax(axis=1) + 2]
        there = seen.any(axis=1)
        return Reach(np.where(there, low, np.inf), np.where(there, high, -np.inf))


def first_nodes(likelihood: Likelihood, choices: Choices) -> tuple[LikelihoodNodes, Reach]:
    """Return nodes on the panels to begin with, and where the posteriors of the choices are."""
    substitution = _substitution(likelihood, choices.tau)
    scan = _scan_points(likelihood, substitution, choices.tau)
    scanned = likelihood.given(substitution.tau(scan))
    empty = rule_on(scan[:1])
    bare = LikelihoodNodes(likelihood, substitution, scan, scanned, empty, empty.x, scanned)
    reach = bare.reach(choices)
    found = np.isfinite(reach.low) & np.isfinite(reach.high)
    if not found.any():
        return bare.on(scan[:2]), reach
    kinks = substitution.u(choices.tau.kinks)
    low, high = float(reach.low[found].min()), float(reach.high[found].max())
    return bare.on(divided(low, high, kinks, LONGEST_PANEL)), reach


def _substitution(likelihood: Likelihood, priors: Densities) -> Substitution:
    typical = priors.typical
    scale = min(likelihood.smallest, float(typical[typical > 0].min(initial=np.inf)))
    return Substitution(scale, logarithmic=not priors.regular)


def _scan_points(likelihood: Likelihood, substitution: Substitution, priors: Densities) -> Floats:
    """Return points of u in increasing order, dense where likelihood or priors have features."""
    typical = priors.typical
    features = [1e-2 * likelihood.smallest, 1e2 * likelihood.largest]
    features += typical[(typical > 0) & np.isfinite(typical)].tolist()
    first, last = substitution.u(np.array([min(features), max(features)]))
    beyond = 2.0 ** np.arange(-1, FARTHEST)
    middle = np.append(np.arange(first, last, SCAN_STEP), last)
    below = (first - beyond)[::-1] if substitution.logarithmic else np.array([1e-6, 1e-3]) * first
    return np.concatenate([below, middle, last + beyond])


def _is_seen(nodes: LikelihoodNodes, choices: Choices, bounds: Floats) -> Floats:
    """Return the (A, s, B) points of the scan that count in the posteriors, where these exist."""
    u, substitution = nodes.scan, nodes.substitution
    tau = substitution.tau(u)
    rows = choices.tau.logpdf(tau) + substitution.log_derivative(u)
    columns = under(nodes.scanned, choices.mu, nodes.likelihood.centre).log_marginal
    order = np.clip(np.ceil(bounds) - 1, 0.0, HIGHEST_MOMENT)
    growth = 0.5 * np.log1p((tau / substitution.scale) ** 2)
    if order.min() == order.max():
        values = (rows + order.flat[0] * growth)[:, :, None] + columns
    else:
        values = rows[:, :, None] + columns + order[:, None, :] * growth[:, None]
    with np.errstate(invalid="ignore"):
        peak = np.where(bounds > 0, np.fmax.reduce(values, axis=1), np.inf)
        return np.asarray(values > (peak - DEPTH)[:, None])
