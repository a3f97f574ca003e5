# SPDX-License-Identifier: Apache-2.0
"""Golden against LiteRT itself, where ai-edge-litert is installed: random networks, every bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import deltaloom
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.importers.options import ImportOptions
from deltaloom.golden.importers.tflite import read
from deltaloom.golden.importers.tflite.read import read_tflite
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.integer_lstm.export import float_to_tflite, to_tflite
from deltaloom.golden.integer_lstm.float_engine import observe, run_float
from deltaloom.golden.integer_lstm.float_network import from_model
from deltaloom.golden.integer_lstm.layers import Affine, IntegerLinear, IntegerLstm
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.recipe import quantize, quantize_with
from deltaloom.golden.integer_lstm.synthetic import VARIANTS, make_frames, make_lstm_network
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.tflite import schema
from deltaloom.golden.tflite.operators import DEQUANTIZE, QUANTIZE
from deltaloom.golden.tflite.schema import Operator

SPEECH = Path(deltaloom.__file__).parent / "data" / "speech"


def integer_network(variant, sizes, seed, **more):
    network = make_lstm_network(variant, sizes, seed=seed, **more)
    data = Dataset(tuple(make_frames(network.inputs, [40] * 12, seed=seed)))
    return quantize(network, data)


def whole_range(rng, inputs, count, steps):
    """Codes at random, at the ends of the range, and such as stand still."""
    x = rng.integers(-128, 128, (count, steps, inputs))
    x[count // 2 :] = rng.choice([-128, 127], (count - count // 2, steps, inputs))
    x[::3] = x[::3, :1]
    return x.astype(np.int8)


def saturating(network):
    """The network with every weight at an end of its range."""
    layers = []
    for layer in network.layers:
        rows = {"weights": np.where(layer.weights < 0, -127, 127)}
        if isinstance(layer, IntegerLstm):
            rows["recurrent"] = np.where(layer.recurrent < 0, -127, 127)
            if layer.projection is not None:
                rows["projection"] = np.where(layer.projection < 0, -127, 127)
        layers.append(replace(layer, **rows))
    return replace(network, layers=tuple(layers))


def differing(litert, network, x):
    """Words that differ, and words in all."""
    theirs = np.array(litert.run(to_tflite(network, x.shape[1]), x))
    own = np.array(run(network, list(x)).outputs)
    return int((own != theirs).sum()), own.size


@pytest.mark.parametrize("variant", VARIANTS)
def test_random_networks(litert, variant):
    rng = np.random.default_rng(1)
    network = integer_network(variant, (7, 9, 6), 3, classes=5)
    for each in (network, saturating(network)):
        wrong, words = differing(litert, each, whole_range(rng, 7, 12, 33))
        assert (wrong, words) == (0, 12 * 33 * 5)


@pytest.mark.parametrize("sizes", [(1, 1), (3, 1), (1, 37), (129, 3)])
def test_sizes_at_the_ends(litert, sizes):
    rng = np.random.default_rng(2)
    network = integer_network("all", sizes, 4)
    assert differing(litert, network, whole_range(rng, sizes[0], 9, 17))[0] == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_ranges_are_those_of_litert(litert, variant):
    """But that of c: LiteRT's calibrator sees it after a sequence's last frame only."""
    network = make_lstm_network(variant, (5, 8), seed=2)
    sequences = make_frames(5, [16] * 6, seed=2)
    theirs = litert.quantize(float_to_tflite(network, 16), sequences).ranges[0]
    (own,) = observe(network, Dataset(tuple(sequences)))
    pairs = [(own.x, theirs.x), (own.y, theirs.y), *zip(own.gates, theirs.gates, strict=True)]
    if network.layers[0].projection is not None:
        pairs.append((own.m, theirs.m))
    for a, b in pairs:
        assert abs(a.low - b.low) + abs(a.high - b.high) < 1e-5
    assert own.c.low <= theirs.c.low + 1e-5 and own.c.high >= theirs.c.high - 1e-5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("variant", VARIANTS)
def test_integers_are_those_of_litert_s_quantizer(litert, variant, seed, tmp_path):
    network = make_lstm_network(variant, (6, 7, 5), classes=4, seed=seed)
    content = float_to_tflite(network, 12)
    made = litert.quantize(content, make_frames(6, [12] * 4, seed=seed))
    (tmp_path / "net.tflite").write_bytes(made.content)
    options = ImportOptions(check=seed == 0 and variant == "all")
    theirs = read_tflite(tmp_path / "net.tflite", options=options).network
    own = quantize_with(network, made.ranges)
    for a, b in zip(own.layers, theirs.layers, strict=True):
        for name in a.__dataclass_fields__:
            if name != "name":
                np.testing.assert_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_floats(litert, variant):
    network = make_lstm_network(variant, (5, 8, 4), classes=3, seed=5)
    sequences = make_frames(5, [20] * 3, seed=5)
    theirs = litert.run(float_to_tflite(network, 20), sequences)
    np.testing.assert_allclose(run_float(network, sequences), theirs, atol=2e-5)


def test_coupled_gates_with_norm_are_wrong_in_litert_without_a_scale(litert, tmp_path):
    """The trap of its quantizer: the outputs stand still, and importing says so."""
    network = make_lstm_network("all", (5, 8), seed=1)
    made = litert.quantize(float_to_tflite(network, 9), make_frames(5, [9] * 4), mend=False)
    (tmp_path / "net.tflite").write_bytes(made.content)
    found = read_tflite(tmp_path / "net.tflite")
    assert "LiteRT gives constant outputs" in found.notes[0]
    x = whole_range(np.random.default_rng(0), 5, 4, 9)
    theirs = np.array(litert.run(made.content, x))
    assert np.ptp(theirs) == 0
    own = np.array(run(found.network, list(x)).outputs)
    mended = litert.run(to_tflite(found.network, 9), x)
    np.testing.assert_array_equal(own, mended)
    assert np.ptp(own) > 100


@pytest.mark.parametrize("major", [False, True])
def test_files_with_float_ends(litert, tmp_path, major):
    """QUANTIZE before and DEQUANTIZE behind, batch or time first; the importer's own check."""
    network = integer_network("all", (5, 8, 7), 3)
    graph = schema.read(to_tflite(network, 6))
    count = len(graph.tensors)
    ends = [
        schema.Tensor(name=n, type=schema.FLOAT32, shape=(1, 6, w)) for n, w in (("a", 5), ("b", 4))
    ]
    operators = [
        Operator(code=QUANTIZE, inputs=(count,), outputs=graph.inputs),
        *graph.operators,
        Operator(code=DEQUANTIZE, inputs=graph.outputs, outputs=(count + 1,)),
    ]
    tensors = [*graph.tensors, *ends]
    if major:
        tensors = [
            replace(t, shape=(6, 1, t.shape[2])) if len(t.shape) == 3 else t for t in tensors
        ]
        operators = [
            replace(op, options={**op.options, "time_major": True}) if op.options else op
            for op in operators
        ]
    (tmp_path / "net.tflite").write_bytes(
        schema.packed(
            schema.Graph(
                tensors=tensors, operators=operators, inputs=(count,), outputs=(count + 1,)
            )
        )
    )
    found = read_tflite(tmp_path / "net.tflite")
    assert found.notes == (
        f"equals LiteRT {litert.version()} in every bit of 48 words of random sequences",
    )


def test_a_file_that_litert_runs_otherwise_is_not_imported(litert, tmp_path, monkeypatch):
    network = integer_network("plain", (5, 8), 3)
    (tmp_path / "net.tflite").write_bytes(to_tflite(network, 6))
    wrong = replace(network, layers=(replace(network.layers[0], cell_clip=0.5),))
    monkeypatch.setattr(read, "_network", lambda *given: wrong)
    with pytest.raises(UserError, match="it is not imported"):
        read_tflite(tmp_path / "net.tflite")


@pytest.mark.parametrize("activation", ["none", "relu", "relu6", "relu_n1_to_1"])
@pytest.mark.parametrize("power", [False, True])
def test_linear_layers(litert, activation, power):
    """A scale for all rows or one each; factors that are powers of two have many ties."""
    rng = np.random.default_rng(7)
    for rows in (1, 11):
        scales = np.full(rows, 2.0**-8) if power else rng.uniform(0.001, 0.02, rows)
        x, y = (2.0**-5, 2.0**-4) if power else rng.uniform(0.01, 0.05, 2)
        layer = IntegerLinear(
            name="linear",
            x=Affine(float(np.float32(x)), 17),
            y=Affine(float(np.float32(y)), -40),
            weights=rng.integers(-127, 128, (11, 23)),
            weight_scale=scales.astype(np.float32).astype(float),
            bias=rng.integers(-20000, 20000, 11),
            activation=activation,
        )
        network = IntegerNetwork(layers=(layer,))
        assert differing(litert, network, whole_range(rng, 23, 12, 40)) == (0, 12 * 40 * 11)


def test_speech_starts_alike(litert):
    """The shipped 2 x 128 LSTM on real speech, some clips; all of them below."""
    wrong, words, _ = on_speech(litert, slice(0, 40, 20))
    assert wrong == 0 and words == 8_307


@pytest.mark.slow
def test_all_of_the_speech(litert):
    wrong, words, error = on_speech(litert, slice(None))
    assert wrong == 0 and words == 11_149 * 39
    assert error == pytest.approx(19.05, abs=0.005)


def on_speech(litert, places):
    """Words that differ, words in all, and the frame error in percent."""
    model = import_checkpoint(SPEECH / "lstm.safetensors")
    network = quantize(from_model(model), Dataset.load(SPEECH / "calibration.npz"))
    data = Dataset.load(SPEECH / "test.npz")
    data = data.subset(range(len(data))[places])
    x = [network.x.codes(features) for features in data.features]
    own, theirs = run(network, x).outputs, litert.run(to_tflite(network), x)
    wrong = sum(int((a != b).sum()) for a, b in zip(own, theirs, strict=True))
    labels = np.concatenate(data.labels)
    missed = np.concatenate(own).argmax(axis=1) != labels
    return wrong, sum(a.size for a in own), 100 * missed[labels >= 0].mean()


@pytest.mark.slow
def test_three_million_words(litert):
    """Ten variants, odd sizes, several seeds; codes over the whole range, saturating weights."""
    count = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        for variant in VARIANTS:
            for sizes, sequences, steps in (
                ((7, 9), 40, 50),
                ((13, 24, 12), 40, 50),
                ((12, 20), 60, 50),
                ((40, 128, 64), 8, 50),
            ):
                network = integer_network(variant, sizes, seed, classes=11)
                for each in (network, saturating(network)):
                    x = whole_range(rng, sizes[0], sequences, steps)
                    wrong, words = differing(litert, each, x)
                    assert wrong == 0, (seed, variant, sizes)
                    count += words
                    # and the last LSTM's own outputs
                    inner = replace(each, layers=each.layers[:-1])
                    wrong, words = differing(litert, inner, x)
                    assert wrong == 0, (seed, variant, sizes)
                    count += words
    print(f"{count:,} words, 0 differ")
    assert count >= 3_000_000


def test_the_model_of_a_float_file_is_the_usual_one(litert, tmp_path):
    network = make_lstm_network("peephole_projection", (5, 8, 4), classes=3, seed=5)
    (tmp_path / "net.tflite").write_bytes(float_to_tflite(network, 6))
    found = read_tflite(tmp_path / "net.tflite")
    assert isinstance(found.network, FloatModel)
    assert found.notes == found.network.notes
    assert found.notes[0].startswith(f"equals LiteRT {litert.version()} within")
    sequences = make_frames(5, [6] * 3)
    own = run_float_batch(found.network, sequences)
    np.testing.assert_allclose(own, run_float(network, sequences), atol=1e-6)
