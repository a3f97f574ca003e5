# SPDX-License-Identifier: Apache-2.0
"""Genes, what genomes stand for, and what cannot vary."""

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.golden.quantization.quantize import quantize_with
from deltaloom.golden.quantization.scheme import Scheme
from deltaloom.search.genes import Gene, Space

PATHS = ["gru.0.x", "gru.0.h", "linear.x"]


def test_a_path_has_weight_and_activation_bits(small):
    space = small.space
    assert [gene.name for gene in space.genes] == [
        f"{path} {kind}" for path in PATHS for kind in ("weights", "activations")
    ]
    assert space.size == 4**6 and space.tops == (3,) * 6
    assert {gene.kind for gene in space.fixed} == {"threshold"}
    choice = space.choice((0, 1, 2, 3, 1, 1))
    assert choice.bits == {"gru.0.x": (2, 4), "gru.0.h": (8, 16), "linear.x": (4, 4)}
    assert choice.thresholds == dict.fromkeys(PATHS, 0)
    assert space.groups() == [[0, 1], [2, 3], [4, 5]]


def test_layers_share_and_bits_are_tied(small):
    space = Space.of(small.model, weights=(4, 8, 16), share="layer", tied=True)
    assert [gene.name for gene in space.genes] == ["gru.0 bits", "linear.x bits"]
    assert space.choice((0, 2)).bits == {
        "gru.0.x": (4, 4),
        "gru.0.h": (4, 4),
        "linear.x": (16, 16),
    }


def test_the_highest_level_is_the_most_exact(small):
    space = Space.of(small.model, weights=(8, 4), activations=(8,), thresholds=(0, 16, 8))
    choice = space.choice(space.tops)
    assert set(choice.bits.values()) == {(8, 8)} and set(choice.thresholds.values()) == {0}
    choice = space.choice(space.bottoms)
    assert set(choice.bits.values()) == {(4, 8)} and set(choice.thresholds.values()) == {16}


def test_thresholds_are_of_8_bit_codes(small):
    space = Space.of(small.model, weights=(8,), activations=(4, 16), thresholds=(0, 8))
    choice = space.choice([0] * 3 + [0] * 3)
    statistics = small.problem().statistics
    network = quantize_with(small.model, statistics, choice.scheme(Scheme()))
    found = {name: p.threshold for name, p in choice.with_thresholds(network).paths()}
    assert found == dict.fromkeys(PATHS, 1)
    choice = space.choice([1, 0] * 3)
    network = quantize_with(small.model, statistics, choice.scheme(Scheme()))
    assert {p.threshold for _, p in choice.with_thresholds(network).paths()} == {8 * 256}


def test_settings_vary(small):
    settings = {"word_bits": (64, 128), "skip": ("all", "none")}
    space = Space.of(small.model, settings=settings)
    choice = space.choice((0,) * 8)
    assert choice.settings == {"word_bits": 64, "skip": "all"}
    assert choice.scheme(Scheme()).skip == "all"
    network = choice.with_thresholds(
        quantize_with(small.model, small.problem().statistics, choice.scheme(Scheme()))
    )
    assert "gru.0.h.nh" in dict(network.paths())


def test_keys_tell_choices_apart(small):
    a, b = small.space.choice((0,) * 6), small.space.choice((0,) * 5 + (1,))
    assert a.key == small.space.choice((0,) * 6).key != b.key


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"share": "gate"}, "share: 'gate' is not possible, it must be path or layer"),
        ({"weights": (1, 8)}, "weight bits of weights: 1 is not possible"),
        ({"weights": ()}, "gru.0.x weights: no value to try; name at least one"),
        ({"thresholds": (300,)}, "threshold: 300 is not possible, it must be 0..255"),
        ({"weights": (8,), "activations": (8,)}, "genes: nothing varies"),
        ({"settings": {"clock": (1, 2)}}, "clock: cannot vary; settings: skip, word_bits, lanes"),
    ],
)
def test_what_cannot_be(small, options, line):
    with pytest.raises(UserError) as error:
        Space.of(small.model, **options)
    assert str(error.value).startswith(line)


def test_a_setting_has_its_own_name():
    assert Gene("word_bits", (), (64, 128)).name == "word bits"
