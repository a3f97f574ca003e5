# SPDX-License-Identifier: Apache-2.0
"""Tensors that look like an nn.LayerNorm's and are none, or none whole: refused by name."""

import numpy as np
import pytest

INPUTS, UNITS = 5, 9


def tensors(shapes):
    """Of an nn.LSTM and these, which are 1."""
    rng = np.random.default_rng(0)
    lstm = {"weight_ih": (4 * UNITS, INPUTS), "weight_hh": (4 * UNITS, UNITS)}
    lstm |= dict.fromkeys(("bias_ih", "bias_hh"), (4 * UNITS,))
    own = {f"rnn.{name}_l0": rng.normal(size=shape) for name, shape in lstm.items()}
    return own | {name.replace("__", "."): np.ones(shape) for name, shape in shapes.items()}


WRONG = {
    "a gain of another size": (
        {"norm__weight": (7,), "norm__bias": (7,)},
        "norm takes 7 values, but rnn.0 before it puts out 9",
    ),
    "an offset of another size": (
        {"norm__weight": (9,), "norm__bias": (7,)},
        "norm.bias [7]: PyTorch nn.LayerNorm expects [9]",
    ),
    "two axes": (
        {"norm__weight": (9, 2), "norm__bias": (9, 2)},
        "norm.bias [9, 2] belongs to a norm over several axes: only over the last one, the units",
    ),
    **{
        f"an offset alone, {name}": (
            {f"{name}.bias": (9,)},
            f"{name}.weight is missing; PyTorch nn.LayerNorm has it, shape [units], beside",
        )
        for name in ("norm", "ln1", "block.post_norm", "layer_norms.0", "norms.1")
    },
    "a linear layer's offset alone": (
        {"fc__bias": (9,)},
        "fc.weight is missing; PyTorch nn.Linear has it, shape [units, inputs], beside fc.bias",
    ),
    **{
        f"a norm called {name}": (
            {f"{name}.weight": (9,), f"{name}.bias": (9,)},
            f"{name}.weight [9] belongs to {what}",
        )
        for name, what in (("bn1", "BatchNorm"), ("gn2", "a norm over groups or time"))
    },
    "a gain alone": (
        {"norm__weight": (9,)},
        "norm.weight [9] belongs to LayerNorm without a bias,",
    ),
    "RMSNorm": ({"rms_norm__weight": (9,)}, "rms_norm.weight [9] belongs to RMS normalization, "),
    "GroupNorm": (
        {"group_norm__weight": (9,), "group_norm__bias": (9,)},
        "group_norm.weight [9] belongs to a norm over groups or time",
    ),
    "BatchNorm": (
        {
            "norm__weight": (9,),
            "norm__bias": (9,),
            "norm__running_mean": (9,),
            "norm__running_var": (9,),
        },
        "norm.weight [9] belongs to LayerNorm without a bias, RMSNorm, BatchNorm",
    ),
    "a transformer's gain and offset": ({"a_2": (9,), "b_2": (9,)}, "a_2 [9] is not a tensor of"),
    "an empty one": (
        {"norm__weight": (0,), "norm__bias": (0,)},
        "norm.weight [0]: PyTorch nn.LayerNorm expects [units], none of them 0",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused_by_name(name, load, refused):
    shapes, message = WRONG[name]
    assert refused(load, tensors(shapes)).startswith(message)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gains_that_are_not_finite(bad, load, refused):
    found = tensors({"norm.weight": (9,), "norm.bias": (9,)})
    found["norm.weight"][3] = bad
    message = f"norm.weight [9]: 1 of 9 values cannot be used: the one at [3] is {bad:g}"
    assert refused(load, found).startswith(message)


def test_a_gain_alone_of_a_sure_name(load):
    for name in ("layer_norm", "ln_f", "block.ln1", "layer_norms.0"):
        found = tensors({f"{name}.weight": (9,)})
        assert [layer.kind for layer in load(found).layers] == ["lstm", "layer_norm"]
