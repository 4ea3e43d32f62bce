"""Priors from earlier studies: the meta-analytic-predictive distribution as a mixture of normal ones.

References
----------
Neuenschwander B, Capkun-Niggli G, Branson M, Spiegelhalter DJ (2010). Summarizing historical information on
controls in clinical trials. Clin Trials 7:5-18. doi:10.1177/1740774509356002
Schmidli H, Gsteiger S, Roychoudhury S, et al (2014). Robust meta-analytic-predictive priors in clinical
trials with historical control information. Biometrics 70:1023-1032. doi:10.1111/biom.12242
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.arrays import is_whole, strictly_between
from bayesmeta.errors import PriorError, told
from bayesmeta.priors.composed import Mixture
from bayesmeta.priors.location import HALF_LOG_2PI, Normal
from bayesmeta.priors.published import unit_information

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.priors.core import Prior
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.marginal import Marginal

LOGITS = np.linspace(-24.0, 24.0, 385)
"""Logits of the probabilities at whose quantiles the distribution is represented."""
MOST = 6
CLOSE = 1e-3
"""Difference of the distribution functions at which there are components enough."""
STEPS = 20
WIDTHS = (0.7, 3.0)
"""Standard deviations between which concentric components begin, in those of the distribution."""


class MapPrior(NamedTuple):
    """A prior from earlier studies, and how well it says what they said."""

    prior: Prior
    """The prior, its robust part included."""
    informative: Prior
    """The mixture of normal priors that stands for the predictive distribution."""
    divergence: float
    """Kullback-Leibler divergence of the mixture from that distribution, in nats."""
    difference: float
    """Largest difference of their distribution functions."""


def map_prior(
    fit: Fit,
    *,
    robust: float = 0.2,
    vague: Prior | None = None,
    components: int | None = None,
    name: str = "theta_new",
) -> MapPrior:
    """Return the prior of the effect in a new study that earlier studies give.

    Parameters
    ----------
    fit : Fit
        Posterior of the earlier studies.
    robust : float
        Prior probability that the new study is unlike the earlier ones, from 0 to below 1.
    vague : Prior, optional
        What holds then; by default worth one observation (`unit_information`), about the predictive median.
    components : int, optional
        Number of normal components, from 1 to 6; by default the fewest with which the distribution functions
        differ by less than 0.001, or 6.
    name : str
        Quantity whose posterior becomes the prior: ``"theta_new"``, or ``"mu"`` for a mean that does not
        vary.

    Returns
    -------
    MapPrior
        With a `Mixture`, which the exact engine and analysis files take.

    Raises
    ------
    PriorError
        If `robust` or `components` is impossible, or sample sizes are needed and unknown.
    AnalysisError
        If there is no such quantity, as theta_new with moderators.

    Notes
    -----
    The mixture minimises the Kullback-Leibler divergence, on quantiles of the posterior that are spaced
    evenly in the logits of their probabilities.
    """
    if not hasattr(fit, "marginal"):
        raise PriorError(
            f"map_prior takes a fit of the earlier studies; got {type(fit).__name__}; give bm.fit(studies, "
            "model)"
        )
    if not (strictly_between(robust, -1, 1) and robust >= 0):
        raise PriorError(f"robust must be a probability below 1; got {told(robust)}")
    if components is not None and not is_whole(components, 1, MOST):
        raise PriorError(f"components must be from 1 to {MOST}; got {told(components)}")
    posterior = fit.marginal(name)
    informative, divergence, difference = _fitted(posterior, components)
    if robust == 0:
        return MapPrior(informative, informative, divergence, difference)
    if vague is None:
        vague = unit_information(fit.studies, center=posterior.median)
    parts = [((1 - robust) * weight, part) for weight, part in informative.parts]
    weights, normals = zip(*parts, (robust, vague), strict=True)
    return MapPrior(Mixture(weights, normals), informative, divergence, difference)


class _Points(NamedTuple):
    """A distribution as points with weights."""

    x: Floats
    weights: Floats
    log_density: Floats
    cdf: Floats


def _fitted(posterior: Marginal, components: int | None) -> tuple[Prior, float, float]:
    """Return the mixture, its divergence from the posterior and the difference of distribution functions."""
    points = _points(posterior)
    for count in [components] if components else range(1, MOST + 1):
        fits = [_likeliest(points, *start) for start in _starts(points, count)]
        weights, means, sds = min(fits, key=lambda found: _divergence(points, *found))
        prior = _prior(weights, means, sds)
        difference = float(np.abs(prior.cdf(points.x) - points.cdf).max())
        if difference < CLOSE:
            break
    return prior, _divergence(points, weights, means, sds), difference


def _points(posterior: Marginal) -> _Points:
    p = special.expit(LOGITS)
    x = np.asarray(posterior.quantile(p))
    mass = p * special.expit(-LOGITS)
    with np.errstate(divide="ignore"):
        log_density = np.log(posterior.density(x))
    return _Points(x, mass / mass.sum(), log_density, p)


def _starts(points: _Points, count: int) -> list[tuple[Floats, Floats, Floats]]:
    """Return weights, means and sds to begin with: side by side, and concentric."""
    centre = points.weights @ points.x
    sd = float(np.sqrt(points.weights @ (points.x - centre) ** 2))
    even = np.full(count, 1 / count)
    if count == 1:
        return [(even, np.array([centre]), np.array([sd]))]
    beside = np.interp((np.arange(count) + 0.5) / count, points.cdf, points.x)
    concentric = sd * np.geomspace(*WIDTHS, count)
    return [
        (even, beside, np.full(count, sd / count**0.5)),
        (even, np.full(count, centre) + 1e-3 * sd * np.arange(count), concentric),
    ]


def _likeliest(points: _Points, weights: Floats, means: Floats, sds: Floats) -> tuple[Floats, Floats, Floats]:
    """Return weights, means and sds (n,) of the mixture of normals that is likeliest for the points.

    A few steps of the EM algorithm, then a quasi-Newton method on logits, means and log sds.
    """
    from scipy import optimize

    for _ in range(STEPS):
        share = _shares(points, weights, means, sds)[1]
        weights = share.sum(axis=0)
        means = points.x @ share / weights
        sds = np.sqrt((share * (points.x[:, None] - means) ** 2).sum(axis=0) / weights)
    centre, size = float(means @ weights), float(sds @ weights)
    standard = points._replace(x=(points.x - centre) / size)

    def objective(free: Floats) -> tuple[float, Floats]:
        pi, m, s = _parameters(free)
        fitted, share = _shares(standard, pi, m, s)
        z = (standard.x[:, None] - m) / s
        slopes = [share.sum(axis=0) - pi, (share * z).sum(axis=0) / s, (share * (z * z - 1)).sum(axis=0)]
        return float(-points.weights @ fitted), -np.concatenate(slopes)

    start = np.concatenate([np.log(weights), (means - centre) / size, np.log(sds / size)])
    found = optimize.minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    weights, means, sds = _parameters(found.x)
    return weights, centre + size * means, size * sds


def _parameters(free: Floats) -> tuple[Floats, Floats, Floats]:
    logits, means, log_sds = free.reshape(3, -1)
    return special.softmax(logits), means, np.exp(log_sds)


def _shares(points: _Points, weights: Floats, means: Floats, sds: Floats) -> tuple[Floats, Floats]:
    """Return the log density of a mixture at the points (m,), and what each component has of them (m, n)."""
    terms = _log_terms(points.x, weights, means, sds)
    total = special.logsumexp(terms, axis=1)
    return total, np.exp(terms - total[:, None]) * points.weights[:, None]


def _log_terms(x: Floats, weights: Floats, means: Floats, sds: Floats) -> Floats:
    z = (x[:, None] - means) / sds
    return np.asarray(np.log(weights) - 0.5 * z * z - np.log(sds) - HALF_LOG_2PI)


def _divergence(points: _Points, weights: Floats, means: Floats, sds: Floats) -> float:
    """Return the Kullback-Leibler divergence of a mixture from the distribution of the points."""
    fitted = special.logsumexp(_log_terms(points.x, weights, means, sds), axis=1)
    known = np.isfinite(points.log_density)
    gap = points.log_density[known] - fitted[known]
    return float(points.weights[known] @ gap)


def _prior(weights: Floats, means: Floats, sds: Floats) -> Prior:
    order = np.argsort(-weights)
    normals = [Normal(float(means[j]), float(sds[j])) for j in order]
    return (
        normals[0] if len(normals) == 1 else Mixture(tuple(float(weights[j]) for j in order), tuple(normals))
    )
