# SPDX-License-Identifier: Apache-2.0
"""How frameworks name and order the tensors of the cells: what `checkpoint` can import.

To import another kind of layer, add an entry to `LAYOUTS` (and take it out of `tensor_refusals`).
`tensor_layers` turns tensors that fit an entry into a layer, so a gate order is written here only.
"""

from collections.abc import Mapping

from .layout import Idle, Layout, Norm, Tensor
from .norm_layouts import ADDONS, HASTE, KERAS_NORM, NORM, NORMED, SPEECHBRAIN


def _torch(cell: str, kind: str, x: tuple[str, ...], h: tuple[str, ...], n: str = "") -> Layout:
    """PyTorch: all gates of a path in one tensor; two biases of the same rows."""
    return Layout(
        f"PyTorch nn.{cell}",
        kind,
        (Tensor(f"weight_ih{n}", x, "x"), Tensor(f"weight_hh{n}", h, "h")),
        (Tensor(f"bias_ih{n}", x), Tensor(f"bias_hh{n}", h)),
        h_projection=f"weight_hr{n}" if kind == "lstm" and n else "",
        reverse="_reverse" if n else "",
        family=f"PyTorch{n}",
    )


def _kaldi(cell: str, kind: str, **names: tuple[str, str]) -> Layout:
    """PyTorch-Kaldi: a tensor for each gate and path, which `names` gives as gate=(of x, of h).

    It makes every layer's BatchNorm and LayerNorm and uses none, one or both.
    """
    x = tuple(Tensor(f"{w}.{{n}}.weight", (gate,), "x") for gate, (w, _) in names.items())
    h = tuple(
        Tensor(f"{u}.{{n}}.weight", (gate,), "rh" if (kind, gate) == ("gru_before", "n") else "h")
        for gate, (_, u) in names.items()
    )
    norms = tuple(Norm(f"bn_{w}.{{n}}", (gate,)) for gate, (w, _) in names.items())
    return Layout(
        f"PyTorch-Kaldi {cell}",
        kind,
        x + h,
        tuple(Tensor(f"{w}.{{n}}.bias", (gate,)) for gate, (w, _) in names.items()),
        norms=norms,
        idle=(
            *(Idle(f"{norm.name}.num_batches_tracked", "a counter") for norm in norms),
            Idle("ln.{n}.gamma", "layer normalization", 1.0),
            Idle("ln.{n}.beta", "layer normalization", 0.0),
        ),
        shares=True,
        family="PyTorch-Kaldi",
    )


def _sru(kind: str, gates: tuple[str, ...]) -> Layout:
    """The package `sru`: columns unit by unit; `tensor_sru` does what is left."""
    return Layout(
        "sru.SRU",
        kind,
        (Tensor("rnn_lst.{n}.weight", gates, "x"),),
        (Tensor("rnn_lst.{n}.bias", ("f", "r")),),
        vectors=(Tensor("rnn_lst.{n}.weight_c", ("v_f", "v_r")),),
        skip_scale="rnn_lst.{n}.scale_x",
        projection="rnn_lst.{n}.weight_proj",
        norm="rnn_lst.{n}.layer_norm",
        family="sru",
        columns_first=True,
        interleaved=True,
    )


def _minimal(cell: str, kind: str, number: str, modules: Mapping[str, str]) -> Layout:
    """Feng et al. 2024, the appendix's listings: an nn.Linear for each gate in `modules`.

    number: "{n}." of layers in a list, which are a stack, or "".
    """
    return Layout(
        f"{cell} (Feng et al.)",
        kind,
        tuple(Tensor(f"{number}{name}.weight", (gate,), "x") for gate, name in modules.items()),
        tuple(Tensor(f"{number}{name}.bias", (gate,)) for gate, name in modules.items()),
        family=f"Feng et al.{number}",
        several=True,
    )


def _keras(layer: str, kind: str, x: tuple[str, ...], h: tuple[str, ...], **bias: Tensor) -> Layout:
    """Keras: [columns, gates * units]; the candidate of GRU before reads r * h."""
    reset = ("n",) if kind == "gru_before" else ()
    return Layout(
        f"Keras {layer}",
        kind,
        (Tensor("kernel", x, "x"), Tensor("recurrent_kernel", h, "h", after_reset=reset)),
        tuple(bias.values()) or (Tensor("bias", x),),
        family="Keras",
        columns_first=True,
        separator="/",
    )


def _onnx(
    node: str, kind: str, x: tuple[str, ...], h: tuple[str, ...], p: tuple[str, ...] = ()
) -> Layout:
    """One direction of an ONNX node's inputs W, R, B and P, without the axis of directions."""
    reset = ("n",) if kind == "gru_before" else ()
    return Layout(
        f"ONNX {node}",
        kind,
        (Tensor("W", x, "x"), Tensor("R", h, "h", after_reset=reset)),
        (Tensor("B", x + h),),
        vectors=(Tensor("P", p),) if p else (),
    )


_IFGO = ("i", "f", "g", "o")
_RZ_X, _RZ_H = ("r", "z", "nx"), ("r", "z", "nh")
_ZR_X, _ZR_H, _ZRN = ("z", "r", "nx"), ("z", "r", "nh"), ("z", "r", "n")
_IFCO = ("i", "f", "g", "o")  # Keras calls g c
_IOFC = ("i", "o", "f", "g")  # so does ONNX
_MIN_GRU = {"z": "linear_z", "n": "linear_h"}
_MIN_LSTM = {"f": "linear_f", "i": "linear_i", "n": "linear_h"}

LAYOUTS = (
    _torch("LSTM", "lstm", _IFGO, _IFGO, "_l{n}"),
    _torch("GRU", "gru", _RZ_X, _RZ_H, "_l{n}"),
    _torch("LSTMCell", "lstm", _IFGO, _IFGO),
    _torch("GRUCell", "gru", _RZ_X, _RZ_H),
    _torch("RNN", "rnn_tanh", ("n",), ("n",), "_l{n}"),
    _torch("RNNCell", "rnn_tanh", ("n",), ("n",)),
    *NORMED,
    *SPEECHBRAIN,
    _kaldi(
        "LSTM",
        "lstm",
        f=("wfx", "ufh"),
        i=("wix", "uih"),
        o=("wox", "uoh"),
        g=("wcx", "uch"),
    ),
    _kaldi("liGRU", "ligru", a=("wh", "uh"), z=("wz", "uz")),
    _kaldi("GRU", "gru_before", n=("wh", "uh"), z=("wz", "uz"), r=("wr", "ur")),
    *(_minimal("minGRU", "min_gru", n, _MIN_GRU) for n in ("{n}.", "")),
    *(_minimal("minLSTM", "min_lstm", n, _MIN_LSTM) for n in ("{n}.", "")),
    *HASTE,
    _sru("sru", ("u", "f", "r")),
    _sru("sru4", ("u", "f", "r", "s")),
    _keras("LSTM", "lstm", _IFCO, _IFCO),
    _keras("GRU (reset_after)", "gru", _ZR_X, _ZR_H, b=Tensor("bias", _ZR_X + _ZR_H, rows=2)),
    _keras("GRU (reset_after=False)", "gru_before", _ZRN, _ZRN),
    _keras("SimpleRNN", "rnn_tanh", ("n",), ("n",)),
    ADDONS,
    Layout(
        "Keras Dense",
        "linear",
        (Tensor("kernel", ("y",), "x"),),
        (Tensor("bias", ("y",)),),
        family="Keras",
        columns_first=True,
        separator="/",
    ),
    KERAS_NORM,
    NORM,
    Layout(
        "PyTorch nn.Linear", "linear", (Tensor("weight", ("y",), "x"),), (Tensor("bias", ("y",)),)
    ),
)

ONNX_LAYOUTS = {
    "LSTM": _onnx("LSTM", "lstm", _IOFC, _IOFC),
    "LSTM with peepholes": _onnx("LSTM", "lstm_peephole", _IOFC, _IOFC, ("v_i", "v_o", "v_f")),
    "RNN": _onnx("RNN", "rnn_tanh", ("n",), ("n",)),
    "GRU after": _onnx("GRU (linear_before_reset 1)", "gru", _ZR_X, _ZR_H),
    "GRU before": _onnx("GRU (linear_before_reset 0)", "gru_before", _ZRN, _ZRN),
}

SUPPORTED = "supported: " + ", ".join(dict.fromkeys(layout.title for layout in LAYOUTS))
