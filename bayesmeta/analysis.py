"""`Analysis`: what an analysis file says, as one frozen value; every mistake in the file is named with its line."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from bayesmeta.analysis_entries import EntryError
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
    PriorOptions,
    Regression,
    ReportOptions,
    SensitivityOptions,
    Subgroup,
    plain,
)
from bayesmeta.errors import AnalysisError, FileError, printable, suggest
from bayesmeta.tables import UNPRINTABLE
from bayesmeta.tomlfile import read_toml, toml_text

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from bayesmeta.model import Model
    from bayesmeta.tomlfile import Place, TomlFile

__all__ = ["Analysis", "list_analyses", "load_analysis", "parse_analysis", "to_toml"]

LONGEST_SHOWN = 60

TABLES: Mapping[tuple[str, ...], type] = {
    (): Document,
    ("analysis",): Header,
    ("data",): DataOptions,
    ("model",): ModelOptions,
    ("model", "priors"): PriorOptions,
    ("engine",): EngineOptions,
    ("interval",): IntervalOptions,
    ("regressions",): Regression,
    ("regressions", "priors"): PriorOptions,
    ("subgroups",): Subgroup,
    ("sensitivity",): SensitivityOptions,
    ("expected",): Expected,
    ("report",): ReportOptions,
    ("figures",): FigureOptions,
}
"""Every table of an analysis file."""

LISTS = ("regressions", "subgroups", "expected")
"""Tables that may stand several times."""

MUST = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "finite_number": "must be finite",
    "dataclass_type": "must be a table",
    "dataclass_exact_type": "must be a table",
    "string_too_short": "must not be empty",
    "greater_than": "must be > {gt:g}",
    "greater_than_equal": "must be >= {ge:g}",
    "less_than": "must be < {lt:g}",
    "less_than_equal": "must be <= {le:g}",
    "literal_error": "must be {expected}",
    "too_long": "must have at most {max_length} entries",
}
"""What an entry must be, by pydantic's name of the mistake."""


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
    sensitivity : SensitivityOptions
        Leave-one-out and other priors.
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
        return self._model(self.model.mods, self.model.center, self.model.priors)

    def regression_model(self, regression: Regression) -> Model:
        """Return the model of one of the regressions; what it leaves out is as in ``[model]``.

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
        return self._model(regression.mods, center, regression.priors.over(self.model.priors))

    def _model(self, mods: str, center: bool, priors: PriorOptions) -> Model:
        from bayesmeta.model import Model

        return Model(
            mods=mods,
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
    from bayesmeta.tomlfile import parse_toml

    return _analysis(
        parse_toml(text.encode("utf-8", "replace"), source=source), path=None, allow_outside=False
    )


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
    path = Path(path_or_name)
    text = str(path)
    if path.suffix == ".toml" or len(path.parts) != 1 or path.is_file() or "\0" in text:
        return path
    shipped = _shipped() / f"{text}.toml"
    if text not in list_analyses():
        known = list_analyses()
        hint = suggest(text, known) or f"; those that ship are {', '.join(known) or 'none'}"
        raise FileError(f"no analysis file or shipped analysis '{printable(text)}'{hint}")
    return shipped


def _shipped() -> Path:
    """Return the folder of the shipped analyses: within the package when installed, beside it in a checkout."""
    package = Path(str(resources.files("bayesmeta")))
    inside, beside = package / "models", package.parent / "models"
    return inside if inside.is_dir() or not (package.parent / "pyproject.toml").is_file() else beside


def _analysis(file: TomlFile, *, path: Path | None, allow_outside: bool) -> Analysis:
    faults = list(_text_faults(file.content, ()))
    document = None
    try:
        document = TypeAdapter(Document).validate_json(
            json.dumps(file.content, default=_dated), strict=True, context={"allow_outside": allow_outside}
        )
    except ValidationError as error:
        for mistake in error.errors(include_url=False, include_input=False):
            faults += _faults(mistake, file.content)
    if document is not None and not faults:
        sections = {part.name: getattr(document, part.name) for part in fields(Document)}
        header = sections.pop("analysis")
        about = {part.name: getattr(header, part.name) for part in fields(Header)}
        analysis = Analysis(**about, **sections, source=path, sha256=file.sha256, allow_outside=allow_outside)
        faults = list(_model_faults(analysis))
        if not faults:
            return analysis
    places = sorted({(_line(file, place), sentence): place for place, sentence in faults}.items())
    raise AnalysisError([f"{file.where(place)}: {sentence}" for (_, sentence), place in places])


def _line(file: TomlFile, place: Place) -> int:
    where = file.where(place).removeprefix(file.source).removeprefix(":")
    return int(where or 0)


def _dated(value: object) -> dict[str, str]:
    """Return what stands for a date, so that none is taken for text."""
    return {"date": str(value)}


def _text_faults(value: object, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str) and UNPRINTABLE.search(value):
        yield place, _about(place, "must not hold control characters")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _text_faults(item, (*place, key))


def _model_faults(analysis: Analysis) -> Iterator[tuple[Place, str]]:
    """Yield what only shows when the entries of a model are put together."""
    tasks = [(("model",), analysis.main_model)]
    for index, regression in enumerate(analysis.regressions):
        tasks.append((("regressions", index), lambda chosen=regression: analysis.regression_model(chosen)))  # type: ignore[misc]
    for place, build in tasks:
        try:
            build()
        except AnalysisError as error:
            for sentence in error.messages:
                yield place, f"{_table(place)} {sentence}"


def _faults(mistake: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    place: Place = tuple(mistake["loc"])
    cause = mistake.get("ctx", {}).get("error")
    if isinstance(cause, EntryError):
        for key, sentence in cause.faults:
            yield (*place, key), _about((*place, key), _with_got(sentence, content, (*place, key)))
    elif isinstance(cause, AnalysisError):
        for sentence in cause.messages:
            yield place, _about(place, sentence)
    elif mistake["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        yield place, _unknown(place)
    elif mistake["type"] in {"missing", "missing_argument"}:
        yield place[:-1], _needed(place)
    else:
        sentence = str(cause) if cause is not None else _must(mistake, _raw(content, place))
        yield place, _about(place, _with_got(sentence, content, place))


def _must(mistake: Mapping[str, Any], raw: object) -> str:
    template = MUST.get(mistake["type"])
    if template is None:
        return f"is wrong: {printable(str(mistake['msg'])).lower()}"
    context = mistake.get("ctx", {})
    sentence = template.format(**context)
    if mistake["type"] == "literal_error" and isinstance(raw, str):
        known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        nearest = difflib.get_close_matches(raw, known, n=1)
        return f"{sentence}; got {_shown(raw)}" + (f"; did you mean '{nearest[0]}'?" if nearest else "")
    return sentence


def _with_got(sentence: str, content: Mapping[str, Any], place: Place) -> str:
    needs = sentence.startswith("must") and "; got " not in sentence
    return f"{sentence}; got {_shown(_raw(content, place))}" if needs else sentence


def _unknown(place: Place) -> str:
    key = str(place[-1])
    kind = TABLES.get(_names(place[:-1]))
    known = [part.name for part in fields(kind)] if kind is not None else []
    what = "key" if place[:-1] else "table"
    return f"{_table(place[:-1])} unknown {what} '{printable(key)}'{suggest(key, known)}".strip()


def _needed(place: Place) -> str:
    if len(place) == 1:
        return f"the table [{place[0]}] is missing"
    return f"{_table(place[:-1])} needs '{place[-1]}'"


def _about(place: Place, sentence: str) -> str:
    names = _names(place)
    end = max((end for end in range(len(names)) if names[:end] in TABLES), default=0)
    inside = place[_position(place, end) :]
    entry = ".".join(str(part) for part in inside if isinstance(part, str))
    entry += "".join(f"[{part + 1}]" for part in inside if isinstance(part, int))
    joint = " " if sentence.startswith(("must", "is wrong")) else ": "
    return f"{_table(place[: _position(place, end)])} {printable(entry)}{joint}{sentence}".strip()


def _position(place: Place, names: int) -> int:
    """Return how many steps of a place its first `names` names take, positions in lists included."""
    steps = 0
    for count in range(names):
        steps += 1
        if count == 0 and place[0] in LISTS and len(place) > 1 and isinstance(place[1], int):
            steps += 1
    return steps


def _names(place: Place) -> tuple[str, ...]:
    return tuple(part for part in place if isinstance(part, str))


def _table(place: Place) -> str:
    names = ".".join(_names(place))
    return f"[[{names}]]" if names in LISTS else f"[{names}]" if names else ""


def _raw(content: object, place: Place) -> object:
    for part in place:
        try:
            content = content[part]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return None
    return content


def _shown(raw: object) -> str:
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if raw is None:
        return "nothing"
    if isinstance(raw, dict):
        return "a table"
    if isinstance(raw, list):
        return "a list" if len(raw) < 100 else f"a list of {len(raw)}"
    text = printable(f"'{raw}'" if isinstance(raw, str) else str(raw))
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
