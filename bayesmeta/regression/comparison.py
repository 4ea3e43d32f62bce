"""Models of the same studies side by side: evidence, posterior probabilities, leave-one-out prediction."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import AnalysisError, BayesmetaError, printable, suggest, told
from bayesmeta.priors import Flat
from bayesmeta.results.blend import posterior_weights
from bayesmeta.results.fit import require_fit
from bayesmeta.results.loo import leave_one_out_density

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.tables import Row


def compare_models(fits: Mapping[str, Fit], *, prior: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Return models of the same studies side by side.

    Parameters
    ----------
    fits : mapping of str to Fit
        The models by name, such as different forms of one moderator.
    prior : mapping of str to float, optional
        Prior probability of each, or numbers proportional to them; equal by default.

    Returns
    -------
    DataFrame
        Rows in the order given. ``mods p log_evidence prior posterior``; ``bayes_factor`` against the model
        with the most evidence; ``elpd_loo se_loo p_loo``, the exact leave-one-out log predictive density, its
        standard error over studies and the effective number of parameters; ``elpd_difference
        se_difference``, from the model that predicts best. NaN where a number is not known or not comparable:
        evidence from NUTS, with a flat prior of a coefficient of a moderator, or with an improper prior that
        another model does not share; prediction of a study that alone determines a coefficient.

    Raises
    ------
    AnalysisError
        If the fits are not of the same studies, or a prior probability is missing.

    Notes
    -----
    Priors decide what the evidence means: those of the coefficients should say as much in every model. The
    default ones do: half of a large effect within two standard deviations of the moderator's column.
    """
    import pandas as pd

    return pd.DataFrame.from_dict(comparison_rows(fits, prior=prior), orient="index")


def comparison_rows(fits: Mapping[str, Fit], *, prior: Mapping[str, float] | None = None) -> dict[str, Row]:
    """Return the rows of `compare_models` as dictionaries."""
    _check_studies(fits)
    weights = _prior(fits, prior)
    evidence = _evidence(fits)
    comparable = bool(np.isfinite(evidence).all())
    posterior = posterior_weights(evidence, weights) if comparable else np.full(len(fits), nan)
    predicted = _predicted(fits)
    rows = {}
    for i, (name, fit) in enumerate(fits.items()):
        rows[name] = {
            "mods": fit.model.mods,
            "p": fit.problem.p,
            "log_evidence": float(evidence[i]),
            "prior": float(weights[i]),
            "posterior": float(posterior[i]),
            "bayes_factor": float(np.exp(evidence[i] - evidence.max())) if comparable else nan,
            **predicted[name],
        }
    return rows


def _check_studies(fits: Mapping[str, Fit]) -> None:
    if not isinstance(fits, Mapping):
        raise AnalysisError(
            f"fits must be named, such as {{'a': fit, 'b': other}}; got {type(fits).__name__}"
        )
    for name, fit in fits.items():
        require_fit(fit, f"compare_models, for '{printable(name)}',")
    if len(fits) < 2:
        raise AnalysisError(f"a comparison needs at least 2 models; got {len(fits)}")
    (first, one), *others = fits.items()
    for name, other in others:
        pairs = [(getattr(one.problem, part), getattr(other.problem, part)) for part in ("y", "v")]
        if not all(np.array_equal(*pair, equal_nan=True) for pair in pairs):
            raise AnalysisError(
                f"models can be compared on the same studies only; '{printable(first)}' and "
                f"'{printable(name)}' have others; drop the studies that lack a moderator from both"
            )


def _prior(fits: Mapping[str, Fit], prior: Mapping[str, float] | None) -> Floats:
    if prior is None:
        return np.full(len(fits), 1 / len(fits))
    if not isinstance(prior, Mapping):
        raise AnalysisError(
            f"prior must be a probability for each model, such as {{'a': 0.5, 'b': 0.5}}; got {told(prior)}"
        )
    for name in fits:
        if not strictly_between(prior.get(name), 0, inf):
            got = told(prior[name]) if name in prior else "none"
            raise AnalysisError(
                f"prior must have a probability above 0 for the model '{printable(name)}'; got {got}"
            )
    _refuse_unknown(fits, prior)
    weights = np.array([float(prior[name]) for name in fits])
    return np.asarray(weights / weights.sum())


def _refuse_unknown(fits: Mapping[str, Fit], prior: Mapping[str, float]) -> None:
    strange = [name for name in prior if name not in fits]
    if strange:
        hint = suggest(strange[0], fits) or f"; there are {', '.join(map(printable, fits))}"
        raise AnalysisError(f"prior has the model '{printable(strange[0])}', which is not compared{hint}")


def _evidence(fits: Mapping[str, Fit]) -> Floats:
    """Return the (n,) logs of the evidence, NaN where that of another model cannot be compared with it.

    The scale of the evidence under an improper prior is arbitrary; it cancels where all models share it.
    """
    improper = [_improper(fit) for fit in fits.values()]
    shared = len(set(improper)) == 1
    values = [_known_evidence(fit) for fit in fits.values()]
    return np.array(
        [value if shared or not any(which) else nan for value, which in zip(values, improper, strict=True)]
    )


def _improper(fit: Fit) -> tuple[int, str]:
    """Return how many coefficients have an improper prior, and the prior of tau if it is one."""
    priors = fit.priors
    tau = "" if priors.tau_density.proper else f"{priors.tau_on} ~ {priors.tau}"
    return sum(not prior.proper for prior in priors.beta), tau


def _known_evidence(fit: Fit) -> float:
    """Return the log evidence, NaN under flat priors of several coefficients."""
    priors = zip(fit.priors.beta, fit.design.is_mean, strict=True)
    slopes_flat = any(isinstance(prior, Flat) and not mean for prior, mean in priors)
    means_flat = isinstance(fit.priors.mu, Flat) and sum(fit.design.is_mean) > 1
    return nan if slopes_flat or means_flat else fit.log_evidence


def _predicted(fits: Mapping[str, Fit]) -> dict[str, Row]:
    """Return leave-one-out prediction of each model, and how far it is from the best."""
    found: dict[str, Any] = {}
    for name, fit in fits.items():
        try:
            found[name] = leave_one_out_density(fit.posterior)
        except BayesmetaError:
            found[name] = None
    known = {name: one.elpd for name, one in found.items() if one is not None and np.isfinite(one.elpd)}
    best = found[max(known, key=known.__getitem__)] if known else None
    return {name: _loo_row(one, best) for name, one in found.items()}


def _loo_row(one: Any, best: Any) -> Row:
    if one is None:
        return dict.fromkeys(("elpd_loo", "se_loo", "p_loo", "elpd_difference", "se_difference"), nan)
    row = {"elpd_loo": one.elpd, "se_loo": one.se, "p_loo": one.p}
    if best is None:
        return row | {"elpd_difference": nan, "se_difference": nan}
    apart = one.pointwise - best.pointwise
    k = apart.size
    se = sqrt(k * float(np.var(apart, ddof=1))) if k > 1 else nan
    return row | {"elpd_difference": float(apart.sum()), "se_difference": se}
