"""Priors of tau that depend on the sampling variances, against their formulas.

Formulas: Röver (2020), J Stat Softw 93(6), section 2.2, doi:10.18637/jss.v093.i06. Integrals by
scipy.integrate.
"""

from __future__ import annotations

from math import inf, log

import numpy as np
import pytest
from scipy import integrate

from bayesmeta.errors import PriorError
from bayesmeta.priors import (
    BergerDeely,
    Conventional,
    DuMouchel,
    Jeffreys,
    OverallJeffreys,
    UniformI2,
    UniformShrinkage,
)

V = np.array([0.01, 0.04, 0.09, 0.25])
K = V.size
S0_SQUARED = K / np.sum(1 / V)
TYPICAL = (K - 1) * np.sum(1 / V) / (np.sum(1 / V) ** 2 - np.sum(1 / V**2))
TAU = np.array([0.003, 0.1, 0.25, 1.0, 7.0])
S0 = np.sqrt(S0_SQUARED)


def over_studies(f):
    return np.array([f(tau) for tau in TAU])


FORMULAS = {
    DuMouchel: over_studies(lambda tau: S0 / (S0 + tau) ** 2),
    UniformShrinkage: over_studies(lambda tau: 2 * S0_SQUARED * tau / (S0_SQUARED + tau**2) ** 2),
    UniformI2: over_studies(lambda tau: 2 * TYPICAL * tau / (TYPICAL + tau**2) ** 2),
    BergerDeely: over_studies(lambda tau: np.prod((tau / (V + tau**2)) ** (1 / K))),
    Jeffreys: over_studies(lambda tau: np.sqrt(np.sum((tau / (V + tau**2)) ** 2))),
    OverallJeffreys: over_studies(
        lambda tau: np.sqrt(np.sum(1 / (V + tau**2)) * np.sum((tau / (V + tau**2)) ** 2))
    ),
}


@pytest.mark.parametrize("family", FORMULAS, ids=lambda family: family.__name__)
def test_density_is_the_formula(family):
    np.testing.assert_allclose(np.exp(family().bind(V).logpdf(TAU)), FORMULAS[family], rtol=1e-13)


def conventional_kernel(tau):
    return np.prod((tau / (V + tau**2) ** 1.5) ** (1 / K))


def test_conventional_density_is_the_normalised_geometric_mean():
    total = sum(
        integrate.quad(conventional_kernel, low, high, epsabs=1e-13, epsrel=1e-12)[0]
        for low, high in ((0, 0.1), (0.1, 1), (1, 10), (10, inf))
    )
    expected = over_studies(conventional_kernel) / total
    np.testing.assert_allclose(np.exp(Conventional().bind(V).logpdf(TAU)), expected, rtol=1e-10)


@pytest.mark.parametrize("family", [DuMouchel, UniformShrinkage, UniformI2, Conventional])
def test_distribution_function_is_the_integral_of_the_density(family):
    prior = family().bind(V)
    for tau in (0.05, 0.3, 2.0):
        area = integrate.quad(lambda x: float(np.exp(prior.logpdf(np.array(x)))), 0, tau, epsabs=1e-13)[0]
        assert float(prior.cdf(np.array(tau))) == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("family", [DuMouchel, UniformShrinkage, UniformI2, Conventional])
def test_quantile_undoes_the_distribution_function(family):
    prior = family().bind(V)
    p = np.array([0.001, 0.3, 0.5, 0.99])
    np.testing.assert_allclose(prior.cdf(prior.quantile(p)), p, rtol=1e-9)
    assert prior.proper
    np.testing.assert_array_equal(prior.quantile(np.array([0.0, 1.0])), [0.0, inf])


def test_shrinkage_is_uniform_under_its_prior():
    quartiles = UniformShrinkage().bind(V).quantile(np.array([0.25, 0.5, 0.75]))
    np.testing.assert_allclose(S0_SQUARED / (S0_SQUARED + quartiles**2), [0.75, 0.5, 0.25], rtol=1e-14)


def test_i2_is_uniform_under_its_prior():
    quartiles = UniformI2().bind(V).quantile(np.array([0.25, 0.5, 0.75]))
    np.testing.assert_allclose(quartiles**2 / (TYPICAL + quartiles**2), [0.25, 0.5, 0.75], rtol=1e-14)


@pytest.mark.parametrize("family", [*FORMULAS, Conventional], ids=lambda family: family.__name__)
def test_tail_exponent_is_the_slope_of_the_log_density(family):
    prior = family().bind(V)
    rise = prior.logpdf(np.array(2e6)) - prior.logpdf(np.array(1e6))
    assert -float(rise) / log(2) == pytest.approx(family().tail, rel=1e-5)
    assert prior.tail == family().tail


@pytest.mark.parametrize("family", [*FORMULAS, Conventional], ids=lambda family: family.__name__)
def test_density_follows_the_unit_of_the_variances(family):
    prior, milli = family().bind(V), family().bind(V * 1e6)
    ratio = prior.logpdf(TAU) - milli.logpdf(1e3 * TAU)
    np.testing.assert_allclose(ratio, ratio[0], atol=1e-11)
    if prior.proper:
        assert ratio[0] == pytest.approx(log(1e3), rel=1e-11)


@pytest.mark.parametrize("family", [*FORMULAS, Conventional], ids=lambda family: family.__name__)
def test_density_is_finite_or_nothing_everywhere_without_a_warning(family):
    values = family().bind(V).logpdf(np.array([-1.0, 1e-300, 1e-20, 1e90, 1e140]))
    assert np.isneginf(values[0])
    assert not np.any(np.isnan(values))


@pytest.mark.parametrize("family", [Jeffreys, BergerDeely, OverallJeffreys])
def test_improper_families_have_no_distribution_function(family):
    prior = family().bind(V)
    assert not prior.proper
    assert not family().proper
    with pytest.raises(PriorError) as caught:
        prior.cdf(np.array(0.5))
    name = f"{family.__name__}()"
    assert str(caught.value) == f"{name} is improper and has no distribution function; use a proper prior"


def test_uniform_i2_needs_two_studies():
    with pytest.raises(PriorError) as caught:
        UniformI2().bind(V[:1])
    message = "UniformI2() needs at least 2 studies; got 1; use HalfNormal or HalfCauchy"
    assert str(caught.value) == message


def test_bound_priors_print_as_written_and_compare_by_their_variances():
    for family in (*FORMULAS, Conventional):
        assert str(family().bind(V)) == f"{family.__name__}()" == str(family())
    assert Jeffreys().bind(V) == Jeffreys().bind(V.copy())
    assert Jeffreys().bind(V) != Jeffreys().bind(2 * V)
    assert Jeffreys().bind(V) != BergerDeely().bind(V)
    assert hash(Jeffreys().bind(V)) == hash(Jeffreys().bind(V.copy()))


def test_with_one_variance_jeffreys_and_berger_deely_agree():
    one = np.array([0.04])
    np.testing.assert_allclose(
        Jeffreys().bind(one).logpdf(TAU), BergerDeely().bind(one).logpdf(TAU), rtol=1e-13
    )
