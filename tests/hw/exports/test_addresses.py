# SPDX-License-Identifier: Apache-2.0
from deltaloom.hw.accelerator import windows
from deltaloom.hw.bus.register_map import REGISTER, REGISTERS, place_windows
from deltaloom.hw.exports.addresses import WHOLE, memories, words


def test_words_are_the_register_map(small):
    found = {word.name: word for word in words(small.manifest)}
    singles = [each for each in REGISTERS if each.words == 1 and each.name != "IMAGE"]
    assert len(singles) + 2 * (len(REGISTERS) - 1 - len(singles)) == len(found)
    for each in singles:
        word = found[each.name]
        assert (word.address, word.access) == (each.address, each.access)
        assert word.fields == (each.fields or (WHOLE,))
    assert found["CYCLES_LOW"].address == REGISTER["CYCLES"].at()
    assert found["CYCLES_HIGH"].address == REGISTER["CYCLES"].at() + 4
    assert not {"CYCLES", "IMAGE"} & found.keys()


def test_arrays_are_as_long_as_the_design_has_them(small):
    found = {word.name: word.count for word in words(small.manifest) if word.count is not None}
    lists = small.config.lists
    assert lists == 3
    assert found == {"THRESHOLD": lists, "EVENTS": lists, "STATE": small.config.states}


def test_memories_are_the_windows(small):
    places = place_windows(windows(small.config))
    for memory, place in zip(memories(small.manifest), places, strict=True):
        assert memory.base == place.address and memory.depth == place.window.depth
        last = next(place.encode([0], first=memory.depth - 1))[0]
        assert memory.base + memory.stride * (memory.depth - 1) == last
        assert 4 * memory.entries == memory.stride * memory.depth
