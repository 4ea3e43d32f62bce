"""Studies: what goes into an analysis, checked when it is born."""

from __future__ import annotations

from bayesmeta.studies.build import effect_sizes
from bayesmeta.studies.value import Studies

__all__ = ["Studies", "effect_sizes"]
