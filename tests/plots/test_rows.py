"""Rows of the forest plot: expected numbers come from the arms by hand, and from an integral over tau."""

from math import exp, log, sqrt

import numpy as np
import pytest
from scipy import optimize, stats

from bayesmeta.classical import split_studies
from bayesmeta.errors import AnalysisError
from bayesmeta.fitting import fit
from bayesmeta.plots import forest_rows

Z = 1.959963984540054  # 97.5 % point of the standard normal, any table


def of_kind(table, kind):
    return [row for row in table.rows if row.kind == kind]


def pooled_by_grid(y, s, *, mu_sd, tau_sd):
    """Median and 95 % limits of mu by the trapezoidal rule over tau, all else being normal."""
    tau = np.linspace(0, 8 * tau_sd, 20_001)
    v = s**2 + tau[:, None] ** 2
    precision = (1 / v).sum(axis=1) + 1 / mu_sd**2
    mean = (y / v).sum(axis=1) / precision
    log_density = (
        -0.5 * np.log(v).sum(axis=1)
        - 0.5 * np.log(precision)
        - 0.5 * ((y**2 / v).sum(axis=1) - precision * mean**2)
        - 0.5 * (tau / tau_sd) ** 2
    )
    weight = np.exp(log_density - log_density.max())
    weight[0] /= 2
    weight /= weight.sum()

    def quantile(p):
        return optimize.brentq(lambda x: weight @ stats.norm.cdf((x - mean) * np.sqrt(precision)) - p, -2, 2)

    return [quantile(p) for p in (0.5, 0.025, 0.975)]


def test_the_pooled_row_is_the_integral_over_tau(bmd, bmd_studies):
    row = of_kind(forest_rows(bmd), "pooled")[0]
    expected = pooled_by_grid(bmd_studies.yi, bmd_studies.sei, mu_sd=1.0, tau_sd=0.05)
    np.testing.assert_allclose(row.posterior, expected, rtol=0, atol=1e-7)
    assert row.label == "All studies, k = 11"


def test_an_observed_row_is_the_difference_of_the_arms_with_its_normal_interval(bmd, bmd_trials):
    row = of_kind(forest_rows(bmd), "study")[0]
    arms = bmd_trials.iloc[0]
    difference = arms["exercise_mean"] - arms["control_mean"]
    error = sqrt(arms["exercise_sd"] ** 2 / arms["exercise_n"] + arms["control_sd"] ** 2 / arms["control_n"])
    expected = (difference, difference - Z * error, difference + Z * error)
    np.testing.assert_allclose(row.observed, expected, rtol=0, atol=1e-12)
    assert row.label == arms["study"] == "Deng 2018"


def test_the_level_widens_the_observed_interval(bmd):
    narrow, wide = (of_kind(forest_rows(bmd, prob=prob), "study")[0].observed for prob in (0.9, 0.99))
    # 95 % and 99.5 % points of the standard normal, any table
    half = (narrow.upper - narrow.centre) / 1.6448536269514722
    assert (wide.upper - wide.centre) / 2.5758293035489004 == pytest.approx(half, rel=1e-9)


def test_the_kind_of_interval_changes_the_posterior_and_the_words(bmd):
    equal, shortest = forest_rows(bmd, kind="eti"), forest_rows(bmd, kind="hdi")
    assert of_kind(equal, "study")[0].posterior != of_kind(shortest, "study")[0].posterior
    assert of_kind(equal, "study")[0].observed == of_kind(shortest, "study")[0].observed
    assert "95% equal-tailed interval" in equal.footer[2]
    assert "95% shortest interval" in shortest.footer[2]


def test_cells_of_means_are_mean_sd_and_n_of_both_arms(bmd):
    table = forest_rows(bmd)
    # exercise_bmd.csv, as printed in Fig. 3 of Yu et al. 2025
    assert of_kind(table, "study")[6].cells == ("0.750 (0.090)", "49", "0.700 (0.100)", "49")
    assert [(group.heading, group.parts) for group in table.columns] == [
        ("Exercise", ("mean (SD)", "n")),
        ("Control", ("mean (SD)", "n")),
    ]


def test_weights_add_up_to_a_hundred(bmd):
    table = forest_rows(bmd)
    weights = [row.weight for row in of_kind(table, "study")]
    assert sum(weights) == pytest.approx(100, abs=1e-9)
    assert of_kind(table, "pooled")[0].weight == pytest.approx(100, abs=1e-9)


def test_ratios_are_exponentiated(refracture, refracture_studies):
    table = forest_rows(refracture)
    row = of_kind(table, "study")[0]
    # 7 of 76 against 13 of 76, Fig. 8 of Yu et al. 2025: log odds ratio and Woolf's error
    y, error = log(7 * 63 / (13 * 69)), sqrt(1 / 7 + 1 / 69 + 1 / 13 + 1 / 63)
    np.testing.assert_allclose(
        row.observed, [exp(y), exp(y - Z * error), exp(y + Z * error)], rtol=1e-12, atol=0
    )
    assert table.log
    assert table.null == 1.0
    assert row.cells == ("7", "76", "13", "76")


def test_a_double_zero_study_is_a_row_that_says_so(refracture):
    table = forest_rows(refracture)
    row = of_kind(table, "study")[2]
    assert (row.label, row.note, row.cells) == ("Huang 2018", "not estimable", ("0", "30", "0", "30"))
    assert row.spans == ()
    assert row.weight is None
    assert of_kind(table, "pooled")[0].label == "All studies, k = 3 of 4"


def test_a_double_zero_study_has_a_posterior_where_its_counts_take_part(sampled_counts):
    table = forest_rows(sampled_counts)
    row = of_kind(table, "study")[2]
    assert (row.note, row.observed) == ("not estimable", None)
    draws = np.exp(sampled_counts.posterior.sampled.theta[:, :, 2].ravel())
    np.testing.assert_allclose(row.posterior, np.quantile(draws, [0.5, 0.025, 0.975]), rtol=1e-2)
    assert of_kind(table, "pooled")[0].label == "All studies, k = 4"
    assert "group-2 log odds ~ Normal(0, 5)" in table.footer[1]


def test_subgroups_are_blocks_with_their_own_answer_and_tau(bmd, bmd_studies):
    groups = {
        name: fit(part, bmd.model) for name, part in split_studies(bmd_studies, "exercise_type").items()
    }
    table = forest_rows(bmd, subgroups=groups)
    assert [row.label for row in of_kind(table, "heading")] == ["Local", "Whole-body"]
    diamonds = of_kind(table, "subgroup")
    local = bmd_studies.take(np.array(bmd_studies.columns["exercise_type"]) == "local")
    expected = pooled_by_grid(local.yi, local.sei, mu_sd=1.0, tau_sd=0.05)
    np.testing.assert_allclose(diamonds[0].posterior, expected, rtol=0, atol=1e-7)
    assert [row.label for row in diamonds] == ["Subgroup, k = 7", "Subgroup, k = 4"]
    assert diamonds[0].note.startswith("τ = 0.026 [0.002, 0.068]")  # forest plot of the review, same priors
    assert sum(row.weight for row in diamonds) == pytest.approx(100, abs=1e-9)


def test_studies_in_no_subgroup_come_last(bmd, bmd_studies):
    part = bmd_studies.take([0, 3])
    table = forest_rows(bmd, subgroups={"some": fit(part, bmd.model)})
    headings = [row.label for row in of_kind(table, "heading")]
    assert headings == ["Some", "Other studies"]
    labels = [row.label for row in of_kind(table, "study")]
    assert labels[:2] == list(part.slab)
    assert sorted(labels) == sorted(bmd_studies.slab)


def test_a_subgroup_of_other_studies_is_refused(bmd, ready_made):
    other = ready_made([0.1], [0.1], slab=["Elsewhere 1999"])
    with pytest.raises(AnalysisError) as caught:
        forest_rows(bmd, subgroups={"far": other})
    assert str(caught.value) == (
        "subgroup 'far' has the study 'Elsewhere 1999', which is not among those of the fit or is in another "
        "subgroup; fit the subgroups on parts of the same studies"
    )


def test_a_regression_has_no_pooled_row(bmd_regression):
    table = forest_rows(bmd_regression)
    assert {row.kind for row in table.rows} == {"study"}
    assert table.reference is None
    assert "there is no pooled effect to draw" in table.footer[0]


def test_500_studies_have_room_and_501_have_not(ready_made):
    rng = np.random.default_rng(1)
    y = rng.normal(0, 1, 501)
    assert len(of_kind(forest_rows(ready_made(y[:500], np.full(500, 0.3))), "study")) == 500
    with pytest.raises(AnalysisError) as caught:
        forest_rows(ready_made(y, np.full(501, 0.3)))
    assert str(caught.value) == (
        "a forest plot has room for 500 studies; got 501; use fit.summary() and bm.plots.funnel instead"
    )


@pytest.mark.parametrize(
    ("better", "expected"),
    [
        ("higher", ("favours control", "favours exercise")),
        ("lower", ("favours exercise", "favours control")),
        ("", ("", "")),
    ],
)
def test_the_side_that_favours_group_1_follows_the_direction(ready_made, better, expected):
    one = ready_made([0.1], [0.1], better=better, group1="exercise", group2="control")
    assert forest_rows(one).favours == expected


def test_the_footer_states_tau_benefit_priors_and_intervals(bmd):
    assert forest_rows(bmd).footer == (
        "Between-study SD τ = 0.019 [0.001, 0.050];  P(μ > 0) > 0.999",  # as on the review's forest plot
        "Priors: μ ~ Normal(0, 1), τ ~ HalfNormal(0.05).",
        "Observed: estimate, 95% confidence interval. Posterior: median, 95% equal-tailed interval. Weight: "
        "posterior mean of the inverse-variance weight.",
    )


def test_benefit_of_a_ratio_is_told_of_the_ratio(refracture):
    footer = forest_rows(refracture).footer
    probability = refracture.probability("mu < 0")
    assert footer[0].endswith(f"(log scale);  P(OR < 1) = {probability:.3f}")
    assert footer[1].startswith("Priors (log scale): ")


def test_measures_of_one_group_have_no_line_of_no_effect(ready_made):
    one = ready_made([0.1, 0.2], [0.1, 0.1], measure="MN")
    table = forest_rows(one)
    assert table.null is None
    assert "P(" not in table.footer[0]
    assert table.columns == ()
