# SPDX-License-Identifier: Apache-2.0
"""One line and exit code 2, whatever is wrong around the program; and what is written where."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.data import Dataset

PROGRAM = [sys.executable, "-c", "from deltaloom.cli import entry; entry()"]


def program(*words, **options):
    """The command line in a process of its own."""
    command = [*PROGRAM, *words]
    return subprocess.run(command, stderr=subprocess.PIPE, check=False, **options)


def one_line(ran, *parts):
    assert ran.returncode == 2
    text = ran.stderr.decode()
    assert text.startswith("deltaloom: ") and text.count("\n") == 1
    assert all(part in text for part in parts), text


# Where output goes


def test_a_device_stays_a_device(files, tmp_path, run, capsys):
    net, data = files
    null = tmp_path / "null"
    try:
        os.mknod(null, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        null.open("wb").close()
    except OSError:
        pytest.skip("nodes cannot be made or opened here")
    before = sorted(tmp_path.iterdir())
    tune = ["tune", net, "--data", data, "--metric", "nmse"]
    assert run("evaluate", net, "--data", data, "--json", null, "--report", null) == 0
    assert run(*tune, "-o", null) == 2  # no targets; but nothing beside the node
    assert null.is_char_device() and sorted(tmp_path.iterdir()) == before


def test_json_never_over_an_input(files, run, error, tmp_path):
    net, data = files
    (tmp_path / "link").symlink_to(net)
    before = net.read_bytes(), data.read_bytes()
    for verb in ("evaluate", "simulate"):
        for file in (net, data, tmp_path / "link"):
            assert run(verb, net, "--data", data, "--json", file) == 2
            assert error() == f"--json {file}: is an input itself; name another file"
    assert before == (net.read_bytes(), data.read_bytes())


def test_an_output_that_cannot_be_is_refused_before_the_work(files, run, error, tmp_path):
    net, data = files
    missing = tmp_path / "no-data"  # what would be said later
    for words in (
        ("tune", net, "--data", missing, "-o", tmp_path),
        ("quantize", net, "--data", missing, "-o", tmp_path),
        ("import", missing, "-o", tmp_path),
        ("evaluate", net, "--data", missing, "--json", tmp_path),
        ("evaluate", net, "--data", missing, "--report", tmp_path),
        ("generate", missing, "-o", data / "below"),
        ("build", missing, "-o", data),
    ):
        assert run(*words) == 2
        line = error()
        assert str(words[-1]) in line and "no-data" not in line


def test_no_report(files, run, tmp_path, capsys):
    net, data = files
    assert run("evaluate", net, "--data", data, "--report", "none") == 0
    assert not (tmp_path / "none").exists() and "report" not in capsys.readouterr().out


def test_a_full_disk_leaves_the_old_design(files, tmp_path, run, error, capsys, monkeypatch):
    words = ["generate", files[0], "-o", tmp_path / "rtl", "--word-bits"]
    assert run(*words, 32) == 0
    capsys.readouterr()
    before = {f.name: f.read_bytes() for f in (tmp_path / "rtl").iterdir()}
    write = Path.write_text

    def full(file, *rest):
        if file.suffix == ".v":
            raise OSError(28, "No space left on device", str(file))
        return write(file, *rest)

    monkeypatch.setattr(Path, "write_text", full)
    assert run(*words, 64) == 2
    reason = "cannot be written (No space left on device); name another place"
    assert error() == f"{tmp_path / 'rtl'}: {reason}"
    assert {f.name: f.read_bytes() for f in (tmp_path / "rtl").iterdir()} == before
    assert not [f for f in tmp_path.iterdir() if f.name.startswith(".")]


# The program's surroundings


def test_closed_standard_output(files):
    net, data = files
    words = " ".join(map(str, [*PROGRAM[:1], "-m", "deltaloom", "evaluate", net, "--data", data]))
    ran = subprocess.run(["sh", "-c", f"{words} >&-"], stderr=subprocess.PIPE, check=False)
    one_line(ran, "standard output is closed")


def test_closed_standard_error_and_input(files):
    net, data = files
    words = " ".join(map(str, [*PROGRAM[:1], "-m", "deltaloom", "evaluate", net, "--data", data]))
    ran = subprocess.run(["sh", "-c", f"{words} 2>&- <&-"], capture_output=True, check=False)
    assert ran.returncode == 0 and b"eliminated" in ran.stdout


def test_full_standard_output(files):
    net, data = files
    with Path("/dev/full").open("w") as full:
        ran = program("evaluate", net, "--data", data, stdout=full)
    one_line(ran, "standard output: No space left on device")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_names_that_are_not_utf_8(files, tmp_path, locale):
    net, data = files
    name = os.fsencode(tmp_path) + b"/\xff\xc3.npz"
    environment = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    data.rename(os.fsdecode(name))
    page = os.fsencode(tmp_path) + b"/\xfe.html"
    words = ["evaluate", net, "--report", page]
    ran = program(*words, "--data", name, stdout=subprocess.PIPE, env=environment)
    assert ran.returncode == 0 and Path(os.fsdecode(page)).exists()
    # Of the data, not of the names.
    assert all(line.startswith(b"warning: input features") for line in ran.stderr.splitlines())
    one_line(program(*words, "--data", name + b"x", env=environment), "\\udcff", "no such file")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "net", "--data=--"], "--data: '--' is no value"),
        (["evaluate", "net", "--data", ""], "--data: the name is empty; name a file or a folder"),
        (["import", "net", "-o", ""], "-o/--output: the name is empty; name a file or a folder"),
        (["generate", "net", "-o="], "-o/--output: the name is empty; name a file or a folder"),
    ],
)
def test_odd_words(words, message, run, error):
    if words[-1] == "-o=":  # argparse takes the sign for the value
        words = [*words[:-1], "--output="]
    assert run(*words) == 2
    assert error().startswith(message)


# What users give


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(data, outputs):\n    return 1 / 0\n", "line 2: raised ZeroDivisionError: division"),
        ("def f(data, outputs):\n    raise SystemExit\n", "line 2: raised SystemExit; mend it"),
        ("def f(:\n", "cannot be imported (line 1: invalid syntax); mend it"),
        ("exit(3)\n", "cannot be imported (SystemExit: 3); mend it"),
        ("import warnings\nwarnings.warn('x')\ndef f(d, o):\n    return 'a'\n", "returned 'a', it"),
    ],
)
def test_a_metric_that_fails(files, run, error, tmp_path, code, message):
    net, data = files
    features = Dataset.load(data).features
    Dataset(features, tuple(np.zeros(len(x), int) for x in features)).save(data)
    (tmp_path / "m.py").write_text(code)
    assert run("evaluate", net, "--data", data, "--metric", f"{tmp_path / 'm.py'}:f") == 2
    line = error()
    assert line.startswith(f"metric {tmp_path / 'm.py'}") and message in line


def test_cells_that_fail(files, run, error, tmp_path):
    (tmp_path / "c.py").write_text("\n{}['a']\n")
    assert run("evaluate", *files, "--data", "d", "--cells", tmp_path / "c.py") == 2
    assert "unrecognized" in error()
    assert run("evaluate", files[0], "--data", "d", "--cells", tmp_path / "c.py") == 2
    assert error() == f"cells {tmp_path / 'c.py'}, line 2: raised KeyError: 'a'; mend it"


def test_deep_toml_and_json(files, run, error, tmp_path):
    net, data = files
    (tmp_path / "s.toml").write_text("a = " + "[" * 9000 + "]" * 9000)
    assert run("quantize", net, "--data", data, "-o", "n", "--scheme", tmp_path / "s.toml") == 2
    assert error() == f"{tmp_path / 's.toml'}: nested too deeply; write names with dots"
    header = {"__metadata__": {"deltaloom": "[" * 99_999}}
    text = json.dumps(header).encode()
    net.write_bytes(len(text).to_bytes(8, "little") + text)
    assert run("evaluate", net, "--data", data) == 2
    assert "without deltaloom's header" in error()


def test_what_an_error_leaves_unfinished_says_nothing(files, tmp_path):
    """Amaranth warns of components that were made and never used: an image that has no place."""
    small = "from deltaloom.hw.bus import register_map; register_map.IMAGE_SPACE = 64; "
    command = [sys.executable, "-c", small + PROGRAM[2], "generate", files[0], "-o", tmp_path / "x"]
    ran = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    one_line(ran, "image memories: ", "bytes of address space is too much")
