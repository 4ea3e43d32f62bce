"""ML, REML, Paule-Mandel and Q-profile: global, stationary, and independent of units.

The scores and profiles that judge them are computed here in 50-digit arithmetic from the definition.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesmeta.classical import likelihood, projection
from bayesmeta.classical.heterogeneity import heterogeneity, q_roots
from bayesmeta.classical.likelihood import log_likelihood, maximum_likelihood, upper_bound
from bayesmeta.classical.pooling import pool
from bayesmeta.classical.problem import problem
from bayesmeta.classical.projection import project


def exact_sums(y, v, tau2):
    """Return Q, y'PPy, tr P and sum w of a pooled effect in 50-digit arithmetic."""
    with mpmath.workdps(50):
        w = [1 / (mpmath.mpf(float(s)) + mpmath.mpf(float(tau2))) for s in v]
        y = [mpmath.mpf(float(value)) for value in y]
        total = sum(w)
        mean = sum(a * b for a, b in zip(w, y, strict=True)) / total
        square = [(b - mean) ** 2 for b in y]
        Q = sum(a * s for a, s in zip(w, square, strict=True))
        ppy = sum(a**2 * s for a, s in zip(w, square, strict=True))
        return Q, ppy, total - sum(a**2 for a in w) / total, total


def exact_score(y, v, tau2, *, restricted):
    _, square, trace, total = exact_sums(y, v, tau2)
    return float((square - (trace if restricted else total)) / 2)


def random_problem(rng):
    k = rng.integers(2, 12)
    v = 10 ** rng.uniform(-4, 1, k)
    return rng.normal(0, 1, k) * 10 ** rng.uniform(-2, 1) * np.sqrt(rng.choice([1, 0.1])), v


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_the_score_vanishes_at_the_estimate_or_falls_from_zero(seed, restricted):
    y, v = random_problem(np.random.default_rng(seed))
    tau2, maxima = maximum_likelihood(problem(y, v).data, restricted=restricted)
    score = exact_score(y, v, tau2, restricted=restricted) * max(tau2, v.min())
    assert score < 1e-10
    assert tau2 == 0 or score > -1e-10
    for other in maxima:
        assert exact_score(y, v, other, restricted=restricted) * max(other, v.min()) < 1e-10


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_no_point_of_a_fine_grid_has_a_higher_likelihood(seed, restricted):
    y, v = random_problem(np.random.default_rng(1000 + seed))
    data = problem(y, v).data
    tau2, _ = maximum_likelihood(data, restricted=restricted)
    best = log_likelihood(data, tau2, restricted=restricted)
    grid = np.concatenate([[0], np.geomspace(1e-4 * v.min(), 1e3 * (v.max() + y.var()), 300)])
    assert best >= max(log_likelihood(data, node, restricted=restricted) for node in grid) - 1e-10


@pytest.mark.parametrize("seed", range(20))
def test_the_log_likelihood_is_the_normal_density(seed):
    """ML: the density of y at its weighted mean. REML: the same less log(sum w) / 2, plus log(2 pi) / 2."""
    y, v = random_problem(np.random.default_rng(seed))
    tau2 = 0.3
    Q, _, _, total = exact_sums(y, v, tau2)
    logs = sum(mpmath.log(2 * mpmath.pi * (float(s) + tau2)) for s in v)
    density = float(-(logs + Q) / 2)
    data = problem(y, v).data
    assert log_likelihood(data, tau2, restricted=False) == pytest.approx(density, rel=1e-13, abs=1e-13)
    restricted = density + float(mpmath.log(2 * mpmath.pi / total) / 2)
    assert log_likelihood(data, tau2, restricted=True) == pytest.approx(restricted, rel=1e-13, abs=1e-13)


TWO_MAXIMA = np.array([0.26, -0.32, 0.96]), np.array([0.95, 0.15, 1e-4])
"""One study 1,500 times as precise as the next: the profile likelihood falls from 0 and rises again."""


def test_several_maxima_are_all_reported_and_the_highest_is_used():
    y, v = TWO_MAXIMA
    ours = pool(heterogeneity(problem(y, v)), method="ML")
    assert ours.maxima[0] == 0
    assert ours.maxima[1] == pytest.approx(0.265, abs=0.05)
    for tau2 in ours.maxima:
        assert exact_score(y, v, tau2, restricted=False) * max(tau2, v.min()) < 1e-10
    data = problem(y, v).data
    heights = [log_likelihood(data, tau2, restricted=False) for tau2 in ours.maxima]
    assert ours.tau2 == ours.maxima[int(np.argmax(heights))]
    assert dict(ours.notes)["tau2-several-maxima"] == (
        f"the ML likelihood has several maxima, at tau2 = 0 and {ours.maxima[1]:.6g}; the highest is used"
    )


def test_the_higher_of_two_maxima_wins_on_either_side():
    """A constant shift of the outlying effect decides which hill is the higher one."""
    winners = set()
    for outlier in np.linspace(0.6, 2.0, 30):
        y, v = np.array([0.26, -0.32, outlier]), TWO_MAXIMA[1]
        data = problem(y, v).data
        tau2, maxima = maximum_likelihood(data, restricted=False)
        if len(maxima) == 2:
            heights = [log_likelihood(data, value, restricted=False) for value in maxima]
            assert tau2 == maxima[int(np.argmax(heights))]
            winners.add(int(np.argmax(heights)))
    assert winners == {0, 1}


@pytest.mark.parametrize(
    ("method", "divisor"),
    [("ML", 5), ("REML", 4), ("DL", 4), ("PM", 4), ("EB", 4), ("HE", 4)],
)
def test_equal_variances_have_a_closed_form(method, divisor):
    """tau2 is the sum of squares over k (ML) or k - 1 (the others), less the sampling variance."""
    y, v = np.array([1.0, 2.0, 4.0, 8.0, 16.0]), np.full(5, 3.0)
    expected = np.sum((y - y.mean()) ** 2) / divisor - 3.0
    assert pool(heterogeneity(problem(y, v)), method=method).tau2 == pytest.approx(expected, rel=1e-14)


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_both_likelihoods_fall_above_the_bound(seed):
    y, v = random_problem(np.random.default_rng(seed))
    bound = upper_bound(problem(y, v).data)
    for factor in (1.0, 1.5, 10.0, 1e4):
        for restricted in (False, True):
            assert exact_score(y, v, bound * factor + 1e-9 * v.min(), restricted=restricted) <= 0


@pytest.mark.parametrize("seed", range(30))
def test_q_meets_its_targets_at_the_roots(seed):
    y, v = random_problem(np.random.default_rng(seed))
    data = problem(y, v).data
    at_zero = float(exact_sums(y, v, 0.0)[0])
    targets = at_zero * np.array([1.5, 0.999, 0.5, 1e-3, 1e-9])
    roots = q_roots(data, targets, at_zero=at_zero)
    assert roots[0] == 0
    assert np.all(np.diff(roots) > 0)
    for root, target in zip(roots[1:], targets[1:], strict=True):
        Q, square, _, _ = exact_sums(y, v, root)
        error = float((Q - target) / square) / (root + v.min())  # a Newton step left over
        assert abs(error) < 1e-13


def test_one_study_a_billion_times_as_precise_loses_no_digits():
    """tr P is a sum of small differences here: 1 - leverage is 1e-24 for the first study."""
    y, v = np.array([0.3, 0.1, 0.5, 0.2]), np.array([1e-24, 0.04, 0.05, 0.03])
    data = problem(y, v).data
    at = project(data, np.zeros(1))
    Q, _, trace, _ = exact_sums(y, v, 0.0)
    assert at.Q[0] == pytest.approx(float(Q), rel=1e-12)
    assert at.trace[0] == pytest.approx(float(trace), rel=1e-12)


@pytest.mark.parametrize("p", [1, 2, 4])
@pytest.mark.parametrize("tau2", [0.0, 0.05])
def test_the_projection_agrees_with_the_dense_matrix(p, tau2):
    rng = np.random.default_rng(p)
    k = 9
    y, v = rng.normal(size=k), rng.uniform(0.01, 1, k)
    v[0] = 1e-5  # leverage above one half
    X = np.column_stack([np.ones(k), rng.normal(size=(k, p - 1))])
    W = np.diag(1 / (v + tau2))
    P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W)
    at = project(problem(y, v, X).data, np.array([tau2]))
    expected = (y @ P @ y, y @ P @ P @ y, y @ P @ P @ P @ y, np.trace(P))
    for ours, dense in zip((at.Q, at.square, at.cube, at.trace), expected, strict=True):
        assert ours[0] == pytest.approx(dense, rel=1e-9)
    assert at.trace_square[0] == pytest.approx(np.trace(P @ P), rel=1e-6)  # only steers Newton's method


def test_blocks_of_nodes_change_nothing(monkeypatch):
    y, v = random_problem(np.random.default_rng(3))
    whole = maximum_likelihood(problem(y, v).data, restricted=True)
    monkeypatch.setattr(likelihood, "LARGEST_BLOCK", 5)
    assert maximum_likelihood(problem(y, v).data, restricted=True) == whole


def test_a_hundred_thousand_studies_are_no_obstacle():
    rng = np.random.default_rng(0)
    v = rng.uniform(0.01, 1, 100_000)
    y = rng.normal(0, np.sqrt(v + 0.1))
    ours = pool(heterogeneity(problem(y, v)), method="REML")
    assert ours.tau2 == pytest.approx(0.1, abs=0.01)  # the truth, within 5 standard errors
    at = projection.project(problem(y, v).data, np.array([ours.tau2]))
    assert abs(likelihood.score(at, restricted=True)[0]) * ours.tau2 < 1e-9
