"""The command line: ``bayesmeta run | fit | batch | check | datasets | models | schema``.

Exit codes: 0 done; 2 usage or invalid analysis; 3 data; 4 computed, a diagnostic or known answer failed;
5 input or output; 6 numerical or sampler failure; 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

INTERRUPTED = 130
FAILED = 6
DEBUG = "BAYESMETA_DEBUG"
"""Environment variable that brings back the traceback of an unexpected error."""


class _Stopped(BaseException):
    """A signal asked the process to end."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit code of a command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the name of the program; by default those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if argv is None and not (sys.warnoptions or os.environ.get(DEBUG)):
        warnings.simplefilter("ignore")  # doubts about an answer are named checks; these are for programmers
    earlier = _catch_signals()
    try:
        return _guarded(arguments)
    except (KeyboardInterrupt, _Stopped) as stopped:
        return _ended(stopped, "nothing was left behind")
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _guarded(arguments: list[str]) -> int:
    """Return the exit code of a command; whatever goes wrong becomes one line for each mistake."""
    from bayesmeta.cli.terminal import Terminal
    from bayesmeta.errors import BayesmetaError

    terminal = Terminal()
    try:
        from bayesmeta.cli.app import invoke

        return invoke(arguments, terminal)
    except (KeyboardInterrupt, _Stopped) as stopped:
        return _ended(stopped, terminal.remains)
    except BayesmetaError as error:
        for message in error.messages:
            terminal.error(message)
        return error.exit_code
    except MemoryError:
        terminal.error("out of memory; close other programs, or ask for fewer chains, draws or studies")
        return FAILED
    except Exception as error:
        if os.environ.get(DEBUG):
            raise
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        terminal.error(
            f"unexpected {what}; this is a mistake in bayesmeta: please report it with the command and its "
            f"input; {DEBUG}=1 shows where it happened"
        )
        return FAILED


def _catch_signals() -> dict[int, Any]:
    """Let the signals that end a process end it tidily; return the handlers that were there."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise _Stopped(number)

    earlier: dict[int, Any] = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            try:
                earlier[number] = signal.signal(number, stop)
            except ValueError:  # not in the main thread
                return earlier
    return earlier


def _ended(stopped: BaseException, remains: str) -> int:
    """End the sampling process, say in one line what stopped the command, and return the exit code."""
    from bayesmeta.cli.terminal import Terminal

    module = sys.modules.get("bayesmeta.engines.nuts.child")
    if module is not None:
        module.process.close()
    if isinstance(stopped, _Stopped):
        Terminal().note(f"ended by {signal.Signals(stopped.number).name}; {remains}")
        return 128 + stopped.number
    Terminal().note(f"interrupted; {remains}")
    return INTERRUPTED
