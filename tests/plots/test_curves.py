"""Curves over a moderator, and forest plots of subgroups, show the numbers of the tables."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import bayesmeta as bm
from bayesmeta.errors import AnalysisError
from bayesmeta.plots import bubble, curve, forest_rows


def axes():
    return Figure(figsize=(6, 4)).add_subplot()


def line(ax, label):
    return next(one for one in ax.lines if one.get_label() == label)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_the_line_and_the_bands_of_a_curve_are_those_of_the_table(bmd_regression):
    ax = curve(bmd_regression, "duration_months", prob=0.9)
    table = bmd_regression.curve("duration_months", n=80, prob=0.9)
    x, y = line(ax, "mean effect, median").get_data()
    np.testing.assert_allclose(x, table["duration_months"])
    np.testing.assert_allclose(y, table["median"], rtol=1e-9)
    new, mean = ax.collections[:2]
    for band, lower in ((new, "new_lower"), (mean, "lower")):
        corners = band.get_paths()[0].vertices
        assert corners[:, 1].min() == pytest.approx(table[lower].min(), rel=1e-9)
    assert [new.get_label(), mean.get_label()] == [
        "effect in a new study, 90% equal-tailed",
        "mean effect, 90% equal-tailed",
    ]
    assert "at exercise_type = local" in texts(ax)


def test_a_curve_is_dotted_where_no_study_is(bmd_regression):
    ax = curve(bmd_regression, "duration_months", axes(), span=(0.75, 24), at={"exercise_type": "whole-body"})
    solid = line(ax, "mean effect, median")
    known = solid.get_xdata()[np.isfinite(solid.get_ydata())]
    assert known.max() <= 12
    dotted = [one for one in ax.lines if one.get_linestyle() == ":"]
    assert np.nanmax(dotted[0].get_xdata()) == 24
    assert "at exercise_type = whole-body" in texts(ax)


def test_several_curves_have_their_names(bmd_studies, bmd):
    forms = {"linear": "duration_months", "log": "log(duration_months)"}
    fits = {name: bm.fit(bmd_studies, bmd.model.with_mods(mods)) for name, mods in forms.items()}
    ax = curve(fits, "duration_months")
    for name, one in fits.items():
        expected = one.curve("duration_months", n=80)["median"]
        np.testing.assert_allclose(line(ax, name).get_ydata(), expected, rtol=1e-9)
    assert line(ax, "linear").get_linestyle() != line(ax, "log").get_linestyle()


def test_a_ratio_is_drawn_as_a_ratio(ready_made):
    data = {"dose": [1.0, 2.0, 4.0, 8.0]}
    model = bm.Model(mods="dose", tau="HalfNormal(0.5)")
    one = ready_made([0.1, 0.3, 0.2, 0.6], [0.1] * 4, model, measure="OR", data=data)
    ax = curve(one, "dose")
    assert ax.get_yscale() == "log"
    expected = np.exp(one.curve("dose", n=80)["median"])
    np.testing.assert_allclose(line(ax, "mean effect, median").get_ydata(), expected, rtol=1e-9)


def test_more_curves_than_can_be_told_apart_are_refused(bmd_regression):
    with pytest.raises(AnalysisError) as caught:
        curve({str(i): bmd_regression for i in range(6)}, "duration_months")
    assert str(caught.value) == "a figure has room for 1 to 5 curves; got 6"


def test_a_bubble_plot_does_not_leave_the_domain_of_a_logarithm(ready_made):
    """6 % beyond the smallest dose, 0.1, would be negative."""
    data = {"dose": [0.1, 4.0, 10.0, 20.0]}
    model = bm.Model(mods="log(dose)", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.5)")
    one = ready_made([0.1, 0.3, 0.2, 0.6], [0.1] * 4, model, data=data)
    ax = bubble(one, "dose")
    assert ax.get_xlim()[0] == 0.1


# Subgroups as blocks of a forest plot


@pytest.fixture(scope="module")
def shared(bmd, bmd_studies):
    return bm.subgroups(bmd_studies, "exercise_type", bmd.model.with_mods("1"), tau="shared", levels=["none"])


def rows_of(table, kind):
    return [row for row in table.rows if row.kind == kind]


def test_diamonds_of_a_shared_tau_are_those_of_the_regression(bmd, shared):
    table = forest_rows(bmd, subgroups=shared)
    first, second, none = rows_of(table, "subgroup")
    for row, name in ((first, "local"), (second, "whole-body")):
        own = shared.table().loc[name, ["median", "lower", "upper"]].to_numpy(float)
        np.testing.assert_allclose(row.posterior, own, rtol=1e-9)
        assert row.note == "τ shared"
    counts = [row.label.removeprefix("Subgroup, k = ") for row in (first, second, none)]
    assert counts == ["7", "4", "0"]
    assert (none.posterior, none.note) == (None, "no studies")


def test_differences_and_a_shared_tau_are_told_below(bmd, shared):
    table = forest_rows(bmd, subgroups=shared)
    row = shared.differences().iloc[0]
    assert table.footer[0] == (
        f"Whole-body − local: {row['median']:.3f} [−{-row['lower']:.3f}, {row['upper']:.3f}], "
        f"P(> 0) = {row['probability']:.3f}."
    )
    tau = shared.table().iloc[0]
    assert table.footer[1] == (
        f"Subgroups share τ = {tau['tau']:.3f} [{tau['tau_lower']:.3f}, {tau['tau_upper']:.3f}]."
    )


def test_groups_with_their_own_tau_are_drawn_like_their_fits(bmd, bmd_studies):
    groups = bm.subgroups(bmd_studies, "exercise_type", bmd.model.with_mods("1"))
    table = forest_rows(bmd, subgroups=groups)
    same = forest_rows(bmd, subgroups={name: group.fit for name, group in groups.groups.items()})
    assert rows_of(table, "subgroup") == rows_of(same, "subgroup")
    assert table.footer[1:] == same.footer


def test_a_difference_of_ratios_is_a_ratio(refracture_studies, refracture):
    data = {"site": ["hip", "hip", "other", "other"]}
    used = refracture_studies.pooled()
    studies = bm.Studies.from_effects([*used.yi, -0.4], vi=[*used.vi, 0.4], measure="OR", data=data)
    model = bm.Model(mu="Normal(0, 2)", tau="HalfNormal(0.5)")
    table = forest_rows(bm.fit(studies, model), subgroups=bm.subgroups(studies, "site", model))
    assert table.footer[0].startswith("Other / hip: ")
    assert ", P(> 1) = " in table.footer[0]
