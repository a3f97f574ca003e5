# SPDX-License-Identifier: Apache-2.0
"""Memories as macros: what a chip's memory compiler makes, and what this flow has in its place.

A macro has one write and one read port (`PORTS`), both on the rising edge. A word that is read
stays on `rdata` until the next read. What is read in the cycle in which it is written is unknown.
Nothing is in it when the power comes.

The area, energy and delay of a macro are a model, since no open memory compiler is in the package
registries:

- Area: a line through two 1rw1r macros of OpenRAM in SKY130 (github.com/VLSIDA/sky130_sram_macros,
  sizes of their LEF files): 8 kbit in 479.78 um x 397.5 um, 16 kbit in 683.1 um x 416.54 um; so
  96,888 um^2 and 11.45 um^2 a bit, times the square of the feature size.
- Energy of an access: M. Horowitz, "Computing's energy problem", ISSCC 2014, figure 1.1.9: 64 bits
  cost 10 pJ out of 8 kB, 20 pJ out of 32 kB, 100 pJ out of 1 MB (45 nm, 0.9 V); so in proportion to
  the word and to the root of the memory's bits. It scales with the feature size (capacitance) and
  the square of the voltage. A write is taken to cost as much as a read.
- Leakage: such macros' Liberty files (TT, 1.8 V, 25 C): 0.912 uW at 8 kbit, 2.411 uW at 32 kbit;
  so 0.412 uW and 61 pW a bit. It is not scaled.
- Delay from clock to data: 3.0 ns in SKY130, as the same files have it for 1 and 4 kB, in
  proportion to the feature size. Set-up: none, theirs is below 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from amaranth.hdl import ClockSignal, Const, Instance, Module, Shape, Value
from amaranth.lib.memory import Memory

from .library import Library

MACRO_BITS = 2048
"""A memory of more bits is a macro by default: the model's area is below that of flip-flops there
(osu018: some 150 um^2 a bit with their multiplexers)."""
MACRO_WORDS = 16
"""A memory of fewer words is flip-flops: a macro would be columns without rows."""

PORTS = ("clk", "ren", "raddr", "rdata", "wen", "waddr", "wdata")


@dataclass(frozen=True, order=True, slots=True)
class Macro:
    """A kind of memory: words of so many bits."""

    depth: int
    width: int

    @property
    def name(self) -> str:
        """Of its module."""
        return f"deltaloom_ram_{self.depth}x{self.width}"

    @property
    def bits(self) -> int:
        """All of it."""
        return self.depth * self.width

    @property
    def address_bits(self) -> int:
        """Of raddr and waddr."""
        return max(1, (self.depth - 1).bit_length())

    @property
    def widths(self) -> dict[str, int]:
        """Bits of each port."""
        widths = (1, 1, self.address_bits, self.width, 1, self.address_bits, self.width)
        return dict(zip(PORTS, widths, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class MacroCell:
    """What a Liberty file says of a macro: its area in um^2, the energy of a read or a write in J,
    and its leakage in W."""

    area: float
    access: float
    leakage: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MacroModel:
    """What macros take in one process; see the head of this file.

    Members
    -------
    node: the feature size in nm.
    voltage: V.
    known: macros of which a Liberty file says what they take, by name.
    """

    node: float
    voltage: float
    known: Mapping[str, MacroCell] = field(default_factory=dict)

    def area(self, macro: Macro) -> float:
        """In um^2."""
        if macro.name in self.known:
            return self.known[macro.name].area
        return (96_888 + 11.45 * macro.bits) * (self.node / 130) ** 2

    def access(self, macro: Macro) -> float:
        """The energy of a read or a write in J."""
        if macro.name in self.known:
            return self.known[macro.name].access
        scale = self.node / 45 * (self.voltage / 0.9) ** 2
        return 10e-12 * macro.width / 64 * sqrt(macro.bits / 65_536) * scale

    def leakage(self, macro: Macro) -> float:
        """In W."""
        if macro.name in self.known:
            return self.known[macro.name].leakage
        return 0.412e-6 + 61e-12 * macro.bits

    @property
    def delay(self) -> float:
        """From clock to rdata, in s."""
        return 3.0e-9 * self.node / 130

    @property
    def slew(self) -> float:
        """Of rdata, in s: a tenth of the delay."""
        return self.delay / 10


@dataclass(slots=True)
class MacroPlatform:
    """An Amaranth platform that makes macros of the large memories; `macros` has their kinds.

    Raises nothing: what cannot be a macro (an asynchronous or transparent read, several writes, a
    table that is never written) is left to synthesis.
    """

    bits: int = MACRO_BITS
    macros: set[Macro] = field(default_factory=set)

    def get_memory(self, memory: Memory) -> Any:
        """What stands for `memory`; Amaranth asks."""
        macro = Macro(memory.depth, Shape.cast(memory.shape).width)
        reads, writes = memory.read_ports, memory.write_ports
        large = macro.bits > self.bits and macro.depth >= MACRO_WORDS
        simple = len(writes) == 1 and len(writes[0].en) == 1 and len(reads) > 0
        clocked = all(port.domain == "sync" and not port.transparent_for for port in reads)
        if not (large and simple and clocked):
            return memory.elaborate(None)  # as without a platform
        self.macros.add(macro)
        m = Module()
        for n, read in enumerate(reads):  # each has a copy of its own
            m.submodules[f"macro_{n}"] = _instance(macro, read, writes[0])
        return m


def _instance(macro: Macro, read: Any, write: Any) -> Instance:
    return Instance(
        macro.name,
        i_clk=ClockSignal("sync"),
        i_ren=read.en,
        i_raddr=_wide(read.addr, macro),
        o_rdata=Value.cast(read.data),
        i_wen=write.en,
        i_waddr=_wide(write.addr, macro),
        i_wdata=Value.cast(write.data),
    )


def _wide(address: Value, macro: Macro) -> Value:
    """A memory of one word has an address of no bits."""
    return address if len(address) else Const(0, macro.address_bits)


def black_boxes(macros: Sequence[Macro]) -> str:
    """Their modules without contents, for synthesis."""
    return "\n".join(f"(* blackbox *)\n{_head(macro)}endmodule\n" for macro in macros)


def models(macros: Sequence[Macro]) -> str:
    """Behavioural Verilog: all X at first, X where a word is read while it is written.

    A memory counts its accesses, for whoever wants to know what they cost. Its inputs are taken a
    moment before the edge, so that cells without delays cannot overtake it.
    """
    return "`timescale 1ns / 1ps\n" + "\n".join(_model(macro) for macro in macros)


def _head(macro: Macro) -> str:
    lines = [f"module {macro.name} ({', '.join(PORTS)});"]
    for name, width in macro.widths.items():
        direction = "output" if name == "rdata" else "input"
        lines.append(f"  {direction} {f'[{width - 1}:0] ' if width > 1 else ''}{name};")
    return "\n".join(lines) + "\n"


def _model(macro: Macro) -> str:
    data, address = f"[{macro.width - 1}:0]", f"[{macro.address_bits - 1}:0]"
    return (
        _head(macro)
        + f"""\
  reg {data} rdata;
  reg {data} words [0:{macro.depth - 1}];
  integer reads = 0;
  integer writes = 0;
  wire #0.001 reading = ren;
  wire #0.001 writing = wen;
  wire {address} #0.001 from = raddr;
  wire {address} #0.001 to = waddr;
  wire {data} #0.001 word = wdata;
  always @(posedge clk) begin
    if (writing) begin
      words[to] <= word;
      writes <= writes + 1;
    end
    if (reading) begin
      rdata <= #0.5 writing && from == to ? {{{macro.width}{{1'bx}}}} : words[from];
      reads <= reads + 1;
    end
  end
endmodule
"""
    )


def liberty(macros: Sequence[Macro], model: MacroModel, library: Library) -> str:
    """The Liberty file of those that are not known, for timing: area, leakage, loads and delays of
    the model."""
    macros = [macro for macro in macros if macro.name not in model.known]
    load = library.smallest(1)
    pin = next(pin for pin in load.pins.values() if pin.direction == "input")
    thresholds = "".join(
        f"  {kind}_threshold_pct_{edge} : 50;\n"
        for kind in ("input", "output")
        for edge in ("rise", "fall")
    ) + "".join(
        f"  slew_{end}_threshold_pct_{edge} : {level};\n"
        for end, level in (("lower", 20), ("upper", 80))
        for edge in ("rise", "fall")
    )
    widths = sorted({width for macro in macros for width in macro.widths.values() if width > 1})
    types = "".join(
        f"  type (bits_{width}) {{ base_type : array; data_type : bit; bit_width : {width}; "
        f"bit_from : {width - 1}; bit_to : 0; downto : true; }}\n"
        for width in widths
    )
    cells = "".join(_liberty_cell(macro, model, 4 * pin.capacitance) for macro in macros)
    return (
        "/* Modelled, not measured: see deltaloom's docs/asic.md. */\n"
        "library (deltaloom_macros) {\n  delay_model : table_lookup;\n"
        '  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";\n'
        '  leakage_power_unit : "1nW"; capacitive_load_unit (1, pf);\n'
        f"  nom_voltage : {library.voltage:g}; nom_process : {library.process:g}; "
        f"nom_temperature : {library.temperature:g};\n{thresholds}{types}{cells}}}\n"
    )


def _liberty_cell(macro: Macro, model: MacroModel, load: float) -> str:
    """A cell of the Liberty file; its inputs are four times those of the smallest inverter."""
    setup = 'rise_constraint (scalar) { values ("0"); } fall_constraint (scalar) { values ("0"); }'
    delay = "".join(
        f'{kind} (scalar) {{ values ("{value:.4g}"); }} '
        for kind, value in (
            ("cell_rise", model.delay * 1e9),
            ("cell_fall", model.delay * 1e9),
            ("rise_transition", model.slew * 1e9),
            ("fall_transition", model.slew * 1e9),
        )
    )
    pins = []
    for name, width in macro.widths.items():
        head = f"bus ({name}) {{ bus_type : bits_{width};" if width > 1 else f"pin ({name}) {{"
        if name == "clk":
            rest = f"direction : input; clock : true; capacitance : {load * 1e12:.4g};"
        elif name == "rdata":
            rest = (
                'direction : output; timing () { related_pin : "clk"; '
                f"timing_type : rising_edge; {delay}}}"
            )
        else:
            rest = (
                f"direction : input; capacitance : {load * 1e12:.4g}; "
                f'timing () {{ related_pin : "clk"; timing_type : setup_rising; {setup} }}'
            )
        pins.append(f"    {head} {rest} }}\n")
    return (
        f"  cell ({macro.name}) {{\n    area : {model.area(macro):.0f}; dont_touch : true;\n"
        f"    cell_leakage_power : {model.leakage(macro) * 1e9:.4g};\n{''.join(pins)}  }}\n"
    )
