"""Subsets of moderators: which terms may be in or out, and which columns of one design matrix they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.design import build_design
from bayesmeta.errors import FormulaError, ModelError, PriorError, printable
from bayesmeta.formula import Formula, parse_formula
from bayesmeta.priors import Flat, Normal
from bayesmeta.problem import pose
from bayesmeta.properness import require_proper
from bayesmeta.regression.tree import Block, Columns, standardised

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.formula import Factor
    from bayesmeta.model import Model
    from bayesmeta.problem import Problem
    from bayesmeta.studies import Studies

MOST_TERMS = 15
"""Terms that may be in or out; 15 make 32,768 models."""

type Term = tuple[Factor, ...]


class Choice(NamedTuple):
    """Terms that enter together."""

    name: str
    """What they are called: their formula."""
    terms: tuple[Term, ...]
    """The terms."""


class Subsets(NamedTuple):
    """The model with every moderator, and how its subsets are made of it."""

    problem: Problem
    """The model with all columns, posed on the studies."""
    always: Formula
    """Terms that every model has."""
    choices: tuple[Choice, ...]
    """Terms that may be in or out; main effects before the interactions that need them."""
    blocks: tuple[Block, ...]
    """Widths of the choices and which others they need."""
    places: tuple[tuple[int, ...], ...]
    """Columns of the design matrix that every model has, then those of each choice."""

    @property
    def order(self) -> list[int]:
        """Columns of the design matrix in the order of the tree."""
        return [place for group in self.places for place in group]

    def columns(self) -> Columns:
        """Return effects and columns in the form that the tree takes."""
        problem, order = self.problem, self.order
        mean, sd = np.array([_moments(prior) for prior in problem.priors.beta])[order].T
        X = problem.X_prior[:, order]
        fixed = len(self.places[0])
        return standardised(problem.y, problem.v, X, mean=mean, precision=sd**-2.0, fixed=fixed)

    def used(self, included: Sequence[bool]) -> list[int]:
        """Return the columns of the design matrix that a subset has, in increasing order."""
        groups = [group for group, chosen in zip(self.places[1:], included, strict=True) if chosen]
        return sorted([*self.places[0], *(place for group in groups for place in group)])

    def formula(self, included: Sequence[bool]) -> str:
        """Return the formula of a subset."""
        chosen = [one for one, inside in zip(self.choices, included, strict=True) if inside]
        return str(_joined(self.always, chosen))


def _moments(prior: object) -> tuple[float, float]:
    """Return mean and standard deviation, which is infinite for a flat prior."""
    return (prior.mu, prior.sigma) if isinstance(prior, Normal) else (0.0, np.inf)


def _joined(always: Formula, choices: Sequence[Choice]) -> Formula:
    terms = [*always.terms, *(term for choice in choices for term in choice.terms)]
    return Formula(True, tuple(sorted(terms, key=len)))


def subsets_of(studies: Studies, terms: str | Sequence[str], model: Model) -> Subsets:
    """Return the subsets of terms as columns of one design matrix.

    Raises
    ------
    FormulaError
        If a term is given twice, the model has no intercept, or the terms cannot be estimated together.
    ModelError
        If the likelihood is not normal, or there are too many terms.
    PriorError
        If a coefficient has no Normal prior.
    """
    if model.likelihood != "normal":
        raise ModelError(
            f"moderators are selected with the normal likelihood; got '{model.likelihood}'; compare a few "
            "models by bm.fit instead"
        )
    if parse_formula(model.scale) != Formula(intercept=True):
        raise ModelError(
            f"moderators are selected with one tau for all studies; got scale '{model.scale}'; use scale='1'"
        )
    always, choices = parse_formula(model.mods), _choices(terms)
    if not always.intercept:
        raise FormulaError(f"mods must have an intercept to select moderators; got '{model.mods}'")
    _refuse_repeated(always, choices)
    problem = pose(studies, replace(model, mods=str(_joined(always, choices))))
    _check_priors(problem)
    require_proper(problem)
    places = _places(problem, always, choices)
    blocks = [Block(len(place), _needs(choices, i)) for i, place in enumerate(places[1:])]
    return Subsets(problem, always, choices, tuple(blocks), places)


def _choices(terms: str | Sequence[str]) -> tuple[Choice, ...]:
    if isinstance(terms, str):
        given = [str(Formula(True, (term,))) for term in parse_formula(terms).terms]
    elif isinstance(terms, Sequence) and all(isinstance(term, str) for term in terms):
        given = list(terms)
    else:
        raise FormulaError(
            f"terms must be a formula or a list of terms, such as ['age', 'dose']; got {terms!r}"
        )
    if not 1 <= len(given) <= MOST_TERMS:
        raise ModelError(
            f"there must be from 1 to {MOST_TERMS} terms to choose from; got {len(given)}; name the "
            "moderators that could matter, or join some by + in one term"
        )
    formulas = [parse_formula(text) for text in given]
    for formula in formulas:
        if not formula.intercept or not formula.terms:
            raise FormulaError(f"a term must be a moderator such as 'duration_months'; got '{formula}'")
    found = [Choice(str(formula), formula.terms) for formula in formulas]
    return tuple(sorted(found, key=lambda choice: max(map(len, choice.terms))))


def _refuse_repeated(always: Formula, choices: tuple[Choice, ...]) -> None:
    seen = [frozenset(term) for term in always.terms]
    for choice in choices:
        for term in choice.terms:
            if frozenset(term) in seen:
                name = ":".join(map(str, term))
                raise FormulaError(
                    f"the term '{printable(name)}' is given twice, or is in the model already; leave one out"
                )
            seen.append(frozenset(term))


def _needs(choices: tuple[Choice, ...], i: int) -> tuple[int, ...]:
    """Return the choices that must be in for choice i to be: those that have parts of its interactions."""
    parts = [frozenset(term) for term in choices[i].terms]
    needed = [
        j
        for j, other in enumerate(choices)
        if j != i and any(frozenset(term) < part for term in other.terms for part in parts)
    ]
    if any(j > i for j in needed):
        raise FormulaError(
            f"'{printable(choices[i].name)}' and '{printable(choices[max(needed)].name)}' need parts of one "
            "another; give them as one term"
        )
    return tuple(needed)


def _places(problem: Problem, always: Formula, choices: tuple[Choice, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the columns of the fixed terms and of each choice, by the names that each adds."""
    studies, names = problem.studies, problem.design.names
    known: set[str] = set()
    places = []
    for count in range(len(choices) + 1):
        formula = _joined(always, choices[:count])
        design = build_design(formula, studies.columns, slab=studies.slab, k=studies.k)
        places.append(tuple(names.index(name) for name in design.names if name not in known))
        known = set(design.names)
    return tuple(places)


def _check_priors(problem: Problem) -> None:
    """Refuse priors under which the evidence of two subsets cannot be compared, or not integrated."""
    if len(problem.priors.tau_density.parts) > 1:
        raise PriorError(
            f"the prior of tau must be no mixture to select moderators; got {problem.priors.tau}; for a "
            "spike at 0 give the probability that tau is 0 as common"
        )
    for name, prior, mean in zip(
        problem.design.names, problem.priors.beta, problem.design.is_mean, strict=True
    ):
        if isinstance(prior, Normal) or (mean and isinstance(prior, Flat)):
            continue
        if isinstance(prior, Flat):
            raise PriorError(
                f"the prior of '{printable(name)}' must be proper to select moderators; got {prior}, whose "
                'arbitrary constant decides which model has more evidence; give beta = "Normal(0, s)" with '
                "s a large effect of one unit"
            )
        raise PriorError(
            f"the prior of '{printable(name)}' must be Normal{' or Flat' if mean else ''} to select "
            f"moderators, which are integrated exactly; got {prior}"
        )


def submodel(subsets: Subsets, model: Model, included: Sequence[bool]) -> Model:
    """Return the model with a subset of the moderators, its priors by name being those of its terms."""
    names = {subsets.problem.design.names[place] for place in subsets.used(included)}
    beta = model.beta
    if isinstance(beta, tuple):
        beta = tuple(pair for pair in beta if pair[0] in names) or None
    return replace(model, mods=subsets.formula(included), beta=beta)


def prior_rows(subsets: Subsets, rows: Floats) -> Floats:
    """Return rows (n, P) of the design matrix in the coordinates whose coefficients carry the priors."""
    return np.asarray(rows - subsets.problem.shift * (rows[:, :1] if subsets.problem.shift.any() else 0.0))
