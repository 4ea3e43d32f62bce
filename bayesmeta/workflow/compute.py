"""From an analysis to its outcome: which fits are made, in which order, on which engine."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bayesmeta.agreement import agreement
from bayesmeta.classical import split_studies, subgroup_difference
from bayesmeta.engines.exact import why_not
from bayesmeta.fitting import chosen_engine
from bayesmeta.fitting import fit as make_fit
from bayesmeta.loading import studies_of
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.properness import require_proper
from bayesmeta.sensitivity import leave_one_out, prior_sensitivity, with_priors_of
from bayesmeta.workflow.outcome import Checked, Outcome, Subgroups

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.analysis import Analysis
    from bayesmeta.problem import Problem
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

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
        Engine to use instead of that of the file.
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
    run = _Run(analysis, engine or analysis.engine.name, say or _silent, report)
    run.check()
    main = run.checked("the main model", run.studies, run.model)
    base = with_priors_of(main.fit)
    return Outcome(
        analysis=analysis,
        studies=run.studies,
        seed=run.seed,
        main=main,
        regressions=run.regressions(),
        subgroups=run.subgroups(base),
        left_out=run.left_out(main.fit),
        priors=run.other_priors(),
        also=run.other_measures(),
    )


def _silent(_line: str) -> None:
    pass


class _Run:
    """One run: the analysis, its studies, its seed, and how fits are made."""

    def __init__(self, analysis: Analysis, engine: str, say: Say, report: Report | None) -> None:
        self.analysis, self.engine, self.say, self.report = analysis, engine, say, report
        self.studies = studies_of(analysis)
        self.seed = secrets.randbelow(2**32) if analysis.seed is None else analysis.seed
        self.model = analysis.main_model()

    def check(self) -> None:
        """Pose every problem, so that mistakes show before anything is computed, and begin compiling."""
        problems = [pose(self.studies, self.model)]
        problems += [
            pose(self.studies, self.analysis.regression_model(one)) for one in self.analysis.regressions
        ]
        for problem in problems:
            require_proper(problem)
        for division in self.analysis.subgroups:
            split_studies(self.studies, division.by)
        for measure in self.analysis.data.also:
            studies_of(self.analysis, measure)
        self._warm_up(problems[0])

    def _warm_up(self, problem: Problem) -> None:
        if chosen_engine(problem, self.engine) == "nuts":
            from bayesmeta.engines.nuts import warm_up

            warm_up(problem)

    def fit(self, studies: Studies, model: Model, engine: str | None = None) -> Fit:
        """Return a fit by the engine of the run, or another one."""
        problem = pose(studies, model)
        chosen = chosen_engine(problem, engine or self.engine)
        if chosen == "exact":
            return make_fit(studies, model, engine="exact")
        options = self.analysis.engine
        return make_fit(
            studies,
            model,
            engine="nuts",
            seed=self.seed,
            report=self.report,
            chains=options.chains,
            tune=options.tune,
            draws=options.draws,
            target_accept=options.target_accept,
        )

    def checked(self, what: str, studies: Studies, model: Model, engine: str | None = None) -> Checked:
        """Return a fit, compared with the exact answer where it was sampled and that exists."""
        self.say(what)
        fit = self.fit(studies, model, engine)
        wanted = self.analysis.engine.cross_check == "exact"
        if fit.engine == "exact" or not wanted or why_not(fit.problem):
            return Checked(fit)
        exact = make_fit(studies, model, engine="exact")
        return Checked(fit, exact, agreement(fit, exact, prob=self.analysis.interval.prob))

    def regressions(self) -> dict[str, Checked]:
        """Return the regressions by name."""
        return {
            one.name: self.checked(
                f"regression {one.name}", self.studies, self.analysis.regression_model(one), one.engine
            )
            for one in self.analysis.regressions
        }

    def subgroups(self, base: Model) -> tuple[Subgroups, ...]:
        """Return the divisions of the studies; every group keeps the priors of all studies."""
        pooled = replace(base, mods="1", beta=None)
        return tuple(self._division(one.by, pooled) for one in self.analysis.subgroups)

    def _division(self, by: str, model: Model) -> Subgroups:
        groups = split_studies(self.studies, by)
        return Subgroups(
            by,
            {name: self.checked(f"subgroup {by} {name}", group, model) for name, group in groups.items()},
            {name: subgroup_difference(groups, method=method) for name, method in DIFFERENCE_METHODS.items()},
        )

    def left_out(self, fit: Fit) -> tuple[Any, ...]:
        """Return leave-one-out, by integration where that is possible."""
        if not self.analysis.sensitivity.leave_one_out or fit.problem.k < 2:
            return ()
        self.say("leaving out each study")
        return leave_one_out(fit, seed=self.seed)

    def other_priors(self) -> tuple[Any, ...]:
        """Return the answers under other priors, by integration where that is possible."""
        options = self.analysis.sensitivity
        if not options.tau_priors and not options.mu_priors:
            return ()
        self.say("other priors")
        return prior_sensitivity(
            self.studies, self.model, tau=options.tau_priors, mu=options.mu_priors, seed=self.seed
        )

    def other_measures(self) -> dict[str, Fit]:
        """Return random-effects answers for further measures, with default priors."""
        return {
            measure: make_fit(studies_of(self.analysis, measure), Model())
            for measure in self.analysis.data.also
        }
