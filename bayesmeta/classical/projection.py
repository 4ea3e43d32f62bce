"""What is left of the data when the coefficients are projected out, on a grid of tau^2.

With ``W = diag(1 / (v + tau^2))`` every classical estimator of tau^2 is a function of the matrix
``P = W - W X (X'WX)^-1 X'W``: Cochran's Q is ``y'Py``, its derivative ``-y'PPy``, its expectation without
heterogeneity involves ``tr P``, and the score of the restricted likelihood is ``(y'PPy - tr P) / 2``.
P is never formed: an orthonormal basis q of the columns of ``W^1/2 X`` gives all of these in O(k p^2).

References
----------
Harville DA (1977). Maximum likelihood approaches to variance component estimation and to related problems.
J Am Stat Assoc 72:320-338. doi:10.1080/01621459.1977.10480998
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bayesmeta.arrays import Floats
    from bayesmeta.kernel import GaussianData


def dot(one: Floats, other: Floats) -> Floats:
    """Return the sums of products over the last dimension."""
    products: Floats = np.vecdot(one, other)
    return products


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """The data at each of m values of tau^2, with the coefficients projected out.

    Attributes
    ----------
    weights : (m, k) array
        ``1 / (v + tau^2)``.
    basis : (m, k, p) array
        Orthonormal basis q of the columns of ``W^1/2 X``.
    root : (m, p, p) array
        R in ``W^1/2 data.basis = q R``.
    score : (m, p) array
        ``q' W^1/2 residual``.
    scaled : (m, k) array
        Residuals divided by their standard deviations ``sqrt(v + tau^2)``.
    """

    weights: Floats
    basis: Floats
    root: Floats
    score: Floats
    scaled: Floats

    @property
    def Q(self) -> Floats:
        """(m,) generalised Q, ``y'Py``."""
        return dot(self.scaled, self.scaled)

    @property
    def square(self) -> Floats:
        """(m,) ``y'PPy``, minus the derivative of Q with respect to tau^2."""
        return dot(self.weights, self.scaled**2)

    @property
    def cube(self) -> Floats:
        """(m,) ``y'PPPy``, half the second derivative of Q."""
        lifted = self.weights * self.scaled
        lifted -= np.matvec(self.basis, np.vecmat(lifted, self.basis))
        return dot(lifted, lifted)

    @property
    def trace(self) -> Floats:
        """(m,) ``tr P``."""
        return dot(self.weights, leverage_complement(self.basis))

    @property
    def trace_square(self) -> Floats:
        """(m,) ``tr PP``."""
        lifted = self.weights[:, :, None] * self.basis
        inner = np.matmul(self.basis.mT, lifted)
        return dot(self.weights, self.weights) - 2 * _squares(lifted) + _squares(inner)


def project(data: GaussianData, tau2: Floats) -> Projection:
    """Return the projection of the data at each tau^2.

    Parameters
    ----------
    data : GaussianData
        From `bayesmeta.kernel.gaussian_data`.
    tau2 : (m,) or (m, k) array
        Between-study variances, each >= 0: one for all studies, or one for each.

    Notes
    -----
    The residual is projected twice: the second pass removes what rounding left of the first, which matters
    when one study weighs 10^12 times as much as another.
    """
    weights = 1 / ((tau2 if tau2.ndim == 2 else tau2[:, None]) + data.v)
    precision = np.sqrt(weights)
    basis, root = _orthonormal(precision[:, :, None] * data.basis)
    scaled = precision * data.residual
    first = np.vecmat(scaled, basis)
    scaled -= np.matvec(basis, first)
    second = np.vecmat(scaled, basis)
    scaled -= np.matvec(basis, second)
    return Projection(weights, basis, root, first + second, scaled)


def _orthonormal(columns: Floats) -> tuple[Floats, Floats]:
    """Return q (m, k, p) and R (m, p, p) of each matrix; a norm where there is one column."""
    if columns.shape[2] > 1:
        basis, root = np.linalg.qr(columns)
        return basis, root
    norm = np.sqrt(_squares(columns))[:, None, None]
    return columns / norm, norm


def _squares(matrices: Floats) -> Floats:
    """Return the (m,) sums of squares of m matrices."""
    flat = matrices.reshape(matrices.shape[0], -1)
    return dot(flat, flat)


def leverage_complement(basis: Floats) -> Floats:
    """Return one minus the leverage of every study, (m, k), without cancellation.

    The hat matrix is idempotent, ``h_ii - h_ii^2 = sum over j != i of h_ij^2``, so that for a study that
    dominates the fit ``1 - h_ii`` is a sum of small squares divided by ``h_ii``.
    """
    leverage = dot(basis, basis)
    complement = 1 - leverage
    node, study = np.nonzero(leverage > 0.5)
    if node.size:
        others = np.matvec(basis[node], basis[node, study])
        others[np.arange(node.size), study] = 0.0
        complement[node, study] = dot(others, others) / leverage[node, study]
    return complement


def coefficients(data: GaussianData, projection: Projection) -> tuple[Floats, Floats]:
    """Return the coefficients at the first tau^2 and a root of their covariance.

    Returns
    -------
    beta : (p,) array
        Coefficients.
    root : (p, p) array
        ``root @ root.T`` is the covariance.
    """
    root = projection.root[0]
    inverse = np.linalg.inv(root) if data.p > 1 else 1 / root
    covariance_root = data.transform @ inverse
    return data.origin + covariance_root @ projection.score[0], covariance_root


def unweighted_rss(data: GaussianData) -> float:
    """Return the residual sum of squares of ordinary least squares."""
    residual = data.residual - data.basis @ (data.basis.T @ data.residual)
    return float(residual @ residual)
