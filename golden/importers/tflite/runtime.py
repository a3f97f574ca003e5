# SPDX-License-Identifier: Apache-2.0
"""Run by `check` with Python: FILE.tflite X.npy Y.npy; sequences [n, ...] in, outputs out.

It imports nothing of deltaloom, and is a process of its own because LiteRT may crash on a file.
"""

import importlib
import sys
from typing import Any

import numpy as np


def outputs_of(interpreter: Any, sequences: np.ndarray) -> np.ndarray:
    """Each sequence from the initial state."""
    given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    if tuple(given["shape"]) != sequences.shape[1:]:
        interpreter.resize_tensor_input(given["index"], sequences.shape[1:])
    interpreter.allocate_tensors()
    found = []
    for sequence in sequences:
        interpreter.reset_all_variables()
        interpreter.set_tensor(given["index"], sequence)
        interpreter.invoke()
        found.append(interpreter.get_tensor(made["index"]).copy())
    return np.array(found)


if __name__ == "__main__":
    runtime = importlib.import_module("ai_edge_litert.interpreter")
    model = runtime.Interpreter(model_path=sys.argv[1], num_threads=1)
    np.save(sys.argv[3], outputs_of(model, np.load(sys.argv[2])))
