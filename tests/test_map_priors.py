"""Priors from earlier studies: mixtures of normal ones close to the predictive distribution.

With a known tau that distribution is normal in closed form; divergences are integrated by scipy.
"""

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate

import bayesmeta as bm
from bayesmeta.errors import AnalysisError, PriorError
from bayesmeta.priors import Mixture, Normal, map_prior

Y, S, N = np.array([0.1, 0.3, -0.1, 0.45]), np.array([0.1, 0.15, 0.2, 0.12]), [100, 60, 40, 80]
EARLIER = bm.Studies.from_effects(Y, sei=S, ni=N)


@pytest.fixture(scope="module")
def fit():
    return bm.fit(EARLIER, bm.Model(mu="Flat()", tau="HalfNormal(0.3)"))


@pytest.fixture(scope="module")
def found(fit):
    return map_prior(fit)


def test_known_tau_gives_the_normal_distribution_itself():
    fit = bm.fit(EARLIER, bm.Model(mu="Flat()", tau="Fixed(0.2)"))
    found = map_prior(fit, robust=0)
    weights = 1 / (S**2 + 0.04)
    mean, sd = weights @ Y / weights.sum(), np.sqrt(0.04 + 1 / weights.sum())
    assert isinstance(found.prior, Normal)
    assert (found.prior.mu, found.prior.sigma) == pytest.approx((mean, sd), rel=1e-6)
    assert found.divergence == pytest.approx(0, abs=1e-9)
    assert found.difference < 1e-8


def test_one_component_has_the_mean_and_the_spread(fit):
    found, new = map_prior(fit, components=1, robust=0).prior, fit.marginal("theta_new")
    assert (found.mu, found.sigma) == pytest.approx((new.mean, new.sd), rel=1e-6)


def test_divergence_and_difference_are_what_they_say(fit, found):
    new, prior = fit.marginal("theta_new"), found.informative

    def gap(x):
        height = new.density(float(x))
        return height * (np.log(height) - float(prior.logpdf(np.array(x)))) if height > 0 else 0.0

    points = np.linspace(new.quantile(1e-10), new.quantile(1 - 1e-10), 41)
    pieces = [integrate.quad(gap, a, b)[0] for a, b in pairwise(points)]
    assert found.divergence == pytest.approx(sum(pieces), abs=1e-7)
    x = np.linspace(-2, 3, 4001)
    assert found.difference == pytest.approx(np.abs(new.cdf(x) - prior.cdf(x)).max(), abs=2e-5)
    assert found.difference < 1e-3


def test_more_components_are_closer(fit, found):
    divergences = [map_prior(fit, components=count).divergence for count in (1, 2, 3)]
    assert divergences[0] > divergences[1] > divergences[2] > 0
    assert len(found.informative.parts) > 1


def test_robust_part_is_worth_one_observation(fit, found):
    *informative, (weight, vague) = found.prior.parts
    assert weight == pytest.approx(0.2)
    unit = np.sqrt(sum(N) / np.sum(1 / S**2))
    assert vague.sigma == pytest.approx(unit, rel=1e-14)
    assert vague.mu == pytest.approx(fit.marginal("theta_new").median)
    assert [w / 0.8 for w, _ in informative] == pytest.approx([w for w, _ in found.informative.parts])
    other = map_prior(fit, robust=0.5, vague=Normal(0, 10)).prior
    assert other.parts[-1] == (0.5, Normal(0, 10))


def test_prior_is_written_and_used_exactly(found):
    new = bm.Studies.from_effects([0.9, 0.7], sei=[0.2, 0.3])
    model = bm.Model(mu=found.prior, tau="HalfNormal(0.1)")
    assert bm.Model.from_dict(model.to_dict()) == model
    robust = bm.fit(new, model)
    assert robust.engine == "exact"
    trusting = bm.fit(new, bm.Model(mu=found.informative, tau="HalfNormal(0.1)"))
    # The conflict makes the robust part likelier than it was, so that the data are pulled less.
    assert robust.posterior.weights[-1] > 0.2
    assert trusting.marginal("mu").mean < robust.marginal("mu").mean < 0.85


def test_posterior_of_the_mean_can_be_the_prior(fit):
    found = map_prior(fit, name="mu", robust=0)
    assert found.prior.quantile(np.array(0.9)) == pytest.approx(fit.marginal("mu").quantile(0.9), abs=2e-3)


def test_draws_of_a_sampler_give_nearly_the_same():
    from bayesmeta.results.empirical import Empirical
    from bayesmeta.results.marginal import Marginal

    draws = np.random.default_rng(2).normal(0.3, 0.5, (4, 2500, 1))

    class Sampled:
        studies = EARLIER

        def marginal(self, name):
            return Marginal(name, Empirical(draws))

    found = map_prior(Sampled(), components=1, robust=0)
    # Mean and sd of 10,000 draws have errors of 0.005 and 0.0035.
    assert found.prior.mu == pytest.approx(0.3, abs=0.02)
    assert found.prior.sigma == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"robust": 1}, "robust must be a probability below 1; got 1"),
        ({"robust": -0.1}, "robust must be a probability below 1; got -0.1"),
        ({"components": 0}, "components must be from 1 to 6; got 0"),
        ({"components": 2.5}, "components must be from 1 to 6; got 2.5"),
    ],
)
def test_impossible_options_are_refused(fit, options, message):
    with pytest.raises(PriorError) as caught:
        map_prior(fit, **options)
    assert str(caught.value) == message


def test_unknown_sample_sizes_ask_for_a_vague_prior():
    fit = bm.fit(bm.Studies.from_effects(Y, sei=S), bm.Model(mu="Flat()", tau="HalfNormal(0.3)"))
    with pytest.raises(PriorError) as caught:
        map_prior(fit)
    assert str(caught.value) == "unit_information needs the sample sizes of the studies; give ni to Studies"
    assert isinstance(map_prior(fit, vague=Normal(0, 1)).prior, Mixture)


def test_regressions_have_no_single_new_study():
    studies = bm.Studies.from_effects(Y, sei=S, ni=N, data={"x": [0.0, 1.0, 2.0, 3.0]})
    fit = bm.fit(studies, bm.Model(mods="x", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(1)"))
    with pytest.raises(AnalysisError):
        map_prior(fit)
