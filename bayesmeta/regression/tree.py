"""The evidence of every subset of moderators at once: Gaussian elimination along a tree of subsets.

Given tau the evidence of a subset needs a determinant and a residual sum of squares of a slice of one matrix,
``[Z, y]' W [Z, y]`` plus the precision of the priors. Eliminating its columns one after the other leads to
both: a moderator that is in is eliminated, one that is out loses its row and column, and what two subsets
have in common is computed once. All sums over studies, for all nodes and subsets, are one matrix product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.kernel import LOG_2PI

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats


class Columns(NamedTuple):
    """Effects, variances and all columns with their priors, in units in which nothing over- or underflows."""

    y: Floats
    """(k,) effects less a typical one."""
    v: Floats
    """(k,) sampling variances."""
    Z: Floats
    """(k, P) columns of mean square 1, the intercept first, then the others that every subset has."""
    mean: Floats
    """(P,) prior means of the coefficients of `Z`."""
    precision: Floats
    """(P,) prior precisions; 0, of the intercept alone, is flat with density 1."""
    fixed: int
    """Number of columns that every subset has."""


class Block(NamedTuple):
    """Columns that enter together, next to one another in `Columns.Z`."""

    width: int
    """Their number."""
    needs: tuple[int, ...]
    """Blocks, by number, that must be in."""


def standardised(y: Floats, v: Floats, X: Floats, *, mean: Floats, precision: Floats, fixed: int) -> Columns:
    """Return effects and columns in standard units.

    Parameters
    ----------
    y, v : (k,) arrays
        Effects and variances.
    X : (k, P) array
        Columns whose coefficients carry the priors, the first of ones.
    mean, precision : (P,) arrays
        Normal priors.
    fixed : int
        Number of columns, the first ones, that every subset has.
    """
    weights = 1 / (v + np.median(v))
    shift = float(weights @ y / weights.sum())
    size = np.sqrt(np.mean(X * X, axis=0))
    moved = mean.copy()
    moved[0] -= shift
    return Columns(y - shift, v, X / size, moved * size, precision / size**2, fixed)


def admitted(blocks: tuple[Block, ...]) -> Bools:
    """Return the (n, T) subsets of T blocks in which each block has those that it needs."""
    chosen = np.zeros((1, 0), dtype=bool)
    for block in blocks:
        chosen = _with_next(chosen, block)[1]
    return chosen


def _with_next(chosen: Bools, block: Block) -> tuple[Bools, Bools]:
    """Return which subsets the next block may join, and all subsets: first those without it."""
    allowed = chosen[:, list(block.needs)].all(axis=1)
    out = np.column_stack([chosen, np.zeros(len(chosen), dtype=bool)])
    joined = np.column_stack([chosen[allowed], np.ones(int(allowed.sum()), dtype=bool)])
    return allowed, np.concatenate([out, joined])


def log_marginals(columns: Columns, blocks: tuple[Block, ...], tau2: Floats) -> Floats:
    """Return the (n, m) logs of the likelihood with the coefficients integrated out.

    Parameters
    ----------
    columns : Columns
        From `standardised`.
    blocks : tuple of Block
        Columns that may be in or out, in the order in which they follow the fixed ones.
    tau2 : (m,) array
        Values of tau^2.

    Notes
    -----
    A row belongs to each subset, in the order of `admitted`. A pivot is what the information about a column
    adds, so that the determinant is their product; what is left at the end is the residual sum of squares.
    """
    matrix, constant = _augmented(columns, tau2)
    state, log_det = matrix[None], np.zeros((1, tau2.size))
    for _ in range(columns.fixed):
        state, log_det = _eliminated(state, log_det, 1.0)
    chosen, place = np.zeros((1, 0), dtype=bool), columns.fixed
    for width, needs in blocks:
        allowed, chosen = _with_next(chosen, Block(width, needs))
        inside, pivots = state[allowed], log_det[allowed]
        for column in range(place, place + width):
            precision = float(columns.precision[column])
            inside[:, :, -1, -1] += precision * float(columns.mean[column]) ** 2
            inside, pivots = _eliminated(inside, pivots, precision)
        state = np.concatenate([state[:, :, width:, width:], inside])
        log_det, place = np.concatenate([log_det, pivots]), place + width
    rss = np.maximum(state[:, :, 0, 0] - 1.0, 0.0)
    return np.asarray(constant - 0.5 * (log_det + rss))


def _eliminated(state: Floats, log_det: Floats, precision: float) -> tuple[Floats, Floats]:
    """Return the matrices without their first column, and the log determinants relative to the prior's."""
    pivot, row = state[:, :, 0, 0], state[:, :, 0, 1:]
    left = state[:, :, 1:, 1:] - row[:, :, :, None] * (row / pivot[:, :, None])[:, :, None, :]
    return left, log_det + np.log(pivot / precision)


def _augmented(columns: Columns, tau2: Floats) -> tuple[Floats, Floats]:
    """Return ``[Z, y]' W [Z, y]`` with the priors, (m, P + 1, P + 1), and what all subsets share, (m,).

    Its last entry is greater by 1, so that no elimination ends at 0, even where every effect is the same.
    """
    joined = np.column_stack([columns.Z, columns.y])
    rows, others = np.triu_indices(joined.shape[1])
    weights = 1 / (tau2[:, None] + columns.v)
    matrix = np.empty((tau2.size, joined.shape[1], joined.shape[1]))
    matrix[:, rows, others] = matrix[:, others, rows] = weights @ (joined[:, rows] * joined[:, others])
    place, pull = np.arange(columns.mean.size), columns.precision * columns.mean
    fixed = slice(columns.fixed)
    matrix[:, place, place] += columns.precision
    matrix[:, place, -1] += pull
    matrix[:, -1, place] += pull
    matrix[:, -1, -1] += 1.0 + pull[fixed] @ columns.mean[fixed]
    return matrix, 0.5 * np.log(weights).sum(axis=1) + _constant(columns)


def _constant(columns: Columns) -> float:
    """Return the constant of the likelihood and of the priors of the fixed columns."""
    precision = columns.precision[: columns.fixed]
    flat = precision == 0
    return 0.5 * float(np.log(precision[~flat]).sum() + (flat.sum() - columns.y.size) * LOG_2PI)
