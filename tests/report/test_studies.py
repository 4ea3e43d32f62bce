"""Influence, outliers, subsets, groups and selected moderators, from a run to the tables of its report."""

from __future__ import annotations

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

import bayesmeta as bm
from bayesmeta.cli import view
from bayesmeta.report import render
from bayesmeta.report import studies_tables as tables
from bayesmeta.report.facts import Facts

GROUPS = '[[subgroups]]\nby = "site"\ntau = "shared"\n'
MODERATORS = '[moderators]\nterms = ["months", "site"]\n'
STUDIES = "[sensitivity]\nstudies = true\natlas = false\n"


@pytest.fixture
def facts(small):
    return Facts(small(rest=GROUPS + MODERATORS + STUDIES), {})


def cells(row):
    return [cell.replace("\xa0", " ").replace("\u202f", " ") for cell in row.cells]


def given():
    return bm.Studies.from_effects(
        [0.10, 0.30, 0.20, 0.50],
        sei=[0.10, 0.12, 0.20, 0.15],
        slab=list("ABCD"),
        measure="SMD",
        data={"months": [3, 6, 6, 12], "site": ["hip", "hip", "spine", "spine"]},
    )


def test_every_study_has_a_row_and_its_numbers_are_those_of_the_function(facts):
    rows = facts.document["robustness"]["influence"]
    table = bm.influence(bm.fit(given()))
    assert [one["study"] for one in rows] == list("ABCD")
    assert [one["shift"] for one in rows] == pytest.approx(table["shift"].tolist(), rel=1e-7)
    shown = tables.influence_table(facts)
    assert cells(shown.rows[0])[:2] == ["A", f"{table['z'].iloc[0]:.2f}".replace("-", "−")]


def test_a_study_that_is_not_predicted_is_marked(facts):
    facts.document["robustness"]["influence"][1]["z"] = -2.5
    assert [row.style for row in tables.influence_table(facts).rows] == ["", "bad", "", ""]


def test_the_last_step_is_the_answer_from_all_studies(facts):
    last = facts.document["robustness"]["cumulative"]["studies"][-1]
    assert last["k"] == 4
    for part in ("median", "lower", "upper"):
        assert last["mu"][part] == pytest.approx(facts.posterior["mu"][part], rel=1e-7)
    assert len(tables.cumulative_table(facts).rows) == 4


def test_all_subsets_of_two_and_more_are_counted(facts):
    assert facts.document["robustness"]["subsets"]["count"] == 11
    assert "Over 11 subsets of two or more studies" in tables.subsets_text(facts)


def test_what_an_outlier_is_and_is_not_is_said(facts):
    """Outliers vary by ten medians of the standard errors more (Outliers.extra)."""
    further = 10 * np.median(given().sei)
    assert f"whose true effect has a further SD of {further:.2g}, 5" in tables.influence_table(facts).caption
    facts.document["robustness"]["outliers"]["log_bayes_factor"] = float(np.log(3))
    text = tables.outlier_text(facts)
    assert (
        "the Bayes factor of the model that allows for outliers against the one that does not is 3." in text
    )
    assert text.endswith("That a study lies apart does not say why, and is no reason to leave it out.")


def test_groups_that_share_tau_are_the_levels_of_a_regression(facts):
    division = facts.document["subgroups"]["site"]
    model = bm.Model(mods="0 + C(site)")
    fit = bm.fit(given(), model)
    assert division["tau"] == "shared"
    for group in ("hip", "spine"):
        wanted = fit.marginal(f"site[{group}]").median
        assert division["shared"][group]["median"] == pytest.approx(wanted, rel=1e-7)
    difference = division["posterior_differences"]["spine - hip"]
    draws = fit.draws(4000, seed=1)["beta"].to_numpy().reshape(-1, 2)
    # 4,000 draws: a standard error of 0.016 sd
    gap = np.diff(draws, axis=1)
    assert difference["mean"] == pytest.approx(gap.mean(), abs=0.08 * gap.std())
    assert cells(tables.shared_table(facts, "site", division).rows[0])[0] == "hip"
    assert "one τ for all groups" in tables.differences_table(facts, "site", division).caption


def test_report_and_terminal_show_groups_that_share_tau_as_the_regression_has_them(facts):
    regression = bm.fit(given(), bm.Model(mods="0 + C(site)"))
    apart = bm.fit(bm.Studies.from_effects([0.10, 0.30], sei=[0.10, 0.12], measure="SMD"), bm.Model())
    mean, tau = regression.marginal("site[hip]"), regression.marginal("tau").median
    assert abs(tau - apart.marginal("tau").median) > 0.02  # lest both tables read the same
    page = render(facts.document)
    assert "Subgroups by site, with one τ for all" in page
    assert "Subgroups by site, each with a τ of its own" not in page
    row = cells(tables.shared_table(facts, "site", facts.document["subgroups"]["site"]).rows[0])
    assert row[2].startswith(f"{mean.median:.2f} [") or row[2].startswith(f"{mean.median:.3f} [")
    assert row[3].startswith(f"{tau:.2f} [") or row[3].startswith(f"{tau:.3f} [")
    console = Console(file=StringIO(), width=100)
    for part in view.subgroups(facts.document):
        console.print(part)
    heading, _, hip, *_ = console.file.getvalue().strip().splitlines()
    assert heading.rstrip() == "Subgroups by site, with one tau for all"
    name, k, shown, *_ = hip.split()
    assert (name, k) == ("hip", "2")
    assert float(shown) == pytest.approx(mean.median, abs=5e-4)
    assert f" {tau:.3f} " in hip


def test_selected_moderators_are_those_of_the_function(facts):
    found = bm.moderator_selection(given(), ["months", "site"])
    wanted = found.inclusion()["posterior"]
    block = facts.document["moderators"]
    assert block["count"] == 4
    for name in ("months", "site"):
        assert block["inclusion"][name]["posterior"] == pytest.approx(wanted[name], rel=1e-8)
    assert [row.cells[0] for row in tables.inclusion_table(facts).rows] == ["months", "site"]
    assert "months" in [row.cells[0] for row in tables.averaged_table(facts).rows]
    best = found.models(1).iloc[0]
    what = "The model without moderators" if best["mods"].strip() == "1" else f"The model “{best['mods']}”"
    assert tables.moderators_text(facts).startswith(f"{what} is the likeliest of them, with probability ")


def test_without_being_asked_there_is_none_of_it(small):
    facts = Facts(small(), {})
    assert tables.influence_table(facts) is None
    assert tables.cumulative_table(facts) is None
    assert tables.inclusion_table(facts) is None
    assert tables.averaged_table(facts) is None
    assert tables.outlier_text(facts) == tables.subsets_text(facts) == tables.moderators_text(facts) == ""


def test_a_moderator_that_is_not_there_stops_the_run_before_it_begins(small):
    with pytest.raises(bm.errors.BayesmetaError) as caught:
        small(rest='[moderators]\nterms = ["month"]\n')
    assert "[moderators]: " in str(caught.value)
    assert "month" in str(caught.value)


def test_groups_that_cannot_share_tau_stop_the_run_before_it_begins(small):
    one = "study,yi,sei,site\nA,0.1,0.1,hip\nB,0.3,0.1,hip\n"
    with pytest.raises(bm.errors.BayesmetaError) as caught:
        small(rows=one, rest=GROUPS)
    assert str(caught.value).startswith("[[subgroups]] by = 'site': tau = 'shared': ")


def test_a_line_without_tipping_points_is_refused(small):
    with pytest.raises(bm.errors.AnalysisError) as caught:
        small(rest="[sensitivity]\ndecision = 0.9\n")
    assert str(caught.value).endswith(
        "[sensitivity] decision: is the line of the tipping points; add tipping_points = true"
    )


def test_the_line_of_tipping_points_is_that_of_the_file(small):
    block = small(rest="[sensitivity]\ntipping_points = true\ndecision = 0.8\n")["robustness"]
    assert block["tipping_points"]["decision"] == 0.8
