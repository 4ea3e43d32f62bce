"""Between-study standard deviations that differ between studies, as the terminal shows them."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from bayesmeta.cli.layout import interval, line, number, p_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

type Block = Mapping[str, Any]

OF_TAU = ("tau", "tau2", "I2", "H2")
"""Quantities of heterogeneity where there is one tau."""


def is_spread(name: str) -> bool:
    """Return whether a quantity of the posterior is one of heterogeneity."""
    return name in OF_TAU or name.startswith(("tau[", "delta["))


def spread_cells(one: Block | None, places: int) -> tuple[str, str]:
    """Return estimate and interval of a tau, or of a log ratio of taus, by REML."""
    if one is None:
        return "", ""
    estimate = "0" if one["estimate"] == 0 else number(one["estimate"], places)
    return estimate, interval(one["lower"], one["upper"], places)


def twin(classical: Block) -> tuple[str, Block]:
    """Return which classical answer stands beside a regression, and its estimates by name.

    That is the fixed effect; where tau differs between studies, REML of the same model.
    """
    method = "REML_LS" if "REML_LS" in classical else "fixed"
    found = classical.get(method, {})
    own = found.get("coefficients") or ({"mu": found} if found else {})
    spread = found.get("spread", {}).get("quantities", {})
    return "REML" if spread else "fixed", {**own, **spread}


def spread_tests(classical: Block) -> Iterator[RenderableType]:
    """Yield the classical tests that all studies have one tau, and what to doubt about its estimates."""
    spread = classical.get("REML_LS", {}).get("spread")
    if not spread:
        return
    if _exists(spread["LR"]):
        wald = f"p = {p_value(spread['QS_p'])}" if _exists(spread["QS_p"]) else "does not exist"
        yield line(
            f"One tau for all studies, REML: likelihood ratio {number(spread['LR'], 2)} on "
            f"{spread['LR_df']:.0f} df, p = {p_value(spread['LR_p'])}; Wald test {wald}"
        )
    for note in spread["notes"]:
        yield line(f"Note: {note['message']}")


def _exists(value: float | None) -> bool:
    return value is not None and isfinite(value)
