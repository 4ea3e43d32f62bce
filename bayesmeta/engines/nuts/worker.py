"""The sampling process: reads requests from standard input, compiles and samples, writes draws.

It is a process of its own, so that a crash of the sampler cannot take the user's session along, and compiling
can go on while the user's session does something else. It ends when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import sys
import threading
from functools import cache
from types import ModuleType
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
    if isinstance(error, ImportError):
        return f"a package that it needs cannot be loaded ({error}); install pymc and nutpie"
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
    model = compiled[key].with_data(numbers=request.arrays["numbers"])
    return {"kind": "draws"}, _sample(model, request.header["settings"], send)


def _compile(request: Message) -> Any:
    from bayesmeta.engines.nuts.densities import build

    return nutpie().compile_pymc_model(build(request.header["key"], request.arrays["numbers"]))


@cache
def nutpie() -> Any:
    """Return nutpie, without the plotting libraries.

    It imports ArviZ, and with it every plotting library there is, to convert draws in a way that is not used
    here; that takes longer than all sampling.
    """
    sys.modules["arviz"] = ModuleType("arviz")
    try:
        return importlib.import_module("nutpie")
    finally:
        del sys.modules["arviz"]


def _sample(model: Any, settings: dict[str, Any], send: Callable[..., None]) -> dict[str, Floats]:
    total = settings["chains"] * (settings["tune"] + settings["draws"])

    def report(chains: list[Any]) -> None:
        done = sum(chain.finished_draws for chain in chains)
        divergences = sum(chain.divergences for chain in chains)
        counts = {"done": done, "total": total, "divergences": divergences}
        send({"kind": "progress", "phase": "sample", **counts})

    names = ("chains", "tune", "draws", "cores", "seed", "target_accept")
    draws, statistics = (
        nutpie()
        .sample(
            model,
            **{name: settings[name] for name in names},
            progress_bar=False,
            progress_callback=report if settings["report"] else None,
            return_raw_trace=True,
        )
        .get_arrow_trace()
    )
    return _stacked(draws, statistics, int(settings["tune"]), model.n_dim)


def _stacked(draws: list[Any], statistics: list[Any], tune: int, dim: int) -> dict[str, Floats]:
    """Return the kept draws of all chains; a chain that ended early shortens them all, which is noticed."""
    kept = min(batch.num_rows for batch in draws) - tune
    points = [_floats(batch.column("x"), dim)[tune : tune + kept] for batch in draws]
    arrays = {"x": np.stack(points)}
    for theirs, ours in STATISTICS.items():
        columns = [_floats(batch.column(theirs), 1)[tune : tune + kept, 0] for batch in statistics]
        arrays[f"stat_{ours}"] = np.stack(columns)
    return arrays


def _floats(column: Any, width: int) -> Floats:
    """Return a column of numbers, or of lists of `width` numbers, as an array (rows, width)."""
    import pyarrow as pa

    array = pa.array(column)
    flat = array.flatten() if hasattr(array, "flatten") else array
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float64).reshape(-1, width)


if __name__ == "__main__":
    main()
