# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from deltaloom.golden.arithmetic import rshr, sat16
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.hw.datapath.rows.accumulate import Accumulate
from deltaloom.hw.words import RowParameters, pass_word
from deltaloom.sim.testing.core import network_of_paths
from deltaloom.sim.testing.streams import run, send, set_value


def plain(view):
    """A pass of the program as numbers."""
    if hasattr(view, "shape") and hasattr(view.shape(), "members"):
        return {name: plain(view[name]) for name in view.shape().members}
    if hasattr(view, "shape") and hasattr(view.shape(), "elem_shape"):
        return [plain(view[n]) for n in range(view.shape().length)]
    return int(view)


@dataclass
class Bench:
    """Runs the rows of a network's program on random sums, for some steps.

    scale: of the sums; firsts: steps that start a sequence; the rest: the odds that a sum is
    there, a word is taken, a layer is ready and there is output room, in any cycle.
    """

    network: object
    drain_rows: int = 2
    steps: int = 3
    firsts: tuple = (0,)
    scale: float = 1.0
    sums_there: float = 1.0
    taken: float = 1.0
    layer_ready: float = 1.0
    room: float = 1.0
    seed: int = 0
    words: list = field(default_factory=list)
    layers: list = field(default_factory=list)
    reserved: list = field(default_factory=list)

    def run(self):
        word_bits = 64 * self.drain_rows
        config = derive_config(self.network, word_bits=word_bits, drain_rows=self.drain_rows)
        image = compile_network(self.network, config)
        contents, self.bases, self.cells = image.contents, image.state_bases, config.cells
        program = [pass_word().from_bits(word) for word in contents["program"]]
        self.passes = [plain(one["rows"]) for one in program]
        bounds = {name: path.bound for name, path in self.network.paths()}
        self.bounds = [int(self.scale * bounds[image.lists[p.fetch.list].path]) for p in program]
        self.parameters = [
            [RowParameters.from_bits(word >> n * RowParameters.size & (2**36 - 1)) for n in self._d]
            for word in contents["rows"]
        ]
        self.rng = np.random.default_rng(self.seed)
        self.expected, self.sums, self.jobs = self._model(config)
        self.dut = Accumulate(config, init=contents["rows"])
        run(self.dut, self._jobs, self._sums, self._sink, self._core, cycles=6000)
        assert self.words == self.expected
        return self

    @property
    def _d(self):
        return range(self.drain_rows)

    def _model(self, config):
        """(words for the cells, sums, jobs) of all steps, by the meaning of the program."""
        kept = np.zeros((config.row_words, self.drain_rows), np.int64)
        words, sums, jobs = [], [], []
        for step in range(self.steps):
            first = int(step in self.firsts)
            collected = {}
            for one, bound in zip(self.passes, self.bounds, strict=True):
                tag = {"first": first, "fresh": 0, "parity": step % 2}
                jobs.append({"pass": one, "step": tag})
                address = one["row_base"]
                entries = one["entry"][: one["entries"]]
                for n in range(one["unit_words"]):
                    tail = n == one["unit_words"] - 1
                    unit = one["unit_base"] + n * self.drain_rows
                    for k, entry in enumerate(entries):
                        part = np.zeros(self.drain_rows, np.int64)
                        if not entry["flush"]:
                            # No M leaves +-bound, as the compiler proves; a sum may be twice that.
                            target = self.rng.integers(-bound, bound + 1, self.drain_rows)
                            before = 0 if first else kept[address]
                            sums.append((target - before).tolist())
                            kept[address] = target
                            rows = self.parameters[address]
                            mult = np.array([row.mult for row in rows])
                            bias = np.array([row.bias for row in rows])
                            part = rshr(target * mult, entry["shift"]) + bias
                            address += 1
                        place = unit, entry["slot"]
                        before = 0 if entry["init"] else collected[place]
                        collected[place] = before + part
                        if one["last"]:
                            words.append(
                                {
                                    "p": sat16(collected[place]).tolist(),
                                    "slot": entry["slot"],
                                    "last": int(k == len(entries) - 1),
                                    "unit": unit,
                                    "count": one["tail_units"] if tail else self.drain_rows,
                                    "first": first,
                                    "begin": int(unit == 0),
                                    "end": int(one["layer_end"] and tail),
                                    "state": self.bases[one["layer"]] + unit,
                                    "cell": one["layer"] % len(config.cells),
                                    "c_exponent": one["layer"] + 1,
                                }
                            )
        return words, sums, jobs

    async def _jobs(self, ctx):
        await send(ctx, self.dut.i, self.jobs)

    async def _sums(self, ctx):
        def pause():
            return 0 if self.rng.random() < self.sums_there else int(self.rng.integers(1, 9))

        await send(ctx, self.dut.sums, self.sums, pause)

    async def _sink(self, ctx):
        dut = self.dut
        while len(self.words) < len(self.expected):
            ready = self.rng.random() < self.taken
            ctx.set(dut.o.ready, ready)
            _, _, valid, word = await ctx.tick().sample(dut.o.valid, dut.o.payload)
            if valid and ready:
                names = self.expected[0].keys() - {"p"}
                found = {name: int(word[name]) for name in names}
                self.words.append(found | {"p": [word.p[n] for n in self._d]})

    async def _core(self, ctx):
        """Answers layer requests as the core does, and gives output room now and then."""
        dut, room = self.dut, False
        while len(self.words) < len(self.expected):
            start = ctx.get(dut.layer_start)
            ends = sum(word["end"] and word["last"] for word in self.words)
            through = ends == len(self.layers)
            ready = bool(start) and through and self.rng.random() < self.layer_ready
            ctx.set(dut.layer_ready, ready)
            had_room, room = room, self.rng.random() < self.room  # of two: one may be on its way
            ctx.set(dut.output_room, room)
            _, _, layer, take, units = await ctx.tick().sample(
                dut.layer, dut.output_take, dut.output_units
            )
            if take:
                assert had_room
                self.reserved.append((self.layers[-1], units))
            if ready:
                self.layers.append(layer)
                context = {
                    "cell": layer % len(self.cells),
                    "c_exponent": layer + 1,
                    "state_base": self.bases[layer],
                    "output": int(layer == len(self.network.layers) - 1),
                }
                others = dict.fromkeys(dut.context.shape().members, 0)
                set_value(ctx, dut.context, others | context)


TWO = make_network([("lstm", 11), ("linear", 5)], 3)
SPLIT = [
    [("x", "ifgo"), ("h", "ifo"), ("h", "g")],
    [("x", "of"), ("h", "ifgo")],
    [("h", "go"), ("x", "o"), ("x", "fi")],
    [("x", "ifgo")],
]


@pytest.mark.parametrize("drain_rows", [1, 2, 4, 8])
def test_two_layers_over_several_passes(drain_rows):
    bench = Bench(TWO, drain_rows=drain_rows).run()
    assert bench.layers == [0, 1] * 3


@pytest.mark.parametrize("paths", SPLIT)
def test_paths_that_feed_only_some_gates(paths):
    """Gates that only earlier paths feed follow as flushed words; nothing is added twice."""
    Bench(network_of_paths(paths, 11, 3), steps=2).run()


def test_sums_are_kept_over_steps_and_start_from_zero_with_a_sequence():
    Bench(TWO, steps=7, firsts=(0, 2, 3), scale=0.2).run()


def test_pre_activations_saturate_after_all_paths_are_added():
    """Factors eight times as large: most pre-activations are beyond an int16."""
    layer = TWO.layers[0]
    paths = tuple(replace(p, shift=p.shift - 3) for p in layer.paths)
    network = replace(TWO, layers=(replace(layer, paths=paths), *TWO.layers[1:]))
    values = np.array([word["p"] for word in Bench(network, seed=1).run().words])
    assert (values == 32767).any()
    assert (values == -32768).any()


@pytest.mark.parametrize(
    "odds",
    [
        {"sums_there": 0.3},
        {"taken": 0.2},
        {"layer_ready": 0.05},
        {"room": 0.1},
        {"sums_there": 0.6, "taken": 0.6, "layer_ready": 0.3, "room": 0.5},
    ],
)
def test_waiting_for_anything_loses_nothing(odds):
    Bench(TWO, seed=2, **odds).run()


def test_one_row_a_step_follows_itself_at_once():
    """The next step's M is read only when this step's has been written."""
    Bench(make_network([("linear", 1)], 2), drain_rows=1, steps=12).run()


def test_output_room_is_reserved_for_the_last_layer_only_and_once_per_unit():
    bench = Bench(TWO, drain_rows=4, room=0.4).run()
    assert bench.reserved == [(1, 4), (1, 1)] * 3


def test_wide_sums():
    network = make_network([("linear", 6)], 8, weight_bits=16, activation_bits=16)
    Bench(network, steps=4).run()
