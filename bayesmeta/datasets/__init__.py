"""Data sets that come with the package: the review that is the running example, and classic small sets."""

from __future__ import annotations

import csv
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bayesmeta.errors import AnalysisError, is_one_of, suggest, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from bayesmeta.tables import Table


class DatasetInfo(NamedTuple):
    """What is known of a bundled data set."""

    name: str
    """Name to load it by."""
    title: str
    """What it is about."""
    source: str
    """Citation."""
    label: str
    """Column of the study labels."""


_REVIEW = (
    "Yu et al. (2025), systematic review and meta-analysis of exercise after osteoporotic fracture, "
    "as printed, typing errors included"
)

_ALL = (
    DatasetInfo(
        "exercise_bmd",
        "Exercise after osteoporotic fracture: bone mineral density (g/cm2), Fig. 3 with Table 1",
        _REVIEW,
        "study",
    ),
    DatasetInfo("exercise_bmd_fig4", "The same by type of exercise, as printed in Fig. 4", _REVIEW, "study"),
    DatasetInfo("exercise_bmd_fig5", "The same by fracture site, as printed in Fig. 5", _REVIEW, "study"),
    DatasetInfo(
        "exercise_bmd_fig7", "The same by tradition of exercise, as printed in Fig. 7", _REVIEW, "study"
    ),
    DatasetInfo(
        "exercise_refracture", "Exercise after osteoporotic fracture: refracture, Fig. 8", _REVIEW, "study"
    ),
    DatasetInfo("published_claims", "Every pooled number that the review prints", _REVIEW, "id"),
    DatasetInfo(
        "eight_schools",
        "Coaching for the SAT in eight schools",
        "Rubin DB (1981). Estimation in parallel randomized experiments. J Educ Stat 6:377-401. "
        "doi:10.3102/10769986006004377",
        "school",
    ),
    DatasetInfo(
        "bcg",
        "BCG vaccine against tuberculosis",
        "Colditz GA, et al (1994). Efficacy of BCG vaccine in the prevention of tuberculosis. "
        "JAMA 271:698-702. doi:10.1001/jama.1994.03510330076038",
        "study",
    ),
    DatasetInfo(
        "crins2014",
        "Interleukin-2 receptor antagonists in paediatric liver transplantation",
        "Crins ND, et al (2014). Interleukin-2 receptor antagonists for pediatric liver transplant "
        "recipients. Pediatr Transplant 18:839-850. doi:10.1111/petr.12362",
        "publication",
    ),
    DatasetInfo(
        "curtis1998",
        "Elevated CO2 and woody plant biomass",
        "Curtis PS, Wang X (1998). A meta-analysis of elevated CO2 effects on woody plant mass, form, and "
        "physiology. Oecologia 113:299-313. doi:10.1007/s004420050381",
        "id",
    ),
    DatasetInfo(
        "hart1999",
        "Warfarin against stroke",
        "Hart RG, et al (1999). Antithrombotic therapy to prevent stroke in patients with atrial "
        "fibrillation. Ann Intern Med 131:492-501. doi:10.7326/0003-4819-131-7-199910050-00003",
        "study",
    ),
    DatasetInfo(
        "konstantopoulos2011",
        "Modified school calendars, schools within districts",
        "Konstantopoulos S (2011). Fixed effects and variance components estimation in three-level "
        "meta-analysis. Res Synth Methods 2:61-76. doi:10.1002/jrsm.35",
        "study",
    ),
    DatasetInfo(
        "molloy2014",
        "Conscientiousness and taking medication",
        "Molloy GJ, et al (2014). Conscientiousness and medication adherence. Ann Behav Med 47:92-101. "
        "doi:10.1007/s12160-013-9524-4",
        "study",
    ),
    DatasetInfo(
        "nielweise2007",
        "Anti-infective catheters against bloodstream infection",
        "Niel-Weise BS, et al (2007). Anti-infective-treated central venous catheters. Intensive Care Med "
        "33:2058-2068. doi:10.1007/s00134-007-0897-3",
        "study",
    ),
    DatasetInfo(
        "normand1999",
        "Length of stay of stroke patients in specialist care",
        "Normand SL (1999). Meta-analysis: formulating, evaluating, combining, and reporting. Stat Med "
        "18:321-359. doi:10.1002/(SICI)1097-0258(19990215)18:3<321::AID-SIM28>3.0.CO;2-P",
        "source",
    ),
    DatasetInfo(
        "pritz1997",
        "Hyperdynamic therapy of cerebral vasospasm",
        "Pritz MB (1997). Treatment of cerebral vasospasm due to aneurysmal subarachnoid hemorrhage. "
        "Neurosurg Q 7:273-285.",
        "authors",
    ),
    DatasetInfo(
        "raudenbush1985",
        "Teachers' expectations and pupils' IQ",
        "Raudenbush SW (1984). Magnitude of teacher expectancy effects on pupil IQ. J Educ Psychol 76:85-97. "
        "doi:10.1037/0022-0663.76.1.85",
        "study",
    ),
)

DATASETS: Mapping[str, DatasetInfo] = MappingProxyType({one.name: one for one in _ALL})
"""Every data set by its name."""


def list_datasets() -> tuple[DatasetInfo, ...]:
    """Return what is known of every bundled data set."""
    return tuple(DATASETS.values())


def find_dataset(name: str) -> DatasetInfo:
    """Return what is known of the data set called `name`.

    Raises
    ------
    AnalysisError
        If there is none; the message names the nearest.
    """
    if not is_one_of(name, DATASETS):
        hint = suggest(name, DATASETS) or f"; the data sets are {', '.join(DATASETS)}"
        raise AnalysisError(f"unknown data set {told(name)}{hint}")
    return DATASETS[name]


def load_table(name: str) -> Table:
    """Return a bundled data set as a table, without pandas.

    Raises
    ------
    AnalysisError
        If there is no such data set.
    """
    from bayesmeta.tables import Table

    info = find_dataset(name)
    path = resources.files(__name__).joinpath(f"{name}.csv")
    header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    columns = {
        title: cells if title == info.label else _numbers_or_text(cells)
        for title, cells in zip(header, zip(*rows, strict=True), strict=True)
    }
    return Table.of({title: list(cells) for title, cells in columns.items()})


def _numbers_or_text(cells: tuple[str, ...]) -> tuple[float | str | None, ...]:
    try:
        return tuple(float(cell) if cell else None for cell in cells)
    except ValueError:
        return cells


def load_dataset(name: str) -> pd.DataFrame:
    """Return a bundled data set as a DataFrame.

    Parameters
    ----------
    name : str
        One of those that `list_datasets` gives.

    Raises
    ------
    AnalysisError
        If there is no such data set.

    Examples
    --------
    >>> load_dataset("exercise_bmd")["study"].tolist()[:2]
    ['Deng 2018', 'Ding 2020']
    """
    import pandas as pd

    return pd.DataFrame(dict(load_table(name).columns))
