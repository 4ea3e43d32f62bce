"""What priors say before any data: quantiles of each, and of the effect in a study."""

from __future__ import annotations

from math import isfinite, nan

import numpy as np

from bayesmeta.errors import BayesmetaError
from bayesmeta.priors import Prior, as_prior

NODES = 200
"""Equally probable values that stand for a prior."""
STEPS = 50
"""Halvings of the bracket when a quantile is sought."""


def implied(text: str, prob: float = 0.95) -> tuple[float, float, float]:
    """Return median and central interval of a prior; NaN where it is improper or waits for data."""
    prior = _proper(text)
    if prior is None:
        return nan, nan, nan
    low, high = (1 - prob) / 2, (1 + prob) / 2
    median, lower, upper = np.asarray(prior.quantile(np.array([0.5, low, high])), dtype=float)
    return float(median), float(lower), float(upper)


def implied_effect(mu: str, tau: str, prob: float = 0.95, *, squared: bool = False) -> tuple[float, float]:
    """Return the central interval of the effect in a study before any data; NaN if there is none.

    Parameters
    ----------
    mu, tau : str
        Priors as written.
    prob : float
        Probability of the interval.
    squared : bool
        The second prior is that of the variance.

    Notes
    -----
    Both priors are replaced by equally probable values; the mixture of normals over all pairs is inverted by
    bisection. The error is about one percent of the width for priors with light tails.
    """
    from scipy.special import ndtr

    location, scale = _proper(mu), _proper(tau)
    if location is None or scale is None:
        return nan, nan
    p = (np.arange(NODES) + 0.5) / NODES
    centres, spreads = np.meshgrid(location.quantile(p), np.maximum(scale.quantile(p), 1e-300))
    spreads = np.sqrt(spreads) if squared else spreads

    def cdf(x: float) -> float:
        return float(np.mean(ndtr((x - centres) / spreads)))

    reach = float(np.max(np.abs(centres)) + 10 * np.max(spreads))
    bounds = (_root(cdf, q, reach) for q in ((1 - prob) / 2, (1 + prob) / 2))
    lower, upper = bounds
    return (lower, upper) if isfinite(reach) else (nan, nan)


def _root(cdf: object, p: float, reach: float) -> float:
    low, high = -reach, reach
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle) < p else (low, middle)  # type: ignore[operator]
    return (low + high) / 2


def _proper(text: str) -> Prior | None:
    try:
        prior = as_prior(text)
        known = prior.proper and bool(np.all(np.isfinite(prior.quantile(np.array([0.025, 0.5, 0.975])))))
    except (BayesmetaError, NotImplementedError):
        return None
    return prior if known else None
