"""What every run of the tests shares: bytecode of the libraries, and one worker for all that samples."""

from __future__ import annotations

import os
import sys

import pytest


def pytest_configure(config):
    """Keep bytecode in the cache of pytest where Python is told to leave none beside its sources.

    The workers and some forty tests start an interpreter, and without bytecode each compiles every library
    that it imports, which takes two to four times as long as the import itself.
    """
    if not sys.dont_write_bytecode or not hasattr(config, "cache"):
        return
    folder = str(config.cache.mkdir("bytecode"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder
    sys.dont_write_bytecode, sys.pycache_prefix = False, folder


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give a file to one worker, as ``--dist loadfile`` does, and all of ``tests/nuts`` to one.

    A worker that samples starts a sampling process, which compiles for seventeen seconds.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            folder = "tests/nuts/"
            return folder if nodeid.startswith(folder) else super()._split_scope(nodeid)

    return Scheduling(config, log)
