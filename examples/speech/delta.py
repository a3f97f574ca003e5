# SPDX-License-Identifier: Apache-2.0
"""Training-time forward pass of a delta network (Neil et al., "Delta Networks for Optimized
Recurrent Network Computation", 2017).

A matrix does not see its input vector ``v_t`` but ``v^_t``, in which an element follows ``v_t``
only when it has moved by more than a threshold since it was last taken over:
``v^_t = v_t where |v_t - v^_t-1| > threshold, else v^_t-1``, from ``v^_-1 = 0``. Element-wise
operations see the exact values. The gradient flows to the value that was held.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def take_over(value: Tensor, held: Tensor, threshold: float) -> Tensor:
    """One step of the delta rule: the new ``held``."""
    return torch.where((value - held).abs() > threshold, value, held)


def hold(values: Tensor, threshold: float) -> Tensor:
    """The delta rule over time, ``[batch, frames, elements]`` to the same shape."""
    held = torch.zeros_like(values[:, 0])
    steps = []
    for value in values.unbind(1):
        held = take_over(value, held, threshold)
        steps.append(held)
    return torch.stack(steps, dim=1)


def lstm_step(wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """``h_t, c_t`` from ``W x^_t + b``, ``U h^_t-1 + b`` (gates i, f, g, o) and ``c_t-1``."""
    i, f, g, o = (wx + uh).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gru_step(wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """``h_t`` from ``W x^_t + b``, ``U h^_t-1 + b`` (gates r, z, n) and ``h_t-1``; no ``c``."""
    wr, wz, wn = wx.chunk(3, dim=1)
    ur, uz, un = uh.chunk(3, dim=1)
    n = torch.tanh(wn + torch.sigmoid(wr + ur) * un)
    z = torch.sigmoid(wz + uz)
    return (1 - z) * n + z * h, c


Step = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
STEPS: dict[str, Step] = {"lstm": lstm_step, "gru": gru_step}


def delta_layer(
    step: Step, layer: nn.Module, x: Tensor, thresholds: tuple[float, float], limit: float
) -> tuple[Tensor, Tensor]:
    """One recurrent layer of ``nn.LSTM``/``nn.GRU`` parameters as a delta network.

    Returns ``h``, ``[batch, frames, units]``, and the mean excess of ``|c|`` over ``limit``.
    ``thresholds`` are for ``x`` and ``h``, in their own units.
    """
    weights = dict(layer.named_parameters())
    wx = hold(x, thresholds[0]) @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
    recurrent, bias = weights["weight_hh_l0"].T, weights["bias_hh_l0"]
    h = c = held = x.new_zeros(x.shape[0], recurrent.shape[0])
    outputs, cells = [], []
    for row in wx.unbind(1):
        held = take_over(h, held, thresholds[1])
        h, c = step(row, torch.addmm(bias, held, recurrent), h, c)
        outputs.append(h)
        cells.append(c)
    excess = (torch.stack(cells).abs() - limit).relu().mean()
    return torch.stack(outputs, dim=1), excess


def delta_forward(
    cell: str,
    layers: Sequence[nn.Module],
    dropout: nn.Module,
    x: Tensor,
    thresholds: tuple[float, float],
    limit: float,
) -> tuple[list[Tensor], Tensor]:
    """All layers: each one's ``h``, and the sum of the excesses of ``|c|`` over ``limit``.

    ``thresholds`` are those of the features and of every ``h``; ``cell`` is a key of ``STEPS``.
    """
    outputs: list[Tensor] = []
    total = x.new_zeros(())
    for layer in layers:
        inputs = dropout(outputs[-1]) if outputs else x
        pair = (thresholds[1] if outputs else thresholds[0], thresholds[1])
        h, excess = delta_layer(STEPS[cell], layer, inputs, pair, limit)
        outputs.append(h)
        total = total + excess
    return outputs, total
