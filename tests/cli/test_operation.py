"""Interruptions, full disks, two runs at once: the folder holds the old run or the new one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bayesmeta.output import is_complete

BAYESMETA = [sys.executable, "-m", "bayesmeta"]
INPUTS = {"small.toml", "trials.csv"}
PLAIN = """
import sys
import bayesmeta.workflow.run as run
run.write_figures = lambda *_, **__: {}
run.write_report = run.write_tree = lambda *_, **__: None
from bayesmeta.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""A program that runs without figures, as most tests in one process do."""


def start(*arguments, plain=True):
    program = [sys.executable, "-c", PLAIN] if plain else BAYESMETA
    return subprocess.Popen(
        [*program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def group_is_empty(process, within=5.0):
    """Return whether no process of the started session is left after a while."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def stopped(moment, sent, *arguments):
    """Start a run, send it a signal some seconds later; return process, error output and delay."""
    process = start(*arguments, plain=False)
    while process.poll() is None and not list(Path().glob("results/.run-*")):
        time.sleep(0.02)
    time.sleep(moment)
    began = time.monotonic()
    process.send_signal(sent)
    _, err = process.communicate(timeout=30)
    return process, err, time.monotonic() - began


def folder_is_whole():
    """Return whether the results are those of one whole run, or there are none."""
    target = Path("results/small")
    left = {path.name for path in Path().iterdir()} - INPUTS
    return is_complete(target) if target.exists() else left == set()


def interrupted_anywhere(moments, sent, codes):
    for moment in moments:
        process, err, delay = stopped(moment, sent, "run", "small.toml", "--engine", "nuts")
        if process.returncode == 0:
            assert folder_is_whole()
            continue
        assert process.returncode in codes, err
        assert delay < 5
        assert folder_is_whole(), moment
        assert group_is_empty(process), moment
        assert len(err.splitlines()) == 1, err
        assert err.startswith(("bayesmeta: interrupted", "bayesmeta: ended by SIG"))


def test_o01_ctrl_c_ends_a_run_at_once_without_leftovers():
    """Two moments, reading and compiling or sampling; the long form has twenty."""
    interrupted_anywhere((0.0, 3.0), signal.SIGINT, {130})


@pytest.mark.slow
def test_o01_ctrl_c_at_twenty_random_moments():
    rng = random.Random(1)  # noqa: S311
    interrupted_anywhere([rng.uniform(1, 15) for _ in range(20)], signal.SIGINT, {130})


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_o02_being_ended_leaves_a_whole_folder(sent):
    rng = random.Random(2)  # noqa: S311
    interrupted_anywhere([rng.uniform(1, 15) for _ in range(10)], sent, {128 + sent})


@pytest.mark.usefixtures("plain")
def test_o02_a_run_that_is_killed_leaves_the_old_or_the_new_folder_and_the_next_one_tidies_up(call):
    assert call("run", "small.toml", "--quiet").code == 0
    rng = random.Random(3)  # noqa: S311
    for _ in range(2):
        process = start("run", "small.toml")
        time.sleep(rng.uniform(0.5, 4))
        process.kill()
        process.communicate(timeout=30)
        assert is_complete(Path("results/small")) or not Path("results/small").exists()
    assert call("run", "small.toml", "--quiet").code == 0
    assert is_complete(Path("results/small"))
    assert [path.name for path in Path("results").iterdir()] == ["small"]


@pytest.mark.usefixtures("plain")
def test_o04_a_disk_that_is_full_exits_5_and_keeps_the_old_results(call):
    assert call("run", "small.toml", "--quiet").code == 0
    before = (Path("results/small") / "manifest.json").read_bytes()
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "sys.dont_write_bytecode = True;"  # Python does not notice that its own files are cut short
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "from bayesmeta.cli import main; sys.exit(main(['run', 'small.toml', '--seed', '2']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 5, result.stderr
    assert "file too large" in result.stderr
    assert len([line for line in result.stderr.splitlines() if "error" in line]) == 1
    assert (Path("results/small") / "manifest.json").read_bytes() == before
    assert is_complete(Path("results/small"))
    assert [path.name for path in Path("results").iterdir()] == ["small"]


@pytest.mark.usefixtures("plain")
def test_o06_a_second_run_into_the_same_folder_exits_5_and_names_the_first(call, monkeypatch):
    from bayesmeta.workflow import run as module

    outcomes = []
    compute = module.compute

    def compute_while_another_starts(*arguments, **options):
        process = start("run", "small.toml")
        outcomes.append((*process.communicate(timeout=60), process.returncode))
        return compute(*arguments, **options)

    monkeypatch.setattr(module, "compute", compute_while_another_starts)
    assert call("run", "small.toml", "--quiet").code == 0
    _, err, code = outcomes[0]
    assert code == 5
    assert err.startswith(f"bayesmeta: error: results/small: in use by process {os.getpid()} since ")
    assert json.loads(Path("results/small/manifest.json").read_text())["status"] == "ok"


@pytest.mark.slow
def test_o06_ten_runs_at_once_leave_one_whole_folder():
    processes = [start("run", "small.toml", "--quiet") for _ in range(10)]
    codes = [process.wait(timeout=300) for process in processes]
    assert set(codes) <= {0, 5}
    assert 0 in codes
    assert is_complete(Path("results/small"))


@pytest.mark.slow
def test_a_run_of_the_review_by_nuts_meets_every_known_answer(call):
    assert call("run", "exercise_bmd", "--quiet").code == 0
    content = json.loads(Path("results/exercise_bmd/results.json").read_text())
    assert all(one["ok"] for one in content["agreement"])
    assert content["diagnostics"]["rhat_max"] <= 1.01
    assert call("run", "exercise_refracture", "--quiet").code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("plain")
def test_048_a_single_short_chain_is_unreliable_and_exits_4(call):
    short = 'name = "nuts"\nchains = 1\ndraws = 10\ntune = 0'
    text = Path("small.toml").read_text().replace('name = "exact"', short)
    Path("small.toml").write_text(text)
    result = call("run", "small.toml")
    assert result.code == 4
    assert "main: a single chain was run, so that R-hat is undefined; run at least 2" in result.err
    content = json.loads(Path("results/small/results.json").read_text())
    assert (content["status"], content["diagnostics"]["status"]) == ("failed", "unreliable")
