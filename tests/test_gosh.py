"""Subsets of the studies, thousands at once, against a fit of each.

The single fit is certified elsewhere (tests/exact) against 30-digit arithmetic.
"""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgba

import bayesmeta as bm
from bayesmeta import plots
from bayesmeta.engines.many.values import QUANTITIES, STATISTICS
from bayesmeta.errors import AnalysisError, ModelError
from bayesmeta.plots.palette import POSTERIOR, PRIOR

Y = [0.1, 0.3, 0.2, 0.9, 0.0]
SE = [0.1, 0.12, 0.2, 0.3, 0.1]
MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")
DIFFERENT = 1e-8
"""Allowed difference, in widths of the 95 % interval; both sides promise 1e-8 of an sd."""


def studies(k=5, **options):
    return bm.Studies.from_effects(Y[:k], sei=SE[:k], slab=list("abcde"[:k]), **options)


def many_studies(k, seed=1):
    rng = np.random.default_rng(seed)
    sei = np.exp(rng.normal(-1.5, 0.5, k))
    return bm.Studies.from_effects(rng.normal(0.2, np.hypot(sei, 0.2)), sei=sei)


def assert_row_is(found, row, fit):
    for quantity in QUANTITIES:
        if quantity == "I2" and fit.problem.k < 2:
            assert np.isnan([found.of("I2", one)[row] for one in STATISTICS]).all()
            continue
        marginal = fit.marginal(quantity)
        lower, upper = marginal.interval(found.prob)
        values = (marginal.mean, marginal.sd, marginal.median, lower, upper)
        for statistic, value in zip(STATISTICS, values, strict=True):
            ours = found.of(quantity, statistic)[row]
            assert np.isnan(ours) == np.isnan(value), (row, quantity, statistic)
            assert np.isnan(value) or abs(ours - value) <= DIFFERENT * (upper - lower), (quantity, statistic)
    assert found.answers.log_evidence[row] == pytest.approx(fit.log_evidence, abs=1e-8)
    assert found.answers.above_zero[row] == pytest.approx(fit.probability("mu > 0"), abs=1e-8)


@pytest.mark.parametrize(
    ("mu", "tau"),
    [
        ("Normal(0, 1)", "HalfNormal(0.3)"),
        ("Flat()", "HalfCauchy(0.2)"),
        ("Flat()", "DuMouchel()"),
        ("Normal(0, 1)", "Uniform(0, 2)"),
    ],
)
def test_every_subset_is_the_fit_of_its_studies(mu, tau):
    model = bm.Model(mu=mu, tau=tau)
    found = bm.gosh(studies(4), model)
    assert len(found) == 15
    assert len({tuple(row) for row in found.included.tolist()}) == 15
    for row, chosen in enumerate(found.included):
        assert_row_is(found, row, bm.fit(studies(4).take(chosen), model))


def test_default_priors_are_those_of_all_studies():
    whole = studies(ni=[40, 60, 20, 10, 50], measure="MD")
    found = bm.gosh(whole)
    u = float(np.sqrt(180 / np.sum(np.array(SE) ** -2.0)))
    row = int(np.flatnonzero((found.included == [True, False, False, True, False]).all(axis=1))[0])
    direct = bm.Model(mu=f"Normal(0, {u!r})", tau=f"HalfNormal({u / 4!r})")
    assert_row_is(found, row, bm.fit(whole.take([0, 3]), direct))
    assert found.fit(row).log_evidence == pytest.approx(found.answers.log_evidence[row], abs=1e-8)


def test_a_posterior_that_does_not_exist_is_said_in_its_row_alone():
    found = bm.gosh(studies(3), bm.Model(mu="Flat()", tau="Flat()"))
    wrong = sorted(found.status)
    assert found.k[wrong].tolist() == [1, 1, 2, 1, 2, 2]
    assert found.status[wrong[0]].startswith("the posterior does not exist: Flat() as the prior of tau")
    table = found.table()
    assert table["status"].tolist().count("ok") == 1
    assert np.isfinite(table.loc[6, "mu_median"])
    assert table.loc[wrong, "mu_median"].isna().all()


def test_least_leaves_small_subsets_out():
    found = bm.gosh(studies(), MODEL, least=3)
    assert np.bincount(found.k).tolist() == [0, 0, 0, 10, 5, 1]


def test_more_subsets_than_asked_for_are_drawn_with_equal_chances_and_none_twice():
    found = bm.gosh(many_studies(12), MODEL, most=1500, seed=3)
    assert len(found) == 1500
    assert len({row.tobytes() for row in found.included}) == 1500
    share = found.included.mean(axis=0)  # each half, with sd sqrt(1/4/1500 (1 - 1500/4095))
    assert np.abs(share - 0.5).max() < 4 * np.sqrt(0.25 / 1500)
    again = bm.gosh(many_studies(12), MODEL, most=1500, seed=3)
    np.testing.assert_array_equal(again.included, found.included)
    other = bm.gosh(many_studies(12), MODEL, most=1500, seed=4)
    assert (other.included != found.included).any()
    for row in (0, 700, 1499):
        assert_row_is(found, row, bm.fit(many_studies(12).take(found.included[row]), MODEL))


def test_a_million_subsets_are_drawn_unless_told_otherwise():
    assert inspect.signature(bm.gosh).parameters["most"].default == 10**6
    assert len(bm.gosh(many_studies(12), MODEL)) == 2**12 - 1


@pytest.mark.parametrize("tau", ["HalfNormal(0.5)", "Uniform(0, 2)"])
def test_progress_is_reported_up_to_the_last_subset(tau):
    told = []
    found = bm.gosh(studies(), replace(MODEL, tau=tau), report=lambda *done: told.append(done))
    assert told[-1] == (len(found), len(found)) == (31, 31)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_drawn_subsets_keep_their_least_number_of_studies():
    found = bm.gosh(many_studies(12), MODEL, most=300, least=7, seed=1)
    assert found.k.min() == 7
    assert len(found) == 300


def test_benefit_is_the_side_that_is_better():
    table = bm.gosh(studies(better="lower"), MODEL).table()
    np.testing.assert_allclose(table["p_benefit"], 1 - table["p_above_zero"], rtol=0, atol=1e-15)
    assert "p_benefit" not in bm.gosh(studies(), MODEL).table()


def test_level_of_the_intervals_is_the_callers():
    found = bm.gosh(studies(3), MODEL, prob=0.5)
    assert_row_is(found, 6, bm.fit(studies(3), MODEL))


def test_leaving_out_one_study_is_a_direct_refit():
    whole = bm.fit(studies(), MODEL)
    found = bm.leave_out(whole)
    assert found.names == ("a", "b", "c", "d", "e")
    assert found.table().index.name == "omitted"
    for row, one in enumerate(bm.leave_one_out(whole)):
        assert_row_is(found, row, one.fit)


def test_leaving_out_pairs_is_a_direct_refit():
    found = bm.leave_out(bm.fit(studies(4), MODEL), 2)
    assert found.names == ("a + b", "a + c", "a + d", "b + c", "b + d", "c + d")
    for row, kept in enumerate([(2, 3), (1, 3), (1, 2), (0, 3), (0, 2), (0, 1)]):
        assert_row_is(found, row, bm.fit(studies(4).take(kept), MODEL))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: bm.gosh(studies(), MODEL, least=6),
            AnalysisError,
            "least must be a number of studies from 1 to 5; got 6",
        ),
        (
            lambda: bm.gosh(studies(), MODEL, most=0),
            AnalysisError,
            "most must be a number of subsets above 0; got 0",
        ),
        (
            lambda: bm.gosh(studies(), MODEL).of("mean"),
            AnalysisError,
            "subsets have no 'mean'; there are mu, tau, theta_new, I2",
        ),
        (
            lambda: bm.gosh(studies(), MODEL).containing("z"),
            AnalysisError,
            "there is no study 'z'; the first is 'a'",
        ),
        (
            lambda: bm.leave_out(bm.fit(studies(), MODEL), 3),
            AnalysisError,
            "number must be 1 or 2 studies to leave out at a time; got 3",
        ),
        (
            lambda: bm.leave_out(bm.fit(studies(2), MODEL), 2),
            ModelError,
            "leaving out 2 at a time needs at least 3 studies; got 2",
        ),
    ],
)
def test_mistakes_are_refused(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_moderators_are_refused():
    data = {"x": [0.0, 1.0, 2.0, 3.0, 5.0]}
    model = bm.Model("x", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.3)")
    with pytest.raises(ModelError) as caught:
        bm.gosh(studies(data=data), model)
    assert str(caught.value) == "an analysis of subsets takes mods '1' alone; got mods 'x'"


# Figure


def test_the_plot_has_a_point_for_each_subset_coloured_by_a_study():
    found = bm.gosh(studies(), MODEL)
    ax = plots.gosh(found, study="d")
    points = ax.collections[0]
    np.testing.assert_allclose(points.get_offsets()[:, 0], found.of("mu"))
    np.testing.assert_allclose(points.get_offsets()[:, 1], found.of("tau"))
    colours = points.get_facecolors()[:, :3]
    chosen = found.containing("d")
    assert (colours[chosen] == to_rgba(PRIOR)[:3]).all()
    assert (colours[~chosen] == to_rgba(POSTERIOR)[:3]).all()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["without d", "with d"]
    assert ax.get_title(loc="left") == "31 subsets of 5 studies; the diamond is all"


def test_inconsistency_is_drawn_for_two_studies_and_more():
    ax = plots.gosh(bm.gosh(studies(), MODEL), against="I2")
    assert ax.collections[0].get_offsets().shape == (26, 2)
    assert ax.get_ylabel() == "I² (percent), posterior median"


def test_mistakes_in_the_call_of_the_plot_are_refused():
    found = bm.gosh(studies(), MODEL)
    with pytest.raises(AnalysisError) as caught:
        plots.gosh(found, against="H2")
    assert str(caught.value) == "against must be 'tau' or 'I2'; got 'H2'"
    with pytest.raises(AnalysisError) as caught:
        plots.gosh(found, study="f")
    assert str(caught.value) == "there is no study 'f'; the first is 'a'"
