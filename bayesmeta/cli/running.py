"""``bayesmeta run``: the run of an analysis file, and what the terminal says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.cli.terminal import Terminal, clean, escaped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bayesmeta.workflow.run import RunResult


def run_command(terminal: Terminal, source: str, *, as_json: bool, **options: Any) -> int:
    """Return 0, or 4 if a diagnostic or a known answer failed."""
    from bayesmeta.workflow.run import run

    result = run(source, quiet=terminal.quiet, **options)
    if as_json:
        from bayesmeta.writers import json_text

        terminal.data(escaped(json_text(result.document)))
    else:
        from bayesmeta.cli.view import run_view

        terminal.show(*run_view(result.document))
    _tell(terminal, result)
    return result.exit_code


def _tell(terminal: Terminal, result: RunResult) -> None:
    """Say on standard error what is to be known beside the numbers."""
    tell_warnings(terminal, result.document)
    figures = sum(name.startswith("figures/") for name in result.files)
    others = [name for name in result.files if "/" not in name]
    terminal.note(f"written to {clean(str(result.folder))}: {', '.join(others)} and {figures} figure files")
    terminal.note(f"wall time {seconds_text(result.seconds)}")


def tell_warnings(terminal: Terminal, content: Mapping[str, Any]) -> None:
    """Write every warning, then everything that failed, to standard error."""
    for one, places in _warnings(content).items():
        where = f" ({'; '.join(filter(None, places))})" if any(places) else ""
        terminal.warning(one[0], f"{one[1]}{where}")
    for failure in content["failures"]:
        terminal.error(failure)


def _warnings(content: Mapping[str, Any]) -> dict[tuple[str, str], list[str]]:
    """Return where each warning applies; the main model has no name."""
    found: dict[tuple[str, str], list[str]] = {}
    for where, one in _told(content):
        found.setdefault((one["id"], one["message"]), []).append(where)
    return found


def _told(content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield from (("", one) for one in content["warnings"])
    for name, regression in content["regressions"].items():
        yield from ((f"regression {name}", one) for one in regression["warnings"])
    for by, division in content["subgroups"].items():
        for name, group in division["groups"].items():
            where = f"subgroup {by} {name}"
            yield from ((where, one) for one in group.get("warnings", ()))
            if group["posterior"] is None:
                yield where, {"id": "no-answer", "message": group["reason"]}


def seconds_text(seconds: Mapping[str, float]) -> str:
    """Return the time of each step, and of all.

    Examples
    --------
    >>> seconds_text({"reading": 0.21, "main": 5.4})
    '5.6 s: reading 0.2, main 5.4'
    """
    parts = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in seconds.items())
    return f"{sum(seconds.values()):.1f} s: {parts}"
