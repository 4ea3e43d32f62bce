"""`Model`: what is assumed, as one frozen value that knows no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from bayesmeta.errors import ModelError, PriorError, is_one_of, suggest, told
from bayesmeta.formula import Formula, parse_formula
from bayesmeta.priors import (
    Cauchy,
    Fixed,
    Flat,
    Laplace,
    Normal,
    Prior,
    StudentT,
    Uniform,
    as_prior,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIKELIHOODS = ("normal", "binomial")
EFFECTS = ("normal", "common")
LOCATION_FAMILIES = (Normal, StudentT, Cauchy, Laplace, Uniform, Flat)

type BetaPriors = Prior | tuple[tuple[str, Prior], ...] | None


@dataclass(frozen=True, slots=True)
class Model:
    """A hierarchical model of study effects: ``y_i ~ N(theta_i, v_i)``, ``theta_i ~ N(x_i beta, tau_i^2)``.

    Attributes
    ----------
    mods : str
        Mean structure, the right-hand side of a formula over the moderators; ``"1"`` pools.
    scale : str
        Heterogeneity structure, the right-hand side of a formula for log tau; ``"1"`` is one tau for all
        studies. With an intercept, `tau` is the prior of tau at the means of the columns (of tau at 0 with
        ``center=False``); ``"0 + C(group)"`` gives each group a tau with that prior.
    likelihood : {"normal", "binomial"}
        Of the effects yi, or of the arm counts on the log odds scale.
    effects : {"normal", "common"}
        Distribution of the effects between studies; ``"common"`` is tau = 0.
    levels : tuple of str
        Grouping columns above the study; none in this version.
    mu : Prior, str or None
        Prior of the mean effect; None is the default of the measure.
    beta : Prior, str, mapping or None
        Prior of the other coefficients: one for all, or by coefficient name.
    tau, tau2 : Prior, str or None
        Prior of the between-study standard deviation, or instead of its square.
    delta : Prior, str, mapping or None
        Prior of the coefficients of `scale`, logarithms of ratios of taus: one for all, or by name. None is
        Normal(0, 1) for columns of zeros and ones, Normal(0, 1 / sd of the column) for others.
    center : bool
        Put the prior of mu on the mean effect at the moderators' means (True), or on the intercept itself.
    baseline : Prior or str
        Prior of each study's group-2 log odds, for count likelihoods.

    Raises
    ------
    ModelError
        If a field has an unknown value.
    FormulaError
        If `mods` is outside the grammar.
    PriorError
        If a prior is malformed or does not fit its parameter.

    Examples
    --------
    >>> Model(mods="duration_months", tau="half_normal(0.05)").tau
    HalfNormal(sigma=0.05)
    """

    mods: str = "1"
    scale: str = "1"
    likelihood: str = "normal"
    effects: str = "normal"
    levels: tuple[str, ...] = ()
    mu: Prior | str | None = None
    beta: Prior | str | Mapping[str, Prior | str] | BetaPriors = None
    tau: Prior | str | None = None
    tau2: Prior | str | None = None
    delta: Prior | str | Mapping[str, Prior | str] | BetaPriors = None
    center: bool = True
    baseline: Prior | str = field(default_factory=lambda: Normal(0, 5))

    def __post_init__(self) -> None:
        parse_formula(self.mods)
        parse_formula(self.scale)
        _choice("likelihood", self.likelihood, LIKELIHOODS)
        _choice("effects", self.effects, EFFECTS)
        _not_yet(self)
        for name in ("mu", "tau", "tau2", "baseline"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, as_prior(value))
        for name in ("beta", "delta"):
            object.__setattr__(self, name, _named_priors(name, getattr(self, name)))
        _check_scale_formula(self)
        _check_priors(self)

    @property
    def is_common(self) -> bool:
        """Whether tau is 0 by assumption."""
        return self.effects == "common"

    @property
    def has_one_tau(self) -> bool:
        """Whether all studies have the same tau."""
        return parse_formula(self.scale) == Formula(intercept=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as texts, lists and dicts that JSON and TOML can hold; defaults are left out.

        Raises
        ------
        PriorError
            If a prior holds a Python function.
        """
        plain = {part.name: _plain(getattr(self, part.name)) for part in fields(self)}
        default = {part.name: _plain(getattr(Model(), part.name)) for part in fields(self)}
        return {name: value for name, value in plain.items() if value != default[name]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Model:
        """Return the model that `to_dict` wrote.

        Raises
        ------
        ModelError
            If a name is unknown.
        """
        known = [part.name for part in fields(cls)]
        for name in content:
            if name not in known:
                raise ModelError(f"a model has no field '{name}'{suggest(name, known)}")
        levels = {"levels": tuple(content["levels"])} if "levels" in content else {}
        return cls(**{**content, **levels})

    def with_mods(self, mods: str) -> Model:
        """Return the same model with another mean structure."""
        return replace(self, mods=mods)


def _choice(name: str, value: str, known: Iterable[str]) -> None:
    if not is_one_of(value, known):
        listed = ", ".join(f"'{item}'" for item in known)
        raise ModelError(f"{name} must be one of {listed}; got {told(value)}{suggest(value, known)}")


def _not_yet(model: Model) -> None:
    if not isinstance(model.levels, tuple | list) or model.levels:
        raise ModelError(f"levels must be empty in this version; got {told(model.levels)}")
    if not isinstance(model.center, bool):
        raise ModelError(f"center must be True or False; got {told(model.center)}")
    if model.tau is not None and model.tau2 is not None:
        raise ModelError("give a prior of tau or of tau2, not of both")
    if model.is_common and (model.tau is not None or model.tau2 is not None):
        raise ModelError(
            "effects='common' means tau = 0; leave out the prior of tau, or use effects='normal'"
        )


def _check_scale_formula(model: Model) -> None:
    if model.has_one_tau:
        if model.delta is not None:
            raise ModelError(
                "delta is the prior of the coefficients of scale; give scale, such as 'C(group)', or leave "
                "delta out"
            )
        return
    if model.is_common:
        raise ModelError(f"scale must be '1' with effects='common', where tau = 0; got '{model.scale}'")
    if model.likelihood != "normal":
        raise ModelError(
            f"scale must be '1' with likelihood '{model.likelihood}'; got '{model.scale}'; "
            "use likelihood='normal'"
        )


def _named_priors(field_name: str, value: object) -> BetaPriors:
    if value is None or isinstance(value, Prior):
        return value
    if isinstance(value, str):
        return as_prior(value)
    pairs_given = isinstance(value, tuple) and all(isinstance(one, tuple) and len(one) == 2 for one in value)
    if not isinstance(value, Mapping) and not pairs_given:
        raise PriorError(
            f"{field_name} must be a prior, or a mapping of coefficient names to priors; got {told(value)}"
        )
    pairs: Any = value.items() if isinstance(value, Mapping) else value
    named = [(str(name), as_prior(prior)) for name, prior in pairs]
    return tuple(sorted(named, key=lambda pair: pair[0]))


def priors_by_name(given: BetaPriors, names: Sequence[str], what: str) -> list[Prior | None]:
    """Return the prior of each coefficient: one for all, or its own; None where none was given.

    Parameters
    ----------
    given : Prior, tuple of (str, Prior) or None
        What a model says.
    names : sequence of str
        Coefficients.
    what : str
        What a coefficient is called in a message.

    Raises
    ------
    PriorError
        If a name is not that of a coefficient.
    """
    if not isinstance(given, tuple):
        return [given] * len(names)
    by_name = dict(given)
    unknown = [name for name in by_name if name not in names]
    if unknown:
        hint = suggest(unknown[0], names) or f"; the coefficients are {', '.join(names) or 'none'}"
        raise PriorError(f"no {what} '{unknown[0]}' to put a prior on{hint}")
    return [by_name.get(name) for name in names]


def _check_priors(model: Model) -> None:
    beta = model.beta if isinstance(model.beta, tuple) else (("beta", model.beta),)
    delta = model.delta if isinstance(model.delta, tuple) else (("delta", model.delta),)
    for name, prior in (("mu", model.mu), *beta, *delta):
        _check_location(str(name), prior)
    for name, prior in (("tau", model.tau), ("tau2", model.tau2)):
        _check_scale(name, prior)  # type: ignore[arg-type]
    if not isinstance(model.baseline, Prior) or not model.baseline.proper:
        raise PriorError(f"baseline must be a proper prior such as Normal(0, 5); got {model.baseline}")
    _check_location("baseline", model.baseline)


def _check_location(name: str, prior: Prior | None) -> None:
    if isinstance(prior, Fixed):
        raise PriorError(f"the prior of {name} must be a distribution; got {prior}; use a narrow Normal")
    if prior is not None and not prior.for_location:
        families = ", ".join(family.__name__ for family in LOCATION_FAMILIES)
        raise PriorError(f"the prior of {name} must be one of {families}; got {prior}")


def _check_scale(name: str, prior: Prior | None) -> None:
    if prior is None or isinstance(prior, Flat):
        return
    if isinstance(prior, Fixed | Uniform) and prior.support[0] >= 0:
        return
    if prior.support[0] < 0:
        half = {Normal: "HalfNormal", StudentT: "HalfStudentT", Cauchy: "HalfCauchy"}.get(type(prior))
        hint = f"; did you mean '{half}'?" if half else ""
        raise PriorError(f"the prior of {name} must live on positive values; got {prior}{hint}")


def _plain(value: object) -> object:
    if isinstance(value, Prior):
        return value.written()
    if isinstance(value, tuple):
        pairs = [isinstance(item, tuple) for item in value]
        return {name: prior.written() for name, prior in value} if pairs and all(pairs) else list(value)
    return value
