"""Saving and loading: every method of the loaded fit answers as before, and no half file is ever left."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesmeta.errors import FileError
from bayesmeta.fitting import fit
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.diagnostics import diagnose
from bayesmeta.results.draws import Draws
from bayesmeta.results.fit import Fit
from bayesmeta.results.sampled import SampledPosterior
from bayesmeta.results.tree import SCHEMA_VERSION, save_tree
from bayesmeta.storage import load
from bayesmeta.studies import Studies, effect_sizes

Y, SE = [0.1, 0.3, 0.2, 0.5, 0.0, 0.3], [0.1, 0.1, 0.2, 0.3, 0.1, 0.2]
DATA = {"x": [0.0, 1.0, 2.0, 4.0, 0.0, 3.0], "g": ["a", "b", "a", "b", "a", "ć<"]}
SLAB = ["Abe 2001", "Bo & Li", "Ćosić", "=d", "e", "f"]


def studies():
    return Studies.from_effects(
        Y, sei=SE, slab=SLAB, data=DATA, measure="SMD", units="sd", better="higher", ni=[20] * 6
    )


def exact_fit(model):
    return fit(studies(), model)


def as_sampled(exact):
    made = exact.posterior.draws(400, np.random.default_rng(3))
    diverging = np.zeros(made.tau.shape)
    diverging[0, 0] = 1
    draws = Draws(
        beta=made.beta,
        tau=made.tau,
        theta=made.theta,
        theta_new=made.theta_new,
        stats={"diverging": diverging, "tree_depth": np.full(made.tau.shape, 3.0)},
        settings={"chains": 4, "tune": 50, "draws": 100, "refits": 1, "target_accept": 0.99},
    )
    diagnostics = diagnose(draws, exact.problem.coefficients)
    return Fit(exact.studies, exact.problem, SampledPosterior(exact.problem, draws), diagnostics, 2**32 - 1)


def binomial_fit():
    columns = {"ai": [1, 0, 4], "n1i": [20, 20, 30], "ci": [5, 0, 8], "n2i": [20, 20, 30]}
    counts = effect_sizes(columns, "OR", **{name: name for name in columns}, drop00=True)
    problem = pose(counts, Model(likelihood="binomial", baseline="StudentT(4, 0, 2)"))
    rng = np.random.default_rng(2)
    draws = Draws(
        beta=rng.standard_normal((4, 50, 1)),
        tau=np.abs(rng.standard_normal((4, 50))),
        theta=rng.standard_normal((4, 50, 3)),
        theta_new=rng.standard_normal((4, 50)),
        baseline=rng.standard_normal((4, 50, 3)),
        settings={"chains": 4, "tune": 10, "draws": 50, "refits": 0},
    )
    return Fit(counts, problem, SampledPosterior(problem, draws), diagnose(draws, ("mu",)), 3)


POOLED = Model(mu="Normal(0, 1)", tau="HalfNormal(0.3)")
REGRESSION = Model("x + C(g)", mu="Normal(0, 1)", beta="Normal(0, 1)", tau2="Exponential(3)", center=False)
FITS = {
    "exact": lambda: exact_fit(POOLED),
    "exact with defaults": lambda: exact_fit(Model()),
    "exact regression": lambda: exact_fit(REGRESSION),
    "exact with flat mean": lambda: exact_fit(Model(mu="Flat()", tau="DuMouchel()")),
    "exact common effect": lambda: exact_fit(Model(effects="common")),
    "sampled": lambda: as_sampled(exact_fit(POOLED)),
    "sampled regression": lambda: as_sampled(exact_fit(REGRESSION)),
    "binomial": binomial_fit,
}


@pytest.fixture(scope="module", params=FITS, ids=str)
def pair(request, tmp_path_factory):
    """A fit and the same after a journey through a file."""
    path = tmp_path_factory.mktemp("fits") / "fit.nc"
    original = FITS[request.param]()
    original.save(path)
    return original, load(path)


def same_frame(one, two):
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_parts_come_back(pair):
    original, loaded = pair
    assert loaded.studies == original.studies
    assert loaded.model == original.model
    assert loaded.priors == original.priors
    assert loaded.design == original.design
    assert (loaded.engine, loaded.status, loaded.seed) == (original.engine, original.status, original.seed)
    assert loaded.warnings == original.warnings
    assert loaded.names == original.names
    np.testing.assert_equal(loaded.log_evidence, original.log_evidence)


def test_tables_come_back(pair):
    original, loaded = pair
    same_frame(loaded.summary(), original.summary())
    same_frame(loaded.summary(prob=0.8), original.summary(prob=0.8))
    same_frame(loaded.heterogeneity(), original.heterogeneity())
    same_frame(loaded.effects(), original.effects())
    same_frame(loaded.compare(), original.compare())


def test_statements_predictions_and_print_come_back(pair):
    original, loaded = pair
    assert loaded.probability("tau < 0.2") == original.probability("tau < 0.2")
    at = {"x": [0.0, 9.0], "g": ["a", "b"]} if original.model.mods != "1" else None
    same_frame(loaded.predict(at), original.predict(at))
    assert str(loaded) == str(original)
    assert repr(loaded) == repr(original)


def test_quantities_and_errors_come_back(pair):
    original, loaded = pair
    for name in original.names:
        np.testing.assert_equal(loaded.quantity(name), original.quantity(name))


def test_draws_come_back(pair):
    original, loaded = pair
    assert loaded.draws(100, seed=1).identical(original.draws(100, seed=1))


def test_tree_comes_back(pair):
    original, loaded = pair
    assert set(loaded.tree.children) == set(original.tree.children)
    for name in original.tree.children:
        xr.testing.assert_identical(loaded.tree[name].to_dataset(), original.tree[name].to_dataset())
    left_out = {"created_at"}
    attributes = [{k: v for k, v in one.tree.attrs.items() if k not in left_out} for one in pair]
    assert attributes[0] == attributes[1]


def test_diagnostics_come_back(pair):
    original, loaded = pair
    if original.diagnostics is None:
        assert loaded.diagnostics is None
        return
    np.testing.assert_equal(loaded.diagnostics.to_dict(), original.diagnostics.to_dict())
    assert loaded.diagnostics.checks == original.diagnostics.checks
    assert loaded.diagnostics.tree_depth_hits == original.diagnostics.tree_depth_hits


# Paths


@pytest.fixture(scope="module")
def one():
    return exact_fit(POOLED)


def test_path_may_be_text_or_path(one, tmp_path):
    path = tmp_path / "fit with space ć.nc"
    one.save(str(path))
    one.save(Path(path))
    assert load(str(path)).summary().equals(one.summary())
    assert load(Path(path)).summary().equals(one.summary())


def test_saving_replaces_and_leaves_nothing_beside(one, tmp_path):
    path = tmp_path / "fit.nc"
    path.write_text("old")
    one.save(path)
    assert [item.name for item in tmp_path.iterdir()] == ["fit.nc"]
    assert load(path).studies == one.studies


def test_failed_saving_keeps_the_old_file_and_leaves_nothing_beside(one, tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    one.save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileError) as caught:
        one.save(path)
    assert str(caught.value) == "fit.nc cannot be written: No space left on device; choose another path"
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["fit.nc"]


def test_interrupted_saving_leaves_nothing_beside(one, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        one.save(tmp_path / "fit.nc")
    assert list(tmp_path.iterdir()) == []


def test_saving_into_no_folder_is_refused(one, tmp_path):
    with pytest.raises(FileError) as caught:
        one.save(tmp_path / "absent" / "fit.nc")
    message = "fit.nc cannot be written: there is no folder 'absent'; choose another path"
    assert str(caught.value) == message
    assert caught.value.exit_code == 5


def test_saving_over_a_folder_is_refused(one, tmp_path):
    (tmp_path / "fit.nc").mkdir()
    with pytest.raises(FileError) as caught:
        one.save(tmp_path / "fit.nc")
    assert str(caught.value) == "fit.nc cannot be written: Is a directory; choose another path"
    assert [item.name for item in tmp_path.iterdir()] == ["fit.nc"]


def refused(path):
    with pytest.raises(FileError) as caught:
        load(path)
    return str(caught.value)


def test_absent_file_and_folder_are_refused(tmp_path):
    assert refused(tmp_path / "fit.nc") == "fit.nc does not exist; give a file that Fit.save wrote"
    message = f"{tmp_path.name} is a folder; give a file that Fit.save wrote"
    assert refused(tmp_path) == message


def test_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "fit.nc"
    path.write_text("secret,1\n")
    message = refused(path)
    assert message.startswith("fit.nc cannot be read as a fit: ")
    assert message.endswith("; was it saved by bayesmeta?")
    assert "secret" not in message
    assert "\n" not in message


def test_netcdf_of_somebody_else_is_refused(tmp_path):
    path = tmp_path / "other.nc"
    xr.Dataset({"x": ("i", [1.0])}).to_netcdf(path, engine="h5netcdf")
    assert refused(path) == "other.nc is not a fit of bayesmeta; give a file that Fit.save wrote"


def changed(one, path, **attributes):
    tree = xr.DataTree.from_dict({"nodes": one.tree["nodes"].to_dataset()})
    tree.attrs.update(one.tree.attrs)
    tree.attrs.update(attributes)
    save_tree(tree, path)
    return path


def test_file_of_a_newer_version_is_refused(one, tmp_path):
    path = changed(one, tmp_path / "fit.nc", schema_version=SCHEMA_VERSION + 1, version_bayesmeta="9.9")
    assert refused(path) == "fit.nc was written by bayesmeta 9.9; update the package to read it"


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"studies": "{}"}, "not a dictionary of studies"),
        ({"studies": "{"}, "Expecting property name"),
        ({"model": '{"taau": "HalfNormal(1)"}'}, "a model has no field 'taau'"),
        ({"model": '{"tau": "HalfNormal(-1)"}'}, "HalfNormal.sigma must be a positive number"),
        ({"model": '{"mods": "absent"}'}, "the studies have no column"),
        ({"schema_version": "x"}, "invalid literal for int()"),
    ],
)
def test_damaged_file_is_refused(one, tmp_path, attributes, why):
    message = refused(changed(one, tmp_path / "fit.nc", **attributes))
    assert message.startswith(f"fit.nc is damaged: {why}")
    assert message.endswith("; save the fit again")


def test_truncated_file_is_refused(one, tmp_path):
    path = tmp_path / "fit.nc"
    one.save(path)
    path.write_bytes(path.read_bytes()[:5000])
    assert refused(path).startswith("fit.nc cannot be read as a fit: ")


def test_large_tables_fit_into_the_attributes(one, tmp_path):
    k = 2000
    rng = np.random.default_rng(1)
    slab = [f"A long label {i}" for i in range(k)]
    many = Studies.from_effects(rng.normal(0, 1, k), sei=np.full(k, 0.5), slab=slab)
    path = changed(one, tmp_path / "fit.nc", studies=json.dumps(many.to_dict()))
    assert len(json.dumps(many.to_dict())) > 100_000
    assert load(path).studies == many
