# SPDX-License-Identifier: Apache-2.0
"""A layer of the simple recurrent unit (Lei et al., "Simple Recurrent Units for Highly
Parallelizable Recurrence", 2018), with the parameters of ``SRUCell`` of the package ``sru`` 2.6.0.

    u, f, r[, s] = columns of x_t W
    f   = sigmoid(f + v_f * c_t-1 + b_f),  r = sigmoid(r + v_r * c_t-1 + b_r)
    c_t = f * c_t-1 + (1 - f) * u
    h_t = r * c_t + (1 - r) * skip,  skip = s where there is one, else scale_x * x_t

State dict: ``weight`` ``[inputs, units * k]``, column ``j * k + m`` for unit j and m = 0: u, 1: f,
2: r, 3: s; k is 3, or 4 where inputs and units differ. ``weight_c`` ``[2 units]`` holds v_f, then
v_r; ``bias`` ``[2 units]`` b_f, then b_r; ``scale_x`` ``[1]`` is 1, what ``sru.SRU`` has by default
(``rescale=False``).
"""

import torch
from delta import run
from torch import Tensor, nn


class SRU(nn.Module):
    """One unidirectional layer, initialised as in the package.

    Parameters
    ----------
    inputs, units : int
    """

    scale_x: Tensor

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__()
        if not batch_first:
            raise ValueError("batch_first must be True: frames are the second axis")
        self.units = units
        self.matrices = 3 if inputs == units else 4
        weight = torch.empty(inputs, units, self.matrices).uniform_(-1, 1) * (3 / inputs) ** 0.5
        weight[:, :, 1:3] *= 0.5**0.5  # the gates; E[w^2] = 1 / inputs elsewhere
        self.weight = nn.Parameter(weight.flatten(1))
        self.weight_c = nn.Parameter(torch.empty(2 * units).uniform_(-1, 1) * 1.5**0.5)
        self.bias = nn.Parameter(torch.zeros(2 * units))
        self.register_buffer("scale_x", torch.ones(1))

    def input_part(self, x: Tensor, held: Tensor) -> Tensor:
        """``u, f + b_f, r + b_r, skip``, ``[batch, frames, 4 units]``; from ``x^`` but the skip."""
        parts = (held @ self.weight).unflatten(-1, (self.units, self.matrices)).unbind(-1)
        gates = torch.cat(parts[1:3], dim=-1) + self.bias
        skip = parts[3] if self.matrices == 4 else x * self.scale_x
        return torch.cat([parts[0], gates, skip], dim=-1)

    def recurrent_part(self, held: Tensor) -> Tensor:
        """``v_f, v_r``, ``[2 units]``: no matrix sees ``h``."""
        return self.weight_c

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t, c_t``; both gates see the old ``c``."""
        u, f, r, skip = wx.chunk(4, dim=1)
        v_f, v_r = uh.chunk(2)
        f = torch.sigmoid(torch.addcmul(f, v_f, c))
        r = torch.sigmoid(torch.addcmul(r, v_r, c))
        c = torch.lerp(u, c, f)
        return torch.lerp(skip, c, r), c

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``h`` ``[batch, frames, units]`` and its last frame, from ``[batch, frames, inputs]``."""
        h, _ = run(self, x, None)
        return h, h[:, -1]
