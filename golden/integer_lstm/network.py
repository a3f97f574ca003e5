# SPDX-License-Identifier: Apache-2.0
"""A network of integer LSTM and linear layers, and its file.

On disk it is one safetensors file, written by `deltaloom quantize --scheme integer-lstm` and by
`deltaloom import` of a .tflite file; tensors are named `layers.N.NAME`, as in the layers' members.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from .. import storage
from ..checks import check
from ..errors import UserError
from ..storage import AnyPath, reading
from . import files
from .constants import linear_constants, lstm_constants
from .layers import CODE_BITS, Affine, IntegerLinear, IntegerLstm, Layer, Path

KIND = storage.INTEGER_LSTM
MADE_BY = "deltaloom quantize --scheme integer-lstm"
_CELLS = (IntegerLstm, IntegerLinear)


@dataclass(frozen=True, kw_only=True, slots=True)
class IntegerNetwork:
    """Layers, each of which reads the one before.

    Members
    -------
    kind: of files that hold one.
    layers: see `IntegerLstm` and `IntegerLinear`.
    labels: names of the outputs, or empty.
    origin: the checkpoint's name, for reports; it does not count for equality.
    notes: how it was made, in sentences.
    calibrated: whether its ranges are of data that it was quantized with here; False: they are
        an imported file's. Like origin and notes, it does not count for equality.

    Raises UserError where a layer does not take what the one before puts out, or where scales are
    too far apart for its arithmetic.
    """

    kind: ClassVar[str] = KIND
    layers: tuple[Layer, ...]
    labels: tuple[str, ...] = ()
    origin: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)
    calibrated: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        check("layers", len(self.layers), len(self.layers) > 0, "at least one layer")
        names = [layer.name for layer in self.layers]
        for name in names:
            check("layer's name", name, names.count(name) == 1, "there once")
        for before, layer in zip(self.layers, self.layers[1:], strict=False):
            rule = f"{before.outputs}, the outputs of {before.name}"
            check(f"{layer.name} inputs", layer.inputs, layer.inputs == before.outputs, rule)
            own, wanted = ((a.scale, a.zero_point) for a in (layer.x, before.y))
            rule = f"{wanted} as of {before.name}'s output"
            check(f"{layer.name} x scale, zero point", own, own == wanted, rule)
        for layer in self.layers:  # which refuses scales that are too far apart
            if isinstance(layer, IntegerLstm):
                lstm_constants(layer)
            else:
                linear_constants(layer)
        count = len(self.labels)
        check("labels", count, count in (0, self.outputs), f"0 or {self.outputs}, one per output")

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def tokens(self) -> bool:
        """Never: its frames are features."""
        return False

    @property
    def frame_words(self) -> int:
        """int8 words of a frame."""
        return self.inputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].outputs

    @property
    def x(self) -> Affine:
        """What the input's codes stand for."""
        return self.layers[0].x

    @property
    def y(self) -> Affine:
        """What the outputs' codes stand for."""
        return self.layers[-1].y

    def paths(self) -> Iterator[tuple[str, Path]]:
        """Every path with its name, "LAYER.SOURCE"."""
        for layer in self.layers:
            for source, path in layer.paths():
                yield f"{layer.name}.{source}", path

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one dense step."""
        return sum(path.rows * path.columns for _, path in self.paths())

    @property
    def size_bits(self) -> int:
        """Bits of all integer parameters: weights 8, peepholes and norms 16, biases 32."""
        return sum(
            _bits(name) * array.size
            for layer in self.layers
            for name, array in files.arrays_of(layer).items()
            if not files.is_real(name)
        )

    def with_thresholds(self, thresholds: Mapping[str, int]) -> "IntegerNetwork":
        """The same network with other delta thresholds, by path name.

        Raises UserError for a name that no path has, or a threshold out of range.
        """
        self.check_thresholds(thresholds)
        layers = []
        for layer in self.layers:
            own = {
                source: thresholds.get(f"{layer.name}.{source}", path.threshold)
                for source, path in layer.paths()
            }
            layers.append(replace(layer, thresholds={k: v for k, v in own.items() if v}))
        return replace(self, layers=tuple(layers))

    def check_thresholds(self, thresholds: Mapping[str, int]) -> None:
        """Raise UserError for a name that no path has, or a threshold out of range."""
        paths = dict(self.paths())
        for name, threshold in thresholds.items():
            if name not in paths:
                raise UserError(f"threshold of {name!r}: no such path; paths: {', '.join(paths)}")
            paths[name].check_threshold(threshold)

    def dense(self) -> "IntegerNetwork":
        """The same network with all thresholds 0."""
        return replace(self, layers=tuple(replace(lay, thresholds={}) for lay in self.layers))

    def save(self, file: AnyPath) -> None:
        """Write the network to one safetensors file."""
        files.save(file, KIND, self, _stored_type, calibrated=self.calibrated)

    @classmethod
    def load(cls, file: AnyPath) -> "IntegerNetwork":
        """Read a network that `save` wrote. Raises UserError where the file is anything else."""
        found, header = files.load(file, KIND, MADE_BY, _CELLS)
        with reading(file):
            # older files do not tell
            return cls(**found, calibrated=bool(header.get("calibrated", True)))


def _bits(name: str) -> int:
    return {"bias": 32, "projection_bias": 32, "peephole": 16, "norm": 16, "initial.c": 16}.get(
        name, CODE_BITS
    )


def _stored_type(name: str) -> np.dtype:
    return np.dtype(np.float32 if files.is_real(name) else f"i{_bits(name) // 8}")
