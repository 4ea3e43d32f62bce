"""Fits by NUTS against known truths: 40-digit values of the review's analyses, and the binomial model's."""

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.agreement import agreement
from bayesmeta.engines.nuts import Settings
from bayesmeta.errors import AnalysisError, ImproperPosteriorError

PRIORS = {"mu": "Normal(0, 1)", "beta": "Normal(0, 1)", "tau": "HalfNormal(0.05)"}
JOINT = "duration_months + C(exercise_type) + C(fracture_site)"
POOLED_TRUTH = {  # by 30-digit integration, stated in the requirements of the review
    ("mu", "mean"): 0.069343140819,
    ("mu", "sd"): 0.010946545719,
    ("mu", "lower"): 0.046191023490,
    ("mu", "upper"): 0.089819833403,
    ("tau", "mean"): 0.020417083504,
    ("theta_new", "lower"): 0.011485769103,
    ("theta_new", "upper"): 0.122932573584,
}
JOINT_TRUTH = {
    ("duration_months", "mean"): 0.004838,
    ("duration_months", "sd"): 0.004113,
    ("exercise_type[whole-body]", "mean"): 0.030496,
    ("exercise_type[whole-body]", "sd"): 0.023048,
    ("fracture_site[mixed]", "mean"): 0.00629,
    ("fracture_site[mixed]", "sd"): 0.04505,
    ("fracture_site[vertebral]", "mean"): -0.014833,
    ("fracture_site[vertebral]", "sd"): 0.024279,
    ("tau", "mean"): 0.017713,
}
# adaptive Gauss-Hermite integration of baselines and effects, nodes doubled until nothing changed
BINOMIAL_TRUTH = {("mu", "mean"): -1.3627800, ("mu", "sd"): 0.4688261, ("tau", "mean"): 0.3911353}


@pytest.fixture(scope="module")
def reports():
    return []


@pytest.fixture(scope="module")
def pooled(bmd, reports):
    return bm.fit(bmd, bm.Model(**PRIORS), engine="nuts", seed=1, report=reports.append)


@pytest.fixture(scope="module")
def binomial(refracture):
    model = bm.Model(likelihood="binomial", mu="Normal(0, 2)", tau="HalfNormal(0.5)", baseline="Normal(0, 5)")
    return bm.fit(refracture, model, engine="nuts", seed=1)


def assert_within_four_errors(fit, truth):
    for (name, statistic), value in truth.items():
        found = fit.quantity(name)
        assert abs(found[statistic] - value) < 4 * found["error"][f"mcse_{statistic}"], (name, statistic)


def assert_converged(fit):
    found = fit.diagnostics
    assert found.status == "ok"
    assert found.divergences == 0
    assert found.rhat_max <= 1.01
    assert min(found.ess_bulk_min, found.ess_tail_min) >= 400
    assert found.settings["refits"] == 0


def test_the_pooled_review_is_within_four_errors_of_the_truth(pooled):
    assert_within_four_errors(pooled, POOLED_TRUTH)
    assert_converged(pooled)


def test_the_joint_regression_is_within_four_errors_of_the_truth(bmd):
    fit = bm.fit(bmd, bm.Model(mods=JOINT, center=False, **PRIORS), engine="nuts", seed=1)
    assert_within_four_errors(fit, JOINT_TRUTH)
    assert_converged(fit)


def test_the_binomial_model_is_within_four_errors_of_the_truth(binomial):
    assert_within_four_errors(binomial, BINOMIAL_TRUTH)
    assert_converged(binomial)


def test_the_effects_of_counts_are_judged_and_baselines_kept(binomial, refracture):
    assert set(binomial.diagnostics.quantities) >= {"mu", "tau", "theta_new", "theta[0]"}
    assert binomial.posterior.sampled.baseline.shape == (4, 1000, refracture.k)


def test_reports_count_all_draws_with_tuning_and_end_at_the_total(pooled, reports):
    sampling = [one for one in reports if one["phase"] == "sample"]
    assert {one["total"] for one in sampling} == {4 * (1000 + 1000)}
    done = [one["done"] for one in sampling]
    assert done == sorted(done)
    assert done[-1] == 8000


def test_the_same_seed_gives_the_same_draws_and_another_seed_others(bmd, pooled):
    again, other = (bm.fit(bmd, bm.Model(**PRIORS), engine="nuts", seed=seed) for seed in (1, 2))
    assert np.array_equal(again.posterior.sampled.tau, pooled.posterior.sampled.tau)
    assert not np.any(other.posterior.sampled.tau == pooled.posterior.sampled.tau)
    assert len(set(pooled.posterior.sampled.tau[:, 0])) == 4


@pytest.mark.parametrize("cores", [1, 4])
def test_draws_do_not_depend_on_the_number_of_processors(bmd, pooled, monkeypatch, cores):
    monkeypatch.setattr("bayesmeta.engines.nuts.sampling._cores", lambda: cores)
    again = bm.fit(bmd, bm.Model(**PRIORS), engine="nuts", seed=1)
    assert np.array_equal(again.posterior.sampled.beta, pooled.posterior.sampled.beta)


HARD = {
    "one study": ([0.4], [0.2], {"mu": "Normal(0, 1)", "tau": "HalfNormal(0.5)"}),
    "two studies, heaviest tail": ([0.1, 0.5], [0.2, 0.2], {"mu": "Flat()", "tau": "HalfCauchy(0.5)"}),
    "three studies": ([0.1, 0.5, -0.3], [0.2, 0.1, 0.4], {"mu": "Flat()", "tau": "HalfCauchy(0.5)"}),
    "identical effects": ([0.3] * 6, [0.2] * 6, {"mu": "Flat()", "tau": "HalfNormal(0.5)"}),
    "errors of very different size": (
        [0.3, 0.31, -0.5, 0.9, 0.2, 0.1],
        [0.001, 0.01, 0.1, 1, 0.3, 0.03],
        {"mu": "Normal(0, 5)", "tau": "HalfNormal(0.5)"},
    ),
    "common effect": ([0.1, 0.5, 0.2], [0.2, 0.1, 0.3], {"mu": "Normal(0, 1)", "effects": "common"}),
    "known tau": ([0.1, 0.5, 0.2], [0.2, 0.1, 0.3], {"mu": "Normal(0, 1)", "tau": "Fixed(0.2)"}),
    "prior of tau2": ([0.1, 0.9, 0.2, -0.5], [0.2] * 4, {"mu": "Normal(0, 1)", "tau2": "HalfNormal(0.5)"}),
    "prior that vanishes at 0": (
        [0.1, 0.9, 0.2, -0.5],
        [0.2] * 4,
        {"mu": "Flat()", "tau": "LogNormal(-1, 1)"},
    ),
    "bounded prior": ([0.1, 0.9, 0.2, -0.5], [0.2] * 4, {"mu": "Flat()", "tau": "Uniform(0.1, 2)"}),
    "prior far from the data": (
        [100.0, 101, 102],
        [1.0] * 3,
        {"mu": "Normal(0, 1)", "tau": "HalfNormal(0.5)"},
    ),
    "very narrow prior": (
        [0.1, 0.5, 0.2],
        [0.2, 0.1, 0.3],
        {"mu": "Normal(0, 1)", "tau": "HalfNormal(1e-6)"},
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_a_hard_case_agrees_with_integration_without_divergences(name):
    y, sei, model = HARD[name]
    studies = bm.Studies.from_effects(y, sei=sei)
    fit = bm.fit(studies, bm.Model(**model), engine="nuts", seed=4)
    assert fit.diagnostics.divergences == 0
    assert fit.status == "ok"
    assert agreement(fit, bm.fit(studies, bm.Model(**model), engine="exact")).ok


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_do_not_matter(unit):
    y, sei = np.array([0.1, 0.5, -0.3, 0.2]) * unit, np.array([0.2, 0.1, 0.4, 0.3]) * unit
    model = bm.Model(mu="Flat()", tau=f"HalfNormal({unit!r})")
    fit = bm.fit(bm.Studies.from_effects(y, sei=sei), model, engine="nuts", seed=4)
    assert fit.status == "ok"
    assert agreement(fit, bm.fit(bm.Studies.from_effects(y, sei=sei), model, engine="exact")).ok


def test_a_failed_run_is_repeated_once_more_carefully(bmd, monkeypatch):
    monkeypatch.setattr("bayesmeta.results.diagnostics.LOWEST_ESS", 4000.0)
    fit = bm.fit(bmd, bm.Model(**PRIORS), engine="nuts", seed=1)
    settings = fit.diagnostics.settings
    assert (settings["refits"], settings["target_accept"]) == (1, 0.99)
    assert (settings["tune"], settings["draws"]) == (2000, 2000)


def test_an_improper_posterior_is_refused_before_sampling():
    studies = bm.Studies.from_effects([0.1, 0.5], sei=[0.2, 0.2])
    with pytest.raises(ImproperPosteriorError, match=r"^the posterior does not exist: "):
        bm.fit(studies, bm.Model(mu="Flat()", tau="Flat()"), engine="nuts", seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chains": 0}, "chains must be a whole number from 1 to 64; got 0"),
        ({"tune": -1}, "tune must be a whole number from 0 to 1000000; got -1"),
        ({"draws": 10**12}, "draws must be a whole number from 1 to 1000000; got 1000000000000"),
        ({"draws": True}, "draws must be a whole number from 1 to 1000000; got True"),
        ({"target_accept": 1.0}, "target_accept must be between 0 and 1; got 1.0"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(AnalysisError) as caught:
        Settings(**options).check()
    assert str(caught.value) == message


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True])
def test_an_impossible_seed_is_refused(bmd, seed):
    with pytest.raises(AnalysisError) as caught:
        bm.fit(bmd, bm.Model(**PRIORS), engine="nuts", seed=seed)
    assert str(caught.value) == f"seed must be a whole number from 0 to 4294967295; got {seed}"


def test_fits_under_other_priors_report_their_progress(bmd):
    reports = []
    options = {"seed": 1, "report": reports.append, "tune": 300, "draws": 300}
    choices = bm.prior_sensitivity(bmd, bm.Model(**PRIORS), tau=["HalfNormal(0.1)"], engine="nuts", **options)
    assert choices[0].fit.engine == "nuts"
    assert reports[-1]["phase"] == "sample"
    assert reports[-1]["done"] == reports[-1]["total"]
