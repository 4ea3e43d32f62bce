"""Log densities and gradients of the models, compiled to machine code once and kept on the disk.

They are the densities of `bayesmeta.to_pymc` (the tests compare both, prior by prior) in coordinates in which
the posterior is round. Compiling a PyMC model takes ten times as long as all else that a fit does;
these few loops are compiled once for any number of studies and coefficients and every family of priors, and
kept on the disk. Nothing but the sampling process imports this module.

The numbers of a model come in one vector, written by `bayesmeta.engines.nuts.plan`: ``k, p``, the prior of
tau (`ScaleShape`), the prior of baselines (`LocationShape`), then by coefficient its prior, its coordinate
at zero and its row of the spread, then by study its data and its row of the design matrix.
"""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types

SCALE, BASELINE, COEFFICIENTS = 2, 20, 28
"""Where in the vector the prior of tau, of baselines and of coefficients begin."""
FIXED, EVEN, LOG, BOUNDED = 0.0, 1.0, 2.0, 3.0
SMALLEST = 1e-300
LOG_4 = log(4.0)
OPTIONS: Any = {"cache": True, "error_model": "numpy"}
DENSITY = types.int64(
    types.uint64,
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.CPointer(types.double),
    types.voidptr,
)
EXPANSION = types.int64(
    types.uint64, types.uint64, types.CPointer(types.double), types.CPointer(types.double), types.voidptr
)


@njit(**OPTIONS)
def log_cosh_slope(u):  # type: ignore[no-untyped-def]
    """Return ``log(1 - tanh(u)^2)`` without underflow."""
    return LOG_4 - 2 * abs(u) - 2 * np.log1p(np.exp(-2 * abs(u)))


@njit(**OPTIONS)
def location(b, prior):  # type: ignore[no-untyped-def]
    """Return the log density of a coefficient at b and its slope."""
    z = (b - prior[0]) / prior[1]
    square = z * z
    value = -0.5 * prior[2] * square - prior[3] * np.log1p(square / prior[4]) - prior[5] * abs(z)
    slope = -prior[2] * z - 2 * prior[3] * z / (prior[4] + square) - prior[5] * np.sign(z)
    return value, slope / prior[1]


@njit(**OPTIONS)
def bounded(h, prior):  # type: ignore[no-untyped-def]
    """Return the coefficient at h, its slope in h, and the log of the slope with its own slope."""
    middle, half = prior[6], prior[7]
    if half == 0:
        return h, 1.0, 0.0, 0.0
    u = (h - middle) / half
    t = np.tanh(u)
    return middle + half * t, 1 - t * t, log_cosh_slope(u), -2 * t / half


@njit(**OPTIONS)
def base_of_tau(z, s):  # type: ignore[no-untyped-def]
    """Return w, its sign, its slope in z, and what the change of variable adds to log density and slope."""
    if s[0] == LOG:
        w = s[1] * np.exp(z)
        return w, 1.0, w, s[5] * z, s[5]
    if s[0] == BOUNDED:
        u = s[4] + s[1] * z
        t = np.tanh(u)
        w = s[2] + s[3] * t
        return abs(w), np.sign(w), np.sign(w) * s[3] * s[1] * (1 - t * t), log_cosh_slope(u), -2 * t * s[1]
    return s[1] * abs(z), np.sign(z), s[1] * np.sign(z), 0.0, 0.0


@njit(**OPTIONS)
def scale(z, s):  # type: ignore[no-untyped-def]
    """Return tau with the sign of its variable, its slope in z, the log density of z and its slope."""
    if s[0] == FIXED:
        return s[2], 0.0, -0.5 * z * z, -z
    w, sign, rise, value, slope = base_of_tau(z, s)
    w = max(w, SMALLEST)
    x = s[8] * w ** s[6]
    square, log1 = x * x, s[10] * np.log1p(x * x / s[11])
    power = x ** s[15] if s[14] != 0 else 0.0
    value += -0.5 * s[9] * square - log1 - s[12] * x - s[13] * np.log1p(x) - s[14] * power
    elastic = -s[9] * square - 2 * s[10] * square / (s[11] + square) - s[12] * x - s[13] * x / (1 + x)
    elastic -= s[14] * s[15] * power
    if s[16] != 0:
        value -= s[16] / x
        elastic += s[16] / x
    if s[17] != 0:
        value -= 0.5 * s[17] * np.log(x) ** 2
        elastic -= s[17] * np.log(x)
    tau = w ** s[7]
    return sign * tau, sign * s[7] * tau / w * rise, value, slope + elastic * s[6] / w * rise


@njit(**OPTIONS)
def coefficients(x, numbers, p, b, rise, add):  # type: ignore[no-untyped-def]
    """Fill in coefficients, their slopes and those of their log density; return the log density."""
    rows = numbers[COEFFICIENTS : COEFFICIENTS + p * (9 + p)].reshape((p, 9 + p))
    value = 0.0
    for j in range(p):
        h = rows[j, 8]
        for m in range(p):
            h += rows[j, 9 + m] * x[m]
        b[j], rise[j], jacobian, turn = bounded(h, rows[j])
        density, slope = location(b[j], rows[j])
        value += density + jacobian
        add[j] = slope * rise[j] + turn
    return value


@njit(**OPTIONS)
def pull_back(numbers, p, slopes, rise, add, gradient):  # type: ignore[no-untyped-def]
    """Write the gradient in coordinates, from that in coefficients."""
    rows = numbers[COEFFICIENTS : COEFFICIENTS + p * (9 + p)].reshape((p, 9 + p))
    for m in range(p):
        gradient[m] = 0.0
    for j in range(p):
        total = slopes[j] * rise[j] + add[j]
        for m in range(p):
            gradient[m] += total * rows[j, 9 + m]


@njit(**OPTIONS)
def normal_terms(rows, tau2, b, slopes):  # type: ignore[no-untyped-def]
    """Return the log likelihood of effects and its slope in tau2; add its slopes in coefficients."""
    value, slope = 0.0, 0.0
    for i in range(rows.shape[0]):
        residual = rows[i, 0]
        for j in range(b.size):
            residual -= rows[i, 2 + j] * b[j]
        total = rows[i, 1] + tau2
        standard = residual / total
        value -= 0.5 * (np.log(total) + residual * standard)
        slope += 0.5 * (standard * standard - 1 / total)
        for j in range(b.size):
            slopes[j] += rows[i, 2 + j] * standard
    return value, slope


@njit(**OPTIONS)
def normal(x, numbers, gradient):  # type: ignore[no-untyped-def]
    """Return the log density of ``y ~ N(X b, v + tau^2)`` at ``x = (g, z)``; write its gradient."""
    k, p = int(numbers[0]), int(numbers[1])
    work = np.zeros((4, p))
    value = coefficients(x, numbers, p, work[0], work[1], work[2])
    tau, rise, density, slope = scale(x[p], numbers[SCALE:BASELINE])
    rows = numbers[COEFFICIENTS + p * (9 + p) :].reshape((k, 2 + p))
    likelihood, slope2 = normal_terms(rows, tau * tau, work[0], work[3])
    pull_back(numbers, p, work[3], work[1], work[2], gradient)
    gradient[p] = slope + 2 * slope2 * tau * rise
    return value + density + likelihood


@njit(**OPTIONS)
def binomial_arm(events, n, log_odds):  # type: ignore[no-untyped-def]
    """Return the log likelihood of the events of an arm and its slope in the log odds."""
    e = np.exp(-abs(log_odds))
    softplus = max(log_odds, 0.0) + np.log1p(e)
    risk = 1 / (1 + e) if log_odds > 0 else e / (1 + e)
    return events * log_odds - n * softplus, events - n * risk


@njit(**OPTIONS)
def binomial_terms(x, numbers, k, p, tau, b, slopes, gradient):  # type: ignore[no-untyped-def]
    """Return the log likelihood of two-by-two tables and its slope in tau, with baselines and effects."""
    rows = numbers[COEFFICIENTS + p * (9 + p) :].reshape((k, 7 + p))
    baseline = numbers[BASELINE:COEFFICIENTS]
    value, slope = 0.0, 0.0
    for i in range(k):
        u, unit = x[p + 1 + i], rows[i, 6]
        h = rows[i, 4] + rows[i, 5] * x[p + 1 + k + i]
        alpha, rise, jacobian, turn = bounded(h, baseline)
        density, pull = location(alpha, baseline)
        effect = tau * u
        for j in range(p):
            effect += rows[i, 7 + j] * b[j]
        one, slope1 = binomial_arm(rows[i, 0], rows[i, 1], alpha + unit * effect)
        two, slope2 = binomial_arm(rows[i, 2], rows[i, 3], alpha)
        value += one + two + density + jacobian - 0.5 * u * u
        slope += unit * u * slope1
        for j in range(p):
            slopes[j] += unit * slope1 * rows[i, 7 + j]
        gradient[p + 1 + i] = unit * tau * slope1 - u
        gradient[p + 1 + k + i] = rows[i, 5] * ((slope1 + slope2 + pull) * rise + turn)
    return value, slope


@njit(**OPTIONS)
def binomial(x, numbers, gradient):  # type: ignore[no-untyped-def]
    """Return the log density of the events of both arms at ``x = (g, z, u, a)``; write its gradient."""
    k, p = int(numbers[0]), int(numbers[1])
    work = np.zeros((4, p))
    value = coefficients(x, numbers, p, work[0], work[1], work[2])
    tau, rise, density, slope = scale(x[p], numbers[SCALE:BASELINE])
    likelihood, pull = binomial_terms(x, numbers, k, p, tau, work[0], work[3], gradient)
    pull_back(numbers, p, work[3], work[1], work[2], gradient)
    gradient[p] = slope + pull * rise
    return value + density + likelihood


def compiled(likelihood: str) -> Any:
    """Return the density of a likelihood as the C function that the sampler calls."""
    return cfunc(DENSITY, **OPTIONS)({"normal": c_normal, "binomial": c_binomial}[likelihood])


def c_normal(dim, x, gradient, value, numbers):  # type: ignore[no-untyped-def]
    """Write log density and gradient; the first number is the length of the vector."""
    head = carray(numbers, 1, np.float64)
    data = carray(numbers, int(head[0]), np.float64)
    slopes, out = carray(gradient, dim), carray(value, 1)
    out[0] = normal(carray(x, dim), data[1:], slopes)
    return 0 if np.isfinite(out[0]) and np.isfinite(slopes.sum()) else 1


def c_binomial(dim, x, gradient, value, numbers):  # type: ignore[no-untyped-def]
    """Write log density and gradient; the first number is the length of the vector."""
    head = carray(numbers, 1, np.float64)
    data = carray(numbers, int(head[0]), np.float64)
    slopes, out = carray(gradient, dim), carray(value, 1)
    out[0] = binomial(carray(x, dim), data[1:], slopes)
    return 0 if np.isfinite(out[0]) and np.isfinite(slopes.sum()) else 1


@cfunc(EXPANSION, **OPTIONS)
def same(dim, _expanded, x, out, _numbers):  # type: ignore[no-untyped-def]
    """Copy the point: coefficients and tau are computed from draws of the coordinates afterwards."""
    for i in range(dim):
        out[i] = x[i]
    return 0
