# SPDX-License-Identifier: Apache-2.0
"""From sums to parts of pre-activations in the arithmetic of integer-only LSTMs."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value

from ...parts.arithmetic import sat16
from ...parts.pipeline import delay
from .scale import Scale
from .stages import UNSHIFTED, rescale_cycles, twice_rescaler


class ScaleTwice(Scale):
    """part = rescale(M + bias), for each row of a D-word: docs/integer-lstm.md.

    A D-word is of one gate, so that its rows share a shift and, but with config.row_mults, a
    multiplier. Parts are saturated to pre_bits, and to int16 where the D-word's parameters say so;
    a flushed D-word's is 0.

    Everything else is as in `Scale`.
    """

    def _parts(self, m: Module, parameters: Any) -> list[Value]:
        config, tag = self._config, self.i.payload.tag
        late: Any = delay(m, parameters, 1, "parameters_late")
        shift = delay(m, tag.shift, 1, "shift") - UNSHIFTED
        saturates = delay(m, parameters.saturates, rescale_cycles(config), "saturates")
        parts: list[Value] = []
        for n in range(config.unit_word):
            m.submodules[f"rescale_{n}"] = rescale = twice_rescaler(config)
            value = Signal.like(rescale.value, name=f"value_{n}", reset_less=True)
            m.d.sync += value.eq(self.i.payload.values[n] + Mux(tag.flush, 0, parameters.bias[n]))
            m.d.comb += [
                rescale.value.eq(value),
                rescale.mult.eq(late.mult[n if config.row_mults else 0]),
                rescale.shift.eq(shift),
            ]
            if rescale.float_shifts is not None:
                m.d.comb += rescale.floats.eq(late.floats)
            parts.append(Mux(saturates, sat16(rescale.o), rescale.o))
        return parts
