# SPDX-License-Identifier: Apache-2.0
"""What `import deltaloom` offers for training, docs/training.md."""

from pathlib import Path

from .golden.data import Dataset
from .golden.evaluation.metrics import Metric, find_metric, metric_of
from .golden.models import float_model
from .golden.models.float_model import FloatModel
from .golden.models.network import KIND, Network
from .golden.quantization.calibration import Progress, ignore_progress
from .golden.storage import AnyPath, refuse_lstm
from .training.options import Options, check_torch
from .training.result import FineTuning

__all__ = ["FineTuning", "TrainingOptions", "finetune"]

TrainingOptions = Options


def finetune(
    network: Network,
    model: FloatModel,
    data: Dataset,
    tuning: Dataset,
    options: TrainingOptions | None = None,
    *,
    metric: Metric | str | None = None,
    checkpoint: AnyPath | None = None,
    progress: Progress = ignore_progress,
) -> FineTuning:
    """Train a network on at its bits and with its thresholds; the result's `network` is the best.

    That is judged on `tuning` after each epoch, and may be the network as it was. PyTorch is
    needed, the extra `torch`.

    Parameters
    ----------
    model: the float model that the network was quantized from.
    data: sequences to train on, with labels or targets.
    tuning: other sequences to judge on, likewise.
    options: how to train; None: as the command line does.
    metric: what the error is, by name or itself; None: that of the data's task.
    checkpoint: file that an interrupted training goes on from; None: no file.
    """
    refuse_lstm("network", network, KIND)
    refuse_lstm("model", model, float_model.KIND)
    check_torch()
    from .training import finetune as training

    by = find_metric(metric) if isinstance(metric, str) else metric or metric_of(tuning)
    return training.finetune(
        network,
        model,
        data,
        tuning,
        by,
        options,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        show=lambda epochs, part: progress("training", part),
    )
