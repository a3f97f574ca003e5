# SPDX-License-Identifier: Apache-2.0
"""pyproject.toml against the tree: what is installed is what is here."""

import importlib.metadata
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import deltaloom
from deltaloom import cli

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "deltaloom"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def folders():
    """Every folder under the package with Python files, through the links, as (name, folder)."""
    for place, inner, files in os.walk(SOURCE, followlinks=True):
        inner[:] = [name for name in inner if name != "__pycache__"]
        if any(name.endswith(".py") for name in files):
            folder = Path(place)
            yield ".".join(("deltaloom", *folder.relative_to(SOURCE).parts)), folder


def test_the_walk_follows_the_links():
    found = dict(folders())
    assert {"deltaloom", "deltaloom.golden", "deltaloom.hw", "deltaloom.verbs"} <= found.keys()


def test_every_package_is_listed_once():
    assert sorted(SETUPTOOLS["packages"]) == sorted(name for name, _ in folders())


@pytest.mark.parametrize(("name", "folder"), list(folders()))
def test_every_folder_is_a_package(name, folder):
    assert (folder / "__init__.py").is_file(), f"{name} has no __init__.py"


@pytest.mark.parametrize(("package", "folder"), list(SETUPTOOLS["package-dir"].items()))
def test_links_and_package_dir_agree(package, folder):
    link = SOURCE.joinpath(*package.split(".")[1:])
    assert link.resolve() == (ROOT / folder).resolve()
    assert link.is_symlink() == (link != SOURCE)


def test_links_are_relative():
    assert all(not p.readlink().is_absolute() for p in SOURCE.iterdir() if p.is_symlink())


def test_package_data_is_the_data_in_the_tree():
    """Nothing under data is left out of the wheel, and no pattern matches nothing."""
    listing = subprocess.run(
        ["git", "ls-files", "src/deltaloom/data"], cwd=ROOT, capture_output=True, text=True
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    patterns = SETUPTOOLS["package-data"]["deltaloom"]
    matches = {pattern: {p for p in SOURCE.glob(pattern) if p.is_file()} for pattern in patterns}
    assert all(matches.values()), matches
    tracked = {ROOT / name for name in listing.stdout.splitlines()}
    assert len(tracked) > 5
    assert {p for found in matches.values() for p in found} == tracked | {SOURCE / "py.typed"}


def test_each_data_folder_has_its_licence():
    folders = [p for p in (SOURCE / "data").iterdir() if p.is_dir()]
    assert folders and all((folder / "LICENSE.txt").is_file() for folder in folders)
    files = [p for pattern in PROJECT["project"]["license-files"] for p in ROOT.glob(pattern)]
    assert set(files) == {ROOT / "LICENSE", *(folder / "LICENSE.txt" for folder in folders)}


def test_who_wrote_it_and_for_what():
    project = PROJECT["project"]
    assert project["authors"] == [{"name": "deltaloom contributors"}]
    assert "urls" not in project  # there is no public host yet
    least = project["requires-python"].removeprefix(">=3.")
    named = [c.rpartition("3.")[2] for c in project["classifiers"] if "Python :: 3." in c]
    assert named[0] == least and named == [str(int(least) + n) for n in range(len(named))]
    assert "LSTM" in project["keywords"]


def test_citation_is_of_this_version():
    """CITATION.cff is plain enough to be read line by line."""
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    facts = dict(re.findall(r"^([a-z-]+): *(.+)$", text, re.MULTILINE))
    assert facts["version"] == deltaloom.__version__
    assert facts["license"] == "Apache-2.0"
    assert re.fullmatch(r'"\d{4}-\d\d-\d\d"', facts["date-released"])
    assert "doi" not in facts


def test_console_script():
    module, _, function = PROJECT["project"]["scripts"]["deltaloom"].partition(":")
    assert (module, getattr(cli, function)) == (cli.__name__, cli.entry)


def test_version_is_the_installed_one():
    assert importlib.metadata.version("deltaloom") == deltaloom.__version__
