"""``python -m bayesmeta`` is ``bayesmeta``."""

from __future__ import annotations

import sys

from bayesmeta.cli import main

if __name__ == "__main__":
    sys.exit(main())
