# SPDX-License-Identifier: Apache-2.0
"""SPHERE and RIFF files, by their bytes."""

import wave

import numpy as np
import pytest

from deltaloom.golden.corpora.audio import read_audio
from deltaloom.golden.errors import UserError

SAMPLES = np.array([0, 1, -1, 300, -32768, 32767], np.int16)


def refused(file, data):
    file.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_audio(file, 16_000)
    line = str(caught.value)
    assert "\n" not in line and line.startswith(f"{file}: ")
    return line.removeprefix(f"{file}: ")


def write_wave(file, samples, rate=16_000, channels=1):
    with wave.open(str(file), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.astype("<i2").tobytes())


@pytest.mark.parametrize("order", ["01", "10"])
def test_sphere(tmp_path, timit_tree, order):
    (tmp_path / "a.WAV").write_bytes(timit_tree.sphere(SAMPLES, sample_byte_format=order))
    np.testing.assert_array_equal(read_audio(tmp_path / "a.WAV", 16_000), SAMPLES)


def test_bytes_after_the_samples_are_left_out(tmp_path, timit_tree):
    (tmp_path / "a.WAV").write_bytes(timit_tree.sphere(SAMPLES) + b"\1\2\3")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.WAV", 16_000), SAMPLES)


def test_riff(tmp_path):
    write_wave(tmp_path / "a.WAV", SAMPLES)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.WAV", 16_000), SAMPLES)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_rate": 8000}, "sample rate 8000, expected 16000; convert it"),
        ({"sample_rate": None}, "sample rate unknown, expected 16000"),
        ({"channel_count": 2}, "channel count 2, expected 1"),
        ({"sample_n_bytes": 1}, "sample n bytes 1, expected 2"),
        (
            {"sample_coding": "pcm,embedded-shorten-v2.00"},
            "sample coding pcm,embedded-shorten-v2.00, expected pcm; convert it with `sox`",
        ),
        ({"sample_count": 7}, "6 samples, its header says 7; copy it again"),
        ({"sample_count": -1}, "6 samples, its header says -1; copy it again"),
        ({"sample_count": None}, "not a whole SPHERE header ('sample_count')"),
    ],
)
def test_other_spheres(tmp_path, timit_tree, fields, message):
    data = timit_tree.sphere(SAMPLES, **fields)
    assert refused(tmp_path / "a.WAV", data).startswith(message)


def test_what_is_no_recording(tmp_path):
    file = tmp_path / "a.WAV"
    assert refused(file, b"NIST_1A\n   1024\nsample").startswith("not a whole SPHERE header")
    assert refused(file, b"fLaC").startswith("neither a NIST SPHERE nor a RIFF file")
    assert refused(file, b"RIFF\0\0").startswith("not a whole RIFF file of PCM")
    write_wave(file, SAMPLES)
    assert "copy it again" in refused(file, file.read_bytes()[:-2])


def test_other_riffs(tmp_path):
    file = tmp_path / "a.WAV"
    write_wave(file, SAMPLES, rate=8000)
    assert refused(file, file.read_bytes()).startswith("sample rate 8000, expected 16000")
    write_wave(file, SAMPLES, channels=2)
    assert refused(file, file.read_bytes()).startswith("channel count 2, expected 1")


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_audio(tmp_path / "a.WAV", 16_000)
