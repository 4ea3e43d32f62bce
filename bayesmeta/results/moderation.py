"""What moderators explain: classical tests of them all, and R2 as a posterior beside the classical one."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from bayesmeta.errors import AnalysisError
from bayesmeta.results.explained import explained
from bayesmeta.results.tables import distribution_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.classical import Classical
    from bayesmeta.results.posterior import Posterior
    from bayesmeta.results.tables import Row

NUMBERS = ("QM", "QM_df", "QM_p", "QE", "QE_df", "QE_p", "tau2", "R2")


def moderation_rows(
    posterior: Posterior, classical: Mapping[str, Classical], *, prob: float, kind: str
) -> dict[str, Row]:
    """Return a row for each classical analysis and one for the posterior.

    Raises
    ------
    AnalysisError
        If there are no moderators.
    """
    if not posterior.problem.design.formula.terms:
        raise AnalysisError(f"there are no moderators in '{posterior.problem.model.mods}' to test")
    rows = {name: _classical_row(one) for name, one in classical.items()}
    shares = distribution_rows(explained(posterior), prob=prob, kind=kind)[0]
    tau2 = distribution_rows(posterior.tau, prob=prob, kind=kind)[0]["median"] ** 2
    ours = {**dict.fromkeys(NUMBERS, nan), "tau2": tau2, "R2": shares["median"]}
    return rows | {posterior.engine: ours | {"R2_lower": shares["lower"], "R2_upper": shares["upper"]}}


def _classical_row(one: Classical) -> Row:
    left = {"QE": one.Q, "QE_df": one.Q_df, "QE_p": one.Q_p}
    numbers = {"QM": one.QM, "QM_df": one.QM_df, "QM_p": one.QM_p, **left, "tau2": one.tau2, "R2": one.R2}
    return numbers | {"R2_lower": nan, "R2_upper": nan}
