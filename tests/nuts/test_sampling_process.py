"""The sampling process dies alone: its death, errors and interruptions never give a shortened result."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import bayesmeta as bm
from bayesmeta.engines.nuts import worker
from bayesmeta.engines.nuts.child import SamplingProcess, process
from bayesmeta.engines.nuts.plan import WIDTHS, plan
from bayesmeta.errors import SamplingError

MODEL = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)")
LONG = {"tune": 1000, "draws": 200_000}


def at_first_draw(act):
    """Return a report that acts when sampling has begun."""

    def report(said):
        if said["phase"] == "sample" and said["done"] > 0:
            act()

    return report


def kill(number):
    os.kill(process._process.pid, number)
    time.sleep(0.2)


def test_an_error_of_the_sampler_arrives_as_one_sentence(bmd, posed):
    """The width is one that no other test compiles, since compiled code says something else of it."""
    ready = plan(posed(bmd, mu="Normal(0, 1)", tau="HalfNormal(0.05)"))
    broken = ready._replace(numbers=np.full(ready.numbers.size, np.nan), width=WIDTHS[-1])
    options = {"chains": 2, "tune": 10, "draws": 10, "target_accept": 0.9, "seed": 1, "cores": 2}
    with pytest.raises(SamplingError) as caught:
        process.sample(broken, options, None)
    assert str(caught.value) == (
        "the sampler failed: NotImplementedError: Masked arrays or arrays with `nan` entries are not "
        "supported. Pass them directly to `observed` if you want to trigger auto-imputation; try "
        "engine='exact'"
    )


def test_fewer_draws_than_asked_for_are_an_error(bmd, monkeypatch):
    whole = process.sample

    def cut(*request):
        return {name: array[:2] for name, array in whole(*request).items()}

    monkeypatch.setattr(process, "sample", cut)
    with pytest.raises(SamplingError) as caught:
        bm.fit(bmd, MODEL, engine="nuts", seed=1, tune=200, draws=50)
    assert str(caught.value) == (
        "the sampler made draws of shape (2, 50, 7) instead of (4, 50, 7); run it again"
    )


def test_compiled_code_is_kept_in_the_cache_of_the_user(tmp_path, monkeypatch):
    for name in ("NUMBA_CACHE_DIR", "PYTENSOR_FLAGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "made"))
    made, folder = SamplingProcess()._environment(), str(tmp_path / "made" / "bayesmeta")
    assert made["NUMBA_CACHE_DIR"] == folder
    assert made["PYTENSOR_FLAGS"] == f"base_compiledir={folder}/pytensor"


def test_compiled_code_goes_to_a_temporary_folder_if_the_cache_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    mine = SamplingProcess()
    folder = Path(mine._environment()["NUMBA_CACHE_DIR"])
    assert folder.is_dir()
    assert folder.name.startswith("bayesmeta-")
    mine.close()
    assert not folder.exists()


def test_the_folder_for_compiled_code_that_the_user_named_is_used(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/chosen")
    assert SamplingProcess()._environment()["NUMBA_CACHE_DIR"] == "/chosen"


def test_a_package_that_is_missing_is_named():
    said = worker._sentence(ModuleNotFoundError("No module named 'pymc'"))
    missing = "a package that it needs cannot be loaded (No module named 'pymc')"
    assert said == f"{missing}; install pymc and nutpie"


# What ends the sampling process comes last: the next fit starts another, which compiles anew.


def test_a_killed_sampler_is_an_error_with_exit_code_6(bmd):
    report = at_first_draw(lambda: kill(signal.SIGKILL))
    with pytest.raises(SamplingError) as caught:
        bm.fit(bmd, MODEL, engine="nuts", seed=1, report=report, **LONG)
    ended = f"the sampling process ended by signal {int(signal.SIGKILL)}"
    assert str(caught.value) == f"{ended}; is there enough memory? Run it again"
    assert caught.value.exit_code == 6
    assert process._process is None


@pytest.mark.slow
def test_a_process_that_died_while_idle_is_replaced(bmd):
    first = bm.fit(bmd, MODEL, engine="nuts", seed=1, chains=1, draws=50)
    process._process.kill()
    process._process.wait()
    second = bm.fit(bmd, MODEL, engine="nuts", seed=1, chains=1, draws=50)
    assert np.array_equal(first.posterior.sampled.tau, second.posterior.sampled.tau)


@pytest.mark.slow
def test_an_interruption_ends_the_process_at_once(bmd):
    seen = []

    def stop():
        seen.append(process._process)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bm.fit(bmd, MODEL, engine="nuts", seed=1, report=at_first_draw(stop), **LONG)
    assert process._process is None
    assert seen[0].returncode == -signal.SIGKILL


SCRIPT = """
import sys, bayesmeta as bm
from bayesmeta.engines.nuts.child import process
studies = bm.Studies.from_effects([0.1, 0.5, 0.2], sei=[0.2, 0.1, 0.3])
def report(said):
    if said["phase"] == "sample":
        print("sampling", process._process.pid, flush=True)
fit = bm.fit(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"), engine="nuts", seed=1,
             report=report if "long" in sys.argv else None, draws=900_000 if "long" in sys.argv else 500)
print(repr(float(fit.posterior.sampled.tau.sum())))
"""


def started(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def gone(pid, seconds=5):
    for _ in range(int(seconds / 0.05)):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_parent_that_is_stopped_takes_the_sampler_along(number):
    with started("long") as parent:
        pid = int(parent.stdout.readline().split()[1])
        parent.send_signal(number)
        parent.communicate()
    assert gone(pid)


@pytest.mark.slow
def test_two_parents_share_an_empty_cache_and_get_the_same_numbers(tmp_path):
    both = [started(XDG_CACHE_HOME=str(tmp_path)) for _ in range(2)]
    answers = [one.communicate() for one in both]
    assert answers[0][0]
    assert answers[0][0] == answers[1][0]
    assert any((tmp_path / "bayesmeta").iterdir())


@pytest.mark.slow
def test_a_home_that_does_not_exist_is_no_obstacle():
    one = started(HOME="/nonexistent/home", XDG_CACHE_HOME="")
    out, err = one.communicate()
    assert one.returncode == 0, err
    assert float(out) > 0
