"""``results.json``: the robustness of the main answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmeta.sensitivity import BayesFactor, ModelAverage
    from bayesmeta.workflow.robustness import Robustness

type Block = dict[str, Any]


def robustness_block(found: Robustness) -> Block:
    """Return the block ``robustness`` of the document."""
    return {
        "informativeness": [one._asdict() for one in found.informativeness],
        "bayes_factors": [_bayes_factor(one) for one in found.bayes_factors],
        "model_average": {} if found.average is None else _average(found.average),
        "predictive_checks": [one._asdict() for one in found.checks],
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
