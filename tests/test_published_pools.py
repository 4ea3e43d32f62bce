"""Every row, subtotal and total printed in Figs 3, 4, 5, 7 and 8 of the review, from the arms printed there.

Source: published_claims.csv, transcribed from Yu et al. (2025), the running example. The arms are those of
each figure, typing errors included (Fig. 4 has a control mean of 794, Fig. 5 a standard deviation of 103).
RevMan's methods: inverse variance; DerSimonian-Laird where a figure says random effects; Mantel-Haenszel in
Fig. 8.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from functools import cache
from math import exp
from pathlib import Path

import numpy as np
import pytest

from bayesmeta.classical import classical, subgroup_difference
from bayesmeta.studies import effect_sizes

DATASETS = Path(__file__).parent.parent / "bayesmeta" / "datasets"
MEANS = {
    "m1i": "exercise_mean",
    "sd1i": "exercise_sd",
    "n1i": "exercise_n",
    "m2i": "control_mean",
    "sd2i": "control_sd",
    "n2i": "control_n",
}
FIGURES = {
    "Fig. 3": ("exercise_bmd", "FE"),
    "Fig. 4": ("exercise_bmd_fig4", "DL"),
    "Fig. 5": ("exercise_bmd_fig5", "DL"),
    "Fig. 7": ("exercise_bmd_fig7", "FE"),
    "Fig. 8": ("exercise_refracture", "MH"),
}
TOTALS = {"all", "vertebral and hip"}


def rows(name):
    with (DATASETS / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def column(name, key):
    return [row[key] for row in rows(name)]


@cache
def studies(figure):
    name, method = FIGURES[figure]
    table = {key: column(name, key) for key in rows(name)[0]}
    if method == "MH":
        cells = {"ai": "control_events", "n1i": "control_n", "ci": "exercise_events", "n2i": "exercise_n"}
        values = {key: np.array(table[source], dtype=float) for key, source in cells.items()}
        return effect_sizes({}, "OR", slab=table["study"], drop00=True, **values)
    values = {key: np.array(table[source], dtype=float) for key, source in MEANS.items()}
    return effect_sizes(
        {"subgroup": table.get("subgroup", ["all"] * len(table["study"]))},
        "MD",
        slab=table["study"],
        **values,
    )


@cache
def result(figure, group):
    everything, method = studies(figure), FIGURES[figure][1]
    if group in TOTALS:
        return classical(everything, method=method)
    return classical(everything.take(everything.columns["subgroup"] == group), method=method)


@cache
def difference(figure):
    return subgroup_difference(studies(figure), "subgroup", method=FIGURES[figure][1])


def computed(claim):
    """Return the number that a claim is about."""
    figure, group, quantity = claim["where"], claim["group"], claim["quantity"]
    if quantity.startswith("subgroup-difference"):
        test = difference(figure)
        return {"Q": test.Q, "p-value": test.p_value, "I2 %": test.I2}[
            quantity.removeprefix("subgroup-difference ")
        ]
    answer = result(figure, group)
    scale = exp if claim["measure"] == "OR" else float
    values = {
        "estimate": scale(answer.beta[0]),
        "lower": scale(answer.lower[0]),
        "upper": scale(answer.upper[0]),
        "z": abs(answer.statistic[0]),
        "Q": answer.Q,
        "Q p-value": answer.Q_p,
        "I2 %": max(0.0, 100 * (answer.Q - answer.Q_df) / answer.Q),
        "tau2": answer.tau2,
    }
    return values[quantity]


def rounds_to(value, printed):
    """Return whether a number, rounded as printed, is the printed one; halves may have gone either way."""
    half = float(Decimal(1).scaleb(Decimal(printed).as_tuple().exponent)) / 2
    return abs(value - float(printed)) <= half * (1 + 1e-9)


CLAIMS = [row for row in rows("published_claims") if row["where"].startswith("Fig.")]


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim["id"] for claim in CLAIMS])
def test_a_printed_pool_is_reproduced(claim):
    assert rounds_to(computed(claim), claim["printed"])


ROWS = [
    (figure, place, row["study"])
    for figure, (name, _) in FIGURES.items()
    for place, row in enumerate(rows(name))
    if row["printed_lower"]
]


@pytest.mark.parametrize(("figure", "place", "study"), ROWS)
def test_a_printed_row_is_reproduced(figure, place, study):
    """Weight in %, effect and its interval; all of them are, typing errors included."""
    printed = rows(FIGURES[figure][0])[place]
    one = classical(studies(figure).take([place]), method="FE")
    scale, effect = (exp, "or") if FIGURES[figure][1] == "MH" else (float, "md")
    assert one.k == 1
    assert rounds_to(result(figure, "all").weights[place], printed["printed_weight_pct"])
    assert rounds_to(scale(one.beta[0]), printed[f"printed_{effect}"])
    assert rounds_to(scale(one.lower[0]), printed["printed_lower"])
    assert rounds_to(scale(one.upper[0]), printed["printed_upper"])


def test_every_printed_row_is_compared():
    assert len(ROWS) == 11 + 11 + 10 + 11 + 3
    blank = [row["study"] for row in rows("exercise_refracture") if not row["printed_lower"]]
    assert blank == ["Huang 2018"]  # no events in either arm: "not estimable" in Fig. 8


def test_every_printed_pool_is_compared():
    assert len(CLAIMS) == sum(row["where"].startswith("Fig.") for row in paper("published_claims"))
    assert len(CLAIMS) > 50


@pytest.mark.parametrize(("quantity", "columns"), [("male", "male"), ("female", "female"), ("total", "n")])
def test_the_printed_numbers_of_participants_are_reproduced(quantity, columns):
    claim = next(row for row in rows("published_claims") if row["id"] == f"table1-{quantity}")
    ours = sum(
        int(row[f"{arm}_{columns}"]) for row in rows("exercise_bmd") for arm in ("exercise", "control")
    )
    assert ours == int(claim["printed"])


PAPER = {
    "exercise_bmd": "fig3_bmd",
    "exercise_bmd_fig4": "fig4_exercise_type",
    "exercise_bmd_fig5": "fig5_fracture_site",
    "exercise_bmd_fig7": "fig7_tradition",
    "exercise_refracture": "fig8_refracture",
    "published_claims": "published_claims",
}


def paper(name):
    with (Path(__file__).parent / "reference" / "paper" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("bundled", PAPER)
def test_a_bundled_figure_has_the_cells_of_the_paper(bundled):
    printed, ours = paper(PAPER[bundled]), rows(bundled)
    assert [{name: row[name] for name in printed[0]} for row in ours] == printed


def test_the_typing_errors_of_the_paper_are_kept():
    assert [r["control_mean"] for r in rows("exercise_bmd_fig4") if r["study"] == "Yu 2023"] == ["794"]
    assert [r["control_sd"] for r in rows("exercise_bmd_fig5") if r["study"] == "Wang 2020"] == ["103"]
    means = {
        name: next(r for r in rows(name) if r["study"] == "Yu 2023")["exercise_mean"]
        for name in PAPER
        if "bmd" in name
    }
    assert means["exercise_bmd"] == "0.775"
    assert {means[name] for name in means if name != "exercise_bmd"} == {"0.822"}


def test_the_running_example_has_the_moderators_of_table_1():
    table = {row["study"]: row for row in paper("table1_studies")}
    classes = {12: "12 months", 6: "6 months", 3: "3 months", 0.75: "other"}
    for row in rows("exercise_bmd"):
        printed = table[row["study"]]
        assert row["exercise_type"] == printed["intervention"]
        assert row["duration_class"] == classes[float(printed["duration_months"])]
        same = ("year", "fracture_site", "duration_months", "tradition", "outcomes")
        sexes = ("exercise_male", "exercise_female", "control_male", "control_female")
        assert [row[name] for name in (*same, *sexes)] == [printed[name] for name in (*same, *sexes)]
    assert len(table) == len(rows("exercise_bmd")) == 11
