"""The data of a classical analysis: effects, variances and design in the coordinates of the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesmeta.errors import ModelError
from bayesmeta.kernel import GaussianData, gaussian_data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What every classical estimator needs to know.

    Attributes
    ----------
    y : (k,) array
        Effects.
    X : (k, p) array
        Design matrix.
    data : GaussianData
        Effects, variances and design in the kernel's coordinates.
    names : tuple of str
        Names of the p coefficients.
    intercept : bool
        Whether the first column of X is the intercept.
    rotation : (k, k) array or None
        Eigenvectors of the sampling covariance V, where it is not diagonal.
    """

    y: Floats
    X: Floats
    data: GaussianData
    names: tuple[str, ...]
    intercept: bool
    rotation: Floats | None

    @property
    def k(self) -> int:
        """Number of studies."""
        return self.data.k

    @property
    def p(self) -> int:
        """Number of coefficients."""
        return self.data.p

    @property
    def is_pooled(self) -> bool:
        """Whether the only coefficient is the intercept."""
        return self.intercept and self.p == 1

    def without_moderators(self) -> Problem:
        """Return the pooled problem of the same effects."""
        return _build(self.y, self.data.v, self.X[:, :1], ("mu",), True, self.rotation)


def problem(
    y: Floats,
    v: Floats | None = None,
    X: Floats | None = None,
    *,
    V: Floats | None = None,
    names: Sequence[str] | None = None,
    intercept: bool = True,
) -> Problem:
    """Return the classical problem of effects, variances and a design matrix.

    Parameters
    ----------
    y : (k,) array
        Effects, all finite.
    v : (k,) array, optional
        Sampling variances, all positive; not needed when `V` is given.
    X : (k, p) array, optional
        Design matrix of full column rank; a column of ones by default.
    V : (k, k) array, optional
        Sampling covariance, positive definite, where effects are correlated.
    names : sequence of str, optional
        Names of the coefficients.
    intercept : bool
        Whether the first column of `X` is the intercept.

    Raises
    ------
    ModelError
        No studies, more coefficients than studies, or a design matrix that is not of full rank.

    Notes
    -----
    ``V + tau^2 I`` is diagonal in the eigenvectors of V whatever tau is, so that correlated effects, rotated,
    are independent ones with the eigenvalues for variances.
    """
    y = np.asarray(y, dtype=np.float64)
    design = np.ones((y.size, 1)) if X is None else np.asarray(X, dtype=np.float64)
    _check_design(design)
    labels = tuple(names) if names is not None else _default_names(design.shape[1], intercept=intercept)
    rotation = None
    if V is not None:
        v, rotation = np.linalg.eigh(np.asarray(V, dtype=np.float64))
    return _build(y, np.asarray(v, dtype=np.float64), design, labels, intercept, rotation)


def _build(
    y: Floats, v: Floats, X: Floats, names: tuple[str, ...], intercept: bool, rotation: Floats | None
) -> Problem:
    """Return the problem with effects and design rotated to where they are independent."""
    rotated, columns = (y, X) if rotation is None else (rotation.T @ y, rotation.T @ X)
    return Problem(y, X, gaussian_data(rotated, v, columns), names, intercept, rotation)


def _default_names(p: int, *, intercept: bool) -> tuple[str, ...]:
    """Return ``mu`` for a pooled effect, numbered names otherwise."""
    if intercept:
        return ("mu",) if p == 1 else ("Intercept", *(f"x{j}" for j in range(1, p)))
    return tuple(f"x{j + 1}" for j in range(p))


def _check_design(X: Floats) -> None:
    """Refuse a design matrix from which the coefficients cannot be estimated."""
    k, p = X.shape
    if k == 0:
        raise ModelError("a classical analysis needs at least 1 study with an estimate; got 0")
    if p > k:
        raise ModelError(
            f"a model must not have more coefficients than studies; got {p} coefficients and {k} "
            f"{'study' if k == 1 else 'studies'}; remove moderators"
        )
    if p > 1 and (rank := int(np.linalg.matrix_rank(X / np.abs(X).max(axis=0).clip(min=1e-300)))) < p:
        raise ModelError(
            f"the design matrix must be of full rank; its {p} columns have rank {rank}; remove a moderator "
            "that is constant or a combination of the others"
        )
