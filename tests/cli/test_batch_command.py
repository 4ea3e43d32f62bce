"""`bayesmeta batch`: many reviews, a row for each, in a file that can be continued."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import bayesmeta as bm

PRIORS = ("--mu", "Normal(0, 1)", "--tau", "HalfNormal(0.5)")
COLUMNS = ("yi=yi", "sei=sei", "--by", "review")
MEMORY = 2**30
"""Bytes that a table of a million studies may take."""
SLOW_BLOCKS = """
import sys, time
import bayesmeta.batch as batch
batch.BLOCK = 5
made = batch.posteriors
def slowly(*arguments, **options):
    time.sleep(0.2)
    return made(*arguments, **options)
batch.posteriors = slowly
from bayesmeta.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""A program that takes its time over five reviews."""


def write_table(path, reviews, *, seed=1):
    rng = np.random.default_rng(seed)
    rows = [
        f"{i:03d},{rng.normal(0.2, 0.3):.4f},{rng.uniform(0.05, 0.4):.4f}"
        for i in range(reviews)
        for _ in range(2 + i % 3)
    ]
    Path(path).write_text("review,yi,sei\n" + "\n".join(rows) + "\n")


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def batch(call, *more, table="t.csv"):
    return call("batch", table, *COLUMNS, *PRIORS, *more)


def started(*more, program=SLOW_BLOCKS, **options):
    return subprocess.Popen(
        [sys.executable, "-c", program, "batch", "t.csv", *COLUMNS, *PRIORS, *more],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
    )


def interrupted(sent=signal.SIGINT):
    """Stop a command after its first block; return its exit code and what it said."""
    process = started("--out", "r.csv")
    while process.poll() is None and not Path("r.csv.part").exists():
        time.sleep(0.01)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


class Half(NamedTuple):
    """A command that was interrupted: its exit code, what it said, and the files that it left."""

    code: int
    said: str
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """Interrupt a command on forty reviews, once for all tests that go on from there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("half"))
        write_table("t.csv", 40)
        code, said = interrupted()
        return Half(code, said, {path.name: path.read_bytes() for path in Path().iterdir()})


def lay_out(half):
    """Put the files of an interrupted command into the current folder."""
    for name, content in half.files.items():
        Path(name).write_bytes(content)


def test_the_rows_are_those_of_fit_many_to_the_last_digit(call):
    write_table("t.csv", 6)
    result = batch(call)
    assert (result.code, result.err) == (0, "bayesmeta: 6 reviews ok\n")
    rows = rows_of(result.out)
    with Path("t.csv").open() as file:
        cells = list(csv.DictReader(file))
    data = {"review": [cell["review"] for cell in cells]}
    data |= {name: [float(cell[name]) for cell in cells] for name in ("yi", "sei")}
    priors = bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)")
    found = bm.fit_many(data, "review", model=priors, yi="yi", sei="sei")
    assert [row["review"] for row in rows] == list(found.index) == [f"{i:03d}" for i in range(6)]
    assert [float(row["mu_upper"]) for row in rows] == found["mu_upper"].tolist()
    assert [int(row["k"]) for row in rows] == [2, 3, 4, 2, 3, 4]


def test_the_eight_schools_as_a_review_have_their_golden_values(call):
    """G2 of the golden values: 30-digit arithmetic."""
    header, *lines = Path(bm.__file__).with_name("datasets").joinpath("eight_schools.csv").read_text().split()
    Path("s.csv").write_text("\n".join([f"review,{header}", *(f"coaching,{line}" for line in lines)]))
    pairs = ("yi=effect_rounded", "sei=stderr_rounded", "--by", "review")
    result = call("batch", "s.csv", *pairs, "--tau", "HalfNormal(5)", "--mu", "Normal(0, 50)")
    (row,) = rows_of(result.out)
    assert float(row["mu_mean"]) == pytest.approx(7.72781480530356, rel=1e-9)
    assert float(row["mu_lower"]) == pytest.approx(-0.783467571162411, rel=1e-8)
    assert float(row["theta_new_upper"]) == pytest.approx(19.8330826219129, rel=1e-8)
    assert float(row["log_evidence"]) == pytest.approx(-32.3821485275205, rel=1e-9)


def test_a_bundled_data_set_may_be_split_into_reviews(call):
    arms = ("m1i=exercise_mean", "sd1i=exercise_sd", "n1i=exercise_n", "m2i=control_mean")
    options = ("sd2i=control_sd", "n2i=control_n", "--by", "fracture_site", "--measure", "MD")
    result = call("batch", "exercise_bmd", *arms, *options, "--better", "higher")
    assert result.code == 0
    assert sum(int(row["k"]) for row in rows_of(result.out)) == 11
    assert all(row["p_benefit"] == row["p_above_zero"] for row in rows_of(result.out))


def test_a_wrong_review_is_named_with_its_line_and_the_code_says_so(call):
    write_table("t.csv", 3)
    lines = Path("t.csv").read_text().splitlines()
    lines[3] = "001,0.2,-1"
    Path("t.csv").write_text("\n".join(lines))
    result = batch(call)
    assert (result.code, result.err) == (4, "bayesmeta: 2 reviews ok, 1 not: see status\n")
    rows = rows_of(result.out)
    assert [row["status"] == "ok" for row in rows] == [True, False, True]
    assert rows[1]["status"] == (
        't.csv:4 study "Study 1" column "sei": a standard error must be > 0; got -1. Fix the cell, or drop '
        'the row with exclude = ["Study 1"].'
    )
    assert (rows[1]["k"], rows[1]["mu_mean"]) == ("0", "")
    content = json.loads(batch(call, "--json").out)
    assert set(content["reviews"][1]) == {"review", "k", "status"}
    assert content["reviews"][0]["mu_mean"] == float(rows[0]["mu_mean"])


def test_options_change_what_they_say(call):
    write_table("t.csv", 2)
    plain = rows_of(batch(call).out)
    half = rows_of(batch(call, "--prob", "0.5").out)
    assert all(float(b["mu_upper"]) < float(a["mu_upper"]) for a, b in zip(plain, half, strict=True))
    lower = rows_of(batch(call, "--better", "lower").out)
    assert [float(row["p_benefit"]) for row in lower] == pytest.approx(
        [1 - float(row["p_above_zero"]) for row in plain], abs=1e-15
    )
    assert "p_benefit" not in plain[0]
    assert batch(call, "--quiet").err == ""


def test_a_name_that_a_spreadsheet_would_run_is_disarmed(call):
    Path("t.csv").write_text('review,yi,sei\n"=cmd()",0.1,0.1\n"=cmd()",0.2,0.1\n')
    assert rows_of(batch(call).out)[0]["review"] == "'=cmd()"


def test_a_file_is_written_whole_and_nothing_beside_it(call):
    write_table("t.csv", 4)
    before = {path.name for path in Path().iterdir()}
    printed = batch(call).out
    result = batch(call, "--out", "r.csv", "--json")
    assert result.code == 0
    assert json.loads(result.out) == {"file": "r.csv", "reviews": 4, "ok": 4}
    assert result.err == "bayesmeta: written to r.csv\nbayesmeta: 4 reviews ok\n"
    assert Path("r.csv").read_text() == printed
    assert {path.name for path in Path().iterdir()} - before == {"r.csv"}
    assert batch(call, "--out", "r.csv").code == 0  # an earlier result is replaced


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("t.csv", "yi=yi", "--by", "reviw"), 3, "t.csv: no column \"reviw\"; did you mean 'review'?"),
        (("t.csv", "yi=y", "--by", "review"), 2, "the table has no column \"y\"; did you mean 'yi'?"),
        (("t.csv", "yi", "--by", "review"), 2, "'yi' must be NAME=COLUMN, such as yi=effect"),
        (("bcgg", "yi=yi", "--by", "review"), 5, "no file or bundled data set 'bcgg'; did you mean 'bcg'?"),
        (("t.csv", *COLUMNS, "--prob", "95"), 2, "prob must be between 0 and 1, such as 0.95; got 95.0"),
        (
            ("t.csv", *COLUMNS, "--tau", "HalfNormal(0)"),
            2,
            "HalfNormal.sigma must be a positive number; got 0",
        ),
        (("t.csv", *COLUMNS, "--better", "up"), 2, "better must be 'higher', 'lower' or ''; got 'up'"),
        (
            ("t.csv", *COLUMNS, "--out", "t.csv"),
            5,
            "t.csv: is not the result of a batch; choose another name, or move it away",
        ),
        (("t.csv", *COLUMNS, "--out", "a/r.csv"), 5, "a/r.csv: there is no folder a; make it"),
        (("bad.csv", *COLUMNS), 3, 'bad.csv:3 study "a" column "yi": a cell must be a number like'),
    ],
)
def test_mistakes_are_told_in_one_line_and_leave_nothing(call, arguments, code, message):
    write_table("t.csv", 2)
    Path("bad.csv").write_text("review,yi,sei\na,0.1,0.1\na,x,0.1\n")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    priors = () if "--tau" in arguments else PRIORS
    result = call("batch", *arguments, *priors)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(f"bayesmeta: error: {message}")
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


def test_a_link_is_not_followed(call):
    write_table("t.csv", 2)
    Path("r.csv").symlink_to("t.csv")
    result = batch(call, "--out", "r.csv")
    assert result.code == 5
    assert result.err == "bayesmeta: error: r.csv: is a symbolic link; give the file itself\n"


# Interrupted, and continued


def test_an_interrupted_batch_continues_where_it_was(call, half):
    lay_out(half)
    whole = batch(call).out
    assert half.code == 130
    assert set(half.files) == {"t.csv", "r.csv.part"}
    left = len(rows_of(Path("r.csv.part").read_text().partition("\n")[2]))
    assert left in range(5, 40, 5)
    where = f"{left} reviews are in r.csv.part, and the same command continues there"
    assert half.said == f"bayesmeta: interrupted; {where}\n"
    result = batch(call, "--out", "r.csv")
    assert result.code == 0
    assert f"continues after {left} reviews in r.csv.part" in result.err
    assert result.err.endswith("bayesmeta: 40 reviews ok\n")
    assert np.allclose(numbers(Path("r.csv").read_text()), numbers(whole), rtol=1e-9, atol=1e-9)
    assert not Path("r.csv.part").exists()


def numbers(text):
    return [float(row["mu_mean"]) for row in rows_of(text)]


def test_a_termination_leaves_the_same(call):
    write_table("t.csv", 40)
    code, said = interrupted(signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert "reviews are in r.csv.part, and the same command continues there" in said
    assert batch(call, "--out", "r.csv").code == 0


@pytest.mark.parametrize("cut", [1, 30, 400])
def test_a_row_that_was_cut_off_is_made_again(call, half, cut):
    lay_out(half)
    whole = batch(call).out
    part = Path("r.csv.part").read_bytes()
    Path("r.csv.part").write_bytes(part[:-cut])
    assert batch(call, "--out", "r.csv").code == 0
    assert np.allclose(numbers(Path("r.csv").read_text()), numbers(whole), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("change", ["table", "option"])
def test_another_table_or_another_option_starts_afresh(call, half, change):
    lay_out(half)
    if change == "table":
        write_table("t.csv", 40, seed=2)
    more = ("--prob", "0.9") if change == "option" else ()
    wanted = batch(call, *more).out
    result = batch(call, "--out", "r.csv", *more)
    assert "continues" not in result.err
    assert Path("r.csv").read_text() == wanted


def test_two_commands_do_not_write_into_one_file(call):
    write_table("t.csv", 40)
    process = started("--out", "r.csv")
    while process.poll() is None and not Path("r.csv.part").exists():
        time.sleep(0.01)
    result = batch(call, "--out", "r.csv")
    assert result.code == 5
    assert "r.csv: in use by" in result.err
    assert process.wait(timeout=60) == 0
    process.communicate()


def test_a_terminal_shows_a_bar_and_a_pipe_none(call):
    write_table("t.csv", 20)
    assert "Reviews" not in batch(call, "--out", "r.csv").err
    main, terminal = pty.openpty()
    process = started("--out", "r.csv", stderr=terminal, text=False)
    os.close(terminal)
    shown = b"".join(iter(lambda: _read(main), b""))
    os.close(main)
    process.communicate()
    assert process.returncode == 0
    assert b"Reviews" in shown
    assert b"/20" in shown


def _read(descriptor):
    try:
        return os.read(descriptor, 4096)
    except OSError:  # what Linux says at the end of a terminal
        return b""


# Memory

LARGE = """
import sys
from pathlib import Path
from bayesmeta.cli import main
code = main(sys.argv[1:])
most = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, int(most.split()[1]) * 1024)  # what getrusage tells includes the memory of the parent
"""


def memory(reviews, studies):
    """Return the exit code and the largest memory, in bytes, of a command on reviews of ten studies."""
    rng = np.random.default_rng(3)
    yi, sei = rng.normal(0.2, 0.3, studies), rng.uniform(0.05, 0.4, studies)
    with Path("t.csv").open("w") as file:
        file.write("review,yi,sei\n")
        file.writelines(
            f"R{i * reviews // studies},{y:.4f},{s:.4f}\n"
            for i, (y, s) in enumerate(zip(yi, sei, strict=True))
        )
    process = started("--out", "r.csv", "--quiet", program=LARGE)
    said, errors = process.communicate()
    assert errors == ""
    return tuple(map(int, said.split()))


def test_fifty_thousand_studies_take_a_twentieth_of_the_memory_of_a_million():
    """Beside the 150 MB or so of the libraries, memory grows in proportion."""
    code, most = memory(2_500, 50_000)
    assert code == 0
    assert most < 150e6 + 0.35 * MEMORY


@pytest.mark.slow
def test_a_million_studies_in_a_hundred_thousand_reviews_stay_below_a_gigabyte():
    code, most = memory(100_000, 1_000_000)
    assert code == 0
    assert most < MEMORY
    assert Path("r.csv").read_bytes().count(b"\n") == 100_001
