"""The files of a run: results.json, tables, the posterior, figures, the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.results.tables import compare_rows
from bayesmeta.workflow.document import classical_at
from bayesmeta.writers import dump_json, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bayesmeta.workflow.outcome import Checked, Outcome

type Row = dict[str, Any]
type Drawn = dict[str, tuple[str, bytes]]

NUMBERS = ("mode", "median", "mean", "sd", "lower", "upper")
RATIO = ("median", "lower", "upper")


def write_tables(outcome: Outcome, content: dict[str, Any], folder: Path) -> None:
    """Write ``results.json`` and the tables, among them ``atlas.csv`` where there is a prior atlas."""
    dump_json(content, folder / "results.json")
    write_csv(summary_table(content), folder / "summary.csv")
    write_csv(effects_table(content), folder / "effects.csv")
    write_csv(comparison_table(outcome), folder / "comparison.csv")
    if outcome.robustness.atlas is not None:
        rows: list[Row] = outcome.robustness.atlas.table().to_dict(orient="records")  # type: ignore[assignment]
        write_csv(rows, folder / "atlas.csv")


def summary_table(content: Mapping[str, Any]) -> list[Row]:
    """Return a row for each quantity of each fit: main model, regressions, subgroups.

    Parameters
    ----------
    content : mapping
        What ``results.json`` holds.
    """
    interval = content["interval"]
    return [
        {
            "fit": fit,
            "k": k,
            "quantity": name,
            **_numbers(block),
            **interval,
            "engine": engine,
            "status": state,
        }
        for fit, k, engine, state, quantities in _fits(content)
        for name, block in quantities.items()
    ]


def _fits(content: Mapping[str, Any]) -> Iterator[tuple[str, int, str, str, dict[str, Row]]]:
    posterior = content["posterior"]
    yield "main", content["k"], posterior["engine"], content["diagnostics"]["status"], _quantities(posterior)
    for name, one in content["regressions"].items():
        quantities = {**one["coefficients"], "tau": one["tau"], **one["spread"], "R2": one["R2"]}
        yield f"regressions.{name}", one["k"], one["engine"], one["diagnostics"]["status"], quantities
    for by, division in content["subgroups"].items():
        for name, one in division["groups"].items():
            posterior = one["posterior"] or {"engine": ""}
            quantities = _quantities(posterior) or {"mu": {}}
            yield f"subgroups.{by}.{name}", one["k"], posterior["engine"], one["status"], quantities


def _quantities(posterior: Mapping[str, Any]) -> dict[str, Row]:
    return {name: one for name, one in posterior.items() if isinstance(one, dict) and "median" in one}


def _numbers(block: Mapping[str, Any]) -> Row:
    own = {name: block.get(name) for name in NUMBERS}
    return own | {f"exp_{name}": block["exp"][name] for name in RATIO if "exp" in block}


def effects_table(content: Mapping[str, Any]) -> list[Row]:
    """Return a row for each study: observed and shrunken effect, weights and pooling.

    Parameters
    ----------
    content : mapping
        What ``results.json`` holds.
    """
    interval, engine = content["interval"], content["posterior"]["engine"]
    shown = ("slab", "yi", "sei")
    weights = ("weight_fixed", "weight_random", "pooling")
    return [
        {
            **{name: one[name] for name in shown},
            **_numbers(one["theta"]),
            **{name: one[name] for name in weights},
            **interval,
            "engine": engine,
            "status": content["diagnostics"]["status"],
        }
        for one in content["studies"]
    ]


def comparison_table(outcome: Outcome) -> list[Row]:
    """Return the classical analyses, the posterior and its exact twin side by side, fit by fit.

    Parameters
    ----------
    outcome : Outcome
        What a run found.
    """
    interval = outcome.analysis.interval
    return [
        {"fit": name, **row, "level": interval.prob, "kind": kind}
        for name, one in outcome.named.items()
        for row, kind in _compared(one, interval.prob, interval.kind)
    ]


def _compared(one: Checked, prob: float, kind: str) -> Iterator[tuple[Row, str]]:
    for row in compare_rows(one.fit.posterior, classical_at(one.fit, prob), prob=prob, kind=kind):
        yield row, kind if row["method"] == one.fit.engine else "confidence"
    if one.exact is not None:
        for row in compare_rows(one.exact.posterior, {}, prob=prob, kind=kind):
            yield row, kind


def write_tree(outcome: Outcome, folder: Path) -> None:
    """Write ``posterior.nc``, the main fit in the ArviZ schema."""
    (folder / "posterior.nc").write_bytes(outcome.main.fit.tree.to_netcdf(engine="h5netcdf"))


def write_figures(outcome: Outcome, folder: Path) -> Drawn:
    """Write every figure in the formats that the analysis asks for; return captions and SVG by name."""
    from bayesmeta.plots import to_bytes
    from bayesmeta.workflow.figures import figures

    options = outcome.analysis.figures
    place = folder / "figures"
    place.mkdir()
    drawn: Drawn = {}
    for name, caption, figure in figures(outcome):
        content = {form: to_bytes(figure, form, dpi=options.dpi) for form in {*options.formats, "svg"}}
        for form in options.formats:
            (place / f"{name}.{form}").write_bytes(content[form])
        drawn[name] = caption, content["svg"]
    return drawn


def write_report(
    content: dict[str, Any], drawn: Drawn, folder: Path, *, details: Mapping[str, object]
) -> None:
    """Write ``report.html``."""
    from bayesmeta.report import render

    page = render(content, drawn, details=details)
    (folder / "report.html").write_bytes(page.encode("utf-8", "backslashreplace"))
