# SPDX-License-Identifier: Apache-2.0
"""Makes keras_vectors.npz and keras/: whole Keras models and what they give.

Keys "case:x" [steps, inputs] and "case:y" [steps, outputs], float32, of one sequence a case. The
files hold weights and configuration, as Keras 3 writes them to .h5 and, from "functions" on, to
.keras.

Cases: bidirectional_lstm, bidirectional_gru (reset_after) and bidirectional_before (not), each two
Bidirectional layers and a Dense one; backwards: LSTM with go_backwards, a GRU that goes on with
frames last to first, a Bidirectional LSTM, a second LSTM with go_backwards, which puts the frames
back in order, and a Dense layer; turned: one LSTM with go_backwards, whose y is in the order of x
reversed. functions: every activation of Dense and of layers of its own, BatchNormalization in
front of and between layers, Normalization, Rescaling and SimpleRNN, ended by softmax; hard: hard
sigmoids in LSTM and GRU; relu: SimpleRNN with ReLU, both ways.

Run with keras 3, torch and h5py installed: python tests/golden/make_keras_vectors.py
"""

import os
from pathlib import Path

import numpy as np

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers

FILE = Path(__file__).with_name("keras_vectors.npz")
FOLDER = Path(__file__).with_name("keras")
INPUTS, UNITS, OUTPUTS, STEPS = 5, 4, 3, 13


def both(kind: type, **options: object) -> layers.Layer:
    """A bidirectional layer."""
    return layers.Bidirectional(kind(UNITS, return_sequences=True, **options))


def backwards(kind: type) -> layers.Layer:
    """A layer that goes from the last frame to the first."""
    return kind(UNITS, return_sequences=True, go_backwards=True)


CASES = {
    "bidirectional_lstm": lambda: [both(layers.LSTM), both(layers.LSTM), layers.Dense(OUTPUTS)],
    "bidirectional_gru": lambda: [both(layers.GRU), both(layers.GRU), layers.Dense(OUTPUTS)],
    "bidirectional_before": lambda: [
        both(layers.GRU, reset_after=False),
        both(layers.GRU, reset_after=False),
        layers.Dense(OUTPUTS),
    ],
    "backwards": lambda: [
        backwards(layers.LSTM),
        layers.GRU(UNITS, return_sequences=True),
        both(layers.LSTM),
        backwards(layers.LSTM),
        layers.Dense(OUTPUTS),
    ],
    "turned": lambda: [backwards(layers.LSTM)],
    "functions": lambda: [
        normalization(),
        layers.BatchNormalization(),
        layers.Dense(4),
        layers.BatchNormalization(scale=False),
        layers.ReLU(),
        layers.Dropout(0.5),
        layers.Dense(4, activation="hard_sigmoid"),
        layers.BatchNormalization(center=False),
        layers.TimeDistributed(layers.Dense(4, activation="tanh")),
        layers.SimpleRNN(4, return_sequences=True),
        layers.Rescaling(2.0, 0.5),
        layers.Dense(3),
        layers.Activation("sigmoid"),
        layers.Dense(OUTPUTS, activation="softmax"),
    ],
    "hard": lambda: [
        both(layers.LSTM, recurrent_activation="hard_sigmoid"),
        layers.GRU(4, return_sequences=True, recurrent_activation="hard_sigmoid"),
        layers.Dense(OUTPUTS),
    ],
    "relu": lambda: [both(layers.SimpleRNN, activation="relu"), layers.Dense(OUTPUTS)],
}
ARCHIVES = ("functions", "hard", "relu")


def normalization() -> layers.Layer:
    """Adapted to features of unlike ranges."""
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(1).normal(2, [1, 5, 0.1, 2, 30], (50, INPUTS)))
    return layer


def run(case: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """One case's arrays; its model is written."""
    model = keras.Sequential([layers.Input((None, INPUTS)), *CASES[case]()])
    for weight in model.weights:
        if weight.path.startswith("normalization"):
            continue
        low = 0.3 if "variance" in weight.name else -0.9
        weight.assign(rng.uniform(low, 0.9, weight.shape))
    FOLDER.mkdir(exist_ok=True)
    model.save(FOLDER / f"{case}.{'keras' if case in ARCHIVES else 'h5'}")
    x = rng.normal(size=(STEPS, INPUTS)).astype(np.float32)
    return {"x": x, "y": model(x[None]).detach().numpy()[0]}


def main() -> None:
    """All cases."""
    rng = np.random.default_rng(20240614)
    arrays = {f"{c}:{k}": v for c in CASES for k, v in run(c, rng).items()}
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE}: {len(CASES)} cases, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
