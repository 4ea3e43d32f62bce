"""The kernel: the Gaussian random-effects model profiled over the between-study variance.

For ``y ~ N(X beta, diag(v) + tau^2 I)`` everything is Gaussian once tau is fixed. `profile` evaluates the
generalised least-squares solution on a whole grid of tau^2 at once; the classical engine looks for the
maximum or the root of what it returns, the exact engine integrates it against the prior of tau.

The data are first brought into a form in which nothing cancels: the columns of X are orthonormalised and a
reference fit is subtracted from y, so that effects near 1e12 or moderators such as calendar years lose no
digits. Results are reported in the user's coefficients.

References
----------
Searle SR, Casella G, McCulloch CE (1992). Variance Components. Wiley. doi:10.1002/9780470316856
Harville DA (1977). Maximum likelihood approaches to variance component estimation and to related problems.
J Am Stat Assoc 72:320-338. doi:10.1080/01621459.1977.10480998
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.sums import Sums, sums_over

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats

LOG_2PI = log(2 * pi)


@dataclass(frozen=True, slots=True, eq=False)
class GaussianData:
    """Effects, variances and design in the coordinates in which the kernel computes.

    The user's coefficients are ``beta = origin + transform @ gamma``, where gamma belongs to the
    orthonormal columns of `basis`.

    Attributes
    ----------
    residual : (k,) array
        ``y - X @ origin``.
    v : (k,) array
        Sampling variances, all positive.
    basis : (k, p) array
        Orthonormal columns spanning those of X.
    transform : (p, p) array
        Inverse of R in ``X = basis @ R``.
    origin : (p,) array
        Coefficients of the reference fit.
    log_det_transform : float
        ``log |det(transform)|``.
    products : (k, m) array
        Columns whose weighted sums the profile needs: basis by basis, basis by residual, residual squared.
    sums : Sums
        The same for fewer variances, where there are many studies.
    """

    residual: Floats
    v: Floats
    basis: Floats
    transform: Floats
    origin: Floats
    log_det_transform: float
    products: Floats
    sums: Sums

    @property
    def k(self) -> int:
        """Number of studies."""
        return int(self.residual.size)

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return int(self.basis.shape[1])


class NormalPrior(NamedTuple):
    """Independent normal priors of the coefficients; precision 0 means flat with density 1."""

    mean: Floats
    """(p,) prior means."""
    precision: Floats
    """(p,) prior precisions ``1 / sigma^2``."""


class Profile(NamedTuple):
    """Generalised least squares at each of m values of tau^2.

    With a normal prior on the coefficients, `beta` and `cov` are the posterior given tau, and `rss`
    includes the prior's quadratic form.
    """

    tau2: Floats
    """(m,) between-study variances."""
    beta: Floats
    """(m, p) coefficients."""
    deviation: Floats
    """(m, p) coefficients less those of the reference fit, without the digits that the difference loses."""
    cov: Floats
    """(m, p, p) covariance of the coefficients."""
    rss: Floats
    """(m,) weighted residual sum of squares."""
    log_det_weights: Floats
    """(m,) sum of ``log w``."""
    log_det_cov: Floats
    """(m,) ``log |cov|``."""
    log_prior_constant: float
    """Sum of ``log sqrt(precision / 2 pi)`` over the proper priors."""
    k: int
    """Number of studies."""
    p: int
    """Number of coefficients."""

    @property
    def log_likelihood(self) -> Floats:
        """(m,) log density of y at its best coefficients, ``-k/2 log 2 pi`` included."""
        return 0.5 * (self.log_det_weights - self.rss - self.k * LOG_2PI)

    @property
    def log_marginal(self) -> Floats:
        """(m,) log of the integral of the likelihood times the prior over the coefficients.

        Flat priors have density 1, so that without proper priors this is the restricted likelihood up to the
        constant ``log |X'X| / 2``.
        """
        gaussian_integral = 0.5 * (self.p * LOG_2PI + self.log_det_cov)
        return self.log_likelihood + gaussian_integral + self.log_prior_constant


def gaussian_data(y: Floats, v: Floats, X: Floats, *, tau2: float | None = None) -> GaussianData:
    """Return the data in orthonormal, centred coordinates.

    Parameters
    ----------
    y, v : (k,) arrays
        Effects and their sampling variances.
    X : (k, p) array
        Design matrix of full column rank, p <= k.
    tau2 : float, optional
        Between-study variance of the reference fit; by default the smallest sampling variance. The choice
        changes rounding errors, never results: at a larger one than that of the reference, precise studies
        stay next to the fit, so that little cancels; at a smaller one they would not.
    """
    shift = _shift(y, X)
    y = y - X[0] @ shift
    basis, R = _orthonormal(X)
    transform = np.linalg.inv(R) if X.shape[1] > 1 else 1 / R
    weights = 1 / (v + (v.min() if tau2 is None else tau2))
    origin = transform @ _weighted_least_squares(basis, weights, y)
    residual = y - X @ origin
    refinement = transform @ _weighted_least_squares(basis, weights, residual)
    origin, residual = origin + refinement, residual - X @ refinement
    products = _products(basis, residual)
    log_det = -float(np.log(np.abs(np.diagonal(R))).sum())
    sums = sums_over(np.asarray(v), products)
    return GaussianData(residual, np.asarray(v), basis, transform, origin + shift, log_det, products, sums)


def _shift(y: Floats, X: Floats) -> Floats:
    """Return the (p,) coefficients that fit the first effect by a constant column, 0 where there is none.

    Subtracted from effects near 1e12, it leaves differences that are exact.
    """
    shift = np.zeros(X.shape[1])
    constant = (X == 1).all(axis=0).nonzero()[0]
    shift[constant[:1]] = y[0]
    return shift


def _orthonormal(X: Floats) -> tuple[Floats, Floats]:
    """Return the basis and R in ``X = basis @ R``."""
    if X.shape[1] != 1:
        basis, R = np.linalg.qr(X)
        return basis, R
    norm = np.sqrt(X[:, 0] @ X[:, 0])
    return X / norm, np.array([[norm]])


def _products(basis: Floats, residual: Floats) -> Floats:
    """Return basis by basis (upper triangle), basis by residual, residual squared, as columns."""
    right = np.concatenate([basis, residual[:, None]], axis=1)
    if basis.shape[1] == 1:
        return np.concatenate([basis * right, right[:, 1:] ** 2], axis=1)
    rows, columns = np.triu_indices(basis.shape[1])
    squares = basis[:, rows] * basis[:, columns]
    return np.concatenate([squares, right * residual[:, None]], axis=1)


def _weighted_least_squares(basis: Floats, weights: Floats, y: Floats) -> Floats:
    """Return the (p,) coefficients of y on orthonormal columns, by QR of the weighted system."""
    if basis.shape[1] == 1:
        weighted = weights * basis[:, 0]
        return np.asarray((weighted @ y) / (weighted @ basis))
    root = np.sqrt(weights)
    solution: Floats = np.linalg.lstsq(basis * root[:, None], y * root, rcond=None)[0]
    return solution


def profile(data: GaussianData, tau2: Floats, *, prior: NormalPrior | None = None) -> Profile:
    """Return the generalised least-squares profile on a grid of tau^2.

    Parameters
    ----------
    data : GaussianData
        From `gaussian_data`.
    tau2 : (m,) array
        Between-study variances, each >= 0.
    prior : NormalPrior, optional
        Independent normal priors of the user's coefficients; flat by default.

    Notes
    -----
    With ``W = diag(1 / (v + tau^2))`` the coefficients given tau have precision ``X'WX + P``. All sums over
    studies, for all nodes, are one matrix product.
    """
    sums, log_det_weights = data.sums.weighted(tau2)
    return _solved(data, tau2, sums, log_det_weights, prior)


def profile_each(data: GaussianData, tau2: Floats, *, prior: NormalPrior | None = None) -> Profile:
    """Return the generalised least-squares profile where every study has a tau^2 of its own.

    Parameters
    ----------
    data : GaussianData
        From `gaussian_data`.
    tau2 : (m, k) array
        Between-study variances of the k studies, m times; each >= 0.
    prior : NormalPrior, optional
        Independent normal priors of the user's coefficients; flat by default.
    """
    total = data.v + tau2
    log_det_weights = -np.log(total).sum(axis=1)
    sums = np.reciprocal(total, out=total) @ data.products
    return _solved(data, tau2, sums, log_det_weights, prior)


def _solved(
    data: GaussianData, tau2: Floats, sums: Floats, log_det_weights: Floats, prior: NormalPrior | None
) -> Profile:
    """Return the profile from the weighted sums over studies (m, columns)."""
    k, p = data.k, data.p
    information, score, square = _unpack(sums, p)
    constant = 0.0
    if prior is not None:
        information, score, square, constant = _add_prior(data, prior, information, score, square)
    gamma, gamma_cov, log_det_cov = _solve(information, score)
    rss = np.maximum(square - (score * gamma).sum(axis=1), 0.0)
    deviation = gamma @ data.transform.T
    return Profile(
        tau2=tau2,
        beta=data.origin + deviation,
        deviation=deviation,
        cov=_transformed(data.transform, gamma_cov),
        rss=rss,
        log_det_weights=log_det_weights,
        log_det_cov=log_det_cov + 2 * data.log_det_transform,
        log_prior_constant=constant,
        k=k,
        p=p,
    )


def _transformed(T: Floats, cov: Floats) -> Floats:
    """Return ``T cov T'`` for each of m covariances."""
    return cov * T[0, 0] ** 2 if T.size == 1 else T @ cov @ T.T


def _unpack(sums: Floats, p: int) -> tuple[Floats, Floats, Floats]:
    """Return information (m, p, p), score (m, p) and squares (m,) from the packed weighted sums."""
    if p == 1:
        return sums[:, :1, None], sums[:, 1:2], sums[:, 2]
    rows, columns = np.triu_indices(p)
    information = np.empty((sums.shape[0], p, p))
    information[:, rows, columns] = information[:, columns, rows] = sums[:, : rows.size]
    return information, sums[:, rows.size : rows.size + p], sums[:, -1]


def _add_prior(
    data: GaussianData, prior: NormalPrior, information: Floats, score: Floats, square: Floats
) -> tuple[Floats, Floats, Floats, float]:
    """Return the sufficient statistics and the constant with the prior added, in orthonormal coordinates."""
    offset = prior.mean - data.origin
    pull = data.transform.T @ (prior.precision * offset)
    added = data.transform.T @ (prior.precision[:, None] * data.transform)
    proper = prior.precision > 0
    constant = 0.5 * float(np.sum(np.log(prior.precision[proper]) - LOG_2PI))
    return information + added, score + pull, square + float(prior.precision @ offset**2), constant


def _solve(information: Floats, score: Floats) -> tuple[Floats, Floats, Floats]:
    """Return solutions (m, p), inverses (m, p, p) and log determinants of the inverses (m,)."""
    if score.shape[1] == 1:
        variance = 1 / information
        return score * variance[:, :, 0], variance, -np.log(information[:, 0, 0])
    lower = np.linalg.cholesky(information)
    inverse = np.linalg.inv(information)
    gamma = np.linalg.solve(information, score[:, :, None])[:, :, 0]
    log_det = -2 * np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    return gamma, inverse, log_det


def profile_at(data: GaussianData, tau2: float) -> Profile:
    """Return the profile at a single tau^2, from residuals recomputed there, so that no digit cancels."""
    once = profile(data, np.array([tau2]))
    weights = 1 / (data.v + tau2)
    gamma = _weighted_least_squares(data.basis, weights, data.residual)
    residual = data.residual - data.basis @ gamma
    deviation = (data.transform @ gamma)[None, :]
    beta = data.origin + deviation
    return once._replace(beta=beta, deviation=deviation, rss=np.array([weights @ residual**2]))
