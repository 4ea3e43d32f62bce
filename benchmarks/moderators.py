"""Time the selection of moderators: the evidence of every subset, and averages over all of them.

Run as ``OPENBLAS_NUM_THREADS=1 python benchmarks/moderators.py``. The last column is the largest difference
from the log evidence of one fit for each subset, where all are fitted, or of every thirteenth.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import platform
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas  # noqa: F401, ICN001 - what is timed should not wait for it

import bayesmeta as bm

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.regression import ModeratorSelection

REPEATS = 5
MODEL = bm.Model(mu="Normal(0, 1)", beta="Normal(0, 0.5)", tau="HalfNormal(0.5)")


def data(k: int, moderators: int) -> bm.Studies:
    """Return k made-up studies with moderators, the first of which matters."""
    rng = np.random.default_rng(2026)
    s = np.exp(rng.uniform(-2.5, -1, k))
    columns = {f"x{j}": rng.normal(size=k) for j in range(moderators)}
    y = rng.normal(0.2 + 0.15 * columns["x0"], np.sqrt(s * s + 0.04))
    return bm.Studies.from_effects(y, sei=s, data=columns)


def selection(studies: bm.Studies, common: float = 0.0) -> ModeratorSelection:
    return bm.moderator_selection(studies, list(studies.columns), MODEL, common=common)


def seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def largest_difference(studies: bm.Studies, step: int) -> float:
    """Return how far the evidence of every subset, or of one in `step`, is from that of its own fit."""
    found = selection(studies)
    own = [bm.fit(studies, MODEL.with_mods(mods)).log_evidence for mods in found.formulas[::step]]
    return float(np.abs(found.log_evidence[::step] - own).max())


def main() -> None:
    python = platform.python_version()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {python}, NumPy {np.__version__}")
    heading = f"{'moderators':>10s} {'k':>5s} {'models':>7s}"
    print(f"{heading} {'evidence':>10s} {'averages':>10s} {'difference':>11s}")
    for moderators, k in ((3, 11), (6, 20), (10, 50), (10, 500)):
        studies = data(k, moderators)
        evidence = seconds(lambda studies=studies: selection(studies))
        averages = seconds(lambda studies=studies: selection(studies).coefficients()) - evidence
        apart = largest_difference(studies, 1 if moderators < 10 else 13)
        row = f"{evidence:9.3f}s {averages:9.3f}s {apart:11.1e}"
        print(f"{moderators:10d} {k:5d} {2**moderators:7d} {row}")


if __name__ == "__main__":
    main()
