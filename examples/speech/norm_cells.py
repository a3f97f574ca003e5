# SPDX-License-Identifier: Apache-2.0
"""Layers with layer normalization that can also run as a delta network.

Parameters are those of hand-written cells and of SpeechBrain's, so that `deltaloom import` reads
them. N(v) is `nn.LayerNorm` with a gain and an offset.
"""

import torch
from delta import run
from torch import Tensor, nn


class NormLayer(nn.Module):
    """What they share: matrices `weight_ih` and `weight_hh`, which norms keep in their place."""

    def __init__(self, gates: int, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__()
        if not batch_first:
            raise ValueError("batch_first must be True: frames are the second axis")
        self.units = units
        self.weight_ih = nn.Parameter(torch.randn(gates * units, inputs) / inputs**0.5)
        self.weight_hh = nn.Parameter(torch.randn(gates * units, units) / units**0.5)

    def input_part(self, x: Tensor, held: Tensor) -> Tensor:
        """``W x^``, ``[batch, frames, gates * units]``."""
        return held @ self.weight_ih.T

    def recurrent_part(self, held: Tensor) -> Tensor:
        """``U h^``, ``[batch, gates * units]``."""
        return held @ self.weight_hh.T

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``h`` ``[batch, frames, units]`` and its last frame, from ``[batch, frames, inputs]``."""
        h, _ = run(self, x, None)
        return h, h[:, -1]


class NormLSTM(NormLayer):
    """Each gate is N(W x + U h), as in LiteRT; gates i, f, g, o."""

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__(4, inputs, units, batch_first)
        self.ln_i, self.ln_f, self.ln_g, self.ln_o = (nn.LayerNorm(units) for _ in range(4))
        nn.init.ones_(self.ln_f.bias)

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t, c_t`` from both products and ``c_t-1``."""
        i, f, g, o = (wx + uh).chunk(4, dim=1)
        kept = torch.sigmoid(self.ln_f(f)) * c
        c = kept + torch.sigmoid(self.ln_i(i)) * torch.tanh(self.ln_g(g))
        return torch.sigmoid(self.ln_o(o)) * torch.tanh(c), c


class NormGRU(NormLayer):
    """N(W x + b) and N(U h + b), each over the gates r, z, n; the reset comes after."""

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__(3, inputs, units, batch_first)
        self.bias_ih, self.bias_hh = (nn.Parameter(torch.zeros(3 * units)) for _ in range(2))
        self.ln_ih, self.ln_hh = (nn.LayerNorm(3 * units) for _ in range(2))

    def input_part(self, x: Tensor, held: Tensor) -> Tensor:
        """``N(W x^ + b)``, ``[batch, frames, 3 units]``."""
        part: Tensor = self.ln_ih(held @ self.weight_ih.T + self.bias_ih)
        return part

    def recurrent_part(self, held: Tensor) -> Tensor:
        """``N(U h^ + b)``, ``[batch, 3 units]``."""
        part: Tensor = self.ln_hh(held @ self.weight_hh.T + self.bias_hh)
        return part

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t`` from both and ``h_t-1``; there is no ``c``, it stays zero."""
        wr, wz, wn = wx.chunk(3, dim=1)
        ur, uz, un = uh.chunk(3, dim=1)
        n = torch.tanh(wn + torch.sigmoid(wr + ur) * un)
        z = torch.sigmoid(wz + uz)
        return (1 - z) * n + z * h, c


class SLiGRU(nn.Module):
    """SpeechBrain's `SLiGRU_Layer` with `ff_normalization="layernorm"`, affine norms both.

    a, z are chunks of N(W x) + N(U h); h = z * h + (1 - z) * relu(a).
    """

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__()
        if not batch_first:
            raise ValueError("batch_first must be True: frames are the second axis")
        self.units = units
        self.w = nn.Linear(inputs, 2 * units, bias=False)
        self.u = nn.Linear(units, 2 * units, bias=False)
        self.norm, self.layer_norm = nn.LayerNorm(2 * units), nn.LayerNorm(2 * units)
        nn.init.orthogonal_(self.u.weight)

    def input_part(self, x: Tensor, held: Tensor) -> Tensor:
        """``N(W x^)``, ``[batch, frames, 2 units]``."""
        part: Tensor = self.norm(self.w(held))
        return part

    def recurrent_part(self, held: Tensor) -> Tensor:
        """``N(U h^)``, ``[batch, 2 units]``."""
        part: Tensor = self.layer_norm(self.u(held))
        return part

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t`` twice: it is unbounded, and so the state to keep small."""
        a, z = (wx + uh).chunk(2, dim=1)
        z = torch.sigmoid(z)
        h = z * h + (1 - z) * torch.relu(a)
        return h, h

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``h`` ``[batch, frames, units]`` and its last frame, from ``[batch, frames, inputs]``."""
        h, _ = run(self, x, None)
        return h, h[:, -1]
