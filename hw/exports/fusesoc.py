# SPDX-License-Identifier: Apache-2.0
"""A core file for FuseSoC (CAPI2), and an example that hands the design to Edalize."""

from collections.abc import Collection, Iterator, Mapping
from string import Template
from typing import Any

VENDOR = "deltaloom::"
"""Vendor and, empty, library of the core's name."""

EDALIZE = Template('''\
"""Hands $name to a tool through Edalize: python ${name}_edalize.py [verilator|icarus|yosys]

verilator lints the Verilog, icarus runs the bench of generate --testbench, yosys synthesizes for
ECP5.
"""

import sys
from pathlib import Path

from edalize.edatool import get_edatool

HERE = Path(__file__).resolve().parent
BENCH = HERE / "${name}_tb.v"
OPTIONS = {
    "verilator": {"mode": "lint-only", "verilator_options": ["-Wno-fatal"]},
    "icarus": {"iverilog_options": ["-g2012"]},
    "yosys": {"arch": "ecp5", "output_format": "json", "makefile_name": "$name.mk"},
}


def file(path, kind, **more):
    return {"name": str(path), "file_type": kind, **more}


tool = sys.argv[1] if len(sys.argv) > 1 else "verilator"
files = [file(HERE / "$name.v", "verilogSource-2005")]
if tool == "icarus":
    files.append(file(BENCH, "verilogSource-2005"))
work = HERE / f"edalize_{tool}"
work.mkdir(exist_ok=True)
if tool == "icarus":  # the bench reads these where it runs
    for words in HERE.glob("${name}_tb_*.hex"):
        (work / words.name).write_bytes(words.read_bytes())
design = {
    "name": "$name",
    "toplevel": BENCH.stem if tool == "icarus" else "$name",
    "files": files,
    "tool_options": {tool: OPTIONS[tool]},
}
backend = get_edatool(tool)(edam=design, work_root=str(work))
backend.configure()
backend.build()
if tool == "icarus":
    backend.run()
''')


def core_file(manifest: Mapping[str, Any], beside: Collection[str]) -> str:
    """The text of NAME.core: deltaloom::NAME with the targets default, lint and sim.

    beside: names of other files that are written; the bench's make `sim`, Verilator's waivers are
    `lint`'s.
    """
    name = manifest["top"]
    return "\n".join([*_core(name, manifest["generator"].split()[-1], beside), ""])


def _core(name: str, version: str, beside: Collection[str]) -> Iterator[str]:
    bench, waivers = f"{name}_tb.v" in beside, f"{name}.vlt" in beside
    yield "CAPI=2:"
    yield f'name: "{VENDOR}{name}:{version}"'
    yield "description: A delta-RNN accelerator"
    yield "filesets:"
    yield "  rtl:"
    yield f"    files: [{name}.v: {{file_type: verilogSource-2005}}]"
    if waivers:
        yield "  waivers:"
        yield f"    files: [{name}.vlt: {{file_type: vlt}}]"
    if bench:
        words = sorted(file for file in beside if file.endswith(".hex"))
        yield "  bench:"
        yield "    files:"
        yield f"      - {name}_tb.v: {{file_type: verilogSource-2005}}"
        yield from (f"      - {file}: {{file_type: user, copyto: {file}}}" for file in words)
    yield "targets:"
    yield f"  default: {{filesets: [rtl], toplevel: {name}}}"
    yield "  lint:"
    yield "    default_tool: verilator"
    yield f"    filesets: [{'waivers, ' if waivers else ''}rtl]"
    yield f"    toplevel: {name}"
    options = "-Wall" if waivers else "-Wno-fatal"
    yield f"    tools: {{verilator: {{mode: lint-only, verilator_options: [{options}]}}}}"
    if bench:
        yield "  sim:"
        yield "    default_tool: icarus"
        yield "    filesets: [rtl, bench]"
        yield f"    toplevel: {name}_tb"
        yield "    tools: {icarus: {iverilog_options: [-g2012]}}"


def edalize_example(manifest: Mapping[str, Any]) -> str:
    """The text of NAME_edalize.py."""
    return EDALIZE.substitute(name=manifest["top"])
