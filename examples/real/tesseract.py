# SPDX-License-Identifier: Apache-2.0
"""Tesseract's text line recognizer out of a .traineddata file, which is no checkpoint format.

Its networks are Series of layers, each with weights of int8 and a scale for each row. What reads
the image stays outside: a convolution, pooling, and an LSTM that sums up each column of pixels.
What follows goes along the line: LSTMs forward, backward and forward, and a dense layer of classes.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath

Floats = NDArray[np.float32]
COMPONENT, UNICHARSET, RECODER = 17, 21, 22
"""Of a .traineddata file: the network, the characters, and which class is which character."""
LEARNING_RATES = 64
INT8, DOUBLE = 1, 128
GATES = ("g", "i", "f", "o")
"""Tesseract's CI, GI, GF1 and GO."""
INSIDE = ("Series", "Parallel", "XYTranspose", "RTLReversed", "TTBReversed")


@dataclass
class Layer:
    """A layer as the file has it; weights: [outputs, inputs + 1], the last column is the bias."""

    kind: str
    inputs: int
    outputs: int
    inner: list["Layer"] = field(default_factory=list)
    numbers: tuple[int, ...] = ()
    weights: list[Floats] = field(default_factory=list)


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, form: str) -> tuple:
        values = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def text(self) -> str:
        (count,) = self.take("I")
        return bytes(self.take(f"{count}s")[0]).decode()

    def layer(self) -> Layer:
        self.take("b")
        kind = self.text()
        _, _, flags, inputs, outputs, _ = self.take("bbiiii")
        self.text()
        layer = Layer(kind, inputs, outputs)
        if kind in INSIDE:
            (count,) = self.take("I")
            layer.inner = [self.layer() for _ in range(count)]
            if flags & LEARNING_RATES:
                (count,) = self.take("I")
                self.take(f"{count}f")
        elif kind == "Input":
            layer.numbers = self.take("5i")
        elif kind in ("Convolve", "Maxpool", "Reconfig"):
            layer.numbers = self.take("2i")
        elif kind in ("LSTM", "SummLSTM"):
            self.take("i")
            layer.weights = [self.matrix() for _ in GATES]
        else:
            layer.weights = [self.matrix()]
        return layer

    def matrix(self) -> Floats:
        (mode,) = self.take("B")
        if not mode & INT8 or not mode & DOUBLE:
            raise ValueError("its weights are not int8; take a file of tessdata_fast")
        rows, columns, _ = self.take("IIb")
        codes = np.array(self.take(f"{rows * columns}b"), np.float64).reshape(rows, columns)
        (count,) = self.take("I")
        scales = np.array(self.take(f"{count}d"))[:rows]
        return (codes * scales[:, None]).astype(np.float32)


def read(file: Path) -> Layer:
    """The network of a .traineddata file."""
    return _Reader(_component(file, COMPONENT)).layer()


def read_text(file: Path, outputs: NDArray) -> str:
    """What outputs [columns, classes] say: the best class of each, repeats and blanks taken out."""
    names = _component(file, UNICHARSET).decode(errors="replace").splitlines()[1:]
    codes = _Reader(_component(file, RECODER))
    characters = {}
    for n in range(codes.take("I")[0]):
        _, length = codes.take("bi")
        characters.setdefault(codes.take(f"{length}i")[0], names[n].split(" ")[0])
    best = outputs.argmax(axis=1)
    blank = outputs.shape[1] - 1
    kept = [b for a, b in zip([blank, *best], best, strict=False) if b not in (a, blank)]
    return "".join(characters[code] for code in kept).replace("NULL", " ")


def _component(file: Path, which: int) -> bytes:
    content = file.read_bytes()
    (count,) = struct.unpack_from("<i", content)
    offsets = struct.unpack_from(f"<{count}q", content, 4)
    start = offsets[which]
    ends = [offset for offset in offsets if offset > start]
    return content[start : min(ends, default=len(content))]


def model_of(network: Layer) -> FloatModel:
    """What goes along the line."""
    layers = []
    for n, layer in enumerate(network.inner[4:]):
        backward = layer.kind == "RTLReversed"
        if layer.kind in INSIDE:
            (layer,) = layer.inner
        if layer.kind == "LSTM":
            layers.append(_lstm(layer, f"lstm{n}", backward=backward))
        else:
            (weights,) = layer.weights
            path = FloatPath(source="x", gates=("y",), weights=_rows(weights)[None])
            bias = weights[None, :, -1].copy()
            layers.append(FloatLayer(name="classes", kind="linear", paths=(path,), bias=bias))
    return FloatModel(layers=tuple(layers), origin="eng.traineddata")


def _lstm(layer: Layer, name: str, *, backward: bool) -> FloatLayer:
    gates = dict(zip(GATES, layer.weights, strict=True))
    stacked = np.stack([gates[gate] for gate in "ifgo"])
    x, h = stacked[:, :, : layer.inputs], stacked[:, :, layer.inputs : -1]
    paths = tuple(
        FloatPath(source=source, gates=("i", "f", "g", "o"), weights=np.ascontiguousarray(part))
        for source, part in (("x", x), ("h", h))
    )
    bias = np.ascontiguousarray(stacked[:, :, -1])
    return FloatLayer(name=name, kind="lstm", paths=paths, bias=bias, backward=backward)


def _rows(weights: Floats) -> Floats:
    return np.ascontiguousarray(weights[:, :-1])


def features(network: Layer, image: Floats) -> Floats:
    """[columns, 48] of a line of text, [36, width] within +-1: what the first layers make."""
    convolution = network.inner[1].inner[1].weights[0]
    padded = np.pad(image, 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    nine = windows.transpose(0, 1, 3, 2).reshape(*image.shape, 9)  # column by column
    made = np.tanh(nine @ _rows(convolution).T + convolution[:, -1])
    height, width = (n // 3 * 3 for n in image.shape)
    pooled = made[:height, :width].reshape(height // 3, 3, width // 3, 3, -1).max(axis=(1, 3))
    (inner,) = network.inner[3].inner
    c = h = np.zeros((width // 3, inner.outputs))
    for row in pooled:
        taken = np.concatenate([row, h, np.ones((len(row), 1))], axis=1)
        g, i, f, o = (taken @ weights.T for weights in inner.weights)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c)
    return h.astype(np.float32)


def lines(texts: list[str], height: int = 36) -> list[Floats]:
    """Images of lines of text, black on white, within +-1."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=26)
    rng = np.random.default_rng(3)
    images = []
    for text in texts:
        image = Image.new("L", (int(font.getlength(text)) + 24, height), 255)
        ImageDraw.Draw(image).text((12, 1), text, fill=0, font=font)
        pixels = np.asarray(image, np.float64) / 127.5 - 1
        noisy = pixels + rng.normal(scale=0.05, size=pixels.shape)
        images.append(np.clip(noisy, -1, 1).astype(np.float32))
    return images


def _sigmoid(x: NDArray) -> NDArray:
    made: NDArray = 0.5 + 0.5 * np.tanh(0.5 * x)
    return made
