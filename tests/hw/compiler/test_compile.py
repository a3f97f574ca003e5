# SPDX-License-Identifier: Apache-2.0
"""Images: every number in its place, and the program and records around them."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.compiler.plan import Outline, Plan
from deltaloom.hw.image import memories
from deltaloom.hw.words import RowParameters, layer_record, network_record, pass_word
from deltaloom.sim.testing.core import network_of_paths

LSTM_PATHS = [
    [("x", "ifgo"), ("h", "ifgo")],
    [("x", "ifgo"), ("h", "ifo"), ("h", "g")],
    [("x", "of"), ("h", "ifgo")],
    [("h", "go"), ("x", "o"), ("x", "fi")],
    [("x", "ifgo")],
]


def fields(word, bits, count):
    """`count` signed fields of a word, the first in the lowest bits."""
    raw = [(word >> (n * bits)) & ((1 << bits) - 1) for n in range(count)]
    return [v - (v >> (bits - 1) << bits) for v in raw]


def d_word(config, word, place, digits):
    """The weights of one D-word in a weight word: its digits, the top one first and signed."""
    rows = config.drain_rows
    lanes = fields(word, config.digit_bits, config.lanes)[place * digits * rows :]
    total = np.zeros(rows, np.int64)
    for n in range(digits):
        digit = np.array(lanes[n * rows : (n + 1) * rows])
        unsigned = digit & ((1 << config.digit_bits) - 1)
        total = (total << config.digit_bits) + (unsigned if n else digit)
    return total


class Decoded:
    """What an image says: by path name, weights and parameters of its rows; times it names each."""

    def __init__(self, network, config, image):
        self.paths = dict(network.paths())
        self.stages = Outline.of(network).stages
        self.weights = {n: np.zeros_like(p.weights) for n, p in self.paths.items()}
        self.mult = {n: np.zeros_like(p.mult) for n, p in self.paths.items()}
        self.shift = {n: np.full_like(p.shift, -1) for n, p in self.paths.items()}
        self.seen = {n: np.zeros_like(p.mult) for n, p in self.paths.items()}
        self.bias = [np.zeros_like(layer.bias) for layer in network.layers]
        self.padding = []
        self.passes = [pass_word().from_bits(word) for word in image.contents["program"]]
        for one in self.passes:
            name = image.lists[one.fetch.list].path
            self._decode(network, config, image.contents, one, name)

    def _decode(self, network, config, contents, one, name):
        fetch, rows, path = one.fetch, one.rows, self.paths[name]
        stage = self.stages[rows.layer]
        gates = network.layers[stage.layer].cell.gates
        entries = [rows.entry[n] for n in range(rows.entries)]
        real = [entry for entry in entries if not entry.flush]
        total = rows.unit_words * len(real)
        assert total == (fetch.groups - 1) * fetch.words + fetch.tail_words
        digits = 1 << fetch.digits_log2
        assert digits * config.digit_bits == path.weight_bits
        for n in range(fetch.groups * fetch.words):
            group, place = divmod(n, fetch.words)
            base = fetch.weight_base + group * fetch.columns
            words = contents["weights"][base : base + fetch.columns]
            columns = np.array([d_word(config, word, place, digits) for word in words])
            if n >= total:
                self.padding.append(columns)
                continue
            unit_word, at = divmod(n, len(real))
            gate = path.gates.index(stage.gates[real[at].slot])
            start = rows.unit_base + unit_word * config.drain_rows
            last = unit_word == rows.unit_words - 1
            count = rows.tail_units if last else config.drain_rows
            word = contents["rows"][rows.row_base + n]
            for k in range(config.drain_rows):
                row = RowParameters.from_bits((word >> k * RowParameters.size) & (2**36 - 1))
                if k >= count:
                    self.padding.append(np.array([row.mult, row.bias, *columns[:, k]]))
                    continue
                self.weights[name][gate, start + k] = columns[:, k]
                self.mult[name][gate, start + k] = row.mult
                self.bias[stage.layer][gates.index(path.gates[gate]), start + k] += row.bias
                self.seen[name][gate, start + k] += 1
            self.shift[name][gate] = real[at].shift


def check_image(network, **options):
    config = derive_config(network, **options)
    image = compile_network(network, config)
    found = Decoded(network, config, image)
    for name, path in network.paths():
        np.testing.assert_array_equal(found.seen[name], 1)
        np.testing.assert_array_equal(found.weights[name], path.weights)
        np.testing.assert_array_equal(found.mult[name], path.mult)
        np.testing.assert_array_equal(found.shift[name], path.shift)
    for bias, layer in zip(found.bias, network.layers, strict=True):
        np.testing.assert_array_equal(bias, layer.bias)
    assert not any(piece.any() for piece in found.padding)
    for memory in memories(config):  # the derived configuration is the smallest
        assert len(image.contents[memory.name]) == memory.depth
        assert max(image.contents[memory.name]) < 1 << memory.width
    return found, config, image


@settings(max_examples=40, deadline=None)
@given(
    units=st.integers(1, 40),
    inputs=st.integers(1, 5),
    paths=st.sampled_from(LSTM_PATHS),
    weight_bits=st.sampled_from([2, 4, 8, 16]),
    lanes=st.integers(1, 24),
    drain=st.integers(0, 7),
)
def test_image_holds_every_row_once_in_its_place(units, inputs, paths, weight_bits, lanes, drain):
    divisors = [d for d in range(1, lanes + 1) if lanes % d == 0]
    check_image(
        network_of_paths(paths, units, inputs, weight_bits=weight_bits),
        word_bits=lanes * weight_bits,
        drain_rows=divisors[drain % len(divisors)],
    )


@settings(max_examples=15, deadline=None)
@given(
    shape=st.lists(
        st.tuples(st.sampled_from(["lstm", "linear", "gru_before"]), st.integers(1, 20)),
        min_size=1,
        max_size=4,
    ),
    lanes=st.integers(1, 12),
)
def test_image_of_many_layers(shape, lanes):
    check_image(make_network(shape, 3), word_bits=8 * lanes)


def test_program_marks_steps_layers_and_lists():
    network = make_network([("lstm", 40), ("linear", 3)], 5)
    found, config, _ = check_image(network, word_bits=32, drain_rows=4)
    passes = found.passes
    lstm = [p for p in passes if p.rows.layer == 0]
    assert config.chunk_words == 4
    assert [(p.rows.unit_base, p.rows.last) for p in lstm] == [
        (at, last) for at in (0, 16, 32) for last in (0, 1)
    ]
    assert [p.rows.step_start for p in passes] == [1] + [0] * 6
    assert [p.step_end for p in passes] == [0] * 6 + [1]
    assert [p.rows.layer_start for p in passes] == [0, 1, 0, 0, 0, 0, 1]
    assert [p.rows.layer_end for p in passes] == [0, 0, 0, 0, 0, 1, 1]
    assert [p.fetch.tally for p in passes] == [1, 1, 0, 0, 0, 0, 1]
    assert [p.fetch.release for p in passes] == [0, 0, 0, 0, 1, 1, 1]
    assert [p.fetch.recurrent for p in passes] == [1, 0, 1, 0, 1, 0, 0]
    assert [p.fetch.list for p in passes] == [0, 1, 0, 1, 0, 1, 2]
    rows = [p.fetch.products for p in passes]
    assert rows == [64, 64, 64, 64, 32, 32, 3]
    assert [p.rows.tail_units for p in passes] == [4] * 6 + [3]


def test_program_of_a_layer_that_takes_two_stages():
    """The input's list is counted by the first stage's first pass, released by the second's last.

    rh, whose list the first stage writes, comes last.
    """
    network = make_network([("lstm", 2), ("gru_before", 20), ("linear", 3)], 5)
    found, config, image = check_image(network, word_bits=32, drain_rows=4)
    assert config.cells == ("lstm", "gru_reset", "gru_update", "linear")
    passes = found.passes[2:]
    lists = [image.lists[p.fetch.list].path.removeprefix("gru_before1.") for p in passes]
    assert lists == ["h", "x"] * 2 + ["x", "rh"] * 2 + ["linear2.x"]
    assert [p.rows.layer for p in passes] == [1] * 4 + [2] * 4 + [3]
    assert [p.rows.unit_base for p in passes] == [0, 0, 16, 16] * 2 + [0]
    assert [p.rows.last for p in passes] == [0, 1] * 4 + [1]
    assert [p.rows.layer_start for p in passes] == [0, 1, 0, 0, 0, 1, 0, 0, 1]
    assert [p.rows.layer_end for p in passes] == [0, 0, 0, 1, 0, 0, 0, 1, 1]
    assert [p.fetch.tally for p in passes] == [1, 1, 0, 0, 0, 1, 0, 0, 1]
    assert [p.fetch.release for p in passes] == [0, 0, 1, 0, 0, 0, 1, 1, 1]
    assert [p.fetch.recurrent for p in passes] == [1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert [p.fetch.products for p in passes] == [32, 32, 8, 8, 16, 16, 4, 4, 3]
    assert [p.rows.entries for p in passes] == [2] * 4 + [1] * 5
    assert {e.path: (e.columns, e.rows) for e in image.lists[2:]} == {
        "gru_before1.h": (20, 40),
        "gru_before1.x": (2, 60),
        "gru_before1.rh": (20, 20),
        "linear2.x": (20, 3),
    }


def test_records_of_a_layer_that_takes_two_stages():
    network = make_network([("lstm", 2), ("gru_before", 5)], 3)
    config = derive_config(network, word_bits=32)
    image = compile_network(network, config)
    assert image.state_bases == (0, 2)
    layout = layer_record(config.encoders)
    _, reset, update = (layout.from_bits(word) for word in image.contents["layers"])
    assert [config.cells[layer.cell] for layer in (reset, update)] == ["gru_reset", "gru_update"]
    assert [layer.state_base for layer in (reset, update)] == [2, 2]
    assert [layer.output for layer in (reset, update)] == [0, 1]
    for layer, source in ((reset, "rh"), (update, "h")):
        enabled = [e.list for e in (layer.encoders[n] for n in range(config.encoders)) if e.enable]
        assert [image.lists[n].path for n in enabled] == [f"gru_before1.{source}"]


def test_flush_entries_stand_for_gates_that_only_earlier_paths_feed():
    network = network_of_paths(LSTM_PATHS[2], 3, 2)
    head = make_network([("linear", 2)], 3).layers
    found, _, _ = check_image(replace(network, layers=network.layers + head), word_bits=32)
    recurrent, frames, _ = found.passes
    entry = [frames.rows.entry[n] for n in range(frames.rows.entries)]
    assert [(e.slot, e.init, e.flush) for e in entry] == [
        (0, 0, 1),
        (2, 0, 1),
        (3, 0, 0),
        (1, 0, 0),
    ]
    assert [recurrent.rows.entry[n].init for n in range(4)] == [1, 1, 1, 1]


def test_records_of_encoders():
    network = network_of_paths(LSTM_PATHS[1], 3, 2, threshold=4)
    config = derive_config(network, word_bits=32)
    image = compile_network(network, config)
    assert [entry.path for entry in image.lists] == ["lstm0.x", "lstm0.h.ifo", "lstm0.h.g"]
    assert [(e.columns, e.rows, e.threshold) for e in image.lists] == [
        (2, 12, 4),
        (3, 9, 4),
        (3, 3, 4),
    ]
    layer = layer_record(2).from_bits(image.contents["layers"][0])
    assert (layer.output, layer.c_exponent, layer.state_base) == (1, 3, 0)
    for n in range(2):
        record, quantizer = layer.encoders[n], network.layers[0].paths[n + 1].quantizer
        assert (record.enable, record.list, record.columns, record.width) == (1, n + 1, 3, 2)
        assert (record.mult, record.shift) == (quantizer.mult, quantizer.shift)
    whole = network_record(1).from_bits(image.contents["network"][0])
    assert (whole.inputs, whole.macs, whole.encoders[0].list) == (2, 12 * 2 + 12 * 3, 0)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(
        st.tuples(st.sampled_from(["lstm", "linear", "gru_before"]), st.integers(1, 9)),
        min_size=1,
        max_size=5,
    )
)
def test_lists_of_an_encoder_never_overlap(shape):
    network = make_network(shape, 4)
    config = derive_config(network)
    events, references = {}, {}
    for plan in [users[0] for users in Plan.of(network, config).lists]:
        frames = plan.producer < 0
        columns = plan.path.columns
        own = events.setdefault((frames, plan.encoder), set())
        place = set(range(plan.event_base, plan.event_base + 2 * columns))
        assert not own & place
        assert max(place) < (config.input_events if frames else config.events)
        own |= place
        own = references.setdefault((frames, plan.encoder), set())
        place = set(range(plan.reference_base, plan.reference_base + columns))
        assert not own & place
        assert max(place) < (config.input_references if frames else config.references)
        own |= place


@settings(max_examples=25, deadline=None)
@given(
    widths=st.tuples(*[st.sampled_from([2, 4, 8, 16])] * 3),
    units=st.integers(1, 30),
    rows=st.integers(1, 6),
    drain=st.integers(0, 5),
)
def test_image_of_mixed_weight_widths(widths, units, rows, drain):
    network = network_of_paths(LSTM_PATHS[1], units, 3, widths=widths)
    divisors = [d for d in range(1, rows + 1) if rows % d == 0]
    check_image(network, word_bits=rows * max(widths), drain_rows=divisors[drain % len(divisors)])


def test_image_of_as_many_columns_as_an_event_can_name():
    check_image(make_network([("linear", 1)], 4096))
