"""`Problem`: a model posed on studies. It is what every engine works on.

References
----------
Röver C, Bender R, Dias S, et al (2021). On weakly informative prior distributions for the heterogeneity
parameter in Bayesian random-effects meta-analysis. Res Synth Methods 12:448-474. doi:10.1002/jrsm.1475
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.arrays import readonly
from bayesmeta.design import build_design
from bayesmeta.effectsizes import find_measure
from bayesmeta.errors import AnalysisError, FormulaError, ModelError, PriorError, printable
from bayesmeta.location_scale import pose_scale
from bayesmeta.model import Model, priors_by_name
from bayesmeta.priors import AdaptivePrior, Fixed, Flat, HalfFlat, HalfNormal, Normal, as_prior, of_square
from bayesmeta.studies import Studies

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.design import Design
    from bayesmeta.location_scale import ScaleStructure
    from bayesmeta.priors import Prior

COUNT_MEASURES = ("OR", "PETO")
"""Measures whose effect is the log odds ratio that the binomial likelihood has."""


@dataclass(frozen=True, slots=True)
class Priors:
    """Every prior in force.

    Attributes
    ----------
    mu : Prior
        Prior of the mean effect.
    beta : tuple of Prior
        Prior of each of the p coefficients in the design's order, that of the intercept being `mu`.
    tau : Prior
        Prior of tau, or of tau2 as `tau_on` says, as it was written.
    tau_density : Prior
        The same as a density of tau, with design-dependent families bound to the studies.
    tau_on : {"tau", "tau2"}
        Quantity that `tau` is the prior of.
    defaults : frozenset of str
        Which of ``mu``, ``beta``, ``tau`` were not given.
    """

    mu: Prior
    beta: tuple[Prior, ...]
    tau: Prior
    tau_density: Prior
    tau_on: str
    defaults: frozenset[str]


@dataclass(frozen=True, eq=False)
class Problem:
    """A model posed on studies.

    Attributes
    ----------
    studies : Studies
        Studies that take part: those with an estimate for the normal likelihood, all for counts.
    model : Model
        What is assumed.
    design : Design
        Design matrix of the moderators.
    priors : Priors
        Priors in force, defaults included.
    scale : ScaleStructure or None
        How tau differs between studies; None where one tau serves all.
    """

    studies: Studies
    model: Model
    design: Design
    priors: Priors
    scale: ScaleStructure | None = None

    def __post_init__(self) -> None:
        if self.scale is None and not self.model.has_one_tau:
            raise ModelError(
                f"this answer needs one tau for all studies; got scale '{self.model.scale}'; use scale='1'"
            )

    @property
    def k(self) -> int:
        """Number of studies."""
        return self.studies.k

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return int(self.design.X.shape[1])

    @property
    def y(self) -> Floats:
        """(k,) effects."""
        return self.studies.yi

    @property
    def v(self) -> Floats:
        """(k,) sampling variances."""
        return self.studies.vi

    @property
    def X(self) -> Floats:
        """(k, p) design matrix, in the user's columns."""
        return self.design.X

    @property
    def is_pooled(self) -> bool:
        """Whether there are no moderators."""
        return self.design.is_pooled

    @property
    def coefficients(self) -> tuple[str, ...]:
        """Names of the coefficients; ``("mu",)`` without moderators."""
        return ("mu",) if self.is_pooled else self.design.names

    @cached_property
    def shift(self) -> Floats:
        """(p,) means taken from the columns before the priors apply; 0 for the intercept or uncentred."""
        means = np.zeros(self.p)
        if self.model.center and self.design.intercept:
            others = ~np.array(self.design.is_mean)
            means[others] = self.X[:, others].mean(axis=0)
        return readonly(means)

    @cached_property
    def X_prior(self) -> Floats:
        """(k, p) design matrix whose coefficients b carry the priors."""
        return readonly(self.X - self.shift)

    @cached_property
    def transform(self) -> Floats:
        """(p, p) matrix with ``beta = transform @ b``, from the coefficients of `X_prior` to the user's."""
        matrix = np.eye(self.p)
        if self.design.intercept:
            matrix[0] -= self.shift
        return readonly(matrix)


def pose(studies: Studies, model: Model) -> Problem:
    """Return the model posed on the studies.

    Parameters
    ----------
    studies : Studies
        Studies; those without an estimate take part only in count likelihoods.
    model : Model
        What is assumed.

    Raises
    ------
    AnalysisError
        If they are something else.
    ModelError
        If the likelihood does not fit the data.
    FormulaError, DataError
        If the moderators do not fit the formula.
    PriorError
        If default priors were asked for and the effects have no scale, or a coefficient has no such name.
    """
    check_posable(studies, model)
    usable = _taking_part(studies, model)
    design = build_design(model.mods, usable.columns, slab=usable.slab, k=usable.k)
    priors = priors_in_force(model, usable, design)
    scale = pose_scale(model, usable, priors.tau)
    if scale is not None:
        _refuse_clashes(design, scale)
    return Problem(usable, model, design, priors, scale)


def check_posable(studies: object, model: object) -> None:
    """Refuse what is no `Studies` or no `Model`.

    Raises
    ------
    AnalysisError
        With what was given, and how to make what is needed.
    """
    if not isinstance(studies, Studies):
        got = type(studies).__name__
        advice = "give fit.studies" if got == "Fit" else "make them by bm.effect_sizes"
        raise AnalysisError(f"studies must be bm.Studies; got {got}; {advice}")
    if not isinstance(model, Model):
        got = type(model).__name__
        advice = "give fit.model" if got == "Fit" else 'write bm.Model(mu="Normal(0, 1)")'
        raise AnalysisError(f"model must be a bm.Model; got {got}; {advice}")


def _refuse_clashes(design: Design, scale: ScaleStructure) -> None:
    clash = [name for name in scale.quantities if name in design.names]
    if clash:
        raise FormulaError(
            f"'{printable(clash[0])}' would be both a coefficient and a quantity of scale; rename the column"
        )


def _taking_part(studies: Studies, model: Model) -> Studies:
    if model.likelihood == "normal":
        usable = studies.pooled()
        if usable.V is not None:
            raise ModelError(
                "correlated effects (V with covariances) are not in the Bayesian engines yet; "
                "use bm.classical, or combine the effects of each study first"
            )
        return usable
    if studies.measure not in COUNT_MEASURES or not {"ai", "bi", "ci", "di"} <= set(studies.arms):
        raise ModelError(
            f"likelihood 'binomial' needs measure 'OR' with arm counts ai, n1i, ci, n2i; got measure "
            f"'{studies.measure}'{'' if studies.arms else ' without arms'}; use likelihood='normal'"
        )
    return studies


def priors_in_force(model: Model, studies: Studies, design: Design) -> Priors:
    """Return every prior, with the defaults filled in.

    Parameters
    ----------
    model : Model
        Its priors, None standing for a default.
    studies : Studies
        Studies whose measure, sample sizes and variances (never effects) set the defaults.
    design : Design
        Design matrix.

    Raises
    ------
    PriorError
        If a default is needed and the effects have no scale, or a name is unknown.
    """
    tau_on = "tau" if model.tau2 is None else "tau2"
    given = model.tau if model.tau2 is None else model.tau2
    scale = Fixed(0) if model.is_common else given
    defaults = {name for name, prior in (("mu", model.mu), ("tau", scale)) if prior is None}
    mu = default_mu(studies) if model.mu is None else as_prior(model.mu)
    tau = default_tau(studies) if scale is None else as_prior(scale)
    beta, beta_default = _coefficient_priors(model, studies, design, mu)
    return Priors(
        mu=mu,
        beta=beta,
        tau=tau,
        tau_density=_density(tau, tau_on, studies.vi),
        tau_on=tau_on,
        defaults=frozenset(defaults | ({"beta"} if beta_default else set())),
    )


def _density(tau: Prior, tau_on: str, v: Floats) -> Prior:
    if isinstance(tau, AdaptivePrior):
        if tau_on == "tau2":
            raise PriorError(f'{tau} is a prior of tau; write tau = "{tau}" instead of tau2')
        return tau.bind(v[np.isfinite(v)])
    if tau_on == "tau2":
        return of_square(tau)
    return HalfFlat() if isinstance(tau, Flat) else tau


def _coefficient_priors(
    model: Model, studies: Studies, design: Design, mu: Prior
) -> tuple[tuple[Prior, ...], bool]:
    slopes = [name for name, mean in zip(design.names, design.is_mean, strict=True) if not mean]
    given = iter(priors_by_name(model.beta, slopes, "coefficient"))  # type: ignore[arg-type]
    priors: list[Prior] = []
    default = False
    for j, mean in enumerate(design.is_mean):
        chosen = mu if mean else next(given)
        if chosen is None:
            chosen, default = default_beta(studies, design.X[:, j]), True
        priors.append(chosen)
    return tuple(priors), default


def prior_scale(studies: Studies, *, wanted: str) -> float:
    """Return u, the size of a large effect, from the measure or as the unit-information standard deviation.

    Parameters
    ----------
    studies : Studies
        Studies; only their measure, sample sizes and variances count.
    wanted : str
        Parameter whose default is being made, for the message.

    Raises
    ------
    PriorError
        If the measure has no conventional scale and sample sizes are unknown.

    Notes
    -----
    ``u = sqrt(sum n / sum 1/v)``, the standard deviation of one observation's worth of information (Röver et
    al. 2021, section 3.4).
    """
    conventional = find_measure(studies.measure).default_scale
    if conventional is not None:
        return conventional
    usable = studies.estimable
    if studies.ni is not None:
        return float(np.sqrt(studies.ni[usable].sum() / np.sum(1 / studies.vi[usable])))
    typical = float(np.median(np.sqrt(studies.vi[usable])))
    raise PriorError(
        f"there is no default prior of {wanted} for effects of unknown kind without sample sizes; give both, "
        f'in the units of the effects, such as mu = "Normal(0, {20 * typical:.2g})" and '
        f'tau = "HalfNormal({2 * typical:.2g})"'
    )


def default_mu(studies: Studies) -> Prior:
    """Return the default prior of the mean effect: Normal(0, u); flat for means, proportions and rates.

    Those have no value that stands for "no effect"; correlations, though of one group, have.
    """
    measure = find_measure(studies.measure)
    if measure.groups == 1 and measure.kind != "correlation":
        return Flat()
    return Normal(0, prior_scale(studies, wanted="mu"))


def default_tau(studies: Studies) -> Prior:
    """Return the default prior of tau: HalfNormal(u / 4)."""
    return HalfNormal(prior_scale(studies, wanted="tau") / 4)


def default_beta(studies: Studies, column: Floats) -> Prior:
    """Return the default prior of a coefficient: Normal(0, u / (4 sd of its column))."""
    return Normal(0, prior_scale(studies, wanted="beta") / (4 * float(np.std(column, ddof=1))))
