"""The compiled density is the posterior density: prior times likelihood times Jacobian, up to a constant.

The expected values are made of `prior.logpdf` (which has its own tests against R) and scipy's normal and
binomial densities; Jacobians and gradients are central differences, with step h good to h^2 times
the third derivative plus 1e-16 / h, about 1e-8 here.
"""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import bayesmeta as bm
from bayesmeta.engines.nuts.plan import plan
from bayesmeta.engines.nuts.shapes import ScaleShape
from bayesmeta.errors import ModelError

STEP = 1e-5
TAU_PRIORS = (
    "Flat()",
    "Sqrt()",
    "HalfNormal(0.5)",
    "HalfCauchy(0.4)",
    "HalfStudentT(nu=4, sigma=0.3)",
    "Exponential(2)",
    "Uniform(0, 3)",
    "Uniform(0.1, 0.9)",
    "Lomax(alpha=2, scale=0.5)",
    "LogNormal(-1, 0.7)",
    "Gamma(alpha=2, beta=3)",
    "Gamma(alpha=0.5, beta=3)",
    "InverseGamma(alpha=2, beta=1)",
    "Weibull(alpha=2, beta=0.6)",
    "Weibull(alpha=0.5, beta=0.6)",
    "DuMouchel()",
    "UniformShrinkage()",
    "UniformI2()",
    "LogStudentT(nu=5, mu=-1, sigma=0.6)",
    "Truncated(HalfNormal(0.5), upper=1.2)",
    "Truncated(HalfCauchy(0.5), lower=0.1, upper=2)",
    "Truncated(LogNormal(-1, 0.7), upper=2)",
    "Truncated(Gamma(alpha=0.5, beta=3), lower=0.05, upper=2)",
    "Truncated(Gamma(alpha=2, beta=3), lower=0.05)",
    "Truncated(LogStudentT(nu=5, mu=-1, sigma=0.6), lower=0.05, upper=3)",
    "Truncated(Normal(0.3, 0.2), lower=0)",
    "Truncated(StudentT(nu=3, mu=0.3, sigma=0.2), lower=0.05, upper=1)",
    "Truncated(Laplace(0.3, 0.2), lower=0.1)",
)
TAU2_PRIORS = tuple(
    text for text in TAU_PRIORS if text[:-2] not in {"DuMouchel", "UniformShrinkage", "UniformI2"}
)
COEFFICIENT_PRIORS = (
    "Flat()",
    "Normal(0.2, 0.7)",
    "StudentT(nu=3, mu=0.1, sigma=0.5)",
    "Cauchy(-0.3, 0.5)",
    "Laplace(0.2, 0.4)",
    "Uniform(-1, 2)",
    "Truncated(Normal(0.2, 0.7), lower=-1, upper=1.5)",
    "Truncated(StudentT(nu=3, mu=0.1, sigma=0.5), lower=-0.8)",
    "Truncated(Cauchy(-0.3, 0.5), upper=0.9)",
    "Mixture([0.7, 0.3], [Normal(0.2, 0.7), Normal(-0.5, 2)])",
    "Mixture([0.2, 0.5, 0.3], [Normal(0.2, 0.7), Normal(-0.5, 2), Normal(1, 0.1)])",
)


@pytest.fixture(scope="module")
def compiled_density():
    """Return a function from a plan and a point to log density and gradient; each model is compiled once."""
    from bayesmeta.engines.nuts.densities import build

    compiled = {}

    def evaluate(ready, x):
        key = json.dumps(ready.key)
        if key not in compiled:
            model = build(ready.key, ready.numbers)
            compiled[key] = model, model.logp_dlogp_function(ravel_inputs=True)
            compiled[key][1].set_extra_values({})
        model, function = compiled[key]
        model.set_data("numbers", ready.numbers)
        return function(np.asarray(x, dtype=float))

    return evaluate


def parameters(ready, x):
    """Return the free parameters at a point: coefficients, tau unless known, effects and baselines."""
    found = ready.read(np.asarray(x, dtype=float))
    tau = [] if ready.tau.kind == 0 else [float(found.tau)]
    counts = [] if found.theta is None else [found.theta, found.baseline]
    return np.concatenate([found.b, tau, *counts])


def idle(ready):
    """Return which coordinates touch nothing: the padding of coefficients, and that of a known tau."""
    known = [ready.width] if ready.tau.kind == 0 else []
    return [*range(ready.X.shape[1], ready.width), *known]


def jacobian(ready, x):
    """Return the log determinant of the parameters in the coordinates, by central differences."""
    free = [j for j in range(len(x)) if j not in idle(ready)]
    steps = STEP * np.eye(len(x))[free]
    columns = [(parameters(ready, x + step) - parameters(ready, x - step)) / (2 * STEP) for step in steps]
    return np.linalg.slogdet(np.column_stack(columns))[1]


def expected(problem, ready, x):
    """Return the log posterior density of the parameters at a point, plus the Jacobian."""
    found = ready.read(np.asarray(x, dtype=float))
    prior = sum(float(one.logpdf(b)) for one, b in zip(problem.priors.beta, found.b, strict=True))
    if ready.tau.kind != 0:
        prior += float(problem.priors.tau_density.logpdf(found.tau))
    prior += stats.norm.logpdf(np.asarray(x)[idle(ready)]).sum()
    mean = problem.X_prior @ found.b
    if found.theta is None:
        likelihood = stats.norm.logpdf(problem.y, mean, np.sqrt(problem.v + found.tau**2)).sum()
    else:
        arms, odds = problem.studies.arms, found.baseline
        likelihood = stats.norm.logpdf(found.theta, mean, found.tau).sum()
        prior += problem.model.baseline.logpdf(odds).sum()
        one = stats.binom.logpmf(arms["ai"], arms["ai"] + arms["bi"], special.expit(odds + found.theta))
        two = stats.binom.logpmf(arms["ci"], arms["ci"] + arms["di"], special.expit(odds))
        likelihood += one.sum() + two.sum()
    return prior + likelihood + jacobian(ready, x)


def check(problem, compiled_density, *, points=6):
    ready = plan(problem)
    rng = np.random.default_rng(3)
    gaps = []
    for x in rng.uniform(0.1, 1.3, (points, ready.dim)) * rng.choice([-1, 1], (points, ready.dim)):
        value, gradient = compiled_density(ready, x)
        gaps.append(value - expected(problem, ready, x))
        steps = STEP * np.eye(ready.dim)
        slopes = [
            (compiled_density(ready, x + s)[0] - compiled_density(ready, x - s)[0]) / (2 * STEP)
            for s in steps
        ]
        assert gradient == pytest.approx(slopes, rel=1e-6, abs=1e-6)
    assert np.ptp(gaps) < 1e-6


@pytest.mark.parametrize("prior", TAU_PRIORS)
def test_density_with_a_prior_of_tau_is_likelihood_times_prior(eight, posed, compiled_density, prior):
    check(posed(eight, mu="Normal(0, 1)", tau=prior), compiled_density)


@pytest.mark.parametrize("prior", TAU2_PRIORS)
def test_density_with_a_prior_of_tau2_has_the_jacobian_of_the_square(eight, posed, compiled_density, prior):
    check(posed(eight, mu="Normal(0, 1)", tau2=prior), compiled_density)


@pytest.mark.parametrize("prior", COEFFICIENT_PRIORS)
def test_density_with_a_prior_of_coefficients_is_likelihood_times_prior(
    eight, posed, compiled_density, prior
):
    model = {
        "mods": "x + z",
        "mu": prior,
        "beta": {"x": prior, "z": "Normal(0, 1)"},
        "tau": "HalfNormal(0.5)",
    }
    check(posed(eight, **model), compiled_density)


@pytest.mark.parametrize("fixed", [{"tau": "Fixed(0.3)"}, {"tau2": "Fixed(0.09)"}, {"effects": "common"}])
def test_density_with_a_known_tau_leaves_an_idle_standard_normal_variable(
    eight, posed, compiled_density, fixed
):
    check(posed(eight, mu="Normal(0, 1)", **fixed), compiled_density)


@pytest.mark.parametrize("baseline", ["Normal(0, 5)", "Cauchy(-2, 1)", "Uniform(-9, 3)"])
def test_density_of_counts_is_that_of_binomial_events(refracture, posed, compiled_density, baseline):
    model = {"likelihood": "binomial", "mu": "Normal(0, 2)", "tau": "HalfNormal(0.5)", "baseline": baseline}
    check(posed(refracture, **model), compiled_density)


def test_density_of_counts_takes_moderators_and_known_tau(refracture, posed, compiled_density):
    check(posed(refracture, likelihood="binomial", mu="Normal(0, 2)", tau="Uniform(0, 2)"), compiled_density)


def test_density_of_counts_does_not_depend_on_the_unit_of_effects(posed, compiled_density):
    counts = {"a": [300, 500, 410, 390], "n": [1000] * 4, "c": [350, 480, 400, 420], "m": [1100] * 4}
    table = pd.DataFrame(counts)
    studies = bm.effect_sizes(table, "OR", ai="a", n1i="n", ci="c", n2i="m")
    problem = posed(studies, likelihood="binomial", mu="Normal(0, 2)", tau="HalfNormal(0.5)")
    assert plan(problem).at.unit < 0.5
    check(problem, compiled_density)


def test_tau_read_from_draws_at_a_fixed_prior_is_the_fixed_value(eight, posed):
    ready = plan(posed(eight, mu="Normal(0, 1)", tau2="Fixed(0.09)"))
    assert ready.read(np.full((1, ready.dim), 0.3)).tau == pytest.approx([0.3], rel=1e-15)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_data_of_the_model_do_not_depend_on_units(eight, posed, unit):
    power = 2.0 ** round(np.log2(unit))
    scaled = bm.Studies.from_effects(eight.yi * power, vi=eight.vi * power**2)
    plain = plan(posed(eight, mu="Flat()", tau="HalfCauchy(0.5)"))
    rescaled = plan(posed(scaled, mu="Flat()", tau=f"HalfCauchy({0.5 * power!r})"))
    unit_at = len(ScaleShape._fields)  # after the prior of tau
    assert rescaled.numbers[unit_at] == plain.numbers[unit_at] * power
    numbers = [np.delete(ready.numbers, unit_at) for ready in (rescaled, plain)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-12)
    assert rescaled.at.unit == plain.at.unit * power


def test_a_prior_of_tau_without_such_a_form_is_refused(eight, posed):
    with pytest.raises(ModelError) as caught:
        plan(posed(eight, mu="Normal(0, 1)", tau="Jeffreys()"))
    assert str(caught.value) == "engine 'nuts' cannot run Jeffreys() as the prior of tau; use engine='exact'"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"tau": "SpikeSlab(0.5, HalfNormal(1))"},
            "engine 'nuts' cannot run SpikeSlab(0.5, HalfNormal(1)) as the prior of tau; use engine='exact'",
        ),
        (
            {"mu": "Mixture([0.5, 0.5], [Normal(0, 1), Cauchy(0, 1)])"},
            "engine 'nuts' cannot run Mixture([0.5, 0.5], [Normal(0, 1), Cauchy(0, 1)]) as the prior of a "
            "coefficient; use a family such as Normal or StudentT, or a mixture of normal ones",
        ),
        (
            {"mu": bm.priors.Density(lambda x: np.exp(-x * x), (-np.inf, np.inf), "bell")},
            "engine 'nuts' cannot run Density(bell) as the prior of a coefficient; use a family such as "
            "Normal or StudentT, or a mixture of normal ones",
        ),
    ],
)
def test_composed_priors_without_such_a_form_are_refused(eight, posed, fields, message):
    with pytest.raises(ModelError) as caught:
        plan(posed(eight, **({"mu": "Normal(0, 1)", "tau": "HalfNormal(1)"} | fields)))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"tau": "SpikeSlab(0.5, HalfNormal(1))"},
            "PyMC has no prior SpikeSlab(0.5, HalfNormal(1)) of tau; use a family such as HalfNormal",
        ),
        (
            {"mu": bm.priors.Density(lambda x: np.exp(-x * x), (-np.inf, np.inf), "bell")},
            "PyMC has no prior Density(bell) of a coefficient; use a family such as Normal",
        ),
    ],
)
def test_pymc_says_which_prior_it_has_not(eight, posed, fields, message):
    from bayesmeta.engines.nuts.readable import to_pymc

    with pytest.raises(ModelError) as caught:
        to_pymc(posed(eight, **({"mu": "Normal(0, 1)", "tau": "HalfNormal(1)"} | fields)))
    assert str(caught.value) == message


PYMC_CASES = {
    "pooled, half-normal": ("normal", {"tau": "HalfNormal(0.5)"}),
    "pooled, prior of tau2": ("normal", {"tau2": "Gamma(alpha=2, beta=3)"}),
    "regression, bounded": ("normal", {"mods": "x + z", "beta": "Cauchy(0, 1)", "tau": "Uniform(0.1, 3)"}),
    "counts": ("binomial", {"tau": "HalfNormal(0.5)"}),
    "truncated and mixed": (
        "normal",
        {
            "mods": "x",
            "beta": "Mixture([0.7, 0.3], [Normal(0.2, 0.7), Normal(-0.5, 2)])",
            "tau": "Truncated(LogStudentT(nu=5, mu=-1, sigma=0.6), lower=0.05, upper=3)",
        },
    ),
}
PYMC_SLOW = {
    **{
        f"tau {prior}": ("normal", {"tau": prior})
        for prior in TAU_PRIORS
        if "()" not in prior or prior == "Flat()"
    },
    **{f"tau2 {prior}": ("normal", {"tau2": prior}) for prior in TAU2_PRIORS if prior != "Sqrt()"},
    **{
        f"beta {prior}": ("normal", {"mods": "x", "beta": prior, "tau": "Exponential(2)"})
        for prior in COEFFICIENT_PRIORS
    },
    "uncentred": (
        "normal",
        {"mods": "x + z", "center": False, "beta": "Normal(0, 1)", "tau": "HalfCauchy(1)"},
    ),
    "baselines": ("binomial", {"tau": "LogNormal(-1, 1)", "baseline": "StudentT(nu=3, mu=-2, sigma=1)"}),
}


def natural(problem, found):
    """Return the values of the variables of `to_pymc` at parameters."""
    named = {f"prior[{name}]": b for name, b in zip(problem.coefficients, found.b, strict=True)}
    values = {"mu": found.b[0], "beta": found.b, "beta_centred": found.b, "baseline": found.baseline, **named}
    values |= {"tau": found.tau, "tau_signed": found.tau, "tau2": found.tau**2}
    if found.theta is not None:
        values["theta_standardised"] = (found.theta - problem.X_prior @ found.b) / found.tau
    return values


def gap_to_pymc(problem, ready, model, log_density, compiled_density, x):
    """Return our log density of the variables of a PyMC model minus PyMC's."""
    found = ready.read(x)
    values, point = natural(problem, found), {}
    for variable in model.free_RVs:
        transform, value = model.rvs_to_transforms[variable], np.asarray(values[variable.name])
        moved = value if transform is None else transform.forward(value, *variable.owner.inputs).eval()
        point[model.rvs_to_values[variable].name] = np.asarray(moved, dtype=float)
    ours = compiled_density(ready, x)[0] - jacobian(ready, x) - stats.norm.logpdf(x[idle(ready)]).sum()
    names = {variable.name for variable in model.free_RVs}
    ours -= np.log(2 * found.tau) if "tau2" in names else 0
    ours += problem.k * np.log(found.tau) if found.theta is not None else 0
    return ours - float(log_density(point))


def check_against_pymc(case, eight, refracture, posed, compiled_density):
    from bayesmeta.engines.nuts.readable import to_pymc

    likelihood, fields = case
    studies = eight if likelihood == "normal" else refracture
    problem = posed(studies, likelihood=likelihood, mu="Normal(0, 1)", **fields)
    ready, model = plan(problem), to_pymc(problem)
    log_density = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    rng = np.random.default_rng(8)
    points = rng.uniform(0.1, 1.2, (5, ready.dim))
    gaps = [gap_to_pymc(problem, ready, model, log_density, compiled_density, x) for x in points]
    assert np.ptp(gaps) < 1e-6


@pytest.mark.parametrize("name", PYMC_CASES)
def test_the_sampled_density_is_that_of_the_pymc_model(name, eight, refracture, posed, compiled_density):
    check_against_pymc(PYMC_CASES[name], eight, refracture, posed, compiled_density)


@pytest.mark.slow
@pytest.mark.parametrize("name", PYMC_SLOW)
def test_the_sampled_density_is_that_of_the_pymc_model_for_every_prior(
    name, eight, refracture, posed, compiled_density
):
    check_against_pymc(PYMC_SLOW[name], eight, refracture, posed, compiled_density)


@pytest.mark.parametrize("tau", [0.0, 0.02, 1.0, 300.0])
def test_coefficients_at_a_tau_have_the_mean_and_covariance_of_the_posterior_given_it(posed, tau):
    # dense normal equations in the units of the effects; standard errors differ by a thousand
    rng = np.random.default_rng(8)
    sei = np.geomspace(1e-3, 1, 6)
    studies = bm.Studies.from_effects(rng.normal(0.4, 0.5, 6), sei=sei, data={"x": rng.normal(size=6)})
    problem = posed(studies, mods="x", mu="Normal(0.2, 2)", beta="Normal(0, 3)", tau="HalfNormal(1)")
    W, X, P = np.diag(1 / (sei**2 + tau**2)), problem.X_prior, np.diag([1 / 4, 1 / 9])
    cov = np.linalg.inv(X.T @ W @ X + P)
    at = plan(problem).at
    g = np.vstack([np.zeros(2), np.eye(2)])
    b = at.unit * at.variables(g, np.full((3, 1), tau / at.unit))
    assert b[0] == pytest.approx(cov @ (X.T @ W @ studies.yi + P @ [0.2, 0]), rel=1e-6, abs=1e-9)
    spread = (b[1:] - b[0]).T
    assert spread @ spread.T == pytest.approx(cov, rel=1e-6, abs=1e-12)


def test_effects_of_counts_shrink_to_the_fit_as_tau_does(refracture, posed):
    problem = posed(refracture, likelihood="binomial", mu="Normal(0, 2)", tau="HalfNormal(0.5)")
    arms = {name: problem.studies.arms[name] + 0.5 for name in ("ai", "bi", "ci", "di")}
    y, v = np.log(arms["ai"] * arms["di"] / (arms["bi"] * arms["ci"])), sum(1 / one for one in arms.values())
    at, k = plan(problem).at, problem.k
    for tau in (0.0, 0.3, 50.0):
        middle, above = (
            at.unit * at.effects(np.array([0.1]) / at.unit, np.array([tau / at.unit]), u)
            for u in (np.zeros(k), np.ones(k))
        )
        pooling = v / (v + tau**2)  # the share of the fit, 0.1
        assert middle == pytest.approx(0.1 * pooling + y * (1 - pooling), rel=1e-12)
        assert above - middle == pytest.approx(tau * np.sqrt(pooling), rel=1e-9)
