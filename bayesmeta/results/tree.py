"""A fit in the ArviZ schema: one DataTree with posterior, priors, predictions, data and log likelihood.

References
----------
Kumar R, Carroll C, Hartikainen A, Martin O (2019). ArviZ, a unified library for exploratory analysis of
Bayesian models in Python. J Open Source Softw 4:1143. doi:10.21105/joss.01143
"""

from __future__ import annotations

import errno
import json
import os
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmeta.errors import FileError
from bayesmeta.rawfile import as_path
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.pointwise import log_likelihood
from bayesmeta.results.predictive import prior_draws, prior_is_proper, replicate
from bayesmeta.results.sampled import SampledPosterior

if TYPE_CHECKING:
    import xarray as xr

    from bayesmeta.arrays import Floats
    from bayesmeta.problem import Problem
    from bayesmeta.results.draws import Draws
    from bayesmeta.results.fit import Fit

SCHEMA_VERSION = 1
EXACT_DRAWS = 4000
PRIOR_DRAWS = 2000
PACKAGES = ("bayesmeta", "numpy", "scipy", "pymc", "nutpie", "arviz")
SAMPLE = ("chain", "draw")


def draws_dataset(draws: Draws, problem: Problem) -> xr.Dataset:
    """Return draws as a Dataset with named dimensions."""
    import xarray as xr

    variables: dict[str, Any] = {}
    if problem.is_pooled:
        variables["mu"] = (SAMPLE, draws.beta[:, :, 0])
    else:
        variables["beta"] = ((*SAMPLE, "coefficient"), draws.beta)
    variables |= {"tau": (SAMPLE, draws.tau), "theta": ((*SAMPLE, "study"), draws.theta)}
    if draws.theta_new is not None:
        variables["theta_new"] = (SAMPLE, draws.theta_new)
    if draws.scale is not None:
        variables["scale"] = ((*SAMPLE, "scale_parameter"), draws.scale)
    if draws.baseline is not None:
        variables["baseline"] = ((*SAMPLE, "study"), draws.baseline)
    return xr.Dataset(variables, coords=_coordinates(problem, draws))


def fit_tree(fit: Fit) -> xr.DataTree:
    """Return a fit in the ArviZ schema.

    Notes
    -----
    An exact fit becomes four chains of 1,000 independent draws, so that its R-hat is 1 by construction. The
    log likelihood is marginal over the effects of the studies; ``log_prior`` holds the real priors alone.
    """
    import xarray as xr

    rng = np.random.default_rng(0 if fit.seed is None else fit.seed)
    draws = _posterior_draws(fit, rng)
    problem = fit.problem
    groups = {
        "posterior": draws_dataset(draws, problem),
        "posterior_predictive": _replicated(problem, draws, rng),
        "log_likelihood": _by_study(problem, {"y": log_likelihood(problem, draws)}, draws),
        "log_prior": _log_prior(problem, draws),
        "observed_data": _observed(problem),
        "constant_data": _constant(problem),
    }
    if prior_is_proper(problem):
        prior = prior_draws(problem, PRIOR_DRAWS, rng)
        groups |= {
            "prior": draws_dataset(prior, problem),
            "prior_predictive": _replicated(problem, prior, rng),
        }
    if draws.stats:
        groups["sample_stats"] = _statistics(draws)
    if isinstance(fit.posterior, ExactPosterior):
        groups["nodes"] = _nodes(fit.posterior)
    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(_attributes(fit))
    return tree


def _posterior_draws(fit: Fit, rng: np.random.Generator) -> Draws:
    if isinstance(fit.posterior, SampledPosterior):
        return fit.posterior.sampled
    return fit.posterior.draws(EXACT_DRAWS, rng)


def _coordinates(problem: Problem, draws: Draws) -> dict[str, Any]:
    coordinates = {"chain": np.arange(draws.chains), "draw": np.arange(draws.per_chain), **_studies(problem)}
    if problem.scale is not None:
        coordinates["scale_parameter"] = np.array(problem.scale.names, dtype=str)
    return coordinates if problem.is_pooled else coordinates | _names(problem)


def _studies(problem: Problem) -> dict[str, Any]:
    return {"study": np.array(problem.studies.slab, dtype=str)}


def _names(problem: Problem) -> dict[str, Any]:
    return {"coefficient": np.array(problem.design.names, dtype=str)}


def _by_study(problem: Problem, arrays: dict[str, Floats], draws: Draws) -> xr.Dataset:
    import xarray as xr

    variables = {name: ((*SAMPLE, "study"), array) for name, array in arrays.items()}
    coordinates = {"chain": np.arange(draws.chains), "draw": np.arange(draws.per_chain), **_studies(problem)}
    return xr.Dataset(variables, coords=coordinates)


def _replicated(problem: Problem, draws: Draws, rng: np.random.Generator) -> xr.Dataset:
    return _by_study(problem, replicate(problem, draws, rng), draws)


def _log_prior(problem: Problem, draws: Draws) -> xr.Dataset:
    import xarray as xr

    b = draws.beta @ np.linalg.inv(problem.transform).T
    priors = problem.priors
    variables: dict[str, Any] = {}
    if problem.is_pooled:
        variables["mu"] = (SAMPLE, priors.mu.logpdf(b[:, :, 0]))
    else:
        values = np.stack([prior.logpdf(b[:, :, j]) for j, prior in enumerate(priors.beta)], axis=-1)
        variables["beta"] = ((*SAMPLE, "coefficient"), values)
    if problem.scale is not None and draws.scale is not None:
        values = problem.scale.log_priors(priors.tau_density, draws.scale)
        variables["scale"] = ((*SAMPLE, "scale_parameter"), values)
    elif np.ptp(draws.tau) > 0:
        variables["tau"] = (SAMPLE, priors.tau_density.logpdf(draws.tau))
    return xr.Dataset(variables, coords={} if problem.is_pooled else _names(problem))


def _observed(problem: Problem) -> xr.Dataset:
    import xarray as xr

    studies = problem.studies
    if problem.model.likelihood == "normal":
        variables = {"y": ("study", studies.yi)}
    else:
        variables = {name: ("study", studies.arms[name]) for name in ("ai", "ci")}
    return xr.Dataset(variables, coords=_studies(problem))


def _constant(problem: Problem) -> xr.Dataset:
    import xarray as xr

    variables: dict[str, Any] = {"X": (("study", "coefficient"), problem.X)}
    if problem.model.likelihood == "normal":
        variables["se"] = ("study", problem.studies.sei)
    if problem.scale is not None:
        variables["Z"] = (("study", "scale_parameter"), problem.scale.weights)
    variables |= {name: ("study", column) for name, column in problem.studies.arms.items()}
    return xr.Dataset(variables, coords={**_studies(problem), **_names(problem)})


def _statistics(draws: Draws) -> xr.Dataset:
    import xarray as xr

    kinds = {"diverging": bool, "tree_depth": int}
    return xr.Dataset(
        {name: (SAMPLE, array.astype(kinds.get(name, float))) for name, array in draws.stats.items()}
    )


def _nodes(posterior: ExactPosterior) -> xr.Dataset:
    import xarray as xr

    nodes = posterior.nodes
    variables = {
        "tau": ("node", np.sqrt(nodes.tau2)),
        "weight": ("node", nodes.weights),
        "mean": (("node", "coefficient"), nodes.beta),
        "covariance": (("node", "coefficient", "coefficient_"), nodes.cov),
    }
    attributes = {"log_evidence": nodes.log_evidence, "error": nodes.error}
    return xr.Dataset(variables, coords=_names(posterior.problem), attrs=attributes)


def _attributes(fit: Fit) -> dict[str, Any]:
    """Return what `bayesmeta.load` needs to rebuild the fit, and what a reader wants to know."""
    settings = {} if fit.diagnostics is None else dict(fit.diagnostics.settings)
    content = {
        "schema_version": SCHEMA_VERSION,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "engine": fit.engine,
        "status": fit.status,
        "seed": -1 if fit.seed is None else fit.seed,
        "model": json.dumps(fit.model.to_dict()),
        "studies": json.dumps(fit.studies.to_dict()),
        "design": json.dumps({"names": fit.design.names, "formula": str(fit.design.formula)}),
        "settings": json.dumps(settings),
        "draws": "independent draws from the exact posterior" if fit.engine == "exact" else "NUTS",
    }
    return content | {f"version_{name}": version(name) for name in PACKAGES}


def save_tree(tree: xr.DataTree, path: str | os.PathLike[str]) -> None:
    """Write a tree as a netCDF file, whole or not at all.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    target = as_path(path, "where a fit is saved")
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        if not target.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"there is no folder '{target.parent.name}'")
        scratch.write_bytes(tree.to_netcdf(engine="h5netcdf"))  # HDF5 itself crashes where a disk is full
        os.replace(scratch, target)  # noqa: PTH105 - replaces on every system
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise FileError(f"{target.name} cannot be written: {why}; choose another path") from error
    finally:
        with suppress(OSError, ValueError):
            scratch.unlink(missing_ok=True)
