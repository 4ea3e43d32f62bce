"""Rules for single entries of an analysis file; the sentences go behind the name of the entry."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from bayesmeta.errors import AnalysisError

LONGEST_LIST = 1000
QUANTITY = re.compile(r"[^.]+(?:\.[^.]+)*")
NAME = re.compile(r"[A-Za-z0-9_-]{1,60}")

type Pairs = tuple[tuple[str, str], ...]
type Entry = str | tuple[str | int, ...]
"""Name of an entry, or the steps that lead to it."""


class EntryError(AnalysisError):
    """Mistakes in one table, each with the entry that it stands in.

    Parameters
    ----------
    faults : list of (str or tuple, str)
        Entry and sentence.
    """

    def __init__(self, faults: list[tuple[Entry, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__([sentence for _, sentence in faults])

    def __reduce__(self) -> tuple[type[EntryError], tuple[list[tuple[Entry, str]]]]:  # type: ignore[override]
        return EntryError, (list(self.faults),)


def _accepted(**entry: object) -> None:
    """Let a `Model` look at one of its fields."""
    from bayesmeta.model import Model

    Model(**entry)  # type: ignore[arg-type]


def model_entry(name: str) -> AfterValidator:
    """Return the rule that `bayesmeta.model.Model` has for one of its fields."""

    def check(value: Any) -> Any:
        _accepted(**{name: value})
        return value

    return AfterValidator(check)


def _beta(value: object) -> object:
    if not isinstance(value, str | dict):
        raise ValueError("must be a prior such as 'Normal(0, 1)', or a table of priors by coefficient")
    if isinstance(value, str):
        _accepted(beta=value)
        return value
    faults = [fault for name, prior in value.items() for fault in _coefficient_faults(name, prior)]
    if faults:
        raise EntryError(faults)
    return tuple(value.items())


def _coefficient_faults(name: str, prior: object) -> list[tuple[Entry, str]]:
    if not isinstance(prior, str):
        return [(name, "must be text")]
    try:
        _accepted(beta={name: prior})
    except AnalysisError as error:
        return [(name, sentence) for sentence in error.messages]
    return []


def _columns(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError('must be a table such as { yi = "effect", sei = "se" }')
    wrong = [name for name, column in value.items() if not isinstance(column, str)]
    if wrong:
        raise EntryError([(name, "must be text") for name in wrong])
    return tuple(value.items())


def _measure(name: str) -> str:
    from bayesmeta.effectsizes import find_measure

    return find_measure(name).name


def _dataset(name: str) -> str:
    from bayesmeta.datasets import find_dataset

    return find_dataset(name).name


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("must be 1 to 60 letters, digits, '_' or '-'")
    return text


def _quantity(text: str) -> str:
    if not QUANTITY.fullmatch(text):
        raise ValueError("must be a dotted path into results.json, such as 'classical.fixed.estimate'")
    return text


def _beneath(text: str, info: ValidationInfo) -> str:
    if "://" in text:
        raise ValueError("must be a file, not an address on the network")
    if not text:
        raise ValueError("must be a path")
    steps = {*PurePosixPath(text).parts, *PureWindowsPath(text).parts}
    outside = PurePosixPath(text).is_absolute() or PureWindowsPath(text).anchor or text.startswith("~")
    allowed = info.context is not None and info.context["allow_outside"]
    if not allowed and (outside or ".." in steps):
        raise ValueError("must lie beneath the folder of the analysis file; --allow-outside lifts this")
    return text


TEXT_BY_NAME = {"type": "object", "additionalProperties": {"type": "string"}}

Probability = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Title = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[str, ...], Field(max_length=LONGEST_LIST)]
Columns = Annotated[Pairs, BeforeValidator(_columns), WithJsonSchema(TEXT_BY_NAME)]
Measure = Annotated[str, AfterValidator(_measure)]
Measures = Annotated[tuple[Measure, ...], Field(max_length=20)]
Dataset = Annotated[str, AfterValidator(_dataset)]
DataFile = Annotated[str, AfterValidator(_beneath)]
Formula = Annotated[str, model_entry("mods")]
LocationPrior = Annotated[str, model_entry("mu")]
ScalePrior = Annotated[str, model_entry("tau")]
BetaPrior = Annotated[
    str | Pairs | None,
    BeforeValidator(_beta),
    WithJsonSchema({"anyOf": [{"type": "string"}, TEXT_BY_NAME]}),
]
Name = Annotated[str, AfterValidator(_name)]
Quantity = Annotated[str, AfterValidator(_quantity)]
