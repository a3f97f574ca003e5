# SPDX-License-Identifier: Apache-2.0
"""Sequences of feature frames and, where there are any, what the network should say about them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .data_file import STATE, fields_of, read_arrays
from .errors import UserError
from .frames import checked_tokens
from .storage import AnyPath, check_file
from .writing import replacing

Features = npt.NDArray[np.float32]
Frames = Features | npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64]

IGNORED = -1
"""Label of a frame that is not scored."""
TASKS = ("classification", "language", "regression")
LABELLED = TASKS[:2]
"""Those whose truth is a label each frame."""
MOST_TOKEN = (1 << 31) - 1
CHUNK = 1 << 15
"""Frames run at once: some 100 MB of working memory for a layer of 128 LSTM units."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Sequences of frames.

    Members
    -------
    features: one float32 array [steps, inputs] per sequence; a sequence may have no frames. Of
        tokens, one array of integers [steps], from 0 up.
    labels: one int array [steps] per sequence, -1 where a frame is not scored; None: unlabelled.
    label_names: names of the classes or outputs, or empty.
    names: one per sequence, or empty.
    task: what the network should say; "classification": the class of each frame, its label;
        "language": how likely each token is to be the next one, which is the frame's label;
        "regression": the values of all outputs, the frame's target.
    targets: of a regression, one float32 array [steps, outputs] per sequence; None: unknown.
    offset: one float32 array [steps, outputs] per sequence, which is added to the network's real
        outputs before they are scored: the part of a model that stays outside; None: nothing.
    states: what a sequence starts from, by "LAYER.c" or "LAYER.h", real float32 [sequences, units];
        states that are not named start as the model does.
    """

    features: tuple[Frames, ...]
    labels: tuple[Labels, ...] | None = None
    label_names: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    task: str = "classification"
    targets: tuple[Features, ...] | None = None
    offset: tuple[Features, ...] | None = None
    states: Mapping[str, Features] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise UserError(
                f"task: {self.task!r} is not supported, it must be {', '.join(TASKS[:-1])} or "
                f"{TASKS[-1]}"
            )
        count = len(self.features)
        for what, values, tasks in (
            ("labels", self.labels, LABELLED),
            ("targets", self.targets, TASKS[2:]),
            ("names", self.names or None, TASKS),
            ("offset", self.offset, TASKS),
        ):
            if values is not None and self.task not in tasks:
                rule = " or ".join(tasks)
                raise UserError(f"{what}: not for the task {self.task}, only for {rule}")
            if values is not None and len(values) != count:
                raise UserError(f"{what}: {len(values)} for {count} sequences, one each is needed")
        self._check_features()
        if self.labels is not None:
            self._check_labels(self.labels)
        for what, rows in (("targets", self.targets), ("offset", self.offset)):
            if rows is not None:
                self._check_rows(what, rows)
        for name, state in self.states.items():
            if state.ndim != 2 or len(state) != count:
                raise UserError(
                    f"state {name}: shape {state.shape}, expected [{count}, units], one row a "
                    "sequence"
                )
            if not np.isfinite(state).all():
                raise UserError(f"state {name}: a value is NaN or infinite; clean the data first")

    def __len__(self) -> int:
        return len(self.features)

    @property
    def inputs(self) -> int:
        """Features per frame, 1 of tokens; 0 where there are no sequences."""
        if self.tokens:
            return 1
        return int(self.features[0].shape[1]) if self.features else 0

    @property
    def tokens(self) -> bool:
        """Whether a frame is a token."""
        return bool(self.features) and self.features[0].ndim == 1

    @property
    def frames(self) -> int:
        """Frames of all sequences together."""
        return sum(len(x) for x in self.features)

    @property
    def scored(self) -> int:
        """Frames that have a label or a target."""
        if self.targets is not None:
            return self.frames
        return sum(int((y != IGNORED).sum()) for y in self.labels or ())

    @property
    def digest(self) -> str:
        """Of all that a network's errors on it depend on."""
        result = hashlib.sha256(f"{self.task} {[*self.states]}".encode())
        rows = (self.features, self.labels, self.targets, self.offset, self.states.values())
        for n, arrays in enumerate(rows):
            for array in arrays or ():
                result.update(f"{n} {array.dtype} {array.shape}".encode())
                result.update(np.ascontiguousarray(array).data)
        return result.hexdigest()

    def check_width(self, inputs: int, *, tokens: bool = False) -> None:
        """Raise UserError unless frames are what a network takes.

        Parameters
        ----------
        inputs: features of a frame; of tokens, how many there are.
        tokens: whether it takes tokens.
        """
        if self.features and self.tokens != tokens:
            what, takes = "features", f"tokens, integers 0..{inputs - 1}, one a frame"
            if self.tokens:
                what, takes = "tokens", f"{inputs} features a frame"
            raise UserError(f"{what}: the network takes {takes}; give the data it was trained on")
        if tokens:
            for n, x in enumerate(self.features):
                checked_tokens(x, inputs, f"tokens of {self.sequence_name(n)}")
        elif self.features and self.inputs != inputs:
            raise UserError(
                f"features: {self.inputs} per frame, the network takes {inputs}; "
                "give the data it was trained on"
            )

    def check_outputs(self, outputs: int) -> None:
        """Raise UserError where labels, targets or offset do not fit so many outputs."""
        largest = max((int(y.max(initial=IGNORED)) for y in self.labels or ()), default=IGNORED)
        if largest >= outputs:
            raise UserError(f"labels: class {largest}, the network has outputs 0..{outputs - 1}")
        for what, rows in (("targets", self.targets), ("offset", self.offset)):
            if rows and rows[0].shape[1] != outputs:
                raise UserError(
                    f"{what}: {rows[0].shape[1]} per frame, the network has {outputs} "
                    "outputs; give the data it was trained on"
                )

    def check_labels(self, names: Sequence[str]) -> None:
        """Raise UserError where label names are known on both sides and are not the same."""
        if self.label_names and names and self.label_names != tuple(names):
            pairs = zip_longest(self.label_names, names, fillvalue="nothing")
            n, (own, other) = next((n, p) for n, p in enumerate(pairs) if p[0] != p[1])
            raise UserError(
                f"label names: class {n} is {own} in the data and {other} in the network; "
                "give the data it was trained on"
            )

    def chunks(self, frames: int = CHUNK) -> Iterator[list[int]]:
        """Places of sequences to run together, of similar length and about `frames` in all."""
        chunk: list[int] = []
        held = 0
        for n in sorted(range(len(self)), key=lambda n: -len(self.features[n])):
            chunk.append(n)
            held += len(self.features[n])
            if held >= frames:
                yield chunk
                chunk, held = [], 0
        if chunk:
            yield chunk

    def subset(self, places: Iterable[int]) -> "Dataset":
        """The sequences in these places, in this order."""
        chosen = list(places)
        return replace(
            self,
            features=tuple(self.features[n] for n in chosen),
            labels=None if self.labels is None else tuple(self.labels[n] for n in chosen),
            names=tuple(self.names[n] for n in chosen) if self.names else (),
            targets=None if self.targets is None else tuple(self.targets[n] for n in chosen),
            offset=None if self.offset is None else tuple(self.offset[n] for n in chosen),
            states={name: values[chosen] for name, values in self.states.items()},
        )

    def first(self, frames: int) -> "Dataset":
        """About so many frames of the first sequences, the last one cut; none is empty."""
        chosen: list[slice] = []
        for x in self.features:
            chosen.append(slice(min(len(x), max(frames, 0))))
            frames -= len(x)
        places = [n for n, cut in enumerate(chosen) if cut.stop]

        def cut(rows: tuple[np.ndarray, ...] | None) -> tuple[np.ndarray, ...] | None:
            return None if rows is None else tuple(rows[n][chosen[n]] for n in places)

        return replace(
            self,
            features=cut(self.features) or (),
            labels=cut(self.labels),
            names=tuple(self.names[n] for n in places) if self.names else (),
            targets=cut(self.targets),
            offset=cut(self.offset),
            states={name: values[places] for name, values in self.states.items()},
        )

    @classmethod
    def load(cls, file: AnyPath) -> "Dataset":
        """Read a data set.

        A .npz file holds `features` float [frames, inputs], all sequences one after the other, or
        `tokens` int [frames], and `lengths` int [sequences]; with labels also `labels` int
        [frames], -1 = not scored, or [sequences], each that of its last frame, or for a regression
        `targets` float [frames, outputs]; and where wanted `label_names`, `names`, `task`, `offset`
        float [frames, outputs] and `state.LAYER.h` or `.c` float [sequences, units]. A .npy file is
        one sequence, [steps, inputs] or tokens [steps]. Raises UserError where the file is anything
        else.
        """
        check_file(Path(file), "; give a .npz data set or a .npy sequence")
        arrays = read_arrays(Path(file))
        try:
            return cls(**fields_of(arrays))
        except UserError as error:
            raise UserError(f"{file}: {error}") from error

    def save(self, file: AnyPath) -> None:
        """Write the data set as a compressed .npz file that `load` reads."""
        arrays = {
            **self._frames(),
            "lengths": np.array([len(x) for x in self.features], np.int32),
            "task": np.array(self.task),
        }
        if self.labels is not None:
            arrays["labels"] = np.concatenate([*self.labels, np.zeros(0, int)]).astype(np.int32)
        for key, rows in (("targets", self.targets), ("offset", self.offset)):
            if rows is not None:
                outputs = rows[0].shape[1] if rows else 0
                arrays[key] = np.concatenate([*rows, np.zeros((0, outputs), np.float32)])
        arrays |= {STATE + name: values for name, values in self.states.items()}
        if self.label_names:
            arrays["label_names"] = np.array(self.label_names)
        if self.names:
            arrays["names"] = np.array(self.names)
        with replacing(Path(file)) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)

    def _frames(self) -> dict[str, np.ndarray]:
        """All frames, one after the other, by their name in a file."""
        if self.tokens:
            return {"tokens": np.concatenate(self.features).astype(np.int32)}
        return {
            "features": np.concatenate([*self.features, np.zeros((0, self.inputs), np.float32)])
        }

    def _check_features(self) -> None:
        if self.tokens:
            for n, x in enumerate(self.features):
                if x.ndim != 1 or x.dtype.kind not in "iu":
                    raise UserError(
                        f"tokens of {self.sequence_name(n)}: {x.dtype} {x.shape}, expected "
                        "integers [steps]"
                    )
                if x.min(initial=0) < 0 or x.max(initial=0) > MOST_TOKEN:
                    raise UserError(
                        f"tokens of {self.sequence_name(n)}: {x.min()}..{x.max()}, expected "
                        f"0..{MOST_TOKEN}"
                    )
            return
        for n, x in enumerate(self.features):
            if x.ndim != 2 or x.shape[1] == 0 or x.shape[1] != self.inputs:
                raise UserError(
                    f"features of {self.sequence_name(n)}: shape {x.shape}, "
                    f"expected [steps, {self.inputs or 'inputs'}]"
                )
        self._check_finite("features", "input", self.features)

    def _check_rows(self, what: str, rows: tuple[Features, ...]) -> None:
        outputs = rows[0].shape[1] if rows and rows[0].ndim == 2 else 0
        for n, (x, y) in enumerate(zip(self.features, rows, strict=True)):
            if y.shape != (len(x), outputs or None):
                raise UserError(
                    f"{what} of {self.sequence_name(n)}: shape {y.shape}, "
                    f"expected [{len(x)}, {outputs or 'outputs'}], one row a frame"
                )
        self._check_finite(what, "output", rows)

    def _check_finite(self, what: str, column: str, arrays: tuple[Frames, ...]) -> None:
        start = 0
        for n, x in enumerate(arrays):
            bad = np.argwhere(~np.isfinite(x))
            if len(bad):
                t, j = bad[0]
                raise UserError(
                    f"{what}: {x[t, j]} in frame {t} of {self.sequence_name(n)} (row {start + t}), "
                    f"{column} {j}; {len(bad)} values there are not finite, clean the data first"
                )
            start += len(x)

    def _check_labels(self, labels: tuple[Labels, ...]) -> None:
        classes = len(self.label_names)
        for n, (x, y) in enumerate(zip(self.features, labels, strict=True)):
            if y.shape != (len(x),):
                raise UserError(
                    f"labels of {self.sequence_name(n)}: shape {y.shape}, "
                    f"expected [{len(x)}], one a frame"
                )
            wrong = y[(y < IGNORED) | (y >= classes if classes else False)]
            if wrong.size:
                rule = f"-1..{classes - 1}" if classes else "at least -1"
                raise UserError(f"labels of {self.sequence_name(n)}: {wrong[0]}, expected {rule}")

    def sequence_name(self, n: int) -> str:
        """What messages call it: "sequence N", with its name where it has one."""
        return f"sequence {n}" + (f" ({self.names[n]})" if self.names else "")
