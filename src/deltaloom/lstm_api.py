# SPDX-License-Identifier: Apache-2.0
"""What `import deltaloom` offers for integer-only LSTMs, docs/integer-lstm.md."""

from collections.abc import Sequence
from pathlib import Path

from .golden.data import Dataset
from .golden.evaluation.networks import AnyFloat
from .golden.importers.options import ImportOptions
from .golden.importers.tflite.read import read_tflite
from .golden.integer_lstm.export import to_tflite
from .golden.integer_lstm.network import IntegerNetwork
from .golden.integer_lstm.recipe import quantize
from .golden.quantization.calibration import Progress, ignore_progress
from .golden.storage import AnyPath
from .golden.writing import replacing

__all__ = ["export_tflite", "import_tflite", "quantize_integer_lstm"]


def import_tflite(
    file: AnyPath, *, labels: Sequence[str] = (), options: ImportOptions | None = None
) -> AnyFloat | IntegerNetwork:
    """The LSTM network in a .tflite file: an `IntegerNetwork` where it is int8.

    Parameters
    ----------
    labels: names of the outputs; none: unknown.
    options: whether it is checked against LiteRT, and how large it may be; None: the usual.
    """
    return read_tflite(Path(file), labels, options or ImportOptions()).network


def quantize_integer_lstm(
    model: AnyFloat,
    calibration: Dataset,
    *,
    corrected: bool = False,
    progress: Progress = ignore_progress,
) -> IntegerNetwork:
    """The integer-only LSTM network of Li and Alvarez that does what `model` does.

    Parameters
    ----------
    model: of LSTM layers and linear ones in a chain.
    calibration: typical sequences, which set the scales; labels are not needed.
    corrected: without what LiteRT does amiss; then it is not equal to it.
    """
    return quantize(model, calibration, progress, corrected=corrected)


def export_tflite(network: IntegerNetwork, file: AnyPath) -> None:
    """Write a .tflite file that LiteRT runs to the bits of `network` without its thresholds."""
    content = to_tflite(network)
    with replacing(Path(file)) as temporary:
        temporary.write_bytes(content)
