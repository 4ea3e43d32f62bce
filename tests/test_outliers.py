"""Outliers under a contaminated random effect: brute force, every pattern of outliers, limits, messages."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

import bayesmeta as bm
from bayesmeta.errors import AnalysisError, ImproperPosteriorError, ModelError

Y = np.array([0.1, 0.3, 0.2, 1.6, 0.0])
SE = np.array([0.1, 0.12, 0.2, 0.15, 0.1])
MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")


def studies(k=5):
    return bm.Studies.from_effects(Y[:k], sei=SE[:k], slab=list("abcde"[:k]))


def patterns(model, eps, extra):
    """Return the fits of all patterns of outliers, whose variances are larger, with their probabilities."""
    ways = np.array(list(product([False, True], repeat=5)))
    fits = [bm.fit(bm.Studies.from_effects(Y, vi=SE**2 + extra**2 * way), model) for way in ways]
    count = ways.sum(axis=1)
    log_joint = np.array([fit.log_evidence for fit in fits])
    log_joint += count * np.log(eps) + (5 - count) * np.log(1 - eps)
    weights = np.exp(log_joint - log_joint.max())
    return ways, fits, weights / weights.sum(), log_joint.max() + np.log(weights.sum())


@pytest.mark.parametrize(
    ("mu", "tau"),
    [
        ("Normal(0, 1)", "HalfNormal(0.3)"),
        ("Flat()", "HalfCauchy(0.2)"),
        ("Normal(0.1, 0.5)", "Exponential(5)"),
        ("Normal(0, 1)", "LogNormal(-2, 1)"),
    ],
)
def test_extra_variance_is_the_average_over_all_patterns_of_outliers(mu, tau):
    """Given who is an outlier, the model is an ordinary one with larger variances: 2^5 exact fits."""
    model = bm.Model(mu=mu, tau=tau)
    found = bm.outliers(studies(), model, eps=0.1, extra=0.8)
    ways, fits, weights, log_evidence = patterns(model, 0.1, 0.8)
    assert found.error < 1e-8
    assert found.log_evidence == pytest.approx(log_evidence, abs=1e-8)
    np.testing.assert_allclose(found.probability, weights @ ways, rtol=0, atol=1e-8)
    for name, ours in (("mu", found.mu), ("tau", found.tau)):
        marginals = [fit.marginal(name) for fit in fits]
        mean = weights @ [one.mean for one in marginals]
        square = weights @ [one.sd**2 + (one.mean - mean) ** 2 for one in marginals]
        assert ours.mean == pytest.approx(mean, abs=1e-8)
        assert ours.sd == pytest.approx(np.sqrt(square), abs=1e-8)
        for p, quantile in ((0.025, ours.lower), (0.5, ours.median), (0.975, ours.upper)):
            assert weights @ [one.cdf(quantile) for one in marginals] == pytest.approx(p, abs=1e-8)


def by_quadrature(eps, extra, times):
    """Return evidence and probabilities of being an outlier of three studies, by sums over a plain grid.

    In tau the integrand is even and analytic within s / times of the real line, in mu everywhere; at these
    steps sums over equidistant points are exact to rounding.
    """
    y, s = Y[[0, 1, 3]], SE[[0, 1, 3]]
    tau, mu = np.arange(0, 3, 0.0025), np.arange(-8, 9, 0.01)[:, None]
    plain, wide = [], []
    for one, error in zip(y, s, strict=True):
        plain.append((1 - eps) * norm.pdf(one, mu, np.hypot(error, tau)))
        wide.append(eps * norm.pdf(one, mu, np.sqrt(error**2 + (times * tau) ** 2 + extra**2)))
    prior = norm.pdf(mu) * 2 * norm.pdf(tau, scale=0.3) * np.where(tau == 0, 0.5, 1.0) * 0.0025 * 0.01
    both = [a + b for a, b in zip(plain, wide, strict=True)]
    joint = prior * both[0] * both[1] * both[2]
    others = [both[1] * both[2], both[0] * both[2], both[0] * both[1]]
    total = joint.sum()
    return total, [(prior * b * rest).sum() / total for b, rest in zip(wide, others, strict=True)]


@pytest.mark.parametrize(("extra", "times"), [(0.7, None), (None, 4.0)])
def test_three_studies_are_as_brute_force_has_them(extra, times):
    given = bm.Studies.from_effects(Y[[0, 1, 3]], sei=SE[[0, 1, 3]])
    found = bm.outliers(given, MODEL, eps=0.2, extra=extra, times=times)
    total, probability = by_quadrature(0.2, extra or 0.0, times or 1.0)
    assert np.exp(found.log_evidence) == pytest.approx(total, rel=1e-8)
    np.testing.assert_allclose(found.probability, probability, rtol=0, atol=1e-8)


def test_without_contamination_the_evidence_is_that_of_the_fit():
    found = bm.outliers(studies(), MODEL)
    assert found.log_evidence_without == pytest.approx(bm.fit(studies(), MODEL).log_evidence, abs=1e-10)
    assert found.bayes_factor == pytest.approx(np.exp(found.log_evidence - found.log_evidence_without))


def test_rare_and_small_contamination_is_none():
    rare = bm.outliers(studies(), MODEL, eps=1e-9, extra=1.0)
    plain = bm.fit(studies(), MODEL)
    assert rare.mu.median == pytest.approx(plain.marginal("mu").median, abs=1e-6)
    small = bm.outliers(studies(), MODEL, eps=0.3, extra=1e-6)
    np.testing.assert_allclose(small.probability, 0.3, rtol=0, atol=1e-8)
    assert small.tau.upper == pytest.approx(plain.marginal("tau").interval().upper, abs=1e-8)


def test_an_outlier_is_found_and_the_answer_is_that_of_the_others():
    given = bm.Studies.from_effects([0.1, 0.2, 0.15, 0.12, 794.0], sei=[0.1] * 5, slab=list("abcde"))
    found = bm.outliers(given, MODEL, extra=500.0)
    assert found.probability[4] > 1 - 1e-9
    others = bm.fit(given.take([0, 1, 2, 3]), MODEL).marginal("mu")
    assert found.mu.median == pytest.approx(others.median, abs=0.01)
    assert found.table().loc["e", "odds_ratio"] > 1e9
    assert found.log_evidence - found.log_evidence_without > 1000
    assert found.bayes_factor == np.inf


def test_default_outliers_have_ten_more_standard_errors():
    found = bm.outliers(bm.fit(studies(), MODEL))
    assert found.extra == pytest.approx(10 * 0.12, rel=1e-12)
    assert (found.eps, found.times) == (0.05, 1.0)


def test_units_change_nothing_but_units():
    base = bm.outliers(studies(), MODEL, extra=0.8)
    scaled = bm.Studies.from_effects(1e6 * Y, sei=1e6 * SE)
    priors = bm.Model(mu="Normal(0, 1e6)", tau="HalfNormal(0.3e6)")
    found = bm.outliers(scaled, priors, extra=0.8e6)
    np.testing.assert_allclose(found.probability, base.probability, rtol=1e-9)
    assert found.mu.lower / 1e6 == pytest.approx(base.mu.lower, rel=1e-9)


def test_moments_that_do_not_exist_are_not_shown():
    given = bm.Studies.from_effects(Y[:2], sei=SE[:2])
    found = bm.outliers(given, bm.Model(mu="Flat()", tau="HalfCauchy(0.2)"))
    assert np.isfinite(found.mu.mean)  # tail exponent 2 + 2 - 1: r = 1 exists, r = 2 does not
    assert np.isnan(found.mu.sd)
    assert np.isnan(found.tau.sd)


def test_the_level_of_the_intervals_is_the_callers():
    wide, narrow = (bm.outliers(studies(), MODEL, prob=prob) for prob in (0.95, 0.5))
    assert wide.mu.lower < narrow.mu.lower < narrow.mu.upper < wide.mu.upper
    assert narrow.summary().columns.tolist() == ["mean", "sd", "median", "lower", "upper"]


def test_the_sign_of_all_effects_turns_the_answer_over():
    mirrored = bm.Studies.from_effects(-Y, sei=SE)
    found, base = (bm.outliers(given, MODEL) for given in (mirrored, studies()))
    np.testing.assert_allclose(found.probability, base.probability, rtol=0, atol=1e-9)
    assert found.mu.lower == pytest.approx(-base.mu.upper, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"eps": 1.0}, AnalysisError, "eps must be a probability between 0 and 1, such as 0.05; got 1.0"),
        (
            {"extra": 1.0, "times": 3.0},
            AnalysisError,
            "outliers takes extra or times, not both; leave one out",
        ),
        ({"extra": -1.0}, AnalysisError, "extra must be a positive standard deviation; got -1.0"),
        ({"times": 1.0}, AnalysisError, "times must be a factor above 1; got 1.0"),
        (
            {"model": bm.Model(mu="Normal(0, 1)", effects="common")},
            ModelError,
            "outliers needs a smooth prior of tau such as HalfNormal; got Fixed(0)",
        ),
    ],
)
def test_mistakes_are_refused(options, kind, message):
    with pytest.raises(kind) as caught:
        bm.outliers(studies(), **{"model": MODEL, **options})
    assert str(caught.value) == message


def test_a_posterior_that_does_not_exist_is_refused():
    with pytest.raises(ImproperPosteriorError, match="the posterior does not exist"):
        bm.outliers(studies(2), bm.Model(mu="Flat()", tau="Flat()"))
    with pytest.raises(AnalysisError) as caught:
        bm.outliers(bm.fit(studies(), MODEL), MODEL)
    assert str(caught.value) == "outliers takes a model with studies alone; a fit has its own"
