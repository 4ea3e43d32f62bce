"""Figures as files: the same bytes twice, valid XML whatever the labels, no global state touched."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from bayesmeta.errors import AnalysisError, FileError
from bayesmeta.model import Model
from bayesmeta.plots import bubble, density, forest, funnel, leave_one_out, save, to_bytes
from bayesmeta.sensitivity import leave_one_out as left_out_of

HOSTILE = [
    "$5 vs $10",
    "<script>alert(1)</script>",
    "運動療法と骨密度の研究 2020",
    "تمارين المقاومة 2021",
    "x\u202eevil & \"q\" 'p'",
    "L" + "o" * 150 + "ng",
    "$\\frac{1}{",
    "emoji 🦴 ]]> %s {0}",
]


def words_in(svg):
    root = ET.fromstring(svg)  # noqa: S314 - made here
    return ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="module")
def hostile(ready_made):
    model = Model(mods="`d$o`", mu="Normal(0, 2)", tau="HalfNormal(0.5)", beta="Normal(0, 1)")
    rng = np.random.default_rng(2)
    options = {
        "slab": HOSTILE,
        "units": "$\\mu <g>&",
        "better": "higher",
        "group1": "<b>$x$</b>",
        "group2": "対照群 $",
        "data": {"d$o": np.arange(len(HOSTILE), dtype=float)},
    }
    y, sei = rng.normal(0, 0.3, len(HOSTILE)), np.full(len(HOSTILE), 0.2)
    return ready_made(y, sei, **options), ready_made(y, sei, model, **options)


def test_hostile_labels_make_valid_xml_that_says_them_as_text(hostile):
    pooled, regression = hostile
    svg = to_bytes(forest(pooled), "svg")
    words = words_in(svg)
    assert b"<script" not in svg
    for label in ("$5 vs $10", "<script>alert(1)</script>", HOSTILE[2], HOSTILE[3], "$\\frac{1}{"):
        assert label in words
    assert "xevil & \"q\" 'p'" in words  # the direction sign is gone
    assert any(word.startswith("Looooo") and word.endswith("…") for word in words)
    assert "Effect ($\\mu <g>&)" in words
    for ax in (
        funnel(pooled),
        density(pooled, f"theta[{pooled.studies.slab[0]}]"),
        bubble(regression, "d$o"),
        leave_one_out(left_out_of(regression), regression),
    ):
        assert words_in(to_bytes(ax, "svg"))


def test_dollars_in_names_of_axes_are_no_mathematics(hostile):
    _, regression = hostile
    given = Figure(figsize=(6, 5)).add_subplot()  # made under the settings of others
    for ax in (bubble(regression, "d$o"), bubble(regression, "d$o", given)):
        words = words_in(to_bytes(ax, "svg"))
        assert "d$o" in words
        assert "Effect ($\\mu <g>&)" in words
        assert not any(text.get_parse_math() for text in (ax.title, ax.xaxis.label, ax.yaxis.label))


@pytest.mark.parametrize("form", ["png", "pdf"])
def test_hostile_labels_can_be_drawn_as_dots_and_pages(hostile, form):
    start = {"png": b"\x89PNG", "pdf": b"%PDF"}[form]
    assert to_bytes(forest(hostile[0]), form, dpi=60).startswith(start)


def test_two_drawings_give_the_same_svg_to_the_byte(bmd):
    assert to_bytes(forest(bmd), "svg") == to_bytes(forest(bmd), "svg")
    assert to_bytes(funnel(bmd), "svg") == to_bytes(funnel(bmd), "svg")


def test_the_users_settings_neither_change_the_file_nor_are_changed(bmd):
    plain = to_bytes(forest(bmd), "svg")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        assert to_bytes(forest(bmd), "svg") == plain
        assert dict(mpl.rcParams) == before


def test_an_svg_keeps_text_as_text_and_has_no_date(bmd):
    svg = to_bytes(forest(bmd), "svg")
    assert "Deng 2018" in words_in(svg)
    assert b"<dc:date>" not in svg


def test_saving_writes_what_to_bytes_gives_and_nothing_beside_it(bmd, tmp_path):
    ax = density(bmd, "tau")
    save(ax, tmp_path / "tau.svg")
    assert (tmp_path / "tau.svg").read_bytes() == to_bytes(ax, "svg")
    save(ax.get_figure(), tmp_path / "tau.png", dpi=50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tau.png", "tau.svg"]


def test_dots_per_inch_set_the_size_of_an_image(bmd):
    def width(content):  # bytes 16 to 20 of a PNG
        return int.from_bytes(content[16:20], "big")

    ax = density(bmd, "tau")
    assert width(to_bytes(ax, "png", dpi=100)) == 640  # 6.4 inches
    assert width(to_bytes(ax, "png", dpi=50)) == 320


def test_an_unknown_format_is_refused_with_the_nearest_one(bmd):
    with pytest.raises(AnalysisError) as caught:
        to_bytes(density(bmd, "tau"), "sgv")
    assert str(caught.value) == "a figure must be svg, png or pdf; got 'sgv'; did you mean 'svg'?"


def test_a_folder_that_does_not_exist_is_an_error_of_files(bmd, tmp_path):
    target = tmp_path / "nowhere" / "tau.svg"
    with pytest.raises(FileError) as caught:
        save(density(bmd, "tau"), target)
    assert str(caught.value) == f"{target}: cannot be written: no such file or directory"


CODE = """
import sys
import bayesmeta.plots, bayesmeta.workflow.figures
heavy = {"matplotlib", "pandas", "pymc", "arviz", "scipy.stats", "formulaic"} & set(sys.modules)
assert not heavy, heavy
import bayesmeta as bm
model = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(1)")
fit = bm.fit(bm.Studies.from_effects([0.1, 0.3], sei=[0.1, 0.1]), model)
assert bm.plots.to_bytes(bm.plots.forest(fit)).startswith(b"<?xml")
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""


def test_importing_plots_is_light_and_drawing_never_imports_pyplot():
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert run.returncode == 0, run.stderr
