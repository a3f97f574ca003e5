# SPDX-License-Identifier: Apache-2.0
"""Make a phone classification data set out of the Asterisk English voice prompts.

The prompts (Debian packages ``asterisk-core-sounds-en-g722`` for the audio and
``asterisk-core-sounds-en`` for the transcripts) are 16 kHz studio speech of one speaker. Phone
labels come from pocketsphinx's forced aligner and its en-us model: they are machine labels.

Features
    40 log-mel energies per 10 ms frame. Frame ``t`` covers samples ``[160 t, 160 t + 400)``
    (25 ms, Hann). Powers are averaged over frames ``t - SMOOTH + 1 .. t`` and a floor is added
    before the logarithm, which keeps silence quiet and the features smooth in time. Each band is
    normalised by its mean and standard deviation over all training frames, clipped to +-4 and
    rounded to multiples of 1/64. Nothing depends on the future or on the whole utterance.

Split
    One transcript in five is held out, by a hash of its first five words; about a fifth of the
    data: half of those are for tuning (thresholds, bits), the others for testing. Clips with the
    same transcript are always in the same part.

Labels
    39 phones, silence (``SIL``) among them. The network gets ``LOOKAHEAD`` = 5 frames (50 ms) of
    look-ahead: ``labels[t]`` is the phone of frame ``t - 5``. The first 5 frames of each sequence
    have label -1, which means that they are not scored.

Files (``np.savez_compressed``; the same arrays in every run)
    ``features`` float16 ``[frames, 40]``, sequences concatenated; ``lengths`` int32
    ``[sequences]``; ``labels`` int16 ``[frames]``; ``label_names`` str ``[39]``; ``task`` the 0-d
    str "classification"; ``names`` str ``[sequences]``, the clips' names.
"""

import argparse
import hashlib
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder
from rich.progress import track
from transcripts import PRONUNCIATIONS, read_transcripts

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("asterisk-core-sounds-en", "asterisk-core-sounds-en-g722")
RATE = 16_000  # samples per second
HOP, WINDOW, FFT = 160, 400, 512  # samples
BANDS = 40
SMOOTH = 2  # frames averaged in the power domain
FLOOR = 1e-8  # of full scale squared, added to the mean power of a band
LOOKAHEAD = 5  # frames
CLIP = 4.0  # standard deviations
STEP = 1 / 64  # resolution of the stored features, standard deviations
SILENCE = "SIL"


class PrepareError(Exception):
    """A problem the user can mend; its text says how."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """One aligned recording.

    Parameters
    ----------
    name : str
        File name below the voice's folder, without suffix.
    words : str
        The normalised transcript: lower-case words of the pronunciation dictionary.
    energies : array of float32, shape [frames, 40]
        Log-mel energies, not normalised.
    phones : list of str, length frames
        The phone of each frame, without look-ahead.
    """

    name: str
    words: str
    energies: NDArray[np.float32]
    phones: list[str]


def fetch_packages(work: Path) -> Path:
    """Download and unpack the two Debian packages below ``work``; returns the unpacked tree."""
    tree = work / "sounds"
    try:
        work.mkdir(parents=True, exist_ok=True)
        if not all(any(work.glob(f"{name}_*.deb")) for name in PACKAGES):
            command = ["apt-get", "download", *PACKAGES]
            subprocess.run(command, cwd=work, check=True, capture_output=True)
        for name in PACKAGES:
            archive = sorted(work.glob(f"{name}_*.deb"))[-1]
            subprocess.run(["dpkg-deb", "-x", str(archive), str(tree)], check=True)
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise PrepareError(
            f"cannot fetch the recordings; on Debian run `apt-get update` and then, in {work}, "
            f"`apt-get download {' '.join(PACKAGES)}`; elsewhere unpack the two .deb files "
            "and give --sounds DIR"
        ) from error
    return tree


def find_recordings(tree: Path) -> tuple[Path, Path]:
    """The folder of .g722 clips and the transcript file inside an unpacked tree."""
    folders = sorted({path.parent for path in tree.rglob("vm-goodbye.g722")})
    texts = sorted(tree.rglob("core-sounds-en.txt*"))
    if not folders or not texts:
        missing = PACKAGES[0] if folders else PACKAGES[1]
        raise PrepareError(
            f"{tree} lacks the files of {missing}; get it with `apt-get download {missing}` "
            f"and `dpkg-deb -x {missing}_*.deb {tree}`"
        )
    return folders[0], texts[0]


def read_audio(path: Path) -> NDArray[np.int16]:
    """Samples of one G.722 file, 16 kHz, shape ``[samples]``."""
    with av.open(str(path), format="g722") as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(blocks).astype(np.int16)


def mel_filters() -> NDArray[np.float64]:
    """Triangular filters, 64 Hz to 8 kHz on the mel scale, each of sum 1; ``[257, 40]``."""
    edges = np.linspace(1127 * np.log1p(64 / 700), 1127 * np.log1p(RATE / 2 / 700), BANDS + 2)
    hertz = 700 * np.expm1(edges / 1127)
    bins = np.arange(FFT // 2 + 1)[:, None] * RATE / FFT
    rise = (bins - hertz[:-2]) / (hertz[1:-1] - hertz[:-2])
    fall = (hertz[2:] - bins) / (hertz[2:] - hertz[1:-1])
    filters = np.maximum(0.0, np.minimum(rise, fall))
    return np.asarray(filters / filters.sum(axis=0))


def log_mel(samples: NDArray[np.int16], filters: NDArray[np.float64]) -> NDArray[np.float32]:
    """Smoothed log-mel energies, shape ``[1 + (samples - 400) // 160, 40]``.

    A full-scale sine has a power of about 0.25 in its bin (the window is scaled to sum 1).
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples / 32768.0, WINDOW)[::HOP]
    window = np.hanning(WINDOW + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * (window / window.sum()), FFT)) ** 2 @ filters
    history = np.concatenate([np.repeat(power[:1], SMOOTH - 1, axis=0), power])
    smooth = np.lib.stride_tricks.sliding_window_view(history, SMOOTH, axis=0).mean(axis=-1)
    return np.asarray(np.log(smooth + FLOOR), dtype=np.float32)


def align(decoder: Decoder, samples: NDArray[np.int16], words: str) -> list[tuple[str, int, int]]:
    """Forced alignment: ``(phone, start, duration)`` in frames of 10 ms, in order.

    Raises RuntimeError if a word is not in the dictionary or no path through the audio exists.
    """
    decoder.set_align_text(words)
    for phones in (False, True):
        if phones:
            decoder.set_alignment()
        with warnings.catch_warnings():  # "deprecated and unnecessary", but nothing else makes
            warnings.simplefilter("ignore", DeprecationWarning)  # the noise estimate start anew,
            decoder.start_stream()  # without which a clip's phones depend on the clips before it
        decoder.start_utt()
        decoder.process_raw(samples.tobytes(), full_utt=True)
        decoder.end_utt()
    return [(p.name, p.start, p.duration) for word in decoder.get_alignment() for p in word]


def frame_phones(segments: list[tuple[str, int, int]], frames: int) -> list[str]:
    """One phone per frame; frames that no segment covers, and noises, are silence."""
    phones = [SILENCE] * frames
    for name, start, duration in segments:
        if name.isalpha():
            stop = min(start + duration, frames)
            phones[start:stop] = [name] * max(stop - start, 0)
    return phones


def load_clips(folder: Path, transcripts: dict[str, str]) -> list[Clip]:
    """Decode and align every clip that has speech; those that cannot be aligned are left out."""
    decoder = Decoder(loglevel="FATAL")
    for word, sounds in PRONUNCIATIONS.items():
        decoder.add_word(word, sounds, update=word == list(PRONUNCIATIONS)[-1])
    filters = mel_filters()
    clips = []
    for name, words in track(sorted(transcripts.items()), "aligning"):
        path = folder / f"{name}.g722"
        if not words or not path.exists() or not all(map(decoder.lookup_word, words.split())):
            continue
        samples = read_audio(path)
        try:
            segments = align(decoder, samples, words)
        except RuntimeError:
            continue
        energies = log_mel(samples, filters)
        phones = frame_phones(segments, len(energies))
        clips.append(Clip(name=name, words=words, energies=energies, phones=phones))
    return clips


def part_of(words: str, seed: int) -> str:
    """The part of clips with this transcript: a tenth each tunes and tests, by a hash.

    Only the first five words count, so that repetitions of a sentence and most of its variants
    stay in the same part.
    """
    opening = " ".join(words.split()[:5])
    digest = hashlib.sha256(f"{seed}:{opening}".encode()).digest()
    return {0: "tuning", 1: "test"}.get(digest[0] * 10 // 256, "train")


def write_set(
    path: Path,
    clips: Sequence[Clip],
    label_names: list[str],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
) -> None:
    """Normalise, delay the labels by ``LOOKAHEAD`` frames, and write one data set."""
    index = {name: number for number, name in enumerate(label_names)}
    features, labels = [], []
    for clip in clips:
        scaled = np.clip((clip.energies - mean) / std, -CLIP, CLIP)
        features.append((np.round(scaled / STEP) * STEP).astype(np.float16))
        delayed = [-1] * LOOKAHEAD + [index[phone] for phone in clip.phones]
        labels.append(np.array(delayed[: len(scaled)], dtype=np.int16))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        features=np.concatenate(features),
        lengths=np.array([len(part) for part in labels], dtype=np.int32),
        labels=np.concatenate(labels),
        label_names=np.array(label_names),
        task=np.array("classification"),
        names=np.array([clip.name for clip in clips]),
    )
    seconds = sum(map(len, labels)) * HOP / RATE
    print(f"{path}: {len(clips)} sequences, {seconds:.1f} s, {path.stat().st_size / 1e6:.2f} MB")


def choose_calibration(clips: Sequence[Clip], seed: int, count: int) -> list[Clip]:
    """``count`` training clips of 1 to 4 s, drawn at random, in name order."""
    usable = [clip for clip in clips if 100 <= len(clip.phones) <= 400]
    chosen = np.random.default_rng(seed).permutation(len(usable))[:count]
    return [usable[i] for i in sorted(chosen)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the whole preparation; returns the exit code."""
    parser = argparse.ArgumentParser(description="prepare the speech phone data sets")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "speech", help="work folder")
    parser.add_argument("--sounds", type=Path, help="already unpacked packages (no download)")
    parser.add_argument("--out", type=Path, help="folder of the .npz files (default: work folder)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split and the choice")
    parser.add_argument("--calibration", type=int, default=32, help="calibration sequences")
    args = parser.parse_args(argv)
    out = args.out or args.work
    try:
        folder, text = find_recordings(args.sounds or fetch_packages(args.work))
    except PrepareError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    clips = load_clips(folder, read_transcripts(text))
    parts: dict[str, list[Clip]] = {"train": [], "tuning": [], "test": []}
    for clip in clips:
        parts[part_of(clip.words, args.seed)].append(clip)
    train = parts["train"]
    energies = np.concatenate([clip.energies for clip in train]).astype(np.float64)
    mean, std = energies.mean(axis=0), energies.std(axis=0)
    label_names = sorted({phone for clip in clips for phone in clip.phones})
    parts["calibration"] = choose_calibration(train, args.seed, args.calibration)
    for name, part in parts.items():
        write_set(out / f"{name}.npz", part, label_names, mean, std)
    print(f"{len(clips)} clips, {len(label_names)} labels: {' '.join(label_names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
