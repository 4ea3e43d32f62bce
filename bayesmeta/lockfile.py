"""A lock on an output folder: a file beside it that says which process holds it, and since when."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesmeta.errors import FileError, printable
from bayesmeta.rawfile import reason

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LOCK = 4096


@contextmanager
def locked(path: Path, *, guards: str) -> Iterator[None]:
    """Hold a lock file for the duration of a ``with`` block.

    Parameters
    ----------
    path : Path
        The lock file. One that a dead process left behind is taken over.
    guards : str
        What is locked, for messages.

    Raises
    ------
    FileError
        If a live process holds it, or it cannot be written.
    """
    try:
        with _alone(path.parent):
            _take(path, guards)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{printable(guards)}: cannot be locked: {reason(error)}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path, guards: str) -> None:
    holder = _holder(path)
    if holder is not None and _is_alive(holder):
        raise FileError(_in_use(holder, path, guards))
    path.unlink(missing_ok=True)
    _create(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from looking at the locks of a folder, where the system can do that."""
    try:
        import fcntl
    except ImportError:  # no such thing on Windows; exclusive creation still holds
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _create(path: Path) -> None:
    own = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "born": _birth(os.getpid()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(own, file)
        file.flush()
        os.fsync(descriptor)


def _holder(path: Path) -> dict[str, Any] | None:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise FileError(f"{printable(str(path))}: must be a lock file of ours; remove it")
    try:
        text = path.read_bytes()[:LONGEST_LOCK]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be read: {reason(error)}") from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_alive(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    if type(pid) is not int or not 0 < pid < 2**31:
        return False  # written by a process that died while writing
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return holder.get("born") in (None, _birth(pid))


def _birth(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the system did; None where that is not told."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _in_use(holder: dict[str, Any], path: Path, guards: str) -> str:
    since = printable(str(holder.get("since", "an unknown time")))
    host = printable(str(holder.get("host", "")))
    where = "" if host == socket.gethostname() else f" on {host}"
    remedy = f"; wait, choose another folder, or remove {printable(path.name)} if that process is gone"
    return f"{printable(guards)}: in use by process {holder['pid']}{where} since {since}{remedy}"
