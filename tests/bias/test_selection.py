"""Selection models by maximum likelihood: likelihood, derivatives, maxima and messages."""

from __future__ import annotations

from math import isnan

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import ndtr

import bayesmeta as bm
from bayesmeta import bias
from bayesmeta.bias.likelihood import log_likelihood, log_likelihood_value
from bayesmeta.bias.weights import weight_function
from bayesmeta.errors import AnalysisError, DataError, ModelError

FAMILIES = {
    "step": np.array([0.4, 1.7]),
    "beta": np.array([0.7, 1.6]),
    "halfnormal": np.array([2.0]),
    "exponential": np.array([1.3]),
    "logistic": np.array([2.5]),
    "power": np.array([1.4]),
}
STEPS = (0.05, 0.5)
SMALLEST = 1e-5


def weight(family, delta, p):
    """Return weights as the papers define them."""
    if family == "step":
        return np.array([1.0, *delta])[np.searchsorted(STEPS, p)]
    if family == "beta":
        p = np.clip(p, SMALLEST, 1 - SMALLEST)
        return p ** (delta[0] - 1) * (1 - p) ** (delta[1] - 1)
    return {
        "halfnormal": lambda: np.exp(-delta[0] * p**2),
        "exponential": lambda: np.exp(-delta[0] * p),
        "logistic": lambda: 2 * np.exp(-delta[0] * p) / (1 + np.exp(-delta[0] * p)),
        "power": lambda: (1 - p) ** delta[0],
    }[family]()


def p_value(z, alternative):
    return {
        "greater": stats.norm.sf(z),
        "less": stats.norm.cdf(z),
        "two-sided": 2 * stats.norm.sf(np.abs(z)),
    }[alternative]


@pytest.mark.parametrize(
    "alternative",
    ["greater", *(pytest.param(other, marks=pytest.mark.slow) for other in ("less", "two-sided"))],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_likelihood_agrees_with_adaptive_integration(four, family, alternative):
    mu, tau2, delta = 0.15, 0.04, FAMILIES[family]
    expected = 0.0
    for y, v in zip(four.yi, four.vi, strict=True):
        sd, root = np.sqrt(v + tau2), np.sqrt(v)

        def seen(x, sd=sd, root=root):
            return (
                weight(family, delta, p_value(x / root, alternative))
                * np.exp(-0.5 * ((x - mu) / sd) ** 2)
                / (sd * np.sqrt(2 * np.pi))
            )

        breaks = stats.norm.isf([0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975, SMALLEST, 1 - SMALLEST])
        breaks = (
            np.concatenate([breaks, stats.norm.isf(SMALLEST / 2) * np.array([-1, 1]), [mu / root]]) * root
        )
        total = integrate.quad(seen, mu - 10 * sd, mu + 10 * sd, points=np.sort(breaks), limit=400)[0]
        expected += np.log(seen(y) / total)
    function = weight_function(family, alternative, STEPS)
    parameters = np.array([mu, tau2, *delta])
    found = log_likelihood(four.yi, four.vi, function, parameters)
    # scipy's quad is asked for 1.5e-8 relative, one part in each study
    assert found.value == pytest.approx(expected, abs=1e-7)
    assert log_likelihood_value(four.yi, four.vi, function, parameters) == pytest.approx(
        found.value, abs=1e-13
    )


@pytest.mark.parametrize("alternative", ["greater", "two-sided"])
@pytest.mark.parametrize("family", FAMILIES)
def test_derivatives_of_the_likelihood_are_its_differences(four, family, alternative):
    function = weight_function(family, alternative, STEPS)
    at = np.array([0.15, 0.04, *FAMILIES[family]])
    h = 1e-5

    def point(shift):
        return log_likelihood(four.yi, four.vi, function, at + shift)

    found = point(0)
    for j in range(at.size):
        step = h * np.eye(at.size)[j]
        above, below = point(step), point(-step)
        # central differences: error h^2 times a third derivative, and 1e-15 / h of rounding
        slope = (above.value - below.value) / (2 * h)
        assert found.gradient[j] == pytest.approx(slope, abs=2e-6, rel=1e-6)
        np.testing.assert_allclose(
            found.hessian[j], (above.gradient - below.gradient) / (2 * h), atol=2e-5, rtol=1e-6
        )


@pytest.mark.parametrize("family", ["step", "exponential"])
def test_the_gradient_vanishes_at_an_inner_maximum(family):
    rng = np.random.default_rng(2)
    se = rng.uniform(0.1, 0.4, 120)
    y = rng.normal(0.2, np.sqrt(se**2 + 0.04))
    seen = rng.random(120) < np.exp(-3 * ndtr(-y / se))
    studies = bm.Studies.from_effects(y[seen], sei=se[seen])
    found = bias.selection_model(studies, family, alternative="greater")
    assert found.notes == ()
    parameters = np.array([found.estimate, found.tau2, *found.parameters])
    gradient = log_likelihood(studies.yi, studies.vi, found.weight, parameters).gradient
    errors = np.array([found.se, found.tau2_se, *found.parameters_se])
    assert np.abs(gradient * errors).max() < 1e-8  # the distance from the maximum in standard errors


def test_selection_that_was_planted_is_undone():
    rng = np.random.default_rng(7)
    se = rng.uniform(0.1, 0.4, 900)
    y = rng.normal(0.1, np.sqrt(se**2 + 0.01))
    seen = rng.random(900) < np.where(stats.norm.sf(y / se) < 0.025, 1, 0.2)
    found = bias.selection_model(bm.Studies.from_effects(y[seen], sei=se[seen]), alternative="greater")
    assert abs(found.estimate - 0.1) < 3 * found.se
    assert abs(found.parameters[0] - 0.2) < 3 * found.parameters_se[0]
    assert found.unselected_estimate > 0.1 + 2 * found.se
    assert found.lr_p < 1e-4


def test_known_weights_of_one_are_maximum_likelihood(bmd):
    found = bias.selection_model(bmd, parameters=(1,))
    plain = bm.classical(bmd, method="ML")
    assert found.estimate == pytest.approx(plain.beta[0], rel=1e-8)
    assert found.tau2 == pytest.approx(plain.tau2, rel=1e-7)
    assert found.lr == pytest.approx(0, abs=1e-9)
    assert isnan(found.lr_p)


def test_reversing_effects_and_direction_mirrors_the_estimate(bmd):
    mirrored = bm.Studies.from_effects(-bmd.yi, vi=bmd.vi)
    one = bias.selection_model(bmd, alternative="greater")
    other = bias.selection_model(mirrored, alternative="less")
    assert other.estimate == pytest.approx(-one.estimate, rel=1e-8)
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-10)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_do_not_matter(bmd, factor):
    scaled = bm.Studies.from_effects(factor * bmd.yi, sei=factor * bmd.sei)
    one, other = (bias.selection_model(studies, alternative="greater") for studies in (bmd, scaled))
    assert other.estimate == pytest.approx(factor * one.estimate, rel=1e-7)
    assert other.parameters[0] == pytest.approx(one.parameters[0], rel=1e-6)
    assert other.lr == pytest.approx(one.lr, abs=1e-8)


def test_the_direction_is_the_better_one_or_that_of_the_fixed_effect(bmd):
    assert bias.selection_model(bmd).weight.alternative == "greater"
    mirrored = bm.Studies.from_effects(-bmd.yi, vi=bmd.vi)
    assert bias.selection_model(mirrored).weight.alternative == "less"
    told = bm.Studies.from_effects(bmd.yi, vi=bmd.vi, better="lower")
    assert bias.selection_model(told).weight.alternative == "less"


def test_the_level_changes_the_interval(bmd):
    narrow = bias.selection_model(bmd, level=0.8)
    assert narrow.upper - narrow.estimate == pytest.approx(1.2815515655446004 * narrow.se, rel=1e-12)


def test_a_maximum_at_a_bound_or_outside_the_effects_is_said(bmd):
    stepped = bias.selection_model(bmd, steps=(0.025, 0.5), alternative="greater")
    assert stepped.notes == (
        "No maximum within the bounds: the likelihood still rises there (0.5 < p <= 1 at 100); no estimate "
        "and no p-value.",
        "tau2 = 0, the boundary of its range.",
    )
    assert isnan(stepped.lr_p)
    assert stepped.lr == pytest.approx(7.39956, abs=2e-3)  # LRT of metafor, which stopped at a weight of 98.9
    assert str(stepped).startswith("Selection model (step, greater): mean effect 0.08105 at the bound, ")
    beta = bias.selection_model(bmd, "beta")
    assert (
        beta.notes[0]
        == "The mean lies outside the effects observed: these studies do not identify this model."
    )
    assert beta.warnings[-1] == bias.CAUTION
    assert (stepped.identified, beta.identified) == (True, False)
    assert (stepped.attained, beta.attained) == (False, False)
    assert bias.selection_model(bmd).attained


def test_an_empty_first_interval_is_named_as_the_cause_of_a_weight_without_bound():
    # no p below 0.025 to the one side: the weight of all that were seen, relative to none, grows for ever
    few = bm.Studies.from_effects([0.1, 0.2, -0.1, 0.15], sei=[0.2, 0.3, 0.2, 0.1])
    found = bias.selection_model(few, alternative="greater")
    assert found.notes[0] == (
        "No maximum within the bounds: the likelihood still rises there (0.025 < p <= 1 at 100); no study "
        "has 0 < p <= 0.025, to which weights are relative; no estimate and no p-value."
    )
    row = bias.assess(few, bayesian=False).table().set_index("method").loc["Selection, p < 0.025"]
    assert row[["estimate", "lower", "upper", "statistic", "p"]].isna().all()
    assert row["finding"].startswith("no maximum: the likelihood still rises at the bound, at a mean of ")


def test_impossible_requests_are_refused(bmd, four):
    cases = [
        (
            AnalysisError,
            "weight must be one of step, beta, halfnormal, exponential, logistic, power; got 'stepp'; did "
            "you mean 'step'?",
            lambda: bias.selection_model(bmd, "stepp"),
        ),
        (
            AnalysisError,
            "parameters must be 1 numbers from 1e-10 (0.025 < p <= 1); got [-1.0]",
            lambda: bias.selection_model(bmd, parameters=(-1,)),
        ),
        (
            DataError,
            "no study has a p-value in 0.5 < p <= 1 (greater), so that its weight cannot be estimated; use "
            "other steps, or give parameters",
            lambda: bias.selection_model(four, steps=(0.025, 0.5), alternative="greater"),
        ),
        (
            DataError,
            "a selection model needs at least 3 studies with an estimate; got 2",
            lambda: bias.selection_model(four.take([0, 1])),
        ),
        (
            ModelError,
            "a selection model needs independent effects; these have a covariance V; combine the effects of "
            "each study first",
            lambda: bias.selection_model(
                bm.Studies.from_effects([1, 2, 3], V=[[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])
            ),
        ),
    ]
    for kind, message, work in cases:
        with pytest.raises(kind) as caught:
            work()
        assert str(caught.value) == message
