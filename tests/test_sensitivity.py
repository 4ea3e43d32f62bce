"""Leave-one-out and prior sensitivity: the priors stay, and the numbers are those of direct refits."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmeta.errors import AnalysisError, ModelError, PriorError
from bayesmeta.fitting import fit
from bayesmeta.model import Model
from bayesmeta.priors import DuMouchel, HalfCauchy, HalfNormal, Normal
from bayesmeta.sensitivity import leave_one_out, prior_sensitivity, with_priors_of
from bayesmeta.studies import Studies, effect_sizes

Y = np.array([0.1, 0.3, 0.2, 0.5, 0.0])
SE = np.array([0.1, 0.1, 0.2, 0.3, 0.1])
N = [40, 60, 20, 10, 50]
SLAB = ("a", "b", "c", "d", "e")
DATA = {"x": [0.0, 1.0, 2.0, 4.0, 3.0], "g": ["u", "w", "u", "w", "z"], "h": ["u", "u", "u", "u", "w"]}


def studies(which=range(5), measure="GEN"):
    i = list(which)
    data = {name: [column[j] for j in i] for name, column in DATA.items()}
    return Studies.from_effects(
        Y[i], sei=SE[i], slab=[SLAB[j] for j in i], ni=[N[j] for j in i], data=data, measure=measure
    )


def rest(i):
    return [j for j in range(5) if j != i]


def refused(kind, call):
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


MODEL = Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")


def test_each_study_is_left_out_in_turn_as_in_a_direct_refit():
    results = leave_one_out(fit(studies(), MODEL))
    assert [one.omitted for one in results] == list(SLAB)
    for i, one in enumerate(results):
        direct = fit(studies(rest(i)), MODEL)
        assert one.fit.studies.slab == direct.studies.slab
        np.testing.assert_array_equal(one.fit.summary(), direct.summary())
        assert one.fit.log_evidence == direct.log_evidence
        w = 1 / SE[rest(i)] ** 2
        assert float(one.fixed.beta[0]) == pytest.approx(w @ Y[rest(i)] / w.sum(), rel=1e-12)


def test_default_priors_are_those_of_the_whole_table():
    whole = fit(studies(measure="MD"), Model("x"))
    u = np.sqrt(sum(N) / np.sum(SE**-2.0))
    for one in leave_one_out(whole):
        assert one.fit.priors.mu == whole.priors.mu
        assert one.fit.priors.mu.sigma == pytest.approx(u, rel=1e-13)
        assert one.fit.priors.tau.sigma == pytest.approx(u / 4, rel=1e-13)
        assert one.fit.priors.beta[1] == whole.priors.beta[1]


def test_adaptive_prior_follows_the_studies_that_are_left():
    results = leave_one_out(fit(studies(), Model(mu="Flat()", tau="DuMouchel()")))
    for i, one in enumerate(results):
        assert one.fit.priors.tau == DuMouchel()
        assert one.fit.priors.tau_density == DuMouchel().bind(SE[rest(i)] ** 2)


def test_common_effect_and_prior_of_tau2_are_kept():
    common = leave_one_out(fit(studies(), Model(mu="Normal(0, 1)", effects="common")))
    assert all(one.fit.model.effects == "common" for one in common)
    squared = leave_one_out(fit(studies(), Model(mu="Normal(0, 1)", tau2="Exponential(3)")))
    assert {str(one.fit.model.tau2) for one in squared} == {"Exponential(3)"}


def test_prior_of_a_level_goes_with_its_only_study():
    model = Model("C(g)", mu="Normal(0, 1)", beta="Normal(0, 0.5)", tau="HalfNormal(0.3)")
    results = leave_one_out(fit(studies(), model))
    assert results[0].fit.design.names == ("Intercept", "g[w]", "g[z]")
    assert results[4].fit.design.names == ("Intercept", "g[w]")
    assert results[4].fit.priors.beta == (Normal(0, 1), Normal(0, 0.5))


def test_moderator_that_becomes_constant_is_explained():
    model = Model("C(h)", mu="Normal(0, 1)", beta="Normal(0, 0.5)", tau="HalfNormal(0.3)")
    message = refused(ModelError, lambda: leave_one_out(fit(studies(), model)))
    assert message == (
        'without \'e\': column "h" is "u" in every study; a moderator must vary; leave it out of the formula'
    )


def test_one_study_cannot_be_left_out():
    message = refused(ModelError, lambda: leave_one_out(fit(studies([0]), MODEL)))
    assert message == "leave-one-out needs at least 2 studies; got 1"


def test_two_studies_leave_one_each():
    assert [one.fit.problem.k for one in leave_one_out(fit(studies([0, 1]), MODEL))] == [1, 1]


def test_study_without_an_estimate_is_not_left_out():
    columns = {"ai": [1, 0, 4, 3], "n1i": [20, 20, 30, 30], "ci": [5, 0, 8, 9], "n2i": [20, 20, 30, 30]}
    ratios = effect_sizes(
        columns, "OR", **{name: name for name in columns}, slab=["p", "q", "r", "s"], drop00=True
    )
    assert [one.omitted for one in leave_one_out(fit(ratios))] == ["p", "r", "s"]


def test_written_out_model_gives_the_same_answer():
    whole = fit(studies(measure="SMD"), Model("x"))
    again = fit(studies(measure="SMD"), with_priors_of(whole))
    np.testing.assert_array_equal(whole.summary(), again.summary())
    assert again.priors.defaults == frozenset()


# Priors


def test_every_combination_of_priors_is_a_direct_refit():
    results = prior_sensitivity(
        studies(), MODEL, tau=["HalfNormal(0.1)", HalfCauchy(0.3)], mu=["Normal(0, 0.2)", "Flat()"]
    )
    assert [(str(one.tau), str(one.mu)) for one in results] == [
        ("HalfNormal(0.1)", "Normal(0, 0.2)"),
        ("HalfNormal(0.1)", "Flat()"),
        ("HalfCauchy(0.3)", "Normal(0, 0.2)"),
        ("HalfCauchy(0.3)", "Flat()"),
    ]
    for one in results:
        direct = fit(studies(), Model(mu=one.mu, tau=one.tau))
        np.testing.assert_array_equal(one.fit.summary(), direct.summary())


def test_the_model_keeps_what_is_not_varied():
    [one] = prior_sensitivity(studies(), MODEL, tau=["HalfNormal(0.1)"])
    assert one.mu == Normal(0, 1)
    [two] = prior_sensitivity(studies(), MODEL, mu=["Normal(0, 9)"])
    assert (two.tau, two.mu) == (HalfNormal(0.3), Normal(0, 9))
    [three] = prior_sensitivity(studies(), MODEL, tau=[], mu=[])
    np.testing.assert_array_equal(three.fit.summary(), fit(studies(), MODEL).summary())
    [four] = prior_sensitivity(studies(measure="SMD"), tau=["HalfNormal(0.1)"])
    assert four.mu == Normal(0, 2)


def test_prior_of_tau_takes_the_place_of_one_of_tau2():
    [one] = prior_sensitivity(studies(), Model(mu="Flat()", tau2="Exponential(3)"), tau=["HalfNormal(0.1)"])
    assert one.fit.model.tau2 is None
    assert one.fit.priors.tau_density == HalfNormal(0.1)


def test_generators_of_priors_are_used_up_only_once():
    tau = (f"HalfNormal({s})" for s in (0.1, 0.2))
    mu = (f"Normal(0, {s})" for s in (1, 2, 3))
    assert len(prior_sensitivity(studies(), MODEL, tau=tau, mu=mu)) == 6


def test_wrong_priors_and_options_are_refused():
    assert refused(PriorError, lambda: prior_sensitivity(studies(), MODEL, tau=["HalfNorml(1)"])) == (
        "unknown prior 'HalfNorml'; did you mean 'HalfNormal'?"
    )
    assert refused(PriorError, lambda: prior_sensitivity(studies(), MODEL, mu=["HalfNormal(1)"])).startswith(
        "the prior of mu must be one of "
    )
    assert refused(PriorError, lambda: prior_sensitivity(studies(), MODEL, tau="HalfNormal(1)")) == (
        "tau must be a list of priors; got 'HalfNormal(1)'; write ['HalfNormal(1)']"
    )
    message = refused(AnalysisError, lambda: leave_one_out(fit(studies(), MODEL), engine="stan"))
    assert message == "engine must be 'auto', 'exact' or 'nuts'; got 'stan'"
    message = refused(AnalysisError, lambda: leave_one_out(fit(studies(), MODEL), chans=3))
    assert message.startswith("fit has no option 'chans'; did you mean 'chains'?")


def test_priors_of_tau_for_a_common_effect_are_refused():
    common = Model(mu="Flat()", effects="common")
    message = refused(ModelError, lambda: prior_sensitivity(studies(), common, tau=["HalfNormal(1)"]))
    assert message.startswith("effects='common' means tau = 0; ")
