# SPDX-License-Identifier: Apache-2.0
"""The smallest bits that keep an error: they keep it, nothing smaller nearby does."""

import itertools
from functools import cache

import numpy as np
import pytest

import deltaloom as dl
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames, real_outputs, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import run_float_dataset
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.search.smallest import find_smallest

PATHS = ("gru.0.x", "gru.0.h", "linear.x")
MACS = (72, 108, 18)


def nmse(network, model, data):
    """Of the outputs against the float model's, dB: written out again."""
    exact = np.concatenate(run_float_dataset(model, data))
    words = [quantize_frames(network, x) for x in data.features]
    found = np.concatenate([real_outputs(network, r.outputs) for r in run(network, words)])
    return 10 * np.log10(np.square(found - exact).sum() / np.square(exact).sum())


def bit_operations(bits):
    return sum(n * bits[p][0] * bits[p][1] for n, p in zip(MACS, PATHS, strict=True))


@pytest.fixture(scope="module")
def at(small):
    """`find_smallest` of the small model, once for each target."""
    return cache(lambda target: find_smallest(small.problem(), target))


@pytest.mark.parametrize("target", [-8.0, -20.0])
def test_the_bits_keep_the_nmse_and_no_single_step_less_does(small, at, target):
    found = at(target)
    assert found.error == pytest.approx(nmse(found.network, small.model, small.data), abs=1e-9)
    assert found.error <= target == found.limit
    assert set(found.bits) == set(PATHS)
    for path, place in itertools.product(PATHS, (0, 1)):
        fewer = list(found.bits[path])
        if fewer[place] > 2:
            fewer[place] //= 2
            scheme = Scheme(overrides={**found.bits, path: tuple(fewer)})
            network = quantize_with(small.model, small.problem().statistics, scheme)
            assert nmse(network, small.model, small.data) > target


def test_less_error_takes_more_bits_and_the_same_call_gives_the_same(small, at):
    every = [at(-8.0), at(-20.0)]
    assert bit_operations(every[0].bits) < bit_operations(every[1].bits)
    again = find_smallest(small.problem(), -20.0)
    assert again.bits == every[1].bits and str(again) == str(every[1])


def test_points_are_over_the_float_models_error(small):
    found = find_smallest(small.problem(), 5.0)
    assert found.float_error == 0.0  # labels are what the float model says
    assert found.error <= 5.0 == found.limit
    assert bit_operations(found.bits) < sum(MACS) * 8 * 8
    assert "frame error" in str(found) and "float 0.00 %" in str(found)


def test_paths_that_are_named_keep_their_bits(small):
    scheme = Scheme(overrides={"gru.0.h": (16, 8)})
    found = find_smallest(small.problem(scheme=scheme), -15.0)
    paths = dict(found.network.paths())
    assert (paths["gru.0.h"].weight_bits, paths["gru.0.h"].quantizer.bits) == (16, 8)
    assert "gru.0.h" not in found.bits and found.error <= -15


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (-200.0, "NMSE to float, dB, is -.* with 16 bits in all paths, at most -200.00 is allowed"),
        (float("nan"), "target error: nan"),
        (float("inf"), "target error: inf gives no limit"),
    ],
)
def test_what_cannot_be_kept_is_one_line(small, target, message):
    with pytest.raises(UserError, match=message):
        find_smallest(small.problem(), target)


def test_without_labels_points_are_refused_and_decibels_are_not(small):
    data = Dataset(small.data.features)
    with pytest.raises(UserError, match="no frame of the data has a label or a target"):
        dl.quantize(small.model, data, "auto", target_error=1.0)
    network = dl.quantize(small.model, data, "auto", target_error=-20.0)
    assert nmse(network, small.model, data) <= -20


@pytest.mark.parametrize(("scheme", "target"), [("auto", None), ("4-bit", -20.0), (None, 1.0)])
def test_a_target_and_auto_go_together(small, scheme, target):
    with pytest.raises(UserError, match='"auto" needs one, and others take none'):
        dl.quantize(small.model, small.data, scheme, target_error=target)
