"""Which studies are outliers, and what the others say: a contaminated distribution of study effects.

With probability eps a study's effect has a wider distribution about the same mean. Given mu and tau the
studies are independent, so that the mixture over the 2^k ways of being an outlier is a product of k mixtures
of two, and the posterior is a two-dimensional integral, taken by Gauss-Legendre panels in both directions.

References
----------
Box GEP, Tiao GC (1968). A Bayesian approach to some outlier problems. Biometrika 55:119-129.
doi:10.1093/biomet/55.1.119
Beath KJ (2014). A finite mixture method for outlier detection and robustness in meta-analysis. Res Synth
Methods 5:285-293. doi:10.1002/jrsm.1114
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, log, nan, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmeta.arrays import readonly, strictly_between
from bayesmeta.engines.exact import integrand_of, seeds_of
from bayesmeta.errors import AnalysisError, ModelError, NumericalError, told
from bayesmeta.kernel import LOG_2PI
from bayesmeta.priors import Flat, Normal
from bayesmeta.properness import require_proper, tau_moments, whole_moments
from bayesmeta.quadrature import DEPTH, panel_density, panels
from bayesmeta.results.heterogeneity import TauDensity
from bayesmeta.results.marginal import check_interval
from bayesmeta.sensitivity.kept import posed
from bayesmeta.sensitivity.subsets import require_pooled

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.arrays import Floats
    from bayesmeta.model import Model
    from bayesmeta.problem import Problem
    from bayesmeta.quadrature import PanelDensity, Panels
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

EPS = 0.05
"""Probability of being an outlier before the data are seen."""
WIDEST = 1e100
"""Bound of an extra standard deviation or a factor, whose square must be a number."""
TYPICAL = 10.0
"""Standard deviation that outliers have in addition, in medians of the standard errors: anything goes."""
GOAL, LIMIT = 1e-9, 1e-7
DOUBLINGS = 4
PANEL = 1.0
"""Length of the first panels in both directions."""
SEED_STEP = 0.5
FARTHEST = 60.0
"""Largest ``asinh`` of the distance of mu from its centre at which the search begins."""
BLOCK = 2_000_000
"""Densities held in memory at once."""


class Estimate(NamedTuple):
    """Posterior of a quantity under the contaminated model."""

    mean: float
    """NaN where it does not exist."""
    sd: float
    """NaN where it does not exist."""
    median: float
    """Median."""
    lower: float
    """Lower bound of the equal-tailed interval."""
    upper: float
    """Upper bound."""


@dataclass(frozen=True, eq=False)
class Outliers:
    """The answer under a contaminated distribution of study effects.

    Attributes
    ----------
    studies : Studies
        The k studies that take part.
    eps : float
        Probability of being an outlier before the data are seen.
    extra : float
        Standard deviation of outliers in addition to tau, 0 if none.
    times : float
        Factor of tau in outliers, 1 if none.
    probability : (k,) array
        Posterior probability of each study to be an outlier.
    mu, tau : Estimate
        Posterior under the contaminated model.
    prob : float
        Probability of the intervals.
    log_evidence : float
        Log of the marginal likelihood.
    log_evidence_without : float
        The same without contamination (eps = 0); the difference is the log Bayes factor for it.
    error : float
        Largest change of a probability, of the log evidence, or in sds, when the panels were doubled.
    """

    studies: Studies
    eps: float
    extra: float
    times: float
    probability: Floats
    mu: Estimate
    tau: Estimate
    prob: float
    log_evidence: float
    log_evidence_without: float
    error: float

    @property
    def bayes_factor(self) -> float:
        """Evidence for outliers: marginal likelihood with contamination over that without."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.log_evidence - self.log_evidence_without))

    def table(self) -> pd.DataFrame:
        """Return a row for each study: effect, standard error, probability of being an outlier, its odds.

        ``odds_ratio`` is the factor by which the data changed the odds of being an outlier.
        """
        import pandas as pd

        p = self.probability
        with np.errstate(divide="ignore"):
            ratio = p / (1 - p) * (1 - self.eps) / self.eps
        columns = {"yi": self.studies.yi, "sei": self.studies.sei, "probability": p, "odds_ratio": ratio}
        return pd.DataFrame(columns, index=pd.Index(self.studies.slab, name="study"))

    def summary(self) -> pd.DataFrame:
        """Return mu and tau under the contaminated model, columns ``mean sd median lower upper``."""
        import pandas as pd

        return pd.DataFrame({"mu": self.mu._asdict(), "tau": self.tau._asdict()}).T


def outliers(
    given: Fit | Studies,
    model: Model | None = None,
    *,
    eps: float = EPS,
    extra: float | None = None,
    times: float | None = None,
    prob: float = 0.95,
) -> Outliers:
    """Return the probability of each study to be an outlier, and the answer that allows for outliers.

    Parameters
    ----------
    given : Fit or Studies
        The studies; with a fit, its priors.
    model : Model, optional
        Priors, where studies are given; without moderators, with Normal or Flat prior of mu.
    eps : float
        Probability of being an outlier before the data are seen.
    extra : float, optional
        Standard deviation that outliers have in addition to tau, in the units of the effects:
        ``theta_i ~ N(mu, tau^2 + extra^2)``. By default ten medians of the standard errors.
    times : float, optional
        Instead, factor of the standard deviation of outliers: ``theta_i ~ N(mu, (times tau)^2)``. Where tau
        is near 0 such outliers are none.
    prob : float
        Probability of the intervals.

    Raises
    ------
    AnalysisError
        If an option is wrong.
    ModelError
        If the model has moderators, another likelihood, tau = 0, or another prior of mu.
    ImproperPosteriorError
        If the posterior does not exist.
    NumericalError, told
        If the panels do not come to agree to 1e-7.

    Notes
    -----
    ``y_i | mu, tau ~ (1 - eps) N(mu, v_i + tau^2) + eps N(mu, v_i + wider)``.

    References
    ----------
    Box GEP, Tiao GC (1968). A Bayesian approach to some outlier problems. Biometrika 55:119-129.
    doi:10.1093/biomet/55.1.119

    Examples
    --------
    >>> import bayesmeta as bm
    >>> studies = bm.Studies.from_effects([0.1, 0.2, 0.15, 0.1, 2.0], sei=[0.1] * 5)
    >>> found = outliers(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.2)"))
    >>> [round(p, 2) for p in found.probability.tolist()]
    [0.01, 0.01, 0.01, 0.01, 1.0]
    """
    problem = posed(given, model, "outliers")
    _check(problem, eps, extra, times)
    check_interval(prob, "eti")
    chosen = TYPICAL * float(np.median(np.sqrt(problem.v))) if extra is None and times is None else extra
    wider = _Wider(eps, chosen or 0.0, times or 1.0)
    grid, error = _settled(_Contaminated(problem, wider))
    plain = _Contaminated(problem, _Wider(0.0, 0.0, 1.0))
    return Outliers(
        studies=problem.studies,
        eps=eps,
        extra=wider.extra,
        times=wider.times,
        probability=readonly(grid.outlying),
        mu=_mu(grid, prob),
        tau=_tau(grid, prob),
        prob=prob,
        log_evidence=grid.log_evidence,
        log_evidence_without=_settled(plain)[0].log_evidence,
        error=error,
    )


def _check(problem: Problem, eps: float, extra: float | None, times: float | None) -> None:
    require_pooled(problem, "outliers")
    if problem.model.is_common or not problem.priors.tau_density.smooth:
        raise ModelError(f"outliers needs a smooth prior of tau such as HalfNormal; got {problem.priors.tau}")
    if not isinstance(problem.priors.beta[0], Normal | Flat):
        raise ModelError(f"outliers needs a Normal or Flat prior of mu; got {problem.priors.mu}")
    require_proper(problem)
    if not strictly_between(eps, 0, 1):
        raise AnalysisError(f"eps must be a probability between 0 and 1, such as 0.05; got {told(eps)}")
    if extra is not None and times is not None:
        raise AnalysisError("outliers takes extra or times, not both; leave one out")
    if extra is not None and not strictly_between(extra, 0, WIDEST):
        raise AnalysisError(f"extra must be a positive standard deviation; got {told(extra)}")
    if times is not None and not strictly_between(times, 1, WIDEST):
        raise AnalysisError(f"times must be a factor above 1; got {told(times)}")


class _Wider(NamedTuple):
    """Contamination."""

    eps: float
    extra: float
    times: float


class _Grid(NamedTuple):
    """The posterior on panels of t (mu) by panels of u (tau)."""

    problem: Problem
    of_t: Panels
    of_u: Panels
    centre: float
    width: float
    weights: Floats
    """(n_t, n_u) probabilities of the nodes."""
    outlying: Floats
    """(k,) probabilities of being an outlier."""
    log_evidence: float

    @property
    def mu(self) -> Floats:
        """(n_t,) values of mu."""
        return self.centre + self.width * np.sinh(self.of_t.x)

    @property
    def tau(self) -> Floats:
        """(n_u,) values of tau."""
        return integrand_of(self.problem).substitution.tau(self.of_u.x)


class _Contaminated:
    """Log posterior density of ``t = asinh((mu - centre) / width)`` and u, up to its constant."""

    def __init__(self, problem: Problem, wider: _Wider) -> None:
        self.problem, self.wider = problem, wider
        self.integrand = integrand_of(problem)
        weights = 1 / problem.v
        self.centre = float(np.median(problem.y))
        self.width = float(1 / np.sqrt(weights.sum()))

    def log_density(self, t: Floats, u: Floats) -> tuple[Floats, Floats]:
        """Return log densities (n_t, n_u) and, likewise, the sums of what each study adds, (k, n_t, n_u)."""
        tau = self.integrand.substitution.tau(u)
        mu = self.centre + self.width * np.sinh(t)
        problem, tau2 = self.problem, tau * tau
        eps, extra, times = self.wider
        plain = _log_normal(problem, mu, tau2)
        log_prior = self.integrand.problem.priors.tau_density.logpdf(tau)
        prior = problem.priors.beta[0].logpdf(mu) + np.log(self.width * np.cosh(t))
        base = prior[:, None] + log_prior + self.integrand.substitution.log_derivative(u)
        if eps == 0:
            return base + plain.sum(axis=0), np.zeros_like(plain)
        wide = log(eps) + _log_normal(problem, mu, times**2 * tau2 + extra**2)
        both = np.logaddexp(log(1 - eps) + plain, wide)
        return base + both.sum(axis=0), np.exp(wide - both)

    def limits(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the intervals of t and of u outside which nothing counts."""
        t = np.arange(-FARTHEST, FARTHEST + SEED_STEP, SEED_STEP)
        t = np.unique(np.concatenate([t, np.arcsinh((self.problem.y - self.centre) / self.width)]))
        u = seeds_of(self.integrand)
        log_f = np.concatenate([self.log_density(part, u)[0] for part in np.array_split(t, 16)])
        moments = max(0, min(2, self.integrand.moments))
        growth = np.log1p((self.integrand.substitution.tau(u) / self.integrand.substitution.scale) ** 2)
        log_f = log_f + 0.5 * moments * growth
        log_f = np.where(np.isfinite(log_f), log_f, -inf)
        above = log_f > log_f.max() - DEPTH
        if not above.any():
            raise NumericalError(
                "outliers did not find where the posterior lies; are the priors in the units of the effects?"
            )
        return _hull(t, above.any(axis=1)), _hull(u, above.any(axis=0))

    def on(self, of_t: Panels, of_u: Panels) -> _Grid:
        """Return the posterior on panels."""
        step = max(1, BLOCK // (self.problem.k * of_u.x.size))
        parts, shares = [], []
        for first in range(0, of_t.x.size, step):
            log_f, share = self.log_density(of_t.x[first : first + step], of_u.x)
            parts.append(log_f)
            top = log_f.max()
            f = np.exp(log_f - top) * of_t.weights[first : first + step, None] * of_u.weights
            shares.append((top, np.tensordot(share, f, axes=2)))
        log_f = np.concatenate(parts)
        peak = float(log_f.max())
        f = np.exp(log_f - peak) * of_t.weights[:, None] * of_u.weights
        total = float(f.sum())
        outlying = sum(np.exp(top - peak) * share for top, share in shares) / total
        log_evidence = peak + log(total)
        return _Grid(
            self.problem, of_t, of_u, self.centre, self.width, f / total, np.asarray(outlying), log_evidence
        )


def _log_normal(problem: Problem, mu: Floats, tau2: Floats) -> Floats:
    """Return the (k, n_t, n_u) log densities of the effects."""
    total = problem.v[:, None, None] + tau2
    square = (problem.y[:, None, None] - mu[:, None]) ** 2
    return np.asarray(-0.5 * (LOG_2PI + np.log(total) + square / total))


def _hull(x: Floats, above: Any) -> tuple[float, float]:
    """Return the interval of the points above, with one on either side."""
    which = np.flatnonzero(above)
    return float(x[max(which[0] - 1, 0)]), float(x[min(which[-1] + 1, x.size - 1)])


def _settled(model: _Contaminated) -> tuple[_Grid, float]:
    """Return the posterior on panels that agree with those of twice their length, and the difference."""
    spans = model.limits()
    counts = [max(3, ceil((high - low) / PANEL)) for low, high in spans]

    def grid() -> _Grid:
        of_t, of_u = (panels(np.linspace(*span, n + 1)) for span, n in zip(spans, counts, strict=True))
        return model.on(of_t, of_u)

    coarse, error = grid(), inf
    for _ in range(DOUBLINGS):
        counts = [2 * n for n in counts]
        fine = grid()
        error, coarse = _difference(coarse, fine), fine
        if error <= GOAL:
            break
    if not error <= LIMIT:
        raise NumericalError(
            f"the integral over mu and tau did not settle; two grids differ by {error:.0e}; are standard "
            "errors of very different sizes?"
        )
    return coarse, error


def _difference(coarse: _Grid, fine: _Grid) -> float:
    """Return the largest change, in log evidence, probabilities, and means and spreads in sds (bounded)."""

    def moments(grid: _Grid) -> Floats:
        t, u = np.tanh(grid.of_t.x), np.tanh(grid.of_u.x)
        of_t, of_u = grid.weights.sum(axis=1), grid.weights.sum(axis=0)
        return np.array([of_t @ t, of_t @ t**2, of_u @ u, of_u @ u**2])

    parts = [abs(coarse.log_evidence - fine.log_evidence), np.abs(coarse.outlying - fine.outlying).max()]
    return float(max(*parts, np.abs(moments(coarse) - moments(fine)).max()))


def _mu(grid: _Grid, prob: float) -> Estimate:
    p = np.array([(1 - prob) / 2, 0.5, (1 + prob) / 2])
    of_t = grid.weights.sum(axis=1)
    density: PanelDensity = panel_density(grid.of_t, of_t / grid.of_t.weights)
    lower, median, upper = grid.centre + grid.width * np.sinh(density.quantile(p))
    bound = tau_moments(grid.problem) if isinstance(grid.problem.priors.beta[0], Flat) else inf
    mean = float(of_t @ grid.mu)
    sd = sqrt(float(of_t @ (grid.mu - mean) ** 2))
    return Estimate(mean if bound > 1 else nan, sd if bound > 2 else nan, median, lower, upper)


def _tau(grid: _Grid, prob: float) -> Estimate:
    moments = whole_moments(tau_moments(grid.problem))
    f = grid.weights.sum(axis=0) / grid.of_u.weights
    tau = TauDensity(integrand_of(grid.problem).substitution, grid.of_u, f, moments=moments)
    lower, median, upper = tau.quantile(np.array([(1 - prob) / 2, 0.5, (1 + prob) / 2]))[:, 0]
    return Estimate(float(tau.mean()[0]), float(tau.sd()[0]), float(median), float(lower), float(upper))
