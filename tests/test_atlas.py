"""The prior atlas: its table is that of single fits, its family as documented, its pictures the table."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import bayesmeta as bm
from bayesmeta.errors import AnalysisError, ImproperPosteriorError, ModelError, PriorError
from bayesmeta.model import Model
from bayesmeta.plots import prior_densities, prior_heatmap, prior_ribbon
from bayesmeta.priors import Flat, HalfNormal, Normal
from bayesmeta.sensitivity import PriorAtlas, prior_path, prior_sensitivity
from bayesmeta.studies import Studies, effect_sizes

Y, SE = [0.1, 0.3, 0.2, 0.5, 0.0], [0.1, 0.1, 0.2, 0.3, 0.1]
TAUS = ["HalfNormal(0.1)", "HalfCauchy(0.3)", "LogNormal(-2, 1)"]
MUS = ["Normal(0, 0.2)", "Flat()"]


def studies(measure="SMD", **options):
    return Studies.from_effects(Y, sei=SE, measure=measure, **options)


def refused(kind, call):
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


@pytest.fixture(scope="module")
def default():
    return prior_sensitivity(studies(), mid=0.1)


# The table


def test_every_row_is_that_of_a_single_fit():
    atlas = prior_sensitivity(studies(), tau=TAUS, mu=MUS, mid=0.1, prob=0.9)
    table = atlas.table()
    assert list(zip(table["tau"], table["mu"], strict=True)) == [
        (tau, mu) for tau in ("HalfNormal(0.1)", "HalfCauchy(0.3)", "LogNormal(-2, 1)") for mu in MUS
    ]
    for i, row in table.iterrows():
        fit = bm.fit(studies(), Model(tau=row["tau"], mu=row["mu"]), engine="exact")
        mu, tau, new = (fit.marginal(name) for name in ("mu", "tau", "theta_new"))
        expected = {
            "log_evidence": fit.log_evidence,
            "mu_mean": mu.mean,
            "mu_sd": mu.sd,
            "mu_lower": mu.interval(0.9)[0],
            "mu_upper": mu.interval(0.9)[1],
            "tau_mean": tau.mean,
            "tau_median": tau.median,
            "tau_lower": tau.interval(0.9)[0],
            "tau_upper": tau.interval(0.9)[1],
            "theta_new_lower": new.interval(0.9)[0],
            "theta_new_upper": new.interval(0.9)[1],
            "p_benefit": fit.probability("mu > 0"),
            "p_important": fit.probability("mu > 0.1"),
        }
        np.testing.assert_allclose([row[name] for name in expected], list(expected.values()), atol=1e-8)
        assert (row["status"], row["computed_by"]) == ("ok", "surface")
        assert atlas.fit(i).log_evidence == fit.log_evidence


def test_a_choice_makes_its_fit_once_and_when_asked():
    atlas = prior_sensitivity(studies(), tau=TAUS, mu=MUS)
    assert len(atlas) == 6
    assert (str(atlas[3].tau), str(atlas[3].mu)) == ("HalfCauchy(0.3)", "Flat()")
    assert atlas[3].fit is atlas[3].fit is atlas.fit(3)
    assert [str(one.mu) for one in atlas[-2:]] == MUS
    assert repr(atlas) == "<PriorAtlas: 3 priors of tau x 2 of mu>"


def test_lower_is_better_turns_both_probabilities():
    table = prior_sensitivity(studies(better="lower"), tau=TAUS[:1], mu=MUS, mid=0.1).table()
    fit = bm.fit(studies(), Model(tau=TAUS[0], mu=MUS[0]))
    assert table["p_benefit"][0] == pytest.approx(fit.probability("mu < 0"), abs=1e-9)
    assert table["p_important"][0] == pytest.approx(fit.probability("mu < -0.1"), abs=1e-9)


def test_ranges_name_the_priors_of_the_ends():
    atlas = prior_sensitivity(studies(), tau=TAUS, mu=MUS)
    table, ranges = atlas.table(), atlas.ranges()
    for name in ("mu_upper", "tau_median", "p_benefit"):
        low, high = table[name].idxmin(), table[name].idxmax()
        assert list(ranges.loc[name]) == [
            *(table[name][low], table["tau"][low], table["mu"][low]),
            *(table[name][high], table["tau"][high], table["mu"][high]),
        ]
    assert "p_important" not in ranges.index


def test_an_improper_choice_says_why_and_leaves_the_others_alone():
    two = Studies.from_effects([0.1, 0.4], sei=[0.1, 0.2], measure="SMD")
    atlas = prior_sensitivity(two, tau=["Flat()", "HalfNormal(1)"], mu=["Flat()", "Normal(0, 1)"])
    table = atlas.table()
    assert list(table["status"][1:]) == ["ok"] * 3
    assert table["status"][0] == (
        "improper: the posterior does not exist: Flat() as the prior of tau with 2 studies and 1 flat "
        "coefficient (tail exponent 0 + 2 - 1 must exceed 1); use a proper prior of tau such as HalfNormal "
        "or HalfCauchy, or a Normal prior of mu"
    )
    assert table.iloc[0][["mu_lower", "tau_median", "p_benefit"]].isna().all()
    # a flat prior of tau leaves tail tau^-2 with k = 2 and mu proper: no mean of tau (Roever 2020)
    assert np.isnan(table["tau_mean"][1])
    assert np.isnan(table["mu_sd"][0])
    with pytest.raises(ImproperPosteriorError):
        atlas.fit(0)


def test_known_tau_and_what_does_not_settle_come_from_single_fits():
    common = prior_sensitivity(studies(), Model(effects="common", mu="Flat()"), mu=["Normal(0, 1)"]).table()
    # tau = 0, mu ~ N(0, 1): precision 1 + sum 1 / se^2
    w = 1 / np.array(SE) ** 2
    assert common["mu_mean"][0] == pytest.approx(w @ Y / (1 + w.sum()), rel=1e-12)
    assert (common["computed_by"][0], common["tau_median"][0]) == ("exact", 0.0)


def test_intervals_of_the_heaviest_tails_are_those_of_single_fits():
    # k = 2, flat mu and a wide half-Cauchy: neither mean nor sd of mu exist, and Newton steps may vanish
    two = Studies.from_effects([0.2, 0.55], vi=[0.04, 0.09])
    for tau in ("HalfCauchy(20)", "HalfCauchy(2000)", "Sqrt()"):
        atlas = prior_sensitivity(two, tau=[tau, "HalfNormal(0.001)"], mu=["Flat()", "Normal(0, 1)"])
        table = atlas.table()
        fit = bm.fit(two, Model(mu="Flat()", tau=tau))
        for name in ("mu", "theta_new", "tau"):
            lower, upper = fit.marginal(name).interval()
            ours = table[[f"{name}_lower", f"{name}_upper"]].iloc[0]
            np.testing.assert_allclose(ours, [lower, upper], atol=1e-8 * (upper - lower))


def test_with_moderators_the_row_is_the_mean_effect_at_their_means():
    data = {"x": [0.0, 1.0, 2.0, 4.0, 3.0]}
    model = Model("x", beta="Normal(0, 1)", tau="HalfNormal(0.3)")
    table = prior_sensitivity(studies(data=data), model, mu=["Normal(0, 1)"]).table()
    fit = bm.fit(
        studies(data=data), Model("x", beta="Normal(0, 1)", tau="HalfNormal(0.3)", mu="Normal(0, 1)")
    )
    rows = fit.predict({"x": [2.0]})
    assert table["mu_mean"][0] == pytest.approx(rows["mean"].iloc[0], abs=1e-9)
    assert table["mu_lower"][0] == pytest.approx(rows["lower"].iloc[0], abs=1e-9)


def test_a_formula_with_a_mean_for_each_group_has_no_row():
    data = {"g": ["a", "b", "a", "b", "a"]}
    atlas = prior_sensitivity(studies(data=data), Model("0 + C(g)"), tau=TAUS)
    assert refused(ModelError, atlas.table) == (
        "the table needs one mean effect, but the formula '0 + C(g)' has 2; use the fit of each choice"
    )
    assert atlas.fit(0).names == ("g[a]", "g[b]", "tau")


# The default family


def test_the_default_family_is_around_the_default_priors(default):
    # u = 2 for standardised mean differences (DESIGN section 4): tau HalfNormal(0.5), mu Normal(0, 2)
    assert default.default_family
    assert (len(default.tau), len(default.mu), len(default)) == (40, 25, 1000)
    assert HalfNormal(0.5) in default.tau
    assert Normal(0, 2) in default.mu
    assert [prior.sigma for prior in default.mu][:: len(default.mu) - 1] == [0.125, 8]
    assert [prior.sigma for prior in default.tau[:10]][::9] == [0.0884, 2]


def test_families_of_tau_have_the_same_medians_to_the_digits_printed(default):
    medians = np.array([prior.quantile(np.array(0.5)) for prior in default.tau]).reshape(4, 10)
    np.testing.assert_allclose(medians, np.broadcast_to(medians[0], (4, 10)), rtol=0.01)
    np.testing.assert_allclose(medians[:, 5], 0.67449 * 0.5, rtol=0.01)  # quartile of the normal times u / 4


def test_all_of_the_default_family_is_answered_and_a_sample_of_it_by_single_fits(default):
    table = default.table()
    assert set(table["status"]) == {"ok"}
    assert set(table["computed_by"]) == {"surface"}
    for i in (0, 137, 512, 999):
        fit = default.fit(i)
        row = [table[name][i] for name in ("mu_lower", "mu_upper", "tau_upper", "p_important")]
        expected = (*fit.marginal("mu").interval(), fit.marginal("tau").interval()[1])
        np.testing.assert_allclose(row, [*expected, fit.probability("mu > 0.1")], atol=1e-8)


def test_evidence_grows_where_the_prior_holds_the_estimate(default):
    # Occam: of Normal(0, s) with s far above the estimate, doubling s halves the evidence
    evidence = default.values("log_evidence")
    wide = [b for b, prior in enumerate(default.mu) if prior.sigma in (4.0, 8.0)]
    np.testing.assert_allclose(np.diff(evidence[:, wide], axis=1), -np.log(2), atol=0.02)


def test_measures_without_a_null_keep_a_flat_prior_of_mu():
    columns = {"xi": [3, 4, 9], "ni": [20, 30, 40]}
    shares = effect_sizes(columns, "PLO", xi="xi", ni="ni")
    assert prior_sensitivity(shares).mu == (Flat(),)


def test_without_a_size_of_effects_the_models_own_priors_are_the_middle():
    plain = Studies.from_effects(Y, sei=SE)
    atlas = prior_sensitivity(plain, Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)"))
    assert HalfNormal(0.3) in atlas.tau
    assert Normal(0, 1) in atlas.mu
    message = refused(PriorError, lambda: prior_sensitivity(plain))
    assert message.startswith("there is no default prior of mu for effects of unknown kind")


def test_a_family_of_a_thousand_is_not_sampled():
    counts = {"ai": [1, 2, 4], "n1i": [20, 20, 30], "ci": [5, 6, 8], "n2i": [20, 20, 30]}
    ratios = effect_sizes(counts, "OR", **{name: name for name in counts})
    assert refused(ModelError, lambda: prior_sensitivity(ratios, Model(likelihood="binomial"))) == (
        "the default family has 1,000 combinations of priors, too many to sample likelihood 'binomial'; "
        "give a few in tau = [...] and mu = [...]"
    )


def test_wrong_options_are_refused():
    assert refused(PriorError, lambda: prior_sensitivity(studies(), mid=-0.1)) == (
        "mid must be a positive number, the minimal important difference; got -0.1"
    )
    assert refused(AnalysisError, lambda: prior_sensitivity(studies(), tau=TAUS).values("p_benfit")) == (
        "the atlas has no quantity 'p_benfit'; did you mean 'p_benefit'?"
    )
    assert refused(PriorError, lambda: prior_sensitivity(studies(), tau=["HalfNorml(1)"])) == (
        "unknown prior 'HalfNorml'; did you mean 'HalfNormal'?"
    )


# The path


def test_a_path_goes_through_the_chosen_prior():
    fit = bm.fit(studies(), Model(mu="Normal(0, 1)", tau="Exponential(4)"))
    path = prior_path(fit)
    assert isinstance(path, PriorAtlas)
    assert len(path.tau) == 65
    assert [prior.lam for prior in path.tau][::32] == pytest.approx([64, 4, 0.25])
    assert path.values("log_evidence")[32, 0] == pytest.approx(fit.log_evidence, abs=1e-9)
    across = prior_path(fit, "mu", reach=2)
    assert [prior.sigma for prior in across.mu][::32] == pytest.approx([0.5, 1, 2])
    assert across.values("log_evidence")[0, 32] == pytest.approx(fit.log_evidence, abs=1e-9)


def test_a_prior_without_one_scale_has_no_path():
    fit = bm.fit(studies(), Model(mu="Flat()", tau="LogNormal(-2, 1)"))
    assert refused(PriorError, lambda: prior_path(fit)) == (
        "LogNormal(-2, 1) as the prior of tau has no single scale to vary; use HalfNormal, HalfCauchy or "
        "Exponential"
    )
    assert refused(PriorError, lambda: prior_path(fit, "mu")) == (
        "Flat() as the prior of mu has no single scale to vary; use Normal"
    )
    of_tau2 = bm.fit(studies(), Model(mu="Flat()", tau2="HalfNormal(0.1)"))
    assert refused(PriorError, lambda: prior_path(of_tau2)) == (
        "the scale of a prior of tau2 is not varied; got HalfNormal(0.1); give a prior of tau instead"
    )
    assert refused(PriorError, lambda: prior_path(fit, "beta")) == "which must be 'tau' or 'mu'; got 'beta'"


# The pictures


def test_the_heat_map_shows_the_table(default):
    ax = Figure().add_subplot()
    assert prior_heatmap(default, "mu_upper", ax) is ax
    np.testing.assert_array_equal(ax.images[0].get_array(), default.values("mu_upper"))
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels[0] == "0.0884"
    names = [text.get_text() for text in ax.texts]
    assert {"HalfNormal", "HalfStudentT, 4 df", "Exponential", "HalfCauchy"} <= set(names)
    low, high = default.values("mu_upper").min(), default.values("mu_upper").max()
    assert {f"{low:.2f}", f"{high:.2f}"} <= set(names)


def test_the_heat_map_of_ratios_is_on_the_ratio_scale():
    ratios = prior_sensitivity(studies(measure="OR"), tau=TAUS, mu=MUS)
    shown = prior_heatmap(ratios, "mu_upper").images[0].get_array()
    np.testing.assert_allclose(shown, np.exp(ratios.values("mu_upper")), rtol=1e-12)


def test_a_quantity_that_was_not_asked_for_is_refused():
    atlas = prior_sensitivity(studies(), tau=TAUS, mu=MUS)
    assert refused(AnalysisError, lambda: prior_heatmap(atlas, "p_important")) == (
        "the atlas has no value of 'p_important'; was a difference mid given?"
    )


def test_there_is_a_density_for_each_combination():
    atlas = prior_sensitivity(studies(), Model(mu=MUS[0], tau=TAUS[0]), tau=TAUS, mu=MUS)
    ax = prior_densities(atlas)
    segments = ax.collections[0].get_segments()
    assert len(segments) == 6
    for i in (0, 5):
        x, y = segments[i].T
        np.testing.assert_allclose(y, atlas.fit(i).marginal("mu").density(x), atol=1e-8)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["under 6 combinations of priors", "the model's own priors"]
    assert refused(AnalysisError, lambda: prior_densities(atlas, "tau")) == (
        "name must be 'mu' or 'theta_new'; got 'tau'"
    )


@pytest.mark.parametrize("quantity", ["mu", "tau", "theta_new"])
def test_the_ribbon_goes_through_the_answer_at_the_chosen_prior(quantity):
    fit = bm.fit(studies(), Model(mu="Normal(0, 1)", tau="HalfNormal(0.2)"))
    ax = prior_ribbon(prior_path(fit), quantity)
    x, y = ax.get_lines()[0].get_data()
    assert x[32] == pytest.approx(0.2)
    assert y[32] == pytest.approx(fit.marginal(quantity).median, abs=1e-8)
    edge = ax.collections[0].get_paths()[0].vertices
    at = edge[np.isclose(edge[:, 0], 0.2)][:, 1]
    np.testing.assert_allclose([at.min(), at.max()], fit.marginal(quantity).interval(), atol=1e-8)


def test_the_ribbon_of_a_probability_and_what_is_no_path():
    fit = bm.fit(studies(), Model(mu="Normal(0, 1)", tau="HalfNormal(0.2)"))
    x, y = prior_ribbon(prior_path(fit, "mu", mid=0.1), "p_important").get_lines()[0].get_data()
    assert (x[32], y[32]) == (pytest.approx(1), pytest.approx(fit.probability("mu > 0.1"), abs=1e-9))
    atlas = prior_sensitivity(studies(), tau=TAUS, mu=MUS)
    assert refused(AnalysisError, lambda: prior_ribbon(atlas)) == (
        "the atlas is no path along one scale; give what bm.prior_path(fit) returned"
    )
    assert refused(AnalysisError, lambda: prior_ribbon(prior_path(fit), "I2")) == (
        "quantity must be 'mu', 'tau', 'theta_new', 'p_benefit' or 'p_important'; got 'I2'"
    )
