# SPDX-License-Identifier: Apache-2.0
"""README.md against the tree: its folders, its Python, its commands; links: test_docs.py."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import deltaloom as dl
from deltaloom.cli import make_parser

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")
LINKS = sorted(set(re.findall(r"\]\(([^)#\s]+)", TEXT)))
FOLDERS = sorted(set(re.findall(r"`([a-z]+/)`", TEXT)))
COMMANDS = re.findall(r"^    (?:\.venv/bin/)?deltaloom (.*?)\s*(?:#.*)?$", TEXT, re.MULTILINE)
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


@pytest.mark.parametrize("target", TARGETS)
def test_make_target(target):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_python_block(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
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
