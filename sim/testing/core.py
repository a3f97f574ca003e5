# SPDX-License-Identifier: Apache-2.0
"""The core in Amaranth's simulator beside the golden model, for tests of the datapath."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from amaranth.hdl import Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ...golden.arithmetic import Ints
from ...golden.engines.engine import Result
from ...golden.engines.engine import run as run_golden
from ...golden.models.network import Layer, Network
from ...golden.models.synthetic import make_network, make_path
from ...hw.bus.sequence_buffer import SequenceBuffer
from ...hw.bus.sequence_input import SequenceWord
from ...hw.compiler.compile import compile_plan
from ...hw.compiler.fit import derive_config
from ...hw.compiler.plan import Plan
from ...hw.config import AcceleratorConfig
from ...hw.datapath.core import Core
from ...hw.datapath.units.words import OutputWord
from ...hw.image import Image, core_memories
from ...hw.words import LEVEL_DIGITS
from .streams import run, set_value

__all__ = [
    "BufferedCore",
    "CoreRun",
    "beats",
    "check_core",
    "feed",
    "load_image",
    "network_of_paths",
    "run_core",
]


Testbench = Callable[[Any], Awaitable[None]]


class BufferedCore(wiring.Component):
    """A core behind its sequence buffer, as the accelerator has them.

    Members
    -------
    i: words of the input frames; o: words of the outputs; frame_error, cut, busy: the buffer's
    """

    i: stream.Interface
    o: stream.Interface
    frame_error: Signal
    cut: Signal
    busy: Signal

    def __init__(self, config: AcceleratorConfig, image: Image) -> None:
        self.core = Core(config, image)
        self._buffer = SequenceBuffer(config, init=image.contents["sweeps"])
        super().__init__(
            {
                "i": In(stream.Signature(SequenceWord)),
                "o": Out(stream.Signature(OutputWord)),
                "frame_error": Out(1),
                "cut": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = self.core
        m.submodules.sequence = buffer = self._buffer
        wiring.connect(m, wiring.flipped(self.i), buffer.i)
        wiring.connect(m, buffer.frames, core.i)
        wiring.connect(m, core.o, buffer.outputs)
        wiring.connect(m, buffer.o, wiring.flipped(self.o))
        m.d.comb += [
            core.sweep.eq(buffer.sweep),
            self.frame_error.eq(buffer.frame_error),
            self.cut.eq(buffer.cut),
            self.busy.eq(buffer.busy),
        ]
        return m


@dataclass
class CoreRun:
    """What a core did. outputs: all words; ends: cycle in which each frame's last word left.

    events: by list index; beats, macs, frames, errors: sums of the counters' pulses.
    """

    outputs: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    events: Counter[int] = field(default_factory=Counter)
    beats: int = 0
    macs: int = 0
    frames: int = 0
    errors: int = 0


async def feed(
    ctx: Any,
    core: "Core | BufferedCore",
    sequences: Sequence[Ints],
    *,
    idle: float = 0.0,
    seed: int = 0,
    mark: bool = True,
    elements: int = 1,
) -> None:
    """Send frames [steps, inputs].

    idle: part of the cycles without a word; mark: say where a sequence starts and ends; elements:
    of a beat.
    """
    rng = np.random.default_rng(seed)
    for sequence in sequences:
        for t, frame in enumerate(sequence):
            for j in range(0, len(frame), elements):
                while idle and rng.random() < idle:
                    await ctx.tick()
                values = [int(v) for v in frame[j : j + elements]]
                values += [int(rng.integers(-32768, 32768))] * (elements - len(values))
                word = {
                    "value": values[0] if elements == 1 else values,
                    "last": j + elements >= len(frame),
                    "first": mark and t + j == 0,
                }
                if isinstance(core, BufferedCore):
                    word["end"] = mark and t == len(sequence) - 1
                set_value(ctx, core.i.payload, word)
                ctx.set(core.i.valid, 1)
                while not (await ctx.tick().sample(core.i.ready))[2]:
                    pass
                ctx.set(core.i.valid, 0)


async def load_image(ctx: Any, core: Core, image: Image, config: AcceleratorConfig) -> None:
    """Write an image through the core's load ports, and its thresholds."""
    for memory in core_memories(config):
        port = core.loads[memory.name]
        ctx.set(port.en, 1)
        for address, word in enumerate(image.contents[memory.name]):
            ctx.set(port.addr, address)
            ctx.set(port.data, word)
            await ctx.tick()
        ctx.set(port.en, 0)
    for n, entry in enumerate(image.lists):
        ctx.set(core.set_threshold, {"en": 1, "list": n, "value": entry.threshold})
        await ctx.tick()
    ctx.set(core.set_threshold, {"en": 0, "list": 0, "value": 0})


def run_core(
    core: "Core | BufferedCore",
    source: Testbench,
    frames: int,
    *others: Testbench,
    dut: Any = None,
    reset: Signal | None = None,
    stall: float = 0.0,
    seed: int = 0,
    cycles: int = 100_000,
    outputs: int | None = None,
) -> CoreRun:
    """Run a core until `frames` frames of outputs have come; TimeoutError after `cycles`.

    source: feeds it; others: run beside it; dut: what to simulate where the core is wrapped;
    reset: while it is high, all that came before is forgotten; stall: part of the cycles in which
    the output is not taken; outputs: of a frame, where a beat holds several.
    """
    result = CoreRun()

    async def sink(ctx: Any) -> None:
        rng = np.random.default_rng(seed)
        cycle = 0
        inner = core.core if isinstance(core, BufferedCore) else core
        pulses = inner.beat, inner.macs, inner.frame, core.frame_error
        fired = inner.event, inner.event_list
        asleep = Const(0) if reset is None else reset
        while len(result.ends) < frames:
            take = not stall or rng.random() >= stall
            ctx.set(core.o.ready, take)
            _, _, off, valid, word, beat, macs, frame, error, event, at = await ctx.tick().sample(
                asleep, core.o.valid, core.o.payload, *pulses, *fired
            )
            cycle += 1
            if off:
                vars(result).update(vars(CoreRun()))
                continue
            if valid and take:
                if outputs is None:
                    result.outputs.append(int(word.value))
                else:
                    values = [int(v) for v in word.value]
                    result.outputs += values[: outputs - len(result.outputs) % outputs]
                if word.last:
                    result.ends.append(cycle)
            result.beats += beat
            result.macs += macs
            result.frames += frame
            result.errors += error
            if event:
                result.events[at] += 1

    run(core if dut is None else dut, source, sink, *others, cycles=cycles)
    return result


def beats(plan: Plan, results: Sequence[Result]) -> int:
    """Beats that the array takes for results with terms.

    Every event once per group; with terms, every term, and one beat for each level without a term
    below a list's highest.
    """
    total = 0
    for one in plan.passes:
        name = one.use.name
        for result in results:
            if plan.config.levels:
                counts = _by_level(result.terms[name])
                # Without any term at a level or above it, there is no beat.
                some = np.maximum.accumulate(counts[:, ::-1], axis=1)[:, ::-1] > 0
                total += one.groups * int(np.where(some, np.maximum(counts, 1), 0).sum())
            else:
                total += one.groups * int(result.events[name].sum())
    return total


def _by_level(terms: Ints) -> Ints:
    """Terms [steps, digits] as terms [steps, levels]."""
    padding = -terms.shape[1] % LEVEL_DIGITS
    padded = np.pad(terms, [(0, 0), (0, padding)])
    levels: Ints = padded.reshape(len(terms), -1, LEVEL_DIGITS).sum(axis=2)
    return levels


def check_core(
    network: Network,
    sequences: Sequence[Ints],
    *,
    word_bits: int = 64,
    drain_rows: int | None = None,
    lane_kind: str = "multiplier",
    config: AcceleratorConfig | None = None,
    idle: float = 0.0,
    mark: bool = True,
    **options: Any,
) -> CoreRun:
    """Run `network` on its core, hold everything that comes out against golden, and return it."""
    longest = max(1, *(len(sequence) for sequence in sequences))
    config = config or derive_config(
        network,
        word_bits=word_bits,
        drain_rows=drain_rows,
        lane_kind=lane_kind,
        frames=longest,
    )
    plan = Plan.of(network, config)
    image = compile_plan(plan)
    golden = run_golden(network, sequences, terms=True)
    core = BufferedCore(config, image) if config.buffered else Core(config, image)

    async def source(ctx: Any) -> None:
        elements = config.input_elements
        await feed(ctx, core, sequences, idle=idle, mark=mark, elements=elements)

    if config.output_elements > 1:
        options["outputs"] = network.outputs
    result = run_core(core, source, sum(g.steps for g in golden), **options)
    expected = np.concatenate([g.outputs for g in golden])
    np.testing.assert_array_equal(np.reshape(result.outputs, (-1, network.outputs)), expected)
    totals = {
        n: sum(int(g.events[entry.path].sum()) for g in golden)
        for n, entry in enumerate(image.lists)
    }
    rows = [entry.rows for entry in image.lists]
    found = {n: result.events[n] for n in totals}
    if found != totals:
        raise AssertionError(f"events {found}, golden has {totals}")
    sums = {
        "macs": (result.macs, sum(rows[n] * count for n, count in totals.items())),
        "beats": (result.beats, beats(plan, golden)),
        "frames": (result.frames, len(expected) * sum(bool(s.layers) for s in plan.sweeps)),
        "errors": (result.errors, 0),
    }
    for name, (got, want) in sums.items():
        if got != want:
            raise AssertionError(f"{name}: {got}, expected {want}")
    return result


def network_of_paths(
    paths: Sequence[tuple[str, str]],
    units: int,
    inputs: int,
    *,
    widths: Sequence[int] | None = None,
    seed: int = 0,
    **options: Any,
) -> Network:
    """An LSTM layer with any paths: each a source and the gates it feeds, as in ("x", "ifo").

    widths: weight bits of each path.
    """
    rng = np.random.default_rng(seed)
    made = tuple(
        make_path(
            rng,
            source,
            tuple(gates),
            units,
            inputs if source == "x" else units,
            **{"weight_bits": bits, **options},
        )
        for (source, gates), bits in zip(paths, widths or [8] * len(paths), strict=True)
    )
    whole = make_network([("lstm", units)], inputs, seed=seed)
    layer: Layer = replace(whole.layers[0], paths=made)
    return replace(whole, layers=(layer,))
