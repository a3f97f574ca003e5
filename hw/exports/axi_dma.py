# SPDX-License-Identifier: Apache-2.0
"""A design behind an AXI DMA: a wrapper whose packets are many frames, in plain Verilog."""

from collections.abc import Mapping
from string import Template
from typing import Any

VERILOG = Template("""\
// $name for an AXI DMA: a packet of s_axis is one frame or many, and gives one packet of m_axis.
// Frames are cut by counting; tlast of a packet's last word ends its last frame, and that frame's
// last output has tlast. The next packet waits until then. A packet ends a sequence only where the
// network has backward layers; elsewhere the next one goes on with it, unless NEW_SEQUENCE was
// written to CONTROL. The DMA's streams are as wide as tdata here; all bytes of tkeep are set.
module ${name}_dma (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 clk CLK",
       X_INTERFACE_PARAMETER = "ASSOCIATED_BUSIF s_axil:s_axis:m_axis, ASSOCIATED_RESET aresetn" *)
    input clk,
    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 aresetn RST",
       X_INTERFACE_PARAMETER = "POLARITY ACTIVE_LOW" *)
    input aresetn,
    input [$in_top:0] s_axis_tdata,
    input [$in_keep:0] s_axis_tkeep,
    input s_axis_tvalid,
    output s_axis_tready,
    input s_axis_tlast,
    output [$out_top:0] m_axis_tdata,
    output [$out_keep:0] m_axis_tkeep,
    output m_axis_tvalid,
    input m_axis_tready,
    output m_axis_tlast,
    input [$address_top:0] s_axil_awaddr,
    input [2:0] s_axil_awprot,
    input s_axil_awvalid,
    output s_axil_awready,
    input [31:0] s_axil_wdata,
    input [3:0] s_axil_wstrb,
    input s_axil_wvalid,
    output s_axil_wready,
    output [1:0] s_axil_bresp,
    output s_axil_bvalid,
    input s_axil_bready,
    input [$address_top:0] s_axil_araddr,
    input [2:0] s_axil_arprot,
    input s_axil_arvalid,
    output s_axil_arready,
    output [31:0] s_axil_rdata,
    output [1:0] s_axil_rresp,
    output s_axil_rvalid,
    input s_axil_rready
);
  localparam [31:0] BEATS = $beats;  // words of a frame

  reg [31:0] beat;  // of the frame
  reg [31:0] open;  // frames that have arrived and whose outputs are not all delivered
  reg closing;  // the packet's last word has arrived
  wire rst = !aresetn;
  wire ready;
  wire end_in = s_axis_tlast || beat == BEATS - 1;
  wire end_out;
  wire taken = s_axis_tvalid && s_axis_tready;
  wire given = m_axis_tvalid && m_axis_tready;
  wire arrived = taken && end_in;
  wire delivered = given && end_out;

  assign s_axis_tready = ready && !closing;
  assign m_axis_tkeep = {$out_bytes{1'b1}};
  assign m_axis_tlast = end_out && closing && open == 32'd1;

  always @(posedge clk)
    if (rst) begin
      beat <= 32'd0;
      open <= 32'd0;
      closing <= 1'b0;
    end else begin
      if (taken) beat <= end_in ? 32'd0 : beat + 32'd1;
      if (arrived && !delivered) open <= open + 32'd1;
      if (delivered && !arrived) open <= open - 32'd1;
      if (taken && s_axis_tlast) closing <= 1'b1;
      if (given && m_axis_tlast) closing <= 1'b0;
    end

  $name accelerator (
      .clk(clk),
      .rst(rst),
      .s_axis_tdata(s_axis_tdata),
      .s_axis_tvalid(s_axis_tvalid && !closing),
      .s_axis_tready(ready),
      .s_axis_tlast(end_in),
      .s_axis_tuser({s_axis_tlast, 1'b0}),
      .m_axis_tdata(m_axis_tdata),
      .m_axis_tvalid(m_axis_tvalid),
      .m_axis_tready(m_axis_tready),
      .m_axis_tlast(end_out),
$bus
  );
endmodule
""")


def dma_wrapper(manifest: Mapping[str, Any]) -> str:
    """The text of NAME_dma.v."""
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    into, out = widths["s_axis_tdata"], widths["m_axis_tdata"]
    bus = [f"      .{name}({name})" for name in widths if name.startswith("s_axil_")]
    return VERILOG.substitute(
        name=manifest["top"],
        in_top=into - 1,
        in_keep=into // 8 - 1,
        out_top=out - 1,
        out_keep=out // 8 - 1,
        out_bytes=out // 8,
        address_top=widths["s_axil_awaddr"] - 1,
        beats=-(-manifest["inputs"] * 16 // into),
        bus=",\n".join(bus),
    )
