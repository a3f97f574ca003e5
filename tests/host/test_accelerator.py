# SPDX-License-Identifier: Apache-2.0
"""The driver on a board in Python and on golden: one interface, the same words, clear errors."""

import asyncio
import itertools
import json
import random
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltaloom.boards.flow.design import BoardDesign
from deltaloom.boards.registry import find_board
from deltaloom.boards.uart.protocol import VERSION
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, real_outputs
from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.networks import run_words
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_lstm_network
from deltaloom.golden.models.synthetic import Shape, make_network
from deltaloom.host import Accelerator, AsyncAccelerator, LinkError
from deltaloom.host import device as device_module
from deltaloom.host.board_driver import BoardDriver
from deltaloom.host.device import LinkedDevice
from deltaloom.host.golden_driver import GoldenDriver
from deltaloom.hw.bus.register_map import REGISTER
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.testing.bad_line import BadLine
from deltaloom.sim.testing.board_link import BoardLink
from deltaloom.sim.testing.board_model import BoardModel


def connected(model: BoardModel, *, patience: float = 5.0) -> LinkedDevice:
    return LinkedDevice(model, patience=patience, baud=100_000_000)


def on(model: BoardModel, project: Any, **options: Any) -> Accelerator:
    """An accelerator on a model board, with the first network."""
    driver = BoardDriver(lambda: connected(model, **options), project.design, project.networks[0])
    return Accelerator(driver)


@pytest.fixture(params=["board", "golden"])
def accelerator(request: pytest.FixtureRequest, project: Any) -> Iterator[Accelerator]:
    if request.param == "golden":
        made = Accelerator.open("golden", network=project.networks[0])
    else:
        made = on(BoardModel(project.design, project.networks), project)
    with made as opened:
        yield opened


# what both do


def test_predict_gives_goldens_values(accelerator: Accelerator, walk: np.ndarray) -> None:
    network = accelerator.network
    words = quantize_frames(network, walk)
    (wanted,) = run_golden(network, [words])
    got = accelerator.predict(walk)
    assert np.array_equal(got, real_outputs(network, wanted.outputs))
    integers = accelerator.predict(words.astype(np.int16))
    assert integers.dtype == np.int16 and np.array_equal(integers, wanted.outputs)
    assert accelerator.predict(walk[:0]).shape == (0, network.outputs)


def test_state_and_counters(accelerator: Accelerator, walk: np.ndarray) -> None:
    network = accelerator.network
    (wanted,) = run_golden(network, [quantize_frames(network, walk)])
    accelerator.counters(clear=True)
    accelerator.predict(walk)
    states = accelerator.state
    for layer, state in zip(network.layers, wanted.states, strict=True):
        assert np.array_equal(states[layer.name].h, state.h)
        assert not layer.cell.has_c or np.array_equal(states[layer.name].c, state.c)
    counted = accelerator.counters(clear=True)
    assert counted.steps == len(walk) and counted.macs_dense == len(walk) * network.macs
    assert counted.events == {name: int(n.sum()) for name, n in wanted.events.items()}
    assert 0 < counted.eliminated < 1
    assert accelerator.counters().steps == 0 and accelerator.counters().eliminated is None


def test_the_state_reads_each_units_word_once(
    project: Any, walk: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BoardModel(project.design, project.networks)
    driver = BoardDriver(lambda: connected(model), project.design, project.networks[0])
    read, counts = driver.device.read, []

    def counting(address: int, count: int = 1) -> list[int]:
        if address >= REGISTER["STATE"].address:
            counts.append(count)
        return read(address, count)

    with Accelerator(driver) as accelerator:
        accelerator.predict(walk)
        monkeypatch.setattr(driver.device, "read", counting)
        states = accelerator.state
    assert counts == [len(state.h) for state in states.values()]


def test_a_stream_goes_on_until_a_reset(accelerator: Accelerator, walk: np.ndarray) -> None:
    whole = accelerator.predict(walk)
    for under_way in (1, 4, 100):
        first = list(accelerator.stream(walk[:9], under_way=under_way))
        rest = list(accelerator.stream(iter(walk[9:])))
        assert np.array_equal(first + rest, whole)
        accelerator.reset()
    some = itertools.islice(accelerator.stream(itertools.cycle(walk), under_way=1), 5)
    assert np.array_equal(list(some), whole[:5])


def test_thresholds(accelerator: Accelerator, walk: np.ndarray) -> None:
    accelerator.set_thresholds(7)
    assert {path.threshold for _, path in accelerator.network.paths()} == {7}
    accelerator.set_thresholds({"lstm0.x": 40})
    network = accelerator.network
    (wanted,) = run_golden(network, [quantize_frames(network, walk)])
    assert np.array_equal(accelerator.predict(walk), real_outputs(network, wanted.outputs))
    with pytest.raises(UserError, match="threshold of 'nothing': no such path"):
        accelerator.set_thresholds({"nothing": 1})


@pytest.mark.parametrize("port", ["board", "golden"])
def test_an_integer_only_lstm(port: str, walk: np.ndarray) -> None:
    """Its words are int8 codes; a projection's h is a layer of its own in the hardware."""
    model = make_lstm_network("all", (5, 4, 3), classes=2)
    network = quantize(model, Dataset((walk.astype(np.float32),)))
    network = network.with_thresholds({name: 2 for name, _ in network.paths()})
    if port == "golden":
        made = Accelerator.open("golden", network=network)
    else:
        config = derive_config(network, word_bits=32)
        design = BoardDesign.of(network, config, find_board("ulx3s_25f"))
        board = BoardModel(design, [network])
        made = Accelerator(BoardDriver(lambda: connected(board), design, network))
    codes = network.x.codes(walk)
    (wanted,) = run_words(network, [codes])
    with made as accelerator:
        assert np.array_equal(accelerator.predict(walk), network.y.real(wanted.outputs))
        states = accelerator.state
        for layer, state in zip(network.layers, wanted.states, strict=True):
            assert np.array_equal(states[layer.name].c, state.c)
            assert np.array_equal(states[layer.name].h, state.h)
        assert np.array_equal(accelerator.predict(codes), wanted.outputs)
        assert accelerator.counters().events.keys() == wanted.events.keys()
        accelerator.set_thresholds(9)
        (wanted,) = run_words(accelerator.network, [codes])
        assert np.array_equal(list(accelerator.stream(codes)), wanted.outputs)
        assert accelerator.throughput_test(5).frames == 5
        with pytest.raises(UserError, match="features: an integer is beyond int8"):
            accelerator.predict(codes + 200)


def test_another_network(accelerator: Accelerator, project: Any, tmp_path: Path) -> None:
    other = project.networks[1]
    other.save(tmp_path / "other")
    accelerator.load(tmp_path / "other")
    features = np.random.default_rng(1).normal(size=(8, 4))
    (wanted,) = run_golden(other, [quantize_frames(other, features)])
    for _ in "ab":
        assert np.array_equal(accelerator.predict(features), real_outputs(other, wanted.outputs))
        accelerator.reconnect()


def test_throughput(accelerator: Accelerator) -> None:
    found = accelerator.throughput_test(20)
    assert found.frames == 20 and found.frames_per_second > 0 and 0 <= found.eliminated < 1
    with pytest.raises(UserError, match="frames: 0 is not possible"):
        accelerator.throughput_test(0)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros(5), r"sequence: shape \(5,\), it must be \[steps, inputs\]"),
        (np.zeros((2, 3)), r"features: shape \(2, 3\), the network takes \[steps, 5\]"),
        (np.zeros((2, 3), np.int16), r"features: shape \(2, 3\), the network takes \[steps, 5\]"),
        (np.full((1, 5), 40_000), "features: an integer is beyond int16"),
        (np.full((1, 5), np.nan), "features: a value is NaN or infinite"),
    ],
)
def test_wrong_features(accelerator: Accelerator, features: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        accelerator.predict(features)


def test_a_closed_one_says_so(accelerator: Accelerator, walk: np.ndarray) -> None:
    accelerator.close()
    accelerator.close()
    with pytest.raises(LinkError, match="the accelerator is closed; open it again"):
        accelerator.predict(walk)
    accelerator.reconnect()
    assert len(accelerator.predict(walk)) == len(walk)


def test_input_scales_are_the_networks(project: Any, walk: np.ndarray) -> None:
    scaled = replace(project.networks[0], input_scale=np.full(5, 2.0))
    with (
        Accelerator.open("golden", network=scaled) as one,
        Accelerator.open("golden", network=project.networks[0]) as other,
    ):
        assert np.array_equal(one.predict(walk), other.predict(walk / 2))


def test_backward_layers_take_whole_sequences(walk: np.ndarray) -> None:
    network = make_network([Shape(kind="lstm", units=4, backward=True), ("linear", 2)], 5)
    (wanted,) = run_golden(network, [quantize_frames(network, walk)])
    with Accelerator.open("golden", network=network) as accelerator:
        got = accelerator.predict(walk)
        assert np.array_equal(got, real_outputs(network, wanted.outputs))
        with pytest.raises(UserError, match="stream: the network has backward layers"):
            next(accelerator.stream(walk))


def test_asyncio(project: Any, walk: np.ndarray) -> None:
    async def live() -> AsyncIterator[np.ndarray]:
        for frame in walk:
            await asyncio.sleep(0)
            yield frame

    async def work() -> None:
        opening = AsyncAccelerator.open("golden", network=project.networks[0])
        async with await opening as accelerator:
            whole = await accelerator.predict(walk)
            for frames in (walk, live()):
                await accelerator.reset()
                got = [output async for output in accelerator.stream(frames)]
                assert np.array_equal(got, whole)
            assert (await accelerator.counters(clear=True)).steps == 3 * len(walk)
            await accelerator.set_thresholds(3)
            assert "lstm0" in await accelerator.state()
            await accelerator.load(project.networks[1])
            assert accelerator.network is project.networks[1]
            assert (await accelerator.throughput_test(5)).frames == 5
            await accelerator.reconnect()
        with pytest.raises(UserError, match="port golden: a network is needed"):
            await AsyncAccelerator.open("golden")

    asyncio.run(work())


# a board's own


def test_a_network_is_loaded_only_where_another_is_there(project: Any) -> None:
    model = BoardModel(project.design, project.networks)
    with on(model, project) as accelerator:
        assert model.writes == 0
        accelerator.load(project.networks[1])
        loaded = model.writes
        assert loaded > 100
    with on(model, project):
        assert model.writes > loaded
    again = model.writes
    with on(model, project):
        assert model.writes == again


def test_a_bad_line_changes_nothing(project: Any, walk: np.ndarray) -> None:
    rng = random.Random(0)
    there, back = BadLine(rng, 0.2), BadLine(rng, 0.2)
    model = BoardModel(project.design, project.networks, there=there.carry, back=back.carry)
    (wanted,) = run_golden(project.networks[0], [quantize_frames(project.networks[0], walk)])
    with on(model, project) as accelerator:
        for _ in range(4):
            got = accelerator.predict(walk)
            assert np.array_equal(got, real_outputs(accelerator.network, wanted.outputs))
        accelerator.load(project.networks[1])
        assert accelerator.predict(np.zeros((9, 4))).shape == (9, 3)
    assert there.damaged + back.damaged > 50


def test_a_cable_pull_is_one_error_and_a_reconnect_works(project: Any, walk: np.ndarray) -> None:
    model = BoardModel(project.design, project.networks)
    with on(model, project) as accelerator:
        accelerator.set_thresholds(5)
        whole = accelerator.predict(walk)
        model.broken = LinkError("port x: the line broke")
        for _ in "ab":
            with pytest.raises(LinkError, match=r"^port x: the line broke$"):
                accelerator.predict(walk)
        model.broken = None
        accelerator.reconnect()
        assert np.array_equal(accelerator.predict(walk), whole)


def test_a_silent_board_is_one_error(project: Any, walk: np.ndarray) -> None:
    model = BoardModel(project.design, project.networks)
    with on(model, project, patience=0.3) as accelerator:
        model._there = lambda data: b""
        with pytest.raises(LinkError, match=r"no answer from the board for 0\.3 s"):
            accelerator.predict(walk)
        with pytest.raises(LinkError, match=r"no answer from the board for 0\.3 s"):
            accelerator.reconnect()


def test_outputs_that_never_come(
    project: Any, walk: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "OUTPUTS_WITHIN", 0.3)
    model = BoardModel(project.design, project.networks)
    with on(model, project, patience=0.3) as accelerator:
        model._model = None
        with pytest.raises(LinkError, match=r"answers, but no output came for 0\.6 s: the network"):
            accelerator.predict(walk)


def test_another_design_is_refused(project: Any) -> None:
    other = replace(project.design, manifest=project.design.manifest | {"memories": []})
    driver = BoardModel(project.design, project.networks)
    with pytest.raises(LinkError, match=r"the board holds design 0x\w+, the build is 0x\w+: load"):
        BoardDriver(lambda: connected(driver), other, project.networks[0])


def test_a_network_that_does_not_fit_is_refused_and_the_old_one_stays(
    project: Any, walk: np.ndarray
) -> None:
    with on(BoardModel(project.design, project.networks), project) as accelerator:
        with pytest.raises(UserError, match="the network needs 22, the accelerator has"):
            accelerator.load(make_network([("lstm", 60)], 5))
        assert len(accelerator.predict(walk)) == len(walk)


def test_paths_that_share_events_share_a_threshold(project: Any) -> None:
    with on(BoardModel(project.design, project.networks), project) as accelerator:
        driver: Any = accelerator._driver
        driver._lists = [["lstm0.x", "lstm0.h"]]
        with pytest.raises(UserError, match=r"'lstm0.h': 2 is not possible, it must be that of"):
            accelerator.set_thresholds({"lstm0.x": 9})


def test_a_refused_register_is_told(project: Any) -> None:
    device = connected(BoardModel(project.design, project.networks))
    with pytest.raises(LinkError, match=r"write of 1 words from 0x000000 on: refused"):
        device.write([(0, [1])])
    with pytest.raises(LinkError, match=r"read of 1 words from 0x000044 on: refused"):
        device.read(0x44)


def test_what_is_needed_to_open_is_told(project: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="port /dev/x: the folder of a `deltaloom build` is needed"):
        Accelerator.open("/dev/x")
    with pytest.raises(UserError, match=r"board.json: No such file or directory; name the folder"):
        Accelerator.open("/dev/x", build=tmp_path)
    with pytest.raises(UserError, match="noise: only for a simulated board"):
        Accelerator.open("/dev/x", build=project.folder, noise=0.1)
    with Accelerator.open("golden", build=project.folder) as accelerator:
        assert isinstance(accelerator._driver, GoldenDriver)


class Answers:
    """A line whose board opens the link and answers each command with what is given."""

    def __init__(self, *answers: bytes) -> None:
        self._board, self._answers = BoardLink(), list(answers)

    def write(self, data: bytes) -> None:
        self._board.receive(data)
        if self._board.take(4096) and self._answers:
            self._board.send(self._answers.pop(0))

    def read(self, seconds: float) -> bytes:
        return self._board.poll()

    def close(self) -> None:
        pass


HELLO = b"p" + struct.pack("<BII", VERSION, 1, 2)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ((b"w\0",), "the board answered 'w' where 'p' is right: is its bitstream one of"),
        ((HELLO, b"w\0"), "the board answered 'w' where 'r' is right"),
        ((HELLO, b"r\0\0"), "0 registers came, 2 were asked for: is this board's bitstream one"),
    ],
)
def test_answers_that_belong_to_nothing(answers: tuple[bytes, ...], message: str) -> None:
    with pytest.raises(LinkError, match=message):
        LinkedDevice(Answers(*answers), patience=1, baud=1_000_000).read(0, 2)


def test_a_build_of_another_kind_is_refused(project: Any, tmp_path: Path) -> None:
    project.design.save(tmp_path, project.networks[0])
    file = tmp_path / "board.json"
    right = json.loads(file.read_text())
    for change in (
        {"board": ["ulx3s_25f"]},
        {"baud": 0},
        {"clock_mhz": "fast"},
        {"manifest": 3},
        {"design": right["design"] + 1},
        {"manifest": right["manifest"] | {"config": {"word_bits": 3}}},
    ):
        file.write_text(json.dumps(right | change))
        with pytest.raises(UserError, match=r"cannot be read \(.*name the folder of a"):
            BoardDesign.load(tmp_path)
