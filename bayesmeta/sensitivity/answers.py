"""Numbers under all combinations of priors: from the surface where it serves, from single fits elsewhere."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.engines.surface import (
    Choices,
    Densities,
    densities,
    likelihood_of,
    location_priors,
    probabilities,
    quantiles,
    surface_of,
    tau_quantiles,
    why_not,
)
from bayesmeta.errors import ImproperPosteriorError, ModelError, NumericalError
from bayesmeta.priors import Fixed, Flat, Normal
from bayesmeta.problem import Problem, priors_in_force
from bayesmeta.properness import require_proper
from bayesmeta.results.marginal import Marginal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.engines.surface import Surface
    from bayesmeta.priors import Prior
    from bayesmeta.results.fit import Fit
    from bayesmeta.sensitivity.atlas import PriorAtlas


class Part(NamedTuple):
    """Combinations that one surface serves."""

    rows: Ints
    """Priors of tau."""
    columns: Ints
    """Priors of mu."""
    surface: Surface
    """Their posteriors."""


class Answers:
    """Numbers under A priors of tau by B priors of mu.

    Attributes
    ----------
    atlas : PriorAtlas
        The priors.
    parts : tuple of Part
        Surfaces; what is not settled there comes from single fits.
    status : (A, B) array of str
        ``"ok"``, or why there is no answer.
    computed_by : (A, B) array of str
        ``"surface"``, ``"exact"``, ``"nuts"``, or empty where there is no answer.
    """

    def __init__(self, atlas: PriorAtlas) -> None:
        self.atlas = atlas
        means = sum(atlas.problem.design.is_mean)
        if means != 1:
            raise ModelError(
                f"the table needs one mean effect, but the formula '{atlas.model.mods}' has {means}; use the "
                "fit of each choice"
            )
        shape = len(atlas.priors_of_tau), len(atlas.priors_of_mu)
        self.status = np.full(shape, "ok", dtype=object)
        self.computed_by = np.full(shape, "", dtype=object)
        self._fits: dict[tuple[int, int], Fit] = {}
        self.parts = tuple(self._surfaces())
        for part in self.parts:
            self._take(part)
        for a, b in np.argwhere((self.computed_by == "") & (self.status == "ok")):
            self._fit(int(a), int(b))

    def _surfaces(self) -> list[Part]:
        atlas = self.atlas
        if atlas.options.get("engine", "auto") == "nuts" or why_not(atlas.problem):
            return []
        bound = self._bound_priors
        columns = [b for b, one in enumerate(atlas.priors_of_mu) if isinstance(one, Normal | Flat)]
        smooth = [a for a, one in enumerate(bound) if _has_density(one)]
        groups = ([a for a in smooth if bound[a].regular is kind] for kind in (True, False))
        return [self._part(np.array(rows), np.array(columns)) for rows in groups if rows and columns]

    @cached_property
    def _bound_priors(self) -> list[Prior]:
        """Priors as densities of tau, design-dependent ones bound to the studies."""
        problem = self.atlas.problem
        return [
            priors_in_force(one, problem.studies, problem.design).tau_density
            for one in self.atlas.scale_models
        ]

    def _part(self, rows: Ints, columns: Ints) -> Part:
        tau = Densities(tuple(self._bound_priors[a] for a in rows))
        mu = location_priors([self.atlas.priors_of_mu[b] for b in columns])
        return Part(rows, columns, surface_of(likelihood_of(self.atlas.problem), Choices(tau, mu)))

    def _take(self, part: Part) -> None:
        for i, j in np.argwhere(part.surface.bounds <= 0):
            self.status[part.rows[i], part.columns[j]] = self._reason(part.rows[i], part.columns[j])
        block = np.ix_(part.rows, part.columns)
        self.computed_by[block] = np.where(part.surface.settled, "surface", "")

    def _reason(self, a: int, b: int) -> str:
        """Return why a posterior does not exist."""
        problem = self.atlas.problem
        model = replace(self.atlas.scale_models[a], mu=self.atlas.priors_of_mu[b])
        priors = priors_in_force(model, problem.studies, problem.design)
        try:
            require_proper(Problem(problem.studies, model, problem.design, priors))
        except ImproperPosteriorError as error:
            return f"improper: {error}"
        return "ok"

    def _fit(self, a: int, b: int) -> None:
        try:
            fit = self.atlas.fit(a * len(self.atlas.priors_of_mu) + b)
        except ImproperPosteriorError as error:
            self.status[a, b] = f"improper: {error}"
        except NumericalError as error:
            self.status[a, b] = f"failed: {error}"
        else:
            self._fits[a, b] = fit
            self.computed_by[a, b] = fit.engine
            if fit.status == "unreliable":
                self.status[a, b] = "unreliable: the sampler did not converge"

    def _filled(
        self, of_surface: Callable[[Surface], Floats], of_fit: Callable[[Fit], Floats | float], *more: int
    ) -> Floats:
        """Return (A, B, ...) values; a quantity that a surface misses comes from a fit."""
        values = np.full((*self.status.shape, *more), np.nan)
        for part in self.parts:
            found = of_surface(part.surface)
            settled = part.surface.settled.reshape(*part.surface.settled.shape, *(1 for _ in more))
            values[np.ix_(part.rows, part.columns)] = np.where(settled, found, np.nan)
        for (a, b), fit in self._fits.items():
            values[a, b] = of_fit(fit)
        return values

    @property
    def log_evidence(self) -> Floats:
        """(A, B) logs of the marginal likelihood."""
        return self._filled(lambda surface: surface.log_evidence, lambda fit: fit.log_evidence)

    def moments(self, name: str) -> tuple[Floats, Floats]:
        """Return means and sds (A, B) of ``"mu"`` or ``"tau"``, NaN where they do not exist."""

        def of_surface(surface: Surface) -> Floats:
            if name == "tau":
                mean, variance, bound = surface.moments.tau, surface.tau_variance, surface.bounds
            else:
                mean, variance, bound = surface.mean, surface.variance, surface.mean_bounds
            sd = np.sqrt(variance)
            return np.stack([np.where(bound > 1, mean, np.nan), np.where(bound > 2, sd, np.nan)], axis=2)

        def of_fit(fit: Fit) -> Floats:
            one = self._marginal(fit, name)
            return np.array([one.mean, one.sd])

        mean, sd = np.moveaxis(self._filled(of_surface, of_fit, 2), 2, 0)
        return mean, sd

    def quantiles(self, name: str, p: Floats) -> Floats:
        """Return the quantiles (A, B, q) of ``"mu"``, ``"tau"`` or ``"theta_new"`` for p, shape (q,)."""

        def of_surface(surface: Surface) -> Floats:
            if name == "tau":
                return tau_quantiles(surface, p).values
            return quantiles(surface, p, new=name == "theta_new").values

        def of_fit(fit: Fit) -> Floats:
            return self._marginal(fit, name).distribution.quantile(p)[:, 0]

        values = self._filled(of_surface, of_fit, p.size)
        for a, b in np.argwhere(np.isnan(values).any(axis=2) & (self.computed_by == "surface")):
            values[a, b] = of_fit(self.atlas.fit(int(a) * self.status.shape[1] + int(b)))
        return values

    def benefit(self, limit: float) -> Floats:
        """Return the (A, B) probabilities that mu is more than `limit` on the better side of 0."""
        lower = self.atlas.studies.better == "lower"
        x = -limit if lower else limit

        def of_surface(surface: Surface) -> Floats:
            above = probabilities(surface, x)
            return 1 - above if lower else above

        def of_fit(fit: Fit) -> float:
            below = float(self._marginal(fit, "mu").distribution.cdf(np.array([x]))[0, 0])
            return below if lower else 1 - below

        return self._filled(of_surface, of_fit)

    def densities(self, name: str, x: Sequence[float] | Floats) -> Floats:
        """Return the (A, B, n) densities of ``"mu"`` or ``"theta_new"`` at x, shape (n,)."""
        x = np.asarray(x, dtype=np.float64)
        return self._filled(
            lambda surface: densities(surface, x, new=name == "theta_new"),
            lambda fit: self._marginal(fit, name).distribution.density(x)[:, 0],
            x.size,
        )

    def _marginal(self, fit: Fit, name: str) -> Marginal:
        """Return the posterior of tau, of the mean effect (at the moderators' means) or of a new study's."""
        if name == "tau":
            return fit.marginal("tau")
        row = fit.problem.shift.copy()
        row[fit.design.is_mean.index(True)] = 1.0
        return Marginal(name, fit.posterior.at(row[None, :], new_study=name == "theta_new"))


def _has_density(prior: Prior) -> bool:
    return not any(isinstance(part, Fixed) for _, part in prior.parts)
