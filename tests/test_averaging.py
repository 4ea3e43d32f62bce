"""The average over effect and heterogeneity, against brute force, limits and hand computation."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from scipy import integrate, stats

import bayesmeta as bm
from bayesmeta.errors import AnalysisError, ImproperPosteriorError, ModelError

Y, S = np.array([0.1, 0.3, 0.2, 0.6]), np.array([0.1, 0.12, 0.2, 0.15])
STUDIES = bm.Studies.from_effects(Y, sei=S)
MODEL = bm.Model(mu="Normal(0.1, 0.5)", tau="HalfNormal(0.3)")


def given_tau(tau, effect):
    """Return the density of the effects, mu being 0 or averaged over its prior."""
    cov = np.diag(S**2 + tau**2) + (0.25 if effect else 0.0)
    return stats.multivariate_normal.pdf(Y, np.full(4, 0.1 if effect else 0.0), cov)


def over_tau(function):
    prior = stats.halfnorm(scale=0.3)
    return integrate.quad(lambda tau: function(tau) * prior.pdf(tau), 0, 3, epsabs=0, epsrel=1e-11)[0]


def brute_force():
    """Return the evidence without either, with an effect, with heterogeneity, with both."""
    fixed = [given_tau(0.0, effect) for effect in (False, True)]
    return np.array([*fixed, *(over_tau(lambda tau, e=e: given_tau(tau, e)) for e in (False, True))])


@pytest.fixture(scope="module")
def average():
    return bm.model_average(STUDIES, MODEL, effect=0.4, heterogeneity=0.7)


def test_the_four_models_have_the_evidence_of_brute_force(average):
    evidence, prior = brute_force(), np.array([0.6 * 0.3, 0.4 * 0.3, 0.6 * 0.7, 0.4 * 0.7])
    after = prior * evidence / (prior @ evidence)
    for model, value, before, probability in zip(average.models, evidence, prior, after, strict=True):
        assert model.log_evidence == pytest.approx(log(value), abs=1e-9)
        assert model.prior == pytest.approx(before, rel=1e-12)
        assert model.posterior == pytest.approx(probability, rel=1e-8)
    assert [model[:2] for model in average.models] == [
        (False, False), (True, False), (False, True), (True, True),
    ]  # fmt: skip


def test_inclusion_bayes_factors_equal_brute_force(average):
    neither, effect, heterogeneity, both = brute_force()
    with_effect, without = 0.3 * effect + 0.7 * both, 0.3 * neither + 0.7 * heterogeneity
    found = average.inclusion("effect")
    assert found.log_bf10 == pytest.approx(log(with_effect / without), abs=1e-8)
    assert found.prior == pytest.approx(0.4)
    assert found.posterior == pytest.approx(0.4 * with_effect / (0.4 * with_effect + 0.6 * without), rel=1e-8)
    mixed, same = 0.6 * heterogeneity + 0.4 * both, 0.6 * neither + 0.4 * effect
    assert average.inclusion("heterogeneity").log_bf10 == pytest.approx(log(mixed / same), abs=1e-8)


def test_the_averaged_mean_is_that_of_the_models_weighted(average):
    weights = [model.posterior for model in average.models]
    fixed = bm.fit(STUDIES, bm.Model(effects="common", mu="Normal(0.1, 0.5)")).marginal("mu")
    random = bm.fit(STUDIES, MODEL).marginal("mu")
    assert average.marginal("mu").mean == pytest.approx(weights[1] * fixed.mean + weights[3] * random.mean)
    both = weights[1] + weights[3]
    conditional = average.marginal("mu", given="effect")
    assert conditional.mean == pytest.approx((weights[1] * fixed.mean + weights[3] * random.mean) / both)
    for point in (0.0, 0.2, 0.4):
        wanted = (weights[1] * fixed.cdf(point) + weights[3] * random.cdf(point)) / both
        assert conditional.cdf(point) == pytest.approx(wanted, abs=1e-9)


def test_the_null_models_put_their_probability_on_zero(average):
    mu, null = average.marginal("mu"), average.models[0].posterior + average.models[2].posterior
    assert mu.cdf(0.0) - mu.cdf(-1e-12) == pytest.approx(null, abs=1e-9)
    tau, same = average.marginal("tau"), average.models[0].posterior + average.models[1].posterior
    assert tau.cdf(0.0) == pytest.approx(same, abs=1e-9)
    assert average.marginal("tau", given="heterogeneity").cdf(0.0) == 0


def test_a_new_study_varies_where_there_is_heterogeneity_even_without_an_effect(average):
    model, new = average.models, average.marginal("theta_new")
    assert new.cdf(0.0) - new.cdf(-1e-12) == pytest.approx(model[0].posterior, abs=1e-9)

    def second(tau):
        return given_tau(tau, effect=False) * tau**2

    without_effect = over_tau(second) / over_tau(lambda tau: given_tau(tau, effect=False))
    parts = [0.0, without_effect]
    for common in (True, False):
        posed = bm.Model(effects="common", mu="Normal(0.1, 0.5)") if common else MODEL
        one = bm.fit(STUDIES, posed).marginal("theta_new")
        parts.append(one.sd**2 + one.mean**2)
    weights = [model[0].posterior, model[2].posterior, model[1].posterior, model[3].posterior]
    assert new.sd**2 + new.mean**2 == pytest.approx(np.dot(weights, parts), rel=1e-8)


def test_one_study_without_heterogeneity_has_the_factor_of_the_hand():
    studies = bm.Studies.from_effects([0.5], sei=[0.2])
    average = bm.model_average(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(1e-9)"))
    by_hand = stats.norm.logpdf(0.5, 0, sqrt(1.04)) - stats.norm.logpdf(0.5, 0, 0.2)
    assert average.inclusion("effect").log_bf10 == pytest.approx(by_hand, abs=1e-9)
    assert average.inclusion("heterogeneity").log_bf10 == pytest.approx(0, abs=1e-9)


def test_inclusion_factors_do_not_depend_on_their_own_prior_odds(average):
    other = bm.model_average(STUDIES, MODEL, effect=0.9, heterogeneity=0.7)
    assert other.inclusion("effect").log_bf10 == pytest.approx(average.inclusion("effect").log_bf10)
    assert other.inclusion("effect").posterior > average.inclusion("effect").posterior


def test_units_change_nothing(average):
    studies = bm.Studies.from_effects(1e5 * Y, sei=1e5 * S)
    scaled = bm.model_average(
        studies, bm.Model(mu="Normal(1e4, 5e4)", tau="HalfNormal(3e4)"), effect=0.4, heterogeneity=0.7
    )
    for one, other in zip(average.models, scaled.models, strict=True):
        assert one.posterior == pytest.approx(other.posterior, abs=1e-9)


def test_the_table_has_a_row_for_each_model(average):
    table = average.table()
    assert list(table.columns) == ["effect", "heterogeneity", "prior", "posterior", "log_evidence"]
    assert table["posterior"].sum() == pytest.approx(1)
    assert table["prior"].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"effect": 1}, "effect must be a probability between 0 and 1; got 1"),
        ({"heterogeneity": -0.5}, "heterogeneity must be a probability between 0 and 1; got -0.5"),
    ],
)
def test_prior_odds_must_leave_doubt(options, message):
    with pytest.raises(AnalysisError) as caught:
        bm.model_average(STUDIES, MODEL, **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("model", [bm.Model(effects="common", mu="Normal(0, 1)")])
def test_a_model_without_heterogeneity_is_refused(model):
    with pytest.raises(ModelError) as caught:
        bm.model_average(STUDIES, model)
    assert str(caught.value) == "model_average needs a model without moderators whose tau has a prior"


def test_improper_priors_are_refused():
    with pytest.raises(ImproperPosteriorError) as caught:
        bm.model_average(STUDIES, bm.Model(mu="Flat()", tau="HalfNormal(1)"))
    assert str(caught.value) == (
        "there is no Bayes factor under the improper prior Flat() of mu: the evidence has no scale; give it "
        "a proper prior"
    )


def test_unknown_names_are_refused(average):
    for call, message in (
        (lambda: average.inclusion("bias"), "component must be 'effect' or 'heterogeneity'; got 'bias'"),
        (lambda: average.marginal("I2"), "name must be 'mu', 'tau' or 'theta_new'; got 'I2'"),
        (
            lambda: average.marginal("mu", given="bias"),
            "given must be 'all', 'effect' or 'heterogeneity'; got 'bias'",
        ),
    ):
        with pytest.raises(AnalysisError) as caught:
            call()
        assert str(caught.value) == message
