"""`Fit`: studies, model and posterior in one value, and everything that can be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from math import inf
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmeta.arrays import is_whole
from bayesmeta.errors import AnalysisError, require_flag, told
from bayesmeta.results import tables
from bayesmeta.results.marginal import check_interval
from bayesmeta.results.moderated import Moderated
from bayesmeta.results.posterior import distribution_of, marginal_of, probability_of, quantity_names
from bayesmeta.results.text import fit_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from os import PathLike

    import pandas as pd
    import xarray as xr

    from bayesmeta.arrays import Floats
    from bayesmeta.classical import Classical
    from bayesmeta.design import Design
    from bayesmeta.model import Model
    from bayesmeta.problem import Priors, Problem
    from bayesmeta.results.diagnostics import Diagnostics
    from bayesmeta.results.marginal import Distribution, Marginal
    from bayesmeta.results.posterior import Posterior, ScalePosterior
    from bayesmeta.studies import Studies

MOST_DRAWS = 100_000_000
"""Draws that are made at once."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit(Moderated):
    """The posterior of a model on studies, with the classical answer beside it.

    Made by `bayesmeta.fit` and `bayesmeta.load`.

    Attributes
    ----------
    studies : Studies
        Studies that were given, those without an estimate included.
    problem : Problem
        Model, design and priors posed on the studies that take part.
    posterior : Posterior
        What the engine found.
    diagnostics : Diagnostics or None
        Convergence of every reported quantity; None for an exact fit.
    seed : int or None
        Seed of the sampler.
    """

    studies: Studies
    problem: Problem
    posterior: Posterior
    diagnostics: Diagnostics | None = None
    seed: int | None = None

    def __str__(self) -> str:
        return fit_text(self)

    def __repr__(self) -> str:
        k, mods = self.problem.k, self.model.mods
        return f"<Fit: {self.engine}, {k} studies, mods '{mods}', status {self.status}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(fit_text(self))}</pre>"

    @property
    def engine(self) -> str:
        """Engine that made it, ``"exact"`` or ``"nuts"``."""
        return self.posterior.engine

    @property
    def model(self) -> Model:
        """What is assumed."""
        return self.problem.model

    @property
    def design(self) -> Design:
        """Design matrix of the moderators."""
        return self.problem.design

    @property
    def priors(self) -> Priors:
        """Priors in force, defaults included."""
        return self.problem.priors

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rows of `summary`."""
        return quantity_names(self.problem)

    @property
    def status(self) -> str:
        """``"exact"``, or ``"ok"`` or ``"unreliable"`` by the diagnostics of the sampler."""
        return "exact" if self.diagnostics is None else self.diagnostics.status

    @property
    def log_evidence(self) -> float:
        """Log of the marginal likelihood; NaN from NUTS, which does not give it."""
        return self.posterior.log_evidence

    @cached_property
    def classical(self) -> Mapping[str, Classical]:
        """Classical analyses of the same studies and designs; empty if no study has an estimate."""
        if not self.studies.estimable.any():
            return {}
        from bayesmeta.classical import classical_suite

        model = self.model
        return classical_suite(self.studies, model.mods, scale=model.scale, center=model.center)

    @cached_property
    def warnings(self) -> tuple[tuple[str, str], ...]:
        """Doubts about data, design, priors and convergence, as pairs of identifier and sentence."""
        from bayesmeta.results import checks

        return checks.warnings_of(self)

    def marginal(self, name: str) -> Marginal:
        """Return the posterior of one quantity: density, cdf, quantiles, intervals, moments.

        Parameters
        ----------
        name : str
            ``mu`` or a coefficient, ``tau``, ``tau2``, ``I2``, ``H2``, ``theta_new`` or ``theta[label]``.

        Raises
        ------
        AnalysisError
            If there is no such quantity.
        """
        return marginal_of(self.posterior, name)

    def summary(self, *, prob: float = 0.95, kind: str = "eti") -> pd.DataFrame:
        """Return coefficients, tau and the effect in a new study.

        Parameters
        ----------
        prob : float
            Probability of the intervals.
        kind : {"eti", "hdi"}
            Equal-tailed or shortest intervals.

        Returns
        -------
        DataFrame
            Rows ``mu`` or the coefficients, ``tau`` and, without moderators, ``theta_new``; columns ``mode
            median mean sd lower upper``, on the analysis scale (logarithms for ratios). Moments that do not
            exist are NaN.
        """
        return _frame(tables.summary_rows(self.posterior, prob=prob, kind=kind))

    def heterogeneity(self, *, prob: float = 0.95, kind: str = "eti") -> pd.DataFrame:
        """Return posteriors of tau, tau2, I2 (percent), H2 and theta_new; REML and Q-profile beside them.

        The columns ``classical``, ``classical_lower`` and ``classical_upper`` hold the REML estimate with
        the Q-profile interval and, for theta_new, the Knapp-Hartung prediction interval. I2 and H2 are not
        defined for count likelihoods, nor where k = p. Where tau differs between studies, they hold the REML
        estimates of the taus and their log ratios, with Wald intervals of the logarithms.

        A mode depends on the scale: where the density of tau is above 0 at tau = 0, those of tau2, I2 and H2
        are unbounded there, and their mode is 0 (1 for H2) although that of tau may lie elsewhere.
        """
        rows = tables.heterogeneity_rows(self.posterior, self.classical, prob=prob, kind=kind)
        if self.problem.scale is None:
            return _frame(rows)
        from bayesmeta.results.location_scale import with_spread

        return _frame(with_spread(rows, self.classical))

    def effects(self, *, prob: float = 0.95, kind: str = "eti") -> pd.DataFrame:
        """Return a row for each study: observed and shrunken effect, weights in percent, pooling.

        ``pooling`` is the posterior mean of ``v / (v + tau^2)``: 1 where the study takes the mean of all, 0
        where it keeps its own effect.
        """
        import pandas as pd

        return pd.DataFrame(self.effect_rows(prob=prob, kind=kind))

    def effect_rows(self, *, prob: float = 0.95, kind: str = "eti") -> list[tables.Row]:
        """Return the rows of `effects` as dictionaries."""
        fixed = self.classical["fixed"].weights if self.classical else None
        return tables.effect_rows(self.posterior, self.studies, fixed, prob=prob, kind=kind)

    def probability(self, statement: str) -> float:
        """Return the posterior probability of a statement.

        Parameters
        ----------
        statement : str
            Comparisons of quantities with numbers or with one another, joined by ``and``, ``or``, ``not``:
            ``"mu > 0 and tau < 0.03"``. Names that are no identifiers stand in backquotes.

        Raises
        ------
        AnalysisError
            If the statement cannot be read or names an unknown quantity.
        """
        return probability_of(self.posterior, statement)

    def predict(self, newdata: Any = None, *, prob: float = 0.95, kind: str = "eti") -> pd.DataFrame:
        """Return the mean effect and the effect in a new study at chosen values of the moderators.

        Parameters
        ----------
        newdata : DataFrame, mapping or None
            A column for each moderator, those of the scale formula included; None where there are none. With
            moderators of tau alone, None stands for new studies like one of the studies at random.
        prob, kind : float, str
            As in `summary`.

        Returns
        -------
        DataFrame
            The values, then ``mode median mean sd lower upper`` of the mean effect, ``new_lower new_upper``
            of the effect in a new study and ``extrapolates``, whether a moderator is outside its range in the
            studies. Its ``attrs["warnings"]`` has the doubts, as pairs of identifier and sentence.

        Raises
        ------
        AnalysisError, DataError
            If a moderator is missing or a level was not in the data.
        """
        import pandas as pd

        given, rows = self._design_rows(newdata)
        mean = tables.distribution_rows(self.posterior.at(rows, new_study=False), prob=prob, kind=kind)
        new = tables.distribution_rows(self._new_effects(given, rows), prob=prob, kind=kind)
        outside = self._extrapolates(given, len(rows))
        columns = [
            {**one, "new_lower": two["lower"], "new_upper": two["upper"], "extrapolates": far}
            for one, two, far in zip(mean, new, outside, strict=True)
        ]
        table = pd.concat([pd.DataFrame(given), pd.DataFrame(columns)], axis=1)
        table.attrs["warnings"] = list(dict.fromkeys(self._outside(given)))
        return table

    def _new_effects(self, given: dict[str, Any], rows: Floats) -> Distribution:
        """Return the effects in new studies; where tau differs, new values must say how it does there."""
        scale = self.problem.scale
        if scale is None or not given:
            return self.posterior.at(rows, new_study=True)
        posterior = cast("ScalePosterior", self.posterior)
        return posterior.at(rows, new_study=True, scale=scale.rows(given))

    def _outside(self, given: dict[str, Any]) -> list[tuple[str, str]]:
        """Return a note for each moderator whose new values lie outside its range."""
        scale = self.problem.scale
        designs = [self.design, *([] if scale is None or not given else [scale.design])]
        return [note for design in designs for note in design.outside(given)]

    def _extrapolates(self, given: dict[str, Any], n: int) -> list[bool]:
        """Return for each of n rows of new values whether a moderator is outside its range."""
        one_by_one = [{name: column[i : i + 1] for name, column in given.items()} for i in range(n)]
        return [bool(self._outside(row)) for row in one_by_one] if given else [False] * n

    def _design_rows(self, newdata: Any) -> tuple[dict[str, Any], Floats]:
        from bayesmeta.tables import Table

        if newdata is None:
            if not self.problem.is_pooled:
                raise AnalysisError(
                    f"predict needs the values of the moderators in '{self.model.mods}'; give newdata"
                )
            return {}, np.ones((1, 1))
        table = Table.of(newdata)
        return dict(table.columns), self.design.rows(table.columns)

    def joint_mode(self, *, prior: bool = True) -> dict[str, float]:
        """Return the highest point of the joint posterior (MAP) of coefficients and tau; without priors, ML.

        Parameters
        ----------
        prior : bool
            Whether the priors count.

        Raises
        ------
        ModelError
            If the likelihood is not normal, or a coefficient has a prior that is neither Normal nor Flat.
        """
        from bayesmeta.peaks import joint_mode

        require_flag("prior", prior)
        peak = joint_mode(self.problem, prior=prior)
        return {**dict(zip(self.problem.coefficients, map(float, peak.beta), strict=True)), "tau": peak.tau}

    def compare(self, *, prob: float = 0.95, kind: str = "eti") -> pd.DataFrame:
        """Return fixed effect, DL, PM, REML, REML with Knapp-Hartung and the posterior side by side.

        Where tau differs between studies, ML_LS and REML_LS have the same scale formula, the others one tau.
        Columns ``estimate se lower upper p tau tau_lower tau_upper I2 pi_lower pi_upper``; for the
        posterior, `estimate` is the median and `se` the standard deviation.
        """
        import pandas as pd

        rows = tables.compare_rows(self.posterior, self.classical, prob=prob, kind=kind)
        return pd.DataFrame(rows).set_index(["method", "quantity"])

    def draws(self, n: int = 4000, *, seed: int | None = None) -> xr.Dataset:
        """Return draws of every quantity: independent ones from an exact fit, chosen ones from NUTS.

        Raises
        ------
        AnalysisError
            If NUTS made fewer draws than are asked for.
        """
        from bayesmeta.results.tree import draws_dataset

        if not is_whole(n, 1, MOST_DRAWS):
            raise AnalysisError(f"n must be a number of draws from 1 to {MOST_DRAWS:,}; got {told(n)}")
        if seed is not None and not is_whole(seed, 0, inf):
            raise AnalysisError(f"seed must be a whole number from 0; got {told(seed)}")
        return draws_dataset(self.posterior.draws(n, np.random.default_rng(seed)), self.problem)

    @cached_property
    def tree(self) -> xr.DataTree:
        """The fit in the ArviZ schema; an exact fit becomes four chains of 1,000 independent draws."""
        from bayesmeta.results.tree import fit_tree

        return fit_tree(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fit as netCDF, whole or not at all; `bayesmeta.load` reads it back.

        Parameters
        ----------
        path : str or path-like
            File to write; one that exists is replaced.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        from bayesmeta.results.tree import save_tree

        save_tree(self.tree, path)

    def quantity(self, name: str, *, prob: float = 0.95, kind: str = "eti") -> tables.Row:
        """Return mode, median, mean, sd, interval and error of one quantity, as in ``results.json``."""
        row = tables.quantity_rows(self.posterior, [name], prob=prob, kind=kind)[name]
        return row | {"error": self.error(name, prob=prob)}

    def error(self, name: str, *, prob: float = 0.95) -> dict[str, float]:
        """Return what is known of the numerical error of a quantity: Monte Carlo errors, or ``abs``.

        From an exact fit: the largest difference of median and bounds between two sets of nodes.
        """
        check_interval(prob, "eti")
        distribution = distribution_of(self.posterior, name)
        if self.diagnostics is None:
            return {"abs": integration_error(self.posterior, distribution, prob)}
        from bayesmeta.results.diagnostics import monte_carlo_error

        return monte_carlo_error(distribution.values[:, :, 0], prob=prob)  # type: ignore[attr-defined]


def _frame(rows: dict[str, tables.Row]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame.from_dict(rows, orient="index")


def integration_error(posterior: Posterior, distribution: Distribution, prob: float) -> float:
    """Return the largest difference of median and bounds of one quantity between two sets of nodes.

    Where the quantity has none of its own, that of the whole posterior, in its interquartile range.
    """
    differences = getattr(distribution, "differences", None)
    if differences is not None:
        return float(differences(np.array([(1 - prob) / 2, 0.5, (1 + prob) / 2])).max())
    from bayesmeta.results.averaged import numerical_error

    quartiles = distribution.quantile(np.array([0.25, 0.75]))
    return numerical_error(posterior) * float(quartiles[1, 0] - quartiles[0, 0])


def require_fit(value: object, who: str) -> None:
    """Refuse what is no `Fit`.

    Raises
    ------
    AnalysisError
        With what was given, and how to make a fit.
    """
    if not isinstance(value, Fit):
        raise AnalysisError(f"{who} takes a fit; got {type(value).__name__}; give bm.fit(studies, model)")
