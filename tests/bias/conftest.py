"""The studies that the tests of small-study effects share."""

from __future__ import annotations

import pytest

import bayesmeta as bm


@pytest.fixture(scope="session")
def bcg():
    return bm.effect_sizes(
        bm.load_dataset("bcg"), "OR", slab="study", ai="tpos", bi="tneg", ci="cpos", di="cneg", better="lower"
    )


@pytest.fixture(scope="session")
def bmd():
    columns = {
        "m1i": "exercise_mean", "sd1i": "exercise_sd", "n1i": "exercise_n",
        "m2i": "control_mean", "sd2i": "control_sd", "n2i": "control_n",
    }  # fmt: skip
    return bm.effect_sizes(bm.load_dataset("exercise_bmd"), "MD", slab="study", better="higher", **columns)


@pytest.fixture(scope="session")
def bmd_model():
    return bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)")


@pytest.fixture(scope="session")
def four():
    """Four studies small enough for brute force."""
    return bm.Studies.from_effects([0.5, 0.1, 0.9, 0.3], sei=[0.2, 0.15, 0.4, 0.1])
