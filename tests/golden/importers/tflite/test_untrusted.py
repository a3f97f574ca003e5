# SPDX-License-Identifier: Apache-2.0
"""Altered and truncated .tflite files: read, or refused in one line; never slow, never large."""

import resource
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from deltaloom import cli
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.options import ImportOptions
from deltaloom.golden.importers.tflite.read import read_tflite
from deltaloom.golden.integer_lstm.engine import run
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.tflite import schema
from deltaloom.golden.tflite.flatbuffer import MOST_TABLES

VECTORS = Path(__file__).parents[2] / "integer_lstm" / "vectors.npz"
SECONDS, MEMORY = 2.0, 40 << 20
KINDS = (":floats", ":integers", ":file")


@pytest.fixture(scope="module")
def contents():
    found = []
    for file in (VECTORS, Path(__file__).with_name("tensorflow.npz")):
        with np.load(file) as archive:
            found += [archive[name].tobytes() for name in archive.files if name.endswith(KINDS)]
    return found


def altered(content, rng):
    """Cut off, or with bytes, words, places or a stretch changed."""
    data = bytearray(content)
    kind = int(rng.integers(6))
    if kind == 0:
        return bytes(data[: rng.integers(len(data))])
    for _ in range(int(rng.choice([1, 1, 2, 5]))):
        at = int(rng.integers(len(data) - 8))
        if kind == 1:
            data[at] = rng.integers(256)
        elif kind == 2:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 3:
            value = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data)])
            struct.pack_into("<I", data, at & ~3, int(value))
        elif kind == 4:  # an offset becomes another
            struct.pack_into("<I", data, at & ~3, int(rng.integers(len(data))))
        else:
            size = int(rng.integers(1, 40))
            start = int(rng.integers(len(data) - size))
            data[at : at + size] = data[start : start + size]
    return bytes(data)


def outcome(content, file):
    """Whether the file is read; a network then runs. Anything but a UserError is a failure."""
    file.write_bytes(content)
    try:
        found = read_tflite(file, options=ImportOptions(check=False, most_bytes=MEMORY)).network
    except UserError as error:
        line = str(error)
        assert line.startswith(f"{file}: ") and "\n" not in line and len(line) < 2000
        return False
    if isinstance(found, IntegerNetwork):
        x = np.zeros((3, found.inputs), np.int8)
        assert run(found, [x]).outputs[0].shape == (3, found.outputs)
    return True


def fuzz(contents, file, seeds):
    read = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        content = altered(contents[seed % len(contents)], rng)
        start = time.process_time()
        read += outcome(content, file)
        assert time.process_time() - start < SECONDS, seed
    return read


def test_some_hundred_files(contents, tmp_path):
    tracemalloc.start()
    try:
        read = fuzz(contents, tmp_path / "net.tflite", range(260))
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert 26 < read < 234  # both happen


@pytest.mark.slow
def test_ten_thousand_files(contents, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert 1000 < fuzz(contents, tmp_path / "net.tflite", range(600, 10_600)) < 9000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY >> 10


@pytest.mark.parametrize("size", [0, 1, 4, 7, 8, 12, 40])
def test_the_beginning_of_a_file(contents, tmp_path, size):
    assert not outcome(contents[0][:size], tmp_path / "net.tflite")


def test_every_length_of_a_file(contents, tmp_path):
    content = min(contents, key=len)
    assert [
        n for n in range(0, len(content), 41) if outcome(content[:n], tmp_path / "n.tflite")
    ] == []


def repeated(count):
    """A file whose root's vector of graphs names the root so many times."""
    head = struct.pack("<I", 20) + b"TFL3"
    vtable = struct.pack("<5H", 10, 12, 4, 0, 8) + b"\0\0"  # version, no codes, graphs
    root = struct.pack("<iII", 12, 3, 4) + struct.pack("<I", count)
    return head + vtable + root + b"".join(struct.pack("<i", -16 - 4 * n) for n in range(count))


def test_tables_that_are_named_again_and_again(tmp_path):
    file = tmp_path / "net.tflite"
    file.write_bytes(struct.pack("<I", 20) + repeated(9)[4:])
    with pytest.raises(UserError, match="an offset leads out of it"):  # they are unsigned
        read_tflite(file)
    forward = bytearray(repeated(3 * MOST_TABLES) + bytes(64))
    for n in range(3 * MOST_TABLES):  # a table of zeros at the end, again and again
        struct.pack_into("<I", forward, 36 + 4 * n, len(forward) - 8 - 36 - 4 * n)
    file.write_bytes(forward)
    start = time.process_time()
    with pytest.raises(UserError, match=f"more than {MOST_TABLES:,} tables"):
        read_tflite(file)
    assert time.process_time() - start < SECONDS


def test_the_command_line_refuses_in_one_line(contents, tmp_path, capsys):
    file = tmp_path / "net.tflite"
    for seed in range(12):
        file.write_bytes(altered(contents[0], np.random.default_rng(seed)))
        out = str(tmp_path / "net.safetensors")
        code = cli.main(["import", str(file), "-o", out, "--no-check"])
        text = capsys.readouterr().err
        assert (code, text.count("\n")) in ((0, 0), (2, 1))


def test_a_large_file_is_refused_before_it_is_read(contents, tmp_path):
    file = tmp_path / "net.tflite"
    file.write_bytes(contents[0])
    with file.open("r+b") as stream:
        stream.truncate(1 << 32)
    with pytest.raises(UserError, match=r"the limit is 1\.07"):
        read_tflite(file)


def test_another_file_of_that_name(tmp_path):
    file = tmp_path / "net.tflite"
    file.write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(UserError, match="does not say that it is TFL3; export it anew"):
        read_tflite(file)


def test_no_memory_is_taken_for_values(contents):
    graph = schema.read(contents[0])
    values = [tensor.data for tensor in graph.tensors if tensor.data is not None]
    assert values and all(not data.flags.owndata and not data.flags.writeable for data in values)
