"""What the terminal shows of a run: the content of ``results.json`` as tables and sentences."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Any

from bayesmeta.cli.layout import (
    MISSING_MOMENT,
    chance,
    decimals,
    exponentials,
    heading,
    interval,
    line,
    number,
    p_value,
    table,
)
from bayesmeta.cli.robust import robust
from bayesmeta.cli.spread import is_spread, spread_cells, spread_tests, twin
from bayesmeta.cli.verdicts import agreement, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

type Block = Mapping[str, Any]

LONG_NUMBER = re.compile(r"\d+\.\d{5,}(?:e[+-]?\d+)?")

KINDS = {"eti": "equal-tailed", "hdi": "shortest"}
METHODS = {
    "fixed": "fixed effect",
    "DL": "DerSimonian-Laird",
    "PM": "Paule-Mandel",
    "REML": "REML",
    "REML_HK": "REML + HK",
    "ML_LS": "ML, tau by scale",
    "REML_LS": "REML, tau by scale",
    "MH": "Mantel-Haenszel",
    "Peto": "Peto",
}
HETEROGENEITY = {"tau": "tau", "tau2": "tau2", "I2": "I2, %", "H2": "H2"}


def run_view(content: Block) -> Iterator[RenderableType]:
    """Yield everything that a run found.

    Parameters
    ----------
    content : mapping
        What ``results.json`` holds.
    """
    yield from header(content)
    yield from pooled(content)
    yield from heterogeneity(content)
    yield from comparison(content)
    yield from regressions(content)
    yield from subgroups(content)
    yield from sensitivity(content)
    yield from robust(content)
    yield from other_measures(content)
    yield from verdicts(content)


def fit_view(content: Block) -> Iterator[RenderableType]:
    """Yield what one fit found; `content` is as in ``results.json``."""
    yield from header(content)
    yield from pooled(content)
    yield from heterogeneity(content)
    yield from comparison(content)
    yield from agreement(content)


def level(content: Block) -> str:
    """Return the level of the intervals, as in ``"95 %"``."""
    return f"{100 * content['interval']['prob']:g} %"


def scale(content: Block) -> str:
    """Return the effect with its units and the groups compared."""
    units = f" ({content['units']})" if content["units"] else ""
    return f"{content['effect']}{units}, {content['group1']} against {content['group2']}"


def header(content: Block) -> Iterator[RenderableType]:
    """Yield title, data, priors and method."""
    yield heading(content["title"])
    studies = "1 study" if content["k"] == 1 else f"{content['k']} studies"
    yield line(f"{scale(content)}; {studies}{_excluded(content)}")
    yield line(f"Priors: {priors(content['priors'])}")
    yield line(f"Method: {method(content)}")
    if content.get("scale", "1").strip() != "1":
        yield line(f"tau differs between studies, by {content['scale']}")


def _excluded(content: Block) -> str:
    out = content["excluded"]
    if not out:
        return ""
    what = "left out" if content["likelihood"] == "normal" else "of no weight in inverse-variance pooling"
    return f", {len(out)} {what} ({'; '.join(one['slab'] for one in out[:3])})"


def priors(block: Block) -> str:
    """Return the priors in force, each default marked; long numbers are shortened."""
    parts = []
    for name, one in block.items():
        mark = " (default)" if one["default"] else ""
        given = one["prior"]
        if isinstance(given, str):
            parts.append(f"{name} ~ {given}{mark}")
        elif len(set(given.values())) == 1:
            parts.append(f"{name} ~ {next(iter(given.values()))}{mark}")
        else:
            parts += [f"{inner} ~ {prior}{mark}" for inner, prior in given.items()]
    return LONG_NUMBER.sub(lambda found: f"{float(found[0]):.4g}", ", ".join(parts))


def method(content: Block) -> str:
    """Return how the posterior was found."""
    found = content["diagnostics"]
    if found["status"] == "exact":
        return f"{content['likelihood']} likelihood, integrated exactly"
    again = ", sampled again with more care" if found["refits"] else ""
    return (
        f"{content['likelihood']} likelihood, NUTS with {found['chains']:.0f} chains of {found['draws']:.0f} "
        f"draws, seed {content['seed']}{again}"
    )


def pooled(content: Block) -> Iterator[RenderableType]:
    """Yield the effects, and the probabilities of the statements."""
    posterior = content["posterior"]
    names = [name for name in posterior if _is_quantity(posterior[name]) and not is_spread(name)]
    kind = KINDS[content["interval"]["kind"]]
    ratio = "exp" in posterior[names[0]]
    yield heading(f"Effect: {'log ' if ratio else ''}{content['effect'].lower()}")
    columns = ["", "median", "mean", "sd", f"{level(content)} {kind}"]
    rows = [effect_row(name, posterior[name]) for name in names]
    if ratio and "mu" in names:
        columns.append(f"{content['effect'].lower()} [{level(content)}]")
        rows = [(*row, exponentials(posterior[name])) for row, name in zip(rows, names, strict=True)]
    yield table(columns, rows)
    for text, p in posterior["probabilities"].items():
        yield line(f"P({text}) {chance(p)}")


def _is_quantity(block: object) -> bool:
    return isinstance(block, dict) and "median" in block


def effect_row(name: str, block: Block) -> tuple[str, ...]:
    """Return the cells of one quantity."""
    places = places_of(block)
    return (
        name,
        number(block["median"], places),
        number(block["mean"], places, absent=MISSING_MOMENT),
        number(block["sd"], places, absent=MISSING_MOMENT),
        interval(block["lower"], block["upper"], places),
    )


def places_of(block: Block, digits: int = 3) -> int:
    """Return how many decimals suit a quantity: so many significant digits of its standard deviation.

    Where that does not exist, a quarter of the interval stands for it.
    """
    sd = block["sd"]
    known = sd is not None and isfinite(sd) and sd > 0
    return decimals(sd if known else (block["upper"] - block["lower"]) / 4, digits)


def heterogeneity(content: Block) -> Iterator[RenderableType]:
    """Yield the posteriors of tau and what follows from it, with REML and Q-profile beside them.

    Where tau differs between studies, REML of the same model and its Wald intervals are beside them.
    """
    posterior, reml = content["posterior"], content["classical"].get("REML")
    by_scale = content["classical"].get("REML_LS", {}).get("spread", {}).get("quantities")
    found = [name for name in posterior if is_spread(name) and _is_quantity(posterior[name])]
    yield heading("Heterogeneity")
    rows = []
    for name in found:
        block = posterior[name]
        places = places_of(block, 2)
        beside = spread_cells(by_scale.get(name), places) if by_scale else _classical(name, reml, places)
        mean = [] if by_scale else [number(block["mean"], places, absent=MISSING_MOMENT)]
        limits = interval(block["lower"], block["upper"], places)
        rows.append((HETEROGENEITY.get(name, name), number(block["median"], places), *mean, limits, *beside))
    if by_scale:
        yield table(["", "median", level(content), "REML", level(content)], rows)
    else:
        yield table(["", "median", "mean", level(content), "REML", "Q-profile"], rows)
    yield from spread_tests(content["classical"])


def _classical(name: str, reml: Block | None, places: int) -> tuple[str, str]:
    if reml is None or name not in {"tau", "tau2"}:
        return ("", "") if reml is None else (number(reml.get(name), places), "")
    power = 0.5 if name == "tau" else 1.0
    values = [_power(reml.get(key), power) for key in ("tau2", "tau2_lower", "tau2_upper")]
    return number(values[0], places), interval(values[1], values[2], places)


def _power(value: float | None, power: float) -> float | None:
    return float(value) ** power if value is not None and value >= 0 else None


def comparison(content: Block) -> Iterator[RenderableType]:
    """Yield the classical answers and the posterior side by side."""
    classical, posterior = content["classical"], content["posterior"]
    if not classical or "mu" not in posterior:
        return
    yield heading(f"Beside the classical answers ({level(content)} intervals)")
    places = places_of(posterior["mu"])
    rows = [_method_row(METHODS[name], one, places) for name, one in classical.items()]
    mu, new, tau = posterior["mu"], posterior["theta_new"], posterior["tau"]
    own = {
        "estimate": mu["median"],
        "lower": mu["lower"],
        "upper": mu["upper"],
        "tau2": tau["median"] ** 2,
        "pi_lower": new["lower"],
        "pi_upper": new["upper"],
    }
    rows.append(_method_row(f"{posterior['engine']} (medians)", own, places))
    yield table(["", "effect", "interval", "p", "tau", "prediction"], rows)


def _method_row(name: str, one: Block, places: int) -> tuple[str, ...]:
    return (
        name,
        number(one["estimate"], places),
        interval(one["lower"], one["upper"], places),
        p_value(one["p"]) if "p" in one else "",
        "0" if one["tau2"] == 0 else number(_power(one["tau2"], 0.5), places),
        interval(one["pi_lower"], one["pi_upper"], places),
    )


def regressions(content: Block) -> Iterator[RenderableType]:
    """Yield the coefficients of every regression, with those of the fixed effect or REML beside them."""
    for name, one in content["regressions"].items():
        yield heading(f"Regression {name}: {one['mods']}")
        method, classical = twin(one["classical"])
        quantities = {**one["coefficients"], "tau": one["tau"], **(one.get("spread") or {})}
        rows = [_coefficient_row(label, block, classical.get(label)) for label, block in quantities.items()]
        yield table(["", "median", "sd", level(content), method, "p"], rows)
        yield line(_regression_line(one))
        yield from spread_tests(one["classical"])


def _is_absent(value: float | None) -> bool:
    return value is None or not isfinite(value)


def _regression_line(one: Block) -> str:
    """Return size, share of tau2 explained and status of a regression."""
    status, explained = one["diagnostics"]["status"], one["R2"]
    parts = [f"k = {one['k']}, p = {one['p']}"]
    if explained:
        bounds = interval(explained["lower"], explained["upper"], 0)
        parts.append(f"R2 {number(explained['median'], 0)} % {bounds}")
    if one.get("scale", "1").strip() != "1":
        parts.append(f"tau by {one['scale']}")
    return "; ".join([*parts, status if status == one["engine"] else f"{one['engine']}: {status}"])


def _coefficient_row(label: str, block: Block, fixed: Block | None) -> tuple[str, ...]:
    name, median, _, sd, limits = effect_row(label, block)
    if fixed is None:
        return (name, median, sd, limits, "", "")
    estimate = "0" if fixed["estimate"] == 0 else number(fixed["estimate"], places_of(block))
    return (name, median, sd, limits, estimate, "" if _is_absent(fixed["p"]) else p_value(fixed["p"]))


def subgroups(content: Block) -> Iterator[RenderableType]:
    """Yield every division of the studies, with the classical test for differences."""
    for by, division in content["subgroups"].items():
        shared = division.get("shared") or {}
        yield heading(f"Subgroups by {by}, {'with one tau for all' if shared else 'each with its own tau'}")
        rows = [_group_row(name, one, shared.get(name)) for name, one in division["groups"].items()]
        yield table(["", "k", "mu", level(content), "tau", "fixed", level(content)], rows)
        for label, one in (division.get("posterior_differences") or {}).items():
            yield line(_difference_line(label, one))
        for label, one in division["difference"].items():
            yield line(
                f"Difference, {METHODS[label]}: Q = {number(one['Q'], 2)} on {one['df']:.0f} df, "
                f"p = {p_value(one['p'])}, I2 = {number(one['I2'], 0)} %"
            )


def _difference_line(label: str, one: Block) -> str:
    """Return the posterior of a difference between two groups."""
    places = places_of(one)
    bounds = interval(one["lower"], one["upper"], places)
    return f"{label}: {number(one['median'], places)} {bounds}, P(> 0) {chance(one['probability'])}"


def _group_row(name: str, one: Block, shared: Block | None) -> tuple[str, ...]:
    """Return a group: its own posterior, or its mean in the regression where tau is shared."""
    posterior, fixed = one["posterior"], one["classical"].get("fixed")
    if shared and not _is_absent(shared.get("median")):
        posterior = {"mu": shared, "tau": {"median": shared["tau"]}}
    if not posterior:
        return (name, str(one["k"]), one["status"], "", "", "", "")
    mu, tau = posterior["mu"], posterior["tau"]
    places = places_of(mu)
    beside = ("", "")
    if fixed:
        beside = number(fixed["estimate"], places), interval(fixed["lower"], fixed["upper"], places)
    shown = number(mu["median"], places), interval(mu["lower"], mu["upper"], places)
    return (name, str(one["k"]), *shown, number(tau["median"], places), *beside)


def sensitivity(content: Block) -> Iterator[RenderableType]:
    """Yield how far the answer moves without each study, and under other priors."""
    main = content["posterior"]
    name = "mu" if "mu" in main else next(iter(main))
    left_out = [one for one in content["leave_one_out"] if name in one["posterior"]]
    if left_out:
        yield heading(f"Leaving out each study: {name}")
        ordered = sorted(left_out, key=lambda one: one["posterior"][name]["median"])
        rows = [_variant_row(f"without {one['omitted']}", one["posterior"], name) for one in _ends(ordered)]
        yield table(["", "median", level(content), "tau"], rows)
    if content["prior_sensitivity"]:
        yield heading(f"Other priors: {name}")
        rows = [
            _variant_row(f"tau ~ {one['tau']}", one["posterior"], name)
            for one in content["prior_sensitivity"]
        ]
        if len({one["mu"] for one in content["prior_sensitivity"]}) > 1:
            rows = [
                (f"{row[0]}, mu ~ {one['mu']}", *row[1:])
                for row, one in zip(rows, content["prior_sensitivity"], strict=True)
            ]
        yield table(["", "median", level(content), "tau"], rows)


def _ends(ordered: list[Block]) -> list[Block]:
    """Return the lowest and the highest of the answers."""
    return ordered if len(ordered) < 3 else [ordered[0], ordered[-1]]


def _variant_row(label: str, posterior: Block, name: str) -> tuple[str, ...]:
    block, tau = posterior[name], posterior["tau"]
    places = places_of(block)
    shown = interval(block["lower"], block["upper"], places)
    return (label, number(block["median"], places), shown, number(tau["median"], places))


def other_measures(content: Block) -> Iterator[RenderableType]:
    """Yield the answers for further measures of the same counts."""
    if not content["also"]:
        return
    yield heading("Other measures, normal likelihood, default priors")
    rows = []
    for name, one in content["also"].items():
        mu = one["posterior"]["mu"]
        ratio = "exp" in mu
        plain = f"{number(mu['median'])} {interval(mu['lower'], mu['upper'])}"
        counts = _counts(one["classical"].get("MH"), ratio=ratio)
        rows.append(
            (f"{one['effect']} ({name})", str(one["k"]), exponentials(mu) if ratio else plain, counts)
        )
    yield table(["", "k", f"posterior [{level(content)}]", f"Mantel-Haenszel [{level(content)}]"], rows)


def _counts(one: Block | None, *, ratio: bool) -> str:
    if one is None:
        return ""
    block, places = (one["exp"], 3) if ratio else (one, 4)
    return f"{number(block['estimate'], places)} {interval(block['lower'], block['upper'], places)}"
