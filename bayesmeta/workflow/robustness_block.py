"""``results.json``: the robustness of the main answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.bias import Assessment
    from bayesmeta.sensitivity import BayesFactor, ModelAverage, Outliers, PriorAtlas, Subsets, TippingPoints
    from bayesmeta.workflow.robustness import Robustness

type Block = dict[str, Any]

CUTS = ("lowest", "quartile1", "median", "quartile3", "highest")
"""Names of minimum, quartiles and maximum."""


def robustness_block(found: Robustness) -> Block:
    """Return the block ``robustness`` of the document."""
    return {
        "informativeness": [one._asdict() for one in found.informativeness],
        "bayes_factors": [_bayes_factor(one) for one in found.bayes_factors],
        "model_average": {} if found.average is None else _average(found.average),
        "predictive_checks": [one._asdict() for one in found.checks],
        "atlas": {} if found.atlas is None else _atlas(found.atlas),
        "tipping_points": {} if found.tipping is None else _tipping(found.tipping),
        "small_study": {} if found.small_study is None else _small_study(found.small_study),
        "influence": [] if found.influence is None else _influence(found.influence),
        "outliers": {} if found.outliers is None else _outliers(found.outliers),
        "cumulative": {} if found.steps is None else _steps(found.steps),
        "subsets": {} if found.every is None else _every(found.every),
        "reasons": dict(found.reasons),
    }


def _bayes_factor(one: BayesFactor) -> Block:
    return {**one._asdict(), "bf01": one.bf01, "minimum": one.minimum}


def _average(average: ModelAverage) -> Block:
    return {
        "models": [model._asdict() for model in average.models],
        "effect": average.inclusion("effect")._asdict(),
        "heterogeneity": average.inclusion("heterogeneity")._asdict(),
    }


def _atlas(atlas: PriorAtlas) -> Block:
    """Return the extremes of the atlas; its table is a file of its own."""
    table = atlas.table()
    return {
        "default_family": atlas.default_family,
        "combinations": len(atlas),
        "answered": int((table["status"] == "ok").sum()),
        "priors_of_tau": [str(one) for one in atlas.priors_of_tau],
        "priors_of_mu": [str(one) for one in atlas.priors_of_mu],
        "ranges": atlas.ranges().to_dict(orient="index"),
    }


def _tipping(points: TippingPoints) -> Block:
    return {
        "statement": points.statement,
        "decision": points.decision,
        "probability": points.probability,
        "points": points.table().to_dict(orient="records"),
    }


def _small_study(assessment: Assessment) -> Block:
    return {
        "k": assessment.k,
        "direction": assessment.direction,
        "level": assessment.level,
        "methods": {row.method: row._asdict() for row in assessment.rows()},
        "warnings": list(assessment.warnings),
    }


def _influence(table: pd.DataFrame) -> list[Block]:
    rows: list[Block] = table.reset_index().to_dict(orient="records")  # type: ignore[assignment]
    return rows


def _outliers(found: Outliers) -> Block:
    return {
        "eps": found.eps,
        "extra": found.extra,
        "log_bayes_factor": found.log_evidence - found.log_evidence_without,
        "mu": found.mu._asdict(),
        "tau": found.tau._asdict(),
        "error": found.error,
        "studies": found.table().reset_index().to_dict(orient="records"),
    }


def _steps(steps: Subsets) -> Block:
    parts = ("median", "lower", "upper")
    return {
        "studies": [
            {
                "added": name,
                "k": int(steps.k[i]),
                "mu": {part: float(steps.of("mu", part)[i]) for part in parts},
                "tau": {part: float(steps.of("tau", part)[i]) for part in parts},
                "theta_new": {part: float(steps.of("theta_new", part)[i]) for part in parts[1:]},
            }
            for i, name in enumerate(steps.names)
        ]
    }


def _every(every: Subsets) -> Block:
    """Return extremes and quartiles over the subsets of at least two studies."""
    kept = every.k >= min(2, int(every.k.max()))
    spans = {}
    for name in ("mu", "tau", "I2"):
        values = every.of(name, "median")[kept]
        values = values[np.isfinite(values)]
        cuts = np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0]) if values.size else np.full(5, np.nan)
        spans[name] = dict(zip(CUTS, cuts.tolist(), strict=True))
    return {"count": int(kept.sum()), "failed": len(every.status), "medians": spans}
