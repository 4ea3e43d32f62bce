"""Cases in which an integral is easily cut off or loses its digits, against 30-digit arithmetic.

``golden/make_hard.py`` makes the values with mpmath and nothing of the package.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.errors import NumericalError

CASES = json.loads((Path(__file__).parent / "golden" / "hard.json").read_text())
PROBABILITIES = {"q000001": 1e-6, "q025": 0.025, "q50": 0.5, "q975": 0.975}
NAMES = {"beta0": "mu", "tau": "tau", "theta_new": "theta_new"}


def fitted(case):
    prior = "Flat()" if case["beta"] is None else f"Normal({', '.join(case['beta'])})"
    studies = bm.Studies.from_effects(
        [float(value) for value in case["y"]], sei=[float(value) for value in case["s"]]
    )
    return bm.fit(studies, bm.Model(mu=prior, tau=f"{case['family']}({', '.join(case['a'])})"))


def ours(fit, name):
    quantity, part = name.split(".")
    label = f"theta[{fit.studies.slab[0]}]"
    marginal = fit.marginal(NAMES.get(quantity, label))
    return marginal.quantile(PROBABILITIES[part]) if part in PROBABILITIES else getattr(marginal, part)


def width(case, name):
    values = {key: float(value) for key, value in case["values"].items()}
    quantity = name.split(".")[0]
    if quantity == "tau":
        return values["tau.q975"]
    return (values[f"{quantity}.q975"] - values[f"{quantity}.q025"]) / 4


@pytest.mark.parametrize("name", CASES)
def test_hard_cases_are_met_to_nine_digits(name):
    case = CASES[name]
    fit = fitted(case)
    assert fit.log_evidence == pytest.approx(float(case["values"]["log_evidence"]), rel=1e-12)
    offset = float(case["y"][0]) if name == "effects near 1e12" else 0.0
    for key, text in case["values"].items():
        if key == "log_evidence":
            continue
        far = offset if not key.startswith("tau") and not key.endswith(".sd") else 0.0
        tolerance = 1e-9 * abs(float(text) - far) + 1e-11 * width(case, key) + 2 * np.spacing(far)
        assert abs(ours(fit, key) - float(text)) <= tolerance, key


def test_a_vague_prior_does_not_cut_off_where_the_heterogeneity_is_small():
    # mpmath in 30 digits, adaptive quadrature on asinh(tau / s) from 0 to 21 with the peak inside
    marginal = fitted(CASES["a vague prior and an outlier"]).marginal("I2")
    assert marginal.sd == pytest.approx(0.819757583270131838, rel=1e-11)
    assert marginal.mean == pytest.approx(99.1802713876512452, rel=1e-13)


def test_a_moment_whose_tail_hardly_falls_is_refused_though_it_exists():
    # InverseGamma(0.001, 0.001), k = 4: moments of tau exist below 1.001 + 4 - 1 - 1 = 3.001
    fit = fitted(CASES["a prior whose tail hardly falls"])
    assert fit.marginal("tau").sd > 0
    message = (
        "moment 3 of tau exists, but its tail falls too slowly to be integrated; use a prior of tau with a "
        "lighter tail, such as HalfNormal or HalfCauchy, or take the median and intervals of "
        "fit.marginal(name), which exist all the same"
    )
    with pytest.raises(NumericalError) as caught:
        fit.marginal("tau").skewness  # noqa: B018 - asking is what raises
    assert str(caught.value) == message
    with pytest.raises(NumericalError) as caught:
        fit.marginal("mu").skewness  # noqa: B018
    assert str(caught.value) == message.replace("of tau exists", "of an effect exists")


def test_effects_near_1e12_have_the_tables_of_those_near_zero():
    case = CASES["effects near 1e12"]
    far = fitted(case)
    near = fitted({**case, "y": [repr(float(value) - 1e12) for value in case["y"]]})
    one, other = far.summary(), near.summary()
    for column in ("sd",):
        np.testing.assert_allclose(one[column], other[column], rtol=1e-11)
    for column in ("mode", "median", "mean", "lower", "upper"):
        shifts = np.array([1e12, 0.0, 1e12])
        np.testing.assert_allclose(one[column] - shifts, other[column], rtol=1e-9, atol=2.5e-4)


@pytest.mark.parametrize("name", ["a vague prior and two studies", "the same under another prior"])
def test_each_quantity_has_an_error_of_its_own_that_bounds_its_distance_from_the_truth(name):
    case = CASES[name]
    fit = fitted(case)
    errors = {}
    for quantity, ours_is in NAMES.items():
        true = [float(case["values"][f"{quantity}.{part}"]) for part in ("q50", "q975")]
        marginal, error = fit.marginal(ours_is), fit.error(ours_is)["abs"]
        distance = np.abs([marginal.median - true[0], marginal.interval().upper - true[1]]).max()
        assert distance <= error + 4e-14 * width(case, f"{quantity}.sd")
        assert error <= 1e-8 * width(case, f"{quantity}.sd")
        errors[quantity] = error
    assert len(set(errors.values())) == len(errors)
    assert max(errors.values()) > 0
