"""From an analysis to its outcome: which fits are made, in which order, on which engine."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from bayesmeta.agreement import agreement
from bayesmeta.classical import subgroup_difference
from bayesmeta.engines.components import why_not
from bayesmeta.errors import DataError, FormulaError, ImproperPosteriorError, NumericalError
from bayesmeta.fitting import fit as make_fit
from bayesmeta.model import Model
from bayesmeta.regression import moderator_selection, subgroups
from bayesmeta.sensitivity import leave_one_out, prior_sensitivity
from bayesmeta.workflow.outcome import Checked, Outcome, Subgroups
from bayesmeta.workflow.prepare import group_model, prepare
from bayesmeta.workflow.robustness import Robustness, robustness

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.analysis import Analysis
    from bayesmeta.regression import ModeratorSelection
    from bayesmeta.regression import Subgroups as ExactSubgroups
    from bayesmeta.results.fit import Fit
    from bayesmeta.sensitivity import LeftOut
    from bayesmeta.workflow.prepare import Division, Plan, Planned

type Say = Callable[[str], None]
type Report = Callable[[dict[str, Any]], None]

DIFFERENCE_METHODS = {"fixed": "FE", "DL": "DL"}


def compute(
    analysis: Analysis, *, engine: str | None = None, say: Say | None = None, report: Report | None = None
) -> Outcome:
    """Return everything that an analysis asks for.

    Parameters
    ----------
    analysis : Analysis
        What is asked.
    engine : str, optional
        Engine to use instead of those of the file.
    say : callable, optional
        Called with a line before each step.
    report : callable, optional
        Called with the progress of the sampler.

    Raises
    ------
    BayesmetaError
        If something in the analysis or the data is wrong, before anything is computed; or if a number
        cannot be computed.
    """
    say = say or _silent
    say("reading")
    plan = prepare(analysis, engine=engine)
    _warm_up(plan)
    run = _Run(plan, say, report)
    main = run.checked(plan.main)
    return Outcome(
        analysis=analysis,
        studies=plan.studies,
        seed=run.seed,
        main=main,
        regressions={name: run.checked(one) for name, one in plan.regressions.items()},
        subgroups=tuple(run.division(one) for one in plan.subgroups),
        left_out=run.left_out(main.fit),
        priors=run.other_priors(),
        also=run.other_measures(),
        moderators=run.moderators(),
        robustness=run.robustness(main),
        notes=tuple(run.notes),
    )


def _silent(_line: str) -> None:
    pass


def _warm_up(plan: Plan) -> None:
    """Begin compiling the first model that will be sampled."""
    sampled = [one for one in plan.fits if one.engine == "nuts"]
    if sampled:
        from bayesmeta.engines.nuts import warm_up

        warm_up(sampled[0].problem)


class _Run:
    """One run: the plan, its seed, and how fits are made."""

    def __init__(self, plan: Plan, say: Say, report: Report | None) -> None:
        self.plan, self.analysis, self.say, self.report = plan, plan.analysis, say, report
        self.seed = secrets.randbelow(2**32) if self.analysis.seed is None else self.analysis.seed
        self.notes: list[tuple[str, str]] = []

    @property
    def sampler(self) -> dict[str, Any]:
        """Options of the sampler."""
        options = self.analysis.engine
        names = ("chains", "tune", "draws", "target_accept")
        return {"report": self.report, **{name: getattr(options, name) for name in names}}

    def checked(self, one: Planned) -> Checked:
        """Return a fit, compared with the exact answer where it was sampled and that exists."""
        self.say(one.name)
        if one.engine == "exact":
            return Checked(make_fit(one.studies, one.model, engine="exact"))
        fit = make_fit(one.studies, one.model, engine="nuts", seed=self.seed, **self.sampler)
        if self.analysis.engine.cross_check != "exact" or why_not(one.problem):
            return Checked(fit)
        exact = make_fit(one.studies, one.model, engine="exact")
        return Checked(fit, exact, agreement(fit, exact, prob=self.analysis.interval.prob))

    def division(self, one: Division) -> Subgroups:
        """Return the answers of the subgroups; every group keeps the priors of all studies."""
        if not self.plan.main.model.has_one_tau:
            text = f"groups of {one.by} have one tau each; the scale formula of the main model is not in them"
            self.notes.append((f"one-tau-{one.by}", text))
        return Subgroups(
            one.by,
            {name: self.checked(group) for name, group in one.groups.items()},
            {
                name: subgroup_difference(one.studies, method=method)
                for name, method in DIFFERENCE_METHODS.items()
            },
            one.unanswered,
            self.exactly(one),
        )

    def exactly(self, one: Division) -> ExactSubgroups | None:
        """Return the groups by integration, with their differences; None where that cannot be done."""
        main = self.plan.main
        if why_not(main.problem):
            return None
        model = group_model(main.problem)
        try:
            return subgroups(self.plan.studies, one.by, model, tau=one.tau, engine="exact")
        except NumericalError as error:
            self.notes.append((f"differences-{one.by}", f"groups of {one.by} could not be compared: {error}"))
            return None

    def left_out(self, fit: Fit) -> tuple[LeftOut, ...]:
        """Return leave-one-out, by integration where that is possible; what prevented it becomes a note."""
        if not self.analysis.sensitivity.leave_one_out:
            return ()
        self.say("leave_one_out")
        if fit.problem.k < 2:
            self.notes.append(("leave-one-out", "leave-one-out needs at least 2 studies; there is 1"))
            return ()
        try:
            return leave_one_out(fit, seed=self.seed, **self.sampled_by(fit))
        except ImproperPosteriorError as error:
            self.notes.append(("leave-one-out", f"without one of the studies {error}"))
            return ()
        except (DataError, FormulaError) as error:
            text = f"studies could not be left out in turn, because a formula needs each of them: {error}"
            self.notes.append(("leave-one-out", text))
            return ()

    def other_priors(self) -> tuple[Any, ...]:
        """Return the answers under other priors, by integration where that is possible."""
        options = self.analysis.sensitivity
        if not options.tau_priors and not options.mu_priors:
            return ()
        self.say("prior_sensitivity")
        main = self.plan.main
        choices = tuple(
            prior_sensitivity(
                self.plan.studies,
                main.model,
                tau=options.tau_priors,
                mu=options.mu_priors,
                seed=self.seed,
                **self.sampled_by(main),
            )
        )
        for choice in choices:
            _ = choice.fit  # made now, so that this step takes the time and finds the errors
        return choices

    def moderators(self) -> ModeratorSelection | None:
        """Return the evidence of every subset of the moderators that are listed."""
        options, main = self.analysis.moderators, self.plan.main
        if not options.terms:
            return None
        self.say("moderators")
        model = main.model.with_mods("1")
        return moderator_selection(self.plan.studies, options.terms, model, inclusion=options.inclusion)

    def robustness(self, main: Checked) -> Robustness:
        """Return how far the main answer depends on its priors and on its studies."""
        self.say("robustness")
        return robustness(self.analysis, main.best)

    def sampled_by(self, one: Fit | Planned) -> dict[str, Any]:
        """Return the options of the sampler for variants of a fit that only it can make."""
        problem = one.problem
        return self.sampler if why_not(problem) else {}

    def other_measures(self) -> dict[str, Fit]:
        """Return random-effects answers for further measures, with default priors."""
        if self.plan.also:
            self.say("also")
        return {measure: make_fit(studies, Model()) for measure, studies in self.plan.also.items()}
