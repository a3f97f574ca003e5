# SPDX-License-Identifier: Apache-2.0
"""AXI4-Lite slave, the register bus behind it, and the signatures of the AXI ports.

Interfaces are members of a component's signature (`s_axis: In(AxiStreamSignature(16))`).
Amaranth alone would call the Verilog port `s_axis__tdata`; with
`verilog.convert(top, ports=flat_ports(top))` it is `s_axis_tdata`, as AXI tools expect.
"""

from typing import Any

from amaranth.hdl import Module, ResetSignal, Signal, Value, ValueCastable
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .register_map import ADDRESS_BITS

OKAY, SLVERR = 0, 2


class AxiStreamSignature(wiring.Signature):
    """AXI4-Stream from the transmitter's side: tdata, tvalid, tready, tlast and, maybe, tuser.

    Parameters
    ----------
    width : int
        Bits of tdata, unsigned; take `.as_signed()` inside.
    user : int
        Bits of tuser; 0 for no such port.

    Members
    -------
    tdata : out, `width` bits
    tvalid : out, 1 bit
    tready : in, 1 bit
    tlast : out, 1 bit
    tuser : out, `user` bits
    """

    def __init__(self, width: int, *, user: int = 0) -> None:
        members: dict[str, Any] = {
            "tdata": Out(width),
            "tvalid": Out(1),
            "tready": In(1),
            "tlast": Out(1),
        }
        if user:
            members["tuser"] = Out(user)
        super().__init__(members)


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite from the master's side: 32-bit data, byte addresses of `address_bits` bits."""

    def __init__(self, *, address_bits: int = ADDRESS_BITS) -> None:
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class RegisterBusSignature(wiring.Signature):
    """Whole-word reads and writes from the side that asks. Both may be under way at once.

    Write: `w_valid` holds with `w_addr` and `w_data` until a cycle with `w_ready`, whose
    `w_error` says that nothing was written. `w_ready` may depend on `w_valid`.

    Read: `r_en` is one cycle; `r_addr` holds from then until `r_valid`, in that cycle or any later
    one, which comes with `r_data` and `r_error`. The next `r_en` is after that.

    Addresses count 32-bit words.
    """

    def __init__(self, *, address_bits: int = ADDRESS_BITS - 2) -> None:
        super().__init__(
            {
                "w_valid": Out(1),
                "w_addr": Out(address_bits),
                "w_data": Out(32),
                "w_ready": In(1),
                "w_error": In(1),
                "r_en": Out(1),
                "r_addr": Out(address_bits),
                "r_valid": In(1),
                "r_data": In(32),
                "r_error": In(1),
            }
        )


def flat_ports(component: wiring.Component | wiring.PureInterface) -> dict[str, Any]:
    """The component's ports for `verilog.convert(component, ports=...)`, named parent_member."""
    ports = {}
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value.as_value() if isinstance(value, ValueCastable) else value)
        name = "_".join(str(part) for part in path)
        if name in ports:
            raise ValueError(f"two ports would be named {name!r}")
        inward = member.flow == In
        ports[name] = (signal, PortDirection.Input if inward else PortDirection.Output)
    return ports


class AxiLite(wiring.Component):
    """AXI4-Lite slave in front of a register bus.

    One write and one read are under way at most, independently of each other. AW and W come in any
    order. No ready or valid output depends on an input of the same cycle, and responses hold until
    taken or a reset comes. Low two address bits and `prot` are ignored. A write whose strobes are
    not all set is answered SLVERR and never reaches the bus; errors from the bus are SLVERR too.

    THROUGHPUT: a write every 2 cycles, a read every 3, with a bus that answers at once.

    Members
    -------
    axil : in, `AxiLiteSignature`
    bus : out, `RegisterBusSignature`
    """

    axil: Any
    bus: Any

    def __init__(self) -> None:
        super().__init__({"axil": In(AxiLiteSignature()), "bus": Out(RegisterBusSignature())})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        axil, bus = self.axil, self.bus
        has_address = Signal()
        has_data = Signal()
        whole = Signal()
        request, answered = Signal(), Signal()
        m.d.comb += [
            axil.awready.eq(~has_address),
            axil.wready.eq(~has_data),
            axil.bvalid.eq(answered & ~ResetSignal(allow_reset_less=True)),
            request.eq(has_address & has_data & ~answered),
            bus.w_valid.eq(request & whole),
        ]
        with m.If(axil.awvalid & axil.awready):
            m.d.sync += [has_address.eq(1), bus.w_addr.eq(axil.awaddr[2:])]
        with m.If(axil.wvalid & axil.wready):
            m.d.sync += [has_data.eq(1), bus.w_data.eq(axil.wdata), whole.eq(axil.wstrb.all())]
        with m.If(axil.bvalid & axil.bready):
            m.d.sync += answered.eq(0)
        with m.If(request & (bus.w_ready | ~whole)):
            m.d.sync += [
                has_address.eq(0),
                has_data.eq(0),
                answered.eq(1),
                axil.bresp[1].eq(bus.w_error | ~whole),
            ]

    def _read(self, m: Module) -> None:
        axil, bus = self.axil, self.bus
        with m.FSM(name="read"):
            with m.State("IDLE"):
                m.d.comb += axil.arready.eq(1)
                with m.If(axil.arvalid):
                    m.d.sync += bus.r_addr.eq(axil.araddr[2:])
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += bus.r_en.eq(1)
                m.next = "WAIT"
                self._answer(m)
            with m.State("WAIT"):
                self._answer(m)
            with m.State("RESPOND"):
                m.d.comb += axil.rvalid.eq(~ResetSignal(allow_reset_less=True))
                with m.If(axil.rready):
                    m.next = "IDLE"

    def _answer(self, m: Module) -> None:
        axil, bus = self.axil, self.bus
        with m.If(bus.r_valid):
            m.d.sync += [axil.rdata.eq(bus.r_data), axil.rresp[1].eq(bus.r_error)]
            m.next = "RESPOND"
