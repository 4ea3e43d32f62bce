"""``results.json``: the robustness of the main answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmeta.bias import Assessment
    from bayesmeta.sensitivity import BayesFactor, ModelAverage, PriorAtlas, TippingPoints
    from bayesmeta.workflow.robustness import Robustness

type Block = dict[str, Any]


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
        "rows": [row._asdict() for row in assessment.rows()],
        "warnings": list(assessment.warnings),
    }
