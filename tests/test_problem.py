"""`pose`: default priors, centring, and which studies take part.

Expected scales are computed here from their formulas: unit information sqrt(sum n / sum 1/v) (Röver et al.
2021, section 3.4), 0.2458 for the BMD trials (tests/reference/_misc_priors_transforms.json, R's uisd).
"""

from __future__ import annotations

import json
from math import inf, sqrt
from pathlib import Path

import numpy as np
import pytest

from bayesmeta.datasets import load_dataset
from bayesmeta.errors import DataError, ModelError, PriorError
from bayesmeta.fitting import fit
from bayesmeta.model import Model
from bayesmeta.priors import (
    DuMouchel,
    Fixed,
    Flat,
    HalfFlat,
    HalfNormal,
    Laplace,
    LogNormal,
    Normal,
    OfSquare,
)
from bayesmeta.problem import pose, priors_in_force
from bayesmeta.sensitivity import with_priors_of
from bayesmeta.studies import Studies, effect_sizes

REFERENCE = Path(__file__).parent / "reference"
UISD = json.loads((REFERENCE / "_misc_priors_transforms.json").read_text(encoding="utf-8"))["uisd_bmd"][
    "uisd"
]
ARMS = {
    "m1i": "exercise_mean",
    "sd1i": "exercise_sd",
    "n1i": "exercise_n",
    "m2i": "control_mean",
    "sd2i": "control_sd",
    "n2i": "control_n",
}


@pytest.fixture(scope="module")
def bmd():
    return effect_sizes(load_dataset("exercise_bmd"), "MD", slab="study", **ARMS)


def effects(measure, **options):
    given = {"yi": [0.1, 0.4, 0.2], "sei": [0.1, 0.2, 0.2], "data": {"x": [0.0, 1.0, 5.0]}}
    return Studies.from_effects(**(given | options), measure=measure)


def refused(kind, studies, **fields):
    with pytest.raises(kind) as caught:
        pose(studies, Model(**fields))
    return str(caught.value)


# Default priors


@pytest.mark.parametrize("measure", ["SMD", "OR", "RR", "IRR", "HR"])
def test_conventional_scale_is_two(measure):
    priors = pose(effects(measure), Model(mods="x")).priors
    assert priors.mu == Normal(0, 2)
    assert priors.tau == HalfNormal(0.5)
    # The column is 0, 1, 5: mean 2, sd sqrt((4 + 1 + 9) / 2) = sqrt(7).
    assert priors.beta[1].sigma == pytest.approx(2 / (4 * sqrt(7)), rel=1e-14)
    assert priors.defaults == {"mu", "beta", "tau"}


def test_scale_of_fisher_z_is_one():
    priors = pose(effects("ZCOR"), Model()).priors
    assert (priors.mu, priors.tau) == (Normal(0, 1), HalfNormal(0.25))
    assert priors.defaults == {"mu", "tau"}


@pytest.mark.parametrize("measure", ["MD", "ROM", "RD"])
def test_other_contrasts_have_the_unit_information_scale(measure):
    priors = pose(effects(measure, ni=[20, 10, 30]), Model(mods="x")).priors
    u = sqrt(60 / (100 + 25 + 25))
    assert priors.mu.sigma == pytest.approx(u, rel=1e-14)
    assert priors.tau.sigma == pytest.approx(u / 4, rel=1e-14)
    assert priors.beta[1].sigma == pytest.approx(u / (4 * sqrt(7)), rel=1e-14)


def test_unit_information_scale_of_the_bmd_trials_is_the_published_function_s(bmd):
    priors = pose(bmd, Model()).priors
    assert priors.mu.sigma == pytest.approx(UISD, rel=1e-12)
    assert priors.tau.sigma == pytest.approx(UISD / 4, rel=1e-12)
    assert f"{priors.mu.sigma:.3f}" == "0.246"


def test_default_scale_never_looks_at_the_effects():
    first = pose(effects("MD", ni=[20, 10, 30]), Model(mods="x")).priors
    second = pose(effects("MD", ni=[20, 10, 30], yi=[7.0, -40.0, 100.0]), Model(mods="x")).priors
    assert first == second


@pytest.mark.parametrize(
    ("measure", "columns"),
    [
        ("MN", {"mi": [5.0, 6.0, 8.0], "sdi": [1.0, 2.0, 2.0], "ni": [20, 10, 30]}),
        ("PLO", {"xi": [5, 6, 8], "ni": [20, 10, 30]}),
    ],
)
def test_measures_of_one_group_have_a_flat_mean(measure, columns):
    studies = effect_sizes(columns, measure, **{name: name for name in columns})
    priors = pose(studies, Model()).priors
    assert priors.mu == Flat()
    u = sqrt(60 / np.sum(1 / studies.vi))
    conventional = {"PLO": 2.0}.get(measure, u)
    assert priors.tau.sigma in (pytest.approx(u / 4, rel=1e-13), pytest.approx(conventional / 4, rel=1e-13))


def test_effects_of_unknown_kind_without_sizes_need_priors():
    assert refused(PriorError, effects("GEN"), tau="HalfNormal(1)") == (
        "there is no default prior of mu for effects of unknown kind without sample sizes; give both, in "
        'the units of the effects, such as mu = "Normal(0, 4)" and tau = "HalfNormal(0.4)"'
    )
    assert refused(PriorError, effects("GEN"), mu="Normal(0, 1)") == (
        "there is no default prior of tau for effects of unknown kind without sample sizes; give both, in "
        'the units of the effects, such as mu = "Normal(0, 4)" and tau = "HalfNormal(0.4)"'
    )


def test_effects_of_unknown_kind_with_sizes_have_the_unit_information_scale():
    priors = pose(effects("GEN", ni=[20, 10, 30]), Model()).priors
    assert priors.mu.sigma == pytest.approx(sqrt(60 / 150), rel=1e-14)


def test_given_priors_are_taken_and_not_called_defaults():
    model = Model(mods="x", mu="Normal(0, 1)", beta="Laplace(0, 1)", tau="HalfNormal(1)")
    priors = pose(effects("GEN"), model).priors
    assert (priors.mu, priors.beta, priors.tau) == (
        Normal(0, 1),
        (Normal(0, 1), Laplace(0, 1)),
        HalfNormal(1),
    )
    assert priors.defaults == frozenset()


def test_defaults_fill_the_coefficients_that_have_no_prior_by_name():
    studies = effects("SMD", data={"x": [0.0, 1.0, 5.0], "z": [1.0, 0.0, 1.0]})
    priors = pose(studies, Model(mods="x + z", beta={"z": "Normal(0, 9)"})).priors
    assert priors.beta[2] == Normal(0, 9)
    assert priors.beta[1].sigma == pytest.approx(0.5 / sqrt(7), rel=1e-14)
    assert priors.defaults == {"mu", "beta", "tau"}


def test_prior_of_an_unknown_coefficient_is_refused():
    message = refused(PriorError, effects("SMD"), mods="x", beta={"xx": "Normal(0, 1)"})
    assert message == "no coefficient 'xx' to put a prior on; did you mean 'x'?"
    message = refused(PriorError, effects("SMD"), beta={"duration": "Normal(0, 1)"})
    assert message == "no coefficient 'duration' to put a prior on; the coefficients are none"


def test_means_of_all_levels_have_the_prior_of_mu():
    studies = effects("SMD", data={"g": ["a", "b", "b"]})
    problem = pose(studies, Model(mods="0 + C(g)", mu="Normal(0, 7)"))
    assert problem.priors.beta == (Normal(0, 7), Normal(0, 7))


def test_subsets_keep_the_scale_of_the_whole_table(bmd):
    whole = fit(bmd, Model(mods="duration_months"))
    model = with_priors_of(whole)
    for subset in (bmd.without(0), bmd.take([0, 3, 5, 7])):
        assert pose(subset, model).priors.mu == whole.priors.mu
        assert pose(subset, model).priors.tau == whole.priors.tau
        assert pose(subset, model).priors.beta == whole.priors.beta
        assert pose(subset, Model()).priors.mu != whole.priors.mu


# Densities of tau


def test_prior_of_tau2_becomes_a_density_of_tau():
    priors = pose(effects("GEN"), Model(mu="Flat()", tau2="LogNormal(-2, 1)")).priors
    assert priors.tau_on == "tau2"
    assert priors.tau == LogNormal(-2, 1)
    assert priors.tau_density == OfSquare(LogNormal(-2, 1))


def test_fixed_tau2_is_a_fixed_tau():
    priors = pose(effects("GEN"), Model(mu="Flat()", tau2="Fixed(0.09)")).priors
    assert priors.tau_density == Fixed(0.3)


def test_common_effect_is_tau_zero_without_a_default():
    priors = pose(effects("SMD"), Model(effects="common")).priors
    assert priors.tau_density == Fixed(0)
    assert priors.defaults == {"mu"}


def test_flat_prior_of_tau_lives_above_zero():
    priors = pose(effects("GEN"), Model(mu="Flat()", tau="Flat()")).priors
    assert str(priors.tau) == "Flat()"
    assert priors.tau_density == HalfFlat()


def test_adaptive_prior_is_bound_to_the_variances():
    studies = effects("GEN")
    priors = pose(studies, Model(mu="Flat()", tau="DuMouchel()")).priors
    s0 = sqrt(3 / (100 + 25 + 25))
    assert priors.tau_density == DuMouchel().bind(studies.vi)
    assert float(np.exp(priors.tau_density.logpdf(np.array(0.2)))) == pytest.approx(s0 / (s0 + 0.2) ** 2)


def test_adaptive_prior_of_tau2_is_refused():
    assert refused(PriorError, effects("GEN"), mu="Flat()", tau2="DuMouchel()") == (
        'DuMouchel() is a prior of tau; write tau = "DuMouchel()" instead of tau2'
    )


# Centring


def test_priors_apply_to_centred_columns():
    problem = pose(effects("SMD"), Model(mods="x"))
    np.testing.assert_allclose(problem.shift, [0, 2], rtol=1e-15)
    np.testing.assert_allclose(problem.X_prior, [[1, -2], [1, -1], [1, 3]], rtol=1e-15)
    # beta in the user's columns gives the same effects as b in the centred ones.
    b = np.array([0.3, -0.7])
    np.testing.assert_allclose(problem.X @ (problem.transform @ b), problem.X_prior @ b, rtol=1e-14)


@pytest.mark.parametrize("fields", [{"mods": "x", "center": False}, {"mods": "0 + x"}, {"mods": "0 + C(g)"}])
def test_nothing_is_centred_without_an_intercept_or_when_told(fields):
    studies = effects("SMD", data={"x": [0.0, 1.0, 5.0], "g": ["a", "b", "b"]})
    problem = pose(studies, Model(**fields))
    np.testing.assert_array_equal(problem.X_prior, problem.X)
    np.testing.assert_array_equal(problem.transform, np.eye(problem.p))


@pytest.fixture(scope="module")
def vaccine():
    table = load_dataset("bcg")
    columns = {"ai": "tpos", "bi": "tneg", "ci": "cpos", "di": "cneg"}
    return effect_sizes(table, "RR", slab="study", **columns)


def gls(X, y, v, tau, mean, sd):
    """Posterior mean of the coefficients given tau, by the normal equations."""
    w = 1 / (v + tau**2)
    precision = (X.T * w) @ X + np.diag(sd**-2.0)
    return np.linalg.solve(precision, (X.T * w) @ y + mean * sd**-2.0)


def test_a_prior_at_year_zero_bends_the_slope_and_a_centred_one_does_not(vaccine):
    # Expected: the normal equations. Year is about 1948, so an intercept near 0 pulls the slope to 0.
    priors = {"mu": "Normal(0, 1)", "beta": "Normal(0, 1)", "tau": "Fixed(0.5)"}
    slopes = {
        center: fit(vaccine, Model(mods="year", center=center, **priors)).marginal("year").mean
        for center in (True, False)
    }
    X = np.column_stack([np.ones(13), vaccine.columns["year"]])
    sd, mean = np.ones(2), np.zeros(2)
    assert slopes[False] == pytest.approx(gls(X, vaccine.yi, vaccine.vi, 0.5, mean, sd)[1], rel=1e-8)
    X[:, 1] -= X[:, 1].mean()
    assert slopes[True] == pytest.approx(gls(X, vaccine.yi, vaccine.vi, 0.5, mean, sd)[1], rel=1e-8)
    assert slopes[True] > 0.015
    assert abs(slopes[False]) < 0.001


def test_slope_does_not_depend_on_where_year_starts(vaccine):
    priors = {"mu": "Normal(0, 1)", "beta": "Normal(0, 1)", "tau": "HalfNormal(0.5)"}
    since = Studies.from_effects(
        vaccine.yi, vi=vaccine.vi, data={"year": vaccine.columns["year"] - 1948}, measure="RR"
    )
    first = fit(vaccine, Model(mods="year", **priors)).marginal("year")
    second = fit(since, Model(mods="year", **priors)).marginal("year")
    assert first.mean == pytest.approx(second.mean, rel=1e-9)
    assert first.sd == pytest.approx(second.sd, rel=1e-9)


# Which studies take part


def refracture():
    columns = {"ai": [1, 0, 4], "n1i": [20, 10, 30], "ci": [5, 0, 8], "n2i": [20, 10, 30]}
    return effect_sizes(
        columns, "OR", ai="ai", n1i="n1i", ci="ci", n2i="n2i", slab=["a", "b", "c"], drop00=True
    )


def test_double_zero_trial_takes_part_only_in_the_count_likelihood():
    studies = refracture()
    assert studies.estimable.tolist() == [True, False, True]
    assert pose(studies, Model()).studies.slab == ("a", "c")
    assert pose(studies, Model(likelihood="binomial")).studies.slab == ("a", "b", "c")


def test_binomial_likelihood_needs_counts():
    message = (
        "likelihood 'binomial' needs measure 'OR' with arm counts ai, n1i, ci, n2i; got measure '{}'{}; use "
        "likelihood='normal'"
    )
    assert refused(ModelError, effects("OR"), likelihood="binomial") == message.format("OR", " without arms")
    columns = {"ai": [1, 2], "n1i": [20, 10], "ci": [5, 3], "n2i": [20, 10]}
    ratio = effect_sizes(columns, "RR", ai="ai", n1i="n1i", ci="ci", n2i="n2i")
    assert refused(ModelError, ratio, likelihood="binomial") == message.format("RR", "")


def test_correlated_effects_are_refused():
    studies = Studies.from_effects([0.1, 0.2], V=[[1.0, 0.5], [0.5, 1.0]])
    assert refused(ModelError, studies, mu="Flat()", tau="HalfNormal(1)") == (
        "correlated effects (V with covariances) are not in the Bayesian engines yet; use bm.classical, or "
        "combine the effects of each study first"
    )


def test_missing_moderator_is_a_data_error():
    assert refused(DataError, effects("SMD"), mods="dose") == (
        'the studies have no column "dose"; the columns are x'
    )


def test_names_sizes_and_shapes():
    problem = pose(effects("SMD"), Model(mods="x"))
    assert (problem.k, problem.p) == (3, 2)
    assert problem.coefficients == ("Intercept", "x")
    assert not problem.is_pooled
    assert pose(effects("SMD"), Model()).coefficients == ("mu",)
    assert pose(effects("SMD"), Model()).is_pooled
    with pytest.raises(ValueError, match="read-only"):
        problem.X_prior[0, 0] = 2
    assert priors_in_force(problem.model, problem.studies, problem.design) == problem.priors
    assert problem.priors.tau_density.support == (0, inf)
