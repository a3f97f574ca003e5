# SPDX-License-Identifier: Apache-2.0
"""What `import deltaloom` offers: the verbs of the command line as functions.

Each does what its verb does, with the same defaults, on objects in place of files, and prints
nothing. What the user can mend is raised as `UserError`, one line with the field, the value, the
rule and the way out. Paths are texts or `pathlib.Path`s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .golden.data import Dataset
from .golden.errors import UserError
from .golden.evaluation import evaluate as evaluation
from .golden.evaluation import tuning
from .golden.evaluation.metrics import Metric, find_metric, metric_of
from .golden.evaluation.networks import AnyFloat, AnyNetwork, N, load_any
from .golden.evaluation.result import Evaluation, columns
from .golden.evaluation.trials import Trials
from .golden.evaluation.whole import Run, run_whole
from .golden.importers.checkpoint import ImportOptions, import_checkpoint
from .golden.models import float_model, network
from .golden.models.float_model import FloatModel
from .golden.models.network import Network
from .golden.quantization import presets
from .golden.quantization import quantize as quantization
from .golden.quantization.calibration import Progress, ignore_progress
from .golden.quantization.scheme import Scheme
from .golden.storage import AnyPath, refuse_lstm
from .terminal import estimates

AUTO = "auto"
NETWORK = network.KIND  # whose module arguments of that name hide

if TYPE_CHECKING:
    from .boards.flow.report import BuildReport
    from .hw.config import AcceleratorConfig
    from .hw.generate import Design
    from .sim.report import SimulationReport


def load(file: AnyPath) -> AnyFloat | AnyNetwork:
    """Read a file of deltaloom's own: what the `save` of a model or a network wrote.

    Raises UserError where it is anything else; checkpoints are for `import_model`.
    """
    return load_any(file)


def import_model(
    file: AnyPath,
    *,
    labels: Sequence[str] = (),
    order: Sequence[str] = (),
    options: ImportOptions | None = None,
) -> FloatModel:
    """The float model in a trained checkpoint: PyTorch, safetensors, npz, Keras or ONNX.

    Parameters
    ----------
    labels: names of the outputs; none: unknown.
    order: the modules' names from input to output, where shapes fit several orders.
    options: what a file of tensors does not tell; None: nothing of it.
    """
    return import_checkpoint(Path(file), labels, order, options or ImportOptions())


def quantize(
    model: FloatModel,
    calibration: Dataset,
    scheme: Scheme | str | None = None,
    *,
    target_error: float | None = None,
    tuning: Dataset | None = None,
    metric: Metric | str | None = None,
    progress: Progress = ignore_progress,
) -> Network:
    """The network of integers that does what `model` does, as well as its bits allow.

    Parameters
    ----------
    calibration: typical sequences, which set the scales; labels are not needed.
    scheme: bits and rules; a preset's name, such as "4-bit", or a TOML file's; None: 8-bit weights
        and activations. "auto": the smallest bits of each path, of 2, 4, 8 and 16, that keep
        `target_error`.
    target_error: for "auto"; from 0 on, the error allowed over the float model's, in the metric's
        unit; below 0, the most NMSE against the float model's outputs, in dB.
    tuning: sequences that the error of "auto" is taken on, with labels or targets where it is over
        the float model's; None: `calibration`.
    metric: what that error is, by name or itself; None: that of the data's task.
    """
    from .search.smallest import quantize_smallest

    refuse_lstm("model", model, float_model.KIND)
    if scheme == AUTO or target_error is not None:
        if scheme != AUTO or target_error is None:
            raise UserError(
                f'scheme: {scheme!r} with target error {target_error!r}; "{AUTO}" needs one, and '
                "others take none"
            )
        judged = calibration if tuning is None else tuning
        by = find_metric(metric) if isinstance(metric, str) else metric or metric_of(judged)
        return quantize_smallest(model, calibration, judged, target_error, by, progress).network
    chosen = presets.read_scheme(scheme) if isinstance(scheme, str) else scheme
    return quantization.quantize(model, calibration, chosen, progress)


def tune(
    network: N,
    data: Dataset,
    model: AnyFloat | None = None,
    *,
    method: str = "greedy",
    allowed: float = 0.5,
    candidates: Mapping[int, tuple[int, ...]] | None = None,
    keep_input: bool = False,
    metric: Metric | str | None = None,
    log: AnyPath | None = None,
    workers: int = 1,
    progress: Progress = ignore_progress,
) -> tuning.Tuning[N]:
    """Choose the delta thresholds that eliminate most; the result's `network` has them.

    Parameters
    ----------
    data: sequences, that the network was not trained on, with labels or targets.
    model: the float model, for data without labels and targets: the error is NMSE to its outputs.
    method: "greedy", "groups" or "uniform", see `golden.evaluation.tuning`.
    allowed: error over that of thresholds 0, in the metric's unit.
    candidates: by activation bits, thresholds to try, in codes; None: the usual ones.
    keep_input: the input frames' threshold stays 0.
    metric: what the error is, by name or itself; None: that of the data's task.
    log: file that keeps every trial, so that an interrupted search goes on; None: no file.
    workers: processes; the result is the same for any number. More than one need the caller to be a
        script with `if __name__ == "__main__":`, as Python's multiprocessing does.
    """
    chosen = find_metric(metric) if isinstance(metric, str) else metric
    file = None if log is None else Path(log)
    data = evaluation.scored_data(network, data, model)
    with Trials(network, data, chosen, log=file, workers=workers, progress=progress) as trials:
        return tuning.tune(trials, method, allowed, candidates=candidates, keep_input=keep_input)


def evaluate(
    network: AnyNetwork,
    data: Dataset,
    model: AnyFloat | None = None,
    *,
    metrics: Sequence[Metric | str] = (),
    word_bits: int = evaluation.WORD_BITS,
    progress: Progress = ignore_progress,
) -> Evaluation:
    """What the network gets right on `data` and what it costs; printed, it is a table.

    Parameters
    ----------
    model: the float model to compare with; None: none.
    metrics: what the errors are, by name or themselves; none: that of the data's task.
    word_bits: bits of a weight word, for the ideal cycles.
    """
    chosen = [find_metric(m) if isinstance(m, str) else m for m in metrics]
    return evaluation.evaluate(network, data, model, word_bits, progress, chosen)


def run(model: AnyFloat | AnyNetwork, data: Dataset) -> Run:
    """Run `data` through a float model or a network of either kind, in real values.

    The result has the outputs of each sequence, and the states that it left. Sequences start from
    the data's `states`, where it has some. A network runs bit for bit as the hardware does.

    Parameters
    ----------
    model: what runs; a network with its thresholds.
    """
    return run_whole(model, data)


def generate(
    network: AnyNetwork,
    folder: AnyPath,
    *,
    word_bits: int = evaluation.WORD_BITS,
    lanes: str = "multiplier",
    longest: int = 128,
    drain_rows: int | None = None,
    norm_lanes: int | None = None,
    baked: bool = True,
    integration: bool = False,
) -> "Design":
    """Write the network's accelerator into `folder`: Verilog, memory files and a manifest.

    Parameters
    ----------
    word_bits: bits of a weight word; one is read every cycle.
    lanes: "multiplier", or "shift_add" for lanes without multipliers.
    longest: frames of the longest sequence, which only a network with backward layers keeps.
    drain_rows: rows rescaled per cycle, a divisor of the lanes; None: the largest up to 8.
    norm_lanes: values that an integer-only LSTM's layer normalization takes per cycle; None: one,
        and nothing else is possible where there is none.
    baked: the Verilog's memories hold the network; otherwise it is loaded over AXI4-Lite.
    integration: also files for FuseSoC, Edalize, LiteX and PYNQ, and the registers as C header,
        SystemRDL and SVD.
    """
    from .hw.generate import TOP, generate
    from .sim.lint import waivers

    config = _accelerator(network, word_bits, lanes, longest, drain_rows, norm_lanes)
    return generate(
        network,
        Path(folder),
        config=config,
        baked=baked,
        more=waivers(TOP) if integration else None,
        integration=integration,
    )


def simulate(
    design: "Design",
    network: AnyNetwork,
    data: Dataset,
    *,
    frames: int = 200,
    start: int = 0,
    sequences: int | None = None,
    simulator: str = "verilator",
    idle: float = 0.0,
    backpressure: float = 0.0,
    seed: int = 0,
    waves: bool = False,
    workdir: AnyPath | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "SimulationReport":
    """Run frames of `data` through the Verilog and compare every word with the golden model.

    The report's `ok` says whether all were equal; printed, it is one line.

    Parameters
    ----------
    design: what `generate` returned for this network, baked.
    frames: how many, all sequences together.
    start: the first sequence of the data to take.
    sequences: how many to take frames from, of each at most its share; None: of each at most half
        of the frames, from as many as it takes.
    simulator: "verilator" or "icarus".
    idle, backpressure: chance, 0 to below 1, that a cycle of the input or the output stream rests.
    seed: of these.
    waves: keep waveforms, some MB a frame.
    workdir: folder for builds, logs and waveforms; None: "simulation" beside the Verilog.
    progress: called with (frames done, frames in all).
    """
    from .sim.frames import choose_frames
    from .sim.simulate import simulate
    from .sim.stimulus import Stimulus

    return simulate(
        design.verilog,
        network,
        choose_frames(network, data, frames, start=start, sequences=sequences),
        workdir=design.verilog.parent / "simulation" if workdir is None else Path(workdir),
        simulator=simulator,
        stimulus=Stimulus(idle=idle, backpressure=backpressure, seed=seed),
        waves=waves,
        progress=progress,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What an accelerator would take, without building or simulating it; as a text, a table.

    Members
    -------
    cycles_per_step_dense: clock cycles of a frame in which every element changes: of an average one
        of the data's sequences, or without data of one after many such; None where the estimate
        does not cover the accelerator.
    cycles_per_step: of an average frame of the data; None without data, or likewise.
    energy_nj, energy_corner: of the same frame in standard cells, and the library and corner that
        this is of (docs/asic.md); None and "" likewise.
    luts, flip_flops, multipliers, block_rams: of an ECP5, as yosys would find, buses included.
    boards: of each board by name, whether there is enough of everything.
    """

    cycles_per_step_dense: float | None
    cycles_per_step: float | None
    luts: int
    flip_flops: int
    multipliers: int
    block_rams: int
    boards: Mapping[str, bool]
    energy_nj: float | None = None
    energy_corner: str = ""

    def __str__(self) -> str:
        def number(value: float | None, digits: int = 0) -> str:
            return "-" if value is None else f"{value:,.{digits}f}"

        return columns(
            [
                ("cycles per step, dense", number(self.cycles_per_step_dense)),
                ("cycles per step", number(self.cycles_per_step, 1)),
                ("nJ per step in standard cells", number(self.energy_nj)),
                ("library and corner of these", self.energy_corner or "-"),
                ("LUTs (ECP5)", number(self.luts)),
                ("flip-flops", number(self.flip_flops)),
                ("18x18 multipliers", number(self.multipliers)),
                ("18-kbit block RAMs", number(self.block_rams)),
                ("boards that it fits", " ".join(b for b, ok in self.boards.items() if ok) or "-"),
            ]
        )


def estimate(
    network: AnyNetwork,
    data: Dataset | None = None,
    *,
    word_bits: int = evaluation.WORD_BITS,
    lanes: str = "multiplier",
    longest: int = 128,
) -> Estimate:
    """Cycles, area and energy of the accelerator that `generate` would write, in a second or two.

    Parameters
    ----------
    data: sequences whose events count, the first 1,000 frames of them; None: dense cycles only.
    word_bits, lanes, longest: as for `generate`.
    """
    from .boards.flow.fits import fit_boards
    from .hw.compiler.plan import Plan
    from .hw.estimates.area import estimate_area

    config = _accelerator(network, word_bits, lanes, longest)
    plan, cycles, energy = Plan.of(network, config), None, None
    if data is None:
        dense = estimates.dense_plan_cycles(plan)
    else:
        events = estimates.data_events(network, data)
        dense = estimates.event_cycles(plan, estimates.dense_as(plan, events))
        cycles = estimates.event_cycles(plan, events)
        energy = estimates.event_energy(plan, events)
    area = estimate_area(config)
    return Estimate(
        cycles_per_step_dense=dense,
        cycles_per_step=cycles,
        luts=area.luts,
        flip_flops=area.flip_flops,
        multipliers=area.multipliers,
        block_rams=area.block_rams,
        boards={fit.board: fit.fits for fit in fit_boards(config)},
        energy_nj=1e9 * energy.total if energy else None,
        energy_corner=energy.corner if energy else "",
    )


def build(
    network: AnyNetwork,
    folder: AnyPath,
    *,
    board: str = "ulx3s_85f",
    word_bits: int = evaluation.WORD_BITS,
    lanes: str = "multiplier",
    longest: int = 128,
    clock_mhz: float | None = None,
    seed: int = 1,
    synth_only: bool = False,
    cycles_per_step: float | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> "BuildReport":
    """Build a board's bitstream, with the network in it but for an iCE40; area, clock and latency.

    Parameters
    ----------
    folder: where results are kept; what is there already is not built again.
    board: its name.
    word_bits, lanes, longest: as for `generate`.
    clock_mhz: the accelerator's clock; None: the board's usual one.
    seed: of the placement; another one moves the clock a bit.
    synth_only: area only, no place and route and no bitstream.
    cycles_per_step: of a frame, for the latency; None: as estimated where every element changes.
    progress: called with what is being done.
    """
    from .boards.flow.build import build

    config = _accelerator(network, word_bits, lanes, longest)
    return build(
        network,
        board,
        workdir=Path(folder),
        config=config,
        clock_mhz=clock_mhz,
        seed=seed,
        synth_only=synth_only,
        cycles_per_step=cycles_per_step or estimates.dense_cycles(network, config),
        progress=progress,
    )


def _accelerator(
    network: AnyNetwork,
    word_bits: int,
    lanes: str,
    longest: int,
    drain_rows: int | None = None,
    norm_lanes: int | None = None,
) -> "AcceleratorConfig":
    """The smallest accelerator that holds the network."""
    from .hw.compiler.fit import derive_config

    return derive_config(
        network,
        word_bits=word_bits,
        drain_rows=drain_rows,
        norm_lanes=norm_lanes,
        lane_kind=lanes,
        frames=longest,
    )
