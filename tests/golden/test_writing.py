# SPDX-License-Identifier: Apache-2.0
"""Writing: whole or not at all, where the user said, over nothing else, and what is cleaned up."""

import os
import stat
import subprocess
import sys
import threading

import pytest

from deltaloom.golden import writing
from deltaloom.golden.errors import UserError


def device(folder, name="null", minor=3):
    """A node like /dev/null of our own; only root can make one."""
    node = folder / name
    try:
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        node.open("wb").close()
    except OSError:
        pytest.skip("nodes cannot be made or opened here")
    return node


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


# Files


def test_a_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/file")
    for text in ("one", "two"):
        writing.write_text(text, tmp_path / "link")
        assert (tmp_path / "link").is_symlink() and (tmp_path / "real/file").read_text() == text
    assert names(tmp_path) == ["link", "real"] and names(tmp_path / "real") == ["file"]


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UserError, match="a: is a link in a circle"):
        writing.write_text("", tmp_path / "a")
    assert (tmp_path / "a").is_symlink() and names(tmp_path) == ["a", "b"]


def test_a_device_takes_the_bytes_and_stays(tmp_path):
    null = device(tmp_path)
    writing.write_text("text", null)
    assert null.is_char_device() and names(tmp_path) == ["null"]
    assert writing.is_stream(null)


def test_a_full_device_names_the_file(tmp_path):
    full = device(tmp_path, "full", 7)
    with pytest.raises(UserError, match=r"full: cannot be written \(No space left on device\)"):
        writing.write_text("text", full)
    assert full.is_char_device()


def test_a_pipe_takes_the_bytes(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    while not read and reader.is_alive():
        try:
            writing.write_text("x" * 100_000, pipe)
        except UserError as error:  # the reader is not there yet
            assert "pipe that nobody reads" in str(error)
            continue
        break
    reader.join()
    assert read == [b"x" * 100_000] and pipe.is_fifo()


def test_a_pipe_without_reader_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"pipe: cannot be written \(a pipe that nobody reads\)"):
        writing.write_text("text", tmp_path / "pipe")


def test_standard_output_by_its_name(tmp_path):
    """Also where it is a file, which others go on writing to."""
    code = (
        "from pathlib import Path; from deltaloom.golden.writing import write_text;"
        "print('before', flush=True); write_text('text\\n', Path('/dev/stdout')); print('after')"
    )
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\ntext\nafter\n"


def test_text_that_utf_8_has_no_code_for(tmp_path):
    writing.write_text("a\udcff", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"a\\udcff"


def test_a_name_as_long_as_the_file_system_takes(tmp_path):
    writing.write_text("text", tmp_path / ("n" * 255))
    assert (tmp_path / ("n" * 255)).read_text() == "text"


# Several files


def test_all_files_of_a_block_or_none(tmp_path):
    writing.write_text("old", tmp_path / "a")
    with pytest.raises(KeyboardInterrupt), writing.together():
        writing.write_text("new", tmp_path / "a")
        writing.write_text("new", tmp_path / "b")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"
    with writing.together():
        writing.write_text("new", tmp_path / "a")
        with writing.together():
            writing.write_text("new", tmp_path / "b")
        assert (tmp_path / "a").read_text() == "old" and not (tmp_path / "b").exists()
    assert names(tmp_path) == ["a", "b"] and (tmp_path / "a").read_text() == "new"


# Folders


def make(folder, former=(), **files):
    with writing.replacing_folder(folder, former) as temporary:
        for name, text in files.items():
            (temporary / name).write_text(text)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_new_folder_has_the_permissions_of_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        make(tmp_path / "d", a="1")
    finally:
        os.umask(before)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o777 & ~mask
    assert (tmp_path / "d/a").stat().st_mode & 0o777 == 0o666 & ~mask
    assert names(tmp_path) == ["d"]


def test_what_a_former_run_wrote_is_replaced_at_once(tmp_path):
    make(tmp_path / "d", a="1", b="1")
    inode = (tmp_path / "d").stat().st_ino
    make(tmp_path / "d", ["a", "b"], a="2", c="2")
    assert names(tmp_path / "d") == ["a", "c"] and names(tmp_path) == ["d"]
    assert (tmp_path / "d").stat().st_ino != inode


def test_others_files_stay(tmp_path):
    make(tmp_path / "d", a="1", b="1")
    (tmp_path / "d/mine").write_text("mine")
    make(tmp_path / "d", ["a", "b"], a="2", c="2")
    assert names(tmp_path / "d") == ["a", "c", "mine"] and names(tmp_path) == ["d"]


def test_the_folder_that_one_is_in_stays_the_same(tmp_path, monkeypatch):
    make(tmp_path / "d", a="1")
    monkeypatch.chdir(tmp_path / "d")
    inode = (tmp_path / "d").stat().st_ino
    make(tmp_path / "d", ["a"], a="2")
    assert (tmp_path / "d").stat().st_ino == inode and (tmp_path / "d/a").read_text() == "2"


def test_a_link_to_a_folder_stays(tmp_path):
    make(tmp_path / "d", a="1")
    (tmp_path / "link").symlink_to("d")
    make(tmp_path / "link", ["a"], a="2")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "d/a").read_text() == "2"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failure_leaves_the_old_folder(tmp_path, error):
    make(tmp_path / "d", a="1")
    with (
        pytest.raises((KeyboardInterrupt, UserError)),
        writing.replacing_folder(tmp_path / "d", ["a"]) as temporary,
    ):
        (temporary / "a").write_text("2")
        raise error
    assert names(tmp_path) == ["d"] and (tmp_path / "d/a").read_text() == "1"


# What killed runs leave

KILLED = """
import os, signal
from pathlib import Path
from deltaloom.golden.writing import replacing, replacing_folder
with replacing(Path("f")) as f, replacing_folder(Path("d")) as d:
    f.write_text("half"), (d / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_goes_at_the_next_start(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, check=False)
    assert len(names(tmp_path)) == 2 and all(name.startswith(".") for name in names(tmp_path))
    writing.write_text("new", tmp_path / "f")
    make(tmp_path / "d", a="1")
    assert names(tmp_path) == ["d", "f"]


def test_what_a_run_under_way_has_stays(tmp_path):
    with writing.replacing(tmp_path / "f") as mine:
        writing.write_text("other", tmp_path / "f")
        assert mine.exists()


# Before the work


def test_inputs_are_known_through_links(tmp_path):
    (tmp_path / "in").write_text("")
    (tmp_path / "link").symlink_to("in")
    (tmp_path / "hard").hardlink_to(tmp_path / "in")
    for name in ("in", "link", "hard", "../" + tmp_path.name + "/in"):
        with pytest.raises(UserError, match=f"--json .*{name}: is an input itself"):
            writing.check_file("--json", tmp_path / name, tmp_path / "in")


def test_places_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    for file, line in (
        (tmp_path, "is a folder"),
        (tmp_path / "file" / "below", "file is no folder; name another place"),
    ):
        with pytest.raises(UserError, match=f"-o .*{line}"):
            writing.check_file("-o", file)
    with pytest.raises(UserError, match=r"-o .*file: is a file; name a folder"):
        writing.check_folder("-o", tmp_path / "file")
    with pytest.raises(UserError, match="file is no folder"):
        writing.check_folder("-o", tmp_path / "file" / "below")
    writing.check_file("-o", tmp_path / "new" / "below")
    assert names(tmp_path) == ["file"]
