"""The exact engine for many priors of the same data at once: a surface over priors of tau and priors of mu.

Given tau, the likelihood of the mean effect is normal, and neither prior changes it. So the likelihood is
evaluated once on nodes of tau that serve all the priors, and the evidence and moments of every combination of
A priors of tau with B priors of mu are products of an (A, nodes) and a (nodes, B) matrix. Nodes are those of
Gauss-Kronrod panels in ``u = asinh(tau / scale)``, or in ``u = log(tau / scale)`` where a prior is not
analytic at 0; the rule of Gauss within each panel tells the error, and panels in which the two disagree are
cut in halves. Variants of the data take the place of the priors of mu in the search for tipping points.
"""

from __future__ import annotations

from bayesmeta.engines.surface.densities import Densities, scale_of
from bayesmeta.engines.surface.effects import Quantiles, densities, probabilities, quantiles
from bayesmeta.engines.surface.heterogeneity import tau_quantiles
from bayesmeta.engines.surface.likelihood import (
    Added,
    VariantLikelihood,
    likelihood_of,
    location_priors,
    why_not,
)
from bayesmeta.engines.surface.nodes import Choices, LikelihoodNodes
from bayesmeta.engines.surface.surface import Surface, likelihood_nodes, posteriors, surface_of

__all__ = [
    "Added",
    "Choices",
    "Densities",
    "LikelihoodNodes",
    "Quantiles",
    "Surface",
    "VariantLikelihood",
    "densities",
    "likelihood_nodes",
    "likelihood_of",
    "location_priors",
    "posteriors",
    "probabilities",
    "quantiles",
    "scale_of",
    "surface_of",
    "tau_quantiles",
    "why_not",
]
