"""The exact engine against 30-digit arithmetic: TESTING section 4 and the cases of golden/golden.json.

``golden/make_golden.py`` regenerates the cases with mpmath and nothing of the package.
"""

from __future__ import annotations

import importlib.util
import json
from math import isnan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayesmeta.engines.exact import integrate
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.posterior import distribution_of
from bayesmeta.studies import Studies

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "golden.json").read_text())["cases"]
PROBABILITIES = {"q000001": 1e-6, "q025": 0.025, "q50": 0.5, "q975": 0.975}
RELATIVE, FLOOR = 1e-9, 1e-12
SCHOOLS = ([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18])
PUBLISHED = [
    # data, s, tau, mu: log evidence; mean, sd, 95 % of mu; mean, median of tau; 95 % of theta_new
    (*SCHOOLS, "HalfNormal(5)", "Flat()", -27.5353589384139,
     (7.78687331313756, 4.36372512010143, -0.756721925228284, 16.378471248304),
     (3.3100573218215, 2.800113770794), (-4.17007477968989, 19.9294075075016)),
    (*SCHOOLS, "HalfNormal(5)", "Normal(0, 50)", -32.3821485275205,
     (7.72781480530356, 4.34603667448626, -0.783467571162411, 16.2818426439298),
     (3.30763758982636, 2.79796852486801), (-4.20914527085019, 19.8330826219129)),
    ([0.5], [0.2], "HalfNormal(0.5)", "Normal(0, 1)", -1.13020831119746,
     (0.413494614770068, 0.421971238603325, -0.537115000186651, 1.22181520068584),
     (0.373945570967833, 0.314565138199607), (-1.018752169275, 1.67775822915493)),
    ([0.1, 0.5], [0.2, 0.2], "HalfNormal(0.5)", "Flat()", -0.713587462951495,
     (0.3, 0.331444977292903, -0.389957400639068, 0.989957400639068),
     (0.337544034817739, 0.282178220781314), (-0.847110060030278, 1.44711006003028)),
    ([0.3] * 5, [0.2] * 5, "HalfNormal(0.5)", "Flat()", 0.518393536453886,
     (0.3, 0.112353235714629, 0.0808764530803659, 0.519123546919634),
     (0.110918981886183, 0.0828506789960416), (-0.0777834559086069, 0.677783455908607)),
    ([-200, -150, -100, -50, 0, 50, 100, 150, 200, 300], [1] * 10, "HalfNormal(1)", "Flat()",
     -517.316803176615,
     (30, 6.90753141017029, 16.4585302155658, 43.5414697844342),
     (21.8149380383514, 21.809239837979), (-14.8692063397244, 74.8692063397244)),
]  # fmt: skip


def posterior_of(studies: Studies, model: Model) -> ExactPosterior:
    problem = pose(studies, model)
    return ExactPosterior(problem, integrate(problem))


@pytest.mark.parametrize(("y", "s", "tau", "mu", "evidence", "of_mu", "of_tau", "of_new"), PUBLISHED)
def test_the_six_published_cases_are_met_to_all_their_digits(y, s, tau, mu, evidence, of_mu, of_tau, of_new):
    posterior = posterior_of(Studies.from_effects(y, sei=s), Model(mu=mu, tau=tau))
    effect, new = posterior.coefficients, distribution_of(posterior, "theta_new")
    ends = np.array([0.025, 0.975])
    assert posterior.log_evidence == pytest.approx(evidence, rel=1e-14, abs=2e-14)
    ours = [effect.mean()[0], effect.sd()[0], *effect.quantile(ends)[:, 0]]
    ours += [
        posterior.tau.mean()[0],
        posterior.tau.quantile(np.array([0.5]))[0, 0],
        *new.quantile(ends)[:, 0],
    ]
    assert ours == pytest.approx([*of_mu, *of_tau, *of_new], rel=3e-14, abs=1e-14)


def golden_posterior(case: dict[str, Any]) -> ExactPosterior:
    X = np.array(case["X"], dtype=float)
    family = f"{case['family']}({', '.join(case['a'])})"
    prior = "Flat()" if case["beta"] is None else f"Normal({', '.join(case['beta'])})"
    studies = Studies.from_effects(
        [float(value) for value in case["y"]],
        vi=[float(value) ** 2 for value in case["s"]],
        data={f"x{j}": X[:, j] for j in range(1, X.shape[1])},
    )
    mods = " + ".join(f"x{j}" for j in range(1, X.shape[1])) or "1"
    return posterior_of(studies, Model(mods=mods, mu=prior, beta=prior, tau=family, center=False))


def ours(posterior: ExactPosterior, name: str) -> float:
    if name == "log_evidence":
        return posterior.log_evidence
    quantity, part = name.split(".")
    distribution = {
        "tau": lambda: posterior.tau,
        "theta": lambda: posterior.theta.select(0),
        "theta_new": lambda: distribution_of(posterior, "theta_new"),
    }.get(quantity, lambda: posterior.coefficients.select(int(quantity[-1])))()
    if part in PROBABILITIES:
        return float(distribution.quantile(np.array([PROBABILITIES[part]]))[0, 0])
    return float({"mean": distribution.mean, "sd": distribution.sd}[part]()[0])


def exists(case: dict[str, Any], name: str) -> bool:
    """Return whether a moment exists: ``a + k - p > 1 + r`` (ENGINES 1.4), and always in tau's absence."""
    quantity, _, part = name.partition(".")
    if part not in {"mean", "sd"} or quantity == "theta":
        return True
    flat = 0 if case["beta"] else len(case["X"][0])
    unbounded = quantity in {"tau", "theta_new"} or flat
    bound = float(case["tail"]) + len(case["y"]) - flat - 1
    return not unbounded or bound > {"mean": 1, "sd": 2}[part]


def width(case: dict[str, Any], name: str) -> float:
    """Return the scale of a quantity: half the distance between its 2.5 % and 97.5 % points."""
    quantity = name.split(".")[0]
    values = {key: float(value) for key, value in case["values"].items()}
    if name == "log_evidence":
        return 1.0
    if quantity == "tau":
        return values["tau.q975"]
    return (values[f"{quantity}.q975"] - values[f"{quantity}.q025"]) / 4


def wrong(case: dict[str, Any]) -> list[tuple[str, float, float]]:
    posterior, found = golden_posterior(case), []
    for name, text in case["values"].items():
        mine, true = ours(posterior, name), float(text)
        if not exists(case, name):
            if not isnan(mine):
                found.append((name, mine, true))
        elif not abs(mine - true) <= RELATIVE * abs(true) + FLOOR * width(case, name):
            found.append((name, mine, true))
    return found


def label(case: dict[str, Any]) -> str:
    prior = "flat" if case["beta"] is None else "normal"
    return f"{case['family']}-k{len(case['y'])}-p{len(case['X'][0])}-{prior}-{case['unit']}"


def test_there_are_at_least_two_hundred_cases():
    assert len(CASES) >= 200
    assert {len(case["y"]) for case in CASES} >= {1, 2, 3}


@pytest.mark.parametrize("case", CASES, ids=label)
def test_values_in_thirty_digits_are_met_to_nine(case):
    assert wrong(case) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES[::23], ids=label)
def test_the_script_regenerates_the_stored_values(case):
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make_golden.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    again = script.solve({key: value for key, value in case.items() if key != "values"})["values"]
    for name, value in case["values"].items():
        assert float(again[name]) == pytest.approx(float(value), rel=1e-17 + 1e-15, abs=sqrt(1e-40))
