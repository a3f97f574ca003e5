# SPDX-License-Identifier: Apache-2.0
"""What an evaluation found, as numbers and as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .fidelity import Fidelity


@dataclass(frozen=True, slots=True)
class Errors:
    """By one metric, in its unit: of the float model, of the network without thresholds, and with.

    Members
    -------
    title: for tables, such as "frame error".
    unit: of the three errors, such as "%", or "".
    float_error: of the float model; None without one, or where no frame is scored.
    quantized_error: of the network without thresholds; None where no frame is scored.
    delta_error: of the network with its thresholds; None likewise.
    """

    title: str
    unit: str
    float_error: float | None
    quantized_error: float | None
    delta_error: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A network on a data set; as a text, it is a table.

    "Dense" is the network without thresholds, where every element counts in every step; "delta" is
    the network with its thresholds, where only events count.

    Members
    -------
    sequences, steps: of the data set; its sequences, and frames of all of them.
    scored: frames that the errors are over, those with a label or a target.
    task: of the data set, one of `data.TASKS`.
    metric: name of the first metric.
    float_error, quantized_error, delta_error: by the first metric, in its unit, see `Errors`.
    errors: by every metric's name.
    fidelity: "quantized" and "delta": outputs without thresholds and with, against the float
        model's; empty without one.
    thresholds: by path name, in activation codes.
    operations_per_step_dense: multiply-accumulates of a dense step.
    operations_per_step_delta: those of an average step's events.
    eliminated_operations: percent of the dense multiply-accumulates that are left out.
    eliminated_by_path: the same by path name.
    eliminated_lossless: the same with all thresholds at 0.
    eliminated_as_published, eliminated_lossless_as_published: percent of all operations, counted as
        `operations.eliminated_as_published` does.
    events_per_step: by path name, elements that fire in an average step.
    size_bits: bits of all parameters, see `evaluate.size_bits`.
    token_bits: those of the columns that tokens choose from; 0 where frames are features.
    word_bits: bits of a weight word, which the hardware reads every cycle.
    ideal_cycles_per_step_dense, ideal_cycles_per_step_delta: clock cycles of an average step if
        every cycle takes one weight word, see `evaluate.ideal_cycles`.
    """

    sequences: int
    steps: int
    scored: int
    task: str
    metric: str
    float_error: float | None
    quantized_error: float | None
    delta_error: float | None
    errors: Mapping[str, Errors]
    fidelity: Mapping[str, Fidelity]
    thresholds: Mapping[str, int]
    operations_per_step_dense: int
    operations_per_step_delta: float
    eliminated_operations: float
    eliminated_by_path: Mapping[str, float]
    eliminated_lossless: float
    eliminated_as_published: float
    eliminated_lossless_as_published: float
    events_per_step: Mapping[str, float]
    size_bits: int
    token_bits: int
    word_bits: int
    ideal_cycles_per_step_dense: float
    ideal_cycles_per_step_delta: float

    def rows(self) -> list[tuple[str, str]]:
        """What was found, in words, and its value with its unit, in the order of a table."""
        words = f"{self.word_bits}-bit words"
        rows = [
            ("frames (sequences)", f"{self.steps:,} ({self.sequences:,})"),
            ("frames scored", f"{self.scored:,}"),
        ]
        for errors in self.errors.values():
            rows += [
                (f"{errors.title}, float", _with_unit(errors.float_error, errors.unit)),
                (f"{errors.title}, quantized", _with_unit(errors.quantized_error, errors.unit)),
                (f"{errors.title}, quantized, delta", _with_unit(errors.delta_error, errors.unit)),
            ]
        for name, fidelity in self.fidelity.items():
            rows += fidelity.rows("quantized" + ", delta" * (name == "delta"))
        tokens = []
        if self.token_bits:
            tokens.append(("- of it the tokens' columns", f"{self.token_bits / 8000:,.1f} kB"))
        published, lossless = self.eliminated_as_published, self.eliminated_lossless_as_published
        return [
            *rows,
            ("operations per step, dense", f"{self.operations_per_step_dense:,}"),
            ("operations per step, delta", f"{self.operations_per_step_delta:,.0f}"),
            ("operations eliminated, thresholds 0", f"{self.eliminated_lossless:.1f} %"),
            ("operations eliminated", f"{self.eliminated_operations:.1f} %"),
            ("eliminated as published, thresholds 0", f"{lossless:.1f} %"),
            ("eliminated as published", f"{published:.1f} %"),
            ("size", f"{self.size_bits / 8000:,.1f} kB"),
            *tokens,
            (f"ideal cycles per step, {words}, dense", f"{self.ideal_cycles_per_step_dense:,.0f}"),
            (f"ideal cycles per step, {words}, delta", f"{self.ideal_cycles_per_step_delta:,.1f}"),
        ]

    def __str__(self) -> str:
        """Two tables: by path, and in all."""
        paths = [("path", "threshold, codes", "events per step", "eliminated, %")]
        for name, threshold in self.thresholds.items():
            events, eliminated = self.events_per_step[name], self.eliminated_by_path[name]
            paths.append((name, f"{threshold}", f"{events:.1f}", f"{eliminated:.1f}"))
        return f"{columns(paths)}\n\n{columns(self.rows())}"


def columns(rows: Sequence[Sequence[str]], align: str = "") -> str:
    """Rows as lines of text, in columns.

    Parameters
    ----------
    align: "<" or ">" for each column; without it, the first is left-aligned, the others right.
    """
    align = align or "<".ljust(len(rows[0]), ">")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{text:{side}{width}}" for text, side, width in zip(row, align, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def _with_unit(error: float | None, unit: str) -> str:
    return "-" if error is None else f"{error:.2f} {unit}".rstrip()
