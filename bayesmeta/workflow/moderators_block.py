"""``results.json``: differences between subgroups, and the selection of moderators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmeta.regression import ModeratorSelection, Subgroups

type Block = dict[str, Any]

MODELS = 16
"""Models that are listed, the likeliest first."""


def between_groups(found: Subgroups, prob: float, kind: str) -> Block:
    """Return posterior differences between groups and, where they share tau, their means.

    Parameters
    ----------
    found : Subgroups
        From `bayesmeta.subgroups`.
    prob, kind : float, str
        Level and kind of the intervals.
    """
    block: Block = {"posterior_differences": _records(found.differences(prob=prob, kind=kind))}
    if found.tau == "shared":
        block["shared"] = _records(found.table(prob=prob, kind=kind))
    return block


def selection_block(found: ModeratorSelection, prob: float) -> Block:
    """Return inclusion probabilities, averaged coefficients and the likeliest models."""
    return {
        "terms": list(found.terms),
        "count": len(found.prior),
        "inclusion": _records(found.inclusion()),
        "coefficients": _records(found.coefficients(prob=prob)),
        "models": found.models(MODELS).to_dict(orient="records"),
    }


def _records(frame: Any) -> Block:
    """Return the rows of a DataFrame as mappings, by their names."""
    rows: Block = frame.to_dict(orient="index")
    return {str(name): row for name, row in rows.items()}
