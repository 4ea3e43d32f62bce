"""The table of between-study standard deviations that differ between studies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.report.numbers import (
    NOTHING,
    decimals_for,
    known,
    level,
    number,
    quantity,
    spread_of,
    supported,
)
from bayesmeta.report.tables import Row, Table, estimates, table, tests_of_scale, twin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]


def scale_table(facts: Facts) -> Table:
    """Return the taus and their log ratios as posteriors, with REML of the same model beside."""
    beside = estimates(facts.classical.get("REML_LS", {}))
    names = [name for name in facts.posterior if name == "tau" or name.startswith(("tau[", "delta["))]
    rows = [_scale_row(name, facts.posterior[name], beside.get(name)) for name in names]
    caption = (
        f"Heterogeneity{' on the log scale' if facts.is_ratio else ''} by {facts.document['scale']}: "
        f"posterior with {facts.credible}; beside it REML of the same model with the Wald {facts.confidence} "
        "of the logarithm. tau is the geometric mean of the studies' τ, delta the logarithm of a ratio of "
        "two."
    )
    columns = ["Quantity", "Posterior median", level(facts.prob), "Mean", "SD", "REML [Wald]"]
    return table(f"{caption}{tests_of_scale(facts.classical)}", columns, rows)


def _scale_row(name: str, block: Block, one: Block | None) -> Row:
    places = decimals_for(spread_of(block))
    shown, error = quantity(block, places), block.get("error") or {}
    moments = (
        number(block.get(part), supported(places, error.get(f"mcse_{part}"))) for part in ("mean", "sd")
    )
    beside = NOTHING if one is None or not known(one.get("estimate")) else twin(one, places)
    return Row((name, shown.centre, shown.interval, *moments, beside.partition("\n")[0]))
