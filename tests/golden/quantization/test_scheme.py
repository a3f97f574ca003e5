# SPDX-License-Identifier: Apache-2.0
"""Bits of single paths, skipped candidates, and that splitting a path changes nothing."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deltaloom.golden.cells import CELLS
from deltaloom.golden.engines.engine import quantize_frames, run
from deltaloom.golden.errors import UserError
from deltaloom.golden.models.float_model import FloatModel
from deltaloom.golden.quantization.calibration import observe
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.quantization.scheme import Scheme, roles_of
from deltaloom.golden.reports.paths import describe
from deltaloom.sim.testing.kinds import normed_last


def paths_of(model, data, scheme):
    """By path name: (gates, weight bits, activation bits)."""
    network = quantize_with(model, observe(model, data), scheme)
    return {name: (p.gates, p.weight_bits, p.quantizer.bits) for name, p in network.paths()}


@pytest.mark.parametrize(
    ("kind", "kept", "skipped"),
    [
        ("lstm", ("h", "ifo"), ("h", "g")),
        ("lstm_cifg", ("h", "fo"), ("h", "g")),
        ("gru", ("h", "rz"), ("h", "nh")),
        ("gru_before", ("h", "rz"), ("rh", "n")),
        ("ligru", ("h", "z"), ("h", "a")),
    ],
)
def test_skip_gives_the_candidate_16_bits(make_model, make_dataset, kind, kept, skipped):
    model, data = make_model([(kind, 4), (kind, 4), ("linear", 2)], 3), make_dataset(3, [20])
    network = quantize_with(model, observe(model, data), Scheme(weight_bits=4, skip="all"))
    for layer in network.layers[:2]:
        bits = {
            (p.source, "".join(p.gates)): (p.weight_bits, p.quantizer.bits) for p in layer.paths
        }
        assert bits.pop(skipped) == (16, 16)
        assert bits[kept] == (4, 8)
        assert {*bits.values()} == {(4, 8)}


@pytest.mark.parametrize(("layers", "skipped"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_part_is_the_first_half_rounded_up(make_model, make_dataset, layers, skipped):
    """The papers' layers 0-1 of 4 and 0-2 of 5. Linear layers do not count."""
    model = make_model([("linear", 3), *[("lstm", 3)] * layers, ("linear", 2)], 3)
    found = paths_of(model, make_dataset(3, [9]), Scheme(skip="part"))
    expected = {f"lstm{n}.h.g" for n in range(1, skipped + 1)}
    assert {name for name, (_, *bits) in found.items() if bits == [16, 16]} == expected


def test_what_cannot_be_skipped_is_left(make_model, make_dataset):
    model, data = make_model([("sru4", 3), ("linear", 2)], 4), make_dataset(4, [9])
    assert paths_of(model, data, Scheme(skip="all")) == paths_of(model, data, Scheme())


@pytest.mark.parametrize("granularity", ["row", "tensor"])
@pytest.mark.parametrize("kind", normed_last(CELLS))
def test_splitting_with_the_same_bits_changes_nothing(make_model, make_dataset, kind, granularity):
    model = make_model([(kind, 5), (kind, 5), ("linear", 3)], 5, scaled=True)
    data = make_dataset(5, [25, 0, 7])
    statistics = observe(model, data)
    scheme = Scheme(granularity=granularity)
    whole = quantize_with(model, statistics, scheme)
    overrides = {
        f"{kind}{n}.{source}.{gate}": (8, 8)
        for n in range(2)
        for source, gates in CELLS[kind].feeds.items()
        for gate in gates
    }
    split = quantize_with(model, statistics, replace(scheme, overrides=overrides))
    gates = sum(len(gates) for gates in CELLS[kind].feeds.values())
    assert len(list(split.paths())) == 2 * gates + 1
    words = [quantize_frames(whole, x) for x in data.features]
    for one, other in zip(run(whole, words), run(split, words), strict=True):
        np.testing.assert_array_equal(one.outputs, other.outputs)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"overrides": {"lstm0.h": (2, 4)}}, {"h": ("ifgo", 2, 4)}),
        ({"overrides": {"lstm0.h.g": (16, 4)}}, {"h.ifo": ("ifo", 8, 8), "h.g": ("g", 16, 4)}),
        (
            {"overrides": {"lstm0.h.og": (4, 4), "lstm0.h.g": (2, 2)}},
            {"h.if": ("if", 8, 8), "h.o": ("o", 4, 4), "h.g": ("g", 2, 2)},
        ),
        (
            {"overrides": {"lstm0.h": (2, 4)}, "skip": "all"},
            {"h.ifo": ("ifo", 2, 4), "h.g": ("g", 16, 16)},
        ),
        (
            {"overrides": {"lstm0.h.g": (8, 16)}, "skip": "all"},
            {"h.ifo": ("ifo", 8, 8), "h.g": ("g", 8, 16)},
        ),
        (
            {"overrides": {"lstm0.h.ifgo": (4, 8)}, "skip": "all"},
            {"h": ("ifgo", 4, 8)},
        ),
    ],
)
def test_overrides(make_model, make_dataset, options, expected):
    model, data = make_model([("lstm", 3)], 2), make_dataset(2, [9])
    found = paths_of(model, data, Scheme(**options))
    x = ("ifgo", 8, 8)
    assert {n.removeprefix("lstm0."): ("".join(g), w, a) for n, (g, w, a) in found.items()} == {
        "x": x,
        **expected,
    }


def test_gates_of_two_letters_and_names_with_dots(make_model, make_dataset):
    model, data = make_model([("gru", 3)], 2), make_dataset(2, [9])
    model = replace(model, layers=(replace(model.layers[0], name="rnn.0"),))
    scheme = Scheme(overrides={"rnn.0.h.znh": (4, 16), "rnn.0.x.nx": (2, 2)})
    assert paths_of(model, data, scheme) == {
        "rnn.0.x.rz": (("r", "z"), 8, 8),
        "rnn.0.x.nx": (("nx",), 2, 2),
        "rnn.0.h.r": (("r",), 8, 8),
        "rnn.0.h.znh": (("z", "nh"), 4, 16),
    }


@pytest.mark.parametrize(
    "name", ["lstm0.rh", "lstm1.h", "lstm0.h.", "lstm0.h.x", "lstm0.h.gg", "h"]
)
def test_a_path_that_is_not_there(make_model, make_dataset, name):
    model, data = make_model([("lstm", 3), ("linear", 1)], 2), make_dataset(2, [9])
    message = (
        f"path '{name}': no such path; paths: lstm0.x, lstm0.h, linear1.x, "
        "and parts of them by their gates, like lstm0.x.i"
    )
    with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
        paths_of(model, data, Scheme(overrides={name: (8, 8)}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": "some"}, "skip: 'some' is not possible, it must be one of none, all, part"),
        (
            {"overrides": {"a.x": (17, 8)}},
            r"weight bits of a.x: 17 is not possible, .* one of 2..16",
        ),
        ({"weight_bits": True}, "^weight bits: True is not possible"),
        (
            {"clipping": "min"},
            "^clipping: 'min' is not possible, it must be one of mmse, paper, max",
        ),
        ({"clipping": "percentile:0"}, "^clipping: 'percentile:0' is not possible"),
        ({"activation_clipping": "percentile:x"}, "^activation clipping: 'percentile:x' is not"),
        ({"clipping": "99.9"}, "^clipping: '99.9' is not possible"),
        ({"activation_range": "mean"}, "activation range: 'mean' is .* one of all, median"),
        ({"activation_codes": "zero"}, "codes: 'zero' is .* one of symmetric, asymmetric"),
        ({"rounding": "up"}, "rounding: 'up' is not possible, it must be one of nearest, gptq"),
        ({"roles": {"fc": (8, 8)}}, "role: 'fc' .* one of input, first state, output"),
        ({"roles": {"output": (8, 1)}}, "activation bits of output: 1 is not possible"),
        (
            {"activation_codes": "asymmetric", "clipping": "paper"},
            "'asymmetric' is not possible with 'paper' clipping",
        ),
        ({"overrides": {"a.x": (8, 1)}}, "activation bits of a.x: 1 is not possible"),
    ],
)
def test_checks(options, message):
    with pytest.raises(UserError, match=message):
        Scheme(**options)


def test_the_report_names_the_parts(make_model, make_dataset):
    model, data = make_model([("gru_before", 5)], 3, scaled=True), make_dataset(3, [30])
    statistics = observe(model, data)
    network = quantize_with(
        model, statistics, Scheme(skip="all", overrides={"gru_before0.x.n": (4, 4)})
    )
    reports = {r.name.removeprefix("gru_before0."): r for r in describe(network, model, statistics)}
    assert list(reports) == ["x.rz", "x.n", "h", "rh"]
    assert reports["rh"].weight_sqnr > 80 > 60 > reports["x.rz"].weight_sqnr > 30
    assert 15 < reports["x.n"].weight_sqnr < 30


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            [("lstm", 3), ("lstm", 3), ("linear", 3), ("linear", 2)],
            {
                "lstm0.x": "input",
                "lstm0.h": "first state",
                "linear2.x": "output",
                "linear3.x": "output",
            },
        ),
        (
            [("gru_before", 3), ("linear", 2)],
            {
                "gru_before0.x": "input",
                "gru_before0.h": "first state",
                "gru_before0.rh": "first state",
                "linear1.x": "output",
            },
        ),
        (  # an SRU's first projection stands for U
            [("sru4", 3), ("linear", 2), ("sru4", 3), ("linear", 2), ("sru4", 3), ("linear", 2)],
            {"sru40.x": "input", "linear1.x": "first state", "linear5.x": "output"},
        ),
        ([("sru4", 3), ("linear", 2)], {"sru40.x": "input", "linear1.x": "output"}),
        ([("linear", 3), ("ligru", 3)], {"linear0.x": "input"}),
        ([("linear", 2)], {"linear0.x": "output"}),
    ],
)
def test_roles(make_model, shape, expected):
    assert roles_of(make_model(shape, 4)) == expected


def test_roles_of_both_directions(make_model):
    (first,) = make_model([("lstm", 3)], 4).layers
    second = replace(first, name="lstm1", reads=("frames",), backward=True)
    top, out = make_model([("lstm", 3), ("linear", 2)], 6).layers
    top = replace(top, name="lstm2", reads=("lstm0", "lstm1"))
    model = FloatModel(layers=(first, second, top, replace(out, name="linear3")))
    assert roles_of(model) == {
        "lstm0.x": "input",
        "lstm0.h": "first state",
        "lstm1.x": "input",
        "lstm1.h": "first state",
        "linear3.x": "output",
    }
    # Two levels: both directions of the first are its half.
    assert Scheme(skip="part").skips(model) == {"lstm0", "lstm1"}


def test_overrides_come_before_roles(make_model):
    model = make_model([("lstm", 3), ("linear", 2)], 4)
    scheme = Scheme(
        weight_bits=2,
        roles={"input": (8, 8), "first state": (4, 4), "output": (3, 5)},
        overrides={"lstm0.x": (16, 4), "lstm0.h.g": (6, 6)},
    ).for_model(model)
    layer, out = model.layers
    parts = {p.source: scheme.parts(layer, p, skipped=False) for p in layer.paths}
    assert parts == {
        "x": [(("i", "f", "g", "o"), (16, 4))],
        "h": [(("i", "f", "o"), (4, 4)), (("g",), (6, 6))],
    }
    assert scheme.parts(out, out.paths[0], skipped=False) == [(("y",), (3, 5))]


@pytest.mark.parametrize(
    ("bits", "rounding", "codes"),
    [
        (2, "gptq", "asymmetric"),
        (4, "gptq", "asymmetric"),
        (5, "nearest", "symmetric"),
        (8, "nearest", "symmetric"),
        (16, "nearest", "symmetric"),
    ],
)
def test_auto_is_gptq_and_a_zero_point_up_to_4_bits(bits, rounding, codes):
    assert Scheme().rounding_of(bits) == rounding and Scheme().codes_of(bits) == codes
    assert Scheme(rounding="corrected").rounding_of(bits) == (
        "corrected" if bits <= 8 else "nearest"
    )
    assert Scheme(clipping="paper").codes_of(bits) == "symmetric"
