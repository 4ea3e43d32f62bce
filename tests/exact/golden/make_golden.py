"""Write golden.json: posteriors in 30-digit arithmetic, from mpmath and the formulas alone.

Nothing of the package is used. Each case is integrated over tau on Gauss-Legendre panels of 24 points, in
``asinh(tau / smallest s)`` or, where the prior is not smooth at 0, in ``log tau``, down to e^-60 of the peak;
quantiles are found in double precision and finished by Newton's method in 30 digits.

Run as ``python make_golden.py``; it takes a few minutes on two cores.
"""

from __future__ import annotations

import json
import math
import random
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import mpmath as mp
from mpmath import mpf

DIGITS = 30
ORDER = 24
PANEL = mpf("2")
DEPTH = 60
FILE = Path(__file__).with_name("golden.json")
P = {"q000001": "1e-6", "q025": "0.025", "q50": "0.5", "q975": "0.975"}


@cache
def gauss_legendre(n: int):
    """Return nodes and weights on [-1, 1], by Newton's method on the Legendre polynomial."""
    nodes, weights = [], []
    for i in range(n):
        x = mp.cos(mp.pi * (i + mpf("0.75")) / (n + mpf("0.5")))
        for _ in range(8):
            before, value = mpf(1), x
            for m in range(2, n + 1):
                before, value = value, ((2 * m - 1) * x * value - (m - 1) * before) / m
            slope = n * (x * value - before) / (x * x - 1)
            x -= value / slope
        nodes.append(x)
        weights.append(2 / ((1 - x * x) * slope * slope))
    return nodes, weights


def log_prior(family: str, a: list, v: list):  # noqa: C901 - a list of families
    """Return the log density of tau of a family with parameters a."""
    L = mp.log
    if family == "HalfNormal":
        return lambda t: L(2) - L(a[0]) - L(2 * mp.pi) / 2 - (t / a[0]) ** 2 / 2
    if family == "HalfCauchy":
        return lambda t: L(2) - L(mp.pi * a[0]) - L(1 + (t / a[0]) ** 2)
    if family == "HalfStudentT":
        nu, s = a
        constant = L(2) + mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2) - L(nu * mp.pi) / 2 - L(s)
        return lambda t: constant - (nu + 1) / 2 * L(1 + (t / s) ** 2 / nu)
    if family == "Exponential":
        return lambda t: L(a[0]) - a[0] * t
    if family == "Uniform":
        return lambda _: -L(a[1] - a[0])
    if family == "LogNormal":
        return lambda t: -(((L(t) - a[0]) / a[1]) ** 2) / 2 - L(2 * mp.pi) / 2 - L(a[1]) - L(t)
    if family == "Gamma":
        return lambda t: a[0] * L(a[1]) - mp.loggamma(a[0]) + (a[0] - 1) * L(t) - a[1] * t
    if family == "InverseGamma":
        return lambda t: a[0] * L(a[1]) - mp.loggamma(a[0]) - (a[0] + 1) * L(t) - a[1] / t
    if family == "Lomax":
        return lambda t: L(a[0]) - L(a[1]) - (a[0] + 1) * L(1 + t / a[1])
    if family == "Flat":
        return lambda _: mpf(0)
    if family == "Sqrt":
        return lambda t: -L(t) / 2
    if family == "Jeffreys":
        return lambda t: L(t) + L(sum((vi + t * t) ** -2 for vi in v)) / 2
    s0 = mp.sqrt(len(v) / sum(1 / vi for vi in v))
    if family == "DuMouchel":
        return lambda t: L(s0) - 2 * L(s0 + t)
    if family == "UniformShrinkage":
        return lambda t: L(2 * t) + 2 * L(s0) - 2 * L(s0 * s0 + t * t)
    raise ValueError(family)


def inverse_and_log_det(A):
    """Return inverse and log determinant of a symmetric matrix of at most 3 rows."""
    n = len(A)
    if n == 1:
        return [[1 / A[0][0]]], mp.log(A[0][0])
    M = mp.matrix(A)
    inverse = M**-1
    return [[inverse[i, j] for j in range(n)] for i in range(n)], mp.log(mp.det(M))


def given_tau(case, tau):
    """Return mean and covariance of the coefficients and the log marginal likelihood at tau."""
    y, v, X, prior = case["y"], case["v"], case["X"], case["beta"]
    p, k = len(X[0]), len(y)
    w = [1 / (vi + tau * tau) for vi in v]
    A = [[sum(wi * x[i] * x[j] for wi, x in zip(w, X, strict=True)) for j in range(p)] for i in range(p)]
    b = [sum(wi * x[i] * yi for wi, x, yi in zip(w, X, y, strict=True)) for i in range(p)]
    square = sum(wi * yi * yi for wi, yi in zip(w, y, strict=True))
    log_z = (sum(mp.log(wi) for wi in w) - k * mp.log(2 * mp.pi)) / 2
    for j, one in enumerate(prior):
        if one is not None:
            mean, sd = one
            A[j][j] += sd**-2
            b[j] += mean / sd**2
            square += (mean / sd) ** 2
            log_z -= mp.log(2 * mp.pi) / 2 + mp.log(sd)
    cov, log_det = inverse_and_log_det(A)
    beta = [sum(cov[i][j] * b[j] for j in range(p)) for i in range(p)]
    rss = square - sum(beta[i] * b[i] for i in range(p))
    return beta, cov, log_z + (p * mp.log(2 * mp.pi) - log_det - rss) / 2


class Integral:
    """Posterior of a case on nodes of tau."""

    def __init__(self, case):
        self.case = case
        self.log_pi = log_prior(case["family"], case["a"], case["v"])
        self.scale = mp.sqrt(min(case["v"]))
        self.logarithmic = case["logarithmic"]
        low, high = self.interval()
        n = max(4, int(mp.ceil((high - low) / PANEL)))
        self.edges = [low + (high - low) * i / n for i in range(n + 1)]
        self.fill()

    def tau(self, u):
        return self.scale * (mp.exp(u) if self.logarithmic else mp.sinh(u))

    def log_f(self, u):
        tau = self.tau(u)
        jacobian = mp.log(self.scale) + (u if self.logarithmic else mp.log(mp.cosh(u)))
        beta, cov, log_marginal = given_tau(self.case, tau)
        return log_marginal + self.log_pi(tau) + jacobian, tau, beta, cov

    def log_reach(self, u):
        """Return the log integrand of the highest moment, the last to vanish."""
        value, tau, _, _ = self.log_f(u)
        return value + self.case["growth"] * mp.log(1 + (tau / self.scale) ** 2) / 2

    def interval(self):
        """Return where log f is within DEPTH of its peak, in 15 digits, by scanning."""
        low, high = self.case["search"]
        with mp.workdps(16):
            for _ in range(12):
                grid = [low + (high - low) * i / 60 for i in range(61)]
                values = [self.log_reach(u) for u in grid]
                peak = max(values)
                inside = [i for i, value in enumerate(values) if value > peak - DEPTH]
                new = grid[max(inside[0] - 1, 0)], grid[min(inside[-1] + 1, 60)]
                done = new[1] - new[0] > mpf("0.8") * (high - low)
                low, high = new
                if done:
                    break
        return mpf(low), mpf(high)

    def fill(self):
        nodes, weights = gauss_legendre(ORDER)
        rows, logs = [], []
        for a, b in zip(self.edges[:-1], self.edges[1:], strict=True):
            for x, w in zip(nodes, weights, strict=True):
                value, tau, beta, cov = self.log_f((a + b) / 2 + (b - a) / 2 * x)
                logs.append(value)
                rows.append((w * (b - a) / 2, tau, beta, cov))
        self.peak = max(logs)
        mass = [row[0] * mp.exp(value - self.peak) for row, value in zip(rows, logs, strict=True)]
        total = sum(mass)
        self.log_z = self.peak + mp.log(total)
        self.w = [m / total for m in mass]
        self.taus = [row[1] for row in rows]
        self.beta = [row[2] for row in rows]
        self.cov = [row[3] for row in rows]

    def tau_below(self, u):
        """Return the probability of tau below tau(u), adding a rule up to u."""
        nodes, weights = gauss_legendre(ORDER)
        panel = max(i for i, edge in enumerate(self.edges[:-1]) if edge <= u or i == 0)
        below = sum(self.w[: panel * ORDER])
        a = self.edges[panel]
        for x, w in zip(nodes, weights, strict=True):
            value = self.log_f((a + u) / 2 + (u - a) / 2 * x)[0]
            below += w * (u - a) / 2 * mp.exp(value - self.log_z)
        return below

    def tau_quantile(self, p):
        """Return the quantile of tau by bisection between nodes, then Newton's method."""
        u = self.rough_u(p)
        for _ in range(6):
            step = (self.tau_below(u) - p) / mp.exp(self.log_f(u)[0] - self.log_z)
            u = min(max(u - step, self.edges[0]), self.edges[-1])
            if abs(step) < mpf(10) ** -24:
                break
        return self.tau(u)

    def rough_u(self, p):
        total = mpf(0)
        order = sorted(range(len(self.w)), key=lambda i: self.taus[i])
        for i in order:
            total += self.w[i]
            if total >= p:
                tau = self.taus[i] / self.scale
                return mp.log(tau) if self.logarithmic else mp.asinh(tau)
        return self.edges[-1]

    def mixture(self, mean, variance):
        """Return quantiles, mean and sd of a mixture over the nodes."""
        means, sds = [mean(i) for i in range(len(self.w))], [mp.sqrt(variance(i)) for i in range(len(self.w))]
        centre = sum(w * m for w, m in zip(self.w, means, strict=True))
        spread = sum(w * (s * s + (m - centre) ** 2) for w, m, s in zip(self.w, means, sds, strict=True))
        answer = {"mean": centre, "sd": mp.sqrt(spread)}
        for name, p in P.items():
            answer[name] = self.mixture_quantile(means, sds, mpf(p))
        return answer

    def mixture_quantile(self, means, sds, p):
        kept = [i for i, w in enumerate(self.w) if w > mpf(10) ** -38]
        nodes = [(float(self.w[i]), float(means[i]), float(sds[i])) for i in kept]
        x, target = mpf(bisect(nodes, float(p))), min(p, 1 - p)
        for _ in range(3):
            below = slope = mpf(0)
            for i in kept:
                z = (x - means[i]) / sds[i]
                below += self.w[i] * mp.erfc((-z if p <= 0.5 else z) / mp.sqrt(2)) / 2
                slope += self.w[i] * mp.exp(-z * z / 2) / (sds[i] * mp.sqrt(2 * mp.pi))
            step = (below - target) / slope * (1 if p <= 0.5 else -1)
            x -= step
            if abs(step) < mpf(10) ** -13 * slope**-1:
                break
        return x


def bisect(nodes, p):
    """Return the quantile of a mixture in double precision."""

    def excess(x):
        if p <= 0.5:
            return sum(w * math.erfc((m - x) / (s * math.sqrt(2))) / 2 for w, m, s in nodes) - p
        return (1 - p) - sum(w * math.erfc((x - m) / (s * math.sqrt(2))) / 2 for w, m, s in nodes)

    middle = max(nodes)[1]
    width = max(nodes)[2]
    low, high = middle - width, middle + width
    while excess(low) > 0:
        low = middle - 2 * (middle - low)
    while excess(high) < 0:
        high = middle + 2 * (high - middle)
    for _ in range(70):
        x = (low + high) / 2
        low, high = (x, high) if excess(x) < 0 else (low, x)
    return (low + high) / 2


def answers(case):
    """Return every golden value of a case as a number."""
    mp.mp.dps = DIGITS
    one = Integral(case)
    p = len(case["X"][0])
    found = {"log_evidence": one.log_z}
    for j in range(p):
        values = one.mixture(lambda i, j=j: one.beta[i][j], lambda i, j=j: one.cov[i][j][j])
        found |= {f"beta{j}.{name}": value for name, value in values.items()}
    if p == 1 and case["X"][0][0] == 1:
        values = one.mixture(lambda i: one.beta[i][0], lambda i: one.cov[i][0][0] + one.taus[i] ** 2)
        found |= {f"theta_new.{name}": value for name, value in values.items()}
    found |= of_first_study(one, case)
    found["tau.mean"] = sum(w * t for w, t in zip(one.w, one.taus, strict=True))
    second = sum(w * t * t for w, t in zip(one.w, one.taus, strict=True))
    found["tau.sd"] = mp.sqrt(second - found["tau.mean"] ** 2)
    for name in ("q50", "q975"):
        found[f"tau.{name}"] = one.tau_quantile(mpf(P[name]))
    return found


def of_first_study(one, case):
    """Return mean, sd and quantiles of the effect of the first study."""
    y, v, x = case["y"][0], case["v"][0], case["X"][0]
    p = len(x)

    def share(i):
        return v / (v + one.taus[i] ** 2)

    def mean(i):
        fitted = sum(x[j] * one.beta[i][j] for j in range(p))
        return fitted + (1 - share(i)) * (y - fitted)

    def variance(i):
        own = sum(x[a] * one.cov[i][a][b] * x[b] for a in range(p) for b in range(p))
        return share(i) * one.taus[i] ** 2 + share(i) ** 2 * own

    return {f"theta.{name}": value for name, value in one.mixture(mean, variance).items()}


FAMILIES = {
    "HalfNormal": (["0.5"], math.inf),
    "HalfCauchy": (["0.5"], 2),
    "HalfStudentT": (["4", "0.5"], 5),
    "Exponential": (["2"], math.inf),
    "Uniform": (["0", "4"], math.inf),
    "LogNormal": (["-1.2", "1"], math.inf),
    "Gamma": (["2", "4"], math.inf),
    "InverseGamma": (["1.5", "0.4"], 2.5),
    "Lomax": (["2", "0.5"], 3),
    "Flat": ([], 0),
    "Sqrt": ([], 0.5),
    "Jeffreys": ([], 1),
    "DuMouchel": ([], 2),
    "UniformShrinkage": ([], 3),
}
"""Parameters in units of the data's scale, and the exponent of the tail."""
IN_UNITS = {
    "HalfNormal": [0],
    "HalfCauchy": [0],
    "HalfStudentT": [1],
    "Uniform": [0, 1],
    "InverseGamma": [1],
    "Lomax": [1],
}
IN_INVERSE_UNITS = {"Exponential": [0], "Gamma": [1]}
LOGARITHMIC = {"LogNormal", "InverseGamma", "Sqrt"}


def parameters(family: str, unit: str) -> list[str]:
    """Return the parameters of a family for data measured in a unit, as exact decimals."""
    values = [mpf(a) for a in FAMILIES[family][0]]
    for i in IN_UNITS.get(family, []):
        values[i] *= mpf(unit)
    for i in IN_INVERSE_UNITS.get(family, []):
        values[i] /= mpf(unit)
    if family == "LogNormal":
        values[0] = mpf(float(values[0] + mp.log(mpf(unit))))
    return [repr(float(value)) for value in values]


def descriptions() -> list[dict]:
    """Return the cases as texts: data, design, priors."""
    rng = random.Random(20250307)  # noqa: S311 - test data, no secrets
    cases = []
    for family, (_, tail) in FAMILIES.items():
        for k, p, flat, unit, ratio in LAYOUTS:
            if tail + k - (p if flat else 0) <= 1.05:
                continue
            cases.append(describe(rng, family, k, p, flat, unit, ratio))
    return cases


LAYOUTS = [
    *((k, 1, True, "1", 1) for k in (1, 2, 3, 5)),
    *((k, 1, False, "1", 1) for k in (1, 2, 3, 8)),
    (4, 1, True, "1", 1e3),
    (3, 1, False, "1", 1e6),
    (5, 1, True, "1e-12", 3),
    (4, 1, False, "1e12", 3),
    (3, 1, True, "1e-6", 30),
    (6, 2, True, "1", 3),
    (5, 2, False, "1", 10),
    (7, 3, True, "1", 3),
    (2, 2, False, "1e6", 2),
]
"""Studies, coefficients, flat coefficients or not, unit, ratio of standard errors."""


def describe(rng: random.Random, family, k, p, flat, unit, ratio) -> dict:
    s = [
        round(0.2 * float(ratio) ** (rng.random() if 0 < i < k - 1 else i / max(k - 1, 1)), 6)
        for i in range(k)
    ]
    y = [round(rng.gauss(0.3, 0.4), 4) for _ in range(k)]
    X = [[1.0, *(round(rng.uniform(-1, 2), 2) for _ in range(p - 1))] for _ in range(k)]
    return {
        "family": family,
        "a": parameters(family, unit),
        "y": [repr(float(mpf(repr(value)) * mpf(unit))) for value in y],
        "s": [repr(float(mpf(repr(value)) * mpf(unit))) for value in s],
        "X": X,
        "beta": None if flat else [repr(float(mpf("0.1") * mpf(unit))), repr(float(mpf(2) * mpf(unit)))],
        "unit": unit,
        "tail": repr(FAMILIES[family][1]),
    }


def readable(text: dict) -> dict:
    """Return a description as numbers for the integral; doubles are taken as they are."""
    s, k = [mpf(float(value)) for value in text["s"]], len(text["s"])
    v = [mpf(float(value) ** 2) for value in text["s"]]
    a = [mpf(float(value)) for value in text["a"]]
    prior = None if text["beta"] is None else tuple(mpf(float(value)) for value in text["beta"])
    p = len(text["X"][0])
    scale, tail = min(s), float(text["tail"])
    logarithmic = text["family"] in LOGARITHMIC
    rate = tail + k - (p if prior is None else 0) - 1
    growth = 2 if rate > 2 else 1 if rate > 1 else 0
    reach = 40 + (DEPTH + 10) / max(min(rate - growth, 85), 0.2)
    vanishing = text["family"] in {"Jeffreys", "UniformShrinkage", "Gamma"}
    low = mpf(-200) if logarithmic else mpf("1e-25") if vanishing else mpf(0)
    high = mpf(reach)
    if text["family"] == "Uniform":
        high = mp.asinh(a[1] / scale)
    return {
        "family": text["family"],
        "a": a,
        "y": [mpf(float(value)) for value in text["y"]],
        "v": v,
        "X": [[mpf(x) for x in row] for row in text["X"]],
        "beta": [prior] * p,
        "growth": growth,
        "logarithmic": logarithmic,
        "search": (low, high),
    }


def solve(text: dict) -> dict:
    """Return a description with its golden values as texts."""
    mp.mp.dps = DIGITS
    found = answers(readable(text))
    return {**text, "values": {name: mp.nstr(value, 20) for name, value in found.items()}}


def main() -> None:
    """Write the file."""
    with ProcessPoolExecutor(2) as pool:
        solved = list(pool.map(solve, descriptions(), chunksize=2))
    FILE.write_text(json.dumps({"digits": DIGITS, "cases": solved}, indent=0) + "\n")


if __name__ == "__main__":
    main()
