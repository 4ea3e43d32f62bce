"""The tables of an analysis file as frozen values, with what each entry must be.

The annotations are read when a file is loaded; rules between entries are checked whenever a value is made.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict
from pydantic import Field as Rule

from bayesmeta.analysis_entries import (
    LONGEST_LIST,
    BetaPrior,
    Columns,
    DataFile,
    Dataset,
    Entry,
    EntryError,
    Formula,
    LocationPrior,
    Measure,
    Measures,
    Name,
    Positive,
    Probability,
    Quantity,
    ScalePrior,
    Texts,
    Title,
    model_entry,
)
from bayesmeta.errors import AnalysisError, suggest

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA_VERSION = 1
EFFECT_COLUMNS = ("yi", "sei", "vi", "ni")

type Faults = list[tuple[Entry, str]]


class Section:
    """Base of all tables: types are strict, unknown entries refused, numbers finite."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Header(Section):
    """``[analysis]``: title, description, seed and the version of the format."""

    title: Title
    description: str = ""
    seed: Annotated[int, Rule(ge=0, lt=2**32)] | None = None
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not 1 <= self.schema_version <= SCHEMA_VERSION:
            must = f"must be at most {SCHEMA_VERSION}; got {self.schema_version}"
            raise EntryError([("schema_version", f"{must}: the file is for a newer bayesmeta")])


@dataclass(frozen=True, slots=True)
class DataOptions(Section):
    """``[data]``: where the studies are, what their columns mean, and which of them take part."""

    measure: Measure
    columns: Columns
    dataset: Dataset | None = None
    file: DataFile | None = None
    slab: str | None = None
    also: Measures = ()
    units: str = ""
    better: Literal["", "higher", "lower"] = ""
    minimal_important_difference: Positive | None = None
    group1: str = "treatment"
    group2: str = "control"
    drop00: bool = True
    add: Annotated[float, Rule(ge=0)] = 0.5
    to: Literal["only0", "if0all", "all", "none"] = "only0"
    missing: Literal["error", "drop"] = "error"
    exclude: Texts = ()
    allow_total_rows: bool = False
    text: Texts = ()
    delimiter: Literal[",", ";", "\t", "|"] | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    na_values: Texts = ()

    def __post_init__(self) -> None:
        faults = [*_source_faults(self), *_column_faults(self), *_option_faults(self)]
        if faults:
            raise EntryError(faults)

    @property
    def has_effects(self) -> bool:
        """Whether effects come ready-made."""
        return "yi" in dict(self.columns)


@dataclass(frozen=True, slots=True)
class PriorOptions(Section):
    """``[model.priors]`` and the priors of a regression, as written; None stands for the default."""

    mu: LocationPrior | None = None
    beta: BetaPrior = None
    tau: ScalePrior | None = None
    tau2: Annotated[str, model_entry("tau2")] | None = None
    delta: BetaPrior = None

    def __post_init__(self) -> None:
        if self.tau is not None and self.tau2 is not None:
            raise EntryError([("tau2", "give a prior of tau or of tau2, not of both")])

    def over(self, other: PriorOptions) -> PriorOptions:
        """Return these priors, with those of `other` where there is none here."""
        scale = self if self.tau is not None or self.tau2 is not None else other
        return PriorOptions(
            mu=other.mu if self.mu is None else self.mu,
            beta=other.beta if self.beta is None else self.beta,
            tau=scale.tau,
            tau2=scale.tau2,
            delta=other.delta if self.delta is None else self.delta,
        )


@dataclass(frozen=True, slots=True)
class ModelOptions(Section):
    """``[model]``: the fields of `bayesmeta.model.Model`, as written."""

    mods: Formula = "1"
    scale: Formula = "1"
    likelihood: Annotated[str, model_entry("likelihood")] = "normal"
    effects: Annotated[str, model_entry("effects")] = "normal"
    center: bool = True
    baseline: Annotated[str, model_entry("baseline")] = "Normal(0, 5)"
    priors: PriorOptions = field(default_factory=PriorOptions)

    def __post_init__(self) -> None:
        if self.effects == "common" and (self.priors.tau is not None or self.priors.tau2 is not None):
            sentence = "'common' means tau = 0; leave out the prior of tau, or use effects = \"normal\""
            raise EntryError([("effects", sentence)])


@dataclass(frozen=True, slots=True)
class EngineOptions(Section):
    """``[engine]``: which engine computes the posterior, and with what effort."""

    name: Literal["nuts", "exact", "auto"] = "nuts"
    chains: Annotated[int, Rule(ge=1, le=64)] = 4
    tune: Annotated[int, Rule(ge=0, le=1_000_000)] = 1000
    draws: Annotated[int, Rule(ge=1, le=1_000_000)] = 1000
    target_accept: Probability = 0.95
    cross_check: Literal["exact", "none"] = "exact"


@dataclass(frozen=True, slots=True)
class IntervalOptions(Section):
    """``[interval]``: kind and level of every interval."""

    kind: Literal["eti", "hdi"] = "eti"
    prob: Probability = 0.95


@dataclass(frozen=True, slots=True)
class Regression(Section):
    """``[[regressions]]``: another structure of mean or tau; what is left out is as in ``[model]``."""

    name: Name
    mods: Formula
    scale: Formula | None = None
    center: bool | None = None
    engine: Literal["nuts", "exact", "auto"] | None = None
    priors: PriorOptions = field(default_factory=PriorOptions)


@dataclass(frozen=True, slots=True)
class Subgroup(Section):
    """``[[subgroups]]``: a column whose values divide the studies; one tau for each, or shared by all."""

    by: Title
    tau: Literal["separate", "shared"] = "separate"


@dataclass(frozen=True, slots=True)
class ModeratorOptions(Section):
    """``[moderators]``: terms of which every subset is compared, and the prior probability of each."""

    terms: Annotated[tuple[Formula, ...], Rule(max_length=15)] = ()
    inclusion: Probability = 0.5


@dataclass(frozen=True, slots=True)
class SensitivityOptions(Section):
    """``[sensitivity]``: what else is varied: studies, priors, what it would take to change the answer."""

    leave_one_out: bool = False
    atlas: bool = True
    tipping_points: bool = False
    decision: Probability | None = None
    studies: bool = False
    small_study: bool = False
    tau_priors: Annotated[tuple[ScalePrior, ...], Rule(max_length=100)] = ()
    mu_priors: Annotated[tuple[LocationPrior, ...], Rule(max_length=100)] = ()

    def __post_init__(self) -> None:
        faults = [*_repeated(self.tau_priors, "tau_priors"), *_repeated(self.mu_priors, "mu_priors")]
        if self.decision is not None and not self.tipping_points:
            faults.append(("decision", "is the line of the tipping points; add tipping_points = true"))
        if faults:
            raise EntryError(faults)


@dataclass(frozen=True, slots=True)
class Expected(Section):
    """``[[expected]]``: a known answer; with `invert`, it is compared with 1 / what was computed."""

    quantity: Quantity
    value: float
    tolerance: Positive
    source: str = ""
    invert: bool = False


@dataclass(frozen=True, slots=True)
class ReportOptions(Section):
    """``[report]``: statements whose posterior probability is reported."""

    probabilities: Texts = ()


@dataclass(frozen=True, slots=True)
class FigureOptions(Section):
    """``[figures]``: formats, and dots per inch of those made of dots."""

    formats: tuple[Literal["svg", "png", "pdf"], ...] = ("svg", "png")
    dpi: Annotated[int, Rule(ge=50, le=600)] = 200


@dataclass(frozen=True, slots=True)
class Document(Section):
    """A whole analysis file."""

    analysis: Header
    data: DataOptions
    model: ModelOptions = field(default_factory=ModelOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    interval: IntervalOptions = field(default_factory=IntervalOptions)
    regressions: Annotated[tuple[Regression, ...], Rule(max_length=LONGEST_LIST)] = ()
    subgroups: Annotated[tuple[Subgroup, ...], Rule(max_length=LONGEST_LIST)] = ()
    moderators: ModeratorOptions = field(default_factory=ModeratorOptions)
    sensitivity: SensitivityOptions = field(default_factory=SensitivityOptions)
    expected: Annotated[tuple[Expected, ...], Rule(max_length=LONGEST_LIST)] = ()
    report: ReportOptions = field(default_factory=ReportOptions)
    figures: FigureOptions = field(default_factory=FigureOptions)

    def __post_init__(self) -> None:
        faults = [
            *_repeated([regression.name for regression in self.regressions], "regressions", "name"),
            *_repeated([subgroup.by for subgroup in self.subgroups], "subgroups", "by"),
        ]
        if faults:
            raise EntryError(faults)


def plain(value: Any) -> Any:
    """Return a section as mappings, lists and texts; entries that have their default are left out.

    Parameters
    ----------
    value : Section, tuple, str, number or None
        What is to be written down.
    """
    if isinstance(value, Section):
        parts: tuple[Field[Any], ...] = fields(value)  # type: ignore[arg-type]
        changed = [part.name for part in parts if getattr(value, part.name) != _default(part)]
        return {name: plain(getattr(value, name)) for name in changed}
    if isinstance(value, tuple):
        pairs = bool(value) and all(isinstance(item, tuple) for item in value)
        return dict(value) if pairs else [plain(item) for item in value]
    return value


def _default(part: Field[Any]) -> object:
    return part.default if part.default_factory is MISSING else part.default_factory()


def _repeated(names: Sequence[str], *path: str) -> Faults:
    """Return a fault for each name that stood before; `path` is the list, and where an item has its name."""
    return [
        ((path[0], place, *path[1:]), f"'{name}' stands twice; give each one once")
        for place, name in enumerate(names)
        if name in names[:place]
    ]


def _source_faults(data: DataOptions) -> Faults:
    if (data.dataset is None) == (data.file is None):
        got = "got neither" if data.file is None else "got both"
        return [("dataset", f"give either dataset (the name of a bundled one) or file (a path); {got}")]
    if data.file is not None:
        return []
    given = [name for name in ("delimiter", "decimal", "encoding") if getattr(data, name) is not None]
    given += [name for name in ("na_values", "text") if getattr(data, name)]
    return [(name, "belongs to a file; leave it out with a bundled dataset") for name in given]


def _column_faults(data: DataOptions) -> Faults:
    from bayesmeta.effectsizes import find_measure
    from bayesmeta.studies.arms import needed_columns

    given = dict(data.columns)
    if not data.has_effects:
        try:
            for measure in dict.fromkeys((data.measure, *data.also)):
                needed_columns(find_measure(measure), given)
        except AnalysisError as error:
            return [("columns", sentence) for sentence in error.messages]
        return []
    strange = [name for name in given if name not in EFFECT_COLUMNS]
    faults: Faults = [
        ("columns", f"effects (yi) come with sei, vi or ni; got '{name}'{suggest(name, EFFECT_COLUMNS)}")
        for name in strange
    ]
    if not {"sei", "vi"} & set(given):
        faults.append(("columns", "effects (yi) need sei (standard errors) or vi (variances)"))
    return faults


def _option_faults(data: DataOptions) -> Faults:
    from bayesmeta.effectsizes import find_measure

    faults: Faults = []
    if data.has_effects and data.also:
        faults.append(("also", "needs the arms of the studies; effects (yi) are of one measure"))
    if data.measure in data.also:
        faults.append(("also", f"holds '{data.measure}', which is the measure already"))
    corrected = not data.has_effects and any(
        find_measure(name).corrects_zeros for name in (data.measure, *data.also)
    )
    if not corrected:
        changed = [name for name, usual in (("add", 0.5), ("to", "only0")) if getattr(data, name) != usual]
        faults += [(name, "is for measures with a correction for zeros; leave it out") for name in changed]
    return faults
