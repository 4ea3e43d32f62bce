"""Convergence of draws: numbers of ArviZ, and checks that fire alone, on draws made by hand."""

from __future__ import annotations

from math import isnan

import arviz_stats as az
import numpy as np
import pytest
import xarray as xr

from bayesmeta.results.diagnostics import convergence, diagnose, monte_carlo_error
from bayesmeta.results.draws import Draws

CHAINS, DRAWS, K = 4, 500, 3


def independent(seed=1, shape=(CHAINS, DRAWS)):
    return np.random.default_rng(seed).standard_normal(shape)


def correlated(seed=1, rho=0.9, shape=(CHAINS, DRAWS)):
    noise = independent(seed, shape)
    values = np.empty(shape)
    values[:, 0] = noise[:, 0]
    for t in range(1, shape[1]):
        values[:, t] = rho * values[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    return values


def made(**changes):
    """Draws that have nothing wrong with them, apart from the changes."""
    shape = changes.pop("shape", (CHAINS, DRAWS))
    parts = {
        "beta": independent(1, (*shape, 1)),
        "tau": np.abs(independent(2, shape)),
        "theta": independent(3, (*shape, K)),
        "theta_new": independent(4, shape),
        "stats": {
            "diverging": np.zeros(shape),
            "tree_depth": np.full(shape, 3.0),
            "energy": independent(5, shape),
        },
        "settings": {"chains": shape[0], "draws": shape[1], "refits": 0},
    }
    stats = parts["stats"] | changes.pop("stats", {})
    return Draws(**(parts | {"stats": stats} | changes))


def checks(**changes):
    return diagnose(made(**changes), ("mu",)).checks


# Numbers


@pytest.mark.parametrize(
    "values", [independent(), correlated(), np.abs(correlated(7)), independent(2, (1, 400))]
)
def test_convergence_is_arviz_s(values):
    found = convergence(values)
    array = xr.DataArray(values, dims=("chain", "draw"))
    data = xr.Dataset({"x": array})
    if values.shape[0] > 1:
        assert found.rhat == pytest.approx(float(az.rhat(data)["x"]), rel=1e-12)
    else:
        assert isnan(found.rhat)
    assert found.ess_bulk == pytest.approx(float(az.ess(data, method="bulk")["x"]), rel=1e-12)
    assert found.ess_tail == pytest.approx(
        float(az.ess(data, method="tail", prob=(0.05, 0.95))["x"]), rel=1e-12
    )


def test_monte_carlo_errors_are_arviz_s():
    values = correlated(3)
    data = xr.Dataset({"x": xr.DataArray(values, dims=("chain", "draw"))})
    found = monte_carlo_error(values, prob=0.9)
    assert found["mcse_mean"] == pytest.approx(float(az.mcse(data, method="mean")["x"]), rel=1e-12)
    assert found["mcse_sd"] == pytest.approx(float(az.mcse(data, method="sd")["x"]), rel=1e-12)
    for name, p in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
        expected = float(az.mcse(data, method="quantile", prob=p)["x"])
        assert found[f"mcse_{name}"] == pytest.approx(expected, rel=1e-12)
    assert set(found) == {
        *("mcse_mean", "mcse_sd", "mcse_median", "mcse_lower", "mcse_upper"),
        *("rhat", "ess_bulk", "ess_tail"),
    }


def test_error_of_independent_draws_is_sd_over_root_n():
    values = independent(9, (4, 2500))
    found = monte_carlo_error(values, prob=0.95)
    # An effective sample size is off by a few percent, the error of an order statistic by more.
    assert found["mcse_mean"] == pytest.approx(0.01, rel=0.1)
    assert found["mcse_median"] == pytest.approx(0.01 * np.sqrt(np.pi / 2), rel=0.4)


def test_constant_draws_have_no_convergence_and_no_error():
    values = np.full((4, 100), 0.3)
    assert all(isnan(one) for one in convergence(values))
    found = monte_carlo_error(values, prob=0.95)
    assert all(found[f"mcse_{name}"] == 0 for name in ("mean", "sd", "median", "lower", "upper"))


def test_three_draws_are_too_few_to_judge():
    assert all(isnan(one) for one in convergence(independent(1, (2, 3))))
    found = monte_carlo_error(independent(1, (2, 3)), prob=0.95)
    assert all(isnan(value) for value in found.values())


def test_every_reported_quantity_is_judged():
    found = diagnose(made(beta=independent(1, (CHAINS, DRAWS, 2))), ("Intercept", "x"))
    assert list(found.quantities) == [
        *("Intercept", "x", "tau", "theta_new"),
        *("theta[0]", "theta[1]", "theta[2]"),
    ]
    assert found.quantities["x"] == convergence(independent(1, (CHAINS, DRAWS, 2))[:, :, 1])
    assert found.rhat_max == max(one.rhat for one in found.quantities.values())
    assert found.ess_bulk_min == min(one.ess_bulk for one in found.quantities.values())
    assert found.ess_tail_min == min(one.ess_tail for one in found.quantities.values())


def test_smallest_bfmi_over_chains_is_betancourt_s():
    energy = correlated(5, rho=0.5)
    found = diagnose(made(stats={"energy": energy}), ("mu",)).bfmi_min
    expected = min(np.mean(np.diff(chain) ** 2) / np.var(chain) for chain in energy)
    assert found == pytest.approx(expected, rel=1e-12)
    data = xr.DataTree.from_dict(
        {"sample_stats": xr.Dataset({"energy": xr.DataArray(energy, dims=("chain", "draw"))})}
    )
    # ArviZ divides the two sums by n - 1 and n, which differs by 1 / DRAWS.
    assert found == pytest.approx(float(np.min(az.bfmi(data)["energy"])), rel=2 / DRAWS)


# Checks, each alone


def test_draws_without_fault_are_ok():
    found = diagnose(made(), ("mu",))
    assert found.checks == ()
    assert found.status == "ok"
    assert found.divergences == 0


def test_divergences_are_reported():
    diverging = np.zeros((CHAINS, DRAWS))
    diverging[1, :3] = 1
    text = "3 divergent transitions; the posterior may be incompletely explored"
    assert checks(stats={"diverging": diverging}) == (("divergences", text),)
    one = np.zeros((CHAINS, DRAWS))
    one[0, 0] = 1
    text = "1 divergent transition; the posterior may be incompletely explored"
    assert checks(stats={"diverging": one}) == (("divergences", text),)


def test_chains_apart_raise_rhat():
    tau = np.abs(independent(2)) + np.array([[0.0], [0.0], [0.0], [0.25]])
    [(name, text)] = checks(tau=tau)
    assert name == "rhat"
    assert text == f"R-hat is up to {convergence(tau).rhat:.3f}, above 1.01; sample longer"


def test_slow_chains_have_a_small_effective_size():
    beta = correlated(4, rho=0.75)[:, :, None]
    found = diagnose(made(beta=beta), ("mu",))
    assert found.rhat_max < 1.01
    [(name, text)] = found.checks
    smallest = min(found.ess_bulk_min, found.ess_tail_min)
    assert name == "ess"
    assert text == f"the effective sample size is down to {smallest:.0f}, below 400; sample longer"


def test_energy_that_wanders_is_reported():
    energy = correlated(6, rho=0.95)
    [(name, text)] = checks(stats={"energy": energy})
    smallest = diagnose(made(stats={"energy": energy}), ("mu",)).bfmi_min
    assert name == "bfmi"
    assert text == f"E-BFMI is {smallest:.2f}, below 0.3; the tails are hard to reach"


def test_deepest_trees_are_reported():
    depth = np.full((CHAINS, DRAWS), 3.0)
    depth[0, :2] = 10
    text = "2 draws hit the largest tree depth"
    assert checks(stats={"tree_depth": depth}) == (("tree-depth", text),)


def test_largest_tree_depth_is_the_sampler_s_own():
    depth = np.full((CHAINS, DRAWS), 8.0)
    settings = {"chains": CHAINS, "draws": DRAWS, "max_treedepth": 8}
    text = f"{CHAINS * DRAWS} draws hit the largest tree depth"
    assert checks(stats={"tree_depth": depth}, settings=settings) == (("tree-depth", text),)


def test_one_chain_is_unreliable():
    # INPUTS 048.
    found = diagnose(made(shape=(1, 2000)), ("mu",))
    text = "a single chain was run, so that R-hat is undefined; run at least 2"
    assert found.checks == (("one-chain", text),)
    assert found.status == "unreliable"
    assert isnan(found.rhat_max)
    assert not found.can_improve


def test_too_few_draws_to_judge_are_unreliable():
    found = diagnose(made(shape=(2, 3)), ("mu",))
    assert found.checks == (
        ("few-draws", "2 chains of 3 draws are too few to judge convergence; sample longer"),
    )
    assert found.status == "unreliable"


def test_few_draws_have_a_small_effective_size():
    found = diagnose(made(shape=(4, 10)), ("mu",))
    assert "ess" in [name for name, _ in found.checks]
    assert not found.can_improve
    assert diagnose(made(shape=(4, 100)), ("mu",)).can_improve


def test_draws_that_are_no_numbers_are_unreliable():
    tau = np.abs(independent(2))
    tau[2, 7] = np.nan
    found = diagnose(made(tau=tau), ("mu",))
    assert ("not-finite", "some draws of tau are not finite; the sampler failed") in found.checks
    assert found.status == "unreliable"


def test_chains_that_do_not_move_are_unreliable():
    stuck = np.repeat([[0.1], [0.2], [0.3], [0.4]], DRAWS, axis=1)
    found = diagnose(made(tau=stuck), ("mu",))
    assert found.status == "unreliable"
    everywhere = diagnose(made(beta=np.full((CHAINS, DRAWS, 1), 0.3)), ("mu",))
    assert everywhere.checks == (("stuck", "the chains of mu do not move; sample again"),)


def test_constant_tau_is_no_fault():
    found = diagnose(made(tau=np.zeros((CHAINS, DRAWS))), ("mu",))
    assert found.checks == ()


def test_block_of_results_holds_numbers_and_settings():
    block = diagnose(made(), ("mu",)).to_dict()
    assert list(block) == [
        *("status", "rhat_max", "ess_bulk_min", "ess_tail_min", "divergences", "bfmi_min"),
        *("chains", "draws", "refits"),
    ]
    assert (block["status"], block["chains"], block["draws"]) == ("ok", 4, 500)


# Draws


def test_draws_are_read_only_copies():
    tau = np.abs(independent(2))
    draws = made(tau=tau)
    tau[0, 0] = 99
    assert draws.tau[0, 0] != 99
    with pytest.raises(ValueError, match="read-only"):
        draws.tau[0, 0] = 1
    with pytest.raises(TypeError):
        draws.settings["chains"] = 2


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"^theta must have shape \(chain, draw, ...\) like tau; got \(4, 499, 3\)$"
    ):
        made(theta=independent(1, (4, 499, 3)))


def test_draws_know_their_sizes():
    draws = made()
    assert (draws.chains, draws.per_chain, draws.divergences) == (4, 500, 0)
    assert (
        Draws(
            beta=independent(1, (1, 5, 1)), tau=independent(1, (1, 5)), theta=independent(1, (1, 5, 2))
        ).divergences
        == 0
    )
