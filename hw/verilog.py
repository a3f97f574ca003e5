# SPDX-License-Identifier: Apache-2.0
"""Verilog that any tool takes as it is, from a component.

Amaranth's own back end writes its processes as `always @*` blocks that a register's initial value
must start. Verilog of 2005 sees that as an event and SystemVerilog does not, so that Icarus with
-g2012 never leaves x. It also writes a wire for each element of an array, with a name like a bit's
(`\\sums[0]` beside the vector `sums`), at which several `synth_` commands of yosys stop. Here
processes become multiplexers, and wires that nothing reads are left out.
"""

from collections.abc import Mapping
from typing import Any

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil  # type: ignore[attr-defined]  # the stubs lack it
from amaranth.lib import wiring

INTERNAL = ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding")
"""Attributes that say how a design was made; `src` would be a path of whoever made it."""


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
    yosys = find_yosys(lambda version: version >= (0, 40))  # type: ignore[no-untyped-call]
    verilog: str = yosys.run(["-q", "-"], "\n".join(script), ignore_warnings=True)
    return verilog
