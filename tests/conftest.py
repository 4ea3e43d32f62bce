"""What every run of the tests shares: bytecode of the libraries, compiled once for all processes."""

from __future__ import annotations

import os
import sys


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
