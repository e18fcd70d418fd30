"""The word memory against a map of pixels and a list: pairs at any place and stride, the store in free cycles."""

import random

import pytest
from amaranth.sim import Simulator

from hw.word_memory import WordMemory

LATENCY = 2


@pytest.mark.parametrize(("columns", "word_bits", "pixels", "pitch", "strides", "rams", "seed"), [
    (1, 8, 6, 1, (1,), 2, 1),
    (1, 4, 9, 3, (1, 2), 2, 2),
    (3, 8, 17, 3, (1, 2), 4, 3),
    (3, 6, 20, 2, (1, 2), 3, 4),
    (5, 8, 30, 2, (1,), 5, 5),
])
@pytest.mark.parametrize("shared", [True, False])
def test_accesses(columns, word_bits, pixels, pitch, strides, rams, seed, shared):
    choose = random.Random(seed)
    groups = -(-pixels // columns)
    depth, width, length = max(2, groups * pitch), 16 * rams, 3 + choose.randrange(30)
    contents = [choose.getrandbits(width) for _ in range(length)]
    dut = WordMemory(
        columns=columns, word_bits=word_bits, depth=depth, pitch_width=pitch.bit_length(), strides=strides,
        store_width=width, store_words=length, shared=shared, contents=() if shared else contents)
    pixel = [[0] * pitch for _ in range(groups * columns)]
    store = length * [0] if shared else list(contents)
    filling = [("write", place) for place in range(groups * pitch)]
    filling += [("load", place) for place in range(rams * length if shared else 0)]
    choose.shuffle(filling)
    # Then all kinds of accesses; loads change the store as they come.
    kinds = ["read", "read", "write", "store", "idle"] + shared * ["load"]
    words, stored = {}, {}  # expected, by cycle; None where a column's pixel lies behind the map

    def access(ctx, cycle, kind, place):
        if kind == "read":
            index = choose.randrange(len(strides))
            first, word = choose.randrange(groups * columns), choose.randrange(pitch)
            ctx.set(dut.address, first // columns * pitch + word)
            ctx.set(dut.phase, first % columns)
            ctx.set(dut.stride, index)
            ctx.set(dut.pitch, pitch)
            places = [first + strides[index] * column for column in range(columns)]
            words[cycle + LATENCY] = [pixel[at][word] if at < len(pixel) else None for at in places]
        elif kind == "write":
            place = choose.randrange(groups * pitch) if place is None else place
            pairs = [choose.getrandbits(2 * word_bits) for _ in range(columns)]
            ctx.set(dut.write_address, place)
            ctx.set(dut.write_data, pairs)
            for column in range(columns):
                pixel[place // pitch * columns + column][place % pitch] = pairs[column]
        elif kind == "load":
            at, part = divmod(choose.randrange(rams * length) if place is None else place, rams)
            value = choose.getrandbits(16)
            ctx.set(dut.load_address, at)
            ctx.set(dut.load_part, part)
            ctx.set(dut.load_data, value)
            store[at] = store[at] & ~(0xffff << 16 * part) | value << 16 * part

    async def testbench(ctx):
        for cycle in range(len(filling) + 400):
            kind, place = filling[cycle] if cycle < len(filling) else (choose.choice(kinds), None)
            access(ctx, cycle, kind, place)
            ctx.set(dut.read_enable, kind == "read")
            ctx.set(dut.write_enable, kind == "write")
            if shared:
                ctx.set(dut.load_enable, kind == "load")
            asked, at = kind == "store" or choose.random() < 0.3, choose.randrange(length)
            ctx.set(dut.store_request, asked)
            ctx.set(dut.store_address, at)
            granted = not shared or kind in ("store", "idle")
            assert ctx.get(dut.store_grant) == granted
            if asked and granted and cycle >= len(filling):
                stored[cycle + LATENCY] = store[at]
            if cycle in stored:
                assert ctx.get(dut.store_data) == stored[cycle], cycle
            for column, value in enumerate(words.get(cycle, ())):
                assert value is None or ctx.get(dut.words[column]) == value, (cycle, column)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert len(words) > 80 and len(stored) > 50


GOOD = {
    "columns": 3, "word_bits": 8, "depth": 64, "pitch_width": 3, "strides": (1, 2), "store_width": 64,
    "store_words": 100, "shared": True,
}


@pytest.mark.parametrize(("changes", "message"), [
    ({"columns": 2}, r"^WordMemory columns must be coprime with stride 2, not 2$"),
    ({"strides": ()}, r"^WordMemory strides must be one or two, not \(\)$"),
    ({"word_bits": 9}, r"^WordMemory word_bits must be at most 8 to be shared, not 9$"),
    ({"store_width": 40}, r"^WordMemory store_width must be a multiple of 16, at least 48, not 40$"),
    ({"store_width": 32}, r"^WordMemory store_width must be a multiple of 16, at least 48, not 32$"),
    ({"depth": 16285}, r"^WordMemory depth and store_words must be at most 16384 together, not 16285 \+ 100$"),
    ({"contents": [0] * 100}, r"^WordMemory contents must not be given with a shared store, which is loaded$"),
    ({"shared": False, "contents": [0] * 99}, r"^WordMemory contents must be 100 words, not 99$"),
])
def test_sizes_that_no_memory_has(changes, message):
    with pytest.raises(ValueError, match=message):
        WordMemory(**GOOD | changes)


def test_separate_store_has_any_width():
    dut = WordMemory(**GOOD | {"word_bits": 9, "store_width": 40, "shared": False, "contents": [0] * 100})
    assert not hasattr(dut, "load_enable")
