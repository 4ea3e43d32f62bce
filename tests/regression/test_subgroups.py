"""Subgroups with separate and with shared tau."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import bayesmeta as bm
from bayesmeta.errors import AnalysisError, DataError, ModelError

PRIORS = {"mu": "Normal(0, 1)", "tau": "HalfNormal(0.05)"}


@pytest.fixture(scope="module")
def separate(exercise):
    return bm.subgroups(exercise, "exercise_type", bm.Model(**PRIORS))


@pytest.fixture(scope="module")
def shared(exercise):
    return bm.subgroups(exercise, "exercise_type", bm.Model(**PRIORS), tau="shared")


def of_type(studies, name):
    return studies.take(np.array([value == name for value in studies.columns["exercise_type"]]))


def test_groups_with_their_own_tau_are_fits_of_their_studies(separate, exercise):
    for name in ("local", "whole-body"):
        own = bm.fit(of_type(exercise, name), bm.Model(**PRIORS)).summary()
        row = separate.table().loc[name]
        assert row[["median", "mean", "sd", "lower", "upper"]].to_numpy(float) == pytest.approx(
            own.loc["mu", ["median", "mean", "sd", "lower", "upper"]].to_numpy(float), rel=1e-9
        )
        assert row["tau"] == pytest.approx(own.loc["tau", "median"], rel=1e-9)
    assert list(separate.table()["k"]) == [7, 4]


def density_of_difference(one, other, x):
    """Return the density of the difference of two independent marginals at x, by adaptive quadrature."""
    low, high = one.quantile(1e-11), one.quantile(1 - 1e-11)
    return integrate.quad(
        lambda m: one.density(m) * other.density(m - x), low, high, epsrel=1e-11, epsabs=0, limit=400
    )[0]


def test_a_difference_is_the_convolution_of_the_two_posteriors(separate):
    local, whole = (separate.groups[name].mean for name in ("local", "whole-body"))
    difference = separate.difference("whole-body", "local")
    assert difference.mean == pytest.approx(whole.mean - local.mean, rel=1e-10)
    assert difference.sd == pytest.approx(np.hypot(whole.sd, local.sd), rel=1e-10)
    for x in (-0.05, 0.0, 0.02, 0.1):
        assert difference.density(x) == pytest.approx(density_of_difference(whole, local, x), rel=1e-8)


def test_the_probability_of_a_difference_is_its_integral(separate):
    local, whole = (separate.groups[name].mean for name in ("local", "whole-body"))
    expected = integrate.quad(
        lambda m: whole.density(m) * local.cdf(m), *whole.interval(1 - 1e-11), epsrel=1e-11, limit=400
    )[0]
    row = separate.differences().loc["whole-body - local"]
    assert row["probability"] == pytest.approx(expected, abs=1e-9)
    mirrored = separate.difference("local", "whole-body")
    assert mirrored.cdf(0.0) == pytest.approx(expected, abs=1e-9)


def test_groups_that_share_tau_are_one_regression_on_a_dummy(shared, exercise):
    """With flat priors the parametrisation has no influence: a dummy beside an intercept is the same."""
    flat = bm.Model(mu="Flat()", beta="Flat()", tau=PRIORS["tau"])
    groups = bm.subgroups(exercise, "exercise_type", flat, tau="shared")
    dummy = bm.fit(exercise, flat.with_mods("exercise_type"))
    slope, tau = dummy.marginal("exercise_type[whole-body]"), dummy.marginal("tau")
    difference = groups.difference("whole-body", "local")
    assert difference.mean == pytest.approx(slope.mean, rel=1e-9)
    assert difference.quantile(0.975) == pytest.approx(slope.quantile(0.975), rel=1e-9)
    assert groups.groups["local"].mean.mean == pytest.approx(dummy.marginal("Intercept").mean, rel=1e-9)
    assert groups.table()["tau"].to_numpy() == pytest.approx([tau.median] * 2, rel=1e-9)


def test_the_shared_answer_is_that_of_brute_force(four):
    """Both means and tau by dense multivariate normal densities and adaptive quadrature over tau."""
    model = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")
    found = bm.subgroups(four, "site", model, tau="shared")
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])

    def parts(tau):
        V = np.diag(four.vi + tau**2)
        weight = stats.multivariate_normal.pdf(four.yi, np.zeros(4), V + X @ X.T) * stats.halfnorm.pdf(
            tau, scale=0.3
        )
        cov = np.linalg.inv(X.T @ np.linalg.inv(V) @ X + np.eye(2))
        return weight, cov @ X.T @ np.linalg.inv(V) @ four.yi, cov

    def integral(g):
        return integrate.quad(g, 0, 3, epsrel=1e-11, epsabs=0, limit=200)[0]

    def above(tau):
        weight, mean, cov = parts(tau)
        return weight * stats.norm.sf(0, mean[1] - mean[0], np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]))

    total = integral(lambda tau: parts(tau)[0])
    row = found.differences().loc["b - a"]
    assert row["mean"] == pytest.approx(
        integral(lambda tau: parts(tau)[0] * (parts(tau)[1] @ [-1, 1])) / total, rel=1e-9
    )
    assert row["probability"] == pytest.approx(integral(above) / total, abs=1e-9)
    assert found.regression.log_evidence == pytest.approx(np.log(total), abs=1e-9)


def test_a_shared_tau_makes_the_groups_dependent(shared):
    local, whole = (shared.groups[name].mean for name in ("local", "whole-body"))
    assert abs(shared.difference("whole-body", "local").sd / np.hypot(local.sd, whole.sd) - 1) > 1e-4


def test_the_classical_tests_stand_beside(separate, shared):
    """Fixed effect: Q between groups from the inverse-variance means and Q of each group, by hand."""
    tests = separate.classical_tests()
    assert list(tests.index) == ["fixed", "DL", "REML"]
    assert list(tests["df"]) == [1, 1, 1]
    wald = shared.classical_tests()
    assert list(wald.index) == ["fixed", "REML", "REML_HK"]
    assert wald["Q"]["fixed"] == pytest.approx(tests["Q"]["fixed"], rel=1e-10)  # tau = 0: the same test
    assert tests["p"]["fixed"] == pytest.approx(stats.chi2.sf(tests["Q"]["fixed"], 1), rel=1e-10)


def studies(groups):
    yi = [0.1, 0.2, 0.4, 0.3, 0.5][: len(groups)]
    return bm.Studies.from_effects(yi, sei=[0.1] * len(groups), data={"g": groups})


GIVEN = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")


def test_a_group_of_one_study_has_an_answer_and_a_doubt():
    found = bm.subgroups(studies(["a", "a", "b"]), "g", GIVEN)
    assert found.groups["b"].reason == "1 study and 1 coefficient: the posterior of tau is close to its prior"
    assert found.table().loc["b", "k"] == 1
    assert np.isfinite(found.table().loc["b", "mean"])
    assert list(found.differences().index) == ["b - a"]


def test_a_group_without_a_posterior_does_not_stop_the_others():
    flat = bm.Model(mu="Flat()", tau="Flat()")
    found = bm.subgroups(studies(["a", "a", "a", "b"]), "g", flat)
    assert found.groups["b"].mean is None
    assert found.groups["b"].reason.startswith("the posterior does not exist: Flat() as the prior of tau")
    row = found.table().loc["b"]
    assert row["k"] == 1
    assert np.isnan(row["mean"])
    assert row["note"] == found.groups["b"].reason
    assert found.pairs == {}
    with pytest.raises(AnalysisError) as caught:
        found.difference("a", "b")
    assert str(caught.value) == f"the group 'b' has no posterior: {found.groups['b'].reason}"


@pytest.mark.parametrize("tau", ["separate", "shared"])
def test_a_group_without_studies_is_listed(tau):
    found = bm.subgroups(studies(["a", "a", "b", "b"]), "g", GIVEN, tau=tau, levels=["a", "b", "c"])
    assert found.table()["k"].to_dict() == {"a": 2, "b": 2, "c": 0}
    assert found.table().loc["c", "note"] == "no studies"


@pytest.mark.parametrize("tau", ["separate", "shared"])
def test_a_group_without_an_estimate_is_listed(tau):
    trials = {
        "e1": [3, 2, 5, 4, 0],
        "n1": [20, 20, 30, 30, 9],
        "e2": [6, 4, 9, 9, 0],
        "n2": [20, 20, 30, 30, 9],
    }
    table = {**trials, "g": ["a", "a", "b", "b", "c"], "study": list("vwxyz")}
    arms = bm.effect_sizes(table, "OR", slab="study", ai="e1", n1i="n1", ci="e2", n2i="n2", drop00=True)
    found = bm.subgroups(arms, "g", GIVEN, tau=tau)
    assert found.table().loc["c", "note"] == "no study of the group has an estimate"
    assert found.table().loc["c", "k"] == 1


def test_groups_keep_the_default_priors_of_all_studies(exercise):
    found = bm.subgroups(exercise, "exercise_type")
    whole = bm.fit(exercise).priors
    assert {str(group.fit.priors.mu) for group in found.groups.values()} == {str(whole.mu)}
    assert {str(group.fit.priors.tau) for group in found.groups.values()} == {str(whole.tau)}


REFUSALS = [
    ({"by": "g", "tau": "common"}, AnalysisError, "tau must be 'separate' or 'shared'; got 'common'"),
    ({"by": "h"}, DataError, "the studies have no column 'h'"),
    (
        {"by": "g", "model": GIVEN.with_mods("g")},
        ModelError,
        "subgroups have no moderators: mods must be '1'; got 'g'",
    ),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSALS)
def test_what_is_no_division_is_refused(options, error, message):
    with pytest.raises(error) as caught:
        bm.subgroups(studies(["a", "a", "b", "b"]), **{"model": GIVEN, **options})
    assert str(caught.value) == message


def test_one_group_cannot_share_its_tau():
    with pytest.raises(ModelError) as caught:
        bm.subgroups(studies(["a", "a", "a"]), "g", GIVEN, tau="shared")
    assert str(caught.value) == (
        "a shared tau needs at least 2 groups with an estimate; column 'g' has 1; use tau='separate'"
    )


def test_an_unknown_group_is_refused(separate):
    with pytest.raises(AnalysisError) as caught:
        separate.difference("locale", "whole-body")
    assert str(caught.value) == "there is no group 'locale'; did you mean 'local'?"


def test_draws_of_two_groups_are_subtracted_pair_by_pair(separate):
    """20,000 draws of each posterior: mean and probability within 5 Monte Carlo standard errors."""
    from bayesmeta.regression.differences import difference
    from bayesmeta.results.empirical import Empirical

    rng = np.random.default_rng(2)
    marginals = [separate.groups[name].mean for name in ("whole-body", "local")]
    drawn = [Empirical(one.distribution.sample(20_000, rng).reshape(4, -1, 1)) for one in marginals]
    exact = separate.difference("whole-body", "local")
    found = difference(*drawn)
    assert abs(found.mean()[0] - exact.mean) < 5 * exact.sd / np.sqrt(20_000)
    assert abs(found.cdf(np.zeros(1))[0, 0] - exact.cdf(0.0)) < 5 * 0.5 / np.sqrt(20_000)
