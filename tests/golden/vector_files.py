# SPDX-License-Identifier: Apache-2.0
"""What the scripts make_*_vectors.py share."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch


def random_weights(module: torch.nn.Module, gain: float = 2.5) -> dict[str, np.ndarray]:
    """The float32 state dict, parameters scaled by `gain`; the module is left in float64.

    PyTorch's start is small: larger weights let the gates leave their linear part.
    """
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(gain)
    weights = {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}
    module.double()
    return weights


def save_cases(file: Path, cases: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write each case's arrays as "case:name" into one compressed .npz file."""
    arrays = {f"{case}:{k}": v for case, values in cases.items() for k, v in values.items()}
    np.savez_compressed(file, allow_pickle=False, **arrays)
    print(f"{file}: {len(cases)} cases, {file.stat().st_size} bytes")


def named(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A state dict's tensors under "weights:name"."""
    return {f"weights:{name}": array for name, array in weights.items()}
