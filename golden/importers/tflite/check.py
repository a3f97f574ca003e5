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
    shape = _shape(chain, network.inputs)
    if chain.cut or shape is None:
        return f"not checked against {name}: the file has more than the network, or several inputs"
    frames: np.ndarray
    frames = np.random.default_rng(0).normal(size=(BATCH, prod(shape[:-1]), network.inputs))
    floats = _type(chain, chain.graph.inputs[0]) == schema.FLOAT32
    if isinstance(network, IntegerNetwork):
        spread = frames * 48 + network.x.zero_point
        codes = np.clip(np.rint(spread), -128, 127).astype(np.int8)
        frames = network.x.real(codes) if floats else codes
    fed = frames.astype(np.float32) if floats else frames
    outputs = _run(file, fed.reshape(BATCH, *shape))
    if isinstance(outputs, str):
        return f"not checked: {name} cannot run this file ({outputs})"
    own, theirs = _both(network, frames, outputs.reshape(BATCH, -1, network.outputs))
    if isinstance(network, IntegerNetwork):
        return _equal(own, theirs, name)
    return verdict(own, theirs, name)


def _type(chain: Chain, place: int) -> int:
    return chain.graph.tensors[place].type


def _shape(chain: Chain, inputs: int) -> tuple[int, ...] | None:
    """Of the file's input, with a few frames where it has one; None where there are several."""
    graph = chain.graph
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or graph.inputs[0] < 0:
        return None
    shape = graph.tensors[graph.inputs[0]].shape
    major = bool(graph.operators[chain.layers[0]].options.get("time_major"))
    if len(shape) != 3 or shape[2] != inputs or not 0 < prod(shape[:2]) <= MOST_FRAMES:
        return None
    if shape[0 if not major else 1] != 1:
        return None
    if shape[:2] == (1, 1) and not chain.passed:
        return (STEPS, 1, inputs) if major else (1, STEPS, inputs)
    return shape


def _run(file: Path, frames: np.ndarray) -> np.ndarray | str:
    """LiteRT's outputs for each sequence, or what went wrong."""
    with tempfile.TemporaryDirectory(prefix="deltaloom-") as folder:
        given, made = Path(folder, "x.npy"), Path(folder, "y.npy")
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
