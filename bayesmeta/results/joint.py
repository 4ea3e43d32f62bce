"""Probabilities of statements about several quantities, integrated over tau instead of counted in draws.

Given tau, coefficients, study effects and the effect in a new study are jointly normal. A comparison of two
effects is one about a single normal variable, their difference; a comparison of an effect with a function of
tau is one with a number. So a statement cuts the plane of at most two normal variables into rectangles, whose
probabilities given tau are integrated over tau, on panels that begin and end where the statement changes.

References
----------
Owen DB (1956). Tables for computing bivariate normal probabilities. Ann Math Stat 27:1075-1090.
doi:10.1214/aoms/1177728074
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

from bayesmeta.conditional import Conditional, given_tau
from bayesmeta.quadrature import panels
from bayesmeta.results.expression import OPERATORS, Comparison
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.posterior import OF_TAU, typical_variance

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.expression import Statement, Term
    from bayesmeta.results.nodes import Nodes

type Form = tuple[tuple[str, float], ...]
"""A normal variable: an effect, or a difference of two, as pairs of name and sign."""

MOST_FORMS = 2
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
NEARLY_ONE = 1 - 1e-15


class _Cut(NamedTuple):
    """A comparison as one of a normal variable with a threshold at each node."""

    form: Form
    symbol: str
    threshold: Floats
    """(m,) value that the variable is compared with."""


class _Slices(NamedTuple):
    """Nodes of tau with their probabilities, and what is known given tau."""

    weights: Floats
    tau: Floats
    known: Conditional


def exact_probability(problem: Problem, nodes: Nodes, statement: Statement) -> float | None:
    """Return the probability of a statement; None if it is not about at most two normal variables that vary.

    Parameters
    ----------
    problem : Problem
        What was asked.
    nodes : Nodes
        Posterior on the nodes of tau.
    statement : Comparison or Combination
        The statement.
    """
    parts = statement.comparisons()
    forms = sorted({form for part in parts if (form := _form(part))})
    mixed = [part for part in parts if not _form(part) and _names(part, OF_TAU) > 1]
    if len(forms) > MOST_FORMS or mixed:
        return None
    slices = _slices(problem, nodes, _changes(problem, parts))
    if any(_loading(problem, form, slices).variance.min() <= 0 for form in forms):
        return None
    cuts = {part: _cut(problem, part, slices.tau) for part in parts}
    cells = _cells(problem, slices, forms, cuts)
    holds = np.broadcast_to(_truth(statement, cells.holding(cuts)), cells.mass.shape)
    given = np.where(holds, cells.mass, 0.0).reshape(slices.weights.size, -1).sum(axis=1)
    return float(np.clip(slices.weights @ given, 0.0, 1.0))


def _names(part: Comparison, among: frozenset[str]) -> int:
    return sum(term.name in among for term in (part.left, part.right))


def _form(part: Comparison) -> Form:
    """Return the normal variable that a comparison is about, its first sign positive; empty if none."""
    signed = [
        (term.name, sign)
        for term, sign in ((part.left, 1.0), (part.right, -1.0))
        if term.name and term.name not in OF_TAU
    ]
    if len(signed) == 2 and signed[0][0] == signed[1][0]:
        return ()
    signed.sort()
    return tuple((name, sign * signed[0][1]) for name, sign in signed)


def _cut(problem: Problem, part: Comparison, tau: Floats) -> _Cut:
    """Return a comparison as ``form symbol threshold``; without effects, as 0 against a threshold."""
    form = _form(part)
    threshold = _number(problem, part.right, tau) - _number(problem, part.left, tau)
    positive = not form or any(name == part.left.name for name, sign in form if sign > 0)
    if positive:
        return _Cut(form, part.symbol, threshold)
    return _Cut(form, MIRRORED[part.symbol], -threshold)


def _number(problem: Problem, term: Term, tau: Floats) -> Floats:
    """Return the (m,) value of a number or of a function of tau; 0 for an effect."""
    if not term.name:
        return np.full(tau.size, term.value)
    typical = typical_variance(problem) if term.name in {"I2", "H2"} else np.nan
    values = {"tau": tau, "tau2": tau**2, "I2": 100 * tau**2 / (tau**2 + typical), "H2": 1 + tau**2 / typical}
    return np.asarray(values.get(term.name, np.zeros(tau.size)))


def _changes(problem: Problem, parts: tuple[Comparison, ...]) -> Floats:
    """Return the positive tau at which comparisons of functions of tau with numbers change."""
    found = []
    for part in parts:
        terms = (part.left, part.right)
        named = [term.name for term in terms if term.name]
        if len(named) == 1 and named[0] in OF_TAU:
            found.append(_tau_at(problem, named[0], next(term.value for term in terms if not term.name)))
    tau = np.array(found)
    return np.unique(tau[(tau > 0) & np.isfinite(tau)])


def _tau_at(problem: Problem, name: str, value: float) -> float:
    typical = typical_variance(problem) if name in {"I2", "H2"} else np.nan
    square = {
        "tau": value * abs(value),
        "tau2": value,
        "I2": typical * value / (100 - value) if value < 100 else np.inf,
        "H2": typical * (value - 1),
    }[name]
    return float(np.sqrt(max(square, 0.0)))


def _slices(problem: Problem, nodes: Nodes, changes: Floats) -> _Slices:
    """Return nodes of tau on panels that begin and end at the changes."""
    density = nodes.tau
    if isinstance(density, PointMass):
        tau = np.array([density.value])
        return _Slices(np.ones(1), tau, given_tau(problem, tau))
    edges = density.rule.edges
    inner = density.substitution.u(changes)
    inner = inner[(inner > edges[0]) & (inner < edges[-1])]
    rule = panels(np.union1d(edges, inner))
    tau = density.substitution.tau(rule.x)
    weights = density.panels.density(rule.x) * rule.weights
    return _Slices(weights / weights.sum(), tau, given_tau(problem, tau))


class _Cells(NamedTuple):
    """Rectangles of the plane of at most two normal variables at each node."""

    forms: list[Form]
    inside: list[Floats]
    """For each variable a point in each of its intervals, (m, n)."""
    mass: Floats
    """(m, n) or (m, n, n') probabilities given tau."""

    def holding(self, cuts: dict[Comparison, _Cut]) -> dict[Comparison, Bools]:
        """Return for each comparison whether it holds in each cell."""
        dimensions = self.mass.ndim
        found = {}
        for part, cut in cuts.items():
            threshold = cut.threshold.reshape(-1, *[1] * (dimensions - 1))
            if cut.form:
                axis = self.forms.index(cut.form)
                inside = self.inside[axis]
                shape = [inside.shape[0], *[1] * (dimensions - 1)]
                shape[1 + axis] = inside.shape[1]
                point = inside.reshape(shape)
            else:
                point = np.zeros_like(threshold)
            found[part] = OPERATORS[cut.symbol](point, threshold)
        return found


def _cells(problem: Problem, slices: _Slices, forms: list[Form], cuts: dict[Comparison, _Cut]) -> _Cells:
    m = slices.weights.size
    if not forms:
        return _Cells(forms, [], np.ones((m, 1)))
    loadings = [_loading(problem, form, slices) for form in forms]
    limits = [
        np.sort(np.stack([cut.threshold for cut in cuts.values() if cut.form == form], axis=1), axis=1)
        for form in forms
    ]
    inside = [_between(limit) for limit in limits]
    scaled = [_scaled(limit, one) for limit, one in zip(limits, loadings, strict=True)]
    padded = [np.pad(z, ((0, 0), (1, 1)), constant_values=((0, 0), (-np.inf, np.inf))) for z in scaled]
    if len(forms) == 1:
        return _Cells(forms, inside, np.diff(special.ndtr(padded[0]), axis=1))
    below = _bivariate(
        padded[0][:, :, None], padded[1][:, None, :], _correlation(loadings[0], loadings[1], slices)
    )
    return _Cells(forms, inside, np.diff(np.diff(below, axis=1), axis=2))


class _Loading(NamedTuple):
    """A normal variable given tau: ``a' beta + offset + noise``."""

    a: Floats
    """(m, p) factors of the coefficients."""
    mean: Floats
    """(m,) mean."""
    noise: dict[str, tuple[float, Floats]]
    """Sign and (m,) variance of independent parts, by their owners."""
    variance: Floats
    """(m,) variance."""


def _loading(problem: Problem, form: Form, slices: _Slices) -> _Loading:
    m = slices.tau.size
    a, offset = np.zeros((m, problem.p)), np.zeros(m)
    noise: dict[str, tuple[float, Floats]] = {}
    for name, sign in form:
        factors, own, variance = _effect(problem, name, slices.tau)
        a, offset = a + sign * factors, offset + sign * own
        if variance is not None:
            noise[name] = (sign, variance)
    mean = (a * slices.known.beta).sum(axis=1) + offset
    total = np.einsum("mp,mpq,mq->m", a, slices.known.cov, a)
    total = total + sum((variance for _, variance in noise.values()), np.zeros(m))
    return _Loading(a, mean, noise, total)


def _effect(problem: Problem, name: str, tau: Floats) -> tuple[Floats, Floats, Floats | None]:
    """Return the factors of the coefficients, the offset and the own variance of an effect given tau."""
    if name in problem.coefficients:
        factors = np.zeros((tau.size, problem.p))
        factors[:, problem.coefficients.index(name)] = 1.0
        return factors, np.zeros(tau.size), None
    if name == "theta_new":
        return np.ones((tau.size, 1)), np.zeros(tau.size), tau**2
    i = [f"theta[{label}]" for label in problem.studies.slab].index(name)
    pooling = problem.v[i] / (problem.v[i] + tau**2)
    return pooling[:, None] * problem.X[i], (1 - pooling) * problem.y[i], pooling * tau**2


def _scaled(limit: Floats, one: _Loading) -> Floats:
    """Return limits (m, n) in standard deviations from the mean; infinite where nothing varies."""
    sd, gap = np.sqrt(one.variance)[:, None], limit - one.mean[:, None]
    fixed = np.where(gap >= 0, np.inf, -np.inf)
    return np.where(sd > 0, gap / np.where(sd > 0, sd, 1.0), fixed)


def _correlation(one: _Loading, two: _Loading, slices: _Slices) -> Floats:
    shared = np.einsum("mp,mpq,mq->m", one.a, slices.known.cov, two.a)
    for name, (sign, variance) in one.noise.items():
        if name in two.noise:
            shared = shared + sign * two.noise[name][0] * variance
    scale = np.sqrt(one.variance * two.variance)
    rho = np.divide(shared, scale, out=np.zeros_like(shared), where=scale > 0)
    return np.asarray(np.clip(rho, -NEARLY_ONE, NEARLY_ONE))


def _bivariate(h: Floats, k: Floats, rho: Floats) -> Floats:
    """Return the probability that two standard normal variables of correlation rho (m,) are below h and k."""
    h, k = np.broadcast_arrays(h, k)
    rho = rho[:, None, None]
    far = 40.0
    first = np.where(h == 0, 1e-300, np.clip(h, -far, far))
    second = np.where(k == 0, 1e-300, np.clip(k, -far, far))
    root = np.sqrt((1 - rho) * (1 + rho))
    with np.errstate(over="ignore"):
        of_first = special.owens_t(first, (second / first - rho) / root)
        of_second = special.owens_t(second, (first / second - rho) / root)
    apart = np.where(first * second > 0, 0.0, np.where(np.sign(first) == np.sign(second), 0.0, 0.5))
    inside = 0.5 * (special.ndtr(first) + special.ndtr(second)) - of_first - of_second - apart
    inside = np.where(np.isposinf(h), special.ndtr(k), np.where(np.isposinf(k), special.ndtr(h), inside))
    return np.where(np.isneginf(h) | np.isneginf(k), 0.0, np.clip(inside, 0.0, 1.0))


def _between(limit: Floats) -> Floats:
    """Return a point in each of the intervals that sorted limits (m, n) make, (m, n + 1)."""
    reach = 1.0 + np.abs(limit).max(axis=1, keepdims=True)
    middle = (limit[:, :-1] + limit[:, 1:]) / 2
    return np.concatenate([limit[:, :1] - reach, middle, limit[:, -1:] + reach], axis=1)


def _truth(statement: Statement, holding: dict[Comparison, Bools]) -> Bools:
    if isinstance(statement, Comparison):
        return holding[statement]
    parts = np.broadcast_arrays(*(_truth(part, holding) for part in statement.parts))
    if statement.word == "not":
        return np.logical_not(parts[0])
    join = np.logical_and if statement.word == "and" else np.logical_or
    return np.asarray(join.reduce(parts))
