"""`Posterior`: what can be asked of a posterior, answered from nodes (exact) or from draws (NUTS)."""

from __future__ import annotations

from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from bayesmeta.conditional import prepare
from bayesmeta.errors import AnalysisError, printable, suggest, told
from bayesmeta.results.expression import parse_statement
from bayesmeta.results.marginal import Marginal
from bayesmeta.results.transformed import SQUARE, inconsistency, variability

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.location_scale import Quantity, ScaleStructure
    from bayesmeta.problem import Problem
    from bayesmeta.results.draws import Draws
    from bayesmeta.results.expression import Statement
    from bayesmeta.results.marginal import Distribution
    from bayesmeta.results.transformed import Scale

OF_TAU = frozenset({"tau", "tau2", "I2", "H2"})
"""Quantities that are functions of tau."""


class Posterior(Protocol):
    """Posterior of a problem, whichever engine found it."""

    @property
    def engine(self) -> str:
        """``"exact"`` or ``"nuts"``."""

    @property
    def problem(self) -> Problem:
        """What was asked."""

    @property
    def log_evidence(self) -> float:
        """Log of the marginal likelihood; NaN where the engine does not give it."""

    @property
    def coefficients(self) -> Distribution:
        """The p coefficients; with p = 1 the mean effect."""

    @property
    def tau(self) -> Distribution:
        """Between-study standard deviation."""

    @property
    def theta(self) -> Distribution:
        """Effects of the k studies."""

    def of_tau(self, scale: Scale) -> Distribution:
        """Return the distribution of an increasing function of tau."""

    def at(self, rows: Floats, *, new_study: bool) -> Distribution:
        """Return mean effects, or effects in new studies, at rows (n, p) of a design matrix."""

    def shares(self) -> tuple[Floats, Floats]:
        """Return the (k,) mean weights in percent and the (k,) mean pooling, ``v / (v + tau^2)``."""

    def probability(self, statement: Statement) -> float:
        """Return the probability of a statement."""

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """Return draws of everything."""


class ScalePosterior(Posterior, Protocol):
    """Posterior of a problem in which tau differs between studies."""

    def of_scale(self, quantity: Quantity, scale: Scale | None = None) -> Distribution:
        """Return the distribution of a quantity of the scale structure, or of a function of it."""

    def at(self, rows: Floats, *, new_study: bool, scale: Floats | None = None) -> Distribution:
        """Return mean effects, or effects in new studies, at rows (n, p) of a design matrix.

        `scale` has the rows of the new studies (`ScaleStructure.rows`); without it each is like one of the
        studies at random.
        """


@lru_cache(maxsize=64)
def typical_variance(problem: Problem) -> float:
    """Return the typical sampling variance ``(k - p) / tr P`` of Higgins and Thompson (2002).

    NaN where k = p, and for count likelihoods, which have no sampling variances.
    """
    if problem.model.likelihood != "normal" or problem.k <= problem.p:
        return nan
    from bayesmeta.classical.projection import project

    return (problem.k - problem.p) / float(project(prepare(problem).data, np.zeros(1)).trace[0])


def quantity_names(problem: Problem) -> tuple[str, ...]:
    """Return the names of the quantities of a summary."""
    taus = ("tau",) if problem.scale is None else tuple(problem.scale.quantities)
    return (*problem.coefficients, *taus, *(("theta_new",) if problem.is_pooled else ()))


def all_names(problem: Problem) -> tuple[str, ...]:
    """Return the names of every quantity that can be asked for."""
    effects = tuple(f"theta[{label}]" for label in problem.studies.slab)
    inconsistent = ("I2", "H2") if np.isfinite(typical_variance(problem)) else ()
    of_levels = () if problem.scale is None else tuple(_of_levels(problem, problem.scale))
    return (*quantity_names(problem), "tau2", *inconsistent, *of_levels, *effects)


def _of_levels(problem: Problem, scale: ScaleStructure) -> dict[str, tuple[Quantity, Scale]]:
    """Return tau2, I2 and H2 of the levels of a category, by name."""
    functions = _functions_of_tau(problem)
    return {
        f"{name}{level[len('tau') :]}": (quantity, function)
        for level, quantity in scale.quantities.items()
        for name, function in functions.items()
        if level.startswith("tau[")
    }


def _functions_of_tau(problem: Problem) -> dict[str, Scale]:
    found = {"tau2": SQUARE}
    if np.isfinite(typical := typical_variance(problem)):
        found |= {"I2": inconsistency(typical), "H2": variability(typical)}
    return found


def distribution_of(posterior: Posterior, name: str) -> Distribution:
    """Return the distribution of one quantity.

    Raises
    ------
    AnalysisError
        If there is no such quantity; the message says which there are.
    """
    problem = posterior.problem
    if not isinstance(name, str):
        raise AnalysisError(f"the name of a quantity must be a text, such as 'mu'; got {told(name)}")
    if name in problem.coefficients:
        return posterior.coefficients.select(problem.coefficients.index(name))
    if name == "tau":
        return posterior.tau
    if problem.scale is not None and name in problem.scale.quantities:
        return cast("ScalePosterior", posterior).of_scale(problem.scale.quantities[name])
    if problem.scale is not None and name in (levels := _of_levels(problem, problem.scale)):
        return cast("ScalePosterior", posterior).of_scale(*levels[name])
    if name == "theta_new" and problem.is_pooled:
        return posterior.at(np.ones((1, 1)), new_study=True)
    scales = _functions_of_tau(problem)
    if name in scales:
        return posterior.of_tau(scales[name])
    labels = [f"theta[{label}]" for label in problem.studies.slab]
    if name in labels:
        return posterior.theta.select(labels.index(name))
    known = all_names(problem)
    hint = suggest(name, known) or f"; the quantities are {', '.join(known[:12])}"
    raise AnalysisError(f"unknown quantity '{printable(str(name))}'{hint}")


def marginal_of(posterior: Posterior, name: str) -> Marginal:
    """Return the marginal posterior of one quantity."""
    return Marginal(name, distribution_of(posterior, name))


def probability_of(posterior: Posterior, text: str) -> float:
    """Return the probability of a statement such as ``"mu > 0 and tau < 0.03"``."""
    return posterior.probability(parse_statement(text, all_names(posterior.problem)))


def thresholds(statement: Statement) -> dict[str, list[float]] | None:
    """Return the numbers that each quantity is compared with; None if any is compared with another."""
    found: dict[str, list[float]] = {}
    for comparison in statement.comparisons():
        names = [term for term in (comparison.left, comparison.right) if term.name]
        numbers = [term for term in (comparison.left, comparison.right) if not term.name]
        if len(names) > 1:
            return None
        if names:
            found.setdefault(names[0].name, []).append(numbers[0].value)
    return found


def draw_values(draws: Draws, problem: Problem, names: set[str]) -> dict[str, Floats]:
    """Return the (chain, draw) values of the named quantities."""
    typical = typical_variance(problem)
    tau = draws.tau
    values: dict[str, Floats] = {"tau": tau, "tau2": tau**2}
    values |= {"I2": 100 * tau**2 / (tau**2 + typical), "H2": 1 + tau**2 / typical}
    if problem.scale is not None:
        values |= _scale_values(draws, problem, problem.scale)
    values |= {name: draws.beta[:, :, j] for j, name in enumerate(problem.coefficients)}
    values |= {f"theta[{label}]": draws.theta[:, :, i] for i, label in enumerate(problem.studies.slab)}
    if draws.theta_new is not None:
        values["theta_new"] = draws.theta_new
    return {name: values[name] for name in names}


def _scale_values(draws: Draws, problem: Problem, scale: ScaleStructure) -> dict[str, Floats]:
    """Return the (chain, draw) values of the scale quantities."""
    assert draws.scale is not None  # noqa: S101 - draws of a location-scale model have them
    parameters = draws.scale
    plain = {name: scale.values(one, parameters) for name, one in scale.quantities.items()}
    functions = {
        name: function.forward(scale.values(one, parameters))
        for name, (one, function) in _of_levels(problem, scale).items()
    }
    return plain | functions


def study_taus(draws: Draws, problem: Problem) -> Floats:
    """Return the taus of the studies, (chain, draw, k), or (chain, draw, 1) where one serves all."""
    if problem.scale is None or draws.scale is None:
        return np.asarray(draws.tau[:, :, None])
    return problem.scale.taus(draws.scale)


def names_in(statement: Statement) -> set[str]:
    """Return the names of the quantities in a statement."""
    return {term.name for part in statement.comparisons() for term in (part.left, part.right) if term.name}
