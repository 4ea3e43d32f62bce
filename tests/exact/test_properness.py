"""Properness and moments (ENGINES 1.4), every cell, against the growth of the integrals themselves.

The truth does not come from the rule: the integral of ``tau^r`` times the density of tau up to T is computed
by least squares in plain NumPy for growing T, and exists if what each factor of 1e6 in T adds shrinks.
"""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest

from bayesmeta.engines.exact import integrate
from bayesmeta.errors import ImproperPosteriorError
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.posterior import marginal_of
from bayesmeta.studies import Studies

Y = np.array([0.31, -0.12, 0.55, 0.08, 0.47, 0.2])
S = np.array([0.2, 0.15, 0.3, 0.22, 0.18, 0.25])
X = np.column_stack([np.ones(6), [0.0, 1.0, 0.4, 2.0, -1.0, 0.7], [1.0, 0.2, -0.6, 0.1, 0.9, -1.3]])
PRIORS = {
    "Flat()": lambda t: np.zeros(t.size),
    "Sqrt()": lambda t: -0.5 * np.log(t),
    "Jeffreys()": None,
    "HalfCauchy(0.3)": lambda t: -np.log1p((t / 0.3) ** 2),
    "UniformShrinkage()": lambda t: np.log(t) - 2 * np.log(0.04 + t * t),
    "HalfStudentT(2.5, 0.3)": lambda t: -1.75 * np.log1p((t / 0.3) ** 2 / 2.5),
    "HalfNormal(0.3)": lambda t: -0.5 * (t / 0.3) ** 2,
}
STEP = np.log(10) * 6
"""Length in log tau of the stretches that are compared."""


def log_density(prior, k, p, tau):
    """Return the log posterior density of tau up to a constant, by determinants and least squares."""
    values = np.empty(tau.size)
    for i, t in enumerate(tau):
        w = 1 / (S[:k] ** 2 + t * t)
        fit = np.zeros(k)
        log_det = 0.0
        if p:
            root = np.sqrt(w)
            Q, R = np.linalg.qr(X[:k, :p] * root[:, None])
            fit = (Q @ (Q.T @ (Y[:k] * root))) / root
            log_det = 2 * np.log(np.abs(np.diag(R))).sum()
        values[i] = 0.5 * (np.log(w).sum() - log_det - np.sum(w * (Y[:k] - fit) ** 2))
    if prior == "Jeffreys()":
        return values + np.log(tau) + 0.5 * np.log(((S[:k] ** 2 + tau[:, None] ** 2) ** -2).sum(axis=1))
    return values + PRIORS[prior](tau)


def grows_without_bound(prior, k, p, order):
    """Return whether the integral of tau^order grows as much from 1e12 to 1e18 as from 1e6 to 1e12."""
    stretches = []
    for start in (6, 12):
        u = np.log(10.0**start) + (np.arange(60) + 0.5) / 60 * STEP
        log_f = log_density(prior, k, p, np.exp(u)) + (order + 1) * u
        stretches.append(np.logaddexp.reduce(log_f))
    return bool(stretches[1] > stretches[0] - 0.5)


def model(prior, p, flat):
    mods = {1: "1", 2: "a", 3: "a + b", 0: "1"}[p]
    location = "Flat()" if flat else "Normal(0, 1)"
    return Model(mods=mods, mu=location, beta=location, tau=prior, center=False)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(("k", "p"), [(k, p) for k in range(1, 7) for p in range(4) if p <= k])
def test_the_posterior_and_its_moments_exist_exactly_where_the_integrals_converge(prior, k, p):
    studies = Studies.from_effects(Y[:k], sei=S[:k], data={"a": X[:k, 1], "b": X[:k, 2]})
    problem = pose(studies, model(prior, p, flat=p > 0))
    if grows_without_bound(prior, k, p, 0):
        with pytest.raises(ImproperPosteriorError, match=r"^the posterior does not exist: "):
            integrate(problem)
        return
    posterior = ExactPosterior(problem, integrate(problem))
    exists = {order: not grows_without_bound(prior, k, p, order) for order in (1, 2, 4)}
    tau = marginal_of(posterior, "tau")
    assert (isnan(tau.mean), isnan(tau.sd)) == (not exists[1], not exists[2])
    tau2 = marginal_of(posterior, "tau2")
    assert (isnan(tau2.mean), isnan(tau2.sd)) == (not exists[2], not exists[4])
    first = posterior.coefficients.select(0)
    unbounded = p > 0
    assert isnan(first.mean()[0]) == (unbounded and not exists[1])
    assert isnan(first.sd()[0]) == (unbounded and not exists[2])
    assert not np.isnan(posterior.theta.sd()).any()
    if p <= 1:
        new = marginal_of(posterior, "theta_new")
        assert (isnan(new.mean), isnan(new.sd)) == (not exists[1], not exists[2])


@pytest.mark.parametrize("flat_first", [False, True])
def test_a_normal_prior_of_one_coefficient_leaves_the_other_without_moments(flat_first):
    # a = 1/2, k = 3, one flat coefficient: means exist up to order 1.5; tau reaches 1e40
    studies = Studies.from_effects(Y[:3], sei=S[:3], data={"a": X[:3, 1]})
    mu, beta = ("Flat()", "Normal(0, 1)") if flat_first else ("Normal(0, 1)", "Flat()")
    problem = pose(studies, Model(mods="a", mu=mu, beta=beta, tau="Sqrt()", center=False))
    sd = ExactPosterior(problem, integrate(problem)).coefficients.sd()
    assert np.isnan(sd).tolist() == [flat_first, not flat_first]


def test_an_improper_posterior_is_refused_in_one_sentence():
    problem = pose(Studies.from_effects(Y[:2], sei=S[:2]), Model(mu="Flat()", tau="Flat()"))
    with pytest.raises(ImproperPosteriorError) as caught:
        integrate(problem)
    assert str(caught.value) == (
        "the posterior does not exist: Flat() as the prior of tau with 2 studies and 1 flat coefficient "
        "(tail exponent 0 + 2 - 1 must exceed 1); use a proper prior of tau such as HalfNormal or "
        "HalfCauchy, or a Normal prior of mu"
    )
