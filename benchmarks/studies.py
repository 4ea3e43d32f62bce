"""Seconds for the sensitivity to studies: leave-one-out, leave-two-out, GOSH, influence, outliers.

    uv run python benchmarks/studies.py

Each row is the best of three in a process with one thread in the linear algebra library. Wall seconds depend
on what else the machine does; processor seconds (of all threads) hardly.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import platform
import sys
import time

import numpy as np

import bayesmeta as bm

PRIORS = {"mu": "Normal(0, 1)", "tau": "HalfNormal(0.5)"}
REPEATS = 3
TARGETS = {
    "leave-one-out, k = 100": 0.2,
    "GOSH of 2^11 subsets": 0.5,
    "GOSH of 2^16 subsets": 20.0,
}
"""Wall seconds on two quiet cores."""


def studies(k, seed=1):
    rng = np.random.default_rng(seed)
    sei = np.exp(rng.normal(-1.5, 0.7, k))
    return bm.Studies.from_effects(0.2 + rng.normal(size=k) * np.hypot(sei, 0.3), sei=sei)


def best(work, repeats=REPEATS):
    """Return wall and processor seconds of the best run."""
    found = []
    for _ in range(repeats):
        wall, used = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - used))
    return tuple(min(one) for one in zip(*found, strict=True))


def main(million=False):
    model = bm.Model(**PRIORS)
    hundred, small = bm.fit(studies(100), model), bm.fit(studies(11), model)
    work = {
        "leave-one-out, k = 100": lambda: bm.leave_out(hundred).table(),
        "leave-two-out, k = 100 (4,950 pairs)": lambda: bm.leave_out(hundred, 2).table(),
        "cumulative, k = 100": lambda: bm.cumulative(hundred, by="precision").table(),
        "influence, k = 11": lambda: bm.influence(small),
        "influence, k = 100": lambda: bm.influence(hundred),
        "outliers, k = 11": lambda: bm.outliers(small),
        "outliers, k = 100": lambda: bm.outliers(hundred),
        "GOSH of 2^11 subsets": lambda: bm.gosh(studies(11), model),
        "GOSH of 2^16 subsets": lambda: bm.gosh(studies(16), model),
    }
    if million:
        work["GOSH of a million subsets, k = 30"] = lambda: bm.gosh(studies(30), model, most=10**6, seed=1)
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {machine}")
    work["leave-one-out, k = 100"]()  # imports
    for name, run in work.items():
        wall, used = best(run, 1 if "million" in name else REPEATS)
        target = f"   target {TARGETS[name]:g}" if name in TARGETS else ""
        print(f"{name:40s} wall {wall:8.3f} s   CPU {used:8.3f} s{target}")


if __name__ == "__main__":
    main(million="million" in sys.argv[1:])
