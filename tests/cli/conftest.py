"""What the tests of the command line share: a folder of their own, a small analysis, and a caller."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from bayesmeta.cli import main

TRIALS = "study,effect,se,site\nYu 2023,0.10,0.05,hip\nZhu 2023,0.30,0.06,hip\nLu 2007,0.05,0.04,spine\n"

SMALL = """
[analysis]
title = "Three trials"
seed = 1
[data]
file = "trials.csv"
measure = "GEN"
slab = "study"
columns = { yi = "effect", sei = "se" }
[model.priors]
mu = "Normal(0, 1)"
tau = "HalfNormal(0.5)"
beta = "Normal(0, 1)"
[engine]
name = "exact"
"""


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Give every test a current folder of its own, with a small analysis in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trials.csv").write_text(TRIALS)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.fixture
def call(capsys):
    """Return a function that runs a command in this process."""

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def plain(monkeypatch):
    """Leave figures and report out of runs: they take seconds, and other tests look at them."""
    monkeypatch.setattr("bayesmeta.workflow.run.write_figures", lambda *_, **__: {})
    monkeypatch.setattr("bayesmeta.workflow.run.write_tree", lambda *_, **__: None)
    monkeypatch.setattr("bayesmeta.workflow.run.write_report", lambda *_, **__: None)
