# SPDX-License-Identifier: Apache-2.0
"""Recordings of one channel and 16-bit samples: NIST SPHERE and RIFF (.wav) files."""

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..storage import check_file

Samples = npt.NDArray[np.int16]
SPHERE = b"NIST_1A\n"
CONVERT = "convert it with `sox` or `sph2pipe -f wav`"


def read_audio(file: Path, rate: int) -> Samples:
    """The samples [n] of a file with this many of them per second.

    The file's first bytes tell its format, not its name. Raises UserError where it is anything
    else: compressed, of several channels, of another rate, or cut short.
    """
    check_file(file)
    data = file.read_bytes()
    if data.startswith(SPHERE):
        return _read_sphere(file, data, rate)
    if data.startswith(b"RIFF"):
        return _read_riff(file, rate)
    raise UserError(f"{file}: neither a NIST SPHERE nor a RIFF file; {CONVERT}")


def _read_sphere(file: Path, data: bytes, rate: int) -> Samples:
    """Header lines "NAME -TYPE VALUE" up to end_head, in as many bytes as the second line says."""
    try:
        size = int(data[len(SPHERE) : len(SPHERE) + 8])
        lines = data[len(SPHERE) + 8 : size].decode("ascii").splitlines()
        fields: dict[str, str] = {}
        for line in lines[: lines.index("end_head")]:
            name, _, value = line.split(maxsplit=2)
            fields[name] = value
        count = int(fields["sample_count"])
    except (ValueError, KeyError) as error:
        raise UserError(f"{file}: not a whole SPHERE header ({error}); copy it again") from error
    for name, wanted, default in (
        ("sample_coding", "pcm", "pcm"),
        ("channel_count", "1", "1"),
        ("sample_n_bytes", "2", "2"),
        ("sample_rate", str(rate), ""),
    ):
        _check(file, name.replace("_", " "), fields.get(name, default), wanted)
    order = ">i2" if fields.get("sample_byte_format", "01") == "10" else "<i2"
    there = max(len(data) - size, 0) // 2
    if not 0 <= count <= there:
        raise UserError(f"{file}: {there} samples, its header says {count}; copy it again")
    return np.frombuffer(data, order, count, size).astype(np.int16)


def _read_riff(file: Path, rate: int) -> Samples:
    try:
        with wave.open(str(file)) as recording:
            for what, value, wanted in (
                ("channel count", recording.getnchannels(), 1),
                ("sample n bytes", recording.getsampwidth(), 2),
                ("sample rate", recording.getframerate(), rate),
            ):
                _check(file, what, str(value), str(wanted))
            data, count = recording.readframes(recording.getnframes()), recording.getnframes()
    except (wave.Error, EOFError) as error:
        raise UserError(f"{file}: not a whole RIFF file of PCM ({error}); {CONVERT}") from error
    if len(data) != 2 * count:
        raise UserError(f"{file}: {len(data)} bytes for {count} samples; copy it again")
    return np.frombuffer(data, "<i2").astype(np.int16)


def _check(file: Path, what: str, value: str, wanted: str) -> None:
    if value != wanted:
        raise UserError(f"{file}: {what} {value or 'unknown'}, expected {wanted}; {CONVERT}")
