"""nutpie's sampler, called on a compiled density of ours.

Its Python package imports pandas and every plotting library of ArviZ, which takes longer than sampling;
the compiled part alone is loaded here. `bayesmeta.to_pymc` gives the model to whoever wants nutpie or PyMC
themselves.

References
----------
Hoffman MD, Gelman A (2014). The No-U-Turn sampler. J Mach Learn Res 15:1593-1623.
Seyboldt A, Carlson E, Carpenter B (2026). Preconditioning Hamiltonian Monte Carlo by minimizing Fisher
divergence. arXiv:2603.18845
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.arrays import Floats

STATISTICS = {"diverging": "diverging", "depth": "tree_depth", "energy": "energy", "step_size": "step_size"}
"""What nutpie says of each draw, and what we call it."""
WIDEST_START = 2.0
"""Chains start uniformly between plus and minus this, in coordinates that are standard normal or so."""
RATE = 100
"""Milliseconds between reports."""


class Target:
    """A log density on points of `dim` numbers, as machine code with its data."""

    def __init__(self, density: Any, copy: Any, numbers: Floats, dim: int) -> None:
        self.numbers = np.ascontiguousarray(numbers, dtype=np.float64)
        self.dim = dim
        self._density, self._copy = density, copy

    def model(self) -> Any:
        """Return the target as nutpie's compiled part takes it."""
        lib, data = library(), self.numbers.ctypes.data
        sizes: dict[str, int] = {}
        variables = lib.PyVariable.new_variables(["x"], ["float64"], [(self.dim,)], sizes, {})
        density = lib.LogpFunc(self._density.address, data, self)
        expand = lib.ExpandFunc(self.dim, self.dim, self._copy.address, data, self)
        return lib.PyMcModel(density, expand, variables, self.dim, sizes, {}, self._start, None)

    def _start(self, seed: int) -> Floats:
        return np.random.default_rng(seed).uniform(-WIDEST_START, WIDEST_START, self.dim)


@cache
def library() -> Any:
    """Return nutpie's compiled part."""
    package = importlib.util.find_spec("nutpie")
    folders = [] if package is None else package.submodule_search_locations or []
    for folder in map(Path, folders):
        for file in sorted(folder.glob("_lib*")):
            spec = importlib.util.spec_from_file_location("nutpie._lib", file)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                return module
    raise ModuleNotFoundError("the package nutpie is not installed")


def sample(
    target: Target, settings: Mapping[str, Any], report: Callable[[int, int], None] | None
) -> dict[str, Floats]:
    """Return draws ``x`` (chain, draw, dim) and ``stat_...`` (chain, draw) of a target.

    Parameters
    ----------
    target : Target
        What to sample.
    settings : mapping
        ``chains``, ``tune``, ``draws``, ``target_accept``, ``seed``, ``cores``.
    report : callable, optional
        Called now and then with the numbers of draws and of divergences so far.
    """
    lib = library()
    options = lib.PyNutsSettings.Diag(settings["seed"])
    names = {
        "num_chains": "chains",
        "num_tune": "tune",
        "num_draws": "draws",
        "target_accept": "target_accept",
    }
    options.update({theirs: settings[ours] for theirs, ours in names.items()})

    def progress(chains: list[Any]) -> None:
        if report is not None:
            report(sum(chain.finished_draws for chain in chains), sum(chain.divergences for chain in chains))

    listener = None if report is None else progress
    sampler = lib.PySampler.from_pymc(
        options,
        settings["cores"],
        target.model(),
        lib.ProgressType.none(),
        listener,
        RATE,
        lib.PyStorage.arrow(),
    )
    sampler.wait(None)
    draws, statistics = sampler.take_results().get_arrow_trace()
    return _stacked(draws, statistics, int(settings["tune"]), target.dim)


def _stacked(draws: list[Any], statistics: list[Any], tune: int, dim: int) -> dict[str, Floats]:
    """Return the kept draws of all chains; a chain that ended early shortens them all, which is noticed."""
    kept = min(batch.num_rows for batch in draws) - tune
    points = [_floats(batch.column("x"), dim)[tune : tune + kept] for batch in draws]
    arrays = {"x": np.stack(points)}
    for theirs, ours in STATISTICS.items():
        columns = [_floats(batch.column(theirs), 1)[tune : tune + kept, 0] for batch in statistics]
        arrays[f"stat_{ours}"] = np.stack(columns)
    return arrays


def _floats(column: Any, width: int) -> Floats:
    """Return a column of numbers, or of lists of `width` numbers, as an array (rows, width)."""
    import pyarrow as pa

    array = pa.array(column)
    flat = array.flatten() if hasattr(array, "flatten") else array
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float64).reshape(-1, width)
