"""What the terminal says of robustness: the sentences of the report, with the letters of the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.cli.layout import heading, line
from bayesmeta.report.facts import Facts
from bayesmeta.report.robustness import average_text
from bayesmeta.report.robustness_tables import atlas_text, tipping_text
from bayesmeta.report.studies_tables import moderators_text, outlier_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

LETTERS = {"μ": "mu", "τ": "tau", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " "}
SENTENCES = (moderators_text, atlas_text, average_text, tipping_text, outlier_text)


def robust(content: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield what the answer depends on, in sentences; nothing where that was not examined.

    Parameters
    ----------
    content : mapping
        What ``results.json`` holds.
    """
    facts = Facts(content, {})
    said = [text for text in (sentence(facts) for sentence in SENTENCES) if text]
    if said:
        yield heading("What the answer depends on")
        yield from (line(_plain(text)) for text in said)


def _plain(text: str) -> str:
    for sign, name in LETTERS.items():
        text = text.replace(sign, name)
    return text
