"""The sampling process as its owner sees it: started once, asked many times, gone when we are."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bayesmeta.engines.nuts.wire import Message, read_message, write_message
from bayesmeta.errors import SamplingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.engines.nuts.plan import Plan
    from bayesmeta.engines.nuts.scale_plan import ScalePlan

type Report = Callable[[dict[str, Any]], None]
"""Takes ``{"phase": "compile"}``, or ``"sample"`` with ``done``, ``total`` draws and ``divergences``."""

PACKAGE_HOME = Path(__file__).resolve().parents[3]
"""Folder that holds the package."""
LAST_WORDS = 2000
"""Characters of the process's error output that an error keeps."""


class SamplingProcess:
    """A process that compiles models once and samples them many times."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: BinaryIO | None = None
        self._lock = threading.RLock()
        self._owed = 0
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def warm_up(self, plan: Plan | ScalePlan) -> None:
        """Begin compiling the model of a plan, without waiting for it."""
        with self._lock:
            self._send({"task": "compile", "key": plan.key}, {"numbers": plan.numbers})
            self._owed += 1

    def sample(
        self, plan: Plan | ScalePlan, settings: dict[str, Any], report: Report | None
    ) -> dict[str, Floats]:
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
                options = {**settings, "report": report is not None}
                request = {"task": "sample", "key": plan.key, "settings": options}
                self._send(request, {"numbers": plan.numbers})
                return self._receive(report).arrays
            except SamplingError:
                raise
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """End the process."""
        process, self._process, self._owed = self._process, None, 0
        streams: list[Any] = [self._errors]
        if process is not None:
            process.kill()
            process.wait()
            streams += [process.stdin, process.stdout]
        for stream in filter(None, streams):
            with contextlib.suppress(OSError):
                stream.close()
        if self._scratch is not None:
            self._scratch.cleanup()
        self._errors = self._scratch = None

    def _send(self, header: dict[str, Any], arrays: dict[str, Floats]) -> None:
        process = self._running()
        try:
            write_message(process.stdin, header, arrays)  # type: ignore[arg-type]
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
        """Return the process, started if there is none; one that died while nobody waited is replaced."""
        if self._process is not None and not self._owed and self._process.poll() is not None:
            self.close()
        if self._process is None:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bayesmeta.engines.nuts.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=self._environment(),
            )
        return self._process

    def _environment(self) -> dict[str, str]:
        """Return the environment: one thread for linear algebra, and where and how to compile."""
        cache = self._cache()
        places = {
            "NUMBA_CACHE_DIR": cache,
            "MPLCONFIGDIR": cache,
            "PYTENSOR_FLAGS": f"base_compiledir={cache}/pytensor",
            "NUMBA_OPT": "1",  # compiles in two thirds of the time, and samples as fast
        }
        paths = [str(PACKAGE_HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
        return {**places, **os.environ, **own}

    def _cache(self) -> str:
        """Return the folder of compiled code; one for this process alone if the user's cannot be written."""
        with contextlib.suppress(OSError, RuntimeError):
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            folder = Path(base) / "bayesmeta"
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return str(folder)
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="bayesmeta-")
        return self._scratch.name

    def _death(self) -> SamplingError:
        code = None if self._process is None else self._process.wait()
        words = self._last_words()
        self.close()
        cause = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        last = f" ({words[-1]})" if words else ""
        return SamplingError(
            f"the sampling process ended {cause}{last}; is there enough memory? Run it again"
        )

    def _last_words(self) -> list[str]:
        """Return the last lines that the process wrote to its standard error."""
        if self._errors is None:
            return []
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - LAST_WORDS))
        return self._errors.read().decode(errors="replace").strip().splitlines()


process = SamplingProcess()
"""The one sampling process of this interpreter, started when it is first needed."""

atexit.register(process.close)
