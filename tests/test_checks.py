"""Named doubts about a fit: each fires alone, by its full sentence, and not without cause."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from bayesmeta.fitting import fit
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.conflict import locations, nodes, scatter, tails
from bayesmeta.studies import Studies

Y, SEI = [0.1, 0.3, 0.2, 0.5, 0.0, 0.3], [0.1, 0.1, 0.2, 0.3, 0.1, 0.2]


def studies(yi=Y, sei=SEI, **options):
    return Studies.from_effects(yi, sei=sei, **options)


def answer(yi=Y, sei=SEI, data=None, **fields):
    return fit(
        studies(yi, sei, data=data), Model(**({"mu": "Normal(0, 1)", "tau": "HalfNormal(0.2)"} | fields))
    )


def ids(one):
    return [identifier for identifier, _ in one.warnings]


def test_nothing_is_doubted_without_cause():
    assert answer().warnings == ()
    assert "Warning" not in str(answer())


def test_warnings_stand_in_the_summary():
    one = answer(yi=[0.1, 0.2], sei=[0.1, 0.1])
    text = "2 studies: tau and the prediction interval rest mostly on the prior of tau"
    assert one.warnings == (("few-studies", text),)
    assert str(one).endswith(f"Warning [few-studies]: {text}")


# INPUTS 064 and 113


def test_one_study_with_a_flat_mean_leaves_tau_its_prior():
    one = answer(yi=[0.5], sei=[0.2], mu="Flat()", tau="HalfNormal(0.5)")
    assert ("prior-only", "1 study and 1 coefficient: the posterior of tau is its prior") in one.warnings
    quartiles = one.marginal("tau").quantile(np.array([0.25, 0.5, 0.75]))
    np.testing.assert_allclose(quartiles, stats.halfnorm(scale=0.5).ppf([0.25, 0.5, 0.75]), rtol=1e-9)


def test_one_study_with_a_proper_mean_leaves_tau_close_to_its_prior():
    one = answer(yi=[0.5], sei=[0.2])
    text = "1 study and 1 coefficient: the posterior of tau is close to its prior"
    assert one.warnings == (("prior-only", text),)


def test_as_many_coefficients_as_studies_leave_tau_its_prior():
    one = answer(yi=[0.1, 0.4], sei=[0.1, 0.2], data={"x": [0.0, 1.0]}, mods="x", mu="Flat()", beta="Flat()")
    text = "2 studies and 2 coefficients: the posterior of tau is its prior"
    assert ("prior-only", text) in one.warnings
    np.testing.assert_allclose(
        one.marginal("tau").quantile(np.array([0.1, 0.9])),
        stats.halfnorm(scale=0.2).ppf([0.1, 0.9]),
        rtol=1e-9,
    )


def test_a_fixed_effect_model_has_no_tau_to_doubt():
    one = fit(studies([0.1, 0.2], [0.1, 0.1]), Model(mu="Normal(0, 1)", effects="common"))
    assert one.warnings == ()


# INPUTS 039, 042, 071


def test_a_prior_much_wider_than_the_standard_errors_is_doubted():
    # Median of HalfNormal(0.5): 0.5 * 0.6744898 = 0.337; divided by 0.02: 16.9.
    one = answer(yi=[0.01, 0.02, 0.03, 0.01, 0.02], sei=[0.02] * 5, tau="HalfNormal(0.5)")
    text = (
        "the prior of tau, HalfNormal(0.5), puts the median of tau at 0.337, 16.9 times the median standard "
        "error 0.02; is it meant for effects in these units?"
    )
    assert one.warnings == (("wide-tau-prior", text),)


def test_a_prior_nine_times_as_wide_is_not_doubted():
    sigma = 9 * 0.02 / 0.6744898
    one = answer(yi=[0.01, 0.02, 0.03, 0.01, 0.02], sei=[0.02] * 5, tau=f"HalfNormal({sigma})")
    assert one.warnings == ()


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"tau": "InverseGamma(0.001, 0.001)"}, "tau ~ InverseGamma(alpha=0.001, beta=0.001)"),
        ({"tau": None, "tau2": "InverseGamma(0.1, 0.1)"}, "tau2 ~ InverseGamma(alpha=0.1, beta=0.1)"),
    ],
)
def test_an_inverse_gamma_that_only_looks_vague_is_doubted(fields, shown):
    text = (
        f"the posterior depends on the small numbers in {shown}, which is not vague near 0; use HalfNormal "
        "or HalfCauchy"
    )
    assert answer(**fields).warnings == (("sensitive-prior", text),)


def test_an_informative_inverse_gamma_is_not_doubted():
    assert answer(tau=None, tau2="InverseGamma(2, 0.05)").warnings == ()


def test_the_overall_jeffreys_prior_is_not_recommended():
    text = "OverallJeffreys() is not recommended for a mean effect; use Jeffreys()"
    assert answer(tau="OverallJeffreys()").warnings == (("sensitive-prior", text),)


# INPUTS 040, 085, 109: conflict of prior and data


def test_two_clusters_far_apart_contradict_a_narrow_prior():
    # INPUTS 085. Q = 4 * 5000^2 = 1e8; DL's tau^2 = (1e8 - 3) / 3 (all weights 1), tau = 5773.5.
    one = fit(studies([0, 0, 1e4, 1e4], [1, 1, 1, 1]), Model(mu="Flat()", tau="HalfNormal(0.1)"))
    text = (
        "the prior of tau, HalfNormal(0.1), puts the median of tau at 0.0674, the studies suggest 5.77e+03: "
        "a Q as extreme as 1e+08 (3 degrees of freedom) has prior probability below 1e-15"
    )
    assert ("prior-data-conflict", text) in one.warnings
    mu = one.marginal("mu")
    assert mu.mean == pytest.approx(5000, rel=1e-12)
    assert mu.interval() == pytest.approx((4969.0103, 5030.9897), abs=5e-5)


def test_a_mean_far_from_its_prior_is_a_conflict():
    # With a fixed tau of 0: estimate 1 with variance 0.25/5, prior sd 0.1: z = 1 / sqrt(0.05 + 0.01).
    one = answer(yi=[1.0, 1.1, 0.9, 1.0, 1.0], sei=[0.5] * 5, mu="Normal(0, 0.1)", tau="Fixed(0)")
    tail = 2 * stats.norm.sf(1 / np.sqrt(0.06))
    text = (
        "the prior of mu, Normal(0, 0.1), is far from the fixed effect 1 (standard error 0.224), which has "
        f"prior probability {tail:.1g}"
    )
    assert one.warnings == (("prior-data-conflict", text),)


def test_a_slope_far_from_its_prior_is_a_conflict():
    data = {"x": [-1.0, 0.0, 1.0, -1.0, 0.0, 1.0]}
    one = answer(
        [-5, 0, 5, -5, 0, 5], [0.3] * 6, data, mods="x", beta="Normal(0, 0.1)", tau="HalfNormal(0.2)"
    )
    assert [text.split(",")[0] for name, text in one.warnings if name == "prior-data-conflict"] == [
        "the prior of x"
    ]


def test_too_little_scatter_for_a_prior_far_from_zero_is_a_conflict():
    one = answer([0.1, 0.1, 0.1, 0.1, 0.11, 0.1], [0.1] * 6, tau="Uniform(5, 10)")
    assert "prior-data-conflict" in ids(one)


def test_scatter_tail_is_the_integral_over_the_prior_of_tau():
    # With equal variances Q (1 + tau^2 / v)^-1 is chi-squared with k - 1 degrees of freedom.
    y, s, sigma = np.array([0.0, 0.9, -0.6, 0.5, 1.2]), 0.2, 0.15
    Q = np.sum((y - y.mean()) ** 2) / s**2

    def above(tau):
        return stats.chi2.sf(Q / (1 + tau**2 / s**2), 4) * stats.halfnorm.pdf(tau, scale=sigma)

    expected = integrate.quad(above, 0, 2, epsabs=1e-13, points=[0.1, 0.3, 0.6])[0]
    found = scatter(pose(studies(y, [s] * 5), Model(mu="Flat()", tau=f"HalfNormal({sigma})")))
    np.testing.assert_allclose(found.Q, Q, rtol=1e-12)
    assert found.df == 4
    assert found.tail == pytest.approx(2 * expected, rel=1e-7)


def test_small_scatter_is_judged_against_none():
    y, s, tau = np.array([0.0, 0.1, -0.1, 0.05]), 0.2, 0.6
    Q = np.sum((y - y.mean()) ** 2) / s**2
    found = scatter(pose(studies(y, [s] * 4), Model(mu="Flat()", tau=f"Fixed({tau})")))
    below = stats.chi2.cdf(Q / (1 + tau**2 / s**2), 3)
    assert found.tail == pytest.approx(below / stats.chi2.cdf(Q, 3), rel=1e-9)


def test_tail_of_q_with_unequal_variances_is_that_of_simulated_data():
    v, tau, rng = np.array([0.01, 0.04, 0.09, 0.25, 0.5]), 0.4, np.random.default_rng(3)
    X = np.column_stack([np.ones(5), [0.0, 1.0, 2.0, 3.0, 5.0]])
    n = 400_000
    y = rng.standard_normal((n, 5)) * np.sqrt(v + tau**2)
    root = X / np.sqrt(v)[:, None]
    residual = np.eye(5) - root @ np.linalg.pinv(root)
    Q = np.sum(((y / np.sqrt(v)) @ residual) ** 2, axis=1)
    P = residual / np.sqrt(np.outer(v, v))
    traces = tuple(float(np.trace(np.linalg.matrix_power(P, r))) for r in (1, 2, 3))
    for level in (0.5, 0.1, 0.01, 0.001):
        limit = float(np.quantile(Q, 1 - level))
        found = float(tails(limit, 3, traces, np.array([tau**2]))[1, 0])
        # Three cumulants are matched: within a quarter of the tail probability, which a limit of 1e-3 allows.
        assert found == pytest.approx(level, rel=0.25)
    problem = pose(
        studies(y[0], np.sqrt(v), data={"x": X[:, 1]}),
        Model("x", mu="Flat()", beta="Flat()", tau="Fixed(0.4)"),
    )
    below, above = tails(float(Q[0]), 3, traces, np.array([tau**2]))[:, 0]
    assert below + above == pytest.approx(1, rel=1e-12)
    expected = min(2 * above, below / stats.chi2.cdf(float(Q[0]), 3))
    assert scatter(problem).tail == pytest.approx(expected, rel=1e-9)


def test_location_tail_is_the_double_integral_over_the_priors():
    y, s = np.array([0.4, 0.9, 0.7]), np.array([0.1, 0.2, 0.1])
    problem = pose(studies(y, s), Model(mu="Cauchy(0, 0.05)", tau="Exponential(4)"))
    w = 1 / s**2
    estimate = np.sum(w * y) / w.sum()
    spread = np.sum(w**2) / w.sum() ** 2

    u = (np.arange(20_000) + 0.5) / 20_000
    mu = stats.cauchy.ppf(u, 0, 0.05)
    points, mass = np.polynomial.legendre.leggauss(60)
    tau = 3 * (points + 1)
    sd = np.sqrt(1 / w.sum() + spread * tau**2)
    above = stats.norm.sf(estimate, mu[:, None], sd).mean(axis=0)
    inner = np.sum(3 * mass * 4 * np.exp(-4 * tau) * above)
    [found] = locations(problem)
    assert found.name == "mu"
    assert found.estimate == pytest.approx(estimate, rel=1e-12)
    assert found.se == pytest.approx(w.sum() ** -0.5, rel=1e-12)
    assert found.tail == pytest.approx(2 * inner, rel=1e-4)


def test_flat_priors_cannot_contradict_the_data():
    problem = pose(studies([0.0, 100.0], [1, 1]), Model(mu="Flat()", tau="Jeffreys()"))
    assert scatter(problem) is None
    assert locations(problem) == []


@pytest.mark.parametrize("tau", ["HalfCauchy(0.3)", "Conventional()", "DuMouchel()", "Uniform(0.1, 2)"])
def test_nodes_of_a_prior_average_like_an_integral(tau):
    prior = pose(studies(), Model(mu="Flat()", tau=tau)).priors.tau_density
    x, weights = nodes(prior)
    assert weights.sum() == pytest.approx(1, rel=1e-12)
    low, high = prior.support
    points = [low, 0.2, 1.0, min(high, 10.0), min(high, np.inf)]
    expected = sum(
        integrate.quad(lambda t: float(np.exp(prior.logpdf(np.array(t))) / (1 + t)), a, b)[0]
        for a, b in pairwise(points)
        if b > a
    )
    assert float(weights @ (1 / (1 + x))) == pytest.approx(expected, rel=1e-6)


# INPUTS 116, 121, 125: regressions


def test_an_intercept_far_from_the_data_is_doubted():
    data = {"year": [1948.0, 1950.0, 1960.0, 1970.0, 1975.0, 1980.0]}
    one = answer(data=data, mods="year", beta="Normal(0, 1)")
    text = (
        "Intercept is the effect at year = 0, far outside its range in the studies, 1948 to 1980; write "
        "center(year)"
    )
    assert [pair for pair in one.warnings if pair[0] == "far-intercept"] == [("far-intercept", text)]
    assert "far-intercept" not in ids(answer(data=data, mods="center(year)", beta="Normal(0, 1)"))
    assert "far-intercept" not in ids(answer(data=data, mods="0 + year", beta="Normal(0, 1)"))


def test_an_intercept_near_the_data_is_not_doubted():
    data = {"duration": [2.0, 6.0, 12.0, 12.0, 24.0, 3.0]}
    assert "far-intercept" not in ids(answer(data=data, mods="duration", beta="Normal(0, 1)"))


def test_a_level_of_one_study_and_many_moderators_are_doubted():
    data = {"g": ["a", "a", "b", "c", "a", "c"]}
    one = answer(data=data, mods="C(g)", beta="Normal(0, 1)")
    assert ("single-study-level", "g: only one study has b") in one.warnings
    text = "2 coefficients of moderators for 6 studies; such a regression explores, it does not confirm"
    assert ("many-moderators", text) in one.warnings


# INPUTS 060, 061, 062, 063


def test_a_study_that_knows_nothing_changes_nothing_and_is_doubted():
    with_it = answer([*Y, 5.0], [*SEI, 1e8])
    assert with_it.warnings[0][0] == "se-ratio"
    without = answer()
    for name in ("mu", "tau", "theta_new"):
        first, second = with_it.marginal(name), without.marginal(name)
        assert first.mean == pytest.approx(second.mean, rel=1e-11)
        assert first.interval() == pytest.approx(second.interval(), rel=1e-10)


def test_standard_errors_of_different_size_are_doubted():
    assert ids(answer([0.1, 0.2, 0.3, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 101.0])) == ["se-ratio"]
    assert ids(answer([0.1, 0.2, 0.3, 0.1, 0.1], [0.1, 0.1, 0.1, 0.1, 99.0])) == []


def test_identical_effects_are_doubted_and_give_the_known_answer():
    # TESTING section 4, G5: 5 studies of 0.3 (0.2), HalfNormal(0.5), flat mu; mpmath, 30 digits.
    one = answer([0.3] * 5, [0.2] * 5, mu="Flat()", tau="HalfNormal(0.5)")
    assert one.warnings == (("identical-effects", "every effect is 0.3; were they copied?"),)
    mu, tau = one.marginal("mu"), one.marginal("tau")
    assert one.log_evidence == pytest.approx(0.518393536453886, rel=1e-12)
    assert mu.sd == pytest.approx(0.112353235714629, rel=1e-12)
    assert mu.interval() == pytest.approx((0.0808764530803659, 0.519123546919634), rel=1e-12)
    assert tau.mean == pytest.approx(0.110918981886183, rel=1e-12)
    assert tau.median == pytest.approx(0.0828506789960416, rel=1e-12)


def test_zeros_are_doubted():
    text = "every effect is 0; do zeros stand for missing values?"
    assert answer([0.0] * 5, [0.2] * 5).warnings == (("all-zero", text),)


# INPUTS 069: moments


def test_moments_that_do_not_exist_are_named():
    one = answer([0.1, 0.5], [0.2, 0.2], mu="Flat()", tau="HalfCauchy(0.5)")
    text = "mean or standard deviation does not exist for mu, tau, theta_new: heavy tails"
    assert ("no-moments", text) in one.warnings
    assert "no-moments" not in ids(answer([0.1, 0.5], [0.2, 0.2], mu="Flat()"))


def test_each_warning_stands_once():
    one = answer([0.3] * 3, [0.2] * 3, tau="HalfNormal(9)")
    assert len(set(one.warnings)) == len(one.warnings)
    assert ids(one) == ["identical-effects", "few-studies", "wide-tau-prior"]
