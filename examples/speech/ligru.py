# SPDX-License-Identifier: Apache-2.0
"""A layer of the light GRU (Ravanelli et al., "Light Gated Recurrent Units for Speech
Recognition", 2018), with the parameters of ``speechbrain.nnet.RNN.LiGRU_Layer``.

    a, z = chunks of norm(W x_t) + U h_t-1        (norm: batch normalisation; no other bias)
    h_t  = sigmoid(z) * h_t-1 + (1 - sigmoid(z)) * relu(a)

State dict: ``w.weight`` ``[2 units, inputs]``, ``u.weight`` ``[2 units, units]``, and
``norm.weight``, ``norm.bias``, ``norm.running_mean``, ``norm.running_var`` ``[2 units]``,
``norm.num_batches_tracked`` ``[]``. Rows: the candidate a of all units, then the update gate z.
SpeechBrain also stores ``h_init`` (zeros), ``drop_masks`` and ``drop_mask_te`` (ones), which its
evaluation mode does not need: load with ``strict=False``.
"""

import torch
from delta import run
from torch import Tensor, nn


class LiGRU(nn.Module):
    """One unidirectional layer.

    Parameters
    ----------
    inputs, units : int
    """

    def __init__(self, inputs: int, units: int, batch_first: bool = True) -> None:
        super().__init__()
        if not batch_first:
            raise ValueError("batch_first must be True: frames are the second axis")
        self.units = units
        self.w = nn.Linear(inputs, 2 * units, bias=False)
        self.u = nn.Linear(units, 2 * units, bias=False)
        self.norm = nn.BatchNorm1d(2 * units, momentum=0.05)
        nn.init.orthogonal_(self.u.weight)

    def input_part(self, x: Tensor, held: Tensor) -> Tensor:
        """``norm(W x^)``, ``[batch, frames, 2 units]``."""
        wx = self.w(held)
        return self.norm(wx.flatten(0, 1)).view_as(wx)

    def recurrent_part(self, held: Tensor) -> Tensor:
        """``U h^``, ``[batch, 2 units]``."""
        return self.u(held)

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
