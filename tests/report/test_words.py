"""The headline has the document's numbers, and every sentence follows the numbers."""

from __future__ import annotations

import re

from bayesmeta.report import render
from bayesmeta.report.added import added
from bayesmeta.report.facts import Facts
from bayesmeta.report.headline import headline, lead
from bayesmeta.report.prose import limitations, methods, results
from bayesmeta.report.references import Citations


def plain(text):
    return text.replace("\u00a0", " ")


def words(document):
    return plain(added(Facts(document, {})))


def figures(document):
    return {one.name: (plain(one.value), plain(one.note)) for one in headline(Facts(document, {}))}


def exact_bmd(document):
    """The document with the exact answer, to 30 digits by mpmath, for the main model of exercise_bmd."""
    post = document["posterior"]
    post["engine"] = "exact"
    for name, median, lower, upper, sd in (
        ("mu", 0.0697, 0.046191023490, 0.089819833403, 0.010946545719),
        ("theta_new", 0.0702, 0.011485769103, 0.122932573584, 0.0269),
    ):
        post[name] |= {"median": median, "lower": lower, "upper": upper, "sd": sd, "error": {"abs": 1e-15}}
    return document


def test_the_headline_has_the_numbers_of_the_document(bmd_nuts):
    shown = figures(exact_bmd(bmd_nuts))
    assert shown["Pooled effect"][0] == "0.070 g/cm2 [0.046, 0.090]"
    assert shown["A new study"][0] == "0.011 to 0.123 g/cm2"


def test_every_number_of_a_sampled_headline_is_a_rounded_number_of_the_document(bmd_nuts, refracture_nuts):
    for document in (bmd_nuts, refracture_nuts):
        post, benefit = document["posterior"], document["benefit"]
        blocks = [post["mu"], post["theta_new"], post["tau"], post.get("I2", {})]
        blocks += [block["exp"] for block in blocks if "exp" in block]
        known = [block[name] for block in blocks for name in ("median", "lower", "upper") if name in block]
        known += [100 * one["probability"] for each in benefit.values() for one in each.values()]
        known += [99.9, 95, document["minimal_important_difference"] or 95]
        text = " ".join(f"{value} {note}" for value, note in figures(document).values())
        numbers = re.findall(r"(?<![\w.])−?\d+(?:\.\d+)?", text.replace("g/cm2", ""))
        assert len(numbers) > 8
        for number in numbers:
            value, places = float(number.replace("−", "-")), len(number.partition(".")[2])
            assert any(abs(value - one) <= 0.5 * 10.0**-places + 1e-12 for one in known), number


def test_ratios_are_told_as_ratios(refracture_nuts):
    median = refracture_nuts["posterior"]["mu"]["exp"]["median"]
    assert figures(refracture_nuts)["Pooled effect"][0].startswith(f"{median:.2f} [")
    text = plain(lead(Facts(refracture_nuts, {})))
    assert f"the mean effect is an odds ratio of {median:.2f}, and lies between" in text
    assert "on the log scale" in text


def test_probabilities_of_benefit_are_told_with_their_direction(bmd_nuts):
    bmd_nuts["benefit"]["mu"]["any"]["probability"] = 0.84
    bmd_nuts["benefit"]["mu"]["important"]["probability"] = 0.37
    shown = figures(bmd_nuts)
    assert shown["Probability of benefit"] == ("84 %", "that the mean effect favours exercise")
    note = "that the mean effect is above 0.02 g/cm2, the minimal important difference"
    assert shown["Probability of an important effect"] == ("37 %", note)
    bmd_nuts["better"] = "lower"
    assert "is below −0.02 g/cm2" in figures(bmd_nuts)["Probability of an important effect"][1]
    bmd_nuts["better"] = ""
    del bmd_nuts["benefit"]["mu"]["important"]
    shown = figures(bmd_nuts)
    assert shown["Probability above 0"] == ("84 %", "that the mean effect is above 0")
    assert "Probability of an important effect" not in shown


def test_a_regression_has_its_coefficients_at_the_top(small):
    document = small(model='[model]\nmods = "months"\n[model.priors]\nmu = "Normal(0, 1)"\n')
    assert list(figures(document)) == ["Intercept", "months"]
    document["positive"]["months"] = 0.7
    assert "above 0 with probability 70.0 %" in figures(document)["months"][1]


def test_widths_are_compared_as_they_are(bmd_nuts):
    post, fixed = bmd_nuts["posterior"]["mu"], bmd_nuts["classical"]["fixed"]
    post |= {"lower": 0.0, "upper": 0.3}
    fixed |= {"lower": 0.1, "upper": 0.2, "estimate": 0.15, "se": 0.1 / 2 / 1.959963984540054}
    assert "is 3.0 times as wide as the fixed-effect interval" in words(bmd_nuts)
    assert "the posterior does not" in words(bmd_nuts)
    post |= {"lower": 0.12, "upper": 0.17}
    assert "is 0.50 times as wide as the fixed-effect interval" in words(bmd_nuts)
    assert "the posterior does not" not in words(bmd_nuts)
    post |= {"lower": 0.101, "upper": 0.2}
    assert "is as wide as the fixed-effect interval" in words(bmd_nuts)


def test_intervals_of_other_levels_are_not_compared(bmd_nuts):
    assert "times as wide" in words(bmd_nuts)
    bmd_nuts["interval"]["prob"] = 0.8
    assert "times as wide" not in words(bmd_nuts)


def test_verdicts_on_no_effect_follow_the_intervals(bmd_nuts):
    same = "Like each of the 5 intervals by classical methods, it leaves out the value of no effect, 0."
    assert same in words(bmd_nuts)
    bmd_nuts["posterior"]["mu"]["lower"] = -0.01
    assert "It contains the value of no effect, 0; the intervals of Fixed effect" in words(bmd_nuts)
    assert same not in words(bmd_nuts)
    for one in bmd_nuts["classical"].values():
        one["lower"] = -0.01
    text = "Like each of the 5 intervals by classical methods, it contains the value of no effect, 0."
    assert text in words(bmd_nuts)
    bmd_nuts["classical"]["DL"]["lower"] = 0.01
    text = "0; the interval of Random effects, DerSimonian–Laird leaves out it."
    assert text not in words(bmd_nuts)
    assert "0; the interval of Random effects, DerSimonian–Laird leaves it out." in words(bmd_nuts)


def test_a_boundary_estimate_of_heterogeneity_is_named_only_where_there_is_one(bmd_nuts):
    edge = "REML puts the heterogeneity at exactly 0"
    assert edge not in words(bmd_nuts)
    bmd_nuts["classical"]["REML"]["tau2"] = 0.0
    assert edge in words(bmd_nuts)


def test_prediction_intervals_are_compared_as_they_are(bmd_nuts):
    assert "both leave out the value of no effect" in words(bmd_nuts)
    bmd_nuts["classical"]["REML_HK"]["pi_lower"] = -0.01
    assert "it leaves out the value of no effect, the classical one contains it" in words(bmd_nuts)
    bmd_nuts["posterior"]["theta_new"]["lower"] = -0.01
    assert "both contain the value of no effect" in words(bmd_nuts)


def test_the_span_over_priors_is_that_of_the_table(bmd_nuts):
    for one, median, chance in zip(
        bmd_nuts["prior_sensitivity"], (0.05, 0.06, 0.08, 0.07), (0.7, 0.8, 0.95, 0.9), strict=True
    ):
        one["posterior"]["mu"]["median"] = median
        one["posterior"]["probabilities"]["mu > 0"] = chance
    text = (
        "Under the 4 other sets of priors the median effect is 0.050 to 0.080, and the probability that the "
    )
    assert text + "mean effect favours exercise goes from 70.0 % to 95.0 %." in words(bmd_nuts)
    bmd_nuts["prior_sensitivity"] = []
    assert "sets of priors" not in words(bmd_nuts)


def test_without_classical_answers_nothing_is_compared(bmd_nuts):
    bmd_nuts["classical"] = {}
    text = "No study has an estimate, so that there is no classical answer to compare with."
    assert words(bmd_nuts) == text
    render(bmd_nuts)


def test_regression_intervals_are_compared_with_their_twins(small):
    document = small(model='[model]\nmods = "months"\n[model.priors]\nmu = "Normal(0, 1)"\n')
    twin = document["classical"]["REML_HK"]["coefficients"]["months"]
    document["posterior"]["months"] |= {"lower": -1.0, "upper": 1.0}
    twin |= {"lower": -2.0, "upper": 2.0}
    assert "agree on whether 0 is inside" in words(document)
    twin["lower"] = 0.5
    assert "For months, the credible interval" in words(document)
    assert "disagree on whether 0 is inside" in words(document)


def test_methods_tell_priors_settings_and_cite_in_order(bmd_nuts):
    cite = Citations()
    text = plain(methods(Facts(bmd_nuts, {}), cite))
    assert "The priors were μ ~ Normal(0, 1); τ ~ HalfNormal(0.05), chosen by the authors" in text
    assert "4 chains with 1000 tuning steps and 1000 draws each, seed 20250307" in text
    first = list(dict.fromkeys(re.findall(r"\d+", " ".join(re.findall(r"\[([\d, ]+)\]", text)))))
    assert first == [str(n) for n in range(1, len(cite.works) + 1)]
    bmd_nuts["agreement"][0]["ok"] = False
    assert "1 of 5 fits differ by more than chance explains" in methods(Facts(bmd_nuts, {}), Citations())


def test_default_priors_are_called_defaults(small):
    text = methods(Facts(small(), {}), Citations())
    assert "all of them the weakly informative default" in text
    assert "chosen by the authors" not in text


def test_results_have_the_span_of_leaving_out_studies(bmd_nuts):
    for one, median in zip(bmd_nuts["leave_one_out"], (0.051, 0.062, 0.073), strict=True):
        one["posterior"]["mu"]["median"] = median
    text = plain(results(Facts(bmd_nuts, {})))
    assert "Leaving out any one study keeps the median effect between 0.051 and 0.073." in text


def test_limitations_follow_the_data(bmd_nuts, refracture_nuts):
    many = " ".join(limitations(Facts(bmd_nuts, {}), {}))
    few = " ".join(limitations(Facts(refracture_nuts, {}), {}))
    assert "4 studies say little about the heterogeneity" in few
    assert "say little about the heterogeneity" not in many
    assert "taken as known" in many
    assert "taken as known" not in few
    assert "With fewer than 10 studies, small-study effects cannot be judged." in few


def test_limitations_know_that_small_study_effects_were_examined(bmd_nuts):
    """Eleven studies; the sentence that a funnel plot is all there is would be false."""
    bmd_nuts["robustness"] = {"small_study": {"methods": {}, "level": 0.95}}
    text = " ".join(limitations(Facts(bmd_nuts, {}), {"funnel": "x"}))
    assert "funnel plot only" not in text
    assert "Small-study effects were examined beside the main answer, which does not model selective" in text
    del bmd_nuts["robustness"]
    text = " ".join(limitations(Facts(bmd_nuts, {}), {"funnel": "x"}))
    assert "Small-study effects are shown by the funnel plot only" in text


def test_methods_say_whose_tau_the_groups_have(bmd_nuts):
    bmd_nuts["subgroups"] = {
        "sex": {"tau": "shared"},
        "site": {"tau": "separate"},
        "dose": {"tau": "separate"},
    }
    text = plain(methods(Facts(bmd_nuts, {}), Citations()))
    divided = "by site, dose with a separate τ in each group and by sex with one τ for all groups"
    assert f"subgroup analyses {divided}" in text


def test_a_study_without_events_takes_part_in_the_counts_only(refracture_nuts, parse):
    text = parse(render(refracture_nuts)).text
    reason = "Huang 2018: no events in either group; it takes part in the model of the counts, and in no "
    assert f"{reason}classical answer" in text


def test_a_moment_that_does_not_exist_is_said_not_to_exist(bmd_nuts, parse):
    bmd_nuts["posterior"]["mu"]["sd"] = None
    assert "does not exist" in parse(render(bmd_nuts)).text
