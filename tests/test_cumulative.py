"""The answer after each study: each step is a fit of the studies so far."""

from __future__ import annotations

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta import plots
from bayesmeta.errors import AnalysisError, ModelError

Y = [0.1, 0.3, 0.2, 0.9]
SE = [0.2, 0.1, 0.4, 0.3]
DATA = {"year": [2010.0, 2001.0, 2015.0, 2001.0], "country": ["N", "D", "F", "A"], "x": [0.0, 1.0, 2.0, 3.0]}
MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")


def studies(**options):
    return bm.Studies.from_effects(Y, sei=SE, slab=list("abcd"), data=DATA, **options)


@pytest.mark.parametrize(
    ("by", "order"),
    [(None, "abcd"), ("year", "bdac"), ("precision", "badc"), ("country", "dbca")],
)
def test_studies_come_in_the_order_asked_for_equal_ones_in_that_of_the_table(by, order):
    steps = bm.cumulative(studies(), MODEL, by=by)
    assert "".join(steps.names) == order
    assert steps.k.tolist() == [1, 2, 3, 4]
    for step, row in enumerate(steps.included):
        assert {label for label, chosen in zip("abcd", row, strict=True) if chosen} == set(order[: step + 1])


def test_each_step_is_a_direct_fit():
    steps = bm.cumulative(studies(), MODEL, by="year")
    table = steps.table()
    assert table.index.tolist() == list("bdac")
    for step, places in enumerate([[1], [1, 3], [0, 1, 3], [0, 1, 2, 3]]):
        direct = bm.fit(studies().take(places), MODEL)
        for name in ("mu", "tau", "theta_new"):
            marginal = direct.marginal(name)
            lower, upper = marginal.interval()
            found = table.iloc[step][[f"{name}_{one}" for one in ("median", "lower", "upper")]]
            wanted = [marginal.median, lower, upper]
            np.testing.assert_allclose(found.astype(float), wanted, rtol=0, atol=1e-8 * (upper - lower))


def test_the_evidence_of_all_is_the_sum_of_what_each_step_predicts():
    """log p(y1..yk) = sum log p(yi | before); the predictions are those of the fits of the steps."""
    steps = bm.cumulative(studies(), MODEL)
    total = 0.0
    x = np.linspace(-12, 12, 6_001)  # a tenth of the smallest standard error apart: the sum is exact
    for step, (y, se) in enumerate(zip(Y, SE, strict=True)):
        if step == 0:
            total += bm.fit(studies().take([0]), MODEL).log_evidence
            continue
        density = steps.fit(step - 1).marginal("theta_new").density(x)
        kernel = np.exp(-0.5 * ((y - x) / se) ** 2) / (se * np.sqrt(2 * np.pi))
        total += np.log((density * kernel).sum() * (x[1] - x[0]))
    assert steps.answers.log_evidence[-1] == pytest.approx(total, abs=1e-8)


def test_priors_are_those_of_the_fit():
    whole = bm.fit(studies(measure="MD", ni=[40, 60, 20, 10]))
    steps = bm.cumulative(whole)
    assert steps.fit(0).priors.mu == whole.priors.mu
    assert steps.fit(0).priors.tau == whole.priors.tau
    assert steps.answers.log_evidence[-1] == pytest.approx(whole.log_evidence, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: bm.cumulative(studies(), MODEL, by="yaer"),
            AnalysisError,
            "the studies have no column \"yaer\"; did you mean 'year'?",
        ),
        (
            lambda: bm.cumulative(studies().take([0, 1, 2]), MODEL, by="zzz"),
            AnalysisError,
            'the studies have no column "zzz"; there are year, country, x, precision',
        ),
        (
            lambda: bm.cumulative(bm.fit(studies(), MODEL), MODEL),
            AnalysisError,
            "cumulative takes a model with studies alone; a fit has its own",
        ),
        (
            lambda: bm.cumulative(studies(), bm.Model("x", mu="Flat()", beta="Flat()", tau="HalfNormal(1)")),
            ModelError,
            "cumulative takes mods '1' alone; got mods 'x'",
        ),
    ],
)
def test_mistakes_are_refused(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


def test_a_study_without_a_year_is_named():
    data = {"year": [2010.0, np.nan, 2015.0, 2001.0]}
    given = bm.Studies.from_effects(Y, sei=SE, slab=list("abcd"), data=data)
    with pytest.raises(AnalysisError) as caught:
        bm.cumulative(given, MODEL, by="year")
    assert str(caught.value) == (
        'column "year" must have a value for every study; it has none for "b"; fill it in'
    )


def test_the_plot_is_a_forest_of_the_steps():
    whole = bm.fit(studies(), MODEL)
    ax = plots.cumulative(bm.cumulative(whole, by="year"), whole)
    shown = [text.get_text() for text in ax.texts]
    for label in ("b", "+ d", "+ a", "+ c (all, k = 4)"):
        assert label in shown
    assert any(text.startswith("Each row has the studies above it as well.") for text in shown)


def test_the_plot_refuses_other_subsets():
    whole = bm.fit(studies(), MODEL)
    with pytest.raises(AnalysisError) as caught:
        plots.cumulative(bm.leave_out(whole), whole)
    assert str(caught.value) == "give the fit and what bm.cumulative(fit) returned to plots.cumulative"
