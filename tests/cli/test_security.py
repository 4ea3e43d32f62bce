"""A stranger's analysis folder: nothing in it is run, nothing outside it is read, nothing is unbounded."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

FORMULAS = ["=cmd|'/C calc'!A0", "+1", "-2", "@SUM(A1)"]


def small():
    return Path("small.toml").read_text()


@pytest.mark.usefixtures("plain")
def test_x04_labels_that_a_spreadsheet_would_run_get_an_apostrophe(call):
    rows = [f'"{label}",0.1,0.05,hip' for label in FORMULAS]
    Path("trials.csv").write_text("\n".join(["study,effect,se,site", *rows]) + "\n")
    assert call("run", "small.toml", "--quiet").code == 0
    with Path("results/small/effects.csv").open() as file:
        labels = [row["slab"] for row in csv.DictReader(file)]
    assert labels == [f"'{label}" for label in FORMULAS]
    content = json.loads(Path("results/small/results.json").read_text())
    assert [one["slab"] for one in content["studies"]] == FORMULAS


@pytest.mark.parametrize(
    "path", ["../secret.csv", "/etc/passwd", "~/t.csv", "file:///etc/passwd", "link.csv"]
)
def test_x07_data_outside_the_folder_are_neither_read_nor_quoted(call, tmp_path, path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.csv").write_text("study,effect,se\nsecret,0.1,0.05\n")
    (inside / "link.csv").symlink_to(tmp_path / "secret.csv")
    (inside / "a.toml").write_text(small().replace("trials.csv", path))
    result = call("run", inside / "a.toml")
    assert result.code in {2, 5}
    assert "secret," not in result.err
    assert "root:" not in result.err
    if "://" not in path:
        assert "--allow-outside lifts this" in result.err
    assert not Path("results").exists()


def test_x07_a_file_that_is_no_table_is_not_quoted_in_the_error(call):
    Path("trials.csv").write_text("root:x:0:0:root:/root:/bin/bash\nhunter2:x:1:1::/:/bin/sh\n")
    result = call("run", "small.toml")
    assert result.code == 3
    assert "hunter2" not in result.err


@pytest.mark.usefixtures("plain")
def test_x07_allow_outside_lets_the_data_lie_elsewhere(call, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.toml").write_text(small().replace("trials.csv", "../trials.csv"))
    assert call("run", inside / "a.toml", "--allow-outside", "--quiet").code == 0
    assert str(tmp_path) not in Path("results/a/results.json").read_text()


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("x = " + "[" * 60 + "]" * 60, 2, "small.toml: tables and keys must not be nested more than 16 deep"),
        (
            ".".join(["a"] * 40) + " = 1",
            2,
            "small.toml: tables and keys must not be nested more than 16 deep",
        ),
        ("x = '" + "a" * (2**20) + "'", 5, "small.toml: the file is larger than the limit of 1 MB"),
        ("\x00", 2, "small.toml:1: not TOML"),
    ],
)
def test_x10_hostile_toml_is_refused(call, text, code, message):
    Path("small.toml").write_text(text)
    result = call("check", "small.toml")
    assert result.code == code
    assert result.err.startswith(f"bayesmeta: error: {message}")
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("draws = 1000000000000", "draws must be <= 1000000; got 1000000000000"),
        ("chains = 1000000", "chains must be <= 64; got 1000000"),
        ("tune = 2000000", "tune must be <= 1000000; got 2000000"),
    ],
)
def test_x11_what_would_exhaust_the_machine_is_refused_with_the_limit(call, entry, message):
    Path("small.toml").write_text(f"{small()}{entry}\n")
    assert call("run", "small.toml").err == f"bayesmeta: error: small.toml:16: [engine] {message}\n"


@pytest.mark.usefixtures("plain")
def test_x11_long_labels_are_cut_and_that_is_said(call):
    Path("trials.csv").write_text(Path("trials.csv").read_text().replace("Yu 2023", "Y" * 5000))
    result = call("run", "small.toml")
    assert result.code == 0
    content = json.loads(Path("results/small/results.json").read_text())
    assert len(content["studies"][0]["slab"]) == 200
    assert "cut" in result.err


def test_x16_labels_are_no_formats(call):
    Path("trials.csv").write_text(
        Path("trials.csv").read_text().replace("Yu 2023", "%s {0.__class__} {{7*7}}")
    )
    Path("trials.csv").write_text(Path("trials.csv").read_text().replace("0.05,hip", "-1,hip"))
    result = call("run", "small.toml")
    assert result.code == 3
    assert 'study "%s {0.__class__} {{7*7}}" column "se"' in result.err


def test_x02_markup_in_title_and_labels_is_text_in_the_report(call):
    hostile = '<script>alert(1)</script>" onload="x</title>{{7*7}}'
    Path("trials.csv").write_text(
        Path("trials.csv").read_text().replace("Yu 2023", '"' + hostile.replace('"', '""') + '"')
    )
    Path("small.toml").write_text(small().replace('"Three trials"', json.dumps(hostile)))
    assert call("run", "small.toml", "--quiet").code == 0
    page = Path("results/small/report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "{{7*7}}" in page
    assert "default-src 'none'" in page.replace("&#39;", "'")
