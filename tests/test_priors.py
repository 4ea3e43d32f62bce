"""Priors: densities, distribution functions, quantiles, tails, units and draws.

Expected values come from scipy.stats (an independent implementation), from numerical integration by
scipy.integrate, and from tests/reference/_misc_priors_transforms.json (R bayesmeta 3.4's priors).
"""

from __future__ import annotations

import json
import pickle
from itertools import pairwise
from math import inf, isinf, log, nan, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from bayesmeta.errors import PriorError
from bayesmeta.priors import (
    FAMILIES,
    AdaptivePrior,
    Cauchy,
    Exponential,
    Fixed,
    Flat,
    Gamma,
    HalfCauchy,
    HalfFlat,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    Laplace,
    LogNormal,
    LogStudentT,
    Lomax,
    MixedPrior,
    Normal,
    OfSquare,
    Prior,
    Sqrt,
    StudentT,
    Truncated,
    Uniform,
    Weibull,
    as_prior,
    parse_prior,
)

REFERENCE = json.loads(
    (Path(__file__).parent / "reference" / "_misc_priors_transforms.json").read_text(encoding="utf-8")
)

# Each family beside the same distribution in scipy.stats, and its tail exponent by hand.
CASES = {
    "Normal": (Normal(0.3, 2), stats.norm(0.3, 2), inf),
    "StudentT": (StudentT(3, -1, 0.5), stats.t(3, -1, 0.5), 4),
    "StudentT large nu": (StudentT(250, 0, 1), stats.t(250), 251),
    "Cauchy": (Cauchy(1, 0.2), stats.cauchy(1, 0.2), 2),
    "Laplace": (Laplace(-0.5, 2), stats.laplace(-0.5, 2), inf),
    "Uniform": (Uniform(-1, 3), stats.uniform(-1, 4), inf),
    "HalfNormal": (HalfNormal(0.05), stats.halfnorm(scale=0.05), inf),
    "HalfCauchy": (HalfCauchy(0.5), stats.halfcauchy(scale=0.5), 2),
    "Exponential": (Exponential(2), stats.expon(scale=0.5), inf),
    "Gamma": (Gamma(2.5, 4), stats.gamma(2.5, scale=0.25), inf),
    "Gamma below 1": (Gamma(0.5, 4), stats.gamma(0.5, scale=0.25), inf),
    "InverseGamma": (InverseGamma(2, 0.3), stats.invgamma(2, scale=0.3), 3),
    "LogNormal": (LogNormal(-1.28, 0.87), stats.lognorm(0.87, scale=np.exp(-1.28)), inf),
    "Weibull": (Weibull(1.5, 0.4), stats.weibull_min(1.5, scale=0.4), inf),
    "Lomax": (Lomax(1, 0.5), stats.lomax(1, scale=0.5), 2),
}


class FoldedT4:
    """Absolute value of a t with 4 degrees of freedom, in closed form.

    With s = z / sqrt(4 + z^2) the distribution function is s (3 - s^2) / 2 = sin(3 asin(s / 2)).
    """

    def __init__(self, sigma):
        self.sigma = sigma

    def logpdf(self, x):
        return np.where(x < 0, -inf, stats.t.logpdf(x, 4, scale=self.sigma) + log(2))

    def cdf(self, x):
        z = np.maximum(x, 0) / self.sigma
        s = z / np.sqrt(4 + z * z)
        return s * (3 - s * s) / 2

    def ppf(self, p):
        s = 2 * np.sin(np.arcsin(p) / 3)
        return self.sigma * 2 * s / np.sqrt(1 - s * s)


CASES["HalfStudentT"] = (HalfStudentT(4, 0.5), FoldedT4(0.5), 5)


class LogT5:
    """Exponential of a t with 5 degrees of freedom."""

    def __init__(self, mu, sigma):
        self.of_log = stats.t(5, mu, sigma)

    def logpdf(self, x):
        safe = np.where(x > 0, x, 1.0)
        return np.where(x > 0, self.of_log.logpdf(np.log(safe)) - np.log(safe), -inf)

    def cdf(self, x):
        return np.where(x > 0, self.of_log.cdf(np.log(np.where(x > 0, x, 1.0))), 0.0)

    def ppf(self, p):
        return np.exp(self.of_log.ppf(p))


CASES["LogStudentT"] = (LogStudentT(5, -1.72, 0.3), LogT5(-1.72, 0.3), 1 + 1e-9)
P = np.array([1e-6, 0.01, 0.2, 0.5, 0.7, 0.99, 1 - 1e-6])


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return CASES[request.param]


def test_every_family_with_a_distribution_is_tried_here():
    known = {type(prior).__name__ for prior, _, _ in CASES.values()}
    improper = {"Flat", "HalfFlat", "Sqrt"}
    adaptive = {name for name, family in FAMILIES.items() if issubclass(family, AdaptivePrior)}
    composed = {name for name, family in FAMILIES.items() if issubclass(family, MixedPrior | Truncated)}
    assert known | improper | adaptive | composed | {"Fixed"} == set(FAMILIES)


def test_log_density_is_scipys(case):
    prior, other, _ = case
    x = np.append(other.ppf(P), [-0.7, 0.9, 40.0])
    np.testing.assert_allclose(prior.logpdf(x), other.logpdf(x), rtol=1e-11, atol=1e-11)


def test_distribution_function_is_scipys(case):
    prior, other, _ = case
    x = np.append(other.ppf(P), [-0.7, 0.9, 40.0])
    np.testing.assert_allclose(prior.cdf(x), other.cdf(x), rtol=1e-10, atol=1e-15)


def test_quantiles_are_scipys(case):
    prior, other, _ = case
    np.testing.assert_allclose(prior.quantile(P), other.ppf(P), rtol=1e-9)


def test_distribution_function_undoes_the_quantile(case):
    prior, _, _ = case
    np.testing.assert_allclose(prior.cdf(prior.quantile(P)), P, rtol=1e-9)


def test_density_integrates_to_one(case):
    prior, _, _ = case
    edges = prior.quantile(np.array([1e-9, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-9]))

    def density(x):
        return float(np.exp(prior.logpdf(np.array(x))))

    if isinstance(prior, LogStudentT):  # over ten orders of magnitude
        edges, density = np.log(edges), lambda u: float(np.exp(prior.logpdf(np.exp(np.array(u))) + u))
    pieces = [integrate.quad(density, low, high, epsabs=1e-12)[0] for low, high in pairwise(edges)]
    assert sum(pieces) == pytest.approx(1 - 2e-9, abs=1e-8)


def test_tail_exponent_is_the_slope_of_the_log_density(case):
    prior, _, exponent = case
    assert prior.tail == exponent
    if isinf(exponent) or isinstance(prior, LogStudentT):
        return  # the slope of 1 / (x log(x)^6) comes to 1 too slowly to be seen
    far = 1e7 * abs(float(prior.quantile(np.array(0.9))))
    rise = prior.logpdf(np.array(2 * far)) - prior.logpdf(np.array(far))
    assert -rise / log(2) == pytest.approx(exponent, rel=1e-5)


def test_density_is_zero_outside_the_support(case):
    prior, _, _ = case
    low, high = prior.support
    outside = [x for x in (low - 1e-6, high + 1e-6) if np.isfinite(x)]
    assert np.all(np.isneginf(prior.logpdf(np.array(outside))))


def test_typical_is_the_median_of_positive_priors_and_half_the_quartile_range_of_others(case):
    prior, other, _ = case
    half_range = (other.ppf(0.75) - other.ppf(0.25)) / 2
    expected = other.ppf(0.5) if prior.support[0] >= 0 else half_range
    assert prior.typical == pytest.approx(float(expected), rel=1e-10)


def test_rescaled_prior_is_the_prior_in_the_other_unit(case):
    prior, other, _ = case
    milli = prior.rescaled(1e-3)
    np.testing.assert_allclose(milli.quantile(P), 1000 * other.ppf(P), rtol=1e-9)
    assert type(milli) is type(prior)


MEANS = {
    "Cauchy": nan,
    "HalfCauchy": nan,
    "Lomax": nan,
    "LogStudentT": nan,
    # E|t| with 4 df is 2 sqrt(4) Gamma(5/2) / (3 sqrt(pi) Gamma(2)) = 1.
    "HalfStudentT": 0.5,
}


@pytest.mark.parametrize("name", CASES)
def test_mean_is_scipys_and_does_not_exist_where_it_is_infinite(name):
    prior, other, _ = CASES[name]
    expected = MEANS[name] if name in MEANS else float(other.mean())
    assert prior.mean == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_families_say_how_their_densities_continue():
    even = {name for name, (prior, _, _) in CASES.items() if prior.even}
    assert even == {"HalfNormal", "HalfCauchy", "HalfStudentT"}
    bounded = {"Uniform"}
    on_the_line = {"Normal", "StudentT", "StudentT large nu", "Cauchy", "Laplace"}
    assert {name for name, (prior, _, _) in CASES.items() if not prior.smooth} == bounded | on_the_line
    assert {name for name, (prior, _, _) in CASES.items() if prior.for_location} == bounded | on_the_line
    assert (Flat().even, HalfFlat().even, Sqrt().even, Fixed(0).smooth) == (True, True, False, False)
    assert (Flat().for_location, HalfFlat().for_location) == (True, False)


def test_draws_have_the_distribution(case):
    prior, other, _ = case
    draws = prior.sample(4000, np.random.default_rng(1))
    assert draws.shape == (4000,)
    uniform = other.cdf(draws)
    # Kolmogorov's 1e-4 limit for n = 4000 is 2.23 / sqrt(n).
    assert stats.kstest(uniform, "uniform").statistic < 2.23 / sqrt(4000)


def test_text_reads_back_as_the_same_prior(case):
    prior, _, _ = case
    assert parse_prior(str(prior)) == prior
    assert hash(parse_prior(str(prior))) == hash(prior)
    assert pickle.loads(pickle.dumps(prior)) == prior  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("name", "prior"),
    [
        ("halfnormal", HalfNormal(0.5)),
        ("halft", HalfStudentT(4, 0.5)),
        ("halfcauchy", HalfCauchy(0.5)),
        ("lomax", Lomax(1, 0.5)),
    ],
)
def test_densities_and_quantiles_are_those_of_the_reference(name, prior):
    [entry] = [one for one in REFERENCE[name] if set(one["parameters"].values()) <= {0.5, 4, 1}][:1]
    np.testing.assert_allclose(np.exp(prior.logpdf(np.array(entry["x"]))), entry["density"], rtol=1e-13)
    np.testing.assert_allclose(prior.quantile(np.array(entry["p"])), entry["quantile"], rtol=1e-12)


@pytest.mark.parametrize("name", ["default", "mortality_pharma_placebo", "semi"])
def test_log_normal_prior_of_tau2_is_turners_of_tau(name):
    entry = REFERENCE["TurnerEtAlPrior"][name]
    prior = OfSquare(LogNormal(entry["parameters"]["mu"][0], entry["parameters"]["sigma"][0]))
    tau = np.array(entry["tau"])
    np.testing.assert_allclose(np.exp(prior.logpdf(tau)), entry["density"], rtol=1e-13)
    np.testing.assert_allclose(prior.cdf(tau), entry["cdf"], rtol=1e-13)
    assert float(prior.quantile(np.array(0.5))) == pytest.approx(entry["median"], rel=1e-13)
    assert prior.typical == pytest.approx(entry["median"], rel=1e-13)


@pytest.mark.parametrize("name", ["default", "obstetric"])
def test_log_student_t_of_the_reference_is_not_confused_with_the_log_normal(name):
    # Rhodes et al. use a log-t with 5 df; its distribution function comes from scipy.stats here.
    entry = REFERENCE["RhodesEtAlPrior"][name]
    location, scale = entry["parameters"]["location"][1], entry["parameters"]["scale"][1]
    z = (np.log(entry["tau"]) - location) / scale
    np.testing.assert_allclose(stats.t(5).cdf(z), entry["cdf"], rtol=1e-12)
    prior, tau = LogStudentT(5, location, scale), np.array(entry["tau"])
    np.testing.assert_allclose(prior.cdf(tau), entry["cdf"], rtol=1e-12)
    np.testing.assert_allclose(np.exp(prior.logpdf(tau)), entry["density"], rtol=1e-12)
    on_square = OfSquare(LogStudentT(5, 2 * location, 2 * scale))
    np.testing.assert_allclose(on_square.logpdf(tau), prior.logpdf(tau), rtol=1e-12)


# Improper and degenerate priors


def test_flat_priors_have_density_one_on_their_support():
    x = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(Flat().logpdf(x), [0, 0, 0])
    np.testing.assert_array_equal(HalfFlat().logpdf(x), [-inf, 0, 0])
    assert Flat().support == (-inf, inf)
    assert HalfFlat().support == (0, inf)
    assert (Flat().tail, HalfFlat().tail, Sqrt().tail) == (0, 0, 0.5)
    assert not Flat().proper
    assert not HalfFlat().proper
    assert Flat().typical == inf


def test_root_prior_is_the_reciprocal_of_the_root():
    np.testing.assert_allclose(np.exp(Sqrt().logpdf(np.array([0.25, 4.0]))), [2.0, 0.5], rtol=1e-15)
    assert np.isneginf(Sqrt().logpdf(np.array(-1.0)))


@pytest.mark.parametrize("prior", [Flat(), HalfFlat(), Sqrt()])
def test_improper_priors_have_no_draws(prior):
    with pytest.raises(PriorError) as caught:
        prior.sample(3, np.random.default_rng(1))
    assert str(caught.value) == f"{prior} is improper and has no draws; use a proper prior"


def test_fixed_is_all_at_one_value():
    prior = Fixed(0.3)
    np.testing.assert_array_equal(prior.cdf(np.array([0.2, 0.3, 0.4])), [0, 1, 1])
    np.testing.assert_array_equal(prior.quantile(np.array([0.1, 0.9])), [0.3, 0.3])
    np.testing.assert_array_equal(prior.sample(2, np.random.default_rng(1)), [0.3, 0.3])
    assert prior.support == (0.3, 0.3)
    assert prior.rescaled(0.5) == Fixed(0.6)


# Priors of the square


@pytest.mark.parametrize(
    "square",
    [InverseGamma(1.5, 0.2), Gamma(0.5, 2), HalfNormal(1), HalfCauchy(0.3), LogNormal(-2, 1), Uniform(0, 4)],
)
def test_prior_of_tau2_carries_the_jacobian(square):
    prior = OfSquare(square)
    for tau in (0.2, 0.7, 1.3):
        h = 1e-6
        slope = (square.cdf(np.array((tau + h) ** 2)) - square.cdf(np.array((tau - h) ** 2))) / (2 * h)
        assert float(np.exp(prior.logpdf(np.array(tau)))) == pytest.approx(float(slope), rel=1e-7)
    np.testing.assert_allclose(prior.quantile(P), np.sqrt(square.quantile(P)), rtol=1e-14)
    np.testing.assert_allclose(prior.cdf(prior.quantile(P)), P, rtol=1e-9)
    assert prior.rescaled(0.1).quantile(P) == pytest.approx(10 * prior.quantile(P), rel=1e-12)


def test_tail_of_a_prior_of_tau2_is_that_of_its_density_of_tau():
    prior = OfSquare(HalfCauchy(0.3))
    rise = prior.logpdf(np.array(2e8)) - prior.logpdf(np.array(1e8))
    assert -float(rise) / log(2) == pytest.approx(prior.tail, rel=1e-6)
    assert prior.tail == 3
    assert OfSquare(Flat()).tail == -1


def test_flat_prior_of_tau2_has_the_density_two_tau():
    np.testing.assert_allclose(np.exp(OfSquare(Flat()).logpdf(np.array([0.5, 2.0]))), [1.0, 4.0], rtol=1e-15)
    assert OfSquare(Flat()).support == (0, inf)
    assert not OfSquare(Flat()).proper


def test_square_root_prior_of_tau2_is_flat_in_tau():
    np.testing.assert_allclose(OfSquare(Sqrt()).logpdf(np.array([0.1, 9.0])), log(2), rtol=1e-14)


def test_prior_of_tau2_says_so_in_print():
    assert str(OfSquare(HalfNormal(1))) == "HalfNormal(1) on tau2"


def test_prior_of_tau2_on_negative_values_is_refused():
    with pytest.raises(PriorError) as caught:
        OfSquare(Normal(0, 1))
    assert str(caught.value) == "the prior of tau2 must live on positive values; got Normal(0, 1)"


def test_densities_far_out_are_zero_without_a_warning():
    far = np.array([1e150, 1e200])
    for prior in (OfSquare(HalfNormal(1)), OfSquare(HalfCauchy(1)), Weibull(3, 1)):
        assert np.all(prior.logpdf(far) < -600)


# What a prior is


def test_priors_are_values():
    assert HalfNormal(1) == HalfNormal(1.0)
    assert HalfNormal(1) != HalfNormal(2)
    assert HalfNormal(1) != HalfCauchy(1)
    with pytest.raises(AttributeError):
        HalfNormal(1).sigma = 2
    assert HalfNormal(np.float32(0.5)).sigma == 0.5
    assert type(HalfNormal(np.int64(2)).sigma) is float


@pytest.mark.parametrize(
    ("prior", "text"),
    [
        (Normal(0, 1), "Normal(0, 1)"),
        (HalfStudentT(4, 0.5), "HalfStudentT(nu=4, sigma=0.5)"),
        (StudentT(nu=3, mu=0, sigma=1), "StudentT(nu=3, mu=0, sigma=1)"),
        (Gamma(2, 0.1), "Gamma(alpha=2, beta=0.1)"),
        (HalfNormal(1e-6), "HalfNormal(1e-06)"),
        (Normal(1e22, 1e20), "Normal(1e+22, 1e+20)"),
        (Flat(), "Flat()"),
    ],
)
def test_priors_print_as_they_are_written(prior, text):
    assert str(prior) == text
    assert parse_prior(text) == prior


def bad(make):
    with pytest.raises(PriorError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HalfNormal(-1), "HalfNormal.sigma must be a positive number; got -1"),
        (
            lambda: HalfNormal(0),
            "HalfNormal.sigma must be a positive number; got 0; for tau = 0 write effects = 'common'",
        ),
        (
            lambda: Normal(0, 0),
            "Normal.sigma must be a positive number; got 0; for a known value write a small standard "
            "deviation",
        ),
        (lambda: HalfNormal(float("nan")), "HalfNormal.sigma must be a positive number; got nan"),
        (lambda: HalfNormal(inf), "HalfNormal.sigma must be a positive number; got inf"),
        (lambda: Normal(float("nan"), 1), "Normal.mu must be a finite number; got nan"),
        (lambda: Normal(-inf, 1), "Normal.mu must be a finite number; got -inf"),
        (lambda: HalfNormal(True), "HalfNormal.sigma must be a number; got True"),
        (lambda: HalfNormal("0.5"), "HalfNormal.sigma must be a number; got '0.5'"),
        (lambda: HalfNormal(None), "HalfNormal.sigma must be a number; got None"),
        (lambda: HalfNormal([1.0]), "HalfNormal.sigma must be a number; got [1.0]"),
        (lambda: Uniform(2, 1), "Uniform.lower must be below Uniform.upper; got 2 and 1"),
        (lambda: Uniform(1, 1), "Uniform.lower must be below Uniform.upper; got 1 and 1"),
        (lambda: StudentT(0, 0, 1), "StudentT.nu must be a positive number; got 0"),
        (lambda: Lomax(1, -2), "Lomax.scale must be a positive number; got -2"),
        (lambda: Exponential(0), "Exponential.lam must be a positive number; got 0"),
        (lambda: Weibull(1, inf), "Weibull.beta must be a positive number; got inf"),
    ],
)
def test_impossible_parameters_are_refused(make, message):
    assert bad(make) == message


# Text


@pytest.mark.parametrize(
    ("text", "prior"),
    [
        ("HalfNormal(0.5)", HalfNormal(0.5)),
        ("  HalfNormal ( 5e-1 )  ", HalfNormal(0.5)),
        ("HalfNormal(sigma=.5)", HalfNormal(0.5)),
        ("half_normal(0.5)", HalfNormal(0.5)),
        ("HALFNORMAL(+0.5)", HalfNormal(0.5)),
        ("halfstudentt(4, 0.5)", HalfStudentT(4, 0.5)),
        ("HalfStudentT(sigma=0.5, nu=4)", HalfStudentT(4, 0.5)),
        ("student_t(4, sigma=2, mu=-1.)", StudentT(4, -1, 2)),
        ("Flat()", Flat()),
        ("flat( )", Flat()),
        ("Normal(-1E-3,\t2)", Normal(-0.001, 2)),
    ],
)
def test_text_is_read_by_position_and_by_name(text, prior):
    assert parse_prior(text) == prior
    assert as_prior(text) == prior
    assert as_prior(prior) is prior


FORM = "a prior is written Name(numbers), such as 'HalfNormal(0.5)'; got "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HalfNormale(1)", "unknown prior 'HalfNormale'; did you mean 'HalfNormal'?"),
        ("half_norml(1)", "unknown prior 'half_norml'; did you mean 'HalfNormal'?"),
        ("Zzz(1)", f"unknown prior 'Zzz'; known priors are {', '.join(FAMILIES)}"),
        ("HalfNormal", FORM + "'HalfNormal'"),
        ("HalfNormal(0.5", FORM + "'HalfNormal(0.5'"),
        ("HalfNormal(0.5))", FORM + "'HalfNormal(0.5))'"),
        ("", FORM + "''"),
        ("0.5", FORM + "'0.5'"),
        ("HalfNormal(0.5); import os", FORM + "'HalfNormal(0.5); import os'"),
        ("HalfNormal(a(1))", "HalfNormal(sigma): a parameter must be a number; got 'a(1)'"),
        ("HalfNormal([1])", "HalfNormal(sigma): a parameter must be a number; got '[1]'"),
        ("HalfNormal((1])", FORM + "'HalfNormal((1])'"),
        ("HalfNormal(a)", "HalfNormal(sigma): a parameter must be a number; got 'a'"),
        ("HalfNormal(nan)", "HalfNormal(sigma): a parameter must be a number; got 'nan'"),
        ("HalfNormal(inf)", "HalfNormal(sigma): a parameter must be a number; got 'inf'"),
        ("HalfNormal(0,5)", "HalfNormal(sigma) has no parameter '5'"),
        ("HalfNormal(1,)", "HalfNormal(sigma): a parameter must be a number; got ''"),
        ("HalfNormal(1/2)", "HalfNormal(sigma): a parameter must be a number; got '1/2'"),
        ("HalfNormal(0x10)", "HalfNormal(sigma): a parameter must be a number; got '0x10'"),
        ("HalfNormal(1_0)", "HalfNormal(sigma): a parameter must be a number; got '1_0'"),
        ("HalfNormal()", "HalfNormal(sigma): parameter 'sigma' is missing; got ''"),
        ("Normal(1)", "Normal(mu, sigma): parameter 'sigma' is missing; got '1'"),
        ("HalfNormal(sigmma=1)", "HalfNormal(sigma) has no parameter 'sigmma'; did you mean 'sigma'?"),
        ("HalfNormal(1, sigma=2)", "HalfNormal(sigma): parameter 'sigma' is given twice"),
        ("HalfNormal(1e999)", "HalfNormal.sigma must be a positive number; got inf"),
        ("HalfNormal(-1)", "HalfNormal.sigma must be a positive number; got -1"),
        ("Flat(1)", "Flat() has no parameter '1'"),
        (
            "1/tau",
            "the prior 1/tau is improper at 0, so that the posterior does not exist; use HalfNormal or "
            "HalfCauchy, or Jeffreys()",
        ),
        (
            " 1 / tau^2",
            "the prior 1 / tau^2 is improper at 0, so that the posterior does not exist; use HalfNormal or "
            "HalfCauchy, or Jeffreys()",
        ),
        (
            "log_uniform(0.001, 10)",
            "the prior log_uniform, which is 1/tau, is improper at 0, so that the posterior does not exist; "
            "use HalfNormal or HalfCauchy, or Jeffreys()",
        ),
    ],
)
def test_malformed_text_is_explained(text, message):
    assert bad(lambda: parse_prior(text)) == message


@pytest.mark.parametrize("value", [0.5, None, ["HalfNormal(1)"], {"sigma": 1}])
def test_what_is_no_text_is_explained(value):
    kind = type(value).__name__
    assert bad(lambda: as_prior(value)) == f"a prior must be a text such as 'HalfNormal(0.5)'; got {kind}"


def test_long_and_dirty_text_is_cut_and_cleaned():
    message = bad(lambda: parse_prior("x" * 10_000))
    assert message == FORM + "'" + "x" * 199 + "…'"
    assert bad(lambda: parse_prior("Half\x1b[31m(1")) == FORM + "'Half[31m(1'"


def test_base_class_has_no_density():
    with pytest.raises(NotImplementedError):
        Prior().logpdf(np.array(0.0))


def test_half_cauchy_density_at_zero_is_two_over_pi_beta():
    assert float(np.exp(HalfCauchy(0.5).logpdf(np.array(0.0)))) == pytest.approx(2 / (pi * 0.5), rel=1e-15)
