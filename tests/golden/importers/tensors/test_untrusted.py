# SPDX-License-Identifier: Apache-2.0
"""Files that declare more than they hold, lead elsewhere, or are parts: refused at once."""

import io
import json
import warnings
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from deltaloom import cli
from deltaloom.golden.errors import UserError, printable
from deltaloom.golden.importers.checkpoint import ImportOptions, import_checkpoint
from deltaloom.golden.importers.limits import Budget, check_shape
from deltaloom.golden.models.float_model import run_float

RNG = np.random.default_rng(4)


def random(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def lstm(name, inputs=4, units=4):
    return {
        f"{name}.weight_ih_l0": random(4 * units, inputs),
        f"{name}.weight_hh_l0": random(4 * units, units),
    }


def refused(file, *given, **options):
    with pytest.raises(UserError) as caught:
        import_checkpoint(file, *given, options=ImportOptions(**options))
    line = str(caught.value)
    assert "\n" not in line
    return line.partition(f"{file}: ")[2]


@pytest.fixture
def npz(tmp_path):
    def save(tensors):
        np.savez(tmp_path / "net.npz", **tensors)
        return tmp_path / "net.npz"

    return save


# Names


def test_a_layer_number_that_sizes_a_list(npz):
    tensors = lstm("lstm") | {"lstm.weight_ih_l999999999": random(16, 4)}
    line = refused(npz(tensors))
    assert line == (
        "lstm.weight_ih_l999999999 [16, 4] is of layer 999999999, but the file has 3 tensors; "
        "save the whole module"
    )


def test_a_layer_number_of_many_digits(npz):
    name = "lstm.weight_ih_l" + "9" * 5000
    assert "is not a tensor of any known layer" in refused(npz({name: random(16, 4)}))
    name = f"layers/lstm/vars/{'9' * 5000}"
    assert "a name is none of Keras's" in refused(npz({name: random(16, 4)}))


def test_terminal_codes_in_names_are_shown_escaped(npz, capsys, tmp_path):
    tensors = lstm("\x1b[2J\x1b[31mred") | {"fc.weight": random(2, 4)}
    words = ["import", str(npz(tensors)), "-o", str(tmp_path / "m.safetensors")]
    assert cli.main(words) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "\\x1b[2J" in printed.out
    np.savez(tmp_path / "net.npz", **{"\x1b]0;title\x07": random(2)})
    assert cli.main(words) == 2
    assert "\\x1b]0;title\\x07 [2] is not a tensor" in capsys.readouterr().err


def test_printable():
    assert printable("é x\u202e\n\udc80") == "é x\\u202e\\n\\udc80"


def test_two_layers_of_one_name_get_two(tmp_path):
    tensors = lstm("rnn") | {
        "rnn.weight_hr_l0": random(2, 4),
        "rnn.0.projection.weight": random(3, 2),
    }
    tensors["rnn.weight_hh_l0"] = random(16, 2)
    np.savez(tmp_path / "net.npz", **tensors)
    model = import_checkpoint(tmp_path / "net.npz")
    names = [layer.name for layer in model.layers]
    assert names == ["rnn.0", "rnn.0.projection", "rnn.0.projection_2"]
    assert model.layers[0].h_from == "rnn.0.projection"


# What is left over


def test_all_that_is_left_over_is_named(npz):
    tensors = lstm("rnn") | {
        "criterion.weight": random(3),
        "fc.weight_mask": random(2, 4),
        "rnn.weight_hh_l1_g": random(16, 1),
        "odd": random(2),
    }
    line = refused(npz(tensors))
    assert line.startswith(
        "criterion.weight [3] belongs to a loss or a metric, to no layer; fc.weight_mask [2, 4] "
        "belongs to pruning or spectral normalization: take it off"
    )
    assert "rnn.weight_hh_l1_g [16, 1] belongs to weight normalization: take it off" in line
    assert "odd [2] is not a tensor of any known layer; supported: " in line
    assert line.endswith("--ignore PATTERN leaves them out of the network")


def test_only_and_ignore(npz):
    tensors = lstm("rnn") | {"criterion.weight": random(3), "odd": random(2)}
    file = npz(tensors)
    for options in ({"ignore": ("criterion.*", "odd")}, {"only": ("rnn.*",)}):
        model = import_checkpoint(file, options=ImportOptions(**options))
        assert [layer.name for layer in model.layers] == ["rnn.0"]
    assert refused(file, ignore=("fc.*",)).startswith("ignore fc.*: fits no name; there are rnn.")
    assert refused(file, ignore=("*",)).startswith("there is no layer in it; supported: ")


# Orders


def test_an_order_of_many_layers_is_not_looked_for_forever(tmp_path):
    rng, tensors = np.random.default_rng(0), {}
    for n in range(120):
        a, b = rng.integers(1, 12, 2)
        tensors[f"m{n}.weight"] = np.ones((a, b), np.float32)
    save_file(tensors, tmp_path / "net.safetensors")
    line = refused(tmp_path / "net.safetensors")
    assert "120 modules fit in too many orders; say which" in line or "only a single chain" in line


def test_an_order_of_120_layers_of_equal_widths(tmp_path):
    tensors = {f"m{n}.weight": np.full((4, 4), n, np.float32) for n in range(120)}
    save_file(tensors, tmp_path / "net.safetensors")
    assert "fit in either order" in refused(tmp_path / "net.safetensors")
    tensors |= {f"n{n}.weight": np.full((4, 4), n, np.float32) for n in range(120)}
    save_file(tensors, tmp_path / "net.safetensors")
    assert refused(tmp_path / "net.safetensors").startswith("240 modules, whose order the file ")


# Sizes


def npy(shape, data=b"", dtype="<f4"):
    stream = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def archive(file, **members):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(f"{name}.npy", content)
    return file


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**40,)])
def test_an_npz_member_that_declares_more_than_it_holds(tmp_path, shape):
    line = refused(archive(tmp_path / "net.npz", w=npy(shape, b"abcd")))
    assert "declares" in line or "along an axis is not possible" in line


def test_axes_that_no_array_has(tmp_path):
    line = refused(archive(tmp_path / "net.npz", w=npy((0, 2**62))))
    assert line.startswith(f"w.npy: {2**62} along an axis is not possible")
    header = json.dumps({"w": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}})
    data = len(header).to_bytes(8, "little") + header.encode()
    (tmp_path / "net.safetensors").write_bytes(data)
    line = refused(tmp_path / "net.safetensors")
    assert "along an axis is not possible" in line or "not a whole safetensors file" in line


def test_a_zip_bomb(tmp_path):
    file = archive(tmp_path / "net.npz", w=npy((1 << 20,), bytes(4 << 20)))
    assert file.stat().st_size < 10_000
    line = refused(file, most_bytes=1 << 20)
    assert line.startswith("w.npy: makes 0.00419 GB of values, the limit is 0.00105; --limit GB")


def test_members_of_one_name_and_what_goes_on_behind_an_array(tmp_path):
    file = archive(tmp_path / "net.npz", w=npy((1,), b"abcdmore"))
    assert "w.npy goes on behind its array" in refused(file)
    with zipfile.ZipFile(file, "a") as made, pytest.warns(UserWarning, match="Duplicate name"):
        made.writestr("w.npy", npy((1,), b"abcd"))
    assert "two members have one name" in refused(file)


def test_budget():
    budget = Budget(100)
    assert budget.take_array("a", (2, 3), 4) == 24
    with pytest.raises(UserError, match=r"^b: makes 1\.24e-07 GB of values, the limit is 1e-07; "):
        budget.take_array("b", (100,), 1)
    for shape in ((-1,), (2**31,), (1,) * 17):
        with pytest.raises(UserError, match="is not possible; save the file anew"):
            check_shape("c", shape)


# Parts of one checkpoint


@pytest.fixture
def shards(tmp_path):
    parts = [lstm("rnn"), {"fc.weight": random(2, 4)}]
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for name, tensors in zip(names, parts, strict=True):
        save_file(tensors, tmp_path / name)
    index = {tensor: name for name, part in zip(names, parts, strict=True) for tensor in part}
    file = tmp_path / "model.safetensors.index.json"
    file.write_text(json.dumps({"weight_map": index}))
    return [tmp_path / name for name in names], file


def test_a_sharded_checkpoint_is_read_whole(shards):
    parts, index = shards
    for file in (*parts, index):
        assert [layer.name for layer in import_checkpoint(file).layers] == ["rnn.0", "fc"]


def test_a_part_that_is_not_there(shards):
    parts, index = shards
    parts[1].unlink()
    for file in (parts[0], index):
        line = refused(file)
        assert line.startswith("is one of 2 parts, and model-00002-of-00002.safetensors is not be")


def test_an_index_that_does_not_fit(shards):
    parts, index = shards
    index.write_text(json.dumps({"weight_map": {"other.weight": parts[0].name}}))
    assert "other.weight is in the index and in none of the parts" in refused(parts[0])
    index.write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    assert "its first part is called '../../etc/passwd'" in refused(index)
    index.write_text("[" * 100_000)
    assert "not an index of safetensors files" in refused(index)


def test_layers_that_share_their_tensors(tmp_path):
    """As safetensors.torch.save_model writes them: kept once, with a note in the metadata."""
    tensors = lstm("rnn1") | {"fc.weight": random(2, 4)}
    shared = {name.replace("rnn1", "rnn2"): name for name in tensors if "rnn1" in name}
    save_file(tensors, tmp_path / "net.safetensors", metadata={"format": "pt", **shared})
    assert "rnn1.0 (4 -> 4) and rnn2.0 (4 -> 4) fit in either" in refused(
        tmp_path / "net.safetensors"
    )
    model = import_checkpoint(tmp_path / "net.safetensors", order=["rnn1", "rnn2", "fc"])
    np.savez(
        tmp_path / "net.npz",
        **{n.replace("rnn1", "a"): t for n, t in tensors.items() if "rnn1" in n},
        **{n.replace("rnn1", "b"): t for n, t in tensors.items() if "rnn1" in n},
        **{"fc.weight": tensors["fc.weight"]},
    )
    x = RNG.normal(size=(9, 4))
    expected, _ = run_float(import_checkpoint(tmp_path / "net.npz"), x)
    np.testing.assert_array_equal(run_float(model, x)[0], expected)


# TensorFlow 1


@pytest.mark.parametrize("name", ["rnn/basic_lstm_cell/kernel", "rnn/gru_cell/gates/kernel"])
def test_cells_of_another_layout(npz, name):
    line = refused(npz({name: random(9, 20)}))
    assert line.startswith(f"{name}: the kernel of a ") and "TensorFlow 1" in line


# PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def test_torchscript_that_does_other_things(torch, tmp_path):
    """Nothing of a program runs that has other operations than those of layers."""

    class Other(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.gelu(x)

    class Loads(torch.nn.Linear):
        @torch.jit.export
        def __getstate__(self):
            return (self.weight, self.training)

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]):
            self.weight = state[0]
            self.training = state[1]

    with warnings.catch_warnings(action="ignore"):  # that it is old
        torch.jit.script(Other()).save(tmp_path / "net.pt")
        line = refused(tmp_path / "net.pt")
        assert line.startswith("a TorchScript program with aten::gelu, which is not run; export it")
        torch.jit.script(Loads(2, 2)).save(tmp_path / "net.pt")
    assert "runs a __setstate__ when it is loaded, which is not done" in refused(
        tmp_path / "net.pt"
    )


def test_an_expanded_tensor(torch, tmp_path):
    torch.save({"fc.weight": torch.zeros(1).expand(10**6, 10**6)}, tmp_path / "net.pt")
    assert "fc.weight: makes 4e+03 GB of values, the limit is " in refused(tmp_path / "net.pt")
