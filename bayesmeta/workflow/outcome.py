"""What a run found, as values: fits, their exact twins, subgroups, sensitivity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bayesmeta.workflow.robustness import Robustness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.agreement import Agreement
    from bayesmeta.analysis import Analysis
    from bayesmeta.classical import SubgroupDifference
    from bayesmeta.regression import ModeratorSelection
    from bayesmeta.regression import Subgroups as ExactSubgroups
    from bayesmeta.results.fit import Fit
    from bayesmeta.sensitivity import LeftOut, PriorChoice
    from bayesmeta.studies import Studies


class Unanswered(NamedTuple):
    """A subgroup without a posterior; the run goes on without it."""

    k: int
    """Number of studies."""
    status: str
    """``"no studies"``, ``"no estimate"`` or ``"improper"``."""
    reason: str
    """Why."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A fit with its cross-check.

    Attributes
    ----------
    fit : Fit
        The answer.
    exact : Fit or None
        The same by integration, where the answer was sampled and that is possible.
    agreement : Agreement or None
        Their comparison.
    """

    fit: Fit
    exact: Fit | None = None
    agreement: Agreement | None = None

    @property
    def ok(self) -> bool:
        """Whether the fit is reliable, and agrees with its twin."""
        return self.fit.status != "unreliable" and (self.agreement is None or self.agreement.ok)

    @property
    def best(self) -> Fit:
        """The exact fit where there is one."""
        return self.fit if self.exact is None else self.exact


@dataclass(frozen=True, slots=True)
class Subgroups:
    """A division of the studies.

    Attributes
    ----------
    by : str
        Column.
    groups : mapping of str to Checked
        Answer of each group, with a tau of its own.
    unanswered : mapping of str to Unanswered
        Groups without a posterior.
    exact : bayesmeta.regression.Subgroups or None
        The same by integration, with the posteriors of all differences; with one tau for all if that was
        asked for.
    differences : mapping of str to SubgroupDifference
        Classical tests, by method.
    """

    by: str
    groups: Mapping[str, Checked]
    differences: Mapping[str, SubgroupDifference]
    unanswered: Mapping[str, Unanswered] = field(default_factory=dict)
    exact: ExactSubgroups | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a run found.

    Attributes
    ----------
    analysis : Analysis
        What was asked.
    studies : Studies
        The studies.
    seed : int
        Seed of everything random.
    main : Checked
        The main model.
    regressions : mapping of str to Checked
        Regressions by name.
    subgroups : tuple of Subgroups
        Divisions of the studies.
    left_out : tuple of LeftOut
        Leave-one-out.
    priors : tuple of PriorChoice
        Other priors.
    also : mapping of str to Fit
        Further measures of the same counts.
    moderators : ModeratorSelection or None
        Every subset of the moderators that were listed.
    robustness : Robustness
        How far the main answer depends on priors and studies.
    notes : tuple of (str, str)
        Identifier and sentence of each remark on the run.
    """

    analysis: Analysis
    studies: Studies
    seed: int
    main: Checked
    regressions: Mapping[str, Checked] = field(default_factory=dict)
    subgroups: tuple[Subgroups, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    priors: tuple[PriorChoice, ...] = ()
    also: Mapping[str, Fit] = field(default_factory=dict)
    moderators: ModeratorSelection | None = None
    robustness: Robustness = field(default_factory=Robustness)
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def agreements(self) -> dict[str, Agreement]:
        """Every comparison of two engines, by the name of the fit."""
        return {name: one.agreement for name, one in self.named.items() if one.agreement is not None}

    @property
    def named(self) -> dict[str, Checked]:
        """Main model, regressions and subgroups, by the name of the fit."""
        named = {"main": self.main, **{f"regressions.{name}": one for name, one in self.regressions.items()}}
        for division in self.subgroups:
            named |= {f"subgroups.{division.by}.{name}": one for name, one in division.groups.items()}
        return named

    @property
    def failures(self) -> tuple[str, ...]:
        """What makes the run unreliable, in sentences; empty if nothing does."""
        unreliable = [
            f"{name}: {text}"
            for name, one in self.named.items()
            if one.fit.diagnostics is not None
            for _, text in one.fit.diagnostics.checks
        ]
        apart = [
            f"{name}: NUTS and the exact answer differ by {one.largest:.3g} Monte Carlo standard errors, "
            f"more than the {one.threshold:.3g} that chance explains"
            for name, one in self.agreements.items()
            if not one.ok
        ]
        others = [
            *(("leaving out " + one.omitted, one.fit) for one in self.left_out),
            *((f"tau ~ {one.tau}, mu ~ {one.mu}", one.fit) for one in self.priors),
            *self.also.items(),
        ]
        sampled = [
            f"{name}: the sampler did not converge" for name, fit in others if fit.status == "unreliable"
        ]
        return (*unreliable, *apart, *sampled)

    @property
    def fits(self) -> tuple[Fit, ...]:
        """Every fit of the run."""
        groups = [one.fit for division in self.subgroups for one in division.groups.values()]
        others = [*(one.fit for one in self.left_out), *(one.fit for one in self.priors)]
        regressions = [one.fit for one in self.regressions.values()]
        return (self.main.fit, *regressions, *groups, *others, *self.also.values())
