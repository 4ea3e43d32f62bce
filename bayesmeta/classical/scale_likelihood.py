"""Maximum and restricted maximum likelihood of a tau for each study, ``log tau_i = w_i' eta``.

With ``g_i = tau_i^2 / (v_i + tau_i^2)``, e the residuals divided by their standard deviations, q an
orthonormal basis of the columns of X divided by them, ``N = I - qq'`` and c the diagonal of N (of ones for
ML), the score is ``sum_i g_i (e_i^2 - c_i) w_i``. The second derivatives follow from ``dP = -P dV P``.

The likelihood of ``log tau`` is flat where tau is small, so that it may have no maximum: it may rise as the
taus of some studies go to 0. These are then set to 0, and what is left of eta is estimated from the others.

References
----------
Viechtbauer W, López-López JA (2022). Location-scale models for meta-analysis. Res Synth Methods 13:697-715.
doi:10.1002/jrsm.1562
Harville DA (1977). Maximum likelihood approaches to variance component estimation and to related problems.
J Am Stat Assoc 72:320-338. doi:10.1080/01621459.1977.10480998
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.classical.projection import Projection, dot, leverage_complement, project, unweighted_rss
from bayesmeta.kernel import LOG_2PI, profile_each
from bayesmeta.sums import LARGEST_BLOCK

if TYPE_CHECKING:
    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.kernel import GaussianData

LARGEST_LOG = 345.0
"""Logarithm of the largest tau, whose square does not overflow."""
SIDES = {2: 25, 3: 13}
"""Values of each tau in the scan, by the number of taus that determine all others."""
SCATTERED = 3000
"""Points of the scan where there are more."""
STARTS = 8
"""Highest points of the scan from which the climb begins."""
STEPS = 9
"""Values of tau that are tried for the farthest studies."""
DIRECTIONS = 100
"""Directions in which the farthest studies are sought."""
BELOW, ABOVE = 3.0, 1.0
"""Logarithms by which the scan goes below the smallest standard error and above the spread of the effects."""
LONGEST = 1.5
"""Longest step in a logarithm of tau."""
CONVERGED = 1e-9
"""Last Newton step; the error after it is its square."""
FLAT = 1e-13
"""Curvature below which there is none."""
PLATEAU = 1e-8
"""Curvature below which the studies do not determine a log tau: its standard error is above 10,000."""
VANISHED = 1e-8
"""Share of tau^2 in the variance of an effect below which a tau has all but vanished."""
SINGULAR = 1e-10
"""Part of the largest singular value below which one counts as 0."""
ROUNDS = 300
"""Most steps of a climb."""


class Slope(NamedTuple):
    """Derivatives of the log likelihood with respect to eta."""

    value: float
    """Log likelihood, all constants included."""
    score: Floats
    """(m,) first derivatives."""
    observed: Floats
    """(m, m) minus the second derivatives."""
    expected: Floats
    """(m, m) their expectation."""


class Face(NamedTuple):
    """A model in which some taus are 0: ``eta = basis @ gamma``."""

    vanished: Bools
    """(k,) studies whose tau is 0."""
    basis: Floats
    """(m, r) orthonormal directions of eta that the other studies see."""


class Peak(NamedTuple):
    """Where the likelihood is highest."""

    eta: Floats
    """(m,) the highest point; where some taus are 0, its part that the other studies see."""
    tau2: Floats
    """(k,) between-study variances."""
    face: Face
    """Which taus are 0."""
    slope: Slope
    """Likelihood and its derivatives with respect to gamma."""
    at: Projection
    """The data there."""

    @property
    def determined(self) -> bool:
        """Whether it is a maximum in gamma, rather than a plateau."""
        information = self.slope.observed
        return bool(information.size == 0 or np.linalg.eigvalsh(information)[0] > PLATEAU)


@dataclass(frozen=True, slots=True, eq=False)
class ScaleLikelihood:
    """The likelihood of eta.

    Attributes
    ----------
    data : GaussianData
        From `bayesmeta.kernel.gaussian_data`, with k > p.
    weights : (k, m) array
        Rows w_i, of full column rank.
    restricted : bool
        Restricted likelihood (REML), with the coefficients integrated over a flat density of 1, instead of
        the profile likelihood (ML).
    """

    data: GaussianData
    weights: Floats
    restricted: bool

    def tau2(self, eta: Floats, face: Face | None = None) -> Floats:
        """Return the between-study variances (..., k) at eta (..., m)."""
        tau2: Floats = np.exp(2 * np.clip(eta @ self.weights.T, -LARGEST_LOG, LARGEST_LOG))
        return tau2 if face is None else np.where(face.vanished, 0.0, tau2)

    def values(self, eta: Floats) -> Floats:
        """Return the log likelihoods (n,) at eta (n, m), in blocks of bounded memory."""
        step = max(1, LARGEST_BLOCK // self.data.k)
        found = [
            profile_each(self.data, self.tau2(eta[start : start + step]))
            for start in range(0, len(eta), step)
        ]
        return np.concatenate([one.log_marginal if self.restricted else one.log_likelihood for one in found])

    def value(self, at: Projection) -> float:
        """Return the log likelihood at one projection."""
        profile = 0.5 * (np.log(at.weights[0]).sum() - at.Q[0] - self.data.k * LOG_2PI)
        if not self.restricted:
            return float(profile)
        log_det = self.data.log_det_transform - np.log(np.abs(np.diagonal(at.root[0]))).sum()
        return float(profile + log_det + 0.5 * self.data.p * LOG_2PI)

    def slope(self, at: Projection, tau2: Floats, basis: Floats) -> Slope:
        """Return likelihood and derivatives with respect to gamma, where ``eta = basis @ gamma``."""
        share, e, q = tau2 * at.weights[0], at.scaled[0], at.basis[0]
        complement = leverage_complement(at.basis)[0] if self.restricted else np.ones_like(e)
        rows = self.weights @ basis
        lifted = share[:, None] * rows
        expected = 2 * self._squares(lifted, q)
        seen = q.T @ (e[:, None] * lifted)
        bends = rows.T @ ((share * (e**2 - complement))[:, None] * rows)
        crossed = (e[:, None] * lifted).T @ (e[:, None] * lifted) - seen.T @ seen
        observed = 4 * crossed - expected - 2 * bends
        return Slope(self.value(at), rows.T @ (share * (e**2 - complement)), observed, expected)

    def _squares(self, lifted: Floats, q: Floats) -> Floats:
        """Return ``A' (N * N) A`` for the columns A of `lifted`; ``A'A`` for ML."""
        plain: Floats = lifted.T @ lifted
        if not self.restricted:
            return plain
        inner = np.einsum("ia,ij,il->ajl", lifted, q, q, optimize=True)
        crossed = np.einsum("aij,bij->ab", inner, inner)
        squares: Floats = plain - 2 * lifted.T @ (dot(q, q)[:, None] * lifted) + crossed
        return squares


def highest(likelihood: ScaleLikelihood, starts: Floats) -> Peak:
    """Return where the likelihood is highest.

    Parameters
    ----------
    likelihood : ScaleLikelihood
        The likelihood.
    starts : (n, m) array
        Points to climb from, besides those that a scan finds.

    Notes
    -----
    Newton's method climbs from the highest local maxima of a scan, with the curvatures made negative and
    steps that are halved until the likelihood rises.
    """
    seeds = np.concatenate([starts, _scanned(likelihood), _steep(likelihood)])
    peaks = [_climbed(likelihood, eta) for eta in seeds]
    return max(peaks, key=lambda peak: (np.round(peak.slope.value, 9), int(peak.face.vanished.sum())))


def _scanned(likelihood: ScaleLikelihood) -> Floats:
    """Return the highest points of a scan."""
    corners = likelihood.weights[_corners(likelihood.weights)]
    low, high = _ends(likelihood)
    m = len(corners)
    side = SIDES.get(m, 0)
    if not side:
        points = np.random.default_rng(0).uniform(low, high, (SCATTERED, m)) @ np.linalg.inv(corners).T
        return points[np.argsort(-likelihood.values(points))[:STARTS]]
    axes = np.meshgrid(*[np.linspace(low, high, side)] * m, indexing="ij")
    points = np.stack(axes, axis=-1).reshape(-1, m) @ np.linalg.inv(corners).T
    values = likelihood.values(points)
    tops = np.flatnonzero(_is_top(values.reshape([side] * m)).ravel())
    return points[tops[np.argsort(-values[tops])][:STARTS]]


def _steep(likelihood: ScaleLikelihood) -> Floats:
    """Return the highest points among some where only one kind of study has a tau to speak of.

    In each of many directions of eta, those are the studies that are farthest; the next ones have the
    smallest tau of the scan.
    """
    weights, (low, high) = likelihood.weights, _ends(likelihood)
    same = np.linalg.lstsq(weights, np.ones(len(weights)), rcond=None)[0]
    directions = np.random.default_rng(0).standard_normal((DIRECTIONS, len(same))) / np.abs(weights).max(
        axis=0
    )
    kinds = np.unique(weights, axis=0)
    reach = np.sort(directions @ kinds.T, axis=1)
    gaps = reach[:, -1] - reach[:, -2]
    farthest = (directions @ kinds.T).argmax(axis=1)
    chosen = [max(np.flatnonzero(farthest == one), key=gaps.__getitem__) for one in np.unique(farthest)]
    logs = np.linspace(low, high, STEPS)[:, None]
    found = []
    for one in chosen:
        points = logs * same + (logs - low) / gaps[one] * (directions[one] - reach[one, -1] * same)
        found.append(points[likelihood.values(points).argmax()])
    points = np.array(found)
    return points[np.argsort(-likelihood.values(points))[:STARTS]]


def _corners(weights: Floats) -> list[int]:
    """Return m studies far apart in the columns of the scale formula, whose taus determine all others."""
    left, chosen = weights.copy(), list[int]()
    for _ in range(weights.shape[1]):
        lengths = dot(left, left)
        chosen.append(int(lengths.argmax()))
        axis = left[chosen[-1]] / np.sqrt(lengths.max())
        left = left - np.outer(left @ axis, axis)
    return chosen


def _is_top(values: Floats) -> Bools:
    """Return which points of a lattice have no higher neighbour."""
    padded = np.pad(values, 1, constant_values=-np.inf)
    side = values.shape[0]
    neighbours = [
        padded[tuple(slice(1 + step, 1 + step + side) for step in steps)]
        for steps in product((-1, 0, 1), repeat=values.ndim)
    ]
    top: Bools = values >= np.max(neighbours, axis=0)
    return top


def _ends(likelihood: ScaleLikelihood) -> tuple[float, float]:
    """Return the logarithms of the smallest and the largest tau of the scan."""
    data = likelihood.data
    smallest = 0.5 * float(np.log(data.v.min()))
    spread = 0.5 * float(np.log(max(unweighted_rss(data), float(data.v.min()))))
    return smallest - BELOW, spread + ABOVE


def _climbed(likelihood: ScaleLikelihood, eta: Floats) -> Peak:
    """Return where the climb from eta ends: at a maximum, at taus of 0, or where all is flat."""
    k, m = likelihood.weights.shape
    face = Face(np.zeros(k, dtype=bool), np.eye(m))
    gamma, peak = eta, _peak(likelihood, face, eta)
    for _ in range(ROUNDS):
        smaller = _vanishing(likelihood, peak)
        if smaller is not None:
            face, gamma = smaller, smaller.basis.T @ peak.eta
            peak = _peak(likelihood, face, gamma)
            continue
        step = _newton(peak.slope)
        reach = _reach(likelihood, peak, step)
        if reach <= CONVERGED:
            return _peak(likelihood, face, gamma + step)
        tried = _risen(likelihood, peak, gamma, step * min(1.0, LONGEST / reach))
        if tried is None:
            return peak
        gamma, peak = tried
    return peak


def _peak(likelihood: ScaleLikelihood, face: Face, gamma: Floats) -> Peak:
    eta = face.basis @ gamma
    tau2 = likelihood.tau2(eta, face)
    at = project(likelihood.data, tau2[None, :])
    return Peak(eta, tau2, face, likelihood.slope(at, tau2, face.basis), at)


def _newton(slope: Slope) -> Floats:
    """Return Newton's step with every curvature made negative; none where there is no curvature."""
    if not slope.score.size:
        return slope.score
    curvature, axes = np.linalg.eigh(slope.observed)
    bent = np.abs(curvature) > FLAT
    along = np.where(bent, axes.T @ slope.score / np.where(bent, np.abs(curvature), 1.0), 0.0)
    return np.asarray(axes @ along)


def _reach(likelihood: ScaleLikelihood, peak: Peak, step: Floats) -> float:
    """Return by how much a step changes the logarithm of any tau that has not vanished."""
    seen = peak.tau2 * peak.at.weights[0] >= VANISHED
    return float(np.abs(likelihood.weights[seen] @ (peak.face.basis @ step)).max(initial=0.0))


def _risen(
    likelihood: ScaleLikelihood, peak: Peak, gamma: Floats, step: Floats
) -> tuple[Floats, Peak] | None:
    """Return the first of the halved steps with which the likelihood does not fall; None if all do."""
    rounding = 1e-14 * (1 + abs(peak.slope.value))
    for _ in range(40):
        tried = _peak(likelihood, peak.face, gamma + step)
        if tried.slope.value >= peak.slope.value - rounding:
            return gamma + step, tried
        step = step / 2
    return None


def _vanishing(likelihood: ScaleLikelihood, peak: Peak) -> Face | None:
    """Return the face on which taus that have all but vanished are 0, if eta can let them vanish alone."""
    gone = peak.face.vanished | (peak.tau2 * peak.at.weights[0] < VANISHED)
    if (gone == peak.face.vanished).all():
        return None
    rank, axes = _seen(likelihood.weights[~gone])
    if rank == peak.face.basis.shape[1] or not _can_vanish(likelihood.weights[gone], axes[rank:]):
        return None
    return Face(gone, axes[:rank].T)


def _seen(rows: Floats) -> tuple[int, Floats]:
    """Return the rank of rows (n, m) and an orthonormal basis (m, m), as rows, that begins with theirs."""
    if not rows.size:
        return 0, np.eye(rows.shape[1])
    singular, axes = np.linalg.svd(rows)[1:]
    return int((singular > SINGULAR * singular[0]).sum()), axes


def _can_vanish(gone: Floats, unseen: Floats) -> bool:
    """Return whether a direction d that the other studies do not see has ``w_i' d < 0`` in all rows `gone`.

    The shortest d with ``w_i' d = -1`` is tried first; a linear programme decides where that is none.
    """
    rows = gone @ unseen.T
    if rows.shape[1] == 0:
        return False
    if (rows @ np.linalg.lstsq(rows, -np.ones(len(rows)), rcond=None)[0] < -0.5).all():
        return True
    from scipy.optimize import linprog

    found = linprog(np.zeros(rows.shape[1]), A_ub=rows, b_ub=-np.ones(len(rows)), bounds=(None, None))
    return bool(found.status == 0)
