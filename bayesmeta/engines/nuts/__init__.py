"""The NUTS engine: any model, sampled in a process of its own.

Study effects are integrated out where the likelihood is normal, and drawn back exactly given coefficients and
tau. Count likelihoods are sampled with all their parameters. `bayesmeta.to_pymc` is the model as
people read it; the sampler runs the same density as a PyMC model in round coordinates, compiled once a run
(`bayesmeta.engines.nuts.densities`).

The names below are imported when they are asked for, because the sampling process needs none of them.

References
----------
Hoffman MD, Gelman A (2014). The No-U-Turn sampler. J Mach Learn Res 15:1593-1623.
Gelman A (2006). Prior distributions for variance parameters in hierarchical models. Bayesian Anal 1:515-534.
doi:10.1214/06-BA117A
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayesmeta.engines.nuts.sampling import Sampled, Settings, close, sample, warm_up

__all__ = ["Sampled", "Settings", "close", "sample", "warm_up"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'bayesmeta.engines.nuts' has no attribute '{name}'")
    return getattr(importlib.import_module("bayesmeta.engines.nuts.sampling"), name)
