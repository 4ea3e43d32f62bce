"""Published priors by name: what thousands of earlier meta-analyses say of heterogeneity and effects.

All priors of heterogeneity are given as priors of tau, also where a paper gives those of tau2: the square
root of a log-normal (or log-t) variable is one, with half its location and scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import PriorError, is_one_of, suggest, told
from bayesmeta.priors import tables
from bayesmeta.priors.location import Cauchy, Normal, StudentT
from bayesmeta.priors.scale import HalfNormal, InverseGamma, LogNormal, LogStudentT

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from bayesmeta.priors.core import Prior
    from bayesmeta.studies import Studies

TURNER_2015 = (
    "Turner RM, Jackson D, Wei Y, Thompson SG, Higgins JPT (2015). Predictive distributions for "
    "between-study heterogeneity and simple methods for their application in Bayesian meta-analysis. "
    "Stat Med 34:984-998",
    "10.1002/sim.6381",
)
RHODES_2015 = (
    "Rhodes KM, Turner RM, Higgins JPT (2015). Predictive distributions were developed for the extent of "
    "heterogeneity in meta-analyses of continuous outcome data. J Clin Epidemiol 68:52-60",
    "10.1016/j.jclinepi.2014.08.012",
)
BARTOS_2021 = (
    "Bartoš F, Gronau QF, Timmers B, Otte WM, Ly A, Wagenmakers EJ (2021). Bayesian model-averaged "
    "meta-analysis in medicine. Stat Med 40:6743-6761",
    "10.1002/sim.9170",
)
BARTOS_2023 = (
    "Bartoš F, Otte WM, Gronau QF, Timmers B, Ly A, Wagenmakers EJ (2023). Empirical prior distributions for "
    "Bayesian meta-analyses of binary and time to event outcomes. arXiv:2306.11468",
    "10.48550/arXiv.2306.11468",
)
VAN_ERP_2017 = (
    "van Erp S, Verhagen J, Grasman RPPP, Wagenmakers EJ (2017). Estimates of between-study heterogeneity "
    "for 705 meta-analyses reported in Psychological Bulletin from 1990-2013. J Open Psychol Data 5:4",
    "10.5334/jopd.33",
)
CHOICES = ("measure", "parameter", "outcome", "comparison", "area", "field")
"""What a preset can be chosen by."""
ANY = "any"
GENERAL = ("", ANY, "other", "tau", "Cochrane")
"""What is meant where a choice is left out."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A published prior.

    Attributes
    ----------
    name : str
        Author and year.
    prior : Prior
        The prior, on the scale on which effects are analysed: logarithms for ratios.
    parameter : {"tau", "mu"}
        What it is the prior of.
    measure : str
        Effect measure that it was made for.
    outcome, comparison, area, field : str
        Setting that it was made for; empty where the paper has no such choice.
    citation, doi : str
        Where it is from.
    """

    name: str
    prior: Prior
    parameter: str
    measure: str
    source: tuple[str, str]
    outcome: str = ""
    comparison: str = ""
    area: str = ""
    field: str = ""

    @property
    def citation(self) -> str:
        """Authors, year, title and journal."""
        return self.source[0]

    @property
    def doi(self) -> str:
        """Digital object identifier."""
        return self.source[1]


def preset(name: str, **choices: str) -> Prior:
    """Return a published prior.

    Parameters
    ----------
    name : str
        ``"turner2015"`` (log odds ratios), ``"rhodes2015"`` (standardised mean differences),
        ``"bartos2021"`` (standardised mean differences, by medical field), ``"bartos2023"`` (odds, risk and
        hazard ratios, risk differences) or ``"vanerp2017"`` (standardised mean differences in psychology).
    **choices : str
        The setting: ``outcome="all-cause mortality"``, ``comparison="pharmacological vs placebo"``,
        ``area="respiratory"``, ``field="Oral Health"``, ``measure="OR"``, ``parameter="mu"``. A part of the
        words is enough where it is clear. Left out, a choice is the general one, and the parameter is tau.

    Raises
    ------
    PriorError
        If there is no such prior; the message says which there are.

    Notes
    -----
    Its text, ``str(preset(...))``, goes into analysis files.

    The tables of Turner et al. and Rhodes et al. are as in two public transcriptions that agree (the R
    packages bayesmeta and rnmamod); what they disagree on, all of cancer, is left out. Those of Bartoš et al.
    and van Erp et al. are as in the authors' own R package BayesTools.

    Examples
    --------
    >>> str(preset("turner2015", outcome="all-cause mortality", comparison="pharmacological vs placebo"))
    'LogNormal(-1.975, 0.67)'
    """
    known = _by_name()
    folded = name.replace("_", "").replace(" ", "").casefold() if isinstance(name, str) else ""
    if folded not in known:
        hint = suggest(name, known) or f"; the presets are {', '.join(known)}"
        raise PriorError(f"unknown preset {told(name)}{hint}")
    unknown = [choice for choice in choices if choice not in CHOICES]
    if unknown:
        hint = suggest(unknown[0], CHOICES) or f"; the choices are {', '.join(CHOICES)}"
        raise PriorError(f"a preset is not chosen by '{unknown[0]}'{hint}")
    return _chosen(folded, known[folded], choices).prior


def _chosen(name: str, presets: list[Preset], choices: dict[str, str]) -> Preset:
    """Return the one preset that the choices leave, others being the most general."""
    left = presets
    for choice in sorted(CHOICES, key=lambda choice: choice not in choices):
        values = list(dict.fromkeys(getattr(one, choice) for one in left))
        if choice in choices:
            wanted = _matched(name, choice, choices[choice], values)
        else:
            wanted = _general(name, choice, values, {getattr(one, choice) for one in presets})
        left = [one for one in left if getattr(one, choice) == wanted]
    return left[0]


def _general(name: str, choice: str, values: list[str], every: set[str]) -> str:
    """Return the general one of the values left; or the only one that the preset has."""
    found = [value for value in values if value in GENERAL or len(every) == 1]
    if not found:
        raise PriorError(f"preset {name} needs the choice of {choice} here, among {'; '.join(values)}")
    return found[0]


def _matched(name: str, choice: str, given: object, values: list[str]) -> str:
    """Return the one of the values that begins like, or contains, what was given."""
    if not isinstance(given, str):
        raise PriorError(f"preset {name}: the choice of {choice} must be a text; got {told(given)}")
    if not any(values):
        raise PriorError(f"preset {name} has no choice of {choice}; leave it out")
    folded = given.strip().casefold()
    for fits in (str.__eq__, str.startswith, str.__contains__):
        found = [value for value in values if fits(value.casefold(), folded)]
        if len(found) == 1:
            return found[0]
    listed = found or values
    hint = "" if found else suggest(given, values)
    raise PriorError(
        f"preset {name} has no {choice} '{given}'{hint or '; choose among ' + '; '.join(listed)}"
    )


def presets(name: str | None = None) -> pd.DataFrame:
    """Return a table of the published priors, one row each.

    Parameters
    ----------
    name : str, optional
        Show this one alone.

    Returns
    -------
    DataFrame
        Columns ``name measure parameter outcome comparison area field prior median lower upper citation
        doi``; ``prior`` is its text, ``median`` its median and ``lower``, ``upper`` its central 95 % range.

    Raises
    ------
    PriorError
        If there is no such name.
    """
    import pandas as pd

    known = _by_name()
    if name is not None and not is_one_of(name, known):
        hint = suggest(name, known) or f"; there are {', '.join(known)}"
        raise PriorError(f"unknown preset {told(name)}{hint}")
    return pd.DataFrame([_row(one) for one in _every() if name in {None, one.name}])


def _row(one: Preset) -> dict[str, str | float]:
    lower, median, upper = one.prior.quantile(np.array([0.025, 0.5, 0.975]))
    return {
        "name": one.name,
        "measure": one.measure,
        "parameter": one.parameter,
        "outcome": one.outcome,
        "comparison": one.comparison,
        "area": one.area,
        "field": one.field,
        "prior": str(one.prior),
        "median": float(median),
        "lower": float(lower),
        "upper": float(upper),
        "citation": one.citation,
        "doi": one.doi,
    }


@cache
def _by_name() -> dict[str, list[Preset]]:
    found: dict[str, list[Preset]] = {}
    for one in _every():
        found.setdefault(one.name, []).append(one)
    return found


@cache
def _every() -> tuple[Preset, ...]:
    return (*_turner(), *_rhodes(), *_bartos_2021(), *_bartos_2023(), *_van_erp())


def _turner() -> Iterator[Preset]:
    def made(mean: float, sd: float, **setting: str) -> Preset:
        prior = LogNormal(mean / 2, sd / 2)
        return Preset("turner2015", prior, "tau", "OR", TURNER_2015, **setting)

    yield made(*tables.TURNER_ANY, outcome=ANY, comparison=ANY)
    for outcome, cells in tables.rows(tables.TURNER).items():
        for comparison, (mean, sd) in zip(tables.TURNER_COMPARISONS, cells, strict=True):
            yield made(mean, sd, outcome=outcome, comparison=comparison)


def _rhodes() -> Iterator[Preset]:
    def made(location: float, scale: float, **setting: str) -> Preset:
        prior = LogStudentT(5, location / 2, scale / 2)
        return Preset("rhodes2015", prior, "tau", "SMD", RHODES_2015, **setting)

    yield made(*tables.RHODES_ANY, outcome=ANY, comparison=ANY, area=ANY)
    for area, table in (("other", tables.RHODES), ("respiratory", tables.RHODES_RESPIRATORY)):
        for outcome, cells in tables.rows(table).items():
            for comparison, cell in zip(tables.RHODES_COMPARISONS, cells, strict=True):
                if cell:
                    yield made(*cell, outcome=outcome, comparison=comparison, area=area)


def _bartos_2021() -> Iterator[Preset]:
    yield from _of_fields("bartos2021", "SMD", BARTOS_2021, tables.rows(tables.BARTOS_SMD))


def _bartos_2023() -> Iterator[Preset]:
    binary = tables.rows(tables.BARTOS_BINARY)
    for measure, place in (("OR", 0), ("RR", 2)):
        cells = {field: row[place : place + 2] for field, row in binary.items()}
        yield from _of_fields("bartos2023", measure, BARTOS_2023, cells)
    scale, nu, alpha, beta = tables.BARTOS_HR
    yield from _of_fields("bartos2023", "HR", BARTOS_2023, {"Cochrane": [(scale, nu), (alpha, beta)]})
    scale, _, spread = tables.BARTOS_RD
    setting = {"field": "Cochrane"}
    yield Preset("bartos2023", HalfNormal(spread), "tau", "RD", BARTOS_2023, **setting)
    yield Preset("bartos2023", Cauchy(0, scale), "mu", "RD", BARTOS_2023, **setting)


def _of_fields(
    name: str, measure: str, source: tuple[str, str], rows: dict[str, list[tuple[float, ...]]]
) -> Iterator[Preset]:
    """Yield the priors of tau and of the mean effect in each field, all of Cochrane first."""
    for field in sorted(rows, key=lambda field: field != "Cochrane"):
        effect, heterogeneity = rows[field]
        if heterogeneity:
            alpha, beta = heterogeneity
            yield Preset(name, InverseGamma(alpha, beta), "tau", measure, source, field=field)
        scale, nu = effect
        yield Preset(name, StudentT(nu, 0, scale), "mu", measure, source, field=field)


def _van_erp() -> Iterator[Preset]:
    yield Preset("vanerp2017", InverseGamma(1, 0.15), "tau", "SMD", VAN_ERP_2017, field="psychology")


def _check_studies(studies: object) -> None:
    from bayesmeta.studies import Studies

    if not isinstance(studies, Studies):
        got = type(studies).__name__
        advice = "give fit.studies" if got == "Fit" else "make them by bm.effect_sizes"
        raise PriorError(f"unit_information takes bm.Studies with sample sizes; got {got}; {advice}")


def unit_information(studies: Studies, *, center: float = 0.0) -> Prior:
    """Return the normal prior that is worth one observation.

    Parameters
    ----------
    studies : Studies
        Studies with sample sizes; effects do not count.
    center : float
        Mean of the prior.

    Raises
    ------
    PriorError
        If sample sizes are unknown.

    Notes
    -----
    Its standard deviation is ``sqrt(sum n / sum 1/v)``.

    References
    ----------
    Röver C, Bender R, Dias S, et al (2021). On weakly informative prior distributions for the heterogeneity
    parameter in Bayesian random-effects meta-analysis. Res Synth Methods 12:448-474. doi:10.1002/jrsm.1475
    """
    _check_studies(studies)
    if not strictly_between(center, -inf, inf):
        raise PriorError(f"center must be a number, the mean of the prior; got {told(center)}")
    if studies.ni is None:
        raise PriorError("unit_information needs the sample sizes of the studies; give ni to Studies")
    usable = studies.estimable
    return Normal(center, float(np.sqrt(studies.ni[usable].sum() / np.sum(1 / studies.vi[usable]))))
