# SPDX-License-Identifier: Apache-2.0
"""One layer of the minimal GRU of Feng et al. 2024, "Were RNNs All We Needed?", section 3.1.

    z_t = sigmoid(linear_z(x_t)),  h~_t = linear_h(x_t),  h_t = (1 - z_t) h_t-1 + z_t h~_t

Its modules have the names of the paper's listing. There is no recurrent matrix, so that a delta
network has a threshold for the layer's input alone.
"""

import torch
from delta import run
from torch import Tensor, nn


class MinGRU(nn.Module):
    """``x [batch, frames, inputs] -> h [batch, frames, units]``, from a zero state."""

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__()
        if not batch_first:
            raise ValueError("batch_first=False: the batch must come first")
        self.linear_z = nn.Linear(inputs, units)
        self.linear_h = nn.Linear(inputs, units)

    @property
    def units(self) -> int:
        return self.linear_h.out_features

    def input_part(self, x: Tensor, held: Tensor) -> Tensor:
        """Both gates' products, ``[batch, frames, 2 * units]``."""
        return torch.cat([self.linear_z(held), self.linear_h(held)], dim=-1)

    def recurrent_part(self, held: Tensor) -> Tensor:
        """Nothing: no gate sees the previous output."""
        return held

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t`` twice: it is the state that the second phase of training keeps small."""
        z, candidate = wx.chunk(2, dim=1)
        h = torch.lerp(h, candidate, torch.sigmoid(z))
        return h, h

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``h`` of all frames and of the last one."""
        h, _ = run(self, x, None)
        return h, h[:, -1]
