"""NUTS against integration on many data sets: sharper than any single run can be.

For each data set the differences of means, sds and quantiles are divided by their Monte Carlo standard
errors. If the sampler is right they are standard normal, so their sum of squares is chi-square (Cook, Gelman
and Rubin 2006 test samplers in this spirit). An error of e standard errors that is common to all data sets
adds e^2 for each: with an effective size of 2000 an sd wrong by 3 % is 1.9 standard errors off.

The grid: k from 1 to 50, tau 0 to 10 times a standard error, half-normal and half-Cauchy priors, standard
errors equal or from 1 to 1000, with and without moderators, units of 1e-6, 1 and 1e6.

References
----------
Cook SR, Gelman A, Rubin DB (2006). Validation of software for Bayesian models using posterior quantiles.
J Comput Graph Stat 15:675-692. doi:10.1198/106186006X136976
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayesmeta as bm
from bayesmeta.agreement import agreement
from bayesmeta.results.diagnostics import diagnose
from bayesmeta.results.draws import Draws
from bayesmeta.results.fit import Fit
from bayesmeta.results.sampled import SampledPosterior

SIZES = (1, 2, 3, 5, 10, 50)
RATIOS = (0.0, 0.1, 1.0, 10.0)
PRIORS = ("HalfNormal", "HalfCauchy")
SPREADS = (1.0, 1e3)
UNITS = (1.0, 1e-6, 1e6)
LARGEST = 4.5


def data_set(number):
    """Return studies and model of one of the data sets of the grid."""
    rng = np.random.default_rng([number, 2025])
    k, ratio, prior = (rng.choice(options) for options in (SIZES, RATIOS, PRIORS))
    spread, unit = rng.choice(SPREADS), float(rng.choice(UNITS))
    sei = np.geomspace(1 / spread, 1, int(k)) * unit
    y = rng.normal(0.5 * unit, sei) + ratio * np.median(sei) * rng.normal(size=k)
    moderators = pd.DataFrame({"x": rng.normal(size=k), "z": rng.normal(size=k)})
    mods = "x + z" if k >= 5 and rng.random() < 0.5 else "1"
    wide = f"Normal(0, {5 * unit!r})"
    model = bm.Model(mods=mods, mu=wide, beta=wide, tau=f"{prior}({unit!r})")
    return bm.Studies.from_effects(y, sei=sei, data=moderators), model


def wider(values):
    """Return draws with an sd that is 3 % too large."""
    mean = values.mean(axis=(0, 1))
    return mean + 1.03 * (values - mean)


def changed(fit, change):
    """Return a fit whose draws of the coefficients are changed."""
    made = fit.posterior.sampled
    parts = {name: getattr(made, name) for name in ("beta", "tau", "theta", "theta_new")}
    draws = Draws(**{**parts, "beta": change(made.beta)}, stats=made.stats, settings=made.settings)
    posterior = SampledPosterior(fit.problem, draws)
    return Fit(fit.studies, fit.problem, posterior, diagnose(draws, fit.problem.coefficients), fit.seed)


def standardised(fit, exact):
    """Return differences in standard errors, by quantity and statistic, of the first coefficient and tau."""
    names = {fit.names[0]: "mean effect", "tau": "tau"}
    rows = agreement(fit, exact, prob=0.9).rows
    return {(names[row.quantity], row.statistic): row.z for row in rows if row.quantity in names}


class Verdicts:
    """Differences of a number of data sets by quantity and statistic, and the fits that failed."""

    def __init__(self, count):
        self.right, self.wrong, self.failed = {}, {}, []
        for number in range(count):
            self.add(number)

    def add(self, number):
        studies, model = data_set(number)
        fit = bm.fit(studies, model, engine="nuts", seed=number)
        exact = bm.fit(studies, model, engine="exact")
        if fit.status != "ok":
            self.failed.append((number, fit.diagnostics.checks))
        for found, one in ((self.right, fit), (self.wrong, changed(fit, wider))):
            for key, z in standardised(one, exact).items():
                found.setdefault(key, []).append(z)


def complaints(found):
    """Return what is wrong with the differences of each statistic: one, their squares or their mean."""
    said = []
    for key, values in found.items():
        z = np.array(values)
        low, high = stats.chi2.ppf([0.5e-4, 1 - 0.5e-4], z.size)
        if np.abs(z).max() > LARGEST:
            said.append(f"{key}: a difference of {np.abs(z).max():.1f} standard errors")
        if not low < np.sum(z**2) < high:
            said.append(f"{key}: sum of squares {np.sum(z**2):.0f} outside {low:.0f} to {high:.0f}")
        if abs(z.mean()) > 4 / np.sqrt(z.size):
            said.append(f"{key}: mean difference {z.mean():.2f}")
    return said


def test_eight_data_sets_agree_with_integration():
    few = Verdicts(8)
    assert not few.failed
    assert not complaints(few.right)


@pytest.fixture(scope="module")
def many():
    return Verdicts(200)


@pytest.mark.slow
def test_two_hundred_data_sets_agree_with_integration(many):
    assert not complaints(many.right)


@pytest.mark.slow
def test_at_most_one_of_two_hundred_fits_is_unreliable(many):
    assert len(many.failed) <= 1, many.failed  # 0.5 %


@pytest.mark.slow
def test_a_standard_deviation_that_is_three_percent_too_large_is_found(many):
    assert any("mean effect', 'sd'" in one for one in complaints(many.wrong))
