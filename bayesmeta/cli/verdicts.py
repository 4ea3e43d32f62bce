"""Whether a run can be trusted: agreement of the engines, known answers, diagnostics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.cli.layout import MOST_DECIMALS, decimals, heading, line, number, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

type Block = Mapping[str, Any]


def verdicts(content: Block) -> Iterator[RenderableType]:
    """Yield agreement of the engines, known answers, and whether the diagnostics passed."""
    yield from agreement(content)
    yield from known_answers(content)
    yield from diagnostics(content)


def agreement(content: Block) -> Iterator[RenderableType]:
    """Yield whether NUTS and the exact engine agree, and what bias would have shown."""
    compared = content["agreement"]
    if not compared:
        return
    numbers = sum(one["comparisons"] for one in compared)
    worst = max(compared, key=lambda one: one["largest_z"])
    apart = [one["fit"] for one in compared if not one["ok"]]
    yield heading("NUTS against the exact answer")
    verdict = f"DISAGREE in {', '.join(apart)}" if apart else "agree"
    yield line(
        f"They {verdict}: {numbers} numbers of {len(compared)} fits compared; largest difference "
        f"{worst['largest_z']:.2f} Monte Carlo standard errors ({worst['fit']}), "
        f"chance explains up to {worst['threshold']:.2f} there.",
        "bold red" if apart else "green",
    )
    seen = max(one["detectable_bias_sd"] for one in compared)
    yield line(f"Detection limit: a bias of a mean of {100 * seen:.0f} % of a posterior sd would have shown.")


def known_answers(content: Block) -> Iterator[RenderableType]:
    """Yield each known answer with its verdict."""
    if not content["expected"]:
        return
    met = sum(one["ok"] for one in content["expected"])
    yield heading(f"Known answers: {met} of {len(content['expected'])} met")
    rows = []
    for one in content["expected"]:
        places = min(decimals(one["tolerance"], 1) + 1, MOST_DECIMALS)
        name = one["quantity"].replace(".coefficients.", ".").removeprefix("regressions.")
        quantity = f"1 / {name}" if one["invert"] else name
        value = f"{number(one['value'], places)} ± {one['tolerance']:.2g}"
        rows.append((quantity, value, number(one["computed"], places), "ok" if one["ok"] else "failed"))
    yield table(["", "expected", "computed", ""], rows)


def diagnostics(content: Block) -> Iterator[RenderableType]:
    """Yield convergence of the sampler over all its fits."""
    yield heading("Diagnostics")
    sampled = [one for one in _diagnostics(content) if one["status"] != "exact"]
    if not sampled:
        yield line("exact: nothing was sampled")
        return
    bad = sum(one["status"] != "ok" for one in sampled)
    yield line(
        f"{len(sampled)} sampled fits: {'all ok' if not bad else f'{bad} unreliable'}; R-hat at most "
        f"{_extreme(max, sampled, 'rhat_max'):.4f}, ESS at least "
        f"{min(_extreme(min, sampled, 'ess_bulk_min'), _extreme(min, sampled, 'ess_tail_min')):.0f}, "
        f"divergences {sum(one['divergences'] for one in sampled)}",
        "bold red" if bad else "green",
    )


def _diagnostics(content: Block) -> Iterator[Block]:
    yield content["diagnostics"]
    yield from (one["diagnostics"] for one in content["regressions"].values())
    for division in content["subgroups"].values():
        yield from (one["diagnostics"] for one in division["groups"].values() if "diagnostics" in one)


def _extreme(choose: Any, blocks: list[Block], name: str) -> float:
    values = [one[name] for one in blocks if one[name] is not None and one[name] == one[name]]
    return float(choose(values)) if values else float("nan")
