# SPDX-License-Identifier: Apache-2.0
import gc
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.hdl import Module, Signal

from deltaloom.golden.cells import CELLS, State
from deltaloom.hw.cells import unit as cell_unit
from deltaloom.hw.cells.unit import CellUnit
from deltaloom.sim.streams import no_pause, put, run, set_value

UNUSED = pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
"""For a component whose __init__ raises: it is never elaborated, and goes with the collection."""


@dataclass
class Layer:
    """Units at consecutive state addresses from `state`, as the core would lay them out."""

    kind: str
    units: int
    state: int
    number: int = 0
    e_c: int = 0


def step(rng, dut, layer, *, first=False, unit=0, units=None):
    """The unit-words of one step of some of a layer's units, each a list of words."""
    gates, rows = len(CELLS[layer.kind].gates), dut.drain_rows
    units = layer.units if units is None else units
    unit_words = []
    for start in range(unit, unit + units, rows):
        count = min(rows, unit + units - start)
        p = rng.integers(-32768, 32768, (gates, rows)) >> rng.integers(0, 6, (gates, rows))
        order = rng.permutation(gates)
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
                    "end": int(start + count == layer.units),
                }
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
        cell = CELLS[dut.cells[word["cell"]]]
        count = word["count"]
        at = slice(word["state"], word["state"] + count)
        by_slot = {each["slot"]: np.array(each["p"][:count]) for each in words}
        p = {gate: by_slot[slot] for slot, gate in enumerate(cell.gates)}
        before = np.zeros((count, 2), np.int64) if word["first"] else memory[at]
        after = cell.step(p, State(*before.T), word["c_exponent"])
        memory[at] = np.stack([after.c if cell.has_c else np.zeros(count), after.h], axis=1)
        for n, h in enumerate(after.h):
            end = word["end"] and n == count - 1
            outputs.append((word["layer"], word["unit"] + n, int(h), int(end)))
    return outputs, memory


@dataclass
class Run:
    """What a simulation showed; cycles count from its start."""

    outputs: list
    output_cycles: list
    last_cycles: list
    memory: list


def simulate(dut, unit_words, pause=no_pause, reuse_distance=None):
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
        for words in unit_words:
            addresses = range(words[0]["state"], words[0]["state"] + words[0]["count"])
            for word in words:
                wait = pause()
                if word["last"]:
                    wait = max([wait, *(free.get(a, 0) - ctx.get(clock) for a in addresses)])
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
    return CellUnit(drain_rows, cells=cells, state_depth=state_depth)


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


@pytest.mark.parametrize("kind", ["lstm", "linear"])
@pytest.mark.parametrize("drain_rows", [1, 4])
def test_a_unit_with_one_cell(kind, drain_rows):
    rng = np.random.default_rng(7)
    dut = make(drain_rows, cells=(kind,))
    layers = [Layer(kind, 9, 2, number=3, e_c=2), Layer(kind, 4, 20, number=4, e_c=2)]
    check(dut, network(rng, dut, layers, steps=4))


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
@pytest.mark.parametrize("kind", ["lstm", "linear"])
def test_throughput(drain_rows, kind):
    """Back to back, a unit-word takes max(its words, its count) cycles."""
    rng = np.random.default_rng(13)
    dut = make(drain_rows, state_depth=160)
    result = check(dut, step(rng, dut, Layer(kind, 20 * drain_rows, 0), first=True))
    cycles = max(len(CELLS[kind].gates), drain_rows)
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
@pytest.mark.parametrize("cells", [("lstm", "linear"), ("linear",)])
def test_latency(drain_rows, cells):
    rng = np.random.default_rng(15)
    dut = make(drain_rows, cells=cells)
    result = check(dut, step(rng, dut, Layer("linear", 1, 0), first=True))
    assert result.output_cycles[0] - result.last_cycles[0] == dut.latency
    assert dut.latency == (17 if "lstm" in cells else 6)


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
        ({"cells": ()}, r"cells must be different names out of \['lstm', 'linear'\], got \(\)"),
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
        assert len(CELLS[name].gates) == cell.GATES
        assert not cell.READS - {"c", "h"}
