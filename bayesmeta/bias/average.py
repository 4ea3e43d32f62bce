"""The average over models with and without publication bias, an effect, and heterogeneity.

References
----------
Maier M, Bartos F, Wagenmakers EJ (2023). Robust Bayesian meta-analysis: addressing publication bias with
model-averaging. Psychol Methods 28:107-122. doi:10.1037/met0000405
Bartos F, Maier M, Wagenmakers EJ, Doucouliagos H, Stanley TD (2023). Robust Bayesian meta-analysis:
model-averaging across complementary publication bias adjustment methods. Res Synth Methods 14:99-116.
doi:10.1002/jrsm.1594
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.bias.bayes import chosen_model, is_zero, marginal, priors_of
from bayesmeta.bias.common import cautions, direction_of, usable
from bayesmeta.bias.grid import Task, WeightPrior, integrate
from bayesmeta.bias.weights import weight_function
from bayesmeta.errors import AnalysisError, is_one_of, told
from bayesmeta.fitting import fit as make_fit
from bayesmeta.model import Model
from bayesmeta.priors import Normal, as_prior
from bayesmeta.results.blend import blend, posterior_weights
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.marginal import Marginal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from bayesmeta.priors import Prior
    from bayesmeta.problem import Priors
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

STEPS: tuple[tuple[str, tuple[float, ...]], ...] = (
    ("two-sided", (0.05,)),
    ("two-sided", (0.05, 0.10)),
    ("one-sided", (0.05,)),
    ("one-sided", (0.025, 0.05)),
    ("one-sided", (0.05, 0.5)),
)
"""Step functions of the average: those of Bartos et al. (2023) with at most two cut points."""
STEPS_PSMA = (*STEPS, ("one-sided", (0.025, 0.05, 0.5)))
"""All six of Bartos et al. (2023); the last takes most of the time."""
REGRESSIONS = ("PET", "PEESE")


class BiasModel(NamedTuple):
    """A model of the average."""

    bias: str
    """``none``, ``PET``, ``PEESE`` or the step function."""
    effect: bool
    """Whether the mean effect may differ from 0."""
    heterogeneity: bool
    """Whether tau may differ from 0."""
    prior: float
    """Prior probability."""
    log_evidence: float
    """Logarithm of the marginal likelihood."""
    posterior: float
    """Posterior probability."""
    mu: Marginal
    """Posterior of the mean effect; for PET and PEESE of a study without sampling error."""
    tau: Marginal
    """Posterior of tau."""
    error: float
    """Numerical error of the log evidence and of mu in its standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BiasAverage:
    """Average over models of publication bias.

    Attributes
    ----------
    models : tuple of BiasModel
        The models with their probabilities.
    mu : Marginal
        Mean effect averaged over all models, with a probability at exactly 0.
    mu_if_effect : Marginal
        The same over the models with an effect.
    tau : Marginal
        Between-study standard deviation, with a probability at exactly 0.
    direction : str
        Direction of the one-sided step functions.
    priors : mapping of str to str
        Priors in force.
    k : int
        Number of studies.
    """

    models: tuple[BiasModel, ...]
    mu: Marginal
    mu_if_effect: Marginal
    tau: Marginal
    direction: str
    priors: tuple[tuple[str, str], ...]
    k: int

    def probability(self, what: str) -> float:
        """Return the posterior probability of ``"bias"``, ``"effect"`` or ``"heterogeneity"``."""
        return sum(model.posterior for model in self.models if _has(model, what))

    def prior_probability(self, what: str) -> float:
        """Return the prior probability of ``"bias"``, ``"effect"`` or ``"heterogeneity"``."""
        return sum(model.prior for model in self.models if _has(model, what))

    def log_bayes_factor(self, what: str) -> float:
        """Return the log inclusion Bayes factor of ``"bias"``, ``"effect"`` or ``"heterogeneity"``."""
        with_it = [model for model in self.models if _has(model, what)]
        without = [model for model in self.models if not _has(model, what)]
        return _log_average(with_it) - _log_average(without)

    @property
    def error(self) -> float:
        """Largest numerical error of a model."""
        return max(model.error for model in self.models)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return cautions(self.k)

    def table(self) -> pd.DataFrame:
        """Return a row for each model.

        Columns ``bias effect heterogeneity prior log_evidence posterior mu lower upper``, `mu` being the
        median with its 95 % equal-tailed interval.
        """
        import pandas as pd

        rows = [
            {
                **{name: getattr(model, name) for name in BiasModel._fields[:6]},
                "mu": model.mu.median if model.effect else 0.0,
                "lower": model.mu.quantile(0.025) if model.effect else 0.0,
                "upper": model.mu.quantile(0.975) if model.effect else 0.0,
            }
            for model in self.models
        ]
        return pd.DataFrame(rows)

    def by_bias(self) -> pd.DataFrame:
        """Return prior and posterior probability of each kind of bias, summed over the other choices."""
        columns = self.table()[["bias", "prior", "posterior"]]
        return columns.groupby("bias", sort=False).sum().reset_index()

    def __str__(self) -> str:
        lower, upper = self.mu.interval()
        low, high = self.mu_if_effect.interval()
        odds = [f"{name} {self._support(name)}" for name in ("bias", "effect", "heterogeneity")]
        text = (
            f"Average over {len(self.models)} models with and without bias: {'; '.join(odds)}. Mean effect "
            f"{self.mu.mean:.4g} [{lower:.4g}, {upper:.4g}], {self.mu_if_effect.mean:.4g} "
            f"[{low:.4g}, {high:.4g}] if there is one (mean, 95% equal-tailed)."
        )
        return "\n".join((text, *self.warnings))

    def _support(self, what: str) -> str:
        factor = float(np.exp(min(700.0, self.log_bayes_factor(what))))
        return f"P = {self.probability(what):.3f} (prior {self.prior_probability(what):.2f}, BF {factor:.3g})"


def average(
    source: Studies | Fit,
    model: Model | None = None,
    *,
    steps: Sequence[tuple[str, Sequence[float]]] = STEPS,
    prior_bias: float = 0.5,
    prior_effect: float = 0.5,
    prior_heterogeneity: float = 0.5,
    pet: Prior | str = "Normal(0, 1)",
    peese: Prior | str | None = None,
    alternative: str = "auto",
) -> BiasAverage:
    """Return the average over {no bias, PET, PEESE, step functions} x {effect, none} x {tau > 0, tau = 0}.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies; a fit lends its model.
    model : Model, optional
        Priors of mu and tau where they are not 0, both proper.
    steps : sequence of (str, sequence of float)
        Step functions: ``"one-sided"`` or ``"two-sided"`` with the cut points.
    prior_bias, prior_effect, prior_heterogeneity : float
        Prior probabilities, independent of each other. That of bias is shared equally between regressions
        and step functions, and among each of them.
    pet, peese : Prior or str
        Normal priors of the slopes on the standard error and on the variance; by default ``Normal(0, 1)`` and
        ``Normal(0, 1 / s)``, s being the median standard error, so that both allow a study of that precision
        the same bias. Where s = 0.2 the latter is ``Normal(0, 5)``.
    alternative : {"auto", "greater", "less"}
        Direction of the one-sided p-values, as in `selection_model`.

    Raises
    ------
    AnalysisError
        An unknown option.
    ModelError
        A model with moderators or counts.
    PriorError
        A prior of mu or tau that is not proper, or that has no default for these effects.

    Notes
    -----
    The weights of a step function fall with the p-value and are cumulative sums of a Dirichlet(1, ..., 1)
    distribution. PET and PEESE let the effect be a line in the standard error or the variance, of either
    sign, and take its value at 0.
    """
    studies = usable(source, what="the average over models of publication bias")
    for name, value in (
        ("bias", prior_bias),
        ("effect", prior_effect),
        ("heterogeneity", prior_heterogeneity),
    ):
        if not strictly_between(value, 0, 1):
            raise AnalysisError(f"prior_{name} must be a probability between 0 and 1; got {told(value)}")
    _check_steps(steps)
    priors = priors_of(studies, chosen_model(source, model))
    if is_zero(priors.tau_density):
        raise AnalysisError(
            "the average over models needs a prior of tau; leave out effects='common', tau = 0 is among them"
        )
    slopes = _slopes(studies, pet, peese)
    direction = direction_of(studies, alternative)
    parts = [
        _computed(studies, priors, slopes, direction, bias, effect=effect, heterogeneity=spread)
        for bias in (None, *REGRESSIONS, *steps)
        for effect in (False, True)
        for spread in (False, True)
    ]
    shares = _shares(len(steps), prior_bias)
    prior = [
        share
        * (prior_effect if effect else 1 - prior_effect)
        * (prior_heterogeneity if spread else 1 - prior_heterogeneity)
        for share in shares
        for effect in (False, True)
        for spread in (False, True)
    ]
    weights = posterior_weights([part.log_evidence for part in parts], prior)
    models = tuple(
        part._replace(prior=share, posterior=float(weight))
        for part, share, weight in zip(parts, prior, weights, strict=True)
    )
    effects = [model for model in models if model.effect]
    return BiasAverage(
        models=models,
        mu=_mixed("mu", models),
        mu_if_effect=_mixed("mu", effects),
        tau=_mixed("tau", models),
        direction=direction,
        priors=(("mu", str(priors.mu)), ("tau", str(priors.tau)), *((n, str(p)) for n, p in slopes.items())),
        k=studies.k,
    )


def _check_steps(steps: object) -> None:
    """Refuse what is no list of pairs; what they hold is looked at where they are used."""
    if not isinstance(steps, list | tuple) or not all(
        isinstance(one, list | tuple) and len(one) == 2 for one in steps
    ):
        raise AnalysisError(
            "steps must be a list of step functions, such as [('one-sided', (0.025, 0.05))]; got "
            f"{told(steps)}"
        )


def _slopes(studies: Studies, pet: Prior | str, peese: Prior | str | None) -> dict[str, Prior]:
    wide = Normal(0, 1 / float(np.median(studies.sei))) if peese is None else as_prior(peese)
    slopes = {"PET": as_prior(pet), "PEESE": wide}
    for name, prior in slopes.items():
        if not isinstance(prior, Normal):
            raise AnalysisError(f"{name.lower()} must be a Normal prior, such as Normal(0, 1); got {prior}")
    return slopes


def _shares(steps: int, prior_bias: float) -> list[float]:
    """Return the prior probabilities of no bias, the regressions and the step functions."""
    each = prior_bias / (2 if steps else 1) / len(REGRESSIONS)
    return [1 - prior_bias, each, each, *[prior_bias / 2 / steps for _ in range(steps)]]


def _computed(
    studies: Studies,
    priors: Priors,
    slopes: dict[str, Prior],
    direction: str,
    bias: str | tuple[str, Sequence[float]] | None,
    *,
    effect: bool,
    heterogeneity: bool,
) -> BiasModel:
    if isinstance(bias, str):
        return _regressed(studies, priors, bias, slopes[bias], effect=effect, heterogeneity=heterogeneity)
    name, function, prior = "none", None, WeightPrior((), True)
    if bias is not None:
        sided, cuts = bias
        function = weight_function("step", _alternative(sided, direction), cuts)
        prior = WeightPrior((1.0,) * len(function.intervals), True)
        name = f"{sided} p: {', '.join(f'{cut:g}' for cut in cuts)}"
    mu, tau = priors.mu if effect else None, priors.tau_density if heterogeneity else None
    found = integrate(Task(studies.yi, studies.vi, mu, tau, function, prior))
    return BiasModel(
        name,
        effect,
        heterogeneity,
        0.0,
        found.log_evidence,
        0.0,
        marginal("mu", found),
        marginal("tau", found),
        found.error,
    )


def _alternative(sided: str, direction: str) -> str:
    if not is_one_of(sided, {"one-sided", "two-sided"}):
        raise AnalysisError(f"a step function must be 'one-sided' or 'two-sided'; got {told(sided)}")
    return "two-sided" if sided == "two-sided" else direction


def _regressed(
    studies: Studies, priors: Priors, name: str, slope: Prior, *, effect: bool, heterogeneity: bool
) -> BiasModel:
    """Return the regression on the standard error or the variance, with the effect at 0."""
    column = {"PET": ("standard_error", studies.sei), "PEESE": ("variance", studies.vi)}[name]
    known = replace(studies, columns=dict([column]))
    tau = {"effects": "common"} if not heterogeneity else {priors.tau_on: priors.tau}
    mods = column[0] if effect else f"0 + {column[0]}"
    model = Model(mods=mods, mu=priors.mu, beta=slope, center=False, **tau)
    found = make_fit(known, model, engine="exact")
    return BiasModel(
        name,
        effect,
        heterogeneity,
        0.0,
        found.log_evidence,
        0.0,
        found.marginal("Intercept") if effect else Marginal("mu", PointMass(0.0)),
        found.marginal("tau"),
        float(getattr(found.posterior, "nodes").error),  # noqa: B009
    )


def _mixed(name: str, models: Sequence[BiasModel]) -> Marginal:
    parts = [getattr(model, name).distribution for model in models]
    return Marginal(name, blend(parts, np.array([model.posterior for model in models])))


def _has(model: BiasModel, what: str) -> bool:
    if what not in {"bias", "effect", "heterogeneity"}:
        raise AnalysisError(f"what must be bias, effect or heterogeneity; got '{what}'")
    return model.bias != "none" if what == "bias" else bool(getattr(model, what))


def _log_average(models: Sequence[BiasModel]) -> float:
    total = sum(model.prior for model in models)
    return float(np.logaddexp.reduce([model.log_evidence + log(model.prior / total) for model in models]))
