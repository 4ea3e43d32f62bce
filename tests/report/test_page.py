"""The page: every point of the list, headings, tables and figures for everybody, and every kind of run."""

from __future__ import annotations

import base64
import copy
import json
import math
import re
from importlib.resources import files
from itertools import pairwise

import pytest

from bayesmeta.report import render
from bayesmeta.report.checklist import checklist
from bayesmeta.report.code import python_code
from bayesmeta.report.facts import Facts
from bayesmeta.report.tables import table
from bayesmeta.writers import json_text

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'

ROWS = """\
study,yi,sei,months,site
A,0.10,0.10,3,hip
B,0.30,0.12,6,hip
C,0.20,0.20,6,spine
D,0.50,0.15,12,spine
"""

PRIORS = '[model.priors]\nmu = "Normal(0, 1)"\ntau = "HalfNormal(0.5)"\n'
KINDS = {
    "pooled": {"model": PRIORS},
    "one study": {"rows": "study,yi,sei\nA,0.1,0.3\n", "model": PRIORS},
    "one study, flat mean": {
        "rows": "study,yi,sei\nA,0.1,0.3\n",
        "model": '[model.priors]\nmu = "Flat()"\ntau = "HalfCauchy(0.5)"\n',
    },
    "flat priors": {"model": '[model.priors]\nmu = "Flat()"\ntau = "Flat()"\n'},
    "prior of the variance": {"model": '[model.priors]\nmu = "Flat()"\ntau2 = "Exponential(2)"\n'},
    "common effect": {"model": '[model]\neffects = "common"\n'},
    "regression": {"model": f'[model]\nmods = "months + C(site)"\n{PRIORS}'},
    "defaults": {},
    "higher is better": {"data": 'better = "higher"\nminimal_important_difference = 0.2', "model": PRIORS},
    "lower is better": {"data": 'better = "lower"\nminimal_important_difference = 0.2', "model": PRIORS},
    "difference without direction": {"data": "minimal_important_difference = 0.2", "model": PRIORS},
    "ratio": {
        "measure": "HR",
        "data": 'better = "lower"\nminimal_important_difference = 0.2',
        "model": PRIORS,
    },
    "shortest intervals": {"model": PRIORS, "rest": '[interval]\nkind = "hdi"\nprob = 0.8\n'},
    "everything": {
        "model": PRIORS,
        "rest": '[[regressions]]\nname = "m"\nmods = "months"\n[[subgroups]]\nby = "site"\n[sensitivity]\n'
        'leave_one_out = true\ntau_priors = ["HalfNormal(1)"]\n[[expected]]\nquantity = "k"\nvalue = 4\n'
        'tolerance = 0.1\nsource = "counted"\n',
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_a_well_formed_page_with_all_twenty_points(small, parse, kind):
    html = render(small(**KINDS[kind]))
    page = parse(html)
    assert page.faults == []
    identifiers = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    assert {f"point-{n}" for n in range(1, 21)} <= set(identifiers)
    assert {one["href"][1:] for one in page.all("a")} <= set(identifiers)
    assert not re.search(
        r"\bnan\b|\bNone\b|\bundefined\b|\binf\b|\{\{|\}\}", page.text.replace("None was", "")
    )


@pytest.mark.parametrize("kind", KINDS)
def test_null_and_nan_make_the_same_page(small, kind):
    document = small(**KINDS[kind])
    assert render(document) == render(json.loads(json_text(document)))


def test_the_page_depends_on_its_arguments_alone(bmd_nuts):
    before = copy.deepcopy(bmd_nuts)
    assert render(bmd_nuts) == render(copy.deepcopy(bmd_nuts))
    assert bmd_nuts == before


@pytest.mark.parametrize("name", ["bmd_nuts", "refracture_nuts"])
def test_the_page_can_be_read_by_everybody(request, parse, name):
    page = parse(render(request.getfixturevalue(name), {"forest": ("A plot of studies.", SVG)}))
    assert page.faults == []
    assert page.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.all("table")) == len(page.all("caption")) > 5
    assert all("scope" in attrs for attrs in page.all("th"))
    assert all(attrs["alt"].strip() for attrs in page.all("img"))
    assert any(attrs.get("name") == "viewport" for attrs in page.all("meta"))


@pytest.mark.parametrize("name", ["bmd_nuts", "refracture_nuts"])
def test_level_and_kind_of_intervals_stand_on_every_table_with_intervals(request, name):
    html = render(request.getfixturevalue(name))
    tables = re.findall(r"<table>(.*?)</table>", html, re.DOTALL)
    with_intervals = [one for one in tables if re.search(r"<td[^>]*>[^<]*\[[−\d]", one)]
    assert len(with_intervals) >= 4
    for one in with_intervals:
        caption = re.search(r"<caption>(.*?)</caption>", one, re.DOTALL).group(1)
        assert "95\u00a0% equal-tailed credible interval" in caption


def test_the_kind_and_level_that_were_asked_for_are_named(small, parse):
    text = parse(render(small(**KINDS["shortest intervals"]))).text
    assert "80 % shortest credible interval" in text
    assert "equal-tailed" not in text


def test_figures_stand_in_their_places_with_numbers_and_captions(bmd_nuts, parse):
    names = ("forest", "funnel", "density_mu", "density_tau", "bubble_duration", "leave_one_out")
    figures = {name: (f"Caption of {name}.", SVG + name.encode()) for name in (*names, "strange")}
    html = render(bmd_nuts, figures)
    places = {name: html.index(base64.b64encode(SVG + name.encode()).decode()) for name in figures}
    for name, before, after in (
        ("forest", "point-10", "point-8"),
        ("density_mu", "point-8", "point-18"),
        ("density_tau", "point-9", "point-11"),
        ("bubble_duration", "point-11", "point-13"),
        ("leave_one_out", "point-14", "point-15"),
        ("funnel", "point-15", "point-4"),
        ("strange", "point-12", "point-16"),
    ):
        assert html.index(f'id="{before}"') < places[name] < html.index(f'id="{after}"'), name
    numbers = re.findall(r"<b>Figure (\d+)\.</b> Caption of", html)
    assert numbers == [str(n) for n in range(1, 8)]
    assert parse(html).faults == []


def test_the_svg_is_embedded_byte_for_byte(bmd_nuts, parse):
    (image,) = parse(render(bmd_nuts, {"forest": ("A plot.", SVG)})).all("img")
    assert base64.b64decode(image["src"].partition(",")[2]) == SVG


def test_command_time_seed_versions_and_hashes_are_told(bmd_nuts, parse):
    details = {
        "command": "bayesmeta run exercise_bmd",
        "created_at": "2026-11-25T13:50:07+00:00",
        "python": "3.13.1",
        "system": "Linux x86_64",
    }
    text = parse(render(bmd_nuts, details=details)).text
    for fact in ("bayesmeta run exercise_bmd", "2026-11-25, 13:50 UTC", "20250307", "3.13.1 on Linux x86_64"):
        assert fact in text
    assert f"pymc {bmd_nuts['versions']['pymc']}" in text
    assert bmd_nuts["inputs"]["data"]["sha256"] in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda d: d["diagnostics"].update(status="unreliable"),
            "The fit of the main model is unreliable: the sampler's diagnostics failed.",
        ),
        (
            lambda d: d["regressions"]["duration"]["diagnostics"].update(status="unreliable"),
            "The fit of regression duration is unreliable: the sampler's diagnostics failed.",
        ),
        (
            lambda d: d["agreement"][0].update(ok=False, largest_z=9.04, threshold=4.3),
            "NUTS and exact integration disagree for main: by 9.0 Monte Carlo standard errors, where chance "
            "explains 4.3.",
        ),
        (
            lambda d: d["expected"][0].update(ok=False),
            "The known answer classical.fixed.estimate was not met.",
        ),
        (lambda d: d.update(failures=["something else failed"]), "something else failed"),
    ],
)
def test_what_failed_is_stamped_before_anything_else(bmd_nuts, parse, change, sentence):
    assert 'class="stamp"' not in render(bmd_nuts)
    change(bmd_nuts)
    html = render(bmd_nuts)
    assert sentence in parse(html).text
    assert html.index('class="stamp"') < html.index('class="lead"')


def test_warnings_stand_before_the_contents(bmd_nuts):
    bmd_nuts["warnings"] = [{"id": "few-studies", "message": "there is something to know"}]
    html = render(bmd_nuts)
    assert html.index("There is something to know.") < html.index("<nav")


def test_what_a_run_lacks_is_missing_in_the_list_and_what_it_has_is_not(bmd_nuts):
    def status(document, figures=(), details=None):
        points = checklist(Facts(document, details or {}), dict.fromkeys(figures))
        return {one.number: one.status for one in points}

    full = status(bmd_nuts, ("forest", "funnel"), {"command": "x"})
    assert [number for number, one in full.items() if one == "missing"] == [12, 13, 15]
    assert [number for number, one in full.items() if one == "to be given by the authors"] == [1, 5, 17]
    bmd_nuts["leave_one_out"] = []
    bmd_nuts["minimal_important_difference"] = None
    poor = status(bmd_nuts)
    assert [number for number, one in poor.items() if one == "missing"] == [10, 12, 13, 14, 15, 19]
    assert [n for n, one in poor.items() if one == "to be given by the authors"] == [1, 2, 5, 8, 17]
    assert list(poor) == list(range(1, 21))


@pytest.mark.parametrize(
    "kind",
    ["pooled", "one study", "defaults", "regression", "prior of the variance", "common effect", "ratio"],
)
def test_the_code_in_the_page_makes_the_same_fit(small, tmp_path, monkeypatch, capsys, kind):
    arguments = KINDS[kind]
    document = small(**arguments)
    (tmp_path / "trials.csv").write_text(arguments.get("rows", ROWS), "utf-8")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(compile(python_code(Facts(document, {})), "code", "exec"), found)  # noqa: S102
    assert "tau" in capsys.readouterr().out
    for name in document["coefficients"]:
        ours = found["fit"].quantity(name)
        for part in ("median", "lower", "upper"):
            assert math.isclose(ours[part], document["posterior"][name][part], rel_tol=1e-9, abs_tol=1e-12)


def test_the_code_of_a_sampled_fit_has_its_settings_and_compiles(bmd_nuts, refracture_nuts):
    code = python_code(Facts(bmd_nuts, {}))
    for text in (
        'engine="nuts"',
        "seed=20250307",
        "chains=4",
        "tune=1000",
        "draws=1000",
        "target_accept=0.95",
    ):
        assert text in code
    assert 'likelihood="binomial"' in python_code(Facts(refracture_nuts, {}))
    for document in (bmd_nuts, refracture_nuts):
        compile(python_code(Facts(document, {})), "code", "exec")


def test_the_code_quotes_whatever_a_column_is_called(bmd_nuts):
    bmd_nuts["data"]["columns"] = {"m1i": 'a"b', "sd1i": "c'd", "n1i": "e\\f\n"}
    tree = compile(python_code(Facts(bmd_nuts, {})), "code", "exec")
    assert {'a"b', "c'd", "e\\f\n"} <= set(tree.co_consts) | {
        one for const in tree.co_consts if isinstance(const, tuple) for one in const
    }


def test_the_style_sheet_is_rules_in_blocks():
    # between a selector and its block, or between two at-rules, nothing else begins
    css = (files("bayesmeta.report") / "templates" / "style.css").read_text()
    assert css.count("{") == css.count("}")
    selectors = [part.strip() for part in re.findall(r"(?:^|[{};])([^{};]*)\{", css)]
    assert "figure, .scroll, tr, blockquote, .model, .stamp, dl.headline div" in selectors
    assert [one for one in selectors if "@" in one[1:]] == []


def test_intervals_have_a_line_of_their_own_in_wide_tables_alone():
    cells = ("duration_months", *["0.0058 [0.0000, 0.0118]\np = 0.020"] * 3)
    assert table("", list("abcd"), [cells]).rows[0].cells == cells  # 3 x 23 = 69 signs
    wide = table("", list("abcde"), [(*cells, cells[1])])  # 92
    assert wide.rows[0].cells == ("duration_months", *["0.0058\n[0.0000, 0.0118]\np = 0.020"] * 4)
