"""Facts of an outcome that a report says in words: where the data come from, and what is how probable."""

from __future__ import annotations

from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, Any

from bayesmeta.analysis_options import plain

if TYPE_CHECKING:
    from bayesmeta.analysis import Analysis
    from bayesmeta.results.fit import Fit

type Block = dict[str, Any]

POOLED = ("mu", "theta_new")


def data_block(analysis: Analysis) -> Block:
    """Return the table ``[data]`` of an analysis, without the folder of the file, which may be private."""
    block: Block = plain(analysis.data)
    return block | ({"file": PureWindowsPath(block["file"]).name} if block.get("file") else {})


def benefit_block(fit: Fit, important: float | None) -> Block:
    """Return probabilities of effects on the better side of 0, and beyond the minimal important difference.

    Parameters
    ----------
    fit : Fit
        The answer; without a pooled effect nothing is returned.
    important : float or None
        Minimal important difference on the analysis scale.

    Returns
    -------
    dict
        For ``mu`` and ``theta_new``, the entries ``any`` and, if there is a difference, ``important``, each
        with ``statement`` and ``probability``. Above 0 counts as better where no direction is.
    """
    if not fit.problem.is_pooled:
        return {}
    sign, side = ("<", -1) if fit.studies.better == "lower" else (">", 1)
    limits = {"any": "0"} | ({} if important is None else {"important": repr(side * important)})
    return {
        name: {limit: _stated(fit, f"{name} {sign} {value}") for limit, value in limits.items()}
        for name in POOLED
    }


def _stated(fit: Fit, statement: str) -> Block:
    return {"statement": statement, "probability": fit.probability(statement)}


def positive_block(fit: Fit) -> Block:
    """Return the probability that each coefficient is above 0."""
    return {name: 1 - float(fit.marginal(name).cdf(0.0)) for name in fit.problem.coefficients}
