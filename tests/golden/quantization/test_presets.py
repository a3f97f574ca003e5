# SPDX-License-Identifier: Apache-2.0
"""The paper's schemes on models, by hand; schemes from TOML files and their errors."""

import re

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.presets import METHODS, PRESETS, parse_bits, preset, read_scheme
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.quantization.scheme import Scheme

TABLE = {
    # Table 2 of the paper: first, rest, FC; M7's and M8's weights of the first U are 4
    "16-bit": ("16/16", "16/16", "16/16", "16/16"),
    "8-bit": ("8/8", "8/8", "8/8", "8/8"),
    "4-bit": ("4/4", "4/4", "4/4", "4/4"),
    "M1": ("8/8", "2/8", "2/8", "8/8"),
    "M2": ("8/8", "2/8", "2/8", "4/4"),
    "M3": ("8/8", "2/8", "2/8", "2/8"),
    "M4": ("2/8", "2/8", "2/8", "2/8"),
    "M5": ("8/8", "4/4", "4/4", "4/4"),
    "M6": ("8/8", "2/4", "2/4", "4/4"),
    "M7": ("8/8", "4/4", "2/4", "2/4"),
    "M8": ("4/4", "4/4", "2/4", "2/4"),
}
"""Bits of the first x, the first U (or projection), the rest, the output."""


def bits_of(model, data, scheme):
    network = quantize_with(model, observe(model, data), scheme)
    return {name: f"{p.weight_bits}/{p.quantizer.bits}" for name, p in network.paths()}


def test_all_are_there():
    assert [*TABLE] == [*PRESETS]


@pytest.mark.parametrize("name", TABLE)
def test_lstm(make_model, make_dataset, name):
    model = make_model([("lstm", 3), ("lstm", 3), ("linear", 2)], 4)
    first, state, rest, output = TABLE[name]
    found = bits_of(model, make_dataset(4, [20]), preset(name))
    assert found == {
        "lstm0.x": first,
        "lstm0.h.ifo": state,
        "lstm0.h.g": "16/16",
        "lstm1.x": rest,
        "lstm1.h.ifo": rest,
        "lstm1.h.g": "16/16",
        "linear2.x": output,
    }


@pytest.mark.parametrize("name", TABLE)
def test_sru_with_projections(make_model, make_dataset, name):
    shape = [("sru4", 4), ("linear", 3), ("sru4", 4), ("linear", 3), ("sru4", 4), ("linear", 2)]
    first, state, rest, output = TABLE[name]
    found = bits_of(make_model(shape, 5), make_dataset(5, [20]), preset(name))
    assert found == {
        "sru40.x": first,
        "linear1.x": state,
        "sru42.x": rest,
        "linear3.x": rest,
        "sru44.x": rest,
        "linear5.x": output,
    }


@pytest.mark.parametrize(
    ("skip", "kept"),
    [
        ("none", []),
        ("part", ["gru_before0.rh"]),
        ("all", ["gru_before0.rh", "gru_before1.rh"]),
    ],
)
def test_skip(make_model, make_dataset, skip, kept):
    model = make_model([("gru_before", 3), ("gru_before", 3), ("linear", 2)], 4)
    found = bits_of(model, make_dataset(4, [20]), preset("M6", skip=skip))
    assert [name for name, bits in found.items() if bits == "16/16"] == kept


def test_presets_take_the_other_options():
    scheme = preset("M5", **METHODS["paper"], skip="none")
    assert (scheme.granularity, scheme.clipping, scheme.activation_range) == (
        "tensor",
        "paper",
        "median",
    )
    assert scheme.skip == "none" and scheme.weight_bits == 4
    assert Scheme(**METHODS["auto"]) == Scheme(activation_clipping="mmse")


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("4/8", (4, 8)),
        ("16/2", (16, 2)),
        ("4", None),
        ("/8", None),
        ("4/8/2", None),
        ("-4/8", None),
    ],
)
def test_parse_bits(text, bits):
    assert parse_bits(text) == bits


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "own.toml"
        file.write_text(text)
        return str(file)

    return write


def test_file_with_everything(write):
    file = write(
        """
        weight_bits = 4
        activation_bits = 6
        granularity = "tensor"
        clipping = "percentile:99.5"
        activation_clipping = "max"
        activation_range = "median"
        activation_codes = "asymmetric"
        rounding = "gptq"
        skip = "part"
        [paths]
        "lstm.0.h" = "3/8"
        "lstm.1.h.g" = {weights = 16, activations = 16}
        "linear.x" = {weights = 8}
        """
    )
    assert read_scheme(file) == Scheme(
        weight_bits=4,
        activation_bits=6,
        granularity="tensor",
        clipping="percentile:99.5",
        activation_clipping="max",
        activation_range="median",
        activation_codes="asymmetric",
        rounding="gptq",
        skip="part",
        overrides={"lstm.0.h": (3, 8), "lstm.1.h.g": (16, 16), "linear.x": (8, 6)},
    )


def test_file_with_preset_and_method(write):
    file = write('preset = "M6"\nmethod = "gptq"\nskip = "none"\npaths = {"a.x" = "8/8"}')
    options = {**METHODS["gptq"], "skip": "none", "overrides": {"a.x": (8, 8)}}
    assert read_scheme(file) == preset("M6", **options)


def test_options_come_on_top(write):
    file = write('rounding = "gptq"\npaths = {"a.x" = "8/8", "b.x" = "2/8"}')
    scheme = read_scheme(file, rounding="nearest", weight_bits=4, overrides={"b.x": (4, 4)})
    expected = {"a.x": (8, 8), "b.x": (4, 4)}
    assert scheme == Scheme(weight_bits=4, overrides=expected, rounding="nearest")


def test_dots_without_quotes(write):
    file = write('[paths]\nlstm.1.h.g = "16/16"\nlstm.0.x = {weights = 4, activations = 8}')
    expected = {"lstm.1.h.g": (16, 16), "lstm.0.x": (4, 8)}
    assert read_scheme(file) == Scheme(overrides=expected)


def test_empty_file(write):
    assert read_scheme(write("")) == Scheme()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weights = 4", "'weights' is no setting; settings: preset, method, weight_bits, act"),
        ('weight_bits = "4"', "weight_bits = '4' is not possible, it must be a whole number"),
        ("weight_bits = true", "weight_bits = True is not possible, it must be a whole number"),
        ("weight_bits = 1", "weight bits: 1 is not possible, it must be one of 2..16"),
        ("clipping = 99.9", "clipping = 99.9 is not possible, it must be a text"),
        ('clipping = "most"', "clipping: 'most' is not possible, it must be one of mmse, paper"),
        ('paths = "8/8"', "paths = '8/8' is not possible, it must be a table"),
        ('preset = "M9"', "scheme 'M9': no such scheme; give a FILE.toml or one of 16-bit, 8-bit"),
        ('method = "best"', "method 'best': no such method; methods: paper, row, gptq"),
        ('preset = "M1"\nweight_bits = 4', "weight_bits: a preset has its own bits; leave one"),
        ('[paths]\n"a.h" = "8"', "path 'a.h': '8' is not possible, it must be like '4/8' or {w"),
        ('[paths]\n"a.h" = "8/1"', "activation bits of a.h: 1 is not possible"),
        ('[paths]\n"a.h" = {bits = 8}', "path 'a.h.bits': 8 is not possible, it must be like"),
        ('[paths]\n"a.h" = {}', "path 'a.h': {} is not possible, it must be like '4/8' or {w"),
        ('[paths]\n"a.h" = {weights = 8.0}', "weight bits of a.h: 8.0 is not possible"),
        ("[paths]\na.h = 4", "path 'a.h': 4 is not possible, it must be like"),
        ("weight_bits = ", "not TOML ("),
    ],
)
def test_errors_are_one_line(write, text, message):
    file = write(text)
    with pytest.raises(UserError, match=f"^{re.escape(f'{file}: {message}')}[^\n]*$"):
        read_scheme(file)


def test_path_that_the_model_does_not_have(write, make_model, make_dataset):
    model, data = make_model([("lstm", 3), ("linear", 2)], 4), make_dataset(4, [20])
    scheme = read_scheme(write('[paths]\n"lstm1.h" = "8/8"'))
    message = "path 'lstm1.h': no such path; paths: lstm0.x, lstm0.h, linear1.x, and parts"
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        bits_of(model, data, scheme)


def test_file_that_is_not_there(tmp_path):
    file = tmp_path / "none.toml"
    with pytest.raises(UserError, match=r"none.toml: cannot be read \(No such file or directory\)"):
        read_scheme(str(file))


@pytest.mark.parametrize("name", ["M9", "m1", "", "scheme.json"])
def test_name_that_is_none(name):
    with pytest.raises(UserError, match=f"^scheme '{name}': no such scheme; give a FILE.toml or"):
        read_scheme(name)


def test_bits_beside_a_preset():
    with pytest.raises(UserError, match=r"^activation_bits: a preset has its own bits; leave one"):
        read_scheme("M1", activation_bits=4)
