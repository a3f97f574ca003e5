# SPDX-License-Identifier: Apache-2.0
"""The area model against yosys: what it counts exactly, what it must not get wrong by much."""

from dataclasses import replace

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Signal

from deltaloom.boards.ecp5.synthesis import synthesize
from deltaloom.golden.data import Dataset
from deltaloom.golden.delta import DELTA_MODES, POWER_OF_TWO
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.golden.models.synthetic import Shape, make_network
from deltaloom.hw.accelerator import Accelerator
from deltaloom.hw.bus.axi import flat_ports
from deltaloom.hw.cells.catalogue import CELLS
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.datapath.units.unit import CellUnit
from deltaloom.hw.estimates.area import components, estimate_area
from deltaloom.hw.estimates.area_turns import means
from deltaloom.hw.estimates.ecp5 import Area, memory, rescaler
from deltaloom.hw.estimates.ecp5_measured import MEASURED

BASE = AcceleratorConfig(cells=("gru", "linear"))
MOST = 0.15


def stack(*layers, word_bits=64, silicon=None, **options):
    return derive_config(
        make_network(layers, 40, seed=1, **options), word_bits=word_bits, **(silicon or {})
    )


def mixed():
    networks = [make_network([("gru", 128)], 40, seed=1, weight_bits=bits) for bits in (2, 4, 8)]
    return derive_config(*networks, word_bits=64)


def four_lstms_of_1024():
    return AcceleratorConfig(
        drain_rows=8,
        cells=("lstm", "linear"),
        lane_bits=26,
        sum_bits=26,
        pre_bits=20,
        shifts=(15, 22),
        quantizer_shifts=(18, 25),
        layers=4,
        weight_words=2048,
        row_words=4096,
        events=8192,
        input_events=2048,
        references=4096,
        input_references=1024,
        states=4096,
        program=256,
    )


# LUT4s, flip-flops, multipliers, block RAMs by Yosys 0.70 and boards/ecp5/netlist.py on 2026-11-22:
# `make bench-fpga ARGS=area-model`
YOSYS = {
    "gru": (lambda: stack(("gru", 128)), (5297, 7385, 31, 73)),
    "three widths": (mixed, (7515, 9432, 23, 73)),
    "both ways": (
        lambda: stack(Shape(kind="lstm", units=64, both=True), ("linear", 10), word_bits=128),
        (7203, 8660, 42, 99),
    ),
    "powers of two": (
        lambda: stack(("lstm", 128), word_bits=128, delta_mode=POWER_OF_TWO),
        (6081, 8087, 42, 89),
    ),
    "initial states": (
        lambda: stack(Shape(kind="gru", units=64, initial=True)),
        (5335, 7416, 31, 53),
    ),
    "4 x 1,024": (four_lstms_of_1024, (6546, 8968, 35, 208)),
}


@pytest.mark.parametrize("name", YOSYS)
def test_against_yosys(name):
    config, (luts, flip_flops, multipliers, block_rams) = YOSYS[name][0](), YOSYS[name][1]
    estimate = estimate_area(config)
    assert (estimate.multipliers, estimate.block_rams) == (multipliers, block_rams)
    assert estimate.luts == pytest.approx(luts, rel=MOST)
    assert estimate.flip_flops == pytest.approx(flip_flops, rel=MOST)


# The same of layers of 5 cells behind 3 inputs, with 2 classes and 32-bit words, on 2026-11-29.
INTEGER = {"plain": (6992, 7963, 24, 52), "all": (9948, 10128, 36, 45)}


@pytest.mark.parametrize("variant", INTEGER)
def test_integer_only_lstms_against_yosys(variant):
    model = make_lstm_network(variant, (3, 5), classes=2)
    network = quantize(model, Dataset(tuple(make_frames(3, [40] * 2))))
    config, (luts, flip_flops, *others) = derive_config(network, word_bits=32), INTEGER[variant]
    estimate = estimate_area(config)
    assert [estimate.multipliers, estimate.block_rams] == others
    assert estimate.luts == pytest.approx(luts, rel=MOST)
    assert estimate.flip_flops == pytest.approx(flip_flops, rel=MOST)
    assert ("statistics" in estimate.components) == (variant == "all")


# `Means` alone on 2026-11-30: LUT4s, flip-flops by cells and units a cycle.
MEANS = {
    ("lstm_norm", 1): (626, 611),
    ("lstm_norm", 4): (1422, 1047),
    ("lstm_norm", 8): (2570, 1630),
    ("layer_norm", 1): (194, 179),
    ("layer_norm", 4): (399, 297),
    ("lstm_norm_xh_c", 1): (493, 436),
    ("lstm_norm_xh_c", 4): (1181, 730),
}


@pytest.mark.parametrize(("cell", "units"), MEANS)
def test_means_over_units_against_yosys(cell, units):
    found = means(AcceleratorConfig(cells=(cell,), cell_units=units))
    luts, flip_flops = MEANS[cell, units]
    assert found.luts == pytest.approx(luts, rel=MOST)
    assert found.flip_flops == pytest.approx(flip_flops, rel=0.02)
    assert (found.multipliers, found.block_rams) == (0, 0)


@pytest.mark.parametrize(("units", "luts", "flip_flops"), [(1, 277, 267), (4, 546, 435)])
def test_means_with_two_divisions_against_yosys(uneven, units, luts, flip_flops):
    found = means(AcceleratorConfig(cells=("uneven",), cell_units=units))
    assert found.luts == pytest.approx(luts, rel=MOST)
    assert found.flip_flops == pytest.approx(flip_flops, rel=0.02)


# gru_norm of 5 units and 3 classes behind 3 inputs with 32-bit words, by cell units; lstm_norm
# 40 -> 128 -> 128 by `make bench-fpga ARGS=norm-area`; both on 2026-11-30.
TURNS = {
    "gru_norm 1": (7007, 10154, 26, 23),
    "gru_norm 4": (18888, 28288, 89, 48),
    "lstm_norm": (10428, 11754, 48, 167),
}


@pytest.mark.parametrize("name", TURNS)
def test_cells_that_take_turns_against_yosys(name):
    kind, *units = name.split()
    if units:
        network = make_network([(kind, 5), ("linear", 3)], 3, seed=1)
        config = derive_config(network, word_bits=32, cell_units=int(*units))
    else:
        config = stack((kind, 128), (kind, 128), ("linear", 39))
    luts, flip_flops, multipliers, block_rams = TURNS[name]
    estimate = estimate_area(config)
    assert estimate.multipliers == multipliers
    # The whole network was in the netlist of the third, which spares it one.
    assert estimate.block_rams == block_rams + (not units)
    # Of the LUTs of four gru_norm cells too many are counted.
    assert estimate.luts == pytest.approx(luts, rel=0.16 if units == ["4"] else MOST)
    assert estimate.flip_flops == pytest.approx(flip_flops, rel=0.05)


NORM = {1: (3230, 1634, 12, 4), 2: (4014, 2287, 23, 5)}


@pytest.mark.parametrize("lanes", NORM)
def test_lanes_of_the_layer_normalisation_against_yosys(lanes):
    network = quantize(make_lstm_network("norm", (3, 200)), Dataset((*make_frames(3, [40] * 2),)))
    config = derive_config(network, word_bits=64, norm_lanes=lanes)
    stage = components(config)["statistics"].counted
    luts, flip_flops, multipliers, block_rams = NORM[lanes]
    assert (stage.multipliers, stage.block_rams) == (multipliers, block_rams)
    assert stage.luts == pytest.approx(luts, rel=MOST)
    assert stage.flip_flops == pytest.approx(flip_flops, rel=MOST)


@pytest.mark.parametrize(
    ("variant", "units", "tables"),
    [("norm", 1, 1), ("all", 1, 2), pytest.param("all", 4, 8, marks=pytest.mark.slow)],
)
def test_every_table_of_initial_states_is_counted(variant, units, tables):
    network = quantize(
        make_lstm_network(variant, (3, 200)), Dataset(tuple(make_frames(3, [40] * 2)))
    )
    config = derive_config(network, word_bits=64, cell_units=units)
    depth = config.states // units
    unit = CellUnit(
        config.unit_word,
        cells=config.cells,
        state_depth=config.states,
        gap=9,
        initial=[],
        width=units,
    )
    ports = {name: port for name, port in flat_ports(unit).items() if isinstance(port[0], Signal)}
    built = rtlil.convert(unit, ports=ports, emit_src=False).count(f"memory width 32 size {depth} ")
    assert built == tables
    with_them = components(replace(config, initial=True))["cell unit"].counted
    without = components(config)["cell unit"].counted
    assert with_them == without + memory(depth, 32) * built


def test_synthesis_of_a_small_design(tmp_path):
    """Far smaller than all that the constants come from, and by the tools that are there."""
    pytest.importorskip("pyosys")
    config = derive_config(make_network([("ligru", 4)], 3, seed=1), word_bits=16)
    top = Accelerator(config)
    text = rtlil.convert(top, name="deltaloom", ports=flat_ports(top), emit_src=False)
    netlist = synthesize(text, top="deltaloom", workdir=tmp_path, mappers=("abc",))
    estimate = estimate_area(config)
    assert estimate.multipliers == netlist.dsps
    assert estimate.block_rams == netlist.brams
    assert estimate.luts == pytest.approx(netlist.luts, rel=MOST)
    assert estimate.flip_flops == pytest.approx(netlist.ffs, rel=MOST)


def test_total_is_the_sum_of_components():
    estimate = estimate_area(BASE)
    for name in ("luts", "flip_flops", "multipliers", "block_rams"):
        total = sum(getattr(area, name) for area in estimate.components.values())
        assert getattr(estimate, name) == round(total)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("units", [1, 4])
def test_every_cell(cell, units):
    config = AcceleratorConfig(cells=(cell,), cell_units=units, input_elements=units)
    estimate = estimate_area(config)
    found = estimate.components["cell sru" if cell.startswith("sru") else f"cell {cell}"]
    multipliers = found.multipliers, found.block_rams
    assert found.flip_flops > 0 and found.luts >= 0
    assert (multipliers > (0, 0)) == (cell not in ("linear", "linear_relu", "rnn_relu"))
    one = estimate_area(replace(config, cell_units=1, input_elements=1))
    assert (estimate.luts > one.luts) == (units > 1)


OTHERS = {
    "shift_add": {"lane_kind": "shift_add"},
    "powers": {"delta_modes": (POWER_OF_TWO,)},
    "both modes": {"delta_modes": DELTA_MODES, "lane_kind": "shift_add", "weight_bits": (4, 8)},
    "two bits": {"weight_bits": (2,), "activation_bits": 2},
    "all widths": {"weight_bits": (2, 4, 8, 16), "word_bits": 128, "activation_bits": 16},
    "sweeps": {"sweeps": 3, "sweep_sources": 2, "sequence_words": 5000, "initial": True},
    "weights in an SDRAM": {"weight_memory": "sdram_16mx16", "memory_clock_mhz": 90.0},
    "skips": {"cells": ("sru4", "sru", "sru0"), "cell_units": 2},
    "one of all": {
        **dict.fromkeys(("weight_words", "row_words", "program", "layers", "states"), 1),
        **dict.fromkeys(("events", "input_events", "references", "input_references"), 1),
        "lists": 1,
        "encoders": 1,
    },
}


@pytest.mark.parametrize("name", OTHERS)
def test_every_kind(name):
    config = replace(BASE, **OTHERS[name])
    estimate = estimate_area(config)
    assert estimate.luts > 1500 and estimate.flip_flops > 2000
    without = config.lane_kind == "shift_add" or config.digit_bits == 2
    assert without == (estimate.components["array"].multipliers == 0)


MORE = (
    ({"word_bits": 128}, "luts flip_flops multipliers block_rams"),
    ({"word_bits": 128, "drain_rows": 16}, "luts flip_flops multipliers block_rams"),
    ({"weight_bits": (4, 8)}, "luts flip_flops"),
    ({"activation_bits": 16}, "luts flip_flops"),
    ({"cell_units": 2}, "luts flip_flops multipliers block_rams"),
    ({"input_elements": 2}, "luts flip_flops multipliers"),
    ({"cells": ("gru", "linear", "lstm")}, "luts flip_flops multipliers block_rams"),
    ({"encoders": 3}, "luts flip_flops multipliers block_rams"),
    ({"input_encoders": 2}, "luts flip_flops multipliers"),
    ({"lane_bits": 30}, "luts flip_flops"),
    ({"sum_bits": 40}, "luts flip_flops multipliers block_rams"),
    ({"pre_bits": 30}, "luts flip_flops"),
    ({"lists": 32}, "luts flip_flops"),
    ({"weight_words": 8192}, "luts block_rams"),
    ({"row_words": 4096}, "block_rams"),
    ({"states": 4096}, "block_rams"),
    ({"events": 8192}, "block_rams"),
    ({"delta_modes": DELTA_MODES}, "luts flip_flops"),
    ({"initial": True}, "luts block_rams"),
    ({"sequence_words": 4096}, "luts flip_flops block_rams"),
)


@pytest.mark.parametrize(("change", "grows"), MORE)
def test_more_takes_more(change, grows):
    before, after = estimate_area(BASE), estimate_area(replace(BASE, **change))
    for name in grows.split():
        assert getattr(after, name) > getattr(before, name), name


def test_every_constant_is_used():
    """Each of MEASURED has its place, and whatever a component asks for is there."""
    configs = [AcceleratorConfig(cells=(cell,)) for cell in CELLS]
    configs += [replace(BASE, **change) for change in OTHERS.values()]
    configs += [replace(BASE, **change) for change, _ in MORE]
    asked = {n for c in configs for part in components(c).values() for n in part.measured}
    assert asked == MEASURED.keys()


@pytest.mark.parametrize(
    ("depth", "width", "force", "block_rams"),
    [
        (16, 36, False, 0),
        (16, 36, True, 1),
        (128, 8, False, 0),
        (208, 8, False, 1),
        (80, 21, False, 1),
        (512, 36, False, 1),
        (512, 37, False, 2),
        (2048, 64, False, 8),
        (2048, 256, False, 29),
        (4096, 21, False, 6),
        (21504, 16, False, 24),
    ],
)
def test_memory(depth, width, force, block_rams):
    found = memory(depth, width, force=force)
    assert found.block_rams == block_rams
    assert found.luts > 0 or block_rams > 0


def test_area_adds_and_multiplies():
    one = Area(luts=1, flip_flops=2, multipliers=3, block_rams=4)
    assert one + one == one * 2 == Area(luts=2, flip_flops=4, multipliers=6, block_rams=8)


@pytest.mark.parametrize(("bits", "multipliers"), [(16, 1), (18, 1), (19, 2), (35, 2), (36, 3)])
def test_rescaler_takes_a_multiplier_for_each_part(bits, multipliers):
    assert rescaler(bits, (10, 20), 20).multipliers == multipliers
