"""Time 1,000 priors on one data set and print a table: medians of wall and processor time.

Run as ``OPENBLAS_NUM_THREADS=1 python benchmarks/surface.py``. The last column is the processor time relative
to that of a fixed piece of NumPy work, run in between: it depends less on the machine and what else it does.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import platform
import time
from typing import TYPE_CHECKING

import numpy as np

import bayesmeta as bm
from bayesmeta.engines.surface import (
    Choices,
    Densities,
    likelihood_of,
    location_priors,
    posteriors,
    probabilities,
    quantiles,
    surface_of,
    tau_quantiles,
)
from bayesmeta.sensitivity.atlas import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable

REPEATS = 41
ENDS = np.array([0.025, 0.975])
COLUMNS = {
    "m1i": "exercise_mean", "sd1i": "exercise_sd", "n1i": "exercise_n",
    "m2i": "control_mean", "sd2i": "control_sd", "n2i": "control_n",
}  # fmt: skip


def fixed_work() -> None:
    """Do what takes about 2 ms: a hundred thousand exponentials and a product of matrices."""
    values = np.linspace(-3.0, 3.0, 100_000)
    np.exp(-0.5 * values * values)
    matrix = values[:40_000].reshape(200, 200)
    _ = matrix @ matrix


def timed(work: Callable[[], object]) -> tuple[float, float, float]:
    """Return the medians of wall and processor time in milliseconds, and of the ratio to the fixed work."""
    rows = []
    for _ in range(REPEATS):
        begun = time.process_time()
        fixed_work()
        fixed = time.process_time() - begun
        wall, begun = time.perf_counter(), time.process_time()
        work()
        rows.append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - begun), fixed))
    wall, used, fixed = np.median(np.array(rows), axis=0)
    return float(wall), float(used), float(used / (1e3 * fixed))


def main() -> None:
    """Print the table."""
    studies = bm.effect_sizes(bm.load_dataset("exercise_bmd"), "MD", slab="study", **COLUMNS)
    model = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)")
    atlas = bm.prior_sensitivity(studies, model)
    problem, tau, mu = atlas.problem, atlas.tau, atlas.mu
    fit = bm.fit(studies, bm.Model(mu="Normal(0, 0.2)", tau="HalfNormal(0.05)"))

    def surface() -> object:
        return surface_of(likelihood_of(problem), Choices(Densities(tau), location_priors(mu)))

    kept = surface()
    nodes = kept.nodes  # type: ignore[attr-defined]

    def moments(made: object) -> object:
        return made.log_evidence, made.mean, made.variance, made.tau_variance  # type: ignore[attr-defined]

    def default_atlas() -> object:
        made = bm.prior_sensitivity(studies, model, mid=0.02)
        return [made.values(name) for name in QUANTITIES]

    rows: list[tuple[str, Callable[[], object]]] = [
        ("evidence and moments, likelihood nodes kept", lambda: moments(posteriors(nodes, tau, mu))),
        ("evidence and moments, from the data", lambda: moments(surface())),
        ("95 % intervals of mu", lambda: quantiles(kept, ENDS)),  # type: ignore[arg-type]
        ("95 % intervals of theta_new", lambda: quantiles(kept, ENDS, new=True)),  # type: ignore[arg-type]
        ("95 % intervals of tau", lambda: tau_quantiles(kept, ENDS)),  # type: ignore[arg-type]
        ("P(mu > 0)", lambda: probabilities(kept, 0.0)),  # type: ignore[arg-type]
        ("bm.prior_sensitivity: every number of the default atlas", default_atlas),
        ("bm.tipping_points, k = 11", lambda: bm.tipping_points(fit, mid=0.05)),
        ("one bm.fit, evidence alone, for comparison", lambda: bm.fit(studies, model).log_evidence),
    ]
    print(f"{platform.machine()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}; k = 11, 40 x 25 = 1,000 priors")
    print(f"{'':57s} {'wall':>9s} {'CPU':>9s} {'ratio':>8s}")
    for name, work in rows:
        work()
        wall, used, ratio = timed(work)
        print(f"{name:57s} {wall:6.2f} ms {used:6.2f} ms {ratio:8.2f}")


if __name__ == "__main__":
    main()
