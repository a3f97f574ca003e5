# SPDX-License-Identifier: Apache-2.0
"""An accelerator's instance in a bench of plain Verilog, and the widths of its stream words.

A bench declares `next`, the word of s_axis that is sent, as {tuser, tlast, tdata}, with `sending`
and `ready`, and `word`, `last` and `valid` of m_axis, whose words are always taken.
"""

from collections.abc import Mapping

from ..hw.config import AcceleratorConfig

BASE = {
    "clk": "clk",
    "rst": "rst",
    "s_axis_tdata": "next[{tdata}]",
    "s_axis_tvalid": "sending",
    "s_axis_tready": "ready",
    "s_axis_tlast": "next[{tlast}]",
    "s_axis_tuser": "next[{tuser}]",
    "m_axis_tdata": "word",
    "m_axis_tvalid": "valid",
    "m_axis_tready": "1'b1",
    "m_axis_tlast": "last",
}
IDLE_BUS = {
    "s_axil_awaddr": "24'd0",
    "s_axil_awprot": "3'd0",
    "s_axil_awvalid": "1'b0",
    "s_axil_awready": "",
    "s_axil_wdata": "32'd0",
    "s_axil_wstrb": "4'd0",
    "s_axil_wvalid": "1'b0",
    "s_axil_wready": "",
    "s_axil_bresp": "",
    "s_axil_bvalid": "",
    "s_axil_bready": "1'b1",
    "s_axil_araddr": "24'd0",
    "s_axil_arprot": "3'd0",
    "s_axil_arvalid": "1'b0",
    "s_axil_arready": "",
    "s_axil_rdata": "",
    "s_axil_rresp": "",
    "s_axil_rvalid": "",
    "s_axil_rready": "1'b1",
}
"""A bus that nobody writes or reads."""


def instance(module: str, config: AcceleratorConfig, bus: Mapping[str, str] | None = None) -> str:
    """The instance `dut` of a module.

    bus: what else than `IDLE_BUS` has is connected to ports of the bus.
    """
    places = stream_facts(config)
    ports = {port: text.format(**places) for port, text in BASE.items()}
    ports |= IDLE_BUS | dict(bus or {})
    lines = ",\n".join(f"      .{port}({text})" for port, text in ports.items())
    return f"  {module} dut (\n{lines}\n  );\n"


def stream_facts(config: AcceleratorConfig) -> dict[str, str]:
    """Highest bits of words (in_top, out_top, data_top of m_axis), and where the parts of a word of
    s_axis are.
    """
    into, out = 16 * config.input_elements, 16 * config.output_elements
    return {
        "in_top": f"{into + 2}",
        "out_top": f"{out}",
        "data_top": f"{out - 1}",
        "tdata": f"{into - 1}:0",
        "tlast": f"{into}",
        "tuser": f"{into + 2}:{into + 1}",
    }
