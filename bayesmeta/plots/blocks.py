"""Blocks of a forest plot: the studies of each subgroup with its answer, and what is said of all."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from bayesmeta.errors import AnalysisError, printable
from bayesmeta.plots.sentences import tau_numbers, tau_text
from bayesmeta.plots.spans import Span, reported, span_of
from bayesmeta.plots.words import bounded, capital, clean, decimals_for, number_text, ratio_text
from bayesmeta.regression import Subgroups
from bayesmeta.results.fit import require_fit
from bayesmeta.results.tables import distribution_rows, quantity_rows, summary_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.regression import Group
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

OTHERS = "Other studies"
MOST_PAIRS = 3
"""Differences of subgroups that are told below a forest plot; a table has room for more."""


class Answer(NamedTuple):
    """What is drawn below the studies of a block."""

    k: str
    """Number of studies, of those with an estimate if some have none."""
    mean: Span | None
    """Mean effect; None where there is none."""
    note: str
    """tau, or why there is no answer."""


class Block(NamedTuple):
    """Studies that stand together."""

    name: str
    """Heading; empty if there is none."""
    labels: Sequence[str]
    """Labels of the studies."""
    answer: Answer | None
    """Answer of the block."""


class Blocks(NamedTuple):
    """All studies in blocks."""

    blocks: tuple[Block, ...]
    """From top to bottom."""
    footer: tuple[str, ...] = ()
    """What is said of them together."""


def blocks_of(fit: Fit, subgroups: Mapping[str, Fit] | Subgroups, *, prob: float, kind: str) -> Blocks:
    """Return the studies of a fit in blocks, one for each subgroup.

    Raises
    ------
    AnalysisError
        If a subgroup has a study that is not among those of the fit, or is in two subgroups.
    """
    if isinstance(subgroups, Subgroups):
        found = {
            name: Block(name, group.slab, _of_group(fit, subgroups, group, prob, kind))
            for name, group in subgroups.groups.items()
        }
        footer = _footer(fit.studies, subgroups, prob, kind)
    else:
        _check_groups(subgroups)
        found = {
            name: Block(name, own.studies.slab, _of_fit(own, prob, kind)) for name, own in subgroups.items()
        }
        footer = ()
    return Blocks((*found.values(), *_others(fit, found)), footer)


def _check_groups(subgroups: object) -> None:
    if not isinstance(subgroups, Mapping):
        raise AnalysisError(
            "subgroups must be what bm.subgroups returned, or fits by name, such as {'a': fit}; got "
            f"{type(subgroups).__name__}"
        )
    for name, own in subgroups.items():
        require_fit(own, f"forest, for the subgroup '{printable(name)}',")


def _others(fit: Fit, blocks: Mapping[str, Block]) -> list[Block]:
    """Return the block of the studies that are in no subgroup."""
    if not blocks:
        return [Block("", fit.studies.slab, None)]
    left = dict.fromkeys(fit.studies.slab)
    for name, block in blocks.items():
        strange = [label for label in block.labels if label not in left]
        if strange:
            raise AnalysisError(
                f"subgroup '{printable(name)}' has the study '{printable(strange[0])}', which is not among "
                "those of the fit or is in another subgroup; fit the subgroups on parts of the same studies"
            )
        for label in block.labels:
            del left[label]
    return [Block(OTHERS, tuple(left), None)] if left else []


def count_text(fit: Fit) -> str:
    """Return the number of studies with an estimate, and of how many if some have none."""
    k, all_studies = fit.problem.k, fit.studies.k
    return str(k) if k == all_studies else f"{k} of {all_studies}"


def _of_fit(own: Fit, prob: float, kind: str) -> Answer:
    summary = summary_rows(own.posterior, prob=prob, kind=kind)
    mean = span_of(own.studies, summary["mu"]) if own.problem.is_pooled else None
    return Answer(count_text(own), mean, tau_text(summary["tau"]))


def _of_group(fit: Fit, subgroups: Subgroups, group: Group, prob: float, kind: str) -> Answer:
    if group.fit is not None:
        return _of_fit(group.fit, prob, kind)
    if group.mean is None:
        return Answer(str(group.k), None, "no studies" if not group.k else "no posterior")
    used = set(subgroups.regression.problem.studies.slab) if subgroups.regression is not None else set()
    k = sum(label in used for label in group.slab)
    mean = distribution_rows(group.mean.distribution, prob=prob, kind=kind)[0]
    count = str(k) if k == group.k else f"{k} of {group.k}"
    return Answer(count, span_of(fit.studies, mean), "τ shared")


def _footer(studies: Studies, subgroups: Subgroups, prob: float, kind: str) -> tuple[str, ...]:
    """Return the differences between subgroups in words, and the tau that they share."""
    answered = [name for name, group in subgroups.groups.items() if group.mean is not None]
    pairs = list(combinations(answered, 2))[:MOST_PAIRS]
    parts = [_difference(studies, subgroups, two, one, prob, kind) for one, two in pairs]
    said = [f"{capital('; '.join(parts))}."] if parts else []
    if subgroups.regression is not None:
        tau = quantity_rows(subgroups.regression.posterior, ["tau"], prob=prob, kind=kind)["tau"]
        said.append(f"Subgroups share τ = {tau_numbers(tau)}.")
    return tuple(said)


def _difference(studies: Studies, subgroups: Subgroups, one: str, other: str, prob: float, kind: str) -> str:
    found = subgroups.difference(one, other)
    row = distribution_rows(found.distribution, prob=prob, kind=kind)[0]
    span = reported(studies, (row["median"], row["lower"], row["upper"]))
    decimals = decimals_for([(span.upper - span.lower) / 2])
    numbers = [ratio_text(value) if studies.is_ratio else number_text(value, decimals) for value in span]
    sign, null = ("/", "1") if studies.is_ratio else ("−", "0")
    text = f"{clean(one)} {sign} {clean(other)}: {numbers[0]} [{numbers[1]}, {numbers[2]}]"
    return f"{text}, P(> {null}) {bounded(1 - found.cdf(0.0), '= ')}"
