# SPDX-License-Identifier: Apache-2.0
"""What a float model gives beside what its own runtime gives, on random sequences."""

import numpy as np

from ..arithmetic import Reals
from ..errors import UserError
from ..models.float_model import FloatModel, run_float

STEPS, BATCH = 9, 2
_TOLERANCE = {"float16": 3e-2}


def random_sequences(model: FloatModel) -> np.ndarray:
    """What a model takes: float32 [sequences, steps, inputs], or tokens [sequences, steps]."""
    rng = np.random.default_rng(0)
    if model.tokens:
        return rng.integers(0, model.inputs, (BATCH, STEPS))
    return rng.normal(size=(BATCH, STEPS, model.inputs)).astype(np.float32)


def outputs_of(model: FloatModel, sequences: np.ndarray) -> Reals:
    """[sequences, steps, outputs] of [sequences, steps, inputs], or of tokens."""
    return np.array([run_float(model, sequence)[0] for sequence in sequences])


def softmax(values: Reals, *, log: bool = False) -> Reals:
    shifted = values - values.max(axis=-1, keepdims=True)
    logs: Reals = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs if log else np.exp(logs)


def verdict(own: Reals, theirs: np.ndarray, runtime: str, dtype: str = "float32") -> str:
    """In words, that they are equal. Raises UserError where they are not."""
    worst = float(np.abs(own - theirs).max())
    allowed = _TOLERANCE.get(dtype, 1e-4) * max(1.0, float(np.abs(theirs).max()))
    if not worst <= allowed:
        raise UserError(
            f"the model differs from what {runtime} makes of the graph by {worst:.3g} on random "
            "sequences; it is not imported. --no-check imports it all the same"
        )
    return f"equals {runtime} within {worst:.1e} on random sequences"
