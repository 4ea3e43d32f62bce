"""The engine for many priors against single fits, stored integrations, arbitrary precision and theory."""

from __future__ import annotations

import json
from math import inf, log, pi
from pathlib import Path

import mpmath
import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.engines.surface import (
    Added,
    Choices,
    Densities,
    VariantLikelihood,
    densities,
    effects,
    likelihood_nodes,
    likelihood_of,
    location_priors,
    posteriors,
    probabilities,
    quantiles,
    surface_of,
    tau_quantiles,
    why_not,
)
from bayesmeta.engines.surface.rule import COARSE, NODES, WEIGHTS, divided, halved, rule_on
from bayesmeta.errors import ImproperPosteriorError
from bayesmeta.model import Model
from bayesmeta.priors import Flat, Gamma, HalfCauchy, HalfNormal, Normal, as_prior
from bayesmeta.problem import pose
from bayesmeta.studies import Studies

REFERENCE = Path(__file__).parent / "reference"
P = np.array([0.025, 0.5, 0.975])
SCHOOLS = ([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18])
TWO = ([0.3, 1.1], [0.2, 0.4])
THREE = ([-0.2, 0.5, 3.0], [0.3, 0.1, 0.6])


def studies_of(name):
    main = json.loads((REFERENCE / f"{name}.json").read_text())["main"]
    return Studies.from_effects(main["yi"], vi=main["vi"])


def pair(data):
    return Studies.from_effects(data[0], sei=data[1])


def surface_for(studies, taus, mus):
    problem = pose(studies, Model(mu=mus[0], tau=taus[0]))
    bound = tuple(pose(studies, Model(mu=mus[0], tau=tau)).priors.tau_density for tau in taus)
    choices = Choices(Densities(bound), location_priors([as_prior(mu) for mu in mus]))
    return surface_of(likelihood_of(problem), choices)


def interquartile(marginal):
    return float(marginal.quantile(0.75) - marginal.quantile(0.25))


def largest_difference(surface, studies, taus, mus, *, everything=True):
    """Return the largest difference from single fits, in log evidence and in interquartile ranges."""
    q, new, tau_q = (quantiles(surface, P), quantiles(surface, P, new=True), tau_quantiles(surface, P))
    found = []
    for a, tau in enumerate(taus):
        for b, mu in enumerate(mus):
            try:
                fit = bm.fit(studies, Model(mu=mu, tau=tau), engine="exact")
            except ImproperPosteriorError:
                assert surface.bounds[a, b] <= 0
                continue
            assert surface.settled[a, b]
            m, t, n = (fit.marginal(name) for name in ("mu", "tau", "theta_new"))
            found += [
                surface.log_evidence[a, b] - fit.log_evidence,
                *((q.values[a, b] - m.quantile(P)) / interquartile(m)),
                *((new.values[a, b] - n.quantile(P)) / interquartile(n)),
                *((tau_q.values[a, b] - t.quantile(P)) / interquartile(t)),
                probabilities(surface, 0.1)[a, b] - fit.probability("mu > 0.1"),
                probabilities(surface, 0.1, new=True)[a, b] - fit.probability("theta_new > 0.1"),
            ]
            moments = [
                (surface.mean[a, b] - m.mean) / interquartile(m),
                np.sqrt(surface.variance[a, b]) / m.sd - 1,
                (surface.moments.tau[a, b] - t.mean) / interquartile(t),
                np.sqrt(surface.tau_variance[a, b]) / t.sd - 1,
            ]
            found += [one for one in moments if np.isfinite(one)]
    return float(np.abs(found).max())


# The rule


@pytest.mark.parametrize(("weights", "degree"), [(WEIGHTS, 31), (COARSE, 19)])
def test_rules_integrate_polynomials_of_their_degree_exactly_and_no_higher(weights, degree):
    # the integral of x^n from -1 to 1 is 2 / (n + 1) for even n, 0 for odd
    for n in range(degree + 1):
        exact = 2 / (n + 1) if n % 2 == 0 else 0.0
        assert weights @ NODES**n == pytest.approx(exact, abs=4e-16)
    assert abs(weights @ NODES ** (degree + 1) - 2 / (degree + 2)) > 1e-12


def test_panels_have_edges_at_kinks_and_halves_where_wanted():
    edges = divided(0.0, 4.0, np.array([1.0, 9.0]), 2.0)
    np.testing.assert_allclose(edges, [0, 1, 2.5, 4])
    np.testing.assert_allclose(halved(edges, np.array([True, False, True])), [0, 0.5, 1, 2.5, 3.25, 4])
    rule = rule_on(edges)
    assert rule.weights.sum() == pytest.approx(4, rel=1e-15)
    assert rule.coarse @ rule.x**5 == pytest.approx(4**6 / 6, rel=1e-14)


def test_priors_of_a_family_are_evaluated_as_each_alone():
    texts = ["HalfNormal(0.1)", "HalfCauchy(2)", "HalfNormal(3)", "Exponential(4)", "HalfStudentT(4, 0.2)"]
    texts += [
        "HalfStudentT(3, 0.2)",
        "Uniform(0, 2)",
        "Lomax(2, 0.3)",
        "LogNormal(-1, 0.5)",
        "Exponential(0.2)",
    ]
    priors = tuple(as_prior(text) for text in texts)
    x = np.array([1e-3, 0.05, 0.7, 1.9, 40.0])
    together = Densities(priors)
    assert len(together.families) == len(texts) - 2
    np.testing.assert_allclose(together.logpdf(x), [prior.logpdf(x) for prior in priors], rtol=1e-13)
    np.testing.assert_allclose(together.typical, [prior.typical for prior in priors], rtol=1e-13)


# Against single fits

REGULAR = ["HalfNormal(0.5)", "HalfCauchy(2)", "Exponential(1)", "Uniform(0, 0.4)", "HalfNormal(0.005)"]
SINGULAR = ["LogNormal(-2, 1)", "Gamma(0.7, 1)", "InverseGamma(0.5, 0.1)", "Jeffreys()", "DuMouchel()"]
MUS = ["Flat()", "Normal(0, 1)", "Normal(2, 0.05)"]


@pytest.mark.parametrize("data", [TWO, THREE], ids=["k = 2", "k = 3"])
@pytest.mark.parametrize("taus", [REGULAR, SINGULAR], ids=["regular", "singular"])
def test_few_studies_and_heavy_tails_agree_with_single_fits(data, taus):
    # both sides claim 1e-8; tau under HalfCauchy and flat mu with k = 2 has no mean
    studies = pair(data)
    assert largest_difference(surface_for(studies, taus, MUS), studies, taus, MUS) < 1e-8


@pytest.mark.parametrize("name", ["bmd_yu775", "schools_rubin1981"])
def test_reviews_agree_with_single_fits(name):
    studies = studies_of(name)
    scale = json.loads((REFERENCE / f"{name}.json").read_text())["tau_prior_scale"]
    taus = [
        *(f"HalfNormal({scale * c!r})" for c in (0.01, 0.5, 4)),
        f"HalfCauchy({scale!r})",
        f"HalfStudentT(4, {scale!r})",
        f"Exponential({2 / scale!r})",
        f"Uniform({0.2 * scale!r}, {0.7 * scale!r})",
        "Flat()",
    ]
    mus = ["Flat()", f"Normal(0, {scale!r})", f"Normal(0, {0.05 * scale!r})"]
    assert largest_difference(surface_for(studies, taus, mus), studies, taus, mus) < 1e-8


def test_densities_are_those_of_single_fits():
    surface = surface_for(pair(THREE), ["HalfNormal(0.5)", "HalfCauchy(2)"], ["Normal(0, 1)"])
    x = np.linspace(-2, 3, 7)
    fit = bm.fit(pair(THREE), Model(mu="Normal(0, 1)", tau="HalfCauchy(2)"))
    np.testing.assert_allclose(densities(surface, x)[1, 0], fit.marginal("mu").density(x), rtol=1e-9)
    new = densities(surface, x, new=True)[1, 0]
    np.testing.assert_allclose(new, fit.marginal("theta_new").density(x), rtol=1e-9)


@pytest.mark.parametrize("center", [True, False])
def test_with_moderators_the_mean_effect_at_their_means_is_that_of_the_fit(center):
    studies = Studies.from_effects(
        [0.1, 0.4, 0.3, 0.9, 0.2], sei=[0.1, 0.2, 0.1, 0.3, 0.2], data={"x": [1.0, 2.0, 4.0, 7.0, 8.0]}
    )
    model = Model("x", mu="Normal(0, 0.5)", beta="Normal(0, 1)", tau="HalfNormal(0.3)", center=center)
    problem = pose(studies, model)
    choices = Choices(Densities((HalfNormal(0.3),)), location_priors([Normal(0, 0.5)]))
    surface = surface_of(likelihood_of(problem), choices)
    fit = bm.fit(studies, model, engine="exact")
    # the mean of x is 4.4; uncentred, the prior of mu and so the surface are of the intercept
    row = np.array([[1.0, 4.4 if center else 0.0]])
    mean = fit.posterior.at(row, new_study=False)
    assert surface.log_evidence[0, 0] == pytest.approx(fit.log_evidence, abs=1e-9)
    assert surface.mean[0, 0] == pytest.approx(mean.mean()[0], abs=1e-9)
    np.testing.assert_allclose(quantiles(surface, P).values[0, 0], mean.quantile(P)[:, 0], atol=1e-9)


# Against values from outside

PRIORS = {
    "hn_mu": lambda s: (f"HalfNormal({0.5 * s!r})", f"Normal(0, {4 * s!r})"),
    "hc_mu": lambda s: (f"HalfCauchy({0.5 * s!r})", f"Normal(0, {2 * s!r})"),
    "ht4_mu": lambda s: (f"HalfStudentT(4, {0.5 * s!r})", f"Normal({0.1 * s!r}, {s!r})"),
    "exp_mu": lambda s: (f"Exponential({2 / s!r})", f"Normal(0, {2 * s!r})"),
    "unif_mu": lambda s: (f"Uniform(0, {4 * s!r})", f"Normal(0, {4 * s!r})"),
    "lnorm_mu": lambda s: (f"LogNormal({log(0.3 * s)!r}, 1)", f"Normal(0, {4 * s!r})"),
    "hn": lambda s: (f"HalfNormal({0.5 * s!r})", "Flat()"),
    "hc": lambda s: (f"HalfCauchy({0.5 * s!r})", "Flat()"),
    "jeffreys": lambda _: ("Jeffreys()", "Flat()"),
    "dumouchel": lambda _: ("DuMouchel()", "Flat()"),
}
"""Priors of `tests/reference`, as its README describes them."""


@pytest.mark.parametrize("name", ["bmd_yu775", "schools_rubin1981", "syn_k2", "crins2014"])
def test_stored_direct_integrations_are_met(name):
    # `direct` entries: adaptive Gauss-Legendre, good to 2e-13 sds against 30-digit arithmetic
    content = json.loads((REFERENCE / f"{name}.json").read_text())
    for prior, text in PRIORS.items():
        stored = content["direct"][prior]
        tau, mu = text(content["tau_prior_scale"])
        surface = surface_for(studies_of(name), [tau], [mu])
        values = {
            "mu": quantiles(surface, P).values[0, 0],
            "theta_new": quantiles(surface, P, new=True).values[0, 0],
            "tau": tau_quantiles(surface, P).values[0, 0],
        }
        for quantity, ours in values.items():
            q = stored[quantity]["quantiles"]["value"]
            spread = q[4] - q[2]
            low, high = stored[quantity]["central95"]
            np.testing.assert_allclose(ours, [low, stored[quantity]["median"], high], atol=1e-9 * spread)
        if prior.endswith("_mu"):
            assert surface.log_evidence[0, 0] == pytest.approx(stored["log_marginal_likelihood"], abs=1e-9)


def test_evidence_and_mean_meet_thirty_digit_arithmetic():
    # integral over tau of N(y; 0, diag(v + tau^2) + 1) times HalfCauchy(0.5), and of E(mu | tau) times it
    y, v = [mpmath.mpf("0.3"), mpmath.mpf("1.1")], [mpmath.mpf("0.04"), mpmath.mpf("0.16")]
    with mpmath.workdps(30):

        def parts(tau):
            w = [1 / (one + tau**2) for one in v]
            precision = sum(w) + 1
            mean = sum(a * b for a, b in zip(w, y, strict=True)) / precision
            rss = sum(a * b**2 for a, b in zip(w, y, strict=True)) - precision * mean**2
            density = mpmath.sqrt(w[0] * w[1] / precision) * mpmath.exp(-rss / 2) / (2 * mpmath.pi)
            return density * 2 / (mpmath.pi * mpmath.mpf("0.5") * (1 + 4 * tau**2)), mean

        ends = [0, 0.1, 0.3, 1, 3, 10, 100, mpmath.inf]
        evidence = mpmath.quad(lambda t: parts(t)[0], ends)
        mean = mpmath.quad(lambda t: parts(t)[0] * parts(t)[1], ends) / evidence
    surface = surface_for(pair(TWO), ["HalfCauchy(0.5)"], ["Normal(0, 1)"])
    assert surface.log_evidence[0, 0] == pytest.approx(float(mpmath.log(evidence)), abs=1e-13)
    assert surface.mean[0, 0] == pytest.approx(float(mean), abs=1e-13)


def test_one_study_has_the_closed_form_where_the_prior_of_tau_is_narrow():
    # tau is 1e-6 at most: y ~ N(0, 0.04 + 1), mu | y ~ N(0.5 / 1.04, 0.04 / 1.04) up to tau^2 / v = 3e-11
    surface = surface_for(Studies.from_effects([0.5], sei=[0.2]), ["HalfNormal(1e-6)"], ["Normal(0, 1)"])
    expected = -0.5 * (log(2 * pi * 1.04) + 0.25 / 1.04)
    assert surface.log_evidence[0, 0] == pytest.approx(expected, abs=1e-9)
    assert surface.mean[0, 0] == pytest.approx(0.5 / 1.04, abs=1e-10)


# Invariance


@pytest.mark.parametrize("unit", [1e-6, 1e7])
def test_another_unit_changes_nothing_but_the_unit(unit):
    def of(c):
        studies = Studies.from_effects(np.array(THREE[0]) * c, sei=np.array(THREE[1]) * c)
        taus, mus = [HalfCauchy(0.5 * c), HalfNormal(0.1 * c)], [Normal(0, c), Normal(c, 3 * c)]
        return surface_for(studies, taus, mus)

    one, other = of(1.0), of(unit)
    np.testing.assert_allclose(other.mean, unit * one.mean, rtol=1e-9)
    np.testing.assert_allclose(other.log_evidence, one.log_evidence - 3 * log(unit), atol=1e-9)
    np.testing.assert_allclose(tau_quantiles(other, P).values, unit * tau_quantiles(one, P).values, rtol=1e-8)


def test_a_shift_of_effects_and_priors_shifts_the_answer():
    def of(shift):
        studies = Studies.from_effects(np.array(THREE[0]) + shift, sei=THREE[1])
        return surface_for(studies, [HalfCauchy(0.5)], [Normal(shift, 1), Flat()])

    one, other = of(0.0), of(2.0**24)
    np.testing.assert_allclose(other.mean - 2.0**24, one.mean, atol=1e-8)
    np.testing.assert_allclose(np.sqrt(other.variance), np.sqrt(one.variance), rtol=1e-7)


def test_the_order_of_studies_and_priors_does_not_matter():
    taus, mus = ["HalfNormal(0.5)", "HalfCauchy(2)"], ["Flat()", "Normal(0, 1)"]
    one = surface_for(pair(THREE), taus, mus)
    other = surface_for(Studies.from_effects(THREE[0][::-1], sei=THREE[1][::-1]), taus[::-1], mus[::-1])
    np.testing.assert_allclose(other.log_evidence[::-1, ::-1], one.log_evidence, atol=1e-12)
    np.testing.assert_allclose(quantiles(other, P).values[::-1, ::-1], quantiles(one, P).values, rtol=1e-9)


# What cannot be answered, and reuse


def test_an_improper_posterior_leaves_the_others_alone():
    # Flat tau with k = 2 and flat mu: 0 + 2 - 1 is not above 1 (Gelman 2006); with a normal mu it is
    taus, mus = ["Flat()", "HalfNormal(0.5)"], ["Flat()", "Normal(0, 1)"]
    surface = surface_for(pair(TWO), taus, mus)
    np.testing.assert_array_equal(surface.settled, [[False, True], [True, True]])
    assert surface.bounds[0, 0] <= 0
    assert np.isnan(quantiles(surface, P).values[0, 0]).all()
    assert largest_difference(surface, pair(TWO), taus, mus) < 1e-8


def test_kept_nodes_serve_other_priors_and_refuse_those_beyond():
    problem = pose(pair(THREE), Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    nodes = likelihood_nodes(problem, [HalfNormal(0.5)], [Normal(0, 1)])
    again = posteriors(nodes, [HalfNormal(0.3), HalfCauchy(0.5), Gamma(9000, 3000)], [Normal(0.5, 2)])
    np.testing.assert_array_equal(again.settled[:, 0], [True, False, False])
    fit = bm.fit(pair(THREE), Model(mu="Normal(0.5, 2)", tau="HalfNormal(0.3)"))
    assert again.log_evidence[0, 0] == pytest.approx(fit.log_evidence, abs=1e-9)
    assert again.error[1, 0] == inf


def test_the_error_is_above_the_difference_from_the_truth():
    # on one coarse panel set the rules disagree; the single fit is right to 1e-11
    problem = pose(pair(SCHOOLS), Model(mu="Normal(0, 9)", tau="HalfNormal(8)"))
    nodes = likelihood_nodes(problem, [HalfNormal(8)], [Normal(0, 9)])
    truth = bm.fit(pair(SCHOOLS), Model(mu="Normal(0, 9)", tau="HalfNormal(8)")).log_evidence
    for panels in (1, 2, 3):
        edges = np.linspace(nodes.rule.edges[0], nodes.rule.edges[-1], panels + 1)
        rough = posteriors(nodes.on(edges), [HalfNormal(8)], [Normal(0, 9)])
        assert abs(rough.log_evidence[0, 0] - truth) <= rough.error[0, 0]


def test_a_narrow_prior_far_from_the_likelihood_is_right_or_flagged():
    taus, mus = ["Gamma(1e6, 1e6)", "HalfNormal(0.5)"], ["Normal(0, 1)"]
    surface = surface_for(pair(THREE), taus, mus)
    assert surface.settled[1, 0]
    if surface.settled[0, 0]:
        assert largest_difference(surface, pair(THREE), taus, mus) < 1e-8


def test_a_quantile_is_missing_where_steps_cannot_be_told():
    # 1e6 sds out all densities vanish: Newton's step is 0 / 0, which is no sign of having arrived
    one, none = np.ones((1, 1)), np.zeros((1, 1))
    normal = effects._Nested(effects._Mixtures(one, none, one), one, effects._Mixtures(none, none, one))
    for start, expected in ((1e6, np.nan), (-1.5, -1.959963984540054)):
        found, _ = effects._quantiles(normal, np.array([[start]]), np.ones(1), np.array([0.025]))
        np.testing.assert_allclose(found, [[expected]], atol=1e-9)


def test_models_without_one_mean_effect_are_named():
    studies = Studies.from_effects([1, 2, 3, 4], sei=[1] * 4, data={"g": ["a", "b", "a", "b"]})
    priors = {"mu": "Normal(0, 1)", "tau": "HalfNormal(1)"}
    assert why_not(pose(studies, Model(**priors))) == ""
    assert why_not(pose(studies, Model("0 + C(g)", **priors))) == "a formula with 2 mean effects"
    assert why_not(pose(studies, Model("C(g)", beta="Cauchy(0, 1)", **priors))) == (
        "prior Cauchy(0, 1) of a coefficient"
    )


# Variants of the data


def test_variants_of_effects_and_a_further_study_are_other_data_sets():
    y, se = np.array(THREE[0]), np.array(THREE[1])
    choices = Choices(Densities((HalfNormal(0.5),)), location_priors([Normal(0, 1)]))
    effects = np.stack([y, y + 0.3, y * [1, 1, 9]], axis=1)
    surface = surface_of(VariantLikelihood(effects - 0.2, se**2, 0.2), choices)
    more = surface_of(
        VariantLikelihood(
            (y - 0.2)[:, None], se**2, 0.2, Added(np.array([-0.2, 0.8]), np.array([0.5, 1e-4]))
        ),
        choices,
    )
    model = Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    fits = [bm.fit(Studies.from_effects(column, sei=se), model) for column in effects.T]
    fits += [
        bm.fit(Studies.from_effects([*y, new], vi=[*se**2, v]), model) for new, v in ((0.0, 0.5), (1.0, 1e-4))
    ]
    evidence = np.concatenate([surface.log_evidence[0], more.log_evidence[0]])
    np.testing.assert_allclose(evidence, [fit.log_evidence for fit in fits], atol=1e-9)
    above = np.concatenate([probabilities(one, 0.1)[0] for one in (surface, more)])
    np.testing.assert_allclose(above, [fit.probability("mu > 0.1") for fit in fits], atol=1e-9)
