"""``bayesmeta datasets``, ``models`` and ``schema``: what comes with the package."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

from bayesmeta.cli.terminal import Terminal, escaped

if TYPE_CHECKING:
    from collections.abc import Sequence


def datasets_command(terminal: Terminal, name: str | None, *, as_json: bool) -> None:
    """Print the names of the data sets, or one of them as CSV."""
    from bayesmeta.datasets import find_dataset, list_datasets

    if name is not None:
        path = resources.files("bayesmeta.datasets").joinpath(f"{find_dataset(name).name}.csv")
        terminal.data(path.read_text(encoding="utf-8"))
        return
    _list(terminal, [one._asdict() for one in list_datasets()], ("name", "title"), as_json=as_json)


def models_command(terminal: Terminal, name: str | None, *, as_json: bool) -> None:
    """Print the names of the shipped analyses, or one of them as TOML."""
    from bayesmeta.analysis import list_analyses, load_analysis, shipped_text

    if name is not None:
        terminal.data(shipped_text(name))
        return
    rows = [{"name": one, "title": load_analysis(one).title} for one in list_analyses()]
    _list(terminal, rows, ("name", "title"), as_json=as_json)


def _list(
    terminal: Terminal, rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool
) -> None:
    if as_json:
        from bayesmeta.writers import json_text

        terminal.data(escaped(json_text(rows)))
        return
    width = max(len(row[columns[0]]) for row in rows)
    terminal.data("\n".join(f"{row[columns[0]]:<{width}}  {row[columns[1]]}" for row in rows))


def schema_command(terminal: Terminal) -> None:
    """Print the JSON schema of an analysis file."""
    from bayesmeta.analysis import analysis_schema
    from bayesmeta.writers import json_text

    terminal.data(json_text(analysis_schema()))
