"""Python code that reproduces the main fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.report.facts import Facts

type Block = Mapping[str, Any]

STUDY_OPTIONS = (
    "slab",
    "units",
    "better",
    "group1",
    "group2",
    "missing",
    "exclude",
    "allow_total_rows",
    "add",
    "to",
)
READING = {"delimiter": "sep", "decimal": "decimal", "encoding": "encoding", "na_values": "na_values"}
"""Entries of ``[data]`` and what they are called by pandas."""


def python_code(facts: Facts) -> str:
    """Return a script that makes the main fit again."""
    data = facts.get("data") or {}
    loading, studies = (_from_table(facts, data)) if data.get("columns") else ("", _from_numbers(facts))
    imports = "import bayesmeta as bm\n" + ("import pandas as pd\n" if "pd." in loading else "")
    return "\n".join(
        [imports, *([loading] if loading else []), studies, _model(facts), _fit(facts), _ending()]
    )


def _call(name: str, arguments: list[str]) -> str:
    """Return a call, on one line if it is short."""
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= 88:
        return line
    inner = "".join(f"    {argument},\n" for argument in arguments)
    return f"{name}(\n{inner})"


def _keywords(options: Block) -> list[str]:
    return [f"{name}={literal(value)}" for name, value in options.items()]


def literal(value: Any) -> str:
    """Return a value as Python writes it, texts in double quotes where that is as short."""
    if isinstance(value, str) and '"' not in value and "'" not in value:
        return f'"{repr(value)[1:-1]}"'
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(name)}: {literal(one)}' for name, one in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def _from_table(facts: Facts, data: Block) -> tuple[str, str]:
    if data.get("dataset"):
        loading = f"trials = bm.load_dataset({literal(data['dataset'])})"
    else:
        options = {READING[name]: data[name] for name in READING if data.get(name)}
        loading = (
            f"trials = {_call('pd.read_csv', [literal(data.get('file', 'trials.csv')), *_keywords(options)])}"
        )
    options = {name: data[name] for name in STUDY_OPTIONS if data.get(name) not in (None, "", [])}
    columns = dict(data["columns"])
    if "yi" in columns:
        arguments = [
            *_keywords(columns),
            "data=trials",
            f"measure={literal(facts.measure)}",
            *_keywords(options),
        ]
        return loading, f"studies = {_call('bm.Studies.from_effects', arguments)}"
    options["drop00"] = data.get("drop00", True)
    arguments = ["trials", literal(facts.measure), *_keywords(columns), *_keywords(options)]
    return loading, f"studies = {_call('bm.effect_sizes', arguments)}"


def _from_numbers(facts: Facts) -> str:
    rows = facts.document["studies"]
    values = {name: [one[name] for one in rows] for name in ("yi", "sei", "slab")}
    options = {"measure": facts.measure, "units": facts.units, "better": facts.better}
    return f"studies = {_call('bm.Studies.from_effects', _keywords(values | options))}"


def _model(facts: Facts) -> str:
    document, priors = facts.document, facts.document["priors"]
    usual = {"mods": "1", "scale": "1", "center": True, "likelihood": "normal", "effects": "normal"}
    options: dict[str, Any] = {
        name: document[name] for name, value in usual.items() if document.get(name, value) != value
    }
    for name in ("mu", "tau", "tau2", "baseline", "beta"):
        if name in priors and not (facts.is_common and name in {"tau", "tau2"}):
            options[name] = _prior(priors[name]["prior"])
    if facts.has_scale and priors.get("delta", {}).get("prior"):
        named = priors["delta"]["prior"].items()
        options["delta"] = _prior({name.removeprefix("delta[")[:-1]: prior for name, prior in named})
    return f"model = {_call('bm.Model', _keywords(options))}"


def _prior(prior: Any) -> Any:
    """Return a prior as it is written; one text where all coefficients have the same."""
    if not isinstance(prior, dict):
        return prior
    different = list(dict.fromkeys(prior.values()))
    return different[0] if len(different) == 1 else prior


def _fit(facts: Facts) -> str:
    options: dict[str, Any] = {"engine": facts.engine}
    if facts.is_sampled:
        options["seed"] = facts.get("seed")
        known = facts.document["diagnostics"]
        options |= {name: int(known[name]) for name in ("chains", "tune", "draws") if name in known}
        options |= {name: known[name] for name in ("target_accept",) if name in known}
    return f"fit = {_call('bm.fit', ['studies', 'model', *_keywords(options)])}"


def _ending() -> str:
    return "print(fit.summary())\n"
