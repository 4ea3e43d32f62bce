"""Seconds that the NUTS engine takes: import, compile, sample, judge; and effective draws a second.

    uv run python benchmarks/nuts.py [repeats]

Each row is a new process, with an empty folder of compiled code (cold) or with that of the run before (warm).
Wall seconds depend on what else the machine does; processor seconds hardly.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

MODELS = {
    "pooled": {"tau": "HalfNormal(0.05)", "mu": "Normal(0, 1)"},
    "joint": {
        "mods": "duration_months + C(exercise_type) + C(fracture_site)",
        "tau": "HalfNormal(0.05)",
        "mu": "Normal(0, 1)",
        "beta": "Normal(0, 1)",
    },
    "binomial": {"likelihood": "binomial", "mu": "Normal(0, 2)", "tau": "HalfNormal(0.5)"},
}
MEANS = {f"m{j}i": f"{arm}_mean" for j, arm in ((1, "exercise"), (2, "control"))} | {
    f"sd{j}i": f"{arm}_sd" for j, arm in ((1, "exercise"), (2, "control"))
}
SIZES = {"n1i": "exercise_n", "n2i": "control_n"}
EVENTS = {"ai": "exercise_events", "ci": "control_events"}


def studies_of(name):
    import bayesmeta as bm

    if name == "binomial":
        return bm.effect_sizes(bm.load_dataset("exercise_refracture"), "OR", slab="study", **EVENTS, **SIZES)
    return bm.effect_sizes(bm.load_dataset("exercise_bmd"), "MD", slab="study", **MEANS, **SIZES)


def first_and_later(name, later=5):
    """Return seconds of one new process: to import, of the first fit, of a later one; and the worker's."""
    begun = time.perf_counter()
    import bayesmeta as bm
    from bayesmeta.engines import nuts

    studies, model = studies_of(name), bm.Model(**MODELS[name])
    times = {"import": time.perf_counter() - begun}
    marks, seconds = {}, []
    for seed in range(later + 1):
        begun = time.perf_counter()
        fit = bm.fit(
            studies,
            model,
            engine="nuts",
            seed=seed,
            report=lambda said, begun=begun: marks.setdefault(said["phase"], time.perf_counter() - begun),
        )
        seconds.append(time.perf_counter() - begun)
    times |= {
        "compiled after": marks["sample"],
        "first fit": seconds[0],
        "later fit": float(np.median(seconds[1:])),
    }
    times["ESS/s"] = fit.diagnostics.ess_bulk_min / times["later fit"]
    nuts.close()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    times["worker CPU"] = usage.ru_utime + usage.ru_stime
    own = resource.getrusage(resource.RUSAGE_SELF)
    return times | {"own CPU": own.ru_utime + own.ru_stime}


def in_new_process(name, cache):
    run = subprocess.run(
        [sys.executable, __file__, "--one", name],
        env={**os.environ, "NUMBA_CACHE_DIR": cache},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(run.stdout)


def main(repeats=3):
    print(f"median of {repeats} new processes, seconds, load {os.getloadavg()[0]:.1f}")
    for name in MODELS:
        kinds = {"cold": [], "warm": []}
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as cache:
                for rows in kinds.values():
                    rows.append(in_new_process(name, cache))
        for kind, rows in kinds.items():
            medians = {key: np.median([row[key] for row in rows]) for key in rows[0]}
            print(f"{name:9s} {kind}  " + "  ".join(f"{key} {value:.2f}" for key, value in medians.items()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(first_and_later(sys.argv[2])))
    else:
        main(*map(int, sys.argv[1:2]))
