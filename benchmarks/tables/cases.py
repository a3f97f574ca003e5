# SPDX-License-Identifier: Apache-2.0
"""The cases behind the tables of `make.py`, and how each is measured and kept."""

import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import deltaloom
from deltaloom import golden
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.evaluate import error, evaluate, run_float_dataset, size_bits
from deltaloom.golden.evaluation.thresholds import CANDIDATES, scaled
from deltaloom.golden.evaluation.trials import Trials
from deltaloom.golden.evaluation.tuning import tune
from deltaloom.golden.importers.checkpoint import import_checkpoint
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.quantization.calibration import Statistics, observe
from deltaloom.golden.quantization.paper_sizes import FLOAT_BITS, MB
from deltaloom.golden.quantization.presets import METHODS, PRESETS, preset
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.writing import replacing

DATA = Path(deltaloom.__file__).parent / "data" / "speech"
CELLS: Mapping[str, str] = {
    "lstm": "LSTM",
    "gru": "GRU",
    "ligru": "LiGRU",
    "sru": "SRU",
    "rnn": "Elman",
    "min_gru": "minGRU",
}
"""Shipped models, and what tables call them; the paper has the first four."""
SCHEMES: Mapping[str, str] = {"base": "base", "F-pt": "16-bit"} | {
    name: name for name in PRESETS if name != "16-bit"
}
"""Rows of the paper's tables, and the presets that they are; "base" is the float model."""
OURS = "4-bit, ours"
OUR_SETTINGS: Mapping[str, Any] = {**METHODS["gptq"], "activation_codes": "asymmetric"}
SKIPPED = ("8-bit", "4-bit")
"""Rows of Table 1."""
NARROW = ("4-bit", "M1", "M4", "M8")
"""Rows that are quantized by all methods."""
ALLOWED = 0.5
"""Points of error on the tuning set that thresholds may cost."""
TRIED: Mapping[int, tuple[int, ...]] = {bits: scaled(CANDIDATES, bits) for bits in (4, 8, 16)}
"""Thresholds, by activation bits: the paper's, where `deltaloom tune` tries more."""
ROUNDS = 1
"""Of single steps at the end of a search."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One cell under one scheme.

    scheme: its row; preset: of `PRESETS`, or "base"; method: of `METHODS`, or "ours"; tuned:
    thresholds are chosen, too.
    """

    cell: str
    scheme: str
    preset: str
    method: str = "paper"
    skip: str = "all"
    tuned: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A case on the test set; all with thresholds 0, and with those chosen on the tuning set.

    error: frame error, percent; eliminated, published: percent of the operations, as measured and
    as the paper counts; size: bits; thresholds: in codes, by path; seconds: of processor time.
    Where thresholds are not chosen, all of them are 0.
    """

    error: float
    error_with: float
    eliminated: float
    eliminated_with: float
    published: float
    published_with: float
    size: int
    thresholds: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def size_mb(self) -> float:
        """MB of 2**20 bytes."""
        return self.size / MB


@dataclass(frozen=True, slots=True)
class Bench:
    """Where cases are run and kept. sequences: that many of each data set, None: all of them."""

    folder: Path
    sequences: int | None = None

    def measure(self, case: Case) -> Measured:
        """The case from the folder, or measured and put there."""
        digest = _digest(case, self.sequences)
        kept = self.folder / f"{digest}.json"
        if kept.exists():
            return Measured(**json.loads(kept.read_text("utf-8")))
        started = time.process_time()
        log = self.folder / f"{digest}.trials.jsonl"
        found = measure(case, _load(case.cell, self.sequences), log)
        found = replace(found, seconds=round(time.process_time() - started, 2))
        with replacing(kept) as temporary:
            temporary.write_text(json.dumps(asdict(found)), encoding="utf-8")
        log.unlink(missing_ok=True)
        return found

    def __call__(self, case: Case) -> tuple[Case, Measured]:
        return case, self.measure(case)


@dataclass(frozen=True, slots=True)
class Speech:
    """A shipped model, its statistics on the calibration set, and the two other sets."""

    model: FloatModel
    statistics: Statistics
    tuning: Dataset
    test: Dataset


def paper_cases(cells: Sequence[str] = (*CELLS,)) -> list[Case]:
    """Tables 2 and 3: every cell under every scheme, with thresholds."""
    return [
        Case(cell=cell, scheme=name, preset=preset, tuned=name != "base")
        for cell in cells
        for name, preset in SCHEMES.items()
    ]


def skip_cases(cells: Sequence[str] = (*CELLS,)) -> list[Case]:
    """What Table 1 needs beside those."""
    return [
        Case(cell=cell, scheme=name, preset=name, skip=skip)
        for cell in cells
        for name in SKIPPED
        for skip in ("none", "part")
    ]


def our_cases(cells: Sequence[str] = (*CELLS,)) -> list[Case]:
    """Better rounding: narrow rows by the other methods, and 4 bits without path skipping."""
    methods = [
        Case(cell=cell, scheme=name, preset=name, method=method)
        for cell in cells
        for name in NARROW
        for method in METHODS
        if method != "paper"
    ]
    return methods + [
        Case(cell=cell, scheme=OURS, preset="4-bit", method="ours", skip="none", tuned=True)
        for cell in cells
    ]


def measure(case: Case, speech: Speech, log: Path) -> Measured:
    """Quantize, choose thresholds, evaluate; log: trials of thresholds, to go on from."""
    if case.preset == "base":
        wrong = error(speech.test, run_float_dataset(speech.model, speech.test))
        return Measured(
            error=wrong,
            error_with=wrong,
            eliminated=0.0,
            eliminated_with=0.0,
            published=0.0,
            published_with=0.0,
            size=FLOAT_BITS * parameters(speech.model),
        )
    options = OUR_SETTINGS if case.method == "ours" else METHODS[case.method]
    scheme = preset(case.preset, **options, skip=case.skip)
    network = quantize_with(speech.model, speech.statistics, scheme)
    if case.tuned:
        with Trials(network, speech.tuning, log=log) as trials:
            network = tune(trials, allowed=ALLOWED, candidates=TRIED, rounds=ROUNDS).network
    found = evaluate(network, speech.test)
    assert found.quantized_error is not None and found.delta_error is not None  # it has labels
    return Measured(
        error=found.quantized_error,
        error_with=found.delta_error,
        eliminated=found.eliminated_lossless,
        eliminated_with=found.eliminated_operations,
        published=found.eliminated_lossless_as_published,
        published_with=found.eliminated_as_published,
        size=size_bits(network),
        thresholds=found.thresholds,
    )


def parameters(model: FloatModel) -> int:
    """Numbers that a float model has; none of its layers share any."""
    return sum(
        layer.bias.size
        + sum(vector.size for vector in layer.vectors.values())
        + sum(path.weights.size for path in layer.paths)
        for layer in model.layers
    )


def run(
    cases: Sequence[Case], bench: Bench, *, jobs: int, done: Callable[[Case, Measured], None]
) -> dict[Case, Measured]:
    """All cases, in `jobs` processes; done: called with each as it is ready."""
    bench.folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for case, found in _spread(sorted(cases, key=lambda case: not case.tuned), bench, jobs):
        results[case] = found
        done(case, found)
    return results


def _spread(cases: Sequence[Case], bench: Bench, jobs: int) -> Iterator[tuple[Case, Measured]]:
    if jobs == 1:
        yield from map(bench, cases)
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes take it from here
    with multiprocessing.get_context("spawn").Pool(jobs, _start) as pool:
        yield from pool.imap_unordered(bench, cases)


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us


@lru_cache
def _load(cell: str, sequences: int | None) -> Speech:
    def some(name: str) -> Dataset:
        dataset = Dataset.load(DATA / f"{name}.npz")
        return dataset if sequences is None else dataset.subset(range(sequences))

    model = import_checkpoint(DATA / f"{cell}.safetensors")
    return Speech(model, observe(model, some("calibration")), some("tuning"), some("test"))


def _digest(case: Case, sequences: int | None) -> str:
    """Of everything that a result depends on."""
    of = hashlib.sha256(json.dumps([asdict(case), sequences]).encode())
    of.update(_sources(case.cell).encode())
    return of.hexdigest()[:32]


@lru_cache
def _sources(cell: str) -> str:
    """Digest of the model, the data and the code."""
    of = hashlib.sha256()
    files = [DATA / f"{cell}.safetensors", *sorted(DATA.glob("*.npz")), Path(__file__)]
    for file in (*files, *sorted(Path(golden.__file__).parent.rglob("*.py"))):
        of.update(hashlib.sha256(file.read_bytes()).digest())
    return of.hexdigest()
