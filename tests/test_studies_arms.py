"""Effects computed from arms: what is accepted, and every sentence about what is not.

Numbers in comments are the rows of INPUTS, "Arm-level data". The effects themselves are tested in
`test_effectsizes.py` and `test_effectsizes_reference.py`.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import pandas as pd
import pytest

from bayesmeta.effectsizes import MEASURES
from bayesmeta.errors import AnalysisError, DataError
from bayesmeta.studies import effect_sizes

NAN = float("nan")
MEANS = {"m1i": [10, 9], "sd1i": [2, 2], "n1i": [20, 20], "m2i": [8, 8], "sd2i": [2, 2], "n2i": [20, 20]}
TABLE = {"ai": [3, 2], "n1i": [10, 10], "ci": [5, 4], "n2i": [10, 10]}
FIX = "Fix the cell"
EVENTS = "Are the columns swapped, or is it a percentage? Fix the cell"


def means(measure="MD", table=None, **changes):
    return effect_sizes(table or {}, measure, **{**MEANS, **changes})


def counts(measure="OR", **changes):
    return effect_sizes({}, measure, **{**TABLE, **changes})


def refusal(error, function, *args, **options):
    with pytest.raises(error) as caught:
        function(*args, **options)
    return str(caught.value)


def cell(row, column, must, got, advice=FIX):
    place = f'row {row} study "Study {row}" column "{column}": {must}; got {got}.'
    return f'{place} {advice}, or drop the row with exclude = ["Study {row}"].'


# Zero cells: 092, 093, 094, 095


def test_a_corrected_table_is_said():
    text = '0.5 was added to the cells of "Study 1"; a likelihood for counts needs no such correction'
    assert counts(ai=[0, 2]).notes == (("zero-cells", text),)
    assert counts().notes == ()


def test_a_double_zero_study_is_pooled_as_metafor_does_and_said():
    ours = counts(ai=[0, 2], ci=[0, 4])
    assert ours.estimable.tolist() == [True, True]
    text = '"Study 1": the estimate comes from the correction alone; drop00 = true leaves it out'
    assert dict(ours.notes)["double-zero"] == text


@pytest.mark.parametrize("measure", ["OR", "RR", "RD"])
@pytest.mark.parametrize(
    ("events", "reason"), [(0, "no events in either group"), (10, "nothing but events in both groups")]
)
def test_a_double_zero_study_stays_as_a_row_without_an_estimate_on_request(measure, events, reason):
    ours = counts(measure, ai=[events, 2], ci=[events, 4], drop00=True)
    assert ours.k == 2
    assert ours.estimable.tolist() == [False, True]
    assert np.isnan(ours.yi[0])
    assert np.isnan(ours.vi[0])
    assert ours.excluded == (("Study 1", reason),)
    assert ours.notes == (("double-zero", '"Study 1": without a contrast, left out of pooling'),)
    assert ours.pooled().slab == ("Study 2",)
    assert ours.arms["ai"].tolist() == [events, 2]


@pytest.mark.parametrize("drop00", [False, True])
@pytest.mark.parametrize(("measure", "label"), [("OR", "odds ratio"), ("RR", "risk ratio")])
def test_nothing_but_double_zero_studies_have_no_ratio(measure, label, drop00):
    expected = (
        f"every study has no events, or nothing but events, in both groups: the {label} cannot be estimated; "
        "use measure 'RD'"
    )
    assert refusal(DataError, counts, measure, ai=[0, 10], ci=[0, 10], drop00=drop00) == expected


def test_nothing_but_double_zero_studies_have_a_risk_difference_of_zero():
    assert counts("RD", ai=[0, 0], ci=[0, 0]).yi.tolist() == [0, 0]


def test_studies_without_any_event_have_no_rate_ratio():
    rates = {"x1i": [0, 0], "t1i": [9, 9], "x2i": [0, 0], "t2i": [9, 9]}
    text = refusal(DataError, effect_sizes, {}, "IRR", **rates)
    assert text.endswith("the incidence rate ratio cannot be estimated; use measure 'IRD'")


def test_a_zero_cell_without_a_correction_has_no_estimate():
    ours = counts(ai=[0, 2], to="none")
    assert ours.excluded == (("Study 1", "no estimate without a correction for its zero cells"),)


def test_a_perfect_association_has_no_phi():
    ours = counts("PHI", ai=[10, 3], ci=[0, 5])
    assert ours.excluded == (("Study 1", "no estimate, or one without sampling variance"),)


# Cells that cannot be true: 096, 097, 098, 099, 101, 104


def test_more_events_than_people_are_refused_with_both_numbers():
    text = refusal(DataError, counts, ai=[12, 2], ci=[5, 14])
    assert text.splitlines() == [
        cell(1, "ai", "events must be <= the group size 10", "12", EVENTS),
        cell(2, "ci", "events must be <= the group size 10", "14", EVENTS),
    ]


@pytest.mark.parametrize(
    ("value", "got", "advice"),
    [
        (-1, "-1", FIX),
        (1.5, "1.5", "It looks like a percentage: give the number of events"),
        (45.3, "45.3", "It looks like a percentage: give the number of events"),
        (0.45, "0.45", "It looks like a proportion: give the number of events"),
        (100.5, "100.5", FIX),
        (True, "'True'", FIX),
        ("3", "'3'", FIX),
    ],
)
def test_a_count_that_is_no_whole_number_is_refused(value, got, advice):
    text = refusal(DataError, counts, ai=[value, 2], n1i=[200, 200])
    assert text.splitlines()[0] == cell(1, "ai", "a count must be a whole number >= 0", got, advice)


@pytest.mark.parametrize(
    ("value", "got", "advice"),
    [(0, "0", FIX), (-5, "-5", FIX), (10.5, "10.5", "Round an effective sample size")],
)
@pytest.mark.parametrize("function", [means, counts])
def test_a_group_size_that_is_no_number_of_people_is_refused(function, value, got, advice):
    expected = cell(1, "n1i", "a group size must be a whole number >= 1", got, advice)
    assert refusal(DataError, function, n1i=[value, 20]) == expected


@pytest.mark.parametrize("measure", ["MD", "SMD"])
def test_a_group_of_one_has_no_standard_deviation(measure):
    must = "a group with a standard deviation must have a size >= 2"
    assert refusal(DataError, means, measure, n1i=[1, 20]) == cell(1, "n1i", must, "1")


def test_a_group_of_nobody_in_all_four_cells_is_refused():
    cells = {"ai": [0, 1], "bi": [0, 1], "ci": [1, 1], "di": [2, 1]}
    expected = cell(1, "ai", "a group must have at least one participant", "0")
    assert refusal(DataError, effect_sizes, {}, "OR", **cells) == expected


def test_a_missing_standard_deviation_is_never_imputed():
    advice = 'Fix the cell, leave out all such rows with missing = "drop"'
    expected = cell(1, "sd1i", "a standard deviation must be > 0", "nothing", advice)
    assert refusal(DataError, means, sd1i=[NAN, 2]) == expected
    ours = means(sd1i=[NAN, 2], missing="drop")
    assert ours.excluded == (("Study 1", "missing sd1i"),)


@pytest.mark.parametrize(("value", "advice"), [(0, "Was it rounded? Give more digits"), (-1, FIX)])
def test_a_standard_deviation_must_be_positive(value, advice):
    expected = cell(1, "sd1i", "a standard deviation must be > 0", str(value), advice)
    assert refusal(DataError, means, sd1i=[value, 2]) == expected


@pytest.mark.parametrize("measure", ["ROM", "CVR"])
def test_a_ratio_of_means_needs_positive_means(measure):
    must, advice = f"measure '{measure}' needs means > 0", "Choose measure 'MD' or 'SMD'"
    assert refusal(DataError, means, measure, m1i=[0, 2], m2i=[3, -1]).splitlines() == [
        cell(1, "m1i", must, "0", advice),
        cell(2, "m2i", must, "-1", advice),
    ]


def test_sizes_that_contradict_the_cells_are_refused():
    cells = {"ai": [1], "bi": [2], "ci": [1], "di": [2], "n1i": [4], "n2i": [3]}
    expected = cell(1, "n1i", "a group size must be ai + bi", "4", "Fix one of the three")
    assert refusal(DataError, effect_sizes, {}, "OR", **cells) == expected


def test_correlations_and_their_sample_sizes_are_checked_together():
    text = refusal(DataError, effect_sizes, {}, "ZCOR", ri=[0.5, 1], ni=[3, 10])
    assert text.splitlines() == [
        cell(1, "ni", "measure 'ZCOR' needs a sample size >= 4", "3"),
        cell(2, "ri", "a correlation must lie between -1 and 1, both left out", "1"),
    ]


def test_person_time_must_be_positive():
    rates = {"x1i": [1, 1], "t1i": [0, 1], "x2i": [2, 2], "t2i": [1, -1]}
    assert refusal(DataError, effect_sizes, {}, "IRR", **rates).splitlines() == [
        cell(1, "t1i", "a person-time must be > 0", "0"),
        cell(2, "t2i", "a person-time must be > 0", "-1"),
    ]


def test_all_faulty_cells_of_a_table_are_named_in_the_order_of_its_rows():
    text = refusal(DataError, counts, ai=[-1, 2.5], ci=[5, 44])
    assert [line.split(":")[0] for line in text.splitlines()] == [
        'row 1 study "Study 1" column "ai"',
        'row 2 study "Study 2" column "ai"',
        'row 2 study "Study 2" column "ci"',
    ]


# Mixed outcomes and designs: 106, 107


@pytest.mark.parametrize("column", ["timepoint", "type", "Type"])
def test_changes_mixed_with_final_values_are_doubted_for_standardized_differences(column):
    table = {column: ["final", "change"]}
    text = f"{column} is change, final; standardized differences of unlike outcomes do not mix"
    assert means("SMD", table).notes == (("mixed-outcomes", text),)
    assert means("MD", table).notes == ()
    assert means("SMD", {column: ["final", "final"]}).notes == ()


@pytest.mark.parametrize("design", ["crossover", "Cross-over", "cluster randomised", "paired"])
def test_trials_whose_arms_are_not_independent_are_doubted(design):
    text = (
        '"Study 2": not parallel groups by design, yet computed as such; give the effect with a standard '
        "error that allows for the correlation"
    )
    assert means("MD", {"design": ["parallel", design]}).notes == (("correlated-design", text),)
    assert means("MD", {"design": ["parallel", "parallel"]}).notes == ()


# Columns and options: 050


def test_columns_of_another_measure_are_refused_with_those_needed():
    expected = "measure 'OR' needs ai, n1i, ci, n2i or ai, bi, ci, di; got m1i, sd1i, n1i, m2i, sd2i, n2i"
    assert refusal(AnalysisError, means, "OR") == expected
    expected = "measure 'MD' needs m1i, sd1i, n1i, m2i, sd2i, n2i; got ai, n1i, ci, n2i"
    assert refusal(AnalysisError, counts, "MD") == expected


@pytest.mark.parametrize("measure", [name for name, measure in MEASURES.items() if measure.function])
def test_every_measure_says_what_it_needs(measure):
    text = refusal(AnalysisError, effect_sizes, {}, measure)
    columns = MEASURES[measure].columns
    assert text.startswith(f"measure '{measure}' needs {', '.join(columns)}")
    assert text.endswith("; got none of them")


@pytest.mark.parametrize("measure", ["GEN", "HR"])
def test_a_ready_made_measure_is_not_computed(measure):
    expected = f"measure '{measure}' is not computed from arms; use Studies.from_effects(yi, sei=...)"
    assert refusal(AnalysisError, counts, measure) == expected


@pytest.mark.parametrize(
    ("function", "options", "expected"),
    [
        (counts, {"aii": [1, 2]}, "unknown option 'aii'; did you mean 'ai'?"),
        (means, {"vtype": "UB"}, "measure 'MD' has vtype LS, HO; got 'UB'"),
        (
            counts,
            {"to": "only1"},
            "to must be one of only0, if0all, all, none; got 'only1'; did you mean 'only0'?",
        ),
        (counts, {"add": -1}, "add must be a number >= 0; got -1"),
        (counts, {"add": NAN}, "add must be a number >= 0; got nan"),
        (counts, {"add": True}, "add must be a number >= 0; got True"),
        (counts, {"add": "0.5"}, "add must be a number >= 0; got 0.5"),
        (counts, {"drop00": "yes"}, "drop00 must be True or False; got yes"),
        (means, {"add": 0.1}, "measure 'MD' has no correction for zeros; leave out add and to"),
        (counts, {"measure": "SDM"}, "unknown measure 'SDM'; did you mean 'SMD'?"),
    ],
)
def test_a_wrong_option_is_refused(function, options, expected):
    assert refusal(AnalysisError, function, **options) == expected


def test_every_option_changes_something():
    zero = {"ai": [0, 2]}
    plain = counts(**zero)
    for option in ({"add": 0.25}, {"to": "all"}, {"to": "none"}):
        assert not np.array_equal(counts(**zero, **option).vi, plain.vi, equal_nan=True)
    assert not np.array_equal(
        means(vtype="HO", n1i=[10, 20], sd1i=[1, 2]).vi, means(n1i=[10, 20], sd1i=[1, 2]).vi
    )
    variances = {vtype: means("SMD", vtype=vtype).vi.tolist() for vtype in ("LS", "UB", "LS2", "AV")}
    assert len({tuple(values) for values in variances.values()}) == 4


# What becomes of the table


def test_columns_may_be_named_or_given():
    frame = pd.DataFrame({"who": ["A", "B"], "e": [3, 2], "n": [10, 10], "x": [1.0, 2.0]})
    ours = effect_sizes(frame, "OR", slab="who", ai="e", n1i="n", ci=[5, 4], n2i=np.array([10, 10]))
    assert ours.slab == ("A", "B")
    np.testing.assert_array_equal(ours.yi, counts().yi)
    assert list(ours.columns) == ["x"]


def test_the_arms_are_kept_with_all_four_cells_and_the_sample_size():
    ours = counts()
    assert {name: column.tolist() for name, column in ours.arms.items()} == {
        "ai": [3, 2],
        "bi": [7, 8],
        "ci": [5, 4],
        "di": [5, 6],
        "n1i": [10, 10],
        "n2i": [10, 10],
    }
    assert ours.ni.tolist() == [20, 20]
    assert means().ni.tolist() == [40, 40]


def test_names_units_and_direction_are_kept():
    ours = means(units="g/cm2", better="higher", group1="exercise", group2="usual care")
    assert (ours.units, ours.better, ours.group1, ours.group2) == (
        "g/cm2",
        "higher",
        "exercise",
        "usual care",
    )
    assert ours.measure == "MD"


def test_rates_have_no_sample_size():
    rates = {"x1i": [1], "t1i": [10], "x2i": [2], "t2i": [10]}
    assert effect_sizes({}, "IRR", **rates).ni is None


def test_the_standard_error_is_the_root_of_the_variance():
    assert means().sei[0] == sqrt(4 / 20 + 4 / 20)
