"""What counts as a readable file: rows 027 and 028 of the table of bad inputs."""

from __future__ import annotations

import os
import threading

import pytest

from bayesmeta import rawfile
from bayesmeta.csvfile import read_csv, read_csv_file
from bayesmeta.errors import FileError

PLAIN = "study,yi,sei\nYu 2023,0.1,0.2\nZhu 2023,-3e-2,.5\n"


def test_027_only_regular_files_are_read(tmp_path):
    cases = {
        tmp_path / "nothing.csv": "no such file",
        tmp_path: "a folder, not a file",
        "/dev/zero": "not a regular file; pipes and devices are not read",
        "https://example.org/a.csv": "addresses on the network are not read; save the file, and"
        " give its path",
        tmp_path / "a\0b.csv": None,
        tmp_path / ("x" * 300): "cannot be opened: file name too long",
    }
    for path, sentence in cases.items():
        with pytest.raises(FileError) as caught:
            read_csv(path)
        assert sentence is None or str(caught.value).endswith(f": {sentence}")


def test_027_a_pipe_is_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    caught = []

    def attempt():
        with pytest.raises(FileError, match="not a regular file"):
            read_csv(pipe)
        caught.append(True)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert caught == [True]


def test_028_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "studies.csv"
    path.write_text(PLAIN)
    once = rawfile._read_once

    def read_and_change(*arguments):
        content = once(*arguments)
        path.write_text(PLAIN.replace("0.1", "0.9"))
        return content

    monkeypatch.setattr(rawfile, "_read_once", read_and_change)
    with pytest.raises(
        FileError, match=r"studies.csv: the file changed while it was read; wait until it is saved"
    ):
        read_csv(path)


def test_the_hash_is_that_of_the_file(tmp_path):
    path = tmp_path / "s.csv"
    path.write_bytes(b"a,b\n1,2\n")
    # sha256sum of these eight bytes
    assert read_csv_file(path).sha256 == "492d5ea496056f1a6a6592241032fab764c321596317930b4fa0e1e8bc3b7470"
