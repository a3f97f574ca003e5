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

from deltaloom.boards import synthesis
from deltaloom.boards.netlist import _fit, _Function
from deltaloom.boards.process import run_tool
from deltaloom.boards.synthesis import synthesize
from deltaloom.boards.toolchain import require

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
    better = synthesize(arithmetic(), top="top", workdir=tmp_path / "better")
    monkeypatch.setattr(synthesis, "improve", lambda module: None)
    plain = synthesize(arithmetic(), top="top", workdir=tmp_path / "plain")
    assert better.cells["CCU2C"] == plain.cells["CCU2C"]
    assert better.luts <= plain.luts - 40
    texts = {}
    for name, netlist in (("gold", plain), ("gate", better)):
        top = json.loads(netlist.path.read_text())["modules"]["top"]
        texts[f"{name}.json"] = json.dumps({"modules": {name: top}})
    prove(texts, ["read_json gold.json", "read_json gate.json"], tmp_path)


def prove(texts: dict[str, str], read: list[str], folder: Path) -> None:
    """That the modules `gold` and `gate` are equal, by SAT with Yosys' models of the cells."""
    for name, text in texts.items():
        (folder / name).write_text(text)
    steps = [
        "read_verilog -overwrite +/lattice/cells_sim_ecp5.v",
        *read,
        "setattr -mod -unset top gold gate",
        "hierarchy",  # gives the cells their parameters
        "proc",
        "flatten gold gate",
        "miter -equiv -flatten -make_outputs gold gate equal",
        "sat -verify -prove trigger 0 equal",
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
    prove(texts, ["read_rtlil gold.il", "rename top gold", "read_json gate.json"], tmp_path)
    assert netlist.luts <= 3 * luts


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
    if kind in ("enable", "half enable"):
        half = width // 2 if kind == "half enable" else width
        with m.If(enable):
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
@pytest.mark.parametrize("kind", ["plain", "enable"])
def test_a_register_behind_a_memory_moves_into_it(
    kind: str, depth: int, width: int, tmp_path: Path
) -> None:
    text = registered_ram(kind, depth=depth, width=width)
    netlist = synthesize(text, top="top", workdir=tmp_path)
    module: dict[str, Any] = json.loads(netlist.path.read_text())["modules"]["top"]
    rams = [cell for cell in module["cells"].values() if cell["type"] == "DP16KD"]
    assert netlist.ffs == 0 and rams
    enable = module["ports"]["enable"]["bits"] if kind == "enable" else ["1"]
    driven = []
    for cell in rams:
        assert cell["parameters"]["REGMODE_B"] == "OUTREG"
        assert cell["connections"]["OCEB"] == enable
        wide = int(cell["parameters"]["DATA_WIDTH_B"], 2) == 36
        assert cell["parameters"]["REGMODE_A"] == ("OUTREG" if wide else "NOREG")
        driven += [bits[0] for pin, bits in cell["connections"].items() if pin.startswith("DO")]
    assert set(module["ports"]["o"]["bits"]) <= set(driven)


@pytest.mark.parametrize("kind", ["reset", "seen", "other", "half enable"])
def test_other_registers_stay_where_they_are(kind: str, tmp_path: Path) -> None:
    netlist = synthesize(registered_ram(kind), top="top", workdir=tmp_path)
    text = netlist.path.read_text()
    assert netlist.ffs == 36 and '"OUTREG"' not in text
