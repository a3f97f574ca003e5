# SPDX-License-Identifier: Apache-2.0
"""The bidirectional layers of Rezk, Nordström and Ul-Abdin, "Shrink and Eliminate", 2022.

A layer takes x ``[batch, frames, inputs]`` and lengths ``[batch]`` and gives ``[batch, frames,
2 units]``, the forward direction first; frames at and after a sequence's length are padding.
"""

import math

import torch
from torch import Tensor, nn

GATES = {
    "lstm": {"f": ("wfx", "ufh"), "i": ("wix", "uih"), "o": ("wox", "uoh"), "c": ("wcx", "uch")},
    "gru": {"z": ("wz", "uz"), "r": ("wr", "ur"), "h": ("wh", "uh")},
    "ligru": {"z": ("wz", "uz"), "h": ("wh", "uh")},
}
"""PyTorch-Kaldi's names of each gate's matrices, of x and of h."""
HIGHWAY_BIAS = -1.0
"""Where SRU's reset gate starts: more of the input than of the state."""


def flip(x: Tensor, lengths: Tensor) -> Tensor:
    """Each sequence ``[frames, ..]`` from its last frame to its first; padding stays behind it."""
    places = torch.arange(x.shape[1], device=x.device)[None]
    places = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)
    return x[torch.arange(x.shape[0], device=x.device)[:, None], places]


class SharedLayer(nn.Module):
    """LSTM, GRU (reset before the product) or LiGRU, one set of weights for both directions.

        a_g = norm_g(W_g x_t) + U_g h_t-1            (norm: batch normalisation; no other bias)
        LSTM:  c_t = i * tanh(a_c) + f * c_t-1,  h_t = o * tanh(c_t)
        GRU:   h_t = z * h_t-1 + (1 - z) * tanh(a_h),  with U_h (r * h_t-1)
        LiGRU: h_t = z * h_t-1 + (1 - z) * relu(a_h)

    In training, one dropout mask a sequence scales the candidate (tanh or relu).
    """

    def __init__(self, cell: str, inputs: int, units: int, dropout: float) -> None:
        super().__init__()
        self.cell, self.units, self.dropout = cell, units, dropout
        gates = GATES[cell]
        self.w = nn.ModuleDict({g: nn.Linear(inputs, units, bias=False) for g in gates})
        self.u = nn.ModuleDict({g: nn.Linear(units, units, bias=False) for g in gates})
        self.norm = nn.ModuleDict({g: nn.BatchNorm1d(units, momentum=0.05) for g in gates})
        for matrix in self.u.values():
            nn.init.orthogonal_(matrix.weight)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        both = torch.cat([x, flip(x, lengths)])
        real = torch.arange(x.shape[1], device=x.device)[None] < lengths.repeat(2)[:, None]
        of_x = {gate: self._of_x(gate, both, real).unbind(1) for gate in self.w}
        h = c = x.new_zeros(len(both), self.units)
        mask = nn.functional.dropout(torch.ones_like(h), self.dropout, self.training)
        outputs = []
        for t in range(x.shape[1]):
            h, c = self._step({gate: rows[t] for gate, rows in of_x.items()}, h, c, mask)
            outputs.append(h)
        forward, backward = torch.stack(outputs, dim=1).chunk(2)
        return torch.cat([forward, flip(backward, lengths)], dim=2)

    def export(self, number: int) -> dict[str, Tensor]:
        """The tensors of layer `number`, by PyTorch-Kaldi's names."""
        state = {}
        for gate, (w, u) in GATES[self.cell].items():
            state[f"{w}.{number}.weight"] = self.w[gate].weight
            state[f"{u}.{number}.weight"] = self.u[gate].weight
            for name, tensor in self.norm[gate].state_dict().items():
                state[f"bn_{w}.{number}.{name}"] = tensor
        return state

    def _of_x(self, gate: str, x: Tensor, real: Tensor) -> Tensor:
        """``norm(W x)``, whose statistics leave the padding out."""
        wx = self.w[gate](x)
        out = torch.zeros_like(wx)
        out[real] = self.norm[gate](wx[real])
        return out

    def _step(
        self, a: dict[str, Tensor], h: Tensor, c: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        def gate(name: str) -> Tensor:
            return torch.sigmoid(a[name] + self.u[name](h))

        if self.cell == "lstm":
            candidate = torch.tanh(a["c"] + self.u["c"](h)) * mask
            c = gate("i") * candidate + gate("f") * c
            return gate("o") * torch.tanh(c), c
        if self.cell == "gru":
            candidate = torch.tanh(a["h"] + self.u["h"](gate("r") * h))
        else:
            candidate = torch.relu(a["h"] + self.u["h"](h))
        z = gate("z")
        return z * h + (1 - z) * candidate * mask, c


class SRULayer(nn.Module):
    """The simple recurrent unit with tensors of its own for each direction, as in ``sru`` 2.6.

        u, f, r[, s] = columns of (x_t P) W         (P: only where there is a projection)
        f = sigmoid(f + v_f * c_t-1 + b_f),  r = sigmoid(r + v_r * c_t-1 + b_r)
        c_t = f * c_t-1 + (1 - f) * u
        h_t = r * c_t + (1 - r) * skip,  skip = s where there is one, else scale_x * x_t

    ``skip=False``: h_t = r * c_t. State dict: ``weight`` ``[inputs or projection, 2 units * k]``,
    column ``(d * units + j) * k + m`` for direction d, unit j and matrix m; ``weight_c`` and
    ``bias`` ``[2 * 2 units]``, f then r, each by direction; ``weight_proj`` ``[inputs,
    projection]``; ``scale_x`` ``[1]``.
    """

    scale_x: Tensor

    def __init__(
        self, inputs: int, units: int, dropout: float, projection: int = 0, skip: bool = True
    ) -> None:
        super().__init__()
        self.units, self.skip = units, skip
        self.matrices = 4 if skip and inputs != 2 * units else 3
        width = projection if 0 < projection < inputs else inputs
        weight = torch.empty(width, 2, units, self.matrices).uniform_(-1, 1) * (3 / width) ** 0.5
        weight[..., 1:3] *= 0.5**0.5  # the gates; E[w^2] = 1 / width elsewhere
        self.weight = nn.Parameter(weight.flatten(1))
        self.weight_c = nn.Parameter(torch.empty(4 * units).uniform_(-1, 1) * 1.5**0.5)
        bias = torch.zeros(2, 2 * units)
        bias[1] = HIGHWAY_BIAS
        self.bias = nn.Parameter(bias.flatten())
        if width < inputs:
            reach = (3 / inputs) ** 0.5
            self.weight_proj = nn.Parameter(torch.empty(inputs, width).uniform_(-reach, reach))
        else:
            self.weight_proj = None
        scale = math.sqrt(1 + 2 * math.exp(HIGHWAY_BIAS))  # keeps the variance over layers
        self.register_buffer("scale_x", torch.full((1,), scale))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        dropped = self.dropout(x)
        projected = dropped if self.weight_proj is None else dropped @ self.weight_proj
        parts = (projected @ self.weight).unflatten(-1, (2, self.units, self.matrices))
        parts = torch.stack([parts[:, :, 0], flip(parts[:, :, 1], lengths)], dim=2)
        v_f, v_r = self.weight_c.view(2, 2, self.units)
        b_f, b_r = self.bias.view(2, 2, self.units)
        if self.matrices == 4:
            skip = parts[..., 3]
        elif self.skip:
            own = (x * self.scale_x).unflatten(-1, (2, self.units))
            skip = torch.stack([own[:, :, 0], flip(own[:, :, 1], lengths)], dim=2)
        else:
            skip = torch.zeros_like(parts[..., 0])
        c = x.new_zeros(len(x), 2, self.units)
        outputs = []
        for now, through in zip(parts.unbind(1), skip.unbind(1), strict=True):
            f = torch.sigmoid(now[..., 1] + v_f * c + b_f)
            r = torch.sigmoid(now[..., 2] + v_r * c + b_r)
            c = torch.lerp(now[..., 0], c, f)
            outputs.append(torch.lerp(through, c, r))
        h = torch.stack(outputs, dim=1)
        return torch.cat([h[:, :, 0], flip(h[:, :, 1], lengths)], dim=2)

    def export(self, number: int) -> dict[str, Tensor]:
        """The tensors of layer `number`, by the package's names."""
        return {f"sru.rnn_lst.{number}.{name}": t for name, t in self.state_dict().items()}
