"""The prior atlas: the answer under every combination of priors of tau and priors of mu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from bayesmeta.arrays import is_whole
from bayesmeta.errors import AnalysisError, is_one_of, suggest, told
from bayesmeta.fitting import fit as make_fit
from bayesmeta.sensitivity.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bayesmeta.arrays import Floats
    from bayesmeta.model import Model
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Problem
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

QUANTITIES = (
    "log_evidence",
    "mu_mean",
    "mu_sd",
    "mu_lower",
    "mu_upper",
    "tau_mean",
    "tau_median",
    "tau_lower",
    "tau_upper",
    "theta_new_lower",
    "theta_new_upper",
    "p_benefit",
    "p_important",
)
"""Columns of numbers of `PriorAtlas.table`."""


@dataclass(frozen=True, eq=False)
class PriorChoice:
    """A combination of priors, and the answer under it.

    Attributes
    ----------
    tau, mu : Prior
        Priors of tau (or tau2) and of mu.
    studies : Studies
        The studies.
    model : Model
        The model with these priors.
    options : mapping of str to value
        Engine, seed and options of the sampler.
    """

    tau: Prior
    mu: Prior
    studies: Studies
    model: Model
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fit(self) -> Fit:
        """The posterior, made when it is asked for.

        Raises
        ------
        ImproperPosteriorError
            If it does not exist.
        NumericalError
            If it cannot be computed.
        """
        return make_fit(self.studies, self.model, **self.options)


@dataclass(frozen=True, eq=False, repr=False)
class PriorAtlas(Sequence[PriorChoice]):
    """The answer under every combination of priors.

    A sequence of `PriorChoice`, the priors of mu running fastest; each makes a complete fit when asked. The
    table needs none: where the model is integrated exactly, all combinations are computed together.

    Attributes
    ----------
    studies : Studies
        The studies.
    model : Model
        The model whose priors are replaced.
    problem : Problem
        The model posed on the studies, with its own priors.
    scale_models : tuple of Model
        The model with each of the priors of tau.
    tau, mu : tuple of Prior
        Priors to combine; where one is empty the model's own.
    mid : float or None
        Minimal important difference on the analysis scale.
    prob : float
        Level of the equal-tailed intervals.
    default_family : bool
        Whether nobody chose the priors.
    options : mapping of str to value
        Engine, seed and options of the sampler for `fit`.
    """

    studies: Studies
    model: Model
    problem: Problem
    scale_models: tuple[Model, ...]
    tau: tuple[Prior, ...]
    mu: tuple[Prior, ...]
    mid: float | None = None
    prob: float = 0.95
    default_family: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return max(1, len(self.tau)) * max(1, len(self.mu))

    @overload
    def __getitem__(self, index: int) -> PriorChoice: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PriorChoice, ...]: ...
    def __getitem__(self, index: int | slice) -> PriorChoice | tuple[PriorChoice, ...]:
        return self.choices[index]

    def __repr__(self) -> str:
        family = ", the default family" if self.default_family else ""
        priors = f"{max(1, len(self.tau))} priors of tau x {max(1, len(self.mu))} of mu"
        return f"<PriorAtlas: {priors}{family}>"

    @cached_property
    def choices(self) -> tuple[PriorChoice, ...]:
        """The combinations."""
        scales = self.scale_models
        both = [replace(one, mu=prior) for one in scales for prior in self.mu] if self.mu else list(scales)
        own = self.problem.priors
        return tuple(
            PriorChoice(
                tau if (tau := one.tau if one.tau2 is None else one.tau2) is not None else own.tau,  # type: ignore[arg-type]
                one.mu if one.mu is not None else own.mu,  # type: ignore[arg-type]
                self.studies,
                one,
                self.options,
            )
            for one in both
        )

    def fit(self, index: int) -> Fit:
        """Return the complete fit of one combination.

        Parameters
        ----------
        index : int
            Row of the table.

        Raises
        ------
        ImproperPosteriorError, NumericalError
            As `bayesmeta.fit`.
        """
        if not is_whole(index, 0, len(self) - 1):
            raise AnalysisError(f"index must be a row from 0 to {len(self) - 1}; got {told(index)}")
        return self.choices[index].fit

    @cached_property
    def answers(self) -> Answers:
        """Numbers under all combinations, as arrays."""
        return Answers(self)

    @cached_property
    def _values(self) -> dict[str, Floats]:
        """(A, B) values of each quantity."""
        answers = self.answers
        ends = np.array([(1 - self.prob) / 2, (1 + self.prob) / 2])
        mu, new = answers.quantiles("mu", ends), answers.quantiles("theta_new", ends)
        tau = answers.quantiles("tau", np.array([ends[0], 0.5, ends[1]]))
        none = np.full(mu.shape[:2], np.nan)
        values = (
            *(answers.log_evidence, *answers.moments("mu"), mu[:, :, 0], mu[:, :, 1]),
            *(answers.moments("tau")[0], tau[:, :, 1], tau[:, :, 0], tau[:, :, 2]),
            *(new[:, :, 0], new[:, :, 1], answers.benefit(0.0)),
            none if self.mid is None else answers.benefit(self.mid),
        )
        return dict(zip(QUANTITIES, values, strict=True))

    def values(self, quantity: str) -> Floats:
        """Return one column of the table as an array with a row for each prior of tau.

        Parameters
        ----------
        quantity : str
            Name of a column of numbers of `table`.

        Raises
        ------
        AnalysisError
            If there is no such column.
        """
        if not is_one_of(quantity, QUANTITIES):
            hint = suggest(quantity, QUANTITIES) or f"; the quantities are {', '.join(QUANTITIES)}"
            raise AnalysisError(f"the atlas has no quantity {told(quantity)}{hint}")
        return self._values[quantity]

    def table(self) -> pd.DataFrame:
        """Return the answer under each combination, one row each.

        Returns
        -------
        pandas.DataFrame
            ``tau`` and ``mu``, the priors; ``log_evidence``; mean, sd and interval of mu, the mean effect
            (with moderators that at their means); mean, median and interval of tau; the interval of the
            effect in a new study; the probabilities ``p_benefit`` of a mean effect on the better side of 0
            (above 0 where no side is) and ``p_important`` of one beyond the minimal important difference;
            ``status``, ``"ok"`` or why there is no answer; ``computed_by``, ``"surface"``, ``"exact"`` or
            ``"nuts"``. On the analysis scale. What does not exist is NaN.
        """
        import pandas as pd

        tau = [str(one) for one in self.priors_of_tau for _ in self.priors_of_mu]
        mu = [str(one) for one in self.priors_of_mu] * len(self.priors_of_tau)
        numbers = {name: self.values(name).ravel() for name in QUANTITIES}
        source = {"status": self.answers.status.ravel(), "computed_by": self.answers.computed_by.ravel()}
        return pd.DataFrame({"tau": tau, "mu": mu, **numbers, **source})

    def ranges(self) -> pd.DataFrame:
        """Return the lowest and highest value of each quantity, and the priors that give them.

        Returns
        -------
        pandas.DataFrame
            A row for each quantity that exists somewhere; columns ``lowest``, ``lowest_tau``, ``lowest_mu``,
            ``highest``, ``highest_tau``, ``highest_mu``.
        """
        import pandas as pd

        rows = {}
        for name in QUANTITIES:
            values = self.values(name)
            if np.isfinite(values).any():
                low, high = np.nanargmin(values), np.nanargmax(values)
                rows[name] = {**self._end("lowest", values, low), **self._end("highest", values, high)}
        return pd.DataFrame.from_dict(rows, orient="index")

    def _end(self, which: str, values: Floats, place: Any) -> dict[str, Any]:
        a, b = divmod(int(place), values.shape[1])
        priors = {f"{which}_tau": str(self.priors_of_tau[a]), f"{which}_mu": str(self.priors_of_mu[b])}
        return {which: float(values[a, b]), **priors}

    @property
    def priors_of_tau(self) -> tuple[Prior, ...]:
        """Priors of tau in force, A of them."""
        return self.tau or (self.problem.priors.tau,)

    @property
    def priors_of_mu(self) -> tuple[Prior, ...]:
        """Priors of mu in force, B of them."""
        return self.mu or (self.problem.priors.mu,)
