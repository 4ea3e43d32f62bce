"""Many reviews at once against one at a time, and what is said of those that are wrong.

The single fit is certified elsewhere (tests/exact) against 30-digit arithmetic; here the two must agree.
Golden values of the eight schools: mpmath, 30 digits, half-normal(5) prior of tau and a flat mean.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayesmeta as bm
from bayesmeta import fit_many
from bayesmeta.engines.many import Reviews, integrate_many
from bayesmeta.engines.many.values import QUANTITIES, STATISTICS
from bayesmeta.errors import AnalysisError, DataError, ModelError
from bayesmeta.priors import HalfNormal

SCHOOLS = {
    "yi": [28.0, 8, -3, 7, -1, 1, 18, 12],
    "sei": [15.0, 10, 16, 11, 9, 11, 10, 18],
}
WIDTHS = 1e-8
"""Allowed difference, in widths of the 95 % interval; both sides promise 1e-8 of an sd."""


def table(counts, *, seed=1, scale=1.0, spread=0.3):
    rng = np.random.default_rng(seed)
    review = np.repeat(np.arange(len(counts)), counts)
    sei = np.exp(rng.normal(-1.5, 0.7, review.size))
    centre = rng.normal(0.2, 0.3, len(counts))[review]
    yi = centre + rng.normal(size=review.size) * np.hypot(sei, spread)
    return pd.DataFrame({"review": [f"R{i}" for i in review], "yi": scale * yi, "sei": scale * sei})


def one_at_a_time(data, model, **kwargs):
    return {
        name: bm.fit(bm.Studies.from_effects("yi", sei="sei", data=part, **kwargs), model, engine="exact")
        for name, part in data.groupby("review", sort=False)
    }


def assert_same(found, fits):
    for name, fit in fits.items():
        row = found.loc[name]
        for quantity in QUANTITIES:
            if quantity == "I2" and fit.problem.k < 2:
                assert row.filter(like="I2_").isna().all()
                continue
            marginal = fit.marginal(quantity)
            lower, upper = marginal.interval()
            values = (marginal.mean, marginal.sd, marginal.median, lower, upper)
            for statistic, value in zip(STATISTICS, values, strict=True):
                ours = row[f"{quantity}_{statistic}"]
                assert np.isnan(ours) == np.isnan(value), (name, quantity, statistic)
                assert np.isnan(value) or abs(ours - value) <= WIDTHS * (upper - lower), (quantity, statistic)
        assert row["log_evidence"] == pytest.approx(fit.log_evidence, abs=1e-8)
        assert row["p_above_zero"] == pytest.approx(fit.probability("mu > 0"), abs=1e-9)


@pytest.mark.parametrize(
    ("mu", "tau"),
    [
        ("Normal(0, 1)", "HalfNormal(0.5)"),
        ("Flat()", "HalfNormal(0.5)"),
        ("Flat()", "HalfCauchy(0.3)"),
        ("Normal(0, 1)", "HalfFlat()"),
        ("Normal(0.1, 2)", "HalfStudentT(3, 0.4)"),
        ("Normal(0, 1)", "Exponential(2)"),
        ("Normal(0, 1)", "LogNormal(-1, 0.8)"),
        ("Normal(0, 1)", "Gamma(1.5, 3)"),
        ("Flat()", "DuMouchel()"),
        ("Normal(0, 1)", "UniformShrinkage()"),
        ("Normal(0, 1)", "InverseGamma(2, 0.1)"),
    ],
)
def test_reviews_together_are_what_each_is_alone(mu, tau):
    data, model = table([2, 5, 3, 5, 12, 2, 30]), bm.Model(mu=mu, tau=tau)
    found = fit_many(data, "review", model=model, yi="yi", sei="sei")
    assert found["status"].tolist() == ["ok"] * 7
    assert found["k"].tolist() == [2, 5, 3, 5, 12, 2, 30]
    assert found["error"].max() <= 1e-8
    assert_same(found, one_at_a_time(data, model))


@pytest.mark.parametrize("tau", ["Fixed(0.2)", "Jeffreys()", "HalfNormal(0.5) on tau2", None])
def test_priors_that_allow_no_common_nodes_go_one_by_one(tau):
    data = table([3, 6])
    options = {"tau2": "HalfNormal(0.5)"} if tau and "tau2" in tau else {"tau": tau}
    model = bm.Model(mu="Normal(0, 1)", **(options if tau else {"effects": "common"}))
    assert_same(fit_many(data, "review", model=model, yi="yi", sei="sei"), one_at_a_time(data, model))


def test_the_eight_schools_among_others_have_their_golden_values():
    schools = pd.DataFrame({"review": "schools", **SCHOOLS})
    data = pd.concat([table([4, 8], scale=10), schools, table([8], seed=3, scale=20).assign(review="last")])
    model = bm.Model(mu="Flat()", tau="HalfNormal(5)")
    row = fit_many(data, "review", model=model, yi="yi", sei="sei").loc["schools"]
    assert row["log_evidence"] == pytest.approx(-27.5353589384139, abs=1e-9)
    assert row["mu_mean"] == pytest.approx(7.78687331313756, rel=1e-9)
    assert row["mu_sd"] == pytest.approx(4.36372512010143, rel=1e-9)
    assert row["mu_lower"] == pytest.approx(-0.756721925228284, abs=4e-9)
    assert row["mu_upper"] == pytest.approx(16.378471248304, rel=1e-9)
    assert row["tau_mean"] == pytest.approx(3.3100573218215, rel=1e-9)
    assert row["tau_median"] == pytest.approx(2.800113770794, rel=1e-9)
    assert row["theta_new_lower"] == pytest.approx(-4.17007477968989, rel=1e-9)
    assert row["theta_new_upper"] == pytest.approx(19.9294075075016, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_change_nothing_but_units(scale):
    counts = [2, 7, 15]
    base = fit_many(
        table(counts), "review", model=bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"), yi="yi", sei="sei"
    )
    priors = bm.Model(mu=f"Normal(0, {scale})", tau=f"HalfNormal({0.5 * scale})")
    found = fit_many(table(counts, scale=scale), "review", model=priors, yi="yi", sei="sei")
    for name in ("mu_mean", "mu_lower", "tau_median", "tau_sd", "theta_new_upper"):
        np.testing.assert_allclose(found[name] / scale, base[name], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found["I2_median"], base["I2_median"], rtol=1e-9)


def test_default_priors_are_those_of_each_review():
    arms = {"m1i": "m1", "sd1i": "s1", "n1i": "n1", "m2i": "m2", "sd2i": "s2", "n2i": "n2"}
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"review": np.repeat(["a", "b"], [4, 6])})
    for column, low, high in (("m1", 1, 2), ("m2", 0.5, 1.5), ("s1", 1, 2), ("s2", 1, 2)):
        data[column] = rng.uniform(low, high, 10)
    data["n1"], data["n2"] = rng.integers(10, 50, 10), rng.integers(10, 50, 10)
    data.loc[4:, ["m1", "m2", "s1", "s2"]] *= 100
    found = fit_many(data, "review", measure="MD", better="higher", **arms)
    for name, part in data.groupby("review"):
        alone = bm.fit(bm.effect_sizes(part, "MD", **arms), engine="exact")
        assert_same(found.loc[[name]], {name: alone})
    assert found["p_benefit"].tolist() == found["p_above_zero"].tolist()
    lower = fit_many(data, "review", measure="MD", better="lower", **arms)
    np.testing.assert_allclose(lower["p_benefit"], 1 - found["p_benefit"], rtol=0, atol=1e-15)


def test_default_priors_of_effects_without_a_scale_are_refused_for_all():
    with pytest.raises(AnalysisError, match="there is no default prior of mu"):
        fit_many(table([3, 4]), "review", yi="yi", sei="sei")


def test_a_review_that_is_wrong_is_named_and_stops_no_other():
    data, model = table([3, 4, 5, 6]), bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    clean = fit_many(data, "review", model=model, yi="yi", sei="sei")
    data.loc[data.index[data["review"] == "R1"][0], "sei"] = -1.0
    data.loc[data.index[data["review"] == "R3"][2], "yi"] = np.nan
    found = fit_many(data, "review", model=model, yi="yi", sei="sei")
    assert found.loc["R1", "status"].startswith(
        'row 4 study "Study 1" column "sei": a standard error must be'
    )
    assert found.loc["R3", "status"].startswith(
        'row 15 study "Study 3" column "yi": an effect must be a number'
    )
    assert found.loc[["R1", "R3"], "k"].tolist() == [0, 0]
    assert found.loc[["R1", "R3"], "mu_mean"].isna().all()
    pd.testing.assert_frame_equal(found.loc[["R0", "R2"]], clean.loc[["R0", "R2"]], rtol=1e-12)


def test_a_posterior_that_does_not_exist_is_said_in_its_row():
    found = fit_many(
        table([1, 2, 3, 4]), "review", model=bm.Model(mu="Flat()", tau="Flat()"), yi="yi", sei="sei"
    )
    assert found["status"].tolist()[2:] == ["ok", "ok"]
    assert found.loc["R1", "status"] == (
        "the posterior does not exist: Flat() as the prior of tau with 2 studies and 1 flat coefficient "
        "(tail exponent 0 + 2 - 1 must exceed 1); use a proper prior of tau such as HalfNormal or "
        "HalfCauchy, or a Normal prior of mu"
    )
    assert np.isnan(found.loc["R2", "mu_mean"])
    assert np.isfinite(found.loc["R3", "mu_mean"])
    assert np.isnan(found.loc["R3", "mu_sd"])


def test_reviews_come_in_the_order_of_the_table_and_their_rows_may_be_scattered():
    data, model = table([4, 5, 3]), bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    mixed = data.sample(frac=1, random_state=2)
    found = fit_many(mixed, "review", model=model, yi="yi", sei="sei")
    assert list(found.index) == list(dict.fromkeys(mixed["review"]))
    pd.testing.assert_frame_equal(
        found.sort_index(), fit_many(data, "review", model=model, yi="yi", sei="sei"), rtol=1e-9, atol=1e-9
    )


def test_tables_of_events_leave_double_zero_studies_out_where_asked():
    data = {"review": ["a"] * 3, "e": [1, 0, 4], "n": [10, 10, 20], "c": [3, 0, 9], "m": [10, 10, 20]}
    arms = {"ai": "e", "n1i": "n", "ci": "c", "n2i": "m"}
    found = fit_many(data, "review", measure="OR", drop00=True, better="lower", **arms)
    assert found["k"].tolist() == [2]
    assert found["status"].tolist() == ["ok"]


def test_progress_is_told_and_blocks_do_not_matter(monkeypatch):
    data, model = table([2, 3, 4, 5, 6]), bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    whole = fit_many(data, "review", model=model, yi="yi", sei="sei")
    monkeypatch.setattr("bayesmeta.batch.BLOCK", 2)
    told = []
    parts = fit_many(data, "review", model=model, yi="yi", sei="sei", report=lambda *done: told.append(done))
    assert told == [(2, 5), (4, 5), (5, 5)]
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-12)


def test_the_level_of_the_intervals_is_the_callers():
    data, model = table([6]), bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    row = fit_many(data, "review", model=model, yi="yi", sei="sei", prob=0.5).iloc[0]
    lower, upper = one_at_a_time(data, model)["R0"].marginal("mu").interval(0.5)
    assert (row["mu_lower"], row["mu_upper"]) == pytest.approx((lower, upper), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"by": "reviw"}, AnalysisError, "the table has no column \"reviw\"; did you mean 'review'?"),
        ({"yi": "y"}, AnalysisError, "the table has no column \"y\"; did you mean 'yi'?"),
        (
            {"model": bm.Model(mods="x")},
            ModelError,
            "fit_many takes mods '1' and the normal likelihood; got mods 'x' and likelihood 'normal'; fit "
            "such reviews one by one with bayesmeta.fit",
        ),
        ({"prob": 1.5}, AnalysisError, "prob must be between 0 and 1, such as 0.95; got 1.5"),
        (
            {"table": [1, 2]},
            DataError,
            "a table must be a DataFrame or a mapping of columns; got list",
        ),
        (
            {"table": {"review": ["a", ""], "yi": [0, 1], "sei": [1, 1]}},
            DataError,
            'column "review": a review must have a name; got an empty cell; fill it in',
        ),
    ],
)
def test_mistakes_in_the_call_are_refused(change, kind, message):
    options = {"table": table([3]), "by": "review", "yi": "yi", "sei": "sei", **change}
    options.setdefault("model", bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    with pytest.raises(kind) as caught:
        fit_many(options.pop("table"), options.pop("by"), **options)
    assert str(caught.value) == message


HARD = {
    "prior and data contradict each other": ([0, 0, 1e4, 1e4], [1, 1, 1, 1], "Flat()", "HalfNormal(0.1)"),
    "identical effects": ([0.3] * 5, [0.1, 0.2, 0.3, 0.1, 0.2], "Flat()", "HalfNormal(0.5)"),
    "one study": ([0.4], [0.2], "Normal(0, 1)", "HalfCauchy(0.5)"),
    "two studies, no mean of mu": ([-0.4, 0.5], [0.2, 0.1], "Flat()", "HalfCauchy(0.5)"),
    "three studies, everything flat": ([-0.4, 0.5, 0.1], [0.2, 0.1, 0.2], "Flat()", "Flat()"),
    "the mean is far from its prior": ([0.1, 0.2, 0.3], [0.1] * 3, "Normal(50, 1)", "HalfNormal(0.5)"),
    "a prior far below the data": ([0.1, 0.2, 0.3, 2], [0.1] * 4, "Normal(0, 1)", "HalfNormal(1e-4)"),
    "a prior like a point": ([0.1, 0.2, 0.3, 2], [0.1] * 4, "Normal(0, 1)", "LogNormal(-1, 0.001)"),
    "a density without bound at 0": ([0.1, 0.2, 0.3, 2], [0.1] * 4, "Normal(0, 1)", "Gamma(0.3, 1)"),
    "half a degree of freedom above 1": ([0.1, 0.4], [0.1, 0.1], "Flat()", "HalfStudentT(1.5, 0.2)"),
    "a precise study far away": ([0, 0, 0, 30], [0.1, 0.1, 0.1, 1], "Normal(0, 1)", "HalfCauchy(0.01)"),
}


@pytest.mark.parametrize("case", HARD)
def test_hard_reviews_together_are_what_each_is_alone(case):
    y, s, mu, tau = HARD[case]
    data = pd.DataFrame({"review": "hard", "yi": np.array(y, dtype=float), "sei": np.array(s, dtype=float)})
    model = bm.Model(mu=mu, tau=tau)
    found = fit_many(data, "review", model=model, yi="yi", sei="sei")
    assert found.loc["hard", "error"] <= 1e-8
    assert_same(found, one_at_a_time(data, model))


def test_a_conflict_of_prior_and_data_has_its_golden_interval():
    """30-digit arithmetic; the mean is 5000 by symmetry."""
    y, s, mu, tau = HARD["prior and data contradict each other"]
    data = {"review": ["a"] * 4, "yi": y, "sei": s}
    row = fit_many(data, "review", model=bm.Model(mu=mu, tau=tau), yi="yi", sei="sei").loc["a"]
    assert row["mu_mean"] == pytest.approx(5000, abs=1e-9)
    assert (row["mu_lower"], row["mu_upper"]) == pytest.approx((4969.0103, 5030.9897), abs=5e-5)


TRUTH = {
    "errors a million times the smallest": (
        ([0.1, 0.5, -3e3, 2e5], [1, 1e3, 1e4, 1e6], "Flat()", "HalfCauchy(10)"),
        {
            "log_evidence": -32.7644839647234,
            "mu_mean": -0.1544032737889467,
            "mu_sd": 100.8836142134778,
            "tau_mean": 31.29668349506035,
            "tau_sd": 128.4764629041659,
            "I2_mean": 0.4150063830668305,
            "I2_sd": 3.390682067619307,
        },
    ),
    "the same with a prior that is not even": (
        ([0.1, 0.5, -3e3, 2e5], [1, 1e3, 1e4, 1e6], "Normal(0, 1e5)", "Exponential(0.1)"),
        {
            "log_evidence": -45.18749086367004,
            "mu_mean": 0.09410335638440839,
            "mu_sd": 14.16187089851906,
            "tau_mean": 9.9959769446964,
            "tau_sd": 9.993977116329662,
        },
    ),
    "effects of a million million": (
        ([1e12 + 0.5, 1e12 + 1, 1e12 - 0.25], [0.5, 0.25, 1], "Flat()", "HalfNormal(1)"),
        {
            "log_evidence": -2.693448113886325,
            "mu_sd": 0.5143600868812956,
            "tau_mean": 0.5549419834180765,
            "tau_sd": 0.4479431414147388,
            "I2_mean": 44.05625360707453,
            "I2_sd": 29.84983932879718,
        },
    ),
    "the same with a normal mean": (
        ([1e12 + 0.5, 1e12 + 1, 1e12 - 0.25], [0.5, 0.25, 1], "Normal(0, 1e13)", "HalfCauchy(1)"),
        {
            "log_evidence": -33.82537729202382,
            "mu_sd": 0.6396319499603898,
            "tau_mean": 0.621852632805515,
            "I2_mean": 44.13173374068982,
        },
    ),
    "priors a million times too wide": (
        ([0.1, 0.2, 0.3, 2], [0.1] * 4, "Normal(0, 1e6)", "HalfNormal(1e6)"),
        {
            "log_evidence": -33.11767766044811,
            "mu_mean": 0.649999999994754,
            "mu_sd": 2.840919895968735,
            "tau_mean": 1.953669663004534,
            "tau_sd": 5.370305701006674,
            "I2_sd": 0.8197575832701319,
        },
    ),
    "a prior that is hardly proper": (
        ([0.1] * 4, [0.1] * 4, "Normal(0, 1)", "InverseGamma(0.001, 0.001)"),
        {
            "log_evidence": -3.05790788885094,
            "mu_mean": 0.09969107720319901,
            "mu_sd": 0.0555825001304546,
            "tau_mean": 0.02533769046355406,
            "I2_mean": 8.704720754858223,
        },
    ),
}
"""40-digit arithmetic (mpmath): 30 Gauss-Legendre points on each panel of 0.5 in log tau, -60 to 60."""


@pytest.mark.parametrize("case", TRUTH)
def test_hard_reviews_have_their_golden_values(case):
    (y, s, mu, tau), values = TRUTH[case]
    data = {"review": ["a"] * len(y), "yi": y, "sei": s}
    row = fit_many(data, "review", model=bm.Model(mu=mu, tau=tau), yi="yi", sei="sei").loc["a"]
    for name, value in values.items():
        sd = row.get(f"{name.removesuffix('_mean')}_sd", 0)
        assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * sd), name
    assert row["error"] <= 1e-8
    if "million million" in case:
        assert row["mu_mean"] == pytest.approx(1000000000000.681, abs=2e-4)  # doubles are 1.2e-4 apart there


def test_moments_do_not_exist_where_theory_says_so():
    """E tau^r exists iff a + k - p > 1 + r: tail a = 2 of half-Cauchy, 0 of flat; p = 1 for the flat mean."""
    found = fit_many(
        table([2, 3, 4]), "review", model=bm.Model(mu="Flat()", tau="HalfCauchy(1)"), yi="yi", sei="sei"
    )
    for column in ("mu", "tau", "theta_new"):
        assert found[f"{column}_mean"].notna().tolist() == [True, True, True]
        assert found[f"{column}_sd"].notna().tolist() == [False, True, True]
    found = fit_many(
        table([3, 4, 5]), "review", model=bm.Model(mu="Flat()", tau="Flat()"), yi="yi", sei="sei"
    )
    for column in ("mu", "tau", "theta_new"):
        assert found[f"{column}_mean"].notna().tolist() == [False, True, True]
        assert found[f"{column}_sd"].notna().tolist() == [False, False, True]


def test_a_review_that_does_not_settle_together_is_done_alone(monkeypatch):
    data, model = table([4, 5]), bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    whole = fit_many(data, "review", model=model, yi="yi", sei="sei")
    monkeypatch.setattr("bayesmeta.engines.many.FIRST_STEPS", 8)
    monkeypatch.setattr("bayesmeta.engines.many.MOST_STEPS", 8)
    alone = fit_many(data, "review", model=model, yi="yi", sei="sei")
    assert alone["error"].max() <= 1e-8
    pd.testing.assert_frame_equal(alone.drop(columns="error"), whole.drop(columns="error"), rtol=1e-8)


def test_a_block_without_a_good_review_has_the_same_columns(monkeypatch):
    data, model = table([2, 3]), bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    data.loc[:1, "sei"] = -1.0
    monkeypatch.setattr("bayesmeta.batch.BLOCK", 1)
    found = fit_many(data, "review", model=model, better="lower", yi="yi", sei="sei")
    assert found["p_benefit"].notna().tolist() == [False, True]


@pytest.mark.parametrize("names", [["a", None], [1.0, np.nan], pd.array([1, None], dtype="Int64")])
def test_a_review_must_have_a_name(names):
    data = pd.DataFrame({"review": names, "yi": [0.1, 0.2], "sei": [0.1, 0.1]})
    with pytest.raises(DataError) as caught:
        fit_many(data, "review", model=bm.Model(mu="Normal(0, 1)", tau="HalfNormal(1)"), yi="yi", sei="sei")
    must = "a review must have a name; got an empty cell; fill it in"
    assert str(caught.value) == f'column "review": {must}'


def test_coarse_nodes_are_noticed(monkeypatch):
    """The error is the difference from every second node: with too few nodes it must be large."""
    monkeypatch.setattr("bayesmeta.engines.many.FIRST_STEPS", 8)
    monkeypatch.setattr("bayesmeta.engines.many.MOST_STEPS", 8)
    y, v = np.array([[0.1, 0.5, 2.0, -1.0]]), np.full((1, 4), 0.04)
    reviews = Reviews(y, v, np.zeros(1), np.ones(1), np.ones(1), np.array([4]))
    assert integrate_many(reviews, HalfNormal(0.5), moments=np.array([np.inf])).error[0] > 1e-6


@pytest.mark.slow
def test_a_thousand_reviews_together_are_what_each_is_alone():
    counts = np.random.default_rng(0).integers(1, 40, 1000).tolist()
    data, model = table(counts, seed=7), bm.Model(mu="Normal(0, 1)", tau="HalfCauchy(0.4)")
    found = fit_many(data, "review", model=model, yi="yi", sei="sei")
    assert_same(found, one_at_a_time(data, model))
