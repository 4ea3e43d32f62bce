"""Seconds for ten thousand meta-analyses at once, from a DataFrame to the table of results.

    uv run python benchmarks/batch.py [reviews]

Each review has 5 to 30 studies; asked for are mu, tau, theta_new and I2 with mean, sd, median and interval.
One at a time is extrapolated from 200 exact fits. Wall seconds depend on what else the machine does;
processor seconds hardly. Each row is a new process: with one thread in the linear algebra library, and with
as many as it takes unless told.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

import numpy as np

REVIEWS = 10_000
SINGLE = 200
PRIORS = {"mu": "Normal(0, 1)", "tau": "HalfNormal(0.5)"}
REPEATS = 3
STAGES = {
    "reading": ("batch.py:__init__", "batch.py:studies"),
    "limits": ("__init__.py:limits",),
    "nodes": ("__init__.py:on_nodes",),
    "mixtures": ("effects.py:mean_and_sd", "effects.py:quantiles_of_effects", "effects.py:above"),
    "tau and I2": ("sinc.py:quantiles_of_u", "sinc.py:moments_of_tau", "values.py:inconsistency"),
    "error": ("__init__.py:_error",),
}
"""Functions of each stage; none calls another of them."""


def table(reviews, seed=1):
    """Return a DataFrame of simulated reviews."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    review = np.repeat(np.arange(reviews), rng.integers(5, 31, reviews))
    sei = np.exp(rng.normal(-1.5, 0.7, review.size))
    yi = rng.normal(0.2, 0.3, reviews)[review] + rng.normal(size=review.size) * np.hypot(sei, 0.3)
    return pd.DataFrame({"review": np.char.add("R", review.astype(str)), "yi": yi, "sei": sei})


def timed(work):
    """Return wall and processor seconds of a call, and what it returns."""
    wall, used = time.perf_counter(), time.process_time()
    value = work()
    return {"wall": time.perf_counter() - wall, "CPU": time.process_time() - used}, value


def together(reviews):
    """Return the seconds of some batches in this process."""
    import bayesmeta as bm

    data, model = table(reviews), bm.Model(**PRIORS)
    bm.fit_many(data.head(100), "review", model=model, yi="yi", sei="sei")
    runs = []
    for _ in range(REPEATS):
        seconds, found = timed(lambda: bm.fit_many(data, "review", model=model, yi="yi", sei="sei"))
        if (found["status"] != "ok").any():
            raise SystemExit("a review has no posterior")
        runs.append(seconds)
    return {
        "wall": min(run["wall"] for run in runs),
        "CPU": min(run["CPU"] for run in runs),
        "largest error": float(found["error"].max()),
        "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def one_by_one(reviews):
    """Return the seconds of all reviews, each fitted alone, extrapolated from the first of them."""
    import bayesmeta as bm

    data, model = table(SINGLE), bm.Model(**PRIORS)
    parts = [(part["yi"].to_numpy(), part["sei"].to_numpy()) for _, part in data.groupby("review")]

    def work():
        for yi, sei in parts:
            fit = bm.fit(bm.Studies.from_effects(yi, sei=sei), model, engine="exact")
            for name in ("mu", "tau", "theta_new", "I2"):
                fit.quantity(name)

    work()
    seconds, _ = timed(work)
    return {name: value * reviews / SINGLE for name, value in seconds.items()}


def stages(reviews):
    """Return the share of the processor seconds of each stage, in one thread and under the profiler."""
    import cProfile
    import pstats

    import bayesmeta as bm
    from bayesmeta import batch_posterior

    batch_posterior.ThreadPoolExecutor = _OneThread
    data, model = table(reviews), bm.Model(**PRIORS)
    bm.fit_many(data.head(100), "review", model=model, yi="yi", sei="sei")
    profile = cProfile.Profile(time.process_time)
    profile.runcall(bm.fit_many, data, "review", model=model, yi="yi", sei="sei")
    found = pstats.Stats(profile)
    spent = {
        name: sum(
            row[3] for (file, _, function), row in found.stats.items() if f"{file}:{function}".endswith(ends)
        )
        for name, ends in STAGES.items()
    }
    return {name: value / found.total_tt for name, value in spent.items()}


class _OneThread:
    """A pool without threads: the profiler sees only its own."""

    def __init__(self, **_):
        self.map = map

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def in_new_process(kind, reviews, **environment):
    """Return what one of the functions finds in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    run = subprocess.run(
        [sys.executable, __file__, "--one", kind, str(reviews)],
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(run.stdout)


def show(title, found):
    print(f"{title:38s}" + "  ".join(f"{name} {value:.3g}" for name, value in found.items()))


def main(reviews=REVIEWS):
    print(f"{reviews} reviews of 5 to 30 studies, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    one = {"OPENBLAS_NUM_THREADS": "1"}
    show("together, OPENBLAS_NUM_THREADS=1", in_new_process("together", reviews, **one))
    show("together, OPENBLAS_NUM_THREADS unset", in_new_process("together", reviews))
    show("shares of the seconds", in_new_process("stages", reviews, **one))
    show(f"alone, from {SINGLE}", in_new_process("single", reviews, **one))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        functions = {"together": together, "stages": stages, "single": one_by_one}
        print(json.dumps(functions[sys.argv[2]](int(sys.argv[3]))))
    else:
        main(*map(int, sys.argv[1:2]))
