"""`Studies` as a value: frozen, comparable, picklable, writable as JSON, and its parts."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmeta.errors import AnalysisError, DataError
from bayesmeta.studies import Studies, effect_sizes

V = [[0.01, 0.002, 0.001], [0.002, 0.04, 0.003], [0.001, 0.003, 0.09]]
TABLE = {"g": ["a", "b", "a"], "x": [1.0, np.nan, 3.0]}


def given_effects(**changes):
    options = {"V": V, "slab": ["A", "B", "C"], "data": TABLE, "ni": [10, 20, 30], "units": "g", **changes}
    return Studies.from_effects([0.1, 0.2, 0.3], **options)


def counts(drop00=True):
    return effect_sizes(
        {"g": ["a", "b", "a"]},
        "OR",
        ai=[3, 0, 2],
        n1i=[10, 10, 10],
        ci=[5, 0, 4],
        n2i=[10, 10, 10],
        drop00=drop00,
    )


BOTH = pytest.mark.parametrize("make", [given_effects, counts])


@BOTH
def test_equal_contents_make_equal_values(make):
    assert make() == make()
    assert hash(make()) == hash(make())
    assert make() != "studies"


@pytest.mark.parametrize(
    "change",
    [
        {"units": "kg"},
        {"slab": ["A", "B", "D"]},
        {"ni": [10, 20, 31]},
        {"ni": None},
        {"better": "higher"},
        {"group1": "exercise"},
        {"measure": "MD"},
        {"V": None, "vi": [0.01, 0.04, 0.09]},
        {"data": {**TABLE, "x": [1.0, 2.0, 3.0]}},
        {"data": {"g": TABLE["g"]}},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_difference_in_any_part_makes_values_differ(change):
    assert given_effects(**change) != given_effects()


@BOTH
def test_a_value_survives_pickling(make):
    assert pickle.loads(pickle.dumps(make())) == make()  # noqa: S301


@BOTH
def test_a_value_survives_the_journey_through_json(make):
    text = json.dumps(make().to_dict(), allow_nan=False)
    assert Studies.from_dict(json.loads(text)) == make()


@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e6), st.floats(1e-3, 1e3), st.text("abc é\"\\'", min_size=1).filter(str.strip)
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_effects_survive_the_journey_through_json(rows):
    yi, sei, labels = map(list, zip(*rows, strict=True))
    ours = Studies.from_effects(yi, sei=sei, slab=labels, data={"t": labels, "x": sei})
    assert Studies.from_dict(json.loads(json.dumps(ours.to_dict(), allow_nan=False))) == ours


def test_a_text_column_of_empty_cells_stays_text():
    ours = given_effects(data={"note": ["", "", "x"]})
    assert Studies.from_dict(ours.to_dict()) == ours


def test_a_dictionary_of_something_else_is_refused():
    content = given_effects().to_dict()
    content["extra"] = content.pop("units")
    with pytest.raises(DataError) as caught:
        Studies.from_dict(content)
    assert str(caught.value) == "not a dictionary of studies; missing or unknown: extra, units"


@BOTH
def test_nothing_in_a_value_can_be_changed(make):
    ours = make()
    for array in (ours.yi, ours.vi, ours.estimable, *ours.columns.values(), *ours.arms.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[0]
    with pytest.raises(TypeError):
        ours.columns["new"] = ours.yi
    with pytest.raises(AttributeError):
        ours.units = "kg"


def test_a_value_does_not_follow_the_arrays_it_was_made_from():
    yi, sei = np.array([0.1, 0.2]), np.array([0.1, 0.2])
    ours = Studies.from_effects(yi, sei=sei)
    yi[0] = sei[0] = 99
    assert ours.yi[0] == 0.1
    assert ours.sei[0] == pytest.approx(0.1)


# Taking, leaving out, pooling


def test_taking_studies_takes_every_part_in_the_order_asked_for():
    ours = given_effects().take([2, 0])
    assert ours.slab == ("C", "A")
    assert ours.yi.tolist() == [0.3, 0.1]
    assert ours.vi.tolist() == [0.09, 0.01]
    assert ours.V.tolist() == [[0.09, 0.001], [0.001, 0.01]]
    assert ours.ni.tolist() == [30, 10]
    assert ours.columns["x"].tolist() == [3, 1]
    assert ours.units == "g"


def test_taking_by_a_mask_keeps_the_order():
    assert given_effects().take([True, False, True]).slab == ("A", "C")
    assert given_effects().take(np.array([-1])).slab == ("C",)


def test_studies_taken_twice_get_different_labels():
    assert given_effects(V=None, sei=[1, 1, 1]).take([0, 0, 1]).slab == ("A.1", "A.2", "B")


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ([], "no studies are left"),
        ([False, False, False], "no studies are left"),
        ([3], "there are 3 studies; got places [3]"),
        ([-4], "there are 3 studies; got places [-4]"),
        ([0.5], "places must be whole numbers or a mask; got float64"),
        (["A"], "places must be whole numbers or a mask; got <U1"),
        ([True, False], "a mask must have one value for each of the 3 studies; got shape (2,)"),
    ],
)
def test_places_that_do_not_exist_are_refused(which, expected):
    with pytest.raises(DataError) as caught:
        given_effects().take(which)
    assert str(caught.value) == expected


def test_leaving_out_a_study_leaves_the_others():
    assert given_effects().without(1).slab == ("A", "C")
    assert given_effects().without(-1).slab == ("A", "B")
    with pytest.raises(DataError) as caught:
        given_effects().without(3)
    assert str(caught.value) == "there are 3 studies; got place 3"


def test_pooled_studies_are_those_with_an_estimate():
    assert counts().pooled().slab == ("Study 1", "Study 3")
    ours = counts(drop00=False)
    assert ours.pooled() is ours


def test_studies_none_of_which_can_be_pooled_are_refused():  # INPUTS 072
    alone = counts().take([1])
    with pytest.raises(DataError) as caught:
        alone.pooled()
    assert str(caught.value) == "no study has an estimate of the log odds ratio; no events in either group"


def test_doubts_about_effects_are_made_anew_for_a_subset():
    ours = Studies.from_effects([0.1, 0.2, 0.2], sei=[1e-6, 1, 1])
    assert [name for name, _ in ours.notes] == ["se-ratio"]
    assert [name for name, _ in ours.take([1, 2]).notes] == ["identical-effects"]


# The constructor checks itself

SAME_LABELS = "labels must differ from one another; Studies.from_effects and effect_sizes number them"
UNUSABLE = "an estimable study must have a finite effect and a finite variance > 0"
NO_ARMS = "only a study with arm data may be without an estimate"
ONE_EACH = "must have one value for each of the 2 studies; got shape "


@pytest.mark.parametrize(
    ("change", "error", "expected"),
    [
        ({"slab": ("A", "A")}, DataError, SAME_LABELS),
        ({"vi": [1.0]}, DataError, "vi " + ONE_EACH + "(1,)"),
        ({"vi": [1.0, 0.0]}, DataError, UNUSABLE),
        ({"yi": [1.0, np.inf]}, DataError, UNUSABLE),
        ({"yi": [1.0, np.nan], "estimable": [True, False]}, DataError, NO_ARMS),
        ({"V": np.eye(3)}, DataError, "V must have shape (2, 2); got (3, 3)"),
        ({"columns": {"x": np.ones(3)}}, DataError, "x " + ONE_EACH + "(3,)"),
        ({"measure": "LOR"}, AnalysisError, "unknown measure 'LOR'; did you mean 'OR'?"),
        ({"slab": (), "yi": [], "vi": []}, DataError, "no studies are left"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change, error, expected):
    with pytest.raises(error) as caught:
        Studies(**{"slab": ("A", "B"), "yi": [0.1, 0.2], "vi": [1.0, 1.0], **change})
    assert str(caught.value) == expected


# Frames and names


def test_the_frame_of_studies_has_labels_effects_errors_and_moderators():
    frame = given_effects().to_frame()
    assert list(frame.columns) == ["slab", "yi", "sei", "g", "x"]
    assert frame["sei"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert list(given_effects().data.columns) == ["slab", "g", "x"]


def test_a_study_set_says_what_it_is():
    assert repr(given_effects()) == "<Studies: 3 studies, GEN, g; g, x>"
    assert repr(given_effects(units="", data=None)) == "<Studies: 3 studies, GEN; no moderators>"


def test_ratios_know_their_names():
    ours = counts()
    assert ours.is_ratio
    assert (ours.effect_label, ours.analysis_label) == ("Odds ratio", "Log odds ratio")
    assert not given_effects().is_ratio
