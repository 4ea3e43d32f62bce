"""Posterior predictive checks: against hand computation, limits, and data that the model cannot have made."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import bayesmeta as bm
from bayesmeta.errors import AnalysisError
from bayesmeta.results.predictive import prior_draws
from bayesmeta.results.replication import predictive_checks

Y, S = np.array([0.1, 0.3, 0.2, 0.6, 0.5]), np.array([0.1, 0.12, 0.2, 0.15, 0.1])
RANDOM = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")


def checks(y, s, model=RANDOM, **options):
    fit = bm.fit(bm.Studies.from_effects(y, sei=s), model)
    return {one.statistic: one for one in predictive_checks(fit, **options)}


def test_the_observed_statistics_are_those_of_the_data():
    found = checks(Y, S)
    w = 1 / S**2
    z = (Y - w @ Y / w.sum()) / S
    assert found["Cochran's Q"].observed == pytest.approx(z @ z, rel=1e-12)
    assert found["Cochran's Q"].observed == pytest.approx(bm.classical(bm.Studies.from_effects(Y, sei=S)).Q)
    assert found["largest distance"].observed == pytest.approx(np.abs(z).max(), rel=1e-12)
    assert found["asymmetry"].observed == pytest.approx((z**3).mean() / (z**2).mean() ** 1.5, rel=1e-12)
    assert (found["smallest effect"].observed, found["largest effect"].observed) == (0.1, 0.6)


def test_under_a_common_effect_q_is_chi_squared():
    """With tau = 0 replicated Q has k - 1 degrees of freedom whatever mu is."""
    found = checks(Y, S, bm.Model(effects="common", mu="Flat()"), draws=40_000)["Cochran's Q"]
    # standard error of a quantile and of a probability counted in 40,000 draws: below 0.1 and 0.0025
    assert found.median == pytest.approx(stats.chi2.median(4), abs=0.1)
    assert found.upper == pytest.approx(stats.chi2.ppf(0.975, 4), abs=0.3)
    assert found.p == pytest.approx(stats.chi2.sf(found.observed, 4), abs=0.01)


def test_a_typing_error_of_a_factor_a_thousand_is_beyond_all_replications():
    found = checks([0.1, 0.2, 0.15, 794.0], [0.1, 0.1, 0.1, 0.1])
    assert found["Cochran's Q"].p < 0.01
    assert found["largest effect"].p < 0.01


def test_data_of_the_model_are_within_their_replications():
    rng = np.random.default_rng(3)
    outside = 0
    for _ in range(40):
        s = rng.uniform(0.05, 0.3, 10)
        y = rng.normal(rng.normal(0, 1), np.sqrt(s**2 + rng.normal(0, 0.3) ** 2))
        outside += not 0.005 < checks(y, s, draws=500)["Cochran's Q"].p < 0.995
    assert outside <= 1


def test_a_regression_is_checked_about_its_own_line():
    months = np.array([3.0, 6, 9, 12, 15])
    studies = bm.Studies.from_effects(0.1 * months, sei=np.full(5, 0.1), data={"months": months})
    model = bm.Model(mods="months", mu="Normal(0, 5)", beta="Normal(0, 1)", tau="HalfNormal(0.1)")
    found = {one.statistic: one for one in predictive_checks(bm.fit(studies, model))}
    assert found["Cochran's Q"].observed == pytest.approx(0, abs=1e-20)


def test_equal_effects_are_symmetric():
    assert checks([0.1] * 4, [0.1] * 4)["asymmetry"].observed == 0


def test_too_few_studies_have_fewer_statistics():
    assert list(checks([0.1], [0.1])) == ["smallest effect", "largest effect"]
    assert "asymmetry" not in checks([0.1, 0.2], [0.1, 0.1])


def test_counts_are_compared_in_events_and_empty_arms():
    table = {"a": [1, 0, 5], "n": [10, 12, 50], "c": [3, 4, 9], "m": [11, 10, 50]}
    studies = bm.effect_sizes(table, "OR", ai="a", n1i="n", ci="c", n2i="m")
    problem = bm.fitting.pose(
        studies, bm.Model(likelihood="binomial", mu="Normal(0, 1)", tau="HalfNormal(1)")
    )

    class Posterior:
        @staticmethod
        def draws(n, rng):
            return prior_draws(problem, n, rng)

    class Sampled:
        posterior = Posterior

    Sampled.problem = problem
    found = {one.statistic: one for one in predictive_checks(Sampled)}
    observed = {name: one.observed for name, one in found.items()}
    assert observed == {"events in group 1": 6, "events in group 2": 16, "arms without events": 1}
    assert 0 < found["events in group 2"].p < 1
    assert 0 <= found["arms without events"].lower <= found["arms without events"].upper <= 6


def test_the_seed_decides():
    assert checks(Y, S, seed=1) == checks(Y, S, seed=1)
    assert checks(Y, S, seed=1) != checks(Y, S, seed=2)


def test_too_few_draws_are_refused():
    with pytest.raises(AnalysisError) as caught:
        checks(Y, S, draws=10)
    assert str(caught.value) == "draws must be at least 100 for a predictive check; got 10"
