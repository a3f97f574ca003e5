# SPDX-License-Identifier: Apache-2.0
"""Place and route with nextpnr-ecp5, and ecppack for the bitstream.

Two ways to run:

- with a pin file (LPF): a board's design, down to a bitstream;
- out of context (no LPF): a design whose ports are no pins, for its area and clock alone. nextpnr
  then inserts no IO buffers and promotes no globals (`--out-of-context`), and cannot write a
  bitstream. Its clock is an ideal one in the timing model either way, so the Fmax is comparable:
  a design of 635 LUTs gave 130.8 MHz out of context and 131.5 with its 116 ports as pins. Only
  register to register paths count in Fmax: register a design's inputs and outputs to measure it.
"""

from pathlib import Path

from ..nextpnr.layout import Layout, Packer, lay_out
from ..tools.process import Progress, silent
from .synthesis import Netlist

DEVICES = ("12k", "25k", "45k", "85k", "um5g-45k", "um5g-85k")
SPEEDS = (6, 7, 8)

_PACKER = Packer(
    tool="ecppack",
    arguments=("--compress", "--input", "design.config", "--bit", "design.bit"),
    output="design.bit",
)


def place_and_route(
    netlist: Netlist,
    *,
    device: str,
    package: str,
    speed: int,
    freq_mhz: float,
    workdir: Path,
    lpf: str | None = None,
    seed: int = 1,
    progress: Progress = silent,
) -> Layout:
    """Place and route ``netlist``; the result is kept below ``workdir``.

    Parameters
    ----------
    device, package, speed
        The part: one of `DEVICES`, such as ``"CABGA381"``, one of `SPEEDS`.
    freq_mhz, seed
        See `lay_out`.
    lpf
        Pin constraints. None: out of context.

    Raises
    ------
    UserError
        No nextpnr, or it failed (most often: the design does not fit); the line names the log.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {DEVICES}, not {device!r}")
    if speed not in SPEEDS:
        raise ValueError(f"speed must be one of {SPEEDS}, not {speed!r}")
    options = [f"--{device}", "--package", package, "--speed", str(speed)]
    if lpf is None:
        options += ["--out-of-context"]
    else:
        options += ["--lpf", "design.lpf", "--textcfg", "design.config"]
    return lay_out(
        netlist,
        placer="nextpnr-ecp5",
        options=options,
        freq_mhz=freq_mhz,
        workdir=workdir,
        files={} if lpf is None else {"design.lpf": lpf},
        packer=None if lpf is None else _PACKER,
        seed=seed,
        progress=progress,
    )
