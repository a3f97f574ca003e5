# SPDX-License-Identifier: Apache-2.0
"""What `generate` writes depends on the network and its configuration, and on nothing else."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import deltaloom
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.generate import MANIFEST_FORMAT, generate

SHAPE = [("gru", 3), ("linear", 2)]
FOLDERS = ("golden", "hw")  # all that `generate` imports, besides the package's own modules
IGNORED = shutil.ignore_patterns("__pycache__", "data", "verbs")
SCRIPT = f"""
import sys
from pathlib import Path

import deltaloom.hw.generate
from deltaloom.golden.models.synthetic import make_network

deltaloom.hw.generate.generate(make_network({SHAPE}, 2, seed=1), Path(sys.argv[1]))
print(deltaloom.hw.generate.__file__)
"""


def copy_of_the_package(folder):
    """The source that `generate` takes, in another folder: what `PYTHONPATH` is to name."""
    source = Path(deltaloom.__file__).parent
    target = folder / "deltaloom"
    target.mkdir(parents=True)
    for file in source.glob("*.py"):
        shutil.copy(file, target)
    for name in FOLDERS:
        shutil.copytree(source / name, target / name, ignore=IGNORED)
    return folder


def generate_by(package, folder):
    """Writes the design with the source at `package`, in a process of its own."""
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        env={"PYTHONPATH": str(package), "PYTHONHASHSEED": "random"},
        cwd=folder.parent,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert Path(process.stdout.strip()).is_relative_to(package)


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def design(tmp_path_factory):
    """A design by the source that the tests import."""
    folder = tmp_path_factory.mktemp("here")
    generate(make_network(SHAPE, 2, seed=1), folder)
    return contents(folder)


def test_the_same_bytes_from_any_folder_by_source_in_any_folder(design, tmp_path):
    there = tmp_path / "somewhere" / "else"
    there.parent.mkdir()
    generate_by(copy_of_the_package(tmp_path / "another source"), there)
    assert contents(there) == design


def test_no_file_of_a_design_names_a_path(design):
    assert design.keys() >= {"deltaloom.v", "manifest.json", "weights.hex"}
    for name, text in design.items():
        found = re.search(rb"[\"' ](/[\w.-]+){2,}|[A-Z]:\\|\.py\b|\(\* src\b", text)
        assert not found, f"{name}: {found[0]!r}"


def test_the_manifest_names_its_format(design):
    facts = json.loads(design["manifest.json"])
    assert facts["format"] == MANIFEST_FORMAT == 1
    assert next(iter(facts)) == "format"
