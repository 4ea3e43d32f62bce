"""Documents to render: two from real runs with NUTS, and small ones made here."""

from __future__ import annotations

import copy
import json
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bayesmeta.analysis import load_analysis
from bayesmeta.workflow.compute import compute
from bayesmeta.workflow.document import document

DOCUMENTS = Path(__file__).parent / "documents"

ROWS = """\
study,yi,sei,months,site
A,0.10,0.10,3,hip
B,0.30,0.12,6,hip
C,0.20,0.20,6,spine
D,0.50,0.15,12,spine
"""


@pytest.fixture
def bmd_nuts():
    """``results.json`` of a run of exercise_bmd with NUTS; some rows were left out of its lists."""
    return json.loads((DOCUMENTS / "bmd_nuts.json").read_text("utf-8"))


@pytest.fixture
def refracture_nuts():
    """``results.json`` of a run of exercise_refracture: counts, odds ratios, NUTS."""
    return json.loads((DOCUMENTS / "refracture_nuts.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A function that runs a small analysis with the exact engine and returns its document."""

    @cache
    def made(rows, data, model, rest, measure):
        folder = tmp_path_factory.mktemp("small")
        (folder / "trials.csv").write_text(rows, "utf-8")
        path = folder / "analysis.toml"
        path.write_text(
            '[analysis]\ntitle = "Small"\nseed = 1\n'
            f'[data]\nfile = "trials.csv"\nslab = "study"\nmeasure = "{measure}"\n'
            f'columns = {{ yi = "yi", sei = "sei" }}\n{data}\n{model}\n{rest}\n',
            "utf-8",
        )
        return document(compute(load_analysis(str(path)), engine="exact"))

    def run(*, rows=ROWS, data="", model="", rest="", measure="SMD"):
        return copy.deepcopy(made(rows, data, model, rest, measure))

    return run


@pytest.fixture
def parse():
    """A function from a page to its elements, text and faults."""
    return Page


@pytest.fixture
def part():
    """A function from a page and an identifier to the text of that element."""
    return _part


VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Elements in order with their attributes, text, and whether every element is closed where it must be."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.pieces, self.open, self.faults = [], [], [], []
        self.feed(html)
        self.close()
        self.faults += [f"open at the end: {name}" for name in self.open]

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"closed out of order: {tag}")

    def handle_data(self, data):
        if "style" not in self.open:
            self.pieces.append(data)

    @property
    def text(self):
        """Text of the page with single spaces."""
        return " ".join("".join(self.pieces).split())

    def all(self, tag):
        """Attributes of every element with that name."""
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def skeleton(self):
        """Elements with all attributes but the texts of images."""
        return [
            (tag, sorted((name, "" if name == "alt" else value) for name, value in attrs.items()))
            for tag, attrs in self.elements
        ]


def _part(html, name):
    """Text of the element with an identifier."""
    start = html.index(f'id="{name}"')
    end = min(found for tag in ("</p>", "</blockquote>", "</ul>") if (found := html.find(tag, start)) > 0)
    inner = Page(f"<div {html[start:end]}</div>")
    return inner.text
