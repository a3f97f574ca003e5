# SPDX-License-Identifier: Apache-2.0
"""Makes vectors.npz beside it, with ai-edge-litert 2.3.0 and flatbuffers 25.12: small networks of
every variant as float files, LiteRT's int8 files of them, the ranges that it saw, and its outputs.

    python tests/golden/integer_lstm/make_vectors.py
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import litert

from deltaloom.golden.integer_lstm.export import float_to_tflite
from deltaloom.golden.integer_lstm.synthetic import VARIANTS, make_frames, make_lstm_network

STEPS = 24
SHAPES = {
    **{name: {"variant": name, "sizes": (5, 8)} for name in VARIANTS},
    "norm_of_7": {"variant": "norm", "sizes": (5, 7)},
    "stack": {"variant": "plain", "sizes": (4, 9, 6), "classes": 5},
    "stack_of_all": {"variant": "all", "sizes": (4, 8, 7), "classes": 3},
}


def frames(rng, inputs):
    """Eight sequences over the whole range of codes, and eight that stand still for some steps."""
    x = rng.integers(-128, 128, (16, STEPS, inputs))
    x[8:] = x[8:, ::6].repeat(6, axis=1)[:, :STEPS]
    return x.astype(np.int8)


def main():
    arrays = {}
    for seed, (name, shape) in enumerate(SHAPES.items()):
        network = make_lstm_network(**shape, seed=seed)
        floats = float_to_tflite(network, STEPS)
        made = litert.quantize(floats, make_frames(network.inputs, [STEPS] * 20, seed=seed))
        x = frames(np.random.default_rng(seed), network.inputs)
        seen = [(r.x, r.y, r.c, r.m, *r.gates) for r in made.ranges]
        arrays |= {
            f"{name}:floats": np.frombuffer(floats, np.uint8),
            f"{name}:integers": np.frombuffer(made.content, np.uint8),
            f"{name}:layers": np.array([len(own) - 4 for own in seen]),
            f"{name}:ranges": np.array([(e.low, e.high, e.seen) for own in seen for e in own]),
            f"{name}:x": x,
            f"{name}:y": np.array(litert.run(made.content, x)),
        }
        words = arrays[f"{name}:y"].size
        print(f"{name:22} {len(floats):6} {len(made.content):6} bytes, {words} words")
    np.savez_compressed(Path(__file__).with_name("vectors.npz"), **arrays)


if __name__ == "__main__":
    main()
