"""Priors from stated probabilities: what was said is what the prior has.

Closed forms: the 95 % point of a half-normal variable is 1.959964 sigma, that of an exponential one log(20).
The other priors are checked by scipy's distribution functions.
"""

from math import log

import numpy as np
import pytest
from scipy import stats

from bayesmeta.errors import PriorError
from bayesmeta.priors import FAMILIES, Exponential, Normal, Uniform, elicit

SCIPY = {
    "HalfNormal": lambda one: stats.halfnorm(scale=one.sigma),
    "HalfCauchy": lambda one: stats.halfcauchy(scale=one.beta),
    "Exponential": lambda one: stats.expon(scale=1 / one.lam),
    "Normal": lambda one: stats.norm(one.mu, one.sigma),
    "StudentT": lambda one: stats.t(one.nu, one.mu, one.sigma),
    "Cauchy": lambda one: stats.cauchy(one.alpha, one.beta),
    "Laplace": lambda one: stats.laplace(one.mu, one.b),
    "Uniform": lambda one: stats.uniform(one.lower, one.upper - one.lower),
    "LogNormal": lambda one: stats.lognorm(one.sigma, scale=np.exp(one.mu)),
    "Gamma": lambda one: stats.gamma(one.alpha, scale=1 / one.beta),
    "InverseGamma": lambda one: stats.invgamma(one.alpha, scale=one.beta),
    "Weibull": lambda one: stats.weibull_min(one.alpha, scale=one.beta),
    "Lomax": lambda one: stats.lomax(one.alpha, scale=one.scale),
}


def test_95_percent_sure_that_tau_is_below_a_tenth():
    assert elicit("HalfNormal", {0.1: 0.95}).sigma == pytest.approx(0.1 / stats.norm.ppf(0.975), rel=1e-14)
    assert elicit("exponential", {0.1: 0.95}).lam == pytest.approx(log(20) / 0.1, rel=1e-14)
    assert elicit("half_cauchy", {0.1: 0.5}).beta == pytest.approx(0.1, rel=1e-14)


@pytest.mark.parametrize(
    ("family", "below", "known"),
    [
        ("HalfNormal", {0.1: 0.95}, {}),
        ("HalfCauchy", {2.5: 0.8}, {}),
        ("Exponential", {1e-6: 0.5}, {}),
        ("Normal", {-0.2: 0.025, 0.6: 0.975}, {}),
        ("Normal", {0.0: 0.1, 0.5: 0.6}, {}),
        ("StudentT", {-0.2: 0.025, 0.6: 0.975}, {"nu": 4}),
        ("Cauchy", {0.0: 0.4, 0.5: 0.9}, {}),
        ("Laplace", {-3.0: 0.2, 2.0: 0.7}, {}),
        ("Uniform", {0.1: 0.2, 0.4: 0.8}, {}),
        ("LogNormal", {0.05: 0.05, 0.5: 0.95}, {}),
        ("Gamma", {0.05: 0.05, 0.5: 0.95}, {}),
        ("InverseGamma", {0.05: 0.05, 0.5: 0.95}, {}),
        ("Weibull", {0.05: 0.05, 0.5: 0.95}, {}),
        ("Lomax", {0.05: 0.5, 0.5: 0.95}, {}),
        ("Normal", {0.6: 0.975}, {"mu": 0.2}),
        ("Normal", {0.6: 0.975}, {"sigma": 0.2}),
        ("LogNormal", {0.5: 0.95}, {"mu": -2}),
        ("LogNormal", {0.5: 0.95}, {"sigma": 1}),
        ("Gamma", {0.5: 0.95}, {"alpha": 2}),
        ("InverseGamma", {0.5: 0.95}, {"beta": 0.2}),
        ("Uniform", {0.4: 0.8}, {"lower": 0}),
        ("Uniform", {0.4: 0.8}, {"upper": 1}),
    ],
)
def test_the_prior_has_the_probabilities(family, below, known):
    prior = elicit(family, below, **known)
    other = SCIPY[family](prior)
    for x, p in below.items():
        assert other.cdf(x) == pytest.approx(p, abs=1e-12)
    for name, value in known.items():
        assert getattr(prior, name) == value
    assert type(prior) is FAMILIES[family]


def test_folded_and_logarithmic_t_distributions_are_found():
    prior = elicit("HalfStudentT", {0.1: 0.95}, nu=4)
    assert 2 * stats.t(4).cdf(0.1 / prior.sigma) - 1 == pytest.approx(0.95, abs=1e-12)
    prior = elicit("HalfStudentT", {0.1: 0.5, 0.6: 0.95})
    for x, p in ((0.1, 0.5), (0.6, 0.95)):
        assert 2 * stats.t(prior.nu).cdf(x / prior.sigma) - 1 == pytest.approx(p, abs=1e-10)
    prior = elicit("LogStudentT", {0.05: 0.05, 0.5: 0.95}, nu=5)
    assert stats.t(5, prior.mu, prior.sigma).cdf(np.log([0.05, 0.5])) == pytest.approx(
        [0.05, 0.95], abs=1e-12
    )


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_do_not_matter(unit):
    for family in ("LogNormal", "Gamma", "Weibull", "InverseGamma"):
        plain = elicit(family, {0.05: 0.05, 0.5: 0.95})
        scaled = elicit(family, {0.05 * unit: 0.05, 0.5 * unit: 0.95})
        p = np.array([0.1, 0.9])
        assert scaled.quantile(p) == pytest.approx(unit * plain.quantile(p), rel=1e-9)


def test_half_and_whole_agree():
    assert elicit("Uniform", {0.3: 0.5}, lower=0) == Uniform(0, 0.6)
    assert elicit("Normal", {-1.0: 0.5, 1.0: 0.5 + stats.norm.cdf(1) - 0.5}).mu == pytest.approx(-1)
    assert isinstance(elicit("Exponential", {1: 0.5}), Exponential)
    assert isinstance(elicit("Normal", {0: 0.5, 1: 0.9}), Normal)


@pytest.mark.parametrize(
    ("family", "below", "known", "message"),
    [
        (
            "HalfNormal",
            {0.1: 0.5, 0.2: 0.95},
            {},
            "HalfNormal has 1 unknown parameter (sigma), so that it takes as many probabilities; got 2",
        ),
        (
            "LogNormal",
            {0.1: 0.5},
            {},
            "LogNormal has 2 unknown parameters (mu, sigma), so that it takes as many probabilities; got 1",
        ),
        (
            "HalfNormal",
            {0.1: 0.5},
            {"sigma": 1},
            "HalfNormal has 0 unknown parameters (none), so that it takes as many probabilities; got 1",
        ),
        ("HalfNormal", {0.1: 95}, {}, "a probability must be between 0 and 1; got 95"),
        ("HalfNormal", {-0.1: 0.5}, {}, "no HalfNormal prior has P(x < -0.1) = 0.5; take another family"),
        (
            "LogNormal",
            {0.1: 0.9, 0.2: 0.5},
            {},
            "a larger value must have a larger probability below it; got 0.1: 0.9, 0.2: 0.5",
        ),
        (
            "LogNormal",
            {-0.1: 0.1, 0.2: 0.5},
            {},
            "no LogNormal prior has P(x < -0.1) = 0.1 and P(x < 0.2) = 0.5; take another family",
        ),
        (
            "Lomax",
            {0.05: 0.05, 0.06: 0.95},
            {},
            "no Lomax prior has P(x < 0.05) = 0.05 and P(x < 0.06) = 0.95; take another family",
        ),
        (
            "Normal",
            {0.6: 0.3},
            {"mu": 0.2},
            "no Normal prior has P(x < 0.6) = 0.3; take another family",
        ),
        ("HalfNormale", {0.1: 0.9}, {}, "unknown prior 'HalfNormale'; did you mean 'HalfNormal'?"),
        (
            "Jeffreys",
            {0.1: 0.9},
            {},
            "Jeffreys has no parameters to choose; take a family such as HalfNormal",
        ),
        (
            "HalfNormal",
            {0.1: 0.9},
            {"sigm": 1},
            "HalfNormal(sigma) has no parameter 'sigm'; did you mean 'sigma'?",
        ),
        (
            "StudentT",
            {0.1: 0.3, 0.4: 0.9},
            {"mu": 0},
            "StudentT cannot be found from two probabilities; give all but one of its parameters",
        ),
    ],
)
def test_what_cannot_be_is_explained(family, below, known, message):
    with pytest.raises(PriorError) as caught:
        elicit(family, below, **known)
    assert str(caught.value) == message
