"""Numbers have no more digits than their error supports."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from bayesmeta.report.numbers import (
    decimals_for,
    number,
    p_value,
    probability,
    quantity,
    ratio,
    significant,
    written,
)
from bayesmeta.report.predictive import implied, implied_effect

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.0714, 3, "0.071"),
        (-0.0714, 3, "−0.071"),
        (-0.0001, 2, "0.00"),
        (12345678.0, 2, "1.235×10⁷"),
        (1.5e-9, 10, "1.5×10⁻⁹"),
        (-1.5e-9, 10, "−1.5×10⁻⁹"),
        (NAN, 2, "does not exist"),
        (None, 2, "does not exist"),
        (math.inf, 2, "∞"),
        (-math.inf, 2, "−∞"),
        (0, 2, "0.00"),
    ],
)
def test_a_number_has_a_true_minus_and_words_where_there_is_none(value, decimals, text):
    assert number(value, decimals) == text


@pytest.mark.parametrize(
    ("spread", "error", "decimals"),
    [
        (0.011, 0.0, 3),  # two digits of 0.011
        (0.011, 0.0003, 3),
        (0.011, 0.003, 3),  # the last digit is uncertain by three units
        (0.011, 0.0031, 2),
        (0.011, 0.5, 0),
        (9.9, 0.0, 1),
        (120.0, 0.0, 0),
        (0.0, 0.0, 2),
        (NAN, 0.0, 2),
    ],
)
def test_decimals_stop_where_the_monte_carlo_error_does(spread, error, decimals):
    assert decimals_for(spread, error) == decimals


def test_bounds_lose_the_digits_that_their_errors_do_not_support():
    block = {"median": 0.07012, "lower": 0.01149, "upper": 0.12293, "sd": 0.0268}
    errors = {"mcse_median": 0.0003, "mcse_lower": 0.0027, "mcse_upper": 0.0019}
    assert quantity(block | {"error": errors}).text == "0.070 [0.011,\u00a00.123]"
    assert quantity(block | {"error": errors | {"mcse_lower": 0.02}}).text == "0.070 [0.01,\u00a00.12]"
    assert quantity(block | {"error": {"abs": 1e-15}}).text == "0.070 [0.011,\u00a00.123]"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.2726, 0.0, "0.27"),
        (0.0312, 0.0, "0.031"),
        (0.00312, 0.0, "0.0031"),
        (3.669, 0.0, "3.67"),
        (47.21, 0.0, "47.2"),
        (1234.5, 0.0, "1234"),
        (0.2726, 0.2, "0.3"),  # 0.27 times 0.2 is 0.05, above three hundredths
        (NAN, 0.0, "does not exist"),
        (1e-9, 0.0, "1.0×10⁻⁹"),
    ],
)
def test_ratios_have_two_or_three_digits(value, error, text):
    assert ratio(value, error) == text


@pytest.mark.parametrize(
    ("value", "draws", "text"),
    [
        (0.98375, None, "98.4\u00a0%"),
        (0.96, 3000, "96\u00a0%"),  # its standard error is 0.36 percent
        (0.99, 3000, "99.0\u00a0%"),  # 0.18 percent
        (1.0, 4000, "above 99.9\u00a0%"),
        (0.9991, None, "above 99.9\u00a0%"),
        (0.0, None, "below 0.1\u00a0%"),
        (0.001, None, "0.1\u00a0%"),
    ],
)
def test_probabilities_stop_at_what_draws_can_tell(value, draws, text):
    assert probability(value, draws) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3.5e-22, "< 0.001"), (0.0123, "0.012"), (0.4567, "0.46"), (NAN, "–"), (None, "–")]
)
def test_p_values(value, text):
    assert p_value(value) == text


def test_numbers_are_written_out_as_somebody_would():
    assert [written(one) for one in (5e-05, 16.5, 0.0717, -3.0)] == ["0.00005", "16.5", "0.0717", "−3"]
    assert [significant(one, 2) for one in (0.00020123, 1234.0)] == ["0.00020", "1234"]


def test_a_prior_says_its_own_quantiles():
    median, lower, upper = implied("HalfNormal(0.05)")
    expected = 0.05 * norm.ppf([0.75, 0.5125, 0.9875])  # a folded normal
    assert [median, lower, upper] == pytest.approx(list(expected), rel=1e-12)


@pytest.mark.parametrize("text", ["Flat()", "Jeffreys()", "DuMouchel()", "nonsense("])
def test_an_improper_or_adaptive_prior_says_nothing(text):
    assert all(math.isnan(one) for one in implied(text))
    assert all(math.isnan(one) for one in implied_effect("Normal(0, 1)", text))


def test_the_effect_before_any_data_is_that_of_both_priors():
    """The distribution function is an integral over tau that numpy sums: 2 phi(t) Phi(x / sqrt(1 + t^2))."""
    lower, upper = implied_effect("Normal(0, 1)", "HalfNormal(1)")
    tau = np.linspace(0, 12, 20_001)
    density = 2 * norm.pdf(tau) * ndtr(upper / np.sqrt(1 + tau**2))
    assert np.trapezoid(density, tau) == pytest.approx(0.975, abs=0.002)
    assert lower == pytest.approx(-upper, abs=1e-9)


def test_a_prior_of_the_variance_counts_as_one():
    plain, squared = implied_effect("Normal(0, 1)", "Uniform(0, 9)"), None
    squared = implied_effect("Normal(0, 1)", "Uniform(0, 9)", squared=True)
    assert squared[1] < 0.7 * plain[1]
