"""What stands on the Axes of a forest plot: the numbers of its table, at their places."""

import numpy as np
import pytest
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from bayesmeta.classical import split_studies
from bayesmeta.fitting import fit
from bayesmeta.plots import forest, forest_rows
from bayesmeta.plots.layout import layout_of
from bayesmeta.plots.marks import CLIPPED


def squares(ax):
    return [line for line in ax.lines if line.get_marker() == "s" and line.get_transform() == ax.transData]


def arrows(ax):
    """Return the marks at clipped ends as (side, height)."""
    return [(line.get_marker(), line.get_ydata()[0]) for line in ax.lines if line.get_label() == CLIPPED]


def diamonds(ax):
    return [patch.get_xy() for patch in ax.patches if isinstance(patch, Polygon)]


def boxes(ax):
    """Return the boxes of all texts in pixels, drawn by Agg."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(ax.get_figure(root=True)).get_renderer()
    shown = [text for text in [*ax.texts, *ax.get_xticklabels()] if text.get_text()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in shown]


def overlapping(ax):
    found = boxes(ax)
    pairs = []
    for i, (one, box) in enumerate(found):
        for two, other in found[i + 1 :]:
            wide = min(box.x1, other.x1) - max(box.x0, other.x0)
            high = min(box.y1, other.y1) - max(box.y0, other.y0)
            if wide > 0.5 and high > 0.25 * min(box.height, other.height):
                pairs.append((one, two))
    return pairs


def outside(ax):
    figure = ax.get_figure(root=True)
    edge = figure.bbox
    return [
        text
        for text, box in boxes(ax)
        if box.x0 < edge.x0 - 1 or box.x1 > edge.x1 + 1 or box.y0 < edge.y0 - 1 or box.y1 > edge.y1 + 1
    ]


def test_every_estimate_of_the_table_is_drawn_where_it_says(bmd, texts):
    table, ax = forest_rows(bmd), forest(bmd)
    studies = [row for row in table.rows if row.kind == "study"]
    drawn = [float(line.get_xdata()[0]) for line in squares(ax)]
    np.testing.assert_allclose(drawn, [row.observed.centre for row in studies], rtol=1e-12)
    (corners,) = diamonds(ax)
    pooled = next(row.posterior for row in table.rows if row.kind == "pooled")
    np.testing.assert_allclose(corners[:3, 0], [pooled.lower, pooled.centre, pooled.upper], rtol=1e-12)
    for row in table.rows:
        for span in row.spans:
            assert table.text(span) in texts(ax)


def test_squares_grow_in_area_with_the_weight(bmd):
    areas = np.array([line.get_markersize() ** 2 for line in squares(forest(bmd))])
    weights = np.array([row.weight for row in forest_rows(bmd).rows if row.kind == "study"])
    share = weights / weights.max()
    slope = np.diff(areas[np.argsort(share)]) / np.diff(np.sort(share))
    assert areas.max() / areas.min() > 3
    np.testing.assert_allclose(slope, slope[0], rtol=1e-6)


def test_clipped_intervals_have_arrows_and_others_have_none(bmd):
    ax, table = forest(bmd), forest_rows(bmd)
    left, right = ax.get_xlim()
    beyond = [("<", span) for row in table.rows for span in row.spans if span.lower < left]
    beyond += [(">", span) for row in table.rows for span in row.spans if span.upper > right]
    # the two small trials, as on the target figure: Yu 2023 and Huang 2018
    assert [side for side, _ in beyond] == ["<", "<"]
    assert sorted(side for side, _ in arrows(ax)) == sorted(side for side, _ in beyond)


def test_an_interval_far_beyond_both_ends_has_two_arrows(ready_made):
    ax = forest(ready_made([0.2, 0.3, 0.25], [0.1, 0.1, 300.0], measure="OR"))
    assert {side for side, _ in arrows(ax)} == {"<", ">"}
    assert np.isfinite(ax.get_xlim()).all()


def test_an_estimate_off_the_axis_has_no_square(ready_made):
    ax = forest(ready_made([0.2, 0.3, 1e8], [0.1, 0.1, 1e8]))
    assert len(squares(ax)) == 2


def test_ratios_stand_on_a_log_axis_labelled_with_the_ratio(refracture):
    ax = forest(refracture)
    assert ax.get_xscale() == "log"
    labels = [text.get_text() for text in ax.get_xticklabels()]
    np.testing.assert_allclose(ax.get_xticks(), [float(label) for label in labels], rtol=1e-12)
    assert "1" in labels
    assert "0.1" in labels


def test_differences_stand_on_a_linear_axis(bmd):
    assert forest(bmd).get_xscale() == "linear"


def test_a_study_without_an_estimate_is_a_row_without_marks(refracture, texts):
    ax = forest(refracture)
    assert "Huang 2018" in texts(ax)
    assert texts(ax).count("not estimable") == 1
    assert len(squares(ax)) == 3


def test_a_count_fit_draws_the_posterior_of_a_study_without_an_estimate(sampled_counts, texts):
    ax = forest(sampled_counts)
    assert texts(ax).count("not estimable") == 1
    dots = [line for line in ax.lines if line.get_marker() == "o" and line.get_transform() == ax.transData]
    assert (len(squares(ax)), len(dots)) == (3, 4)


def test_subgroup_diamonds_are_open_and_the_pooled_one_is_filled(bmd, bmd_studies):
    groups = {
        name: fit(part, bmd.model) for name, part in split_studies(bmd_studies, "exercise_type").items()
    }
    ax = forest(bmd, subgroups=groups)
    faces = [patch.get_facecolor() for patch in ax.patches if isinstance(patch, Polygon)]
    white = (1.0, 1.0, 1.0, 1.0)
    assert faces[:2] == [white, white]
    assert faces[2] != white


def test_a_regression_has_no_diamond(bmd_regression):
    assert diamonds(forest(bmd_regression)) == []


def test_the_given_axes_are_used_and_returned(bmd):
    figure = Figure(figsize=(12, 6))
    ax = figure.subplots(1, 2)[0]
    box = ax.get_position()
    assert forest(bmd, ax) is ax
    inner = ax.get_position()
    assert box.x0 < inner.x0 < inner.x1 < box.x1
    assert overlapping(ax) == []


def test_the_figure_grows_with_the_rows(ready_made):
    heights = []
    for k in (1, 4, 11):
        ax = forest(ready_made(np.linspace(0, 1, k), np.full(k, 0.2)))
        heights.append(ax.get_figure().get_figheight())
    assert heights[0] < heights[1] < heights[2]


@pytest.mark.parametrize("k", [1, 4, 11, 40, pytest.param(100, marks=pytest.mark.slow)])
def test_no_text_touches_another_or_leaves_the_page(ready_made, k):
    rng = np.random.default_rng(k)
    labels = [f"A rather long name of study number {i}, 20{i:02d}, with a subtitle" for i in range(k)]
    one = ready_made(
        rng.normal(0, 1, k),
        rng.uniform(0.1, 2, k),
        slab=labels,
        measure="OR",
        better="lower",
        group1="a new treatment with a long name",
        group2="usual care as it was in those days",
    )
    ax = forest(one)
    assert overlapping(ax) == []
    assert outside(ax) == []
    assert any(text.get_text().endswith("…") for text in ax.texts)


def test_text_stays_apart_with_arms_and_subgroups(bmd, bmd_studies):
    groups = {name: fit(part, bmd.model) for name, part in split_studies(bmd_studies, "tradition").items()}
    ax = forest(bmd, subgroups=groups)
    assert overlapping(ax) == []
    assert outside(ax) == []


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e6, 1e12])
def test_any_unit_gives_ticks_that_differ(ready_made, unit):
    from bayesmeta.model import Model

    model = Model(mu=f"Normal(0, {20 * unit})", tau=f"HalfNormal({unit})")
    ax = forest(ready_made(unit * np.array([0.1, 0.5, 0.9]), unit * np.array([0.1, 0.2, 0.1]), model))
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert len(labels) >= 2
    assert len(set(labels)) == len(labels)
    assert overlapping(ax) == []


def test_an_unreliable_fit_is_stamped(bmd, texts):
    from dataclasses import replace

    from bayesmeta.results.diagnostics import Diagnostics

    assert "UNRELIABLE: the sampler did not converge" not in texts(forest(bmd))
    bad = replace(bmd, diagnostics=_Unreliable())
    assert "UNRELIABLE: the sampler did not converge" in texts(forest(bad))
    assert hasattr(Diagnostics, "status")


class _Unreliable:
    status = "unreliable"


def test_the_layout_has_a_place_for_each_row_and_cell(bmd):
    table = forest_rows(bmd)
    layout = layout_of(table)
    assert list(layout.rows) == sorted(layout.rows)
    assert len(layout.rows) == len(table.rows)
    assert len(layout.cells) == 4
    assert layout.panel[1] < layout.weights < layout.estimates < layout.width


def test_nothing_else_is_drawn_on_the_axes(bmd):
    ax = forest(bmd)
    assert not [one for one in ax.collections if isinstance(one, Collection)]
    assert ax.get_legend() is None
