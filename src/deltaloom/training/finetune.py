# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning: a network is trained on at its bits and with its thresholds."""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..golden.data import Dataset
from ..golden.errors import UserError
from ..golden.evaluation.evaluate import run_dataset, run_float_dataset
from ..golden.evaluation.metrics import Metric, find_metric
from ..golden.evaluation.operations import eliminated
from ..golden.models.float_model import FloatModel
from ..golden.models.network import Network
from ..golden.quantization.dequantize import dequantized
from ..golden.quantization.norm_ranges import balanced_as
from .batches import Batches, Piece
from .checkpoint import Checkpoint
from .checks import check_data
from .loss import Changes, error_of
from .network import DeltaNetwork, PathParameters, check_layers
from .options import Options
from .result import Epoch, FineTuning, Show

__all__ = ["Options", "finetune", "threads"]

WARM_UP = 0.05
"""Part of all steps, in which the rate rises."""
GRADIENT = 1.0
"""The largest norm of all gradients together."""
PART = 0.1
"""Of the rate: for gains, whose unit is a row's scale, and biases, whose unit is a gate's input."""


def finetune(
    network: Network,
    model: FloatModel,
    data: Dataset,
    tuning: Dataset,
    metric: Metric,
    options: Options | None = None,
    *,
    checkpoint: Path | None = None,
    show: Show = lambda epochs, part: None,
) -> FineTuning:
    """Train a network on; the best of all epochs is kept, and that may be the network as it was.

    Parameters
    ----------
    network: with its bits, formats and thresholds.
    model: that it was quantized from.
    data: to train on, with labels or targets.
    tuning: to judge on, after each epoch.
    metric: of the errors there.
    checkpoint: file that training goes on from where it was interrupted; removed at the end.
    show: called after each batch.

    Raises UserError where the parts do not fit, frames are tokens, or the checkpoint cannot be
    written.
    """
    options = options or Options()
    check_data(network, data, tuning)
    check_layers(network, model)
    model = balanced_as(model, network)
    run = _Run(network, model, data, tuning, metric, options)
    kept = Checkpoint(checkpoint, run.digest if checkpoint else "")
    state = kept.load()
    if state is not None:
        run.resume(state)
    else:
        run.judge(math.nan)
    while not run.finished:
        loss = run.train(show)
        run.judge(loss)
        kept.save(run.state())
        show(run.epochs, run.part)
    result = run.result()
    kept.remove()
    return result


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of PyTorch in the block."""
    if count < 1:
        raise UserError(f"threads: {count} is not possible, it must be at least 1")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass
class _Run:
    """A training under way."""

    network: Network
    model: FloatModel
    data: Dataset
    tuning: Dataset
    metric: Metric
    options: Options
    epochs: list[Epoch] = field(default_factory=list)
    part: float = 0.0

    def __post_init__(self) -> None:
        options = self.options
        self._module = DeltaNetwork(self.network, self.model)
        teacher = run_float_dataset(self.model, self.data) if options.teacher else None
        if teacher is not None and self.data.offset is not None:
            teacher = [y + more for y, more in zip(teacher, self.data.offset, strict=True)]
        self._batches = Batches(
            self.network,
            self.data,
            teacher,
            size=options.batch,
            longest=options.longest,
            noise=options.noise,
            seed=options.seed,
        )
        self._changes = Changes(self.network)
        self._unit = 2.0 ** (self.network.y_exponent - 15)
        self._optimizer = torch.optim.Adam(_groups(self._module, options.rate))
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._best: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        last, options = self.epochs[-1].number, self.options
        return last >= options.epochs or last - self._best_number >= options.patience

    @property
    def _best_number(self) -> int:
        return min(self.epochs, key=lambda epoch: (epoch.score, epoch.number)).number

    def train(self, show: Show) -> float:
        """One epoch; its mean loss."""
        number = len(self.epochs)
        batches = self._batches.epoch(number)
        losses = []
        rng = np.random.default_rng([self.options.seed, number, 1])
        for n, pieces in enumerate(batches):
            done = (number - 1 + n / len(batches)) / self.options.epochs
            self._set_rate(done)
            losses.append(self._step(pieces, rng))
            self.part = done + 1 / len(batches) / self.options.epochs
            show(self.epochs, self.part)
        return float(np.mean(losses))

    def judge(self, loss: float) -> None:
        """Run the tuning data through golden, and keep the network where it is the best."""
        network = self._module.quantized()
        totals = run_dataset(network, self.tuning)
        outputs = totals.real(network)
        error = self.metric(self.tuning, outputs)
        left_out = eliminated(network, totals.events, self.tuning.frames)
        score = error
        if self.options.delta_penalty:
            done = 1 - left_out / 100
            score = _loss_of(self.tuning, outputs) + self.options.delta_penalty * done
        self.epochs.append(Epoch(len(self.epochs), loss, error, left_out, score))
        if self._best_number == self.epochs[-1].number:
            self._best = {k: v.clone() for k, v in self._module.state_dict().items()}

    def result(self) -> FineTuning:
        """The best epoch's network."""
        self._module.load_state_dict(self._best)
        float_error = self.metric(self.tuning, run_float_dataset(self.model, self.tuning))
        network = self._module.quantized()
        return FineTuning(
            network=network,
            model=dequantized(network, self.model),
            epochs=tuple(self.epochs),
            best=self._best_number,
            metric=self.metric,
            float_error=float_error,
        )

    def state(self) -> dict[str, Any]:
        """All that going on needs."""
        return {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "module": self._module.state_dict(),
            "best": self._best,
            "optimizer": self._optimizer.state_dict(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self._module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._best = state["best"]
        self.part = self.epochs[-1].number / self.options.epochs

    @property
    def digest(self) -> str:
        """Of everything that training depends on."""
        result = hashlib.sha256()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "saved"
            for save in (self.network.save, self.model.save):
                save(file)
                result.update(file.read_bytes())
        fold = sorted((self.metric.fold or {}).items())
        digests = [self.data.digest, self.tuning.digest]
        result.update(json.dumps([asdict(self.options), self.metric.name, fold, *digests]).encode())
        return result.hexdigest()

    def _step(self, pieces: Sequence[Piece], rng: np.random.Generator) -> float:
        batch, options = self._batches.batch(pieces, rng), self.options
        outputs, layers = self._module(batch.packed, batch.frames, batch.first)
        loss = error_of(batch, outputs * self._unit, options.teacher)
        if options.delta_penalty:
            loss = loss + options.delta_penalty * self._changes(batch, layers)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._module.parameters(), GRADIENT)
        self._optimizer.step()
        self._module.clip()
        return loss.item()

    def _set_rate(self, done: float) -> None:
        """The rate rises for a short time, then falls along a cosine."""
        factor = min(max(done / WARM_UP, 0.01), 1.0) * 0.5 * (1 + math.cos(math.pi * done))
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor


def _groups(module: DeltaNetwork, rate: float) -> list[dict[str, Any]]:
    """Parameters with their rates."""
    weights = {id(m.weights) for m in module.modules() if isinstance(m, PathParameters)}
    groups = []
    for name, parameter in module.named_parameters():
        large = id(parameter) in weights or ".vectors." in name
        scale = float(parameter.detach().square().mean().sqrt()) if large else PART
        groups.append({"params": [parameter], "lr": rate * (scale or PART)})
    return groups


def _loss_of(data: Dataset, outputs: Sequence[np.ndarray]) -> float:
    """What the training's loss would be without a teacher and a penalty."""
    if data.task == "regression":
        return float(10 ** (find_metric("nmse")(data, outputs) / 10))
    return find_metric("cross-entropy")(data, outputs)
