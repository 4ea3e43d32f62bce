"""Loading a saved fit, with every method working again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.engines.components import exact_posterior
from bayesmeta.errors import AnalysisError, DataError, FileError, printable
from bayesmeta.location_scale import scale_names
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.rawfile import as_path
from bayesmeta.results.diagnostics import diagnose
from bayesmeta.results.draws import Draws
from bayesmeta.results.fit import Fit
from bayesmeta.results.sampled import SampledPosterior
from bayesmeta.results.tree import SCHEMA_VERSION
from bayesmeta.studies import Studies

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import xarray as xr

    from bayesmeta.problem import Problem


def load(path: str | os.PathLike[str]) -> Fit:
    """Return a fit that was saved, every method of which works as before.

    Parameters
    ----------
    path : str or path-like
        A netCDF file from `Fit.save` or from a run.

    Raises
    ------
    FileError
        If the file cannot be read or is not one of ours.
    """
    source = as_path(path, "a saved fit")
    tree, name = _read(source), source.name
    if "schema_version" not in tree.attrs or "studies" not in tree.attrs:
        raise FileError(f"{name} is not a fit of bayesmeta; give a file that Fit.save wrote")
    try:
        if int(tree.attrs["schema_version"]) > SCHEMA_VERSION:
            written = tree.attrs.get("version_bayesmeta", "of a newer version")
            raise FileError(f"{name} was written by bayesmeta {written}; update the package to read it")
        return _restored(tree)
    except (AnalysisError, DataError, KeyError, TypeError, ValueError) as error:
        raise FileError(f"{name} is damaged: {_first_line(error)}; save the fit again") from error


def _read(source: Path) -> xr.DataTree:
    import xarray as xr

    if not source.is_file():
        kind = "is a folder" if source.is_dir() else "does not exist"
        raise FileError(f"{source.name} {kind}; give a file that Fit.save wrote")
    try:
        with xr.open_datatree(source, engine="h5netcdf") as opened:
            return opened.load()
    except (OSError, ValueError) as error:
        raise FileError(
            f"{source.name} cannot be read as a fit: {_first_line(error)}; was it saved by bayesmeta?"
        ) from error


def _first_line(error: Exception) -> str:
    return printable((str(error).splitlines() or [type(error).__name__])[0])


def _restored(tree: xr.DataTree) -> Fit:
    studies = Studies.from_dict(json.loads(tree.attrs["studies"]))
    problem = pose(studies, Model.from_dict(json.loads(tree.attrs["model"])))
    if tree.attrs["engine"] == "exact":
        return Fit(studies, problem, exact_posterior(problem))
    draws = _draws(tree, problem)
    posterior = SampledPosterior(problem, draws)
    return Fit(
        studies,
        problem,
        posterior,
        diagnose(draws, problem.coefficients, scale=scale_names(problem)),
        int(tree.attrs["seed"]),
    )


def _draws(tree: xr.DataTree, problem: Problem) -> Draws:
    posterior = tree["posterior"].to_dataset()

    def values(name: str) -> Any:
        return np.asarray(posterior[name], dtype=np.float64) if name in posterior else None

    statistics = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else {}
    return Draws(
        beta=values("mu")[:, :, None] if problem.is_pooled else values("beta"),
        tau=values("tau"),
        theta=values("theta"),
        theta_new=values("theta_new"),
        scale=values("scale"),
        baseline=values("baseline"),
        stats={str(name): np.asarray(statistics[name], dtype=np.float64) for name in statistics},
        settings=json.loads(tree.attrs["settings"]),
    )
