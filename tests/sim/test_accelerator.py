# SPDX-License-Identifier: Apache-2.0
"""The generated Verilog of the whole accelerator against golden: sizes, widths, buses, loading."""

from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.models.synthetic import make_frames, make_network, make_path
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.generate import generate
from deltaloom.sim.testing.accelerator import check_accelerator, load_network

SIMULATORS = ["icarus", pytest.param("verilator", marks=pytest.mark.slow)]


def sequences(network, *lengths, seed=0):
    return [
        make_frames(network.inputs, steps, seed=seed + n, smooth=0.6)
        for n, steps in enumerate(lengths)
    ]


def design(network, folder, *others, baked=True, **options):
    """The Verilog of an accelerator for all networks; the first one is in it if it is baked."""
    config = derive_config(network, *others, **options)
    return generate(network, folder, config=config, baked=baked).verilog, config


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "units", "word_bits"),
    [
        # Each pair of any two columns but the last; words of one lane up to 32, most of them not
        # a power of two.
        (2, 4, 1, 2),
        (2, 8, 3, 22),
        (2, 16, 37, 64),
        (4, 4, 3, 12),
        (4, 8, 37, 100),
        (4, 16, 1, 4),
        (8, 4, 37, 72),
        (8, 8, 1, 8),
        (8, 16, 3, 40),
        (16, 4, 1, 16),
        (16, 8, 3, 48),
        (16, 16, 37, 112),
    ],
)
def test_widths_and_sizes(weight_bits, activation_bits, units, word_bits, simulator, tmp_path):
    """Two layers; a threshold of one code."""
    network = make_network(
        [("lstm", units), ("linear", 3)],
        5,
        seed=units,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        threshold=1,
    )
    verilog, config = design(network, tmp_path / "rtl", word_bits=word_bits)
    assert config.lanes == word_bits // weight_bits
    frames = sequences(network, 2, 1)
    check_accelerator(verilog, network, frames, workdir=tmp_path, simulator=simulator, seed=units)


@pytest.mark.parametrize("word_bits", [16, 48])
def test_widths_differ_by_path(word_bits, tmp_path):
    """Every weight width and every activation width in one design."""
    rng = np.random.default_rng(1)
    whole = make_network([("lstm", 7), ("gru", 5)], 3, seed=1, weight_bits=4, threshold=1)
    parts = [("x", "ifgo", 2, 8), ("h", "ifo", 8, 4), ("h", "g", 16, 16)]
    paths = tuple(
        make_path(
            rng,
            source,
            tuple(gates),
            7,
            3 if source == "x" else 7,
            weight_bits=weight_bits,
            activation_bits=activation_bits,
            threshold=2,
        )
        for source, gates, weight_bits, activation_bits in parts
    )
    network = replace(whole, layers=(replace(whole.layers[0], paths=paths), whole.layers[1]))
    verilog, config = design(network, tmp_path / "rtl", word_bits=word_bits)
    assert config.weight_bits == (2, 4, 8, 16)
    frames = sequences(network, 3, 1)
    check_accelerator(verilog, network, frames, workdir=tmp_path, simulator="icarus")


DEEP = make_network([("lstm", 7), ("gru", 5), ("lstm", 3), ("linear", 9)], 5, threshold=3)


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """DEEP in a design of its own: (Verilog, folder in which it is built once)."""
    folder = tmp_path_factory.mktemp("deep")
    return design(DEEP, folder / "rtl", word_bits=32)[0], folder


def check_deep(deep, *lengths, **options):
    verilog, workdir = deep
    frames = sequences(DEEP, *lengths)
    return check_accelerator(verilog, DEEP, frames, workdir=workdir, simulator="icarus", **options)


@pytest.mark.parametrize(("idle", "backpressure"), [(0.9, 0), (0, 0.9), (0.1, 0.7)])
def test_pauses(deep, idle, backpressure):
    check_deep(deep, 4, 1, 3, idle=idle, backpressure=backpressure, seed=3)


def test_cycles_that_the_design_counts(deep):
    """From the first word in to the last one out, and at least those that the events need."""
    report = check_deep(deep, 8, idle=0, backpressure=0)
    assert 0 < report.ideal_cycles <= report.counters["BUSY"] < report.counters["CYCLES"]
    assert report.counters["CYCLES"] > report.frame_ends[-1] - report.frame_ends[0]


def test_sequences_begin_by_register(deep):
    check_deep(deep, 2, 1, 3, new_sequence="register")


@pytest.mark.parametrize("words", [1, 5, 14])
def test_reset_in_the_middle(deep, words):
    """After the first word, a whole frame, and within the third."""
    check_deep(deep, 3, 2, reset_after=words, seed=words)


@pytest.mark.parametrize("threshold", [9, 255])
def test_thresholds_over_the_bus(deep, threshold):
    """The design has 3 everywhere; one path keeps it."""
    names = [name for name, _ in DEEP.paths()]
    thresholds = {name: threshold for name in names if name != "gru1.h"}
    report = check_deep(deep, 4, 2, thresholds=thresholds)
    if threshold == 255:  # no difference of two codes is larger
        assert {n for n, events in report.events.items() if events} <= {"gru1.h"}


def test_thresholds_are_set_again_after_a_reset(deep):
    thresholds = {"lstm0.x": 20, "linear3.x": 1}
    check_deep(deep, 3, 1, thresholds=thresholds, reset_after=8, new_sequence="register")


LOADED = {
    "lstm": make_network([("lstm", 7), ("linear", 3)], 5, seed=1, threshold=2),
    "gru": make_network([("gru", 3), ("ligru", 11), ("gru", 5)], 2, seed=2, weight_bits=4),
    "sru": make_network([("sru4", 9), ("sru", 9)], 3, seed=3, activation_bits=16, threshold=40),
    "one": make_network([("linear", 1)], 1, seed=4, weight_bits=4, activation_bits=4),
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A design without an image that holds any of LOADED: (Verilog, config, workdir)."""
    folder = tmp_path_factory.mktemp("empty")
    first, *others = LOADED.values()
    return *design(first, folder / "rtl", *others, baked=False, word_bits=48), folder


@pytest.mark.parametrize("name", LOADED)
def test_networks_loaded_over_the_bus(empty, name):
    """Sizes, depths, cells and widths differ; the Verilog is the same."""
    verilog, config, workdir = empty
    network = LOADED[name]
    check_accelerator(
        verilog,
        network,
        sequences(network, 3, 2),
        workdir=workdir,
        simulator="icarus",
        **load_network(network, config),
    )
    assert len(list((workdir / "build").iterdir())) == 1


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("gru", "one"),
        ("one", "sru"),
        ("sru", "lstm"),
    ],
)
def test_network_loaded_over_another(empty, before, name):
    """What the other one left behind is not seen; nor is a reset in the middle."""
    verilog, config, workdir = empty
    network = LOADED[name]
    options = load_network(network, config)
    options["image"] = load_network(LOADED[before], config)["image"] + options["image"]
    frames = sequences(network, 2, 2)
    check_accelerator(
        verilog,
        network,
        frames,
        workdir=workdir,
        simulator="icarus",
        reset_after=network.inputs + 1,
        **options,
    )


def test_network_loaded_over_a_baked_one(tmp_path):
    """A design with an image takes another one, and thresholds of its own."""
    baked, network = LOADED["lstm"], LOADED["sru"]
    verilog, config = design(baked, tmp_path / "rtl", network, word_bits=32)
    frames = sequences(network, 3, 1)
    check_accelerator(
        verilog,
        network,
        frames,
        workdir=tmp_path,
        simulator="icarus",
        thresholds={"sru1.x": 7},
        **load_network(network, config),
    )
    check_accelerator(verilog, baked, sequences(baked, 2), workdir=tmp_path, simulator="icarus")


def test_an_empty_design_does_not_answer_as_a_network_does(empty):
    """That the tests above load something: without the writes there is no output."""
    verilog, config, workdir = empty
    network = LOADED["lstm"]
    with pytest.raises(AssertionError, match="MISMATCH, "):
        check_accelerator(
            verilog,
            network,
            sequences(network, 1),
            workdir=workdir,
            simulator="icarus",
            patience=3000,
            manifest=load_network(network, config)["manifest"],
        )
