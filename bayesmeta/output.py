"""Output folders that are always whole: the earlier run or the new one, never a mixture, never a part.

A run writes into a folder beside its target, ``.run-<id>``. At the end every file goes to disk, the manifest
with their hashes last; then the earlier run is renamed ``.old-<id>``, the new folder takes its place, and the
earlier one is deleted. Whatever stops this half-way is put right by the next run into the same target.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesmeta.errors import FileError, printable
from bayesmeta.lockfile import locked
from bayesmeta.rawfile import reason
from bayesmeta.writers import csv_text, dump_json, json_text, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["MANIFEST", "csv_text", "dump_json", "json_text", "output_folder", "read_manifest", "write_csv"]

MANIFEST = "manifest.json"
PROGRAM = "bayesmeta"
LONGEST_NAME = 255
LARGEST_MANIFEST = 10 * 2**20
DISK_TROUBLE = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS") if hasattr(errno, name)
}


@contextmanager
def output_folder(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    inputs: Iterable[str | os.PathLike[str]] = (),
    details: Mapping[str, object] | None = None,
) -> Iterator[Path]:
    """Give a folder to write into, which takes the place of `path` when the ``with`` block ends well.

    Parameters
    ----------
    path : str or path-like
        The target. An earlier run of ours is replaced.
    overwrite : bool
        Replace anything else that is there, too.
    inputs : iterable of str or path-like
        Files that are read; a target that holds one of them is refused.
    details : mapping, optional
        What the manifest says besides the hashes of the files (versions, seed, command); looked at when the
        block ends, so that it may be filled in the meantime.

    Yields
    ------
    Path
        An empty folder. When the block raises, it is deleted and the target left as it was.

    Raises
    ------
    FileError
        Before the block: if the target is in use, may not be replaced or cannot be written. After it: if the
        disk is full or fails.
    """
    target = _checked_target(Path(path), overwrite=overwrite, inputs=inputs)
    shown = printable(os.fspath(path))
    made = _make_parents(target, shown)
    try:
        with locked(target.parent / f".lock-{_tag(target)}", guards=shown):
            _recover(target)
            _refuse_foreign(target, shown, overwrite=overwrite)
            with _workplace(target, shown) as folder:
                yield folder
                _seal(folder, details or {})
                _swap(folder, target)
    finally:
        _remove_empty(made)


def read_manifest(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the manifest of a run of ours; None if the folder is none.

    Parameters
    ----------
    folder : str or path-like
        An output folder.
    """
    path = Path(folder) / MANIFEST
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_MANIFEST:
        return None
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(content, dict) and content.get("program") == PROGRAM
    return content if ours and isinstance(content.get("files"), dict) else None


def _checked_target(path: Path, *, overwrite: bool, inputs: Iterable[str | os.PathLike[str]]) -> Path:
    shown = printable(os.fspath(path))
    try:
        target = Path(os.path.abspath(path))  # noqa: PTH100  "..", but no symbolic links, are taken out
        with suppress(FileNotFoundError):
            target.lstat()
        real = target.parent.resolve() / target.name
        _refuse_links(path, target, real, shown)
        if target.exists() and not target.is_dir():
            raise FileError(f"{shown}: a file is in the way of the output folder; choose another name")
        if any(place.is_relative_to(real) for place in _homes()) or real.is_mount():
            raise FileError(f"{shown}: cannot be replaced as a whole; choose a folder below it")
        for file in inputs:
            if Path(file).resolve().is_relative_to(real):
                name = printable(os.fspath(file))
                raise FileError(f"{shown}: holds {name}, which is an input; choose another output folder")
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{shown}: cannot be an output folder: {_why(error)}") from error
    _refuse_foreign(target, shown, overwrite=overwrite)
    return target


def _homes() -> list[Path]:
    home = os.environ.get("HOME")
    return [Path.cwd().resolve(), *([Path(home).resolve()] if home else [])]


def _refuse_links(path: Path, target: Path, real: Path, shown: str) -> None:
    if target.is_symlink():
        raise FileError(f"{shown}: is a symbolic link; give the folder itself")
    root = Path.cwd().resolve()
    inside = target.is_relative_to(Path.cwd())
    if not path.is_absolute() and inside and not real.is_relative_to(root):
        raise FileError(
            f"{shown}: leads out of {printable(root.name)} through a symbolic link; give the real path"
        )


def _refuse_foreign(target: Path, shown: str, *, overwrite: bool) -> None:
    if overwrite or not target.exists():
        return
    found = {file.relative_to(target).as_posix() for file in _files(target)}
    manifest = read_manifest(target)
    if found and manifest is None:
        raise FileError(
            f"{shown}: holds files that are not from a run; choose another folder, or --overwrite"
        )
    known = {MANIFEST, *(manifest["files"] if manifest else ())}
    strange = sorted(found - known)
    if strange:
        raise FileError(
            f"{shown}: holds a file that no run wrote, '{printable(strange[0])}'"
            f"{f' and {len(strange) - 1} more' if strange[1:] else ''}; move it away, or --overwrite"
        )


def _make_parents(target: Path, shown: str) -> list[Path]:
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(missing)
        raise FileError(f"{shown}: cannot be made: {reason(error)}") from error
    return missing


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def _workplace(target: Path, shown: str) -> Iterator[Path]:
    folder = target.parent / f".run-{_tag(target)}-{secrets.token_hex(4)}"
    try:
        if target.exists() and not os.access(target, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise FileError(f"{shown}: cannot be written: {reason(error)}") from error
    try:
        yield folder
    except OSError as error:
        size = sum(file.lstat().st_size for file in _files(folder)) if folder.exists() else 0
        _recover(target)
        trouble = _disk_trouble(error)
        if isinstance(error, FileError) or trouble is None:
            raise
        raise FileError(
            f"{shown}: cannot be written: {os.strerror(trouble).lower()}; at least {size} bytes are needed."
            " What was there before is unchanged"
        ) from error
    except BaseException:
        _recover(target)
        raise


def _seal(folder: Path, details: Mapping[str, object]) -> None:
    files = _files(folder)
    if any(file.is_symlink() for file in files):
        raise FileError("an output folder must not hold symbolic links")
    entries = {file.relative_to(folder).as_posix(): _fingerprint(file) for file in files}
    for file in files:
        _open_to_readers(file)
    path = folder / MANIFEST
    dump_json({"program": PROGRAM, "manifest_version": 1, **details, "files": entries}, path)
    _open_to_readers(path)
    for inner in [*(inner for inner in folder.rglob("*") if inner.is_dir()), folder]:
        inner.chmod(0o755)
        _to_disk(inner)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())


def _fingerprint(file: Path) -> dict[str, object]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": file.stat().st_size}


def _open_to_readers(file: Path) -> None:
    file.chmod(0o644)
    _to_disk(file)


def _to_disk(path: Path) -> None:
    if os.name == "nt":
        return  # folders cannot be opened there, and files are flushed when they are closed
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap(folder: Path, target: Path) -> None:
    if target.exists():
        target.rename(_sibling(folder, "old"))
    folder.rename(target)
    _to_disk(target.parent)
    _discard(_sibling(folder, "old"))


def _recover(target: Path) -> None:
    """Finish or take back what an earlier run into `target` left unfinished."""
    for old in target.parent.glob(f".old-{_tag(target)}-*"):
        run = _sibling(old, "run")
        if not target.exists():
            (run if is_complete(run) else old).rename(target)
        _discard(old)
    for kind in ("run", "gone"):
        for rest in target.parent.glob(f".{kind}-{_tag(target)}-*"):
            _delete(rest)


def is_complete(folder: Path) -> bool:
    """Return whether a folder holds a whole run: every file that its manifest names, with its hash."""
    manifest = read_manifest(folder)
    if manifest is None:
        return False
    try:
        return all(_fingerprint(folder / name) == entry for name, entry in manifest["files"].items())
    except OSError:
        return False


def _discard(old: Path) -> None:
    """Delete a folder; it is renamed first, so that what is left of it is never taken for a whole one."""
    if old.exists():
        gone = _sibling(old, "gone")
        old.rename(gone)
        _delete(gone)


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _sibling(folder: Path, kind: str) -> Path:
    return folder.with_name(f".{kind}-{folder.name.partition('-')[2]}")


def _tag(target: Path) -> str:
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]


def _disk_trouble(error: OSError) -> int | None:
    """Return the number of an error of the disk, also where a library only tells it in words."""
    told = re.search(r"errno ?=? ?([0-9]{1,3})", str(error), re.IGNORECASE)
    number = error.errno or (int(told[1]) if told else None)
    return number if number in DISK_TROUBLE else None


def _why(error: Exception) -> str:
    return reason(error) if isinstance(error, OSError | ValueError) else str(error).lower()
