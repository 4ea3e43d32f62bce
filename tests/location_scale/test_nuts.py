"""Location-scale models by NUTS: its density is the posterior density, and its draws agree with the grid.

The expected densities are made of `prior.logpdf` and scipy's normal density; Jacobians are central
differences, good to about 1e-8.
"""

import numpy as np
import pytest
from scipy import stats

import bayesmeta as bm
from bayesmeta.engines.nuts.scale_plan import scale_plan
from bayesmeta.problem import pose

STEP = 1e-5
MODELS = {
    "one tau": {"scale": "C(g)", "tau": "HalfNormal(0.5)"},
    "two taus": {"mods": "0 + C(g)", "scale": "0 + C(g)", "tau": "HalfCauchy(0.3)"},
    "three": {"mods": "x", "scale": "C(g) + x", "tau": "Exponential(2)"},
    "heavy": {"scale": "x", "delta": "StudentT(nu=4, mu=0, sigma=0.3)", "tau2": "InverseGamma(2, 0.1)"},
    "bounded": {"scale": "x", "delta": "Uniform(-1, 0.5)", "tau": "Uniform(0, 2)"},
    "uncentred": {"scale": "x", "delta": "Uniform(-1, 0.5)", "tau": "Uniform(0, 2)", "center": False},
}


def posed(six, **fields):
    given = {"mu": "Normal(0.1, 1.5)", "beta": "Normal(0, 1)"} | fields
    return pose(six, bm.Model(**given))


def free(ready, x):
    found = ready.read(np.asarray(x, dtype=float))
    return np.concatenate([found.b, found.scale])


def expected(problem, ready, x):
    """Return the log posterior density of the parameters, with tau_i written out, plus the Jacobian."""
    found, scale = ready.read(np.asarray(x, dtype=float)), problem.scale
    taus, deltas = found.scale[: scale.T], found.scale[scale.T :]
    prior = sum(float(one.logpdf(b)) for one, b in zip(problem.priors.beta, found.b, strict=True))
    prior += problem.priors.tau_density.logpdf(taus).sum()
    prior += sum(float(one.logpdf(d)) for one, d in zip(scale.deltas, deltas, strict=True))
    tau = (scale.groups * taus).sum(axis=1) * np.exp((scale.slopes * deltas).sum(axis=1))
    likelihood = stats.norm.logpdf(problem.y, problem.X_prior @ found.b, np.hypot(tau, np.sqrt(problem.v)))
    steps = STEP * np.eye(len(x))
    columns = [(free(ready, x + step) - free(ready, x - step)) / (2 * STEP) for step in steps]
    return prior + likelihood.sum() + np.linalg.slogdet(np.column_stack(columns))[1]


@pytest.mark.parametrize("name", MODELS)
def test_the_compiled_density_is_likelihood_times_prior(six, name):
    from bayesmeta.engines.nuts.densities import build

    problem = posed(six, **MODELS[name])
    ready = scale_plan(problem)
    density = build(ready.key, ready.numbers).compile_logp(mode="FAST_COMPILE")
    rng = np.random.default_rng(3)
    points = rng.uniform(0.1, 1.3, (5, ready.dim)) * rng.choice([-1, 1], (5, ready.dim))
    gaps = [float(density({"x": x})) - expected(problem, ready, x) for x in points]
    assert np.ptp(gaps) < 1e-6


def test_the_readable_model_has_the_same_density(six):
    model = bm.to_pymc(six, bm.Model(mu="Normal(0, 1.5)", tau="HalfNormal(0.5)", scale="C(g)"))
    names = {str(one) for one in model.free_RVs}
    assert names == {"mu", "tau_signed", "delta[g[b]]"}
    density = model.compile_logp(mode="FAST_COMPILE")
    for mu, tau, delta in ((0.3, 0.4, -0.7), (-0.2, 0.1, 1.2)):
        tau_i = tau * np.exp(np.repeat([-0.5, 0.5], 3) * delta)
        y, v = six.yi, six.vi
        value = stats.norm.logpdf(y, mu, np.sqrt(v + tau_i**2)).sum() + stats.norm.logpdf(mu, 0, 1.5)
        value += stats.norm.logpdf(tau, 0, 0.5) + stats.norm.logpdf(delta)
        point = {"mu": np.array(mu), "tau_signed": np.array(tau), "delta[g[b]]": np.array(delta)}
        assert float(density(point)) == pytest.approx(value, abs=1e-9)


def test_the_readable_model_has_a_tau_for_each_level(six):
    model = bm.to_pymc(
        six, bm.Model(mods="0 + C(g)", scale="0 + C(g)", mu="Normal(0, 1)", tau2="InverseGamma(2, 0.1)")
    )
    named = {str(one) for one in (*model.free_RVs, *model.deterministics)}
    assert {"tau[a]", "tau[b]", "tau2[a]", "tau2[b]", "tau_of_study"} <= named


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one tau", "two taus", "bounded", "uncentred"])
def test_nuts_agrees_with_the_grid(six, name):
    """Every mean within 4.5 Monte Carlo standard errors, for the largest of some 20.

    Uncentred, tau where x is 0 all but follows from delta: one seed in three keeps a divergence or two after
    the refit, and the fit says that it is unreliable. Centred, none of six seeds had any.
    """
    model = bm.Model(**{"mu": "Normal(0.1, 1.5)", "beta": "Normal(0, 1)"} | MODELS[name])
    exact, sampled = bm.fit(six, model, engine="exact"), bm.fit(six, model, engine="nuts", seed=4)
    assert sampled.status == "ok" or name == "uncentred"
    assert sampled.names == exact.names
    for one in exact.names:
        error = sampled.error(one)["mcse_mean"]
        if np.isfinite(exact.marginal(one).sd):
            assert abs(sampled.marginal(one).mean - exact.marginal(one).mean) < 4.5 * error, one


@pytest.mark.slow
def test_three_scale_parameters_are_sampled_saved_and_predicted(six, tmp_path):
    model = bm.Model(mu="Normal(0, 1.5)", tau="HalfNormal(0.5)", scale="C(g) + x")
    fit = bm.fit(six, model, seed=2)
    assert (fit.engine, fit.status) == ("nuts", "ok")
    assert fit.names == ("mu", "tau", "delta[g[b]]", "delta[x]", "theta_new")
    fit.save(tmp_path / "fit.nc")
    again = bm.load(tmp_path / "fit.nc")
    assert again.summary().equals(fit.summary())
    assert set(fit.diagnostics.quantities) == set(again.diagnostics.quantities)
    table = fit.predict({"g": ["a", "b"], "x": [2.0, 2.0]})
    assert (table["new_lower"] < table["lower"]).all()
    assert fit.effects()["weight_random"].sum() == pytest.approx(100)
