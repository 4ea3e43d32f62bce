"""Tipping points: what would have to change for the probability of a statement to cross a decision line.

References
----------
Mathur MB, VanderWeele TJ (2020). Sensitivity analysis for unmeasured confounding in meta-analyses. J Am Stat
Assoc 115:163-172. doi:10.1080/01621459.2018.1529598
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.arrays import readonly, strictly_between
from bayesmeta.errors import AnalysisError, told
from bayesmeta.results.expression import Comparison, parse_statement
from bayesmeta.results.fit import require_fit
from bayesmeta.sensitivity.changes import (
    Question,
    of_bias,
    of_effects,
    of_mu_scale,
    of_null_study,
    of_tau_scale,
)
from bayesmeta.sensitivity.roots import roots

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.results.fit import Fit
    from bayesmeta.sensitivity.changes import Change

EXACT = 1e-12
"""Distance of a probability from the decision line that counts as none."""


@dataclass(frozen=True, slots=True, eq=False)
class TippingCurve:
    """The probability of the statement along one change, and where it crosses the decision line.

    Attributes
    ----------
    what : str
        What changes.
    x : (n,) array
        Values of it, in increasing order, on the analysis scale.
    probability : (n,) array
        Probability of the statement there.
    present : float
        The value as it is; infinite where there is none yet, as a study that does not exist.
    tipping : float
        The nearest value at which the probability is the decision line; NaN if there is none.
    unit : float
        Standard error of the study that changes; NaN elsewhere.
    reason : str
        Why there is no such value, with the limits that were reached; empty if there is one.
    """

    what: str
    x: Floats
    probability: Floats
    present: float
    tipping: float
    unit: float = nan
    reason: str = ""

    @property
    def change(self) -> float:
        """Difference of the tipping point from the present value; NaN where either is not finite."""
        return self.tipping - self.present if isfinite(self.present) else nan


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TippingPoints:
    """What would have to change for the probability of a statement to cross a decision line.

    Attributes
    ----------
    fit : Fit
        The answer.
    statement : str
        The statement.
    decision : float
        The line.
    probability : float
        Probability of the statement now.
    tau_scale, mu_scale : TippingCurve
        Scale of the prior of tau within its family; standard deviation of the normal prior of mu.
    effects : tuple of TippingCurve
        Effect of each study.
    null_study : TippingCurve
        Standard error of a new study with effect 0.
    bias : TippingCurve
        Amount subtracted from the effect of every study.
    """

    fit: Fit
    statement: str
    decision: float
    probability: float
    tau_scale: TippingCurve
    mu_scale: TippingCurve
    effects: tuple[TippingCurve, ...]
    null_study: TippingCurve
    bias: TippingCurve

    def __repr__(self) -> str:
        return f"<TippingPoints: P({self.statement}) = {self.probability:.4g}, line {self.decision:g}>"

    @property
    def curves(self) -> tuple[TippingCurve, ...]:
        """All curves."""
        return (self.tau_scale, self.mu_scale, *self.effects, self.null_study, self.bias)

    @property
    def weakest(self) -> TippingCurve | None:
        """The study whose effect has to change by the fewest standard errors; None if none can do it."""
        able = [one for one in self.effects if isfinite(one.tipping)]
        return min(able, key=lambda one: abs(one.change) / one.unit, default=None)

    @property
    def null_share(self) -> float:
        """Information (1 / sei^2) of the new null study at its tipping point, relative to all studies."""
        return float(self.null_study.tipping**-2 / np.sum(1 / self.fit.problem.v))

    def table(self) -> pd.DataFrame:
        """Return the tipping points, one row each.

        Returns
        -------
        pandas.DataFrame
            ``what`` changes, its ``present`` value, the ``tipping`` point, their difference ``change``, the
            same ``in_sei`` standard errors of the study, and ``status``: ``"ok"``, or why there is none.
        """
        import pandas as pd

        rows = [
            {
                "what": one.what,
                "present": one.present,
                "tipping": one.tipping,
                "change": one.change,
                "in_sei": one.change / one.unit,
                "status": one.reason or "ok",
            }
            for one in self.curves
        ]
        return pd.DataFrame(rows)


def tipping_points(
    fit: Fit, decision: float = 0.95, *, mid: float | None = None, statement: str | None = None
) -> TippingPoints:
    """Return what would have to change for the probability of a statement to cross a decision line.

    Parameters
    ----------
    fit : Fit
        An answer without moderators by the normal likelihood, with a normal or flat prior of mu.
    decision : float
        The line, a probability.
    mid : float, optional
        Minimal important difference on the analysis scale: the statement is that mu is beyond it.
    statement : str, optional
        One comparison of ``mu`` or ``theta_new`` with a number; by default that mu is on the better side of 0
        (above 0 where no side is).

    Returns
    -------
    TippingPoints
        Five kinds of change with their exact curves: the scale of the prior of tau, the standard deviation of
        the prior of mu, the effect of each study, the standard error of a new study without an effect, and a
        bias common to all studies. Everything else stays as it is, the priors too.

    Raises
    ------
    AnalysisError
        If the statement, the line or the model is not of that kind.

    Examples
    --------
    >>> from bayesmeta.fitting import fit
    >>> from bayesmeta.model import Model
    >>> from bayesmeta.studies import Studies
    >>> studies = Studies.from_effects([0.2, 0.4, 0.3], sei=[0.1, 0.1, 0.2])
    >>> points = tipping_points(fit(studies, Model(mu="Normal(0, 1)", tau="HalfNormal(0.2)")))
    >>> points
    <TippingPoints: P(mu > 0) = 0.99, line 0.95>
    >>> round(points.bias.tipping, 3)
    0.122
    """
    require_fit(fit, "tipping_points")
    if not strictly_between(decision, 0, 1):
        raise AnalysisError(f"decision must be a probability between 0 and 1; got {told(decision)}")
    text = _statement(fit, mid, statement)
    question = Question(fit, *_parsed(text))
    found = _Finder(question, decision)
    return TippingPoints(
        fit,
        text,
        decision,
        found.now,
        tau_scale=found.curve(of_tau_scale(question)),
        mu_scale=found.curve(of_mu_scale(question)),
        effects=found.curves(of_effects(question)),
        null_study=found.curve(of_null_study(question)),
        bias=found.curve(of_bias(question)),
    )


def _statement(fit: Fit, mid: float | None, statement: str | None) -> str:
    if statement is not None and mid is not None:
        raise AnalysisError("give mid or a statement, not both")
    if mid is not None and not strictly_between(mid, 0, inf):
        raise AnalysisError(
            f"mid must be a positive number, the minimal important difference; got {told(mid)}"
        )
    if statement is not None:
        return statement
    limit = 0.0 if mid is None else mid
    return f"mu < {-limit or 0:g}" if fit.studies.better == "lower" else f"mu > {limit:g}"


class _Sides(NamedTuple):
    new: bool
    above: bool
    limit: float


def _parsed(text: str) -> _Sides:
    parsed = parse_statement(text, ("mu", "theta_new"))
    if not isinstance(parsed, Comparison) or bool(parsed.left.name) == bool(parsed.right.name):
        raise AnalysisError(f"statement '{text}': write one comparison with a number, such as 'mu > 0'")
    named, number = (parsed.left, parsed.right) if parsed.left.name else (parsed.right, parsed.left)
    above = (">" in parsed.symbol) == bool(parsed.left.name)
    return _Sides(named.name == "theta_new", above, number.value)


class _Path(NamedTuple):
    """Where a change may tip: n curves, each with its values from the present one outwards."""

    x: Floats
    """(n, m) values."""
    probability: Floats
    """(n, m) probabilities there."""


class _Finder:
    """Finds the nearest tipping points of changes."""

    def __init__(self, question: Question, decision: float) -> None:
        self.question, self.decision = question, decision
        self.now = question.now

    def curve(self, change: Change) -> TippingCurve:
        """Return the curve of a change of one quantity."""
        return self.curves(change)[0]

    def curves(self, change: Change) -> tuple[TippingCurve, ...]:
        """Return the curves of a change of n quantities."""
        reason = change.why_not
        if reason:
            empty = readonly([])
            return tuple(TippingCurve(one, empty, empty, nan, nan, reason=reason) for one in change.names)
        paths = [_Path(x, self._along(change, x)) for x in change.paths]
        ends = np.stack([self._crossing(change, path) for path in paths])
        distance = np.nan_to_num(change.distance(ends), nan=inf)
        nearest = np.take_along_axis(ends, distance.argmin(axis=0)[None, :], axis=0)[0]
        return tuple(self._curve(change, paths, i, float(nearest[i])) for i in range(nearest.size))

    def _along(self, change: Change, x: Floats) -> Floats:
        which = np.repeat(np.arange(x.shape[0]), x.shape[1])
        values = change.probability(x.ravel(), which)
        return np.column_stack([np.full(x.shape[0], self.now), values.reshape(x.shape)])

    def _crossing(self, change: Change, path: _Path) -> Floats:
        """Return the (n,) first values of a path at which the probability is the line; NaN if it never is."""
        x = np.column_stack([change.start, path.x])
        excess = path.probability - self.decision
        crossed = excess[:, :-1] * excess[:, 1:] <= 0
        rows = np.flatnonzero(crossed.any(axis=1))
        found = np.full(x.shape[0], nan)
        if rows.size:
            first = crossed[rows].argmax(axis=1)

            def f(values: Floats, which: Ints) -> Floats:
                return change.probability(values, rows[which]) - self.decision

            found[rows] = roots(f, x[rows, first], x[rows, first + 1], EXACT)
        return found

    def _curve(self, change: Change, paths: list[_Path], i: int, tipping: float) -> TippingCurve:
        x = np.concatenate([*(path.x[i] for path in paths), [change.present[i], tipping]])
        p = np.concatenate([*(path.probability[i, 1:] for path in paths), [self.now, self.decision]])
        order = np.argsort(x)
        x, p = x[order], p[order]
        kept = np.isfinite(x)
        x, p = x[kept], p[kept]
        reason = "" if isfinite(tipping) else self._reason(x, p)
        unit = float(change.units[i])
        present = float(change.present[i])
        return TippingCurve(change.names[i], readonly(x), readonly(p), present, tipping, unit, reason)

    def _reason(self, x: Floats, p: Floats) -> str:
        return (
            f"no such value: from {x[0]:.3g} to {x[-1]:.3g} the probability stays between "
            f"{np.nanmin(p):.4f} and {np.nanmax(p):.4f}"
        )
