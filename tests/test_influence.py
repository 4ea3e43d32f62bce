"""Influence of each study: by hand where tau = 0, by identities and refits elsewhere, and metafor's twins."""

from __future__ import annotations

import json
from math import exp, log, pi, sqrt
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from scipy.special import ndtr

import bayesmeta as bm
from bayesmeta import plots
from bayesmeta.errors import AnalysisError, ModelError
from bayesmeta.plots.palette import ALARM

REFERENCE = Path(__file__).parent / "reference"
Y = np.array([0.1, 0.3, 0.2, 0.9])
SE = np.array([0.2, 0.1, 0.4, 0.3])
MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")


def studies(**options):
    return bm.Studies.from_effects(Y, sei=SE, slab=list("abcd"), **options)


def others(i):
    return [j for j in range(4) if j != i]


def normal_posterior(which):
    """Return mean and variance of mu under tau = 0 and a Normal(0, 1) prior."""
    precision = 1 + np.sum(SE[which] ** -2.0)
    return float(np.sum(Y[which] / SE[which] ** 2) / precision), float(1 / precision)


def test_with_a_common_effect_everything_is_as_computed_by_hand():
    """Two normal posteriors: Hellinger and Kullback-Leibler have closed forms."""
    table = bm.influence(bm.fit(studies(), bm.Model(mu="Normal(0, 1)", effects="common")))
    mean, v = normal_posterior([0, 1, 2, 3])
    for i, (label, row) in enumerate(table.iterrows()):
        m, w = normal_posterior(others(i))
        assert label == "abcd"[i]
        assert (row["yi"], row["sei"]) == (Y[i], pytest.approx(SE[i], rel=1e-15))
        assert row["mu"] == pytest.approx(m, abs=1e-12)
        assert row["shift"] == pytest.approx((mean - m) / sqrt(v), abs=1e-12)
        assert row["cook"] == pytest.approx((mean - m) ** 2 / v, abs=1e-12)
        overlap = sqrt(2 * sqrt(v * w) / (v + w)) * exp(-0.25 * (mean - m) ** 2 / (v + w))
        assert row["hellinger"] == pytest.approx(sqrt(1 - overlap), abs=1e-8)  # a root of rounding errors
        kl = 0.5 * (v / w + (mean - m) ** 2 / w - 1 + log(w / v))
        assert row["kl"] == pytest.approx(kl, abs=1e-12)
        total = w + SE[i] ** 2
        z = (Y[i] - m) / sqrt(total)
        assert row["z"] == pytest.approx(z, abs=1e-12)
        assert row["pit"] == pytest.approx(ndtr(z), abs=1e-12)
        assert row["elpd"] == pytest.approx(-0.5 * (z * z + log(2 * pi * total)), abs=1e-12)
        assert (row["tau"], row["tau_change"]) == (0.0, 0.0)


@pytest.mark.parametrize("mu", ["Normal(0, 1)", "Flat()"])
@pytest.mark.parametrize("tau", ["HalfNormal(0.3)", "HalfCauchy(0.2)", "LogNormal(-1, 1)"])
def test_the_prediction_of_a_study_is_the_ratio_of_evidences(mu, tau):
    """p(y) = p(y without i) p(yi | y without i)."""
    model = bm.Model(mu=mu, tau=tau)
    whole = bm.fit(studies(), model)
    table = bm.influence(whole)
    for i in range(4):
        without = bm.fit(studies().take(others(i)), model)
        assert table["elpd"].iloc[i] == pytest.approx(whole.log_evidence - without.log_evidence, abs=1e-8)


def test_changes_are_those_of_direct_refits():
    whole = bm.fit(studies(), MODEL)
    table = bm.influence(whole)
    mu, tau = whole.marginal("mu"), whole.marginal("tau")
    x = np.linspace(-6, 6, 24_001)
    for i in range(4):
        without = bm.fit(studies().take(others(i)), MODEL)
        row, other = table.iloc[i], without.marginal("mu")
        assert row["mu"] == pytest.approx(other.median, abs=1e-9)
        assert row["tau"] == pytest.approx(without.marginal("tau").median, abs=1e-9)
        assert row["shift"] == pytest.approx((mu.mean - other.mean) / mu.sd, abs=1e-9)
        assert row["tau_change"] == pytest.approx(tau.median - without.marginal("tau").median, abs=1e-9)
        p, q, step = mu.density(x), other.density(x), x[1] - x[0]
        assert row["hellinger"] ** 2 == pytest.approx(1 - np.sqrt(p * q).sum() * step, abs=1e-9)
        assert row["kl"] == pytest.approx((p * np.log(p / q)).sum() * step, abs=1e-9)


def test_the_probability_below_the_observed_effect_is_that_of_an_integral_over_the_new_effect():
    without = bm.fit(studies().take(others(3)), MODEL)
    x = np.linspace(-12, 12, 12_001)
    below = (without.marginal("theta_new").density(x) * ndtr((Y[3] - x) / SE[3])).sum() * (x[1] - x[0])
    table = bm.influence(bm.fit(studies(), MODEL))
    assert table["pit"].iloc[3] == pytest.approx(below, abs=1e-9)
    assert ndtr(table["z"].iloc[3]) == pytest.approx(below, abs=1e-9)


def test_a_study_that_says_nothing_has_no_influence():
    given = bm.Studies.from_effects([*Y, 3.0], sei=[*SE, 1e6])
    row = bm.influence(bm.fit(given, MODEL)).iloc[-1]
    assert abs(row["shift"]) < 1e-9
    assert row["hellinger"] < 1e-7
    assert abs(row["tau_change"]) < 1e-9


def test_a_typing_error_has_a_z_score_far_beyond_rounding():
    """794 for 0.794: the probability below is 1 to the last digit, its normal quantile still finite."""
    given = bm.Studies.from_effects([*Y[:3], 794.0], sei=SE)
    row = bm.influence(bm.fit(given, MODEL)).iloc[-1]
    assert row["z"] > 30
    assert np.isfinite(row["z"])
    assert row["elpd"] < -1000


def test_moments_that_do_not_exist_are_not_shown():
    given = bm.Studies.from_effects(Y[:2], sei=SE[:2])
    table = bm.influence(bm.fit(given, bm.Model(mu="Flat()", tau="HalfCauchy(0.2)")))
    assert table[["shift", "cook"]].isna().all(axis=None)  # the variance of mu given one study is infinite
    assert np.isfinite(table[["hellinger", "kl", "z", "elpd"]]).all(axis=None)


@pytest.mark.parametrize("name", ["bcg", "bmd_yu775"])
def test_classical_twins_are_metafors(name):
    """Stored by metafor; REML with tight tolerances, where stored, else with default ones."""
    content = json.loads((REFERENCE / f"{name}.json").read_text())
    main = content["main"]
    used = np.array(main["used_rows"], dtype=int) - 1
    given = bm.Studies.from_effects(
        np.array(main["yi"], dtype=float)[used], vi=np.array(main["vi"], dtype=float)[used]
    )
    scale = content["tau_prior_scale"]
    table = bm.influence(bm.fit(given, bm.Model(mu="Flat()", tau=f"HalfNormal({scale!r})")))
    tight, stored = content["metafor_tight"]["leave1out_REML"], content["metafor"]
    se = np.array(tight["se"])
    np.testing.assert_allclose(table["fixed"], stored["leave1out"]["FE"]["estimate"], rtol=1e-10)
    assert np.abs((table["REML"] - tight["estimate"]) / se).max() < 1e-6
    assert np.abs((table["REML_tau"] ** 2 - tight["tau2"]) / np.array(tight["tau2"])).max() < 1e-5
    loose = 1e-5 if name == "bcg" else 5e-3  # metafor's default stops within 1e-5 of tau2, or 2 % of it here
    found, theirs = stored["influence"]["REML"], table
    np.testing.assert_allclose(theirs["REML_rstudent"], found["rstudent"], rtol=loose)
    np.testing.assert_allclose(theirs["REML_cook"], found["cook.d"], rtol=20 * loose, atol=1e-5)


def test_there_is_no_influence_without_others_or_with_moderators():
    with pytest.raises(ModelError) as caught:
        bm.influence(bm.fit(studies().take([0]), MODEL))
    assert str(caught.value) == "influence needs at least 2 studies; got 1"
    given = studies(data={"x": [0.0, 1.0, 2.0, 4.0]})
    model = bm.Model("x", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.3)")
    with pytest.raises(ModelError) as caught:
        bm.influence(bm.fit(given, model))
    assert str(caught.value) == "influence takes mods '1' alone; got mods 'x'"


# Figure


def test_the_plot_shows_four_columns_and_what_is_striking_in_red():
    table = bm.influence(bm.fit(bm.Studies.from_effects([0.1, 0.2, 0.1, 2.0], sei=[0.1] * 4), MODEL))
    axes = plots.influence(table)
    assert [ax.get_xlabel() for ax in axes] == [
        "predicted by the others, z",
        "shift of μ, in sds",
        "change of τ",
        "distance of posteriors of μ",
    ]
    striking = [
        part for part in axes[0].collections if len(part.get_facecolors()) and part.get_offsets().size
    ]
    red = [part for part in striking if tuple(part.get_facecolors()[0]) == to_rgba(ALARM)]
    assert [part.get_offsets()[:, 1].tolist() for part in red] == [[3.0]]
    np.testing.assert_allclose(red[0].get_offsets()[:, 0], table["z"].iloc[3])
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(table.index)


def test_mistakes_in_the_call_of_the_plot_are_refused():
    table = bm.influence(bm.fit(studies(), MODEL))
    with pytest.raises(AnalysisError) as caught:
        plots.influence(table.drop(columns="z"))
    assert str(caught.value) == (
        "the table has no column 'z'; give what bm.influence(fit) returned to plots.influence"
    )
    with pytest.raises(AnalysisError) as caught:
        plots.influence(table, [plots.influence(table)[0]])
    assert str(caught.value) == "the influence plot needs 4 Axes; got 1"
