"""Selection of moderators: against one fit per subset, and against brute force by other means.

The brute force integrates nothing over the coefficients: with normal priors the effects given tau are one
multivariate normal vector, whose dense covariance ``diag(v) + tau^2 I + X S X'`` scipy evaluates; tau is left
to scipy's adaptive quadrature.
"""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import integrate, stats

import bayesmeta as bm
from bayesmeta.errors import AnalysisError, FormulaError, ModelError, PriorError

PRIORS = {"mu": "Normal(0.1, 1)", "beta": "Normal(0.05, 0.5)", "tau": "HalfNormal(0.3)"}


def brute_force(studies, columns, *, tau_sd=0.3):
    """Return the log evidence under `PRIORS` with centred columns, and with tau = 0 where `tau_sd` is 0."""
    X = np.column_stack([np.ones(studies.k), *(column - np.mean(column) for column in columns)])
    mean = X @ np.array([0.1, *[0.05] * len(columns)])
    spread = X @ np.diag([1.0, *[0.25] * len(columns)]) @ X.T + np.diag(studies.vi)

    def density(tau):
        return stats.multivariate_normal.pdf(studies.yi, mean, spread + tau**2 * np.eye(studies.k))

    if tau_sd == 0:
        return np.log(density(0.0))
    whole = integrate.quad(
        lambda tau: density(tau) * stats.halfnorm.pdf(tau, scale=tau_sd),
        0,
        3,
        epsabs=0,
        epsrel=1e-12,
        limit=200,
    )
    return np.log(whole[0])


COLUMNS = {"dose": np.array([1.0, 2.0, 2.0, 5.0]), "C(site)": np.array([0.0, 1.0, 0.0, 1.0])}
SUBSETS = [(), ("dose",), ("C(site)",), ("dose", "C(site)")]


def formula(subset):
    return " + ".join(subset) or "1"


@pytest.fixture(scope="module")
def selected(four):
    return bm.moderator_selection(four, "dose + C(site)", bm.Model(**PRIORS), common=0.25)


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("subset", SUBSETS)
def test_the_evidence_is_that_of_brute_force(selected, four, subset, zero):
    expected = brute_force(four, [COLUMNS[name] for name in subset], tau_sd=0 if zero else 0.3)
    found = [
        selected.log_evidence[i]
        for i, mods in enumerate(selected.formulas)
        if mods == formula(subset) and selected.common[i] == zero
    ]
    assert found == pytest.approx([expected], abs=1e-10)


def by_hand(four):
    """Return prior times evidence of the eight models, by terms and whether tau is 0."""
    return {
        (subset, zero): (0.25 if zero else 0.75)
        / 4
        * np.exp(brute_force(four, [COLUMNS[name] for name in subset], tau_sd=0 if zero else 0.3))
        for subset in SUBSETS
        for zero in (False, True)
    }


def test_inclusion_probabilities_and_bayes_factors_are_those_of_enumeration(selected, four):
    joint = by_hand(four)
    table = selected.inclusion()
    for name in COLUMNS:
        inside = sum(value for (subset, _), value in joint.items() if name in subset)
        outside = sum(joint.values()) - inside
        assert table.posterior[name] == pytest.approx(inside / sum(joint.values()), rel=1e-9)
        assert table.prior[name] == pytest.approx(0.5, rel=1e-12)
        assert table.bayes_factor[name] == pytest.approx(inside / outside, rel=1e-9)
    heterogeneous = sum(value for (_, zero), value in joint.items() if not zero)
    homogeneous = sum(joint.values()) - heterogeneous
    assert table.prior["tau > 0"] == pytest.approx(0.75, rel=1e-12)
    assert table.bayes_factor["tau > 0"] == pytest.approx(heterogeneous / homogeneous / 3, rel=1e-9)


def test_models_are_sorted_by_their_probability(selected, four):
    joint = by_hand(four)
    table = selected.models()
    assert list(table.posterior) == sorted(table.posterior, reverse=True)
    assert table.posterior.sum() == pytest.approx(1, rel=1e-12)
    best = max(joint, key=joint.get)
    assert (table.mods[0], table.tau[0]) == (formula(best[0]), "0" if best[1] else "free")
    assert table.posterior[0] == pytest.approx(joint[best] / sum(joint.values()), rel=1e-9)
    assert table.bayes_factor[0] == 1
    assert len(selected.models(3)) == 3


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(
    "tau",
    [
        "HalfNormal(0.5)",
        "HalfCauchy(0.5)",
        "Exponential(2)",
        "LogNormal(-1, 1)",
        "Uniform(0, 2)",
        "DuMouchel()",
    ],
)
def test_every_subset_has_the_evidence_of_its_fit(bcg, tau, center):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau=tau, center=center)
    found = bm.moderator_selection(bcg, ["ablat + ablat^2", "C(alloc)", "year"], model)
    assert len(found.formulas) == 8
    for mods, evidence in zip(found.formulas, found.log_evidence, strict=True):
        fit = bm.fit(bcg, bm.Model(mods=mods, mu=model.mu, beta=model.beta, tau=tau, center=center))
        assert evidence == pytest.approx(fit.log_evidence, abs=1e-9), mods
    assert found.error.max() <= 1e-8


def test_a_flat_prior_of_the_mean_effect_is_shared_by_all_models(bcg):
    model = bm.Model(mu="Flat()", beta="Normal(0, 0.1)", tau="HalfCauchy(0.5)")
    found = bm.moderator_selection(bcg, "ablat + year", model)
    for mods, evidence in zip(found.formulas, found.log_evidence, strict=True):
        fit = bm.fit(bcg, bm.Model(mods=mods, mu="Flat()", beta="Normal(0, 0.1)", tau="HalfCauchy(0.5)"))
        assert evidence == pytest.approx(fit.log_evidence, abs=1e-9)


def fits_of(found, studies, model):
    return [bm.fit(studies, model.with_mods(mods)) for mods in found.formulas]


def test_averaged_coefficients_are_the_weighted_means_of_the_fits(bcg):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(bcg, "ablat + year + C(alloc)", model)
    table, fits = found.coefficients(), fits_of(found, bcg, model)
    for name in ("Intercept", "ablat", "alloc[random]"):
        own = [fit.marginal("mu" if fit.names[0] == "mu" and name == "Intercept" else name) if
               name in fit.names or name == "Intercept" else None for fit in fits]  # fmt: skip
        means = np.array([0.0 if one is None else one.mean for one in own])
        second = np.array([0.0 if one is None else one.sd**2 + one.mean**2 for one in own])
        mean = found.posterior @ means
        assert table["mean"][name] == pytest.approx(mean, rel=1e-8)
        assert table["sd"][name] == pytest.approx(np.sqrt(found.posterior @ second - mean**2), rel=1e-8)
        inside = np.array([one is not None for one in own])
        share = found.posterior[inside].sum()
        assert table["inclusion"][name] == pytest.approx(share, rel=1e-10)
        assert table["mean_in"][name] == pytest.approx(mean / share, rel=1e-8)
        above = [1 - one.cdf(0.0) for one in own if one is not None]
        assert table["positive_in"][name] == pytest.approx(found.posterior[inside] @ above / share, rel=1e-8)


def test_the_averaged_distribution_has_its_missing_probability_at_zero(bcg):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(bcg, "ablat + year", model)
    year = found.coefficient("year")
    out = 1 - found.inclusion().posterior["year"]
    assert year.cdf(0.0) - year.cdf(-1e-12) == pytest.approx(out, abs=1e-8)
    assert year.quantile(0.5) == 0.0  # both tails are smaller than one half
    own = [(p, bm.fit(bcg, model.with_mods(mods)).marginal("year")) for p, mods in
           zip(found.posterior, found.formulas, strict=True) if "year" in mods]  # fmt: skip
    assert year.cdf(0.01) == pytest.approx(out + sum(p * one.cdf(0.01) for p, one in own), abs=1e-9)


def test_averaged_predictions_are_the_weighted_predictions_of_the_fits(bcg):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(bcg, "ablat + C(alloc)", model)
    new = {"ablat": [20.0, 70.0], "alloc": ["random", "systematic"]}
    table = found.predict(new)
    fits = fits_of(found, bcg, model)
    means = np.array(
        [np.resize(fit.predict(None if fit.problem.is_pooled else new)["mean"], 2) for fit in fits]
    )
    assert table["mean"].to_numpy() == pytest.approx(found.posterior @ means, rel=1e-8)
    rows = [np.ones((2, 1)) if fit.problem.is_pooled else fit.design.rows(new) for fit in fits]
    bound = table["new_upper"].to_numpy()
    below = [
        np.diag(fit.posterior.at(row, new_study=True).cdf(bound)) for fit, row in zip(fits, rows, strict=True)
    ]
    assert found.posterior @ np.array(below) == pytest.approx([0.975, 0.975], abs=1e-8)
    assert table.attrs["warnings"] == [
        ("extrapolation", "ablat is predicted outside its range in the studies, 13 to 55")
    ]


def test_averaged_tau_is_the_weighted_tau_of_the_fits(bcg):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(bcg, "ablat + year", model)
    fits = fits_of(found, bcg, model)
    assert found.tau.mean == pytest.approx(
        found.posterior @ [fit.marginal("tau").mean for fit in fits], rel=1e-9
    )
    upper = found.tau.quantile(0.975)
    assert found.posterior @ [fit.marginal("tau").cdf(upper) for fit in fits] == pytest.approx(
        0.975, abs=1e-9
    )


def test_tau_keeps_the_probability_of_zero(selected):
    zero = selected.posterior[selected.common].sum()
    assert selected.tau.cdf(0.0) == pytest.approx(zero, rel=1e-9)


def test_a_unit_of_a_moderator_changes_no_probability(bcg):
    data = {"ablat": bcg.columns["ablat"], "year": bcg.columns["year"]}
    other = {"ablat": data["ablat"] * 60, "year": data["year"] / 1e6}
    found, again = (
        bm.moderator_selection(
            bm.Studies.from_effects(bcg.yi, vi=bcg.vi, measure="RR", data=one), "ablat + year"
        )
        for one in (data, other)
    )
    assert again.posterior == pytest.approx(found.posterior, rel=1e-10)
    means = (found.coefficients()["mean"], again.coefficients()["mean"])
    assert means[1]["ablat"] * 60 == pytest.approx(means[0]["ablat"], rel=1e-9)
    assert means[1]["year"] / 1e6 == pytest.approx(means[0]["year"], rel=1e-9)


def test_an_interaction_waits_for_its_main_effects(bcg):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(bcg, ["ablat:year", "ablat", "year"], model)
    assert sorted(found.formulas) == sorted(
        ["1", "ablat", "year", "ablat + year", "ablat + year + ablat:year"]
    )
    assert found.inclusion().prior["ablat:year"] == pytest.approx(0.2, rel=1e-12)
    whole = bm.fit(bcg, model.with_mods("ablat*year"))
    assert found.log_evidence[-1] == pytest.approx(whole.log_evidence, abs=1e-9)


def test_terms_of_the_model_are_in_every_model(bcg):
    model = bm.Model(mods="ablat", mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(bcg, "year", model)
    assert found.formulas == ("ablat", "ablat + year")
    assert found.coefficients()["inclusion"]["ablat"] == 1


def test_priors_by_name_reach_the_models_that_have_the_coefficient(bcg):
    model = bm.Model(
        mu="Normal(0, 2)", beta={"ablat": "Normal(0, 0.1)", "year": "Normal(0, 0.3)"}, tau="HalfNormal(0.5)"
    )
    found = bm.moderator_selection(bcg, "ablat + year", model)
    fit = found.fit("year")
    assert str(fit.priors.beta[1]) == "Normal(0, 0.3)"
    assert fit.log_evidence == pytest.approx(found.log_evidence[found.formulas.index("year")], abs=1e-9)


@pytest.mark.parametrize("rank", [0, 7])
def test_a_model_can_be_had_as_a_fit(selected, rank):
    fit = selected.fit(rank)
    row = selected.models().iloc[rank]
    assert fit.log_evidence == pytest.approx(row.log_evidence, abs=1e-9)
    assert fit.model.is_common == (row.tau == "0")


def test_beta_binomial_odds_give_each_number_of_terms_the_same_probability(bcg):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(bcg, "ablat + year + C(alloc)", model, inclusion="BetaBinomial(1, 1)")
    size = found.included.sum(axis=1)
    assert found.prior == pytest.approx([1 / 4 / comb(3, n) for n in size], rel=1e-12)


def test_odds_by_term_multiply(bcg):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(bcg, "ablat + year", model, inclusion={"ablat": 0.8, "year": 0.1})
    p = {"1": 0.2 * 0.9, "ablat": 0.8 * 0.9, "year": 0.2 * 0.1, "ablat + year": 0.8 * 0.1}
    assert dict(zip(found.formulas, found.prior, strict=True)) == pytest.approx(p, rel=1e-12)


def test_effects_that_are_all_the_same_and_nearly_equal_moderators_do_no_harm():
    x = np.arange(6.0)
    data = {"a": x, "b": x + 1e-6 * x**2}
    studies = bm.Studies.from_effects([0.3] * 6, sei=[0.1, 0.2] * 3, data=data)
    model = bm.Model(mu="Normal(0, 1)", beta="Normal(0, 0.5)", tau="HalfNormal(0.3)")
    found = bm.moderator_selection(studies, "a + b", model)
    for mods, evidence in zip(found.formulas, found.log_evidence, strict=True):
        assert evidence == pytest.approx(bm.fit(studies, model.with_mods(mods)).log_evidence, abs=1e-8)


def test_a_known_tau_is_kept(bcg):
    model = bm.Model(mu="Normal(0, 2)", beta="Normal(0, 0.1)", effects="common")
    found = bm.moderator_selection(bcg, "ablat + year", model)
    for mods, evidence in zip(found.formulas, found.log_evidence, strict=True):
        assert evidence == pytest.approx(bm.fit(bcg, model.with_mods(mods)).log_evidence, abs=1e-9)
    assert set(found.models().tau) == {"0"}
    assert found.tau.mean == 0


GOOD = {"mu": "Normal(0, 2)", "beta": "Normal(0, 0.1)", "tau": "HalfNormal(0.5)"}
REFUSALS = [
    (
        {"terms": "ablat", "model": bm.Model(**GOOD | {"beta": "Flat()"})},
        PriorError,
        "the prior of 'ablat' must be proper to select moderators; got Flat(), whose arbitrary constant "
        'decides which model has more evidence; give beta = "Normal(0, s)" with s a large effect of one unit',
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD | {"beta": "Cauchy(0, 1)"})},
        PriorError,
        "the prior of 'ablat' must be Normal to select moderators, which are integrated exactly; got "
        "Cauchy(0, 1)",
    ),
    (
        {"terms": "ablat + year", "model": bm.Model(**GOOD | {"mods": "year"})},
        FormulaError,
        "the term 'year' is given twice, or is in the model already; leave one out",
    ),
    (
        {"terms": ["ablat", "1"], "model": bm.Model(**GOOD)},
        FormulaError,
        "a term must be a moderator such as 'duration_months'; got '1'",
    ),
    (
        {"terms": [], "model": bm.Model(**GOOD)},
        ModelError,
        "there must be from 1 to 15 terms to choose from; got 0; name the moderators that could matter, or "
        "join some by + in one term",
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD, mods="0 + year")},
        FormulaError,
        "mods must have an intercept to select moderators; got '0 + year'",
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD, likelihood="binomial")},
        ModelError,
        "moderators are selected with the normal likelihood; got 'binomial'; compare a few models by "
        "bm.fit instead",
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD), "inclusion": 1.0},
        PriorError,
        "the probability that a term is in must be between 0 and 1; got 1.0",
    ),
    (
        {"terms": "ablat + year", "model": bm.Model(**GOOD), "inclusion": {"ablat": 0.5, "yaer": 0.5}},
        PriorError,
        "inclusion has no probability of the term 'year'; give one for each term",
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD), "inclusion": "uniform"},
        PriorError,
        "inclusion must be a probability, one for each term, or 'BetaBinomial(1, 1)'; got 'uniform'",
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD, scale="C(alloc)")},
        ModelError,
        "moderators are selected with one tau for all studies; got scale 'C(alloc)'; use scale='1'",
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD | {"tau": "SpikeSlab(0.5, HalfNormal(0.5))"})},
        PriorError,
        "the prior of tau must be no mixture to select moderators; got SpikeSlab(0.5, HalfNormal(0.5)); "
        "for a spike at 0 give the probability that tau is 0 as common",
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD), "common": 1.0},
        PriorError,
        "common must be a probability from 0 to less than 1; got 1.0",
    ),
    (
        {"terms": "ablat", "model": bm.Model(**GOOD | {"tau": "Flat()"}), "common": 0.5},
        PriorError,
        "the prior of tau must be proper where tau = 0 is compared with it; got HalfFlat(); use one such as "
        "HalfNormal or HalfCauchy",
    ),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSALS)
def test_what_cannot_be_compared_is_refused(bcg, options, error, message):
    with pytest.raises(error) as caught:
        bm.moderator_selection(bcg, **options)
    assert str(caught.value) == message


def test_unknown_models_and_coefficients_are_refused(selected):
    with pytest.raises(AnalysisError) as caught:
        selected.fit("dosis")
    assert str(caught.value) == "no model has the formula 'dosis'; did you mean 'dose'?"
    with pytest.raises(AnalysisError) as caught:
        selected.coefficient("doze")
    assert str(caught.value) == "no term has the coefficient 'doze'; did you mean 'dose'?"


@pytest.mark.slow
def test_all_subsets_of_ten_moderators_have_the_evidence_of_their_fits():
    rng = np.random.default_rng(11)
    data = {f"x{j}": rng.normal(size=50) * 10.0 ** (j - 5) + j for j in range(10)}
    studies = bm.Studies.from_effects(rng.normal(0.2, 0.3, 50), sei=rng.uniform(0.05, 0.4, 50), data=data)
    model = bm.Model(mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.5)")
    found = bm.moderator_selection(studies, list(data), model)
    for row, evidence in zip(product([0], range(0, 1024, 7)), found.log_evidence[::7], strict=True):
        fit = bm.fit(studies, model.with_mods(found.formulas[row[1]]))
        assert evidence == pytest.approx(fit.log_evidence, abs=1e-8)
