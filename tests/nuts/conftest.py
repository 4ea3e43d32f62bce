"""Studies and fits that the tests of the sampler share: one sampling process serves them all."""

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.engines.nuts import close
from bayesmeta.problem import pose

ARMS = {
    "m1i": "exercise_mean",
    "sd1i": "exercise_sd",
    "n1i": "exercise_n",
    "m2i": "control_mean",
    "sd2i": "control_sd",
    "n2i": "control_n",
}


@pytest.fixture(scope="session", autouse=True)
def _one_sampling_process():
    yield
    close()


@pytest.fixture(scope="session")
def bmd():
    return bm.effect_sizes(bm.load_dataset("exercise_bmd"), "MD", slab="study", **ARMS)


@pytest.fixture(scope="session")
def refracture():
    arms = {"ai": "exercise_events", "n1i": "exercise_n", "ci": "control_events", "n2i": "control_n"}
    return bm.effect_sizes(bm.load_dataset("exercise_refracture"), "OR", slab="study", **arms)


@pytest.fixture(scope="session")
def eight():
    """Eight effects near 0.5 with standard errors of 0.2 to 1, and two moderators."""
    rng = np.random.default_rng(11)
    sei = np.linspace(0.2, 1, 8)
    moderators = {"x": rng.normal(size=8), "z": rng.normal(size=8)}
    import pandas as pd

    data = pd.DataFrame(moderators)
    return bm.Studies.from_effects(0.5 + sei * rng.normal(size=8), sei=sei, data=data)


@pytest.fixture(scope="session")
def posed():
    """Return a function from studies and fields of a model to a problem."""

    def pose_on(studies, **fields):
        return pose(studies, bm.Model(**fields))

    return pose_on
