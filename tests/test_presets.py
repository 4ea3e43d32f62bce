"""Published priors by name.

Medians and ranges of Turner et al. and Rhodes et al. come from R bayesmeta 3.4 (tests/reference); the other
numbers are the papers' parameters put into scipy.stats. Rows of the two tables of between-study variances are
sums of an effect of the outcome and one of the comparison, which finds misprints.
"""

import json
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import bayesmeta as bm
from bayesmeta.errors import PriorError
from bayesmeta.priors import (
    Cauchy,
    HalfNormal,
    InverseGamma,
    LogNormal,
    LogStudentT,
    OfSquare,
    StudentT,
    parse_prior,
    preset,
    presets,
    tables,
    unit_information,
)

REFERENCE = json.loads(
    (Path(__file__).parent / "reference" / "_misc_priors_transforms.json").read_text(encoding="utf-8")
)
MORTALITY = {"outcome": "all-cause mortality", "comparison": "pharmacological vs placebo"}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("default", {}),
        ("mortality_pharma_placebo", MORTALITY),
        ("semi", {"outcome": "adverse events", "comparison": "pharmacological vs pharmacological"}),
    ],
)
def test_turner_is_that_of_the_reference(name, setting):
    entry, prior = REFERENCE["TurnerEtAlPrior"][name], preset("turner2015", **setting)
    tau = np.array(entry["tau"])
    assert np.exp(prior.logpdf(tau)) == pytest.approx(entry["density"], rel=1e-12)
    assert prior.cdf(tau) == pytest.approx(entry["cdf"], rel=1e-12)
    assert float(prior.quantile(np.array(0.5))) == pytest.approx(entry["median"], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("default", {}), ("obstetric", {"outcome": "obstetric", "comparison": "pharmacological vs placebo"})],
)
def test_rhodes_is_that_of_the_reference(name, setting):
    entry, prior = REFERENCE["RhodesEtAlPrior"][name], preset("rhodes2015", **setting)
    tau = np.array(entry["tau"])
    assert np.exp(prior.logpdf(tau)) == pytest.approx(entry["density"], rel=1e-12)
    assert prior.cdf(tau) == pytest.approx(entry["cdf"], rel=1e-12)
    assert float(prior.quantile(np.array(0.5))) == pytest.approx(entry["median"], rel=1e-12)


def test_a_prior_of_tau_is_the_papers_prior_of_tau2():
    # Turner et al., all-cause mortality: log tau2 ~ N(-3.95, 1.34^2), so that the median of tau2 is 0.0193
    # and its central 95 % range 0.0014 to 0.266.
    prior = preset("turner2015", **MORTALITY)
    of_square = OfSquare(LogNormal(-3.95, 1.34))
    tau = np.array([0.01, 0.1, 0.7])
    assert prior.logpdf(tau) == pytest.approx(of_square.logpdf(tau), rel=1e-12)
    lower, median, upper = prior.quantile(np.array([0.025, 0.5, 0.975])) ** 2
    assert (lower, median, upper) == pytest.approx(
        [exp(-3.95 - 1.959964 * 1.34), exp(-3.95), exp(-3.95 + 1.959964 * 1.34)], rel=1e-6
    )
    assert (round(median, 4), round(upper, 3)) == (0.0193, 0.266)


@pytest.mark.parametrize("table", [tables.TURNER, tables.RHODES, tables.RHODES_RESPIRATORY])
def test_locations_are_sums_of_outcome_and_comparison(table):
    rows = [cells for cells in tables.rows(table).values() if all(cells)]
    location = np.array([[cell[0] for cell in cells] for cells in rows])
    apart = location - location[:, :1]
    assert np.abs(apart - np.median(apart, axis=0)).max() <= 0.0101


@pytest.mark.parametrize(
    ("prior", "expected"),
    [
        (preset("bartos2021"), InverseGamma(1.71, 0.40)),
        (preset("bartos2021", parameter="mu"), StudentT(5, 0, 0.43)),
        (preset("bartos2021", field="Oral Health"), InverseGamma(1.79, 0.28)),
        (preset("bartos2021", field="oral", parameter="mu"), StudentT(5, 0, 0.51)),
        (preset("bartos2023", measure="OR"), InverseGamma(1.77, 0.55)),
        (preset("bartos2023", measure="OR", parameter="mu"), StudentT(4, 0, 0.58)),
        (preset("bartos2023", measure="RR"), InverseGamma(1.51, 0.23)),
        (preset("bartos2023", measure="RR", parameter="mu"), StudentT(3, 0, 0.32)),
        (preset("bartos2023", measure="HR"), InverseGamma(2.42, 0.30)),
        (preset("bartos2023", measure="HR", parameter="mu"), StudentT(2, 0, 0.13)),
        (preset("bartos2023", measure="RD"), HalfNormal(0.10)),
        (preset("bartos2023", measure="RD", parameter="mu"), Cauchy(0, 0.03)),
        (
            preset("bartos2023", measure="OR", field="Acute Respiratory Infections", parameter="mu"),
            StudentT(3, 0, 0.48),
        ),
        (preset("bartos2023", measure="RR", field="Stroke"), InverseGamma(1.52, 0.15)),
        (preset("bartos2023", measure="OR", field="heart"), InverseGamma(1.64, 0.29)),
        (preset("van_erp2017"), InverseGamma(1, 0.15)),
        (
            preset("rhodes2015", outcome="mental", comparison="non-pharm", area="respiratory"),
            LogStudentT(5, -2.38, 0.97),
        ),
        (
            preset("Turner 2015", outcome="pain", comparison="non-pharmacological vs pharm"),
            LogNormal(-0.4, 0.625),
        ),
    ],
)
def test_preset_has_the_parameters_of_its_paper(prior, expected):
    assert str(prior) == str(expected)


def test_bartos_median_and_range_are_those_of_the_inverse_gamma():
    prior = preset("bartos2021")
    other = stats.invgamma(1.71, scale=0.40)
    p = np.array([0.025, 0.5, 0.975])
    assert prior.quantile(p) == pytest.approx(other.ppf(p), rel=1e-10)


def test_table_lists_every_preset_with_its_source():
    table = presets()
    assert list(table.columns) == [
        "name", "measure", "parameter", "outcome", "comparison", "area", "field",
        "prior", "median", "lower", "upper", "citation", "doi",
    ]  # fmt: skip
    # 16 outcomes x 5 comparisons + 1; 8 x 3 twice, one of them unclear, + 1; 47 fields x 2;
    # 54 fields x 4 (one without tau, twice), HR and RD; 1.
    counts = {"turner2015": 81, "rhodes2015": 48, "bartos2021": 94, "bartos2023": 218, "vanerp2017": 1}
    assert table.groupby("name").size().to_dict() == counts
    assert not table.duplicated(
        ["name", "measure", "parameter", "outcome", "comparison", "area", "field"]
    ).any()
    assert table["doi"].str.startswith("10.").all()
    assert (table["lower"] < table["median"]).all()
    assert (table["median"] < table["upper"]).all()
    assert len(presets("turner2015")) == 81


def test_every_preset_reads_back_from_its_text():
    for text in presets()["prior"]:
        assert str(parse_prior(text)) == text


def test_presets_fit_their_parameter():
    for row in presets().drop_duplicates("prior").itertuples():
        assert bm.Model(**{row.parameter: row.prior}).to_dict() == {row.parameter: row.prior}


def test_most_general_setting_is_meant_where_nothing_is_chosen():
    assert preset("turner2015") == LogNormal(-1.28, 0.87)
    assert preset("rhodes2015") == LogStudentT(5, -1.72, 1.295)
    given = {"outcome": "biological", "comparison": "pharmacological vs placebo"}
    assert preset("rhodes2015", **given) == preset("rhodes2015", area="other", **given)


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("turner2014", {}, "unknown preset 'turner2014'; did you mean 'turner2015'?"),
        (
            "xyz",
            {},
            "unknown preset 'xyz'; the presets are turner2015, rhodes2015, bartos2021, bartos2023, "
            "vanerp2017",
        ),
        ("turner2015", {"outcom": "pain"}, "a preset is not chosen by 'outcom'; did you mean 'outcome'?"),
        (
            "turner2015",
            {"outcome": "mortality", "comparison": "pharmacological vs placebo"},
            "preset turner2015 has no outcome 'mortality'; choose among all-cause mortality; cause-specific "
            "mortality or major morbidity",
        ),
        (
            "turner2015",
            {"outcome": "payn", "comparison": "pharmacological vs placebo"},
            "preset turner2015 has no outcome 'payn'; did you mean 'pain'?",
        ),
        (
            "turner2015",
            {"outcome": "pain"},
            "preset turner2015 needs the choice of comparison here, among pharmacological vs placebo; "
            "pharmacological vs pharmacological; non-pharmacological vs placebo; non-pharmacological vs "
            "pharmacological; non-pharmacological vs non-pharmacological",
        ),
        ("turner2015", {"field": "Heart"}, "preset turner2015 has no choice of field; leave it out"),
        (
            "rhodes2015",
            {"outcome": "mental health", "comparison": "non-pharmacological"},
            "preset rhodes2015 needs the choice of area here, among respiratory",
        ),
        ("bartos2023", {}, "preset bartos2023 needs the choice of measure here, among OR; RR; HR; RD"),
        (
            "bartos2023",
            {"measure": "OR", "field": "Childhood Cancer"},
            "preset bartos2023 needs the choice of parameter here, among mu",
        ),
    ],
)
def test_what_is_not_there_is_explained(name, setting, message):
    with pytest.raises(PriorError) as caught:
        preset(name, **setting)
    assert str(caught.value) == message


def test_unknown_name_in_the_table_is_explained():
    with pytest.raises(PriorError) as caught:
        presets("turner")
    assert str(caught.value) == "unknown preset 'turner'; did you mean 'turner2015'?"


def test_preset_runs_exactly():
    studies = bm.Studies.from_effects([0.2, -0.3, 0.5, 0.1], sei=[0.2, 0.3, 0.25, 0.4])
    for prior in (preset("turner2015"), preset("rhodes2015"), preset("bartos2021")):
        fit = bm.fit(studies, bm.Model(mu="Normal(0, 2)", tau=prior))
        assert fit.engine == "exact"
        assert fit.summary().loc["tau", "lower"] > 0


# Unit information


def test_unit_information_is_that_of_the_reference():
    analysis = bm.load_analysis("exercise_bmd")
    trials = bm.load_dataset("exercise_bmd")
    studies = bm.effect_sizes(trials, "MD", slab="study", **dict(analysis.data.columns))
    prior = unit_information(studies)
    assert prior.sigma == pytest.approx(REFERENCE["uisd_bmd"]["uisd"], rel=1e-12)
    assert prior.mu == 0


def test_unit_information_of_equal_studies_is_the_sd_of_one_observation():
    # n = 50 and v = 0.02: sd = sqrt(50 * 0.02) = 1.
    studies = bm.Studies.from_effects([0.1, 0.2], vi=[0.02, 0.02], ni=[50, 50])
    assert unit_information(studies, center=0.3).sigma == pytest.approx(1, rel=1e-14)
    assert unit_information(studies, center=0.3).mu == 0.3


def test_unit_information_needs_sample_sizes():
    studies = bm.Studies.from_effects([0.1, 0.2], vi=[0.02, 0.02])
    with pytest.raises(PriorError) as caught:
        unit_information(studies)
    assert str(caught.value) == "unit_information needs the sample sizes of the studies; give ni to Studies"


def test_rhodes_in_respiratory_disease_is_narrower():
    setting = {"outcome": "biological", "comparison": "pharmacological vs placebo"}
    medians = [
        float(preset("rhodes2015", area=area, **setting).quantile(np.array(0.5)))
        for area in ("other", "respiratory")
    ]
    assert [log(median) * 2 for median in medians] == pytest.approx([-3.41, -5.31])
    assert sqrt(medians[1] / medians[0]) < 1
