"""Tests for small-study effects by regression, and the effects they extrapolate to: Egger, PET, PEESE.

The weighted regression (``model="lm"``) multiplies the sampling variances by a dispersion estimated from the
residuals; the mixed one (``model="rma"``) adds a between-study variance.

References
----------
Egger M, Davey Smith G, Schneider M, Minder C (1997). Bias in meta-analysis detected by a simple, graphical
test. BMJ 315:629-634. doi:10.1136/bmj.315.7109.629
Thompson SG, Sharp SJ (1999). Explaining heterogeneity in meta-analysis: a comparison of methods. Stat Med
18:2693-2708. doi:10.1002/(SICI)1097-0258(19991030)18:20<2693::AID-SIM235>3.0.CO;2-V
Sterne JAC, Egger M (2005). Regression methods to detect publication and other bias in meta-analysis. In:
Publication Bias in Meta-Analysis. Wiley, 99-110. doi:10.1002/0470870168.ch6
Stanley TD, Doucouliagos H (2014). Meta-regression approximations to reduce publication selection bias. Res
Synth Methods 5:60-78. doi:10.1002/jrsm.1095
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, nan
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.bias.common import cautions, check_alpha, check_level, choice, usable
from bayesmeta.classical.heterogeneity import ESTIMATORS, heterogeneity
from bayesmeta.classical.likelihood import log_likelihood
from bayesmeta.classical.pooling import TESTS, pool
from bayesmeta.classical.problem import problem
from bayesmeta.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.arrays import Floats
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

PREDICTORS: Mapping[str, Callable[[Studies], Floats]] = MappingProxyType(
    {
        "sei": lambda studies: studies.sei,
        "vi": lambda studies: np.asarray(studies.vi),
        "ni": lambda studies: _sizes(studies),
        "ninv": lambda studies: 1 / _sizes(studies),
        "sqrtni": lambda studies: np.sqrt(_sizes(studies)),
        "sqrtninv": lambda studies: 1 / np.sqrt(_sizes(studies)),
    }
)
"""Predictors by name: standard error, variance, sample size, its inverse and their square roots."""
VANISHING = frozenset({"sei", "vi", "ninv", "sqrtninv"})
"""Predictors that go to 0 as a study grows, so that the intercept is the effect of a very large study."""
MODELS = ("lm", "rma")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionTest:
    """Result of a regression of effects on a predictor of their precision.

    Attributes
    ----------
    name : str
        Name of the test.
    model : str
        ``lm``, a weighted regression with dispersion, or ``rma``, a mixed one.
    predictor : str
        What the effects are regressed on.
    slope, slope_se : float
        Coefficient of the predictor and its standard error.
    statistic, df, p_value : float
        t (or z, where `df` is NaN) of the slope; two-sided p-value.
    estimate, se, lower, upper : float
        Effect that a study of vanishing standard error would have, on the analysis scale; NaN for predictors
        that grow with the study.
    estimate_p : float
        Two-sided p-value of that effect.
    tau2 : float
        Between-study variance; NaN for the weighted regression.
    dispersion : float
        Factor on the sampling variances; 1 for the mixed regression with normal test.
    log_likelihood : float
        Of the mixed regression, restricted for REML; NaN for the weighted one.
    level : float
        Confidence level.
    k : int
        Number of studies.
    """

    name: str
    model: str
    predictor: str
    slope: float
    slope_se: float
    statistic: float
    df: float
    p_value: float
    estimate: float
    se: float
    lower: float
    upper: float
    estimate_p: float
    tau2: float
    dispersion: float
    log_likelihood: float
    level: float
    k: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know."""
        return cautions(self.k)

    def __str__(self) -> str:
        letter = "z" if isnan(self.df) else f"t({self.df:g})"
        text = f"{self.name}: slope on {self.predictor} {self.slope:.4g} (se {self.slope_se:.4g}), "
        text += f"{letter} = {self.statistic:.3f}, p = {self.p_value:.3g}."
        if not isnan(self.estimate):
            text += (
                f" Effect of a very large study {self.estimate:.4g} "
                f"[{self.lower:.4g}, {self.upper:.4g}] ({self.level:.0%} CI)."
            )
        return "\n".join((text, *self.warnings))


def regression_test(
    source: Studies | Fit,
    *,
    predictor: str = "sei",
    model: str = "lm",
    method: str = "REML",
    test: str = "z",
    level: float = 0.95,
) -> RegressionTest:
    """Return the regression of effects on a predictor of their precision.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies.
    predictor : {"sei", "vi", "ni", "ninv", "sqrtni", "sqrtninv"}
        Standard error, variance, sample size, 1 / size, and the square roots of the last two.
    model : {"lm", "rma"}
        Weighted regression with a dispersion, tested by t with k - 2 degrees of freedom (Egger's test), or
        mixed-effects regression (Thompson and Sharp's with ``method="DL"``).
    method, test : str
        Estimator of tau^2 and test of the mixed regression, as in `bayesmeta.classical`.
    level : float
        Confidence level.

    Raises
    ------
    DataError
        Too few studies, no sample sizes, or a predictor that is the same for all studies.
    AnalysisError
        An unknown option.
    """
    studies = usable(source, what="a regression test")
    choice("predictor", predictor, PREDICTORS)
    choice("model", model, MODELS)
    choice("method", method, ESTIMATORS)
    choice("test", test, TESTS)
    x = PREDICTORS[predictor](studies)
    name = "Egger's test" if (predictor, model) == ("sei", "lm") else "Regression test"
    if model == "lm":
        return weighted(name, predictor, studies.yi, x, 1 / studies.vi, level=level)
    return _regressed(name, predictor, studies.yi, x, studies.vi, method=method, test=test, level=level)


def egger(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return Egger's test: weighted regression of the effects on their standard errors.

    Parameters
    ----------
    source : Studies or Fit
        At least three studies with different standard errors.
    level : float
        Confidence level.
    """
    return regression_test(source, level=level)


def thompson_sharp(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return Thompson and Sharp's test: mixed regression on the standard error, tau^2 by moments.

    Parameters
    ----------
    source, level
        As in `egger`.
    """
    studies = usable(source, what="a regression test")
    name = "Thompson and Sharp's test"
    return _regressed(name, "sei", studies.yi, studies.sei, studies.vi, method="DL", test="z", level=level)


def pet(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return the precision-effect test: the effect at standard error 0 of Egger's regression.

    Parameters
    ----------
    source, level
        As in `egger`.
    """
    studies = usable(source, what="PET")
    return weighted("PET", "sei", studies.yi, studies.sei, 1 / studies.vi, level=level)


def peese(source: Studies | Fit, *, level: float = 0.95) -> RegressionTest:
    """Return the precision-effect estimate with standard error: regression on the variance.

    Parameters
    ----------
    source, level
        As in `egger`.
    """
    studies = usable(source, what="PEESE")
    return weighted("PEESE", "vi", studies.yi, np.asarray(studies.vi), 1 / studies.vi, level=level)


def pet_peese(source: Studies | Fit, *, alpha: float = 0.10, level: float = 0.95) -> RegressionTest:
    """Return PEESE where PET finds an effect, else PET.

    Parameters
    ----------
    source, level
        As in `egger`.
    alpha : float
        Two-sided level at which PET's effect counts as found; 0.10 is 0.05 in one direction.

    Notes
    -----
    The rule is Stanley and Doucouliagos's; a choice made by a test has no continuous interval.
    """
    check_alpha(alpha)
    first = pet(source, level=level)
    return peese(source, level=level) if first.estimate_p < alpha else first


def weighted(
    name: str, predictor: str, y: Floats, x: Floats, weights: Floats, *, level: float
) -> RegressionTest:
    """Return the weighted regression of y (k,) on x (k,) with a dispersion, tested by t."""
    return _regressed(name, predictor, y, x, 1 / weights, method="FE", test="knha", level=level)


def _regressed(
    name: str,
    predictor: str,
    y: Floats,
    x: Floats,
    v: Floats,
    *,
    method: str,
    test: str,
    level: float,
) -> RegressionTest:
    check_level(level)
    _check_predictor(x, predictor)
    known = heterogeneity(problem(y, v, np.column_stack([np.ones(y.size), x])), level=level)
    fitted = pool(known, method=method, test=test)
    mixed = method != "FE" or test != "knha"
    fields = ("beta", "se", "lower", "upper", "p_value")
    limit = {field: float(getattr(fitted, field)[0]) for field in fields}
    if predictor not in VANISHING:
        limit = dict.fromkeys(limit, nan)
    return RegressionTest(
        name=name,
        model="rma" if mixed else "lm",
        predictor=predictor,
        slope=float(fitted.beta[1]),
        slope_se=float(fitted.se[1]),
        statistic=float(fitted.statistic[1]),
        df=float(fitted.df),
        p_value=float(fitted.p_value[1]),
        estimate=limit["beta"],
        se=limit["se"],
        lower=limit["lower"],
        upper=limit["upper"],
        estimate_p=limit["p_value"],
        tau2=fitted.tau2 if mixed else nan,
        dispersion=fitted.scale,
        log_likelihood=_likelihood(known.problem.data, fitted.tau2, method) if mixed else nan,
        level=level,
        k=int(y.size),
    )


def _likelihood(data: object, tau2: float, method: str) -> float:
    return log_likelihood(data, 0.0 if isnan(tau2) else tau2, restricted=method == "REML")  # type: ignore[arg-type]


def _check_predictor(x: Floats, predictor: str) -> None:
    if np.ptp(x) <= 1e-10 * np.abs(x).max():
        what = {"sei": "standard error", "vi": "variance"}.get(predictor, predictor)
        raise DataError(
            f"a regression test needs studies that differ in {what}; got {x[0]:.6g} for all {x.size} studies"
        )


def _sizes(studies: Studies) -> Floats:
    if studies.ni is None:
        raise DataError(
            "this predictor needs the sample sizes, which these studies have not; give ni, or use 'sei'"
        )
    return np.asarray(studies.ni)
