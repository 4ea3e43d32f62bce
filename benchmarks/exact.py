"""Time the exact engine and print a table: medians of wall time, one thread of linear algebra.

Run as ``OPENBLAS_NUM_THREADS=1 python benchmarks/exact.py``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import platform
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

import bayesmeta as bm
from bayesmeta.engines.exact import integrate
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results import tables
from bayesmeta.studies import Studies

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH = (
    "import bayesmeta as bm; s = bm.Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.2, 0.1]); "
    "f = bm.fit(s, bm.Model(mu='Normal(0, 1)', tau='HalfNormal(0.5)')); print(f.marginal('mu').interval())"
)


def median(work: Callable[[], object], repeats: int) -> float:
    """Return the median wall time in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def exercise() -> Studies:
    trials = bm.load_dataset("exercise_bmd")
    columns = {
        "m1i": "exercise_mean", "sd1i": "exercise_sd", "n1i": "exercise_n",
        "m2i": "control_mean", "sd2i": "control_sd", "n2i": "control_n",
    }  # fmt: skip
    return bm.effect_sizes(trials, "MD", slab="study", **columns)


def every_number(studies: Studies, model: Model) -> None:
    fit = bm.fit(studies, model, engine="exact")
    tables.summary_rows(fit.posterior, prob=0.95, kind="eti")
    tables.heterogeneity_rows(fit.posterior, {}, prob=0.95, kind="eti")
    tables.effect_rows(fit.posterior, studies, None, prob=0.95, kind="eti")


def large(k: int) -> Callable[[], object]:
    rng = np.random.default_rng(1)
    s = np.exp(rng.uniform(-2.5, -1, k))
    problem = pose(
        Studies.from_effects(rng.normal(0.2, np.sqrt(s * s + 0.09)), sei=s),
        Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"),
    )
    integrate(problem)
    return lambda: integrate(problem)


def main() -> None:
    studies = exercise()
    pooled = Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)")
    moderated = Model(mods="duration_months", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.05)")
    problem = pose(studies, pooled)
    rows = [
        ("evidence and moments, k = 11", median(lambda: integrate(problem), 200)),
        ("bm.fit and every number of its tables, k = 11", median(lambda: every_number(studies, pooled), 100)),
        ("the same, shortest intervals of theta", median(lambda: shortest(studies, pooled), 20)),
        ("the same with one moderator", median(lambda: every_number(studies, moderated), 100)),
        ("with the classical analyses beside it", median(lambda: with_classical(studies, pooled), 20)),
        ("k = 1,000, evidence and nodes", median(large(1_000), 20)),
        ("k = 100,000, evidence and nodes", median(large(100_000), 5)),
        ("4,000 draws of everything", median(lambda: bm.fit(studies, pooled).posterior.draws(4000, RNG), 20)),
        ("fresh process: import, fit, print", median(fresh, 5)),
    ]
    python = platform.python_version()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {python}, NumPy {np.__version__}")
    for name, value in rows:
        print(f"{name:50s} {value:10.2f} ms")


RNG = np.random.default_rng(1)


def shortest(studies: Studies, model: Model) -> None:
    fit = bm.fit(studies, model, engine="exact")
    tables.effect_rows(fit.posterior, studies, None, prob=0.95, kind="hdi")


def with_classical(studies: Studies, model: Model) -> None:
    fit = bm.fit(studies, model, engine="exact")
    tables.heterogeneity_rows(fit.posterior, fit.classical, prob=0.95, kind="eti")


def fresh() -> None:
    subprocess.run([sys.executable, "-c", FRESH], check=True, capture_output=True)


if __name__ == "__main__":
    main()
