"""`Analysis`: what an analysis file says, as one frozen value; every mistake in it is named with its line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from bayesmeta.analysis_messages import entry_faults, table_name, text_faults
from bayesmeta.analysis_options import (
    SCHEMA_VERSION,
    DataOptions,
    Document,
    EngineOptions,
    Expected,
    FigureOptions,
    Header,
    IntervalOptions,
    ModelOptions,
    ModeratorOptions,
    PriorOptions,
    Regression,
    ReportOptions,
    SensitivityOptions,
    Subgroup,
    plain,
)
from bayesmeta.errors import AnalysisError, FileError, printable, suggest
from bayesmeta.rawfile import as_path
from bayesmeta.tomlfile import TomlFile, parse_toml, read_toml, toml_text

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from bayesmeta.analysis_messages import Fault
    from bayesmeta.model import Model
    from bayesmeta.tomlfile import Place

__all__ = [
    "Analysis",
    "analysis_of",
    "analysis_schema",
    "list_analyses",
    "load_analysis",
    "parse_analysis",
    "shipped_text",
    "to_toml",
]


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis file says.

    Attributes
    ----------
    title : str
        Title of the report.
    data : DataOptions
        Where the studies are and what their columns mean.
    description : str
        Free text.
    seed : int or None
        Seed of everything random; None draws one.
    schema_version : int
        Version of the format.
    model : ModelOptions
        The main model.
    engine : EngineOptions
        Engine, chains, tuning steps, draws, cross-check.
    interval : IntervalOptions
        Kind and level of intervals.
    regressions : tuple of Regression
        Further mean structures.
    subgroups : tuple of Subgroup
        Columns that divide the studies.
    moderators : ModeratorOptions
        Terms of which every subset is compared.
    sensitivity : SensitivityOptions
        What else is varied: studies and priors.
    expected : tuple of Expected
        Known answers.
    report : ReportOptions
        Statements whose probability is reported.
    figures : FigureOptions
        Formats and resolution.
    source : Path or None
        The file; not part of comparisons.
    sha256 : str
        Hash of the file, in hexadecimal; not part of comparisons.
    allow_outside : bool
        Whether the data may lie outside the folder of the file; not part of comparisons.
    """

    title: str
    data: DataOptions
    description: str = ""
    seed: int | None = None
    schema_version: int = SCHEMA_VERSION
    model: ModelOptions = field(default_factory=ModelOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)
    interval: IntervalOptions = field(default_factory=IntervalOptions)
    regressions: tuple[Regression, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    moderators: ModeratorOptions = field(default_factory=ModeratorOptions)
    sensitivity: SensitivityOptions = field(default_factory=SensitivityOptions)
    expected: tuple[Expected, ...] = ()
    report: ReportOptions = field(default_factory=ReportOptions)
    figures: FigureOptions = field(default_factory=FigureOptions)
    source: Path | None = field(default=None, compare=False)
    sha256: str = field(default="", compare=False)
    allow_outside: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the file without its ending, which is that of the output folder."""
        return self.source.stem if self.source is not None else "analysis"

    def main_model(self) -> Model:
        """Return the model of ``[model]``.

        Raises
        ------
        AnalysisError
            If its entries contradict each other.
        """
        return self._model(self.model.mods, self.model.scale, self.model.center, self.model.priors)

    def regression_model(self, regression: Regression) -> Model:
        """Return the model of one of the regressions; what it leaves out is as in ``[model]``.

        The prior of delta belongs to a scale formula: with ``scale = "1"`` that of ``[model]`` is left out.

        Parameters
        ----------
        regression : Regression
            One of `regressions`.

        Raises
        ------
        AnalysisError
            If its entries contradict each other.
        """
        center = self.model.center if regression.center is None else regression.center
        scale = self.model.scale if regression.scale is None else regression.scale
        priors = regression.priors.over(self.model.priors)
        if scale.strip() == "1":
            priors = replace(priors, delta=regression.priors.delta)
        return self._model(regression.mods, scale, center, priors)

    def _model(self, mods: str, scale: str, center: bool, priors: PriorOptions) -> Model:
        from bayesmeta.model import Model

        return Model(
            mods=mods,
            scale=scale,
            delta=dict(priors.delta) if isinstance(priors.delta, tuple) else priors.delta,
            likelihood=self.model.likelihood,
            effects=self.model.effects,
            mu=priors.mu,
            beta=dict(priors.beta) if isinstance(priors.beta, tuple) else priors.beta,
            tau=priors.tau,
            tau2=priors.tau2,
            center=center,
            baseline=self.model.baseline,
        )


def load_analysis(path_or_name: str | os.PathLike[str], *, allow_outside: bool = False) -> Analysis:
    """Return what an analysis file says.

    Parameters
    ----------
    path_or_name : str or path-like
        A TOML file, or the name of an analysis that ships with the package.
    allow_outside : bool
        Let the data lie outside the folder of the file.

    Raises
    ------
    AnalysisError
        Naming every mistake in the file, with its line.
    FileError
        If the file cannot be read, or there is no analysis of that name.
    """
    path = _find(path_or_name)
    return _analysis(read_toml(path), path=path, allow_outside=allow_outside)


def parse_analysis(text: str, *, source: str = "analysis.toml") -> Analysis:
    """Return what the text of an analysis file says.

    Parameters
    ----------
    text : str
        A TOML document.
    source : str
        Its name, for messages.

    Raises
    ------
    AnalysisError
        Naming every mistake, with its line.
    """
    return _analysis(
        parse_toml(text.encode("utf-8", "replace"), source=source), path=None, allow_outside=False
    )


def analysis_of(content: dict[str, Any], *, source: str = "options") -> Analysis:
    """Return the analysis that tables describe; its data may lie anywhere.

    Parameters
    ----------
    content : dict
        What a file would hold.
    source : str
        Where it comes from, for messages.

    Raises
    ------
    AnalysisError
        Naming every mistake.
    """
    return _analysis(TomlFile(content, {}, source, ""), path=None, allow_outside=True)


def analysis_schema() -> dict[str, Any]:
    """Return the JSON schema of an analysis file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Analysis file of bayesmeta",
        **_reader().json_schema(),
    }


def shipped_text(name: str) -> str:
    """Return the text of an analysis that ships with the package.

    Parameters
    ----------
    name : str
        One of `list_analyses`.

    Raises
    ------
    FileError
        If there is none of that name.
    """
    if name not in list_analyses():
        raise FileError(_unknown_analysis(name))
    return (_shipped() / f"{name}.toml").read_text(encoding="utf-8")


def list_analyses() -> tuple[str, ...]:
    """Return the names of the analyses that ship with the package."""
    return tuple(sorted(path.stem for path in _shipped().glob("*.toml")))


def to_toml(analysis: Analysis) -> str:
    """Return the text of an analysis file that says the same; defaults are left out.

    Parameters
    ----------
    analysis : Analysis
        What is to be written down.
    """
    header = Header(analysis.title, analysis.description, analysis.seed, analysis.schema_version)
    sections = {
        part.name: getattr(analysis, part.name) for part in fields(Document) if part.name != "analysis"
    }
    return toml_text(plain(Document(analysis=header, **sections)))


def _find(path_or_name: str | os.PathLike[str]) -> Path:
    path = as_path(path_or_name, "an analysis")
    text = str(path)
    if path.suffix == ".toml" or len(path.parts) != 1 or path.is_file() or "\0" in text:
        return path
    shipped = _shipped() / f"{text}.toml"
    if text not in list_analyses():
        raise FileError(_unknown_analysis(text))
    return shipped


def _unknown_analysis(name: str) -> str:
    known = list_analyses()
    hint = suggest(name, known) or f"; those that ship are {', '.join(known) or 'none'}"
    return f"no analysis file or shipped analysis '{printable(name)}'{hint}"


def _shipped() -> Path:
    """Return the folder of the shipped analyses: in the package when installed, beside it in a checkout."""
    package = Path(str(resources.files("bayesmeta")))
    inside, beside = package / "models", package.parent / "models"
    return inside if inside.is_dir() or not (package.parent / "pyproject.toml").is_file() else beside


@cache
def _reader() -> TypeAdapter[Document]:
    return TypeAdapter(Document)


def _analysis(file: TomlFile, *, path: Path | None, allow_outside: bool) -> Analysis:
    faults = list(text_faults(file.content))
    document = None
    try:
        document = _reader().validate_json(
            json.dumps(file.content, default=_dated), strict=True, context={"allow_outside": allow_outside}
        )
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=False):
            faults += entry_faults(mistake, file.content)
    if document is not None and not faults:
        sections = {part.name: getattr(document, part.name) for part in fields(Document)}
        header = sections.pop("analysis")
        about = {part.name: getattr(header, part.name) for part in fields(Header)}
        analysis = Analysis(**about, **sections, source=path, sha256=file.sha256, allow_outside=allow_outside)
        faults = list(_model_faults(analysis))
        if not faults:
            return analysis
    found = {(file.line(place), sentence): f"{file.where(place)}: {sentence}" for place, sentence in faults}
    raise AnalysisError([found[key] for key in sorted(found)])


def _dated(value: object) -> dict[str, str]:
    """Return what stands for a date, so that none is taken for text."""
    return {"date": str(value)}


def _model_faults(analysis: Analysis) -> Iterator[Fault]:
    """Yield what only shows when the entries of a model are put together."""
    yield from _complaints(("model",), analysis.main_model)
    for index, regression in enumerate(analysis.regressions):
        yield from _complaints(("regressions", index), partial(analysis.regression_model, regression))


def _complaints(place: Place, build: Callable[[], Model]) -> Iterator[Fault]:
    try:
        build()
    except AnalysisError as error:
        for sentence in error.messages:
            yield place, f"{table_name(place)} {sentence}"
