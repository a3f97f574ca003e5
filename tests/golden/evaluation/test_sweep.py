# SPDX-License-Identifier: Apache-2.0
"""Sweeps of widths: every pair, the same as quantizing by itself; more bits are better."""

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import error, run_dataset, size_bits
from deltaloom.golden.evaluation.sweep import sweep
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.quantization.scheme import Scheme


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_each_pair(make_model, make_dataset, kind):
    model = make_model([(kind, 9), ("linear", 3)], 4)
    data = make_dataset(4, [40, 30], classes=3)
    statistics = observe(model, data)
    scheme = Scheme(granularity="tensor", rounding="gptq", skip="all")
    result = sweep(model, statistics, data, [2, 3, 11], [3, 16], scheme)
    pairs = [(p.weight_bits, p.activation_bits) for p in result.points]
    assert pairs == [(2, 3), (2, 16), (3, 3), (3, 16), (11, 3), (11, 16)]
    for point in result.points:
        own = Scheme(
            weight_bits=point.weight_bits,
            activation_bits=point.activation_bits,
            granularity="tensor",
            rounding="gptq",
            skip="all",
        )
        network = quantize_with(model, statistics, own)
        assert point.error == error(data, run_dataset(network, data).real(network))
        assert point.size_bits == size_bits(network)
    assert result.metric == ("frame error", "%")


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("which", ["weights", "activations"])
def test_all_widths_by_themselves(make_model, make_dataset, kind, which):
    """Against what the float model puts out, some 6 dB per bit."""
    model, data = make_model([(kind, 16), ("linear", 3)], 4), make_dataset(4, [80])
    statistics = observe(model, data)
    targets = tuple(y.astype(np.float32) for y in run_float_batch(model, data.features))
    data = Dataset(data.features, task="regression", targets=targets)
    widths, fixed = range(2, 17), [16]
    pair = (widths, fixed) if which == "weights" else (fixed, widths)
    result = sweep(model, statistics, data, *pair)
    nmse = [point.error for point in result.points]
    assert len(nmse) == 15 and result.metric == ("NMSE", "dB")
    for fewer, more in zip(nmse[:9], nmse[2:11], strict=True):
        assert 4 < fewer - more < 20
    assert nmse[-1] < -60


def test_single_paths_are_refused(make_model, make_dataset):
    model, data = make_model([("lstm", 4)], 3), make_dataset(3, [9], classes=4)
    scheme = Scheme(overrides={"lstm0.x": (4, 4)})
    with pytest.raises(UserError, match=r"^sweep: the scheme names bits of single paths; a sweep"):
        sweep(model, observe(model, data), data, [8], [8], scheme)
