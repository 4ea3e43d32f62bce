"""`run`: an analysis file in, an output folder out, whole or not at all."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesmeta.analysis import load_analysis
from bayesmeta.engines.nuts.progress import ProgressBar
from bayesmeta.errors import AnalysisError, suggest
from bayesmeta.fitting import ENGINES
from bayesmeta.loading import input_paths
from bayesmeta.output import output_folder
from bayesmeta.workflow.compute import compute
from bayesmeta.workflow.document import document
from bayesmeta.workflow.files import write_figures, write_report, write_tables, write_tree

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from bayesmeta.analysis import Analysis
    from bayesmeta.workflow.outcome import Outcome

UNRELIABLE = 4
"""Exit code of a run whose diagnostics or known answers failed."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run found, and where it is.

    Attributes
    ----------
    folder : Path
        The output folder.
    outcome : Outcome
        Every fit.
    document : dict
        The content of ``results.json``; numbers that do not exist are NaN.
    seconds : dict of str to float
        Wall time of each step.
    """

    folder: Path
    outcome: Outcome
    document: dict[str, Any]
    seconds: dict[str, float]

    @property
    def ok(self) -> bool:
        """Whether every diagnostic passed and every known answer was met."""
        return not self.document["failures"]

    @property
    def exit_code(self) -> int:
        """0, or 4 if a diagnostic or a known answer failed."""
        return 0 if self.ok else UNRELIABLE

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files in the folder, sorted."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return tuple(sorted(path.relative_to(self.folder).as_posix() for path in found))


def run(
    path_or_name: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    engine: str | None = None,
    seed: int | None = None,
    overwrite: bool = False,
    allow_outside: bool = False,
    quiet: bool = False,
    say: Callable[[str], None] | None = None,
    command: str = "",
) -> RunResult:
    """Return what an analysis file asks for, having written its tables, figures and report.

    Parameters
    ----------
    path_or_name : str or path-like
        A TOML file, or the name of an analysis that ships with the package.
    out : str or path-like, optional
        Output folder; by default ``results/<name of the file>``. An earlier run of ours is replaced.
    engine : {"auto", "exact", "nuts"}, optional
        Engine to use instead of those of the file.
    seed : int, optional
        Seed to use instead of that of the file.
    overwrite : bool
        Replace whatever else is in the folder, too.
    allow_outside : bool
        Let the data lie outside the folder of the file.
    quiet : bool
        Draw no progress bar.
    say : callable, optional
        Called with the name of each step before it begins.
    command : str
        What was typed, for the manifest.

    Raises
    ------
    AnalysisError, DataError
        If the file, an option or the data are wrong; nothing is written then.
    FileError
        If a file cannot be read, or the folder cannot be written or is in use.
    NumericalError
        If something cannot be computed; nothing is written then.
    """
    analysis = _chosen(load_analysis(path_or_name, allow_outside=allow_outside), engine, seed)
    folder = Path("results") / analysis.name if out is None else Path(out)
    steps, details = _Steps(say), dict[str, object]()
    inputs = input_paths(analysis).values()
    with output_folder(folder, overwrite=overwrite, inputs=inputs, details=details) as scratch:
        with ProgressBar(visible=False if quiet else None) as bar:
            outcome = compute(analysis, engine=engine, say=steps, report=bar)
        typed = command or f"bayesmeta.run({Path(path_or_name).name!r})"
        content = _written(outcome, scratch, steps, typed)
        details |= _manifest(content, typed, steps.seconds)
    steps.stop()
    return RunResult(folder, outcome, content, steps.seconds)


def _chosen(analysis: Analysis, engine: str | None, seed: int | None) -> Analysis:
    """Return the analysis with the seed that was asked for."""
    if engine is not None and engine not in ENGINES:
        hint = suggest(engine, ENGINES)
        raise AnalysisError(f"engine must be 'auto', 'exact' or 'nuts'; got '{engine}'{hint}")
    if seed is None:
        return analysis
    from bayesmeta.arrays import whole_seed

    return replace(analysis, seed=whole_seed(seed))


def _written(outcome: Outcome, folder: Path, steps: _Steps, command: str) -> dict[str, Any]:
    """Write every file but the manifest; return the content of ``results.json``."""
    steps("tables")
    content = document(outcome)
    write_tables(outcome, content, folder)
    steps("posterior")
    write_tree(outcome, folder)
    steps("figures")
    drawn = write_figures(outcome, folder)
    steps("report")
    write_report(content, drawn, folder, details=_manifest(content, command, {}))
    return content


def _manifest(content: dict[str, Any], command: str, seconds: dict[str, float]) -> dict[str, object]:
    return {
        "title": content["title"],
        "command": command,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": content["status"],
        "seed": content["seed"],
        "engine": content["posterior"]["engine"],
        "inputs": content["inputs"],
        "versions": content["versions"],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


class _Steps:
    """A stopwatch that is told the name of each step as it begins; fits of one kind count together."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self.seconds: dict[str, float] = {}
        self.say, self.name, self.since = say, "", time.perf_counter()

    def __call__(self, name: str) -> None:
        self.stop()
        self.name = name.partition(".")[0]
        if self.say is not None:
            self.say(name)

    def stop(self) -> None:
        """Count the time of the step that has ended."""
        now = time.perf_counter()
        if self.name:
            self.seconds[self.name] = self.seconds.get(self.name, 0.0) + now - self.since
        self.name, self.since = "", now


__all__ = ["RunResult", "run"]
