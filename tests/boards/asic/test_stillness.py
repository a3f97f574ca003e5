# SPDX-License-Identifier: Apache-2.0
"""Designs with the added enables against themselves without: every register in every cycle."""

import copy
import json
import random
import subprocess

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Elaboratable, Instance, Module, Mux, Signal
from amaranth.hdl._ir import PortDirection

from deltaloom.boards.asic.stillness import add_enables
from deltaloom.boards.asic.synthesis import FLIP_FLOPS
from deltaloom.boards.tools.toolchain import require

FRONT = f"""read_rtlil design.il
read_verilog -lib macro.v
hierarchy -top deltaloom
setattr -mod -set keep_hierarchy 1 deltaloom.a deltaloom.b
synth -top deltaloom -flatten -noabc -run begin:check
setattr -unset init w:*
dfflegalize {FLIP_FLOPS}
opt_merge
opt_clean -purge
write_json gates.json
"""
MACRO = """(* blackbox *)
module deltaloom_ram_16x8 (input clk, ren, wen, input [3:0] raddr, waddr, input [7:0] wdata,
                           output [7:0] rdata);
endmodule
"""


class Source(Elaboratable):
    """A pipeline behind a queue-like register, a counter, and a reset within."""

    def __init__(self):
        self.d, self.take, self.clear = Signal(12), Signal(), Signal()
        self.q, self.count = Signal(12), Signal(9)

    def elaborate(self, platform):
        m = Module()
        taken = Signal(12, reset_less=True)
        with m.If(self.take):
            m.d.sync += taken.eq(self.d)
        stages = [taken]
        for n in range(3):
            stages.append(Signal(12, name=f"stage_{n}", reset_less=n != 1))
            m.d.sync += stages[-1].eq(stages[-2] * 3 + n)
        m.d.sync += self.q.eq(Mux(self.clear, 0, stages[-1]))
        m.d.sync += self.count.eq(Mux(self.clear, 0, self.count + self.take))
        return m


class Sink(Elaboratable):
    """Reads a memory at what comes, always, and sums up without a reset."""

    def __init__(self):
        self.at, self.hold, self.write = Signal(12), Signal(), Signal()
        self.out = Signal(8)
        self.total = Signal(10)

    def elaborate(self, platform):
        m = Module()
        read, late = Signal(8), Signal(16, reset_less=True)
        m.submodules.memory = Instance(
            "deltaloom_ram_16x8",
            i_clk=ClockSignal("sync"),
            i_ren=1,
            i_raddr=self.at[:4],
            o_rdata=read,
            i_wen=self.write,
            i_waddr=self.at[4:8],
            i_wdata=self.at[:8],
        )
        m.d.sync += late.eq(Cat(read, self.at[:8]))
        with m.If(~self.hold):
            m.d.sync += self.out.eq(late[:8] ^ late[8:])
        m.d.sync += self.total.eq(self.total + self.out)
        return m


class Top(Elaboratable):
    def __init__(self):
        self.d, self.take, self.clear = Signal(12), Signal(), Signal()
        self.hold, self.write = Signal(), Signal()
        self.out, self.total, self.count = Signal(8), Signal(10), Signal(9)

    def elaborate(self, platform):
        m = Module()
        m.submodules.a = a = Source()
        m.submodules.b = b = Sink()
        came, taking, clearing = Signal(12), Signal(), Signal()
        m.d.sync += [came.eq(self.d), taking.eq(self.take), clearing.eq(self.clear)]
        m.d.sync += [b.hold.eq(self.hold), b.write.eq(self.write)]
        m.d.comb += [
            a.d.eq(came), a.take.eq(taking), a.clear.eq(clearing), b.at.eq(a.q),
            self.out.eq(b.out), self.total.eq(b.total), self.count.eq(a.count),
        ]  # fmt: skip
        return m


@pytest.fixture(scope="module")
def design(tmp_path_factory):
    """The design as single-bit cells."""
    folder, top = tmp_path_factory.mktemp("still"), Top()
    inputs = ("d", "take", "clear", "hold", "write")
    ports = {name: (getattr(top, name), PortDirection.Input) for name in inputs}
    outputs = ("out", "total", "count")
    ports |= {name: (getattr(top, name), PortDirection.Output) for name in outputs}
    text = rtlil.convert(top, name="deltaloom", ports=ports, emit_src=False)
    for name, content in (("design.il", text), ("macro.v", MACRO), ("front.ys", FRONT)):
        (folder / name).write_text(content)
    command = [*require("pyosys").command, "front.ys"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return json.loads((folder / "gates.json").read_text())


class Simulation:
    """A design of single-bit cells, in two states, cycle by cycle; registers begin at random."""

    GATES = {
        "$_AND_": lambda a, b: a & b, "$_OR_": lambda a, b: a | b, "$_XOR_": lambda a, b: a ^ b,
        "$_NAND_": lambda a, b: 1 - (a & b), "$_NOR_": lambda a, b: 1 - (a | b),
        "$_XNOR_": lambda a, b: 1 - (a ^ b), "$_ANDNOT_": lambda a, b: a & (1 - b),
        "$_ORNOT_": lambda a, b: a | (1 - b), "$_NOT_": lambda a: 1 - a, "$_BUF_": lambda a: a,
        "$_MUX_": lambda a, b, s: b if s else a,
    }  # fmt: skip

    def __init__(self, design, seed):
        self.modules = design["modules"]
        self.top = self.modules["deltaloom"]
        self.values, self.words, self.clocked = {}, {}, 0
        self.children = {c["type"]: c for c in self.top["cells"].values() if c["type"] in (
            "deltaloom.a", "deltaloom.b")}  # fmt: skip
        self.cells = [
            (name, cell_name, cell)
            for name in ("deltaloom", *self.children)
            for cell_name, cell in self.modules[name]["cells"].items()
            if cell["type"] not in self.children and cell["type"] != "$scopeinfo"
        ]
        for name, _, cell in self.cells:
            for bit in cell["connections"].get("Q", ()):
                self.values[name, bit] = random.Random(f"{seed} {name} {bit}").randint(0, 1)
        self.ram = [random.Random(f"{seed} {n}").randrange(256) for n in range(16)]

    def get(self, module, bit):
        if not isinstance(bit, int):
            return int(bit == "1")
        return self.values.get((module, bit), 0)

    def settle(self, inputs):
        for port, value in inputs.items():
            for n, bit in enumerate(self.top["ports"][port]["bits"]):
                self.values["deltaloom", bit] = value >> n & 1
        changed = True
        while changed:
            changed = False
            for kind, cell in self.children.items():
                for port, spec in self.modules[kind]["ports"].items():
                    for inner, outer in zip(spec["bits"], cell["connections"][port], strict=True):
                        pair = ((kind, inner), ("deltaloom", outer))
                        (at, to) = pair if spec["direction"] == "output" else pair[::-1]
                        changed |= self.put(to, self.get(*at))
            for module, _, cell in self.cells:
                gate = self.GATES.get(cell["type"])
                if gate is not None:
                    pins = cell["connections"]
                    operands = [self.get(module, pins[p][0]) for p in ("A", "B", "S") if p in pins]
                    changed |= self.put((module, pins["Y"][0]), gate(*operands))

    def put(self, key, value):
        if not isinstance(key[1], int) or self.values.get(key) == value:
            return False
        self.values[key] = value
        return True

    def edge(self):
        after = {}
        for module, _, cell in self.cells:
            pins = {
                p: [self.get(module, b) for b in bits] for p, bits in cell["connections"].items()
            }
            kind, target = cell["type"], cell["connections"]
            if kind == "deltaloom_ram_16x8":
                number = {
                    p: sum(v << n for n, v in enumerate(pins[p]))
                    for p in ("raddr", "waddr", "wdata")
                }
                if pins["ren"][0]:
                    word = self.ram[number["raddr"]]
                    for n, bit in enumerate(target["rdata"]):
                        after[module, bit] = word >> n & 1
                if pins["wen"][0]:
                    self.ram[number["waddr"]] = number["wdata"]
            elif "Q" in target:
                enabled = pins.get("E", [1])[0]
                if kind.startswith("$_SDFF") and pins["R"][0]:
                    value = int(kind[9 if "E" in kind else 8] == "1")
                elif enabled:
                    value = pins["D"][0]
                else:
                    continue
                after[module, target["Q"][0]] = value
                self.clocked += 1
        self.values |= after


@pytest.fixture(scope="module")
def enabled(design):
    changed = copy.deepcopy(design)
    return changed, add_enables(changed, top="deltaloom", gate_bits=2, bits=4)


def test_registers_hold_in_each_cycle_what_they_would_without(design, enabled):
    """Frames of random inputs with pauses, resets in the middle, random contents at first."""
    plain, still = Simulation(design, 5), Simulation(enabled[0], 5)
    names = {
        (module, bit)
        for module, _, cell in plain.cells
        for bit in cell["connections"].get("Q", cell["connections"].get("rdata", ()))
    }
    rng, writes = random.Random(1), 0
    inputs = dict.fromkeys(("d", "take", "clear", "hold", "write"), 0)
    for cycle in range(360):
        resets = cycle < 4 or 200 <= cycle < 202
        if rng.random() < 0.3:
            inputs = {
                "d": rng.randrange(4096), "take": rng.randint(0, 1),
                "clear": int(rng.random() < 0.1), "hold": int(rng.random() < 0.3),
                "write": int(rng.random() < 0.2),
            }  # fmt: skip
        if rng.random() < 0.1:
            inputs |= dict.fromkeys(("take", "write", "clear"), 0)
        for one in (plain, still):
            one.settle(inputs | {"rst": int(resets)})
            one.edge()
        writes += inputs["write"]
        if cycle >= 4:
            assert {n: plain.get(*n) for n in names} == {n: still.get(*n) for n in names}, cycle
    assert writes > 20
    assert still.clocked < 0.75 * plain.clocked


def test_most_have_an_enable(design, enabled):
    changed, count = enabled
    assert count > 40
    loose = [c for m in design["modules"].values() for c in m["cells"].values()]
    loose = sum(c["type"] in ("$_DFF_P_", "$_SDFF_PP0_", "$_SDFF_PP1_") for c in loose)
    assert count > loose / 2
    kinds = {c["type"] for m in changed["modules"].values() for c in m["cells"].values()}
    assert not any(kind.startswith("$_SDFFE") for kind in kinds)


def test_without_gates_a_reset_stays_the_last_to_decide(design):
    """What no gate is for keeps its reset: Yosys puts it behind all else."""
    changed = copy.deepcopy(design)
    add_enables(changed, top="deltaloom", gate_bits=1000, bits=1000)
    resets = [
        sorted(
            (name, str(c["connections"]["Q"]))
            for name, m in one["modules"].items()
            for c in m["cells"].values()
            if c["type"].startswith("$_SDFFE")
        )
        for one in (design, changed)
    ]
    assert resets[0] == resets[1] != []
