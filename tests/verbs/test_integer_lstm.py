# SPDX-License-Identifier: Apache-2.0
"""The verbs on integer-only LSTMs."""

import json

import numpy as np
import pytest

import deltaloom as dl
from deltaloom import cli
from deltaloom.boards.flow.design import BoardDesign
from deltaloom.golden.data import Dataset
from deltaloom.golden.evaluation.thresholds import uniform_thresholds
from deltaloom.golden.integer_lstm.engine import run as run_golden
from deltaloom.golden.integer_lstm.export import float_to_tflite, to_tflite
from deltaloom.golden.integer_lstm.float_network import FloatNetwork, to_model
from deltaloom.golden.integer_lstm.network import IntegerNetwork
from deltaloom.golden.integer_lstm.recipe import quantize
from deltaloom.golden.integer_lstm.synthetic import make_frames, make_lstm_network
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.reports.lstm_paths import describe_lstm


@pytest.fixture
def place(tmp_path):
    """A folder with MODEL (plain), NORMED (all parts), D.npz, and of both .tflite files."""
    plain = make_lstm_network("plain", (4, 6), classes=3)
    normed = make_lstm_network("all", (4, 6), classes=3)
    to_model(plain).save(tmp_path / "model")
    normed.save(tmp_path / "normed")
    (tmp_path / "normed.tflite").write_bytes(float_to_tflite(normed, 5))
    rng = np.random.default_rng(0)
    lengths = [30, 20, 9]
    labels = tuple(rng.integers(-1, 3, n) for n in lengths)
    names = ("no", "yes", "[b]")
    Dataset(tuple(make_frames(4, lengths)), labels, names).save(tmp_path / "data.npz")
    return tmp_path


@pytest.fixture
def run(place, capsys, monkeypatch):
    """run(words): exit code, output and errors of a command in that folder."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "120")

    def of(words):
        """Warnings, which random networks get, are left out of the errors."""
        code = cli.main(words.split())
        out = capsys.readouterr()
        lines = out.err.splitlines(keepends=True)
        return code, out.out, "".join(line for line in lines if not line.startswith("warning: "))

    return of


QUANTIZE = "quantize model --data data.npz --scheme integer-lstm -o net"


def test_quantize_writes_the_network_and_a_file_for_litert(run, place):
    code, out, err = run(f"{QUANTIZE} --tflite net.tflite")
    assert (code, err) == (0, "")
    network = IntegerNetwork.load(place / "net")
    data, model = Dataset.load(place / "data.npz"), FloatModel.load(place / "model")
    expected = dl.quantize_integer_lstm(model, data)
    assert str(network) == str(expected)
    assert network.labels == ("no", "yes", "[b]")
    assert (place / "net.tflite").read_bytes() == to_tflite(network)
    assert "Calibrated on 59 frames, each sequence from its first state." in out
    assert "for LiteRT -> net.tflite" in out
    cell = f"Q{15 + network.layers[0].cell_log2}.{-network.layers[0].cell_log2}"
    assert cell in out and f"{network.size_bits / 8000:.1f} kB -> net" in out


def test_quantize_tells_each_path_and_writes_a_page(run, place):
    words = "quantize normed --data data.npz --scheme integer-lstm -o net --report page.html"
    code, out, err = run(f"{words} --json out.json")
    assert (code, err) == (0, "") and "report -> page.html" in out
    network, numbers = (
        IntegerNetwork.load(place / "net"),
        json.loads((place / "out.json").read_text()),
    )
    reports = describe_lstm(
        network, FloatNetwork.load(place / "normed"), Dataset.load(place / "data.npz")
    )
    assert [(path["name"], path["product_sqnr"]) for path in numbers["paths"]] == [
        (report.name, report.product_sqnr) for report in reports
    ]
    assert {"lstm.0.m", "linear.0.x"} <= {path["name"] for path in numbers["paths"]}
    layers = [layer["name"] for layer in numbers["saturation"]["layers"]]
    assert layers == ["lstm.0", "lstm.0.projection", "linear.0"]
    titles = ["Paths", "Codes and scales", "Saturation", "Weights and activations"]
    text = (place / "page.html").read_text()
    places = [text.index(f"<h2>{title}") for title in titles]
    assert places == sorted(places)
    assert f"{network.x.scale:.4g}, {network.x.zero_point}" in text
    run(QUANTIZE)
    assert (place / "net.report.html").is_file()  # as of other schemes
    assert run(f"{QUANTIZE} --report none")[1].count("report -> ") == 0


def test_what_quantize_wrote_is_imported_again(run, place):
    assert run(f"{QUANTIZE} --tflite net.tflite")[0] == 0
    code, out, _ = run("import net.tflite -o again --labels no,yes,maybe --no-check")
    assert code == 0
    assert "not checked against LiteRT (--no-check)" in out
    assert "an integer-only LSTM network, " in out
    again = dl.load(place / "again")
    assert not again.calibrated and dl.load(place / "net").calibrated
    assert again.labels == ("no", "yes", "maybe")
    x = np.random.default_rng(0).integers(-128, 128, (9, 4))
    own = run_golden(IntegerNetwork.load(place / "net"), [x]).outputs
    np.testing.assert_array_equal(run_golden(again, [x]).outputs, own)


def test_float_files_that_no_cell_covers_are_for_this_scheme(run, place):
    code, out, _ = run("import normed.tflite -o floats --no-check")
    assert code == 0
    assert "which `deltaloom quantize --scheme integer-lstm` takes, and no other scheme" in out
    assert "coupled gates, peepholes, layer norm, projection, cell clip" in out
    assert isinstance(dl.load(place / "floats"), FloatNetwork)
    code, _, err = run("quantize floats --data data.npz -o net")
    assert code == 2 and err.endswith("integer-lstm`, `sweep` and `search` take it\n")
    assert run("quantize floats --data data.npz --scheme integer-lstm -o net")[0] == 0
    assert run("evaluate net --data data.npz --model floats")[0] == 0


def test_corrected_and_thresholds(run, place):
    words = "quantize normed --data data.npz --scheme integer-lstm --corrected --threshold 3 -o net"
    code, out, _ = run(words)
    network = IntegerNetwork.load(place / "net")
    assert code == 0 and network.layers[0].corrected
    assert {path.threshold for _, path in network.paths()} == {3}
    code, _, err = run(f"{words} --tflite net.tflite")
    assert code == 2 and "lstm.0: has corrections of LiteRT, which no .tflite file holds" in err
    code, out, _ = run(f"{QUANTIZE} --threshold 3 --tflite net.tflite")
    assert "for LiteRT, without its delta thresholds -> net.tflite" in out


def test_evaluate(run, place):
    run(f"{QUANTIZE} --threshold 4")
    code, out, err = run("evaluate net --data data.npz --model model --json out.json")
    assert (code, err) == (0, "")
    network, data = IntegerNetwork.load(place / "net"), Dataset.load(place / "data.npz")
    found = dl.evaluate(network, data, dl.load(place / "model"))
    numbers = json.loads((place / "out.json").read_text())
    for name in ("quantized_error", "delta_error", "eliminated_operations", "size_bits"):
        assert numbers[name] == getattr(found, name)
    assert numbers["thresholds"] == {"lstm.0.x": 4, "lstm.0.h": 4, "linear.0.x": 4}
    codes = [network.x.codes(x) for x in data.features]
    for which, net in (("quantized_error", network.dense()), ("delta_error", network)):
        result = run_golden(net, codes)
        wrong = np.concatenate(result.outputs).argmax(axis=1) != np.concatenate(data.labels)
        scored = np.concatenate(data.labels) >= 0
        assert numbers[which] == 100 * wrong[scored].mean()
    events = sum(
        counts.sum() * dict(network.paths())[name].rows
        for name, sequences in result.events.items()
        for counts in sequences
    )
    eliminated = 100 * (1 - events / (data.frames * network.macs))
    assert numbers["eliminated_operations"] == pytest.approx(eliminated)
    assert "8/8" in out and "frame error, quantized, delta" in out
    assert found.fidelity["quantized"].nmse < -20


def test_evaluate_with_other_thresholds_and_a_report(run, place):
    run(QUANTIZE)
    words = "evaluate net --data data.npz --threshold lstm.0.h=9 --threshold linear.0.x=2"
    code, out, _ = run(f"{words} --json out.json --report page.html")
    assert code == 0 and "report -> page.html" in out
    numbers = json.loads((place / "out.json").read_text())
    assert numbers["thresholds"] == {"lstm.0.x": 0, "lstm.0.h": 9, "linear.0.x": 2}
    network = IntegerNetwork.load(place / "net")
    area = dl.estimate(network, Dataset.load(place / "data.npz"))
    assert "arithmetic: integer-lstm is not in the energy model; let build --asic measure" in out
    assert numbers["estimated_area"]["luts"] == area.luts
    assert numbers["estimated_cycles_per_step"]["dense"] == area.cycles_per_step_dense
    assert numbers["boards"]["ulx3s_85f"]["fits"] and numbers["estimated_energy_nj"] is None
    text = (place / "page.html").read_text()
    titles = ("Error and cost", "Hardware, estimated", "Saturation", "Codes and scales")
    for title in (*titles, "Events over time"):
        assert f"<h2>{title}" in text
    assert "<h2>Paths" not in text
    assert run(f"{words} --model model --report page.html")[0] == 0
    text = (place / "page.html").read_text()
    assert "<h2>Paths" in text and "histogram of lstm.0.h activations" in text
    code, _, err = run("evaluate net --data data.npz --threshold lstm.0.z=9")
    assert code == 2 and "no such path; paths: lstm.0.x, lstm.0.h, linear.0.x" in err


@pytest.mark.parametrize("method", ["groups", "uniform", "greedy"])
def test_tune(run, place, method):
    run(QUANTIZE)
    words = f"tune net --data data.npz --method {method} --allowed 5 --workers 1 -o tuned"
    code, _, err = run(f"{words} --candidates 0,8,32 --model model")
    assert "<h2>Saturation" in (place / "tuned.report.html").read_text()
    assert (code, err) == (0, "")
    tuned = IntegerNetwork.load(place / "tuned")
    thresholds = {name: path.threshold for name, path in tuned.paths()}
    assert set(thresholds.values()) <= {0, 8, 32} and any(thresholds.values())
    if method == "groups":
        assert thresholds["lstm.0.x"] == 0


def test_generate(run, place):
    run(f"{QUANTIZE} --threshold 4")
    code, out, err = run("generate net -o rtl --word-bits 64 --testbench data.npz")
    assert (code, err) == (0, "") and "integer_lstm_c" in out and "integer_linear" in out
    manifest = json.loads((place / "rtl/manifest.json").read_text())
    network = IntegerNetwork.load(place / "net")
    assert manifest["config"]["arithmetic"] == "integer-lstm"
    assert manifest["x"] == {"scale": network.x.scale, "zero_point": network.x.zero_point}
    assert manifest["y"] == {"scale": network.y.scale, "zero_point": network.y.zero_point}
    assert (manifest["x_exponent"], manifest["y_exponent"]) == (None, None)
    assert {entry["path"] for entry in manifest["lists"]} == {n for n, _ in network.paths()}
    assert {entry["threshold"] for entry in manifest["lists"]} == {4}
    assert (place / "rtl/deltaloom_tb_in.hex").read_text().count("\n") == 20 * network.inputs
    code, _, err = run("generate net -o rtl --lanes shift_add")
    assert code == 2 and "'shift_add' is not possible for an integer-only LSTM" in err


def test_generate_with_several_normalised_values_a_cycle(run, place):
    data = Dataset.load(place / "data.npz")
    quantize(make_lstm_network("norm", (4, 6)), data).save(place / "net")
    code, _, err = run("generate net -o rtl --word-bits 32 --norm-lanes 2")
    assert (code, err) == (0, "")
    dl.generate(IntegerNetwork.load(place / "net"), place / "api", word_bits=32, norm_lanes=4)
    for folder, lanes in (("rtl", 2), ("api", 4)):
        manifest = json.loads((place / folder / "manifest.json").read_text())
        assert manifest["config"]["norm_lanes"] == lanes
    for lanes in (0, 3, 16):
        code, _, err = run(f"generate net -o no --word-bits 32 --norm-lanes {lanes}")
        line = f"--norm-lanes: {lanes} is not possible, it must be one of 1, 2, 4\n"
        assert (code, err) == (2, f"deltaloom: {line}")


def test_generate_refuses_norm_lanes_where_nothing_is_normalised(run, place):
    data = Dataset.load(place / "data.npz")
    quantize(make_lstm_network("plain", (4, 6)), data).save(place / "net")
    code, _, err = run("generate net -o no --word-bits 32 --norm-lanes 2")
    assert code == 2
    assert "--norm-lanes: 2 is not possible, it is for integer-only LSTMs with layer norm" in err
    assert "leave it out" in err


@pytest.mark.slow
def test_simulate(run, place):
    run(QUANTIZE)
    words = "simulate net --data data.npz --frames 20 --word-bits 64 --sim icarus --workdir sim"
    assert run(f"{words} --threshold 2 --json out.json")[0] == 0
    runs = json.loads((place / "out.json").read_text())["runs"]
    assert [figures["mismatches"] for figures in runs] == [0, 0]
    assert runs[0]["words"] == 20 * IntegerNetwork.load(place / "net").outputs


def test_run(run, place):
    """Golden in the accelerator's place; a board's design is as `build` leaves it for hosts."""
    run(f"{QUANTIZE} --threshold 2")
    code, out, _ = run("run net --data data.npz --port golden -o out.npz")
    assert code == 0 and "words that differ" in out
    network, data = IntegerNetwork.load(place / "net"), Dataset.load(place / "data.npz")
    codes = np.concatenate(run_golden(network, [*map(network.x.codes, data.features)]).outputs)
    with np.load(place / "out.npz") as written:
        wanted = network.y.real(codes).astype(np.float32)
        np.testing.assert_array_equal(written["outputs"], wanted)
    assert run("build net --board ulx3s_85f --word-bits 64 --simulated -o built")[0] == 0
    code, _, _ = run("run net --data data.npz --port golden --build built --frames 5")
    assert code == 0
    assert BoardDesign.load(place / "built").config.arithmetic == "integer-lstm"
    BoardDesign.network(place / "built").save(place / "again")
    assert (place / "again").read_bytes() == (place / "net").read_bytes()


@pytest.mark.slow
def test_run_on_a_simulated_board(run, place):
    run("import normed.tflite -o floats --no-check")
    run("quantize floats --data data.npz --scheme integer-lstm --threshold 2 -o net")
    assert run("build net --board ulx3s_85f --word-bits 64 --simulated -o built")[0] == 0
    assert run("run net --data data.npz --port sim --build built --frames 20 --json out")[0] == 0
    figures = json.loads((place / "out").read_text())
    assert figures["differ"] == 0 and figures["words"] > 0


def test_finetuning_refuses_by_name(run):
    pytest.importorskip("torch")
    run(QUANTIZE)
    code, out, err = run("finetune net --model model --data data.npz --tune-data data.npz -o out")
    assert (code, out) == (2, "")
    assert err == (
        "deltaloom: net: holds an integer-only LSTM network, a quantized network is wanted; all "
        "verbs but `deltaloom quantize` and `finetune` take it: choose its thresholds with "
        "`deltaloom tune`, or quantize the float model with another scheme\n"
    )
    run("quantize model --data data.npz -o own")
    code, _, err = run("finetune own --model net --data data.npz --tune-data data.npz -o out")
    assert code == 2 and "--model: net holds an integer-only LSTM network, a float model" in err


def test_sweep_beside_our_own_arithmetic(run, place):
    words = "sweep model --data data.npz --test data.npz --weights 8 --activations 8"
    words += " --scheme integer-lstm --scheme 4-bit --thresholds 8,0,8 --report page.html"
    code, out, err = run(f"{words} --json out.json -o out.csv")
    assert (code, err) == (0, "") and "integer-lstm" in out
    found = json.loads((place / "out.json").read_text())
    names = ["", "", "integer-lstm", "integer-lstm", "4-bit", "4-bit"]
    by_name = {(p["scheme"], p["threshold"]): p for p in found["points"]}
    assert sorted(p["scheme"] for p in found["points"]) == sorted(names)
    assert by_name["4-bit", 0]["weight_bits"] is None  # 16 of the candidate's path
    run(QUANTIZE)
    network, data = IntegerNetwork.load(place / "net"), Dataset.load(place / "data.npz")
    for threshold in (0, 8):
        point = by_name["integer-lstm", threshold]
        own = dl.evaluate(uniform_thresholds(network, threshold), data, dl.load(place / "model"))
        assert (point["error"], point["eliminated"]) == (own.delta_error, own.eliminated_operations)
        assert point["size_bits"] == network.size_bits and point["weight_bits"] == 8
        assert found["float_error"] == own.float_error
    text = (place / "page.html").read_text()
    assert "<h2>Delta thresholds" in text and "<h2>Schemes, threshold 0" in text
    assert (place / "out.csv").read_text().count("\n") == 7


def test_sweep_of_float_networks_and_of_networks(run, place):
    run("import normed.tflite -o floats --no-check")
    run("quantize floats --data data.npz --scheme integer-lstm -o net")
    sweep = "--test data.npz --thresholds 0,4 --json"
    assert run(f"sweep floats --data data.npz {sweep} floats.json")[0] == 0
    assert run(f"sweep net --model floats {sweep} net.json")[0] == 0
    files = [(place / name).read_text() for name in ("floats.json", "net.json")]
    assert files[0] == files[1] and json.loads(files[0])["float_error"] is not None
    code, out, _ = run(f"sweep net {sweep} net.json --keep-input")
    assert code == 0 and "float" not in out
    assert json.loads((place / "net.json").read_text())["float_error"] is None
    code, _, err = run(f"sweep floats --data data.npz {sweep} x --scheme 8-bit")
    assert code == 2 and "8-bit: floats holds a float LSTM network, which no cell covers" in err


def test_options_of_a_method_are_for_what_is_beside_the_integer_lstm(run, place):
    for more in ("--weights 8", "--scheme 4-bit"):
        assert run(f"{SWEEP} {more} --clipping max")[0] == 0


@pytest.mark.parametrize("verb", ["evaluate net --data", "sweep net --test", "tune net --data"])
def test_a_network_is_no_float_model(run, verb):
    run(QUANTIZE)
    code, _, err = run(f"{verb} data.npz --model net")
    wanted = "--model: net holds an integer-only LSTM network, a float model is wanted; name the"
    assert code == 2 and wanted in err and err.count("\n") == 1


def test_a_model_of_other_layers_is_told(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    make_lstm_network("plain", (4, 7), classes=3).save(place / "other")
    cli.main(QUANTIZE.split())
    line = (
        "warning: the layers are not the model's: lstm.0 (lstm, plain, 6 cells, 4 inputs, 6 "
        "outputs), the model's lstm.0 (lstm, plain, 7 cells, 4 inputs, 7 outputs); linear.0 "
        "(linear, 6 inputs, 3 outputs), the model's linear.0 (linear, 7 inputs, 3 outputs); give "
        "the model that the network was quantized from\n"
    )
    search = "search net --evaluations 4 --workers 1 -o found --tune-data"
    for verb in ("evaluate net --data", "sweep net --test", "tune net --data", search):
        for model, count in (("other", 1), ("model", 0)):
            capsys.readouterr()
            assert cli.main([*verb.split(), "data.npz", "--model", model, "--json", "j"]) == 0
            assert capsys.readouterr().err.count(line) == count


def test_search(run, place):
    """The same of a float model, of a float network and of a network beside its model."""
    options = "--tune-data data.npz --thresholds 0,9,30 --evaluations 30 --workers 1"
    run("import normed.tflite -o floats --no-check")
    run("quantize floats --data data.npz --scheme integer-lstm -o net")
    words = f"search floats --data data.npz {options} -o one --objective error --objective cycles"
    code, out, err = run(f"{words} --knee")
    assert (code, err) == (0, "") and "paths: lstm.0.x lstm.0.h lstm.0.m linear.0.x" in out
    assert not (place / "one" / "scheme.toml").exists() and "scheme.toml" not in out
    front = json.loads((place / "one" / "front.json").read_text())
    best = front["front"][front["knee"]]
    network = IntegerNetwork.load(place / "one" / "network.safetensors")
    assert {n: p.threshold for n, p in network.paths()} == best["thresholds"]
    data = Dataset.load(place / "data.npz")
    assert best["values"]["error"] == dl.evaluate(network, data).delta_error
    assert best["values"]["cycles"] == pytest.approx(dl.estimate(network, data).cycles_per_step)
    run(f"search net --model floats {options} -o two --objective error --objective cycles")
    assert json.loads((place / "two" / "front.json").read_text()) == front
    words = f"search model --scheme integer-lstm --data data.npz {options} -o three"
    assert run(words)[0] == 0
    found = json.loads((place / "three" / "front.json").read_text())
    assert found["objectives"] == ["error", "eliminated"]
    assert {tuple(bits) for one in found["front"] for bits in one["bits"].values()} == {(8, 8)}


SEARCH = "search net --tune-data data.npz -o found"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--weights 4", "--weights: is for models that are quantized for each candidate, and here"),
        ("--tied", "--tied: is for models that"),
        ("--rounding gptq", "--rounding: is for models that"),
        ("--beacons data.npz", "--beacons: is for models that"),
        ("--data data.npz", "--data: net is quantized already; leave it out"),
        ("--scheme integer-lstm", "--scheme: net is quantized already; leave it out"),
        ("--objective nmse --objective energy", "objective energy: the energy model does not have"),
        ("--vary skip=none,all", "skip: cannot vary, the network is quantized already"),
        ("--vary lanes=shift_add,multiplier", "lanes: 'shift_add' is not possible for an integer"),
        ("--lanes shift_add", "lanes: 'shift_add' is not possible for an integer-only LSTM, it"),
        ("--objective error --objective size", "objective size: is the same for all candidates"),
        (
            "--objective error --objective luts",
            "objective luts: is the same for all candidates, the network's bits do not vary, nor",
        ),
        ("--model net", "--model: net holds an integer-only LSTM network, a float model is wanted"),
    ],
)
def test_searches_of_a_network_that_are_none(run, words, text):
    if "beacons" in words:
        pytest.importorskip("torch")
    run(QUANTIZE)
    code, _, err = run(f"{SEARCH} {words}")
    assert code == 2 and text in err and err.count("\n") == 1


SWEEP = "sweep model --data data.npz --test data.npz --scheme integer-lstm"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (f"{QUANTIZE} --weight-bits 4", "--weight-bits: --scheme integer-lstm settles it; leave"),
        (f"{QUANTIZE} --path lstm.0.x=4/8", "--path: --scheme integer-lstm settles it; leave it"),
        (f"{QUANTIZE} --report model", "--report model: is another file of this run"),
        (f"{QUANTIZE} --tflite model", "--tflite model: "),
        (f"{QUANTIZE} --threshold 256", "threshold: 256 is not possible, it must be 0..255"),
        (
            "quantize model --data data.npz --tflite x.tflite -o net",
            "--tflite: is for --scheme int",
        ),
        ("quantize model --data data.npz --corrected -o net", "--corrected: is for --scheme integ"),
        ("import normed.tflite -o net --order a,b", "a graph tells it; leave --order out"),
        ("import normed.tflite -o net --only x", "a .tflite file takes only --labels"),
        ("import normed.tflite -o normed.tflite", "is the checkpoint itself; name another file"),
        ("import gone.tflite -o net", "gone.tflite: no such file"),
        ("sweep model --test data.npz", "--data: is missing; model is a float model"),
        (f"{SWEEP} --clipping max", "--clipping: --scheme integer-lstm settles it; leave it out"),
        (f"{SWEEP} --method gptq", "--method: --scheme integer-lstm settles it; leave it out"),
        (
            f"{SWEEP.replace('model', 'normed')} --skip none",
            "--skip: --scheme integer-lstm settles it",
        ),
        (f"{SWEEP} --scheme integer-lstm", "--scheme integer-lstm: is given twice; leave one"),
        (f"{SWEEP} --scheme 8-bit --scheme 8-bit", "--scheme 8-bit: is given twice; leave one of"),
        (
            "search model --tune-data data.npz -o found",
            "--data: is missing; model is a float model",
        ),
        (
            "search model --data data.npz --tune-data data.npz --model model -o found",
            "--model: mod",
        ),
        ("sweep model --data data.npz --test data.npz --model model", "--model: model is a float"),
        (
            "sweep model --data data.npz --test data.npz --thresholds a",
            "--thresholds 'a': expected",
        ),
    ],
)
def test_wrong_words(run, words, text):
    code, _, err = run(words)
    assert code == 2 and text in err and err.count("\n") == 1


def test_python_s_names(place):
    model, data = dl.load(place / "model"), dl.Dataset.load(place / "data.npz")
    network = dl.quantize_integer_lstm(model, data)
    assert isinstance(network, dl.IntegerNetwork)
    dl.export_tflite(network, place / "out.tflite")
    options = dl.ImportOptions(check=False)
    again = dl.import_tflite(place / "out.tflite", options=options)
    assert str(again.layers[0]) == str(network.layers[0])
    tuned = dl.tune(network, data, method="uniform", allowed=50)
    assert isinstance(tuned.network, dl.IntegerNetwork)
    with pytest.raises(dl.UserError, match=r"deltaloom\.quantize_integer_lstm take it"):
        dl.quantize(model, data, "integer-lstm")
    assert quantize(dl.import_tflite(place / "normed.tflite", options=options), data).outputs == 3
