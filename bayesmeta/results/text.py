"""A fit as text for the terminal."""

from __future__ import annotations

import re
from math import isnan
from typing import TYPE_CHECKING

from bayesmeta.errors import printable
from bayesmeta.results.tables import exponentiated, summary_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.priors import Prior
    from bayesmeta.results.fit import Fit
    from bayesmeta.results.tables import Row

DIGITS = 4
LONG_NUMBER = re.compile(r"\d+\.\d{5,}(e[+-]?\d+)?")


def number(value: float, digits: int = DIGITS) -> str:
    """Return a number with a few significant digits, a minus sign, and "does not exist" for NaN."""
    return "does not exist" if isnan(value) else f"{value:.{digits}g}".replace("-", "−")


def text_table(rows: Mapping[str, Row], *, corner: str = "") -> str:
    """Return rows of numbers as aligned text.

    Parameters
    ----------
    rows : mapping of str to mapping of str to float
        Name of each row and its cells.
    corner : str
        What stands above the names.
    """
    columns = list(next(iter(rows.values())))
    cells = [[corner, *columns]]
    cells += [[printable(name), *(number(row[column]) for column in columns)] for name, row in rows.items()]
    widths = [max(len(line[j]) for line in cells) for j in range(len(columns) + 1)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in cells
    )


def priors_text(fit: Fit) -> str:
    """Return the priors in force, each default marked and shown with four digits."""
    priors = fit.priors
    parts = [f"mu ~ {_prior(fit, 'mu', priors.mu)}"]
    slopes = {
        name: prior
        for name, prior, mean in zip(fit.design.names, priors.beta, fit.design.is_mean, strict=True)
        if not mean
    }
    if len(set(map(str, slopes.values()))) == 1:
        parts.append(f"beta ~ {_prior(fit, 'beta', next(iter(slopes.values())))}")
    else:
        parts += [f"{printable(name)} ~ {_prior(fit, 'beta', prior)}" for name, prior in slopes.items()]
    parts.append("tau = 0" if fit.model.is_common else f"{priors.tau_on} ~ {_prior(fit, 'tau', priors.tau)}")
    parts += _deltas(fit)
    return ", ".join(parts)


def _deltas(fit: Fit) -> list[str]:
    """Return the priors of the coefficients of scale."""
    scale = fit.problem.scale
    if scale is None:
        return []
    named = {
        name: _shortened(prior) if default else str(prior)
        for name, prior, default in zip(scale.names[scale.T :], scale.deltas, scale.is_default, strict=True)
    }
    if len(set(named.values())) == 1:
        return [f"delta ~ {next(iter(named.values()))}"]
    return [f"{printable(name)} ~ {prior}" for name, prior in named.items()]


def _prior(fit: Fit, name: str, prior: Prior) -> str:
    if name not in fit.priors.defaults:
        return str(prior)
    return _shortened(prior)


def _shortened(prior: Prior) -> str:
    """Return a default prior with four digits, marked."""
    return LONG_NUMBER.sub(lambda found: f"{float(found[0]):.{DIGITS}g}", str(prior)) + " (default)"


def method_text(fit: Fit) -> str:
    """Return how the posterior was found."""
    if fit.diagnostics is None:
        error = getattr(getattr(fit.posterior, "nodes", None), "error", 0.0)
        return f"exact integration, two node sets agree to {error:.0e} sd"
    settings = fit.posterior.sampled.settings  # type: ignore[attr-defined]
    drawn = f"{settings['chains']:.0f} chains of {settings['draws']:.0f} draws"
    return f"NUTS, {drawn}, seed {fit.seed}: {fit.status}"


def _likelihood(fit: Fit) -> str:
    scale = "" if fit.problem.scale is None else f"scale '{fit.model.scale}', "
    return f"{scale}{fit.model.likelihood} likelihood"


def _ratios(fit: Fit, rows: Mapping[str, Row]) -> list[str]:
    """Return median and interval of the effects on the scale of the ratio, as lines."""
    effects = (*fit.problem.coefficients, "theta_new")
    shown = {f"exp({name})": exponentiated(row) for name, row in rows.items() if name in effects}
    return ["", text_table(shown, corner=fit.studies.effect_label)]


def fit_text(fit: Fit, *, prob: float = 0.95, kind: str = "eti") -> str:
    """Return the summary of a fit for the terminal."""
    studies = fit.problem.studies
    scale = f"{studies.analysis_label}{f' ({studies.units})' if studies.units else ''}"
    name = {"eti": "equal-tailed", "hdi": "shortest"}[kind]
    rows = summary_rows(fit.posterior, prob=prob, kind=kind)
    number_of_studies = f"{studies.k} {'study' if studies.k == 1 else 'studies'}"
    lines = [
        f"{scale}: {number_of_studies}, mods '{fit.model.mods}', {_likelihood(fit)}",
        f"Priors: {priors_text(fit)}",
        f"Method: {method_text(fit)}",
        "",
        text_table(rows),
        *(_ratios(fit, rows) if studies.is_ratio else []),
        "",
        f"Intervals are {100 * prob:g} % {name}.",
        *([] if fit.model.likelihood == "normal" else ["I2 and H2 are not defined for counts."]),
    ]
    lines += [f"Warning [{identifier}]: {text}" for identifier, text in fit.warnings]
    return "\n".join(lines)
