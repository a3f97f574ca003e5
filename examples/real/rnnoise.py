# SPDX-License-Identifier: Apache-2.0
"""RNNoise 0.2 out of its shared library: weights, and the library itself as the reference.

The library holds no checkpoint, so its weights are read where its own `init_rnnoise` finds them.
Its network: two convolutions over time, three GRUs (reset after), and two dense layers with
sigmoids that read the convolutions' output and all three GRUs. The convolutions stay outside.
"""

import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath

FRAME, BINS, BANDS, FEATURES, UNITS = 480, 481, 32, 65, 384
TANH = 2
LAYERS = (
    *("conv1", "conv2", "gru1_input", "gru1_recurrent", "gru2_input", "gru2_recurrent"),
    *("gru3_input", "gru3_recurrent", "dense_out", "vad_dense"),
)
Floats = NDArray[np.float32]


class _Linear(ctypes.Structure):
    """`LinearLayer` of the library's nnet.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("bias", "subias", "weights", "float_weights")),
        *((name, ctypes.c_void_p) for name in ("weights_idx", "diag", "scale")),
        ("inputs", ctypes.c_int),
        ("outputs", ctypes.c_int),
    )


class _Model(ctypes.Structure):
    _fields_ = tuple((name, _Linear) for name in LAYERS)


class Library:
    """The shared library and its network."""

    def __init__(self, file: Path) -> None:
        self.c = ctypes.CDLL(str(file))
        self.c.rnnoise_create.restype = ctypes.c_void_p
        self.model = _Model()
        arrays = (ctypes.c_char * 8).in_dll(self.c, "rnnoise_arrays")
        if self.c.init_rnnoise(ctypes.byref(self.model), ctypes.byref(arrays)):
            raise ValueError(f"{file}: its network is not that of RNNoise 0.2")

    def weights(self, name: str) -> tuple[Floats, Floats]:
        """[outputs, inputs] and [outputs] of one of `LAYERS`."""
        layer: _Linear = getattr(self.model, name)
        rows, columns = layer.outputs, layer.inputs
        stored = _floats(layer.float_weights, rows * columns)
        if layer.weights_idx:
            weights = _unblocked(stored, layer.weights_idx, rows, columns)
        else:
            weights = stored.reshape(columns, rows).T
        if layer.diag:
            units = rows // 3
            for gate, diagonal in enumerate(_floats(layer.diag, rows).reshape(3, units)):
                weights[gate * units : (gate + 1) * units] += np.diag(diagonal)
        return weights.astype(np.float32), _floats(layer.bias, rows)

    def model_of(self) -> FloatModel:
        """What follows the convolutions."""
        layers = [self._gru(n) for n in (1, 2, 3)]
        reads = ("frames", *(layer.name for layer in layers))
        for name in ("dense_out", "vad_dense"):
            weights, bias = self.weights(name)
            path = FloatPath(source="x", gates=("y",), weights=weights[None])
            layers.append(
                FloatLayer(
                    name=name, kind="linear_sigmoid", paths=(path,), bias=bias[None], reads=reads
                )
            )
        return FloatModel(
            layers=tuple(layers), puts_out=("dense_out", "vad_dense"), origin="librnnoise.so"
        )

    def _gru(self, n: int) -> FloatLayer:
        (x, bias_x), (h, bias_h) = (self.weights(f"gru{n}_{s}") for s in ("input", "recurrent"))
        zrn = [m.reshape(3, UNITS, -1) for m in (x, h)]  # the library's order of gates
        bias = [b.reshape(3, UNITS) for b in (bias_x, bias_h)]
        both = bias[0] + bias[1]
        return FloatLayer(
            name=f"gru{n}",
            kind="gru",
            paths=(
                FloatPath(source="x", gates=("r", "z", "nx"), weights=zrn[0][[1, 0, 2]]),
                FloatPath(source="h", gates=("r", "z", "nh"), weights=zrn[1][[1, 0, 2]]),
            ),
            bias=np.stack([both[1], both[0], bias[0][2], bias[1][2]]),
        )

    def run(self, clip: Floats) -> tuple[Floats, Floats]:
        """What the convolutions give [frames, 384], and gains and voice [frames, 33], of 48 kHz."""
        state = ctypes.c_void_p(self.c.rnnoise_create(None))
        rnn = np.zeros(1 << 14, np.float32)  # the library's own RNNState is smaller
        conv1, conv2 = np.zeros(2 * FEATURES, np.float32), np.zeros(256, np.float32)
        spectra = [np.zeros(2 * BINS, np.float32) for _ in range(2)]
        bands = [np.zeros(BANDS, np.float32) for _ in range(3)]
        inner, outer = [], []
        frames = (clip[: len(clip) // FRAME * FRAME].reshape(-1, FRAME) * 32768).astype(np.float32)
        for frame in frames:
            features = np.zeros(FEATURES, np.float32)
            given = [*spectra, *bands, features, np.ascontiguousarray(frame)]
            self.c.rnn_compute_frame_features(state, *map(_pointer, given))
            first, second = np.zeros(128, np.float32), np.zeros(UNITS, np.float32)
            for layer, made, memory, taken in (
                (self.model.conv1, first, conv1, features),
                (self.model.conv2, second, conv2, first),
            ):
                self.c.rnn_compute_generic_conv1d(
                    ctypes.byref(layer), *map(_pointer, (made, memory, taken)), len(taken), TANH, 0
                )
            gains, voice = np.zeros(BANDS, np.float32), np.zeros(1, np.float32)
            pointers = map(_pointer, (rnn, gains, voice, features))
            self.c.compute_rnn(ctypes.byref(self.model), *pointers, 0)
            inner.append(second)
            outer.append(np.concatenate([gains, voice]))
        self.c.rnnoise_destroy(state)
        return np.array(inner), np.array(outer)


def _pointer(array: Floats) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def _floats(address: int, count: int) -> Floats:
    return np.array((ctypes.c_float * count).from_address(address), np.float32)


def _unblocked(stored: Floats, address: int, rows: int, columns: int) -> Floats:
    """A matrix of 8 x 4 blocks, column by column: for 8 rows, how many there are, and where."""
    index = np.array((ctypes.c_int * (rows // 8 * (columns // 4 + 1))).from_address(address))
    weights = np.zeros((rows, columns), np.float32)
    at = place = 0
    for row in range(0, rows, 8):
        count, place = index[place], place + 1
        for column in index[place : place + count]:
            weights[row : row + 8, column : column + 4] = stored[at : at + 32].reshape(4, 8).T
            at += 32
        place += count
    return weights
