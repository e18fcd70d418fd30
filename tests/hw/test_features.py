"""The feature memory against a map of pixels: any group of columns, at any place and stride, in two cycles."""

import random

import pytest
from amaranth.sim import Simulator

from hw.features import FeatureMemory

LATENCY = 2


@pytest.mark.parametrize(("columns", "lanes", "pixels", "pitch", "strides", "seed"), [
    (1, 4, 6, 1, (1,), 1),
    (1, 8, 7, 2, (1, 2), 2),
    (2, 8, 8, 1, (1,), 3),
    (3, 4, 17, 3, (1, 2), 4),
    (4, 2, 12, 2, (1, 3), 5),
    (5, 16, 30, 2, (2,), 6),
])
@pytest.mark.parametrize("large_banks", [None, 1])
def test_reads_and_writes(columns, lanes, pixels, pitch, strides, seed, large_banks):
    choose = random.Random(seed)
    groups = -(-pixels // columns)
    depth = max(2, groups * pitch)
    dut = FeatureMemory(columns=columns, lanes=lanes, depth=depth, pitch_width=pitch.bit_length(), strides=strides,
                        large_banks=large_banks)
    pixel = [[0] * pitch for _ in range(groups * columns)]
    expected = {}  # by cycle: the activations, None where a column's pixel lies behind the map

    def read(ctx, cycle, writing):
        index = choose.randrange(len(strides))
        first, word = choose.randrange(groups * columns), choose.randrange(pitch)
        if writing is not None and writing % pitch == word:
            word = (word + 1) % pitch
            if pitch == 1:  # every word could be the one that is written
                return
        ctx.set(dut.address, first // columns * pitch + word)
        ctx.set(dut.phase, first % columns)
        ctx.set(dut.stride, index)
        ctx.set(dut.pitch, pitch)
        places = [first + strides[index] * column for column in range(columns)]
        expected[cycle + LATENCY] = [pixel[place][word] if place < len(pixel) else None for place in places]

    async def testbench(ctx):
        writing = None  # what the next cycle writes
        for cycle in range(300):
            words = [choose.getrandbits(lanes) for _ in range(columns)]
            ctx.set(dut.write_enable, writing is not None)
            ctx.set(dut.write_data, words)
            if writing is not None:
                group, word = divmod(writing, pitch)
                for column in range(columns):
                    pixel[group * columns + column][word] = words[column]
                writing = None
            bypass = [choose.getrandbits(lanes) for _ in range(columns)]
            ctx.set(dut.bypass_data, bypass)
            bypassed = cycle >= 50 and choose.random() < 0.2
            ctx.set(dut.bypass, bypassed)
            if cycle < groups * pitch or choose.random() < 0.4:
                # Neighbouring cycles may both write.
                writing = cycle if cycle < groups * pitch else choose.randrange(groups * pitch)
                ctx.set(dut.write_address, writing)
            # With a port for each, a word may be read while another is written.
            if cycle > groups * pitch and (writing is None or large_banks is None):
                read(ctx, cycle, writing)
            ctx.set(dut.write_next, writing is not None)
            if bypassed:
                expected[cycle + LATENCY] = "bypass"
            found = [ctx.get(dut.activations[column]) for column in range(columns)]
            wanted = expected.get(cycle)
            if wanted == "bypass":
                assert found == bypass
            elif wanted is not None:
                assert [one for one, other in zip(found, wanted, strict=True) if other is not None] == [
                    other | extra for other, extra in zip(wanted, bypass, strict=True) if other is not None]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert sum(wanted != "bypass" for wanted in expected.values()) > 50


@pytest.mark.parametrize(("columns", "strides", "message"), [
    (4, (1, 2), r"^FeatureMemory columns must be coprime with stride 2, not 4$"),
    (6, (3,), r"^FeatureMemory columns must be coprime with stride 3, not 6$"),
    (3, (), r"^FeatureMemory strides must be one or two, not \(\)$"),
    (5, [1, 2, 3], r"^FeatureMemory strides must be one or two, not \(1, 2, 3\)$"),
])
def test_strides_that_no_memory_has(columns, strides, message):
    with pytest.raises(ValueError, match=message):
        FeatureMemory(columns=columns, lanes=8, depth=16, pitch_width=1, strides=strides)
