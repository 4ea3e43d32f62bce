"""What an analysis would run, with every mistake found before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from bayesmeta.classical import split_studies
from bayesmeta.engines.components import why_not
from bayesmeta.errors import AnalysisError, BayesmetaError, ImproperPosteriorError, ModelError
from bayesmeta.fitting import chosen_engine
from bayesmeta.formula import Factor
from bayesmeta.loading import load_data, studies_of
from bayesmeta.model import Model
from bayesmeta.priors import as_prior
from bayesmeta.problem import pose
from bayesmeta.properness import require_proper
from bayesmeta.results.expression import parse_statement
from bayesmeta.results.posterior import all_names
from bayesmeta.sensitivity import with_priors_of
from bayesmeta.workflow.outcome import Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from bayesmeta.analysis import Analysis
    from bayesmeta.analysis_options import Subgroup
    from bayesmeta.problem import Problem
    from bayesmeta.studies import Studies


class Planned(NamedTuple):
    """A fit that is to be made."""

    name: str
    """What it is: ``"main"``, ``"regressions.duration"``, ``"subgroups.site.hip"``."""
    studies: Studies
    """Its studies."""
    problem: Problem
    """Model and priors on them."""
    engine: str
    """``"exact"`` or ``"nuts"``."""

    @property
    def model(self) -> Model:
        """What is assumed."""
        return self.problem.model


class Division(NamedTuple):
    """A division of the studies that is to be made."""

    by: str
    """Column."""
    groups: Mapping[str, Planned]
    """Fit of each group that has one."""
    unanswered: Mapping[str, Unanswered]
    """Groups that have none, and why."""
    studies: Mapping[str, Studies]
    """Studies of every group that has some."""
    tau: str
    """``"separate"`` or ``"shared"``: whether differences rest on one tau for all groups."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that an analysis asks for, posed on its studies.

    Attributes
    ----------
    analysis : Analysis
        What is asked.
    studies : Studies
        The studies.
    main : Planned
        The main model.
    regressions : mapping of str to Planned
        Regressions by name.
    subgroups : tuple of Division
        Divisions of the studies.
    also : mapping of str to Studies
        The studies by further measures.
    """

    analysis: Analysis
    studies: Studies
    main: Planned
    regressions: Mapping[str, Planned]
    subgroups: tuple[Division, ...]
    also: Mapping[str, Studies]

    @property
    def fits(self) -> tuple[Planned, ...]:
        """Main model, regressions and subgroups."""
        groups = [one for division in self.subgroups for one in division.groups.values()]
        return (self.main, *self.regressions.values(), *groups)


def prepare(analysis: Analysis, *, engine: str | None = None) -> Plan:
    """Return what an analysis would run.

    Parameters
    ----------
    analysis : Analysis
        What is asked.
    engine : str, optional
        Engine to use instead of those of the file.

    Raises
    ------
    BayesmetaError
        Naming every mistake of one kind in models, data and statements at once.
    """
    studies = studies_of(analysis)
    also = {measure: studies_of(analysis, measure) for measure in analysis.data.also}
    faults = _Faults()
    usual = engine or analysis.engine.name
    main = faults.catch("", lambda: _planned("main", studies, analysis.main_model(), usual))
    regressions = {
        one.name: faults.catch(
            f"regression '{one.name}': ",
            lambda one=one: _planned(  # type: ignore[misc]
                f"regressions.{one.name}",
                studies,
                analysis.regression_model(one),
                engine or one.engine or usual,
            ),
        )
        for one in analysis.regressions
    }
    if main is not None:
        faults.catch("", lambda: _check_statements(analysis, main.problem))
        faults.catch("", lambda: _check_other_priors(analysis, studies))
    divisions = [
        faults.catch("", lambda one=one: _divided(analysis, studies, one, main, usual))  # type: ignore[misc]
        for one in analysis.subgroups
    ]
    if analysis.moderators.terms and main is not None:
        faults.catch("[moderators]: ", lambda: _check_moderators(analysis, studies, main.model))
    for measure, others in also.items():
        faults.catch(f"measure '{measure}': ", lambda others=others: pose(others, Model()))  # type: ignore[misc]
    faults.tell()
    assert main is not None  # noqa: S101 - otherwise its faults were told
    fits = {name: one for name, one in regressions.items() if one is not None}
    return Plan(analysis, studies, main, fits, tuple(one for one in divisions if one is not None), also)


class _Faults:
    """Mistakes, collected so that all of one kind are told at once."""

    def __init__(self) -> None:
        self.found: list[tuple[str, BayesmetaError]] = []

    def catch[T](self, where: str, action: Callable[[], T]) -> T | None:
        try:
            return action()
        except BayesmetaError as error:
            self.found.append((where, error))
            return None

    def tell(self) -> None:
        if not self.found:
            return
        code = self.found[0][1].exit_code
        same = [(where, error) for where, error in self.found if error.exit_code == code]
        messages = [f"{where}{message}" for where, error in same for message in error.messages]
        raise type(same[0][1])(list(dict.fromkeys(messages))) from same[0][1]


def _planned(name: str, studies: Studies, model: Model, engine: str) -> Planned:
    problem = pose(studies, model)
    chosen = chosen_engine(problem, engine)
    reason = why_not(problem) if chosen == "exact" else ""
    if reason:
        raise ModelError(f"engine 'exact' cannot run {reason}; use engine='nuts'")
    require_proper(problem)
    return Planned(name, studies, problem, chosen)


def _check_statements(analysis: Analysis, problem: Problem) -> None:
    """Refuse statements about quantities that the main model does not have."""
    messages: list[str] = []
    for text in analysis.report.probabilities:
        try:
            parse_statement(text, all_names(problem))
        except AnalysisError as error:
            messages += error.messages
    if messages:
        raise AnalysisError([f"[report] probabilities: {message}" for message in messages])


def _check_other_priors(analysis: Analysis, studies: Studies) -> None:
    """Refuse priors of the sensitivity analysis under which there is no posterior."""
    options = analysis.sensitivity
    base = analysis.main_model()
    models = [replace(base, tau=as_prior(prior), tau2=None) for prior in options.tau_priors]
    models += [replace(one, mu=as_prior(prior)) for one in models or [base] for prior in options.mu_priors]
    for model in models:
        try:
            require_proper(pose(studies, model))
        except BayesmetaError as error:
            raise type(error)([f"[sensitivity]: {message}" for message in error.messages]) from error


def _check_moderators(analysis: Analysis, studies: Studies, model: Model) -> None:
    """Refuse moderators that cannot be selected."""
    if not model.has_one_tau:
        raise ModelError(
            f"moderators are selected with one tau for all studies; got scale '{model.scale}' in [model]; "
            "move it to one of the [[regressions]]"
        )
    pose(studies, model.with_mods(" + ".join(analysis.moderators.terms)))


def group_model(main: Problem) -> Model:
    """Return the model of a subgroup: a mean and a tau of its own, with the priors of all studies."""
    return replace(with_priors_of(main), mods="1", beta=None, scale="1", delta=None)


def _divided(
    analysis: Analysis, studies: Studies, wanted: Subgroup, main: Planned | None, engine: str
) -> Division | None:
    by = wanted.by
    groups = split_studies(studies, by)
    if main is None:
        return None
    model = group_model(main.problem)
    if wanted.tau == "shared":
        _check_shared(studies, by, model)
    planned: dict[str, Planned] = {}
    unanswered: dict[str, Unanswered] = {}
    for name, group in groups.items():
        one = _group(f"subgroups.{by}.{name}", group, model, engine)
        if isinstance(one, Planned):
            planned[name] = one
        else:
            unanswered[name] = one
    unanswered |= {name: Unanswered(0, "no studies", "no studies") for name in _emptied(analysis, by, groups)}
    return Division(by, planned, unanswered, groups, wanted.tau)


def _check_shared(studies: Studies, by: str, model: Model) -> None:
    """Refuse groups that cannot share a tau."""
    where = f"[[subgroups]] by = '{by}': tau = 'shared'"
    try:
        problem = pose(studies, model.with_mods(f"0 + {Factor('C', by)}"))
        require_proper(problem)
    except BayesmetaError as error:
        raise type(error)([f"{where}: {message}" for message in error.messages]) from error
    reason = why_not(problem)
    if reason:
        raise ModelError(
            f"{where} needs the exact engine, which cannot run {reason}; leave it out for a tau of its own"
        )


def _group(name: str, group: Studies, model: Model, engine: str) -> Planned | Unanswered:
    """Return the fit of one group, or why there is none; a group must not stop the run."""
    if model.likelihood == "normal" and not group.estimable.any():
        return Unanswered(group.k, "no estimate", "no study of the group has an estimate")
    try:
        return _planned(name, group, model, engine)
    except ImproperPosteriorError as error:
        return Unanswered(group.k, "improper", str(error))


def _emptied(analysis: Analysis, by: str, groups: Iterable[str]) -> list[str]:
    """Return the names of groups whose studies were all left out."""
    column = load_data(analysis).table.columns.get(by)
    if column is None:
        return []
    names = [f"{value:g}" if isinstance(value, float) else str(value) for value in column.tolist()]
    return [name for name in dict.fromkeys(names) if name not in {*groups, "", "nan"}]
