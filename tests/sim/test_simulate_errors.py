# SPDX-License-Identifier: Apache-2.0
"""What users can get wrong, and tools that fail: one line each, with the way out."""

import json
import pathlib
import sys

import numpy as np
import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.models.synthetic import make_frames, make_network
from deltaloom.sim.simulate import simulate
from deltaloom.sim.stimulus import Stimulus

NETWORK = make_network([("linear", 3)], 5)
FRAMES = [make_frames(5, 4)]


@pytest.fixture
def design(tmp_path):
    """A design that no simulator gets to see."""
    manifest = {"word_bits": 8, "lists": [], "layers": [{"name": "linear0", "state_base": 0}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    file = tmp_path / "deltaloom.v"
    file.write_text("")
    return file


def test_design_that_does_not_build(tmp_path):
    file = tmp_path / "broken.v"
    file.write_text("module deltaloom(input clk; endmodule\n")
    manifest = {"word_bits": 8, "lists": [], "layers": [{"name": "linear0", "state_base": 0}]}
    with pytest.raises(UserError, match=r"icarus cannot build .*syntax error.*; see ") as error:
        simulate(
            file,
            NETWORK,
            FRAMES,
            workdir=tmp_path / "work",
            manifest=manifest,
            simulator="icarus",
        )
    log = str(error.value).rpartition("; see ")[2]
    assert "syntax error" in pathlib.Path(log).read_text()


def test_bench_that_cannot_start(tmp_path):
    """A top module without the ports: no result, and the log says why."""
    file = tmp_path / "empty.v"
    file.write_text("module deltaloom(input clk, input rst); endmodule\n")
    manifest = {"word_bits": 8, "lists": [], "layers": [{"name": "linear0", "state_base": 0}]}
    with pytest.raises(UserError, match=r"the bench ended without a result .*1 tests, 1 failed"):
        simulate(
            file,
            NETWORK,
            FRAMES,
            workdir=tmp_path / "work",
            manifest=manifest,
            simulator="icarus",
        )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"simulator": "vcs"}, "simulator: 'vcs' is unknown, choose icarus or verilator"),
        ({"frames": []}, "frames: there are none"),
        ({"frames": [np.zeros((3, 4))]}, "frames: sequence 0 has shape"),
        ({"frames": [np.zeros((0, 5))]}, "with at least one step"),
        ({"frames": [np.full((1, 5), 40000)]}, "sequence 0 is outside -32768..32767"),
        ({"thresholds": {"nobody.x": 1}}, "threshold of 'nobody.x': no such path"),
    ],
)
def test_arguments(design, bad, message):
    arguments = {"simulator": "icarus", "frames": FRAMES, **bad}
    frames = arguments.pop("frames")
    with pytest.raises(UserError, match=message):
        simulate(design, NETWORK, frames, workdir=design.parent, **arguments)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"idle": 1.0}, "idle: 1.0 is not possible, it must be at least 0 and below 1"),
        ({"backpressure": -0.1}, "backpressure: -0.1 is not possible"),
        ({"new_sequence": "gpio"}, "new_sequence: 'gpio' is unknown, choose tuser or register"),
    ],
)
def test_stimulus(bad, message):
    with pytest.raises(UserError, match=message):
        Stimulus(**bad)


def test_missing_files(tmp_path):
    with pytest.raises(UserError, match="there is no such file; run deltaloom generate first"):
        simulate(tmp_path / "no.v", NETWORK, FRAMES, workdir=tmp_path)
    file = tmp_path / "deltaloom.v"
    file.write_text("")
    with pytest.raises(UserError, match="cannot be read as a manifest"):
        simulate(file, NETWORK, FRAMES, workdir=tmp_path)
    (tmp_path / "manifest.json").write_text('{"lists": []}')
    with pytest.raises(UserError, match="'layers' is missing; run deltaloom generate again"):
        simulate(file, NETWORK, FRAMES, workdir=tmp_path)


def test_a_manifest_of_another_format_is_refused(design):
    file = design.with_name("manifest.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2}))
    message = r"manifest\.json: format 2 is unknown, this version reads 1; run deltaloom generate"
    with pytest.raises(UserError, match=message):
        simulate(design, NETWORK, FRAMES, workdir=design.parent)


def test_missing_simulator(design, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="install it with: apt-get install iverilog"):
        simulate(design, NETWORK, FRAMES, workdir=tmp_path, simulator="icarus")


def test_missing_libpython(design, tmp_path, monkeypatch):
    """Debian's python3 without its shared library: the line names the package."""
    monkeypatch.delenv("LIBPYTHON_LOC", raising=False)
    monkeypatch.setattr("find_libpython.find_libpython", lambda: None)
    package = f"libpython3.{sys.version_info.minor}"
    with pytest.raises(UserError, match=f"shared library .* with: apt-get install {package}$"):
        simulate(design, NETWORK, FRAMES, workdir=tmp_path, simulator="icarus")
