"""Location-scale models on the grid: against brute force, against separate fits, and against each other.

Brute force is Gauss-Legendre quadrature over tau and delta themselves, on fixed panels, of the likelihood
with mu integrated out by hand: sums over studies of w, w y and w y^2, without the kernel. Doubling its panels
moves no number by more than 1e-11.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmeta as bm

Y = np.array([0.12, -0.31, 0.45, 0.92, -0.08, 1.31])
SEI = np.array([0.11, 0.16, 0.24, 0.13, 0.31, 0.22])
GROUP = np.array(["a", "a", "a", "b", "b", "b"])
X = np.array([1.0, 4.0, 2.0, 7.0, 5.0, 3.0])
MU_SD = 1.5


def studies(y=Y, sei=SEI, group=GROUP, x=X):
    return bm.Studies.from_effects(y, sei=sei, data=pd.DataFrame({"g": group, "x": x}))


def fitted(data=None, **fields):
    given = {"mu": f"Normal(0, {MU_SD})", "beta": "Normal(0, 1)", "tau": "HalfNormal(0.5)"} | fields
    return bm.fit(studies() if data is None else data, bm.Model(**given), engine="exact")


def panels(edges, n=12):
    """Return nodes and weights of Gauss-Legendre panels."""
    t, w = np.polynomial.legendre.leggauss(n)
    half = np.diff(edges)[:, None] / 2
    return (np.asarray(edges)[:-1, None] + half * (1 + t)).ravel(), (half * w).ravel()


class Brute:
    """mu ~ N(0, 1.5^2), log tau_i = log tau + z_i delta, integrated over tau and delta one by one."""

    def __init__(self, z, tau_logpdf, tau_edges, delta_logpdf, delta_edges):
        tau, tau_weight = panels(tau_edges)
        delta, delta_weight = panels(delta_edges)
        self.tau, self.delta = np.meshgrid(tau, delta, indexing="ij")
        self.tau_i = self.tau[..., None] * np.exp(z * self.delta[..., None])
        w = 1 / (SEI**2 + self.tau_i**2)
        precision = w.sum(-1) + MU_SD**-2
        self.mean, self.sd = (w * Y).sum(-1) / precision, precision**-0.5
        square = (w * Y**2).sum(-1) - precision * self.mean**2
        log_f = 0.5 * (np.log(w).sum(-1) - np.log(precision) - square) - 3 * np.log(2 * np.pi)
        log_f = log_f - np.log(MU_SD) + tau_logpdf(self.tau) + delta_logpdf(self.delta)
        f = np.exp(log_f) * np.multiply.outer(tau_weight, delta_weight)
        self.evidence = f.sum()
        self.weight = f / self.evidence
        self.pooling = SEI**2 * w

    def expect(self, values):
        return float((self.weight * values).sum())


def half_normal(sigma):
    return lambda tau: stats.halfnorm.logpdf(tau, scale=sigma)


HALF_NORMAL_EDGES = np.concatenate([[0], 5.0 * 2.0 ** np.arange(-24, 1)])
NORMAL_EDGES = np.linspace(-9, 9, 31)
Z_GROUP = np.where(GROUP == "b", 0.5, -0.5)


@pytest.fixture(scope="module")
def brute():
    return Brute(Z_GROUP, half_normal(0.5), HALF_NORMAL_EDGES, stats.norm.logpdf, NORMAL_EDGES)


def test_evidence_and_moments_are_those_of_brute_force(brute, grouped):
    assert grouped.log_evidence == pytest.approx(np.log(brute.evidence), abs=1e-10)
    mu, tau, delta = (grouped.marginal(name) for name in ("mu", "tau", "delta[g[b]]"))
    mean = brute.expect(brute.mean)
    assert mu.mean == pytest.approx(mean, abs=1e-10)
    assert mu.sd == pytest.approx(brute.expect(brute.sd**2 + (brute.mean - mean) ** 2) ** 0.5, abs=1e-10)
    for one, values in ((tau, brute.tau), (delta, brute.delta)):
        mean = brute.expect(values)
        assert one.mean == pytest.approx(mean, abs=1e-9)
        assert one.sd == pytest.approx(brute.expect((values - mean) ** 2) ** 0.5, abs=1e-9)
        third = brute.expect((values - mean) ** 3) / one.sd**3
        assert one.skewness == pytest.approx(third, abs=1e-7)


def test_tau_of_each_level_has_the_moments_of_brute_force(brute, grouped):
    for level, i in (("a", 0), ("b", 3)):
        tau = brute.tau_i[..., i]
        one, square = grouped.marginal(f"tau[{level}]"), grouped.marginal(f"tau2[{level}]")
        assert one.mean == pytest.approx(brute.expect(tau), abs=1e-9)
        assert one.sd == pytest.approx(brute.expect((tau - one.mean) ** 2) ** 0.5, abs=1e-9)
        assert square.mean == pytest.approx(brute.expect(tau**2), abs=1e-9)


def test_distribution_functions_are_those_of_a_fine_histogram(brute, grouped):
    """The integrand is discontinuous here, so that brute force integrates one parameter up to the limit."""
    for t in (0.05, 0.3, 0.8):
        edges = np.concatenate([[0], t * 2.0 ** np.arange(-20, 1)])
        part = Brute(Z_GROUP, half_normal(0.5), edges, stats.norm.logpdf, NORMAL_EDGES)
        assert grouped.marginal("tau").cdf(t) == pytest.approx(part.evidence / brute.evidence, abs=1e-9)
    for d in (-1.0, 0.2, 2.0):
        edges = np.linspace(-9, d, 31)
        part = Brute(Z_GROUP, half_normal(0.5), HALF_NORMAL_EDGES, stats.norm.logpdf, edges)
        assert grouped.marginal("delta[g[b]]").cdf(d) == pytest.approx(
            part.evidence / brute.evidence, abs=1e-9
        )


@pytest.mark.parametrize("level", ["a", "b"])
def test_tau_of_a_level_is_distributed_as_with_the_prior_moved_to_it(grouped, level):
    """In terms of tau_g = tau exp(c delta) the prior of tau is p(tau_g exp(-c delta)) exp(-c delta)."""
    c = 0.5 if level == "b" else -0.5
    moved = Z_GROUP - c

    def brute(edges):
        found = Brute(moved, lambda tau: 0 * tau, edges, stats.norm.logpdf, NORMAL_EDGES)
        prior = stats.halfnorm.pdf(found.tau * np.exp(-c * found.delta), scale=0.5) * np.exp(-c * found.delta)
        return found.evidence * (found.weight * prior).sum()

    whole = brute(np.concatenate([[0], 400.0 * 2.0 ** np.arange(-30, 1)]))
    one = grouped.marginal(f"tau[{level}]")
    for t in (0.03, 0.3, 1.0):
        part = brute(np.concatenate([[0], t * 2.0 ** np.arange(-20, 1)]))
        assert one.cdf(t) == pytest.approx(part / whole, abs=1e-9)
    p = np.array([1e-4, 0.025, 0.5, 0.975, 0.9999])
    assert one.cdf(one.quantile(p)) == pytest.approx(p, abs=1e-12)
    h = 1e-4
    slope = (one.cdf(0.3 + h) - one.cdf(0.3 - h)) / (2 * h)
    assert one.density(0.3) == pytest.approx(slope, rel=1e-6)


def test_effects_of_studies_and_weights_are_those_of_brute_force(brute, grouped):
    effects = grouped.effects()
    for i in range(Y.size):
        b = brute.pooling[..., i]
        centre = b * brute.mean + (1 - b) * Y[i]
        mean = brute.expect(centre)
        variance = (1 - b) * SEI[i] ** 2 + (b * brute.sd) ** 2
        assert effects["mean"][i] == pytest.approx(mean, abs=1e-10)
        assert effects["sd"][i] == pytest.approx(
            brute.expect(variance + (centre - mean) ** 2) ** 0.5, abs=1e-10
        )
        assert effects["pooling"][i] == pytest.approx(brute.expect(b), abs=1e-9)
    assert effects["weight_random"].sum() == pytest.approx(100, abs=1e-9)


def test_mean_effect_has_the_distribution_of_brute_force(brute, grouped):
    x = grouped.marginal("mu").quantile(np.array([0.001, 0.025, 0.5, 0.99]))
    below = [brute.expect(special.ndtr((one - brute.mean) / brute.sd)) for one in x]
    assert below == pytest.approx([0.001, 0.025, 0.5, 0.99], abs=1e-10)


def test_effect_in_a_new_study_of_a_level_is_that_of_brute_force(brute, grouped):
    table = grouped.predict({"g": ["a", "b"]})
    for row, i in ((0, 0), (1, 3)):
        sd = np.hypot(brute.sd, brute.tau_i[..., i])
        for bound, p in (("new_lower", 0.025), ("new_upper", 0.975)):
            below = brute.expect(special.ndtr((table[bound][row] - brute.mean) / sd))
            assert below == pytest.approx(p, abs=1e-9)


def test_effect_in_a_new_study_by_default_is_like_one_of_the_studies_at_random(brute, grouped):
    new = grouped.marginal("theta_new")
    z = [(0.7 - brute.mean) / np.hypot(brute.sd, brute.tau_i[..., i]) for i in range(Y.size)]
    assert new.cdf(0.7) == pytest.approx(np.mean([brute.expect(special.ndtr(one)) for one in z]), abs=1e-9)
    table = grouped.predict()
    assert table["new_lower"][0] == pytest.approx(new.quantile(0.025), abs=1e-9)


PRIORS_OF_TAU = {
    "Exponential(2)": (lambda t: stats.expon.logpdf(t, scale=0.5), 30.0 * 2.0 ** np.arange(-30, 1)),
    "HalfCauchy(0.4)": (lambda t: stats.halfcauchy.logpdf(t, scale=0.4), 1e5 * 2.0 ** np.arange(-60, 1)),
    "LogNormal(-1, 0.7)": (
        lambda t: stats.lognorm.logpdf(t, 0.7, scale=np.exp(-1)),
        1e2 * 2.0 ** np.arange(-30, 1),
    ),
}


@pytest.mark.parametrize("prior", PRIORS_OF_TAU)
def test_other_priors_of_tau_have_the_evidence_of_brute_force(prior):
    logpdf, edges = PRIORS_OF_TAU[prior]
    brute = Brute(Z_GROUP, logpdf, np.append(0, edges), stats.norm.logpdf, NORMAL_EDGES)
    fit = fitted(scale="C(g)", tau=prior)
    assert fit.log_evidence == pytest.approx(np.log(brute.evidence), abs=1e-9)
    assert fit.marginal("mu").mean == pytest.approx(brute.expect(brute.mean), abs=1e-9)
    assert fit.marginal("tau").mean == pytest.approx(brute.expect(brute.tau), rel=1e-8)
    assert fit.marginal("delta[g[b]]").sd == pytest.approx(
        (brute.expect(brute.delta**2) - brute.expect(brute.delta) ** 2) ** 0.5, rel=1e-8
    )


def test_bounded_priors_have_the_evidence_of_brute_force():
    brute = Brute(
        Z_GROUP,
        lambda t: np.full(t.shape, -np.log(0.8)),
        np.linspace(0, 0.8, 60),
        lambda d: np.full(d.shape, -np.log(3)),
        np.linspace(-1, 2, 30),
    )
    fit = fitted(scale="C(g)", tau="Uniform(0, 0.8)", delta="Uniform(-1, 2)")
    assert fit.log_evidence == pytest.approx(np.log(brute.evidence), abs=1e-9)
    assert fit.marginal("tau").mean == pytest.approx(brute.expect(brute.tau), abs=1e-9)
    assert fit.marginal("delta[g[b]]").mean == pytest.approx(brute.expect(brute.delta), abs=1e-9)


def test_a_number_is_centred_and_its_default_prior_has_its_scale():
    """log tau_i = log tau + (x_i - mean) delta, delta ~ Normal(0, 1 / sd(x))."""
    sd = 1 / np.std(X, ddof=1)
    brute = Brute(
        X - X.mean(),
        half_normal(0.5),
        HALF_NORMAL_EDGES,
        lambda d: stats.norm.logpdf(d, scale=sd),
        NORMAL_EDGES * sd,
    )
    fit = fitted(scale="x")
    assert fit.names == ("mu", "tau", "delta[x]", "theta_new")
    assert fit.log_evidence == pytest.approx(np.log(brute.evidence), abs=1e-10)
    assert fit.marginal("delta[x]").mean == pytest.approx(brute.expect(brute.delta), abs=1e-9)


def test_without_centring_the_prior_is_that_of_tau_at_zero():
    brute = Brute(
        np.where(GROUP == "b", 1.0, 0.0), half_normal(0.5), HALF_NORMAL_EDGES, stats.norm.logpdf, NORMAL_EDGES
    )
    fit = fitted(scale="C(g)", center=False)
    assert fit.log_evidence == pytest.approx(np.log(brute.evidence), abs=1e-10)
    assert fit.marginal("tau").mean == pytest.approx(brute.expect(brute.tau), abs=1e-9)
    assert fit.marginal("tau[a]").mean == pytest.approx(brute.expect(brute.tau), abs=1e-9)


# two groups with nothing in common: the joint posterior is the product of two separate ones


SEPARATE = {"mods": "0 + C(g)", "scale": "0 + C(g)"}


@pytest.mark.parametrize(
    "priors",
    [
        {"tau": "HalfNormal(0.5)"},
        {"tau": "HalfCauchy(0.3)", "mu": "Flat()"},
        pytest.param({"tau": "Exponential(3)"}, marks=pytest.mark.slow),
        pytest.param({"tau": "Uniform(0, 2)"}, marks=pytest.mark.slow),
        pytest.param({"tau2": "InverseGamma(2, 0.1)", "tau": None}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_separate_means_and_taus_are_two_separate_fits(priors):
    both = fitted(**SEPARATE, **priors)
    alone = [fitted(studies(Y[w], SEI[w], GROUP[w], X[w]), **priors) for w in (GROUP == "a", GROUP == "b")]
    assert both.log_evidence == pytest.approx(sum(one.log_evidence for one in alone), abs=1e-9)
    p = np.array([0.001, 0.025, 0.5, 0.975, 0.999])
    for level, one in zip("ab", alone, strict=True):
        for name, its in ((f"g[{level}]", "mu"), (f"tau[{level}]", "tau"), (f"tau2[{level}]", "tau2")):
            mine, theirs = both.marginal(name), one.marginal(its)
            for moment in ("mean", "sd"):
                assert getattr(mine, moment) == pytest.approx(
                    getattr(theirs, moment), rel=1e-8, abs=1e-9, nan_ok=True
                )
            assert mine.cdf(theirs.quantile(p)) == pytest.approx(p, abs=1e-9)
            x = theirs.quantile(np.array([0.2, 0.5, 0.8]))
            assert mine.density(x) == pytest.approx(theirs.density(x), rel=1e-6)
            assert mine.mode == pytest.approx(theirs.mode, abs=1e-6 * theirs.quantile(0.5))


def test_log_ratio_of_separate_taus_is_the_difference_of_independent_variables():
    """P(tau_b < r tau_a) is the mean over tau_a of the other fit's distribution function at r tau_a."""
    both = fitted(**SEPARATE)
    one, two = (fitted(studies(Y[w], SEI[w], GROUP[w], X[w])) for w in (GROUP == "a", GROUP == "b"))
    tau, weight = panels(np.concatenate([[0], 4.0 * 2.0 ** np.arange(-24, 1)]), 12)
    density = one.marginal("tau").density(tau) * weight
    ratio = both.marginal("delta[g[b]]")
    for r in (0.1, 1.0, 7.0):
        expected = density @ two.marginal("tau").cdf(r * tau)
        assert ratio.cdf(np.log(r)) == pytest.approx(expected, abs=1e-8)
    assert both.marginal("tau").cdf(0.3) == pytest.approx(
        density @ two.marginal("tau").cdf(0.3**2 / tau), abs=1e-8
    )
    logs = [panels_mean(f.marginal("tau"), np.log) for f in (one, two)]
    assert ratio.mean == pytest.approx(logs[1] - logs[0], abs=1e-7)


def panels_mean(marginal, g):
    """Return the mean of a function of tau by Gauss-Legendre panels that halve towards 0."""
    tau, weight = panels(np.concatenate([[0], 4.0 * 2.0 ** np.arange(-40, 1)]), 12)
    return float((marginal.density(tau) * weight) @ g(tau))


def test_a_group_of_one_study_has_the_moments_that_exist():
    """k = 1 with a flat mean: the posterior of its tau is the half-Cauchy prior, which has no mean."""
    y, sei, group = np.append(Y, 0.4), np.append(SEI, 0.2), np.append(GROUP, "c")
    data = studies(y[[0, 1, 2, 6]], sei[[0, 1, 2, 6]], group[[0, 1, 2, 6]], np.arange(4.0))
    fit = fitted(data, **SEPARATE, mu="Flat()", tau="HalfCauchy(0.3)")
    assert np.isnan(fit.marginal("tau[c]").mean)
    assert np.isnan(fit.marginal("g[c]").mean)
    assert np.isfinite(fit.marginal("tau[a]").mean)
    assert np.isfinite(fit.marginal("g[a]").mean)
    assert fit.marginal("tau[c]").median == pytest.approx(0.3, rel=1e-8)
    assert fit.marginal("tau[a]").mean == pytest.approx(
        fitted(studies(Y[:3], SEI[:3], GROUP[:3], X[:3]), mu="Flat()", tau="HalfCauchy(0.3)")
        .marginal("tau")
        .mean,
        rel=1e-8,
    )


# limits and invariances


@pytest.mark.parametrize("mods", ["1", "x"])
def test_a_narrow_prior_of_delta_gives_the_ordinary_fit(mods):
    narrow, plain = fitted(mods=mods, scale="C(g)", delta="Normal(0, 1e-7)"), fitted(mods=mods)
    assert narrow.log_evidence == pytest.approx(plain.log_evidence, abs=1e-8)
    assert narrow.summary().loc[list(plain.names)].to_numpy() == pytest.approx(
        plain.summary().to_numpy(), abs=1e-6
    )
    moments = ["median", "mean", "sd", "lower", "upper"]
    assert narrow.summary().loc[list(plain.names), moments].to_numpy() == pytest.approx(
        plain.summary()[moments].to_numpy(), abs=1e-8
    )


def test_equal_taus_are_a_limit_of_two_taus_only_through_the_ratio(grouped):
    """Savage-Dickey: the density of delta at 0 over that of its prior is the Bayes factor of one tau."""
    ratio = grouped.marginal("delta[g[b]]").density(0.0) / stats.norm.pdf(0)
    assert ratio == pytest.approx(np.exp(fitted().log_evidence - grouped.log_evidence), rel=1e-8)


def test_units_of_effects_do_not_matter():
    plain = fitted(mods="x", scale="C(g)", mu="Normal(0, 1.5)", beta="Normal(0, 1)", tau="HalfNormal(0.5)")
    large = fitted(
        studies(1000 * Y, 1000 * SEI),
        mods="x",
        scale="C(g)",
        mu="Normal(0, 1500)",
        beta="Normal(0, 1000)",
        tau="HalfNormal(500)",
    )
    assert large.log_evidence == pytest.approx(plain.log_evidence - 6 * np.log(1000), abs=1e-9)
    units = np.array([1000, 1000, 1000, 1000, 1000, 1])
    assert large.summary().to_numpy() == pytest.approx(
        plain.summary().to_numpy() * units[:, None], rel=1e-6, abs=1e-9
    )


def test_units_of_a_scale_moderator_rescale_its_coefficient_alone():
    months, years = fitted(scale="x"), fitted(studies(x=X / 12), scale="x")
    assert years.log_evidence == pytest.approx(months.log_evidence, abs=1e-10)
    assert years.marginal("delta[x]").quantile(0.9) == pytest.approx(
        12 * months.marginal("delta[x]").quantile(0.9), rel=1e-9
    )
    assert years.marginal("tau").mean == pytest.approx(months.marginal("tau").mean, rel=1e-9)


def test_the_reference_level_changes_no_tau(grouped):
    """Two levels of equal size have the same middle, and the prior of delta is symmetric."""
    other = fitted(scale='C(g, ref="b")')
    assert other.log_evidence == pytest.approx(grouped.log_evidence, abs=1e-10)
    assert other.names == ("mu", "tau[b]", "tau[a]", "tau", "delta[g[a]]", "theta_new")
    for name in ("tau[a]", "tau[b]", "mu"):
        assert other.marginal(name).quantile(0.9) == pytest.approx(
            grouped.marginal(name).quantile(0.9), rel=1e-9
        )
    assert other.marginal("delta[g[a]]").mean == pytest.approx(
        -grouped.marginal("delta[g[b]]").mean, abs=1e-9
    )


def test_the_order_of_studies_does_not_matter(grouped):
    order = np.array([3, 0, 5, 1, 4, 2])
    mixed = fitted(studies(Y[order], SEI[order], GROUP[order], X[order]), scale="C(g)")
    assert mixed.log_evidence == pytest.approx(grouped.log_evidence, abs=1e-11)


def test_a_bounded_likelihood_makes_flat_coefficients_proper_even_without_spare_studies():
    """k = p = 2: with beta integrated out the likelihood is constant, 1 / abs(det X): nothing is learned."""
    data = studies(Y[[0, 3]], SEI[[0, 3]], GROUP[[0, 3]], X[[0, 3]])
    fit = fitted(data, **SEPARATE, mu="Flat()", tau="HalfNormal(0.5)")
    assert fit.log_evidence == pytest.approx(0.0, abs=1e-10)
    assert fit.marginal("tau[a]").mean == pytest.approx(0.5 * np.sqrt(2 / np.pi), abs=1e-9)


def test_probabilities_of_one_quantity_are_integrated_and_of_several_counted(brute, grouped):
    assert grouped.probability("`delta[g[b]]` > 0") == pytest.approx(
        1 - grouped.marginal("delta[g[b]]").cdf(0.0), abs=1e-12
    )
    assert grouped.probability("0.3 >= `tau[a]`") == pytest.approx(
        grouped.marginal("tau[a]").cdf(0.3), abs=1e-12
    )
    joint = brute.expect((brute.tau_i[..., 0] < brute.tau_i[..., 3]).astype(float))
    assert grouped.probability("`tau[a]` < `tau[b]`") == pytest.approx(joint, abs=4 * 0.0008 + 0.005)
    p = brute.expect(special.ndtr(brute.mean / brute.sd) * (brute.delta > 0))
    assert grouped.probability("mu > 0 and `delta[g[b]]` > 0") == pytest.approx(p, abs=4 * 0.0008 + 0.005)
