"""Bytes of an untrusted file: a regular file, not too large, that did not change while it was read."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import NamedTuple

from bayesmeta.errors import FileError, printable, told

MEGABYTE = 2**20
LONGEST_NAME = 255
"""Bytes of a name that file systems take."""


class RawFile(NamedTuple):
    """Content of a file, with its fingerprint."""

    content: bytes
    """All bytes."""
    sha256: str
    """Their SHA-256, in hexadecimal."""


def read_file(path: str | os.PathLike[str], *, largest: int) -> RawFile:
    """Return the content of a regular file.

    Parameters
    ----------
    path : str or path-like
        File to read; addresses on the network are not followed.
    largest : int
        Size in bytes above which the file is refused.

    Raises
    ------
    FileError
        If it is missing, unreadable, not a regular file or too large, or if it changes while it is read.
    """
    shown = printable(os.fspath(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise FileError(_cannot_open(shown, error, path)) from error
    try:
        _check_kind(shown, os.fstat(descriptor), largest)
        first, second = (_read_once(descriptor, shown, largest) for _ in range(2))
    finally:
        os.close(descriptor)
    if len(first) > largest:
        raise FileError(_too_large(shown, largest))
    if first != second:
        raise FileError(f"{shown}: the file changed while it was read; wait until it is saved, and try again")
    return RawFile(first, hashlib.sha256(first).hexdigest())


def as_path(given: object, what: str) -> Path:
    """Return a path.

    Raises
    ------
    FileError
        If it is none, or has no name.
    """
    named = isinstance(given, str | os.PathLike) and bool(Path(given).name)
    if not named or any(len(os.fsencode(part)) > LONGEST_NAME for part in Path(given).parts):  # type: ignore[arg-type]
        raise FileError(f"{what} must be the path of a file; got {told(given)}")
    return Path(given)  # type: ignore[arg-type]


def reason(error: OSError | ValueError) -> str:
    """Return what the operating system says, in small letters, without the path."""
    return str(getattr(error, "strerror", None) or error).lower()


def _read_once(descriptor: int, shown: str, largest: int) -> bytes:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(largest + 1)
    except OSError as error:
        raise FileError(f"{shown}: cannot be read: {reason(error)}") from error


def _cannot_open(shown: str, error: OSError | ValueError, path: str | os.PathLike[str]) -> str:
    if "://" in os.fspath(path):
        return f"{shown}: addresses on the network are not read; save the file, and give its path"
    if isinstance(error, FileNotFoundError):
        return f"{shown}: no such file"
    if isinstance(error, IsADirectoryError) or (isinstance(error, PermissionError) and Path(path).is_dir()):
        return f"{shown}: a folder, not a file"
    return f"{shown}: cannot be opened: {reason(error)}"


def _check_kind(shown: str, status: os.stat_result, largest: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise FileError(f"{shown}: a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f"{shown}: not a regular file; pipes and devices are not read")
    if status.st_size > largest:
        raise FileError(_too_large(shown, largest))


def _too_large(shown: str, largest: int) -> str:
    return f"{shown}: the file is larger than the limit of {largest / MEGABYTE:g} MB"
