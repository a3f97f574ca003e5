# SPDX-License-Identifier: Apache-2.0
"""One step of a simulation in a process of its own: `python -m deltaloom.sim.launch STEP JSON`.

cocotb's runner takes tools and settings from the environment, prints, and leaves by SystemExit; the
process that runs this one gives the environment, keeps the log and reads the exit code.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cocotb_tools.runner import get_runner

from .names import BENCH, PLUSARG
from .verilator import compile_for_cocotb

DUMP = "deltaloom_dump"
# TOP stands for the top module.
DUMP_MODULE = f"""\
module {DUMP}();
  reg [8*1024-1:0] file;
  initial if ($value$plusargs("{DUMP}=%s", file)) begin
    $dumpfile(file);
    $dumpvars(0, TOP);
  end
endmodule
"""


def build(simulator: str, sources: list[str], folder: str, waves: bool, top: str) -> None:
    """Compile the Verilog into `folder`."""
    files = [Path(source) for source in sources]
    if simulator == "verilator":
        compile_for_cocotb(files, Path(folder), top, waves=waves)
        return
    # As SystemVerilog, which the runner asks for, a register's initial value is no event, and
    # an always @* that reads nothing else would never run: X in what Yosys writes.
    extra = ["-g2005"]
    if waves:  # the runner's own module for it is SystemVerilog
        dump = Path(folder) / f"{DUMP}.v"
        dump.write_text(DUMP_MODULE.replace("TOP", top), "ascii")
        files.append(dump)
        extra += ["-s", DUMP]
    get_runner(simulator).build(
        sources=files,
        hdl_toplevel=top,
        build_dir=folder,
        build_args=extra,
        timescale=("1ns", "1ps"),
        always=True,
    )


def run(
    simulator: str,
    build: str,
    folder: str,
    seed: int,
    waves: str,
    top: str,
    plusargs: list[str],
) -> None:
    """Run the bench on the job in `folder`; waves: the file to write them to, or ""."""
    icarus = simulator == "icarus"
    get_runner(simulator).test(
        test_module=BENCH,
        hdl_toplevel=top,
        hdl_toplevel_lang="verilog",
        build_dir=build,
        test_dir=folder,
        results_xml=str(Path(folder) / "results.xml"),
        seed=seed,
        # The bench asserts nothing: pytest, which would rewrite assertions, is not imported.
        extra_env={"COCOTB_REWRITE_ASSERTION_FILES": ""},
        waves=bool(waves),
        plusargs=[
            f"+{PLUSARG}={folder}",
            *plusargs,
            *([f"+{DUMP}={waves}"] if waves and icarus else []),
        ],
        test_args=["--trace-file", waves] if waves and not icarus else [],
        timescale=("1ns", "1ps"),
    )


def main(argv: list[str]) -> None:
    step, text = argv
    arguments: dict[str, Any] = json.loads(text)
    if step == "run":
        run(**arguments)
        return
    try:
        build(**arguments)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        # The compiler's own last words shall be the log's last.
        raise SystemExit(1) from error


if __name__ == "__main__":
    main(sys.argv[1:])
