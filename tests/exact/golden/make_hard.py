"""Write hard.json: posteriors of cases in which an integral is easily cut off or loses its digits.

The arithmetic is that of ``make_golden.py``; effects near 1e12 are shifted to 0 and back. Run as
``python make_hard.py``; it takes half a minute.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

FILE = Path(__file__).with_name("hard.json")
OFFSET = 10**12
NEAR = (0.125, 0.5, -0.25, 1.0, 0.75)
APART = ((0.1, 0.5, -3e3, 2e5), (1, 1e3, 1e4, 1e6))
LONE = ((0.1, 0.2, 0.3, 2), (0.1,) * 4)
NINE = ([25e3 * step for step in range(-4, 5)], (0.1,) * 9)
CASES = {
    "a prior whose tail hardly falls": (
        (0.1, 0.5, -0.2, 0.9),
        (0.1, 0.2, 0.15, 0.3),
        "InverseGamma",
        ("0.001", "0.001"),
        1.001,
        None,
    ),
    "effects near 1e12": (NEAR, (0.1, 0.2, 0.15, 0.3, 0.2), "HalfNormal", ("0.5",), "inf", None),
    "precisions and effects of all sizes": (*APART, "HalfCauchy", ("10",), 2, None),
    "the same under another prior": (*APART, "DuMouchel", (), 2, None),
    "a vague prior and an outlier": (*LONE, "HalfNormal", ("1e6",), "inf", ("0", "1e6")),
    "a vague prior and two studies": ((0.1, 0.2), (0.1, 0.1), "HalfNormal", ("1e6",), "inf", None),
    "effects a million standard errors apart": (*NINE, "Exponential", ("10",), "inf", None),
}
"""Effects, standard errors, prior of tau with its parameters and tail, prior of mu (None is flat)."""


def description(y, s, family, parameters, tail, prior) -> dict:
    return {
        "family": family,
        "a": list(parameters),
        "y": [repr(float(value)) for value in y],
        "s": [repr(float(value)) for value in s],
        "X": [[1.0]] * len(y),
        "beta": None if prior is None else list(prior),
        "unit": "1",
        "tail": repr(float(tail)),
    }


def make_golden() -> ModuleType:
    """Return the script beside this one."""
    spec = importlib.util.spec_from_file_location("make_golden", Path(__file__).with_name("make_golden.py"))
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def shifted(case: dict, golden: ModuleType) -> dict:
    """Return a case under a flat prior with all effects larger by the offset."""
    with golden.mp.workdps(golden.DIGITS):
        moved = {
            name: golden.mp.nstr(golden.mpf(value) + OFFSET, 30)
            for name, value in case["values"].items()
            if name.startswith(("beta0", "theta")) and not name.endswith(".sd")
        }
    return {
        **case,
        "y": [repr(float(value) + OFFSET) for value in case["y"]],
        "values": case["values"] | moved,
    }


def main() -> None:
    golden = make_golden()
    cases = {name: golden.solve(description(*case)) for name, case in CASES.items()}
    cases["effects near 1e12"] = shifted(cases["effects near 1e12"], golden)
    FILE.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
