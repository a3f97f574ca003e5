# SPDX-License-Identifier: Apache-2.0
"""One layer of ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN`` that can also run as a delta network."""

import torch
from torch import Tensor, nn


class TorchLayer(nn.RNNBase):
    """The parts that the cells share; parameters and plain forward pass are PyTorch's."""

    @property
    def units(self) -> int:
        return self.hidden_size

    def input_part(self, x: Tensor, held: Tensor) -> Tensor:
        """``W x^ + b``, ``[batch, frames, gates * units]``."""
        return held @ self.weight_ih_l0.T + self.bias_ih_l0

    def recurrent_part(self, held: Tensor) -> Tensor:
        """``U h^ + b``, ``[batch, gates * units]``."""
        return torch.addmm(self.bias_hh_l0, held, self.weight_hh_l0.T)


class LSTM(TorchLayer, nn.LSTM):
    """Gates i, f, g, o."""

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t, c_t`` from ``W x^_t + b``, ``U h^_t-1 + b`` and ``c_t-1``."""
        i, f, g, o = (wx + uh).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class GRU(TorchLayer, nn.GRU):
    """Gates r, z, n; the reset gate acts after the matrix. There is no ``c``; it stays zero."""

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t`` from ``W x^_t + b``, ``U h^_t-1 + b`` and ``h_t-1``."""
        wr, wz, wn = wx.chunk(3, dim=1)
        ur, uz, un = uh.chunk(3, dim=1)
        n = torch.tanh(wn + torch.sigmoid(wr + ur) * un)
        z = torch.sigmoid(wz + uz)
        return (1 - z) * n + z * h, c


class RNN(TorchLayer, nn.RNN):
    """Elman's network with tanh. There is no ``c``; it stays zero."""

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t`` from ``W x^_t + b`` and ``U h^_t-1 + b``."""
        return torch.tanh(wx + uh), c
