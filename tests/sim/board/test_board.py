# SPDX-License-Identifier: Apache-2.0
"""The simulated board: the top level that is built, behind a pseudo-terminal, and its driver.

One build of a small network for the default tests; the shipped LSTM with `-m slow`.
"""

import importlib.util
import os
import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deltaloom.boards.flow.design import BoardDesign
from deltaloom.boards.registry import find_board
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, real_outputs
from deltaloom.golden.engines.engine import run as run_golden
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.golden.quantization.quantize import quantize
from deltaloom.host import Accelerator, LinkError
from deltaloom.host.board_driver import BoardDriver
from deltaloom.host.device import LinkedDevice
from deltaloom.host.lines import SerialLine
from deltaloom.host.opening import SIMULATED_BAUD
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.board.build import SimulatedBoard, build_board
from deltaloom.sim.testing.bad_line import DamagedLine

SPEECH = Path(__file__).parents[3] / "src" / "deltaloom" / "data" / "speech"

PATIENCE = 120.0
"""Seconds of silence until the simulated board counts as gone."""

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("serial") is None, reason="pyserial is not installed"
)


@pytest.fixture(scope="module")
def networks() -> list[Network]:
    return [
        make_network([("gru", 4)], 3, threshold=2),
        make_network([("gru", 3)], 4, threshold=1, seed=1),
    ]


@pytest.fixture(scope="module")
def folder(networks: list[Network], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `deltaloom build` leaves, for a design that takes both networks."""
    config = derive_config(*networks, word_bits=32)
    made = tmp_path_factory.mktemp("build")
    BoardDesign.of(networks[0], config, find_board("ulx3s_25f")).save(made, networks[0])
    return made


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    return build_board(folder)


def features(network: Network, steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=(steps, network.inputs)), axis=0) / 4


def golden(network: Network, real: np.ndarray) -> np.ndarray:
    (result,) = run_golden(network, [quantize_frames(network, real)])
    return real_outputs(network, result.outputs)


def test_the_board_says_what_golden_says(
    program: Path, folder: Path, networks: list[Network]
) -> None:
    """Predictions, states, counters, a stream, another network, a reconnect: one session."""
    first, second = networks
    real = features(first, 40)
    with (
        Accelerator.open("sim", build=folder) as board,
        Accelerator.open("golden", network=first) as model,
    ):
        assert np.array_equal(board.predict(real), golden(first, real))
        model.predict(real)
        for name, state in model.state.items():
            assert np.array_equal(board.state[name].h, state.h)
        ours, theirs = board.counters(clear=True), model.counters(clear=True)
        assert ours.events == theirs.events and ours.macs_done == theirs.macs_done
        assert ours.cycles and ours.frame_errors == 0
        for each in (board, model):
            each.reset()
            each.set_thresholds(9)
        streams = [list(each.stream(real[:9], under_way=1)) for each in (board, model)]
        assert np.array_equal(*streams)
        board.load(second)
        other = features(second, 20)
        assert np.array_equal(board.predict(other), golden(second, other))
        assert board.throughput_test(10).cycles
        board.reconnect()
        assert np.array_equal(board.predict(other), golden(second, other))


def test_noise_on_the_line_changes_nothing(
    program: Path, folder: Path, networks: list[Network]
) -> None:
    real = features(networks[0], 60)
    with Accelerator.open("sim", build=folder, noise=0.01) as board:
        assert np.array_equal(board.predict(real), golden(networks[0], real))
        driver: Any = board._driver
        assert driver.device.figures["resent"] > 0


def test_a_board_that_vanishes_is_one_error(program: Path, folder: Path) -> None:
    """Hosts come and go on one board; when it is gone, that is said, and it can come back."""
    with SimulatedBoard(program) as board:
        for _ in "ab":
            with Accelerator.open(board.port, build=folder) as accelerator:
                accelerator.predict(np.zeros((2, 3)))
        accelerator = Accelerator.open(board.port, build=folder, patience=2.0)
        os.kill(board.process, signal.SIGKILL)
        with pytest.raises(LinkError, match=r"the line broke|no answer from the board"):
            for _ in range(100):
                accelerator.predict(np.zeros((2, 3)))
        with pytest.raises(LinkError, match=r"cannot be opened|no answer"):
            accelerator.reconnect()
        accelerator.close()


def test_what_a_simulated_board_needs_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"board\.json: No such file or directory; name the folder"):
        build_board(tmp_path)
    with pytest.raises(UserError, match=r"noise: 1\.5 is not possible, it must be 0 to below 1"):
        SimulatedBoard(tmp_path, noise=1.5)


@pytest.mark.slow
def test_ten_thousand_damaged_bytes_are_survived(
    program: Path, folder: Path, networks: list[Network]
) -> None:
    """The built top level itself, over its serial line, with the real driver."""
    network = networks[0]
    real = features(network, 500)
    wanted = golden(network, real)
    board = SimulatedBoard(program, noise=0.01, seed=3)
    with Accelerator.open(board.port, build=folder, patience=120.0) as accelerator:
        for _ in range(60):
            assert np.array_equal(accelerator.predict(real), wanted)
    figures = board.close()
    assert figures is not None and figures.damaged >= 10_000


@pytest.mark.slow
def test_ten_thousand_damaged_transmissions_are_survived(
    program: Path, folder: Path, networks: list[Network]
) -> None:
    """Frames of the link lost, doubled, late, cut, changed in eleven ways, both ways; every output
    is golden's, and no step is done twice or left out."""
    network = networks[0]
    real = features(network, 60)
    wanted = golden(network, real)
    lines: list[DamagedLine] = []
    with SimulatedBoard(program) as board:

        def connect() -> LinkedDevice:
            port = SerialLine(board.port, SIMULATED_BAUD, patience=PATIENCE)
            lines.append(DamagedLine(port, random.Random(len(lines)), 0.3))
            return LinkedDevice(lines[-1], patience=PATIENCE, baud=100_000_000)

        driver = BoardDriver(connect, BoardDesign.load(folder), network)
        with Accelerator(driver) as accelerator:
            accelerator.counters(clear=True)
            runs = 0
            while lines[0].damaged < 10_000:
                assert np.array_equal(accelerator.predict(real), wanted)
                runs += 1
            counters = accelerator.counters()
            assert counters.steps == runs * len(real) and counters.frame_errors == 0
    (line,) = lines  # one session: it never broke
    assert line.there.damaged > 1_000 and line.back.damaged > 1_000


@pytest.mark.slow
def test_the_shipped_lstm_on_speech(tmp_path: Path) -> None:
    """8 bits, 200 frames of held-out speech, every word; then a second network over the line."""
    model = import_checkpoint(SPEECH / "lstm.safetensors", (), (), ImportOptions())
    calibration = Dataset.load(SPEECH / "calibration.npz")
    network = quantize(model, calibration)
    config = derive_config(network)
    BoardDesign.of(network, config, find_board("ulx3s_85f")).save(tmp_path, network)
    heard = Dataset.load(SPEECH / "test.npz").features
    speech = next(frames for frames in heard if len(frames) >= 200)[:200]
    words = quantize_frames(network, speech)
    with Accelerator.open("sim", build=tmp_path) as board:
        for threshold in (0, 8):
            other = network.with_thresholds({name: threshold for name, _ in network.paths()})
            board.set_thresholds(threshold)
            (wanted,) = run_golden(other, [words])
            assert np.array_equal(board.predict(words), wanted.outputs)
        assert wanted.outputs.shape == (200, 39)
        quieter = quantize(model, Dataset(calibration.features[:3]))
        board.load(quieter)
        (found,) = run_golden(quieter, [quantize_frames(quieter, speech)])
        assert not np.array_equal(found.outputs, wanted.outputs)
        assert np.array_equal(board.predict(speech), real_outputs(quieter, found.outputs))


@pytest.mark.slow
def test_a_hardwired_design_gets_its_weights_from_the_host(tmp_path: Path) -> None:
    """An iCE40's SPRAM is empty at first; another network's weights may come, not its rest."""
    network = make_network([("ligru", 4)], 3, threshold=2)
    config = replace(derive_config(network, word_bits=8), hardwired=True, counted=False)
    BoardDesign.of(network, config, find_board("icebreaker")).save(tmp_path, network)
    real = features(network, 30)
    with Accelerator.open("sim", build=tmp_path) as board:
        assert np.array_equal(board.predict(real), golden(network, real))
        assert board.counters().macs_done == 0
        with pytest.raises(UserError, match=r"the design has another one in its logic"):
            board.load(make_network([("ligru", 3)], 3, seed=1))
        assert np.array_equal(board.predict(real), golden(network, real))
