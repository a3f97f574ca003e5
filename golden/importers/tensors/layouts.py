# SPDX-License-Identifier: Apache-2.0
"""How frameworks name and order the tensors of the cells: what `checkpoint` can import.

To import another kind of layer, add an entry to `LAYOUTS` (and take it out of `tensor_refusals`).
`tensor_layers` turns tensors that fit an entry into a layer, so a gate order is written here only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Tensor:
    """One tensor of a layer, rows gate by gate: [gates * units, columns], or [gates * units].

    name: what follows the module's prefix; "{n}" stands for the layer's number in the module.
    gates: the cell's gates in the order of the rows; of a vector, names of `Cell.vectors`.
    source: of weights, the path that they make: "x" or "h"; "rh" is h after the reset gate.
    after_reset: gates among `gates` whose rows read "rh" and not `source`.
    rows: of biases, how many there are along a first axis.
    """

    name: str
    gates: tuple[str, ...]
    source: str = ""
    after_reset: tuple[str, ...] = ()
    rows: int = 1

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.name).replace(r"\{n\}", r"(?P<n>0|[1-9][0-9]{0,9})"))

    def number(self, leaf: str) -> int | None:
        """Layer number in `leaf`, the end of a tensor's name; None where it is another's."""
        match = self.pattern.fullmatch(leaf)
        return None if match is None else int(match.groupdict().get("n", 0))

    def source_of(self, gate: str) -> str:
        return "rh" if gate in self.after_reset else self.source


@dataclass(frozen=True)
class Norm:
    """BatchNorm1d over the product of the input with the rows of `gates`; `name` as in `Tensor`."""

    name: str
    gates: tuple[str, ...]

    PARTS = ("weight", "bias", "running_mean", "running_var")
    EPSILON = 1e-5

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(Tensor(f"{self.name}.{part}", self.gates) for part in self.PARTS)


@dataclass(frozen=True)
class Idle:
    """A tensor that changes nothing while all its elements are `value`; None: whatever they are."""

    name: str
    what: str
    value: float | None = None


@dataclass(frozen=True)
class Layout:
    """One kind of layer as one framework stores it.

    kind: its entry in `CELLS`. family: layouts of one family share tensor names; which of them a
    layer is follows from which tensors there are and from their shapes.
    weights: all needed. biases: all or none; the layer's bias is their sum over the gates that
    each covers. vectors: all or none, then zeros. norms: all or none, then without BatchNorm.
    skip_scale, projection: names of what `tensor_sru` reads. h_projection: of [units, units] before
    "h" and the output: the matrix of an LSTM's projection.
    reverse: what the names of a backward direction's tensors end in. shares: both directions, if
    there are two, have these tensors, and how many there are is not in the names.
    several: linear layers may have the names of its weights, so that one alone is no sign of it.
    columns_first: matrices are [columns, rows]. interleaved: rows unit by unit, not gate by gate.
    """

    title: str
    kind: str
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...] = ()
    vectors: tuple[Tensor, ...] = ()
    norms: tuple[Norm, ...] = ()
    idle: tuple[Idle, ...] = ()
    skip_scale: str = ""
    projection: str = ""
    h_projection: str = ""
    reverse: str = ""
    shares: bool = False
    several: bool = False
    family: str = ""
    columns_first: bool = False
    interleaved: bool = False
    separator: str = "."

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        norms = [tensor for norm in self.norms for tensor in norm.tensors]
        return (*self.weights, *self.biases, *self.vectors, *norms)

    @cached_property
    def others(self) -> tuple[Tensor, ...]:
        """Tensors without rows of gates, as far as their names go."""
        names = [idle.name for idle in self.idle] + [
            self.skip_scale,
            self.projection,
            self.h_projection,
        ]
        return tuple(Tensor(name, ()) for name in names if name)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(tensor.name for tensor in self.tensors + self.others)

    @property
    def numbered(self) -> bool:
        """Whether one module holds several layers."""
        return "{n}" in self.weights[0].name

    def place(self, name: str) -> tuple[str, int, str] | None:
        """Prefix of the module, layer's number and `Tensor.name` of a tensor called `name`."""
        parts = name.split(self.separator)
        for k in range(self.separator == "/", len(parts)):  # Keras's names have a layer's first
            leaf = self.separator.join(parts[k:])
            for tensor in self.tensors + self.others:
                number = tensor.number(leaf)
                if number is not None:
                    return self.separator.join(parts[:k]), number, tensor.name
        return None

    def split(self, name: str) -> tuple[str, bool | None]:
        """A tensor's name without what tells its direction, and whether that is backward.

        None: the name does not tell, so it is forward or the only one.
        """
        if self.reverse and name.endswith(self.reverse):
            return name.removesuffix(self.reverse), True
        *modules, layer, leaf = ["", *name.split("/")]
        half = _KERAS_HALF.fullmatch(layer) if self.separator == "/" else None
        if half is None:
            return name, None
        wrapper = "/".join(filter(None, modules)) or half["layer"]
        return f"{wrapper}/{leaf}", half["direction"] == "backward"

    def rule(self, tensor: Tensor, units: str | int, h: str | int = "") -> str:
        """The expected shape in words or numbers: "[4*units, inputs]", "[12, 3]".

        h: columns of what reads the output, if they are not the units.
        """
        count = len(tensor.gates) // tensor.rows
        rows = (
            units if count == 1 else count * units if isinstance(units, int) else f"{count}*units"
        )
        if not tensor.source:
            return f"[{tensor.rows}, {rows}]" if tensor.rows > 1 else f"[{rows}]"
        columns = "inputs" if tensor.source == "x" else h or units
        return f"[{columns}, {rows}]" if self.columns_first else f"[{rows}, {columns}]"


_KERAS_HALF = re.compile(r"(?P<direction>forward|backward)_(?P<layer>.+)")
"""What Keras's Bidirectional calls its two layers."""


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
    Layout(
        "SpeechBrain LiGRU",
        "ligru",
        (
            Tensor("rnn.{n}.w.weight", ("a", "z"), "x"),
            Tensor("rnn.{n}.u.weight", ("a", "z"), "h"),
        ),
        norms=(Norm("rnn.{n}.norm", ("a", "z")),),
        idle=(
            Idle("rnn.{n}.norm.num_batches_tracked", "a counter"),
            Idle("rnn.{n}.drop_masks", "masks for training"),
            Idle("rnn.{n}.drop_mask_te", "a mask at test time", 1.0),
            Idle("rnn.{n}.h_init", "a first state", 0.0),
        ),
        shares=True,
    ),
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
    _sru("sru", ("u", "f", "r")),
    _sru("sru4", ("u", "f", "r", "s")),
    _keras("LSTM", "lstm", _IFCO, _IFCO),
    _keras("GRU (reset_after)", "gru", _ZR_X, _ZR_H, b=Tensor("bias", _ZR_X + _ZR_H, rows=2)),
    _keras("GRU (reset_after=False)", "gru_before", _ZRN, _ZRN),
    _keras("SimpleRNN", "rnn_tanh", ("n",), ("n",)),
    Layout(
        "Keras Dense",
        "linear",
        (Tensor("kernel", ("y",), "x"),),
        (Tensor("bias", ("y",)),),
        family="Keras",
        columns_first=True,
        separator="/",
    ),
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
