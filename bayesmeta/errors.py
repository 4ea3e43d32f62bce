"""Every error the package raises, and the words they share.

BayesmetaError
├── AnalysisError            exit 2   the analysis file, the options or the model are wrong
│   ├── FormulaError
│   ├── ModelError
│   └── PriorError
├── DataError                exit 3   the data are wrong
├── FileError                exit 5   a file cannot be read or written
└── NumericalError           exit 6   the answer could not be computed
    ├── ImproperPosteriorError
    └── SamplingError
"""

from __future__ import annotations

import difflib
import unicodedata
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_TEXT = 200
PLAIN = (bool, int, float, complex, bytes, type(None))


class BayesmetaError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    messages : str or iterable of str
        One sentence for each mistake: what, what it must be, what it was, what to do.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, messages: str | Iterable[str]) -> None:
        self.messages: tuple[str, ...] = (messages,) if isinstance(messages, str) else tuple(messages)
        super().__init__("\n".join(self.messages))

    def __reduce__(self) -> tuple[type[BayesmetaError], tuple[tuple[str, ...]]]:
        return type(self), (self.messages,)


class AnalysisError(BayesmetaError, ValueError):
    """The analysis file, an option or a model is invalid."""

    exit_code = 2


class FormulaError(AnalysisError):
    """A formula is outside the grammar or does not fit the data."""


class ModelError(AnalysisError):
    """A model is contradictory, or an engine cannot run it."""


class PriorError(AnalysisError):
    """A prior is unknown, malformed or does not fit its parameter."""


class DataError(BayesmetaError, ValueError):
    """The data are invalid; the message names row, study, column and value."""

    exit_code = 3


class FileError(BayesmetaError, OSError):
    """A file or folder cannot be read or written."""

    exit_code = 5


class NumericalError(BayesmetaError, ArithmeticError):
    """A number could not be computed to the accuracy promised."""

    exit_code = 6


class ImproperPosteriorError(NumericalError):
    """The posterior does not exist; the message says why and which prior mends it."""


class SamplingError(NumericalError):
    """The sampler failed, died or returned fewer draws than were asked for."""


def suggest(word: object, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word nearest to `word`, or ``""``."""
    if not isinstance(word, str):
        return ""
    folded = {name.casefold(): name for name in known}
    nearest = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"; did you mean '{folded[nearest[0]]}'?" if nearest else ""


def printable(text: object) -> str:
    """Return `text` without control, direction or half characters, at most 200 characters long."""
    hidden = {"Cc", "Cf", "Cs"}
    kept = "".join(character for character in str(text) if unicodedata.category(character) not in hidden)
    return kept if len(kept) <= LONGEST_TEXT else kept[: LONGEST_TEXT - 1] + "…"


def told(value: object) -> str:
    """Return what a message says was given: text in quotes, short values as they are, of others the type."""
    if isinstance(value, str):
        return f"'{printable(value)}'"
    if isinstance(value, PLAIN) and not (isinstance(value, int) and value.bit_length() > LONGEST_TEXT):
        return printable(value)
    if isinstance(value, list | tuple):
        inside, comma = ", ".join(map(told, value)), "," if len(value) == 1 else ""
        return printable(f"[{inside}]" if isinstance(value, list) else f"({inside}{comma})")
    return type(value).__name__


def require_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises
    ------
    AnalysisError
        With what was given.
    """
    if not isinstance(value, bool):
        raise AnalysisError(f"{name} must be True or False; got {told(value)}")


def is_one_of(value: object, known: Iterable[str]) -> bool:
    """Return whether a value is a text and one of the known words."""
    return isinstance(value, str) and value in known
