"""Time the exact engine and print a table: wall times and processor times, one thread of linear algebra.

Machines differ, and other work disturbs them: beside the median wall time stands the lowest processor time,
and that as a multiple of a fixed NumPy workload timed in the same run.

Run as ``OPENBLAS_NUM_THREADS=1 python benchmarks/exact.py``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

import bayesmeta as bm
from bayesmeta.conditional import prepare
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


class Timing(NamedTuple):
    """Times in milliseconds."""

    wall: float
    """Median wall time."""
    processor: float
    """Lowest processor time, of children too."""


def processor_time() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def timed(work: Callable[[], object], repeats: int) -> Timing:
    """Return the times of a piece of work."""
    wall, processor = [], []
    for _ in range(repeats):
        start, begin = processor_time(), time.perf_counter()
        work()
        wall.append(time.perf_counter() - begin)
        processor.append(processor_time() - start)
    return Timing(1e3 * float(np.median(wall)), 1e3 * min(processor))


def workload() -> Callable[[], object]:
    """Return a fixed piece of work: a product of 48 x 11 by 11 x 3, 528 exponentials, 10,000 normal cdfs."""
    rng = np.random.default_rng(0)
    rows, columns, z = rng.normal(size=(48, 11)), rng.normal(size=(11, 3)), rng.normal(size=10_000)
    return lambda: (rows @ columns, np.exp(rows), special.ndtr(z))


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

    def from_data() -> None:
        prepare.cache_clear()
        integrate(problem)

    return from_data


def main() -> None:
    studies = exercise()
    pooled = Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)")
    moderated = Model(mods="duration_months", mu="Normal(0, 1)", beta="Normal(0, 1)", tau="HalfNormal(0.05)")
    problem = pose(studies, pooled)
    rows = [
        ("evidence and moments, k = 11", timed(lambda: integrate(problem), 200)),
        ("bm.fit and every number of its tables, k = 11", timed(lambda: every_number(studies, pooled), 100)),
        ("the same, shortest intervals of theta", timed(lambda: shortest(studies, pooled), 20)),
        ("the same with one moderator", timed(lambda: every_number(studies, moderated), 100)),
        ("with the classical analyses beside it", timed(lambda: with_classical(studies, pooled), 20)),
        ("k = 1,000, evidence and nodes", timed(large(1_000), 20)),
        ("k = 100,000, evidence and nodes", timed(large(100_000), 5)),
        ("4,000 draws of everything", timed(lambda: bm.fit(studies, pooled).posterior.draws(4000, RNG), 20)),
        ("fresh process: import, fit, print", timed(fresh(FRESH), 9)),
        (
            "fresh process: numpy and scipy.special alone",
            timed(fresh("import numpy, scipy.special"), 9),
        ),
    ]
    python = platform.python_version()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {python}, NumPy {np.__version__}")
    print(f"{'':50s} {'median wall':>14s} {'processor':>14s} {'workloads':>10s}")
    unit = min(timed(workload(), 300).processor for _ in range(3))
    for name, value in [("fixed NumPy workload", timed(workload(), 300)), *rows]:
        ratio = value.processor / unit
        print(f"{name:50s} {value.wall:11.2f} ms {value.processor:11.2f} ms {ratio:10.1f}")


RNG = np.random.default_rng(1)


def shortest(studies: Studies, model: Model) -> None:
    fit = bm.fit(studies, model, engine="exact")
    tables.effect_rows(fit.posterior, studies, None, prob=0.95, kind="hdi")


def with_classical(studies: Studies, model: Model) -> None:
    fit = bm.fit(studies, model, engine="exact")
    tables.heterogeneity_rows(fit.posterior, fit.classical, prob=0.95, kind="eti")


def fresh(code: str) -> Callable[[], object]:
    """Return the running of a program in a process of its own, with bytecode, as an installation has it."""
    cache = Path(tempfile.gettempdir()) / "bayesmeta-benchmark-bytecode"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(cache)

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=env)

    run()
    return run


if __name__ == "__main__":
    main()
