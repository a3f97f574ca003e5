# SPDX-License-Identifier: Apache-2.0
"""deltaloom's own files: what comes back, what is refused, and what a failure leaves behind."""

import json
import os
import stat

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from deltaloom.golden import storage
from deltaloom.golden.errors import UserError

TENSORS = {"b": np.arange(6.0).reshape(2, 3), "a": np.array([-1, 2], np.int8)}


@pytest.fixture
def saved(tmp_path):
    file = tmp_path / "thing.safetensors"
    storage.save(file, "thing", TENSORS, {"size": 3})
    return file


def load(file, kind="thing"):
    return storage.load(file, kind, made_by="deltaloom make")


def test_round_trip(saved):
    tensors, header = load(saved)
    assert header["size"] == 3
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(tensors[name], tensor)


def test_a_view_is_saved_as_it_reads(tmp_path):
    view = np.arange(12).reshape(3, 4).T[::2]
    storage.save(tmp_path / "view", "thing", {"v": view}, {})
    np.testing.assert_array_equal(load(tmp_path / "view")[0]["v"], view)


def test_same_content_gives_same_bytes(saved, tmp_path):
    again = tmp_path / "again"
    storage.save(again, "thing", TENSORS, {"size": 3})
    assert again.read_bytes() == saved.read_bytes()


def test_folders_are_made_and_only_the_file_is_left(tmp_path):
    file = tmp_path / "new" / "folder" / "f"
    storage.save(file, "thing", TENSORS, {})
    assert [p.name for p in file.parent.iterdir()] == ["f"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        storage.save(tmp_path / "f", "thing", TENSORS, {})
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
        assert os.umask(0o027) == 0o027  # and the umask itself is as it was
    finally:
        os.umask(before)


def test_missing_file_names_the_verb(tmp_path):
    with pytest.raises(UserError, match=r"no such file; `deltaloom make` writes one$"):
        load(tmp_path / "absent")


def test_wrong_kind(saved):
    with pytest.raises(UserError, match="holds a thing, a model is wanted"):
        load(saved, "model")


def test_newer_version(saved, monkeypatch):
    monkeypatch.setattr(storage, "VERSION", storage.VERSION + 1)
    storage.save(saved, "thing", TENSORS, {})
    monkeypatch.undo()
    with pytest.raises(UserError) as caught:
        load(saved)
    line = f"{saved}: format version 5, this deltaloom reads 1 to 4; "
    assert str(caught.value).startswith(line + "use the release that wrote it")


def test_older_version(saved, monkeypatch):
    monkeypatch.setattr(storage, "VERSION", 1)
    storage.save(saved, "thing", TENSORS, {})
    monkeypatch.undo()
    tensors, header = load(saved)
    assert header["version"] == 1 and tensors.keys() == TENSORS.keys()


def write(file, tensors=TENSORS, **header):
    """A file of any header, as an older or a foreign program would write it."""
    save_file(tensors, file, metadata={"deltaloom": json.dumps(header)})


@pytest.mark.parametrize("version", [1, 2])
def test_older_files_have_no_digest(tmp_path, version):
    write(tmp_path / "f", kind="thing", version=version, size=3)
    tensors, header = load(tmp_path / "f")
    assert header["size"] == 3 and tensors.keys() == TENSORS.keys()


@pytest.mark.parametrize("digest", [{}, {"sha256": ""}, {"sha256": None}, {"sha256": "0" * 64}])
def test_a_file_without_its_digest(tmp_path, digest):
    write(tmp_path / "f", kind="thing", version=3, **digest)
    with pytest.raises(UserError, match="f: damaged, its contents do not fit its sha256 digest"):
        load(tmp_path / "f")


@pytest.mark.parametrize(
    "other",
    [
        {"b": TENSORS["b"], "a": np.array([-1, 3], np.int8)},
        {"b": TENSORS["b"], "a": TENSORS["a"].view(np.uint8)},
        {"b": TENSORS["b"].reshape(3, 2), "a": TENSORS["a"]},
        {"b": TENSORS["b"], "c": TENSORS["a"]},
        {"b": TENSORS["b"]},
    ],
)
def test_a_digest_of_other_tensors(saved, tmp_path, other):
    with safe_open(saved, "numpy") as archive:
        header = json.loads(archive.metadata()["deltaloom"])
    write(tmp_path / "f", other, **header)
    with pytest.raises(UserError, match="damaged"):
        load(tmp_path / "f")


@pytest.mark.parametrize("seed", range(8))
def test_any_damaged_byte_is_refused_or_changes_nothing(saved, seed):
    """One bit, or a whole byte, anywhere in the file."""
    rng = np.random.default_rng(seed)
    whole, header = saved.read_bytes(), load(saved)[1]
    refused = 0
    for place in rng.integers(0, len(whole), 100):
        damaged = bytearray(whole)
        damaged[place] ^= rng.choice([1 << rng.integers(8), rng.integers(1, 256)])
        saved.write_bytes(damaged)
        try:
            tensors, found = load(saved)
        except UserError as error:
            assert str(error).count("\n") == 0 and str(error).startswith(str(saved))
            refused += 1
            continue
        assert header.items() <= found.items()  # a damaged key "sha256" is beside it
        for name, tensor in TENSORS.items():
            assert tensors[name].dtype == tensor.dtype
            np.testing.assert_array_equal(tensors[name], tensor)
    assert refused > 90


def test_kind_of_a_file(saved, tmp_path):
    assert storage.kind_of(saved) == storage.kind_of(str(saved)) == "thing"
    save_file(TENSORS, tmp_path / "f")
    with pytest.raises(UserError, match="without deltaloom's header, not written by it"):
        storage.kind_of(tmp_path / "f")


@pytest.mark.parametrize("keep", [0, 4, 20, 0.5, -1])
def test_truncated(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match=r"thing.safetensors: not a whole safetensors file"):
        load(saved)


def test_garbage(saved):
    saved.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(UserError, match="not a whole safetensors file"):
        load(saved)


@pytest.mark.parametrize(
    "metadata",
    [None, {"x": "y"}, {"deltaloom": "{"}, {"deltaloom": "[]"}, {"deltaloom": '{"kind": "thing"}'}],
)
def test_without_a_whole_header(tmp_path, metadata):
    save_file(TENSORS, tmp_path / "f", metadata=metadata)
    with pytest.raises(UserError, match="without deltaloom's header, not a thing"):
        load(tmp_path / "f")


def test_a_tensor_type_that_numpy_may_lack(tmp_path):
    """It has bfloat16 once ml_dtypes is loaded; then the missing header is what is wrong."""
    header = {"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}
    text = json.dumps(header).encode()
    (tmp_path / "f").write_bytes(len(text).to_bytes(8, "little") + text + b"\0\0")
    lacking = r"not a whole safetensors file .*bfloat16"
    with pytest.raises(UserError, match=rf"{lacking}|without deltaloom's header") as caught:
        load(tmp_path / "f")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("layers.0.bias"), "f: 'layers.0.bias' is missing; make the file anew"),
        (TypeError("no number"), "f: no number; make the file anew"),
        (ValueError("no number"), "f: no number; make the file anew"),
        (UserError("bits: 3"), "f: bits: 3; make the file anew"),
    ],
)
def test_damage_in_the_header_is_one_line(tmp_path, error, message):
    with pytest.raises(UserError) as caught, storage.reading(tmp_path / "f"):
        raise error
    assert str(caught.value).endswith(message)


def test_failure_keeps_the_old_file_and_leaves_nothing_else(saved):
    before = saved.read_bytes()
    with pytest.raises(RuntimeError), storage.replacing(saved) as temporary:
        temporary.write_bytes(b"half")
        assert saved.read_bytes() == before
        raise RuntimeError
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_failure_of_a_new_file_leaves_nothing(tmp_path, monkeypatch):
    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "save_file", full)
    with pytest.raises(UserError, match=r"f: cannot be written \(No space left on device\)"):
        storage.save(tmp_path / "f", "thing", TENSORS, {})
    assert list(tmp_path.iterdir()) == []


def test_readers_see_the_old_file_or_the_new_one(saved):
    with saved.open("rb") as reader:
        before = saved.read_bytes()
        storage.save(saved, "thing", {"c": np.zeros(1)}, {})
        assert reader.read() == before
    assert list(load(saved)[0]) == ["c"]


def test_two_writers_do_not_meet(saved):
    with storage.replacing(saved) as one, storage.replacing(saved) as other:
        assert one != other
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert saved.read_bytes() == b"one"  # the outer block ends last
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(UserError, match="f: cannot be written"):
        storage.save(tmp_path / "f", "thing", TENSORS, {})
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_file_in_place_of_the_folder(saved):
    with pytest.raises(UserError, match="below: cannot be written"):
        storage.save(saved / "below", "thing", TENSORS, {})
