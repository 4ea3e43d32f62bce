"""`bm.to_pymc`: a PyMC model with names that people know."""

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.errors import ModelError


def test_coordinates_name_studies_and_coefficients(bmd):
    model = bm.to_pymc(bmd, bm.Model(mods="duration_months", beta="Normal(0, 1)", center=False))
    assert list(model.coords["study"]) == list(bmd.slab)
    assert list(model.coords["coefficient"]) == ["Intercept", "duration_months"]
    assert {"beta_centred", "beta"} & set(model.named_vars)
    assert model.named_vars_to_dims["y"] == ("study",)


def test_without_moderators_the_mean_effect_is_called_mu(bmd):
    model = bm.to_pymc(bmd, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)"))
    assert {"mu", "tau", "tau_signed", "y"} <= set(model.named_vars)


def test_counts_have_baselines_effects_and_both_arms(refracture):
    model = bm.to_pymc(refracture, bm.Model(likelihood="binomial", mu="Normal(0, 2)", tau="HalfNormal(0.5)"))
    assert {"baseline", "theta", "ai", "ci"} <= set(model.named_vars)
    assert model.named_vars_to_dims["theta"] == ("study",)


def test_a_prior_that_pymc_lacks_is_refused(bmd):
    with pytest.raises(ModelError) as caught:
        bm.to_pymc(bmd, bm.Model(mu="Normal(0, 1)", tau="DuMouchel()"))
    assert str(caught.value) == "PyMC has no prior DuMouchel() of tau; use a family such as HalfNormal"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PyMC's own, about its progress bar and compilers
def test_pymc_itself_samples_the_model_and_agrees_with_integration(bmd):
    import pymc as pm
    from arviz_stats.base import array_stats

    with bm.to_pymc(bmd, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)")):
        tree = pm.sample(
            1000, tune=1000, chains=2, cores=1, random_seed=1, target_accept=0.95, progressbar=False
        )
    mu, tau = (np.asarray(tree["posterior"][name]) for name in ("mu", "tau"))
    # truths of the review by 30-digit integration
    assert abs(mu.mean() - 0.069343140819) < 4 * array_stats.mcse(mu, method="mean")
    assert abs(tau.mean() - 0.020417083504) < 4 * array_stats.mcse(tau, method="mean")
