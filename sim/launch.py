# SPDX-License-Identifier: Apache-2.0
"""One step of a simulation in a process of its own: `python -m deltaloom.sim.launch STEP JSON`.

cocotb's runner takes tools and settings from the environment, prints, and leaves by SystemExit; the
process that runs this one gives the environment, keeps the log and reads the exit code.
"""

import json
import sys
from pathlib import Path
from typing import Any

from cocotb_tools.runner import get_runner

from .job import PLUSARG

TOP = "deltaloom"
"""Name of the generated top module."""
BENCH = "deltaloom.sim.bench"


def build(simulator: str, sources: list[str], folder: str, waves: bool) -> None:
    """Compile the Verilog into `folder`."""
    # Lint is not the matter here, and the generated Verilog has its own idea of it.
    extra = ["-Wno-fatal", "-Wno-lint", "-Wno-style", "-O3"] if simulator == "verilator" else []
    get_runner(simulator).build(
        sources=[Path(source) for source in sources],
        hdl_toplevel=TOP,
        build_dir=folder,
        build_args=extra,
        timescale=("1ns", "1ps"),
        always=True,
        waves=waves,
    )


def run(simulator: str, build: str, folder: str, seed: int, waves: str) -> None:
    """Run the bench on the job in `folder`; waves: the file to write them to, or ""."""
    icarus = simulator == "icarus"
    get_runner(simulator).test(
        test_module=BENCH,
        hdl_toplevel=TOP,
        hdl_toplevel_lang="verilog",
        build_dir=build,
        test_dir=folder,
        results_xml=str(Path(folder) / "results.xml"),
        seed=seed,
        waves=bool(waves),
        plusargs=[f"+{PLUSARG}={folder}"]
        + ([f"+dumpfile_path={waves}"] if waves and icarus else []),
        test_args=["--trace-file", waves] if waves and not icarus else [],
        timescale=("1ns", "1ps"),
    )


def main(argv: list[str]) -> None:
    step, text = argv
    arguments: dict[str, Any] = json.loads(text)
    {"build": build, "run": run}[step](**arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
