"""The layers of the package: imports point only downwards, and nothing heavy is loaded before it is needed.

The list is that of DESIGN section 3 as the tree has it: a module may import from its own row and from
the rows above it in this list. Imports for type checking alone do not count.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bayesmeta

ROOT = Path(bayesmeta.__file__).parent

LAYERS = (
    ("errors", "arrays"),
    ("rawfile", "csvcells", "tables", "csvtext", "csvfile", "writers", "lockfile", "output", "tomlfile"),
    ("effectsizes", "formula", "encoding", "design", "studies", "scale_design", "datasets"),
    ("sums", "kernel", "quadrature", "inversion", "classical"),
    ("priors", "properness", "conditional", "peaks"),
    (
        "location_scale",
        "model",
        "problem",
        "loading",
        "analysis_entries",
        "analysis_options",
        "analysis_messages",
        "analysis",
    ),
    ("results",),
    ("engines",),
    ("fitting", "storage", "agreement", "batch_posterior", "batch"),
    ("sensitivity", "bias", "regression"),
    ("plots",),
    ("report",),
    ("workflow",),
    ("cli", "__main__"),
)
HEIGHT = {unit: height for height, row in enumerate(LAYERS) for unit in row}

HOMES = {
    "pymc": {"engines.nuts"},
    "pytensor": {"engines.nuts"},
    "nutpie": {"engines.nuts"},
    "matplotlib": {"plots"},
    "jinja2": {"report"},
    "typer": {"cli"},
    "formulaic": {"encoding"},
    "pydantic": {"analysis", "analysis_entries", "analysis_messages", "analysis_options"},
}
"""Where a library may be imported at all, inside functions too."""
LATE = {
    "pandas",
    "xarray",
    "arviz",
    "matplotlib",
    "pymc",
    "nutpie",
    "pytensor",
    "formulaic",
    "jinja2",
    "scipy.stats",
}
"""Libraries that no module imports when it is loaded itself, but for the plots, which are asked for."""


def module(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def modules():
    return {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in NAMES.items()}


def unit(name):
    """Return the part of the package that a module belongs to: its first name below the package."""
    return name.split(".")[1] if "." in name else ""


@cache
def imports(tree, *, late=True):
    """Return what is imported at run time; without the imports inside functions unless `late`."""
    found, queue = [], list(ast.iter_child_nodes(tree))
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            queue += node.orelse
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            queue += ast.iter_child_nodes(node)
    return found


def own(name):
    """Return the parts of the package that a module imports."""
    found = {unit(target) for target in imports(modules()[name]) if target.split(".")[0] == "bayesmeta"}
    return found - {unit(name), ""}


def test_every_module_has_a_place_in_the_layers():
    units = {unit(name) for name in modules()} - {""}
    assert units - set(HEIGHT) == set(), "give the new modules a place in LAYERS"


@pytest.mark.parametrize("name", [name for name in NAMES if unit(name)])
def test_imports_point_only_to_the_layers_below(name):
    height = HEIGHT[unit(name)]
    public = set(bayesmeta.__all__) | {
        "__version__"
    }  # `from bayesmeta import classical` names a public value
    upwards = {other for other in own(name) if other not in public - set(HEIGHT) and HEIGHT[other] > height}
    assert upwards == set()


def test_no_two_parts_import_each_other():
    graph = {}
    for name in modules():
        graph.setdefault(unit(name), set()).update(own(name))
    graph.pop("")
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)  # a cycle raises CycleError


@pytest.mark.parametrize("library", HOMES)
def test_a_library_is_imported_in_its_home_alone(library):
    users = {
        name.removeprefix("bayesmeta.")
        for name, tree in modules().items()
        if any(target.split(".")[0] == library for target in imports(tree))
    }
    strangers = {
        user for user in users if not any(user == h or user.startswith(f"{h}.") for h in HOMES[library])
    }
    assert strangers == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_module_loads_nothing_heavy_by_itself(name):
    heavy = {
        target
        for target in imports(modules()[name], late=False)
        if any(target == late or target.startswith(f"{late}.") for late in LATE)
    }
    assert heavy == set() or unit(name) in {"plots"} or name.startswith("bayesmeta.engines.nuts.")


@pytest.mark.parametrize("name", ["sums", "kernel", "quadrature", "conditional", "properness"])
def test_the_mathematics_knows_no_labels(name):
    tree = modules()[f"bayesmeta.{name}"]
    others = {target.split(".")[0] for target in imports(tree)} - set(sys.stdlib_module_names)
    assert others <= {"numpy", "scipy", "bayesmeta"}


# At run time, in a fresh interpreter


def loaded_after(code):
    """Return the names of the modules that are loaded after `code` has run."""
    text = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_but_the_standard_library():
    loaded = loaded_after("import bayesmeta")
    assert {name for name in loaded if name.startswith("bayesmeta")} == {"bayesmeta"}
    assert not loaded & {"numpy", "scipy", "pandas", "xarray", "matplotlib", "pymc", "arviz", "nutpie"}


def test_an_exact_fit_from_lists_loads_nothing_heavy():
    code = """
import bayesmeta as bm
studies = bm.Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.1, 0.2])
fit = bm.fit(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"), engine="exact")
fit.probability("mu > 0")
"""
    heavy = {
        "pymc",
        "pytensor",
        "nutpie",
        "arviz",
        "matplotlib",
        "pandas",
        "xarray",
        "scipy.stats",
        "formulaic",
    }
    assert loaded_after(code) & heavy == set()


def test_a_classical_analysis_loads_nothing_heavy():
    code = """
import bayesmeta as bm
bm.classical(bm.Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.1, 0.2], data={"x": [1, 2, 4]}), "x")
"""
    assert loaded_after(code) & {"pandas", "xarray", "scipy.stats", "formulaic", "matplotlib"} == set()


def test_asking_for_the_public_names_loads_no_sampler():
    code = "import bayesmeta\n[getattr(bayesmeta, name) for name in bayesmeta.__all__]"
    assert loaded_after(code) & {"pymc", "pytensor", "nutpie", "arviz"} == set()


# Public names


@pytest.mark.parametrize("name", bayesmeta.__all__)
def test_a_public_name_exists_and_is_documented(name):
    assert (getattr(bayesmeta, name).__doc__ or "").strip()


def test_public_names_are_sorted_listed_once_and_shown():
    assert list(bayesmeta.__all__) == sorted(set(bayesmeta.__all__))
    assert set(bayesmeta.__all__) <= set(dir(bayesmeta))


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError) as caught:
        bayesmeta.forrest  # noqa: B018
    assert str(caught.value) == "module 'bayesmeta' has no attribute 'forrest'"


def test_the_contract_of_the_design_is_there():
    """DESIGN section 4: the names that other people's scripts rely on."""
    contract = {
        "load_dataset",
        "effect_sizes",
        "Studies",
        "Model",
        "fit",
        "load",
        "classical",
        "to_pymc",
        "plots",
    }
    assert contract <= set(bayesmeta.__all__)


def test_the_version_is_that_of_the_project():
    assert bayesmeta.__version__.count(".") == 2
