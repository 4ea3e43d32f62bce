"""Statistical doubts about a fit, as named sentences that every output shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.priors import Flat

if TYPE_CHECKING:
    from bayesmeta.results.fit import Fit

type Warnings = list[tuple[str, str]]

FEW_STUDIES = 5
WIDE_PRIOR = 10.0
"""Ratio of the prior median of tau to the median standard error above which units are doubted."""


def warnings_of(fit: Fit) -> tuple[tuple[str, str], ...]:
    """Return every doubt about a fit, each once, as pairs of identifier and sentence."""
    found = [*fit.studies.notes, *fit.design.notes, *_few(fit), *_wide_prior(fit), *_moments(fit)]
    if fit.diagnostics is not None:
        found += fit.diagnostics.checks
    return tuple(dict.fromkeys((str(name), str(text)) for name, text in found))


def _few(fit: Fit) -> Warnings:
    k, p = fit.problem.k, fit.problem.p
    if k <= p and isinstance(fit.priors.mu, Flat):
        return [("prior-only", f"{k} studies and {p} coefficients: the posterior of tau is its prior")]
    if k < FEW_STUDIES:
        studies = "study" if k == 1 else "studies"
        return [
            ("few-studies", f"{k} {studies}: tau and the prediction interval rest mostly on the prior of tau")
        ]
    return []


def _wide_prior(fit: Fit) -> Warnings:
    prior = fit.priors.tau_density
    if fit.model.likelihood != "normal" or not prior.proper:
        return []
    typical, median_se = prior.typical, float(np.median(fit.problem.studies.sei))
    if typical <= WIDE_PRIOR * median_se:
        return []
    ratio = typical / median_se
    text = (
        f"the prior of {fit.priors.tau_on}, {fit.priors.tau}, puts the median of tau at {typical:.3g}, "
        f"{ratio:.3g} times the median standard error; is it meant for effects in these units?"
    )
    return [("wide-tau-prior", text)]


def _moments(fit: Fit) -> Warnings:
    if fit.engine != "exact":
        return []
    summaries = {name: fit.marginal(name) for name in fit.names}
    without = [name for name, one in summaries.items() if np.isnan(one.mean) or np.isnan(one.sd)]
    if not without:
        return []
    return [
        ("no-moments", f"mean or standard deviation does not exist for {', '.join(without)}: heavy tails")
    ]
