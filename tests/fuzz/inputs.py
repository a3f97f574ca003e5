# SPDX-License-Identifier: Apache-2.0
"""Inputs that somebody could give, most of them wrong: a command line and its files, by a seed."""

import hashlib
import json
import random
import string
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graphs
import numpy as np

from deltaloom.boards.flow.design import BoardDesign
from deltaloom.boards.registry import find_board
from deltaloom.golden.data import Dataset
from deltaloom.golden.integer_lstm.export import to_tflite
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_lstm_network
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.synthetic import make_network
from deltaloom.hw.compiler.fit import derive_config

Words = list[str]
Make = Callable[[random.Random, Path], Words]

NUMBERS = (0, 1, -1, 2, 7, 8, 255, 2**15, 2**31, 2**63, -(2**62), 10**30, 0.5, -1.5, 1e308)
PLAIN = (None, True, "", "x", "\x1b[2J", "é", [], [[]], {}, {"a": 1}, "9" * 5000)
LINE = "serial line"
"""In a verb's place: a board's bytes for the host's driver (`board_line.py`)."""
ODD: tuple[Any, ...] = (*NUMBERS, *PLAIN)
TEXTS = ("", "-1", "0", "1e9", "nan", "inf", "9" * 400, "--", "-", "../x", "a=b")
DTYPES = {"I8": "int8", "I16": "int16", "I32": "int32", "F32": "float32", "F64": "float64"}


def write_bases(folder: Path) -> None:
    """The right files that the others are made of."""
    rng = np.random.default_rng(0)
    make_network([("gru", 4), ("linear", 3)], 5, threshold=1).save(folder / "net")
    weights = rng.normal(size=(1, 3, 5)).astype(np.float32)
    path = FloatPath(source="x", gates=("y",), weights=weights)
    layer = FloatLayer(name="out", kind="linear", paths=(path,), bias=np.zeros((1, 3), np.float32))
    FloatModel(layers=(layer,)).save(folder / "model")
    features = tuple(rng.normal(size=(n, 5)).astype(np.float32) for n in (3, 4))
    labels = tuple(rng.integers(0, 3, len(x)) for x in features)
    Dataset(features, labels).save(folder / "data.npz")
    shapes = {"rnn.weight_ih_l0": (12, 5), "rnn.weight_hh_l0": (12, 4), "fc.weight": (3, 4)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    np.savez(folder / "checkpoint.npz", **arrays)  # type: ignore[arg-type]
    floats = make_lstm_network("all", (5, 4), classes=3)
    integers = quantize(floats, Dataset(features, labels))
    integers.save(folder / "lstm")
    floats.save(folder / "float-lstm")
    (folder / "net.tflite").write_bytes(to_tflite(integers))
    _write_build(folder)
    graphs.write_bases(folder, rng)
    (folder / "scheme.toml").write_text('preset = "8-bit"\n[paths]\n"out.x" = "4/8"\n')


def _write_build(folder: Path) -> None:
    """What a board's build leaves: which design it is, and the network whose image it holds."""
    network = Network.load(folder / "net")
    config = derive_config(network, word_bits=16)
    design = BoardDesign.of(network, config, find_board("ulx3s_85f"), clock_mhz=None, baud=None)
    design.save(folder / "build", network)
    (folder / "build" / "ulx3s_85f.bit").touch()


def make(seed: int, folder: Path) -> Words:
    """The command line of this seed; its files are in `folder`, which has the bases."""
    rng = random.Random(seed)
    return rng.choice(list(KINDS.values()))(rng, folder)


def damaged(rng: random.Random, content: bytes) -> bytes:
    """The bytes with some of them other, gone or doubled."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 50))):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(5)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(data):
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif what == 2:
            del data[at : at + rng.choice((1, 4, 100))]
        elif what == 3:
            data[at:at] = rng.randbytes(rng.choice((1, 4, 100)))
        else:
            data[at:at] = data[at : at + rng.choice((8, 200))]
        if not data:
            break
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


def other_json(rng: random.Random, value: Any) -> Any:
    """The plain data with one place changed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {key: one for key, one in value.items() if key != name}
        return value | {name: other_json(rng, value[name])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        what = rng.random()
        if what < 0.1:
            return value[:at] + value[at + 1 :]
        if what < 0.2:
            return [*value, value[at]]
        return [*value[:at], other_json(rng, value[at]), *value[at + 1 :]]
    if isinstance(value, int) and rng.random() < 0.5:
        return value + rng.choice((-1, 1))
    return rng.choice(ODD)


def signed(rng: random.Random, content: bytes) -> bytes:
    """Our own file with a changed header, whose digest fits: its maker meant it so."""
    size = int.from_bytes(content[:8], "little")
    outer, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    metadata = outer.pop("__metadata__")
    header = json.loads(metadata["deltaloom"])
    header.pop("sha256")
    for _ in range(rng.choice((1, 1, 2, 4))):
        header = other_json(rng, header)
        if not isinstance(header, dict):
            break
    if rng.random() < 0.3:
        outer = other_json(rng, outer)
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, entry in sorted(outer.items()) if isinstance(outer, dict) else ():
        try:
            first, last = entry["data_offsets"]
            facts = [name, DTYPES[entry["dtype"]], entry["shape"]]
            digest.update(json.dumps(facts).encode() + data[first:last])
        except (KeyError, TypeError, ValueError):
            continue
    if isinstance(header, dict):
        header["sha256"] = digest.hexdigest()
    metadata["deltaloom"] = json.dumps(header)
    whole = {"__metadata__": metadata, **outer} if isinstance(outer, dict) else outer
    text = json.dumps(whole).encode()
    return len(text).to_bytes(8, "little") + text + data


def _changed(rng: random.Random, folder: Path, name: str) -> str:
    """One of the bases, damaged or signed anew; the file's name."""
    content = (folder / name).read_bytes()
    sign = name in ("net", "model", "lstm", "float-lstm") and rng.random() < 0.7
    file = folder / f"in-{name}"
    file.write_bytes(signed(rng, content) if sign else damaged(rng, content))
    return str(file)


def network(rng: random.Random, folder: Path) -> Words:
    return ["evaluate", _changed(rng, folder, "net"), "--data", str(folder / "data.npz")]


def model(rng: random.Random, folder: Path) -> Words:
    words = ["quantize", _changed(rng, folder, "model"), "--data", str(folder / "data.npz")]
    return [*words, "-o", str(folder / "out")]


def integer_lstm(rng: random.Random, folder: Path) -> Words:
    """A file of LiteRT, or the network or the float network of such a one."""
    name = rng.choice(("net.tflite", "lstm", "float-lstm"))
    file, given = _changed(rng, folder, name), ["--data", str(folder / "data.npz")]
    test = ["--test", given[1], "--thresholds", "0,8"]
    if name == "lstm":
        return rng.choice((["evaluate", file, *given], ["sweep", file, *test]))
    output = ["-o", str(folder / "out")]
    if name == "float-lstm":
        scheme = ["--scheme", "integer-lstm"]
        quantize, sweep = ["quantize", file, *given, *scheme, *output], ["sweep", file, *given]
        return rng.choice((quantize, [*sweep, *test]))
    return ["import", file, "--no-check", *output]


def data(rng: random.Random, folder: Path) -> Words:
    if rng.random() < 0.5:
        file = _changed(rng, folder, "data.npz")
    else:
        with np.load(folder / "data.npz") as archive:
            arrays = dict(archive)
        name = rng.choice(list(arrays))
        kinds = (np.float64, np.int8, np.uint64, np.complex64, "U3", bool)
        shape = rng.choice([(), (0,), (7,), (7, 5), (7, 5, 1), (2, 0)])
        value = rng.choice(NUMBERS)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a cast that loses what the number is
            full = np.full(shape, float(value) if value > 2**63 else value)
            arrays[name] = full.astype(rng.choice(kinds))
        file = str(folder / "in-data.npz")
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return ["evaluate", str(folder / "net"), "--data", file]


def checkpoint(rng: random.Random, folder: Path) -> Words:
    if rng.random() < 0.5:
        file = _changed(rng, folder, "checkpoint.npz")
    else:
        with np.load(folder / "checkpoint.npz") as archive:
            arrays = dict(archive)
        for _ in range(rng.choice((1, 2))):
            name = rng.choice(list(arrays))
            shape = tuple(rng.choice((0, 1, 4, 5, 12)) for _ in range(rng.randrange(4)))
            value = arrays.pop(name)
            ending = rng.choice(("", "_reverse", "_l9", "_l999999999", "\x1b[2J", ".weight"))
            arrays[name + ending] = value if rng.random() < 0.5 else np.zeros(shape, np.float32)
        file = str(folder / "in-checkpoint.npz")
        np.savez(file, **arrays)  # type: ignore[arg-type]
    return ["import", file, "-o", str(folder / "out")]


def shard(rng: random.Random, folder: Path) -> Words:
    """A safetensors checkpoint by hand, with odd types, shapes and offsets."""
    tensors = {}
    for name in ("rnn.weight_ih_l0", "rnn.weight_hh_l0", "fc.weight")[: rng.randrange(4)]:
        shape = [rng.choice((1, 4, 5, 12, 2**62, -1, 0)) for _ in range(rng.randrange(3))]
        first = rng.choice((0, 0, 4, 2**40))
        offsets = [first, first + rng.choice((0, 80, 240, 2**50))]
        kind = rng.choice(("F32", "F32", "BF16", "F64", "I8", "X"))
        tensors[name] = {"dtype": kind, "shape": shape, "data_offsets": offsets}
    text = json.dumps(tensors).encode()
    file = folder / "in.safetensors"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(480))
    return ["import", str(file), "-o", str(folder / "out")]


def scheme(rng: random.Random, folder: Path) -> Words:
    text = (folder / "scheme.toml").read_text()
    if rng.random() < 0.5:
        content = damaged(rng, text.encode())
    else:
        names = ("weight_bits", "clipping", "preset", "method", "paths", "rounding", "skip")
        value = rng.choice(("1", "99", '"x"', "[1]", "{a=1}", "true", "1e9", "'4/8'", "[" * 2000))
        content = f"{rng.choice(names)} = {value}\n".encode()
    (folder / "in.toml").write_bytes(content)
    words = ["quantize", str(folder / "model"), "--data", str(folder / "data.npz")]
    return [*words, "-o", str(folder / "out"), "--scheme", str(folder / "in.toml")]


def options(rng: random.Random, folder: Path) -> Words:
    """Right words with odd values, and odd words."""
    names = ("net", "model", "lstm", "float-lstm", "data.npz", "no-such", ".")
    files = [str(folder / name) for name in names]
    verb = rng.choice(("evaluate", "quantize", "import", "sweep", "tune"))
    own = ["--word-bits", "--threshold", "--metric", "--weight-bits", "--path", "--clipping"]
    own += ["--json", "--report", "--candidates", "--allowed", "--frames", "--test", "--labels"]
    own += ["--scheme", "--thresholds", "--model", "--weights", "--activations"]
    words = [verb, rng.choice(files)]
    words += ["--data", rng.choice(files)] if rng.random() < 0.8 else []
    words += ["-o", str(folder / rng.choice(("out", "out.csv", "net")))]
    for _ in range(rng.randrange(4)):
        value = rng.choice((*TEXTS, "8", "4", "frame", "max", "0,1", "2-4", *string.punctuation))
        option = rng.choice(own)
        words += [f"{option}={value}"] if rng.random() < 0.5 else [option, value]
    return [*words, "--workers", "1"] if verb == "tune" else words


def graph(rng: random.Random, folder: Path) -> Words:
    """An ONNX file; at times it is run against onnxruntime, and some are cut by hand."""
    content = (folder / "net.onnx").read_bytes()
    file = folder / "in.onnx"
    change = damaged if rng.random() < 0.3 else graphs.other_graph
    file.write_bytes(change(rng, content))
    words = ["import", str(file), "-o", str(folder / "out")]
    if rng.random() < 0.2:
        words += [rng.choice(("--from", "--to")), rng.choice(("gru", "bend", "last", "y", "x", ""))]
    return words if rng.random() < 0.1 else [*words, "--no-check"]


def keras(rng: random.Random, folder: Path) -> Words:
    """Weights alone, or a whole model."""
    name = rng.choice(("net.h5", "model.h5", "model.keras"))
    file = folder / f"in-{name}"
    if rng.random() < 0.3:
        file.write_bytes(damaged(rng, (folder / name).read_bytes()))
    elif name == "model.keras":
        graphs.other_zip(rng, folder / name, file, other_json)
    else:
        graphs.other_archive(rng, folder / name, file, other_json)
    return ["import", str(file), "-o", str(folder / "out"), "--no-check"]


def image(rng: random.Random, folder: Path) -> Words:
    """The folder of a build, whose files say what is in a board's memories."""
    build = folder / "build"
    facts = build / "board.json"
    if rng.random() < 0.5:
        facts.write_text(json.dumps(other_json(rng, json.loads(facts.read_text()))))
    else:
        file = rng.choice((facts, build / "network.safetensors"))
        content = file.read_bytes()
        sign = file != facts and rng.random() < 0.7
        file.write_bytes(signed(rng, content) if sign else damaged(rng, content))
    if rng.random() < 0.3:
        return ["flash", str(build), "--print"]
    words = ["run", str(folder / "net"), "--data", str(folder / "data.npz"), "--build", str(build)]
    return [*words, "--port", rng.choice(("golden", "/dev/null", "absent"))]


def line(rng: random.Random, folder: Path) -> Words:
    """Bytes from a serial port; `run.py` does this one without the command line."""
    return [LINE, str(rng.randrange(1 << 32))]


KINDS: dict[str, Make] = {
    "network": network,
    "model": model,
    "integer_lstm": integer_lstm,
    "data": data,
    "checkpoint": checkpoint,
    "shard": shard,
    "scheme": scheme,
    "options": options,
    "graph": graph,
    "keras": keras,
    "image": image,
    "line": line,
}
