"""Probabilities of joint statements, against one-dimensional closed forms, brute force and draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate as quadrature
from scipy import special, stats

from bayesmeta.engines.exact import integrate
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.expression import parse_statement
from bayesmeta.results.joint import _bivariate
from bayesmeta.results.posterior import all_names, probability_of
from bayesmeta.studies import Studies

Y, S = [0.28, -0.05, 0.6, 0.1], [0.15, 0.2, 0.25, 0.1]


def posterior_of(**model):
    asked = {"mu": "Normal(0, 1)", "tau": "HalfNormal(0.5)"} | model
    studies = Studies.from_effects(Y, sei=S, slab=list("abcd"), data={"x": [0.0, 1.0, 2.0, 4.0]})
    problem = pose(studies, Model(**asked))
    return ExactPosterior(problem, integrate(problem))


@pytest.mark.parametrize("rho", [-0.999999, -0.7, 0.0, 0.3, 0.95, 0.9999999])
def test_bivariate_probabilities_are_those_of_plackett_s_integral(rho):
    # Plackett: d/drho of the probability is the bivariate density; scipy's quad integrates it from rho = 0
    points = [(-1.3, 0.4), (0.0, 0.0), (0.7, 0.7), (2.0, -2.5), (0.0, 1.1), (-0.2, 0.0)]
    for h, k in points:
        exponent = lambda t, h=h, k=k: -(h * h - 2 * h * k * np.sin(t) + k * k) / (2 * np.cos(t) ** 2)  # noqa: E731
        added = quadrature.quad(lambda t: np.exp(exponent(t)), 0, np.arcsin(rho), epsabs=1e-14, limit=500)[0]  # noqa: B023
        expected = special.ndtr(h) * special.ndtr(k) + added / (2 * np.pi)
        ours = _bivariate(np.full((1, 1, 1), h), np.full((1, 1, 1), k), np.array([rho]))[0, 0, 0]
        assert ours == pytest.approx(expected, abs=2e-13)


def test_statements_agree_with_their_parts():
    posterior = posterior_of()

    def p(text):
        return probability_of(posterior, text)

    assert p("mu > 0 and mu <= 0") == 0
    assert p("mu > 0 or mu <= 0") == pytest.approx(1, abs=1e-13)
    assert p("mu > 0") == pytest.approx(1 - posterior.coefficients.cdf(np.zeros(1))[0, 0], abs=1e-12)
    assert p("tau < 0.2") == pytest.approx(posterior.tau.cdf(np.array([0.2]))[0, 0], abs=1e-11)
    assert p("mu > 0 and tau < 0.2") + p("mu > 0 and tau >= 0.2") == pytest.approx(p("mu > 0"), abs=1e-13)
    assert p("mu > 0 and theta_new > 0") + p("mu > 0 and theta_new <= 0") == pytest.approx(
        p("mu > 0"), abs=1e-13
    )
    assert p("not (mu > 0 and theta_new > 0)") == pytest.approx(1 - p("mu > 0 and theta_new > 0"), abs=1e-13)
    assert p("theta_new > mu") == pytest.approx(0.5, abs=1e-13)
    assert p("0.1 < mu < 0.3") == pytest.approx(p("mu < 0.3") - p("mu <= 0.1"), abs=1e-13)


@pytest.mark.parametrize(
    "text",
    [
        "`theta[a]` > `theta[b]`",
        "`theta[c]` > mu and tau < 0.3",
        "mu > tau",
        "mu > 0.1 and theta_new < 0.2",
        "`theta[a]` > `theta[b]` and `theta[c]` > `theta[d]`",
        "`theta[a]` < theta_new or tau2 > 0.04",
        "mu > 0 or (theta_new > 0.5 and I2 > 50)",
        "H2 > 2 and mu > 0 and `theta[a]` > mu",
    ],
)
def test_integrated_statements_agree_with_draws(text):
    # 400,000 independent draws; 4.5 standard errors
    posterior = posterior_of()
    statement = parse_statement(text, all_names(posterior.problem))
    exact, counted = posterior.probability(statement), posterior._counted(statement)
    assert posterior.monte_carlo_error(statement) == 0
    assert counted == pytest.approx(exact, abs=4.5 * (exact * (1 - exact) / 400_000) ** 0.5)


def test_two_coefficients_are_compared_exactly():
    posterior = posterior_of(mods="x", beta="Normal(0, 1)")
    nodes = posterior.nodes
    mean = nodes.beta[:, 1] - nodes.beta[:, 0]
    sd = np.sqrt(nodes.cov[:, 0, 0] + nodes.cov[:, 1, 1] - 2 * nodes.cov[:, 0, 1])
    expected = nodes.weights @ stats.norm.cdf(mean / sd)
    assert probability_of(posterior, "x > Intercept") == pytest.approx(expected, abs=1e-10)


def test_three_effects_are_counted_and_the_error_is_known():
    posterior = posterior_of()
    text = "`theta[a]` > 0 and `theta[b]` > 0 and `theta[c]` > 0"
    statement = parse_statement(text, all_names(posterior.problem))
    p = posterior.probability(statement)
    assert posterior.monte_carlo_error(statement) == pytest.approx((p * (1 - p) / 400_000) ** 0.5)


def test_a_fixed_tau_of_zero_makes_study_effects_equal():
    posterior = posterior_of(tau="Fixed(0)")
    assert probability_of(posterior, "`theta[a]` >= `theta[b]`") == 1.0
