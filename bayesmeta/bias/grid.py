"""Posterior of a step selection model by integration over mean, tau and weights.

Given mean and tau the chance that a study is seen is the sum over the intervals of their weight times the
normal probability of the interval, so that the likelihood at every point of a grid of mean and tau and every
node of the weights is one product of small matrices. The prior of the weights is a product in the ratios of
neighbouring weights (or in the weights themselves), each integrated on its logarithm; mean and tau are
integrated on Gauss-Legendre panels in ``asinh`` of themselves over the box that holds the posterior. A grid
of half as many nodes again is compared; the difference is the error that the result carries.

References
----------
Larose DT, Dey DK (1998). Modeling publication bias using weighted distributions in a Bayesian framework.
Comput Stat Data Anal 26:279-302. doi:10.1016/S0167-9473(97)00039-X
Maier M, Bartos F, Wagenmakers EJ (2023). Robust Bayesian meta-analysis: addressing publication bias with
model-averaging. Psychol Methods 28:107-122. doi:10.1037/met0000405
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import betaln

from bayesmeta.bias.arsinh import Axis, AxisDistribution, axis_panels, point_panels
from bayesmeta.bias.weights import interval_probabilities
from bayesmeta.errors import NumericalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.bias.weights import WeightFunction
    from bayesmeta.priors import Prior

HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))
LONGEST_RATIO = 24.0
"""Largest minus logarithm of a ratio of weights that is integrated."""
LEFT_OUT = 1e-9
"""Posterior probability of a node of the coarse rule beyond which the ratio is left out."""
WIDENED = 0.25
"""Part of its length by which the range of a ratio grows on both sides in the finer grids."""
SEARCH = ((61, 2), (41, 3), (21, 5), (15, 7), (15, 8))
"""Points of mean and tau, and nodes in a panel of a ratio, in each round of the search for the box."""
LONGEST_PANEL = 7.0
"""Length in the logarithm of a ratio of a panel of its rule; the singularities are pi away."""
RATIO_NODES = (0, 12, 10, 10)
"""Nodes of such a panel in the coarsest grid, by the number of free weights."""
MANY = 20
"""Number of studies above which the weights are known so well that their rule must be finer."""
DEPTH = 26.0
"""Depth below the peak of the log posterior to which the box reaches."""
DEEPEST = 600.0
"""Largest minus logarithm of a product of chances, each above exp(-LONGEST_RATIO) for every free weight."""
BLOCK = 2_000_000
"""Largest number of values of one array."""
GOAL, LIMIT = 1e-5, 1e-4
"""Error at which refinement stops, and above which there is no answer."""
FINER = (1.5, 2.25, 3.5)
"""Sizes of the grids that are compared with the coarsest, one after another."""


type Range = tuple[float, float]


class WeightPrior(NamedTuple):
    """Prior of the weights of a step function."""

    alpha: tuple[float, ...]
    """Parameters of the Dirichlet distribution, one for each interval."""
    monotone: bool
    """Weights are cumulative sums, falling with the p-value (True), or independent and uniform on (0, 1)."""


class WeightRule(NamedTuple):
    """Nodes of the weights with the probability of each."""

    omega: Floats
    """(n, intervals) weights, the first being 1."""
    log_mass: Floats
    """(n,) logarithms of prior probability times quadrature weight."""


class Task(NamedTuple):
    """What is integrated."""

    y: Floats
    """(k,) effects."""
    v: Floats
    """(k,) sampling variances."""
    mu: Prior | None
    """Prior of the mean; None is a mean of 0."""
    tau: Prior | None
    """Prior of tau as a density of tau; None is tau = 0."""
    steps: WeightFunction | None
    """Step function; None is no selection."""
    weights: WeightPrior
    """Prior of its weights."""
    known: Floats | None = None
    """(intervals - 1,) weights that are given instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Posterior on a grid.

    Attributes
    ----------
    log_evidence : float
        Logarithm of the marginal likelihood.
    mu, tau : AxisDistribution or None
        Marginal posteriors; None where they are 0 by assumption.
    weights_mean, weights_sd : (intervals - 1,) arrays
        Posterior mean and standard deviation of the weights after the first, which is 1.
    error : float
        Largest change, in log evidence or in posterior standard deviations of mean and spread, from a coarser
        grid.
    """

    log_evidence: float
    mu: AxisDistribution | None
    tau: AxisDistribution | None
    weights_mean: Floats
    weights_sd: Floats
    error: float


def integrate(task: Task) -> Grid:
    """Return the posterior of a step selection model, or of the model without selection.

    Raises
    ------
    NumericalError
        If two grids do not agree to 1e-4.
    """
    axes = _axes(task)
    box = _box(task, axes)
    coarse = _evaluate(task, axes, box, 1.0)
    box = _wider(box)
    for size in FINER:
        fine = _evaluate(task, axes, box, size)
        error = _difference(coarse, fine)
        if error <= GOAL:
            break
        coarse = fine
    if not error <= LIMIT:
        raise NumericalError(
            f"the integral of a selection model did not settle: two grids differ by {error:.1e}; use priors "
            "with lighter tails"
        )
    return Grid(fine.log_evidence, fine.mu, fine.tau, fine.weights_mean, fine.weights_sd, error)


def weight_rule(task: Task, n: int, ranges: Sequence[Range]) -> WeightRule:
    """Return nodes of the weights.

    Parameters
    ----------
    task : Task
        Step function and prior of the weights.
    n : int
        Nodes in a panel.
    ranges : sequence of Range
        Limits of the logarithm of each ratio of neighbouring weights.

    Notes
    -----
    With ``omega_j = sum_{i >= j} eta_i`` and eta Dirichlet, the ratios ``omega_{j+1} / omega_j`` are
    independent, Beta(sum_{i > j} alpha_i, alpha_j).
    """
    if task.steps is None:
        return WeightRule(np.ones((1, 1)), np.zeros(1))
    if task.known is not None:
        return WeightRule(np.concatenate([[1.0], task.known])[None], np.zeros(1))
    alpha, monotone = np.array(task.weights.alpha), task.weights.monotone
    omega, log_mass = np.ones((1, 1)), np.zeros(1)
    for j, limits in enumerate(ranges):
        logs, mass = _ratio_rule(n, limits)
        a, b = (float(alpha[j + 1 :].sum()), float(alpha[j])) if monotone else (1.0, 1.0)
        density = a * logs + (b - 1) * np.log1p(-np.exp(logs)) - betaln(a, b) + np.log(mass)
        base = omega[:, -1:] if monotone else np.ones((omega.shape[0], 1))
        new = (base * np.exp(logs)).reshape(-1, 1)
        omega = np.concatenate([np.repeat(omega, logs.size, axis=0), new], axis=1)
        log_mass = (log_mass[:, None] + density).ravel()
    return WeightRule(omega, log_mass)


def _ratio_rule(n: int, limits: Range) -> tuple[Floats, Floats]:
    """Return nodes and weights of the logarithm of a ratio between its limits."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    edges = np.linspace(*limits, ceil((limits[1] - limits[0]) / LONGEST_PANEL) + 1)
    half = np.diff(edges)[:, None] / 2
    return ((edges[:-1, None] + half) + half * nodes).ravel(), (half * weights).ravel()


class _Axes(NamedTuple):
    mu: Axis | None
    tau: Axis | None


class _Box(NamedTuple):
    mu: tuple[float, float]
    tau: tuple[float, float]
    ranges: tuple[Range, ...]


def _axes(task: Task) -> _Axes:
    weights = 1 / task.v
    total = float(weights.sum())
    mu = None if task.mu is None else Axis(float(weights @ task.y) / total, total**-0.5)
    smallest = float(np.sqrt(task.v.min()))
    tau = None
    if task.tau is not None:
        typical = task.tau.typical
        tau = Axis(0.0, min(smallest, typical) if typical > 0 else smallest)
    return _Axes(mu, tau)


def _log_joint(
    task: Task, mu: Floats, tau: Floats, rule: WeightRule, features: Floats
) -> tuple[Floats, Floats]:
    """Return log of likelihood times priors at g points, the weights integrated, and means of features.

    Parameters
    ----------
    task : Task
        What is integrated.
    mu, tau : (g,) arrays
        Points.
    rule : WeightRule
        n nodes of the weights.
    features : (n, q) array
        Functions of the weights.

    Returns
    -------
    log_joint : (g,) array
        Logarithms.
    expected : (g, q) array
        Posterior expectations of the features at each point.
    """
    s = np.sqrt(task.v[:, None] + tau**2)
    plain = -0.5 * (((task.y[:, None] - mu) / s) ** 2).sum(axis=0) - np.log(s).sum(axis=0)
    plain -= task.y.size * HALF_LOG_2PI
    plain += 0.0 if task.mu is None else task.mu.logpdf(mu)
    with np.errstate(divide="ignore"):
        plain += 0.0 if task.tau is None else task.tau.logpdf(tau)
    if task.steps is None:
        return plain, np.zeros((mu.size, features.shape[1]))
    log_seen = _log_seen(task, rule) + rule.log_mass
    joint, expected = np.empty(mu.size), np.empty((mu.size, features.shape[1]))
    step = max(1, BLOCK // rule.log_mass.size)
    for start in range(0, mu.size, step):
        part = slice(start, start + step)
        chances = interval_probabilities(task.steps, task.v, mu[part], s[:, part])
        logs = log_seen - _log_chance(chances, rule.omega)
        top = logs.max(axis=1, keepdims=True)
        mass = np.exp(logs - top)
        total = mass.sum(axis=1)
        joint[part] = top[:, 0] + np.log(total)
        expected[part] = mass @ features / total[:, None]
    return plain + joint, expected


def _log_seen(task: Task, rule: WeightRule) -> Floats:
    """Return the (n,) log product of the weights of the studies seen."""
    places = task.steps.interval_of(task.y / np.sqrt(task.v))  # type: ignore[union-attr]
    counts = np.bincount(places, minlength=rule.omega.shape[1])
    return np.asarray(np.log(rule.omega) @ counts)


def _log_chance(chances: Floats, omega: Floats) -> Floats:
    """Return the (g, n) log product over studies of the chance to be seen; chances are (k, g, intervals)."""
    logs = np.zeros((chances.shape[1], omega.shape[0]))
    group = max(1, int(DEEPEST / (LONGEST_RATIO * (omega.shape[1] - 1))))
    for start in range(0, chances.shape[0], group):
        product = np.matmul(chances[start], omega.T)
        for study in chances[start + 1 : start + group]:
            product *= np.matmul(study, omega.T)
        logs += np.log(product)
    return logs


def _box(task: Task, axes: _Axes) -> _Box:
    """Return the box in the axes' coordinates outside which the posterior is negligible."""
    free = 0 if task.steps is None or task.known is not None else len(task.steps.steps)
    box = _Box(_whole(task.mu, axes.mu), _whole(task.tau, axes.tau), ((-LONGEST_RATIO, 0.0),) * free)
    for points, n in SEARCH:
        rule = weight_rule(task, n, box.ranges)
        t, u = _linear(axes.mu, box.mu, points), _linear(axes.tau, box.tau, points)
        mu, tau = _places(axes, *(part.ravel() for part in np.meshgrid(t, u, indexing="ij")))
        log_f, shares = _log_joint(task, mu, tau, rule, _at_nodes(n, box.ranges))
        log_f = log_f.reshape(t.size, u.size)
        log_f += _stretch(axes.mu, t)[:, None] + _stretch(axes.tau, u)
        f = np.exp(log_f - log_f.max())
        high = f > exp(-DEPTH)
        ranges = _cut(f.ravel() @ shares / f.sum(), n, box.ranges)
        box = _Box(_around(t, high.any(axis=1)), _around(u, high.any(axis=0)), ranges)
    return box


def _at_nodes(n: int, ranges: Sequence[Range]) -> Floats:
    """Return whether each node of the weights has each node of each ratio, (nodes, nodes of all ratios)."""
    if not ranges:
        return np.zeros((1, 0))
    sizes = [_ratio_rule(n, limits)[0].size for limits in ranges]
    places = np.indices(sizes).reshape(len(sizes), -1)
    return np.concatenate([np.eye(size)[place] for size, place in zip(sizes, places, strict=True)], axis=1)


def _cut(shares: Floats, n: int, ranges: Sequence[Range]) -> tuple[Range, ...]:
    """Return for each ratio the range that reaches one node further than those that have a share."""
    found, start = [], 0
    for limits in ranges:
        nodes = _ratio_rule(n, limits)[0]
        kept = np.flatnonzero(shares[start : start + nodes.size] > LEFT_OUT)
        ends = np.concatenate([[limits[0]], nodes, [limits[1]]])
        found.append((float(ends[kept[0]]), float(ends[kept[-1] + 2])))
        start += nodes.size
    return tuple(found)


def _wider(box: _Box) -> _Box:
    """Return the box with wider ranges of the ratios, so that two grids show what was left out."""
    ranges = []
    for low, high in box.ranges:
        more = WIDENED * (high - low)
        ranges.append((max(-LONGEST_RATIO, low - more), min(0.0, high + more)))
    return box._replace(ranges=tuple(ranges))


def _whole(prior: Prior | None, axis: Axis | None) -> tuple[float, float]:
    """Return the range of an axis that a prior allows."""
    if prior is None or axis is None:
        return 0.0, 0.0
    low, high = prior.support
    ends = prior.quantile(np.array([1e-15, 1 - 1e-15]))
    low, high = max(low, float(ends[0])), min(high, float(ends[1]))
    low = 0.0 if axis.centre == 0 and prior.support[0] == 0 else low
    first, last = axis.coordinate(np.array([low, high])).tolist()
    return max(first, -80.0), min(last, 80.0)


def _linear(axis: Axis | None, ends: tuple[float, float], points: int) -> Floats:
    return np.zeros(1) if axis is None else np.linspace(*ends, points)


def _stretch(axis: Axis | None, t: Floats) -> Floats:
    return np.zeros(t.size) if axis is None else axis.log_derivative(t)


def _places(axes: _Axes, t: Floats, u: Floats) -> tuple[Floats, Floats]:
    mu = np.zeros(t.size) if axes.mu is None else axes.mu.place(t)
    tau = np.zeros(u.size) if axes.tau is None else axes.tau.place(u)
    return mu, tau


def _around(t: Floats, high: Bools) -> tuple[float, float]:
    """Return the ends of what is high, one cell further out on both sides."""
    at = np.flatnonzero(high)
    return float(t[max(at[0] - 1, 0)]), float(t[min(at[-1] + 1, t.size - 1)])


def _evaluate(task: Task, axes: _Axes, box: _Box, size: float) -> Grid:
    """Return the posterior on the grid of relative size `size`."""
    t = point_panels() if axes.mu is None else axis_panels(box.mu, size)
    u = point_panels() if axes.tau is None else axis_panels(box.tau, size)
    crowded = max(1.0, (task.y.size / MANY) ** 0.5)
    rule = weight_rule(task, ceil(RATIO_NODES[min(len(box.ranges), 3)] * size * crowded) or 1, box.ranges)
    features = np.concatenate([rule.omega[:, 1:], rule.omega[:, 1:] ** 2], axis=1)
    mu, tau = _places(axes, *(part.ravel() for part in np.meshgrid(t.x, u.x, indexing="ij")))
    log_f, expected = _log_joint(task, mu, tau, rule, features)
    log_f = log_f.reshape(t.x.size, u.x.size) + _stretch(axes.mu, t.x)[:, None] + _stretch(axes.tau, u.x)
    top = float(log_f.max())
    f = np.exp(log_f - top)
    mass = f * t.weights[:, None] * u.weights
    total = float(mass.sum())
    first, second = np.split(mass.ravel() @ expected / total, 2)
    return Grid(
        top + float(np.log(total)),
        None if axes.mu is None else AxisDistribution(axes.mu, t, f @ u.weights / total),
        None if axes.tau is None else AxisDistribution(axes.tau, u, t.weights @ f / total),
        first,
        np.sqrt(np.maximum(second - first**2, 0.0)),
        inf,
    )


def _difference(coarse: Grid, fine: Grid) -> float:
    moved = [abs(coarse.log_evidence - fine.log_evidence)]
    for one, two in ((coarse.mu, fine.mu), (coarse.tau, fine.tau)):
        if one is not None and two is not None:
            shifts = (one.mean() - two.mean(), one.sd() - two.sd())
            moved += [abs(float(shift[0] / two.sd()[0])) for shift in shifts]
    return max(moved)
