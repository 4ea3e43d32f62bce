"""Studies that the tests of regressions share."""

from __future__ import annotations

import numpy as np
import pytest

import bayesmeta as bm


@pytest.fixture(scope="session")
def bcg():
    columns = {"ai": "tpos", "bi": "tneg", "ci": "cpos", "di": "cneg"}
    return bm.effect_sizes(bm.load_dataset("bcg"), "RR", slab="study", **columns)


@pytest.fixture(scope="session")
def exercise():
    treated = {"m1i": "exercise_mean", "sd1i": "exercise_sd", "n1i": "exercise_n"}
    control = {"m2i": "control_mean", "sd2i": "control_sd", "n2i": "control_n"}
    return bm.effect_sizes(bm.load_dataset("exercise_bmd"), "MD", slab="study", **treated, **control)


@pytest.fixture(scope="session")
def four():
    """Four studies, small enough for brute force."""
    data = {"dose": np.array([1.0, 2.0, 2.0, 5.0]), "site": ["a", "b", "a", "b"]}
    return bm.Studies.from_effects([0.1, 0.45, 0.2, 0.6], sei=[0.1, 0.15, 0.2, 0.12], data=data)
