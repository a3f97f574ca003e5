# SPDX-License-Identifier: Apache-2.0
"""Training-time forward pass of a delta network (Neil et al., "Delta Networks for Optimized
Recurrent Network Computation", 2017).

A matrix does not see its input vector ``v_t`` but ``v^_t``, in which an element follows ``v_t``
only when it has moved by more than a threshold since it was last taken over:
``v^_t = v_t where |v_t - v^_t-1| > threshold, else v^_t-1``, from ``v^_-1 = 0``. Element-wise
operations see the exact values. The gradient flows to the value that was held.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn


class Layer(Protocol):
    """A recurrent layer, taken apart so that a delta network can come between its parts.

    Shapes: ``x`` ``[batch, frames, inputs]``, ``h`` and ``c`` ``[batch, units]``; the rest is up
    to the cell.
    """

    @property
    def units(self) -> int: ...

    def input_part(self, x: Tensor, held: Tensor) -> Tensor:
        """What the frames contribute, ``[batch, frames, any]``; ``held`` is ``x^``."""

    def recurrent_part(self, held: Tensor) -> Tensor:
        """What the previous step contributes; ``held`` is ``h^_t-1``."""

    def step(self, wx: Tensor, uh: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``h_t, c_t`` from both parts and from ``h_t-1, c_t-1``; ``c`` is what is kept small."""


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


def run(layer: Layer, x: Tensor, thresholds: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """``h`` and ``c`` of one layer, ``[batch, frames, units]``, from zero state.

    ``thresholds`` are for ``x`` and ``h``, in their own units; None: the plain network.
    """
    wx = layer.input_part(x, hold(x, thresholds[0]) if thresholds else x)
    h = held = x.new_zeros(x.shape[0], layer.units)
    c = x.new_zeros(x.shape[0], getattr(layer, "cells", layer.units))  # with a projection, more
    outputs, cells = [], []
    for row in wx.unbind(1):
        held = take_over(h, held, thresholds[1]) if thresholds else h
        h, c = layer.step(row, layer.recurrent_part(held), h, c)
        outputs.append(h)
        cells.append(c)
    return torch.stack(outputs, dim=1), torch.stack(cells)


def delta_forward(
    layers: Sequence[Layer],
    dropout: nn.Module,
    x: Tensor,
    thresholds: tuple[float, float],
    limit: float,
) -> tuple[list[Tensor], Tensor]:
    """All layers: each one's ``h``, and the sum of the mean excesses of ``|c|`` over ``limit``.

    ``thresholds`` are those of the features and of every ``h``.
    """
    outputs: list[Tensor] = []
    total = x.new_zeros(())
    for layer in layers:
        inputs = dropout(outputs[-1]) if outputs else x
        pair = (thresholds[1] if outputs else thresholds[0], thresholds[1])
        h, c = run(layer, inputs, pair)
        outputs.append(h)
        total = total + (c.abs() - limit).relu().mean()
    return outputs, total
