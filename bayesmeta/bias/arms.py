"""Regression tests for studies with arm data, whose standard errors depend on the effect.

The standard error of a log odds ratio or a standardised mean difference depends on the estimate, which makes
Egger's test reject too often. These tests use predictors that depend less on it.

References
----------
Harbord RM, Egger M, Sterne JAC (2006). A modified test for small-study effects in meta-analyses of controlled
trials with binary endpoints. Stat Med 25:3443-3457. doi:10.1002/sim.2380
Peters JL, Sutton AJ, Jones DR, Abrams KR, Rushton L (2006). Comparison of two methods to detect publication
bias in meta-analysis. JAMA 295:676-680. doi:10.1001/jama.295.6.676
Macaskill P, Walter SD, Irwig L (2001). A comparison of methods to detect publication bias in meta-analysis.
Stat Med 20:641-654. doi:10.1002/sim.698
Deeks JJ, Macaskill P, Irwig L (2005). The performance of tests of publication bias and other sample size
effects in systematic reviews of diagnostic test accuracy was assessed. J Clin Epidemiol 58:882-893.
doi:10.1016/j.jclinepi.2005.01.016
Ruecker G, Schwarzer G, Carpenter J (2008). Arcsine test for publication bias in meta-analyses with binary
outcomes. Stat Med 27:746-763. doi:10.1002/sim.2971
Pustejovsky JE, Rodgers MA (2019). Testing for funnel plot asymmetry of standardized mean differences. Res
Synth Methods 10:57-71. doi:10.1002/jrsm.1332
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.bias.common import usable
from bayesmeta.bias.regression import RegressionTest, weighted
from bayesmeta.effectsizes import find_measure
from bayesmeta.errors import DataError

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies


class Table(NamedTuple):
    """Cells of the two-by-two tables of k studies."""

    a: Floats
    """Events in group 1."""
    b: Floats
    """Others in group 1."""
    c: Floats
    """Events in group 2."""
    d: Floats
    """Others in group 2."""

    @property
    def n(self) -> Floats:
        """Sizes of the studies."""
        return self.a + self.b + self.c + self.d

    @property
    def pooled_information(self) -> Floats:
        """Inverse variance of the log odds of an event in both groups together."""
        return 1 / (1 / (self.a + self.c) + 1 / (self.b + self.d))


def peters(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return Peters' test: regression of the effects on 1 / n, weighted by the information on the event rate.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies with two-by-two tables.
    level : float
        Confidence level.

    Raises
    ------
    DataError
        Without two-by-two tables, or if all studies are of one size.
    """
    studies, table = _tables(source, "Peters' test")
    return weighted("Peters' test", "ninv", studies.yi, 1 / table.n, table.pooled_information, level=level)


def macaskill(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return Macaskill's test: regression of the effects on n, weighted by the information on the event rate.

    Parameters
    ----------
    source, level
        As in `peters`.
    """
    studies, table = _tables(source, "Macaskill's test")
    return weighted("Macaskill's test", "ni", studies.yi, table.n, table.pooled_information, level=level)


def harbord(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return Harbord's test: Egger's regression of the efficient score, the odds ratio by Peto.

    Parameters
    ----------
    source, level
        As in `peters`. Studies without events, or with nothing else, say nothing and are left out.

    Notes
    -----
    With score Z and its information V at no effect, ``Z / V`` is regressed on ``1 / sqrt(V)`` with weights V;
    its limit is a log odds ratio.
    """
    _studies, table = _tables(source, "Harbord's test")
    effects = find_measure("PETO").function(*table)  # type: ignore[misc]
    return _egger_of("Harbord's test", effects.yi, effects.vi, level)


def arcsine(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return Ruecker's test: Egger's regression of arcsine risk differences, whose variance is stable.

    Parameters
    ----------
    source, level
        As in `peters`.
    """
    _studies, table = _tables(source, "the arcsine test")
    effects = find_measure("AS").function(*table)  # type: ignore[misc]
    return _egger_of("Arcsine test", effects.yi, effects.vi, level)


def deeks(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return Deeks' test: regression on 1 / sqrt(effective sample size), weighted by that size.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies with the sizes of both groups.
    level : float
        Confidence level.

    Notes
    -----
    The effective size is ``4 n1 n2 / (n1 + n2)``.
    """
    studies, n1, n2 = _groups(source, "Deeks' test")
    size = 4 * n1 * n2 / (n1 + n2)
    return weighted("Deeks' test", "sqrtninv", studies.yi, 1 / np.sqrt(size), size, level=level)


def pustejovsky_rodgers(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return Pustejovsky and Rodgers' test of standardised mean differences.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies with the sizes of both groups.
    level : float
        Confidence level.

    Notes
    -----
    Egger's regression with ``sqrt(1 / n1 + 1 / n2)``, the part of the standard error that does not depend on
    the effect, for predictor and weights.
    """
    name = "Pustejovsky and Rodgers' test"
    studies, n1, n2 = _groups(source, name)
    variance = 1 / n1 + 1 / n2
    return weighted(name, "sei", studies.yi, np.sqrt(variance), 1 / variance, level=level)


def _egger_of(name: str, y: Floats, v: Floats, level: float) -> RegressionTest:
    kept = np.isfinite(y) & (v > 0)
    if kept.sum() < 3:
        raise DataError(f"{name} needs at least 3 studies with events; got {int(kept.sum())}")
    y, v = y[kept], v[kept]
    return weighted(name, "sei", y, np.sqrt(v), 1 / v, level=level)


def _tables(source: Studies | Fit, what: str) -> tuple[Studies, Table]:
    studies = usable(source, what=what)
    if not {"ai", "bi", "ci", "di"} <= set(studies.arms):
        raise DataError(
            f"{what} needs two-by-two tables (ai, n1i, ci, n2i), which these studies have not; use egger"
        )
    return studies, Table(*(np.asarray(studies.arms[name]) for name in ("ai", "bi", "ci", "di")))


def _groups(source: Studies | Fit, what: str) -> tuple[Studies, Floats, Floats]:
    studies = usable(source, what=what)
    if not {"n1i", "n2i"} <= set(studies.arms):
        raise DataError(
            f"{what} needs the sizes of both groups (n1i, n2i), which these studies have not; use egger"
        )
    return studies, np.asarray(studies.arms["n1i"]), np.asarray(studies.arms["n2i"])
