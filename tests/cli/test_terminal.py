"""The two streams: no control characters, any encoding, a reader that goes away, a full disk."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from bayesmeta.cli.layout import chance, decimals, interval, number, p_value
from bayesmeta.cli.terminal import Terminal, clean, escaped, render

BAYESMETA = [sys.executable, "-m", "bayesmeta"]
HOSTILE = "Yu\x1b[2J\x1b]0;owned\x07 \u202e3202\u2066\x9b31m\u2028x\ttab"


def started(*arguments, **options):
    return subprocess.run([*BAYESMETA, *arguments], check=False, timeout=120, **options)


def has_controls(text):
    return [one for one in text if unicodedata.category(one) in {"Cc", "Cf"} and one != "\n"]


def test_x12_controls_and_directions_are_stripped_and_breaks_become_spaces():
    assert clean(HOSTILE) == "Yu[2J]0;owned 320231m x tab"
    assert len(clean("x" * 10_000)) == 2000


def test_json_on_a_terminal_escapes_what_it_cannot_show_and_means_the_same():
    content = {"slab": f"{HOSTILE}\U000e0041"}
    text = escaped(json.dumps(content, ensure_ascii=False, indent=1))
    assert not has_controls(text)
    assert json.loads(text) == content


@pytest.mark.usefixtures("plain")
def test_x12_labels_of_the_data_cannot_reach_the_terminal(call):
    label = "Yu \u202e3202"
    Path("trials.csv").write_text(Path("trials.csv").read_text().replace("Yu 2023", label))
    text = Path("small.toml").read_text().replace("Three trials", "T \u2066x")
    Path("small.toml").write_text(f"{text}[sensitivity]\nleave_one_out = true\n")
    for options in ((), ("--json",)):
        result = call("run", "small.toml", *options)
        assert result.code == 0
        assert not has_controls(result.out + result.err)
    assert "Yu " in result.out
    assert not has_controls(call("check", "small.toml").out)


def test_an_unexpected_error_is_one_line_that_says_how_to_report_it(call, monkeypatch):
    def fail(*_arguments, **_options):
        raise ValueError("boom\x1b[31m\nsecond line")

    monkeypatch.setattr("bayesmeta.workflow.run.compute", fail)
    result = call("run", "small.toml")
    assert result == (
        6,
        "",
        "bayesmeta: error: unexpected ValueError: boom[31m second line; this is a mistake in bayesmeta:"
        " please report it with the command and its input; BAYESMETA_DEBUG=1 shows where it happened\n",
    )
    assert sorted(path.name for path in Path().iterdir()) == ["small.toml", "trials.csv"]
    monkeypatch.setenv("BAYESMETA_DEBUG", "1")
    with pytest.raises(ValueError, match="boom"):
        call("run", "small.toml")


def test_running_out_of_memory_is_one_line(call, monkeypatch):
    def fail(*_arguments, **_options):
        raise MemoryError

    monkeypatch.setattr("bayesmeta.workflow.run.compute", fail)
    result = call("run", "small.toml")
    assert result == (
        6,
        "",
        "bayesmeta: error: out of memory; close other programs, or ask for fewer chains, draws or studies\n",
    )


def test_ctrl_c_is_one_line_and_leaves_nothing(call, monkeypatch):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesmeta.workflow.run.compute", interrupt)
    result = call("run", "small.toml")
    assert result == (130, "", "bayesmeta: interrupted; nothing was left behind\n")
    assert sorted(path.name for path in Path().iterdir()) == ["small.toml", "trials.csv"]


def test_colours_are_for_terminals_and_no_color_turns_them_off(monkeypatch):
    from rich.text import Text

    monkeypatch.delenv("NO_COLOR", raising=False)
    text = Text("ok", style="bold green")
    assert render(text) == "ok\n"
    assert render(text, rich=True) == "\x1b[1;32mok\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in render(text, rich=True).replace("\x1b[1m", "").replace("\x1b[0m", "")


def test_o10_a_narrow_encoding_gets_plain_characters(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp1252"))
    Terminal().data("−0.5 ± 0.1 · 日")
    assert raw.getvalue().decode("cp1252") == "-0.5 ± 0.1 · \\u65e5\n".replace("±", "+/-").replace("·", ".")


def test_o10_a_reader_that_went_away_is_no_error():
    command = f"{' '.join(BAYESMETA)} datasets exercise_bmd; echo code $? >&2"
    result = subprocess.run(
        ["/bin/bash", "-c", f"({command}) | true"], check=False, capture_output=True, text=True, timeout=60
    )
    assert result.stderr == "code 0\n"


def test_o04_a_full_disk_behind_standard_output_exits_5():
    with Path("/dev/full").open("w") as full:
        result = started("datasets", stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 5
    assert result.stderr == ("bayesmeta: error: standard output cannot be written: no space left on device\n")


def test_closed_streams_are_no_error():
    result = subprocess.run(
        ["/bin/bash", "-c", f"{' '.join(BAYESMETA)} datasets >&- 2>&-"], check=False, timeout=60
    )
    assert result.returncode == 0


def test_help_imports_nothing_heavy_and_is_quick():
    """0.4 s of processor time, not of a busy machine's clock."""
    code = (
        "import sys, time; from bayesmeta.cli import main; main(['--help']);"
        "heavy = {'numpy', 'pandas', 'scipy', 'pydantic', 'matplotlib', 'pymc', 'arviz', 'xarray', 'rich'};"
        "print(sorted(heavy & set(sys.modules)), time.process_time() < 0.4)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.splitlines()[-1] == "[] True"


def test_a_fit_by_integration_imports_neither_pymc_nor_pandas_nor_matplotlib():
    code = (
        "import sys; from bayesmeta.cli import main;"
        "main('fit trials.csv yi=effect sei=se --mu Normal(0,1) --tau HalfNormal(1)'.split());"
        "print(sorted({'pymc', 'pandas', 'matplotlib', 'arviz', 'xarray', 'nutpie'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("scale", "digits", "places"), [(0.0109, 3, 4), (4.36, 3, 2), (3000, 3, 0), (1.0, 1, 0), (0.0, 3, 4)]
)
def test_decimals_follow_the_size_of_the_spread(scale, digits, places):
    assert decimals(scale, digits) == places


def test_numbers_have_a_minus_sign_and_say_what_is_absent():
    assert number(-0.069343, 4) == "−0.0693"
    assert number(float("nan"), absent="does not exist") == "does not exist"
    assert number(3.2e9, 2) == "3.2e+09"
    assert interval(None, float("nan")) == "–"
    assert (p_value(0.0004), p_value(0.04567), p_value(None)) == ("<0.001", "0.046", "–")
    assert (chance(0.99996), chance(0.25), chance(0.0)) == ("= 0.99996", "= 0.250", "< 0.001")
