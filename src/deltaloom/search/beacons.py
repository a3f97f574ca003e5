# SPDX-License-Identifier: Apache-2.0
"""Beacons (Rezk et al., arXiv 2108.01192): a few candidates are trained, others judged by them.

A candidate that quantization alone leaves with a middling error is quantized again from the
nearest beacon's weights, and has the lower of both errors. Where no beacon is near, it becomes one
itself: it is trained at its own bits. Near is by the weights' bits alone: the sum over paths of
how many times they must be doubled or halved, the paper's distance of places in 1, 2, 4, 8, 16.

What a beacon hands on is the float model that its trained weights stand for.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..golden.data import Dataset
from ..golden.errors import UserError
from ..golden.models.network import Network
from ..golden.quantization.calibration import observe
from ..golden.quantization.dequantize import dequantized
from ..golden.quantization.scheme import Bits
from ..training.checks import check_data
from ..training.options import Options
from .genes import Choice
from .problem import Bench, Problem, Values
from .workers import Job, Workers

__all__ = ["BEACON", "DISTANCE", "Beacons", "Rule", "WithBeacons", "distance"]

DISTANCE = 5.0
"""From here on a beacon is not near any more, as in the paper's scripts for Bitfusion."""
ERRORS = (1.0, 15.0)
"""Points over float's error, between which a candidate is of interest."""
BEACON, UNTRAINED = "beacon", "untrained-error"
"""Values of a solution: the number of its beacon, -1 for none, and its error without one."""
DIGITS = 12
"""Of a number, hexadecimal: a float holds it exactly."""
LIST = "beacons.jsonl"

BitsByPath = dict[str, Bits]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When and how beacons are made.

    Members
    -------
    data: to train on, with labels or targets.
    calibration: sequences for the statistics of a beacon.
    folder: where they are kept.
    errors: points over the float model's, from and to, of candidates that beacons may help.
    distance: a beacon that is farther is none for a candidate.
    options: of the training.
    say: called with a line about each new one.
    """

    data: Dataset
    calibration: Dataset
    folder: Path
    errors: tuple[float, float] = ERRORS
    distance: float = DISTANCE
    options: Options = field(default_factory=Options)
    say: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        low, high = self.errors
        if not 0 <= low < high:
            raise UserError(
                f"beacon errors: {low:g},{high:g} is not possible, the first must be at least 0 "
                "and less than the second"
            )
        if not self.distance >= 0:
            raise UserError(f"beacon distance: {self.distance:g} is not possible, 0 or more is")

    @property
    def digest(self) -> str:
        """Of what the values of candidates depend on."""
        digests = [self.data.digest, self.calibration.digest]
        rules = [self.errors, self.distance, asdict(self.options), *digests]
        return hashlib.sha256(json.dumps(rules).encode()).hexdigest()


def distance(a: BitsByPath, b: BitsByPath) -> float:
    """Between the weight bits of two candidates of the same paths."""
    return sum(abs(math.log2(a[name][0]) - math.log2(b[name][0])) for name in a)


@dataclass(frozen=True, slots=True)
class Beacon:
    """A trained candidate: its bits by path, and how to evaluate others from its weights."""

    bits: BitsByPath
    bench: Bench


class Beacons:
    """The beacons of a problem, in the order in which they were made; kept on disk.

    A beacon's number is the first `DIGITS` digits of its network file's SHA-256: it names the same
    network for ever, in whatever run and beside the beacons of other problems.

    Parameters
    ----------
    problem: whose candidates they are for.
    rule: how they are made.

    Raises UserError where candidates cannot be trained on the data.
    """

    def __init__(self, problem: Problem, rule: Rule) -> None:
        check_data(problem.model, rule.data, problem.dataset)
        self._problem, self.rule = problem, rule
        self._digest = hashlib.sha256((problem.digest + rule.digest).encode()).hexdigest()
        self._beacons = {
            number: self._beacon(bits, network) for number, bits, network in self._read()
        }

    def __len__(self) -> int:
        return len(self._beacons)

    def __contains__(self, number: object) -> bool:
        return number in self._beacons

    def __getitem__(self, number: int) -> Beacon:
        if number not in self:
            raise UserError(
                f"{self.rule.folder / _file(number)}: gone or damaged, and a solution rests on it; "
                "search again, then that is measured again"
            )
        return self._beacons[number]

    def serve(self, values: Values) -> bool:
        """Whether what was measured can still be made: without a beacon, or by one of these."""
        number = values.get(BEACON, -1)
        return number < 0 or number in self

    def nearest(self, bits: BitsByPath) -> int | None:
        """The number of the nearest one that is near, None where none is; the first of several."""
        far = {number: distance(bits, beacon.bits) for number, beacon in self._beacons.items()}
        number = min(far, key=far.__getitem__, default=None)
        return None if number is None or far[number] > self.rule.distance else number

    def train(self, choice: Choice, network: Network) -> int:
        """Make the candidate a beacon; its number."""
        from ..training.finetune import finetune, threads

        rule, problem = self.rule, self._problem
        with threads(1):
            found = finetune(
                network.with_thresholds(dict.fromkeys((name for name, _ in network.paths()), 0)),
                problem.model,
                rule.data,
                problem.dataset,
                problem.metric,
                rule.options,
                checkpoint=rule.folder / "beacon.checkpoint.pt",
            )
        bits = {path: (w, a) for path, (w, a) in choice.bits.items()}
        number = _number_of(found.network)
        found.network.save(rule.folder / _file(number))
        self._keep(bits, number)
        self._beacons[number] = self._beacon(bits, found.network)
        first, best = found.epochs[0], found.epochs[found.best]
        text = " ".join(f"{w}/{a}" for w, a in bits.values())
        rule.say(f"beacon {number}: {text}, error {first.error:.2f} -> {best.error:.2f}")
        return number

    def _beacon(self, bits: BitsByPath, network: Network) -> Beacon:
        problem, rule = self._problem, self.rule
        model = dequantized(network, problem.model)
        own = replace(problem, model=model, statistics=observe(model, rule.calibration))
        return Beacon(bits, Bench(own, reference=problem.model))

    def _keep(self, bits: BitsByPath, number: int) -> None:
        place = self.rule.folder / LIST
        line = json.dumps({"of": self._digest, "bits": bits, "file": _file(number)})
        try:
            before = place.read_bytes() if place.exists() else b""
            whole = not before or before.endswith(b"\n")  # or a killed search was writing
            with place.open("a", encoding="utf-8") as stream:
                stream.write("\n" * (not whole) + line + "\n")
        except OSError as error:
            raise UserError(f"{place}: cannot be written ({error.strerror}); make room") from error

    def _read(self) -> Iterator[tuple[int, BitsByPath, Network]]:
        """Numbers, bits and networks of those of the same problem that are whole."""
        file = self.rule.folder / LIST
        for text in file.read_text("utf-8").splitlines() if file.is_file() else ():
            try:
                entry = json.loads(text)
                if entry["of"] != self._digest:
                    continue
                bits = {path: (int(w), int(a)) for path, (w, a) in entry["bits"].items()}
                network = Network.load(self.rule.folder / entry["file"])
            except (ValueError, KeyError, TypeError, AttributeError, UserError):
                continue
            number = _number_of(network)
            if entry["file"] == _file(number):
                yield number, bits, network


class WithBeacons:
    """Workers whose full evaluations of the error are by the nearest beacon, where that is less.

    Parameters
    ----------
    inner: evaluates what is not trained.
    bench: of the same problem, in this process.
    beacons: of the problem.
    """

    def __init__(self, inner: Workers, bench: Bench, beacons: Beacons) -> None:
        self._inner, self._bench, self._beacons = inner, bench, beacons
        self._float_error = bench.float_error()

    def __enter__(self) -> "WithBeacons":
        self._inner.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._inner.__exit__(*exception)

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[int, Values]]:
        """See `Workers`; in order, as which beacons there are depends on it."""
        waiting: dict[int, Values] = {}
        turn = 0
        for place, values in self._inner.run(jobs):
            waiting[place] = values
            while turn in waiting:
                (choice, thin), plain = jobs[turn], waiting.pop(turn)
                yield turn, plain if thin else self._judged(choice, plain)
                turn += 1

    def _judged(self, choice: Choice, values: Values) -> Values:
        untrained = {BEACON: -1.0, UNTRAINED: values["error"]}
        low, high = self._beacons.rule.errors
        if not low <= values["error"] - self._float_error < high:
            return {**values, **untrained}
        bits = dict(choice.bits)
        number = self._beacons.nearest(bits)
        if number is None:
            number = self._beacons.train(choice, self._bench.quantize(choice))
        (found,) = self._beacons[number].bench.run([choice])
        if found["error"] < values["error"]:
            return {**found, **untrained, BEACON: float(number)}
        return {**values, **untrained}


def _number_of(network: Network) -> int:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network"
        network.save(file)
        return int(hashlib.sha256(file.read_bytes()).hexdigest()[:DIGITS], 16)


def _file(number: int) -> str:
    return f"beacon-{number}.safetensors"
