"""Time the methods for small-study effects on the exercise review: medians of processor time, one thread.

Run as ``OPENBLAS_NUM_THREADS=1 python benchmarks/bias.py``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import platform
import time
from typing import TYPE_CHECKING

import numpy as np

import bayesmeta as bm
from bayesmeta import bias

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.studies import Studies

MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)")


def median(work: Callable[[], object], repeats: int) -> float:
    """Return the median processor time in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times))


def exercise() -> Studies:
    columns = {
        "m1i": "exercise_mean", "sd1i": "exercise_sd", "n1i": "exercise_n",
        "m2i": "control_mean", "sd2i": "control_sd", "n2i": "control_n",
    }  # fmt: skip
    return bm.effect_sizes(bm.load_dataset("exercise_bmd"), "MD", slab="study", better="higher", **columns)


def main() -> None:
    studies = exercise()
    rows = [
        ("Egger's test", lambda: bias.egger(studies), 50),
        ("rank correlation, exact", lambda: bias.rank_test(studies), 50),
        ("trim and fill, REML", lambda: bias.trim_and_fill(studies), 20),
        ("selection model, one step", lambda: bias.selection_model(studies), 5),
        ("selection model, two steps", lambda: bias.selection_model(studies, steps=(0.025, 0.5)), 5),
        ("selection model, beta weights", lambda: bias.selection_model(studies, "beta"), 3),
        ("Bayesian selection model, one step", lambda: bias.step_posterior(studies, MODEL), 5),
        ("average over 32 models", lambda: bias.average(studies, MODEL), 3),
        ("average over 36 models", lambda: bias.average(studies, MODEL, steps=bias.STEPS_PSMA), 1),
        ("assess: everything, as a table", lambda: bias.assess(studies, MODEL).table(), 3),
    ]
    python = platform.python_version()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {python}, NumPy {np.__version__}")
    for name, work, repeats in rows:
        print(f"{name:40s} {median(work, repeats):10.1f} ms")


if __name__ == "__main__":
    main()
