# SPDX-License-Identifier: Apache-2.0
"""What is known about tensors that cannot be imported."""

import pytest

from deltaloom.golden.importers.tensors.refusals import refusal


@pytest.mark.parametrize(
    ("name", "shape", "what"),
    [
        ("bn.running_mean", (4,), "BatchNorm"),
        ("bn.num_batches_tracked", (), "BatchNorm"),
        ("norm.weight", (4,), "LayerNorm without a bias, RMSNorm, BatchNorm or PReLU"),
        ("norm.bias", (3, 4), "a norm over several axes"),
        ("layers.0.rms_norm.weight", (4,), "RMS normalization"),
        ("rmsnorm.bias", (4,), "RMS normalization"),
        ("gn.weight", (4,), "a norm over groups"),
        ("ln_c.weight", (4,), "layer normalization"),
        ("conv.weight", (8, 4, 3), "a convolution"),
        ("conv.weight", (8, 4, 3, 3), "a convolution"),
        ("embedding.weight", (100, 3), "an embedding"),
        ("encoder.word_emb.weight", (100, 3), "an embedding"),
        ("fc.weight_g", (2, 1), "weight normalization"),
        ("fc.parametrizations.weight.original0", (2, 1), "weight normalization"),
        ("attention.in_proj_weight", (12, 4), "attention"),
        ("ln0.gamma", (4,), "layer or batch normalization"),
        ("bn/moving_mean", (4,), "BatchNormalization"),
        ("batch_normalization/kernel", (4, 4), "BatchNorm"),
        ("embedding/kernel", (100, 3), "an embedding"),
        ("embedding/embeddings", (100, 3), "an embedding"),
        ("conv/kernel", (3, 4, 8), "a convolution"),
        ("lstm.p_i", (4,), "an LSTM's peepholes"),
    ],
)
def test_other_layers_are_known(name, shape, what):
    found = refusal(name, shape)
    assert found is not None and found.startswith(what)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("fc.weight", (2, 4)),
        ("weight", (2, 4)),
        ("fc.bias", (2,)),
        ("lstm.weight_ih_l0", (16, 3)),
        ("embedding.bias", (4,)),
        ("odd", (1, 2, 3)),
        ("forward_net.fc.weight", (2, 4)),
        ("lstm/kernel", (4, 8)),
    ],
)
def test_nothing_against_the_rest(name, shape):
    assert refusal(name, shape) is None
