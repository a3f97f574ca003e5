# SPDX-License-Identifier: Apache-2.0
"""LiteRT where it is installed, and what it computed once where it is not."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from deltaloom.golden.integer_lstm.float_engine import Range, Ranges

HERE = Path(__file__).parent


def _module(name):
    spec = importlib.util.spec_from_file_location(f"integer_lstm_{name}", HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def litert():
    """The module `litert`; a test that takes it is skipped where the package is not installed."""
    module = _module("litert")
    if not module.THERE:
        pytest.skip("ai-edge-litert is not installed")
    return module


@dataclass
class Case:
    """A float file, LiteRT's int8 file of it and ranges, int8 frames, and LiteRT's outputs."""

    floats: bytes
    integers: bytes
    ranges: list[Ranges]
    x: list[np.ndarray]
    y: list[np.ndarray]


@pytest.fixture(scope="session")
def cases():
    """By name, what `make_vectors.py` wrote."""
    found = {}
    with np.load(HERE / "vectors.npz") as archive:
        for name in sorted({key.partition(":")[0] for key in archive.files}):
            stored = {
                key: archive[f"{name}:{key}"]
                for key in ("floats", "integers", "ranges", "layers", "x", "y")
            }
            ranges = [Range(float(a), float(b), bool(s)) for a, b, s in stored["ranges"]]
            layers = []
            for gates in stored["layers"].tolist():
                own, ranges = ranges[: 4 + gates], ranges[4 + gates :]
                layers.append(Ranges(*own[:4], gates=tuple(own[4:])))
            found[name] = Case(
                stored["floats"].tobytes(),
                stored["integers"].tobytes(),
                layers,
                list(stored["x"]),
                list(stored["y"]),
            )
    return found
