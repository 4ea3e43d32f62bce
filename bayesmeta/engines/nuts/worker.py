"""The sampling process: reads requests from standard input, compiles and samples, writes draws.

It is a process of its own, so that a crash of the sampler cannot take the user's session along, and compiling
can go on while the user's session does something else. It ends when its input does.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from bayesmeta.engines.nuts.wire import Message, read_message, write_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats

LONGEST_MESSAGE = 500


def main() -> None:
    """Serve requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests: queue.Queue[Message] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    compiled: dict[str, Any] = {}
    lock = threading.Lock()

    def send(header: dict[str, Any], arrays: dict[str, Floats] | None = None) -> None:
        with lock:
            write_message(out, header, arrays)

    while True:
        request = requests.get()
        try:
            send(*_answer(request, compiled, send))
        except Exception as error:  # whatever it is, the parent reports it
            send({"kind": "error", "message": _sentence(error)})


def _listen(stream: BinaryIO, requests: queue.Queue[Message]) -> None:
    """Pass requests on; end the process, whatever it is doing, when the input ends."""
    while (message := read_message(stream)) is not None:
        requests.put(message)
    os._exit(0)


def _sentence(error: Exception) -> str:
    """Return what an error says, on one line and without the stack of compiled code."""
    said = str(error).partition("Stack backtrace")[0]
    return " ".join(f"{type(error).__name__}: {said}".split())[:LONGEST_MESSAGE]


def _answer(
    request: Message, compiled: dict[str, Any], send: Callable[..., None]
) -> tuple[dict[str, Any], dict[str, Floats]]:
    header, likelihood = request.header, request.header["likelihood"]
    if likelihood not in compiled:
        send({"kind": "progress", "phase": "compile"})
        compiled[likelihood] = _compile(likelihood)
    if header["task"] == "compile":
        return {"kind": "compiled"}, {}
    return {"kind": "draws"}, _sample(compiled[likelihood], request, send)


def _compile(likelihood: str) -> tuple[Any, Any]:
    """Return the density and the copying of points, as machine code; load all that sampling needs."""
    from bayesmeta.engines.nuts import kernel
    from bayesmeta.engines.nuts.library import library

    library()
    return kernel.compiled(likelihood), kernel.same


def _sample(code: tuple[Any, Any], request: Message, send: Callable[..., None]) -> dict[str, Floats]:
    from bayesmeta.engines.nuts.library import Target, sample

    settings = request.header["settings"]
    total = settings["chains"] * (settings["tune"] + settings["draws"])

    def report(done: int, divergences: int) -> None:
        counts = {"done": done, "total": total, "divergences": divergences}
        send({"kind": "progress", "phase": "sample", **counts})

    target = Target(*code, request.arrays["numbers"], request.header["dim"])
    return sample(target, settings, report if settings["report"] else None)


if __name__ == "__main__":
    main()
