"""The sampling process as its owner sees it: started once, asked many times, gone when we are."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesmeta.engines.nuts.wire import Message, read_message, write_message
from bayesmeta.errors import SamplingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.engines.nuts.plan import Plan

type Report = Callable[[dict[str, Any]], None]
"""Takes ``{"phase": "compile"}`` or ``{"phase": "sample", "done": draws, "divergences": n}``."""

LAST_WORDS = 2000
"""Characters of the process's error output that an error keeps."""


class SamplingProcess:
    """A process that compiles models once and samples them many times."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._lock = threading.RLock()
        self._owed = 0

    def warm_up(self, plan: Plan) -> None:
        """Begin compiling the model of a plan, without waiting for it."""
        with self._lock:
            self._send(plan, {"task": "compile"})
            self._owed += 1

    def sample(self, plan: Plan, settings: dict[str, Any], report: Report | None) -> dict[str, Floats]:
        """Return the arrays that the sampler made.

        Raises
        ------
        SamplingError
            If the process fails or dies.
        """
        with self._lock:
            try:
                while self._owed:
                    self._receive(report)
                    self._owed -= 1
                self._send(plan, {"task": "sample", "settings": {**settings, "report": report is not None}})
                return self._receive(report).arrays
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the process."""
        process, self._process, self._owed = self._process, None, 0
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()

    def _send(self, plan: Plan, header: dict[str, Any]) -> None:
        process = self._running()
        try:
            write_message(process.stdin, {**header, "key": plan.key}, plan.arrays)  # type: ignore[arg-type]
        except OSError as error:
            raise self._death() from error

    def _receive(self, report: Report | None) -> Message:
        """Return the next answer, passing reports of progress on."""
        stream = self._running().stdout
        while (message := read_message(stream)) is not None:  # type: ignore[arg-type]
            if message.header["kind"] == "error":
                raise SamplingError(f"the sampler failed: {message.header['message']}; try engine='exact'")
            if message.header["kind"] != "progress":
                return message
            if report is not None:
                report(message.header)
        raise self._death()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._errors.seek(0)
            self._errors.truncate()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bayesmeta.engines.nuts.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=_environment(),
            )
        return self._process

    def _death(self) -> SamplingError:
        code = None if self._process is None else self._process.wait()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - LAST_WORDS))
        words = self._errors.read().decode(errors="replace").strip().splitlines()
        self.close()
        cause = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        last = f" ({words[-1]})" if words else ""
        return SamplingError(
            f"the sampling process ended {cause}{last}; is there enough memory? Run it again"
        )


def _environment() -> dict[str, str]:
    """Return the environment of the process: one thread for linear algebra, a writable place to compile."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    package_home = str(Path(__file__).resolve().parents[3])
    paths = [package_home, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    home = Path(os.environ.get("HOME", "")).expanduser()
    if "PYTENSOR_FLAGS" not in environment and not (home.is_dir() and os.access(home, os.W_OK)):
        scratch = tempfile.mkdtemp(prefix="bayesmeta-")
        environment |= {
            "PYTENSOR_FLAGS": f"base_compiledir={scratch}",
            "NUMBA_CACHE_DIR": scratch,
            "MPLCONFIGDIR": scratch,
        }
    return environment


process = SamplingProcess()
"""The one sampling process of this interpreter, started when it is first needed."""

atexit.register(process.close)
