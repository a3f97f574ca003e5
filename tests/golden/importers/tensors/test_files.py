# SPDX-License-Identifier: Apache-2.0
"""Tensor files: what is read, and the one line that a damaged or foreign file gets."""

import importlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from deltaloom.golden.errors import UserError
from deltaloom.golden.importers.tensors.files import read_tensors
from deltaloom.golden.models.float_model import FloatLayer, FloatModel, FloatPath

RNG = np.random.default_rng(0)
TENSORS = {
    "z": RNG.normal(size=(40, 3)).astype(np.float32),
    "a": RNG.normal(size=7).astype(np.float32),
    "m.weight": RNG.normal(size=(2, 50)).astype(np.float32),
}


def assert_read(file, expected, ordered=True):
    tensors, keeps_order, backwards, _ = read_tensors(file)
    assert not backwards
    assert keeps_order is ordered
    assert sorted(tensors) == sorted(expected)
    if ordered:
        assert list(tensors) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors[name], array, strict=True)


def refused(file):
    """The one line that refuses `file`, without its name."""
    with pytest.raises(UserError) as caught:
        read_tensors(file)
    line = str(caught.value)
    assert line.startswith(f"{file}: ") and "\n" not in line
    return line.removeprefix(f"{file}: ")


def spoil(file, part):
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])


# Any kind


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pt", ".PTH"])
@pytest.mark.parametrize("content", [b"", b"PK", b"garbage, not a checkpoint at all", b"\x80\x02}"])
def test_damaged_file_is_one_line(tmp_path, suffix, content):
    if suffix.lower() in (".pt", ".pth"):
        pytest.importorskip("torch")
    file = tmp_path / f"net{suffix}"
    file.write_bytes(content)
    assert refused(file).startswith("not a ")


@pytest.mark.parametrize("name", ["net", "net.tflite", "net.h6"])
def test_other_suffix(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert "only .pt, .pth, .jit, .safetensors, .npz" in refused(tmp_path / name)


def test_no_file(tmp_path):
    assert refused(tmp_path / "absent.npz") == "no such file"


@pytest.mark.parametrize("name", ["net.pt", "net"])
def test_a_folder(tmp_path, name):
    (tmp_path / name).mkdir()
    assert refused(tmp_path / name) == "is a folder, a file is wanted"


def test_a_device():
    assert refused(Path("/dev/null")) == "is a device or a pipe, a file is wanted"


# npz


@pytest.fixture
def npz(tmp_path):
    file = tmp_path / "net.npz"
    np.savez(file, **TENSORS)
    return file


def test_npz(npz):
    assert_read(npz, TENSORS)


def test_npz_without_tensors(npz):
    np.savez(npz)
    assert refused(npz).startswith("holds no tensors")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("part", [0.3, 0.8, 0.99])
def test_truncated_npz(npz, save, part):
    save(npz, **TENSORS)
    spoil(npz, part)
    assert refused(npz).startswith("not a whole .npz file")


def test_npz_with_flipped_bits(npz):
    data = bytearray(npz.read_bytes())
    data[300] ^= 0xFF
    npz.write_bytes(data)
    assert refused(npz).startswith("not a whole .npz file of plain arrays (Bad CRC-32")


def test_npz_of_objects_is_not_unpickled(npz):
    np.savez(npz, a=np.array([{}]))
    assert refused(npz).startswith("not a whole .npz file of plain arrays (Object arrays cannot")


def test_npy_in_disguise(npz):
    with npz.open("wb") as stream:
        np.save(stream, np.ones(3))
    assert refused(npz).startswith("not a whole .npz file")


def test_npz_with_other_members(npz):
    with zipfile.ZipFile(npz, "a") as archive:
        archive.writestr("notes.txt", "hello")
    assert refused(npz).startswith("not a whole .npz file of plain arrays (notes.txt is no array)")


# safetensors


@pytest.fixture
def safe(tmp_path):
    file = tmp_path / "net.safetensors"
    save_file(TENSORS, file)
    return file


def raw_safetensors(file, dtype, shape, data):
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}
    header = json.dumps({"a": entry}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + data)


def test_safetensors(safe):
    assert_read(safe, TENSORS, ordered=False)


@pytest.mark.parametrize("dtype", ["f8", "f2", "i8", "i4", "i2", "i1", "u1", "?"])
def test_safetensors_types(safe, dtype):
    tensors = {"a": np.arange(6).reshape(3, 2).astype(dtype), "scalar": np.ones((), dtype)}
    save_file(tensors, safe)
    assert_read(safe, tensors, ordered=False)


def test_safetensors_come_in_one_order(safe):
    assert list(read_tensors(safe)[0]) == ["a", "m.weight", "z"]


def test_safetensors_bfloat16(safe):
    raw_safetensors(safe, "BF16", [2, 2], bytes.fromhex("803f 00c0 7f7f 0100"))
    largest, tiny = np.array([0x7F7F0000, 0x00010000], np.uint32).view(np.float32)
    assert_read(safe, {"a": np.array([[1, -2], [largest, tiny]], np.float32)}, ordered=False)


def test_safetensors_of_a_type_that_is_not_read(safe):
    raw_safetensors(safe, "F8_E4M3", [2], b"88")
    assert refused(safe) == "a is F8_E4M3; only F16, BF16, F32 and F64 tensors can be read"


@pytest.mark.parametrize("part", [0.01, 0.2, 0.99])
def test_truncated_safetensors(safe, part):
    spoil(safe, part)
    assert refused(safe).startswith("not a whole safetensors file")


def test_safetensors_of_ours(safe):
    path = FloatPath(source="x", gates=("y",), weights=np.ones((1, 2, 3), np.float32))
    layer = FloatLayer(name="fc", kind="linear", paths=(path,), bias=np.zeros((1, 2), np.float32))
    FloatModel(layers=(layer,)).save(safe)
    assert refused(safe) == "is already one of deltaloom's own files; use it as it is"


# PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def state_dict(torch):
    return {name: torch.from_numpy(array) for name, array in TENSORS.items()}


@pytest.fixture
def pt(torch, state_dict, tmp_path):
    file = tmp_path / "net.pt"
    torch.save(state_dict, file)
    return file


def test_without_torch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "net.pt").write_bytes(b"x")
    line = "reading it needs torch: `pip install deltaloom[torch]`, or save the state dict as"
    assert refused(tmp_path / "net.pt").startswith(line)


def test_the_others_need_no_torch(npz, safe, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError):
        importlib.import_module("torch")
    assert_read(npz, TENSORS)
    assert_read(safe, TENSORS, ordered=False)


def test_torch(pt):
    assert_read(pt, TENSORS)


def test_the_old_format_of_torch(torch, pt, state_dict):
    torch.save(state_dict, pt, _use_new_zipfile_serialization=False)
    assert_read(pt, TENSORS)


def test_torch_parameters_and_views(torch, pt, state_dict):
    state_dict["z"] = torch.nn.Parameter(state_dict["z"].T.contiguous().T)
    torch.save(state_dict, pt)
    assert_read(pt, TENSORS)


def test_torch_bfloat16(torch, pt, state_dict):
    rounded = {name: tensor.bfloat16() for name, tensor in state_dict.items()}
    torch.save(rounded, pt)
    assert_read(pt, {name: tensor.float().numpy() for name, tensor in rounded.items()})


def test_whole_pickled_module(torch, pt):
    torch.save(torch.nn.LSTM(3, 4), pt)
    assert refused(pt) == (
        "not a state dict that torch.load(weights_only=True) reads (it is damaged or holds Python "
        "objects besides tensors); save it with torch.save(model.state_dict(), FILE)"
    )


@pytest.mark.parametrize(
    ("thing", "line"),
    [
        ([1, 2], "holds a list, not a state dict; save it with torch.save(model.state_dict(), "),
        (
            {"epoch": 3},
            "'epoch' is a int, not a tensor; save only the state dict, or put it under ",
        ),
        ({}, "holds no tensors; save the trained model's state_dict()"),
        ({"model": {}}, "holds no tensors; save the trained model's state_dict()"),
    ],
)
def test_torch_file_of_other_things(torch, pt, thing, line):
    torch.save(thing, pt)
    assert refused(pt).startswith(line)


def test_sparse_tensor(torch, pt):
    torch.save({"a": torch.eye(3).to_sparse()}, pt)
    assert refused(pt).startswith("a is torch.float32 (torch.sparse_coo); only dense float16, ")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_truncated_torch_file(pt, part):
    spoil(pt, part)
    assert refused(pt).startswith("not a state dict that torch.load")


def test_npz_in_disguise(npz, torch, tmp_path):
    assert refused(npz.rename(tmp_path / "net.pt")).startswith("not a state dict that torch.load")
