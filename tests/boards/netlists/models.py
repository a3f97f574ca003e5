# SPDX-License-Identifier: Apache-2.0
"""Cells as Verilog that Icarus simulates: yosys's own models, and ours where it has none.

Yosys has LUTs, flip-flops, carries and distributed memories of every family, and all of an iCE40.
Of block RAMs and multipliers of ECP5 and Gowin it has the ports alone; what is here is what yosys's
mapping files (brams_map.v, dsp_map.v) take them to do, in the modes that it makes use of, and stops
the simulation at any other. The vendors describe them in Lattice FPGA-TN-02204 and -02205 and Gowin
UG285 and UG287. A word that is read while the other port writes it is x: the hardware must not
depend on it.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

ROWS = 64
"""INITVAL_00 to _3F, or INIT_RAM_00 to _3F."""


def ice40(share: Path) -> str:
    """iCE40: all of yosys's own. Default values of ports are beyond Icarus 11."""
    define = "`define NO_ICE40_DEFAULT_ASSIGNMENTS\n"
    return define + (share / "ice40/cells_sim.v").read_text()


def gowin(share: Path) -> str:
    """Gowin: yosys's own but for block RAMs and multipliers."""
    own = (share / "gowin/cells_sim.v").read_text()
    own = re.sub(r"module (SPX9|SDPX9|DPX9) .*?endmodule", "", own, flags=re.DOTALL)
    return "\n".join([own, *_GOWIN])


def ecp5(share: Path) -> str:
    """ECP5: yosys's own but for block RAMs and multipliers, and without what Icarus 11 lacks."""
    folder = share / "ecp5"
    own = (folder / "cells_sim.v").read_text()
    own = re.sub(r"module DP16KD.*?endmodule", "", own, flags=re.DOTALL)
    for name in ("common_sim.vh", "ccu2c_sim.vh"):
        own = own.replace(f'`include "{name}"', (folder / name).read_text())
    own = re.sub(r"^\s*\$error\(.*\);$", "", own, flags=re.MULTILINE)
    return "\n".join(["`define NO_INCLUDES", own, *_ECP5])


MODELS: dict[str, Callable[[Path], str]] = {"ecp5": ecp5, "ice40": ice40, "gowin": gowin}


def _pins(name: str, count: int) -> str:
    """NAME17, NAME16 and so on."""
    return ", ".join(f"{name}{n}" for n in reversed(range(count)))


def _rows(name: str, bits: int) -> str:
    return "\n".join(f"  parameter {name}_{n:02X} = {bits}'d0;" for n in range(ROWS))


def _known(name: str, count: int) -> str:
    """An address, whose bits that are constant x, for any, are 0."""
    return f"wire [{count - 1}:0] {name} = " + "{" + _known_bits(name, count) + "};"


def _known_bits(name: str, count: int) -> str:
    return ", ".join(f"{name}{n} === 1'b1" for n in reversed(range(count)))


def _init(name: str, words: int, bits: int, stride: int) -> str:
    """Statements that fill `mem`, of 18-bit (ECP5) or 9-bit (Gowin) pieces."""
    return "\n".join(
        f"    for (n = 0; n < {words}; n = n + 1) "
        f"mem[{row * words} + n] = {name}_{row:02X}[{stride} * n +: {bits}];"
        for row in range(ROWS)
    )


_DP16KD = f"""
module DP16KD(
  input {_pins("DIA", 18)}, {_pins("ADA", 14)}, CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  input {_pins("DIB", 18)}, {_pins("ADB", 14)}, CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output {_pins("DOA", 18)}, {_pins("DOB", 18)});
  parameter DATA_WIDTH_A = 18;
  parameter DATA_WIDTH_B = 18;
  parameter REGMODE_A = "NOREG";
  parameter REGMODE_B = "NOREG";
  parameter WRITEMODE_A = "NORMAL";
  parameter WRITEMODE_B = "NORMAL";
  parameter RESETMODE = "SYNC";
  parameter ASYNC_RESET_RELEASE = "SYNC";
  parameter CSDECODE_A = "0b000";
  parameter CSDECODE_B = "0b000";
  parameter CLKAMUX = "CLKA";
  parameter CLKBMUX = "CLKB";
  parameter GSR = "AUTO";
{_rows("INITVAL", 320)}
  reg [17:0] mem [0:1023];
  integer n;
  localparam WIDE = DATA_WIDTH_A == 36;
  initial begin
    if (!(WIDE ? DATA_WIDTH_B == 36 : DATA_WIDTH_A == 18 && DATA_WIDTH_B == 18)
        || CLKAMUX != "CLKA" || CLKBMUX != "CLKB") begin
      $display("DP16KD of %0d and %0d bits, %s, %s", DATA_WIDTH_A, DATA_WIDTH_B, CLKAMUX, CLKBMUX);
      $fatal(1);
    end
{_init("INITVAL", 16, 18, 20)}
  end
  {_known("ADA", 14)}
  {_known("ADB", 14)}
  wire [17:0] DIA = {{{_pins("DIA", 18)}}};
  wire [17:0] DIB = {{{_pins("DIB", 18)}}};
  reg [17:0] qa, qb, ra, rb;
  wire [17:0] mask_a = {{{{9{{ADA[1]}}}}, {{9{{ADA[0]}}}}}};
  wire [17:0] mask_b = {{{{9{{ADB[1]}}}}, {{9{{ADB[0]}}}}}};
  wire [17:0] mask_w = {{{{9{{ADA[3]}}}}, {{9{{ADA[2]}}}}}};
  initial begin qa = 0; qb = 0; ra = 0; rb = 0; end
  // What the other port writes of the word that this one reads.
  wire same = WIDE ? ADA[13:5] == ADB[13:5] : ADA[13:4] == ADB[13:4];
  wire [35:0] written = CEA && WEA && same ? {{mask_w, mask_a}} : 36'd0;
  wire [17:0] written_b = CEB && WEB && same ? mask_b : 18'd0;
  wire [8:0] row_a = ADA[13:5];
  wire [8:0] row_b = ADB[13:5];
  wire [35:0] wide = {{mem[{{row_b, 1'b1}}], mem[{{row_b, 1'b0}}]}};
  always @(posedge CLKA) begin
    if (WIDE && CEA && WEA) begin
      mem[{{row_a, 1'b0}}] <= DIA & mask_a | mem[{{row_a, 1'b0}}] & ~mask_a;
      mem[{{row_a, 1'b1}}] <= DIB & mask_w | mem[{{row_a, 1'b1}}] & ~mask_w;
    end
    if (!WIDE && CEA) begin
      if (!WEA || WRITEMODE_A == "READBEFOREWRITE")
        qa <= mem[ADA[13:4]] ^ (written_b & 18'bx);
      else if (WRITEMODE_A == "WRITETHROUGH")
        qa <= DIA & mask_a | mem[ADA[13:4]] & ~mask_a;
      if (WEA) mem[ADA[13:4]] <= DIA & mask_a | mem[ADA[13:4]] & ~mask_a;
    end
    if (!WIDE && OCEA) ra <= qa;
    if (RSTA === 1'b1) begin
      $display("%m: a reset");
      $fatal(1);
    end
  end
  always @(posedge CLKB) begin
    if (WIDE && CEB) {{qb, qa}} <= wide ^ (written & 36'bx);
    if (!WIDE && CEB) begin
      if (!WEB || WRITEMODE_B == "READBEFOREWRITE")
        qb <= mem[ADB[13:4]] ^ (written[17:0] & 18'bx);
      else if (WRITEMODE_B == "WRITETHROUGH")
        qb <= DIB & mask_b | mem[ADB[13:4]] & ~mask_b;
      if (WEB) mem[ADB[13:4]] <= DIB & mask_b | mem[ADB[13:4]] & ~mask_b;
    end
    if (WIDE && OCEB) ra <= qa;
    if (OCEB) rb <= qb;
    if (RSTB === 1'b1) begin
      $display("%m: a reset");
      $fatal(1);
    end
  end
  assign {{{_pins("DOA", 18)}}} = REGMODE_A == "OUTREG" ? ra : qa;
  assign {{{_pins("DOB", 18)}}} = REGMODE_B == "OUTREG" ? rb : qb;
endmodule
"""

_MULT18X18D = f"""
module MULT18X18D(
  input {_pins("A", 18)}, {_pins("B", 18)}, {_pins("C", 18)},
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output {_pins("P", 36)});
  parameter REG_INPUTA_CLK = "NONE";
  parameter REG_INPUTB_CLK = "NONE";
  parameter REG_PIPELINE_CLK = "NONE";
  parameter REG_OUTPUT_CLK = "NONE";
  parameter MULT_BYPASS = "DISABLED";
  parameter RESETMODE = "SYNC";
  parameter GSR = "AUTO";
  initial
    if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_PIPELINE_CLK != "NONE"
        || MULT_BYPASS != "DISABLED" || (REG_OUTPUT_CLK != "NONE" && REG_OUTPUT_CLK != "CLK0"))
      begin
        $display("%m: a register that is not modelled");
        $fatal(1);
      end
  wire signed [18:0] a = {{SIGNEDA & A17, {_pins("A", 18)}}};
  wire signed [18:0] b = {{SIGNEDB & B17, {_pins("B", 18)}}};
  wire signed [37:0] product = a * b;
  reg [35:0] kept;
  initial kept = 0;
  always @(posedge CLK0) if (RST0 === 1'b1) kept <= 0; else if (CE0) kept <= product[35:0];
  assign {{{_pins("P", 36)}}} = REG_OUTPUT_CLK == "NONE" ? product[35:0] : kept;
endmodule
"""
_ECP5 = (_DP16KD, _MULT18X18D)


def _gowin_memory(name: str, ports: str, parameters: Sequence[str], body: str) -> str:
    """A block RAM as 2048 pieces of 9 bits, and what `body` makes of it."""
    given = "\n".join(f"  parameter {text};" for text in parameters)
    return f"""
module {name}({ports});
{given}
  parameter READ_MODE = 1'b0;
  parameter RESET_MODE = "SYNC";
{_rows("INIT_RAM", 288)}
  reg [8:0] mem [0:2047];
  integer n, k;
  initial begin
{_init("INIT_RAM", 32, 9, 9)}
  end
{body}
endmodule
"""


def _piece(address: str) -> str:
    """The first piece of the word of `width` bits at an address."""
    return f"({address} >> 3) & ~(width / 9 - 1)"


_READ = """
  function [35:0] word(input [10:0] first, input integer width);
    word = {mem[first + 3], mem[first + 2], mem[first + 1], mem[first]};
  endfunction
  function [10:0] first(input [13:0] address, input integer width);
    first = (address >> 3) & ~(width / 9 - 1);
  endfunction
  function [35:0] mask(input [13:0] address, input integer width);  // of the bytes written
    mask = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}}
         | (width == 9 ? 36'h1ff : 36'd0);
  endfunction
  task check(input integer width, input bad);
    if ((width != 9 && width != 18 && width != 36) || READ_MODE || bad === 1'b1) begin
      $display("%m: a mode that is not modelled");
      $fatal(1);
    end
  endtask
  task write(input [13:0] address, input integer width, input [35:0] data);
    for (k = 0; k < width / 9; k = k + 1)
      if (width == 9 || address[k]) mem[first(address, width) + k] = data[9 * k +: 9];
  endtask
"""
_SPX9 = _gowin_memory(
    "SPX9",
    "output reg [35:0] DO, input [35:0] DI, input [2:0] BLKSEL, input [13:0] AD, "
    "input WRE, CLK, CE, OCE, RESET",
    ("BIT_WIDTH = 36", "WRITE_MODE = 2'b00", "BLK_SEL = 3'b000"),
    _READ
    + """
  initial DO = 0;
  always @(posedge CLK) begin
    check(BIT_WIDTH, RESET);
    if (CE && (!WRE || WRITE_MODE == 2'b10)) DO = word(first(AD, BIT_WIDTH), BIT_WIDTH);
    if (CE && WRE) write(AD, BIT_WIDTH, DI);
    if (CE && WRE && WRITE_MODE == 2'b01) DO = word(first(AD, BIT_WIDTH), BIT_WIDTH);
  end
""",
)
_SDPX9B = _gowin_memory(
    "SDPX9B",
    "output reg [35:0] DO, input [35:0] DI, input [2:0] BLKSELA, BLKSELB, "
    "input [13:0] ADA, ADB, input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB, RESET",
    ("BIT_WIDTH_0 = 36", "BIT_WIDTH_1 = 36", "BLK_SEL_0 = 3'b000", "BLK_SEL_1 = 3'b000"),
    _READ
    + """
  initial DO = 0;
  always @(posedge CLKA) begin
    check(BIT_WIDTH_0, RESETA | RESETB | BIT_WIDTH_0 != BIT_WIDTH_1 | CLKB !== CLKA);
    if (CEB) begin
      DO = word(first(ADB, BIT_WIDTH_1), BIT_WIDTH_1);
      if (CEA && first(ADA, BIT_WIDTH_0) == first(ADB, BIT_WIDTH_1))
        DO = DO ^ (mask(ADA, BIT_WIDTH_0) & 36'bx);
    end
    if (CEA) write(ADA, BIT_WIDTH_0, DI);
  end
""",
)
_DPX9B = _gowin_memory(
    "DPX9B",
    "output reg [17:0] DOA, DOB, input [17:0] DIA, DIB, input [2:0] BLKSELA, BLKSELB, "
    "input [13:0] ADA, ADB, input WREA, WREB, CLKA, CEA, CLKB, CEB, OCEA, OCEB, RESETA, RESETB",
    (
        *("BIT_WIDTH_0 = 18", "BIT_WIDTH_1 = 18", "WRITE_MODE0 = 2'b00", "WRITE_MODE1 = 2'b00"),
        *("BLK_SEL_0 = 3'b000", "BLK_SEL_1 = 3'b000", "READ_MODE0 = 1'b0", "READ_MODE1 = 1'b0"),
    ),
    _READ
    + """
  wire hit = first(ADA, BIT_WIDTH_0) == first(ADB, BIT_WIDTH_1);
  initial begin DOA = 0; DOB = 0; end
  always @(posedge CLKA) begin
    check(BIT_WIDTH_0, RESETA | RESETB | BIT_WIDTH_0 != BIT_WIDTH_1 | CLKB !== CLKA);
    check(BIT_WIDTH_1, READ_MODE0 | READ_MODE1);
    if (CEA && (!WREA || WRITE_MODE0 == 2'b10))
      DOA = word(first(ADA, BIT_WIDTH_0), BIT_WIDTH_0)
          ^ (CEB && WREB && hit ? mask(ADB, BIT_WIDTH_1) & 36'bx : 36'd0);
    if (CEB && (!WREB || WRITE_MODE1 == 2'b10))
      DOB = word(first(ADB, BIT_WIDTH_1), BIT_WIDTH_1)
          ^ (CEA && WREA && hit ? mask(ADA, BIT_WIDTH_0) & 36'bx : 36'd0);
    if (CEA && WREA) write(ADA, BIT_WIDTH_0, DIA);
    if (CEB && WREB) write(ADB, BIT_WIDTH_1, DIB);
    if (CEA && WREA && WRITE_MODE0 == 2'b01) DOA = word(first(ADA, BIT_WIDTH_0), BIT_WIDTH_0);
    if (CEB && WREB && WRITE_MODE1 == 2'b01) DOB = word(first(ADB, BIT_WIDTH_1), BIT_WIDTH_1);
  end
""",
)


def _gowin_multiplier(bits: int) -> str:
    return f"""
module MULT{bits}X{bits}(
  input [{bits - 1}:0] A, B, SIA, SIB, input ASIGN, BSIGN, ASEL, BSEL, CE, CLK, RESET,
  output [{2 * bits - 1}:0] DOUT, output [{bits - 1}:0] SOA, SOB);
  parameter AREG = 1'b0;
  parameter BREG = 1'b0;
  parameter OUT_REG = 1'b0;
  parameter PIPE_REG = 1'b0;
  parameter ASIGN_REG = 1'b0;
  parameter BSIGN_REG = 1'b0;
  parameter SOA_REG = 1'b0;
  parameter MULT_RESET_MODE = "SYNC";
  wire signed [{bits}:0] a = {{ASIGN & A[{bits - 1}], A}};
  wire signed [{bits}:0] b = {{BSIGN & B[{bits - 1}], B}};
  wire signed [{2 * bits + 1}:0] product = a * b;
  assign DOUT = product[{2 * bits - 1}:0];
  initial if (AREG | BREG | OUT_REG | PIPE_REG | ASIGN_REG | BSIGN_REG) $fatal(1);
  always @* if (ASEL === 1'b1 || BSEL === 1'b1) $fatal(1);  // factors from the next multiplier
endmodule
"""


_GOWIN = (_SPX9, _SDPX9B, _DPX9B, _gowin_multiplier(9), _gowin_multiplier(18))
