# SPDX-License-Identifier: Apache-2.0
"""The netlist's improvements: proved equal where there is a model, counted where there is none."""

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import memory

from deltaloom.boards.ecp5 import synthesis
from deltaloom.boards.ecp5.netlist import _fit, _Function
from deltaloom.boards.ecp5.synthesis import Netlist, synthesize
from deltaloom.boards.tools.process import run_tool
from deltaloom.boards.tools.toolchain import require

pytest.importorskip("pyosys")


def function(inputs: tuple[int, ...], rng: random.Random) -> _Function:
    """A random one that depends on all of its inputs."""
    while True:
        table = {values: rng.getrandbits(1) for values in product((0, 1), repeat=len(inputs))}
        if all(
            any(table[v] != table[(*v[:n], 1 - v[n], *v[n + 1 :])] for v in table)
            for n in range(len(inputs))
        ):
            return _Function(inputs, frozenset(v for v, one in table.items() if one))


@pytest.mark.parametrize("seed", range(40))
def test_what_fits_a_carry_cell_adds_right(seed: int) -> None:
    """Sum and carry of one bit, over all inputs, by the cell's definition."""
    rng = random.Random(seed)
    fitted = 0
    for _ in range(20):
        a = function(tuple(rng.sample(range(4), rng.randint(1, 2))), rng)
        b = function(tuple(rng.sample(range(4), rng.randint(1, 3))), rng)
        invert = bool(rng.getrandbits(1))
        fit = _fit(a, b, invert=invert)
        if fit is None:
            continue
        fitted += 1
        init, pins = fit
        nets = sorted({*a.inputs, *b.inputs})
        for values in product((0, 1), repeat=len(nets)):
            at = dict(zip(nets, values, strict=True))
            index = sum((at[p] if isinstance(p, int) else int(p)) << n for n, p in enumerate(pins))
            lut4, lut2 = init >> index & 1, init >> (index & 3) & 1
            for carry in (0, 1):
                total = a(at) + (b(at) ^ invert) + carry
                assert lut4 ^ carry == total & 1
                assert (carry if lut4 else lut2) == total >> 1
    assert fitted > 3


def arithmetic() -> str:
    """Adders with something in front of their operands, of every kind that may be absorbed."""
    m = Module()
    a, b, c = (Signal(signed(9), name=name) for name in "abc")
    s, t = Signal(name="s"), Signal(name="t")
    outputs: list[Signal] = []
    for n, value in enumerate(
        (
            Mux(s, 0, a) + b,
            Mux(s, a, c) + b,
            b - Mux(s, a, c),
            (a & c) + (b & s.replicate(9)),
            ~a + (b ^ c),
            Mux(s, a, 0) - Mux(t, b, 0),
            a < Mux(s, b, c),
            (a | b) + (b & c),
        )
    ):
        outputs.append(Signal(value.shape(), name=f"o{n}"))
        m.d.comb += outputs[-1].eq(value)
    return rtlil.convert(m, name="top", ports=[a, b, c, s, t, *outputs], emit_src=False)


def test_absorbed_operands_compute_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proved by SAT against the netlist as Yosys wrote it, with Yosys' own models of the cells."""
    better, plain = both(arithmetic(), tmp_path, monkeypatch)
    assert better.cells["CCU2C"] == plain.cells["CCU2C"]
    assert better.luts <= plain.luts - 40
    prove_equal(better, plain, tmp_path)


def both(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Netlist, Netlist]:
    """A design's netlist, and the one that Yosys wrote."""
    better = synthesize(text, top="top", workdir=folder / "better")
    monkeypatch.setattr(synthesis, "improve", lambda module: None)
    return better, synthesize(text, top="top", workdir=folder / "plain")


def prove_equal(better: Netlist, plain: Netlist, folder: Path, models: str = "") -> None:
    """Of two netlists; `models`: Verilog of cells that Yosys has no model of."""
    texts = {"models.v": models}
    for name, netlist in (("gold", plain), ("gate", better)):
        top = json.loads(netlist.path.read_text())["modules"]["top"]
        texts[f"{name}.json"] = json.dumps({"modules": {name: top}})
    prove(texts, ["read_json gold.json"], ["read_json gate.json"], folder)


def prove(texts: dict[str, str], gold: list[str], gate: list[str], folder: Path) -> None:
    """By SAT, over the first cycles from reset on, which are more than the designs have registers
    in a row: that what these commands read from these files is equal.
    """
    for name, text in texts.items():
        (folder / name).write_text(text)
    steps = []
    for name, read in (("gold", gold), ("gate", gate)):
        steps += ["read_verilog -overwrite +/lattice/cells_sim_ecp5.v"]
        steps += ["read_verilog -overwrite models.v"] if "models.v" in texts else []
        steps += [*read, f"hierarchy -top {name}", "proc", "flatten", f"design -stash {name}"]
    steps += [
        "design -copy-from gold gold",
        "design -copy-from gate gate",
        "miter -equiv -flatten -make_outputs gold gate equal",
        "sat -verify -prove trigger 0 -seq 5 -set-init-zero equal",
        "",
    ]
    (folder / "prove.ys").write_text("\n".join(steps))
    tool = require("pyosys")
    code = run_tool(
        [*tool.command, "prove.ys"],
        log=folder / "prove.log",
        environment=tool.environment,
        on_line=lambda line: None,
        cwd=folder,
    )
    log = (folder / "prove.log").read_text()
    assert code == 0 and "SAT proof finished - no model found: SUCCESS!" in log, log[-2000:]


@pytest.mark.parametrize(("words", "luts"), [(4, 2), (7, 4), (8, 4), (16, 9)])
def test_multiplexers_of_slices_select_the_same(words: int, luts: int, tmp_path: Path) -> None:
    """Proved by SAT against the RTL; a bit of eight words takes four LUTs, not seven."""
    m = Module()
    data = [Signal(3, name=f"d{n}") for n in range(words)]
    index, o = Signal(range(words), name="index"), Signal(3, name="o")
    layer, at = data, 0
    while len(layer) > 1:
        pairs = zip(layer[::2], layer[1::2], strict=False)
        layer = [Mux(index[at], odd, even) for even, odd in pairs] + layer[len(layer) // 2 * 2 :]
        at += 1
    m.d.comb += o.eq(layer[0])
    text = rtlil.convert(m, name="top", ports=[*data, index, o], emit_src=False)
    netlist = synthesize(text, top="top", workdir=tmp_path)
    top = json.loads(netlist.path.read_text())["modules"]["top"]
    texts = {"gate.json": json.dumps({"modules": {"gate": top}}), "gold.il": text}
    prove(texts, ["read_rtlil gold.il", "rename top gold"], ["read_json gate.json"], tmp_path)
    assert netlist.luts <= 3 * luts


def multiplier_model() -> str:
    """MULT18X18D with its output register, after Lattice's TN1267; what it multiplies does not
    matter to a proof that moves registers, so it is something that SAT takes in its stride.
    """
    pins = [f"{letter}{n}" for letter in "ABC" for n in range(18)]
    pins += ["SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", "CLK0", "CE0", "RST0"]
    return f"""
        module MULT18X18D({", ".join(f"input {pin}" for pin in pins)},
                          {", ".join(f"output P{n}" for n in range(36))});
            parameter REG_OUTPUT_CLK = "NONE";
            parameter RESETMODE = "SYNC";
            parameter GSR = "ENABLED";
            wire [17:0] a = {{{", ".join(f"A{n}" for n in reversed(range(18)))}}};
            wire [17:0] b = {{{", ".join(f"B{n}" for n in reversed(range(18)))}}};
            wire [35:0] p = {{a & b, a ^ {{b[10:0], b[17:11]}}}};
            reg [35:0] q;
            always @(posedge CLK0) if (RST0) q <= 0; else if (CE0) q <= p;
            assign {{{", ".join(f"P{n}" for n in reversed(range(36)))}}} =
                REG_OUTPUT_CLK == "NONE" ? p : q;
        endmodule
    """


def registered_product(kind: str) -> str:
    """A product and a register behind it, in several ways."""
    m = Module()
    a, b = Signal(signed(12), name="a"), Signal(signed(9), name="b")
    enable, clear = Signal(name="enable"), Signal(name="clear")
    product = a * b
    o = Signal(product.shape(), name="o", reset_less=kind != "reset", init=kind == "one")
    outputs: list[Signal] = [o]
    if kind == "half":
        m.d.sync += o.eq(product)
        outputs.append(Signal(name="sign"))
        m.d.comb += outputs[-1].eq(product[-1])
    elif kind == "enable":
        with m.If(enable):
            m.d.sync += o.eq(product)
    else:
        m.d.sync += o.eq(product)
        if kind == "clear":
            with m.If(clear):
                m.d.sync += o.eq(0)
    if kind == "read":
        outputs.append(Signal(name="parity"))
        m.d.comb += outputs[-1].eq(o.xor())
    return rtlil.convert(m, name="top", ports=[a, b, enable, clear, *outputs], emit_src=False)


def multiplier(netlist: Netlist) -> tuple[dict[str, Any], dict[str, Any]]:
    """The module, and its one multiplier."""
    module = json.loads(netlist.path.read_text())["modules"]["top"]
    (cell,) = (cell for cell in module["cells"].values() if cell["type"] == "MULT18X18D")
    return module, cell


@pytest.mark.parametrize("kind", ["plain", "read", "reset", "clear"])
def test_a_register_behind_a_product_moves_into_its_multiplier(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    better, plain = both(registered_product(kind), tmp_path, monkeypatch)
    assert better.ffs == 0 and plain.ffs == 21
    module, cell = multiplier(better)
    assert cell["parameters"]["REG_OUTPUT_CLK"] == "CLK0"
    assert cell["connections"]["CLK0"] == module["ports"]["clk"]["bits"]
    port = {"reset": "rst", "clear": "clear"}.get(kind)
    assert cell["connections"]["RST0"] == (module["ports"][port]["bits"] if port else ["0"])
    prove_equal(better, plain, tmp_path, multiplier_model())


@pytest.mark.parametrize("kind", ["half", "enable", "one"])
def test_other_registers_behind_a_product_stay(kind: str, tmp_path: Path) -> None:
    netlist = synthesize(registered_product(kind), top="top", workdir=tmp_path)
    assert netlist.ffs == 21 and "REG_OUTPUT_CLK" not in multiplier(netlist)[1]["parameters"]


def registered_ram(kind: str, *, depth: int = 512, width: int = 36) -> str:
    """A memory and a register behind it, in several ways."""
    m = Module()
    m.submodules.ram = store = memory.Memory(
        shape=width, depth=depth, init=[], attrs={"no_rw_check": 1, "ram_style": "block"}
    )
    write, read = store.write_port(), store.read_port()
    o = Signal(width, reset_less=kind != "reset")
    enable = Signal()
    outputs = [o]
    if kind in ("enable", "half enable", "low enable"):
        half = width // 2 if kind == "half enable" else width
        with m.If(~enable if kind == "low enable" else enable):
            m.d.sync += o[:half].eq(read.data[:half])
        if half != width:
            m.d.sync += o[half:].eq(read.data[half:])
    else:
        m.d.sync += o.eq(read.data)
    if kind == "seen":
        outputs.append(read.data)
    if kind == "other":
        outputs.append(Signal(name="parity"))
        m.d.comb += outputs[-1].eq(read.data.xor())
    if kind == "reset":
        with m.If(enable):
            m.d.sync += o.eq(0)
    ports = [write.addr, write.data, write.en, read.addr, enable, *outputs]
    return rtlil.convert(m, name="top", ports=ports, emit_src=False)


@pytest.mark.parametrize(("depth", "width"), [(512, 36), (1024, 18), (2048, 9), (2048, 20)])
@pytest.mark.parametrize("kind", ["plain", "enable", "low enable"])
def test_a_register_behind_a_memory_moves_into_it(
    kind: str, depth: int, width: int, tmp_path: Path
) -> None:
    text = registered_ram(kind, depth=depth, width=width)
    netlist = synthesize(text, top="top", workdir=tmp_path)
    module: dict[str, Any] = json.loads(netlist.path.read_text())["modules"]["top"]
    rams = [cell for cell in module["cells"].values() if cell["type"] == "DP16KD"]
    assert netlist.ffs == 0 and rams
    enable = ["1"]
    if kind != "plain":
        enable = module["ports"]["enable"]["bits"]
    if kind == "low enable":
        (inverter,) = (c for c in module["cells"].values() if c["type"] == "LUT4")
        assert inverter["connections"]["A"] == enable
        assert int(inverter["parameters"]["INIT"], 2) & 3 == 1
        enable = inverter["connections"]["Z"]
    driven = []
    for cell in rams:
        assert cell["parameters"]["REGMODE_B"] == "OUTREG"
        assert cell["connections"]["OCEB"] == enable
        wide = int(cell["parameters"]["DATA_WIDTH_B"], 2) == 36
        assert cell["parameters"]["REGMODE_A"] == ("OUTREG" if wide else "NOREG")
        driven += [bits[0] for pin, bits in cell["connections"].items() if pin.startswith("DO")]
    assert set(module["ports"]["o"]["bits"]) <= set(driven)


@pytest.mark.parametrize("registered", [True, False])
def test_a_memory_before_a_multiplier(registered: bool, tmp_path: Path) -> None:
    """The register between them stays where the product has none: it can be placed beside it."""
    m = Module()
    m.submodules.ram = store = memory.Memory(
        shape=signed(16), depth=1024, init=[], attrs={"no_rw_check": 1, "ram_style": "block"}
    )
    write, read = store.write_port(), store.read_port()
    factor = Signal(signed(16), reset_less=True)
    product, o = Signal(signed(32)), Signal(signed(32), reset_less=True)
    other, add = Signal(signed(16)), Signal(signed(32))
    m.d.sync += factor.eq(read.data)
    m.d.comb += product.eq(factor * other)
    m.d.sync += o.eq(product if registered else product + add)
    ports = [write.addr, write.data, write.en, read.addr, other, add, o]
    text = rtlil.convert(m, name="top", ports=ports, emit_src=False)
    netlist = synthesize(text, top="top", workdir=tmp_path)
    assert netlist.ffs == (0 if registered else 16 + 32)


@pytest.mark.parametrize("kind", ["reset", "seen", "other", "half enable"])
def test_other_registers_stay_where_they_are(kind: str, tmp_path: Path) -> None:
    netlist = synthesize(registered_ram(kind), top="top", workdir=tmp_path)
    text = netlist.path.read_text()
    assert netlist.ffs == 36 and '"OUTREG"' not in text
