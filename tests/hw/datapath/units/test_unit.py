# SPDX-License-Identifier: Apache-2.0
import gc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from amaranth.hdl import Fragment, Module, Signal

from deltaloom.golden.arithmetic import rshr, sat16
from deltaloom.golden.cells import CELLS, Numbers, State
from deltaloom.hw.cells.base import vector_layout
from deltaloom.hw.datapath.units import unit as cell_unit
from deltaloom.hw.datapath.units.unit import CellUnit
from deltaloom.hw.words import pack
from deltaloom.sim.testing.cell import GOLDEN, output
from deltaloom.sim.testing.kinds import crossed
from deltaloom.sim.testing.streams import no_pause, put, run, set_value

ONE_TURN = tuple(name for name, cell in cell_unit.CELLS.items() if not cell.TURNS)
"""The others are in tests/hw/datapath/turns."""

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
"""For a component whose __init__ raises: it is never elaborated, and goes with the collection."""


@dataclass
class Layer:
    """Units at consecutive state addresses from `state`, as the core would lay them out.

    skip: state address of the first unit's skip, with its mult and shift.
    """

    kind: str
    units: int
    state: int
    number: int = 0
    e_c: int = 0
    vector_shift: int = 0
    skip: tuple[int, int, int] = (0, 0, 0)


def step(rng, dut, layer, *, first=False, unit=0, units=None):
    """The unit-words of one step of some of a layer's units, each a list of words."""
    gates, rows = len(GOLDEN[layer.kind].gates), dut.drain_rows
    members = dut.i.p.shape().members
    units = layer.units if units is None else units
    unit_words = []
    for start in range(unit, unit + units, rows):
        count = min(rows, unit + units - start)
        p = rng.integers(-32768, 32768, (gates, rows)) >> rng.integers(0, 6, (gates, rows))
        order = rng.permutation(gates)
        base, mult, shift = layer.skip
        optional = {
            "vector_shift": layer.vector_shift,
            "skip": base + start,
            "skip_mult": mult,
            "skip_shift": shift,
        }
        optional = {name: value for name, value in optional.items() if name in members}
        unit_words.append(
            [
                {
                    "p": p[slot].tolist(),
                    "slot": int(slot),
                    "last": int(n == gates - 1),
                    "unit": start,
                    "state": layer.state + start,
                    "count": count,
                    "cell": dut.cells.index(layer.kind),
                    "c_exponent": layer.e_c,
                    "first": int(first),
                    "layer": layer.number,
                    "begin": int(start == 0),
                    "end": int(start + count == layer.units),
                }
                | optional
                for n, slot in enumerate(order)
            ]
        )
    return unit_words


def reference(dut, unit_words):
    """(outputs, state memory as [depth, (c, h)]) after all of `unit_words`."""
    memory = np.zeros((dut.state_depth, 2), np.int64)
    outputs = []
    for words in unit_words:
        word = words[0]
        cell = GOLDEN[dut.cells[word["cell"]]]
        count = word["count"]
        at = slice(word["state"], word["state"] + count)
        by_slot = {each["slot"]: np.array(each["p"][:count]) for each in words}
        p = {gate: by_slot[slot] for slot, gate in enumerate(cell.gates)}
        starts = word["first"] and dut.cells[word["cell"]] != "gru_update"
        before = np.zeros((count, 2), np.int64) if starts else memory[at]
        numbers = Numbers(c_exponent=word["c_exponent"])
        if cell.vectors:
            layout = vector_layout(cell.vectors)
            words = [
                layout.from_bits(dut.vectors[address] & ((1 << layout.size) - 1))
                for address in range(at.start, at.stop)
            ]
            vectors = {name: np.array([w[name] for w in words]) for name in cell.vectors}
            numbers = replace(numbers, vectors=vectors, vector_shift=word["vector_shift"])
        if cell.reads_input:
            x = memory[word["skip"] : word["skip"] + count, 1]
            numbers = replace(numbers, skip=sat16(rshr(x * word["skip_mult"], word["skip_shift"])))
        after = cell.step(p, State(*before.T), numbers)
        has_c = cell.has_c and cell_unit.reads(dut.cells, "c")
        out = output(cell, p, State(*before.T), after, numbers)
        memory[at] = np.stack([after.c if has_c else np.zeros(count), after.h], axis=1)
        for n, value in enumerate(out):
            end = word["end"] and n == count - 1
            outputs.append((word["layer"], word["unit"] + n, int(value), int(end)))
    return outputs, memory


@dataclass
class Run:
    """What a simulation showed; cycles count from its start."""

    outputs: list
    output_cycles: list
    last_cycles: list
    memory: list


def simulate(dut, unit_words, pause=no_pause, reuse_distance=None, before=None):
    """Drive `unit_words`, no faster than the state addresses allow, and read the memory back."""
    reuse_distance = dut.reuse_distance if reuse_distance is None else reuse_distance
    result = Run([], [], [], [])
    total = sum(words[0]["count"] for words in unit_words)
    m = Module()
    m.submodules.dut = dut
    clock = Signal(32)
    m.d.sync += clock.eq(clock + 1)

    async def drive(ctx):
        free = {}
        if before:
            await before(ctx)
        for words in unit_words:
            count = words[0]["count"]
            addresses = range(words[0]["state"], words[0]["state"] + count)
            reads_input = GOLDEN[dut.cells[words[0]["cell"]]].reads_input
            skips = range(words[0]["skip"], words[0]["skip"] + count) if reads_input else ()
            for word in words:
                wait = pause()
                if word["last"]:
                    wait = max(
                        [wait, *(free.get(a, 0) - ctx.get(clock) for a in (*addresses, *skips))]
                    )
                if wait > 0:
                    await ctx.tick().repeat(wait)
                await put(ctx, dut.i, word)
            result.last_cycles.append(ctx.get(clock) - 1)
            free.update(dict.fromkeys(addresses, result.last_cycles[-1] + reuse_distance))

    async def watch(ctx):
        samples = ctx.tick().sample(dut.o.valid, dut.o.p, clock)
        async for _, _, valid, payload, cycle in samples:
            if valid:
                result.outputs.append((payload.layer, payload.unit, payload.h, payload.end))
                result.output_cycles.append(cycle)
            if len(result.outputs) == total:
                break
        for address in range(dut.state_depth):
            set_value(ctx, dut.host_addr, address)
            await ctx.tick()
            assert ctx.get(dut.o.valid) == 0
            word = ctx.get(dut.host_data)
            result.memory.append([_signed16(word >> 16), _signed16(word & 0xFFFF)])

    cycles = 200 + dut.state_depth + sum(len(words) for words in unit_words) * 40
    run(m, drive, watch, cycles=cycles)
    return result


def _signed16(code):
    return code - 65536 if code >= 32768 else code


def check(dut, unit_words, **options):
    """Outputs and state against golden; the run, for its cycles."""
    outputs, memory = reference(dut, unit_words)
    result = simulate(dut, unit_words, **options)
    assert result.outputs == outputs
    np.testing.assert_array_equal(result.memory, memory)
    return result


def make(drain_rows, cells=("lstm", "linear"), state_depth=48):
    dut = CellUnit(drain_rows, cells=cells, state_depth=state_depth)
    rng = np.random.default_rng(1000)
    mask = (1 << cell_unit.vector_bits(cells)) - 1
    dut.vectors = [int(word) & mask for word in rng.integers(0, 1 << 32, state_depth)]
    return dut


def network(rng, dut, layers, steps):
    """Whole steps of a network, the second sequence starting in the middle."""
    unit_words = []
    for n in range(steps):
        for layer in layers:
            unit_words += step(rng, dut, layer, first=n in (0, steps // 2))
    return unit_words


LAYERS = (
    Layer("lstm", 13, 0, number=0, e_c=3),
    Layer("lstm", 8, 13, number=1, e_c=0),
    Layer("linear", 5, 21, number=2),
    Layer("lstm", 7, 26, number=30, e_c=7),
    Layer("linear", 9, 33, number=31),
)


@pytest.mark.parametrize("drain_rows", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("gaps", [0.0, 0.3, 0.9])
def test_networks_of_both_cells(drain_rows, gaps):
    rng = np.random.default_rng(drain_rows)
    dut = make(drain_rows)
    pauses = np.random.default_rng(100 + drain_rows)

    def pause():
        return int(pauses.integers(1, 9)) if pauses.random() < gaps else 0

    check(dut, network(rng, dut, LAYERS, steps=6), pause=pause)


@pytest.mark.parametrize("kind", ONE_TURN)
@pytest.mark.parametrize("drain_rows", [1, 4])
def test_a_unit_with_one_cell(kind, drain_rows):
    rng = np.random.default_rng(7)
    dut = make(drain_rows, cells=(kind,))
    skip = (2, 17000, 14)
    layers = [
        Layer(kind, 9, 2, number=3, e_c=2, vector_shift=15, skip=skip),
        Layer(kind, 4, 20, number=4, e_c=2, vector_shift=15, skip=skip),
    ]
    check(dut, network(rng, dut, layers, steps=4))


MIXED = (
    Layer("gru", 7, 0, number=0),
    Layer("sru4", 6, 7, number=1, e_c=2, vector_shift=15),
    Layer("sru", 6, 13, number=2, e_c=1, vector_shift=13, skip=(7, 16384, 14)),
    Layer("ligru", 5, 19, number=3),
    Layer("lstm_cifg", 9, 24, number=4, e_c=5),
    Layer("sru0", 4, 33, number=5, e_c=3, vector_shift=18),
    Layer("sru", 4, 37, number=6, e_c=3, vector_shift=0, skip=(33, -30000, 17)),
    Layer("linear", 3, 41, number=7),
    Layer("lstm", 4, 44, number=8, e_c=7),
    Layer("gru_reset", 5, 48, number=9),
    Layer("gru_update", 5, 48, number=10),
)


@pytest.mark.parametrize(("drain_rows", "gaps"), crossed([8, 1, 3], [0.6, 0.0]))
def test_all_cells_in_one_unit(drain_rows, gaps):
    rng = np.random.default_rng(20 + drain_rows)
    dut = make(drain_rows, cells=ONE_TURN, state_depth=56)
    pauses = np.random.default_rng(200 + drain_rows)

    def pause():
        return int(pauses.integers(1, 9)) if pauses.random() < gaps else 0

    check(dut, network(rng, dut, MIXED, steps=6), pause=pause)


@pytest.mark.parametrize("shift", [0, 1, 7, 8, 14, 15, 16, 31, 32, 40])
@pytest.mark.parametrize("mult", [-32768, 1, 32767])
def test_skips_at_every_kind_of_shift(mult, shift):
    rng = np.random.default_rng(shift)
    dut = make(4, cells=("sru", "linear"), state_depth=16)
    skipping = Layer("sru", 8, 8, number=1, vector_shift=15, skip=(0, mult, shift))
    check(dut, network(rng, dut, [Layer("linear", 8, 0), skipping], steps=3))


def test_vectors_are_loaded():
    rng = np.random.default_rng(22)
    dut = CellUnit(2, cells=("sru4", "sru0"), state_depth=16)
    layers = [
        Layer("sru4", 5, 1, e_c=1, vector_shift=14),
        Layer("sru0", 7, 8, number=1, e_c=1, vector_shift=14),
    ]
    unit_words = network(rng, dut, layers, steps=2)
    words = [
        pack(vector_layout(["v_f", "v_r"]), {"v_f": int(f), "v_r": int(r)})
        for f, r in rng.integers(-32768, 32768, (16, 2))
    ]

    async def load(ctx):
        set_value(ctx, dut.load_vectors.en, 1)
        for address, word in enumerate(words):
            set_value(ctx, dut.load_vectors.addr, address)
            set_value(ctx, dut.load_vectors.data, word)
            await ctx.tick()
        set_value(ctx, dut.load_vectors.en, 0)

    result = simulate(dut, unit_words, before=load)
    dut.vectors = words
    assert result.outputs == reference(dut, unit_words)[0]


def test_what_no_cell_reads_is_not_there():
    plain, vectors, skip = (make(2, cells=(kind,)) for kind in ("gru", "sru4", "sru"))
    members = [dut.i.p.shape().members.keys() for dut in (plain, vectors, skip)]
    assert members[1] - members[0] == {"vector_shift"}
    assert members[2] - members[1] == {"skip", "skip_mult", "skip_shift"}
    assert [hasattr(dut, "load_vectors") for dut in (plain, vectors, skip)] == [False, True, True]
    for dut in (plain, vectors, skip):
        Fragment.get(dut, None)


def test_order_of_cells_is_the_callers():
    rng = np.random.default_rng(8)
    dut = make(4, cells=("linear", "lstm"))
    check(dut, network(rng, dut, LAYERS, steps=2))


def test_every_exponent_side_by_side():
    rng = np.random.default_rng(9)
    dut = make(2)
    layers = [Layer("lstm", 4, 4 * e_c, number=e_c, e_c=e_c) for e_c in range(8)]
    check(dut, network(rng, dut, layers, steps=5))


def test_end_is_on_the_last_unit_of_the_layer_only():
    rng = np.random.default_rng(10)
    dut = make(4)
    layer = Layer("lstm", 10, 0)
    unit_words = step(rng, dut, layer, unit=0, units=4, first=True)
    unit_words += step(rng, dut, layer, unit=4, units=4, first=True)
    unit_words += step(rng, dut, layer, unit=8, units=2, first=True)
    result = check(dut, unit_words)
    assert [unit for _, unit, _, end in result.outputs if end] == [9]


def test_the_first_step_reads_no_old_state():
    rng = np.random.default_rng(11)
    dut = make(4)
    layer = Layer("lstm", 8, 0)
    sequence = step(rng, dut, layer, first=True)
    result = check(dut, sequence + step(rng, dut, layer) + sequence)
    assert result.outputs[:8] == result.outputs[-8:]


@pytest.mark.parametrize("drain_rows", [1, 3])
def test_two_stages_of_a_layer(drain_rows):
    """The second reads what the first has left, in a sequence's first step too; c is 0 in the end.

    Together they are golden's cell.
    """
    rng = np.random.default_rng(18)
    dut = make(drain_rows, cells=("gru_update", "linear", "gru_reset"))
    stages = Layer("gru_reset", 7, 3, number=0), Layer("gru_update", 7, 3, number=1)
    unit_words = network(rng, dut, stages, steps=6)
    result = check(dut, unit_words)
    gates = "rz", "n"
    values = np.reshape([value for _, _, value, _ in result.outputs], (6, 2, 7))
    state = State(*np.zeros((2, 7), np.int64))
    words = iter(unit_words)
    for n in range(6):
        p = {gate: [] for gate in "rzn"}
        for names in gates:
            for _ in range(-(-7 // drain_rows)):
                for word in next(words):
                    p[names[word["slot"]]] += word["p"][: word["count"]]
        p = {gate: np.array(of) for gate, of in p.items()}
        if n in (0, 3):
            state = State(*np.zeros((2, 7), np.int64))
        cell = CELLS["gru_before"]
        np.testing.assert_array_equal(values[n, 0], cell.middle(p, state, Numbers()))
        state = cell.step(p, state, Numbers())
        np.testing.assert_array_equal(values[n, 1], state.h)
    np.testing.assert_array_equal(result.memory[3:10], np.stack([0 * state.h, state.h], axis=1))


def test_a_first_step_beside_a_later_one():
    """Units that read 0 and units that read their state, in cycles that follow each other."""
    rng = np.random.default_rng(17)
    dut = make(4)
    layers = [Layer("lstm", 24, 0, number=0), Layer("lstm", 24, 24, number=1)]
    unit_words = network(rng, dut, layers, steps=1)
    for start in range(0, 24, 4):
        unit_words += step(rng, dut, layers[0], unit=start, units=4, first=True)
        unit_words += step(rng, dut, layers[1], unit=start, units=4)
    result = check(dut, unit_words)
    assert result.output_cycles[-1] - result.output_cycles[-48] == 47


def test_a_full_memory():
    rng = np.random.default_rng(12)
    dut = make(4, state_depth=16)
    check(dut, network(rng, dut, [Layer("lstm", 16, 0, e_c=1)], steps=4))


@pytest.mark.parametrize("drain_rows", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("kind", ["lstm", "linear", "gru", "ligru", "gru_reset", "gru_update"])
def test_throughput(drain_rows, kind):
    """Back to back, a unit-word takes max(its words, its count) cycles."""
    rng = np.random.default_rng(13)
    dut = make(drain_rows, cells=(kind,), state_depth=160)
    result = check(dut, step(rng, dut, Layer(kind, 20 * drain_rows, 0), first=True))
    cycles = max(len(GOLDEN[kind].gates), drain_rows)
    starts = np.array(result.output_cycles[::drain_rows])
    assert np.diff(starts).tolist() == [cycles] * 19
    assert result.output_cycles[-1] - starts[-1] == drain_rows - 1


@pytest.mark.parametrize(("kind", "count", "cycles"), [("lstm", 3, 4), ("linear", 1, 1)])
def test_throughput_of_partial_unit_words(kind, count, cycles):
    rng = np.random.default_rng(14)
    dut = make(8, state_depth=160)
    layer = Layer(kind, 160, 0)
    unit_words = []
    for start in range(0, 160, 8):
        unit_words += step(rng, dut, layer, unit=start, units=count, first=True)
    result = check(dut, unit_words)
    assert np.diff(result.output_cycles[::count]).tolist() == [cycles] * 19


@pytest.mark.parametrize("drain_rows", [1, 8])
@pytest.mark.parametrize(
    "cells",
    [
        ("lstm", "linear"),
        ("linear",),
        ("gru", "linear"),
        ("sru", "ligru", "linear"),
        ("gru_reset", "linear"),
        ("gru_update", "linear"),
    ],
)
def test_latency(drain_rows, cells):
    rng = np.random.default_rng(15)
    dut = make(drain_rows, cells=cells)
    result = check(dut, step(rng, dut, Layer("linear", 1, 0), first=True))
    assert result.output_cycles[0] - result.last_cycles[0] == dut.latency
    expected = {"lstm": 17, "linear": 6, "gru": 16, "sru": 19, "gru_reset": 8, "gru_update": 9}
    assert dut.latency == expected[cells[0]]


def reused(rng, dut):
    """A state that is written and read again while the unit is otherwise as busy as it can be."""
    busy = Layer("linear", 3 * dut.drain_rows, 20)
    lstm = Layer("lstm", dut.drain_rows, 0, e_c=1)
    return step(rng, dut, busy) + step(rng, dut, lstm, first=True) + step(rng, dut, lstm)


@pytest.mark.parametrize("drain_rows", [1, 4, 8])
def test_reuse_distance_is_enough(drain_rows):
    dut = make(drain_rows)
    result = check(dut, reused(np.random.default_rng(16), dut))
    assert result.last_cycles[-1] - result.last_cycles[-2] == dut.reuse_distance


def test_reuse_distance_is_needed():
    dut = make(1)
    unit_words = reused(np.random.default_rng(16), dut)
    outputs, _ = reference(dut, unit_words)
    result = simulate(dut, unit_words, reuse_distance=dut.reuse_distance - 1)
    assert result.outputs[:-1] == outputs[:-1]
    assert result.outputs[-1] != outputs[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drain_rows": 0}, "drain_rows must be at least 1, got 0"),
        ({"cells": ()}, r"cells must be different names out of \['lstm', .*\], got \(\)"),
        ({"cells": ("lstm", "gnu")}, "cells must be different names"),
        ({"cells": ("lstm", "lstm")}, "cells must be different names"),
        ({"state_depth": 1}, "state_depth must be at least 2, got 1"),
    ],
)
@UNUSED
def test_rejects(arguments, message):
    with pytest.raises(ValueError, match=message):
        CellUnit(**{"drain_rows": 4, "cells": ("lstm",), "state_depth": 16} | arguments)
    gc.collect()


def test_every_cell_fits_its_golden_counterpart():
    for name, cell in cell_unit.CELLS.items():
        assert len(GOLDEN[name].gates) == cell.GATES
        golden, reads = GOLDEN[name], cell.READS
        others = ["constants"] if cell.TURNS else []
        assert not reads - {"c", "h", "vectors", "vector_shift", "skip", *others}
        assert (golden.middle is not None) == cell.HAS_OUT
        assert ("vectors" in reads, "skip" in reads) == (bool(golden.vectors), golden.reads_input)
        assert golden.vectors == cell.VECTORS
