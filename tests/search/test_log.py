# SPDX-License-Identifier: Apache-2.0
"""The log: what it has is not measured again, damage costs a line, a full disk is one line."""

import errno
import json
from pathlib import Path

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.search.log import Log

KEYS = [("a", False), ("a", True), ("b", False)]


def filled(file, digest="d"):
    log = Log(file, digest)
    for n, key in enumerate(KEYS):
        log.add(key, {"error": float(n), "size": float("nan")})
    return log


def test_what_was_written_is_found(tmp_path):
    file = tmp_path / "deep" / "log.jsonl"
    filled(file)
    log = Log(file, "d", pytest.fail)
    assert [log.get(key)["error"] for key in KEYS] == [0.0, 1.0, 2.0] and log.found == 3
    assert log.get(("c", False)) is None
    assert Log(file, "other").found == 0


def test_without_a_file_it_is_in_memory():
    assert filled(None).get(KEYS[2])["error"] == 2.0


@pytest.mark.parametrize(
    "damage",
    [
        b"not json",
        b'{"of": "d", "choice": "a"',
        b'{"of": "d", "choice": "a", "thin": false, "values": {"error": "much"}}',
        b'{"of": "d", "choice": "a", "thin": 3, "values": {"error": 1}}',
        b"[1, 2]",
        b"\xff\xfe\x00",
    ],
)
def test_damaged_lines_are_named_and_left_out(tmp_path, damage):
    file = tmp_path / "log.jsonl"
    filled(file)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + damage + b"\n" + lines[2])
    said = []
    log = Log(file, "d", said.append)
    assert said == [f"{file}: line 2 damaged and left out; these are measured again"]
    assert log.found == 2 and log.get(KEYS[1]) is None


def test_a_line_that_was_cut_is_ended_first(tmp_path):
    file = tmp_path / "log.jsonl"
    filled(file)
    file.write_bytes(file.read_bytes()[:-20])
    said = []
    log = Log(file, "d", said.append)
    assert len(said) == 1 and log.found == 2
    log.add(KEYS[2], {"error": 7.0})
    log.add(("c", False), {"error": 8.0})
    again = Log(file, "d", said.append)
    assert again.found == 4 and again.get(KEYS[2]) == {"error": 7.0}
    assert json.loads(file.read_text().splitlines()[-1])["choice"] == "c"


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    file = tmp_path / "log.jsonl"
    log = filled(file)

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def write(self, content):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, *args, **kwargs: Full())
    with pytest.raises(
        UserError, match=r"cannot be written \(No space left on device\); make room"
    ):
        log.add(("c", False), {"error": 1.0})


def test_a_part_of_a_line_that_went_to_a_full_disk(tmp_path, monkeypatch):
    file = tmp_path / "log.jsonl"
    log = filled(file)
    opened = Path.open

    class Nearly:
        def __init__(self, stream):
            self._stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            self._stream.close()

        def write(self, content):
            return self._stream.write(content[:10])

    monkeypatch.setattr(Path, "open", lambda self, *a, **k: Nearly(opened(self, *a, **k)))
    with pytest.raises(UserError, match="the disk is full"):
        log.add(("c", False), {"error": 1.0})
    monkeypatch.undo()
    log.add(("d", False), {"error": 2.0})
    said = []
    assert Log(file, "d", said.append).get(("d", False)) == {"error": 2.0} and len(said) == 1


def test_a_folder_is_no_log(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        Log(tmp_path, "d")
