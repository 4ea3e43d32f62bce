"""``bayesmeta batch``: every review in a table of many, a row for each, in a file that can be continued."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.batch import blocks
from bayesmeta.cli.oneline import is_dataset, pairs
from bayesmeta.cli.partfile import PartFile, fingerprint
from bayesmeta.cli.terminal import escaped
from bayesmeta.csvfile import read_csv_file
from bayesmeta.csvtext import Limits
from bayesmeta.datasets import load_table
from bayesmeta.model import Model
from bayesmeta.rawfile import read_file
from bayesmeta.writers import csv_text, json_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bayesmeta.batch import Report
    from bayesmeta.batch_posterior import Posteriors
    from bayesmeta.cli.terminal import Terminal
    from bayesmeta.tables import Table

LIMITS = Limits(size=200 * 2**20, rows=2_000_000)
"""Largest table of reviews."""
UNSETTLED = 4
"""Exit code when some reviews have no posterior."""

type Row = dict[str, Any]


class Asked(NamedTuple):
    """What the options say."""

    table: str
    """File, or name of a data set."""
    by: str
    """Column of the reviews."""
    columns: tuple[str, ...]
    """Texts such as ``"yi=effect"``."""
    measure: str
    """Kind of effect."""
    priors: Mapping[str, str | None]
    """Priors of mu and tau; None is that of each review."""
    better: str
    """Direction that favours group 1."""
    prob: float
    """Probability of the intervals."""
    out: str | None
    """File to write."""


class _Count:
    """How many reviews there are, and how many of them have a posterior."""

    def __init__(self) -> None:
        self.ok = self.all = 0

    def add(self, status: list[str]) -> None:
        """Count the reviews of a block."""
        self.all += len(status)
        self.ok += status.count("ok")

    def told(self) -> str:
        """Return the sentence about them."""
        wrong = f", {self.all - self.ok:,} not: see status" if self.ok < self.all else ""
        return f"{self.ok:,} {'review' if self.ok == 1 else 'reviews'} ok{wrong}"


def batch_command(terminal: Terminal, asked: Asked, *, as_json: bool) -> int:
    """Return 0, or 4 if some reviews have no posterior."""
    model = Model(mu=asked.priors["mu"], tau=asked.priors["tau"])
    options: dict[str, Any] = {"model": model, "measure": asked.measure, "prob": asked.prob}
    options["columns"] = pairs(asked.columns) | ({"better": asked.better} if asked.better else {})
    table, sha256 = _read(terminal, asked)
    count = _Count()
    if asked.out is not None:
        part = PartFile(asked.out, fingerprint({**asked._asdict(), "table": sha256, "out": ""}))
        _write(terminal, asked, part, count, table, options)
        if as_json:
            terminal.data(json_text({"file": part.name, "reviews": count.all, "ok": count.ok}))
    else:
        _print(terminal, asked, count, table, options, as_json=as_json)
    terminal.note(count.told())
    return UNSETTLED if count.ok < count.all else 0


def _read(terminal: Terminal, asked: Asked) -> tuple[Table, str]:
    """Return the table and the hash of its file."""
    if is_dataset(asked.table):
        path = resources.files("bayesmeta.datasets").joinpath(f"{asked.table}.csv")
        return load_table(asked.table), read_file(str(path), largest=LIMITS.size).sha256
    given = pairs(asked.columns)
    labels = (given["slab"],) if "slab" in given else ()
    file = read_csv_file(asked.table, text=(*labels, asked.by), limits=LIMITS)
    for identifier, text in file.notes:
        terminal.warning(identifier, text)
    return file.table, file.sha256


def _print(
    terminal: Terminal,
    asked: Asked,
    count: _Count,
    table: Table,
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print the rows to standard output: CSV block by block, JSON at the end."""
    kept: list[Row] = []
    with _bar(visible=not terminal.quiet and not sys.stdout.isatty()) as report:
        for block in blocks(table, asked.by, report=report, **options):
            rows = _rows(block, asked.by)
            if as_json:
                kept += [_without_absent(row) for row in rows]
            else:
                terminal.data(_csv(rows, header=not count.all))
            count.add(block.status)
    if as_json:
        interval = {"kind": "eti", "prob": asked.prob}
        content = {"measure": asked.measure, "interval": interval, "priors": dict(asked.priors)}
        terminal.data(escaped(json_text({**content, "reviews": kept})))


def _write(
    terminal: Terminal,
    asked: Asked,
    part: PartFile,
    count: _Count,
    table: Table,
    options: Mapping[str, Any],
) -> None:
    """Write the rows to a file, after those that an interrupted command has left."""
    with part.opened() as earlier, _told(terminal, part), _bar(visible=not terminal.quiet) as report:
        count.add(earlier)
        if earlier:
            terminal.note(f"continues after {len(earlier):,} reviews in {part.name}.part")
        for block in blocks(table, asked.by, report=report, done=len(earlier), **options):
            part.append(_csv(_rows(block, asked.by), header=not count.all))
            count.add(block.status)
    terminal.remains = "the results are written"
    terminal.note(f"written to {part.name}")


@contextmanager
def _told(terminal: Terminal, part: PartFile) -> Iterator[None]:
    """Let the terminal say what an interruption leaves."""
    try:
        yield
    except BaseException:
        if part.part.exists():
            rows = f"{part.rows():,} reviews are in {part.name}.part"
            terminal.remains = f"{rows}, and the same command continues there"
        raise


def _rows(block: Posteriors, by: str) -> list[Row]:
    columns = {name: column.tolist() for name, column in block.columns(by).items()}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _without_absent(row: Row) -> Row:
    """Return the row of a review, that of one without a posterior without its empty numbers."""
    if row["status"] == "ok":
        return row
    return {name: value for name, value in row.items() if not isinstance(value, float)}


def _csv(rows: list[Row], *, header: bool) -> str:
    text = csv_text(rows)
    return text if header else text.partition("\n")[2]


@contextmanager
def _bar(*, visible: bool) -> Iterator[Report]:
    """Give a function that draws the progress on standard error, if that is a terminal."""
    if not (visible and sys.stderr.isatty()):
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Reviews"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
