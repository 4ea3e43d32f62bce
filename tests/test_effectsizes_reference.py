"""Agreement of every effect size with R's metafor (`escalc`), on every reference data set.

The values in `tests/reference/*.json` have 15 digits; effects and standard errors must agree to 1e-10 of
a standard error.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bayesmeta.effectsizes import MEASURES
from bayesmeta.studies import effect_sizes

FOLDER = Path(__file__).parent / "reference"
CLOSED_FORM = 1e-10
SPECIAL = {"NA": np.nan, "NaN": np.nan, "Inf": np.inf, "-Inf": -np.inf}

NOT_IN_REFERENCE = {"GEN", "HR", "IRLN"}
"""Two are only given ready-made; IRLN is computed by hand in `test_effectsizes.py`."""
NOT_OURS = {"UCOR"}
"""Measures of R that the package does not have."""


@cache
def reference(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def numbers(values):
    return np.array([SPECIAL.get(value, value) for value in values], dtype=float)


JOBS = [
    (path.stem, job)
    for path in sorted(FOLDER.glob("*.json"))
    for job, content in json.loads(path.read_text()).get("escalc", {}).items()
    if content["measure"] not in NOT_OURS
]


def computed(name, job):
    """Return our studies for a job of R, with R's columns and options."""
    content = reference(name)
    theirs = content["escalc"][job]
    accepted = MEASURES[theirs["measure"]].accepted  # R ignores the means of a variability ratio
    columns = {a: content["data"][column] for a, column in theirs["columns"].items() if a in accepted}
    return effect_sizes({}, theirs["measure"], **columns, **dict(theirs["extra_args"] or {}))


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_effects_and_variances_agree_with_metafor(name, job):
    theirs = reference(name)["escalc"][job]
    yi, vi = numbers(theirs["yi"]), numbers(theirs["vi"])
    ours = computed(name, job)
    estimable = np.isfinite(yi) & np.isfinite(vi) & (vi > 0)
    np.testing.assert_array_equal(ours.estimable, estimable)
    se = np.sqrt(vi[estimable])
    assert np.all(np.abs(ours.yi[estimable] - yi[estimable]) <= CLOSED_FORM * se)
    assert np.all(np.abs(ours.sei[estimable] - se) <= CLOSED_FORM * se)


def test_every_job_of_metafor_is_compared():
    assert len(JOBS) == 206


def test_every_measure_is_compared():
    compared = {reference(name)["escalc"][job]["measure"] for name, job in JOBS}
    assert set(MEASURES) - compared == NOT_IN_REFERENCE


@pytest.mark.parametrize("name", ["bcg", "refracture", "hine1989", "hart1999", "curtis1998"])
def test_the_main_analysis_of_a_data_set_uses_the_effects_of_its_measure(name):
    content = reference(name)
    main = content["main"]
    rows = np.array(main["used_rows"]) - 1
    ours = computed(name, main["measure"])
    yi, vi = numbers(main["yi"])[rows], numbers(main["vi"])[rows]
    assert np.all(np.abs(ours.yi[rows] - yi) <= CLOSED_FORM * np.sqrt(vi))
