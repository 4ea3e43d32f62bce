"""Effect sizes: one pure function a measure, and the registry that knows them all.

Names, arguments and conventions are metafor's: group 1 is treatment, group 2 control; half an event is added
to every cell of a table with a zero in it (``add=0.5, to="only0"``).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from bayesmeta.effectsizes import continuous, rates, tables2x2
from bayesmeta.effectsizes.core import Effects, Measure, added_constant
from bayesmeta.errors import AnalysisError, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MEASURES", "Effects", "Measure", "added_constant", "find_measure"]

MEANS = ("m1i", "sd1i", "n1i", "m2i", "sd2i", "n2i")
SPREADS = ("sd1i", "n1i", "sd2i", "n2i")
TABLE = ("ai", "n1i", "ci", "n2i")
CELLS = ("ai", "bi", "ci", "di")
RATES = ("x1i", "t1i", "x2i", "t2i")


def _table(
    name: str,
    label: str,
    function: Callable[..., Effects],
    *,
    log: bool = False,
    default_scale: float | None = None,
    corrects_zeros: bool = True,
) -> Measure:
    return Measure(
        name,
        label,
        TABLE,
        function,
        log=log,
        default_scale=default_scale,
        kind="table",
        alternative=CELLS,
        corrects_zeros=corrects_zeros,
    )


def _single(
    name: str,
    label: str,
    columns: tuple[str, ...],
    function: Callable[..., Effects],
    kind: str,
    *,
    log: bool = False,
    default_scale: float | None = None,
    corrects_zeros: bool = False,
) -> Measure:
    return Measure(
        name,
        label,
        columns,
        function,
        log=log,
        groups=1,
        default_scale=default_scale,
        kind=kind,
        corrects_zeros=corrects_zeros,
    )


_ALL = (
    Measure("GEN", "Effect", (), None),
    Measure("HR", "Hazard ratio", (), None, log=True, default_scale=2.0),
    Measure("MD", "Mean difference", MEANS, continuous.mean_difference, kind="means", vtypes=("LS", "HO")),
    Measure(
        "SMD",
        "Standardized mean difference",
        MEANS,
        continuous.standardized_mean_difference,
        default_scale=2.0,
        kind="means",
        vtypes=("LS", "UB", "LS2", "AV"),
    ),
    Measure(
        "SMDH",
        "Standardized mean difference (unequal variances)",
        MEANS,
        continuous.heteroscedastic_mean_difference,
        default_scale=2.0,
        kind="means",
    ),
    Measure("ROM", "Ratio of means", MEANS, continuous.log_ratio_of_means, log=True, kind="means"),
    Measure(
        "CVR",
        "Coefficient of variation ratio",
        MEANS,
        continuous.log_coefficient_of_variation_ratio,
        log=True,
        kind="means",
    ),
    Measure("VR", "Variability ratio", SPREADS, continuous.log_variability_ratio, log=True, kind="means"),
    _table("OR", "Odds ratio", tables2x2.log_odds_ratio, log=True, default_scale=2.0),
    _table("RR", "Risk ratio", tables2x2.log_risk_ratio, log=True, default_scale=2.0),
    _table("RD", "Risk difference", tables2x2.risk_difference),
    _table("PETO", "Odds ratio (Peto)", tables2x2.peto_log_odds_ratio, log=True, default_scale=2.0),
    _table("AS", "Arcsine risk difference", tables2x2.arcsine_risk_difference, corrects_zeros=False),
    _table("PHI", "Phi coefficient", tables2x2.phi_coefficient, corrects_zeros=False),
    _table("YUQ", "Yule's Q", tables2x2.yule_q),
    _table("YUY", "Yule's Y", tables2x2.yule_y),
    _table(
        "OR2DL",
        "Standardized mean difference (from odds ratio, logistic)",
        tables2x2.smd_from_odds_ratio_logistic,
        default_scale=2.0,
    ),
    _table(
        "OR2DN",
        "Standardized mean difference (from odds ratio, normal)",
        tables2x2.smd_from_odds_ratio_normal,
        default_scale=2.0,
    ),
    Measure(
        "IRR",
        "Incidence rate ratio",
        RATES,
        rates.log_incidence_rate_ratio,
        log=True,
        default_scale=2.0,
        kind="rates",
        corrects_zeros=True,
    ),
    Measure(
        "IRD",
        "Incidence rate difference",
        RATES,
        rates.incidence_rate_difference,
        kind="rates",
        corrects_zeros=True,
    ),
    Measure(
        "IRSD",
        "Square-root incidence rate difference",
        RATES,
        rates.root_incidence_rate_difference,
        kind="rates",
    ),
    _single("MN", "Mean", ("mi", "sdi", "ni"), continuous.raw_mean, "mean"),
    _single("PR", "Proportion", ("xi", "ni"), rates.proportion, "proportion", corrects_zeros=True),
    _single(
        "PLN", "Proportion", ("xi", "ni"), rates.log_proportion, "proportion", log=True, corrects_zeros=True
    ),
    _single(
        "PLO", "Logit proportion", ("xi", "ni"), rates.logit_proportion, "proportion", corrects_zeros=True
    ),
    _single("PAS", "Arcsine proportion", ("xi", "ni"), rates.arcsine_proportion, "proportion"),
    _single("PFT", "Double arcsine proportion", ("xi", "ni"), rates.double_arcsine_proportion, "proportion"),
    _single(
        "IRLN",
        "Incidence rate",
        ("xi", "ti"),
        rates.log_incidence_rate,
        "rate",
        log=True,
        corrects_zeros=True,
    ),
    _single("COR", "Correlation", ("ri", "ni"), rates.correlation, "correlation"),
    _single("ZCOR", "Fisher z correlation", ("ri", "ni"), rates.fisher_z, "correlation", default_scale=1.0),
)

MEASURES: Mapping[str, Measure] = MappingProxyType({measure.name: measure for measure in _ALL})
"""Every measure by its name."""


def find_measure(name: str) -> Measure:
    """Return the measure called `name`.

    Parameters
    ----------
    name : str
        metafor's abbreviation, in capitals.

    Raises
    ------
    AnalysisError
        If there is no such measure.

    Examples
    --------
    >>> find_measure("OR").analysis_label
    'Log odds ratio'
    """
    if not isinstance(name, str) or name not in MEASURES:
        hint = suggest(str(name), MEASURES) or f"; known measures are {', '.join(MEASURES)}"
        raise AnalysisError(f"unknown measure '{name}'{hint}")
    return MEASURES[name]
