"""Rows of the tables of a fit, as plain dictionaries: one source for DataFrames, JSON, print and report."""

from __future__ import annotations

from math import exp, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.results.marginal import Summary, summarise
from bayesmeta.results.posterior import all_names, distribution_of, quantity_names, typical_variance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesmeta.arrays import Floats
    from bayesmeta.classical import Classical
    from bayesmeta.results.marginal import Distribution
    from bayesmeta.results.posterior import Posterior
    from bayesmeta.studies import Studies

type Row = dict[str, Any]

COLUMNS = Summary._fields
"""Columns of a summary."""
OF_SCALE = ("tau", "I2", "H2", "delta[")
"""How the names of quantities of heterogeneity begin."""
EXPONENTIATED = ("median", "lower", "upper")


def summary_rows(posterior: Posterior, *, prob: float, kind: str) -> dict[str, Row]:
    """Return a row for each coefficient, tau, and theta_new without moderators."""
    return quantity_rows(posterior, quantity_names(posterior.problem), prob=prob, kind=kind)


def quantity_rows(posterior: Posterior, names: Sequence[str], *, prob: float, kind: str) -> dict[str, Row]:
    """Return a row for each of the named quantities."""
    return {name: _row(distribution_of(posterior, name), prob=prob, kind=kind) for name in names}


def _row(distribution: Distribution, *, prob: float, kind: str) -> Row:
    return distribution_rows(distribution, prob=prob, kind=kind)[0]


def distribution_rows(distribution: Distribution, *, prob: float, kind: str) -> list[Row]:
    """Return a row for each of the quantities of a distribution."""
    columns = summarise(distribution, prob=prob, kind=kind)
    return [dict(zip(COLUMNS, map(float, values), strict=True)) for values in zip(*columns, strict=True)]


def heterogeneity_rows(
    posterior: Posterior, classical: Mapping[str, Classical], *, prob: float, kind: str
) -> dict[str, Row]:
    """Return posteriors of tau, tau2, I2, H2 and theta_new, with Q-profile limits beside them."""
    problem = posterior.problem
    typical = typical_variance(problem)
    names = ["tau", "tau2", *(["I2", "H2"] if np.isfinite(typical) else [])]
    if problem.scale is not None:
        names = [name for name in all_names(problem) if name.startswith(OF_SCALE)]
    rows = quantity_rows(posterior, names, prob=prob, kind=kind)
    for name, row in rows.items() if problem.scale is None else ():
        row |= _q_profile(name, classical["REML"], typical) if "REML" in classical else {}
    if problem.is_pooled:
        rows |= quantity_rows(posterior, ["theta_new"], prob=prob, kind=kind)
        reml = classical.get("REML_HK")
        if reml is not None and problem.scale is None:
            rows["theta_new"] |= _classical_columns(float(reml.beta[0]), reml.pi_lower, reml.pi_upper)
    return rows


def _q_profile(name: str, reml: Classical, typical: float) -> Row:
    def on_scale(tau2: float) -> float:
        return {
            "tau": sqrt(tau2) if tau2 >= 0 else nan,
            "tau2": tau2,
            "I2": 100 * tau2 / (tau2 + typical),
            "H2": 1 + tau2 / typical,
        }[name]

    return _classical_columns(*map(on_scale, (reml.tau2, reml.tau2_lower, reml.tau2_upper)))


def _classical_columns(estimate: float, lower: float, upper: float) -> Row:
    return {"classical": estimate, "classical_lower": lower, "classical_upper": upper}


def effect_rows(
    posterior: Posterior, studies: Studies, fixed: Floats | None, *, prob: float, kind: str
) -> list[Row]:
    """Return a row for each study: observed effect, shrunken effect, weights in percent and pooling."""
    used = posterior.problem.studies
    weights, pooling = posterior.shares()
    shrunken = distribution_rows(posterior.theta, prob=prob, kind=kind)
    place = {label: i for i, label in enumerate(used.slab)}
    by_label = dict(zip(studies.pooled().slab, fixed, strict=True)) if fixed is not None else {}
    rows = []
    for label, i in place.items():
        weight = {
            "weight_fixed": float(by_label.get(label, nan)),
            "weight_random": float(weights[i]),
        }
        observed = {"slab": label, "yi": float(used.yi[i]), "sei": float(used.sei[i])}
        rows.append({**observed, **shrunken[i], **weight, "pooling": float(pooling[i])})
    return rows


def compare_rows(
    posterior: Posterior, classical: Mapping[str, Classical], *, prob: float, kind: str
) -> list[Row]:
    """Return the classical analyses and the posterior side by side, a row for each method and coefficient."""
    rows = [row for name, result in classical.items() for row in _classical_rows(name, result)]
    summary = summary_rows(posterior, prob=prob, kind=kind)
    tau, new = summary["tau"], summary.get("theta_new", {})
    for name in posterior.problem.coefficients:
        own = summary[name]
        rows.append(
            {
                "method": posterior.engine,
                "quantity": name,
                "estimate": own["median"],
                "se": own["sd"],
                "lower": own["lower"],
                "upper": own["upper"],
                "p": nan,
                "tau": tau["median"],
                "tau_lower": tau["lower"],
                "tau_upper": tau["upper"],
                "I2": _i2(posterior),
                "pi_lower": new.get("lower", nan),
                "pi_upper": new.get("upper", nan),
            }
        )
    return rows


def _i2(posterior: Posterior) -> float:
    if not np.isfinite(typical_variance(posterior.problem)):
        return nan
    return float(distribution_of(posterior, "I2").quantile(np.array([0.5]))[0, 0])


def _classical_rows(name: str, result: Classical) -> list[Row]:
    columns = (result.names, result.beta, result.se, result.lower, result.upper, result.p_value)
    return [
        {
            "method": name,
            "quantity": str(coefficient),
            "estimate": float(estimate),
            "se": float(se),
            "lower": float(lower),
            "upper": float(upper),
            "p": float(p),
            "tau": _root(result.tau2),
            "tau_lower": _root(result.tau2_lower),
            "tau_upper": _root(result.tau2_upper),
            "I2": result.I2,
            "pi_lower": result.pi_lower,
            "pi_upper": result.pi_upper,
        }
        for coefficient, estimate, se, lower, upper, p in zip(*columns, strict=True)
    ]


def _root(value: float) -> float:
    return sqrt(value) if value >= 0 else nan


def exponentiated(row: Row) -> Row:
    """Return median and interval of a ratio measure on the scale of the ratio."""
    return {name: exp(min(row[name], 700.0)) for name in EXPONENTIATED if name in row}
