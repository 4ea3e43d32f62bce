"""Bayes factors of point, one-sided and interval hypotheses, from exact evidence.

A point hypothesis (``mu = 0``, ``tau = 0``) is a model without that parameter: its evidence is integrated on
its own and divided by that of the model. A hypothesis that is a range of values (``mu > 0``) is compared with
its complement: posterior odds over prior odds. The minimum is what the best prior of the tested parameter,
all at its best value, could claim against the hypothesis.

References
----------
Kass RE, Raftery AE (1995). Bayes factors. J Am Stat Assoc 90:773-795. doi:10.1080/01621459.1995.10476572
Edwards W, Lindman H, Savage LJ (1963). Bayesian statistical inference for psychological research. Psychol Rev
70:193-242. doi:10.1037/h0044139
Klugkist I, Laudy O, Hoijtink H (2005). Inequality constrained analysis of variance: a Bayesian approach.
Psychol Methods 10:477-493. doi:10.1037/1082-989X.10.4.477
"""

from __future__ import annotations

import re
from math import exp, inf, isnan, log, nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.conditional import given_tau, prepare
from bayesmeta.engines.components import exact_posterior, why_not
from bayesmeta.errors import AnalysisError, ImproperPosteriorError, ModelError, printable, suggest, told
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.expression import parse_statement
from bayesmeta.results.fit import require_fit
from bayesmeta.results.posterior import all_names, names_in, probability_of, thresholds
from bayesmeta.sensitivity.nulls import log_density, log_evidence, with_coefficient, with_flat, with_tau

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem
    from bayesmeta.results.expression import Statement
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.posterior import Posterior

POINT = re.compile(
    r"\s*(?:`(?P<quoted>[^`]+)`|(?P<name>[A-Za-z_]\w*))\s*==?\s*"
    r"(?P<value>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*"
)
ZOOMS = 12
POINTS = 64
WIDEST = 1e4
"""Largest tau that is searched, in units of the largest standard error or residual."""


class BayesFactor(NamedTuple):
    """How much more, or less, likely the data are under a hypothesis."""

    hypothesis: str
    """Statement."""
    against: str
    """What it is compared with."""
    log_bf01: float
    """Log of the Bayes factor in favour of the hypothesis."""
    log_minimum: float
    """Log of the smallest one that any prior of the tested parameter allows; NaN unless it is a point."""

    @property
    def bf01(self) -> float:
        """Bayes factor in favour of the hypothesis; below 1 the data speak against it."""
        return _exp(self.log_bf01)

    @property
    def bf10(self) -> float:
        """Bayes factor against the hypothesis."""
        return _exp(-self.log_bf01)

    @property
    def minimum(self) -> float:
        """Smallest Bayes factor that any prior of the tested parameter allows; NaN unless it is a point."""
        return _exp(self.log_minimum)

    def posterior_probability(self, prior: float = 0.5) -> float:
        """Return the posterior probability of the hypothesis, given its prior one.

        Raises
        ------
        AnalysisError
            If the prior probability is not between 0 and 1.
        """
        if not strictly_between(prior, 0, 1):
            raise AnalysisError(f"a prior probability must be between 0 and 1; got {told(prior)}")
        log_odds = self.log_bf01 + log(prior) - log(1 - prior)
        return 1 / (1 + _exp(-log_odds))


def _exp(value: float) -> float:
    return nan if isnan(value) else (exp(value) if value < 700 else inf)


def bayes_factor(fit: Fit, hypothesis: str) -> BayesFactor:
    """Return the Bayes factor in favour of a hypothesis.

    Parameters
    ----------
    fit : Fit
        Answer with proper priors, of a model that the exact engine can run.
    hypothesis : str
        A point, ``"mu = 0"`` or ``"tau = 0"`` or a coefficient, compared with the model of the fit; or a
        statement about one quantity, ``"mu > 0"`` or ``"mu > -0.1 and mu < 0.1"``, compared with its
        complement.

    Raises
    ------
    AnalysisError
        If the statement cannot be read, or is not about a single parameter that has a prior.
    ModelError
        If the exact engine cannot run the model.
    ImproperPosteriorError
        If a prior is improper, which leaves the evidence without a scale.

    Examples
    --------
    >>> import bayesmeta as bm
    >>> studies = bm.Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.1, 0.2])
    >>> fit = bm.fit(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    >>> round(bayes_factor(fit, "mu = 0").bf10, 3)
    0.59
    """
    require_fit(fit, "bayes_factor")
    problem = fit.problem
    require_evidence(problem)
    point = POINT.fullmatch(hypothesis) if isinstance(hypothesis, str) else None
    if point is None:
        return _of_range(fit, hypothesis)
    name, value = point["quoted"] or point["name"], float(point["value"])
    if name == "tau":
        return _of_tau(problem, value)
    return _of_coefficient(problem, _index(problem, name), value)


def bayes_factors(fit: Fit) -> tuple[BayesFactor, ...]:
    """Return the Bayes factors of every coefficient being 0, of tau = 0, and of benefit where it is defined.

    Raises
    ------
    ModelError, ImproperPosteriorError
        As `bayes_factor`.
    """
    require_fit(fit, "bayes_factors")
    names = fit.problem.coefficients
    points = [f"{_quoted(name)} = 0" for name in _tested(fit.problem)]
    known_tau = fit.model.is_common or hasattr(fit.problem.priors.tau_density, "value")
    signs = ["mu < 0" if fit.studies.better == "lower" else "mu > 0"] if names == ("mu",) else []
    return tuple(bayes_factor(fit, one) for one in [*points, *([] if known_tau else ["tau = 0"]), *signs])


def _quoted(name: str) -> str:
    return name if name.isidentifier() else f"`{name}`"


def _tested(problem: Problem) -> list[str]:
    """Return the coefficients whose value as written is the one that the prior is about."""
    return [name for j, name in enumerate(problem.coefficients) if not (j == 0 and problem.shift.any())]


def require_evidence(problem: Problem) -> None:
    """Refuse problems whose evidence is not known on an absolute scale.

    Raises
    ------
    ModelError
        If the exact engine cannot run the model.
    ImproperPosteriorError
        If a prior is improper.
    """
    reason = why_not(problem)
    if reason:
        raise ModelError(f"Bayes factors need the exact engine, which cannot run {reason}")
    for name, prior in (
        *zip(problem.coefficients, problem.priors.beta, strict=True),
        (problem.priors.tau_on, problem.priors.tau_density),
    ):
        if not prior.proper:
            raise ImproperPosteriorError(
                f"there is no Bayes factor under the improper prior {prior} of {name}: the evidence has no "
                "scale; give it a proper prior"
            )


def _index(problem: Problem, name: str) -> int:
    known = _tested(problem)
    if name not in known:
        hint = suggest(name, [*known, "tau"]) or f"; those that can be are {', '.join([*known, 'tau'])}"
        raise AnalysisError(f"'{printable(name)}' cannot be tested by a Bayes factor{hint}")
    return problem.coefficients.index(name)


def _of_coefficient(problem: Problem, index: int, value: float) -> BayesFactor:
    null = log_evidence(with_coefficient(problem, index, value))
    flat = with_flat(problem, index)
    posterior = exact_posterior(flat)
    best = posterior.log_evidence + _highest(posterior, index)
    name = f"{problem.coefficients[index]} = {value:g}"
    return BayesFactor(name, "the model", null - log_evidence(problem), min(null - best, 0.0))


def _highest(posterior: Posterior, index: int) -> float:
    """Return the log of the highest posterior density of a coefficient."""
    one = posterior.coefficients.select(index)
    mode = one.mode()
    if isinstance(posterior, ExactPosterior):
        return float(log_density(posterior.nodes, index, mode)[0])
    return float(np.log(one.density(mode)[0, 0]))


def _of_tau(problem: Problem, value: float) -> BayesFactor:
    if not value >= 0:
        raise AnalysisError(f"tau cannot be negative; got 'tau = {value:g}'")
    null = log_evidence(with_tau(problem, value))
    best = max(null, _highest_over_tau(problem))
    return BayesFactor(f"tau = {value:g}", "the model", null - log_evidence(problem), null - best)


def _highest_over_tau(problem: Problem) -> float:
    """Return the highest log marginal likelihood over tau, on grids narrowed around the best point."""
    smallest = float(np.sqrt(problem.v.min()))
    largest = max(float(np.sqrt(problem.v.max())), float(np.abs(prepare(problem).data.residual).max()))
    grid = np.append(0.0, np.geomspace(1e-4 * smallest, WIDEST * largest, 8 * POINTS))
    highest = -inf
    for _ in range(ZOOMS):
        height = given_tau(problem, grid).log_marginal
        best = int(height.argmax())
        highest = max(highest, float(height[best]))
        grid = np.linspace(grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)], POINTS)
    return highest


def _of_range(fit: Fit, text: str) -> BayesFactor:
    problem = fit.problem
    statement = parse_statement(text, all_names(problem))
    names = names_in(statement)
    limits = thresholds(statement)
    if len(names) != 1 or limits is None:
        raise AnalysisError(f"a Bayes factor needs a statement about one parameter; got '{printable(text)}'")
    name = next(iter(names))
    prior = problem.priors.tau_density if name == "tau" else problem.priors.beta[_index(problem, name)]
    before = _prior_probability(prior, name, statement, limits[name])
    after = probability_of(fit.posterior, text), probability_of(fit.posterior, f"not ({text})")
    if not 0 < before < 1:
        raise AnalysisError(f"the prior {prior} of {name} leaves no doubt about '{printable(text)}'")
    return BayesFactor(text.strip(), "its complement", _log_odds(*after) - _log_odds(before, 1 - before), nan)


def _log_odds(probability: float, complement: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(probability) - np.log(complement))


def _prior_probability(prior: Prior, name: str, statement: Statement, limits: list[float]) -> float:
    """Return the prior probability of a statement that only changes at the limits."""
    edges = np.unique(limits)
    cdf = np.concatenate([[0.0], prior.cdf(edges), [1.0]])
    inside: Floats = np.concatenate([[edges[0] - 1], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1]])
    held = np.broadcast_to(statement.holds({name: inside}), inside.shape)
    return float(np.diff(cdf)[held].sum())
