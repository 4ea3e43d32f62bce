"""What moderators explain: classical tests beside R2 as a posterior."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.errors import AnalysisError

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "bcg.json").read_text())


@pytest.fixture(scope="module")
def fit(bcg):
    return bm.fit(
        bcg, bm.Model(mods="ablat", mu="Normal(0, 2)", beta="Normal(0, 0.1)", tau="HalfNormal(0.5)")
    )


@pytest.fixture(scope="module")
def table(fit):
    return fit.moderator_tests()


def test_the_classical_rows_are_those_of_metafor(table):
    stored = REFERENCE["metafor_tight"]["metareg"]["cont"]["REML"]
    row = table.loc["REML"]
    for name in ("QM", "QMp", "QE", "QEp", "tau2", "R2"):
        assert row[name.replace("p", "_p")] == pytest.approx(stored[name], rel=1e-7), name
    assert (row["QM_df"], row["QE_df"]) == (1, 11)
    assert list(table.index) == ["fixed", "DL", "PM", "REML", "REML_HK", "exact"]


def test_the_posterior_of_R2_is_that_of_its_definition(fit, table):
    """Half a million draws of slope and tau from the exact posterior's nodes, by hand: 4 standard errors."""
    rng = np.random.default_rng(8)
    nodes = fit.posterior.nodes
    node = rng.choice(nodes.weights.size, size=500_000, p=nodes.weights)
    slope = nodes.beta[node, 1] + np.sqrt(nodes.cov[node, 1, 1]) * rng.standard_normal(node.size)
    spread = slope**2 * np.var(fit.problem.X[:, 1], ddof=1)
    share = 100 * spread / (spread + nodes.tau2[node])
    density = np.mean(np.abs(share - np.median(share)) < 1) / 2
    error = 4 * np.sqrt(0.25 / 40_000) / density
    assert abs(table.loc["exact", "R2"] - np.median(share)) < error
    assert table.loc["exact", "R2_lower"] < table.loc["exact", "R2"] < table.loc["exact", "R2_upper"]


def test_the_permutation_test_stands_beside_REML(four):
    fit = bm.fit(four, bm.Model(mods="dose", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.3)"))
    table = fit.moderator_tests(permutations=True)
    expected = bm.classical.permutation_test(four, "dose").QM_p
    assert table.loc["REML", "QM_permuted"] == expected
    assert np.isnan(table.loc["DL", "QM_permuted"])


def test_without_moderators_there_is_nothing_to_test(bcg):
    with pytest.raises(AnalysisError) as caught:
        bm.fit(bcg).moderator_tests()
    assert str(caught.value) == "there are no moderators in '1' to test"
