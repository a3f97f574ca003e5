# SPDX-License-Identifier: Apache-2.0
"""The command line: verbs, exit codes, the one line of an error, and `import`."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import deltaloom
from deltaloom import cli, verbs
from deltaloom.golden.data import Dataset
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.models.synthetic import make_network
from deltaloom.verbs.import_ import read_labels


@pytest.fixture
def checkpoint(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {
        "net.lstm.weight_ih_l0": (20, 3),
        "net.lstm.weight_hh_l0": (20, 5),
        "net.[fc].weight": (2, 5),
        "net.[fc].bias": (2,),
    }
    file = tmp_path / "net.npz"
    np.savez(file, **{name: rng.normal(size=shape) for name, shape in shapes.items()})
    return file


def run_import(*words):
    return cli.main(["import", *map(str, words)])


def spoil(monkeypatch, error):
    """Makes the verb `import` raise `error`."""

    def run(self, args):
        raise error

    monkeypatch.setattr("deltaloom.verbs.import_.Import.run", run)
    return cli.main(["import", "a", "-o", "b"])


# The program


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"deltaloom {deltaloom.__version__}\n"


def test_help_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in verbs.VERBS:
        assert re.search(rf"^    {name}\s", text, re.MULTILINE)


@pytest.mark.parametrize("name", verbs.VERBS)
def test_verbs_keep_the_rules(name, capsys):
    verb = verbs.load(name)
    assert verb.help[0].islower() and "\n" not in verb.help and not verb.help.endswith(".")
    assert cli.main([name, "--help"]) == 0
    assert f"usage: deltaloom {name} " in capsys.readouterr().out


SIMULATE = ["simulate", "net", "--data", "d"]
QUANTIZE = ["quantize", "m", "--data", "d", "-o", "n"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], ["the following arguments are required: VERB", "`deltaloom --help`"]),
        (
            ["weave"],
            ["VERB: invalid choice: 'weave' (choose from ", "import", "demo", "`deltaloom"],
        ),
        (["import"], ["arguments are required: ", "-o", "`deltaloom import --help`"]),
        (
            ["import", "a", "-o", "b", "--nothing"],
            ["unrecognized arguments: --nothing; `deltaloom import --help`"],
        ),
        ([*SIMULATE, "--sim", "foo"], ["--sim: invalid choice: 'foo' (choose from ", "verilator"]),
        (
            [*SIMULATE, "--frames", "x"],
            ["--frames: invalid int value: 'x'", "`deltaloom simulate "],
        ),
        ([*QUANTIZE, "--weight-bits", "1"], ["--weight-bits", ": invalid choice: 1 (choose", "16"]),
        ([*SIMULATE, "--sim"], ["--sim: expected one argument; `deltaloom simulate --help`"]),
        ([*SIMULATE, "two\nlines"], ["unrecognized arguments: two lines; `deltaloom simulate "]),
        (
            [*QUANTIZE, "--weights", "4", "--activations=8"],
            [
                "unrecognized arguments: --weights 4 --activations=8; there is --weight-bits",
                " and --activation-bits; `deltaloom quantize --help` tells what there is\n",
            ],
        ),
        (
            ["sweep", "m", "--test", "t", "--weight-bits", "4"],
            ["arguments: --weight-bits 4; there is --weights; `deltaloom sweep --help`"],
        ),
    ],
)
def test_wrong_usage_is_one_line(words, parts, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.endswith(" --help` tells what there is\n")
    assert err.startswith("deltaloom: ") and not err.startswith("deltaloom: argument ")
    for part in parts:
        assert part in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("bits: 3 is not possible"), 2, "deltaloom: bits: 3 is not possible\n"),
        (UserError("two\nlines"), 2, "deltaloom: two lines\n"),
        (OSError(28, "No space left", "disk/f"), 2, "deltaloom: disk/f: No space left\n"),
        (OSError("odd"), 2, "deltaloom: odd\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_one_line_and_a_code(monkeypatch, capsys, error, code, line):
    assert spoil(monkeypatch, error) == code
    assert capsys.readouterr() == ("", line)


def test_a_bug_is_not_hidden(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        spoil(monkeypatch, ZeroDivisionError())


def test_console_script_exits_with_the_code(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["deltaloom", "--version"])
    with pytest.raises(SystemExit) as stop:
        cli.entry()
    assert stop.value.code == 0


PROGRAM = [sys.executable, "-c", "from deltaloom.cli import entry; entry()"]


@pytest.mark.parametrize("words", [["--help"], ["import", "net.npz", "-o", "model"]])
def test_a_closed_pipe_is_quiet(words, checkpoint):
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [*PROGRAM, *words], stdout=writer, stderr=subprocess.PIPE, cwd=checkpoint.parent
    )
    os.close(writer)
    assert process.stderr == b""
    assert process.returncode != 0 or words == ["--help"]


def test_help_imports_nothing_heavy():
    """So that a verb works without what only other verbs need."""
    heavy = ["amaranth", "torch", "matplotlib", "cocotb"]
    code = (
        "import sys; from deltaloom.cli import main; assert main(['--help']) == 0; "
        f"sys.exit(' '.join(set(sys.modules) & set({heavy})))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stderr.strip() == ""


def test_a_verb_imports_only_its_own_module():
    code = (
        "import sys; from deltaloom.cli import main; main(['import', '--help']); "
        "print(*(m for m in sys.modules if m.startswith('deltaloom.verbs.')), file=sys.stderr)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stderr.split() == ["deltaloom.verbs.import_"]


# import


def test_import(checkpoint, tmp_path, capsys):
    out = tmp_path / "made" / "model.safetensors"
    assert run_import(checkpoint, "-o", out, "--labels", "no, yes") == 0
    model = FloatModel.load(out)
    assert [(n.name, n.kind, n.inputs, n.units) for n in model.layers] == [
        ("net.lstm.0", "lstm", 3, 5),
        ("net.[fc]", "linear", 5, 2),
    ]
    assert model.labels == ("no", "yes") and model.origin == "net.npz"
    text, err = capsys.readouterr()
    rows = [[c.strip() for c in row.split("│")[1:-1]] for row in text.splitlines() if "│" in row]
    assert rows == [["net.lstm.0", "lstm", "3", "5", "180"], ["net.[fc]", "linear", "5", "2", "12"]]
    assert "192 parameters" in text and err == ""


def test_import_error_names_the_file_and_writes_nothing(checkpoint, tmp_path, capsys):
    out = tmp_path / "model.safetensors"
    assert run_import(checkpoint, "-o", out, "--labels", "a,b,c") == 2
    line = f"deltaloom: {checkpoint}: 3 labels for the 2 outputs of net.[fc]; "
    assert capsys.readouterr() == ("", line + "give one label per output\n")
    assert not out.exists()


def test_import_keeps_the_model_that_was_there(checkpoint, tmp_path):
    out = tmp_path / "model.safetensors"
    out.write_bytes(b"precious")
    assert run_import(checkpoint, "-o", out, "--labels", "a") == 2
    assert out.read_bytes() == b"precious"


def test_import_never_overwrites_the_checkpoint(checkpoint, capsys):
    before = checkpoint.read_bytes()
    assert run_import(checkpoint, "-o", checkpoint) == 2
    assert "is the checkpoint itself; name another file" in capsys.readouterr().err
    assert checkpoint.read_bytes() == before


def test_import_of_a_missing_file_over_an_existing_one(tmp_path, capsys):
    out = tmp_path / "model.safetensors"
    out.write_bytes(b"")
    assert run_import(tmp_path / "absent.npz", "-o", out) == 2
    assert capsys.readouterr().err == f"deltaloom: {tmp_path / 'absent.npz'}: no such file\n"


def test_import_with_an_order(tmp_path, capsys):
    file, out = tmp_path / "net.npz", tmp_path / "model"
    np.savez(file, **{f"{n}.weight": np.ones((3, 3), np.float32) for n in "ab"})
    assert run_import(file, "-o", out, "--order", "b, a") == 0
    assert [layer.name for layer in FloatModel.load(out).layers] == ["b", "a"]
    assert "no activation is assumed" in capsys.readouterr().out


# Labels


def test_labels_from_a_list():
    assert read_labels("a, b b,c") == ["a", "b b", "c"]
    assert read_labels("one") == ["one"]


def test_labels_from_a_file(tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("a, with a comma\nß\n  c \n\n", encoding="utf-8")
    assert read_labels(str(file)) == ["a, with a comma", "ß", "c"]


@pytest.mark.parametrize("text", ["labels.txt", "no/such"])
def test_labels_from_a_missing_file(text):
    with pytest.raises(UserError, match=f"labels {text}: no such file"):
        read_labels(text)


def test_empty_labels(tmp_path):
    with pytest.raises(UserError, match="place 2 is empty"):
        read_labels("a,,b")
    (tmp_path / "f").write_text("a\n\nb\n")
    with pytest.raises(UserError, match="line 2 is empty"):
        read_labels(str(tmp_path / "f"))
    (tmp_path / "f").write_text("")
    with pytest.raises(UserError, match="line 1 is empty"):
        read_labels(str(tmp_path / "f"))


def test_labels_that_are_no_text(tmp_path):
    (tmp_path / "f").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        read_labels(str(tmp_path / "f"))


def test_python_m(tmp_path):
    words = [sys.executable, "-m", "deltaloom", "--version"]
    ran = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "") and ran.stdout.startswith("deltaloom ")


def test_quiet_is_quiet_but_for_errors(files, run, capfd):
    net, data = files
    assert run("evaluate", net, "--data", data, "--quiet") == 0
    assert run("generate", net, "-o", net.parent / "rtl", "--word-bits", 32, "--quiet") == 0
    assert capfd.readouterr() == ("", "")
    assert (net.parent / "rtl/deltaloom.v").exists()
    assert run("evaluate", net, "--data", net.parent / "no", "--quiet") == 2
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("name", verbs.VERBS)
def test_every_verb_can_be_quiet(name, capsys):
    assert cli.main([name, "--help"]) == 0
    assert "--quiet" in capsys.readouterr().out


def test_a_pipe_gets_all_of_a_table(monkeypatch, tmp_path, run, capsys):
    """80 columns cut a table off; a pipe has none."""
    network = make_network([("gru", 2), ("linear", 2)], 3)
    long = replace(network.layers[0], name="a_name_of_a_layer_" * 6)
    replace(network, layers=(long, network.layers[1])).save(tmp_path / "net")
    Dataset((np.zeros((4, 3), np.float32),)).save(tmp_path / "data.npz")
    words = ("evaluate", tmp_path / "net", "--data", tmp_path / "data.npz")
    monkeypatch.delenv("COLUMNS", raising=False)
    assert run(*words) == 0
    text = capsys.readouterr().out
    assert f"{long.name}.x " in text and "…" not in text
    monkeypatch.setenv("COLUMNS", "80")
    assert run(*words) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
