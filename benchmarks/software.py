# SPDX-License-Identifier: Apache-2.0
"""Speed of the golden model on this machine, with PyTorch's float LSTM beside it for scale."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import Figure
from speech import DATA, TUNED, speech_network

from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import run_dataset
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.models.network import Network

CELL, THRESHOLD = "lstm", 8
COMMAND = "make bench ARGS=software"
BATCHES = (1, 4, 8, 16, 32, 44)
TRIES = 15
TARGET_SECONDS = 5.0


def figures() -> Iterator[Figure]:
    """Everything is measured once, on the whole test set."""
    test = Dataset.load(DATA / "test.npz")
    with TemporaryDirectory() as folder:
        for cell in TUNED:
            wall, processor = evaluate_seconds(cell, Path(folder))
            yield Figure(
                name=f"software, {cell} W8/A8, `deltaloom evaluate` with float model, test set",
                value=round(wall, 2),
                unit="s",
                reference=round(processor, 2),
                reference_is=f"s of processor time; {test.frames:,} frames",
                target=TARGET_SECONDS,
                at_most=True,
                command=COMMAND,
            )
    model = import_checkpoint(DATA / f"{CELL}.safetensors")
    network = uniform_thresholds(speech_network(CELL), THRESHOLD)
    forward = torch_forward(model, test)
    peer = round(test.frames / min(seconds(forward) for _ in "123")) if forward else None
    yield Figure(
        name=f"software, {CELL} W8/A8, golden integer model with deltas",
        value=round(test.frames / seconds(lambda: run_dataset(network, test))),
        unit="frames/s",
        reference=peer,
        reference_is="frames/s, PyTorch float" if peer else "PyTorch is not installed",
        command=COMMAND,
    )
    yield from batches(model, network, test)


def batches(model: FloatModel, network: Network, test: Dataset) -> Iterator[Figure]:
    """Golden with deltas over PyTorch's float LSTM, on one core, by how many sequences run at once.

    By processor time, the least of `TRIES` by turns, so that both have the same neighbours; nothing
    where there is no torch.
    """
    order = sorted(range(len(test)), key=lambda n: len(test.features[n]))
    for count in BATCHES:
        middle = (len(order) - count) // 2
        data = test.subset(order[middle : middle + count])
        forward = torch_forward(model, data)
        if forward is None:
            return
        actions = (forward, partial(run_dataset, network, data))
        trials = [[seconds(one, time.process_time) for one in actions] for _ in range(TRIES)]
        peer, own = (data.frames / min(times) for times in zip(*trials, strict=True))
        yield Figure(
            name=f"software, {CELL} W8/A8, golden over PyTorch float, {count} sequences at once",
            value=round(own / peer, 3),
            unit="x",
            reference=round(peer),
            reference_is=f"frames/s, PyTorch; golden {own:,.0f}",
            command=COMMAND,
        )


def evaluate_seconds(cell: str, folder: Path) -> tuple[float, float]:
    """Wall and processor time of the whole command, start-up and estimate of cycles included."""
    network, model = folder / f"{cell}.net.safetensors", folder / f"{cell}.model.safetensors"
    uniform_thresholds(speech_network(cell), THRESHOLD).save(network)
    import_checkpoint(DATA / f"{cell}.safetensors").save(model)
    words = ["evaluate", network, "--data", DATA / "test.npz", "--model", model]
    command = [sys.executable, "-m", "deltaloom", *words]
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    user = after.children_user - before.children_user
    return wall, user + after.children_system - before.children_system


def seconds(action: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Time of one call, by the clock; wall time by default."""
    start = clock()
    action()
    return clock() - start


def torch_forward(model: FloatModel, data: Dataset) -> Callable[[], object] | None:
    """nn.LSTM and nn.Linear layers of the model's sizes on all sequences at once, in one thread.

    The time does not depend on the weights: they are PyTorch's own. None where there is no torch.
    """
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)  # as golden
    layers = [
        (torch.nn.LSTM if layer.kind == "lstm" else torch.nn.Linear)(layer.inputs, layer.units)
        for layer in model.layers
    ]
    recurrent = [layer for layer in layers if isinstance(layer, torch.nn.LSTM)]
    packed = torch.nn.utils.rnn.pack_sequence(
        [torch.from_numpy(x) for x in data.features], enforce_sorted=False
    )

    def forward() -> None:
        with torch.inference_mode():
            y = packed
            for layer in layers:
                y = layer(y)[0] if layer in recurrent else y._replace(data=layer(y.data))

    forward()  # its first call sets things up
    return forward
