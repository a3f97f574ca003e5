# SPDX-License-Identifier: Apache-2.0
"""Quantizers of activations: the median of sequences, zero points, odd widths."""

import numpy as np
import pytest

from deltaloom.golden.arithmetic import code_range, to_fixed
from deltaloom.golden.engines.engine import StepModel, quantize_frames, run
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.clipping import mmse_clip, paper_clip, range_error
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.quantization.quantizers import make_quantizer
from deltaloom.golden.quantization.scheme import Scheme


def test_median_by_hand():
    """Largest magnitudes 1, 3 and 2 of three sequences; an empty one does not count."""
    sequences = [np.array(v) for v in ([0.5, -1.0], [3.0, 0.0], [], [2.0])]
    scheme = Scheme(clipping="max", activation_range="median")
    assert make_quantizer(sequences, 2, 8, scheme).scale == pytest.approx(2 / 127, rel=1e-4)
    scheme = Scheme(clipping="max")
    assert make_quantizer(sequences, 2, 8, scheme).scale == pytest.approx(3 / 127, rel=1e-4)


@pytest.mark.parametrize(("rule", "clip"), [("mmse", mmse_clip), ("paper", paper_clip)])
def test_median_of_each_rule(rule, clip):
    rng = np.random.default_rng(0)
    sequences = [rng.laplace(scale=s, size=400) for s in (0.1, 0.4, 0.2, 0.3)]
    clips = sorted(float(clip(values, 4)) for values in sequences)
    scheme = Scheme(
        clipping="max",
        activation_clipping=rule,
        activation_range="median",
        activation_codes="symmetric",
    )
    quantizer = make_quantizer(sequences, 2, 4, scheme)
    assert quantizer.scale == pytest.approx((clips[1] + clips[2]) / 2 / 7, rel=1e-4)


def test_asymmetric_codes_by_hand():
    """-0.25 .. 3.5 at 4 bits: step 0.25, 0 at -7."""
    scheme = Scheme(clipping="max", activation_codes="asymmetric")
    quantizer = make_quantizer([np.array([-0.25, 1.0, 3.5])], 2, 4, scheme)
    assert quantizer.scale == pytest.approx(0.25, rel=1e-4) and quantizer.zero_point == -7
    words = to_fixed([-9.0, -0.25, 0.0, 0.13, 1.0, 3.5, 3.9], 2)
    assert quantizer(words).tolist() == [-8, -8, -7, -6, -3, 7, 7]


def test_asymmetric_median_by_hand():
    scheme = Scheme(clipping="max", activation_codes="asymmetric", activation_range="median")
    sequences = [np.array(v) for v in ([-1.0, 3.0], [0.0, 2.0], [-0.75, 9.0])]
    quantizer = make_quantizer(sequences, 4, 4, scheme)  # -0.75 .. 3
    assert quantizer.scale == pytest.approx(0.25, rel=1e-4) and quantizer.zero_point == -5


@pytest.mark.parametrize("codes", ["symmetric", "asymmetric"])
def test_nothing_but_zeros_takes_the_whole_format(codes):
    quantizer = make_quantizer([np.zeros(3), np.zeros(0)], 2, 4, Scheme(activation_codes=codes))
    assert quantizer(to_fixed([4.0, -4.0, 0.0], 2)).tolist() == [7, -7, 0]


@pytest.mark.parametrize("bits", range(2, 16))
@pytest.mark.parametrize("codes", ["symmetric", "asymmetric"])
def test_every_width(bits, codes):
    samples = np.random.default_rng(bits).gamma(2.0, 0.3, size=3000) - 0.1
    quantizer = make_quantizer([samples], 2, bits, Scheme(activation_codes=codes))
    found = quantizer(to_fixed(samples, 2))
    low, high = code_range(bits)
    assert low <= found.min() and found.max() <= high
    recovered = (found - quantizer.zero_point) * quantizer.scale
    ends = tuple((code - quantizer.zero_point) * quantizer.scale for code in (low, high))
    expected = range_error(samples, ends, bits)
    assert np.square(recovered - samples).sum() < 1.1 * expected + 3000 * 2.0**-26


@pytest.mark.parametrize("kind", ["ligru", "gru_before", "lstm"])
def test_zero_points_in_a_network(make_model, make_dataset, kind):
    """Events from the code of zero give what whole products give."""
    model = make_model([(kind, 7), ("linear", 3)], 4)
    data = make_dataset(4, [30, 11])
    statistics = observe(model, data)
    scheme = Scheme(activation_bits=4, activation_codes="asymmetric", clipping="max")
    network = quantize_with(model, statistics, scheme)
    assert any(path.quantizer.zero_point for _, path in network.paths())
    words = [quantize_frames(network, x) for x in data.features]
    for frames, result in zip(words, run(network, words), strict=True):
        steps = StepModel(network)
        np.testing.assert_array_equal([steps.step(frame) for frame in frames], result.outputs)
