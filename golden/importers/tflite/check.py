# SPDX-License-Identifier: Apache-2.0
"""An imported network beside what LiteRT makes of its file, in a process of its own."""

import subprocess
import sys
import tempfile
from importlib import metadata
from math import prod
from pathlib import Path

import numpy as np

from ... import processes
from ...errors import UserError
from ...integer_lstm.engine import run
from ...integer_lstm.float_engine import run_float
from ...integer_lstm.float_network import FloatNetwork
from ...integer_lstm.network import IntegerNetwork
from ...tflite import schema
from ..compare import BATCH, STEPS, verdict
from .chain import Chain

PACKAGE = "ai-edge-litert"
RUNTIME = Path(__file__).parent / "runtime.py"
SECONDS = 60
MOST_FRAMES = 4096


def check(file: Path, chain: Chain, network: IntegerNetwork | FloatNetwork) -> str:
    """What was compared, in words. Raises UserError where the two differ.

    Where LiteRT is not installed, or cannot run the file, the words say so.
    """
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return f"not checked: {PACKAGE} is not installed (`pip install 'deltaloom[tflite]'`)"
    name = f"LiteRT {version}"
    part = chain.part
    shape = _shape(chain, part, network.inputs)
    if shape is None:
        return f"not checked against {name}: the network's input is no one sequence of few frames"
    frames: np.ndarray
    frames = np.random.default_rng(0).normal(size=(BATCH, prod(shape[:-1]), network.inputs))
    floats = part.tensors[part.inputs[0]].type == schema.FLOAT32
    if isinstance(network, IntegerNetwork):
        spread = frames * 48 + network.x.zero_point
        codes = np.clip(np.rint(spread), -128, 127).astype(np.int8)
        frames = network.x.real(codes) if floats else codes
    fed = frames.astype(np.float32) if floats else frames
    content = schema.packed(part) if chain.cut else b""
    outputs = _run(file, content, fed.reshape(BATCH, *shape))
    if isinstance(outputs, str):
        return f"not checked: {name} cannot run this file ({outputs})"
    own, theirs = _both(network, frames, outputs.reshape(BATCH, -1, network.outputs))
    if chain.last_only:
        own = own[:, -1:]
    if isinstance(network, IntegerNetwork):
        return _equal(own, theirs, name)
    return verdict(own, theirs, name)


def _shape(chain: Chain, part: schema.Graph, inputs: int) -> tuple[int, ...] | None:
    """Of the network's input, with a few frames where it has one; None where it is none of one
    sequence.
    """
    shape = part.tensors[part.inputs[0]].shape
    lstms = (chain.graph.operators[n].options for n in chain.layers)
    major = any(options.get("time_major") for options in lstms)
    if len(shape) != 3 or shape[2] != inputs or not 0 < prod(shape[:2]) <= MOST_FRAMES:
        return None
    if shape[0 if not major else 1] != 1:
        return None
    if shape[:2] == (1, 1) and not (chain.passed or chain.last_only):
        return (STEPS, 1, inputs) if major else (1, STEPS, inputs)
    return shape


def _run(file: Path, content: bytes, frames: np.ndarray) -> np.ndarray | str:
    """LiteRT's outputs for each sequence, or what went wrong; content: runs in the file's place."""
    with tempfile.TemporaryDirectory(prefix="deltaloom-") as folder:
        given, made = Path(folder, "x.npy"), Path(folder, "y.npy")
        if content:
            file = Path(folder, "part.tflite")
            file.write_bytes(content)
        np.save(given, frames)
        command = [sys.executable, "-I", str(RUNTIME), str(file.resolve()), str(given), str(made)]
        child = processes.start(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        try:
            _, text = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return f"not done after {SECONDS} s"
        finally:
            processes.end(child)
        if child.returncode or not made.is_file():
            lines = [line for line in text.splitlines() if line.strip()]
            return lines[-1][:120] if lines else f"it ended with code {child.returncode}"
        outputs: np.ndarray = np.load(made, allow_pickle=False)
        return outputs


def _both(
    network: IntegerNetwork | FloatNetwork, frames: np.ndarray, outputs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Golden's outputs and LiteRT's; of an integer network both in codes."""
    if isinstance(network, FloatNetwork):
        return np.array(run_float(network, list(frames))), outputs
    floats = frames.dtype.kind == "f"
    codes = network.x.codes(frames) if floats else frames
    own = np.array(run(network.dense(), list(codes)).outputs)
    if outputs.dtype.kind == "f":
        return network.y.real(own).astype(np.float32), outputs
    return own, outputs


def _equal(own: np.ndarray, theirs: np.ndarray, name: str) -> str:
    if own.shape != theirs.shape or (own != theirs).any():
        count = "all" if own.shape != theirs.shape else f"{int((own != theirs).sum()):,}"
        raise UserError(
            f"the network differs from what {name} makes of the file in {count} of "
            f"{own.size:,} words of random sequences; it is not imported. --no-check imports it "
            "all the same"
        )
    return f"equals {name} in every bit of {own.size:,} words of random sequences"
