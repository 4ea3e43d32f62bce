"""`ModeratorSelection`: every model, its evidence, and answers averaged over all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.arrays import is_whole
from bayesmeta.errors import AnalysisError, printable, suggest, told
from bayesmeta.fitting import fit as make_fit
from bayesmeta.regression.average import averaged, component, counted
from bayesmeta.regression.subsets import submodel
from bayesmeta.results.blend import blend, posterior_weights
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.marginal import Marginal, check_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.model import Model
    from bayesmeta.regression.average import Component, Given
    from bayesmeta.regression.nodes import SharedNodes
    from bayesmeta.regression.subsets import Subsets
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.marginal import Distribution
    from bayesmeta.studies import Studies

HETEROGENEITY = "tau > 0"
"""Name of the question whether there is heterogeneity, beside the terms."""


@dataclass(frozen=True, eq=False)
class ModeratorSelection:
    """The evidence of n models, and what follows from it. Made by `bayesmeta.moderator_selection`.

    Attributes
    ----------
    studies : Studies
        Studies that were given.
    model : Model
        Priors, and the terms that every model has.
    subsets : Subsets
        The model with every term, and how its subsets are made of it.
    included : (n, T) array of bool
        Which of the T terms each model has.
    common : (n,) array of bool
        Whether tau is 0 in the model.
    prior : (n,) array
        Prior probabilities of the models.
    log_evidence : (n,) array
        Logs of their marginal likelihoods.
    error : (n,) array
        Bounds of the numerical errors of those.
    given : tuple of Given
        Posterior of tau in each model.
    shared : SharedNodes or None
        How tau was integrated; None where it is known.
    alone : mapping of int to Fit
        Models that had to be fitted one by one, such as those with a discontinuous prior of tau.
    """

    studies: Studies
    model: Model
    subsets: Subsets
    included: Bools
    common: Bools
    prior: Floats
    log_evidence: Floats
    error: Floats
    given: tuple[Given, ...]
    shared: SharedNodes | None
    alone: Mapping[int, Fit]

    def __repr__(self) -> str:
        return f"<ModeratorSelection: {len(self.prior)} models of {', '.join(self.terms)}>"

    @property
    def terms(self) -> tuple[str, ...]:
        """Terms that may be in or out."""
        return tuple(choice.name for choice in self.subsets.choices)

    @cached_property
    def posterior(self) -> Floats:
        """(n,) posterior probabilities of the models."""
        return posterior_weights(self.log_evidence, self.prior)

    @cached_property
    def formulas(self) -> tuple[str, ...]:
        """Formula of each model."""
        return tuple(self.subsets.formula(row) for row in self.included.tolist())

    def models(self, n: int | None = None) -> pd.DataFrame:
        """Return the n likeliest models, all by default.

        Columns are ``mods``, ``tau`` (free or 0), ``prior`` and ``posterior`` probability, ``log_evidence``
        and ``bayes_factor``, that against the likeliest model.
        """
        import pandas as pd

        order = np.argsort(-self.posterior, kind="stable")[:n]
        best = self.log_evidence[order[0]]
        return pd.DataFrame(
            {
                "mods": [self.formulas[i] for i in order],
                "tau": ["0" if self.common[i] else "free" for i in order],
                "prior": self.prior[order],
                "posterior": self.posterior[order],
                "log_evidence": self.log_evidence[order],
                "bayes_factor": np.exp(self.log_evidence[order] - best),
            }
        )

    def inclusion(self) -> pd.DataFrame:
        """Return how probable it is that each term is in.

        Rows are the terms, and ``tau > 0`` where models with tau = 0 are among them. Columns are ``prior``
        and ``posterior`` probability and ``bayes_factor``, the factor between the odds before and after.
        """
        import pandas as pd

        questions = {name: self.included[:, j] for j, name in enumerate(self.terms)}
        if self.common.any() and not self.common.all():
            questions[HETEROGENEITY] = ~self.common
        rows = {name: self._inclusion(inside) for name, inside in questions.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["prior", "posterior", "bayes_factor"])

    def _inclusion(self, inside: Bools) -> tuple[float, float, float]:
        joint = np.log(self.prior) + self.log_evidence
        within, without = (np.logaddexp.reduce(joint[which]) for which in (inside, ~inside))
        prior = float(self.prior[inside].sum())
        factor = np.exp(within - without) * self.prior[~inside].sum() / prior
        return prior, float(self.posterior[inside].sum()), float(factor)

    @cached_property
    def _components(self) -> dict[int, Component]:
        """Posterior of the coefficients in each model that counts."""
        return {
            int(i): component(self.subsets, self.included[i], float(self.posterior[i]), self.given[i])
            for i in np.flatnonzero(counted(self.posterior))
        }

    def coefficient(self, name: str) -> Marginal:
        """Return the posterior of a coefficient averaged over all models, 0 where its term is out.

        Raises
        ------
        AnalysisError
            If no term has such a coefficient.
        """
        column = self._column(name)
        probability, inside = self._within(column)
        parts: list[Distribution] = [PointMass(0.0), *([inside] if inside is not None else [])]
        return Marginal(name, blend(parts, [1 - probability, probability][: len(parts)]))

    def _column(self, name: str) -> int:
        names = self.subsets.problem.coefficients
        if name not in names:
            hint = suggest(name, names) or f"; the coefficients are {', '.join(names)}"
            raise AnalysisError(f"no term has the coefficient '{printable(name)}'{hint}")
        return names.index(name)

    def _within(self, column: int) -> tuple[float, Distribution | None]:
        """Return the probability that a column is in, and its coefficient averaged over those models."""
        parts = [part for part in self._components.values() if column in part.columns]
        if not parts:
            return 0.0, None
        probability = float(min(1.0, sum(part.weights.sum() for part in parts)))
        if len(parts) == len(self._components):
            probability = 1.0
        return probability, averaged(self.subsets, parts, np.eye(self.subsets.problem.p)[[column]])

    def coefficients(self, *, prob: float = 0.95) -> pd.DataFrame:
        """Return the coefficients averaged over all models.

        Parameters
        ----------
        prob : float
            Probability of the equal-tailed intervals.

        Returns
        -------
        DataFrame
            Columns ``inclusion``, the probability that the coefficient is not 0; ``mean sd lower upper`` with
            0 where it is out; and ``mean_in sd_in lower_in upper_in positive_in`` among the models that have
            it. The intercept is the mean effect where every moderator is 0, also where the prior is on that
            at the moderators' means.
        """
        import pandas as pd

        check_interval(prob, "eti")
        rows = {name: self._coefficient_row(name, prob) for name in self.subsets.problem.coefficients}
        return pd.DataFrame.from_dict(rows, orient="index")

    def _coefficient_row(self, name: str, prob: float) -> dict[str, float]:
        probability, inside = self._within(self._column(name))
        whole = self.coefficient(name).distribution
        row = {"inclusion": probability, **_numbers(whole, prob)}
        if inside is None:
            return row
        within = {f"{key}_in": value for key, value in _numbers(inside, prob).items()}
        return row | within | {"positive_in": 1 - float(inside.cdf(np.zeros(1))[0, 0])}

    @cached_property
    def tau(self) -> Marginal:
        """Posterior of tau averaged over all models."""
        parts: list[Distribution] = []
        weights: list[float] = []
        settled = ~self.common
        settled[list(self.alone)] = False
        if self.shared is not None and settled.any():
            count = int((~self.common).sum())
            share = np.where(settled, self.posterior, 0.0)[:count]
            parts.append(self.shared.tau(share, self.log_evidence[:count]))
            weights.append(float(share.sum()))
        parts += [fit.posterior.tau for fit in self.alone.values()]
        weights += [float(self.posterior[i]) for i in self.alone]
        known = 1.0 if self.shared is None else float(self.posterior[self.common].sum())
        parts.append(PointMass(float(self.given[-1].tau[0])) if known else PointMass(0.0))
        return Marginal("tau", blend(parts, [*weights, known]))

    def predict(self, newdata: Any, *, prob: float = 0.95) -> pd.DataFrame:
        """Return the mean effect and the effect in a new study, averaged over all models.

        Parameters
        ----------
        newdata : DataFrame or mapping
            A column for each moderator.
        prob : float
            Probability of the equal-tailed intervals.

        Returns
        -------
        DataFrame
            The values, ``median mean sd lower upper`` of the mean effect, ``new_lower new_upper`` of the
            effect in a new study. Its ``attrs["warnings"]`` says where it extrapolates.
        """
        import pandas as pd

        from bayesmeta.tables import Table

        design = self.subsets.problem.design
        table = Table.of(newdata)
        rows = design.rows(table.columns)
        parts = list(self._components.values())
        mean = _table(averaged(self.subsets, parts, rows), prob)
        new = _table(averaged(self.subsets, parts, rows, new_study=True), prob)
        mean["new_lower"], mean["new_upper"] = new["lower"], new["upper"]
        answer = pd.concat([pd.DataFrame(dict(table.columns)), pd.DataFrame(mean)], axis=1)
        answer.attrs["warnings"] = list(design.outside(table.columns))
        return answer

    def fit(self, mods: str | int = 0) -> Fit:
        """Return one of the models as a whole.

        Parameters
        ----------
        mods : str or int
            Formula of the model as `models` has it, or its rank there: 0 is the likeliest.

        Raises
        ------
        AnalysisError
            If there is no such model.
        """
        order = np.argsort(-self.posterior, kind="stable")
        if isinstance(mods, str):
            found = [i for i in order if self.formulas[i] == mods]
            if not found:
                raise AnalysisError(
                    f"no model has the formula '{printable(mods)}'{suggest(mods, self.formulas)}"
                )
            i = int(found[0])
        else:
            if not is_whole(mods, 0, len(order) - 1):
                raise AnalysisError(
                    f"a model is a formula or a rank from 0 to {len(order) - 1}; got {told(mods)}"
                )
            i = int(order[mods])
        model = submodel(self.subsets, self.model, self.included[i].tolist())
        if self.common[i]:
            model = replace(model, effects="common", tau=None, tau2=None)
        return make_fit(self.studies, model, engine="exact")


def _numbers(distribution: Distribution, prob: float) -> dict[str, float]:
    return {name: float(values[0]) for name, values in _table(distribution, prob).items() if name != "median"}


def _table(distribution: Distribution, prob: float) -> dict[str, Floats]:
    """Return medians, means, sds and equal-tailed bounds of the quantities of a distribution."""
    check_interval(prob, "eti")
    lower, median, upper = distribution.quantile(np.array([(1 - prob) / 2, 0.5, (1 + prob) / 2]))
    mean, sd = distribution.mean(), distribution.sd()
    return {"median": median, "mean": mean, "sd": sd, "lower": lower, "upper": upper}
