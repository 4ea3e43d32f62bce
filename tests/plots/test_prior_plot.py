"""The chart of what the priors say shows the numbers of the table."""

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.errors import AnalysisError

STUDIES = bm.Studies.from_effects([0.1, 0.3, -0.1], sei=[0.1, 0.15, 0.2], measure="OR")
MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")


@pytest.mark.parametrize("name", ["mu", "theta_new", "tau", "I2", "range", "range_ratio"])
def test_interval_is_that_of_the_table(name):
    row = bm.prior_predictive(STUDIES, MODEL).loc[name]
    ax = bm.plots.prior_predictive(STUDIES, MODEL, name)
    curve, interval, median = ax.lines
    effect = np.exp if name in {"mu", "theta_new"} else np.asarray
    expected = effect(row[["lower", "upper"]].to_numpy())
    assert interval.get_xdata() == pytest.approx(np.clip(expected, *curve.get_xdata()[[0, -1]]), rel=1e-9)
    assert median.get_xdata() == pytest.approx(effect(row[["median"]].to_numpy()), rel=1e-9, abs=1e-9)
    assert np.all(np.diff(curve.get_ydata()) >= 0)


def test_another_level_and_axes_are_used():
    ax = bm.plots.prior_predictive(STUDIES, MODEL, "tau")
    again = bm.plots.prior_predictive(STUDIES, MODEL, "tau", ax, prob=0.5)
    assert again is ax
    assert ax.lines[4].get_xdata()[1] < ax.lines[1].get_xdata()[1]


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        (MODEL, "taw", "unknown quantity 'taw'; did you mean 'tau'?"),
        (
            bm.Model(mu="Flat()", tau="HalfNormal(1)"),
            "mu",
            "the prior of mu is improper, so that it says nothing; use a proper prior",
        ),
    ],
)
def test_what_cannot_be_drawn_is_explained(model, name, message):
    with pytest.raises(AnalysisError) as caught:
        bm.plots.prior_predictive(STUDIES, model, name)
    assert str(caught.value) == message
