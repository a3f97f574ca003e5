# SPDX-License-Identifier: Apache-2.0
"""README.md against the tree: its folders, its Python, its commands; links: test_docs.py."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import deltaloom as dl
from deltaloom.cli import make_parser
from deltaloom.verbs import VERBS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")
LINKS = sorted(set(re.findall(r"\]\(([^)#\s]+)", TEXT)))
FOLDERS = sorted(set(re.findall(r"`([a-z]+/)`", TEXT)))
COMMANDS = re.findall(r"^    (?:\.venv/bin/)?deltaloom (.*?)\s*(?:#.*)?$", TEXT, re.MULTILINE)
INLINE = re.findall(r"`deltaloom ([a-z][^`]*)`", TEXT)
STEPS = re.findall(r"^```python\n.*?^```|^    \S[^\n]*", TEXT, re.MULTILINE | re.DOTALL)
"""The commands and the Python, in the order in which a reader meets them."""

ELSEWHERE = ("make ", "pip ", ". .venv/")
"""How lines begin that are tested elsewhere, or set up what the tests run in."""

TARGETS = re.findall(r"^    make ([a-z-]+)", TEXT, re.MULTILINE)
INPUTS, UNITS, CLASSES = 4, 5, 3


def test_no_placeholder_is_left():
    assert "<!-- demo -->" not in TEXT


def test_everything_was_found():
    """What the tests below look at is there: a changed layout must not make them empty."""
    verbs = [command.split()[0] for command in COMMANDS]
    shown = ["import", "quantize", "tune", "evaluate", "generate", "simulate", "build"]
    shown += ["build", "run"]  # on a board
    assert verbs == shown
    assert "docs/datapath.svg" in LINKS and "golden/" in FOLDERS and "demo" in TARGETS


@pytest.mark.parametrize("path", FOLDERS)
def test_folder(path):
    assert (ROOT / path).is_dir()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_parses(command):
    words = shlex.split(command)
    assert make_parser().parse_args(words).verb == words[0]


@pytest.mark.parametrize("command", INLINE)
def test_command_in_the_text_parses(command):
    words = shlex.split(command)
    assert words[0] in VERBS
    if words[1:] not in ([], ["--help"]):
        assert make_parser().parse_args(words).verb == words[0]


def test_every_line_is_known():
    """No command but those that the tests here run, parse or look up."""
    known = (*ELSEWHERE, "deltaloom ", ".venv/bin/deltaloom ", "python own.py")
    lines = [step[4:] for step in STEPS if not step.startswith("```")]
    table = [line for line in lines if line[0] in "┌│├└" or line.startswith(" ")]
    others = [line for line in lines if not line.startswith(known)]
    assert others == table and len(table) > 10


def test_extras_are_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [name for words in re.findall(r"\[([a-z,]+)\]'", TEXT) for name in words.split(",")]
    assert {"sim", "fpga", "torch", "host"} <= set(named)
    assert set(named) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("target", TARGETS)
def test_make_target(target):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_python_block(tmp_path, monkeypatch, capsys):
    _, code = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    rng = np.random.default_rng(0)
    shapes = {
        "lstm.weight_ih_l0": (4 * UNITS, INPUTS),
        "lstm.weight_hh_l0": (4 * UNITS, UNITS),
        "fc.weight": (CLASSES, UNITS),
        "fc.bias": (CLASSES,),
    }
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "checkpoint.safetensors")
    dl.import_model(tmp_path / "checkpoint.safetensors").save(tmp_path / "model.safetensors")
    for name, frames in {"calibration": 40, "tuning": 40, "test": 24}.items():
        features = rng.normal(size=(frames, INPUTS)).astype(np.float32)
        data = dl.Dataset((features,), (rng.integers(0, CLASSES, frames),))
        data.save(tmp_path / f"{name}.npz")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    printed = capsys.readouterr().out
    assert "operations eliminated" in printed and "cycles" in printed
    assert names["design"].verilog.stat().st_size > 1000
    assert {path.weight_bits for _, path in names["network"].paths()} <= {4, 16}
    saved = dl.load("net.safetensors")
    assert [p.threshold for _, p in saved.paths()] == [
        p.threshold for _, p in names["network"].paths()
    ]


def follow(folder, *, boards):
    """Do what the README says, top to bottom, in `folder`, with the tree's deltaloom on PATH.

    boards: place and route, too. Returns what each step printed.
    """
    programs = folder / "bin"
    programs.mkdir()
    for name, module in (("deltaloom", "-m deltaloom"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    printed = {}
    for step in STEPS:
        line = step.strip()
        if step.startswith("```"):
            code = step.removeprefix("```python\n").removesuffix("```")
            named = re.search(r"as `(\w+\.py)`", TEXT[: TEXT.index(step)][-400:])
            file = folder / (named[1] if named else "from_python.py")
            file.write_text(code)
            line = "" if named else f"python {file.name}"
        routed = line.startswith("deltaloom build") and "--simulated" not in line
        if not line.startswith(("deltaloom ", "python ")) or (routed and not boards):
            continue
        ran = subprocess.run(
            line, shell=True, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert ran.returncode == 0, (line, ran.stdout, ran.stderr)
        printed[line] = ran.stdout
    return printed


@pytest.mark.slow
def test_a_reader_who_follows_it(tmp_path):
    """All but the environment, the demo, the tests, and place and route."""
    pytest.importorskip("torch")
    printed = follow(tmp_path, boards=False)
    verbs = [line.split()[1] for line in printed if line.startswith("deltaloom")]
    assert verbs == [command.split()[0] for command in COMMANDS if "-o build/board" not in command]
    assert "icarus: 80 output words" in printed["python from_python.py"]
    texts = {line.split()[1]: " ".join(text.split()) for line, text in printed.items()}
    assert "verilator: 800 output words" in texts["simulate"]
    assert "words compared with golden │ 800 │ │ words that differ │ 0" in texts["run"]
    assert (tmp_path / "rtl/deltaloom.v").stat().st_size > 1000


@pytest.mark.fpga
def test_a_reader_who_builds(tmp_path):
    pytest.importorskip("torch")
    follow(tmp_path, boards=True)
    assert (tmp_path / "build/board/ulx3s_85f.bit").stat().st_size > 100_000
