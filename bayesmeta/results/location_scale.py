"""The posterior of a location-scale model on the nodes of its two scale parameters, and all that follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.location_scale import given_taus, mean_bounds, tau_bounds
from bayesmeta.properness import whole_moments
from bayesmeta.results.draws import Draws
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.results.posterior import distribution_of, draw_values, names_in
from bayesmeta.results.predictive import draw_effects, new_effects
from bayesmeta.results.rows import Link, RowDensity, graded, power_weights
from bayesmeta.results.scale_draws import draw_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.classical import Classical
    from bayesmeta.location_scale import Quantity, ScaleStructure
    from bayesmeta.problem import Problem
    from bayesmeta.results.expression import Comparison, Statement
    from bayesmeta.results.scale_grid import Plane, Rule, ScaleNodes
    from bayesmeta.results.tables import Row
    from bayesmeta.results.transformed import Scale

JOINT_DRAWS = 400_000
"""Independent draws for statements about several quantities at once."""
CHAINS = 4
FAINTEST = 1e-26
"""Part of the largest probability of a node below which nodes are left out of mixtures."""
TINY = 1e-300


type Part = Callable[[ScaleNodes, Ints], tuple[Floats, Floats]]
"""Means and sds (m, q) at some of the nodes."""
type Parts = Sequence[tuple[float, Part]]
"""Parts of a mixture with their probabilities."""


@dataclass(frozen=True, eq=False)
class LocationScalePosterior:
    """Posterior on the nodes of two scale parameters.

    Attributes
    ----------
    problem : Problem
        What was asked.
    nodes : ScaleNodes
        The answer of the grid engine.
    """

    problem: Problem
    nodes: ScaleNodes
    engine: str = "exact"

    @property
    def log_evidence(self) -> float:
        """Log of the marginal likelihood."""
        return self.nodes.log_evidence

    @property
    def plane(self) -> Plane:
        """Coordinates of the scale parameters."""
        return self.nodes.plane

    @property
    def scale(self) -> ScaleStructure:
        """How tau differs between studies."""
        return self.plane.scale

    def _mixture(self, parts: Parts, moments: int | Ints = 3) -> NormalMixture:
        """Return a mixture on every second node, checked against that on all of them."""
        return _mixed(self.nodes.thinned(outer=True, inner=True), parts, moments, levels=2)

    @cached_property
    def coefficients(self) -> NormalMixture:
        """The p coefficients."""
        return self.at(np.eye(self.problem.p), new_study=False)

    @cached_property
    def theta(self) -> NormalMixture:
        """Effects of the k studies."""
        X, y, v = self.problem.X, self.problem.y, self.problem.v

        def effects(nodes: ScaleNodes, used: Ints) -> tuple[Floats, Floats]:
            tau2 = self.scale.taus(nodes.parameters[used]) ** 2
            pooling = v / (v + tau2)
            fitted = nodes.beta[used] @ X.T
            variance = (1 - pooling) * v + pooling**2 * _variances(X, nodes.cov[used])
            return fitted + (1 - pooling) * (y - fitted), np.sqrt(variance)

        return self._mixture([(1.0, effects)])

    @property
    def tau(self) -> RowDensity:
        """Between-study standard deviation at the means of the scale columns."""
        return self.of_scale(self.scale.centre)

    def of_tau(self, scale: Scale) -> RowDensity:
        """Return the distribution of an increasing function of tau."""
        return self.of_scale(self.scale.centre, scale)

    def of_scale(self, quantity: Quantity, scale: Scale | None = None) -> RowDensity:
        """Return the distribution of a tau or of a log ratio of taus, or of an increasing function of it."""
        moments = 3 if quantity.logarithmic else self._tau_moments(quantity, scale)
        rule, mass, link = self._coordinates(quantity)
        lowest = -np.inf if quantity.logarithmic else 0.0
        if scale is None:
            return RowDensity(rule, mass, link, lowest, moments=moments, raw=self._raw(quantity, None))
        first, last = float(scale.forward(np.array([0.0]))[0]), np.inf if scale.order else 100.0
        raw = self._raw(quantity, scale)
        return RowDensity(rule, mass, _composed(link, scale), first, last, moments, raw)

    def _raw(self, quantity: Quantity, scale: Scale | None) -> Callable[[int], float] | None:
        """Return how to get means of powers of a quantity where the density of a tau may be even."""
        plane, nodes = self.plane, self.nodes
        if quantity.logarithmic or plane.inner.kind != "even":
            return None
        if scale is not None:
            tau = self.scale.values(quantity, nodes.parameters)
            return lambda order: float(nodes.weights @ scale.forward(tau) ** order)
        outer = plane.outer.value(nodes.outer.x, plane.outer_scale)
        row_scale = plane.inner_scale(outer)
        of_inner, of_outer = self._exponents(quantity)

        def raw(order: int) -> float:
            if plane.of_taus:
                rows = plane.outer_scale ** (order * of_outer) * power_weights(nodes.outer, order * of_outer)
            else:
                rows = np.exp(order * of_outer * outer)
            columns = power_weights(nodes.inner, order * of_inner)
            return float((rows * row_scale ** (order * of_inner)) @ (nodes.mass @ columns))

        return raw

    def _exponents(self, quantity: Quantity) -> tuple[float, float]:
        """Return with what exponents, or factors, the inner and the outer parameter enter a quantity."""
        w = quantity.weights
        return (float(w[1]), float(w[0])) if self.plane.of_taus else (float(w[0]), float(w[1]))

    def _tau_moments(self, quantity: Quantity, scale: Scale | None) -> int:
        bounds = tau_bounds(self.problem, self.scale)
        used = quantity.weights[: self.scale.T] != 0
        order = 1.0 if scale is None else float(scale.order)
        return 3 if order == 0 else min(3, whole_moments(float(bounds[used].min()) / order))

    def _coordinates(self, quantity: Quantity) -> tuple[Rule, Floats, Link]:
        """Return the coordinate that a quantity grows with, its probabilities in rows, and how it does."""
        plane, nodes = self.plane, self.nodes
        of_inner, of_outer = self._exponents(quantity)
        if of_inner == 0:
            return nodes.outer, nodes.mass.sum(axis=1)[None, :], self._link_to_the_outer()
        x_outer, mass = nodes.outer.x, nodes.mass
        if not of_outer and (plane.of_taus or plane.inner.kind == "bounded"):
            x_outer, mass = x_outer[:1], mass.sum(axis=0)[None, :]
        elif of_outer and plane.of_taus:
            x_outer, spread = graded(nodes.outer)
            mass = (mass.T @ spread).T
        return nodes.inner, mass, self._link_to_the_inner(x_outer, of_inner, of_outer, quantity.logarithmic)

    def _link_to_the_outer(self) -> Link:
        axis, scale = self.plane.outer, self.plane.outer_scale
        return Link(
            lambda x: axis.value(x, scale)[None, :],
            lambda q: axis.coordinate(q, scale)[:, None],
            lambda q: -axis.log_slope(axis.coordinate(q, scale), scale)[:, None],
        )

    def _link_to_the_inner(
        self, x_outer: Floats, of_inner: float, of_outer: float, logarithmic: bool
    ) -> Link:
        """Return the link of ``log q = of_inner log(tau) + of_outer g``, g being delta or another log tau."""
        plane = self.plane
        outer = plane.outer.value(x_outer, plane.outer_scale)
        row_scale, axis = plane.inner_scale(outer), plane.inner
        with np.errstate(divide="ignore"):
            offset = of_outer * (np.log(outer) if plane.of_taus else outer) if of_outer else 0 * outer

        def tau(q: Floats) -> Floats:
            with np.errstate(divide="ignore", over="ignore"):
                log_q = q if logarithmic else np.log(q)
                return np.exp((log_q[:, None] - offset) / of_inner)

        def value(x: Floats) -> Floats:
            with np.errstate(divide="ignore", invalid="ignore"):
                log_q = of_inner * np.log(axis.value(x, row_scale[:, None])) + offset[:, None]
            return log_q if logarithmic else np.exp(log_q)

        def log_slope(q: Floats) -> Floats:
            with np.errstate(divide="ignore"):
                t = np.clip(tau(q), TINY, 1e300)
                by_tau = np.log(t) - np.log(of_inner)
                by_q = by_tau if logarithmic else by_tau - np.log(np.maximum(q, TINY))[:, None]
                return np.asarray(by_q - axis.log_slope(axis.coordinate(t, row_scale), row_scale))

        return Link(value, lambda q: axis.coordinate(tau(q), row_scale), log_slope)

    def at(self, rows: Floats, *, new_study: bool, scale: Floats | None = None) -> NormalMixture:
        """Return mean effects, or effects in new studies, at rows of the two design matrices.

        Parameters
        ----------
        rows : (n, p) array
            Rows of the design matrix of the coefficients.
        new_study : bool
            Whether the spread of a new study is added.
        scale : (n, T + q) array, optional
            `ScaleStructure.rows` of the new studies; by default each is like one of the studies at random.
        """
        bounds = mean_bounds(self.problem, self.scale, rows)
        if new_study:
            bounds = np.minimum(bounds, tau_bounds(self.problem, self.scale).min())
        existing = np.array([min(3, whole_moments(float(bound))) for bound in bounds])
        if not new_study:
            return self._mixture([(1.0, self._means(rows, None))], existing)
        if scale is not None:
            return self._mixture([(1.0, self._means(rows, scale))], existing)
        kinds = [
            (share, self._means(rows, np.tile(kind, (rows.shape[0], 1))))
            for kind, share in zip(*self.scale.kinds, strict=True)
        ]
        return self._mixture(kinds, existing)

    def _means(self, rows: Floats, scale: Floats | None) -> Part:
        """Return how to get means and sds of effects at the nodes; with `scale` those in new studies."""

        def effects(nodes: ScaleNodes, used: Ints) -> tuple[Floats, Floats]:
            variance = _variances(rows, nodes.cov[used])
            if scale is not None:
                variance = variance + self.scale.taus(nodes.parameters[used], scale) ** 2
            return nodes.beta[used] @ rows.T, np.sqrt(variance)

        return effects

    def shares(self) -> tuple[Floats, Floats]:
        """Return the (k,) mean weights in percent and the (k,) mean pooling."""
        used = _used(self.nodes)
        weights, tau2 = self.nodes.weights[used], self.scale.taus(self.nodes.parameters[used]) ** 2
        precision = 1 / (self.problem.v + tau2)
        share = 100 * (precision / precision.sum(axis=1, keepdims=True))
        return weights @ share, weights @ (self.problem.v * precision)

    def probability(self, statement: Statement) -> float:
        """Return the probability of a statement.

        A comparison of one quantity with a number is integrated. Others are counted in 400,000 independent
        draws, which leaves a standard error of `monte_carlo_error`.
        """
        parts = statement.comparisons()
        if len(parts) == 1 and statement is parts[0] and len(names_in(statement)) == 1:
            found = self._of_one(parts[0])
            if found is not None:
                return found
        return self._counted(statement)

    def _of_one(self, part: Comparison) -> float | None:
        """Return the probability of a comparison of one quantity with a number."""
        named, other, symbol = part.left, part.right, part.symbol
        if not named.name:
            named, other, symbol = other, named, {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[symbol]
        if other.name or symbol not in {"<", "<=", ">", ">="}:
            return None
        below = float(distribution_of(self, named.name).cdf(np.array([other.value]))[0, 0])
        return below if symbol in {"<", "<="} else 1 - below

    def monte_carlo_error(self, statement: Statement) -> float:
        """Return the standard error of `probability`: 0 where it is integrated, at most 0.0008 elsewhere."""
        if len(statement.comparisons()) == 1 and len(names_in(statement)) == 1:
            return 0.0
        p = self._counted(statement)
        return float(np.sqrt(p * (1 - p) / JOINT_DRAWS))

    def _counted(self, statement: Statement) -> float:
        draws = self.draws(JOINT_DRAWS, np.random.default_rng(0))
        return float(statement.holds(draw_values(draws, self.problem, names_in(statement))).mean())

    def draws(self, n: int, rng: np.random.Generator) -> Draws:
        """Return n independent draws by composition, dealt to four chains (to one where n is odd)."""
        parameters = draw_parameters(self.nodes, n, rng)
        known = given_taus(self.problem, self.scale.taus(parameters))
        p = self.problem.p
        beta = known.beta + (np.linalg.cholesky(known.cov) @ rng.standard_normal((n, p, 1)))[:, :, 0]
        theta = draw_effects(self.problem, beta, self.scale.taus(parameters), rng)
        new = new_effects(self.problem, beta, parameters, rng)
        chains = CHAINS if n % CHAINS == 0 else 1
        return Draws(
            beta=beta.reshape(chains, -1, p),
            tau=self.scale.values(self.scale.centre, parameters).reshape(chains, -1),
            theta=theta.reshape(chains, -1, self.problem.k),
            theta_new=None if new is None else new.reshape(chains, -1),
            scale=parameters.reshape(chains, -1, self.scale.size),
        )


def with_spread(rows: Mapping[str, Row], classical: Mapping[str, Classical]) -> dict[str, Row]:
    """Return rows of heterogeneity with the REML estimates of taus and their log ratios beside them."""
    twins = _spread_columns(classical)
    return {name: row | twins.get(name, {}) for name, row in rows.items()}


def _spread_columns(classical: Mapping[str, Classical]) -> dict[str, Row]:
    """Return the REML estimates and limits of the taus and their log ratios, by name, also squared."""
    spread = classical["REML_LS"].spread if "REML_LS" in classical else None
    if spread is None:
        return {}
    columns = ("classical", "classical_lower", "classical_upper")
    found = {}
    for name, ratio, *values in zip(
        spread.names, spread.is_ratio, spread.estimate, spread.lower, spread.upper, strict=True
    ):
        found[name] = dict(zip(columns, map(float, values), strict=True))
        if not ratio:
            squares = (float(value) ** 2 for value in values)
            found[name.replace("tau", "tau2", 1)] = dict(zip(columns, squares, strict=True))
    return found


def _used(nodes: ScaleNodes) -> Ints:
    return np.flatnonzero(nodes.weights > FAINTEST * nodes.weights.max())


def _mixed(nodes: ScaleNodes, parts: Parts, moments: int | Ints, *, levels: int) -> NormalMixture:
    """Return a mixture over the nodes that matter; below it are as many levels of finer ones."""
    used = _used(nodes)
    share = nodes.weights[used] / nodes.weights[used].sum()
    found = [part(nodes, used) for _, part in parts]
    finer = nodes.finer

    def check() -> NormalMixture:
        assert finer is not None  # noqa: S101 - every rule has one of half its steps
        return _mixed(finer(), parts, moments, levels=levels - 1)

    return NormalMixture(
        np.concatenate([weight * share for weight, _ in parts]),
        np.concatenate([means for means, _ in found]),
        np.concatenate([sds for _, sds in found]),
        moments,
        check if levels and finer is not None else None,
    )


def _composed(link: Link, scale: Scale) -> Link:
    """Return the link of an increasing function of a quantity."""

    def log_slope(q: Floats) -> Floats:
        tau = scale.backward(q)
        with np.errstate(divide="ignore"):
            return np.asarray(link.log_slope(tau) - np.log(scale.derivative(tau))[:, None])

    return Link(lambda x: scale.forward(link.value(x)), lambda q: link.place(scale.backward(q)), log_slope)


def _variances(rows: Floats, cov: Floats) -> Floats:
    """Return the (m, n) variances of rows (n, p) of a design matrix times coefficients."""
    if rows.shape[1] == 1:
        return np.asarray(cov[:, 0] * rows[:, 0] ** 2)
    return np.asarray(((rows @ cov) * rows).sum(axis=2))
