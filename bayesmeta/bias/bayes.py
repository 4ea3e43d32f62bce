"""Bayesian selection models with step weights, exactly, and the models they are compared with.

References
----------
Larose DT, Dey DK (1998). Modeling publication bias using weighted distributions in a Bayesian framework.
Comput Stat Data Anal 26:279-302. doi:10.1016/S0167-9473(97)00039-X
Maier M, Bartos F, Wagenmakers EJ (2023). Robust Bayesian meta-analysis: addressing publication bias with
model-averaging. Psychol Methods 28:107-122. doi:10.1037/met0000405
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.arrays import as_numbers, readonly
from bayesmeta.bias.common import cautions, direction_of, usable
from bayesmeta.bias.grid import Task, WeightPrior, integrate
from bayesmeta.bias.weights import SMALLEST_STEP, weight_function
from bayesmeta.errors import AnalysisError, ModelError, PriorError, require_flag, told
from bayesmeta.model import Model
from bayesmeta.priors import Fixed
from bayesmeta.problem import check_posable, pose
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.marginal import Marginal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Floats
    from bayesmeta.bias.grid import Grid
    from bayesmeta.bias.weights import WeightFunction
    from bayesmeta.priors import Prior
    from bayesmeta.problem import Priors
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepPosterior:
    """Posterior of a step selection model.

    Attributes
    ----------
    steps : WeightFunction
        Cut points and direction of the p-value.
    prior_mu, prior_tau : Prior or None
        Priors in force; None is a value of 0.
    weight_prior : WeightPrior
        Prior of the weights.
    known_weights : bool
        Whether the weights were given.
    log_evidence : float
        Logarithm of the marginal likelihood.
    mu, tau : Marginal
        Posteriors of the mean effect of all studies, seen or not, and of tau.
    weights_mean, weights_sd : (intervals - 1,) arrays
        Posterior of the weights after the first interval, which has 1.
    error : float
        Largest difference between two grids, in log evidence or posterior standard deviations.
    k : int
        Number of studies.
    """

    steps: WeightFunction
    prior_mu: Prior | None
    prior_tau: Prior | None
    weight_prior: WeightPrior
    known_weights: bool
    log_evidence: float
    mu: Marginal
    tau: Marginal
    weights_mean: Floats
    weights_sd: Floats
    error: float
    k: int

    def __post_init__(self) -> None:
        for name in ("weights_mean", "weights_sd"):
            object.__setattr__(self, name, readonly(getattr(self, name)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return cautions(self.k)

    def __str__(self) -> str:
        lower, upper = self.mu.interval()
        pairs = zip(self.steps.names, self.weights_mean.tolist(), self.weights_sd.tolist(), strict=True)
        weights = ", ".join(f"{name}: {mean:.2f} (sd {sd:.2f})" for name, mean, sd in pairs)
        text = (
            f"Bayesian selection model ({self.steps.alternative}): mean effect {self.mu.median:.4g} "
            f"[{lower:.4g}, {upper:.4g}] (median, 95% equal-tailed), tau {self.tau.median:.4g}; chance to be "
            f"seen relative to p <= {self.steps.steps[0]:g}: {weights}; log evidence {self.log_evidence:.4f}."
        )
        return "\n".join((text, *self.warnings))


def step_posterior(
    source: Studies | Fit,
    model: Model | None = None,
    *,
    steps: Sequence[float] = (0.025,),
    alternative: str = "auto",
    weights: Sequence[float] | None = None,
    alpha: Sequence[float] | None = None,
    monotone: bool = True,
) -> StepPosterior:
    """Return the posterior of a selection model in which the chance to be seen is a step function of p.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies; a fit lends its model.
    model : Model, optional
        Priors of mu and tau, both proper; the mean structure must be ``"1"``.
    steps : sequence of float
        Cut points of the p-value.
    alternative : {"auto", "greater", "less", "two-sided"}
        Direction in which an effect is likelier to be seen, as in `selection_model`.
    weights : sequence of float, optional
        Weights of the intervals after the first, relative to it, if they are known.
    alpha : sequence of float, optional
        Parameters of the Dirichlet prior, one for each interval; all 1 by default, so that with one cut point
        the weight is uniform on (0, 1).
    monotone : bool
        Whether weights fall with the p-value, as cumulative sums of the Dirichlet distribution; otherwise
        they are independent and uniform on (0, 1).

    Raises
    ------
    AnalysisError
        An unknown option.
    ModelError
        A model with moderators or counts.
    PriorError
        A prior that is not proper.
    NumericalError
        If two grids do not agree.
    """
    studies = usable(source, what="a selection model")
    require_flag("monotone", monotone)
    priors = priors_of(studies, chosen_model(source, model))
    direction = direction_of(studies, alternative)
    function = weight_function("step", direction, steps)
    prior = _weight_prior(function, alpha, monotone)
    mu, tau = priors.mu, None if is_zero(priors.tau_density) else priors.tau_density
    task = Task(studies.yi, studies.vi, mu, tau, function, prior, _known(function, weights))
    found = integrate(task)
    return StepPosterior(
        steps=function,
        prior_mu=mu,
        prior_tau=tau,
        weight_prior=prior,
        known_weights=weights is not None,
        log_evidence=found.log_evidence,
        mu=marginal("mu", found),
        tau=marginal("tau", found),
        weights_mean=found.weights_mean,
        weights_sd=found.weights_sd,
        error=found.error,
        k=studies.k,
    )


def marginal(name: str, found: Grid) -> Marginal:
    """Return the posterior of mu or tau on a grid, a point mass at 0 where it is 0 by assumption."""
    distribution = getattr(found, name)
    return Marginal(name, PointMass(0.0) if distribution is None else distribution)


def chosen_model(source: Studies | Fit, model: Model | None) -> Model:
    """Return the model given, that of the fit given, or the default."""
    if model is not None:
        return model
    return getattr(source, "model", None) or Model()


def priors_of(studies: Studies, model: Model) -> Priors:
    """Return the priors in force, both proper.

    Raises
    ------
    ModelError
        A model with moderators or counts.
    PriorError
        A prior that is not proper.
    """
    check_posable(studies, model)
    if model.mods.strip() != "1":
        raise ModelError(f"a model of publication bias must have mods '1'; got '{model.mods}'")
    priors = pose(studies, replace(model, likelihood="normal")).priors
    for name, prior in (("mu", priors.mu), ("tau", priors.tau_density)):
        if not prior.proper:
            example = "Normal(0, 1)" if name == "mu" else "HalfNormal(0.5)"
            raise PriorError(
                f"a Bayesian model of publication bias needs a proper prior of {name}; got {prior}; give "
                f"one, such as {example}"
            )
    return priors


def is_zero(tau: Prior) -> bool:
    """Return whether a prior says that tau is 0."""
    if isinstance(tau, Fixed) and tau.value != 0:
        raise PriorError(f"tau must be 0 or have a distribution in a model of publication bias; got {tau}")
    return isinstance(tau, Fixed)


def _weight_prior(function: WeightFunction, alpha: Sequence[float] | None, monotone: bool) -> WeightPrior:
    m = len(function.intervals)
    given = (1.0,) * m if alpha is None else as_numbers(alpha)
    if given is None or len(given) != m or not all(value > 0 for value in given):
        got = told(alpha) if given is None else given
        raise AnalysisError(f"alpha must be {m} positive numbers, one for each interval; got {got}")
    if alpha is not None and not monotone:
        raise AnalysisError("alpha belongs to weights that fall with p; leave it out with monotone=False")
    return WeightPrior(given, monotone)


def _known(function: WeightFunction, weights: Sequence[float] | None) -> Floats | None:
    if weights is None:
        return None
    known, names = as_numbers(weights), function.names
    if known is None or len(known) != len(names) or min(known) < SMALLEST_STEP:
        got = told(weights) if known is None else list(known)
        listed = ", ".join(names)
        raise AnalysisError(
            f"weights must be {len(names)} numbers from {SMALLEST_STEP:g} ({listed}); got {got}"
        )
    return np.array(known)
