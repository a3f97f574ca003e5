# SPDX-License-Identifier: Apache-2.0
"""How wrong outputs are: the built-in metrics by name, and a user's own from a Python file.

A metric takes a data set and the real outputs [steps, outputs] of each of its sequences, with the
data's offset in them, and returns one number; less is better.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..arithmetic import Reals
from ..data import IGNORED, Dataset, Labels
from ..errors import UserError, in_own_code
from .edit_distance import edit_distance

Function = Callable[[Dataset, Sequence[Reals]], float]
Fold = Mapping[str, str]
"""Label name -> the name that it is scored as; "" leaves the label out of the sequence."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A measure of error; less is better.

    Members
    -------
    name: as on the command line.
    title, unit: for tables.
    function: of a data set and real outputs [steps, outputs] of each sequence.
    fold: of a phone error.
    """

    name: str
    title: str
    unit: str
    function: Function
    fold: Fold | None = None

    def __call__(self, dataset: Dataset, outputs: Sequence[Reals]) -> float:
        """The error of the network's real outputs; the data's offset is added here.

        Raises UserError where the data lacks what the metric needs, or the result is no number.
        """
        if outputs:
            dataset.check_outputs(outputs[0].shape[1])
        if dataset.offset is not None:
            outputs = [y + more for y, more in zip(outputs, dataset.offset, strict=True)]
        try:
            result = self.function(dataset, outputs)
        except (Exception, SystemExit) as error:
            if isinstance(error, UserError) or self.name in METRICS:
                raise
            file = Path(self.name.rpartition(":")[0])
            raise in_own_code(f"metric {self.name}", file, error) from error
        if not isinstance(result, int | float | np.number) or math.isnan(result):
            raise UserError(f"metric {self.name}: returned {result!r}, it must be a number")
        return float(result)

    def __reduce__(self) -> tuple[Any, ...]:
        # A user's function belongs to no module that another process could import.
        return find_metric, (self.name, self.fold)


def find_metric(name: str, fold: Fold | None = None) -> Metric:
    """The metric `name`: one of `METRICS`, or "FILE.py:FUNCTION" for a function of one's own."""
    if fold is not None and name != "phone":
        raise UserError(f"fold: not for the metric {name}, only for phone")
    if name == "phone":
        title, unit = METRICS[name][:2]
        return Metric(name, title, unit, lambda d, y: phone_error(d, y, fold), fold)
    if name in METRICS:
        return Metric(name, *METRICS[name])
    file, colon, function = name.rpartition(":")
    if not colon:
        names = ", ".join(METRICS)
        raise UserError(f"metric {name!r}: not known; there are {names}, and FILE.py:FUNCTION")
    return Metric(name, function, "", _own_function(Path(file), function))


def metric_of(dataset: Dataset) -> Metric:
    """The metric of a data set's task: frame error, perplexity or NMSE."""
    return find_metric(OF_TASK[dataset.task])


def read_fold(file: Path) -> dict[str, str]:
    """A fold from a text file with lines "NAME SCORED_AS"; "NAME" alone leaves the label out."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as text ({error}); name another file") from error
    fold: dict[str, str] = {}
    for n, words in enumerate(map(str.split, lines)):
        if len(words) > 2 or (words and words[0] in fold):
            rule = "expected NAME SCORED_AS, or NAME alone to leave it out, each name once"
            raise UserError(f"{file}: line {n + 1}: {lines[n].strip()!r}; {rule}")
        if words:
            fold[words[0]] = words[1] if len(words) == 2 else ""
    return fold


def frame_error(dataset: Dataset, outputs: Sequence[Reals]) -> float:
    """Percent of the scored frames whose largest output is not the label; equal outputs count as
    the first.
    """
    wrong = total = 0
    for y, out in _scored(dataset, outputs):
        wrong += int((out.argmax(axis=1) != y).sum())
        total += len(y)
    return 100 * wrong / total


def phone_error(dataset: Dataset, outputs: Sequence[Reals], fold: Fold | None = None) -> float:
    """Insertions, deletions and substitutions of phones, in percent of the labels' phones.

    Labels, and largest outputs, of the scored frames of a sequence become phones: each is folded,
    repeats are one phone, then those folded to "" are left out. No language model, no minimal
    length.
    """
    mapping = _fold_numbers(dataset, outputs, fold or {})
    wrong = total = 0
    for y, out in _scored(dataset, outputs):
        wanted = _phones(mapping[y])
        wrong += edit_distance(wanted, _phones(mapping[out.argmax(axis=1)]))
        total += len(wanted)
    if not total:
        raise UserError("labels: the fold leaves no phone; keep one")
    return 100 * wrong / total


def sequence_error_last(dataset: Dataset, outputs: Sequence[Reals]) -> float:
    """Percent of the sequences whose largest output at the last scored frame is not its label."""
    results = [out[-1].argmax() != y[-1] for y, out in _scored(dataset, outputs)]
    return 100 * sum(map(int, results)) / len(results)


def sequence_error_mean(dataset: Dataset, outputs: Sequence[Reals]) -> float:
    """The same with the mean of the outputs over all frames of the sequence."""
    _check_labels(dataset)
    wrong = total = 0
    for y, out in zip(dataset.labels or (), outputs, strict=True):
        scored = y[y != IGNORED]
        if len(scored):
            wrong += int(out.mean(axis=0).argmax() != scored[-1])
            total += 1
    return 100 * wrong / total


def nmse(dataset: Dataset, outputs: Sequence[Reals]) -> float:
    """10 log10(sum (y - t)**2 / sum t**2) dB over all frames and outputs; -inf where y = t."""
    if dataset.targets is None:
        raise UserError("targets: no frame is scored; an error needs labelled data")
    pairs = [(t.astype(np.float64), y) for t, y in zip(dataset.targets, outputs, strict=True)]
    noise = sum(float(np.square(y - t).sum()) for t, y in pairs)
    power = sum(float(np.square(t).sum()) for t, _ in pairs)
    if not power:
        raise UserError("targets: all are 0, so there is no NMSE; give other data")
    return 10 * math.log10(noise / power) if noise else -math.inf


def cross_entropy(dataset: Dataset, outputs: Sequence[Reals]) -> float:
    """Mean of -ln softmax(outputs)[label] over the scored frames, nats."""
    loss, total = 0.0, 0
    for y, out in _scored(dataset, outputs):
        shifted = out - out.max(axis=1, keepdims=True)
        logs = np.log(np.exp(shifted).sum(axis=1))
        loss += float((logs - shifted[np.arange(len(y)), y]).sum())
        total += len(y)
    return loss / total


def perplexity(dataset: Dataset, outputs: Sequence[Reals]) -> float:
    """exp of the cross-entropy: of a language model, where a frame's label is the next token."""
    return math.exp(min(cross_entropy(dataset, outputs), 700.0))  # float64 ends at exp(709)


METRICS: Mapping[str, tuple[str, str, Function]] = {
    "frame": ("frame error", "%", frame_error),
    "phone": ("phone error", "%", phone_error),
    "sequence-last": ("sequence error, last frame", "%", sequence_error_last),
    "sequence-mean": ("sequence error, mean output", "%", sequence_error_mean),
    "nmse": ("NMSE", "dB", nmse),
    "cross-entropy": ("cross-entropy", "nats", cross_entropy),
    "perplexity": ("perplexity", "", perplexity),
}
"""By name: title, unit and function."""
OF_TASK = {"classification": "frame", "language": "perplexity", "regression": "nmse"}
"""By a data set's task, the metric where nobody names one."""


def _check_labels(dataset: Dataset) -> None:
    if dataset.labels is None or not any((y != IGNORED).any() for y in dataset.labels):
        raise UserError("labels: no frame is scored; an error needs labelled data")


def _scored(dataset: Dataset, outputs: Sequence[Reals]) -> Iterator[tuple[Labels, Reals]]:
    """Labels [frames] and outputs [frames, outputs] of the scored frames, sequence by sequence.

    Sequences without any are left out.
    """
    _check_labels(dataset)
    for y, out in zip(dataset.labels or (), outputs, strict=True):
        scored = y != IGNORED
        if scored.any():
            yield y[scored], out[scored]


def _phones(labels: Labels) -> Labels:
    """Folded labels [frames] without repeats, then without those that are left out."""
    starts = labels[np.concatenate([[True], labels[1:] != labels[:-1]])]
    kept: Labels = starts[starts != IGNORED]
    return kept


def _fold_numbers(dataset: Dataset, outputs: Sequence[Reals], fold: Fold) -> Labels:
    """[classes] the number that each class is scored as, or `IGNORED`."""
    names = dataset.label_names
    unknown = [name for name in fold if name not in names]
    if unknown:
        known = ", ".join(names) or "none"
        raise UserError(f"fold: {unknown[0]!r} is no label name of the data; there are {known}")
    if not fold:
        return np.arange(outputs[0].shape[1])
    folded = [fold.get(name, name) for name in names]
    numbers = {name: n for n, name in enumerate(dict.fromkeys(folded))} | {"": IGNORED}
    return np.array([numbers[name] for name in folded], np.int64)


def _own_function(file: Path, name: str) -> Function:
    module = _load(file)
    function = getattr(module, name, None)
    if not callable(function):
        raise UserError(f"metric {file}:{name}: the file has no function {name}; name one it has")
    chosen: Function = function
    return chosen


def _load(file: Path) -> ModuleType:
    """The Python file as a module."""
    if not file.is_file():
        raise UserError(f"metric {file}: no such file; give FILE.py:FUNCTION")
    spec = importlib.util.spec_from_file_location(f"deltaloom_metric_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"metric {file}: not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        line = f"line {error.lineno}: {error.msg}"
        raise UserError(f"metric {file}: cannot be imported ({line}); mend it") from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"metric {file}: cannot be imported ({reason}); mend it") from error
    return module
