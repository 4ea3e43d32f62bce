"""The grid engine: location-scale models with two scale parameters, integrated without simulation.

Given the taus of the studies everything is Gaussian, so that the posterior is a two-dimensional integral. It
is taken by the trapezoidal rule in coordinates in which the integrand is analytic and falls off
(`bayesmeta.results.axes`), within the box where it is above exp(-38) of its peak. Steps are shortened, each
direction by itself, until the rules with every second node agree; their difference is the error that the
result carries.

The rule was chosen over Gauss-Legendre panels because in two dimensions it needs the square of a smaller
number of nodes, because every second node is a rule of its own, so that the error costs nothing, and because
densities and distribution functions between equidistant nodes follow by sinc functions.

References
----------
Trefethen LN, Weideman JAC (2014). The exponentially convergent trapezoidal rule. SIAM Rev 56:385-458.
doi:10.1137/130932132
Viechtbauer W, López-López JA (2022). Location-scale models for meta-analysis. Res Synth Methods 13:697-715.
doi:10.1002/jrsm.1562
"""

from __future__ import annotations

from functools import cache
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.errors import ModelError, NumericalError
from bayesmeta.location_scale import require_proper_scale, tau_bounds
from bayesmeta.priors import Fixed, Flat, Normal, Uniform
from bayesmeta.properness import whole_moments
from bayesmeta.results.scale_grid import Plane, ScaleNodes, evaluated, rule_on

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.axes import Axis

DEPTH = 38.0
"""Logarithms below the peak at which the box ends."""
SCAN = 41
"""Points in each direction when the box is narrowed."""
ROUNDS = 30
SHRUNK = 0.9
"""Narrowing ends when a round leaves more than this part of both sides of the box."""
SEED_STEP, SEED_REACH = 0.75, 12.0
"""Distance of the points of the first scan, and where they begin to lie farther apart."""
FIRST_STEP = {"even": 0.25, "log": 0.25, "bounded": 0.25, "line": 0.5}
"""Step of the first rule in each coordinate, if that gives it enough nodes."""
FEWEST_STEPS = 24
MOST_NODES = 2**19
GOAL = 1e-10
"""Difference between rules at which shortening stops, in log evidence and in standard deviations."""
LIMIT = 1e-8
"""Difference above which there is no answer."""


def why_not(problem: Problem) -> str:
    """Return why the grid engine cannot run the problem, or ``""`` if it can."""
    scale = problem.scale
    if scale is None:
        return "scale '1'"
    odd = [prior for prior in problem.priors.beta if not isinstance(prior, Normal | Flat)]
    if odd:
        return f"prior {odd[0]} of a coefficient"
    if any(isinstance(part, Fixed) for _, part in problem.priors.tau_density.parts):
        return f"prior {problem.priors.tau} of tau with scale '{problem.model.scale}'"
    if scale.size > 2:
        return f"scale '{problem.model.scale}' with {scale.size} parameters (at most 2)"
    odd = [prior for prior in scale.deltas if not isinstance(prior, Normal | Uniform | Flat)]
    return f"prior {odd[0]} of delta" if odd else ""


def integrate(problem: Problem) -> ScaleNodes:
    """Return the posterior of a location-scale model on the nodes of its two scale parameters.

    Parameters
    ----------
    problem : Problem
        With normal or flat priors of the coefficients, and one tau with one delta, or two taus.

    Raises
    ------
    ModelError
        If the engine cannot run the problem.
    ImproperPosteriorError
        If the posterior may not exist.
    NumericalError
        If the rules do not come to agree to 1e-8.
    """
    reason = why_not(problem)
    if reason:
        raise ModelError(f"engine 'exact' cannot run {reason}; use engine='nuts'")
    assert problem.scale is not None  # noqa: S101 - that is a reason
    require_proper_scale(problem, problem.scale)
    plane = Plane(problem)
    return _settled(plane, _box(plane))


class _Box(NamedTuple):
    """Where all of the posterior is."""

    outer: tuple[float, float]
    """Coordinates of the outer parameter."""
    inner: tuple[float, float]
    """Coordinates of the inner parameter."""


def _box(plane: Plane) -> _Box:
    """Return the box outside which neither the density nor the moments in use have anything.

    Raises
    ------
    NumericalError
        If the posterior reaches beyond the largest numbers.
    """
    scale = plane.scale
    order = max(0, min(4, whole_moments(float(tau_bounds(plane.problem, scale).min()))))
    x_outer, x_inner = _seeds(plane.outer), _seeds(plane.inner)
    box = None
    for _ in range(ROUNDS):
        reach = _log_reach(plane, x_outer, x_inner, order)
        rows = _above(x_outer, reach.max(axis=1), plane.outer)
        columns = _above(x_inner, reach.max(axis=0), plane.inner)
        narrowed = _Box(rows, columns)
        if box is not None and all(
            new[1] - new[0] > SHRUNK * (old[1] - old[0]) for new, old in zip(narrowed, box, strict=True)
        ):
            return narrowed
        box = narrowed
        x_outer, x_inner = np.linspace(*box.outer, SCAN), np.linspace(*box.inner, SCAN)
    raise NumericalError(
        "the posterior of tau and delta could not be found; are their priors extremely narrow?"
    )


def _seeds(axis: Axis) -> Floats:
    """Return the points of the first scan."""
    low, high = axis.ends
    near = np.arange(-SEED_REACH, SEED_REACH, SEED_STEP)
    far = SEED_REACH * 1.3 ** np.arange(14)
    points = np.concatenate([-far, near, far, [low, high]])
    return np.unique(points[(points >= low) & (points <= high)])


def _log_reach(plane: Plane, x_outer: Floats, x_inner: Floats, order: int) -> Floats:
    """Return the log integrand of the highest moment in use, which is the last to vanish."""
    outer, inner = np.repeat(x_outer, x_inner.size), np.tile(x_inner, x_outer.size)
    points = plane.at(outer, inner)
    largest = points.parameters[:, : plane.scale.T].max(axis=1)
    growth = 0.5 * order * np.log1p((largest / np.sqrt(plane.problem.v.min())) ** 2)
    return np.asarray((points.log_density + growth).reshape(x_outer.size, x_inner.size))


def _above(x: Floats, log_f: Floats, axis: Axis) -> tuple[float, float]:
    """Return the neighbours of the points that are not far below the peak."""
    inside = np.flatnonzero(log_f > log_f.max() - DEPTH)
    if inside[-1] == x.size - 1 and axis.may_escape and x[-1] >= axis.ends[1]:
        raise NumericalError(
            "the posterior of tau reaches beyond 1e+149: its tail falls too slowly; use a prior of tau with "
            "a lighter tail, such as HalfNormal or HalfCauchy"
        )
    return float(x[max(inside[0] - 1, 0)]), float(x[min(inside[-1] + 1, x.size - 1)])


def _settled(plane: Plane, box: _Box) -> ScaleNodes:
    """Return the nodes of the first rules that agree with those of every second node."""
    steps = [_first_steps(axis, *side) for axis, side in zip((plane.outer, plane.inner), box, strict=True)]
    while True:
        fine = _on(plane, box, steps[0], steps[1])
        errors = [difference(fine.thinned(outer=one == 0, inner=one == 1), fine) for one in range(2)]
        coarse = [error > GOAL for error in errors]
        more = [_more(n) if again else n for n, again in zip(steps, coarse, strict=True)]
        if not any(coarse) or more[0] * more[1] > MOST_NODES:
            break
        steps = more
    error = max(errors)
    if not error <= LIMIT:
        raise NumericalError(
            f"the integral over tau and delta did not settle with {steps[0]} by {steps[1]} nodes; are their "
            "priors extremely narrow or discontinuous?"
        )
    return fine._replace(error=error)


def _first_steps(axis: Axis, low: float, high: float) -> int:
    """Return an even number of steps."""
    return 2 * ceil(max(FEWEST_STEPS, (high - low) / FIRST_STEP[axis.kind]) / 2)


def _more(steps: int) -> int:
    """Return an even number of steps, half as many again."""
    return 2 * ceil(0.75 * steps)


def _on(plane: Plane, box: _Box, outer: int, inner: int) -> ScaleNodes:
    """Return the posterior on rules of some steps, and how to get it on those of twice as many."""
    rules = rule_on(plane.outer, *box.outer, outer), rule_on(plane.inner, *box.inner, inner)

    @cache
    def finer() -> ScaleNodes:
        if 4 * outer * inner > 4 * MOST_NODES:
            raise NumericalError("the answer did not settle within 2^21 nodes; ask for less extreme ones")
        return _on(plane, box, 2 * outer, 2 * inner)

    return evaluated(plane, *rules)._replace(finer=finer)


def difference(coarse: ScaleNodes, fine: ScaleNodes) -> float:
    """Return the largest difference of two node sets, in log evidence and in standard deviations.

    Compared are the log evidence, and the means and spreads of the coefficients (within the middle of the
    posterior, since they need not have moments) and of the coordinates of the scale parameters.
    """
    parts = [abs(coarse.log_evidence - fine.log_evidence)]
    peak = int(fine.weights.argmax())
    centre, width = fine.beta[peak], np.sqrt(np.diagonal(fine.cov[peak]))
    for order in (1, 2):
        shift = _damped(coarse, centre, width, order) - _damped(fine, centre, width, order)
        parts += np.abs(shift).tolist()
    for one, two in zip(_moments(coarse), _moments(fine), strict=True):
        parts += [abs(one[0] - two[0]) / two[1], abs(one[1] / two[1] - 1)]
    return float(max(parts))


def _damped(nodes: ScaleNodes, centre: Floats, width: Floats, order: int) -> Floats:
    z = (nodes.beta - centre) / width
    spread = np.diagonal(nodes.cov, axis1=1, axis2=2) / width**2
    return nodes.weights @ ((z if order == 1 else z * z + spread) / (1 + z * z + spread))


def _moments(nodes: ScaleNodes) -> list[tuple[float, float]]:
    """Return mean and sd of a smooth function of each scale parameter; where it is a tau, an even one.

    The coordinate of the inner tau would not do, because its scale is not a smooth function of delta.
    """
    plane, found = nodes.plane, []
    smallest = plane.problem.v.min()
    for j, parameter in enumerate(nodes.parameters.T):
        value = np.log1p(parameter**2 / smallest) if j < plane.scale.T else parameter
        mean = float(nodes.weights @ value)
        found.append((mean, float(np.sqrt(nodes.weights @ (value - mean) ** 2))))
    return found
