"""Output folders are whole or not there: rows O-01, O-02, O-04, O-06 and O-08 of the operation tests."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bayesmeta import output
from bayesmeta.errors import FileError
from bayesmeta.output import output_folder, read_manifest


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_run(path, text="new", **options):
    with output_folder(path, **options) as folder:
        (folder / "results.json").write_text(text)


def refusal(path, **options):
    with pytest.raises(FileError) as caught, output_folder(path, **options):
        pytest.fail("the block must not be entered")
    return str(caught.value)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_run_ends_with_a_manifest_of_every_file(workplace):
    details = {"seed": 1}
    with output_folder("results/bmd", details=details) as folder:
        (folder / "figures").mkdir()
        (folder / "figures" / "forest.svg").write_text("<svg/>")
        details["command"] = "run"
    assert names(workplace) == [
        "results",
        "results/bmd",
        "results/bmd/figures",
        "results/bmd/figures/forest.svg",
        "results/bmd/manifest.json",
    ]
    manifest = json.loads(Path("results/bmd/manifest.json").read_text())
    digest = hashlib.sha256(b"<svg/>").hexdigest()
    assert manifest == {
        "program": "bayesmeta",
        "manifest_version": 1,
        "seed": 1,
        "command": "run",
        "files": {"figures/forest.svg": {"sha256": digest, "bytes": 6}},
    }


def test_while_a_run_is_written_the_earlier_one_stands(workplace):
    write_run("out", "old")
    with output_folder("out") as folder:
        (folder / "results.json").write_text("new")
        assert Path("out/results.json").read_text() == "old"
        assert folder.parent == workplace
        assert folder.name.startswith(".run-")
    assert Path("out/results.json").read_text() == "new"
    assert names(workplace) == ["out", "out/manifest.json", "out/results.json"]


def test_results_can_be_read_by_others_but_not_while_they_are_made():
    with output_folder("out") as folder:
        (folder / "results.json").write_text("1")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert Path("out").stat().st_mode & 0o777 == 0o755
    assert Path("out/results.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("trouble", [KeyboardInterrupt, ZeroDivisionError, SystemExit, FileError("no")])
def test_nothing_is_left_behind_when_a_run_fails(trouble, workplace):
    with pytest.raises(BaseException) as caught, output_folder("a/b/out") as folder:
        (folder / "results.json").write_text("half")
        raise trouble
    assert caught.value is trouble or caught.type is trouble
    assert names(workplace) == []


def test_an_earlier_run_survives_one_that_fails(workplace):
    write_run("out", "old")
    with pytest.raises(KeyboardInterrupt), output_folder("out") as folder:
        (folder / "results.json").write_text("half")
        raise KeyboardInterrupt
    assert names(workplace) == ["out", "out/manifest.json", "out/results.json"]
    assert Path("out/results.json").read_text() == "old"


def test_a_folder_that_is_not_from_a_run_is_only_replaced_on_request():
    Path("out").mkdir()
    write_run("out", "into an empty folder")
    Path("mine").mkdir()
    Path("mine/thesis.docx").write_text("years of work")
    assert (
        refusal("mine") == "mine: holds files that are not from a run; choose another folder, or --overwrite"
    )
    assert Path("mine/thesis.docx").exists()
    write_run("mine", overwrite=True)
    assert names(Path("mine")) == ["manifest.json", "results.json"]


def test_a_file_added_to_a_run_is_not_thrown_away():
    write_run("out")
    Path("out/notes.txt").write_text("mine")
    assert refusal("out") == (
        "out: holds a file that no run wrote, 'notes.txt'; move it away, or --overwrite"
    )
    Path("out/more.txt").write_text("mine")
    assert "'more.txt' and 1 more;" in refusal("out")


def test_an_input_or_the_folder_one_works_in_is_never_replaced(workplace):
    Path("data").mkdir()
    Path("data/trials.csv").write_text("a,b\n1,2\n")
    assert refusal("data", inputs=["data/trials.csv"], overwrite=True) == (
        "data: holds data/trials.csv, which is an input; choose another output folder"
    )
    for path in (".", "..", "/", workplace):
        assert refusal(path, overwrite=True).endswith(
            "cannot be replaced as a whole; choose a folder below it"
        )
    assert Path("data/trials.csv").exists()


def test_a_file_a_link_and_a_bad_name_in_the_way_are_named(workplace):
    Path("file").write_text("")
    assert refusal("file", overwrite=True) == (
        "file: a file is in the way of the output folder; choose another name"
    )
    assert refusal("file/out").endswith("cannot be an output folder: not a directory")
    outside = workplace.parent / f"{workplace.name}-outside"
    outside.mkdir()
    Path("link").symlink_to(outside)
    assert refusal("link", overwrite=True) == "link: is a symbolic link; give the folder itself"
    assert refusal("link/out") == (
        f"link/out: leads out of {workplace.name} through a symbolic link; give the real path"
    )
    assert names(outside) == []
    Path("loop").symlink_to("loop")
    assert refusal("loop/out").endswith("too many levels of symbolic links")
    assert refusal("x" * 300).endswith("cannot be an output folder: file name too long")
    assert "null" in refusal("a\0b")


def test_odd_names_of_folders_work():
    for name in ("ü ö", "a\nb", "x" * 255, "-rf", ".hidden"):
        write_run(name)
        assert output.is_complete(Path(name))


def test_a_link_within_a_run_is_refused(workplace):
    with pytest.raises(FileError, match="must not hold symbolic links"), output_folder("out") as folder:
        (folder / "passwd").symlink_to("/etc/passwd")
    assert names(workplace) == []


def test_two_runs_into_one_folder_do_not_meet():
    with output_folder("out"):
        message = refusal("out")
    start = f"out: in use by process {os.getpid()} since "
    assert message.startswith(start + time.strftime("%Y", time.gmtime()))
    assert "; wait, choose another folder, or remove .lock-" in message
    write_run("out")


def test_runs_into_different_folders_do_not_wait_for_each_other():
    with output_folder("one") as first, output_folder("two") as second:
        assert first != second


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 99999999999}'])
def test_a_lock_that_says_nothing_is_taken_over(content, workplace):
    lock_of("out", workplace).write_text(content)
    write_run("out")
    assert names(workplace) == ["out", "out/manifest.json", "out/results.json"]


def lock_of(target, workplace):
    with output_folder(target):
        (lock,) = workplace.glob(".lock-*")
    output.shutil.rmtree(target)
    return lock


def test_the_lock_of_a_dead_process_is_taken_over(workplace):
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    holder = {"pid": child.pid, "host": os.uname().nodename, "born": 1, "since": "2026-01-01T00:00:00+00:00"}
    lock_of("out", workplace).write_text(json.dumps(holder))
    write_run("out")
    assert not list(workplace.glob(".*"))


def test_the_lock_of_a_process_whose_number_was_given_again_is_taken_over(workplace):
    holder = {
        "pid": os.getpid(),
        "host": os.uname().nodename,
        "born": 1,
        "since": "2026-01-01T00:00:00+00:00",
    }
    lock_of("out", workplace).write_text(json.dumps(holder))
    write_run("out")


def test_the_lock_of_another_machine_is_respected(workplace):
    holder = {"pid": 1, "host": "elsewhere", "born": 1, "since": "2026-01-01T00:00:00+00:00"}
    lock = lock_of("out", workplace)
    lock.write_text(json.dumps(holder))
    assert refusal("out") == (
        "out: in use by process 1 on elsewhere since 2026-01-01T00:00:00+00:00; wait, choose another folder,"
        f" or remove {lock.name} if that process is gone"
    )


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["seal", "first rename", "second rename", "discard"])
def test_a_run_stopped_at_any_moment_is_put_right_by_the_next(moment, workplace, monkeypatch):
    """The process is thought dead: nothing it would do afterwards happens."""
    write_run("out", "old")
    rename = Path.rename
    count = 0

    def dying_rename(self, target):
        nonlocal count
        count += 1
        if moment == {1: "first rename", 2: "second rename", 3: "discard"}.get(count):
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", dying_rename)
        patch.setattr(output, "_recover", lambda _target: None)
        if moment == "seal":
            patch.setattr(output, "_swap", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_run("out", "new")
    with pytest.raises(ZeroDivisionError), output_folder("out"):
        raise ZeroDivisionError
    expected = {"seal": "old", "first rename": "old", "second rename": "new", "discard": "new"}[moment]
    assert names(workplace) == ["out", "out/manifest.json", "out/results.json"]
    assert Path("out/results.json").read_text() == expected


def test_a_half_written_new_run_never_replaces_the_old_one(workplace):
    write_run("out", "old")
    tag = output._tag(workplace / "out")
    Path("out").rename(f".old-{tag}-1")
    write_run("new")
    Path("new").rename(f".run-{tag}-1")
    Path(f".run-{tag}-1/results.json").write_text("altered")
    with pytest.raises(ZeroDivisionError), output_folder("out"):
        raise ZeroDivisionError
    assert Path("out/results.json").read_text() == "old"


WRITER = """
import itertools, sys
from bayesmeta.output import output_folder
for run in itertools.count(int(sys.argv[1])):
    with output_folder("out") as folder:
        for part in range(5):
            (folder / f"{part}.txt").write_text(str(run) * 1000)
    if run == int(sys.argv[1]):
        print("ready", flush=True)
"""


def kill_some_writers(times):
    for turn in range(times):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(1_000_000 + turn * 1000)], stdout=subprocess.PIPE
        )
        assert child.stdout.read(1) == b"r"
        time.sleep(random.Random(turn).uniform(0, 0.02))  # noqa: S311
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        with pytest.raises(ZeroDivisionError), output_folder("out"):
            raise ZeroDivisionError
        check_whole(Path("out"), least=1_000_000 + turn * 1000)


def check_whole(folder, *, least):
    manifest = read_manifest(folder)
    (text,) = {(folder / f"{part}.txt").read_text() for part in range(5)}
    assert text == text[:7] * 1000
    assert int(text[:7]) >= least
    assert sorted(manifest["files"]) == [f"{part}.txt" for part in range(5)]
    assert output.is_complete(folder)
    assert names(Path()) == ["out", *(f"out/{part}.txt" for part in range(5)), "out/manifest.json"]


def test_a_killed_writer_leaves_a_whole_run():
    kill_some_writers(6)


@pytest.mark.slow
def test_two_hundred_killed_writers_leave_whole_runs():
    kill_some_writers(200)


def test_ten_writers_at_once_leave_one_whole_run_and_say_who_was_first():
    children = [
        subprocess.Popen([sys.executable, "-c", ONCE, str(i)], stderr=subprocess.PIPE, text=True)
        for i in range(10)
    ]
    answers = [child.communicate()[1] for child in children]
    codes = [child.returncode for child in children]
    assert 0 in codes
    assert set(codes) <= {0, 5}
    assert all(
        "in use by process" in answer for answer, code in zip(answers, codes, strict=True) if code == 5
    )
    assert output.is_complete(Path("out"))
    assert names(Path()) == ["out", "out/a.txt", "out/manifest.json"]


ONCE = """
import sys, time
from bayesmeta.errors import FileError
from bayesmeta.output import output_folder
try:
    with output_folder("out") as folder:
        (folder / "a.txt").write_text(sys.argv[1])
        time.sleep(0.3)
except FileError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def test_a_full_disk_is_reported_with_the_bytes_needed_and_leaves_the_old_run(workplace):
    write_run("out", "old")
    program = """
import resource, signal, sys
sys.dont_write_bytecode = True  # Python does not notice that its own files are cut short
from bayesmeta.output import output_folder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
with output_folder("out") as folder:
    (folder / "small.txt").write_bytes(b"x" * 5_000)
    (folder / "large.txt").write_bytes(b"x" * 20_000)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines()[-1] == (
        "bayesmeta.errors.FileError: out: cannot be written: file too large; at least 15000 bytes are needed."
        " What was there before is unchanged"
    )
    assert Path("out/results.json").read_text() == "old"
    assert names(workplace) == ["out", "out/manifest.json", "out/results.json"]


def test_a_full_disk_is_known_from_the_words_of_a_library_too():
    with (
        pytest.raises(FileError, match="out: cannot be written: no space left on device"),
        output_folder("out"),
    ):
        raise OSError(
            "Can't write data (file write failed: errno = 28, error message = 'No space left on device')"
        )
    with pytest.raises(OSError, match="unrelated") as caught, output_folder("out"):
        raise OSError(errno.EINVAL, "unrelated")
    assert not isinstance(caught.value, FileError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_before_anything_runs():
    Path("sealed").mkdir(mode=0o500)
    assert "cannot be" in refusal("sealed/out")


def test_a_place_where_nothing_can_be_written_is_told_before_anything_runs():
    assert refusal("/proc/nothing/out").startswith("/proc/nothing/out: cannot be made: ")


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"program": "other"}', '{"program": "bayesmeta"}'])
def test_only_our_manifest_makes_a_run(manifest):
    Path("out").mkdir()
    Path("out/manifest.json").write_text(manifest)
    assert read_manifest("out") is None
    assert "not from a run" in refusal("out")
