"""From an analysis file to its studies: the table, bundled or in a file, and the effects."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.csvfile import read_csv_file
from bayesmeta.datasets import load_table
from bayesmeta.effectsizes import find_measure
from bayesmeta.errors import AnalysisError, FileError, printable
from bayesmeta.rawfile import read_file
from bayesmeta.studies import Studies, effect_sizes

if TYPE_CHECKING:
    from bayesmeta.analysis import Analysis
    from bayesmeta.tables import Table

LARGEST = 50 * 2**20


class Loaded(NamedTuple):
    """A table and what is to be said about its file."""

    table: Table
    """One row a study."""
    notes: tuple[tuple[str, str], ...]
    """Identifier and text of every remark."""


def studies_of(analysis: Analysis, measure: str | None = None) -> Studies:
    """Return the studies of an analysis.

    Parameters
    ----------
    analysis : Analysis
        What the file says.
    measure : str, optional
        One of the further measures of ``data.also``; by default the main one.

    Raises
    ------
    AnalysisError
        If the analysis has no such measure, or names a study or column that is not there.
    DataError
        Naming every cell that cannot be true.
    FileError
        If the data cannot be read, or lie where they must not.
    """
    data = analysis.data
    wanted = data.measure if measure is None else measure
    if wanted not in (data.measure, *data.also):
        known = ", ".join((data.measure, *data.also))
        raise AnalysisError(f"the analysis has no measure '{printable(wanted)}'; it has {known}")
    loaded = load_data(analysis)
    make = _given if data.has_effects else _computed
    studies = make(loaded.table, analysis, wanted)
    return replace(studies, notes=(*loaded.notes, *studies.notes)) if loaded.notes else studies


def load_data(analysis: Analysis) -> Loaded:
    """Return the table of an analysis, with the remarks about its file.

    Parameters
    ----------
    analysis : Analysis
        What the file says.

    Raises
    ------
    DataError, FileError
        As `studies_of`.
    """
    data = analysis.data
    if data.dataset is not None:
        return Loaded(load_table(data.dataset), ())
    labels = (data.slab,) if data.slab is not None else ()
    file = read_csv_file(
        data_path(analysis),
        delimiter=data.delimiter,
        decimal=data.decimal,
        encoding=data.encoding,
        na_values=data.na_values,
        text=(*labels, *data.text),
    )
    return Loaded(file.table, file.notes)


def data_path(analysis: Analysis) -> Path:
    """Return the file that holds the data of an analysis.

    Parameters
    ----------
    analysis : Analysis
        What the file says; a relative path begins at its folder.

    Raises
    ------
    FileError
        If the path leads out of the folder of the analysis file, and that was not allowed.
    """
    if analysis.data.dataset is not None:
        return Path(str(resources.files("bayesmeta.datasets").joinpath(f"{analysis.data.dataset}.csv")))
    folder = analysis.source.parent if analysis.source is not None else Path()
    path = folder / str(analysis.data.file)
    if not analysis.allow_outside and not _is_beneath(path, folder):
        name = printable(str(analysis.data.file))
        raise FileError(f"{name}: leads out of the folder of the analysis file; --allow-outside lifts this")
    return path


def input_paths(analysis: Analysis) -> dict[str, Path]:
    """Return the files that an analysis is read from: ``"analysis"``, if there is one, and ``"data"``.

    Parameters
    ----------
    analysis : Analysis
        What the file says.

    Raises
    ------
    FileError
        As `data_path`.
    """
    own = {} if analysis.source is None else {"analysis": analysis.source}
    return {**own, "data": data_path(analysis)}


def input_hashes(analysis: Analysis) -> dict[str, dict[str, str]]:
    """Return name and SHA-256 of each input file, for the manifest; no folders, which may be private.

    Parameters
    ----------
    analysis : Analysis
        What the file says.

    Raises
    ------
    FileError
        If a file cannot be read.
    """
    return {
        role: {"file": path.name, "sha256": read_file(path, largest=LARGEST).sha256}
        for role, path in input_paths(analysis).items()
    }


def _is_beneath(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


def _common_options(analysis: Analysis) -> dict[str, Any]:
    names = ("slab", "units", "better", "group1", "group2", "missing", "exclude", "allow_total_rows")
    return {name: getattr(analysis.data, name) for name in names}


def _given(table: Table, analysis: Analysis, measure: str) -> Studies:
    columns: dict[str, Any] = dict(analysis.data.columns)
    return Studies.from_effects(**columns, data=table, measure=measure, **_common_options(analysis))


def _computed(table: Table, analysis: Analysis, measure: str) -> Studies:
    data = analysis.data
    options = _common_options(analysis)
    if measure != data.measure:
        options["units"] = ""
    if find_measure(measure).corrects_zeros:
        options.update(add=data.add, to=data.to)
    columns: dict[str, Any] = dict(data.columns)
    return effect_sizes(table, measure, drop00=data.drop00, **options, **columns)
