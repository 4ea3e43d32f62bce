"""Analysis files: priors that are none, options that there are not, and paths of known answers."""

from __future__ import annotations

import pytest

from bayesmeta.analysis import parse_analysis
from bayesmeta.errors import AnalysisError

GIVEN = """
[analysis]
title = "T"
[data]
file = "trials.csv"
measure = "GEN"
columns = { yi = "effect", sei = "se" }
"""


def refusal(table, entry):
    with pytest.raises(AnalysisError) as caught:
        parse_analysis(f"{GIVEN}[{table}]\n{entry}\n", source="a.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (
            'mu = "Normal(0)"',
            "a.toml:9: [model.priors] mu: Normal(mu, sigma): parameter 'sigma' is missing; got '0'",
        ),
        ('mu = "Normal(0, 0)"', "a.toml:9: [model.priors] mu: Normal.sigma must be a positive number; got 0"),
        (
            'tau = "LogUniform(0, 1)"',
            "a.toml:9: [model.priors] tau: the prior LogUniform, which is 1/tau, is improper at 0, so that"
            " the posterior does not exist; use HalfNormal or HalfCauchy, or Jeffreys()",
        ),
        (
            'tau = "HalfNormal(nan)"',
            "a.toml:9: [model.priors] tau: HalfNormal(sigma): a parameter must be a number; got 'nan'",
        ),
        (
            'tau = "HalfNormal(1e999)"',
            "a.toml:9: [model.priors] tau: HalfNormal.sigma must be a positive number; got inf",
        ),
    ],
)
def test_033_037_038_042_priors_that_are_none_are_refused(entry, sentence):
    assert refusal("model.priors", entry).startswith(sentence)


@pytest.mark.parametrize("cores", [0, -1, 1000])
def test_049_cores_are_nothing_to_be_set(cores):
    assert refusal("engine", f"cores = {cores}") == "a.toml:9: [engine] unknown key 'cores'"


def test_expected_paths_may_name_levels_and_places_in_lists():
    quantity = "regressions.all.coefficients.site[hip].mean"
    text = f'{GIVEN}[[expected]]\nquantity = "{quantity}"\nvalue = 1\ntolerance = 0.1\n'
    assert parse_analysis(text).expected[0].quantity == quantity
    assert parse_analysis(text.replace(quantity, "k")).expected[0].quantity == "k"
