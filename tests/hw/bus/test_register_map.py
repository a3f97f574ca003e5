# SPDX-License-Identifier: Apache-2.0
import itertools
import random

import pytest

from deltaloom.golden.errors import UserError
from deltaloom.hw.bus.register_map import (
    IMAGE_SPACE,
    REGISTERS,
    Window,
    memory_map,
    place_windows,
    register_map,
)


def test_registers_do_not_overlap():
    """Arrays extend to the next entry; everything else takes its own words."""
    for this, following in itertools.pairwise(REGISTERS):
        assert this.address + 4 * this.words <= following.address
        assert this.address % 4 == 0


def test_map_is_plain_data():
    entry = next(e for e in register_map() if e["name"] == "MACS_DONE")
    assert (entry["address"], entry["access"], entry["bits"]) == (0x28, "RO", 64)


@pytest.mark.parametrize("seed", range(20))
def test_windows_are_aligned_and_apart(seed):
    rng = random.Random(seed)
    windows = [
        Window(name=f"w{n}", depth=rng.randint(1, 3000), width=rng.randint(1, 512))
        for n in range(rng.randint(1, 8))
    ]
    places = place_windows(windows)
    assert [p.window for p in places] == windows
    taken = sorted((p.base, p.base + p.window.span) for p in places)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(taken))
    assert taken[-1][1] == sum(w.span for w in windows)
    assert all(p.base % p.window.span == 0 for p in places)


@pytest.mark.parametrize(
    ("width", "slices", "stride"), [(1, 1, 1), (32, 1, 1), (33, 2, 2), (65, 3, 4), (512, 16, 16)]
)
def test_stride(width, slices, stride):
    window = Window(name="w", depth=5, width=width)
    assert (window.slices, window.stride, window.span) == (slices, stride, 8 * stride)


def test_encode():
    big, small = place_windows(
        [Window(name="big", depth=2, width=72), Window(name="small", depth=3, width=8)]
    )
    assert big.base == 0 and small.base == 8
    assert list(big.encode([0x11_22222222_33333333], first=1)) == [
        (0x800010, 0x33333333),
        (0x800014, 0x22222222),
        (0x800018, 0x11),
    ]
    assert list(small.encode([-1, 5])) == [(0x800020, 0xFF), (0x800024, 5)]


@pytest.mark.parametrize("words", [[256], [-129], [0, 0, 0, 0]])
def test_encode_refuses_what_does_not_fit(words):
    (place,) = place_windows([Window(name="w", depth=3, width=8)])
    with pytest.raises(ValueError, match=r"^w\[0\]: .* does not fit 8 bits|outside 0\.\.2"):
        list(place.encode(words))


def test_too_much_memory():
    windows = [Window(name="w", depth=IMAGE_SPACE, width=32), Window(name="v", depth=1, width=1)]
    assert place_windows(windows[:1])[0].base == 0
    with pytest.raises(UserError, match=r"8388612 bytes .* at most 8388608"):
        place_windows(windows)


def test_memory_map():
    assert memory_map([Window(name="w", depth=3, width=40)]) == [
        {"name": "w", "base": 0x800000, "depth": 3, "width": 40, "stride": 8}
    ]


@pytest.mark.parametrize("bad", [{"depth": 0}, {"width": -1}, {"depth": 1.5}])
def test_window_parameters(bad):
    with pytest.raises(ValueError, match="of 'w' must be a positive integer"):
        Window(**{"name": "w", "depth": 1, "width": 1, **bad})


def test_names_must_differ():
    with pytest.raises(ValueError, match="different names"):
        place_windows([Window(name="w", depth=1, width=1)] * 2)
