# SPDX-License-Identifier: Apache-2.0
"""Arrays of files from anywhere: headers that NumPy's own reader stumbles over are refused."""

import struct
import zipfile

import numpy as np
import pytest

from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.limits import Budget
from deltaloom.golden.importers.tensors.archives import read_npz

PLAIN = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"
HEADERS = {
    "ends in the middle": "{'descr': '<f4', 'fortran_order': False, 'shape': (3,",
    "open text": "'''",
    "nested": "(" * 5000,
    "many signs": "-" * 9000 + "1",
    "unsorted keys": "{b'descr': '<f4', 1: 2, 'shape': (3,)}",
    "a list as key": "{[]: 2}",
    "beyond 64 bits": PLAIN % (2**70, 1).__repr__(),
    "negative": PLAIN % "(-3,)",
    "more than it holds": PLAIN % "(8589934592,)",
    "wide texts": PLAIN.replace("<f4", "<U99999999999") % "(3,)",
    "no array": "{'descr': (1, 1, 1), 'fortran_order': False, 'shape': (3,)}",
}


def npy(header, version=1):
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes((version, 0)) + length + header.encode() + bytes(12)


def packed(file, content):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("features.npy", content)
    return file


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_headers_that_are_no_arrays(header, version, tmp_path):
    content = npy(header, version)
    archive = packed(tmp_path / "a.npz", content)
    (tmp_path / "a.npy").write_bytes(content)
    for read in (
        lambda: Dataset.load(archive),
        lambda: Dataset.load(tmp_path / "a.npy"),
        lambda: read_npz(archive, Budget()),
    ):
        with pytest.raises(UserError) as refusal:
            read()
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("at", "name"), [(10, "method"), (6, "version"), (8, "flags")])
def test_what_zipfile_does_not_do(at, name, tmp_path):
    """Unknown compression, a version to come, encryption: of the member, in both headers."""
    file = packed(tmp_path / "a.npz", npy(PLAIN % "(3, 1)"))
    assert Dataset.load(file).features[0].shape == (3, 1)
    content = bytearray(file.read_bytes())
    directory = content.index(b"PK\x01\x02")
    local = {10: 8, 6: 4, 8: 6}[at]
    value = 99 if name != "flags" else 1
    content[local] = content[directory + at] = value
    file.write_bytes(content)
    for read in (lambda: Dataset.load(file), lambda: read_npz(file, Budget())):
        with pytest.raises(UserError, match="not a whole"):
            read()


def test_a_name_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("features.npy", npy(PLAIN % "(3, 1)"))
        archive.writestr("features", npy(PLAIN % "(3, 1)"))
    with pytest.raises(UserError, match="two members have one name"):
        Dataset.load(tmp_path / "a.npz")


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_as_numpy_has_them(order, tmp_path):
    values = np.asarray(np.arange(6, dtype=np.float32).reshape(3, 2), order=order)
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", features=values, other=values)
    for name in ("a.npy", "a.npz"):
        np.testing.assert_array_equal(Dataset.load(tmp_path / name).features[0], values)
