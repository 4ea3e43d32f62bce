"""Models of the same studies side by side, and the exact leave-one-out densities that compare them.

Brute force: with normal priors the effects given tau are one multivariate normal vector, so that the evidence
of all studies and of all but one come from dense densities and scipy's quadrature over tau; the log density
of a study given the others is their difference.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

import bayesmeta as bm
from bayesmeta.analysis import load_analysis
from bayesmeta.errors import AnalysisError, ModelError
from bayesmeta.workflow.compute import compute
from bayesmeta.workflow.document import document

MODELS = Path(__file__).parents[2] / "models"
PRIORS = {"mu": "Normal(0.1, 1)", "beta": "Normal(0, 0.5)", "tau": "HalfNormal(0.3)"}
FORMS = {"pooled": "1", "linear": "dose", "log": "log(dose)", "site": "C(site)"}


@pytest.fixture(scope="module")
def fits(four):
    return {name: bm.fit(four, bm.Model(mods=mods, **PRIORS)) for name, mods in FORMS.items()}


def log_evidence(fit, kept):
    """Return the log evidence of some of the studies, the design and priors being those of all."""
    X, v, y = fit.problem.X_prior[kept], fit.problem.v[kept], fit.problem.y[kept]
    prior = np.diag([1.0, *[0.25] * (X.shape[1] - 1)])
    cov = X @ prior @ X.T + np.diag(v)

    def joint(tau):
        density = stats.multivariate_normal.pdf(y, np.full(y.size, 0.1), cov + tau**2 * np.eye(y.size))
        return density * stats.halfnorm.pdf(tau, scale=0.3)

    return np.log(integrate.quad(joint, 0, 3, epsabs=0, epsrel=1e-12, limit=200)[0])


@pytest.mark.parametrize("form", FORMS)
def test_leave_one_out_densities_are_ratios_of_evidence(fits, form):
    fit = fits[form]
    table = fit.loo()
    for i in range(4):
        expected = log_evidence(fit, np.arange(4) >= 0) - log_evidence(fit, np.arange(4) != i)
        assert table["elpd"].iloc[i] == pytest.approx(expected, abs=1e-9)
    assert list(table.index) == list(fit.studies.slab)


def test_the_density_within_is_the_mean_density_of_the_effect(fits):
    """By draws: the log of the mean density of each study, within 5 Monte Carlo standard errors."""
    fit = fits["linear"]
    draws = fit.posterior.draws(40_000, np.random.default_rng(5))
    beta, tau = draws.beta.reshape(-1, 2), draws.tau.reshape(-1)
    density = stats.norm.pdf(
        fit.problem.y, beta @ fit.problem.X.T, np.sqrt(fit.problem.v + tau[:, None] ** 2)
    )
    error = density.std(axis=0) / density.mean(axis=0) / np.sqrt(tau.size)
    apart = fit.loo()["within"].to_numpy() - np.log(density.mean(axis=0))
    assert np.all(np.abs(apart) < 5 * error)


def test_probabilities_are_evidence_times_prior_odds(fits):
    table = bm.compare_models(fits, prior={"pooled": 2, "linear": 1, "log": 1, "site": 1})
    evidence = np.exp([log_evidence(fit, np.arange(4) >= 0) for fit in fits.values()])
    joint = evidence * np.array([2, 1, 1, 1])
    assert list(table["prior"]) == pytest.approx([0.4, 0.2, 0.2, 0.2], rel=1e-12)
    assert list(table["posterior"]) == pytest.approx(joint / joint.sum(), rel=1e-9)
    assert list(table["bayes_factor"]) == pytest.approx(evidence / evidence.max(), rel=1e-9)
    assert list(table["mods"]) == list(FORMS.values())


def test_differences_of_prediction_are_paired_by_study(fits):
    table = bm.compare_models(fits)
    best = table["elpd_loo"].idxmax()
    assert table.loc[best, "elpd_difference"] == 0
    for name in FORMS:
        apart = fits[name].loo()["elpd"].to_numpy() - fits[best].loo()["elpd"].to_numpy()
        assert table.loc[name, "elpd_difference"] == pytest.approx(apart.sum(), abs=1e-12)
        assert table.loc[name, "se_difference"] == pytest.approx(2 * apart.std(ddof=1), abs=1e-12)
        assert table.loc[name, "p_loo"] > 0


def test_evidence_under_flat_slopes_is_not_compared(four):
    flat = bm.Model(mu="Normal(0, 1)", beta="Flat()", tau="HalfNormal(0.3)")
    fits = {name: bm.fit(four, flat.with_mods(mods)) for name, mods in (("a", "1"), ("b", "dose"))}
    table = bm.compare_models(fits)
    assert np.isnan(table.loc["b", "log_evidence"])
    assert table["posterior"].isna().all()
    assert np.isfinite(table["elpd_loo"]).all()


@pytest.mark.parametrize("improper", [{"mu": "Flat()"}, {"tau": "Flat()"}])
def test_evidence_whose_scale_is_arbitrary_is_not_compared_with_one_that_has_a_scale(four, improper):
    """Density 1 or 1000 is the same improper prior, and makes any Bayes factor against a proper one."""
    proper = {"mu": "Normal(0, 1)", "tau": "HalfNormal(0.3)"}
    fits = {"a": bm.fit(four, bm.Model(**proper)), "b": bm.fit(four, bm.Model(**(proper | improper)))}
    table = bm.compare_models(fits)
    assert list(table["log_evidence"].isna()) == [False, True]
    assert table[["posterior", "bayes_factor"]].isna().all(axis=None)
    assert np.isfinite(table["elpd_loo"]).all()


def test_a_flat_mean_that_all_models_share_cancels(four):
    """Known tau = 0: the integral over a flat mean is a normal density of the deviations, by hand."""
    flat = bm.Model(mu="Flat()", beta="Normal(0, 0.5)", effects="common")
    fits = {name: bm.fit(four, flat.with_mods(mods)) for name, mods in (("a", "1"), ("b", "dose"))}
    dose = np.asarray(four.columns["dose"], dtype=float)
    across = np.linalg.svd(np.ones((1, 4)))[2][1:]  # three directions without the mean
    y, noise = across @ four.yi, across @ np.diag(four.vi) @ across.T
    slope = np.outer(across @ dose, across @ dose) * 0.25
    plain, bent = (stats.multivariate_normal.pdf(y, np.zeros(3), noise + extra) for extra in (0, slope))
    expected = np.array([plain, bent]) / (plain + bent)
    assert list(bm.compare_models(fits)["posterior"]) == pytest.approx(expected, rel=1e-9)


def test_a_study_that_alone_determines_a_coefficient_has_no_prediction():
    data = {"site": ["a", "a", "a", "b"]}
    studies = bm.Studies.from_effects([0.1, 0.2, 0.3, 0.9], sei=[0.1] * 4, data=data)
    flat = bm.Model(mods="site", mu="Flat()", beta="Flat()", tau="HalfNormal(0.3)")
    elpd = bm.fit(studies, flat).loo()["elpd"].to_numpy()
    assert list(np.isnan(elpd)) == [False, False, False, True]


def test_leave_one_out_of_a_known_tau_is_that_of_a_linear_model(four):
    """Flat mean and tau = 0: the others' inverse-variance mean, by hand."""
    fit = bm.fit(four, bm.Model(mu="Flat()", effects="common"))
    weights = 1 / four.vi
    for i in range(4):
        others = np.arange(4) != i
        mean = weights[others] @ four.yi[others] / weights[others].sum()
        sd = np.sqrt(four.vi[i] + 1 / weights[others].sum())
        assert fit.loo()["elpd"].iloc[i] == pytest.approx(stats.norm.logpdf(four.yi[i], mean, sd), abs=1e-12)


def test_other_studies_are_refused(four, fits):
    other = bm.fit(four.without(0), bm.Model(**PRIORS))
    with pytest.raises(AnalysisError) as caught:
        bm.compare_models({"linear": fits["linear"], "fewer": other})
    assert str(caught.value) == (
        "models can be compared on the same studies only; 'linear' and 'fewer' have others; drop the studies "
        "that lack a moderator from both"
    )


def test_one_model_is_no_comparison(fits):
    with pytest.raises(AnalysisError) as caught:
        bm.compare_models({"linear": fits["linear"]})
    assert str(caught.value) == "a comparison needs at least 2 models; got 1"


def test_a_model_without_a_prior_probability_is_refused(fits):
    with pytest.raises(AnalysisError) as caught:
        bm.compare_models(fits, prior={"pooled": 1})
    assert str(caught.value) == "prior must have a probability above 0 for the model 'linear'; got none"


def test_draws_have_no_exact_prediction(fits):
    from dataclasses import replace

    from bayesmeta.results.sampled import SampledPosterior

    exact = fits["linear"]
    drawn = SampledPosterior(exact.problem, exact.posterior.draws(400, np.random.default_rng(1)))
    with pytest.raises(ModelError) as caught:
        replace(exact, posterior=drawn).loo()
    assert str(caught.value) == (
        "leave-one-out densities are integrated from an exact fit; got one from NUTS; use engine='exact' or "
        "arviz.loo(fit.tree)"
    )


@pytest.mark.parametrize("name", ["exercise_duration", "exercise_moderators"])
def test_the_analyses_of_moderators_meet_their_known_answers(name):
    content = document(compute(load_analysis(MODELS / f"{name}.toml")))
    assert content["failures"] == []
    assert len(content["expected"]) > 10
    table = content["model_comparison"]
    assert list(table) == ["main", *content["regressions"]]
    assert sum(row["posterior"] for row in table.values()) == pytest.approx(1, rel=1e-12)
    assert json.dumps(table)


def test_a_tau_that_depends_on_moderators_has_no_exact_prediction(bcg):
    model = bm.Model(scale="ablat", mu="Normal(0, 2)", tau="HalfNormal(0.5)")
    fit = bm.fit(bcg, model, engine="exact")
    with pytest.raises(ModelError) as caught:
        fit.loo()
    assert str(caught.value) == (
        "leave-one-out densities are integrated with one tau for all studies; got scale 'ablat'; use "
        "arviz.loo(fit.tree)"
    )
