# SPDX-License-Identifier: Apache-2.0
"""Verilator's run-time library in the user's cache."""

import os

import pytest

from deltaloom.sim import verilator
from deltaloom.sim.verilator import Runtime


@pytest.fixture(autouse=True)
def tools(monkeypatch, tmp_path):
    """A cache of its own, and tools of which only the version is asked."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("verilator", "c++"):
        script = folder / name
        script.write_text(f"#!/bin/sh\necho {name} 1.0\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def design(tmp_path, name, files):
    folder = tmp_path / name
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_text(text)
    return folder


COMPILED = {"verilated.o": "run time", "verilated_vpi.o": "vpi", "Vtop__ALL.o": "model"}


def test_what_one_design_compiled_the_next_one_takes(tmp_path):
    first, second = design(tmp_path, "first", COMPILED), design(tmp_path, "second", {"Vtop.mk": ""})
    Runtime(first, ["--vpi"], os.environ).keep()
    Runtime(second, ["--vpi"], os.environ).put_in()
    found = {file.name: file.read_text() for file in second.iterdir()}
    assert found == {"Vtop.mk": "", "verilated.o": "run time", "verilated_vpi.o": "vpi"}
    # Make leaves them alone: they are no older than the makefile, on which they depend.
    made = (second / "Vtop.mk").stat().st_mtime_ns
    assert (second / "verilated.o").stat().st_mtime_ns >= made


@pytest.mark.parametrize("what", ["options", "version", "flags"])
def test_another_compiler_or_option_has_its_own(tmp_path, monkeypatch, tools, what):
    Runtime(design(tmp_path, "first", COMPILED), ["--vpi"], os.environ).keep()
    options = ["--vpi", "--trace"] if what == "options" else ["--vpi"]
    if what == "version":
        (tools / "c++").write_text("#!/bin/sh\necho c++ 2.0\n")
    if what == "flags":
        monkeypatch.setenv("CXXFLAGS", "-g")
    second = design(tmp_path, "second", {})
    Runtime(second, options, os.environ).put_in()
    assert not list(second.iterdir())


def test_a_cache_that_takes_nothing_is_no_matter(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    runtime = Runtime(design(tmp_path, "first", COMPILED), [], os.environ)
    runtime.keep()
    runtime.put_in()
    assert (tmp_path / "file").read_text() == ""


def test_the_library_is_taken_and_not_compiled(tmp_path, monkeypatch):
    """In the order of the steps: Verilator, what is kept, make, and what is new is kept."""
    steps = []
    monkeypatch.setattr(verilator, "_run", lambda command, *_: steps.append(command[0]))
    monkeypatch.setattr(Runtime, "put_in", lambda self: steps.append("put in"))
    monkeypatch.setattr(Runtime, "keep", lambda self: steps.append("keep"))
    verilator.compile_model([], tmp_path, "top", [], os.environ)
    assert steps == ["verilator", "put in", "make", "keep"]
