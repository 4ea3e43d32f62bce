"""The figures of an outcome, with their names and captions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bayesmeta import plots
from bayesmeta.plots.bubble_plot import held_text, numeric_moderators
from bayesmeta.plots.files import figure_of
from bayesmeta.plots.rows import MOST_STUDIES
from bayesmeta.plots.words import clean, interval_name, percent
from bayesmeta.workflow.robustness_figures import robustness_figures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayesmeta.workflow.outcome import Checked, Outcome


class NamedFigure(NamedTuple):
    """A figure of a report."""

    name: str
    """Name, fit for a file."""
    caption: str
    """What is seen, with kind and level of the intervals."""
    figure: Figure
    """The figure."""


def figures(outcome: Outcome) -> tuple[NamedFigure, ...]:
    """Return the figures of an outcome: as many as apply to it.

    Parameters
    ----------
    outcome : Outcome
        What a run found.

    Returns
    -------
    tuple of NamedFigure
        ``forest``, ``funnel``, ``density_mu``, ``density_tau``, ``bubble_<regression>`` for each regression
        with exactly one moderator of numbers, ``leave_one_out``, ``prior_sensitivity``, and those of
        `robustness_figures`. There is no forest plot of more than 500 studies, and neither funnel nor density
        of mu of a main model with moderators.
    """
    found = _Figures(outcome)
    return tuple(
        NamedFigure(name, caption, figure_of(ax))
        for name, caption, ax in (
            *found.main(),
            *found.bubbles(),
            *found.sensitivity(),
            *robustness_figures(outcome),
        )
    )


class _Figures:
    """Figures of one outcome, with one kind and level of interval."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.fit = outcome.main.fit
        self.prob, self.kind = outcome.analysis.interval.prob, outcome.analysis.interval.kind
        self.level = percent(self.prob)
        self.words = interval_name(self.prob, self.kind)
        label = outcome.studies.effect_label
        self.effect = label[:1].lower() + label[1:]

    def main(self) -> Iterator[tuple[str, str, Axes]]:
        """Yield the figures of the main model."""
        if self.outcome.studies.k <= MOST_STUDIES:
            yield self._forest()
        if self.fit.problem.is_pooled:
            if self.outcome.studies.estimable.any():
                yield self._funnel()
            yield self._density("mu", f"the pooled {self.effect}")
        if not self.fit.model.is_common:
            yield self._density("tau", "the between-study standard deviation τ")

    def _forest(self) -> tuple[str, str, Axes]:
        division = self.outcome.subgroups[0] if self.outcome.subgroups else None
        exact = None if division is None else division.exact
        shared = exact if exact is not None and exact.tau == "shared" else None
        own = {} if division is None else {name: one.fit for name, one in division.groups.items()}
        ax = plots.forest(
            self.fit, subgroups=own if shared is None else shared, prob=self.prob, kind=self.kind
        )
        blocks = "" if division is None else f" by {clean(division.by)}"
        whose = "one τ for all" if shared is not None else "a τ of their own"
        diamonds = "" if division is None else f" Open diamonds are subgroups with {whose}."
        pooled = (
            " The filled diamond is the pooled effect, the bar the effect in a new study."
            if self.fit.problem.is_pooled
            else " With moderators there is no pooled effect."
        )
        caption = (
            f"Forest plot of the {self.effect}{blocks}. Squares are observed effects with {self.level} "
            "confidence intervals, their area the weight; dots are posterior medians, shrunken towards one "
            f"another, with {self.words}s.{diamonds}{pooled}{self._scale()}"
        )
        return "forest", caption, ax

    def _scale(self) -> str:
        return " The axis is logarithmic." if self.outcome.studies.is_ratio else ""

    def _funnel(self) -> tuple[str, str, Axes]:
        ax = plots.funnel(self.fit, prob=self.prob)
        caption = (
            f"Funnel plot: observed effects against their standard errors. {self.level} of studies lie "
            "within the dashed lines around the pooled effect (posterior median) if all have the same true "
            "effect, within the dotted ones if effects differ by the median of τ. Shades are levels of "
            f"significance of a single study.{self._scale()}"
        )
        return "funnel", caption, ax

    def _density(self, name: str, words: str) -> tuple[str, str, Axes]:
        main = self.outcome.main
        ax = plots.density(self.fit, name, exact=main.exact, prob=self.prob, kind=self.kind)
        source = "exact density" if self.fit.engine == "exact" else "draws of NUTS as a histogram"
        curve = ", and the exact density as a line" if main.exact is not None else ""
        caption = f"Prior and posterior of {words}: {source}{curve}, with median and {self.words}."
        return f"density_{name}", caption, ax

    def bubbles(self) -> Iterator[tuple[str, str, Axes]]:
        """Yield a bubble plot for each regression with exactly one moderator of numbers."""
        for name, checked in self.outcome.regressions.items():
            moderator = _only_number(checked)
            if moderator is not None:
                ax = plots.bubble(checked.fit, moderator, prob=self.prob, kind=self.kind)
                caption = (
                    f"Meta-regression on {clean(moderator)}: posterior median of the {self.effect} with its "
                    f"{self.words} (dark band) and that of the effect in a new study (light band). Bubbles "
                    f"are observed effects, their area the weight.{_held(checked, moderator)}{self._scale()}"
                )
                yield f"bubble_{name}", caption, ax

    def sensitivity(self) -> Iterator[tuple[str, str, Axes]]:
        """Yield leave-one-out and the answers under other priors, where there are any."""
        outcome, options = self.outcome, {"prob": self.prob, "kind": self.kind}
        what = f"the pooled {self.effect}" if self.fit.problem.is_pooled else "the first slope"
        diamond = f"the diamond is the main answer.{self._scale()}"
        tail = f"posterior medians of {what} with {self.words}s; {diamond}"
        if outcome.left_out:
            ax = plots.leave_one_out(outcome.left_out, self.fit, **options)  # type: ignore[arg-type]
            yield "leave_one_out", f"The answer without each study: {tail}", ax
        if outcome.priors:
            ax = plots.prior_sensitivity(outcome.priors, self.fit, **options)  # type: ignore[arg-type]
            yield "prior_sensitivity", f"The answer under other priors: {tail}", ax


def _held(checked: Checked, moderator: str) -> str:
    """Return the sentence that says where the other moderators are held; nothing if there are none."""
    text = held_text(checked.fit, moderator)
    return f" Other moderators are held {text}." if text else ""


def _only_number(checked: Checked) -> str | None:
    """Return the one moderator of numbers that a regression has; None if it has none or several."""
    numeric = numeric_moderators(checked.fit)
    return numeric[0] if len(numeric) == 1 else None
