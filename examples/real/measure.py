# SPDX-License-Identifier: Apache-2.0
"""Published networks: imported from their files, quantized, tuned and simulated.

The figures go to docs/real-networks.md.

NMSE is 10 log10(sum((y' - y)^2) / sum(y^2)) of the network's outputs against the float model's. All
networks that go frame by frame are run by one core in Verilator, loaded with one after the other.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from fetch import FetchError
from networks import CASES, Case

import deltaloom
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.engines.float_engine import run_float_batch
from deltaloom.golden.engines.packed import Packing
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import evaluate
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import tune
from deltaloom.golden.models.float_model import FloatModel, Trace, run_float
from deltaloom.golden.models.network import Network
from deltaloom.golden.models.states import first_reals
from deltaloom.golden.quantization.cell_formats import cell_error
from deltaloom.golden.quantization.quantize import quantize
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.simulate import simulate as simulate_design
from deltaloom.sim.testing.core_in_verilator import measure_core

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "real-networks.md"
TARGETS = {8: -30.0, 16: -60.0}
"""dB of NMSE, by bits of weights and activations."""
ALLOWED = 1.0
"""dB that tuning may lose."""
TUNED, SIMULATED = 1, 3
"""Calibration sequences that thresholds are tuned on; frames of a sequence that are simulated."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is measured of one network; decibels by bits."""

    name: str
    what: str
    how: str
    layers: str
    parameters: int
    seconds: float
    runtime: str
    difference: float
    data: str
    decibels: dict[str, float]
    tuned: float
    eliminated: float
    states: float = 0.0
    simulated: tuple[int, ...] = ()


def measure(case: Case) -> tuple[Figures, list[Network]]:
    """A case's figures but for the simulation, and its networks: W8/A8 tuned, W16/A16."""
    networks, decibels = {}, {}
    for bits in TARGETS:
        scheme = Scheme(weight_bits=bits, activation_bits=bits)
        networks[bits] = quantize(case.model, case.calibration, scheme)
        decibels[str(bits)] = _nmse(networks[bits], case.test)
        print(f"{case.name}: W{bits}/A{bits} {decibels[str(bits)]:.2f} dB", flush=True)
    some = case.calibration.features[:TUNED]
    targets = tuple(run_float(case.model, x)[0].astype(np.float32) for x in some)
    data = Dataset(some, targets=targets, task="regression")
    with Trials(networks[8], data) as trials:
        found = tune(trials, "groups", ALLOWED, candidates={8: (0, 1, 2, 4)})
    result = evaluate(found.network, case.test)
    figures = Figures(
        name=case.name,
        what=case.what,
        how=case.how,
        layers=", ".join(
            f"{a.kind} {a.units}{' backward' if a.backward else ''}" for a in case.model.layers
        ),
        parameters=case.model.parameters,
        seconds=case.seconds,
        runtime=case.runtime,
        difference=case.difference,
        data=case.data,
        decibels=decibels,
        tuned=float(result.delta_error or 0),
        eliminated=result.eliminated_operations,
        states=states_alone(case.model, networks[16], case.test),
    )
    gained = f"{figures.eliminated:.0f} % eliminated"
    print(f"{case.name}: tuned {figures.tuned:.2f} dB, {gained}", flush=True)
    return figures, [found.network, networks[16]]


def states_alone(model: FloatModel, network: Network, test: Dataset) -> float:
    """NMSE of h, dB, where a cell's words are all that is rounded: its pre-activations are exact.

    Of the recurrent layer that loses most; no bits of weights and activations make it better.
    """
    packing = Packing.of([len(x) for x in test.features])
    first = first_reals(model, {}, len(test))
    found = []

    def see(n: int, trace: Trace) -> None:
        layer = model.layers[n]
        if layer.cell.recurrent and layer.cell.bounded:
            e = network.layers[n].c_exponent
            lost = cell_error(layer, trace, packing, e, first[n])
            found.append(10 * np.log10(lost / np.square(trace.h).sum()))

    run_float_batch(model, test.features, observe=see)
    return float(max(found))


def _nmse(network: Network, test: Dataset) -> float:
    return float(evaluate(network, test).quantized_error or 0)


def simulate(names: Sequence[str], work: Path) -> bool:
    """Compare RTL with golden; AssertionError where an output word or an event differs.

    Networks that go frame by frame are loaded, one after the other, into one core in Verilator. The
    others, with backward layers or outputs read twice, each get an accelerator of its own. Returns
    whether there is one for each.
    """
    together: list[tuple[str, int, Network]] = []
    whole = True
    for name in names:
        for bits in TARGETS:
            network = Network.load(work / f"{name}-{bits}.safetensors")
            if not derive_config(network, frames=SIMULATED).buffered:
                together.append((name, bits, network))
                continue
            try:
                _simulate_alone(f"{name}-{bits}", network, _frames(name, network, work), work)
                _note(name, bits, work)
            except UserError as error:  # the others are simulated all the same
                print(f"measure: {name}: W{bits}: {error}", file=sys.stderr)
                whole = False
    config = derive_config(*(network for _, _, network in together)) if together else None
    for name, bits, network in together if config else ():
        start = time.perf_counter()
        measure_core(network, _frames(name, network, work), config, work)
        _note(name, bits, work)
        print(f"{name}: W{bits} in RTL, {time.perf_counter() - start:.0f} s", flush=True)
    return whole


def _frames(name: str, network: Network, work: Path) -> list[np.ndarray]:
    with np.load(work / f"{name}-frames.npz") as arrays:
        return [quantize_frames(network, arrays[key]) for key in arrays.files]


def _simulate_alone(name: str, network: Network, frames: list[np.ndarray], work: Path) -> None:
    design = deltaloom.generate(network, work / name, longest=SIMULATED)
    report = simulate_design(
        design.verilog, network, frames, workdir=work / name / "run", simulator="verilator"
    )
    if not report.ok:
        raise AssertionError(str(report))
    print(f"{name}: in RTL, {report}", flush=True)


def _note(name: str, bits: int, work: Path) -> None:
    """Write down that a network's RTL equals golden."""
    file = work / f"{name}.json"
    kept = json.loads(file.read_text("utf-8"))
    kept["simulated"] = sorted({*kept["simulated"], bits})
    file.write_text(json.dumps(kept, indent=1), "utf-8")


def page(every: Sequence[Figures]) -> str:
    """docs/real-networks.md."""
    heads = ("network", "layers", "parameters", "import", "difference", "W8/A8", "W16/A16")
    heads += ("states alone", "W8/A8 tuned (eliminated)", "RTL")
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for f in every:
        stars = ["" if _met(f, bits) else " *" for bits in TARGETS]
        values = (
            *(f.name, f.layers, f"{f.parameters:,}", f"{f.seconds:.1f} s", f"{f.difference:.0e}"),
            *(f"{f.decibels[str(b)]:.1f} dB{star}" for b, star in zip(TARGETS, stars, strict=True)),
            f"{f.states:.1f} dB",
            *(f"{f.tuned:.1f} dB ({f.eliminated:.0f} %)", _bits(f)),
        )
        rows.append(f"| {' | '.join(values)} |")
    told = [
        "| network | from | import | compared with | data |",
        "|---|---|---|---|---|",
        *(f"| {f.name} | {f.what} | `{f.how}` | {f.runtime} | {f.data} |" for f in every),
    ]
    targets = " and ".join(f"{n:.0f} dB at W{b}/A{b}" for b, n in TARGETS.items())
    return PAGE_TEXT.format(
        rows="\n".join(rows), told="\n".join(told), targets=targets, frames=SIMULATED
    )


PAGE_TEXT = """# Real networks

Published networks, imported from the files that their packages ship. Nothing of them is part of
this repository: `examples/real` downloads them.

    pip install -r examples/real/requirements.txt
    python examples/real/measure.py            # all of them, and this page
    python examples/real/measure.py silero     # one

{rows}

- **Import** is the time of `deltaloom import`, the comparison with the runtime and that runtime's
  start included. **Difference** is the largest of the float model's outputs from those of the
  network's own runtime, over the largest output where that is above 1. For NSNet2 at 48 kHz it is
  onnxruntime's own rounding in float32, over 7,333 frames: from the same graph in double precision
  (ONNX's reference evaluator) onnxruntime differs by 3.0e-5, the imported model by 3.4e-8.
- **Decibels** are the error of the fixed-point network against the float model: 10 log10(sum((y' -
  y)^2) / sum(y^2)), over sequences that calibration has not seen, with the default scheme. A star:
  it misses the target, {targets}.
- **States alone**: the same of the h of the recurrent layer that loses most, where only its cell's
  words are rounded, as float pre-activations enter it: what is lost whatever the bits of weights
  and activations are. What follows that layer may damp it.
- **Tuned**: thresholds by `deltaloom tune --method groups` that lose at most 1 dB on sequences of
  the calibration, and the part of the operations that they leave out.
- **RTL**: {frames} frames of each test sequence through the tuned W8/A8 network and through W16/A16
  in Verilator, every output word and every event as in the golden model.

{told}

## What misses, and why

All reach the target at W8/A8. Those that miss it at W16/A16 come near to what their states alone
cost, which are words of 16 bits whatever the bits of a path:

- **Silero VAD** remembers by f near 1: c, which reaches beyond 8 in units that count, is rounded to
  2^-12 in each of hundreds of steps. Formats with a wider or a narrower range of c lose more.
- **NSNet2, 48 kHz**: half of its first GRU's update gates z are beyond 8, within 3e-4 of 1. What
  they let pass in a step is about a unit of h, 2^-15. (Before a saturated gate stood for 1, this
  was -27 dB.)
- **RNNoise** remembers so, too: 3 % of its first GRU's z are beyond 8. Its images at W16 are 0.8 %
  larger than the 8 MB that the loader addresses, so there is no accelerator of them.
"""


def _bits(figures: Figures) -> str:
    return ", ".join(f"W{bits}" for bits in figures.simulated) or "not run"


def _met(figures: Figures, bits: int) -> bool:
    return figures.decibels[str(bits)] <= TARGETS[bits]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the networks that are named, or all; returns the exit code."""
    parser = argparse.ArgumentParser(description="published networks, whole")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(CASES))
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "real", help="folder")
    parser.add_argument("--page", type=Path, default=PAGE, help="what is written")
    parser.add_argument("--no-simulation", action="store_true", help="no RTL")
    parser.add_argument("--only-simulation", action="store_true", help="RTL of what is there")
    args = parser.parse_args(argv)
    names = args.networks or [*CASES]
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"{', '.join(unknown)}: unknown; there are {', '.join(CASES)}")
    failed = False
    for name in () if args.only_simulation else names:
        try:
            _run(name, args.work)
        except (FetchError, UserError) as error:  # the others are measured all the same
            print(f"measure: {name}: {error}", file=sys.stderr)
            failed = True
    there = [name for name in names if (args.work / f"{name}.json").is_file()]
    try:
        failed |= not (args.no_simulation or simulate(there, args.work))
    except UserError as error:
        print(f"measure: {error}", file=sys.stderr)
        failed = True
    known = _kept(args.work)
    args.page.write_text(page(known), "utf-8")
    for figures in known:
        missed = [f"W{bits}/A{bits}" for bits in TARGETS if not _met(figures, bits)]
        if missed:
            print(f"{figures.name}: misses the target at {', '.join(missed)}")
    print(f"-> {args.page}")
    return int(failed)


def _run(name: str, work: Path) -> None:
    """One network's figures, networks and frames, kept in the work folder."""
    case = CASES[name](work)
    print(f"{case.name}: differs by {case.difference:.1e} from {case.runtime}", flush=True)
    figures, networks = measure(case)
    for bits, network in zip(TARGETS, networks, strict=True):
        network.save(work / f"{name}-{bits}.safetensors")
    np.savez(work / f"{name}-frames.npz", *(x[:SIMULATED] for x in case.test.features))
    (work / f"{name}.json").write_text(json.dumps(asdict(figures), indent=1), "utf-8")


def _kept(work: Path) -> list[Figures]:
    """Figures of this run and earlier ones."""
    files = [work / f"{name}.json" for name in CASES]
    return [Figures(**json.loads(f.read_text("utf-8"))) for f in files if f.is_file()]


if __name__ == "__main__":
    sys.exit(main())
