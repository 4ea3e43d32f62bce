"""Messages between the package and its sampling process: a JSON header and raw numbers, never pickles."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats

LENGTH = struct.Struct(">Q")
LARGEST_HEADER = 2**20


class Message(NamedTuple):
    """A message."""

    header: dict[str, Any]
    """What is said, as JSON."""
    arrays: dict[str, Floats]
    """Numbers that go with it."""


def write_message(
    stream: BinaryIO, header: Mapping[str, Any], arrays: Mapping[str, Floats] | None = None
) -> None:
    """Write a message: length of the header, header, then each array as float64."""
    parts = {name: np.ascontiguousarray(array, dtype="<f8") for name, array in (arrays or {}).items()}
    shapes = {name: list(array.shape) for name, array in parts.items()}
    text = json.dumps({**header, "arrays": shapes}).encode()
    stream.write(LENGTH.pack(len(text)) + text)
    for array in parts.values():
        stream.write(array.tobytes())
    stream.flush()


def read_message(stream: BinaryIO) -> Message | None:
    """Return the next message, or None at the end of the stream."""
    prefix = _exactly(stream, LENGTH.size)
    if prefix is None:
        return None
    (size,) = LENGTH.unpack(prefix)
    text = _exactly(stream, size) if size <= LARGEST_HEADER else None
    if text is None:
        return None
    header = json.loads(text)
    arrays = {}
    for name, shape in header.pop("arrays").items():
        content = _exactly(stream, 8 * int(np.prod(shape, dtype=np.int64)))
        if content is None:
            return None
        arrays[name] = np.frombuffer(content, dtype="<f8").reshape(shape).astype(np.float64)
    return Message(header, arrays)


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    """Return `size` bytes, or None if the stream ends before."""
    content = b""
    while len(content) < size:
        piece = stream.read(size - len(content))
        if not piece:
            return None
        content += piece
    return content
