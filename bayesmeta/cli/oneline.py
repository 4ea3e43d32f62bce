"""``bayesmeta fit``: one model on one table, without an analysis file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.analysis import analysis_of
from bayesmeta.cli.running import tell_warnings
from bayesmeta.cli.terminal import Terminal, escaped
from bayesmeta.datasets import DATASETS
from bayesmeta.engines.nuts.progress import ProgressBar
from bayesmeta.errors import AnalysisError, FileError, printable, suggest
from bayesmeta.workflow.compute import compute
from bayesmeta.workflow.document import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.analysis import Analysis

PAIR = re.compile(r"([A-Za-z][A-Za-z0-9]*)=(.+)")
PRINTED = (
    *("schema_version", "measure", "effect", "units", "k", "p", "mods", "likelihood", "interval", "seed"),
    *("versions", "inputs", "priors", "warnings", "excluded", "studies", "classical", "posterior"),
    *("diagnostics", "agreement", "failures", "status"),
)
"""Keys of ``results.json`` that a single fit fills."""


class Asked(NamedTuple):
    """What the options say."""

    table: str
    """File, or name of a data set."""
    columns: tuple[str, ...]
    """Texts such as ``"yi=effect"``."""
    measure: str
    """Kind of effect."""
    slab: str | None
    """Column of labels."""
    mods: str
    """Formula of the moderators."""
    priors: Mapping[str, str | None]
    """Priors by parameter."""
    likelihood: str
    """Likelihood."""
    engine: str
    """Engine."""
    interval: Mapping[str, Any]
    """Kind and level of the intervals."""
    data: Mapping[str, Any]
    """Other entries of ``[data]``."""
    seed: int | None
    """Seed."""


def fit_command(terminal: Terminal, asked: Asked, *, as_json: bool) -> int:
    """Return 0, or 4 if a diagnostic failed."""
    analysis = analysis_from(asked)
    with ProgressBar(visible=False if terminal.quiet else None) as bar:
        content = document(compute(analysis, report=bar))
    if as_json:
        from bayesmeta.writers import json_text

        terminal.data(escaped(json_text({name: content[name] for name in PRINTED})))
    else:
        from bayesmeta.cli.view import fit_view

        terminal.show(*fit_view(content))
    tell_warnings(terminal, content)
    return 4 if content["failures"] else 0


def analysis_from(asked: Asked) -> Analysis:
    """Return the analysis that the options describe.

    Raises
    ------
    AnalysisError
        Naming every mistake in the options.
    FileError
        If there is neither a file nor a data set of that name.
    """
    given = {name: prior for name, prior in asked.priors.items() if prior is not None}
    header = {"title": Path(asked.table).name} | ({} if asked.seed is None else {"seed": asked.seed})
    data = _source(asked) | {"measure": asked.measure, "columns": pairs(asked.columns)}
    return analysis_of(
        {
            "analysis": header,
            "data": {**data, **asked.data},
            "model": {"mods": asked.mods, "likelihood": asked.likelihood, "priors": given},
            "engine": {"name": asked.engine},
            "interval": dict(asked.interval),
        }
    )


def is_dataset(name: str) -> bool:
    """Return whether a table is a bundled data set, and no file.

    Raises
    ------
    FileError
        If it looks like the name of a data set, and there is none.
    """
    if name in DATASETS and not Path(name).is_file():
        return True
    if not Path(name).exists() and len(Path(name).parts) == 1 and not Path(name).suffix:
        hint = suggest(name, DATASETS) or "; 'bayesmeta datasets' lists the data sets"
        raise FileError(f"no file or bundled data set '{printable(name)}'{hint}")
    return False


def _source(asked: Asked) -> dict[str, Any]:
    name = asked.table
    if is_dataset(name):
        return {"dataset": name, "slab": asked.slab or DATASETS[name].label}
    return {"file": name} | ({} if asked.slab is None else {"slab": asked.slab})


def pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """Return the columns by name, from texts such as ``"yi=effect"``.

    Raises
    ------
    AnalysisError
        Naming every text that is none.
    """
    found: dict[str, str] = {}
    faults = []
    for text in texts:
        match = PAIR.fullmatch(text)
        if match is None:
            faults.append(f"'{printable(text)}' must be NAME=COLUMN, such as yi=effect")
        elif match[1] in found:
            faults.append(f"'{match[1]}' stands twice; give each one once")
        else:
            found[match[1]] = match[2]
    if faults:
        raise AnalysisError(faults)
    return found
