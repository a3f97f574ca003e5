# SPDX-License-Identifier: Apache-2.0
"""`import deltaloom`: the whole chain through it alone; the import itself costs nothing."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import deltaloom as dl
from deltaloom.golden.integer_lstm.synthetic import make_lstm_network
from deltaloom.golden.models.synthetic import make_network

INPUTS, UNITS, CLASSES = 4, 5, 3


def sequences(*lengths):
    rng = np.random.default_rng(0)
    return tuple(
        np.cumsum(rng.normal(size=(n, INPUTS)), axis=0).astype(np.float32) / 4 for n in lengths
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The tensors of an LSTM with a linear layer behind it, as PyTorch names them."""
    rng = np.random.default_rng(1)
    shapes = {
        "lstm.weight_ih_l0": (4 * UNITS, INPUTS),
        "lstm.weight_hh_l0": (4 * UNITS, UNITS),
        "fc.weight": (CLASSES, UNITS),
        "fc.bias": (CLASSES,),
    }
    file = tmp_path_factory.mktemp("api") / "model.safetensors"
    save_file({name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}, file)
    return file


@pytest.fixture(scope="module")
def model(checkpoint):
    return dl.import_model(checkpoint, labels=["a", "b", "c"])


@pytest.fixture(scope="module")
def data(model):
    """Frames labelled at random, the calibration's own."""
    rng = np.random.default_rng(2)
    frames = sequences(30, 12)
    return dl.Dataset(frames, tuple(rng.integers(0, CLASSES, len(x)) for x in frames))


@pytest.fixture(scope="module")
def network(model, data):
    return dl.quantize(model, data, dl.Scheme(weight_bits=4))


def test_the_whole_chain(checkpoint, tmp_path):
    model = dl.import_model(str(checkpoint))
    rng = np.random.default_rng(2)
    frames = sequences(30, 12)
    data = dl.Dataset(frames, tuple(rng.integers(0, CLASSES, len(x)) for x in frames))
    network = dl.quantize(model, data, "4-bit")
    assert {path.weight_bits for _, path in network.paths()} >= {4}
    tuned = dl.tune(network, data, method="uniform", allowed=100, candidates={4: (0, 1)})
    network = tuned.network
    evaluation = dl.evaluate(network, data, model, metrics=["frame", "cross-entropy"])
    assert evaluation.delta_error == tuned.chosen.error
    assert [*evaluation.errors] == ["frame", "cross-entropy"]
    design = dl.generate(network, str(tmp_path / "rtl"), word_bits=32)
    assert "module deltaloom(" in design.verilog.read_text()
    report = dl.simulate(design, network, data, frames=6, simulator="icarus", backpressure=0.2)
    assert report.ok, str(report)
    assert (report.words, report.sequences) == (6 * CLASSES, 2)
    assert (tmp_path / "rtl" / "simulation" / "runs").is_dir()
    estimate = dl.estimate(network, data, word_bits=32)
    assert 0 < estimate.cycles_per_step < estimate.cycles_per_step_dense
    assert estimate.luts > 1000 and f"{estimate.luts:,}" in str(estimate)
    assert estimate.energy_nj > 10 and estimate.energy_corner in str(estimate)


def test_where_every_element_changes_the_cycles_are_the_dense_ones():
    """Of the same sequences, their starts included."""
    network = make_network([("linear", CLASSES)], INPUTS)
    rng = np.random.default_rng(0)
    signs = [rng.choice([-1.0, 1.0], INPUTS) * (-1.0) ** np.arange(n)[:, None] for n in (5, 3)]
    found = dl.estimate(network, dl.Dataset(tuple(x.astype(np.float32) for x in signs)))
    assert found.cycles_per_step == found.cycles_per_step_dense
    assert found.cycles_per_step_dense != dl.estimate(network).cycles_per_step_dense


def test_an_evaluation_is_a_table(network, data, model, capsys):
    evaluation = dl.evaluate(network, data, model)
    print(evaluation)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "path"
    assert [line.split()[0] for line in lines[1:4]] == ["lstm.0.x", "lstm.0.h", "fc.x"]
    rows = dict(line.rsplit("  ", 1) for line in lines[5:])
    rows = {name.strip(): value.strip() for name, value in rows.items()}
    assert rows["frame error, float"] == f"{evaluation.float_error:.2f} %"
    assert rows["frames (sequences)"] == "42 (2)"
    assert len({len(line) for line in lines[5:]}) == 1 and max(map(len, lines)) <= 80


def test_every_field_of_an_evaluation_is_documented(network, data):
    for found in (dl.evaluate(network, data), dl.estimate(network)):
        text = type(found).__doc__.partition("Members")[2]
        for field in found.__dataclass_fields__:
            assert field in text, field


def test_tuning_prints_its_front(network, data):
    tuning = dl.tune(network, data, method="uniform", candidates={8: (0, 4, 200)})
    lines = str(tuning).splitlines()
    assert lines[0].split() == ["frame", "error,", "%", "eliminated,", "%", "thresholds"]
    assert len(lines) == 1 + len(tuning.front)
    (chosen,) = [line for line in lines if line.endswith("<- chosen")]
    assert f"{tuning.chosen.error:.2f}" in chosen


@pytest.mark.parametrize("as_text", [False, True])
def test_save_and_load(model, network, tmp_path, as_text):
    for n, one in enumerate((model, network)):
        file = tmp_path / f"{n}.safetensors"
        file = str(file) if as_text else file
        one.save(file)
        for again in (dl.load(file), type(one).load(file)):
            assert type(again) is type(one)
            again.save(tmp_path / "again")
            assert (tmp_path / "again").read_bytes() == (tmp_path / f"{n}.safetensors").read_bytes()


def test_data_by_name(data, tmp_path):
    data.save(str(tmp_path / "data.npz"))
    assert dl.Dataset.load(str(tmp_path / "data.npz")).frames == data.frames


def test_load_refuses_a_checkpoint(checkpoint, tmp_path):
    with pytest.raises(dl.UserError, match="without deltaloom's header"):
        dl.load(checkpoint)
    with pytest.raises(dl.UserError, match="no such file"):
        dl.load(tmp_path / "absent")


def test_errors_are_one_line(network, data):
    with pytest.raises(dl.UserError, match="scheme '3-bit': no such scheme"):
        dl.quantize(None, data, "3-bit")
    with pytest.raises(dl.UserError, match="metric 'loss': not known"):
        dl.evaluate(network, data, metrics=["loss"])
    with pytest.raises(dl.UserError, match="board 'abacus' is unknown"):
        dl.build(network, "anywhere", board="abacus")


def test_integer_only_lstms_are_refused_by_name(model, network, data, tmp_path):
    floats = make_lstm_network("plain", (INPUTS, UNITS), classes=CLASSES)
    lstm = dl.quantize_integer_lstm(floats, data)
    wrong = "network: is an integer-only LSTM network, a quantized network is wanted; all verbs"
    with pytest.raises(dl.UserError, match=f"^{wrong}"):
        dl.finetune(lstm, model, data, data)
    estimate = dl.estimate(lstm, data)
    assert estimate.cycles_per_step > 0 and estimate.cycles_per_step_dense > 0
    assert estimate.luts > 0 and estimate.boards["ulx3s_85f"]
    for it in (lstm, floats):
        steps = dl.Stepper(it)
        outputs = dl.run(it, data).outputs[0]
        np.testing.assert_allclose([steps.step(x) for x in data.features[0]], outputs, atol=1e-12)
    wrong = "model: is a float LSTM network, a float model is wanted; no cell has all"
    for refused in (
        lambda: dl.quantize(floats, data),
        lambda: dl.finetune(network, floats, data, data),
    ):
        with pytest.raises(dl.UserError, match=f"^{wrong}"):
            refused()
    assert dl.evaluate(lstm, data, floats).float_error is not None  # which takes both


def test_names():
    assert set(dl.__all__) <= set(dir(dl))
    assert all(getattr(dl, name) is getattr(dl, name) for name in dl.__all__)
    with pytest.raises(AttributeError, match="module 'deltaloom' has no attribute 'numpy'"):
        _ = dl.numpy


@pytest.mark.parametrize("name", sorted(set(dl.__all__) - {"__version__"}))
def test_every_name_is_documented(name):
    thing = getattr(dl, name)
    assert thing.__doc__ and len(thing.__doc__.split()) > 10
    if inspect.isfunction(thing):
        own = inspect.signature(thing).parameters
        documented = thing.__doc__.partition("Parameters")[2]
        first = ("file", "model", "network", "folder", "data")
        assert all(p in documented or p in first or p == "progress" for p in own), name


HEAVY = ("numpy", "safetensors", "rich", "amaranth", "torch", "matplotlib", "cocotb", "onnx")


@pytest.mark.parametrize("line", ["import deltaloom", "import deltaloom as dl; dir(dl)"])
def test_the_import_is_light(line):
    code = f"import sys; {line}; print(sorted(set({HEAVY}) & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.stdout.strip(), process.stderr) == ("[]", "")


def test_quantizing_imports_no_hardware():
    code = (
        "import sys, deltaloom as dl; dl.Network, dl.Dataset, dl.quantize, dl.UserError;"
        f"print(sorted(set({HEAVY[3:]}) & set(sys.modules)))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (process.stdout.strip(), process.stderr) == ("[]", "")


def test_type_checkers_see_the_same_names():
    """What is imported for them is what `__getattr__` finds, from the same modules."""
    tree = ast.parse(Path(dl.__file__).read_text("utf-8"))
    (branch,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in branch.body for alias in node.names}
    homes = {name: dl._HOMES.get(name, "api") for name in dl.__all__ if name != "__version__"}
    assert seen == homes


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    """docs/api.md: a decoder that goes on from what a run left; its two ways agree."""
    page = (Path(__file__).parent.parent / "docs" / "api.md").read_text("utf-8")
    (code,) = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "api.md", "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) >= 7
    first = dl.Stepper(names["network"], {k: v[0] for k, v in names["left"].items()})
    again = dl.run(names["network"], names["going_on"]).outputs[0][0]
    np.testing.assert_array_equal(first.step(names["walks"][0][-1]), again)
