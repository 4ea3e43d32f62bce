"""``bayesmeta run``: the run of an analysis file, and what the terminal says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.cli.terminal import Terminal, clean, escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    told: set[str] = set()
    for where, one in _warnings(content):
        if one["message"] not in told:
            terminal.warning(one["id"], f"{where}{one['message']}")
        told.add(one["message"])
    for failure in content["failures"]:
        terminal.error(failure)


def _warnings(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, str]]]:
    found = [("", one) for one in content["warnings"]]
    for name, regression in content["regressions"].items():
        found += [(f"regression {name}: ", one) for one in regression["warnings"]]
    for by, division in content["subgroups"].items():
        for name, group in division["groups"].items():
            where = f"subgroup {by} {name}: "
            found += [(where, one) for one in group.get("warnings", ())]
            if group["posterior"] is None:
                found.append((where, {"id": "no-answer", "message": group["reason"]}))
    return found


def seconds_text(seconds: Mapping[str, float]) -> str:
    """Return the time of each step, and of all.

    Examples
    --------
    >>> seconds_text({"reading": 0.21, "main": 5.4})
    '5.6 s: reading 0.2, main 5.4'
    """
    parts = ", ".join(f"{name.replace('_', ' ')} {value:.1f}" for name, value in seconds.items())
    return f"{sum(seconds.values()):.1f} s: {parts}"
