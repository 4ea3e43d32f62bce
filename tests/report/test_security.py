"""Data never become elements, attributes or template code; the page loads nothing and tells no folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bayesmeta.report
from bayesmeta.report import render
from bayesmeta.report.facts import without_folders
from bayesmeta.report.page import shown

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
HARMLESS = "HARMLESS"
PAYLOADS = (
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "' onmouseover='alert(1)",
    "</title><img src=x onerror=alert(1)>",
    "</style><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{7*7}}",
    "{% include '/etc/passwd' %}",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "%s {0.__class__}",
    "</code></pre><iframe src=//x>",
)


def poisoned(document, text):
    """The document with `text` wherever something from users or their data stands."""
    for name in ("title", "description", "units", "group1", "group2", "mods"):
        document[name] = text
    document["effect"] = document["measure"] = text
    document["warnings"] = [{"id": "x", "message": text}]
    document["excluded"] = [{"slab": text, "reason": text}]
    document["failures"] = [text]
    lists = {"studies": ["slab"], "leave_one_out": ["omitted"], "prior_sensitivity": ["tau", "mu"]}
    lists["expected"] = ["quantity", "source"]
    for name, entries in lists.items():
        for one in document[name]:
            one.update(dict.fromkeys(entries, text))
    for one in document["agreement"]:
        one["fit"] = text
        for row in one["rows"]:
            row["quantity"] = row["statistic"] = text
    for one in document["priors"].values():
        one["prior"] = text
    document["data"] = {"columns": {"m1i": text}, "file": text, "slab": text, "dataset": ""}
    document["inputs"] = {text: {"file": text, "sha256": text}}
    document["versions"] = {text: text}
    for one in list(document["regressions"].values())[:1]:
        warnings = {"warnings": [{"id": "x", "message": text}]}
        document["regressions"] = {text: one | {"mods": text} | warnings | _renamed(one, text)}
    for one in list(document["subgroups"].values())[:1]:
        document["subgroups"] = {text: one | {"groups": {text: next(iter(one["groups"].values()))}}}
    return document


def _renamed(regression, text):
    first = next(iter(regression["coefficients"]))
    classical = {
        name: one | {"coefficients": {text: one["coefficients"][first]}}
        for name, one in regression["classical"].items()
    }
    return {
        "coefficients": {text: regression["coefficients"][first]},
        "positive": {text: 0.5},
        "classical": classical,
    }


def page_with(document, text):
    details = dict.fromkeys(("command", "created_at", "python", "system"), text)
    return render(poisoned(document, text), {"forest": (text, SVG)}, details=details)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_adds_no_element_and_no_attribute(bmd_nuts, payload, parse):
    import copy

    harmless = parse(page_with(copy.deepcopy(bmd_nuts), HARMLESS))
    hostile = parse(page_with(bmd_nuts, payload))
    assert hostile.skeleton == harmless.skeleton
    assert hostile.faults == []


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_is_shown_as_it_was_written(bmd_nuts, payload, parse):
    page = parse(page_with(bmd_nuts, payload))
    assert page.text.count(" ".join(payload.split())) > 30


def test_template_code_in_data_is_not_run(bmd_nuts, parse):
    text = parse(page_with(bmd_nuts, "{{7*7777}}")).text
    assert "54439" not in text
    assert "{{7*7777}}" in text


@pytest.mark.parametrize("sign", ["\u202e", "\u2066", "\u200b", "\x1b", "\x00"])
def test_signs_that_turn_or_hide_text_are_dropped(bmd_nuts, sign):
    html = page_with(bmd_nuts, f"ab{sign}cd")
    assert sign not in html
    assert "abcd" in html


def test_a_regression_as_main_model_is_escaped_too(small, parse):
    document = small(model='[model]\nmods = "months"\n')
    hostile = "<script>x</script>"
    document["coefficients"] = [hostile]
    document["posterior"][hostile] = document["posterior"].pop("months")
    document["positive"] = {hostile: 0.5}
    for one in document["classical"].values():
        one["coefficients"][hostile] = one["coefficients"].pop("months")
    page = parse(render(document))
    assert page.all("script") == []
    assert page.faults == []
    assert "<script>x</script>" in page.text


def test_the_page_loads_nothing(bmd_nuts, refracture_nuts, parse):
    for document in (bmd_nuts, refracture_nuts):
        html = render(document, {"forest": ("A plot.", SVG)})
        page = parse(html)
        assert {tag for tag, _ in page.elements} & {
            "script",
            "link",
            "iframe",
            "object",
            "base",
            "form",
        } == set()
        assert all(one["src"].startswith("data:image/svg+xml;base64,") for one in page.all("img"))
        assert all(one["href"].startswith("#") for one in page.all("a"))
        assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
        assert re.findall(r"url\(|@import|https?:", html) == []


def test_the_policy_forbids_everything_but_styles_and_embedded_images(bmd_nuts, parse):
    policies = [
        one["content"]
        for one in parse(render(bmd_nuts)).all("meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_no_template_or_module_goes_round_escaping():
    folder = Path(bayesmeta.report.__file__).parent
    sources = [*folder.rglob("*.html"), *folder.rglob("*.css"), *folder.rglob("*.py")]
    assert len(sources) > 10
    for source in sources:
        text = source.read_text("utf-8")
        assert not re.search(r"\|\s*safe\b|Markup|autoescape\s*(=\s*)?[Ff]alse|<script", text), source.name


def test_folders_are_left_out_of_the_page(bmd_nuts, parse):
    home = "/home/quillfeather/secret"
    bmd_nuts["warnings"] = [{"id": "x", "message": f"{home}/trials.csv:5 is odd"}]
    bmd_nuts["inputs"]["data"]["file"] = f"{home}/trials.csv"
    bmd_nuts["excluded"] = [{"slab": "A", "reason": f"see {home}/notes.txt"}]
    command = rf"bayesmeta run {home}/a.toml --out C:\Users\quillfeather\out"
    html = render(bmd_nuts, details={"command": command})
    assert "quillfeather" not in html
    assert "secret" not in html
    assert "bayesmeta run a.toml --out out" in parse(html).text
    assert "trials.csv:5 is odd." in parse(html).text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/ann/x.toml", "x.toml"),
        ("~/trials/x.toml", "x.toml"),
        (r"C:\Users\ann\x.toml", "x.toml"),
        ("models/x.toml", "models/x.toml"),
        ("mg/kg/day and g/cm2", "mg/kg/day and g/cm2"),
        ("doi:10.1002/sim.1482", "doi:10.1002/sim.1482"),
    ],
)
def test_only_folders_from_the_root_or_from_home_are_left_out(text, kept):
    assert without_folders(text) == kept


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "NoneType"), (0.1, "float"), (True, "bool"), ([], "list")]
)
def test_a_template_refuses_what_was_not_made_text(value, kind):
    with pytest.raises(TypeError) as caught:
        shown(value)
    assert str(caught.value) == f"a template prints text and whole numbers; got {kind}"
