"""Priors that are mixtures are answered exactly: against brute-force integration over mean effect and tau.

The brute force is a Gauss-Legendre product rule over both parameters with scipy's normal density, and knows
nothing of components; the value tau = 0 is a sum of its own. Doubling its panels changes nothing above 1e-12.
"""

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy import optimize, stats

import bayesmeta as bm
from bayesmeta.engines.components import split, why_not
from bayesmeta.engines.exact import integrate
from bayesmeta.errors import ModelError
from bayesmeta.problem import pose

Y = np.array([0.12, 0.55, -0.21, 0.93, 0.4])
S = np.array([0.2, 0.31, 0.25, 0.3, 0.5])
STUDIES = bm.Studies.from_effects(Y, sei=S)
NODES, WEIGHTS = legendre.leggauss(16)
EDGES_OF_MU = np.concatenate([np.arange(-10, -2, 0.5), np.arange(-20, 20) / 10, np.arange(2, 8.1, 0.5)])
EDGES_OF_TAU = np.concatenate([np.linspace(0, 2, 11), np.geomspace(2.5, 25, 8)])


def rule(edges):
    half = np.diff(edges) / 2
    x = (edges[:-1] + half)[:, None] + half[:, None] * NODES
    return x.ravel(), (half[:, None] * WEIGHTS).ravel()


class BruteForce:
    """Posterior on a grid of mean effects and tau, the first tau being 0 with its own probability."""

    def __init__(self, mu, tau, spike=0.0):
        self.mu, weights = rule(EDGES_OF_MU)
        tau_nodes, tau_weights = rule(EDGES_OF_TAU)
        self.tau = np.append(0.0, tau_nodes)
        prior = np.append(spike, (1 - spike) * np.exp(tau(tau_nodes)) * tau_weights)
        sd = np.sqrt(S[:, None] ** 2 + self.tau**2)
        log_likelihood = sum(stats.norm.logpdf(y, self.mu[:, None], sd[i]) for i, y in enumerate(Y))
        mass = np.exp(log_likelihood) * (mu(self.mu) * weights)[:, None] * prior
        self.evidence = mass.sum()
        self.mass = mass / self.evidence

    def mean(self, g):
        return float((self.mass * g(self.mu[:, None], self.tau)).sum())

    def probability(self, holds):
        return self.mean(lambda mu, tau: holds(mu, tau).astype(float))


def robust(mu):
    return 0.8 * stats.norm.pdf(mu, 0.1, 0.3) + 0.2 * stats.norm.pdf(mu, -1, 1.2)


ROBUST = "Mixture([0.8, 0.2], [Normal(0.1, 0.3), Normal(-1, 1.2)])"
HALF = stats.halfnorm(scale=0.4).logpdf


def log_two_scales(tau):
    return np.log(0.3 * stats.halfnorm(scale=0.1).pdf(tau) + 0.7 * stats.expon(scale=0.5).pdf(tau))


CASES = {
    "robust prior of mu": ({"mu": ROBUST, "tau": "HalfNormal(0.4)"}, BruteForce(robust, HALF)),
    "spike and slab": (
        {"mu": "Normal(0, 1)", "tau": "SpikeSlab(0.35, HalfNormal(0.4))"},
        BruteForce(stats.norm.pdf, HALF, spike=0.35),
    ),
    "both": (
        {"mu": ROBUST, "tau": "SpikeSlab(0.35, HalfNormal(0.4))"},
        BruteForce(robust, HALF, spike=0.35),
    ),
    "two scales of tau": (
        {"mu": "Normal(0, 1)", "tau": "Mixture([0.3, 0.7], [HalfNormal(0.1), Exponential(2)])"},
        BruteForce(stats.norm.pdf, log_two_scales),
    ),
    "spike in tau2": (
        {"mu": "Normal(0, 1)", "tau2": "SpikeSlab(0.5, Exponential(3))"},
        BruteForce(stats.norm.pdf, lambda t: np.log(6 * t) - 3 * t * t, spike=0.5),
    ),
}


@pytest.fixture(params=CASES, scope="module")
def case(request):
    model, brute = CASES[request.param]
    return bm.fit(STUDIES, bm.Model(**model), engine="exact"), brute


def test_evidence_is_the_integral(case):
    fit, brute = case
    assert fit.log_evidence == pytest.approx(np.log(brute.evidence), abs=1e-10)
    assert fit.engine == "exact"
    assert fit.status == "exact"


def test_moments_are_the_integrals(case):
    fit, brute = case
    for name, value in (
        ("mu", lambda mu, _: mu),
        ("tau", lambda _, tau: tau),
        ("tau2", lambda _, tau: tau**2),
    ):
        mean = brute.mean(value)
        found = fit.marginal(name)
        assert found.mean == pytest.approx(mean, abs=1e-9)
        second = brute.mean(lambda mu, tau, value=value, mean=mean: (value(mu, tau) - mean) ** 2)
        assert found.sd == pytest.approx(np.sqrt(second), abs=1e-9)
        third = brute.mean(lambda mu, tau, value=value, mean=mean: (value(mu, tau) - mean) ** 3)
        assert found.skewness == pytest.approx(third / second**1.5, abs=1e-8)


def test_quantiles_of_tau_and_of_mu_have_their_probabilities(case):
    fit, _ = case
    for p in (0.025, 0.5, 0.9):
        x = fit.marginal("mu").quantile(p)
        assert fit.marginal("mu").cdf(x) == pytest.approx(p, abs=1e-10)
        tau = fit.marginal("tau").quantile(p)
        assert tau >= 0
        if tau > 0:
            assert fit.marginal("tau").cdf(tau) == pytest.approx(p, abs=1e-10)
        else:
            assert fit.marginal("tau").cdf(0.0) >= p


def test_probability_that_tau_is_zero_is_that_of_the_spike(case):
    fit, brute = case
    spike = brute.probability(lambda mu, tau: (tau == 0) & (mu < np.inf))
    assert fit.marginal("tau").cdf(0.0) == pytest.approx(spike, abs=1e-10)
    assert fit.probability("tau > 0") == pytest.approx(1 - spike, abs=1e-10)


def test_statements_are_weighted(case):
    fit, brute = case
    # The edges 0 of the mean and 0.4 of tau are edges of panels.
    expected = brute.probability(lambda mu, tau: (mu > 0) & (tau < 0.4))
    assert fit.probability("mu > 0 and tau < 0.4") == pytest.approx(expected, abs=1e-9)


def test_prediction_is_the_mixture_over_both(case):
    fit, brute = case
    for x in (-0.3, 0.8):
        with np.errstate(divide="ignore"):
            expected = brute.mean(
                lambda mu, tau, x=x: np.where(
                    tau > 0, stats.norm.cdf((x - mu) / np.where(tau > 0, tau, 1)), mu <= x
                )
            )
        # With tau = 0 the step of the mean lies within a panel unless x is an edge of one, as here.
        assert fit.marginal("theta_new").cdf(x) == pytest.approx(expected, abs=1e-9)


def test_effects_of_studies_are_shrunken_by_both(case):
    fit, brute = case
    pooled = fit.effects()
    for i in range(Y.size):
        expected = brute.mean(lambda mu, tau, i=i: mu + tau**2 / (tau**2 + S[i] ** 2) * (Y[i] - mu))
        assert pooled["mean"][i] == pytest.approx(expected, abs=1e-9)
        share = brute.mean(lambda mu, tau, i=i: 0 * mu + S[i] ** 2 / (tau**2 + S[i] ** 2))
        assert pooled["pooling"][i] == pytest.approx(share, abs=1e-9)


def test_density_is_the_weighted_one(case):
    fit, brute = case
    edge = 1e-4
    x = 0.4
    rise = fit.marginal("mu").cdf(x + edge) - fit.marginal("mu").cdf(x - edge)
    assert fit.marginal("mu").density(x) == pytest.approx(rise / (2 * edge), rel=1e-6)
    mass = brute.probability(lambda mu, _: (mu > 0.3) & (mu < 0.5))
    assert fit.probability("mu > 0.3 and mu < 0.5") == pytest.approx(mass, abs=1e-9)


def test_shortest_interval_with_a_spike_begins_at_zero():
    fit = bm.fit(STUDIES, bm.Model(mu="Normal(0, 1)", tau="SpikeSlab(0.35, HalfNormal(0.4))"))
    interval = fit.marginal("tau").interval(kind="hdi")
    assert interval.lower == 0
    assert fit.marginal("tau").cdf(interval.upper) == pytest.approx(0.95, abs=1e-9)
    assert fit.marginal("tau").mode == 0


def test_mode_of_a_blend_of_smooth_parts_is_its_highest_point():
    fit = bm.fit(STUDIES, bm.Model(mu=ROBUST, tau="HalfNormal(0.4)"))
    for name, around in (("mu", 0.3), ("tau", 0.2)):
        top = optimize.minimize_scalar(
            lambda x, name=name: -fit.marginal(name).density(x), bounds=(around - 0.2, around + 0.3)
        )
        assert fit.marginal(name).mode == pytest.approx(top.x, abs=1e-5)


def test_tables_draws_and_files_work_on_a_blend(tmp_path):
    fit = bm.fit(STUDIES, bm.Model(mu=ROBUST, tau="SpikeSlab(0.35, HalfNormal(0.4))"))
    assert fit.summary().notna().all().all()
    assert fit.heterogeneity().loc["tau", "lower"] == 0
    assert set(fit.compare().index.get_level_values("method")) >= {"REML"}
    assert "SpikeSlab(0.35, HalfNormal(0.4))" in str(fit)
    assert 0 < fit.error("mu")["abs"] < 1e-8
    draws = fit.draws(4000, seed=1)
    spike = fit.marginal("tau").cdf(0.0)
    assert float((draws.tau == 0).mean()) == pytest.approx(spike, abs=4 * (spike * (1 - spike) / 4000) ** 0.5)
    assert np.isfinite(fit.tree["log_prior"]["tau"]).all()
    fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    assert again.summary().equals(fit.summary())
    assert again.log_evidence == fit.log_evidence


def test_a_mixture_of_one_kind_is_that_kind():
    alone = bm.fit(STUDIES, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.4)"))
    twice = bm.fit(
        STUDIES,
        bm.Model(mu="Mixture([0.5, 0.5], [Normal(0, 1), Normal(0, 1)])", tau="HalfNormal(0.4)"),
    )
    assert twice.log_evidence == pytest.approx(alone.log_evidence, abs=1e-12)
    assert twice.summary().to_numpy() == pytest.approx(alone.summary().to_numpy(), abs=1e-8)


def test_slopes_have_mixture_priors_too():
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    studies = bm.Studies.from_effects(Y, sei=S, data={"x": x})
    mixed = bm.Model(
        mods="x",
        mu="Normal(0, 1)",
        beta={"x": "Mixture([0.6, 0.4], [Normal(0, 0.1), Normal(0, 1)])"},
        tau="HalfNormal(0.4)",
    )
    fits = [
        bm.fit(studies, bm.Model(mods="x", mu="Normal(0, 1)", beta=f"Normal(0, {sd})", tau="HalfNormal(0.4)"))
        for sd in (0.1, 1)
    ]
    evidence = np.array([0.6, 0.4]) * np.exp([fit.log_evidence for fit in fits])
    found = bm.fit(studies, mixed)
    assert found.log_evidence == pytest.approx(np.log(evidence.sum()), abs=1e-12)
    expected = evidence @ [fit.marginal("x").mean for fit in fits] / evidence.sum()
    assert found.marginal("x").mean == pytest.approx(expected, abs=1e-12)
    table = found.predict({"x": [1.5]})
    assert table["mean"].notna().all()


def test_components_are_all_combinations():
    problem = pose(STUDIES, bm.Model(mu=ROBUST, tau="SpikeSlab(0.35, HalfNormal(0.4))"))
    weights = [weight for weight, _ in split(problem)]
    assert weights == pytest.approx([0.8 * 0.35, 0.8 * 0.65, 0.2 * 0.35, 0.2 * 0.65])
    assert why_not(problem) == ""


def test_what_is_no_mixture_of_normal_priors_is_refused():
    model = bm.Model(mu="Mixture([0.5, 0.5], [Normal(0, 1), Cauchy(0, 1)])", tau="HalfNormal(1)")
    with pytest.raises(ModelError) as caught:
        bm.fit(STUDIES, model, engine="exact")
    assert str(caught.value) == (
        "engine 'exact' cannot run prior Mixture([0.5, 0.5], [Normal(0, 1), Cauchy(0, 1)]) of a coefficient; "
        "use engine='nuts'"
    )


def test_too_many_combinations_are_refused():
    one = ", ".join(["Normal(0, 1)"] * 20)
    weights = ", ".join(["0.05"] * 20)
    many = f"Mixture([{weights}], [{one}])"
    tau = f"Mixture([{weights}], [{', '.join(['HalfNormal(1)'] * 20)}])"
    problem = pose(STUDIES, bm.Model(mu=many, tau=tau))
    assert why_not(problem) == "400 combinations of components of priors, more than 256"


def test_a_point_mass_beside_a_slab_is_never_integrated_as_one_density():
    problem = pose(STUDIES, bm.Model(mu="Normal(0, 1)", tau="SpikeSlab(0.35, HalfNormal(0.4))"))
    with pytest.raises(ModelError) as caught:
        integrate(problem)
    assert str(caught.value) == (
        "engine 'exact' cannot run prior SpikeSlab(0.35, HalfNormal(0.4)) of tau in one piece; "
        "use engine='nuts'"
    )
