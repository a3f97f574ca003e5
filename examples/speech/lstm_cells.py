# SPDX-License-Identifier: Apache-2.0
"""LSTMs with peepholes, coupled gates and a projection that can also run as a delta network."""

import torch
from norm_cells import NormLayer
from torch import Tensor, nn


class PeepholeLSTM(NormLayer):
    """Gates i, f, g, o; ``peephole`` ``[3, units]``: i and f see the old c, o the new one."""

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__(4, inputs, units, batch_first)
        self.bias = nn.Parameter(torch.zeros(4 * units))
        self.bias.data[units : 2 * units] = 1.0
        self.peephole = nn.Parameter(torch.zeros(3, units))

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t, c_t`` from both products and ``c_t-1``."""
        i, f, g, o = (wx + uh + self.bias).chunk(4, dim=1)
        i, f = torch.sigmoid(i + self.peephole[0] * c), torch.sigmoid(f + self.peephole[1] * c)
        c = f * c + i * torch.tanh(g)
        return torch.sigmoid(o + self.peephole[2] * c) * torch.tanh(c), c


class CoupledLSTM(NormLayer):
    """Gates f, g, o; i = 1 - f."""

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__(3, inputs, units, batch_first)
        self.bias = nn.Parameter(torch.zeros(3 * units))
        self.bias.data[:units] = 1.0

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t, c_t`` from both products and ``c_t-1``."""
        f, g, o = (wx + uh + self.bias).chunk(3, dim=1)
        f = torch.sigmoid(f)
        c = f * c + (1 - f) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class ProjectedLSTM(NormLayer):
    """Twice as many cells as units, which ``projection`` ``[units, cells]`` makes of them."""

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__(4, inputs, 2 * units, batch_first)
        cells, self.units, self.cells = 2 * units, units, 2 * units
        self.weight_hh = nn.Parameter(torch.randn(4 * cells, units) / units**0.5)
        self.projection = nn.Parameter(torch.randn(units, cells) / cells**0.5)
        self.bias = nn.Parameter(torch.zeros(4 * cells))
        self.bias.data[cells : 2 * cells] = 1.0

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t, c_t`` from both products and ``c_t-1``."""
        i, f, g, o = (wx + uh + self.bias).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return (torch.sigmoid(o) * torch.tanh(c)) @ self.projection.T, c
