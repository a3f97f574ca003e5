# SPDX-License-Identifier: Apache-2.0
"""Random designs by a seed, and what they are to do, by the seed and a number."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deltaloom.golden.arithmetic import Ints
from deltaloom.golden.cells import CELLS
from deltaloom.golden.delta import DELTA_MODES
from deltaloom.golden.engines import engine
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import Shape, make_network
from deltaloom.hw.accelerator import windows
from deltaloom.hw.bus.register_map import (
    CONTROL_CLEAR_COUNTERS,
    CONTROL_NEW_SEQUENCE,
    REGISTER,
    place_windows,
)
from deltaloom.hw.compiler.compile import compile_network
from deltaloom.hw.compiler.fit import check_fits, derive_config
from deltaloom.hw.compiler.plan import Plan
from deltaloom.hw.config import AcceleratorConfig
from deltaloom.hw.generate import generate
from deltaloom.hw.image import Image

END, RESET, WRITE, READ, WAIT, RUN, PART = range(7)
"""Orders of `main.cpp`."""
LONGEST = 24
"""Frames of a sequence."""
MUCH = 32768
"""Of 65536 cycles: more that rest are much."""
KINDS = tuple(CELLS)
WIDTHS = (2, 4, 8, 16)
Orders = list[np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """An accelerator for two networks, of which the first is in it.

    Members
    -------
    images, writes: of both; the writes (address, value) that load one, [writes, 2].
    """

    seed: int
    networks: tuple[Network, ...]
    config: AcceleratorConfig
    images: tuple[Image, ...]
    writes: tuple[np.ndarray, ...]

    def __str__(self) -> str:
        layers = " ".join(f"{one.kind}:{one.units}" for one in self.networks[0].layers)
        bits = ",".join(map(str, self.config.weight_bits))
        return f"{layers}, {self.config.lane_kind}, {self.config.word_bits}-bit words, W{bits}"


def make_design(seed: int) -> Design:
    """The design of this seed: the first of what it draws that hardware has."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng([seed, 1])
    while True:
        shape, inputs = _shape(rng)
        tokens = kinds.random(2) < kinds.choice([0, 0, 0.5, 1])  # one, both or none of the two
        try:
            networks = tuple(_network(rng, shape, inputs, bool(each)) for each in tokens)
            widest = max(path.weight_bits for each in networks for _, path in each.paths())
            config = derive_config(
                *networks,
                word_bits=widest * int(rng.choice([1, 2, 3, 4, 6, 8])),
                lane_kind=str(rng.choice(["multiplier", "shift_add"], p=[0.7, 0.3])),
                frames=LONGEST,
                cell_units=int(rng.choice([1, 1, 2])),
                input_elements=int(rng.choice([1, 1, 2])),
                output_elements=int(rng.choice([1, 1, 2])),
            )
            for network in networks:
                check_fits(Plan.of(network, config))
        except UserError:
            continue
        images = tuple(compile_network(network, config) for network in networks)
        return Design(
            seed=seed,
            networks=networks,
            config=config,
            images=images,
            writes=tuple(_load(image, config) for image in images),
        )


def write_verilog(design: Design, folder: Path) -> Path:
    """Generate it."""
    return generate(design.networks[0], folder, config=design.config).verilog


def _shape(rng: np.random.Generator) -> tuple[list[Shape], int]:
    """Layers and inputs; few that are large, as simulators are slow on them."""
    inputs = width = int(rng.choice([1, 2, 3, 5, 8, 13]))
    layers = []
    for _ in range(int(rng.choice([1, 2, 2, 3]))):
        kind = str(rng.choice(KINDS))
        same = "x" not in CELLS[kind].feeds or kind in ("sru", "ind_rnn")
        units = width if same else int(rng.choice([1, 2, 3, 4, 6, 9, 16, 37]))
        both = bool(rng.random() < 0.15) and not same
        projected = kind == "lstm" and rng.random() < 0.2
        shape = Shape(
            kind=kind,
            units=units,
            both=both,
            backward=not both and bool(rng.random() < 0.1),
            shared=both and bool(rng.random() < 0.3),
            projection=int(rng.integers(1, units + 1)) if projected else 0,
            initial=bool(rng.random() < 0.2),
        )
        layers.append(shape)
        width = shape.outputs
    if rng.random() < 0.7:  # many outputs: more words to compare in a cycle
        layers.append(Shape(kind="linear", units=int(rng.choice([3, 17, 129, 400]))))
    return layers, inputs


def _network(rng: np.random.Generator, shape: list[Shape], inputs: int, tokens: bool) -> Network:
    network = make_network(
        shape,
        inputs,
        seed=int(rng.integers(1 << 31)),
        weight_bits=int(rng.choice(WIDTHS)),
        activation_bits=int(rng.choice(WIDTHS)),
        c_exponent=int(rng.integers(0, 5)),
        h_exponent=int(rng.integers(0, 4)),
        wide_exponent=int(rng.integers(0, 3)),
        delta_mode=str(rng.choice(DELTA_MODES, p=[0.75, 0.25])),
        tokens=tokens,
    )
    return network.with_thresholds(_thresholds(rng, network))


def _thresholds(rng: np.random.Generator, network: Network) -> dict[str, int]:
    """Of each path: nothing, a little, much, or more than any difference."""
    chosen = {}
    for name, path in network.paths():
        most = (1 << path.quantizer.bits) - 1
        value = int(rng.choice([0, 1, rng.integers(most + 1), most // 4, most]))
        chosen[name] = 0 if path.tokens else value
    return chosen


def _load(image: Image, config: AcceleratorConfig) -> np.ndarray:
    pairs = [
        pair
        for place in place_windows(windows(config))
        for pair in place.encode(image.contents[place.window.name])
    ]
    return np.array(pairs, np.uint64).reshape(-1, 2)


def orders(design: Design, number: int, frames: int) -> Iterator[np.ndarray]:
    """The orders of one run of the program, in which there are some `frames` frames to compare.

    It begins with the first network in the design, as configured.
    """
    rng = np.random.default_rng([design.seed, number])
    loaded, network = 0, design.networks[0]
    yield _pack(RESET, int(rng.integers(1, 4)))
    fresh = True  # thresholds are the image's own
    while frames > 0:
        if rng.random() < 0.15:  # cut off in the middle
            words = _in_words(rng, design, network, [_frames(rng, network, LONGEST)])
            part = words[: int(rng.integers(1, len(words) + 1))]
            yield _pack(PART, _chance(rng), int(rng.integers(1 << 32)), len(part))
            yield part
            yield _pack(RESET, int(rng.integers(1, 4)))
            fresh = loaded == 0
        if rng.random() < 0.25:
            loaded = int(rng.integers(2))
            yield _pack(WRITE, len(design.writes[loaded]))
            yield design.writes[loaded].reshape(-1)
            network, fresh = design.networks[loaded], False
        elif fresh:
            network = design.networks[loaded]
        if not fresh or rng.random() < 0.3:
            network = network.with_thresholds(_thresholds(rng, network))
            yield from _set_thresholds(network, design.images[loaded])
            fresh = False
        rests = _chance(rng), _chance(rng)
        count = int(rng.integers(1, 2 + frames))
        if max(rests) > MUCH:  # most cycles would go there
            count = -(-count // 8)
        yield from _run(rng, design, network, design.images[loaded], count, rests)
        frames -= count
    yield _pack(END)


def _set_thresholds(network: Network, image: Image) -> Iterator[np.ndarray]:
    paths = dict(network.paths())
    pairs = [
        (REGISTER["THRESHOLD"].at(n), paths[entry.path].threshold)
        for n, entry in enumerate(image.lists)
    ]
    for order in (WRITE, READ):
        yield _pack(order, len(pairs))
        yield np.array(pairs, np.uint64).reshape(-1)


def _run(
    rng: np.random.Generator,
    design: Design,
    network: Network,
    image: Image,
    count: int,
    rests: tuple[int, int],
) -> Iterator[np.ndarray]:
    """Sequences of `count` frames in all, and what the registers hold afterwards.

    rests: of both streams, as `_chance` has them.
    """
    sequences = []
    while count > 0:
        steps = int(min(count, rng.integers(1, LONGEST + 1)))
        sequences.append(_frames(rng, network, steps))
        count -= steps
    results = engine.run(network, sequences, terms=design.config.lane_kind == "shift_add")
    marked = bool(rng.random() < 0.8)
    control = CONTROL_CLEAR_COUNTERS | (0 if marked else CONTROL_NEW_SEQUENCE)
    sent = _in_words(rng, design, network, sequences, marked=marked)
    wanted = np.concatenate([_out_words(design, result.outputs) for result in results])
    yield _pack(WRITE, 1, REGISTER["CONTROL"].address, control)
    chances = *rests, int(rng.integers(1 << 32)), _chance(rng) // 8
    yield _pack(RUN, *chances, len(sent), len(wanted))
    yield np.concatenate([sent, wanted])
    yield _pack(WAIT)
    steps = sum(result.steps for result in results)
    fired = {name: sum(int(r.events[name].sum()) for r in results) for name, _ in network.paths()}
    registers = [(REGISTER["STEPS"].address, steps), (REGISTER["FRAME_ERRORS"].address, 0)]
    registers += [
        (REGISTER["EVENTS"].at(n), fired[entry.path] & 0xFFFFFFFF)
        for n, entry in enumerate(image.lists)
    ]
    yield _pack(READ, len(registers))
    yield np.array(registers, np.uint64).reshape(-1)


def _frames(rng: np.random.Generator, network: Network, steps: int) -> Ints:
    """Noise, a walk, the extremes or nothing, int16 [steps, inputs]; or tokens, known or not."""
    shape = (steps, network.frame_words)
    kind = rng.integers(4)
    strangers = int(kind == 1)
    if network.tokens and kind:
        return rng.integers(-strangers, network.inputs + strangers, shape)
    if kind == 0:
        return rng.integers(-32768, 32768, shape)
    if kind == 1:
        walk = np.cumsum(rng.normal(size=shape) * rng.choice([10, 300, 5000]), axis=0)
        return np.clip(walk, -32768, 32767).astype(np.int64)
    if kind == 2:
        return rng.choice(np.array([-32768, -1, 0, 1, 32767]), shape)
    return np.repeat(rng.integers(-32768, 32768, (1, shape[1])), steps, axis=0)


def _chance(rng: np.random.Generator) -> int:
    """Of 65536 cycles, those that rest: often none, at times most."""
    return int(rng.choice([0, 0, 6554, 32768, 58982]))


def _in_words(
    rng: np.random.Generator,
    design: Design,
    network: Network,
    sequences: list[Ints],
    *,
    marked: bool = True,
) -> np.ndarray:
    """Stream words {tuser, tlast, tdata}; not marked: the register begins the one sequence."""
    parts = []
    for n, frames in enumerate(sequences):
        words = _words(frames, design.config.input_elements)
        words[-1] |= np.uint64(2 << 33)  # of the sequence's last frame, all words
        if marked or n:
            words[0, 0] |= np.uint64(1 << 33)
        parts.append(words.reshape(-1))
    return np.concatenate(parts)


def _out_words(design: Design, outputs: Ints) -> np.ndarray:
    return _words(outputs, design.config.output_elements).reshape(-1)


def _words(frames: Ints, elements: int) -> np.ndarray:
    """[frames, words] with tlast in bit 32; the first element lowest, missing ones 0."""
    padded = np.pad(frames, ((0, 0), (0, -frames.shape[1] % elements)))
    values = (padded & 0xFFFF).astype(np.uint64).reshape(len(frames), -1, elements)
    words = values[..., 0]
    for n in range(1, elements):
        words = words | values[..., n] << np.uint64(16 * n)
    words[:, -1] |= np.uint64(1 << 32)
    return words


def _pack(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)
