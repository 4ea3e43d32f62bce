"""The ArviZ schema: groups, dimensions, attributes, and ArviZ itself at work on exact and sampled fits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import arviz as az
import matplotlib as mpl
import numpy as np
import pytest
from scipy import stats

from bayesmeta.engines.exact import integrate
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.diagnostics import diagnose
from bayesmeta.results.draws import Draws
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.fit import Fit
from bayesmeta.results.sampled import SampledPosterior
from bayesmeta.studies import Studies, effect_sizes

mpl.use("agg")

Y = np.array([0.1, 0.3, 0.2, 0.5, 0.0, 0.3])
SE = np.array([0.1, 0.1, 0.2, 0.3, 0.1, 0.2])
X = np.array([0.0, 1.0, 2.0, 4.0, 0.0, 3.0])
LABELS = ["Abe 2001", "Bo & Li", "Ćosić", "d", "e", "f"]
GROUPS = {
    *("posterior", "posterior_predictive", "prior", "prior_predictive"),
    *("log_likelihood", "log_prior", "observed_data", "constant_data"),
}


def exact_fit(model):
    studies = Studies.from_effects(Y, sei=SE, slab=LABELS, data={"x": X})
    problem = pose(studies, model)
    return Fit(studies, problem, ExactPosterior(problem, integrate(problem)))


def as_sampled(exact, seed=11):
    """The exact fit with draws in place of nodes."""
    made = exact.posterior.draws(4000, np.random.default_rng(seed))
    shape = made.tau.shape
    draws = Draws(
        beta=made.beta,
        tau=made.tau,
        theta=made.theta,
        theta_new=made.theta_new,
        stats={
            "diverging": np.zeros(shape),
            "tree_depth": np.full(shape, 3.0),
            "energy": np.random.default_rng(1).standard_normal(shape),
        },
        settings={"chains": shape[0], "tune": 500, "draws": shape[1], "refits": 0, "target_accept": 0.95},
    )
    diagnostics = diagnose(draws, exact.problem.coefficients)
    return Fit(exact.studies, exact.problem, SampledPosterior(exact.problem, draws), diagnostics, seed)


@pytest.fixture(scope="module")
def exact():
    return exact_fit(Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)"))


@pytest.fixture(scope="module")
def sampled(exact):
    return as_sampled(exact)


@pytest.fixture(scope="module")
def regression():
    return exact_fit(Model("x", mu="Normal(0, 1)", beta="Normal(0, 0.5)", tau="HalfNormal(0.3)"))


@pytest.fixture(scope="module")
def binomial():
    columns = {"ai": [1, 0, 4], "n1i": [20, 20, 30], "ci": [5, 0, 8], "n2i": [20, 20, 30]}
    studies = effect_sizes(columns, "OR", **{name: name for name in columns}, drop00=True)
    problem = pose(studies, Model(likelihood="binomial"))
    rng = np.random.default_rng(2)
    shape = (4, 50)
    draws = Draws(
        beta=-1 + 0.5 * rng.standard_normal((*shape, 1)),
        tau=np.abs(0.5 * rng.standard_normal(shape)),
        theta=-1 + 0.5 * rng.standard_normal((*shape, 3)),
        theta_new=-1 + 0.7 * rng.standard_normal(shape),
        baseline=rng.standard_normal((*shape, 3)) - 1,
        settings={"chains": 4, "tune": 10, "draws": 50, "refits": 0},
    )
    return Fit(studies, problem, SampledPosterior(problem, draws), diagnose(draws, ("mu",)), 3)


# Schema


def test_groups_of_an_exact_fit(exact):
    assert set(exact.tree.children) == GROUPS | {"nodes"}


def test_groups_of_a_sampled_fit(sampled):
    assert set(sampled.tree.children) == GROUPS | {"sample_stats"}


def test_improper_priors_have_no_draws():
    one = exact_fit(Model(mu="Flat()", tau="HalfNormal(0.3)"))
    assert set(one.tree.children) == (GROUPS | {"nodes"}) - {"prior", "prior_predictive"}


def test_posterior_has_named_dimensions(exact, regression):
    posterior = exact.tree["posterior"]
    assert {name: posterior[name].dims for name in posterior.data_vars} == {
        "mu": ("chain", "draw"),
        "tau": ("chain", "draw"),
        "theta": ("chain", "draw", "study"),
        "theta_new": ("chain", "draw"),
    }
    assert posterior["mu"].shape == (4, 1000)
    assert posterior["study"].values.tolist() == LABELS
    other = regression.tree["posterior"]
    assert other["beta"].dims == ("chain", "draw", "coefficient")
    assert other["coefficient"].values.tolist() == ["Intercept", "x"]
    assert "theta_new" not in other


def test_data_are_there(exact, regression):
    assert exact.tree["observed_data"]["y"].values.tolist() == Y.tolist()
    np.testing.assert_allclose(exact.tree["constant_data"]["se"].values, SE, rtol=1e-15)
    np.testing.assert_array_equal(
        regression.tree["constant_data"]["X"].values, np.column_stack([np.ones(6), X])
    )
    assert regression.tree["constant_data"]["X"].dims == ("study", "coefficient")


def test_counts_are_the_observed_data_of_a_binomial_fit(binomial):
    tree = binomial.tree
    assert tree["observed_data"]["ai"].values.tolist() == [1, 0, 4]
    assert tree["observed_data"]["ci"].values.tolist() == [5, 0, 8]
    assert tree["posterior"]["baseline"].dims == ("chain", "draw", "study")
    assert tree["constant_data"]["bi"].values.tolist() == [19, 20, 26]
    assert set(tree["posterior_predictive"].data_vars) == {"ai", "ci"}
    assert np.all(tree["posterior_predictive"]["ai"] <= 30)


def test_attributes_say_what_was_done(exact, sampled):
    for one, engine, status, seed in ((exact, "exact", "exact", -1), (sampled, "nuts", "ok", 11)):
        attributes = one.tree.attrs
        assert (attributes["engine"], attributes["status"], attributes["seed"]) == (engine, status, seed)
        assert attributes["schema_version"] == 1
        assert {"version_bayesmeta", "version_numpy", "version_pymc"} <= set(attributes)
        created = datetime.fromisoformat(attributes["created_at"])
        assert created.tzinfo is not None
        assert timedelta(0) <= datetime.now(UTC) - created < timedelta(hours=1)
        assert json.loads(attributes["model"]) == one.model.to_dict()
        assert json.loads(attributes["studies"])["slab"] == LABELS
        assert json.loads(attributes["design"])["names"] == ["Intercept"]
    assert exact.tree.attrs["draws"] == "independent draws from the exact posterior"
    assert json.loads(sampled.tree.attrs["settings"])["tune"] == 500


def test_nodes_of_an_exact_fit_give_its_numbers(exact):
    nodes = exact.tree["nodes"].to_dataset()
    mean = float((nodes["weight"] * nodes["mean"].sel(coefficient="Intercept")).sum())
    assert mean == pytest.approx(exact.marginal("mu").mean, rel=1e-12)
    assert nodes.attrs["log_evidence"] == exact.log_evidence
    assert float((nodes["weight"] * nodes["tau"]).sum()) == pytest.approx(
        exact.marginal("tau").mean, rel=1e-9
    )


# Densities


def test_log_likelihood_is_marginal_over_the_effects(exact):
    tree = exact.tree
    mu, tau = (tree["posterior"][name].values[1, :20, None] for name in ("mu", "tau"))
    expected = stats.norm.logpdf(Y, mu, np.sqrt(SE**2 + tau**2))
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values[1, :20], expected, rtol=1e-11)


def test_log_prior_has_the_real_priors_alone(exact, regression):
    tree = exact.tree
    assert set(tree["log_prior"].data_vars) == {"mu", "tau"}
    mu, tau = tree["posterior"]["mu"].values, tree["posterior"]["tau"].values
    np.testing.assert_allclose(tree["log_prior"]["mu"].values, stats.norm.logpdf(mu), rtol=1e-11)
    np.testing.assert_allclose(
        tree["log_prior"]["tau"].values, stats.halfnorm.logpdf(tau, scale=0.3), rtol=1e-11
    )
    other = regression.tree
    assert set(other["log_prior"].data_vars) == {"beta", "tau"}
    # The prior of mu is that of the mean effect at the mean of x.
    beta = other["posterior"]["beta"].values
    expected = stats.norm.logpdf(beta[:, :, 0] + beta[:, :, 1] * X.mean())
    np.testing.assert_allclose(other["log_prior"]["beta"].values[:, :, 0], expected, rtol=1e-9)
    np.testing.assert_allclose(
        other["log_prior"]["beta"].values[:, :, 1], stats.norm.logpdf(beta[:, :, 1], 0, 0.5), rtol=1e-11
    )


def test_fixed_tau_has_no_log_prior():
    one = exact_fit(Model(mu="Normal(0, 1)", effects="common"))
    assert set(one.tree["log_prior"].data_vars) == {"mu"}


def test_prior_of_tau2_is_a_density_of_tau():
    one = exact_fit(Model(mu="Normal(0, 1)", tau2="Exponential(2)"))
    tau = one.tree["posterior"]["tau"].values
    expected = np.log(2) - 2 * tau**2 + np.log(2 * tau)
    np.testing.assert_allclose(one.tree["log_prior"]["tau"].values, expected, rtol=1e-10)


def test_predictive_draws_have_the_right_spread(exact):
    replicated = exact.tree["posterior_predictive"]["y"].values.reshape(-1, 6)
    mu, tau = exact.marginal("mu"), exact.marginal("tau")
    expected = np.sqrt(mu.sd**2 + tau.mean**2 + tau.sd**2 + SE**2)
    # A standard deviation from 4,000 draws is off by 1.1 percent; heavier tails than normal double it.
    np.testing.assert_allclose(replicated.std(axis=0), expected, rtol=0.1)
    prior = exact.tree["prior_predictive"]["y"].values.reshape(-1, 6)
    np.testing.assert_allclose(prior.std(axis=0), np.sqrt(1 + 0.3**2 + SE**2), rtol=0.1)


def test_tree_is_made_once_and_the_same_each_time(exact):
    assert exact.tree is exact.tree
    again = exact_fit(exact.model).tree
    assert again["posterior"].to_dataset().identical(exact.tree["posterior"].to_dataset())
    assert again["prior_predictive"].to_dataset().identical(exact.tree["prior_predictive"].to_dataset())


# ArviZ at work


@pytest.fixture(params=["exact", "sampled", "regression"])
def tree(request):
    return request.getfixturevalue(request.param).tree


def test_arviz_summarises(tree):
    table = az.summary(tree, var_names=["tau", "theta"], ci_prob=0.95, ci_kind="eti", round_to="none")
    assert list(table.index) == ["tau", *(f"theta[{label}]" for label in LABELS)]
    assert (table["r_hat"] < 1.01).all()
    # The draws are independent, so that the effective sample size is their number.
    assert (table["ess_bulk"] > 3000).all()


def test_arviz_cross_validates(tree):
    result = az.loo(tree, pointwise=True)
    assert result.n_data_points == 6
    assert float(result.pareto_k.max()) < 0.7


def test_arviz_compares_leaving_one_out_with_the_exact_answer(exact):
    # Expected log predictive density of each study given the others, by exact refits.
    pointwise = []
    for i in range(6):
        others = np.delete(np.arange(6), i)
        studies = Studies.from_effects(Y[others], sei=SE[others])
        problem = pose(studies, exact.model)
        nodes = integrate(problem)
        sd = np.sqrt(nodes.cov[:, 0, 0] + nodes.tau2 + SE[i] ** 2)
        pointwise.append(np.log(nodes.weights @ stats.norm.pdf(Y[i], nodes.beta[:, 0], sd)))
    found = az.loo(exact.tree, pointwise=True)
    # Importance sampling from 4,000 draws.
    np.testing.assert_allclose(found.elpd_i.values.ravel(), pointwise, atol=0.03)


def test_arviz_finds_the_sensitivity_to_priors(tree):
    table = az.psense_summary(tree, var_names=["tau"])
    assert list(table.index) == ["tau"]
    assert table[["prior", "likelihood"]].astype(float).gt(0).all(axis=None)


def test_arviz_plots(tree):
    az.plot_dist(tree, var_names=["tau"], ci_kind="eti", ci_prob=0.95)
    az.plot_forest(tree, var_names=["theta"])


def test_binomial_tree_cross_validates(binomial):
    values = binomial.tree["log_likelihood"]["y"].values
    assert values.shape == (4, 50, 3)
    assert np.all(np.isfinite(values))
    assert np.all(values < 0)
