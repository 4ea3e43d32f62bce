"""Which figures an outcome has, and what their captions say."""

from dataclasses import replace

import pytest

from bayesmeta.analysis import load_analysis
from bayesmeta.plots import to_bytes
from bayesmeta.workflow.compute import compute
from bayesmeta.workflow.figures import figures
from bayesmeta.workflow.robustness import Robustness

WITHOUT_INTERVALS = {"prior_atlas", "prior_spaghetti", "tipping", "influence", "gosh"}


@pytest.fixture(scope="module")
def outcome():
    return compute(load_analysis("exercise_bmd"), engine="exact")


@pytest.fixture(scope="module")
def found(outcome):
    return {one.name: one for one in figures(outcome)}


def test_an_outcome_has_each_figure_that_applies(found):
    assert list(found) == [
        "forest",
        "funnel",
        "density_mu",
        "density_tau",
        "bubble_duration",
        "bubble_all",
        "leave_one_out",
        "prior_sensitivity",
        "prior_atlas",
        "prior_spaghetti",
        "tipping",
        "influence",
        "cumulative",
        "gosh",
    ]


def test_captions_state_kind_and_level(found):
    for name, one in found.items():
        if name in WITHOUT_INTERVALS:
            continue
        assert "95%" in one.caption
        if name != "funnel":
            assert "95% equal-tailed interval" in one.caption
    assert "Other moderators are held at" in found["bubble_all"].caption


def test_the_forest_plot_has_the_blocks_of_the_first_division(found, outcome):
    (ax,) = found["forest"].figure.axes
    shown = [text.get_text() for text in ax.texts]
    assert {"Local", "Whole-body"} <= set(shown)
    assert f"by {outcome.subgroups[0].by}" in found["forest"].caption


def test_what_was_not_asked_for_is_not_drawn(outcome):
    bare = replace(outcome, subgroups=(), regressions={}, left_out=(), priors=(), robustness=Robustness())
    names = {one.name: one for one in figures(bare)}
    assert list(names) == ["forest", "funnel", "density_mu", "density_tau"]
    assert "subgroups" not in names["forest"].caption


def test_a_main_model_with_moderators_has_neither_funnel_nor_pooled_density(outcome):
    regression = replace(
        outcome,
        main=outcome.regressions["duration"],
        left_out=(),
        priors=(),
        subgroups=(),
        robustness=Robustness(),
    )
    names = [one.name for one in figures(regression)]
    assert names == ["forest", "density_tau", "bubble_duration", "bubble_all"]


def test_the_kind_and_level_of_the_analysis_are_used(outcome):
    interval = replace(outcome.analysis.interval, kind="hdi", prob=0.9)
    bare = replace(
        outcome,
        analysis=replace(outcome.analysis, interval=interval),
        subgroups=(),
        regressions={},
        left_out=outcome.left_out[:2],
        priors=(),
        robustness=Robustness(),
    )
    for one in figures(bare):
        assert "90%" in one.caption
        shown = " ".join(
            text.get_text()
            for ax in one.figure.axes
            for text in [*ax.texts, *(ax.get_legend().get_texts() if ax.get_legend() else [])]
        )
        assert "90%" in shown
        assert "95%" not in shown


def test_figures_can_be_written(found):
    assert to_bytes(found["density_tau"].figure).startswith(b"<?xml")
