"""What the rest of the report asks of a document: names, scales, levels, signs of trouble."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bayesmeta.report.numbers import (
    Shown,
    decimals_for,
    estimate,
    known,
    level,
    quantity,
    ratio_estimate,
    ratio_quantity,
    spread_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

type Block = Mapping[str, Any]

KINDS = {"eti": "equal-tailed", "hdi": "shortest"}
METHODS = {
    "fixed": "Fixed effect, inverse variance",
    "DL": "Random effects, DerSimonian–Laird",
    "PM": "Random effects, Paule–Mandel",
    "ML": "Random effects, ML",
    "REML": "Random effects, REML",
    "REML_HK": "REML with Knapp–Hartung",
    "ML_LS": "Location-scale model, ML",
    "REML_LS": "Location-scale model, REML",
    "MH": "Fixed effect, Mantel–Haenszel",
    "Peto": "Fixed effect, Peto",
}
ENGINES = {"exact": "exact integration", "nuts": "NUTS"}
FOLDERS = re.compile(r"(?<![\w/.:])(?:~|[A-Za-z]:)?[\\/](?:[^\s\\/'\"]+[\\/])+")
"""Folders before the name of a file, from the root or from home."""


def without_folders(text: str) -> str:
    """Return text with the folders of absolute paths left out, which may tell who and where somebody is.

    Examples
    --------
    >>> without_folders("bayesmeta run /home/ann/trials/bmd.toml --out ~/out/bmd")
    'bayesmeta run bmd.toml --out bmd'
    """
    return FOLDERS.sub("", text)


def sentence_case(text: str) -> str:
    """Return text with a capital at the beginning, if it begins with a word."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+ ", text) else text


def short_prior(text: str) -> str:
    """Return a prior with four digits of long numbers, for reading; tables and code have all digits.

    Examples
    --------
    >>> short_prior("Normal(0, 0.24634112)")
    'Normal(0, 0.2463)'
    """
    return re.sub(r"\d*\.\d{5,}", lambda found: f"{float(found.group()):.4g}", text)


class Facts:
    """A document with the questions that every part of the report asks of it.

    Parameters
    ----------
    document : mapping
        Content of ``results.json``.
    details : mapping
        What the manifest has beyond it.
    """

    def __init__(self, document: Block, details: Block) -> None:
        self.document, self.details = document, details
        self.posterior: Block = document["posterior"]
        self.classical: Block = document["classical"]
        self.measure = str(document["measure"])
        self.effect = str(document.get("effect") or document["measure"])
        self.prob, self.kind = float(document["interval"]["prob"]), str(document["interval"]["kind"])
        self.k, self.p = int(document["k"]), int(document["p"])
        self.group1, self.group2 = str(document["group1"]), str(document["group2"])
        self.units, self.better = str(document.get("units") or ""), str(document.get("better") or "")
        self.engine = str(self.posterior["engine"])
        self.pooled = "mu" in self.posterior
        self.important = document.get("minimal_important_difference")
        self.decimals = self._decimals()

    def get(self, name: str, default: Any = None) -> Any:
        """Return an entry of the document, or of the details, or the default."""
        found = self.document.get(name, self.details.get(name))
        return default if found is None else found

    @property
    def is_ratio(self) -> bool:
        """Whether the measure is a ratio, analysed as its logarithm."""
        blocks = [*self.classical.values(), *(one.get("theta", {}) for one in self.document["studies"])]
        return any("exp" in one for one in (self.posterior.get("mu", {}), *blocks))

    @property
    def has_scale(self) -> bool:
        """Whether tau differs between studies."""
        return str(self.document.get("scale") or "1").strip() != "1"

    @property
    def is_common(self) -> bool:
        """Whether tau is 0 by assumption."""
        return bool(self.document.get("effects") == "common")

    @property
    def is_counts(self) -> bool:
        """Whether the likelihood is that of counts."""
        return str(self.document.get("likelihood", "normal")) != "normal"

    @property
    def is_sampled(self) -> bool:
        """Whether the answer was sampled."""
        return self.engine == "nuts"

    @property
    def scale(self) -> str:
        """Name of the effect with its units."""
        name = self.effect if self.effect[1:2].isupper() else self.effect[:1].lower() + self.effect[1:]
        return f"{name} in {self.units}" if self.units else name

    @property
    def analysis_scale(self) -> str:
        """Name of the scale on which the model is."""
        return f"log {self.scale}" if self.is_ratio else self.scale

    @property
    def null(self) -> float:
        """Value of no effect on the scale reported."""
        return 1.0 if self.is_ratio else 0.0

    @property
    def credible(self) -> str:
        """Level and kind of posterior intervals."""
        return f"{level(self.prob)} {KINDS[self.kind]} credible interval"

    @property
    def confidence(self) -> str:
        """Level of classical intervals, read off the numbers themselves."""
        return f"{level(self.classical_level)} confidence interval"

    @property
    def classical_level(self) -> float:
        """Level of the classical intervals, which follows from estimate, error and bound."""
        from scipy.special import ndtr

        block = self.classical.get("fixed")
        if not block:
            return self.prob
        if "coefficients" in block:
            block = next(iter(block["coefficients"].values()))
        if not known(block.get("se")) or not known(block.get("upper")):
            return self.prob
        return round(float(2 * ndtr((block["upper"] - block["estimate"]) / block["se"]) - 1), 6)

    def _decimals(self) -> int:
        thetas = [one["theta"] for one in self.document["studies"]]
        block = self.posterior.get("mu") or (thetas[0] if thetas else {})
        return decimals_for(spread_of(block))

    def effect_shown(self, block: Block) -> Shown:
        """Return the posterior of an effect, as a ratio if it is one."""
        return ratio_quantity(block) if "exp" in block else quantity(block, self._own_decimals(block))

    def estimate_shown(self, block: Block) -> Shown:
        """Return a classical effect, as a ratio if it is one."""
        return ratio_estimate(block) if "exp" in block else estimate(block, self._own_decimals(block))

    def _own_decimals(self, block: Block) -> int:
        """Return the decimals of all effects; more only where an effect is much more precise."""
        return max(self.decimals, decimals_for(spread_of(block)) - 1)

    @staticmethod
    def with_own_scale(block: Block) -> str:
        """Return an effect of another measure with the digits that it deserves."""
        if "exp" in block:
            return (ratio_quantity(block) if "median" in block else ratio_estimate(block)).text
        return (quantity(block) if "median" in block else estimate(block)).text

    def with_units(self, text: str) -> str:
        """Return a number with the units of the effect."""
        return f"{text} {self.units}" if self.units else text

    def units_of_tau(self, text: str) -> str:
        """Return a number with the units of tau, which has none where the analysis is of logarithms."""
        return text if self.is_ratio else self.with_units(text)

    def draws_of(self, name: str) -> object:
        """Return the effective number of draws of a quantity; None where it was integrated."""
        return ((self.posterior.get(name) or {}).get("error") or {}).get("ess_bulk")

    @property
    def main_classical(self) -> str:
        """Name of the classical answer that is closest to the Bayesian one."""
        return next((name for name in ("REML_HK", "REML", "DL", "fixed") if name in self.classical), "")

    @property
    def failures(self) -> list[str]:
        """Every reason for not trusting this report as it stands, in words."""
        return [*_unreliable(self.document), *_disagreeing(self.document), *_missed(self.document)]


def _unreliable(document: Block) -> list[str]:
    named = {"the main model": document}
    named |= {f"regression {name}": one for name, one in document["regressions"].items()}
    for by, division in document["subgroups"].items():
        named |= {f"subgroup {name} of {by}": one for name, one in division["groups"].items()}
    bad = [
        name for name, one in named.items() if (one.get("diagnostics") or {}).get("status") == "unreliable"
    ]
    return [f"The fit of {name} is unreliable: the sampler's diagnostics failed." for name in bad]


def _disagreeing(document: Block) -> list[str]:
    return [
        f"NUTS and exact integration disagree for {one['fit']}: by {one['largest_z']:.1f} Monte Carlo "
        "standard "
        f"errors, where chance explains {one['threshold']:.1f}."
        for one in document["agreement"]
        if not one["ok"]
    ]


def _missed(document: Block) -> list[str]:
    return [
        f"The known answer {one['quantity']} was not met." for one in document["expected"] if not one["ok"]
    ]
