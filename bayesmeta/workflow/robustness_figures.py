"""Figures of how far the main answer depends on its priors and on its studies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesmeta import plots
from bayesmeta.plots.rows import MOST_STUDIES
from bayesmeta.plots.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from bayesmeta.workflow.outcome import Outcome


def robustness_figures(outcome: Outcome) -> Iterator[tuple[str, str, Axes]]:
    """Yield name, caption and Axes of each figure that applies.

    ``prior_atlas`` and ``prior_spaghetti`` with the atlas, ``tipping`` with tipping points, ``influence``,
    ``cumulative`` and ``gosh`` with the sensitivity to studies.
    """
    yield from _priors(outcome)
    if outcome.studies.k <= MOST_STUDIES:
        yield from _studies(outcome)


def _priors(outcome: Outcome) -> Iterator[tuple[str, str, Axes]]:
    found = outcome.robustness
    if found.atlas is not None:
        yield (
            "prior_atlas",
            "The prior atlas: probability of a benefit under each combination of priors, those of the "
            "between-study standard deviation τ in rows, those of the mean effect μ in columns.",
            plots.prior_heatmap(found.atlas),
        )
        yield (
            "prior_spaghetti",
            "Posterior densities of the mean effect under all priors of the atlas; the answer in force is "
            "the orange line.",
            plots.prior_densities(found.atlas),
        )
    if found.tipping is not None:
        line = percent(found.tipping.decision)
        yield (
            "tipping",
            f"Probability that {_statement(found.tipping.statement)} as the effect of one study changes, all "
            f"else staying as it is. The curves cross the line of {line} at the tipping points.",
            plots.tipping(found.tipping),
        )


def _statement(text: str) -> str:
    return text.replace("theta_new", "θ new").replace("mu", "μ")


def _studies(outcome: Outcome) -> Iterator[tuple[str, str, Axes]]:
    found = outcome.robustness
    if found.influence is not None:
        yield (
            "influence",
            "What each study does: distance from what the others predict, shift of μ, change of τ, and "
            "distance of the posteriors of μ with and without it.",
            plots.influence(found.influence)[0],
        )
    if found.steps is not None:
        yield (
            "cumulative",
            "The answer as studies are added in order: posterior medians with "
            f"{percent(found.steps.prob)} equal-tailed intervals.",
            plots.cumulative(found.steps, outcome.main.best),
        )
    if found.every is not None and len(found.every) > 2:
        yield (
            "gosh",
            f"Posterior medians of μ and τ from {len(found.every):,} subsets of the studies, coloured by "
            "whether the most influential study is in.",
            plots.gosh(found.every, study=_most_influential(outcome)),
        )


def _most_influential(outcome: Outcome) -> str | None:
    table = outcome.robustness.influence
    if table is None or table["hellinger"].isna().all():
        return None
    return str(table["hellinger"].idxmax())
