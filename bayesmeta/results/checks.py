"""Statistical doubts about a fit, as named sentences that every output shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import printable
from bayesmeta.priors import InverseGamma, OverallJeffreys
from bayesmeta.properness import flat_coefficients
from bayesmeta.results.conflict import locations, scatter

if TYPE_CHECKING:
    from bayesmeta.results.fit import Fit

type Warnings = list[tuple[str, str]]

FEW_STUDIES = 5
FEW_PER_SCALE = 10
"""Studies for each scale parameter below which they say little of it."""
WIDE_PRIOR = 10.0
"""Ratio of the prior median of tau to the median standard error above which units are doubted."""
VAGUE_SHAPE = 0.1
"""Shape of an inverse gamma prior up to which it is called vague, and is not."""
CONFLICT = 1e-3
"""Prior predictive tail probability below which priors and data contradict each other."""
SMALLEST_SHOWN = 1e-15


def warnings_of(fit: Fit) -> tuple[tuple[str, str], ...]:
    """Return every doubt about a fit, each once, as pairs of identifier and sentence."""
    found = [
        *fit.studies.notes,
        *fit.design.notes,
        *_scale_notes(fit),
        *_few(fit),
        *_sensitive(fit),
        *_wide_prior(fit),
    ]
    if fit.problem.scale is None:
        found += [*_scatter(fit), *_locations(fit)]
    found += [*_far_intercept(fit), *_moments(fit)]
    if fit.diagnostics is not None:
        found += fit.diagnostics.checks
    return tuple(dict.fromkeys((str(name), str(text)) for name, text in found))


def _scale_notes(fit: Fit) -> Warnings:
    """Doubt a scale structure that the studies are too few for."""
    scale = fit.problem.scale
    if scale is None:
        return []
    found = [(name, text) for name, text in scale.design.notes if name != "many-moderators"]
    if fit.problem.k < FEW_PER_SCALE * scale.size:
        text = (
            f"{fit.problem.k} studies for {scale.size} scale parameters: ratios of taus rest mostly on their"
        )
        found.append(("few-studies-for-scale", f"{text} prior"))
    return found


def _few(fit: Fit) -> Warnings:
    k, p = fit.problem.k, fit.problem.p
    studies = f"{k} {'study' if k == 1 else 'studies'}"
    if fit.model.is_common:
        return []
    if k <= p:
        verdict = "is its prior" if flat_coefficients(fit.problem) >= k else "is close to its prior"
        coefficients = "coefficient" if p == 1 else "coefficients"
        return [("prior-only", f"{studies} and {p} {coefficients}: the posterior of tau {verdict}")]
    if k < FEW_STUDIES:
        return [
            ("few-studies", f"{studies}: tau and the prediction interval rest mostly on the prior of tau")
        ]
    return []


def _is_vague(fit: Fit) -> bool:
    return isinstance(fit.priors.tau, InverseGamma) and fit.priors.tau.alpha <= VAGUE_SHAPE


def _sensitive(fit: Fit) -> Warnings:
    name, prior = fit.priors.tau_on, fit.priors.tau
    if _is_vague(fit):
        text = f"the posterior depends on the small numbers in {name} ~ {prior}, which is not vague near 0"
        return [("sensitive-prior", f"{text}; use HalfNormal or HalfCauchy")]
    if isinstance(prior, OverallJeffreys):
        return [("sensitive-prior", f"{prior} is not recommended for a mean effect; use Jeffreys()")]
    return []


def _wide_prior(fit: Fit) -> Warnings:
    prior = fit.priors.tau_density
    if fit.model.likelihood != "normal" or not prior.proper or _is_vague(fit):
        return []
    typical, median_se = prior.typical, float(np.median(fit.problem.studies.sei))
    if typical <= WIDE_PRIOR * median_se:
        return []
    text = (
        f"the prior of {fit.priors.tau_on}, {fit.priors.tau}, puts the median of tau at {typical:.3g}, "
        f"{typical / median_se:.3g} times the median standard error {median_se:.3g}; is it meant for "
        "effects in these units?"
    )
    return [("wide-tau-prior", text)]


def _scatter(fit: Fit) -> Warnings:
    found = None if fit.model.is_common or _is_vague(fit) else scatter(fit.problem)
    if found is None or not found.tail < CONFLICT:
        return []
    priors = fit.priors
    freedom = f"{found.df} degree{'' if found.df == 1 else 's'} of freedom"
    text = (
        f"the prior of {priors.tau_on}, {priors.tau}, puts the median of tau at "
        f"{priors.tau_density.typical:.3g}, the studies suggest {found.tau:.3g}: a Q as extreme as "
        f"{found.Q:.4g} ({freedom}) has prior probability {_probability(found.tail)}"
    )
    return [("prior-data-conflict", text)]


def _locations(fit: Fit) -> Warnings:
    if _is_vague(fit):
        return []
    priors = dict(zip(fit.problem.coefficients, fit.priors.beta, strict=True))
    return [
        (
            "prior-data-conflict",
            f"the prior of {printable(one.name)}, {priors[one.name]}, is far from the fixed effect "
            f"{one.estimate:.4g} (standard error {one.se:.3g}), which has prior probability "
            f"{_probability(one.tail)}",
        )
        for one in locations(fit.problem)
        if one.tail < CONFLICT
    ]


def _probability(tail: float) -> str:
    return f"below {SMALLEST_SHOWN:.0e}" if tail < SMALLEST_SHOWN else f"{tail:.1g}"


def _far_intercept(fit: Fit) -> Warnings:
    """Doubt an intercept that is the effect at a value of 0 far from every study."""
    if not fit.design.intercept:
        return []
    plain = dict.fromkeys(
        factor.name for term in fit.design.formula.terms for factor in term if not factor.kind
    )
    found: Warnings = []
    for name in plain:
        values = fit.design.learned[name]
        if values.dtype.kind != "f":
            continue
        low, high = float(values.min()), float(values.max())
        if max(low, -high) > high - low:
            text = (
                f"Intercept is the effect at {printable(name)} = 0, far outside its range in the studies, "
                f"{low:g} to {high:g}; write center({printable(name)})"
            )
            found.append(("far-intercept", text))
    return found


def _moments(fit: Fit) -> Warnings:
    if fit.engine != "exact":
        return []
    summaries = {name: fit.marginal(name) for name in fit.names}
    without = [name for name, one in summaries.items() if np.isnan(one.mean) or np.isnan(one.sd)]
    if not without:
        return []
    listed = ", ".join(map(printable, without))
    return [("no-moments", f"mean or standard deviation does not exist for {listed}: heavy tails")]
