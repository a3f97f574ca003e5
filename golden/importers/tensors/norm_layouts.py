# SPDX-License-Identifier: Apache-2.0
"""The layouts of layer normalization: layers of it, hand-written cells, haste, SpeechBrain.

Hand-written cells have names that their authors chose; these are those that most of them have.
"""

from collections.abc import Mapping

from ...cells.norm import EPSILON
from .layout import NORM_KIND, Idle, Layout, Norm, Tensor

__all__ = ["ADDONS", "HASTE", "KERAS_NORM", "LIGRU_FAMILY", "NORM", "NORMED", "SPEECHBRAIN"]

LIGRU_FAMILY = "SpeechBrain LiGRU"


def _gains(names: str) -> tuple[str, ...]:
    return tuple(f"gain_{name}" for name in names.split())


def _offsets(names: str) -> tuple[str, ...]:
    return tuple(f"bias_{name}" for name in names.split())


def _norms(
    gates: Mapping[str, str], negated: tuple[str, ...] = ()
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Gains and offsets of `nn.LayerNorm` modules.

    gates: by the module's name what it normalizes, and after a ">" what its offsets add to.
    negated: names of vectors whose rows have the other sign.
    """
    gains, offsets = [], []
    for name, text in gates.items():
        own, _, to = text.partition(">")
        gains.append(Tensor(f"{name}.weight", _gains(own), negated=negated))
        offsets.append(Tensor(f"{name}.bias", _offsets(to or own), negated=negated))
    return tuple(gains), tuple(offsets)


def _norm_layer(title: str, gain: str, offset: str, epsilon: float, separator: str) -> Layout:
    return Layout(
        title,
        NORM_KIND,
        (),
        gains=(Tensor(gain, ("gain_y",)),),
        offsets=(Tensor(offset, ("bias_y",)),),
        epsilon=epsilon,
        several=True,
        separator=separator,
    )


NORM = _norm_layer("PyTorch nn.LayerNorm", "weight", "bias", EPSILON, ".")
KERAS_NORM = _norm_layer("Keras LayerNormalization", "gamma", "beta", 1e-3, "/")


def _hand_written(
    title: str,
    kind: str,
    x: str,
    h: str,
    biases: tuple[Tensor, ...] | None = None,
    epsilon: float = EPSILON,
    **norms: str,
) -> Layout:
    """A cell of PyTorch's tensors and `nn.LayerNorm` modules, by their names."""
    x_gates, h_gates = tuple(x.split()), tuple(h.split())
    gains, offsets = _norms(norms)
    usual = (Tensor("bias_ih", x_gates), Tensor("bias_hh", h_gates))
    return Layout(
        title,
        kind,
        (Tensor("weight_ih", x_gates, "x"), Tensor("weight_hh", h_gates, "h")),
        usual if biases is None else biases,
        gains=gains,
        offsets=offsets,
        epsilon=epsilon,
        family="PyTorch",
        several=True,
    )


_X_IFGO, _H_IFGO = "ix fx gx ox", "ih fh gh oh"
_X_IFOG, _H_IFOG = "ix fx ox gx", "ih fh oh gh"
_X_RZN, _H_RZN = "rx zx nx", "rh zh nh"

NEWVAL = _norms({"ln_reset": "r", "ln_update": "z", "ln_newval": "n"}, negated=("gain_z", "bias_z"))
"""Its update gate is the share of the new value, u = 1 - z: sigmoid(-p) is 1 - sigmoid(p)."""

_BOTH = {"ln_i2h": f"{_X_IFOG}>i f o g", "ln_h2h": f"{_H_IFOG}>i f o g"}
I2H = {"lstm_norm_xh_c": _norms(_BOTH | {"ln_cell": "c"}), "lstm_norm_xh": _norms(_BOTH)}
"""By kind, the gains and offsets of cells whose matrices are linear layers."""

NORMED = (
    _hand_written(
        "PyTorch LayerNormLSTMCell",
        "lstm_norm_xh_out",
        _X_IFOG,
        _H_IFOG,
        ln_ih=f"{_X_IFOG}>i f o g",
        ln_hh=f"{_H_IFOG}>i f o g",
        ln_ho="c",
    ),
    _hand_written(
        "PyTorch LayerNormLSTMCell",
        "lstm_norm_xh",
        _X_IFOG,
        _H_IFOG,
        ln_ih=f"{_X_IFOG}>i f o g",
        ln_hh=f"{_H_IFOG}>i f o g",
    ),
    _hand_written(
        "PyTorch custom_lstms.LayerNormLSTMCell",
        "lstm_norm_xh_c",
        _X_IFGO,
        _H_IFGO,
        biases=(),
        layernorm_i=f"{_X_IFGO}>i f g o",
        layernorm_h=f"{_H_IFGO}>i f g o",
        layernorm_c="c",
    ),
    _hand_written(
        "PyTorch LSTM cell with LayerNorm of each gate",
        "lstm_norm",
        "i f g o",
        "i f g o",
        ln_i="i",
        ln_f="f",
        ln_g="g",
        ln_o="o",
    ),
    _hand_written(
        "PyTorch LSTM cell with LayerNorm of all gates",
        "lstm_norm_all",
        "i f g o",
        "i f g o",
        ln="i f g o",
    ),
    _hand_written(
        "PyTorch LayerNormGRUCell",
        "gru_norm_xh",
        _X_RZN,
        _H_RZN,
        ln_ih=f"{_X_RZN}>r z nx",
        ln_hh=f"{_H_RZN}>r z nh",
    ),
    _hand_written(
        "PyTorch GRU cell with LayerNorm of each gate",
        "gru_norm",
        "r z nx",
        "r z nh",
        ln_r="r",
        ln_z="z",
        ln_n="n",
    ),
    *(
        Layout(
            "PyTorch LSTM of i2h and h2h with LayerNorm",
            kind,
            (
                Tensor("i2h.weight", tuple(_X_IFOG.split()), "x"),
                Tensor("h2h.weight", tuple(_H_IFOG.split()), "h"),
            ),
            (
                Tensor("i2h.bias", tuple(_X_IFOG.split())),
                Tensor("h2h.bias", tuple(_H_IFOG.split())),
            ),
            gains=gains,
            offsets=offsets,
            family="i2h",
            several=True,
        )
        for kind, (gains, offsets) in I2H.items()
    ),
    Layout(
        "NormGRUCell",
        "gru_norm",
        (
            Tensor("weight_ih.weight", ("r", "z", "nx"), "x"),
            Tensor("weight_hh.weight", ("r", "z", "nh"), "h"),
        ),
        gains=NEWVAL[0],
        offsets=NEWVAL[1],
        epsilon=1e-3,
        family="NormGRUCell",
        several=True,
    ),
)

_ADDONS_X, _ADDONS_H = ("ix", "fx", "gx", "ox"), ("ih", "fh", "gh", "oh")
_ADDONS_NORMS = {"kernel": _ADDONS_X, "recurrent": _ADDONS_H, "state": ("c",)}
ADDONS = Layout(
    "TensorFlow Addons LayerNormLSTMCell",
    "lstm_norm_xh_c",
    (Tensor("kernel", _ADDONS_X, "x"), Tensor("recurrent_kernel", _ADDONS_H, "h")),
    gains=tuple(
        Tensor(f"{name}_norm/gamma", _gains(" ".join(gates)))
        for name, gates in _ADDONS_NORMS.items()
    ),
    offsets=(
        *(Tensor(name, _offsets("i f g o")) for name in ("bias", "kernel_norm/beta")),
        Tensor("recurrent_norm/beta", _offsets("i f g o")),
        Tensor("state_norm/beta", ("bias_c",)),
    ),
    epsilon=1e-3,
    family="Keras",
    columns_first=True,
    separator="/",
)
"""Its bias is added after the norms."""

HASTE = (
    Layout(
        "haste LayerNormLSTM",
        "lstm_norm_xh_out",
        (
            Tensor("kernel", ("ix", "gx", "fx", "ox"), "x"),
            Tensor("recurrent_kernel", ("ih", "gh", "fh", "oh"), "h"),
        ),
        gains=(
            Tensor("gamma", _gains("ix gx fx ox ih gh fh oh"), rows=2),
            Tensor("gamma_h", ("gain_c",)),
        ),
        offsets=(Tensor("bias", _offsets("i g f o")), Tensor("beta_h", ("bias_c",))),
        family="haste",
        several=True,
        columns_first=True,
    ),
    Layout(
        "haste LayerNormGRU",
        "gru_norm_xh",
        (
            Tensor("kernel", ("zx", "rx", "nx"), "x"),
            Tensor("recurrent_kernel", ("zh", "rh", "nh"), "h"),
        ),
        gains=(Tensor("gamma", _gains("zx rx nx zh rh nh"), rows=2),),
        offsets=(
            Tensor("bias", _offsets("z r nx")),
            Tensor("recurrent_bias", _offsets("z r nh")),
        ),
        family="haste",
        several=True,
        columns_first=True,
    ),
)


def _ligru(
    title: str, kind: str, gates: tuple[str, ...], norms: tuple[Norm, ...], **norm: str
) -> Layout:
    """SpeechBrain's light GRUs: `norm` is of the input's product, `layer_norm` of the other one."""
    x, h = gates[:2], gates[-2:]
    gains, offsets = _norms({f"rnn.{{n}}.{name}": text for name, text in norm.items()})
    return Layout(
        f"SpeechBrain {title}",
        kind,
        (Tensor("rnn.{n}.w.weight", x, "x"), Tensor("rnn.{n}.u.weight", h, "h")),
        norms=norms,
        gains=gains,
        offsets=offsets,
        idle=(
            Idle("rnn.{n}.norm.num_batches_tracked", "a counter"),
            Idle("rnn.{n}.drop_masks", "masks for training"),
            Idle("rnn.{n}.drop_mask_te", "a mask at test time", 1.0),
            Idle("rnn.{n}.h_init", "a first state", 0.0),
        ),
        shares=True,
        family=LIGRU_FAMILY,
    )


_PRODUCTS = ("ax", "zx", "ah", "zh")

SPEECHBRAIN = (
    _ligru("LiGRU", "ligru_norm", _PRODUCTS, (), norm="ax zx>a z"),
    _ligru("SLiGRU", "ligru_norm_xh", _PRODUCTS, (), norm="ax zx>a z", layer_norm="ah zh>a z"),
    _ligru("LiGRU", "ligru", ("a", "z"), (Norm("rnn.{n}.norm", ("a", "z")),)),
    _ligru(
        "SLiGRU",
        "ligru_norm_h",
        _PRODUCTS,
        (Norm("rnn.{n}.norm", ("ax", "zx")),),
        layer_norm="ah zh>a z",
    ),
)
"""In this order: of a file without a norm, it is the third."""
