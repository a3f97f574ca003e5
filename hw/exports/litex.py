# SPDX-License-Identifier: Apache-2.0
"""A LiteX module around a design: its bus for a SoC, its streams as endpoints."""

from collections.abc import Mapping
from string import Template
from typing import Any

MODULE = Template('''\
"""$name in a LiteX SoC:

    self.$name = Accelerator(platform)
    region = SoCRegion(origin=0x9000_0000, size=Accelerator.SIZE, cached=False)
    self.bus.add_slave("$name", self.$name.bus, region)

The SoC makes a bridge where its bus is Wishbone; $name.h has the addresses in the region. A frame
is $inputs elements into `sink`, `last` with the last beat, and gives $outputs from `source`. A
reader without `user` is connected by `source.connect(sink, omit={"user"})`; a new sequence then
starts by CONTROL.
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.interconnect import stream
from litex.soc.interconnect.axi import AXILiteInterface
from migen import ClockSignal, Instance, ResetSignal


class Accelerator(LiteXModule):
    """In the clock domain sys. `user`: bit 0 with a sequence's first word, bit 1 with any word of
    a sequence's last frame."""

    SIZE = 1 << $address_bits

    def __init__(self, platform, source_file=Path(__file__).resolve().parent / "$name.v"):
        self.bus = bus = AXILiteInterface(data_width=32, address_width=32)
        self.sink = sink = stream.Endpoint([("data", $in_bits), ("user", 2)])
        self.source = source = stream.Endpoint([("data", $out_bits)])
        self.specials += Instance(
            "$name",
            i_clk=ClockSignal("sys"),
            i_rst=ResetSignal("sys"),
            i_s_axis_tvalid=sink.valid,
            o_s_axis_tready=sink.ready,
            i_s_axis_tlast=sink.last,
            i_s_axis_tdata=sink.data,
            i_s_axis_tuser=sink.user,
            o_m_axis_tvalid=source.valid,
            i_m_axis_tready=source.ready,
            o_m_axis_tlast=source.last,
            o_m_axis_tdata=source.data,
            i_s_axil_awvalid=bus.aw.valid,
            o_s_axil_awready=bus.aw.ready,
            i_s_axil_awaddr=bus.aw.addr[:$address_bits],
            i_s_axil_awprot=bus.aw.prot,
            i_s_axil_wvalid=bus.w.valid,
            o_s_axil_wready=bus.w.ready,
            i_s_axil_wdata=bus.w.data,
            i_s_axil_wstrb=bus.w.strb,
            o_s_axil_bvalid=bus.b.valid,
            i_s_axil_bready=bus.b.ready,
            o_s_axil_bresp=bus.b.resp,
            i_s_axil_arvalid=bus.ar.valid,
            o_s_axil_arready=bus.ar.ready,
            i_s_axil_araddr=bus.ar.addr[:$address_bits],
            i_s_axil_arprot=bus.ar.prot,
            o_s_axil_rvalid=bus.r.valid,
            i_s_axil_rready=bus.r.ready,
            o_s_axil_rdata=bus.r.data,
            o_s_axil_rresp=bus.r.resp,
        )
        platform.add_source(str(source_file))
''')


def litex_module(manifest: Mapping[str, Any]) -> str:
    """The text of NAME_litex.py."""
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    return MODULE.substitute(
        name=manifest["top"],
        inputs=manifest["inputs"],
        outputs=manifest["outputs"],
        in_bits=widths["s_axis_tdata"],
        out_bits=widths["m_axis_tdata"],
        address_bits=widths["s_axil_awaddr"],
    )
