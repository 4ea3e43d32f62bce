"""What is printed: data to standard output, everything else to standard error; nothing moves the cursor."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

from bayesmeta.errors import FileError

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDTH = 80
WIDEST = 100
LONGEST = 2000
BREAKS = "\n\r\t\x0b\x0c\x85\u2028\u2029"
PLAIN = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "…": "...", "±": "+/-", "²": "2", "·": ".", "“": '"', "”": '"', "’": "'"}
)
"""Replacements where standard output cannot take more than ASCII."""


def clean(text: str) -> str:
    r"""Return a text on one line, without characters that control a terminal or the direction of writing.

    Parameters
    ----------
    text : str
        Whatever came from data, labels, files or errors.

    Examples
    --------
    >>> clean("Yu\x1b[2J 2023\n")
    'Yu[2J 2023'
    """
    spaced = "".join(" " if one in BREAKS else one for one in text)
    kept = "".join(one for one in spaced if unicodedata.category(one) not in {"Cc", "Cf", "Cs"}).strip()
    return kept if len(kept) <= LONGEST else f"{kept[: LONGEST - 1]}…"


def escaped(json_text: str) -> str:
    """Return JSON that means the same, with control and direction characters written as escapes."""
    return "".join(_escape(character) for character in json_text)


def _escape(character: str) -> str:
    if character in "\n " or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


class Terminal:
    """Both streams, with their limits: no terminal, no colours, a narrow encoding, a reader that went away.

    Parameters
    ----------
    quiet : bool
        Print nothing but errors and what is asked for as data.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.remains = "nothing was left behind"
        """What an interruption leaves, in words."""
        self._gone: set[str] = set()

    @property
    def is_rich(self) -> bool:
        """Whether standard output is a terminal that shows more than plain text."""
        return _is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb"

    def data(self, text: str) -> None:
        """Write to standard output.

        Raises
        ------
        FileError
            If it cannot be written; a reader that went away is no error.
        """
        self._write("stdout", text if text.endswith("\n") else f"{text}\n")

    def show(self, *parts: RenderableType) -> None:
        """Write tables and texts of rich to standard output, plain unless it is a terminal."""
        if not self.quiet:
            self.data(render(*parts, rich=self.is_rich))

    def note(self, text: str) -> None:
        """Write a line to standard error."""
        if not self.quiet:
            self._write("stderr", f"bayesmeta: {clean(text)}\n")

    def warning(self, identifier: str, text: str) -> None:
        """Write a warning to standard error."""
        self.note(f"warning: {text} [{identifier}]")

    def error(self, text: str) -> None:
        """Write an error to standard error, quiet or not."""
        self._write("stderr", f"bayesmeta: error: {clean(text)}\n")

    def _write(self, name: str, text: str) -> None:
        stream: TextIO | None = getattr(sys, name)
        if stream is None or name in self._gone:
            return
        try:
            stream.write(_encodable(text, stream))
            stream.flush()
        except BrokenPipeError:
            self._abandon(name, stream)
        except (OSError, ValueError) as error:
            self._abandon(name, stream)
            if name == "stdout":
                reason = getattr(error, "strerror", None) or str(error)
                raise FileError(f"standard output cannot be written: {reason.lower()}") from error

    def _abandon(self, name: str, stream: TextIO) -> None:
        """Send what is left in the buffer nowhere, so that the end of the process stays quiet."""
        self._gone.add(name)
        try:
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, stream.fileno())
            os.close(sink)
        except (OSError, ValueError):
            return


def render(*parts: RenderableType, rich: bool = False, width: int | None = None) -> str:
    """Return tables and texts of rich as text, with colours where a terminal shows them.

    Parameters
    ----------
    *parts : renderable
        What rich can print.
    rich : bool
        Whether to style; the variable ``NO_COLOR`` keeps bold and drops colours.
    width : int, optional
        Columns; by default 80, or those of the terminal up to 100.
    """
    from io import StringIO

    from rich.console import Console

    stream = StringIO()
    console = Console(
        file=stream,
        width=width or (_columns() if rich else WIDTH),
        force_terminal=rich,
        color_system="standard" if rich and not os.environ.get("NO_COLOR") else None,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part)
    lines = stream.getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _columns() -> int:
    try:
        return max(WIDTH, min(os.get_terminal_size(sys.stdout.fileno()).columns, WIDEST))
    except (OSError, ValueError):
        return WIDTH


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _encodable(text: str, stream: TextIO) -> str:
    """Return the text in characters that the stream has."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
        return text
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
