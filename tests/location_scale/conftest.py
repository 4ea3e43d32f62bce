"""Six studies of two groups, and location-scale fits of them."""

import numpy as np
import pandas as pd
import pytest

import bayesmeta as bm


@pytest.fixture(scope="session")
def six():
    """Six effects in two groups with a number x."""
    y, sei = [0.12, -0.31, 0.45, 0.92, -0.08, 1.31], [0.11, 0.16, 0.24, 0.13, 0.31, 0.22]
    columns = {"g": list("aaabbb"), "x": np.array([1.0, 4.0, 2.0, 7.0, 5.0, 3.0])}
    return bm.Studies.from_effects(y, sei=sei, data=pd.DataFrame(columns))


@pytest.fixture(scope="session")
def fitted(six):
    """Return a function from fields of a model to the exact fit of the six studies."""

    def fit(**fields):
        given = {"mu": "Normal(0, 1.5)", "beta": "Normal(0, 1)", "tau": "HalfNormal(0.5)"} | fields
        return bm.fit(six, bm.Model(**given), engine="exact")

    return fit


@pytest.fixture(scope="session")
def grouped(fitted):
    return fitted(scale="C(g)")
