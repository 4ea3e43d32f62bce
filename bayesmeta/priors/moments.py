"""Means of priors that have no closed form, by integration."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.quadrature import panels

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.priors.core import Prior

PANELS = 600
FARTHEST = 1e100
"""Where integration ends, in typical sizes."""


def mean_of(prior: Prior) -> float:
    """Return the mean of a prior, NaN where it does not exist.

    Notes
    -----
    Gauss-Legendre panels in ``asinh(x / typical)``, with edges at the ends of the support.
    """
    if not prior.proper or prior.tail <= 2:
        return nan
    low, high = prior.support
    size = prior.typical or 1.0
    first, last = np.arcsinh(np.clip([low / size, high / size], -FARTHEST, FARTHEST))
    rule = panels(np.linspace(first, last, PANELS + 1))
    x = size * np.sinh(rule.x)
    density: Floats = np.exp(prior.logpdf(x)) * size * np.cosh(rule.x)
    known = np.isfinite(density)
    return float(np.sum(np.where(known, x * density, 0.0) * rule.weights)) if known.any() else inf
