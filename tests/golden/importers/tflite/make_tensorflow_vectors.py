# SPDX-License-Identifier: Apache-2.0
"""Makes tensorflow.npz beside it: Keras LSTMs as TensorFlow's converter writes them, with inputs
and outputs of TensorFlow's own interpreter. With tensorflow-cpu 2.21.0 and tf_keras 2.21.0:

    python tests/golden/importers/tflite/make_tensorflow_vectors.py
"""

import os
from pathlib import Path

import numpy as np

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # Keras 3 does not fuse LSTMs

import tensorflow as tf
from tf_keras import Input, Sequential, initializers, layers

STEPS, INPUTS, CLASSES = 8, 4, 3
RNG = np.random.default_rng(0)


def lstm(units, seed, **options):
    large = initializers.RandomNormal(stddev=0.8, seed=seed)
    bias = initializers.RandomNormal(stddev=0.3, seed=seed)
    return layers.LSTM(
        units,
        kernel_initializer=large,
        bias_initializer=bias,
        unit_forget_bias=False,
        return_sequences=options.pop("return_sequences", True),
        **options,
    )


def dense(units, **options):
    return layers.Dense(units, bias_initializer=initializers.RandomNormal(seed=9), **options)


MODELS = {
    "float": ([lstm(6, 1), lstm(5, 2), dense(CLASSES)], None),
    "float_ends": ([lstm(6, 1), lstm(5, 2), dense(CLASSES)], tf.float32),
    "int8_ends": ([dense(7, activation="relu"), lstm(6, 3), dense(CLASSES)], tf.int8),
    "uint8_ends": ([lstm(6, 4), dense(CLASSES)], tf.uint8),
    "last_softmax": (
        [lstm(6, 1), lstm(5, 2, return_sequences=False), dense(CLASSES, activation="softmax")],
        tf.float32,
    ),
}


def samples(count):
    return RNG.standard_normal((count, 1, STEPS, INPUTS)).astype(np.float32)


def converted(parts, ends):
    model = Sequential([Input((STEPS, INPUTS), batch_size=1), *parts])
    spec = tf.TensorSpec([1, STEPS, INPUTS], tf.float32)
    function = tf.function(lambda x: model(x)).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    if ends is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([x] for x in samples(30))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = ends
    return converter.convert()


def run(content, sequences):
    interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for x in sequences:
        interpreter.reset_all_variables()
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        found.append(interpreter.get_tensor(made["index"])[0].copy())
    return np.array(found)


def main():
    arrays = {}
    for name, (parts, ends) in MODELS.items():
        content = converted(parts, ends)
        x = samples(12)
        if ends in (tf.int8, tf.uint8):
            low = np.iinfo(ends.as_numpy_dtype).min
            x = RNG.integers(low, low + 256, x.shape).astype(ends.as_numpy_dtype)
        arrays |= {
            f"{name}:file": np.frombuffer(content, np.uint8),
            f"{name}:x": x[:, 0],
            f"{name}:y": run(content, x),
        }
        print(
            name, len(content), arrays[f"{name}:y"].shape, np.ptp(arrays[f"{name}:y"].astype(float))
        )
    np.savez_compressed(Path(__file__).with_name("tensorflow.npz"), **arrays)


if __name__ == "__main__":
    main()
