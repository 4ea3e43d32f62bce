"""Seconds of the whole review: ``bayesmeta run exercise_bmd`` in a fresh process, by step.

    uv run python benchmarks/run.py [repeats]

The first row has an empty folder of compiled code (cold), the others that of the run before (warm). The step
``main`` holds the import and compilation of the sampler, which is then shared by all sixteen fits of the run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = (sys.executable, "-m", "bayesmeta", "run", "exercise_bmd")
STEP = re.compile(r"([a-z0-9 ]+?) (\d+\.\d)(?:,|$)")


def one_run(folder: str) -> tuple[float, dict[str, float]]:
    """Return the seconds of a run, and those of its steps as the run itself tells them."""
    environment = {**os.environ, "XDG_CACHE_HOME": folder, "OPENBLAS_NUM_THREADS": "1"}
    begun = time.perf_counter()
    done = subprocess.run(
        [*COMMAND, "--out", str(Path(folder) / "out")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - begun
    line = next(line for line in done.stderr.splitlines() if "wall time" in line)
    return seconds, {name.strip(): float(value) for name, value in STEP.findall(line.split(":", 2)[2])}


def main() -> None:
    """Print a row for each run."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        for number in range(repeats):
            seconds, steps = one_run(folder)
            listed = ", ".join(f"{name} {value:g}" for name, value in steps.items())
            print(f"{'cold' if number == 0 else 'warm'}  {seconds:6.1f} s   {listed}")


if __name__ == "__main__":
    main()
