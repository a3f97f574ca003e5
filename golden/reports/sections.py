# SPDX-License-Identifier: Apache-2.0
"""The sections of the HTML reports of quantize, tune and evaluate."""

from collections.abc import Mapping, Sequence

from ..data import Dataset
from ..evaluation.fidelity import Fidelity
from ..evaluation.networks import AnyFloat, AnyNetwork, bits_text
from ..evaluation.result import Evaluation
from ..evaluation.trials import Trial
from ..evaluation.tuning import Tuning
from ..integer_lstm.network import IntegerNetwork
from ..models.float_model import FloatModel
from ..models.network import Network
from ..quantization.calibration import Statistics
from . import charts
from .charts import Dot
from .diagnosis import fired, histograms, histograms_of
from .lstm_sections import lstm_layers_section
from .page import Figures, Section, Table, with_unit
from .pairs import coded_pair
from .path_sections import histograms_section, paths_section
from .paths import CodedPath, PathReport

FRAMES = 600
"""How many of a sequence are shown at most."""


def quantize_sections(
    network: Network, model: FloatModel, statistics: Statistics, reports: Sequence[PathReport]
) -> list[Section]:
    """Of `network`, made from `model`; reports: what `report.describe` says of them."""
    return [paths_section(reports), histograms_section(histograms(network, model, statistics))]


def evaluate_sections(
    network: AnyNetwork, evaluation: Evaluation, dataset: Dataset, model: AnyFloat | None = None
) -> list[Section]:
    """Of a network on a data set; with its float model also what its codes lose on this data, where
    the layers can be compared one by one.
    """
    sections = [evaluation_section(network, evaluation), events_section(network, dataset)]
    if isinstance(network, IntegerNetwork):
        sections.insert(1, lstm_layers_section(network))
    if model is not None:
        sections += pair_sections(coded_pair(network, model, dataset))
    return sections


def pair_sections(paths: Sequence[CodedPath]) -> list[Section]:
    """Of a network's paths and the float values that their codes stand for; none of no paths."""
    if not paths:
        return []
    reports = [path.report() for path in paths]
    return [paths_section(reports), histograms_section(histograms_of(paths))]


def tune_sections(tuning: Tuning, dataset: Dataset) -> list[Section]:
    """Of a search for thresholds on a data set."""
    return [tuning_section(tuning), events_section(tuning.network, dataset)]


def evaluation_section(network: AnyNetwork, evaluation: Evaluation) -> Section:
    """Errors, eliminated operations, size and cycles; and events by path."""

    def shown(error: float | None) -> str:
        return "-" if error is None else f"{error:.2f}"

    errors = Table(
        ("error", "unit", "float", "quantized", "with\nthresholds"),
        [
            (
                e.title,
                e.unit,
                shown(e.float_error),
                shown(e.quantized_error),
                shown(e.delta_error),
            )
            for e in evaluation.errors.values()
        ],
    )
    dense, delta = evaluation.ideal_cycles_per_step_dense, evaluation.ideal_cycles_per_step_delta
    costs = Table(
        ("", "dense", "thresholds 0", "with\nthresholds"),
        [
            (
                "operations per step",
                f"{evaluation.operations_per_step_dense:,}",
                "",
                f"{evaluation.operations_per_step_delta:,.0f}",
            ),
            (
                "operations eliminated, %",
                "",
                f"{evaluation.eliminated_lossless:.1f}",
                f"{evaluation.eliminated_operations:.1f}",
            ),
            (
                "the same as published, %",
                "",
                f"{evaluation.eliminated_lossless_as_published:.1f}",
                f"{evaluation.eliminated_as_published:.1f}",
            ),
            (
                f"ideal cycles per step, {evaluation.word_bits}-bit words",
                f"{dense:,.0f}",
                "",
                f"{delta:,.1f}",
            ),
            ("size, kB", "", "", f"{evaluation.size_bits / 8000:,.1f}"),
        ],
    )
    paths = Table(
        (
            "path",
            "columns",
            "rows",
            "bits\nW/A",
            "threshold\ncodes",
            "events\nper step",
            "eliminated\n%",
            "kB",
        ),
        [
            (
                name,
                f"{path.columns:,}",
                f"{path.rows:,}",
                bits_text(path),
                str(path.threshold),
                f"{evaluation.events_per_step[name]:.1f}",
                f"{evaluation.eliminated_by_path[name]:.1f}",
                f"{path.rows * path.columns * path.weight_bits / 8000:,.1f}",
            )
            for name, path in network.paths()
        ],
    )
    note = (
        f"{evaluation.steps:,} frames in {evaluation.sequences:,} sequences, {evaluation.scored:,} "
        "frames scored. Eliminated operations: multiply-accumulates of dense steps that delta "
        "steps leave out, as measured; as published: the way that Rezk et al. (2022) count them. "
        "kB: 1000 bytes."
    )
    close = [_fidelity_table(evaluation.fidelity)] if evaluation.fidelity else []
    return Section("Error and cost", [errors, costs, paths, *close], note)


def _fidelity_table(fidelity: Mapping[str, Fidelity]) -> Table:
    """Outputs against the float model's, all of them and one by one."""
    quantized, delta = fidelity["quantized"], fidelity["delta"]
    rows: list[tuple[str, ...]] = []
    rows.append(("all", f"{quantized.nmse:.2f}", "", f"{delta.nmse:.2f}", ""))
    for dense, sparse in zip(quantized.outputs, delta.outputs, strict=True):
        numbers = (dense.nmse, dense.snr, sparse.nmse, sparse.snr)
        rows.append((dense.name, *(f"{number:.2f}" for number in numbers)))
    worst = (quantized.worst_sequence, quantized.worst_nmse, delta.worst_nmse)
    rows.append((f"worst, {worst[0]}", f"{worst[1]:.2f}", "", f"{worst[2]:.2f}", ""))
    heads = ("NMSE to\nfloat, dB", "SNR\ndB")
    return Table(("output", *heads, *(f"with thresholds:\n{head}" for head in heads)), rows)


def events_section(network: AnyNetwork, dataset: Dataset) -> Section:
    """The share of each path's inputs that fires, frame by frame of the first sequence."""
    n = next(n for n, x in enumerate(dataset.features) if len(x))
    name = dataset.names[n] if dataset.names else f"sequence {n}"
    shares = fired(network, dataset.subset([n]))
    chart = charts.strips({path: share[:FRAMES] for path, share in shares.items()}, "frame")
    note = (
        f"Of {name}: percent of a path's inputs that are sent in each frame (a full strip: all of "
        "them), and the mean."
    )
    return Section("Events over time", [Figures([chart])], note)


def tuning_section(tuning: Tuning) -> Section:
    """All trials of a search for thresholds: error against eliminated operations."""
    error = with_unit(tuning.metric, tuning.unit)
    chart = charts.front(
        [_dot(trial) for trial in tuning.trials],
        [_dot(trial) for trial in tuning.front],
        _dot(tuning.chosen),
        "operations eliminated, %",
        error,
        limit=tuning.base.error + tuning.allowed,
    )
    names = list(tuning.chosen.thresholds)
    table = Table(
        ("", error, "eliminated\n%", *names),
        [
            (
                "chosen" if trial == tuning.chosen else "",
                f"{trial.error:.2f}",
                f"{trial.eliminated:.1f}",
                *(str(trial.thresholds.get(name, 0)) for name in names),
            )
            for trial in tuning.front
        ],
    )
    note = (
        f"{len(tuning.trials):,} settings were tried, method {tuning.method}. The line joins those "
        "that no other one beats; the table has their thresholds, in codes. The large dot is the "
        f"chosen one, which eliminates most with at most {tuning.allowed:g} more than the error at "
        f"thresholds 0, {tuning.base.error:.2f}."
    )
    return Section("Delta thresholds", [Figures([chart]), table], note)


def _dot(trial: Trial) -> Dot:
    codes = ", ".join(f"{name} {code}" for name, code in trial.thresholds.items())
    words = f"error {trial.error:.2f}, {trial.eliminated:.1f} % eliminated; {codes}"
    return Dot(trial.eliminated, trial.error, words)
