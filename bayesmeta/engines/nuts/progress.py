"""A progress bar on standard error that says what the sampler is doing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID


class ProgressBar:
    """A bar for the reports of `bayesmeta.engines.nuts.sample`; use it as a context manager.

    Nothing is drawn unless standard error is a terminal.

    Parameters
    ----------
    visible : bool, optional
        Whether to draw; by default when standard error is a terminal.

    Examples
    --------
    >>> with ProgressBar(visible=False) as report:
    ...     report({"phase": "sample", "done": 10, "total": 100, "divergences": 0})
    """

    def __init__(self, *, visible: bool | None = None) -> None:
        self._visible = sys.stderr.isatty() if visible is None else visible
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        if self._visible:
            self._progress = _progress()
            self._progress.start()
            self._task = self._progress.add_task("Starting the sampler", total=None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, report: dict[str, Any]) -> None:
        """Show one report."""
        if self._progress is None or self._task is None:
            return
        if report["phase"] == "compile":
            self._progress.update(self._task, description="Compiling the model", completed=0, total=None)
            return
        divergences = report.get("divergences", 0)
        text = f"Sampling, {divergences} divergences" if divergences else "Sampling"
        self._progress.update(
            self._task, description=text, completed=report["done"], total=report.get("total")
        )


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
