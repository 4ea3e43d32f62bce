"""A table that is written block by block beside its target, and takes its place when it is whole.

``results.csv.part`` begins with a line of JSON, the fingerprint of what the table is made from; the table
follows. Whoever makes it again from the same continues after its whole rows.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bayesmeta import __version__
from bayesmeta.errors import FileError, printable
from bayesmeta.lockfile import locked
from bayesmeta.rawfile import reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM = '"program": "bayesmeta batch"'
MARK = ",k,mu_mean,mu_sd,"
"""What the first line of every table of ours holds."""


def fingerprint(content: Mapping[str, object]) -> str:
    """Return the hash of what a table is made from, the version of the program included.

    Parameters
    ----------
    content : mapping
        Texts, numbers, sequences and mappings.
    """
    text = json.dumps({**content, "version": __version__}, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


class PartFile:
    """A table on its way to `path`.

    Parameters
    ----------
    path : str
        The target.
    made_from : str
        Fingerprint of its inputs.

    Raises
    ------
    FileError
        If the target is a folder, a link or a file that is no table of ours.
    """

    def __init__(self, path: str, made_from: str) -> None:
        self.target = Path(path)
        self.name = printable(path)
        self.part = self.target.with_name(f"{self.target.name}.part")
        self.first = json.dumps({"program": "bayesmeta batch", "made_from": made_from}) + "\n"
        self._refuse_others()

    @contextmanager
    def opened(self) -> Iterator[list[str]]:
        """Give the status of each row that is there already; at the end the table takes its place.

        Raises
        ------
        FileError
            If another command writes it, or the disk fails.
        """
        if not self.target.parent.is_dir():
            raise FileError(f"{self.name}: there is no folder {printable(str(self.target.parent))}; make it")
        with locked(self.target.with_name(f".{self.target.name}.lock"), guards=self.name), self._told():
            kept, status = self._whole()
            self.part.unlink(missing_ok=True)
            if status:
                self._replace(self.part, self.first + kept)
            yield status
            self._replace(self.target, self._text().removeprefix(self.first))
            self.part.unlink()

    def append(self, text: str) -> None:
        """Write rows, and wait until they are on the disk."""
        beginning = "" if self.part.exists() else self.first
        with self.part.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(beginning + text)
            file.flush()
            os.fsync(file.fileno())

    def rows(self) -> int:
        """Return the number of whole rows that are there."""
        return len(self._whole()[1])

    def _refuse_others(self) -> None:
        if self.target.is_symlink() or self.part.is_symlink():
            raise FileError(f"{self.name}: is a symbolic link; give the file itself")
        if self.target.is_dir():
            raise FileError(f"{self.name}: a folder is in the way; choose another name")
        for path, mark in ((self.target, MARK), (self.part, PROGRAM)):
            if path.exists() and mark not in self._first_line(path):
                name = self.name if path == self.target else f"{self.name}.part"
                raise FileError(f"{name}: is not the result of a batch; choose another name, or move it away")

    def _first_line(self, path: Path) -> str:
        with self._told(), path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(10_000)

    def _text(self) -> str:
        return self.part.read_bytes().decode("utf-8", "replace")

    def _whole(self) -> tuple[str, list[str]]:
        """Return the whole rows of an earlier part made from the same, with the header, and their status."""
        text = self._text() if self.part.is_file() else ""
        if not text.startswith(self.first):
            return "", []
        rows = _whole_rows(text.removeprefix(self.first))
        kept = io.StringIO()
        csv.writer(kept, lineterminator="\n").writerows(rows)
        return kept.getvalue(), [row[-1] for row in rows[1:]]

    def _replace(self, path: Path, text: str) -> None:
        """Write a file under a name of its own, and rename it."""
        new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with new.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            with suppress(FileNotFoundError):
                new.unlink()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"{self.name}: cannot be written: {reason(error)}") from error


def _whole_rows(text: str) -> list[list[str]]:
    """Return header and rows up to the first that is cut off."""
    rows: list[list[str]] = []
    reader = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""), strict=True)
    with suppress(csv.Error):
        for row in reader:
            if rows and len(row) != len(rows[0]):
                break
            rows.append(row)
    return rows
