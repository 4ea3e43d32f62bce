"""The sampling process: reads requests from standard input, compiles and samples, writes draws.

It is a process of its own, so that a crash of the sampler cannot take the user's session along, and compiling
can go on while the user's session does something else. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from bayesmeta.engines.nuts.wire import Message, read_message, write_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats

LONGEST_MESSAGE = 500
STATISTICS = {"diverging": "diverging", "depth": "tree_depth", "energy": "energy", "step_size": "step_size"}
"""What nutpie says of each draw, and what we call it."""


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
    key = json.dumps(request.header["key"], sort_keys=True)
    if key not in compiled:
        send({"kind": "progress", "phase": "compile"})
        compiled[key] = _compile(request)
    if request.header["task"] == "compile":
        return {"kind": "compiled"}, {}
    model = compiled[key].with_data(**request.arrays)
    return {"kind": "draws"}, _sample(model, request.header["settings"], send)


def _compile(request: Message) -> Any:
    import nutpie

    from bayesmeta.engines.nuts.densities import build

    return nutpie.compile_pymc_model(build(request.header["key"]["likelihood"], request.arrays))


def _sample(model: Any, settings: dict[str, Any], send: Callable[..., None]) -> dict[str, Floats]:
    import nutpie

    total = settings["chains"] * (settings["tune"] + settings["draws"])

    def report(chains: list[Any]) -> None:
        done = sum(chain.finished_draws for chain in chains)
        divergences = sum(chain.divergences for chain in chains)
        counts = {"done": done, "total": total, "divergences": divergences}
        send({"kind": "progress", "phase": "sample", **counts})

    names = ("chains", "tune", "draws", "cores", "seed", "target_accept")
    tree = nutpie.sample(
        model,
        **{name: settings[name] for name in names},
        save_warmup=False,
        progress_bar=False,
        progress_callback=report if settings["report"] else None,
    )
    statistics = tree["sample_stats"]
    arrays = {
        f"stat_{ours}": np.asarray(statistics[name], dtype=np.float64) for name, ours in STATISTICS.items()
    }
    return {"x": np.asarray(tree["posterior"]["x"]), **arrays}


if __name__ == "__main__":
    main()
