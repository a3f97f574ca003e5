# SPDX-License-Identifier: Apache-2.0
"""Import published networks from their files, quantize, tune and simulate them; docs/real-networks.md.

NMSE is 10 log10(sum((y' - y)^2) / sum(y^2)) of the network's outputs against the float model's. All
networks without backward layers are run by one core in Verilator, loaded with one after the other.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fetch import FetchError
from networks import CASES, Case

import deltaloom
from deltaloom.golden.data import Dataset
from deltaloom.golden.engines.engine import quantize_frames
from deltaloom.golden.errors import UserError
from deltaloom.golden.evaluation.evaluate import evaluate
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import tune
from deltaloom.golden.models.network import Network
from deltaloom.golden.quantization.quantize import quantize
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.hw.compiler.fit import derive_config
from deltaloom.sim.testing.core_in_verilator import measure_core

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "real-networks.md"
TARGETS = {8: -30.0, 16: -60.0}
"""dB of NMSE, by bits of weights and activations."""
ALLOWED = 1.0
"""dB that tuning may lose."""
TUNED, SIMULATED = 100, 3
"""Frames of each sequence that thresholds are tuned on, and that are simulated."""


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
    simulated: str = ""


def measure(case: Case, work: Path) -> tuple[Figures, list[Network]]:
    """A case's figures but for the simulation, and its networks: W8/A8 tuned, W16/A16."""
    networks, decibels = {}, {}
    for bits in TARGETS:
        scheme = Scheme(weight_bits=bits, activation_bits=bits)
        networks[bits] = quantize(case.model, case.calibration, scheme)
        decibels[str(bits)] = _nmse(networks[bits], case.test)
        print(f"{case.name}: W{bits}/A{bits} {decibels[str(bits)]:.2f} dB", flush=True)
    short = replace(
        case.test,
        features=tuple(x[:TUNED] for x in case.test.features),
        targets=tuple(y[:TUNED] for y in case.test.targets or ()),
    )
    with Trials(networks[8], short) as trials:
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
    )
    print(f"{case.name}: tuned {figures.tuned:.2f} dB, {figures.eliminated:.0f} % eliminated", flush=True)
    return figures, [found.network, networks[16]]


def _nmse(network: Network, test: Dataset) -> float:
    return float(evaluate(network, test).quantized_error or 0)


def simulate_together(networks: Sequence[tuple[str, Network, Dataset]], work: Path) -> None:
    """Raise AssertionError where the core's outputs or events differ from golden's."""
    config = derive_config(*(network for _, network, _ in networks))
    for name, network, data in networks:
        frames = [quantize_frames(network, x[:SIMULATED]) for x in data.features]
        start = time.perf_counter()
        measure_core(network, frames, config, work)
        print(f"{name}: RTL equals golden, {time.perf_counter() - start:.0f} s", flush=True)


def simulate_alone(network: Network, data: Dataset, work: Path) -> None:
    """The same of a network with backward layers, whose accelerator keeps whole sequences."""
    few = Dataset(tuple(x[: 2 * SIMULATED] for x in data.features))
    design = deltaloom.generate(network, work / "design", longest=2 * SIMULATED)
    report = deltaloom.simulate(design, network, few, frames=2 * SIMULATED)
    if not report.ok:
        raise AssertionError(str(report))


def page(every: Sequence[Figures]) -> str:
    """docs/real-networks.md."""
    rows = [
        "| network | layers | parameters | import | largest difference | W8/A8 | W16/A16 | W8/A8 tuned "
        "(eliminated) | RTL |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for f in every:
        numbers = [f"{f.decibels[str(bits)]:.1f}{'' if _met(f, bits) else ' *'}" for bits in TARGETS]
        rows.append(
            f"| {f.name} | {f.layers} | {f.parameters:,} | {f.seconds:.1f} s | {f.difference:.0e} | "
            f"{numbers[0]} dB | {numbers[1]} dB | {f.tuned:.1f} dB ({f.eliminated:.0f} %) | "
            f"{f.simulated or 'not run'} |"
        )
    told = [
        "| network | from | import | compared with | data |",
        "|---|---|---|---|---|",
        *(f"| {f.name} | {f.what} | `{f.how}` | {f.runtime} | {f.data} |" for f in every),
    ]
    targets = " and ".join(f"{n:.0f} dB at W{b}/A{b}" for b, n in TARGETS.items())
    return PAGE_TEXT.format(
        rows="\n".join(rows), told="\n".join(told), targets=targets, machine=platform.machine()
    )


PAGE_TEXT = """# Real networks

Published networks, imported from the files that their packages ship. Nothing of them is part of this
repository: `examples/real` downloads them.

    pip install -r examples/real/requirements.txt
    python examples/real/measure.py            # all of them, and this page
    python examples/real/measure.py silero     # one

{rows}

- **Import** is the time of `deltaloom import`, the comparison with the runtime and that runtime's start
  included. **Largest difference** is of the outputs, from the network's own runtime.
- **Decibels** are the error of the fixed-point network against the float model: 10 log10(sum((y' -
  y)^2) / sum(y^2)), over recordings that calibration has not seen, with the default scheme. A star: it
  misses the target, {targets}.
- **Tuned**: thresholds by `deltaloom tune --method groups` that lose at most 1 dB, and the part of the
  operations that they leave out.
- **RTL**: some frames of the tuned W8/A8 network and of W16/A16 in Verilator, every output word and
  every event as in the golden model.

{told}
"""


def _met(figures: Figures, bits: int) -> bool:
    return figures.decibels[str(bits)] <= TARGETS[bits]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the networks that are named, or all; returns the exit code."""
    parser = argparse.ArgumentParser(description="published networks, whole")
    parser.add_argument("networks", nargs="*", choices=[*CASES, []], help="some of them")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "real", help="folder")
    parser.add_argument("--no-simulation", action="store_true", help="no Verilator")
    args = parser.parse_args(argv)
    names = args.networks or [*CASES]
    try:
        every = [_run(name, args.work, simulated=not args.no_simulation) for name in names]
    except (FetchError, UserError) as error:
        print(f"measure: {error}", file=sys.stderr)
        return 1
    kept = _kept(args.work)
    known = [kept[name] for name in CASES if name in kept]
    if len(known) == len(CASES):
        PAGE.write_text(page(known), "utf-8")
        print(f"-> {PAGE}")
    for figures in every:
        missed = [f"W{bits}/A{bits}" for bits in TARGETS if not _met(figures, bits)]
        if missed:
            print(f"{figures.name}: misses the target at {', '.join(missed)}")
    return 0


def _run(name: str, work: Path, *, simulated: bool) -> Figures:
    """One network's figures, kept in the work folder."""
    case = CASES[name](work)
    print(f"{case.name}: differs by {case.difference:.1e} from {case.runtime}", flush=True)
    figures, networks = measure(case, work)
    if simulated:
        if any(layer.backward for layer in case.model.layers):
            for n, network in enumerate(networks):
                simulate_alone(network, case.test, work / f"{name}-{n}")
        else:
            both = zip(("W8/A8, tuned", "W16/A16"), networks, strict=True)
            named = [(f"{case.name}, {what}", network, case.test) for what, network in both]
            simulate_together(named, work)
        figures = replace(figures, simulated="equal")
    (work / f"{name}.json").write_text(json.dumps(asdict(figures), indent=1), "utf-8")
    return figures


def _kept(work: Path) -> dict[str, Figures]:
    """Figures of this run and earlier ones, by name."""
    files = {name: work / f"{name}.json" for name in CASES}
    return {
        name: Figures(**json.loads(file.read_text("utf-8")))
        for name, file in files.items()
        if file.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())
