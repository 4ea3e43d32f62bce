"""Selection models by maximum likelihood.

References
----------
Hedges LV (1992). Modeling publication selection effects in meta-analysis. Stat Sci 7:246-255.
doi:10.1214/ss/1177011364
Vevea JL, Hedges LV (1995). A general linear model for estimating effect size in the presence of publication
bias. Psychometrika 60:419-435. doi:10.1007/BF02294384
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import chdtrc

from bayesmeta.arrays import as_numbers, readonly
from bayesmeta.bias.common import cautions, check_level, direction_of, usable
from bayesmeta.bias.likelihood import maximise
from bayesmeta.bias.weights import weight_function
from bayesmeta.classical.likelihood import log_likelihood as plain_likelihood
from bayesmeta.classical.likelihood import maximum_likelihood
from bayesmeta.classical.pooling import infer
from bayesmeta.classical.problem import problem
from bayesmeta.errors import AnalysisError, DataError, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.bias.likelihood import Maximum
    from bayesmeta.bias.weights import WeightFunction
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies


OUTSIDE = "The mean lies outside the effects observed: these studies do not identify this model."
UNBOUNDED = "No maximum within the bounds"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SelectionModel:
    """Result of a selection model.

    Attributes
    ----------
    weight : WeightFunction
        Family of weight functions.
    estimate, se, lower, upper : float
        Mean effect of all studies, seen or not, on the analysis scale; NaN errors where the information
        matrix has no inverse. Where the likelihood has no maximum (`attained`) they are those at the bound.
    statistic, p_value : float
        z of the mean effect and its two-sided p-value.
    tau2, tau2_se : float
        Between-study variance.
    parameters, parameters_se : (q,) arrays
        Parameters of the weight function: for steps the weight of each interval relative to the first.
    fixed_parameters : bool
        Whether they were given.
    log_likelihood : float
        At the maximum.
    unselected_estimate, unselected_tau2, unselected_log_likelihood : float
        The same by maximum likelihood without selection.
    lr, lr_df, lr_p : float
        Likelihood-ratio test against no selection; p is NaN where the parameters were given, and where the
        likelihood has no maximum, so that its ratio has no known distribution.
    counts : tuple of int
        Studies in each interval of the step function; empty for others.
    notes : tuple of str
        Doubts about the maximum.
    level : float
        Confidence level.
    k : int
        Number of studies.
    """

    weight: WeightFunction
    estimate: float
    se: float
    lower: float
    upper: float
    statistic: float
    p_value: float
    tau2: float
    tau2_se: float
    parameters: Floats
    parameters_se: Floats
    fixed_parameters: bool
    log_likelihood: float
    unselected_estimate: float
    unselected_tau2: float
    unselected_log_likelihood: float
    lr: float
    lr_df: int
    lr_p: float
    counts: tuple[int, ...]
    notes: tuple[str, ...]
    level: float
    k: int

    def __post_init__(self) -> None:
        for name in ("parameters", "parameters_se"):
            object.__setattr__(self, name, readonly(getattr(self, name)))

    @property
    def identified(self) -> bool:
        """Whether the mean lies among the effects observed; where it does not, it is no estimate."""
        return OUTSIDE not in self.notes

    @property
    def attained(self) -> bool:
        """Whether the likelihood has a maximum within the bounds; where it has none, nothing is estimated."""
        return not any(note.startswith(UNBOUNDED) for note in self.notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return (*self.notes, *cautions(self.k))

    def __str__(self) -> str:
        pairs = zip(self.weight.names, self.parameters.tolist(), strict=True)
        found = ", ".join(f"{name}: {value:.4g}" for name, value in pairs)
        interval = f" [{self.lower:.4g}, {self.upper:.4g}] ({self.level:.0%} CI)" if self.attained else ""
        text = (
            f"Selection model ({self.weight.family}, {self.weight.alternative}): mean effect "
            f"{self.estimate:.4g}{interval}{'' if self.attained else ' at the bound'}, "
            f"{self.unselected_estimate:.4g} without selection; tau2 = {self.tau2:.4g}; weights {found}"
        )
        test = "" if isnan(self.lr_p) else f"; LR({self.lr_df}) = {self.lr:.3f}, p = {self.lr_p:.3g}"
        return "\n".join((f"{text}{test}.", *self.warnings))


def selection_model(
    source: Studies | Fit,
    weight: str = "step",
    *,
    steps: Sequence[float] = (0.025,),
    parameters: Sequence[float] | None = None,
    alternative: str = "auto",
    level: float = 0.95,
) -> SelectionModel:
    """Return a selection model fitted by maximum likelihood.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies.
    weight : {"step", "beta", "halfnormal", "exponential", "logistic", "power"}
        Form of the weight function, as in `bayesmeta.bias.weights.WeightFunction`.
    steps : sequence of float
        Cut points of the p-value, for the step function.
    parameters : sequence of float, optional
        Parameters that are known; for steps the weights of the intervals after the first, which has 1.
    alternative : {"auto", "greater", "less", "two-sided"}
        Direction in which an effect is likelier to be seen; by default the better one where the studies say
        which that is, otherwise that of the fixed effect.
    level : float
        Confidence level.

    Raises
    ------
    AnalysisError
        An unknown option or impossible parameters.
    DataError
        Too few studies, or an interval without a p-value whose weight cannot be estimated.

    Notes
    -----
    Estimated weights are bounded by 100 times that of the first interval, the parameters of the other
    families by 0 (1e-5 for beta) and 100. Where the likelihood still rises at such a bound, as where no study
    has a p-value in the first interval, a note says so and there is no p-value. Errors come from the
    information matrix of mean, tau^2 and all estimated parameters, or, where that has no inverse, of those
    not at a bound.
    """
    check_level(level)
    studies = usable(source, what="a selection model")
    direction = direction_of(studies, alternative)
    family = weight_function(weight, direction, steps)
    given = _given(family, parameters)
    y, v = np.asarray(studies.yi), np.asarray(studies.vi)
    counts = _counts(family, y, v, known=given is not None)
    plain = _unselected(y, v)
    fixed = np.array([False, False, *[given is not None] * len(family.names)])
    found = maximise(y, v, family, _starts(v, family, plain, given), fixed=fixed)
    errors = _errors(found, ~fixed)
    if isnan(errors[0]):
        errors = _errors(found, ~fixed & _inside(family, found.parameters))
    free = 0 if given is not None else len(family.names)
    lr = max(0.0, 2 * (found.at.value - plain[2]))
    notes = _notes(family, found, errors, y, counts, known=given is not None)
    tested = free and not any(note.startswith(UNBOUNDED) for note in notes)
    test = infer(found.parameters[:1], errors[:1], df=nan, level=level)
    return SelectionModel(
        weight=family,
        estimate=float(found.parameters[0]),
        se=float(errors[0]),
        lower=float(test.lower[0]),
        upper=float(test.upper[0]),
        statistic=float(test.statistic[0]),
        p_value=float(test.p_value[0]),
        tau2=float(found.parameters[1]),
        tau2_se=float(errors[1]),
        parameters=found.parameters[2:],
        parameters_se=errors[2:],
        fixed_parameters=given is not None,
        log_likelihood=found.at.value,
        unselected_estimate=plain[0],
        unselected_tau2=plain[1],
        unselected_log_likelihood=plain[2],
        lr=lr,
        lr_df=free,
        lr_p=float(chdtrc(free, lr)) if tested else nan,
        counts=counts,
        notes=notes,
        level=level,
        k=studies.k,
    )


def _given(family: WeightFunction, parameters: Sequence[float] | None) -> Floats | None:
    if parameters is None:
        return None
    given, names, least = as_numbers(parameters), family.names, family.bounds[0]
    if given is None or len(given) != len(names) or min(given) < least:
        got = told(parameters) if given is None else list(given)
        listed = ", ".join(names)
        raise AnalysisError(f"parameters must be {len(names)} numbers from {least:g} ({listed}); got {got}")
    return np.array(given)


def _counts(family: WeightFunction, y: Floats, v: Floats, *, known: bool) -> tuple[int, ...]:
    """Return the number of studies in each interval of the step function."""
    if family.family != "step":
        return ()
    places = family.interval_of(y / np.sqrt(v))
    counts = np.bincount(places, minlength=len(family.intervals)).tolist()
    for interval, count in zip(family.intervals[1:], counts[1:], strict=True):
        if count == 0 and not known:
            raise DataError(
                f"no study has a p-value in {interval} ({family.alternative}), so that its weight cannot be "
                "estimated; use other steps, or give parameters"
            )
    return tuple(counts)


def _unselected(y: Floats, v: Floats) -> tuple[float, float, float]:
    """Return mean, tau^2 and log likelihood by maximum likelihood without selection."""
    data = problem(y, v).data
    tau2, _ = maximum_likelihood(data, restricted=False)
    weights = 1 / (v + tau2)
    return float(weights @ y / weights.sum()), tau2, plain_likelihood(data, tau2, restricted=False)


def _starts(
    v: Floats, family: WeightFunction, plain: tuple[float, float, float], given: Floats | None
) -> Floats:
    """Return (n, 2 + q) points spread over means, between-study variances and strengths of selection."""
    typical = float(np.median(v))
    spread = sqrt(plain[1] + typical)
    means = (plain[0], plain[0] / 2, 0.0, *(plain[0] + shift * spread for shift in (-4, -1, 1, 4)))
    variances = (plain[1] / 4, plain[1], plain[1] + typical)
    strengths = [given] if given is not None else _strengths(family)
    return np.array([[mu, tau2, *delta] for mu in means for tau2 in variances for delta in strengths])


def _strengths(family: WeightFunction) -> list[Floats]:
    """Return parameters to start from."""
    if family.family == "beta":
        return [np.array([a, b]) for a in (0.01, 0.3, 1.0, 3.0) for b in (0.3, 1.0, 3.0, 8.0)]
    if family.family == "step":
        return [np.full_like(family.neutral, factor) for factor in (0.3, 1.0, 3.0)]
    return [family.neutral + shift for shift in (0.1, 1.0, 5.0)]


def _errors(found: Maximum, free: Bools) -> Floats:
    """Return (2 + q,) standard errors from the information on the free parameters; NaN without inverse."""
    errors = np.full(free.size, nan)
    information = -found.at.hessian[np.ix_(free, free)]
    size = np.sqrt(np.abs(np.diag(information)))
    if not np.all(size > 0):
        return errors
    scaled = information / np.outer(size, size)
    if np.linalg.eigvalsh(scaled).min() <= 1e-10:
        return errors
    errors[free] = np.sqrt(np.diag(np.linalg.inv(scaled))) / size
    return errors


def _inside(family: WeightFunction, parameters: Floats) -> Bools:
    """Return which parameters are not at a bound."""
    low, high = family.bounds
    delta = parameters[2:]
    inside = (delta > low * (1 + 1e-9)) & (delta < high * (1 - 1e-9))
    return np.array([True, parameters[1] > 0, *inside.tolist()])


def _notes(
    family: WeightFunction,
    found: Maximum,
    errors: Floats,
    y: Floats,
    counts: tuple[int, ...],
    *,
    known: bool,
) -> tuple[str, ...]:
    notes = []
    if not y.min() <= found.parameters[0] <= y.max():
        notes.append(OUTSIDE)
    if not known:
        notes += _at_bound(family, found, counts)
    if found.parameters[1] == 0:
        notes.append("tau2 = 0, the boundary of its range.")
    if isnan(errors[0]):
        notes.append("The information matrix has no inverse: there is no standard error.")
    if not found.settled:
        notes.append("The search for the maximum did not come to rest.")
    return tuple(notes)


def _at_bound(family: WeightFunction, found: Maximum, counts: tuple[int, ...]) -> list[str]:
    """Return the sentence on parameters at which the likelihood still rises; none if there is none.

    A parameter of 0 is no selection, the end of its range and no arbitrary bound.
    """
    delta, inside = found.parameters[2:].tolist(), _inside(family, found.parameters)[2:].tolist()
    at_bound = [
        f"{name} at {value:g}"
        for name, value, free in zip(family.names, delta, inside, strict=True)
        if not free and value > 0
    ]
    if not at_bound:
        return []
    empty = bool(counts) and counts[0] == 0
    cause = f"no study has {family.intervals[0]}, to which weights are relative; " if empty else ""
    listed = ", ".join(at_bound)
    return [f"{UNBOUNDED}: the likelihood still rises there ({listed}); {cause}no estimate and no p-value."]
