# SPDX-License-Identifier: Apache-2.0
"""What is known about tensors that belong to no layer that can be imported."""

import re
from collections.abc import Sequence

_NORMED = "weight normalization: take it off before saving"
_PRUNED = (
    "pruning or spectral normalization: take it off before saving (prune.remove, "
    "remove_spectral_norm)"
)
_LEAVES = (
    (r"running_mean|running_var|num_batches_tracked", "BatchNorm"),
    (r"moving_mean|moving_variance", "BatchNormalization"),
    (r"gamma|beta", "layer or batch normalization"),
    (r"(weight|bias)_[ih][hr]_l\d+(_reverse)?_[gv]|weight_[gv]|original[01]", _NORMED),
    (r"(weight|bias)\w*_(orig|mask|u)", _PRUNED),
    (r"in_proj_(weight|bias)", "attention"),
    (r"embeddings", "an embedding"),
    (r"(input_gate|forget_gate|output_gate)?_?peephole\w*|p_[ifo]", "an LSTM's peepholes"),
    (r"depthwise_kernel|pointwise_kernel", "a convolution"),
)
_EMBEDDING = {"emb", "embed", "embedding", "embeddings"}
_MODULES = (
    (r".*batch_?norm.*|bn\d*", "BatchNorm"),
    (r".*rms_?norm.*|rms", "RMS normalization, which no layer here does: only LayerNorm is"),
    (r".*(group|instance)_?norm.*|gn\d*", "a norm over groups or time, which no layer here does"),
    (r".*layer_?norm.*|ln0?(_\w+)?", "layer normalization"),
    (r"criterion|.*loss(_fn|_fun|_function)?|.*metrics?", "a loss or a metric, to no layer"),
)
"""Names of modules that tell what their weights are, whatever the shape."""
_OTHER_NORMS = _MODULES[:3]
_GAIN = (
    "LayerNorm without a bias, RMSNorm, BatchNorm or PReLU, which look alike: give a LayerNorm "
    "a bias of zeros, or call its module layer_norm"
)


def refusal(name: str, shape: tuple[int, ...]) -> str | None:
    """What a tensor belongs to that cannot be imported, or None where nothing is known about it."""
    *modules, leaf = re.split(r"[./]", name)
    for pattern, what in _LEAVES:
        if re.fullmatch(pattern, leaf):
            return what
    for pattern, what in _MODULES:
        if any(re.fullmatch(pattern, module.lower()) for module in modules):
            return what
    if leaf == "bias" and len(shape) > 1 and "/" not in name:
        return "a norm over several axes: only over the last one, the units, it can be imported"
    if leaf in ("weight", "kernel"):
        if names_embedding(modules):
            return "an embedding"
        if len(shape) >= 3:
            return "a convolution"
        if len(shape) == 1:
            return _GAIN
    return None


def names_other_norm(modules: Sequence[str]) -> bool:
    """Whether a tensor's module is called after a norm that is no layer norm."""
    return any(re.fullmatch(p, module.lower()) for p, _ in _OTHER_NORMS for module in modules)


def names_embedding(modules: Sequence[str]) -> bool:
    """Whether a tensor's module is called an embedding: `emb`, `word_embed`, `embedding2`."""
    return any(_EMBEDDING & {*re.findall("[a-z]+", module.lower())} for module in modules)
